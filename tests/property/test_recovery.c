/* The plan of the survivors, on reports made up at random but for what the protocol rules out: two
 * living ranks that hold one shard, and hosts more than a turn apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/core/recovery.h"
#include "tests/support/seed.h"

enum { RANKS = 24, HOSTS = 6, CHUNKS = 70, ROUNDS = 4000 };

static uint64_t draws;

static uint32_t below(uint32_t n)
{
    const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, draws++);

    return (uint32_t)mu_rng_below(n, x.w[0], x.w[1]);
}

/* What a repair starts from. */
struct scene {
    uint32_t ranks, shards, chunks;
    uint64_t turn; /* of the hosts that are not behind */
    uint64_t key[RANKS];
    bool lives[RANKS], dedicated;
    struct mu_roll all, roll;
    struct mu_fleet fleet;
    struct mu_rank_report report[RANKS];
    struct mu_host_report host[HOSTS];
    struct mu_slot_report slot[HOSTS][RANKS];
    uint64_t done[HOSTS][(CHUNKS + 63) / 64];
    bool behind[HOSTS], inhabited[HOSTS];
    struct mu_shard_set held[RANKS]; /* by rank: whole or claimed, in `turn` */
};

static uint64_t turn_before(uint64_t turn)
{
    return turn % 2 == 0 ? turn - 1 : turn - 1 - below(2); /* the attempt before, or another step */
}

static struct mu_slot_report *slot_of(struct scene *s, uint32_t rank)
{
    return &s->slot[s->fleet.home[rank]][s->fleet.slot[rank]];
}

static void choose_living(struct scene *s)
{
    uint64_t key[RANKS];
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->ranks; i++)
        s->lives[i] = below(3) > 0;
    s->lives[below(s->ranks)] = true;
    for (uint32_t i = 0; i < s->ranks; i++)
        if (s->lives[i]) {
            key[n] = s->key[i];
            s->inhabited[s->fleet.home[i]] = true;
            s->report[n++] =
                (struct mu_rank_report){i, MU_RECOVERY_RUNNING, (int64_t)below(20) - 1};
        }
    assert_int_equal(mu_roll_init(&s->roll, 2, key, n), MU_OK);
}

/* Hosts behind are in the turn before; one at least is not. */
static void place_hosts(struct scene *s)
{
    uint64_t before = turn_before(s->turn);
    uint32_t home = s->fleet.home[s->report[below(s->roll.size)].rank];

    for (uint32_t h = 0; h < s->fleet.hosts; h++) {
        uint64_t turn;

        s->behind[h] = h != home && below(3) == 0;
        turn = s->behind[h] ? before : s->turn;
        s->host[h] = (struct mu_host_report){
            .state = (turn - 1) / 2 << 1 | below(2), .slot = s->slot[h], .done = s->done[h]};
        for (uint32_t c = 0; c < s->chunks; c++)
            if (below(4) == 0)
                s->done[h][c / 64] |= UINT64_C(1) << c % 64;
    }
    for (uint32_t r = 0; r < s->ranks;
         r++) { /* somebody has entered a turn that the state does not tell */
        uint64_t turn = s->behind[s->fleet.home[r]] ? before : s->turn;

        *slot_of(s, r) = (struct mu_slot_report){.entered = turn, .adding = turn << 1, .claim = 0};
    }
}

/* Every shard is nobody's, or one rank's: whole, or claimed; dead ones may be torn. strange: dead
 * ones also have what another has, which no run of deaths leads to. */
static void share_out(struct scene *s, bool strange)
{
    for (uint32_t i = 0; i < s->shards; i++) {
        uint32_t r = below(s->ranks + 1);
        struct mu_slot_report *slot;

        if (r == s->ranks || s->behind[s->fleet.home[r]])
            continue;
        slot = slot_of(s, r);
        if (s->lives[r] && slot->claim == 0 && below(3) == 0) {
            slot->claim = mu_recovery_claim(s->turn, i);
            slot->adding |= below(2);
        } else {
            mu_shard_set_add(&slot->shards, i);
        }
        mu_shard_set_add(&s->held[r], i);
    }
    for (uint32_t r = 0; r < s->ranks; r++) {
        struct mu_slot_report *slot = slot_of(s, r);

        if (s->lives[r] || s->behind[s->fleet.home[r]])
            continue;
        slot->adding |= below(3) == 0;
        slot->claim = below(2) ? mu_recovery_claim(s->turn, below(s->shards)) : 0;
        if (strange && below(4) == 0)
            mu_shard_set_add(&slot->shards, below(s->shards));
        s->held[r] = slot->shards;
    }
}

