/* The run directory as a whole: made, locked, opened, closed. What is in its files is written by
 * metrics.c, tensorboard.c, status_file.c, prometheus.c, loss_svg.c and journal.c.
 *
 *   config.cfg      every value of the configuration, written durably at each opening
 *   metrics.jsonl   metrics.csv   status.json   loss.svg
 *   prometheus.prom the newest of them for Prometheus, at the pace of status.json
 *   tb/             the same records for TensorBoard, one file a generation (tensorboard.h)
 *   choices         what devices have chosen (orchestrator/master/job_choices.c)
 *   journal/        one file a generation (journal.h)
 *   checkpoints/    written by checkpoint/
 *   control/        requests: a file named "stop" asks for a checkpoint and an end; others by name
 *                   (orchestrator/steer/request.h)
 *   ranks.json      which process is which rank (orchestrator/steer/ranks.h)
 *   .lock           flock'ed while a process writes here; holds its pid and host
 *
 * Nothing is changed before the lock is held. The lock goes with its process, however that ends; on
 * a file system without locks the opening goes on and says so. */
#include "orchestrator/run/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/loss_svg.h"
#include "orchestrator/run/metrics.h"
#include "orchestrator/run/prometheus.h"
#include "orchestrator/run/status_file.h"
#include "orchestrator/run/tensorboard.h"

enum {
    LOCK_WAIT_MS = 1000, /* a killed master's lock may outlive the news of its death a little */
    CONFIG_MAX = 1 << 20,
};

struct mu_run_dir {
    char path[MU_PATH_MAX];
    int lock; /* -1: not held */
    struct mu_metrics_log metrics;
    struct mu_tensorboard tensorboard;
    struct mu_status_file status;
    struct mu_prometheus prometheus;
    struct mu_loss_svg plot;
};

static const char *const folders[] = {"journal", "control", "checkpoints", "tb"};

const char *mu_run_dir_trial(const char *path)
{
    static const char trials[] = "/trials/";
    const char *last = strrchr(path, '/');
    const size_t n = sizeof trials - 1;

    return last && last[1] && (size_t)(last + 1 - path) > n && strncmp(last + 1 - n, trials, n) == 0
               ? last + 1
               : NULL;
}

static enum mu_status make_folders(const char *path)
{
    enum mu_status st = MU_OK;

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char folder[MU_PATH_MAX];

        MU_TRY(mu_path_format(folder, "%s/%s", path, folders[i]), st, done);
        MU_TRY(mu_file_make_folders(folder), st, done);
    }
done:
    return st;
}

static enum mu_status report_holder(const struct mu_run_dir *dir)
{
    char holder[400];
    ssize_t n = pread(dir->lock, holder, sizeof holder - 1, 0);

    holder[n > 0 ? n : 0] = 0;
    holder[strcspn(holder, "\n")] = 0;
    return MU_FAIL(MU_FAILED,
                   "another process is training this run: %s holds the lock of %s. Wait until it "
                   "ends, or give this run another name (run.name; a sweep sweep.name)",
                   holder[0] ? holder : "one that has not written its pid yet", dir->path);
}

/* Who had the lock may have put the folder elsewhere, or taken it away, when he let go. */
static bool lies_at(int fd, const char *path)
{
    struct stat own, there;

    return fstat(fd, &own) == 0 && stat(path, &there) == 0 && own.st_dev == there.st_dev &&
           own.st_ino == there.st_ino;
}

static enum mu_status open_lock(struct mu_run_dir *dir, const char *path)
{
    enum mu_status st = MU_OK;

    if (dir->lock >= 0 && lies_at(dir->lock, path))
        return MU_OK;
    if (dir->lock >= 0)
        close(dir->lock);
    MU_TRY(mu_file_make_folders(dir->path), st, failed);
    dir->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (dir->lock < 0)
        st = MU_FAIL(MU_FAILED, "cannot open %s: %s", path, strerror(errno));
failed:
    return st;
}

