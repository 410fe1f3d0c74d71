/* What is known of machines that nobody here can look at: the signs of life of their ranks
 * (heartbeats.h), what the ranks wrote of the dead, and whether they start a program. Two questions
 * are kept apart: is a host of use, and does any rank on it still live. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/parts.h"
#include "orchestrator/launch/probe.h"

enum {
    ABROAD_MS = 1000, /* two looks of a rank at its lease */
    FOLLOW_MS = 300,  /* for ranks to die with the daemons of their mpirun */
    LOOK_MS = 5,
    NONE = -1,
};

/* Ranks are dealt to hosts in order, as many as each has slots. */
static int host_of_rank(const struct mu_launch *l, int rank)
{
    for (uint32_t i = 0; i < l->ladder.hosts; i++) {
        if (!l->plan.use[i])
            continue;
        if (rank < (int)l->ladder.host[i].slots)
            return (int)i;
        rank -= (int)l->ladder.host[i].slots;
    }
    return NONE;
}

/* What the rank calls its machine may be longer than what it is called in the list. */
static bool is_name_of(const char *host, const char *name)
{
    const size_t length = strlen(name);

    return strncmp(host, name, length) == 0 && (host[length] == 0 || host[length] == '.');
}

/* Of a rank that was heard: by what it calls its machine, where that is in the list. */
static int host_of_heard(const struct mu_launch *l, uint32_t rank)
{
    for (uint32_t i = 0; i < l->ladder.hosts; i++)
        if (l->plan.use[i] && is_name_of(l->beats.rank[rank].host, l->ladder.host[i].name))
            return (int)i;
    return host_of_rank(l, (int)rank);
}

/* ---- while it lives ---- */
struct hearing { /* of a host's ranks */
    uint32_t living, silent;
};

/* All ranks that live there are: one alone may have been stopped. */
bool mu_launch_has_silent_host(const struct mu_launch *l)
{
    const uint64_t most_ns = (uint64_t)l->request->host_deadline_s * 1000000000u;
    struct hearing of[MU_LADDER_HOSTS] = {{0}};
    bool is_any = false;

    if (!l->beats.rank || most_ns == 0)
        return false;
    for (uint32_t r = 0; r < l->beats.ranks; r++) {
        const struct mu_heartbeat *beat = &l->beats.rank[r];
        const int host = host_of_heard(l, r);

        if (beat->state != MU_HEARTBEAT_LIVES || host == NONE)
            continue;
        of[host].living++;
        of[host].silent += beat->silent_ns >= most_ns;
    }
    for (uint32_t i = 0; i < l->ladder.hosts; i++)
        if (of[i].silent > 0 && of[i].silent == of[i].living &&
            !mu_host_is_here(l->ladder.host[i].name)) {
            mu_log(MU_LOG_WARN,
                   "host %s: nothing was heard of its %u rank%s for %" PRId64
                   " s: it hangs, or its link is cut",
                   l->ladder.host[i].name, of[i].living, mu_plural(of[i].living),
                   l->request->host_deadline_s);
            is_any = true;
        }
    return is_any;
}

/* ---- after its end ---- */
/* Every rank was heard, and has died: waits a little for the last to. */
static bool are_known_to_be_dead(struct mu_launch *l)
{
    const struct mu_deadline deadline = mu_deadline_in_ms(FOLLOW_MS);
    uint32_t dead;

    if (!l->beats.rank)
        return false;
    for (;;) {
        mu_heartbeats_look(&l->beats);
        dead = 0;
        for (uint32_t r = 0; r < l->beats.ranks; r++)
            dead += l->beats.rank[r].state == MU_HEARTBEAT_DEAD;
        if (dead == l->beats.ranks || mu_deadline_passed(deadline))
            return dead == l->beats.ranks;
        mu_clock_sleep_us(1000 * LOOK_MS);
    }
}

struct duration {
    char text[32];
};

static struct duration cool_off(const struct mu_launch *l)
{
    const int64_t s = l->request->cool_off_s;
    struct duration d;

    if (s >= MU_LAUNCH_REST_OF_JOB_S)
        snprintf(d.text, sizeof d.text, "the rest of this job");
    else if (s < 120)
        snprintf(d.text, sizeof d.text, "%" PRId64 " s", s);
    else
        snprintf(d.text, sizeof d.text, "%" PRId64 " minutes", s / 60);
    return d;
}

/* Which hosts had a part in it? This machine itself is never left out. True: all answer. */
static bool leave_out(struct mu_launch *l, enum mu_ladder_cause cause)
{
    int dead = mu_outcome_read(l->run, l->now.job).dead_rank;
    int failed = dead >= 0 && (cause == MU_CAUSE_RANKS_DIED || cause == MU_CAUSE_MPIRUN_ENDED)
                     ? host_of_rank(l, dead)
                     : NONE;
    bool answers[MU_LADDER_HOSTS], all = true;

    mu_probe_hosts(l->request, &l->ladder, &l->plan, answers);
    for (uint32_t i = 0; i < l->ladder.hosts; i++) {
        const char *name = l->ladder.host[i].name;

        if (!l->plan.use[i] || mu_host_is_here(name))
            continue;
        all = all && answers[i];
        if (!answers[i]) {
            mu_ladder_host_lost(&l->ladder, i, mu_clock_ns());
            mu_log(MU_LOG_WARN, "host %s does not answer: left out for %s", name, cool_off(l).text);
        } else if (failed == (int)i && mu_ladder_host_failed(&l->ladder, i, mu_clock_ns())) {
            mu_log(MU_LOG_WARN,
                   "host %s: ranks died there %d times within minutes: left out for %s", name,
                   MU_LADDER_FAILURES, cool_off(l).text);
        }
    }
    return all;
}

/* Ranks that are not known to be dead end when they read in the lease that their generation is over,
 * or cannot read it any more. */
uint64_t mu_launch_judge_hosts(struct mu_launch *l, enum mu_ladder_cause cause)
{
    const bool are_dead = are_known_to_be_dead(l), all_answer = leave_out(l, cause);
    const uint64_t wait_ms = all_answer ? ABROAD_MS : MU_LEASE_END_MS + ABROAD_MS;
    const uint64_t gone_ms = (mu_clock_ns() - l->over_ns) / 1000000u;

    return are_dead || gone_ms >= wait_ms ? 0 : wait_ms - gone_ms;
}

/* ---- before the next one ---- */
struct mu_ladder_plan mu_launch_plan(struct mu_launch *l)
{
    struct mu_ladder_plan plan, back = {0};
    bool was_out[MU_LADDER_HOSTS], answers[MU_LADDER_HOSTS], any = false, all = true;

    for (uint32_t i = 0; i < l->ladder.hosts; i++)
        was_out[i] = l->ladder.host[i].excluded;
    plan = mu_ladder_plan(&l->ladder, mu_clock_ns());
    for (uint32_t i = 0; i < l->ladder.hosts; i++) {
        back.use[i] = was_out[i] && plan.use[i];
        any = any || back.use[i];
    }
    if (!any)
        return plan;
    mu_probe_hosts(l->request, &l->ladder, &back, answers);
    for (uint32_t i = 0; i < l->ladder.hosts; i++)
        if (back.use[i] && !answers[i]) {
            mu_ladder_host_lost(&l->ladder, i, mu_clock_ns());
            all = false;
        }
    return all ? plan : mu_ladder_plan(&l->ladder, mu_clock_ns());
}
