/* Operations inside a kernel. See structured.h.
 *
 *   elementwise, contraction, reduction, transpose, expand   linalg.generic      (to_linalg.c)
 *   with quantized operands or results                       integer forms       (quantized.c)
 *   everything else                                          the same operation on storage types
 */
#include "passes/structured.h"
#include "passes/quantized.h"
#include "passes/to_linalg.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* Operations that move elements and so do not care what they mean. */
static bool moves_codes(MlirOperation op, adze_op which) {
    static const adze_op movers[] = {ADZE_OP_slice,  ADZE_OP_tile,    ADZE_OP_gather,
                                     ADZE_OP_pad,    ADZE_OP_reshape, ADZE_OP_bitcast,
                                     ADZE_OP_gather_elements, ADZE_OP_gather_nd};
    for (size_t i = 0; i < ADZE_COUNT(movers); i++)
        if (movers[i] == which)
            return true;
    return adze_is_op(op, "tensor.concat");
}

static MlirType storage_type(adze_context *ctx, MlirType type) {
    adze_shape shape;
    adze_quant q;
    if (!adze_shape_of(ctx, type, &shape) || !adze_quant_of(ctx, shape.element, &q))
        return type;
    shape.element = adze_element_type(ctx, shape.dtype);
    return adze_tensor_type(ctx, &shape);
}

static bool is_quantized(adze_context *ctx, MlirValue value) {
    adze_shape shape;
    adze_quant q;
    return adze_value_shape(ctx, value, &shape) && adze_quant_of(ctx, shape.element, &q);
}

/* Do all encoded operands have the result's encoding? */
static bool same_encoding(adze_context *ctx, MlirOperation op) {
    adze_shape x, y;
    if (!adze_value_shape(ctx, adze_result(op, 0), &y))
        return false;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        if (is_quantized(ctx, mlirOperationGetOperand(op, i)) &&
            (!adze_value_shape(ctx, mlirOperationGetOperand(op, i), &x) ||
             !mlirTypeEqual(x.element, y.element)))
            return false;
    return true;
}

bool adze_clone_structured(adze_builder *b, MlirOperation op, const MlirValue *operands,
                           MlirValue *results) {
    MlirOperation copy = mlirOperationClone(op);
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        mlirOperationSetOperand(copy, i, operands[i]);
    adze_insert(b, copy);
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
        MlirValue r = adze_result(copy, (int)i);
        mlirValueSetType(r, storage_type(b->ctx, mlirValueGetType(r)));
        results[i] = r;
    }
    return true;
}

bool adze_to_structured(adze_builder *b, MlirModule module, MlirOperation op,
                        const MlirValue *operands, MlirValue *results) {
    adze_context *ctx = b->ctx;
    adze_op which = adze_op_of(ctx, op);
    bool quantized = false;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        quantized |= is_quantized(ctx, mlirOperationGetOperand(op, i));
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        quantized |= is_quantized(ctx, adze_result(op, (int)i));
    if (adze_has_linalg(which))
        return adze_to_linalg(b, module, op, operands, results);
    if (!quantized)
        return adze_clone_structured(b, op, operands, results);
    if (adze_has_integer_form(which))
        return adze_to_integer(b, module, op, operands, results);
    if (which == ADZE_OP_bitcast || (moves_codes(op, which) && same_encoding(ctx, op))) {
        adze_shape x;
        adze_quant q;
        if (!adze_clone_structured(b, op, operands, results))
            return false;
        if (which == ADZE_OP_pad && adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &x) &&
            adze_quant_of(ctx, x.element, &q)) /* what a zero is */
            adze_set(adze_defining(results[0]), "adze.zero_point_x",
                     adze_i64(ctx, q.zero_point[0]));
        return true;
    }
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    return adze_error(&ctx->diags, adze_node(ctx, op),
                      "%.*s on quantized values has no integer form", (int)name.length, name.data);
}
