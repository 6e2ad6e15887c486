/* Compares what a model gave with what it should have given, and says the largest difference. */
#ifndef COMPARE_H
#define COMPARE_H

#include <stddef.h>
#include <stdint.h>

/* How an array's elements are stored. */
typedef enum element {
    ELEMENT_BOOL,
    ELEMENT_I8,
    ELEMENT_U8,
    ELEMENT_I16,
    ELEMENT_U16,
    ELEMENT_I32,
    ELEMENT_U32,
    ELEMENT_I64,
    ELEMENT_U64,
    ELEMENT_F32,
    ELEMENT_F64,
    ELEMENT_F16,
    ELEMENT_BF16,
    ELEMENT_F8E4M3FN,
    ELEMENT_F8E4M3FNUZ,
    ELEMENT_F8E5M2,
    ELEMENT_F8E5M2FNUZ,
    ELEMENT_F8E8M0,
    ELEMENT_F4E2M1
} element;

double element_value(element type, const void *data, size_t index);
int element_is_float(element type);

/* Floats may differ by `tolerance` times the range of the expected values, integers by `steps`.
 * Prints one line; 1 when the output is wrong, else 0. */
int compare(const char *name, element type, const void *got, const void *want, size_t count,
            double tolerance, double steps);

/* All values of a short output, the largest five of a long one. */
void print_values(const char *name, element type, const void *data, size_t count);

#endif
