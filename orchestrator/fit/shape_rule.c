#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/shape_rule.h"

enum { NEWTON_STEPS = 100, WIDEST_HEAD = 128 };

static const double same_count = 1e-6; /* relative: N as written against N of the shape */

static double embedding_rows(double context, double vocab, enum mu_count_kind count)
{
    switch (count) {
    case MU_COUNT_ALL:
        return vocab + context;
    case MU_COUNT_NON_EMBEDDING:
        return 0;
    default:
        return vocab;
    }
}

static struct mu_real_shape at_width(const struct mu_shape_rule *rule, double width, double rows)
{
    struct mu_real_shape s = {.width = width, .layers = (double)rule->layers};

    if (!rule->layers) {
        s.layers = fmax(1, width / rule->aspect);
        s.layers_slope = s.layers > 1 ? 1 / rule->aspect : 0;
    }
    s.n_slope = s.layers_slope * (MU_GPT_MATRICES * width + MU_GPT_VECTORS) * width +
                s.layers * (2 * MU_GPT_MATRICES * width + MU_GPT_VECTORS) +
                (MU_GPT_LAST_VECTORS + rows);
    return s;
}

/* N is the sum of its terms: each alone bounds the width from above. */
static double width_above(const struct mu_shape_rule *rule, double n, double rows)
{
    const double of_rows = n / (MU_GPT_LAST_VECTORS + rows), of_blocks = n / MU_GPT_MATRICES;

    if (rule->layers)
        return fmin(of_rows, sqrt(of_blocks / (double)rule->layers));
    return fmin(of_rows, fmin(sqrt(of_blocks), mu_det_pow(of_blocks * rule->aspect, 1.0 / 3)));
}

/* Newton's method from above: N is convex and rises in the width, so each step falls and none goes
 * below the root. */
struct mu_real_shape mu_shape_between(const struct mu_shape_rule *rule, double n,
                                      enum mu_count_kind count)
{
    const double rows = embedding_rows((double)rule->context, (double)rule->vocab, count);
    struct mu_real_shape s = at_width(rule, width_above(rule, n, rows), rows);

    for (int i = 0; i < NEWTON_STEPS; i++) {
        const double over = mu_count_parameters(s.layers, s.width, rows) - n,
                     next = s.width - over / s.n_slope;

        if (!(next < s.width))
            break;
        s = at_width(rule, next, rows);
    }
    return s;
}

double mu_shape_size(const struct mu_gpt_shape *shape, enum mu_count_kind count)
{
    return mu_count_parameters((double)shape->layers, (double)shape->width,
                               embedding_rows((double)shape->context, (double)shape->vocab, count));
}

double mu_shape_recount(const struct mu_shape_rule *rule, double n, enum mu_count_kind from,
                        enum mu_count_kind to)
{
    struct mu_real_shape s;

    if (!rule->known || from == to)
        return n;
    s = mu_shape_between(rule, n, from);
    return mu_count_parameters(s.layers, s.width,
                               embedding_rows((double)rule->context, (double)rule->vocab, to));
}

static struct mu_built built_of_width(const struct mu_shape_rule *rule, uint64_t width,
                                      enum mu_count_kind count)
{
    struct mu_built b = {
        .shape = {.layers = rule->layers,
                  .width = width,
                  .context = rule->context,
                  .vocab = rule->vocab},
        .heads = (uint32_t)(width / rule->head_width),
    };

    if (!b.shape.layers)
        b.shape.layers = (uint64_t)fmax(1, floor((double)width / rule->aspect + 0.5));
    b.n = mu_shape_size(&b.shape, count);
    return b;
}

struct mu_built mu_shape_build(const struct mu_shape_rule *rule, double n, enum mu_count_kind count)
{
    const uint64_t step = rule->width_step ? rule->width_step : rule->head_width;
    uint64_t low = 1, high; /* multiples of the step; N of `high` is above n, or it is the last */
    struct mu_built below, above;

