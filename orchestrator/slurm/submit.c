#include "orchestrator/slurm/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/apart.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/program.h"
#include "orchestrator/launch/words.h"
#include "orchestrator/plan/plan.h"

enum { SUBMIT_MS = 60000, WARNING_S = 120, LEAST_S = 60, OPTIONS = 200 };

struct submission {
    const struct mu_submit_request *request;
    struct mu_settings settings;
    char folder[MU_PATH_MAX], path[MU_PATH_MAX];
    long long time_s; /* 0: not given, or none */
    char *script;
};

/* ---- checks ---- */
/* The value of an option of sbatch's, as "-t V", "-tV", "--time V", "--time=V"; NULL: not given. */
static const char *option_value(const struct mu_submit_request *r, const char *brief,
                                const char *name)
{
    const size_t n = strlen(name);

    for (int i = 0; i < r->option_count; i++) {
        const char *word = r->options[i], *next = i + 1 < r->option_count ? r->options[i + 1] : "";

        if (strcmp(word, brief) == 0 || strcmp(word, name) == 0)
            return next;
        if (strncmp(word, name, n) == 0 && word[n] == '=')
            return word + n + 1;
        if (word[1] != '-' && strncmp(word, brief, 2) == 0)
            return word + 2;
    }
    return NULL;
}

long long mu_submit_seconds(const char *text)
{
    long long days = 0, part[3] = {0};
    int n = 0, used = 0;
    const char *dash = strchr(text, '-');

    if (strcasecmp(text, "unlimited") == 0 || strcasecmp(text, "infinite") == 0)
        return 0;
    if (dash && (sscanf(text, "%9lld%n", &days, &used) != 1 || text + used != dash || days < 0))
        return -1;
    for (text = dash ? dash + 1 : text; n < 3; text += used + 1) {
        if (*text < '0' || *text > '9' || sscanf(text, "%9lld%n", &part[n++], &used) != 1)
            return -1;
        if (text[used] != ':')
            break;
    }
    if (text[used])
        return -1;
    if (dash)
        return ((days * 24 + part[0]) * 60 + part[1]) * 60 + part[2];
    return n == 3   ? (part[0] * 60 + part[1]) * 60 + part[2]
           : n == 2 ? part[0] * 60 + part[1]
                    : part[0] * 60;
}

static enum mu_status check_time(struct submission *s)
{
    const char *text = option_value(s->request, "-t", "--time");

    if (!text)
        return MU_OK;
    s->time_s = mu_submit_seconds(text);
    if (s->time_s < 0)
        return MU_FAIL(MU_USAGE,
                       "--time %s is not understood; expected minutes, H:MM:SS or DAYS-H:MM:SS",
                       text);
    if (s->time_s > 0 && s->time_s < LEAST_S)
        return MU_FAIL(
            MU_USAGE, "--time %s is too short to start, train and save; expected a minute at least",
            text);
    if (s->settings.run_time_limit > s->time_s && s->time_s > 0)
        mu_log(MU_LOG_WARN,
               "run.time_limit = %lld s is more than the job's time of %lld s: the job would be "
               "ended without a checkpoint at its end; leave run.time_limit out, and the job's "
               "time is used",
               (long long)s->settings.run_time_limit, s->time_s);
    return MU_OK;
}

static void warn(void *context, const char *line)
{
    (void)context;
    mu_log(MU_LOG_WARN, "%s", line);
}

/* What `muster plan` finds without measuring: this is a login node, and not where it will run. */
static enum mu_status check_plan(const struct submission *s)
{
    struct mu_plan *plan;
    enum mu_status st;

    if (strcmp(s->request->words[0], "sweep") == 0)
        return MU_OK;
    plan = malloc(sizeof *plan);
    if (!plan)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a plan");
    MU_TRY(mu_plan_make(&s->settings, 0, false, plan), st, done);
    mu_plan_warnings(plan, &(struct mu_advice){warn, NULL});
    MU_TRY(mu_plan_verdict(plan), st, done);
    if (plan->disk.left < plan->disk.checkpoint)
        st = MU_FAIL(MU_FAILED, "a checkpoint takes %s, and the disk of %s has %s left",
                     mu_amount_bytes(plan->disk.checkpoint).text, s->settings.run_dir,
                     mu_amount_bytes(plan->disk.left).text);
done:
    free(plan);
    return st;
}

/* ---- the script ---- */
static void print_quoted(FILE *f, const char *word)
{
    if (word[0] && !word[strcspn(word, " \t\n'\"\\$`&|;()<>*?[]#~!{}")]) {
        fputs(word, f);
        return;
    }
    putc('\'', f);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", f);
        else
            putc(*word, f);
    putc('\'', f);
}

