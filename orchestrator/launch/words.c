#include "orchestrator/launch/words.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/sweep/stages.h"
#include "orchestrator/sweep_run/part_folder.h"

extern char **environ;

static enum mu_status check_sweep(const struct mu_config_source *source, struct mu_sweep_part part,
                                  struct mu_settings *settings, char folder[MU_PATH_MAX])
{
    char whole[MU_PATH_MAX];
    struct mu_sweep_spec *spec = calloc(1, sizeof *spec);
    struct mu_sweep_stages stages;
    enum mu_status st;

    if (!spec)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a sweep");
    MU_TRY(mu_sweep_read(source, settings, spec), st, done);
    MU_TRY(mu_sweep_stages_init(&stages, spec, settings, source->path), st, done);
    mu_sweep_stages_deinit(&stages);
    MU_TRY(mu_path_format(whole, "%s/%s", settings->run_dir, spec->name), st, done);
    MU_TRY(mu_sweep_part_admit(whole, part, spec, settings, source->path), st, done);
    st = mu_sweep_part_path(folder, whole, part);
done:
    free(spec);
    return st;
}

enum mu_status mu_launch_check_words(char *const *words, int count, struct mu_sweep_part part,
                                     struct mu_settings *settings, char folder[MU_PATH_MAX])
{
    const struct mu_config_source source = {.path = words[1],
                                            .overrides = words + 2,
                                            .override_count = count - 2,
                                            .environment = environ};
    enum mu_status st;

    if (strcmp(words[0], "sweep") == 0)
        return check_sweep(&source, part, settings, folder);
    MU_TRY(mu_config_load(&source, settings), st, failed);
    st = mu_path_format(folder, "%s/%s", settings->run_dir, settings->run_name);
failed:
    return st;
}
