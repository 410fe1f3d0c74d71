#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/part_option.h"
#include "orchestrator/cli/train_options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/config.h"
#include "orchestrator/core/ladder.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/launch/launch.h"
#include "orchestrator/launch/mpi_settings.h"
#include "orchestrator/launch/words.h"
#include "orchestrator/run/aside.h"
#include "orchestrator/run/which_checkpoint.h"
#include "orchestrator/slurm/allocation.h"
#include "orchestrator/slurm/gpus.h"
#include "orchestrator/slurm/slurmd.h"
#include "orchestrator/slurm/step.h"
#include "worker/board.h"

/* Where the run begins: what `train` understands, too. */
struct beginning {
    const char *from;
    bool weights_only, fresh;
    const char *part_text; /* of a sweep; NULL: all of it */
    struct mu_sweep_part part;
};

static bool is_sweep(const struct mu_words *words)
{
    return strcmp(words->word[0], "sweep") == 0;
}

static enum mu_status check(const struct mu_command *command, const struct mu_words *words,
                            const struct mu_launch_request *request, struct beginning *begin)
{
    if (!mu_part_option_take(begin->part_text, &begin->part))
        return mu_part_option_refuse(command, begin->part_text);
    if (!is_sweep(words) && strcmp(words->word[0], "train") != 0)
        return mu_options_refuse(command,
                                 "'%s' cannot be launched; expected: train CONFIG or sweep SWEEP",
                                 words->word[0]);
    if (strchr(words->word[1], '='))
        return mu_options_refuse(command, "%s is missing: the first word after %s is %s",
                                 is_sweep(words) ? "SWEEP" : "CONFIG", words->word[0],
                                 words->word[1]);
    if (is_sweep(words) && (begin->from || begin->weights_only || begin->fresh))
        return mu_options_refuse(command,
                                 "--%s is for train: a sweep begins its trials by itself, and "
                                 "another sweep.name begins it anew",
                                 begin->from ? "from" : "fresh");
    if (begin->part_text && !is_sweep(words))
        return mu_options_refuse(command, "--part is for sweep: a run is not split");
    if (request->hosts && request->hostfile)
        return mu_options_refuse(command, "--hosts and --hostfile: give one of them");
    return mu_fault_init();
}

static enum mu_status read_config(const struct mu_words *words, struct mu_sweep_part part,
                                  char folder[MU_PATH_MAX], bool *has_time_limit)
{
    struct mu_settings *settings = malloc(sizeof *settings);
    enum mu_status st;

    if (!settings)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the configuration");
    st = mu_launch_check_words(words->word, words->count, part, settings, folder);
    *has_time_limit = st == MU_OK && settings->run_time_limit > 0;
    free(settings);
    return st;
}

/* The words for the ranks. --fresh is not among them: it is done once, here, and not again by each
 * generation. */
static char **words_of_ranks(const struct mu_words *words, const struct beginning *begin,
                             int *count)
{
    static char from[] = "--from", weights_only[] = "--weights-only", part[] = "--part";
    char **list = calloc((size_t)words->count + 6, sizeof *list);

    *count = words->count;
    if (!list)
        return NULL;
    memcpy(list, words->word, (size_t)words->count * sizeof *list);
    if (begin->from) {
        list[(*count)++] = from;
        list[(*count)++] = (char *)(uintptr_t)begin->from; /* from argv, and not written to */
    }
    if (begin->weights_only)
        list[(*count)++] = weights_only;
    if (begin->part_text) {
        list[(*count)++] = part;
        list[(*count)++] = (char *)(uintptr_t)begin->part_text;
    }
    return list;
}

/* In a Slurm job: its nodes, its time. A job that was queued again does not begin anew. */
static enum mu_status read_allocation(const struct mu_command *command,
                                      struct mu_launch_request *request,
                                      struct mu_slurm_allocation *a, struct beginning *begin)
{
    enum mu_status st;

