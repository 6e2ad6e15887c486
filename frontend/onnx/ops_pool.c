/* Pools: max, average, Lp, global, and MaxUnpool. */
#include "frontend/onnx/window.h"

#include <string.h>

/* A pad as wide as the window would leave windows without an element: nothing is their maximum or
 * average. */
static bool check_pads(node *n, const ox_window *w) {
    for (int i = 0; i < w->n; i++) {
        const int64_t reach = (w->kernel[i] - 1) * w->dilations[i] + 1;
        for (int e = 0; e < 2; e++) {
            const int64_t pad = w->pads[e * w->n + i];
            if (pad >= reach)
                return ox_fail(n,
                               "axis %d: a padding of %lld is not smaller than the kernel of %lld, "
                               "so a window would lie in the padding alone",
                               2 + i, (long long)pad, (long long)reach);
        }
    }
    return true;
}

bool ox_pool(node *n, val *x, const char *kind, const ox_window *w, bool count_pad, int64_t p,
             bool column_major, bool want_indices, val **y, val **indices) {
    if (!x || !check_pads(n, w))
        return false;
    adze_shape shapes[2] = {x->shape, {.dtype = ADZE_NO_DTYPE}};
    for (int i = 0; i < w->n; i++)
        shapes[0].dims[2 + i] = w->out[i];
    if (want_indices)
        shapes[1] = ox_with_dtype(n, &shapes[0], ADZE_i64);
    val *out[2];
    if (!ox_emit_many(
            n, "pool", VALS(x), 2, shapes, out,
            ATTRS({"kind", adze_str(n->ctx, kind)}, {"kernel", adze_i64s(n->ctx, w->n, w->kernel)},
                  {"strides", adze_i64s(n->ctx, w->n, w->strides)},
                  {"pads", adze_i64s(n->ctx, 2 * w->n, w->pads)},
                  {"dilations", adze_i64s(n->ctx, w->n, w->dilations)},
                  {"count_include_pad", adze_bool(n->ctx, count_pad)}, {"p", adze_i64(n->ctx, p)},
                  {"column_major", adze_bool(n->ctx, column_major)},
                  {"layout", adze_str(n->ctx, "channels_first")})))
        return false;
    *y = out[0];
    if (indices)
        *indices = out[1];
    return true;
}

static bool spatial(node *n, const val *x) {
    if (!x)
        return false;
    if (x->shape.rank < 3)
        return ox_fail(n, "needs an input of rank 3 or more, not %d", x->shape.rank);
    for (int i = 2; i < x->shape.rank; i++)
        if (x->shape.dims[i] < 0)
            return ox_static(n, x);
    return true;
}

bool ox_op_pool(node *n) {
    val *x = ox_need(n, 0, "X"), *y, *indices;
    ox_window w;
    if (!spatial(n, x) || !ox_window_read(n, x->shape.rank - 2, x->shape.dims + 2, NULL,
                                          ox_attr_i(n, "ceil_mode", 0) != 0, &w))
        return false;
    int64_t p = ox_attr_i(n, "p", 2);
    bool count_pad = ox_attr_i(n, "count_include_pad", 0) != 0;
    bool column_major = ox_attr_i(n, "storage_order", 0) != 0;
    return ox_pool(n, x, n->row->arg, &w, count_pad, p, column_major, ox_wants(n, 1), &y,
                   &indices) &&
           ox_out(n, 0, y) && (!ox_wants(n, 1) || ox_out(n, 1, indices));
}

bool ox_op_global_pool(node *n) {
    val *x = ox_need(n, 0, "X");
    if (!spatial(n, x))
        return false;
    if (strcmp(n->row->arg, "lp")) {
        int64_t axes[ADZE_MAX_RANK];
        for (int i = 2; i < x->shape.rank; i++)
            axes[i - 2] = i;
        return ox_out(n, 0, ox_reduce(n, n->row->arg, x, x->shape.rank - 2, axes, true));
    }
    ox_window w = {.n = x->shape.rank - 2};
    for (int i = 0; i < w.n; i++) {
        w.kernel[i] = x->shape.dims[2 + i];
        w.strides[i] = w.dilations[i] = w.out[i] = 1;
    }
    val *y;
    return ox_pool(n, x, "lp", &w, false, ox_attr_i(n, "p", 2), false, false, &y, NULL) &&
           ox_out(n, 0, y);
}

bool ox_op_max_unpool(node *n) {
    val *x = ox_need(n, 0, "X"), *indices = ox_need(n, 1, "I");
    ox_window w;
    int64_t given[ADZE_MAX_RANK];
    if (!spatial(n, x) || !indices || !ox_static(n, x) ||
        !ox_window_attrs(n, x->shape.rank - 2, NULL, &w))
        return false;
    int count = ox_const_ints(n, 2, "output_shape", ADZE_MAX_RANK, given);
    if (n->failed)
        return false;
    adze_shape s = x->shape;
    for (int i = 0; i < w.n; i++)
        s.dims[2 + i] =
            (x->shape.dims[2 + i] - 1) * w.strides[i] - w.pads[i] - w.pads[w.n + i] + w.kernel[i];
    for (int i = 0; i < s.rank; i++)
        if (s.dims[i] < 1)
            return ox_fail(n, "an empty output");
    val *y = ox_emit(n, "max_unpool", VALS(x, indices), &s, NO_ATTRS);
    if (count < 0)
        return ox_out(n, 0, y);
    /* Indices count in the inferred shape; a larger output_shape only adds zeros behind it. */
    int64_t pads[2 * ADZE_MAX_RANK] = {0};
    if (count != s.rank)
        return ox_fail(n, "output_shape has %d entries for a rank of %d", count, s.rank);
    for (int i = 0; i < s.rank; i++)
        pads[s.rank + i] = given[i] - s.dims[i];
    return ox_out(n, 0, ox_pad(n, y, pads, "constant", &n->imp->absent));
}
