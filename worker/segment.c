/* What lies where is never stored: every rank computes it from the layout (place), and the leader's
 * size is the same walk over nothing. The leader fills in the header last and in it the generation,
 * with release; who attaches takes only a file of the full size and of the generation that the
 * master has told, so that neither a half-made segment nor an old one is mistaken for it. */
#include "worker/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/memory_left.h"
#include "worker/board.h"
#include "worker/shm_file.h"
#include "worker/state_hash.h"

enum { FENCE_DEADLINE_MS = 10000, DETACH_DEADLINE_MS = 5000, TRIAL_DIGITS = 8 /* of a run's 16 */ };

static const char segment_magic[8] = "MUSTERS3";

/* Hands out 64-byte aligned ranges; with base NULL it only counts. */
struct carve {
    uint8_t *base;
    uint64_t used;
};

static void *take(struct carve *c, uint64_t bytes)
{
    void *at = c->base ? c->base + c->used : NULL;

    c->used += (bytes + 63) / 64 * 64;
    return at;
}

/* The one description of what lies where: used to size and to attach. */
static void place(struct mu_segment *s, struct carve *c, const struct mu_segment_options *o,
                  uint32_t ranks)
{
    const struct mu_layout *l = o->layout;
    uint64_t n = o->words_only ? 0 : l->elements, blocks = l->blocks;
    bool has_sums = !o->words_only && !o->state_only;

    s->header = take(c, sizeof *s->header);
    s->chunk = take(c, l->chunk_count * sizeof *s->chunk);
    s->piece = take(c, mu_state_hash_pieces(l) * sizeof *s->piece);
    s->evaluated = take(c, o->eval_pieces * sizeof *s->evaluated);
    for (int h = 0; h < 2; h++) {
        s->half[h].layout = l;
        s->half[h].weight = take(c, n * sizeof(float));
        s->half[h].m = take(c, n * sizeof(float));
        s->half[h].v = take(c, n * sizeof(float));
        s->half[h].prediction = take(c, blocks * sizeof(int16_t));
        s->weight_bf16[h] = o->bf16 ? take(c, n * sizeof(uint16_t)) : NULL;
    }
    s->total = take(c, (has_sums ? n : 0) * sizeof(float));
    s->largest = take(c, blocks);
    s->rank = take(c, ranks * sizeof *s->rank); /* from here on it is as long as there are ranks */
    for (uint32_t r = 0; r < ranks && has_sums; r++) {
        struct mu_sum sum = {
            .dense = take(c, n * sizeof(int32_t)),
            .largest = take(c, blocks),
            .escaped = take(c, (blocks + 63) / 64 * sizeof(uint64_t)),
            .slot_of = take(c, blocks * sizeof(uint32_t)),
            .slots = take(c, mu_exact_sum_capacity(l) * MU_BLOCK * sizeof(int64_t)),
            .counts = take(c, sizeof(struct mu_sum_counts)),
        };

        if (s->sum)
            s->sum[r] = sum;
    }
}

static uint64_t bytes_for(const struct mu_segment_options *o, uint32_t ranks)
{
    struct mu_segment none = {0};
    struct carve count = {0};

    place(&none, &count, o, ranks);
    return (count.used + 4095) / 4096 * 4096;
}

uint64_t mu_segment_bytes(const struct mu_segment_options *options)
{
    return bytes_for(options, options->ranks);
}

static enum mu_status no_room(const struct mu_segment *s, const struct mu_segment_options *o,
                              uint64_t bytes, int error)
{
    if (o->state_only)
        return MU_NO_MEMORY;
    return MU_FAIL(MU_NO_MEMORY,
                   "/dev/shm has no room for the %.2f GiB of this host's state (%s: %s). Free some "
                   "(ls /dev/shm), enlarge it "
                   "(mount -o remount,size=SIZE /dev/shm), or run fewer ranks on a host",
                   (double)bytes / 0x1p30, s->name, strerror(error));
}

/* A rank that goes on with another trial of the sweep may still be on its way out of here. */
static enum mu_status let_detach(const struct mu_segment_options *o,
                                 const struct mu_rank_words *rank)
{
    struct mu_deadline deadline = mu_deadline_in_ms(DETACH_DEADLINE_MS);
    struct mu_backoff pause = {0};
    enum mu_status st = MU_OK;

    while (st == MU_OK && atomic_load(&rank->pid) != 0 && !mu_deadline_passed(deadline) &&
           mu_board_process_may_write(atomic_load(&rank->pid), rank->start_time)) {
        st = o->poll(o->poll_context);
        mu_backoff_pause(&pause);
    }
    return st;
}

