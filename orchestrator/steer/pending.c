/* What stands in control/, for people. */
#include <math.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/steer/steer.h"

static void print_request(FILE *out, const struct mu_steer_request *r)
{
    const double age_s = fmax(0, mu_clock_date_s() - (double)r->made_s);

    fprintf(out, "  asked for    %s, %.0f s ago", mu_steer_word(r->kind), age_s);
    if (r->by[0])
        fprintf(out, ", by %s", r->by);
    fprintf(out, ": not answered yet\n");
}

void mu_steer_print_pending(const char *run, FILE *out)
{
    char names[MU_STEER_MOST][MU_STEER_NAME_MAX], why[MU_STEER_WHY_MAX];
    const uint32_t count = mu_steer_names(run, names, MU_STEER_MOST);
    struct mu_steer_request r;

    if (mu_steer_read(run, MU_REQUEST_STOP_FILE, &r, why))
        print_request(out, &r);
    for (uint32_t i = 0; i < count; i++)
        if (mu_steer_read(run, names[i], &r, why))
            print_request(out, &r);
    if (mu_steer_is_there(run, MU_REQUEST_RESIZE))
        fprintf(out, "  asked for    another number of ranks: the launcher has not seen it yet\n");
}
