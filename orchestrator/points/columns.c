#include "orchestrator/points/columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/config/nearest.h"
#include "orchestrator/points/cell.h"

enum { SQUASHED = 64, NO_RANK = 99, NO_UNIT = -1 };

/* Heads as mu_cell_squash leaves them. A lower rank is a better kind; within a rank none is better
 * than another. */
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
     "trainingcomputeflop trainingcomputeflops modelflops"},
    {MU_COLUMN_c, 2, "budget computebudget flopbudget flopsbudget"},
    {MU_COLUMN_loss, 0,
     "valloss validloss validationloss evalloss evaluationloss finalvalloss finalvalidloss "
     "finalvalidationloss finalevalloss lossval lossvalid lossvalidation losseval"},
    {MU_COLUMN_loss, 1, "testloss finaltestloss losstest devloss heldoutloss"},
    {MU_COLUMN_loss, 2, "loss finalloss lossfinal crossentropy crossentropyloss celoss nll"},
    {MU_COLUMN_loss, 3, "trainloss trainingloss finaltrainloss finaltrainingloss losstrain"},
    {MU_COLUMN_loss, 4, "l"},
    {MU_COLUMN_weight, 1, "weight weights sampleweight"},
    {MU_COLUMN_group, 1, "group isoflopgroup isoflop budgetgroup"},
    {MU_COLUMN_seed, 1, "seed seeds randomseed rngseed seedid"},
    {MU_COLUMN_cluster, 1, "cluster clusterid"},
    {MU_COLUMN_cluster, 2, "trunk trunkid"},
    {MU_COLUMN_curve, 1, "curve curveid"},
    {MU_COLUMN_curve, 2, "run runid runname"}, /* only beside a column of steps */
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

/* For messages: "training tokens", "seed". */
static const char *meaning_of(enum mu_column column)
{
    return column <= MU_COLUMN_loss ? columns[column].help : columns[column].option;
}

void mu_points_note(struct mu_points_found *found, const char *format, ...)
{
    va_list arguments;

    if (found->notes == MU_POINTS_NOTES)
        return;
    va_start(arguments, format);
    vsnprintf(found->note[found->notes++], sizeof found->note[0], format, arguments);
    va_end(arguments);
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
    return NO_RANK;
}

static bool is_amount(enum mu_column column)
{
    return column == MU_COLUMN_n || column == MU_COLUMN_d || column == MU_COLUMN_c ||
           column == MU_COLUMN_unique;
}

static int exponent_of(enum mu_column column, const char *unit, size_t length)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (has_squashed(units[i].words, unit, length) &&
            (units[i].columns[0] ? has_word(units[i].columns, columns[column].option)
                                 : is_amount(column)))
            return units[i].exponent;
    return NO_UNIT;
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

struct match {
    int rank, exponent;
    bool unit_unknown; /* else it would match */
};

static struct match match_head(enum mu_column column, const char *head)
{
    struct match m = {rank_of(column, head, strlen(head)), 0, false};
    struct split s;
    int rank;

    if (m.rank != NO_RANK || !split_head(head, &s))
        return m;
    rank = rank_of(column, head, s.base);
    if (rank == NO_RANK || (s.plain && s.base == 1)) /* "d_k" is a width */
        return m;
    m.exponent = exponent_of(column, s.unit, s.unit_length);
    if (m.exponent != NO_UNIT)
        m.rank = rank;
    else
        m.unit_unknown = !s.plain && (is_amount(column) || column == MU_COLUMN_loss);
    return m;
}

struct search {
    const struct mu_points_request *request;
    const char *const *head;
    size_t count;
    struct mu_columns *out;
    struct mu_points_found *found;
};

/* "'a', 'b', 'c'" of the head, for a message. */
struct list {
    char text[400];
};

static struct list list_heads(const struct search *s)
{
    struct list list = {""};
    size_t used = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct mu_cell_text name = mu_cell_show(s->head[i]);

        if (used + strlen(name.text) + 24 > sizeof list.text) {
            snprintf(list.text + used, sizeof list.text - used, " and %zu more", s->count - i);
            break;
        }
        used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%s", i ? ", " : "",
                                 name.text);
    }
    return list;
}

