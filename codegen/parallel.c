/* Splitting a kernel's work among threads (docs/decisions/0010): the kernel gets two last arguments, `begin`
 * and `end`, for the items of its outermost loop that a call computes, and `part` where it has work memory
 * for each part; its calls in the entries pass 0, the number of items, and 0. The attribute adze.parallel
 * holds the largest number of items. In modules for one thread nothing is split. */
#include "codegen/gen.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* Less work than this (loads, stores and multiplications) costs less than waking a thread. */
enum { LEAST_OPERATIONS = 20000 };

int adze_gen_threads(const adze_gen *g) {
    int64_t n = adze_get_i64(mlirModuleGetOperation(g->module), "adze.threads");
    return n > 1 && n < INT32_MAX ? (int)n : 1;
}

/* ---- the kernel's side ---- */

static MlirBlock body_of(MlirOperation function) {
    return mlirRegionGetFirstBlock(mlirOperationGetRegion(function, 0));
}

static MlirValue add_argument(adze_gen *g, const char *name, const char *mark) {
    adze_context *ctx = g->ctx;
    MlirBlock block = body_of(g->kernel);
    MlirType function = mlirTypeAttrGetValue(adze_get(g->kernel, "function_type"));
    intptr_t n = mlirFunctionTypeGetNumInputs(function);
    MlirType *types = ADZE_NEW_ARRAY(ctx->arena, MlirType, (size_t)n + 1);
    MlirAttribute *attrs = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, (size_t)n + 1);
    MlirAttribute old = adze_get(g->kernel, "arg_attrs");
    for (intptr_t i = 0; i < n; i++) {
        types[i] = mlirFunctionTypeGetInput(function, i);
        attrs[i] = mlirAttributeIsNull(old) ? mlirDictionaryAttrGet(ctx->mlir, 0, NULL)
                                            : mlirArrayAttrGetElement(old, i);
    }
    types[n] = adze_index_type(ctx);
    MlirNamedAttribute named[2] = {
        mlirNamedAttributeGet(
            mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.name")),
            adze_str(ctx, name)),
    };
    if (mark)
        named[1] = mlirNamedAttributeGet(
            mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString(mark)),
            mlirUnitAttrGet(ctx->mlir));
    attrs[n] = mlirDictionaryAttrGet(ctx->mlir, mark ? 2 : 1, named);
    adze_set(g->kernel, "function_type",
             mlirTypeAttrGet(mlirFunctionTypeGet(ctx->mlir, n + 1, types, 0, NULL)));
    adze_set(g->kernel, "arg_attrs", mlirArrayAttrGet(ctx->mlir, n + 1, attrs));
    MlirLocation loc = mlirLocationNameGet(ctx->mlir, mlirStringRefCreateFromCString(name),
                                           mlirLocationUnknownGet(ctx->mlir));
    return mlirBlockAddArgument(block, types[n], loc);
}

/* ---- the calls' side ---- */

/* A value of the kernel, computed from constants and extents of its arguments, before the call. */
static MlirValue carry_over(adze_builder *b, MlirValue value, MlirOperation call) {
    if (mlirValueIsABlockArgument(value))
        return mlirOperationGetOperand(call, mlirBlockArgumentGetArgNumber(value));
    MlirOperation copy = mlirOperationClone(mlirOpResultGetOwner(value));
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(copy); i++)
        mlirOperationSetOperand(copy, i, carry_over(b, mlirOperationGetOperand(copy, i), call));
    adze_insert(b, copy);
    return mlirOperationGetResult(copy, 0);
}

/* Whether carry_over can do it: index arithmetic outside of all loops. */
static bool can_carry(adze_gen *g, MlirValue value, int depth) {
    if (mlirValueIsABlockArgument(value))
        return mlirBlockEqual(mlirBlockArgumentGetOwner(value), body_of(g->kernel));
    MlirOperation op = mlirOpResultGetOwner(value);
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    bool ours = adze_is_op(op, "memref.dim") ||
                (name.length > 6 && !memcmp(name.data, "arith.", 6) &&
                 mlirTypeIsAIndex(mlirValueGetType(value)));
    for (intptr_t i = 0; ours && i < mlirOperationGetNumOperands(op); i++)
        ours = depth > 0 && can_carry(g, mlirOperationGetOperand(op, i), depth - 1);
    return ours;
}

