#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/host_key.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/config/config.h"
#include "orchestrator/sweep_run/part_folder.h"
#include "orchestrator/sweep_run/sweep.h"
#include "worker/comm/control.h"
#include "worker/data/tokens.h"
#include "worker/workload.h"

enum { MEET_DEADLINE_MS = 600000, HELLO_MAX = 1024, WELCOME_MAX = 1 << 20 };

struct hello {
    uint64_t host_key;
    struct mu_hash program;
};
struct hellos { /* the master's collection */
    struct hello *of;
};

void mu_sweep_facts_deinit(struct mu_sweep_facts *f)
{
    free(f->spec);
    free(f->name);
    free(f->host);
    memset(f, 0, sizeof *f);
}

static enum mu_status say_hello(struct mu_sweep *s, struct mu_wire_writer *w)
{
    char name[256] = "";
    enum mu_status st = mu_session_identify(&s->session);

    gethostname(name, sizeof name - 1);
    mu_wire_put_u32(w, (uint32_t)st);
    mu_wire_put_u64(
        w, mu_host_key(name, mu_comm_name(s->session.comm, mu_comm_rank(s->session.comm))));
    mu_wire_put_u64(w, s->session.program.high);
    mu_wire_put_u64(w, s->session.program.low);
    return st;
}

static enum mu_status take_hello(void *context, int rank, struct mu_wire_reader *r)
{
    struct hellos *all = context;
    struct hello *h = &all->of[rank];
    enum mu_status st = mu_control_get_status(r);

    h->host_key = mu_wire_get_u64(r);
    h->program.high = mu_wire_get_u64(r);
    h->program.low = mu_wire_get_u64(r);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d sent a hello that cannot be read", rank);
    if (st == MU_OK && !mu_hash_equal(h->program, all->of[0].program))
        return MU_FAIL(MU_FAILED,
                       "rank %d runs another build of muster than rank 0: install the same one on "
                       "all hosts",
                       rank);
    return st;
}

/* Data that the file names and that cannot be used are mistakes of it: told before anything is
 * made. */
static enum mu_status check_trials(const struct mu_sweep_facts *f)
{
    struct mu_sweep_stages stages;
    struct mu_workload *workload = NULL;
    enum mu_status st = mu_sweep_stages_init(&stages, f->spec, &f->base, f->file);

    if (st == MU_OK && stages.trials.count > 0)
        st = mu_workload_open(&stages.trials.item[0].settings, NULL, &workload);
    mu_workload_close(workload);
    mu_sweep_stages_deinit(&stages);
    return mu_workload_blame_data(st, &f->base);
}

static enum mu_status identify_data(struct mu_sweep_facts *f)
{
    enum mu_status st = MU_OK;

    if (f->base.model_kind == MU_MODEL_SYNTHETIC)
        return MU_OK;
    MU_TRY(mu_tokens_identify(f->base.data_train, &f->data.train), st, failed);
    st = mu_tokens_identify(f->base.data_valid, &f->data.valid);
failed:
    return st;
}

static enum mu_status read_file(struct mu_sweep_facts *f, const struct mu_sweep_request *request)
{
    enum mu_status st;

    MU_TRY(mu_sweep_read(&(struct mu_config_source){.path = request->path,
                                                    .overrides = request->overrides,
                                                    .override_count = request->override_count,
                                                    .environment = environ},
                         &f->base, f->spec),
           st, failed);
    MU_TRY(mu_path_format(f->file, "%s", request->path), st, failed);
    MU_TRY(check_trials(f), st, failed);
    st = identify_data(f);
failed:
    return st;
}

/* The plain path, without symbolic links and "..": it names the trials' segments, and people read
 * it. */
static enum mu_status make_folder(struct mu_sweep_facts *f, struct mu_sweep_part part)
{
    char whole[MU_PATH_MAX], *plain;
    enum mu_status st;

    MU_TRY(mu_path_format(whole, "%s/%s", f->base.run_dir, f->spec->name), st, failed);
    if (!mu_started_by_launch()) /* a launcher has asked already */
        MU_TRY(mu_sweep_part_admit(whole, part, f->spec, &f->base, f->file), st, failed);
    MU_TRY(mu_sweep_part_path(f->path, whole, part), st, failed);
    MU_TRY(mu_file_make_folders(f->path), st, failed);
    plain = realpath(f->path, NULL);
    if (plain)
        st = mu_path_format(f->path, "%s", plain);
    free(plain);
failed:
    return st;
}

/* Hosts by number, in the order of their first ranks. */
static void number_hosts(struct mu_sweep_facts *f, const struct hello *of)
{
    uint32_t hosts = 0;

    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t j = 0;

        while (j < i && of[j].host_key != of[i].host_key)
            j++;
        f->host[i] = j < i ? f->host[j] : hosts++;
    }
}

static enum mu_status make_facts(struct mu_sweep *s, const struct mu_sweep_request *request,
                                 const struct hellos *all)
{
    struct mu_sweep_facts *f = &s->facts;
    enum mu_status st;

    MU_TRY(read_file(f, request), st, failed);
    MU_TRY(make_folder(f, request->part), st, failed);
    number_hosts(f, all->of);
    st = mu_sweep_lead_open(&s->session, &s->line, f, NULL, 0, &s->lead);
failed:
    return st;
}

