/* expect.h - what the programs beside this file have in common: they stop at the first thing that is not as it should be. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>

/* Longer than anything here takes, in milliseconds. */
#define LONG_ENOUGH 60000

/* Prints UTF-16 and ends the line; on Linux check.h says how. */
#ifndef PRINT_TEXT
#define PRINT_TEXT(text) fprintf(stderr, "%ls\n", (text) ? (text) : L"")
#endif

/* Stops unless a condition holds. */
#define HOLDS(condition)                                                                                                         \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                        \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

/* Stops unless a call answered `code`. */
#define EXPECT(code, call)                                                                                                       \
    do {                                                                                                                         \
        HRESULT answered = (call);                                                                                               \
        if (answered != (HRESULT)(code)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s answered 0x%08x\n", __FILE__, __LINE__, #call, (unsigned)answered);                       \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

/* As EXPECT with 0; what else there is to say stands in `record`. */
#define SUCCEEDS(call, record)                                                                                                   \
    do {                                                                                                                         \
        HRESULT answered = (call);                                                                                               \
        if (answered != 0) {                                                                                                     \
            fprintf(stderr, "%s:%d: %s answered 0x%08x: ", __FILE__, __LINE__, #call, (unsigned)answered);                       \
            PRINT_TEXT(record);                                                                                                  \
            exit(1);                                                                                                             \
        }                                                                                                                        \
        HOLDS((record) == NULL);                                                                                                 \
    } while (0)

#endif /* EXPECT_H */
