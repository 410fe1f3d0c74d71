#include "orchestrator/base/memory_left.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

/* Of a group's limit; "max" is no number. */
static uint64_t left_of(const char *root, const char *limit, const char *used)
{
    uint64_t most, now;

    if (!read_number(root, limit, "", &most) || !read_number(root, used, "", &now))
        return UINT64_MAX;
    return most > now ? most - now : 0;
}

uint64_t mu_memory_left(const char *root)
{
    const uint64_t group[] = {
        left_of(root, "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        left_of(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    };
    uint64_t left = UINT64_MAX, kilobytes;

    if (read_number(root, "/proc/meminfo", "MemAvailable:", &kilobytes))
        left = kilobytes * 1024;
    for (int i = 0; i < 2; i++)
        left = group[i] < left ? group[i] : left;
    return left;
}
