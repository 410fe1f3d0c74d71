/* Events for TensorBoard.
 *
 * 1. Each opening begins a file. Its name has the second, and readers take files by name: so it is
 *    later than that of every file that is there, also after a clock was set back, or when one
 *    second sees two openings.
 * 2. Nothing that was written is changed. A file begins with a start at the step after the one gone
 *    on from, by which TensorBoard drops what earlier files have of it and later ones.
 * 3. Whole records go to the file about once a second. So a killed process leaves whole records, or
 *    at worst a torn last one, which readers take for the end of the file; up to a second of steps
 *    is missing in the pictures then, and not in metrics.jsonl.
 * 4. A value that is not finite is left out, as in metrics.jsonl. */
#include "orchestrator/run/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/tensorboard_pb.h"
#include "orchestrator/run/tfrecord.h"

enum {
    FLUSH_MS = 1000,
    RECORD_MAX = MU_TFRECORD_HEAD + MU_EVENT_MAX + MU_TFRECORD_TAIL,
};
#define NAME "events.out.tfevents."

static const struct {
    const char *tag;
    size_t offset;
} scalars[] = {
    {"loss/train", offsetof(struct mu_metrics, loss)},
    {"loss/valid", offsetof(struct mu_metrics, valid_loss)},
    {"valid/bits_per_byte", offsetof(struct mu_metrics, valid_bits_per_byte)},
    {"optim/lr", offsetof(struct mu_metrics, lr)},
    {"optim/gradient_norm", offsetof(struct mu_metrics, gradient_norm)},
    {"speed/tokens_per_s", offsetof(struct mu_metrics, tokens_per_s)},
    {"speed/step_ms", offsetof(struct mu_metrics, step_ms)},
};
enum { SCALAR_COUNT = sizeof scalars / sizeof *scalars };

/* ---- the buffer ---- */

static uint8_t *data_place(struct mu_tensorboard *tb)
{
    return tb->buffer + tb->used + MU_TFRECORD_HEAD;
}

/* The `size` bytes at data_place() are the next record. */
static void take_record(struct mu_tensorboard *tb, size_t size)
{
    tb->used += mu_tfrecord_seal(tb->buffer + tb->used, size);
}

/* 0, or an errno. */
static int append(struct mu_tensorboard *tb)
{
    size_t done = 0;

    while (done < tb->used) {
        ssize_t n = write(tb->fd, tb->buffer + done, tb->used - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

static void flush(struct mu_tensorboard *tb)
{
    int error = append(tb);

    if (error == 0) {
        tb->size += tb->used;
        tb->head = 0;
    } else {
        if (ftruncate(tb->fd, (off_t)tb->size) != 0)
            mu_log(MU_LOG_DEBUG, "cannot cut back events for TensorBoard: %s", strerror(errno));
        if (tb->lost == 0)
            mu_log(MU_LOG_WARN,
                   "cannot write events for TensorBoard from step %" PRId64
                   " on: %s; training goes on without them",
                   tb->first_waiting, strerror(error));
        tb->lost += tb->waiting;
    }
    tb->used = tb->head;
    tb->waiting = 0;
    tb->flush_at = mu_deadline_in_ms(FLUSH_MS);
}

/* ---- opening and closing ---- */

/* Of all files that are there, the latest second in a name; 0: there are none. */
static enum mu_status find_latest(const char *folder, int64_t *latest)
{
    struct dirent *entry;
    DIR *files = opendir(folder);

    *latest = 0;
    if (!files)
        return MU_FAIL(MU_FAILED, "cannot read the folder %s: %s", folder, strerror(errno));
    while ((entry = readdir(files))) {
        int64_t second;

        if (sscanf(entry->d_name, NAME "%10" SCNd64 ".", &second) == 1 && second > *latest)
            *latest = second;
    }
    closedir(files);
    return MU_OK;
}

static void put_head(struct mu_tensorboard *tb, double now_s, int64_t resume_step)
{
    take_record(tb, mu_event_pack_version(now_s, data_place(tb)));
    take_record(tb, mu_event_pack_start(now_s, resume_step + 1, data_place(tb)));
    tb->head = tb->used;
}

enum mu_status mu_tensorboard_open(struct mu_tensorboard *tb, const char *path, int64_t resume_step)
{
    enum mu_status st;
    char folder[MU_PATH_MAX], file[MU_PATH_MAX], host[256] = "";
    double now_s = mu_clock_date_s();
    int64_t latest, second = (int64_t)now_s;

    tb->fd = -1;
    tb->used = tb->head = 0;
    tb->size = tb->waiting = tb->lost = 0;
    MU_TRY(mu_path_format(folder, "%s/tb", path), st, failed);
    MU_TRY(find_latest(folder, &latest), st, failed);
    if (second <= latest)
        second = latest + 1;
    gethostname(host, sizeof host - 1);
    MU_TRY(mu_path_format(file, "%s/" NAME "%010" PRId64 ".%s.%ld", folder, second, host,
                          (long)getpid()),
           st, failed);
    tb->fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (tb->fd < 0)
        return MU_FAIL(MU_FAILED, "cannot create %s: %s", file, strerror(errno));
    put_head(tb, now_s, resume_step);
    tb->flush_at = mu_deadline_in_ms(FLUSH_MS);
failed:
    return st;
}

void mu_tensorboard_close(struct mu_tensorboard *tb)
{
    if (tb->fd < 0)
        return;
    if (tb->used > 0)
        flush(tb);
    if (tb->lost)
        mu_log(MU_LOG_WARN, "events of %" PRIu64 " steps could not be written for TensorBoard",
               tb->lost);
    close(tb->fd);
    tb->fd = -1;
}

/* ---- records ---- */

static size_t collect(const struct mu_metrics *m, struct mu_event_scalar out[MU_EVENT_SCALARS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < SCALAR_COUNT; i++) {
        double value = *(const double *)((const char *)m + scalars[i].offset);

        if (fabs(value) <= FLT_MAX)
            out[count++] = (struct mu_event_scalar){scalars[i].tag, (float)value};
    }
    out[count++] = (struct mu_event_scalar){"data/tokens", (float)m->tokens};
    return count;
}

void mu_tensorboard_put(struct mu_tensorboard *tb, const struct mu_metrics *m)
{
    struct mu_event_scalar values[MU_EVENT_SCALARS_MAX];
    size_t count = collect(m, values);

    if (tb->fd < 0)
        return;
    if (sizeof tb->buffer - tb->used < RECORD_MAX)
        flush(tb);
    take_record(tb,
                mu_event_pack_scalars(mu_clock_date_s(), m->step, values, count, data_place(tb)));
    if (tb->waiting++ == 0)
        tb->first_waiting = m->step;
    mu_tensorboard_poll(tb);
}

void mu_tensorboard_poll(struct mu_tensorboard *tb)
{
    if (tb->fd >= 0 && tb->used > 0 && mu_deadline_passed(tb->flush_at))
        flush(tb);
}
