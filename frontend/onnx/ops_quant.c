/* Quantization. With constant scales an integer tensor has a !quant type, and what ONNX treats as
 * plain integers is its other face (value.c); otherwise scale and zero point are operands. The
 * QLinear operators without an integer operation of their own are dequantize, operator, quantize.
 */
#include "frontend/onnx/window.h"

#include <string.h>

/* Axis of a scale: -1 for one number, else checked against x. */
static bool scale_axis(node *n, const val *x, const val *scale, int64_t axis, int64_t block,
                       int *out) {
    *out = -1;
    int64_t count = adze_shape_count(&scale->shape);
    if (scale->shape.rank == 0 || (count == 1 && !block))
        return true;
    axis = ox_axis(n, axis, x->shape.rank);
    if (n->failed)
        return false;
    if (!block && (scale->shape.rank != 1 || scale->shape.dims[0] != x->shape.dims[axis]))
        return ox_fail(n, "its scale does not have one number per entry of axis %lld",
                       (long long)axis);
    *out = (int)axis;
    return true;
}

static val *flat_scalar(node *n, val *v) {
    return v && v->kind == VAL_TENSOR && v->shape.rank && adze_shape_count(&v->shape) == 1
               ? ox_reshape(n, v, 0, NULL)
               : v;
}

/* Plain integers of type `storage`. */
static val *quantize(node *n, val *x, val *scale, val *zero, adze_dtype storage, int64_t axis,
                     int64_t block) {
    int at;
    MlirType element;
    if (!x || !scale || !zero || !scale_axis(n, x, scale, axis, block, &at))
        return NULL;
    adze_shape s = ox_with_dtype(n, &x->shape, storage);
    val *none = &n->imp->absent;
    adze_named attrs[] = {{"axis", adze_i64(n->ctx, at)}, {"block_size", adze_i64(n->ctx, block)}};
    if (!block && x->shape.dtype == ADZE_f32 &&
        ox_quant_element(n, scale, zero, storage, at, &element)) {
        s.element = element;
        return ox_plain(n, ox_emit(n, "quantize", VALS(x, none, none), &s, 2, attrs));
    }
    if (!block && at < 0) {
        scale = flat_scalar(n, scale);
        zero = flat_scalar(n, zero);
    }
    return ox_emit(n, "quantize", VALS(x, scale, zero), &s, 2, attrs);
}

static val *dequantize(node *n, val *x, val *scale, val *zero, adze_dtype to, int64_t axis,
                       int64_t block) {
    int at;
    MlirType element;
    if (!x || !scale || !zero || !scale_axis(n, x, scale, axis, block, &at))
        return NULL;
    adze_shape s = ox_with_dtype(n, &x->shape, to);
    val *none = &n->imp->absent;
    adze_named attrs[] = {{"axis", adze_i64(n->ctx, at)}, {"block_size", adze_i64(n->ctx, block)}};
    if (!block && to == ADZE_f32 && ox_quant_element(n, scale, zero, x->shape.dtype, at, &element))
        return ox_emit(n, "dequantize", VALS(ox_as_quantized(n, x, element), none, none), &s, 2,
                       attrs);
    if (!block && at < 0) {
        scale = flat_scalar(n, scale);
        zero = flat_scalar(n, zero);
    }
    return ox_emit(n, "dequantize", VALS(x, scale, zero), &s, 2, attrs);
}

bool ox_op_quantize(node *n) {
    val *x = ox_need(n, 0, "x"), *scale = ox_need(n, 1, "y_scale"), *zero = ox_in(n, 2);
    if (!x || !scale || !zero)
        return false;
    int64_t given = ox_attr_i(n, "output_dtype", 0), precision = ox_attr_i(n, "precision", 0);
    adze_dtype to = given ? adze_dtype_from_onnx(given) : ADZE_u8;
    if (zero->kind == VAL_TENSOR) {
        if (given && to != zero->shape.dtype)
            return ox_fail(n, "output_dtype is not the zero point's type");
        to = zero->shape.dtype;
    }
    if (to == ADZE_NO_DTYPE)
        return ox_fail(n, "output_dtype %lld is unknown", (long long)given);
    if (precision && precision != 1)
        return ox_fail(n, "precision %lld is not supported", (long long)precision);
    if (!ox_attr_i(n, "saturate", 1) && adze_dtype_get(to)->cls == 'F')
        return ox_fail(n, "saturate = 0 is not supported");
    return ox_out(
        n, 0,
        quantize(n, x, scale, zero, to, ox_attr_i(n, "axis", 1), ox_attr_i(n, "block_size", 0)));
}

