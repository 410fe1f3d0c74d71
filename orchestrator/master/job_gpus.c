/* A GPU for each worker, before any is touched: every rank says what it sees (GPUS), the master
 * deals (core/gpus.h) and tells (DEALT).
 *
 * One rank more than there are GPUs is what people start who think of a master of its own. The
 * master's duties need none: the rank that finds no GPU takes itself off the board and leaves, and
 * the others begin again without it, as after a death. A rank that has been given a GPU keeps it in
 * all its session, so that nobody inherits one that has just broken; and ranks of different trials,
 * which are dealt theirs before the first trial, have different ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda_module.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

enum { GPUS_MAX = 4096, DEALT_MAX = 1 << 18, HOST_MAX = 64, PCI_MAX = 16 };

/* What a rank has said. */
struct said {
    char host[HOST_MAX], name[128], problem[512];
    uint32_t count;
    struct mu_gpu_id *gpu; /* count, malloc'ed */
    char (*pci)[PCI_MAX];
};
/* The master's, by place. */
struct table {
    struct mu_job *job;
    uint32_t size;
    struct said *said;
    struct mu_gpu_sight *sight;
    int32_t *taken;
};

/* ---- what a rank sees ---- */
/* Who was given one when all began before sees that one. */
static void keep(const struct mu_job *job, struct mu_device_gpus *gpus, uint32_t number[])
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < gpus->count; i++) {
        if (job->session->gpu.is_dealt &&
            memcmp(&gpus->id[i], &job->session->gpu.id, sizeof job->session->gpu.id) != 0)
            continue;
        gpus->id[kept] = gpus->id[i];
        memcpy(gpus->pci[kept], gpus->pci[i], PCI_MAX);
        number[kept++] = i;
    }
    gpus->count = kept;
}

static void put_gpus(struct mu_wire_writer *w, enum mu_status st, const char *host,
                     const struct mu_device_gpus *gpus)
{
    mu_wire_put_u32(w, (uint32_t)st);
    mu_wire_put_string(w, host);
    mu_wire_put_string(w, gpus->name);
    mu_wire_put_string(w, gpus->problem);
    mu_wire_put_u32(w, gpus->count);
    for (uint32_t i = 0; i < gpus->count; i++) {
        mu_wire_put_bytes(w, &gpus->id[i], sizeof gpus->id[i]);
        mu_wire_put_bytes(w, gpus->pci[i], PCI_MAX);
    }
}

static enum mu_status take_gpus(void *context, int rank, struct mu_wire_reader *r)
{
    struct said *s = &((struct table *)context)->said[rank];
    enum mu_status st = mu_control_get_status(r);

    mu_wire_get_string(r, s->host, sizeof s->host);
    mu_wire_get_string(r, s->name, sizeof s->name);
    mu_wire_get_string(r, s->problem, sizeof s->problem);
    s->count = mu_wire_get_u32(r);
    if (!r->ok || s->count > MU_DEVICE_GPUS_MAX)
        return MU_FAIL(MU_INTERNAL, "rank %d told of GPUs in a way that cannot be read", rank);
    s->gpu = calloc(s->count + 1, sizeof *s->gpu);
    s->pci = calloc(s->count + 1, sizeof *s->pci);
    if (!s->gpu || !s->pci)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the GPUs of rank %d", rank);
    for (uint32_t i = 0; i < s->count; i++) {
        mu_wire_get_bytes(r, &s->gpu[i], sizeof s->gpu[i]);
        mu_wire_get_bytes(r, s->pci[i], PCI_MAX);
        s->pci[i][PCI_MAX - 1] = 0;
    }
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d told of GPUs in a way that cannot be read", rank);
    return st;
}

/* ---- what is wrong with a deal ---- */
static int name_of(const struct table *t, uint32_t place)
{
    return mu_comm_name(t->job->comm, (int)place);
}

static enum mu_status check_sight(const struct table *t)
{
    for (uint32_t i = 0; i < t->size; i++)
        if (t->said[i].problem[0])
            return MU_FAIL(MU_CONFIG, "device.kind = \"cuda\", rank %d on %s: %s", name_of(t, i),
                           t->said[i].host, t->said[i].problem);
    return MU_OK;
}

/* Two that were each shown the same one. */
static enum mu_status check_doubles(const struct table *t, uint32_t place)
{
    uint32_t owner = mu_gpus_owner(t->sight, t->size, t->taken, place);

