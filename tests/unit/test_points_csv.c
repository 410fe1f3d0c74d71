/* Points from CSV: which column is what, units, what is derived, which rows are bad, and how curves
 * and clusters come about. Expected numbers are written out or follow from C = 6 N D. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/points/cell.h"
#include "orchestrator/points/points_csv.h"
#include "orchestrator/points/table_csv.h"

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

static enum mu_status parse_bytes(const char *text, size_t size)
{
    char *copy = malloc(size + (size == 0)); /* of exact size: reading one byte more is seen */
    enum mu_status st;

    assert_non_null(copy);
    memcpy(copy, text, size);
    mu_points_free(&points);
    st = mu_points_parse(&request, copy, size, &points, &found);
    free(copy);
    return st;
}

static enum mu_status parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void check_point(size_t i, double n, double d, double c, double loss)
{
    const struct mu_fit_point *p = &points.point[i];

    assert_true(i < points.count);
    if (!(fabs(p->n / n - 1) < 1e-14 && fabs(p->d / d - 1) < 1e-14 && fabs(p->c / c - 1) < 1e-14 &&
          fabs(p->loss / loss - 1) < 1e-14))
        fail_msg("point %zu: %.17g %.17g %.17g %.17g", i, p->n, p->d, p->c, p->loss);
}

static bool noted(const char *text)
{
    for (size_t i = 0; i < found.notes; i++)
        if (strstr(found.note[i], text))
            return true;
    return false;
}

static void test_numbers_in_cells(void **state)
{
    static const struct {
        const char *text;
        int exponent;
        double value;
    } good[] = {
        {"70B", 0, 70e9},  {"1.4T", 0, 1.4e12}, {" 1.4 t ", 0, 1.4e12}, {"512k", 0, 512e3},
        {"6e18", 0, 6e18}, {".5M", 0, .5e6},    {"1.3", 9, 1.3e9},      {"+3", 0, 3},
        {"0", 0, 0},       {"-2", 0, -2},       {"70.6", 6, 70.6e6},    {"0.097B", 9, .097e9},
    };
    static const struct {
        const char *text;
        int exponent;
    } bad[] = {
        {"", 0},      {" ", 0},  {"nan", 0},  {"inf", 0},   {"diverged", 0}, {"1,000", 0},
        {"1_000", 0}, {"7M", 9}, {"6e3B", 0}, {"1e999", 0}, {"1e-999", 0},   {"B", 0},
        {"0x10", 0},  {"5L", 0}, {"1 2", 0},  {"--1", 0},   {"1e", 0},       {"$5", 0},
    };
    double value;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *why = mu_cell_number(good[i].text, good[i].exponent, &value);

        if (why || value < good[i].value || value > good[i].value)
            fail_msg("'%s': %s, %.17g", good[i].text, why ? why : "", value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!mu_cell_number(bad[i].text, bad[i].exponent, &value))
            fail_msg("'%s' is %.17g", bad[i].text, value);
}

static void test_what_is_shown_is_utf8_and_short(void **state)
{
    char copy[6];

    (void)state;
    assert_string_equal(mu_cell_show("a\x1b[2Jb\xff").text, "'a?[2Jb?'");
    assert_string_equal(mu_cell_show("caf\xc3\xa9").text, "'caf\xc3\xa9'");
    mu_cell_copy(copy, sizeof copy, "caf\xc3\xa9s"); /* five bytes fit: the whole character */
    assert_string_equal(copy, "caf\xc3\xa9");
    mu_cell_copy(copy, sizeof copy, "cafe\xc3\xa9"); /* its half would not */
    assert_string_equal(copy, "cafe");
    assert_int_equal(strlen(mu_cell_show("0123456789012345678901234567890123456789x").text), 45);
}

