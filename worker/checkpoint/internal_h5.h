/* Shared by the files that include HDF5's header, and by nothing else. */
#ifndef MUSTER_WORKER_CHECKPOINT_INTERNAL_H5_H
#define MUSTER_WORKER_CHECKPOINT_INTERNAL_H5_H

#include <hdf5.h>

#include "worker/checkpoint/h5.h"

enum { MU_H5_REASON_MAX = 256 };

/* Reports "PATH: cannot WHAT NAME: the innermost reason on HDF5's error stack"; when the writing
 * was stopped, gives back why, without a word. */
enum mu_status mu_h5_fail(enum mu_status st, const struct mu_h5 *f, const char *what,
                          const char *name);
/* Whether a write of this file has failed or was stopped. */
static inline bool mu_h5_has_failed(const struct mu_h5 *f)
{
    return f->writing.error != 0 || f->writing.stopped != MU_OK;
}
/* driver_h5.c: files made with this access list keep what happened to their writes in *writing,
 * which must stay in place until the file is closed. */
bool mu_h5_use_write_driver(hid_t list, struct mu_h5_writing *writing);
/* Link creation list for "/a/b/c" whose groups may not exist yet; H5Pclose it. */
hid_t mu_h5_intermediate_groups(void);

#endif
