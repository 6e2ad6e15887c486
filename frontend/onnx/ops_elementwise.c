/* Elementwise operators: unary and binary kinds (ir/kinds.def), selection, conversion. */
#include "frontend/onnx/importer.h"

#include <math.h>
#include <string.h>

bool ox_op_unary(node *n) {
    return ox_out(n, 0, ox_unary(n, n->row->arg, ox_need(n, 0, "X")));
}

bool ox_op_binary(node *n) {
    return ox_out(n, 0, ox_binary(n, n->row->arg, ox_need(n, 0, "A"), ox_need(n, 1, "B")));
}

/* Before opset 7 the second operand broadcasts only when told to, and from `axis` on. */
bool ox_op_binary_axis(node *n) {
    val *a = ox_need(n, 0, "A"), *b = ox_need(n, 1, "B");
    if (!a || !b)
        return false;
    if (ox_attr_i(n, "broadcast", 0) && ox_attr(n, "axis")) {
        int64_t axis = ox_attr_i(n, "axis", 0);
        if (axis < 0 || axis + b->shape.rank > a->shape.rank)
            return ox_fail(n, "axis %lld is out of range", (long long)axis);
        b = ox_place(n, b, a->shape.rank, (int)axis);
    }
    return ox_out(n, 0, ox_binary(n, n->row->arg, a, b));
}

/* The slope broadcasts to x; before opset 7 a vector of slopes is one per channel. */
bool ox_op_prelu(node *n) {
    val *x = ox_need(n, 0, "X"), *slope = ox_need(n, 1, "slope");
    if (!x || !slope)
        return false;
    if (n->opset < 7 && slope->shape.rank == 1 && slope->shape.dims[0] != 1 && x->shape.rank > 1)
        slope = ox_place(n, slope, x->shape.rank, 1);
    return ox_out(n, 0, ox_binary(n, "prelu", x, slope));
}

/* Kinds with numbers: the operator, its attributes in the order of the kind's params, their
 * defaults. */
static const struct {
    const char *op, *attrs[2];
    double otherwise[2];
} with_params[] = {
    {"LeakyRelu", {"alpha", NULL}, {0.01f, 0}},
    {"Elu", {"alpha", NULL}, {1, 0}},
    {"Celu", {"alpha", NULL}, {1, 0}},
    {"Selu", {"alpha", "gamma"}, {1.67326319217681884765625, 1.05070102214813232421875}},
    {"ThresholdedRelu", {"alpha", NULL}, {1, 0}},
    {"Shrink", {"bias", "lambd"}, {0, 0.5}},
    {"HardSigmoid", {"alpha", "beta"}, {0.2f, 0.5}},
    {"Swish", {"alpha", NULL}, {1, 0}},
};

bool ox_op_unary_params(node *n) {
    for (size_t i = 0; i < ADZE_COUNT(with_params); i++) {
        if (strcmp(with_params[i].op, n->op))
            continue;
        double params[2];
        int count = 0;
        for (; count < 2 && with_params[i].attrs[count]; count++)
            params[count] =
                ox_attr_f(n, with_params[i].attrs[count], with_params[i].otherwise[count]);
        return ox_out(n, 0, ox_unary_p(n, n->row->arg, ox_need(n, 0, "X"), count, params));
    }
    return false;
}

bool ox_op_gelu(node *n) {
    const char *how = ox_attr_s(n, "approximate", "none");
    if (strcmp(how, "none") && strcmp(how, "tanh"))
        return ox_fail(n, "approximate '%s' is not supported", how);
    return ox_out(n, 0, ox_unary(n, *how == 't' ? "gelu_tanh" : "gelu", ox_need(n, 0, "X")));
}

bool ox_op_is_inf(node *n) {
    double params[2] = {(double)ox_attr_i(n, "detect_negative", 1),
                        (double)ox_attr_i(n, "detect_positive", 1)};
    return ox_out(n, 0, ox_unary_p(n, "is_inf", ox_need(n, 0, "X"), 2, params));
}

bool ox_op_mod(node *n) {
    bool c = ox_attr_i(n, "fmod", 0) != 0;
    return ox_out(n, 0, ox_binary(n, c ? "fmod" : "mod", ox_need(n, 0, "A"), ox_need(n, 1, "B")));
}

bool ox_op_shift(node *n) {
    const char *direction = ox_attr_s(n, "direction", "");
    bool left = !strcmp(direction, "LEFT");
    if (!left && strcmp(direction, "RIGHT"))
        return ox_fail(n, "direction '%s' is not supported", direction);
    return ox_out(
        n, 0,
        ox_binary(n, left ? "shift_left" : "shift_right", ox_need(n, 0, "X"), ox_need(n, 1, "Y")));
}

/* Max, Min, Sum, Mean: any number of operands. */
bool ox_op_variadic(node *n) {
    val *y = ox_need(n, 0, "data_0");
    for (int i = 1; i < n->n_in; i++)
        y = ox_binary(n, n->row->arg, y, ox_need(n, i, "data"));
    if (!strcmp(n->op, "Mean") && n->n_in > 1)
        y = ox_binary(n, "div", y, ox_number(n, y, n->n_in));
    return ox_out(n, 0, y);
}

