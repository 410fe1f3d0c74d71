/* Records of measurements, appended.
 *
 * 1. A record is one write(2) per file, so that a reader who follows the file sees whole lines, and
 *    a killed process leaves whole lines.
 * 2. metrics.jsonl is the truth; metrics.csv is made from it again at every opening. So a crash
 *    between the two writes, a torn last line or an older version's columns need no case of their
 *    own, and both always hold the same records.
 * 3. A key without a value is null in JSON when it belongs to every record, and left out otherwise;
 *    in CSV it is an empty cell.
 * 4. What training computed (losses, norms, rates) is written with as many digits as it takes to
 *    read the same double back; what a clock measured, with six. */
#include "orchestrator/run/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/log.h"

enum { JSONL, CSV };
static const char *const names[] = {"metrics.jsonl", "metrics.csv"};

enum column_kind { STEP, COUNT64, COUNT32, EXACT, MEASURED, FLAG, HASH };

static const struct column {
    const char *key;
    enum column_kind kind;
    bool always; /* in every record of JSON, as null when there is no value */
    size_t offset;
} columns[] = {
#define COLUMN(key, kind, always, field)                      \
    {                                                         \
        key, kind, always, offsetof(struct mu_metrics, field) \
    }
    COLUMN("step", STEP, true, step),
    COLUMN("loss", EXACT, true, loss),
    COLUMN("grad_norm", EXACT, true, gradient_norm),
    COLUMN("lr", EXACT, true, lr),
    COLUMN("step_ms", MEASURED, true, step_ms),
    COLUMN("tokens_per_s", MEASURED, true, tokens_per_s),
    COLUMN("peak_share", MEASURED, true, peak_share),
    COLUMN("tokens", COUNT64, true, tokens),
    COLUMN("valid_loss", EXACT, false, valid_loss),
    COLUMN("valid_bits_per_byte", EXACT, false, valid_bits_per_byte),
    COLUMN("state_hash", HASH, false, hash),
    COLUMN("escapes", COUNT32, false, escapes),
    COLUMN("redone", COUNT32, false, redone),
    COLUMN("skipped", FLAG, false, skipped),
#undef COLUMN
};
enum { COLUMN_COUNT = sizeof columns / sizeof *columns };

/* ---- one record as text, and back ------------------------------------------------------------ */

int mu_metrics_digits(double value)
{
    char text[40];

    for (int digits = 6; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return digits;
    }
    return 17;
}

struct cell {
    char text[40]; /* empty: no value */
};

static struct cell real_cell(double value, int digits)
{
    struct cell c = {""};

    if (isfinite(value))
        snprintf(c.text, sizeof c.text, "%.*g", digits, value);
    return c;
}

static struct cell print_cell(const struct column *column, const struct mu_metrics *m)
{
    const void *field = (const char *)m + column->offset;
    struct cell c = {""};
    uint64_t count;

    switch (column->kind) {
    case STEP:
        snprintf(c.text, sizeof c.text, "%" PRId64, *(const int64_t *)field);
        break;
    case COUNT64:
    case COUNT32:
        count = column->kind == COUNT64 ? *(const uint64_t *)field : *(const uint32_t *)field;
        if (count > 0 || column->always)
            snprintf(c.text, sizeof c.text, "%" PRIu64, count);
        break;
    case EXACT:
        return real_cell(*(const double *)field, mu_metrics_digits(*(const double *)field));
    case MEASURED:
        return real_cell(*(const double *)field, 6);
    case FLAG:
        if (*(const bool *)field)
            snprintf(c.text, sizeof c.text, "true");
        break;
    case HASH:
        if (m->has_hash)
            snprintf(c.text, sizeof c.text, "%s",
                     mu_hash_print(*(const struct mu_hash *)field).text);
        break;
    }
    return c;
}