static enum mu_status take_lock(struct mu_run_dir *dir)
{
    struct mu_deadline deadline = mu_deadline_in_ms(LOCK_WAIT_MS);
    char path[MU_PATH_MAX], host[256] = "", holder[400];
    enum mu_status st = mu_path_format(path, "%s/.lock", dir->path);
    int n;

    if (st != MU_OK)
        return st;
    for (;;) {
        MU_TRY(open_lock(dir, path), st, failed);
        if (flock(dir->lock, LOCK_EX | LOCK_NB) == 0) {
            if (lies_at(dir->lock, path))
                break;
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            mu_log(MU_LOG_WARN,
                   "cannot lock %s: %s; nothing keeps a second process from training this run",
                   path, strerror(errno));
            return MU_OK;
        } else if (mu_deadline_passed(deadline)) {
            return report_holder(dir);
        } else {
            mu_clock_sleep_us(10000);
        }
    }
    gethostname(host, sizeof host - 1);
    n = snprintf(holder, sizeof holder, "pid %ld on %s, since %s\n", (long)getpid(), host,
                 mu_clock_date().text);
    if (ftruncate(dir->lock, 0) != 0 || pwrite(dir->lock, holder, (size_t)n, 0) != n)
        mu_log(MU_LOG_DEBUG, "cannot write the pid into %s: %s", path, strerror(errno));
failed:
    return st;
}

enum mu_status mu_run_dir_lock(const char *path, struct mu_run_dir **out)
{
    enum mu_status st;
    struct mu_run_dir *dir = calloc(1, sizeof *dir);

    *out = NULL;
    if (!dir)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the run directory");
    dir->lock = dir->metrics.jsonl.fd = dir->metrics.csv.fd = dir->tensorboard.fd = -1;
    MU_TRY(mu_loss_svg_init(&dir->plot, path), st, failed);
    MU_TRY(mu_path_format(dir->path, "%s", path), st, failed);
    MU_TRY(mu_file_make_folders(path), st, failed);
    MU_TRY(take_lock(dir), st, failed);
    MU_TRY(make_folders(path), st, failed);
    MU_TRY(mu_status_file_open(&dir->status, dir->path), st, failed);
    MU_TRY(mu_prometheus_open(&dir->prometheus, dir->path), st, failed);
    *out = dir;
    return MU_OK;
failed:
    mu_run_dir_close(dir);
    return st;
}

bool mu_run_dir_is_locked(const char *path)
{
    char file[MU_PATH_MAX];
    bool held = true;
    int fd = mu_path_format(file, "%s/.lock", path) == MU_OK
                 ? open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                 : -1;

    if (fd < 0)
        return errno != ENOENT;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        held = false;
    close(fd); /* and the lock with it */
    return held;
}

enum mu_status mu_run_dir_forget_identity(const struct mu_run_dir *dir)
{
    char path[MU_PATH_MAX];
    enum mu_status st = mu_path_format(path, "%s/.id", dir->path);

    return st == MU_OK ? mu_file_remove(path) : st;
}

enum mu_status mu_run_dir_identity(const struct mu_run_dir *dir, uint64_t *out)
{
    char path[MU_PATH_MAX], text[32], *found = NULL;
    size_t size;
    enum mu_status st = mu_path_format(path, "%s/.id", dir->path);

    if (st != MU_OK)
        return st;
    if (mu_file_read(path, sizeof text, &found, &size) == MU_OK) {
        bool whole = size == 17 && sscanf(found, "%16" SCNx64, out) == 1;

        free(found);
        if (whole)
            return MU_OK;
    }
    if (getrandom(out, sizeof *out, 0) != sizeof *out)
        return MU_FAIL(MU_FAILED, "the system has no random numbers: %s", strerror(errno));
    snprintf(text, sizeof text, "%016" PRIx64 "\n", *out);
    return mu_file_write_durably(path, text, strlen(text));
}

