/* fit.json: what went in; the results are made in json_results.c. Its fields and their units are
 * described in fit.schema.json, which a test holds it to. The number of threads is not in it: the
 * file is the same for any. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/report/document.h"
#include "orchestrator/report/json_parts.h"
#include "orchestrator/report/report.h"
#include "orchestrator/report/words.h"

json_t *mu_json_reals(const double *value, size_t count)
{
    json_t *list = json_array();

    for (size_t k = 0; k < count; k++)
        json_array_append_new(list, mu_json_real(value[k]));
    return list;
}

json_t *mu_json_number(const struct mu_estimate *n)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "value", mu_json_real(n->value), "low80",
                     mu_json_real(n->low80), "high80", mu_json_real(n->high80), "low95",
                     mu_json_real(n->low95), "high95", mu_json_real(n->high95));
}

json_t *mu_json_refusal(const struct mu_refusal *refusal)
{
    return refusal->refused ? json_string(refusal->why) : json_null();
}

/* Text from outside. */
static json_t *text_of(const char *text)
{
    char *clean = strdup(text);
    json_t *json;

    if (!clean)
        return NULL;
    mu_document_clean(clean);
    json = json_string(clean);
    free(clean);
    return json;
}

static json_t *input_of(const struct mu_fit *fit, const struct mu_points_found *found)
{
    json_t *columns = json_object(), *notes = json_array(), *left_out = json_array();

    for (size_t k = 0; k < found->notes; k++)
        json_array_append_new(notes, text_of(found->note[k]));
    for (enum mu_column k = 0; k < MU_COLUMNS; k++)
        json_object_set_new(columns, mu_words_column_id(k),
                            found->column[k][0] ? text_of(found->column[k]) : json_null());
    for (size_t k = 0; k < MU_POINTS_STATUSES && found->status[k].count > 0; k++)
        json_array_append_new(left_out,
                              json_pack("{s:o, s:o}", "status", text_of(found->status[k].word),
                                        "rows", mu_json_size(found->status[k].count)));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "path",
                     text_of(found->path), "columns", columns, "derived",
                     found->derived[0] ? text_of(found->derived) : json_null(), "rows",
                     mu_json_size(found->rows), "bad_rows", mu_json_size(found->bad),
                     "unfinished_rows", mu_json_size(found->not_done), "points",
                     mu_json_size(fit->points->count), "curves", mu_json_size(found->curves),
                     "seeds", mu_json_size(found->seeds), "clusters",
                     mu_json_size(fit->points->clusters), "cluster_kind",
                     text_of(fit->points->cluster_kind), "notes", notes, "left_out", left_out);
}

static json_t *rule_of(const struct mu_shape_rule *rule)
{
    if (!rule->known)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "layers",
                     rule->layers ? mu_json_size(rule->layers) : json_null(), "aspect",
                     rule->layers ? json_null() : mu_json_real(rule->aspect), "head_width",
                     mu_json_size(rule->head_width), "width_step", mu_json_size(rule->width_step),
                     "context", mu_json_size(rule->context), "vocab", mu_json_size(rule->vocab));
}

/* A seed has 64 bits, and many readers keep 53 of a number: text. */
static json_t *seed_of(uint64_t seed)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return json_string(text);
}

static const char *source_of(enum mu_rule_source source)
{
    static const char *const word[] = {
        [MU_RULE_GIVEN] = "given", [MU_RULE_POINTS] = "points", [MU_RULE_DEFAULT] = "default"};

    return word[source];
}

static json_t *methods_of(const struct mu_fit_options *o)
{
    json_t *list = json_array();

    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (!o->without[m])
            json_array_append_new(list, json_string(mu_words_method_id(m)));
    return list;
}

static json_t *options_of(const struct mu_fit *fit)
{
    const struct mu_fit_options *o = &fit->options;

    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:s, s:o, s:s, s:s, s:o, s:o, s:o}", "law",
        mu_law_of(o->law)->name, "objective", mu_words_objective_id(o->objective.kind), "delta",
        mu_json_real(o->objective.delta), "drop_top", mu_json_size(o->drop_top), "replicates",
        mu_json_size(o->replicates), "seed", seed_of(o->seed), "targets",
        mu_json_reals(o->target, o->targets), "flops_given", (int)o->flops_given, "flops",
        mu_words_flops_id(o->flops), "shape_rule", rule_of(&o->rule), "rule_source",
        source_of(fit->rule_source), "count", mu_words_count_id(o->count), "unique",
        mu_json_real(o->unique), "tolerance", mu_json_real(o->tolerance), "methods", methods_of(o));
}