size_t mu_metrics_print_json(const struct mu_metrics *m, char line[MU_METRICS_LINE_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        struct cell c = print_cell(&columns[i], m);
        const char *quote = columns[i].kind == HASH ? "\"" : "";

        if (!c.text[0] && !columns[i].always)
            continue;
        used += (size_t)snprintf(line + used, MU_METRICS_LINE_MAX - used, "%s\"%s\": %s%s%s",
                                 used ? ", " : "{", columns[i].key, quote,
                                 c.text[0] ? c.text : "null", quote);
    }
    used += (size_t)snprintf(line + used, MU_METRICS_LINE_MAX - used, "}\n");
    MU_ASSERT(used < MU_METRICS_LINE_MAX);
    return used;
}

static size_t print_csv(const struct mu_metrics *m, char line[MU_METRICS_LINE_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < COLUMN_COUNT; i++)
        used +=
            (size_t)snprintf(line + used, MU_METRICS_LINE_MAX - used, "%s%c",
                             print_cell(&columns[i], m).text, i + 1 < COLUMN_COUNT ? ',' : '\n');
    MU_ASSERT(used < MU_METRICS_LINE_MAX);
    return used;
}

static size_t print_csv_header(char line[MU_METRICS_LINE_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < COLUMN_COUNT; i++)
        used += (size_t)snprintf(line + used, MU_METRICS_LINE_MAX - used, "%s%c", columns[i].key,
                                 i + 1 < COLUMN_COUNT ? ',' : '\n');
    MU_ASSERT(used < MU_METRICS_LINE_MAX);
    return used;
}

static bool read_cell(const struct column *column, const json_t *value, struct mu_metrics *m)
{
    void *field = (char *)m + column->offset;
    json_int_t whole = json_integer_value(value); /* 0 when it is no integer */

    switch (column->kind) {
    case STEP:
        *(int64_t *)field = whole;
        return json_is_integer(value) && whole >= 0;
    case COUNT64:
        *(uint64_t *)field = (uint64_t)whole;
        return !value || (json_is_integer(value) && whole >= 0);
    case COUNT32:
        *(uint32_t *)field = (uint32_t)whole;
        return !value || (json_is_integer(value) && whole >= 0 && whole <= UINT32_MAX);
    case EXACT:
    case MEASURED:
        *(double *)field = json_is_number(value) ? json_number_value(value) : NAN;
        return !value || json_is_null(value) || json_is_number(value);
    case FLAG:
        *(bool *)field = json_is_true(value);
        return !value || json_is_boolean(value);
    case HASH:
        m->has_hash = value != NULL;
        return !value || (json_is_string(value) &&
                          mu_hash_parse(json_string_value(value), (struct mu_hash *)field));
    }
    return false;
}

bool mu_metrics_parse_json(const char *line, size_t size, struct mu_metrics *m)
{
    json_t *record = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_object(record);

    memset(m, 0, sizeof *m);
    for (size_t i = 0; good && i < COLUMN_COUNT; i++)
        good = read_cell(&columns[i], json_object_get(record, columns[i].key), m);
    json_decref(record);
    return good;
}

/* ---- reading a file, record by record -------------------------------------------------------- */

typedef void take_record(void *context, const struct mu_metrics *m, const char *line, size_t size);

/* A missing file has no records. */
static enum mu_status scan_records(const char *path, take_record *take, void *context,
                                   struct mu_metrics_damage *damage)
{
    enum mu_status st;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    uint64_t number = 0;
    FILE *in;

    *damage = (struct mu_metrics_damage){0};
    st = mu_file_open_stream(path, &in);
    if (st != MU_OK)
        return st == MU_NOT_FOUND ? MU_OK : st;
    while ((size = getline(&line, &capacity, in)) > 0) {
        const bool torn = line[size - 1] != '\n';
        struct mu_metrics m;

        number++;
        if (!torn && mu_metrics_parse_json(line, (size_t)size, &m))
            take(context, &m, line, (size_t)size);
        else if (damage->lines++ == 0)
            damage->first = number;
        damage->torn = torn;
    }
    if (ferror(in))
        st = MU_FAIL(MU_FAILED, "cannot read %s: %s", path, strerror(errno));
    free(line);
    fclose(in);
    return st;
}

struct reading {
    mu_metrics_take *take;
    void *context;
};

