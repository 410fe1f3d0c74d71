/* A look has three passes over the host's ranks: what has changed since the last one, who waits for
 * whom in a repair, and who is to be ended. Looking into /proc is dear, so that it is asked for one
 * look ahead, and only for ranks that this one would have to end.
 *
 * Dead ranks keep their entries. They need no special care among fencers (their watchdog's count
 * stands still), but must not be waited for: once /proc has said that they are gone, they are left
 * out. */
#include "orchestrator/core/watch.h"

#include <stdlib.h>
#include <string.h>

enum { NOBODY = -1 };

static const uint64_t ms = 1000000;

static const struct phase {
    const char *name;
    uint32_t deadline_ms;
} phases[MU_PHASE_COUNT] = {
#define MU_PHASE_ROW(id, name, deadline_ms) {name, deadline_ms},
    MU_PHASE_TABLE(MU_PHASE_ROW)
#undef MU_PHASE_ROW
};

/* Which clock runs for a rank inside a repair. */
enum rule {
    RULE_PHASE,
    RULE_WAITS,  /* for a rank that has not entered: no clock */
    RULE_ALL_IN, /* nobody of the host is missing: the repair has a clock, its ranks have none */
    RULE_OVER,   /* others have come out: the configured one */
};

/* Who of the host is in the newest repair. */
struct repair {
    bool any;
    uint32_t epoch;
    bool behind;    /* some rank that takes part in steps has not entered it */
    bool out;       /* some rank has come out of it */
    bool held;      /* a debugger holds one that is in it */
    uint32_t in;    /* how many are */
    uint32_t late;  /* ms: so long ranks of other hosts may be busy with something else */
    uint64_t signs; /* of who is in it, and how far */
};

const char *mu_phase_name(enum mu_phase phase)
{
    return (unsigned)phase < MU_PHASE_COUNT ? phases[phase].name : "?";
}

enum mu_phase mu_phase_of_life(enum mu_life_state state)
{
    static const enum mu_phase of[MU_LIFE_STATE_COUNT] = {
        [MU_LIFE_STARTING] = MU_PHASE_STARTING,   [MU_LIFE_MEETING] = MU_PHASE_MEETING,
        [MU_LIFE_PREPARING] = MU_PHASE_PREPARING, [MU_LIFE_LOADING] = MU_PHASE_LOADING,
        [MU_LIFE_RUNNING] = MU_PHASE_RUNNING,     [MU_LIFE_EVALUATING] = MU_PHASE_EVALUATING,
        [MU_LIFE_SAVING] = MU_PHASE_SAVING,       [MU_LIFE_LEAVING] = MU_PHASE_LEAVING,
        [MU_LIFE_FAILED] = MU_PHASE_LEAVING,      [MU_LIFE_RECOVERING] = MU_PHASE_RECORDING,
    };

    return of[state];
}

void mu_watch_init(struct mu_watch *w, int own_rank, bool sees_all)
{
    memset(w, 0, sizeof *w);
    w->own_rank = own_rank;
    w->sees_all = sees_all;
}

bool mu_watch_asks(const struct mu_watch *w, int rank)
{
    return rank >= 0 && rank < MU_WATCH_RANKS && w->of[rank].asks;
}

static bool is_of_use(const struct mu_watch_view *v)
{
    return v->rank >= 0 && v->rank < MU_WATCH_RANKS && (unsigned)v->phase < MU_PHASE_COUNT;
}

/* As if seen for the first time; what is known for ever of the same process stays. */
static void begin_afresh(struct mu_watched *k, const struct mu_watch_view *v)
{
    bool same = k->pid == v->pid && k->start_time == v->start_time;

    *k = (struct mu_watched){
        .pid = v->pid,
        .start_time = v->start_time,
        .polls = v->polls,
        .beats = v->beats,
        .phase = v->phase,
        .repair = v->repair,
        .gone = same && k->gone,
        .fenced = same && k->fenced,
        .told_slow_ns = same ? k->told_slow_ns : 0,
        .group = v->group,
        .base_shards = v->shards_done,
        .base_compute_ns = v->compute_ns,
    };
}

