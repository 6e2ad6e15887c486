/* Level 1 -> level 2: every group of operations becomes a kernel function, and the entry becomes the
 * list of its calls.
 *
 *   %1 = conv(%x, %w)        memref.alloc %b0
 *   %2 = relu(%1)       ─►   call @conv1(%x, %w, %b0)      @conv1(%x, %w, %y): conv, relu, to %y
 *   %3 = reshape(%2)         %b1 = reinterpret_cast %b0
 *   return %3                ...
 *
 * Values that several kernels see have a buffer; reshapes are other views of one. Results of the entry
 * are written straight into its trailing arguments. */
#include "passes/plan.h"
#include "passes/structured.h"
#include "passes/table.h"
#include "passes/valuemap.h"

#include "ir/plan.h"
#include "ir/weights.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Dialect/Func.h>

#include <string.h>

typedef struct lowering {
    adze_context *ctx;
    MlirModule module;
    MlirOperation entry;   /* the level-2 function */
    adze_builder b;        /* in its body */
    adze_builder before;   /* kernels go before the entry */
    adze_value_map memref; /* level-1 value -> its buffer */
    adze_value_map planned; /* level-1 value -> a buffer it is to be written to */
    int n_inputs;
    struct lowering_write { /* states written at the end of the entry */
        MlirValue value;
        const char *state;
    } writes[64];
    int n_writes;
} lowering;

/* ---- functions ---- */

/* A dictionary of the entries that are not null. */
static MlirAttribute dictionary(adze_context *ctx, int n, const adze_named *entries) {
    MlirNamedAttribute items[8];
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (!mlirAttributeIsNull(entries[i].value))
            items[kept++] = mlirNamedAttributeGet(
                mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString(entries[i].name)),
                entries[i].value);
    return mlirDictionaryAttrGet(ctx->mlir, kept, items);
}

/* What is said of a buffer argument. */
static MlirAttribute argument_attrs(adze_context *ctx, const char *access, MlirAttribute name,
                                    const adze_shape *shape) {
    adze_named entries[] = {{"adze.access", adze_str(ctx, access)},
                            {"adze.name", name},
                            {"adze.dims", adze_dims_attr(ctx, shape)}};
    return dictionary(ctx, ADZE_COUNT(entries), entries);
}

/* A function with memref arguments; its one block is returned in *body. */
static MlirOperation new_function(adze_builder *b, const char *name, int n, const MlirType *types,
                                  const MlirAttribute *arg_attrs, bool is_private, MlirBlock *body) {
    adze_context *ctx = b->ctx;
    MlirLocation *locs = ADZE_NEW_ARRAY(ctx->arena, MlirLocation, n ? (size_t)n : 1);
    for (int i = 0; i < n; i++) {
        const char *text = adze_attr_str(
            ctx, mlirDictionaryAttrGetElementByName(arg_attrs[i],
                                                    mlirStringRefCreateFromCString("adze.name")));
        MlirLocation unknown = mlirLocationUnknownGet(ctx->mlir);
        locs[i] = text ? mlirLocationNameGet(ctx->mlir,
                                             mlirStringRefCreateFromCString(adze_c_name(ctx, text)),
                                             unknown)
                       : unknown;
    }
    adze_named attrs[] = {
        {"sym_name", adze_str(ctx, name)},
        {"function_type", mlirTypeAttrGet(mlirFunctionTypeGet(ctx->mlir, n, types, 0, NULL))},
        {"arg_attrs", mlirArrayAttrGet(ctx->mlir, n, arg_attrs)},
        {"sym_visibility", adze_str(ctx, "private")},
    };
    MlirOperation f = adze_build(b, "func.func", 0, NULL, 0, NULL, is_private ? 4 : 3, attrs, 1);
    *body = mlirBlockCreate(n, types, locs);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(f, 0), *body);
    return f;
}

static bool memref_shape(lowering *l, MlirOperation op, MlirValue value, adze_shape *out) {
    adze_shape shape;
    if (!adze_value_shape(l->ctx, value, &shape))
        return adze_error(&l->ctx->diags, adze_node(l->ctx, op), "a value is not a ranked tensor");
    const adze_dtype_info *info = adze_dtype_get(shape.dtype);
    if (shape.dtype == ADZE_NO_DTYPE || strchr("SC", info->cls))
        return adze_error(&l->ctx->diags, adze_node(l->ctx, op),
                          "values of type %s have no lowering to C yet",
                          shape.dtype == ADZE_NO_DTYPE ? "?" : info->name);
    if (adze_quant_of(l->ctx, shape.element, &(adze_quant){0}))
        shape.element = adze_element_type(l->ctx, shape.dtype);
    *out = shape;
    return true;
}

