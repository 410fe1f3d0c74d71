#include "orchestrator/report/figure.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* From here on "thousand trillion" would be said. */
#define MOST_IN_WORDS 9.995e14

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
    /* zeros after the point would make the widest figures of all */
    snprintf(f.text, sizeof f.text, value != 0 && fabs(value) < 1e-3 ? "%.*e" : "%#.*g",
             value != 0 && fabs(value) < 1e-3 ? digits - 1 : digits, value);
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

/* The power of a thousand that a value is told in. */
static size_t power_of(double value)
{
    size_t power = 0;

    for (; power < 4 && fabs(value) >= 999.5; power++)
        value /= 1000;
    return power;
}

static struct mu_figure scaled(double value, int digits, size_t power, const char *unit)
{
    struct mu_figure f = mu_figure_short(value / pow(1000, (double)power), digits);
    const size_t length = strlen(f.text);

    snprintf(f.text + length, sizeof f.text - length, "%s", unit);
    return f;
}

static const char *const words[] = {"", " thousand", " million", " billion", " trillion"};

struct mu_figure mu_figure_words(double value)
{
    const size_t power = fabs(value) < MOST_IN_WORDS ? power_of(value) : 0;

    return scaled(value, 3, power, words[power]);
}

struct mu_figure mu_figure_words_range(double value, double low, double high)
{
    const size_t power = fabs(value) < MOST_IN_WORDS ? power_of(value) : 0;
    const double unit = pow(1000, (double)power);
    const bool alike = low >= .01 * unit && high < 999.5 * unit;
    struct mu_figure f;

    snprintf(f.text, sizeof f.text, "%.28s to %.28s",
             alike ? scaled(low, 3, power, "").text : mu_figure_words(low).text,
             alike ? scaled(high, 3, power, "").text : mu_figure_words(high).text);
    return f;
}

struct mu_figure mu_figure_label(double value)
{
    static const char *const unit[] = {"", "k", "M", "B", "T"};
    const size_t power = fabs(value) < MOST_IN_WORDS ? power_of(value) : 0;

    return scaled(value, 4, power, unit[power]);
}