static void test_usual_heads_are_found(void **state)
{
    static const char *const heads[] = {
        "N,D,loss",
        "params,tokens,loss",
        "Model Size,Training Tokens,Loss",
        "model_size,train_tokens,final_loss",
        "num_params,num_tokens,val_loss",
        "\"Parameters\",\"Dataset Size\",\"Validation Loss\"",
        "non_embedding_params,D,eval/loss",
        "n_params;n_tokens;test_loss",
        "NumParams\tTrainTokens\tvalidLoss",
        "size,data,valid_loss",
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const char *sep = strchr(heads[i], ';') ? ";" : strchr(heads[i], '\t') ? "\t" : ",";

        snprintf(text, sizeof text, "%s\n7e7%s14e8%s3.5\n", heads[i], sep, sep);
        if (parse(text) != MU_OK)
            fail_msg("%s", heads[i]);
        check_point(0, 7e7, 14e8, 6 * 7e7 * 14e8, 3.5);
        assert_string_equal(found.derived, "C = 6 N D");
        assert_true(noted("separated by") == (*sep != ','));
    }
}

static void test_the_third_is_derived(void **state)
{
    (void)state;
    assert_int_equal(parse("Model Size,Training FLOP,loss\n1e9,6e19,2.5\n"), MU_OK);
    check_point(0, 1e9, 1e10, 6e19, 2.5);
    assert_string_equal(found.derived, "D = C / (6 N)");
    assert_int_equal(parse("tokens,compute,loss\n1e10,6e19,2.5\n"), MU_OK);
    check_point(0, 1e9, 1e10, 6e19, 2.5);
    assert_string_equal(found.derived, "N = C / (6 D)");
    assert_int_equal(parse("N,D,C,loss\n1e9,1e10,7e19,2.5\n"), MU_OK);
    check_point(0, 1e9, 1e10, 7e19, 2.5);
    assert_string_equal(found.derived, "");

    /* 12 L d T = 12 * 2 * 8 * 64 = 12288; 6 N + that = 72288 at N = 10000 */
    request.flops = MU_FLOPS_6N_ATTENTION;
    assert_int_equal(parse("N,D,loss,layers,width,ctx,vocab\n1e4,1e6,2.5,2,8,64,256\n"), MU_OK);
    check_point(0, 1e4, 1e6, 72288e6, 2.5);
    assert_int_equal(points.point[0].shape.context, 64);
    assert_int_equal(parse("N,C,loss,layers,width,ctx,vocab\n1e4,72288e6,2.5,2,8,64,256\n"), MU_OK);
    check_point(0, 1e4, 1e6, 72288e6, 2.5);
    assert_int_equal(parse("D,C,loss,layers,width,ctx,vocab\n1e6,72288e6,2.5,2,8,64,256\n"), MU_OK);
    check_point(0, 1e4, 1e6, 72288e6, 2.5);
    /* attention alone costs more than this */
    assert_int_equal(parse("D,C,loss,layers,width,ctx,vocab\n1e6,1e9,2.5,2,8,64,256\n"), MU_FAILED);
    assert_int_equal(parse("N,D,loss,layers,width\n1e4,1e6,2.5,2,8\n"), MU_USAGE);
    assert_int_equal(parse("N,D,C,loss\n1e4,1e6,1e11,2.5\n"), MU_OK);
}

static void test_units_in_heads(void **state)
{
    static const struct {
        const char *head;
        const char *n, *d;
    } rows[] = {
        {"Params (B),Tokens [M],loss", "0.07", "1400"},
        {"params_M,tokens_B,loss", "70", "1.4"},
        {"parameters in millions,tokens in trillions,loss", "70", "0.0014"},
        {"N (10^6),D (1e9),loss", "70", "1.4"},
        {"N (params),D (tokens),loss (nats)", "70M", "1.4b"},
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "%s\n%s,%s,3.5\n", rows[i].head, rows[i].n, rows[i].d);
        if (parse(text) != MU_OK)
            fail_msg("%s", rows[i].head);
        check_point(0, 7e7, 14e8, 6 * 7e7 * 14e8, 3.5);
    }
    assert_int_equal(parse("N,Compute (PF-days),loss\n1,1,1\n"), MU_USAGE);
    assert_int_equal(parse("N,D,Loss (bits)\n1,1,1\n"), MU_USAGE);
    assert_int_equal(parse("N,d_k,loss\n1,1,1\n"), MU_USAGE); /* a width, not tokens */
    request.column[MU_COLUMN_n] = "Params (B)";
    assert_int_equal(parse("N,Params (B),D,loss\n1,2,3,4\n"), MU_OK);
    check_point(0, 2e9, 3, 36e9, 4);
    request.column[MU_COLUMN_n] = "Params (good)";
    assert_int_equal(parse("N,Params (good),D,loss\n1,2,3,4\n"), MU_OK);
    check_point(0, 2, 3, 36, 4);
    assert_true(noted("plain numbers"));
}

