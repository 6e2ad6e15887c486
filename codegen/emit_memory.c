/* Memory and calls: pointers to contiguous row-major arrays, flat subscripts. */
#include "codegen/emit_internal.h"

#include <inttypes.h>
#include <string.h>

static MlirValue operand_of(MlirOperation op, int i) { return mlirOperationGetOperand(op, i); }

binding *emit_memory_of(emitter *em, MlirValue value, MlirOperation op) {
    binding *b = emit_lookup(em, value);
    if (!b || !b->e.text)
        emit_error(em, op, "memory without a C meaning is used");
    return b && b->e.text ? b : NULL;
}

/* An extent as an expression: a number, or the bounded dimension's parameter. */
static expr extent_of(emitter *em, const adze_shape *shape, int axis) {
    if (shape->dims[axis] >= 0)
        return expr_int(em, ADZE_C_INDEX, shape->dims[axis]);
    const char *symbol = shape->symbols[axis] ? shape->symbols[axis] : "";
    for (int i = 0; i < em->m->n_dims; i++)
        if (strcmp(em->m->dims[i].symbol, symbol) == 0)
            return expr_text(ADZE_C_INDEX, PREC_PRIMARY, em->m->dims[i].name);
    em->failed = true;
    adze_error(&em->m->ctx->diags, em->function, "an extent has no named dimension (adze.dims)");
    return expr_int(em, ADZE_C_INDEX, 1);
}

/* (i * 28 + j) * 28 + k: unit extents and zero indices fall away. */
expr emit_flat_index(emitter *em, MlirOperation op, const binding *b, int first_index) {
    expr flat = expr_int(em, ADZE_C_INDEX, 0);
    for (int d = 0; d < b->shape.rank; d++) {
        expr index = emit_use_typed(em, operand_of(op, first_index + d));
        if (b->shape.dims[d] == 1)
            continue;
        flat = expr_mul_index(em, flat, extent_of(em, &b->shape, d));
        flat = expr_add_index(em, flat, index);
    }
    return flat;
}

static expr element(emitter *em, MlirOperation op, const binding *b, int first_index) {
    expr flat = emit_flat_index(em, op, b, first_index);
    expr e = {.type = b->element, .prec = PREC_PRIMARY,
              .memory = !b->stable || flat.memory, .varying = flat.varying};
    e.text = adze_arena_printf(em->arena, "%s[%s]", expr_operand(em, b->e, PREC_UNARY), flat.text);
    return e;
}

ROW_HANDLER(emit_load) {
    (void)row;
    binding *b = emit_memory_of(em, operand_of(op, 0), op);
    if (!b)
        return false;
    emit_pure(em, mlirOperationGetResult(op, 0), element(em, op, b, 1));
    return true;
}

ROW_HANDLER(emit_load_word) {
    binding *b = emit_memory_of(em, operand_of(op, 0), op);
    if (!b)
        return false;
    expr index = emit_use_typed(em, operand_of(op, 1));
    expr at = expr_infix(em, ADZE_NO_DTYPE, PREC_ADD, "+", b->e, index);
    adze_c_use_runtime(em->m, "adze_int.h");
    expr e = {.type = ADZE_i32, .prec = PREC_PRIMARY, .memory = !b->stable || index.memory,
              .varying = index.varying};
    e.text = adze_arena_printf(em->arena, "%s(%s)", row->c, at.text);
    emit_pure(em, mlirOperationGetResult(op, 0), e);
    return true;
}

ROW_HANDLER(emit_store) {
    (void)row;
    binding *b = emit_memory_of(em, operand_of(op, 1), op);
    if (!b)
        return false;
    expr value = expr_as(em, emit_use(em, operand_of(op, 0)), b->element);
    expr target = element(em, op, b, 2);
    emit_flush(em, false);
    emit_assign(em, target.text, value);
    return true;
}

static binding *bind_memory(emitter *em, MlirOperation op, const char *text, bool stable) {
    MlirValue value = mlirOperationGetResult(op, 0);
    binding *b = emit_bind(em, value, expr_text(ADZE_NO_DTYPE, PREC_PRIMARY, text));
    if (!adze_shape_of(em->m->ctx, mlirValueGetType(value), &b->shape)) {
        emit_error(em, op, "memory of a type without a shape");
        return NULL;
    }
    b->element = emit_type_of(em, mlirShapedTypeGetElementType(mlirValueGetType(value)));
    b->stable = stable;
    const char *symbols[ADZE_MAX_RANK] = {0};
    int n = adze_get_strs(em->m->ctx, op, "adze.dims", ADZE_MAX_RANK, symbols);
    for (int d = 0; d < n && d < b->shape.rank; d++)
        b->shape.symbols[d] = symbols[d];
    if (b->element == ADZE_NO_DTYPE) {
        emit_error(em, op, "memory of elements that C has no type for");
        return NULL;
    }
    return b;
}

