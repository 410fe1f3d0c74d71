/* Numbers as people read them: "1.81690", "4.12346e8", "3.9e8..4.3e8". */
#ifndef MUSTER_REPORT_FIGURE_H
#define MUSTER_REPORT_FIGURE_H

#include "orchestrator/fit/estimate.h"

struct mu_figure {
    char text[64];
};

/* `digits` significant ones, zeros at the end kept; NAN is "-", infinity "inf". */
struct mu_figure mu_figure(double value, int digits);
/* Without zeros at the end: for what the user gave (1e21). */
struct mu_figure mu_figure_short(double value, int digits);
/* "low..high"; "-" where both are NAN. */
struct mu_figure mu_figure_range(double low, double high, int digits);
static inline struct mu_figure mu_figure_80(const struct mu_estimate *n)
{
    return mu_figure_range(n->low80, n->high80, 4);
}
static inline struct mu_figure mu_figure_95(const struct mu_estimate *n)
{
    return mu_figure_range(n->low95, n->high95, 4);
}
/* In words: "412 million", "4.12 billion"; 3.32e15 from a thousand trillion on. */
struct mu_figure mu_figure_words(double value);
/* low and high in the unit that mu_figure_words gives the value, which stands before them:
 * "8.3 to 13.6"; in their own words where they are far from it. */
struct mu_figure mu_figure_words_range(double value, double low, double high);
/* As the label of an axis: "400k", "1M", "2.5B", "10T". */
struct mu_figure mu_figure_label(double value);

#endif
