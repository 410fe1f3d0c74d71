/* Arrays of rows in HDF5 files. Contiguous, allocated when created and never filled, so that bytes
 * are written once; a virtual array only says in which file which rows are. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/checkpoint/internal_h5.h"

static hid_t file_type(enum mu_h5_type type)
{
    return type == MU_H5_F32 ? H5T_IEEE_F32LE : type == MU_H5_I16 ? H5T_STD_I16LE : H5T_STD_U64LE;
}

static hid_t memory_type(enum mu_h5_type type)
{
    return type == MU_H5_F32   ? H5T_NATIVE_FLOAT
           : type == MU_H5_I16 ? H5T_NATIVE_INT16
                               : H5T_NATIVE_UINT64;
}

static hid_t space_of(struct mu_h5_shape s)
{
    hsize_t dims[2] = {s.vector ? s.cols : s.rows, s.cols};

    return H5Screate_simple(s.vector ? 1 : 2, dims, NULL);
}

/* A vector has one row: its selection is all of it. */
static bool select_rows(hid_t space, struct mu_h5_shape s, uint64_t first, uint64_t rows)
{
    hsize_t start[2] = {s.vector ? 0 : first, 0};
    hsize_t count[2] = {s.vector ? s.cols : rows, s.cols};

    return H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
}

enum mu_status mu_h5_array_create(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                  struct mu_h5_array *out)
{
    hid_t space = space_of(shape), links = mu_h5_intermediate_groups();
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    enum mu_status st = MU_OK;

    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
    *out = (struct mu_h5_array){f, name, -1, shape};
    out->id = H5Dcreate2(f->id, name, file_type(shape.type), space, links, list, H5P_DEFAULT);
    if (out->id < 0)
        st = mu_h5_fail(MU_FAILED, f, "create", name);
    H5Pclose(list);
    H5Pclose(links);
    H5Sclose(space);
    return st;
}

static bool has_shape(hid_t id, struct mu_h5_shape s)
{
    hid_t space = H5Dget_space(id), type = H5Dget_type(id);
    hsize_t dims[2] = {0, 0};
    bool ok = space >= 0 && type >= 0 && H5Tequal(type, file_type(s.type)) > 0 &&
              H5Sget_simple_extent_ndims(space) == (s.vector ? 1 : 2) &&
              H5Sget_simple_extent_dims(space, dims, NULL) > 0 &&
              dims[0] == (s.vector ? s.cols : s.rows) && (s.vector || dims[1] == s.cols);

    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    return ok;
}

enum mu_status mu_h5_array_open(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                struct mu_h5_array *out)
{
    *out = (struct mu_h5_array){f, name, H5Dopen2(f->id, name, H5P_DEFAULT), shape};
    if (out->id < 0)
        return mu_h5_fail(MU_CORRUPT, f, "read", name);
    if (has_shape(out->id, shape))
        return MU_OK;
    mu_h5_array_close(out);
    return MU_FAIL(MU_CORRUPT, "%s: %s has another type or shape than expected (%llu x %llu)",
                   f->path, name, (unsigned long long)shape.rows, (unsigned long long)shape.cols);
}

void mu_h5_array_close(struct mu_h5_array *a)
{
    if (a->id >= 0)
        H5Dclose(a->id);
    a->id = -1;
}

/* Memory is rows without gaps. Writes `from`, or when it is NULL reads into `to`. */
static enum mu_status transfer(struct mu_h5_array *a, uint64_t first, uint64_t rows,
                               const void *from, void *to)
{
    struct mu_h5_shape part = a->shape;
    hid_t file = H5Dget_space(a->id), memory, type = memory_type(a->shape.type);
    enum mu_status st = MU_OK;

    part.rows = rows;
    memory = space_of(part);
    if (file < 0 || memory < 0 || !select_rows(file, a->shape, first, rows) ||
        (from ? H5Dwrite(a->id, type, memory, file, H5P_DEFAULT, from)
              : H5Dread(a->id, type, memory, file, H5P_DEFAULT, to)) < 0 ||
        mu_h5_has_failed(a->file))
        st = mu_h5_fail(from ? MU_FAILED : MU_CORRUPT, a->file, from ? "write" : "read", a->name);
    if (memory >= 0)
        H5Sclose(memory);
    if (file >= 0)
        H5Sclose(file);
    return st;
}

