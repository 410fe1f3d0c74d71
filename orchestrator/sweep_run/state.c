#include "orchestrator/sweep_run/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *mu_cell_word(enum mu_cell_phase phase)
{
    static const char *const words[] = {
#define WORD(name, word, meaning) [MU_CELL_##name] = word,
        MU_CELL_TABLE(WORD)
#undef WORD
    };

    return words[phase];
}

enum mu_cell_phase mu_cell_phase_of(const char *word)
{
    for (enum mu_cell_phase p = 0; word && p < MU_CELL_PHASES; p++)
        if (strcmp(word, mu_cell_word(p)) == 0)
            return p;
    return MU_CELL_READY;
}

struct mu_cell mu_cell_new(enum mu_cell_phase phase)
{
    return (struct mu_cell){.phase = phase,
                            .host = UINT32_MAX,
                            .train_loss = NAN,
                            .valid_loss = NAN,
                            .valid_bits_per_byte = NAN,
                            .tokens_per_s = NAN,
                            .wanted = NAN};
}

void mu_sweep_count_cells(const struct mu_sweep_state *s, uint32_t budget, uint32_t *cells,
                          uint32_t *ended)
{
    *cells = *ended = 0;
    for (uint32_t i = 0; i < s->stages->trials.count; i++) {
        const struct mu_sweep_trial *t = &s->stages->trials.item[i];

        if (t->role != MU_SWEEP_CELL || t->budget != s->spec->budgets.item[budget])
            continue;
        ++*cells;
        *ended += mu_cell_has_ended(s->cell[i].phase);
    }
}

double mu_sweep_tokens_per_s(const struct mu_sweep_state *s)
{
    double sum = 0;

    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        if (s->cell[i].phase == MU_CELL_TRAINS && isfinite(s->cell[i].tokens_per_s))
            sum += s->cell[i].tokens_per_s;
    return sum;
}

double *mu_sweep_ends(const struct mu_sweep_state *s)
{
    const uint32_t count = s->stages->trials.count;
    double *at = malloc(((size_t)count + 1) * sizeof *at);

    for (uint32_t i = 0; at && i < count; i++)
        at[i] = mu_cell_has_ended(s->cell[i].phase) ? 0 : -1;
    for (uint32_t i = 0; at && i < s->spans; i++) {
        const struct mu_sweep_span *span = &s->span[i];

        if (at[span->trial] >= 0 && span->to > at[span->trial])
            at[span->trial] = span->to;
    }
    return at;
}
