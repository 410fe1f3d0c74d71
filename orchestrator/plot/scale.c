#include "orchestrator/plot/scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A factor and its name; what is said of a value is value / factor. */
struct unit {
    double factor;
    const char *name;
};

static const struct unit counts[] = {{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}, {1e12, "T"}};
static const struct unit times[] = {
    {1, "seconds"}, {60, "minutes"}, {3600, "hours"}, {86400, "days"}};
/* From where on the next unit is taken: 90 seconds read better than 1.5 minutes. */
static const double enough_of_time[] = {180, 120 * 60, 72 * 3600, INFINITY};

static struct unit unit_of(enum mu_plot_unit kind, double high)
{
    size_t k = 0;

    if (kind == MU_PLOT_UNIT_COUNT) {
        if (high < 1e5) /* steps are known by their digits */
            return counts[0];
        while (k + 1 < sizeof counts / sizeof *counts && high >= counts[k + 1].factor)
            k++;
        return counts[k];
    }
    if (kind == MU_PLOT_UNIT_SECONDS) {
        while (high > enough_of_time[k])
            k++;
        return times[k];
    }
    return counts[0];
}

/* 1, 2 or 5 times a power of ten, such that the span holds `most` of it at most. */
static double step_of(double span, int most)
{
    static const double nice[] = {1, 2, 5, 10, 20, 50, 100};
    const double power = pow(10, floor(log10(span / most)));
    size_t k = 0;

    while (k + 1 < sizeof nice / sizeof *nice && span / (nice[k] * power) > most + 1e-9)
        k++;
    return nice[k] * power;
}

static void print_tick(char *text, size_t size, double value, double step, enum mu_plot_unit kind,
                       struct unit unit)
{
    const double shown = value / unit.factor, shown_step = step / unit.factor;
    const int decimals = (int)fmax(0, ceil(-log10(shown_step) - 1e-6));

    if (value == 0)
        snprintf(text, size, "0");
    else if (kind == MU_PLOT_UNIT_COUNT)
        snprintf(text, size, "%.*f%s", decimals, shown, unit.name);
    else if (kind == MU_PLOT_UNIT_POWER || decimals > 6 || fabs(shown) >= 1e7) {
        const int exponent = (int)floor(log10(fabs(shown)) + 1e-9);
        const int digits = (int)fmax(0, exponent - floor(log10(shown_step) + 1e-6));

        snprintf(text, size, "%.*fe%d", digits > 9 ? 9 : digits, shown / pow(10, exponent),
                 exponent);
    } else
        snprintf(text, size, "%.*f", decimals, shown);
}

static void add_tick(struct mu_plot_scale *s, double value, double step, enum mu_plot_unit kind,
                     struct unit unit)
{
    const double slack = 1e-9 * (s->log ? value : s->high - s->low);

    if (s->ticks >= MU_PLOT_TICKS_MOST || value < s->low - slack || value > s->high + slack)
        return;
    s->tick[s->ticks].at = value;
    print_tick(s->tick[s->ticks].text, sizeof s->tick[0].text, value, step, kind, unit);
    s->ticks++;
}

static void put_linear_ticks(struct mu_plot_scale *s, enum mu_plot_unit kind, struct unit unit,
                             int most)
{
    double step = unit.factor * step_of((s->high - s->low) / unit.factor, most);

    if (kind == MU_PLOT_UNIT_COUNT) /* there is no half step */
        step = fmax(step, 1);

    for (double k = ceil(s->low / step - 1e-9); k * step <= s->high + 1e-9 * step; k++)
        add_tick(s, k * step, step, kind, unit);
}

/* Of a mantissa of two digits the second one counts too. */
static double grain_of(double mantissa)
{
    return mantissa == floor(mantissa) ? 1 : .1 / mantissa;
}

static void put_log_ticks(struct mu_plot_scale *s, enum mu_plot_unit kind, struct unit unit,
                          int most)
{
    static const struct {
        int count;
        double mantissa[12];
    } sets[] = {{12, {1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8}},
                {7, {1, 1.5, 2, 3, 4, 5, 7}},
                {3, {1, 2, 5}},
                {2, {1, 3}},
                {1, {1}}};
    enum { LAST = sizeof sets / sizeof *sets - 1 };
    const double decades = log10(s->high / s->low);
    size_t set = 0;
    int every = 1;

    while (set < LAST && sets[set].count * decades > most)
        set++;
    while (decades / every > most)
        every++;
    for (int d = (int)floor(log10(s->low)); d <= (int)ceil(log10(s->high)); d++)
        for (int m = 0; d % every == 0 && m < sets[set].count; m++) {
            const double value = sets[set].mantissa[m] * pow(10, d);

            add_tick(s, value, value * grain_of(sets[set].mantissa[m]), kind,
                     kind == MU_PLOT_UNIT_COUNT ? unit_of(kind, value) : unit);
        }
}

static void make_room(struct mu_plot_scale *s, double margin)
{
    const double by = margin * (s->log ? log(s->high / s->low) : s->high - s->low);

    if (!(s->high - s->low > 1e-12 * fabs(s->high))) { /* all the same */
        const double half = s->low == 0 ? .5 : .05 * fabs(s->low);

        s->low -= half;
        s->high += half;
    } else if (s->log) {
        s->low *= exp(-by);
        s->high *= exp(by);
    } else {
        s->low -= by;
        s->high += by;
    }
}

void mu_plot_scale_init(struct mu_plot_scale *s, double low, double high, bool log, double margin,
                        enum mu_plot_unit unit, const char *label, int most)
{
    struct unit u;

    *s = (struct mu_plot_scale){.low = low, .high = high, .log = log};
    make_room(s, margin);
    u = unit_of(unit, fmax(fabs(s->low), fabs(s->high)));
    for (int more = 0; more < 3 && s->ticks < 2 && log && s->high / s->low > 2.5; more++) {
        s->ticks = 0;
        put_log_ticks(s, unit, u, most + more);
    }
    if (s->ticks < 2) {
        s->ticks = 0;
        put_linear_ticks(s, unit, u, most);
    }
    snprintf(s->label, sizeof s->label, "%s%s%s%s", label,
             unit == MU_PLOT_UNIT_SECONDS ? ", in " : "",
             unit == MU_PLOT_UNIT_SECONDS ? u.name : "", log ? ", logarithmic" : "");
}

double mu_plot_scale_at(const struct mu_plot_scale *s, double value)
{
    return s->log ? log(value / s->low) / log(s->high / s->low)
                  : (value - s->low) / (s->high - s->low);
}
