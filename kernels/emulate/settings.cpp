/* The environment that control.h tells of, and what goes wrong when asked. */
#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/emulate/control.h"
#include "kernels/emulate/machine.h"
#include "orchestrator/base/fault_gpu.h"

namespace mu_emulate
{
namespace
{
settings now;
bool known;
std::uint64_t calls;

const char *variable(const char *name)
{
    const char *value = std::getenv(name);

    return value && *value ? value : nullptr;
}

double number(const char *name, double otherwise)
{
    const char *value = variable(name);
    char *end;

    if (!value)
        return otherwise;
    double x = std::strtod(value, &end);
    if (*end || x < 0)
        die("%s = \"%s\" is no number", name, value);
    return x;
}

/* Faults may be one rank's alone: as Open MPI numbers them. */
bool concerns_me()
{
    const char *who = variable("MUSTER_EMULATE_RANK"), *me = variable("PMIX_RANK");

    return !who || (me && !std::strcmp(who, me));
}

std::uint64_t count(const char *name)
{
    double x = number(name, 0);

    return concerns_me() ? static_cast<std::uint64_t>(x) : 0;
}

/* "k:e" */
nth numbered_error(const char *name)
{
    const char *value = variable(name);
    nth n = {0, 0};
    char rest;

    if (value && std::sscanf(value, "%" SCNu64 ":%d%c", &n.number, &n.error, &rest) != 2)
        die("%s = \"%s\" is not NUMBER:ERROR", name, value);
    return concerns_me() ? n : nth{0, 0};
}

/* "a:us,b:us" */
void slow_products(const char *name, unsigned long slow_us[4])
{
    const char *at = variable(name);

    std::fill(slow_us, slow_us + 4, 0ul);
    while (at && *at) {
        unsigned algorithm;
        unsigned long us;
        int used = 0;

        if (std::sscanf(at, "%u:%lu%n", &algorithm, &us, &used) != 2 || algorithm > 3 ||
            (at[used] && at[used] != ','))
            die("%s: \"%s\" is not ALGORITHM:MICROSECONDS,...", name, at);
        slow_us[algorithm] = concerns_me() ? us : 0;
        at += used + (at[used] == ',');
    }
}

/* As the driver reads it: up to the first entry that is no device. */
std::vector<int> visible_devices(int count)
{
    const char *list = std::getenv("CUDA_VISIBLE_DEVICES");
    std::vector<int> devices;
    char *end;

    if (!list) {
        for (int i = 0; i < count; i++)
            devices.push_back(i);
        return devices;
    }
    for (;; list = end + 1) {
        long i = std::strtol(list, &end, 10);

        if (end == list || i < 0 || i >= count)
            break;
        devices.push_back(static_cast<int>(i));
        if (*end != ',')
            break;
    }
    return devices;
}
} // namespace

const settings &asked()
{
    if (known)
        return now;
    now.devices = visible_devices(static_cast<int>(number("MUSTER_EMULATE_DEVICES", 8)));
    now.memory_bytes = static_cast<std::size_t>(number("MUSTER_EMULATE_MEMORY", 4.0 * (1 << 30)));
    now.driver = static_cast<int>(number("MUSTER_EMULATE_DRIVER", CUDART_VERSION));
    now.capability = static_cast<int>(number("MUSTER_EMULATE_CAPABILITY", 90));
    now.mig = std::max(1, static_cast<int>(number("MUSTER_EMULATE_MIG", 1)));
    now.lazy = number("MUSTER_EMULATE_LAZY", 0) > 0;
    now.newest_first = number("MUSTER_EMULATE_LAZY", 0) == 2;
    now.memory_stays_open = number("MUSTER_EMULATE_OPEN", 0) > 0;
    now.wait_s = number("MUSTER_EMULATE_WAIT_S", 120);
    now.fail = numbered_error("MUSTER_EMULATE_FAIL");
    now.nccl_error = numbered_error("MUSTER_EMULATE_NCCL_ERROR");
    now.nccl_form = numbered_error("MUSTER_EMULATE_NCCL_FORM");
    now.nccl_end_hangs = count("MUSTER_EMULATE_NCCL_END_HANGS") > 0;
    now.nccl_abort_hangs = count("MUSTER_EMULATE_NCCL_ABORT_HANGS");
    now.nccl_abort_ms = count("MUSTER_EMULATE_NCCL_ABORT_MS");
    now.nccl_torn = count("MUSTER_EMULATE_NCCL_TORN");
    now.nccl_remote = number("MUSTER_EMULATE_NCCL_REMOTE", 0) > 0;
    now.nccl_order = static_cast<unsigned>(number("MUSTER_EMULATE_NCCL_ORDER", 0));
    now.blas_first = concerns_me() ? static_cast<int>(number("MUSTER_EMULATE_BLAS_FIRST", -1)) : -1;
    now.blas_version = count("MUSTER_EMULATE_BLAS_VERSION");
    slow_products("MUSTER_EMULATE_BLAS_SLOW", now.blas_slow_us);
    known = true;
    return now;
}

void forget_settings()
{
    known = false;
    calls = 0;
}

cudaError_t asked_error()
{
    int error = mu_fault_take_gpu_error();

    calls++;
    if (error != 0)
        return static_cast<cudaError_t>(error);
    return calls == asked().fail.number ? static_cast<cudaError_t>(asked().fail.error)
                                        : cudaSuccess;
}

void die(const char *format, ...)
{
    va_list arguments;

    std::fputs("emulation: ", stderr);
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
    std::fputc('\n', stderr);
    std::abort();
}
} // namespace mu_emulate

uint64_t mu_emulate_calls(void)
{
    mu_emulate::hold held(mu_emulate::lock);

    return mu_emulate::calls;
}

void mu_emulate_restart(void)
{
    mu_emulate::hold held(mu_emulate::lock);

    mu_emulate::nccl_forget();
    mu_emulate::drop_streams();
    mu_emulate::free_all_memory();
    mu_emulate::forget_settings();
    mu_emulate::current_device = 0;
    mu_emulate::last_error = cudaSuccess;
}