static void put_welcome(const struct mu_sweep_facts *f, enum mu_status st, struct mu_wire_writer *w)
{
    mu_wire_put_u32(w, (uint32_t)st);
    if (st != MU_OK)
        return;
    mu_wire_put_string(w, f->file);
    mu_wire_put_string(w, f->path);
    for (uint32_t i = 0; i < f->count; i++)
        mu_wire_put_u32(w, f->host[i]);
    mu_wire_put_bytes(w, f->spec, sizeof *f->spec); /* all ranks run the same program */
    mu_wire_put_bytes(w, &f->base, sizeof f->base);
}

static enum mu_status take_welcome(struct mu_sweep_facts *f, struct mu_wire_reader *r)
{
    enum mu_status st = mu_control_get_status(r);

    if (st != MU_OK)
        return st;
    mu_wire_get_string(r, f->file, sizeof f->file);
    mu_wire_get_string(r, f->path, sizeof f->path);
    for (uint32_t i = 0; i < f->count; i++)
        f->host[i] = mu_wire_get_u32(r);
    mu_wire_get_bytes(r, f->spec, sizeof *f->spec);
    mu_wire_get_bytes(r, &f->base, sizeof f->base);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "the master's welcome cannot be read");
    return MU_OK;
}

static enum mu_status make_room(struct mu_sweep *s)
{
    struct mu_sweep_facts *f = &s->facts;
    const int size = mu_comm_size(s->session.comm);

    mu_sweep_facts_deinit(f);
    f->spec = calloc(1, sizeof *f->spec);
    f->name = calloc((size_t)size, sizeof *f->name);
    f->host = calloc((size_t)size, sizeof *f->host);
    if (!f->spec || !f->name || !f->host)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a sweep of %d ranks", size);
    f->count = (uint32_t)size;
    for (int i = 0; i < size; i++)
        f->name[i] = mu_comm_name(s->session.comm, i);
    return MU_OK;
}

static enum mu_status meet(struct mu_sweep *s, const struct mu_sweep_request *request,
                           uint8_t *welcome)
{
    struct mu_session *session = &s->session;
    struct mu_control control =
        mu_control_init(session->comm, &session->poller, session->epoch, MEET_DEADLINE_MS);
    uint8_t own[HELLO_MAX];
    struct mu_wire_writer w = mu_wire_write(own, sizeof own);
    struct mu_wire_reader r;
    struct hellos all = {.of = calloc((size_t)mu_comm_size(session->comm), sizeof *all.of)};
    enum mu_status st = all.of ? make_room(s) : MU_NO_MEMORY, said;
    size_t size = 0;

    if (st != MU_OK)
        goto done;
    mu_fault(MU_FAULT_STARTED, 0);
    said = say_hello(s, &w);
    st = mu_control_gather(&control, MU_MESSAGE_HELLO, &w, take_hello, &all);
    st = st == MU_OK ? said : st;
    if (mu_control_is_broken(st))
        goto done;
    if (mu_comm_rank(session->comm) == 0) {
        if (st == MU_OK)
            st = make_facts(s, request, &all);
        w = mu_wire_write(welcome, WELCOME_MAX);
        put_welcome(&s->facts, st, &w);
        MU_ASSERT(w.ok);
        size = w.size;
    }
    MU_TRY(mu_control_announce(&control, MU_MESSAGE_WELCOME, welcome, WELCOME_MAX, &size), st,
           done);
    r = mu_wire_read(welcome, size);
    MU_TRY(mu_control_agree(&control, take_welcome(&s->facts, &r)), st, done);
    st = mu_trial_deal_gpus(session, &s->facts.base);
done:
    free(all.of);
    return st;
}

/* Who has heard that all have met goes on, and is in no round of a meeting any more. All that are
 * left know then what there is to know: only the last word was not heard by each. */
static bool somebody_has_met(const struct mu_session *s)
{
    for (int i = 0; i < mu_comm_size(s->comm); i++)
        if (s->recovery.word[i].ended != 0)
            return true;
    return false;
}

static void tell_deaths(const struct mu_session *s)
{
    for (int i = 0; mu_comm_rank(s->comm) == 0 && i < s->recovery.dead_count; i++) {
        const int rank = s->recovery.dead[i];

        mu_log(MU_LOG_WARN, "rank %d died%s, before the ranks had met", rank,
               mu_board_last_seen(mu_board_entry(s->board, rank)).text);
    }
}

enum mu_status mu_sweep_meet(struct mu_sweep *s, const struct mu_sweep_request *request)
{
    uint8_t *welcome = malloc(WELCOME_MAX);
    enum mu_status st = MU_RECOVERED;

    if (!welcome)
        return MU_FAIL(MU_NO_MEMORY, "no memory to meet %d ranks", mu_comm_size(s->session.comm));
    while (st == MU_RECOVERED) {
        mu_poller_accept(&s->session.poller);
        mu_sweep_lead_close(s->lead); /* of an attempt that somebody died in */
        s->lead = NULL;
        st = meet(s, request, welcome);
        if (st == MU_RECOVERED && somebody_has_met(&s->session)) {
            if (s->lead)
                mu_sweep_lead_reset(s->lead, s->session.recovery.word,
                                    (uint32_t)mu_comm_size(s->session.comm));
            st = MU_OK;
        } else if (st == MU_RECOVERED) {
            tell_deaths(&s->session);
        }
    }
    mu_poller_accept(&s->session.poller);
    if (st == MU_OK)
        s->session.recovery.ended = MU_GROUP_OF_ALL;
    free(welcome);
    return st;
}
