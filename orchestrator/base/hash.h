/* xxh3-128 (the xxHash library) and its text form. */
#ifndef MUSTER_BASE_HASH_H
#define MUSTER_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_hash {
    uint64_t high, low;
};
struct mu_hash_text {
    char text[33];
};

struct mu_hash mu_hash_bytes(const void *data, size_t size, uint64_t seed);
bool mu_hash_equal(struct mu_hash a, struct mu_hash b);
struct mu_hash_text mu_hash_print(struct mu_hash h);       /* 32 hexadecimal digits */
bool mu_hash_parse(const char *text, struct mu_hash *out); /* exactly 32 digits */

const char *mu_hash_library_version(void); /* "xxHash 0.8.1" */

#endif
