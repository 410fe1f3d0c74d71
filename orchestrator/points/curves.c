#include "orchestrator/points/curves.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/points/cell.h"
#include "orchestrator/points/moments.h"

void mu_curves_deinit(struct mu_curves *curves)
{
    for (size_t k = 0; k < MU_CURVE_GUESSES; k++) {
        mu_names_deinit(&curves->name[k]);
        mu_names_deinit(&curves->cut[k].names);
        free(curves->cut[k].latest);
    }
    free(curves->tag);
    *curves = (struct mu_curves){0};
}

uint32_t mu_curves_count(const struct mu_curves *curves)
{
    return curves->columns && curves->chosen < curves->columns->curves
               ? curves->name[curves->chosen].count
               : 0;
}

enum mu_status mu_curves_leave_out(struct mu_curves *curves, size_t guess, const char *name,
                                   double d)
{
    struct mu_curve_cuts *cuts = &curves->cut[guess];
    const uint32_t known = cuts->names.count;
    enum mu_status st = MU_OK;
    uint32_t number;

    MU_TRY(mu_names_number(&cuts->names, name, &number), st, done);
    if (cuts->room < cuts->names.room) {
        double *more = realloc(cuts->latest, cuts->names.room * sizeof *more);

        if (!more)
            return MU_FAIL(MU_NO_MEMORY, "no memory for %u names", cuts->names.room);
        cuts->latest = more;
        cuts->room = cuts->names.room;
    }
    cuts->latest[number] = number < known ? fmax(cuts->latest[number], d) : d;
done:
    return st;
}

/* The first guess that holds; a column that was given is no guess. */
static void choose(struct mu_curves *curves, struct mu_fit_points *points)
{
    const struct mu_columns *columns = curves->columns;

    for (size_t k = 0; k < columns->curves; k++) {
        curves->lone = columns->curve_guessed && curves->name[k].count == points->count;
        if (curves->lone) /* a run each: what a lesser guess joins are no moments */
            break;
        for (size_t i = 0; i < points->count; i++)
            points->point[i].curve = curves->tag[i * columns->curves + k];
        mu_moments_sort(points->point, points->count);
        mu_moments_level(points->point, points->count);
        curves->chosen = k;
        if (!columns->curve_guessed || mu_moments_plausible(points->point, points->count))
            return;
        mu_moments_unsort(points->point, points->count);
    }
    curves->chosen = columns->curves;
    for (size_t i = 0; i < points->count; i++)
        points->point[i].curve = MU_FIT_NONE;
}

static void tell_choice(const struct mu_curves *curves, const char *const *head,
                        struct mu_points_found *found)
{
    const struct mu_columns *columns = curves->columns;
    const char *name;

    if (!columns->curves || curves->lone)
        return;
    name = head[columns->curve[curves->chosen < columns->curves ? curves->chosen : 0]];
    if (curves->chosen == columns->curves) {
        mu_points_note(
            found,
            "rows are points of their own: no %s has several rows, or those of one "
            "differ in size or do not differ in tokens; --curve names the column of runs",
            mu_cell_show(name).text);
        return;
    }
    mu_cell_copy(found->column[MU_COLUMN_curve], sizeof found->column[MU_COLUMN_curve], name);
    if (columns->curve_guessed)
        mu_points_note(found,
                       "rows of one %s are moments of one loss curve; --curve '' makes them points "
                       "of their own",
                       mu_cell_show(name).text);
}

/* Takes out what contradicts the moment before it. */
static enum mu_status check_moments(struct mu_curves *curves, struct mu_fit_points *points,
                                    struct mu_complaints *complaints)
{
    struct mu_fit_point *p = points->point;
    const struct mu_names *names = &curves->name[curves->chosen];
    enum mu_status st = MU_OK;
    size_t kept = 0;

    for (size_t i = 0; i < points->count; i++) {
        struct mu_moment_fault fault;

        p[kept] = p[i];
        fault = mu_moments_check(p, kept);
        if (!fault.text[0]) {
            kept++;
            continue;
        }
        mu_complaints_add(complaints, p[i].line, MU_COLUMN_curve, "contradicts", fault.text);
        MU_TRY(mu_curves_leave_out(curves, curves->chosen, names->text[p[i].curve], p[i].d), st,
               done);
    }
    points->count = kept;
done:
    return st;
}

/* Whether the last moment may be among rows that were left out. */
static bool is_cut(const struct mu_curves *curves, const struct mu_fit_point *last)
{
    const struct mu_curve_cuts *cuts = &curves->cut[curves->chosen];
    uint32_t number;

    if (last->curve == MU_FIT_NONE)
        return false;
    number = mu_names_find(&cuts->names, curves->name[curves->chosen].text[last->curve]);
    return number != UINT32_MAX && cuts->latest[number] >= last->d;
}

static void find_ends(const struct mu_curves *curves, struct mu_fit_points *points,
                      struct mu_points_found *found)
{
    struct mu_fit_point *p = points->point;
    size_t endless = 0;

    for (size_t i = 0; i < points->count; i++) {
        const bool last = i + 1 == points->count || p[i + 1].curve != p[i].curve;
        const bool cut = last && is_cut(curves, &p[i]);

        p[i].end = p[i].curve == MU_FIT_NONE || (last && !cut);
        endless += cut;
    }
    if (endless)
        mu_points_note(found,
                       "%zu curves have no final loss: rows of them were left out, maybe the last",
                       endless);
    if (curves->unreadable)
        mu_points_note(found, "%zu rows cannot be read: a curve's final loss may be among them",
                       curves->unreadable);
}

enum mu_status mu_curves_finish(struct mu_curves *curves, const char *const *head,
                                struct mu_fit_points *points, struct mu_points_found *found,
                                struct mu_complaints *complaints)
{
    enum mu_status st = MU_OK;

    if (!points->count || !curves->columns->curves)
        return MU_OK;
    choose(curves, points);
    tell_choice(curves, head, found);
    if (!mu_curves_count(curves))
        return MU_OK;
    MU_TRY(check_moments(curves, points, complaints), st, done);
    find_ends(curves, points, found);
done:
    return st;
}
