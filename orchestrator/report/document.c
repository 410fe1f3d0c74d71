#include "orchestrator/report/document.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/status.h"

/* Bytes of the UTF-8 character at c; 0: it is none (RFC 3629). */
static size_t length_of(const unsigned char *c)
{
    size_t length = c[0] < 0x80 ? 1 : c[0] < 0xC2 ? 0 : c[0] < 0xE0 ? 2 : c[0] < 0xF0 ? 3 : 4;

    if (c[0] > 0xF4 || (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) ||
        (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F))
        return 0;
    for (size_t k = 1; k < length; k++)
        if ((c[k] & 0xC0) != 0x80)
            return 0;
    return length;
}

void mu_document_clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c;) {
        size_t length = length_of(c);

        if (length == 0 || *c < ' ' || *c == 0x7F) {
            *c = '?';
            length = 1;
        }
        c += length;
    }
}

/* Cleans what a document is to show, but for MU_OUTSIDE's two characters. */
static void prepare(const struct mu_document *doc, char *text)
{
    char *to = text;

    for (char *c = text; *c;) {
        const size_t length = strcspn(c, MU_OUTSIDE(""));
        const char mark = c[length];

        c[length] = 0;
        mu_document_clean(c);
        memmove(to, c, length);
        to += length;
        c += length + (mark != 0);
        if (mark && doc->look->typesets)
            *to++ = mark;
    }
    *to = 0;
}

void mu_document_say(struct mu_document *doc, enum mu_block kind, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (n < 0) {
        doc->failed = true;
        return;
    }
    prepare(doc, text);
    doc->look->block(doc, kind, text);
    free(text);
}

void mu_document_table(struct mu_document *doc, const char *header)
{
    MU_ASSERT(!doc->cells);
    doc->cells = open_memstream(&doc->text, &doc->size);
    doc->column = doc->columns = doc->rows = 0;
    doc->left = 0;
    if (!doc->cells) {
        doc->failed = true;
        return;
    }
    for (const char *at = header, *end; at; at = *end ? end + 1 : NULL) {
        end = strchrnul(at, '|');
        if (*at == '<') {
            doc->left |= 1u << doc->columns;
            at++;
        }
        fprintf(doc->cells, "%.*s%c", (int)(end - at), at, 0);
        doc->columns++;
    }
    doc->rows = 1;
}

void mu_document_cell(struct mu_document *doc, const char *format, ...)
{
    va_list arguments;

    if (!doc->cells)
        return;
    va_start(arguments, format);
    vfprintf(doc->cells, format, arguments);
    va_end(arguments);
    fputc(0, doc->cells);
    MU_ASSERT(doc->column < doc->columns);
    if (++doc->column == doc->columns) {
        doc->column = 0;
        doc->rows++;
    }
}

void mu_document_row_end(struct mu_document *doc)
{
    while (doc->cells && doc->column != 0)
        mu_document_cell(doc, "%s", "");
}

void mu_document_table_end(struct mu_document *doc)
{
    const char **cell = NULL;
    char *at;
    bool whole;

    if (!doc->cells)
        return;
    mu_document_row_end(doc);
    whole = !ferror(doc->cells);
    whole = fclose(doc->cells) == 0 && whole;
    doc->cells = NULL;
    if (whole)
        cell = malloc(doc->rows * doc->columns * sizeof *cell);
    if (cell) {
        at = doc->text;
        for (size_t k = 0, length; k < doc->rows * doc->columns; k++, at += length + 1) {
            length = strlen(at);
            prepare(doc, at);
            cell[k] = at;
        }
        if (doc->rows > 1)
            doc->look->table(doc, &(struct mu_grid){doc->columns, doc->rows, cell, doc->left});
    } else {
        doc->failed = true;
    }
    free(cell);
    free(doc->text);
    doc->text = NULL;
}
