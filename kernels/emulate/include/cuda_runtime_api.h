/* The CUDA runtime as far as we use it, for the host: names, numbers and meaning of the real
 * header's 13.0, behaviour of ../streams.cpp, ../memory.cpp and ../runtime.cpp. Found only where
 * kernels are emulated; what a test may ask of it is in ../control.h.
 *
 * Where the real runtime leaves a choice, this one takes the one that hurts:
 *  - device memory can be touched only by operations and kernels: the host's touch is a SIGSEGV. It
 *    is filled with 0xff when allocated and when freed;
 *  - a copy from or to host memory that is not page-locked waits for its stream;
 *  - cudaFree, cudaFreeHost and cudaHostUnregister wait for the whole device;
 *  - the device that cudaSetDevice chooses is the calling thread's alone, and a launch on another
 *    device's stream is refused.
 * A wait that cannot end aborts the process after two minutes, in words. */
#ifndef MUSTER_KERNELS_EMULATE_CUDA_RUNTIME_API_H
#define MUSTER_KERNELS_EMULATE_CUDA_RUNTIME_API_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#define MU_CUDA_DEFAULT(value) = value
#else
#define MU_CUDA_DEFAULT(value)
#endif

#define CUDART_VERSION 13000

/* X(name, number, description) */
#define MU_CUDA_ERRORS(X)                                                                    \
    X(cudaSuccess, 0, "no error")                                                            \
    X(cudaErrorInvalidValue, 1, "invalid argument")                                          \
    X(cudaErrorMemoryAllocation, 2, "out of memory")                                         \
    X(cudaErrorInitializationError, 3, "initialization error")                               \
    X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                    \
    X(cudaErrorInvalidDevicePointer, 17, "invalid device pointer")                           \
    X(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")              \
    X(cudaErrorInsufficientDriver, 35,                                                       \
      "CUDA driver version is insufficient for CUDA runtime version")                        \
    X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                         \
    X(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")  \
    X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                          \
    X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                 \
    X(cudaErrorDeviceUninitialized, 201, "invalid device context")                           \
    X(cudaErrorNoKernelImageForDevice, 209,                                                  \
      "no kernel image is available for execution on the device")                            \
    X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                 \
    X(cudaErrorUnsupportedPtxVersion, 222,                                                   \
      "the provided PTX was compiled with an unsupported toolchain.")                        \
    X(cudaErrorOperatingSystem, 304, "OS call failed or operation not supported on this OS") \
    X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                        \
    X(cudaErrorNotReady, 600, "device not ready")                                            \
    X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")              \
    X(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")         \
    X(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                \
    X(cudaErrorAssert, 710, "device-side assert triggered")                                  \
    X(cudaErrorHostMemoryAlreadyRegistered, 712,                                             \
      "part or all of the requested memory range is already mapped")                         \
    X(cudaErrorHostMemoryNotRegistered, 713,                                                 \
      "pointer does not correspond to a registered memory region")                           \
    X(cudaErrorHardwareStackError, 714, "hardware stack error")                              \
    X(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered")            \
    X(cudaErrorMisalignedAddress, 716, "misaligned address")                                 \
    X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                             \
    X(cudaErrorNotSupported, 801, "operation not supported")                                 \
    X(cudaErrorSystemDriverMismatch, 803,                                                    \
      "system has unsupported display driver / cuda driver combination")                     \
    X(cudaErrorUnknown, 999, "unknown error")

enum cudaError {
#define MU_CUDA_ERROR(name, number, description) name = number,
    MU_CUDA_ERRORS(MU_CUDA_ERROR)
#undef MU_CUDA_ERROR
};
typedef enum cudaError cudaError_t;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
#define cudaStreamLegacy ((cudaStream_t)0x1) /* NULL, by name */

/* ---- devices ---- */
struct CUuuid_st {
    char bytes[16];
};
typedef struct CUuuid_st cudaUUID_t;

struct cudaDeviceProp {
    char name[256];
    cudaUUID_t uuid; /* of a MIG instance: its own */
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
    int regsPerBlock, warpSize, maxThreadsPerBlock, maxThreadsPerMultiProcessor;
    int major, minor, multiProcessorCount, l2CacheSize;
    int integrated, canMapHostMemory, unifiedAddressing, canUseHostPointerForRegisteredMem;
    int hostRegisterSupported, concurrentKernels, streamPrioritiesSupported, ECCEnabled;
    int pciBusID, pciDeviceID, pciDomainID;
};

/* Devices that CUDA_VISIBLE_DEVICES lets through. */
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaDeviceSynchronize(void);
/* Frees all memory, streams and events of the thread's device. It heals no sticky error. */
cudaError_t cudaDeviceReset(void);
cudaError_t cudaDriverGetVersion(int *version); /* 0: no driver */
cudaError_t cudaRuntimeGetVersion(int *version);

/* ---- errors ---- */
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);
/* The last error of any call of this thread, launches included; forgotten then, unless it is
 * sticky. cudaErrorNotReady is one here: the CUDA C++ Programming Guide says that it is none, but
 * programs have met it (pytorch/pytorch pull request 18584). */
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);

/* ---- memory ---- */
#define cudaHostAllocDefault       0x00
#define cudaHostAllocPortable      0x01
#define cudaHostAllocMapped        0x02
#define cudaHostAllocWriteCombined 0x04
#define cudaHostRegisterDefault    0x00
#define cudaHostRegisterPortable   0x01
#define cudaHostRegisterMapped     0x02
#define cudaHostRegisterReadOnly   0x08

enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault, /* as the pointers say */
};

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaMalloc(void **memory, size_t bytes); /* aligned to 256 */
cudaError_t cudaFree(void *memory);
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaHostRegister(void *memory, size_t bytes, unsigned flags);
cudaError_t cudaHostUnregister(void *memory);
/* Of page-locked memory: the same pointer. */
cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream MU_CUDA_DEFAULT(0));
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes,
                            cudaStream_t stream MU_CUDA_DEFAULT(0));
/* On the NULL stream, and waited for. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);
cudaError_t cudaMemset(void *to, int value, size_t bytes);

/* ---- streams ---- */
#define cudaStreamDefault     0x00
#define cudaStreamNonBlocking 0x01 /* does not wait for the NULL stream, nor it for this one */

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest); /* 0, -5 */
cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority);
cudaError_t cudaStreamDestroy(cudaStream_t stream); /* what is on it still runs */
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
/* What comes later on the stream waits for the event's last record, as of now. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned flags MU_CUDA_DEFAULT(0));

/* ---- events ---- */
#define cudaEventDefault       0x00
#define cudaEventBlockingSync  0x01
#define cudaEventDisableTiming 0x02
#define cudaEventWaitDefault   0x00

cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream MU_CUDA_DEFAULT(0));
/* An event that was never recorded is ready. */
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end);

/* ---- kernels ---- */
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9,
};

/* Accepted, without effect. */
struct cudaFuncAttributes {
    size_t sharedSizeBytes; /* one of many: nobody reads any */
};
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function);
cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value);

#undef MU_CUDA_DEFAULT
#ifdef __cplusplus
}
#endif

#endif
