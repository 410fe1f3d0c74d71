/* Text in UTF-8, as wide as a terminal shows it: a column a character. */
#ifndef MUSTER_BASE_UTF8_H
#define MUSTER_BASE_UTF8_H

#include <stddef.h>

/* Columns of the first `size` bytes. */
size_t mu_utf8_columns(const char *text, size_t size);
/* Bytes of the beginning that `columns` hold: whole characters. */
size_t mu_utf8_fit(const char *text, size_t columns);

#endif