/* step_ns: what this look counts for. true: its watchdog is found to run no more. */
static bool observe(struct mu_watch *w, const struct mu_watch_view *v, uint64_t step_ns)
{
    struct mu_watched *k = &w->of[v->rank];
    bool was_quiet;

    if (k->pid != v->pid || k->start_time != v->start_time) {
        begin_afresh(k, v);
        return false;
    }
    if (k->polls != v->polls || k->phase != v->phase || k->repair != v->repair) {
        k->polls = v->polls;
        k->phase = v->phase;
        k->repair = v->repair;
        k->still_ns = k->clock_ns = 0;
        k->fenced = false;
    } else {
        k->still_ns += step_ns;
        k->clock_ns += step_ns;
    }
    was_quiet = k->quiet_ns >= MU_WATCH_QUIET_MS * ms;
    if (k->beats != v->beats) {
        k->beats = v->beats;
        k->quiet_ns = 0;
    } else {
        k->quiet_ns += step_ns;
    }
    if (v->process == MU_PROCESS_GONE)
        k->gone = true;
    if (v->process == MU_PROCESS_TRACED)
        k->still_ns = k->clock_ns = k->quiet_ns = 0;
    if (v->phase == MU_PHASE_RUNNING && (unsigned)v->point < MU_FAULT_COUNT)
        k->seen[v->point]++;
    return !was_quiet && k->quiet_ns >= MU_WATCH_QUIET_MS * ms;
}

static bool takes_part(const struct mu_watch *w, const struct mu_watch_view *v)
{
    return !w->of[v->rank].gone && phases[v->phase].deadline_ms != MU_PHASE_NEVER;
}

static void count_in(struct repair *r, const struct mu_watch_view *v)
{
    uint32_t late = (unsigned)v->from < MU_PHASE_COUNT ? phases[v->from].deadline_ms : 0;

    r->in++;
    r->held |= v->process == MU_PROCESS_TRACED;
    r->late = late > r->late ? late : r->late;
    r->signs = r->signs * 31 + (uint64_t)v->rank * MU_FAULT_COUNT + (uint64_t)v->point + 1;
}

static struct repair find_repair(const struct mu_watch *w, const struct mu_watch_view *views,
                                 int count)
{
    struct repair r = {.any = false};

    for (int i = 0; i < count; i++)
        if (is_of_use(&views[i]) && views[i].phase == MU_PHASE_REPAIRING &&
            takes_part(w, &views[i])) {
            r.any = true;
            r.epoch = views[i].repair > r.epoch ? views[i].repair : r.epoch;
        }
    for (int i = 0; r.any && i < count; i++)
        if (is_of_use(&views[i]) && takes_part(w, &views[i])) {
            r.behind |= views[i].repair < r.epoch;
            r.out |= views[i].repair == r.epoch && views[i].phase != MU_PHASE_REPAIRING;
            if (views[i].phase == MU_PHASE_REPAIRING)
                count_in(&r, &views[i]);
        }
    r.signs += (uint64_t)r.epoch << 32;
    return r;
}

static enum rule rule_of(const struct mu_watch_view *v, const struct repair *r)
{
    if (v->phase != MU_PHASE_REPAIRING)
        return RULE_PHASE;
    if (v->repair < r->epoch || r->out) /* the repair that it sits in is over */
        return RULE_OVER;
    return r->behind ? RULE_WAITS : RULE_ALL_IN;
}

static uint64_t deadline_ms_of(const struct mu_watch_view *v, enum rule rule,
                               uint64_t hang_timeout_ms)
{
    uint64_t own = rule == RULE_WAITS || rule == RULE_ALL_IN ? MU_PHASE_NEVER
                   : rule == RULE_OVER                       ? MU_PHASE_CONFIGURED
                                                             : phases[v->phase].deadline_ms;

    if (own == MU_PHASE_NEVER || hang_timeout_ms == 0)
        return UINT64_MAX;
    return own > hang_timeout_ms ? own : hang_timeout_ms;
}

static enum mu_fence_why judge(const struct mu_watched *k, const struct mu_watch_view *v,
                               const struct repair *r, uint64_t deadline_ms)
{
    uint64_t stopped_ns = k->quiet_ns < k->still_ns ? k->quiet_ns : k->still_ns;

    if (v->process == MU_PROCESS_STOPPED &&
        (stopped_ns >= MU_WATCH_STOPPED_MS * ms || stopped_ns / ms >= deadline_ms))
        return MU_FENCE_STOPPED;
    if (v->process == MU_PROCESS_NOT_ASKED || k->clock_ns / ms < deadline_ms)
        return MU_FENCE_NOT;
    if (v->phase == MU_PHASE_REPAIRING)
        return MU_FENCE_IN_REPAIR;
    return r->any && v->repair < r->epoch ? MU_FENCE_BEHIND : MU_FENCE_STILL;
}

