/* Rows of windows over floats: convolutions of every kind, pooling. */
#include "tests/kernels/rows.h"

static net_value epilogue(net *n, net_value y) {
    switch (net_pick(n, 0, 6)) {
    case 0: return unary(n, "relu", "", y);
    case 1: return unary(n, "clip", "0.0, 6.0", y);
    case 2: return unary(n, "sigmoid", "", y);
    case 3: return binary(n, "add", y, net_input_of(n, y, DATA_ANY, 0, 0), y);
    case 4: return binary(n, "mul", y, unary(n, "sigmoid", "", y), y);
    default: return y;
    }
}

static net_value conv(net *n, const char *op, net_value x, net_value w, net_value bias, const window *s, int64_t group,
                      net_value y) {
    return net_op(n, op, net_text(n, "%s, group = %lld : i64", window_attrs(n, s), (long long)group), 3,
                  (net_value[]){x, w, bias}, y);
}

/* Channels last at the border, so that no transposes are in the kernel's way. */
static net_value image(net *n, net_value shape) {
    if (net_chance(n, 50))
        return net_input_of(n, shape, DATA_ANY, 0, 0);
    net_value last = shape;
    int64_t perm[ADZE_MAX_RANK] = {0};
    for (int i = 1; i < shape.rank; i++) {
        last.dims[i] = shape.dims[i + 1 < shape.rank ? i + 1 : 1];
        perm[i] = i == 1 ? shape.rank - 1 : i - 1;
    }
    return transpose(n, net_input_of(n, last, DATA_ANY, 0, 0), perm);
}

static void convolution(net *n, int rank, window_kind kind, int64_t channels, int64_t outputs, int64_t group) {
    static const int64_t extents[] = {0, 60, 17, 7};
    window s = random_window(n, rank, kind, n->large ? extents[rank] * 2 : extents[rank]);
    const int64_t batch = net_chance(n, 75) ? 1 : 2;
    net_value x = image(n, spatial_shape(ADZE_f32, batch, channels, rank, s.in));
    net_value w = net_weight(n, spatial_shape(ADZE_f32, outputs, channels / group, rank, s.kernel), 1);
    net_value bias = net_chance(n, 60) ? net_weight(n, shape1(ADZE_f32, outputs), 1) : net_none;
    net_output(n, epilogue(n, conv(n, "adze.conv", x, w, bias, &s, group,
                                   spatial_shape(ADZE_f32, batch, outputs, rank, s.out))));
}

void row_conv1d(net *n) { convolution(n, 1, net_chance(n, 20) ? WINDOW_WIDE : WINDOW_ANY, net_size(n, 40), net_size(n, 40), 1); }
void row_conv2d(net *n) { convolution(n, 2, WINDOW_ANY, net_size(n, 24), net_size(n, n->large ? 70 : 40), 1); }
void row_conv3d(net *n) { convolution(n, 3, WINDOW_ANY, net_size(n, 8), net_size(n, 20), 1); }
void row_conv1x1(net *n) { convolution(n, (int)net_pick(n, 1, 3), WINDOW_POINT, net_size(n, 50), net_size(n, 70), 1); }
void row_conv3x3(net *n) { convolution(n, (int)net_pick(n, 1, 2), WINDOW_3X3, net_pick(n, 4, 40), net_pick(n, 4, 40), 1); }
void row_conv_few(net *n) { convolution(n, 2, WINDOW_WIDE, net_pick(n, 1, 4), net_size(n, 40), 1); }
void row_conv_group(net *n) {
    const int64_t group = net_pick(n, 2, 4);
    convolution(n, (int)net_pick(n, 1, 2), WINDOW_ANY, group * net_pick(n, 1, 9), group * net_pick(n, 1, 9), group);
}
void row_depthwise(net *n) {
    const int64_t channels = net_size(n, 70);
    const window_kind kind = net_chance(n, 20) ? WINDOW_WIDE : WINDOW_ANY;
    convolution(n, (int)net_pick(n, 1, 3), kind, channels, channels * net_pick(n, 1, 2), channels);
}

