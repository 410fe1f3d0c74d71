#include <jansson.h>
#include <stdio.h>

#include "orchestrator/plan/plan.h"
#include "orchestrator/run/json_values.h"

static const char *standing_word(enum mu_plan_standing standing)
{
    switch (standing) {
    case MU_PLAN_NEW:
        return "new";
    case MU_PLAN_GOES_ON:
        return "goes on";
    case MU_PLAN_COMPLETE:
        return "complete";
    case MU_PLAN_GOES_BACK:
        return "goes back";
    case MU_PLAN_REFUSED:
        return "refused";
    }
    return "";
}

/* What is not known is null. */
static json_t *known(double value, bool is_known)
{
    return is_known ? mu_json_real(value) : json_null();
}

static json_t *count(uint64_t n, double flops, double tokens)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f}", "parameters", (json_int_t)n, "flops_per_token_6n",
                     6.0 * (double)n, "flops_per_token_6n_12ldt", flops, "flops_6n",
                     6.0 * (double)n * tokens, "flops_6n_12ldt", flops * tokens);
}

static json_t *model(const struct mu_plan *p)
{
    const struct mu_counts *n = &p->counts;
    const double tokens = p->tokens.all;

    return json_pack("{s:o, s:o, s:o, s:o}", "all", count(n->all, n->flops_all, tokens),
                     "non_embedding", count(n->non_embedding, n->flops_non_embedding, tokens),
                     "non_embedding_head",
                     count(n->non_embedding_head, n->flops_non_embedding_head, tokens),
                     "flops_per_token_as_computed", known(p->exact_flops, p->exact_flops > 0));
}

static json_t *tokens(const struct mu_plan *p)
{
    const struct mu_plan_tokens *t = &p->tokens;

    return json_pack("{s:f, s:f, s:f, s:o, s:o, s:o}", "per_step", t->a_step, "run", t->all,
                     "per_parameter", t->a_parameter, "train", known(t->train, t->train > 0),
                     "valid", known(t->valid, t->valid > 0), "epochs",
                     known(t->epochs, t->epochs > 0));
}

static json_t *memory(const struct mu_plan *p)
{
    const struct mu_plan_memory *m = &p->memory;

    if (!m->known)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:b}",
                     "host", m->host, "segment", m->segment, "weights", m->weights, "moments",
                     m->moments, "predictions", m->predictions, "total", m->total, "sum_per_rank",
                     m->sum, "activations_per_rank", m->activations, "logits_per_rank", m->logits,
                     "other_per_rank", m->other, "gpu", known(m->gpu, m->gpu > 0), "left",
                     mu_json_real(m->left), "shm_left", mu_json_real(m->shm_left), "fits",
                     m->host <= m->left && m->segment <= m->shm_left);
}

static json_t *disk(const struct mu_plan *p)
{
    const struct mu_plan_disk *d = &p->disk;

    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "bytes", known(d->checkpoint, d->checkpoint > 0),
                     "written", (json_int_t)d->written, "kept", (json_int_t)d->kept, "most_bytes",
                     known(d->most, d->checkpoint > 0), "left", mu_json_real(d->left));
}

static json_t *workers(const struct mu_plan *p)
{
    json_t *rows = json_array();

    for (uint32_t i = 0; i < p->row_count; i++) {
        const struct mu_plan_row *r = &p->row[i];
        const bool timed =
            p->measured == MU_OK && r->workers * p->settings.device_threads <= p->cores;

        json_array_append_new(
            rows,
            json_pack("{s:I, s:I, s:f, s:b, s:o, s:o}", "workers", (json_int_t)r->workers,
                      "shards_each", (json_int_t)r->shards_each, "efficiency", r->efficiency,
                      "good", r->efficiency >= MU_PLAN_GOOD_EFFICIENCY, "step_seconds",
                      known(r->step_seconds, timed), "run_seconds", known(r->run_seconds, timed)));
    }
    return rows;
}

void mu_plan_json_collect(void *array, const char *line)
{
    json_array_append_new(array, mu_json_text(line));
}

static json_t *run(const struct mu_plan *p)
{
    const struct mu_settings *s = &p->settings;

    return json_pack("{s:o, s:o, s:s, s:s, s:b, s:I, s:I}", "name", mu_json_text(s->run_name),
                     "path", mu_json_text(p->path), "standing", standing_word(p->standing),
                     "differs", p->differs, "running", p->is_locked, "done_steps",
                     (json_int_t)p->done_steps, "steps", (json_int_t)s->run_steps);
}

static json_t *batch(const struct mu_settings *s)
{
    return json_pack("{s:I, s:I, s:I}", "sequences", (json_int_t)s->batch_sequences, "shards",
                     (json_int_t)s->batch_shards, "micro", (json_int_t)s->batch_micro);
}

enum mu_status mu_plan_print_json(const struct mu_plan *p)
{
    json_t *warnings = json_array();
    const struct mu_advice advice = {mu_plan_json_collect, warnings};
    const bool runs = p->data == MU_OK && p->standing != MU_PLAN_REFUSED;
    json_t *all;

    mu_plan_warnings(p, &advice);
    all = json_pack("{s:o, s:b, s:o, s:o, s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "run",
                    run(p), "can_run", runs, "model", model(p), "tokens", tokens(p), "batch",
                    batch(&p->settings), "schedule", mu_plan_schedule_words(&p->settings).text,
                    "memory", memory(p), "checkpoints", disk(p), "ranks", (json_int_t)p->ranks,
                    "workers", (json_int_t)p->workers, "pace", workers(p), "tokens_per_second",
                    known(p->tokens.a_step / (double)p->settings.batch_shards / p->alone.shard,
                          p->measured == MU_OK),
                    "warnings", warnings);
    return mu_json_write(stdout, all, p->path);
}
