/* Streams are queues of operations, events markers that an operation sets. Nothing here blocks but
 * wait_until, which polls. */
#include <ctime>
#include <unistd.h>

#include <algorithm>

#include "kernels/emulate/control.h"
#include "kernels/emulate/machine.h"

struct CUstream_st {
    int device;
    unsigned flags;
    bool legacy, destroyed;
    std::deque<mu_emulate::operation> queue;
    std::shared_ptr<mu_emulate::marker> tail; /* of the last operation, which may be done */
};

struct CUevent_st {
    int device;
    unsigned flags;
    std::shared_ptr<mu_emulate::marker> recorded; /* NULL: never */
};

namespace mu_emulate
{
std::mutex lock;
thread_local int current_device;
thread_local cudaError_t last_error;

namespace
{
/* Never destroyed, since operations may outlive main. */
auto &streams = *new std::vector<std::unique_ptr<CUstream_st>>;
auto &events = *new std::vector<std::unique_ptr<CUevent_st>>;
cudaError_t device_error;
std::uint64_t turn; /* of streams, where lazy: by a congruential generator (Knuth's MMIX) */

bool pending(const std::shared_ptr<marker> &m)
{
    return m && !m->done;
}

/* Whether two streams wait for each other's operations: one is the NULL stream, the other does. */
bool synchronise(const CUstream_st &a, const CUstream_st &b)
{
    return &a != &b && a.device == b.device && a.legacy != b.legacy &&
           !((a.flags | b.flags) & cudaStreamNonBlocking);
}

bool try_head(CUstream_st &s)
{
    if (s.queue.empty())
        return false;
    operation &head = s.queue.front();
    for (const auto &m : head.after)
        if (pending(m))
            return false;
    cudaError_t error = head.run();
    if (error == cudaErrorNotReady)
        return false;
    *head.done = {true, now_ns()};
    if (error != cudaSuccess)
        break_device(error, head.name.c_str());
    else
        s.queue.pop_front();
    return true;
}

/* Whether all that is on the stream by now is done; NULL stream: and on those it waits for. */
bool idle(const CUstream_st &s)
{
    for (const auto &other : streams)
        if (s.legacy && synchronise(s, *other) && pending(other->tail))
            return false;
    return !pending(s.tail);
}

CUevent_st *find_event(cudaEvent_t event)
{
    for (const auto &e : events)
        if (e.get() == event)
            return event;
    return nullptr;
}

CUstream_st *make_stream(unsigned flags, bool legacy)
{
    streams.push_back(std::make_unique<CUstream_st>(
        CUstream_st{current_device, flags, legacy, false, {}, nullptr}));
    return streams.back().get();
}

[[noreturn]] void die_waiting(const char *who)
{
    std::string heads;

    for (const auto &s : streams)
        if (!s->queue.empty())
            heads += (heads.empty() ? "" : ", ") + s->queue.front().name;
    die("%s has waited for %g s; at the heads of streams: %s. Nobody may wait there without a "
        "deadline of his own",
        who, asked().wait_s, heads.empty() ? "nothing" : heads.c_str());
}
} // namespace

std::uint64_t now_ns()
{
    timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1000000000u +
           static_cast<std::uint64_t>(t.tv_nsec);
}

bool is_sticky(cudaError_t error)
{
    return error == cudaErrorECCUncorrectable ||
           (error >= cudaErrorIllegalAddress && error != cudaErrorLaunchOutOfResources &&
            error != cudaErrorHostMemoryAlreadyRegistered &&
            error != cudaErrorHostMemoryNotRegistered && error <= cudaErrorLaunchFailure);
}

cudaError_t obstacle()
{
    if (asked().driver / 1000 < CUDART_VERSION / 1000)
        return cudaErrorInsufficientDriver;
    if (asked().devices.empty())
        return cudaErrorNoDevice;
    return device_error;
}

cudaError_t report(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

cudaError_t broken()
{
    return device_error;
}

void break_device(cudaError_t error, const char *why)
{
    if (device_error != cudaSuccess)
        return;
    device_error = error;
    if (memory_in_use()) /* a program that has no other way to learn why */
        fprintf(stderr, "emulation: %s: %s. %s\n", why, cudaGetErrorName(error),
                mu_emulate_fault() ? mu_emulate_fault() : "");
    for (const auto &s : streams) {
        for (operation &o : s->queue)
            o.done->done = true;
        s->queue.clear();
    }
}

void heal()
{
    hold held(lock);

    device_error = last_error = cudaSuccess;
}

CUstream_st *find_stream(cudaStream_t stream)
{
    bool legacy = !stream || stream == cudaStreamLegacy;

    for (const auto &s : streams)
        if (legacy ? s->legacy && s->device == current_device
                   : s.get() == stream && !s->destroyed && !s->legacy)
            return s.get();
    return legacy ? make_stream(cudaStreamDefault, true) : nullptr;
}

int stream_device(cudaStream_t stream)
{
    const CUstream_st *s = find_stream(stream);

    return s ? s->device : -1;
}

cudaError_t enqueue(cudaStream_t stream, std::string name, std::function<cudaError_t()> run,
                    std::shared_ptr<marker> *done)
{
    CUstream_st *s = find_stream(stream);
    operation o = {std::move(name), std::move(run), {}, std::make_shared<marker>()};

    if (!s)
        return cudaErrorInvalidResourceHandle;
    for (const auto &other : streams)
        if (synchronise(*s, *other) && pending(other->tail))
            o.after.push_back(other->tail);
    s->tail = o.done;
    if (done)
        *done = o.done;
    s->queue.push_back(std::move(o));
    progress_unless_lazy();
    return device_error;
}

bool progress()
{
    bool moved = nccl_progress(), lazy = asked().lazy, again = true;
    std::size_t first;

    while (again) {
        again = false;
        first = asked().newest_first ? streams.size() - 1 : turn >> 33;
        for (std::size_t i = streams.size(); i > 0 && !(lazy && again); i--)
            again = try_head(*streams[(i + first) % streams.size()]) || again;
        if (lazy)
            turn = turn * 6364136223846793005u + 1442695040888963407u;
        moved = moved || again;
        again = again && !lazy;
    }
    streams.erase(std::remove_if(streams.begin(), streams.end(),
                                 [](const auto &s) { return s->destroyed && s->queue.empty(); }),
                  streams.end());
    return moved;
}

void progress_unless_lazy()
{
    if (!asked().lazy)
        progress();
}

cudaError_t wait_until(hold &held, const char *who, const std::function<bool()> &over)
{
    std::uint64_t begun = now_ns();

    while (device_error == cudaSuccess && !over()) {
        if (progress())
            continue;
        if (static_cast<double>(now_ns() - begun) > 1e9 * asked().wait_s)
            die_waiting(who);
        held.unlock();
        usleep(50);
        held.lock();
    }
    return device_error;
}

cudaError_t wait_for_device(hold &held, const char *who)
{
    return wait_until(held, who, [] {
        for (const auto &s : streams)
            if (s->device == current_device && pending(s->tail))
                return false;
        return true;
    });
}

void drop_streams()
{
    device_error = cudaSuccess;
    turn = 0;
    streams.clear();
    events.clear();
}
} // namespace mu_emulate

using namespace mu_emulate;

/* ---- streams ---- */
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    return ask([&](hold &) {
        *least = 0;
        *greatest = -5;
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int)
{
    return call([&](hold &) {
        if (!stream || flags > cudaStreamNonBlocking)
            return cudaErrorInvalidValue;
        *stream = make_stream(flags, false);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithPriority(stream, cudaStreamDefault, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return call([&](hold &) {
        CUstream_st *s = find_stream(stream);

        if (!s || s->legacy)
            return cudaErrorInvalidResourceHandle;
        s->destroyed = true;
        progress_unless_lazy();
        return cudaSuccess;
    });
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return ask([&](hold &) {
        CUstream_st *s = find_stream(stream);

        if (!s)
            return cudaErrorInvalidResourceHandle;
        progress();
        return broken() != cudaSuccess ? broken() : idle(*s) ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return call([&](hold &held) {
        CUstream_st *s = find_stream(stream);

        if (!s)
            return cudaErrorInvalidResourceHandle;
        if (s->legacy)
            return wait_until(held, "cudaStreamSynchronize", [s] { return idle(*s); });
        auto tail = s->tail;
        return wait_until(held, "cudaStreamSynchronize", [tail] { return !pending(tail); });
    });
}

cudaError_t cudaDeviceSynchronize(void)
{
    return call([](hold &held) { return wait_for_device(held, "cudaDeviceSynchronize"); });
}

/* ---- events ---- */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    return call([&](hold &) {
        if (!event || flags > 7)
            return cudaErrorInvalidValue;
        events.push_back(std::make_unique<CUevent_st>(CUevent_st{current_device, flags, nullptr}));
        *event = events.back().get();
        return cudaSuccess;
    });
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return call([&](hold &) {
        auto e = std::find_if(events.begin(), events.end(),
                              [&](const auto &live) { return live.get() == event; });

        if (e == events.end())
            return cudaErrorInvalidResourceHandle;
        events.erase(e);
        return cudaSuccess;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return call([&](hold &) {
        CUevent_st *e = find_event(event);
        CUstream_st *s = find_stream(stream);

        if (!e || !s || e->device != s->device)
            return cudaErrorInvalidResourceHandle;
        return enqueue(
            stream, "cudaEventRecord", [] { return cudaSuccess; }, &e->recorded);
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    return call([&](hold &) {
        CUevent_st *e = find_event(event);

        if (!e || !find_stream(stream))
            return cudaErrorInvalidResourceHandle;
        if (flags)
            return cudaErrorInvalidValue;
        if (!pending(e->recorded))
            return cudaSuccess;
        return enqueue(
            stream, "cudaStreamWaitEvent",
            [record = e->recorded] { return record->done ? cudaSuccess : cudaErrorNotReady; },
            nullptr);
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return ask([&](hold &) {
        CUevent_st *e = find_event(event);

        if (!e)
            return cudaErrorInvalidResourceHandle;
        progress();
        return broken() != cudaSuccess ? broken()
               : pending(e->recorded)  ? cudaErrorNotReady
                                       : cudaSuccess;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return call([&](hold &held) {
        CUevent_st *e = find_event(event);

        if (!e)
            return cudaErrorInvalidResourceHandle;
        auto recorded = e->recorded;
        return wait_until(held, "cudaEventSynchronize", [recorded] { return !pending(recorded); });
    });
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    return ask([&](hold &) {
        CUevent_st *a = find_event(start), *b = find_event(end);

        if (!ms)
            return cudaErrorInvalidValue;
        if (!a || !b || !a->recorded || !b->recorded ||
            ((a->flags | b->flags) & cudaEventDisableTiming))
            return cudaErrorInvalidResourceHandle;
        if (pending(a->recorded) || pending(b->recorded))
            return cudaErrorNotReady;
        *ms = static_cast<float>(static_cast<double>(b->recorded->time_ns) -
                                 static_cast<double>(a->recorded->time_ns)) /
              1e6f;
        return cudaSuccess;
    });
}
