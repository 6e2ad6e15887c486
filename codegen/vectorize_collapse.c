/* Two loops into one, before a marked loop becomes vectors:
 *
 *   for i in [a, b) { for j in [0, T) { f(x[i, j]) } }  ──►  for i in [a T, b T) { f(x'[i, 0]) }
 *
 * where x' is x with i's and j's axes seen as one. Possible when every access has both indices, on
 * neighbouring axes of which the inner one has T elements (axes of one element may lie between), or
 * neither. Rows too short for vectors, or no multiple of them, so become long ones. */
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

enum { LONG_ENOUGH = 1024 }; /* turns of a loop whose tail does not matter */

static bool is_number(MlirValue index, int64_t *value) {
    MlirOperation op = adze_defining(index);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant"))
        return false;
    *value = mlirIntegerAttrGetValueInt(adze_get(op, "value"));
    return true;
}

static MlirBlock body_of(MlirOperation loop) {
    return mlirRegionGetFirstBlock(mlirOperationGetRegion(loop, 0));
}

typedef struct access {
    int axis_i, axis_j; /* -1: not there */
    adze_shape shape;
} access;

/* What a load or store does with the indices i and j. False: nothing that one index can do. */
static bool read_access(adze_vz *v, MlirOperation op, int first, MlirValue i, MlirValue j,
                        int64_t turns, access *out) {
    *out = (access){.axis_i = -1, .axis_j = -1};
    if (!adze_value_shape(v->ctx, mlirOperationGetOperand(op, first), &out->shape))
        return false;
    for (int d = 0; d < out->shape.rank; d++) {
        MlirValue index = mlirOperationGetOperand(op, first + 1 + d);
        bool is_i = mlirValueEqual(index, i), is_j = mlirValueEqual(index, j);
        if ((is_i && out->axis_i >= 0) || (is_j && out->axis_j >= 0))
            return false;
        if (is_i)
            out->axis_i = d;
        if (is_j)
            out->axis_j = d;
    }
    if (out->axis_i < 0 && out->axis_j < 0)
        return true;
    if (out->axis_i < 0 || out->axis_j < out->axis_i || out->shape.dims[out->axis_j] != turns)
        return false;
    for (int d = 0; d < out->shape.rank; d++)
        if (out->shape.dims[d] < 0 ||
            (d > out->axis_i && d < out->axis_j && out->shape.dims[d] != 1))
            return false;
    return true;
}

static int memref_operand(MlirOperation op) {
    return adze_is_op(op, "memref.load") ? 0 : adze_is_op(op, "memref.store") ? 1 : -1;
}

/* Every use of i and j is an index of an access that fits. */
static bool all_fit(adze_vz *v, MlirBlock body, MlirValue i, MlirValue j, int64_t turns) {
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        access a;
        int first = memref_operand(op);
        if (mlirOperationGetNumRegions(op)) /* an inner loop reads other places in each turn */
            return false;
        for (intptr_t k = 0; k < mlirOperationGetNumOperands(op); k++) {
            MlirValue x = mlirOperationGetOperand(op, k);
            if ((mlirValueEqual(x, i) || mlirValueEqual(x, j)) && (first < 0 || k <= first))
                return false;
        }
        if (first >= 0 && !read_access(v, op, first, i, j, turns, &a))
            return false;
    }
    return true;
}

MlirValue adze_vz_root(MlirValue memref) {
    MlirOperation op = adze_defining(memref);
    return !mlirOperationIsNull(op) && adze_is_op(op, "memref.reinterpret_cast")
               ? mlirOperationGetOperand(op, 0)
               : memref;
}

MlirValue adze_vz_view(adze_vz *v, MlirValue memref, const adze_shape *shape) {
    MlirContext mlir = v->ctx->mlir;
    int64_t offset = 0, strides[ADZE_MAX_RANK], stride = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= shape->dims[d];
    }
    /* A cast counts from where the memory begins, not from where a view of it does. */
    MlirValue operands[2] = {adze_vz_root(memref)};
    int n = 1;
    MlirAttribute layout = mlirMemRefTypeGetLayout(mlirValueGetType(memref));
    if (mlirAttributeIsAStridedLayout(layout)) {
        offset = mlirStridedLayoutAttrGetOffset(layout);
        if (mlirShapedTypeIsDynamicStrideOrOffset(offset))
            operands[n++] = mlirOperationGetOperand(adze_defining(memref), 1);
    }
    MlirType type = adze_memref_type(v->ctx, shape);
    if (offset)
        type = mlirMemRefTypeGet(mlirShapedTypeGetElementType(type), shape->rank, shape->dims,
                                 mlirStridedLayoutAttrGet(mlir, offset, shape->rank, strides),
                                 mlirAttributeGetNull());
    adze_named attrs[] = {
        {"operandSegmentSizes",
         adze_parse_attr(v->ctx, n > 1 ? "array<i32: 1, 1, 0, 0>" : "array<i32: 1, 0, 0, 0>")},
        {"static_offsets", adze_i64s(v->ctx, 1, &offset)},
        {"static_sizes", adze_i64s(v->ctx, shape->rank, shape->dims)},
        {"static_strides", adze_i64s(v->ctx, shape->rank, strides)}};
    return adze_build1(&v->b, "memref.reinterpret_cast", n, operands, type, 4, attrs);
}

