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
static char *embeddable(const char *svg, enum mu_picture picture)
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
            fprintf(out, "%.*sp%d-", (int)length, at, (int)picture);
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

static int start(const struct mu_fit *fit, enum mu_picture picture, struct mu_gnuplot *gnuplot)
{
    char *script = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&script, &size);
    int error = 0;
    bool drawable;

    if (!out)
        return ENOMEM;
    drawable = mu_picture_script(out, fit, picture);
    if (fclose(out) != 0)
        error = ENOMEM;
    else if (drawable)
        error = mu_gnuplot_start(gnuplot, NULL, script, size, true, DRAW_MS);
    free(script);
    return error;
}

static void finish(struct mu_pictures *out, enum mu_picture picture, struct mu_gnuplot *gnuplot,
                   int status)
{
    size_t size = 0;
    char *svg;

    if (status != 0) {
        mu_gnuplot_explain(gnuplot, status, out->why, sizeof out->why);
    } else {
        svg = mu_gnuplot_output(gnuplot, &size);
        out->svg[picture] = svg ? embeddable(svg, picture) : NULL;
        if (!out->svg[picture])
            snprintf(out->why, sizeof out->why, "gnuplot gave no picture");
        free(svg);
    }
    mu_gnuplot_close(gnuplot);
}

void mu_pictures_draw(const struct mu_fit *fit, struct mu_pictures *out)
{
    struct mu_gnuplot gnuplot[MU_PICTURES];
    const struct mu_deadline tell = mu_deadline_in_ms(TELL_MS);
    size_t drawing = 0;
    bool told = false;
    int status;

    memset(out, 0, sizeof *out);
    for (enum mu_picture p = 0; p < MU_PICTURES; p++) {
        gnuplot[p] = MU_GNUPLOT_IDLE;
        int error = start(fit, p, &gnuplot[p]);

        if (error == ENOENT)
            snprintf(out->why, sizeof out->why, "gnuplot is not installed");
        else if (error != 0)
            snprintf(out->why, sizeof out->why, "gnuplot could not be started: %s",
                     strerror(error));
        drawing += gnuplot[p].pid > 0;
    }
    while (drawing > 0) { /* each ends: gnuplot by itself, or at its deadline */
        for (enum mu_picture p = 0; p < MU_PICTURES; p++)
            if (mu_gnuplot_poll(&gnuplot[p], &status)) {
                finish(out, p, &gnuplot[p], status);
                drawing--;
            }
        if (drawing > 0 && !told && mu_deadline_passed(tell)) {
            mu_log(MU_LOG_INFO, "waiting for gnuplot to draw the report's pictures, %d s at most",
                   DRAW_MS / 1000);
            told = true;
        }
        mu_clock_sleep_us(LOOK_US);
    }
    if (out->why[0])
        mu_log(MU_LOG_INFO, "the report lacks pictures: %s", out->why);
}

void mu_pictures_free(struct mu_pictures *pictures)
{
    for (enum mu_picture p = 0; p < MU_PICTURES; p++)
        free(pictures->svg[p]);
    memset(pictures, 0, sizeof *pictures);
}
