/* Device memory: one range of addresses that nobody may touch but while an operation runs. An
 * allocation has a gap behind it: under AddressSanitizer the first byte beyond it is found, else a
 * pattern there is looked at when it is freed. Host memory that is page-locked is only written
 * down. */
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "kernels/emulate/asan.h"
#include "kernels/emulate/machine.h"

#ifdef MU_EMULATE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(address, size)   ((void)(address), (void)(size))
#define __asan_unpoison_memory_region(address, size) ((void)(address), (void)(size))
#endif

namespace mu_emulate
{
namespace
{
constexpr std::size_t ALIGN = 256, GAP = 1024;
/* In huge pages where the machine has them: each operation changes the protection of all twice,
 * which took 65 us at 500 MB in huge pages, and 40 ms in small ones. */
constexpr std::size_t PAGE = 2 << 20;
constexpr int GARBAGE = 0xff, PATTERN = 0xa5; /* floats of 0xff are NaNs */

struct allocation {
    std::size_t bytes; /* as asked for */
    int device;
};

struct locked {
    std::size_t bytes;
    bool ours; /* cudaHostAlloc */
};

struct {
    void *mapped; /* a page more than bytes */
    char *base;
    std::size_t bytes, top; /* reserved; what was ever in use, in pages */
    int open;
} arena;

/* By address; never destroyed, since operations may outlive main. */
auto &allocations = *new std::map<char *, allocation>;
auto &locked_memory = *new std::map<char *, locked>;

std::size_t up(std::size_t n, std::size_t to)
{
    return (n + to - 1) / to * to;
}

void protect(int how)
{
    if (arena.top > 0 && mprotect(arena.base, arena.top, how))
        die("mprotect of %zu bytes failed", arena.top);
}

void reserve()
{
    void *memory;

    arena.bytes = up(asked().memory_bytes, PAGE) * asked().devices.size() * 2 + PAGE;
    memory = mmap(nullptr, arena.bytes + PAGE, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("cannot reserve %zu bytes of addresses", arena.bytes);
    arena.base = reinterpret_cast<char *>(up(reinterpret_cast<std::uintptr_t>(memory), PAGE));
    madvise(arena.base, arena.bytes, MADV_HUGEPAGE); /* or not */
    arena.mapped = memory;
}

std::size_t used(int device)
{
    std::size_t bytes = 0;

    for (const auto &a : allocations)
        if (a.second.device == device)
            bytes += up(a.second.bytes, ALIGN);
    return bytes;
}

/* The first place that takes so much; the gap before the first allocation is one too. */
char *find_room(std::size_t bytes)
{
    char *at = arena.base + ALIGN;

    for (const auto &a : allocations) {
        if (static_cast<std::size_t>(a.first - at) >= bytes + GAP && a.first > at)
            break;
        at = a.first + up(a.second.bytes, ALIGN) + GAP;
    }
    return at;
}

void check_pattern(char *memory, std::size_t bytes)
{
#ifndef MU_EMULATE_ASAN
    char *end = memory + up(bytes, ALIGN) + GAP;

    for (char *p = memory + bytes; p < end; p++)
        if (*p != static_cast<char>(PATTERN))
            die("somebody wrote %td bytes beyond an allocation of %zu bytes", p - memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

cudaError_t allocate(void **memory, std::size_t bytes)
{
    std::size_t whole = up(bytes, ALIGN) + GAP;

    *memory = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    if (bytes > asked().memory_bytes ||
        used(current_device) + up(bytes, ALIGN) > asked().memory_bytes)
        return cudaErrorMemoryAllocation;
    if (!arena.base)
        reserve();
    char *at = find_room(up(bytes, ALIGN));
    if (static_cast<std::size_t>(at - arena.base) + whole > arena.bytes)
        return cudaErrorMemoryAllocation;
    arena.top = std::max(arena.top, up(static_cast<std::size_t>(at - arena.base) + whole, PAGE));
    memory_open open;
    __asan_unpoison_memory_region(at, bytes);
    std::memset(at, GARBAGE, bytes);
#ifndef MU_EMULATE_ASAN
    std::memset(at + bytes, PATTERN, whole - bytes);
#endif
    __asan_poison_memory_region(at + bytes, whole - bytes);
    allocations[at] = {bytes, current_device};
    *memory = at;
    return cudaSuccess;
}

void release(char *memory, std::size_t bytes)
{
    memory_open open;

    check_pattern(memory, bytes);
    std::memset(memory, GARBAGE, bytes);
    __asan_poison_memory_region(memory, bytes);
    allocations.erase(memory);
}

/* The entry of the map that [memory, memory + bytes) begins or lies in. */
template <class V>
typename std::map<char *, V>::iterator find(std::map<char *, V> &in, char *memory)
{
    auto after = in.upper_bound(memory);

    if (after == in.begin())
        return in.end();
    --after;
    return memory < after->first + after->second.bytes ? after : in.end();
}

char *address(const void *memory)
{
    return static_cast<char *>(const_cast<void *>(memory));
}

bool overlaps_locked(char *memory, std::size_t bytes)
{
    for (const auto &l : locked_memory)
        if (memory < l.first + l.second.bytes && l.first < memory + bytes)
            return true;
    return false;
}
} // namespace

memory_open::memory_open()
{
    if (arena.open++ == 0)
        protect(PROT_READ | PROT_WRITE);
}

memory_open::~memory_open()
{
    if (--arena.open == 0 && !asked().memory_stays_open)
        protect(PROT_NONE);
}

place place_of(const void *memory, std::size_t bytes)
{
    char *at = address(memory);

    if (arena.base && at >= arena.base && at < arena.base + arena.bytes) {
        auto a = find(allocations, at);

        return a != allocations.end() &&
                       static_cast<std::size_t>(at - a->first) + bytes <= a->second.bytes
                   ? place::DEVICE
                   : place::NOWHERE;
    }
    auto l = find(locked_memory, at);
    return l != locked_memory.end() &&
                   static_cast<std::size_t>(at - l->first) + bytes <= l->second.bytes
               ? place::LOCKED
               : place::HOST;
}

void free_all_memory()
{
    while (!allocations.empty())
        release(allocations.begin()->first, allocations.begin()->second.bytes);
    for (const auto &l : locked_memory)
        if (l.second.ours)
            munmap(l.first, l.second.bytes);
    locked_memory.clear();
    if (arena.base) {
        __asan_unpoison_memory_region(arena.base, arena.top);
        munmap(arena.mapped, arena.bytes + PAGE);
    }
    arena.base = nullptr;
    arena.bytes = arena.top = 0;
}

bool memory_in_use()
{
    return !allocations.empty();
}
} // namespace mu_emulate

using namespace mu_emulate;

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    return ask([&](hold &) {
        if (!free_bytes || !total_bytes)
            return cudaErrorInvalidValue;
        *total_bytes = asked().memory_bytes;
        *free_bytes = *total_bytes - used(current_device);
        return cudaSuccess;
    });
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    return call([&](hold &) { return memory ? allocate(memory, bytes) : cudaErrorInvalidValue; });
}

cudaError_t cudaFree(void *memory)
{
    return call([&](hold &held) {
        auto a = allocations.find(static_cast<char *>(memory));

        if (!memory)
            return cudaSuccess;
        if (a == allocations.end())
            return cudaErrorInvalidValue;
        cudaError_t error = wait_for_device(held, "cudaFree");
        if (error == cudaSuccess)
            release(a->first, a->second.bytes);
        return error;
    });
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    return call([&](hold &) {
        void *made;

        if (!memory || flags > 7)
            return cudaErrorInvalidValue;
        *memory = nullptr;
        if (bytes == 0)
            return cudaSuccess;
        made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (made == MAP_FAILED)
            return cudaErrorMemoryAllocation;
        std::memset(made, GARBAGE, bytes);
        locked_memory[static_cast<char *>(made)] = {bytes, true};
        *memory = made;
        return cudaSuccess;
    });
}

cudaError_t cudaFreeHost(void *memory)
{
    return call([&](hold &held) {
        auto l = locked_memory.find(static_cast<char *>(memory));

        if (!memory)
            return cudaSuccess;
        if (l == locked_memory.end() || !l->second.ours)
            return cudaErrorInvalidValue;
        cudaError_t error = wait_for_device(held, "cudaFreeHost");
        if (error == cudaSuccess) {
            munmap(l->first, l->second.bytes);
            locked_memory.erase(l);
        }
        return error;
    });
}

cudaError_t cudaHostRegister(void *memory, size_t bytes, unsigned flags)
{
    return call([&](hold &) {
        if (!memory || bytes == 0 || flags > 15 || place_of(memory, 1) == place::DEVICE)
            return cudaErrorInvalidValue;
        if (overlaps_locked(static_cast<char *>(memory), bytes))
            return cudaErrorHostMemoryAlreadyRegistered;
        locked_memory[static_cast<char *>(memory)] = {bytes, false};
        return cudaSuccess;
    });
}

cudaError_t cudaHostUnregister(void *memory)
{
    return call([&](hold &held) {
        auto l = locked_memory.find(static_cast<char *>(memory));

        if (!memory)
            return cudaErrorInvalidValue;
        if (l == locked_memory.end() || l->second.ours)
            return cudaErrorHostMemoryNotRegistered;
        cudaError_t error = wait_for_device(held, "cudaHostUnregister");
        if (error == cudaSuccess)
            locked_memory.erase(l);
        return error;
    });
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags)
{
    return call([&](hold &) {
        if (!device || flags || place_of(host, 1) != place::LOCKED)
            return cudaErrorInvalidValue;
        *device = host;
        return cudaSuccess;
    });
}
