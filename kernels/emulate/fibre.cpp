/* On x86-64 a switch is a dozen instructions of our own; elsewhere (and with MU_FIBRE_UCONTEXT, to
 * try it here) swapcontext, which asks the operating system about signals each time: tests then
 * take some ten times as long. */
#include "kernels/emulate/fibre.h"

#include <cstdint>
#include <cstdlib>

#include "kernels/emulate/asan.h"

#ifdef MU_EMULATE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size)  ((void)(save))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(fake))
#define __asan_unpoison_memory_region(address, size)        ((void)(address))
#endif

namespace
{
mu_fibre *running;
struct {
    void *place, *fake_stack;
    const void *stack;
    std::size_t size_bytes;
} host;

/* The first thing on a fibre's stack. */
void begin()
{
    __sanitizer_finish_switch_fiber(nullptr, &host.stack, &host.size_bytes);
    running->entry(running->argument);
    abort(); /* entry returned */
}
} // namespace

#if defined(__x86_64__) && !defined(MU_FIBRE_UCONTEXT)

/* Pushes what the ABI says a call preserves, stores the stack pointer, and does the reverse on the
 * other stack. */
extern "C" void mu_fibre_swap(void **save, void *load);
__asm__(".text\n"
        ".globl mu_fibre_swap\n"
        ".type mu_fibre_swap, @function\n"
        "mu_fibre_swap:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size mu_fibre_swap, . - mu_fibre_swap\n");

/* Six registers, the address that swap returns to, and a return address of none, so that begin()
 * finds its stack aligned as after a call. */
static void prepare(mu_fibre *f)
{
    auto top = reinterpret_cast<std::uintptr_t>(f->stack + f->size_bytes) & ~std::uintptr_t{15};
    auto slot = reinterpret_cast<std::uintptr_t *>(top) - 8;

    for (int i = 0; i < 8; i++)
        slot[i] = 0;
    slot[6] = reinterpret_cast<std::uintptr_t>(&begin);
    f->place = slot;
}

static void swap(void **save, void *load)
{
    mu_fibre_swap(save, load);
}

#else
#include <ucontext.h>

/* A context lies at the lower end of its fibre's stack; the host's is static. */
static void prepare(mu_fibre *f)
{
    auto context = reinterpret_cast<ucontext_t *>(f->stack);

    getcontext(context);
    context->uc_stack.ss_sp = f->stack + sizeof *context;
    context->uc_stack.ss_size = f->size_bytes - sizeof *context;
    makecontext(context, begin, 0);
    f->place = context;
}

static void swap(void **save, void *load)
{
    static ucontext_t host_context;

    if (!*save)
        *save = &host_context;
    swapcontext(static_cast<ucontext_t *>(*save), static_cast<ucontext_t *>(load));
}
#endif

void mu_fibre_start(mu_fibre *f, void (*entry)(void *argument), void *argument)
{
    if (f->unfinished)
        __asan_unpoison_memory_region(f->stack, f->size_bytes);
    f->unfinished = true;
    f->entry = entry;
    f->argument = argument;
    f->fake_stack = nullptr;
    prepare(f);
}

void mu_fibre_enter(mu_fibre *f)
{
    running = f;
    __sanitizer_start_switch_fiber(&host.fake_stack, f->stack, f->size_bytes);
    swap(&host.place, f->place);
    __sanitizer_finish_switch_fiber(host.fake_stack, nullptr, nullptr);
}

void mu_fibre_leave()
{
    mu_fibre *self = running;

    __sanitizer_start_switch_fiber(&self->fake_stack, host.stack, host.size_bytes);
    swap(&self->place, host.place);
    __sanitizer_finish_switch_fiber(self->fake_stack, &host.stack, &host.size_bytes);
}

void mu_fibre_finish()
{
    running->unfinished = false;
    __sanitizer_start_switch_fiber(nullptr, host.stack, host.size_bytes);
    swap(&running->place, host.place);
    abort(); /* nobody enters an ended fibre */
}
