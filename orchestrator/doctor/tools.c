/* What training can do without: GPUs (unless the configuration wants them), Slurm, programs that
 * draw and show. Drivers and Slurm's commands hang when their servers do: all of it apart. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernels/cuda_module.h"
#include "orchestrator/doctor/parts.h"

enum { ANSWER_MS = 3000, DRIVER_MS = 4000 };

/* ---- asked ---- */
static void describe_module(void *context, int out)
{
    char text[MU_APART_TEXT];

    (void)context;
    mu_cuda_describe(text, sizeof text);
    if (write(out, text, strlen(text)) < 0)
        _exit(1);
}

/* "2.27.3", by the library's own word: ncclGetVersion(int *). */
static void find_nccl(void *context, int out)
{
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    int (*version)(int *) = NULL;
    int number = 0;

    (void)context;
    if (library)
        *(void **)&version = dlsym(library, "ncclGetVersion");
    if (!version || version(&number) != 0)
        _exit(1);
    if (number >= 10000)
        dprintf(out, "%d.%d.%d", number / 10000, number / 100 % 100, number % 100);
    else
        dprintf(out, "%d.%d.%d", number / 1000, number / 100 % 10, number % 100);
}

void mu_doctor_tools_ask(struct mu_doctor_tools *t, const struct mu_doctor_request *request)
{
    const char *job = getenv("SLURM_JOB_ID");

    t->needs_gpu = request->needs_gpu;
    mu_apart_start(&t->nvidia,
                   (const char *const[]){"nvidia-smi",
                                         "--query-gpu=index,name,memory.total,driver_version,"
                                         "mig.mode.current",
                                         "--format=csv,noheader", NULL},
                   DRIVER_MS);
    mu_apart_call(&t->module, describe_module, NULL, DRIVER_MS);
    mu_apart_call(&t->nccl, find_nccl, NULL, DRIVER_MS);
    mu_apart_start(&t->srun, (const char *const[]){"srun", "--version", NULL}, ANSWER_MS);
    mu_apart_start(&t->srun_mpi, (const char *const[]){"srun", "--mpi=list", NULL}, ANSWER_MS);
    mu_apart_start(&t->sbatch, (const char *const[]){"sbatch", "--version", NULL}, ANSWER_MS);
    mu_apart_start(&t->scontrol, (const char *const[]){"scontrol", "ping", NULL}, ANSWER_MS);
    if (job)
        mu_apart_start(&t->left, (const char *const[]){"squeue", "-h", "-j", job, "-o", "%L", NULL},
                       ANSWER_MS);
    mu_apart_start(&t->gnuplot, (const char *const[]){"gnuplot", "--version", NULL}, ANSWER_MS);
}

static bool is_there(const struct mu_apart *a)
{
    return a->error == 0;
}

/* Its length, but no more than what a row has room for. */
static int first_line(const char *text)
{
    const size_t n = strcspn(text, "\r\n");

    return n < 300 ? (int)n : 300;
}

/* ---- GPUs ---- */
/* "0, NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15, Disabled" */
static bool is_gpu(const char *text)
{
    int fields = 1;

    for (int i = 0; i < first_line(text); i++)
        fields += text[i] == ',';
    return text[strspn(text, "0123456789")] == ',' && fields == 5;
}

static int count_lines(const char *text)
{
    int n = 0;

    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        n += first_line(p) > 0;
    return n;
}

