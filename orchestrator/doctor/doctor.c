#include "orchestrator/doctor/doctor.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/doctor/parts.h"

/* Answers of programs may hold anything, and go to a terminal. */
static void make_harmless(char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\n') || *text == 0x7f)
            *text = '?';
}

void mu_doctor_add(struct mu_doctor_report *r, enum mu_doctor_mark mark, const char *what,
                   const char *advice, const char *format, ...)
{
    struct mu_doctor_row *row = &r->row[r->count];
    va_list args;

    MU_ASSERT(r->count < MU_DOCTOR_ROWS);
    *row = (struct mu_doctor_row){.mark = mark, .what = what};
    va_start(args, format);
    vsnprintf(row->found, sizeof row->found, format, args);
    va_end(args);
    make_harmless(row->found);
    snprintf(row->advice, sizeof row->advice, "%s", advice ? advice : "");
    r->count++;
}

size_t mu_doctor_count(const struct mu_doctor_report *r, enum mu_doctor_mark mark)
{
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++)
        n += r->row[i].mark == mark;
    return n;
}

struct questions {
    struct mu_doctor_mpi mpi;
    struct mu_doctor_storage storage;
    struct mu_doctor_tools tools;
};

static volatile sig_atomic_t signal_caught;

static void on_signal(int number)
{
    signal_caught = number;
}

/* What was begun is to be taken away first; a second signal of a kind ends the process at once. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction take = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, before;

    sigemptyset(&take.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &take, NULL);
}

static void wait_for_all(struct questions *q)
{
    struct mu_doctor_mpi *m = &q->mpi;
    struct mu_doctor_tools *t = &q->tools;
    struct mu_apart *const all[] = {
        &m->version, &m->trial,    &m->path_version, &m->path_trial, &q->storage.apart,
        &t->nvidia,  &t->module,   &t->nccl,         &t->srun,       &t->srun_mpi,
        &t->sbatch,  &t->scontrol, &t->left,         &t->gnuplot,
    };

    mu_apart_wait(all, sizeof all / sizeof *all, &signal_caught);
}

enum mu_status mu_doctor_look(const struct mu_doctor_request *request, struct mu_doctor_report *out)
{
    struct questions *q = calloc(1, sizeof *q);

    out->count = 0;
    if (!q)
        return MU_FAIL(MU_NO_MEMORY, "no memory to ask this machine");
    catch_signals();
    mu_doctor_mpi_ask(&q->mpi, request);
    mu_doctor_storage_ask(&q->storage, request);
    mu_doctor_tools_ask(&q->tools, request);
    wait_for_all(q);
    mu_doctor_mpi_tell(&q->mpi, out, &signal_caught);
    mu_doctor_storage_tell(&q->storage, out);
    mu_doctor_shm_tell(out);
    mu_doctor_machine_tell(out);
    mu_doctor_tools_tell(&q->tools, out);
    mu_doctor_mpi_clear(&q->mpi);
    mu_doctor_storage_clear(&q->storage);
    free(q);
    if (signal_caught)
        raise(signal_caught); /* its handler is the default again: ends the process */
    return MU_OK;
}
