/* Between the files of doctor: each kind of question has a struct, `ask` that starts what runs
 * apart, and `tell` that adds its rows once all of that is over. */
#ifndef MUSTER_DOCTOR_PARTS_H
#define MUSTER_DOCTOR_PARTS_H

#include <stdint.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/base/disk.h"
#include "orchestrator/base/file.h"
#include "orchestrator/doctor/doctor.h"
#include "orchestrator/doctor/facts.h"
#include "orchestrator/launch/mpi_settings.h"

/* A row; advice may be NULL. The text is printf's. */
void mu_doctor_add(struct mu_doctor_report *r, enum mu_doctor_mark mark, const char *what,
                   const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

struct mu_doctor_mpi {
    struct mu_mpi_place place; /* of muster's own */
    const char *mpirun;
    char on_path[MU_PATH_MAX]; /* mpirun, as a shell finds it; "": none */
    bool same;                 /* these two are one program */
    char folder[64];           /* TMPDIR of the trial; "": none */
    struct mu_apart version, trial, path_version, path_trial;
};
void mu_doctor_mpi_ask(struct mu_doctor_mpi *m, const struct mu_doctor_request *request);
/* May ask once more. stop: see mu_apart_wait. */
void mu_doctor_mpi_tell(struct mu_doctor_mpi *m, struct mu_doctor_report *r,
                        const volatile sig_atomic_t *stop);
void mu_doctor_mpi_clear(struct mu_doctor_mpi *m);

void mu_doctor_machine_tell(struct mu_doctor_report *r); /* asks nobody */

/* What is found out in the process apart comes back in one piece. */
struct mu_doctor_storage_facts {
    char folder[MU_PATH_MAX]; /* run_dir, or the folder nearest above it that is there */
    bool is_there;            /* run_dir itself */
    uint64_t type;            /* of statfs */
    struct mu_disk disk;
    int look_error, write_error, lock_error; /* errno; 0: fine */
    bool h5_written, h5_read;
    char h5_problem[300];
    double seconds; /* that a synced file of a MB took */
};
struct mu_doctor_storage {
    char run_dir[MU_PATH_MAX];
    char scratch[32]; /* name of what is made in the folder */
    struct mu_apart apart;
};
void mu_doctor_storage_ask(struct mu_doctor_storage *s, const struct mu_doctor_request *request);
void mu_doctor_storage_tell(const struct mu_doctor_storage *s, struct mu_doctor_report *r);
void mu_doctor_storage_clear(struct mu_doctor_storage *s);
void mu_doctor_shm_tell(struct mu_doctor_report *r); /* asks nobody */

struct mu_doctor_tools {
    bool needs_gpu;
    struct mu_apart nvidia, module, nccl;
    struct mu_apart srun, srun_mpi, sbatch, scontrol, left;
    struct mu_apart gnuplot;
};
void mu_doctor_tools_ask(struct mu_doctor_tools *t, const struct mu_doctor_request *request);
void mu_doctor_tools_tell(const struct mu_doctor_tools *t, struct mu_doctor_report *r);

#endif
