/* Starting points of a parametric fit. For fixed exponents a law is linear in E, A and B (variable
 * projection, Golub and Pereyra 1973): non-negative weighted least squares of E + A u + B v against
 * the loss, relative to the loss; a robust objective weighs the points again some times. */
#include <math.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/constrained.h"
#include "orchestrator/fit/parametric_work.h"

enum { SIDE = 32, SIDE_COARSE = 8, SIDE_CONSTRAINED = 10, SIDE_CONSTRAINED_COARSE = 4, SIDES = 32 };
/* Times the polished start's objective. */
#define HOPELESS 3
enum { REWEIGHTS = 5, REWEIGHTS_COARSE = 2, STARTS_COARSE = 3 };
enum { CLOSE = 1 }; /* cells that two starts lie apart, at least */
#define GRID_LOW  .04
#define GRID_HIGH 2.4
/* An absolute value is this far from one near 0, as long as only starts are sought. */
#define GRID_DELTA_LEAST 1e-4

static const double worths[] = {1, 5, 20, 80}, worths_coarse[] = {4, 25};

struct cell {
    double value, amplitude[3];
};

static size_t side_of(enum mu_law_kind law, bool coarse)
{
    if (law == MU_LAW_DATA_CONSTRAINED)
        return coarse ? SIDE_CONSTRAINED_COARSE : SIDE_CONSTRAINED;
    return coarse ? SIDE_COARSE : SIDE;
}

size_t mu_grid_room(enum mu_law_kind law, bool coarse)
{
    const size_t side = side_of(law, coarse);

    /* one for each exponent of x and y; for the constrained law also for each R_D, and one more */
    return law == MU_LAW_DATA_CONSTRAINED ? side * 5 + 1 : side * 2;
}

static double exponent_at(size_t k, size_t side)
{
    return GRID_LOW * mu_det_exp(mu_det_log(GRID_HIGH / GRID_LOW) * (double)k / (double)(side - 1));
}

/* Least squares in the columns of `set`; false: one of them would be negative. */
static bool solve_subset(const struct mu_terms_moments *m, unsigned set, double amplitude[3])
{
    double a[3][3], x[3] = {0};
    size_t index[3], n = 0;

    for (size_t k = 0; k < 3; k++)
        if (set >> k & 1)
            index[n++] = k;
    for (size_t i = 0; i < n; i++) {
        x[i] = m->target[index[i]];
        for (size_t j = 0; j < n; j++)
            a[i][j] = m->product[index[i]][index[j]];
    }
    if (!mu_cholesky_solve(&a[0][0], 3, n, x))
        return false;
    memset(amplitude, 0, 3 * sizeof *amplitude);
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= 0))
            return false;
        amplitude[index[i]] = x[i];
    }
    return true;
}

/* Of all subsets of columns whose least squares are non-negative, the best. */
static void solve_non_negative(const struct mu_terms_moments *m, double amplitude[3])
{
    double best = INFINITY, trial[3];

    if (solve_subset(m, 7, amplitude))
        return;
    memset(amplitude, 0, 3 * sizeof *amplitude);
    for (unsigned set = 1; set < 7; set++) {
        double value = 0;

        if (!solve_subset(m, set, trial))
            continue;
        for (size_t i = 0; i < 3; i++)
            value -= trial[i] * m->target[i]; /* at a minimum: x'Px = x't */
        if (value < best) {
            best = value;
            memcpy(amplitude, trial, sizeof trial);
        }
    }
}

/* How a cell is solved for a robust objective. */
struct care {
    double delta;
    size_t reweights; /* at most, of the residuals */
    double hopeless;  /* a cell whose least squares are worse than this is not reweighted */
};

static struct cell solve_cell(const struct mu_work *work, const mu_lanes *u, const mu_lanes *v,
                              const struct care *care)
{
    const struct mu_terms_variant *terms = work->problem->terms;
    struct cell best = {INFINITY, {0}};
    double amplitude[3] = {0};
    struct mu_terms_moments m;

    terms->moments(&work->points, u, v, amplitude, MU_DELTA_SQUARES, &m);
    for (size_t k = 0; k <= care->reweights; k++) {
        solve_non_negative(&m, amplitude);
        terms->moments(&work->points, u, v, amplitude, care->delta, &m);
        if (m.value < best.value) {
            best.value = m.value;
            memcpy(best.amplitude, amplitude, sizeof amplitude);
        }
        if (m.value > care->hopeless)
            break;
    }
    return best;
}

