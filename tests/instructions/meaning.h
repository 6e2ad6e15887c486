/* What a row of an instruction table means, lane by lane: the one table that all targets are held
 * to. */
#ifndef ADZE_TEST_MEANING_H
#define ADZE_TEST_MEANING_H

#include "targets/target.h"

/* One evaluation of a row, as the judge sees it. */
typedef struct {
    const adze_instruction *row;
    const void *operand[10]; /* the elements of each operand: of vectors all, of pointers from where
                                it points */
    int64_t number[10];      /* of index and literal operands */
    size_t lanes;            /* of the result, or of the row's type; lanes that are on */
    bool flushed;            /* denormal operands are taken for 0 */
    bool flushes;            /* the target takes denormals for 0 */
} call;

typedef struct {
    int64_t i; /* integers and masks (0, 1), in the low bits */
    double f;  /* floats, exact */
    double
        tolerance; /* of floats: what f may be off by; 0: to the bit, but for what a NaN carries */
    bool any_zero; /* -0 and 0 are both right */
} value;

/* What lane `lane` of the result (or of what is stored) is to be; false: anything will do. */
typedef bool meaning_fn(const call *, size_t lane, value *want);

typedef struct {
    const char *name;
    meaning_fn *fn;
    const char *pools; /* a letter an operand: s shift amounts, i indices below 1024, w whole
                           words (memory at a multiple of four elements), t floats of
                                middle size in every second case; else by type */
    char literal; /* q: stores four vectors; else what a # goes over: s, b shifts from 1 below the
                     width; l, 4 lanes of 128 bits, of four */
} meaning;

/* NULL: there is none. */
const meaning *meaning_of(const char *name);
/* One after the other; NULL at the end. */
const meaning *meaning_at(size_t i);

/* Lane `lane` of operand `o`. */
value meaning_operand(const call *, size_t o, size_t lane);
/* One element of a type from memory. */
value meaning_load(const adze_value_type *, const void *at, size_t lane);
/* A float to the nearest that the type has, ties to even. */
double meaning_round(const adze_value_type *, double);

#endif
