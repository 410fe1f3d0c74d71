/* Shared by the files that include HDF5's header, and by nothing else. */
#ifndef MUSTER_WORKER_CHECKPOINT_INTERNAL_H5_H
#define MUSTER_WORKER_CHECKPOINT_INTERNAL_H5_H

#include <hdf5.h>

#include "worker/checkpoint/h5.h"

enum { MU_H5_REASON_MAX = 256 };

/* Reports "PATH: cannot WHAT NAME: the innermost reason on HDF5's error stack". */
enum mu_status mu_h5_fail(enum mu_status st, const struct mu_h5 *f, const char *what,
                          const char *name);
/* driver_h5.c: files made with this access list keep the first errno of their writes in
 * *write_error, which must stay in place until the file is closed. */
bool mu_h5_use_write_driver(hid_t list, int *write_error);
/* Link creation list for "/a/b/c" whose groups may not exist yet; H5Pclose it. */
hid_t mu_h5_intermediate_groups(void);

#endif
