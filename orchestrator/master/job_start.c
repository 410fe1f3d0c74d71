/* From MPI_Init to every rank holding device, data and segment.
 *
 *   meet     HELLO from every rank; the master reads the configuration, chooses the instruction
 *            set, makes the roll: WELCOME
 *   prepare  device, workload, segment, the devices' communicator; on every rank alike */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/host_key.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/master/job.h"
#include "worker/data/tokens.h"

enum { START_DEADLINE_MS = 120000, HOST_NAME_MAX_BYTES = 128, CONFIG_TEXT_MAX = 1 << 18 };

/* What a rank says of itself. */
struct hello {
    char host[HOST_NAME_MAX_BYTES];
    uint64_t host_key;
    uint32_t isa;
    struct mu_hash program;
    uint64_t words; /* that it was started with */
    bool is_refused;
};
struct hellos { /* the master's collection */
    struct hello *of;
    int count;
};

/* Parts of an mpirun's command line may have different ones, of which the master's would count. */
static uint64_t words_of(const struct mu_job_request *r)
{
    const char *const plain[] = {r->config_path, r->from, r->weights_only ? "w" : NULL,
                                 r->fresh ? "f" : NULL};
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        sum = mu_hash_bytes(plain[i] ? plain[i] : "", plain[i] ? strlen(plain[i]) : 0, sum + i).low;
    for (int i = 0; i < r->override_count; i++)
        sum = mu_hash_bytes(r->overrides[i], strlen(r->overrides[i]), sum).low;
    return sum;
}

static enum mu_status say_hello(struct mu_job *job, const struct mu_job_request *request,
                                struct mu_wire_writer *w)
{
    char name[HOST_NAME_MAX_BYTES] = "";
    enum mu_status st = mu_session_identify(job->session);

    st = request->refused != MU_OK ? request->refused : st;
    gethostname(name, sizeof name - 1);
    mu_wire_put_u32(w, (uint32_t)st);
    mu_wire_put_string(w, name);
    mu_wire_put_u64(w, mu_host_key(name, mu_comm_name(job->comm, mu_comm_rank(job->comm))));
    mu_wire_put_u32(w, (uint32_t)mu_device_best_isa());
    mu_wire_put_u64(w, job->session->program.high);
    mu_wire_put_u64(w, job->session->program.low);
    mu_wire_put_u64(w, words_of(request));
    return st;
}

static enum mu_status take_hello(void *context, int rank, struct mu_wire_reader *r)
{
    struct hellos *all = context;
    struct hello *h = &all->of[rank];
    enum mu_status st = mu_control_get_status(r);

    mu_wire_get_string(r, h->host, sizeof h->host);
    h->host_key = mu_wire_get_u64(r);
    h->isa = mu_wire_get_u32(r);
    h->program.high = mu_wire_get_u64(r);
    h->program.low = mu_wire_get_u64(r);
    h->words = mu_wire_get_u64(r);
    h->is_refused = st != MU_OK;
    if (!mu_wire_finished(r) || h->isa > MU_ISA_AMX)
        return MU_FAIL(MU_INTERNAL, "rank %d sent a hello that cannot be read", rank);
    if (st == MU_OK && !mu_hash_equal(h->program, all->of[0].program))
        return MU_FAIL(MU_FAILED,
                       "rank %d on %s runs another build of muster than rank 0 on %s: install the "
                       "same one on all hosts",
                       rank, h->host, all->of[0].host);
    if (st == MU_OK && h->words != all->of[0].words &&
        (all->of[0].is_refused || h->words == all->of[rank - 1].words))
        return MU_USAGE; /* told already */
    if (st == MU_OK && h->words != all->of[0].words)
        return MU_FAIL(MU_USAGE,
                       "rank %d on %s was started with other words than rank 0 on %s: all parts of "
                       "a command line (mpirun ... : ...) need the same CONFIG and key=value; what "
                       "differs goes into the environment (-x CUDA_VISIBLE_DEVICES=0)",
                       rank, h->host, all->of[0].host);
    all->count++;
    return st;
}

static enum mu_isa lowest_isa(const struct mu_job *job, const struct hellos *all)
{
    uint32_t isa = all->of[0].isa;

    for (int i = 1; i < all->count; i++)
        isa = all->of[i].isa < isa ? all->of[i].isa : isa;
    return job->settings.device_isa == MU_ISA_AUTO ? (enum mu_isa)isa
                                                   : (enum mu_isa)job->settings.device_isa;
}

/* The master's side of WELCOME. */
static void put_welcome(const struct mu_job *job, const struct hellos *all, enum mu_status st,
                        struct mu_wire_writer *w)
{
    mu_wire_put_u32(w, (uint32_t)st);
    if (st != MU_OK)
        return;
    mu_wire_put_u32(w, (uint32_t)lowest_isa(job, all));
    mu_wire_put_u64(w, (mu_clock_ns() ^ ((uint64_t)getpid() << 40)) | 1);
    mu_wire_put_u64(w, job->run_id);
    for (int i = 0; i < all->count; i++)
        mu_wire_put_u64(w, all->of[i].host_key);
    mu_wire_put_string(w, job->run_path);
    mu_wire_put_string(w, job->config_text);
}

