/* What others found, as N*(C) and D*(C), to stand beside a fit of one's own. */
#ifndef MUSTER_FIT_PUBLISHED_H
#define MUSTER_FIT_PUBLISHED_H

#include <stddef.h>

struct mu_published {
    const char *name;   /* "Hoffmann et al. 2022, approach 3" */
    const char *source; /* arXiv number and equation or table */
    const char *counts; /* which parameters and FLOPs it speaks of, where it differs from ours */
    double (*n)(double c), (*d)(double c);
};

extern const struct mu_published mu_published_laws[];
extern const size_t mu_published_law_count;

#endif
