/* What a report says is said once (contents.h), block by block, and shown twice: on a terminal
 * (table.c) and in a page (page.c). Text is plain: what shows it wraps, escapes and aligns, and a
 * page sets "1..2" and "C^0.5" as in print, but never inside MU_OUTSIDE. */
#ifndef MUSTER_REPORT_DOCUMENT_H
#define MUSTER_REPORT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Around the format of text that is not ours, as in MU_OUTSIDE("%s"): a path, the name of a column,
 * a note that quotes one. It is shown letter by letter. */
#define MU_OUTSIDE(format) "\x02" format "\x03"
#define MU_OUTSIDE_BEGIN   '\x02'
#define MU_OUTSIDE_END     '\x03'

enum mu_block {
    MU_BLOCK_SECTION, /* a heading */
    MU_BLOCK_TEXT,
    MU_BLOCK_LEAD, /* what matters most */
    MU_BLOCK_ITEM, /* of a list */
    MU_BLOCK_ALERT /* of a list of warnings */
};

/* Cells row by row, the first row is the header. */
struct mu_grid {
    size_t columns, rows;
    const char *const *cell;
    unsigned left; /* bit k: column k is text, aligned left */
};

struct mu_document;

struct mu_look {
    bool typesets; /* wants MU_OUTSIDE's two characters; else they are taken out */
    void (*block)(struct mu_document *doc, enum mu_block kind, const char *text);
    void (*table)(struct mu_document *doc, const struct mu_grid *grid);
};

struct mu_document {
    FILE *out;
    const struct mu_look *look;
    bool failed;  /* no memory: something is missing */
    bool shown;   /* the look's own: something was */
    size_t width; /* the look's own: columns that prose may take */
    bool in_list; /* the look's own: a list is open, of blocks of this kind */
    enum mu_block list;
    FILE *cells;   /* of the table being made, each with its zero byte */
    char *text;    /* behind `cells` */
    size_t size;   /* of it */
    size_t column; /* of the next cell */
    size_t columns, rows;
    unsigned left;
};

/* Text from outside, in place: '?' for control characters and for bytes that are not UTF-8. All
 * that a document says is cleaned by itself: nothing in a name commands a terminal. */
void mu_document_clean(char *text);

void mu_document_say(struct mu_document *doc, enum mu_block kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* header: "<law|A|95 %"; '<' marks a column of text. Cells follow, row by row; a row may be ended
 * early. */
void mu_document_table(struct mu_document *doc, const char *header);
void mu_document_cell(struct mu_document *doc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void mu_document_row_end(struct mu_document *doc);
void mu_document_table_end(struct mu_document *doc);

#endif
