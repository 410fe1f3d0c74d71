/* A matrix product cut into tiles fixed by its shape: what threads share out.
 *
 *   C (m, n) f32 (+)= A (m, k) B (k, n)
 *
 * A tile is computed by one worker, its k in steps, each step one primitive (gemm.h) that adds to
 * the last; between steps the worker polls. A step takes a few milliseconds at most. */
#ifndef MUSTER_KERNELS_CPU_PRODUCTS_H
#define MUSTER_KERNELS_CPU_PRODUCTS_H

#include "kernels/cpu/cpu.h"

struct mu_tile {
    int64_t row, rows, col, cols; /* of C */
};

struct mu_product {
    /* Set by the caller. a, b: act or f32 by shape.bf16. */
    struct mu_gemm_shape shape; /* of the whole */
    const void *a, *b;
    float *c; /* NULL: tiles go to the worker's scratch, see mu_product_tile */

    /* Set by mu_product_plan. */
    struct mu_cpu *cpu;
    int64_t tile_rows, tile_cols, step; /* the last ones are smaller */
    int64_t tiles_down, tiles_across, steps;
    const struct mu_gemm *gemm[2][2][3]; /* last row?, last column?, step: first, middle, last */
};

/* With c NULL the worker's scratch is reserved: a tile of tile_rows x tile_cols from its start on,
 * with row stride shape.ldc, which is set here. */
void mu_product_plan(struct mu_cpu *cpu, struct mu_product *p);
static inline int64_t mu_product_tiles(const struct mu_product *p)
{
    return p->tiles_down * p->tiles_across;
}

struct mu_tile mu_product_tile_at(const struct mu_product *p, int64_t index);

/* Computes a tile; returns where its element (0, 0) lies, rows shape.ldc apart. */
float *mu_product_tile(const struct mu_product *p, struct mu_tile tile, int worker);

/* The whole product, all threads: plan, tiles. */
void mu_product_run(struct mu_cpu *cpu, struct mu_product *p);

#endif
