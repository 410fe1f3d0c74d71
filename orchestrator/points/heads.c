#include "orchestrator/points/heads.h"

#include <string.h>

#include "orchestrator/points/cell.h"

enum { SQUASHED = 64, FINAL_LOSS = 2, TRAIN_LOSS = 3, BY_STEPS = 2 };

/* Heads as mu_cell_squash leaves them. A lower rank is a better kind. */
static const struct {
    enum mu_column column;
    int rank;
    const char *heads;
} spellings[] = {
    {MU_COLUMN_n, 0, "paramsnonembhead nonembheadparams paramsnonembeddinghead"},
    {MU_COLUMN_n, 1,
     "n param params parameter parameters numparam numparams numparameters numberofparameters "
     "nparam nparams nparameters modelparams modelparameters modelsize modelsizeparams "
     "paramcount paramscount parametercount totalparams totalparameters paramstotal paramsall "
     "allparams nonembeddingparams nonembeddingparameters nonembparams paramsnonemb "
     "paramsnonembedding nnonembedding nnonemb"},
    {MU_COLUMN_n, 2, "size"},
    {MU_COLUMN_d, 1,
     "d token tokens trainingtoken trainingtokens traintokens numtokens numtraintokens "
     "numtrainingtokens numberoftokens ntokens ntraintokens totaltokens tokenstotal tokencount "
     "tokensseen seentokens tokensprocessed tokenstrained trainedtokens traineddtokens"},
    {MU_COLUMN_d, 2,
     "data datasize datatokens dataset datasetsize datasettokens trainingdata trainingdatasize "
     "trainingdatasetsize trainingdatasetsizedatapoints"},
    {MU_COLUMN_c, 1,
     "c flop flops trainingflop trainingflops trainflop trainflops totalflop totalflops numflops "
     "compute trainingcompute traincompute totalcompute computeflop computeflops "
     "trainingcomputeflop trainingcomputeflops modelflops floptotal flopstotal"},
    {MU_COLUMN_c, 2, "budget computebudget flopbudget flopsbudget"},
    {MU_COLUMN_loss, 0,
     "valloss validloss validationloss evalloss evaluationloss finalvalloss finalvalidloss "
     "finalvalidationloss finalevalloss lossval lossvalid lossvalidation losseval"},
    {MU_COLUMN_loss, 1, "testloss finaltestloss losstest devloss heldoutloss"},
    {MU_COLUMN_loss, 2, "loss finalloss lossfinal lmloss crossentropy crossentropyloss celoss nll"},
    {MU_COLUMN_loss, 3, "trainloss trainingloss finaltrainloss finaltrainingloss losstrain"},
    {MU_COLUMN_loss, 4, "l"},
    {MU_COLUMN_weight, 1, "weight weights sampleweight"},
    {MU_COLUMN_group, 1, "group isoflopgroup isoflop budgetgroup"},
    {MU_COLUMN_seed, 1, "seed seeds randomseed rngseed seedid"},
    {MU_COLUMN_cluster, 1, "cluster clusterid"},
    {MU_COLUMN_cluster, 2, "trunk trunkid"},
    {MU_COLUMN_curve, 1, "curve curveid"},
    {MU_COLUMN_curve, BY_STEPS, "run runid runname"},
    {MU_COLUMN_curve, BY_STEPS + 1,
     "name experiment experimentname experimentid exp expname expid"},
    {MU_COLUMN_curve, BY_STEPS + 2, "model modelname modelid"}, /* runs may share a model */
    {MU_COLUMN_unique, 1,
     "unique uniquetokens distincttokens numuniquetokens uniquedata uniquetrainingtokens"},
    {MU_COLUMN_epochs, 1, "epochs numepochs nepochs dataepochs"},
    {MU_COLUMN_layers, 1, "layers nlayers nlayer numlayers numhiddenlayers depth"},
    {MU_COLUMN_width, 1,
     "width dmodel modeldim modelwidth hiddensize hiddendim embeddim nembd embd dimmodel"},
    {MU_COLUMN_heads, 1, "heads nheads nhead numheads numattentionheads attentionheads"},
    {MU_COLUMN_context, 1,
     "context contextlength contextsize ctx nctx seqlen seqlength sequencelength maxseqlen "
     "blocksize"},
    {MU_COLUMN_vocab, 1, "vocab vocabsize nvocab numvocab vocabulary vocabularysize"},
    {MU_COLUMN_status, 1, "status state runstatus"},
};

