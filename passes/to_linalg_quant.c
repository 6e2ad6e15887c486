/* Quantized values in linalg bodies: quantize, dequantize, and the integer forms of elementwise kinds.
 *
 * The formulas are docs/integer.md's; what they do not cover (a kind that is not add, sub or mul, more
 * than 16 bits, several scales) is computed on the real values in f64, as that page says, so that all
 * targets agree with the reference. */
#include "passes/to_linalg_internal.h"

#include "reference/reference.h"

#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <string.h>

/* ---- parameters ---- */

static bool all_zero(const adze_quant *q) {
    for (int i = 0; i < q->n; i++)
        if (q->zero_point[i])
            return false;
    return true;
}

static bool one_zero(const adze_quant *q) {
    for (int i = 1; i < q->n; i++)
        if (q->zero_point[i] != q->zero_point[0])
            return false;
    return true;
}

quant_port quant_port_new(lowering *l, adze_generic *g, const adze_quant *q, adze_dtype work, int dim) {
    quant_port port = {.q = q, .work = work, .has_zero = !all_zero(q)};
    adze_tensor scale, zero;
    const int64_t n = q->n, n_zero = one_zero(q) ? 1 : n;
    if (work != ADZE_NO_DTYPE) {
        adze_tensor_new(l->ctx->arena, work, 1, &n, &scale);
        for (int i = 0; i < q->n; i++)
            adze_tensor_set_f64(&scale, (size_t)i, q->scale[i]);
        port.scale = adze_generic_table(g, &scale, lowering_name(l, "scale"), dim);
    }
    if (port.has_zero) {
        adze_tensor_new(l->ctx->arena, ADZE_i32, 1, &n_zero, &zero);
        for (int i = 0; i < n_zero; i++)
            adze_tensor_set_i64(&zero, (size_t)i, q->zero_point[i]);
        port.zero = adze_generic_table(g, &zero, lowering_name(l, "zero"), dim);
    }
    return port;
}

static adze_dtype wide_of(adze_dtype storage) { return dtype_bits(storage) > 16 ? ADZE_i64 : ADZE_i32; }

static bool zero_as(adze_generic *g, const quant_port *port, adze_dtype wide, adze_scalar *out) {
    if (port->q && one_zero(port->q))
        return *out = adze_scalar_i64(&g->body, wide, port->q->zero_point[0]), true;
    return adze_scalar_cast(&g->body, adze_generic_arg(g, port->zero), wide, false, out);
}

bool quant_centre(adze_generic *g, const quant_port *port, adze_scalar x, adze_scalar *out) {
    adze_dtype wide = wide_of(x.dtype);
    adze_scalar zero;
    if (!adze_scalar_cast(&g->body, x, wide, false, out))
        return false;
    if (!port->has_zero)
        return true;
    if (!zero_as(g, port, wide, &zero) || !adze_scalar_binary(&g->body, "sub", *out, zero, out))
        return false;
    adze_no_overflow(g, *out);
    return true;
}

bool quant_real(adze_generic *g, const quant_port *port, adze_scalar x, adze_scalar *out) {
    adze_scalar centred, real;
    return quant_centre(g, port, x, &centred) &&
           adze_scalar_cast(&g->body, centred, port->work, false, &real) &&
           adze_scalar_binary(&g->body, "mul", real, adze_generic_arg(g, port->scale), out);
}

/* sat(zero + round_half_even(quotient)). A zero point that all elements share is folded into bounds on
 * the quotient; else the sum is clamped. NaN converts to 0 and so gives the zero point. */
