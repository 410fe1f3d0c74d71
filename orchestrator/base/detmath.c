#include "orchestrator/base/detmath.h"

#include <math.h> /* frexp, ldexp, floor, NAN: exact everywhere */

static const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;

double mu_det_exp(double x)
{
    double k, r, sum = 1.0, term = 1.0;

    if (isnan(x))
        return x;
    if (x > 709.78)
        return INFINITY;
    if (x < -745.2)
        return 0.0;
    k = floor(x / 0x1.62e42fefa39efp-1 + 0.5);
    r = (x - k * ln2_high) - k * ln2_low; /* |r| <= ln2 / 2 */
    for (int i = 1; i <= 16; i++) {
        term = term * r / i;
        sum += term;
    }
    return ldexp(sum, (int)k);
}

/* 1 / (2 i + 1): divisions take most of the time of a logarithm. */
static const double odd_reciprocal[] = {1.0 / 1,  1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,
                                        1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19,
                                        1.0 / 21, 1.0 / 23, 1.0 / 25};

double mu_det_log(double x)
{
    int e;
    double m, s, z, sum = 0.0;

    if (isnan(x) || x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    if (isinf(x))
        return x;
    m = frexp(x, &e); /* [0.5, 1) */
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        e--;
    }
    s = (m - 1) / (m + 1); /* |s| <= 0.1716; log m = 2 atanh s */
    z = s * s;
    for (int i = 12; i >= 1; i--)
        sum = (sum + odd_reciprocal[i]) * z;
    return e * ln2_high + (2 * s * sum + e * ln2_low + 2 * s);
}

double mu_det_pow(double x, double y)
{
    return mu_det_exp(y * mu_det_log(x));
}

double mu_det_cos_pi(double x)
{
    double r = x - 2 * floor(x / 2 + 0.5), sign = 1, t, z, sum = 1, term = 1; /* r in [-1, 1] */

    r = fabs(r);
    if (r > 0.5) {
        r = 1 - r;
        sign = -1;
    }
    t = r * 0x1.921fb54442d18p+1;
    z = t * t;
    for (int i = 1; i <= 14; i++) {
        term = -term * z / ((2 * i - 1) * (2 * i));
        sum += term;
    }
    return sign * sum;
}

/* pi / 2 in pieces of 33, 33 and 53 bits: their products with a whole number below 2^20 are exact,
 * and nothing is lost where they cancel (Cody & Waite 1980). */
static const double half_pi[] = {0x1.921fb54400000p+0, 0x1.0b4611a600000p-34,
                                 0x1.3198a2e037073p-69};

void mu_det_cos_sin(double x, double *cosine, double *sine)
{
    const double k = floor(x * 0x1.45f306dc9c883p-1 + 0.5),
                 r = ((x - k * half_pi[0]) - k * half_pi[1]) - k * half_pi[2], /* |r| <= pi / 4 */
        z = r * r;
    const int quarter = (int)(k - 4 * floor(k / 4));
    double c = 0, s = 0, turned_c, turned_s;

    for (int i = 9; i >= 1; i--) { /* Horner: c = cos r - 1, s = sin r / r - 1 */
        c = -(1 + c) * z / ((2 * i - 1) * (2 * i));
        s = -(1 + s) * z / ((2 * i) * (2 * i + 1));
    }
    turned_c = quarter % 2 == 0 ? 1 + c : r + r * s;
    turned_s = quarter % 2 == 0 ? r + r * s : 1 + c;
    *cosine = quarter == 1 || quarter == 2 ? -turned_c : turned_c;
    *sine = quarter >= 2 ? -turned_s : turned_s;
}
