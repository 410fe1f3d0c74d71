#include "orchestrator/points/complaints.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/points/heads.h"

void mu_complaints_add(struct mu_complaints *complaints, int line, enum mu_column column,
                       const char *why, const char *text)
{
    const size_t at = complaints->count++;

    if (at == 0) {
        complaints->column = column;
        complaints->why = why;
    }
    complaints->differ |= column != complaints->column || strcmp(why, complaints->why) != 0;
    if (at >= MU_COMPLAINTS_SHOWN)
        return;
    complaints->shown[at].line = line;
    snprintf(complaints->shown[at].text, sizeof complaints->shown[at].text, "%s", text);
}

static enum mu_status tell_once(const struct mu_complaints *complaints,
                                const struct mu_points_found *found)
{
    const char *which = found->not_done ? " that are done" : "";

    if (complaints->column == MU_COLUMNS)
        return MU_FAIL(MU_FAILED, "%s: all %zu rows%s are bad in the same way; line %d: %s",
                       found->path, complaints->count, which, complaints->shown[0].line,
                       complaints->shown[0].text);
    return MU_FAIL(MU_FAILED,
                   "%s: all %zu rows%s are bad in the same way; line %d: %s; mend the column, or "
                   "name another with --%s",
                   found->path, complaints->count, which, complaints->shown[0].line,
                   complaints->shown[0].text, mu_column_option(complaints->column));
}

enum mu_status mu_complaints_tell(const struct mu_complaints *complaints,
                                  const struct mu_points_found *found, bool skip_bad)
{
    const size_t count = complaints->count;
    const size_t shown = count < MU_COMPLAINTS_SHOWN ? count : MU_COMPLAINTS_SHOWN;
    const bool none_left = count + found->not_done == found->rows;
    const enum mu_log_level level = skip_bad && !none_left ? MU_LOG_WARN : MU_LOG_ERROR;

    if (count == 0)
        return MU_OK;
    if (none_left && count > 1 && !complaints->differ)
        return tell_once(complaints, found);
    for (size_t i = 0; i < shown; i++)
        mu_log(level, "%s:%d: %s", found->path, complaints->shown[i].line,
               complaints->shown[i].text);
    if (count > shown)
        mu_log(level, "%s: and %zu bad rows more", found->path, count - shown);
    if (none_left)
        return MU_FAIL(MU_FAILED,
                       "%s: no row is left to fit: of %zu rows %zu are bad and %zu not done",
                       found->path, found->rows, count, found->not_done);
    if (!skip_bad)
        return MU_FAIL(MU_FAILED, "%s: %zu of %zu rows %s bad: mend, or leave out with --skip-bad",
                       found->path, count, found->rows, count == 1 ? "is" : "are");
    return MU_OK;
}
