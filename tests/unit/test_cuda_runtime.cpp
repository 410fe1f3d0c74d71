/* The stand-in of the CUDA runtime: memory, streams and events, errors, the pretended machine. */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <functional>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "kernels/emulate/asan.h"
#include "tests/support/cuda_launch.h"

namespace
{
/* A machine as these variables describe it: name, value, ... */
struct machine {
    std::vector<const char *> variables;

    machine(std::initializer_list<const char *> names_and_values) : variables(names_and_values)
    {
        for (auto v = variables.begin(); v != variables.end(); v += 2)
            setenv(v[0], v[1], 1);
        mu_emulate_restart();
    }
    ~machine()
    {
        for (auto v = variables.begin(); v != variables.end(); v += 2)
            unsetenv(*v);
        mu_emulate_restart();
    }
};

#define OK(call) assert_int_equal((call), cudaSuccess)

/* How a child ends that does this, as waitpid says; 0: well. No assertions in it. */
int end_of(const std::function<void()> &body)
{
    int status = -1;

    std::fflush(nullptr);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        for (int s : {SIGSEGV, SIGBUS, SIGABRT}) /* cmocka's would go on with the next test */
            signal(s, SIG_DFL);
        if (!std::freopen("/dev/null", "w", stderr))
            _exit(3);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

template <class T> T *on_device(std::size_t n)
{
    void *memory = nullptr;

    OK(cudaMalloc(&memory, n * sizeof(T)));
    assert_non_null(memory);
    assert_int_equal(reinterpret_cast<std::uintptr_t>(memory) % 256, 0);
    return static_cast<T *>(memory);
}

template <class T> T *page_locked(std::size_t n)
{
    void *memory = nullptr;

    OK(cudaHostAlloc(&memory, n * sizeof(T), cudaHostAllocDefault));
    return static_cast<T *>(memory);
}

cudaStream_t a_stream(unsigned flags = cudaStreamNonBlocking)
{
    cudaStream_t stream;

    OK(cudaStreamCreateWithPriority(&stream, flags, -5));
    return stream;
}

cudaEvent_t an_event(unsigned flags = cudaEventDisableTiming)
{
    cudaEvent_t event;

    OK(cudaEventCreateWithFlags(&event, flags));
    return event;
}

__global__ void add_to(int *at, int value)
{
    atomicAdd(at, value);
}

__global__ void times_ten_plus(int *at, int value)
{
    *at = *at * 10 + value;
}

__global__ void diverges(unsigned who)
{
    if (threadIdx.x == who)
        __syncthreads();
}

/* ---- memory ---- */
void copies_and_fills(void **)
{
    char *device = on_device<char>(1000), *other = on_device<char>(1000), host[1000], back[1000];

    for (int i = 0; i < 1000; i++)
        host[i] = static_cast<char>(i * 7);
    OK(cudaMemcpy(device, host, 1000, cudaMemcpyHostToDevice));
    OK(cudaMemsetAsync(device + 100, 0x5a, 50, nullptr));
    OK(cudaMemcpyAsync(other + 1, device + 1, 999, cudaMemcpyDeviceToDevice, nullptr));
    OK(cudaMemcpy(back + 1, other + 1, 999, cudaMemcpyDefault));
    for (int i = 1; i < 1000; i++)
        assert_int_equal(back[i], i >= 100 && i < 150 ? 0x5a : host[i]);
    OK(cudaMemcpy(back, other, 1, cudaMemcpyDeviceToHost));
    assert_int_equal(back[0], -1); /* what memory is filled with */
    OK(cudaFree(device));
    OK(cudaFree(other));
    OK(cudaFree(nullptr));
}

void wrong_pointers_are_refused(void **)
{
    char *device = on_device<char>(100), *gone = on_device<char>(100), host[200] = {};

    OK(cudaFree(gone));
    assert_int_equal(cudaFree(gone), cudaErrorInvalidValue);
    assert_int_equal(cudaFree(device + 1), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(device, host, 101, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(gone, host, 1, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(device, host, 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    assert_int_equal(cudaMemset(host, 0, 1), cudaErrorInvalidValue);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    OK(cudaFree(device));
}

void the_host_may_not_touch_device_memory(void **)
{
    int *device = on_device<int>(10);
    volatile int *touched = device;

    OK(MU_LAUNCH(add_to, 1, 1, 0, nullptr, device, 1));
    assert_int_equal(end_of([] {}), 0);
    assert_int_equal(end_of([=] { *touched = 1; }), SIGSEGV);
    assert_int_equal(end_of([=] { (void)*touched; }), SIGSEGV);
    OK(cudaFree(device));
    machine open({"MUSTER_EMULATE_OPEN", "1"});
    device = on_device<int>(10);
    *device = 5;
    OK(cudaFree(device));
}

void a_byte_too_far_is_found(void **)
{
    char *device = on_device<char>(1001);
    auto write_beyond = [=] {
        (void)MU_LAUNCH(add_to, 1, 1, 0, nullptr, reinterpret_cast<int *>(device + 1000), 1);
        cudaFree(device);
    };

    assert_int_not_equal(end_of(write_beyond), 0);
#ifdef MU_EMULATE_ASAN
    assert_int_not_equal(end_of([=] {
                             cudaFree(device);
                             MU_LAUNCH(add_to, 1, 1, 0, nullptr, reinterpret_cast<int *>(device),
                                       1);
                         }),
                         0);
#endif
    OK(cudaFree(device));
}

void memory_has_an_end(void **)
{
    machine small({"MUSTER_EMULATE_MEMORY", "1000000"});
    std::size_t free_bytes, total;
    void *a, *b;

    OK(cudaMalloc(&a, 600000));
    OK(cudaMemGetInfo(&free_bytes, &total));
    assert_int_equal(total, 1000000);
    assert_in_range(free_bytes, 399000, 400000);
    assert_int_equal(cudaMalloc(&b, 600000), cudaErrorMemoryAllocation);
    assert_null(b);
    OK(cudaSetDevice(1)); /* has memory of its own */
    OK(cudaMalloc(&b, 600000));
    OK(cudaSetDevice(0));
    OK(cudaFree(a));
    for (int i = 0; i < 100; i++) { /* what is freed can be had again */
        OK(cudaMalloc(&a, 900000));
        OK(cudaFree(a));
    }
    assert_int_equal(cudaMalloc(&a, SIZE_MAX), cudaErrorMemoryAllocation);
}

void page_locked_memory(void **)
{
    static char mine[10000];
    void *same;

    assert_int_equal(cudaHostGetDevicePointer(&same, mine, 0), cudaErrorInvalidValue);
    OK(cudaHostRegister(mine, sizeof mine, cudaHostRegisterMapped));
    assert_int_equal(cudaHostRegister(mine + 5000, 10, 0), cudaErrorHostMemoryAlreadyRegistered);
    OK(cudaHostGetDevicePointer(&same, mine + 17, 0));
    assert_ptr_equal(same, mine + 17);
    OK(cudaHostUnregister(mine));
    assert_int_equal(cudaHostUnregister(mine), cudaErrorHostMemoryNotRegistered);
    char *theirs = page_locked<char>(100);
    assert_int_equal(theirs[0], -1);
    assert_int_equal(cudaHostUnregister(theirs), cudaErrorHostMemoryNotRegistered);
    OK(cudaFreeHost(theirs));
    assert_int_equal(cudaFreeHost(mine), cudaErrorInvalidValue);
}

/* ---- streams and events: MUSTER_EMULATE_LAZY holds operations back until somebody asks ---- */
void a_stream_keeps_its_order(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1), *host = page_locked<int>(1), polls = 0;
    cudaStream_t stream = a_stream();

    *host = 7;
    OK(cudaMemsetAsync(device, 0, 4, stream));
    for (int i = 1; i <= 5; i++)
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, stream, device, i));
    OK(cudaMemcpyAsync(host, device, 4, cudaMemcpyDeviceToHost, stream));
    assert_int_equal(*host, 7);
    assert_int_equal(cudaStreamQuery(stream), cudaErrorNotReady);
    assert_int_equal(cudaPeekAtLastError(), cudaSuccess);
    for (; cudaStreamQuery(stream) == cudaErrorNotReady; polls++)
        assert_int_equal(*host, 7);
    assert_true(polls > 2);
    assert_int_equal(*host, 12345);
}

void arguments_are_taken_when_launched(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1), *host = page_locked<int>(1), value = 42;
    cudaStream_t stream = a_stream();

    OK(cudaMemsetAsync(device, 0, 4, stream));
    OK(MU_LAUNCH(add_to, 2, 3, 0, stream, device, value));
    value = 1000;
    OK(cudaMemcpyAsync(host, device, 4, cudaMemcpyDefault, stream));
    OK(cudaStreamSynchronize(stream));
    assert_int_equal(*host, 2 * 3 * 42);
}

/* Two streams that nothing orders: the one that was made last comes first. */
void the_newest_stream_may_come_first(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "2"});
    int *device = on_device<int>(1), back;
    cudaStream_t older = a_stream(), newer = a_stream();

