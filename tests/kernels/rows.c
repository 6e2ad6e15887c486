/* See rows.h. */
#include "tests/kernels/rows.h"

#include <float.h>
#include <string.h>

const kernel_row kernel_rows[] = {
#define ROW(name, function, huge, rules, doc) {name, function, huge, rules, doc},
#include "tests/kernels/rows.def"
#undef ROW
};
const int n_kernel_rows = (int)ADZE_COUNT(kernel_rows);

net_value shape1(adze_dtype dtype, int64_t a) { return net_shape(dtype, 1, &a); }
net_value shape2(adze_dtype dtype, int64_t a, int64_t b) { return net_shape(dtype, 2, (int64_t[]){a, b}); }
net_value shape3(adze_dtype dtype, int64_t a, int64_t b, int64_t c) {
    return net_shape(dtype, 3, (int64_t[]){a, b, c});
}
net_value shape4(adze_dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d) {
    return net_shape(dtype, 4, (int64_t[]){a, b, c, d});
}

net_value unary(net *n, const char *kind, const char *params, net_value x) {
    const bool truth = !strcmp(kind, "is_nan") || !strcmp(kind, "is_inf");
    net_value y = x;
    y.dtype = truth ? ADZE_bool : x.dtype;
    return net_op(n, "adze.unary",
                  net_text(n, "kind = \"%s\", params = array<f64%s%s>", kind, *params ? ": " : "", params), 1, &x, y);
}
net_value binary(net *n, const char *kind, net_value x, net_value y, net_value result) {
    return net_op(n, "adze.binary", net_text(n, "kind = \"%s\"", kind), 2, (net_value[]){x, y}, result);
}
net_value matmul(net *n, net_value a, net_value b, net_value bias, bool trans_a, bool trans_b, net_value y) {
    return net_op(n, "adze.matmul",
                  net_text(n, "trans_a = %s, trans_b = %s", trans_a ? "true" : "false", trans_b ? "true" : "false"), 3,
                  (net_value[]){a, b, bias}, y);
}
net_value transpose(net *n, net_value x, const int64_t *perm) {
    net_value y = x;
    for (int i = 0; i < x.rank; i++)
        y.dims[i] = x.dims[perm[i]];
    return net_op(n, "adze.transpose", net_text(n, "perm = %s", net_list(n, x.rank, perm)), 1, &x, y);
}

net_value random_shape(net *n, adze_dtype dtype, int low, int high, int64_t most) {
    net_value v = net_shape(dtype, 0, NULL);
    v.rank = (int)net_pick(n, low, high);
    for (int i = v.rank - 1; i >= 0; i--) {
        v.dims[i] = net_size(n, most < 70 ? most : 70);
        most /= v.dims[i];
    }
    for (int i = v.rank - 1; i > 0; i--) { /* the long axis may be any */
        int k = (int)net_pick(n, 0, i);
        int64_t swap = v.dims[i];
        v.dims[i] = v.dims[k];
        v.dims[k] = swap;
    }
    return v;
}

window random_window(net *n, int rank, window_kind kind, int64_t most_extent) {
    window w = {.rank = rank};
    const bool same = kind == WINDOW_3X3 && net_chance(n, 60);
    for (int d = 0; d < rank; d++) {
        w.kernel[d] = kind == WINDOW_POINT ? 1 : kind == WINDOW_3X3 ? 3 : net_pick(n, 1, kind == WINDOW_WIDE ? 11 : 5);
        w.strides[d] = kind == WINDOW_3X3 || net_chance(n, 60) ? 1 : net_pick(n, 1, 3);
        w.dilations[d] = kind == WINDOW_POINT || kind == WINDOW_3X3 || net_chance(n, 70) ? 1 : net_pick(n, 1, 3);
        const int64_t reach = (w.kernel[d] - 1) * w.dilations[d] + 1;
        const bool padded = kind != WINDOW_POINT && net_chance(n, 70);
        w.pads[d] = same ? 1 : padded ? net_pick(n, 0, reach / 2) : 0;
        w.pads[rank + d] = same ? 1 : padded ? net_pick(n, 0, reach / 2) : 0;
        w.in[d] = net_size(n, most_extent);
        while (w.in[d] + w.pads[d] + w.pads[rank + d] < reach)
            w.in[d]++;
        w.out[d] = (w.in[d] + w.pads[d] + w.pads[rank + d] - reach) / w.strides[d] + 1;
    }
    return w;
}
const char *window_attrs(net *n, const window *w) {
    return net_text(n, "strides = %s, pads = %s, dilations = %s, layout = \"channels_first\"",
                    net_list(n, w->rank, w->strides), net_list(n, 2 * w->rank, w->pads),
                    net_list(n, w->rank, w->dilations));
}
net_value spatial_shape(adze_dtype dtype, int64_t batch, int64_t channels, int rank, const int64_t *extents) {
    net_value v = net_shape(dtype, 0, NULL);
    v.rank = rank + 2;
    v.dims[0] = batch;
    v.dims[1] = channels;
    for (int i = 0; i < rank; i++)
        v.dims[2 + i] = extents[i];
    return v;
}
