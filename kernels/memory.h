/* Memory for rooms that touch it in their own time; everybody else takes mu_device_alloc. */
#ifndef MUSTER_KERNELS_MEMORY_H
#define MUSTER_KERNELS_MEMORY_H

#include <stddef.h>

/* As mu_device_alloc, without the zeros; for mu_device_free. */
void *mu_device_alloc_untouched(size_t bytes);

#endif