enum mu_status mu_h5_array_write(struct mu_h5_array *a, uint64_t first_row, uint64_t rows,
                                 const void *data)
{
    return transfer(a, first_row, rows, data, NULL);
}

enum mu_status mu_h5_array_read(struct mu_h5_array *a, uint64_t first_row, uint64_t rows,
                                void *data)
{
    return transfer(a, first_row, rows, NULL, data);
}

static bool add_source(hid_t list, hid_t whole, const char *name, struct mu_h5_shape shape,
                       const struct mu_h5_source *source)
{
    struct mu_h5_shape part = shape;
    hid_t space;
    bool ok;

    part.rows = source->rows;
    space = space_of(part);
    ok = space >= 0 && select_rows(whole, shape, source->first_row, source->rows) &&
         H5Pset_virtual(list, whole, source->file, name, space) >= 0;
    if (space >= 0)
        H5Sclose(space);
    return ok;
}

enum mu_status mu_h5_put_virtual(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                 const struct mu_h5_source *sources, uint32_t count)
{
    hid_t whole = space_of(shape), links = mu_h5_intermediate_groups(), d = -1;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    float no_number = NAN;
    int16_t least = INT16_MIN;
    enum mu_status st = MU_OK;
    bool ok = H5Pset_fill_value(list, memory_type(shape.type),
                                shape.type == MU_H5_F32 ? (void *)&no_number : &least) >= 0;

    for (uint32_t i = 0; ok && i < count; i++)
        ok = add_source(list, whole, name, shape, &sources[i]);
    if (ok) {
        H5Sselect_all(whole);
        d = H5Dcreate2(f->id, name, file_type(shape.type), whole, links, list, H5P_DEFAULT);
    }
    if (d < 0 || H5Dclose(d) < 0)
        st = mu_h5_fail(MU_FAILED, f, "write", name);
    H5Pclose(list);
    H5Pclose(links);
    H5Sclose(whole);
    return st;
}

static bool selects_rows(hid_t space, struct mu_h5_shape s, uint64_t first, uint64_t rows)
{
    hsize_t start[2] = {0, 0}, end[2] = {0, 0};

    if (H5Sget_select_bounds(space, start, end) < 0 ||
        (uint64_t)H5Sget_select_npoints(space) != rows * s.cols)
        return false;
    return s.vector ? start[0] == 0 && end[0] == s.cols - 1
                    : start[0] == first && end[0] == first + rows - 1 && start[1] == 0 &&
                          end[1] == s.cols - 1;
}

/* What it takes of the source is not asked: HDF5 1.10 does not say before the source is open. All of
 * this has a checksum of HDF5's own. */
static bool is_source(hid_t list, size_t number, const char *name, struct mu_h5_shape shape,
                      const struct mu_h5_source *source)
{
    char file[sizeof source->file] = "", array[NAME_MAX] = "";
    hid_t view = H5Pget_virtual_vspace(list, number);
    const bool ok = view >= 0 && selects_rows(view, shape, source->first_row, source->rows) &&
                    H5Pget_virtual_filename(list, number, file, sizeof file) > 0 &&
                    H5Pget_virtual_dsetname(list, number, array, sizeof array) > 0 &&
                    strcmp(file, source->file) == 0 && strcmp(array, name) == 0;

    if (view >= 0)
        H5Sclose(view);
    return ok;
}

enum mu_status mu_h5_check_virtual(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                   const struct mu_h5_source *sources, uint32_t count)
{
    struct mu_h5_array a;
    enum mu_status st = mu_h5_array_open(f, name, shape, &a);
    size_t found = 0;
    hid_t list;
    bool ok;

    if (st != MU_OK)
        return st;
    list = H5Dget_create_plist(a.id);
    ok = list >= 0 && H5Pget_layout(list) == H5D_VIRTUAL &&
         H5Pget_virtual_count(list, &found) >= 0 && found == count;
    for (uint32_t i = 0; ok && i < count; i++)
        ok = is_source(list, i, name, shape, &sources[i]);
    if (list >= 0)
        H5Pclose(list);
    mu_h5_array_close(&a);
    return ok ? MU_OK
              : MU_FAIL(MU_CORRUPT, "%s: %s does not name the rows of its parts as it was saved",
                        f->path, name);
}
