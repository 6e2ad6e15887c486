/* Short ways to build operations and to read attributes. See ir.h. */
#include "ir/ir.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MlirStringRef ref(const char *s) { return mlirStringRefCreateFromCString(s); }

/* ---- building ---- */

adze_builder adze_at_end(adze_context *ctx, MlirBlock block) {
    return (adze_builder){.ctx = ctx, .block = block};
}

adze_builder adze_before(adze_context *ctx, MlirOperation op) {
    return (adze_builder){.ctx = ctx, .block = mlirOperationGetBlock(op), .before = op};
}

void adze_insert(adze_builder *b, MlirOperation op) {
    if (mlirOperationIsNull(b->before))
        mlirBlockAppendOwnedOperation(b->block, op);
    else
        mlirBlockInsertOwnedOperationBefore(b->block, b->before, op);
}

MlirOperation adze_build(adze_builder *b, const char *name, int n_operands,
                         const MlirValue *operands, int n_results, const MlirType *results,
                         int n_attrs, const adze_named *attrs, int n_regions) {
    MlirContext mlir = b->ctx->mlir;
    MlirLocation loc = mlirLocationUnknownGet(mlir);
    if (b->name)
        loc = mlirLocationNameGet(mlir, ref(b->name), loc);
    b->name = NULL;
    MlirOperationState state = mlirOperationStateGet(ref(name), loc);
    mlirOperationStateAddOperands(&state, n_operands, operands);
    mlirOperationStateAddResults(&state, n_results, results);
    MlirNamedAttribute named[24];
    if (n_attrs > (int)ADZE_COUNT(named) || n_regions > 4)
        abort();
    for (int i = 0; i < n_attrs; i++)
        named[i] = mlirNamedAttributeGet(mlirIdentifierGet(mlir, ref(attrs[i].name)), attrs[i].value);
    mlirOperationStateAddAttributes(&state, n_attrs, named);
    MlirRegion regions[4];
    for (int i = 0; i < n_regions; i++)
        regions[i] = mlirRegionCreate();
    mlirOperationStateAddOwnedRegions(&state, n_regions, regions);
    MlirOperation op = mlirOperationCreate(&state);
    if (mlirOperationIsNull(op)) {
        fprintf(stderr, "adze: cannot create operation '%s'\n", name);
        abort();
    }
    adze_insert(b, op);
    return op;
}

MlirValue adze_build1(adze_builder *b, const char *name, int n_operands, const MlirValue *operands,
                      MlirType result, int n_attrs, const adze_named *attrs) {
    return adze_result(adze_build(b, name, n_operands, operands, 1, &result, n_attrs, attrs, 0), 0);
}

MlirValue adze_build_instruction(adze_builder *b, const char *name, const char *type, int n,
                                 const MlirValue *operands, MlirType result) {
    adze_context *ctx = b->ctx;
    adze_text segments = {0};
    for (int i = 0; i < adze_op_info_of(ctx, ADZE_OP_instruction)->n_operands; i++)
        adze_text_printf(&segments, "%s %d", i ? "," : "array<i32:", i < n);
    adze_text_puts(&segments, ">");
    adze_named attrs[] = {{"name", adze_str(ctx, name)},
                          {"type", adze_str(ctx, type)},
                          {"operandSegmentSizes", adze_parse_attr(ctx, segments.data)}};
    adze_text_free(&segments);
    int results = mlirTypeIsNull(result) ? 0 : 1;
    MlirOperation op = adze_build(b, "adze.instruction", n, operands, results, &result, 3, attrs, 0);
    return results ? adze_result(op, 0) : (MlirValue){NULL};
}

MlirValue adze_none_value(adze_builder *b) {
    return adze_build1(b, "adze.none", 0, NULL, b->ctx->none_type, 0, NULL);
}

MlirValue adze_result(MlirOperation op, int index) { return mlirOperationGetResult(op, index); }

MlirOperation adze_defining(MlirValue value) {
    return mlirValueIsAOpResult(value) ? mlirOpResultGetOwner(value) : (MlirOperation){0};
}

const char *adze_location_name(adze_context *ctx, MlirOperation op, const char *fallback) {
    MlirLocation loc = mlirOperationGetLocation(op);
    if (!mlirLocationIsAName(loc))
        return fallback;
    MlirStringRef name = mlirIdentifierStr(mlirLocationNameGetName(loc));
    return adze_arena_strndup(ctx->arena, name.data, name.length);
}

MlirValue adze_name_value(adze_context *ctx, MlirValue value, const char *name) {
    MlirOperation op = adze_defining(value);
    if (!mlirOperationIsNull(op) && !adze_is_op(op, "arith.constant") &&
        !mlirLocationIsAName(mlirOperationGetLocation(op)))
        mlirOperationSetLocation(
            op, mlirLocationNameGet(ctx->mlir, ref(name), mlirLocationUnknownGet(ctx->mlir)));
    return value;
}

bool adze_is_none(MlirValue value) {
    MlirOperation op = adze_defining(value);
    return !mlirOperationIsNull(op) && adze_is_op(op, "adze.none");
}

/* ---- attributes ---- */