static void test_the_better_kind_is_taken_and_told(void **state)
{
    (void)state;
    assert_int_equal(parse("N,D,train_loss,loss,val_loss\n1,2,3,4,5\n"), MU_OK);
    assert_string_equal(found.column[MU_COLUMN_loss], "val_loss");
    assert_true(noted("loss: 'val_loss' was taken before"));
    assert_int_equal(parse("N,D,train_loss\n1e8,2e9,3\n"), MU_OK);
    assert_int_equal(found.notes, 0);
    assert_int_equal(parse("N,params,D,loss\n1,2,3,4\n"), MU_USAGE);
    request.column[MU_COLUMN_n] = "params";
    assert_int_equal(parse("N,params,D,loss\n1,2,3,4\n"), MU_OK);
    check_point(0, 2, 3, 36, 4);
    request.column[MU_COLUMN_n] = "PARAMS"; /* case, spaces and punctuation do not matter */
    assert_int_equal(parse("N,params,D,loss\n1,2,3,4\n"), MU_OK);
    request.column[MU_COLUMN_n] = "parms";
    assert_int_equal(parse("N,params,D,loss\n1,2,3,4\n"), MU_USAGE);
    request.column[MU_COLUMN_n] = "N";
    assert_int_equal(parse("n,N,D,loss\n1,2,3,4\n"), MU_OK);
    check_point(0, 2, 3, 36, 4);
    request.column[MU_COLUMN_n] = "tokens"; /* then it is not D as well */
    assert_int_equal(parse("tokens,loss\n1,2\n"), MU_USAGE);
    request.column[MU_COLUMN_n] = NULL;
    assert_int_equal(parse("N,D,loss,loss\n1,2,3,4\n"), MU_USAGE);
    assert_int_equal(parse("N,N,D,loss,other,other\n1,2,3,4,5,6\n"), MU_USAGE);
    assert_int_equal(parse("N,D,loss,other,other\n1,2,3,4,5\n"), MU_OK);
}

static void test_a_missing_unit_is_suspected(void **state)
{
    (void)state;
    assert_int_equal(parse("params,tokens,loss\n7,140e9,2\n70,1.4e12,2\n"), MU_OK);
    assert_true(noted("parameters are at most 70: is a unit missing?"));
    assert_int_equal(parse("params,tokens,loss\n7e9,300,2\n"), MU_OK);
    assert_true(noted("training tokens are at most 300"));
    assert_int_equal(parse("N,D,C,loss\n1e9,1e10,60,2\n"), MU_OK); /* in units of 1e18 */
    assert_true(noted("training FLOPs are 1e-18 to 1e-18 times 6 N D"));
    assert_int_equal(parse("N,D,C,loss\n1e9,1e10,9e19,2\n"), MU_OK);
    assert_int_equal(found.notes, 0);
}

static void test_a_column_can_be_none(void **state)
{
    (void)state;
    assert_int_equal(parse("N,D,loss,weight\n1,2,3,heavy\n"), MU_FAILED);
    request.column[MU_COLUMN_weight] = "";
    assert_int_equal(parse("N,D,loss,weight\n1,2,3,heavy\n"), MU_OK);
    assert_true(points.point[0].weight == 1);
}

static const char results[] =
    "trial,trunk,seed,status,params_nonemb_head,params_nonemb,params_all,layers,width,heads,"
    "context,vocab,tokens,flops,loss\n"
    "t1,a,1,done,10000,8000,11000,2,8,1,64,256,1e6,72288e6,3.1\n"
    "t2,a,1,done,10000,8000,11000,2,8,1,64,256,2e6,144576e6,3.0\n"
    "t3,b,2,failed,10000,8000,11000,2,8,1,64,256,2e6,144576e6,\n"
    "t4,b,2,done,10000,8000,11000,2,8,1,64,256,2e6,144576e6,3.01\n";

