/* A segment under a name of this test's alone. Include after cmocka.h. */
#ifndef MUSTER_TESTS_OWN_SEGMENT_H
#define MUSTER_TESTS_OWN_SEGMENT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "worker/segment.h"

enum { RANKS = 3, GENERATION = 77, PATIENCE_MS = 20000 };

static struct mu_layout layout;
static enum mu_status poll_says;
static uint64_t run_key; /* of this test alone */

static inline enum mu_status look(void *context)
{
    (void)context;
    return poll_says;
}

static inline struct mu_segment_options options_of(bool leader)
{
    return (struct mu_segment_options){.layout = &layout,
                                       .run_key = run_key,
                                       .generation = GENERATION,
                                       .host = 2,
                                       .ranks = RANKS,
                                       .leader = leader,
                                       .bf16 = true,
                                       .deadline_ms = PATIENCE_MS,
                                       .poll = look};
}

/* As segment.h says; for shm_open. */
static inline const char *own_name(void)
{
    static char name[96];

    snprintf(name, sizeof name, "/muster-%u-%016llx-h00000002", (unsigned)geteuid(),
             (unsigned long long)run_key);
    return name;
}

static inline const char *own_path(void)
{
    static char path[128];

    snprintf(path, sizeof path, "/dev/shm%s", own_name());
    return path;
}

static inline bool exists(void)
{
    struct stat s;

    return lstat(own_path(), &s) == 0;
}

static inline int set_up(void **state)
{
    (void)state;
    run_key = mu_clock_ns() ^ (uint64_t)getpid() << 40;
    poll_says = MU_OK;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    shm_unlink(own_name());
    return 0;
}

static inline int make_layout(void **state)
{
    static const struct mu_tensor_spec specs[] = {
        {.name = "w", .rows = 40, .cols = 300, .decay = true, .dense = true},
        {.name = "b", .rows = 1, .cols = 77, .dense = true},
        {.name = "e", .rows = 1200, .cols = 256, .dense = true, .row_addends = 1}};

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return mu_layout_init(&layout, specs, 3) == MU_OK ? 0 : -1;
}

static inline int free_layout(void **state)
{
    (void)state;
    mu_layout_deinit(&layout);
    return 0;
}

#define UNDER_A_NAME(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