    MU_TRY(mu_slurm_allocation_read(a), st, failed);
    if (!a->is_there && request->requeue)
        return mu_options_refuse(command,
                                 "--requeue: this is no Slurm job (SLURM_JOB_ID is not set)");
    if (!a->is_there)
        return MU_OK;
    mu_slurm_gpus_ask(a);
    mu_slurm_allocation_ask(a);
    mu_slurm_allocation_tell(a);
    request->allocation = a;
    if (mu_launch_is_by_slurm(request))
        mu_slurmd_meet(a);
    if (request->cool_off_s == 0)
        request->cool_off_s = MU_LAUNCH_REST_OF_JOB_S;
    if (a->restarts > 0 && begin->fresh)
        mu_log(MU_LOG_INFO, "--fresh was for the first start of this job: going on");
    begin->fresh = begin->fresh && a->restarts == 0;
failed:
    return st;
}

static enum mu_status refuse_hosts(const struct mu_command *command)
{
    return mu_options_refuse(command, "--hosts and --hostfile are for mpirun: srun starts ranks on "
                                      "the nodes of the job");
}

/* Whether mpirun is to start the ranks, or srun. */
static enum mu_status choose_starter(const struct mu_command *command,
                                     struct mu_launch_request *request)
{
    struct mu_mpi_place place;

    request->by_srun = mu_slurm_is_srun(request->mpirun);
    if (request->by_srun && !request->allocation)
        return mu_options_refuse(
            command, "--mpirun srun: this is no Slurm job (SLURM_JOB_ID is not set); type the same "
                     "in a script for sbatch, or after salloc");
    if (request->by_srun && (request->hosts || request->hostfile))
        return refuse_hosts(command);
    mu_mpi_find(&place);
    if (request->mpirun || access(place.mpirun, X_OK) == 0)
        return MU_OK;
    if (!request->allocation)
        return MU_FAIL(MU_FAILED,
                       "there is no %s: without it ranks can be started in a Slurm job only, by "
                       "srun; or give --mpirun PATH",
                       place.mpirun);
    if (request->hosts || request->hostfile)
        return refuse_hosts(command);
    request->by_srun = true;
    mu_log(MU_LOG_INFO,
           "there is no %s: ranks are started by srun --mpi=pmix, and all of them again when one "
           "dies",
           place.mpirun);
    return MU_OK;
}

static enum mu_status check_origin(const char *run, const struct beginning *order)
{
    char checkpoint[MU_PATH_MAX];
    struct mu_checkpoint_info info = {0};
    enum mu_status st = mu_which_checkpoint(order->from, checkpoint, &info);

    mu_checkpoint_info_deinit(&info);
    if (st != MU_OK)
        return MU_FAIL(MU_CONFIG, "--from %s cannot be used", order->from);
    return order->fresh ? mu_run_aside_leaves(run, checkpoint) : MU_OK;
}

static enum mu_status begin_fresh(const char *run)
{
    if (mu_hold_is_taken(run))
        return MU_FAIL(
            MU_FAILED,
            "--fresh: another muster launch has %s: stop it first (muster stop %s), or give "
            "this run another run.name",
            run, run);
    return mu_run_aside_for_fresh(run);
}

/* What the ranks would refuse is refused here, before anything is put aside or made for it. */
static enum mu_status begin_run(const char *run, const struct beginning *order)
{
    enum mu_status st = MU_OK;

    if (order->from && (order->fresh || !mu_file_exists_in(run, "config.cfg")))
        st = check_origin(run, order);
    if (st == MU_OK && order->fresh)
        st = begin_fresh(run);
    return st;
}

