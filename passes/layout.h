/* What the layout*.c files share. Not for others.
 *
 *   layout.c          which operations work in which order; the rewriting
 *   layout_values.c   a value in another order: a transpose, a view, a constant turned round
 *   layout_flatten.c  a flattening in front of a fully connected layer
 *   layout_squeeze.c  convolutions without axes of one element
 */
#ifndef ADZE_PASSES_LAYOUT_H
#define ADZE_PASSES_LAYOUT_H

#include "passes/axes.h"
#include "passes/valuemap.h"

typedef struct adze_layout_node {
    adze_axes_case c;
    const adze_axes_row *row;
    int number;           /* in the cut */
    bool in_region;       /* c.in and c.out are known */
    bool flattened;       /* a reshape whose result is in another order within its last axis */
    bool chosen;          /* works in its own order, not the model's */
    struct adze_layout_node *next;
} adze_layout_node;

typedef struct adze_layout {
    adze_context *ctx;
    MlirModule module;
    adze_value_map nodes; /* keyed by the operation's address: its adze_layout_node */
    adze_layout_node *list, **queue;
    int n_queue, max_queue;
    struct adze_layout_copy *copies; /* what was reordered before */
} adze_layout;

/* `value` (of the model's order kept as `have`) in the order `want`: itself, a view, a transpose behind the
 * operation that makes it, or a new constant. */
MlirValue adze_layout_reordered(adze_layout *l, MlirValue value, const adze_axes *have,
                                const adze_axes *want, int rank);
/* A value of fewer axes, in the model's order, for an operation that broadcasts it to axes kept as `axes`. */
MlirValue adze_layout_broadcast(adze_layout *l, MlirValue value, const adze_axes *axes);
/* A shape with 1s in front, up to `rank`. */
adze_shape adze_layout_widened(const adze_shape *s, int rank);
/* A constant whose elements, seen with the extents `dims`, stand in the order `axes` in a value of type
 * `shape`. False when `value` is no constant. */
bool adze_layout_constant(adze_layout *l, MlirValue value, const int64_t *dims, const adze_axes *axes,
                          const adze_shape *shape, MlirValue *out);

/* May this reshape, whose operand is kept as node->c.in, leave its last axis in that order, because all that
 * reads it is elementwise and then multiplied by a constant along that axis? Marks it. */
bool adze_layout_flattens(adze_layout *l, adze_layout_node *node);
/* Takes spatial axes of one element out of convolutions channels last. */
void adze_layout_squeeze(adze_layout *l);
/* Turns the constants round behind the chosen ones of these. */
bool adze_layout_flatten(adze_layout *l);

#endif
