#include "orchestrator/points/decimals.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/points/cell.h"
#include "orchestrator/points/table_csv.h"

enum { NUMBER = 128 }; /* no number is longer */

struct evidence {
    bool decimal, against;
};

struct search {
    const struct mu_csv_form *form;
    struct evidence *column;
    size_t width;
    bool head_seen;
};

/* Whether the digits round the comma may be thousands: "1,000" and "12,345", not "0,123". */
static bool may_be_thousands(const char *text, const char *comma)
{
    const char *digits = text + strcspn(text, "0123456789,");
    const size_t before = (size_t)(comma - digits), after = strspn(comma + 1, "0123456789");

    return before >= 1 && before <= 3 && digits[0] != '0' && after == 3;
}

static void weigh(struct evidence *e, const char *cell)
{
    const char *comma = strchr(cell, ',');
    char plain[NUMBER];
    size_t used = 0;
    double value;

    if (strlen(cell) >= sizeof plain || (!comma && !strchr(cell, '.')))
        return;
    for (const char *c = cell; *c; c++)
        if (*c != ',')
            plain[used++] = *c;
    plain[used] = 0;
    if (mu_cell_number(plain, 0, &value))
        return;
    if (!comma || strchr(comma + 1, ',') || strchr(cell, '.'))
        e->against = true;
    else
        e->decimal |= isdigit((unsigned char)comma[1]) && !may_be_thousands(cell, comma);
}

static enum mu_status take_row(void *context, const struct mu_csv_row *row)
{
    struct search *s = context;
    const bool useful = s->head_seen && !row->broken && s->form->delimiter != ',';

    s->head_seen = true;
    for (size_t i = 0; useful && i < row->cells && i < s->width; i++)
        weigh(&s->column[i], row->cell[i]);
    return MU_OK;
}

enum mu_status mu_decimals_find(const char *path, const char *text, size_t size, bool *comma,
                                size_t width)
{
    struct mu_csv_form form;
    struct search s = {&form, calloc(width + 1, sizeof *s.column), width, false};
    enum mu_status st = MU_OK;

    if (!s.column)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu columns", width);
    MU_TRY(mu_csv_parse(path, text, size, &form, take_row, &s), st, done);
    for (size_t i = 0; i < width; i++)
        comma[i] = s.column[i].decimal && !s.column[i].against;
done:
    free(s.column);
    return st;
}

const char *mu_decimals_number(const char *text, int exponent, double *out)
{
    char plain[NUMBER];
    const size_t length = strlen(text);
    char *comma;

    if (length >= sizeof plain)
        return mu_cell_number(text, exponent, out);
    memcpy(plain, text, length + 1);
    comma = strchr(plain, ',');
    if (comma)
        *comma = '.';
    return mu_cell_number(plain, exponent, out);
}
