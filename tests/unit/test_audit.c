/* core/audit: played through for ranks that are right, wrong in the same way each time, or wrong in
 * another way each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/core/audit.h"

enum behaviour { RIGHT, STUBBORN, ERRATIC, BEHAVIOURS };

static struct mu_hash result(enum behaviour b, uint32_t member, uint32_t attempt)
{
    static const struct mu_hash truth = {1, 2};

    if (b == RIGHT)
        return truth;
    return (struct mu_hash){100 + member, b == ERRATIC ? attempt : 0};
}

/* Until there is a verdict; *computed: bitmap of the members that were asked. */
static struct mu_audit_verdict play(const enum behaviour *b, uint32_t members, uint32_t *computed)
{
    struct mu_audit_post post[MU_AUDIT_MEMBERS] = {{0}};

    *computed = 0;
    for (int round = 0; round < 10; round++) {
        struct mu_audit_verdict v = mu_audit_decide(post, members);

        if (v.kind != MU_AUDIT_OPEN)
            return v;
        assert_true(v.members != 0 && v.members < 1u << members);
        *computed |= v.members;
        for (uint32_t i = 0; i < members; i++)
            if (v.members >> i & 1) {
                assert_true(post[i].count < MU_AUDIT_TRIES);
                post[i].hash[post[i].count] = result(b[i], i, post[i].count);
                post[i].count++;
            }
    }
    fail_msg("no verdict");
    return mu_audit_decide(post, members);
}

static void three(void **state)
{
    (void)state;
    for (int a = 0; a < BEHAVIOURS; a++)
        for (int b = 0; b < BEHAVIOURS; b++)
            for (int c = 0; c < BEHAVIOURS; c++) {
                const enum behaviour all[3] = {(enum behaviour)a, (enum behaviour)b,
                                               (enum behaviour)c};
                uint32_t computed;
                struct mu_audit_verdict v = play(all, 3, &computed);

                if (a == RIGHT && b == RIGHT) {
                    assert_int_equal(v.kind, MU_AUDIT_PASSED);
                    assert_int_equal(computed, 3); /* the third is not troubled */
                } else if (c == RIGHT && (a == RIGHT || b == RIGHT)) {
                    assert_int_equal(v.kind, MU_AUDIT_WRONG);
                    assert_int_equal(v.member, a == RIGHT ? 1 : 0);
                } else {
                    assert_int_equal(v.kind, MU_AUDIT_DISPUTED);
                }
            }
}

static void two(void **state)
{
    (void)state;
    for (int a = 0; a < BEHAVIOURS; a++)
        for (int b = 0; b < BEHAVIOURS; b++) {
            const enum behaviour all[2] = {(enum behaviour)a, (enum behaviour)b};
            uint32_t computed;
            struct mu_audit_verdict v = play(all, 2, &computed);

            if (a == RIGHT && b == RIGHT)
                assert_int_equal(v.kind, MU_AUDIT_PASSED);
            else if ((a == ERRATIC) != (b == ERRATIC)) {
                assert_int_equal(v.kind, MU_AUDIT_WRONG);
                assert_int_equal(v.member, a == ERRATIC ? 0 : 1);
            } else
                assert_int_equal(v.kind, MU_AUDIT_DISPUTED);
        }
}

/* Computed right for the comparison, but added wrong after a repair: the others agree with the
 * first. */
static void a_change_of_mind_alone(void **state)
{
    for (uint32_t members = 2; members <= 3; members++) {
        struct mu_audit_post post[MU_AUDIT_MEMBERS] = {{.count = 2, .hash = {{1, 2}, {1, 3}}},
                                                       {.count = 2, .hash = {{1, 2}, {1, 2}}},
                                                       {.count = 1, .hash = {{1, 2}}}};
        struct mu_audit_verdict v = mu_audit_decide(post, members);

        assert_int_equal(v.kind, MU_AUDIT_WRONG);
        assert_int_equal(v.member, 0);
    }
    (void)state;
}

static void every_shard_has_its_turn(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 256; shards *= 2) {
        bool seen[256] = {false};
        uint32_t different = 0;

        for (int64_t step = 0; step < 20 * shards; step++) {
            uint32_t shard = mu_audit_shard(step, shards);

            assert_true(shard < shards);
            different += !seen[shard];
            seen[shard] = true;
        }
        assert_int_equal(different, shards);
    }
}

static void due_after_every_so_many_steps(void **state)
{
    (void)state;
    assert_false(mu_audit_is_due(0, 0));
    assert_true(mu_audit_is_due(0, 1));
    assert_false(mu_audit_is_due(3, 5));
    assert_true(mu_audit_is_due(4, 5));
    assert_true(mu_audit_is_due(9, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three),
        cmocka_unit_test(two),
        cmocka_unit_test(a_change_of_mind_alone),
        cmocka_unit_test(every_shard_has_its_turn),
        cmocka_unit_test(due_after_every_so_many_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
