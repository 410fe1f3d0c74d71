/* What plans of runs and of sweeps share: warnings, and what they warn of. */
#ifndef MUSTER_PLAN_ADVICE_H
#define MUSTER_PLAN_ADVICE_H

/* Tells what looks wrong, a line a call. */
typedef void mu_plan_warn(void *context, const char *line);
struct mu_advice {
    mu_plan_warn *warn;
    void *context;
};
void mu_advise(const struct mu_advice *advice, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A mu_plan_warn that appends to a json_t array: json.c. */
void mu_plan_json_collect(void *array, const char *line);

/* Beyond this a plan looks wrong. */
#define MU_PLAN_MOST_EPOCHS   4.0 /* data repeated: Muennighoff et al. 2023 */
#define MU_PLAN_MOST_BATCH    4.0 /* times the batch of the step law */
#define MU_PLAN_LEAST_WARMUPS 3.0 /* steps, in warm-ups */
#define MU_PLAN_LEAST_STEPS   50
/* Tokens of a batch beyond which more workers buy little: Li et al. 2025 (the step law). tokens: of
 * the whole run. */
double mu_plan_useful_batch(double tokens);

/* What /dev/shm still takes here, in bytes. */
double mu_plan_shm_left(void);

#endif
