#include "orchestrator/slurm/submission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/program.h"
#include "orchestrator/launch/words.h"

enum { OPTIONS = 200 };

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

/* In a comment of the batch script's, as sbatch reads it. */
static void print_sbatch(FILE *f, const char *option, const char *text, const char *more)
{
    fprintf(f, "#SBATCH --%s=\"", option);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', f);
        putc(*text, f);
    }
    fprintf(f, "%s\"\n", more);
}

/* sbatch has no way to name a file with a % or a \ in its path: then its own default is left. */
static void print_output(FILE *f, const struct mu_submission *s)
{
    if (strcspn(s->folder, "%\\") == strlen(s->folder))
        print_sbatch(f, "output", s->folder, "/slurm-%j.out");
    else
        mu_log(MU_LOG_WARN,
               "what the job says goes to slurm-JOB.out in this folder: %s cannot be "
               "told to sbatch",
               s->folder);
}

static enum mu_status write_script(struct mu_submission *s)
{
    const struct mu_submit_request *r = s->request;
    const char *name = strrchr(s->folder, '/');
    char program[MU_PATH_MAX], *here = getcwd(NULL, 0);
    size_t size;
    FILE *f = here ? open_memstream(&s->script, &size) : NULL;

    if (!f) {
        free(here);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a batch script");
    }
    mu_program_path(program);
    fputs("#!/bin/bash\n# Written by muster submit; sbatch goes on with it.\n", f);
    print_sbatch(f, "job-name", name ? name + 1 : s->folder, "");
    print_output(f, s);
    fprintf(f, "#SBATCH --signal=B:USR1@%lld\n", mu_submit_warning_s(s));
    fputs("#SBATCH --no-kill\n#SBATCH --requeue\n#SBATCH --open-mode=append\n\ncd ", f);
    print_quoted(f, here);
    free(here);
    fputs(" || exit\nexec ", f);
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
static void show(const struct mu_submission *s)
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

/* The number of the job is the last line that sbatch says, up to a semicolon; warnings come before
 * it. */
static void take_job(struct mu_apart *a, char job[64])
{
    const char *last;

    while (a->length > 0 && a->text[a->length - 1] == '\n')
        a->text[--a->length] = 0;
    last = strrchr(a->text, '\n');
    last = last ? last + 1 : a->text;
    snprintf(job, 64, "%.*s", (int)strcspn(last, ";"), last);
}

static enum mu_status explain(const struct mu_submission *s, const struct mu_apart *a)
{
    char why[300];

    mu_apart_explain(a, why, sizeof why);
    if (a->error == ENOENT)
        return MU_FAIL(MU_FAILED, "there is no sbatch on PATH: this is no machine of a Slurm "
                                  "cluster (muster launch needs none)");
    if (a->late)
        return MU_FAIL(MU_TIMEOUT,
                       "sbatch has not answered for %u s: whether the job is queued is not known; "
                       "look at squeue before you submit %s again",
                       s->request->deadline_ms / 1000, s->path);
    return MU_FAIL(MU_FAILED, "sbatch: %s", why);
}

/* MU_TIMEOUT: there may be a job. */
static enum mu_status hand_over(const struct mu_submission *s, bool is_test)
{
    const struct mu_submit_request *r = s->request;
    const char *words[OPTIONS + 4] = {"sbatch", "--parsable"};
    char job[64], id[MU_PATH_MAX];
    struct mu_apart *a;
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
    mu_apart_start(a, words, r->deadline_ms);
    mu_apart_wait(&a, 1, NULL);
    if (!mu_apart_succeeded(a)) {
        st = explain(s, a);
    } else if (is_test) {
        fputs(a->text, stdout);
    } else {
        take_job(a, job);
        printf("job %s: %s\n", job, s->folder);
        if (mu_path_format(id, "%s/" MU_SUBMITTED_FILE, s->folder) != MU_OK ||
            mu_file_write_atomically(id, job, strlen(job)) != MU_OK)
            mu_log(MU_LOG_WARN,
                   "the job is queued, but %s/" MU_SUBMITTED_FILE " could not be written",
                   s->folder);
    }
    free(a);
    return st;
}

static enum mu_status submit(const struct mu_submission *s)
{
    const bool is_test = mu_submit_option(s->request, "--test-only", "--test-only") != NULL;
    const bool had_runs = mu_file_exists(s->settings.run_dir);
    enum mu_status st;

    MU_TRY(mu_submit_check_free(s), st, failed);
    MU_TRY(mu_file_make_folders(s->folder), st, failed);
    MU_TRY(mu_file_write_atomically(s->path, s->script, strlen(s->script)), st, failed);
    st = hand_over(s, is_test);
    if (st == MU_TIMEOUT)
        return MU_FAILED;
    if (st != MU_OK || is_test) { /* there is no job; a folder with more in it stays */
        unlink(s->path);
        if (rmdir(s->folder) == 0 && !had_runs)
            rmdir(s->settings.run_dir);
    }
failed:
    return st;
}

static enum mu_status check_folder(const struct mu_submission *s)
{
    if (s->folder[strcspn(s->folder, "\r\n")])
        return MU_FAIL(MU_CONFIG,
                       "run.dir has the end of a line in it, which a batch script cannot "
                       "tell to sbatch; expected another folder");
    return MU_OK;
}

enum mu_status mu_submit_run(const struct mu_submit_request *request)
{
    struct mu_submission *s = calloc(1, sizeof *s);
    enum mu_status st;

    if (!s)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a submission");
    s->request = request;
    s->is_sweep = strcmp(request->words[0], "sweep") == 0;
    MU_TRY(mu_launch_check_words(request->words, request->word_count, &s->settings, s->folder), st,
           done);
    MU_TRY(mu_path_format(s->path, "%s/job.sbatch", s->folder), st, done);
    MU_TRY(check_folder(s), st, done);
    MU_TRY(mu_submit_read_options(s), st, done);
    MU_TRY(mu_submit_check(s), st, done);
    MU_TRY(write_script(s), st, done);
    if (request->dry_run)
        show(s);
    else
        st = submit(s);
done:
    free(s->script);
    free(s);
    return st;
}
