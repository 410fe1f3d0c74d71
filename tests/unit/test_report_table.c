/* The report on a terminal: what it says, and that it can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/fit/published.h"
#include "orchestrator/report/document.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/report.h"
#include "tests/support/fit_fixture.h"

static char *table_of(const struct fixture *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    mu_report_table(out, f->fit, &f->found);
    fclose(out);
    return text;
}

static void assert_says(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("the table does not say: %s", what);
}

/* Somewhere, lines broken or not. */
static void assert_tells(const char *text, const char *what)
{
    char *flat = strdup(text), *to = flat;

    for (const char *c = text; *c; c++)
        if ((*c != ' ' && *c != '\n') || to == flat || to[-1] != ' ')
            *to++ = *c == '\n' ? ' ' : *c;
    *to = 0;
    if (!strstr(flat, what))
        fail_msg("the table does not tell: %s", what);
    free(flat);
}

/* 100 columns, nothing that commands a terminal, nothing that only a program would say. */
static void assert_readable(const char *text)
{
    for (const char *line = text, *end; *line; line = end + 1) {
        end = strchrnul(line, '\n');
        if (end - line > 100)
            fail_msg("%d columns: %.*s", (int)(end - line), (int)(end - line), line);
        assert_true(end == line || end[-1] != ' ');
        if (!*end)
            break;
    }
    for (const char *c = text; *c; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c < 0x7F));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "NAN"));
}

static void test_all_is_said(void **state)
{
    struct fixture *f = fixture_new();
    char *text = table_of(f);

    (void)state;
    assert_readable(text);
    assert_says(text, "Model Size");
    assert_says(text,
                "Columns: parameters in 'Model Size', training FLOPs in 'Training FLOP', loss in");
    assert_says(text, "(--drop-top 2): lines 2, 3.");
    assert_says(text,
                "4000 bootstrap replicates of clusters, seed 18446744073709551615; each of the");
    assert_says(text, "Budget 3e21 refused: the vertex lies at N = 4.1e9");
    assert_says(text, "L = E + A/N^alpha + B/D^beta");
    assert_says(text, "812.4..inf (weak)");
    assert_says(text, "By least absolute deviations no minimum was reached.");
    assert_says(text, "(bound)");
    assert_says(text,
                "envelope over parametric, N* at 3e21 FLOPs: 1.150 (95 %: 1.010..1.310): they");
    assert_says(text, "sd 0.3410 % of the loss (9 degrees of freedom), by runs of equal N and");
    assert_says(text,
                "1 of 4 predictions refused, from 6e18 FLOPs: one budget does not tell N from D.");
    assert_says(text, "nonemb+head");
    for (size_t k = 0; k < mu_published_law_count; k++)
        assert_says(text, mu_published_laws[k].name);
    for (size_t t = 0; t < f->fit->options.targets; t++) {
        double c = f->fit->options.target[t], n = fixture_optimum(c);

        assert_says(text, mu_figure(n, 6).text);
        assert_says(text, mu_figure(c / (6 * n), 6).text);
        assert_says(text, mu_figure(c / (6 * n * n), 6).text);
        assert_says(text, mu_figure(fixture_loss(n, c / (6 * n)), 6).text);
    }
    assert_says(text, "32 x 4096  far");
    free(text);
    fixture_free(f);
}

/* N* = 2.79159e9 (fixture_optimum), times 1.15 by the envelope; its sd .06 (.3 + ln(10) / 10) gives
 * exp(+-1.96 sd) = 1.0643, the range of equal loss is / 1.46 and * 1.5, D* = C / (6 N*). */
static void test_the_sentence(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit_optimum *o = &f->fit->scaling[MU_METHOD_PARAMETRIC].target[0];
    char *text = table_of(f);

    (void)state;
    assert_tells(text, "With 1e21 FLOPs train 2.79 billion (95 %: 2.62 to 2.97) parameters on 59.7 "
                       "billion tokens, for a loss of 2.");
    assert_tells(text, "Any size from 1.91 billion to 4.19 billion costs less than 0.1 % of the "
                       "loss. The methods disagree beyond their intervals: 3.21 billion by the "
                       "envelope method. Weakly identified by the points: B. By the");
    free(text);
    f->fit->disagreement[0].flagged = f->fit->law.weak[2] = false;
    f->fit->options.tolerance = 0;
    o->n.low95 = o->n.high95 = NAN;
    text = table_of(f);
    assert_tells(text, "train 2.79 billion parameters on");
    assert_null(strstr(text, "Any size"));
    assert_null(strstr(text, "The methods disagree"));
    assert_null(strstr(text, "Weakly identified by"));
    free(text);
    fixture_free(f);
}

