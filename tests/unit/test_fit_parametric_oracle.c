/* The global minimum, against the best of L-BFGS from 4,500 starts (SciPy; fit_lbfgs.py in
 * tests/oracle/ made fit_sets.csv and fit_lbfgs.json): never above it, on any set, for any
 * objective. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "orchestrator/fit/parametric.h"
#include "tests/support/fit_points.h"

static const struct mu_objective objectives[] = {
    {MU_OBJECTIVE_HUBER, 1e-3}, {.kind = MU_OBJECTIVE_ABSOLUTE}, {.kind = MU_OBJECTIVE_SQUARES}};
static const char *const words[] = {"huber", "absolute", "squares"};
static struct mu_fit_point points[FIT_POINTS];

static FILE *open_oracle(const char *name)
{
    const char *source = getenv("MUSTER_SOURCE");
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/tests/oracle/%s", source == NULL ? "." : source, name);
    file = fopen(path, "r");
    if (file == NULL)
        fail_msg("cannot read %s (MUSTER_SOURCE: where the source is)", path);
    return file;
}

static json_t *read_sets(void)
{
    FILE *file = open_oracle("fit_lbfgs.json");
    json_t *root = json_loadf(file, 0, NULL);

    fclose(file);
    assert_non_null(root);
    assert_non_null(json_object_get(root, "sets"));
    return root;
}

static size_t read_points(const char *set)
{
    FILE *file = open_oracle("fit_sets.csv");
    char line[256], name[32];
    size_t count = 0;

    while (fgets(line, sizeof line, file) != NULL) {
        double n, d, loss;

        if (sscanf(line, "%31[^,],%lf,%lf,%lf", name, &n, &d, &loss) == 4 && strcmp(name, set) == 0)
            points[count++] = fit_point(n, d, loss);
    }
    fclose(file);
    return count;
}

static void check_set(const char *name, size_t count, const json_t *set)
{
    struct mu_parametric *problem;

    assert_int_equal(count, json_integer_value(json_object_get(set, "points")));
    assert_int_equal(mu_parametric_new(points, count, MU_LAW_CHINCHILLA, &problem), MU_OK);
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        const double theirs =
            json_real_value(json_object_get(json_object_get(set, words[o]), "objective"));
        struct mu_law_estimate e;

        assert_true(theirs > 0);
        assert_int_equal(mu_parametric_fit(problem, objectives[o], NULL, NULL, &e), MU_OK);
        if (!(e.objective <= theirs * (1 + 1e-9)))
            fail_msg("%s, %s: %.15g, L-BFGS %.15g", name, words[o], e.objective, theirs);
        if (!e.converged)
            fail_msg("%s, %s: not converged", name, words[o]);
        if (e.objective < theirs * (1 - 1e-6))
            print_message("%s, %s: below L-BFGS by %.2g of it\n", name, words[o],
                          1 - e.objective / theirs);
    }
    mu_parametric_free(problem);
}

static void test_sets_made_for_it(void **state)
{
    json_t *root = read_sets();
    const char *name;
    json_t *set;
    int sets = 0;

    (void)state;
    json_object_foreach(json_object_get(root, "sets"), name, set)
    {
        if (strncmp(name, "epoch-", 6) == 0)
            continue;
        check_set(name, read_points(name), set);
        sets++;
    }
    assert_int_equal(sets, 7);
    json_decref(root);
}

static void test_epoch(void **state)
{
    json_t *root = read_sets();
    const json_t *sets = json_object_get(root, "sets");
    size_t count = fit_points_epoch(points);

    (void)state;
    if (count == 0) {
        json_decref(root);
        print_message("skipped: no epoch_chinchilla.csv in MUSTER_SHARED/data\n");
        skip();
    }
    check_set("epoch-245", count, json_object_get(sets, "epoch-245"));
    count = fit_points_drop_top(points, count, 5);
    check_set("epoch-240", count, json_object_get(sets, "epoch-240"));
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_made_for_it),
        cmocka_unit_test(test_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