static void make_scene(struct scene *s, bool strange)
{
    uint32_t hosts = 1 + below(HOSTS), name[RANKS];

    memset(s, 0, sizeof *s);
    s->ranks = 1 + below(RANKS);
    s->dedicated = below(3) == 0;
    s->shards = 1 + below(below(4) ? 32 : MU_SHARDS_MAX);
    s->chunks = 1 + below(CHUNKS);
    s->turn = 3 + below(40);
    for (uint32_t i = 0; i < s->ranks; i++) {
        s->key[i] = below(hosts);
        name[i] = i;
    }
    assert_int_equal(mu_roll_init(&s->all, 1, s->key, s->ranks), MU_OK);
    assert_int_equal(mu_fleet_init(&s->fleet, &s->all, name, s->ranks), MU_OK);
    choose_living(s);
    place_hosts(s);
    share_out(s, strange);
    if (below(4) == 0) /* all chunks of the turn are reduced somewhere that lives */
        memset(s->done[s->fleet.home[s->report[0].rank]], 0xff, sizeof s->done[0]);
}

static void free_scene(struct scene *s)
{
    mu_roll_deinit(&s->all);
    mu_roll_deinit(&s->roll);
    mu_fleet_deinit(&s->fleet);
}

static void make_plan(struct scene *s, struct mu_recovery_plan *p)
{
    assert_int_equal(mu_recovery_plan_init(p, &s->fleet, &s->roll, s->report, s->host, s->shards,
                                           s->chunks, s->dedicated),
                     MU_OK);
}

static bool has_chunk(const struct scene *s, uint32_t host, uint32_t chunk)
{
    return s->done[host][chunk / 64] >> chunk % 64 & 1;
}

static bool is_needed(const struct scene *s)
{
    for (uint32_t c = 0; c < s->chunks; c++) {
        bool somewhere = false;

        for (uint32_t h = 0; h < s->fleet.hosts; h++)
            somewhere |= s->inhabited[h] && !s->behind[h] && has_chunk(s, h, c);
        if (!somewhere)
            return true;
    }
    return false;
}