/* The access `op` with i and j as the one index i. */
static void merge_access(adze_vz *v, MlirOperation op, MlirValue i, MlirValue j, int64_t turns,
                         MlirValue zero) {
    access a;
    int first = memref_operand(op);
    read_access(v, op, first, i, j, turns, &a);
    if (a.axis_i < 0)
        return;
    a.shape.dims[a.axis_i] *= turns;
    a.shape.dims[a.axis_j] = 1;
    v->b = adze_before(v->ctx, op);
    MlirValue memref = adze_vz_view(v, mlirOperationGetOperand(op, first), &a.shape);
    mlirOperationSetOperand(op, first, memref);
    mlirOperationSetOperand(op, first + 1 + a.axis_j, zero);
}

/* Constants go to the top: nothing but the loop may stand in the loop around it. */
static MlirValue at_top(adze_vz *v, int64_t value) {
    adze_builder here = v->b;
    v->b = adze_before(v->ctx, mlirBlockGetFirstOperation(body_of(v->kernel)));
    MlirValue constant = adze_vz_int(v, adze_index_type(v->ctx), value);
    v->b = here;
    return constant;
}

/* bound * turns, before the outer loop. */
static MlirValue scaled(adze_vz *v, MlirValue bound, int64_t turns) {
    MlirType index = adze_index_type(v->ctx);
    int64_t known;
    if (is_number(bound, &known))
        return at_top(v, known * turns);
    adze_named nsw = {"overflowFlags", adze_parse_attr(v->ctx, "#arith.overflow<nsw>")};
    return adze_build1(&v->b, "arith.muli", 2, (MlirValue[]){bound, at_top(v, turns)}, index, 1,
                       &nsw);
}

bool adze_vz_collapse(adze_vz *v, MlirOperation inner) {
    MlirOperation outer = mlirOperationGetParentOperation(inner);
    int64_t low, turns, step;
    if (mlirOperationIsNull(outer) || !adze_is_op(outer, "scf.for") ||
        mlirOperationGetNumResults(outer) || mlirOperationGetNumResults(inner))
        return false;
    MlirBlock body = body_of(outer), deep = body_of(inner);
    MlirOperation next = mlirOperationGetNextInBlock(inner);
    if (!mlirOperationEqual(mlirBlockGetFirstOperation(body), inner) ||
        !mlirOperationEqual(next, mlirBlockGetTerminator(body)))
        return false;
    if (!is_number(mlirOperationGetOperand(inner, 0), &low) ||
        !is_number(mlirOperationGetOperand(inner, 1), &turns) ||
        !is_number(mlirOperationGetOperand(inner, 2), &step) || low || step != 1 || turns < 1 ||
        turns >= LONG_ENOUGH || !is_number(mlirOperationGetOperand(outer, 2), &step) || step != 1)
        return false;
    MlirValue i = mlirBlockGetArgument(body, 0), j = mlirBlockGetArgument(deep, 0);
    if (!all_fit(v, deep, i, j, turns))
        return false;
    v->why = NULL;
    v->b = adze_before(v->ctx, outer);
    MlirValue zero = at_top(v, 0);
    MlirValue from = scaled(v, mlirOperationGetOperand(outer, 0), turns);
    MlirValue to = scaled(v, mlirOperationGetOperand(outer, 1), turns);
    for (MlirOperation op = mlirBlockGetFirstOperation(deep); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        if (memref_operand(op) >= 0)
            merge_access(v, op, i, j, turns, zero);
    /* the inner loop's body becomes the outer one's */
    mlirOperationSetOperand(outer, 0, from);
    mlirOperationSetOperand(outer, 1, to);
    MlirOperation end = mlirBlockGetTerminator(deep);
    for (MlirOperation op = mlirBlockGetFirstOperation(deep), after; !mlirOperationEqual(op, end);
         op = after) {
        after = mlirOperationGetNextInBlock(op);
        mlirOperationMoveBefore(op, inner);
    }
    mlirOperationDestroy(inner);
    return true;
}
