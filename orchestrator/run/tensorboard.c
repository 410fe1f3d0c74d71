/* Events for TensorBoard.
 *
 * 1. Each opening begins a file. Its name has the second, and readers take files by name: so it is
 *    later than that of every file that is there, also after a clock was set back, or when one
 *    second sees two openings.
 * 2. Nothing that was written is changed. A file begins with a start at the step after the one gone
 *    on from, by which TensorBoard drops what earlier files have of it and later ones.
 * 3. A step is one write(2), as in metrics.jsonl, so that a killed process leaves whole records and
 *    no gap. (At worst a torn last one: readers take it for the end of the file.) The first one
 *    brings the head with it.
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

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/tensorboard_pb.h"
#include "orchestrator/run/tfrecord.h"

enum {
    RECORD_MAX = MU_TFRECORD_HEAD + MU_EVENT_MAX + MU_TFRECORD_TAIL,
    RECORDS_MAX = 3, /* of one write: version, start, scalars */
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

enum mu_status mu_tensorboard_open(struct mu_tensorboard *tb, const char *path, int64_t resume_step)
{
    enum mu_status st;
    char folder[MU_PATH_MAX], file[MU_PATH_MAX], host[256] = "";
    int64_t latest, second = (int64_t)mu_clock_date_s();

    *tb = (struct mu_tensorboard){.fd = -1, .resume_step = resume_step};
    MU_TRY(mu_path_format(folder, "%s/tb", path), st, failed);
    MU_TRY(find_latest(folder, &latest), st, failed);
    if (second <= latest)
        second = latest + 1;
    gethostname(host, sizeof host - 1);
    MU_TRY(mu_path_format(file, "%s/" NAME "%010" PRId64 ".%s.%ld", folder, second, host,
                          (long)getpid()),
           st, failed);
    tb->fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (tb->fd < 0)
        return MU_FAIL(MU_FAILED, "cannot create %s: %s", file, strerror(errno));
failed:
    return st;
}

void mu_tensorboard_close(struct mu_tensorboard *tb)
{
    if (tb->fd < 0)
        return;
    if (tb->lost)
        mu_log(MU_LOG_WARN, "%" PRIu64 " records could not be written for TensorBoard", tb->lost);
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

/* Version, start and scalars where they are the first of the file. */
static size_t print_records(const struct mu_tensorboard *tb, const struct mu_metrics *m,
                            uint8_t out[RECORDS_MAX * RECORD_MAX])
{
    struct mu_event_scalar values[MU_EVENT_SCALARS_MAX];
    size_t count = collect(m, values), used = 0;
    double now_s = mu_clock_date_s();

    if (tb->size == 0) {
        used = mu_tfrecord_seal(out, mu_event_pack_version(now_s, out + MU_TFRECORD_HEAD));
        used += mu_tfrecord_seal(out + used, mu_event_pack_start(now_s, tb->resume_step + 1,
                                                                 out + used + MU_TFRECORD_HEAD));
    }
    used += mu_tfrecord_seal(out + used, mu_event_pack_scalars(now_s, m->step, values, count,
                                                               out + used + MU_TFRECORD_HEAD));
    return used;
}

void mu_tensorboard_put(struct mu_tensorboard *tb, const struct mu_metrics *m)
{
    uint8_t records[RECORDS_MAX * RECORD_MAX];
    size_t size = print_records(tb, m, records);
    ssize_t n;
    int error;

    do
        n = pwrite(tb->fd, records, size, (off_t)tb->size);
    while (n < 0 && errno == EINTR);
    error = n < 0 ? errno : ENOSPC;
    if (n == (ssize_t)size) {
        tb->size += size;
        return;
    }
    if (ftruncate(tb->fd, (off_t)tb->size) != 0)
        mu_log(MU_LOG_DEBUG, "cannot cut back events for TensorBoard: %s", strerror(errno));
    if (tb->lost++ == 0)
        mu_log(MU_LOG_WARN,
               "cannot write step %" PRId64 " for TensorBoard: %s; training goes on without it",
               m->step, strerror(error));
}
