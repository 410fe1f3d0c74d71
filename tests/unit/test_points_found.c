/* What is made of columns and rows that nobody explains: curves among points, laws of one variable,
 * decimal commas, paths as names, and what the user is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/points/heads.h"
#include "orchestrator/points/points_csv.h"

static struct mu_points_request request;
static struct mu_fit_points points;
static struct mu_points_found found;

static int begin(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT); /* refusals are expected here */
    request = (struct mu_points_request){.path = "t.csv", .alone = MU_COLUMNS};
    return 0;
}

static int end(void **state)
{
    (void)state;
    mu_points_free(&points);
    return 0;
}

static enum mu_status parse(const char *text)
{
    mu_points_free(&points);
    return mu_points_parse(&request, text, strlen(text), &points, &found);
}

static bool noted(const char *text)
{
    for (size_t i = 0; i < found.notes; i++)
        if (strstr(found.note[i], text))
            return true;
    return false;
}

static void check_point(size_t i, double n, double d, double c, double loss)
{
    const struct mu_fit_point *p = &points.point[i];

    assert_true(i < points.count);
    if (!(fabs(p->n / n - 1) < 1e-14 && fabs(p->d / d - 1) < 1e-14 && fabs(p->c / c - 1) < 1e-14 &&
          fabs(p->loss / loss - 1) < 1e-14))
        fail_msg("point %zu: %.17g %.17g %.17g %.17g", i, p->n, p->d, p->c, p->loss);
}

static void test_runs_are_curves_beside_steps(void **state)
{
    static const char *const runs[] = {"Name",   "name",       "experiment", "run_name",
                                       "run id", "Experiment", "model",      "config.name"};
    static const char *const steps[] = {"_step", "Step", "global_step", "train/global_step",
                                        "iteration"};
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            snprintf(text, sizeof text,
                     "%s,%s,N,D,loss\na,1,1e6,1e7,4\na,2,1e6,2e7,3\nb,1,2e6,1e7,3.5\n", runs[i],
                     steps[k]);
            assert_int_equal(parse(text), MU_OK);
            if (found.curves != 2 || strcmp(found.column[MU_COLUMN_curve], runs[i]) != 0)
                fail_msg("%s beside %s: %zu curves", runs[i], steps[k], found.curves);
            assert_true(noted("are moments of one loss curve"));
            assert_int_equal(points.clusters, 2);
            assert_true(!points.point[0].end && points.point[1].end && points.point[2].end);
        }
    /* no steps: final losses */
    assert_int_equal(parse("Name,N,D,loss\na,1e6,1e7,4\na,1e6,2e7,3\nb,2e6,1e7,3\n"), MU_OK);
    assert_int_equal(found.curves, 0);
    assert_false(noted("--curve"));
    /* a trial of a sweep is none */
    assert_int_equal(parse("trial,step,N,D,loss\na,1,1e6,1e7,4\na,2,1e6,2e7,3\n"), MU_OK);
    assert_int_equal(found.curves, 0);
}

static void test_the_column_whose_rows_fit_is_taken(void **state)
{
    (void)state;
    /* a run's moments have one size; those of an experiment, which comes first, have two */
    assert_int_equal(parse("experiment,Name,step,N,D,loss\nx,a,1,1e6,1e7,4\nx,a,2,1e6,2e7,3\n"
                           "x,b,1,2e6,1e7,3.9\nx,b,2,2e6,2e7,2.9\n"),
                     MU_OK);
    assert_string_equal(found.column[MU_COLUMN_curve], "Name");
    assert_int_equal(found.curves, 2);
    assert_true(noted("columns that are not used: 'experiment', 'step'"));
    /* a model's final losses at several lengths look like a curve, but each run has its own name */
    assert_int_equal(parse("model,run,step,N,D,loss\ns,a,1,1e6,1e7,4\ns,b,2,1e6,2e7,3\n"), MU_OK);
    assert_int_equal(found.curves, 0);
    assert_int_equal(points.point[1].line, 3);
    assert_false(noted("--curve"));
    assert_true(points.point[0].end && points.point[1].end);
    /* FLOPs of 11 digits give sizes of 124439808 that differ from the twelfth on */
    assert_int_equal(parse("run,step,C,D,loss\na,1000,3.6698792657e17,491520000,4\n"
                           "a,2000,7.3397585314e17,983040000,3\n"
                           "a,3000,1.1009637797e18,1474560000,2.9\n"),
                     MU_OK);
    assert_int_equal(found.curves, 1);
}