/* Nobody of an earlier generation may write any more. */
static enum mu_status fence(const struct mu_segment *s, const struct mu_segment_options *o,
                            const struct mu_rank_words *rank, uint32_t ranks)
{
    for (uint32_t i = 0; i < ranks && o->keep_sweep; i++) {
        enum mu_status st = let_detach(o, &rank[i]);

        if (st != MU_OK)
            return st;
    }
    for (uint32_t i = 0; i < ranks; i++) {
        uint32_t pid = atomic_load(&rank[i].pid);

        if (mu_board_end_process(pid, rank[i].start_time, FENCE_DEADLINE_MS) != MU_OK)
            return MU_FAIL(MU_TIMEOUT,
                           "process %u of an earlier generation holds /dev/shm%s and does not end",
                           pid, s->name);
    }
    return MU_OK;
}

static bool is_ours(const struct mu_segment_options *o, const struct mu_segment_header *h,
                    uint64_t size)
{
    /* Not the exact size: a generation may have died while it made it longer or shorter for its own
     * ranks, whose rows and sums come last. */
    return memcmp(h->magic, segment_magic, sizeof segment_magic) == 0 &&
           h->layout_identity == mu_layout_identity(o->layout) && h->bf16 == o->bf16 &&
           h->state_only == o->state_only && h->run_id == o->run_id &&
           h->eval_pieces == o->eval_pieces && bytes_for(o, 0) <= size &&
           atomic_load(&h->settled) == 1;
}

/* Of a step that was under way nothing is kept but the committed state: its sums were in slots of
 * ranks that are not there any more. */
static void forget_step(struct mu_segment *s, const struct mu_layout *l)
{
    for (uint32_t c = 0; c < l->chunk_count; c++) {
        atomic_store(&s->chunk[c].reduced, 0);
        atomic_store(&s->chunk[c].written, 0);
    }
    for (uint64_t i = 0; i < s->header->eval_pieces; i++)
        atomic_store(&s->evaluated[i].step, 0); /* which tokens it was about may have changed */
}

/* Takes up the segment of an earlier generation, made as long as this one's ranks need; *map stays
 * MAP_FAILED when there is none that fits. */
static enum mu_status take_up(struct mu_segment *s, const struct mu_segment_options *o,
                              uint64_t bytes, void **map)
{
    struct mu_segment old = {0};
    struct carve c = {0};
    struct stat file;
    enum mu_status st;
    uint32_t rows = 0;
    size_t size;
    int error;

    if (mu_shm_file_open(s->name, 0, &s->fd) != 0)
        return MU_OK;
    if (fstat(s->fd, &file) != 0 || (size_t)file.st_size < sizeof(struct mu_segment_header))
        goto none;
    size = (size_t)file.st_size;
    c.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (c.base == MAP_FAILED)
        goto none;
    if (!is_ours(o, (const struct mu_segment_header *)(void *)c.base, size)) {
        munmap(c.base, size);
        goto none;
    }
    place(&old, &c, o, ((const struct mu_segment_header *)(void *)c.base)->ranks);
    atomic_store(&old.header->generation, 0);
    while (rows < old.header->ranks && (uint8_t *)(old.rank + rows + 1) <= c.base + size)
        rows++;
    st = fence(s, o, old.rank, rows);
    forget_step(&old, o->layout);
    munmap(old.header, size);
    if (st != MU_OK)
        return st;
    error = size < bytes ? mu_shm_file_reserve(s->fd, bytes)
                         : (ftruncate(s->fd, (off_t)bytes) == 0 ? 0 : errno);
    if (error != 0)
        return no_room(s, o, bytes, error);
    *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    return *map != MAP_FAILED ? MU_OK : no_room(s, o, bytes, errno);
none:
    close(s->fd);
    s->fd = -1;
    return MU_OK;
}

/* A new one is made whole before it gets its size, and its pages are taken now, since a full tmpfs
 * kills by SIGBUS. */
