/* Where a window operation (conv, conv_transpose, pool) has its axes: what its attribute `layout` says.
 *
 *                   x, y                  conv's w                  conv_transpose's w
 *   channels_first  [N, C, spatial...]    [M, C/group, kernel...]   [C, M/group, kernel...]
 *   channels_last   [N, spatial..., C]    [kernel..., C/group, M]   [kernel..., C, M/group]
 */
#ifndef ADZE_IR_WINDOW_H
#define ADZE_IR_WINDOW_H

#include "ir/ir.h"

typedef struct adze_window_axes {
    bool last;            /* channels last */
    int channel, spatial; /* of x and y: the channels, the first of the spatial axes; the batch is 0 */
    int w_in, w_out;      /* of w: the channels of x it meets, those of y */
    int w_spatial;        /* the first of its spatial axes */
} adze_window_axes;

/* `rank` is that of x. Operations without the attribute are channels first. */
adze_window_axes adze_window_axes_of(MlirOperation op, int rank);

/* Winograd's minimal filtering (codegen/winograd.h): how many products a tile takes along an axis with this window. 1 for
 * a window of 1, which is not filtered; 0 where there is no filter. */
int64_t adze_winograd_products(int64_t window);
/* Longer windows are cut into parts, where an axis is filtered alone. */
enum { ADZE_WINOGRAD_LONGEST_PART = 5 };

#endif
