/* `muster doctor`: what this machine can do for training, a row each, with what to do where
 * something lacks. Whatever may hang (a program, a driver, a file system) is asked apart, all of it
 * at the same time (base/apart.h); nothing is left behind.
 *
 *   doctor.c     starts the questions, waits, has the rows made in their order
 *   mpi.c        mpirun, a start of ranks, a death          machine.c   cores, memory, limits
 *   storage.c    the folder of runs, HDF5, /dev/shm         tools.c     GPUs, Slurm, programs
 *   facts.h      what is read from files and answers: pure, or below a root that tests give
 *   print.c      rows as a table and as JSON */
#ifndef MUSTER_DOCTOR_DOCTOR_H
#define MUSTER_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "orchestrator/base/status.h"

/* X(name, word): MISSING alone keeps training from working. */
#define MU_DOCTOR_MARKS(X) \
    X(OK, "ok")            \
    X(NOTE, "note")        \
    X(WARN, "warn")        \
    X(MISSING, "MISSING")
enum mu_doctor_mark {
#define MU_DOCTOR_MARK_ENUM(name, word) MU_DOCTOR_##name,
    MU_DOCTOR_MARKS(MU_DOCTOR_MARK_ENUM)
#undef MU_DOCTOR_MARK_ENUM
        MU_DOCTOR_MARK_COUNT
};

struct mu_doctor_row {
    enum mu_doctor_mark mark;
    const char *what;
    char found[600];
    char advice[400]; /* what to do; "" where nothing is to be done */
};

enum { MU_DOCTOR_ROWS = 64 };
struct mu_doctor_report {
    struct mu_doctor_row row[MU_DOCTOR_ROWS];
    size_t count;
};

struct mu_doctor_request {
    const char *mpirun;  /* NULL: the one that muster was built with */
    const char *run_dir; /* where runs are to lie; it need not be there yet */
    bool needs_gpu;      /* device.kind = "cuda" */
};

/* Takes a second or two; where something hangs, up to its deadline. MU_OK whatever it found; others
 * when nothing could be asked (no memory). */
enum mu_status mu_doctor_look(const struct mu_doctor_request *request,
                              struct mu_doctor_report *out) MU_CHECKED;
size_t mu_doctor_count(const struct mu_doctor_report *r, enum mu_doctor_mark mark);

/* What is missing first, the others in their order; a sentence at the end. */
void mu_doctor_print(FILE *out, const struct mu_doctor_report *r);
enum mu_status mu_doctor_print_json(FILE *out, const struct mu_doctor_report *r) MU_CHECKED;

#endif
