#include "orchestrator/config/checks.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "orchestrator/config/config.h"
#include "orchestrator/core/shards.h"

struct checking {
    const struct mu_settings *settings;
    const struct mu_place *places;
    struct mu_mistakes *mistakes;
};

#define MISTAKE(c, field, ...)                                                                \
    mu_mistakes_add((c)->mistakes, (c)->places[MU_KEY_##field], mu_keys[MU_KEY_##field].name, \
                    __VA_ARGS__)

static bool known(const struct checking *c, enum mu_key_index key)
{
    return c->places[key].source != NULL;
}

/* The divisors of n on both sides of `wanted`, for advice. */
struct divisors {
    int64_t below, above;
};
static struct divisors divisors_near(int64_t n, int64_t wanted)
{
    struct divisors d = {wanted < n ? wanted : n, wanted};

    while (n % d.below != 0)
        d.below--;
    while (d.above < n && n % d.above != 0)
        d.above++;
    d.above = d.above < n ? d.above : n;
    return d;
}

static void check_name(const struct checking *c)
{
    const char *name = c->settings->run_name;
    bool plain = *name != '.' && *name != '-';

    if (!known(c, MU_KEY_run_name))
        return;
    for (const char *letter = name; *letter; letter++)
        plain = plain && *letter != '/' && !iscntrl((unsigned char)*letter);
    if (!plain)
        MISTAKE(
            c, run_name,
            "\"%.80s\" is not a plain folder name; expected one without '/', and without '.' or "
            "'-' in front (its folder is run.dir)",
            name);
}

/* Of a gpt2 or llama: the width of the mlp between its matrices. */
static int64_t hidden_width(const struct mu_settings *s)
{
    if (s->model_hidden != MU_AUTO)
        return s->model_hidden;
    return s->model_kind == MU_MODEL_LLAMA ? (s->model_width + 23) / 24 * 64 : 4 * s->model_width;
}

/* Values that a kind would pass over in silence. */
static void check_gpt2(const struct checking *c)
{
    const struct mu_settings *s = c->settings;

    if (known(c, MU_KEY_model_hidden) && known(c, MU_KEY_model_width) &&
        s->model_hidden != MU_AUTO && s->model_hidden != 4 * s->model_width)
        MISTAKE(c, model_hidden,
                "%" PRId64 " is for model.kind = \"llama\": gpt2 has four times model.width; "
                "expected %" PRId64 ", or \"auto\"",
                s->model_hidden, 4 * s->model_width);
    if (known(c, MU_KEY_model_rope_theta) &&
        (s->model_rope_theta < 10000 || s->model_rope_theta > 10000))
        MISTAKE(c, model_rope_theta,
                "%g is for model.kind = \"llama\": gpt2 learns its positions; expected it left out",
                s->model_rope_theta);
}

static void check_llama(const struct checking *c)
{
    const struct mu_settings *s = c->settings;
    struct divisors d;

    if (!known(c, MU_KEY_model_heads) || !known(c, MU_KEY_model_width) ||
        s->model_width % s->model_heads != 0 || s->model_width / s->model_heads % 2 == 0)
        return;
    if (s->model_width % 2 != 0) {
        MISTAKE(c, model_width,
                "%" PRId64 " is odd, and so is the size of every head; rotary positions turn pairs "
                "of elements: expected an even one",
                s->model_width);
        return;
    }
    d = divisors_near(s->model_width / 2, s->model_heads);
    MISTAKE(c, model_heads,
            "%" PRId64 " heads of size %" PRId64 "; rotary positions turn pairs of elements: "
            "expected heads of even size, such as %" PRId64 " of them",
            s->model_heads, s->model_width / s->model_heads, d.below);
}

static void check_model(const struct checking *c)
{
    const struct mu_settings *s = c->settings;

    if (!known(c, MU_KEY_model_kind) || s->model_kind == MU_MODEL_SYNTHETIC)
        return;
    if (s->model_kind == MU_MODEL_LLAMA)
        check_llama(c);
    else
        check_gpt2(c);
    if (known(c, MU_KEY_model_heads) && known(c, MU_KEY_model_width) &&
        s->model_width % s->model_heads != 0) {
        struct divisors d = divisors_near(s->model_width, s->model_heads);

        MISTAKE(c, model_heads,
                "%" PRId64 " does not divide model.width = %" PRId64
                "; expected a divisor, such as "
                "%" PRId64 " or %" PRId64,
                s->model_heads, s->model_width, d.below, d.above);
    }
    if (known(c, MU_KEY_data_train) && !*s->data_train)
        MISTAKE(c, data_train,
                "missing; expected the token file to train on, which 'muster tokenize' makes");
}

static const struct mu_shards_rule *shards_rule(const struct mu_settings *s)
{
    return s->device_kind == MU_DEVICE_CUDA ? &mu_shards_gpu : &mu_shards_cpu;
}

static int64_t auto_shards(const struct mu_settings *s)
{
    return (int64_t)mu_shards_auto(shards_rule(s), (uint64_t)s->batch_sequences,
                                   (uint64_t)s->model_context);
}

static int64_t auto_micro(const struct mu_settings *s)
{
    return (int64_t)mu_shards_auto_micro(shards_rule(s),
                                         (uint64_t)(s->batch_sequences / s->batch_shards),
                                         (uint64_t)s->model_context);
}

bool mu_checks_is_auto(enum mu_key_index key, const struct mu_settings *s)
{
    return key == MU_KEY_batch_shards  ? s->batch_shards == auto_shards(s)
           : key == MU_KEY_batch_micro ? s->batch_shards > 0 && s->batch_micro == auto_micro(s)
                                       : false;
}

static void check_batch(const struct checking *c)
{
    const struct mu_settings *s = c->settings;
    int64_t shards = s->batch_shards;
    struct divisors d;

    if (!known(c, MU_KEY_batch_sequences) || !known(c, MU_KEY_batch_shards) ||
        (shards == MU_AUTO && (!known(c, MU_KEY_model_context) || !known(c, MU_KEY_device_kind))))
        return;
    if (shards == MU_AUTO)
        shards = auto_shards(s);
    if (s->batch_sequences % shards != 0) {
        d = divisors_near(s->batch_sequences, shards);
        MISTAKE(c, batch_shards,
                "%" PRId64 " does not divide batch.sequences = %" PRId64 "; expected a divisor, "
                "such as %" PRId64 " or %" PRId64 ", or \"auto\"",
                shards, s->batch_sequences, d.below, d.above);
    } else if (known(c, MU_KEY_batch_micro) && s->batch_micro != MU_AUTO &&
               s->batch_sequences / shards % s->batch_micro != 0) {
        d = divisors_near(s->batch_sequences / shards, s->batch_micro);
        MISTAKE(c, batch_micro,
                "%" PRId64 " does not divide the %" PRId64 " sequences of a shard (batch.sequences "
                "= %" PRId64 " in %" PRId64 " shards); expected a divisor, such as %" PRId64
                " or %" PRId64 ", or \"auto\"",
                s->batch_micro, s->batch_sequences / shards, s->batch_sequences, shards, d.below,
                d.above);
    }
}

static void check_schedule(const struct checking *c)
{
    const struct mu_settings *s = c->settings;
    const struct mu_schedule schedule = mu_settings_schedule(s);
    int64_t room = mu_schedule_cooldown_start(&schedule);

    if (!known(c, MU_KEY_run_steps) || !known(c, MU_KEY_schedule_kind) ||
        !known(c, MU_KEY_schedule_warmup) || !known(c, MU_KEY_schedule_cooldown))
        return;
    if (s->schedule_warmup <= room)
        return;
    if (room == s->run_steps)
        MISTAKE(c, schedule_warmup,
                "%" PRId64 " steps of warm-up do not fit in a run of %" PRId64
                " steps; expected at most that many, or a larger run.steps",
                s->schedule_warmup, s->run_steps);
    else
        MISTAKE(c, schedule_warmup,
                "%" PRId64 " steps of warm-up and %" PRId64 " of cooldown (%g of the run) do not "
                "fit in run.steps = %" PRId64 "; expected a warm-up of at most %" PRId64
                ", or a smaller optim.schedule.cooldown",
                s->schedule_warmup, s->run_steps - room, s->schedule_cooldown, s->run_steps, room);
}

static void check_device(const struct checking *c)
{
    const struct mu_settings *s = c->settings;

    if (known(c, MU_KEY_device_tune) && s->device_tune == MU_SWITCH_ON &&
        known(c, MU_KEY_device_kind) && s->device_kind != MU_DEVICE_CUDA)
        MISTAKE(c, device_tune, "\"on\" is for GPUs; expected \"off\", or device.kind = \"cuda\"");
    if (!known(c, MU_KEY_device_tf32) || s->device_tf32 == MU_SWITCH_OFF)
        return;
    if (known(c, MU_KEY_device_kind) && s->device_kind != MU_DEVICE_CUDA)
        MISTAKE(c, device_tf32, "\"on\" is for GPUs; expected \"off\", or device.kind = \"cuda\"");
    else if (known(c, MU_KEY_device_precision) && s->device_precision != MU_PRECISION_FP32)
        MISTAKE(c, device_tf32,
                "\"on\" changes nothing with device.precision = \"bf16\"; expected \"off\", or "
                "\"fp32\" there");
}

static void check_master(const struct checking *c)
{
    const struct mu_settings *s = c->settings;

    if (known(c, MU_KEY_run_master) && s->run_master == MU_MASTER_DEDICATED &&
        known(c, MU_KEY_device_kind) && s->device_kind == MU_DEVICE_CUDA)
        MISTAKE(c, run_master,
                "\"dedicated\" would leave a GPU idle; expected \"auto\": the master's duties "
                "need no GPU and no rank of their own");
}

static void check_collective(const struct checking *c)
{
    const struct mu_settings *s = c->settings;

    if (!known(c, MU_KEY_device_collective) || s->device_collective != MU_COLLECTIVE_NCCL)
        return;
    if (known(c, MU_KEY_device_kind) && s->device_kind != MU_DEVICE_CUDA)
        MISTAKE(c, device_collective,
                "\"nccl\" is for GPUs; expected \"mpi\", or device.kind = \"cuda\"");
    else if (known(c, MU_KEY_batch_reduce) && s->batch_reduce == MU_REDUCE_FAST)
        MISTAKE(c, device_collective,
                "\"nccl\" adds exactly; expected \"mpi\" with batch.reduce = \"fast\"");
    else if (known(c, MU_KEY_run_audit_every) && s->run_audit_every > 0)
        MISTAKE(c, device_collective,
                "with \"nccl\" no two ranks share a state that they could be compared by; expected "
                "\"mpi\" with run.audit_every");
}

static enum mu_collective_kind auto_collective(const struct mu_settings *s)
{
    return s->device_kind == MU_DEVICE_CUDA && s->batch_reduce != MU_REDUCE_FAST &&
                   s->run_audit_every == 0
               ? MU_COLLECTIVE_NCCL
               : MU_COLLECTIVE_MPI;
}

static void check_shard(const struct checking *c)
{
    const struct mu_settings *s = c->settings;
    const bool is_mpi =
        known(c, MU_KEY_device_collective) &&
        (s->device_collective == MU_COLLECTIVE_MPI ||
         (s->device_collective == MU_COLLECTIVE_AUTO && known(c, MU_KEY_device_kind) &&
          known(c, MU_KEY_batch_reduce) && known(c, MU_KEY_run_audit_every) &&
          auto_collective(s) == MU_COLLECTIVE_MPI));

    if (known(c, MU_KEY_optim_shard) && s->optim_shard == MU_SWITCH_ON && is_mpi)
        MISTAKE(c, optim_shard,
                "\"on\" divides the state of GPUs that add up by NCCL; with device.collective = "
                "\"mpi\" the ranks of a host share one state already; expected \"off\", or "
                "device.kind = \"cuda\" and device.collective = \"nccl\"");
}

void mu_checks_run(const struct mu_settings *settings, const struct mu_place places[MU_KEY_COUNT],
                   struct mu_mistakes *m)
{
    const struct checking c = {settings, places, m};

    check_name(&c);
    check_model(&c);
    check_batch(&c);
    check_schedule(&c);
    check_device(&c);
    check_collective(&c);
    check_master(&c);
    check_shard(&c);
}

struct mu_schedule mu_settings_schedule(const struct mu_settings *s)
{
    return (struct mu_schedule){
        .kind = (enum mu_schedule_kind)s->schedule_kind,
        .steps = s->run_steps,
        .warmup = s->schedule_warmup,
        .peak = s->optim_lr,
        .cooldown = s->schedule_cooldown,
        .floor = s->schedule_floor,
    };
}

int64_t mu_settings_branch_point(const struct mu_settings *s)
{
    const struct mu_schedule schedule = mu_settings_schedule(s);
    const int64_t step = mu_schedule_cooldown_start(&schedule);

    return s->checkpoint_every > 0 && step < schedule.steps ? step : 0;
}

enum mu_status mu_settings_resolve(struct mu_settings *s, int64_t data_vocab)
{
    struct mu_mistakes mistakes = {.count = 0};
    struct mu_place places[MU_KEY_COUNT];
    const struct checking c = {s, places, &mistakes};

    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        places[i] = (struct mu_place){"configuration", 0};
    if (s->model_vocab == MU_AUTO)
        s->model_vocab = data_vocab ? data_vocab : (int64_t)mu_keys[MU_KEY_model_vocab].least;
    s->model_hidden = hidden_width(s);
    if (s->device_collective == MU_COLLECTIVE_AUTO)
        s->device_collective = (int)auto_collective(s);
    if (s->batch_shards == MU_AUTO)
        s->batch_shards = auto_shards(s);
    check_batch(&c);
    if (s->batch_micro == MU_AUTO && mistakes.count == 0)
        s->batch_micro = auto_micro(s);
    if (s->model_vocab < data_vocab || (double)s->model_vocab < mu_keys[MU_KEY_model_vocab].least ||
        (double)s->model_vocab > mu_keys[MU_KEY_model_vocab].most)
        MISTAKE(&c, model_vocab,
                "%" PRId64 " with data whose vocabulary is %" PRId64 "; expected %s, no smaller "
                "than the data's",
                s->model_vocab, data_vocab, mu_key_expected(&mu_keys[MU_KEY_model_vocab]).text);
    return mu_mistakes_report(&mistakes);
}