    if (t->said[place].count != 1 || owner == t->size || t->said[owner].count != 1)
        return MU_OK;
    return MU_FAIL(
        MU_CONFIG,
        "ranks %d and %d on %s were both shown one GPU, the same (%s, PCI %s): start one "
        "rank for each GPU, and let each see one of its own (srun --gpus-per-task=1; a "
        "wrapper: CUDA_VISIBLE_DEVICES by OMPI_COMM_WORLD_LOCAL_RANK), or all see all of "
        "their host's. MUSTER_CUDA_SHARE=1 lets ranks share a GPU, for tests, with "
        "device.collective = \"mpi\"",
        name_of(t, owner), name_of(t, place), t->said[place].host, t->said[place].name,
        t->said[place].pci[0]);
}

/* NCCL knows GPUs by their place on the bus: instances of one GPU it takes for one. */
static enum mu_status check_instances(const struct table *t)
{
    for (uint32_t i = 0; i < t->size; i++)
        for (uint32_t j = 0; t->taken[i] != MU_GPU_NONE && j < i; j++) {
            const char *own = t->said[i].pci[t->taken[i]];

            if (t->taken[j] != MU_GPU_NONE && t->job->host_key[i] == t->job->host_key[j] &&
                strcmp(own, t->said[j].pci[t->taken[j]]) == 0)
                return MU_FAIL(MU_CONFIG,
                               "ranks %d and %d on %s have instances (MIG) of one GPU, PCI %s, "
                               "between which NCCL does not add: set device.collective = \"mpi\", "
                               "or switch MIG off",
                               name_of(t, j), name_of(t, i), t->said[i].host, own);
        }
    return MU_OK;
}

/* One that has none may leave. */
static enum mu_status check_count(const struct table *t)
{
    uint32_t without = 0, first = 0;

    for (uint32_t i = t->size; i-- > 0;)
        if (t->taken[i] == MU_GPU_NONE) {
            without++;
            first = i;
        }
    if (without == 0 || (without == 1 && t->size > 1 && mu_comm_is_fault_tolerant(t->job->comm)))
        return MU_OK;
    return MU_FAIL(MU_CONFIG,
                   "device.kind = \"cuda\" takes a GPU for each worker, and %u of %u ranks have "
                   "none: rank %d on %s sees %u, and other ranks have them. Start %u ranks in "
                   "all, or let them see more (CUDA_VISIBLE_DEVICES, srun --gpus-per-task=1)",
                   without, t->size, name_of(t, first), t->said[first].host, t->said[first].count,
                   t->size - without);
}

static enum mu_status check_deal(const struct table *t)
{
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < t->size; i++)
        if (t->taken[i] == MU_GPU_NONE)
            MU_TRY(check_doubles(t, i), st, failed);
    MU_TRY(check_count(t), st, failed);
    if (!mu_cuda_is_shared() && t->job->host_key &&
        t->job->settings.device_collective == MU_COLLECTIVE_NCCL)
        MU_TRY(check_instances(t), st, failed);
failed:
    return st;
}

/* ---- the master's deal ---- */
static void tell(const struct table *t)
{
    uint32_t least = 0, most = 0, without = t->size;

    for (uint32_t i = 0; i < t->size; i++) {
        least = t->said[i].count < t->said[least].count ? i : least;
        most = t->said[i].count > t->said[most].count ? i : most;
        without = t->taken[i] == MU_GPU_NONE ? i : without;
    }
    if (without < t->size)
        mu_log(MU_LOG_INFO,
               "%u ranks, %u GPUs: rank %d on %s has none of its own and leaves; the master's "
               "duties need no rank of their own, and rank %d, which also computes, has them",
               t->size, t->size - 1, name_of(t, without), t->said[without].host,
               name_of(t, without == 0));
    else if (t->said[least].count != t->said[most].count && !t->job->session->gpu.is_dealt)
        mu_log(MU_LOG_INFO,
               "ranks were shown different numbers of GPUs (rank %d on %s %u, rank %d on %s %u): "
               "each takes one that no other has",
               name_of(t, least), t->said[least].host, t->said[least].count, name_of(t, most),
               t->said[most].host, t->said[most].count);
}

static enum mu_status deal(struct table *t)
{
    enum mu_status st;

    MU_TRY(check_sight(t), st, failed);
    for (uint32_t i = 0; i < t->size; i++)
        t->sight[i] = (struct mu_gpu_sight){t->said[i].gpu, t->said[i].count};
    MU_TRY(mu_gpus_deal(t->sight, t->size, mu_cuda_is_shared(), t->taken), st, failed);
    MU_TRY(check_deal(t), st, failed);
    tell(t);
failed:
    return st;
}

static bool has_several_hosts(const struct table *t)
{
    for (uint32_t i = 1; i < t->size; i++)
        if (strcmp(t->said[i].host, t->said[0].host) != 0)
            return true;
    return false;
}

static void put_deal(struct mu_wire_writer *w, enum mu_status st, const struct table *t)
{
    mu_wire_put_u32(w, (uint32_t)st);
    if (st != MU_OK)
        return;
    mu_wire_put_u32(w, has_several_hosts(t));
    for (uint32_t i = 0; i < t->size; i++)
        mu_wire_put_u32(w, (uint32_t)t->taken[i]);
}