static MlirType memref_type(lowering *l, const adze_shape *shape) {
    return adze_memref_type(l->ctx, shape);
}

/* Says which of a new buffer's extents are which bounded dimensions. */
static MlirValue with_dims(lowering *l, MlirValue memref, const adze_shape *shape) {
    MlirAttribute dims = adze_dims_attr(l->ctx, shape);
    if (!mlirAttributeIsNull(dims))
        adze_set(adze_defining(memref), "adze.dims", dims);
    return memref;
}

/* ---- buffers ---- */

/* The value of a bounded dimension in this call: the extent of an argument of the entry that has it. */
static bool dimension(lowering *l, const char *symbol, MlirValue *out) {
    adze_context *ctx = l->ctx;
    MlirBlock top = mlirRegionGetFirstBlock(mlirOperationGetRegion(l->entry, 0));
    for (int i = 0; i < l->n_inputs; i++) {
        MlirValue arg = mlirBlockGetArgument(top, i);
        adze_shape shape;
        adze_value_shape(ctx, arg, &shape);
        for (int d = 0; d < shape.rank; d++) {
            if (shape.dims[d] >= 0 || !symbol || strcmp(shape.symbols[d], symbol))
                continue;
            MlirType index = adze_index_type(ctx);
            adze_named at = {"value", mlirIntegerAttrGet(index, d)};
            MlirValue axis = adze_build1(&l->b, "arith.constant", 0, NULL, index, 1, &at);
            *out = adze_build1(&l->b, "memref.dim", 2, (MlirValue[]){arg, axis}, index, 0, NULL);
            return true;
        }
    }
    return adze_error(&ctx->diags, NULL, "the bounded dimension '%s' is the extent of no input",
                      symbol ? symbol : "?");
}

static bool alloc(lowering *l, const adze_shape *shape, const char *name, MlirValue *out) {
    MlirValue extents[ADZE_MAX_RANK];
    int n = 0;
    for (int d = 0; d < shape->rank; d++)
        if (shape->dims[d] < 0 && !dimension(l, shape->symbols[d], &extents[n++]))
            return false;
    adze_named attr = {
        "operandSegmentSizes",
        adze_parse_attr(l->ctx, adze_arena_printf(l->ctx->arena, "array<i32: %d, 0>", n))};
    l->b.name = name;
    *out = with_dims(
        l, adze_build1(&l->b, "memref.alloc", n, extents, memref_type(l, shape), 1, &attr), shape);
    return true;
}

/* The same bytes under another shape. */
static bool view(lowering *l, MlirValue memref, const adze_shape *wanted, MlirValue *out) {
    const adze_shape shape = *wanted;
    MlirType type = memref_type(l, wanted);
    *out = memref;
    if (mlirTypeEqual(mlirValueGetType(memref), type))
        return true;
    MlirType index = adze_index_type(l->ctx);
    MlirValue operands[1 + 2 * ADZE_MAX_RANK] = {memref}, dynamic_strides[ADZE_MAX_RANK];
    int64_t sizes[ADZE_MAX_RANK], strides[ADZE_MAX_RANK], zero = 0, stride = 1;
    int n_sizes = 0, n_strides = 0;
    MlirValue product = {NULL}; /* the stride, once it depends on a bounded extent */
    for (int d = 0; d < shape.rank; d++) {
        sizes[d] = shape.dims[d];
        if (shape.dims[d] < 0) {
            sizes[d] = mlirShapedTypeGetDynamicSize();
            if (!dimension(l, shape.symbols[d], &operands[1 + n_sizes++]))
                return false;
        }
    }
    MlirValue by_axis[ADZE_MAX_RANK] = {{NULL}};
    for (int d = shape.rank - 1, bounded = n_sizes; d >= 0; d--) {
        strides[d] = product.ptr ? mlirShapedTypeGetDynamicStrideOrOffset() : stride;
        by_axis[d] = product;
        MlirValue extent = {NULL};
        if (shape.dims[d] < 0)
            extent = operands[bounded--];
        else
            stride *= shape.dims[d];
        if (!extent.ptr && !product.ptr)
            continue;
        adze_named known = {"value",
                            mlirIntegerAttrGet(index, product.ptr ? shape.dims[d] : stride)};
        MlirValue left = product, right = extent;
        if (!left.ptr)
            left = adze_build1(&l->b, "arith.constant", 0, NULL, index, 1, &known);
        else if (!right.ptr)
            right = adze_build1(&l->b, "arith.constant", 0, NULL, index, 1, &known);
        product = adze_build1(&l->b, "arith.muli", 2, (MlirValue[]){left, right}, index, 0, NULL);
    }
    for (int d = 0; d < shape.rank; d++)
        if (by_axis[d].ptr)
            dynamic_strides[n_strides++] = by_axis[d];
    memcpy(operands + 1 + n_sizes, dynamic_strides, (size_t)n_strides * sizeof *operands);
    adze_named attrs[] = {
        {"static_offsets", adze_i64s(l->ctx, 1, &zero)},
        {"static_sizes", adze_i64s(l->ctx, shape.rank, sizes)},
        {"static_strides", adze_i64s(l->ctx, shape.rank, strides)},
        {"operandSegmentSizes",
         adze_parse_attr(l->ctx, adze_arena_printf(l->ctx->arena, "array<i32: 1, 0, %d, %d>", n_sizes,
                                                   n_strides))}};
    *out = with_dims(l,
                     adze_build1(&l->b, "memref.reinterpret_cast", 1 + n_sizes + n_strides, operands,
                                 type, 4, attrs),
                     wanted);
    return true;
}

