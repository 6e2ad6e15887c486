/* Requantization of a row of sums on vectors of four, for Helium: an epilogue that is nothing else, with its parameters
 * read once for several pixels. Whatever else an epilogue does is the generic loop's.
 *
 *   y = clamp((mulhi(sum, m) + (2 zero_point + 1) * 2^(s-33)) >> (s-32))      ir/integer.h: adze_requant_untied */
#include "codegen/mcu.h"
#include "codegen/vector.h"

#include <mlir-c/AffineMap.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { LANES = 4 };

/* The tensor that operand `i` of the body's operation stands for: an argument of the kernel, read by channel. */
static MlirValue by_channel(MlirOperation generic, MlirOperation op, int i) {
    MlirValue v = mlirOperationGetOperand(op, i);
    if (!mlirValueIsABlockArgument(v))
        return (MlirValue){NULL};
    intptr_t at = mlirBlockArgumentGetArgNumber(v);
    MlirAffineMap map = mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(adze_get(generic, "indexing_maps"), at));
    if (mlirAffineMapGetNumResults(map) != 1)
        return (MlirValue){NULL};
    MlirOperation from = adze_defining(mlirOperationGetOperand(generic, at));
    return mlirOperationIsNull(from) || !adze_is_op(from, "bufferization.to_tensor")
               ? (MlirValue){NULL}
               : mlirOperationGetOperand(generic, at);
}

bool adze_requantize_vectors_match(adze_context *ctx, MlirValue sums, MlirValue value, int64_t channels,
                                   adze_requantize_vectors *out) {
    MlirOperation generic = adze_defining(value);
    adze_shape y;
    if (mlirOperationIsNull(generic) || !adze_is_op(generic, "linalg.generic") || channels % LANES ||
        !adze_value_shape(ctx, value, &y) || y.dtype != ADZE_i8 ||
        !mlirValueEqual(mlirOperationGetOperand(generic, 0), sums))
        return false;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(generic, 0));
    MlirOperation requantize = mlirBlockGetFirstOperation(body), narrow, yield;
    if (!adze_is_op(requantize, "adze.requantize") || mlirAttributeIsNull(adze_get(requantize, "adze.untied")))
        return false;
    narrow = mlirOperationGetNextInBlock(requantize);
    yield = mlirOperationIsNull(narrow) ? narrow : mlirOperationGetNextInBlock(narrow);
    if (mlirOperationIsNull(yield) || !adze_is_op(narrow, "arith.trunci") || !adze_is_op(yield, "linalg.yield") ||
        !mlirValueEqual(mlirOperationGetOperand(requantize, 0), mlirBlockGetArgument(body, 0)) ||
        adze_get_i64(requantize, "low") != INT8_MIN || adze_get_i64(requantize, "high") != INT8_MAX)
        return false;
    *out = (adze_requantize_vectors){.zero_point = adze_get_i64(requantize, "zero_point"),
                                     .multiplier = by_channel(generic, requantize, 1),
                                     .shift = by_channel(generic, requantize, 2)};
    return out->multiplier.ptr && out->shift.ptr;
}

bool adze_requantize_vectors_read(adze_gen *g, MlirValue sums, MlirValue value, int64_t channels,
                                  adze_requantize_vectors *out) {
    if (!adze_requantize_vectors_match(g->ctx, sums, value, channels, out))
        return false;
    MlirValue *const tensors[] = {&out->multiplier, &out->shift};
    for (int i = 0; i < 2; i++)
        *tensors[i] = adze_gen_flat(g, mlirOperationGetOperand(adze_defining(*tensors[i]), 0));
    return true;
}

static MlirType words(adze_gen *g) { return adze_vector_of(mlirIntegerTypeGet(g->ctx->mlir, 32), LANES, false); }

static MlirValue load(adze_gen *g, MlirValue memref, MlirValue at, const char *name) {
    MlirValue v = adze_build1(&g->b, "vector.load", 2, (MlirValue[]){memref, at}, words(g), 0, NULL);
    adze_name_value(g->ctx, v, name);
    return v;
}

static MlirValue two(adze_gen *g, const char *row, MlirValue a, MlirValue b) {
    return adze_build_instruction(&g->b, row, "s32x4", 2, (MlirValue[]){a, b}, words(g));
}

static MlirValue number(adze_gen *g, int64_t i) { return adze_scalar_i64(&g->b, ADZE_i32, i).value; }

static MlirValue splat(adze_gen *g, int64_t i) {
    MlirValue n = number(g, i);
    return adze_build1(&g->b, "vector.broadcast", 1, &n, words(g), 0, NULL);
}

void adze_requantize_vectors_left(adze_gen *g, const adze_requantize_vectors *r, MlirValue m, MlirValue left,
                                  MlirValue *v) {
    adze_name_value(g->ctx, left, "left");
    MlirValue less = adze_build_instruction(&g->b, "vector.not", "s32x4", 1, &left, words(g)); /* s - 33 */
    MlirValue half = two(g, "vector.shl", splat(g, 2 * r->zero_point + 1), less);
    *v = two(g, "vector.shl", two(g, "vector.add", two(g, "vector.mulhi", *v, m), half), left);
}

void adze_requantize_vectors_build(adze_gen *g, const adze_requantize_vectors *r, MlirValue sums, int64_t rows,
                                   const MlirValue *sum_at, MlirValue channel, MlirValue y, const MlirValue *y_at) {
    MlirType codes = adze_vector_of(mlirIntegerTypeGet(g->ctx->mlir, 8), LANES, false);
    MlirValue m = load(g, r->multiplier, channel, "m"), s = load(g, r->shift, channel, "s");
    MlirValue half = two(g, "vector.shl", splat(g, 2 * r->zero_point + 1), two(g, "vector.add", s, number(g, -33)));
    MlirValue left = two(g, "vector.add", s, number(g, -32)); /* shifts to the left by less than nothing */
    left = adze_build_instruction(&g->b, "vector.neg", "s32x4", 1, &left, words(g));
    adze_name_value(g->ctx, half, "half");
    adze_name_value(g->ctx, left, "left");
    for (int64_t i = 0; i < rows; i++) {
        MlirValue v = two(g, "vector.mulhi", load(g, sums, sum_at[i], "v"), m);
        v = two(g, "vector.shl", two(g, "vector.add", v, half), left);
        MlirValue code = adze_build_instruction(&g->b, "vector.saturate", "s8x4", 1, &v, codes);
        adze_build(&g->b, "vector.store", 3, (MlirValue[]){code, y, y_at[i]}, 0, NULL, 0, NULL, 0);
    }
}
