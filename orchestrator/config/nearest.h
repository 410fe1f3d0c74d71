/* "did you mean": of the words that are known, the one a mistyped word was probably meant to be.
 * Offer all of them, then ask. */
#ifndef MUSTER_CONFIG_NEAREST_H
#define MUSTER_CONFIG_NEAREST_H

#include <stddef.h>

struct mu_nearest {
    const char *word; /* as typed */
    const char *best; /* nearest of those offered, NULL: none near enough; kept by reference */
    size_t doubt;     /* that best was meant: two for each mistake in typing */
};

struct mu_nearest mu_nearest_to(const char *word);
void mu_nearest_offer(struct mu_nearest *n, const char *candidate);
/* As above for dotted keys: "lr" and "model.lr" are also near "optim.lr", since the last components
 * are. */
void mu_nearest_offer_key(struct mu_nearest *n, const char *key);
/* NULL when nothing is near enough to be what was meant. */
const char *mu_nearest_answer(const struct mu_nearest *n);

/* Letters inserted, deleted, replaced, or swapped with their neighbour, to get from one to the
 * other; capitals count as small letters. Beyond 127 letters only the beginnings are compared. */
size_t mu_edit_distance(const char *a, const char *b);

#endif
