/* Time for deadlines and rates: CLOCK_MONOTONIC only, so that a clock set back harms nothing. The
 * pure core is given times as numbers and never asks for them. */
#ifndef MUSTER_BASE_CLOCK_H
#define MUSTER_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

uint64_t mu_clock_ns(void);
double mu_clock_s(void);
void mu_clock_sleep_us(unsigned us); /* resumed after a signal only if time is left; at most us */

/* Date and time for people and records, UTC: "2026-11-22T21:30:00Z". */
struct mu_clock_text {
    char text[24];
};
struct mu_clock_text mu_clock_date(void);
/* The same as seconds since 1970, for records that want a number. */
double mu_clock_date_s(void);

struct mu_deadline {
    uint64_t at_ns;
};
static inline struct mu_deadline mu_deadline_in_ms(uint64_t ms)
{
    return (struct mu_deadline){mu_clock_ns() + ms * 1000000u};
}
static inline bool mu_deadline_passed(struct mu_deadline d)
{
    return mu_clock_ns() >= d.at_ns;
}

/* A wait that costs little whether the answer comes in 1 µs or in 1 s: spins, then yields, then
 * sleeps 50 µs at a time. Zero-initialise before each wait and call once per unsuccessful look. */
struct mu_backoff {
    unsigned looks;
};
void mu_backoff_pause(struct mu_backoff *b);

#endif
