/* What looks wrong with a run, and what to do about it. What makes a configuration impossible is
 * not here: reading it refuses that, with file and line. */
#include <math.h>
#include <string.h>

#include "kernels/cuda_module.h"
#include "orchestrator/base/amount.h"
#include "orchestrator/config/config.h"
#include "orchestrator/plan/plan.h"

static void warn_of_data(const struct mu_plan *p, const struct mu_advice *to)
{
    const struct mu_settings *s = &p->settings;
    const struct mu_plan_tokens *t = &p->tokens;

    if (p->data != MU_OK || s->model_kind == MU_MODEL_SYNTHETIC)
        return;
    if (t->epochs > MU_PLAN_MOST_EPOCHS)
        mu_advise(to,
                  "data.train is read %.1f times: from the fourth on repeated data teach less "
                  "(Muennighoff et al. 2023); take more data, or run.steps = %.0f",
                  t->epochs, floor(MU_PLAN_MOST_EPOCHS * t->train / t->a_step));
    if ((double)s->model_vocab > 1.5 * t->vocab && s->model_vocab - (int64_t)t->vocab > 1024)
        mu_advise(to,
                  "model.vocab = %lld, but tokens of data.train are below %u: the other rows are "
                  "parameters that learn nothing; leave it out, or \"auto\"",
                  (long long)s->model_vocab, t->vocab);
    if (s->eval_every > 0 && !s->data_valid[0])
        mu_advise(to, "data.valid is not set: nothing is evaluated; give the file that `muster "
                      "tokenize` made beside data.train, or eval.every = 0");
}

static void warn_of_steps(const struct mu_plan *p, const struct mu_advice *to)
{
    const struct mu_settings *s = &p->settings;
    const struct mu_schedule schedule = mu_settings_schedule(s);
    const double useful = mu_plan_useful_batch(p->tokens.all);
    const int64_t cooldown = s->run_steps - mu_schedule_cooldown_start(&schedule);

    if (s->run_steps < MU_PLAN_LEAST_STEPS)
        mu_advise(to, "%lld steps are few: take a smaller batch.sequences, or more run.steps",
                  (long long)s->run_steps);
    if (p->tokens.a_step > MU_PLAN_MOST_BATCH * useful)
        mu_advise(to,
                  "a batch of %.0f tokens is %.1f times that of the step law for a run of %.3g "
                  "tokens (Li et al. 2025): a smaller batch.sequences, with more run.steps, "
                  "learns more from the same tokens",
                  p->tokens.a_step, p->tokens.a_step / useful, p->tokens.all);
    if (!(s->optim_lr > 0))
        mu_advise(to, "optim.lr = 0: nothing is learned; 1e-3 suits small models");
    if (MU_PLAN_LEAST_WARMUPS * (double)s->schedule_warmup > (double)s->run_steps)
        mu_advise(to,
                  "warm-up is %lld of %lld steps: take optim.schedule.warmup = %lld, a tenth, or "
                  "more run.steps",
                  (long long)s->schedule_warmup, (long long)s->run_steps,
                  (long long)(s->run_steps / 10));
    if (2 * cooldown > s->run_steps)
        mu_advise(to,
                  "cooldown is %lld of %lld steps: 0.1 to 0.3 is usual for "
                  "optim.schedule.cooldown",
                  (long long)cooldown, (long long)s->run_steps);
    if (s->eval_every > s->run_steps && s->data_valid[0])
        mu_advise(to, "eval.every is more than run.steps: there is one evaluation, at the end");
}

static void warn_of_workers(const struct mu_plan *p, const struct mu_advice *to)
{
    const struct mu_settings *s = &p->settings;
    const int64_t shards = s->batch_shards;
    const double efficiency = mu_plan_efficiency(shards, p->workers);
    const int64_t below = mu_plan_good_below(shards, p->workers),
                  above = mu_plan_good_above(shards, p->workers);

    if (efficiency < MU_PLAN_GOOD_EFFICIENCY && above > 0)
        mu_advise(to,
                  "%lld shards do not suit %lld workers, who have work %.0f %% of the time: take "
                  "%lld or %lld workers, or other batch.shards before the first start",
                  (long long)shards, (long long)p->workers, 100 * efficiency, (long long)below,
                  (long long)above);
    if (p->ranks > p->workers && p->ranks - p->workers > s->run_spares)
        mu_advise(to,
                  "%lld ranks, but work for %lld only, a shard each: the others wait as spares; "
                  "take fewer, or more batch.shards before the first start",
                  (long long)p->ranks, (long long)p->workers);
    if (!p->is_elsewhere && p->ranks * s->device_threads > p->cores &&
        s->device_kind != MU_DEVICE_CUDA)
        mu_advise(to,
                  "%lld ranks of %lld threads on %lld cores take turns: on this machine take "
                  "fewer ranks or device.threads",
                  (long long)p->ranks, (long long)s->device_threads, (long long)p->cores);
}

