/* A report's files in a folder of its own. Include after cmocka.h. */
#ifndef MUSTER_TESTS_REPORT_FILES_H
#define MUSTER_TESTS_REPORT_FILES_H

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/report/report.h"
#include "tests/support/fit_fixture.h"

static char report_root[64], report_path[128];

static inline int make_report_root(void **state)
{
    (void)state;
    strcpy(report_root, "/tmp/muster-report-XXXXXX");
    if (!mkdtemp(report_root))
        return -1;
    snprintf(report_path, sizeof report_path, "%s/report", report_root);
    return 0;
}

static inline int remove_report_root(void **state)
{
    (void)state;
    return mu_file_remove_tree(report_root) == MU_OK ? 0 : -1;
}

/* What mu_report_json or mu_report_html writes of a fixture; the caller frees. */
static inline char *written(enum mu_status (*write)(const char *path, const struct mu_fit *fit,
                                                    const struct mu_points_found *found),
                            const struct fixture *f)
{
    char *text;
    size_t size;

    assert_int_equal(write(report_path, f->fit, &f->found), MU_OK);
    assert_int_equal(mu_file_read(report_path, 1 << 24, &text, &size), MU_OK);
    assert_int_equal(strlen(text), size);
    return text;
}

#endif
