/* Names and shapes of a model's tensors as JSON, so that a checkpoint says whose it is and can be
 * looked into without the model. What is read is checked: it may be anybody's file. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "worker/checkpoint/format.h"

static const json_int_t max_elements = (json_int_t)1 << 40;

char *mu_tensors_to_json(const struct mu_layout *layout)
{
    json_t *list = json_array();
    char *text;

    for (uint32_t i = 0; i < layout->tensor_count; i++) {
        const struct mu_tensor_spec *s = &layout->tensors[i].spec;

        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:b, s:b, s:i}", "name", s->name,
                                              "rows", (json_int_t)s->rows, "cols",
                                              (json_int_t)s->cols, "decay", s->decay, "dense",
                                              s->dense, "row_addends", s->row_addends));
    }
    text = json_array_size(list) == layout->tensor_count ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

static bool take_spec(json_t *entry, struct mu_tensor_spec *out)
{
    const char *name;
    json_int_t rows, cols;
    int decay, dense, row_addends;

    if (json_unpack(entry, "{s:s, s:I, s:I, s:b, s:b, s:i}", "name", &name, "rows", &rows, "cols",
                    &cols, "decay", &decay, "dense", &dense, "row_addends", &row_addends) != 0 ||
        !*name || strlen(name) >= sizeof out->name || rows < 1 || cols < 1 || rows > max_elements ||
        cols > max_elements / 2 || row_addends < 0 || row_addends > 1 || dense + row_addends < 1)
        return false;
    *out = (struct mu_tensor_spec){.rows = (uint64_t)rows,
                                   .cols = (uint64_t)cols,
                                   .decay = decay,
                                   .dense = dense,
                                   .row_addends = (uint8_t)row_addends};
    memcpy(out->name, name, strlen(name));
    return true;
}

enum mu_status mu_tensors_from_json(const char *path, const char *text,
                                    struct mu_tensor_spec **specs, uint32_t *count)
{
    enum mu_status st = MU_OK;
    json_error_t error;
    json_t *list = json_loads(text, 0, &error);
    size_t n = json_array_size(list);

    *specs = NULL;
    *count = 0;
    if (n == 0 || n > UINT32_MAX) {
        st = MU_FAIL(MU_CORRUPT, "%s: /info/tensors is not a list of tensors", path);
        goto done;
    }
    *specs = calloc(n, sizeof **specs);
    if (!*specs) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the names of %zu tensors", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        if (!take_spec(json_array_get(list, i), &(*specs)[i])) {
            st = MU_FAIL(MU_CORRUPT, "%s: entry %zu of /info/tensors is not a tensor", path, i);
            goto done;
        }
    *count = (uint32_t)n;
done:
    if (st != MU_OK) {
        free(*specs);
        *specs = NULL;
    }
    json_decref(list);
    return st;
}