enum mu_status mu_run_dir_begin(struct mu_run_dir *dir, const char *config_text,
                                int64_t resume_step)
{
    enum mu_status st;
    char config[MU_PATH_MAX];

    MU_TRY(mu_path_format(config, "%s/config.cfg", dir->path), st, failed);
    MU_TRY(mu_file_write_durably(config, config_text, strlen(config_text)), st, failed);
    MU_TRY(mu_metrics_open(&dir->metrics, dir->path, resume_step), st, failed);
    MU_TRY(mu_tensorboard_open(&dir->tensorboard, dir->path, resume_step), st, failed);
failed:
    return st;
}

void mu_run_dir_close(struct mu_run_dir *dir)
{
    if (!dir)
        return;
    mu_loss_svg_deinit(&dir->plot);
    if (mu_status_file_close(&dir->status))
        mu_prometheus_write(&dir->prometheus, &dir->status.newest);
    mu_metrics_close(&dir->metrics);
    mu_tensorboard_close(&dir->tensorboard);
    if (dir->lock >= 0)
        close(dir->lock);
    free(dir);
}

struct mu_run_kept mu_run_dir_kept(const struct mu_run_dir *dir)
{
    return dir->status.kept;
}

void mu_run_dir_put_metrics(struct mu_run_dir *dir, const struct mu_metrics *m)
{
    mu_metrics_put(&dir->metrics, m);
    mu_tensorboard_put(&dir->tensorboard, m);
    mu_prometheus_note(&dir->prometheus, m);
    mu_loss_svg_poll(&dir->plot);
}

void mu_run_dir_put_status(struct mu_run_dir *dir, const struct mu_run_status *s)
{
    if (mu_status_file_put(&dir->status, s))
        mu_prometheus_write(&dir->prometheus, &dir->status.newest);
    mu_loss_svg_poll(&dir->plot);
}

void mu_run_dir_plot(struct mu_run_dir *dir, bool wait)
{
    if (wait)
        mu_loss_svg_draw(&dir->plot);
    else
        mu_loss_svg_start(&dir->plot);
}

struct mu_run_losses mu_run_dir_losses(const struct mu_run_dir *dir)
{
    return mu_metrics_losses(dir->path);
}

int64_t mu_run_dir_last_step(const char *path)
{
    return mu_metrics_losses(path).last_step;
}

static bool is_requested(const struct mu_run_dir *dir, const char *what)
{
    char path[MU_PATH_MAX];

    return mu_path_format(path, "%s/control/%s", dir->path, what) == MU_OK && mu_file_exists(path);
}

bool mu_run_dir_stop_requested(const struct mu_run_dir *dir)
{
    return is_requested(dir, MU_REQUEST_STOP_FILE);
}

bool mu_run_dir_relaunch_requested(const struct mu_run_dir *dir)
{
    return is_requested(dir, MU_REQUEST_RELAUNCH);
}

void mu_run_dir_unask(const char *path, const char *name)
{
    char file[MU_PATH_MAX];

    if (mu_path_format(file, "%s/control/%s", path, name) == MU_OK && unlink(file) != 0 &&
        errno != ENOENT)
        mu_log(MU_LOG_WARN, "cannot remove the request %s: %s; remove it, or it is obeyed again",
               file, strerror(errno));
}

void mu_run_dir_clear_request(struct mu_run_dir *dir, const char *name)
{
    mu_run_dir_unask(dir->path, name);
}

void mu_run_dir_clear_requests(struct mu_run_dir *dir)
{
    mu_run_dir_clear_request(dir, MU_REQUEST_STOP_FILE);
    mu_run_dir_clear_request(dir, MU_REQUEST_RELAUNCH);
}

enum mu_status mu_run_dir_read_config(const char *path, char **text)
{
    char config[MU_PATH_MAX];
    size_t size;
    enum mu_status st = mu_path_format(config, "%s/config.cfg", path);

    *text = NULL;
    return st == MU_OK ? mu_file_read(config, CONFIG_MAX, text, &size) : st;
}
