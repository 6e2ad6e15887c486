/* Level 1: dequantize -> operation -> quantize becomes the operation on quantized values.
 *
 *   q ─► dequantize ─► conv ─► relu ─► quantize ─► q'        q ─► conv ─► relu ─► q'
 *
 * An operation is rewritten when it has an integer form, its inputs are dequantized (a bias: from i32)
 * or constants of the graph's own, and its result is quantized in one way (through activations that
 * integers keep, and movement that integers do not notice). A result that stays float keeps its integer
 * accumulator where that is cheap. What is left keeps dequantize and quantize, in float. */
#include "ir/window.h"
#include "passes/simplify.h"
#include "passes/table.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct integer_pass {
    adze_context *ctx;
    bool changed;
} integer_pass;

static bool is(adze_context *ctx, MlirOperation op, adze_op which) {
    return !mlirOperationIsNull(op) && adze_op_of(ctx, op) == which;
}

/* The quantized value behind a static dequantize; null when `value` is something else. */
static MlirValue codes_of(adze_context *ctx, MlirValue value) {
    MlirOperation op = adze_defining(value);
    adze_shape shape;
    adze_quant q;
    if (!is(ctx, op, ADZE_OP_dequantize) || !adze_is_none(mlirOperationGetOperand(op, 1)))
        return (MlirValue){NULL};
    MlirValue x = mlirOperationGetOperand(op, 0);
    return adze_value_shape(ctx, x, &shape) && adze_quant_of(ctx, shape.element, &q)
               ? x
               : (MlirValue){NULL};
}

/* The one encoding that every user quantizes `value` to; a null type when there is none. */
static MlirType quantized_as(adze_context *ctx, MlirValue value) {
    MlirType found = {NULL};
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation user = mlirOpOperandGetOwner(use);
        if (!is(ctx, user, ADZE_OP_quantize) || !adze_is_none(mlirOperationGetOperand(user, 1)))
            return (MlirType){NULL};
        MlirType type = mlirValueGetType(adze_result(user, 0));
        adze_shape shape;
        adze_quant q;
        if (!adze_shape_of(ctx, type, &shape) || !adze_quant_of(ctx, shape.element, &q) || q.n != 1 ||
            (found.ptr && !mlirTypeEqual(found, type)))
            return (MlirType){NULL};
        found = type;
    }
    return found;
}

/* Unary kinds that can follow an accumulator in the result's own encoding: max and min of codes. */
static bool keeps_codes(adze_context *ctx, MlirOperation op) {
    if (!is(ctx, op, ADZE_OP_unary))
        return false;
    const char *kind = adze_get_str(ctx, op, "kind");
    return kind && (!strcmp(kind, "relu") || !strcmp(kind, "clip"));
}

/* Through activations with one user: the encoding that the chain ends in. The operations of the chain
 * are left in `chain`. */
static MlirType encoding_after(adze_context *ctx, MlirValue value, MlirOperation *chain, int *n,
                               int max) {
    for (*n = 0; *n < max; (*n)++) {
        MlirOpOperand use = mlirValueGetFirstUse(value);
        if (mlirOpOperandIsNull(use) || !mlirOpOperandIsNull(mlirOpOperandGetNextUse(use)) ||
            !keeps_codes(ctx, mlirOpOperandGetOwner(use)))
            break;
        chain[*n] = mlirOpOperandGetOwner(use);
        value = adze_result(chain[*n], 0);
    }
    return quantized_as(ctx, value);
}

/* Which operands must be quantized values, and whether the result may stay float or i32. */
typedef struct integer_row {
    adze_op op;
    int n_values;    /* leading operands that are quantized values */
    bool bias;       /* the next one may be an i32 bias */
    bool any_result; /* float results too */
    bool same;       /* operands and result share one encoding (movement) */
} integer_row;

static const integer_row rows[] = {
    {ADZE_OP_conv, 2, true, true, false},      {ADZE_OP_matmul, 2, true, true, false},
    {ADZE_OP_binary, 2, false, false, false},  {ADZE_OP_pool, 1, false, false, false},
    {ADZE_OP_reduce, 1, false, false, false},  {ADZE_OP_softmax, 1, false, false, false},
    {ADZE_OP_unary, 1, false, false, false},   {ADZE_OP_transpose, 1, false, false, true},
    {ADZE_OP_reshape, 1, false, false, true},  {ADZE_OP_slice, 1, false, false, true},
    {ADZE_OP_expand, 1, false, false, true},
};

static const integer_row *row_of(adze_context *ctx, MlirOperation op) {
    adze_op which = adze_op_of(ctx, op);
    const char *kind = adze_get_str(ctx, op, "kind");
    for (size_t i = 0; i < ADZE_COUNT(rows); i++) {
        if (rows[i].op != which)
            continue;
        if (which == ADZE_OP_binary && strcmp(kind, "add") && strcmp(kind, "sub") &&
            strcmp(kind, "mul"))
            return NULL;
        if (which == ADZE_OP_reduce && strcmp(kind, "mean") && strcmp(kind, "sum"))
            return NULL;
        if (which == ADZE_OP_pool && strcmp(kind, "max") && strcmp(kind, "average"))
            return NULL;
        return &rows[i];
    }
    return NULL;
}

static int storage_bits(adze_context *ctx, MlirType type) {
    adze_shape shape;
    return adze_shape_of(ctx, type, &shape) ? adze_dtype_get(shape.dtype)->bits : 0;
}

static void set_element(adze_context *ctx, MlirValue value, MlirType like) {
    adze_shape to, from;
    if (adze_value_shape(ctx, value, &to) && adze_shape_of(ctx, like, &from)) {
        to.element = from.element;
        mlirValueSetType(value, adze_tensor_type(ctx, &to));
    }
}

