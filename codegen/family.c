/* What the kernel families share: the memory behind their operands, and how they refuse. See family.h. */
#include "codegen/family.h"
#include "ir/plan.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

bool adze_gen_refuse(adze_gen *g, const adze_schedule *s, const char *why) {
    return adze_error(&g->ctx->diags, adze_get_str(g->ctx, g->kernel, "sym_name"),
                      "its schedule's family is \"%s\", but %s", s->family, why);
}

MlirValue adze_gen_memory(MlirValue tensor) {
    MlirOperation op = adze_defining(tensor);
    return mlirOperationIsNull(op) || !adze_is_op(op, "bufferization.to_tensor")
               ? (MlirValue){NULL}
               : mlirOperationGetOperand(op, 0);
}

MlirValue adze_gen_argument(adze_gen *g, const char *name) {
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(g->kernel, 0));
    MlirAttribute attrs = adze_get(g->kernel, "arg_attrs");
    for (intptr_t i = 0; i < mlirBlockGetNumArguments(body); i++) {
        const char *have = adze_attr_str(
            g->ctx, mlirDictionaryAttrGetElementByName(mlirArrayAttrGetElement(attrs, i),
                                                       mlirStringRefCreateFromCString("adze.name")));
        if (have && !strcmp(have, name))
            return mlirBlockGetArgument(body, i);
    }
    return (MlirValue){NULL};
}

MlirValue adze_gen_flat(adze_gen *g, MlirValue memref) {
    adze_shape shape;
    if (!adze_value_shape(g->ctx, memref, &shape))
        return memref;
    if (shape.rank == 1)
        return memref;
    int64_t one = 1, zero = 0;
    int64_t n = adze_buffer_bytes(g->ctx, g->module, memref) / adze_dtype_get(shape.dtype)->host_bytes;
    adze_shape flat = {.element = shape.element, .dtype = shape.dtype, .rank = 1, .dims = {n}};
    adze_named attrs[] = {
        {"static_offsets", adze_i64s(g->ctx, 1, &zero)},
        {"static_sizes", adze_i64s(g->ctx, 1, &n)},
        {"static_strides", adze_i64s(g->ctx, 1, &one)},
        {"operandSegmentSizes", adze_parse_attr(g->ctx, "array<i32: 1, 0, 0, 0>")}};
    return adze_build1(&g->b, "memref.reinterpret_cast", 1, &memref, adze_memref_type(g->ctx, &flat), 4,
                       attrs);
}

MlirValue adze_gen_view(adze_gen *g, MlirValue memref, MlirValue offset, int rank, const int64_t *dims,
                        const char *name) {
    int64_t strides[ADZE_MAX_RANK], at, dynamic = mlirShapedTypeGetDynamicStrideOrOffset();
    for (int64_t d = rank - 1, stride = 1; d >= 0; stride *= dims[d--])
        strides[d] = stride;
    bool known = adze_index_known(offset, &at);
    if (!known)
        at = dynamic;
    adze_context *ctx = g->ctx;
    MlirAttribute layout = mlirStridedLayoutAttrGet(ctx->mlir, at, rank, strides);
    MlirType type = mlirMemRefTypeGet(mlirShapedTypeGetElementType(mlirValueGetType(memref)), rank, dims, layout,
                                      mlirAttributeGetNull());
    adze_named attrs[] = {
        {"static_offsets", adze_i64s(ctx, 1, &at)},
        {"static_sizes", adze_i64s(ctx, rank, dims)},
        {"static_strides", adze_i64s(ctx, rank, strides)},
        {"operandSegmentSizes", adze_parse_attr(ctx, known ? "array<i32: 1, 0, 0, 0>" : "array<i32: 1, 1, 0, 0>")}};
    g->b.name = name;
    return adze_build1(&g->b, "memref.reinterpret_cast", known ? 1 : 2, (MlirValue[]){memref, offset}, type, 4, attrs);
}
