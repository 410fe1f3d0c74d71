/* Matrix products by oneDNN: the only file that includes it; builds with 2.x and 3.x.
 *
 * Why one thread a primitive: oneDNN picks its blocking by the number of threads, so its own
 * threading gives other bits on another number of cores. And why user scratchpads: with the
 * library's own a primitive run by two threads at once races. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/isa.h"
#include "kernels/device.h"

/* What one worker hands to a primitive: memory objects hold a pointer, so workers cannot share. */
struct arguments {
    dnnl_memory_t a, b, c, scratchpad;
};

struct mu_gemm {
    struct mu_gemm_engine *engine;
    struct mu_gemm_shape shape;
    dnnl_primitive_t primitive;
    struct arguments *of_worker;
};

struct mu_gemm_engine {
    dnnl_engine_t engine;
    int workers;
    dnnl_stream_t *streams; /* a worker each */
    void **scratch;         /* a worker each, as large as the neediest primitive */
    size_t scratch_bytes;
    struct mu_gemm **table; /* open addressing; size is a power of two */
    size_t table_size, table_used;
};

/* ---- what differs between 2.x and 3.x: descriptors ------------------------------------------ */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout_desc;

static bool make_layout(layout_desc *l, dnnl_dims_t dims, dnnl_dims_t strides, dnnl_data_type_t t)
{
    return dnnl_memory_desc_create_with_strides(l, 2, dims, t, strides) == dnnl_success;
}

static void drop_layout(layout_desc *l)
{
    dnnl_memory_desc_destroy(*l);
}

static bool make_descriptor(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const layout_desc l[3],
                            dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(pd, engine, l[0], l[1], NULL, l[2], attr) ==
           dnnl_success;
}

static bool append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef) == dnnl_success;
}

static bool make_memory(dnnl_memory_t *m, const layout_desc *l, dnnl_engine_t engine)
{
    return dnnl_memory_create(m, *l, engine, DNNL_MEMORY_NONE) == dnnl_success;
}

static bool make_scratchpad(dnnl_memory_t *m, const_dnnl_primitive_desc_t pd, dnnl_engine_t engine,
                            size_t *bytes)
{
    const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);

    *bytes = dnnl_memory_desc_get_size(md);
    return dnnl_memory_create(m, md, engine, DNNL_MEMORY_NONE) == dnnl_success;
}
#else
typedef dnnl_memory_desc_t layout_desc;

static bool make_layout(layout_desc *l, dnnl_dims_t dims, dnnl_dims_t strides, dnnl_data_type_t t)
{
    return dnnl_memory_desc_init_by_strides(l, 2, dims, t, strides) == dnnl_success;
}

static void drop_layout(layout_desc *l)
{
    (void)l;
}

static bool make_descriptor(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const layout_desc l[3],
                            dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t d;

    return dnnl_matmul_desc_init(&d, &l[0], &l[1], NULL, &l[2]) == dnnl_success &&
           dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) == dnnl_success;
}

static bool append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0f) == dnnl_success;
}

static bool make_memory(dnnl_memory_t *m, const layout_desc *l, dnnl_engine_t engine)
{
    return dnnl_memory_create(m, l, engine, DNNL_MEMORY_NONE) == dnnl_success;
}

static bool make_scratchpad(dnnl_memory_t *m, const_dnnl_primitive_desc_t pd, dnnl_engine_t engine,
                            size_t *bytes)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);

    *bytes = dnnl_memory_desc_get_size(md);
    return dnnl_memory_create(m, md, engine, DNNL_MEMORY_NONE) == dnnl_success;
}
#endif

