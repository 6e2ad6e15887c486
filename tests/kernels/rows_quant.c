/* Rows of quantized values: contractions with per-channel scales, what lies between them, QDQ islands. */
#include "tests/kernels/rows.h"

#include <math.h>

typedef struct codes {
    adze_dtype storage;
    double scale;
    int64_t zero_point;
    const char *element;
} codes;

/* Zero points are often at the ends. */
static codes random_codes(net *n, double scale) {
    codes c = {.storage = net_chance(n, 60) ? ADZE_i8 : ADZE_u8, .scale = (double)(float)scale};
    const int64_t low = c.storage == ADZE_i8 ? -128 : 0;
    c.zero_point = net_chance(n, 30) ? low : net_chance(n, 30) ? low + 255 : net_pick(n, low, low + 255);
    c.element = net_quant(n, c.storage, c.scale, c.zero_point);
    return c;
}

static net_value input(net *n, net_value shape, const codes *c) {
    shape.dtype = c->storage;
    net_value x = net_input_of(n, shape, DATA_ANY, 0, 0);
    return net_bitcast(n, x, net_quantized(shape, c->storage, c->element));
}
static void output(net *n, net_value y, adze_dtype storage) {
    net_value plain = y;
    plain.element = NULL;
    plain.dtype = storage;
    net_output(n, net_bitcast(n, y, plain));
}

/* A weight's scale: powers of two make ties; small and large ones bring shifts to their ends. */
static double weight_scale(net *n, int kind) {
    if (kind == 0)
        return 0x1p-7;
    if (kind == 1)
        return ldexp(1 + net_pick(n, 0, 3) * 0.5, (int)net_pick(n, -24, 2));
    return 0.002 + 0.004 * net_uniform(n, 0, 1);
}

typedef struct coded_weight {
    net_value w, bias;
    double mean_scale;
} coded_weight;

/* int8 weights with a scale per tensor or per channel of `axis`, and an i32 bias of scale sx * sw. */
static coded_weight weight(net *n, net_value shape, int axis, const codes *x, bool with_bias) {
    const int64_t channels = shape.dims[axis];
    const bool each = net_chance(n, 70);
    const int kind = (int)net_pick(n, 0, 3);
    adze_text w = {0}, b = {0};
    coded_weight out = {.bias = net_none};
    if (each) {
        adze_text_printf(&w, "!quant.uniform<i8:f32:%d, {", axis);
        adze_text_puts(&b, "!quant.uniform<i32:f32:0, {");
    }
    for (int64_t i = 0; i < (each ? channels : 1); i++) {
        const double scale = (double)(float)weight_scale(n, kind);
        out.mean_scale += scale / (double)(each ? channels : 1);
        adze_text_printf(&w, each ? "%s%.17e" : "%s!quant.uniform<i8:f32, %.17e:0>", i ? "," : "", scale);
        adze_text_printf(&b, each ? "%s%.17e" : "%s!quant.uniform<i32:f32, %.17e:0>", i ? "," : "", scale * x->scale);
    }
    adze_text_puts(&w, each ? "}>" : "");
    adze_text_puts(&b, each ? "}>" : "");
    out.w = net_weight(n, net_quantized(shape, ADZE_i8, adze_arena_strdup(n->ctx->arena, w.data)), 0);
    if (with_bias)
        out.bias = net_weight(n, net_quantized(shape1(ADZE_i32, channels), ADZE_i32, adze_arena_strdup(n->ctx->arena, b.data)),
                              net_chance(n, 20) ? 1 << 20 : 3000);
    adze_text_free(&w);
    adze_text_free(&b);
    return out;
}

/* A result's codes over sums of `depth` products: mostly spread over the range, sometimes so that shifts are at their ends. */
static codes result_codes(net *n, double scale, int64_t depth) {
    const double spread = net_chance(n, 70) ? 73.0 * 73.0 * sqrt((double)depth) / 40 : ldexp(1, (int)net_pick(n, -20, 24));
    double s = scale * spread;
    return random_codes(n, s < 1e-30 ? 1e-30 : s);
}

