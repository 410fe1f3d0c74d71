#include "kernels/reference/reference_f64.h"

#define real         double
#define MU_REF(name) mu_reference_f64_##name
#include "kernels/reference/reference_attention.h"
#include "kernels/reference/reference_body.h"
