/* The table of plans: which algorithm each shape has.
 *
 * Written form, little-endian: magic u32, version of the library u64, compute capability u32 u32,
 * multiprocessors u32, workspace u64, bf16 u8, tf32 u8, plans u32; then each plan, sorted: key (six
 * u64 m n k lda ldb ldc; u8 flags; u8 epilogue), available u8, algorithm 64 bytes; then the
 * xxh3-128 of all that as two u64. */
#include "kernels/cuda/blas_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/wire.h"

enum {
    MAGIC = 0x314c424d, /* "MBL1" */
    HEADER_BYTES = 4 + 8 + 3 * 4 + 8 + 2 + 4,
    PLAN_BYTES = MU_BLAS_KEY_BYTES + 1 + sizeof(cublasLtMatmulAlgo_t),
    HASH_BYTES = 16,
    CANDIDATES = 8,
    ROUNDS = 3, /* of timing: the best of them counts */
    RUNS = 5,   /* of a product in a round */
    TIMING_DEADLINE_MS = 60000,
};

/* ---- keys ------------------------------------------------------------------------------------ */
static struct mu_blas_key key_of(const struct mu_blas_shape *s)
{
    const int64_t sizes[] = {s->m, s->n, s->k, s->lda, s->ldb, s->ldc};
    unsigned flags = (s->a_is_kxm ? 1u : 0) | (s->b_is_nxk ? 2u : 0) | (s->c_is_bf16 ? 4u : 0) |
                     (s->accumulate ? 8u : 0);
    struct mu_blas_key key;
    struct mu_wire_writer w = mu_wire_write(key.bytes, sizeof key.bytes);

    for (int i = 0; i < 6; i++)
        mu_wire_put_u64(&w, (uint64_t)sizes[i]);
    mu_wire_put_u8(&w, (uint8_t)flags);
    mu_wire_put_u8(&w, (uint8_t)s->epilogue);
    MU_ASSERT(w.ok && w.size == sizeof key.bytes);
    return key;
}

/* Whether it is a key that key_of makes. */
static bool shape_of(const struct mu_blas_key *key, struct mu_blas_shape *s)
{
    int64_t *sizes[] = {&s->m, &s->n, &s->k, &s->lda, &s->ldb, &s->ldc};
    struct mu_wire_reader r = mu_wire_read(key->bytes, sizeof key->bytes);
    unsigned flags, epilogue;

    for (int i = 0; i < 6; i++) {
        *sizes[i] = (int64_t)mu_wire_get_u64(&r);
        if (*sizes[i] <= 0)
            return false;
    }
    flags = mu_wire_get_u8(&r);
    epilogue = mu_wire_get_u8(&r);
    s->a_is_kxm = flags & 1;
    s->b_is_nxk = flags & 2;
    s->c_is_bf16 = flags & 4;
    s->accumulate = flags & 8;
    s->epilogue = (enum mu_blas_epilogue)epilogue;
    return flags < 16 && epilogue <= MU_BLAS_BIAS_GELU && s->lda >= (s->a_is_kxm ? s->m : s->k) &&
           s->ldb >= (s->b_is_nxk ? s->k : s->n) && s->ldc >= s->n;
}

/* Where the key is, or would be. */
static size_t place_of(const struct mu_blas *blas, const struct mu_blas_key *key, bool *found)
{
    size_t low = 0, high = blas->count;

    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(blas->plans[middle].key.bytes, key->bytes, sizeof key->bytes);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum mu_status insert(struct mu_blas *blas, size_t at, const struct mu_blas_plan *plan)
{
    if (blas->count == blas->capacity) {
        size_t capacity = blas->capacity ? 2 * blas->capacity : 32;
        struct mu_blas_plan *plans = realloc(blas->plans, capacity * sizeof *plans);

        if (!plans)
            return MU_FAIL(MU_NO_MEMORY, "no memory for %zu plans of matrix products", capacity);
        blas->plans = plans;
        blas->capacity = capacity;
    }
    memmove(&blas->plans[at + 1], &blas->plans[at], (blas->count - at) * sizeof *plan);
    blas->plans[at] = *plan;
    blas->count++;
    return MU_OK;
}

void mu_blas_plans_clear(struct mu_blas *blas)
{
    for (size_t i = 0; i < blas->count; i++)
        mu_blas_undescribe(&blas->plans[i]);
    blas->count = 0;
}

/* ---- choosing -------------------------------------------------------------------------------- */
static enum mu_status prefer(cublasLtMatmulPreference_t preference,
                             cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                             size_t size)
{
    return mu_blas_check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, size),
                         "cublasLtMatmulPreferenceSetAttribute");
}

