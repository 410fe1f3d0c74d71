/* exp, log, pow, cos, sin in double with the same bits on every CPU: libm chooses variants by CPU.
 * Plain arithmetic only; this file is compiled without contraction to fused multiply-add. Relative
 * error below 1e-14 in the ranges that Muster uses (tested against libm). For vectors of floats see
 * kernels/. */
#ifndef MUSTER_BASE_DETMATH_H
#define MUSTER_BASE_DETMATH_H

double mu_det_exp(double x); /* overflow: +inf; underflow: 0 */
double mu_det_log(double x); /* x > 0 and normal; 0: -inf; negative: NaN */
/* exp(y log x), x > 0; the error grows with |y log x| (1e-13 up to |30|). */
double mu_det_pow(double x, double y);
double mu_det_cos_pi(double x); /* cos(πx), |x| < 2^31 */
/* |x| <= 2^20; the error is below 4e-16, small against 1 and not against a value near 0. */
void mu_det_cos_sin(double x, double *cosine, double *sine);

#endif
