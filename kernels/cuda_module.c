#include "kernels/cuda_module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/module.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/program.h"

enum { PROBLEM_MAX = 2 * MU_PATH_MAX + 1024, MODULE_BYTES_MAX = 1 << 30 };

/* A module that is loaded, or why none is. Modules stay loaded: their static state and threads
 * cannot be taken away. */
struct loaded {
    const struct mu_cuda_module *module;
    char path[MU_PATH_MAX];
    char problem[PROBLEM_MAX];
};

static bool file_is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

static bool find(struct loaded *l)
{
    const char *named = getenv("MUSTER_CUDA_MODULE");
    char folder[MU_PATH_MAX], beside[MU_PATH_MAX + 16];

    if (named && *named) {
        snprintf(l->path, sizeof l->path, "%s", named);
        if (!file_is_there(l->path))
            snprintf(l->problem, sizeof l->problem,
                     "MUSTER_CUDA_MODULE names %s, which cannot be read", l->path);
        return file_is_there(l->path);
    }
    mu_program_folder(folder);
    snprintf(beside, sizeof beside, "%s", folder); /* without "bin/..", for messages */
    if (strrchr(beside, '/'))
        *strrchr(beside, '/') = 0;
    snprintf(beside + strlen(beside), sizeof beside - strlen(beside), "/lib/muster");
    for (int i = 0; i < 2; i++) {
        snprintf(l->path, sizeof l->path, "%.4000s/" MU_CUDA_MODULE_FILE, i == 0 ? folder : beside);
        if (file_is_there(l->path))
            return true;
    }
    snprintf(
        l->problem, sizeof l->problem,
        MU_CUDA_MODULE_FILE
        " is neither in %s nor in %s: build Muster where nvcc "
        "and cuBLASLt are (scripts/build -DMUSTER_CUDA=ON says what it lacks), or name the file in "
        "MUSTER_CUDA_MODULE",
        folder, beside);
    return false;
}

static bool load(struct loaded *l)
{
    struct mu_cuda_module_abi own = mu_cuda_module_abi();
    const struct mu_cuda_module *module = NULL;
    void *handle;

    memset(l, 0, sizeof *l);
    if (!find(l))
        return false;
    handle = dlopen(l->path, RTLD_NOW | RTLD_LOCAL);
    if (handle)
        module = dlsym(handle, MU_CUDA_MODULE_SYMBOL);
    if (!module) {
        const char *why = dlerror();

        snprintf(
            l->problem, sizeof l->problem,
            "%s cannot be loaded: %s. The libraries of the CUDA that it was built with must be "
            "found (LD_LIBRARY_PATH)",
            l->path, why ? why : "unknown");
    } else if (strcmp(module->abi, own.text) != 0) {
        snprintf(l->problem, sizeof l->problem,
                 "%s is of another build (\"%s\") than this program (\"%s\"): install both from "
                 "one",
                 l->path, module->abi, own.text);
    } else {
        l->module = module;
    }
    return l->module != NULL;
}

/* "worker 3 of this host": people count from one. */
static enum mu_status check_gpu(const struct mu_device_options *o, const struct mu_cuda_facts *f)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    const struct mu_cuda_gpu *gpu;

    if (o->gpu < 0 || o->gpu >= f->gpus || o->gpu >= MU_CUDA_GPUS_MAX)
        return MU_FAIL(
            MU_CONFIG,
            "device.kind = \"cuda\" takes a GPU for each worker, and worker %d of this "
            "host sees %d (CUDA_VISIBLE_DEVICES %s%.100s): start at most %d here, or let "
            "them see more",
            o->gpu + 1, f->gpus, visible ? "= " : "is not set", visible ? visible : "",
            f->gpus < MU_CUDA_GPUS_MAX ? f->gpus : MU_CUDA_GPUS_MAX);
    gpu = &f->gpu[o->gpu];
    if (o->precision == MU_PRECISION_BF16 && gpu->major < 8)
        return MU_FAIL(MU_CONFIG,
                       "device.precision = \"bf16\" needs a GPU of compute capability 8.0 or more; "
                       "GPU %d (%s) has %d.%d: set \"fp32\"",
                       o->gpu, gpu->name, gpu->major, gpu->minor);
    return MU_OK;
}

bool mu_cuda_is_shared(void)
{
    const char *share = getenv("MUSTER_CUDA_SHARE");

    return share && !strcmp(share, "1");
}

/* Where ranks may share GPUs, their numbers wrap. */
static void place(struct mu_device_options *o, const struct mu_cuda_facts *f)
{
    if (mu_cuda_is_shared() && f->gpus > 0)
        o->gpu %= f->gpus;
}

static enum mu_status check(struct mu_device_options *options, struct loaded *l)
{
    struct mu_cuda_facts *facts;
    enum mu_status st;