static bool round_to_codes(adze_generic *g, adze_scalar quotient, bool has_zero, const int64_t *shared,
                           adze_scalar zero, adze_dtype storage, adze_scalar *out) {
    adze_builder *b = &g->body;
    adze_dtype wide = wide_of(storage);
    int64_t low, high;
    adze_integer_range(storage, &low, &high);
    const double limit = wide == ADZE_i64 ? 0x1p40 : 0x1p30;
    double bounds[2] = {-limit, limit};
    if (!has_zero || shared) {
        bounds[0] = (double)(low - (has_zero ? *shared : 0));
        bounds[1] = (double)(high - (has_zero ? *shared : 0));
    }
    if (wide == ADZE_i64 && !adze_scalar_cast(b, quotient, ADZE_f64, false, &quotient))
        return false;
    adze_scalar q;
    if (!adze_scalar_unary(b, "round", NULL, quotient, &q) ||
        !adze_scalar_unary(b, "clip", bounds, q, &q) || !adze_scalar_cast(b, q, wide, false, &q))
        return false;
    if (has_zero) {
        if (!adze_scalar_binary(b, "add", q, zero, &q))
            return false;
        adze_no_overflow(g, q);
    }
    const double range[2] = {(double)low, (double)high};
    if (has_zero && !shared && !adze_scalar_unary(b, "clip", range, q, &q))
        return false;
    return adze_scalar_cast(b, q, storage, false, out);
}

bool quant_from_real(adze_generic *g, const quant_port *port, adze_scalar real, adze_scalar *out) {
    adze_scalar quotient, zero = {0};
    const adze_quant *q = port->q;
    if (port->has_zero && !zero_as(g, port, wide_of(q->storage), &zero))
        return false;
    return adze_scalar_binary(&g->body, "div", real, adze_generic_arg(g, port->scale), &quotient) &&
           round_to_codes(g, quotient, port->has_zero, one_zero(q) ? q->zero_point : NULL, zero,
                          q->storage, out);
}

/* ---- requantization ---- */

void quant_factors(lowering *l, adze_generic *g, int n, const double *real, int dim, int *m, int *s) {
    adze_tensor multiplier, shift;
    const int64_t dims = n;
    adze_tensor_new(l->ctx->arena, ADZE_i32, 1, &dims, &multiplier);
    adze_tensor_new(l->ctx->arena, ADZE_i32, 1, &dims, &shift);
    for (int i = 0; i < n; i++) {
        int32_t mi, si;
        adze_requant_scale(real[i], &mi, &si);
        adze_tensor_set_i64(&multiplier, (size_t)i, mi);
        adze_tensor_set_i64(&shift, (size_t)i, si);
    }
    *m = adze_generic_table(g, &multiplier, lowering_name(l, "multiplier"), dim);
    *s = adze_generic_table(g, &shift, lowering_name(l, "shift"), dim);
}

/* Values that are known to be within the storage's range. */
static adze_scalar narrow(adze_generic *g, adze_scalar x, adze_dtype storage) {
    adze_scalar y;
    adze_scalar_cast(&g->body, x, storage, false, &y); /* between integers: cannot fail */
    return y;
}

adze_scalar quant_requantize(adze_generic *g, adze_scalar acc, int m, int s, int64_t zero_point,
                             adze_dtype storage) {
    int64_t low, high;
    adze_integer_range(storage, &low, &high);
    MlirValue operands[3] = {acc.value, adze_generic_arg(g, m).value, adze_generic_arg(g, s).value};
    const adze_named attrs[] = {{"zero_point", adze_i64(g->ctx, zero_point)},
                                {"low", adze_i64(g->ctx, low)},
                                {"high", adze_i64(g->ctx, high)}};
    adze_scalar y = {adze_build1(&g->body, "adze.requantize", 3, operands,
                                 mlirIntegerTypeGet(g->ctx->mlir, 32), 3, attrs),
                     ADZE_i32};
    return narrow(g, y, storage);
}

bool quant_moved(adze_generic *g, const quant_move *move, adze_scalar x, adze_scalar *out) {
    if (move->same)
        return *out = x, true;
    const quant_port port = {.q = move->from, .has_zero = !all_zero(move->from)};
    adze_scalar centred;
    if (!quant_centre(g, &port, x, &centred))
        return false;
    *out = quant_requantize(g, centred, move->m, move->s, move->to->zero_point[0], move->to->storage);
    return true;
}

