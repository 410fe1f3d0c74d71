#include "orchestrator/core/ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/status.h"

enum { TENTHS = 1000 }; /* of a percent, in the whole */

static const char *const words[] = {
#define WORD(name, word, meaning) word,
    MU_LEDGER_KINDS(WORD)
#undef WORD
};
static const struct {
    const char *key, *text;
} events[] = {
#define EVENT(name, key, words, meaning) {key, words},
    MU_LEDGER_EVENTS(EVENT)
#undef EVENT
};

const char *mu_ledger_word(enum mu_ledger_kind kind)
{
    return words[kind];
}

const char *mu_ledger_event_key(enum mu_ledger_event event)
{
    return events[event].key;
}

const char *mu_ledger_event_text(enum mu_ledger_event event)
{
    return events[event].text;
}

struct mu_ledger_sum mu_ledger_told(const struct mu_ledger *l, uint64_t now_ns)
{
    struct mu_ledger now = *l;
    struct mu_ledger_sum s;

    mu_ledger_enter(&now, now.kind, now_ns);
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        s.us[k] = now.ns[k] / 1000;
    memcpy(s.events, now.events, sizeof s.events);
    return s;
}

void mu_ledger_forget(struct mu_ledger *l, const struct mu_ledger_sum *told, uint64_t now_ns)
{
    mu_ledger_enter(l, l->kind, now_ns);
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
        MU_ASSERT(l->ns[k] >= 1000 * told->us[k]);
        l->ns[k] -= 1000 * told->us[k];
    }
    for (int e = 0; e < MU_LEDGER_EVENT_COUNT; e++) {
        MU_ASSERT(l->events[e] >= told->events[e]);
        l->events[e] -= told->events[e];
    }
}

void mu_ledger_add(struct mu_ledger_sum *into, const struct mu_ledger_sum *from)
{
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        into->us[k] += from->us[k];
    for (int e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        into->events[e] += from->events[e];
}

void mu_ledger_subtract(struct mu_ledger_sum *from, const struct mu_ledger_sum *earlier)
{
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        from->us[k] -= earlier->us[k];
    for (int e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        from->events[e] -= earlier->events[e];
}

uint64_t mu_ledger_total_us(const struct mu_ledger_sum *s)
{
    uint64_t total = 0;

    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        total += s->us[k];
    return total;
}

void mu_ledger_shares(const struct mu_ledger_sum *s, unsigned share[MU_LEDGER_KIND_COUNT])
{
    uint64_t total = mu_ledger_total_us(s), rest[MU_LEDGER_KIND_COUNT];
    unsigned left = TENTHS;

    memset(share, 0, MU_LEDGER_KIND_COUNT * sizeof *share);
    if (total == 0)
        return;
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
        unsigned __int128 scaled = (unsigned __int128)s->us[k] * TENTHS;

        share[k] = (unsigned)(scaled / total);
        rest[k] = (uint64_t)(scaled % total);
        left -= share[k];
    }
    while (left-- > 0) { /* fewer than there are kinds with a rest */
        int largest = 0;

        for (int k = 1; k < MU_LEDGER_KIND_COUNT; k++)
            if (rest[k] > rest[largest])
                largest = k;
        share[largest]++;
        rest[largest] = 0;
    }
}

void mu_ledger_put(struct mu_wire_writer *w, const struct mu_ledger_sum *s)
{
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        mu_wire_put_u64(w, s->us[k]);
    for (int e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        mu_wire_put_u64(w, s->events[e]);
}

void mu_ledger_get(struct mu_wire_reader *r, struct mu_ledger_sum *s)
{
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        s->us[k] = mu_wire_get_u64(r);
    for (int e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        s->events[e] = mu_wire_get_u64(r);
}

static void append(struct mu_ledger_text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void append(struct mu_ledger_text *t, const char *format, ...)
{
    size_t used = strlen(t->text);
    va_list args;

    va_start(args, format);
    vsnprintf(t->text + used, sizeof t->text - used, format, args);
    va_end(args);
}

/* "1,204": three digits at a time. */
static void append_grouped(struct mu_ledger_text *t, uint64_t n)
{
    if (n >= 1000) {
        append_grouped(t, n / 1000);
        append(t, ",%03" PRIu64, n % 1000);
    } else
        append(t, "%" PRIu64, n);
}

struct mu_ledger_text mu_ledger_print(const struct mu_ledger_sum *s)
{
    struct mu_ledger_text t = {""};
    uint64_t total = mu_ledger_total_us(s);
    unsigned share[MU_LEDGER_KIND_COUNT];
    const char *separator = "";

    if (total == 0)
        return t;
    mu_ledger_shares(s, share);
    append(&t, "goodput %u.%u %% of ", share[MU_LEDGER_COMPUTE] / 10,
           share[MU_LEDGER_COMPUTE] % 10);
    append_grouped(&t, total / 1000000 + (total % 1000000 >= 500000));
    append(&t, " rank-seconds: ");
    for (;;) {
        int largest = 0;

        for (int k = 1; k < MU_LEDGER_KIND_COUNT; k++)
            if (share[k] > share[largest])
                largest = k;
        if (share[largest] == 0)
            break;
        append(&t, "%s%s %u.%u", separator, words[largest], share[largest] / 10,
               share[largest] % 10);
        share[largest] = 0;
        separator = ", ";
    }
    append(&t, " %%");
    return t;
}
