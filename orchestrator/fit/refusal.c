#include "orchestrator/fit/refusal.h"

#include <stdarg.h>
#include <stdio.h>

void mu_refuse(struct mu_refusal *refusal, const char *format, ...)
{
    va_list arguments;

    refusal->refused = true;
    va_start(arguments, format);
    vsnprintf(refusal->why, sizeof refusal->why, format, arguments);
    va_end(arguments);
}
