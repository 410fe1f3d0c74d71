#include "orchestrator/launch/hosts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "worker/board.h"

enum { FILE_MAX = 1 << 20 };

static enum mu_status add(struct mu_ladder_host *host, uint32_t *count, const char *name,
                          size_t length, long slots, const char *where)
{
    uint32_t i = 0;

    if (length == 0 || length >= sizeof host->name)
        return MU_FAIL(MU_USAGE, "%s: a host without a name, or with one that is too long", where);
    if (slots < 1 || slots > MU_BOARD_RANKS)
        return MU_FAIL(MU_USAGE, "%s: host %.*s: expected a number of slots from 1 to %d", where,
                       (int)length, name, MU_BOARD_RANKS);
    while (i < *count &&
           (strlen(host[i].name) != length || strncmp(host[i].name, name, length) != 0))
        i++;
    if (i == MU_LADDER_HOSTS)
        return MU_FAIL(MU_USAGE, "%s: more than %d hosts", where, MU_LADDER_HOSTS);
    if (i == *count) {
        host[i] = (struct mu_ladder_host){.slots = 0};
        memcpy(host[i].name, name, length);
        (*count)++;
    }
    host[i].slots += (uint32_t)slots;
    return MU_OK;
}

/* 0: not a number. */
static long number(const char *text, size_t length)
{
    char digits[12];
    char *end;
    long value;

    if (length == 0 || length >= sizeof digits)
        return 0;
    memcpy(digits, text, length);
    digits[length] = 0;
    value = strtol(digits, &end, 10);
    return *end ? 0 : value;
}

enum mu_status mu_hosts_parse_list(const char *text, struct mu_ladder_host host[MU_LADDER_HOSTS],
                                   uint32_t *count)
{
    enum mu_status st = MU_OK;

    *count = 0;
    while (st == MU_OK) {
        size_t length = strcspn(text, ","), name = strcspn(text, ",:");
        long slots = name < length ? number(text + name + 1, length - name - 1) : 1;

        st = add(host, count, text, name, slots, "--hosts");
        text += length;
        if (*text == 0)
            break;
        text++;
    }
    return st;
}

static enum mu_status take_line(char *line, const char *where, struct mu_ladder_host *host,
                                uint32_t *count)
{
    char *rest = NULL, *name, *word;
    size_t length;
    long slots = 1;

    line[strcspn(line, "#")] = 0;
    name = strtok_r(line, " \t\r", &rest);
    if (!name)
        return MU_OK;
    length = strcspn(name, ":");
    if (name[length] == ':')
        slots = number(name + length + 1, strlen(name + length + 1));
    while ((word = strtok_r(NULL, " \t\r", &rest)))
        if (strncmp(word, "slots=", 6) == 0)
            slots = number(word + 6, strlen(word + 6));
        else if (strncmp(word, "max_slots=", 10) != 0 && strncmp(word, "max-slots=", 10) != 0)
            return MU_FAIL(MU_USAGE, "%s: '%s' is not understood; expected \"NAME slots=NUMBER\"",
                           where, word);
    return add(host, count, name, length, slots, where);
}

enum mu_status mu_hosts_read_file(const char *path, struct mu_ladder_host host[MU_LADDER_HOSTS],
                                  uint32_t *count)
{
    char *text = NULL, *rest = NULL, where[300];
    size_t size;
    enum mu_status st = mu_file_read(path, FILE_MAX, &text, &size);
    int line = 0;

    *count = 0;
    if (st == MU_NOT_FOUND)
        return MU_FAIL(MU_USAGE, "there is no host file %s", path);
    if (st != MU_OK)
        return st;
    for (char *at = text; st == MU_OK && at; at = rest) {
        rest = strchr(at, '\n');
        if (rest)
            *rest++ = 0;
        snprintf(where, sizeof where, "%.250s:%d", path, ++line);
        st = take_line(at, where, host, count);
    }
    free(text);
    if (st == MU_OK && *count == 0)
        st = MU_FAIL(MU_USAGE, "the host file %s names no host", path);
    return st;
}

uint32_t mu_hosts_slots(const struct mu_ladder_host *host, uint32_t count)
{
    uint32_t slots = 0;

    for (uint32_t i = 0; i < count; i++)
        slots += host[i].slots;
    return slots;
}

bool mu_host_is_here(const char *name)
{
    char own[256] = "";
    size_t length;

    gethostname(own, sizeof own - 1);
    length = strcspn(own, ".");
    return strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
           strcmp(name, own) == 0 || (strlen(name) == length && strncmp(name, own, length) == 0);
}
