/* report.html: one file that holds all, whatever the user's names hold, with gnuplot or without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/log.h"
#include "orchestrator/report/pictures.h"
#include "tests/support/fake_gnuplot.h"
#include "tests/support/report_files.h"

static int end(void **state)
{
    fake_gnuplot_end();
    mu_log_reset_level();
    return remove_report_root(state);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    while ((text = strstr(text, what)) != NULL) {
        text++;
        n++;
    }
    return n;
}

static void assert_whole(const char *page)
{
    static const char *const tag[] = {"table", "ul", "li", "p", "figure", "tr", "td"};

    assert_int_equal(strncmp(page, "<!DOCTYPE html>", 15), 0);
    assert_string_equal(page + strlen(page) - 8, "</html>\n");
    for (size_t k = 0; k < sizeof tag / sizeof tag[0]; k++) {
        char open[20], closed[20], alone[20];

        snprintf(open, sizeof open, "<%s ", tag[k]);
        snprintf(alone, sizeof alone, "<%s>", tag[k]);
        snprintf(closed, sizeof closed, "</%s>", tag[k]);
        assert_int_equal(count(page, open) + count(page, alone), count(page, closed));
    }
}

/* Nothing is fetched, nothing runs; names from the file are text. */
static void assert_harmless(const char *page)
{
    size_t links = count(page, "://");

    assert_int_equal(links, count(page, "=\"http://www.w3.org/2000/svg\"") +
                                count(page, "=\"http://www.w3.org/1999/xlink\""));
    assert_int_equal(count(page, "<script"), 0);
    assert_int_equal(count(page, "<b>"), 0);
    assert_int_equal(count(page, "\033"), 0);
    assert_true(count(page, "&lt;b&gt;points&lt;/b&gt; &amp; &quot;more&quot;.csv") >= 2);
}

/* Pictures in one page must not take each other's parts. */
static void assert_ids_differ(const char *page)
{
    const char *at = page;

    while ((at = strstr(at, " id=")) != NULL) {
        char id[80];
        size_t length = strcspn(at + 5, "\"'") + 6;

        assert_true(length < sizeof id);
        snprintf(id, sizeof id, "%.*s", (int)length, at);
        if (count(page, id) != 1)
            fail_msg("%s stands there %zu times", id, count(page, id));
        at++;
    }
}

static void test_page_with_pictures(void **state)
{
    struct fixture *f = fixture_new();
    char *page;

    (void)state;
    if (system("command -v gnuplot >/dev/null") != 0) {
        fixture_free(f);
        print_message("skipped: gnuplot is not installed\n");
        skip();
    }
    page = written(mu_report_html, f);
    assert_whole(page);
    assert_harmless(page);
    assert_int_equal(count(page, "<svg"), MU_PICTURES);
    assert_int_equal(count(page, "<?xml"), 0);
    assert_int_equal(count(page, "scale(0.00)"), 0);
    assert_int_equal(count(page, "Pictures are missing"), 0);
    assert_ids_differ(page);
    free(page);
    fixture_free(f);
}

static void test_refused_fits_have_a_page_too(void **state)
{
    struct fixture *f = fixture_refused();
    char *page = written(mu_report_html, f);

    (void)state;
    assert_whole(page);
    assert_harmless(page);
    assert_non_null(strstr(page, "None: every method refused."));
    assert_non_null(strstr(page, "Refused: no two points have the same compute."));
    assert_non_null(strstr(page, "Refused: end points only: loss curves are needed."));
    assert_non_null(
        strstr(page, "Refused: 7 points do not determine 5 parameters: 10 are needed."));
    assert_non_null(strstr(page, "None: the points have no shapes."));
    assert_int_equal(count(page, "Pictures are missing"),
                     system("command -v gnuplot >/dev/null") != 0);
    free(page);
    fixture_free(f);
}

/* Where there is nothing to draw, gnuplot would give up at the first empty block. */
static void test_pictures_of_little(void **state)
{
    struct fixture *f = fixture_new();
    char *page;

    (void)state;
    for (size_t b = 0; b < FIXTURE_BUDGETS; b++)
        mu_refuse(&f->fit->isoflop.budget[b].refusal, "no curvature");
    mu_refuse(&f->fit->isoflop.refusal, "no vertices");
    f->fit->isoflop.vertices = 0;
    for (size_t i = 0; i < f->points.count; i++) /* all dropped, none a curve */
        f->fit->residual[i].used = false, f->points.point[i].curve = MU_FIT_NONE;
    mu_refuse(&f->fit->envelope.refusal, "end points only");
    for (enum mu_method m = 0; m < MU_METHOD_PARAMETRIC; m++)
        mu_refuse(&f->fit->scaling[m].refusal, "no vertices");
    page = written(mu_report_html, f);
    assert_whole(page);
    if (system("command -v gnuplot >/dev/null") == 0) {
        assert_int_equal(count(page, "Pictures are missing"), 0);
        assert_int_equal(count(page, "<svg"), MU_PICTURES - 1); /* no residuals */
    }
    free(page);
    fixture_free(f);
}