/* Users of the quantize operations read `value` itself; the operations stay until simplify. */
static void bypass_quantize(adze_context *ctx, MlirValue value) {
    for (bool again = true; again;) {
        again = false;
        for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use) && !again;
             use = mlirOpOperandGetNextUse(use)) {
            MlirOperation user = mlirOpOperandGetOwner(use);
            if (!is(ctx, user, ADZE_OP_quantize) || adze_unused(user))
                continue;
            mlirValueReplaceAllUsesOfWith(adze_result(user, 0), value);
            again = true; /* the list of uses has changed */
        }
    }
}

/* The scale of a bias must be that of the accumulator, or adding it would be wrong. */
static bool bias_fits(adze_context *ctx, MlirValue bias, MlirValue x, MlirValue w) {
    adze_shape bs, xs, ws;
    adze_quant qb, qx, qw;
    if (!adze_value_shape(ctx, bias, &bs) || bs.dtype != ADZE_i32 ||
        !adze_quant_of(ctx, bs.element, &qb) || !adze_value_shape(ctx, x, &xs) ||
        !adze_quant_of(ctx, xs.element, &qx) || !adze_value_shape(ctx, w, &ws) ||
        !adze_quant_of(ctx, ws.element, &qw))
        return false;
    int n = qb.n > qw.n ? qb.n : qw.n;
    if ((qb.n != 1 && qb.n != n) || (qw.n != 1 && qw.n != n))
        return false;
    for (int i = 0; i < n; i++) {
        double want = qx.scale[0] * qw.scale[qw.n > 1 ? i : 0], have = qb.scale[qb.n > 1 ? i : 0];
        if (qb.zero_point[qb.n > 1 ? i : 0] || have < want * 0.9999 || have > want * 1.0001)
            return false;
    }
    return true;
}

/* A weight quantized along the axis of its outputs, with one zero point: what an integer kernel can take
 * out of its sums. */
static bool weight_fits(adze_context *ctx, MlirOperation op, MlirValue w) {
    adze_shape s;
    adze_quant q;
    if (!adze_value_shape(ctx, w, &s) || !adze_quant_of(ctx, s.element, &q))
        return false;
    for (int i = 1; i < q.n; i++)
        if (q.zero_point[i] != q.zero_point[0])
            return false;
    int outputs = is(ctx, op, ADZE_OP_conv) ? adze_window_axes_of(op, s.rank).w_out : s.rank - (adze_get_bool(op, "trans_b") ? 2 : 1);
    return q.n == 1 || q.axis == outputs;
}

static void visit(MlirOperation op, void *user) {
    integer_pass *p = user;
    adze_context *ctx = p->ctx;
    const integer_row *row = row_of(ctx, op);
    adze_shape ys;
    if (!row || !adze_value_shape(ctx, adze_result(op, 0), &ys) ||
        adze_dtype_get(ys.dtype)->cls != 'F')
        return;
    MlirValue codes[3];
    int n = row->n_values;
    for (int i = 0; i < n; i++) {
        codes[i] = codes_of(ctx, mlirOperationGetOperand(op, i));
        if (!codes[i].ptr || storage_bits(ctx, mlirValueGetType(codes[i])) > 16)
            return;
    }
    if (row->bias && !adze_is_none(mlirOperationGetOperand(op, n))) {
        codes[n] = codes_of(ctx, mlirOperationGetOperand(op, n));
        if (!codes[n].ptr || !bias_fits(ctx, codes[n], codes[0], codes[1]))
            return;
        n++;
    }
    if (row->bias) { /* a contraction */
        adze_shape xs;
        adze_quant qx;
        if (!weight_fits(ctx, op, codes[1]) || !adze_value_shape(ctx, codes[0], &xs) ||
            !adze_quant_of(ctx, xs.element, &qx) || qx.n != 1)
            return;
    }
    MlirOperation chain[4];
    int n_chain = 0;
    MlirType encoding = {NULL};
    if (row->same) {
        encoding = quantized_as(ctx, adze_result(op, 0));
        if (encoding.ptr) {
            adze_shape a, b;
            adze_shape_of(ctx, encoding, &a);
            adze_value_shape(ctx, codes[0], &b);
            if (!mlirTypeEqual(a.element, b.element))
                return;
        }
    } else {
        encoding = encoding_after(ctx, adze_result(op, 0), chain, &n_chain,
                                  row->op == ADZE_OP_unary ? 0 : (int)ADZE_COUNT(chain));
    }
    if (!encoding.ptr && !row->any_result)
        return;
    const char *kind = adze_get_str(ctx, op, "kind");
    if (row->op == ADZE_OP_pool && !strcmp(kind, "max")) { /* a maximum of codes keeps their encoding */
        adze_shape a, b;
        if (!adze_shape_of(ctx, encoding, &a) || !adze_value_shape(ctx, codes[0], &b) ||
            !mlirTypeEqual(a.element, b.element))
            return;
    }
    for (int i = 0; i < n; i++)
        mlirOperationSetOperand(op, i, codes[i]);
    p->changed = true;
    if (!encoding.ptr)
        return; /* integers inside, a float result */
    set_element(ctx, adze_result(op, 0), encoding);
    MlirValue last = adze_result(op, 0);
    for (int i = 0; i < n_chain; i++) {
        last = adze_result(chain[i], 0);
        set_element(ctx, last, encoding);
    }
    bypass_quantize(ctx, last);
}

bool adze_pass_integer(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    integer_pass p = {ctx, true};
    while (p.changed) {
        p.changed = false;
        adze_walk(mlirModuleGetOperation(module), visit, &p);
    }
    adze_simplify(ctx, module, true); /* the dequantize operations nobody reads now go */
    return true;
}