static void take(struct search *s, enum mu_column column, size_t at, int exponent)
{
    s->out->at[column] = (int)at;
    s->out->exponent[column] = exponent;
    mu_cell_copy(s->found->column[column], sizeof s->found->column[column], s->head[at]);
    if (exponent)
        mu_points_note(s->found, "%s: %s is in units of 1e%d", meaning_of(column),
                       mu_cell_show(s->head[at]).text, exponent);
}

/* Letter by letter, else up to case, spaces and punctuation. */
static enum mu_status take_given(struct search *s, enum mu_column column)
{
    const char *given = s->request->column[column], *option = columns[column].option;
    char want[SQUASHED];
    struct mu_nearest nearest = mu_nearest_to(given);
    const char *answer;
    size_t at = 0, exact = 0, alike = 0;
    struct split split;
    int exponent = 0;

    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->head[i], given) == 0 && exact++ == 0)
            at = i;
    for (size_t i = 0; i < s->count && !exact; i++)
        if (mu_cell_squash(want, sizeof want, given, strlen(given)) &&
            has_squashed(want, s->head[i], strlen(s->head[i])) && alike++ == 0)
            at = i;
    for (size_t i = 0; i < s->count; i++)
        mu_nearest_offer(&nearest, s->head[i]);
    answer = mu_nearest_answer(&nearest);
    if (exact + alike > 1)
        return MU_FAIL(MU_USAGE, "--%s: %zu columns of %s are called '%s'; rename them", option,
                       exact + alike, s->found->path, given);
    if (exact + alike == 0 && answer)
        return MU_FAIL(MU_USAGE, "--%s: %s has no column '%s'; did you mean %s?", option,
                       s->found->path, given, mu_cell_show(answer).text);
    if (exact + alike == 0)
        return MU_FAIL(MU_USAGE, "--%s: %s has no column '%s'; its columns are %s", option,
                       s->found->path, given, list_heads(s).text);
    if (split_head(s->head[at], &split)) {
        exponent = exponent_of(column, split.unit, split.unit_length);
        if (split.plain && (split.base == 1 || rank_of(column, s->head[at], split.base) == NO_RANK))
            exponent = 0; /* "m" of "width_m" is no million */
        if (exponent == NO_UNIT && !split.plain && (is_amount(column) || column == MU_COLUMN_loss))
            mu_points_note(s->found, "%s: %s is read as plain numbers, whatever its brackets say",
                           meaning_of(column), mu_cell_show(s->head[at]).text);
        if (exponent == NO_UNIT)
            exponent = 0;
    }
    take(s, column, at, exponent);
    return MU_OK;
}

/* Whether an amount or the loss was given this column: then it is nothing else. */
static bool is_given(const struct search *s, size_t at)
{
    for (int k = 0; k < MU_COLUMNS; k++)
        if (s->request->column[k] && s->out->at[k] == (int)at &&
            (is_amount((enum mu_column)k) || k == MU_COLUMN_loss))
            return true;
    return false;
}

static bool has_steps(const struct search *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (has_squashed("step globalstep iteration iter", s->head[i], strlen(s->head[i])))
            return true;
    return false;
}

static enum mu_status guess(struct search *s, enum mu_column column)
{
    struct match best = {NO_RANK, 0, false};
    const char *others[2] = {NULL, NULL};
    size_t at = 0, other_count = 0, equal = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct match m =
            is_given(s, i) ? (struct match){NO_RANK, 0, false} : match_head(column, s->head[i]);

        if (m.rank == NO_RANK || (column == MU_COLUMN_curve && m.rank == 2 && !has_steps(s)))
            continue;
        if (m.rank < best.rank) {
            if (best.rank != NO_RANK)
                others[other_count++ > 0] = s->head[at];
            best = m;
            at = i;
            equal = 0;
        } else {
            equal += m.rank == best.rank;
            others[other_count++ > 0] = s->head[i];
            if (m.rank == best.rank)
                others[0] = s->head[i];
        }
    }
    if (best.rank == NO_RANK)
        return MU_OK;
    if (equal && strcmp(s->head[at], others[0]) == 0)
        return MU_FAIL(MU_USAGE, "%s: two columns are called %s; rename one", s->found->path,
                       mu_cell_show(s->head[at]).text);
    if (equal)
        return MU_FAIL(MU_USAGE, "%s: both %s and %s could be the %s; say which with --%s",
                       s->found->path, mu_cell_show(s->head[at]).text, mu_cell_show(others[0]).text,
                       meaning_of(column), columns[column].option);
    if (other_count > 1)
        mu_points_note(s->found, "%s: %s was taken before %s and %zu more; --%s names another",
                       meaning_of(column), mu_cell_show(s->head[at]).text,
                       mu_cell_show(others[0]).text, other_count - 1, columns[column].option);
    else if (other_count)
        mu_points_note(s->found, "%s: %s was taken before %s; --%s names another",
                       meaning_of(column), mu_cell_show(s->head[at]).text,
                       mu_cell_show(others[0]).text, columns[column].option);
    take(s, column, at, best.exponent);
    s->out->curve_guessed |= column == MU_COLUMN_curve;
    return MU_OK;
}