/* ---- one product ---------------------------------------------------------------------------- */
static bool make_layouts(layout_desc l[3], const struct mu_gemm_shape *s)
{
    dnnl_data_type_t in = s->bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_dims_t dims_a = {s->m, s->k}, dims_b = {s->k, s->n}, dims_c = {s->m, s->n};
    dnnl_dims_t by_row_a = {s->lda, 1}, by_col_a = {1, s->lda};
    dnnl_dims_t by_row_b = {s->ldb, 1}, by_col_b = {1, s->ldb}, by_row_c = {s->ldc, 1};

    return make_layout(&l[0], dims_a, s->a_is_kxm ? by_col_a : by_row_a, in) &&
           make_layout(&l[1], dims_b, s->b_is_nxk ? by_col_b : by_row_b, in) &&
           make_layout(&l[2], dims_c, by_row_c, dnnl_f32);
}

static bool make_attributes(dnnl_primitive_attr_t *attr, bool accumulate)
{
    dnnl_post_ops_t ops;
    bool ok;

    if (dnnl_primitive_attr_create(attr) != dnnl_success)
        return false;
    if (dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) != dnnl_success)
        return false;
    if (!accumulate)
        return true;
    if (dnnl_post_ops_create(&ops) != dnnl_success)
        return false;
    ok = append_sum(ops) && dnnl_primitive_attr_set_post_ops(*attr, ops) == dnnl_success;
    dnnl_post_ops_destroy(ops);
    return ok;
}

static bool make_arguments(struct mu_gemm *g, const layout_desc l[3],
                           const_dnnl_primitive_desc_t pd, size_t *scratch_bytes)
{
    dnnl_engine_t engine = g->engine->engine;

    g->of_worker = calloc((size_t)g->engine->workers, sizeof *g->of_worker);
    if (!g->of_worker)
        return false;
    for (int w = 0; w < g->engine->workers; w++) {
        struct arguments *x = &g->of_worker[w];

        if (!make_memory(&x->a, &l[0], engine) || !make_memory(&x->b, &l[1], engine) ||
            !make_memory(&x->c, &l[2], engine) ||
            !make_scratchpad(&x->scratchpad, pd, engine, scratch_bytes))
            return false;
    }
    return true;
}

static void drop_gemm(struct mu_gemm *g)
{
    if (!g)
        return;
    for (int w = 0; g->of_worker && w < g->engine->workers; w++) {
        struct arguments *x = &g->of_worker[w];

        dnnl_memory_destroy(x->a);
        dnnl_memory_destroy(x->b);
        dnnl_memory_destroy(x->c);
        dnnl_memory_destroy(x->scratchpad);
    }
    dnnl_primitive_destroy(g->primitive);
    free(g->of_worker);
    free(g);
}

/* NULL when the library cannot. `info` receives the name of the implementation. */
static struct mu_gemm *make_gemm(struct mu_gemm_engine *e, const struct mu_gemm_shape *s,
                                 size_t *scratch_bytes, char info[64])
{
    struct mu_gemm *g = calloc(1, sizeof *g);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    layout_desc layouts[3];
    const char *name = "";
    bool ok;

    memset(layouts, 0, sizeof layouts);
    if (!g)
        return NULL;
    g->engine = e;
    g->shape = *s;
    ok = make_layouts(layouts, s) && make_attributes(&attr, s->accumulate) &&
         make_descriptor(&pd, e->engine, layouts, attr) &&
         dnnl_primitive_create(&g->primitive, pd) == dnnl_success &&
         make_arguments(g, layouts, pd, scratch_bytes);
    if (ok && info) {
        (void)dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name);
        snprintf(info, 64, "%s", name);
    }
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i < 3; i++)
        drop_layout(&layouts[i]);
    if (!ok) {
        drop_gemm(g);
        return NULL;
    }
    return g;
}

void mu_gemm_run(const struct mu_gemm *g, int worker, const void *a, const void *b, float *c)
{
    struct mu_gemm_engine *e = g->engine;
    const struct arguments *x = &g->of_worker[worker];
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, x->a},
                              {DNNL_ARG_WEIGHTS, x->b},
                              {DNNL_ARG_DST, x->c},
                              {DNNL_ARG_SCRATCHPAD, x->scratchpad}};

    (void)dnnl_memory_set_data_handle(x->a, (void *)(uintptr_t)a);
    (void)dnnl_memory_set_data_handle(x->b, (void *)(uintptr_t)b);
    (void)dnnl_memory_set_data_handle(x->c, c);
    (void)dnnl_memory_set_data_handle(x->scratchpad, e->scratch[worker]);
    MU_ASSERT(dnnl_primitive_execute(g->primitive, e->streams[worker], 4, args) == dnnl_success);
}

