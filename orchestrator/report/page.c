/* The report as a page: one file, no scripts, nothing fetched; light or dark as the reader likes
 * it; tables and pictures scroll by themselves on a narrow screen; it prints. The recommendation
 * comes first; of a sweep, where it stands. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/pictures.h"
#include "orchestrator/report/report.h"
#include "orchestrator/report/sweep_contents.h"
#include "orchestrator/run/json_values.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2024;--soft:#5b6470;--line:#d9dee4;--page:#fff;"
    "--card:#f5f7fa;--lead:#0b5c94;--alert:#b3400b;--wash:#fdf1ea}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e3e7ec;--soft:#9aa5b1;--line:#39414b;"
    "--page:#14181d;--card:#1c2229;--lead:#6db9ee;--alert:#f0935c;--wash:#2b211b}figure "
    "svg{filter:brightness(1.3)}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"
    "'Segoe UI',Roboto,Helvetica,Arial,sans-serif}\n"
    "main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 4rem}\n"
    "h1{font-size:1.7rem;line-height:1.25;margin:0 0 .3rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.2rem;line-height:1.3;margin:2.8rem 0 .6rem;padding-top:.9rem;"
    "border-top:1px solid var(--line)}\n"
    "p,ul{margin:.6rem 0;max-width:50rem;overflow-wrap:anywhere}\n"
    "sup{line-height:0;font-size:.75em;vertical-align:.4em}\n"
    "ul{padding-left:1.2rem}li{margin:.25rem 0}\n"
    ".about{color:var(--soft)}\n"
    ".lead{font-size:1.08rem;padding:.7rem 1rem;background:var(--card);"
    "border-left:4px solid var(--lead);border-radius:0 6px 6px 0}\n"
    ".alerts{list-style:none;padding:.5rem 1rem;background:var(--wash);"
    "border-left:4px solid var(--alert);border-radius:0 6px 6px 0}\n"
    ".scroll{overflow-x:auto;margin:.8rem 0}\n"
    "table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.3rem .75rem;text-align:right;white-space:nowrap;"
    "border-top:1px solid var(--line)}\n"
    "th{color:var(--soft);font-weight:600;border-top:0;border-bottom:1px solid var(--line)}\n"
    "tr.c td{border-top:0}\n"
    "th:first-child,td:first-child{padding-left:.2rem}\n"
    ".l{text-align:left}td.w{white-space:normal}\n"
    "figure{margin:1.2rem 0}\n"
    "figure svg{display:block;width:100%;min-width:40rem;height:auto}\n"
    "figure svg text{fill:var(--ink)}figure use[color=white]{color:var(--page)}\n"
    "figcaption{color:var(--soft);font-size:.9rem;max-width:50rem}\n"
    "@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--page:#fff;"
    "--card:#f5f5f5;--wash:#f5f5f5}main{padding:0;max-width:none}body{font-size:10.5pt}"
    "table{font-size:8pt}th,td{padding:.2rem .4rem}.scroll{overflow:visible}"
    "figure svg{min-width:0;max-height:9.5cm;filter:none}"
    "figure,table,.lead,.alerts{break-inside:avoid}h2,p:has(+.scroll){break-after:avoid}}\n";

static bool is_word(const char *c)
{
    return isalnum((unsigned char)*c) || (*c == '.' && isdigit((unsigned char)c[1]));
}

/* One character of text, its markup made harmless. */
static void put_character(FILE *out, char c)
{
    static const char *const entity[128] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};

    if (!(c & 0x80) && entity[(unsigned char)c])
        fputs(entity[(unsigned char)c], out);
    else
        fputc(c, out);
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        put_character(out, *text);
}

/* The same, set as in print: "3.9e8..4.3e8" with a dash, "C^0.5" with a superscript, no line broken
 * before '%'. What MU_OUTSIDE marks stays as it is. */
static void put_text(FILE *out, const char *text)
{
    bool ours = true;

    for (const char *c = text; *c; c++) {
        if (*c == MU_OUTSIDE_BEGIN || *c == MU_OUTSIDE_END) {
            ours = *c == MU_OUTSIDE_END;
        } else if (ours && c[0] == '.' && c[1] == '.' && c[2] != '.' && c > text && c[-1] != '.') {
            fputs("\u202f–\u202f", out);
            c++;
        } else if (ours && c[0] == ' ' && c[1] == '%') {
            fputs("&nbsp;", out);
        } else if (ours && c[0] == '^' && is_word(c + 1 + (c[1] == '-'))) {
            fputs(c[1] == '-' ? "<sup>\u2212" : "<sup>", out);
            c += c[1] == '-';
            for (; is_word(c + 1); c++)
                put_character(out, c[1]);
            fputs("</sup>", out);
        } else {
            put_character(out, *c);
        }
    }
}

