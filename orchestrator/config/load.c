/* The layers of a configuration, one over the other: defaults, file, environment, command line.
 * Within a layer a key may be given once. What single values cannot show is checked at the end
 * (checks.h), with the place of the last layer that gave the key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/config/checks.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/number.h"
#include "orchestrator/config/parser_libconfig.h"
#include "orchestrator/config/scan.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/config/value.h"

static const struct mu_place command_line = {"command line", 0};

struct loading {
    const struct mu_config_source *source;
    struct mu_settings *settings;
    struct mu_mistakes *mistakes;
    char working_folder[MU_PATH_MAX];
    struct mu_place places[MU_KEY_COUNT]; /* of the last layer that gave the key; NULL: default */
    bool in_layer[MU_KEY_COUNT];          /* given in the present layer */
    bool wrong[MU_KEY_COUNT];             /* some layer gave what is no value of the key */
    struct mu_scan scan;                  /* places point into it */
    bool parsed;                          /* the file, whole */
    bool sweep_refused;                   /* said once */
    struct mu_key_text variables[MU_KEY_COUNT]; /* "environment MUSTER_...": likewise */
};

/* An unknown key: the nearest one, else the keys of its group, else the groups. */
static void refuse_key(struct loading *l, struct mu_place place, const char *name)
{
    const char *nearest, *dot = strchr(name, '.');
    size_t group = dot ? (size_t)(dot - name) + 1 : 0;
    size_t used = 0;
    char list[512] = "";

    if (l->mistakes->count >= MU_MISTAKES_KEPT) { /* nobody will read it: only count */
        mu_mistakes_add(l->mistakes, place, name, "unknown key");
        return;
    }
    nearest = mu_key_nearest(name);
    for (size_t i = 0; !nearest && group && i < MU_KEY_COUNT; i++)
        if (strncmp(mu_keys[i].name, name, group) == 0 && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     mu_keys[i].name + group);
    if (nearest)
        mu_mistakes_add(l->mistakes, place, name, "unknown key; did you mean '%s'?", nearest);
    else if (used)
        mu_mistakes_add(l->mistakes, place, name, "unknown key; expected one of %.*s: %s",
                        (int)group - 1, name, list);
    else
        mu_mistakes_add(l->mistakes, place, name,
                        "unknown key; 'muster config' lists those that exist");
}

/* The schema's row for a key that the present layer gives; NULL after telling why there is none. */
static const struct mu_key *enter(struct loading *l, const char *name, struct mu_place place)
{
    const struct mu_key *key = mu_key_find(name);
    size_t i;

    if (!key) {
        refuse_key(l, place, name);
        return NULL;
    }
    i = (size_t)(key - mu_keys);
    if (l->in_layer[i]) {
        char line[40] = "";

        if (l->places[i].line)
            snprintf(line, sizeof line, ", first in line %d of ", l->places[i].line);
        mu_mistakes_add(l->mistakes, place, name, "given twice%s%s; expected once", line,
                        *line ? l->places[i].source : "");
        return NULL;
    }
    l->in_layer[i] = true;
    l->places[i] = place;
    return key;
}

static void take_value(struct loading *l, const struct mu_key *key, const struct mu_entry *entry,
                       const char *folder)
{
    int before = l->mistakes->count;

    mu_value_take(key, entry, folder, l->settings, l->mistakes);
    l->wrong[key - mu_keys] |= l->mistakes->count > before;
}

static void take_text(struct loading *l, const struct mu_key *key, const char *text,
                      struct mu_place place)
{
    int before = l->mistakes->count;

    mu_value_take_text(key, text, place, l->working_folder, l->settings, l->mistakes);
    l->wrong[key - mu_keys] |= l->mistakes->count > before;
}

static void begin_layer(struct loading *l)
{
    memset(l->in_layer, 0, sizeof l->in_layer);
}

static void take_defaults(struct loading *l)
{
    memset(l->settings, 0, sizeof *l->settings);
    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        if (mu_keys[i].otherwise)
            take_text(l, &mu_keys[i], mu_keys[i].otherwise, (struct mu_place){"default", 0});
}

