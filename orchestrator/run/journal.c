/* One file per generation, journal/00000001.mj, little-endian:
 *
 *    0  8  "MUJRNL1\n"
 *   then records, one after the other:
 *    0  8  checksum   xxh3 (low 64 bits of the 128) of the bytes from 8 on, seeded with
 *                     generation << 32 | index of the record in its file
 *    8  4  length     of the text, 1 .. MU_JOURNAL_RECORD_MAX
 *   12  4  type       see MU_JOURNAL_TABLE
 *   16  …  text       one JSON object, no zero byte
 *
 * 1. A file is created by one process and never opened for writing again.
 * 2. What follows the first record that is not whole is not looked at: a crash can only leave a bad
 *    tail, and a record behind a damaged one might contradict it.
 * 3. The seed ties a record to its file and place: bytes of an older file that a file system shows
 *    again, or records that changed places, do not pass. */
#include "orchestrator/run/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/wire.h"

static const char magic[8] = {'M', 'U', 'J', 'R', 'N', 'L', '1', '\n'};

enum {
    CHECKSUM = 8,              /* bytes of a record before those it covers */
    HEAD = 16,                 /* bytes of a record before its text */
    GENERATION_MAX = 99999999, /* eight digits */
    FILE_MAX = 1 << 30,
};

struct mu_journal {
    char path[MU_PATH_MAX];
    int fd;
    uint32_t generation, records;
    size_t size; /* of whole records */
    bool broken; /* a sync failed: nothing may be promised any more */
};

static uint64_t checksum(const uint8_t *record, size_t size, uint32_t generation, uint32_t index)
{
    return mu_hash_bytes(record + CHECKSUM, size - CHECKSUM, (uint64_t)generation << 32 | index)
        .low;
}

static bool is_known(uint32_t type)
{
    switch (type) {
#define KNOWN(name, number, meaning) case number:
        MU_JOURNAL_TABLE(KNOWN)
#undef KNOWN
        return true;
    default:
        return false;
    }
}

/* Whether a whole record, the file's `index`-th, begins here. */
static bool read_record(const uint8_t *at, size_t size, uint32_t generation, uint32_t index,
                        uint32_t *length, uint32_t *type)
{
    struct mu_wire_reader r = mu_wire_read(at, size);
    uint64_t sum = mu_wire_get_u64(&r);

    *length = mu_wire_get_u32(&r);
    *type = mu_wire_get_u32(&r);
    return r.ok && *length > 0 && *length <= MU_JOURNAL_RECORD_MAX && *length <= size - HEAD &&
           sum == checksum(at, HEAD + *length, generation, index);
}

static size_t scan(const uint8_t *at, size_t size, uint32_t generation, mu_journal_take *take,
                   void *context, uint32_t *records)
{
    size_t used = sizeof magic;
    uint32_t length, type;

    *records = 0;
    if (size < sizeof magic || memcmp(at, magic, sizeof magic) != 0)
        return 0;
    for (; read_record(at + used, size - used, generation, *records, &length, &type); ++*records) {
        if (is_known(type))
            take(context, generation, (enum mu_journal_type)type, (const char *)at + used + HEAD,
                 length);
        used += HEAD + length;
    }
    return used;
}

size_t mu_journal_scan(const void *bytes, size_t size, uint32_t generation, mu_journal_take *take,
                       void *context)
{
    uint32_t records;

    return scan(bytes, size, generation, take, context, &records);
}

