/* The entry point: graph inputs and symbolic dimensions, the walk (graph.c), results, and a last
 * sweep over what folding left behind. See import.h. */
#include "frontend/onnx/importer.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* ---- symbolic dimensions ---- */

static const adze_onnx_dim *find_dim(importer *imp, const char *name) {
    for (size_t i = 0; i < imp->opts->n_dims; i++)
        if (!strcmp(imp->opts->dims[i].name, name))
            return &imp->opts->dims[i];
    return ox_map_get(&imp->dims, ox_intern(imp, (adze_string){name, strlen(name)}));
}

static bool add_dim_symbol(importer *imp, const adze_onnx_dim *d) {
    if (!mlirOperationIsNull(adze_symbol(imp->module, "adze.dim", d->name)))
        return true;
    adze_builder b = adze_at_end(imp->ctx, mlirModuleGetBody(imp->module));
    adze_named attrs[] = {{"sym_name", adze_str(imp->ctx, d->name)},
                          {"lo", adze_i64(imp->ctx, d->lo)},
                          {"hi", adze_i64(imp->ctx, d->hi)}};
    adze_build(&b, "adze.dim", 0, NULL, 0, NULL, ADZE_COUNT(attrs), attrs, 0);
    return true;
}

/* The name by which --dim knows axis `axis` of an input; NULL when its extent is a number. */
static const char *dim_name(importer *imp, const char *input, const onnx_Dimension *d, int axis) {
    if (ONNX_HAS(d, 1) && d->dim_value >= 0)
        return NULL;
    if (d->dim_param.length)
        return ox_intern(imp, d->dim_param);
    return adze_arena_printf(imp->ctx->arena, "%s_%d", input, axis);
}

static bool input_extent(importer *imp, const char *input, const onnx_Dimension *d, int axis,
                         adze_shape *out) {
    const char *name = dim_name(imp, input, d, axis);
    if (!name) {
        out->dims[axis] = d->dim_value;
        return true;
    }
    const adze_onnx_dim *given = find_dim(imp, name); /* check_dims has seen that there is one */
    if (given->lo < 0 || given->hi < given->lo)
        return adze_error(&imp->ctx->diags, NULL, "dimension '%s': %lld..%lld is no range", name,
                          (long long)given->lo, (long long)given->hi);
    if (given->lo == given->hi) {
        out->dims[axis] = given->lo;
        return true;
    }
    out->dims[axis] = -1;
    out->symbols[axis] = ox_intern(imp, (adze_string){name, strlen(name)});
    return add_dim_symbol(imp, given);
}

/* ---- graph inputs ---- */

static const onnx_TensorTypeProto *tensor_type(importer *imp, const onnx_ValueInfoProto *v,
                                               const char *name) {
    const onnx_TypeProto *t = v->type;
    if (t && t->tensor_type)
        return t->tensor_type;
    adze_error(&imp->ctx->diags, NULL, "'%s' is %s: that is not supported as an input of the model",
               name,
               !t                      ? "without a type"
               : t->sequence_type      ? "a sequence"
               : t->optional_type      ? "an optional"
               : t->sparse_tensor_type ? "a sparse tensor"
               : t->map_type.length    ? "a map"
                                       : "of no known type");
    return NULL;
}

/* A bound input's value, of the input's own type. */
static bool bind_input(importer *imp, const char *name, const onnx_TensorTypeProto *type,
                       const adze_tensor *given) {
    adze_context *ctx = imp->ctx;
    adze_dtype dtype = adze_dtype_from_onnx(type->elem_type);
    adze_tensor t = *given;
    int rank = type->shape ? (int)type->shape->dim.count : t.rank;
    if (type->shape && type->shape->dim.count != (size_t)t.rank && adze_tensor_count(&t) == 1 &&
        type->shape->dim.count <= ADZE_MAX_RANK) {
        t.rank = rank;
        for (int i = 0; i < rank; i++)
            t.dims[i] = 1;
    }
    bool fits = dtype != ADZE_NO_DTYPE && rank == t.rank;
    for (int i = 0; fits && type->shape && i < rank; i++) {
        const onnx_Dimension *d = type->shape->dim.items[i];
        const char *symbol = dim_name(imp, name, d, i);
        if (!symbol) {
            fits = d->dim_value == t.dims[i];
        } else if (!find_dim(imp, symbol)) { /* other inputs learn their extents from it */
            adze_onnx_dim *learned = ADZE_NEW(ctx->arena, adze_onnx_dim);
            *learned = (adze_onnx_dim){symbol, t.dims[i], t.dims[i]};
            ox_map_put(ctx->arena, &imp->dims,
                       ox_intern(imp, (adze_string){symbol, strlen(symbol)}), learned);
        }
    }
    if (!fits)
        return adze_error(&ctx->diags, NULL, "the value bound to '%s' does not fit its type", name);
    if (t.dtype != dtype) {
        adze_tensor cast;
        char from = adze_dtype_get(t.dtype)->cls;
        if (t.dtype == ADZE_string || dtype == ADZE_string ||
            !adze_tensor_new(ctx->arena, dtype, t.rank, t.dims, &cast))
            return adze_error(&ctx->diags, NULL,
                              "the value bound to '%s' has the wrong element type", name);
        for (size_t i = 0; i < adze_tensor_count(&t); i++) {
            if (from == 'F' || adze_dtype_get(dtype)->cls == 'F')
                adze_tensor_set_f64(&cast, i, adze_tensor_get_f64(&t, i));
            else
                adze_tensor_set_i64(&cast, i, adze_tensor_get_i64(&t, i));
        }
        t = cast;
    }
    val *v = ox_tensor_val(imp, &t);
    v->name = name;
    ox_map_put(ctx->arena, &imp->scope->values, name, v);
    return true;
}

