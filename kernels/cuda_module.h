/* muster-cuda.so from the program's side: found by name, loaded when it is asked for, so that the
 * program starts where there is no CUDA. It is looked for beside the program and in ../lib/muster
 * from there; MUSTER_CUDA_MODULE names another file. With MUSTER_CUDA_SHARE=1
 * ranks share GPUs when there are too few, for tests: the number of a GPU is then taken modulo
 * theirs. */
#ifndef MUSTER_KERNELS_CUDA_MODULE_LOADER_H
#define MUSTER_KERNELS_CUDA_MODULE_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/device.h"

/* MU_CONFIG, with what is missing and what to do: the module, libraries that it needs, a driver, a
 * GPU of this number, a GPU that can what the options ask for. */
enum mu_status mu_cuda_check(const struct mu_device_options *options) MU_CHECKED;
/* The same, and opens the device. */
enum mu_status mu_cuda_open(const struct mu_device_options *options,
                            struct mu_device **out) MU_CHECKED;

/* Whether MUSTER_CUDA_SHARE says so. */
bool mu_cuda_is_shared(void);

/* mu_device_look. A module that cannot be had is a problem of the GPUs, too. */
enum mu_status mu_cuda_look(struct mu_device_gpus *out) MU_CHECKED;

/* Lines for --version: "CUDA 13.0, cuBLASLt 13.1.0, sm_80 sm_90; driver for 13.0", then a line a
 * GPU, with the number by which ranks see it and its place on the bus; or why there is none. */
void mu_cuda_describe(char *out, size_t capacity);

#endif
