#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/slurm/submission.h"

enum { WARNING_S = 120, LEAST_S = 60 };

static const char *value_at(const struct mu_submit_request *r, int i, const char *brief,
                            const char *name)
{
    const char *word = r->options[i], *next = i + 1 < r->option_count ? r->options[i + 1] : "";
    const size_t n = strlen(name);

    if (strcmp(word, brief) == 0 || strcmp(word, name) == 0)
        return next;
    if (strncmp(word, name, n) == 0 && word[n] == '=')
        return word + n + 1;
    return word[0] == '-' && word[1] != '-' && strncmp(word, brief, 2) == 0 ? word + 2 : NULL;
}

const char *mu_submit_option(const struct mu_submit_request *r, const char *brief, const char *name)
{
    const char *value = NULL;

    for (int i = 0; i < r->option_count && !value; i++)
        value = value_at(r, i, brief, name);
    return value;
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

static enum mu_status read_time(struct mu_submission *s)
{
    const char *text = mu_submit_option(s->request, "-t", "--time");

    if (!text)
        text = getenv("SBATCH_TIMELIMIT");
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

long long mu_submit_warning_s(const struct mu_submission *s)
{
    return s->time_s > 0 && s->time_s / 4 < WARNING_S ? s->time_s / 4 : (long long)WARNING_S;
}

/* A number of so many, and nothing else; 0: it is none. */
static int64_t number(const char *text)
{
    char *end;
    const long long value = text ? strtoll(text, &end, 10) : 0;

    return text && end != text && !*end && value > 0 && value < 1000000 ? value : 0;
}

static void read_tasks(struct mu_submission *s)
{
    s->ranks = number(mu_submit_option(s->request, "-n", "--ntasks"));
    if (s->ranks == 0)
        s->ranks = number(mu_submit_option(s->request, "-N", "--nodes")) *
                   number(mu_submit_option(s->request, "--ntasks-per-node", "--ntasks-per-node"));
}

/* "run.steps=5" would be taken for a script. */
static enum mu_status refuse_keys(const struct mu_submit_request *r)
{
    for (int i = 0; i < r->option_count; i++) {
        const size_t n = strcspn(r->options[i], "=");
        char name[128];

        if (r->options[i][n] != '=' || n >= sizeof name)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)n, r->options[i]);
        if (mu_key_find(name))
            return MU_FAIL(MU_USAGE,
                           "%s stands behind options of sbatch; expected before them: muster "
                           "submit CONFIG key=value... OPTIONS",
                           r->options[i]);
    }
    return MU_OK;
}

enum mu_status mu_submit_read_options(struct mu_submission *s)
{
    const struct mu_submit_request *r = s->request;
    enum mu_status st;

    MU_TRY(refuse_keys(r), st, failed);
    if (mu_submit_option(r, "-a", "--array"))
        return MU_FAIL(MU_USAGE,
                       "--array: all its tasks would train the same %s: copy scripts/slurm/%s",
                       s->is_sweep ? "sweep" : "run",
                       s->is_sweep ? "sweep-array.sbatch instead, whose tasks share it"
                                   : "train.sbatch instead, with "
                                     "run.name=NAME-$SLURM_ARRAY_TASK_ID behind \"$config\"");
    if (mu_submit_option(r, "-W", "--wait"))
        return MU_FAIL(MU_USAGE, "--wait: a job may be queued again for days; see how far it is "
                                 "with: muster status RUN --watch");
    MU_TRY(read_time(s), st, failed);
    read_tasks(s);
failed:
    return st;
}