enum mu_status mu_cli_launch(int argc, char **argv)
{
    struct mu_launch_request request = {.most_restarts = 100,
                                        .most_still = MU_LADDER_STILL,
                                        .start_deadline_s = 120,
                                        .stall_deadline_s = 600,
                                        .host_deadline_s = 4,
                                        .cool_off_s = 0};
    struct beginning begin = {0};
    const struct mu_option options[] = {
        {"ranks", "N",
         "ranks (also -n N); otherwise as many as the hosts have slots, or as this "
         "process may use cores",
         .integer = &request.ranks, .least = 1, .most = MU_BOARD_RANKS},
        {"hosts", "A:4,B:4", "hosts with their slots; otherwise this machine",
         .text = &request.hosts},
        {"hostfile", "FILE", "the same, a line each: NAME slots=4; looked at again when it changes",
         .text = &request.hostfile},
        {"mpirun", "PATH",
         "another mpirun than that of the Open MPI muster was built with; srun: none, in a Slurm "
         "job: ranks are started by srun --mpi=pmix, as they are where there is no mpirun",
         .text = &request.mpirun},
        {"mpirun-args", "WORDS", "further arguments for mpirun (or srun), separated by spaces",
         .text = &request.mpirun_args},
        {"max-restarts", "K", "relaunches after failures, at most (100)",
         .integer = &request.most_restarts, .least = 0, .most = 1e9},
        {"patience", "K", "generations in a row that may fail without a newly committed step (3)",
         .integer = &request.most_still, .least = 1, .most = 1e6},
        {"start-deadline", "S", "seconds that a start may take (120)",
         .integer = &request.start_deadline_s, .least = 1, .most = 1e6},
        {"stall-deadline", "S",
         "seconds without any sign of progress after which all ranks are "
         "ended and started again (600); 0: never",
         .integer = &request.stall_deadline_s, .least = 0, .most = 1e6},
        {"host-deadline", "S",
         "seconds without a sign of life of any rank of another host after which all are ended, "
         "and "
         "started again without it (4); 0: never",
         .integer = &request.host_deadline_s, .least = 0, .most = 1e6},
        {"cool-off", "S",
         "seconds for which a host is left out that failed (600; in a Slurm job: to its end)",
         .integer = &request.cool_off_s, .least = 1, .most = 1e6},
        {"requeue", NULL,
         "in a Slurm job that ends with exit code 75, by a signal or by the end of its time: have "
         "Slurm queue it again",
         .flag = &request.requeue},
        MU_PART_OPTION(begin.part_text),
        MU_TRAIN_OPTIONS(begin),
    };
    const struct mu_command command = {
        .usage = "muster launch [options] [--] train CONFIG [key=value...]\n"
                 "muster launch [options] [--part K/M] [--] sweep SWEEP [key=value...]",
        .about =
            "Starts mpirun for `muster train` or `muster sweep`, watches it, and starts it again "
            "when it, a host or all ranks die, until the run is complete. Stops when nothing is "
            "gained any more, and "
            "says why. TERM, Ctrl-C or USR1: checkpoint at the next step, exit code 75; a second "
            "TERM or Ctrl-C ends at once. USR2: checkpoint and go on. `muster resize` changes the "
            "number of ranks.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 2,
        .most_words = INT_MAX,
    };
    char folder[MU_PATH_MAX], **ranks_words = NULL;
    struct mu_slurm_allocation *allocation = NULL;
    bool has_time_limit = false;
    struct mu_words words;
    enum mu_status st;

    mu_options_spell_out_ranks(argc, argv);
    st = mu_options_parse(&command, argc, argv, &words);
    if (st != MU_OK || words.help_shown)
        return st;
    MU_TRY(mu_options_refuse_mpirun(&command), st, done);
    MU_TRY(check(&command, &words, &request, &begin), st, done);
    MU_TRY(read_config(&words, begin.part, folder, &has_time_limit), st, done);
    allocation = malloc(sizeof *allocation);
    if (!allocation)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for an allocation");
    else
        st = read_allocation(&command, &request, allocation, &begin);
    if (st == MU_OK)
        st = choose_starter(&command, &request);
    if (st != MU_OK)
        goto done;
    if (request.cool_off_s == 0)
        request.cool_off_s = MU_LADDER_COOL_OFF_MS / 1000;
    request.sets_time_limit = !has_time_limit;
    request.folder = folder;
    request.is_sweep = is_sweep(&words);
    request.words = ranks_words = words_of_ranks(&words, &begin, &request.word_count);
    st = ranks_words ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the words of the ranks");
    if (st == MU_OK)
        st = begin_run(folder, &begin);
    if (st != MU_OK)
        goto done;
    st = mu_launch_run(&request);
done:
    free(ranks_words);
    free(allocation);
    return st;
}