static enum mu_status create(struct mu_segment *s, const struct mu_segment_options *o,
                             uint64_t bytes, void **map)
{
    int error;

    if (shm_unlink(s->name) == 0)
        mu_log(MU_LOG_DEBUG, "removed /dev/shm%s, left by an earlier generation", s->name);
    if (o->state_only && bytes > mu_memory_left("") / 4 * 3)
        return MU_NO_MEMORY;
    error = mu_shm_file_open(s->name, O_CREAT | O_EXCL, &s->fd);
    if (error != 0)
        return MU_FAIL(MU_FAILED, "cannot make /dev/shm%s: %s", s->name, strerror(error));
    error = mu_shm_file_reserve(s->fd, bytes);
    if (error == 0)
        *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (error == 0 && *map != MAP_FAILED)
        return MU_OK;
    error = error ? error : errno;
    mu_shm_file_unlink(s->name, s->fd);
    close(s->fd);
    s->fd = -1;
    if (o->ranks > 1 || o->state_only)
        return no_room(s, o, bytes, error);
    mu_log(MU_LOG_INFO,
           "/dev/shm has no room for the %.2f GiB of state: taking private memory, as this is the "
           "only rank here",
           (double)bytes / 0x1p30);
    *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    s->is_private = true;
    s->name[0] = 0;
    return *map == MAP_FAILED
               ? MU_FAIL(MU_NO_MEMORY, "no memory for the %" PRIu64 " bytes of state", bytes)
               : MU_OK;
}

static enum mu_status lead(struct mu_segment *s, const struct mu_segment_options *o, uint64_t bytes,
                           void **map, bool *taken_up)
{
    char run[sizeof s->name];
    enum mu_status st;

    /* A lost segment may hold gigabytes. This run's are for hosts that are pretended here. */
    snprintf(run, sizeof run, "%.*s", (int)(strrchr(s->name, '-') - s->name), s->name);
    if (o->keep_sweep)
        run[strlen(run) - TRIAL_DIGITS] = 0;
    mu_shm_file_remove_stale("", "", run);
    MU_TRY(take_up(s, o, bytes, map), st, failed);
    *taken_up = *map != MAP_FAILED;
    if (!*taken_up)
        st = create(s, o, bytes, map);
failed:
    return st;
}

/* The generation is right: whatever else differs is a mistake, and waiting does not mend it. */
static enum mu_status check_header(const struct mu_segment *s, const struct mu_segment_options *o,
                                   uint64_t bytes, const struct mu_segment_header *h)
{
    const uint64_t identity = mu_layout_identity(o->layout);

    if (memcmp(h->magic, segment_magic, sizeof segment_magic) != 0)
        return MU_FAIL(
            MU_FAILED,
            "/dev/shm%s is no segment of this version: do all ranks run the same program?",
            s->name);
    if (h->bytes == bytes && h->layout_identity == identity && h->ranks == o->ranks &&
        h->bf16 == o->bf16 && h->state_only == o->state_only)
        return MU_OK;
    return MU_FAIL(MU_FAILED,
                   "the segment /dev/shm%s was made for %" PRIu32 " ranks of %s, layout %016" PRIx64
                   ", %" PRIu64 " bytes, but this rank expects %" PRIu32
                   " of %s, layout %016" PRIx64 ", %" PRIu64
                   " bytes: do all ranks run the same program with the same settings?",
                   s->name, h->ranks, h->bf16 ? "bf16" : "fp32", h->layout_identity, h->bytes,
                   o->ranks, o->bf16 ? "bf16" : "fp32", identity, bytes);
}

/* Maps the file if it is there and of this generation; else *map is MAP_FAILED: not yet. */
static enum mu_status try_attach(struct mu_segment *s, const struct mu_segment_options *o,
                                 uint64_t bytes, void **map)
{
    enum mu_status st = MU_OK;
    struct stat file;
    size_t size = 0;

    *map = MAP_FAILED;
    if (mu_shm_file_open(s->name, 0, &s->fd) != 0)
        return MU_OK;
    if (fstat(s->fd, &file) == 0 && (size_t)file.st_size >= sizeof(struct mu_segment_header)) {
        size = (size_t)file.st_size;
        *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    }
    if (*map != MAP_FAILED) {
        struct mu_segment_header *h = *map;

        if (atomic_load_explicit(&h->generation, memory_order_acquire) == o->generation) {
            st = check_header(s, o, bytes, h);
            if (st == MU_OK)
                return MU_OK;
        }
        munmap(*map, size); /* an earlier generation's, or not ready, or wrong */
        *map = MAP_FAILED;
    }
    close(s->fd);
    s->fd = -1;
    return st;
}

