/* Answers: a record of the journal for programs, with a sentence in it for people. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/steer/request.h"

static const char *const result_words[] = {
    [MU_STEER_DONE] = "done",
    [MU_STEER_FAILED] = "failed",
    [MU_STEER_LATE] = "complete before",
    [MU_STEER_OUTDATED] = "outdated",
};
enum { RESULTS = sizeof result_words / sizeof *result_words };

static void tell_saved(char *out, size_t size, const struct mu_steer_answer *a)
{
    if (a->seconds > 0)
        snprintf(out, size, "checkpoint step-%08" PRId64 " written in %.*f s", a->saved,
                 a->seconds < 10 ? 2 : 0, a->seconds);
    else
        snprintf(out, size, "checkpoint step-%08" PRId64 " is there: no step was taken since",
                 a->saved);
}

struct mu_steer_text mu_steer_answer_tell(const char *run, enum mu_steer_kind kind,
                                          const struct mu_steer_answer *a)
{
    struct mu_steer_text t = {""};

    if (a->result == MU_STEER_LATE)
        snprintf(t.text, sizeof t.text,
                 "it was complete before the request was seen: step %" PRId64
                 ", with its last checkpoint",
                 a->step);
    else if (a->result == MU_STEER_OUTDATED)
        snprintf(t.text, sizeof t.text,
                 "not done: it was asked of an earlier start of this run, which had ended");
    else if (a->result == MU_STEER_FAILED)
        snprintf(t.text, sizeof t.text,
                 "the checkpoint of step %" PRId64
                 " could not be saved (the run's own output says why): training goes on, older "
                 "checkpoints are kept",
                 a->step);
    else if (kind == MU_STEER_CHECKPOINT)
        tell_saved(t.text, sizeof t.text, a);
    else
        snprintf(t.text, sizeof t.text,
                 "stopped after step %" PRId64 "; checkpoint %s/checkpoints/step-%08" PRId64
                 "; the same command goes on",
                 a->step, run, a->saved);
    return t;
}

char *mu_steer_answer_format(const struct mu_steer_request *request,
                             const struct mu_steer_answer *answer)
{
    const char *word = mu_steer_word(request->kind);
    char event[1024], *text;
    json_t *object;

    snprintf(event, sizeof event, "%s, asked for by %s: %.600s", word,
             request->by[0] ? request->by : "a file in control",
             mu_steer_answer_tell("this run", request->kind, answer).text);
    object = json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:o, s:o}", "date", mu_clock_date().text,
                       "request", mu_json_text(request->name), "what", word, "result",
                       result_words[answer->result], "step", (json_int_t)answer->step, "checkpoint",
                       (json_int_t)answer->saved, "seconds", mu_json_real(answer->seconds), "event",
                       mu_json_text(event));
    text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(object);
    return text;
}

struct search {
    const char *name;
    struct mu_steer_answer answer;
    bool found;
};

static void look_for_answer(void *context, uint32_t generation, enum mu_journal_type type,
                            const char *text, size_t size)
{
    struct search *s = context;
    json_t *record = type == MU_JOURNAL_ANSWER ? json_loadb(text, size, 0, NULL) : NULL;
    const char *result = mu_json_get_text(record, "result");
    const double seconds = mu_json_get_real(record, "seconds");
    unsigned number = 0;

    (void)generation;
    while (number < RESULTS && strcmp(result_words[number], result) != 0)
        number++;
    if (number < RESULTS && strcmp(mu_json_get_text(record, "request"), s->name) == 0) {
        s->found = true;
        s->answer = (struct mu_steer_answer){
            .result = (enum mu_steer_result)number,
            .step = mu_json_get_integer(record, "step"),
            .saved = mu_json_get_integer(record, "checkpoint"),
            .seconds = isfinite(seconds) ? seconds : 0,
        };
    }
    json_decref(record);
}

bool mu_steer_answer_find(const char *run, const struct mu_steer_request *request,
                          struct mu_steer_answer *out)
{
    struct search s = {.name = request->name};
    char folder[MU_PATH_MAX];

    if (request->is_plain || mu_path_format(folder, "%s/journal", run) != MU_OK ||
        mu_journal_replay(folder, look_for_answer, &s) != MU_OK)
        return false;
    *out = s.answer;
    return s.found;
}