/* Bounds are attributes before opset 11, operands after. Numbers go into the kind's params; the
 * rest, and integers, are max and min. */
bool ox_op_clip(node *n) {
    val *x = ox_need(n, 0, "input");
    if (!x)
        return false;
    val *low = &n->imp->absent, *high = low;
    if (n->opset < 11) {
        if (ox_attr(n, "min"))
            low = ox_number(n, x, ox_attr_f(n, "min", 0));
        if (ox_attr(n, "max"))
            high = ox_number(n, x, ox_attr_f(n, "max", 0));
    } else {
        low = ox_in(n, 1);
        high = ox_in(n, 2);
    }
    const adze_tensor *lo = ox_known(n, low), *hi = ox_known(n, high);
    bool is_float = adze_dtype_get(x->shape.dtype)->cls == 'F';
    if (is_float && (lo || ox_is_absent(low)) && (hi || ox_is_absent(high)) &&
        (!lo || adze_tensor_count(lo) == 1) && (!hi || adze_tensor_count(hi) == 1)) {
        double params[2] = {lo ? adze_tensor_get_f64(lo, 0) : (double)-INFINITY,
                            hi ? adze_tensor_get_f64(hi, 0) : (double)INFINITY};
        if (params[0] <= params[1])
            return ox_out(n, 0, ox_unary_p(n, "clip", x, 2, params));
    }
    val *y = x;
    if (!ox_is_absent(low))
        y = ox_binary(n, "max", y, low);
    if (!ox_is_absent(high))
        y = ox_binary(n, "min", y, high);
    return ox_out(n, 0, y);
}

bool ox_op_where(node *n) {
    return ox_out(n, 0,
                  ox_where(n, ox_need(n, 0, "condition"), ox_need(n, 1, "X"), ox_need(n, 2, "Y")));
}

static bool cast_to(node *n, val *x, adze_dtype to) {
    bool saturate = ox_attr_i(n, "saturate", 1) != 0;
    const char *rounding = ox_attr_s(n, "round_mode", "up");
    if (to == ADZE_NO_DTYPE)
        return ox_fail(n, "the element type to cast to is unknown");
    if (to == ADZE_f8e8m0 && strcmp(rounding, "up"))
        return ox_fail(n, "round_mode '%s' is not supported", rounding);
    if (!x || x->shape.dtype == to || saturate)
        return ox_out(n, 0, ox_cast(n, x, to));
    adze_shape s = ox_with_dtype(n, &x->shape, to);
    return ox_out(n, 0,
                  ox_emit(n, "cast", VALS(x), &s, ATTRS({"saturate", adze_bool(n->ctx, false)})));
}

bool ox_op_cast(node *n) {
    return cast_to(n, ox_need(n, 0, "input"), adze_dtype_from_onnx(ox_attr_i(n, "to", 0)));
}

bool ox_op_cast_like(node *n) {
    val *like = ox_need(n, 1, "target_type");
    return like && cast_to(n, ox_need(n, 0, "input"), like->shape.dtype);
}

bool ox_op_bitcast(node *n) {
    val *x = ox_need(n, 0, "input");
    adze_dtype to = adze_dtype_from_onnx(ox_attr_i(n, "to", 0));
    if (!x)
        return false;
    if (to == ADZE_NO_DTYPE || adze_dtype_get(to)->bits != adze_dtype_get(x->shape.dtype)->bits)
        return ox_fail(n, "needs two element types of the same width");
    adze_shape s = ox_with_dtype(n, &x->shape, to);
    return ox_out(n, 0, to == x->shape.dtype ? x : ox_emit(n, "bitcast", VALS(x), &s, NO_ATTRS));
}

bool ox_op_identity(node *n) {
    return ox_out(n, 0, ox_any(n, 0));
}

/* Inference: the value passes, the mask keeps everything. */
bool ox_op_dropout(node *n) {
    val *x = ox_need(n, 0, "data");
    if (!x)
        return false;
    if (n->opset < 7 && !ox_attr_i(n, "is_test", 0))
        return ox_fail(n, "training is not supported");
    if (n->opset >= 12 && ox_has(n, 2)) {
        const adze_tensor *training = ox_const(n, 2, "training_mode");
        const adze_tensor *ratio = ox_has(n, 1) ? ox_const(n, 1, "ratio") : NULL;
        if (!training || n->failed)
            return false;
        if (adze_tensor_count(training) == 1 && adze_tensor_get_i64(training, 0) &&
            !(ratio && adze_tensor_count(ratio) == 1 && adze_tensor_get_f64(ratio, 0) == 0))
            return ox_fail(n, "training is not supported");
    }
    if (ox_wants(n, 1)) {
        adze_shape s = ox_with_dtype(n, &x->shape, n->opset < 10 ? x->shape.dtype : ADZE_bool);
        ox_out(n, 1, ox_full(n, &s, ox_scalar(n, s.dtype, 1)));
    }
    return ox_out(n, 0, x);
}