static net_value bounded(net *n, net_value y) {
    return net_chance(n, 40) ? unary(n, "relu", "", y) : y;
}

void row_quant_matmul(net *n) {
    const int64_t m = net_chance(n, 30) ? 1 : net_size(n, n->large ? 100 : 30), k = net_size(n, n->large ? 300 : 140),
                  out = net_size(n, n->large ? 100 : 70);
    const codes cx = random_codes(n, 0.05);
    const bool turned = net_chance(n, 50);
    net_value x = input(n, shape2(ADZE_i8, m, k), &cx);
    coded_weight w = weight(n, turned ? shape2(ADZE_i8, out, k) : shape2(ADZE_i8, k, out), turned ? 0 : 1, &cx,
                            net_chance(n, 60));
    const codes cy = result_codes(n, cx.scale * w.mean_scale, k);
    net_value y = net_quantized(shape2(cy.storage, m, out), cy.storage, cy.element);
    output(n, matmul(n, x, w.w, w.bias, false, turned, y), cy.storage);
}

static net_value coded_conv(net *n, net_value x, const codes *cx, const window *s, int64_t outputs, int64_t group,
                            codes *cy) {
    const int64_t channels = x.dims[1];
    coded_weight w = weight(n, spatial_shape(ADZE_i8, outputs, channels / group, s->rank, s->kernel), 0, cx, net_chance(n, 70));
    int64_t depth = channels / group;
    for (int d = 0; d < s->rank; d++)
        depth *= s->kernel[d];
    *cy = result_codes(n, cx->scale * w.mean_scale, depth);
    return net_op(n, "adze.conv", net_text(n, "%s, group = %lld : i64", window_attrs(n, s), (long long)group), 3,
                  (net_value[]){x, w.w, w.bias},
                  net_quantized(spatial_shape(cy->storage, x.dims[0], outputs, s->rank, s->out), cy->storage, cy->element));
}

static void quant_conv(net *n, window_kind kind, int64_t channels, int64_t outputs, int64_t group) {
    const int rank = net_chance(n, 70) ? 2 : net_chance(n, 70) ? 1 : 3;
    static const int64_t extents[] = {0, 40, 14, 6};
    window s = random_window(n, rank, kind, n->large ? 2 * extents[rank] : extents[rank]);
    const codes cx = random_codes(n, 0.05);
    codes cy;
    const bool last = net_chance(n, 50);
    net_value shape = spatial_shape(ADZE_i8, net_chance(n, 80) ? 1 : 2, channels, rank, s.in);
    net_value x;
    int64_t to_first[ADZE_MAX_RANK] = {0}, to_last[ADZE_MAX_RANK] = {0};
    for (int i = 1; i < shape.rank; i++) {
        to_first[i] = i == 1 ? shape.rank - 1 : i - 1;
        to_last[i] = i + 1 < shape.rank ? i + 1 : 1;
    }
    if (last) {
        net_value s_last = shape;
        for (int i = 1; i < shape.rank; i++)
            s_last.dims[i] = shape.dims[to_last[i]];
        x = transpose(n, input(n, s_last, &cx), to_first);
    } else {
        x = input(n, shape, &cx);
    }
    net_value y = coded_conv(n, x, &cx, &s, outputs, group, &cy);
    if (last)
        y = transpose(n, y, to_last);
    output(n, bounded(n, y), cy.storage);
}

void row_quant_conv(net *n) { quant_conv(n, net_chance(n, 40) ? WINDOW_3X3 : WINDOW_ANY, net_size(n, 40), net_size(n, 40), 1); }
void row_quant_conv1x1(net *n) { quant_conv(n, WINDOW_POINT, net_size(n, 70), net_size(n, 70), 1); }
void row_quant_group(net *n) {
    const int64_t group = net_pick(n, 2, 4);
    quant_conv(n, WINDOW_ANY, group * net_pick(n, 1, 9), group * net_pick(n, 1, 9), group);
}
void row_quant_depthwise(net *n) {
    const int64_t channels = net_size(n, 70);
    quant_conv(n, net_chance(n, 50) ? WINDOW_3X3 : WINDOW_ANY, channels, channels * (net_chance(n, 80) ? 1 : 2), channels);
}

