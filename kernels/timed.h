/* Where the time of a step goes: a stopwatch that is always in exactly one *row*, an operation of
 * the device or a part of a step that is none, so that the rows add up to the step. Rows nest: a
 * row's time is what was spent in it and in no row inside of it.
 *
 * Operations are timed by another table of functions in the device's place for it, whose entries
 * call the real ones with the same arguments: the bits are the same. Where a device lags behind
 * (a GPU), each operation is waited for, so that time is its own: what is gained by lagging is
 * lost, which the steps without the stopwatch show.
 *
 * Every other step is timed; the ones between run the plain table, for comparison:
 *
 *   steps     0 .. warm_up - 1   not looked at; before the first, the machine's rates are measured
 *   then      timed, plain, timed, plain, ... `steps` of each
 *   at last   one more, whose beginning is the end of the one before
 *
 * A step lasts from its beginning to the next one's: what is done between steps is in it. One
 * thread uses it, the device's. Off it costs a look at a pointer. */
#ifndef MUSTER_KERNELS_TIMED_H
#define MUSTER_KERNELS_TIMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/device.h"
#include "kernels/resident.h"
#include "kernels/resident_parts.h"
#include "kernels/work.h"

/* X(name, word) */
#define MU_TIMED_PHASES(X)        \
    X(GATHER, "gather")           \
    X(FORWARD, "forward")         \
    X(HEAD, "head")               \
    X(BACKWARD, "backward")       \
    X(QUANTISE, "quantise")       \
    X(EXCHANGE, "exchange")       \
    X(COMMUNICATE, "communicate") \
    X(UPDATE, "update")           \
    X(HASH, "hash")               \
    X(MEMORY, "memory")           \
    X(WAIT, "wait")               \
    X(IDLE, "idle")               \
    X(BETWEEN, "between steps")   \
    X(REST, "not accounted for")

/* X(name, word, phase): operations are called as in kernels/device.h */
#define MU_TIMED_OPERATIONS(X)                            \
    X(EMBED, "embed", FORWARD)                            \
    X(EMBED_BACKWARD, "embed_backward", BACKWARD)         \
    X(LAYERNORM, "layernorm", FORWARD)                    \
    X(LAYERNORM_BACKWARD, "layernorm_backward", BACKWARD) \
    X(RMSNORM, "rmsnorm", FORWARD)                        \
    X(RMSNORM_BACKWARD, "rmsnorm_backward", BACKWARD)     \
    X(LINEAR, "linear", FORWARD)                          \
    X(LINEAR_INPUT, "linear_backward_input", BACKWARD)    \
    X(LINEAR_WEIGHT, "linear_backward_weight", BACKWARD)  \
    X(GELU_BACKWARD, "gelu_backward", BACKWARD)           \
    X(SWIGLU, "swiglu", FORWARD)                          \
    X(SWIGLU_BACKWARD, "swiglu_backward", BACKWARD)       \
    X(ROTATE, "rotate", FORWARD)                          \
    X(ROTATE_BACKWARD, "rotate (backward)", BACKWARD)     \
    X(TO_ACT, "to_act", BACKWARD)                         \
    X(ATTENTION, "attention", FORWARD)                    \
    X(ATTENTION_BACKWARD, "attention_backward", BACKWARD) \
    X(CLASSIFIER, "classifier", HEAD)                     \
    X(ADAMW, "adamw", UPDATE)                             \
    X(QUANTISE_ADD, "quantise_add", QUANTISE)             \
    X(ADD, "add", EXCHANGE)                               \
    X(ADD_INT32, "add_int32", EXCHANGE)                   \
    X(UPLOAD, "upload", MEMORY)                           \
    X(DOWNLOAD, "download", MEMORY)                       \
    X(CLEAR, "clear", MEMORY)                             \
    X(COPY, "copy", MEMORY)                               \
    X(RESIDENT_ADD, "sum of a shard", QUANTISE)           \
    X(RESIDENT_SUM, "sum over ranks", EXCHANGE)           \
    X(RESIDENT_UPDATE, "update of all tensors", UPDATE)

/* What the host does outside of operations. */
#define MU_TIMED_PARTS(X)                                           \
    X(PART_GATHER, "gradient, on the host", GATHER)                 \
    X(PART_QUANTISE, "sum of a shard, on the host", QUANTISE)       \
    X(PART_EXCHANGE, "sum over ranks, on the host", EXCHANGE)       \
    X(PART_COMMUNICATE, "communication between ranks", COMMUNICATE) \
    X(PART_UPDATE, "predictions, on the host", UPDATE)              \
    X(PART_HASH, "hash of the state", HASH)                         \
    X(PART_WAIT, "wait for other ranks", WAIT)                      \
    X(PART_IDLE, "idle: this rank had no shards", IDLE)             \
    X(PART_BETWEEN, "records, between steps", BETWEEN)              \
    X(PART_REST, "not accounted for", REST)