static void test_what_may_be_curves_is_asked(void **state)
{
    char text[2000];
    size_t used;

    (void)state;
    assert_int_equal(parse("step,N,D,loss\n1,1e6,1e7,4\n2,1e6,2e7,3\n"), MU_OK);
    assert_true(noted("column of training steps; if they are moments of curves, --curve names"));
    request.column[MU_COLUMN_curve] = ""; /* that is an answer */
    assert_int_equal(parse("step,N,D,loss\n1,1e6,1e7,4\n2,1e6,2e7,3\n"), MU_OK);
    assert_false(noted("--curve"));
    request.column[MU_COLUMN_curve] = NULL;
    assert_int_equal(parse("step,N,D,loss\n1,1e6,1e7,4\n2,2e6,2e7,3\n"), MU_OK);
    assert_false(noted("--curve")); /* a run a size */

    for (int rows = 9; rows <= 10; rows++) {
        used = (size_t)sprintf(text, "N,D,loss\n");
        for (int n = 1; n <= 2; n++)
            for (int d = 1; d <= rows; d++)
                used += (size_t)sprintf(text + used, "%de6,%de7,3\n", n, d);
        assert_int_equal(parse(text), MU_OK);
        assert_int_equal(noted("many have one size"), rows == 10);
    }
}

static void test_a_law_of_one_variable_needs_no_more(void **state)
{
    static const char *const heads[] = {"params", "tokens", "flops"};

    (void)state;
    for (int k = 0; k < 3; k++) {
        const enum mu_column variable = (enum mu_column)(MU_COLUMN_n + k);
        char text[100];

        snprintf(text, sizeof text, "%s,loss\n7e9,3\n8e9,2.5\n", heads[k]);
        request.alone = variable;
        assert_int_equal(parse(text), MU_OK);
        assert_true(points.single);
        check_point(0, k == 0 ? 7e9 : 1, k == 1 ? 7e9 : 1, k == 2 ? 7e9 : 1, 3);
        assert_true(points.point[1].unique >= points.point[1].d &&
                    points.point[1].unique <= points.point[1].d);
        assert_string_equal(found.derived, "");
        assert_int_equal(found.notes, 0); /* of the 1s above all */
        request.alone = MU_COLUMNS;
        assert_int_equal(parse(text), MU_USAGE);
        request.alone = (enum mu_column)(MU_COLUMN_n + (k + 1) % 3);
        assert_int_equal(parse(text), MU_USAGE);
    }
    request.alone = MU_COLUMN_c;
    assert_int_equal(parse("N,D,loss\n1e9,1e10,3\n"), MU_OK); /* C is derived */
    assert_false(points.single);
    check_point(0, 1e9, 1e10, 6e19, 3);
    assert_int_equal(parse("run,step,C,loss\na,1,1e18,3\na,2,2e18,2\n"), MU_OK);
    assert_int_equal(found.curves, 0); /* of which size, nobody knows */
    request.column[MU_COLUMN_curve] = "run";
    assert_int_equal(parse("run,step,C,loss\na,1,1e18,3\na,2,2e18,2\n"), MU_USAGE);
    request.alone = MU_COLUMN_d;
    assert_int_equal(parse("run,step,D,loss\na,1,1e8,3\na,2,2e8,2\n"), MU_OK);
    assert_int_equal(found.curves, 1);
}