    OK(cudaMemset(device, 0, 4));
    for (int i = 1; i <= 3; i++)
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, older, device, i));
    for (int i = 4; i <= 6; i++)
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, newer, device, i));
    OK(cudaStreamSynchronize(older));
    OK(cudaMemcpy(&back, device, 4, cudaMemcpyDeviceToHost));
    assert_int_equal(back, 456123);
}

void events_order_streams(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1), back;
    cudaStream_t a = a_stream(), b = a_stream(), c = a_stream();
    cudaEvent_t first = an_event(), second = an_event();

    OK(cudaMemset(device, 0, 4));
    assert_int_equal(cudaEventQuery(first), cudaSuccess); /* never recorded */
    OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, a, device, 1));
    OK(cudaEventRecord(first, a));
    OK(cudaStreamWaitEvent(b, first));
    OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, b, device, 2));
    OK(cudaEventRecord(second, b));
    OK(cudaStreamWaitEvent(c, second));
    OK(cudaEventRecord(second, a)); /* c waits for what was recorded before */
    OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, c, device, 3));
    assert_int_equal(cudaEventQuery(first), cudaErrorNotReady);
    OK(cudaEventDestroy(second));
    OK(cudaStreamSynchronize(c));
    OK(cudaEventSynchronize(first));
    OK(cudaMemcpy(&back, device, 4, cudaMemcpyDeviceToHost));
    assert_int_equal(back, 123);
    assert_int_equal(cudaEventQuery(second), cudaErrorInvalidResourceHandle);
}