static void test_without_gnuplot(void **state)
{
    struct fixture *f = fixture_new();
    char *page;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    no_gnuplot();
    page = written(mu_report_html, f);
    assert_whole(page);
    assert_int_equal(count(page, "<svg"), 0);
    assert_int_equal(count(page, "<figure>"), 0);
    assert_non_null(strstr(page, "Pictures are missing: gnuplot is not installed."));
    assert_non_null(strstr(page, "2.79159e9"));
    free(page);
    fixture_free(f);
}

static void test_a_gnuplot_that_fails(void **state)
{
    struct fixture *f = fixture_new();
    char *page;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    fake_gnuplot(report_root,
                 "#!/bin/sh\necho '<svg>half'\necho 'no <svg> terminal' >&2\nexit 2\n");
    page = written(mu_report_html, f);
    assert_whole(page);
    assert_int_equal(count(page, "<svg"), 0);
    assert_non_null(
        strstr(page, "Pictures are missing: gnuplot ended with 2: no &lt;svg&gt; terminal."));
    free(page);
    fixture_free(f);
}

/* Dashes and superscripts are for what we say, never for names. */
static void test_names_are_shown_letter_by_letter(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_points_found *found = &f->found;
    char *page;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    no_gnuplot();
    strcpy(found->path, "../muster/a^2 % 1..2.csv");
    strcpy(found->column[MU_COLUMN_n], "N^2 1..2");
    strcpy(found->column[MU_COLUMN_status], "ok^1 3..4");
    strcpy(found->note[0], "x^5..y was taken before 'z^6..7'");
    fixture_warn(f->fit, "each value of 'q^7..8' is a cluster");
    f->points.cluster_kind = "k^8..9";
    page = written(mu_report_html, f);
    assert_whole(page);
    assert_int_equal(count(page, "../muster/a^2 % 1..2.csv"), 4); /* title, head, summary, points */
    assert_int_equal(count(page, "<td class=\"l\">N^2 1..2</td>"), 1);
    assert_int_equal(count(page, "(column &#39;ok^1 3..4&#39;)"), 1);
    assert_int_equal(count(page, "x^5..y was taken before &#39;z^6..7&#39;"), 1);
    assert_int_equal(count(page, "each value of &#39;q^7..8&#39; is a cluster"), 1);
    assert_int_equal(count(page, "column &#39;k^8..9&#39; is a cluster"), 1);
    assert_true(count(page, "N* grows as C<sup>0.514</sup> (95&nbsp;%: 0.4") == 1);
    assert_true(count(page, "812.4\u202f–\u202finf") > 0);
    assert_null(strchr(page, '\x02'));
    assert_null(strchr(page, '\x03'));
    free(page);
    fixture_free(f);
}

/* An old page would show other numbers than the fit.json beside it. */
static void test_no_older_page_is_left(void **state)
{
    struct fixture *f = fixture_new();
    char beside[200];

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    no_gnuplot();
    free(written(mu_report_html, f));
    assert_true(mu_file_exists(report_path));
    snprintf(beside, sizeof beside, "%s.tmp.%d", report_path, (int)getpid());
    assert_int_equal(mu_file_make_folders(beside), MU_OK); /* in the way of the new one */
    assert_int_equal(mu_report_html(report_path, f->fit, &f->found), MU_FAILED);
    assert_false(mu_file_exists(report_path));
    fixture_free(f);
}

/* gnuplot could be made to run commands by a name: it is given none. */
static void test_scripts_hold_no_text_of_the_user(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    for (enum mu_picture p = 0; p < MU_PICTURES; p++) {
        char *script = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&script, &size);

        assert_true(mu_picture_script(out, f->fit, p));
        fclose(out);
        assert_null(strstr(script, "more"));
        assert_null(strstr(script, "alert"));
        assert_null(strstr(script, "Model Size"));
        assert_null(strstr(script, "inf"));
        free(script);
    }
    fixture_free(f);
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_report_root, end)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_page_with_pictures),
        IN_ROOT(test_refused_fits_have_a_page_too),
        IN_ROOT(test_pictures_of_little),
        IN_ROOT(test_without_gnuplot),
        IN_ROOT(test_a_gnuplot_that_fails),
        IN_ROOT(test_scripts_hold_no_text_of_the_user),
        IN_ROOT(test_names_are_shown_letter_by_letter),
        IN_ROOT(test_no_older_page_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
