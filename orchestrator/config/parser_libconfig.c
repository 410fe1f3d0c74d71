#include "orchestrator/config/parser_libconfig.h"

#include <libconfig.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 256 };

struct walk {
    const struct mu_scan *scan;
    mu_entry_take *take;
    void *context;
    char key[KEY_MAX]; /* of the group being walked, a dot after it */
};

static struct mu_literal literal_of(const config_setting_t *element)
{
    const char *text = config_setting_get_string(element);

    /* the scan put the kind before every scalar; what has none is no scalar */
    if (!text || !text[0])
        return (struct mu_literal){MU_SCALAR_WORD, NULL};
    return (struct mu_literal){(enum mu_scalar)text[0], text + 1};
}

static void take_value(struct walk *w, const config_setting_t *setting)
{
    struct mu_entry entry = {
        .key = w->key,
        .place = mu_scan_place(w->scan, (int)config_setting_source_line(setting)),
        .shape = config_setting_is_aggregate(setting) ? MU_ENTRY_ARRAY : MU_ENTRY_SCALAR,
        .count = 1,
    };

    if (config_setting_is_group(setting))
        entry.shape = MU_ENTRY_GROUP;
    if (entry.shape == MU_ENTRY_SCALAR) {
        entry.element[0] = literal_of(setting);
    } else {
        entry.count = config_setting_length(setting);
        for (int i = 0; i < entry.count && i < MU_ENTRY_ELEMENTS; i++)
            entry.element[i] = literal_of(config_setting_get_elem(setting, (unsigned)i));
    }
    w->take(w->context, &entry);
}

static void walk_group(struct walk *w, const config_setting_t *group);

/* w->key is the setting's. Depth is bounded by MU_SCAN_BRACKETS. */
static void walk_setting(struct walk *w, const config_setting_t *setting)
{
    const size_t used = strlen(w->key);

    if (config_setting_is_group(setting) && config_setting_length(setting) > 0) {
        strncat(w->key, ".", sizeof w->key - used - 1);
        walk_group(w, setting);
        return;
    }
    take_value(w, setting);
    if (!config_setting_is_aggregate(setting) || strncmp(w->key, "sweep.", 6) != 0)
        return;
    for (int i = 0; i < config_setting_length(setting); i++) {
        snprintf(w->key + used, sizeof w->key - used, "[%d]", i);
        walk_setting(w, config_setting_get_elem(setting, (unsigned)i));
    }
    w->key[used] = '\0';
}

static void walk_group(struct walk *w, const config_setting_t *group)
{
    const size_t used = strlen(w->key);

    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);

        mu_scan_name(config_setting_name(setting), w->key + used, sizeof w->key - used);
        walk_setting(w, setting);
        w->key[used] = '\0';
    }
}

bool mu_libconfig_read(const struct mu_scan *scan, struct mu_mistakes *m, mu_entry_take *take,
                       void *context)
{
    struct walk walk = {.scan = scan, .take = take, .context = context};
    config_t config;
    bool parsed;

    config_init(&config);
    parsed = config_read_string(&config, scan->text) == CONFIG_TRUE;
    if (parsed)
        walk_group(&walk, config_root_setting(&config));
    else
        mu_mistakes_add(m, mu_scan_place(scan, config_error_line(&config)), "",
                        "%s here or just before; expected NAME = VALUE; or NAME = { ... };",
                        config_error_text(&config));
    config_destroy(&config);
    return parsed;
}

#define TEXT_OF(number)  #number
#define VERSION(a, b, c) "libconfig " TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

const char *mu_config_library_version(void)
{
    return VERSION(LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION);
}