    if (!load(l))
        return MU_FAIL(MU_CONFIG, "device.kind = \"cuda\": %s", l->problem);
    facts = malloc(sizeof *facts);
    if (!facts)
        return MU_FAIL(MU_NO_MEMORY, "no memory to look at the GPUs");
    l->module->look(facts);
    place(options, facts);
    st = facts->problem[0] ? MU_FAIL(MU_CONFIG, "device.kind = \"cuda\": %s", facts->problem)
                           : check_gpu(options, facts);
    free(facts);
    return st;
}

enum mu_status mu_cuda_check(const struct mu_device_options *options)
{
    struct loaded *l = malloc(sizeof *l);
    struct mu_device_options placed = *options;
    enum mu_status st = l ? check(&placed, l) : MU_FAIL(MU_NO_MEMORY, "no memory to load CUDA");

    free(l);
    return st;
}

/* Two builds of the module may differ in their bits, as two builds of the program. */
static enum mu_status name_module(const char *path, struct mu_device *d)
{
    char *data;
    size_t size, used = strlen(d->facts);
    enum mu_status st = mu_file_read(path, MODULE_BYTES_MAX, &data, &size);

    if (st == MU_OK)
        snprintf(d->facts + used, sizeof d->facts - used, ", module %.16s",
                 mu_hash_print(mu_hash_bytes(data, size, 0)).text);
    free(data);
    return st;
}

enum mu_status mu_cuda_open(const struct mu_device_options *options, struct mu_device **out)
{
    struct loaded *l = malloc(sizeof *l);
    struct mu_device_options placed = *options;
    enum mu_status st;

    if (!l)
        return MU_FAIL(MU_NO_MEMORY, "no memory to load CUDA");
    MU_TRY(check(&placed, l), st, done);
    MU_TRY(l->module->open(&placed, out), st, done);
    st = options->rehearses ? MU_OK : name_module(l->path, *out);
    if (st != MU_OK) {
        mu_device_close(*out);
        *out = NULL;
    }
done:
    free(l);
    return st;
}

static void see(const struct mu_cuda_facts *f, struct mu_device_gpus *out)
{
    snprintf(out->problem, sizeof out->problem, "%s", f->none ? "" : f->problem);
    for (int i = 0; i < f->gpus && i < MU_DEVICE_GPUS_MAX; i++) {
        memcpy(&out->id[i], f->gpu[i].uuid, sizeof out->id[i]);
        memcpy(out->pci[i], f->gpu[i].pci, sizeof out->pci[i]);
        out->count++;
    }
    if (out->count > 0)
        memcpy(out->name, f->gpu[0].name, sizeof out->name);
}

enum mu_status mu_cuda_look(struct mu_device_gpus *out)
{
    struct loaded *l = malloc(sizeof *l);
    struct mu_cuda_facts *facts = malloc(sizeof *facts);
    enum mu_status st = MU_OK;

    _Static_assert((int)MU_DEVICE_GPUS_MAX == (int)MU_CUDA_GPUS_MAX, "all that are told fit");
    if (!l || !facts) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to look at the GPUs");
    } else if (!load(l)) {
        snprintf(out->problem, sizeof out->problem, "%.500s", l->problem);
    } else {
        l->module->look(facts);
        see(facts, out);
    }
    free(facts);
    free(l);
    return st;
}

static void describe(const struct loaded *l, const struct mu_cuda_facts *f, char *out, size_t n)
{
    size_t used = (size_t)snprintf(out, n, "%s; ", l->module->built);

    if (used < n && f->problem[0])
        snprintf(out + used, n - used, "%s", f->problem);
    else if (used < n)
        used += (size_t)snprintf(out + used, n - used, "driver for CUDA %d.%d, GPUs: %d",
                                 f->driver / 1000, f->driver % 1000 / 10, f->gpus);
    for (int i = 0; used < n && i < f->gpus && i < MU_CUDA_GPUS_MAX; i++)
        used += (size_t)snprintf(
            out + used, n - used, "\n%d: %s, PCI %s, %.1f GiB, %d multiprocessors, %d.%d", i,
            f->gpu[i].name, f->gpu[i].pci, (double)f->gpu[i].memory_bytes / (1 << 30),
            f->gpu[i].multiprocessors, f->gpu[i].major, f->gpu[i].minor);
}

void mu_cuda_describe(char *out, size_t capacity)
{
    struct loaded *l = malloc(sizeof *l);
    struct mu_cuda_facts *facts = malloc(sizeof *facts);

    if (!l || !facts) {
        snprintf(out, capacity, "unknown: no memory");
    } else if (!load(l)) {
        snprintf(out, capacity, "not available: %s", l->problem);
    } else {
        l->module->look(facts);
        describe(l, facts, out, capacity);
    }
    free(facts);
    free(l);
}
