#include "orchestrator/report/sweep_contents.h"

#include <math.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/state.h"

/* Trials of all phases that have ended. */
static double count_ended(const json_t *phases)
{
    double count = 0;

    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++)
        if (mu_cell_has_ended(p))
            count += fmax(mu_json_get_real(phases, mu_cell_word(p)), 0);
    return count;
}

void mu_sweep_say_state(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    const json_t *phases = json_object_get(f->status, "phases"), *value;
    const json_t *fleet = json_object_get(f->status, "fleet");
    const char *ended = mu_json_get_text(f->status, "ended"), *phase;
    const double eta = mu_json_get_real(f->status, "eta");
    char text[400] = "", left[100] = "how long it takes is not known yet";

    json_object_foreach((json_t *)phases, phase, value)
    {
        const size_t used = strlen(text);

        if (json_integer_value(value) > 0)
            snprintf(text + used, sizeof text - used, "%s%.40s: %lld", used ? ", " : "", phase,
                     (long long)json_integer_value(value));
    }
    if (isfinite(eta))
        snprintf(left, sizeof left, "about %s to go", mu_amount_duration(eta).text);
    if (*ended)
        mu_document_say(doc, MU_BLOCK_LEAD,
                        MU_OUTSIDE("%s") " Trials by state: " MU_OUTSIDE("%s") ".", ended, text);
    else
        mu_document_say(
            doc, MU_BLOCK_LEAD,
            "The sweep runs: %.0f of %.0f trials%s have ended; %.0f ranks, %.0f of "
            "them training; %s. Trials by state: " MU_OUTSIDE("%s") ".",
            count_ended(phases), mu_json_get_real(f->status, "trials"),
            json_is_true(json_object_get(f->status, "all_known")) ? "" : " known so far",
            mu_json_get_real(fleet, "ranks"), mu_json_get_real(fleet, "busy"), left, text);
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "As of " MU_OUTSIDE("%s") ": start %.0f of this sweep, which began %s before.",
                    mu_json_get_text(f->status, "updated"), mu_json_get_real(f->status, "start"),
                    mu_amount_duration(mu_json_get_real(f->status, "now")).text);
}

static const char *bracketed(const json_t *budget)
{
    return mu_sweep_bracket_text(mu_sweep_bracket_of(mu_json_get_text(budget, "bracket")),
                                 json_is_true(json_object_get(budget, "exhausted")));
}

void mu_sweep_say_budgets(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    const json_t *budgets = json_object_get(f->status, "budgets"), *b;
    size_t k;

    if (json_array_size(budgets) == 0)
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Budgets");
    mu_document_table(doc, "Budget C|Cells|Ended|Best size|Its loss|Extended|<Minimum bracketed?");
    json_array_foreach((json_t *)budgets, k, b)
    {
        mu_document_cell(doc, "%s", mu_figure_short(mu_json_get_real(b, "budget"), 4).text);
        mu_document_cell(doc, "%.0f", mu_json_get_real(b, "trials"));
        mu_document_cell(doc, "%.0f", mu_json_get_real(b, "ended"));
        mu_document_cell(doc, "%s", mu_figure_short(mu_json_get_real(b, "best_size"), 6).text);
        mu_document_cell(doc, "%s", mu_figure(mu_json_get_real(b, "best_loss"), 6).text);
        mu_document_cell(doc, "%.0f", mu_json_get_real(b, "extended"));
        mu_document_cell(doc, "%s", bracketed(b));
    }
    mu_document_table_end(doc);
}

static void say_law(struct mu_document *doc, const json_t *tuned)
{
    if (!json_is_true(json_object_get(tuned, "known")))
        mu_document_say(doc, MU_BLOCK_TEXT,
                        MU_OUTSIDE("%s") " is tuned: not all of the trials that do have ended. "
                                         "Until then the cells of the grid wait.",
                        mu_json_get_text(tuned, "key"));
    else
        mu_document_say(
            doc, MU_BLOCK_TEXT,
            MU_OUTSIDE("%s") " = %s N^%s, from the vertices below, N from %s to %s. Trials "
                             "that tune have a seed of their own and never enter the fit.",
            mu_json_get_text(tuned, "key"),
            mu_figure(mu_json_get_real(tuned, "coefficient"), 6).text,
            mu_figure(mu_json_get_real(tuned, "exponent"), 5).text,
            mu_figure_words(mu_json_get_real(tuned, "least_n")).text,
            mu_figure_words(mu_json_get_real(tuned, "most_n")).text);
}