static const adze_onnx_bind *find_bind(importer *imp, const char *name) {
    for (size_t i = 0; i < imp->opts->n_binds; i++)
        if (!strcmp(imp->opts->binds[i].name, name))
            return &imp->opts->binds[i];
    return NULL;
}

static bool add_argument(importer *imp, const char *name, const onnx_TensorTypeProto *type,
                         MlirAttribute *attrs) {
    adze_context *ctx = imp->ctx;
    adze_shape shape = {.dtype = adze_dtype_from_onnx(type->elem_type)};
    if (shape.dtype == ADZE_NO_DTYPE)
        return adze_error(&ctx->diags, NULL, "input '%s' has unknown element type %lld", name,
                          (long long)type->elem_type);
    if (!type->shape)
        return adze_error(&ctx->diags, NULL, "input '%s' has no shape, not even a rank", name);
    if (type->shape->dim.count > ADZE_MAX_RANK)
        return adze_error(&ctx->diags, NULL, "input '%s' has %zu axes; at most %d are supported",
                          name, type->shape->dim.count, ADZE_MAX_RANK);
    shape.rank = (int)type->shape->dim.count;
    shape.element = adze_element_type(ctx, shape.dtype);
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++) {
        if (!input_extent(imp, name, type->shape->dim.items[i], i, &shape))
            return false;
        if (shape.dims[i] > 0 &&
            (__builtin_mul_overflow(count, shape.dims[i], &count) || count > (int64_t)1 << 40))
            return adze_error(&ctx->diags, NULL, "input '%s' is impossibly large", name);
    }
    val *v = ADZE_NEW(ctx->arena, val);
    MlirLocation loc = mlirLocationNameGet(ctx->mlir, mlirStringRefCreateFromCString(name),
                                           mlirLocationUnknownGet(ctx->mlir));
    *v = (val){.kind = VAL_TENSOR,
               .name = name,
               .input = name,
               .shape = shape,
               .mlir = mlirBlockAddArgument(imp->entry, adze_tensor_type(ctx, &shape), loc)};
    MlirNamedAttribute named = mlirNamedAttributeGet(
        mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.name")),
        adze_str(ctx, name));
    *attrs = mlirDictionaryAttrGet(ctx->mlir, 1, &named);
    ox_map_put(ctx->arena, &imp->scope->values, name, v);
    return true;
}

/* Every dimension without a number is named in one error, so that one more try is enough. */
static bool check_dims(importer *imp, const onnx_GraphProto *g, const ox_map *initializers) {
    adze_arena *arena = imp->ctx->arena;
    const char *first = NULL, *missing = NULL, *hint = "";
    int at = 0;
    ox_map seen = {0};
    for (size_t i = 0; i < g->input.count; i++) {
        const char *input = ox_intern(imp, g->input.items[i]->name);
        const onnx_TypeProto *t = g->input.items[i]->type;
        const onnx_TensorShapeProto *s = t && t->tensor_type ? t->tensor_type->shape : NULL;
        if (!s || ox_map_get(initializers, input) || find_bind(imp, input) ||
            s->dim.count > ADZE_MAX_RANK)
            continue;
        for (size_t k = 0; k < s->dim.count; k++) {
            const char *name = dim_name(imp, input, s->dim.items[k], (int)k);
            if (!name || find_dim(imp, name))
                continue;
            name = ox_intern(imp, (adze_string){name, strlen(name)});
            if (ox_map_get(&seen, name))
                continue;
            ox_map_put(arena, &seen, name, imp);
            if (!first) {
                first = input;
                missing = name;
                at = (int)k;
            }
            hint = adze_arena_printf(arena, "%s --dim %s=N", hint, name);
        }
    }
    if (!first)
        return true;
    return adze_error(
        &imp->ctx->diags, NULL,
        "input '%s': the extent of axis %d is '%s', which has no number — hint: give one "
        "with%s",
        first, at, missing, hint);
}

