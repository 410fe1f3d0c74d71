#include "orchestrator/run/no_path.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/nearest.h"

struct near {
    struct mu_nearest nearest;
    char folder[MU_PATH_MAX], name[256]; /* of the best so far */
};

static void look_into(struct near *n, const char *folder)
{
    DIR *dir = opendir(*folder ? folder : "/");
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        const char *before = n->nearest.best;

        if (entry->d_name[0] == '.')
            continue;
        mu_nearest_offer(&n->nearest, entry->d_name);
        if (n->nearest.best == before)
            continue;
        snprintf(n->name, sizeof n->name, "%s", entry->d_name);
        snprintf(n->folder, sizeof n->folder, "%s", folder);
        n->nearest.best = n->name;
    }
    if (dir)
        closedir(dir);
}

enum mu_status mu_no_path(const char *path, const char *expected)
{
    char folder[MU_PATH_MAX], name[MU_PATH_MAX], *slash, *at;
    struct near n = {.name = ""};

    snprintf(folder, sizeof folder, "%s", path);
    mu_path_trim(folder);
    slash = strrchr(folder, '/');
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : folder);
    at = strrchr(name, '@');
    if (at && at > name)
        *at = '\0';
    n.nearest = mu_nearest_to(name);
    if (slash)
        *slash = '\0';
    look_into(&n, slash ? folder : ".");
    if (!slash)
        look_into(&n, "runs");
    /* Short names are soon near each other: less than half of the letters may be wrong. */
    if (!mu_nearest_answer(&n.nearest) || n.nearest.doubt >= strlen(name))
        return MU_FAIL(MU_NOT_FOUND, "there is no %s%s", path, expected);
    return MU_FAIL(MU_NOT_FOUND, "there is no %s; did you mean %s%s%s?", path,
                   strcmp(n.folder, ".") == 0 ? "" : n.folder,
                   strcmp(n.folder, ".") == 0 ? "" : "/", n.name);
}
