/* How much a file system still takes, of what this user may write. */
#ifndef MUSTER_BASE_DISK_H
#define MUSTER_BASE_DISK_H

#include <stdint.h>

struct mu_disk {
    uint64_t free_bytes, total_bytes; /* total 0: it does not tell, as some network ones */
    uint64_t free_files, total_files; /* names; total 0: as above */
};

/* Of the one that `path` lies on; 0, or an errno. May hang where a server does. */
int mu_disk_look(const char *path, struct mu_disk *out);

#endif
