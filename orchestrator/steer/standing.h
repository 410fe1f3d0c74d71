/* How a run or a sweep stands, for who wants to ask something of it. */
#ifndef MUSTER_STEER_STANDING_H
#define MUSTER_STEER_STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"

enum mu_steer_folder { MU_STEER_NO_FOLDER, MU_STEER_RUN, MU_STEER_TRIAL, MU_STEER_SWEEP };
enum mu_steer_folder mu_steer_folder_kind(const char *path);

struct mu_steer_standing {
    bool is_read; /* status.json could be; of a sweep sweep.json */
    bool is_sweep;
    char state[16], outcome[16], message[256], host[64], launch[40], updated[24];
    int64_t step, steps, ranks; /* of a sweep: trials that have ended, and all that are known */
    bool is_locked;             /* a process trains it */
    bool has_ranks; /* some live on this host: the master has died, and another one will lock it */
    bool is_launched; /* a launcher has it */
    bool is_abroad;   /* it is to run on another host, where locks need not be seen from here */
};

struct mu_steer_standing mu_steer_standing(const char *run);
/* Somebody is there to obey, or may be. */
bool mu_steer_is_alive(const struct mu_steer_standing *s);
bool mu_steer_has_ended(const struct mu_steer_standing *s, const char *outcome);
/* "it was killed; the same command goes on": why nobody is there. */
struct mu_steer_why {
    char text[400];
};
struct mu_steer_why mu_steer_tell_end(const struct mu_steer_standing *s);

#endif