/* Bound inputs first: they may tell the extents of others. */
static bool add_inputs(importer *imp, const onnx_GraphProto *g, MlirAttribute *attrs,
                       intptr_t *count) {
    ox_map initializers = {0};
    for (size_t i = 0; i < g->initializer.count; i++)
        ox_map_put(imp->ctx->arena, &initializers, ox_intern(imp, g->initializer.items[i]->name),
                   imp);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && !check_dims(imp, g, &initializers))
            return false;
        for (size_t i = 0; i < g->input.count; i++) {
            const char *name = ox_intern(imp, g->input.items[i]->name);
            const adze_onnx_bind *bind = find_bind(imp, name);
            if (ox_map_get(&initializers, name) || (bind != NULL) != (pass == 0))
                continue;
            const onnx_TensorTypeProto *type = tensor_type(imp, g->input.items[i], name);
            if (!type)
                return false;
            if (ox_map_get(&imp->scope->values, name))
                return adze_error(&imp->ctx->diags, NULL, "two inputs are named '%s'", name);
            if (bind ? !bind_input(imp, name, type, &bind->value)
                     : !add_argument(imp, name, type, &attrs[(*count)++]))
                return false;
        }
    }
    for (size_t i = 0; i < imp->opts->n_binds; i++) {
        const char *name = imp->opts->binds[i].name;
        if (!ox_map_get(&imp->scope->values, ox_intern(imp, (adze_string){name, strlen(name)})))
            return adze_error(&imp->ctx->diags, NULL, "--bind %s: the model has no such input",
                              name);
    }
    return true;
}

/* ---- the entry ---- */

static MlirAttribute dictionaries(importer *imp, const MlirAttribute *items, intptr_t count) {
    return mlirArrayAttrGet(imp->ctx->mlir, count, items);
}

static bool add_results(importer *imp, const onnx_GraphProto *g, MlirValue *results,
                        MlirAttribute *attrs) {
    adze_context *ctx = imp->ctx;
    for (size_t i = 0; i < g->output.count; i++) {
        const char *name = ox_intern(imp, g->output.items[i]->name);
        val *v = ox_lookup(imp, name);
        if (!v)
            return adze_error(&ctx->diags, NULL, "output '%s' is made by no node", name);
        if (v->kind != VAL_TENSOR)
            return adze_error(&ctx->diags, NULL,
                              "output '%s' is %s: that is not supported as an output of the model",
                              name, v->kind == VAL_SEQUENCE ? "a sequence" : "an optional");
        results[i] = ox_value(imp, v);
        if (mlirValueIsNull(results[i]))
            return false;
        MlirNamedAttribute named = mlirNamedAttributeGet(
            mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.name")),
            adze_str(ctx, name));
        attrs[i] = mlirDictionaryAttrGet(ctx->mlir, 1, &named);
    }
    return true;
}

static void build_entry(importer *imp, intptr_t n_args, const MlirAttribute *arg_attrs,
                        intptr_t n_results, const MlirValue *results,
                        const MlirAttribute *res_attrs) {
    adze_context *ctx = imp->ctx;
    MlirType *types = ADZE_NEW_ARRAY(ctx->arena, MlirType, (size_t)(n_args + n_results));
    for (intptr_t i = 0; i < n_args; i++)
        types[i] = mlirValueGetType(mlirBlockGetArgument(imp->entry, i));
    for (intptr_t i = 0; i < n_results; i++)
        types[n_args + i] = mlirValueGetType(results[i]);
    MlirType type = mlirFunctionTypeGet(ctx->mlir, n_args, types, n_results, types + n_args);
    adze_builder b = adze_at_end(ctx, imp->entry);
    adze_build(&b, "func.return", (int)n_results, results, 0, NULL, 0, NULL, 0);
    b = adze_at_end(ctx, mlirModuleGetBody(imp->module));
    adze_named attrs[] = {{"sym_name", adze_str(ctx, "run")},
                          {"function_type", adze_type_attr(type)},
                          {"arg_attrs", dictionaries(imp, arg_attrs, n_args)},
                          {"res_attrs", dictionaries(imp, res_attrs, n_results)},
                          {"adze.entry", mlirUnitAttrGet(ctx->mlir)}};
    MlirOperation f = adze_build(&b, "func.func", 0, NULL, 0, NULL, ADZE_COUNT(attrs), attrs, 1);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(f, 0), imp->entry);
}

/* ---- the sweep ---- */

static bool has_effect(importer *imp, MlirOperation op) {
    adze_op which = adze_op_of(imp->ctx, op);
    return which == ADZE_OP_NONE_OF_OURS
               ? !adze_is_op(op, "tensor.concat") && !adze_is_op(op, "scf.if")
               : which == ADZE_OP_tap || which == ADZE_OP_state_write ||
                     which == ADZE_OP_state_append;
}

