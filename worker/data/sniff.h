/* What a foreign file looks like, by its first bytes: only for messages that help. */
#ifndef MUSTER_WORKER_DATA_SNIFF_H
#define MUSTER_WORKER_DATA_SNIFF_H

#include <stddef.h>
#include <stdint.h>

struct mu_sniff {
    const char *what; /* "gzip", "HDF5", "text", ...; NULL: not known */
    /* How to read a compressed file as text, a program that writes to stdout; NULL: not
     * compressed */
    const char *decompressor;
};

enum { MU_SNIFF_BYTES = 512 }; /* more are not looked at */
struct mu_sniff mu_sniff_bytes(const uint8_t *head, size_t bytes);

#endif
