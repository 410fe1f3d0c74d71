/* Everything is put together before the fork; between fork and exec there are system calls only.
 * A pipe that closes at exec tells the parent that mpirun runs, or the error number of what
 * failed. */
#include "orchestrator/launch/mpirun.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/program.h"
#include "orchestrator/launch/mpi_settings.h"
#include "orchestrator/slurm/agent.h"
#include "orchestrator/slurm/step.h"
#include "worker/heartbeat.h"

extern char **environ;

/* A list of strings that ends with NULL; all of them malloc'ed. */
struct list {
    char **item;
    size_t count;
    bool ok;
};

static void add(struct list *l, const char *text)
{
    char **item = l->ok ? realloc(l->item, (l->count + 2) * sizeof *item) : NULL;

    l->ok = item != NULL;
    if (!item)
        return;
    l->item = item;
    item[l->count] = strdup(text);
    l->ok = item[l->count] != NULL;
    item[++l->count] = NULL;
}

static void discard(struct list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->item[i]);
    free(l->item);
}

static bool has_name(const char *setting, const char *name)
{
    size_t n = strlen(name);

    return strncmp(setting, name, n) == 0 && setting[n] == '=';
}

/* Of the one that `setting` begins with, up to its "=". */
static void unset(struct list *l, const char *setting)
{
    size_t length = strcspn(setting, "=");

    for (size_t i = 0; i < l->count; i++)
        if (strncmp(l->item[i], setting, length) == 0 && l->item[i][length] == '=') {
            free(l->item[i]);
            l->item[i] = l->item[--l->count];
            l->item[l->count] = NULL;
            break;
        }
}

/* The last one that is set counts; `setting` is NAME=VALUE. */
static void set(struct list *l, const char *setting)
{
    unset(l, setting);
    add(l, setting);
}

static bool is_set(const struct list *l, const char *setting)
{
    size_t length = strcspn(setting, "=") + 1;

    for (size_t i = 0; i < l->count; i++)
        if (strncmp(l->item[i], setting, length) == 0)
            return true;
    return false;
}

static void set_value(struct list *l, const char *name, const char *value)
{
    char text[MU_PATH_MAX + 64];

    snprintf(text, sizeof text, "%s=%s", name, value);
    set(l, text);
}

/* Names of Open MPI 5, and of 4. */
static void set_unless_set(struct list *l, const char *name_5, const char *name_4,
                           const char *value)
{
    char text[MU_PATH_MAX + 64];

    snprintf(text, sizeof text, "%s=%s", mu_mpi_major >= 5 ? name_5 : name_4, value);
    if (!is_set(l, text))
        set(l, text);
}

/* Not by what mpirun knows of Slurm itself: the words after --host tell where. */
static void set_slurm(struct list *l, const char *folder)
{
    char agent[MU_PATH_MAX];

    snprintf(agent, sizeof agent, "sh %s/" MU_SLURM_AGENT_FILE, folder);
    set_unless_set(l, "PRTE_MCA_plm", "OMPI_MCA_plm", mu_mpi_major >= 5 ? "ssh" : "rsh");
    set_unless_set(l, "PRTE_MCA_plm_ssh_agent", "OMPI_MCA_plm_rsh_agent", agent);
    set_unless_set(l, "PRTE_MCA_plm_ssh_no_tree_spawn", "OMPI_MCA_plm_rsh_no_tree_spawn", "1");
    set_unless_set(l, "PRTE_MCA_ras", "OMPI_MCA_ras", "^slurm");
}

/* Ranks as a step of the job: the file tells srun where. On other nodes there is no such TMPDIR. */
static void set_srun(struct list *l, const char *hosts)
{
    const char *outer = getenv("TMPDIR");

    for (const char *const *name = mu_slurm_of_tasks; *name; name++)
        unset(l, *name);
    unset(l, "TMPDIR");
    if (outer)
        set_value(l, "TMPDIR", outer);
    set_value(l, "SLURM_HOSTFILE", hosts);
}