static void warn_of_room(const struct mu_plan *p, const struct mu_advice *to)
{
    const struct mu_plan_memory *m = &p->memory;
    const bool may_be_held = p->standing == MU_PLAN_GOES_ON; /* by its own state */

    if (p->disk.most > p->disk.left)
        mu_advise(to,
                  "checkpoints take up to %s, and the disk of run.dir has %s left: lower "
                  "checkpoint.keep, raise checkpoint.keep_every, or take another run.dir",
                  mu_amount_bytes(p->disk.most).text, mu_amount_bytes(p->disk.left).text);
    if (!m->known || p->is_elsewhere)
        return;
    if (m->host > m->physical)
        mu_advise(to,
                  "%lld ranks take %s of memory, and this machine has %s: take fewer ranks on a "
                  "host, a smaller batch.micro, device.recompute = \"block\", or a smaller model",
                  (long long)p->ranks, mu_amount_bytes(m->host).text,
                  mu_amount_bytes(m->physical).text);
    else if (m->host > m->left && !may_be_held)
        mu_advise(to,
                  "%lld ranks take %s of memory, and %s are free here: see who else uses it, or "
                  "take fewer ranks",
                  (long long)p->ranks, mu_amount_bytes(m->host).text,
                  mu_amount_bytes(m->left).text);
    if (m->segment > m->shm_left && !may_be_held)
        mu_advise(to,
                  "the state takes %s of /dev/shm, which has %s left: enlarge it (mount -o "
                  "remount,size=SIZE /dev/shm; containers: --shm-size), or take fewer ranks on a "
                  "host",
                  mu_amount_bytes(m->segment).text, mu_amount_bytes(m->shm_left).text);
}

static void warn_of_ends(const struct mu_plan *p, const struct mu_advice *to)
{
    const struct mu_settings *s = &p->settings;
    const double seconds = p->row[p->chosen].run_seconds;
    const int64_t at = mu_settings_branch_point(s);

    if (s->checkpoint_every == 0)
        mu_advise(to, "checkpoint.every = 0: the only checkpoint comes at the end; when the "
                      "machine fails before, all is lost");
    else if (s->checkpoint_every > s->run_steps)
        mu_advise(to,
                  "checkpoint.every = %lld is more than run.steps = %lld: before step %lld there "
                  "is no checkpoint; take %lld, a tenth",
                  (long long)s->checkpoint_every, (long long)s->run_steps,
                  (long long)(at > 0 ? at : s->run_steps),
                  (long long)(s->run_steps / 10 > 0 ? s->run_steps / 10 : 1));
    if (s->run_time_limit > 0 && seconds > (double)s->run_time_limit)
        mu_advise(
            to,
            "run.time_limit ends the run after %s, of about %s that %lld worker%s take%s here: "
            "the same command goes on, %.0f starts in all; or take more workers",
            mu_amount_duration((double)s->run_time_limit).text, mu_amount_duration(seconds).text,
            (long long)p->workers, p->workers == 1 ? "" : "s", p->workers == 1 ? "s" : "",
            ceil(seconds / (double)s->run_time_limit));
}

/* Where the plan is made need not be where it is trained: a login node has no GPU. */
static void warn_of_device(const struct mu_plan *p, const struct mu_advice *to)
{
    static const char lacking[] = "not available: ";
    char text[4096];

    if (p->settings.device_kind != MU_DEVICE_CUDA || p->is_elsewhere)
        return;
    mu_cuda_describe(text, sizeof text);
    text[strcspn(text, "\n")] = 0;
    if (strncmp(text, lacking, strlen(lacking)) == 0)
        mu_advise(to, "device.kind = \"cuda\" cannot be trained on this machine: %s",
                  text + strlen(lacking));
}

void mu_plan_warnings(const struct mu_plan *p, const struct mu_advice *to)
{
    warn_of_device(p, to);
    warn_of_data(p, to);
    warn_of_steps(p, to);
    if (p->ranks > 0)
        warn_of_workers(p, to);
    warn_of_room(p, to);
    warn_of_ends(p, to);
}
