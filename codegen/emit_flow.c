/* Control flow: scf.for, scf.if, scf.while as C loops and branches over mutable locals.
 *
 * A loop-carried value is one variable. It is shared with the value that it continues (a nested
 * reduction writes the outer accumulator) wherever nobody reads the old value afterwards. */
#include "codegen/emit_internal.h"

#include <string.h>

static MlirBlock block_of(MlirOperation op, int region) {
    MlirRegion r = mlirOperationGetRegion(op, region);
    return mlirRegionGetFirstBlock(r);
}

static bool is_loop(MlirOperation op) {
    return adze_is_op(op, "scf.for") || adze_is_op(op, "scf.while");
}

static MlirBlock home_of(MlirValue value) {
    return mlirValueIsABlockArgument(value) ? mlirBlockArgumentGetOwner(value)
                                            : mlirOperationGetBlock(mlirOpResultGetOwner(value));
}

/* The operation of `block` that holds `op` (maybe itself); null when it is elsewhere. */
static MlirOperation ancestor_in(MlirBlock block, MlirOperation op) {
    while (!mlirOperationIsNull(op) && !mlirBlockEqual(mlirOperationGetBlock(op), block))
        op = mlirOperationGetParentOperation(op);
    return op;
}

static variable *new_variable(emitter *em, int type, const char *hint) {
    variable *v = ADZE_NEW(em->arena, variable);
    v->name = emit_declare(em, hint, "t");
    v->type = type;
    return v;
}

/* Whether anything other than `op` may read `value` once `op` has begun: a use before `op`, or in the
 * other branch of an scf.if around it, does not. `inside`: uses within op's own regions do not count
 * either. */
static bool read_later(emitter *em, MlirValue value, MlirOperation op, bool inside) {
    int own = 0;
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation owner = mlirOpOperandGetOwner(use);
        if (emit_is_dead(em, owner))
            continue;
        if (mlirOperationEqual(owner, op)) {
            if (++own > 1)
                return true; /* two loop-carried values start from it */
            continue;
        }
        MlirOperation around = op, other = ancestor_in(mlirOperationGetBlock(op), owner);
        while (mlirOperationIsNull(other)) {
            around = mlirOperationGetParentOperation(around);
            if (mlirOperationIsNull(around))
                return true;
            other = ancestor_in(mlirOperationGetBlock(around), owner);
        }
        bool harmless = mlirOperationEqual(other, around)
                            ? (mlirOperationEqual(around, op) ? inside
                                                              : adze_is_op(around, "scf.if"))
                            : mlirOperationIsBeforeInBlock(other, around);
        if (!harmless)
            return true;
    }
    return false;
}

/* The variable that a loop can take over from its initial value: nobody reads the value afterwards,
 * and no loop stands between the two. */
static variable *inherited(emitter *em, MlirOperation loop, MlirValue init) {
    binding *b = emit_lookup(em, init);
    if (!b || !b->variable || !mlirValueEqual(b->variable->holder, init) ||
        read_later(em, init, loop, false))
        return NULL;
    MlirBlock home = home_of(init);
    for (MlirOperation op = loop; !mlirBlockEqual(mlirOperationGetBlock(op), home);) {
        op = mlirOperationGetParentOperation(op);
        if (mlirOperationIsNull(op) || is_loop(op))
            return NULL;
    }
    return b->variable;
}

/* Variables for the loop-carried values, initialised. Names come from the loop's location chain
 * (from `first_name` on) or from the block arguments. */
static variable **loop_variables(emitter *em, MlirOperation loop, MlirBlock body, int first_operand,
                                 int first_argument, int n, int first_name) {
    variable **vars = ADZE_NEW_ARRAY(em->arena, variable *, (size_t)n + 1);
    expr *inits = ADZE_NEW_ARRAY(em->arena, expr, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        MlirValue init = mlirOperationGetOperand(loop, first_operand + i);
        vars[i] = inherited(em, loop, init);
        if (!vars[i])
            inits[i] = emit_use_typed(em, init);
    }
    emit_flush(em, true);
    for (int i = 0; i < n; i++) {
        if (vars[i])
            continue;
        MlirValue argument = mlirBlockGetArgument(body, first_argument + i);
        const char *hint = emit_location_name(em, mlirOperationGetLocation(loop), first_name + i);
        if (!hint)
            hint = emit_location_name(em, mlirValueGetLocation(argument), 0);
        int type = emit_type_of(em, mlirValueGetType(argument));
        if (type == ADZE_NO_DTYPE) {
            emit_error(em, loop, "a loop carries a value that C has no type for");
            type = ADZE_i32;
        }
        vars[i] = new_variable(em, type, hint ? hint : "acc");
        emit_line(em, "%s %s = %s;", adze_c_type(em->m, type), vars[i]->name, inits[i].text);
    }
    for (int i = 0; i < n; i++)
        emit_bind_variable(em, mlirBlockGetArgument(body, first_argument + i), vars[i]);
    return vars;
}

