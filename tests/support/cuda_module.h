/* The emulated module, loaded as muster-cuda.so is, on a machine that a test describes
 * (kernels/emulate/control.h). Include after cmocka.h. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_MODULE_H
#define MUSTER_TESTS_SUPPORT_CUDA_MODULE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/cuda_module.h"
#include "kernels/emulate/control.h"

/* The emulated one lies beside the folder of this program. */
static inline void name_emulated_module(void)
{
    char path[4200];
    ssize_t n = readlink("/proc/self/exe", path, 4096);

    assert_true(n > 0);
    path[n] = 0;
    *strrchr(path, '/') = 0;
    strcpy(strrchr(path, '/'), "/muster-cuda-emulated.so");
    setenv("MUSTER_CUDA_MODULE", path, 1);
}

/* A machine of which nothing is asked but `name` = `value`. */
static inline void machine_with(const char *name, const char *value)
{
    static const char *const names[] = {
        "MUSTER_EMULATE_DEVICES",   "MUSTER_EMULATE_MEMORY",       "MUSTER_EMULATE_DRIVER",
        "MUSTER_EMULATE_LAZY",      "MUSTER_EMULATE_MIG",          "MUSTER_EMULATE_CAPABILITY",
        "MUSTER_EMULATE_FAIL",      "MUSTER_EMULATE_OPEN",         "MUSTER_EMULATE_BLAS_FIRST",
        "MUSTER_EMULATE_BLAS_SLOW", "MUSTER_EMULATE_BLAS_VERSION", "CUDA_VISIBLE_DEVICES"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    if (name)
        setenv(name, value, 1);
    name_emulated_module();
    mu_emulate_clear();
    mu_emulate_restart();
}

static inline struct mu_device_options cuda_options(enum mu_precision precision)
{
    return (struct mu_device_options){
        .kind = MU_DEVICE_CUDA, .precision = precision, .isa = MU_ISA_GENERIC, .threads = 1};
}

/* ---- what is said on stderr ---- */
struct hearing {
    int file, before;
    char text[16384];
};

static inline void hear(struct hearing *h)
{
    fflush(stderr);
    h->file = memfd_create("stderr", 0);
    h->before = dup(2);
    assert_true(h->file >= 0 && h->before >= 0);
    dup2(h->file, 2);
}

/* h->text is what was said since hear(). */
static inline void heard(struct hearing *h)
{
    ssize_t n;

    fflush(stderr);
    dup2(h->before, 2);
    n = pread(h->file, h->text, sizeof h->text - 1, 0);
    h->text[n > 0 ? n : 0] = 0;
    close(h->before);
    close(h->file);
}

static inline int count_of(const char *text, const char *word)
{
    int n = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

#endif
