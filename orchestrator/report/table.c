/* The report on a terminal: 100 columns, the recommendation last, where it is seen. */
#include <string.h>

#include "orchestrator/report/contents.h"
#include "orchestrator/report/report.h"

enum { WIDTH = 100, INDENT = 2, GAP = 2, COLUMNS = 16 };

/* Columns that `length` bytes of UTF-8 take. */
static size_t width_of(const char *text, size_t length)
{
    size_t width = 0;

    for (size_t i = 0; i < length; i++)
        width += ((unsigned char)text[i] & 0xC0) != 0x80;
    return width;
}

/* Wrapped at WIDTH; lines after the first begin at `hang`. The first one stands at `at`. */
static void put_wrapped(FILE *out, const char *text, size_t at, size_t hang)
{
    bool first = true;

    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t length = strcspn(text, " "), width;

        if (text[length] == ' ' && text[length + 1] == '%') /* "95 %" stays together */
            length += 1 + strcspn(text + length + 1, " ");
        width = width_of(text, length);

        if (!first && at + 1 + width > WIDTH) {
            fprintf(out, "\n%*s", (int)hang, "");
            at = hang;
        } else if (!first) {
            fputc(' ', out);
            at++;
        }
        fwrite(text, 1, length, out);
        at += width;
        text += length;
        first = false;
    }
    fputc('\n', out);
}

static void show_block(struct mu_document *doc, enum mu_block kind, const char *text)
{
    static const char *const mark[] = {
        [MU_BLOCK_SECTION] = "",  [MU_BLOCK_TEXT] = "  ",    [MU_BLOCK_LEAD] = "  ",
        [MU_BLOCK_ITEM] = "  - ", [MU_BLOCK_ALERT] = "  ! ",
    };
    size_t hang = strlen(mark[kind]);

    if (kind == MU_BLOCK_SECTION && doc->shown)
        fputc('\n', doc->out);
    doc->shown = true;
    fputs(mark[kind], doc->out);
    put_wrapped(doc->out, text, hang, hang);
}

/* Nothing stands behind the last cell that holds something; a last column of text is wrapped. */
static void show_row(FILE *out, const struct mu_grid *grid, const char *const *cell,
                     const size_t *width)
{
    size_t cells = grid->columns, at = 0;

    while (cells > 0 && !*cell[cells - 1])
        cells--;
    for (size_t k = 0; k < cells; k++) {
        size_t length = strlen(cell[k]), pad = width[k] - width_of(cell[k], length);
        bool left = grid->left >> k & 1;

        at += k == 0 ? INDENT : GAP;
        fprintf(out, "%*s", k == 0 ? INDENT : GAP, "");
        if (left && k + 1 == grid->columns) {
            put_wrapped(out, cell[k], at, at);
            return;
        }
        fprintf(out, "%*s", left ? 0 : (int)pad, "");
        fputs(cell[k], out);
        fprintf(out, "%*s", left && k + 1 < cells ? (int)pad : 0, "");
        at += width[k];
    }
    fputc('\n', out);
}

static void show_table(struct mu_document *doc, const struct mu_grid *grid)
{
    size_t width[COLUMNS] = {0};

    MU_ASSERT(grid->columns <= COLUMNS);
    for (size_t k = 0; k < grid->rows * grid->columns; k++) {
        size_t w = width_of(grid->cell[k], strlen(grid->cell[k]));

        if (w > width[k % grid->columns])
            width[k % grid->columns] = w;
    }
    for (size_t row = 0; row < grid->rows; row++)
        show_row(doc->out, grid, &grid->cell[row * grid->columns], width);
}

void mu_report_table(FILE *out, const struct mu_fit *fit, const struct mu_points_found *found)
{
    static const struct mu_look look = {show_block, show_table};
    struct mu_document doc = {.out = out, .look = &look};
    const struct mu_contents contents = {.fit = fit, .found = found, .brief = true};

    mu_contents_points(&doc, &contents);
    mu_contents_isoflop(&doc, &contents);
    mu_contents_envelope(&doc, &contents);
    mu_contents_law(&doc, &contents);
    mu_contents_scaling(&doc, &contents);
    mu_contents_checks(&doc, &contents);
    mu_contents_conventions(&doc, &contents);
    mu_contents_published(&doc, &contents);
    mu_contents_recommendation(&doc, &contents);
    mu_contents_warnings(&doc, &contents);
    if (doc.failed)
        fprintf(out, "\nParts of this are missing: there was no memory for them.\n");
}
