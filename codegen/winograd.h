/* Winograd's minimal filtering (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015):
 *
 *   Y = At [ (G w Gt) * (Bt d B) ] A
 *
 * along each axis, `out` results of a window of `window` taps take in = out + window - 1 products instead of out * window.
 * Bt belongs to the points at which polynomials are evaluated (0, 1, -1, 2, -2, with eight products also 1/2 and -1/2, and
 * infinity); G and At follow from them. Axes with a window of 1 are left as they are. */
#ifndef ADZE_CODEGEN_WINOGRAD_H
#define ADZE_CODEGEN_WINOGRAD_H

#include "codegen/contraction.h"

enum { ADZE_WINOGRAD_IN = 8, ADZE_WINOGRAD_AXES = 2 };

/* One axis: matrices row by row, Bt [in][in], At [out][in]. */
typedef struct adze_winograd_filter {
    int window, in, out;
    double g[ADZE_WINOGRAD_IN][ADZE_WINOGRAD_IN]; /* [in][window] */
    double bt[ADZE_WINOGRAD_IN][ADZE_WINOGRAD_IN], at[ADZE_WINOGRAD_IN][ADZE_WINOGRAD_IN];
} adze_winograd_filter;

/* The filter for a window; false: there is none. A window of 1: in = out = 1. */
bool adze_winograd_filter_of(int64_t window, adze_winograd_filter *out);

/* How a contraction is cut into tiles. */
typedef struct adze_winograd {
    adze_winograd_filter filter[ADZE_WINOGRAD_AXES];
    int64_t out[ADZE_WINOGRAD_AXES], in[ADZE_WINOGRAD_AXES]; /* extents of a tile; 1 and 1: not transformed */
    int64_t counts[ADZE_WINOGRAD_AXES];                      /* tiles along the axis */
    int64_t points;                                          /* products of a tile */
    /* one part's work memory, in floats: copies of x, transformed x, sums */
    int64_t copy_width, copy_at, x_at, sums_at, work;
} adze_winograd;

/* False when the convolution is none that can be cut so: f32, one or two spatial axes with windows that have a
 * filter (not all of 1), strides and dilations 1, one group. `tiles` and `columns` (outputs, padded) size the work memory. */
bool adze_winograd_cut(const adze_contraction *c, int64_t tiles, int64_t columns, adze_winograd *out);

/* Filtered along the first of two spatial axes only. A window longer than the filter is cut into `parts`, whose products
 * have one sum: each reads x `filter.window` rows further on. */
typedef struct adze_winograd_rows {
    adze_winograd_filter filter; /* out: rows of y at once */
    int64_t parts, points;       /* points = filter.in */
    int64_t tiles;               /* along the axis */
    int64_t in_rows, width;      /* of x, for a tile; width in pixels, with padding */
    int64_t copy_at, x_at, sums_at, work; /* one part's work memory, in floats */
} adze_winograd_rows;

/* False when the convolution cannot be cut so: f32, two spatial axes of which the first has a window of 3 or more, stride
 * and dilation 1, the second dilation 1, one group. `out` rows of y must leave a filter of 6 or 8 products. `columns`:
 * outputs of a panel. */
bool adze_winograd_rows_cut(const adze_contraction *c, int64_t out, int64_t columns, adze_winograd_rows *cut);

/* The sum of factors[i] * x[i * step], f32: zero factors cost nothing, ones no multiplication. */
MlirValue adze_winograd_combine(adze_gen *g, const double *factors, int n, const MlirValue *x, int64_t step);

#endif
