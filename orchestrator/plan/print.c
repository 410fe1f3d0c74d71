/* A plan for people: about a screen. */
#include <math.h>
#include <stdio.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/config/config.h"
#include "orchestrator/plan/plan.h"

enum { TEXT_COLUMN = 12 };

/* "8 shards", "1 shard" */
static struct mu_amount several(int64_t count, const char *what)
{
    struct mu_amount t;

    snprintf(t.text, sizeof t.text, "%lld %s%s", (long long)count, what, count == 1 ? "" : "s");
    return t;
}

/* "124,439,808" */
static struct mu_amount grouped(double whole)
{
    struct mu_amount t;
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%.0f", whole);
    size_t at = 0;

    for (int i = 0; i < length && at + 2 < sizeof t.text; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            t.text[at++] = ',';
        t.text[at++] = digits[i];
    }
    t.text[at] = 0;
    return t;
}

static void print_standing(const struct mu_plan *p)
{
    const struct mu_settings *s = &p->settings;

    printf("run %s in %s: ", s->run_name, p->path);
    switch (p->standing) {
    case MU_PLAN_NEW:
        puts("new");
        break;
    case MU_PLAN_GOES_ON:
        if (p->done_steps > 0)
            printf("begun; goes on from step %lld of %lld\n", (long long)p->done_steps,
                   (long long)s->run_steps);
        else
            puts("begun, without a checkpoint yet");
        break;
    case MU_PLAN_COMPLETE:
        printf("complete, %lld steps: nothing is left to do\n", (long long)p->done_steps);
        break;
    case MU_PLAN_GOES_BACK:
        printf("goes on from step %lld, where this schedule parts from its own; what it was up to "
               "step %lld is put aside\n",
               (long long)p->done_steps, (long long)p->last_step);
        break;
    case MU_PLAN_REFUSED:
        printf("refused, as other values of %s stand there: see the errors\n", p->differs);
        break;
    }
    if (p->is_locked)
        puts("it is being trained now: another start would be refused");
}

static void print_model(const struct mu_plan *p)
{
    const struct {
        const char *name;
        uint64_t n;
        double flops;
    } rows[] = {
        {"all, with embeddings", p->counts.all, p->counts.flops_all},
        {"non-embedding", p->counts.non_embedding, p->counts.flops_non_embedding},
        {"non-embedding + head", p->counts.non_embedding_head, p->counts.flops_non_embedding_head},
    };

    if (p->summary[0])
        printf("\n%s\n", p->summary);
    printf("\n%-24s %15s %10s %13s %13s %13s\n", "parameters", "N", "6N a token", "6N+12LdT",
           "6N in all", "6N+12LdT");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-24s %15s %10.3g %13.3g %13.3g %13.3g\n", rows[i].name,
               grouped((double)rows[i].n).text, 6.0 * (double)rows[i].n, rows[i].flops,
               6.0 * (double)rows[i].n * p->tokens.all, rows[i].flops * p->tokens.all);
    if (p->exact_flops > 0)
        printf("%-24s %15s %10s %13.3g %13s %13.3g\n", "products as computed", "", "",
               p->exact_flops, "", p->exact_flops * p->tokens.all);
    if (p->settings.model_kind == MU_MODEL_SYNTHETIC)
        puts("(of the law: no arithmetic of that size is done)");
}

static void print_tokens(const struct mu_plan *p)
{
    const struct mu_settings *s = &p->settings;
    const struct mu_plan_tokens *t = &p->tokens;

    printf("\ntokens      %s a step (%lld sequences of %lld), %.3g in %lld steps: %.3g a parameter",
           grouped(t->a_step).text, (long long)s->batch_sequences, (long long)s->model_context,
           t->all, (long long)s->run_steps, t->a_parameter);
    if (t->a_parameter < 5 || t->a_parameter > 80)
        printf("\n            (20 is compute-optimal: a %s model gets further with these FLOPs)",
               t->a_parameter < 20 ? "smaller" : "larger");
    putchar('\n');
    if (t->train > 0)
        printf("data        data.train has %s tokens below %u: read %.3g times\n",
               grouped(t->train).text, t->vocab, t->epochs);
    if (t->valid > 0 && s->eval_every > 0)
        printf("            data.valid has %s: %s in each evaluation\n", grouped(t->valid).text,
               grouped(t->evaluation).text);
    printf(
        "batch       %s of %s, in micro-batches of %lld\n", several(s->batch_shards, "shard").text,
        several(s->batch_sequences / s->batch_shards, "sequence").text, (long long)s->batch_micro);
    mu_text_wrap(stdout, TEXT_COLUMN, printf("rate"), mu_plan_schedule_words(s).text);
}

