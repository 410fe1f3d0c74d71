#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/rng.h"
#include "tests/sim/sweep_master/master_sim.h"

double sim_uniform(struct sim *s)
{
    return mu_rng_uniform(mu_rng_draw(s->setup.seed, MU_RNG_SYNTHETIC, 0, s->draws++).w[0]);
}

/* ---- the sweep ----
 * Sizes 1.3 times apart; a budget for each of some neighbouring sizes, which is expected to be its
 * optimum: 20 tokens a parameter, 100 steps. The true optimum lies a size above, so that budgets
 * are extended. */
static const double first_size = 2e4, apart = 1.3, tokens_each = 20;

static double size_of(uint32_t i)
{
    return floor(first_size * pow(apart, i));
}

static double budget_of(const struct setup *p, uint32_t i)
{
    return floor(6 * tokens_each * pow(size_of(i + p->points / 2), 2));
}

static void put_list(char *text, size_t room, const char *between, const char *format,
                     const struct setup *p, double (*value)(const struct setup *, uint32_t),
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const size_t used = strlen(text);

        snprintf(text + used, room - used, "%s", i > 0 ? between : "");
        snprintf(text + strlen(text), room - strlen(text), format, value(p, i), p->seeds);
    }
}

static double size_at(const struct setup *p, uint32_t i)
{
    (void)p;
    return size_of(i);
}

void shapes_read(struct sim *s)
{
    static const char *const tune =
        "laws = ( { key = \"batch.tokens\"; value = \"N / 5\"; round = \"pow2\"; },"
        "{ key = \"optim.lr\"; value = \"tune\"; } );"
        "tune = { cells = ( { size = %.0f; budget = %.0f; } ); factors = [0.25, 0.5, 1, 2, 4]; "
        "seed = 1000; };";
    static const char *const law =
        "laws = ( { key = \"batch.tokens\"; value = \"N / 5\"; round = \"pow2\"; } );";
    const struct setup *p = &s->setup;
    char text[16384] = "run = { steps = 100; }; model = { kind = \"synthetic\"; };"
                       "batch = { sequences = 64; shards = 8; };"
                       "optim = { schedule = { kind = \"wsd\"; cooldown = 0.2; }; };"
                       "sweep = { name = \"t\"; kind = \"isoflop\"; retries = 4; sizes = { key = "
                       "\"synthetic.params\"; values = [";
    const size_t room = sizeof text;
#define ADD(...) snprintf(text + strlen(text), room - strlen(text), __VA_ARGS__)

    put_list(text, room, ", ", "%.0f", p, size_at, p->sizes);
    ADD("]; }; budgets = [");
    put_list(text, room, ", ", "%.0f", p, budget_of, p->budgets);
    ADD("]; repeats = (");
    put_list(text, room, ", ", "{ budget = %.0f; seeds = %u; }", p, budget_of, p->budgets);
    ADD("); window = { points = %u; each_side = 2; extend = 2; }; share_trunk = %s; ", p->points,
        p->shares ? "true" : "false");
    if (p->tunes)
        snprintf(text + strlen(text), room - strlen(text), tune, size_of(p->points / 2),
                 budget_of(p, 0));
    else
        ADD("%s", law);
    ADD(" };");
#undef ADD
    s->spec = calloc(1, sizeof *s->spec);
    MU_ASSERT(s->spec);
    MU_ASSERT(mu_sweep_read(&(struct mu_config_source){.text = text,
                                                       .text_size = strlen(text),
                                                       .text_name = "sweep"},
                            &s->base, s->spec) == MU_OK);
}

/* ---- its trials ---- */
/* In [0, 1), of the name: no seed of the simulation in it. */
static double draw(const char *name, uint32_t salt)
{
    return (double)(mu_hash_bytes(name, strlen(name), salt).low >> 11) * 0x1p-53;
}

static double loss_of(const struct mu_sweep_trial *t)
{
    const double best = apart * sqrt(t->budget / (6 * tokens_each)), off = log(t->n / best),
                 rate = log(t->settings.optim_lr / 1e-3);

    return 3 + 0.02 * off * off + 0.05 * rate * rate + 1e-5 * draw(t->name, 1);
}

/* The mistakes of cells alone: what is tuned must come to something. */
static void set_end(const struct setup *p, const struct mu_sweep_trial *t, struct fact *f)
{
    const double u = draw(t->name, 2);
    const int64_t at = 1 + (int64_t)(draw(t->name, 3) * (double)(f->steps - 1));

    f->end = MU_TRIAL_COMPLETE;
    f->fail_step = -1;
    if (t->role == MU_SWEEP_TUNE)
        return;
    if (u < 0.03) {
        f->end = MU_TRIAL_DIVERGED;
        f->end_step = at;
    } else if (u < 0.05) {
        f->end = MU_TRIAL_OUT_OF_MEMORY;
    } else if (u < 0.05 + p->killers) {
        f->end = MU_TRIAL_CRASHES;
        f->end_step = at;
    } else if (u < 0.2) {
        f->fail_step = at;
    }
}

uint32_t fact_of(struct sim *s, uint32_t trial)
{
    const struct mu_sweep_trial *t = &s->master.stages.trials.item[trial];
    struct fact *f;
    uint32_t i = 0, trunk;

    if (s->fact_of[trial] != NONE)
        return s->fact_of[trial];
    while (i < s->facts && strcmp(s->fact[i].name, t->name) != 0)
        i++;
    s->fact_of[trial] = i;
    if (i < s->facts)
        return i;
    MU_ASSERT(s->facts < FACTS);
    s->facts++;
    trunk = mu_sweep_waits_for(&s->master.stages.trials, trial);
    f = &s->fact[i];
    *f = (struct fact){.steps = t->settings.run_steps,
                       .shared = t->shared,
                       .trunk = trunk == MU_TRIAL_ALONE ? NONE : fact_of(s, trunk),
                       .loss = loss_of(t),
                       .serial = 0.05,
                       .step_s = 0.05 * pow(t->n / first_size, 0.3),
                       .step_tokens = t->tokens_per_step,
                       .crew = NONE,
                       .host = NONE};
    snprintf(f->name, sizeof f->name, "%s", t->name);
    set_end(&s->setup, t, f);
    return i;
}

struct mu_trial_outcome shapes_outcome(const struct fact *f, enum mu_trial_end end)
{
    return (struct mu_trial_outcome){.end = end,
                                     .leads = true,
                                     .step = f->step,
                                     .tokens = (uint64_t)f->step,
                                     .train_loss = f->loss,
                                     .valid_loss = end == MU_TRIAL_COMPLETE ? f->loss : NAN,
                                     .valid_bits_per_byte = NAN,
                                     .message = "as simulated"};
}
