/* schema.def as data: what every key is called, may hold, and is for. */
#ifndef MUSTER_CONFIG_SCHEMA_H
#define MUSTER_CONFIG_SCHEMA_H

#include <stddef.h>
#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

enum mu_key_type {
    MU_TYPE_INT,
    MU_TYPE_AUTO_INT,
    MU_TYPE_REAL,
    MU_TYPE_PAIR,
    MU_TYPE_TEXT,
    MU_TYPE_PATH,
    MU_TYPE_CHOICE
};

/* X(name, word, what it means for a user) */
#define MU_CLASS_TABLE(X)                                                                          \
    X(IDENTITY, "identity", "part of what the run computes: it cannot change during a run")        \
    X(CONTENT, "content",                                                                          \
      "the file may move, but what is in it is part of what the run computes and cannot change "   \
      "during a run")                                                                              \
    X(FORK, "fork",                                                                                \
      "changes what the run becomes: for another value start a new run (--from goes on from this " \
      "one's state)")                                                                              \
    X(OPERATIONAL, "operational", "free to change whenever the run is started again")

enum mu_key_class {
#define MU_CLASS_ENUM(name, word, meaning) MU_CLASS_##name,
    MU_CLASS_TABLE(MU_CLASS_ENUM)
#undef MU_CLASS_ENUM
};

struct mu_key {
    const char *name; /* "model.width" */
    enum mu_key_type type;
    size_t offset;         /* of its field in struct mu_settings */
    const char *otherwise; /* default, as written in a config; NULL: must be given */
    double least, most;
    const char *unit; /* "" for none */
    enum mu_key_class class;
    const char *help;
    const char *const *words; /* of a CHOICE, NULL at the end */
};

enum mu_key_index {
#define MU_KEY(type, field, key, otherwise, least, most, unit, class, help) MU_KEY_##field,
#include "orchestrator/config/schema.def"
#undef MU_KEY
    MU_KEY_COUNT
};
extern const struct mu_key mu_keys[MU_KEY_COUNT];

const struct mu_key *mu_key_find(const char *name); /* NULL: no such key */
const char *mu_key_nearest(const char *name);       /* NULL: none is near */

const char *mu_key_class_word(enum mu_key_class class);
const char *mu_key_class_meaning(enum mu_key_class class);
/* "an integer from 1 to 8, or \"auto\"": what a value must be. */
struct mu_key_text {
    char text[256];
};
struct mu_key_text mu_key_expected(const struct mu_key *key);
/* The default as a file would say it: "wsd" with its quotes. otherwise is not NULL. */
struct mu_key_text mu_key_default(const struct mu_key *key);
/* "MUSTER_RUN_DIR"; it is read only when the class is OPERATIONAL. */
struct mu_key_text mu_key_environment(const struct mu_key *key);

/* A value as it is written in a config: valid libconfig, and reading it back gives the same
 * bits. */
void mu_key_print_value(FILE *out, const struct mu_key *key, const struct mu_settings *settings);
/* The same as malloc'ed text. */
enum mu_status mu_key_value_text(const struct mu_key *key, const struct mu_settings *settings,
                                 char **text) MU_CHECKED;

#endif
