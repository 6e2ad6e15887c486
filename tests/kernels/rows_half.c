/* Rows of 16-bit floats: products and convolutions by constants, sums in f32. */
#include "tests/kernels/rows.h"

static net_value activation(net *n, net_value x) {
    static const char *const kinds[] = {"relu", "sigmoid", "hard_swish"};
    return net_chance(n, 50) ? x : unary(n, kinds[net_pick(n, 0, 2)], "", x);
}

/* x [.., M, K] by a constant w [K, N] or its transpose, both f16 or bf16; y of their type or f32. */
void row_matmul_half(net *n) {
    const adze_dtype half = net_chance(n, 60) ? ADZE_bf16 : ADZE_f16, wide = net_chance(n, 50) ? ADZE_f32 : half;
    const int64_t m = net_size(n, n->large ? 200 : 40), k = net_size(n, n->large ? 200 : 70),
                  out = net_size(n, n->large ? 200 : 70), batch = net_pick(n, 1, 3);
    const bool batched = net_chance(n, 30), turned = net_chance(n, 50);
    net_value x = net_input_of(n, batched ? shape3(half, batch, m, k) : shape2(half, m, k), DATA_ANY, 0, 0);
    net_value w = net_weight(n, turned ? shape2(half, out, k) : shape2(half, k, out), 1);
    net_value bias = net_chance(n, 60) ? net_weight(n, shape1(wide, out), 1) : net_none;
    net_value y = batched ? shape3(wide, batch, m, out) : shape2(wide, m, out);
    y = matmul(n, x, w, bias, false, turned, y);
    if (net_chance(n, 30))
        y = binary(n, "add", y, net_input_of(n, net_chance(n, 50) ? y : shape1(wide, out), DATA_ANY, 0, 0), y);
    net_output(n, activation(n, y));
}

/* A convolution of f16 or bf16 throughout: windows, strides, padding, groups. */
void row_conv_half(net *n) {
    const adze_dtype half = net_chance(n, 60) ? ADZE_bf16 : ADZE_f16;
    const window w = random_window(n, (int)net_pick(n, 1, 2), net_chance(n, 30) ? WINDOW_POINT : WINDOW_ANY, n->large ? 40 : 14);
    const int64_t group = net_chance(n, 80) ? 1 : net_pick(n, 2, 3), channels = group * net_size(n, 20),
                  out = group * net_size(n, 40);
    net_value x = net_input_of(n, spatial_shape(half, net_pick(n, 1, 2), channels, w.rank, w.in), DATA_ANY, 0, 0);
    net_value k = net_weight(n, spatial_shape(half, out, channels / group, w.rank, w.kernel), 1);
    net_value bias = net_chance(n, 60) ? net_weight(n, shape1(half, out), 1) : net_none;
    net_value y = net_op(n, "adze.conv", net_text(n, "group = %d : i64, %s", (int)group, window_attrs(n, &w)), 3,
                         (net_value[]){x, k, bias}, spatial_shape(half, x.dims[0], out, w.rank, w.out));
    net_output(n, activation(n, y));
}
