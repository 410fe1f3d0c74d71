/* The report on a terminal: 100 columns, the recommendation last, where it is seen. Prose wraps
 * earlier on a narrow one; a table that is wider is shown in parts, each with the first column. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "orchestrator/base/utf8.h"
#include "orchestrator/report/contents.h"
#include "orchestrator/report/report.h"

enum { WIDTH = 100, NARROWEST = 60, INDENT = 2, GAP = 2, COLUMNS = 16 };

/* Wrapped at `most`; lines after the first begin at `hang`. The first one stands at `at`. */
static void put_wrapped(FILE *out, const char *text, size_t at, size_t hang, size_t most)
{
    bool first = true;

    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t length = strcspn(text, " "), width;

        if (text[length] == ' ' && text[length + 1] == '%') /* "95 %" stays together */
            length += 1 + strcspn(text + length + 1, " ");
        width = mu_utf8_columns(text, length);

        if (!first && at + 1 + width > most) {
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
    put_wrapped(doc->out, text, hang, hang, doc->width);
}

/* Columns `first` to `end` of a row, after column 0. Nothing stands behind the last cell that holds
 * something; a last column of text is wrapped. */
static void show_row(FILE *out, const struct mu_grid *grid, const char *const *cell,
                     const size_t *width, size_t first, size_t end)
{
    size_t at = 0;

    while (end > first && !*cell[end - 1])
        end--;
    if (end == first && !*cell[0])
        return;
    for (size_t k = 0; k == 0 || k < end; k = k == 0 ? first : k + 1) {
        size_t length = strlen(cell[k]), pad = width[k] - mu_utf8_columns(cell[k], length);
        bool left = grid->left >> k & 1;

        at += k == 0 ? INDENT : GAP;
        fprintf(out, "%*s", k == 0 ? INDENT : GAP, "");
        if (left && k + 1 == grid->columns) {
            put_wrapped(out, cell[k], at, at, WIDTH);
            return;
        }
        fprintf(out, "%*s", left ? 0 : (int)pad, "");
        fputs(cell[k], out);
        fprintf(out, "%*s", left && first < end && k + 1 < end ? (int)pad : 0, "");
        at += width[k];
    }
    fputc('\n', out);
}

/* Where a part ends that begins with columns 0 and `first`: before what would stand beyond
 * WIDTH. */
static size_t part_of(const struct mu_grid *grid, const size_t *width, size_t first)
{
    size_t at = INDENT + width[0] + GAP + width[first], end = first + 1;

    for (; end < grid->columns; end++) {
        if (width[end] == 0)
            continue;
        at += GAP + width[end];
        if (at > WIDTH)
            break;
    }
    return end;
}

static void show_table(struct mu_document *doc, const struct mu_grid *grid)
{
    size_t width[COLUMNS] = {0};

    MU_ASSERT(grid->columns > 1 && grid->columns <= COLUMNS);
    for (size_t k = 0; k < grid->rows * grid->columns; k++) {
        size_t w = mu_utf8_columns(grid->cell[k], strlen(grid->cell[k]));

        if (w > width[k % grid->columns])
            width[k % grid->columns] = w;
    }
    for (size_t first = 1, end; first < grid->columns; first = end) {
        end = part_of(grid, width, first);
        for (size_t row = 0; row < grid->rows; row++)
            show_row(doc->out, grid, &grid->cell[row * grid->columns], width, first, end);
    }
}

/* Of prose. */
static size_t width_for(FILE *out)
{
    const int fd = fileno(out);
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    long width = 0;

    if (fd < 0 || !isatty(fd))
        return WIDTH;
    if (columns)
        width = strtol(columns, NULL, 10);
    if (width <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
        width = size.ws_col;
    if (width <= 0 || width > WIDTH)
        return WIDTH;
    return width < NARROWEST ? NARROWEST : (size_t)width;
}

void mu_report_table(FILE *out, const struct mu_fit *fit, const struct mu_points_found *found)
{
    static const struct mu_look look = {false, show_block, show_table};
    struct mu_document doc = {.out = out, .look = &look, .width = width_for(out)};
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
