/* fit.json: exact numbers, null for what is not known, and all of it described by the schema. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/report_files.h"

static json_t *json_of(const struct fixture *f)
{
    char *text = written(mu_report_json, f);
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);

    if (!json)
        fail_msg("%s", error.text);
    free(text);
    return json;
}

/* "law.parameters.A", "scaling.isoflop.targets.0.n" */
static json_t *at(json_t *json, const char *path)
{
    char name[64];

    for (const char *c = path, *end; json && c; c = *end ? end + 1 : NULL) {
        end = strchrnul(c, '.');
        snprintf(name, sizeof name, "%.*s", (int)(end - c), c);
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name))
                                   : json_object_get(json, name);
    }
    if (!json)
        fail_msg("there is no %s", path);
    return json;
}

static void assert_exactly(json_t *json, const char *path, double expected)
{
    double value = json_number_value(at(json, path));

    if (memcmp(&value, &expected, sizeof value) != 0)
        fail_msg("%s is %.17g, not %.17g", path, value, expected);
}

static void test_numbers_are_exact(void **state)
{
    struct fixture *f = fixture_new();
    json_t *json = json_of(f);
    const struct mu_fit_point *p = &f->points.point[5];

    (void)state;
    assert_exactly(json, "law.parameters.A.estimate.value", f->fit->law.theta[1].value);
    assert_exactly(json, "law.parameters.A.estimate.low95", f->fit->law.theta[1].low95);
    assert_exactly(json, "law.estimates.squares.objective", f->fit->law.estimate[2].objective);
    assert_exactly(json, "law.undropped.theta.beta", .453);
    assert_exactly(json, "isoflop.budgets.1.parabola.coefficients.2",
                   f->fit->isoflop.budget[1].q[2]);
    assert_exactly(json, "scaling.parametric.targets.2.n.value", fixture_optimum(5.76e23));
    assert_exactly(json, "envelope.loss.17", f->fit->envelope.loss[17]);
    assert_exactly(json, "points.5.loss", p->loss);
    assert_exactly(json, "points.5.residual", log(p->loss / fixture_loss(p->n, p->d)));
    assert_exactly(json, "disagreements.0.ln_ratio.low95", .01);
    assert_string_equal(json_string_value(at(json, "options.seed")), "18446744073709551615");
    assert_string_equal(json_string_value(at(json, "input.columns.c")), "Training FLOP");
    assert_string_equal(json_string_value(at(json, "input.notes.0")), f->found.note[0]);
    assert_string_equal(json_string_value(at(json, "options.rule_source")), "points");
    assert_string_equal(json_string_value(at(json, "options.count")), "all");
    assert_int_equal(json_array_size(at(json, "points")), f->points.count);
    assert_int_equal(json_array_size(at(json, "scaling.envelope.path")), MU_FIT_PATH);
    assert_true(json_is_true(at(json, "scaling.parametric.targets.2.far")));
    assert_true(json_is_false(at(json, "points.0.used")));
    assert_true(json_is_false(at(json, "scaling.parametric.targets.0.below")));
    assert_true(json_is_null(at(json, "scaling.parametric.targets.0.epochs")));
    json_decref(json);
    fixture_free(f);
}

static void test_small_targets_and_repeated_data(void **state)
{
    struct fixture *f = fixture_new();
    struct mu_fit_optimum *o = &f->fit->scaling[MU_METHOD_ISOFLOP].target[0];
    json_t *json;

    (void)state;
    f->fit->options.law = MU_LAW_DATA_CONSTRAINED;
    f->fit->options.unique = 1e9;
    o->c = 2.9e18; /* the smallest of the points: 6e18 */
    o->d.value = 4e9;
    json = json_of(f);
    assert_true(json_is_true(at(json, "scaling.isoflop.targets.0.below")));
    assert_true(json_is_false(at(json, "scaling.isoflop.targets.1.below")));
    assert_exactly(json, "scaling.isoflop.targets.0.epochs", 4);
    json_decref(json);
    fixture_free(f);
}

