#include "orchestrator/fit/interval.h"

#include "orchestrator/base/status.h"

static void swap(double *a, double *b)
{
    const double x = *a;

    *a = *b;
    *b = x;
}

/* Hoare's selection: values[k] is then the k-th smallest, nothing before it larger, nothing
 * after it smaller. The middle of three as pivot: what was selected before lies nearly in order. */
static void select_kth(double *values, size_t count, size_t k)
{
    size_t low = 0, high = count - 1;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        size_t i = low, j = high;
        double pivot;

        if (values[middle] < values[low])
            swap(&values[middle], &values[low]);
        if (values[high] < values[low])
            swap(&values[high], &values[low]);
        if (values[high] < values[middle])
            swap(&values[high], &values[middle]);
        pivot = values[middle];
        for (;;) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&values[i++], &values[j--]);
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
}

double mu_quantile(double *values, size_t count, double p)
{
    const double at = p * (double)(count - 1);
    const size_t k = (size_t)at;
    double next;

    MU_ASSERT(count > 0 && p >= 0 && p <= 1);
    select_kth(values, count, k);
    if (k + 1 == count)
        return values[k];
    next = values[k + 1];
    for (size_t i = k + 2; i < count; i++)
        next = values[i] < next ? values[i] : next;
    return values[k] + (at - (double)k) * (next - values[k]);
}

size_t mu_interval_of(double *values, size_t count, struct mu_estimate *number)
{
    size_t have = 0;

    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[have++] = values[i];
    number->low95 = number->low80 = number->high80 = number->high95 = NAN;
    if (have < MU_INTERVAL_LEAST || 2 * have < count)
        return have;
    number->low95 = mu_quantile(values, have, 0.025);
    number->low80 = mu_quantile(values, have, 0.1);
    number->high80 = mu_quantile(values, have, 0.9);
    number->high95 = mu_quantile(values, have, 0.975);
    return have;
}
