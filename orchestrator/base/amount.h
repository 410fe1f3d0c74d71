/* Amounts as people read them. */
#ifndef MUSTER_BASE_AMOUNT_H
#define MUSTER_BASE_AMOUNT_H

#include <stdint.h>

struct mu_amount {
    char text[32];
};

/* Three digits: "512 bytes", "1.5 kiB", "9.71 MiB"; from GiB on one behind the
 * point: "34.0 GiB". */
struct mu_amount mu_amount_bytes(double bytes);
/* About so long: "0.012 s", "85 s", "12 min", "3.4 h", "41 days"; "-": not known (NAN). */
struct mu_amount mu_amount_duration(double seconds);

/* What is put behind a noun: "s", but for one of them. */
static inline const char *mu_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

#endif
