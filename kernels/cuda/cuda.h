/* The "cuda" device from inside: what device.c, memory.c and operations.c share.
 *
 * One GPU, one stream for all operations, so that each sees the effect of the earlier ones; what is
 * done together with other GPUs has another (collective.c).
 * Operations on device memory are queued. The queue is bounded by *marks*: every so many launches
 * an event is recorded, and the host waits for the one recorded MARKS - 1 marks ago. Every wait
 * looks at an event, polls, and has a deadline; nothing here blocks inside CUDA for long.
 *
 * The first error is told and kept: from then on the device is *broken*, whatever the caller makes
 * of its status, and does nothing more. */
#ifndef MUSTER_KERNELS_CUDA_CUDA_H
#define MUSTER_KERNELS_CUDA_CUDA_H

#include <cuda_runtime_api.h>

#include "kernels/cuda/blas.h"
#include "kernels/device.h"

enum { MU_CUDA_MARKS = 4, MU_CUDA_LAUNCHES_A_MARK = 16, MU_CUDA_STAGES = 8 };

struct mu_cuda_lent {
    char *memory;
    size_t bytes;
};

struct mu_cuda {
    struct mu_device base;     /* first: a struct mu_device * is one of these */
    char name[256];            /* "GPU 0 of node7 (NVIDIA H100 80GB HBM3, PCI 0000:1b:00.0)" */
    enum mu_status failure;    /* what a broken one answers */
    bool hangs;                /* broken, and CUDA may wait for it for ever */
    struct mu_cuda *abandoned; /* the next of those that hang */
    uint64_t rehearsed;        /* bytes asked for of a device that only counts: options.rehearses */
    uint64_t polled_ns;
    cudaStream_t stream;
    cudaEvent_t done, mark[MU_CUDA_MARKS];
    bool marked[MU_CUDA_MARKS];
    unsigned launches;
    /* Page-locked memory through which all other host memory is copied, chunk by chunk, in turn:
     * an upload waits for the one so many before it, which has long arrived. */
    struct {
        char *memory;
        cudaEvent_t copied;
        bool used;
    } stage[MU_CUDA_STAGES];
    unsigned next_stage;
    struct mu_blas *blas;
    uint32_t *word; /* on the device: where operations leave values for the host */
    void *scratch;
    size_t scratch_bytes;
    struct mu_cuda_lent *lent;
    int lent_count, lent_capacity;
};

static inline struct mu_cuda *mu_cuda_of(struct mu_device *d)
{
    return (struct mu_cuda *)d;
}

/* ---- device.c ---- */
/* After an operation was put on the stream, with what its launch returned. Waits for it when it was
 * given lent memory, which the host may touch next. */
void mu_cuda_queued(struct mu_cuda *c, const char *operation, int error, bool has_lent);
/* The same for what tells its failures itself. */
void mu_cuda_queued_with(struct mu_cuda *c, const char *operation, enum mu_status st,
                         bool has_lent);
/* Until the event is over, with polls; `operation` is who waits. false: the device is broken. */
bool mu_cuda_await(struct mu_cuda *c, cudaEvent_t event, const char *operation);
/* Until all operations are done. */
bool mu_cuda_drain(struct mu_cuda *c, const char *operation);
/* Tells the first error, and breaks the device. Gives back false. */
bool mu_cuda_break(struct mu_cuda *c, const char *operation, int error);
/* What every operation asks first that does not fail by itself on a broken device. */
bool mu_cuda_is_broken(struct mu_cuda *c);

/* ---- memory.c ---- */
enum mu_status mu_cuda_memory_init(struct mu_cuda *c) MU_CHECKED;
void mu_cuda_memory_deinit(struct mu_cuda *c);
/* At least so many bytes until the next call, 256-byte aligned; NULL when the device is broken, as
 * it is when there is no such memory. */
void *mu_cuda_scratch(struct mu_cuda *c, size_t bytes, const char *operation);
bool mu_cuda_is_lent(const struct mu_cuda *c, const void *const *pointers, int count);
/* What an operation added to *c->word, which was 0 before. */
uint32_t mu_cuda_take_word(struct mu_cuda *c, const char *operation);

struct mu_device_room mu_cuda_memory(const struct mu_device *d);
void *mu_cuda_alloc(struct mu_device *d, size_t bytes);
void mu_cuda_free(struct mu_device *d, void *memory);
void *mu_cuda_alloc_lent(struct mu_device *d, size_t bytes);
void mu_cuda_free_lent(struct mu_device *d, void *memory);
enum mu_status mu_cuda_lend(struct mu_device *d, void *host, size_t bytes) MU_CHECKED;
void mu_cuda_take_back(struct mu_device *d, void *host);
void mu_cuda_upload(struct mu_device *d, void *to, const void *host, size_t bytes);
void mu_cuda_download(struct mu_device *d, void *host, const void *from, size_t bytes);
void mu_cuda_clear(struct mu_device *d, void *to, size_t bytes);
void mu_cuda_copy(struct mu_device *d, void *to, const void *from, size_t bytes);

/* ---- operations.c ---- */
/* Fills in everything but memory. */
void mu_cuda_operations(struct mu_device_ops *ops);

/* ---- peak.c ---- */
double mu_cuda_measure_peak(struct mu_device *d, double seconds);

/* ---- resident.c ---- */
extern const struct mu_resident_ops mu_cuda_resident_ops;

/* ---- resident_parts.c ---- */
extern const struct mu_resident_parts_ops mu_cuda_resident_parts_ops;

/* ---- device.c, for module.c ---- */
enum mu_status mu_cuda_device_open(const struct mu_device_options *options,
                                   struct mu_device **out) MU_CHECKED;

#endif
