/* Winograd's minimal filtering F(4, 3) along the axes with a window of 3 (A. Lavin, S. Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2015; points 0, 1, -1, 2, -2, infinity):
 *
 *   Y = At [ (G w Gt) * (Bt d B) ] A      4 outputs of 6 inputs take 6 multiplications instead of 12
 *
 * Axes with a window of 1 are left as they are. */
#ifndef ADZE_CODEGEN_WINOGRAD_H
#define ADZE_CODEGEN_WINOGRAD_H

#include "codegen/contraction.h"

enum { ADZE_WINOGRAD_OUT = 4, ADZE_WINOGRAD_IN = 6, ADZE_WINOGRAD_AXES = 2 };

extern const float adze_winograd_g[ADZE_WINOGRAD_IN][3];
extern const float adze_winograd_bt[ADZE_WINOGRAD_IN][ADZE_WINOGRAD_IN];
extern const float adze_winograd_at[ADZE_WINOGRAD_OUT][ADZE_WINOGRAD_IN];

/* How a contraction is cut into tiles. */
typedef struct adze_winograd {
    int64_t out[ADZE_WINOGRAD_AXES], in[ADZE_WINOGRAD_AXES]; /* extents of a tile; 1 and 1: not transformed */
    int64_t counts[ADZE_WINOGRAD_AXES];                      /* tiles along the axis */
    int64_t points;                                          /* products of a tile */
    /* one part's work memory, in floats: copies of x, transformed x, sums */
    int64_t copy_width, copy_at, x_at, sums_at, work;
} adze_winograd;

/* False when the convolution is none that can be cut so: f32, one or two spatial axes with windows of 3 or 1 (at least
 * one of 3), strides and dilations 1, one group. `tiles` and `columns` (outputs, padded) size the work memory. */
bool adze_winograd_cut(const adze_contraction *c, int64_t tiles, int64_t columns, adze_winograd *out);

#endif