MlirAttribute adze_i64(adze_context *ctx, int64_t value) {
    return mlirIntegerAttrGet(mlirIntegerTypeGet(ctx->mlir, 64), value);
}
MlirAttribute adze_f64(adze_context *ctx, double value) {
    return mlirFloatAttrDoubleGet(ctx->mlir, mlirF64TypeGet(ctx->mlir), value);
}
MlirAttribute adze_bool(adze_context *ctx, bool value) { return mlirBoolAttrGet(ctx->mlir, value); }
MlirAttribute adze_str(adze_context *ctx, const char *text) {
    return mlirStringAttrGet(ctx->mlir, ref(text));
}
MlirAttribute adze_i64s(adze_context *ctx, int n, const int64_t *values) {
    return mlirDenseI64ArrayGet(ctx->mlir, n, values);
}
MlirAttribute adze_f64s(adze_context *ctx, int n, const double *values) {
    return mlirDenseF64ArrayGet(ctx->mlir, n, values);
}
MlirAttribute adze_strs(adze_context *ctx, int n, const char *const *values) {
    MlirAttribute *items = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, n ? (size_t)n : 1);
    for (int i = 0; i < n; i++)
        items[i] = adze_str(ctx, values[i]);
    return mlirArrayAttrGet(ctx->mlir, n, items);
}
MlirAttribute adze_type_attr(MlirType type) { return mlirTypeAttrGet(type); }
MlirAttribute adze_parse_attr(adze_context *ctx, const char *text) {
    return mlirAttributeParseGet(ctx->mlir, ref(text));
}

MlirAttribute adze_get(MlirOperation op, const char *name) {
    return mlirOperationGetAttributeByName(op, ref(name));
}

void adze_set(MlirOperation op, const char *name, MlirAttribute value) {
    mlirOperationSetAttributeByName(op, ref(name), value);
}

int64_t adze_get_i64(MlirOperation op, const char *name) {
    MlirAttribute a = adze_get(op, name);
    return !mlirAttributeIsNull(a) && mlirAttributeIsAInteger(a) ? mlirIntegerAttrGetValueInt(a) : 0;
}

double adze_get_f64(MlirOperation op, const char *name) {
    MlirAttribute a = adze_get(op, name);
    return !mlirAttributeIsNull(a) && mlirAttributeIsAFloat(a) ? mlirFloatAttrGetValueDouble(a) : 0;
}

bool adze_get_bool(MlirOperation op, const char *name) {
    MlirAttribute a = adze_get(op, name);
    return !mlirAttributeIsNull(a) && mlirAttributeIsABool(a) && mlirBoolAttrGetValue(a);
}

const char *adze_attr_str(adze_context *ctx, MlirAttribute a) {
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAString(a))
        return NULL;
    MlirStringRef s = mlirStringAttrGetValue(a);
    return adze_arena_strndup(ctx->arena, s.data, s.length);
}

const char *adze_get_str(adze_context *ctx, MlirOperation op, const char *name) {
    return adze_attr_str(ctx, adze_get(op, name));
}

int adze_attr_i64s(MlirAttribute a, int max, int64_t *out) {
    if (mlirAttributeIsNull(a) || !mlirAttributeIsADenseI64Array(a))
        return 0;
    int n = (int)mlirDenseArrayGetNumElements(a);
    for (int i = 0; i < n && i < max; i++)
        out[i] = mlirDenseI64ArrayGetElement(a, i);
    return n;
}

int adze_get_i64s(MlirOperation op, const char *name, int max, int64_t *out) {
    return adze_attr_i64s(adze_get(op, name), max, out);
}

int adze_get_f64s(MlirOperation op, const char *name, int max, double *out) {
    MlirAttribute a = adze_get(op, name);
    if (mlirAttributeIsNull(a) || !mlirAttributeIsADenseF64Array(a))
        return 0;
    int n = (int)mlirDenseArrayGetNumElements(a);
    for (int i = 0; i < n && i < max; i++)
        out[i] = mlirDenseF64ArrayGetElement(a, i);
    return n;
}

int adze_get_strs(adze_context *ctx, MlirOperation op, const char *name, int max, const char **out) {
    MlirAttribute a = adze_get(op, name);
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAArray(a))
        return 0;
    int n = (int)mlirArrayAttrGetNumElements(a);
    for (int i = 0; i < n && i < max; i++)
        out[i] = adze_attr_str(ctx, mlirArrayAttrGetElement(a, i));
    return n;
}

const char *adze_node(adze_context *ctx, MlirOperation op) {
    const char *name = adze_get_str(ctx, op, "adze.node");
    return name ? name : "";
}

/* ---- walking and rewriting ---- */

void adze_walk(MlirOperation root, adze_visit *visit, void *user) {
    for (intptr_t r = 0; r < mlirOperationGetNumRegions(root); r++)
        for (MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(root, r));
             !mlirBlockIsNull(block); block = mlirBlockGetNextInRegion(block))
            for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);) {
                MlirOperation next = mlirOperationGetNextInBlock(op);
                bool nested = mlirOperationGetNumRegions(op) > 0;
                if (nested)
                    adze_walk(op, visit, user);
                visit(op, user);
                op = next;
            }
}

void adze_replace(MlirOperation op, const MlirValue *values) {
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        mlirValueReplaceAllUsesOfWith(mlirOperationGetResult(op, i), values[i]);
    mlirOperationDestroy(op);
}

bool adze_unused(MlirOperation op) {
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        if (!mlirOpOperandIsNull(mlirValueGetFirstUse(mlirOperationGetResult(op, i))))
            return false;
    return true;
}

const char *adze_c_name(adze_context *ctx, const char *base) {
    char *name = adze_arena_alloc(ctx->arena, strlen(base) + 3);
    size_t n = 0;
    if (!isalpha((unsigned char)base[0]))
        name[n++] = 'v';
    for (const char *p = base; *p; p++) {
        if (isalnum((unsigned char)*p))
            name[n++] = *p;
        else if (n && name[n - 1] != '_')
            name[n++] = '_';
    }
    while (n > 1 && name[n - 1] == '_')
        n--;
    name[n] = '\0';
    return name;
}
