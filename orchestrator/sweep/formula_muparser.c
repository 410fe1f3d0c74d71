#include <math.h>
#include <muParserDLL.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sweep/formula.h"

static const char *const names[MU_FORMULA_VARIABLES] = {"N", "D", "C", "size"};

/* Without a handler of its own muParser throws, which C cannot catch. */
static void keep_error(muParserHandle_t parser)
{
    (void)parser;
}

static void find_variables(struct mu_formula *f)
{
    const int count = mupGetExprVarNum(f->parser);

    for (int i = 0; i < count; i++) {
        const char *name = NULL;
        double *place;

        mupGetExprVar(f->parser, (unsigned)i, &name, &place);
        for (int v = 0; v < MU_FORMULA_VARIABLES; v++)
            f->uses[v] |= name && strcmp(name, names[v]) == 0;
    }
}

/* muParser has assignments, by which a formula would change its own variables. */
static bool assigns(const char *text)
{
    for (const char *c = strchr(text, '='); c; c = strchr(c + 1, '='))
        if (c[1] != '=' && (c == text || !strchr("=<>!", c[-1])))
            return true;
    return false;
}

enum mu_status mu_formula_init(struct mu_formula *f, const char *text, char *why, size_t why_size)
{
    memset(f, 0, sizeof *f);
    f->parser = mupCreate(muBASETYPE_FLOAT);
    if (!f->parser)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a formula");
    mupSetErrorHandler(f->parser, keep_error);
    for (int v = 0; v < MU_FORMULA_VARIABLES; v++) {
        f->value[v] = 1;
        mupDefineVar(f->parser, names[v], &f->value[v]);
    }
    if (assigns(text)) {
        snprintf(why, why_size, "'=' assigns, which a formula cannot");
        return MU_CONFIG;
    }
    mupSetExpr(f->parser, text);
    (void)mupEval(f->parser);
    if (mupError(f->parser)) {
        snprintf(why, why_size, "%s", mupGetErrorMsg(f->parser));
        return MU_CONFIG;
    }
    find_variables(f);
    return MU_OK;
}

double mu_formula_value(struct mu_formula *f)
{
    const double value = mupEval(f->parser);
    char digits[40];

    if (mupError(f->parser) || !isfinite(value))
        return NAN;
    snprintf(digits, sizeof digits, "%.12g", value);
    return strtod(digits, NULL);
}

void mu_formula_deinit(struct mu_formula *f)
{
    if (f->parser)
        mupRelease(f->parser);
    memset(f, 0, sizeof *f);
}

const char *mu_formula_library_version(void)
{
    static char text[80];
    muParserHandle_t parser = mupCreate(muBASETYPE_FLOAT);
    const char *version = parser ? mupGetVersion(parser) : "unknown";

    snprintf(text, sizeof text, "muParser %.*s", (int)strcspn(version, " "), version);
    if (parser)
        mupRelease(parser);
    return text;
}