static void test_results_of_a_sweep(void **state)
{
    (void)state;
    assert_int_equal(parse(results), MU_OK);
    assert_int_equal(points.count, 3);
    assert_int_equal(found.rows, 4);
    assert_int_equal(found.not_done, 1);
    assert_int_equal(found.bad, 0);
    check_point(0, 1e4, 1e6, 72288e6, 3.1);
    check_point(2, 1e4, 2e6, 144576e6, 3.01);
    assert_int_equal(points.clusters, 2);
    assert_string_equal(points.cluster_kind, "trunk");
    assert_int_equal(points.point[0].cluster, points.point[1].cluster);
    assert_int_not_equal(points.point[0].cluster, points.point[2].cluster);
    assert_int_equal(points.point[0].seed, 0);
    assert_int_equal(points.point[2].seed, 1);
    assert_int_equal(found.seeds, 2);
    assert_int_equal(found.curves, 0);
    assert_int_equal(points.point[2].line, 5);
    assert_int_equal(points.point[0].heads, 1);
    assert_int_equal(points.point[0].shape.layers, 2);
    assert_int_equal(points.point[0].shape.vocab, 256);
    for (size_t i = 0; i < 3; i++)
        assert_true(points.point[i].end && points.point[i].curve == MU_FIT_NONE);
}

static void test_bad_rows(void **state)
{
    static const char *const bad[] = {
        "0,2,3",   "-1,2,3",     "nan,2,3",     "1,inf,3",       "1,2,diverged",
        "1,2,0",   "1,2,-3",     "1,2,",        ",2,3",          "1,2",
        "1,2,3,4", "1,2,\"3\"x", "1,2,3\"",     "1,2,\"3",       "1,2,1e999",
        "1,2,NaN", "1,2,1\\,5",  "\"1,5\",2,3", "1e300,1e300,3", "1e-300,1e-300,1"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "N,D,loss\n1,2,3\n%s\n4,5,6\n", bad[i]);
        request.skip_bad = false;
        if (parse(text) != MU_FAILED)
            fail_msg("taken: %s", bad[i]);
        assert_null(points.point);
        request.skip_bad = true;
        if (parse(text) != MU_OK || points.count != 2 || found.bad != 1 || found.rows != 3)
            fail_msg("%s: %zu points, %zu bad of %zu", bad[i], points.count, found.bad, found.rows);
        check_point(1, 4, 5, 120, 6);
        assert_int_equal(points.point[1].line, 4);
    }
    assert_int_equal(parse("N,D,loss\n1,2,nan\n"), MU_FAILED);
    assert_int_equal(parse("N,D,loss\n"), MU_FAILED);
    assert_int_equal(parse(""), MU_FAILED);
    assert_int_equal(parse("N,D,\"loss\n1,2,3\n"), MU_FAILED);
    assert_int_equal(parse("1,2,3\n4,5,6\n"), MU_USAGE);
}

static void test_forms_of_text(void **state)
{
    static const char zero[] = "N,D,loss\n1,2,3\n1,\0002,3\n";

    (void)state;
    assert_int_equal(
        parse("\xEF\xBB\xBF# made by hand\r\n\r\nN,D,loss,\"a \"\"note\"\"\"\r\n"
              "1,2,3,\"two\r\nlines, one cell\"\r\n  \r\n,,,\r\n#4,4,4,x\r\n 5 , 6,7,"),
        MU_OK);
    assert_int_equal(points.count, 2);
    assert_int_equal(points.point[0].line, 4);
    assert_int_equal(points.point[1].line, 9);
    check_point(1, 5, 6, 180, 7);
    assert_true(noted("begin with #: 2"));
    assert_int_equal(parse("N,D,loss\r1,2,3\r#\r4,5,6"), MU_OK); /* an old Macintosh */
    assert_int_equal(points.count, 2);
    assert_int_equal(points.point[1].line, 4);
    assert_int_equal(parse("N;D;loss\n1;2;3,500\n"), MU_FAILED); /* or 3500 */
    assert_int_equal(parse("\"N\";D;loss;\"a, b, c, d, e\"\n1;2;3;\n"), MU_OK);
    assert_int_equal(parse("N,D,loss\n1,2,3,,\n"), MU_OK); /* nothing is lost with them */
    assert_int_equal(parse("N,D,loss,\xe9t\xe9\n1,2,3,\xff\n"), MU_OK);
    request.column[MU_COLUMN_seed] = "\xe9t\xe9";
    assert_int_equal(parse("N,D,loss,\xe9t\xe9\n1,2,3,\xff\n"), MU_OK);
    assert_string_equal(found.column[MU_COLUMN_seed], "?t?");
    request.column[MU_COLUMN_seed] = NULL;
    assert_int_equal(parse_bytes("\xFF\xFEN\0,\0", 6), MU_FAILED);
    request.skip_bad = true;
    assert_int_equal(parse_bytes(zero, sizeof zero - 1), MU_OK);
    assert_int_equal(points.count, 1);
    assert_int_equal(found.bad, 1);
}

