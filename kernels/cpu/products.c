/* Tile sizes by measurement (Zen 4, oneDNN 2.6): from 96 x 192 on every tile reaches 90 % of the
 * best, wide ones (more columns than rows) a little more. Steps as long as polls allow: each reads
 * and writes its tile of C once more. */
#include "kernels/cpu/products.h"

enum {
    TILE_ROWS = 192,
    TILE_COLS = 384,
    LEAST_ROWS = 48,
    LEAST_COLS = 96,
    WANTED_TILES = 16,         /* enough for some threads to come out even */
    LEAST_TILE_WORK = 1 << 22, /* multiply-adds; below, sharing out costs more than it brings */
    STEP_WORK = 1 << 27,       /* multiply-adds: 2.5 ms at 110 GFLOP/s */
    MOST_STEP = 4096,
    ALIGN = 16,
};

/* Near-equal parts of at most `most`, multiples of ALIGN but for the last. */
static int64_t part_size(int64_t whole, int64_t most)
{
    int64_t size = mu_ceil_div(whole, mu_ceil_div(whole, most));

    return mu_min(mu_ceil_div(size, ALIGN) * ALIGN, whole);
}

static void choose_tiles(struct mu_product *p)
{
    const struct mu_gemm_shape *s = &p->shape;
    int64_t rows = TILE_ROWS, cols = TILE_COLS;

    for (;;) {
        int64_t *larger = rows > LEAST_ROWS && 2 * rows >= cols ? &rows : &cols;

        p->tile_rows = part_size(s->m, rows);
        p->tile_cols = part_size(s->n, cols);
        p->tiles_down = mu_ceil_div(s->m, p->tile_rows);
        p->tiles_across = mu_ceil_div(s->n, p->tile_cols);
        if (p->tiles_down * p->tiles_across >= WANTED_TILES ||
            p->tile_rows * p->tile_cols * s->k < LEAST_TILE_WORK ||
            (rows <= LEAST_ROWS && cols <= LEAST_COLS))
            break;
        *larger /= 2;
    }
    p->step = part_size(s->k, mu_min(STEP_WORK / (p->tile_rows * p->tile_cols), MOST_STEP));
    p->steps = mu_ceil_div(s->k, p->step);
}

/* Size of part i of `count` parts of `size` that make up `whole`. */
static int64_t size_of_part(int64_t whole, int64_t size, int64_t count, int64_t i)
{
    return i == count - 1 ? whole - i * size : size;
}

void mu_product_plan(struct mu_cpu *cpu, struct mu_product *p)
{
    MU_ASSERT(p->shape.m > 0 && p->shape.n > 0 && p->shape.k > 0);
    p->cpu = cpu;
    choose_tiles(p);
    if (!p->c) {
        p->shape.ldc = mu_ceil_div(p->tile_cols, ALIGN) * ALIGN;
        mu_cpu_reserve_worker_scratch(cpu, (size_t)(p->tile_rows * p->shape.ldc) * sizeof(float));
    }
    for (int down = 0; down < 2; down++) {
        for (int across = 0; across < 2; across++)
            for (int step = 0; step < 3; step++) {
                struct mu_gemm_shape s = p->shape;
                int64_t at = step == 2 || p->steps == 1 ? p->steps - 1 : 0;

                s.m = size_of_part(s.m, p->tile_rows, p->tiles_down, down ? p->tiles_down - 1 : 0);
                s.n = size_of_part(s.n, p->tile_cols, p->tiles_across,
                                   across ? p->tiles_across - 1 : 0);
                s.k = size_of_part(s.k, p->step, p->steps, at);
                s.accumulate = step > 0 || p->shape.accumulate;
                if (step == 0 || (step == 1 && p->steps > 2) || (step == 2 && p->steps > 1))
                    p->gemm[down][across][step] = mu_gemm_get(cpu->gemm, &s);
            }
        mu_pool_poll(cpu->pool, 0); /* making primitives takes its time, once */
    }
}

struct mu_tile mu_product_tile_at(const struct mu_product *p, int64_t index)
{
    int64_t down = index / p->tiles_across, across = index % p->tiles_across;

    return (struct mu_tile){
        .row = down * p->tile_rows,
        .rows = size_of_part(p->shape.m, p->tile_rows, p->tiles_down, down),
        .col = across * p->tile_cols,
        .cols = size_of_part(p->shape.n, p->tile_cols, p->tiles_across, across),
    };
}

float *mu_product_tile(const struct mu_product *p, struct mu_tile t, int worker)
{
    const struct mu_gemm_shape *s = &p->shape;
    bool down = t.row + t.rows == s->m, across = t.col + t.cols == s->n;
    float *c = p->c ? p->c + t.row * s->ldc + t.col : p->cpu->of_worker[worker].memory;
    int64_t size = s->bf16 ? 2 : 4;

    for (int64_t i = 0; i < p->steps; i++) {
        int64_t k = i * p->step;
        int64_t at_a = s->a_is_kxm ? k * s->lda + t.row : t.row * s->lda + k;
        int64_t at_b = s->b_is_nxk ? t.col * s->ldb + k : k * s->ldb + t.col;
        int which = i == 0 ? 0 : i == p->steps - 1 ? 2 : 1;

        mu_gemm_run(p->gemm[down][across][which], worker, (const char *)p->a + at_a * size,
                    (const char *)p->b + at_b * size, c);
        mu_pool_poll(p->cpu->pool, worker);
    }
    return c;
}

static void tile_task(void *job, int64_t task, int worker)
{
    const struct mu_product *p = job;

    (void)mu_product_tile(p, mu_product_tile_at(p, task), worker);
}

void mu_product_run(struct mu_cpu *cpu, struct mu_product *p)
{
    mu_product_plan(cpu, p);
    mu_pool_run(cpu->pool, tile_task, p, mu_product_tiles(p));
}
