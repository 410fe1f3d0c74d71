/* Two checkpoints, number by number: which tensors differ, where first, and how far. Reads a piece
 * of each at a time. */
#ifndef MUSTER_COMPARE_TENSORS_H
#define MUSTER_COMPARE_TENSORS_H

#include "worker/checkpoint/reader.h"

/* Of one array of one tensor. Numbers differ when their bits do: a NaN is equal to itself, and -0
 * is not 0. */
struct mu_array_difference {
    uint64_t elements, differing;
    uint64_t row, col;  /* of the first that differs */
    double first[2];    /* it, in A and B */
    double most;        /* largest |a - b| */
    double relative;    /* norm of b - a over the norm of a; Inf when a is 0 */
    double squares[2];  /* sums over what is finite in both: of a, and of b - a */
    uint64_t nonfinite; /* differing, and NaN or Inf in one: they are in neither measure */
};

struct mu_tensor_difference {
    const struct mu_tensor_spec *spec[2]; /* in A and B; NULL: it has no such tensor */
    bool compared;                        /* in both, of one shape */
    struct mu_array_difference array[MU_ARRAY_COUNT];
};

struct mu_tensors_compared {
    struct mu_checkpoint_reader *reader[2]; /* spec points into them */
    struct mu_tensor_difference *tensor;    /* in A's order, then those in B alone */
    uint32_t count;
    uint32_t first; /* the first that differs; count: none does */
};

/* MU_CORRUPT when one of them is damaged, MU_NOT_FOUND when it is not there: reported. */
enum mu_status mu_tensors_compare(const char *a, const char *b,
                                  struct mu_tensors_compared *out) MU_CHECKED;
void mu_tensors_compared_deinit(struct mu_tensors_compared *c);
bool mu_tensor_differs(const struct mu_tensor_difference *t);

/* For tests, and for whoever has the bytes: adds `count` consecutive elements, the first of which
 * is number `from` of the array. finish when all have been added. */
void mu_array_difference_add(struct mu_array_difference *d, enum mu_array array, uint64_t cols,
                             uint64_t from, const void *a, const void *b, uint64_t count);
void mu_array_difference_finish(struct mu_array_difference *d);

#endif
