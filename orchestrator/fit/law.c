#include "orchestrator/fit/law.h"

#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/base/status.h"

static const struct mu_law laws[MU_LAW_COUNT] = {
    [MU_LAW_CHINCHILLA] = {"chinchilla",
                           "L = E + A/N^alpha + B/D^beta",
                           "Hoffmann et al. 2022 (arXiv 2203.15556), eq. 10",
                           5,
                           {"E", "A", "B", "alpha", "beta"}},
    [MU_LAW_OVER_TRAINING] = {"over-training",
                              "L = E + A/N^alpha + B/D^alpha",
                              "Gadre et al. 2024 (arXiv 2403.08540), eq. 4",
                              4,
                              {"E", "A", "B", "alpha"}},
    [MU_LAW_DATA_CONSTRAINED] = {"data-constrained",
                                 "L = E + A/N'^alpha + B/D'^beta, D' = U + U R_D (1 - exp(-(D/U - "
                                 "1)/R_D)), N' likewise round N_opt(U)",
                                 "Muennighoff et al. 2023 (arXiv 2305.16264), eq. 5 and 6",
                                 7,
                                 {"E", "A", "B", "alpha", "beta", "R_D", "R_N"}},
    [MU_LAW_POWER_N] = {"power-n",
                        "L = E + A/N^alpha",
                        "Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.1, with an offset",
                        3,
                        {"E", "A", "alpha"}},
    [MU_LAW_POWER_D] = {"power-d",
                        "L = E + A/D^alpha",
                        "Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.2, with an offset",
                        3,
                        {"E", "A", "alpha"}},
    [MU_LAW_POWER_C] = {"power-c",
                        "L = E + A/C^alpha",
                        "Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.3, with an offset",
                        3,
                        {"E", "A", "alpha"}},
};

const struct mu_law *mu_law_of(enum mu_law_kind kind)
{
    MU_ASSERT(kind < MU_LAW_COUNT);
    return &laws[kind];
}

enum mu_law_kind mu_law_named(const char *name)
{
    enum mu_law_kind kind = 0;

    while (kind < MU_LAW_COUNT && strcmp(laws[kind].name, name) != 0)
        kind++;
    return kind;
}

static double power_term(double amplitude, double exponent, double x)
{
    return amplitude == 0 ? 0 : amplitude * mu_det_exp(-exponent * mu_det_log(x));
}

/* ln of what an amount is worth when so much of it is distinct: eq. 5, with R = R* of the paper. In
 * logarithms, since N_opt(U) of a term that hardly depends on N is beyond any double. */
static double ln_worth(double ln_amount, double ln_distinct, double r)
{
    double excess;

    if (ln_amount <= ln_distinct)
        return ln_amount;
    excess = mu_det_exp(ln_amount - ln_distinct) - 1;
    return ln_distinct + mu_det_log(1 + r * (1 - mu_det_exp(-excess / r)));
}

static double term_of_worth(double amplitude, double exponent, double ln_amount, double ln_distinct,
                            double r)
{
    return amplitude == 0
               ? 0
               : mu_det_exp(mu_det_log(amplitude) - exponent * ln_worth(ln_amount, ln_distinct, r));
}

/* ln N_opt(U): where alpha A / N^alpha = beta B / U^beta, the optimum under C = 6 N D whose D is
 * U. */
static double ln_optimal_size(const double theta[], double ln_unique)
{
    return (mu_det_log(theta[3] * theta[1]) - mu_det_log(theta[4] * theta[2]) +
            theta[4] * ln_unique) /
           theta[3];
}

static double constrained_loss(const double theta[], double n, double d, double unique)
{
    const double ln_unique = mu_det_log(unique);

    return theta[0] +
           term_of_worth(theta[1], theta[3], mu_det_log(n), ln_optimal_size(theta, ln_unique),
                         theta[6]) +
           term_of_worth(theta[2], theta[4], mu_det_log(d), ln_unique, theta[5]);
}

double mu_law_abscissa(enum mu_law_kind kind, double n, double d, double c)
{
    return kind == MU_LAW_POWER_D ? d : kind == MU_LAW_POWER_C ? c : n;
}

double mu_law_loss(enum mu_law_kind kind, const double theta[], double n, double d, double c,
                   double unique)
{
    switch (kind) {
    case MU_LAW_CHINCHILLA:
        return theta[0] + power_term(theta[1], theta[3], n) + power_term(theta[2], theta[4], d);
    case MU_LAW_OVER_TRAINING:
        return theta[0] + power_term(theta[1], theta[3], n) + power_term(theta[2], theta[3], d);
    case MU_LAW_DATA_CONSTRAINED:
        return constrained_loss(theta, n, d, unique);
    case MU_LAW_POWER_N:
        return theta[0] + power_term(theta[1], theta[2], n);
    case MU_LAW_POWER_D:
        return theta[0] + power_term(theta[1], theta[2], d);
    case MU_LAW_POWER_C:
        return theta[0] + power_term(theta[1], theta[2], c);
    case MU_LAW_COUNT:
        break;
    }
    MU_ASSERT(kind < MU_LAW_COUNT);
    return 0;
}
