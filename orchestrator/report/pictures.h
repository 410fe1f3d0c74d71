/* The pictures of a report, as SVG to be put into a page. gnuplot draws them; it is given numbers
 * and our own words only, nothing that came from the user's file. */
#ifndef MUSTER_REPORT_PICTURES_H
#define MUSTER_REPORT_PICTURES_H

#include <stdio.h>

#include "orchestrator/fit/fit.h"

/* X(name, what it shows, for those who cannot see it too) */
#define MU_PICTURE_TABLE(X)                                                                        \
    X(N, "Size of the best model over compute, by each method with its 95 % band. Upright: the "   \
         "budgets asked for. Dashed: published laws, each by its own count of N.")                 \
    X(D, "Tokens of the best run over compute, by each method with its 95 % band. Upright: the "   \
         "budgets asked for. Dashed: published laws.")                                             \
    X(RATIO, "The same as tokens per parameter: laws that look alike above stand apart here.")     \
    X(ISOFLOP, "Loss over size for each compute budget: points, parabolas and, with the 95 % "     \
               "interval of their place, vertices. Hollow: budgets that were refused. Not shown: " \
               "losses more than 20 % above the highest vertex.")                                  \
    X(LOSS, "Loss over compute: points, and curves if there are any, coloured by size; and the "   \
            "best loss of each budget by the law, with the 95 % band of a new run there.")         \
    X(RESIDUALS,                                                                                   \
      "Residuals of the law: measured loss over the predicted one, in percent. What "              \
      "is left should show no trend. Hollow: points that were not used, as far as they "           \
      "are near.")

enum mu_picture {
#define MU_PICTURE_ENUM(name, text) MU_PICTURE_##name,
    MU_PICTURE_TABLE(MU_PICTURE_ENUM)
#undef MU_PICTURE_ENUM
        MU_PICTURES
};

struct mu_pictures {
    char *svg[MU_PICTURES]; /* "<svg ...>...</svg>"; NULL: there is nothing to show, or it failed */
    char why[600];          /* what failed: gnuplot is not installed, ...; "": nothing */
};

const char *mu_picture_text(enum mu_picture picture);

/* Pictures drawn side by side, whatever they are of. */
struct mu_drawing {
    /* gnuplot's script for picture k, into `out`; false: there is nothing to show. */
    bool (*script)(FILE *out, const void *context, size_t k);
    const void *context;
    char prefix; /* of ids, so that pictures of one page do not take each other's parts */
};
enum { MU_DRAWING_MOST = 16 };
/* svg[k], k < count, as in struct mu_pictures; the caller frees each. */
void mu_drawing_make(const struct mu_drawing *drawing, size_t count, char **svg, char *why,
                     size_t why_size);

/* Takes at most half a minute. Free with mu_pictures_free. */
void mu_pictures_draw(const struct mu_fit *fit, struct mu_pictures *out);
void mu_pictures_free(struct mu_pictures *pictures);

/* gnuplot's script for a picture, into `out`; false: there is nothing to show. */
bool mu_picture_script(FILE *out, const struct mu_fit *fit, enum mu_picture picture);

#endif
