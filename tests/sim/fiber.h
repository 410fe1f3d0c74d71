/* A thread of control that runs until it gives the processor back by itself: a rank of the
 * simulated fleet. So a rank's code reads like the worker's, with a repair deep inside a poll, and
 * can still be stopped for ever between any two of its actions. */
#ifndef MUSTER_SIM_FIBER_H
#define MUSTER_SIM_FIBER_H

#include <stddef.h>
#include <ucontext.h>

struct fiber {
    ucontext_t here, caller;
    void *stack;
    size_t stack_bytes;
    void (*run)(void *argument);
    void *argument;
    const void *caller_stack; /* for AddressSanitizer, as are the next two */
    size_t caller_stack_bytes;
    void *fake_stack, *caller_fake_stack;
};

/* Prepares; `run` must not return, but yield for ever. stack: page-aligned, of the caller. */
void fiber_start(struct fiber *fiber, void *stack, size_t stack_bytes, void (*run)(void *),
                 void *argument);
/* Runs it until it yields. */
void fiber_resume(struct fiber *fiber);
/* Inside of it: back to who resumed it. */
void fiber_yield(struct fiber *fiber);

#endif
