/* muster plot: what was asked for, and whether it can be; orchestrator/plot/ draws. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/nearest.h"
#include "orchestrator/plot/plot.h"
#include "orchestrator/run/live.h"

enum { SMOOTH_MOST = 1000000000 };

struct asked {
    const char *x, *y, *out, *smooth;
    bool log, log_x, ascii, force;
    int64_t from_step, width, height;
};

static const char *const x_words[] = {
#define WORD(name, word, label) word,
    MU_PLOT_X_TABLE(WORD)
#undef WORD
};
static const char *const y_words[] = {
#define WORD(name, word, line, marks, noisy, label) word,
    MU_PLOT_Y_TABLE(WORD)
#undef WORD
};

/* The place of `word` in the list, or MU_USAGE, with what is in it. */
static enum mu_status choose(const struct mu_command *command, const char *option, const char *word,
                             const char *const *list, size_t count, size_t *out)
{
    struct mu_nearest nearest = mu_nearest_to(word);
    char all[200] = "";
    const char *answer;

    for (*out = 0; *out < count; ++*out) {
        if (strcmp(word, list[*out]) == 0)
            return MU_OK;
        mu_nearest_offer(&nearest, list[*out]);
        strcat(strcat(all, *all ? ", " : ""), list[*out]);
    }
    answer = mu_nearest_answer(&nearest);
    if (answer)
        return mu_options_refuse(command, "--%s %s is not known; did you mean %s?", option, word,
                                 answer);
    return mu_options_refuse(command, "--%s %s is not known; expected one of %s", option, word,
                             all);
}

static enum mu_status take_smooth(const struct mu_command *command, const char *text, int64_t *out)
{
    char *end;
    long long n;

    if (!text || strcmp(text, "auto") == 0)
        return MU_OK;
    n = strtoll(text, &end, 10);
    if (end == text || *end || n < 1 || n > SMOOTH_MOST)
        return mu_options_refuse(command,
                                 "--smooth %s: expected a number of records from 1 (as they are) "
                                 "on, or auto",
                                 text);
    *out = n;
    return MU_OK;
}

static enum mu_status take_out(const struct mu_command *command, const struct asked *a,
                               struct mu_plot_options *o)
{
    const char *dot = strrchr(a->out, '.');

    if (dot && strcasecmp(dot, ".svg") == 0)
        o->picture.format = MU_PLOT_SVG;
    else if (dot && strcasecmp(dot, ".png") == 0)
        o->picture.format = MU_PLOT_PNG;
    else
        return mu_options_refuse(
            command,
            "--out %s: its end says what is drawn; expected a name that ends in .svg or .png",
            a->out);
    if (mu_file_exists(a->out) && !a->force)
        return mu_options_refuse(command, "%s is there already; --force replaces it", a->out);
    o->out = a->out;
    return MU_OK;
}

static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

static bool wants_colours(void)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}

static enum mu_status resolve(const struct mu_command *command, const struct asked *a,
                              struct mu_plot_options *o)
{
    const struct mu_live_size size = mu_live_size(STDOUT_FILENO);
    size_t x, y;
    enum mu_status st;

    MU_TRY(choose(command, "x", a->x, x_words, MU_PLOT_X_COUNT, &x), st, done);
    MU_TRY(choose(command, "y", a->y, y_words, MU_PLOT_Y_COUNT, &y), st, done);
    MU_TRY(take_smooth(command, a->smooth, &o->wish.smooth), st, done);
    if (a->out)
        MU_TRY(take_out(command, a, o), st, done);
    else if (a->force)
        return mu_options_refuse(command, "--force is of use with --out alone");
    o->wish.x = (enum mu_plot_x)x;
    o->wish.y = (enum mu_plot_y)y;
    o->wish.from_step = a->from_step;
    o->wish.log_x = a->log_x;
    o->log_y = a->log;
    o->picture.width = (int)a->width;
    o->picture.height = (int)a->height;
    o->terminal = (struct mu_plot_terminal){.columns = a->width ? (int)a->width : size.columns - 1,
                                            .rows = a->height ? (int)a->height : size.rows - 1,
                                            .unicode = !a->ascii && is_utf8(),
                                            .colours = wants_colours()};
done:
    return st;
}

enum mu_status mu_cli_plot(int argc, char **argv)
{
    struct asked a = {.x = "step", .y = "loss"};
    const struct mu_option options[] = {
        {"x", "WHAT", "over what: step (the default), tokens, flops or time", .text = &a.x},
        {"y", "WHAT",
         "what: loss (the default: training as a line, validation as points), train, valid, bits "
         "(of validation, per byte), lr, norm, tok/s, ms (of a step) or peak (share of it)",
         .text = &a.y},
        {"out", "FILE", "draw with gnuplot into FILE.svg or FILE.png, not in the terminal",
         .text = &a.out},
        {"force", NULL, "replace FILE if it is there", .flag = &a.force},
        {"smooth", "N",
         "running mean over N records; 1: as they are; auto (the default): an 80th of the records "
         "for what is noisy, when there are more than 160",
         .text = &a.smooth},
        {"log", NULL, "logarithmic y axis", .flag = &a.log},
        {"log-x", NULL, "logarithmic x axis", .flag = &a.log_x},
        {"from-step", "N", "leave out what came before step N", .integer = &a.from_step, .least = 0,
         .most = 1e15},
        {"width", "N", "columns of the terminal, or pixels", .integer = &a.width, .least = 30,
         .most = 10000},
        {"height", "N", "rows of the terminal, or pixels", .integer = &a.height, .least = 8,
         .most = 10000},
        {"ascii", NULL, "no characters beyond ASCII (the default where the locale is not UTF-8)",
         .flag = &a.ascii},
    };
    const struct mu_command command = {
        .usage = "muster plot RUN... [options]",
        .about =
            "Draws runs in one picture: in the terminal, or with --out as SVG or PNG. RUN is the "
            "folder of a run, of a sweep (its trials are drawn) or of runs; they may be "
            "running.\n\n"
            "Time is that of the steps alone, without evaluations, checkpoints and what lies "
            "between two starts. FLOPs are 6 N + 12 L d T for a token, N without embeddings and "
            "with the head. Where a run went back to a checkpoint, its steps are drawn once.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = INT_MAX,
    };
    struct mu_plot_options o = {0};
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    MU_TRY(resolve(&command, &a, &o), st, done);
    MU_TRY(mu_plot(words.word, words.count, &o), st, done);
done:
    return st;
}
