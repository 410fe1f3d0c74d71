/* What stands between a config file and libconfig. libconfig 1.5 loses what a validator needs: it
 * takes 39000000000 modulo 2^32 without a word, rejects [1, 2.0], stops at the first key that is
 * given twice, and resolves @include relative to one folder only. So the text is copied with
 *   - every scalar made a string of libconfig's, its first letter telling what it was
 *     (enum mu_scalar): the literal itself is what gets validated;
 *   - every name made unique, `steps` becoming `steps*7`: see mu_scan_name;
 *   - included files in the place of their @include, relative to the file they are included in;
 *   - comments taken out;
 * and a table that leads each line of the copy back to file and line. libconfig then parses the
 * copy: the grammar is its own. What cannot be copied (an unclosed string or bracket, a missing
 * included file) is a mistake told here. */
#ifndef MUSTER_CONFIG_SCAN_H
#define MUSTER_CONFIG_SCAN_H

#include <stddef.h>
#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/mistakes.h"

enum mu_scalar {
    MU_SCALAR_NUMBER = 'n', /* what begins like a number; it may still not be one: 1_000 */
    MU_SCALAR_TEXT = 's',   /* in double quotes */
    MU_SCALAR_WORD = 'w',   /* a word without quotes where a value should be: auto */
    MU_SCALAR_BOOL = 'b',   /* true, false */
    MU_SCALAR_TYPED = 't',  /* typed by a user where nobody quotes: command line, environment */
};

enum { MU_SCAN_FILES = 64, MU_SCAN_DEPTH = 10, MU_SCAN_BRACKETS = 64 };

struct mu_scan {
    char *text; /* the copy; NULL when there is nothing that libconfig could parse */
    size_t size;
    struct mu_scan_line {
        int file, line;
    } * lines; /* of the copy's lines, from 0 */
    size_t line_count, line_capacity;
    char *files[MU_SCAN_FILES];
    int file_count;
};

/* Mistakes are added to `m`; other failures (memory, an unreadable file) are a status. Deinit in
 * any case. */
enum mu_status mu_scan_file(struct mu_scan *scan, const char *path,
                            struct mu_mistakes *m) MU_CHECKED;
/* Text from memory, called `name` in mistakes; it may not include files. */
enum mu_status mu_scan_text(struct mu_scan *scan, const char *text, size_t size, const char *name,
                            struct mu_mistakes *m) MU_CHECKED;
void mu_scan_deinit(struct mu_scan *scan);

/* Where line `line` of the copy (from 1) came from; lives as long as the scan. */
struct mu_place mu_scan_place(const struct mu_scan *scan, int line);
/* The name as it was in the file, from one of the copy: written to out[size], cut if too long. */
void mu_scan_name(const char *name, char *out, size_t size);

#endif