static void test_what_is_not_known_is_null(void **state)
{
    struct fixture *f = fixture_new();
    json_t *json = json_of(f);

    (void)state;
    assert_true(json_is_null(at(json, "law.parameters.B.profile.high95")));
    assert_true(json_is_null(at(json, "law.parameters.A.profile")));
    assert_true(json_is_null(at(json, "isoflop.budgets.4.vertex")));
    assert_true(json_is_null(at(json, "conventions.3.a_isoflop")));
    assert_true(json_is_null(at(json, "futures.0.bias")));
    assert_true(json_is_null(at(json, "input.columns.d")));
    assert_true(json_is_null(at(json, "options.unique")));
    assert_true(json_is_null(at(json, "points.0.shape")));
    json_decref(json);
    fixture_free(f);
    f = fixture_refused();
    json = json_of(f);
    assert_true(json_is_null(at(json, "noise.sd")));
    assert_true(json_is_null(at(json, "scaling.parametric.a")));
    assert_string_equal(json_string_value(at(json, "conventions_missing")),
                        "the points have no shapes");
    json_decref(json);
    fixture_free(f);
}

static void test_same_for_any_number_of_threads(void **state)
{
    struct fixture *f = fixture_new();
    char *one = written(mu_report_json, f), *other;

    (void)state;
    f->fit->options.threads += 7;
    other = written(mu_report_json, f);
    assert_string_equal(one, other);
    free(one);
    free(other);
    fixture_free(f);
}

/* Debian's validator (python3-jsonschema). That the schema is strict, and says something of each
 * field, is looked at there too. */
static const char validator[] =
    "import json, sys\n"
    "from jsonschema import Draft202012Validator as V\n"
    "schema, doc = (json.load(open(p)) for p in sys.argv[1:])\n"
    "V.check_schema(schema)\n"
    "errors = list(V(schema).iter_errors(doc))\n"
    "for e in errors[:5]: print(list(e.absolute_path), e.message[:300], file=sys.stderr)\n"
    "def walk(s, path):\n"
    "    if isinstance(s, list):\n"
    "        return [w for x in s for w in walk(x, path)]\n"
    "    if not isinstance(s, dict): return []\n"
    "    found = [path + '.' + k for k, v in s.get('properties', {}).items()\n"
    "             if len(v.get('description', '')) < 4 and 'const' not in v]\n"
    "    if 'properties' in s and s.get('additionalProperties') is not False:\n"
    "        found.append(path + ' is open')\n"
    "    return found + [w for k, v in s.items() for w in walk(v, path + '.' + k)]\n"
    "weak = walk(schema, '')\n"
    "print(*weak, sep='\\n', file=sys.stderr, end='')\n"
    "doc['unheard of'] = 1\n"
    "sys.exit(bool(errors or weak or V(schema).is_valid(doc)))\n";

static void test_schema(void **state)
{
    struct fixture *made[] = {fixture_new(), fixture_refused()};
    const char *source = getenv("MUSTER_SOURCE");
    char command[1000], program[128];
    bool able = system("/usr/bin/python3 -c 'import jsonschema' 2>/dev/null") == 0;

    (void)state;
    snprintf(program, sizeof program, "%s/validate.py", report_root);
    assert_int_equal(mu_file_write_atomically(program, validator, strlen(validator)), MU_OK);
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(mu_report_json(report_path, made[k]->fit, &made[k]->found), MU_OK);
        snprintf(command, sizeof command,
                 "/usr/bin/python3 %s '%s/orchestrator/report/fit.schema.json' %s", program,
                 source ? source : ".", report_path);
        if (able)
            assert_int_equal(system(command), 0);
        fixture_free(made[k]);
    }
    if (!able) {
        print_message("skipped: python3-jsonschema is not installed\n");
        skip();
    }
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_report_root, remove_report_root)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_numbers_are_exact),
        IN_ROOT(test_small_targets_and_repeated_data),
        IN_ROOT(test_what_is_not_known_is_null),
        IN_ROOT(test_same_for_any_number_of_threads),
        IN_ROOT(test_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
