/* The order of everything: a launch runs its blocks one by one; a block runs its warps in rounds,
 * each until all of its threads wait, have returned, or one fails; a round in which nobody could
 * run is a fault.
 *
 *   READY --barrier--> AT_BARRIER --all threads are at it--> READY
 *   READY --warp operation--> IN_WARP --all lanes of the mask are in it--> READY
 *   READY --returns--> RETURNED */
#include "kernels/emulate/emulate.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "kernels/emulate/control.h"
#include "kernels/emulate/fibre.h"
#include "kernels/emulate/machine.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace
{
constexpr unsigned MAX_THREADS = 1024;
constexpr std::size_t MAX_SHARED_BYTES = 48 * 1024, MAX_WIDE_BYTES = 227 * 1024;
constexpr std::size_t COPY_BYTES = 16;
constexpr std::size_t STACK_BYTES = 128 * 1024, GUARD_BYTES = 64 * 1024;

enum class state { READY, AT_BARRIER, IN_WARP, RETURNED };

struct copy {
    void *to;
    const void *from; /* NULL: zeros */
};

struct thread {
    mu_fibre fibre;
    state at;
    mu_emulate_site site;                        /* AT_BARRIER, IN_WARP */
    unsigned mask;                               /* IN_WARP */
    std::uint64_t brought, met[MU_EMULATE_WARP]; /* to a warp operation; what all brought to it */
    uint3 index;
    std::vector<copy> copies; /* started, not made yet */
};

struct shared {
    const void *declaration;
    void *memory;
    std::size_t size_bytes;
};

thread threads[MAX_THREADS];
unsigned thread_count, returned, self;
bool barrier_any; /* of the predicates that threads brought to the last barrier */
std::vector<shared> block_shared;
std::size_t dynamic_bytes, most_bytes; /* of shared memory: this launch's, and what it may have */
const char *kernel_name;
bool failed; /* this launch */
const std::function<void()> *call;

char fault[512];
bool has_fault;
enum mu_emulate_order order;
std::uint64_t seed, random_state;

std::uint64_t random_below(std::uint64_t limit) /* splitmix64 */
{
    std::uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % limit;
}

/* Orders 0 .. n-1 as the mode says. */
template <class T> void arrange(std::vector<T> &line, std::size_t n)
{
    line.resize(n);
    std::iota(line.begin(), line.end(), T{0});
    if (order == MU_EMULATE_REVERSE)
        std::reverse(line.begin(), line.end());
    for (std::size_t i = n; order == MU_EMULATE_SHUFFLED && i > 1; i--)
        std::swap(line[i - 1], line[random_below(i)]);
}

template <class... A> void set_fault(const char *format, A... arguments)
{
    if (!has_fault) {
        int n = std::snprintf(fault, sizeof fault, "%s, block (%u, %u, %u): ", kernel_name,
                              blockIdx.x, blockIdx.y, blockIdx.z);

        if (n > 0 && static_cast<std::size_t>(n) < sizeof fault)
            std::snprintf(fault + n, sizeof fault - static_cast<std::size_t>(n), format,
                          arguments...);
        has_fault = true;
    }
    failed = true;
}

/* The names are mostly the same pointers. */
bool same_name(const char *a, const char *b)
{
    return a == b || !std::strcmp(a, b);
}

bool same_site(const mu_emulate_site &a, const mu_emulate_site &b)
{
    return a.line == b.line && same_name(a.file, b.file) && same_name(a.what, b.what);
}

/* Whether b is where a waits. */
bool together(const thread &a, const thread &b)
{
    return a.at == b.at && same_site(a.site, b.site) &&
           (a.at != state::IN_WARP || a.mask == b.mask);
}

bool lane_named(unsigned waiting, unsigned other)
{
    return waiting / MU_EMULATE_WARP == other / MU_EMULATE_WARP &&
           threads[waiting].mask >> other % MU_EMULATE_WARP & 1;
}

/* Who waits for whom, when nobody can run. Warps first: others may wait for their threads. */
void report_stuck()
{
    unsigned who = 0;

    while (who < thread_count && threads[who].at != state::IN_WARP)
        who++;
    if (who == thread_count)
        for (who = 0; threads[who].at != state::AT_BARRIER;)
            who++;
    const thread &waits = threads[who];
    for (unsigned i = 0; i < thread_count; i++) {
        const thread &other = threads[i];

        if (together(waits, other) || (waits.at == state::IN_WARP && !lane_named(who, i)))
            continue;
        if (other.at == state::RETURNED)
            set_fault("thread %u waits in %s at %s:%d for thread %u, which has returned", who,
                      waits.site.what, waits.site.file, waits.site.line, i);
        else
            set_fault("thread %u waits in %s at %s:%d for thread %u, which is in %s at %s:%d", who,
                      waits.site.what, waits.site.file, waits.site.line, i, other.site.what,
                      other.site.file, other.site.line);
        return;
    }
    std::abort(); /* everybody waits for nobody: a bug of ours */
}

/* A fibre's life: one thread of one block. */
void thread_main(void *)
{
    (*call)();
    threads[self].at = state::RETURNED;
    returned++;
    mu_fibre_finish();
}

void run_thread(unsigned i)
{
    self = i;
    threadIdx = threads[i].index;
    mu_fibre_enter(&threads[i].fibre);
}

void release_barrier()
{
    for (unsigned i = 0; i < thread_count; i++)
        if (threads[i].at != state::AT_BARRIER || !together(threads[0], threads[i]))
            return;
    barrier_any = false;
    for (unsigned i = 0; i < thread_count; i++) {
        barrier_any = barrier_any || threads[i].brought;
        threads[i].at = state::READY;
    }
}

void release_lanes(unsigned first, unsigned mask, void (*operation)(const std::uint64_t *brought))
{
    std::uint64_t brought[MU_EMULATE_WARP] = {};

    for (unsigned i = 0; i < MU_EMULATE_WARP; i++)
        if (mask >> i & 1)
            brought[i] = threads[first + i].brought;
    if (operation)
        operation(brought);
    for (unsigned i = 0; i < MU_EMULATE_WARP; i++)
        if (mask >> i & 1) {
            if (!operation)
                std::memcpy(threads[first + i].met, brought, sizeof brought);
            threads[first + i].at = state::READY;
        }
}

/* A warp runs as far as it can before the next one does: what it writes too early, the others find
 * instead of what they should have read. Whether any of its threads ran. */
bool run_warp(unsigned warp, std::vector<unsigned> &lanes)
{
    unsigned first = warp * MU_EMULATE_WARP;
    bool moved = false, again = true;

    arrange(lanes, std::min(thread_count - first, unsigned{MU_EMULATE_WARP}));
    while (again) {
        again = false;
        for (std::size_t i = 0; i < lanes.size() && !failed; i++)
            if (threads[first + lanes[i]].at == state::READY) {
                moved = again = true;
                run_thread(first + lanes[i]);
            }
    }
    return moved;
}

void run_block()
{
    static std::vector<unsigned> warps, lanes;

    for (unsigned i = 0; i < thread_count; i++) {
        threads[i].at = state::READY;
        threads[i].copies.clear();
        mu_fibre_start(&threads[i].fibre, thread_main, nullptr);
    }
    for (returned = 0; returned < thread_count && !failed;) {
        bool moved = false;

        arrange(warps, (thread_count + MU_EMULATE_WARP - 1) / MU_EMULATE_WARP);
        for (std::size_t i = 0; i < warps.size() && !failed; i++)
            moved = run_warp(warps[i], lanes) || moved;
        if (!moved)
            report_stuck();
        release_barrier();
    }
    for (const shared &s : block_shared)
        std::free(s.memory);
    block_shared.clear();
}

/* Stacks for the first n threads, made once: a guard below each, so that too deep a call ends at
 * once. */
void make_stacks(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (threads[i].fibre.stack)
            continue;
        void *memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE))
            std::abort();
        threads[i].fibre.stack = static_cast<char *>(memory) + GUARD_BYTES;
        threads[i].fibre.size_bytes = STACK_BYTES;
    }
}

} // namespace