/* ---- quantize and dequantize ---- */

/* Scale and zero point as operands 1 and 2: per tensor, per axis or per block. */
typedef struct scaling {
    int scale, zero;
    bool has_zero;
} scaling;

static bool operand_scaling(lowering *l, adze_generic *g, scaling *s) {
    if (!l->present[1])
        return lowering_error(l, "has neither a quantized type nor a scale");
    const int64_t axis = adze_get_i64(l->op, "axis"), block = adze_get_i64(l->op, "block_size");
    const adze_shape *scale = &l->in[1];
    MlirAffineExpr at[ADZE_MAX_RANK];
    bool single = adze_shape_count(scale) == 1;
    if (!single && (axis < 0 || axis >= l->out.rank))
        return lowering_error(l, "several scales, but no axis");
    if (!single && (scale->rank != (block ? l->out.rank : 1) || block < 0))
        return lowering_error(l, "scales of rank %d", scale->rank);
    for (int d = 0; d < scale->rank; d++) {
        at[d] = single ? adze_zero(g) : adze_dim(g, block ? d : (int)axis);
        if (!single && block && d == axis)
            at[d] = mlirAffineFloorDivExprGet(
                at[d], mlirAffineConstantExprGet(l->ctx->mlir, block));
    }
    s->scale = adze_generic_in(g, l->operands[1], lowering_original(l, 1), at);
    s->has_zero = l->present[2];
    if (!s->has_zero)
        return true;
    if (l->in[2].rank != scale->rank && !(single && adze_shape_count(&l->in[2]) == 1))
        return lowering_error(l, "scale and zero point have different shapes");
    for (int d = scale->rank; d < l->in[2].rank; d++)
        at[d] = adze_zero(g);
    s->zero = adze_generic_in(g, l->operands[2], lowering_original(l, 2), at);
    return true;
}

static bool fits_f32(const adze_quant *q) {
    for (int i = 0; i < q->n; i++)
        if ((double)(float)q->scale[i] != q->scale[i])
            return false;
    return true;
}

bool adze_linalg_quantize(lowering *l) {
    if (l->quant_in[0])
        return lowering_error(l, "x is already quantized");
    const adze_dtype from = l->in[0].dtype, to = l->out.dtype;
    /* the quotient is an f32 division correctly rounded, which f64 then f32 gives as well */
    const bool wide = from == ADZE_f64 || (!dtype_is_float(from) && dtype_bits(from) > 16) ||
                      (l->quant_out && !fits_f32(&l->q_out));
    const adze_dtype work = wide ? ADZE_f64 : ADZE_f32;
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0);
    scaling s = {0};
    quant_port port = {0};
    if (l->quant_out) {
        port = quant_port_new(l, &g, &l->q_out, work, l->q_out.axis);
        s = (scaling){port.scale, port.zero, port.has_zero};
    } else if (!operand_scaling(l, &g, &s)) {
        return false;
    }
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar v, scale, quotient, zero = {0}, y;
    if (!adze_scalar_cast(&g.body, adze_generic_arg(&g, x), work, false, &v) ||
        !adze_scalar_cast(&g.body, adze_generic_arg(&g, s.scale), work, false, &scale) ||
        !adze_scalar_binary(&g.body, "div", v, scale, &quotient))
        return false;
    if (from != ADZE_f64 && !adze_scalar_cast(&g.body, quotient, ADZE_f32, false, &quotient))
        return false;
    if (dtype_is_float(to)) { /* f8, f4: no rounding to integers */
        if (s.has_zero && (!adze_scalar_cast(&g.body, adze_generic_arg(&g, s.zero), quotient.dtype,
                                             false, &zero) ||
                           !adze_scalar_binary(&g.body, "add", quotient, zero, &quotient)))
            return false;
        if (!adze_scalar_cast(&g.body, quotient, to, true, &y))
            return false;
    } else {
        const int64_t *shared = l->quant_out && one_zero(&l->q_out) ? l->q_out.zero_point : NULL;
        if (s.has_zero && shared)
            zero = adze_scalar_i64(&g.body, wide_of(to), *shared);
        else if (s.has_zero && !adze_scalar_cast(&g.body, adze_generic_arg(&g, s.zero), wide_of(to),
                                                 false, &zero))
            return false;
        if (!round_to_codes(&g, quotient, s.has_zero, shared, zero, to, &y))
            return false;
    }
    adze_generic_end(&g, &y, l->result);
    return true;
}

