/* Exact sums over random tensors, gradients, predictions, escapes, ranks, orders and both devices:
 * always the bits of an oracle that knows none of these. A failure prints the seed;
 * MUSTER_TEST_SEED repeats it. */
#include <stdio.h>

#include "orchestrator/base/rng.h"
#include "tests/support/fleet_sum.h"

enum { max_tensors = 5, max_shards = 12, rounds = 48, rolls = 3 };

struct gen {
    uint64_t seed, drawn;
};

static uint32_t word(struct gen *g)
{
    return mu_rng_draw(g->seed, MU_RNG_SYNTHETIC, 0, g->drawn++).w[0];
}

static uint32_t below(struct gen *g, uint32_t n)
{
    return (uint32_t)((uint64_t)word(g) * n >> 32);
}

/* +-2^[low, low + span) */
static float value(struct gen *g, int low, int span)
{
    /* Drawn one by one: C orders no arguments. */
    int exponent = low + (int)below(g, (uint32_t)span);
    float x = ldexpf(1.0f + (float)(word(g) >> 8) * 0x1p-24f, exponent);

    return word(g) & 1 ? -x : x;
}

struct problem {
    struct fleet fleet;
    uint32_t shards;
    struct mu_shard_result gradient[max_shards];
};

static void random_tensors(struct gen *g, struct problem *p, bool large, enum mu_device_kind kind)
{
    struct mu_tensor_spec spec[max_tensors];
    uint32_t count = 1 + below(g, max_tensors);

    for (uint32_t i = 0; i < count; i++) {
        bool rows_only = below(g, 4) == 0, rows = rows_only || below(g, 3) == 0;
        uint64_t height = 1 + below(g, 40);

        spec[i] = (struct mu_tensor_spec){.name = "t",
                                          .rows = height,
                                          .cols = 1 + below(g, 700),
                                          .dense = !rows_only,
                                          .row_addends = rows};
    }
    if (large) /* several chunks, that begin anywhere in a word of the bitmaps */
        spec[0].rows = 300000 / spec[0].cols + 1;
    p->shards = 1 + below(g, large ? 3 : max_shards);
    fleet_open(&p->fleet, spec, count, p->shards, kind);
}

/* Blocks have sizes of their own, far apart, but at most 2^60 (int64 holds what escapes). Mostly p
 * is right; some blocks of some shards are larger than p knows of. */
static void random_gradients(struct gen *g, struct problem *p)
{
    const struct mu_layout *l = &p->fleet.layout;
    int16_t *size = malloc(l->blocks * sizeof *size);
    int base = -60 + (int)below(g, 80);
    uint32_t one_in = 20 + below(g, 100);

    for (uint64_t b = 0; b < l->blocks; b++) {
        size[b] = (int16_t)(base - (int)below(g, 18));
        p->fleet.prediction[b] = (int16_t)(8 * size[b] - (int)below(g, 9));
    }
    for (uint32_t s = 0; s < p->shards; s++) {
        struct mu_shard_result *r = &p->gradient[s];
        float *dense = malloc(l->elements * sizeof *dense);

        *r = (struct mu_shard_result){.dense = dense};
        for (uint64_t e = 0; e < l->elements; e++)
            dense[e] = (float)NAN;
        for (uint32_t i = 0; i < l->tensor_count; i++) {
            const struct mu_tensor *t = &l->tensors[i];
            bool rows = t->spec.row_addends > 0 && r->row_count < 2 && below(g, 5) > 0;
            uint32_t *row = rows ? malloc(t->spec.rows * sizeof *row) : NULL, n = 0;
            float *at = rows ? malloc(t->spec.rows * t->spec.cols * sizeof *at) : NULL;

            for (uint32_t j = 0; rows && j < t->spec.rows; j++)
                if (below(g, 2) == 0)
                    row[n++] = j;
            for (uint64_t b = 0; b < t->spec.rows * t->blocks_per_row; b++) {
                struct mu_block_range range = mu_layout_block(t, t->first_block + b);
                int up = below(g, one_in) == 0 ? (int)below(g, 22) : 0;

                for (uint32_t e = 0; t->spec.dense && e < range.count; e++)
                    dense[range.offset + e] = value(g, size[t->first_block + b] + up - 12, 12);
            }
            for (uint64_t e = 0; e < n * t->spec.cols; e++) {
                uint64_t b = t->first_block + row[e / t->spec.cols] * t->blocks_per_row +
                             e % t->spec.cols / MU_BLOCK;

                at[e] = value(g, size[b] + (below(g, 64 * one_in) == 0 ? 16 : -12), 12);
            }
            if (rows)
                r->rows[r->row_count++] = (struct mu_row_gradient){i, n, row, at};
        }
    }
    free(size);
}

static void problem_close(struct problem *p)
{
    for (uint32_t s = 0; s < p->shards; s++) {
        free((void *)p->gradient[s].dense);
        for (uint32_t r = 0; r < p->gradient[s].row_count; r++) {
            free((void *)p->gradient[s].rows[r].row);
            free((void *)p->gradient[s].rows[r].value);
        }
    }
    fleet_close(&p->fleet);
}

static struct fleet_total random_roll(struct gen *g, struct problem *p)
{
    uint32_t order[max_shards], ranks = 1 + below(g, fleet_max_ranks);
    int rank_of[max_shards];

    for (uint32_t s = 0; s < p->shards; s++) {
        uint32_t j = below(g, s + 1);

        order[s] = order[j];
        order[j] = s;
        rank_of[s] = (int)below(g, ranks);
    }
    return fleet_reduce(&p->fleet, p->gradient, p->shards, order, rank_of);
}

