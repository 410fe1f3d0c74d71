/* results.csv: made anew each time from what the sweep knows, so that its bytes follow from the
 * results alone. Not synced: the journal holds the results, and a fsync would hold up the rank that
 * writes. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <csv.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/sweep_run/records.h"
#include "worker/workload.h"

/* Heads are those that `muster fit` finds by itself; run_steps, since a column of steps is for it
 * one of loss curves. */
static const char head[] =
    "trial,role,trunk,parent,shared_steps,twin,seed,status,group,params_nonemb_head,params_nonemb,"
    "params_all,layers,width,heads,context,vocab,tokens,flops,flops_6N_nonemb_head,flops_6N_nonemb,"
    "flops_6N_all,flops_6N12LdT_nonemb_head,flops_6N12LdT_nonemb,flops_6N12LdT_all,tuned_key,"
    "tuned_value,batch_tokens,run_steps,loss,bits_per_byte,hash";

struct writing {
    FILE *out;
    const struct mu_sweep_state *state;
};

static const struct mu_sweep_trial *trial_of(const struct mu_sweep_state *s, uint32_t i)
{
    return &s->stages->trials.item[i];
}

/* Cells that begin as one run, whichever of them is the longest now: a size and a seed. */
static void put_trunk(FILE *out, const struct mu_sweep_spec *spec, const struct mu_sweep_trial *t)
{
    const char *dot = strrchr(spec->size_key, '.');

    if (spec->share_trunk && t->role == MU_SWEEP_CELL && t->size > 0)
        fprintf(out, "%s%.15g-s%" PRId64, dot ? dot + 1 : spec->size_key, t->size,
                t->settings.run_seed);
    else
        fputs(t->name, out);
}

static const char *twin_of(const struct mu_sweep_trials *trials, uint32_t i)
{
    const uint32_t cell = mu_sweep_control_of(trials, i);

    return cell == MU_TRIAL_ALONE ? "" : trials->item[cell].name;
}

/* What tunes and what controls is no result of the grid. */
static const char *status_of(const struct mu_sweep_trial *t, const struct mu_cell *cell)
{
    static const char *const complete[] = {
        [MU_SWEEP_CELL] = "complete", [MU_SWEEP_TUNE] = "tuning", [MU_SWEEP_CONTROL] = "control"};

    return cell->phase == MU_CELL_COMPLETE ? complete[t->role] : mu_cell_word(cell->phase);
}

static void put_identity(struct writing *w, uint32_t i)
{
    const struct mu_sweep_trials *trials = &w->state->stages->trials;
    const struct mu_sweep_trial *t = &trials->item[i];
    const bool branches = t->shared > 0 && t->trunk < trials->count;

    fprintf(w->out, "%s,%s,", t->name, mu_sweep_role_word(t->role));
    put_trunk(w->out, w->state->spec, t);
    fprintf(w->out, ",%s,%" PRId64 ",%s,%" PRId64 ",%s,",
            branches ? trials->item[t->trunk].name : "", branches ? t->shared : 0,
            twin_of(trials, i), t->settings.run_seed, status_of(t, &w->state->cell[i]));
    if (t->budget > 0)
        fprintf(w->out, "%.15g", t->budget);
}

static void put_shape(struct writing *w, const struct mu_settings *s, const struct mu_counts *n)
{
    fprintf(w->out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, n->non_embedding_head, n->non_embedding,
            n->all);
    if (s->model_kind == MU_MODEL_SYNTHETIC)
        fputs(",,,,,", w->out);
    else
        fprintf(w->out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
                s->model_layers, s->model_width, s->model_heads, s->model_context, s->model_vocab);
}

/* Under all conventions that a fit knows: laws of different ones do not compare. */
static void put_flops(struct writing *w, const struct mu_sweep_trial *t, const struct mu_counts *n)
{
    const struct mu_settings *s = &t->settings;
    const double size[] = {(double)n->non_embedding_head, (double)n->non_embedding, (double)n->all};
    const double attention =
        s->model_kind == MU_MODEL_SYNTHETIC
            ? 0
            : mu_count_attention((double)s->model_layers, (double)s->model_width,
                                 (double)s->model_context);

    fprintf(w->out, ",%.0f,%.17g", t->tokens, t->flops);
    for (int k = 0; k < 3; k++)
        fprintf(w->out, ",%.17g", 6 * size[k] * t->tokens);
    for (int k = 0; k < 3; k++)
        fprintf(w->out, ",%.17g", (6 * size[k] + attention) * t->tokens);
}