static enum mu_status prefer_all(cublasLtMatmulPreference_t preference)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t workspace = MU_BLAS_WORKSPACE_BYTES;
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = MU_BLAS_ALIGNMENT;
    enum mu_status st = MU_OK;

    MU_TRY(
        prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace),
        st, done);
    MU_TRY(prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes),
           st, done);
    for (int i = 0; i < 4; i++)
        MU_TRY(prefer(preference, alignments[i], &alignment, sizeof alignment), st, done);
done:
    return st;
}

/* A sum in one sequence, or parts in fp32 that a second step adds: not in place, where parts take
 * turns, nor parts that were rounded to C's type. The preference asks for it; this makes sure. */
static bool is_repeatable(const cublasLtMatmulAlgo_t *algorithm)
{
    uint32_t scheme;
    size_t written;

    return cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                &scheme, sizeof scheme,
                                                &written) == CUBLAS_STATUS_SUCCESS &&
           (scheme == CUBLASLT_REDUCTION_SCHEME_NONE ||
            scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
}

/* Up to CANDIDATES, the one that should be fastest first; perhaps none. */
static enum mu_status ask_candidates(const struct mu_blas *blas, const struct mu_blas_plan *plan,
                                     cublasLtMatmulAlgo_t *out, int *count)
{
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    cublasLtMatmulPreference_t preference = NULL;
    cublasStatus_t answer;
    enum mu_status st = MU_OK;
    int found_count = 0;

    *count = 0;
    MU_TRY(mu_blas_check(cublasLtMatmulPreferenceCreate(&preference),
                         "cublasLtMatmulPreferenceCreate"),
           st, done);
    MU_TRY(prefer_all(preference), st, done);
    answer = cublasLtMatmulAlgoGetHeuristic(blas->handle, plan->product, plan->a, plan->b, plan->c,
                                            plan->c, preference, CANDIDATES, found, &found_count);
    if (answer == CUBLAS_STATUS_NOT_SUPPORTED)
        goto done;
    MU_TRY(mu_blas_check(answer, "cublasLtMatmulAlgoGetHeuristic"), st, done);
    for (int i = 0; i < found_count; i++)
        if (found[i].state == CUBLAS_STATUS_SUCCESS && is_repeatable(&found[i].algo) &&
            found[i].workspaceSize <= MU_BLAS_WORKSPACE_BYTES)
            out[(*count)++] = found[i].algo;
done:
    if (preference)
        cublasLtMatmulPreferenceDestroy(preference);
    return st;
}

static enum mu_status wait_for(cudaEvent_t event)
{
    struct mu_deadline deadline = mu_deadline_in_ms(TIMING_DEADLINE_MS);
    struct mu_backoff backoff = {0};
    cudaError_t error;

    while ((error = cudaEventQuery(event)) == cudaErrorNotReady) {
        (void)cudaGetLastError(); /* it is kept as if it were an error: for the next launch */
        if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "the GPU did not finish matrix products in %d s",
                           TIMING_DEADLINE_MS / 1000);
        mu_backoff_pause(&backoff);
    }
    return mu_blas_check_runtime(error, "timing matrix products");
}

/* RUNS of one candidate. */
static enum mu_status time_round(const struct mu_blas *blas, struct CUstream_st *stream,
                                 const struct mu_blas_plan *plan,
                                 const cublasLtMatmulAlgo_t *algorithm,
                                 const struct mu_blas_product *product, const cudaEvent_t events[2],
                                 float *ms)
{
    enum mu_status st = MU_OK;

    MU_TRY(mu_blas_check_runtime(cudaEventRecord(events[0], stream), "cudaEventRecord"), st, done);
    for (int i = 0; i < RUNS; i++)
        MU_TRY(mu_blas_launch(blas, stream, plan, algorithm, product), st, done);
    MU_TRY(mu_blas_check_runtime(cudaEventRecord(events[1], stream), "cudaEventRecord"), st, done);
    MU_TRY(wait_for(events[1]), st, done);
    MU_TRY(mu_blas_check_runtime(cudaEventElapsedTime(ms, events[0], events[1]),
                                 "cudaEventElapsedTime"),
           st, done);
done:
    return st;
}

