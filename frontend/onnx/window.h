/* Sliding windows: what Conv, ConvTranspose and the pools have in common. */
#ifndef ADZE_FRONTEND_ONNX_WINDOW_H
#define ADZE_FRONTEND_ONNX_WINDOW_H

#include "frontend/onnx/importer.h"

/* Attributes of a window over n spatial axes; out[] are the output extents. */
typedef struct ox_window {
    int n;
    int64_t kernel[ADZE_MAX_RANK], strides[ADZE_MAX_RANK], dilations[ADZE_MAX_RANK];
    int64_t pads[2 * ADZE_MAX_RANK], out[ADZE_MAX_RANK];
} ox_window;

/* Reads kernel_shape (or takes `kernel`, the weight's own extents, when not NULL), strides,
 * dilations, pads and auto_pad, and works out the extents over in[n]. */
bool ox_window_read(node *n, int n_spatial, const int64_t *in, const int64_t *kernel,
                    bool ceil_mode, ox_window *w);
/* The attributes without the output extents (and without auto_pad applied). */
bool ox_window_attrs(node *n, int n_spatial, const int64_t *kernel, ox_window *w);

/* adze.conv over any element types; `w` gives the result's, whose rank and extents are worked out.
 */
val *ox_conv(node *n, val *x, val *w, val *bias, MlirType element, adze_dtype dtype);
/* Batch extents of a matmul and its result's shape. */
bool ox_matmul_shape(node *n, const adze_shape *a, const adze_shape *b, bool trans_a, bool trans_b,
                     adze_shape *out);
/* adze.pool of one kind: y, or y and indices when asked for. */
bool ox_pool(node *n, val *x, const char *kind, const ox_window *w, bool count_pad, int64_t p,
             bool column_major, bool want_indices, val **y, val **indices);

#endif