/* The loss and two of N, D, C. A column that would do but for its unit is named. */
static enum mu_status check_enough(const struct search *s)
{
    static const enum mu_column needed[] = {MU_COLUMN_n, MU_COLUMN_d, MU_COLUMN_c, MU_COLUMN_loss};
    const int *at = s->out->at;
    const int have = (at[MU_COLUMN_n] >= 0) + (at[MU_COLUMN_d] >= 0) + (at[MU_COLUMN_c] >= 0);
    char missing[40] = "";
    const char *found = "";

    if (have >= 2 && at[MU_COLUMN_loss] >= 0)
        return MU_OK;
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; at[needed[k]] < 0 && i < s->count; i++)
            if (match_head(needed[k], s->head[i]).unit_unknown)
                return MU_FAIL(MU_USAGE,
                               "%s: %s looks like the %s, in a unit that is not known here; %s, or "
                               "name a column with --%s",
                               s->found->path, mu_cell_show(s->head[i]).text, meaning_of(needed[k]),
                               needed[k] == MU_COLUMN_loss
                                   ? "losses are in nats a token"
                                   : "convert it to plain numbers, or to K, M, B or T",
                               columns[needed[k]].option);
    if (at[MU_COLUMN_loss] < 0)
        return MU_FAIL(MU_USAGE,
                       "%s: no column looks like the loss; name it with --loss; the "
                       "columns are %s",
                       s->found->path, list_heads(s).text);
    for (size_t k = 0; k < 3; k++) {
        if (at[needed[k]] >= 0)
            found = s->found->column[needed[k]];
        else
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s--%s",
                     missing[0] ? " or " : "", columns[needed[k]].option);
    }
    if (have == 1)
        return MU_FAIL(MU_USAGE,
                       "%s: two of parameters, training tokens and training FLOPs are needed, and "
                       "only '%s' was found; name another with %s; the columns are %s",
                       s->found->path, found, missing, list_heads(s).text);
    return MU_FAIL(MU_USAGE,
                   "%s: two of parameters, training tokens and training FLOPs are needed, and none "
                   "was found; name them with %s; the columns are %s",
                   s->found->path, missing, list_heads(s).text);
}

static enum mu_status check_head(const struct search *s)
{
    size_t numbers = 0, filled = 0;
    double value;

    for (size_t i = 0; i < s->count; i++) {
        filled += s->head[i][0] != 0;
        numbers += !mu_cell_number(s->head[i], 0, &value);
    }
    if (filled && numbers == filled)
        return MU_FAIL(MU_USAGE,
                       "%s: its first row has numbers; expected the names of the columns "
                       "(a line that begins with # is a comment)",
                       s->found->path);
    return MU_OK;
}

enum mu_status mu_columns_find(const struct mu_points_request *request, const char *const *head,
                               size_t count, struct mu_columns *out, struct mu_points_found *found)
{
    struct search s = {request, head, count, out, found};
    enum mu_status st = MU_OK;

    *out = (struct mu_columns){0};
    for (int k = 0; k < MU_COLUMNS; k++)
        out->at[k] = -1;
    MU_TRY(check_head(&s), st, done);
    for (int k = 0; k < MU_COLUMNS; k++)
        if (request->column[k] && request->column[k][0])
            MU_TRY(take_given(&s, (enum mu_column)k), st, done);
    for (int k = 0; k < MU_COLUMNS; k++)
        if (!request->column[k])
            MU_TRY(guess(&s, (enum mu_column)k), st, done);
    MU_TRY(check_enough(&s), st, done);
done:
    return st;
}
