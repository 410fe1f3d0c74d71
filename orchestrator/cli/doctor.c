/* `muster doctor`: the options; what is looked at is orchestrator/doctor/. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/config.h"
#include "orchestrator/doctor/doctor.h"

extern char **environ;

/* Of the configuration, or of the defaults and the environment: what has no default is of no
 * interest here. */
static enum mu_status read_config(const struct mu_words *words, struct mu_settings *settings)
{
    static const char text[] = "run: { steps = 1; }; model: { kind = \"synthetic\"; };";
    struct mu_config_source source = {.text = text,
                                      .text_size = sizeof text - 1,
                                      .text_name = "the default configuration",
                                      .environment = environ};

    if (words->count > 0)
        source = (struct mu_config_source){.path = words->word[0],
                                           .overrides = words->word + 1,
                                           .override_count = words->count - 1,
                                           .environment = environ};
    return mu_config_load(&source, settings);
}

enum mu_status mu_cli_doctor(int argc, char **argv)
{
    const char *mpirun = NULL;
    bool json = false;
    const struct mu_option options[] = {
        {"json", NULL, "the rows as JSON", .flag = &json},
        {"mpirun", "PATH", "try this mpirun instead of the one that muster was built with",
         .text = &mpirun},
    };
    const struct mu_command command = {
        .usage = "muster doctor [options] [CONFIG [key=value...]]",
        .about = "Tells what this machine can do, a line each: ok, note (nothing to do), warn "
                 "(training works, but), MISSING (training does not work), and what to do. It "
                 "starts three ranks and kills one, writes a small file where runs lie, and leaves "
                 "nothing behind. With a CONFIG: for that one's folder of runs and its "
                 "device.kind.\n\nExit code 0: training can work; 1: something is missing.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .most_words = INT_MAX,
    };
    struct mu_doctor_report *report = NULL;
    struct mu_settings *settings = NULL;
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    MU_TRY(mu_options_refuse_mpirun(&command), st, done);
    report = malloc(sizeof *report);
    settings = malloc(sizeof *settings);
    if (!report || !settings) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to ask this machine");
        goto done;
    }
    MU_TRY(read_config(&words, settings), st, done);
    MU_TRY(mu_doctor_look(
               &(struct mu_doctor_request){.mpirun = mpirun,
                                           .run_dir = settings->run_dir,
                                           .needs_gpu = settings->device_kind == MU_DEVICE_CUDA},
               report),
           st, done);
    if (json)
        MU_TRY(mu_doctor_print_json(stdout, report), st, done);
    else
        mu_doctor_print(stdout, report);
    if (mu_doctor_count(report, MU_DOCTOR_MISSING) > 0)
        st = MU_FAILED; /* told */
done:
    free(settings);
    free(report);
    return st;
}
