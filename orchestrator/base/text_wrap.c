#include "orchestrator/base/text_wrap.h"

#include <stdbool.h>
#include <string.h>

enum { COLUMNS = 80 };

void mu_text_wrap(FILE *out, int indent, int used, const char *text)
{
    int column = used;
    bool fresh = true; /* nothing of the text stands on this line yet */

    while (*text) {
        int length = (int)strcspn(text, " \n");

        if (!fresh && column + 1 + length > COLUMNS) {
            fputc('\n', out);
            column = 0;
            fresh = true;
        }
        if (fresh && column < indent)
            column += fprintf(out, "%*s", indent - column, "");
        else if (!fresh && length > 0)
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", length, text);
        fresh = fresh && length == 0;
        text += length;
        if (*text == '\n') {
            fputc('\n', out);
            column = 0;
            fresh = true;
        }
        if (*text)
            text++;
    }
    fputc('\n', out);
}
