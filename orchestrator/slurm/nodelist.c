#include "orchestrator/slurm/nodelist.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"

enum { DIGITS = 9, NAME = sizeof((struct mu_ladder_host *)NULL)->name };

/* Where names go; `whole` is the text, for what is said of it. */
struct names {
    const char *whole;
    struct mu_ladder_host *host;
    uint32_t *count;
};

static enum mu_status refuse(const char *what, const char *text)
{
    return MU_FAIL(MU_FAILED, "Slurm's %s \"%.200s\" is not understood", what, text);
}

/* Digits at *text, which moves beyond them; *width of them. false: there are none, or too many. */
static bool take_number(const char **text, uint32_t *value, int *width)
{
    char digits[DIGITS + 1];
    const size_t n = strspn(*text, "0123456789");

    if (n == 0 || n > DIGITS)
        return false;
    memcpy(digits, *text, n);
    digits[n] = 0;
    *value = (uint32_t)strtoul(digits, NULL, 10);
    *width = (int)n;
    *text += n;
    return true;
}

static enum mu_status add(struct names *n, const char *name)
{
    if (name[0] == 0)
        return refuse("list of nodes", n->whole);
    if (*n->count == MU_LADDER_HOSTS)
        return MU_FAIL(MU_FAILED, "the allocation has more than %d nodes", MU_LADDER_HOSTS);
    n->host[*n->count] = (struct mu_ladder_host){.slots = 0};
    snprintf(n->host[(*n->count)++].name, NAME, "%s", name);
    return MU_OK;
}

/* Of one name: `done` is what comes before `rest`, in which brackets are still to be multiplied
 * out. */
static enum mu_status expand(struct names *n, const char *done, const char *rest)
{
    const size_t plain = strcspn(rest, "[");
    const char *at = rest + plain, *end = strchr(at, ']');
    char name[NAME];
    enum mu_status st = MU_OK;

    if (strlen(done) + plain + 2 * DIGITS >= sizeof name || (*at && !end))
        return refuse("list of nodes", n->whole);
    if (!*at) {
        snprintf(name, sizeof name, "%s%s", done, rest);
        return add(n, name);
    }
    do {
        uint32_t first, last;
        int width, last_width;

        at++; /* [ or , */
        if (!take_number(&at, &first, &width))
            return refuse("list of nodes", n->whole);
        last = first;
        if (*at == '-' && (at++, !take_number(&at, &last, &last_width)))
            return refuse("list of nodes", n->whole);
        if (last < first || (*at != ',' && *at != ']'))
            return refuse("list of nodes", n->whole);
        for (uint32_t i = first; st == MU_OK && i <= last; i++) {
            snprintf(name, sizeof name, "%s%.*s%0*u", done, (int)plain, rest, width, i);
            st = expand(n, name, end + 1);
        }
    } while (st == MU_OK && at < end);
    return st;
}

/* Up to the next comma that is in no brackets. */
static size_t length_of_one(const char *text)
{
    size_t n = 0;
    bool inside = false;

    for (; text[n] && (inside || text[n] != ','); n++)
        inside = text[n] == '[' || (inside && text[n] != ']');
    return n;
}

enum mu_status mu_slurm_nodes(const char *text, struct mu_ladder_host host[MU_LADDER_HOSTS],
                              uint32_t *count)
{
    struct names n = {text, host, count};
    enum mu_status st = MU_OK;

    *count = 0;
    for (const char *at = text; st == MU_OK; at++) {
        const size_t length = length_of_one(at);
        char *one = strndup(at, length);

        st = one ? expand(&n, "", one) : MU_FAIL(MU_NO_MEMORY, "no memory for names of nodes");
        free(one);
        at += length;
        if (!*at)
            break;
    }
    return st;
}

enum mu_status mu_slurm_counts(const char *text, uint32_t *out, uint32_t count)
{
    uint32_t n = 0;

    for (const char *at = text;; at++) {
        uint32_t value, times = 1;
        int width;

        if (!take_number(&at, &value, &width))
            return refuse("number of tasks", text);
        if (strncmp(at, "(x", 2) == 0) {
            at += 2;
            if (!take_number(&at, &times, &width) || *at++ != ')')
                return refuse("number of tasks", text);
        }
        if (times > count - n)
            return refuse("number of tasks", text);
        while (times-- > 0)
            out[n++] = value;
        if (*at == 0)
            break;
        if (*at != ',')
            return refuse("number of tasks", text);
    }
    return n == count ? MU_OK : refuse("number of tasks", text);
}
