#include "kernels/device.h"
const int mu_kernels_placeholder = 0;