static void tell_driver(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    const enum mu_doctor_mark lacks = t->needs_gpu ? MU_DOCTOR_MISSING : MU_DOCTOR_NOTE;
    const bool device = access("/dev/nvidiactl", F_OK) == 0;
    const char *text = t->nvidia.text;
    char why[300];

    mu_apart_explain(&t->nvidia, why, sizeof why);
    if (mu_apart_succeeded(&t->nvidia) && is_gpu(text))
        mu_doctor_add(r, MU_DOCTOR_OK, "GPUs", NULL,
                      "%d (index, name, memory, driver, MIG): %.*s%s", count_lines(text),
                      first_line(text), text, count_lines(text) > 1 ? ", ..." : "");
    else if (is_there(&t->nvidia))
        mu_doctor_add(r, t->needs_gpu ? MU_DOCTOR_MISSING : MU_DOCTOR_WARN, "GPUs",
                      "see what `nvidia-smi` says in a terminal; a driver that hangs or fails "
                      "needs its module loaded again, or a restart",
                      "nvidia-smi: %s", mu_apart_succeeded(&t->nvidia) ? "it lists no GPU" : why);
    else if (device)
        mu_doctor_add(
            r, MU_DOCTOR_NOTE, "GPUs", NULL,
            "/dev/nvidiactl is there, nvidia-smi is not: the next row tells what CUDA sees");
    else
        mu_doctor_add(r, lacks, "GPUs",
                      t->needs_gpu ? "set device.kind=cpu, or go to a machine that has one (Slurm: "
                                     "--gpus; docker: --gpus all)"
                                   : NULL,
                      "no NVIDIA driver; device.kind = \"cpu\" needs none");
}

static void tell_module(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    const enum mu_doctor_mark lacks = t->needs_gpu ? MU_DOCTOR_MISSING : MU_DOCTOR_NOTE;
    const char *text = t->module.text;
    char why[300];

    mu_apart_explain(&t->module, why, sizeof why);
    if (!mu_apart_succeeded(&t->module))
        mu_doctor_add(r, t->needs_gpu ? MU_DOCTOR_MISSING : MU_DOCTOR_WARN, "CUDA",
                      "device.kind=cpu works; a driver that hangs needs a restart",
                      "the module for GPUs could not be asked: %s", why);
    else if (strstr(text, "GPUs: ") && !strstr(text, "GPUs: 0"))
        mu_doctor_add(r, MU_DOCTOR_OK, "CUDA", NULL, "%.500s", text);
    else
        mu_doctor_add(r, lacks, "CUDA", NULL, "%.500s", text);
    if (mu_apart_succeeded(&t->nccl))
        mu_doctor_add(r, MU_DOCTOR_OK, "NCCL", NULL, "%s", t->nccl.text);
    else if (t->needs_gpu || is_there(&t->nvidia))
        mu_doctor_add(r, t->needs_gpu ? MU_DOCTOR_WARN : MU_DOCTOR_NOTE, "NCCL",
                      "install libnccl2, or set device.collective=mpi, which needs none",
                      "libnccl.so.2 is not found, or does not tell its version");
}

/* ---- Slurm ---- */
static void tell_allocation(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    const char *job = getenv("SLURM_JOB_ID"), *nodes = getenv("SLURM_JOB_NUM_NODES");
    const char *tasks = getenv("SLURM_NTASKS"), *end = getenv("SLURM_JOB_END_TIME");
    long minutes = end ? (strtol(end, NULL, 10) - (long)time(NULL)) / 60 : 0;
    char left[320];

    if (!job)
        return;
    snprintf(left, sizeof left, "time left unknown");
    if (mu_apart_succeeded(&t->left) && first_line(t->left.text) > 0)
        snprintf(left, sizeof left, "%.*s left", first_line(t->left.text), t->left.text);
    else if (end)
        snprintf(left, sizeof left, "%ld minutes left", minutes);
    mu_doctor_add(r, MU_DOCTOR_OK, "allocation",
                  "run.time_limit (seconds) ends a run with a checkpoint before that",
                  "job %.40s, %.20s node%s, %.20s tasks, %s", job, nodes ? nodes : "?",
                  nodes && strcmp(nodes, "1") == 0 ? "" : "s", tasks ? tasks : "?", left);
}

