/* Orders of axes, and what each operation does to them: the rows behind the pass `layout`.
 *
 * A value may be kept with its axes in another order: axis i of what is kept is axis at[i] of the value
 * itself. An operation with a row can work on operands kept in one order and give results kept in one,
 * with its attributes changed to fit. */
#ifndef ADZE_PASSES_AXES_H
#define ADZE_PASSES_AXES_H

#include "ir/ir.h"

typedef struct adze_axes {
    int rank;
    int at[ADZE_MAX_RANK];
} adze_axes;

adze_axes adze_axes_plain(int rank);
adze_axes adze_axes_channels_last(int rank); /* N, spatial..., C of N, C, spatial... */
bool adze_axes_same(const adze_axes *a, const adze_axes *b);
/* Does going from one order to the other move elements of a value of these extents? Axes of extent 1 may
 * stand anywhere. */
bool adze_axes_move(const adze_axes *from, const adze_axes *to, const int64_t *dims);
/* The permutation that takes a value kept as `from` to one kept as `to`. */
adze_axes adze_axes_between(const adze_axes *from, const adze_axes *to);
/* Extents, symbols and the axis of a per-axis encoding, reordered. */
adze_shape adze_axes_shape(adze_context *ctx, const adze_shape *shape, const adze_axes *axes);

/* An operation and the orders it would work in. `in` is that of its operands (those that the row names),
 * `out` that of its results. */
typedef struct adze_axes_case {
    adze_context *ctx;
    MlirOperation op;
    adze_shape x, y; /* operand 0 and result 0, as the model has them */
    adze_axes in, out;
} adze_axes_case;

typedef struct adze_axes_row {
    const char *op;
    unsigned operands; /* bits: these have the axes of the result, or fewer, aligned right as numpy does */
    bool all_results;  /* not the first alone */
    /* NULL: in and out are the same. Fills in `out` from `in` or (backwards) the other way round; false:
     * no such order. */
    bool (*derive)(adze_axes_case *c, bool backwards);
    bool (*fits)(adze_axes_case *c); /* NULL: always. A condition on the operation alone. */
    void (*rewrite)(const adze_axes_case *c); /* the attributes; NULL: none has axes */
} adze_axes_row;

const adze_axes_row *adze_axes_row_of(MlirOperation op); /* NULL: it works in the model's order only */

#endif
