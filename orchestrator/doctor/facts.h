/* What doctor reads: answers of programs, and files of the kernel. Nothing here may hang or fail;
 * what is not understood is said so. */
#ifndef MUSTER_DOCTOR_FACTS_H
#define MUSTER_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first number with a dot in `text`: "5.0.11" of "mpirun (Open MPI) 5.0.11". false: none. */
bool mu_doctor_version(const char *text, char *out, size_t size);
/* A whole word of `text`: "pmix" in "MPI plugin types are...\n\tpmix\n". Letters, digits and _ make
 * words. */
bool mu_doctor_has_word(const char *text, const char *word);

/* What ranks said (rank_check.h); zeros where they did not get that far. */
struct mu_doctor_ranks {
    int ranks, hosts, least_cores, most_cores;
    bool fault_tolerant;
    char isa[24], mpi[96];
    char files[128]; /* how the names of MPI's files in /dev/shm begin; "": not told */
    int survivors;   /* 0: the death was not survived */
    double survived_ms;
};
/* Among anything else in `text`. */
struct mu_doctor_ranks mu_doctor_read_ranks(const char *text);

/* Cores that the control group lets this process use, by cpu.max (or cfs_quota_us): 1.5; 0: as many
 * as there are. root: "", or a folder with proc and sys, for tests. */
double mu_doctor_group_cores(const char *root);

/* Of statfs's f_type: "ext4", "NFS", "Lustre", ...; "unknown (0x...)". */
struct mu_doctor_text {
    char text[64];
};
struct mu_doctor_text mu_doctor_file_system(uint64_t type);
/* Shared by machines, with locks and delays of its own. */
bool mu_doctor_is_network(uint64_t type);

/* A program as a shell would find it on PATH, into out[MU_PATH_MAX]; false: none. */
bool mu_doctor_find_program(const char *name, char *out);

#endif
