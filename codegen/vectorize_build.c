/* Building vector operations for the pass "vectorize", each after asking the target for its row. */
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool adze_vz_fail(adze_vz *v, bool hopeless, const char *format, ...) {
    if (v->why)
        return false;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v->why = adze_arena_strndup(v->ctx->arena, text, strlen(text));
    v->hopeless = hopeless;
    return false;
}

MlirType adze_vz_type(const adze_vz *v, MlirType element) {
    return v->lanes ? adze_vector_of(element, v->lanes, v->scalable) : element;
}

MlirType adze_vz_element(MlirType type) {
    return mlirTypeIsAVector(type) ? mlirShapedTypeGetElementType(type) : type;
}

bool adze_vz_has(adze_vz *v, const char *op, const char *kind, MlirType result, int n,
                 const MlirType *operands) {
    char name[64];
    snprintf(name, sizeof name, kind ? "%s:%s" : "%s", op, kind);
    const adze_instruction *row = adze_vector_row(v->ctx, v->target, name, result, n, operands);
    /* what counts lanes must know how many there are */
    return row && (!strstr(row->c, "$vl") ||
                   adze_target_instruction(v->target, "vector.lanes", row->type.spelling));
}

/* A shift by one constant has a row of its own, whose amount is a number. */
static bool has_shift(adze_vz *v, const char *op, MlirType result, const MlirValue *operands) {
    if (strncmp(op, "arith.sh", strlen("arith.sh")))
        return false;
    MlirOperation amount = adze_defining(operands[1]);
    MlirType types[] = {result, adze_vz_element(result)};
    return !mlirOperationIsNull(amount) && adze_is_op(amount, "arith.constant") &&
           adze_vz_has(v, op, NULL, result, 2, types);
}

MlirValue adze_vz_op(adze_vz *v, const char *op, const char *kind, int n, const MlirValue *operands,
                     MlirType result, int n_attrs, const adze_named *attrs) {
    MlirValue none = {NULL};
    if (v->why)
        return none;
    MlirType types[4];
    bool vector = !mlirTypeIsNull(result) && mlirTypeIsAVector(result);
    for (int i = 0; i < n; i++) {
        if (!operands[i].ptr)
            return none;
        types[i < 4 ? i : 3] = mlirValueGetType(operands[i]);
        vector |= mlirTypeIsAVector(types[i < 4 ? i : 3]);
    }
    if (vector && !has_shift(v, op, result, operands) &&
        !adze_vz_has(v, op, kind, result, n, types)) {
        const char *of = n ? adze_vector_spelling(v->ctx, types[0], 's') : NULL;
        const char *to = mlirTypeIsNull(result) ? NULL : adze_vector_spelling(v->ctx, result, 's');
        adze_vz_fail(v, false, "%s%s%s of %s to %s has no row", op, kind ? ":" : "",
                     kind ? kind : "", of ? of : "?", to ? to : "?");
        return none;
    }
    return adze_build1(&v->b, op, n, operands, result, n_attrs, attrs);
}

MlirValue adze_vz_unary(adze_vz *v, const char *op, MlirValue x) {
    return x.ptr ? adze_vz_op(v, op, NULL, 1, &x, mlirValueGetType(x), 0, NULL) : x;
}

MlirValue adze_vz_binary(adze_vz *v, const char *op, MlirValue x, MlirValue y) {
    return x.ptr ? adze_vz_op(v, op, NULL, 2, (MlirValue[]){x, y}, mlirValueGetType(x), 0, NULL)
                 : x;
}

MlirValue adze_vz_compare(adze_vz *v, const char *op, int predicate, MlirValue x, MlirValue y) {
    if (!x.ptr)
        return x;
    char kind[16];
    snprintf(kind, sizeof kind, "%d", predicate);
    MlirType bit = mlirIntegerTypeGet(v->ctx->mlir, 1);
    bool vector = mlirTypeIsAVector(mlirValueGetType(x));
    adze_named attr = {"predicate", adze_i64(v->ctx, predicate)};
    return adze_vz_op(v, op, kind, 2, (MlirValue[]){x, y}, vector ? adze_vz_type(v, bit) : bit, 1,
                      &attr);
}

MlirValue adze_vz_select(adze_vz *v, MlirValue condition, MlirValue x, MlirValue y) {
    if (!x.ptr)
        return x;
    return adze_vz_op(v, "arith.select", NULL, 3, (MlirValue[]){condition, x, y},
                      mlirValueGetType(x), 0, NULL);
}

static MlirValue constant(adze_vz *v, MlirType type, MlirAttribute element) {
    if (v->why)
        return (MlirValue){NULL};
    if (mlirTypeIsAVector(type)) {
        MlirType scalar = adze_vz_element(type);
        if (!adze_vz_has(v, "vector.broadcast", NULL, type, 1, &scalar)) {
            const char *name = adze_vector_spelling(v->ctx, type, 's');
            adze_vz_fail(v, false, "a constant %s has no row", name ? name : "vector");
            return (MlirValue){NULL};
        }
        element = mlirDenseElementsAttrSplatGet(type, element);
    }
    adze_named attr = {"value", element};
    return adze_build1(&v->b, "arith.constant", 0, NULL, type, 1, &attr);
}

MlirValue adze_vz_float(adze_vz *v, MlirType type, double value) {
    return constant(v, type, mlirFloatAttrDoubleGet(v->ctx->mlir, adze_vz_element(type), value));
}

MlirValue adze_vz_int(adze_vz *v, MlirType type, int64_t value) {
    return constant(v, type, mlirIntegerAttrGet(adze_vz_element(type), value));
}

/* The constant behind a scalar, as a constant vector; else a broadcast. */
MlirValue adze_vz_splat(adze_vz *v, MlirValue scalar) {
    if (!scalar.ptr || !v->lanes)
        return scalar;
    MlirOperation op = adze_defining(scalar);
    MlirType type = adze_vz_type(v, mlirValueGetType(scalar));
    if (!mlirOperationIsNull(op) && adze_is_op(op, "arith.constant"))
        return constant(v, type, adze_get(op, "value"));
    return adze_vz_op(v, "vector.broadcast", NULL, 1, &scalar, type, 0, NULL);
}

MlirValue adze_vz_fma(adze_vz *v, MlirValue x, MlirValue y, MlirValue z) {
    if (!x.ptr || v->why)
        return (MlirValue){NULL};
    MlirType type = mlirValueGetType(x);
    /* scalars do what their loop's vectors do */
    MlirType vector = adze_vector_of(adze_vz_element(type), v->row_lanes, v->scalable);
    MlirType types[] = {vector, vector, vector};
    if (adze_vz_has(v, "math.fma", NULL, vector, 3, types))
        return adze_build1(&v->b, "math.fma", 3, (MlirValue[]){x, y, z}, type, 0, NULL);
    return adze_vz_binary(v, "arith.addf", adze_vz_binary(v, "arith.mulf", x, y), z);
}
