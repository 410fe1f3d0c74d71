/* The commands of `muster`. A verb gets its own words only (argv[0] is the verb) and gives back
 * what the process should exit with, as a status. Each prints its own --help (options.h). */
#ifndef MUSTER_CLI_VERBS_H
#define MUSTER_CLI_VERBS_H

#include <stddef.h>

#include "orchestrator/base/status.h"

/* HERE or RANKS (function suffix, word, one line of help): HERE runs in the process that was
 * typed, without MPI; RANKS is for MPI ranks, also a single one. Without help a verb is not listed:
 * nobody is meant to type it as such. */
#define MU_VERB_TABLE(HERE, RANKS)                                                         \
    RANKS(train, "train", "train a model; run it alone or under mpirun")                   \
    HERE(launch, "launch", "train under mpirun, and start again what dies")                \
    HERE(status, "status", "show how far a run or a sweep has come, once or live")         \
    HERE(plot, "plot", "draw the losses of runs: in the terminal, as SVG or PNG")          \
    HERE(stop, "stop", "end a run after the step under way, with a checkpoint")            \
    HERE(checkpoint, "checkpoint", "have a run write a checkpoint now")                    \
    HERE(resize, "resize", "change the number of ranks of a launched run")                 \
    HERE(inspect, "inspect", "show what a checkpoint, run directory or token file holds")  \
    HERE(diff, "diff", "find where two runs or checkpoints part")                          \
    HERE(verify, "verify", "check the files of a run or checkpoint")                       \
    HERE(generate, "generate", "continue a text with a trained model")                     \
    HERE(tokenize, "tokenize", "make token files from text")                               \
    HERE(plan, "plan", "tell what a run or a sweep takes, before it runs")                 \
    RANKS(sweep, "sweep", "train all trials of a sweep; run it alone or under mpirun")     \
    HERE(fit, "fit", "fit scaling laws to losses of training runs, and recommend a model") \
    RANKS(profile, "profile", "measure where the time of a step goes")                     \
    HERE(drill, "drill", "kill ranks of short runs of a config, and compare the results")  \
    HERE(doctor, "doctor", "tell what this machine can do, and what it lacks")             \
    HERE(config, "config", "explain configuration keys, check a file, print it resolved")  \
    RANKS(rank_check, "rank-check", "")                                                    \
    RANKS(version, "--version", "")

#define MU_VERB_DECLARE(suffix, word, help) enum mu_status mu_cli_##suffix(int argc, char **argv);
MU_VERB_TABLE(MU_VERB_DECLARE, MU_VERB_DECLARE)
#undef MU_VERB_DECLARE

struct mu_verb {
    const char *word, *help;
    enum mu_status (*run)(int argc, char **argv);
};

/* Finds the verb in argv[1] and runs it; answers --help and --version; an unknown verb is MU_USAGE
 * with the nearest one. MU_FAILED when stdout could not be written (a full disk, a closed pipe). */
enum mu_status mu_cli_run(const struct mu_verb *verbs, size_t count, int argc, char **argv);

/* Of a program without MPI: goes on as muster-rank with the same words. Gives back only what went
 * wrong. */
enum mu_status mu_cli_become_rank(int argc, char **argv);

#endif