static bool same(const struct mu_shard_set *a, const struct mu_shard_set *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void add_once(struct mu_shard_set *all, const struct mu_shard_set *more)
{
    assert_false(mu_shard_set_meets(all, more));
    mu_shard_set_add_all(all, more);
}

/* As far as a host tells on which somebody lives. */
static struct mu_shard_set begun_by_the_dead(struct scene *s)
{
    struct mu_shard_set begun = {{0}};

    for (uint32_t r = 0; r < s->ranks; r++) {
        const struct mu_slot_report *slot = slot_of(s, r);

        if (s->lives[r] || !s->inhabited[s->fleet.home[r]] || s->behind[s->fleet.home[r]])
            continue;
        mu_shard_set_add_all(&begun, &slot->shards);
        if (slot->claim != 0)
            mu_shard_set_add(&begun, (uint32_t)(slot->claim & 0xffff) - 1);
    }
    return begun;
}

/* What a place was dealt of the shards that nobody had. */
static struct mu_shard_set extra_of(const struct scene *s, const struct mu_recovery_plan *p,
                                    uint32_t place)
{
    return mu_shard_set_minus(&p->deal[place], &s->held[s->report[place].rank]);
}

/* All of the living, what they have kept; of the dead, all of a sum or nothing. */
static void check_deals(struct scene *s, const struct mu_recovery_plan *p)
{
    struct mu_shard_set all = {{0}}, extra = {{0}}, begun = begun_by_the_dead(s);

    assert_int_equal(p->turn, s->turn);
    assert_int_equal(p->step, (s->turn - 1) / 2);
    for (uint32_t i = 0; i < s->roll.size; i++) {
        struct mu_shard_set more = extra_of(s, p, i),
                            lost = mu_shard_set_minus(&s->held[s->report[i].rank], &p->deal[i]);

        assert_true(mu_shard_set_is_empty(&lost));
        assert_true(same(&p->counted[s->report[i].rank], &(struct mu_shard_set){{0}}));
        add_once(&all, &p->deal[i]);
        mu_shard_set_add_all(&extra, &more);
    }
    for (uint32_t i = 0; i < s->shards; i++)
        assert_int_equal(mu_shard_set_has(&p->again, i),
                         mu_shard_set_has(&extra, i) && mu_shard_set_has(&begun, i));
    for (uint32_t r = 0; r < s->ranks; r++) {
        const struct mu_slot_report *slot = slot_of(s, r);

        if (mu_shard_set_is_empty(&p->counted[r]))
            continue;
        assert_true(!s->lives[r] && s->inhabited[s->fleet.home[r]]);
        assert_true(slot->adding == s->turn << 1 && same(&p->counted[r], &slot->shards));
        add_once(&all, &p->counted[r]);
    }
    assert_true(mu_shard_set_is_empty(&extra) || is_needed(s));
    if (is_needed(s))
        assert_int_equal(mu_shard_set_count(&all), s->shards);
}

/* A whole sum of the dead is left out only because somebody else has one of its shards. */
static void check_the_uncounted(struct scene *s, const struct mu_recovery_plan *p)
{
    for (uint32_t r = 0; r < s->ranks; r++) {
        const struct mu_slot_report *slot = slot_of(s, r);
        bool meets = false;

        if (s->lives[r] || !s->inhabited[s->fleet.home[r]] || slot->adding != s->turn << 1 ||
            mu_shard_set_is_empty(&slot->shards) || !mu_shard_set_is_empty(&p->counted[r]))
            continue;
        for (uint32_t i = 0; i < s->roll.size; i++)
            meets |= mu_shard_set_meets(&slot->shards, &p->deal[i]);
        for (uint32_t i = 0; i < s->ranks; i++)
            meets |= mu_shard_set_meets(&slot->shards, &p->counted[i]);
        assert_true(meets);
    }
}

/* Who got more had the fewest; a dedicated master gets nothing. */
static void check_balance(const struct scene *s, const struct mu_recovery_plan *p)
{
    const uint32_t first = s->dedicated && s->roll.size > 1;
    uint32_t fewest = UINT32_MAX;

    for (uint32_t i = 0; i < first; i++) {
        struct mu_shard_set more = extra_of(s, p, i);

        assert_true(mu_shard_set_is_empty(&more));
    }
    for (uint32_t i = first; i < s->roll.size; i++) {
        uint32_t n = mu_shard_set_count(&p->deal[i]);

        fewest = n < fewest ? n : fewest;
    }
    for (uint32_t i = first; i < s->roll.size; i++) {
        struct mu_shard_set more = extra_of(s, p, i);

        assert_true(mu_shard_set_is_empty(&more) || mu_shard_set_count(&p->deal[i]) <= fewest + 1);
    }
}

static void check_servers(const struct scene *s, const struct mu_recovery_plan *p)
{
    for (uint32_t c = 0; c < s->chunks; c++) {
        int first = MU_RECOVERY_NOBODY;

        for (uint32_t h = 0; h < s->fleet.hosts; h++) {
            int server;
            bool anybody = false;

            if (!s->inhabited[h])
                continue;
            for (uint32_t o = 0; o < s->fleet.hosts; o++)
                anybody |=
                    s->inhabited[o] && ((s->behind[h] && !s->behind[o]) ||
                                        (s->behind[h] == s->behind[o] && has_chunk(s, o, c)));
            server = mu_recovery_server(p, h, c, p->host_turn[h]);
            if (has_chunk(s, h, c) || !anybody) {
                assert_int_equal(server, MU_RECOVERY_NOBODY);
                continue;
            }
            assert_true(server >= 0 && (uint32_t)server != h && s->inhabited[server]);
            assert_true((s->behind[h] && !s->behind[server]) ||
                        (s->behind[h] == s->behind[server] && has_chunk(s, (uint32_t)server, c)));
            if (!s->behind[h]) { /* both sides must come to the same, and so must all who fetch */
                assert_true(first == MU_RECOVERY_NOBODY || first == server);
                first = server;
            }
            assert_int_equal(mu_recovery_server(p, h, c, s->turn + 1), MU_RECOVERY_NOBODY);
        }
    }
}

static void check_deals_of_turns(const struct scene *s, const struct mu_recovery_plan *p)
{
    const uint32_t size = s->roll.size;
    const struct mu_crew crew = mu_recovery_crew(size, below(size + 2), s->shards, s->dedicated);
    struct mu_shard_set all = {{0}};

    assert_true(crew.count >= 1 && crew.count <= s->shards);
    assert_true(crew.first + crew.count <= size && crew.first == (s->dedicated && size > 1));
    for (uint32_t i = 0; i < size; i++) {
        struct mu_shard_set before = mu_recovery_deal(p, s->turn - 1, i, crew, s->shards),
                            now = mu_recovery_deal(p, s->turn, i, crew, s->shards),
                            next = mu_recovery_deal(p, s->turn + 1, i, crew, s->shards),
                            never = mu_recovery_deal(NULL, s->turn, i, crew, s->shards);

        assert_true(mu_shard_set_is_empty(&before) && same(&now, &p->deal[i]) &&
                    same(&next, &never));
        assert_true(i - crew.first < crew.count || mu_shard_set_is_empty(&next));
        add_once(&all, &next);
    }
    assert_int_equal(mu_shard_set_count(&all), s->shards);
}

/* What a rank sees of hosts where nobody lives is chance; nothing may follow from it. */
static void check_the_same_everywhere(struct scene *s, const struct mu_recovery_plan *p)
{
    struct mu_recovery_plan q;

    for (uint32_t h = 0; h < s->fleet.hosts; h++) {
        if (s->inhabited[h])
            continue;
        s->host[h] = (struct mu_host_report){.state = UINT64_MAX};
    }
    make_plan(s, &q);
    assert_true(q.turn == p->turn && q.step == p->step && q.duties == p->duties &&
                same(&q.again, &p->again));
    assert_memory_equal(q.deal, p->deal, s->roll.size * sizeof *q.deal);
    assert_memory_equal(q.counted, p->counted, s->ranks * sizeof *q.counted);
    for (uint32_t h = 0; h < s->fleet.hosts; h++)
        for (uint32_t c = 0; s->inhabited[h] && c < s->chunks; c++)
            assert_int_equal(mu_recovery_server(&q, h, c, q.host_turn[h]),
                             mu_recovery_server(p, h, c, p->host_turn[h]));
    mu_recovery_plan_deinit(&q);
}

static void test_plans(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        static struct scene s;
        struct mu_recovery_plan p;

        make_scene(&s, true);
        make_plan(&s, &p);
        assert_false(p.restart || p.finished);
        check_deals(&s, &p);
        check_the_uncounted(&s, &p);
        check_balance(&s, &p);
        check_servers(&s, &p);
        check_deals_of_turns(&s, &p);
        check_the_same_everywhere(&s, &p);
        mu_recovery_plan_deinit(&p);
        free_scene(&s);
    }
}

