/* How much an operation of kernels/device.h has to do, from its shapes alone: the FLOPs of its
 * matrix products, and the bytes that must cross the memory bus at least: each operand once, read
 * or written, and twice where it is added to. What an implementation reads again, or keeps in
 * caches, is not in it; nor is the arithmetic of operations that have no products (exp, tanh,
 * sums): those are limited by memory, or should be.
 *
 * act_bytes: of an element of act (mu_device_act_bytes). */
#ifndef MUSTER_KERNELS_WORK_H
#define MUSTER_KERNELS_WORK_H

#include "kernels/device.h"

struct mu_work {
    double flops, bytes;
};

/* 2 N in out. has_before: GELU keeps the value before it, act. */
struct mu_work mu_work_linear(struct mu_linear s, size_t act_bytes, bool y_is_act, bool has_before,
                              bool has_bias);
struct mu_work mu_work_linear_backward_input(struct mu_linear s, size_t act_bytes, bool dx_is_act);
struct mu_work mu_work_linear_backward_weight(struct mu_linear s, size_t act_bytes, bool has_bias,
                                              bool overwrite);
/* Two products of which causality leaves T (T + 1) / 2 of T^2 elements; five of them backward:
 * probabilities again, dV, dP, dQ, dK (Dao 2023). */
struct mu_work mu_work_attention(struct mu_attention s, size_t act_bytes);
struct mu_work mu_work_attention_backward(struct mu_attention s, size_t act_bytes);
/* Logits, and with backward their gradient times table and x: 2 and 6 N C V. */
struct mu_work mu_work_classifier(int64_t n, int64_t c, int64_t v, size_t act_bytes, bool backward,
                                  bool overwrite);
/* Without products: so many elements read, written, and added to, of each size. */
struct mu_work mu_work_touch(double f32_elements, double act_elements, size_t act_bytes);
struct mu_work mu_work_adamw(int64_t count, bool has_bf16);
struct mu_work mu_work_quantise(int64_t elements, bool overwrite);

#endif