/* Constants of several elements become weights. */
static bool constant_memref(lowering *l, MlirValue value, MlirOperation op, const adze_shape *shape,
                            MlirValue *out) {
    const char *weight = NULL;
    if (adze_is_op(op, "adze.get_weight")) {
        weight = adze_get_str(l->ctx, op, "weight");
    } else {
        adze_tensor t;
        if (!adze_constant_value(l->ctx, l->module, value, &t))
            return adze_error(&l->ctx->diags, adze_node(l->ctx, op), "constant cannot be read");
        adze_text packed = {0};
        adze_tensor_pack(&t, &packed);
        const char *node = adze_node(l->ctx, op);
        const char *blob = adze_blob_add(l->ctx, packed.data, packed.length);
        weight = adze_weight_add(l->ctx, l->module, *node ? node : "constant",
                                 mlirValueGetType(value), blob, 0, (int64_t)packed.length,
                                 packed.length ? packed.data : "");
        adze_text_free(&packed);
    }
    adze_named attr = {"weight", adze_str(l->ctx, weight)};
    *out = adze_build1(&l->b, "adze.get_weight", 0, NULL, memref_type(l, shape), 1, &attr);
    return true;
}

static bool buffer_of(lowering *l, MlirOperation user, MlirValue value, MlirValue *out) {
    *out = adze_map_get(&l->memref, value);
    if (out->ptr)
        return true;
    MlirOperation op = adze_defining(value);
    adze_shape shape;
    if (!memref_shape(l, user, value, &shape))
        return false;
    if (!mlirOperationIsNull(op) &&
        (adze_is_op(op, "adze.constant") || adze_is_op(op, "adze.get_weight"))) {
        /* At the top of the entry: seen from every branch. */
        adze_builder here = l->b;
        MlirBlock top = mlirRegionGetFirstBlock(mlirOperationGetRegion(l->entry, 0));
        l->b = (adze_builder){.ctx = l->ctx, .block = top, .before = mlirBlockGetFirstOperation(top)};
        bool ok = constant_memref(l, value, op, &shape, out);
        l->b = here;
        if (ok)
            adze_map_set(&l->memref, value, *out);
        return ok;
    }
    return adze_error(&l->ctx->diags, adze_node(l->ctx, user), "an operand has no buffer");
}

/* Where a value of this block is to be written: where it was planned, or a fresh buffer. */
static bool destination(lowering *l, MlirOperation op, MlirValue value, MlirValue *out) {
    adze_shape shape;
    if (!memref_shape(l, op, value, &shape))
        return false;
    *out = adze_map_get(&l->planned, value);
    if (!out->ptr) {
        const char *node = adze_node(l->ctx, op);
        if (!alloc(l, &shape, *node ? adze_c_name(l->ctx, node) : NULL, out))
            return false;
    }
    adze_map_set(&l->memref, value, *out);
    return true;
}

/* ---- kernels ---- */

/* C promises 127 parameters of a function. */
enum { KERNEL_BUFFERS = 120 };

typedef struct outline {
    lowering *l;
    MlirValue args[KERNEL_BUFFERS]; /* buffers passed by the entry */
    MlirValue from[KERNEL_BUFFERS]; /* the level-1 values they stand for */
    MlirAttribute attrs[KERNEL_BUFFERS];
    MlirType types[KERNEL_BUFFERS];
    int n, n_inputs;
} outline;

