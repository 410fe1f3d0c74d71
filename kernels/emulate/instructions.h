/* Plain twins of kernels/cuda/instructions.cuh, where contracts and layouts are told. Sums within a
 * product are in order of k: a tensor core's are not. */
#ifndef MUSTER_KERNELS_EMULATE_INSTRUCTIONS_H
#define MUSTER_KERNELS_EMULATE_INSTRUCTIONS_H

#include "kernels/emulate/emulate.h"

constexpr unsigned MU_EMULATE_ALL = 0xffffffffu;

/* The first or second bf16 of a register. */
inline float mu_emulate_half(std::uint32_t two, unsigned which)
{
    return __uint_as_float(which ? two & 0xffff0000u : two << 16);
}

struct mu_emulate_operands {
    float *d;
    const std::uint32_t *a, *b;
};

inline void mu_emulate_multiply(const std::uint64_t *brought)
{
    float a[16][16], b[16][8];

    for (unsigned lane = 0; lane < MU_EMULATE_WARP; lane++) {
        const auto *o = reinterpret_cast<const mu_emulate_operands *>(brought[lane]);
        unsigned g = lane / 4, t = lane % 4;

        for (unsigned i = 0; i < 4; i++)
            for (unsigned h = 0; h < 2; h++)
                a[g + 8 * (i % 2)][2 * t + 8 * (i / 2) + h] = mu_emulate_half(o->a[i], h);
        for (unsigned i = 0; i < 2; i++)
            for (unsigned h = 0; h < 2; h++)
                b[2 * t + 8 * i + h][g] = mu_emulate_half(o->b[i], h);
    }
    for (unsigned lane = 0; lane < MU_EMULATE_WARP; lane++) {
        const auto *o = reinterpret_cast<const mu_emulate_operands *>(brought[lane]);

        for (unsigned i = 0; i < 4; i++)
            for (unsigned k = 0; k < 16; k++)
                o->d[i] += a[lane / 4 + 8 * (i / 2)][k] * b[k][2 * (lane % 4) + i % 2];
    }
}

inline void mu_multiply_add(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                            std::uint32_t b1, const char *file = __builtin_FILE(),
                            int line = __builtin_LINE())
{
    const std::uint32_t b[2] = {b0, b1};
    mu_emulate_operands mine = {d, a, b};

    mu_emulate_meet({"mma", file, line}, MU_EMULATE_ALL, reinterpret_cast<std::uint64_t>(&mine),
                    mu_emulate_multiply);
}

struct mu_emulate_row {
    const unsigned char *at;
    std::uint32_t *r;
};

template <bool TRANSPOSED> void mu_emulate_matrices(const std::uint64_t *brought)
{
    for (unsigned lane = 0; lane < MU_EMULATE_WARP; lane++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned g = lane / 4, t = lane % 4;
            std::uint16_t two[2];

            for (unsigned h = 0; h < 2; h++) {
                unsigned row = TRANSPOSED ? 2 * t + h : g, column = TRANSPOSED ? g : 2 * t + h;
                const auto *from =
                    reinterpret_cast<const mu_emulate_row *>(brought[8 * i + row])->at;

                std::memcpy(&two[h], from + 2 * column, sizeof two[h]);
            }
            reinterpret_cast<const mu_emulate_row *>(brought[lane])->r[i] =
                two[0] | static_cast<std::uint32_t>(two[1]) << 16;
        }
}

template <bool TRANSPOSED>
void mu_emulate_load_matrices(mu_emulate_site site, std::uint32_t *r, const void *row)
{
    mu_emulate_row mine = {static_cast<const unsigned char *>(row), r};

    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
        mu_emulate_fail(site, "reads a row that is not aligned to 16 bytes");
    mu_emulate_meet(site, MU_EMULATE_ALL, reinterpret_cast<std::uint64_t>(&mine),
                    mu_emulate_matrices<TRANSPOSED>);
}

inline void mu_load_matrices(std::uint32_t (&r)[4], const void *row,
                             const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    mu_emulate_load_matrices<false>({"ldmatrix", file, line}, r, row);
}

inline void mu_load_matrices_transposed(std::uint32_t (&r)[4], const void *row,
                                        const char *file = __builtin_FILE(),
                                        int line = __builtin_LINE())
{
    mu_emulate_load_matrices<true>({"ldmatrix.trans", file, line}, r, row);
}

inline std::uint32_t mu_two_bf16(float first, float second)
{
    return __float2bfloat16_rn(first).bits |
           static_cast<std::uint32_t>(__float2bfloat16_rn(second).bits) << 16;
}

inline float mu_exp2(float x)
{
    float y = exp2f(x);

    return y < 0x1p-126f ? 0 : y; /* a NaN stays one */
}

inline void mu_store_four(float *to, const float (&four)[4], const char *file = __builtin_FILE(),
                          int line = __builtin_LINE())
{
    if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0)
        mu_emulate_fail({"st.v4", file, line}, "stores to what is not aligned to 16 bytes");
    std::memcpy(to, four, sizeof four);
}

inline void mu_copy_start(void *to, const void *from, bool inside,
                          const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    mu_emulate_copy({"cp.async", file, line}, to, inside ? from : nullptr);
}

inline void mu_copy_wait()
{
    mu_emulate_copy_wait();
}

/* Only reads, so that AddressSanitizer sees where. */
inline void mu_prefetch(const void *p)
{
    (void)*static_cast<const volatile char *>(p);
}

inline int mu_turn_look(const int *turn)
{
    return *turn;
}

inline void mu_turn_set(int *turn, int value)
{
    *turn = value;
}

/* Blocks run one after the other: who has not had his turn will not have it. */
inline void mu_turn_wait(const int *turn, int value, const char *file = __builtin_FILE(),
                         int line = __builtin_LINE())
{
    if (*turn != value)
        mu_emulate_fail({"a turn", file, line}, "waits for a block that has not run");
}

#endif
