#include "orchestrator/sweep_run/messages.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/wire.h"

static void put_outcome(struct mu_wire_writer *w, const struct mu_trial_outcome *o)
{
    mu_wire_put_u8(w, (uint8_t)o->end);
    mu_wire_put_u64(w, (uint64_t)o->step);
    mu_wire_put_u64(w, o->tokens);
    mu_wire_put_f64(w, o->train_loss);
    mu_wire_put_f64(w, o->valid_loss);
    mu_wire_put_f64(w, o->valid_bits_per_byte);
    mu_wire_put_u8(w, o->has_hash);
    mu_wire_put_u64(w, o->hash.high);
    mu_wire_put_u64(w, o->hash.low);
    mu_ledger_put(w, &o->goodput);
    mu_wire_put_string(w, o->message);
}

static void get_outcome(struct mu_wire_reader *r, struct mu_trial_outcome *o)
{
    o->end = mu_wire_get_u8(r);
    o->leads = true;
    o->step = (int64_t)mu_wire_get_u64(r);
    o->tokens = mu_wire_get_u64(r);
    o->train_loss = mu_wire_get_f64(r);
    o->valid_loss = mu_wire_get_f64(r);
    o->valid_bits_per_byte = mu_wire_get_f64(r);
    o->has_hash = mu_wire_get_u8(r) != 0;
    o->hash.high = mu_wire_get_u64(r);
    o->hash.low = mu_wire_get_u64(r);
    mu_ledger_get(r, &o->goodput);
    mu_wire_get_string(r, o->message, sizeof o->message);
    if (o->end > MU_TRIAL_FAILED)
        r->ok = false;
}

size_t mu_sweep_up_pack(const struct mu_sweep_up *up, uint8_t *out)
{
    struct mu_wire_writer w = mu_wire_write(out, MU_SWEEP_UP_BYTES);

    mu_wire_put_u8(&w, (uint8_t)up->kind);
    mu_wire_put_u64(&w, up->group);
    if (up->kind == MU_SWEEP_SAY_READY) {
        mu_wire_put_u8(&w, up->wants_stop);
        mu_wire_put_u32(&w, (uint32_t)up->over);
        mu_ledger_put(&w, &up->idle);
        mu_wire_put_u8(&w, up->has_outcome);
        if (up->has_outcome)
            put_outcome(&w, &up->outcome);
    } else {
        mu_wire_put_u64(&w, (uint64_t)up->first);
        mu_wire_put_u64(&w, (uint64_t)up->step);
        mu_wire_put_f64(&w, up->loss);
        mu_wire_put_f64(&w, up->tokens_per_s);
    }
    MU_ASSERT(w.ok);
    return w.size;
}

bool mu_sweep_up_read(const uint8_t *bytes, size_t size, struct mu_sweep_up *up)
{
    struct mu_wire_reader r = mu_wire_read(bytes, size);

    *up = (struct mu_sweep_up){.kind = mu_wire_get_u8(&r), .group = mu_wire_get_u64(&r)};
    if (up->kind == MU_SWEEP_SAY_READY) {
        up->wants_stop = mu_wire_get_u8(&r) != 0;
        up->over = (int)mu_wire_get_u32(&r);
        mu_ledger_get(&r, &up->idle);
        up->has_outcome = mu_wire_get_u8(&r) != 0;
        if (up->has_outcome)
            get_outcome(&r, &up->outcome);
    } else if (up->kind == MU_SWEEP_SAY_PROGRESS) {
        up->first = (int64_t)mu_wire_get_u64(&r);
        up->step = (int64_t)mu_wire_get_u64(&r);
        up->loss = mu_wire_get_f64(&r);
        up->tokens_per_s = mu_wire_get_f64(&r);
    } else {
        return false;
    }
    return mu_wire_finished(&r) && up->over >= MU_SWEEP_NOT_OVER && up->over < MU_STATUS_COUNT;
}

void mu_sweep_order_deinit(struct mu_sweep_order *o)
{
    free(o->names);
    free(o->config);
    free(o->branches);
    memset(o, 0, sizeof *o);
}

