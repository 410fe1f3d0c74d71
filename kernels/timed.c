#include "kernels/timed.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"

static const struct {
    const char *word;
    enum mu_timed_phase phase;
} rows[] = {
#define ROW(name, word, phase) [MU_TIMED_##name] = {word, MU_TIMED_PHASE_##phase},
    MU_TIMED_OPERATIONS(ROW) MU_TIMED_PARTS(ROW)
#undef ROW
};

const char *mu_timed_word(enum mu_timed_row row)
{
    return rows[row].word;
}

enum mu_timed_phase mu_timed_phase_of(enum mu_timed_row row)
{
    return rows[row].phase;
}

const char *mu_timed_phase_word(enum mu_timed_phase phase)
{
    static const char *const words[] = {
#define WORD(name, word) [MU_TIMED_PHASE_##name] = word,
        MU_TIMED_PHASES(WORD)
#undef WORD
    };

    return words[phase];
}

enum mu_status mu_timed_open(const struct mu_timed_plan *plan, struct mu_timed **out)
{
    struct mu_timed *t = calloc(1, sizeof *t);

    *out = NULL;
    if (t) {
        t->plan = *plan;
        t->step = -1;
        t->timed_ms = calloc((size_t)plan->steps, sizeof *t->timed_ms);
        t->plain_ms = calloc((size_t)plan->steps, sizeof *t->plain_ms);
        t->event = plan->traces ? calloc(MU_TIMED_EVENTS, sizeof *t->event) : NULL;
    }
    if (!t || !t->timed_ms || !t->plain_ms || (plan->traces && !t->event)) {
        mu_timed_close(t);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a profile of %lld steps",
                       (long long)plan->steps);
    }
    *out = t;
    return MU_OK;
}

void mu_timed_close(struct mu_timed *t)
{
    if (!t)
        return;
    free(t->timed_ms);
    free(t->plain_ms);
    free(t->event);
    free(t);
}

void mu_timed_attach(struct mu_timed *t, struct mu_device *device)
{
    if (!t)
        return;
    t->device = device;
    t->inner = device->ops;
    t->is_on = false;
    t->depth = 0;
    device->timed = t;
    mu_timed_fill(t);
}

/* ---- the stopwatch ---- */
static enum mu_timed_row row_now(const struct mu_timed *t)
{
    return t->depth > 0 ? t->stack[t->depth - 1] : MU_TIMED_PART_BETWEEN;
}

/* What has passed since the last time belongs to the row that is on top. */
static uint64_t account(struct mu_timed *t)
{
    const uint64_t now = mu_clock_ns();
    const enum mu_timed_row row = row_now(t);
    const uint64_t from = t->since_ns > t->polled_ns ? t->since_ns : t->polled_ns;

    t->cell[row].ns += now - t->since_ns;
    if (now - from > t->piece_ns) {
        t->piece_ns = now - from;
        t->piece_row = row;
    }
    t->since_ns = now;
    return now;
}

void mu_timed_push(struct mu_timed *t, enum mu_timed_row row)
{
    const uint64_t now = account(t);

    MU_ASSERT(t->depth < MU_TIMED_DEPTH);
    t->cell[row].calls++;
    t->entered_ns[t->depth] = now;
    t->stack[t->depth++] = row;
}

void mu_timed_pop(struct mu_timed *t)
{
    const uint64_t now = account(t);

    MU_ASSERT(t->depth > 0);
    t->depth--;
    if (t->is_tracing && t->event_count < MU_TIMED_EVENTS)
        t->event[t->event_count++] =
            (struct mu_timed_event){t->stack[t->depth], t->entered_ns[t->depth], now};
}

void mu_timed_note_poll(struct mu_timed *t)
{
    const uint64_t now = account(t), gap = now - t->polled_ns;

    if (gap > t->longest_gap_ns) {
        t->longest_gap_ns = gap;
        t->gap_row = t->piece_row;
    }
    t->polled_ns = now;
    t->piece_ns = 0;
}

