/* A chunk's total: phase A merges maxima and escapes of many sums, phase B adds their integers, and
 * the total becomes floats. A chunk's bitmap begins with its own first block, which lies anywhere
 * in a word of a sum's bitmap. */
#include <math.h> /* ldexp: exact everywhere */
#include <string.h>

#include "worker/exact_sum.h"

/* Vectors of 8, whatever the machine's are: the partition of a block's norm. */
enum { lanes = 8 };
typedef int32_t int_lanes __attribute__((vector_size(lanes * sizeof(int32_t))));
typedef uint32_t unsigned_four __attribute__((vector_size(4 * sizeof(uint32_t))));
typedef float float_lanes __attribute__((vector_size(lanes * sizeof(float))));
typedef double double_pair __attribute__((vector_size(2 * sizeof(double))));

static uint64_t words_of(uint64_t blocks)
{
    return (blocks + 63) / 64;
}

/* Up to 64 bits of the bitmap from bit `from` on; those at `end` and beyond are 0. */
static uint64_t bits_from(const uint64_t *bitmap, uint64_t from, uint64_t end)
{
    uint64_t word = from / 64, shift = from % 64, bits = bitmap[word] >> shift;

    if (shift != 0 && (word + 1) * 64 < end)
        bits |= bitmap[word + 1] << (64 - shift);
    if (end - from < 64)
        bits &= ((uint64_t)1 << (end - from)) - 1;
    return bits;
}

void mu_chunk_maxima_clear(struct mu_chunk_maxima *m, const struct mu_chunk *chunk)
{
    memset(m->largest, 0, chunk->block_count);
    memset(m->escaped, 0, words_of(chunk->block_count) * sizeof *m->escaped);
    m->flags = 0;
}

void mu_chunk_maxima_merge(struct mu_chunk_maxima *m, const struct mu_chunk *chunk,
                           const struct mu_sum *sum)
{
    const uint8_t *largest = sum->largest + chunk->first_block;
    uint64_t end = chunk->first_block + chunk->block_count;

    for (uint64_t b = 0; b < chunk->block_count; b++)
        m->largest[b] = largest[b] > m->largest[b] ? largest[b] : m->largest[b];
    for (uint64_t i = 0; i < words_of(chunk->block_count); i++)
        m->escaped[i] |= bits_from(sum->escaped, chunk->first_block + 64 * i, end);
    m->flags |= sum->counts->flags;
}

uint64_t mu_chunk_escapes(const struct mu_chunk_maxima *m, const struct mu_chunk *chunk)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < words_of(chunk->block_count); i++)
        n += (uint64_t)__builtin_popcountll(m->escaped[i]);
    return n;
}

uint32_t mu_chunk_add(struct mu_exact_sum *x, int32_t *dense, int64_t *wide,
                      const struct mu_chunk_maxima *m, const struct mu_chunk *chunk,
                      const struct mu_sum *sum)
{
    uint64_t end = chunk->first_block + chunk->block_count;
    uint32_t check = x->device->ops->add_int32(x->device, dense, sum->dense + chunk->offset,
                                               (int64_t)chunk->count);

    for (uint64_t i = 0; i < words_of(chunk->block_count); i++) {
        uint64_t from = chunk->first_block + 64 * i, mine = bits_from(sum->escaped, from, end);

        for (uint64_t left = m->escaped[i]; left != 0; left &= left - 1, wide += MU_BLOCK) {
            uint64_t bit = (uint64_t)__builtin_ctzll(left);

            if (!(mine >> bit & 1))
                continue;
            const int64_t *slot = sum->slots + (uint64_t)sum->slot_of[from + bit] * MU_BLOCK;

            for (int j = 0; j < MU_BLOCK; j++)
                wide[j] += slot[j];
        }
    }
    return check;
}

uint32_t mu_chunk_check(const int32_t *dense, uint64_t n)
{
    unsigned_four a = {0}, b = {0}, x[2]; /* as pairs above */
    uint32_t sum = 0;
    uint64_t i = 0;

    for (; i + lanes <= n; i += lanes) {
        memcpy(x, dense + i, sizeof x);
        a += x[0];
        b += x[1];
    }
    for (; i < n; i++)
        sum += (uint32_t)dense[i];
    a += b;
    for (int lane = 0; lane < 4; lane++)
        sum += a[lane];
    return sum;
}

