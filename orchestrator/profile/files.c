#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/profile/found.h"
#include "orchestrator/run/json_values.h"

/* ---- JSON ---- */
static json_t *row_json(const struct mu_profile_row *r)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "operation",
                     mu_timed_word(r->row), "phase", mu_timed_phase_word(mu_timed_phase_of(r->row)),
                     "calls", mu_json_real(r->calls), "ms", mu_json_real(r->ms), "share",
                     mu_json_real(r->share), "flops_per_s", mu_json_real(r->flops_per_s),
                     "peak_share", mu_json_real(r->peak_share), "bytes_per_s",
                     mu_json_real(r->bytes_per_s), "memory_share", mu_json_real(r->memory_share),
                     "near", r->near);
}

static json_t *phases_json(const struct mu_profile_sums *s)
{
    json_t *all = json_object();

    for (int p = 0; p < MU_TIMED_PHASE_COUNT; p++)
        json_object_set_new(all, mu_timed_phase_word((enum mu_timed_phase)p),
                            mu_json_real(s->phase_ms[p]));
    return all;
}

static json_t *rank_json(const struct mu_profile_found *f, int i)
{
    const struct mu_profile_rank *r = &f->rank[i];

    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "rank", r->name,
                     "timed_step_ms", mu_json_real(r->timed_ms), "plain_step_ms",
                     mu_json_real(r->plain_ms), "busy_ms", mu_json_real(mu_profile_busy_ms(f, i)),
                     "away_ms", mu_json_real(mu_profile_away_ms(f, i)), "peak_flops",
                     mu_json_real(r->peak_flops), "memory_bytes_per_s", mu_json_real(r->bandwidth),
                     "longest_poll_gap_ms", mu_json_real(r->gap_ms), "longest_poll_gap_in",
                     mu_timed_word(r->gap_row));
}

enum mu_status mu_profile_print_json(const struct mu_profile_found *f,
                                     const struct mu_profile_sums *s)
{
    json_t *rows = json_array(), *ranks = json_array(), *all;

    for (int i = 0; i < s->rows; i++)
        json_array_append_new(rows, row_json(&s->row[i]));
    for (int i = 0; i < f->ranks; i++)
        json_array_append_new(ranks, rank_json(f, i));
    all = json_pack(
        "{s:o, s:s, s:s, s:i, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, "
        "s:I, s:s}",
        "summary", mu_json_text(f->summary), "device", f->device, "precision", f->precision,
        "threads", f->threads, "tokens_per_step", mu_json_real(f->tokens_per_step), "steps",
        (json_int_t)f->steps, "step_ms", mu_json_real(s->step_ms), "median_timed_ms",
        mu_json_real(s->timed_ms), "median_plain_ms", mu_json_real(s->plain_ms), "peak_flops",
        mu_json_real(s->peak_flops), "memory_bytes_per_s", mu_json_real(s->bandwidth), "operations",
        rows, "phases_ms", phases_json(s), "ranks", ranks, "slowest_rank", f->rank[s->slowest].name,
        "last_step", (json_int_t)f->last_step, "state_hash", mu_hash_print(f->hash).text);
    return mu_json_write(stdout, all, "a step");
}

/* ---- trace ---- */
/* Clocks of ranks on one host are one; of another host's nothing is known but that its step began
 * when this one's did. */
static const uint64_t other_host_ns = 10000000000;

static uint64_t first_ns(const struct mu_profile_rank *r)
{
    uint64_t first = UINT64_MAX;

    for (uint32_t i = 0; i < r->event_count; i++)
        first = r->event[i].from_ns < first ? r->event[i].from_ns : first;
    return first;
}

static void put_rank(FILE *out, const struct mu_profile_rank *r, uint64_t zero_ns)
{
    const uint64_t own = first_ns(r), apart = own > zero_ns ? own - zero_ns : zero_ns - own;
    const uint64_t zero = apart > other_host_ns ? own : zero_ns;

    fprintf(
        out,
        ",\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"rank %d\"}}",
        r->name, r->name);
    for (uint32_t i = 0; i < r->event_count; i++) {
        const struct mu_timed_event *e = &r->event[i];

        fprintf(out,
                ",\n{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%d,\"tid\":0,\"ts\":%.3f,"
                "\"dur\":%.3f}",
                mu_timed_word(e->row), mu_timed_phase_word(mu_timed_phase_of(e->row)), r->name,
                1e-3 * ((double)e->from_ns - (double)zero), 1e-3 * (double)(e->to_ns - e->from_ns));
    }
}

enum mu_status mu_profile_write_trace(const struct mu_profile_found *f, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    enum mu_status st = MU_NO_MEMORY;

    if (!out)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the trace");
    fprintf(out, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
                 "{\"ph\":\"M\",\"name\":\"muster\",\"pid\":0,\"args\":{}}");
    for (int i = 0; i < f->ranks; i++) {
        if (f->rank[i].event_count == MU_TIMED_EVENTS)
            mu_log(MU_LOG_WARN, "the trace of rank %d ends after %d operations", f->rank[i].name,
                   MU_TIMED_EVENTS);
        put_rank(out, &f->rank[i], first_ns(&f->rank[0]));
    }
    fprintf(out, "\n]}\n");
    if (fclose(out) == 0)
        st = mu_file_write_atomically(path, text, size);
    free(text);
    return st;
}