bool ox_op_dequantize(node *n) {
    val *x = ox_need(n, 0, "x"), *scale = ox_need(n, 1, "x_scale"), *zero = ox_in(n, 2);
    if (!x || !scale || !zero)
        return false;
    int64_t given = ox_attr_i(n, "output_dtype", 0);
    adze_dtype to = given ? adze_dtype_from_onnx(given) : scale->shape.dtype;
    if (to == ADZE_NO_DTYPE)
        return ox_fail(n, "output_dtype %lld is unknown", (long long)given);
    return ox_out(
        n, 0,
        dequantize(n, x, scale, zero, to, ox_attr_i(n, "axis", 1), ox_attr_i(n, "block_size", 0)));
}

bool ox_op_dynamic_quantize(node *n) {
    val *x = ox_need(n, 0, "x"), *out[3];
    if (!x)
        return false;
    adze_shape s[3] = {ox_with_dtype(n, &x->shape, ADZE_u8), ox_shape(n, ADZE_f32, 0, NULL),
                       ox_shape(n, ADZE_u8, 0, NULL)};
    return ox_emit_many(n, "dynamic_quantize", VALS(x), 3, s, out, NO_ATTRS) &&
           ox_out(n, 0, out[0]) && ox_out(n, 1, out[1]) && ox_out(n, 2, out[2]);
}

/* ---- the QLinear operators ---- */

/* Operands i, i+1, i+2 as (integers, scale, zero point). */
typedef struct triple {
    val *x, *scale, *zero;
} triple;

static triple operand(node *n, int i) {
    return (triple){ox_need(n, i, "x"), ox_need(n, i + 1, "scale"), ox_in(n, i + 2)};
}

static val *floats(node *n, int i) {
    triple t = operand(n, i);
    return t.scale ? dequantize(n, t.x, t.scale, t.zero, t.scale->shape.dtype, 1, 0) : NULL;
}

/* Quantizes y by operands i and i+1 into the zero point's type (that of `like` without one). */
static bool quantized_out(node *n, val *y, int i, const val *like) {
    val *scale = ox_need(n, i, "y_scale"), *zero = ox_in(n, i + 1);
    if (!y || !scale || !zero || !like)
        return false;
    adze_dtype to = zero->kind == VAL_TENSOR ? zero->shape.dtype : like->shape.dtype;
    return ox_out(n, 0, quantize(n, y, scale, zero, to, 1, 0));
}

/* Says which scale or zero point of QLinearConv is not constant. */
static bool constant_scales(node *n) {
    static const int scales[] = {1, 2, 4, 5, 6, 7};
    static const char *const names[] = {"x_scale",      "x_zero_point", "w_scale",
                                        "w_zero_point", "y_scale",      "y_zero_point"};
    for (size_t i = 0; i < ADZE_COUNT(scales); i++)
        if (ox_has(n, scales[i]) && !ox_const(n, scales[i], names[i]))
            return false;
    return ox_fail(n, "its scales are not positive and finite, or do not fit its operands");
}

bool ox_op_qlinear_conv(node *n) {
    triple x = operand(n, 0), w = operand(n, 3);
    val *ys = ox_need(n, 6, "y_scale"), *yz = ox_need(n, 7, "y_zero_point"), *bias = ox_in(n, 8);
    MlirType xe, we, ye;
    if (!x.x || !x.scale || !x.zero || !w.x || !w.scale || !w.zero || !ys || !yz || !bias)
        return false;
    int axis = adze_shape_count(&w.scale->shape) == 1 ? -1 : 0;
    if (!ox_quant_element(n, x.scale, x.zero, x.x->shape.dtype, -1, &xe) ||
        !ox_quant_element(n, w.scale, w.zero, w.x->shape.dtype, axis, &we) ||
        !ox_quant_element(n, ys, yz, yz->shape.dtype, -1, &ye))
        return constant_scales(n);
    val *y = ox_conv(n, ox_as_quantized(n, x.x, xe), ox_as_quantized(n, w.x, we), bias, ye,
                     yz->shape.dtype);
    return ox_out(n, 0, ox_plain(n, y));
}

