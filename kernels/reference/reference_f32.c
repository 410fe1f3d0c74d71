#include "kernels/reference/reference_f32.h"

#define real         float
#define MU_REF(name) mu_reference_f32_##name
#include "kernels/reference/reference_attention.h"
#include "kernels/reference/reference_body.h"
