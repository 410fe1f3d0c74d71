/* Any bytes in the place of one file of a good checkpoint: refused, or what is loaded is what
 * was saved. The first byte says which file; the seeds are the files of
 * tests/oracle/checkpoint-1. HDF5 itself is not instrumented; what it does with memory is seen
 * by AddressSanitizer's malloc only. */
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "tests/support/state.h"

enum { STEP = 7, PARTS = 2, FILES = PARTS + 1, FILE_MAX = 1 << 20 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[MU_PATH_MAX], folder[MU_PATH_MAX], paths[FILES][MU_PATH_MAX];
static char *good[FILES];
static size_t good_size[FILES];
static struct mu_layout layout;
static struct mu_state_view saved, loaded;

static void remove_root(void)
{
    if (mu_file_remove_tree(root) != MU_OK)
        fprintf(stderr, "%s is left\n", root);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const names[FILES] = {"part-00000.h5", "part-00001.h5", "checkpoint.h5"};

    (void)argc;
    (void)argv;
    mu_log_set_level(MU_LOG_SILENT);
    test_folder_make(root);
    atexit(remove_root);
    test_oracle_layout(&layout);
    saved = test_state(&layout);
    loaded = test_state(&layout);
    test_oracle_fill(&saved);
    MU_ASSERT(test_save(root, &saved, STEP, PARTS) == MU_OK);
    MU_ASSERT(mu_checkpoint_folder(folder, root, STEP) == MU_OK);
    for (int i = 0; i < FILES; i++) {
        MU_ASSERT(mu_path_format(paths[i], "%s/%s", folder, names[i]) == MU_OK);
        MU_ASSERT(mu_file_read(paths[i], FILE_MAX, &good[i], &good_size[i]) == MU_OK);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_checkpoint_info info;
    struct mu_tensor_spec *specs;
    uint32_t count;
    int file;

    if (size == 0)
        return 0;
    file = data[0] % FILES;
    MU_ASSERT(mu_file_write_atomically(paths[file], data + 1, size - 1) == MU_OK);
    if (mu_checkpoint_load(folder, &loaded, 0, 1, NULL) == MU_OK)
        MU_ASSERT(test_state_equal(&saved, &loaded));
    if (mu_checkpoint_read_index(folder, &info, &specs, &count) == MU_OK) {
        MU_ASSERT(info.config && info.journal && count > 0);
        free(specs);
        mu_checkpoint_info_deinit(&info);
    }
    MU_ASSERT(mu_file_write_atomically(paths[file], good[file], good_size[file]) == MU_OK);
    return 0;
}
