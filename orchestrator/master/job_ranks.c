/* ranks.json: which process is which rank. Every rank says so once, when training begins. A master
 * that becomes it on the way was not told: it takes up the file of the one before, and what it
 * lacks there, of its own host, from the board. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"
#include "orchestrator/steer/ranks.h"

struct mu_rank_table {
    uint32_t count;
    struct mu_rank_row *row; /* who has died stays in it */
};

static struct mu_rank_row own_row(const struct mu_job *job)
{
    struct mu_rank_row r = {
        .rank = mu_comm_name(job->comm, mu_comm_rank(job->comm)),
        .pid = (uint32_t)getpid(),
        .start_time = mu_board_process_start((uint32_t)getpid()),
    };

    gethostname(r.host, sizeof r.host - 1);
    return r;
}

static enum mu_status take_row(void *context, int rank, struct mu_wire_reader *r)
{
    struct mu_rank_table *t = context;
    struct mu_rank_row *row = &t->row[rank];

    row->rank = (int)mu_wire_get_u32(r);
    row->pid = mu_wire_get_u32(r);
    row->start_time = mu_wire_get_u64(r);
    mu_wire_get_string(r, row->host, sizeof row->host);
    return mu_wire_finished(r)
               ? MU_OK
               : MU_FAIL(MU_INTERNAL, "rank %d told a process that cannot be read", rank);
}

void mu_job_ranks_deinit(struct mu_job *job)
{
    if (job->ranks)
        free(job->ranks->row);
    free(job->ranks);
    job->ranks = NULL;
}

static enum mu_status make_table(struct mu_job *job)
{
    const uint32_t count = (uint32_t)mu_comm_size(job->comm);

    mu_job_ranks_deinit(job);
    job->ranks = calloc(1, sizeof *job->ranks);
    if (job->ranks)
        job->ranks->row = calloc(count, sizeof *job->ranks->row);
    if (!job->ranks || !job->ranks->row)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a table of %u ranks", count);
    job->ranks->count = count;
    return MU_OK;
}

enum mu_status mu_job_gather_ranks(struct mu_job *job)
{
    struct mu_rank_row own = own_row(job);
    uint8_t bytes[512];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    enum mu_status st = job->is_master ? make_table(job) : MU_OK;

    mu_wire_put_u32(&w, (uint32_t)own.rank);
    mu_wire_put_u32(&w, own.pid);
    mu_wire_put_u64(&w, own.start_time);
    mu_wire_put_string(&w, own.host);
    MU_TRY(mu_control_agree(&job->control, st), st, failed);
    MU_TRY(mu_control_agree(&job->control, mu_control_gather(&job->control, MU_MESSAGE_PROCESS, &w,
                                                             take_row, job->ranks)),
           st, failed);
failed:
    return st;
}

static void take_up_table(struct mu_job *job)
{
    uint64_t start = 0;

    job->ranks = calloc(1, sizeof *job->ranks);
    if (job->ranks &&
        (mu_ranks_read(job->run_path, &start, &job->ranks->row, &job->ranks->count) != MU_OK ||
         start != job->generation))
        job->ranks->count = 0;
}

static void fill(const struct mu_job *job, int place, struct mu_rank_row *out)
{
    const int rank = mu_comm_name(job->comm, place);
    const struct mu_board_entry *e = mu_board_entry(job->board, rank);

    *out = (struct mu_rank_row){.rank = rank};
    for (uint32_t i = (uint32_t)place; job->ranks && i < job->ranks->count; i++) /* in order */
        if (job->ranks->row[i].rank == rank)
            *out = job->ranks->row[i];
    if (out->pid == 0 && e) {
        *out = own_row(job);
        out->rank = rank;
        out->pid = atomic_load(&e->pid);
        out->start_time = atomic_load(&e->start_time);
    }
    out->is_worker = (uint32_t)place - job->worker.crew.first < job->worker.crew.count;
    out->is_master = place == 0;
}

void mu_job_put_ranks(struct mu_job *job)
{
    const uint32_t count = (uint32_t)mu_comm_size(job->comm);
    struct mu_rank_row *row = calloc(count, sizeof *row);

    if (!job->ranks)
        take_up_table(job);
    for (uint32_t i = 0; row && i < count; i++)
        fill(job, (int)i, &row[i]);
    if (!row || mu_ranks_write(job->run_path, job->generation, row, count) != MU_OK)
        mu_log(MU_LOG_WARN, "ranks.json could not be written: muster status --pid may not tell");
    free(row);
}
