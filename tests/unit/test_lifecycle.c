/* core/lifecycle: every (state, event), held against the table as it is drawn in lifecycle.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

#include "orchestrator/base/log.h"
#include "orchestrator/core/lifecycle.h"
#include "tests/support/run_folder.h"

/* A row a state, a column an event: MEET PREPARE LOAD RUN EVALUATE SAVE RECOVER LEAVE FAIL; the
 * first letters of the state that it leads to, "-" where it is illegal. */
static const char *const table[MU_LIFE_STATE_COUNT][MU_LIFE_EVENT_COUNT] = {
    [MU_LIFE_STARTING] = {"MEE", "-", "-", "-", "-", "-", "-", "-", "FAI"},
    [MU_LIFE_MEETING] = {"-", "PRE", "-", "-", "-", "-", "REC", "-", "FAI"},
    [MU_LIFE_PREPARING] = {"-", "-", "LOA", "-", "-", "-", "REC", "-", "FAI"},
    [MU_LIFE_LOADING] = {"-", "-", "-", "RUN", "-", "-", "REC", "-", "FAI"},
    [MU_LIFE_RUNNING] = {"-", "-", "-", "-", "EVA", "SAV", "REC", "LEA", "FAI"},
    [MU_LIFE_EVALUATING] = {"-", "-", "-", "RUN", "-", "-", "REC", "-", "FAI"},
    [MU_LIFE_SAVING] = {"-", "-", "-", "RUN", "-", "-", "REC", "-", "FAI"},
    [MU_LIFE_RECOVERING] = {"MEE", "-", "-", "RUN", "-", "-", "-", "-", "FAI"},
    [MU_LIFE_LEAVING] = {"-", "-", "-", "-", "-", "-", "-", "-", "-"},
    [MU_LIFE_FAILED] = {"-", "-", "-", "-", "-", "-", "-", "-", "-"},
};

static void every_move_is_as_in_the_table(void **state)
{
    (void)state;
    for (int from = 0; from < MU_LIFE_STATE_COUNT; from++)
        for (int on = 0; on < MU_LIFE_EVENT_COUNT; on++) {
            enum mu_life_state to = MU_LIFE_STATE_COUNT;
            bool legal = mu_life_next((enum mu_life_state)from, (enum mu_life_event)on, &to);

            if (*table[from][on] == '-') {
                assert_false(legal);
                assert_int_equal(to, MU_LIFE_STATE_COUNT);
            } else {
                assert_true(legal);
                assert_memory_equal(mu_life_state_name(to), table[from][on], 3);
            }
        }
}

static void names_are_those_of_the_lists(void **state)
{
    (void)state;
    assert_string_equal(mu_life_state_name(MU_LIFE_STARTING), "STARTING");
    assert_string_equal(mu_life_state_name(MU_LIFE_FAILED), "FAILED");
    assert_string_equal(mu_life_event_name(MU_LIFE_ON_MEET), "MEET");
    assert_string_equal(mu_life_event_name(MU_LIFE_ON_FAIL), "FAIL");
}

static void a_move_is_logged(void **state)
{
    struct mu_life life = {MU_LIFE_RUNNING, 4, 1200};
    char text[4096];

    (void)state;
    mu_log_set_level(MU_LOG_DEBUG);
    listen_begin();
    mu_life_move(&life, MU_LIFE_ON_SAVE);
    listen_end(text, sizeof text);
    mu_log_set_level(MU_LOG_INFO);
    assert_int_equal(life.state, MU_LIFE_SAVING);
    assert_string_equal(text, "muster: RUNNING --SAVE--> SAVING epoch 4 step 1200\n");
}

static void an_illegal_move_is_a_death(void **state)
{
    struct mu_life life = {MU_LIFE_SAVING, 0, 0};
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        mu_log_set_level(MU_LOG_SILENT);
        mu_life_move(&life, MU_LIFE_ON_SAVE);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_as_in_the_table),
        cmocka_unit_test(names_are_those_of_the_lists),
        cmocka_unit_test(a_move_is_logged),
        cmocka_unit_test(an_illegal_move_is_a_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