/* A one-element constant that a kernel can hold itself. */
static bool is_scalar_constant(adze_context *ctx, MlirValue value) {
    MlirOperation op = adze_defining(value);
    adze_shape shape;
    return !mlirOperationIsNull(op) && adze_is_op(op, "adze.constant") &&
           adze_value_shape(ctx, value, &shape) && adze_shape_count(&shape) == 1;
}

static bool in_group(const adze_group *group, MlirValue value) {
    MlirOperation op = adze_defining(value);
    for (int i = 0; !mlirOperationIsNull(op) && i < group->n; i++)
        if (mlirOperationEqual(group->ops[i], op))
            return true;
    return false;
}

static bool add_argument(outline *o, MlirOperation op, MlirValue value, MlirValue buffer,
                         const char *name, const char *access) {
    adze_context *ctx = o->l->ctx;
    if (o->n == (int)ADZE_COUNT(o->args))
        return adze_error(&ctx->diags, adze_node(ctx, op), "a kernel needs more than %zu buffers",
                          ADZE_COUNT(o->args));
    const char *unique = name;
    for (int i = 0, k = 1; i < o->n; i++) {
        const char *taken = adze_attr_str(
            ctx, mlirDictionaryAttrGetElementByName(o->attrs[i],
                                                    mlirStringRefCreateFromCString("adze.name")));
        if (!strcmp(taken, unique)) {
            unique = adze_arena_printf(ctx->arena, "%s%d", name, ++k);
            i = -1;
        }
    }
    o->args[o->n] = buffer;
    o->from[o->n] = value;
    o->types[o->n] = mlirValueGetType(buffer);
    adze_shape shape;
    adze_value_shape(ctx, buffer, &shape);
    o->attrs[o->n] = argument_attrs(ctx, access, adze_str(ctx, unique), &shape);
    o->n++;
    return true;
}

/* What an operand is called in the kernel: as in ops.def for the operation the kernel is named after,
 * by its part in the epilogue for the others. */
static const char *operand_name(adze_context *ctx, MlirOperation op, intptr_t i, bool anchor) {
    static const struct {
        const char *kind, *name;
    } parts[] = {{"add", "addend"}, {"sub", "term"},    {"mul", "factor"},
                 {"div", "divisor"}, {"pow", "exponent"}, {"min", "bound"}, {"max", "bound"}};
    const char *kind = adze_get_str(ctx, op, "kind");
    if (adze_is_op(op, "adze.binary")) {
        for (size_t p = 0; p < ADZE_COUNT(parts) && !anchor; p++)
            if (!strcmp(parts[p].kind, kind))
                return parts[p].name;
        return i ? "b" : "a";
    }
    adze_op which = adze_op_of(ctx, op);
    return which == ADZE_OP_NONE_OF_OURS ? "x" : adze_op_info_of(ctx, which)->operands[i];
}

static bool collect_inputs(outline *o, const adze_group *group) {
    lowering *l = o->l;
    MlirOperation anchor = adze_group_anchor(l->ctx, group);
    for (int i = 0; i < group->n; i++) {
        MlirOperation op = group->ops[i];
        for (intptr_t k = 0; k < mlirOperationGetNumOperands(op); k++) {
            MlirValue value = mlirOperationGetOperand(op, k), buffer;
            bool known = adze_is_none(value) || in_group(group, value) ||
                         is_scalar_constant(l->ctx, value);
            for (int j = 0; j < o->n && !known; j++)
                known = mlirValueEqual(o->from[j], value);
            if (known)
                continue;
            if (!buffer_of(l, op, value, &buffer) ||
                !add_argument(o, op, value, buffer, operand_name(l->ctx, op, k, mlirOperationEqual(op, anchor)),
                              "read"))
                return false;
        }
    }
    o->n_inputs = o->n;
    return true;
}

/* The tensor of a kernel's argument, with the storage type of quantized elements. */
static MlirValue argument_tensor(adze_builder *b, MlirValue memref) {
    adze_shape shape;
    adze_value_shape(b->ctx, memref, &shape);
    adze_named restrict_attr = {"restrict", mlirUnitAttrGet(b->ctx->mlir)};
    return adze_build1(b, "bufferization.to_tensor", 1, &memref, adze_tensor_type(b->ctx, &shape), 1,
                       &restrict_attr);
}

/* Scalar constants inside a kernel keep their shape but have storage types. */
static MlirValue local_constant(adze_builder *b, MlirModule module, MlirValue value) {
    adze_tensor t;
    adze_constant_value(b->ctx, module, value, &t);
    return adze_build_constant(b, module, &t, "constant", (MlirType){NULL});
}

