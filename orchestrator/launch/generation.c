#include "orchestrator/launch/generation.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/remains.h"
#include "orchestrator/launch/token.h"

enum {
    POLITE_MS = 2000,  /* for an mpirun that was asked to end; it takes half a second */
    STEP_MS = 300,     /* in a hurry, for an srun to have its step ended */
    LEAVING_MS = 1000, /* for ranks to follow their mpirun */
    END_MS = 10000,
};

enum mu_status mu_generation_prepare(struct mu_generation *g)
{
    enum mu_status st;

    g->mpirun = g->pidfd = -1;
    MU_TRY(mu_token_make(g->job), st, failed);
    MU_TRY(mu_remains_make_folder(g->folder), st, failed);
    MU_TRY(mu_ranks_open(&g->ranks, g->job, g->ranks_wanted), st, failed);
    return MU_OK;
failed:
    mu_remains_remove_folder(g->folder);
    return st;
}

enum mu_status mu_generation_start(struct mu_generation *g, struct mu_mpirun_request *request)
{
    enum mu_status st;

    request->ranks = g->ranks_wanted;
    request->job = g->job;
    request->folder = g->folder;
    g->by_srun = request->by_srun;
    g->start_ns = mu_clock_ns();
    MU_TRY(mu_mpirun_start(request, &g->mpirun), st, failed);
    g->mpirun_start = mu_board_process_start((uint32_t)g->mpirun);
    g->pidfd = (int)syscall(SYS_pidfd_open, g->mpirun, 0); /* -1: then looks must do */
failed:
    return st;
}

static void take_end(struct mu_generation *g, int status)
{
    g->has_ended = true;
    g->end_ns = mu_clock_ns();
    g->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    g->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void look_at_board(struct mu_generation *g)
{
    uint64_t now_ns = mu_clock_ns();

    g->view = mu_ranks_look(&g->ranks);
    if (g->seen_ns == 0 && g->view.seen > 0)
        g->seen_ns = now_ns;
    if (g->started_ns == 0 && g->view.started > 0)
        g->started_ns = now_ns;
    g->has_started = g->has_started || g->view.started > 0;
    if (!g->has_started && g->view.dead > 0 && g->death_ns == 0) {
        g->death_ns = now_ns;
        mu_ranks_describe_dead(&g->ranks, g->dead, sizeof g->dead);
    }
    if (g->thinned_ns == 0 && g->view.dead > 0)
        g->thinned_ns = now_ns;
    if (g->view.living > 0 || g->view.seen == 0)
        g->nobody_ns = 0;
    else if (g->nobody_ns == 0)
        g->nobody_ns = now_ns;
    if (!g->mpi_files[0])
        mu_ranks_find_mpi_files(&g->ranks, g->mpi_files, sizeof g->mpi_files);
}

/* Who died first during a start is the one to name: mpirun then ends the others. */
static void describe_dead(struct mu_generation *g)
{
    if (g->death_ns == 0 || g->has_started)
        mu_ranks_describe_dead(&g->ranks, g->dead, sizeof g->dead);
}

void mu_generation_look(struct mu_generation *g, const char *run)
{
    int status;

    if (g->has_ended)
        return; /* who is dead now died with it */
    look_at_board(g);
    if (!g->is_training && mu_outcome_read(run, g->job).is_running) {
        g->is_training = g->has_started = true;
        g->training_ns = mu_clock_ns();
    }
    if (waitpid(g->mpirun, &status, WNOHANG) == g->mpirun) {
        take_end(g, status);
        look_at_board(g);
        describe_dead(g);
    }
}

void mu_generation_signal(struct mu_generation *g, int number)
{
    if (g->is_abroad && !g->has_ended)
        kill(g->mpirun, number);
    else
        mu_ranks_signal(&g->ranks, number);
}

/* Waits for mpirun's end. */
static bool wait_for_mpirun(struct mu_generation *g, uint64_t deadline_ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(deadline_ms);
    int status;

    while (waitpid(g->mpirun, &status, WNOHANG) != g->mpirun) {
        if (mu_deadline_passed(deadline))
            return false;
        mu_clock_sleep_us(2000);
    }
    take_end(g, status);
    return true;
}

void mu_generation_end(struct mu_generation *g, bool in_a_hurry)
{
    if (g->has_ended || g->mpirun <= 0)
        return;
    look_at_board(g);
    describe_dead(g);
    g->was_ended_here = true;
    if (!in_a_hurry || g->by_srun) {
        kill(g->mpirun, g->by_srun ? SIGINT : SIGTERM); /* srun hands TERM on to the ranks */
        if (wait_for_mpirun(g, in_a_hurry ? STEP_MS : POLITE_MS))
            return;
    }
    kill(g->mpirun, SIGKILL);
    if (!wait_for_mpirun(g, END_MS))
        mu_log(MU_LOG_WARN, "mpirun (pid %d) does not end", (int)g->mpirun);
    g->has_ended = true;
    g->end_ns = mu_clock_ns();
}

/* Ranks leave by themselves, or die with their mpirun; whoever is slow is not waited for. */
static void let_ranks_leave(struct mu_generation *g)
{
    struct mu_deadline deadline = mu_deadline_in_ms(LEAVING_MS);

    while (mu_ranks_look(&g->ranks).living > 0 && !mu_deadline_passed(deadline))
        mu_clock_sleep_us(2000);
}

enum mu_status mu_generation_clear(struct mu_generation *g)
{
    enum mu_status st = MU_OK;

    if (g->ranks.entry) {
        if (g->mpirun > 0 && !g->was_ended_here)
            let_ranks_leave(g);
        st = mu_ranks_end(&g->ranks, g->mpirun > 0 ? g->mpirun : 0, END_MS);
    }
    mu_ranks_close(&g->ranks);
    mu_remains_remove_mpi_files(g->mpi_files);
    mu_remains_remove_folder(g->folder);
    if (g->pidfd >= 0)
        close(g->pidfd);
    g->pidfd = -1;
    return st;
}

struct mu_lease_record mu_generation_describe(const struct mu_generation *g)
{
    struct mu_lease_record r = {.mpirun = g->mpirun > 0 ? g->mpirun : 0,
                                .mpirun_start = g->mpirun_start};

    memcpy(r.job, g->job, sizeof r.job);
    memcpy(r.mpi_files, g->mpi_files, sizeof r.mpi_files);
    memcpy(r.folder, g->folder, sizeof r.folder);
    return r;
}