/* The end of one rank is news for all that wait in a repair: whoever saw it waits afresh. */
static void give_time_to_repairs(struct mu_watch *w, const struct mu_watch_view *views, int count)
{
    for (int i = 0; i < count; i++)
        if (is_of_use(&views[i]) && views[i].phase == MU_PHASE_REPAIRING)
            w->of[views[i].rank].clock_ns = 0;
    w->repair_ns = 0;
}

/* The two lowest ranks whose watchdogs run. */
struct fencers {
    int first, second;
};

static struct fencers find_fencers(const struct mu_watch *w, const struct mu_watch_view *views,
                                   int count)
{
    struct fencers f = {NOBODY, NOBODY};

    for (int i = 0; i < count && f.second == NOBODY; i++) {
        if (!is_of_use(&views[i]) || w->of[views[i].rank].gone ||
            w->of[views[i].rank].quiet_ns >= MU_WATCH_QUIET_MS * ms)
            continue;
        if (f.first == NOBODY)
            f.first = views[i].rank;
        else
            f.second = views[i].rank;
    }
    return f;
}

static int fencer_of(const struct mu_watch_view *v, struct fencers f)
{
    return v->rank != f.first ? f.first : f.second;
}

static void find_still(struct mu_watch *w, const struct mu_watch_view *views, int count,
                       struct fencers fencers, const struct repair *repair,
                       uint64_t hang_timeout_ms, struct mu_watch_actions *out)
{
    for (int i = 0; i < count; i++) {
        const struct mu_watch_view *v = &views[i];
        struct mu_watched *k;
        enum mu_fence_why why;
        enum rule rule;

        if (!is_of_use(v))
            continue;
        k = &w->of[v->rank];
        rule = rule_of(v, repair);
        if (rule != k->rule)
            k->clock_ns = 0;
        k->rule = rule;
        k->asks = false;
        if (fencer_of(v, fencers) != w->own_rank || k->gone)
            continue;
        why = judge(k, v, repair, deadline_ms_of(v, rule, hang_timeout_ms));
        k->asks = k->still_ns >= MU_WATCH_QUIET_MS * ms;
        if (why == MU_FENCE_NOT || k->fenced || out->fences == MU_WATCH_ACTIONS)
            continue;
        k->fenced = true;
        out->fence[out->fences++] = (struct mu_watch_fence){
            .rank = v->rank,
            .pid = v->pid,
            .start_time = v->start_time,
            .polls = v->polls,
            .why = why,
            .phase = v->phase,
            .still_ms = (why == MU_FENCE_STOPPED ? k->quiet_ns : k->still_ns) / ms,
        };
        give_time_to_repairs(w, views, count);
    }
}

/* What a repair is given from when the last rank of the host came to it, or last moved in it. */
static uint64_t repair_deadline_ms(const struct mu_watch *w, const struct repair *r,
                                   uint64_t hang_timeout_ms)
{
    uint64_t itself = MU_WATCH_REPAIR_MS + (uint64_t)MU_WATCH_REPAIR_RANK_MS * r->in;

    if (w->sees_all)
        return itself;
    return itself + (r->late > hang_timeout_ms ? r->late : hang_timeout_ms);
}

static void find_hung_repair(struct mu_watch *w, const struct repair *r, struct fencers fencers,
                             uint64_t hang_timeout_ms, uint64_t step_ns,
                             struct mu_watch_actions *out)
{
    if (!r->any || r->behind || r->out || r->held || r->signs != w->repair_signs) {
        w->repair_signs = r->signs;
        w->repair_ns = 0;
        return;
    }
    w->repair_ns += step_ns;
    if (fencers.first == w->own_rank &&
        w->repair_ns / ms >= repair_deadline_ms(w, r, hang_timeout_ms))
        out->gives_up_ms = w->repair_ns / ms;
}