struct mu_plan_schedule mu_plan_schedule_words(const struct mu_settings *s)
{
    const struct mu_schedule schedule = mu_settings_schedule(s);
    const int64_t start = mu_schedule_cooldown_start(&schedule);
    const double floor = s->schedule_floor * s->optim_lr;
    struct mu_plan_schedule t = {""};
    char warmup[96] = "";

    if (s->schedule_warmup > 0)
        snprintf(warmup, sizeof warmup, "rises over %s to %g, ",
                 several(s->schedule_warmup, "step").text, s->optim_lr);
    else
        snprintf(warmup, sizeof warmup, "begins at %g, ", s->optim_lr);
    if (schedule.kind == MU_SCHEDULE_CONSTANT ||
        (schedule.kind == MU_SCHEDULE_WSD && start == s->run_steps))
        snprintf(t.text, sizeof t.text, "%sstays to the end", warmup);
    else if (schedule.kind == MU_SCHEDULE_WSD)
        snprintf(t.text, sizeof t.text,
                 "%sstays until step %lld, and falls as 1 - sqrt to %g over the last %lld", warmup,
                 (long long)start, floor, (long long)(s->run_steps - start));
    else
        snprintf(t.text, sizeof t.text, "%sfalls %s to %g at step %lld", warmup,
                 schedule.kind == MU_SCHEDULE_COSINE ? "as a cosine" : "linearly", floor,
                 (long long)s->run_steps);
    return t;
}

static const char *verdict(double needs, double has)
{
    return needs <= has ? "fits" : "too little";
}

static void print_segment(const struct mu_plan *p)
{
    const struct mu_plan_memory *m = &p->memory;

    printf("  state     %s in /dev/shm, once a host; %s free there: %s\n            (",
           mu_amount_bytes(m->segment).text, mu_amount_bytes(m->shm_left).text,
           verdict(m->segment, m->shm_left));
    if (m->weights > 0)
        printf("weights %s, moments %s, predictions %s, total %s,\n            sums %s a rank)\n",
               mu_amount_bytes(m->weights).text, mu_amount_bytes(m->moments).text,
               mu_amount_bytes(m->predictions).text, mu_amount_bytes(m->total).text,
               mu_amount_bytes(m->sum).text);
    else
        printf("it stays in the GPUs: a copy of it %s)\n", mu_amount_bytes(m->copy).text);
}

static void print_memory(const struct mu_plan *p)
{
    const struct mu_plan_memory *m = &p->memory;

    if (!m->known)
        return;
    printf("\nmemory      %s on one host with %s; %s free here: %s\n",
           mu_amount_bytes(m->host).text, several(p->ranks, "rank").text,
           mu_amount_bytes(m->left).text, verdict(m->host, m->left));
    print_segment(p);
    if (m->gpu > 0)
        printf("  a GPU     %s, by arithmetic: state %s, activations %s, logits %s\n"
               "            (`muster train` counts it first)\n  a rank    %s of the host's\n",
               mu_amount_bytes(m->gpu).text,
               mu_amount_bytes(m->gpu - m->activations - m->logits).text,
               mu_amount_bytes(m->activations).text, mu_amount_bytes(m->logits).text,
               mu_amount_bytes(m->other).text);
    else
        printf("  a rank    %s of its own: activations and a shard's gradient %s, logits %s, "
               "program %s\n",
               mu_amount_bytes(m->activations + m->logits + m->other).text,
               mu_amount_bytes(m->activations).text, mu_amount_bytes(m->logits).text,
               mu_amount_bytes(m->other).text);
}

static void print_disk(const struct mu_plan *p)
{
    const struct mu_plan_disk *d = &p->disk;

    printf("checkpoints %lld written", (long long)d->written);
    if (d->checkpoint > 0)
        printf(" of %s", mu_amount_bytes(d->checkpoint).text);
    printf(", %lld kept", (long long)d->kept);
    if (d->checkpoint > 0)
        printf(": up to %s", mu_amount_bytes(d->most).text);
    if (!isnan(d->left))
        printf("; %s left on the disk", mu_amount_bytes(d->left).text);
    putchar('\n');
}