void mu_sweep_say_tuning(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    const json_t *tuned = json_object_get(f->status, "tuned");
    const json_t *cells = json_object_get(tuned, "cells"), *c;
    size_t k;

    if (!json_is_object(tuned))
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Tuning");
    say_law(doc, tuned);
    mu_document_table(
        doc, "Size|N|Budget C|Best value|Loss there|Runs in it|<Inside the factors tried?");
    json_array_foreach((json_t *)cells, k, c)
    {
        const bool inside = json_is_true(json_object_get(c, "bracketed"));

        mu_document_cell(doc, "%s", mu_figure_short(mu_json_get_real(c, "size"), 6).text);
        mu_document_cell(doc, "%s", mu_figure_short(mu_json_get_real(c, "n"), 6).text);
        mu_document_cell(doc, "%s", mu_figure_short(mu_json_get_real(c, "budget"), 4).text);
        mu_document_cell(doc, "%s", mu_figure(mu_json_get_real(c, "value"), 5).text);
        mu_document_cell(doc, "%s", mu_figure(mu_json_get_real(c, "loss"), 6).text);
        mu_document_cell(doc, "%.0f", mu_json_get_real(c, "points"));
        mu_document_cell(doc, "%s", inside ? "yes" : "no: it lies at their edge, try more of them");
    }
    mu_document_table_end(doc);
}

/* FLOPs of cells that have ended, as if each ran alone; of those, what trunks spared. */
static void count_flops(const struct mu_sweep_table *t, double *alone, double *spared)
{
    *alone = *spared = 0;
    for (size_t i = 0; i < t->rows; i++) {
        const double flops = mu_sweep_number(t, i, "flops");
        const double part =
            mu_sweep_number(t, i, "shared_steps") / mu_sweep_number(t, i, "run_steps");

        if (strcmp(mu_sweep_text(t, i, "role"), "cell") != 0 || !(flops > 0))
            continue;
        *alone += flops;
        *spared += part > 0 && part < 1 ? part * flops : 0;
    }
}

static const char *compare(const struct mu_sweep_table *t, size_t control, size_t cell)
{
    const char *one = mu_sweep_text(t, control, "hash");

    if (cell == SIZE_MAX)
        return "its cell has not ended yet";
    if (!*one || !*mu_sweep_text(t, cell, "hash"))
        return "one of them has no result";
    return strcmp(one, mu_sweep_text(t, cell, "hash")) == 0 ? "yes" : "NO";
}

static void say_controls(struct mu_document *doc, const struct mu_sweep_table *t)
{
    size_t others = 0;

    mu_document_table(doc, "<Control, run alone|<Cell|Loss alone|Loss of the cell|<Same bits");
    for (size_t i = 0; i < t->rows; i++) {
        size_t cell;

        if (strcmp(mu_sweep_text(t, i, "role"), "control") != 0)
            continue;
        cell = mu_sweep_find(t, "trial", mu_sweep_text(t, i, "twin"));
        mu_document_cell(doc, MU_OUTSIDE("%s"), mu_sweep_text(t, i, "trial"));
        mu_document_cell(doc, MU_OUTSIDE("%s"), mu_sweep_text(t, i, "twin"));
        mu_document_cell(doc, "%s", mu_figure(mu_sweep_number(t, i, "loss"), 8).text);
        mu_document_cell(
            doc, "%s",
            mu_figure(cell == SIZE_MAX ? NAN : mu_sweep_number(t, cell, "loss"), 8).text);
        mu_document_cell(doc, "%s", compare(t, i, cell));
        others += strcmp(compare(t, i, cell), "NO") == 0;
    }
    mu_document_table_end(doc);
    if (others > 0)
        mu_document_say(doc, MU_BLOCK_ALERT,
                        "%zu of the controls ended with other bits than their cells: a branch is "
                        "not the run done alone. Were all computed by one program on one kind of "
                        "CPU?",
                        others);
}

void mu_sweep_say_trunks(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    const struct mu_sweep_table *t = &f->results;
    const bool shares = json_is_true(json_object_get(f->status, "share_trunk"));
    const bool controls = mu_sweep_find(t, "role", "control") != SIZE_MAX;
    double alone, spared;

    if (!shares && !controls)
        return;
    count_flops(t, &alone, &spared);
    mu_document_say(doc, MU_BLOCK_SECTION, "Trunks and controls");
    if (shares && alone > 0)
        mu_document_say(doc, MU_BLOCK_TEXT,
                        "Cells of one size and seed begin as one run. Of the %s FLOPs that the "
                        "cells which have ended take alone, trunks spared %s (%.1f %%).",
                        mu_figure(alone, 4).text, mu_figure(spared, 4).text, 100 * spared / alone);
    if (controls)
        say_controls(doc, t);
    else if (shares)
        mu_document_say(doc, MU_BLOCK_TEXT,
                        "No control has ended: cells run again alone, which "
                        "must come to the same bits.");
}