/* The smallest budget used is 6e18 FLOPs, the largest 3e21. */
static void test_targets_away_from_the_points(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit_optimum *o = &f->fit->scaling[MU_METHOD_PARAMETRIC].target[0];
    char *text;

    (void)state;
    o->c = 3.1e18;
    text = table_of(f);
    assert_null(strstr(text, "take it as a hint"));
    free(text);
    o->c = 2.9e18;
    text = table_of(f);
    assert_tells(text, "Below half of the smallest budget fitted (6e18 FLOPs): take it as a hint.");
    assert_says(text, "32 x 4096  below");
    free(text);
    o->c = 1e23;
    o->far = true;
    text = table_of(f);
    assert_tells(text, "Far beyond the points (up to 3e21 FLOPs): take it as a hint.");
    free(text);
    fixture_free(f);
}

/* 59.7 billion tokens, of which 20 billion differ. */
static void test_passes_over_the_data(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit_optimum *o = f->fit->scaling[MU_METHOD_PARAMETRIC].target;
    char *text;

    (void)state;
    f->fit->options.unique = 2e10;
    text = table_of(f);
    assert_null(strstr(text, "asses"));
    free(text);
    f->fit->options.law = MU_LAW_DATA_CONSTRAINED;
    text = table_of(f);
    assert_readable(text);
    assert_tells(text, "59.7 billion tokens (2.99 passes over the 20 billion distinct ones), for");
    assert_tells(text, "passes: D over distinct tokens");
    assert_says(text, "D/N  Passes");
    assert_says(text, "  2.985  ");
    free(text);
    f->fit->options.targets = 2; /* 99 columns, and none for marks of which there are none */
    o[0].c = o[1].c = 8.246e21;
    o[1].n.value = 1.59197e10;
    text = table_of(f);
    assert_says(text, "  32 x 4096\n");
    assert_null(strstr(text, "\n  8.246e21\n"));
    free(text);
    fixture_free(f);
}

/* Residuals in percent of the predicted loss; 5 sd are 1.85 %. */
static void test_farthest_points(void **state)
{
    static const double factor[] = {1.1, .8, 1.26, 1.0174, 1.03, .9};
    struct fixture *f = fixture_new();
    char *text = table_of(f);

    (void)state;
    assert_says(text, "Residuals: robust");
    assert_null(strstr(text, "Beyond 5"));
    free(text);
    for (size_t k = 0; k < 6; k++)
        f->points.point[10 + k].loss = factor[k] * f->fit->residual[10 + k].predicted;
    text = table_of(f);
    assert_readable(text);
    assert_tells(text, "Beyond 5 robust sd of the law: 5 points; farthest: line 14 +26 %, line 13 "
                       "-20 %, line 17 -10 %, line 12 +10 %. Look at them; --drop-top");
    free(text);
    f->fit->options.objective.kind = MU_OBJECTIVE_SQUARES;
    f->fit->noise.repeated = false;
    text = table_of(f);
    assert_tells(text, "Residuals: sd 0.3700 %.");
    assert_tells(text, "Beyond 5 sd of the law: 5 points;");
    assert_tells(text, "Seed noise: sd 0.3410 %");
    free(text);
    f->fit->options.objective.kind = MU_OBJECTIVE_ABSOLUTE;
    text = table_of(f);
    assert_tells(text, "Seed noise: robust sd 0.3410 %");
    free(text);
    fixture_free(f);
}

static void test_nothing_is_said_of_what_is_not_there(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit_scaling *s = &f->fit->scaling[MU_METHOD_PARAMETRIC];
    char *text;

    (void)state;
    for (size_t t = 0; t < f->fit->options.targets; t++) {
        s->target[t].loss = fixture_nothing();
        s->target[t].built.shape.layers = 0;
    }
    text = table_of(f);
    assert_tells(text, "By the parametric method. Budget N D D/N Build 1e21");
    free(text);
    f->fit->options.replicates = 1;
    text = table_of(f);
    assert_tells(text, "No intervals: they need 40 bootstrap replicates or more, and 1 was asked");
    free(text);
    f->fit->options.replicates = 39;
    text = table_of(f);
    assert_tells(text, "and 39 were asked for; each of the");
    free(text);
    f->fit->options.replicates = 40;
    text = table_of(f);
    assert_tells(text, "Intervals: 40 bootstrap replicates of clusters");
    free(text);
    fixture_free(f);
}