bool adze_linalg_dequantize(lowering *l) {
    if (l->quant_out || !dtype_is_float(l->out.dtype))
        return lowering_error(l, "the result is not a float");
    const adze_dtype work = l->out.dtype == ADZE_f64 ? ADZE_f64 : ADZE_f32;
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0);
    scaling s = {0};
    quant_port port = {0};
    if (l->quant_in[0])
        port = quant_port_new(l, &g, &l->q_in[0], work, l->q_in[0].axis);
    else if (!operand_scaling(l, &g, &s))
        return false;
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar v = adze_generic_arg(&g, x), scale, zero, y;
    if (l->quant_in[0]) {
        if (!quant_real(&g, &port, v, &y))
            return false;
    } else {
        const adze_dtype centred = dtype_is_float(v.dtype) ? work : wide_of(v.dtype);
        if (!adze_scalar_cast(&g.body, v, s.has_zero ? centred : work, false, &y) ||
            (s.has_zero &&
             (!adze_scalar_cast(&g.body, adze_generic_arg(&g, s.zero), centred, false, &zero) ||
              !adze_scalar_binary(&g.body, "sub", y, zero, &y))) ||
            !adze_scalar_cast(&g.body, y, work, false, &y) ||
            !adze_scalar_cast(&g.body, adze_generic_arg(&g, s.scale), work, false, &scale) ||
            !adze_scalar_binary(&g.body, "mul", y, scale, &y))
            return false;
    }
    if (!adze_scalar_cast(&g.body, y, l->out.dtype, false, &y))
        return false;
    adze_generic_end(&g, &y, l->result);
    return true;
}

/* ---- elementwise on quantized values ---- */

/* The loop that indexes operand i's scales. */
static int scale_loop(const lowering *l, int i) {
    return l->q_in[i].axis < 0 ? 0 : l->out.rank - l->in[i].rank + l->q_in[i].axis;
}

/* Any kind, on the real values. A quantized result wants f64, which is what the reference rounds from. */
static bool through_reals(lowering *l, const double *params) {
    adze_dtype work = l->quant_out ? ADZE_f64 : ADZE_f32;
    for (int i = 0; i < l->n; i++)
        if (l->out.dtype == ADZE_f64 || (!l->quant_in[i] && l->in[i].dtype == ADZE_f64))
            work = ADZE_f64;
    adze_generic g = lowering_pointwise(l);
    int in[2];
    quant_port ports[2], out = {0};
    for (int i = 0; i < l->n; i++)
        in[i] = lowering_in(l, &g, i);
    for (int i = 0; i < l->n; i++)
        if (l->quant_in[i])
            ports[i] = quant_port_new(l, &g, &l->q_in[i], work, scale_loop(l, i));
    if (l->quant_out)
        out = quant_port_new(l, &g, &l->q_out, work, l->q_out.axis);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar v[2], y;
    for (int i = 0; i < l->n; i++) {
        adze_scalar x = adze_generic_arg(&g, in[i]);
        if (!(l->quant_in[i] ? quant_real(&g, &ports[i], x, &v[i])
                             : adze_scalar_cast(&g.body, x, work, false, &v[i])))
            return false;
    }
    bool ok = l->n == 1 ? adze_scalar_unary(&g.body, l->kind, params, v[0], &y)
                        : adze_scalar_binary(&g.body, l->kind, v[0], v[1], &y);
    ok = ok && (l->quant_out ? quant_from_real(&g, &out, y, &y)
                             : adze_scalar_cast(&g.body, y, l->out.dtype, false, &y));
    if (ok)
        adze_generic_end(&g, &y, l->result);
    return ok;
}

