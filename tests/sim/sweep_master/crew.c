/* Groups that train: what orchestrator/master/trial_job.h promises, step by step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sweep_master/master_sim.h"

static const double begin_s = 0.1, tell_s = 0.3, leave_s = 0.02;

uint32_t crew_add(struct sim *s, uint64_t number, uint32_t fact, uint32_t expected)
{
    if (s->crews > 0 && s->crew[s->crews - 1].number >= number)
        check_failed(s, "the number of a group is used twice", s->fact[fact].name);
    s->crew = fleet_room(s->crew, s->crews, &s->crew_capacity, sizeof *s->crew);
    s->crew[s->crews] = (struct crew){
        .number = number, .fact = fact, .expected = expected, .host = NONE, .leader = -1};
    return s->crews++;
}

uint32_t crew_find(const struct sim *s, uint64_t number)
{
    uint32_t low = 0, high = s->crews;

    while (low + 1 < high) {
        const uint32_t middle = (low + high) / 2;

        if (s->crew[middle].number <= number)
            low = middle;
        else
            high = middle;
    }
    return high > 0 && s->crew[low].number == number ? low : NONE;
}

static int first_rank(const struct sim *s, uint32_t crew)
{
    const uint32_t each = s->setup.host_ranks, host = s->crew[crew].host;

    for (uint32_t i = host * each; i < (host + 1) * each; i++)
        if (s->rank[i].lives && s->rank[i].crew == crew)
            return (int)i;
    return -1;
}

static double step_seconds(const struct fact *f, uint32_t workers)
{
    return mu_pack_seconds(f->step_s, f->serial, workers);
}

static void next_step(struct sim *s, uint32_t crew, double after)
{
    struct crew *c = &s->crew[crew];

    fleet_after(s, after + step_seconds(&s->fact[c->fact], c->count),
                (struct event){.kind = EVENT_STEP, .who = crew, .mark = ++c->tick});
}

/* The ranks learn of it one after the other; the first tells. */
static void end(struct sim *s, uint32_t crew, enum mu_trial_end how)
{
    struct crew *c = &s->crew[crew];
    const uint32_t each = s->setup.host_ranks;

    c->state = CREW_ENDED;
    c->end = how;
    c->leader = first_rank(s, crew);
    c->tick++;
    s->fact[c->fact].failures += how == MU_TRIAL_FAILED;
    for (uint32_t i = c->host * each; i < (c->host + 1) * each; i++)
        if (s->rank[i].lives && s->rank[i].crew == crew)
            fleet_after(s, leave_s * sim_uniform(s),
                        (struct event){.kind = EVENT_LEAVE, .who = i, .mark = crew});
}

/* From memory, or from what its folder has. */
static void begin(struct sim *s, uint32_t crew)
{
    struct crew *c = &s->crew[crew];
    struct fact *f = &s->fact[c->fact];
    int64_t from = f->is_there && f->shared > f->kept ? f->shared : f->kept;

    if (f->host == c->host)
        from = f->step;
    check_begin(s, c, from);
    c->state = CREW_TRAINS;
    f->host = c->host;
    f->step = from;
    if (f->is_finished)
        end(s, crew, MU_TRIAL_COMPLETE);
    else if (f->end == MU_TRIAL_OUT_OF_MEMORY)
        end(s, crew, MU_TRIAL_OUT_OF_MEMORY);
    else
        next_step(s, crew, begin_s);
}

static void begin_if_all_are_there(struct sim *s, uint32_t crew)
{
    const struct crew *c = &s->crew[crew];

    if (c->state == CREW_GATHERS && c->expected == 0 && c->count > 0 && !c->is_stalled)
        begin(s, crew);
}

void crew_join(struct sim *s, uint32_t rank, uint64_t number)
{
    const uint32_t crew = crew_find(s, number);
    struct rank *r = &s->rank[rank];

    check_join(s, rank, number);
    if (s->out.mistake[0] != '\0')
        return;
    r->crew = crew;
    r->has_outcome = false;
    s->crew[crew].host = r->host;
    s->crew[crew].count++;
    s->crew[crew].expected--;
    s->fact[s->crew[crew].fact].crew = crew;
    begin_if_all_are_there(s, crew);
}

