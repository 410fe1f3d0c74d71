/* HDF5 files, and the numbers and texts in them. The library's own error printing is off: its stack
 * is walked for the innermost reason instead, which goes into one line of ours. The next call into
 * the library clears the stack: report first, clean up after.
 *
 * File locking is off: files are never changed once they have their names, and locks fail on some
 * parallel file systems. The 1.10 format is asked for because its metadata carries checksums. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/checkpoint/internal_h5.h"

/* The innermost entry of the stack is the last one of an upward walk's first call. */
static herr_t take_innermost(unsigned n, const H5E_error2_t *e, void *context)
{
    char *out = context;
    const char *from = strstr(e->desc ? e->desc : "", "error message = '");

    if (n > 0 && !from)
        return 0;
    if (from) { /* "..., errno = 28, error message = 'No space left on device', buf = ..." */
        from += strlen("error message = '");
        snprintf(out, MU_H5_REASON_MAX, "%.*s", (int)strcspn(from, "'"), from);
        return 1;
    }
    snprintf(out, MU_H5_REASON_MAX, "%s", e->desc && *e->desc ? e->desc : "unknown");
    return 0;
}

enum mu_status mu_h5_fail(enum mu_status st, const struct mu_h5 *f, const char *what,
                          const char *name)
{
    char reason[MU_H5_REASON_MAX] = "no reason given";

    if (f->writing.stopped != MU_OK) {
        H5Eclear2(H5E_DEFAULT);
        return f->writing.stopped;
    }
    if (f->writing.error != 0)
        snprintf(reason, sizeof reason, "%s", strerror(f->writing.error));
    else
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, reason);
    H5Eclear2(H5E_DEFAULT);
    return MU_FAIL(st, "%s: cannot %s %s: %s", f->path, what, name, reason);
}

static hid_t access_list(void)
{
    hid_t list;

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
    H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_file_locking(list, false, true);
    return list;
}

/* Metadata, some hundred bytes a tensor, is written once, when the file is closed. */
static bool keep_metadata(hid_t list)
{
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};

    if (H5Pget_mdc_config(list, &cache) < 0)
        return false;
    cache.evictions_enabled = false;
    cache.incr_mode = H5C_incr__off;
    cache.flash_incr_mode = H5C_flash_incr__off;
    cache.decr_mode = H5C_decr__off;
    return H5Pset_mdc_config(list, &cache) >= 0;
}

enum mu_status mu_h5_create(struct mu_h5 *f, const char *path,
                            const struct mu_checkpoint_poll *poll)
{
    hid_t list = access_list();
    enum mu_status st = mu_path_format(f->path, "%s", path);

    f->id = -1;
    f->writing = (struct mu_h5_writing){.poll = poll};
    if (st == MU_OK && keep_metadata(list) && mu_h5_use_write_driver(list, &f->writing))
        f->id = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    if (st == MU_OK && f->id < 0)
        st = mu_h5_fail(MU_FAILED, f, "create", "the file");
    H5Pclose(list);
    return st;
}

enum mu_status mu_h5_open(struct mu_h5 *f, const char *path)
{
    hid_t list = access_list();
    enum mu_status st = mu_path_format(f->path, "%s", path);
    struct stat s;

    f->id = -1;
    f->writing = (struct mu_h5_writing){0};
    if (st == MU_OK && (access(path, R_OK) != 0 || stat(path, &s) != 0))
        st = MU_FAIL(errno == ENOENT || errno == ELOOP ? MU_CORRUPT : MU_FAILED, "%s: %s", path,
                     errno == ENOENT ? "the file is missing" : strerror(errno));
    if (st == MU_OK && !S_ISREG(s.st_mode)) /* HDF5 would wait for who writes into a pipe */
        st = MU_FAIL(MU_CORRUPT, "%s: it is not a regular file", path);
    if (st == MU_OK)
        f->id = H5Fopen(path, H5F_ACC_RDONLY, list);
    if (st == MU_OK && f->id < 0)
        st = mu_h5_fail(MU_CORRUPT, f, "read", "it as an HDF5 file");
    H5Pclose(list);
    return st;
}

enum mu_status mu_h5_ask(struct mu_h5 *f)
{
    if (f->writing.stopped == MU_OK)
        f->writing.stopped = mu_checkpoint_ask(f->writing.poll);
    return f->writing.stopped;
}

enum mu_status mu_h5_close(struct mu_h5 *f)
{
    hid_t id = f->id;

    if (id < 0)
        return MU_OK;
    f->id = -1;
    return H5Fclose(id) < 0 || mu_h5_has_failed(f)
               ? mu_h5_fail(MU_FAILED, f, "write", "the rest of the file")
               : MU_OK;
}

void mu_h5_close_quietly(struct mu_h5 *f)
{
    if (f->writing.stopped == MU_OK)
        f->writing.stopped = MU_FAILED; /* nothing more is written, and nobody asked */
    if (f->id >= 0)
        H5Fclose(f->id);
    f->id = -1;
    H5Eclear2(H5E_DEFAULT);
}