/* The operation on every code of its operand, by the reference, whose definition it is. */
static bool table_of(lowering *l, adze_tensor *table) {
    adze_context *ctx = l->ctx;
    int64_t low, high;
    adze_integer_range(l->in[0].dtype, &low, &high);
    const int64_t n = high - low + 1;
    adze_tensor codes;
    adze_tensor_new(ctx->arena, l->in[0].dtype, 1, &n, &codes);
    for (int64_t i = 0; i < n; i++)
        adze_tensor_set_i64(&codes, (size_t)i, low + i);
    /* a copy of the operation on a vector of codes, which lives as long as this call */
    MlirModule scratch = mlirModuleCreateEmpty(mlirLocationUnknownGet(ctx->mlir));
    adze_builder b = adze_at_end(ctx, mlirModuleGetBody(scratch));
    adze_shape x = {.rank = 1, .dims = {n}}, y = x;
    x.element = mlirShapedTypeGetElementType(mlirValueGetType(lowering_original(l, 0)));
    y.element = mlirShapedTypeGetElementType(mlirValueGetType(adze_result(l->op, 0)));
    MlirValue operand = adze_build1(&b, "builtin.unrealized_conversion_cast", 0, NULL,
                                    adze_tensor_type(ctx, &x), 0, NULL);
    MlirOperation copy = mlirOperationClone(l->op);
    mlirOperationSetOperand(copy, 0, operand);
    mlirValueSetType(adze_result(copy, 0), adze_tensor_type(ctx, &y));
    adze_insert(&b, copy);
    const adze_tensor *operands[] = {&codes};
    bool ok = adze_ref_eval(ctx, l->module, copy, operands, table, ctx->arena);
    mlirModuleDestroy(scratch);
    return ok;
}

static bool look_up(lowering *l) {
    adze_context *ctx = l->ctx;
    adze_tensor table;
    if (!table_of(l, &table))
        return false;
    MlirValue tensor = adze_build_table(l->b, l->module, &table, lowering_name(l, "table"));
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar code = adze_generic_arg(&g, x);
    int64_t low, high;
    adze_integer_range(code.dtype, &low, &high);
    MlirType index_type = adze_index_type(ctx);
    MlirValue index;
    if (low < 0) {
        adze_scalar wide;
        if (!adze_scalar_cast(&g.body, code, ADZE_i32, false, &wide) ||
            !adze_scalar_binary(&g.body, "sub", wide, adze_scalar_i64(&g.body, ADZE_i32, low), &wide))
            return false;
        index = adze_build1(&g.body, "arith.index_cast", 1, &wide.value, index_type, 0, NULL);
    } else {
        index = adze_build1(&g.body, "arith.index_castui", 1, &code.value, index_type, 0, NULL);
    }
    MlirValue operands[2] = {tensor, index};
    MlirValue y = adze_build1(&g.body, "tensor.extract", 2, operands,
                              adze_element_type(ctx, l->out.dtype), 0, NULL);
    adze_generic_end_raw(&g, &y, l->result);
    return true;
}

/* relu and clip between equal encodings: bounds on the codes, which rounding keeps in order. */
static bool clip_codes(lowering *l, const double *params) {
    const adze_quant *q = &l->q_in[0];
    const bool relu = !strcmp(l->kind, "relu");
    int64_t low, high;
    adze_integer_range(q->storage, &low, &high);
    double bounds[2] = {(double)q->zero_point[0], (double)high};
    for (int i = 0; i < 2 && !relu; i++)
        bounds[i] = (double)adze_quantize_ref(params[i] / q->scale[0], q->zero_point[0], low, high);
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar y;
    if (!adze_scalar_unary(&g.body, "clip", bounds, adze_generic_arg(&g, x), &y))
        return false;
    adze_generic_end(&g, &y, l->result);
    return true;
}

