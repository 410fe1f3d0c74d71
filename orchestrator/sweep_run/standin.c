#include "orchestrator/sweep/pack.h"
#include "orchestrator/sweep/stages.h"
#include <math.h>
#define WEAK __attribute__((weak))
WEAK enum mu_status mu_pack(const struct mu_pack_problem *p, struct mu_pack_command *command, uint32_t *count)
{
    uint32_t n = 0;
    *count = 0;
    for (uint32_t h = 0; h < p->hosts; h++)
        for (uint32_t f = p->host[h].free; f > 0; f--) {
            while (n < p->trials && (p->trial[n].workers > 0 || p->trial[n].moving || (p->trial[n].host != UINT32_MAX && p->trial[n].host != h)))
                n++;
            if (n == p->trials) return MU_OK;
            command[(*count)++] = (struct mu_pack_command){n, h, 1};
            n++;
        }
    return MU_OK;
}
WEAK double mu_pack_seconds(double work, double serial, uint32_t workers) { return work * (serial + (1 - serial) / workers); }
WEAK void mu_pack_speed_hear(struct mu_pack_speed *s, uint32_t workers, double step_seconds) { if (workers == 1) s->one = step_seconds; s->heard++; }
WEAK double mu_pack_speed_step(const struct mu_pack_speed *s) { return isnan(s->one) ? s->guess : s->one; }
WEAK enum mu_status mu_sweep_stages_init(struct mu_sweep_stages *s, const struct mu_sweep_spec *spec, const struct mu_settings *base, const char *file)
{
    *s = (struct mu_sweep_stages){.spec = spec, .base = base, .file = file, .complete = true};
    return mu_sweep_trials_make(spec, base, file, &s->trials);
}
WEAK void mu_sweep_stages_deinit(struct mu_sweep_stages *s) { mu_sweep_trials_deinit(&s->trials); }
WEAK enum mu_status mu_sweep_stages_advance(struct mu_sweep_stages *s, const struct mu_sweep_result *result, uint32_t *added, void (*warn)(void *, const char *), void *context)
{ (void)s; (void)result; (void)warn; (void)context; *added = 0; return MU_OK; }
