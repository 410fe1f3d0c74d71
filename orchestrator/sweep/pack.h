/* Packing: which trial gets which workers, so that the whole ends soonest. A pure function of what
 * is known now; nothing in it can change a loss. Times in seconds; workers of a group are on one
 * host, where its state lies.
 *
 * The whole cannot end before its lower bound: all work divided by all workers, or the longest
 * chain of trials that wait for each other at the most workers each can use. */
#ifndef MUSTER_SWEEP_PACK_H
#define MUSTER_SWEEP_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

/* A trial that could train now, or does. Others are not in the list. */
struct mu_pack_trial {
    double work;      /* left, on one worker */
    double tail;      /* of the longest chain that waits for it, on one worker each */
    double serial;    /* share of a step that more workers do not shorten, 0 .. 1 (learned) */
    uint32_t most;    /* workers beyond it have nothing to do */
    uint32_t least;   /* 1 unless it does not fit on fewer */
    double bytes;     /* of a host's memory, while it trains */
    uint32_t workers; /* that train it; 0: it waits to begin */
    uint32_t host;    /* of these workers; of its state in memory; UINT32_MAX: anywhere */
    bool moving;      /* asked to make way already: left alone */
};

struct mu_pack_host {
    uint32_t workers, free; /* in all; without a trial */
    double bytes_left;      /* of memory, beside what trains; INFINITY: not known */
};

struct mu_pack_problem {
    const struct mu_pack_trial *trial;
    uint32_t trials;
    const struct mu_pack_host *host;
    uint32_t hosts;
    uint32_t later;   /* trials that will come, but cannot begin yet */
    double move_cost; /* seconds in which a group that is moved does not train */
};

/* workers > 0 of a trial that waits: begin it on so many free workers of `host`. Of one that
 * trains: it is to make way, and to go on with so many there, those that it has among them. */
struct mu_pack_command {
    uint32_t trial, host, workers;
};

/* Commands of one decision, at most one a trial, in the order in which they are to be carried out;
 * command[capacity >= trials] is the caller's. O((trials + hosts) log(...)); a trial whose `least`
 * or bytes fit nowhere gets none. MU_NO_MEMORY. */
enum mu_status mu_pack(const struct mu_pack_problem *problem, struct mu_pack_command *command,
                       uint32_t *count) MU_CHECKED;

/* Seconds that `work` takes on so many workers. */
double mu_pack_seconds(double work, double serial, uint32_t workers);

/* ---- what is learned ---- */
/* Seconds of a step of trials of one kind (size and batch), as they are heard. */
struct mu_pack_speed {
    double guess;  /* of one worker, before anything is heard; NAN: none */
    double one;    /* measured, of one worker; once something is heard */
    double serial; /* as above; 0 until something is heard of two numbers of workers */
    uint32_t heard;
    double weight, x, t, xx, xt; /* sums over what was heard: pack_speed.c */
};
/* Of a new one only guess is set, the rest is 0. */
void mu_pack_speed_hear(struct mu_pack_speed *s, uint32_t workers, double step_seconds);
/* Of one worker: measured, else the guess, else NAN. */
double mu_pack_speed_step(const struct mu_pack_speed *s);

#endif
