/* Which machine a rank is on. */
#ifndef MUSTER_BASE_HOST_KEY_H
#define MUSTER_BASE_HOST_KEY_H

#include <stdint.h>

/* Ranks with equal keys share /dev/shm. name: of the host. MUSTER_HOSTS=N pretends that rank r
 * lives on host r modulo N: for tests of several hosts on one machine. */
uint64_t mu_host_key(const char *name, int rank);

#endif
