/* A piece is up to MU_STATE_PIECE consecutive elements of one array of one tensor. They are
 * numbered tensor by tensor, in each the four arrays, in each its pieces. The key of a piece is
 * where it belongs, so that equal contents in two places do not hash alike. */
#include "worker/state_hash.h"

#include <stdlib.h>
#include <string.h>

static uint64_t array_elements(enum mu_array array, const struct mu_tensor *t)
{
    return t->spec.rows * mu_array_cols(array, t);
}

static uint64_t array_pieces(enum mu_array array, const struct mu_tensor *t)
{
    return (array_elements(array, t) + MU_STATE_PIECE - 1) / MU_STATE_PIECE;
}

uint64_t mu_state_hash_pieces(const struct mu_layout *layout)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < layout->tensor_count; i++)
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
            count += array_pieces(a, &layout->tensors[i]);
    return count;
}

static struct mu_state_piece piece_of(const struct mu_tensor *t, uint32_t tensor,
                                      enum mu_array array, uint64_t number)
{
    uint64_t left = array_elements(array, t) - number * MU_STATE_PIECE;

    return (struct mu_state_piece){
        .tensor = tensor,
        .array = array,
        .number = number,
        .bytes = (left < MU_STATE_PIECE ? left : MU_STATE_PIECE) * mu_array_element_bytes(array),
    };
}

struct mu_state_piece mu_state_piece_find(const struct mu_layout *layout, uint64_t piece)
{
    for (uint32_t i = 0;; i++) {
        MU_ASSERT(i < layout->tensor_count);
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++) {
            uint64_t here = array_pieces(a, &layout->tensors[i]);

            if (piece < here)
                return piece_of(&layout->tensors[i], i, a, piece);
            piece -= here;
        }
    }
}

const void *mu_state_piece_at(const struct mu_state_piece *piece, const struct mu_state_view *state)
{
    const struct mu_tensor *t = &state->layout->tensors[piece->tensor];
    const char *base = mu_array_row(piece->array, state, t, 0);

    return base + piece->number * MU_STATE_PIECE * mu_array_element_bytes(piece->array);
}

struct mu_hash mu_state_piece_hash(const struct mu_state_piece *piece, const void *bytes)
{
    uint64_t key[3] = {piece->tensor, piece->array, piece->number};

    return mu_hash_bytes(bytes, piece->bytes, mu_hash_bytes(key, sizeof key, 0).low);
}

struct mu_hash mu_state_hash_piece(const struct mu_state_view *state, uint64_t piece)
{
    const struct mu_state_piece p = mu_state_piece_find(state->layout, piece);

    return mu_state_piece_hash(&p, mu_state_piece_at(&p, state));
}

struct mu_hash mu_state_hash_combine(const struct mu_hash *pieces, uint64_t count, int64_t step)
{
    return mu_hash_bytes(pieces, count * sizeof *pieces, (uint64_t)step);
}

enum mu_status mu_state_hasher_open(struct mu_state_hasher *h, const struct mu_layout *layout)
{
    *h = (struct mu_state_hasher){.layout = layout, .count = mu_state_hash_pieces(layout)};
    h->pieces = malloc(h->count * sizeof *h->pieces);
    h->buffer = malloc(MU_STATE_PIECE * sizeof(float));
    if (!h->pieces || !h->buffer) {
        mu_state_hasher_close(h);
        return MU_FAIL(MU_NO_MEMORY, "no memory to hash a state");
    }
    h->piece = mu_state_piece_find(layout, 0);
    return MU_OK;
}

void mu_state_hasher_take(struct mu_state_hasher *h, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        const size_t room = h->piece.bytes - h->filled, n = size < room ? size : room;

        MU_ASSERT(h->done < h->count);
        memcpy(h->buffer + h->filled, at, n);
        h->filled += n;
        at += n;
        size -= n;
        if (h->filled < h->piece.bytes)
            continue;
        h->pieces[h->done++] = mu_state_piece_hash(&h->piece, h->buffer);
        h->filled = 0;
        if (h->done < h->count)
            h->piece = mu_state_piece_find(h->layout, h->done);
    }
}

struct mu_hash mu_state_hasher_finish(const struct mu_state_hasher *h, int64_t step)
{
    MU_ASSERT(h->done == h->count && h->filled == 0);
    return mu_state_hash_combine(h->pieces, h->count, step);
}

void mu_state_hasher_close(struct mu_state_hasher *h)
{
    free(h->pieces);
    free(h->buffer);
    *h = (struct mu_state_hasher){0};
}
