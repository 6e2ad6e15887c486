/* Convolution, pooling and softmax on quantized values, in integers, by docs/integer.md. What linalg says
 * (matmul, elementwise, reductions) has its integer forms beside its float ones, in to_linalg*.c.
 *
 *   conv     adze.conv with an i32 result: sum of (x - zx) * (w - zw), plus bias      then requantize
 *   pool     maximum of codes; sum of (x - zx) as i32                                  then requantize
 *   softmax  adze.softmax_codes with its table of exponentials
 */
#include "passes/quantized.h"
#include "passes/generic.h"
#include "passes/structured.h"

#include "ir/integer.h"
#include "ir/window.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <string.h>

typedef struct integer {
    adze_builder *b;
    adze_context *ctx;
    MlirModule module;
    MlirOperation op;
    const MlirValue *operands;
    MlirValue *results;
    adze_shape xs, ys; /* of operand 0 and result 0, as in the graph */
    adze_window_axes axes;
    adze_quant qx, qy;
    bool quant_x, quant_y;
} integer;

static bool fail(const integer *t, const char *why) {
    return adze_error(&t->ctx->diags, adze_node(t->ctx, t->op), "%s: %s",
                      adze_op_info_of(t->ctx, adze_op_of(t->ctx, t->op))->name, why);
}

/* Copies the operation with an i32 result of the same extents. */
static MlirValue clone_i32(const integer *t) {
    MlirValue results[4];
    adze_clone_structured(t->b, t->op, t->operands, results);
    adze_shape acc = adze_shape_with(t->ctx, &t->ys, ADZE_i32);
    mlirValueSetType(results[0], adze_tensor_type(t->ctx, &acc));
    return results[0];
}

/* A host tensor of `n` i32 numbers. */
static adze_tensor i32_table(const integer *t, int rank, const int64_t *dims) {
    adze_tensor table;
    adze_tensor_new(t->ctx->arena, ADZE_i32, rank, dims, &table);
    return table;
}

static const char *table_name(const integer *t, const char *suffix) {
    const char *node = adze_node(t->ctx, t->op);
    return adze_c_name(t->ctx,
                       adze_arena_printf(t->ctx->arena, "%s_%s", *node ? node : "k", suffix));
}

/* One adze.requantize of the body's accumulator; `untied`: adze_requant_untied holds for all its multipliers. */
static adze_scalar requantize(adze_generic *g, adze_scalar acc, adze_scalar m, adze_scalar s,
                              int64_t zero_point, adze_dtype storage, bool untied) {
    int64_t low, high;
    adze_integer_range(storage, &low, &high);
    adze_named attrs[] = {{"zero_point", adze_i64(g->ctx, zero_point)},
                          {"low", adze_i64(g->ctx, low)},
                          {"high", adze_i64(g->ctx, high)},
                          {"adze.untied", mlirUnitAttrGet(g->ctx->mlir)}};
    MlirValue operands[] = {acc.value, m.value, s.value};
    adze_scalar wide = {adze_build1(&g->body, "adze.requantize", 3, operands,
                                    mlirValueGetType(acc.value), untied ? 4 : 3, attrs),
                        ADZE_i32};
    adze_scalar narrow = wide;
    adze_scalar_cast(&g->body, wide, storage, false, &narrow);
    return narrow;
}