/* Without the event, the other order is taken: the lazy machine shows what was forgotten. */
void a_missing_wait_shows(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1), back, wrong = 0;

    for (int round = 0; round < 20; round++) {
        cudaStream_t a = a_stream(), b = a_stream();

        OK(cudaMemset(device, 0, 4));
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, a, device, 1));
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, b, device, 2));
        OK(cudaDeviceSynchronize());
        OK(cudaMemcpy(&back, device, 4, cudaMemcpyDeviceToHost));
        wrong += back != 12;
        assert_true(back == 12 || back == 21);
        OK(cudaStreamDestroy(a));
        OK(cudaStreamDestroy(b));
    }
    assert_true(wrong > 0);
}

void the_null_stream_waits_for_others(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(2), back[2];
    cudaStream_t blocking = a_stream(cudaStreamDefault), not_blocking = a_stream();

    for (int round = 0; round < 30; round++) {
        OK(cudaMemset(device, 0, 8));
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, blocking, device, 1));
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, nullptr, device, 2));
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, blocking, device, 3));
        OK(MU_LAUNCH(times_ten_plus, 1, 1, 0, not_blocking, device + 1, 4));
        OK(cudaStreamSynchronize(nullptr));
        OK(cudaStreamSynchronize(not_blocking));
        OK(cudaMemcpy(back, device, 8, cudaMemcpyDeviceToHost));
        assert_int_equal(back[0], 123);
        assert_int_equal(back[1], 4);
    }
}

