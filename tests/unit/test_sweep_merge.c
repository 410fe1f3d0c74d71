/* orchestrator/sweep_run/merge.h: the files of parts as those of one sweep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/merge.h"
#include "orchestrator/sweep_run/records.h"

static char root[64];

static int begin(void **unused)
{
    (void)unused;
    strcpy(root, "/tmp/muster-merge-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int end(void **unused)
{
    (void)unused;
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", root, folder), MU_OK);
    assert_int_equal(mu_file_make_folders(path), MU_OK);
    assert_int_equal(mu_path_format(path, "%s/%s/%s", root, folder, name), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

#define RESULT "trial,role,trunk,parent,shared_steps,twin,seed,status,loss\n"
#define TIMING                                                                                \
    "trial,role,phase,step,run_steps,n,d,c,tokens_trained,rank_seconds,retries,deaths,moves," \
    "stretches,began,ended,message\n"
#define STRETCH "start,rank,trial,from,to,ending\n"

/* A part's sweep.json, ended when `ended` is one sentence. */
static void put_status(const char *folder, double began, double now, int complete, int elsewhere,
                       const char *ended, const char *outcome)
{
    char text[1000];

    snprintf(text, sizeof text,
             "{\"schema\": \"muster-sweep-1\", \"name\": \"t\", \"start\": 1, \"began\": %.1f, "
             "\"now\": %.1f, \"ended\": %s, \"outcome\": %s, \"all_known\": true, \"trials\": 3, "
             "\"phases\": {\"waits\": 0, \"ready\": 0, \"trains\": %d, \"complete\": %d, "
             "\"elsewhere\": %d}, \"fleet\": {\"ranks\": 2, \"busy\": 1, \"dead\": 0}, "
             "\"tokens_per_s\": 10.0, \"rank_seconds\": 4.0, "
             "\"part\": {\"trials\": 2, \"ended\": %d, \"waits_for\": []}}",
             began, now, ended, outcome, 3 - complete - elsewhere, complete, elsewhere, complete);
    put(folder, "sweep.json", text);
}

static void assert_file(const char *name, const char *expected)
{
    char path[MU_PATH_MAX], *text;
    size_t size;

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    assert_int_equal(mu_file_read(path, 1 << 20, &text, &size), MU_OK);
    assert_string_equal(text, expected);
    free(text);
}

static void tables_are_one(void **unused)
{
    (void)unused;
    put_status("parts/0-of-2", 1000, 20, 3, 0, "\"complete\"", "\"complete\"");
    put_status("parts/1-of-2", 1005, 10, 2, 1, "\"complete\"", "\"complete\"");
    put("parts/0-of-2", "results.csv",
        RESULT "a,cell,a,,0,,1,complete,2.5\nc,cell,c,,0,,1,failed,\n");
    put("parts/1-of-2", "results.csv",
        RESULT "b,cell,b,,0,,1,complete,3.5\nc,cell,c,,0,,1,complete,1.5\n");
    put("parts/0-of-2", "timing.csv",
        TIMING "c,cell,elsewhere,0,9,1,1,1,0,0.000,0,0,0,0,,,\n"
               "a,cell,complete,9,9,1,1,1,9,4.000,0,0,0,1,1.000,3.000,\"x, y\"\n");
    put("parts/1-of-2", "timing.csv",
        TIMING "c,cell,complete,9,9,1,1,1,9,4.000,0,0,0,1,2.000,4.000,\n");
    put("parts/0-of-2", "timeline.csv", STRETCH "1,0,a,1.000,3.000,\n1,1,a,1.000,,\n");
    put("parts/1-of-2", "timeline.csv", STRETCH "1,0,c,2.000,4.000,moved\n");
    assert_int_equal(mu_sweep_merge_files(root), MU_OK);
    assert_file("results.csv", RESULT "a,cell,a,,0,,1,complete,2.5\nb,cell,b,,0,,1,complete,3.5\n"
                                      "c,cell,c,,0,,1,complete,1.5\n");
    assert_file("timing.csv",
                TIMING "c,cell,complete,9,9,1,1,1,9,4.000,0,0,0,1,7.000,9.000,\n"
                       "a,cell,complete,9,9,1,1,1,9,4.000,0,0,0,1,1.000,3.000,\"x, y\"\n");
    assert_file("timeline.csv", STRETCH "1,0,a,1.000,3.000,\n1,1,a,1.000,,\n"
                                        "1,2,c,7.000,9.000,moved\n");
}

