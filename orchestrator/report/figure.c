#include "orchestrator/report/figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "4.12346e+08" -> "4.12346e8", "123457." -> "123457" */
static void tidy(char *text)
{
    char *e = strchr(text, 'e');
    size_t length = strlen(text);

    if (!e) {
        if (length > 0 && text[length - 1] == '.')
            text[length - 1] = 0;
        return;
    }
    if (e > text && e[-1] == '.') {
        memmove(e - 1, e, strlen(e) + 1);
        e--;
    }
    char *to = e + 1, *from = e + 1;

    if (*from == '-')
        to++;
    if (*from == '-' || *from == '+')
        from++;
    while (*from == '0' && from[1])
        from++;
    memmove(to, from, strlen(from) + 1);
}

struct mu_figure mu_figure(double value, int digits)
{
    struct mu_figure f;

    if (isnan(value))
        return (struct mu_figure){"-"};
    snprintf(f.text, sizeof f.text, "%#.*g", digits, value);
    tidy(f.text);
    return f;
}

struct mu_figure mu_figure_short(double value, int digits)
{
    struct mu_figure f;

    if (isnan(value))
        return (struct mu_figure){"-"};
    snprintf(f.text, sizeof f.text, "%.*g", digits, value);
    tidy(f.text);
    return f;
}

struct mu_figure mu_figure_range(double low, double high, int digits)
{
    struct mu_figure f;

    if (isnan(low) && isnan(high))
        return (struct mu_figure){"-"};
    snprintf(f.text, sizeof f.text, "%.30s..%.30s", mu_figure(low, digits).text,
             mu_figure(high, digits).text);
    return f;
}

static struct mu_figure scaled(double value, const char *const unit[5], const char *format)
{
    struct mu_figure f;
    size_t power = 0;

    while (power < 4 && fabs(value) >= 999.5) {
        value /= 1000;
        power++;
    }
    snprintf(f.text, sizeof f.text, format, value, unit[power]);
    return f;
}

struct mu_figure mu_figure_words(double value)
{
    static const char *const unit[] = {"", " thousand", " million", " billion", " trillion"};

    if (!(fabs(value) < 1e17))
        return mu_figure_short(value, 3);
    return scaled(value, unit, "%.3g%s");
}

struct mu_figure mu_figure_label(double value)
{
    static const char *const unit[] = {"", "k", "M", "B", "T"};

    if (!(fabs(value) < 1e17))
        return mu_figure_short(value, 3);
    return scaled(value, unit, "%.4g%s");
}
