/* What the devices choose among algorithms that differ in their bits is one thing for a whole run:
 * chosen once, by the master's device, the same on every rank, and kept in the run's folder, so
 * that whoever goes on with the run goes on with the same.
 *
 *   choices      what mu_device_write_choices told
 *
 * It is written before anybody has used a choice of it. Choices of a device of another kind, or of
 * other libraries, are of no use: they are made anew, and the run says so. A shape that comes up in
 * no probe is chosen without tuning, by each rank for itself: alike, as the devices are. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

enum { WHY_MAX = 256 };

struct mu_hash mu_job_choices_hash(const struct mu_job *job)
{
    return job->choices.size > 0 ? mu_hash_bytes(job->choices.bytes, job->choices.size, 0)
                                 : (struct mu_hash){0};
}

void mu_job_choices_deinit(struct mu_job *job)
{
    free(job->choices.bytes);
    job->choices = (struct mu_job_choices){NULL, 0};
}

static enum mu_status keep_copy(struct mu_job *job, const void *bytes, size_t size)
{
    void *copy = malloc(size);

    if (!copy)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu bytes of choices", size);
    memcpy(copy, bytes, size);
    mu_job_choices_deinit(job);
    job->choices = (struct mu_job_choices){copy, size};
    return MU_OK;
}

/* ---- the file ---- */
static enum mu_status file_name(const struct mu_job *job, char out[MU_PATH_MAX])
{
    return mu_path_format(out, "%s/choices", job->run_path);
}

static enum mu_status store(const struct mu_job *job)
{
    char path[MU_PATH_MAX];
    enum mu_status st = file_name(job, path);

    return st == MU_OK ? mu_file_write_durably(path, job->choices.bytes, job->choices.size) : st;
}

/* Damaged, or of another device, it is not used. */
static enum mu_status use_file(struct mu_job *job, const char *path, const void *bytes, size_t size)
{
    char why[WHY_MAX];
    enum mu_status st = mu_device_read_choices(job->device, bytes, size, why, sizeof why);

    if (st == MU_CORRUPT || st == MU_CONFIG) {
        mu_log(MU_LOG_WARN,
               "%s cannot be used: %s. They are chosen anew, and bits may differ from here on from "
               "those of an undisturbed run",
               path, why);
        return MU_OK;
    }
    return st == MU_OK ? keep_copy(job, bytes, size) : st;
}

static enum mu_status read_file(struct mu_job *job)
{
    char path[MU_PATH_MAX], *text = NULL;
    size_t size;
    enum mu_status st;

    MU_TRY(file_name(job, path), st, failed);
    st = mu_file_read(path, mu_message_cap(MU_MESSAGE_CHOICES), &text, &size);
    if (st == MU_OK)
        st = use_file(job, path, text, size);
    else if (st == MU_NOT_FOUND)
        st = MU_OK;
    free(text);
failed:
    return st;
}

/* ---- all ranks ---- */
/* A sum that is not exact does without devices of one kind: what this one cannot take, it chooses
 * itself. */
static enum mu_status take(struct mu_job *job, const void *bytes, size_t size)
{
    char why[WHY_MAX];
    enum mu_status st = mu_device_read_choices(job->device, bytes, size, why, sizeof why);

    if (st == MU_CONFIG && job->settings.batch_reduce == MU_REDUCE_EXACT)
        return MU_FAIL(MU_CONFIG,
                       "%s: a run needs GPUs of one kind on all ranks, and one version of their "
                       "libraries. Those are rank 0's",
                       why);
    if (st == MU_CONFIG)
        mu_log(MU_LOG_WARN, "%s: this rank chooses for itself, since batch.reduce is \"fast\"",
               why);
    else if (st == MU_CORRUPT)
        return MU_FAIL(MU_INTERNAL, "the master's choices cannot be read: %s", why);
    else if (st != MU_OK)
        return st;
    return keep_copy(job, bytes, size);
}

/* The master's choices, and its status, reach all. */
static enum mu_status exchange(struct mu_job *job, enum mu_status st)
{
    const size_t capacity = mu_message_cap(MU_MESSAGE_CHOICES);
    uint8_t *buffer = malloc(capacity);
    struct mu_wire_writer w = mu_wire_write(buffer, capacity);
    struct mu_wire_reader r;
    size_t size = 4;

    if (!buffer)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu bytes of choices", capacity);
    mu_job_leave_broken(job, st);
    if (job->is_master && st == MU_OK && job->choices.size > capacity - size)
        st = MU_FAIL(MU_INTERNAL, "choices of %zu bytes", job->choices.size);
    mu_wire_put_u32(&w, (uint32_t)st);
    if (job->is_master && st == MU_OK && job->choices.size > 0)
        mu_wire_put_bytes(&w, job->choices.bytes, job->choices.size);
    size = w.size;
    MU_TRY(mu_control_announce(&job->control, MU_MESSAGE_CHOICES, buffer, capacity, &size), st,
           done);
    r = mu_wire_read(buffer, size);
    st = mu_control_get_status(&r);
    if (st == MU_OK && !job->is_master && r.size > r.used)
        st = take(job, r.at + r.used, r.size - r.used);
    st = mu_control_agree(&job->control, st);
done:
    free(buffer);
    return st;
}

enum mu_status mu_job_choices_take_up(struct mu_job *job)
{
    mu_job_choices_deinit(job);
    if (!mu_device_has_choices(job->device))
        return MU_OK;
    return exchange(job, job->is_master ? read_file(job) : MU_OK);
}

/* Every shape that training will ask for comes up in a probe. */
static enum mu_status choose(struct mu_job *job, uint32_t half)
{
    struct mu_job_choices now = {NULL, 0};
    struct mu_probe probe;
    bool as_before;
    enum mu_status st;

    mu_device_tune_choices(job->device, job->settings.device_tune == MU_SWITCH_ON);
    st = mu_worker_probe(&job->worker, half, &probe);
    mu_device_tune_choices(job->device, false);
    if (st == MU_OK)
        st = mu_device_write_choices(job->device, &now.bytes, &now.size);
    if (st != MU_OK)
        return st;
    as_before =
        now.size == job->choices.size && memcmp(now.bytes, job->choices.bytes, now.size) == 0;
    mu_job_choices_deinit(job);
    job->choices = now;
    return as_before ? MU_OK : store(job);
}

enum mu_status mu_job_choices_make(struct mu_job *job, uint32_t half)
{
    if (!mu_device_has_choices(job->device))
        return MU_OK;
    return exchange(job, job->is_master ? choose(job, half) : MU_OK);
}
