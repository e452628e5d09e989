/* check.h - what the programs for Linux beside this file have in common: expect.h, and UTF-16, which the C library of Linux knows little of. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostcompute.h"

/* Prints UTF-16 as ASCII; other characters as '?'. */
static inline void print16(const char16_t *text)
{
    for (; text && *text; text++)
        fputc(*text < 128 ? (int)*text : '?', stderr);
    fputc('\n', stderr);
}

/* Whether `text` has the ASCII text `part` in it. */
static inline int has(const char16_t *text, const char *part)
{
    for (; text && *text; text++) {
        size_t at = 0;
        while (part[at] && text[at] == (unsigned char)part[at])
            at++;
        if (!part[at])
            return 1;
    }
    return 0;
}

#define PRINT_TEXT(text) print16(text)

#include "expect.h"

#endif /* CHECK_H */