    MU_ASSERT(rule->known && rule->head_width && step % rule->head_width == 0);
    high = UINT32_MAX / (step / rule->head_width);
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;

        if (built_of_width(rule, middle * step, count).n <= n)
            low = middle;
        else
            high = middle;
    }
    below = built_of_width(rule, low * step, count);
    above = built_of_width(rule, high * step, count);
    return n / below.n > above.n / n ? above : below;
}

static bool has_shape(const struct mu_fit_point *p)
{
    return p->shape.layers && p->shape.width && p->shape.context && p->shape.vocab;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Where no point tells its heads. */
static uint64_t head_of_widths(const struct mu_fit_point *points, size_t count)
{
    uint64_t divisor = 0, head = WIDEST_HEAD;

    for (size_t i = 0; i < count; i++)
        divisor = common_divisor(divisor, points[i].shape.width);
    while (divisor % head)
        head--;
    return head;
}

static uint64_t head_of_points(const struct mu_fit_point *points, size_t count, double *scratch)
{
    size_t told = 0;

    for (size_t i = 0; i < count; i++)
        if (points[i].heads && points[i].heads <= points[i].shape.width)
            scratch[told++] = (double)(points[i].shape.width / points[i].heads);
    if (!told)
        return head_of_widths(points, count);
    qsort(scratch, told, sizeof *scratch, compare_doubles);
    return (uint64_t)scratch[(told - 1) / 2];
}

static double median_aspect(const struct mu_fit_point *points, size_t count, double *scratch)
{
    for (size_t i = 0; i < count; i++)
        scratch[i] = (double)points[i].shape.width / (double)points[i].shape.layers;
    qsort(scratch, count, sizeof *scratch, compare_doubles);
    return (scratch[(count - 1) / 2] + scratch[count / 2]) / 2;
}

struct mu_shape_rule mu_shape_rule_of_points(const struct mu_fit_point *points, size_t count)
{
    struct mu_shape_rule rule = {0};
    bool one_depth = true;
    double *scratch;

    for (size_t i = 0; i < count; i++) {
        const struct mu_gpt_shape *s = &points[i].shape, *first = &points[0].shape;

        if (!has_shape(&points[i]) || s->context != first->context || s->vocab != first->vocab)
            return rule;
        one_depth = one_depth && s->layers == first->layers;
    }
    scratch = count ? malloc(count * sizeof *scratch) : NULL;
    if (!scratch)
        return rule;
    rule = (struct mu_shape_rule){
        .known = true,
        .layers = one_depth ? points[0].shape.layers : 0,
        .aspect = one_depth ? 0 : median_aspect(points, count, scratch),
        .head_width = head_of_points(points, count, scratch),
        .context = points[0].shape.context,
        .vocab = points[0].shape.vocab,
    };
    rule.width_step = rule.head_width;
    free(scratch);
    return rule;
}

static bool counts_as(const struct mu_fit_point *p, enum mu_count_kind kind)
{
    const double square = (double)p->shape.width * (double)p->shape.width;
    const double matrices = 12 * (double)p->shape.layers * square; /* as Kaplan et al. count them */

    return has_shape(p) &&
           (fabs(p->n / mu_shape_size(&p->shape, kind) - 1) <= same_count ||
            (kind == MU_COUNT_NON_EMBEDDING && fabs(p->n / matrices - 1) <= same_count));
}

enum mu_count_kind mu_count_of_points(const struct mu_fit_point *points, size_t count)
{
    for (int kind = MU_COUNT_AS_GIVEN + 1; kind < MU_COUNT_KINDS && count; kind++) {
        size_t agree = 0;

        while (agree < count && counts_as(&points[agree], (enum mu_count_kind)kind))
            agree++;
        if (agree == count)
            return (enum mu_count_kind)kind;
    }
    return MU_COUNT_AS_GIVEN;
}
