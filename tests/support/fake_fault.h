/* orchestrator/base/fault.h for ranks that are threads: a named point is a passage of the fake
 * communicator (fake_comm.h), where a rank may die. Linked instead of fault.c. */
#ifndef MUSTER_TESTS_FAKE_FAULT_H
#define MUSTER_TESTS_FAKE_FAULT_H

#include "orchestrator/base/fault.h"
#include "tests/support/fake_comm.h"

enum { FAKE_FAULTS = FAKE_OTHERS, FAKE_AFTER_FAULTS = FAKE_OTHERS + MU_FAULT_COUNT };

bool mu_fault(enum mu_fault_point point, int64_t step)
{
    (void)step;
    fake_pass(FAKE_FAULTS + point);
    return false;
}

const char *mu_fault_point_name(enum mu_fault_point point)
{
    static const char *const names[] = {
#define FAKE_FAULT_NAME(id, name, where) name,
        MU_FAULT_TABLE(FAKE_FAULT_NAME)
#undef FAKE_FAULT_NAME
    };

    return (unsigned)point < MU_FAULT_COUNT ? names[point] : "?";
}

enum mu_status mu_fault_init(void)
{
    return MU_OK;
}

void mu_fault_set_rank(int rank)
{
    (void)rank;
}

void mu_fault_set_mark(struct mu_fault_mark *mark)
{
    (void)mark;
}

#endif