static void pass_on(void *context, const struct mu_metrics *m, const char *line, size_t size)
{
    const struct reading *r = context;

    (void)line;
    (void)size;
    r->take(r->context, m);
}

enum mu_status mu_metrics_read(const char *folder, mu_metrics_take *take, void *context,
                               struct mu_metrics_damage *damage)
{
    struct reading r = {take, context};
    char path[MU_PATH_MAX];
    enum mu_status st = mu_path_format(path, "%s/%s", folder, names[JSONL]);

    return st == MU_OK ? scan_records(path, pass_on, &r, damage) : st;
}

static void take_losses(void *context, const struct mu_metrics *m)
{
    struct mu_run_losses *losses = context;

    losses->last_step = m->step;
    if (!isnan(m->loss)) {
        if (isnan(losses->first_train))
            losses->first_train = m->loss;
        losses->last_train = m->loss;
    }
    if (!isnan(m->valid_loss)) {
        if (isnan(losses->first_valid))
            losses->first_valid = m->valid_loss;
        losses->last_valid = m->valid_loss;
        losses->last_bits_per_byte = m->valid_bits_per_byte;
    }
}

struct mu_run_losses mu_metrics_losses(const char *folder)
{
    struct mu_run_losses losses = {NAN, NAN, NAN, NAN, NAN, 0};
    struct mu_metrics_damage damage;

    if (mu_metrics_read(folder, take_losses, &losses, &damage) != MU_OK)
        return (struct mu_run_losses){NAN, NAN, NAN, NAN, NAN, 0}; /* the reason has been told */
    return losses;
}

/* ---- opening: keep what lies at or before the step gone on from ---- */

struct keep {
    int64_t resume_step;
    FILE *out[2];
    uint64_t kept, dropped;
    int64_t first_dropped, last_dropped;
};

static void keep_record(void *context, const struct mu_metrics *m, const char *line, size_t size)
{
    struct keep *keep = context;
    char csv[MU_METRICS_LINE_MAX];

    if (m->step > keep->resume_step) {
        if (keep->dropped++ == 0)
            keep->first_dropped = m->step;
        keep->last_dropped = m->step;
        return;
    }
    keep->kept++;
    fwrite(line, 1, size, keep->out[JSONL]); /* as it stands: keys of other versions stay */
    fwrite(csv, 1, print_csv(m, csv), keep->out[CSV]); /* errors: see finish_rewrite */
}

/* Without `durably` a power cut may leave it empty or missing, as it leaves records of the last
 * seconds in any case. */
static enum mu_status finish_rewrite(FILE **file, const char *beside, const char *path,
                                     bool durably)
{
    bool bad = ferror(*file) || fflush(*file) != 0 || (durably && fsync(fileno(*file)) != 0);
    int error = errno;

    if (fclose(*file) != 0 && !bad) {
        bad = true;
        error = errno;
    }
    *file = NULL;
    if (bad)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", beside, strerror(error));
    if (durably)
        return mu_file_rename_durably(beside, path);
    if (rename(beside, path) != 0)
        return MU_FAIL(MU_FAILED, "cannot rename %s to %s: %s", beside, path, strerror(errno));
    return MU_OK;
}

static enum mu_status rewrite(const char *folder, int64_t resume_step)
{
    const char *trial = mu_run_dir_trial(folder);
    enum mu_status st = MU_OK;
    struct keep keep = {.resume_step = resume_step};
    char path[2][MU_PATH_MAX] = {"", ""}, beside[2][MU_PATH_MAX] = {"", ""};
    char header[MU_METRICS_LINE_MAX];
    struct mu_metrics_damage damage;