void mu_timed_forgive(struct mu_timed *t)
{
    if (!t || !t->is_on)
        return;
    t->polled_ns = account(t);
    t->piece_ns = 0;
}

/* ---- the machine's rates ---- */
/* Seconds of one pass over n floats. */
static double time_add(struct mu_timed *t, float *to, const float *from, int64_t n, bool overwrite)
{
    double began;

    mu_device_wait(t->device);
    began = mu_clock_s();
    t->inner->add(t->device, to, from, n, overwrite);
    mu_device_wait(t->device);
    return mu_clock_s() - began;
}

/* The least of some passes: others may have the cores now and then. */
static double least_time_of_add(struct mu_timed *t, float *to, const float *from, int64_t n,
                                int passes)
{
    double least = time_add(t, to, from, n, false);

    for (int pass = 1; pass < passes; pass++) {
        const double seconds = time_add(t, to, from, n, false);

        least = seconds < least ? seconds : least;
    }
    return least;
}

/* So many floats twice that no cache holds, or fewer where the device has not that much left. */
static int64_t most_floats(const struct mu_device *d)
{
    const struct mu_device_room room = mu_device_memory(d);
    int64_t n = 1 << 24;

    while (room.total > 0 && 4 * sizeof(float) * (uint64_t)n > room.free)
        n /= 2;
    return n;
}

/* Of `add`: two are read and one is written, on the device's threads. A slow device gets fewer of
 * them, so that it is not kept by it for long. */
static double measure_bandwidth(struct mu_timed *t)
{
    enum { LEAST = 1 << 16, PASSES = 5 };
    static const double long_enough_s = 0.02;
    struct mu_device *d = t->device;
    const int64_t most = most_floats(d);
    const size_t bytes = (size_t)most * sizeof(float);
    float *to = most >= LEAST ? mu_device_alloc(d, bytes) : NULL,
          *from = to ? mu_device_alloc(d, bytes) : NULL;
    double rate = 0;
    int64_t n = LEAST;

    if (from) {
        while (2 * n <= most && least_time_of_add(t, to, from, n, 3) < long_enough_s)
            n *= 2;
        (void)time_add(t, from, to, n, true); /* what was never written is one page, in a cache */
        rate = 12 * (double)n / least_time_of_add(t, to, from, n, PASSES);
    }
    mu_device_free(d, to);
    mu_device_free(d, from);
    return isfinite(rate) ? rate : 0;
}

static void measure_rates(struct mu_timed *t)
{
    static const double peak_s = 0.3;

    t->peak_flops = t->inner->measure_peak(t->device, peak_s);
    t->bandwidth = measure_bandwidth(t);
}

/* ---- steps ---- */
static void end_step(struct mu_timed *t, uint64_t now)
{
    const int64_t at = t->step - t->plan.warm_up;
    const double ms = 1e-6 * (double)(now - t->step_ns);

    if (at < 0 || at >= 2 * t->plan.steps)
        return;
    if (t->is_on)
        t->timed_ms[t->timed_count++] = ms;
    else
        t->plain_ms[t->plain_count++] = ms;
}

void mu_timed_step(struct mu_timed *t, int64_t step)
{
    const int64_t at = t ? step - t->plan.warm_up : 0;
    uint64_t now;

    if (!t || step == t->step)
        return;
    now = t->is_on ? account(t) : mu_clock_ns();
    if (step == t->step + 1 && t->step >= 0)
        end_step(t, now);
    if (t->step < 0)
        measure_rates(t);
    t->step = step;
    t->is_on = at >= 0 && at < 2 * t->plan.steps && at % 2 == 0;
    t->is_tracing = t->is_on && t->plan.traces && at == 2 * t->plan.steps - 2;
    t->device->ops = t->is_on ? &t->ops : t->inner;
    t->depth = 0;
    t->piece_ns = 0;
    t->step_ns = t->since_ns = t->polled_ns = at == 0 ? mu_clock_ns() : now;
}
