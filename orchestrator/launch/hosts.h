/* The hosts that a launch may use: --hosts a:4,b:4, or a file with a line a host, "NAME",
 * "NAME:4" or "NAME slots=4", as mpirun reads it; # begins a comment. */
#ifndef MUSTER_LAUNCH_HOSTS_H
#define MUSTER_LAUNCH_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/ladder.h"

/* MU_USAGE with what was expected. Names that stand there twice add their slots up. */
enum mu_status mu_hosts_parse_list(const char *text, struct mu_ladder_host host[MU_LADDER_HOSTS],
                                   uint32_t *count) MU_CHECKED;
enum mu_status mu_hosts_read_file(const char *path, struct mu_ladder_host host[MU_LADDER_HOSTS],
                                  uint32_t *count) MU_CHECKED;
uint32_t mu_hosts_slots(const struct mu_ladder_host *host, uint32_t count);
bool mu_host_is_here(const char *name); /* this machine */

#endif
