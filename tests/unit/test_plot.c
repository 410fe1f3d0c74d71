/* muster plot's parts: reading records, means, thinning, ticks, and pictures in a terminal, to the
 * letter. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/plot/picture.h"
#include "orchestrator/plot/terminal.h"
#include "orchestrator/run/metrics.h"

/* ---- reading ---- */

static bool parse(const char *line, enum mu_plot_y y, struct mu_plot_record *m)
{
    return mu_plot_parse(line, strlen(line), y, m);
}

static void test_lines(void **state)
{
    struct mu_plot_record m;

    (void)state;
    assert_true(parse("{\"step\": 7, \"loss\": 2.25, \"lr\": 1e-3, \"tokens\": 512, "
                      "\"step_ms\": null, \"valid_loss\": 2.5, \"state_hash\": \"ab\"}\n",
                      MU_PLOT_Y_LOSS, &m));
    assert_true(m.step == 7 && m.line == 2.25 && m.tokens == 512 && m.marks == 2.5);
    assert_true(isnan(m.step_ms));
    assert_true(parse("{\"step\": 7, \"loss\": null, \"lr\": -0.5}\n", MU_PLOT_Y_LR, &m));
    assert_true(m.line == -0.5 && isnan(m.marks) && isnan(m.tokens));
    assert_true(parse("{\"step\": 7, \"step_ms\": 20.5}\n", MU_PLOT_Y_MS, &m));
    assert_true(m.line == 20.5 && m.step_ms == 20.5);
    /* Any other JSON that is a record: other blanks, keys that hold more. */
    assert_true(parse("{ \"loss\":3.5,\"more\":{\"loss\": 1},\"step\":8 }\n", MU_PLOT_Y_LOSS, &m));
    assert_true(m.step == 8 && m.line == 3.5);
    assert_true(parse("{\"note\": \"a, \\\"loss\\\": 9\", \"loss\": 4.5, \"step\": 9}\n",
                      MU_PLOT_Y_LOSS, &m));
    assert_true(m.step == 9 && m.line == 4.5);
    /* What is none. */
    assert_false(parse("{\"step\": 7, \"loss\": 2.", MU_PLOT_Y_LOSS, &m));
    assert_false(parse("{\"step\": 7, \"loss\": 2.5x}\n", MU_PLOT_Y_LOSS, &m));
    assert_false(parse("{\"loss\": 2.5}\n", MU_PLOT_Y_LOSS, &m));
    assert_false(parse("{\"step\": -1, \"loss\": 2.5}\n", MU_PLOT_Y_LOSS, &m));
    assert_false(parse("{\"step\": 1e300, \"loss\": 2.5}\n", MU_PLOT_Y_LOSS, &m));
    assert_true(
        parse("{\"step\": 1, \"loss\": 1e999, \"valid_loss\": -1e300}\n", MU_PLOT_Y_LOSS, &m));
    assert_true(isnan(m.line) && isnan(m.marks));
    assert_false(parse("\n", MU_PLOT_Y_LOSS, &m));
    assert_false(parse("[]\n", MU_PLOT_Y_LOSS, &m));
}

/* What the run directory writes is read as the parser of JSON reads it, whatever is asked for. */
static void test_lines_of_runs(void **state)
{
    static const enum mu_plot_y all[] = {MU_PLOT_Y_LOSS, MU_PLOT_Y_BITS, MU_PLOT_Y_LR,
                                         MU_PLOT_Y_NORM, MU_PLOT_Y_RATE, MU_PLOT_Y_PEAK};
    const struct mu_metrics m = {.step = 123456789,
                                 .loss = 2.718281828459045,
                                 .gradient_norm = 1e-100,
                                 .lr = 6.25e-5,
                                 .step_ms = 12.5,
                                 .tokens_per_s = 179084,
                                 .peak_share = NAN,
                                 .tokens = 900719925474099,
                                 .valid_loss = 3.14159,
                                 .valid_bits_per_byte = 1.25,
                                 .has_hash = true,
                                 .escapes = 3,
                                 .skipped = true};
    const double line[] = {m.loss, NAN, m.lr, m.gradient_norm, m.tokens_per_s, NAN};
    const double marks[] = {m.valid_loss, m.valid_bits_per_byte, NAN, NAN, NAN, NAN};
    char text[MU_METRICS_LINE_MAX];
    const size_t size = mu_metrics_print_json(&m, text);

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct mu_plot_record r;

        assert_true(mu_plot_parse(text, size, all[i], &r));
        assert_true(r.step == (double)m.step && r.tokens == (double)m.tokens);
        assert_true(r.step_ms == m.step_ms);
        assert_true(r.line == line[i] || (isnan(r.line) && isnan(line[i])));
        assert_true(r.marks == marks[i] || (isnan(r.marks) && isnan(marks[i])));
    }
}