static void other_columns_are_refused(void **unused)
{
    (void)unused;
    put_status("parts/0-of-2", 1000, 20, 3, 0, "\"complete\"", "\"complete\"");
    put_status("parts/1-of-2", 1005, 10, 2, 1, "\"complete\"", "\"complete\"");
    put("parts/0-of-2", "results.csv", RESULT);
    put("parts/1-of-2", "results.csv", "trial,grid_x\n");
    assert_int_equal(mu_sweep_merge_files(root), MU_FAILED);
    assert_false(mu_file_exists_in(root, "results.csv"));
}

static json_t *status(void)
{
    json_t *json;

    assert_int_equal(mu_sweep_read_status(root, &json), MU_OK);
    return json;
}

static int64_t count(const json_t *json, const char *phase)
{
    return mu_json_get_integer(json_object_get(json, "phases"), phase);
}

/* Who knows most counts what has ended; who works, what is trained. */
static void the_status_is_of_all_parts(void **unused)
{
    json_t *json;

    (void)unused;
    put_status("parts/0-of-3", 1000, 20, 1, 1, "null", "null");
    put_status("parts/1-of-3", 1005, 10, 0, 3, "\"waits\"", "\"requeue\"");
    json = status();
    assert_true(json_is_null(json_object_get(json, "ended")));
    assert_int_equal(count(json, "complete"), 1);
    assert_int_equal(count(json, "trains"), 1);
    assert_int_equal(count(json, "ready"), 1);
    assert_int_equal(mu_json_get_integer(json_object_get(json, "fleet"), "ranks"), 2);
    assert_int_equal(json_array_size(json_object_get(json, "parts")), 3);
    assert_true(mu_json_get_real(json, "began") == 1000);
    json_decref(json);
    put_status("parts/0-of-3", 1000, 21, 1, 2, "\"stopped\"", "\"requeue\"");
    json = status();
    assert_string_equal(mu_json_get_text(json, "outcome"), "requeue");
    assert_string_equal(
        mu_json_get_text(json, "ended"),
        "stopped: 1 of 3 trials have ended; to be started again of 3 parts: 0, 1, 2");
    json_decref(json);
}

/* Of several numbers of parts, and none, the newest. */
static void the_newest_way_counts(void **unused)
{
    json_t *json;

    (void)unused;
    put_status("parts/0-of-3", 1000, 20, 1, 2, "\"stopped\"", "\"requeue\"");
    put_status("parts/0-of-2", 1000, 21, 3, 0, "\"complete\"", "\"complete\"");
    json = status();
    assert_int_equal(json_array_size(json_object_get(json, "parts")), 2);
    assert_string_equal(mu_json_get_text(json, "outcome"), "complete");
    json_decref(json);
    put_status(".", 1000, 22, 2, 0, "null", "null");
    json = status();
    assert_null(json_object_get(json, "parts"));
    assert_int_equal(count(json, "trains"), 1);
    json_decref(json);
    assert_int_equal(mu_sweep_merge_files(root), MU_OK); /* and nothing is written over */
    json = status();
    assert_null(json_object_get(json, "parts"));
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_are_one, begin, end),
        cmocka_unit_test_setup_teardown(other_columns_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(the_status_is_of_all_parts, begin, end),
        cmocka_unit_test_setup_teardown(the_newest_way_counts, begin, end),
    };

    mu_log_set_level(MU_LOG_SILENT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