/* Deaths follow each other in one turn; whoever is dealt something has begun it, or not. What the
 * living hold stays theirs, and what counted of a dead rank's sum counts as long as its host
 * lives. */
static void let_die(struct scene *s, const struct mu_recovery_plan *p)
{
    uint64_t key[RANKS];
    uint32_t n = 0, victim = below(s->roll.size);

    for (uint32_t i = 0; i < s->roll.size; i++) {
        uint32_t r = s->report[i].rank;
        struct mu_slot_report *slot = slot_of(s, r);
        struct mu_shard_set more = extra_of(s, p, i);

        if (s->behind[s->fleet.home[r]])
            continue;
        for (uint32_t shard = 0; shard < s->shards; shard++) {
            if (!mu_shard_set_has(&more, shard) || below(2))
                continue;
            mu_shard_set_add(&slot->shards, shard);
            mu_shard_set_add(&s->held[r], shard);
        }
    }
    s->lives[s->report[victim].rank] = false;
    slot_of(s, s->report[victim].rank)->adding |= below(2);
    memset(s->inhabited, 0, sizeof s->inhabited);
    for (uint32_t r = 0; r < s->ranks; r++)
        if (s->lives[r]) {
            key[n] = s->key[r];
            s->report[n++] = (struct mu_rank_report){r, MU_RECOVERY_RUNNING, 0};
            s->inhabited[s->fleet.home[r]] = true;
        }
    mu_roll_deinit(&s->roll);
    assert_int_equal(mu_roll_init(&s->roll, s->roll.epoch + 1, key, n), MU_OK);
}

static bool somebody_is_ahead(const struct scene *s)
{
    for (uint32_t h = 0; h < s->fleet.hosts; h++)
        if (s->inhabited[h] && !s->behind[h])
            return true;
    return false;
}

static void test_deaths_in_a_row(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS / 4; i++) {
        static struct scene s;
        struct mu_recovery_plan p;

        make_scene(&s, false);
        make_plan(&s, &p);
        while (s.roll.size > 1) {
            struct mu_recovery_plan q;

            let_die(&s, &p);
            if (!somebody_is_ahead(&s))
                break;
            make_plan(&s, &q);
            check_deals(&s, &q);
            for (uint32_t r = 0; r < s.ranks; r++)
                if (!mu_shard_set_is_empty(&p.counted[r]) && s.inhabited[s.fleet.home[r]])
                    assert_true(same(&p.counted[r], &q.counted[r]));
            mu_recovery_plan_deinit(&p);
            p = q;
        }
        mu_recovery_plan_deinit(&p);
        free_scene(&s);
    }
}

static void test_phases_and_duties(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS / 4; i++) {
        static struct scene s;
        uint32_t phases[3] = {0};
        int64_t newest = INT64_MIN;
        struct mu_recovery_plan p;

        make_scene(&s, true);
        for (uint32_t r = 0; r < s.roll.size; r++) {
            s.report[r].phase = below(8) ? (uint32_t)i % 3 : below(3);
            phases[s.report[r].phase]++;
            newest = s.report[r].duties > newest ? s.report[r].duties : newest;
        }
        make_plan(&s, &p);
        assert_int_equal(p.restart, phases[MU_RECOVERY_STARTING] == s.roll.size);
        assert_int_equal(p.finished, phases[MU_RECOVERY_FINISHED] == s.roll.size);
        assert_true(p.duties == newest);
        mu_recovery_plan_deinit(&p);
        free_scene(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_deaths_in_a_row),
        cmocka_unit_test(test_phases_and_duties),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