ROW_HANDLER(emit_alloca) {
    (void)row;
    const char *name = emit_declare(em, emit_value_name(em, mlirOperationGetResult(op, 0)), "tile");
    binding *b = bind_memory(em, op, name, false);
    if (!b)
        return false;
    int64_t count = adze_shape_count(&b->shape);
    if (count < 0 || count > INT32_MAX)
        return emit_error(em, op, "a local array without a constant size");
    count = count ? count : 1;
    em->local_bytes += (uint64_t)count * adze_dtype_get((adze_dtype)b->element)->host_bytes;
    emit_line(em, "%s %s[%" PRId64 "];", adze_c_type(em->m, b->element), name, count);
    return true;
}

ROW_HANDLER(emit_copy) {
    (void)row;
    binding *from = emit_memory_of(em, operand_of(op, 0), op), *to = emit_memory_of(em, operand_of(op, 1), op);
    if (!from || !to)
        return false;
    expr count = expr_int(em, ADZE_C_INDEX, 1);
    for (int d = 0; d < to->shape.rank; d++)
        count = expr_mul_index(em, count, extent_of(em, &to->shape, d));
    emit_flush(em, false);
    adze_c_use_runtime(em->m, "<string.h>");
    const char *size = count.constant ? count.text
                                      : adze_arena_printf(em->arena, "(size_t)(%s)", count.text);
    emit_line(em, "memcpy(%s, %s, %s * sizeof(%s));", to->e.text, from->e.text, size,
              adze_c_type(em->m, to->element));
    return true;
}

/* The same bytes under another shape. reinterpret_cast may start further in. */
ROW_HANDLER(emit_memref_cast) {
    (void)row;
    binding *from = emit_memory_of(em, operand_of(op, 0), op);
    if (!from)
        return false;
    int64_t offset = 0;
    expr start = expr_int(em, ADZE_C_INDEX, 0);
    if (adze_is_op(op, "memref.reinterpret_cast") && adze_get_i64s(op, "static_offsets", 1, &offset) > 0)
        start = mlirShapedTypeIsDynamicStrideOrOffset(offset)
                    ? emit_use_typed(em, operand_of(op, 1))
                    : expr_int(em, ADZE_C_INDEX, offset);
    binding *b = bind_memory(em, op, from->e.text, from->stable);
    if (!b)
        return false;
    b->element = from->element;
    if (start.constant && start.integer == 0) {
        b->e = from->e;
        return true;
    }
    b->e = expr_infix(em, ADZE_NO_DTYPE, PREC_ADD, "+", from->e, start);
    const char *hint = emit_value_name(em, mlirOperationGetResult(op, 0));
    if (hint) { /* a part of the memory with a name of its own */
        const char *name = emit_declare(em, hint, "view");
        emit_line(em, "%s%s *const %s = %s;", from->stable ? "const " : "", adze_c_type(em->m, b->element),
                  name, b->e.text);
        b->e = expr_text(ADZE_NO_DTYPE, PREC_PRIMARY, name);
    }
    return true;
}

ROW_HANDLER(emit_dim) {
    (void)row;
    binding *b = emit_memory_of(em, operand_of(op, 0), op);
    expr axis = emit_use_typed(em, operand_of(op, 1));
    if (!b)
        return false;
    if (!axis.constant || axis.integer < 0 || axis.integer >= b->shape.rank)
        return emit_error(em, op, "an axis that is not a constant");
    emit_pure(em, mlirOperationGetResult(op, 0), extent_of(em, &b->shape, (int)axis.integer));
    return true;
}

/* ---- regions, weights and states: entries only ---- */

static bool bind_bytes(emitter *em, MlirOperation op, const char *base, uint64_t offset,
                       const char *qualifier) {
    if (!em->entry)
        return emit_error(em, op, "a kernel takes its memory as parameters");
    const char *name = emit_declare(em, emit_value_name(em, mlirOperationGetResult(op, 0)), "buffer");
    binding *b = bind_memory(em, op, name, false);
    if (!b)
        return false;
    const char *type = adze_c_type(em->m, b->element);
    emit_line(em, "%s%s *const %s = (%s%s *)(m->%s + %" PRIu64 ");", qualifier, type, name,
              qualifier, type, base, offset);
    return true;
}

ROW_HANDLER(emit_region) {
    (void)row;
    const char *region = adze_get_str(em->m->ctx, op, "region");
    return bind_bytes(em, op, adze_c_identifier(em->arena, region ? region : ""),
                      (uint64_t)adze_get_i64(op, "offset"), "");
}

ROW_HANDLER(emit_get_weight) {
    (void)row;
    const char *symbol = adze_get_str(em->m->ctx, op, "weight");
    for (int i = 0; symbol && i < em->m->n_weights; i++) {
        adze_c_weight *w = &em->m->weights[i];
        if (strcmp(w->symbol, symbol) != 0)
            continue;
        if (em->m->weights_mode != ADZE_WEIGHTS_C)
            return bind_bytes(em, op, "weights", w->offset, "const ");
        if (!em->entry)
            return emit_error(em, op, "a kernel takes its weights as parameters");
        return bind_memory(em, op, w->name, true) != NULL;
    }
    return emit_error(em, op, "weight '%s' is not in the module", symbol ? symbol : "");
}