enum mu_timed_phase {
#define MU_TIMED_PHASE_ID(name, word) MU_TIMED_PHASE_##name,
    MU_TIMED_PHASES(MU_TIMED_PHASE_ID)
#undef MU_TIMED_PHASE_ID
        MU_TIMED_PHASE_COUNT
};
enum mu_timed_row {
#define MU_TIMED_ROW_ID(name, word, phase) MU_TIMED_##name,
    MU_TIMED_OPERATIONS(MU_TIMED_ROW_ID) MU_TIMED_PARTS(MU_TIMED_ROW_ID)
#undef MU_TIMED_ROW_ID
        MU_TIMED_ROW_COUNT
};
const char *mu_timed_word(enum mu_timed_row row);
enum mu_timed_phase mu_timed_phase_of(enum mu_timed_row row);
const char *mu_timed_phase_word(enum mu_timed_phase phase);

struct mu_timed_cell {
    uint64_t calls, ns;
    struct mu_work work;
};
/* A visit of a row in the traced step, the last one that is timed. */
struct mu_timed_event {
    enum mu_timed_row row;
    uint64_t from_ns, to_ns; /* CLOCK_MONOTONIC */
};

enum { MU_TIMED_DEPTH = 16, MU_TIMED_EVENTS = 40000 };

struct mu_timed_plan {
    int64_t warm_up, steps; /* at least 1 each */
    bool traces;
};
static inline int64_t mu_timed_steps_in_all(const struct mu_timed_plan *plan)
{
    return plan->warm_up + 2 * plan->steps + 1;
}

struct mu_timed {
    struct mu_timed_plan plan;
    struct mu_device *device; /* NULL: not attached yet */
    const struct mu_device_ops *inner;
    struct mu_device_ops ops; /* as inner, with stopwatch */
    struct mu_resident_ops resident;
    struct mu_resident_parts_ops parts;
    bool is_on, is_tracing;
    int64_t step; /* that is under way; -1: none */
    uint64_t step_ns, since_ns;
    enum mu_timed_row stack[MU_TIMED_DEPTH];
    uint64_t entered_ns[MU_TIMED_DEPTH];
    int depth;
    /* What it found. */
    struct mu_timed_cell cell[MU_TIMED_ROW_COUNT];
    double *timed_ms, *plain_ms; /* plan.steps each */
    int64_t timed_count, plain_count;
    double peak_flops, bandwidth; /* of this rank's device: FLOP/s, bytes/s; 0: not known */
    uint64_t longest_gap_ns;      /* between two polls in timed steps; spent mostly in gap_row */
    enum mu_timed_row gap_row;
    uint64_t polled_ns, piece_ns; /* since the last poll: most of it in piece_row, so much */
    enum mu_timed_row piece_row;
    struct mu_timed_event *event; /* MU_TIMED_EVENTS, when plan.traces */
    size_t event_count;
};

enum mu_status mu_timed_open(const struct mu_timed_plan *plan, struct mu_timed **out) MU_CHECKED;
void mu_timed_close(struct mu_timed *t); /* NULL is allowed; the device is closed */
/* The device whose operations it times; another one, when a start begins again. NULL: nothing. */
void mu_timed_attach(struct mu_timed *t, struct mu_device *device);
/* Step `step` begins, and the one before ends; a step that is gone on with after a repair began
 * once. Operations must not be under way. */
void mu_timed_step(struct mu_timed *t, int64_t step);

/* A pause that is no gap between polls. */
void mu_timed_forgive(struct mu_timed *t);

/* For the inline ones below. */
void mu_timed_push(struct mu_timed *t, enum mu_timed_row row);
void mu_timed_pop(struct mu_timed *t);
void mu_timed_note_poll(struct mu_timed *t);
/* The tables of timed operations: timed_ops.c. */
void mu_timed_fill(struct mu_timed *t);

/* From here to mu_timed_leave the time belongs to `row`, but for rows that are entered within.
 * NULL, or a step that is not timed: nothing. */
static inline void mu_timed_enter(struct mu_timed *t, enum mu_timed_row row)
{
    if (t && t->is_on)
        mu_timed_push(t, row);
}

static inline void mu_timed_leave(struct mu_timed *t)
{
    if (t && t->is_on)
        mu_timed_pop(t);
}

/* The poll hook was called: gaps are counted from here. */
static inline void mu_timed_polled(struct mu_timed *t)
{
    if (t && t->is_on)
        mu_timed_note_poll(t);
}

#endif