    for (int i = 0; i < 2; i++) {
        MU_TRY(mu_path_format(path[i], "%s/%s", folder, names[i]), st, done);
        MU_TRY(mu_path_format(beside[i], "%s/%s.tmp", folder, names[i]), st, done);
        keep.out[i] = fopen(beside[i], "we");
        if (!keep.out[i]) {
            st = MU_FAIL(MU_FAILED, "cannot create %s: %s", beside[i], strerror(errno));
            goto done;
        }
    }
    fwrite(header, 1, print_csv_header(header), keep.out[CSV]);
    MU_TRY(scan_records(path[JSONL], keep_record, &keep, &damage), st, done);
    for (int i = 0; i < 2; i++)
        MU_TRY(finish_rewrite(&keep.out[i], beside[i], path[i], keep.kept > 0), st, done);
    if (keep.dropped)
        mu_log(MU_LOG_INFO,
               "%s%s goes on from step %" PRId64 ": dropped the metrics of steps %" PRId64
               " to %" PRId64,
               trial ? "trial " : "the run", trial ? trial : "", resume_step, keep.first_dropped,
               keep.last_dropped);
    if (damage.lines)
        mu_log(MU_LOG_WARN, "%s: dropped %" PRIu64 " damaged %s", path[JSONL], damage.lines,
               damage.lines == 1 ? "line" : "lines");
done:
    for (int i = 0; i < 2; i++) {
        if (keep.out[i])
            fclose(keep.out[i]);
        if (st != MU_OK && beside[i][0])
            unlink(beside[i]);
    }
    return st;
}

static enum mu_status open_to_append(struct mu_metrics_file *file, const char *folder,
                                     const char *name)
{
    char path[MU_PATH_MAX];
    struct stat s;
    enum mu_status st = mu_path_format(path, "%s/%s", folder, name);

    if (st != MU_OK)
        return st;
    file->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &s) != 0)
        return MU_FAIL(MU_FAILED, "cannot open %s: %s", path, strerror(errno));
    file->size = (uint64_t)s.st_size;
    return MU_OK;
}

enum mu_status mu_metrics_open(struct mu_metrics_log *log, const char *folder, int64_t resume_step)
{
    enum mu_status st;

    *log = (struct mu_metrics_log){.jsonl.fd = -1, .csv.fd = -1};
    MU_TRY(rewrite(folder, resume_step), st, failed);
    MU_TRY(open_to_append(&log->jsonl, folder, names[JSONL]), st, failed);
    MU_TRY(open_to_append(&log->csv, folder, names[CSV]), st, failed);
    return MU_OK;
failed:
    mu_metrics_close(log);
    return st;
}

void mu_metrics_close(struct mu_metrics_log *log)
{
    if (log->lost)
        mu_log(MU_LOG_WARN, "%" PRIu64 " records of metrics could not be written", log->lost);
    if (log->jsonl.fd >= 0)
        close(log->jsonl.fd);
    if (log->csv.fd >= 0)
        close(log->csv.fd);
    *log = (struct mu_metrics_log){.jsonl.fd = -1, .csv.fd = -1};
}

/* ---- appending ------------------------------------------------------------------------------- */

static void cut_back(const struct mu_metrics_file *file)
{
    if (ftruncate(file->fd, (off_t)file->size) != 0)
        mu_log(MU_LOG_DEBUG, "cannot cut back metrics: %s", strerror(errno));
}

/* 0, or an errno; `file->size` is left to the caller, who knows whether the other file has it
 * too. */
static int append(const struct mu_metrics_file *file, const char *line, size_t size)
{
    ssize_t n;

    do
        n = write(file->fd, line, size);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size ? 0 : n < 0 ? errno : ENOSPC;
}

void mu_metrics_put(struct mu_metrics_log *log, const struct mu_metrics *m)
{
    char json[MU_METRICS_LINE_MAX], csv[MU_METRICS_LINE_MAX];
    size_t json_size = mu_metrics_print_json(m, json), csv_size = print_csv(m, csv);
    int error = append(&log->jsonl, json, json_size);

    if (error == 0)
        error = append(&log->csv, csv, csv_size);
    if (error == 0) {
        log->jsonl.size += json_size;
        log->csv.size += csv_size;
        return;
    }
    cut_back(&log->jsonl);
    cut_back(&log->csv);
    if (log->lost++ == 0)
        mu_log(MU_LOG_WARN,
               "cannot write metrics of step %" PRId64 ": %s; training goes on without them",
               m->step, strerror(error));
}
