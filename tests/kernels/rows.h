/* What the rows share: short ways to say operations (rows.c), and the rows' functions. */
#ifndef TESTS_KERNELS_ROWS_H
#define TESTS_KERNELS_ROWS_H

#include "tests/kernels/kernels.h"

#define ROW(name, function, huge, rules, doc) void function(net *n);
#include "tests/kernels/rows.def"
#undef ROW

net_value shape1(adze_dtype dtype, int64_t a);
net_value shape2(adze_dtype dtype, int64_t a, int64_t b);
net_value shape3(adze_dtype dtype, int64_t a, int64_t b, int64_t c);
net_value shape4(adze_dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d);
/* `params`: the numbers of a unary kind, "0.1, 2.0". */
net_value unary(net *n, const char *kind, const char *params, net_value x);
net_value binary(net *n, const char *kind, net_value x, net_value y, net_value result);
net_value matmul(net *n, net_value a, net_value b, net_value bias, bool trans_a, bool trans_b, net_value y);
net_value transpose(net *n, net_value x, const int64_t *perm);
/* A random shape of rank low .. high with at most about `most` elements. */
net_value random_shape(net *n, adze_dtype dtype, int low, int high, int64_t most);

/* Spatial axes of a random window: extents, kernel, strides, pads, dilations; at least one output each. */
typedef struct window {
    int rank; /* spatial */
    int64_t in[3], out[3], kernel[3], strides[3], dilations[3], pads[6];
} window;
typedef enum window_kind { WINDOW_ANY, WINDOW_POINT, WINDOW_3X3, WINDOW_WIDE } window_kind;
window random_window(net *n, int rank, window_kind kind, int64_t most_extent);
/* strides, pads, dilations, layout */
const char *window_attrs(net *n, const window *w);
/* [batch, channels, extents...] */
net_value spatial_shape(adze_dtype dtype, int64_t batch, int64_t channels, int rank, const int64_t *extents);

#endif