enum mu_status mu_h5_put_number(struct mu_h5 *f, const char *name, uint64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(f->id, name, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = a >= 0 && H5Awrite(a, H5T_NATIVE_UINT64, &value) >= 0;
    enum mu_status st = ok ? MU_OK : mu_h5_fail(MU_FAILED, f, "write", name);

    if (a >= 0)
        H5Aclose(a);
    H5Sclose(space);
    return st;
}

/* One number, of integer type. */
static bool is_number(hid_t a)
{
    hid_t space = H5Aget_space(a), type = H5Aget_type(a);
    bool ok = space >= 0 && type >= 0 && H5Sget_simple_extent_npoints(space) == 1 &&
              H5Tget_class(type) == H5T_INTEGER;

    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    return ok;
}

enum mu_status mu_h5_get_number(struct mu_h5 *f, const char *name, uint64_t *value)
{
    hid_t a = H5Aopen(f->id, name, H5P_DEFAULT);
    bool ok = a >= 0 && is_number(a) && H5Aread(a, H5T_NATIVE_UINT64, value) >= 0;
    enum mu_status st = ok ? MU_OK : mu_h5_fail(MU_CORRUPT, f, "read", name);

    if (a >= 0)
        H5Aclose(a);
    return st;
}

static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    H5Tset_size(type, size);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

enum mu_status mu_h5_put_word(struct mu_h5 *f, const char *name, const char *text)
{
    hid_t space = H5Screate(H5S_SCALAR), type = text_type(strlen(text) + 1);
    hid_t a = H5Acreate2(f->id, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = a >= 0 && H5Awrite(a, type, text) >= 0;
    enum mu_status st = ok ? MU_OK : mu_h5_fail(MU_FAILED, f, "write", name);

    if (a >= 0)
        H5Aclose(a);
    H5Tclose(type);
    H5Sclose(space);
    return st;
}

/* Size in bytes of one fixed-length text; 0 when it is something else or larger than `most`. */
static size_t text_size(hid_t space, hid_t type, size_t most)
{
    size_t size;

    if (space < 0 || type < 0 || H5Sget_simple_extent_npoints(space) != 1 ||
        H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
        return 0;
    size = H5Tget_size(type);
    return size <= most ? size : 0;
}

enum mu_status mu_h5_get_word(struct mu_h5 *f, const char *name, char *out, size_t capacity)
{
    hid_t a = H5Aopen(f->id, name, H5P_DEFAULT);
    hid_t space = a < 0 ? -1 : H5Aget_space(a), type = a < 0 ? -1 : H5Aget_type(a);
    bool ok = a >= 0 && text_size(space, type, capacity) > 0 && H5Aread(a, type, out) >= 0;
    enum mu_status st = ok ? MU_OK : mu_h5_fail(MU_CORRUPT, f, "read", name);

    if (ok)
        out[text_size(space, type, capacity) - 1] = 0;
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (a >= 0)
        H5Aclose(a);
    return st;
}

enum mu_status mu_h5_put_text(struct mu_h5 *f, const char *name, const char *text)
{
    hid_t space = H5Screate(H5S_SCALAR), type = text_type(strlen(text) + 1);
    hid_t links = mu_h5_intermediate_groups();
    hid_t d = H5Dcreate2(f->id, name, type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = d >= 0 && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0;
    enum mu_status st = ok ? MU_OK : mu_h5_fail(MU_FAILED, f, "write", name);

    if (d >= 0)
        H5Dclose(d);
    H5Pclose(links);
    H5Tclose(type);
    H5Sclose(space);
    return st;
}

enum mu_status mu_h5_get_text(struct mu_h5 *f, const char *name, size_t max_size, char **out)
{
    enum mu_status st = MU_OK;
    hid_t d = H5Dopen2(f->id, name, H5P_DEFAULT);
    hid_t space = d < 0 ? -1 : H5Dget_space(d), type = d < 0 ? -1 : H5Dget_type(d);
    size_t size = d < 0 ? 0 : text_size(space, type, max_size);

    *out = size ? malloc(size) : NULL;
    if (size && !*out)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %s of %s", name, f->path);
    else if (!size || H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) < 0)
        st = mu_h5_fail(MU_CORRUPT, f, "read", name);
    if (st == MU_OK)
        (*out)[size - 1] = 0;
    else {
        free(*out);
        *out = NULL;
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (d >= 0)
        H5Dclose(d);
    return st;
}

hid_t mu_h5_intermediate_groups(void)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE);

    H5Pset_create_intermediate_group(links, 1);
    return links;
}

const char *mu_h5_library_version(void)
{
    static char text[48];
    unsigned major = 0, minor = 0, release = 0;

    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "HDF5 %u.%u.%u", major, minor, release);
    return text;
}
