/* Fibres: calls with stacks of their own that take turns on one host thread. The emulation makes
 * one of each thread of a block.
 *
 *   start: prepared --enter--> running --leave--> waiting --enter--> running ... --finish--> ended
 *
 * A fibre that waits may be started anew: what its stack held is forgotten. AddressSanitizer is
 * told of each switch. One host thread at a time. */
#ifndef MUSTER_KERNELS_EMULATE_FIBRE_H
#define MUSTER_KERNELS_EMULATE_FIBRE_H

#include <cstddef>

struct mu_fibre {
    char *stack; /* size_bytes of it, owned by the caller; grows downwards */
    std::size_t size_bytes;
    void (*entry)(void *argument);
    void *argument;
    void *place;      /* where it goes on: a stack pointer, or a ucontext_t */
    void *fake_stack; /* AddressSanitizer's */
    bool unfinished;  /* was started, has not finished: its stack holds frames */
};

/* entry must end with mu_fibre_finish. */
void mu_fibre_start(mu_fibre *f, void (*entry)(void *argument), void *argument);
/* From the host: runs f until it leaves or finishes. */
void mu_fibre_enter(mu_fibre *f);
/* From the fibre that runs: back to the host; returns when it is entered again. */
void mu_fibre_leave();
/* For good. Not [[noreturn]], since AddressSanitizer would clear a whole stack at each call. */
void mu_fibre_finish();

#endif
