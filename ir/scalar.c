/* Scalars: types, memory to value and back, constants, casts, reductions' steps. See scalar.h; the
 * elementwise kinds are in scalar_kinds.c. */
#include "ir/scalar.h"
#include "ir/integer.h"
#include "ir/scalar_internal.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <float.h>
#include <math.h>
#include <string.h>

static const adze_dtype_info *info_of(adze_dtype dtype) { return adze_dtype_get(dtype); }
static bool is_small_float(adze_dtype d) { return info_of(d)->cls == 'F' && info_of(d)->bits < 32; }
static bool is_integer(adze_dtype d) { return info_of(d)->cls == 'I' || info_of(d)->cls == 'U'; }

MlirType adze_scalar_type(adze_context *ctx, adze_dtype dtype) {
    const adze_dtype_info *info = info_of(dtype);
    switch (info->cls) {
    case 'F': return ctx->elements[dtype == ADZE_f64 ? ADZE_f64 : ADZE_f32];
    case 'B': return mlirIntegerTypeGet(ctx->mlir, 1);
    case 'I':
    case 'U': return mlirIntegerTypeGet(ctx->mlir, info->bits < 8 ? 8 : (unsigned)info->bits);
    default: return (MlirType){0};
    }
}

/* Whether memory holds integers of this type in another MLIR type than arith takes. */
static bool reinterprets(adze_dtype d) { return is_integer(d) && (info_of(d)->cls == 'U' || info_of(d)->bits < 8); }

/* The operand of `value`'s defining operation when that is `op` from `type`; null otherwise. */
static MlirValue undone(MlirValue value, const char *op, MlirType type) {
    MlirOperation def = adze_defining(value);
    if (!mlirOperationIsNull(def) && adze_is_op(def, op)) {
        MlirValue operand = mlirOperationGetOperand(def, 0);
        if (mlirTypeEqual(mlirValueGetType(operand), type))
            return operand;
    }
    return (MlirValue){0};
}

adze_scalar adze_scalar_in(adze_builder *b, MlirValue loaded, adze_dtype dtype) {
    MlirType type = adze_scalar_type(b->ctx, dtype);
    if (is_small_float(dtype))
        loaded = adze_build1(b, "arith.extf", 1, &loaded, type, 0, NULL);
    else if (reinterprets(dtype))
        loaded = adze_build1(b, "builtin.unrealized_conversion_cast", 1, &loaded, type, 0, NULL);
    return (adze_scalar){loaded, dtype};
}

MlirValue adze_scalar_out(adze_builder *b, adze_scalar x) {
    const char *there = is_small_float(x.dtype) ? "arith.truncf" : "builtin.unrealized_conversion_cast";
    const char *back = is_small_float(x.dtype) ? "arith.extf" : "builtin.unrealized_conversion_cast";
    if (!is_small_float(x.dtype) && !reinterprets(x.dtype))
        return x.value;
    MlirType type = b->ctx->elements[x.dtype];
    MlirValue before = undone(x.value, back, type);
    return mlirValueIsNull(before) ? adze_build1(b, there, 1, &x.value, type, 0, NULL) : before;
}

/* ---- constants ---- */

static adze_scalar constant(adze_builder *b, adze_dtype dtype, MlirAttribute value) {
    adze_named attr = {"value", value};
    return (adze_scalar){adze_build1(b, "arith.constant", 0, NULL, adze_scalar_type(b->ctx, dtype), 1,
                                     &attr),
                         dtype};
}

adze_scalar adze_scalar_i64(adze_builder *b, adze_dtype dtype, int64_t value) {
    if (info_of(dtype)->cls == 'F')
        return adze_scalar_f64(b, dtype, (double)value);
    if (info_of(dtype)->cls == 'B')
        return constant(b, dtype, mlirIntegerAttrGet(adze_scalar_type(b->ctx, dtype), value != 0));
    adze_tensor cell; /* wraps to the type, also below eight bits */
    adze_tensor_new(b->ctx->arena, dtype, 0, NULL, &cell);
    adze_tensor_set_i64(&cell, 0, value);
    MlirType type = adze_scalar_type(b->ctx, dtype);
    int64_t wrapped = adze_tensor_get_i64(&cell, 0);
    int unused = 64 - (int)mlirIntegerTypeGetWidth(type);
    wrapped = (int64_t)((uint64_t)wrapped << unused) >> unused;
    return constant(b, dtype, mlirIntegerAttrGet(type, wrapped));
}