/* Tables that the lowering of an operation made inside the kernel become arguments, after the outputs. */
static bool hoist_tables(outline *o, MlirBlock body) {
    lowering *l = o->l;
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);) {
        MlirOperation next = mlirOperationGetNextInBlock(op);
        bool table = adze_is_op(op, "adze.get_weight") ||
                     (adze_is_op(op, "adze.constant") &&
                      !is_scalar_constant(l->ctx, adze_result(op, 0)));
        if (table) {
            adze_shape shape;
            MlirValue tensor = adze_result(op, 0), buffer;
            if (!memref_shape(l, op, tensor, &shape) ||
                !constant_memref(l, tensor, op, &shape, &buffer))
                return false;
            if (!add_argument(o, op, tensor, buffer, adze_location_name(l->ctx, op, "table"), "read"))
                return false;
            MlirValue arg = mlirBlockAddArgument(body, mlirValueGetType(buffer),
                                                 mlirLocationUnknownGet(l->ctx->mlir));
            adze_builder b = adze_before(l->ctx, op);
            MlirValue value = argument_tensor(&b, arg);
            adze_replace(op, &value);
        }
        op = next;
    }
    return true;
}

static bool outline_group(lowering *l, const adze_group *group) {
    adze_context *ctx = l->ctx;
    MlirOperation root = group->ops[group->n - 1];
    outline o = {.l = l};
    if (!collect_inputs(&o, group))
        return false;
    MlirValue results[8];
    int n_results = 0;
    for (intptr_t r = 0; r < mlirOperationGetNumResults(root); r++) {
        MlirValue value = adze_result(root, (int)r), buffer;
        if (mlirOpOperandIsNull(mlirValueGetFirstUse(value)))
            continue;
        adze_op which = adze_op_of(ctx, root);
        const char *name =
            which == ADZE_OP_NONE_OF_OURS ? "y" : adze_op_info_of(ctx, which)->results[r];
        if (!destination(l, root, value, &buffer) ||
            !add_argument(&o, root, value, buffer, name, "write"))
            return false;
        results[n_results++] = value;
    }
    if (!n_results)
        return true; /* nobody wants it */
    MlirBlock body;
    const char *kernel_name = adze_get_str(ctx, root, "adze.group");
    MlirOperation kernel =
        new_function(&l->before, kernel_name, o.n, o.types, o.attrs, true, &body);
    adze_set(kernel, "adze.kernel", mlirUnitAttrGet(ctx->mlir));
    adze_set(kernel, "adze.nodes", adze_group_nodes(ctx, group));
    if (!mlirAttributeIsNull(adze_get(root, "adze.ends")))
        adze_set(kernel, "adze.ends", adze_get(root, "adze.ends"));

    adze_builder b = adze_at_end(ctx, body);
    adze_value_map inner = {.arena = ctx->arena};
    for (int i = 0; i < o.n_inputs; i++)
        adze_map_set(&inner, o.from[i], argument_tensor(&b, mlirBlockGetArgument(body, i)));
    for (int i = 0; i < group->n; i++) {
        MlirOperation op = group->ops[i];
        MlirValue operands[KERNEL_BUFFERS], values[8];
        intptr_t n = mlirOperationGetNumOperands(op);
        if (n > (intptr_t)ADZE_COUNT(operands))
            return adze_error(&ctx->diags, adze_node(ctx, op), "more than %zu operands",
                              ADZE_COUNT(operands));
        for (intptr_t k = 0; k < n; k++) {
            MlirValue value = mlirOperationGetOperand(op, k);
            operands[k] = adze_map_get(&inner, value);
            if (!operands[k].ptr) {
                operands[k] = adze_is_none(value) ? adze_none_value(&b)
                                                  : local_constant(&b, l->module, value);
                adze_map_set(&inner, value, operands[k]);
            }
        }
        if (!adze_to_structured(&b, l->module, op, operands, values))
            return false;
        for (intptr_t r = 0; r < mlirOperationGetNumResults(op); r++)
            adze_map_set(&inner, adze_result(op, (int)r), values[r]);
    }
    MlirAttribute unit = mlirUnitAttrGet(ctx->mlir);
    adze_named flags[] = {{"writable", unit}};
    for (int i = 0; i < n_results; i++) {
        MlirValue operands[] = {adze_map_get(&inner, results[i]),
                                mlirBlockGetArgument(body, o.n_inputs + i)};
        adze_build(&b, "bufferization.materialize_in_destination", 2, operands, 0, NULL, 1, flags, 0);
    }
    adze_build(&b, "func.return", 0, NULL, 0, NULL, 0, NULL, 0);
    int n_before_tables = o.n;
    if (!hoist_tables(&o, body))
        return false;
    if (o.n != n_before_tables) {
        adze_set(kernel, "function_type",
                 mlirTypeAttrGet(mlirFunctionTypeGet(ctx->mlir, o.n, o.types, 0, NULL)));
        adze_set(kernel, "arg_attrs", mlirArrayAttrGet(ctx->mlir, o.n, o.attrs));
    }
    MlirAttribute schedule = adze_plan_schedule(l->module, kernel_name);
    if (!mlirAttributeIsNull(schedule))
        adze_set(kernel, "adze.schedule", schedule);
    MlirStringRef name = mlirStringAttrGetValue(adze_get(kernel, "sym_name"));
    adze_named callee = {"callee", mlirFlatSymbolRefAttrGet(ctx->mlir, name)};
    adze_build(&l->b, "func.call", o.n, o.args, 0, NULL, 1, &callee, 0);
    return true;
}