static const struct {
    const char *words; /* squashed */
    int exponent;
    const char *columns; /* options it is a unit of; "": of all amounts */
} units[] = {
    {"k thousand thousands 1e3 103", 3, ""},
    {"m mio million millions 1e6 106", 6, ""},
    {"b bn g billion billions 1e9 109", 9, ""},
    {"t trillion trillions 1e12 1012", 12, ""},
    {"1e15 1015", 15, ""},
    {"1e18 1018", 18, ""},
    {"1e21 1021", 21, ""},
    {"gflop gflops gigaflop gigaflops", 9, "c"},
    {"tflop tflops teraflop teraflops", 12, "c"},
    {"pflop pflops petaflop petaflops", 15, "c"},
    {"eflop eflops exaflop exaflops", 18, "c"},
    {"zflop zflops zettaflop zettaflops", 21, "c"},
    {"flop flops", 0, "c"},
    {"param params parameters", 0, "n"},
    {"token tokens", 0, "d unique"},
    {"nat nats natstoken natspertoken", 0, "loss"},
};

static const struct {
    const char *option, *help;
} columns[] = {
#define MU_COLUMN_ROW(field, option, help) {option, help},
    MU_COLUMN_TABLE(MU_COLUMN_ROW)
#undef MU_COLUMN_ROW
};

const char *mu_column_option(enum mu_column column)
{
    return columns[column].option;
}

const char *mu_column_meaning(enum mu_column column)
{
    return column <= MU_COLUMN_loss ? columns[column].help : columns[column].option;
}

bool mu_column_is_amount(enum mu_column column)
{
    return column == MU_COLUMN_n || column == MU_COLUMN_d || column == MU_COLUMN_c ||
           column == MU_COLUMN_unique;
}

bool mu_column_is_number(enum mu_column column)
{
    return column != MU_COLUMN_group && column != MU_COLUMN_seed && column != MU_COLUMN_cluster &&
           column != MU_COLUMN_curve && column != MU_COLUMN_status;
}

static bool has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);

    for (; length && *words; words += strcspn(words, " "), words += strspn(words, " "))
        if (strcspn(words, " ") == length && memcmp(words, word, length) == 0)
            return true;
    return false;
}

static bool has_squashed(const char *words, const char *text, size_t length)
{
    char squashed[SQUASHED];

    return mu_cell_squash(squashed, sizeof squashed, text, length) && has_word(words, squashed);
}

static int rank_of(enum mu_column column, const char *head, size_t length)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].column == column && has_squashed(spellings[i].heads, head, length))
            return spellings[i].rank;
    return MU_HEAD_NONE;
}

/* Behind the last / or . of "train/tokens_seen" and "eval.loss"; NULL: there is none, or only in
 * brackets. */
static const char *last_part(const char *head, size_t length)
{
    const char *part = NULL;

    for (size_t i = 0; i < length && !strchr("([", head[i]); i++)
        if (strchr("/.", head[i]))
            part = head + i + 1;
    return part;
}

/* "eval/c4/loss" is a validation loss, "train/lm_loss" one of training. */
static int rank_of_folders(const char *head, const char *part)
{
    int rank = FINAL_LOSS;

    while (head < part) {
        const size_t length = strcspn(head, "/.");

        if (has_squashed("val valid validation eval evaluation", head, length))
            rank = 0;
        else if (has_squashed("test dev heldout", head, length))
            rank = 1;
        else if (has_squashed("train training", head, length))
            rank = TRAIN_LOSS;
        head += length + 1;
    }
    return rank;
}

/* "tokens/param" is neither. */
static bool is_ratio(enum mu_column column, const char *head, const char *part)
{
    /* "data/flops" and "size/tokens" are none */
    static const int most[] = {
        [MU_COLUMN_n] = 1, [MU_COLUMN_d] = 1, [MU_COLUMN_c] = 1, [MU_COLUMN_loss] = TRAIN_LOSS};
    const char *begin = part - 1;

    while (begin > head && begin[-1] != '/')
        begin--;
    for (enum mu_column k = MU_COLUMN_n; part[-1] == '/' && k <= MU_COLUMN_loss; k++)
        if (k != column && rank_of(k, begin, (size_t)(part - 1 - begin)) <= most[k])
            return true;
    return false;
}

/* Of the last part of a path. Words that are too common for that ("model/d", "data/size",
 * "loss/weight") do not count. */
static int rank_of_part(enum mu_column column, const char *head, size_t length)
{
    const char *part = last_part(head, length);
    int rank;

    if (!part || head + length < part + 2 || column == MU_COLUMN_weight ||
        column == MU_COLUMN_group || column == MU_COLUMN_cluster || column == MU_COLUMN_status ||
        is_ratio(column, head, part))
        return MU_HEAD_NONE;
    rank = rank_of(column, part, (size_t)(head + length - part));
    if (mu_column_is_amount(column) && rank > 1)
        return MU_HEAD_NONE;
    return column == MU_COLUMN_loss && rank == FINAL_LOSS ? rank_of_folders(head, part) : rank;
}