/* Factors per channel, or one for all when n is 1; |acc| is at most reach[channel]. */
static bool requantize_channels(const integer *t, MlirValue acc, int n, const double *factor,
                                int n_reach, const double *reach) {
    adze_generic g = adze_generic_new(t->b, t->module, t->op);
    g.n_dims = t->ys.rank;
    adze_shape out = adze_shape_with(t->ctx, &t->ys, t->ys.dtype);
    MlirAffineExpr exprs[ADZE_MAX_RANK];
    for (int d = 0; d < t->ys.rank; d++)
        exprs[d] = adze_dim(&g, d);
    int x = adze_generic_in(&g, acc, (MlirValue){NULL}, exprs);
    int64_t dims[] = {n};
    adze_tensor m = i32_table(t, 1, dims), s = i32_table(t, 1, dims);
    int32_t *multiplier = adze_tensor_data(&m), *shift = adze_tensor_data(&s);
    for (int i = 0; i < n; i++)
        adze_requant_scale(factor[i], multiplier + i, shift + i);
    bool untied = true;
    for (int i = 0; i < n_reach || i < n; i++)
        untied &= adze_requant_untied(multiplier[n > 1 ? i : 0], shift[n > 1 ? i : 0],
                                      reach[n_reach > 1 ? i : 0], t->qy.zero_point[0]);
    int pm = adze_generic_table(&g, &m, table_name(t, "multiplier"), t->axes.channel);
    int ps = adze_generic_table(&g, &s, table_name(t, "shift"), t->axes.channel);
    if (!adze_generic_out(&g, &out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar y = requantize(&g, adze_generic_arg(&g, x), adze_generic_arg(&g, pm),
                               adze_generic_arg(&g, ps), t->qy.zero_point[0], t->ys.dtype, untied);
    adze_generic_end(&g, &y, t->results);
    return true;
}

/* real = acc * factor, for a float result. */
static bool dequantize_channels(const integer *t, MlirValue acc, int n, const double *factor) {
    adze_generic g = adze_generic_new(t->b, t->module, t->op);
    g.n_dims = t->ys.rank;
    MlirAffineExpr exprs[ADZE_MAX_RANK];
    for (int d = 0; d < t->ys.rank; d++)
        exprs[d] = adze_dim(&g, d);
    int x = adze_generic_in(&g, acc, (MlirValue){NULL}, exprs);
    int64_t dims[] = {n};
    adze_tensor scale;
    adze_tensor_new(t->ctx->arena, ADZE_f32, 1, dims, &scale);
    for (int i = 0; i < n; i++)
        adze_tensor_set_f64(&scale, (size_t)i, factor[i]);
    int p = adze_generic_table(&g, &scale, table_name(t, "scale"), t->axes.channel);
    adze_scalar real, y;
    if (!adze_generic_out(&g, &t->ys, NULL))
        return false;
    adze_generic_begin(&g);
    if (!adze_scalar_cast(&g.body, adze_generic_arg(&g, x), ADZE_f32, false, &real) ||
        !adze_scalar_binary(&g.body, "mul", real, adze_generic_arg(&g, p), &y) ||
        !adze_scalar_cast(&g.body, y, t->ys.dtype, false, &y))
        return false;
    adze_generic_end(&g, &y, t->results);
    return true;
}

/* The largest |code - zero point| of an encoding. */
static double reach(const adze_quant *q) {
    int64_t low, high, most = 0;
    adze_integer_range(q->storage, &low, &high);
    for (int i = 0; i < q->n; i++) {
        int64_t down = q->zero_point[i] - low, up = high - q->zero_point[i];
        most = down > most ? down : most;
        most = up > most ? up : most;
    }
    return (double)most;
}

/* Whether |bias| + terms * |x| * |w| stays within 32 bits whatever the input is: then the accumulator
 * needs no care in C. */
static bool cannot_overflow(const integer *t, double terms, const adze_quant *qw, MlirValue bias) {
    double most = terms * reach(&t->qx) * (qw ? reach(qw) : 1);
    adze_tensor b;
    if (!adze_is_none(bias)) {
        if (!adze_constant_value(t->ctx, t->module, bias, &b))
            return false;
        double largest = 0;
        for (size_t i = 0; i < adze_tensor_count(&b); i++)
            largest = fmax(largest, fabs(adze_tensor_get_f64(&b, i)));
        most += largest;
    }
    return most < 0x1p31;
}

static void mark_exact(const integer *t, MlirValue acc) {
    adze_set(adze_defining(acc), "adze.no_overflow", mlirUnitAttrGet(t->ctx->mlir));
}

/* The largest |accumulator| of each channel, whatever the input is: from the weight itself where it is constant. */
static bool channel_reach(const integer *t, const adze_shape *ws, const adze_quant *qw, double *out) {
    MlirValue weight = mlirOperationGetOperand(t->op, 1), bias = mlirOperationGetOperand(t->op, 2);
    const int axis = t->axes.w_out;
    const size_t channels = (size_t)ws->dims[axis];
    adze_tensor w, b;
    bool has_bias = !adze_is_none(bias);
    if (!adze_constant_value(t->ctx, t->module, weight, &w) ||
        (has_bias && !adze_constant_value(t->ctx, t->module, bias, &b)))
        return false;
    size_t inner = 1;
    for (int d = axis + 1; d < ws->rank; d++)
        inner *= (size_t)ws->dims[d];
    for (size_t c = 0; c < channels; c++)
        out[c] = 0;
    for (size_t i = 0; i < adze_tensor_count(&w); i++)
        out[i / inner % channels] += fabs(adze_tensor_get_f64(&w, i) - (double)qw->zero_point[0]);
    for (size_t c = 0; c < channels; c++)
        out[c] = out[c] * reach(&t->qx) + (has_bias ? fabs(adze_tensor_get_f64(&b, c)) : 0);
    return true;
}

static bool conv(integer *t) {
    adze_shape ws;
    adze_quant qw;
    if (!adze_value_shape(t->ctx, mlirOperationGetOperand(t->op, 1), &ws))
        return fail(t, "the weight is not a ranked tensor");
    if (!t->quant_x || !adze_quant_of(t->ctx, ws.element, &qw))
        return fail(t, "one operand is quantized and the other is not");
    if (t->qx.n != 1)
        return fail(t, "the input is quantized per axis");
    if (qw.n > 1 && qw.axis != t->axes.w_out)
        return fail(t, "the weight is quantized along an axis that is summed over");
    for (int i = 1; i < qw.n; i++)
        if (qw.zero_point[i] != qw.zero_point[0])
            return fail(t, "the weight's zero points differ between channels");
    MlirValue bias = mlirOperationGetOperand(t->op, 2);
    adze_shape bs;
    if (!adze_is_none(bias) &&
        (!adze_value_shape(t->ctx, bias, &bs) || bs.dtype != ADZE_i32))
        return fail(t, "the bias of a quantized convolution must be 32-bit integers");
    MlirValue acc = clone_i32(t);
    MlirOperation copy = adze_defining(acc);
    if (cannot_overflow(t, (double)adze_shape_count(&ws) / (double)ws.dims[t->axes.w_out], &qw, bias))
        mark_exact(t, acc);
    adze_set(copy, "adze.zero_point_x", adze_i64(t->ctx, t->qx.zero_point[0]));
    adze_set(copy, "adze.zero_point_w", adze_i64(t->ctx, qw.zero_point[0]));
    if (!t->quant_y && t->ys.dtype == ADZE_i32) {
        t->results[0] = acc;
        return true;
    }
    if (t->quant_y && t->qy.n != 1)
        return fail(t, "the result is quantized per axis");
    double *factor = ADZE_NEW_ARRAY(t->ctx->arena, double, (size_t)qw.n);
    for (int i = 0; i < qw.n; i++)
        factor[i] = t->qx.scale[0] * qw.scale[i] / (t->quant_y ? t->qy.scale[0] : 1);
    if (t->quant_y) {
        double *most = ADZE_NEW_ARRAY(t->ctx->arena, double, (size_t)ws.dims[t->axes.w_out] + 1);
        int n_most = (int)ws.dims[t->axes.w_out];
        if (!channel_reach(t, &ws, &qw, most)) {
            n_most = 1;
            most[0] = 0x1p31;
        }
        return requantize_channels(t, acc, qw.n, factor, n_most, most);
    }
    if (adze_dtype_get(t->ys.dtype)->cls != 'F')
        return fail(t, "the result is neither quantized, nor float, nor 32-bit integer");
    return dequantize_channels(t, acc, qw.n, factor);
}

/* How many of the positions first, first + step, ... (`taps` of them) lie below `end`. */
static int64_t taps_below(int64_t first, int64_t step, int64_t taps, int64_t end) {
    if (first >= end)
        return 0;
    const int64_t n = (end - first - 1) / step + 1;
    return n < taps ? n : taps;
}

/* How many elements an average divides by at output position `o` of axis `d`: a kernel may be far
 * larger than its input, so they are not counted one by one. */
static int64_t axis_count(const integer *t, int d, int n, int64_t o, const int64_t *kernel,
                          const int64_t *strides, const int64_t *pads, const int64_t *dilations,
                          bool include_pad) {
    const int64_t extent = t->xs.dims[t->axes.spatial + d], first = o * strides[d] - pads[d];
    const int64_t step = dilations[d], taps = kernel[d];
    return include_pad
               ? taps_below(first, step, taps, extent + pads[n + d])
               : taps_below(first, step, taps, extent) - taps_below(first, step, taps, 0);
}

static bool pool(integer *t) {
    const char *kind = adze_get_str(t->ctx, t->op, "kind");
    if (!t->quant_x || !t->quant_y || t->qx.n != 1 || t->qy.n != 1)
        return fail(t, "needs its input and its result quantized per tensor");
    if (!strcmp(kind, "max")) {
        if (!mlirTypeEqual(t->xs.element, t->ys.element))
            return fail(t, "a maximum with different encodings of input and result");
        return adze_clone_structured(t->b, t->op, t->operands, t->results);
    }
    if (strcmp(kind, "average"))
        return fail(t, "only maximum and average have integer forms");
    int n = t->xs.rank - 2;
    int64_t kernel[ADZE_MAX_RANK], strides[ADZE_MAX_RANK], dilations[ADZE_MAX_RANK];
    int64_t pads[2 * ADZE_MAX_RANK];
    if (adze_get_i64s(t->op, "kernel", ADZE_MAX_RANK, kernel) != n ||
        adze_get_i64s(t->op, "strides", ADZE_MAX_RANK, strides) != n ||
        adze_get_i64s(t->op, "dilations", ADZE_MAX_RANK, dilations) != n ||
        adze_get_i64s(t->op, "pads", 2 * ADZE_MAX_RANK, pads) != 2 * n)
        return fail(t, "its attributes do not fit its rank");
    MlirValue acc = clone_i32(t);
    adze_set(adze_defining(acc), "adze.zero_point_x", adze_i64(t->ctx, t->qx.zero_point[0]));
    double taps = 1;
    for (int d = 0; d < n; d++)
        taps *= (double)kernel[d];
    if (cannot_overflow(t, taps, NULL, adze_none_value(t->b)))
        mark_exact(t, acc);

    /* A multiplier and shift for every position of the plane; one for all when they agree. */
    int64_t plane = 1;
    for (int d = 0; d < n; d++)
        plane *= t->ys.dims[t->axes.spatial + d];
    adze_tensor m = i32_table(t, n, t->ys.dims + t->axes.spatial), s = i32_table(t, n, t->ys.dims + t->axes.spatial);
    int32_t *pm = adze_tensor_data(&m), *ps = adze_tensor_data(&s);
    bool include_pad = adze_get_bool(t->op, "count_include_pad"), uniform = true;
    double *counts[ADZE_MAX_RANK]; /* per axis; a product may be beyond 64 bits */
    for (int d = 0; d < n; d++) {
        const int64_t extent = t->ys.dims[t->axes.spatial + d];
        if (strides[d] < 1 || dilations[d] < 1)
            return fail(t, "a stride or dilation below 1");
        counts[d] = ADZE_NEW_ARRAY(t->ctx->arena, double, (size_t)extent);
        for (int64_t o = 0; o < extent; o++)
            counts[d][o] =
                (double)axis_count(t, d, n, o, kernel, strides, pads, dilations, include_pad);
    }
    bool untied = true;
    for (int64_t i = 0; i < plane; i++) {
        double count = 1;
        int64_t rest = i;
        for (int d = n - 1; d >= 0; d--) {
            count *= counts[d][rest % t->ys.dims[t->axes.spatial + d]];
            rest /= t->ys.dims[t->axes.spatial + d];
        }
        pm[i] = ps[i] = 0;
        if (count > 0)
            adze_requant_scale(t->qx.scale[0] / (t->qy.scale[0] * count), &pm[i], &ps[i]);
        uniform &= pm[i] == pm[0] && ps[i] == ps[0];
        untied &= adze_requant_untied(pm[i], ps[i], taps * reach(&t->qx), t->qy.zero_point[0]);
    }
    if (uniform && plane > 1) {
        int64_t one = 1;
        int32_t m0 = pm[0], s0 = ps[0];
        m = i32_table(t, 1, &one);
        s = i32_table(t, 1, &one);
        *(int32_t *)adze_tensor_data(&m) = m0;
        *(int32_t *)adze_tensor_data(&s) = s0;
        plane = 1;
    }
    adze_generic g = adze_generic_new(t->b, t->module, t->op);
    g.n_dims = t->ys.rank;
    MlirAffineExpr exprs[ADZE_MAX_RANK];
    for (int d = 0; d < t->ys.rank; d++)
        exprs[d] = adze_dim(&g, d);
    int x = adze_generic_in(&g, acc, (MlirValue){NULL}, exprs), im, is;
    if (plane == 1) {
        m.rank = s.rank = 1;
        m.dims[0] = s.dims[0] = 1;
        im = adze_generic_table(&g, &m, table_name(t, "multiplier"), 0);
        is = adze_generic_table(&g, &s, table_name(t, "shift"), 0);
    } else {
        MlirValue vm = adze_build_table(t->b, t->module, &m, table_name(t, "multiplier"));
        MlirValue vs = adze_build_table(t->b, t->module, &s, table_name(t, "shift"));
        im = adze_generic_in(&g, vm, (MlirValue){NULL}, exprs + t->axes.spatial);
        is = adze_generic_in(&g, vs, (MlirValue){NULL}, exprs + t->axes.spatial);
    }
    adze_shape out = adze_shape_with(t->ctx, &t->ys, t->ys.dtype);
    if (!adze_generic_out(&g, &out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar y = requantize(&g, adze_generic_arg(&g, x), adze_generic_arg(&g, im),
                               adze_generic_arg(&g, is), t->qy.zero_point[0], t->ys.dtype, untied);
    adze_generic_end(&g, &y, t->results);
    if (mlirOperationGetNumResults(t->op) > 1)
        t->results[1] = adze_none_value(t->b);
    return true;
}

static bool softmax(integer *t) {
    if (adze_get_bool(t->op, "log"))
        return fail(t, "the logarithm has no integer form");
    if (!t->quant_x || !t->quant_y || t->qx.n != 1 || t->qy.n != 1 ||
        adze_dtype_get(t->qx.storage)->bits != 8)
        return fail(t, "needs 8-bit input and a result quantized per tensor");
    int64_t dims[] = {256}, low, high;
    adze_tensor table = i32_table(t, 1, dims);
    adze_softmax_table(t->qx.scale[0], adze_tensor_data(&table));
    MlirValue values = adze_build_table(t->b, t->module, &table, table_name(t, "exponential"));
    int32_t m, s;
    adze_requant_scale(1 / t->qy.scale[0], &m, &s);
    while (s > 0 && m && !(m & 1)) { /* as adze_softmax_ref: the exact quotient, smaller numbers */
        m >>= 1;
        s--;
    }
    adze_integer_range(t->ys.dtype, &low, &high);
    adze_named attrs[] = {{"axis", adze_get(t->op, "axis")},
                          {"multiplier", adze_i64(t->ctx, m)},
                          {"shift", adze_i64(t->ctx, s)},
                          {"zero_point", adze_i64(t->ctx, t->qy.zero_point[0])},
                          {"low", adze_i64(t->ctx, low)},
                          {"high", adze_i64(t->ctx, high)}};
    adze_shape out = adze_shape_with(t->ctx, &t->ys, t->ys.dtype);
    MlirValue operands[] = {t->operands[0], values};
    t->results[0] = adze_build1(t->b, "adze.softmax_codes", 2, operands,
                                adze_tensor_type(t->ctx, &out), ADZE_COUNT(attrs), attrs);
    return true;
}

static const struct {
    adze_op op;
    bool (*lower)(integer *t);
} rows[] = {{ADZE_OP_conv, conv}, {ADZE_OP_pool, pool}, {ADZE_OP_softmax, softmax}};

bool adze_has_integer_form(adze_op op) {
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (rows[i].op == op)
            return true;
    return false;
}

bool adze_to_integer(adze_builder *b, MlirModule module, MlirOperation op, const MlirValue *operands,
                     MlirValue *results) {
    integer t = {.b = b,
                 .ctx = b->ctx,
                 .module = module,
                 .op = op,
                 .operands = operands,
                 .results = results};
    if (!adze_value_shape(t.ctx, mlirOperationGetOperand(op, 0), &t.xs) ||
        !adze_value_shape(t.ctx, adze_result(op, 0), &t.ys))
        return fail(&t, "operand or result is not a ranked tensor");
    t.axes = adze_window_axes_of(op, t.xs.rank);
    t.quant_x = adze_quant_of(t.ctx, t.xs.element, &t.qx);
    t.quant_y = adze_quant_of(t.ctx, t.ys.element, &t.qy);
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (rows[i].op == adze_op_of(t.ctx, op))
            return rows[i].lower(&t);
    return fail(&t, "no integer form");
}