void a_destroyed_stream_finishes(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1), *host = page_locked<int>(1);
    cudaStream_t stream = a_stream();

    OK(cudaMemsetAsync(device, 1, 4, stream));
    OK(cudaMemcpyAsync(host, device, 4, cudaMemcpyDefault, stream));
    OK(cudaStreamDestroy(stream));
    assert_int_equal(cudaStreamQuery(stream), cudaErrorInvalidResourceHandle);
    OK(cudaFree(device)); /* waits for the device */
    assert_int_equal(*host, 0x01010101);
}

void pageable_copies_wait(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1), back = 0;
    cudaStream_t stream = a_stream();

    OK(cudaMemsetAsync(device, 1, 4, stream));
    OK(cudaMemcpyAsync(&back, device, 4, cudaMemcpyDeviceToHost, stream));
    assert_int_equal(back, 0x01010101);
}

void events_tell_time(void **)
{
    cudaEvent_t a = an_event(cudaEventDefault), b = an_event(cudaEventDefault), c = an_event();
    float ms = -1;

    assert_int_equal(cudaEventElapsedTime(&ms, a, b), cudaErrorInvalidResourceHandle);
    OK(cudaEventRecord(a, nullptr));
    usleep(20000);
    OK(cudaEventRecord(b, nullptr));
    OK(cudaEventRecord(c, nullptr));
    OK(cudaEventElapsedTime(&ms, a, b));
    assert_true(ms >= 20 && ms < 20000);
    assert_int_equal(cudaEventElapsedTime(&ms, a, c), cudaErrorInvalidResourceHandle);
    for (cudaEvent_t e : {a, b, c})
        OK(cudaEventDestroy(e));
}