/* The fastest in any round but the first, which warms up. */
static enum mu_status time_candidates(const struct mu_blas *blas, struct CUstream_st *stream,
                                      const struct mu_blas_plan *plan,
                                      const cublasLtMatmulAlgo_t *candidates, int count,
                                      const struct mu_blas_product *product, int *fastest)
{
    cudaEvent_t events[2] = {NULL, NULL};
    float best = 0, ms = 0;
    enum mu_status st = MU_OK;

    *fastest = 0;
    for (int i = 0; i < 2; i++)
        MU_TRY(mu_blas_check_runtime(cudaEventCreate(&events[i]), "cudaEventCreate"), st, done);
    for (int round = 0; round <= ROUNDS; round++)
        for (int i = 0; i < count; i++) {
            MU_TRY(time_round(blas, stream, plan, &candidates[i], product, events, &ms), st, done);
            if (round > 0 && (best == 0 || ms < best)) {
                best = ms;
                *fastest = i;
            }
        }
done:
    for (int i = 0; i < 2; i++)
        if (events[i])
            cudaEventDestroy(events[i]);
    return st;
}

/* Times on the product's own inputs, into memory that is thrown away: C may be added to. Without
 * memory for that, the heuristic's first. */
static enum mu_status tune(const struct mu_blas *blas, struct CUstream_st *stream,
                           const struct mu_blas_plan *plan, const cublasLtMatmulAlgo_t *candidates,
                           int count, const struct mu_blas_product *product, int *fastest)
{
    struct mu_blas_product trial = *product;
    size_t one = (size_t)(plan->shape.m * plan->shape.ldc) * (plan->shape.c_is_bf16 ? 2 : 4);
    size_t aligned = (one + 255) / 256 * 256;
    void *memory = NULL;
    enum mu_status st;

    *fastest = 0;
    if (cudaMalloc(&memory, 2 * aligned) != cudaSuccess) {
        (void)cudaGetLastError(); /* told here, not at the next launch */
        mu_log(MU_LOG_WARN,
               "%.1f MiB of GPU memory to time matrix products: there is none, so "
               "the library's first choice is taken",
               (double)aligned * 2 / (1 << 20));
        return MU_OK;
    }
    trial.c = memory;
    trial.before = product->before ? (char *)memory + aligned : NULL;
    st = time_candidates(blas, stream, plan, candidates, count, &trial, fastest);
    cudaFree(memory);
    return st;
}

static enum mu_status choose(const struct mu_blas *blas, struct CUstream_st *stream,
                             const struct mu_blas_product *product, struct mu_blas_plan *plan)
{
    cublasLtMatmulAlgo_t candidates[CANDIDATES];
    int count = 0, chosen = 0;
    enum mu_status st = MU_OK;

    MU_TRY(ask_candidates(blas, plan, candidates, &count), st, done);
    plan->available = count > 0;
    if (count > 1 && blas->options.tune)
        MU_TRY(tune(blas, stream, plan, candidates, count, product, &chosen), st, done);
    if (count > 0)
        plan->algorithm = candidates[chosen];
done:
    return st;
}

/* Of a plan that was read. */
static enum mu_status check_algorithm(const struct mu_blas *blas, const struct mu_blas_plan *plan)
{
    cublasLtMatmulHeuristicResult_t result;
    cublasStatus_t status = cublasLtMatmulAlgoCheck(blas->handle, plan->product, plan->a, plan->b,
                                                    plan->c, plan->c, &plan->algorithm, &result);

    if (status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= MU_BLAS_WORKSPACE_BYTES)
        return MU_OK;
    return MU_FAIL(MU_CONFIG,
                   "the algorithm that was chosen for a matrix product of %lld x %lld x %lld does "
                   "not run here: %s",
                   (long long)plan->shape.m, (long long)plan->shape.n, (long long)plan->shape.k,
                   status == CUBLAS_STATUS_SUCCESS ? "its workspace is too large"
                                                   : cublasLtGetStatusName(status));
}

