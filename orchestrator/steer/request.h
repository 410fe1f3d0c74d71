/* What is asked of a run that trains: files in RUN/control/, written by whoever asks, obeyed and
 * answered by the run's master.
 *
 *   control/stop-4f1c….request   {"version":1,"what":"stop","by":"anna on node7, pid 42","date":…}
 *   control/stop, checkpoint     the same without a name, by `touch`: nobody waits for an answer
 *
 * 1. A request is written beside and renamed: a master sees a whole one. Its name is its identity.
 * 2. The answer is a durable record in the journal, and only then the file goes. So whoever asks
 *    waits until the file is gone and reads the journal; and whoever becomes the master between the
 *    two finds the answer there and does nothing twice.
 * 3. What cannot be read is named and set aside (NAME.refused); training goes on. */
#ifndef MUSTER_STEER_REQUEST_H
#define MUSTER_STEER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"

/* X(name, word) */
#define MU_STEER_TABLE(X) X(STOP, "stop") X(CHECKPOINT, "checkpoint")

enum mu_steer_kind {
#define MU_STEER_ENUM(name, word) MU_STEER_##name,
    MU_STEER_TABLE(MU_STEER_ENUM)
#undef MU_STEER_ENUM
        MU_STEER_KINDS
};

enum {
    MU_STEER_NAME_MAX = 96, /* of a request's file, with the zero byte */
    MU_STEER_WHY_MAX = 160,
    MU_STEER_MOST = 32, /* looked at together; what is beyond waits until some are answered */
};

struct mu_steer_request {
    char name[MU_STEER_NAME_MAX]; /* of its file */
    enum mu_steer_kind kind;
    bool is_plain;  /* made by `touch` */
    char by[128];   /* printable; "" where it does not say */
    int64_t made_s; /* the file's, in seconds since 1970 */
};

const char *mu_steer_word(enum mu_steer_kind kind); /* "stop" */

/* Any bytes will do. false: `why` says what is wrong with them. */
bool mu_steer_parse(const char *text, size_t size, struct mu_steer_request *out,
                    char why[MU_STEER_WHY_MAX]);
/* A new request of this process in RUN/control; *out: as the master will read it. */
enum mu_status mu_steer_write(const char *run, enum mu_steer_kind kind,
                              struct mu_steer_request *out) MU_CHECKED;
/* false: it cannot be obeyed, and `why` says why; or, with an empty `why`, it is there no more. */
bool mu_steer_read(const char *run, const char *name, struct mu_steer_request *out,
                   char why[MU_STEER_WHY_MAX]);
/* Names in RUN/control that may be requests: all but what others own ("stop", a launcher's, files
 * being written, what was set aside). Sorted; at most `most` of them. */
uint32_t mu_steer_names(const char *run, char (*names)[MU_STEER_NAME_MAX], uint32_t most);
bool mu_steer_is_there(const char *run, const char *name);
/* False with errno: it stands there still. One that is gone already is removed. */
bool mu_steer_remove(const char *run, const char *name);
bool mu_steer_set_aside(const char *run, const char *name); /* to NAME.refused */

/* ---- answers ---- */
enum mu_steer_result {
    MU_STEER_DONE,
    MU_STEER_FAILED,   /* tried, and it did not work */
    MU_STEER_LATE,     /* the run was complete before */
    MU_STEER_OUTDATED, /* asked of an earlier start of the run */
};
struct mu_steer_answer {
    enum mu_steer_result result;
    int64_t step;   /* committed steps */
    int64_t saved;  /* of the checkpoint; 0: none */
    double seconds; /* that the save took; 0: it was there already */
};

/* A record of the journal (MU_JOURNAL_ANSWER), malloc'ed; NULL: no memory. */
char *mu_steer_answer_format(const struct mu_steer_request *request,
                             const struct mu_steer_answer *answer);
/* Looks through the journal. Plain requests share their names and are never found. */
bool mu_steer_answer_find(const char *run, const struct mu_steer_request *request,
                          struct mu_steer_answer *out);
/* One sentence, as the command prints it and the journal keeps it. */
struct mu_steer_text {
    char text[MU_PATH_MAX + 256];
};
struct mu_steer_text mu_steer_answer_tell(const char *run, enum mu_steer_kind kind,
                                          const struct mu_steer_answer *answer);

#endif