/* Whether the oracle's numbers came out; says where they did not. */
static bool equals_oracle(const struct problem *p, const struct fleet_total *t)
{
    uint64_t n = p->fleet.layout.elements;
    float *expected = malloc(n * sizeof *expected);
    bool same;

    oracle_gradient(&p->fleet, p->gradient, p->shards, expected);
    same = memcmp(expected, t->gradient, n * sizeof *expected) == 0;
    for (uint64_t e = 0; !same && e < n; e++)
        if (memcmp(&expected[e], &t->gradient[e], sizeof(float)) != 0) {
            print_error("element %llu: %a, expected %a\n", (unsigned long long)e,
                        (double)t->gradient[e], (double)expected[e]);
            break;
        }
    free(expected);
    return same;
}

static bool same_total(const struct problem *p, const struct fleet_total *a,
                       const struct fleet_total *b)
{
    const struct mu_layout *l = &p->fleet.layout;

    return memcmp(a->gradient, b->gradient, l->elements * sizeof(float)) == 0 &&
           memcmp(a->largest, b->largest, l->blocks) == 0 &&
           memcmp(a->escaped, b->escaped, l->blocks) == 0 && a->escapes == b->escapes &&
           memcmp(&a->norm, &b->norm, sizeof a->norm) == 0;
}

static bool norm_is_right(const struct problem *p, const struct fleet_total *t)
{
    double norm = 0;

    for (uint64_t e = 0; e < p->fleet.layout.elements; e++)
        norm += (double)t->gradient[e] * t->gradient[e];
    return fabs(norm - t->norm) <= 1e-12 * norm;
}

/* Learning from raised predictions is learning from those that were raised. */
static bool learns_the_same(const struct mu_layout *l, const int16_t *committed,
                            const int16_t *raised, const uint8_t *largest)
{
    int16_t *learned[2] = {malloc(l->blocks * 2), malloc(l->blocks * 2)}, top[max_tensors];
    bool same;

    for (int i = 0; i < 2; i++) {
        const int16_t *from = i ? raised : committed;

        mu_predict_tensor_maxima(l, from, largest, top);
        for (uint32_t c = 0; c < l->chunk_count; c++)
            mu_predict_chunk(l, &l->chunks[c], from, largest, top, learned[i]);
    }
    same = memcmp(learned[0], learned[1], l->blocks * sizeof **learned) == 0;
    free(learned[0]);
    free(learned[1]);
    return same;
}

static uint64_t popcount(const uint8_t *escaped, uint64_t blocks)
{
    uint64_t n = 0;

    for (uint64_t b = 0; b < blocks; b++)
        n += escaped[b];
    return n;
}

static uint64_t escapes_seen, redos_seen;

/* The first fault found, or NULL. */
static const char *check(struct gen *g, struct problem *p)
{
    const struct mu_layout *l = &p->fleet.layout;
    struct fleet_total first = random_roll(g, p), other;
    int16_t *committed = malloc(l->blocks * sizeof *committed);
    const char *fault = NULL;
    bool redo = mu_exact_sum_must_redo(first.escapes, p->fleet.exact.capacity, first.flags);

    memcpy(committed, p->fleet.prediction, l->blocks * sizeof *committed);
    if (redo) {
        mu_predict_raise(l, committed, first.largest, p->fleet.prediction);
        fleet_total_close(&first);
        first = random_roll(g, p);
        if (first.flags != 0 || first.escapes != 0)
            fault = "something escaped from raised predictions";
        if (!learns_the_same(l, committed, p->fleet.prediction, first.largest))
            fault = "a redo changed what is learned";
        redos_seen++;
    }
    escapes_seen += first.escapes;
    if (popcount(first.escaped, l->blocks) != first.escapes)
        fault = "escapes were miscounted";
    if (!equals_oracle(p, &first))
        fault = "not the oracle's sum";
    if (!norm_is_right(p, &first))
        fault = "a wrong norm";
    for (int i = 0; i < rolls && !fault; i++) {
        other = random_roll(g, p);
        if (!same_total(p, &first, &other))
            fault = "another roll got other bits";
        fleet_total_close(&other);
    }
    /* raising is always enough, needed or not */
    mu_predict_raise(l, p->fleet.prediction, first.largest, p->fleet.prediction);
    other = random_roll(g, p);
    if (!fault && (other.escapes != 0 || other.flags != 0 || !equals_oracle(p, &other)))
        fault = "raised predictions did not hold";
    fleet_total_close(&other);
    fleet_total_close(&first);
    free(committed);
    return fault;
}

static void any_roll_gets_the_oracles_bits(void **state)
{
    const char *given = getenv("MUSTER_TEST_SEED");
    uint64_t from = given ? strtoull(given, NULL, 10) : 1;

    (void)state;
    for (uint64_t seed = from; seed < from + (given ? 1 : rounds); seed++) {
        struct gen g = {seed, 0};
        struct problem p;
        const char *fault;

        random_tensors(&g, &p, seed % 12 == 0, below(&g, 2) ? MU_DEVICE_REFERENCE : MU_DEVICE_CPU);
        random_gradients(&g, &p);
        if (seed % 10 == 1) /* a run's first step */
            for (uint64_t b = 0; b < p.fleet.layout.blocks; b++)
                p.fleet.prediction[b] = MU_PREDICTION_NONE;
        fault = check(&g, &p);
        problem_close(&p);
        if (fault)
            fail_msg("seed %llu: %s", (unsigned long long)seed, fault);
    }
    /* the generator must go where the trouble is */
    if (!given) {
        assert_true(escapes_seen > 200);
        assert_in_range(redos_seen, rounds / 10, rounds * 3 / 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_roll_gets_the_oracles_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
