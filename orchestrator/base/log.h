/* Lines for people, on stderr. One process-wide sink: who speaks (rank), how much, and what to do
 * before a line (a progress bar takes itself away and comes back). Thread-safe; a line is one
 * write(2). */
#ifndef MUSTER_BASE_LOG_H
#define MUSTER_BASE_LOG_H

#include <stdbool.h>

/* MU_LOG_SILENT is only for mu_log_set_level: tests and fuzz targets whose point is to be
 * refused. */
enum mu_log_level { MU_LOG_SILENT = -1, MU_LOG_ERROR, MU_LOG_WARN, MU_LOG_INFO, MU_LOG_DEBUG };

/* `muster: TEXT`, or `muster[3]: TEXT` once a rank is set; `error: ` and `warning: ` stand before
 * TEXT. */
void mu_log(enum mu_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Default: MU_LOG_INFO, or the environment's MUSTER_LOG. */
void mu_log_set_level(enum mu_log_level level);
/* Whether lines of this level are shown: for those who speak without mu_log (the progress bar). */
bool mu_log_shows(enum mu_log_level level);
void mu_log_reset_level(void);  /* back to what the environment says */
void mu_log_set_rank(int rank); /* -1: none */
/* Called with the sink's lock held before (`begin` true) and after each line; NULL: none. Must not
 * log. */
void mu_log_set_guard(void (*guard)(void *context, int begin), void *context);
/* Errors and warnings go there instead of stderr, whatever the level, without what stands before
 * their text; NULL: to stderr again. For those who show them in a form of their own. Must not log. */
void mu_log_set_taker(void (*take)(void *context, enum mu_log_level level, const char *text),
                      void *context);
/* "error", "warning", "info", "debug" -> level; -1 when it is none of them. */
int mu_log_level_from_name(const char *name);

/* "rank 3 backward step 812": put into the line of a failed assertion and of a death; kept by
 * reference. */
void mu_log_set_where(const char *where);

#endif
