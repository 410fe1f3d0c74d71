#include "orchestrator/verify/findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/json_values.h"

static const char *const words[] = {"good", "note", "DAMAGED"};
static const char *const names[] = {"good", "note", "damaged"};

static void take(struct mu_verify *v, enum mu_finding finding, const char *advice, const char *text)
{
    uint64_t *counts[] = {&v->good, &v->notes, &v->damaged};

    ++*counts[finding];
    if (v->out) {
        fprintf(v->out, "  %-8s %s\n", words[finding], text);
        if (advice)
            fprintf(v->out, "           what to do: %s\n", advice);
        fflush(v->out);
    }
    if (v->findings)
        json_array_append_new(v->findings, json_pack("{s:s, s:o, s:o}", "state", names[finding],
                                                     "text", mu_json_text(text), "advice",
                                                     advice ? mu_json_text(advice) : json_null()));
}

void mu_verify_find(struct mu_verify *v, enum mu_finding finding, const char *advice,
                    const char *format, ...)
{
    char text[MU_PATH_MAX + 1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    take(v, finding, advice, text);
}

static void hear(void *context, enum mu_log_level level, const char *text)
{
    const struct mu_verify_ear *ear = context;

    if (level == MU_LOG_ERROR)
        take(ear->v, MU_FINDING_DAMAGE, ear->advice, text);
    else
        take(ear->v, MU_FINDING_NOTE, NULL, text);
}

void mu_verify_listen(struct mu_verify_ear *ear, struct mu_verify *v, const char *advice)
{
    *ear = (struct mu_verify_ear){v, advice, v->damaged};
    mu_log_set_taker(hear, ear);
}

uint64_t mu_verify_listen_end(struct mu_verify_ear *ear)
{
    mu_log_set_taker(NULL, NULL);
    return ear->v->damaged - ear->before;
}

void mu_verify_merge(struct mu_verify *v, const struct mu_verify *from)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(from->findings, i, entry)
    {
        const char *state = mu_json_get_text(entry, "state");
        const char *advice = json_string_value(json_object_get(entry, "advice"));
        enum mu_finding finding = MU_FINDING_GOOD;

        while (strcmp(state, names[finding]) != 0 && finding < MU_FINDING_DAMAGE)
            finding++;
        take(v, finding, advice, mu_json_get_text(entry, "text"));
    }
}