static int compare(const void *a, const void *b)
{
    const struct mu_watch_rate *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

static enum mu_fault_point most_seen(const struct mu_watched *k)
{
    enum mu_fault_point most = MU_FAULT_FORWARD;

    for (enum mu_fault_point p = MU_FAULT_FORWARD; p <= MU_FAULT_ADDING; p++)
        if (k->seen[p] > k->seen[most])
            most = p;
    return most;
}

/* Known rates, group by group, each from the fastest; how many. */
static int sort_rates(struct mu_watch *w, const struct mu_watch_view *views, int count)
{
    int known = 0;

    for (int i = 0; i < count; i++)
        if (w->rate[i] > 0)
            w->sorted[known++] = (struct mu_watch_rate){views[i].group, w->rate[i]};
    qsort(w->sorted, (size_t)known, sizeof *w->sorted, compare);
    return known;
}

/* The first of `known` that is not before the group's. */
static int find_group(const struct mu_watch *w, int known, uint64_t group)
{
    int from = 0, to = known;

    while (from < to) {
        const int middle = from + (to - from) / 2;

        if (w->sorted[middle].group < group)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* The (lower) median of all others of that group than one that stands above it; UINT64_MAX: there
 * are none. */
static uint64_t others_rate(const struct mu_watch *w, int known, uint64_t group)
{
    const int from = find_group(w, known, group), to = find_group(w, known, group + 1);

    return to - from > 1 ? w->sorted[from + (to - from - 2) / 2].ns : UINT64_MAX;
}

/* At the end of each window: every rank's time for a shard, against the others'. Who has finished
 * none goes into the next window with what it has begun; who has begun with another trial, anew. */
static void find_slow(struct mu_watch *w, const struct mu_watch_view *views, int count,
                      uint64_t now_ns, struct mu_watch_actions *out)
{
    int known;

    for (int i = 0; i < count; i++) {
        const struct mu_watched *k = is_of_use(&views[i]) ? &w->of[views[i].rank] : NULL;
        uint64_t shards =
            k && k->group == views[i].group ? views[i].shards_done - k->base_shards : 0;

        w->rate[i] = shards > 0 ? (views[i].compute_ns - k->base_compute_ns) / shards : 0;
    }
    known = sort_rates(w, views, count);
    for (int i = 0; i < count; i++) {
        struct mu_watched *k = &w->of[views[i].rank];
        uint64_t others;

        if (w->rate[i] == 0 && k->group == views[i].group)
            continue;
        others = w->rate[i] > 0 ? others_rate(w, known, views[i].group) : UINT64_MAX;
        if (w->rate[i] / MU_WATCH_SLOW_FACTOR >= others && out->slows < MU_WATCH_ACTIONS &&
            (k->told_slow_ns == 0 || now_ns - k->told_slow_ns >= MU_WATCH_SLOW_AGAIN_MS * ms)) {
            k->told_slow_ns = now_ns;
            out->slow[out->slows++] = (struct mu_watch_slow){
                .rank = views[i].rank,
                .shard_ms = 1e-6 * (double)w->rate[i],
                .others_ms = 1e-6 * (double)others,
                .point = most_seen(k),
            };
        }
        k->group = views[i].group;
        k->base_shards = views[i].shards_done;
        k->base_compute_ns = views[i].compute_ns;
        memset(k->seen, 0, sizeof k->seen);
    }
}

void mu_watch_look(struct mu_watch *w, const struct mu_watch_view *views, int count,
                   uint64_t hang_timeout_ms, uint64_t now_ns, struct mu_watch_actions *out)
{
    uint64_t gap_ns = now_ns - w->last_ns, step_ns = 2 * MU_WATCH_LOOK_MS * ms;
    bool is_late = gap_ns > MU_WATCH_LATE_MS * ms; /* so is a time before the last one */
    bool news = false;
    struct fencers fencers;
    struct repair repair;

    out->fences = out->slows = 0;
    out->gives_up_ms = 0;
    w->last_ns = now_ns;
    count = count < MU_WATCH_RANKS ? count : MU_WATCH_RANKS;
    if (is_late) {
        w->window_ns = w->repair_ns = 0;
        for (int i = 0; i < count; i++)
            if (is_of_use(&views[i]))
                begin_afresh(&w->of[views[i].rank], &views[i]);
        return;
    }
    step_ns = gap_ns < step_ns ? gap_ns : step_ns;
    for (int i = 0; i < count; i++)
        if (is_of_use(&views[i]))
            news |= observe(w, &views[i], step_ns);
    if (news)
        give_time_to_repairs(w, views, count);
    fencers = find_fencers(w, views, count);
    repair = find_repair(w, views, count);
    find_still(w, views, count, fencers, &repair, hang_timeout_ms, out);
    find_hung_repair(w, &repair, fencers, hang_timeout_ms, step_ns, out);
    w->window_ns += step_ns;
    if (w->window_ns < MU_WATCH_SLOW_MS * ms)
        return;
    w->window_ns = 0;
    if (fencers.first == w->own_rank)
        find_slow(w, views, count, now_ns, out);
}
