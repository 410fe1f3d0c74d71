/* All mistakes of a configuration, collected so that a user hears of them at once:
 *
 *   gpt.cfg:12: model.heads: 5 does not divide model.width = 128; expected 4 or 8 */
#ifndef MUSTER_CONFIG_MISTAKES_H
#define MUSTER_CONFIG_MISTAKES_H

#include <stddef.h>

#include "orchestrator/base/status.h"

/* Where a value comes from: a file and a line of it, or "command line", "environment
 * MUSTER_RUN_DIR" with line 0. The text is kept by reference. */
struct mu_place {
    const char *source;
    int line;
};

enum { MU_MISTAKES_KEPT = 20 };
struct mu_mistakes {
    char *line[MU_MISTAKES_KEPT]; /* NULL beyond what memory allowed */
    int count;                    /* found; the first MU_MISTAKES_KEPT are kept */
};

/* key "": the mistake is no single key's. */
void mu_mistakes_add(struct mu_mistakes *m, struct mu_place place, const char *key,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Logs each as an error and forgets them: MU_CONFIG when there were any. */
enum mu_status mu_mistakes_report(struct mu_mistakes *m) MU_CHECKED;
void mu_mistakes_deinit(struct mu_mistakes *m);

#endif
