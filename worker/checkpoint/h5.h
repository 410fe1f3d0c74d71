/* The little of HDF5 that checkpoints need, without its header: a file, numbers and texts in it,
 * arrays of rows, and arrays that are views into other files. Serial library; one thread at a time.
 *
 * Errors are reported here with the file's name and the innermost reason that HDF5 gives (often the
 * system's): MU_FAILED from what writes, MU_CORRUPT from what reads. Closing a file closes all that
 * is open in it. */
#ifndef MUSTER_WORKER_CHECKPOINT_H5_H
#define MUSTER_WORKER_CHECKPOINT_H5_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"
#include "worker/checkpoint/poll.h"

/* How the writing of a file goes; after the first failure nothing more is written. */
struct mu_h5_writing {
    const struct mu_checkpoint_poll *poll; /* asked between writes; NULL: nobody */
    enum mu_status stopped;                /* what it gave back when it was not MU_OK */
    int error;                             /* errno of the write that failed; 0: none */
};

/* Stays in place from create or open to close. */
struct mu_h5 {
    int64_t id; /* HDF5's hid_t; negative: closed */
    struct mu_h5_writing writing;
    char path[MU_PATH_MAX];
};
#define MU_H5_CLOSED ((struct mu_h5){.id = -1})

enum mu_h5_type { MU_H5_F32, MU_H5_I16, MU_H5_U64 }; /* little-endian in the file */

/* Truncates. poll (NULL: none) is asked after each quarter of a MB that is written; what it gives
 * back other than MU_OK comes out of the call that writes, unreported. */
enum mu_status mu_h5_create(struct mu_h5 *f, const char *path,
                            const struct mu_checkpoint_poll *poll) MU_CHECKED;
enum mu_status mu_h5_open(struct mu_h5 *f, const char *path) MU_CHECKED; /* read-only */
/* Asks the poll of a file that is written; once it has failed, it is not asked any more. */
enum mu_status mu_h5_ask(struct mu_h5 *f) MU_CHECKED;
/* Writes what HDF5 still holds. The word of a whole file is the success of this call. */
enum mu_status mu_h5_close(struct mu_h5 *f) MU_CHECKED;
void mu_h5_close_quietly(struct mu_h5 *f); /* after an error; a closed one is allowed */

/* Attributes of the root group. */
enum mu_status mu_h5_put_number(struct mu_h5 *f, const char *name, uint64_t value) MU_CHECKED;
enum mu_status mu_h5_get_number(struct mu_h5 *f, const char *name, uint64_t *value) MU_CHECKED;
enum mu_status mu_h5_put_word(struct mu_h5 *f, const char *name, const char *text) MU_CHECKED;
enum mu_status mu_h5_get_word(struct mu_h5 *f, const char *name, char *out,
                              size_t capacity) MU_CHECKED;
/* Datasets of one text of any length. The reader gets malloc'ed memory. */
enum mu_status mu_h5_put_text(struct mu_h5 *f, const char *name, const char *text) MU_CHECKED;
enum mu_status mu_h5_get_text(struct mu_h5 *f, const char *name, size_t max_size,
                              char **out) MU_CHECKED;

/* An array of `rows` x `cols`; with `vector` it has one row and is stored with one dimension. */
struct mu_h5_shape {
    enum mu_h5_type type;
    uint64_t rows, cols;
    bool vector;
};
struct mu_h5_array {
    struct mu_h5 *file;
    const char *name; /* kept by reference */
    int64_t id;
    struct mu_h5_shape shape;
};
#define MU_H5_NO_ARRAY ((struct mu_h5_array){.id = -1})

enum mu_status mu_h5_array_create(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                  struct mu_h5_array *out) MU_CHECKED;
/* MU_CORRUPT when the file's type or shape is another one. */
enum mu_status mu_h5_array_open(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                struct mu_h5_array *out) MU_CHECKED;
void mu_h5_array_close(struct mu_h5_array *a); /* holds nothing back: errors show in mu_h5_close */
enum mu_status mu_h5_array_write(struct mu_h5_array *a, uint64_t first_row, uint64_t rows,
                                 const void *data) MU_CHECKED;
enum mu_status mu_h5_array_read(struct mu_h5_array *a, uint64_t first_row, uint64_t rows,
                                void *data) MU_CHECKED;

/* Rows [first_row, first_row + rows) of a virtual array are all rows of the array of the same name
 * in `file` (relative to the folder of the file that has the virtual array). What no source gives
 * reads as NaN, or the least int16. */
struct mu_h5_source {
    char file[32];
    uint64_t first_row, rows;
};
enum mu_status mu_h5_put_virtual(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                 const struct mu_h5_source *sources, uint32_t count) MU_CHECKED;

/* MU_CORRUPT when the file's array is not this view. Sources are not opened. */
enum mu_status mu_h5_check_virtual(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                   const struct mu_h5_source *sources, uint32_t count) MU_CHECKED;

const char *mu_h5_library_version(void); /* "HDF5 1.10.8" */

#endif