/* ---- errors ---- */
void a_kept_launch_fails_the_next_call(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    cudaStream_t stream = a_stream();

    OK(MU_LAUNCH(diverges, 1, 32, 0, stream, 0u));
    assert_int_equal(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
    assert_non_null(std::strstr(mu_emulate_fault(), "diverges"));
    void *memory;
    assert_int_equal(cudaMalloc(&memory, 1), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure); /* for good */
    assert_int_equal(cudaStreamQuery(stream), cudaErrorLaunchFailure);
    assert_int_equal(cudaDeviceReset(), cudaErrorLaunchFailure);
    mu_emulate_clear();
    OK(cudaStreamQuery(stream));
}

/* An impossible launch is known at once, and breaks nothing. */
void a_launch_that_no_gpu_takes(void **)
{
    cudaStream_t stream = a_stream();

    assert_int_equal(MU_LAUNCH(diverges, 1, 1025, 0, stream, 0u), cudaErrorInvalidConfiguration);
    OK(cudaStreamSynchronize(stream));
    mu_emulate_clear();
    OK(cudaStreamDestroy(stream));
    assert_int_equal(MU_LAUNCH(add_to, 1, 1, 0, stream, nullptr, 1),
                     cudaErrorInvalidResourceHandle);
}

/* What nobody asked for comes out of the next launch; that a query was not ready is no error. */
void a_launch_returns_the_last_error(void **)
{
    machine lazy({"MUSTER_EMULATE_LAZY", "1"});
    int *device = on_device<int>(1);
    cudaStream_t stream = a_stream();

    for (int i = 0; i < 5; i++)
        OK(cudaMemsetAsync(device, 0, 4, stream));
    assert_int_equal(cudaStreamQuery(stream), cudaErrorNotReady);
    OK(MU_LAUNCH(add_to, 1, 1, 0, stream, device, 1));
    assert_int_equal(cudaFree(device + 1), cudaErrorInvalidValue);
    assert_int_equal(MU_LAUNCH(add_to, 1, 1, 0, stream, device, 1), cudaErrorInvalidValue);
    OK(MU_LAUNCH(add_to, 1, 1, 0, stream, device, 1));
    OK(cudaStreamSynchronize(stream));
}

void calls_fail_as_asked(void **)
{
    void *memory;

    for (int k = 1; k <= 4; k++)
        for (int error : {2, 719}) {
            char value[32];
            std::snprintf(value, sizeof value, "%d:%d", k, error);
            machine failing({"MUSTER_EMULATE_FAIL", value});
            int failed = 0;

            for (int i = 1; i <= 6; i++) {
                cudaError_t e = cudaMalloc(&memory, 16);

                if (e != cudaSuccess) {
                    assert_int_equal(e, error);
                    failed += failed ? 1 : 10 * i + 1;
                }
                (void)cudaStreamQuery(nullptr); /* does not count */
            }
            assert_int_equal(failed, 10 * k + (error == 719 ? 7 - k : 1));
            assert_int_equal(cudaGetLastError(), error);
            assert_int_equal(cudaGetLastError(), error == 719 ? error : 0);
        }
    assert_string_equal(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
    assert_string_equal(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
}

/* ---- the machine ---- */
void devices_are_counted(void **)
{
    int count;

    {
        machine two({"MUSTER_EMULATE_DEVICES", "2"});
        OK(cudaGetDeviceCount(&count));
        assert_int_equal(count, 2);
        assert_int_equal(cudaSetDevice(2), cudaErrorInvalidDevice);
        assert_int_equal(cudaGetLastError(), cudaErrorInvalidDevice);
        OK(cudaSetDevice(1));
        cudaStream_t of_one = a_stream();
        OK(MU_LAUNCH(diverges, 1, 32, 0, of_one, 32u));
        OK(cudaSetDevice(0));
        assert_int_equal(MU_LAUNCH(diverges, 1, 32, 0, of_one, 32u),
                         cudaErrorInvalidResourceHandle);
        OK(cudaSetDevice(1));
        int device = -1; /* another thread begins with device 0 */
        std::thread([&device] { cudaGetDevice(&device); }).join();
        assert_int_equal(device, 0);
    }
    {
        machine visible({"MUSTER_EMULATE_DEVICES", "4", "CUDA_VISIBLE_DEVICES", "3,1,9,2"});
        struct cudaDeviceProp prop;

        OK(cudaGetDeviceCount(&count));
        assert_int_equal(count, 2);
        OK(cudaGetDeviceProperties(&prop, 0));
        assert_int_equal(prop.pciBusID, 3 + 1);
        assert_true(prop.major >= 8 && prop.multiProcessorCount > 0 && *prop.name);
    }
    machine none({"CUDA_VISIBLE_DEVICES", ""});
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorNoDevice);
    assert_int_equal(count, 0);
}

void drivers_may_be_too_old(void **)
{
    machine old({"MUSTER_EMULATE_DRIVER", "12080"});
    int version, count;
    void *memory;

    OK(cudaDriverGetVersion(&version));
    assert_int_equal(version, 12080);
    OK(cudaRuntimeGetVersion(&version));
    assert_int_equal(version, 13000);
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    assert_int_equal(cudaMalloc(&memory, 1), cudaErrorInsufficientDriver);
}
} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_and_fills),
        cmocka_unit_test(wrong_pointers_are_refused),
        cmocka_unit_test(the_host_may_not_touch_device_memory),
        cmocka_unit_test(a_byte_too_far_is_found),
        cmocka_unit_test(memory_has_an_end),
        cmocka_unit_test(page_locked_memory),
        cmocka_unit_test(a_stream_keeps_its_order),
        cmocka_unit_test(arguments_are_taken_when_launched),
        cmocka_unit_test(the_newest_stream_may_come_first),
        cmocka_unit_test(events_order_streams),
        cmocka_unit_test(a_missing_wait_shows),
        cmocka_unit_test(the_null_stream_waits_for_others),
        cmocka_unit_test(a_destroyed_stream_finishes),
        cmocka_unit_test(pageable_copies_wait),
        cmocka_unit_test(events_tell_time),
        cmocka_unit_test(a_kept_launch_fails_the_next_call),
        cmocka_unit_test(a_launch_that_no_gpu_takes),
        cmocka_unit_test(a_launch_returns_the_last_error),
        cmocka_unit_test(calls_fail_as_asked),
        cmocka_unit_test(devices_are_counted),
        cmocka_unit_test(drivers_may_be_too_old),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
