#include "orchestrator/sweep_run/part_folder.h"

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/sweep/stages.h"
#include "orchestrator/sweep_run/paths.h"
#include "orchestrator/sweep_run/records.h"

static const char folder[] = "/parts/";

/* ---- paths ----------------------------------------------------------------------------------- */

enum mu_status mu_sweep_part_path(char out[MU_PATH_MAX], const char *whole,
                                  struct mu_sweep_part part)
{
    return part.of == 0 ? mu_path_format(out, "%s", whole)
                        : mu_path_format(out, "%s%s%u-of-%u", whole, folder, part.number, part.of);
}

/* "2-of-4" */
static bool parse_name(const char *name, struct mu_sweep_part *out)
{
    const char *of = strstr(name, "-of-");
    char text[24];

    if (!of || strlen(name) > sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s/%s", (int)(of - name), name, of + strlen("-of-"));
    return mu_sweep_part_parse(text, out);
}

struct mu_sweep_part mu_sweep_part_of_path(char whole[MU_PATH_MAX], const char *path)
{
    const size_t n = sizeof folder - 1;
    const char *name = strrchr(path, '/');
    struct mu_sweep_part part = {0, 0};
    size_t length = strlen(path);

    if (name && (size_t)(name + 1 - path) > n && strncmp(name + 1 - n, folder, n) == 0 &&
        parse_name(name + 1, &part))
        length = (size_t)(name + 1 - path) - n;
    else
        part.of = part.number = 0;
    length = length < MU_PATH_MAX ? length : MU_PATH_MAX - 1;
    memmove(whole, path, length);
    whole[length] = 0;
    return part;
}

static int by_number(const void *one, const void *other)
{
    const struct mu_sweep_part *a = one, *b = other;

    if (a->of != b->of)
        return a->of > b->of ? 1 : -1;
    return (a->number > b->number) - (a->number < b->number);
}

struct mu_sweep_part *mu_sweep_part_list(const char *whole, uint32_t *count)
{
    char path[MU_PATH_MAX];
    struct mu_sweep_part *list = NULL, part;
    uint32_t capacity = 0;
    struct dirent *entry;
    DIR *dir = mu_path_format(path, "%s%s", whole, folder) == MU_OK ? opendir(path) : NULL;

    *count = 0;
    while (dir && (entry = readdir(dir))) {
        if (!parse_name(entry->d_name, &part))
            continue;
        if (*count == capacity) {
            struct mu_sweep_part *more = realloc(list, (2 * capacity + 16) * sizeof *more);

            if (!more)
                break;
            list = more;
            capacity = 2 * capacity + 16;
        }
        list[(*count)++] = part;
    }
    if (dir)
        closedir(dir);
    if (*count > 0)
        qsort(list, *count, sizeof *list, by_number);
    return list;
}

bool mu_sweep_part_is_any(const char *whole)
{
    uint32_t count;

    free(mu_sweep_part_list(whole, &count));
    return count > 0;
}

/* ---- who works on it ------------------------------------------------------------------------- */

/* Whether it is so of SWEEPDIR or a part of it. */
static bool is_any(const char *whole, bool (*is)(const char *path))
{
    uint32_t count;
    struct mu_sweep_part *list = mu_sweep_part_list(whole, &count);
    bool found = is(whole);
    char path[MU_PATH_MAX];

    for (uint32_t i = 0; i < count && !found; i++)
        found = mu_sweep_part_path(path, whole, list[i]) == MU_OK && is(path);
    free(list);
    return found;
}

bool mu_sweep_is_locked(const char *path)
{
    return is_any(path, mu_run_dir_is_locked);
}

bool mu_sweep_is_launched(const char *path)
{
    return is_any(path, mu_hold_is_taken);
}

/* A folder that may be somebody's who deals otherwise. */
struct contrary {
    char path[MU_PATH_MAX];
    struct mu_sweep_part part;
    bool has_other_plan;
    bool ended;     /* by its own word */
    double now;     /* of its sweep.json; NAN: none, or nobody's own */
    char moved[40]; /* when that was written */
};

static void read_contrary(struct contrary *c, const char *plan)
{
    json_t *status = NULL;

    c->ended = true;
    c->now = NAN;
    c->moved[0] = 0;
    if (mu_sweep_read_own_status(c->path, &status) != MU_OK)
        return;
    /* That of a split sweep is made of those of its parts. */
    if (c->part.of > 0 || !json_object_get(status, "parts")) {
        c->ended = mu_json_get_text(status, "outcome")[0] != 0;
        c->now = mu_json_get_real(status, "now");
        mu_json_copy_text(c->moved, sizeof c->moved, status, "updated");
        c->has_other_plan = strcmp(mu_json_get_text(status, "plan"), plan) != 0;
    }
    json_decref(status);
}

static bool is_contrary(const struct contrary *c, struct mu_sweep_part own)
{
    return c->part.of != own.of || c->has_other_plan;
}

static enum mu_status refuse(const struct contrary *c, struct mu_sweep_part own)
{
    const struct mu_sweep_part_text there = mu_sweep_part_print(c->part),
                                    here = mu_sweep_part_print(own);

    if (c->part.of == own.of)
        return MU_FAIL(MU_FAILED,
                       "part %s of this sweep runs with another list of trials (%s): give all "
                       "parts the same file and the same key=value words, or stop that one first "
                       "(muster stop %s)",
                       there.text, c->path, c->path);
    if (own.of == 0)
        return MU_FAIL(MU_FAILED,
                       "this sweep is being done in parts: part %s runs (%s). Stop it first "
                       "(muster stop), or begin another part of %u (--part)",
                       there.text, c->path, c->part.of);
    if (c->part.of == 0)
        return MU_FAIL(MU_FAILED,
                       "--part %s: this sweep is being done as a whole, without --part (%s). Stop "
                       "that first (muster stop %s)",
                       here.text, c->path, c->path);
    return MU_FAIL(MU_FAILED,
                   "--part %s: this sweep is being done in another number of parts: part %s runs "
                   "(%s). Begin a part of %u, or stop those first (muster stop)",
                   here.text, there.text, c->path, c->part.of);
}

/* Those that said last that they go on: killed, or at work on a machine whose locks cannot be
 * seen. */
static enum mu_status watch(struct contrary *list, uint32_t count, struct mu_sweep_part own,
                            const char *plan)
{
    const struct mu_deadline end = mu_deadline_in_ms(3 * MU_LEASE_RENEW_MS);
    struct contrary now;

    while (count > 0 && !mu_deadline_passed(end)) {
        mu_clock_sleep_us(200000);
        for (uint32_t i = 0; i < count; i++) {
            now = list[i];
            read_contrary(&now, plan);
            if (!now.ended && (now.now != list[i].now || strcmp(now.moved, list[i].moved) != 0))
                return refuse(&list[i], own);
        }
    }
    return MU_OK;
}

static enum mu_status admit(const char *whole, struct mu_sweep_part own,
                            const struct mu_sweep_part *parts, uint32_t count, const char *plan)
{
    struct contrary *list = calloc((size_t)count + 1, sizeof *list);
    enum mu_status st = list ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the sweep's parts");
    uint32_t unclear = 0;

    for (uint32_t i = 0; i <= count && st == MU_OK; i++) {
        struct contrary *c = &list[unclear];

        *c = (struct contrary){.part = i < count ? parts[i] : (struct mu_sweep_part){0, 0}};
        if (mu_sweep_part_equal(c->part, own))
            continue; /* its lock tells */
        MU_TRY(mu_sweep_part_path(c->path, whole, c->part), st, done);
        read_contrary(c, plan);
        if (!is_contrary(c, own))
            continue;
        if (mu_run_dir_is_locked(c->path) || mu_hold_is_taken(c->path))
            st = refuse(c, own);
        unclear += !c->ended;
    }
    if (st == MU_OK)
        st = watch(list, unclear, own, plan);
done:
    free(list);
    return st;
}

/* Trials that others have begun with other values: before a folder is made for a part that could
 * not go on with them. */
static enum mu_status compare_trials(const char *whole, const struct mu_sweep_spec *spec,
                                     const struct mu_settings *base, const char *file)
{
    struct mu_sweep_stages stages;
    enum mu_status st = mu_sweep_stages_init(&stages, spec, base, file);

    for (uint32_t i = 0; st == MU_OK && i < stages.trials.count; i++)
        st = mu_sweep_trial_compare(&stages.trials.item[i], whole);
    mu_sweep_stages_deinit(&stages);
    return st;
}

enum mu_status mu_sweep_part_admit(const char *whole, struct mu_sweep_part part,
                                   const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                   const char *file)
{
    struct mu_hash_text plan;
    uint32_t count;
    struct mu_sweep_part *parts = mu_sweep_part_list(whole, &count);
    enum mu_status st = MU_OK;

    if (part.of > 0 || count > 0)
        MU_TRY(mu_sweep_part_plan(spec, base, file, &plan), st, done);
    if (part.of > 0 || count > 0)
        MU_TRY(admit(whole, part, parts, count, plan.text), st, done);
    if (part.of > 0)
        st = compare_trials(whole, spec, base, file);
done:
    free(parts);
    return st;
}
