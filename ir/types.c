/* Tensor and memref types taken apart and put together; quantized element types. See ir.h. */
#include "ir/ir.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Dialect/Quant.h>

#include <math.h>
#include <string.h>

MlirType adze_none_type(adze_context *ctx) { return ctx->none_type; }
MlirType adze_index_type(adze_context *ctx) { return mlirIndexTypeGet(ctx->mlir); }
MlirType adze_element_type(adze_context *ctx, adze_dtype dtype) { return ctx->elements[dtype]; }

adze_dtype adze_element_dtype(adze_context *ctx, MlirType element) {
    if (mlirTypeIsAQuantizedType(element)) {
        MlirType storage = mlirQuantizedTypeGetStorageType(element);
        unsigned bits = mlirIntegerTypeGetWidth(storage);
        bool is_signed = mlirQuantizedTypeIsSigned(element);
        for (int i = 1; i < ADZE_N_DTYPES; i++) {
            const adze_dtype_info *info = adze_dtype_get((adze_dtype)i);
            if ((unsigned)info->bits == bits && info->cls == (is_signed ? 'I' : 'U'))
                return (adze_dtype)i;
        }
        return ADZE_NO_DTYPE;
    }
    for (int i = 1; i < ADZE_N_DTYPES; i++)
        if (mlirTypeEqual(ctx->elements[i], element))
            return (adze_dtype)i;
    return ADZE_NO_DTYPE;
}

/* The names of bounded extents: entry `key` of a dictionary, ["T", ""]. */
static void read_symbols(adze_context *ctx, MlirAttribute dictionary, const char *key,
                         adze_shape *out) {
    if (mlirAttributeIsNull(dictionary) || !mlirAttributeIsADictionary(dictionary))
        return;
    MlirAttribute dims =
        mlirDictionaryAttrGetElementByName(dictionary, mlirStringRefCreateFromCString(key));
    if (mlirAttributeIsNull(dims) || !mlirAttributeIsAArray(dims) ||
        mlirArrayAttrGetNumElements(dims) != out->rank)
        return;
    for (int i = 0; i < out->rank; i++) {
        const char *name = adze_attr_str(ctx, mlirArrayAttrGetElement(dims, i));
        out->symbols[i] = name && *name ? name : NULL;
    }
}

bool adze_shape_of(adze_context *ctx, MlirType type, adze_shape *out) {
    bool tensor = mlirTypeIsARankedTensor(type), memref = mlirTypeIsAMemRef(type);
    if (!tensor && !memref)
        return false;
    intptr_t rank = mlirShapedTypeGetRank(type);
    if (rank > ADZE_MAX_RANK)
        return false;
    *out = (adze_shape){.element = mlirShapedTypeGetElementType(type), .rank = (int)rank};
    out->dtype = adze_element_dtype(ctx, out->element);
    for (int i = 0; i < out->rank; i++)
        out->dims[i] = mlirShapedTypeIsDynamicDim(type, i) ? -1 : mlirShapedTypeGetDimSize(type, i);
    if (tensor)
        read_symbols(ctx, mlirRankedTensorTypeGetEncoding(type), "dims", out);
    return true;
}

/* A memref's type has no place for the names: they stand on the operation that makes it, or on the
 * function's argument, as adze.dims. */
bool adze_value_shape(adze_context *ctx, MlirValue value, adze_shape *out) {
    MlirType type = mlirValueGetType(value);
    if (!adze_shape_of(ctx, type, out))
        return false;
    if (!mlirTypeIsAMemRef(type) || adze_shape_count(out) >= 0)
        return true;
    MlirOperation op = adze_defining(value);
    if (!mlirOperationIsNull(op)) {
        const char *names[ADZE_MAX_RANK];
        if (adze_get_strs(ctx, op, "adze.dims", ADZE_MAX_RANK, names) == out->rank)
            for (int i = 0; i < out->rank; i++)
                out->symbols[i] = *names[i] ? names[i] : NULL;
        return true;
    }
    MlirAttribute all = adze_get(mlirBlockGetParentOperation(mlirBlockArgumentGetOwner(value)), "arg_attrs");
    intptr_t i = mlirBlockArgumentGetArgNumber(value);
    if (!mlirAttributeIsNull(all) && i < mlirArrayAttrGetNumElements(all))
        read_symbols(ctx, mlirArrayAttrGetElement(all, i), "adze.dims", out);
    return true;
}

MlirAttribute adze_dims_attr(adze_context *ctx, const adze_shape *s) {
    const char *names[ADZE_MAX_RANK];
    for (int i = 0; i < s->rank; i++)
        names[i] = s->dims[i] < 0 && s->symbols[i] ? s->symbols[i] : "";
    return adze_shape_count(s) < 0 ? adze_strs(ctx, s->rank, names) : mlirAttributeGetNull();
}