static void leave_for_branches(struct sim *s, const struct crew *c, int64_t step)
{
    for (uint32_t i = 0; i < c->branches; i++)
        if (s->fact[c->branch[i]].shared <= step)
            s->fact[c->branch[i]].is_there = true;
}

static void tell(struct sim *s, uint32_t crew)
{
    struct crew *c = &s->crew[crew];
    const struct fact *f = &s->fact[c->fact];

    if (c->told >= 2 && s->now - c->said < tell_s)
        return;
    if (c->told++ == 0)
        c->first_told = f->step;
    c->said = s->now;
    fleet_say(s, (uint32_t)first_rank(s, crew),
              (struct message){.kind = SAY_PROGRESS,
                               .group = c->number,
                               .first = c->first_told,
                               .step = f->step,
                               .tokens_per_s = f->step_tokens / step_seconds(f, c->count)});
}

/* It kills one of those who take it. */
static void kill_one(struct sim *s, struct crew *c, uint32_t crew)
{
    c->deaths_here++;
    s->fact[c->fact].killed++;
    check_killer(s, &s->fact[c->fact]);
    fleet_kill(s, (uint32_t)first_rank(s, crew));
}

void crew_step(struct sim *s, uint32_t crew, uint32_t tick)
{
    struct crew *c = &s->crew[crew];
    struct fact *f = &s->fact[c->fact];

    if (c->tick != tick || c->state != CREW_TRAINS || c->is_stalled)
        return;
    if (f->end == MU_TRIAL_CRASHES && f->step + 1 == f->end_step && s->alive > 1) {
        kill_one(s, c, crew);
        return;
    }
    if (f->end == MU_TRIAL_DIVERGED && f->step + 1 == f->end_step) {
        end(s, crew, MU_TRIAL_DIVERGED);
        return;
    }
    if (f->step + 1 == f->fail_step && f->failures == 0) {
        end(s, crew, MU_TRIAL_FAILED);
        return;
    }
    f->step++;
    if (f->step % CHECKPOINT == 0)
        f->kept = f->step;
    leave_for_branches(s, c, f->step);
    if (f->step == f->steps) {
        f->is_finished = true;
        f->kept = f->step;
        end(s, crew, MU_TRIAL_COMPLETE);
        return;
    }
    tell(s, crew);
    if (c->makes_way)
        end(s, crew, MU_TRIAL_MADE_WAY);
    else
        next_step(s, crew, 0);
}

static void close_if_empty(struct sim *s, uint32_t crew)
{
    struct crew *c = &s->crew[crew];

    if (c->count == 0 && s->fact[c->fact].crew == crew)
        s->fact[c->fact].crew = NONE;
}

void crew_leave(struct sim *s, uint32_t rank, uint32_t crew)
{
    struct rank *r = &s->rank[rank];
    struct crew *c = &s->crew[crew];

    if (!r->lives || r->crew != crew)
        return;
    r->crew = NONE;
    r->ended = c->number;
    r->has_outcome = (int)rank == c->leader;
    if (r->has_outcome)
        r->outcome = shapes_outcome(&s->fact[c->fact], c->end);
    c->count--;
    close_if_empty(s, crew);
    fleet_ready(s, rank);
}

/* A death: the step in hand is not taken. */
void crew_lose(struct sim *s, uint32_t rank)
{
    const uint32_t crew = s->rank[rank].crew;

    s->rank[rank].crew = NONE;
    if (crew == NONE)
        return;
    s->crew[crew].count--;
    s->crew[crew].tick++;
    s->crew[crew].is_stalled = true;
    close_if_empty(s, crew);
}

/* Who has no order yet will not have one. The others go on among themselves; a group that loses
 * ranks to one step too often gives up. */
void crews_repair(struct sim *s)
{
    for (uint32_t i = 0; i < s->crews; i++) {
        struct crew *c = &s->crew[i];
        const bool was_stalled = c->is_stalled;

        c->expected = 0;
        c->is_stalled = false;
        if (c->count == 0 || c->state == CREW_ENDED)
            continue;
        if (c->state == CREW_GATHERS)
            begin_if_all_are_there(s, i);
        else if (c->deaths_here > (uint32_t)s->spec->retries)
            end(s, i, MU_TRIAL_CRASHES);
        else if (was_stalled)
            next_step(s, i, begin_s);
    }
}