static void test_limits(void **state)
{
    const size_t size = 3 * MU_CSV_ROW_BYTES;
    char *text = malloc(size);
    int at;

    (void)state;
    assert_non_null(text);
    request.skip_bad = true;
    at = sprintf(text, "N,D,loss\n1,2,\"");
    memset(text + at, 'x', size - (size_t)at);
    for (int i = at; i + 8 < (int)size; i += 64)
        text[i] = '\n';
    memcpy(text + size - 8, "\n4,5,6\n ", 8);
    assert_int_equal(parse_bytes(text, size), MU_OK); /* a quote that is never closed */
    assert_int_equal(points.count, 1);
    check_point(0, 4, 5, 120, 6);
    assert_int_equal(found.bad + 1, found.rows);

    at = sprintf(text, "N,D,loss,note\n1,2,3,\"");
    memset(text + at, 'x', MU_CSV_ROW_BYTES);
    at += MU_CSV_ROW_BYTES;
    at += sprintf(text + at, "\"\n4,5,6,\n");
    assert_int_equal(parse_bytes(text, (size_t)at), MU_OK);
    assert_int_equal(points.count, 1);
    assert_int_equal(found.bad, 1);

    at = sprintf(text, "N,D,loss");
    for (int i = 3; i < MU_CSV_COLUMNS; i++)
        at += sprintf(text + at, ",c%d", i);
    at += sprintf(text + at, "\n1,2,3");
    for (int i = 3; i < MU_CSV_COLUMNS; i++)
        text[at++] = ',';
    assert_int_equal(parse_bytes(text, (size_t)at), MU_OK);
    text[at++] = ',';
    assert_int_equal(parse_bytes(text, (size_t)at), MU_FAILED); /* one cell too many */
    free(text);
}

