/* What a program gave against what a reference says. */
#ifndef ADZE_DRIVER_COMPARE_H
#define ADZE_DRIVER_COMPARE_H

#include "ir/ir.h"

typedef struct adze_comparison {
    double max_abs, max_rel; /* over all outputs; max_rel relative to each output's range */
    bool ok;                 /* floats within 1e-4 of the range, everything else equal */
    bool same_best;          /* the largest element of every output stands at the same place */
} adze_comparison;

/* Compares n outputs. With `out` one line for each output: "ok", or the word `otherwise`. */
adze_comparison adze_compare_outputs(const char *const *names, const adze_tensor *got,
                                     const adze_tensor *want, size_t n, const char *otherwise,
                                     adze_text *out);

#endif