/* Assigns all values at once: a value that a later one reads is assigned after it, and a cycle goes
 * through a constant. */
static void assign_all(emitter *em, variable **vars, expr *values, int n) {
    bool *done = ADZE_NEW_ARRAY(em->arena, bool, (size_t)n + 1);
    int left = 0;
    for (int i = 0; i < n; i++) {
        done[i] = strcmp(values[i].text, vars[i]->name) == 0;
        left += !done[i];
    }
    while (left) {
        bool moved = false;
        for (int i = 0; i < n; i++) {
            bool wanted = false;
            for (int j = 0; j < n && !done[i]; j++)
                wanted |= j != i && !done[j] && text_mentions(values[j].text, vars[i]->name);
            if (done[i] || wanted)
                continue;
            emit_assign(em, vars[i]->name, values[i]);
            done[i] = moved = true;
            left--;
        }
        for (int i = 0; i < n && !moved; i++) {
            if (done[i])
                continue;
            const char *name = emit_declare(
                em, adze_arena_printf(em->arena, "next_%s", vars[i]->name), "t");
            emit_line(em, "const %s %s = %s;", adze_c_type(em->m, vars[i]->type), name,
                      values[i].text);
            values[i] = expr_text(vars[i]->type, PREC_PRIMARY, name);
            moved = true;
        }
    }
}

/* The block's operations, then its terminator's operands (from `first`) into the variables. */
static void emit_body(emitter *em, MlirBlock block, variable **vars, int n, int first) {
    frame f = {block, vars, n}, *outer = em->frame;
    size_t scope = em->n_names;
    em->frame = &f;
    emit_block(em, block);
    em->frame = outer;
    MlirOperation yield = mlirBlockGetTerminator(block);
    expr *values = ADZE_NEW_ARRAY(em->arena, expr, (size_t)n + 1);
    for (int i = 0; i < n; i++)
        values[i] = expr_as(em, emit_use(em, mlirOperationGetOperand(yield, first + i)),
                            vars[i]->type);
    assign_all(em, vars, values, n);
    em->n_names = scope;
}

/* Cheap enough to stand in a loop's condition. */
static bool is_simple(expr e) {
    return e.constant || (!e.memory && !e.varying && strlen(e.text) < 24 && !strpbrk(e.text, "[?("));
}

static expr loop_bound(emitter *em, MlirValue value, const char *name) {
    expr e = emit_use_typed(em, value);
    if (is_simple(e))
        return e;
    const char *c = emit_declare(em, name, name);
    emit_line(em, "const %s %s = %s;", adze_c_type(em->m, e.type), c, e.text);
    return expr_text(e.type, PREC_PRIMARY, c);
}

ROW_HANDLER(emit_for) {
    (void)row;
    int n = (int)mlirOperationGetNumResults(op);
    MlirBlock body = block_of(op, 0);
    MlirValue iv = mlirBlockGetArgument(body, 0);
    int type = emit_type_of(em, mlirValueGetType(iv));
    variable **vars = loop_variables(em, op, body, 3, 1, n, 1);
    expr low = emit_use_typed(em, mlirOperationGetOperand(op, 0));
    expr high = loop_bound(em, mlirOperationGetOperand(op, 1), "end");
    expr step = loop_bound(em, mlirOperationGetOperand(op, 2), "step");
    size_t scope = em->n_names;
    const char *hint = emit_location_name(em, mlirOperationGetLocation(op), 0);
    if (!hint)
        hint = emit_location_name(em, mlirValueGetLocation(iv), 0);
    const char *i = emit_declare(em, hint, emit_free_index(em));
    emit_bind(em, iv, expr_text(type, PREC_PRIMARY, i));
    const char *next = step.constant && step.integer == 1
                           ? adze_arena_printf(em->arena, "%s++", i)
                           : adze_arena_printf(em->arena, "%s += %s", i, step.text);
    emit_line(em, "for (%s %s = %s; %s < %s; %s) {", adze_c_type(em->m, type), i, low.text, i,
              expr_operand(em, high, PREC_RELATION), next);
    emit_open(em);
    emit_body(em, body, vars, n, 0);
    emit_close(em, "}");
    em->n_names = scope;
    for (int r = 0; r < n; r++)
        emit_bind_variable(em, mlirOperationGetResult(op, r), vars[r]);
    return true;
}

