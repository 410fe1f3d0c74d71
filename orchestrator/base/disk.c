#include "orchestrator/base/disk.h"

#include <errno.h>
#include <sys/statvfs.h>

int mu_disk_look(const char *path, struct mu_disk *out)
{
    struct statvfs v;

    *out = (struct mu_disk){0};
    if (statvfs(path, &v) != 0)
        return errno;
    *out = (struct mu_disk){.free_bytes = (uint64_t)v.f_bavail * v.f_frsize,
                            .total_bytes = (uint64_t)v.f_blocks * v.f_frsize,
                            .free_files = v.f_favail,
                            .total_files = v.f_files};
    return 0;
}
