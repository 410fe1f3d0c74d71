/* The values of a resolved configuration: one field a row of schema.def, plain data. Filled by the
 * parser (config.h), which leaves every value validated and every path absolute; read by everybody
 * above. After mu_settings_resolve() nothing is MU_AUTO any more. */
#ifndef MUSTER_CONFIG_SETTINGS_H
#define MUSTER_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/schedule.h"

enum { MU_TEXT_MAX = 2048 };
#define MU_AUTO (-1)

/* Words of each CHOICE: X(identifier, word in the config) */
#define MU_CHOICE_NONFINITE(X) X(STOP, "stop") X(SKIP, "skip")
#define MU_CHOICE_MODEL(X)     X(GPT2, "gpt2") X(SYNTHETIC, "synthetic")
#define MU_CHOICE_REDUCE(X)    X(EXACT, "exact") X(FAST, "fast")
#define MU_CHOICE_OPTIMIZER(X) X(ADAMW, "adamw")
#define MU_CHOICE_SCHEDULE(X) \
    X(WSD, "wsd") X(COSINE, "cosine") X(CONSTANT, "constant") X(LINEAR, "linear")
#define MU_CHOICE_DEVICE(X)    X(CPU, "cpu") X(REFERENCE, "reference")
#define MU_CHOICE_PRECISION(X) X(FP32, "fp32") X(BF16, "bf16")
#define MU_CHOICE_ISA(X)  \
    X(AUTO, "auto")       \
    X(GENERIC, "generic") \
    X(AVX2, "avx2") X(AVX512, "avx512") X(AVX512_BF16, "avx512_bf16") X(AMX, "amx")

#define MU_CHOICE_LISTS(X) \
    X(NONFINITE) X(MODEL) X(REDUCE) X(OPTIMIZER) X(SCHEDULE) X(DEVICE) X(PRECISION) X(ISA)

enum mu_nonfinite { MU_NONFINITE_STOP, MU_NONFINITE_SKIP };
enum mu_model { MU_MODEL_GPT2, MU_MODEL_SYNTHETIC };
enum mu_reduce { MU_REDUCE_EXACT, MU_REDUCE_FAST };
enum mu_optimizer { MU_OPTIMIZER_ADAMW };
enum mu_device_kind { MU_DEVICE_CPU, MU_DEVICE_REFERENCE };
enum mu_precision { MU_PRECISION_FP32, MU_PRECISION_BF16 };
enum mu_isa {
    MU_ISA_AUTO,
    MU_ISA_GENERIC,
    MU_ISA_AVX2,
    MU_ISA_AVX512,
    MU_ISA_AVX512_BF16,
    MU_ISA_AMX
};

struct mu_settings {
    /* CHOICE(list) expands to MU_FIELD_CHOICE(list)(field) */
#define MU_FIELD_INT(field)                                                 int64_t field;
#define MU_FIELD_AUTO_INT(field)                                            int64_t field;
#define MU_FIELD_REAL(field)                                                double field;
#define MU_FIELD_PAIR(field)                                                double field[2];
#define MU_FIELD_TEXT(field)                                                char field[MU_TEXT_MAX];
#define MU_FIELD_PATH(field)                                                char field[MU_TEXT_MAX];
#define MU_FIELD_CHOICE(list)                                               MU_FIELD_CHOICE_OF
#define MU_FIELD_CHOICE_OF(field)                                           int field;
#define MU_KEY(type, field, key, otherwise, least, most, unit, class, help) MU_FIELD_##type(field)
#include "orchestrator/config/schema.def"
#undef MU_KEY
#undef MU_FIELD_INT
#undef MU_FIELD_AUTO_INT
#undef MU_FIELD_REAL
#undef MU_FIELD_PAIR
#undef MU_FIELD_TEXT
#undef MU_FIELD_PATH
#undef MU_FIELD_CHOICE
#undef MU_FIELD_CHOICE_OF
};

#endif
