/* `muster --version`: each library's version comes from the files that include its header. */
#include <jansson.h>
#include <stdio.h>

#include "kernels/device.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/parser_libconfig.h"
#include "orchestrator/points/table_csv.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/comm/comm.h"

static void print_component(const char *what, const char *version)
{
    printf("  %-9s %s\n", what, version);
}

void mu_cli_print_versions(void)
{
    enum mu_isa best = mu_device_best_isa();

    printf("muster %s\n", MUSTER_VERSION);
    print_component("compiler", MUSTER_COMPILER);
    print_component("MPI", mu_mpi_library_version());
    print_component("storage", mu_checkpoint_library_version());
    print_component("products", mu_device_library_version());
    print_component("config", mu_config_library_version());
    print_component("CSV", mu_csv_library_version());
    print_component("hash", mu_hash_library_version());
    print_component("JSON", "jansson " JANSSON_VERSION);
    printf("  %-9s", "this CPU");
    for (int isa = MU_ISA_GENERIC; isa <= (int)best; isa++)
        printf(" %s", mu_isa_name((enum mu_isa)isa));
    putchar('\n');
}
