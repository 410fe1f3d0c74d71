#include "orchestrator/report/words.h"

#define SECOND(name, word, text) word,
#define THIRD(name, word, text)  text,

/* FUNCTION_id gives the second entry of a table's row, FUNCTION the third. */
#define WORDS(function, type, TABLE)                     \
    const char *function##_id(type kind)                 \
    {                                                    \
        static const char *const of[] = {TABLE(SECOND)}; \
        return of[kind];                                 \
    }                                                    \
    const char *function(type kind)                      \
    {                                                    \
        static const char *const of[] = {TABLE(THIRD)};  \
        return of[kind];                                 \
    }

WORDS(mu_words_method, enum mu_method, MU_METHOD_TABLE)
WORDS(mu_words_objective, enum mu_objective_kind, MU_OBJECTIVE_TABLE)
WORDS(mu_words_count, enum mu_count_kind, MU_COUNT_TABLE)
WORDS(mu_words_flops, enum mu_flops_kind, MU_FLOPS_TABLE)
WORDS(mu_words_column, enum mu_column, MU_COLUMN_TABLE)
