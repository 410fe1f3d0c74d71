/* Chunks are visited in the order of their permutation, so that both outputs are written from front
 * to back in one pass, and reads jump: some are announced to the system ahead. Which file a chunk
 * goes to is drawn twice, to count and to copy, instead of kept: a bit a chunk would be memory that
 * grows with the input. Both outputs are whole on the disk before either gets its name. */
#include "worker/tokenize/tokenize.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/rng.h"
#include "worker/data/sampler.h"
#include "worker/data/token_writer.h"

enum {
    BATCH = 64,     /* chunks whose reads are under way together */
    DRAW_CHUNK = 0, /* uses of the stream MU_RNG_SPLIT: which file a chunk goes to */
    DRAW_ORDER = 1, /* the key of the permutation */
};

struct split {
    uint64_t seed, chunks, valid_chunks;
    uint64_t limit; /* chunks that draw less are for validation */
};

static uint64_t draw(uint64_t seed, uint32_t use, uint64_t counter)
{
    struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SPLIT, use, counter);

    return (uint64_t)x.w[1] << 32 | x.w[0];
}

/* A validation file was asked for, so that there is one: when no chunk draws low enough, as happens
 * with few, the lowest is taken. */
static enum mu_status make_split(const struct mu_tokenize_job *job, uint64_t bytes,
                                 struct split *out)
{
    uint64_t least = UINT64_MAX;

    *out = (struct split){.seed = job->seed,
                          .chunks = bytes / job->chunk_bytes + (bytes % job->chunk_bytes != 0)};
    if (job->valid_fraction <= 0)
        return MU_OK;
    out->limit = (uint64_t)(job->valid_fraction * 0x1p64);
    for (uint64_t i = 0; i < out->chunks; i++) {
        uint64_t x = draw(job->seed, DRAW_CHUNK, i);

        out->valid_chunks += x < out->limit;
        least = x < least ? x : least;
    }
    if (out->valid_chunks == 0) {
        out->limit = least + 1;
        out->valid_chunks = 1;
    }
    if (out->valid_chunks == out->chunks)
        return MU_FAIL(MU_FAILED,
                       "the input is too short: its %" PRIu64 " bytes are %" PRIu64
                       " chunk%s of %u bytes, and with validation taken out nothing is left to "
                       "train on; use a smaller --chunk, or --valid-fraction 0",
                       bytes, out->chunks, out->chunks == 1 ? "" : "s", job->chunk_bytes);
    return MU_OK;
}

/* writers[0] trains, writers[1] validates; put_bytes: what each was given. */
static enum mu_status copy_chunks(const struct mu_tokenize_job *job, const struct mu_source *source,
                                  const struct split *split, struct mu_token_writer writers[2],
                                  uint64_t put_bytes[2])
{
    const uint64_t order = draw(split->seed, DRAW_ORDER, 0);
    enum mu_status st = MU_OK;
    uint64_t chunk[BATCH];
    uint8_t *bytes = malloc(job->chunk_bytes);

    if (!bytes)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a chunk of %u bytes", job->chunk_bytes);
    for (uint64_t first = 0; first < split->chunks; first += BATCH) {
        uint64_t left = split->chunks - first, n = left < BATCH ? left : BATCH;

        for (uint64_t i = 0; i < n; i++) {
            chunk[i] = mu_sampler_permute(order, 0, split->chunks, first + i);
            mu_source_prefetch(source, chunk[i] * job->chunk_bytes, job->chunk_bytes);
        }
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t from = chunk[i] * job->chunk_bytes, rest = source->bytes - from;
            const size_t size = rest < job->chunk_bytes ? (size_t)rest : job->chunk_bytes;
            const bool valid = draw(split->seed, DRAW_CHUNK, chunk[i]) < split->limit;

            MU_TRY(mu_source_read(source, from, size, bytes), st, done);
            MU_TRY(mu_token_writer_put(&writers[valid], bytes, size), st, done);
            put_bytes[valid] += size;
        }
        MU_TRY(mu_source_check_stop(job->stop), st, done);
        if (job->progress)
            job->progress(job->context, put_bytes[0] + put_bytes[1], source->bytes);
    }
done:
    free(bytes);
    return st;
}

static enum mu_status prepare_outputs(const struct mu_tokenize_job *job,
                                      struct mu_tokenize_result *r)
{
    struct mu_tokenize_file *const files[] = {&r->train, &r->valid};
    char folder[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    MU_TRY(mu_path_format(r->train.path, "%s-train.bin", job->prefix), st, done);
    MU_TRY(mu_path_format(r->valid.path, "%s-valid.bin", job->prefix), st, done);
    for (size_t i = 0; i < 2 && !job->force; i++)
        if (mu_file_exists(files[i]->path))
            return MU_FAIL(MU_USAGE, "%s exists: give another --out, or --force to replace it",
                           files[i]->path);
    MU_TRY(mu_path_format(folder, "%s", job->prefix), st, done);
    mu_path_go_up(folder);
    MU_TRY(mu_file_make_folders(folder), st, done);
done:
    return st;
}

/* A validation file of an earlier split would share text with the new training file. */
static enum mu_status remove_stale(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return MU_FAIL(MU_FAILED, "cannot remove %s: %s", path, strerror(errno));
    return MU_OK;
}

enum mu_status mu_tokenize_bytes(const struct mu_tokenize_job *job, struct mu_tokenize_result *r)
{
    struct mu_tokenize_file *const files[2] = {&r->train, &r->valid};
    struct mu_token_writer writers[2] = {0};
    struct mu_source_options input = {.paths = job->inputs,
                                      .count = job->input_count,
                                      .stop = job->stop,
                                      .progress = job->progress,
                                      .context = job->context};
    struct mu_source source = {0};
    char spool_path[MU_PATH_MAX];
    enum mu_status st = MU_OK;
    uint64_t put_bytes[2] = {0, 0};
    struct split split;
    int count;

    MU_ASSERT(job->valid_fraction >= 0 && job->valid_fraction <= 0.5);
    MU_ASSERT(job->chunk_bytes >= MU_CHUNK_BYTES_MIN && job->chunk_bytes <= MU_CHUNK_BYTES_MAX);
    memset(r, 0, sizeof *r);
    MU_TRY(prepare_outputs(job, r), st, done);
    MU_TRY(mu_path_format(spool_path, "%s-spool.tmp.%ld", job->prefix, (long)getpid()), st, done);
    input.spool_path = spool_path;
    MU_TRY(mu_source_open(&source, &input), st, done);
    MU_TRY(make_split(job, source.bytes, &split), st, done);

    count = split.valid_chunks > 0 ? 2 : 1;
    for (int i = 0; i < count; i++)
        MU_TRY(mu_token_writer_open(&writers[i], files[i]->path, 1, 256, "bytes"), st, done);
    MU_TRY(copy_chunks(job, &source, &split, writers, put_bytes), st, done);
    for (int i = 0; i < count; i++)
        MU_TRY(mu_token_writer_finish(&writers[i], put_bytes[i]), st, done);
    if (count == 1)
        MU_TRY(remove_stale(r->valid.path), st, done);
    for (int i = count - 1; i >= 0; i--)
        MU_TRY(mu_token_writer_publish(&writers[i]), st, done);

    for (int i = 0; i < count; i++)
        files[i]->header = writers[i].header;
    r->source_bytes = source.bytes;
    r->valid.chunks = split.valid_chunks;
    r->train.chunks = split.chunks - split.valid_chunks;
done:
    for (int i = 0; i < 2; i++)
        mu_token_writer_abandon(&writers[i]);
    mu_source_close(&source);
    return st;
}
