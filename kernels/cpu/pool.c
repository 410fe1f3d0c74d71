/* One job at a time. Tasks are drawn from `ticket`: generation in the upper half, next task in the
 * lower. An even generation is open; an odd one is closed, and only then are the job's fields
 * written:
 *
 *   caller   close ticket -> write fields -> open ticket -> draw and run -> wait for done == count
 *   worker   read ticket -> read fields -> draw by compare-and-swap on the ticket that was read
 *
 * A worker that comes late, with the fields of another job in hand, fails its swap: every job opens
 * with a new generation. So nobody waits for a worker that is still asleep; a join waits for tasks,
 * not for threads. */
#include "kernels/cpu/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"

enum {
    POLL_EVERY_NS = 500 * 1000,
    SPIN_NS = 60 * 1000, /* then a worker sleeps: longer than the gap between two operations */
    LOOKS_PER_YIELD = 64,
};

struct mu_pool {
    struct mu_pool_options options;
    uint64_t last_poll_ns; /* of the caller's thread */

    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic int64_t done;
    _Alignas(64) _Atomic(mu_task *) task;
    _Atomic(void *) job;
    _Atomic int64_t count;

    _Alignas(64) pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic int sleepers;
    _Atomic int stop;
    int started;
    pthread_t threads[];
};

struct start {
    struct mu_pool *pool;
    int worker;
};

static inline uint32_t generation_of(uint64_t ticket)
{
    return (uint32_t)(ticket >> 32);
}

static inline void relax(unsigned *looks)
{
    if (++*looks % LOOKS_PER_YIELD == 0)
        sched_yield(); /* ranks may share a core */
}

/* Draws and runs tasks until the open job has none left. */
static void work(struct mu_pool *p, int worker)
{
    for (;;) {
        uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
        mu_task *task = atomic_load_explicit(&p->task, memory_order_relaxed);
        void *job = atomic_load_explicit(&p->job, memory_order_relaxed);
        int64_t count = atomic_load_explicit(&p->count, memory_order_relaxed);
        int64_t next = (int64_t)(uint32_t)ticket;

        if (generation_of(ticket) % 2 || next >= count)
            return;
        atomic_thread_fence(memory_order_acquire);
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &ticket, ticket + 1,
                                                   memory_order_acq_rel, memory_order_relaxed))
            continue;
        task(job, next, worker);
        atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
        mu_pool_poll(p, worker);
    }
}

/* Waits until the ticket has another generation than `seen`: spins a while, then sleeps. */
static void wait_for_job(struct mu_pool *p, uint32_t seen)
{
    uint64_t until = mu_clock_ns() + SPIN_NS;
    unsigned looks = 0;

    while (mu_clock_ns() < until) {
        if (generation_of(atomic_load(&p->ticket)) != seen || atomic_load(&p->stop))
            return;
        relax(&looks);
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (generation_of(atomic_load(&p->ticket)) == seen && !atomic_load(&p->stop))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void wake_sleepers(struct mu_pool *p)
{
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *argument)
{
    struct start start = *(struct start *)argument;
    struct mu_pool *p = start.pool;

    free(argument);
    p->options.enter();
    while (!atomic_load(&p->stop)) {
        uint32_t seen = generation_of(atomic_load(&p->ticket));

        work(p, start.worker);
        wait_for_job(p, seen);
    }
    return NULL;
}

void mu_pool_run(struct mu_pool *p, mu_task *task, void *job, int64_t count)
{
    uint64_t generation = (uint64_t)generation_of(atomic_load(&p->ticket)) + 1;
    unsigned looks = 0;

    MU_ASSERT(count >= 0 && count < UINT32_MAX);
    if (p->options.threads == 1 || count == 1) {
        for (int64_t i = 0; i < count; i++) {
            task(job, i, 0);
            mu_pool_poll(p, 0);
        }
        return;
    }
    atomic_store_explicit(&p->ticket, generation << 32, memory_order_relaxed); /* odd: closed */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&p->task, task, memory_order_relaxed);
    atomic_store_explicit(&p->job, job, memory_order_relaxed);
    atomic_store_explicit(&p->count, count, memory_order_relaxed);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    atomic_store(&p->ticket, (generation + 1) << 32);
    wake_sleepers(p);
    work(p, 0);
    while (atomic_load_explicit(&p->done, memory_order_acquire) < count) {
        mu_pool_poll(p, 0);
        relax(&looks);
    }
}

void mu_pool_poll(struct mu_pool *p, int worker)
{
    uint64_t now;

    if (worker != 0 || !p->options.poll)
        return;
    now = mu_clock_ns();
    if (now - p->last_poll_ns < POLL_EVERY_NS)
        return;
    p->options.poll(p->options.poll_context);
    p->last_poll_ns = mu_clock_ns();
}

/* Workers take no signals: handlers run on the threads of those who installed them. */
static int start_worker(struct mu_pool *p, int worker)
{
    struct start *start = malloc(sizeof *start);
    sigset_t all, before;
    int failed;

    if (!start)
        return -1;
    *start = (struct start){p, worker};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&p->threads[worker - 1], NULL, worker_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        free(start);
    return failed;
}

enum mu_status mu_pool_open(const struct mu_pool_options *options, struct mu_pool **out)
{
    size_t bytes = sizeof(struct mu_pool) + (size_t)options->threads * sizeof(pthread_t);
    struct mu_pool *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

    *out = NULL;
    if (!p)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %d threads", options->threads);
    *p = (struct mu_pool){.options = *options};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int w = 1; w < options->threads; w++) {
        if (start_worker(p, w)) {
            mu_pool_close(p);
            return MU_FAIL(MU_FAILED, "cannot start thread %d of device.threads = %d", w + 1,
                           options->threads);
        }
        p->started = w;
    }
    *out = p;
    return MU_OK;
}

void mu_pool_close(struct mu_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, 1);
    wake_sleepers(p);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
