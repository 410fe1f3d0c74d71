/* Random settings, printed, read back to the same bits; random integers, written in random ways,
 * are themselves; random damage to a configuration is told and never believed. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/number.h"
#include "orchestrator/config/schema.h"

static uint64_t seed = 1;
static uint64_t counter;

static uint64_t random_bits(void)
{
    struct mu_rng_words w = mu_rng_draw(seed, MU_RNG_SPLIT, 0, counter++);

    return (uint64_t)w.w[0] << 32 | w.w[1];
}

static int64_t random_integer(double least, double most)
{
    int64_t span = (int64_t)most - (int64_t)least + 1;
    uint64_t bits = random_bits();

    /* small and large values alike */
    return (int64_t)least + (int64_t)((bits >> (bits % 60)) % (uint64_t)span);
}

static double random_real(double least, double most)
{
    double u = (double)(random_bits() >> 11) * 0x1p-53;

    if (random_bits() % 8 == 0)
        return random_bits() % 2 ? least : most;
    if (random_bits() % 2)
        return least + u * (most - least);
    return fmax(least, most * exp2(-60 * u)); /* any magnitude */
}

static void random_text(char *out, size_t least, size_t most)
{
    static const char letters[] = "abc xyz019._-\"\\#/{};=\n\t\x01\x7f\xc3\xa4";
    size_t length = least + random_bits() % (most - least + 1);

    for (size_t i = 0; i < length; i++)
        out[i] = letters[random_bits() % (sizeof letters - 1)];
    out[length] = '\0';
}

static void random_value(struct mu_settings *s, const struct mu_key *key)
{
    void *field = (char *)s + key->offset;
    int words = 0;

    switch (key->type) {
    case MU_TYPE_INT:
    case MU_TYPE_AUTO_INT:
        *(int64_t *)field = random_integer(key->least, key->most);
        if (key->type == MU_TYPE_AUTO_INT && random_bits() % 2)
            *(int64_t *)field = MU_AUTO;
        break;
    case MU_TYPE_PAIR:
        ((double *)field)[1] = random_real(key->least, key->most);
        ((double *)field)[0] = random_real(key->least, key->most);
        break;
    case MU_TYPE_REAL:
        *(double *)field = random_real(key->least, key->most);
        break;
    case MU_TYPE_CHOICE:
        while (key->words[words])
            words++;
        *(int *)field = (int)(random_bits() % (unsigned)words);
        break;
    case MU_TYPE_TEXT:
        random_text(field, (size_t)key->least, 40);
        break;
    case MU_TYPE_PATH:
        strcpy(field, "/p");
        random_text((char *)field + 2, 1, 40);
        /* absolute paths are kept as they are but for empty and "." components */
        for (char *c = field; *c; c++)
            if (c > (char *)field && *c == '/')
                *c = 'p';
        break;
    }
}

/* Values that satisfy the checks between keys. */
static void make_consistent(struct mu_settings *s)
{
    strcpy(s->run_name, "run");
    s->device_collective = MU_COLLECTIVE_AUTO;
    s->model_heads = 1;
    s->model_width &= ~INT64_C(1); /* the head's, whose elements rotary positions turn in pairs */
    if (s->model_width == 0)
        s->model_width = 2;
    if (s->model_kind == MU_MODEL_GPT2) {
        s->model_hidden = MU_AUTO;
        s->model_rope_theta = 10000;
    }
    if (s->device_kind == MU_DEVICE_CUDA)
        s->run_master = MU_MASTER_AUTO;
    s->batch_shards = s->batch_micro = MU_AUTO;
    s->schedule_warmup = 0;
    s->device_tf32 = s->device_tune = s->optim_shard = MU_SWITCH_OFF;
}

