/* The pretended machine: what the stand-ins of the CUDA runtime and of NCCL share.
 *
 * One lock: public functions take it (call, wait_until); whatever else is declared here is called
 * with it held. An operation is put at the end of a stream's queue. The head of a queue is tried
 * whenever any public function is called:
 *
 *   QUEUED --at the head, what it comes after is done--> TRIED --not cudaErrorNotReady--> done
 *
 * The first operation that fails breaks the device: queues are dropped, and every call returns its
 * error from then on, as after a sticky error on hardware. */
#ifndef MUSTER_KERNELS_EMULATE_MACHINE_H
#define MUSTER_KERNELS_EMULATE_MACHINE_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/emulate/include/cuda_runtime_api.h"

namespace mu_emulate
{
/* ---- what was asked for (control.h) ---- */
struct nth {
    std::uint64_t number; /* from 1; 0: never */
    int error;
};

struct settings {
    std::vector<int> devices; /* what CUDA_VISIBLE_DEVICES lets through, by number on the host */
    std::size_t memory_bytes;
    int driver, capability, mig;
    bool lazy, newest_first, memory_stays_open;
    double wait_s;
    nth fail, nccl_error, nccl_form;
    std::uint64_t nccl_abort_hangs, nccl_abort_ms, nccl_torn;
    bool nccl_remote, nccl_end_hangs;
    unsigned nccl_order;
    int blas_first; /* -1: as it is */
    unsigned long blas_slow_us[4];
    std::uint64_t blas_version; /* 0: the stand-in's own */
};
const settings &asked();
void forget_settings(); /* the environment is read anew */

/* ---- calls ---- */
using hold = std::unique_lock<std::mutex>;
extern std::mutex lock;
extern thread_local int current_device;
extern thread_local cudaError_t last_error;

/* What stands in the way of any call: no driver, no device, a broken device. */
cudaError_t obstacle();
/* The error that this call is asked to fail with; counts calls. */
cudaError_t asked_error();
/* Whether no call works after it. */
bool is_sticky(cudaError_t error);
/* Remembers a call's error for cudaGetLastError; returns it. */
cudaError_t report(cudaError_t error);
void break_device(cudaError_t error, const char *why);
cudaError_t broken(); /* cudaSuccess: it is not */
void progress_unless_lazy();

/* The ways into the machine: `body(held)` returns a cudaError_t. ask() is for queries, which do not
 * count: how many a program makes is a matter of time. */
template <class F> cudaError_t ask(F body)
{
    hold held(lock);
    cudaError_t error = obstacle();

    return report(error != cudaSuccess ? error : body(held));
}

template <class F> cudaError_t call(F body)
{
    return ask([&](hold &held) {
        cudaError_t error = asked_error();

        progress_unless_lazy();
        if (error == cudaSuccess)
            return broken() != cudaSuccess ? broken() : body(held);
        if (is_sticky(error))
            break_device(error, "as asked for");
        return error;
    });
}

/* A bug of the caller that hardware would answer with a hang or garbage. */
[[noreturn]] void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- memory ---- */
/* While one of these lives, the host may touch device memory. */
class memory_open
{
  public:
    memory_open();
    ~memory_open();
    memory_open(const memory_open &) = delete;
    memory_open &operator=(const memory_open &) = delete;
};

enum class place { HOST, LOCKED, DEVICE, NOWHERE }; /* LOCKED: page-locked host memory */
/* NOWHERE: device memory that is not, or not wholly, allocated. */
place place_of(const void *memory, std::size_t bytes);
void free_all_memory();
bool memory_in_use();

/* ---- streams ---- */
struct marker {
    bool done;
    std::uint64_t time_ns;
};

struct operation {
    std::string name;
    /* Called at the head of the stream until it does not return cudaErrorNotReady. */
    std::function<cudaError_t()> run;
    std::vector<std::shared_ptr<marker>> after; /* of other streams */
    std::shared_ptr<marker> done;
};

/* *done (may be NULL): of the operation. An error: it was not taken, or the device is broken. */
cudaError_t enqueue(cudaStream_t stream, std::string name, std::function<cudaError_t()> run,
                    std::shared_ptr<marker> *done);
/* NULL: no such stream. */
CUstream_st *find_stream(cudaStream_t stream);
int stream_device(cudaStream_t stream); /* -1: no such stream */
/* Tries the heads of all queues until none moves; one of them where MUSTER_EMULATE_LAZY is set.
 * Whether one moved. */
bool progress();
/* Polls, letting other threads in; dies in words when that takes too long. */
cudaError_t wait_until(hold &held, const char *who, const std::function<bool()> &over);
cudaError_t wait_for_device(hold &held, const char *who);
void heal(); /* takes the lock */
void drop_streams();
std::uint64_t now_ns();

/* ---- NCCL ---- */
bool nccl_progress();
void nccl_forget();
} // namespace mu_emulate

#endif