/* ---- the engine ----------------------------------------------------------------------------- */
/* Whatever OpenMP the library was built with; found by name, so that ours needs none. */
typedef void set_threads_function(int);
static set_threads_function *find_set_threads(void)
{
    set_threads_function *f;
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");

    memcpy(&f, &symbol, sizeof f); /* ISO C has no cast from object to function */
    return f;
}

void mu_gemm_enter_thread(void)
{
    set_threads_function *set = find_set_threads();

    if (set)
        set(1);
}

static bool grow_scratch(struct mu_gemm_engine *e, size_t bytes)
{
    if (bytes <= e->scratch_bytes)
        return true;
    bytes = (bytes + 4095) / 4096 * 4096;
    for (int w = 0; w < e->workers; w++) {
        free(e->scratch[w]);
        e->scratch[w] = aligned_alloc(4096, bytes);
        if (!e->scratch[w])
            return false;
        memset(e->scratch[w], 0, bytes);
    }
    e->scratch_bytes = bytes;
    return true;
}

static bool same_shape(const struct mu_gemm_shape *a, const struct mu_gemm_shape *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->lda == b->lda && a->ldb == b->ldb &&
           a->ldc == b->ldc && a->a_is_kxm == b->a_is_kxm && a->b_is_nxk == b->b_is_nxk &&
           a->bf16 == b->bf16 && a->accumulate == b->accumulate;
}

