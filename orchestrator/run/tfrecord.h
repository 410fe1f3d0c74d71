/* TFRecord, the framing of TensorBoard's event files:
 *
 *     length of the data    8 bytes
 *     checksum of these 8   4 bytes
 *     data
 *     checksum of the data  4 bytes
 *
 * All numbers are little-endian. A checksum is the CRC32C, rotated right by 15 bits, plus
 * 0xa282ead8, so that the checksum of data that hold checksums is no weaker. */
#ifndef MUSTER_RUN_TFRECORD_H
#define MUSTER_RUN_TFRECORD_H

#include <stddef.h>
#include <stdint.h>

enum { MU_TFRECORD_HEAD = 12, MU_TFRECORD_TAIL = 4 };

/* Frames `size` bytes of data, less than 2 GiB, that lie at record + MU_TFRECORD_HEAD; gives back
 * the bytes of the whole record. */
size_t mu_tfrecord_seal(uint8_t *record, size_t size);

const char *mu_tfrecord_library_version(void);

#endif