enum mu_status mu_blas_plan(struct mu_blas *blas, struct CUstream_st *stream,
                            const struct mu_blas_product *product, struct mu_blas_plan **out)
{
    struct mu_blas_plan made = {.key = key_of(&product->shape), .shape = product->shape};
    enum mu_status st = MU_OK;
    bool found;
    size_t at = place_of(blas, &made.key, &found);

    if (!found) {
        MU_TRY(mu_blas_describe(blas, &made), st, fail);
        MU_TRY(choose(blas, stream, product, &made), st, fail);
        MU_TRY(insert(blas, at, &made), st, fail);
    } else if (!blas->plans[at].product && blas->plans[at].available) {
        made = blas->plans[at];
        MU_TRY(mu_blas_describe(blas, &made), st, fail);
        MU_TRY(check_algorithm(blas, &made), st, fail);
        blas->plans[at] = made;
    }
    *out = &blas->plans[at];
    return MU_OK;
fail:
    mu_blas_undescribe(&made);
    return st;
}

/* ---- written form ---------------------------------------------------------------------------- */
enum mu_status mu_blas_plans_write(const struct mu_blas *blas, void **bytes, size_t *size)
{
    size_t capacity = HEADER_BYTES + blas->count * PLAN_BYTES + HASH_BYTES;
    void *to = malloc(capacity);
    struct mu_wire_writer w = mu_wire_write(to, capacity);
    struct mu_hash hash;

    if (!to)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu plans of matrix products", blas->count);
    mu_wire_put_u32(&w, MAGIC);
    mu_wire_put_u64(&w, cublasLtGetVersion());
    mu_wire_put_u32(&w, (uint32_t)blas->gpu.major);
    mu_wire_put_u32(&w, (uint32_t)blas->gpu.minor);
    mu_wire_put_u32(&w, (uint32_t)blas->gpu.multiprocessors);
    mu_wire_put_u64(&w, MU_BLAS_WORKSPACE_BYTES);
    mu_wire_put_u8(&w, blas->options.bf16);
    mu_wire_put_u8(&w, blas->options.tf32);
    mu_wire_put_u32(&w, (uint32_t)blas->count);
    for (size_t i = 0; i < blas->count; i++) {
        const struct mu_blas_plan *plan = &blas->plans[i];

        mu_wire_put_bytes(&w, plan->key.bytes, sizeof plan->key.bytes);
        mu_wire_put_u8(&w, plan->available);
        mu_wire_put_bytes(&w, &plan->algorithm, sizeof plan->algorithm);
    }
    hash = mu_hash_bytes(to, w.size, 0);
    mu_wire_put_u64(&w, hash.high);
    mu_wire_put_u64(&w, hash.low);
    MU_ASSERT(w.ok && w.size == capacity);
    *bytes = to;
    *size = capacity;
    return MU_OK;
}

/* Why a table cannot be taken: the caller may go on without it, so that nothing is reported. */
struct refusal {
    char *why;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static enum mu_status refuse(const struct refusal *refusal,
                                                                   enum mu_status st,
                                                                   const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(refusal->why, refusal->size, format, arguments);
    va_end(arguments);
    return st;
}

static enum mu_status check_whole(const void *bytes, size_t size, const struct refusal *refusal)
{
    struct mu_wire_reader r;
    struct mu_hash hash, stored;

