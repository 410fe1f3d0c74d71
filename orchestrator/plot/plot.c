#include "orchestrator/plot/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/plot/runs.h"
#include "orchestrator/run/run_dir.h"
#include "worker/workload.h"

enum { PARTS_MOST = 1000, PARTS_LEAST = 100, PARTS_IN_ALL = 16000, RAW_MOST = 8 };

/* As for "% of peak": 6 N + 12 L d T, N without embeddings, with the head. */
static enum mu_status flops_of(const char *run, double *flops_per_token)
{
    char *text = NULL, name[MU_PATH_MAX + 16];
    struct mu_settings settings;
    enum mu_status st = mu_run_dir_read_config(run, &text);

    if (st == MU_NOT_FOUND)
        return MU_FAIL(
            st, "%s has no config.cfg, from which FLOPs follow; plot over --x step or tokens", run);
    if (st != MU_OK)
        return st;
    snprintf(name, sizeof name, "%s/config.cfg", run);
    MU_TRY(mu_config_parse_text(text, strlen(text), name, &settings), st, done);
    *flops_per_token = mu_workload_counts(&settings).flops_non_embedding_head;
done:
    free(text);
    return st;
}

static bool has_anything(const struct mu_plot_series *s)
{
    return s->line.count > 0 || s->marks.count > 0;
}

static void tell(const struct mu_plot_run *run, const struct mu_plot_records *r,
                 const struct mu_plot_series *s, bool alone)
{
    if (r->damaged > 0)
        mu_log(MU_LOG_WARN, "%s/metrics.jsonl: %zu damaged line%s left out", run->path, r->damaged,
               mu_plural(r->damaged));
    if (s->gaps > 0)
        mu_log(MU_LOG_INFO, "%s: %zu of %zu records have no value here (it was not finite, say)",
               run->path, s->gaps, r->count);
    if (run->named && !alone && !has_anything(s))
        mu_log(MU_LOG_WARN, "%s has nothing to draw%s; it is left out", run->path,
               r->count == 0 ? ": it has no records yet" : " of this quantity, or in this range");
}

/* The chart grows by it, if there is anything to draw; *any: it has records at all. */
static enum mu_status take_run(const struct mu_plot_run *run, struct mu_plot_wish wish, bool alone,
                               struct mu_plot_chart *chart, bool *any)
{
    struct mu_plot_line *line = &chart->line[chart->count];
    struct mu_plot_records records = {0};
    char path[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(mu_path_format(path, "%s/metrics.jsonl", run->path), st, done);
    MU_TRY(mu_plot_read(path, wish.y, &records), st, done);
    *any = *any || records.count > 0;
    if (wish.x == MU_PLOT_X_FLOPS && records.count > 0)
        MU_TRY(flops_of(run->path, &wish.flops_per_token), st, done);
    MU_TRY(mu_plot_series_make(&records, &wish, &line->series), st, done);
    tell(run, &records, &line->series, alone);
    if (has_anything(&line->series)) {
        line->name = run->name;
        chart->count++;
    } else {
        mu_plot_series_deinit(&line->series);
    }
done:
    mu_plot_records_deinit(&records);
    return st;
}

static enum mu_status refuse_empty(const struct mu_plot_runs *runs,
                                   const struct mu_plot_options *options, bool any_records)
{
    static const char *const words[] = {
#define WORD(name, word, line, marks, noisy, label) word,
        MU_PLOT_Y_TABLE(WORD)
#undef WORD
    };

    return MU_FAIL(MU_NOT_FOUND, "there is nothing to draw: %s %s no values of '%s'%s%s%s",
                   runs->count == 1 ? runs->run[0].path : "the runs",
                   runs->count == 1 ? "has" : "have", words[options->wish.y],
                   options->wish.from_step > 0 ? " from the step given on" : "",
                   options->log_y || options->wish.log_x ? " above zero" : "",
                   any_records ? "" : ": no step is recorded yet");
}

static enum mu_status draw(const struct mu_plot_chart *chart, const struct mu_plot_options *options)
{
    char *text = NULL;
    enum mu_status st;

    if (options->out)
        return mu_plot_picture_draw(chart, &options->picture, options->out);
    MU_TRY(mu_plot_terminal_draw(chart, &options->terminal, &text), st, done);
    fputs(text, stdout);
done:
    free(text);
    return st;
}

enum mu_status mu_plot(char *const *word, int count, const struct mu_plot_options *options)
{
    struct mu_plot_chart chart = {.x_kind = options->wish.x,
                                  .y_kind = options->wish.y,
                                  .log_x = options->wish.log_x,
                                  .log_y = options->log_y};
    struct mu_plot_wish wish = options->wish;
    struct mu_plot_runs runs;
    bool any = false;
    enum mu_status st;

    MU_TRY(mu_plot_runs_find(word, count, &runs), st, done);
    chart.line = calloc(runs.count + 1, sizeof *chart.line);
    wish.parts = PARTS_IN_ALL / (runs.count + 1);
    wish.parts = wish.parts > PARTS_MOST    ? PARTS_MOST
                 : wish.parts < PARTS_LEAST ? PARTS_LEAST
                                            : wish.parts;
    if (!chart.line)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %zu runs", runs.count);
    for (size_t i = 0; i < runs.count && st == MU_OK; i++)
        st = take_run(&runs.run[i], wish, runs.count == 1, &chart, &any);
    chart.raw = options->out && chart.count <= RAW_MOST;
    if (st == MU_OK)
        st =
            mu_plot_chart_range(&chart) ? draw(&chart, options) : refuse_empty(&runs, options, any);
done:
    for (size_t i = 0; i < chart.count; i++)
        mu_plot_series_deinit(&chart.line[i].series);
    free(chart.line);
    mu_plot_runs_deinit(&runs);
    return st;
}
