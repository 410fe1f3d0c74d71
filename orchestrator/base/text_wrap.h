/* Text for people, in lines that a terminal holds. */
#ifndef MUSTER_BASE_TEXT_WRAP_H
#define MUSTER_BASE_TEXT_WRAP_H

#include <stdio.h>

/* Text broken at spaces into lines of at most 80 columns, each after `indent` columns; the first
 * line is taken to have `used` columns already. Ends with a newline. */
void mu_text_wrap(FILE *out, int indent, int used, const char *text);

#endif
