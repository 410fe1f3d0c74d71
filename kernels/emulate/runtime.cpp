/* Devices, errors, copies and launches of the pretended machine. */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "kernels/emulate/emulate.h"
#include "kernels/emulate/machine.h"

using namespace mu_emulate;

/* ---- devices ---- */
cudaError_t cudaGetDeviceCount(int *count)
{
    if (!count)
        return report(cudaErrorInvalidValue);
    *count = 0;
    return ask([&](hold &) {
        *count = static_cast<int>(asked().devices.size());
        return cudaSuccess;
    });
}

static bool is_device(int device)
{
    return device >= 0 && static_cast<std::size_t>(device) < asked().devices.size();
}

/* Of the host's GPU of that number, or, where there is MIG, of that instance. */
static void identify(struct cudaDeviceProp *prop, int number)
{
    char host[256] = "";
    unsigned name = 2166136261u; /* FNV-1a */

    gethostname(host, sizeof host - 1);
    for (const char *c = host; *c; c++)
        name = (name ^ static_cast<unsigned char>(*c)) * 16777619u;
    std::memcpy(prop->uuid.bytes, "emulated GPU", 12);
    prop->uuid.bytes[12] = static_cast<char>(name >> 16);
    prop->uuid.bytes[13] = static_cast<char>(name >> 8);
    prop->uuid.bytes[14] = static_cast<char>(name);
    prop->uuid.bytes[15] = static_cast<char>(number);
    prop->pciBusID = number / asked().mig + 1;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    return ask([&](hold &) {
        if (!prop)
            return cudaErrorInvalidValue;
        if (!is_device(device))
            return cudaErrorInvalidDevice;
        *prop = {};
        std::snprintf(prop->name, sizeof prop->name, "Muster emulated GPU");
        prop->totalGlobalMem = asked().memory_bytes;
        prop->sharedMemPerBlock = 48 * 1024;
        prop->sharedMemPerBlockOptin = prop->sharedMemPerMultiprocessor = 48 * 1024;
        prop->regsPerBlock = 65536;
        prop->warpSize = 32;
        prop->maxThreadsPerBlock = 1024;
        prop->maxThreadsPerMultiProcessor = 2048;
        prop->major = asked().capability / 10;
        prop->minor = asked().capability % 10;
        prop->multiProcessorCount = 4;
        prop->l2CacheSize = 1 << 20;
        prop->canMapHostMemory = prop->unifiedAddressing = prop->hostRegisterSupported = 1;
        prop->canUseHostPointerForRegisteredMem = prop->concurrentKernels = 1;
        prop->streamPrioritiesSupported = 1;
        identify(prop, asked().devices[static_cast<std::size_t>(device)]);
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device)
{
    return call([&](hold &) {
        if (!is_device(device))
            return cudaErrorInvalidDevice;
        current_device = device;
        return cudaSuccess;
    });
}

cudaError_t cudaGetDevice(int *device)
{
    return ask([&](hold &) {
        *device = current_device;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceReset(void)
{
    return call([](hold &) {
        drop_streams();
        free_all_memory();
        return cudaSuccess;
    });
}

cudaError_t cudaDriverGetVersion(int *version)
{
    hold held(lock);

    *version = asked().driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

/* ---- errors ---- */
const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define NAME(name, number, description) \
    case name:                          \
        return #name;
        MU_CUDA_ERRORS(NAME)
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
#define DESCRIPTION(name, number, description) \
    case name:                                 \
        return description;
        MU_CUDA_ERRORS(DESCRIPTION)
    }
    return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError(void)
{
    hold held(lock);

    return broken() != cudaSuccess ? broken() : last_error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();

    last_error = cudaSuccess;
    return error;
}

/* ---- copies ---- */
static bool direction_fits(enum cudaMemcpyKind kind, place to, place from)
{
    bool to_device = to == place::DEVICE, from_device = from == place::DEVICE;

    switch (kind) {
    case cudaMemcpyHostToHost:
        return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
        return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
        return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
        return to_device && from_device;
    case cudaMemcpyDefault:
        return true;
    }
    return false;
}

static cudaError_t copy(hold &held, void *to, const void *from, std::size_t bytes,
                        enum cudaMemcpyKind kind, cudaStream_t stream, bool wait)
{
    place there = place_of(to, bytes), here = place_of(from, bytes);
    std::shared_ptr<marker> done;
    cudaError_t error;

    if (bytes == 0)
        return find_stream(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
    if (!to || !from || there == place::NOWHERE || here == place::NOWHERE ||
        !direction_fits(kind, there, here))
        return cudaErrorInvalidValue;
    error = enqueue(
        stream, "cudaMemcpy",
        [=] {
            memory_open open;

            std::memmove(to, from, bytes);
            return cudaSuccess;
        },
        &done);
    if (error != cudaSuccess || !(wait || there == place::HOST || here == place::HOST))
        return error;
    return wait_until(held, "cudaMemcpy of memory that is not page-locked",
                      [done] { return done->done; });
}

static cudaError_t fill(hold &held, void *to, int value, std::size_t bytes, cudaStream_t stream,
                        bool wait)
{
    place there = place_of(to, bytes);
    std::shared_ptr<marker> done;
    cudaError_t error;

    if (bytes == 0)
        return find_stream(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
    if (there == place::HOST || there == place::NOWHERE)
        return cudaErrorInvalidValue;
    error = enqueue(
        stream, "cudaMemset",
        [=] {
            memory_open open;

            std::memset(to, value, bytes);
            return cudaSuccess;
        },
        &done);
    if (error != cudaSuccess || !wait)
        return error;
    return wait_until(held, "cudaMemset", [done] { return done->done; });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return call([&](hold &held) { return copy(held, to, from, bytes, kind, stream, false); });
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    return call([&](hold &held) { return copy(held, to, from, bytes, kind, nullptr, true); });
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    return call([&](hold &held) { return fill(held, to, value, bytes, stream, false); });
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    return call([&](hold &held) { return fill(held, to, value, bytes, nullptr, true); });
}

/* ---- kernels ---- */
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *function)
{
    return ask([&](hold &) {
        *attributes = {};
        return function ? cudaSuccess : cudaErrorInvalidDeviceFunction;
    });
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute, int)
{
    return call([&](hold &) { return function ? cudaSuccess : cudaErrorInvalidDeviceFunction; });
}

cudaError_t mu_emulate_submit(const char *kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                              cudaStream_t stream, bool wide, std::function<void()> body)
{
    call([&](hold &) {
        if (!mu_emulate_possible(kernel, grid, block, shared_bytes, wide))
            return cudaErrorInvalidConfiguration;
        if (stream_device(stream) != current_device)
            return cudaErrorInvalidResourceHandle;
        return enqueue(
            stream, kernel,
            [=] {
                memory_open open;

                return mu_emulate_run(kernel, grid, block, shared_bytes, wide, body);
            },
            nullptr);
    });
    return cudaGetLastError();
}
