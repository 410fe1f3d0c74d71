/* muster without what makes it recoverable: the linker (--wrap) puts these in the place of the
 * polls, the words on the board and the watchdog's thread, of the same objects. What is left
 * between this program and muster is what being recoverable costs a step. Whoever waits for MPI
 * here tests its own requests; a death is not noticed at all. */
#include "worker/poller.h"
#include "worker/watchdog.h"

enum mu_status __wrap_mu_poll(struct mu_poller *p);
enum mu_status __wrap_mu_poll_hook(void *poller);
enum mu_phase __wrap_mu_board_set_phase(struct mu_board *b, enum mu_phase phase);
void __wrap_mu_board_note_shard(struct mu_board *b, uint64_t compute_ns);
enum mu_status __wrap_mu_watchdog_begin(struct mu_watchdog **out, struct mu_board *b);
void __wrap_mu_watchdog_met(struct mu_watchdog *w, struct mu_comm *comm);
void __wrap_mu_watchdog_set_timeout(struct mu_watchdog *w, int64_t seconds);
void __wrap_mu_watchdog_end(struct mu_watchdog *w);

enum mu_status __wrap_mu_poll(struct mu_poller *p)
{
    return p->status;
}

enum mu_status __wrap_mu_poll_hook(void *poller)
{
    (void)poller;
    return MU_OK;
}

enum mu_phase __wrap_mu_board_set_phase(struct mu_board *b, enum mu_phase phase)
{
    (void)b;
    return phase;
}

void __wrap_mu_board_note_shard(struct mu_board *b, uint64_t compute_ns)
{
    (void)b;
    (void)compute_ns;
}

enum mu_status __wrap_mu_watchdog_begin(struct mu_watchdog **out, struct mu_board *b)
{
    (void)b;
    *out = NULL;
    return MU_OK;
}

void __wrap_mu_watchdog_met(struct mu_watchdog *w, struct mu_comm *comm)
{
    (void)w;
    (void)comm;
}

void __wrap_mu_watchdog_set_timeout(struct mu_watchdog *w, int64_t seconds)
{
    (void)w;
    (void)seconds;
}

void __wrap_mu_watchdog_end(struct mu_watchdog *w)
{
    (void)w;
}