/* Whatever is fitted, a table's lines hold 100 columns, and its numbers six digits. */
static void test_odd_numbers_fit_the_tables(void **state)
{
    static const double ratio[] = {1.23456e-5, 1.23456e12, 1.23456e-100, 1.23456e-4};
    struct fixture *f = fixture_new();

    (void)state;
    f->fit->options.law = MU_LAW_DATA_CONSTRAINED;
    f->fit->options.unique = 3e9;
    for (size_t k = 0; k < sizeof ratio / sizeof ratio[0]; k++) {
        char *text;

        for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
            for (size_t t = 0; t < f->fit->options.targets; t++) {
                struct mu_fit_optimum *o = &f->fit->scaling[m].target[t];

                o->n = fixture_number(sqrt(o->c / 6 / ratio[k]), .2);
                o->d = fixture_number(sqrt(o->c / 6 * ratio[k]), .2);
                o->ratio = fixture_number(ratio[k], .2);
                o->loss = fixture_number(.00123456, .1);
                o->n_low = o->n.low95;
                o->n_high = o->n.high95;
            }
        text = table_of(f);
        assert_readable(text);
        assert_says(text, mu_figure(ratio[k], 6).text);
        assert_says(text, "far\n");
        assert_says(text, "IsoFLOP N\n");
        free(text);
    }
    fixture_free(f);
}

/* The end of the output is what is seen. */
static void test_the_recommendation_comes_last(void **state)
{
    static const char *const order[] = {
        "Points\n",          "\nIsoFLOP",  "\nEnvelope",    "\nParametric law",
        "\nHow the optimum", "\nNoise",    "\nUnder other", "\nPublished",
        "\nRecommendation",  "\nWarnings", "! the target",  "! B is weakly identified"};
    struct fixture *f = fixture_new();
    char *text = table_of(f), *at = text;

    (void)state;
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
        at = strstr(at, order[k]);
        assert_non_null(at);
    }
    free(text);
    fixture_free(f);
}

static void test_refusals_are_said(void **state)
{
    struct fixture *f = fixture_refused();
    char *text = table_of(f);

    (void)state;
    assert_readable(text);
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        char refusal[80];

        snprintf(refusal, sizeof refusal, "The %s method is refused: no optimum.",
                 mu_method_text(m));
        assert_says(text, refusal);
    }
    assert_says(text, "No intervals: no bootstrap was asked for;");
    assert_says(text, "None: every method refused.");
    free(text);
    fixture_free(f);
}

/* Without the law, the vertices recommend. */
static void test_the_next_method_recommends(void **state)
{
    struct fixture *f = fixture_new();
    char *text;

    (void)state;
    mu_refuse(&f->fit->scaling[MU_METHOD_PARAMETRIC].refusal, "no law");
    text = table_of(f);
    assert_says(text, "By the IsoFLOP method; bands");
    free(text);
    fixture_free(f);
}

/* A law of compute alone is not refused, and has no optimum. */
static void test_a_law_without_sizes(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit_scaling *s = &f->fit->scaling[MU_METHOD_PARAMETRIC];
    char *text;

    (void)state;
    s->a = s->b = fixture_nothing();
    for (size_t t = 0; t < f->fit->options.targets; t++)
        s->target[t].n = s->target[t].d = s->target[t].ratio = fixture_nothing();
    text = table_of(f);
    assert_says(text, "The parametric law says nothing of the best size");
    assert_says(text, "By the IsoFLOP method; bands");
    free(text);
    mu_refuse(&f->fit->scaling[MU_METHOD_ISOFLOP].refusal, "no vertices");
    mu_refuse(&f->fit->scaling[MU_METHOD_ENVELOPE].refusal, "end points only");
    text = table_of(f);
    assert_readable(text);
    assert_says(text, "With 1e21 FLOPs expect a loss of 2.");
    assert_says(text, "no method tells the best size.");
    assert_null(strstr(text, "this fit"));
    free(text);
    fixture_free(f);
}

