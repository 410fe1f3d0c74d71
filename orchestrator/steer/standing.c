#include "orchestrator/steer/standing.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/launch/hold.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/steer/ranks.h"
#include "orchestrator/sweep_run/records.h"
#include "orchestrator/sweep_run/state.h"

enum mu_steer_folder mu_steer_folder_kind(const char *path)
{
    char above[MU_PATH_MAX];

    if (mu_file_exists_in(path, "sweep.json"))
        return MU_STEER_SWEEP;
    if (!mu_file_exists_in(path, "control")) /* what a launcher makes first */
        return MU_STEER_NO_FOLDER;
    if (mu_path_format(above, "%s/../..", path) == MU_OK && mu_file_exists_in(above, "sweep.json"))
        return MU_STEER_TRIAL;
    return MU_STEER_RUN;
}

static bool some_live(const char *run)
{
    struct mu_rank_row *row = NULL;
    uint32_t count = 0;
    bool found = false;

    if (mu_ranks_read(run, NULL, &row, &count) == MU_OK)
        for (uint32_t i = 0; i < count && !found; i++)
            found = row[i].pid != 0 && mu_rank_is_here(&row[i]) && mu_rank_lives(&row[i]);
    free(row);
    return found;
}

static void take_run(struct mu_steer_standing *s, const json_t *status)
{
    mu_json_copy_text(s->state, sizeof s->state, status, "state");
    mu_json_copy_text(s->message, sizeof s->message, status, "message");
    s->step = mu_json_get_integer(status, "step");
    s->steps = mu_json_get_integer(status, "steps");
    s->ranks = mu_json_get_integer(status, "ranks");
}

static void take_sweep(struct mu_steer_standing *s, const json_t *status)
{
    static const enum mu_cell_phase ends[] = {MU_CELL_COMPLETE, MU_CELL_DIVERGED,
                                              MU_CELL_OUT_OF_MEMORY, MU_CELL_FAILED};
    const json_t *phases = json_object_get(status, "phases");

    s->is_sweep = true;
    snprintf(s->state, sizeof s->state, "%s",
             mu_json_get_text(status, "ended")[0] ? "ended" : "running");
    mu_json_copy_text(s->message, sizeof s->message, status, "ended");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        s->step += mu_json_get_integer(phases, mu_cell_word(ends[i]));
    s->steps = mu_json_get_integer(status, "trials");
    s->ranks = mu_json_get_integer(json_object_get(status, "fleet"), "ranks");
}

struct mu_steer_standing mu_steer_standing(const char *run)
{
    struct mu_steer_standing s = {.is_locked = mu_run_dir_is_locked(run)};
    const bool is_sweep = mu_file_exists_in(run, "sweep.json");
    json_t *status = NULL;
    enum mu_status st =
        is_sweep ? mu_sweep_read_status(run, &status) : mu_run_dir_read_status(run, &status, NULL);
    char own[64] = "";

    s.is_read = st == MU_OK && status;
    mu_json_copy_text(s.outcome, sizeof s.outcome, status, "outcome");
    mu_json_copy_text(s.launch, sizeof s.launch, status, "launch");
    mu_json_copy_text(s.host, sizeof s.host, status, "host");
    mu_json_copy_text(s.updated, sizeof s.updated, status, "updated");
    if (is_sweep)
        take_sweep(&s, status);
    else
        take_run(&s, status);
    json_decref(status);
    gethostname(own, sizeof own - 1);
    s.is_abroad = !s.is_locked && s.is_read && s.host[0] && strcmp(s.host, own) != 0 &&
                  strcmp(s.state, "ended") != 0;
    s.has_ranks = !s.is_locked && strcmp(s.state, "ended") != 0 && some_live(run);
    /* Whether a complete run still has a launcher does not matter. */
    s.is_launched = !mu_steer_has_ended(&s, "complete") && mu_hold_is_taken(run);
    return s;
}

bool mu_steer_is_alive(const struct mu_steer_standing *s)
{
    return s->is_locked || s->has_ranks || s->is_launched || s->is_abroad;
}

bool mu_steer_has_ended(const struct mu_steer_standing *s, const char *outcome)
{
    return strcmp(s->state, "ended") == 0 && strcmp(s->outcome, outcome) == 0;
}

struct mu_steer_why mu_steer_tell_end(const struct mu_steer_standing *s)
{
    struct mu_steer_why why;
    char *t = why.text;

    if (!s->is_read)
        snprintf(t, sizeof why.text, "it has no status.json that can be read");
    else if (s->is_sweep && mu_steer_has_ended(s, "failed"))
        snprintf(t, sizeof why.text, "%s", s->message);
    else if (s->is_sweep)
        snprintf(t, sizeof why.text, "%" PRId64 " of %" PRId64 " trials have ended%s", s->step,
                 s->steps,
                 mu_steer_has_ended(s, "complete") ? ""
                                                   : "; it was stopped or killed, and the same "
                                                     "command goes on");
    else if (mu_steer_has_ended(s, "complete"))
        snprintf(t, sizeof why.text, "it is complete: step %" PRId64 " of %" PRId64, s->step,
                 s->steps);
    else if (mu_steer_has_ended(s, "requeue"))
        snprintf(t, sizeof why.text,
                 "it was stopped after step %" PRId64 "; the same command "
                 "goes on",
                 s->step);
    else if (strcmp(s->state, "ended") == 0)
        snprintf(t, sizeof why.text, "it has failed: %s", s->message);
    else
        snprintf(t, sizeof why.text,
                 "it was killed after step %" PRId64 " (%s); the same command goes on", s->step,
                 s->updated);
    return why;
}
