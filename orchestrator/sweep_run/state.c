#include "orchestrator/sweep_run/state.h"

#include <math.h>
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
