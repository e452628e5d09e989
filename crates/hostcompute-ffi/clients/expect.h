/* expect.h - what the Windows programs beside this file have in common: they stop at the first thing that is not as it should be. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>

/* Longer than anything here takes, in milliseconds. */
#define LONG_ENOUGH 60000

#define HOLDS(condition)                                                                                                         \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                        \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

#define EXPECT(code, call)                                                                                                       \
    do {                                                                                                                         \
        HRESULT answered = (call);                                                                                               \
        if (answered != (HRESULT)(code)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s answered 0x%08lx\n", __FILE__, __LINE__, #call, (unsigned long)answered);                 \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

/* As EXPECT with 0; what else there is to say stands in `record`. */
#define SUCCEEDS(call, record)                                                                                                   \
    do {                                                                                                                         \
        HRESULT answered = (call);                                                                                               \
        if (answered != 0) {                                                                                                     \
            fprintf(stderr, "%s:%d: %s answered 0x%08lx: %ls\n", __FILE__, __LINE__, #call, (unsigned long)answered,             \
                    record ? record : L"");                                                                                      \
            exit(1);                                                                                                             \
        }                                                                                                                        \
        HOLDS((record) == NULL);                                                                                                 \
    } while (0)

#endif /* EXPECT_H */