typedef struct calls {
    adze_gen *g;
    const char *kernel;
    MlirValue items;
    bool part;
} calls;

static void extend_call(MlirOperation op, void *user) {
    calls *c = user;
    adze_context *ctx = c->g->ctx;
    if (!adze_is_op(op, "func.call"))
        return;
    MlirStringRef callee = mlirFlatSymbolRefAttrGetValue(adze_get(op, "callee"));
    if (callee.length != strlen(c->kernel) || memcmp(callee.data, c->kernel, callee.length))
        return;
    adze_builder b = adze_before(ctx, op);
    adze_named zero = {"value", mlirIntegerAttrGet(adze_index_type(ctx), 0)};
    MlirValue begin = adze_build1(&b, "arith.constant", 0, NULL, adze_index_type(ctx), 1, &zero);
    intptr_t n = mlirOperationGetNumOperands(op);
    MlirValue *operands = ADZE_NEW_ARRAY(ctx->arena, MlirValue, (size_t)n + 3);
    for (intptr_t i = 0; i < n; i++)
        operands[i] = mlirOperationGetOperand(op, i);
    operands[n] = begin;
    operands[n + 1] = carry_over(&b, c->items, op);
    operands[n + 2] = begin;
    mlirOperationSetOperands(op, n + 2 + c->part, operands);
}

/* ---- */

bool adze_gen_parallel(adze_gen *g, MlirValue items, double operations, bool part, adze_parallel *out) {
    enum { DEEPEST = 8 };
    int64_t most_items = adze_index_most(items);
    *out = (adze_parallel){adze_index(g, 0), items, adze_index(g, 0)};
    if (adze_gen_threads(g) == 1 || operations < LEAST_OPERATIONS || most_items < 2 ||
        g->several_roots || !mlirAttributeIsNull(adze_get(g->kernel, "adze.parallel")) ||
        !can_carry(g, items, DEEPEST))
        return false;
    calls c = {g, adze_get_str(g->ctx, g->kernel, "sym_name"), items, part};
    adze_walk(mlirModuleGetOperation(g->module), extend_call, &c);
    out->begin = add_argument(g, "begin", NULL);
    out->end = add_argument(g, "end", NULL);
    if (part)
        out->part = add_argument(g, "part", "adze.part");
    adze_set(g->kernel, "adze.parallel", adze_i64(g->ctx, most_items));
    return true;
}

void adze_gen_parallel_loop(adze_gen *g, const adze_for *loop, int64_t grain, double operations) {
    MlirValue high = mlirOperationGetOperand(loop->op, 1);
    int64_t low, step, extent;
    if (adze_gen_threads(g) == 1 || !adze_index_known(mlirOperationGetOperand(loop->op, 0), &low) ||
        low != 0 || !adze_index_known(mlirOperationGetOperand(loop->op, 2), &step))
        return;
    MlirOperation outermost = loop->op;
    while (!mlirBlockEqual(mlirOperationGetBlock(outermost), body_of(g->kernel)))
        outermost = mlirOperationGetParentOperation(outermost);
    adze_builder here = g->b;
    g->b = adze_before(g->ctx, outermost);
    MlirValue unit = adze_index(g, step * grain);
    MlirValue up = adze_index_add(g, high, adze_index(g, step * grain - 1));
    adze_parallel share;
    if (adze_gen_parallel(g, adze_index_div(g, up, unit), operations, false, &share)) {
        MlirValue end = adze_index_mul(g, share.end, unit);
        if (!adze_index_known(high, &extent) || extent % (step * grain))
            end = adze_index_min(g, end, high);
        mlirOperationSetOperand(loop->op, 0, adze_index_mul(g, share.begin, unit));
        mlirOperationSetOperand(loop->op, 1, end);
    }
    g->b = here;
}
