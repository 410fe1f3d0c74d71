#include "tests/sim/fiber.h"

#include <stdint.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size)
{
    (void)save, (void)bottom, (void)size;
}
static void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size)
{
    (void)save, (void)bottom, (void)size;
}
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

/* makecontext passes ints: the pointer goes in two. */
static void enter(unsigned high, unsigned low)
{
    struct fiber *f = (struct fiber *)((uintptr_t)high << 32 | (uintptr_t)low);

    __sanitizer_finish_switch_fiber(NULL, &f->caller_stack, &f->caller_stack_bytes);
    f->run(f->argument);
    for (;;)
        fiber_yield(f);
}

void fiber_start(struct fiber *f, void *stack, size_t stack_bytes, void (*run)(void *),
                 void *argument)
{
    memset(f, 0, sizeof *f);
    ASAN_UNPOISON_MEMORY_REGION(stack, stack_bytes); /* what an abandoned fiber left there */
    f->stack = stack;
    f->stack_bytes = stack_bytes;
    f->run = run;
    f->argument = argument;
    getcontext(&f->here);
    f->here.uc_stack.ss_sp = stack;
    f->here.uc_stack.ss_size = stack_bytes;
    f->here.uc_link = NULL;
    makecontext(&f->here, (void (*)(void))enter, 2, (unsigned)((uintptr_t)f >> 32),
                (unsigned)((uintptr_t)f & 0xffffffffu));
}

void fiber_resume(struct fiber *f)
{
    __sanitizer_start_switch_fiber(&f->caller_fake_stack, f->stack, f->stack_bytes);
    swapcontext(&f->caller, &f->here);
    __sanitizer_finish_switch_fiber(f->caller_fake_stack, NULL, NULL);
}

void fiber_yield(struct fiber *f)
{
    __sanitizer_start_switch_fiber(&f->fake_stack, f->caller_stack, f->caller_stack_bytes);
    swapcontext(&f->here, &f->caller);
    __sanitizer_finish_switch_fiber(f->fake_stack, &f->caller_stack, &f->caller_stack_bytes);
}