void mu_sweep_say_fleet(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    const struct mu_sweep_table *t = &f->timing;
    double seconds = 0, retries = 0, deaths = 0, moves = 0;

    for (size_t i = 0; i < t->rows; i++) {
        seconds += fmax(mu_sweep_number(t, i, "rank_seconds"), 0);
        retries += fmax(mu_sweep_number(t, i, "retries"), 0);
        deaths += fmax(mu_sweep_number(t, i, "deaths"), 0);
        moves += fmax(mu_sweep_number(t, i, "moves"), 0);
    }
    mu_document_say(doc, MU_BLOCK_SECTION, "Fleet");
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "Ranks spent %s rank-seconds in %zu trials. Ranks that died in one: %.0f; tries "
        "after a crash: %.0f; moves to another group of ranks: %.0f. None of it can "
        "change a loss.",
        mu_figure(seconds, 4).text, t->rows, deaths, retries, moves);
    if (f->timeline.rows > MU_SWEEP_BARS)
        mu_document_say(doc, MU_BLOCK_TEXT,
                        "The timeline shows %d of %zu stretches: those that ended with a death or "
                        "a move, and the longest.",
                        MU_SWEEP_BARS, f->timeline.rows);
}

void mu_sweep_say_goodput(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    static const char *const meaning[] = {
#define MEANING(name, word, meaning) meaning,
        MU_LEDGER_KINDS(MEANING)
#undef MEANING
    };
    struct mu_ledger_sum sum;
    unsigned share[MU_LEDGER_KIND_COUNT];

    if (!mu_goodput_from_json(json_object_get(f->status, "goodput"), &sum) ||
        mu_ledger_total_us(&sum) == 0)
        return;
    mu_ledger_shares(&sum, share);
    mu_document_say(doc, MU_BLOCK_SECTION, "Where the time went");
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "Every second of every rank, of all starts: %s rank-seconds. The goodput is the "
        "share of compute: %.1f %%.",
        mu_figure((double)mu_ledger_total_us(&sum) / 1e6, 4).text, share[MU_LEDGER_COMPUTE] / 10.);
    mu_document_table(doc, "<Kind|Rank-seconds|Share|<What it is");
    for (enum mu_ledger_kind k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
        mu_document_cell(doc, "%s", mu_ledger_word(k));
        mu_document_cell(doc, "%.1f", (double)sum.us[k] / 1e6);
        mu_document_cell(doc, "%.1f %%", share[k] / 10.);
        mu_document_cell(doc, "%s", meaning[k]);
    }
    mu_document_table_end(doc);
    for (enum mu_ledger_event e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        if (sum.events[e] > 0)
            mu_document_say(doc, MU_BLOCK_ITEM, "%llu %s", (unsigned long long)sum.events[e],
                            mu_ledger_event_text(e));
}

static void say_trial(struct mu_document *doc, const struct mu_sweep_folder *f, size_t i)
{
    enum { HASH_SHOWN = 12 };
    const struct mu_sweep_table *t = &f->timing, *r = &f->results;
    const size_t result = f->result_of[i];
    const double loss = mu_sweep_number(r, result, "loss");

    mu_document_cell(doc, MU_OUTSIDE("%s"), mu_sweep_text(t, i, "trial"));
    mu_document_cell(doc, MU_OUTSIDE("%s"), mu_sweep_text(t, i, "phase"));
    mu_document_cell(doc, "%s", mu_figure_short(mu_sweep_number(t, i, "n"), 6).text);
    mu_document_cell(doc, "%s", mu_figure(mu_sweep_number(t, i, "d"), 4).text);
    mu_document_cell(doc, "%s", mu_figure(mu_sweep_number(t, i, "c"), 4).text);
    mu_document_cell(doc, "%s", mu_figure(loss, 6).text);
    mu_document_cell(doc, MU_OUTSIDE("%.*s"), HASH_SHOWN, mu_sweep_text(r, result, "hash"));
    mu_document_cell(doc, "%.0f/%.0f", mu_sweep_number(t, i, "step"),
                     mu_sweep_number(t, i, "run_steps"));
    mu_document_cell(doc, "%.1f", fmax(mu_sweep_number(t, i, "rank_seconds"), 0));
    mu_document_cell(doc, "%.0f", fmax(mu_sweep_number(t, i, "retries"), 0));
    mu_document_cell(doc, "%.0f", fmax(mu_sweep_number(t, i, "deaths"), 0));
    mu_document_cell(doc, "%.0f", fmax(mu_sweep_number(t, i, "moves"), 0));
    mu_document_cell(doc, MU_OUTSIDE("%s"), mu_sweep_text(t, i, "message"));
}

void mu_sweep_say_trials(struct mu_document *doc, const struct mu_sweep_folder *f)
{
    if (f->timing.rows == 0)
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Trials");
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "All that are known so far: %zu. Of hashes the first twelve digits; results.csv "
        "has them whole, timing.csv has the times.",
        f->timing.rows);
    mu_document_table(doc, "<Trial|<State|N|D|C|Loss|<Hash|Steps|Rank-s|Retries|Deaths|Moves|"
                           "<Message");
    for (size_t i = 0; i < f->timing.rows; i++)
        say_trial(doc, f, i);
    mu_document_table_end(doc);
}
