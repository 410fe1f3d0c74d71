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
    assert_says(text, "sd 0.3410 % of the loss (9 degrees of freedom), by runs that differ in");
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
    assert_says(text, "With 1e21 FLOPs train 2.79 billion parameters on");
    assert_says(text, "32 x 4096  far");
    free(text);
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
    assert_string_equal(mu_figure_label(2.5e6).text, "2.5M");
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