static void test_curves(void **state)
{
    static const char text[] = "run,N,D,loss\na,1,30,3\nb,2,10,5\na,1,10,4\na,1,20,3.5\nb,2,20,4\n";
    static const char log[] = "run,step,N,D,loss\na,1,1,10,4\na,2,1,20,3\nb,1,2,10,5\n";
    static const char lone[] = "run,step,N,D,loss\na,1,1,10,4\nb,1,2,10,5\na,2,2,20,3\n";

    (void)state;
    assert_int_equal(parse(text), MU_OK); /* nothing says that they are no runs of their own */
    assert_int_equal(found.curves, 0);
    assert_int_equal(points.clusters, 5);
    request.column[MU_COLUMN_curve] = "run";
    assert_int_equal(parse(text), MU_OK);
    assert_int_equal(found.curves, 2);
    assert_int_equal(points.count, 5);
    assert_int_equal(points.clusters, 2);
    assert_string_equal(points.cluster_kind, "run");
    for (size_t i = 0; i < 5; i++) {
        static const double d[] = {10, 20, 30, 10, 20};

        assert_true(points.point[i].d >= d[i] && points.point[i].d <= d[i]);
        assert_int_equal(points.point[i].curve, i / 3);
        assert_int_equal(points.point[i].end, i == 2 || i == 4);
    }
    request.column[MU_COLUMN_curve] = NULL;
    assert_int_equal(parse(log), MU_OK);
    assert_int_equal(found.curves, 2);
    assert_int_equal(parse(lone), MU_OK); /* sizes differ: no curve after all */
    assert_int_equal(found.curves, 0);
    assert_string_equal(found.column[MU_COLUMN_curve], "");
    assert_true(noted("rows are points of their own"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(points.point[i].line, i + 2);
    request.column[MU_COLUMN_curve] = "run";
    assert_int_equal(parse(lone), MU_FAILED);
    request.column[MU_COLUMN_curve] = "";
    assert_int_equal(parse(log), MU_OK);
    assert_int_equal(found.curves, 0);
}

static void test_a_curve_with_bad_rows_has_no_end(void **state)
{
    (void)state;
    request.column[MU_COLUMN_curve] = "run";
    request.skip_bad = true;
    assert_int_equal(parse("run,N,D,loss\na,1,10,4\na,1,20,nan\nb,2,10,4\nb,2,20,3\nc,1,1,1\nc,1,1,"
                           "2\n,5,5,5\n"),
                     MU_OK);
    assert_int_equal(found.bad, 2);
    assert_int_equal(points.count, 5);
    for (size_t i = 0; i < points.count; i++)
        assert_int_equal(points.point[i].end,
                         points.point[i].line == 5 || points.point[i].line == 8);
    assert_true(noted("2 curves have no final loss"));
    assert_int_equal(parse("run,N,D,loss\na,1,10,4\na,1,20,\na,1,30,3\nb,1,10,4\nb,1,x,3\n"),
                     MU_OK);
    assert_true(points.point[1].end && !points.point[2].end); /* D of the one that lacks is known */
    assert_true(noted("1 curves have no final loss"));
    assert_int_equal(parse("run,N,D,loss\na,1,10,4\na,1,\"20\"x,3\n"), MU_OK);
    assert_true(noted("1 rows cannot be read"));
}

static void test_many_names(void **state)
{
    enum { NAMES = 1000 };
    static char text[40 * NAMES] = "N,D,loss,seed\n";
    size_t used = strlen(text);

    (void)state;
    for (int i = 0; i < 2 * NAMES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "1,2,3,s%d\n", i % NAMES);
    assert_int_equal(parse(text), MU_OK);
    assert_int_equal(found.seeds, NAMES);
    for (uint32_t i = 0; i < 2 * NAMES; i++)
        assert_int_equal(points.point[i].seed, i % NAMES);
}

static void test_clusters_groups_seeds_and_repeated_data(void **state)
{
    (void)state;
    assert_int_equal(parse("N,D,loss,cluster,group,seed,unique,weight\n"
                           "1,2,3,x,low,s7,1,0.5\n1,2,3,,high,s7,,\n1,2,3,x,low,s9,2,0\n"
                           "1,2,3,,,,2,1\n"),
                     MU_OK);
    assert_int_equal(points.clusters, 3);
    assert_int_equal(points.point[2].cluster, points.point[0].cluster);
    assert_int_not_equal(points.point[1].cluster, points.point[3].cluster);
    assert_int_equal(points.point[0].group, 0);
    assert_int_equal(points.point[1].group, 1);
    assert_int_equal(points.point[2].group, 0);
    assert_true(points.point[3].group == MU_FIT_NONE);
    assert_int_equal(points.point[2].seed, 1);
    assert_true(points.point[3].seed == MU_FIT_NONE);
    assert_true(points.point[0].unique == 1 && points.point[1].unique == 2);
    assert_true(points.point[0].weight == .5 && points.point[1].weight == 1 &&
                points.point[2].weight == 0);
    assert_int_equal(parse("N,D,loss,unique\n1,2,3,2.5\n"), MU_FAILED);
    assert_int_equal(parse("N,D,loss,epochs\n1,8,3,4\n1,8,3,0.5\n"), MU_OK);
    assert_true(points.point[0].unique == 2 && points.point[1].unique == 8);
    request.column[MU_COLUMN_cluster] = "loss";
    assert_int_equal(parse("N,D,loss,trunk\n1,8,3,4\n1,8,3,5\n"), MU_OK);
    assert_int_equal(points.clusters, 1);
    assert_string_equal(points.cluster_kind, "loss");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numbers_in_cells),
        TEST(test_what_is_shown_is_utf8_and_short),
        TEST(test_usual_heads_are_found),
        TEST(test_the_third_is_derived),
        TEST(test_units_in_heads),
        TEST(test_the_better_kind_is_taken_and_told),
        TEST(test_a_missing_unit_is_suspected),
        TEST(test_a_column_can_be_none),
        TEST(test_results_of_a_sweep),
        TEST(test_bad_rows),
        TEST(test_forms_of_text),
        TEST(test_limits),
        TEST(test_curves),
        TEST(test_a_curve_with_bad_rows_has_no_end),
        TEST(test_many_names),
        TEST(test_clusters_groups_seeds_and_repeated_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