static void test_decimal_commas(void **state)
{
    (void)state;
    assert_int_equal(parse("N;D;loss\n0,0967B;1,4T;2,71\n97M;2e12;3\n"), MU_OK);
    check_point(0, .0967e9, 1.4e12, 6 * .0967e9 * 1.4e12, 2.71);
    check_point(1, 97e6, 2e12, 6 * 97e6 * 2e12, 3);
    assert_true(noted("commas in 'loss' are read as decimal commas"));
    assert_int_equal(parse("N\tD\tloss\n1e9\t6,00E+10\t2,500\n1e9\t7,00E+10\t2,41\n"), MU_OK);
    check_point(0, 1e9, 6e10, 36e19, 2.5);
    assert_false(noted("commas in 'N'"));

    assert_int_equal(parse("N;D;loss\n1e9;1e10;2,500\n1e9;1e10;2,411\n"),
                     MU_FAILED); /* thousands? */
    assert_int_equal(parse("N;D;loss\n1e9;1e10;2,5\n1e9;1,000,000;3\n"), MU_FAILED); /* two */
    assert_int_equal(parse("N;D;loss\n1e9;1e10;2,51\n1e9;1e10;2.41\n"), MU_FAILED);  /* both */
    assert_int_equal(parse("N;D;loss\n1e9;1.234,56;2\n1e9;1e10;2\n"), MU_FAILED);    /* both */
    assert_int_equal(parse("N,D,loss\n1e9,1e10,\"2,51\"\n1e9,1e10,3\n"), MU_FAILED);
    assert_int_equal(parse("N;D;loss;note\n1e9;1e10;2,51;a, b, 1,000\n"), MU_OK);
}

static void test_the_last_part_of_a_path_is_a_name(void **state)
{
    (void)state;
    assert_int_equal(parse("model/num_params,train/tokens_seen,train/flops_total,eval.loss,"
                           "train/loss,config.seed\n1e9,1e10,7e19,3,2,5\n"),
                     MU_OK);
    check_point(0, 1e9, 1e10, 7e19, 3);
    assert_string_equal(found.column[MU_COLUMN_loss], "eval.loss");
    assert_string_equal(found.column[MU_COLUMN_seed], "config.seed");
    /* an exact whole match is better, a better kind of loss better still */
    assert_int_equal(parse("x/params,params,D,x/val_loss,loss\n1,2e9,1e10,3,4\n"), MU_OK);
    check_point(0, 2e9, 1e10, 12e19, 3);
    assert_int_equal(parse("N,D,train/lm_loss,eval/c4/loss\n2e9,1e10,3,4\n"), MU_OK);
    check_point(0, 2e9, 1e10, 12e19, 4);
    assert_int_equal(parse("N,D,eval/pile/loss,eval/c4/loss\n2e9,1e10,3,4\n"), MU_USAGE);
    assert_int_equal(parse("model/params_M,train/tokens (B),loss\n2,3,4\n"), MU_OK);
    check_point(0, 2e6, 3e9, 36e15, 4);
    /* ratios, speeds and words that mean much */
    assert_int_equal(mu_head_match(MU_COLUMN_n, "tokens/param").rank, MU_HEAD_NONE);
    assert_int_equal(mu_head_match(MU_COLUMN_d, "FLOPs/token").rank, MU_HEAD_NONE);
    assert_int_equal(mu_head_match(MU_COLUMN_c, "FLOP/s").rank, MU_HEAD_NONE);
    assert_int_equal(mu_head_match(MU_COLUMN_n, "batch.size").rank, MU_HEAD_NONE);
    assert_int_equal(mu_head_match(MU_COLUMN_d, "model/d").rank, MU_HEAD_NONE);
    assert_int_equal(mu_head_match(MU_COLUMN_weight, "loss/weight").rank, MU_HEAD_NONE);
}

static void test_columns_without_use_are_named(void **state)
{
    (void)state;
    assert_int_equal(parse("N,D,loss,lr,,warmup\n1e9,1e10,3,1,2,3\n"), MU_OK);
    assert_true(noted("columns that are not used: 'lr', 'warmup'"));
    assert_int_equal(parse("trial,N,D,loss,train_loss\nx,1e9,1e10,3,2\n"), MU_OK);
    assert_false(noted("not used"));
    assert_int_equal(parse("N,D,loss,a,b,c1,d1,e,f,g,h,i,j,k,m\n1e9,1e10,3,,,,,,,,,,,,\n"), MU_OK);
    assert_true(noted("'a', 'b', 'c1', 'd1', 'e', 'f', 'g', 'h', 'i', 'j' and 2 more"));
}

