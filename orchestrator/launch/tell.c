#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/parts.h"

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? 1e-9 * (double)(to_ns - from_ns) : 0;
}

/* Newest last. */
void mu_launch_note_story(struct mu_launch *l, const struct mu_ladder_next *next,
                          const struct mu_ladder_end *end)
{
    char *story = l->story[MU_LADDER_STILL - 1];
    const struct mu_generation *g = &l->now;
    const char *starter = g->by_srun ? "srun" : "mpirun";
    char what[450];

    memmove(l->story[0], l->story[1], sizeof l->story - sizeof l->story[0]);
    snprintf(what, sizeof what, "%s", mu_ladder_cause_words(next->cause));
    if ((next->cause == MU_CAUSE_RANKS_DIED || next->cause == MU_CAUSE_START_DIED) && g->dead[0])
        snprintf(what, sizeof what, "%s died", g->dead);
    else if (next->cause == MU_CAUSE_MPIRUN_KILLED)
        snprintf(what, sizeof what, "%s was killed (signal %d)", starter, end->mpirun_signal);
    else if (next->cause == MU_CAUSE_MPIRUN_ENDED)
        snprintf(what, sizeof what, "%s ended with exit code %d", starter, end->exit_code);
    if (end->step >= 0 && l->is_sweep)
        snprintf(story, MU_STORY_MAX, "generation %d: %s after %" PRId64 " steps of its trials",
                 g->number, what, l->trials.steps);
    else if (end->step >= 0)
        snprintf(story, MU_STORY_MAX, "generation %d: %s at step %" PRId64, g->number, what,
                 end->step);
    else
        snprintf(story, MU_STORY_MAX, "generation %d: %s before the first step", g->number, what);
}

/* From where the ranks will go on. They decide: with hosts whose memory cannot be seen from here
 * they may know better. */
static void describe_beginning(const struct mu_launch *l, char *out, size_t capacity)
{
    int64_t saved = l->is_sweep ? 0 : mu_outcome_saved(l->run);
    const char *or_later = l->now.is_abroad ? " or later" : "";

    if (l->is_sweep && l->memory_trials > 0)
        snprintf(out, capacity, "from its journal, the states of %d trial%s in memory",
                 l->memory_trials, mu_plural((uint64_t)l->memory_trials));
    else if (l->is_sweep)
        snprintf(out, capacity, "from its journal");
    else if (!l->now.is_abroad && l->memory_step > 0 && l->memory_step >= saved)
        snprintf(out, capacity, "from the state in memory");
    else if (saved > 0)
        snprintf(out, capacity, "from the checkpoint of step %" PRId64 "%s", saved, or_later);
    else
        snprintf(out, capacity, "from the beginning%s", or_later);
}

void mu_launch_tell_relaunch(const struct mu_launch *l, const struct mu_ladder_plan *plan,
                             uint64_t pause_ms)
{
    char when[48] = "", from[80], with[80] = "when a host is tried again, since none is left now";

    if (pause_ms > 0)
        snprintf(when, sizeof when, " in %.3g s", 1e-3 * (double)pause_ms);
    if (plan->ranks > 0)
        snprintf(with, sizeof with, "with %u rank%s on %u host%s", plan->ranks,
                 mu_plural(plan->ranks), plan->hosts, mu_plural(plan->hosts));
    describe_beginning(l, from, sizeof from);
    mu_log(plan->ranks > 0 ? MU_LOG_INFO : MU_LOG_WARN, "%s; starting again%s %s, %s (%.2f s)",
           l->story[MU_LADDER_STILL - 1], when, with, from, seconds(l->ended_ns, mu_clock_ns()));
}

void mu_launch_tell_training(const struct mu_launch *l)
{
    const struct mu_generation *g = &l->now;

    if (g->number > 1)
        mu_log(MU_LOG_INFO, "generation %d trains, %.2f s after the end of generation %d",
               g->number, seconds(l->ended_ns, g->training_ns), g->number - 1);
    else if (l->request->allocation && l->request->allocation->restarts > 0)
        mu_log(MU_LOG_INFO, "trains again, %.2f s after this start of the job",
               seconds(l->request->allocation->read_ns, g->training_ns));
    if (g->seen_ns != 0 && g->started_ns != 0)
        mu_log(MU_LOG_DEBUG,
               "generation %d, parts of its start: clearing %.3f s, mpirun %.3f s, MPI_Init %.3f "
               "s, loading %.3f s",
               g->number, l->ended_ns ? seconds(l->ended_ns, g->start_ns) : 0,
               seconds(g->start_ns, g->seen_ns), seconds(g->seen_ns, g->started_ns),
               seconds(g->started_ns, g->training_ns));
}

void mu_launch_tell_diagnosis(const struct mu_launch *l, const struct mu_ladder_next *next)
{
    if (next->no_progress && l->is_sweep)
        mu_log(MU_LOG_ERROR,
               "the sweep does not get beyond %" PRId64 " steps of its trials: in %" PRId64
               " generations in a row no trial has committed anything new. Starting again will not "
               "help until the reason is found:",
               l->trials.steps, l->ladder.most_still);
    else if (next->no_progress)
        mu_log(MU_LOG_ERROR,
               "the run does not get beyond step %" PRId64 ": %" PRId64
               " generations in a row have committed nothing new. Starting again will not help "
               "until the reason is found:",
               l->ladder.best_step, l->ladder.most_still);
    else
        mu_log(MU_LOG_ERROR,
               "no relaunch is left of the %" PRId64 " that were allowed (--max-restarts):",
               l->ladder.most_restarts);
    for (int i = 0; i < MU_LADDER_STILL; i++)
        if (l->story[i][0])
            mu_log(MU_LOG_ERROR, "  %s", l->story[i]);
}

void mu_launch_tell_end(const struct mu_launch *l, enum mu_status st)
{
    char causes[400] = "";
    size_t n = 0;

    for (int c = 0; c < MU_CAUSE_COUNT; c++) {
        if (c == MU_CAUSE_COMPLETE || c == MU_CAUSE_STOPPED || l->count[c] == 0 ||
            n >= sizeof causes)
            continue;
        n += (size_t)snprintf(causes + n, sizeof causes - n, "%s%s: %" PRId64, n ? ", " : "",
                              mu_ladder_cause_words((enum mu_ladder_cause)c), l->count[c]);
    }
    mu_log(MU_LOG_INFO, "launch: %s; %d generation%s%s%s%s",
           st == MU_OK        ? "complete"
           : st == MU_REQUEUE ? "stopped on request: the same command goes on"
                              : mu_status_meaning(st),
           l->generations, mu_plural((uint64_t)l->generations), n ? " (" : "", causes,
           n ? ")" : "");
    if (l->generations > 1)
        mu_log(MU_LOG_INFO,
               "launch: %.1f s in all between the end of a generation and the training "
               "of the next",
               1e-9 * (double)l->lost_ns);
}
