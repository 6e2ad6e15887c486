/* Constants: small ones stand in the IR, larger ones are weights. See ir.h. */
#include "ir/weights.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { INLINE_BYTES = 64 };

/* Dense attribute -> host tensor. MLIR stores each element in whole bytes but booleans, which are
 * read one by one; a splat stores its element once. */
static bool dense_tensor(adze_context *ctx, MlirAttribute value, const adze_shape *shape,
                         adze_tensor *out) {
    if (!mlirAttributeIsADenseElements(value) ||
        !adze_tensor_new(ctx->arena, shape->dtype, shape->rank, shape->dims, out))
        return false;
    size_t count = adze_tensor_count(out), size = adze_dtype_get(shape->dtype)->host_bytes;
    if ((size_t)mlirElementsAttrGetNumElements(value) != count)
        return false;
    if (!count)
        return true;
    char *data = adze_tensor_data(out);
    if (shape->dtype == ADZE_string) {
        for (size_t i = 0; i < count; i++) {
            MlirStringRef s = mlirDenseElementsAttrGetStringValue(value, (intptr_t)i);
            ((adze_string *)(void *)data)[i] =
                (adze_string){adze_arena_strndup(ctx->arena, s.data, s.length), s.length};
        }
        return true;
    }
    if (shape->dtype == ADZE_bool) {
        bool splat = mlirDenseElementsAttrIsSplat(value);
        for (size_t i = 0; i < count; i++)
            data[i] = splat ? mlirDenseElementsAttrGetBoolSplatValue(value)
                            : mlirDenseElementsAttrGetBoolValue(value, (intptr_t)i);
        return true;
    }
    const char *raw = mlirDenseElementsAttrGetRawData(value);
    if (!mlirDenseElementsAttrIsSplat(value)) {
        memcpy(data, raw, count * size);
    } else {
        for (size_t i = 0; i < count; i++)
            memcpy(data + i * size, raw, size);
    }
    return true;
}

bool adze_constant_value(adze_context *ctx, MlirModule module, MlirValue value, adze_tensor *out) {
    MlirOperation op = adze_defining(value);
    if (mlirOperationIsNull(op))
        return false;
    if (adze_is_op(op, "adze.get_weight")) {
        const char *name = adze_get_str(ctx, op, "weight");
        MlirOperation weight = name ? adze_symbol(module, "adze.weight", name) : op;
        return name && !mlirOperationIsNull(weight) && adze_weight_tensor(ctx, weight, out);
    }
    adze_shape shape;
    return adze_is_op(op, "adze.constant") && adze_value_shape(ctx, value, &shape) &&
           dense_tensor(ctx, adze_get(op, "value"), &shape, out);
}

static MlirAttribute dense_attr(adze_context *ctx, MlirType type, const adze_tensor *t) {
    size_t count = adze_tensor_count(t);
    if (!count)
        return mlirDenseElementsAttrGet(type, 0, NULL);
    if (t->dtype == ADZE_string) {
        const adze_string *items = t->data;
        MlirStringRef *refs = ADZE_NEW_ARRAY(ctx->arena, MlirStringRef, count);
        for (size_t i = 0; i < count; i++)
            refs[i] = mlirStringRefCreate(items[i].data, items[i].length);
        return mlirDenseElementsAttrStringGet(type, (intptr_t)count, refs);
    }
    if (t->dtype == ADZE_bool) {
        int *items = ADZE_NEW_ARRAY(ctx->arena, int, count);
        for (size_t i = 0; i < count; i++)
            items[i] = ((const uint8_t *)t->data)[i] != 0;
        return mlirDenseElementsAttrBoolGet(type, (intptr_t)count, items);
    }
    return mlirDenseElementsAttrRawBufferGet(type, adze_tensor_host_bytes(t), t->data);
}

MlirValue adze_build_constant(adze_builder *b, MlirModule module, const adze_tensor *value,
                              const char *name, MlirType element) {
    adze_context *ctx = b->ctx;
    adze_shape shape = {.element = ctx->elements[value->dtype],
                        .dtype = value->dtype,
                        .rank = value->rank};
    memcpy(shape.dims, value->dims, sizeof shape.dims);
    MlirType storage_type = adze_tensor_type(ctx, &shape);
    if (!mlirTypeIsNull(element))
        shape.element = element;
    MlirType type = adze_tensor_type(ctx, &shape);
    size_t bytes = adze_tensor_host_bytes(value);
    if (bytes <= INLINE_BYTES || value->dtype == ADZE_string) {
        adze_named attr = {"value", dense_attr(ctx, storage_type, value)};
        return adze_build1(b, "adze.constant", 0, NULL, type, 1, &attr);
    }
    adze_text packed = {0};
    adze_tensor_pack(value, &packed);
    const char *blob = adze_blob_add(ctx, packed.data, packed.length);
    const char *weight = adze_weight_add(ctx, module, name, type, blob, 0, (int64_t)packed.length,
                                         packed.data);
    adze_text_free(&packed);
    adze_named attr = {"weight", adze_str(ctx, weight)};
    return adze_build1(b, "adze.get_weight", 0, NULL, type, 1, &attr);
}