/* ---- scf.if ---- */

/* Only pure operations, each used once, so that the block can be part of an expression. */
static bool is_expression(emitter *em, MlirBlock block) {
    if (mlirBlockIsNull(block))
        return false;
    int count = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        if (mlirOperationIsNull(mlirOperationGetNextInBlock(op)))
            return true;
        const emit_row *row = emit_row_of(op);
        if (emit_is_dead(em, op))
            continue;
        if (!row || !row->pure || mlirOperationGetNumResults(op) != 1 || emit_touches_vectors(op))
            return false;
        if (row->emit == emit_constant)
            continue;
        if (++count > 8 || emit_use_count(em, mlirOperationGetResult(op, 0), NULL) != 1)
            return false;
    }
    return false;
}

static expr block_expression(emitter *em, MlirBlock block) {
    bool before = em->fold_all;
    em->fold_all = true;
    emit_block(em, block);
    em->fold_all = before;
    return emit_use_typed(em, mlirOperationGetOperand(mlirBlockGetTerminator(block), 0));
}

/* The variable of an outer loop or branch that result `i` can be written to directly: it is only
 * yielded there, and nobody reads the variable's present value after this operation. */
static variable *yielded_to(emitter *em, MlirOperation op, int i) {
    MlirValue result = mlirOperationGetResult(op, i);
    MlirOperation user = {NULL};
    frame *f = em->frame;
    MlirBlock block = mlirOperationGetBlock(op);
    if (!f || !mlirBlockEqual(f->block, block) || emit_use_count(em, result, &user) != 1 ||
        !mlirOperationEqual(user, mlirBlockGetTerminator(block)))
        return NULL;
    unsigned index = mlirOpOperandGetOperandNumber(mlirValueGetFirstUse(result));
    if (index >= (unsigned)f->n)
        return NULL;
    variable *v = f->variables[index];
    if (v->type != emit_type_of(em, mlirValueGetType(result)))
        return NULL;
    return v->holder.ptr == NULL || !read_later(em, v->holder, op, true) ? v : NULL;
}

static bool only_terminator(MlirBlock block) {
    return mlirBlockIsNull(block) ||
           mlirOperationIsNull(mlirOperationGetNextInBlock(mlirBlockGetFirstOperation(block)));
}

/* A branch into a text of its own. */
static adze_text emit_branch(emitter *em, MlirBlock block, variable **vars, MlirValue *holders, int n) {
    adze_text text = {0}, *out = em->out;
    if (mlirBlockIsNull(block))
        return text;
    for (int i = 0; i < n; i++)
        vars[i]->holder = holders[i];
    em->out = &text;
    emit_open(em);
    emit_body(em, block, vars, n, 0);
    emit_close(em, NULL);
    em->out = out;
    return text;
}

static const char *negated(emitter *em, expr c) {
    return adze_arena_printf(em->arena, "!%s", c.prec >= PREC_UNARY
                                                   ? c.text
                                                   : adze_arena_printf(em->arena, "(%s)", c.text));
}

