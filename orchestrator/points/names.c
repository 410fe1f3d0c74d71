#include "orchestrator/points/names.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/hash.h"

/* Where `text` is, or would be put. */
static uint32_t *slot_of(const struct mu_names *names, const char *text)
{
    const uint64_t mask = 2 * (uint64_t)names->room - 1;
    uint64_t at = mu_hash_bytes(text, strlen(text), 0).low & mask;

    while (names->slot[at] && strcmp(names->text[names->slot[at] - 1], text) != 0)
        at = (at + 1) & mask;
    return &names->slot[at];
}

static enum mu_status grow(struct mu_names *names)
{
    const uint32_t room = names->room ? 2 * names->room : 16;
    char **text = realloc(names->text, room * sizeof *text);
    uint32_t *slot;

    if (!text)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u names", room);
    names->text = text;
    slot = calloc(2 * (size_t)room, sizeof *slot);
    if (!slot)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u names", room);
    free(names->slot);
    names->slot = slot;
    names->room = room;
    for (uint32_t i = 0; i < names->count; i++)
        *slot_of(names, names->text[i]) = i + 1;
    return MU_OK;
}

enum mu_status mu_names_number(struct mu_names *names, const char *text, uint32_t *out)
{
    enum mu_status st = MU_OK;
    uint32_t *slot;

    if (names->count == names->room)
        MU_TRY(grow(names), st, done);
    slot = slot_of(names, text);
    if (!*slot) {
        names->text[names->count] = strdup(text);
        if (!names->text[names->count])
            return MU_FAIL(MU_NO_MEMORY, "no memory for a name");
        *slot = ++names->count;
    }
    *out = *slot - 1;
done:
    return st;
}

uint32_t mu_names_find(const struct mu_names *names, const char *text)
{
    return names->room && *slot_of(names, text) ? *slot_of(names, text) - 1 : UINT32_MAX;
}

void mu_names_deinit(struct mu_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        free(names->text[i]);
    free(names->text);
    free(names->slot);
    *names = (struct mu_names){0};
}