static MlirAttribute symbols_attr(adze_context *ctx, const adze_shape *s, int64_t *dims) {
    MlirAttribute names[ADZE_MAX_RANK];
    bool any = false;
    for (int i = 0; i < s->rank; i++) {
        bool bounded = s->dims[i] < 0;
        any |= bounded;
        dims[i] = bounded ? mlirShapedTypeGetDynamicSize() : s->dims[i];
        names[i] = adze_str(ctx, bounded && s->symbols[i] ? s->symbols[i] : "");
    }
    if (!any)
        return mlirAttributeGetNull();
    MlirNamedAttribute entry =
        mlirNamedAttributeGet(mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("dims")),
                              mlirArrayAttrGet(ctx->mlir, s->rank, names));
    return mlirDictionaryAttrGet(ctx->mlir, 1, &entry);
}

MlirType adze_tensor_type(adze_context *ctx, const adze_shape *s) {
    int64_t dims[ADZE_MAX_RANK];
    MlirAttribute encoding = symbols_attr(ctx, s, dims);
    return mlirRankedTensorTypeGet(s->rank, dims, s->element, encoding);
}

/* A memref holds the storage type of a quantized element. */
MlirType adze_memref_type(adze_context *ctx, const adze_shape *s) {
    int64_t dims[ADZE_MAX_RANK];
    for (int i = 0; i < s->rank; i++)
        dims[i] = s->dims[i] < 0 ? mlirShapedTypeGetDynamicSize() : s->dims[i];
    MlirType element =
        mlirTypeIsAQuantizedType(s->element) ? ctx->elements[s->dtype] : s->element;
    return mlirMemRefTypeContiguousGet(element, s->rank, dims, mlirAttributeGetNull());
}

int64_t adze_shape_count(const adze_shape *s) {
    int64_t n = 1;
    bool none = false, over = false;
    for (int i = 0; i < s->rank; i++) {
        if (s->dims[i] < 0)
            return -1;
        none |= s->dims[i] == 0;
        over |= __builtin_mul_overflow(n, s->dims[i], &n);
    }
    return none ? 0 : over ? -1 : n;
}

/* ---- quantized elements ---- */

bool adze_quant_of(adze_context *ctx, MlirType element, adze_quant *out) {
    if (mlirTypeIsAUniformQuantizedType(element)) {
        double *scale = ADZE_NEW(ctx->arena, double);
        int64_t *zero = ADZE_NEW(ctx->arena, int64_t);
        *scale = mlirUniformQuantizedTypeGetScale(element);
        *zero = mlirUniformQuantizedTypeGetZeroPoint(element);
        *out = (adze_quant){adze_element_dtype(ctx, element), -1, 1, scale, zero};
        return true;
    }
    if (mlirTypeIsAUniformQuantizedPerAxisType(element)) {
        int n = (int)mlirUniformQuantizedPerAxisTypeGetNumDims(element);
        double *scale = ADZE_NEW_ARRAY(ctx->arena, double, (size_t)n);
        int64_t *zero = ADZE_NEW_ARRAY(ctx->arena, int64_t, (size_t)n);
        for (int i = 0; i < n; i++) {
            scale[i] = mlirUniformQuantizedPerAxisTypeGetScale(element, i);
            zero[i] = mlirUniformQuantizedPerAxisTypeGetZeroPoint(element, i);
        }
        *out = (adze_quant){adze_element_dtype(ctx, element),
                            mlirUniformQuantizedPerAxisTypeGetQuantizedDimension(element), n, scale,
                            zero};
        return true;
    }
    return false;
}

bool adze_quant_type(adze_context *ctx, const adze_quant *q, MlirType *out) {
    const adze_dtype_info *info = adze_dtype_get(q->storage);
    if ((info->cls != 'I' && info->cls != 'U') || info->bits > 32)
        return false;
    int64_t low = info->cls == 'I' ? -((int64_t)1 << (info->bits - 1)) : 0;
    int64_t high = low + ((int64_t)1 << info->bits) - 1;
    double *scales = ADZE_NEW_ARRAY(ctx->arena, double, (size_t)q->n);
    int64_t *zeros = ADZE_NEW_ARRAY(ctx->arena, int64_t, (size_t)q->n);
    for (int i = 0; i < q->n; i++) {
        if (!(q->scale[i] >= 0x1p-126 && q->scale[i] <= 0x1.fffffep127) || q->zero_point[i] < low ||
            q->zero_point[i] > high)
            return false;
        scales[i] = q->scale[i];
        zeros[i] = q->zero_point[i];
    }
    unsigned flags = info->cls == 'I' ? mlirQuantizedTypeGetSignedFlag() : 0;
    MlirType storage = mlirIntegerTypeGet(ctx->mlir, (unsigned)info->bits);
    MlirType expressed = mlirF32TypeGet(ctx->mlir);
    *out = q->axis < 0 ? mlirUniformQuantizedTypeGet(flags, storage, expressed, scales[0], zeros[0],
                                                     low, high)
                       : mlirUniformQuantizedPerAxisTypeGet(flags, storage, expressed, q->n, scales,
                                                            zeros, q->axis, low, high);
    return !mlirTypeIsNull(*out);
}
