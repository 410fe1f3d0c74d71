/* Flips a bit of the committed state in a segment that nobody is attached to: what memory does, for
 * tests.
 *
 *   flip-bit CONFIG SEGMENT weight|m|v|prediction|step
 *
 * CONFIG: the resolved one of the run directory. SEGMENT: its name in /dev/shm. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "orchestrator/config/config.h"
#include "worker/segment.h"
#include "worker/shm_file.h"
#include "worker/workload.h"

static enum mu_status never(void *context)
{
    (void)context;
    return MU_OK;
}

/* As this generation's ranks would: by what the header says. */
static enum mu_status attach(struct mu_segment *s, const char *name, const struct mu_layout *layout)
{
    struct mu_segment_options o = {.layout = layout, .deadline_ms = 1000, .poll = never};
    struct mu_segment_header *h;
    unsigned uid;
    int fd;

    if (sscanf(name, "/muster-%u-%" SCNx64 "-h%" SCNx32, &uid, &o.run_key, &o.host) != 3 ||
        mu_shm_file_open(name, 0, &fd) != 0)
        return MU_FAIL(MU_USAGE, "/dev/shm%s is no segment", name);
    h = mmap(NULL, sizeof *h, PROT_READ, MAP_SHARED, fd, 0);
    if (h == MAP_FAILED)
        return MU_FAIL(MU_FAILED, "/dev/shm%s cannot be mapped", name);
    o.generation = h->generation;
    o.ranks = h->ranks;
    o.eval_pieces = h->eval_pieces;
    o.bf16 = h->bf16;
    o.state_only = h->state_only;
    munmap(h, sizeof *h);
    return mu_segment_open(s, &o);
}

static bool flip(struct mu_segment *s, const char *where)
{
    struct mu_state_view *half = &s->half[mu_segment_half(s)];
    uint64_t element = half->layout->tensors[1].offset + 2;
    float *array = strcmp(where, "weight") == 0 ? half->weight
                   : strcmp(where, "m") == 0    ? half->m
                   : strcmp(where, "v") == 0    ? half->v
                                                : NULL;

    if (array)
        ((uint8_t *)(array + element))[1] ^= 4;
    else if (strcmp(where, "prediction") == 0)
        half->prediction[half->layout->blocks - 1] ^= 1;
    else if (strcmp(where, "step") == 0)
        s->header->state ^= 2;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct mu_settings settings;
    struct mu_config_source source = {.path = argc > 1 ? argv[1] : "config.cfg"};
    struct mu_workload *workload;
    struct mu_segment s;
    enum mu_status st;

    if (argc != 4)
        return 64;
    MU_TRY(mu_config_load(&source, &settings), st, failed);
    MU_TRY(mu_workload_resolve(&settings), st, failed);
    MU_TRY(mu_workload_open(&settings, NULL, &workload), st, failed);
    MU_TRY(attach(&s, argv[2], &workload->layout), st, closed);
    if (flip(&s, argv[3]))
        printf("flipped a bit of step %" PRId64 ", half %u\n", mu_segment_step(&s),
               mu_segment_half(&s));
    else
        st = MU_FAIL(MU_USAGE, "what is %s?", argv[3]);
    mu_segment_close(&s, false);
closed:
    mu_workload_close(workload);
failed:
    return mu_status_exit_code(st);
}
