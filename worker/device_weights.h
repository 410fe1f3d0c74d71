/* Weights where a workload reads them. A device that shares its memory with the host reads the
 * segment's; one with memory of its own gets a copy of the half it is to compute with, brought up
 * to date when a step, or whatever else wrote to the segment's halves, has made it old. */
#ifndef MUSTER_WORKER_DEVICE_WEIGHTS_H
#define MUSTER_WORKER_DEVICE_WEIGHTS_H

#include "kernels/device.h"
#include "worker/segment.h"
#include "worker/workload.h"

/* All zero: nothing of its own, the segment's weights are given. */
struct mu_device_weights {
    struct mu_device *device;
    uint64_t elements;
    float *f32;     /* device memory; NULL where the host's can be read */
    uint16_t *bf16; /* the same; NULL in fp32 too */
    bool is_current;
    uint64_t state; /* the segment's word that the copy is of; of meaning when it is current */
};

/* MU_NO_MEMORY. The device is borrowed. */
enum mu_status mu_device_weights_init(struct mu_device_weights *x, struct mu_device *device,
                                      uint64_t elements) MU_CHECKED;
void mu_device_weights_deinit(struct mu_device_weights *x);
/* A half was or is being written otherwise than by a step: the copy is taken anew. Every rank that
 * may hold one says so, also of what other ranks of its host write. */
void mu_device_weights_forget(struct mu_device_weights *x);
/* Weights of the half that `state` (a value of the segment's word) names; nobody writes to it
 * meanwhile. Polls. Fails with what the device's hook told. */
enum mu_status mu_device_weights_take(struct mu_device_weights *x, const struct mu_segment *segment,
                                      uint64_t state, struct mu_weights *out) MU_CHECKED;

#endif
