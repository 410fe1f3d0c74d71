/* A rank in an MPI job, from MPI_Init to the last goodbye, whatever it works on meanwhile: its
 * entry on the board, its watchdog, the job's one communicator, its poller, and the repair of all
 * of them. `muster train` has one job in its session; a sweep has one after the other, each with a
 * part of the ranks (trial_job.h).
 *
 * A repair is everybody's (worker/recover.h): ranks whose group nobody died in go on where they
 * are. */
#ifndef MUSTER_MASTER_SESSION_H
#define MUSTER_MASTER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/core/gpus.h"
#include "worker/poller.h"
#include "worker/recover.h"
#include "worker/watchdog.h"

/* The job that a rank is in. */
#define MU_GROUP_OF_ALL 1
struct mu_session_job {
    struct mu_comm *comm; /* NULL: none */
    uint64_t group;
    uint32_t trial;
    struct mu_worker *worker;
    struct mu_roll *roll;
    void (*recovered)(void *context); /* its roll is new, or there is none yet */
    void *context;
};

/* The GPU that this rank has for as long as it lives. */
struct mu_session_gpu {
    bool is_dealt; /* it has one: */
    int number;    /* as it sees them */
    struct mu_gpu_id id;
    char host[64]; /* where the ranks are on several hosts: this rank's */
    int leaver;    /* the rank for which there was none; -1: none */
};

struct mu_session {
    struct mu_board *board;
    struct mu_watchdog *watchdog;
    struct mu_comm *comm; /* all living ranks */
    struct mu_poller poller;
    struct mu_recovery recovery; /* with the job attached that this rank is in, if any */
    uint32_t epoch;              /* of the roll of all ranks */
    uint64_t started_ns;         /* this process */
    struct mu_hash program;
    /* What others ask of the job under way (enum mu_request_flag), beside signals and files: set by
     * who serves messages inside polls; taken to 0 at the job's start. */
    uint32_t requests;
    struct mu_session_job job;
    struct mu_session_gpu gpu;
    struct mu_timed *timed; /* who times the steps of its jobs; NULL: nobody */

    /* After every repair, on every rank, inside the poll: the job under way has its new roll by
     * then. NULL: nobody wants to know. */
    void (*recovered)(void *context);
    void *recovered_context;
};

/* Signals, the bond to mpirun, board, watchdog, MPI_Init, in this order. */
enum mu_status mu_session_open(struct mu_session *s) MU_CHECKED;
/* The hash of this program, into s->program; read once. */
enum mu_status mu_session_identify(struct mu_session *s) MU_CHECKED;
/* From now on a repair is this job's, too; it holds no state yet. */
void mu_session_attach(struct mu_session *s, const struct mu_session_job *job);
/* ended: the group's work is known to be done, by all of it that live. */
void mu_session_detach(struct mu_session *s, bool ended);
/* By all living ranks, none of them in a job: returns once all are here and know it, so that nobody
 * who leaves now is missed. Another status than MU_OK: this rank cannot part, and dies. */
enum mu_status mu_session_part(struct mu_session *s) MU_CHECKED;
/* Goodbye of all ranks that know the same end. As mu_comm_close: may not return. */
void mu_session_close(struct mu_session *s, enum mu_status st);
/* The poller's repair (poller.repair; context is the session), once deaths can be lived with where
 * this rank is. */
enum mu_status mu_session_recover(void *session) MU_CHECKED;

#endif
