/* The plain operations, declared for one type of real number. Included by reference_f32.h and
 * reference_f64.h, which define `real` and MU_REF(name); so there is no guard.
 *
 * Each is its namesake of kernels/device.h with every act and f32 buffer of type `real`: shapes and
 * meaning are told there. `device` only brings the poll hook and may be NULL. */

void MU_REF(embed)(struct mu_device *device, real *out, const real *table, const real *position,
                   const int32_t *token, int64_t n, int64_t t, int64_t c);
void MU_REF(embed_backward)(struct mu_device *device, real *rows, real *dposition, const real *dout,
                            const int32_t *row_of, int64_t n, int64_t t, int64_t c,
                            bool overwrite_position);
void MU_REF(layernorm)(struct mu_device *device, real *out, real *mean, real *rstd, real *x_out,
                       const real *x, const real *branch, const real *weight, const real *bias,
                       int64_t n, int64_t c);
void MU_REF(layernorm_backward)(struct mu_device *device, real *dx, real *dweight, real *dbias,
                                const real *dout, const real *x, const real *weight,
                                const real *mean, const real *rstd, int64_t n, int64_t c,
                                bool overwrite);
void MU_REF(rmsnorm)(struct mu_device *device, real *out, real *rstd, real *x_out, const real *x,
                     const real *branch, const real *weight, int64_t n, int64_t c);
void MU_REF(rmsnorm_backward)(struct mu_device *device, real *dx, real *dweight, const real *dout,
                              const real *x, const real *weight, const real *rstd, int64_t n,
                              int64_t c, bool overwrite);
void MU_REF(linear)(struct mu_device *device, struct mu_linear shape, real *y, real *before,
                    const real *x, const real *w, const real *b, enum mu_epilogue epilogue);
void MU_REF(linear_backward_input)(struct mu_device *device, struct mu_linear shape, real *dx,
                                   const real *dy, const real *w);
void MU_REF(linear_backward_weight)(struct mu_device *device, struct mu_linear shape, real *dw,
                                    real *db, const real *dy, const real *x, bool overwrite);
void MU_REF(gelu_backward)(struct mu_device *device, real *d, const real *before, int64_t n);
void MU_REF(swiglu)(struct mu_device *device, real *out, const real *both, int64_t n, int64_t f);
void MU_REF(swiglu_backward)(struct mu_device *device, real *dboth, const real *dout,
                             const real *both, int64_t n, int64_t f);
void MU_REF(rotate)(struct mu_device *device, struct mu_attention shape, real *qkv,
                    const real *turn, bool backward);
void MU_REF(attention)(struct mu_device *device, struct mu_attention shape, real *out, real *lse,
                       const real *qkv);
void MU_REF(attention_last)(struct mu_device *device, struct mu_attention shape, real *out,
                            const real *qkv);
void MU_REF(attention_backward)(struct mu_device *device, struct mu_attention shape, real *dqkv,
                                const real *dout, const real *out, const real *qkv,
                                const real *lse);
void MU_REF(classifier)(struct mu_device *device, real *losses, real *dx, real *dtable,
                        const real *x, const real *table, const int32_t *target, real scale,
                        int64_t n, int64_t c, int64_t v, bool overwrite);

struct MU_REF(adamw_args) {
    int64_t count;
    const real *weight, *m, *v, *gradient;
    real *weight_out, *m_out, *v_out;
    real gradient_scale, lr, beta1, beta2, eps, decay, bias1, bias2;
};
void MU_REF(adamw)(struct mu_device *device, const struct MU_REF(adamw_args) * a);