uint8_t *mu_sweep_order_pack(const struct mu_trial_order *order, size_t *size)
{
    uint8_t *bytes = malloc(MU_SWEEP_DOWN_BYTES), *fitted;
    struct mu_wire_writer w = mu_wire_write(bytes, bytes ? MU_SWEEP_DOWN_BYTES : 0);

    mu_wire_put_u8(&w, MU_SWEEP_SAY_ORDER);
    mu_wire_put_u64(&w, order->group);
    mu_wire_put_u32(&w, order->trial);
    mu_wire_put_u32(&w, order->retries);
    mu_wire_put_string(&w, order->config);
    mu_wire_put_string(&w, order->sweep_path);
    mu_wire_put_string(&w, order->run_path);
    mu_wire_put_u32(&w, (uint32_t)order->count);
    for (int i = 0; i < order->count; i++)
        mu_wire_put_u32(&w, (uint32_t)order->names[i]);
    mu_wire_put_u32(&w, order->branch_count);
    for (uint32_t i = 0; i < order->branch_count; i++) {
        mu_wire_put_u64(&w, (uint64_t)order->branches[i].step);
        mu_wire_put_string(&w, order->branches[i].run_path);
    }
    if (!w.ok) {
        enum mu_status st = MU_FAIL(MU_NO_MEMORY, "no memory for an order of %d ranks, %u branches",
                                    order->count, order->branch_count);
        (void)st;
        free(bytes);
        return NULL;
    }
    *size = w.size;
    fitted = realloc(bytes, w.size);
    return fitted ? fitted : bytes;
}

/* Room is made for as many as the bytes that are there can hold. */
static void get_order(struct mu_wire_reader *r, struct mu_sweep_order *o)
{
    struct mu_trial_order *order = &o->order;
    uint32_t names;

    o->config = malloc(MU_SWEEP_CONFIG_BYTES);
    if (!o->config) {
        r->ok = false;
        return;
    }
    order->trial = mu_wire_get_u32(r);
    order->retries = mu_wire_get_u32(r);
    mu_wire_get_string(r, o->config, MU_SWEEP_CONFIG_BYTES);
    mu_wire_get_string(r, o->sweep_path, sizeof o->sweep_path);
    mu_wire_get_string(r, o->run_path, sizeof o->run_path);
    names = mu_wire_get_u32(r);
    if (!r->ok || names == 0 || names > r->size / 4) {
        r->ok = false;
        return;
    }
    o->names = calloc(names, sizeof *o->names);
    for (uint32_t i = 0; o->names && i < names; i++)
        o->names[i] = (int)mu_wire_get_u32(r);
    order->branch_count = mu_wire_get_u32(r);
    if (!r->ok || order->branch_count > r->size / 12) {
        r->ok = false;
        return;
    }
    o->branches = calloc(order->branch_count + 1, sizeof *o->branches);
    for (uint32_t i = 0; o->branches && i < order->branch_count; i++) {
        o->branches[i].step = (int64_t)mu_wire_get_u64(r);
        mu_wire_get_string(r, o->branches[i].run_path, sizeof o->branches[i].run_path);
    }
    r->ok = r->ok && o->names && o->branches;
    order->names = o->names;
    order->count = (int)names;
    order->config = o->config;
    order->branches = o->branches;
}

size_t mu_sweep_down_pack(const struct mu_sweep_down *down, uint8_t *out)
{
    struct mu_wire_writer w = mu_wire_write(out, MU_SWEEP_UP_BYTES);

    mu_wire_put_u8(&w, (uint8_t)down->kind);
    mu_wire_put_u64(&w, down->group);
    mu_wire_put_u32(&w, (uint32_t)down->over);
    MU_ASSERT(w.ok);
    return w.size;
}

bool mu_sweep_down_read(const uint8_t *bytes, size_t size, struct mu_sweep_down *down)
{
    struct mu_wire_reader r = mu_wire_read(bytes, size);

    memset(down, 0, sizeof *down);
    down->kind = mu_wire_get_u8(&r);
    down->group = down->order.order.group = mu_wire_get_u64(&r);
    if (down->kind == MU_SWEEP_SAY_ORDER) {
        get_order(&r, &down->order);
    } else {
        down->over = (int)mu_wire_get_u32(&r);
        r.ok = r.ok && down->kind > MU_SWEEP_SAY_ORDER && down->kind <= MU_SWEEP_SAY_END &&
               down->over >= 0 && down->over < MU_STATUS_COUNT;
    }
    if (mu_wire_finished(&r))
        return true;
    mu_sweep_order_deinit(&down->order);
    return false;
}
