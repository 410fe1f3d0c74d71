#include "orchestrator/points/row.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/points/cell.h"
#include "orchestrator/points/decimals.h"

void mu_points_row_spoil(struct mu_points_row *row, enum mu_column column, const char *why,
                         const char *format, ...)
{
    char text[512];
    va_list arguments;

    if (row->bad)
        return;
    row->bad = true;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mu_complaints_add(row->complaints, row->csv->line, column, why, text);
}

/* Of all numbers: beyond them products and powers of a fit lose their digits or overflow. */
static const double LEAST = 1e-60, MOST = 1e60;

const char *mu_points_row_cell(const struct mu_points_row *row, int at)
{
    const char *cell = at >= 0 && (size_t)at < row->csv->cells ? row->csv->cell[at] : NULL;

    return cell && cell[strspn(cell, " \t\r\n")] ? cell : NULL;
}

/* False: not there (also when it is bad). */
static bool take_number(struct mu_points_row *row, enum mu_column column, double *out)
{
    const struct mu_columns *columns = row->columns;
    const char *cell = mu_points_row_cell(row, columns->at[column]), *why;
    const char *name = row->found->column[column];
    const bool zero = column == MU_COLUMN_weight;

    if (!cell)
        return false;
    why = row->decimal_comma[columns->at[column]]
              ? mu_decimals_number(cell, columns->exponent[column], out)
              : mu_cell_number(cell, columns->exponent[column], out);
    if (why)
        mu_points_row_spoil(row, column, why, "column '%s': %s %s; expected a number %s 0", name,
                            mu_cell_show(cell).text, why, zero ? "of at least" : "above");
    else if (*out < 0 || (*out <= 0 && !zero))
        mu_points_row_spoil(row, column, "sign", "column '%s': %s; expected a number %s 0", name,
                            mu_cell_show(cell).text, zero ? "of at least" : "above");
    else if (*out > 0 && (*out < LEAST || *out > MOST))
        mu_points_row_spoil(row, column, "range",
                            "column '%s': %s; expected a number from %g to %g", name,
                            mu_cell_show(cell).text, LEAST, MOST);
    else
        return true;
    return false;
}

/* As above, of what must be there when its column is. */
static bool take_amount(struct mu_points_row *row, enum mu_column column, double *out)
{
    if (row->columns->at[column] >= 0 && !mu_points_row_cell(row, row->columns->at[column]))
        mu_points_row_spoil(row, column, "empty", "column '%s' is empty; expected a number above 0",
                            row->found->column[column]);
    return take_number(row, column, out);
}

static void take_count(struct mu_points_row *row, enum mu_column column, double most, uint64_t *out)
{
    double value = 0;

    if (!take_number(row, column, &value))
        return;
    if (value > most || value > floor(value))
        mu_points_row_spoil(row, column, "count",
                            "column '%s': %.10g; expected an integer from 1 to %.0f",
                            row->found->column[column], value, most);
    else
        *out = (uint64_t)value;
}

bool mu_points_need_shape(const struct mu_points_request *request,
                          const struct mu_points_found *found)
{
    return found->derived[0] && request->flops == MU_FLOPS_6N_ATTENTION;
}

/* A shape is of use only whole. The limits keep counts of parameters within 64 bits. */
static void take_shape(struct mu_points_row *row, struct mu_fit_point *p)
{
    struct mu_gpt_shape shape = {0};
    uint64_t heads = 0;

    take_count(row, MU_COLUMN_layers, 1e5, &shape.layers);
    take_count(row, MU_COLUMN_width, 1e6, &shape.width);
    take_count(row, MU_COLUMN_context, 1e9, &shape.context);
    take_count(row, MU_COLUMN_vocab, 1e9, &shape.vocab);
    take_count(row, MU_COLUMN_heads, 1e6, &heads);
    p->heads = (uint32_t)heads;
    if (shape.layers && shape.width && shape.context && shape.vocab)
        p->shape = shape;
    else if (mu_points_need_shape(row->request, row->found))
        mu_points_row_spoil(row, MU_COLUMNS, "shape",
                            "6N+12LdT needs the row's layers, width, context and vocabulary");
}

/* The third of N, D and C. FLOPs of a token are 6 N + attention. */
static void derive(struct mu_points_row *row, struct mu_fit_point *p, bool n, bool d, bool c)
{
    const double attention =
        row->request->flops == MU_FLOPS_6N_ATTENTION
            ? 12.0 * (double)p->shape.layers * (double)p->shape.width * (double)p->shape.context
            : 0;

    if (!n)
        p->n = (p->c / p->d - attention) / 6;
    else if (!d)
        p->d = p->c / (6 * p->n + attention);
    else if (!c)
        p->c = p->d * (6 * p->n + attention);
    if (!(isnormal(p->n) && isnormal(p->d) && isnormal(p->c)) || p->n < 0)
        mu_points_row_spoil(row, MU_COLUMNS, "derived",
                            "%s gives %g parameters, %g tokens, %g FLOPs; expected numbers above 0",
                            row->found->derived[0] ? row->found->derived : "the row", p->n, p->d,
                            p->c);
}

void mu_points_row_amounts(struct mu_points_row *row, struct mu_fit_point *p)
{
    const struct mu_points_found *found = row->found;
    const bool n = take_amount(row, MU_COLUMN_n, &p->n), d = take_amount(row, MU_COLUMN_d, &p->d),
               c = take_amount(row, MU_COLUMN_c, &p->c);
    double epochs = 1;

    take_amount(row, MU_COLUMN_loss, &p->loss);
    p->weight = 1;
    take_number(row, MU_COLUMN_weight, &p->weight);
    take_shape(row, p);
    if (row->columns->single) {
        p->n = n ? p->n : 1;
        p->d = d ? p->d : 1;
        p->c = c ? p->c : 1;
        p->unique = p->d;
        return;
    }
    if (!d)
        p->d = 0; /* whatever stood there */
    if (!row->bad)
        derive(row, p, n, d, c);
    p->unique = p->d;
    if (!take_number(row, MU_COLUMN_unique, &p->unique) &&
        take_number(row, MU_COLUMN_epochs, &epochs) && epochs > 1)
        p->unique = p->d / epochs;
    if (!row->bad && p->unique > p->d * (1 + 1e-9))
        mu_points_row_spoil(
            row, MU_COLUMN_unique, "unique",
            "column '%s': %.10g distinct tokens; expected at most the %.10g of training",
            found->column[MU_COLUMN_unique], p->unique, p->d);
    p->unique = fmin(p->unique, p->d);
}
