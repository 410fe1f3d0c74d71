#include "orchestrator/plan/plan.h"

#include <math.h>
#include <string.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/config/config.h"
#include "orchestrator/core/recovery.h"
#include "worker/data/tokens.h"
#include "worker/workload.h"

double mu_plan_exact_flops(const struct mu_settings *s)
{
    const double layers = (double)s->model_layers, width = (double)s->model_width,
                 context = (double)s->model_context,
                 head = (double)s->model_vocab * (double)s->model_width;
    double block = MU_GPT_MATRICES * width * width;

    if (s->model_kind == MU_MODEL_SYNTHETIC)
        return 0;
    if (s->model_kind == MU_MODEL_LLAMA)
        block = 4 * width * width + 3 * width * (double)s->model_hidden;
    /* Position t sees t + 1 of them, (T + 1) / 2 in the mean. */
    return 6 * (layers * block + head) + 6 * layers * width * (context + 1);
}

/* Those that are due by their number, and one at the end. */
static int64_t regular(const struct mu_settings *s)
{
    const int64_t every = s->checkpoint_every;

    return every > 0 ? (s->run_steps + every - 1) / every : 1;
}

int64_t mu_plan_checkpoints_written(const struct mu_settings *s)
{
    const int64_t at = mu_settings_branch_point(s);

    return regular(s) + (at > 0 && at % s->checkpoint_every != 0);
}

/* The newest ones; of the older ones those at multiples of keep_every, and the one that the
 * cooldown begins with. */
int64_t mu_plan_checkpoints_kept(const struct mu_settings *s)
{
    const int64_t written = regular(s), every = s->checkpoint_every,
                  at = mu_settings_branch_point(s),
                  keep = s->checkpoint_keep < written ? s->checkpoint_keep : written;
    int64_t kept = keep, among = s->checkpoint_keep_every;

    if (every == 0)
        return kept;
    while (among % every != 0) /* steps that are multiples of both */
        among += s->checkpoint_keep_every;
    if (among > 0 && written > keep)
        kept += (written - keep) * every / among;
    if (at > 0 && written - at / every >= keep && (among == 0 || at % among != 0))
        kept++;
    return kept;
}

static void count_tokens(const struct mu_settings *s, struct mu_plan_tokens *t)
{
    t->a_step = (double)s->batch_sequences * (double)s->model_context;
    t->all = t->a_step * (double)s->run_steps;
    t->a_parameter = t->all / (double)mu_workload_counts(s).all;
    t->evaluation = (double)s->eval_tokens;
}

/* Headers only; whoever opened the workload has checked them. */
static enum mu_status look_at_data(const struct mu_settings *s, double windows,
                                   struct mu_plan_tokens *t)
{
    struct mu_tokens file;
    enum mu_status st = MU_OK;

    if (s->model_kind == MU_MODEL_SYNTHETIC)
        return MU_OK;
    MU_TRY(mu_tokens_open(&file, s->data_train), st, done);
    t->train = (double)file.count;
    t->vocab = file.vocab;
    t->epochs = t->all / (windows * (double)s->model_context);
    mu_tokens_close(&file);
    t->evaluation = 0;
    if (!s->data_valid[0])
        return MU_OK;
    MU_TRY(mu_tokens_open(&file, s->data_valid), st, done);
    t->valid = (double)file.count;
    t->evaluation = fmin((double)s->eval_tokens, t->valid);
    mu_tokens_close(&file);
done:
    return st;
}

static enum mu_status look_at_workload(struct mu_plan *p)
{
    struct mu_workload *w = NULL;
    enum mu_status st = mu_workload_open(&p->settings, NULL, &w);

    if (st != MU_OK)
        return st;
    memcpy(p->summary, w->facts.summary, sizeof p->summary);
    st = look_at_data(&p->settings, w->facts.train_windows, &p->tokens);
    mu_workload_close(w);
    return st;
}

static int64_t ranks_for(const struct mu_plan *p, int64_t asked)
{
    const int64_t most = p->cores / p->settings.device_threads;

    if (asked > 0)
        return asked;
    if (most < 1)
        return 1;
    return most < p->settings.batch_shards ? most : p->settings.batch_shards;
}

enum mu_status mu_plan_make(const struct mu_settings *settings, int64_t ranks, bool measure,
                            struct mu_plan *p)
{
    enum mu_status st;

    memset(p, 0, sizeof *p);
    p->settings = *settings;
    st = mu_workload_resolve(&p->settings);
    if (st != MU_OK)
        return mu_workload_blame_data(st, settings);
    p->cores = mu_cores_usable();
    p->ranks = ranks_for(p, ranks);
    p->workers = mu_recovery_crew((uint32_t)p->ranks, (uint32_t)p->settings.run_spares,
                                  (uint32_t)p->settings.batch_shards,
                                  p->settings.run_master == MU_MASTER_DEDICATED)
                     .count;
    p->counts = mu_workload_counts(&p->settings);
    p->exact_flops = mu_plan_exact_flops(&p->settings);
    count_tokens(&p->settings, &p->tokens);
    p->data = mu_workload_blame_data(look_at_workload(p), &p->settings);
    MU_TRY(mu_path_format(p->path, "%s/%s", p->settings.run_dir, p->settings.run_name), st, done);
    MU_TRY(mu_plan_find_standing(p), st, done);
    if (p->data == MU_OK)
        MU_TRY(mu_plan_find_memory(p), st, done);
    mu_plan_find_disk(p);
    mu_plan_find_pace(p, measure && p->data == MU_OK);
done:
    return st;
}

enum mu_status mu_plan_verdict(const struct mu_plan *p)
{
    if (p->data != MU_OK)
        return p->data;
    return p->standing == MU_PLAN_REFUSED ? MU_CONFIG : MU_OK;
}
