/* The values of a resolved configuration: one field a row of schema.def, plain data. Filled by the
 * parser (config.h), which leaves every value validated and every path absolute; read by everybody
 * above. After mu_settings_resolve() nothing is MU_AUTO any more but device.snapshot_every. */
#ifndef MUSTER_CONFIG_SETTINGS_H
#define MUSTER_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/schedule.h"

enum { MU_TEXT_MAX = 2048 };
#define MU_AUTO (-1)

/* The words of each CHOICE: X(list, identifier, word in the config); the enumerators are
 * MU_<list>_<identifier>. MU_CHOICE_SCHEDULE is core/schedule.h's. */
#define MU_CHOICE_NONFINITE(X) X(NONFINITE, STOP, "stop") X(NONFINITE, SKIP, "skip")
#define MU_CHOICE_MASTER(X)    X(MASTER, AUTO, "auto") X(MASTER, DEDICATED, "dedicated")
#define MU_CHOICE_MODEL(X) \
    X(MODEL, GPT2, "gpt2") X(MODEL, LLAMA, "llama") X(MODEL, SYNTHETIC, "synthetic")
#define MU_CHOICE_REDUCE(X)    X(REDUCE, EXACT, "exact") X(REDUCE, FAST, "fast")
#define MU_CHOICE_OPTIMIZER(X) X(OPTIMIZER, ADAMW, "adamw")
#define MU_CHOICE_DEVICE(X) \
    X(DEVICE, CPU, "cpu") X(DEVICE, REFERENCE, "reference") X(DEVICE, CUDA, "cuda")
#define MU_CHOICE_COLLECTIVE(X) \
    X(COLLECTIVE, AUTO, "auto") X(COLLECTIVE, MPI, "mpi") X(COLLECTIVE, NCCL, "nccl")
#define MU_CHOICE_SWITCH(X)    X(SWITCH, OFF, "off") X(SWITCH, ON, "on")
#define MU_CHOICE_PRECISION(X) X(PRECISION, FP32, "fp32") X(PRECISION, BF16, "bf16")
#define MU_CHOICE_RECOMPUTE(X) \
    X(RECOMPUTE, NONE, "none") X(RECOMPUTE, MLP, "mlp") X(RECOMPUTE, BLOCK, "block")
#define MU_CHOICE_ISA(X)               \
    X(ISA, AUTO, "auto")               \
    X(ISA, GENERIC, "generic")         \
    X(ISA, AVX2, "avx2")               \
    X(ISA, AVX512, "avx512")           \
    X(ISA, AVX512_BF16, "avx512_bf16") \
    X(ISA, AMX, "amx")

#define MU_CHOICE_LISTS(X) \
    X(NONFINITE)           \
    X(MASTER)              \
    X(MODEL)               \
    X(REDUCE)              \
    X(OPTIMIZER) X(SCHEDULE) X(DEVICE) X(COLLECTIVE) X(SWITCH) X(PRECISION) X(RECOMPUTE) X(ISA)

enum mu_nonfinite { MU_CHOICE_NONFINITE(MU_CHOICE_ID) };
enum mu_master { MU_CHOICE_MASTER(MU_CHOICE_ID) };
enum mu_model { MU_CHOICE_MODEL(MU_CHOICE_ID) };
enum mu_reduce { MU_CHOICE_REDUCE(MU_CHOICE_ID) };
enum mu_optimizer { MU_CHOICE_OPTIMIZER(MU_CHOICE_ID) };
enum mu_device_kind { MU_CHOICE_DEVICE(MU_CHOICE_ID) };
enum mu_collective_kind { MU_CHOICE_COLLECTIVE(MU_CHOICE_ID) };
enum mu_switch { MU_CHOICE_SWITCH(MU_CHOICE_ID) };
enum mu_precision { MU_CHOICE_PRECISION(MU_CHOICE_ID) };
enum mu_recompute { MU_CHOICE_RECOMPUTE(MU_CHOICE_ID) };
enum mu_isa { MU_CHOICE_ISA(MU_CHOICE_ID) };

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