static struct mu_plot_records read_lines(const char *text)
{
    char path[] = "/tmp/muster-plot-XXXXXX";
    const int fd = mkstemp(path);
    struct mu_plot_records r;

    assert_true(fd >= 0);
    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(mu_plot_read(path, MU_PLOT_Y_LOSS, &r), MU_OK);
    unlink(path);
    return r;
}

static void test_files(void **state)
{
    struct mu_plot_records r = read_lines("{\"step\": 1, \"loss\": 9}\n"
                                          "{\"step\": 2, \"loss\": 8}\n"
                                          "torn {\n"
                                          "{\"step\": 3, \"loss\": 7}\n"
                                          "{\"step\": 2, \"loss\": 8.5}\n"
                                          "{\"step\": 3, \"loss\": 7.");

    (void)state;
    assert_int_equal(r.count, 2); /* it went back to step 1; the last line is being written */
    assert_int_equal(r.damaged, 1);
    assert_true(r.record[1].step == 2 && r.record[1].line == 8.5);
    mu_plot_records_deinit(&r);
    r = read_lines("");
    assert_int_equal(r.count, 0);
    mu_plot_records_deinit(&r);
    assert_int_equal(mu_plot_read("/nonexistent/metrics.jsonl", MU_PLOT_Y_LOSS, &r), MU_OK);
    assert_int_equal(r.count, 0);
}

/* Steps of 10 ms, then of 20; one whose time nobody measured counts as the one before. A run that
 * goes on from another's step 100 does not count these. */
static void test_times(void **state)
{
    struct mu_plot_record record[] = {{.step = 110, .step_ms = NAN},
                                      {.step = 120, .step_ms = 10},
                                      {.step = 140, .step_ms = 20},
                                      {.step = 150, .step_ms = NAN}};
    const struct mu_plot_records r = {.record = record, .count = 4};
    const double expected[] = {.1, .2, .6, .8};
    double seconds[4];

    (void)state;
    mu_plot_times(&r, seconds);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(seconds[i] - expected[i]) < 1e-12);
}

/* ---- curves ---- */

static void test_means(void **state)
{
    const double in[] = {1, 3, 5, 2, 8, 1, 4, NAN, 7, 100, 9, 11};
    double out[12], law[1000], mean[1000];

    (void)state;
    assert_int_equal(mu_plot_smooth(in, 12, 3, out), MU_OK);
    for (int i = 0; i < 5; i++)
        assert_true(out[i] == in[i]); /* steep */
    assert_true(fabs(out[5] - 13 / 3.) < 1e-12);
    assert_true(out[6] == 2.5);  /* of 1, 4 and nothing */
    assert_true(isnan(out[7]));  /* stays an interruption */
    assert_true(out[8] == 53.5); /* of 7 and 100 */
    assert_true(out[11] == 10);  /* cut off at the end */
    assert_int_equal(mu_plot_smooth(in, 12, 1, out), MU_OK);
    assert_true(out[9] == 100 && out[0] == 1);
    /* Of a loss as laws have it, the mean does not lie beside it. */
    for (int i = 0; i < 1000; i++)
        law[i] = pow(i + 1, -.28);
    assert_int_equal(mu_plot_smooth(law, 1000, 100, mean), MU_OK);
    for (int i = 0; i < 900; i++)
        assert_true(fabs(mean[i] / law[i] - 1) < 5e-3);
}

