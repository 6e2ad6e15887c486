/* Rows of matrix products: by constants, of two values, attention. */
#include "tests/kernels/rows.h"

static net_value activation(net *n, net_value x) {
    static const char *const kinds[] = {"relu", "sigmoid", "tanh", "gelu", "hard_swish", "exp"};
    if (net_chance(n, 40))
        return x;
    return unary(n, kinds[net_pick(n, 0, 5)], "", x);
}

/* x [.., M, K] by a constant w [K, N] or its transpose; bias, activation, a residual. */
void row_matmul(net *n) {
    const int64_t m = net_size(n, n->large ? 200 : 40), k = net_size(n, n->large ? 200 : 70),
                  out = net_size(n, n->large ? 200 : 70), batch = net_pick(n, 1, 3);
    const bool batched = net_chance(n, 30), turned = net_chance(n, 50);
    net_value x = net_input_of(n, batched ? shape3(ADZE_f32, batch, m, k) : shape2(ADZE_f32, m, k), DATA_ANY, 0, 0);
    net_value w = net_weight(n, turned ? shape2(ADZE_f32, out, k) : shape2(ADZE_f32, k, out), 1);
    net_value bias = net_chance(n, 60) ? net_weight(n, shape1(ADZE_f32, out), 1) : net_none;
    net_value y = batched ? shape3(ADZE_f32, batch, m, out) : shape2(ADZE_f32, m, out);
    y = matmul(n, x, w, bias, false, turned, y);
    if (net_chance(n, 30))
        y = binary(n, "add", y, net_input_of(n, net_chance(n, 50) ? y : shape1(ADZE_f32, out), DATA_ANY, 0, 0), y);
    net_output(n, activation(n, y));
}

/* One row: y = w x. */
void row_gemv(net *n) {
    const int64_t k = net_size(n, n->large ? 700 : 300), out = net_size(n, n->large ? 500 : 130);
    net_value x = net_input_of(n, shape2(ADZE_f32, 1, k), DATA_ANY, 0, 0);
    net_value w = net_weight(n, shape2(ADZE_f32, out, k), 1);
    net_value bias = net_chance(n, 60) ? net_weight(n, shape1(ADZE_f32, out), 1) : net_none;
    net_output(n, activation(n, matmul(n, x, w, bias, false, true, shape2(ADZE_f32, 1, out))));
}

/* int8 or uint8 by int8 to int32, as MatMulInteger. */
void row_matmul_integer(net *n) {
    const int64_t m = net_size(n, n->large ? 120 : 30), k = net_size(n, n->large ? 200 : 140),
                  out = net_size(n, n->large ? 120 : 70);
    net_value x = net_input_of(n, shape2(net_chance(n, 50) ? ADZE_i8 : ADZE_u8, m, k), DATA_ANY, 0, 0);
    net_value w = net_weight(n, shape2(net_chance(n, 80) ? ADZE_i8 : ADZE_u8, k, out), 0);
    net_output(n, matmul(n, x, w, net_none, false, false, shape2(ADZE_i32, m, out)));
}

/* Two values that are both known only at run time: batches, broadcasting, either side transposed. */
void row_matmul_values(net *n) {
    const int64_t m = net_size(n, n->large ? 120 : 40), k = net_size(n, n->large ? 120 : 50),
                  out = net_size(n, n->large ? 120 : 50), b0 = net_pick(n, 1, 3), b1 = net_pick(n, 1, 3);
    const bool ta = net_chance(n, 25), tb = net_chance(n, 50), wide = net_chance(n, 30), flat = net_chance(n, 30);
    int64_t a[] = {b0, wide ? 1 : b1, ta ? k : m, ta ? m : k}, b[] = {b0, b1, tb ? out : k, tb ? k : out};
    int64_t y[] = {b0, b1, m, out};
    const int skip = flat ? 2 : 0;
    net_value va = net_input_of(n, net_shape(ADZE_f32, 4 - skip, a + skip), DATA_ANY, 0, 0);
    net_value vb = net_input_of(n, net_shape(ADZE_f32, 4 - skip, b + skip), DATA_ANY, 0, 0);
    net_value v = matmul(n, va, vb, net_none, ta, tb, net_shape(ADZE_f32, 4 - skip, y + skip));
    if (net_chance(n, 30))
        v = unary(n, "relu", "", v);
    net_output(n, v);
}

/* softmax(q k' * scale + mask) v over heads, from [B, T, H, D] as transformers have it. */
void row_attention(net *n) {
    const int64_t b = net_pick(n, 1, 2), h = net_pick(n, 1, 3), t = net_size(n, n->large ? 90 : 24),
                  s = net_chance(n, 50) ? t : net_size(n, 24), d = net_size(n, n->large ? 64 : 20);
    static const int64_t heads[] = {0, 2, 1, 3};
    net_value q = net_input_of(n, shape4(ADZE_f32, b, t, h, d), DATA_ANY, 0, 0);
    net_value k = net_input_of(n, shape4(ADZE_f32, b, s, h, d), DATA_ANY, 0, 0);
    net_value v = net_input_of(n, shape4(ADZE_f32, b, s, h, d), DATA_ANY, 0, 0);
    q = transpose(n, q, heads);
    k = transpose(n, k, heads);
    v = transpose(n, v, heads);
    net_value scores = matmul(n, q, k, net_none, false, true, shape4(ADZE_f32, b, h, t, s));
    scores = binary(n, "mul", scores, net_weight(n, net_shape(ADZE_f32, 0, NULL), 0.5), scores);
    if (net_chance(n, 40)) {
        net_value mask = net_input_of(n, shape4(ADZE_f32, net_chance(n, 50) ? b : 1, 1, t, s), DATA_RANGE, -3, 0);
        scores = binary(n, "add", scores, mask, scores);
    }
    net_value p = net_op(n, "adze.softmax", "axis = 3 : i64, log = false", 1, &scores, scores);
    net_value y = matmul(n, p, v, net_none, false, false, shape4(ADZE_f32, b, h, t, d));
    y = transpose(n, y, heads);
    net_output(n, net_op(n, "adze.reshape", "", 1, &y, shape3(ADZE_f32, b, t, h * d)));
}
