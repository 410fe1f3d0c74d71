#include "orchestrator/fit/published.h"

#include "orchestrator/base/detmath.h"

/* coefficient x (c / unit)^exponent */
static double power(double coefficient, double c, double unit, double exponent)
{
    return coefficient * mu_det_exp(exponent * mu_det_log(c / unit));
}

/* N of the minimum of E + A/N^alpha + B/D^beta at C = 6 N D (Hoffmann et al. 2022, eq. 4). */
static double optimum(double A, double alpha, double B, double beta, double c)
{
    const double ln_g = mu_det_log(alpha * A / (beta * B)) / (alpha + beta);

    return mu_det_exp(ln_g) * power(1, c, 6, beta / (alpha + beta));
}

static double tokens(double c, double n)
{
    return c / (6 * n);
}

/* A power law through two rows of a table of (N, D), C = 6 N D. */
struct row {
    double n, d;
};

static double through(struct row low, struct row high, double c)
{
    const double from = 6 * low.n * low.d, to = 6 * high.n * high.d;

    return power(low.n, c, from, mu_det_log(high.n / low.n) / mu_det_log(to / from));
}

static double hoffmann1_n(double c)
{
    return through((struct row){1e9, 20.2e9}, (struct row){1e13, 216.2e12}, c);
}

static double hoffmann1_d(double c)
{
    return tokens(c, hoffmann1_n(c));
}

static double hoffmann2_n(double c)
{
    return through((struct row){1e9, 20.0e9}, (struct row){1e13, 292.0e12}, c);
}

static double hoffmann2_d(double c)
{
    return tokens(c, hoffmann2_n(c));
}

static double hoffmann3_n(double c)
{
    return through((struct row){1e9, 27.1e9}, (struct row){1e13, 1425.5e12}, c);
}

static double hoffmann3_d(double c)
{
    return tokens(c, hoffmann3_n(c));
}

static double printed_n(double c)
{
    return optimum(406.4, .34, 410.7, .28, c);
}

static double printed_d(double c)
{
    return tokens(c, printed_n(c));
}

static double besiroglu_n(double c)
{
    return optimum(482.01, .3478, 2085.43, .3658, c);
}

static double besiroglu_d(double c)
{
    return tokens(c, besiroglu_n(c));
}

static double kaplan_n(double c)
{
    return power(1.3e9, c, 8.64e19, .73);
}

static double kaplan_d(double c)
{
    return tokens(c, kaplan_n(c));
}

/* D = .29 C^a is printed with a of two digits, too few to be carried to 1e25 (they give 10.5 T
 * there): a is the one with which .29 gives the 16.55 T that the paper computes at 3.8e25. */
static double llama3_d(double c)
{
    return power(.29, c, 1, mu_det_log(16.55e12 / .29) / mu_det_log(3.8e25));
}

static double llama3_n(double c)
{
    return tokens(c, llama3_d(c));
}

static double deepseek_n(double c)
{
    return power(.1715 / 6, c, 1, .5243);
}

static double deepseek_d(double c)
{
    return power(5.8316, c, 1, .4757);
}

const struct mu_published mu_published_laws[] = {
    {"Hoffmann et al. 2022, approach 1",
     "arXiv 2203.15556, table 3: the line through its rows for 1 B and 10 T parameters",
     "N with embeddings; C = 6 N D", hoffmann1_n, hoffmann1_d},
    {"Hoffmann et al. 2022, approach 2",
     "arXiv 2203.15556, table A3: the line through its rows for 1 B and 10 T parameters",
     "N with embeddings; C = 6 N D", hoffmann2_n, hoffmann2_d},
    {"Hoffmann et al. 2022, approach 3",
     "arXiv 2203.15556, table A3: the line through its rows for 1 B and 10 T parameters",
     "N with embeddings; C = 6 N D", hoffmann3_n, hoffmann3_d},
    {"Hoffmann et al. 2022, approach 3, parameters as printed",
     "arXiv 2203.15556, eq. 10 and 4: E 1.69, A 406.4, B 410.7, alpha .34, beta .28",
     "N with embeddings; C = 6 N D. Exponents rounded to two digits: the paper's own table A3 has "
     "fewer tokens a parameter",
     printed_n, printed_d},
    {"Besiroglu et al. 2024",
     "arXiv 2404.10102: E 1.8172, A 482.01, B 2085.43, alpha .3478, beta .3658",
     "N with embeddings; C = 6 N D", besiroglu_n, besiroglu_d},
    {"Kaplan et al. 2020", "arXiv 2001.08361, table 6: N = 1.3e9 (C / PF-day)^.73; D = C / (6 N)",
     "N without embeddings; C is their C_min, which batches far below the critical size would "
     "need; a PF-day is 8.64e19 FLOPs",
     kaplan_n, kaplan_d},
    {"Llama 3",
     "arXiv 2407.21783, section 3.2.1: D = .29 C^a, a from the 16.55 T tokens computed there for "
     "3.8e25 (printed as .53)",
     "N = C / (6 D); the paper counts some 5 % fewer FLOPs for a parameter and token", llama3_n,
     llama3_d},
    {"DeepSeek LLM", "arXiv 2401.02954, eq. 4: M = .1715 C^.5243 FLOPs a token, D = 5.8316 C^.4757",
     "N = M / 6, a little more than the parameters without embeddings: M holds attention",
     deepseek_n, deepseek_d},
};

const size_t mu_published_law_count = sizeof mu_published_laws / sizeof *mu_published_laws;