static void test_thinning_keeps_peaks(void **state)
{
    enum { COUNT = 100000 };
    struct mu_plot_curve c;

    (void)state;
    assert_int_equal(mu_plot_curve_init(&c, COUNT), MU_OK);
    for (size_t i = 0; i < COUNT; i++) {
        c.x[i] = (double)i;
        c.y[i] = (double)(i % 10);
    }
    c.y[33333] = 1e6;
    c.y[66666] = -1e6;
    for (size_t i = 80000; i < 85000; i++)
        c.y[i] = NAN;
    mu_plot_thin(&c, 100, false);
    assert_in_range(c.count, 200, 404);
    for (size_t i = 1; i < c.count; i++)
        assert_true(c.x[i] > c.x[i - 1]);
    int peaks = 0, interruptions = 0;
    for (size_t i = 0; i < c.count; i++) {
        peaks += (c.x[i] == 33333 && c.y[i] == 1e6) || (c.x[i] == 66666 && c.y[i] == -1e6);
        interruptions += isnan(c.y[i]);
    }
    assert_int_equal(peaks, 2);
    assert_true(interruptions > 0);
    assert_true(c.x[0] == 0 && c.x[c.count - 1] == COUNT - 1);
    mu_plot_curve_deinit(&c);
}

/* ---- axes ---- */

static void assert_ticks(double low, double high, bool log, enum mu_plot_unit unit, int most,
                         const char *expected)
{
    struct mu_plot_scale s;
    char all[500] = "";

    mu_plot_scale_init(&s, low, high, log, 0, unit, "x", most);
    for (int i = 0; i < s.ticks; i++) {
        const double at = mu_plot_scale_at(&s, s.tick[i].at);

        assert_true(at > -1e-6 && at < 1 + 1e-6);
        strcat(strcat(all, i ? " " : ""), s.tick[i].text);
    }
    assert_string_equal(all, expected);
}

static void test_ticks(void **state)
{
    (void)state;
    assert_ticks(0, 400, false, MU_PLOT_UNIT_COUNT, 5, "0 100 200 300 400");
    assert_ticks(1, 3, false, MU_PLOT_UNIT_COUNT, 6, "1 2 3");
    assert_ticks(0, 99000, false, MU_PLOT_UNIT_COUNT, 5, "0 20000 40000 60000 80000");
    assert_ticks(0, 3276800, false, MU_PLOT_UNIT_COUNT, 7, "0 0.5M 1.0M 1.5M 2.0M 2.5M 3.0M");
    assert_ticks(1200000, 1230000, false, MU_PLOT_UNIT_COUNT, 3, "1.20M 1.21M 1.22M 1.23M");
    assert_ticks(0, 1.6e19, false, MU_PLOT_UNIT_POWER, 4, "0 5e18 1.0e19 1.5e19");
    assert_ticks(2.31, 2.39, false, MU_PLOT_UNIT_PLAIN, 4, "2.32 2.34 2.36 2.38");
    assert_ticks(0, 6e-4, false, MU_PLOT_UNIT_PLAIN, 3, "0 0.0002 0.0004 0.0006");
    assert_ticks(0, 3e-8, false, MU_PLOT_UNIT_PLAIN, 3, "0 1e-8 2e-8 3e-8");
    assert_ticks(0, 7200, false, MU_PLOT_UNIT_SECONDS, 4, "0 50 100");
    assert_ticks(0, 86400, false, MU_PLOT_UNIT_SECONDS, 5, "0 5 10 15 20");
    assert_ticks(1.7, 9.9, true, MU_PLOT_UNIT_PLAIN, 10, "2 2.5 3 3.5 4 5 6 7 8");
    assert_ticks(1.7, 9.9, true, MU_PLOT_UNIT_PLAIN, 4, "2 5");
    assert_ticks(1, 1e6, true, MU_PLOT_UNIT_COUNT, 6, "1 10 100 1000 10000 100k 1M");
    assert_ticks(1, 1e30, true, MU_PLOT_UNIT_POWER, 4, "1e0 1e8 1e16 1e24");
    assert_ticks(1e-126, 9e126, true, MU_PLOT_UNIT_PLAIN, 2, "1e-85 1 1e85");
    assert_ticks(2.1, 2.3, true, MU_PLOT_UNIT_PLAIN, 3, "2.1 2.2 2.3");
    assert_ticks(-3, 3, false, MU_PLOT_UNIT_PLAIN, 3, "-2 0 2");
    assert_ticks(5, 5, false, MU_PLOT_UNIT_PLAIN, 3, "4.8 5.0 5.2"); /* all the same */
    assert_ticks(0, 0, false, MU_PLOT_UNIT_PLAIN, 3, "-0.5 0 0.5");
}