bool mu_emulate_possible(const char *kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                         bool wide)
{
    if (grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= 0x7fffffffu && grid.y <= 65535 &&
        grid.z <= 65535 && block.x >= 1 && block.y >= 1 && block.z >= 1 && block.x <= MAX_THREADS &&
        block.y <= MAX_THREADS && block.z <= 64 && block.x * block.y * block.z <= MAX_THREADS &&
        shared_bytes <= (wide ? MAX_WIDE_BYTES : MAX_SHARED_BYTES))
        return true;
    kernel_name = kernel;
    blockIdx = {0, 0, 0};
    set_fault("no GPU takes a grid of (%u, %u, %u) and a block of (%u, %u, %u) with %zu bytes of "
              "shared memory",
              grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes);
    return false;
}

cudaError_t mu_emulate_run(const char *kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                           bool wide, const std::function<void()> &body)
{
    std::vector<std::uint64_t> blocks;

    kernel_name = kernel;
    failed = false;
    most_bytes = wide ? MAX_WIDE_BYTES : MAX_SHARED_BYTES;
    gridDim = grid;
    blockDim = block;
    dynamic_bytes = shared_bytes;
    call = &body;
    thread_count = block.x * block.y * block.z;
    make_stacks(thread_count);
    for (unsigned i = 0; i < thread_count; i++)
        threads[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    random_state = seed;
    arrange(blocks, std::size_t{grid.x} * grid.y * grid.z);
    for (std::size_t i = 0; i < blocks.size() && !failed; i++) {
        blockIdx = {static_cast<unsigned>(blocks[i] % grid.x),
                    static_cast<unsigned>(blocks[i] / grid.x % grid.y),
                    static_cast<unsigned>(blocks[i] / grid.x / grid.y)};
        run_block();
    }
    return failed ? cudaErrorLaunchFailure : cudaSuccess;
}

bool mu_emulate_barrier(mu_emulate_site site, bool predicate)
{
    threads[self].at = state::AT_BARRIER;
    threads[self].site = site;
    threads[self].brought = predicate;
    mu_fibre_leave();
    return barrier_any;
}

unsigned mu_emulate_lane()
{
    return self % MU_EMULATE_WARP;
}

const std::uint64_t *mu_emulate_meet(mu_emulate_site site, unsigned mask, std::uint64_t value,
                                     void (*operation)(const std::uint64_t *brought))
{
    unsigned first = self / MU_EMULATE_WARP * MU_EMULATE_WARP, lane = self - first;
    bool all = true;

    if (!(mask >> lane & 1))
        mu_emulate_fail(site, "is not named by its own mask");
    threads[self].at = state::IN_WARP;
    threads[self].site = site;
    threads[self].mask = mask;
    threads[self].brought = value;
    for (unsigned i = 0; i < MU_EMULATE_WARP; i++) {
        if (!(mask >> i & 1))
            continue;
        if (first + i >= thread_count)
            mu_emulate_fail(site, "waits for a lane that does not exist");
        all = all && together(threads[self], threads[first + i]);
    }
    if (all)
        release_lanes(first, mask, operation);
    else
        mu_fibre_leave();
    return threads[self].met;
}

void mu_emulate_fail(mu_emulate_site site, const char *why)
{
    set_fault("thread %u, %s at %s:%d, %s", self, site.what, site.file, site.line, why);
    mu_fibre_leave(); /* for good: the launch is over */
    std::abort();
}

void *mu_emulate_shared(const void *declaration, std::size_t size_bytes)
{
    std::size_t total = size_bytes;

    for (const shared &s : block_shared) {
        if (s.declaration == declaration)
            return s.memory;
        total += s.size_bytes;
    }
    void *memory = std::malloc(size_bytes);
    if (!memory)
        std::abort();
    std::memset(memory, 0xff, size_bytes);
    block_shared.push_back({declaration, memory, size_bytes});
    if (total > most_bytes)
        mu_emulate_fail({"shared memory", "", 0}, most_bytes == MAX_SHARED_BYTES
                                                      ? "goes beyond 48 KiB"
                                                      : "goes beyond 227 KiB");
    return memory;
}

void *mu_emulate_shared_dynamic()
{
    return mu_emulate_shared(&dynamic_bytes, dynamic_bytes);
}

void mu_emulate_copy(mu_emulate_site site, void *to, const void *from)
{
    if (reinterpret_cast<std::uintptr_t>(to) % COPY_BYTES != 0 ||
        reinterpret_cast<std::uintptr_t>(from) % COPY_BYTES != 0)
        mu_emulate_fail(site, "copies what is not aligned to 16 bytes");
    threads[self].copies.push_back({to, from});
    if (order == MU_EMULATE_FORWARD)
        mu_emulate_copy_wait();
}

void mu_emulate_copy_wait()
{
    for (const copy &c : threads[self].copies)
        if (c.from)
            std::memcpy(c.to, c.from, COPY_BYTES);
        else
            std::memset(c.to, 0, COPY_BYTES);
    threads[self].copies.clear();
}

void mu_emulate_set_order(enum mu_emulate_order new_order, uint64_t new_seed)
{
    order = new_order;
    seed = new_seed;
}

const char *mu_emulate_fault(void)
{
    return has_fault ? fault : nullptr;
}

void mu_emulate_clear(void)
{
    has_fault = false;
    mu_emulate::heal();
}
