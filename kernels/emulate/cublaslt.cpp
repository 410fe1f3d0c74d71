/* cuBLASLt's products as plain loops, on column-major matrices as it has them:
 * D (m, n) = epilogue(alpha op(A) op(B) + beta C + bias), in fp32, rounded to D's type at the end.
 *
 * Candidates add in different orders (blas_control.h), so that two ranks that do not run the same
 * algorithm have other bits. What the library refuses is refused: descriptors at odds with each
 * other, an epilogue without its pointers or with another stride than it allows, pointers less
 * aligned than the preference that the algorithm was chosen by, too little workspace, an algorithm
 * of another version. */
#include <cublasLt.h>

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/emulate/blas_control.h"
#include "kernels/emulate/machine.h"

struct cublasLtContext {
    int unused;
};

struct mu_emulate_blas_layout {
    cudaDataType type;
    std::int64_t rows, cols, ld;
};

struct mu_emulate_blas_desc {
    cublasComputeType_t compute;
    std::int32_t transpose_a, transpose_b;
    std::uint32_t epilogue;
    void *bias, *aux;
    std::int64_t aux_ld;
};

struct mu_emulate_blas_preference {
    std::uint64_t workspace;
    std::uint32_t reduction_mask, alignment[4]; /* of A, B, C, D */
};

