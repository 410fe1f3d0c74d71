/* What a test asks of the emulation: in which order threads run, and what went wrong. */
#ifndef MUSTER_KERNELS_EMULATE_CONTROL_H
#define MUSTER_KERNELS_EMULATE_CONTROL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order of blocks, and of a block's threads between two barriers. A kernel without races gives
 * the same bits under all of them. */
enum mu_emulate_order {
    MU_EMULATE_FORWARD,
    MU_EMULATE_REVERSE,
    MU_EMULATE_SHUFFLED, /* by the seed; another order after each barrier */
};
void mu_emulate_set_order(enum mu_emulate_order order, uint64_t seed);

/* What the first faulty launch since the last clear did wrong, in words; NULL: nothing. A launch
 * that is at fault also returns an error, and leaves its outputs unfinished. */
const char *mu_emulate_fault(void);
void mu_emulate_clear(void);

#ifdef __cplusplus
}
#endif

#endif