/* Backwards, so that what only fed an unused operation is unused in turn. Depth is the file's
 * nesting of graphs, which is bounded. */
static void sweep(importer *imp, MlirBlock block) {
    size_t count = 0, capacity = 0;
    MlirOperation *ops = NULL;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        capacity++;
    ops = ADZE_NEW_ARRAY(imp->ctx->arena, MlirOperation, capacity);
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        ops[count++] = op;
    while (count--) {
        MlirOperation op = ops[count];
        if (!has_effect(imp, op) && adze_unused(op)) {
            mlirOperationDestroy(op);
            continue;
        }
        for (intptr_t r = 0; r < mlirOperationGetNumRegions(op); r++)
            for (MlirBlock b = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r));
                 !mlirBlockIsNull(b); b = mlirBlockGetNextInRegion(b))
                sweep(imp, b);
    }
}

static void note_weight(MlirOperation op, void *user) {
    importer *imp = user;
    if (adze_op_of(imp->ctx, op) != ADZE_OP_get_weight)
        return;
    const char *name = adze_get_str(imp->ctx, op, "weight");
    ox_map_put(imp->ctx->arena, &imp->dims, ox_intern(imp, (adze_string){name, strlen(name)}), imp);
}

static void sweep_weights(importer *imp) {
    imp->dims = (ox_map){0}; /* reused as the set of weights in use */
    adze_walk(mlirModuleGetOperation(imp->module), note_weight, imp);
    MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(imp->module));
    while (!mlirOperationIsNull(op)) {
        MlirOperation next = mlirOperationGetNextInBlock(op);
        if (adze_op_of(imp->ctx, op) == ADZE_OP_weight) {
            const char *name = adze_get_str(imp->ctx, op, "sym_name");
            if (!ox_map_get(&imp->dims, ox_intern(imp, (adze_string){name, strlen(name)})))
                mlirOperationDestroy(op);
        }
        op = next;
    }
}

/* ---- all of it ---- */

static const char *module_name(importer *imp) {
    if (imp->opts->name)
        return imp->opts->name;
    const char *path = imp->path, *base = strrchr(path, '/');
    size_t length = strcspn(base ? base + 1 : path, ".");
    base = base ? base + 1 : path;
    if (length == 5 && !memcmp(base, "model", 5) && base > path + 1) { /* its folder says more */
        const char *end = base - 1, *start = end;
        while (start > path && start[-1] != '/')
            start--;
        if (start < end)
            return adze_arena_strndup(imp->ctx->arena, start, (size_t)(end - start));
    }
    return adze_arena_strndup(imp->ctx->arena, base, length);
}

static bool import_all(importer *imp) {
    const onnx_GraphProto *g = imp->model->graph;
    adze_context *ctx = imp->ctx;
    scope top = {.prefix = ""};
    imp->scope = &top;
    MlirAttribute *arg_attrs = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, g->input.count);
    MlirAttribute *res_attrs = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, g->output.count);
    MlirValue *results = ADZE_NEW_ARRAY(ctx->arena, MlirValue, g->output.count);
    intptr_t n_args = 0;
    bool ok = add_inputs(imp, g, arg_attrs, &n_args) && ox_import_graph(imp, &top, g) &&
              add_results(imp, g, results, res_attrs);
    imp->scope = NULL;
    if (!ok)
        return false;
    build_entry(imp, n_args, arg_attrs, (intptr_t)g->output.count, results, res_attrs);
    sweep(imp, imp->entry);
    sweep_weights(imp);
    return true;
}

bool adze_onnx_import(adze_context *ctx, const char *path, const adze_onnx_options *opts,
                      MlirModule *out) {
    static const adze_onnx_options defaults;
    importer imp = {.ctx = ctx, .opts = opts ? opts : &defaults, .absent = {.kind = VAL_ABSENT}};
    if (!adze_onnx_read_model(ctx, path, &imp.model))
        return false;
    imp.path = ctx->diags.file;
    imp.file = adze_file_map(ctx, imp.path);
    imp.module = mlirModuleCreateEmpty(mlirLocationUnknownGet(ctx->mlir));
    MlirOperation root = mlirModuleGetOperation(imp.module);
    adze_set(root, "adze.level", adze_i64(ctx, 1));
    adze_set(root, "adze.name", adze_str(ctx, module_name(&imp)));
    imp.entry = imp.block = mlirBlockCreate(0, NULL, NULL);
    if (!import_all(&imp)) {
        mlirBlockDestroy(imp.entry);
        mlirModuleDestroy(imp.module);
        return false;
    }
    *out = imp.module;
    return true;
}
