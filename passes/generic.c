/* linalg.generic, put together. See generic.h. */
#include "passes/generic.h"

#include "ir/weights.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Dialect/Linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

adze_generic adze_generic_new(adze_builder *b, MlirModule module, MlirOperation source) {
    adze_generic g = {.ctx = b->ctx, .b = b, .module = module, .source = source, .name = b->name};
    b->name = NULL;
    return g;
}

MlirAffineExpr adze_dim(adze_generic *g, int dim) { return mlirAffineDimExprGet(g->ctx->mlir, dim); }
MlirAffineExpr adze_zero(adze_generic *g) { return mlirAffineConstantExprGet(g->ctx->mlir, 0); }

adze_shape adze_shape_with(adze_context *ctx, const adze_shape *shape, adze_dtype dtype) {
    adze_shape s = *shape;
    s.dtype = dtype;
    s.element = adze_element_type(ctx, dtype);
    return s;
}

static MlirAffineMap map_of(adze_generic *g, int rank, const MlirAffineExpr *exprs) {
    MlirAffineExpr copy[ADZE_MAX_RANK];
    for (int i = 0; i < rank; i++)
        copy[i] = exprs ? exprs[i] : adze_dim(g, i);
    return mlirAffineMapGet(g->ctx->mlir, g->n_dims, 0, rank, copy);
}

static adze_generic_port *new_input(adze_generic *g) {
    if (g->n_ins == ADZE_GENERIC_INS)
        abort(); /* no operation has that many */
    return &g->in[g->n_ins++];
}

int adze_generic_in(adze_generic *g, MlirValue tensor, MlirValue original,
                    const MlirAffineExpr *exprs) {
    adze_generic_port *port = new_input(g);
    adze_shape shape;
    adze_value_shape(g->ctx, tensor, &shape);
    *port = (adze_generic_port){.tensor = tensor, .dtype = shape.dtype};
    const char cls = adze_dtype_get(shape.dtype)->cls;
    if (!mlirValueIsNull(original) && adze_shape_count(&shape) == 1 && strchr("FIUB", cls) &&
        adze_constant_value(g->ctx, g->module, original, &port->value))
        port->constant = true;
    else
        port->map = map_of(g, shape.rank, exprs);
    return g->n_ins - 1;
}

int adze_generic_in_broadcast(adze_generic *g, MlirValue tensor, MlirValue original, int first, int rank,
                              const int64_t *dims) {
    adze_shape shape;
    adze_value_shape(g->ctx, tensor, &shape);
    MlirAffineExpr exprs[ADZE_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        int d = rank - shape.rank + i;
        exprs[i] = shape.dims[i] == 1 && dims[d] != 1 ? adze_zero(g) : adze_dim(g, first + d);
    }
    return adze_generic_in(g, tensor, original, exprs);
}

int adze_generic_number(adze_generic *g, adze_dtype dtype, double value) {
    adze_generic_port *port = new_input(g);
    *port = (adze_generic_port){.dtype = dtype, .constant = true};
    adze_tensor_new(g->ctx->arena, dtype, 0, NULL, &port->value);
    adze_tensor_set_f64(&port->value, 0, value);
    return g->n_ins - 1;
}

MlirValue adze_build_table(adze_builder *b, MlirModule module, const adze_tensor *table,
                           const char *name) {
    adze_context *ctx = b->ctx;
    adze_shape shape = {.rank = table->rank, .dtype = table->dtype};
    shape.element = adze_element_type(ctx, table->dtype);
    memcpy(shape.dims, table->dims, sizeof shape.dims);
    MlirType type = adze_tensor_type(ctx, &shape);
    adze_text packed = {0};
    adze_tensor_pack(table, &packed);
    const char *blob = adze_blob_add(ctx, packed.data, packed.length);
    const char *weight =
        adze_weight_add(ctx, module, name, type, blob, 0, (int64_t)packed.length, packed.data);
    adze_text_free(&packed);
    adze_named attr = {"weight", adze_str(ctx, weight)};
    const char *role = strrchr(name, '_');
    b->name = role ? role + 1 : name; /* what the kernel's argument is called */
    return adze_build1(b, "adze.get_weight", 0, NULL, type, 1, &attr);
}

int adze_generic_table(adze_generic *g, const adze_tensor *table, const char *name, int dim) {
    if (adze_tensor_count(table) == 1) {
        adze_generic_port *port = new_input(g);
        *port = (adze_generic_port){.dtype = table->dtype, .constant = true, .value = *table};
        return g->n_ins - 1;
    }
    MlirValue tensor = adze_build_table(g->b, g->module, table, name);
    MlirAffineExpr at = adze_dim(g, dim);
    return adze_generic_in(g, tensor, (MlirValue){0}, &at);
}