/* Depthwise, pointwise, an average pool, a dense layer, softmax: a small classifier in codes. */
void row_quant_net(net *n) {
    const int64_t channels = net_size(n, 40), outputs = net_size(n, 40);
    window s = random_window(n, 2, WINDOW_3X3, 10), p = {.rank = 2};
    for (int d = 0; d < 2; d++) {
        p.in[d] = p.out[d] = s.out[d];
        p.kernel[d] = p.strides[d] = p.dilations[d] = 1;
    }
    const codes cx = random_codes(n, 0.05);
    codes c1, c2;
    net_value x = input(n, spatial_shape(ADZE_i8, 1, channels, 2, s.in), &cx);
    net_value y = bounded(n, coded_conv(n, x, &cx, &s, channels, channels, &c1));
    y = bounded(n, coded_conv(n, y, &c1, &p, outputs, 1, &c2));
    window a = {.rank = 2};
    for (int d = 0; d < 2; d++) {
        a.kernel[d] = s.out[d];
        a.strides[d] = a.dilations[d] = a.out[d] = 1;
    }
    net_value results[] = {net_quantized(spatial_shape(c2.storage, 1, outputs, 2, a.out), c2.storage, c2.element), net_none};
    net_ops(n, "adze.pool",
            net_text(n, "%s, kind = \"average\", kernel = %s, count_include_pad = false, p = 2 : i64, column_major = false",
                     window_attrs(n, &a), net_list(n, 2, a.kernel)),
            1, &y, 2, results);
    output(n, results[0], c2.storage);
}

/* Elementwise on codes: sums, products, tables, with parameters of their own. */
void row_quant_elementwise(net *n) {
    const codes ca = random_codes(n, net_uniform(n, 0.001, 0.2)), cb = random_codes(n, net_uniform(n, 0.001, 0.2));
    net_value shape = random_shape(n, ADZE_i8, 1, 4, 500);
    net_value a = input(n, shape, &ca), b = input(n, shape, &cb);
    static const char *const kinds[] = {"add", "sub", "mul"};
    codes cy = random_codes(n, net_chance(n, 80) ? net_uniform(n, 0.001, 0.4) : ldexp(1, (int)net_pick(n, -20, 10)));
    net_value y = net_quantized(shape, cy.storage, cy.element);
    if (cb.storage == ca.storage)
        y = binary(n, kinds[net_pick(n, 0, 2)], a, b, y);
    else
        y = net_op(n, "adze.unary", "kind = \"sigmoid\", params = array<f64>", 1, &a, y);
    output(n, y, cy.storage);
}

/* Average and max pooling of codes, over whole images too. */
void row_quant_pool(net *n) {
    window s = random_window(n, 2, WINDOW_ANY, 12);
    const bool whole = net_chance(n, 30), max = net_chance(n, 40);
    for (int d = 0; d < 2; d++) {
        s.dilations[d] = 1;
        s.kernel[d] = whole ? s.in[d] : s.kernel[d];
        for (int end = 0; end < 2; end++)
            s.pads[d + 2 * end] = whole ? 0 : net_pick(n, 0, s.kernel[d] - 1);
        while (s.in[d] + s.pads[d] + s.pads[2 + d] < s.kernel[d])
            s.in[d]++;
        s.out[d] = (s.in[d] + s.pads[d] + s.pads[2 + d] - s.kernel[d]) / s.strides[d] + 1;
    }
    const int64_t channels = net_size(n, 40);
    const codes cx = random_codes(n, 0.05);
    codes cy = cx;
    if (!max && net_chance(n, 50))
        cy = random_codes(n, 0.04);
    net_value x = input(n, spatial_shape(ADZE_i8, 1, channels, 2, s.in), &cx);
    net_value results[] = {net_quantized(spatial_shape(cy.storage, 1, channels, 2, s.out), cy.storage, cy.element), net_none};
    net_ops(n, "adze.pool",
            net_text(n, "%s, kind = \"%s\", kernel = %s, count_include_pad = %s, p = 2 : i64, column_major = false",
                     window_attrs(n, &s), max ? "max" : "average", net_list(n, 2, s.kernel),
                     net_chance(n, 50) ? "true" : "false"),
            1, &x, 2, results);
    output(n, results[0], cy.storage);
}

