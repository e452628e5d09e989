/* check.h - what the C programs beside this file have in common: they stop at the first thing that is not as it should be. */
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

/* Stops unless a call answered `code`. */
#define EXPECT(code, call)                                                                                                       \
    do {                                                                                                                         \
        HRESULT answered = (call);                                                                                               \
        if (answered != (HRESULT)(code)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s answered 0x%08x\n", __FILE__, __LINE__, #call, (unsigned)answered);                       \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

/* Stops unless a condition holds. */
#define HOLDS(condition)                                                                                                         \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                        \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

/* As EXPECT with 0; what else there is to say stands in `record`. */
#define SUCCEEDS(call, record)                                                                                                   \
    do {                                                                                                                         \
        HRESULT answered = (call);                                                                                               \
        if (answered != 0) {                                                                                                     \
            fprintf(stderr, "%s:%d: %s answered 0x%08x: ", __FILE__, __LINE__, #call, (unsigned)answered);                       \
            print16(record);                                                                                                     \
            exit(1);                                                                                                             \
        }                                                                                                                        \
        HOLDS((record) == NULL);                                                                                                 \
    } while (0)

#endif /* CHECK_H */
