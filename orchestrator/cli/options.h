/* The command line of a verb: one table of options, so that --help, mistakes and spelling are the
 * same everywhere.
 *
 *   static enum mu_status mu_cli_count(int argc, char **argv)
 *   {
 *       int64_t seed = 1;                       // a value that is not given stays as it is
 *       bool quiet = false;
 *       const struct mu_option options[] = {
 *           {"seed", "N", "seed of the order", .integer = &seed, .least = 0, .most = 1e9},
 *           {"quiet", NULL, "print nothing", .flag = &quiet},
 *       };
 *       const struct mu_command command = {
 *           .usage = "muster count [options] FILE...", .about = "Counts what is in files.",
 *           .options = options, .option_count = 2, .least_words = 1, .most_words = INT_MAX};
 *       struct mu_words words;
 *       enum mu_status st = mu_options_parse(&command, argc, argv, &words);
 *       if (st != MU_OK || words.help_shown)
 *           return st;
 *       ... words.word[0 .. words.count) ...
 *   }
 *
 * `--name value` and `--name=value` are both understood, anywhere among the words; `--` ends the
 * options; --help and -h exist in every verb. Names are not abbreviated: a script must not change
 * its meaning when an option is added. */
#ifndef MUSTER_CLI_OPTIONS_H
#define MUSTER_CLI_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "orchestrator/base/status.h"

/* Exactly one of flag, text, integer, real is set, and receives the value; integer and real are
 * checked to lie in [least, most]. A text points into argv. */
struct mu_option {
    const char *name;     /* without the dashes */
    const char *argument; /* how --help calls its value; NULL for a flag */
    const char *help;
    bool *flag;
    const char **text;
    int64_t *integer;
    double *real;
    double least, most;
    const char *needs; /* of a flag: name of a text that must be given, too; NULL: none */
};

struct mu_command {
    const char *usage; /* one line or several: "muster count [options] FILE..." */
    const char *about; /* what it does: a paragraph or several, not wrapped by hand */
    const struct mu_option *options;
    size_t option_count;
    int least_words, most_words; /* of the words that are not options */
};

struct mu_words {
    char **word; /* inside argv, in the order given; argv is permuted */
    int count;
    bool help_shown; /* --help was given and has been answered on stdout: return MU_OK */
};

/* MU_USAGE, reported, with the nearest option and how to get help. */
enum mu_status mu_options_parse(const struct mu_command *command, int argc, char **argv,
                                struct mu_words *words) MU_CHECKED;

/* The same for a mistake that a verb finds by itself: the text (printf style), then where --help
 * is. Always gives back MU_USAGE. */
enum mu_status mu_options_refuse(const struct mu_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For verbs that start mpirun, before parsing: -n and -np, which its users type, become --ranks. */
void mu_options_spell_out_ranks(int argc, char **argv);
/* Called under mpirun, such a verb would start one in every rank: MU_USAGE. */
enum mu_status mu_options_refuse_mpirun(const struct mu_command *command) MU_CHECKED;

#endif