adze_scalar adze_scalar_f64(adze_builder *b, adze_dtype dtype, double value) {
    if (info_of(dtype)->cls == 'B')
        return adze_scalar_i64(b, dtype, value != 0);
    if (dtype == ADZE_u64 && value >= 0x1p63)
        return adze_scalar_i64(b, dtype, value >= 0x1p64 ? -1 : (int64_t)(uint64_t)value);
    if (info_of(dtype)->cls != 'F')
        return adze_scalar_i64(b, dtype,
                               value >= 0x1p63    ? INT64_MAX
                               : value <= -0x1p63 ? INT64_MIN
                               : isnan(value)     ? 0
                                                  : (int64_t)value);
    if (is_small_float(dtype))
        value = adze_float_decode(dtype, adze_float_encode(dtype, value, false));
    return constant(b, dtype,
                    mlirFloatAttrDoubleGet(b->ctx->mlir, adze_scalar_type(b->ctx, dtype), value));
}

bool adze_scalar_known(adze_scalar x, double *value) {
    MlirOperation def = adze_defining(x.value);
    if (mlirOperationIsNull(def) || !adze_is_op(def, "arith.constant"))
        return false;
    MlirAttribute attr = adze_get(def, "value");
    if (mlirAttributeIsAFloat(attr)) {
        *value = mlirFloatAttrGetValueDouble(attr);
        return true;
    }
    if (!mlirAttributeIsAInteger(attr))
        return false;
    int64_t v = mlirIntegerAttrGetValueInt(attr);
    const adze_dtype_info *info = info_of(x.dtype);
    if (info->cls == 'B')
        v = v != 0;
    if (info->cls == 'U' && info->bits < 64)
        v &= ((int64_t)1 << info->bits) - 1;
    *value = (double)v;
    /* beyond 2^53 the double may be another number */
    return v > -((int64_t)1 << 53) && v < (int64_t)1 << 53 && (v >= 0 || info->cls != 'U');
}

adze_scalar adze_scalar_select(adze_builder *b, adze_scalar condition, adze_scalar x, adze_scalar y) {
    MlirValue operands[3] = {condition.value, x.value, y.value};
    return (adze_scalar){
        adze_build1(b, "arith.select", 3, operands, mlirValueGetType(x.value), 0, NULL), x.dtype};
}

/* ---- cast ---- */

static MlirValue convert(adze_builder *b, const char *op, MlirValue x, MlirType to) {
    return mlirTypeEqual(mlirValueGetType(x), to) ? x : adze_build1(b, op, 1, &x, to, 0, NULL);
}

adze_scalar adze_scalar_rounded(adze_builder *b, adze_scalar x) {
    if (!is_small_float(x.dtype))
        return x;
    MlirValue small = adze_scalar_out(b, x);
    return adze_scalar_in(b, small, x.dtype);
}

/* Integers below eight bits live in i8: brings a result back into the type's range. */
adze_scalar adze_scalar_wrapped(adze_builder *b, adze_scalar x) {
    const adze_dtype_info *info = info_of(x.dtype);
    if (!is_integer(x.dtype) || info->bits >= 8)
        return x;
    MlirType type = mlirValueGetType(x.value);
    if (info->cls == 'U') {
        MlirValue mask[2] = {x.value, adze_scalar_i64(b, ADZE_i8, (1 << info->bits) - 1).value};
        x.value = adze_build1(b, "arith.andi", 2, mask, type, 0, NULL);
        return x;
    }
    MlirValue up[2] = {x.value, adze_scalar_i64(b, ADZE_i8, 8 - info->bits).value};
    MlirValue down[2] = {adze_build1(b, "arith.shli", 2, up, type, 0, NULL), up[1]};
    x.value = adze_build1(b, "arith.shrsi", 2, down, type, 0, NULL);
    return x;
}

static MlirValue clamp_float(adze_builder *b, MlirValue x, adze_dtype work, double limit, bool low) {
    MlirType type = mlirValueGetType(x);
    MlirType bit = mlirIntegerTypeGet(b->ctx->mlir, 1);
    MlirValue bound = adze_scalar_f64(b, work, low ? -limit : limit).value;
    adze_named predicate = {"predicate", adze_i64(b->ctx, low ? 4 /* olt */ : 2 /* ogt */)};
    MlirValue beyond = adze_build1(b, "arith.cmpf", 2, (MlirValue[]){x, bound}, bit, 1, &predicate);
    return adze_build1(b, "arith.select", 3, (MlirValue[]){beyond, bound, x}, type, 0, NULL);
}