/* ---- outputs ---- */

/* Extents that are bounded only: those of an operand's axis with the same name. */
static bool extent_of(adze_generic *g, const char *symbol, MlirValue *out) {
    MlirType type = adze_index_type(g->ctx);
    for (int i = 0; symbol && i < g->n_ins; i++) {
        adze_shape shape;
        if (g->in[i].constant || !adze_value_shape(g->ctx, g->in[i].tensor, &shape))
            continue;
        for (int d = 0; d < shape.rank; d++) {
            if (shape.dims[d] >= 0 || !shape.symbols[d] || strcmp(shape.symbols[d], symbol))
                continue;
            adze_named at = {"value", mlirIntegerAttrGet(type, d)};
            MlirValue operands[2] = {g->in[i].tensor,
                                     adze_build1(g->b, "arith.constant", 0, NULL, type, 1, &at)};
            *out = adze_build1(g->b, "tensor.dim", 2, operands, type, 0, NULL);
            return true;
        }
    }
    /* or of one of the kernel's buffers: its result's, at least */
    for (intptr_t i = 0; symbol && i < mlirBlockGetNumArguments(g->b->block); i++) {
        MlirValue arg = mlirBlockGetArgument(g->b->block, i);
        adze_shape shape;
        if (!mlirTypeIsAMemRef(mlirValueGetType(arg)) || !adze_value_shape(g->ctx, arg, &shape))
            continue;
        for (int d = 0; d < shape.rank; d++) {
            if (shape.dims[d] >= 0 || !shape.symbols[d] || strcmp(shape.symbols[d], symbol))
                continue;
            adze_named at = {"value", mlirIntegerAttrGet(type, d)};
            MlirValue operands[2] = {arg, adze_build1(g->b, "arith.constant", 0, NULL, type, 1, &at)};
            *out = adze_build1(g->b, "memref.dim", 2, operands, type, 0, NULL);
            return true;
        }
    }
    return adze_error(&g->ctx->diags, adze_node(g->ctx, g->source),
                      "the extent '%s' of a result is no operand's", symbol ? symbol : "?");
}

static bool empty(adze_generic *g, const adze_shape *shape, MlirValue *out) {
    MlirValue extents[ADZE_MAX_RANK];
    int n = 0;
    for (int d = 0; d < shape->rank; d++)
        if (shape->dims[d] < 0 && !extent_of(g, shape->symbols[d], &extents[n++]))
            return false;
    *out = adze_build1(g->b, "tensor.empty", n, extents, adze_tensor_type(g->ctx, shape), 0, NULL);
    return true;
}

static adze_generic_port *new_output(adze_generic *g, const adze_shape *shape,
                                     const MlirAffineExpr *exprs, adze_dtype dtype) {
    if (g->n_outs == ADZE_GENERIC_OUTS)
        abort();
    adze_generic_port *port = &g->out[g->n_outs++];
    *port = (adze_generic_port){.dtype = dtype, .map = map_of(g, shape->rank, exprs)};
    return port;
}

bool adze_generic_out(adze_generic *g, const adze_shape *shape, const MlirAffineExpr *exprs) {
    adze_generic_port *port = new_output(g, shape, exprs, shape->dtype);
    return empty(g, shape, &port->tensor);
}

static MlirAttribute segments(adze_context *ctx, int n_ins, int n_outs) {
    const int32_t sizes[2] = {n_ins, n_outs};
    return mlirDenseI32ArrayGet(ctx->mlir, 2, sizes);
}

bool adze_generic_accumulator(adze_generic *g, const adze_shape *shape, adze_dtype dtype,
                              double neutral, const MlirAffineExpr *exprs) {
    adze_generic_port *port = new_output(g, shape, exprs, dtype);
    adze_shape held = *shape;
    held.dtype = dtype;
    held.element = adze_scalar_type(g->ctx, dtype);
    MlirValue init;
    if (!empty(g, &held, &init))
        return false;
    MlirValue operands[2] = {adze_scalar_f64(g->b, dtype, neutral).value, init};
    MlirType type = mlirValueGetType(init);
    adze_named attr = {"operandSegmentSizes", segments(g->ctx, 1, 1)};
    MlirOperation fill = adze_build(g->b, "linalg.fill", 2, operands, 1, &type, 1, &attr, 1);
    mlirLinalgFillBuiltinNamedOpRegion(fill);
    port->tensor = adze_result(fill, 0);
    return true;
}