/* The folder of a file, absolute; of a text, the working directory. */
static enum mu_status folder_of(const struct loading *l, const char *path, char out[MU_PATH_MAX])
{
    if (!l->source->path)
        return mu_path_format(out, "%s", l->working_folder);

    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 0;

    if (path[0] == '/')
        return mu_path_format(out, "%.*s", length + (length == 0), path);
    return mu_path_format(out, "%s/%.*s", l->working_folder, length, path);
}

/* Is it "optim" or "optim.schedule"? */
static bool is_group(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        if (strncmp(mu_keys[i].name, name, length) == 0 && mu_keys[i].name[length] == '.')
            return true;
    return false;
}

/* Whose the group is: of those who asked for it. */
static void take_sweep(struct loading *l, const struct mu_entry *entry)
{
    if (l->source->take_sweep)
        l->source->take_sweep(l->source->take_context, entry);
    else if (!l->sweep_refused)
        mu_mistakes_add(l->mistakes, entry->place, "sweep",
                        "this file describes a sweep, not a run; expected `muster plan` or "
                        "`muster sweep` with it, or the configuration of a run");
    l->sweep_refused = true;
}

static void take_entry(void *context, const struct mu_entry *entry)
{
    struct loading *l = context;
    char folder[MU_PATH_MAX];
    const struct mu_key *key;

    if (strcmp(entry->key, "sweep") == 0 || strncmp(entry->key, "sweep.", 6) == 0) {
        take_sweep(l, entry);
        return;
    }
    if (is_group(entry->key)) {
        if (entry->shape != MU_ENTRY_GROUP) /* else it is empty, which harms nobody */
            mu_mistakes_add(l->mistakes, entry->place, entry->key,
                            "is a group; expected %s = { ... };", entry->key);
        return;
    }
    key = enter(l, entry->key, entry->place);
    if (key && folder_of(l, entry->place.source, folder) == MU_OK)
        take_value(l, key, entry, folder);
}

static enum mu_status take_file(struct loading *l)
{
    const struct mu_config_source *source = l->source;
    enum mu_status st;

    begin_layer(l);
    if (source->path)
        st = mu_scan_file(&l->scan, source->path, l->mistakes);
    else
        st =
            mu_scan_text(&l->scan, source->text, source->text_size, source->text_name, l->mistakes);
    if (st == MU_OK && l->scan.text)
        l->parsed = mu_libconfig_read(&l->scan, l->mistakes, take_entry, l);
    return st;
}

