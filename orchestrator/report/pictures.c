#include "orchestrator/report/pictures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/gnuplot.h"

enum { DRAW_MS = 30000, TELL_MS = 5000, LOOK_US = 2000 };

const char *mu_picture_text(enum mu_picture picture)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        MU_PICTURE_TABLE(TEXT)
#undef TEXT
    };

    return texts[picture];
}

/* Length of what stands before an id, where `at` is the beginning of such a thing; else 0. */
static size_t before_id(const char *at)
{
    static const char *const before[] = {" id='", " id=\"", "href='#", "href=\"#", "url(#"};

    for (size_t k = 0; k < sizeof before / sizeof before[0]; k++)
        if (strncmp(at, before[k], strlen(before[k])) == 0)
            return strlen(before[k]);
    return 0;
}

/* Makes an <svg> of gnuplot's fit to stand with others in one page: no prologue; no titles, which
 * browsers show under the pointer; ids of its own. The caller frees; NULL: this is no picture, or
 * there is no memory. */
static char *embeddable(const char *svg, char prefix, size_t picture)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *at = strstr(svg, "<svg"), *end = strstr(svg, "</svg>"), *after;

    if (!out)
        return NULL;
    while (at && end && at < end + 6) {
        size_t length = before_id(at);

        if (length > 0) {
            fprintf(out, "%.*s%c%zu-", (int)length, at, prefix, picture);
            at += length;
        } else if (strncmp(at, "<title>", 7) == 0 && (after = strstr(at, "</title>"))) {
            at = after + 8;
        } else {
            fputc(*at++, out);
        }
    }
    if (fclose(out) != 0 || size == 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int start(const struct mu_drawing *drawing, size_t k, struct mu_gnuplot *gnuplot)
{
    char *script = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&script, &size);
    int error = 0;
    bool drawable;

    if (!out)
        return ENOMEM;
    drawable = drawing->script(out, drawing->context, k);
    if (fclose(out) != 0)
        error = ENOMEM;
    else if (drawable)
        error = mu_gnuplot_start(gnuplot, NULL, script, size, true, DRAW_MS);
    free(script);
    return error;
}

/* What gnuplot has drawn; NULL: `why` says why not. */
static char *finish(char prefix, size_t k, struct mu_gnuplot *gnuplot, int status, char *why,
                    size_t why_size)
{
    char *drawn, *svg = NULL;
    size_t size = 0;

    if (status != 0) {
        mu_gnuplot_explain(gnuplot, status, why, why_size);
    } else {
        drawn = mu_gnuplot_output(gnuplot, &size);
        svg = drawn ? embeddable(drawn, prefix, k) : NULL;
        if (!svg)
            snprintf(why, why_size, "gnuplot gave no picture");
        free(drawn);
    }
    mu_gnuplot_close(gnuplot);
    return svg;
}

void mu_drawing_make(const struct mu_drawing *drawing, size_t count, char **svg, char *why,
                     size_t why_size)
{
    struct mu_gnuplot gnuplot[MU_DRAWING_MOST];
    const struct mu_deadline tell = mu_deadline_in_ms(TELL_MS);
    size_t left = 0;
    bool told = false;
    int status;

    MU_ASSERT(count <= MU_DRAWING_MOST);
    for (size_t k = 0; k < count; k++) {
        gnuplot[k] = MU_GNUPLOT_IDLE;
        int error = start(drawing, k, &gnuplot[k]);

        if (error == ENOENT)
            snprintf(why, why_size, "gnuplot is not installed");
        else if (error != 0)
            snprintf(why, why_size, "gnuplot could not be started: %s", strerror(error));
        left += gnuplot[k].pid > 0;
    }
    while (left > 0) { /* each ends: gnuplot by itself, or at its deadline */
        for (size_t k = 0; k < count; k++)
            if (mu_gnuplot_poll(&gnuplot[k], &status)) {
                svg[k] = finish(drawing->prefix, k, &gnuplot[k], status, why, why_size);
                left--;
            }
        if (left > 0 && !told && mu_deadline_passed(tell)) {
            mu_log(MU_LOG_INFO, "waiting for gnuplot to draw the report's pictures, %d s at most",
                   DRAW_MS / 1000);
            told = true;
        }
        mu_clock_sleep_us(LOOK_US);
    }
    if (why[0])
        mu_log(MU_LOG_INFO, "the report lacks pictures: %s", why);
}

static bool script_of_fit(FILE *out, const void *fit, size_t k)
{
    return mu_picture_script(out, fit, (enum mu_picture)k);
}

void mu_pictures_draw(const struct mu_fit *fit, struct mu_pictures *out)
{
    memset(out, 0, sizeof *out);
    mu_drawing_make(&(struct mu_drawing){script_of_fit, fit, 'p'}, MU_PICTURES, out->svg, out->why,
                    sizeof out->why);
}

void mu_pictures_free(struct mu_pictures *pictures)
{
    for (enum mu_picture p = 0; p < MU_PICTURES; p++)
        free(pictures->svg[p]);
    memset(pictures, 0, sizeof *pictures);
}