static adze_scalar float_to_float(adze_builder *b, adze_scalar x, adze_dtype to, bool saturate) {
    adze_context *ctx = b->ctx;
    MlirType element = ctx->elements[to], work = adze_scalar_type(ctx, to);
    adze_scalar y = {x.value, to};
    if (!is_small_float(to)) {
        y.value = convert(b, to == ADZE_f64 ? "arith.extf" : "arith.truncf", x.value, work);
        return y;
    }
    /* f16 and bf16 overflow to infinity; four bits have none and always saturate */
    if (info_of(to)->bits < 8 || (info_of(to)->bits == 8 && saturate)) {
        adze_dtype held = x.dtype == ADZE_f64 ? ADZE_f64 : ADZE_f32;
        double limit = adze_float_decode(to, adze_float_encode(to, DBL_MAX, true));
        y.value = clamp_float(b, y.value, held, limit, false);
        if (to != ADZE_f8e8m0) /* has no negative values: they become NaN */
            y.value = clamp_float(b, y.value, held, limit, true);
    }
    /* one rounding, straight from the source's width */
    y.value = adze_build1(b, "arith.truncf", 1, &y.value, element, 0, NULL);
    return adze_scalar_in(b, y.value, to);
}

static adze_scalar to_bool(adze_builder *b, adze_scalar x) {
    bool is_float = info_of(x.dtype)->cls == 'F';
    adze_named predicate = {"predicate", adze_i64(b->ctx, is_float ? 13 /* une */ : 1 /* ne */)};
    MlirValue operands[2] = {x.value, adze_scalar_i64(b, x.dtype, 0).value};
    MlirType type = mlirIntegerTypeGet(b->ctx->mlir, 1);
    return (adze_scalar){
        adze_build1(b, is_float ? "arith.cmpf" : "arith.cmpi", 2, operands, type, 1, &predicate),
        ADZE_bool};
}

static MlirValue resize(adze_builder *b, MlirValue x, bool is_signed, MlirType to) {
    unsigned from = mlirIntegerTypeGetWidth(mlirValueGetType(x)), width = mlirIntegerTypeGetWidth(to);
    if (from == width)
        return x;
    return convert(b, from > width ? "arith.trunci" : is_signed ? "arith.extsi" : "arith.extui", x, to);
}

bool adze_scalar_cast(adze_builder *b, adze_scalar x, adze_dtype to, bool saturate,
                      adze_scalar *out) {
    MlirType type = adze_scalar_type(b->ctx, to);
    const char from_cls = info_of(x.dtype)->cls, to_cls = info_of(to)->cls;
    if (mlirTypeIsNull(type) || !strchr("FIUB", from_cls))
        return adze_error(&b->ctx->diags, NULL, "no conversion from %s to %s",
                          info_of(x.dtype)->name, info_of(to)->name);
    double known;
    if (to == x.dtype) {
        *out = x;
    } else if (to_cls == 'F' && !is_small_float(to) && adze_scalar_known(x, &known)) {
        *out = adze_scalar_f64(b, to, known);
    } else if (to_cls == 'B') {
        *out = to_bool(b, x);
    } else if (from_cls == 'F' && to_cls == 'F') {
        *out = float_to_float(b, x, to, saturate);
    } else if (from_cls == 'F') {
        /* below eight bits the value wraps like an integer, so its sign must survive the first step */
        bool to_unsigned = to_cls == 'U' && info_of(to)->bits >= 8;
        adze_scalar y = {convert(b, to_unsigned ? "arith.fptoui" : "arith.fptosi", x.value, type), to};
        *out = adze_scalar_wrapped(b, y);
    } else if (to_cls == 'F') {
        adze_scalar y = {convert(b, from_cls == 'I' ? "arith.sitofp" : "arith.uitofp", x.value, type),
                         to == ADZE_f64 ? ADZE_f64 : ADZE_f32};
        *out = is_small_float(to) ? float_to_float(b, y, to, saturate) : y;
    } else {
        adze_scalar y = {resize(b, x.value, from_cls == 'I', type), to};
        *out = adze_scalar_wrapped(b, y);
    }
    return true;
}

/* ---- reductions ---- */

static const struct {
    const char *kind, *binary;
} combines[] = {{"sum", "add"}, {"prod", "mul"}, {"max", "max"}, {"min", "min"}};

bool adze_scalar_combine(adze_builder *b, const char *kind, adze_scalar acc, adze_scalar x,
                         adze_scalar *out) {
    for (size_t i = 0; i < ADZE_COUNT(combines); i++)
        if (!strcmp(combines[i].kind, kind))
            return adze_scalar_binary(b, combines[i].binary, acc, x, out);
    return adze_error(&b->ctx->diags, NULL, "no reduction '%s'", kind);
}

adze_scalar adze_scalar_neutral(adze_builder *b, const char *kind, adze_dtype dtype) {
    bool max = !strcmp(kind, "max");
    if (!max && strcmp(kind, "min"))
        return adze_scalar_i64(b, dtype, !strcmp(kind, "prod"));
    if (info_of(dtype)->cls == 'F')
        return adze_scalar_f64(b, dtype, max ? -INFINITY : INFINITY);
    int64_t low, high;
    adze_integer_range(dtype, &low, &high);
    return adze_scalar_i64(b, dtype, max ? low : dtype == ADZE_u64 ? -1 : high);
}
