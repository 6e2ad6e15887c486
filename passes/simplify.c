/* Level 1: folds what is constant, drops what does nothing or is not used.
 *
 * The frontend folds while it imports; this pass does the same for dumps, for what other passes leave,
 * and for chains of views. */
#include "passes/simplify.h"
#include "passes/table.h"

#include "reference/reference.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct simplify {
    adze_context *ctx;
    MlirModule module;
    bool changed, fold_dequantize;
} simplify;

static bool is_ours(adze_context *ctx, MlirOperation op) {
    return adze_op_of(ctx, op) != ADZE_OP_NONE_OF_OURS || adze_is_op(op, "tensor.concat");
}

/* Operations that matter though nobody reads a result, or that are no values. */
static bool has_effect(adze_context *ctx, MlirOperation op) {
    switch (adze_op_of(ctx, op)) {
    case ADZE_OP_weight:
    case ADZE_OP_state:
    case ADZE_OP_dim:
    case ADZE_OP_state_write:
    case ADZE_OP_state_append:
    case ADZE_OP_tap:
        return true;
    default:
        return !is_ours(ctx, op);
    }
}

static bool all_equal(const int64_t *values, int n, int64_t want) {
    for (int i = 0; i < n; i++)
        if (values[i] != want)
            return false;
    return true;
}

/* Does `op` give back its first operand? */
static bool does_nothing(adze_context *ctx, MlirOperation op) {
    if (mlirOperationGetNumResults(op) != 1 || mlirOperationGetNumOperands(op) < 1)
        return false;
    MlirValue x = mlirOperationGetOperand(op, 0);
    if (!mlirTypeEqual(mlirValueGetType(x), mlirValueGetType(adze_result(op, 0))))
        return false;
    if (adze_is_op(op, "tensor.concat"))
        return mlirOperationGetNumOperands(op) == 1;
    int64_t v[2 * ADZE_MAX_RANK];
    int n;
    switch (adze_op_of(ctx, op)) {
    case ADZE_OP_reshape:
    case ADZE_OP_expand:
    case ADZE_OP_tile:
    case ADZE_OP_cast:
    case ADZE_OP_bitcast:
        return true;
    case ADZE_OP_pad:
        n = adze_get_i64s(op, "pads", 2 * ADZE_MAX_RANK, v);
        return all_equal(v, n, 0);
    case ADZE_OP_slice:
        n = adze_get_i64s(op, "steps", ADZE_MAX_RANK, v);
        return all_equal(v, n, 1); /* and of x's extents: all of it */
    case ADZE_OP_transpose:
        n = adze_get_i64s(op, "perm", ADZE_MAX_RANK, v);
        for (int i = 0; i < n; i++)
            if (v[i] != i)
                return false;
        return true;
    default:
        return false;
    }
}

/* Constants only, and no more bytes out than the larger of 64 KiB and what goes in. */
static bool foldable(simplify *s, MlirOperation op, adze_tensor *operands,
                     const adze_tensor **pointers) {
    intptr_t n = mlirOperationGetNumOperands(op);
    adze_op which = adze_op_of(s->ctx, op);
    if (n == 0 || n > 12 || which == ADZE_OP_get_weight || which == ADZE_OP_constant ||
        (which == ADZE_OP_dequantize && !s->fold_dequantize) ||
        mlirOperationGetNumResults(op) == 0 || mlirOperationGetNumResults(op) > 4)
        return false;
    size_t bytes_in = 65536, bytes_out = 0;
    for (intptr_t i = 0; i < n; i++) {
        MlirValue value = mlirOperationGetOperand(op, i);
        pointers[i] = NULL;
        if (adze_is_none(value))
            continue;
        if (!adze_constant_value(s->ctx, s->module, value, &operands[i]))
            return false;
        pointers[i] = &operands[i];
        bytes_in += adze_tensor_host_bytes(&operands[i]);
    }
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
        adze_shape shape;
        MlirValue result = adze_result(op, (int)i);
        if (mlirTypeEqual(mlirValueGetType(result), s->ctx->none_type))
            continue;
        if (!adze_value_shape(s->ctx, result, &shape) || adze_shape_count(&shape) < 0)
            return false;
        bytes_out += (size_t)adze_shape_count(&shape) * adze_dtype_get(shape.dtype)->host_bytes;
    }
    return bytes_out <= bytes_in;
}

static bool fold(simplify *s, MlirOperation op) {
    adze_tensor operands[12], results[4];
    const adze_tensor *pointers[12];
    MlirValue values[4];
    if (!foldable(s, op, operands, pointers))
        return false;
    size_t before = s->ctx->diags.count;
    if (!adze_ref_fold(s->ctx, s->module, op, pointers, results)) {
        s->ctx->diags.count = before; /* not an error: it stays in the graph */
        return false;
    }
    adze_builder b = adze_before(s->ctx, op);
    const char *node = adze_node(s->ctx, op);
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
        MlirType type = mlirValueGetType(adze_result(op, (int)i));
        if (mlirTypeEqual(type, s->ctx->none_type)) {
            values[i] = adze_none_value(&b);
            continue;
        }
        values[i] = adze_build_constant(&b, s->module, &results[i], *node ? node : "folded",
                                        mlirShapedTypeGetElementType(type));
        adze_set(adze_defining(values[i]), "adze.node", adze_str(s->ctx, node));
    }
    adze_replace(op, values);
    return true;
}

static void visit(MlirOperation op, void *user) {
    simplify *s = user;
    if (!is_ours(s->ctx, op))
        return;
    if (!has_effect(s->ctx, op) && adze_unused(op)) {
        mlirOperationDestroy(op);
        s->changed = true;
        return;
    }
    if (does_nothing(s->ctx, op)) {
        MlirValue x = mlirOperationGetOperand(op, 0);
        adze_replace(op, &x);
        s->changed = true;
        return;
    }
    MlirOperation source = mlirOperationGetNumOperands(op)
                               ? adze_defining(mlirOperationGetOperand(op, 0))
                               : (MlirOperation){NULL};
    if (adze_op_of(s->ctx, op) == ADZE_OP_reshape && !mlirOperationIsNull(source) &&
        adze_op_of(s->ctx, source) == ADZE_OP_reshape) {
        mlirOperationSetOperand(op, 0, mlirOperationGetOperand(source, 0));
        s->changed = true;
        return;
    }
    s->changed |= fold(s, op);
}

void adze_simplify(adze_context *ctx, MlirModule module, bool fold_dequantize) {
    simplify s = {ctx, module, true, fold_dequantize};
    while (s.changed) {
        s.changed = false;
        adze_walk(mlirModuleGetOperation(module), visit, &s);
    }
}

bool adze_pass_simplify(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    adze_simplify(ctx, module, false);
    return true;
}