void row_quant_softmax(net *n) {
    const codes cx = random_codes(n, net_uniform(n, 0.005, 0.3));
    codes cy = {.storage = cx.storage, .scale = 1.0 / 256, .zero_point = cx.storage == ADZE_i8 ? -128 : 0};
    if (net_chance(n, 30))
        cy.scale = (double)(float)net_uniform(n, 0.002, 0.01);
    cy.element = net_quant(n, cy.storage, cy.scale, cy.zero_point);
    net_value shape = random_shape(n, cx.storage, 1, 3, 300);
    net_value x = input(n, shape, &cx);
    net_value y = net_op(n, "adze.softmax", net_text(n, "axis = %d : i64, log = false", (int)net_pick(n, 0, shape.rank - 1)),
                         1, &x, net_quantized(shape, cy.storage, cy.element));
    output(n, y, cy.storage);
}

/* Floats to codes and back: ties, values beyond the range. */
void row_quantize(net *n) {
    const codes c = random_codes(n, net_chance(n, 50) ? 0x1p-4 : net_uniform(n, 0.001, 0.1));
    const codes d = random_codes(n, net_uniform(n, 0.001, 0.1));
    net_value x = net_input_of(n, random_shape(n, ADZE_f32, 1, 4, 600), DATA_ANY, 0, 0);
    net_value q = net_op(n, "adze.quantize", "axis = -1 : i64, block_size = 0 : i64", 3, (net_value[]){x, net_none, net_none},
                         net_quantized(x, c.storage, c.element));
    output(n, q, c.storage);
    net_value f = input(n, x, &d);
    f = net_op(n, "adze.dequantize", "axis = -1 : i64, block_size = 0 : i64", 3, (net_value[]){f, net_none, net_none}, x);
    net_output(n, net_chance(n, 50) ? binary(n, "add", f, x, f) : f);
}

/* dequantize, something, quantize: what the pass "integer" takes to integers. */
void row_qdq(net *n) {
    const codes cx = random_codes(n, 0.05);
    const int64_t channels = net_size(n, 20), outputs = net_size(n, 30);
    window s = random_window(n, 2, WINDOW_ANY, 10);
    net_value image = spatial_shape(ADZE_f32, 1, channels, 2, s.in);
    const char *how = "axis = -1 : i64, block_size = 0 : i64";
    net_value x = net_op(n, "adze.dequantize", how, 3, (net_value[]){input(n, image, &cx), net_none, net_none}, image);
    coded_weight w = weight(n, spatial_shape(ADZE_i8, outputs, channels, 2, s.kernel), 0, &cx, true);
    net_value wf = w.w, bf = w.bias;
    wf.dtype = bf.dtype = ADZE_f32;
    wf.element = bf.element = NULL;
    wf = net_op(n, "adze.dequantize", how, 3, (net_value[]){w.w, net_none, net_none}, wf);
    bf = net_op(n, "adze.dequantize", how, 3, (net_value[]){w.bias, net_none, net_none}, bf);
    net_value y = spatial_shape(ADZE_f32, 1, outputs, 2, s.out);
    y = net_op(n, "adze.conv", net_text(n, "%s, group = 1 : i64", window_attrs(n, &s)), 3, (net_value[]){x, wf, bf}, y);
    y = bounded(n, y);
    const codes cy = result_codes(n, cx.scale * w.mean_scale, channels * s.kernel[0] * s.kernel[1]);
    net_value q = net_op(n, "adze.quantize", how, 3, (net_value[]){y, net_none, net_none}, net_quantized(y, cy.storage, cy.element));
    output(n, q, cy.storage);
}
