/* Level-1 operations as linalg.generic on tensors, one function a row of the table below.
 *
 *   to_linalg.c         the table; elementwise and movement
 *   to_linalg_sum.c     matmul, einsum, reduce
 *   to_linalg_quant.c   quantize, dequantize, and what quantized values mean inside bodies
 *
 * The tensors hold storage types: an element of !quant is its integer, and the original operation's types
 * say what the integer stands for. Bodies are built with ir/scalar.h. */
#include "passes/to_linalg_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    adze_op op;
    lowering_row *lower;
} rows[] = {
    {ADZE_OP_unary, adze_linalg_unary},         {ADZE_OP_binary, adze_linalg_binary},
    {ADZE_OP_where, adze_linalg_where},         {ADZE_OP_cast, adze_linalg_cast},
    {ADZE_OP_quantize, adze_linalg_quantize},   {ADZE_OP_dequantize, adze_linalg_dequantize},
    {ADZE_OP_transpose, adze_linalg_transpose}, {ADZE_OP_expand, adze_linalg_expand},
    {ADZE_OP_matmul, adze_linalg_matmul},       {ADZE_OP_einsum, adze_linalg_einsum},
    {ADZE_OP_reduce, adze_linalg_reduce},
};

static lowering_row *row_of(adze_op op) {
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (rows[i].op == op)
            return rows[i].lower;
    return NULL;
}

bool adze_has_linalg(adze_op op) { return row_of(op) != NULL; }

bool dtype_is_float(adze_dtype dtype) { return adze_dtype_get(dtype)->cls == 'F'; }
int dtype_bits(adze_dtype dtype) { return adze_dtype_get(dtype)->bits; }

bool lowering_error(lowering *l, const char *format, ...) {
    va_list args;
    char text[256];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const adze_op_info *info = adze_op_info_of(l->ctx, adze_op_of(l->ctx, l->op));
    return adze_error(&l->ctx->diags, adze_node(l->ctx, l->op), "%s: %s", info->name, text);
}

MlirValue lowering_original(const lowering *l, int i) { return mlirOperationGetOperand(l->op, i); }

const char *lowering_name(lowering *l, const char *suffix) {
    const char *node = adze_node(l->ctx, l->op);
    return adze_c_name(l->ctx, adze_arena_printf(l->ctx->arena, "%s_%s", *node ? node : "k", suffix));
}

static bool read_value(lowering *l, MlirValue value, adze_shape *shape, bool *quantized,
                       adze_quant *q) {
    if (!adze_value_shape(l->ctx, value, shape))
        return lowering_error(l, "an operand or the result is not a tensor of known rank");
    *quantized = adze_quant_of(l->ctx, shape->element, q);
    l->quantized |= *quantized;
    if (shape->dtype == ADZE_NO_DTYPE)
        return lowering_error(l, "an element type that kernels do not have");
    shape->element = adze_element_type(l->ctx, shape->dtype);
    return true;
}

bool adze_to_linalg(adze_builder *b, MlirModule module, MlirOperation op, const MlirValue *operands,
                    MlirValue *result) {
    lowering l = {.b = b,
                  .ctx = b->ctx,
                  .module = module,
                  .op = op,
                  .operands = operands,
                  .result = result,
                  .n = (int)mlirOperationGetNumOperands(op),
                  .kind = adze_get_str(b->ctx, op, "kind")};
    lowering_row *lower = row_of(adze_op_of(b->ctx, op));
    if (!lower || l.n > ADZE_LOWERED_OPERANDS) {
        MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
        return adze_error(&b->ctx->diags, adze_node(b->ctx, op), "%.*s is not a structured operation",
                          (int)name.length, name.data);
    }
    for (int i = 0; i < l.n; i++) {
        l.present[i] = !adze_is_none(lowering_original(&l, i));
        if (l.present[i] &&
            !read_value(&l, lowering_original(&l, i), &l.in[i], &l.quant_in[i], &l.q_in[i]))
            return false;
    }
    if (!read_value(&l, adze_result(op, 0), &l.out, &l.quant_out, &l.q_out))
        return false;
    size_t errors = b->ctx->diags.count;
    if (lower(&l))
        return true;
    /* what the scalar builders say does not know the node */
    for (size_t i = errors; i < b->ctx->diags.count; i++)
        if (!b->ctx->diags.items[i].node || !*b->ctx->diags.items[i].node)
            b->ctx->diags.items[i].node = adze_node(b->ctx, op);
    return false;
}