static json_t *flops_of(const struct mu_flops *f)
{
    size_t knots = f->kind == MU_FLOPS_MEASURED ? f->knots.count : 0;

    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", mu_words_flops_id(f->kind), "count",
                     mu_words_count_id(f->count), "shape_rule", rule_of(&f->rule), "knots_ln_n",
                     mu_json_reals(f->knots.ln_n, knots), "knots_ln_flops",
                     mu_json_reals(f->knots.ln_flops, knots));
}

static json_t *used_of(const struct mu_fit *fit)
{
    json_t *lines = json_array();

    for (size_t k = 0;
         k < fit->dropped && k < sizeof fit->dropped_line / sizeof fit->dropped_line[0]; k++)
        json_array_append_new(lines, json_integer(fit->dropped_line[k]));
    return json_pack("{s:o, s:o, s:o, s:o}", "used", mu_json_size(fit->used), "dropped",
                     mu_json_size(fit->dropped), "dropped_lines", lines, "largest_c",
                     mu_json_real(fit->c_largest));
}

static json_t *index_of(uint32_t index)
{
    return index == MU_FIT_NONE ? json_null() : json_integer(index);
}

static json_t *shape_of(const struct mu_fit_point *p)
{
    if (p->shape.layers == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "layers", mu_json_size(p->shape.layers), "width",
                     mu_json_size(p->shape.width), "heads",
                     p->heads ? json_integer(p->heads) : json_null(), "context",
                     mu_json_size(p->shape.context), "vocab", mu_json_size(p->shape.vocab));
}

static json_t *point_of(const struct mu_fit *fit, size_t k)
{
    const struct mu_fit_point *p = &fit->points->point[k];
    double predicted = fit->residual[k].predicted;

    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o}",
        "line", p->line > 0 ? json_integer(p->line) : json_null(), "n", mu_json_real(p->n), "d",
        mu_json_real(p->d), "c", mu_json_real(p->c), "loss", mu_json_real(p->loss), "weight",
        mu_json_real(p->weight), "unique", mu_json_real(p->unique), "cluster", index_of(p->cluster),
        "group", index_of(p->group), "curve", index_of(p->curve), "seed", index_of(p->seed),
        "final", (int)p->end, "used", (int)fit->residual[k].used, "shape", shape_of(p), "budget",
        fit->budgets.of ? index_of(fit->budgets.of[k]) : json_null(), "predicted",
        mu_json_real(predicted), "residual", mu_json_real(log(p->loss / predicted)));
}

static json_t *points_of(const struct mu_fit *fit)
{
    json_t *list = json_array();

    for (size_t k = 0; k < fit->points->count; k++)
        json_array_append_new(list, point_of(fit, k));
    return list;
}

static json_t *warnings_of(const struct mu_fit *fit)
{
    json_t *list = json_array();

    for (size_t k = 0; k < fit->warnings; k++)
        json_array_append_new(list, text_of(fit->warning[k]));
    return list;
}

static json_t *document_of(const struct mu_fit *fit, const struct mu_points_found *found)
{
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "schema", "muster-fit-1", "muster", MUSTER_VERSION, "input", input_of(fit, found),
        "options", options_of(fit), "flops", flops_of(&fit->flops), "selection", used_of(fit),
        "noise",
        json_pack("{s:o, s:o, s:b}", "sd", mu_json_real(fit->noise.sd), "degrees",
                  mu_json_size(fit->noise.degrees), "repeated", (int)fit->noise.repeated),
        "law", mu_json_law(fit), "isoflop", mu_json_isoflop(fit), "envelope", mu_json_envelope(fit),
        "scaling", mu_json_scaling(fit), "disagreements", mu_json_disagreements(fit), "conventions",
        mu_json_conventions(fit), "conventions_missing",
        fit->conventions ? json_null() : text_of(fit->conventions_missing), "futures",
        mu_json_futures(fit), "warnings", warnings_of(fit), "points", points_of(fit));
}

enum mu_status mu_report_json(const char *path, const struct mu_fit *fit,
                              const struct mu_points_found *found)
{
    json_t *json = document_of(fit, found);
    char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    enum mu_status st;

    json_decref(json);
    if (!text)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
    st = mu_file_write_durably(path, text, strlen(text));
    free(text);
    return st;
}
