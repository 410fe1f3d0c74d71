/* `muster --version`: each library's version comes from the files that include its header. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "kernels/cuda_module.h"
#include "kernels/device.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/parser_libconfig.h"
#include "orchestrator/points/table_csv.h"
#include "orchestrator/run/tensorboard_pb.h"
#include "orchestrator/run/tfrecord.h"
#include "orchestrator/sweep/formula.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/comm/comm.h"

static void print_component(const char *what, const char *version)
{
    printf("  %-9s %s\n", what, version);
}

/* A line each, under one word. */
static void print_cuda(void)
{
    enum { LINES_MAX = 16384 };
    char text[LINES_MAX], *line = text, *end;

    mu_cuda_describe(text, sizeof text);
    print_component("CUDA", strsep(&line, "\n"));
    while ((end = strsep(&line, "\n")) != NULL)
        print_component("", end);
}

enum mu_status mu_cli_version(int argc, char **argv)
{
    enum mu_isa best = mu_device_best_isa();

    (void)argc;
    (void)argv;
    printf("muster %s\n", MUSTER_VERSION);
    print_component("compiler", MUSTER_COMPILER);
    print_component("MPI", mu_mpi_library_version());
    print_component("storage", mu_checkpoint_library_version());
    print_component("products", mu_device_library_version());
    print_component("config", mu_config_library_version());
    print_component("formulas", mu_formula_library_version());
    print_component("CSV", mu_csv_library_version());
    print_component("events", mu_event_library_version());
    print_component("CRC32C", mu_tfrecord_library_version());
    print_component("hash", mu_hash_library_version());
    print_component("JSON", "jansson " JANSSON_VERSION);
    printf("  %-9s", "this CPU");
    for (int isa = MU_ISA_GENERIC; isa <= (int)best; isa++)
        printf(" %s", mu_isa_name((enum mu_isa)isa));
    putchar('\n');
    print_cuda();
    return MU_OK;
}