/* Of many refusals three are said, of many budgets the largest. */
static void test_what_is_too_much_is_counted(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit *fit = f->fit;
    char *text;

    (void)state;
    fit->isoflop.count = fit->budgets.count = 40;
    for (size_t b = 0; b < 40; b++) {
        fit->budgets.c[b] = 1e18 * pow(1.5, (double)b);
        fit->isoflop.budget[b] = fit->isoflop.budget[FIXTURE_BUDGETS - 1];
    }
    text = table_of(f);
    assert_readable(text);
    assert_says(text, "And 28 smaller budgets");
    assert_says(text, "Budget 2.25e18 refused:");
    assert_null(strstr(text, "Budget 3.375e18 refused:"));
    assert_says(text, "And 37 more refused.");
    free(text);
    fixture_free(f);
}

static void test_figures(void **state)
{
    (void)state;
    assert_string_equal(mu_figure(1.8169, 6).text, "1.81690");
    assert_string_equal(mu_figure(412345678, 6).text, "4.12346e8");
    assert_string_equal(mu_figure(123456, 6).text, "123456");
    assert_string_equal(mu_figure(5e-7, 3).text, "5.00e-7");
    assert_string_equal(mu_figure(1e100, 1).text, "1e100");
    assert_string_equal(mu_figure(NAN, 6).text, "-");
    assert_string_equal(mu_figure(INFINITY, 6).text, "inf");
    assert_string_equal(mu_figure_short(1e21, 4).text, "1e21");
    assert_string_equal(mu_figure_short(5.76e23, 4).text, "5.76e23");
    assert_string_equal(mu_figure_range(1, 2, 3).text, "1.00..2.00");
    assert_string_equal(mu_figure_range(NAN, NAN, 3).text, "-");
    assert_string_equal(mu_figure_words(4.123e9).text, "4.12 billion");
    assert_string_equal(mu_figure_words(999.9e6).text, "1 billion");
    assert_string_equal(mu_figure_words(999.4e12).text, "999 trillion");
    assert_string_equal(mu_figure_words(999.6e12).text, "1e15");
    assert_string_equal(mu_figure_words(3.32e15).text, "3.32e15");
    assert_string_equal(mu_figure_words(1.5e-5).text, "1.5e-5");
    assert_string_equal(mu_figure_words(0).text, "0");
    assert_string_equal(mu_figure_words(NAN).text, "-");
    assert_string_equal(mu_figure_words(INFINITY).text, "inf");
    assert_string_equal(mu_figure_words_range(10.4e9, 8.3e9, 13.6e9).text, "8.3 to 13.6");
    assert_string_equal(mu_figure_words_range(1.04e9, .83e9, 13.6e9).text, "0.83 to 13.6");
    assert_string_equal(mu_figure_words_range(2e9, 3e6, 4e12).text, "3 million to 4 trillion");
    assert_string_equal(mu_figure_words_range(2e15, 1e15, 4e15).text, "1e15 to 4e15");
    assert_string_equal(mu_figure_words_range(5e14, 4e14, 6e15).text, "400 trillion to 6e15");
    assert_string_equal(mu_figure(1.2345678e-4, 6).text, "1.23457e-4");
    assert_string_equal(mu_figure(0, 3).text, "0.00");
    assert_string_equal(mu_figure_label(2.5e6).text, "2.5M");
    assert_string_equal(mu_figure_label(2e-5).text, "2e-5");
    assert_string_equal(mu_figure_label(4e5).text, "400k");
    assert_string_equal(mu_figure_label(2).text, "2");
}

static void test_clean(void **state)
{
    char text[] =
        "a\033[1m \xff \xc3\xa9 \xe2\x80\x93 \xed\xa0\x80 \xc0\xaf \xf0\x9f\x98\x80 \xe2\x80";

    (void)state;
    mu_document_clean(text);
    assert_string_equal(text, "a?[1m ? \xc3\xa9 \xe2\x80\x93 ??? ?? \xf0\x9f\x98\x80 ??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_said),
        cmocka_unit_test(test_the_sentence),
        cmocka_unit_test(test_targets_away_from_the_points),
        cmocka_unit_test(test_passes_over_the_data),
        cmocka_unit_test(test_farthest_points),
        cmocka_unit_test(test_nothing_is_said_of_what_is_not_there),
        cmocka_unit_test(test_odd_numbers_fit_the_tables),
        cmocka_unit_test(test_the_recommendation_comes_last),
        cmocka_unit_test(test_refusals_are_said),
        cmocka_unit_test(test_the_next_method_recommends),
        cmocka_unit_test(test_a_law_without_sizes),
        cmocka_unit_test(test_what_is_too_much_is_counted),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
