/* Reading through linalg: an element of linalg.generic is its body at that index, inside loops over the
 * reduction dimensions. */
#include "codegen/gen_rows.h"

#include <mlir-c/AffineExpr.h>
#include <mlir-c/AffineMap.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { MAX_DIMS = 2 * ADZE_MAX_RANK, MAX_OPERANDS = 16 };

static MlirAffineMap map_of(MlirOperation op, int operand) {
    return mlirAffineMapAttrGetValue(
        mlirArrayAttrGetElement(adze_get(op, "indexing_maps"), operand));
}

/* The value of an affine expression of the loop dimensions. */
static MlirValue eval(adze_gen *g, MlirAffineExpr e, const MlirValue *dims) {
    if (mlirAffineExprIsAConstant(e))
        return adze_index(g, mlirAffineConstantExprGetValue(e));
    if (mlirAffineExprIsADim(e))
        return dims[mlirAffineDimExprGetPosition(e)];
    MlirValue a = eval(g, mlirAffineBinaryOpExprGetLHS(e), dims);
    MlirValue b = eval(g, mlirAffineBinaryOpExprGetRHS(e), dims);
    if (mlirAffineExprIsAAdd(e))
        return adze_index_add(g, a, b);
    if (mlirAffineExprIsAMul(e))
        return adze_index_mul(g, a, b);
    if (mlirAffineExprIsAMod(e))
        return adze_index_rem(g, a, b);
    return adze_index_div(g, a, b); /* floordiv: indices are not negative */
}

/* Extents of all loop dimensions, from the operands whose maps name them plainly. */
static bool loop_extents(adze_gen *g, MlirOperation op, int n_operands, int n_dims,
                         MlirValue *extent) {
    bool known[MAX_DIMS] = {false};
    int found = 0;
    for (int i = 0; i < n_operands; i++) {
        MlirAffineMap map = map_of(op, i);
        for (intptr_t r = 0; r < mlirAffineMapGetNumResults(map); r++) {
            MlirAffineExpr e = mlirAffineMapGetResult(map, r);
            if (!mlirAffineExprIsADim(e))
                continue;
            intptr_t d = mlirAffineDimExprGetPosition(e);
            if (!known[d]) {
                known[d] = true;
                found++;
                extent[d] = adze_extent(g, mlirOperationGetOperand(op, i), (int)r);
            }
        }
    }
    return found == n_dims;
}

static bool is_reduction(MlirOperation op, int dim) {
    MlirAttribute it = mlirArrayAttrGetElement(adze_get(op, "iterator_types"), dim);
    MlirAttribute want =
        mlirAttributeParseGet(mlirOperationGetContext(op),
                              mlirStringRefCreateFromCString("#linalg.iterator_type<reduction>"));
    return mlirAttributeEqual(it, want);
}

/* Copies the body with its arguments replaced; gives the operands of its yield. */
static bool inline_body(adze_gen *g, MlirBlock body, const MlirValue *args, MlirValue *yields) {
    struct {
        MlirValue from, to;
    } map[256];
    int n = 0;
    intptr_t n_args = mlirBlockGetNumArguments(body);
    for (intptr_t i = 0; i < n_args; i++) {
        map[n].from = mlirBlockGetArgument(body, i);
        map[n++].to = args[i];
    }
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        MlirValue operands[16];
        intptr_t n_operands = mlirOperationGetNumOperands(op);
        if (n_operands > (intptr_t)ADZE_COUNT(operands) || n + 4 > (int)ADZE_COUNT(map))
            return adze_error(&g->ctx->diags, NULL, "the body of a linalg.generic is too long");
        for (intptr_t i = 0; i < n_operands; i++) {
            operands[i] = mlirOperationGetOperand(op, i);
            for (int j = n - 1; j >= 0; j--)
                if (mlirValueEqual(map[j].from, operands[i])) {
                    operands[i] = map[j].to;
                    break;
                }
        }
        if (adze_is_op(op, "linalg.yield")) {
            memcpy(yields, operands, (size_t)n_operands * sizeof *operands);
            return true;
        }
        if (adze_is_op(op, "tensor.extract")) { /* a table look-up */
            MlirValue element;
            if (!adze_read_raw(g, operands[0], operands + 1, &element))
                return false;
            map[n].from = mlirOperationGetResult(op, 0);
            map[n++].to = element;
            continue;
        }
        if (mlirOperationGetNumRegions(op))
            return adze_error(&g->ctx->diags, NULL, "control flow inside a linalg.generic");
        MlirOperation copy = mlirOperationClone(op);
        for (intptr_t i = 0; i < n_operands; i++)
            mlirOperationSetOperand(copy, i, operands[i]);
        adze_insert(&g->b, copy);
        for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
            map[n].from = mlirOperationGetResult(op, i);
            map[n++].to = mlirOperationGetResult(copy, i);
        }
    }
    return false;
}