adze_generic lowering_pointwise(lowering *l) {
    adze_generic g = adze_generic_new(l->b, l->module, l->op);
    g.n_dims = l->out.rank;
    return g;
}

int lowering_in(lowering *l, adze_generic *g, int i) {
    return adze_generic_in_broadcast(g, l->operands[i], lowering_original(l, i), 0, l->out.rank,
                                     l->out.dims);
}

static bool finish(lowering *l, adze_generic *g, adze_scalar y) {
    if (y.dtype != l->out.dtype)
        return lowering_error(l, "the result is %s, its type says %s", adze_dtype_get(y.dtype)->name,
                              adze_dtype_get(l->out.dtype)->name);
    adze_generic_end(g, &y, l->result);
    return true;
}

/* ---- elementwise ---- */

bool adze_linalg_unary(lowering *l) {
    double params[2] = {0, 0};
    if (adze_get_f64s(l->op, "params", 2, params) > 2)
        return lowering_error(l, "more than two parameters");
    if (l->quantized)
        return quantized_unary(l, params);
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar y;
    return adze_scalar_unary(&g.body, l->kind, params, adze_generic_arg(&g, x), &y) &&
           finish(l, &g, y);
}

bool adze_linalg_binary(lowering *l) {
    if (l->quantized)
        return quantized_binary(l);
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0), y = lowering_in(l, &g, 1);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar a = adze_generic_arg(&g, x), c = adze_generic_arg(&g, y), z;
    return adze_scalar_binary(&g.body, l->kind, a, c, &z) && finish(l, &g, z);
}

bool adze_linalg_cast(lowering *l) {
    if (l->quantized)
        return lowering_error(l, "of quantized values");
    adze_generic g = lowering_pointwise(l);
    int x = lowering_in(l, &g, 0);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar y;
    return adze_scalar_cast(&g.body, adze_generic_arg(&g, x), l->out.dtype,
                            adze_get_bool(l->op, "saturate"), &y) &&
           finish(l, &g, y);
}

/* ---- movement: elements as memory holds them, whatever they are ---- */

static bool same_parameters(const adze_quant *a, const adze_quant *c) {
    if (a->storage != c->storage || a->n != c->n)
        return false;
    for (int i = 0; i < a->n; i++)
        if (a->scale[i] != c->scale[i] || a->zero_point[i] != c->zero_point[i])
            return false;
    return true;
}

bool quant_move_new(lowering *l, adze_generic *g, const adze_quant *from, const adze_quant *to,
                    quant_move *out) {
    *out = (quant_move){.same = same_parameters(from, to), .from = from, .to = to};
    if (out->same)
        return true;
    if (from->n != 1 || to->n != 1)
        return lowering_error(l, "moves values between encodings with several scales");
    if (dtype_bits(from->storage) > 16)
        return lowering_error(l, "moves values between encodings of more than 16 bits");
    double factor = from->scale[0] / to->scale[0];
    quant_factors(l, g, 1, &factor, 0, &out->m, &out->s);
    return true;
}