/* Twice the rank of its kind, and 1 more when it is but part of a path. */
static int rank_in_all(enum mu_column column, const char *head, size_t length)
{
    int rank = rank_of(column, head, length);

    if (length > 2 && strncmp(head + length - 2, "/s", 2) == 0) /* "FLOP/s" is a speed */
        return MU_HEAD_NONE;
    if (rank != MU_HEAD_NONE)
        return 2 * rank;
    rank = rank_of_part(column, head, length);
    return rank == MU_HEAD_NONE ? rank : 2 * rank + 1;
}

static int exponent_of(enum mu_column column, const char *unit, size_t length)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (has_squashed(units[i].words, unit, length) &&
            (units[i].columns[0] ? has_word(units[i].columns, mu_column_option(column))
                                 : mu_column_is_amount(column)))
            return units[i].exponent;
    return MU_HEAD_NO_UNIT;
}

/* A head in two: "Params (B)", "tokens in millions", "params_M". */
struct split {
    size_t base; /* bytes before the unit */
    const char *unit;
    size_t unit_length;
    bool plain; /* nothing but a separator sets the unit apart: it may well be none */
};

static bool split_head(const char *head, struct split *out)
{
    size_t length = strlen(head);
    const char *open = NULL;

    if (length && (head[length - 1] == ')' || head[length - 1] == ']'))
        open = strrchr(head, head[length - 1] == ')' ? '(' : '[');
    if (open) {
        *out = (struct split){(size_t)(open - head), open + 1, 0, false};
        out->unit_length = length - out->base - 2;
        return true;
    }
    for (size_t i = length; i-- > 1;) {
        if (!strchr(" _-./", head[i]))
            continue;
        *out = (struct split){i, head + i + 1, length - i - 1, true};
        if (i >= 3 && strchr(" _", head[i - 3]) && strncmp(head + i - 2, "in", 2) == 0) {
            out->base = i - 3;
            out->plain = false;
        }
        return true;
    }
    return false;
}

struct mu_head_match mu_head_match(enum mu_column column, const char *head)
{
    struct mu_head_match m = {rank_in_all(column, head, strlen(head)), 0, false, false};
    struct split s;
    int rank;

    m.needs_steps = column == MU_COLUMN_curve && m.rank >= 2 * BY_STEPS;
    if (m.rank != MU_HEAD_NONE || !split_head(head, &s))
        return m;
    rank = rank_in_all(column, head, s.base);
    if (rank == MU_HEAD_NONE || (s.plain && s.base == 1)) /* "d_k" is a width */
        return m;
    m.exponent = exponent_of(column, s.unit, s.unit_length);
    if (m.exponent != MU_HEAD_NO_UNIT)
        m.rank = rank;
    else
        m.unit_unknown = !s.plain && (mu_column_is_amount(column) || column == MU_COLUMN_loss);
    return m;
}

int mu_head_unit(enum mu_column column, const char *head)
{
    struct split s;
    int exponent;

    if (!split_head(head, &s))
        return 0;
    exponent = exponent_of(column, s.unit, s.unit_length);
    if (s.plain && (s.base == 1 || rank_in_all(column, head, s.base) == MU_HEAD_NONE))
        return 0; /* "m" of "width_m" is no million */
    if (exponent != MU_HEAD_NO_UNIT)
        return exponent;
    return !s.plain && (mu_column_is_amount(column) || column == MU_COLUMN_loss) ? MU_HEAD_NO_UNIT
                                                                                 : 0;
}

bool mu_head_is_alike(const char *head, const char *want)
{
    char squashed[SQUASHED];

    return mu_cell_squash(squashed, sizeof squashed, want, strlen(want)) &&
           has_squashed(squashed, head, strlen(head));
}

bool mu_head_is_step(const char *head)
{
    static const char words[] = "step steps globalstep trainstep trainsteps trainingstep "
                                "trainingsteps trainglobalstep iteration iterations iter iters "
                                "update updates";
    const size_t length = strlen(head);
    const char *part = last_part(head, length);

    return has_squashed(words, head, length) ||
           (part && has_squashed(words, part, (size_t)(head + length - part)));
}

bool mu_head_is_perplexity(const char *head)
{
    char squashed[SQUASHED];
    size_t length;

    if (!mu_cell_squash(squashed, sizeof squashed, head, strlen(head)) || strstr(squashed, "log") ||
        strncmp(squashed, "ln", 2) == 0)
        return false;
    length = strlen(squashed);
    if (strstr(squashed, "perplexity") || strncmp(squashed, "ppl", 3) == 0)
        return true;
    return length >= 3 && strcmp(squashed + length - 3, "ppl") == 0;
}