/* ---- on every rank ---- */
static enum mu_status take_deal(struct mu_job *job, struct mu_wire_reader *r,
                                const struct mu_device_gpus *gpus, const uint32_t number[])
{
    enum mu_status st = mu_control_get_status(r);
    bool several;

    if (st != MU_OK)
        return st;
    several = mu_wire_get_u32(r) != 0;
    for (int i = 0; i < mu_comm_size(job->comm); i++) {
        int32_t taken = (int32_t)mu_wire_get_u32(r);

        if (taken == MU_GPU_NONE)
            job->session->gpu.leaver = mu_comm_name(job->comm, i);
        if (i != mu_comm_rank(job->comm) || !r->ok)
            continue;
        if (taken != MU_GPU_NONE && (taken < 0 || (uint32_t)taken >= gpus->count))
            return MU_FAIL(MU_INTERNAL, "GPU %d of %u was dealt", taken, gpus->count);
        job->session->gpu.is_dealt = taken != MU_GPU_NONE;
        job->session->gpu.number = job->session->gpu.is_dealt ? (int)number[taken] : MU_GPU_NONE;
        job->session->gpu.id = gpus->id[job->session->gpu.is_dealt ? taken : 0];
    }
    if (!several)
        job->session->gpu.host[0] = 0;
    return mu_wire_finished(r) ? MU_OK
                               : MU_FAIL(MU_INTERNAL, "the master's deal of GPUs cannot be read");
}

static void close_table(struct table *t)
{
    for (uint32_t i = 0; t->said && i < t->size; i++) {
        free(t->said[i].gpu);
        free(t->said[i].pci);
    }
    free(t->said);
    free(t->sight);
    free(t->taken);
}

static enum mu_status exchange(struct mu_job *job, struct table *t, enum mu_status st,
                               struct mu_device_gpus *gpus, uint8_t *dealt)
{
    uint8_t own[GPUS_MAX];
    uint32_t number[MU_DEVICE_GPUS_MAX];
    struct mu_wire_writer w = mu_wire_write(own, sizeof own);
    struct mu_wire_reader r;
    size_t size;

    keep(job, gpus, number);
    gethostname(job->session->gpu.host, sizeof job->session->gpu.host - 1);
    put_gpus(&w, st, job->session->gpu.host, gpus);
    st = mu_control_gather(&job->control, MU_MESSAGE_GPUS, &w, take_gpus, t);
    if (mu_control_is_broken(st))
        return st;
    if (job->is_master && st == MU_OK)
        st = deal(t);
    w = mu_wire_write(dealt, DEALT_MAX);
    put_deal(&w, st, t);
    size = w.size;
    MU_TRY(mu_control_announce(&job->control, MU_MESSAGE_DEALT, dealt, DEALT_MAX, &size), st,
           failed);
    r = mu_wire_read(dealt, size);
    st = mu_control_agree(&job->control, take_deal(job, &r, gpus, number));
failed:
    return st;
}

/* As who ends orderly: nobody takes it for a death to be mended, neither here nor in a launcher. */
_Noreturn static void leave(struct mu_job *job)
{
    mu_watchdog_end(job->watchdog);
    mu_board_close(job->board);
    mu_comm_die();
}

enum mu_status mu_job_deal_gpus(struct mu_job *job)
{
    struct mu_device_gpus *gpus = calloc(1, sizeof *gpus);
    uint8_t *dealt = malloc(DEALT_MAX);
    struct table t = {.job = job, .size = (uint32_t)mu_comm_size(job->comm)};
    enum mu_status st = MU_OK;

    if (job->settings.device_kind != MU_DEVICE_CUDA)
        goto done;
    t.said = calloc(t.size, sizeof *t.said);
    t.sight = calloc(t.size, sizeof *t.sight);
    t.taken = calloc(t.size, sizeof *t.taken);
    if (!gpus || !dealt || !t.said || !t.sight || !t.taken)
        st = MU_FAIL(MU_NO_MEMORY, "no memory to choose GPUs");
    /* Starting CUDA may take seconds. */
    mu_poller_forgive_gap(job->poller);
    if (st == MU_OK)
        st = mu_device_look(MU_DEVICE_CUDA, gpus);
    MU_TRY(mu_control_agree(&job->control, st), st, done);
    st = exchange(job, &t, st, gpus, dealt);
done:
    close_table(&t);
    free(gpus);
    free(dealt);
    if (st == MU_OK && job->session->gpu.leaver == mu_board_own_rank(job->board) &&
        job->settings.device_kind == MU_DEVICE_CUDA)
        leave(job);
    return st;
}