/* ---- blocks ---- */

static void copy(lowering *l, MlirValue from, MlirValue to) {
    MlirValue operands[] = {from, to};
    adze_build(&l->b, "memref.copy", 2, operands, 0, NULL, 0, NULL, 0);
}

static bool lower_block(lowering *l, MlirBlock block);

static bool lower_if(lowering *l, MlirOperation op) {
    adze_context *ctx = l->ctx;
    /* the condition is a boolean tensor of one element, read just before the branch */
    MlirOperation extract = adze_defining(mlirOperationGetOperand(op, 0));
    MlirValue condition;
    if (mlirOperationIsNull(extract) || !adze_is_op(extract, "tensor.extract") ||
        mlirOperationGetNumOperands(extract) != 1)
        return adze_error(&ctx->diags, adze_node(ctx, op), "scf.if: condition is not a scalar tensor");
    if (!buffer_of(l, op, mlirOperationGetOperand(extract, 0), &condition))
        return false;
    for (intptr_t r = 0; r < mlirOperationGetNumResults(op); r++) {
        MlirValue buffer;
        if (!destination(l, op, adze_result(op, (int)r), &buffer))
            return false;
    }
    MlirValue flag = adze_build1(&l->b, "memref.load", 1, &condition,
                                 mlirIntegerTypeGet(ctx->mlir, 1), 0, NULL);
    MlirOperation branch = adze_build(&l->b, "scf.if", 1, &flag, 0, NULL, 0, NULL, 2);
    adze_builder here = l->b;
    for (int r = 0; r < 2; r++) {
        MlirBlock from = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r));
        MlirBlock to = mlirBlockCreate(0, NULL, NULL);
        mlirRegionAppendOwnedBlock(mlirOperationGetRegion(branch, r), to);
        l->b = adze_at_end(ctx, to);
        if (mlirBlockIsNull(from)) { /* no else: nothing to do there */
            adze_build(&l->b, "scf.yield", 0, NULL, 0, NULL, 0, NULL, 0);
            continue;
        }
        if (!lower_block(l, from))
            return false;
        MlirOperation yield = mlirBlockGetTerminator(from);
        for (intptr_t i = 0; i < mlirOperationGetNumOperands(yield); i++) {
            MlirValue value, target = adze_map_get(&l->memref, adze_result(op, (int)i));
            if (!buffer_of(l, yield, mlirOperationGetOperand(yield, i), &value))
                return false;
            MlirValue shaped;
            adze_shape shape;
            if (!adze_value_shape(ctx, target, &shape) || !view(l, value, &shape, &shaped))
                return false;
            copy(l, shaped, target);
        }
        adze_build(&l->b, "scf.yield", 0, NULL, 0, NULL, 0, NULL, 0);
    }
    l->b = here;
    return true;
}

/* Values that are the bytes of another: reshapes, and bitcasts within one storage type. */
static bool is_view(MlirOperation op) {
    return adze_is_op(op, "adze.reshape") || adze_is_op(op, "adze.bitcast");
}

