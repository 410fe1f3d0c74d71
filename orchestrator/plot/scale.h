/* An axis: what lies on it, where, and what stands at its ticks. The same for a terminal and for
 * gnuplot, so that both pictures say the same. Pure. */
#ifndef MUSTER_PLOT_SCALE_H
#define MUSTER_PLOT_SCALE_H

#include <stdbool.h>

enum mu_plot_unit {
    MU_PLOT_UNIT_PLAIN,  /* 2.5, 0.0003 */
    MU_PLOT_UNIT_COUNT,  /* 400, 20k, 1.5M */
    MU_PLOT_UNIT_POWER,  /* 1.5e15: FLOPs */
    MU_PLOT_UNIT_SECONDS /* in seconds, minutes, hours or days, which the label says */
};

enum { MU_PLOT_TICKS_MOST = 64 };

struct mu_plot_scale {
    double low, high; /* low < high; with log both > 0 */
    bool log;
    int ticks;
    struct {
        double at;
        char text[24];
    } tick[MU_PLOT_TICKS_MOST];
    char label[96];
};

/* Room for `most` ticks (at least 2), at 1, 2 or 5 times a power of ten. low = high makes room on
 * both sides; `margin`: of the span, on both sides. */
void mu_plot_scale_init(struct mu_plot_scale *s, double low, double high, bool log, double margin,
                        enum mu_plot_unit unit, const char *label, int most);

/* 0 at low, 1 at high. */
double mu_plot_scale_at(const struct mu_plot_scale *s, double value);

#endif