/* "1-8, 11, 16": all good numbers of workers. */
static void print_good(const struct mu_plan *p)
{
    const int64_t shards = p->settings.batch_shards;
    const char *comma = "";

    printf("workers     ");
    for (int64_t w = 1, to; w <= shards; w = to + 1) {
        for (to = w; mu_plan_efficiency(shards, to) >= MU_PLAN_GOOD_EFFICIENCY && to <= shards;)
            to++;
        to--;
        if (to > w)
            printf("%s%lld-%lld", comma, (long long)w, (long long)to);
        else if (to == w)
            printf("%s%lld", comma, (long long)w);
        comma = to >= w ? ", " : comma;
        to = to >= w ? to : w;
    }
    printf(": these numbers have work at least %.0f %% of the time\n",
           100 * MU_PLAN_GOOD_EFFICIENCY);
}

static void print_speed(const struct mu_plan *p)
{
    const double tokens = p->tokens.a_step / (double)p->settings.batch_shards / p->alone.shard,
                 flops = p->counts.flops_non_embedding_head * tokens;

    if (p->measured != MU_OK) {
        printf("speed       not measured: %s\n",
               p->settings.device_kind == MU_DEVICE_CUDA ? "GPUs are not timed here"
               : p->measured == MU_NOT_FOUND             ? "as asked"
               : p->measured == MU_TIMEOUT               ? "this machine is too slow, or too busy"
               : p->measured == MU_NO_MEMORY             ? "too little memory is free to try"
                                                         : "it failed, see above");
        return;
    }
    printf("speed       %.3g tokens/s of one worker alone here", tokens);
    if (p->settings.model_kind != MU_MODEL_SYNTHETIC)
        printf(", %.3g GFLOP/s", flops * 1e-9);
    if (p->together.beside > 0)
        printf("; %.0f %% of that beside %u other%s",
               100 * fmin(1, p->alone.shard / p->together.shard), p->together.beside,
               mu_plural(p->together.beside));
    if (p->alone.layers < p->settings.model_layers)
        printf("\n            (followed from one and two layers, of sequences of %lld)",
               (long long)p->alone.context);
    if (p->load > 0.5 * (double)p->cores)
        printf("\n            (others use this machine: load %.3g on %lld cores; times are of now)",
               p->load, (long long)p->cores);
    putchar('\n');
}

static void print_rows(const struct mu_plan *p)
{
    const bool timed = p->measured == MU_OK;
    bool crowded = false;

    putchar('\n');
    print_good(p);
    print_speed(p);
    printf("\n%9s %11s %11s", "workers", "shards each", "efficiency");
    printf(timed ? " %11s %11s\n" : "\n", "a step", p->done_steps > 0 ? "the rest" : "the run");
    for (uint32_t i = 0; i < p->row_count; i++) {
        const struct mu_plan_row *row = &p->row[i];
        const bool crowd = row->workers * p->settings.device_threads > p->cores;

        printf("%8lld%c %11lld %10.0f%%", (long long)row->workers,
               row->efficiency >= MU_PLAN_GOOD_EFFICIENCY ? '*' : ' ', (long long)row->shards_each,
               100 * row->efficiency);
        if (timed && crowd)
            printf(" %11s %11s", "-", "-");
        else if (timed)
            printf(" %11s %11s", mu_amount_duration(row->step_seconds).text,
                   mu_amount_duration(row->run_seconds).text);
        puts((int64_t)i == p->chosen ? "  <-" : "");
        crowded = crowded || (timed && crowd);
    }
    printf("(*: good; <-: %s", several(p->ranks, "rank").text);
    if (p->ranks > p->workers)
        printf(" are %s and %s", several(p->workers, "worker").text,
               several(p->ranks - p->workers, "spare").text);
    puts(crowded ? "; -: more than the cores here)" : ")");
}

void mu_plan_print(const struct mu_plan *p)
{
    print_standing(p);
    print_model(p);
    print_tokens(p);
    print_memory(p);
    print_disk(p);
    print_rows(p);
    fflush(stdout);
}