void adze_generic_accumulator_from(adze_generic *g, MlirValue init, adze_dtype dtype,
                                   const MlirAffineExpr *exprs) {
    adze_shape shape;
    adze_value_shape(g->ctx, init, &shape);
    new_output(g, &shape, exprs, dtype)->tensor = init;
}

/* ---- the operation ---- */

void adze_generic_begin(adze_generic *g) {
    adze_context *ctx = g->ctx;
    enum { MAX = ADZE_GENERIC_INS + ADZE_GENERIC_OUTS };
    MlirValue operands[MAX];
    MlirAttribute maps[MAX], iterators[ADZE_GENERIC_DIMS];
    MlirType elements[MAX], results[ADZE_GENERIC_OUTS];
    MlirLocation locations[MAX];
    int n = 0, n_ins = 0;
    for (int i = 0; i < g->n_ins + g->n_outs; i++) {
        adze_generic_port *port = i < g->n_ins ? &g->in[i] : &g->out[i - g->n_ins];
        if (port->constant)
            continue;
        port->argument = n;
        operands[n] = port->tensor;
        maps[n] = mlirAffineMapAttrGet(port->map);
        elements[n] = mlirShapedTypeGetElementType(mlirValueGetType(port->tensor));
        locations[n] = mlirLocationUnknownGet(ctx->mlir);
        n++;
        n_ins += i < g->n_ins;
    }
    for (int i = 0; i < g->n_outs; i++)
        results[i] = mlirValueGetType(g->out[i].tensor);
    for (int d = 0; d < g->n_dims; d++)
        iterators[d] = adze_parse_attr(ctx, g->reduction[d] ? "#linalg.iterator_type<reduction>"
                                                            : "#linalg.iterator_type<parallel>");
    const adze_named attrs[] = {
        {"indexing_maps", mlirArrayAttrGet(ctx->mlir, n, maps)},
        {"iterator_types", mlirArrayAttrGet(ctx->mlir, g->n_dims, iterators)},
        {"operandSegmentSizes", segments(ctx, n_ins, g->n_outs)},
    };
    g->b->name = g->name;
    g->op = adze_build(g->b, "linalg.generic", n, operands, g->n_outs, results, 3, attrs, 1);
    MlirBlock block = mlirBlockCreate(n, elements, locations);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(g->op, 0), block);
    g->body = adze_at_end(ctx, block);
}

MlirValue adze_generic_raw(adze_generic *g, int input) {
    const adze_generic_port *port = &g->in[input];
    if (port->constant)
        return adze_scalar_out(&g->body, adze_generic_arg(g, input));
    return mlirBlockGetArgument(g->body.block, port->argument);
}

adze_scalar adze_generic_arg(adze_generic *g, int input) {
    const adze_generic_port *port = &g->in[input];
    if (!port->constant)
        return adze_scalar_in(&g->body, adze_generic_raw(g, input), port->dtype);
    if (adze_dtype_get(port->dtype)->cls == 'F')
        return adze_scalar_f64(&g->body, port->dtype, adze_tensor_get_f64(&port->value, 0));
    return adze_scalar_i64(&g->body, port->dtype, adze_tensor_get_i64(&port->value, 0));
}

adze_scalar adze_generic_acc(adze_generic *g, int out) {
    return (adze_scalar){mlirBlockGetArgument(g->body.block, g->out[out].argument), g->out[out].dtype};
}

void adze_generic_end_raw(adze_generic *g, const MlirValue *values, MlirValue *results) {
    adze_build(&g->body, "linalg.yield", g->n_outs, values, 0, NULL, 0, NULL, 0);
    for (int i = 0; results && i < g->n_outs; i++)
        results[i] = adze_result(g->op, i);
}

void adze_generic_end(adze_generic *g, const adze_scalar *values, MlirValue *results) {
    MlirValue raw[ADZE_GENERIC_OUTS];
    for (int i = 0; i < g->n_outs; i++) {
        MlirType held = mlirShapedTypeGetElementType(mlirValueGetType(g->out[i].tensor));
        raw[i] = mlirTypeEqual(held, mlirValueGetType(values[i].value)) /* an accumulator */
                     ? values[i].value
                     : adze_scalar_out(&g->body, values[i]);
    }
    adze_generic_end_raw(g, raw, results);
}

adze_scalar adze_no_overflow(adze_generic *g, adze_scalar x) {
    MlirOperation op = adze_defining(x.value);
    if (!mlirOperationIsNull(op) && !mlirAttributeIsNull(adze_get(op, "overflowFlags")))
        adze_set(op, "overflowFlags", adze_parse_attr(g->ctx, "#arith.overflow<nsw>"));
    return x;
}