/* Builds y = operand `i` at `exprs` of the result's loops. */
static bool move(lowering *l, const MlirAffineExpr *exprs) {
    adze_generic g = lowering_pointwise(l);
    MlirAffineExpr copy[ADZE_MAX_RANK];
    memcpy(copy, exprs, (size_t)l->in[0].rank * sizeof *copy);
    int x = adze_generic_in(&g, l->operands[0], lowering_original(l, 0), copy);
    if (l->quant_in[0] != l->quant_out || l->in[0].dtype != l->out.dtype)
        if (!(l->quant_in[0] && l->quant_out))
            return lowering_error(l, "operand and result have different element types");
    quant_move code = {.same = true};
    if (l->quant_out && !quant_move_new(l, &g, &l->q_in[0], &l->q_out, &code))
        return false;
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    if (code.same) {
        MlirValue y = adze_generic_raw(&g, x);
        adze_generic_end_raw(&g, &y, l->result);
        return true;
    }
    adze_scalar y;
    return quant_moved(&g, &code, adze_generic_arg(&g, x), &y) && finish(l, &g, y);
}

bool adze_linalg_transpose(lowering *l) {
    int64_t perm[ADZE_MAX_RANK];
    bool seen[ADZE_MAX_RANK] = {false};
    MlirAffineExpr exprs[ADZE_MAX_RANK];
    if (adze_get_i64s(l->op, "perm", ADZE_MAX_RANK, perm) != l->in[0].rank ||
        l->out.rank != l->in[0].rank)
        return lowering_error(l, "perm does not have one number an axis");
    for (int i = 0; i < l->out.rank; i++) {
        if (perm[i] < 0 || perm[i] >= l->out.rank || seen[perm[i]])
            return lowering_error(l, "perm is not a permutation");
        seen[perm[i]] = true;
        exprs[perm[i]] = mlirAffineDimExprGet(l->ctx->mlir, i);
    }
    return move(l, exprs);
}

bool adze_linalg_expand(lowering *l) {
    MlirAffineExpr exprs[ADZE_MAX_RANK];
    int shift = l->out.rank - l->in[0].rank;
    if (shift < 0)
        return lowering_error(l, "the result has fewer axes than the operand");
    for (int i = 0; i < l->in[0].rank; i++)
        exprs[i] = l->in[0].dims[i] == 1 && l->out.dims[shift + i] != 1
                       ? mlirAffineConstantExprGet(l->ctx->mlir, 0)
                       : mlirAffineDimExprGet(l->ctx->mlir, shift + i);
    return move(l, exprs);
}

bool adze_linalg_where(lowering *l) {
    adze_generic g = lowering_pointwise(l);
    int condition = lowering_in(l, &g, 0), x = lowering_in(l, &g, 1), y = lowering_in(l, &g, 2);
    quant_move code_x = {.same = true}, code_y = {.same = true};
    if (l->quant_in[1] != l->quant_out || l->quant_in[2] != l->quant_out ||
        (!l->quant_out && (l->in[1].dtype != l->out.dtype || l->in[2].dtype != l->out.dtype)))
        return lowering_error(l, "operands and result have different element types");
    if (l->quant_out && (!quant_move_new(l, &g, &l->q_in[1], &l->q_out, &code_x) ||
                         !quant_move_new(l, &g, &l->q_in[2], &l->q_out, &code_y)))
        return false;
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar c = adze_generic_arg(&g, condition);
    if (code_x.same && code_y.same && !strchr("IUB", adze_dtype_get(l->out.dtype)->cls)) {
        /* floats and others pass as they are */
        MlirValue operands[3] = {c.value};
        operands[1] = adze_generic_raw(&g, x);
        operands[2] = adze_generic_raw(&g, y);
        MlirValue z = adze_build1(&g.body, "arith.select", 3, operands,
                                  adze_element_type(l->ctx, l->out.dtype), 0, NULL);
        adze_generic_end_raw(&g, &z, l->result);
        return true;
    }
    adze_scalar a, d;
    if (!quant_moved(&g, &code_x, adze_generic_arg(&g, x), &a) ||
        !quant_moved(&g, &code_y, adze_generic_arg(&g, y), &d))
        return false;
    return finish(l, &g, adze_scalar_select(&g.body, c, a, d));
}
