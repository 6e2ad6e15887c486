/* Reductions, arg-extremes and running sums. */
#include "frontend/onnx/importer.h"

#include <string.h>

/* Axes moved from an attribute to operand 1: ReduceSum in opset 13, the others in 18. */
bool ox_op_reduce(node *n) {
    val *x = ox_need(n, 0, "data");
    int64_t axes[ADZE_MAX_RANK];
    if (!x)
        return false;
    int rank = x->shape.rank, since = !strcmp(n->op, "ReduceSum") ? 13 : 18;
    int count = n->opset < since ? ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes)
                                 : ox_const_ints(n, 1, "axes", ADZE_MAX_RANK, axes);
    bool keep = ox_attr_i(n, "keepdims", 1) != 0;
    if (n->failed)
        return false;
    if (count <= 0) {
        if (ox_attr_i(n, "noop_with_empty_axes", 0)) {
            /* nothing is reduced, but the elementwise part of the operator still applies */
            count = 0;
        } else {
            for (count = 0; count < rank; count++)
                axes[count] = count;
        }
    }
    for (int i = 0; i < count; i++)
        axes[i] = ox_axis(n, axes[i], rank);
    const char *kind = n->row->arg;
    bool plain = !strcmp(kind, "sum") || !strcmp(kind, "mean") || !strcmp(kind, "max") ||
                 !strcmp(kind, "min") || !strcmp(kind, "prod");
    if (!count && plain)
        return !n->failed && ox_out(n, 0, x);
    return !n->failed && ox_out(n, 0, ox_reduce(n, kind, x, count, axes, keep));
}

bool ox_op_arg_reduce(node *n) {
    val *x = ox_need(n, 0, "data");
    if (!x)
        return false;
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    bool keep = ox_attr_i(n, "keepdims", 1) != 0, last = ox_attr_i(n, "select_last_index", 0) != 0;
    adze_shape s = ox_with_dtype(n, &x->shape, ADZE_i64);
    s.dims[axis] = 1;
    s.symbols[axis] = NULL;
    if (!keep) {
        for (int i = axis; i + 1 < s.rank; i++)
            ox_set_dim(&s, i, &s, i + 1);
        s.rank--;
    }
    return ox_out(
        n, 0,
        ox_emit(n, "arg_reduce", VALS(x), &s,
                ATTRS({"kind", adze_str(n->ctx, n->row->arg)}, {"axis", adze_i64(n->ctx, axis)},
                      {"select_last", adze_bool(n->ctx, last)})));
}

bool ox_op_cumulate(node *n) {
    val *x = ox_need(n, 0, "x");
    int64_t axis;
    if (!x || !ox_need(n, 1, "axis") || ox_const_ints(n, 1, "axis", 1, &axis) != 1)
        return !n->failed && ox_fail(n, "needs one axis");
    axis = ox_axis(n, axis, x->shape.rank);
    return ox_out(
        n, 0,
        ox_emit(n, "cumulate", VALS(x), &x->shape,
                ATTRS({"kind", adze_str(n->ctx, n->row->arg)}, {"axis", adze_i64(n->ctx, axis)},
                      {"exclusive", adze_bool(n->ctx, ox_attr_i(n, "exclusive", 0) != 0)},
                      {"reverse", adze_bool(n->ctx, ox_attr_i(n, "reverse", 0) != 0)})));
}
