#include "orchestrator/fit/refusal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

void mu_shorten_exponents(char *text)
{
    char *to = text, before = 0;

    for (const char *c = text; *c; before = *c++) {
        const bool sign = c[0] == 'e' && (c[1] == '+' || c[1] == '-') &&
                          isdigit((unsigned char)before) && isdigit((unsigned char)c[2]);

        *to++ = *c;
        if (!sign)
            continue;
        if (*++c == '-')
            *to++ = '-';
        while (c[1] == '0' && isdigit((unsigned char)c[2]))
            c++;
    }
    *to = 0;
}

void mu_refuse(struct mu_refusal *refusal, const char *format, ...)
{
    va_list arguments;

    refusal->refused = true;
    va_start(arguments, format);
    vsnprintf(refusal->why, sizeof refusal->why, format, arguments);
    va_end(arguments);
    mu_shorten_exponents(refusal->why);
}