/* total * quantum rounded once. A double holds 53 bits: what is cut off below leaves its mark in
 * the last bit that stays (round to odd), so that the one rounding to float, be it to a subnormal,
 * sees on which side of a tie it was (Boldo & Melquiond 2008). */
static float round_once(int64_t total, double quantum)
{
    uint64_t n = total < 0 ? -(uint64_t)total : (uint64_t)total;
    double magnitude;

    if (n >> 53)
        n = (n & ~(uint64_t)0xfff) | (n & 0xfff ? 0x1000 : 0);
    magnitude = (double)n * quantum;
    return (float)(total < 0 ? -magnitude : magnitude);
}

/* A block that escaped, or whose quantum is no normal float. */
static void convert_wide(float *out, const int32_t *dense, const int64_t *slot, uint32_t count,
                         int exponent)
{
    double quantum = ldexp(1, exponent);

    for (uint32_t i = 0; i < count; i++)
        out[i] = slot ? round_once(dense[i] + slot[i], quantum) : (float)(dense[i] * quantum);
}

/* The common case: no integer but 0 becomes subnormal, so that rounding it to float is the only
 * rounding, and scaling by a power of two is exact. */
static void convert(float *out, const int32_t *dense, uint32_t count, int exponent)
{
    float quantum = ldexpf(1, exponent);
    uint32_t i = 0;

    for (; i + lanes <= count; i += lanes) {
        int_lanes n;
        float_lanes x;

        memcpy(&n, dense + i, sizeof n);
        x = __builtin_convertvector(n, float_lanes) * quantum;
        memcpy(out + i, &x, sizeof x);
    }
    for (; i < count; i++)
        out[i] = (float)dense[i] * quantum;
}

static inline double_pair squares(const float *x)
{
    double_pair wide = {(double)x[0], (double)x[1]};

    return wide * wide;
}

/* Lanes in pairs: what every instruction set keeps in registers. */
static double sum_of_squares(const float *x, uint32_t count)
{
    double_pair lane01 = {0}, lane23 = {0}, lane45 = {0}, lane67 = {0};
    float rest[lanes] = {0}; /* zeros add nothing */
    uint32_t whole = count / lanes * lanes;

    memcpy(rest, x + whole, (count - whole) * sizeof *x);
    for (uint32_t i = 0; i <= whole; i += lanes) {
        const float *at = i < whole ? x + i : rest;

        lane01 += squares(at);
        lane23 += squares(at + 2);
        lane45 += squares(at + 4);
        lane67 += squares(at + 6);
    }
    lane01 = (lane01 + lane45) + (lane23 + lane67);
    return lane01[0] + lane01[1];
}

void mu_chunk_to_float(const struct mu_exact_sum *x, float *out, struct mu_wide *norm,
                       const int32_t *dense, const int64_t *wide, const struct mu_chunk_maxima *m,
                       const struct mu_chunk *chunk, const int16_t *prediction)
{
    uint64_t filled = 0;

    for (uint32_t s = 0; s < chunk->span_count; s++) {
        const struct mu_span *span = &x->layout->spans[chunk->first_span + s];
        const struct mu_tensor *t = &x->layout->tensors[span->tensor];
        int log2_addends = mu_log2_addends(x->shards * t->addends);

        for (; filled < span->offset - chunk->offset; filled++)
            out[filled] = 0;
        for (uint64_t b = span->first_block; b < span->first_block + span->block_count; b++) {
            struct mu_block_range r = mu_layout_block(t, b);
            uint64_t bit = b - chunk->first_block;
            const int64_t *slot = NULL;

            if (m->escaped[bit / 64] >> bit % 64 & 1) {
                slot = wide;
                wide += MU_BLOCK;
            }
            int exponent = mu_quantum_exponent(prediction[b], log2_addends);

            if (slot || exponent < -126)
                convert_wide(out + filled, dense + filled, slot, r.count, exponent);
            else
                convert(out + filled, dense + filled, r.count, exponent);
            mu_wide_add(norm, sum_of_squares(out + filled, r.count));
            filled += r.count;
        }
    }
}