ROW_HANDLER(emit_state_ref) {
    (void)row;
    const char *symbol = adze_get_str(em->m->ctx, op, "state");
    for (int i = 0; symbol && i < em->m->n_states; i++)
        if (strcmp(em->m->states[i].symbol, symbol) == 0)
            return bind_bytes(em, op, em->m->regions[em->m->states[i].region].name,
                              em->m->states[i].offset, "");
    return emit_error(em, op, "state '%s' is not in the module", symbol ? symbol : "");
}

/* ---- calls ---- */

static adze_c_kernel *callee_of(emitter *em, MlirOperation op) {
    MlirAttribute a = adze_get(op, "callee");
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAFlatSymbolRef(a))
        return NULL;
    MlirStringRef s = mlirFlatSymbolRefAttrGetValue(a);
    for (int i = 0; i < em->m->n_kernels; i++)
        if (strlen(em->m->kernels[i].symbol) == s.length &&
            memcmp(em->m->kernels[i].symbol, s.data, s.length) == 0)
            return &em->m->kernels[i];
    return NULL;
}

ROW_HANDLER(emit_call) {
    (void)row;
    adze_c_kernel *k = callee_of(em, op);
    if (!k || mlirOperationGetNumOperands(op) != k->n_params)
        return emit_error(em, op, "a call of a function that is neither a kernel nor of the runtime");
    if (k->runtime) {
        size_t n = strlen(k->runtime);
        if (n < 3 || strcmp(k->runtime + n - 2, ".c") != 0)
            return emit_error(em, op, "adze.runtime \"%s\" is not a .c file", k->runtime);
        adze_c_use_runtime(em->m, adze_arena_printf(em->arena, "%.*s.h", (int)n - 2, k->runtime));
    } else if (!em->entry) {
        return emit_error(em, op, "a kernel calls another kernel");
    }
    adze_text text = {0};
    bool shared = adze_c_shared(em->m, k);
    expr items = {0};
    if (!shared)
        adze_text_printf(&text, "%s(", k->name);
    for (int i = 0; i < k->n_params; i++) {
        const adze_c_param *p = &k->params[i];
        if (shared && i >= k->n_params - k->n_shared) { /* the pool gives them */
            expr e = emit_use_typed(em, operand_of(op, i));
            items = i == k->n_params - k->n_shared + 1 ? e : items;
            continue;
        }
        if (i)
            adze_text_puts(&text, ", ");
        if (shared)
            adze_text_printf(&text, ".%s = ", p->name);
        if (p->scalar) {
            expr e = expr_as(em, emit_use(em, operand_of(op, i)), p->scalar_type);
            adze_text_puts(&text, e.text);
            continue;
        }
        binding *b = emit_memory_of(em, operand_of(op, i), op);
        if (!b) {
            adze_text_free(&text);
            return false;
        }
        adze_dtype element = p->shape.dtype;
        if (b->element != (int)element)
            adze_text_printf(&text, "(%s%s *)", p->write ? "" : "const ",
                             adze_c_type(em->m, (int)element));
        adze_text_puts(&text, expr_operand(em, b->e, b->element != (int)element ? PREC_MUL : 0));
    }
    for (int i = 0; i < k->n_dims; i++)
        for (int j = 0; j < em->m->n_dims; j++)
            if (strcmp(em->m->dims[j].symbol, k->dims[i]) == 0)
                adze_text_printf(&text, shared ? "%s.%s = %s" : "%s%s", k->n_params + i ? ", " : "",
                                 em->m->dims[j].name, em->m->dims[j].name);
    const char *call = shared ? adze_arena_printf(em->arena,
                                                  "adze_parallel_for(pool, %s, share_%s, "
                                                  "&(struct share_%s){%s})",
                                                  items.text, k->name, k->name, text.data)
                              : adze_arena_printf(em->arena, "%s)", text.data);
    adze_text_free(&text);
    emit_flush(em, false);
    if (mlirOperationGetNumResults(op) == 1) {
        MlirValue result = mlirOperationGetResult(op, 0);
        int type = emit_type_of(em, mlirValueGetType(result));
        if (type == ADZE_NO_DTYPE)
            return emit_error(em, op, "a call that returns something other than a scalar");
        emit_named(em, result, expr_text(type, PREC_PRIMARY, call));
        return true;
    }
    if (mlirOperationGetNumResults(op) != 0)
        return emit_error(em, op, "a call with several results");
    emit_line(em, "%s;", call);
    if (em->m->profile && em->entry)
        emit_line(em, "PROFILE(%d);", em->next_call++);
    return true;
}

ROW_HANDLER(emit_return) {
    (void)row;
    if (mlirOperationGetNumOperands(op) != 0)
        return emit_error(em, op, "a level-3 function returns nothing: results are parameters");
    return true;
}