static bool lower_value(lowering *l, MlirOperation op) {
    adze_shape shape;
    MlirValue buffer;
    if (is_view(op)) {
        MlirValue result = adze_result(op, 0);
        if (!memref_shape(l, op, result, &shape) ||
            !buffer_of(l, op, mlirOperationGetOperand(op, 0), &buffer))
            return false;
        if (!view(l, buffer, &shape, &buffer))
            return false;
        adze_map_set(&l->memref, result, buffer);
    } else if (adze_is_op(op, "adze.state_read")) {
        MlirValue result = adze_result(op, 0);
        if (!memref_shape(l, op, result, &shape))
            return false;
        const char *name = adze_get_str(l->ctx, op, "state");
        for (int i = l->n_writes - 1; i >= 0; i--)
            if (!strcmp(l->writes[i].state, name)) { /* written in this call already */
                if (!buffer_of(l, op, l->writes[i].value, &buffer))
                    return false;
                adze_map_set(&l->memref, result, buffer);
                return true;
            }
        adze_named attr = {"state", adze_get(op, "state")};
        MlirValue state = adze_build1(&l->b, "adze.state_ref", 0, NULL, memref_type(l, &shape), 1,
                                      &attr);
        adze_map_set(&l->memref, result, with_dims(l, state, &shape));
    } else if (adze_is_op(op, "adze.state_write")) {
        MlirOperation around = mlirBlockGetParentOperation(mlirOperationGetBlock(op));
        if (!adze_is_op(around, "func.func"))
            return adze_error(&l->ctx->diags, adze_node(l->ctx, op),
                              "state '%s' is written inside a branch — hint: give the value out of the "
                              "branch and write it behind",
                              adze_get_str(l->ctx, op, "state"));
        if (l->n_writes == (int)ADZE_COUNT(l->writes))
            return adze_error(&l->ctx->diags, adze_node(l->ctx, op), "more than %zu states",
                              ADZE_COUNT(l->writes));
        l->writes[l->n_writes++] = (struct lowering_write){mlirOperationGetOperand(op, 0),
                                                           adze_get_str(l->ctx, op, "state")};
    } else if (adze_is_op(op, "scf.if")) {
        return lower_if(l, op);
    } else if (adze_is_op(op, "adze.tap")) {
        return adze_error(&l->ctx->diags, adze_node(l->ctx, op), "taps have no lowering to C yet");
    }
    return true; /* constants: on demand */
}

static bool lower_block(lowering *l, MlirBlock block) {
    adze_grouping grouping;
    if (!adze_plan_read(l->ctx, block, &grouping))
        return false;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        if (adze_fuse_class_of(l->ctx, op) == ADZE_FUSE_VALUE) {
            if (!lower_value(l, op))
                return false;
            continue;
        }
        const adze_group *group = adze_group_rooted(&grouping, op);
        if (group && !outline_group(l, group))
            return false;
    }
    return true;
}

/* ---- entries ---- */

/* Plans each result of the entry into its output argument where one operation of the entry's block
 * makes it, looking through reshapes; the others are copied at the end. */
static bool plan_outputs(lowering *l, MlirOperation ret, MlirBlock body) {
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(ret); i++) {
        MlirValue value = mlirOperationGetOperand(ret, i);
        MlirValue buffer = mlirBlockGetArgument(body, l->n_inputs + i);
        for (;;) {
            MlirOperation op = adze_defining(value);
            if (mlirOperationIsNull(op) || adze_map_get(&l->planned, value).ptr)
                break;
            if (adze_fuse_class_of(l->ctx, op) == ADZE_FUSE_VALUE && is_view(op)) {
                value = mlirOperationGetOperand(op, 0);
                continue;
            }
            adze_shape shape;
            if ((adze_fuse_class_of(l->ctx, op) == ADZE_FUSE_VALUE && !adze_is_op(op, "scf.if")) ||
                !memref_shape(l, op, value, &shape))
                break;
            if (!view(l, buffer, &shape, &buffer))
                return false;
            adze_map_set(&l->planned, value, buffer);
            break;
        }
    }
    return true;
}

/* States change at the end of a call. One that takes another's old value takes a copy of it, made before
 * any of them changes. */
static bool write_states(lowering *l, MlirOperation ret) {
    MlirValue from[ADZE_COUNT(l->writes)];
    for (int i = 0; i < l->n_writes; i++) {
        if (!buffer_of(l, ret, l->writes[i].value, &from[i]))
            return false;
        MlirOperation base = adze_defining(adze_buffer_base(from[i]));
        adze_shape shape;
        if (mlirOperationIsNull(base) || !adze_is_op(base, "adze.state_ref"))
            continue;
        MlirValue old = from[i];
        if (!adze_value_shape(l->ctx, old, &shape) || !alloc(l, &shape, "old_state", &from[i]))
            return false;
        copy(l, old, from[i]);
    }
    for (int i = 0; i < l->n_writes; i++) {
        bool last = true; /* the last write of a state is the one that stays */
        for (int j = i + 1; j < l->n_writes; j++)
            last &= strcmp(l->writes[i].state, l->writes[j].state) != 0;
        if (!last)
            continue;
        adze_named attr = {"state", adze_str(l->ctx, l->writes[i].state)};
        adze_shape shape;
        adze_value_shape(l->ctx, from[i], &shape);
        copy(l, from[i],
             with_dims(l,
                       adze_build1(&l->b, "adze.state_ref", 0, NULL, mlirValueGetType(from[i]), 1,
                                   &attr),
                       &shape));
    }
    return true;
}