static const char *environment_value(char *const *environment, const char *name)
{
    size_t length = strlen(name);

    for (; *environment; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

/* Variables that are no key's are others' business; an empty one counts as not set. */
static void take_environment(struct loading *l)
{
    begin_layer(l);
    for (size_t i = 0; l->source->environment && i < MU_KEY_COUNT; i++) {
        const struct mu_key *key = &mu_keys[i];
        struct mu_key_text name = mu_key_environment(key);
        const char *value = environment_value(l->source->environment, name.text);
        struct mu_place place = {l->variables[i].text, 0};

        if (!value || !*value)
            continue;
        snprintf(l->variables[i].text, sizeof l->variables[i].text, "environment %.200s",
                 name.text);
        if (key->class != MU_CLASS_OPERATIONAL) {
            mu_mistakes_add(l->mistakes, place, key->name,
                            "this key may not come from the environment, since it changes what a "
                            "run computes, and that is to be seen in its configuration; set it in "
                            "the file or on the command line");
        } else if (enter(l, key->name, place)) {
            take_text(l, key, value, place);
        }
    }
}

/* "sweep.retries=2": as if it stood in the file, after it. */
static void take_sweep_text(struct loading *l, const char *name, const char *text)
{
    struct mu_entry entry = {.key = name, .place = command_line, .shape = MU_ENTRY_SCALAR};
    double number;

    entry.element[0].text = text;
    entry.element[0].kind = mu_number_real(text, &number) == MU_NUMBER_OK ? MU_SCALAR_NUMBER
                            : strcmp(text, "true") == 0 || strcmp(text, "false") == 0
                                ? MU_SCALAR_BOOL
                                : MU_SCALAR_TEXT;
    if (strchr(name, '[') || *text == '[' || *text == '(')
        mu_mistakes_add(l->mistakes, command_line, name,
                        "lists of a sweep are given in its file; expected a single value");
    else
        take_sweep(l, &entry);
}

static void take_command_line(struct loading *l)
{
    begin_layer(l);
    for (int i = 0; i < l->source->override_count; i++) {
        const char *word = l->source->overrides[i], *equals = strchr(word, '=');
        const struct mu_key *key;
        char name[128];

        if (!equals || equals == word) {
            mu_mistakes_add(l->mistakes, command_line, "", "'%.80s' is not KEY=VALUE", word);
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
        if (is_group(name)) {
            mu_mistakes_add(l->mistakes, command_line, name,
                            "is a group; expected one of its keys, as in %s.KEY=VALUE ('muster "
                            "config %s' lists them)",
                            name, name);
            continue;
        }
        if (strncmp(name, "sweep.", 6) == 0) {
            take_sweep_text(l, name, equals + 1);
            continue;
        }
        key = enter(l, name, command_line);
        if (key && !equals[1] && key->type != MU_TYPE_TEXT && key->type != MU_TYPE_PATH) {
            mu_mistakes_add(l->mistakes, command_line, name,
                            "nothing stands after the '='; expected %s", mu_key_expected(key).text);
            l->wrong[key - mu_keys] = true;
        } else if (key)
            take_text(l, key, equals + 1, command_line);
    }
}

/* Keys that no layer gave get the file's name as their place: that is where to write them; keys
 * with a mistake get none, and are not checked against others. */
static void finish_places(struct loading *l)
{
    const char *name = l->source->path ? l->source->path : l->source->text_name;

    for (size_t i = 0; i < MU_KEY_COUNT; i++) {
        bool given = l->places[i].source != NULL;

        if (!given)
            l->places[i] = (struct mu_place){name, 0};
        if (!given && !mu_keys[i].otherwise)
            mu_mistakes_add(l->mistakes, l->places[i], mu_keys[i].name, "missing; expected %s",
                            mu_key_expected(&mu_keys[i]).text);
        if (l->wrong[i] || (!given && !mu_keys[i].otherwise))
            l->places[i].source = NULL;
    }
}

enum mu_status mu_config_collect(const struct mu_config_source *source, struct mu_settings *out,
                                 struct mu_mistakes *m)
{
    struct loading *l = calloc(1, sizeof *l);
    enum mu_status st = MU_OK;

    if (!l)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a configuration");
    *l = (struct loading){.source = source, .settings = out, .mistakes = m};
    if (!getcwd(l->working_folder, sizeof l->working_folder)) {
        st = MU_FAIL(MU_FAILED, "the working directory cannot be found: %m");
        goto done;
    }
    take_defaults(l);
    MU_TRY(take_file(l), st, done);
    take_environment(l);
    take_command_line(l);
    if (l->parsed) { /* else nobody can say what is missing, or does not fit */
        finish_places(l);
        mu_checks_run(out, l->places, m);
    }
done:
    mu_scan_deinit(&l->scan);
    free(l);
    return st;
}

enum mu_status mu_config_load(const struct mu_config_source *source, struct mu_settings *out)
{
    struct mu_mistakes mistakes = {.count = 0};
    enum mu_status st = mu_config_collect(source, out, &mistakes);
    enum mu_status found = mu_mistakes_report(&mistakes);

    return st == MU_OK ? found : st;
}

enum mu_status mu_config_parse_text(const char *text, size_t size, const char *name,
                                    struct mu_settings *out)
{
    struct mu_config_source source = {.text = text, .text_size = size, .text_name = name};

    return mu_config_load(&source, out);
}

enum mu_status mu_config_recall(const char *text, const char *name, struct mu_settings **out)
{
    enum mu_status st;

    *out = malloc(sizeof **out);
    if (!*out)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a configuration");
    MU_TRY(mu_config_parse_text(text, strlen(text), name, *out), st, failed);
    MU_TRY(mu_settings_resolve(*out, 0), st, failed);
    return MU_OK;
failed:
    free(*out);
    *out = NULL;
    return st;
}
