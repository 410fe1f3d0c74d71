#include "orchestrator/master/job_order.h"

#include "orchestrator/base/log.h"

static void put_order(struct mu_wire_writer *w, const struct mu_job_order *order, uint32_t hosts)
{
    mu_wire_put_u64(w, (uint64_t)order->step);
    mu_wire_put_u64(w, order->state_hash.high);
    mu_wire_put_u64(w, order->state_hash.low);
    mu_wire_put_u64(w, (uint64_t)order->reached);
    mu_wire_put_u32(w, order->from_memory);
    mu_wire_put_u32(w, order->weights_only);
    mu_wire_put_u64(w, (uint64_t)order->saved);
    mu_wire_put_string(w, order->folder);
    mu_wire_put_u64(w, order->tokens);
    mu_wire_put_f64(w, order->peak_flops);
    mu_wire_put_string(w, order->data_identity.text);
    mu_wire_put_u64(w, order->probe.high);
    mu_wire_put_u64(w, order->probe.low);
    mu_wire_put_u32(w, order->source);
    mu_wire_put_bytes(w, order->lacks, hosts * sizeof *order->lacks);
}

static void get_order(struct mu_wire_reader *r, struct mu_job_order *order, uint32_t hosts)
{
    order->step = (int64_t)mu_wire_get_u64(r);
    order->state_hash.high = mu_wire_get_u64(r);
    order->state_hash.low = mu_wire_get_u64(r);
    order->reached = (int64_t)mu_wire_get_u64(r);
    order->from_memory = mu_wire_get_u32(r);
    order->weights_only = mu_wire_get_u32(r);
    order->saved = (int64_t)mu_wire_get_u64(r);
    mu_wire_get_string(r, order->folder, sizeof order->folder);
    order->tokens = mu_wire_get_u64(r);
    order->peak_flops = mu_wire_get_f64(r);
    mu_wire_get_string(r, order->data_identity.text, sizeof order->data_identity.text);
    order->probe.high = mu_wire_get_u64(r);
    order->probe.low = mu_wire_get_u64(r);
    order->source = mu_wire_get_u32(r);
    mu_wire_get_bytes(r, order->lacks, hosts * sizeof *order->lacks);
}

enum mu_status mu_job_exchange_order(struct mu_job *job, struct mu_job_order *order,
                                     enum mu_status st)
{
    uint8_t buffer[MU_PATH_MAX + 256 + MU_JOB_ORDER_HOSTS];
    struct mu_wire_writer w = mu_wire_write(buffer, sizeof buffer);
    struct mu_wire_reader r;
    size_t size;

    mu_wire_put_u32(&w, (uint32_t)st);
    put_order(&w, order, job->roll.hosts);
    size = w.size;
    MU_TRY(mu_control_announce(&job->control, MU_MESSAGE_RESUME, buffer, sizeof buffer, &size), st,
           failed);
    r = mu_wire_read(buffer, size);
    st = mu_control_get_status(&r);
    get_order(&r, order, job->roll.hosts);
    if (!mu_wire_finished(&r))
        st = MU_FAIL(MU_INTERNAL, "the master's order of what to load cannot be read");
    st = mu_control_agree(&job->control, st);
failed:
    return st;
}
