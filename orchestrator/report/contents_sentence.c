/* The sentence to remember: what to train with the smallest budget asked for, how sure that is, and
 * what speaks against it. */
#include <stdlib.h>

#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

double mu_contents_smallest(const struct mu_fit *fit)
{
    double smallest = INFINITY;

    for (size_t i = 0; i < fit->points->count; i++)
        if (fit->residual[i].used && fit->points->point[i].weight > 0)
            smallest = fmin(smallest, fit->points->point[i].c);
    return smallest;
}

double mu_contents_epochs(const struct mu_fit *fit, const struct mu_fit_optimum *o)
{
    return fit->options.law == MU_LAW_DATA_CONSTRAINED && isfinite(fit->options.unique)
               ? o->d.value / fit->options.unique
               : NAN;
}

static void put_loss(FILE *out, const struct mu_estimate *loss)
{
    fprintf(out, "a loss of %s", mu_figure(loss->value, 4).text);
    if (!isnan(loss->low95))
        fprintf(out, " (95 %%: %s to %s)", mu_figure(loss->low95, 4).text,
                mu_figure(loss->high95, 4).text);
}

static void put_run(FILE *out, const struct mu_fit *fit, const struct mu_fit_optimum *o)
{
    const double epochs = mu_contents_epochs(fit, o);

    fprintf(out, "train %s", mu_figure_words(o->n.value).text);
    if (!isnan(o->n.low95))
        fprintf(out, " (95 %%: %s)",
                mu_figure_words_range(o->n.value, o->n.low95, o->n.high95).text);
    fprintf(out, " parameters on %s tokens", mu_figure_words(o->d.value).text);
    if (epochs > 1)
        fprintf(out, " (%s passes over the %s distinct ones)", mu_figure_short(epochs, 3).text,
                mu_figure_words(fit->options.unique).text);
    if (!isnan(o->loss.value)) {
        fputs(", for ", out);
        put_loss(out, &o->loss);
    }
    fputc('.', out);
    if (o->n_low > 0 && isfinite(o->n_high) && fit->options.tolerance > 0)
        fprintf(out, " Any size from %s to %s costs less than %s %% of the loss.",
                mu_figure_words(o->n_low).text, mu_figure_words(o->n_high).text,
                mu_figure_short(100 * fit->options.tolerance, 3).text);
}

/* Methods that disagree with this one, with their N of this budget. */
static void put_disagreement(FILE *out, const struct mu_fit *fit, enum mu_method method)
{
    size_t flagged = 0, with_this = 0;

    for (size_t k = 0; k < fit->disagreements; k++)
        flagged += fit->disagreement[k].flagged;
    if (flagged == 0)
        return;
    fputs(" The methods disagree beyond their intervals", out);
    for (size_t k = 0; k < fit->disagreements; k++) {
        const struct mu_fit_disagreement *d = &fit->disagreement[k];
        const enum mu_method other = d->one == method ? d->other : d->one;

        if (!d->flagged || (d->one != method && d->other != method))
            continue;
        fprintf(out, "%s%s by the %s method", with_this++ > 0 ? ", " : ": ",
                mu_figure_words(fit->scaling[other].target[0].n.value).text,
                mu_words_method(other));
    }
    fputc('.', out);
}

static void put_weak(FILE *out, const struct mu_fit *fit)
{
    const struct mu_law *law = mu_law_of(fit->law.kind);
    size_t weak = 0;

    for (size_t k = 0; k < law->parameters; k++)
        if (fit->law.weak[k])
            fprintf(out, "%s%s",
                    weak++ > 0 ? ", " : " Weakly identified by the points: ", law->parameter[k]);
    if (weak > 0)
        fputc('.', out);
}

static void put_reach(FILE *out, const struct mu_fit *fit, const struct mu_fit_optimum *o)
{
    if (o->far)
        fprintf(out, " Far beyond the points (up to %s FLOPs): take it as a hint.",
                mu_figure_short(fit->c_largest, 4).text);
    else if (mu_contents_below(fit, o))
        fprintf(out, " Below half of the smallest budget fitted (%s FLOPs): take it as a hint.",
                mu_figure_short(mu_contents_smallest(fit), 4).text);
}

void mu_contents_sentence(struct mu_document *doc, const struct mu_fit *fit, enum mu_method method)
{
    const struct mu_fit_optimum *o = &fit->scaling[method].target[0];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        doc->failed = true;
        return;
    }
    fprintf(out, "With %s FLOPs ", mu_figure_short(o->c, 4).text);
    if (isnan(o->n.value)) {
        fputs("expect ", out);
        put_loss(out, &o->loss);
        fputs("; no method tells the best size.", out);
    } else {
        put_run(out, fit, o);
        put_disagreement(out, fit, method);
    }
    if (method == MU_METHOD_PARAMETRIC)
        put_weak(out, fit);
    put_reach(out, fit, o);
    if (fclose(out) == 0)
        mu_document_say(doc, MU_BLOCK_LEAD, "%s", text);
    else
        doc->failed = true;
    free(text);
}