static enum mu_status attach(struct mu_segment *s, const struct mu_segment_options *o,
                             uint64_t bytes, void **map)
{
    struct mu_deadline deadline = mu_deadline_in_ms(o->deadline_ms);
    struct mu_backoff pause = {0};
    enum mu_status st;

    for (;;) {
        MU_TRY(try_attach(s, o, bytes, map), st, failed);
        if (*map != MAP_FAILED)
            return MU_OK;
        MU_TRY(o->poll(o->poll_context), st, failed);
        if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "the segment /dev/shm%s was not there after %" PRIu64 " ms",
                           s->name, o->deadline_ms);
        mu_backoff_pause(&pause);
    }
failed:
    return st;
}

static void introduce(struct mu_segment *s, const struct mu_segment_options *o, uint64_t bytes,
                      bool taken_up)
{
    struct mu_segment_header *h = s->header;

    memset((void *)s->rank, 0, o->ranks * sizeof *s->rank);
    memcpy(h->magic, segment_magic, sizeof segment_magic);
    h->bytes = bytes;
    h->layout_identity = mu_layout_identity(o->layout);
    h->ranks = o->ranks;
    h->bf16 = o->bf16;
    h->state_only = o->state_only;
    h->eval_pieces = o->eval_pieces;
    h->run_id = o->run_id;
    h->taken_up = taken_up;
    atomic_store_explicit(&h->generation, o->generation, memory_order_release);
}

enum mu_status mu_segment_open(struct mu_segment *s, const struct mu_segment_options *o)
{
    uint64_t bytes = mu_segment_bytes(o);
    struct carve c = {0};
    enum mu_status st;
    void *map = MAP_FAILED;
    bool taken_up = false;

    memset(s, 0, sizeof *s);
    s->fd = -1;
    s->ranks = o->ranks;
    snprintf(s->name, sizeof s->name, "/muster-%u-%016" PRIx64 "-h%08x", (unsigned)geteuid(),
             o->run_key, o->host);
    s->sum = calloc(o->ranks, sizeof *s->sum);
    if (!s->sum)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a segment's views");
    st = o->leader ? lead(s, o, bytes, &map, &taken_up) : attach(s, o, bytes, &map);
    if (st != MU_OK) {
        if (s->fd >= 0)
            close(s->fd);
        free(s->sum);
        memset(s, 0, sizeof *s);
        return st;
    }
    c.base = map;
    place(s, &c, o, o->ranks);
    if (o->leader)
        introduce(s, o, bytes, taken_up);
    s->slot = o->slot;
    s->rank[o->slot].start_time = mu_board_process_start((uint32_t)getpid());
    atomic_store(&s->rank[o->slot].pid, (uint32_t)getpid());
    return MU_OK;
}

void mu_segment_reset(struct mu_segment *s)
{
    struct mu_segment_header *h = s->header;

    atomic_store(&h->settled, 0);
    h->taken_up = 0;
    memset(h->result, 0, sizeof h->result);
    atomic_store(&h->state, 0);
}

/* What hosts of which nobody is left have here: they were pretended. */
static void remove_run(const char *name)
{
    const char *run = strchr(strchr(name, '-') + 1, '-') + 1;
    char beginning[32];

    snprintf(beginning, sizeof beginning, "%.*s", (int)(strchr(run, '-') + 1 - run), run);
    mu_shm_file_remove_stale(beginning, "", NULL);
}

void mu_segment_remove_sweep(uint64_t sweep_key)
{
    char beginning[TRIAL_DIGITS + 1];

    snprintf(beginning, sizeof beginning, "%08x", (unsigned)sweep_key);
    mu_shm_file_remove_stale(beginning, "", NULL);
}

void mu_segment_close(struct mu_segment *s, bool unlink)
{
    if (s->header) {
        atomic_store(&s->rank[s->slot].pid, 0); /* it writes no more: nobody need end it */
        munmap(s->header, s->header->bytes);
    }
    if (unlink && s->name[0]) {
        mu_shm_file_unlink(s->name, s->fd);
        remove_run(s->name);
    }
    if (s->header && s->fd >= 0)
        close(s->fd);
    free(s->sum);
    memset(s, 0, sizeof *s);
}