static size_t first_place(const struct mu_gemm_engine *e, const struct mu_gemm_shape *s)
{
    const int64_t part[] = {s->m,
                            s->n,
                            s->k,
                            s->lda,
                            s->ldb,
                            s->ldc,
                            s->a_is_kxm + 2 * s->b_is_nxk + 4 * s->bf16 + 8 * s->accumulate};
    uint64_t h = 0;

    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        h = (h ^ (uint64_t)part[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    return (size_t)h & (e->table_size - 1);
}

/* The entry of this shape, or the empty one where it belongs. */
static struct mu_gemm **find_place(struct mu_gemm_engine *e, const struct mu_gemm_shape *s)
{
    size_t i = first_place(e, s);

    while (e->table[i] && !same_shape(&e->table[i]->shape, s))
        i = (i + 1) & (e->table_size - 1);
    return &e->table[i];
}

static void grow_table(struct mu_gemm_engine *e)
{
    struct mu_gemm **old = e->table;
    size_t old_size = e->table_size;

    e->table_size *= 2;
    e->table = calloc(e->table_size, sizeof(struct mu_gemm *));
    MU_ASSERT(e->table);
    for (size_t i = 0; i < old_size; i++)
        if (old[i])
            *find_place(e, &old[i]->shape) = old[i];
    free(old);
}

const struct mu_gemm *mu_gemm_get(struct mu_gemm_engine *e, const struct mu_gemm_shape *shape)
{
    struct mu_gemm **place = find_place(e, shape);
    size_t scratch_bytes = 0;

    if (*place)
        return *place;
    if (2 * e->table_used >= e->table_size) {
        grow_table(e);
        place = find_place(e, shape);
    }
    mu_gemm_enter_thread(); /* blocking is chosen now, for one thread */
    *place = make_gemm(e, shape, &scratch_bytes, NULL);
    MU_ASSERT(*place && grow_scratch(e, scratch_bytes));
    e->table_used++;
    return *place;
}

/* Makes a small product of the type to see whether the library can. */
static enum mu_status try_type(struct mu_gemm_engine *e, bool bf16)
{
    struct mu_gemm_shape s = {32, 32, 32, 32, 32, 32, false, true, bf16, false};
    char info[64] = "";
    size_t bytes = 0;
    struct mu_gemm *g = make_gemm(e, &s, &bytes, info);
    bool slow = strncmp(info, "ref", 3) == 0;

    if (g && !(bf16 && slow)) {
        drop_gemm(g);
        return MU_OK;
    }
    drop_gemm(g);
    if (!bf16)
        return MU_FAIL(MU_CONFIG, "%s cannot multiply fp32 matrices on this CPU",
                       mu_device_library_version());
    return MU_FAIL(MU_CONFIG,
                   "device.precision = \"bf16\": %s has no bf16 products for this CPU and "
                   "device.isa (they need avx512 at least); set device.precision = \"fp32\"",
                   mu_device_library_version());
}

enum mu_status mu_gemm_engine_open(int workers, bool bf16, struct mu_gemm_engine **out)
{
    const dnnl_version_t *version = dnnl_version();
    struct mu_gemm_engine *e = NULL;
    enum mu_status st = MU_NO_MEMORY;

    *out = NULL;
    if (version->cpu_runtime != DNNL_RUNTIME_SEQ &&
        !(version->cpu_runtime == DNNL_RUNTIME_OMP && find_set_threads()))
        return MU_FAIL(
            MU_CONFIG,
            "%s was built with a threading of its own that cannot be switched off (TBB or "
            "a thread pool); Muster needs one built with OpenMP, as Debian's libdnnl2",
            mu_device_library_version());
    mu_gemm_enter_thread();
    e = calloc(1, sizeof *e);
    if (!e)
        goto no_memory;
    e->workers = workers;
    e->table_size = 256;
    e->table = calloc(e->table_size, sizeof(struct mu_gemm *));
    e->scratch = calloc((size_t)workers, sizeof *e->scratch);
    e->streams = calloc((size_t)workers, sizeof(dnnl_stream_t));
    if (!e->table || !e->scratch || !e->streams || !grow_scratch(e, 4096))
        goto no_memory;
    if (dnnl_engine_create(&e->engine, dnnl_cpu, 0) != dnnl_success) {
        st = MU_FAIL(MU_FAILED, "%s finds no CPU to compute on", mu_device_library_version());
        goto failed;
    }
    for (int w = 0; w < workers; w++)
        if (dnnl_stream_create(&e->streams[w], e->engine, dnnl_stream_default_flags) !=
            dnnl_success)
            goto no_memory;
    MU_TRY(try_type(e, bf16), st, failed);
    *out = e;
    return MU_OK;
no_memory:
    st = MU_FAIL(MU_NO_MEMORY, "no memory for the matrix products of %d threads", workers);
failed:
    mu_gemm_engine_close(e);
    return st;
}

void mu_gemm_engine_close(struct mu_gemm_engine *e)
{
    if (!e)
        return;
    for (size_t i = 0; e->table && i < e->table_size; i++)
        drop_gemm(e->table[i]);
    for (int w = 0; e->streams && w < e->workers; w++)
        dnnl_stream_destroy(e->streams[w]);
    for (int w = 0; e->scratch && w < e->workers; w++)
        free(e->scratch[w]);
    dnnl_engine_destroy(e->engine);
    free(e->table);
    free(e->scratch);
    free((void *)e->streams);
    free(e);
}

/* ---- for the process ------------------------------------------------------------------------ */
void mu_device_set_isa(enum mu_isa isa)
{
    static const dnnl_cpu_isa_t cap[] = {
        [MU_ISA_GENERIC] = dnnl_cpu_isa_sse41,
        [MU_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [MU_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [MU_ISA_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16,
        [MU_ISA_AMX] = dnnl_cpu_isa_avx512_core_amx,
    };

    if (isa == MU_ISA_AUTO)
        return;
    /* Fails where the CPU has less, or no such sets at all: then there is nothing to cap. */
    (void)dnnl_set_max_cpu_isa(cap[isa]);
}

const char *mu_device_library_version(void)
{
    static char text[64];
    const dnnl_version_t *v = dnnl_version();

    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}
