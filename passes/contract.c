/* A matmul by a constant becomes a channels-last convolution with a window of 1: one family computes both.
 *
 *   matmul(a [.., m, K], b [K, N], bias)   ─►   conv(a [N, spatial.., K], b [1.., K, N], bias), rank as it was
 */
#include "passes/table.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct contraction_pass {
    adze_context *ctx;
    MlirModule module;
    bool ok;
} contraction_pass;

/* b as [1.., K, N], with its encoding; false when it is no constant matrix. */
static bool weight(contraction_pass *p, adze_builder *b, MlirOperation op, int rank, MlirValue *out) {
    adze_context *ctx = p->ctx;
    MlirValue value = mlirOperationGetOperand(op, 1);
    MlirOperation from = adze_defining(value);
    adze_shape shape;
    adze_tensor t;
    if (mlirOperationIsNull(from) ||
        (!adze_is_op(from, "adze.get_weight") && !adze_is_op(from, "adze.constant")) ||
        !adze_value_shape(ctx, value, &shape) || shape.rank < 2 || adze_shape_count(&shape) < 1)
        return false;
    for (int d = 0; d < shape.rank - 2; d++)
        if (shape.dims[d] != 1)
            return false; /* a batch of matrices */
    bool transpose = adze_get_bool(op, "trans_b");
    int64_t rows = shape.dims[shape.rank - 2], columns = shape.dims[shape.rank - 1];
    adze_quant q;
    MlirType element = {NULL};
    if (adze_quant_of(ctx, shape.element, &q)) {
        if (q.n > 1 && q.axis != shape.rank - (transpose ? 2 : 1))
            return false;
        if (q.n > 1)
            q.axis = rank - 1;
        if (!adze_quant_type(ctx, &q, &element))
            return false;
    }
    if (!adze_constant_value(ctx, p->module, value, &t))
        return false;
    int64_t dims[ADZE_MAX_RANK];
    for (int d = 0; d < rank - 2; d++)
        dims[d] = 1;
    dims[rank - 2] = transpose ? columns : rows;
    dims[rank - 1] = transpose ? rows : columns;
    adze_tensor w;
    if (!adze_tensor_new(ctx->arena, t.dtype, rank, dims, &w))
        return false;
    size_t size = adze_dtype_get(t.dtype)->host_bytes;
    char *to = adze_tensor_data(&w);
    if (!transpose)
        memcpy(to, t.data, adze_tensor_host_bytes(&t));
    for (int64_t i = 0; transpose && i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            memcpy(to + (size_t)(j * rows + i) * size,
                   (const char *)t.data + (size_t)(i * columns + j) * size, size);
    const char *symbol = adze_get_str(ctx, from, "weight");
    *out = adze_build_constant(b, p->module, &w, symbol ? symbol : "weight", element);
    return true;
}

static void convert(MlirOperation op, void *user) {
    contraction_pass *p = user;
    adze_context *ctx = p->ctx;
    adze_shape a, y;
    if (!p->ok || !adze_is_op(op, "adze.matmul") || adze_get_bool(op, "trans_a") ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &a) ||
        !adze_value_shape(ctx, adze_result(op, 0), &y) || a.rank < 2 || a.rank != y.rank)
        return;
    for (int d = 1; d < a.rank; d++)
        if (a.dims[d] < 1 || y.dims[d] < 1)
            return;
    for (int d = 0; d < a.rank - 1; d++)
        if (a.dims[d] != y.dims[d])
            return;
    adze_builder b = adze_before(ctx, op);
    MlirValue w;
    if (!weight(p, &b, op, a.rank, &w))
        return;
    int n = a.rank - 2;
    int64_t ones[ADZE_MAX_RANK], zeros[2 * ADZE_MAX_RANK] = {0};
    for (int d = 0; d < n; d++)
        ones[d] = 1;
    MlirValue operands[] = {mlirOperationGetOperand(op, 0), w, mlirOperationGetOperand(op, 2)};
    adze_named attrs[] = {{"strides", adze_i64s(ctx, n, ones)},
                          {"pads", adze_i64s(ctx, 2 * n, zeros)},
                          {"dilations", adze_i64s(ctx, n, ones)},
                          {"group", adze_i64(ctx, 1)},
                          {"layout", adze_str(ctx, "channels_last")},
                          {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
    MlirValue result = adze_build1(&b, "adze.conv", 3, operands, mlirValueGetType(adze_result(op, 0)),
                                   ADZE_COUNT(attrs), attrs);
    adze_name_value(ctx, result, adze_location_name(ctx, op, "matmul"));
    adze_replace(op, &result);
}

bool adze_pass_contract(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    contraction_pass p = {ctx, module, true};
    adze_walk(mlirModuleGetOperation(module), convert, &p);
    return p.ok;
}