static void end_list(struct mu_document *doc)
{
    if (doc->in_list)
        fputs("</ul>\n", doc->out);
    doc->in_list = false;
}

static void put_element(struct mu_document *doc, const char *open, const char *text,
                        const char *close)
{
    fputs(open, doc->out);
    put_text(doc->out, text);
    fputs(close, doc->out);
}

static void show_block(struct mu_document *doc, enum mu_block kind, const char *text)
{
    static const char *const list[] = {
        [MU_BLOCK_ITEM] = "<ul>\n", [MU_BLOCK_ALERT] = "<ul class=\"alerts\">\n"};
    bool listed = kind == MU_BLOCK_ITEM || kind == MU_BLOCK_ALERT;

    if (!listed || doc->list != kind)
        end_list(doc);
    switch (kind) {
    case MU_BLOCK_SECTION:
        put_element(doc, "<h2>", text, "</h2>\n");
        break;
    case MU_BLOCK_TEXT:
        put_element(doc, "<p>", text, "</p>\n");
        break;
    case MU_BLOCK_LEAD:
        put_element(doc, "<p class=\"lead\">", text, "</p>\n");
        break;
    case MU_BLOCK_ITEM:
    case MU_BLOCK_ALERT:
        if (!doc->in_list)
            fputs(list[kind], doc->out);
        doc->in_list = true;
        doc->list = kind;
        put_element(doc, "<li>", text, "</li>\n");
        break;
    }
}

static void show_table(struct mu_document *doc, const struct mu_grid *grid)
{
    end_list(doc);
    fputs("<div class=\"scroll\"><table>\n<thead>", doc->out);
    for (size_t k = 0; k < grid->rows * grid->columns; k++) {
        size_t column = k % grid->columns;
        bool left = grid->left >> column & 1, head = k < grid->columns;

        if (column == 0)
            fputs(*grid->cell[k] || head ? "<tr>" : "<tr class=\"c\">", doc->out);
        fputs(head ? "<th" : "<td", doc->out);
        if (left)
            fputs(column + 1 == grid->columns && !head ? " class=\"l w\">" : " class=\"l\">",
                  doc->out);
        else
            fputc('>', doc->out);
        put_text(doc->out, grid->cell[k]);
        fputs(head ? "</th>" : "</td>", doc->out);
        if (column + 1 == grid->columns)
            fputs(k < grid->columns ? "</tr></thead>\n<tbody>\n" : "</tr>\n", doc->out);
    }
    fputs("</tbody></table></div>\n", doc->out);
}

static void show_svg(struct mu_document *doc, const char *svg, const char *text)
{
    end_list(doc);
    if (!svg)
        return;
    fputs("<figure><div class=\"scroll\" role=\"img\" aria-label=\"", doc->out);
    put_escaped(doc->out, text);
    fprintf(doc->out, "\">%s</div>\n<figcaption>", svg);
    put_escaped(doc->out, text);
    fputs("</figcaption></figure>\n", doc->out);
}

static void show_picture(struct mu_document *doc, const struct mu_pictures *pictures,
                         enum mu_picture picture)
{
    show_svg(doc, pictures->svg[picture], mu_picture_text(picture));
}

/* about: "Scaling fit of "; name: from outside, as it stands. */
static void put_head(FILE *out, const char *about, const char *name)
{
    char clean[MU_PATH_MAX];

    snprintf(clean, sizeof clean, "%s", name);
    mu_document_clean(clean);
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>%s",
            about);
    put_escaped(out, clean);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>%s", style, about);
    put_escaped(out, clean);
    fprintf(out,
            "</h1>\n<p class=\"about\">muster fit %s. N: parameters; D: training tokens; C: "
            "training FLOPs; a star marks the best of a budget.</p>\n",
            MUSTER_VERSION);
}

static void put_foot(struct mu_document *doc)
{
    end_list(doc);
    fputs("</main>\n</body>\n</html>\n", doc->out);
}

static void say_missing(struct mu_document *doc, const char *why)
{
    if (why[0])
        mu_document_say(doc, MU_BLOCK_ALERT, "Pictures are missing: " MU_OUTSIDE("%s") ".", why);
}