/* What the user has set goes before what we would set. */
static struct list make_environment(const struct mu_mpirun_request *r,
                                    const struct mu_slurm_step *step)
{
    struct list l = {.ok = true};
    struct mu_mpi_place place;
    char limit[24];

    for (char **e = environ; *e; e++)
        if (!has_name(*e, "MUSTER_JOB") && !has_name(*e, "MUSTER_LEASE") &&
            !has_name(*e, MU_HEARTBEAT_VARIABLE) &&
            (r->with_faults || !has_name(*e, "MUSTER_FAULT")))
            add(&l, *e);
    mu_mpi_find(&place);
    if (place.prefix[0] && !is_set(&l, place.prefix))
        add(&l, place.prefix);
    for (const char *const *s = mu_mpi_settings; *s; s++)
        if (!is_set(&l, *s))
            add(&l, *s);
    if (geteuid() == 0) { /* Open MPI refuses root unless told twice */
        set(&l, "OMPI_ALLOW_RUN_AS_ROOT=1");
        set(&l, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1");
    }
    set_value(&l, "TMPDIR", r->folder);
    set_value(&l, "MUSTER_JOB", r->job);
    if (r->lease)
        set_value(&l, "MUSTER_LEASE", r->lease);
    if (r->heartbeat && *r->heartbeat)
        set_value(&l, MU_HEARTBEAT_VARIABLE, r->heartbeat);
    if (r->by_srun)
        set_srun(&l, step->hosts);
    else if (r->by_slurm)
        set_slurm(&l, r->folder);
    snprintf(limit, sizeof limit, "%" PRId64, r->time_limit_s);
    if (r->time_limit_s > 0)
        set_value(&l, "MUSTER_RUN_TIME_LIMIT", limit);
    if (r->with_bar && !is_set(&l, "MUSTER_PROGRESS="))
        set(&l, "MUSTER_PROGRESS=bar");
    return l;
}

static void add_words(struct list *l, const char *text)
{
    char *copy = strdup(text), *rest = NULL;

    l->ok = l->ok && copy;
    for (char *word = copy ? strtok_r(copy, " \t", &rest) : NULL; word;
         word = strtok_r(NULL, " \t", &rest))
        add(l, word);
    free(copy);
}

/* Every MUSTER_ variable goes to other hosts too, which get nothing by themselves. */
static void add_exports(struct list *l, const struct list *environment)
{
    for (size_t i = 0; i < environment->count; i++) {
        char name[128];

        if (strncmp(environment->item[i], "MUSTER_", 7) != 0 ||
            (size_t)snprintf(name, sizeof name, "%.*s", (int)strcspn(environment->item[i], "="),
                             environment->item[i]) >= sizeof name)
            continue;
        add(l, "-x");
        add(l, name);
    }
}

static void add_number(struct list *l, const char *option, uint32_t number)
{
    char text[16];

    snprintf(text, sizeof text, "%u", number);
    add(l, option);
    add(l, text);
}

static void add_of_mpirun(struct list *l, const struct mu_mpirun_request *r,
                          const struct list *environment)
{
    struct mu_mpi_place place;

    mu_mpi_find(&place);
    add(l, r->mpirun ? r->mpirun : place.mpirun);
    add_number(l, "-n", r->ranks);
    if (r->hosts) {
        add(l, "--host");
        add(l, r->hosts);
    }
    add_exports(l, environment);
    if (r->with_bar && mu_mpi_major >= 5) { /* it keeps back what does not end a line */
        add(l, "--stream-buffering");
        add(l, "0");
    }
}

static void add_of_srun(struct list *l, const struct mu_mpirun_request *r,
                        const struct mu_slurm_step *step)
{
    add(l, r->mpirun ? r->mpirun : "srun");
    for (const char *const *word = mu_slurm_step_words; *word; word++)
        add(l, *word);
    add_number(l, "--ntasks", r->ranks);
    add_number(l, "--nodes", step->nodes);
    if (step->gpus[0])
        add(l, step->gpus);
    if (r->with_bar)
        add(l, "--unbuffered");
}

static struct list make_arguments(const struct mu_mpirun_request *r, const struct list *environment,
                                  const struct mu_slurm_step *step)
{
    struct list l = {.ok = true};
    char self[MU_PATH_MAX];

    mu_program_path(self);
    if (r->by_srun)
        add_of_srun(&l, r, step);
    else
        add_of_mpirun(&l, r, environment);
    if (r->extra)
        add_words(&l, r->extra);
    add(&l, r->program ? r->program : self);
    for (int i = 0; i < r->word_count; i++)
        add(&l, r->words[i]);
    return l;
}

/* In the child. Gives back only when something failed. */
static void become_mpirun(pid_t parent, int output, char **arguments, char **environment)
{
    int nothing = open("/dev/null", O_RDONLY);
    sigset_t none;

    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || setsid() < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return;
    if (output > 0 && (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0))
        return;
    if (getppid() != parent)
        raise(SIGKILL); /* the launcher died in between */
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(arguments[0], arguments, environment);
}

enum mu_status mu_mpirun_start(const struct mu_mpirun_request *r, pid_t *pid)
{
    struct list environment = {.ok = true}, arguments = {.ok = true};
    struct mu_slurm_step step = {.nodes = 0};
    pid_t parent = getpid();
    enum mu_status st = MU_OK;
    int ready[2], error = 0;

    *pid = -1;
    if (r->by_srun)
        MU_TRY(mu_slurm_step_write(r->folder, r->hosts, r->ranks, &step), st, done);
    else if (r->by_slurm)
        MU_TRY(mu_slurm_agent_write(r->folder), st, done);
    environment = make_environment(r, &step);
    arguments = make_arguments(r, &environment, &step);
    if (!environment.ok || !arguments.ok)
        st = MU_FAIL(MU_NO_MEMORY, "no memory to start mpirun");
    else if (pipe2(ready, O_CLOEXEC) != 0)
        st = MU_FAIL(MU_FAILED, "cannot make a pipe: %s", strerror(errno));
    if (st != MU_OK)
        goto done;
    *pid = fork();
    if (*pid == 0) {
        become_mpirun(parent, r->output, arguments.item, environment.item);
        error = errno;
        if (write(ready[1], &error, sizeof error) < 0) {
            /* the parent is gone */
        }
        _exit(127);
    }
    close(ready[1]);
    if (*pid < 0) {
        st = MU_FAIL(MU_FAILED, "cannot fork: %s", strerror(errno));
    } else if (read(ready[0], &error, sizeof error) == (ssize_t)sizeof error) {
        waitpid(*pid, NULL, 0);
        *pid = -1;
        st = MU_FAIL(MU_FAILED, "cannot start %s: %s", arguments.item[0], strerror(error));
    }
    close(ready[0]);
done:
    discard(&arguments);
    discard(&environment);
    return st;
}
