/* The enums of a fit in words: `_id` as options and files have them, else as people read them. */
#ifndef MUSTER_REPORT_WORDS_H
#define MUSTER_REPORT_WORDS_H

#include "orchestrator/fit/fit.h"
#include "orchestrator/points/points_csv.h"

const char *mu_words_method(enum mu_method method); /* "IsoFLOP" */
const char *mu_words_method_id(enum mu_method method);
const char *mu_words_objective(enum mu_objective_kind kind); /* "Huber's function" */
const char *mu_words_objective_id(enum mu_objective_kind kind);
const char *mu_words_count(enum mu_count_kind kind); /* "with token and position embeddings ..." */
const char *mu_words_count_id(enum mu_count_kind kind);
const char *mu_words_flops(enum mu_flops_kind kind); /* "6 N" */
const char *mu_words_flops_id(enum mu_flops_kind kind);
const char *mu_words_column(enum mu_column column); /* "training tokens" */
const char *mu_words_column_id(enum mu_column column);

#endif