static bool equal_encodings(const adze_quant *a, const adze_quant *c) {
    return a->storage == c->storage && a->n == 1 && c->n == 1 && a->scale[0] == c->scale[0] &&
           a->zero_point[0] == c->zero_point[0];
}

bool quantized_unary(lowering *l, const double *params) {
    const bool clips = !strcmp(l->kind, "relu") || !strcmp(l->kind, "clip");
    if (clips && l->quant_in[0] && l->quant_out && equal_encodings(&l->q_in[0], &l->q_out) &&
        !isnan(params[0]) && !isnan(params[1]))
        return clip_codes(l, params);
    if (l->quant_in[0] && l->q_in[0].n == 1 && dtype_bits(l->q_in[0].storage) <= 8 && l->quant_out &&
        l->q_out.n == 1)
        return look_up(l);
    return through_reals(l, params);
}

/* clamp(zp + round_half_even(p / 2^s)) of a 64-bit p:
 *     (p + 2^(s-1) - 1 + (p >> s & 1)) >> s
 * or, where that sum could overflow (not `roomy`), the same of p's last s bits, added to p >> s. */
static bool round_shift(adze_generic *g, adze_scalar p, int s, bool roomy, const adze_quant *q,
                        adze_scalar *out) {
    adze_builder *b = &g->body;
    adze_scalar r = p;
    if (s > 0) {
        const int64_t half = (int64_t)1 << (s - 1);
        adze_scalar shift = adze_scalar_i64(b, ADZE_i64, s), one = adze_scalar_i64(b, ADZE_i64, 1);
        adze_scalar rest = p, up = adze_scalar_i64(b, ADZE_i64, half - 1), floor, odd;
        MlirType type = mlirValueGetType(p.value);
        floor = p;
        floor.value =
            adze_build1(b, "arith.shrsi", 2, (MlirValue[]){p.value, shift.value}, type, 0, NULL);
        if (!adze_scalar_binary(b, "bit_and", floor, one, &odd) ||
            (!roomy && !adze_scalar_binary(b, "bit_and", p,
                                           adze_scalar_i64(b, ADZE_i64, half - 1 + half), &rest)) ||
            !adze_scalar_binary(b, "add", rest, up, &rest) ||
            !adze_scalar_binary(b, "add", rest, odd, &r))
            return false;
        adze_no_overflow(g, rest);
        adze_no_overflow(g, r);
        r.value = adze_build1(b, "arith.shrsi", 2, (MlirValue[]){r.value, shift.value}, type, 0, NULL);
        if (!roomy && !adze_scalar_binary(b, "add", floor, r, &r))
            return false;
        if (!roomy)
            adze_no_overflow(g, r);
    }
    int64_t low, high;
    adze_integer_range(q->storage, &low, &high);
    const int64_t zero = q->zero_point[0];
    if (s == 0) { /* not rounded down: keep the sum with the zero point within 64 bits */
        const double safe[2] = {-0x1p61, 0x1p61};
        if (!adze_scalar_unary(b, "clip", safe, r, &r))
            return false;
    }
    const double bounds[2] = {(double)low, (double)high};
    if (zero && !adze_scalar_binary(b, "add", r, adze_scalar_i64(b, ADZE_i64, zero), &r))
        return false;
    if (zero)
        adze_no_overflow(g, r);
    if (!adze_scalar_unary(b, "clip", bounds, r, &r))
        return false;
    *out = narrow(g, r, q->storage);
    return true;
}

/* (a - za) * ma +- (b - zb) * mb */
static bool weighted_sum(adze_generic *g, adze_scalar a, adze_scalar c, int32_t ma, int32_t mc, bool sub,
                         adze_scalar *out) {
    adze_builder *b = &g->body;
    const int32_t factors[2] = {ma, mc};
    adze_scalar terms[2] = {a, c};
    for (int i = 0; i < 2; i++)
        if (!adze_scalar_cast(b, terms[i], ADZE_i64, false, &terms[i]) ||
            !adze_scalar_binary(b, "mul", terms[i], adze_scalar_i64(b, ADZE_i64, factors[i]), &terms[i]))
            return false;
        else
            adze_no_overflow(g, terms[i]); /* 17 and 30 bits */
    if (!adze_scalar_binary(b, sub ? "sub" : "add", terms[0], terms[1], out))
        return false;
    adze_no_overflow(g, *out);
    return true;
}