static void test_labels(void **state)
{
    struct mu_plot_scale s;

    (void)state;
    mu_plot_scale_init(&s, 0, 100000, false, 0, MU_PLOT_UNIT_SECONDS, "time", 5);
    assert_string_equal(s.label, "time, in hours");
    mu_plot_scale_init(&s, 1, 3, true, .1, MU_PLOT_UNIT_PLAIN, "loss", 5);
    assert_string_equal(s.label, "loss, logarithmic");
    assert_true(fabs(s.low * s.high - 3) < 1e-12 && s.low < 1); /* the same factor on both sides */
}

/* ---- pictures ---- */

enum { POINTS = 9 };

/* y = 8, 7, ... 0 over x = 0 .. 8, one with marks; and the other way. */
static struct mu_plot_chart make_chart(struct mu_plot_line line[2], size_t count)
{
    struct mu_plot_chart chart = {.line = line, .count = count};

    for (size_t k = 0; k < count; k++) {
        struct mu_plot_series *s = &line[k].series;

        line[k] = (struct mu_plot_line){.name = k ? "up" : "it's down"};
        s->last_line = k ? 8 : 0;
        s->last_marks = k ? NAN : 4;
        assert_int_equal(mu_plot_curve_init(&s->line, POINTS), MU_OK);
        assert_int_equal(mu_plot_curve_init(&s->marks, k ? 0 : 1), MU_OK);
        for (int i = 0; i < POINTS; i++) {
            s->line.x[i] = i;
            s->line.y[i] = k ? i : 8 - i;
        }
    }
    line[0].series.marks.x[0] = line[0].series.marks.y[0] = 4;
    assert_true(mu_plot_chart_range(&chart));
    return chart;
}

static void free_chart(struct mu_plot_chart *chart)
{
    for (size_t k = 0; k < chart->count; k++)
        mu_plot_series_deinit(&chart->line[k].series);
}

static void assert_drawn(const struct mu_plot_chart *chart, bool unicode, bool colours,
                         const char *expected)
{
    const struct mu_plot_terminal t = {
        .columns = 30, .rows = 12, .unicode = unicode, .colours = colours};
    char *text;

    assert_int_equal(mu_plot_terminal_draw(chart, &t, &text), MU_OK);
    assert_string_equal(text, expected);
    free(text);
}

