/* A literal is split into sign, digits and a power of ten first, which also says whether it is one;
 * integers are then multiplied out under overflow checks, reals left to strtod. */
#include "orchestrator/config/number.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 512 };

/* sign · digits · 10^exponent, with `digits` pointing into `text`, dots and all. */
struct parts {
    bool negative, hexadecimal, zero;
    const char *digits, *digits_end;
    int64_t exponent; /* as if the dot stood after the last digit that is not a trailing zero */
};

static const char *skip_digits(const char *c)
{
    while (isdigit((unsigned char)*c))
        c++;
    return c;
}

static const char *skip_long_suffix(const char *c)
{
    c += *c == 'L';
    return c + (*c == 'L');
}

/* [e[+-]digits]; an exponent beyond a million counts as a million. NULL when there are no
 * digits. */
static const char *take_exponent(const char *c, int64_t *exponent)
{
    bool negative;
    const char *end;
    int64_t value = 0;

    if (*c != 'e' && *c != 'E')
        return c;
    c++;
    negative = *c == '-';
    c += *c == '-' || *c == '+';
    end = skip_digits(c);
    if (end == c)
        return NULL;
    for (; c < end; c++)
        value = value < 1000000 ? 10 * value + (*c - '0') : value;
    *exponent += negative ? -value : value;
    return end;
}

static bool split(const char *text, struct parts *p)
{
    const char *c = text, *dot = NULL;
    int64_t after_dot = 0, trailing = 0;

    *p = (struct parts){.negative = *c == '-', .zero = true};
    if (strlen(text) > LONGEST)
        return false;
    c += *c == '-' || *c == '+';
    if (c[0] == '0' && (c[1] == 'x' || c[1] == 'X')) {
        p->hexadecimal = true;
        p->digits = c += 2;
        for (; isxdigit((unsigned char)*c); c++)
            p->zero = p->zero && *c == '0';
        p->digits_end = c;
        return c > p->digits && *skip_long_suffix(c) == '\0';
    }
    p->digits = c;
    for (; isdigit((unsigned char)*c) || (*c == '.' && !dot); c++) {
        if (*c == '.') {
            dot = c;
            continue;
        }
        after_dot += dot != NULL;
        trailing = *c == '0' ? trailing + 1 : 0;
        p->zero = p->zero && *c == '0';
    }
    p->digits_end = c;
    if (c - p->digits == (dot != NULL))
        return false;
    p->exponent = trailing - after_dot;
    if (!dot && *c == 'L')
        return *skip_long_suffix(c) == '\0';
    c = take_exponent(c, &p->exponent);
    return c && *c == '\0';
}

/* out = out · base + digit, kept negative: that side has room for all of int64_t. */
static bool append(int64_t *out, int base, int digit)
{
    return !__builtin_mul_overflow(*out, base, out) && !__builtin_sub_overflow(*out, digit, out);
}

static int hexadecimal_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10;
}

enum mu_number mu_number_integer(const char *text, int64_t *out)
{
    struct parts p;
    bool fits = true;
    int64_t value = 0, zeros = 0;

    if (!split(text, &p))
        return MU_NUMBER_NONE;
    if (p.exponent < 0 && !p.zero)
        return MU_NUMBER_FRACTION;
    for (const char *c = p.digits; fits && c < p.digits_end; c++) {
        if (*c == '.')
            continue;
        if (p.hexadecimal) {
            fits = append(&value, 16, hexadecimal_digit(*c));
        } else if (*c == '0') {
            zeros++; /* trailing zeros are in the exponent, and may cancel against it */
        } else {
            for (; fits && value && zeros > 0; zeros--)
                fits = append(&value, 10, 0);
            zeros = 0;
            fits = append(&value, 10, *c - '0');
        }
    }
    for (int64_t i = 0; fits && value && i < p.exponent; i++)
        fits = append(&value, 10, 0);
    if (!fits || (!p.negative && value == INT64_MIN))
        return MU_NUMBER_TOO_LARGE;
    *out = p.negative ? value : -value;
    return MU_NUMBER_OK;
}

enum mu_number mu_number_real(const char *text, double *out)
{
    struct parts p;

    if (!split(text, &p))
        return MU_NUMBER_NONE;
    *out = strtod(text, NULL); /* a suffix L ends the number for strtod */
    if (isinf(*out))
        return MU_NUMBER_TOO_LARGE;
    return *out == 0 && !p.zero ? MU_NUMBER_TOO_SMALL : MU_NUMBER_OK;
}
