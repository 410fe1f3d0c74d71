/* What stands in one cell of a file of points. */
#ifndef MUSTER_POINTS_CELL_H
#define MUSTER_POINTS_CELL_H

#include <stdbool.h>
#include <stddef.h>

/* A number, with K, M, B or T (thousands to trillions, also in small letters) after it or without:
 * "7e9", "70B", "1.4 T". `exponent`: the unit that the head of its column names, as a power of ten;
 * 0: none. The same unit in both places is meant once. NULL, or why it is none, to stand after the
 * cell: "is no number". */
const char *mu_cell_number(const char *text, int exponent, double *out);

/* For messages: in quotes, at most 40 bytes of it, only what a terminal can show. */
struct mu_cell_text {
    char text[192];
};
struct mu_cell_text mu_cell_show(const char *text);

/* For files: what is not UTF-8 becomes '?'; cut at a character's end. */
void mu_cell_copy(char *out, size_t size, const char *text);

/* Small letters and digits only: " Model_Size" and "modelsize" are one spelling. False: cut. */
bool mu_cell_squash(char *out, size_t size, const char *text, size_t length);

#endif