int mu_job_hosts(const struct mu_job *job)
{
    int hosts = 0;

    if (!job->worker.resident.state)
        return (int)job->roll.hosts;
    for (uint32_t i = 0; i < job->roll.size; i++) {
        uint64_t key = job->host_key[job->worker.fleet.home[mu_comm_name(job->comm, (int)i)]];
        bool counted = false;

        for (uint32_t j = 0; j < i && !counted; j++)
            counted = job->host_key[job->worker.fleet.home[mu_comm_name(job->comm, (int)j)]] == key;
        hosts += !counted;
    }
    return hosts;
}

/* Ranks of one host share a state, but for those whose devices keep it: these are homes of their
 * own. */
static enum mu_status name_homes(struct mu_job *job, const uint64_t *host_key)
{
    const uint32_t size = (uint32_t)mu_comm_size(job->comm);
    uint64_t *home = calloc(size, sizeof *home);
    enum mu_status st;

    if (!home)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a roll of %u ranks", size);
    for (uint32_t i = 0; i < size; i++)
        home[i] = job->settings.device_collective == MU_COLLECTIVE_NCCL ? i : host_key[i];
    st = mu_roll_init(&job->roll, job->life.epoch, home, size);
    free(home);
    return st;
}

static uint64_t run_key(const struct mu_job *job)
{
    uint64_t own = mu_hash_bytes(job->run_path, strlen(job->run_path), 0).low;

    return job->trial ? mu_segment_trial_key(mu_trial_sweep_key(job->trial->sweep_path), own) : own;
}

static enum mu_status take_welcome(struct mu_job *job, struct mu_wire_reader *r)
{
    uint32_t size = (uint32_t)mu_comm_size(job->comm);
    uint64_t *keys = calloc(size, sizeof *keys);
    char *text = malloc(CONFIG_TEXT_MAX);
    uint32_t isa;
    enum mu_status st = mu_control_get_status(r);

    if (!keys || !text)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the configuration");
    if (st != MU_OK)
        goto done;
    isa = mu_wire_get_u32(r);
    job->generation = mu_wire_get_u64(r);
    job->run_id = mu_wire_get_u64(r);
    for (uint32_t i = 0; i < size; i++)
        keys[i] = mu_wire_get_u64(r);
    mu_wire_get_string(r, job->run_path, sizeof job->run_path);
    mu_wire_get_string(r, text, CONFIG_TEXT_MAX);
    if (!mu_wire_finished(r) || isa > MU_ISA_AMX) {
        st = MU_FAIL(MU_INTERNAL, "the master's welcome cannot be read");
        goto done;
    }
    job->isa = (enum mu_isa)isa;
    if (!job->is_master) {
        MU_TRY(
            mu_config_parse_text(text, strlen(text), "configuration of the master", &job->settings),
            st, done);
        job->config_text = text;
        text = NULL;
    }
    MU_TRY(name_homes(job, keys), st, done);
    job->run_key = run_key(job);
    job->host_key = keys;
    keys = NULL;
    st = mu_path_format(job->checkpoints, "%s/checkpoints", job->run_path);
done:
    free(keys);
    free(text);
    return st;
}

enum mu_status mu_job_meet(struct mu_job *job, const struct mu_job_request *request)
{
    enum { HELLO_MAX = 1024, WELCOME_MAX = 1 << 20 };
    uint8_t own[HELLO_MAX], *welcome = malloc(WELCOME_MAX);
    struct mu_wire_writer w = mu_wire_write(own, sizeof own);
    struct hellos all = {.of = calloc((size_t)mu_comm_size(job->comm), sizeof *all.of)};
    struct mu_wire_reader r;
    enum mu_status st, said;
    size_t size = 0;

    if (!welcome || !all.of) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to meet %d ranks", mu_comm_size(job->comm));
        goto done;
    }
    mu_fault(MU_FAULT_STARTED, 0);
    said = say_hello(job, request, &w);
    st = mu_control_gather(&job->control, MU_MESSAGE_HELLO, &w, take_hello, &all);
    st = st == MU_OK ? said : st;
    if (mu_control_is_broken(st))
        goto done;
    if (job->is_master) {
        if (st == MU_OK)
            st = mu_job_read_config(job, request);
        if (st == MU_OK)
            st = mu_job_take_run_dir(job, request);
        w = mu_wire_write(welcome, WELCOME_MAX);
        put_welcome(job, &all, st, &w);
        size = w.size;
        MU_ASSERT(w.ok);
    }
    MU_TRY(mu_control_announce(&job->control, MU_MESSAGE_WELCOME, welcome, WELCOME_MAX, &size), st,
           done);
    r = mu_wire_read(welcome, size);
    st = mu_control_agree(&job->control, take_welcome(job, &r));
done:
    free(all.of);
    free(welcome);
    return st;
}

