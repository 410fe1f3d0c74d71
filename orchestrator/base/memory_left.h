/* How much memory this process may still take before the kernel ends somebody for it: of the
 * machine, and of the control group that a container is. For what one can do without. */
#ifndef MUSTER_BASE_MEMORY_LEFT_H
#define MUSTER_BASE_MEMORY_LEFT_H

#include <stdint.h>

/* Bytes; UINT64_MAX where nothing says. root: "", or a folder that has proc and sys, for tests. */
uint64_t mu_memory_left(const char *root);
/* Bytes that the control group allows in all; 0: no limit. root: as above. */
uint64_t mu_memory_limit(const char *root);
/* Bytes that this machine has. */
uint64_t mu_memory_physical(void);

#endif