/* Looks for record `index` in what follows the bad one before it, whose length may be wrong. */
static bool goes_on(const uint8_t *tail, size_t size, uint32_t generation, uint32_t index)
{
    const size_t most = size < MU_JOURNAL_RECORD_MAX ? size : MU_JOURNAL_RECORD_MAX;
    uint32_t length, type;

    for (size_t at = 1; at + HEAD < most; at++)
        if (tail[at + HEAD] == '{' &&
            read_record(tail + at, size - at, generation, index, &length, &type))
            return true;
    return false;
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* "00000012.mj" -> 12; 0 when it is not a journal's name. */
static uint32_t generation_from_name(const char *name)
{
    uint32_t generation = 0;

    for (int i = 0; i < 8; i++) {
        if (!isdigit((unsigned char)name[i]))
            return 0;
        generation = generation * 10 + (uint32_t)(name[i] - '0');
    }
    return strcmp(name + 8, ".mj") == 0 ? generation : 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Sorted; the caller frees. MU_NOT_FOUND (not reported) when there is no folder. */
static enum mu_status list_generations(const char *folder, uint32_t **list, size_t *count)
{
    enum mu_status st = MU_OK;
    size_t capacity = 0;
    struct dirent *entry;
    DIR *d = opendir(folder);

    *list = NULL;
    *count = 0;
    if (!d)
        return errno == ENOENT ? MU_NOT_FOUND
                               : MU_FAIL(MU_FAILED, "cannot open %s: %s", folder, strerror(errno));
    while ((entry = readdir(d))) {
        uint32_t generation = generation_from_name(entry->d_name);

        if (generation == 0)
            continue;
        if (*count == capacity) {
            size_t more = capacity ? 2 * capacity : 64;
            uint32_t *grown = realloc(*list, more * sizeof *grown);

            if (!grown) {
                st = MU_FAIL(MU_NO_MEMORY, "no memory for the names in %s", folder);
                break;
            }
            *list = grown;
            capacity = more;
        }
        (*list)[(*count)++] = generation;
    }
    closedir(d);
    if (*count > 0)
        qsort(*list, *count, sizeof **list, compare);
    return st;
}

static enum mu_status journal_path(char out[MU_PATH_MAX], const char *folder, uint32_t generation)
{
    return mu_path_format(out, "%s/%08" PRIu32 ".mj", folder, generation);
}

enum mu_status mu_journal_check(const char *folder, mu_journal_take *take,
                                mu_journal_take_tail *take_tail, void *context)
{
    uint32_t *list = NULL, records;
    size_t count = 0;
    enum mu_status st = list_generations(folder, &list, &count);

    if (st == MU_NOT_FOUND)
        return MU_OK;
    for (size_t i = 0; st == MU_OK && i < count; i++) {
        char path[MU_PATH_MAX], *bytes = NULL;
        struct mu_journal_tail tail = {.path = path, .newest = i + 1 == count};

        MU_TRY(journal_path(path, folder, list[i]), st, done);
        st = mu_file_read(path, FILE_MAX, &bytes, &tail.size);
        if (st == MU_NOT_FOUND) /* removed since it was listed */
            st = MU_OK;
        if (!bytes)
            continue;
        tail.whole = scan((uint8_t *)bytes, tail.size, list[i], take, context, &records);
        if (tail.whole < tail.size) {
            mu_log(MU_LOG_DEBUG, "%s: dropped a bad tail of %zu bytes", path,
                   tail.size - tail.whole);
            tail.goes_on = goes_on((uint8_t *)bytes + tail.whole, tail.size - tail.whole, list[i],
                                   records + 1);
            if (take_tail)
                take_tail(context, &tail);
        }
        free(bytes);
    }
done:
    free(list);
    return st;
}

enum mu_status mu_journal_replay(const char *folder, mu_journal_take *take, void *context)
{
    return mu_journal_check(folder, take, NULL, context);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The name is the token: whoever makes the file is the master of that generation. */
static enum mu_status create(struct mu_journal *j, const char *folder)
{
    enum mu_status st;

    MU_TRY(journal_path(j->path, folder, j->generation), st, done);
    j->fd = open(j->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (j->fd < 0 && errno == EEXIST)
        return MU_FAIL(MU_FAILED, "another master began generation %" PRIu32 " first: %s exists",
                       j->generation, j->path);
    if (j->fd < 0)
        return MU_FAIL(MU_FAILED, "cannot create %s: %s", j->path, strerror(errno));
    MU_TRY(mu_file_write_all(j->fd, magic, sizeof magic, j->path), st, done);
    if (fdatasync(j->fd) != 0)
        return MU_FAIL(MU_FAILED, "cannot sync %s: %s", j->path, strerror(errno));
    j->size = sizeof magic;
    MU_TRY(mu_file_sync_folder(folder), st, done);
done:
    return st;
}

enum mu_status mu_journal_open(const char *folder, struct mu_journal **out, uint32_t *generation)
{
    enum mu_status st;
    uint32_t *list = NULL;
    size_t count = 0;
    struct mu_journal *j = calloc(1, sizeof *j);

    *out = NULL;
    *generation = 0;
    if (!j)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the journal");
    j->fd = -1;
    st = list_generations(folder, &list, &count);
    if (st == MU_NOT_FOUND)
        st = MU_FAIL(MU_FAILED, "cannot open %s: %s", folder, strerror(ENOENT));
    if (st != MU_OK)
        goto failed;
    j->generation = count > 0 ? list[count - 1] + 1 : 1;
    if (j->generation > GENERATION_MAX) {
        st = MU_FAIL(MU_FAILED, "%s is full: there is a generation %d", folder, GENERATION_MAX);
        goto failed;
    }
    MU_TRY(create(j, folder), st, failed);
    free(list);
    *out = j;
    *generation = j->generation;
    return MU_OK;
failed:
    free(list);
    mu_journal_close(j);
    return st;
}

void mu_journal_close(struct mu_journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j);
}

static bool is_json_object(const char *text)
{
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bool good = json_is_object(value);

    json_decref(value);
    return good;
}

static enum mu_status write_record(struct mu_journal *j, const uint8_t *record, size_t size)
{
    enum mu_status st = mu_file_write_all(j->fd, record, size, j->path);

    if (st != MU_OK) {
        j->broken = ftruncate(j->fd, (off_t)j->size) != 0;
        return st;
    }
    if (fdatasync(j->fd) != 0) {
        j->broken = true;
        return MU_FAIL(MU_FAILED, "cannot sync %s: %s", j->path, strerror(errno));
    }
    j->size += size;
    j->records++;
    return MU_OK;
}

enum mu_status mu_journal_append(struct mu_journal *j, enum mu_journal_type type, const char *json)
{
    size_t length = strlen(json);
    struct mu_wire_writer w;
    enum mu_status st;
    uint8_t *record;

    MU_ASSERT(is_known((uint32_t)type));
    if (length > MU_JOURNAL_RECORD_MAX || !is_json_object(json))
        return MU_FAIL(MU_INTERNAL, "not a JSON object of at most %d bytes for the journal: %.200s",
                       MU_JOURNAL_RECORD_MAX, json);
    if (j->broken)
        return MU_FAIL(MU_FAILED, "%s cannot be written since an earlier failure", j->path);
    record = malloc(HEAD + length);
    if (!record)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a record of %zu bytes", length);
    w = mu_wire_write(record, HEAD + length);
    mu_wire_put_u64(&w, 0);
    mu_wire_put_u32(&w, (uint32_t)length);
    mu_wire_put_u32(&w, (uint32_t)type);
    mu_wire_put_bytes(&w, json, length);
    MU_ASSERT(w.ok);
    w = mu_wire_write(record, CHECKSUM);
    mu_wire_put_u64(&w, checksum(record, HEAD + length, j->generation, j->records));
    st = write_record(j, record, HEAD + length);
    free(record);
    return st;
}
