#include "orchestrator/config/nearest.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { LONGEST = 127 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int letter(char c)
{
    return tolower((unsigned char)c);
}

/* Optimal string alignment by rows; a swap looks back two rows. */
size_t mu_edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1];
    size_t n = strnlen(a, LONGEST), m = strnlen(b, LONGEST);

    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t same = letter(a[i - 1]) == letter(b[j - 1]) ? 0 : 1;

            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + same);
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) &&
                letter(a[i - 2]) == letter(b[j - 1]))
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

struct mu_nearest mu_nearest_to(const char *word)
{
    return (struct mu_nearest){.word = word, .best = NULL, .doubt = SIZE_MAX};
}

/* Doubt beyond which nobody meant that. */
static size_t allowed(const struct mu_nearest *n)
{
    return 3 + 2 * (strlen(n->word) / 4);
}

static void offer(struct mu_nearest *n, const char *candidate, size_t doubt)
{
    if (doubt < n->doubt && doubt <= allowed(n)) {
        n->doubt = doubt;
        n->best = candidate;
    }
}

void mu_nearest_offer(struct mu_nearest *n, const char *candidate)
{
    size_t a = strlen(n->word), b = strlen(candidate);

    /* the difference in length is the least distance: most need not be computed */
    if (2 * (a > b ? a - b : b - a) <= allowed(n))
        offer(n, candidate, 2 * mu_edit_distance(n->word, candidate));
}

static const char *last_component(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

void mu_nearest_offer_key(struct mu_nearest *n, const char *key)
{
    const char *last = last_component(n->word), *of_key = last_component(key);
    size_t length = strlen(last), tail = length;

    mu_nearest_offer(n, key);
    /* a tail counts only when most of it is right; a wrong group is worse than one wrong letter */
    if (length && length < LONGEST)
        tail = mu_edit_distance(last, of_key);
    if (tail * 3 <= length && length)
        offer(n, key, 2 * tail + 3);
}

const char *mu_nearest_answer(const struct mu_nearest *n)
{
    return n->best;
}