ROW_HANDLER(emit_if) {
    (void)row;
    int n = (int)mlirOperationGetNumResults(op);
    MlirBlock yes = block_of(op, 0), no = block_of(op, 1);
    variable **vars = ADZE_NEW_ARRAY(em->arena, variable *, (size_t)n + 1);
    MlirValue *holders = ADZE_NEW_ARRAY(em->arena, MlirValue, (size_t)n + 1);
    for (int i = 0; i < n; i++)
        vars[i] = yielded_to(em, op, i);
    if (n == 1 && !vars[0] && is_expression(em, yes) && is_expression(em, no)) {
        expr c = emit_use(em, mlirOperationGetOperand(op, 0));
        expr a = block_expression(em, yes), b = block_expression(em, no);
        if (strlen(a.text) + strlen(b.text) + strlen(c.text) < 84) {
            expr e = {.type = a.type, .prec = PREC_TERNARY,
                      .memory = a.memory || b.memory || c.memory,
                      .varying = a.varying || b.varying || c.varying};
            e.text = adze_arena_printf(em->arena, "%s ? %s : %s", expr_operand(em, c, PREC_TERNARY),
                                       expr_operand(em, a, PREC_TERNARY),
                                       expr_operand(em, b, PREC_TERNARY));
            emit_pure(em, mlirOperationGetResult(op, 0), e);
            return true;
        }
    }
    expr c = emit_use(em, mlirOperationGetOperand(op, 0));
    emit_flush(em, true);
    /* An else branch that only names values is the variables' initial value. */
    bool defaults = n > 0 && only_terminator(no);
    for (int i = 0; i < n; i++)
        defaults = defaults && !vars[i];
    for (int i = 0; i < n; i++) {
        if (vars[i]) {
            holders[i] = vars[i]->holder;
            continue;
        }
        MlirValue result = mlirOperationGetResult(op, i);
        int type = emit_type_of(em, mlirValueGetType(result));
        if (type == ADZE_NO_DTYPE)
            return emit_error(em, op, "a branch yields a value that C has no type for");
        vars[i] = new_variable(em, type, emit_value_name(em, result));
        const char *c_type = adze_c_type(em->m, type);
        if (defaults) {
            MlirValue value = mlirOperationGetOperand(mlirBlockGetTerminator(no), i);
            emit_line(em, "%s %s = %s;", c_type, vars[i]->name, emit_use_typed(em, value).text);
        } else {
            emit_line(em, "%s %s;", c_type, vars[i]->name);
        }
    }
    adze_text a = emit_branch(em, yes, vars, holders, n), b = {0};
    if (!defaults)
        b = emit_branch(em, no, vars, holders, n);
    if (a.length) {
        emit_line(em, "if (%s) {", c.text);
        adze_text_append(em->out, a.data, a.length);
        if (b.length) {
            emit_line(em, "} else {");
            adze_text_append(em->out, b.data, b.length);
        }
        emit_line(em, "}");
    } else if (b.length) {
        emit_line(em, "if (%s) {", negated(em, c));
        adze_text_append(em->out, b.data, b.length);
        emit_line(em, "}");
    }
    adze_text_free(&a);
    adze_text_free(&b);
    for (int i = 0; i < n; i++)
        emit_bind_variable(em, mlirOperationGetResult(op, i), vars[i]);
    return true;
}

/* ---- scf.while ---- */

ROW_HANDLER(emit_while) {
    (void)row;
    MlirBlock before = block_of(op, 0), after = block_of(op, 1);
    int n = (int)mlirOperationGetNumOperands(op), n_results = (int)mlirOperationGetNumResults(op);
    MlirOperation condition = mlirBlockGetTerminator(before);
    variable **vars = loop_variables(em, op, before, 0, 0, n, 0);

    /* Results are the condition's operands; usually the loop-carried values themselves. */
    variable **results = ADZE_NEW_ARRAY(em->arena, variable *, (size_t)n_results + 1);
    bool same = true;
    for (int i = 0; i < n_results; i++) {
        MlirValue forwarded = mlirOperationGetOperand(condition, 1 + i);
        for (int j = 0; j < n; j++)
            if (mlirValueEqual(forwarded, mlirBlockGetArgument(before, j)))
                results[i] = vars[j];
        same = same && results[i] && (i == 0 || results[i] != results[i - 1]);
    }
    for (int i = 0; i < n_results; i++) {
        if (same)
            continue;
        MlirValue result = mlirOperationGetResult(op, i);
        int type = emit_type_of(em, mlirValueGetType(result));
        if (type == ADZE_NO_DTYPE)
            return emit_error(em, op, "a loop carries a value that C has no type for");
        results[i] = new_variable(em, type, emit_value_name(em, result));
        emit_line(em, "%s %s;", adze_c_type(em->m, type), results[i]->name);
    }
    size_t scope = em->n_names;
    if (same && is_expression(em, before)) {
        expr c = block_expression(em, before);
        emit_line(em, "while (%s) {", c.text);
        emit_open(em);
    } else {
        emit_line(em, "for (;;) {");
        emit_open(em);
        emit_body(em, before, results, same ? 0 : n_results, 1);
        expr c = emit_use(em, mlirOperationGetOperand(condition, 0));
        emit_line(em, "if (%s) {", negated(em, c));
        emit_line(em, "    break;");
        emit_line(em, "}");
    }
    for (int i = 0; i < n_results; i++)
        emit_bind_variable(em, mlirBlockGetArgument(after, i), results[i]);
    emit_body(em, after, vars, n, 0);
    emit_close(em, "}");
    em->n_names = scope;
    for (int i = 0; i < n_results; i++)
        emit_bind_variable(em, mlirOperationGetResult(op, i), results[i]);
    return true;
}