    if (size < HEADER_BYTES + HASH_BYTES)
        return refuse(refusal, MU_CORRUPT, "the plans of matrix products are cut short: %zu bytes",
                      size);
    r = mu_wire_read((const char *)bytes + size - HASH_BYTES, HASH_BYTES);
    stored.high = mu_wire_get_u64(&r);
    stored.low = mu_wire_get_u64(&r);
    hash = mu_hash_bytes(bytes, size - HASH_BYTES, 0);
    if (!mu_hash_equal(hash, stored))
        return refuse(refusal, MU_CORRUPT, "the plans of matrix products are damaged");
    return MU_OK;
}

/* The header, against what is here. */
static enum mu_status check_header(const struct mu_blas *blas, struct mu_wire_reader *r,
                                   uint32_t *count, const struct refusal *refusal)
{
    uint32_t magic = mu_wire_get_u32(r);
    uint64_t version = mu_wire_get_u64(r), workspace;
    struct mu_blas_gpu gpu;
    bool bf16, tf32;

    gpu.major = (int)mu_wire_get_u32(r);
    gpu.minor = (int)mu_wire_get_u32(r);
    gpu.multiprocessors = (int)mu_wire_get_u32(r);
    workspace = mu_wire_get_u64(r);
    bf16 = mu_wire_get_u8(r);
    tf32 = mu_wire_get_u8(r);
    *count = mu_wire_get_u32(r);
    if (magic != MAGIC || workspace != MU_BLAS_WORKSPACE_BYTES)
        return refuse(refusal, MU_CONFIG,
                      "the plans of matrix products are of another version of muster");
    if (version != cublasLtGetVersion())
        return refuse(refusal, MU_CONFIG,
                      "the plans of matrix products are of cuBLASLt %llu, and this is %zu",
                      (unsigned long long)version, cublasLtGetVersion());
    if (gpu.major != blas->gpu.major || gpu.minor != blas->gpu.minor ||
        gpu.multiprocessors != blas->gpu.multiprocessors)
        return refuse(refusal, MU_CONFIG,
                      "the plans of matrix products are of a GPU of compute capability %d.%d with "
                      "%d multiprocessors, and this one has %d.%d with %d",
                      gpu.major, gpu.minor, gpu.multiprocessors, blas->gpu.major, blas->gpu.minor,
                      blas->gpu.multiprocessors);
    if (bf16 != blas->options.bf16 || tf32 != blas->options.tf32)
        return refuse(refusal, MU_CONFIG, "the plans of matrix products are of another precision");
    return MU_OK;
}

/* The plans after the header, into an empty table. */
static enum mu_status read_plans(struct mu_blas *table, struct mu_wire_reader *r, uint32_t count,
                                 const struct refusal *refusal)
{
    for (uint32_t i = 0; i < count && r->ok; i++) {
        struct mu_blas_plan plan = {0};
        enum mu_status st;
        bool found;
        size_t at;

        mu_wire_get_bytes(r, plan.key.bytes, sizeof plan.key.bytes);
        plan.available = mu_wire_get_u8(r);
        mu_wire_get_bytes(r, &plan.algorithm, sizeof plan.algorithm);
        at = place_of(table, &plan.key, &found);
        if (!r->ok || found || !shape_of(&plan.key, &plan.shape))
            return refuse(refusal, MU_CORRUPT, "plan %u of %u of matrix products makes no sense", i,
                          count);
        st = insert(table, at, &plan);
        if (st != MU_OK)
            return st;
    }
    if (!mu_wire_finished(r))
        return refuse(refusal, MU_CORRUPT, "the plans of matrix products are not %u", count);
    return MU_OK;
}

enum mu_status mu_blas_plans_read(struct mu_blas *blas, const void *bytes, size_t size, char *why,
                                  size_t why_size)
{
    const struct refusal refusal = {why, why_size};
    struct mu_blas table = {0}; /* only its plans */
    struct mu_wire_reader r;
    uint32_t count = 0;
    enum mu_status st = MU_OK;

    MU_TRY(check_whole(bytes, size, &refusal), st, fail);
    r = mu_wire_read(bytes, size - HASH_BYTES);
    MU_TRY(check_header(blas, &r, &count, &refusal), st, fail);
    MU_TRY(read_plans(&table, &r, count, &refusal), st, fail);
    mu_blas_plans_clear(blas);
    free(blas->plans);
    blas->plans = table.plans;
    blas->count = table.count;
    blas->capacity = table.capacity;
    return MU_OK;
fail:
    free(table.plans);
    return st;
}

size_t mu_blas_plans_count(const struct mu_blas *blas)
{
    return blas->count;
}

enum mu_status mu_blas_plans_hash(const struct mu_blas *blas, struct mu_hash *out)
{
    void *bytes;
    size_t size;
    enum mu_status st = MU_OK;

    MU_TRY(mu_blas_plans_write(blas, &bytes, &size), st, done);
    *out = mu_hash_bytes(bytes, size, 0);
    free(bytes);
done:
    return st;
}