/* Keeps the best of all starts given, best first. */
static size_t insert(struct mu_start starts[], size_t count, size_t room,
                     const struct mu_start *next)
{
    size_t k = count < room ? count : room - 1;

    if (count == room && !(next->value < starts[k].value))
        return count;
    for (; k > 0 && next->value < starts[k - 1].value; k--)
        starts[k] = starts[k - 1];
    starts[k] = *next;
    return count < room ? count + 1 : room;
}

/* Cells by exponents: [side_a][side_b]. */
struct grid {
    size_t side_a, side_b;
    struct cell cell[SIDES * SIDES];
    bool close[SIDES * SIDES]; /* to a start */
};

static bool is_local_minimum(const struct grid *g, size_t a, size_t b)
{
    const struct cell *here = &g->cell[a * g->side_b + b];

    for (size_t i = a > 0 ? a - 1 : 0; i <= a + 1 && i < g->side_a; i++)
        for (size_t j = b > 0 ? b - 1 : 0; j <= b + 1 && j < g->side_b; j++)
            if (g->cell[i * g->side_b + j].value < here->value)
                return false;
    return true;
}

static void mark_close(struct grid *g, size_t a, size_t b)
{
    for (size_t i = a > CLOSE ? a - CLOSE : 0; i <= a + CLOSE && i < g->side_a; i++)
        for (size_t j = b > CLOSE ? b - CLOSE : 0; j <= b + CLOSE && j < g->side_b; j++)
            g->close[i * g->side_b + j] = true;
}

/* The lowest cell that is not close to a start; false: all are. */
static bool lowest_apart(const struct grid *g, size_t *a, size_t *b)
{
    double least = INFINITY;

    for (size_t k = 0; k < g->side_a * g->side_b; k++)
        if (!g->close[k] && g->cell[k].value < least) {
            least = g->cell[k].value;
            *a = k / g->side_b;
            *b = k % g->side_b;
        }
    return least < INFINITY;
}

static struct mu_start start_of(enum mu_law_kind law, const struct cell *cell, double alpha,
                                double beta)
{
    struct mu_start s = {.value = cell->value};

    memcpy(s.x, cell->amplitude, sizeof cell->amplitude);
    s.x[3] = alpha;
    s.x[4] = beta;
    if (law != MU_LAW_CHINCHILLA && law != MU_LAW_OVER_TRAINING)
        s.x[2] = alpha;
    return s;
}

static void solve_cells(const struct mu_work *work, const struct care *care, struct grid *g)
{
    const enum mu_law_kind law = work->problem->law;
    const size_t side = g->side_a, blocks = work->points.blocks;
    mu_lanes *u = work->columns, *v = u + side * blocks;

    for (size_t k = 0; k < side; k++) {
        const double exponent = exponent_at(k, side);

        work->problem->terms->exp(work->points.x, -exponent, blocks, u + k * blocks);
        if (law == MU_LAW_CHINCHILLA || law == MU_LAW_OVER_TRAINING)
            work->problem->terms->exp(work->points.y, -exponent, blocks, v + k * blocks);
        else
            memset(v + k * blocks, 0, blocks * sizeof *v);
    }
    for (size_t a = 0; a < side; a++)
        for (size_t b = 0; b < g->side_b; b++)
            g->cell[a * g->side_b + b] =
                solve_cell(work, u + a * blocks, v + (g->side_b == 1 ? a : b) * blocks, care);
}

/* All local minima of the grid, and then, since what a robust objective hides between two cells is
 * not seen, the lowest cells apart from them. */
static size_t search_terms(const struct mu_work *work, const struct care *care, bool coarse,
                           struct mu_start starts[MU_GRID_STARTS])
{
    const enum mu_law_kind law = work->problem->law;
    const size_t side = side_of(law, coarse), room = coarse ? STARTS_COARSE : MU_GRID_STARTS;
    struct grid g = {.side_a = side, .side_b = law == MU_LAW_CHINCHILLA ? side : 1};
    size_t count = 0, a, b;