/* Two in a row, the second with a residual: what stays in channels-last order between. */
void row_conv_block(net *n) {
    const int64_t channels = net_size(n, 20), between = net_size(n, 40);
    window s = random_window(n, 2, WINDOW_3X3, 15), p = {.rank = 2};
    for (int d = 0; d < 2; d++) {
        s.pads[d] = s.pads[2 + d] = 1;
        s.out[d] = p.in[d] = p.out[d] = s.in[d];
        p.kernel[d] = p.strides[d] = p.dilations[d] = 1;
    }
    net_value x = net_input_of(n, spatial_shape(ADZE_f32, 1, channels, 2, s.in), DATA_ANY, 0, 0);
    net_value w = net_weight(n, spatial_shape(ADZE_f32, between, channels, 2, p.kernel), 1);
    net_value y = conv(n, "adze.conv", x, w, net_weight(n, shape1(ADZE_f32, between), 1), &p, 1,
                       spatial_shape(ADZE_f32, 1, between, 2, p.out));
    y = unary(n, "clip", "-3.0, 3.0", y);
    net_value d = net_weight(n, spatial_shape(ADZE_f32, between, 1, 2, s.kernel), 1);
    y = conv(n, "adze.conv", y, d, net_none, &s, between, y);
    y = unary(n, "relu", "", y);
    net_value v = net_weight(n, spatial_shape(ADZE_f32, channels, between, 2, p.kernel), 1);
    y = conv(n, "adze.conv", y, v, net_none, &p, 1, x);
    net_output(n, binary(n, "add", y, x, y));
}

void row_conv_transpose(net *n) {
    const int rank = (int)net_pick(n, 1, 2);
    window s = random_window(n, rank, WINDOW_ANY, 9);
    const int64_t group = net_chance(n, 70) ? 1 : 2, channels = group * net_size(n, 12), outputs = group * net_size(n, 12);
    for (int d = 0; d < rank; d++) { /* the extents that come out; pads cut them */
        s.out[d] = (s.in[d] - 1) * s.strides[d] + (s.kernel[d] - 1) * s.dilations[d] + 1;
        s.pads[d] = net_pick(n, 0, s.out[d] > 2 ? 1 : 0);
        s.pads[rank + d] = net_pick(n, 0, s.out[d] > 2 ? 1 : 0);
        s.out[d] -= s.pads[d] + s.pads[rank + d];
    }
    net_value x = image(n, spatial_shape(ADZE_f32, 1, channels, rank, s.in));
    net_value w = net_weight(n, spatial_shape(ADZE_f32, channels, outputs / group, rank, s.kernel), 1);
    net_value bias = net_chance(n, 60) ? net_weight(n, shape1(ADZE_f32, outputs), 1) : net_none;
    net_output(n, epilogue(n, conv(n, "adze.conv_transpose", x, w, bias, &s, group,
                                   spatial_shape(ADZE_f32, 1, outputs, rank, s.out))));
}

static net_value pool(net *n, net_value x, const window *s, const char *kind, bool count_pads, net_value y) {
    net_value results[] = {y, net_none};
    net_ops(n, "adze.pool",
            net_text(n, "%s, kind = \"%s\", kernel = %s, count_include_pad = %s, p = 2 : i64, column_major = false",
                     window_attrs(n, s), kind, net_list(n, s->rank, s->kernel), count_pads ? "true" : "false"),
            1, &x, 2, results);
    return results[0];
}

void row_pool(net *n) {
    static const char *const kinds[] = {"max", "average", "average", "lp"};
    const int rank = (int)net_pick(n, 1, 3);
    static const int64_t extents[] = {0, 50, 17, 8};
    window s = random_window(n, rank, WINDOW_ANY, extents[rank]);
    for (int d = 0; d < rank; d++) { /* every window sees something: pads below the kernel */
        for (int end = 0; end < 2; end++)
            s.pads[d + end * rank] = s.pads[d + end * rank] < s.kernel[d] ? s.pads[d + end * rank] : s.kernel[d] - 1;
        while (s.dilations[d] > 1 && s.pads[d] + s.pads[rank + d])
            s.pads[d] = s.pads[rank + d] = 0;
        while (s.in[d] + s.pads[d] + s.pads[rank + d] < (s.kernel[d] - 1) * s.dilations[d] + 1)
            s.in[d]++;
        s.out[d] = (s.in[d] + s.pads[d] + s.pads[rank + d] - (s.kernel[d] - 1) * s.dilations[d] - 1) / s.strides[d] + 1;
    }
    const int64_t channels = net_size(n, 40), batch = net_pick(n, 1, 2);
    net_value x = image(n, spatial_shape(ADZE_f32, batch, channels, rank, s.in));
    net_output(n, pool(n, x, &s, kinds[net_pick(n, 0, 3)], net_chance(n, 50),
                       spatial_shape(ADZE_f32, batch, channels, rank, s.out)));
}
