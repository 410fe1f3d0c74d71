/* MPI: not what it says of itself, but what it does. Three ranks are started as `muster launch`
 * would start them; when the shell's mpirun is another one, two as the user would with that. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/program.h"
#include "orchestrator/doctor/parts.h"
#include "orchestrator/launch/mpi_settings.h"
#include "orchestrator/launch/mpirun.h"
#include "orchestrator/launch/remains.h"

enum { VERSION_MS = 3000, TRIAL_MS = 5000, RANKS = 3 };

#define GET_MPI "scripts/setup && scripts/build, or scripts/build -DMUSTER_MPI_PREFIX=/where/it/is"

static bool is_same_file(const char *a, const char *b)
{
    char real_a[PATH_MAX], real_b[PATH_MAX];

    return realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0;
}

/* What cannot be started is as if it had been and failed: its row says why. */
static void start_trial(struct mu_doctor_mpi *m)
{
    static char verb[] = "rank-check";
    char *words[] = {verb, NULL};
    struct mu_mpirun_request request = {
        .mpirun = m->mpirun,
        .ranks = RANKS,
        .words = words,
        .word_count = 1,
        .job = "",
        .folder = m->folder,
    };
    int output[2] = {-1, -1};
    pid_t pid = -1;

    m->trial.error = ENOENT;
    if (!m->folder[0] || pipe2(output, O_CLOEXEC) != 0)
        return;
    request.output = output[1];
    mu_log_set_level(MU_LOG_SILENT); /* the row tells it */
    if (mu_mpirun_start(&request, &pid) == MU_OK)
        mu_apart_adopt(&m->trial, pid, output[0], TRIAL_MS);
    else
        close(output[0]);
    mu_log_reset_level();
    close(output[1]);
}

void mu_doctor_mpi_ask(struct mu_doctor_mpi *m, const struct mu_doctor_request *request)
{
    char self[MU_PATH_MAX];

    mu_mpi_find(&m->place);
    m->mpirun = request->mpirun ? request->mpirun : m->place.mpirun;
    m->same = mu_doctor_find_program("mpirun", m->on_path) && is_same_file(m->on_path, m->mpirun);
    mu_apart_start(&m->version, (const char *const[]){m->mpirun, "--version", NULL}, VERSION_MS);
    if (mu_remains_make_folder(m->folder) != MU_OK)
        m->folder[0] = 0;
    start_trial(m);
    if (!m->on_path[0] || m->same)
        return;
    mu_program_path(self);
    mu_apart_start(&m->path_version, (const char *const[]){m->on_path, "--version", NULL},
                   VERSION_MS);
    mu_apart_start(&m->path_trial,
                   (const char *const[]){m->on_path, "-n", "2", self, "rank-check", NULL},
                   TRIAL_MS);
}

/* A start hangs now and then on a loaded machine, one in about fifty: it is tried once more. */
static void try_again(struct mu_doctor_mpi *m, const volatile sig_atomic_t *stop)
{
    struct mu_apart *const trial[] = {&m->trial};

    if (*stop || !m->trial.late || !mu_apart_succeeded(&m->version))
        return;
    start_trial(m);
    mu_apart_wait(trial, 1, stop);
}

static bool tell_version(const struct mu_doctor_mpi *m, struct mu_doctor_report *r)
{
    char version[40], why[300];

    if (m->version.error != 0) {
        mu_apart_explain(&m->version, why, sizeof why);
        mu_doctor_add(r, MU_DOCTOR_MISSING, "mpirun", GET_MPI, "%s: %s", m->mpirun, why);
        return false;
    }
    mu_apart_explain(&m->version, why, sizeof why);
    if (!mu_apart_succeeded(&m->version))
        mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun", NULL, "%s --version: %s", m->mpirun, why);
    else if (!mu_doctor_version(m->version.text, version, sizeof version))
        mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun", GET_MPI,
                      "%s does not tell its version: \"%.60s\"", m->mpirun, m->version.text);
    else if (!strstr(m->version.text, "Open MPI") && !strstr(m->version.text, "OpenRTE"))
        mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun", GET_MPI,
                      "%s is no Open MPI's, and muster was built with Open MPI %s", m->mpirun,
                      mu_mpi_version);
    else if (strcmp(version, mu_mpi_version) != 0)
        mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun", "scripts/build, so that both are of one version",
                      "%s is of Open MPI %s, and muster was built with %s", m->mpirun, version,
                      mu_mpi_version);
    else
        mu_doctor_add(r, MU_DOCTOR_OK, "mpirun", NULL, "Open MPI %s, as muster was built with: %s",
                      version, m->mpirun);
    return true;
}

static bool tell_start(const struct mu_doctor_mpi *m, const struct mu_doctor_ranks *ranks,
                       struct mu_doctor_report *r)
{
    char why[300];

    mu_apart_explain(&m->trial, why, sizeof why);
    if (ranks->ranks == RANKS) {
        mu_doctor_add(r, MU_DOCTOR_OK, "start of ranks", NULL,
                      "%d ranks on %d host%s started, met and exchanged (%s)", ranks->ranks,
                      ranks->hosts, ranks->hosts == 1 ? "" : "s", ranks->mpi);
        return true;
    }
    if (!m->folder[0])
        snprintf(why, sizeof why,
                 "no folder for temporary files could be made; is TMPDIR, or "
                 "/tmp, full or read-only?");
    if (ranks->ranks > 0)
        mu_doctor_add(r, MU_DOCTOR_MISSING, "start of ranks", GET_MPI,
                      "%d were started, and %d met: %s belongs to another MPI than the %s that "
                      "muster loads",
                      RANKS, ranks->ranks, m->mpirun, ranks->mpi);
    else
        mu_doctor_add(r, MU_DOCTOR_MISSING, "start of ranks",
                      "see what `muster launch -n 2 train configs/synthetic.cfg` says; " GET_MPI,
                      "%s could not start %d ranks that meet: %s", m->mpirun, RANKS,
                      mu_apart_succeeded(&m->trial) ? "it says nothing" : why);
    return false;
}