static void test_one_run(void **state)
{
    struct mu_plot_line line[2];
    struct mu_plot_chart chart = make_chart(line, 1);

    (void)state;
    assert_drawn(&chart, false, false,
                 "loss in nats per token\n"
                 "  |**\n"
                 "  |  ***\n"
                 "5 +     *******\n"
                 "  |            *o*\n"
                 "  |               *******\n"
                 "  |                      ***\n"
                 "0 +                         **\n"
                 "  ++---------------+----------\n"
                 "   0               5\n"
                 "         optimizer steps\n"
                 "* it's down  0, validation 4\n");
    assert_drawn(&chart, true, false,
                 "loss in nats per token\n"
                 "  │⠒⠤⣀\n"
                 "  │   ⠉⠒⠤⣀⡀\n"
                 "5 ┤       ⠈⠑⠢⢄⡀\n"
                 "  │           ⠈⠑o⣀\n"
                 "  │               ⠉⠒⠢⢄⡀\n"
                 "  │                   ⠈⠑⠢⢄⣀\n"
                 "0 ┤                        ⠉⠒⠤\n"
                 "  └┬───────────────┬──────────\n"
                 "   0               5\n"
                 "         optimizer steps\n"
                 "⠒⠒ it's down  0, validation 4\n");
    line[0].series.line.y[2] = NAN;
    assert_drawn(&chart, false, false,
                 "loss in nats per token\n"
                 "  |**\n"
                 "  |  **\n"
                 "5 +          **\n"
                 "  |            *o*\n"
                 "  |               *******\n"
                 "  |                      ***\n"
                 "0 +                         **\n"
                 "  ++---------------+----------\n"
                 "   0               5\n"
                 "         optimizer steps\n"
                 "* it's down  0, validation 4\n");
    free_chart(&chart);
}

static void test_two_runs(void **state)
{
    struct mu_plot_line line[2];
    struct mu_plot_chart chart = make_chart(line, 2);

    (void)state;
    assert_drawn(&chart, false, false,
                 "loss in nats per token\n"
                 "  |AA                       BB\n"
                 "  |  AAAAAAA         BBBBBBB\n"
                 "5 +         AAA   BBB\n"
                 "  |         BBBBaBAAA\n"
                 "  |  BBBBBBB         AAAAAAA\n"
                 "0 +BB                       AA\n"
                 "  ++---------------+----------\n"
                 "   0               5\n"
                 "         optimizer steps\n"
                 "A it's down  0, validation 4\n"
                 "B up  8\n");
    assert_drawn(&chart, false, true,
                 "loss in nats per token\n"
                 "  |\033[36m**                       \033[31m**\033[0m\n"
                 "  |  \033[36m*******         \033[31m*******\033[0m\n"
                 "5 +         \033[36m***   \033[31m***\033[0m\n"
                 "  |         \033[31m****\033[36mo\033[31m*\033[36m***\033[0m\n"
                 "  |  \033[31m*******         \033[36m*******\033[0m\n"
                 "0 +\033[31m**                       \033[36m**\033[0m\n"
                 "  ++---------------+----------\n"
                 "   0               5\n"
                 "         optimizer steps\n"
                 "\033[36m* it's down  0, validation 4\033[0m\n"
                 "\033[31m* up  8\033[0m\n");
    chart.log_y = true; /* what is 0 cannot be shown */
    assert_true(mu_plot_chart_range(&chart));
    assert_true(chart.y_low == 1 && chart.y_high == 8);
    free_chart(&chart);
}

static void test_script(void **state)
{
    struct mu_plot_line line[2];
    struct mu_plot_chart chart = make_chart(line, 2);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    line[0].series.line.y[2] = line[0].series.line.y[3] = NAN;
    mu_plot_picture_script(out, &chart, &(struct mu_plot_picture){.format = MU_PLOT_PNG});
    fclose(out);
    assert_non_null(strstr(text, "set terminal pngcairo size 1100,560 "));
    assert_non_null(strstr(text, "$L0 << EOD\n0 8\n1 7\n\n4 4\n")); /* one empty line: a gap */
    assert_non_null(strstr(text, "$M0 << EOD\n4 4\nEOD\n"));
    assert_non_null(strstr(text, "title 'it''s down' noenhanced"));
    assert_null(strstr(text, "$R0 with"));
    free(text);
    free_chart(&chart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_lines_of_runs),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_times),
        cmocka_unit_test(test_means),   cmocka_unit_test(test_thinning_keeps_peaks),
        cmocka_unit_test(test_ticks),   cmocka_unit_test(test_labels),
        cmocka_unit_test(test_one_run), cmocka_unit_test(test_two_runs),
        cmocka_unit_test(test_script),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