static bool integer_binary(lowering *l, bool mul, bool sub) {
    const adze_quant *qa = &l->q_in[0], *qb = &l->q_in[1], *qy = &l->q_out;
    /* products of codes of at most 8 bits fit the 32-bit accumulator of adze.requantize */
    const bool narrow_product = mul && dtype_bits(qa->storage) + dtype_bits(qb->storage) <= 24;
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0), y = lowering_in(l, &g, 1), m = 0, s = 0;
    const double factor = qa->scale[0] * qb->scale[0] / qy->scale[0];
    if (narrow_product)
        quant_factors(l, &g, 1, &factor, 0, &m, &s);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    const quant_port pa = {.q = qa, .has_zero = !all_zero(qa)}, pb = {.q = qb, .has_zero = !all_zero(qb)};
    adze_scalar a, c, p, z;
    if (!quant_centre(&g, &pa, adze_generic_arg(&g, x), &a) ||
        !quant_centre(&g, &pb, adze_generic_arg(&g, y), &c))
        return false;
    if (narrow_product) {
        if (!adze_scalar_binary(&g.body, "mul", a, c, &p))
            return false;
        adze_no_overflow(&g, p);
        z = quant_requantize(&g, p, m, s, qy->zero_point[0], qy->storage);
    } else {
        int32_t ma, mb = 0, shift;
        if (mul)
            adze_requant_scale(factor, &ma, &shift);
        else
            adze_requant_pair(qa->scale[0] / qy->scale[0], qb->scale[0] / qy->scale[0], &ma, &mb,
                              &shift);
        bool ok = mul ? adze_scalar_cast(&g.body, a, ADZE_i64, false, &a) &&
                            adze_scalar_cast(&g.body, c, ADZE_i64, false, &c) &&
                            adze_scalar_binary(&g.body, "mul", a, c, &p) &&
                            adze_scalar_binary(&g.body, "mul", p,
                                               adze_scalar_i64(&g.body, ADZE_i64, ma), &p)
                      : weighted_sum(&g, a, c, ma, mb, sub, &p);
        if (!ok || !round_shift(&g, p, shift, !mul, qy, &z))
            return false;
    }
    adze_generic_end(&g, &z, l->result);
    return true;
}

/* min and max between equal encodings: of the codes. */
static bool extreme_of_codes(lowering *l) {
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0), y = lowering_in(l, &g, 1);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar a = adze_generic_arg(&g, x), c = adze_generic_arg(&g, y), z;
    if (!adze_scalar_binary(&g.body, l->kind, a, c, &z))
        return false;
    adze_generic_end(&g, &z, l->result);
    return true;
}

bool quantized_binary(lowering *l) {
    const bool mul = !strcmp(l->kind, "mul"), sub = !strcmp(l->kind, "sub");
    const bool all = l->quant_in[0] && l->quant_in[1] && l->quant_out;
    const bool single = all && l->q_in[0].n == 1 && l->q_in[1].n == 1 && l->q_out.n == 1;
    if (single && (mul || sub || !strcmp(l->kind, "add")) && dtype_bits(l->q_in[0].storage) <= 16 &&
        dtype_bits(l->q_in[1].storage) <= 16)
        return integer_binary(l, mul, sub);
    if (single && (!strcmp(l->kind, "min") || !strcmp(l->kind, "max")) &&
        equal_encodings(&l->q_in[0], &l->q_out) && equal_encodings(&l->q_in[1], &l->q_out))
        return extreme_of_codes(l);
    return through_reals(l, NULL);
}