static void put_fit(struct mu_document *doc, const struct mu_contents *c,
                    const struct mu_pictures *pictures)
{
    mu_contents_summary(doc, c);
    say_missing(doc, pictures->why);
    mu_contents_recommendation(doc, c);
    mu_contents_warnings(doc, c);
    mu_contents_scaling(doc, c);
    show_picture(doc, pictures, MU_PICTURE_N);
    show_picture(doc, pictures, MU_PICTURE_D);
    show_picture(doc, pictures, MU_PICTURE_RATIO);
    mu_contents_published(doc, c);
    mu_contents_isoflop(doc, c);
    show_picture(doc, pictures, MU_PICTURE_ISOFLOP);
    mu_contents_envelope(doc, c);
    show_picture(doc, pictures, MU_PICTURE_LOSS);
    mu_contents_law(doc, c);
    show_picture(doc, pictures, MU_PICTURE_RESIDUALS);
    mu_contents_checks(doc, c);
    mu_contents_conventions(doc, c);
    mu_contents_points(doc, c);
}

/* A page in memory that becomes a file when it is whole. */
static enum mu_status open_page(struct mu_document *doc, char **text, size_t *size,
                                const char *path)
{
    static const struct mu_look look = {true, show_block, show_table};

    *doc = (struct mu_document){.look = &look, .out = open_memstream(text, size)};
    return doc->out ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
}

static enum mu_status close_page(struct mu_document *doc, char **text, const size_t *size,
                                 const char *path)
{
    enum mu_status st;

    doc->failed = fclose(doc->out) != 0 || doc->failed;
    st = doc->failed ? MU_FAIL(MU_NO_MEMORY, "no memory for %s", path)
                     : mu_file_write_durably(path, *text, *size);
    free(*text);
    if (st != MU_OK && unlink(path) == 0) /* it would stand beside a fit.json of other numbers */
        mu_log(MU_LOG_INFO, "%s, of an earlier fit, was removed", path);
    return st;
}

enum mu_status mu_report_html(const char *path, const struct mu_fit *fit,
                              const struct mu_points_found *found)
{
    const struct mu_contents contents = {.fit = fit, .found = found};
    struct mu_document doc;
    struct mu_pictures pictures;
    char *text = NULL;
    size_t size = 0;
    enum mu_status st;

    MU_TRY(open_page(&doc, &text, &size, path), st, done);
    mu_pictures_draw(fit, &pictures);
    put_head(doc.out, "Scaling fit of ", found->path);
    put_fit(&doc, &contents, &pictures);
    put_foot(&doc);
    mu_pictures_free(&pictures);
    st = close_page(&doc, &text, &size, path);
done:
    return st;
}

static bool script_of_sweep(FILE *out, const void *folder, size_t k)
{
    return mu_sweep_picture_script(out, folder, (enum mu_sweep_picture)k);
}

static void put_sweep(struct mu_document *doc, const struct mu_sweep_folder *f, char **svg)
{
    mu_sweep_say_tuning(doc, f);
    show_svg(doc, svg[MU_SWEEP_PICTURE_TUNING], mu_sweep_picture_text(MU_SWEEP_PICTURE_TUNING));
    mu_sweep_say_trunks(doc, f);
    mu_sweep_say_fleet(doc, f);
    show_svg(doc, svg[MU_SWEEP_PICTURE_TIMELINE], mu_sweep_picture_text(MU_SWEEP_PICTURE_TIMELINE));
    mu_sweep_say_goodput(doc, f);
    mu_sweep_say_trials(doc, f);
}

enum mu_status mu_report_sweep_html(const char *path, const struct mu_sweep_folder *f,
                                    const struct mu_fit *fit, const struct mu_points_found *found,
                                    const char *why)
{
    const struct mu_contents contents = {.fit = fit, .found = found};
    struct mu_pictures pictures = {.why = ""};
    char *svg[MU_SWEEP_PICTURES] = {NULL}, *text = NULL, missing[600] = "";
    struct mu_document doc;
    size_t size = 0;
    enum mu_status st;

    MU_TRY(open_page(&doc, &text, &size, path), st, done);
    mu_drawing_make(&(struct mu_drawing){script_of_sweep, f, 's'}, MU_SWEEP_PICTURES, svg, missing,
                    sizeof missing);
    if (fit)
        mu_pictures_draw(fit, &pictures);
    put_head(doc.out, "Sweep ", mu_json_get_text(f->status, "name"));
    mu_sweep_say_state(&doc, f);
    mu_sweep_say_budgets(&doc, f);
    mu_document_say(&doc, MU_BLOCK_SECTION, "Scaling fit");
    if (fit)
        put_fit(&doc, &contents, &pictures);
    else
        mu_document_say(&doc, MU_BLOCK_TEXT, "None yet: %s.", why);
    if (!pictures.why[0])
        say_missing(&doc, missing);
    put_sweep(&doc, f, svg);
    put_foot(&doc);
    for (size_t k = 0; k < MU_SWEEP_PICTURES; k++)
        free(svg[k]);
    mu_pictures_free(&pictures);
    st = close_page(&doc, &text, &size, path);
done:
    return st;
}
