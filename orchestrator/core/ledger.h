/* Where the time went. Every second of every rank is exactly one of the kinds below, so that shares
 * of them add up; the goodput is the share of `compute`.
 *
 * A rank keeps a ledger: the kind it spends time on now, and what it spent so far. It tells the
 * master (mu_ledger_told, a sum in the message LEDGER) and then forgets what was told, so that what
 * the master has added up survives this rank, and a rank that dies takes only what it had not told
 * yet with it.
 *
 * Time is passed in: CLOCK_MONOTONIC in ns. Sums are in us: 2^64 us are 580,000 years, enough for
 * 10,000 ranks; 2^64 ns would be over after three weeks of them. */
#ifndef MUSTER_CORE_LEDGER_H
#define MUSTER_CORE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/wire.h"

/* X(name, word, meaning) */
#define MU_LEDGER_KINDS(X)                                                                        \
    X(COMPUTE, "compute", "shards, updates and evaluations that counted")                         \
    X(COMMUNICATE, "communicate", "exchange of chunks between hosts, messages of control rounds") \
    X(CHECKPOINT, "checkpoint", "saving and loading")                                             \
    X(RECOVER, "recover",                                                                         \
      "from a death's detection to being at work again; start of a generation")                   \
    X(REDO, "redo", "shards computed again: lost in a death, or their step was repeated")         \
    X(IDLE, "idle", "a spare, or a rank without shards")                                          \
    X(WAIT, "wait", "for other ranks")

/* X(name, key, words after the number, meaning): counted beside the time, each event by one rank */
#define MU_LEDGER_EVENTS(X)                                                                        \
    X(DEATHS, "deaths", "deaths", "ranks that died")                                               \
    X(RECOVERIES, "recoveries", "recoveries", "repairs in the job, and generations after a death") \
    X(SHARDS_REDONE, "shards_redone", "shards computed again",                                     \
      "after a death, or with a whole step")                                                       \
    X(STEPS_LOST, "steps_lost", "steps lost", "committed, and taken again by a later generation")

enum mu_ledger_kind {
#define MU_LEDGER_KIND_ENUM(name, word, meaning) MU_LEDGER_##name,
    MU_LEDGER_KINDS(MU_LEDGER_KIND_ENUM)
#undef MU_LEDGER_KIND_ENUM
        MU_LEDGER_KIND_COUNT
};
enum mu_ledger_event {
#define MU_LEDGER_EVENT_ENUM(name, key, words, meaning) MU_LEDGER_##name,
    MU_LEDGER_EVENTS(MU_LEDGER_EVENT_ENUM)
#undef MU_LEDGER_EVENT_ENUM
        MU_LEDGER_EVENT_COUNT
};

const char *mu_ledger_word(enum mu_ledger_kind kind);         /* "compute" */
const char *mu_ledger_event_key(enum mu_ledger_event event);  /* "shards_redone" */
const char *mu_ledger_event_text(enum mu_ledger_event event); /* "shards computed again" */

struct mu_ledger_sum {
    uint64_t us[MU_LEDGER_KIND_COUNT];
    uint64_t events[MU_LEDGER_EVENT_COUNT];
};
enum { MU_LEDGER_WIRE_BYTES = 8 * (MU_LEDGER_KIND_COUNT + MU_LEDGER_EVENT_COUNT) };

struct mu_ledger {
    uint64_t ns[MU_LEDGER_KIND_COUNT];
    uint64_t events[MU_LEDGER_EVENT_COUNT];
    uint64_t since_ns; /* what came before is in ns[] */
    enum mu_ledger_kind kind;
};

static inline void mu_ledger_start(struct mu_ledger *l, enum mu_ledger_kind kind, uint64_t now_ns)
{
    *l = (struct mu_ledger){.since_ns = now_ns, .kind = kind};
}

/* From now on time counts as `kind`. Gives back what it counted as, for who nests:
 *
 *     enum mu_ledger_kind before = mu_ledger_enter(l, MU_LEDGER_WAIT, mu_clock_ns());
 *     ...
 *     mu_ledger_enter(l, before, mu_clock_ns());
 *
 * A now_ns before an earlier call's adds nothing. */
static inline enum mu_ledger_kind mu_ledger_enter(struct mu_ledger *l, enum mu_ledger_kind kind,
                                                  uint64_t now_ns)
{
    enum mu_ledger_kind before = l->kind;

    l->kind = kind;
    if (now_ns > l->since_ns) {
        l->ns[before] += now_ns - l->since_ns;
        l->since_ns = now_ns;
    }
    return before;
}

/* The same for waits and messages, which belong to what they are for: nothing changes while time
 * counts as checkpoint or recover. */
static inline enum mu_ledger_kind mu_ledger_enter_at_work(struct mu_ledger *l,
                                                          enum mu_ledger_kind kind, uint64_t now_ns)
{
    bool away = l->kind == MU_LEDGER_CHECKPOINT || l->kind == MU_LEDGER_RECOVER;

    return mu_ledger_enter(l, away ? l->kind : kind, now_ns);
}

static inline void mu_ledger_count(struct mu_ledger *l, enum mu_ledger_event event, uint64_t n)
{
    l->events[event] += n;
}

/* What is to be told at now_ns: whole microseconds, the stretch that is under way included. */
struct mu_ledger_sum mu_ledger_told(const struct mu_ledger *l, uint64_t now_ns);
/* `told` has arrived: what is left is what came since, and less than a microsecond of each kind. */
void mu_ledger_forget(struct mu_ledger *l, const struct mu_ledger_sum *told, uint64_t now_ns);

void mu_ledger_add(struct mu_ledger_sum *into, const struct mu_ledger_sum *from);
/* `earlier` is what `from` was once. */
void mu_ledger_subtract(struct mu_ledger_sum *from, const struct mu_ledger_sum *earlier);
uint64_t mu_ledger_total_us(const struct mu_ledger_sum *s);
/* Tenths of a percent of each kind, which add up to exactly 1000 (largest remainders; of equal ones
 * the first kind's); all 0 when there is no time at all. */
void mu_ledger_shares(const struct mu_ledger_sum *s, unsigned share[MU_LEDGER_KIND_COUNT]);

/* MU_LEDGER_WIRE_BYTES. */
void mu_ledger_put(struct mu_wire_writer *w, const struct mu_ledger_sum *s);
void mu_ledger_get(struct mu_wire_reader *r, struct mu_ledger_sum *s);

/* "goodput 97.3 % of 1,204 rank-seconds: compute 97.3, wait 1.9, communicate 0.4, recover 0.4 %":
 * from the largest share down, without those of 0.0. "" when there is no time. */
struct mu_ledger_text {
    char text[256];
};
struct mu_ledger_text mu_ledger_print(const struct mu_ledger_sum *s);

#endif
