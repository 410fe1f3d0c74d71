#include "orchestrator/points/cell.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/config/number.h"

static int suffix_exponent(char c)
{
    switch (tolower((unsigned char)c)) {
    case 'k':
        return 3;
    case 'm':
        return 6;
    case 'b':
        return 9;
    case 't':
        return 12;
    default:
        return 0;
    }
}

static size_t trimmed(const char **text)
{
    size_t length;

    *text += strspn(*text, " \t\r\n");
    length = strlen(*text);
    while (length && strchr(" \t\r\n", (*text)[length - 1]))
        length--;
    return length;
}

const char *mu_cell_number(const char *text, int exponent, double *out)
{
    char number[128];
    size_t length = trimmed(&text);
    int suffix = length ? suffix_exponent(text[length - 1]) : 0;

    if (length == 0)
        return "is empty";
    if (length > sizeof number - 8)
        return "is too long for a number";
    if (suffix) {
        do
            length--;
        while (length && text[length - 1] == ' ');
        exponent = exponent && exponent != suffix ? -1 : suffix; /* -1: if it is a number at all */
    }
    memcpy(number, text, length);
    number[length] = 0;
    if (strpbrk(number, ",'_") && isdigit((unsigned char)number[length - 1]))
        return "is doubtful, between decimals and thousands; numbers are written 1.5, 1500 or "
               "1.5e3";
    if (strpbrk(number, "xXL") || mu_number_real(number, out) == MU_NUMBER_NONE)
        return "is no number";
    if (exponent < 0)
        return "names another unit than the head of its column: mend one of them";
    if (exponent && strpbrk(number, "eE"))
        return "has both an exponent and a unit";
    /* 1.4T is the double nearest to 1.4e12, not a product of two that were rounded */
    if (exponent)
        snprintf(number + length, sizeof number - length, "e%d", exponent);
    switch (mu_number_real(number, out)) {
    case MU_NUMBER_OK:
        return NULL;
    case MU_NUMBER_TOO_LARGE:
        return "is too large";
    default:
        return "is too small";
    }
}

/* Bytes of the UTF-8 character at c; 0: it is none. Overlong forms and surrogates are none. */
static size_t utf8_length(const unsigned char *c)
{
    const unsigned lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = c[0] < 0x80 ? 1 : (c[0] >> 5) == 6 ? 2 : (c[0] >> 4) == 14 ? 3 : 4;
    unsigned code = c[0] & (0x7Fu >> length);

    if (length == 1)
        return 1;
    if (length == 4 && (c[0] >> 3) != 30)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((c[i] >> 6) != 2)
            return 0;
        code = code << 6 | (c[i] & 0x3Fu);
    }
    return code < lowest[length] || code > 0x10FFFF || (code >> 11) == 27 ? 0 : length;
}

void mu_cell_copy(char *out, size_t size, const char *text)
{
    size_t used = 0;

    while (*text) {
        const size_t length = utf8_length((const unsigned char *)text);

        if (used + (length ? length : 1) >= size)
            break;
        if (length && (length > 1 || isprint((unsigned char)*text)))
            memcpy(out + used, text, length);
        else
            out[used] = '?';
        used += length ? length : 1;
        text += length ? length : 1;
    }
    out[used] = 0;
}

struct mu_cell_text mu_cell_show(const char *text)
{
    enum { SHOWN = 40 };
    struct mu_cell_text out;
    char copy[SHOWN + 1];

    mu_cell_copy(copy, sizeof copy, text);
    snprintf(out.text, sizeof out.text, "'%s%s'", copy, strlen(copy) < strlen(text) ? "..." : "");
    return out;
}

bool mu_cell_squash(char *out, size_t size, const char *text, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length && text[i]; i++) {
        if (!isalnum((unsigned char)text[i]))
            continue;
        if (used + 1 == size)
            return out[used] = 0, false;
        out[used++] = (char)tolower((unsigned char)text[i]);
    }
    out[used] = 0;
    return true;
}
