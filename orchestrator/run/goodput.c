#include "orchestrator/run/goodput.h"

#include <math.h>
#include <string.h>

static const double most_seconds = 1e12; /* a million ranks for eleven days; exact in ms */

json_t *mu_goodput_to_json(const struct mu_ledger_sum *s)
{
    json_t *seconds = json_object(), *percent = json_object(), *object = json_object();
    unsigned share[MU_LEDGER_KIND_COUNT];
    uint64_t total_ms = 0;
    int failed = 0;

    mu_ledger_shares(s, share);
    for (enum mu_ledger_kind k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
        uint64_t ms = s->us[k] / 1000;

        total_ms += ms;
        failed |= json_object_set_new(seconds, mu_ledger_word(k), json_real((double)ms / 1000));
        failed |= json_object_set_new(percent, mu_ledger_word(k), json_real((double)share[k] / 10));
    }
    failed |= json_object_set_new(object, "rank_seconds", json_real((double)total_ms / 1000));
    failed |= json_object_set_new(object, "seconds", seconds);
    failed |= json_object_set_new(object, "percent", percent);
    for (enum mu_ledger_event e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        failed |= json_object_set_new(object, mu_ledger_event_key(e),
                                      json_integer((json_int_t)s->events[e]));
    if (failed) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

static bool read_all(const json_t *object, struct mu_ledger_sum *out)
{
    const json_t *seconds = json_object_get(object, "seconds");

    for (enum mu_ledger_kind k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
        const json_t *value = json_object_get(seconds, mu_ledger_word(k));
        double s = json_number_value(value);

        if (!json_is_number(value) || !(s >= 0 && s <= most_seconds))
            return false;
        out->us[k] = 1000 * (uint64_t)llround(1000 * s);
    }
    for (enum mu_ledger_event e = 0; e < MU_LEDGER_EVENT_COUNT; e++) {
        const json_t *value = json_object_get(object, mu_ledger_event_key(e));

        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return false;
        out->events[e] = (uint64_t)json_integer_value(value);
    }
    return true;
}

bool mu_goodput_from_json(const json_t *object, struct mu_ledger_sum *out)
{
    memset(out, 0, sizeof *out);
    if (read_all(object, out))
        return true;
    memset(out, 0, sizeof *out);
    return false;
}
