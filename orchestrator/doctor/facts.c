#include "orchestrator/doctor/facts.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/doctor/rank_check.h"

bool mu_doctor_version(const char *text, char *out, size_t size)
{
    for (const char *p = text; *p; p++) {
        size_t n;

        if (!isdigit((unsigned char)*p))
            continue;
        n = strspn(p, "0123456789.");
        while (n > 0 && p[n - 1] == '.')
            n--;
        if (memchr(p, '.', n)) {
            snprintf(out, size, "%.*s", n < 32 ? (int)n : 32, p);
            return true;
        }
        p += n - 1;
    }
    return false;
}

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

bool mu_doctor_has_word(const char *text, const char *word)
{
    const size_t n = strlen(word);

    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
        if ((p == text || !is_letter(p[-1])) && !is_letter(p[n]))
            return true;
    return false;
}

/* Files are to be removed by that: of any other form it is not taken. */
static void take_files(const char *line, char out[128])
{
    static const char beginning[] = "/dev/shm/sm_segment.";
    size_t n;

    out[0] = 0;
    if (!line || sscanf(line + strlen(MU_RANK_CHECK_LINE), "files %127s", out) != 1)
        return;
    n = strlen(out);
    if (strncmp(out, beginning, sizeof beginning - 1) != 0 || n < sizeof beginning + 8 ||
        out[n - 1] != '.' || strchr(out + sizeof beginning, '/'))
        out[0] = 0;
}

struct mu_doctor_ranks mu_doctor_read_ranks(const char *text)
{
    const char *met = strstr(text, MU_RANK_CHECK_LINE "met ");
    const char *survived = strstr(text, MU_RANK_CHECK_LINE "survived ");
    struct mu_doctor_ranks r = {0};
    int tolerant = 0;

    if (!met ||
        sscanf(met + strlen(MU_RANK_CHECK_LINE), "met %d %d %d %d %d %23s %95[^\n]", &r.ranks,
               &r.hosts, &tolerant, &r.least_cores, &r.most_cores, r.isa, r.mpi) != 7)
        return (struct mu_doctor_ranks){0};
    r.fault_tolerant = tolerant != 0;
    take_files(strstr(met, MU_RANK_CHECK_LINE "files "), r.files);
    if (survived && sscanf(survived + strlen(MU_RANK_CHECK_LINE), "survived %d %lf", &r.survivors,
                           &r.survived_ms) != 2)
        r.survivors = 0;
    return r;
}

/* The beginning of a file of the kernel; "" where there is none. */
static void read_small(const char *root, const char *path, char *out, size_t size)
{
    char name[MU_PATH_MAX];
    size_t n = 0;
    FILE *f;

    snprintf(name, sizeof name, "%s%s", root, path);
    f = fopen(name, "re");
    if (f) {
        n = fread(out, 1, size - 1, f);
        fclose(f);
    }
    out[n] = 0;
}

double mu_doctor_group_cores(const char *root)
{
    char text[128], period[128];
    double quota = 0, of = 0;

    read_small(root, "/sys/fs/cgroup/cpu.max", text, sizeof text);
    if (sscanf(text, "%lf %lf", &quota, &of) == 2 && quota > 0 && of > 0) /* "max" is no number */
        return quota / of;
    read_small(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text);
    read_small(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period);
    quota = strtod(text, NULL); /* -1: none */
    of = strtod(period, NULL);
    return quota > 0 && of > 0 ? quota / of : 0;
}

/* linux/magic.h has some of them. */
static const struct {
    uint64_t type;
    const char *name;
    bool network;
} file_systems[] = {
    {0xef53, "ext4", false},         {0x58465342, "xfs", false},     {0x9123683e, "btrfs", false},
    {0x01021994, "tmpfs", false},    {0x794c7630, "overlay", false}, {0x2fc12fc1, "zfs", false},
    {0x858458f6, "ramfs", false},    {0x6969, "NFS", true},          {0x0bd00bd0, "Lustre", true},
    {0x47504653, "GPFS", true},      {0x19830326, "BeeGFS", true},   {0x00c36400, "CephFS", true},
    {0x65735546, "FUSE", true},      {0xff534d42, "CIFS", true},     {0xfe534d42, "SMB", true},
    {0x01021997, "9p", true},        {0xaad7aaea, "PanFS", true},    {0x20030528, "OrangeFS", true},
    {0x5346414f, "AFS", true},       {0x7461636f, "OCFS2", true},    {0x01161970, "GFS2", true},
    {0xca451a4e, "bcachefs", false},
};
enum { FILE_SYSTEMS = sizeof file_systems / sizeof *file_systems };

struct mu_doctor_text mu_doctor_file_system(uint64_t type)
{
    struct mu_doctor_text out;

    snprintf(out.text, sizeof out.text, "unknown file system (0x%" PRIx64 ")", type);
    for (int i = 0; i < FILE_SYSTEMS; i++)
        if (file_systems[i].type == type)
            snprintf(out.text, sizeof out.text, "%s", file_systems[i].name);
    return out;
}

bool mu_doctor_is_network(uint64_t type)
{
    for (int i = 0; i < FILE_SYSTEMS; i++)
        if (file_systems[i].type == type)
            return file_systems[i].network;
    return false;
}

bool mu_doctor_find_program(const char *name, char *out)
{
    const char *path = getenv("PATH");

    while (path && *path) {
        int n = (int)strcspn(path, ":");
        struct stat s;

        if (snprintf(out, MU_PATH_MAX, "%.*s/%s", n > 0 ? n : 1, n > 0 ? path : ".", name) <
                MU_PATH_MAX &&
            stat(out, &s) == 0 && S_ISREG(s.st_mode) && access(out, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    out[0] = 0;
    return false;
}