bool adze_read_generic(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                       MlirValue *out) {
    int n_operands = (int)mlirOperationGetNumOperands(op);
    int n_outs = (int)mlirOperationGetNumResults(op), n_ins = n_operands - n_outs;
    int n_dims = (int)mlirAffineMapGetNumDims(map_of(op, 0));
    if (n_dims > MAX_DIMS || n_operands > MAX_OPERANDS || n_outs > 4)
        return adze_error(&g->ctx->diags, NULL, "a linalg.generic is too large to lower");
    MlirValue extent[MAX_DIMS], dims[MAX_DIMS];
    if (!loop_extents(g, op, n_operands, n_dims, extent))
        return adze_error(&g->ctx->diags, NULL, "a linalg.generic has loops of unknown extent");
    MlirAffineMap out_map = map_of(op, n_ins + which);
    for (intptr_t r = 0; r < mlirAffineMapGetNumResults(out_map); r++)
        dims[mlirAffineDimExprGetPosition(mlirAffineMapGetResult(out_map, r))] = index[r];

    /* Accumulators start from the outs' elements when there is a reduction. */
    static const char *const reduction_names[] = {"k", "k1", "k2", "k3", "k4", "k5"};
    int reductions[MAX_DIMS], n_reductions = 0;
    for (int d = 0; d < n_dims; d++)
        if (is_reduction(op, d))
            reductions[n_reductions++] = d;
    MlirValue acc[4], args[MAX_OPERANDS], at[ADZE_MAX_RANK];
    adze_for loops[MAX_DIMS];
    const char *acc_names[4] = {"acc", "acc1", "acc2", "acc3"};
    if (n_reductions) {
        for (int o = 0; o < n_outs; o++) {
            MlirAffineMap map = map_of(op, n_ins + o);
            for (intptr_t r = 0; r < mlirAffineMapGetNumResults(map); r++)
                at[r] = eval(g, mlirAffineMapGetResult(map, r), dims);
            if (!adze_read_raw(g, mlirOperationGetOperand(op, n_ins + o), at, &acc[o]))
                return false;
        }
        for (int r = 0; r < n_reductions; r++) {
            loops[r] = adze_for_begin(g, reduction_names[r < 6 ? r : 5], adze_index(g, 0),
                                      extent[reductions[r]], adze_index(g, 1), n_outs, acc,
                                      acc_names);
            dims[reductions[r]] = loops[r].iv;
            memcpy(acc, loops[r].carried, (size_t)n_outs * sizeof *acc);
        }
        adze_vectorize(g, &loops[n_reductions - 1]);
    }
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
    for (int i = 0; i < n_operands; i++) {
        MlirValue arg = mlirBlockGetArgument(body, i);
        args[i] = i >= n_ins && n_reductions ? acc[i - n_ins] : arg;
        if (mlirOpOperandIsNull(mlirValueGetFirstUse(arg)) || (i >= n_ins && n_reductions))
            continue;
        MlirAffineMap map = map_of(op, i);
        for (intptr_t r = 0; r < mlirAffineMapGetNumResults(map); r++)
            at[r] = eval(g, mlirAffineMapGetResult(map, r), dims);
        if (!adze_read_raw(g, mlirOperationGetOperand(op, i), at, &args[i]))
            return false;
    }
    MlirValue yields[4];
    if (!inline_body(g, body, args, yields))
        return false;
    for (int r = n_reductions - 1; r >= 0; r--)
        adze_for_end(g, &loops[r], yields, yields);
    *out = yields[which];
    return true;
}

bool adze_read_fill(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                    MlirValue *out) {
    (void)which, (void)index, (void)g;
    *out = mlirOperationGetOperand(op, 0);
    /* The filled scalar is a constant beside the fill: it moves along. */
    MlirOperation value = adze_defining(*out);
    if (mlirOperationIsNull(value) || !adze_is_op(value, "arith.constant"))
        return true;
    MlirOperation copy = mlirOperationClone(value);
    adze_insert(&g->b, copy);
    *out = mlirOperationGetResult(copy, 0);
    return true;
}