static enum mu_status write_script(struct submission *s)
{
    const struct mu_submit_request *r = s->request;
    const long long quarter_s = s->time_s / 4;
    const char *name = strrchr(s->folder, '/');
    char program[MU_PATH_MAX];
    size_t size;
    FILE *f = open_memstream(&s->script, &size);

    if (!f)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a batch script");
    mu_program_path(program);
    fprintf(f, "#!/bin/bash\n# Written by muster submit; sbatch %s goes on with it.\n", s->path);
    fprintf(f, "#SBATCH --job-name=\"%s\"\n", name ? name + 1 : s->folder);
    fprintf(f, "#SBATCH --output=\"%s/slurm-%%j.out\"\n", s->folder);
    fprintf(f, "#SBATCH --signal=B:USR1@%lld\n",
            s->time_s > 0 && quarter_s < WARNING_S ? quarter_s : (long long)WARNING_S);
    fputs("#SBATCH --no-kill\n#SBATCH --requeue\n#SBATCH --open-mode=append\n\nexec ", f);
    print_quoted(f, program);
    fputs(" launch --requeue --", f);
    for (int i = 0; i < r->word_count; i++) {
        putc(' ', f);
        print_quoted(f, r->words[i]);
    }
    putc('\n', f);
    return fclose(f) == 0 ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for a batch script");
}

/* ---- to Slurm ---- */
static void show(const struct submission *s)
{
    const struct mu_submit_request *r = s->request;

    printf("%s:\n%s\nsbatch", s->path, s->script);
    for (int i = 0; i < r->option_count; i++) {
        putchar(' ');
        print_quoted(stdout, r->options[i]);
    }
    putchar(' ');
    print_quoted(stdout, s->path);
    putchar('\n');
}

static enum mu_status hand_over(const struct submission *s)
{
    const struct mu_submit_request *r = s->request;
    const char *words[OPTIONS + 4] = {"sbatch", "--parsable"};
    struct mu_apart *a;
    char why[300];
    int n = 2;
    enum mu_status st = MU_OK;

    if (r->option_count > OPTIONS)
        return MU_FAIL(MU_USAGE, "more than %d words for sbatch", OPTIONS);
    for (int i = 0; i < r->option_count; i++)
        words[n++] = r->options[i];
    words[n] = s->path;
    a = calloc(1, sizeof *a);
    if (!a)
        return MU_FAIL(MU_NO_MEMORY, "no memory to submit a job");
    mu_apart_start(a, words, SUBMIT_MS);
    mu_apart_wait(&a, 1, NULL);
    if (mu_apart_succeeded(a)) {
        const char *last; /* warnings come before it */

        while (a->length > 0 && a->text[a->length - 1] == '\n')
            a->text[--a->length] = 0;
        last = strrchr(a->text, '\n');
        last = last ? last + 1 : a->text;
        printf("job %.*s: %s\n", (int)strcspn(last, ";"), last, s->folder);
    } else {
        mu_apart_explain(a, why, sizeof why);
        st = a->error == ENOENT
                 ? MU_FAIL(MU_FAILED, "there is no sbatch on PATH: this is no machine of a Slurm "
                                      "cluster (muster launch needs none)")
                 : MU_FAIL(MU_FAILED, "sbatch: %s", why);
    }
    free(a);
    return st;
}

enum mu_status mu_submit_run(const struct mu_submit_request *request)
{
    struct submission *s = calloc(1, sizeof *s);
    enum mu_status st;

    if (!s)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a submission");
    s->request = request;
    MU_TRY(mu_launch_check_words(request->words, request->word_count, (struct mu_sweep_part){0, 0},
                                 &s->settings, s->folder),
           st, done);
    MU_TRY(mu_path_format(s->path, "%s/job.sbatch", s->folder), st, done);
    MU_TRY(check_time(s), st, done);
    MU_TRY(check_plan(s), st, done);
    MU_TRY(write_script(s), st, done);
    if (request->dry_run) {
        show(s);
        goto done;
    }
    MU_TRY(mu_file_make_folders(s->folder), st, done);
    MU_TRY(mu_file_write_atomically(s->path, s->script, strlen(s->script)), st, done);
    st = hand_over(s);
    if (st != MU_OK) { /* there is no job; a folder with more in it stays */
        unlink(s->path);
        rmdir(s->folder);
    }
done:
    free(s->script);
    free(s);
    return st;
}
