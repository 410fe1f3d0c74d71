/* What a sweep leaves for people and programs, in its folder; written aside and renamed, so that
 * each can be read at any time.
 *
 *   results.csv    a line a trial that has ended, sorted by name; only what is reproducible: the
 *                  same bytes whoever computed it, and however often it was killed. `muster fit`
 *                  reads it as it is
 *   timing.csv     a line a trial known so far, in the sweep's order: its phase, rank-seconds,
 *                  retries, deaths, moves
 *   timeline.csv   who trained what when (state.h: spans)
 *   sweep.json     where it stands, for `muster status` and scripts
 *   fit.json, report.html   of `muster fit FOLDER`, which reads all of these
 *
 * results.csv: trial, role ("cell", "tune", "control"), trunk (cells of one value begin as one run,
 * and share their noise), parent (the trial whose first `shared_steps` steps are its own; "":
 * none), twin (of a control: the cell that it repeats alone), seed, status, group (the budget; "":
 * none), params_nonemb_head, params_nonemb, params_all, layers, width, heads, context, vocab ("":
 * it is no transformer), tokens, flops (as the sweep counts), flops_6N_... and flops_6N12LdT_... of
 * each count, tuned_key, tuned_value, batch_tokens, run_steps, loss (17 digits: it round-trips),
 * bits_per_byte, hash; and the axes of a grid, as grid_model_width.
 *
 * status: "complete" is a cell with a loss; all else is left out by `muster fit`: "tuning" and
 * "control" have a loss too, "diverged", "out of memory" and "failed" have none.
 *
 * sweep.json, "muster-sweep-1"; times in seconds; null: not known. Trials that train or move, and
 * the newest of those that have ended, stand one by one; all of them are in timing.csv.
 *
 *   {"schema": "muster-sweep-1", "muster": "0.1.0", "name": "gcide-isoflop", "kind": "isoflop",
 *    "start": 2,                            number of this start, from 1
 *    "began": 1790000000.0,                 date of the first start, in seconds since 1970
 *    "now": 61.5,                           since then
 *    "updated": "2026-11-23T16:00:00Z",
 *    "ended": null,                         or one sentence
 *    "outcome": null,                       once nothing is left to do for these ranks: "complete",
 *                                           "requeue" (stopped: goes on), "failed" (some trial has)
 *    "stopped_by": null,                    with "requeue": "request", "signal", "launcher"
 *    "launch": null,                        MUSTER_JOB, of those whom a launcher has started
 *    "host": "n1",                          of the rank that leads, and writes this
 *    "all_known": false,                    no more trials will be added
 *    "trials": 96, "share_trunk": true,
 *    "phases": {"waits": 3, "ready": 9, "trains": 4, "moves": 0, "complete": 80, "diverged": 0,
 *               "out of memory": 0, "failed": 0},                       trials, by phase
 *    "fleet": {"ranks": 4, "busy": 4, "dead": 0},
 *    "tokens_per_s": 81234.5,               of all groups together
 *    "eta": 212.0, "rank_seconds": 231.2,   of all trials
 *    "goodput": {...},                      run/goodput.h
 *    "count": {"params": "nonemb+head", "flops": "6N+12LdT"}, "size_key": "model.width",
 *    "tuned": {"key": "optim.lr", "known": true, "coefficient": 0.1, "exponent": -0.2,
 *              "least_n": 1e4, "most_n": 1e5,
 *              "cells": [{"size": 16, "n": 1.2e4, "budget": 1e11, "value": 0.004, "loss": 2.1,
 *                         "bracketed": true, "points": 5}]},            or null: nothing is tuned
 *    "budgets": [{"budget": 1e11,
 *                 "bracket": "open",        open, yes, left, right, none
 *                 "extended": 0, "exhausted": false, "best_size": 24, "best_loss": 2.2,
 *                 "trials": 15, "ended": 4}],                           cells of it, all seeds
 *    "live": [TRIAL], "recent": [TRIAL],                                recent: the newest first
 *    "fit": {"methods": ["isoflop"], "bootstrap": 4000, "holdout": "largest_budget",
 *            "targets": [1e13]}}
 *
 *   TRIAL: {"name": "width16-c1e+11-s1", "role": "cell", "phase": "trains", "workers": 2,
 *           "host": 0, "step": 120, "steps": 800, "n": 1.2e4, "d": 1.1e6, "c": 1e11, "size": 16,
 *           "budget": 1e11, "train_loss": 2.3, "valid_loss": 2.4, "bits_per_byte": 3.1,
 *           "tokens_per_s": 20000.0, "wanted": 40.0, "retries": 0, "deaths": 1, "moves": 2,
 *           "rank_seconds": 33.1, "ended_at": null, "hash": null, "message": ""} */
#ifndef MUSTER_SWEEP_RUN_RECORDS_H
#define MUSTER_SWEEP_RUN_RECORDS_H

#include <jansson.h>

#include "orchestrator/base/status.h"
#include "orchestrator/sweep_run/state.h"

#define MU_SWEEP_SCHEMA "muster-sweep-1"

enum { MU_SWEEP_RECENT = 24 }; /* trials that have ended, in sweep.json */

enum mu_status mu_sweep_write_results(const struct mu_sweep_state *s) MU_CHECKED;
enum mu_status mu_sweep_write_timing(const struct mu_sweep_state *s) MU_CHECKED; /* and timeline */
enum mu_status mu_sweep_write_status(const struct mu_sweep_state *s) MU_CHECKED; /* sweep.json */
/* sweep.json of a folder, a new reference. MU_NOT_FOUND (not reported): there is none; MU_CORRUPT:
 * no JSON, or of another schema. Members may be anything. */
enum mu_status mu_sweep_read_status(const char *sweep_path, json_t **out) MU_CHECKED;

/* report.html and fit.json by a `muster fit FOLDER` of its own process, at low priority, which dies
 * with this one; what it says goes to FOLDER/report.log. Never blocks. One at a time; asked for
 * while one runs, another follows. Between two lie at least ten seconds, and 20 times what the last
 * one took. */
struct mu_sweep_reporter {
    int pid; /* 0: none runs */
    bool again;
    bool told;         /* that it fails */
    uint64_t began_ns; /* of the one that runs, or ran last */
    uint64_t next_ns;  /* not sooner */
    int status;        /* of the last one, as of waitpid */
    char path[MU_PATH_MAX];
};
enum { MU_SWEEP_REPORT_S = 60 }; /* that the last one may take */
void mu_sweep_reporter_init(struct mu_sweep_reporter *r, const char *sweep_path);
void mu_sweep_reporter_ask(struct mu_sweep_reporter *r); /* results have come */
void mu_sweep_reporter_poll(struct mu_sweep_reporter *r);
/* The last one, from all results: waits for it, polling. MU_TIMEOUT, MU_FAILED: warned of. */
enum mu_status mu_sweep_reporter_finish(struct mu_sweep_reporter *r, void (*poll)(void *context),
                                        void *context) MU_CHECKED;
/* In `muster fit`: if a reporter started this process, it is to die with that, and stands back. */
enum mu_status mu_sweep_reporter_follow(void) MU_CHECKED;

#endif
