/* Sums in fixed point: see the header for the representation. */
#include "worker/wide_sum.h"

#include <math.h> /* ldexp and isfinite: exact everywhere */
#include <string.h>

enum {
    unit_bits = 1088,              /* limb 0 counts units of 2^-1088 */
    lowest_bit = unit_bits - 1074, /* of a double, in units */
    mantissa_bits = 53,
};
static const int64_t radix = (int64_t)1 << 32;

/* Adds `carry` to limb i and passes on what leaves (-2^32, 2^32); most often nothing does. */
static void ripple(struct mu_wide *w, int i, int64_t carry)
{
    for (; carry != 0 && i < MU_WIDE_LIMBS - 1; i++) {
        int64_t s = w->limb[i] + carry;

        carry = s / radix; /* towards zero: the remainder keeps the sign of s */
        w->limb[i] = s - carry * radix;
    }
    w->limb[MU_WIDE_LIMBS - 1] += carry;
}

void mu_wide_add(struct mu_wide *w, double x)
{
    uint64_t representation, mantissa;
    unsigned __int128 bits;
    int exponent;

    if (!isfinite(x)) {
        w->nonfinite++;
        return;
    }
    /* |x| = mantissa * 2^(exponent - 1075); subnormals are like exponent 1 without the hidden
     * bit */
    memcpy(&representation, &x, sizeof representation);
    exponent = (int)(representation >> 52 & 0x7ff);
    mantissa = representation & (((uint64_t)1 << 52) - 1);
    if (exponent > 0)
        mantissa |= (uint64_t)1 << 52;
    else
        exponent = 1;
    int position = exponent - 1075 + unit_bits;

    bits = (unsigned __int128)mantissa << position % 32;
    for (int i = position / 32; bits != 0; bits >>= 32, i++) {
        int64_t digit = (int64_t)(bits & 0xffffffffu);

        ripple(w, i, x < 0 ? -digit : digit);
    }
}

void mu_wide_merge(struct mu_wide *w, const struct mu_wide *other)
{
    for (int i = 0; i < MU_WIDE_LIMBS; i++)
        ripple(w, i, other->limb[i]);
    w->nonfinite += other->nonfinite;
}

/* digit = |sum| in base 2^32; true when the sum is negative. */
static int magnitude(const struct mu_wide *w, uint64_t digit[MU_WIDE_LIMBS])
{
    int64_t limb[MU_WIDE_LIMBS], sign = 1;

    for (int pass = 0; pass < 2; pass++) {
        int64_t carry = 0;

        for (int i = 0; i < MU_WIDE_LIMBS; i++) {
            int64_t s = sign * w->limb[i] + carry;

            limb[i] = i < MU_WIDE_LIMBS - 1 ? s & (radix - 1) : s;
            carry = s >> 32; /* floor: every digit but the highest becomes non-negative */
        }
        if (limb[MU_WIDE_LIMBS - 1] >= 0)
            break;
        sign = -1;
    }
    for (int i = 0; i < MU_WIDE_LIMBS; i++)
        digit[i] = (uint64_t)limb[i];
    return sign < 0;
}

static int bit_at(const uint64_t digit[MU_WIDE_LIMBS], int bit)
{
    return digit[bit / 32] >> bit % 32 & 1;
}

double mu_wide_value(const struct mu_wide *w)
{
    uint64_t digit[MU_WIDE_LIMBS], mantissa = 0;
    int top = MU_WIDE_LIMBS - 1, highest, lowest, negative;

    if (w->nonfinite != 0)
        return (double)NAN;
    negative = magnitude(w, digit);
    while (top > 0 && digit[top] == 0)
        top--;
    if (digit[top] == 0)
        return 0;
    highest = 32 * top + 63 - __builtin_clzll(digit[top]);
    if (highest >= 32 * MU_WIDE_LIMBS)
        return negative ? (double)-INFINITY : (double)INFINITY;
    lowest = highest - (mantissa_bits - 1);
    if (lowest < lowest_bit)
        lowest = lowest_bit; /* a subnormal: every bit below is zero, nothing is rounded */
    for (int bit = highest; bit >= lowest; bit--)
        mantissa = mantissa << 1 | (uint64_t)bit_at(digit, bit);
    if (bit_at(digit, lowest - 1)) {
        int sticky = (digit[(lowest - 1) / 32] & (((uint64_t)1 << (lowest - 1) % 32) - 1)) != 0;

        for (int i = 0; i < (lowest - 1) / 32; i++)
            sticky |= digit[i] != 0;
        mantissa += sticky || (mantissa & 1);
    }
    double value = ldexp((double)mantissa, lowest - unit_bits);

    return negative ? -value : value;
}

void mu_wide_put(struct mu_wire_writer *writer, const struct mu_wide *w)
{
    for (int i = 0; i < MU_WIDE_LIMBS; i++)
        mu_wire_put_u64(writer, (uint64_t)w->limb[i]);
    mu_wire_put_u64(writer, (uint64_t)w->nonfinite);
}

void mu_wide_get(struct mu_wire_reader *reader, struct mu_wide *w)
{
    for (int i = 0; i < MU_WIDE_LIMBS; i++)
        w->limb[i] = (int64_t)mu_wire_get_u64(reader);
    w->nonfinite = (int64_t)mu_wire_get_u64(reader);
}