bool ox_op_qlinear_matmul(node *n) {
    triple a = operand(n, 0), b = operand(n, 3);
    val *ys = ox_need(n, 6, "y_scale"), *yz = ox_need(n, 7, "y_zero_point");
    MlirType ae, be, ye;
    if (!a.x || !a.scale || !a.zero || !b.x || !b.scale || !b.zero || !ys || !yz)
        return false;
    int axis_a = adze_shape_count(&a.scale->shape) == 1 ? -1 : a.x->shape.rank - 2;
    int axis_b = adze_shape_count(&b.scale->shape) == 1 ? -1 : b.x->shape.rank - 1;
    if (!ox_quant_element(n, a.scale, a.zero, a.x->shape.dtype, axis_a, &ae) ||
        !ox_quant_element(n, b.scale, b.zero, b.x->shape.dtype, axis_b, &be) ||
        !ox_quant_element(n, ys, yz, yz->shape.dtype, -1, &ye)) {
        /* scales computed while running, or not f32: in floats */
        adze_dtype to = a.scale->shape.dtype;
        val *fa = dequantize(n, a.x, a.scale, a.zero, to, axis_a, 0);
        val *fb = dequantize(n, b.x, b.scale, b.zero, to, axis_b, 0);
        return ox_out(
            n, 0, quantize(n, ox_matmul(n, fa, fb, false, false), ys, yz, yz->shape.dtype, 1, 0));
    }
    val *qa = ox_as_quantized(n, a.x, ae), *qb = ox_as_quantized(n, b.x, be);
    adze_shape s;
    if (!qa || !qb || !ox_matmul_shape(n, &qa->shape, &qb->shape, false, false, &s))
        return false;
    s.element = ye;
    s.dtype = yz->shape.dtype;
    return ox_out(n, 0,
                  ox_plain(n, ox_emit(n, "matmul", VALS(qa, qb, &n->imp->absent), &s,
                                      ATTRS({"trans_a", adze_bool(n->ctx, false)},
                                            {"trans_b", adze_bool(n->ctx, false)}))));
}

bool ox_op_qlinear_binary(node *n) {
    val *y = ox_binary(n, n->row->arg, floats(n, 0), floats(n, 3));
    return quantized_out(n, y, 6, ox_need(n, 0, "A"));
}

bool ox_op_qlinear_unary(node *n) {
    val *x = floats(n, 0);
    double alpha = ox_attr_f(n, "alpha", 0.01f);
    bool leaky = !strcmp(n->row->arg, "leaky_relu");
    return quantized_out(n, ox_unary_p(n, n->row->arg, x, leaky, &alpha), 3, ox_need(n, 0, "X"));
}

bool ox_op_qlinear_softmax(node *n) {
    val *x = floats(n, 0);
    if (!x)
        return false;
    int64_t axis = ox_axis(n, ox_attr_i(n, "axis", -1), x->shape.rank);
    bool rest = false;
    for (int i = (int)axis + 1; i < x->shape.rank; i++)
        rest |= x->shape.dims[i] != 1;
    if (n->failed)
        return false;
    val *y =
        ox_attr_i(n, "opset", 13) >= 13 || !rest
            ? ox_softmax(n, x, (int)axis, false)
            : ox_reshape_to(n, ox_softmax(n, ox_flatten(n, x, (int)axis), 1, false), &x->shape);
    return quantized_out(n, y, 3, ox_need(n, 0, "X"));
}

bool ox_op_qlinear_average_pool(node *n) {
    val *x = floats(n, 0), *y;
    if (!x || !ox_static(n, x))
        return false;
    if (ox_attr_i(n, "channels_last", 0))
        return ox_fail(n, "channels_last is not supported");
    if (x->shape.rank < 3)
        return ox_fail(n, "needs an input of rank 3 or more");
    ox_window w = {.n = x->shape.rank - 2};
    if (*n->row->arg == 'g') {
        for (int i = 0; i < w.n; i++) {
            w.kernel[i] = x->shape.dims[2 + i];
            w.strides[i] = w.dilations[i] = w.out[i] = 1;
        }
    } else if (!ox_window_read(n, w.n, x->shape.dims + 2, NULL, ox_attr_i(n, "ceil_mode", 0) != 0,
                               &w)) {
        return false;
    }
    return ox_pool(n, x, "average", &w, ox_attr_i(n, "count_include_pad", 0) != 0, 0, false, false,
                   &y, NULL) &&
           quantized_out(n, y, 3, ox_need(n, 0, "X"));
}

bool ox_op_qlinear_concat(node *n) {
    int count = (n->n_in - 2) / 3;
    if (count < 1 || (n->n_in - 2) % 3)
        return ox_fail(n, "needs a scale and a zero point, then three operands a tensor");
    val **items = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)count);
    for (int i = 0; i < count; i++) {
        items[i] = floats(n, 2 + 3 * i);
        if (!items[i])
            return false;
    }
    int64_t axis = ox_axis(n, ox_attr_i(n, "axis", 1), items[0]->shape.rank);
    return !n->failed &&
           quantized_out(n, ox_concat(n, (int)axis, count, items), 0, ox_need(n, 2, "X"));
}
