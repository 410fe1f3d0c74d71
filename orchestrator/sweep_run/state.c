#include "orchestrator/sweep_run/state.h"

const char *mu_cell_word(enum mu_cell_phase phase)
{
    static const char *const words[] = {
#define WORD(name, word, meaning) [MU_CELL_##name] = word,
        MU_CELL_TABLE(WORD)
#undef WORD
    };

    return words[phase];
}
