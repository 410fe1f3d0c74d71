/* This machine: what the kernel tells at once, and never hangs on. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kernels/device.h"
#include "orchestrator/base/amount.h"
#include "orchestrator/base/cores.h"
#include "orchestrator/base/memory_left.h"
#include "orchestrator/doctor/parts.h"

enum { CLOCK_CALLS = 1000, FEW_FILES = 512 };
static const uint64_t GIB = 1 << 30;

static void tell_cores(struct mu_doctor_report *r)
{
    const int usable = mu_cores_usable();
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const double group = mu_doctor_group_cores("");
    char limit[80] = "";

    if (group > 0)
        snprintf(limit, sizeof limit, "; the control group allows the time of %.3g", group);
    if (group > 0 && group < 0.95 * usable)
        mu_doctor_add(r, MU_DOCTOR_WARN, "cores",
                      "start no more ranks, times device.threads, than the control group allows: "
                      "beyond that it stops all of them now and then; or ask for more "
                      "(docker --cpus, Slurm --cpus-per-task)",
                      "%d of %ld may be used%s", usable, online, limit);
    else
        mu_doctor_add(r, usable < online ? MU_DOCTOR_NOTE : MU_DOCTOR_OK, "cores", NULL,
                      "%d of %ld may be used%s%s", usable, online,
                      usable < online ? " (taskset, Slurm or a container narrows them)" : "",
                      limit);
}

static void tell_memory(struct mu_doctor_report *r)
{
    const uint64_t left = mu_memory_left(""), limit = mu_memory_limit("");
    char group[120] = "";

    if (limit > 0)
        snprintf(group, sizeof group, "; the control group's limit is %s",
                 mu_amount_bytes((double)limit).text);
    if (left == UINT64_MAX)
        mu_doctor_add(r, MU_DOCTOR_NOTE, "memory", NULL, "nothing tells how much there is");
    else
        mu_doctor_add(r, left < GIB ? MU_DOCTOR_WARN : MU_DOCTOR_OK, "memory",
                      left < GIB ? "end other programs or ask for more: when it is used up, the "
                                   "kernel kills a rank"
                                 : NULL,
                      "%s may still be taken%s", mu_amount_bytes((double)left).text, group);
}

static void tell_cpu(struct mu_doctor_report *r)
{
    enum mu_isa best = mu_device_best_isa();
    char names[160] = "";

    for (int isa = MU_ISA_GENERIC; isa <= (int)best; isa++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] ? " " : "",
                 mu_isa_name((enum mu_isa)isa));
    mu_doctor_add(r, best < MU_ISA_AVX2 ? MU_DOCTOR_WARN : MU_DOCTOR_OK, "instruction sets",
                  best < MU_ISA_AVX2 ? "training works, slowly: use a CPU that has AVX2 or AVX-512"
                                     : NULL,
                  "%s; products by %s%s", names, mu_device_library_version(),
                  best < MU_ISA_AVX512 ? "; device.precision = \"bf16\" needs avx512" : "");
}

static void tell_clock(struct mu_doctor_report *r)
{
    struct timespec resolution, now;
    const uint64_t began = mu_clock_ns();
    double each_ns;

    for (int i = 0; i < CLOCK_CALLS; i++)
        clock_gettime(CLOCK_MONOTONIC, &now);
    each_ns = (double)(mu_clock_ns() - began) / CLOCK_CALLS;
    if (clock_getres(CLOCK_MONOTONIC, &resolution) != 0 || resolution.tv_sec > 0 ||
        resolution.tv_nsec > 1000000)
        mu_doctor_add(r, MU_DOCTOR_WARN, "clock", "a kernel with high-resolution timers",
                      "CLOCK_MONOTONIC is coarse: deadlines and the times of deaths are, too");
    else
        mu_doctor_add(r, each_ns > 1500 ? MU_DOCTOR_NOTE : MU_DOCTOR_OK, "clock", NULL,
                      "CLOCK_MONOTONIC counts %ld ns; a look takes %.0f ns%s", resolution.tv_nsec,
                      each_ns,
                      each_ns > 1500 ? ": the kernel is asked each time (a virtual machine?)" : "");
}

static void print_limit(rlim_t limit, bool bytes, char *out, size_t size)
{
    if (limit == RLIM_INFINITY)
        snprintf(out, size, "unlimited");
    else if (bytes)
        snprintf(out, size, "%s", mu_amount_bytes((double)limit).text);
    else
        snprintf(out, size, "%llu", (unsigned long long)limit);
}

static void tell_limits(struct mu_doctor_report *r)
{
    struct rlimit files, locked, core, memory;
    char text[4][64];

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || getrlimit(RLIMIT_MEMLOCK, &locked) != 0 ||
        getrlimit(RLIMIT_CORE, &core) != 0 || getrlimit(RLIMIT_AS, &memory) != 0)
        return;
    print_limit(files.rlim_cur, false, text[0], sizeof text[0]);
    print_limit(locked.rlim_cur, true, text[1], sizeof text[1]);
    print_limit(core.rlim_cur, true, text[2], sizeof text[2]);
    print_limit(memory.rlim_cur, true, text[3], sizeof text[3]);
    if (files.rlim_cur != RLIM_INFINITY && files.rlim_cur < FEW_FILES)
        mu_doctor_add(r, MU_DOCTOR_WARN, "limits", "ulimit -n 4096",
                      "open files %s: mpirun needs several for each rank", text[0]);
    else if (memory.rlim_cur != RLIM_INFINITY)
        mu_doctor_add(r, MU_DOCTOR_WARN, "limits", "ulimit -v unlimited",
                      "address space %s: shared memory counts in each rank, and MPI and GPUs take "
                      "much of it without using it",
                      text[3]);
    else
        mu_doctor_add(r, MU_DOCTOR_OK, "limits", NULL,
                      "open files %s, locked memory %s, core files %s%s", text[0], text[1], text[2],
                      core.rlim_cur == 0 ? " (a crash leaves none; ulimit -c unlimited)" : "");
}

/* A file of /proc/sys that holds a number; -1: none. */
static int read_switch(const char *path)
{
    FILE *f = fopen(path, "re");
    int value = -1;

    if (f && fscanf(f, "%d", &value) != 1)
        value = -1;
    if (f)
        fclose(f);
    return value;
}

static void tell_processes(struct mu_doctor_report *r)
{
    const int scope = read_switch("/proc/sys/kernel/yama/ptrace_scope");
    int signal_number = 0;

    if (prctl(PR_GET_PDEATHSIG, &signal_number) != 0)
        mu_doctor_add(r, MU_DOCTOR_MISSING, "processes",
                      "let the sandbox allow prctl(PR_SET_PDEATHSIG)",
                      "a rank cannot ask to end with its mpirun: %s", strerror(errno));
    else if (scope > 1)
        mu_doctor_add(r, MU_DOCTOR_NOTE, "processes",
                      "echo 1 > /proc/sys/kernel/yama/ptrace_scope, as root, to debug ranks",
                      "ranks end with their mpirun; debuggers cannot attach (ptrace_scope is %d)",
                      scope);
    else
        mu_doctor_add(r, MU_DOCTOR_OK, "processes", NULL, "ranks end with their mpirun%s",
                      scope == 1 && geteuid() != 0
                          ? "; a debugger attaches to its own children alone (ptrace_scope is 1)"
                          : "");
}

void mu_doctor_machine_tell(struct mu_doctor_report *r)
{
    tell_memory(r);
    tell_cores(r);
    tell_cpu(r);
    tell_processes(r);
    tell_limits(r);
    tell_clock(r);
}