static bool lower_entry(adze_context *ctx, MlirModule module, MlirOperation old) {
    MlirBlock from = mlirRegionGetFirstBlock(mlirOperationGetRegion(old, 0));
    MlirOperation ret = mlirBlockGetTerminator(from);
    int n_in = (int)mlirBlockGetNumArguments(from);
    int n_out = (int)mlirOperationGetNumOperands(ret), n = n_in + n_out;
    MlirType *types = ADZE_NEW_ARRAY(ctx->arena, MlirType, n ? (size_t)n : 1);
    MlirAttribute *attrs = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, n ? (size_t)n : 1);
    lowering l = {.ctx = ctx, .module = module, .n_inputs = n_in};
    l.memref.arena = l.planned.arena = ctx->arena;
    const char *lists[] = {"arg_attrs", "res_attrs"};
    for (int i = 0; i < n; i++) {
        bool input = i < n_in;
        MlirValue value = input ? mlirBlockGetArgument(from, i)
                                : mlirOperationGetOperand(ret, i - n_in);
        adze_shape shape;
        if (!memref_shape(&l, old, value, &shape))
            return false;
        types[i] = adze_memref_type(ctx, &shape);
        MlirAttribute list = adze_get(old, lists[!input]), name = mlirAttributeGetNull();
        if (!mlirAttributeIsNull(list))
            name = mlirDictionaryAttrGetElementByName(
                mlirArrayAttrGetElement(list, input ? i : i - n_in),
                mlirStringRefCreateFromCString("adze.name"));
        attrs[i] = argument_attrs(ctx, input ? "read" : "write", name, &shape);
    }
    MlirBlock body;
    adze_builder before = adze_before(ctx, old);
    const char *name = adze_get_str(ctx, old, "sym_name");
    adze_set(old, "sym_name", adze_str(ctx, adze_arena_printf(ctx->arena, "%s.l1", name)));
    l.entry = new_function(&before, name, n, types, attrs, false, &body);
    adze_set(l.entry, "adze.entry", mlirUnitAttrGet(ctx->mlir));
    l.before = adze_before(ctx, l.entry);
    l.b = adze_at_end(ctx, body);
    for (int i = 0; i < n_in; i++)
        adze_map_set(&l.memref, mlirBlockGetArgument(from, i), mlirBlockGetArgument(body, i));
    if (!plan_outputs(&l, ret, body) || !lower_block(&l, from))
        return false;
    for (int i = 0; i < n_out; i++) {
        MlirValue buffer, out = mlirBlockGetArgument(body, n_in + i);
        if (!buffer_of(&l, ret, mlirOperationGetOperand(ret, i), &buffer))
            return false;
        if (!mlirValueEqual(adze_buffer_base(buffer), out))
            copy(&l, buffer, out);
    }
    if (!write_states(&l, ret))
        return false;
    adze_build(&l.b, "func.return", 0, NULL, 0, NULL, 0, NULL, 0);
    mlirOperationDestroy(old);
    return true;
}

static void note_use(MlirOperation op, void *user) {
    adze_value_map *used = user;
    if (adze_is_op(op, "adze.get_weight") && adze_unused(op)) {
        mlirOperationDestroy(op);
    } else if (adze_is_op(op, "adze.get_weight")) {
        MlirAttribute name = adze_get(op, "weight");
        adze_map_set(used, (MlirValue){name.ptr}, (MlirValue){name.ptr});
    }
}

void adze_drop_unused_weights(adze_context *ctx, MlirModule module) {
    adze_value_map used = {.arena = ctx->arena};
    adze_walk(mlirModuleGetOperation(module), note_use, &used);
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op);) {
        MlirOperation next = mlirOperationGetNextInBlock(op);
        if (adze_is_op(op, "adze.weight") &&
            !adze_map_get(&used, (MlirValue){adze_get(op, "sym_name").ptr}).ptr)
            mlirOperationDestroy(op);
        op = next;
    }
}

bool adze_pass_kernels(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    int n_entries = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op);) {
        MlirOperation next = mlirOperationGetNextInBlock(op);
        if (adze_is_op(op, "func.func")) {
            n_entries++;
            if (!lower_entry(ctx, module, op))
                return false;
        }
        op = next;
    }
    adze_drop_unused_weights(ctx, module);
    mlirOperationRemoveAttributeByName(mlirModuleGetOperation(module),
                                       mlirStringRefCreateFromCString("adze.plan"));
    return n_entries || adze_error(&ctx->diags, NULL, "the module has no entry");
}
