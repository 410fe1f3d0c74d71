/* The text of a scan, parsed by libconfig into a flat list of keys and values. libconfig's header
 * is included in parser_libconfig.c only. */
#ifndef MUSTER_CONFIG_PARSER_LIBCONFIG_H
#define MUSTER_CONFIG_PARSER_LIBCONFIG_H

#include <stdbool.h>

#include "orchestrator/config/mistakes.h"
#include "orchestrator/config/scan.h"

enum mu_entry_shape {
    MU_ENTRY_SCALAR,
    MU_ENTRY_ARRAY, /* [a, b] or (a, b) */
    MU_ENTRY_GROUP, /* an empty one; others are their members */
};

struct mu_literal {
    enum mu_scalar kind;
    const char *text;
};

enum { MU_ENTRY_ELEMENTS = 2 };
struct mu_entry {
    const char *key; /* with dots */
    struct mu_place place;
    enum mu_entry_shape shape;
    int count;                                    /* of elements; a scalar has one */
    struct mu_literal element[MU_ENTRY_ELEMENTS]; /* the first ones; text NULL: not a scalar */
};

/* Calls `take` for every key, in the order of the file; entries live during the call only. False
 * after a syntax error, which is a mistake and comes before the first call. In the group
 * "sweep", what stands in a list is told by itself as well, after the list: "sweep.budgets[0]",
 * "sweep.laws[1].key". */
typedef void mu_entry_take(void *context, const struct mu_entry *entry);
bool mu_libconfig_read(const struct mu_scan *scan, struct mu_mistakes *m, mu_entry_take *take,
                       void *context);

const char *mu_config_library_version(void); /* "libconfig 1.5.0", as compiled against */

#endif