namespace
{
constexpr std::uint64_t OWN_VERSION = 130100;
constexpr std::size_t SIDE_ALIGNMENT = 16; /* of bias, aux and workspace */
constexpr int ALGORITHMS = 4;

mu_emulate_blas_faults faults;
std::int64_t runs[ALGORITHMS], objects;

/* What stands in the 64 bytes of an algorithm. */
struct algorithm {
    std::uint64_t version, id, scheme, workspace, alignment[4];
};
static_assert(sizeof(algorithm) == sizeof(cublasLtMatmulAlgo_t), "an algorithm is 64 bytes");

algorithm unpack(const cublasLtMatmulAlgo_t &blob)
{
    algorithm a;

    std::memcpy(&a, &blob, sizeof a);
    return a;
}

/* Not from within an operation, which has the lock. */
mu_emulate::settings asked()
{
    mu_emulate::hold held(mu_emulate::lock);

    return mu_emulate::asked();
}

cublasStatus_t once(int &status)
{
    int is = status;

    status = CUBLAS_STATUS_SUCCESS;
    return static_cast<cublasStatus_t>(is);
}

template <class T> cublasStatus_t create(T **out, const T &value)
{
    *out = new T(value);
    objects++;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t destroy(T *object)
{
    if (!object)
        return CUBLAS_STATUS_INVALID_VALUE;
    delete object;
    objects--;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t set(T &field, const void *value, std::size_t size)
{
    if (!value || size != sizeof field)
        return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&field, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

bool is_aligned(const void *p, std::size_t bytes)
{
    return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

float load(const void *p, cudaDataType type, std::int64_t i)
{
    return type == CUDA_R_32F ? static_cast<const float *>(p)[i]
                              : mu_bf16_to_f32(static_cast<const std::uint16_t *>(p)[i]);
}

void store(void *p, cudaDataType type, std::int64_t i, float x)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(p)[i] = x;
    else
        static_cast<std::uint16_t *>(p)[i] = mu_bf16_from_f32(x);
}

/* To 10 bits of mantissa, nearest even. */
float to_tf32(float x)
{
    std::uint32_t u;

    std::memcpy(&u, &x, sizeof u);
    u = (u + 0xfff + (u >> 13 & 1)) & ~std::uint32_t(0x1fff);
    std::memcpy(&x, &u, sizeof x);
    return x;
}

float gelu(float x)
{
    return 0.5f * x * (1 + std::tanh(0.797884583f * (x + 0.044715f * x * x * x)));
}

/* One product, all that it needs; the shape is that of D (m, n) and of the sum (k). */
struct product {
    mu_emulate_blas_desc desc;
    mu_emulate_blas_layout a, b, d;
    std::int64_t m, n, k;
};

bool describe(const mu_emulate_blas_desc *desc, const mu_emulate_blas_layout *a,
              const mu_emulate_blas_layout *b, const mu_emulate_blas_layout *c,
              const mu_emulate_blas_layout *d, product *out)
{
    bool same = desc && a && b && c && d && a->type == b->type && c->type == d->type &&
                c->rows == d->rows && c->cols == d->cols && c->ld == d->ld;
    std::int64_t k_of_b;

    if (!same)
        return false;
    *out = {*desc, *a, *b, *d, d->rows, d->cols, 0};
    out->k = desc->transpose_a == CUBLAS_OP_T ? a->rows : a->cols;
    k_of_b = desc->transpose_b == CUBLAS_OP_T ? b->cols : b->rows;
    return out->k == k_of_b && out->k > 0 &&
           (desc->transpose_a == CUBLAS_OP_T ? a->cols : a->rows) == out->m &&
           (desc->transpose_b == CUBLAS_OP_T ? b->rows : b->cols) == out->n &&
           !(a->type == CUDA_R_32F && d->type != CUDA_R_32F) &&
           !(a->type != CUDA_R_32F && desc->compute != CUBLAS_COMPUTE_32F);
}

/* The epilogue's pointers matter to heuristics by their alignment alone. */
bool epilogue_is_allowed(const product &p)
{
    bool has_aux = p.desc.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;

    if (p.desc.epilogue == CUBLASLT_EPILOGUE_DEFAULT)
        return true;
    if (p.desc.epilogue != CUBLASLT_EPILOGUE_BIAS && !has_aux)
        return false;
    if (!p.desc.bias || !is_aligned(p.desc.bias, SIDE_ALIGNMENT))
        return false;
    return !has_aux || (p.desc.aux && is_aligned(p.desc.aux, SIDE_ALIGNMENT) &&
                        p.desc.aux_ld % 8 == 0 && p.desc.aux_ld >= p.m);
}

/* Candidates come in another order where a bias is aligned better than it must be: heuristics may
 * look at addresses. */
bool prefers_last(const product &p)
{
    return p.desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT && is_aligned(p.desc.bias, 64);
}

std::uint64_t workspace_of(const product &p, int id)
{
    return id == MU_EMULATE_BLAS_SPLIT ? std::uint64_t(2 * 4 * p.m * p.n) : 0;
}

std::uint32_t scheme_of(int id)
{
    return id == MU_EMULATE_BLAS_IN_PLACE ? CUBLASLT_REDUCTION_SCHEME_INPLACE
           : id == MU_EMULATE_BLAS_SPLIT  ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                                          : CUBLASLT_REDUCTION_SCHEME_NONE;
}

/* op(A) as (m, k), op(B) as (n, k): rows one after the other. */
std::vector<float> read_rows(const void *from, const mu_emulate_blas_layout &layout, bool across,
                             std::int64_t rows, std::int64_t k, bool tf32)
{
    std::vector<float> to(std::size_t(rows * k));

    for (std::int64_t i = 0; i < rows; i++)
        for (std::int64_t j = 0; j < k; j++) {
            float x = load(from, layout.type, across ? i + j * layout.ld : j + i * layout.ld);

            to[std::size_t(i * k + j)] = tf32 ? to_tf32(x) : x;
        }
    return to;
}

float dot(const float *a, const float *b, std::int64_t from, std::int64_t to)
{
    float sum = 0;

    for (std::int64_t i = from; i < to; i++)
        sum += a[i] * b[i];
    return sum;
}

float dot_by(int id, const float *a, const float *b, std::int64_t k)
{
    std::int64_t middle = k / 2;
    float sum = 0;

    if (id == MU_EMULATE_BLAS_IN_PLACE) /* whoever comes first */
        middle = (runs[id] * 7) % k;
    if (id == MU_EMULATE_BLAS_FORWARD)
        return dot(a, b, 0, k);
    if (id != MU_EMULATE_BLAS_BACKWARD)
        return dot(a, b, 0, middle) + dot(a, b, middle, k);
    for (std::int64_t i = k; i-- > 0;)
        sum += a[i] * b[i];
    return sum;
}

void run(const product &p, int id, float alpha, const void *a, const void *b, float beta,
         const void *c, void *d, void *workspace)
{
    bool tf32 = p.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    std::vector<float> rows = read_rows(a, p.a, p.desc.transpose_a != CUBLAS_OP_T, p.m, p.k, tf32);
    std::vector<float> cols = read_rows(b, p.b, p.desc.transpose_b == CUBLAS_OP_T, p.n, p.k, tf32);

    if (workspace_of(p, id) > 0)
        std::memset(workspace, 0xff, workspace_of(p, id));
    for (std::int64_t j = 0; j < p.n; j++)
        for (std::int64_t i = 0; i < p.m; i++) {
            float x =
                alpha * dot_by(id, &rows[std::size_t(i * p.k)], &cols[std::size_t(j * p.k)], p.k);

            if (beta != 0)
                x += beta * load(c, p.d.type, i + j * p.d.ld);
            if (p.desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
                x += load(p.desc.bias, p.d.type, i);
            if (p.desc.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
                store(p.desc.aux, p.d.type, i + j * p.desc.aux_ld, x);
                x = gelu(x);
            }
            store(d, p.d.type, i + j * p.d.ld, x);
        }
}
} // namespace

void mu_emulate_blas_set_faults(const struct mu_emulate_blas_faults *wanted)
{
    faults = *wanted;
    std::memset(runs, 0, sizeof runs);
}

int64_t mu_emulate_blas_runs(enum mu_emulate_blas_algorithm id)
{
    return runs[id];
}

int64_t mu_emulate_blas_objects(void)
{
    return objects;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
        return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}

size_t cublasLtGetVersion(void)
{
    std::uint64_t wanted = asked().blas_version;

    return faults.version ? faults.version : wanted ? wanted : OWN_VERSION;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    cublasStatus_t status = once(faults.create_status);

    return status == CUBLAS_STATUS_SUCCESS ? create(handle, cublasLtContext{0}) : status;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy(handle);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    if (ld < std::int64_t(rows))
        return CUBLAS_STATUS_INVALID_VALUE;
    return create(layout, {type, std::int64_t(rows), std::int64_t(cols), ld});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy(layout);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (scale != CUDA_R_32F)
        return CUBLAS_STATUS_INVALID_VALUE;
    return create(
        desc, {compute, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr, nullptr, 0});
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return destroy(desc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t size)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(desc->transpose_a, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(desc->transpose_b, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(desc->epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(desc->bias, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        return set(desc->aux, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        return set(desc->aux_ld, value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    return create(preference, {0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}});
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t size)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(preference->workspace, value, size);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return set(preference->reduction_mask, value, size);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES],
                   value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    cublasStatus_t fault = once(faults.heuristic_status);
    product p;

    *count = 0;
    if (fault != CUBLAS_STATUS_SUCCESS)
        return fault;
    if (!handle || !preference || wanted <= 0 || !describe(desc, a, b, c, d, &p))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!epilogue_is_allowed(p) || int(p.desc.epilogue) == faults.lacks_epilogue)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (int i = -1, first = asked().blas_first; i < ALGORITHMS && *count < wanted; i++) {
        int id = i < 0 ? first : prefers_last(p) ? ALGORITHMS - 1 - i : i;

        if (id < 0 || (i >= 0 && id == first))
            continue;
        std::uint64_t workspace = workspace_of(p, id);
        const std::uint32_t *align = preference->alignment;
        algorithm algo = {cublasLtGetVersion(),
                          std::uint64_t(id),
                          scheme_of(id),
                          workspace,
                          {align[0], align[1], align[2], align[3]}};
        cublasLtMatmulHeuristicResult_t *r = &results[*count];

        if (workspace > preference->workspace ||
            (algo.scheme && !(algo.scheme & preference->reduction_mask)))
            continue;
        *r = {};
        std::memcpy(&r->algo, &algo, sizeof algo);
        r->workspaceSize = workspace;
        (*count)++;
    }
    return *count > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *blob,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    algorithm algo = unpack(*blob);
    product p;

    if (!handle || !describe(desc, a, b, c, d, &p))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (algo.version != cublasLtGetVersion() || algo.id >= ALGORITHMS ||
        algo.workspace != workspace_of(p, int(algo.id)))
        return CUBLAS_STATUS_INVALID_VALUE;
    *result = {};
    result->workspaceSize = algo.workspace;
    return epilogue_is_allowed(p) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *blob,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t size, size_t *written)
{
    std::uint32_t scheme = std::uint32_t(unpack(*blob).scheme);

    if (attribute != CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME || size != sizeof scheme)
        return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(value, &scheme, size);
    *written = size;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *blob,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    cublasStatus_t fault = once(faults.matmul_status);
    const void *operands[] = {a, b, c, d};
    algorithm algo = unpack(*blob);
    cublasLtMatmulHeuristicResult_t checked;
    product p = {};
    float of_product, of_c;

    if (fault != CUBLAS_STATUS_SUCCESS)
        return fault;
    if (cublasLtMatmulAlgoCheck(handle, desc, a_layout, b_layout, c_layout, d_layout, blob,
                                &checked) != CUBLAS_STATUS_SUCCESS ||
        checked.workspaceSize > workspace_bytes || !is_aligned(workspace, SIDE_ALIGNMENT))
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int i = 0; i < 4; i++)
        if (!operands[i] || !is_aligned(operands[i], algo.alignment[i]))
            return CUBLAS_STATUS_INVALID_VALUE;
    describe(desc, a_layout, b_layout, c_layout, d_layout, &p);
    std::memcpy(&of_product, alpha, sizeof of_product);
    std::memcpy(&of_c, beta, sizeof of_c);
    auto operation = [=] {
        mu_emulate::memory_open open;

        runs[algo.id]++;
        if (unsigned long us = faults.slow_us[algo.id] + mu_emulate::asked().blas_slow_us[algo.id])
            usleep(useconds_t(us));
        run(p, int(algo.id), of_product, a, b, of_c, c, d, workspace);
        return cudaSuccess;
    };
    cudaError_t error = mu_emulate::call([&](mu_emulate::hold &) {
        return mu_emulate::enqueue(stream, "cublasLtMatmul", operation, nullptr);
    });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