/* mpirun binds ranks to one core when there are few: several threads would share it. */
static void widen_affinity(const struct mu_job *job)
{
    cpu_set_t mask;

    if (job->settings.device_threads == 1 || sched_getaffinity(0, sizeof mask, &mask) != 0 ||
        CPU_COUNT(&mask) >= job->settings.device_threads)
        return;
    for (int i = 0; i < CPU_SETSIZE; i++)
        CPU_SET((size_t)i, &mask);
    if (sched_setaffinity(0, sizeof mask, &mask) == 0 && job->is_master)
        mu_log(
            MU_LOG_INFO,
            "mpirun bound each rank to fewer cores than its %lld threads: the binding was lifted "
            "(mpirun --bind-to none asks for that)",
            (long long)job->settings.device_threads);
}

static enum mu_status open_parts(struct mu_job *job)
{
    struct mu_device_options device = mu_job_device_options(job);
    enum mu_status st;

    device.isa = job->isa;
    device.gpu = job->session->gpu.number;
    device.host = job->session->gpu.host;
    device.poll = mu_poll_hook;
    device.poll_context = job->poller;

    mu_device_set_isa(job->isa);
    MU_TRY(mu_device_open(&device, &job->device), st, failed);
    mu_timed_attach(job->session->timed, job->device);
    MU_TRY(mu_job_check_memory(job, &device), st, failed);
    MU_TRY(mu_workload_open(&job->settings, job->device, &job->workload), st, failed);
failed:
    return st;
}

static enum mu_status poll_job(void *context)
{
    struct mu_job *job = context;

    return mu_poll(job->poller);
}

static enum mu_status open_segment(struct mu_job *job)
{
    const bool resident = job->settings.device_collective == MU_COLLECTIVE_NCCL;
    int place = mu_comm_rank(job->comm);
    uint64_t home[2] = {job->host_key[place], resident ? (uint64_t)place + 1 : 0};
    uint32_t host = job->roll.host_of[place],
             index = mu_roll_local_index(&job->roll, (uint32_t)place);
    struct mu_segment_options options = {
        .layout = &job->workload->layout,
        .run_key = job->run_key,
        .run_id = job->run_id,
        .generation = job->generation,
        .host = (uint32_t)(resident ? mu_hash_bytes(home, sizeof home, 0).low : home[0]),
        .words_only = resident,
        .eval_pieces = job->workload->facts.eval_pieces,
        .ranks = job->roll.host[host].count,
        .slot = index,
        .leader = index == 0,
        .bf16 = job->settings.device_precision == MU_PRECISION_BF16,
        .keep_sweep = job->trial,
        .deadline_ms = START_DEADLINE_MS,
        .poll = poll_job,
        .poll_context = job,
    };

    return mu_segment_open(&job->segment, &options);
}

/* What prevents it mostly prevents it for all, and before training it is nobody's loss to end. */
static enum mu_status form_peers(struct mu_job *job)
{
    enum mu_status st = MU_OK;

    if (!mu_resident_needs_peers(&job->worker))
        return MU_OK;
    MU_TRY(mu_job_agree(job, mu_resident_name_peers(&job->worker)), st, failed);
    st = mu_job_agree(job, mu_resident_form_peers(&job->worker));
failed:
    return st;
}

enum mu_status mu_job_prepare(struct mu_job *job)
{
    uint32_t place = (uint32_t)mu_comm_rank(job->comm);
    bool leader = mu_roll_local_index(&job->roll, place) == 0;
    enum mu_status st;

    widen_affinity(job);
    mu_poller_forgive_gap(job->poller);
    MU_TRY(mu_job_deal_gpus(job), st, failed);
    /* The master first: what is wrong for all of them is then told once. */
    MU_TRY(mu_job_agree(job, job->is_master ? open_parts(job) : MU_OK), st, failed);
    MU_TRY(mu_job_agree(job, job->is_master ? MU_OK : open_parts(job)), st, failed);
    /* Leaders first: one that fails says so before the others wait for its segment in vain. */
    MU_TRY(mu_control_agree(&job->control, leader ? open_segment(job) : MU_OK), st, failed);
    MU_TRY(mu_control_agree(&job->control, leader ? MU_OK : open_segment(job)), st, failed);
    job->worker = (struct mu_worker){
        .settings = &job->settings,
        .comm = job->comm,
        .board = job->board,
        .poller = job->poller,
        .roll = &job->roll,
        .device = job->device,
        .workload = job->workload,
        .segment = &job->segment,
    };
    job->plan = (struct mu_duty_plan){
        .steps = mu_job_steps(job),
        .log_every = job->settings.run_log_every,
        .eval_every = job->settings.eval_every,
        .hash_every = job->settings.run_hash_every,
        .checkpoint_every = job->settings.checkpoint_every,
        .save_at = job->trial ? 0 : mu_settings_branch_point(&job->settings),
        .can_evaluate = job->workload->facts.eval_pieces > 0,
    };
    MU_TRY(mu_job_agree(job, mu_worker_init(&job->worker)), st, failed);
    MU_TRY(form_peers(job), st, failed);
    st = mu_job_open_snapshots(job);
failed:
    return st;
}
