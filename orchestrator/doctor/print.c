#include <jansson.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/doctor/doctor.h"
#include "orchestrator/run/json_values.h"

enum { WHAT_COLUMN = 9, TEXT_COLUMN = 28 };

static const char *const words[] = {
#define MU_DOCTOR_MARK_WORD(name, word) [MU_DOCTOR_##name] = word,
    MU_DOCTOR_MARKS(MU_DOCTOR_MARK_WORD)
#undef MU_DOCTOR_MARK_WORD
};

static void print_row(FILE *out, const struct mu_doctor_row *row)
{
    int used = fprintf(out, "%-*s%s ", WHAT_COLUMN, words[row->mark], row->what);

    mu_text_wrap(out, TEXT_COLUMN, used, row->found);
    if (row->advice[0]) {
        used = fprintf(out, "%*s", TEXT_COLUMN, "do: ");
        mu_text_wrap(out, TEXT_COLUMN, used, row->advice);
    }
}

static void print_sum(FILE *out, const struct mu_doctor_report *r)
{
    size_t missing = mu_doctor_count(r, MU_DOCTOR_MISSING),
           warn = mu_doctor_count(r, MU_DOCTOR_WARN);

    if (missing > 0)
        fprintf(out, "\nTraining cannot work here: %zu thing%s missing", missing,
                missing == 1 ? " is" : "s are");
    else
        fprintf(out, "\nTraining can work here");
    if (warn > 0)
        fprintf(out, "; %zu warning%s", warn, mu_plural(warn));
    fprintf(out, "\n");
}

void mu_doctor_print(FILE *out, const struct mu_doctor_report *r)
{
    for (int missing = 1; missing >= 0; missing--)
        for (size_t i = 0; i < r->count; i++)
            if ((r->row[i].mark == MU_DOCTOR_MISSING) == (missing == 1))
                print_row(out, &r->row[i]);
    print_sum(out, r);
}

enum mu_status mu_doctor_print_json(FILE *out, const struct mu_doctor_report *r)
{
    json_t *rows = json_array(), *whole;

    for (size_t i = 0; i < r->count; i++) {
        const struct mu_doctor_row *row = &r->row[i];

        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:o, s:o}", "mark", words[row->mark], "what",
                                        row->what, "found", mu_json_text(row->found), "do",
                                        row->advice[0] ? mu_json_text(row->advice) : json_null()));
    }
    whole = json_pack("{s:s, s:s, s:b, s:i, s:o}", "schema", "muster-doctor-1", "muster",
                      MUSTER_VERSION, "works", mu_doctor_count(r, MU_DOCTOR_MISSING) == 0,
                      "warnings", (int)mu_doctor_count(r, MU_DOCTOR_WARN), "rows", rows);
    return mu_json_write(out, whole, "this machine");
}