/* As a configuration has it; in quotes where it could be taken for several cells. */
static void put_value(FILE *out, const char *key, const struct mu_sweep_trial *t)
{
    char value[MU_PATH_MAX] = "";
    size_t length;
    FILE *text;

    if (strcmp(key, "batch.tokens") == 0) {
        fprintf(out, "%.0f", t->tokens_per_step);
        return;
    }
    text = fmemopen(value, sizeof value, "w");
    if (!text)
        return;
    mu_key_print_value(text, mu_sweep_key(key), &t->settings);
    fclose(text);
    length = strlen(value);
    if (length >= 2 && value[0] == '"' && !strpbrk(value + 1, "\\\n")) { /* a file's quotes */
        value[length - 1] = '\0';
        memmove(value, value + 1, length - 1);
    }
    if (strpbrk(value, ",\""))
        csv_fwrite(out, value, strlen(value));
    else
        fputs(value, out);
}

static void put_result(struct writing *w, uint32_t i)
{
    const struct mu_sweep_law *tuned = mu_sweep_tuned(w->state->spec);
    const struct mu_sweep_trial *t = trial_of(w->state, i);
    const struct mu_cell *cell = &w->state->cell[i];
    const double loss = isfinite(cell->valid_loss) ? cell->valid_loss : cell->train_loss;
    const bool complete = cell->phase == MU_CELL_COMPLETE;

    fprintf(w->out, ",%s,", tuned ? tuned->key : "");
    if (tuned)
        put_value(w->out, tuned->key, t);
    fprintf(w->out, ",%.0f,%" PRId64 ",", t->tokens_per_step, t->settings.run_steps);
    if (complete && isfinite(loss))
        fprintf(w->out, "%.17g", loss);
    fputc(',', w->out);
    if (complete && isfinite(cell->valid_loss) && isfinite(cell->valid_bits_per_byte))
        fprintf(w->out, "%.17g", cell->valid_bits_per_byte);
    fprintf(w->out, ",%s", complete && cell->has_hash ? mu_hash_print(cell->hash).text : "");
}

static void put_row(struct writing *w, uint32_t i)
{
    const struct mu_sweep_spec *spec = w->state->spec;
    const struct mu_sweep_trial *t = trial_of(w->state, i);
    const struct mu_counts n = mu_workload_counts(&t->settings);

    put_identity(w, i);
    put_shape(w, &t->settings, &n);
    put_flops(w, t, &n);
    put_result(w, i);
    for (uint32_t a = 0; a < spec->grid.count; a++) {
        fputc(',', w->out);
        put_value(w->out, spec->grid.item[a].key, t);
    }
    fputc('\n', w->out);
}

static int by_name(const void *one, const void *other, void *trials)
{
    const struct mu_sweep_trial *item = trials;

    return strcmp(item[*(const uint32_t *)one].name, item[*(const uint32_t *)other].name);
}

/* "grid_model_width": `muster fit` takes it for no width. */
static void put_axis_head(FILE *out, const char *key)
{
    fputs(",grid_", out);
    for (; *key; key++)
        fputc(*key == '.' ? '_' : *key, out);
}

static void put_all(struct writing *w, uint32_t *order)
{
    const struct mu_sweep_state *s = w->state;
    uint32_t ended = 0;

    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        if (mu_cell_has_ended(s->cell[i].phase))
            order[ended++] = i;
    if (ended > 0)
        qsort_r(order, ended, sizeof *order, by_name, s->stages->trials.item);
    fputs(head, w->out);
    for (uint32_t a = 0; a < s->spec->grid.count; a++)
        put_axis_head(w->out, s->spec->grid.item[a].key);
    fputc('\n', w->out);
    for (uint32_t i = 0; i < ended; i++)
        put_row(w, order[i]);
}

enum mu_status mu_sweep_write_results(const struct mu_sweep_state *s)
{
    uint32_t *order = calloc((size_t)s->stages->trials.count + 1, sizeof *order);
    struct writing w = {.state = s};
    char path[MU_PATH_MAX], *text = NULL;
    size_t size = 0;
    enum mu_status st;

    MU_TRY(mu_path_format(path, "%s/results.csv", s->path), st, done);
    w.out = order ? open_memstream(&text, &size) : NULL;
    if (!w.out) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
        goto done;
    }
    put_all(&w, order);
    st = fclose(w.out) == 0 ? mu_file_write_atomically(path, text, size)
                            : MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
done:
    free(text);
    free(order);
    return st;
}