    solve_cells(work, care, &g);
    for (a = 0; a < side; a++)
        for (b = 0; b < g.side_b; b++)
            if (is_local_minimum(&g, a, b)) {
                const struct mu_start s = start_of(law, &g.cell[a * g.side_b + b],
                                                   exponent_at(a, side), exponent_at(b, side));

                count = insert(starts, count, room, &s);
                mark_close(&g, a, b);
            }
    while (count < room && lowest_apart(&g, &a, &b)) {
        starts[count++] =
            start_of(law, &g.cell[a * g.side_b + b], exponent_at(a, side), exponent_at(b, side));
        mark_close(&g, a, b);
    }
    return count;
}

/* One cell of the data-constrained law: N' depends on A and B, which are found first as if no N
 * were too large for its data. */
static struct mu_start constrained_cell(const struct mu_work *work, const struct care *care,
                                        double alpha, double beta, double worth_d, double worth_n,
                                        const mu_lanes *plain, const mu_lanes *v, mu_lanes *u)
{
    struct cell cell = solve_cell(work, plain, v, care);
    struct mu_start s = {.x = {0, 0, 0, alpha, beta, mu_det_log(worth_d), mu_det_log(worth_n)}};

    for (int round = 0; round < 2; round++) {
        for (size_t k = 0; k < 3; k++)
            s.x[k] = k == 0 ? cell.amplitude[k] : mu_det_log(fmax(cell.amplitude[k], 1e-9));
        if (round == 1)
            break;
        mu_constrained_column(work, s.x, u);
        cell = solve_cell(work, u, v, care);
    }
    s.value = cell.value;
    return s;
}

static size_t search_constrained(const struct mu_work *work, const struct care *care, bool coarse,
                                 struct mu_start starts[MU_GRID_STARTS])
{
    const size_t side = side_of(work->problem->law, coarse), blocks = work->points.blocks,
                 worth_count = coarse ? 2 : 4, room = coarse ? 1 : MU_GRID_STARTS;
    const double *worth = coarse ? worths_coarse : worths;
    mu_lanes *plain = work->columns, *v = plain + side * blocks, *u = v + 4 * side * blocks;
    size_t count = 0;

    for (size_t k = 0; k < side; k++) {
        work->problem->terms->exp(work->points.x, -exponent_at(k, side), blocks,
                                  plain + k * blocks);
        for (size_t d = 0; d < worth_count; d++)
            mu_constrained_data_column(work, exponent_at(k, side), worth[d],
                                       v + (d * side + k) * blocks);
    }
    for (size_t d = 0; d < worth_count; d++)
        for (size_t n = 0; n < worth_count; n++) {
            struct mu_start best = {.value = INFINITY};

            for (size_t a = 0; a < side; a++)
                for (size_t b = 0; b < side; b++) {
                    const struct mu_start s = constrained_cell(
                        work, care, exponent_at(a, side), exponent_at(b, side), worth[d], worth[n],
                        plain + a * blocks, v + (d * side + b) * blocks, u);

                    if (s.value < best.value)
                        best = s;
                }
            count = insert(starts, count, room, &best);
        }
    return count;
}

size_t mu_grid_search(const struct mu_work *work, struct mu_objective objective,
                      const double *polished, struct mu_start starts[MU_GRID_STARTS])
{
    const bool coarse = polished != NULL,
               constrained = work->problem->law == MU_LAW_DATA_CONSTRAINED;
    struct care care = {.delta = fmax(mu_objective_delta(objective), GRID_DELTA_LEAST),
                        .reweights = coarse || constrained ? REWEIGHTS_COARSE : REWEIGHTS,
                        .hopeless = INFINITY};

    if (care.delta > 1) /* least squares are there at once */
        care.reweights = 0;
    else if (coarse)
        care.hopeless =
            HOPELESS * mu_work_objective(
                           work,
                           (struct mu_objective){.kind = MU_OBJECTIVE_HUBER, .delta = care.delta},
                           polished);
    return constrained ? search_constrained(work, &care, coarse, starts)
                       : search_terms(work, &care, coarse, starts);
}