static void test_runs_of_one_size_are_suspected(void **state)
{
    static const char hyper[] = "is there a hyperparameter";

    (void)state;
    /* two of six are a third */
    assert_int_equal(parse("N,D,loss,lr\n1e9,1e10,3,1\n1e9,1e10,2.9,2\n1e9,2e10,2.8,1\n"
                           "1e9,3e10,2.7,1\n1e9,4e10,2.6,1\n1e9,5e10,2.5,1\n"),
                     MU_OK);
    assert_true(noted("2 of 6 final losses share their N and D with others: is there"));
    assert_int_equal(parse("N,D,loss,lr\n1e9,1e10,3,1\n1e9,1e10,2.9,2\n1e9,2e10,2.8,1\n"
                           "1e9,3e10,2.7,1\n1e9,4e10,2.6,1\n1e9,5e10,2.5,1\n1e9,6e10,2.5,1\n"),
                     MU_OK);
    assert_false(noted(hyper));
    assert_int_equal(parse("N,D,loss,seed\n1e9,1e10,3,1\n1e9,1e10,2.9,2\n"), MU_OK);
    assert_false(noted(hyper));
    assert_int_equal(parse("N,D,loss,seed\n1e9,1e10,3,7\n1e9,1e10,2.9,7\n"), MU_OK);
    assert_true(noted("with others, and their seed: is there"));
    assert_int_equal(parse("N,D,loss,unique\n1e9,1e10,3,1e9\n1e9,1e10,2.9,1e8\n"), MU_OK);
    assert_false(noted(hyper));
    /* moments that are no ends do not count */
    request.column[MU_COLUMN_curve] = "run";
    assert_int_equal(parse("run,N,D,loss\na,1e9,1e10,3\na,1e9,2e10,2.9\nb,1e9,1e10,3\n"), MU_OK);
    assert_false(noted(hyper));
    request.column[MU_COLUMN_curve] = NULL;
    request.alone = MU_COLUMN_c;
    assert_int_equal(parse("C,loss\n1e18,3\n2e18,2.9\n3e18,2.8\n"), MU_OK);
    assert_false(noted(hyper));
    assert_int_equal(parse("C,loss\n1e18,3\n1e18,2.9\n3e18,2.8\n"), MU_OK);
    assert_true(noted("2 of 3 final losses share their C"));
}

static void test_perplexities_are_no_losses(void **state)
{
    (void)state;
    assert_true(mu_head_is_perplexity("Perplexity") && mu_head_is_perplexity("eval/ppl") &&
                mu_head_is_perplexity("val_ppl") && mu_head_is_perplexity("PPL (test)"));
    assert_false(mu_head_is_perplexity("log_ppl") || mu_head_is_perplexity("ln perplexity") ||
                 mu_head_is_perplexity("supply") || mu_head_is_perplexity("apple"));
    assert_int_equal(parse("N,D,ppl\n1e9,1e10,12\n"), MU_USAGE);
    assert_int_equal(parse("N,D,ppl,loss\n1e9,1e10,12,2.48\n"), MU_OK);
    request.column[MU_COLUMN_loss] = "ppl";
    assert_int_equal(parse("N,D,ppl\n1e9,1e10,12\n"), MU_USAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_runs_are_curves_beside_steps),
        TEST(test_the_column_whose_rows_fit_is_taken),
        TEST(test_what_may_be_curves_is_asked),
        TEST(test_a_law_of_one_variable_needs_no_more),
        TEST(test_decimal_commas),
        TEST(test_the_last_part_of_a_path_is_a_name),
        TEST(test_columns_without_use_are_named),
        TEST(test_runs_of_one_size_are_suspected),
        TEST(test_perplexities_are_no_losses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