static void tell_death(const struct mu_doctor_ranks *ranks, const struct mu_apart *trial,
                       struct mu_doctor_report *r)
{
    if (ranks->survivors == RANKS - 1)
        mu_doctor_add(r, MU_DOCTOR_OK, "death of a rank", NULL,
                      "one of %d was killed, and the others went on within %.0f ms", RANKS,
                      ranks->survived_ms);
    else if (!ranks->fault_tolerant)
        mu_doctor_add(r, MU_DOCTOR_WARN, "death of a rank",
                      "`muster launch` goes on from the newest checkpoint by itself; scripts/setup "
                      "gets an Open MPI that has ULFM, then scripts/build",
                      "ends the run: %s has no fault tolerance (ULFM), or it is switched off",
                      ranks->mpi);
    else
        mu_doctor_add(
            r, MU_DOCTOR_WARN, "death of a rank",
            "`muster launch` goes on from the newest checkpoint by itself",
            "ends the run: one of %d was killed, and the others did not go on (%s)", RANKS,
            trial->late ? "they still waited after some seconds" : "mpirun ended all of them");
}

static void tell_binding(const struct mu_doctor_ranks *ranks, struct mu_doctor_report *r)
{
    static const char *const variables[] = {"PRTE_MCA_hwloc_default_binding_policy",
                                            "OMPI_MCA_hwloc_base_binding_policy", "SLURM_CPU_BIND"};
    const int usable = mu_cores_usable();
    char policy[200] = "";

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]) && !policy[0])
            snprintf(policy, sizeof policy, " (%s=%.100s)", variables[i], getenv(variables[i]));
    if (ranks->ranks == 0 || ranks->least_cores >= usable)
        mu_doctor_add(r, MU_DOCTOR_OK, "binding", NULL, "a rank may use all of %d core%s%s", usable,
                      usable == 1 ? "" : "s", policy);
    else
        mu_doctor_add(r, MU_DOCTOR_NOTE, "binding",
                      "with device.threads beyond that, mpirun --bind-to none",
                      "mpirun gives a rank %d to %d of the %d cores%s", ranks->least_cores,
                      ranks->most_cores, usable, policy);
}

/* Settings of build/env that this shell lacks. */
static int settings_lacking(void)
{
    int lacking = 0;

    for (const char *const *s = mu_mpi_settings; *s; s++) {
        char name[128];

        snprintf(name, sizeof name, "%.*s", (int)strcspn(*s, "="), *s);
        lacking += getenv(name) == NULL;
    }
    return lacking;
}

static void tell_path(const struct mu_doctor_mpi *m, struct mu_doctor_report *r)
{
    static const char advice[] =
        "`. build/env` (installed: `. PREFIX/share/muster/env`) puts the "
        "right one first, with its settings; `muster launch` needs neither";
    struct mu_doctor_ranks ranks = mu_doctor_read_ranks(m->path_trial.text);
    char version[40] = "", why[300];

    if (!m->on_path[0]) {
        mu_doctor_add(r, MU_DOCTOR_NOTE, "mpirun on PATH", advice, "none");
    } else if (m->same && settings_lacking() == 0) {
        mu_doctor_add(r, MU_DOCTOR_OK, "mpirun on PATH", NULL, "the same, with all settings");
    } else if (m->same) {
        mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun on PATH", advice,
                      "the same, but %d of its settings are not there: under plain mpirun a death "
                      "may end all ranks",
                      settings_lacking());
    } else {
        mu_apart_explain(&m->path_trial, why, sizeof why);
        mu_doctor_version(m->path_version.text, version, sizeof version);
        if (ranks.ranks == 2)
            mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun on PATH", advice,
                          "another one, %s (%s): ranks start with it%s", m->on_path,
                          version[0] ? version : "of no version that it tells",
                          ranks.survivors == 1 ? "" : ", and a death ends all of them");
        else
            mu_doctor_add(r, MU_DOCTOR_WARN, "mpirun on PATH", advice,
                          "another one, %s (%s), and ranks do not meet under it: %s", m->on_path,
                          version[0] ? version : "of no version that it tells", why);
    }
}

void mu_doctor_mpi_tell(struct mu_doctor_mpi *m, struct mu_doctor_report *r,
                        const volatile sig_atomic_t *stop)
{
    struct mu_doctor_ranks ranks;

    try_again(m, stop);
    ranks = mu_doctor_read_ranks(m->trial.text);
    if (tell_version(m, r) && tell_start(m, &ranks, r)) {
        tell_death(&ranks, &m->trial, r);
        tell_binding(&ranks, r);
    }
    tell_path(m, r);
}

/* Ranks that were killed have left MPI's files. */
static void remove_files(const struct mu_apart *trial)
{
    struct mu_doctor_ranks ranks = mu_doctor_read_ranks(trial->text);

    if (ranks.files[0] && !mu_apart_succeeded(trial))
        mu_remains_remove_mpi_files(ranks.files);
}

void mu_doctor_mpi_clear(struct mu_doctor_mpi *m)
{
    remove_files(&m->trial);
    remove_files(&m->path_trial);
    if (m->folder[0])
        mu_remains_remove_folder(m->folder);
}
