#include "orchestrator/profile/found.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/log.h"

enum { PROFILED_MAX = 1 << 20, EVENT_BYTES = 17, EVENTS_AT = 64 + 32 * MU_TIMED_ROW_COUNT };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *value, int64_t count)
{
    if (count == 0)
        return NAN;
    qsort(value, (size_t)count, sizeof *value, by_value);
    return (value[(count - 1) / 2] + value[count / 2]) / 2;
}

static void put(struct mu_wire_writer *w, const struct mu_timed *t)
{
    const size_t room = (PROFILED_MAX - EVENTS_AT) / EVENT_BYTES;
    const size_t events = t->event_count < room ? t->event_count : room;

    for (int i = 0; i < MU_TIMED_ROW_COUNT; i++) {
        mu_wire_put_u64(w, t->cell[i].calls);
        mu_wire_put_u64(w, t->cell[i].ns);
        mu_wire_put_f64(w, t->cell[i].work.flops);
        mu_wire_put_f64(w, t->cell[i].work.bytes);
    }
    mu_wire_put_f64(w, median(t->timed_ms, t->timed_count));
    mu_wire_put_f64(w, median(t->plain_ms, t->plain_count));
    mu_wire_put_f64(w, t->peak_flops);
    mu_wire_put_f64(w, t->bandwidth);
    mu_wire_put_f64(w, 1e-6 * (double)t->longest_gap_ns);
    mu_wire_put_u32(w, (uint32_t)t->gap_row);
    mu_wire_put_u32(w, (uint32_t)events);
    for (size_t i = 0; i < events; i++) {
        mu_wire_put_u8(w, (uint8_t)t->event[i].row);
        mu_wire_put_u64(w, t->event[i].from_ns);
        mu_wire_put_u64(w, t->event[i].to_ns);
    }
}

static enum mu_status get(struct mu_wire_reader *r, struct mu_profile_rank *out)
{
    uint32_t row;

    for (int i = 0; i < MU_TIMED_ROW_COUNT; i++) {
        out->cell[i].calls = mu_wire_get_u64(r);
        out->cell[i].ns = mu_wire_get_u64(r);
        out->cell[i].work.flops = mu_wire_get_f64(r);
        out->cell[i].work.bytes = mu_wire_get_f64(r);
    }
    out->timed_ms = mu_wire_get_f64(r);
    out->plain_ms = mu_wire_get_f64(r);
    out->peak_flops = mu_wire_get_f64(r);
    out->bandwidth = mu_wire_get_f64(r);
    out->gap_ms = mu_wire_get_f64(r);
    row = mu_wire_get_u32(r);
    out->gap_row = row < MU_TIMED_ROW_COUNT ? (enum mu_timed_row)row : MU_TIMED_PART_REST;
    out->event_count = mu_wire_get_u32(r);
    if (!r->ok || out->event_count > MU_TIMED_EVENTS)
        return MU_INTERNAL;
    out->event = calloc(out->event_count + 1, sizeof *out->event);
    for (uint32_t i = 0; out->event && i < out->event_count; i++) {
        row = mu_wire_get_u8(r);
        out->event[i].row = row < MU_TIMED_ROW_COUNT ? (enum mu_timed_row)row : MU_TIMED_PART_REST;
        out->event[i].from_ns = mu_wire_get_u64(r);
        out->event[i].to_ns = mu_wire_get_u64(r);
    }
    if (!out->event)
        return MU_NO_MEMORY;
    return mu_wire_finished(r) ? MU_OK : MU_INTERNAL;
}

struct taking {
    const struct mu_comm *comm;
    struct mu_profile_found *found;
};

static enum mu_status take(void *context, int rank, struct mu_wire_reader *r)
{
    struct taking *t = context;
    struct mu_profile_rank *of = &t->found->rank[rank];
    const enum mu_status st = get(r, of);

    of->name = mu_comm_name(t->comm, rank);
    t->found->ranks = rank + 1;
    return st == MU_OK ? st : MU_FAIL(st, "the profile of rank %d cannot be read", of->name);
}

enum mu_status mu_profile_gather(struct mu_control *control, const struct mu_timed *own,
                                 struct mu_profile_found *out)
{
    struct taking all = {control->comm, out};
    uint8_t *bytes = malloc(PROFILED_MAX);
    struct mu_wire_writer w;
    enum mu_status st = MU_OK;

    out->rank = calloc((size_t)mu_comm_size(control->comm), sizeof *out->rank);
    if (!bytes || !out->rank)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a profile");
    MU_TRY(mu_control_agree(control, st), st, done);
    w = mu_wire_write(bytes, PROFILED_MAX);
    put(&w, own);
    MU_ASSERT(w.ok);
    st = mu_control_agree(control, mu_control_gather(control, MU_MESSAGE_PROFILED, &w, take, &all));
done:
    free(bytes);
    return st;
}

void mu_profile_found_deinit(struct mu_profile_found *found)
{
    for (int i = 0; i < found->ranks; i++)
        free(found->rank[i].event);
    free(found->rank);
    found->rank = NULL;
    found->ranks = 0;
}