static void printed_settings_read_back(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct mu_settings s, back;
        char *text, *again;

        memset(&s, 0, sizeof s);
        for (size_t i = 0; i < MU_KEY_COUNT; i++)
            random_value(&s, &mu_keys[i]);
        make_consistent(&s);
        assert_int_equal(mu_config_print(&s, &text), MU_OK);
        if (mu_config_parse_text(text, strlen(text), "printed", &back) != MU_OK)
            fail_msg("seed %" PRIu64 ", round %d does not read back:\n%s", seed, round, text);
        assert_int_equal(mu_config_print(&back, &again), MU_OK);
        assert_string_equal(text, again);
        for (size_t i = 0; i < MU_KEY_COUNT; i++) {
            const struct mu_key *key = &mu_keys[i];
            const char *a = (const char *)&s + key->offset, *b = (const char *)&back + key->offset;
            bool same = true;

            switch (key->type) {
            case MU_TYPE_INT:
            case MU_TYPE_AUTO_INT:
            case MU_TYPE_REAL:
                same = memcmp(a, b, 8) == 0;
                break;
            case MU_TYPE_PAIR:
                same = memcmp(a, b, 16) == 0;
                break;
            case MU_TYPE_CHOICE:
                same = memcmp(a, b, sizeof(int)) == 0;
                break;
            case MU_TYPE_TEXT:
            case MU_TYPE_PATH:
                same = strcmp(a, b) == 0;
                break;
            }
            if (!same)
                fail_msg("seed %" PRIu64 ", round %d: %s differs", seed, round, key->name);
        }
        free(text);
        free(again);
    }
}

static void integers_in_any_notation(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        int64_t value = (int64_t)(random_bits() >> (random_bits() % 63 + 1)), read = -1;
        int shift = (int)(random_bits() % 25), length;
        char digits[32], text[80];

        /* digits with a dot anywhere, and an exponent that moves it back; zeros at both ends */
        length = snprintf(digits, sizeof digits, "%" PRId64, value);
        switch (random_bits() % 4) {
        case 0:
            snprintf(text, sizeof text, "%" PRId64 "L", value);
            break;
        case 1:
            snprintf(text, sizeof text, "0x%" PRIx64, (uint64_t)value);
            break;
        case 2:
            snprintf(text, sizeof text, "00%s%.*se-%d", digits, shift, "0000000000000000000000000",
                     shift);
            break;
        default: {
            int dot = (int)(random_bits() % (uint64_t)(length + 1));

            snprintf(text, sizeof text, "%.*s.%s000e%d", dot, digits, digits + dot, length - dot);
            break;
        }
        }
        if (mu_number_integer(text, &read) != MU_NUMBER_OK || read != value)
            fail_msg("seed %" PRIu64 ", round %d: %s became %" PRId64, seed, round, text, read);
    }
}

/* Damage may leave a configuration valid, but never with a value out of its range. */
static void damaged_text_is_told_or_in_range(void **state)
{
    struct mu_settings s;
    char *text;

    (void)state;
    memset(&s, 0, sizeof s);
    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        random_value(&s, &mu_keys[i]);
    make_consistent(&s);
    assert_int_equal(mu_config_print(&s, &text), MU_OK);
    for (int round = 0; round < 3000; round++) {
        size_t size = strlen(text);
        char *copy = malloc(size);
        struct mu_mistakes mistakes = {.count = 0};
        struct mu_config_source source = {.text = copy, .text_size = size, .text_name = "damaged"};

        assert_non_null(copy);
        memcpy(copy, text, size);
        for (uint64_t hits = 1 + random_bits() % 3; hits > 0; hits--)
            copy[random_bits() % size] = (char)random_bits();
        assert_int_equal(mu_config_collect(&source, &s, &mistakes), MU_OK);
        for (size_t i = 0; mistakes.count == 0 && i < MU_KEY_COUNT; i++) {
            const struct mu_key *key = &mu_keys[i];
            int64_t value;

            if (key->type != MU_TYPE_INT)
                continue;
            value = *(const int64_t *)((const char *)&s + key->offset);
            if ((double)value < key->least || (double)value > key->most)
                fail_msg("seed %" PRIu64 ", round %d: %s = %" PRId64, seed, round, key->name,
                         value);
        }
        mu_mistakes_deinit(&mistakes);
        free(copy);
    }
    free(text);
}

int main(void)
{
    const char *given = getenv("MUSTER_TEST_SEED");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_settings_read_back),
        cmocka_unit_test(integers_in_any_notation),
        cmocka_unit_test(damaged_text_is_told_or_in_range),
    };

    if (given)
        seed = strtoull(given, NULL, 10);
    printf("seed %" PRIu64 " (MUSTER_TEST_SEED)\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
