/* The file driver of files that are written. It exists because HDF5 (1.10) does not survive a
 * failing H5Fclose: the file stays half open in its tables, and a later call, or the end of the
 * process, runs into freed memory. A run must survive a full disk. So this driver never tells the
 * library of a failure: it keeps the first errno where mu_h5_close finds it, and drops what comes
 * after; the same when the poll, asked after each slice, says that the writing is to end. Nothing
 * that was dropped is asked for again: the library's metadata cache evicts nothing (file_h5.c) and
 * arrays are only written. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/checkpoint/internal_h5.h"

enum { SLICE_BYTES = 1 << 18 }; /* some tenths of a ms into the page cache */

struct driver_info {
    struct mu_h5_writing *writing;
};

struct driver_file {
    H5FD_t base; /* the library's part, first */
    int fd;
    haddr_t eoa, eof; /* what is allocated, what is written */
    struct mu_h5_writing *writing;
};

static struct driver_file *of(const H5FD_t *base)
{
    return (struct driver_file *)base;
}

static void keep_first(struct driver_file *f, int error)
{
    if (f->writing->error == 0)
        f->writing->error = error;
}

static bool goes_on(const struct driver_file *f)
{
    return f->writing->error == 0 && f->writing->stopped == MU_OK;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t list, haddr_t most)
{
    const struct driver_info *info = H5Pget_driver_info(list);
    struct driver_file *f;
    int fd;

    (void)flags; /* files are only created here */
    (void)most;
    if (!info)
        return NULL;
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    f = fd < 0 ? NULL : calloc(1, sizeof *f);
    if (!f) {
        info->writing->error = errno;
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    f->fd = fd;
    f->writing = info->writing;
    return &f->base;
}

static herr_t driver_close(H5FD_t *base)
{
    struct driver_file *f = of(base);

    if (close(f->fd) != 0)
        keep_first(f, errno);
    free(f);
    return 0;
}

static herr_t driver_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return of(base)->eoa;
}

static herr_t driver_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    of(base)->eoa = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return of(base)->eof;
}

/* What was never written reads as zeros. */
static herr_t driver_read(H5FD_t *base, H5FD_mem_t type, hid_t list, haddr_t address, size_t size,
                          void *out)
{
    struct driver_file *f = of(base);
    char *at = out;

    (void)type;
    (void)list;
    while (size > 0) {
        ssize_t n = pread(f->fd, at, size, (off_t)address);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            keep_first(f, errno);
        if (n <= 0)
            break;
        at += n;
        address += (haddr_t)n;
        size -= (size_t)n;
    }
    memset(at, 0, size);
    return 0;
}

static herr_t driver_write(H5FD_t *base, H5FD_mem_t type, hid_t list, haddr_t address, size_t size,
                           const void *data)
{
    struct driver_file *f = of(base);
    const char *at = data;
    haddr_t end = address + size;

    (void)type;
    (void)list;
    while (size > 0 && goes_on(f)) {
        ssize_t n = pwrite(f->fd, at, size < SLICE_BYTES ? size : SLICE_BYTES, (off_t)address);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            keep_first(f, errno);
            break;
        }
        f->writing->stopped = mu_checkpoint_ask(f->writing->poll);
        at += n;
        address += (haddr_t)n;
        size -= (size_t)n;
    }
    f->eof = end > f->eof ? end : f->eof;
    return 0;
}

static herr_t driver_truncate(H5FD_t *base, hid_t list, hbool_t closing)
{
    struct driver_file *f = of(base);

    (void)list;
    (void)closing;
    if (f->eof == f->eoa)
        return 0;
    if (goes_on(f) && ftruncate(f->fd, (off_t)f->eoa) != 0)
        keep_first(f, errno);
    f->eof = f->eoa;
    return 0;
}

static const H5FD_class_t driver_class = {
    .name = "muster-write",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(struct driver_info),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

bool mu_h5_use_write_driver(hid_t list, struct mu_h5_writing *writing)
{
    static hid_t driver = -1;
    struct driver_info info = {writing};

    if (H5Iis_valid(driver) <= 0)
        driver = H5FDregister(&driver_class);
    return driver >= 0 && H5Pset_driver(list, driver, &info) >= 0;
}
