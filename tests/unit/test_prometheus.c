/* The text of prometheus.prom: names of runs escaped, what is not known left out, infinities as the
 * format spells them. The format as a whole is checked in tests/cli/test_prometheus.sh. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/run/prometheus.h"

static struct mu_run_status a_status(void)
{
    return (struct mu_run_status){
        .state = MU_RUN_RUNNING, .loss = NAN, .valid_loss = NAN, .saved_step = -1, .steps = 10};
}

static struct mu_prometheus open_at(const char *path)
{
    struct mu_prometheus p;

    assert_int_equal(mu_prometheus_open(&p, path), MU_OK);
    return p;
}

static void has_line(const char *text, const char *line)
{
    const size_t n = strlen(line);

    for (const char *p = strstr(text, line); p; p = strstr(p + 1, line))
        if ((p == text || p[-1] == '\n') && p[n] == '\n')
            return;
    fail_msg("no line '%s' in\n%s", line, text);
}

static void names_of_runs_are_escaped(void **state)
{
    static const struct {
        const char *path, *name;
    } runs[] = {
        {"runs/plain", "plain"},
        {"/a/b/runs/plain/", "plain"},
        {"alone", "alone"},
        {"r/a\"b\\c\nd", "a\\\"b\\\\c\\nd"},
        {"r/toy/trials/w16-s1", "toy/w16-s1"},
        {"/trials/x", "x"},
        {"r/\xc3\xa9", "??"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct mu_prometheus p = open_at(runs[i].path);
        struct mu_run_status s = a_status();
        char *text = mu_prometheus_print(&p, &s, 1.5), line[600];

        assert_string_equal(p.run, runs[i].name);
        snprintf(line, sizeof line, "muster_step{run=\"%s\"} 0", p.run);
        has_line(text, line);
        free(text);
    }
}

static void what_is_not_known_has_no_sample(void **state)
{
    struct mu_prometheus p = open_at("runs/x");
    struct mu_run_status s = a_status();
    char *text = mu_prometheus_print(&p, &s, 2);

    (void)state;
    assert_null(strstr(text, "loss"));
    assert_null(strstr(text, "NaN"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "checkpoint_step"));
    assert_null(strstr(text, "muster_generation"));
    assert_null(strstr(text, "learning_rate"));
    has_line(text, "muster_running{run=\"x\"} 1");
    has_line(text, "muster_updated_timestamp_seconds{run=\"x\"} 2");
    free(text);
    s.loss = INFINITY;
    s.saved_step = 0;
    s.ranks = 9;
    s.workers = 8;
    s.goodput.us[MU_LEDGER_WAIT] = 1500001;
    s.goodput.events[MU_LEDGER_DEATHS] = 3;
    mu_prometheus_note(&p, &(struct mu_metrics){.step = 5,
                                                .lr = 3e-4,
                                                .step_ms = 250,
                                                .tokens_per_s = NAN,
                                                .peak_share = -INFINITY,
                                                .tokens = 12345678901234});
    text = mu_prometheus_print(&p, &s, 2);
    has_line(text, "muster_train_loss{run=\"x\"} +Inf");
    has_line(text, "muster_peak_ratio{run=\"x\"} -Inf");
    has_line(text, "muster_checkpoint_step{run=\"x\"} 0");
    has_line(text, "muster_ranks{run=\"x\",role=\"worker\"} 8");
    has_line(text, "muster_ranks{run=\"x\",role=\"spare\"} 1");
    has_line(text, "muster_rank_seconds_total{run=\"x\",kind=\"wait\"} 1.500001");
    has_line(text, "muster_deaths_total{run=\"x\"} 3");
    has_line(text, "muster_learning_rate{run=\"x\"} 0.0003");
    has_line(text, "muster_step_seconds{run=\"x\"} 0.25");
    has_line(text, "muster_tokens{run=\"x\"} 12345678901234");
    assert_null(strstr(text, "tokens_per_second"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_runs_are_escaped),
        cmocka_unit_test(what_is_not_known_has_no_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
