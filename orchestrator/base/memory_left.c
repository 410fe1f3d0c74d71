#include "orchestrator/base/memory_left.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The number after `word` at the beginning of a line; "" is before the first. */
static bool read_number(const char *root, const char *path, const char *word, uint64_t *out)
{
    char name[512], line[256];
    bool found = false;
    FILE *f;

    snprintf(name, sizeof name, "%s%s", root, path);
    f = fopen(name, "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = strncmp(line, word, strlen(word)) == 0 &&
                sscanf(line + strlen(word), "%" SCNu64, out) == 1;
    if (f)
        fclose(f);
    return found;
}

/* Of both versions of control groups; "max" is no number. */
static const struct {
    const char *limit, *used;
} groups[] = {
    {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
    {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
};
enum { GROUPS = sizeof groups / sizeof *groups };

static uint64_t left_of(const char *root, int group)
{
    uint64_t most, now;

    if (!read_number(root, groups[group].limit, "", &most) ||
        !read_number(root, groups[group].used, "", &now))
        return UINT64_MAX;
    return most > now ? most - now : 0;
}

uint64_t mu_memory_left(const char *root)
{
    uint64_t left = UINT64_MAX, kilobytes;

    if (read_number(root, "/proc/meminfo", "MemAvailable:", &kilobytes))
        left = kilobytes * 1024;
    for (int i = 0; i < GROUPS; i++) {
        const uint64_t of_group = left_of(root, i);

        left = of_group < left ? of_group : left;
    }
    return left;
}

uint64_t mu_memory_limit(const char *root)
{
    uint64_t bytes;

    for (int i = 0; i < GROUPS; i++)
        if (read_number(root, groups[i].limit, "", &bytes) && bytes < UINT64_C(1) << 60)
            return bytes; /* the older one has a number just below 2^63 for "no limit" */
    return 0;
}

uint64_t mu_memory_physical(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}