/* What Slurm's own commands say beyond their version; of use only where that is told. */
static void tell_srun(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    char why[300];

    mu_apart_explain(&t->scontrol, why, sizeof why);
    if (is_there(&t->scontrol) &&
        (!mu_apart_succeeded(&t->scontrol) || !mu_doctor_has_word(t->scontrol.text, "UP")))
        mu_doctor_add(r, MU_DOCTOR_WARN, "Slurm's controller",
                      "ask who runs the cluster; what has an allocation already goes on",
                      "scontrol ping: %s", mu_apart_succeeded(&t->scontrol) ? "it is not up" : why);
    mu_apart_explain(&t->srun_mpi, why, sizeof why);
    if (mu_apart_succeeded(&t->srun_mpi) && mu_doctor_has_word(t->srun_mpi.text, "pmix"))
        mu_doctor_add(r, MU_DOCTOR_OK, "srun --mpi", NULL,
                      "has pmix: srun --mpi=pmix starts ranks");
    else
        mu_doctor_add(
            r, MU_DOCTOR_WARN, "srun --mpi",
            "inside an allocation start ranks with mpirun or muster launch", "%s",
            mu_apart_succeeded(&t->srun_mpi)
                ? "pmix is not among what `srun --mpi=list` tells: srun cannot start ranks"
                : why);
}

static void tell_slurm(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    char version[40] = "", why[300];

    mu_apart_explain(&t->srun, why, sizeof why);
    if (!is_there(&t->srun) && !is_there(&t->sbatch) && !is_there(&t->scontrol)) {
        mu_doctor_add(r, MU_DOCTOR_NOTE, "Slurm", NULL, "not here; mpirun and launch need none");
    } else if (!mu_apart_succeeded(&t->srun) || !mu_doctor_has_word(t->srun.text, "slurm") ||
               !mu_doctor_version(t->srun.text, version, sizeof version)) {
        mu_doctor_add(
            r, MU_DOCTOR_WARN, "Slurm",
            "is Slurm configured here, and its commands' module loaded? mpirun and launch "
            "need none of it",
            "srun --version: %s", mu_apart_succeeded(&t->srun) ? "no version of Slurm" : why);
    } else {
        if (is_there(&t->sbatch) && is_there(&t->scontrol))
            mu_doctor_add(r, MU_DOCTOR_OK, "Slurm", NULL, "%s: srun, sbatch, scontrol", version);
        else
            mu_doctor_add(r, MU_DOCTOR_WARN, "Slurm",
                          "load Slurm's module: its commands are not all on PATH", "%s, without %s",
                          version, is_there(&t->sbatch) ? "scontrol" : "sbatch");
        tell_srun(t, r);
    }
    tell_allocation(t, r);
}

/* ---- programs ---- */
static void tell_programs(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    char path[MU_PATH_MAX];

    if (mu_apart_succeeded(&t->gnuplot) && mu_doctor_has_word(t->gnuplot.text, "gnuplot"))
        mu_doctor_add(r, MU_DOCTOR_OK, "gnuplot", NULL, "%.*s", first_line(t->gnuplot.text),
                      t->gnuplot.text);
    else
        mu_doctor_add(r, MU_DOCTOR_NOTE, "gnuplot", "apt-get install gnuplot-nox",
                      "%s: runs have no loss.svg, reports no pictures",
                      is_there(&t->gnuplot) ? "fails" : "not on PATH");
    if (mu_doctor_find_program("tensorboard", path))
        mu_doctor_add(r, MU_DOCTOR_OK, "TensorBoard", NULL, "%s --logdir RUNS", path);
    else
        mu_doctor_add(r, MU_DOCTOR_NOTE, "TensorBoard", "pip install tensorboard, to see runs/*/tb",
                      "not on PATH; nothing needs it");
}

void mu_doctor_tools_tell(const struct mu_doctor_tools *t, struct mu_doctor_report *r)
{
    tell_driver(t, r);
    tell_module(t, r);
    tell_slurm(t, r);
    tell_programs(t, r);
}
