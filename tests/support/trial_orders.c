/* trial-orders SWEEPDIR ORDER...: ranks that run trials as they are told here, without a sweep's
 * master. An order is NAMES:TRIAL[:way@STEP][:leave@STEP=TRIAL], as 0,2:long:leave@4=short: ranks 0
 * and 2, as far as they live, run long.cfg, in SWEEPDIR/trials/long, and leave the state of step 4
 * to `short`; way@STEP: they make way after that step. Every rank takes the orders that name it,
 * one after the other; the leader of each prints how it ended:
 *
 *   2 long complete 12 HASH LOSS */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/master/session.h"
#include "orchestrator/master/trial_job.h"
#include "worker/worker.h"
#include "worker/workload.h"

enum { FIRST_GROUP = 2, MOST_RANKS = 64 };

static struct mu_session session;

struct told {
    char trial[64], way[32], leave[96];
    int names[MOST_RANKS], count;
    bool is_mine;
};

/* The living ranks that an order names. */
static struct told read_order(const char *text)
{
    struct told t = {.count = 0};
    char copy[256], *at = copy, *names, *part;

    snprintf(copy, sizeof copy, "%s", text);
    names = strsep(&at, ":");
    snprintf(t.trial, sizeof t.trial, "%s", strsep(&at, ":"));
    while (at && (part = strsep(&at, ":"))) {
        if (strncmp(part, "way@", 4) == 0)
            snprintf(t.way, sizeof t.way, "%s", part + 4);
        else
            snprintf(t.leave, sizeof t.leave, "%s", part + strlen("leave@"));
    }
    while ((part = strsep(&names, ","))) {
        for (int i = 0; i < mu_comm_size(session.comm); i++)
            if (mu_comm_name(session.comm, i) == atoi(part))
                t.names[t.count++] = atoi(part);
        t.is_mine |= atoi(part) == mu_comm_name(session.comm, mu_comm_rank(session.comm));
    }
    return t;
}

static enum mu_status read_config(const char *trial, struct mu_settings *settings)
{
    char path[128];
    const struct mu_config_source source = {.path = path};
    enum mu_status st;

    snprintf(path, sizeof path, "%s.cfg", trial);
    MU_TRY(mu_config_load(&source, settings), st, failed);
    st = mu_workload_resolve(settings);
failed:
    return st;
}

static void look(void *context, int64_t step, double loss, double tokens_per_s)
{
    const struct told *t = context;

    (void)loss;
    (void)tokens_per_s;
    if (t->way[0] && step >= atoll(t->way))
        session.requests |= MU_REQUEST_MAKE_WAY;
}

static enum mu_status run(const char *sweep, uint64_t group, struct told *t)
{
    struct mu_trial_branch branch = {.step = atoll(t->leave)};
    const char *other = strchr(t->leave, '=');
    struct mu_trial_order order = {.group = group,
                                   .epoch = session.epoch,
                                   .names = t->names,
                                   .count = t->count,
                                   .sweep_path = sweep,
                                   .branches = &branch,
                                   .branch_count = t->leave[0] != 0,
                                   .progress = look,
                                   .progress_context = t};
    struct mu_trial_outcome out;
    struct mu_settings settings;
    char *config = NULL, path[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(read_config(t->trial, &settings), st, failed);
    MU_TRY(mu_config_print(&settings, &config), st, failed);
    MU_TRY(mu_path_format(path, "%s/trials/%s", sweep, t->trial), st, failed);
    MU_TRY(mu_path_format(branch.run_path, "%s/trials/%s", sweep, other ? other + 1 : ""), st,
           failed);
    order.config = config;
    order.run_path = path;
    MU_TRY(mu_trial_run(&session, &order, &out), st, failed);
    if (out.leads)
        printf("%" PRIu64 " %s %s %" PRId64 " %s %.17g\n", group, t->trial,
               mu_trial_end_word(out.end), out.step,
               out.has_hash ? mu_hash_print(out.hash).text : "-",
               isnan(out.valid_loss) ? 0 : out.valid_loss);
    fflush(stdout);
failed:
    free(config);
    return st;
}

static enum mu_status deal(const char *order)
{
    struct told t = read_order(order);
    struct mu_settings settings;
    enum mu_status st = read_config(t.trial, &settings);

    return st == MU_OK ? mu_trial_deal_gpus(&session, &settings) : st;
}

int main(int argc, char **argv)
{
    enum mu_status st;

    if (argc < 3)
        return mu_status_exit_code(MU_USAGE);
    MU_TRY(mu_fault_init(), st, failed);
    MU_TRY(mu_session_open(&session), st, failed);
    if (mu_comm_is_fault_tolerant(session.comm)) {
        session.poller.repair = mu_session_recover;
        session.poller.repair_context = &session;
    }
    MU_TRY(deal(argv[2]), st, failed);
    for (int i = 2; i < argc; i++) {
        struct told t = read_order(argv[i]);

        if (t.is_mine)
            MU_TRY(run(argv[1], (uint64_t)(FIRST_GROUP + i - 2), &t), st, failed);
    }
    MU_TRY(mu_session_part(&session), st, failed);
    mu_poller_hold(&session.poller);
    mu_session_close(&session, MU_OK);
    return 0;
failed:
    mu_log(MU_LOG_ERROR, "%s", mu_status_meaning(st));
    mu_comm_die();
}
