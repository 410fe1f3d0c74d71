/* control/resize: how many ranks somebody wants; control/relaunch: the ranks are to make way. The
 * first is for the launcher, which alone takes it away; the second is the launcher's, for them. */
#ifndef MUSTER_LAUNCH_RESIZE_H
#define MUSTER_LAUNCH_RESIZE_H

#include <stdint.h>

#include "orchestrator/base/status.h"

/* 0: nothing is asked for. A request that is no number is told of and taken away. */
uint32_t mu_resize_read(const char *run);
void mu_resize_clear(const char *run);
enum mu_status mu_resize_write(const char *run, uint32_t ranks) MU_CHECKED;

/* The ranks are to make way at the next step boundary, and to leave the state in memory. */
enum mu_status mu_relaunch_ask(const char *run) MU_CHECKED;
void mu_relaunch_clear(const char *run);

/* When a launcher begins: what was asked of the run before is not obeyed, and goes. */
void mu_requests_drop(const char *run);

#endif
