/* How many lanes there are, which of them count, and reductions over them. */
#include "codegen/emit_vector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- lanes ---- */

static bool parse_lanes(const char *type, adze_value_type *out) {
    const char *x = type ? strchr(type, 'x') : NULL;
    if (!x)
        return false;
    *out = (adze_value_type){.spelling = type, .scalable = x[1] == 'N'};
    out->lanes = (unsigned)strtoul(x + 1 + out->scalable, NULL, 10);
    return out->lanes > 0;
}

ROW_HANDLER(emit_lanes) {
    (void)row;
    adze_value_type v;
    if (!em->m->target || !parse_lanes(adze_get_str(em->m->ctx, op, "type"), &v))
        return emit_no_row(em, op, "vector.lanes");
    if (!v.scalable) {
        emit_pure(em, result_of(op), expr_int(em, ADZE_C_INDEX, v.lanes));
        return true;
    }
    const char *count = row_all_lanes(em, &v);
    if (!count)
        return emit_no_row(em, op, adze_arena_printf(em->arena, "vector.lanes of %s", v.spelling));
    expr e = expr_text(ADZE_C_INDEX, PREC_PRIMARY, count);
    emit_pure(em, result_of(op), expr_cast(em, e, ADZE_C_INDEX));
    return true;
}

/* min(remaining, lanes), an index. */
static bool count_of(emitter *em, MlirOperation op, const adze_value_type *v, expr remaining, expr *out) {
    expr lanes = expr_int(em, ADZE_C_INDEX, v->lanes);
    if (v->scalable) {
        const char *count = row_all_lanes(em, v);
        if (!count)
            return emit_no_row(em, op, adze_arena_printf(em->arena, "vector.lanes of %s", v->spelling));
        lanes = expr_cast(em, expr_text(ADZE_C_INDEX, PREC_PRIMARY, count), ADZE_C_INDEX);
    }
    expr both[] = {remaining, lanes};
    adze_c_use_runtime(em->m, "adze_int.h");
    const char *min = strcmp(em->m->index_type, "int") == 0 ? "adze_min_i32" : "adze_min_i64";
    *out = expr_call(em, ADZE_C_INDEX, min, 2, both);
    return true;
}

/* A vector length: a size_t, as the rows want it. vsetvl may give fewer than it could for up to twice what a
 * register holds, so it is never asked for more than that. */
static bool set_length(emitter *em, MlirOperation op, const adze_instruction *row, active_lanes *a,
                       const adze_value_type *v, expr remaining) {
    expr e;
    if (!count_of(em, op, v, remaining, &e))
        return false;
    e = expr_row(em, op, row, &e);
    a->type = ADZE_C_INDEX;
    a->text = emit_declare(em, emit_value_name(em, result_of(op)), "vl");
    const char *plain = strchr(e.text, ')'); /* without the cast to an index */
    emit_line(em, "const size_t %s = %s;", a->text, plain ? plain + 1 : e.text);
    expr count = expr_text(ADZE_C_INDEX, PREC_PRIMARY, a->text);
    emit_bind(em, result_of(op), expr_cast(em, count, ADZE_C_INDEX));
    return true;
}

static bool set_mask(emitter *em, MlirOperation op, const adze_instruction *row, active_lanes *a,
                     const adze_value_type *v, expr remaining) {
    bool counted = emit_use_count(em, result_of(op), NULL) > 0;
    if (counted && strpbrk(remaining.text, "([ ")) {
        const char *name = emit_declare(em, "remaining", "remaining");
        emit_line(em, "const %s %s = %s;", adze_c_type(em->m, ADZE_C_INDEX), name, remaining.text);
        remaining = expr_text(ADZE_C_INDEX, PREC_PRIMARY, name);
    }
    expr e = remaining;
    e = expr_row(em, op, row, &e);
    a->type = row_type(em, &row->result);
    a->text = emit_declare(em, emit_value_name(em, result_of(op)), "mask");
    emit_line(em, "const %s %s = %s;", adze_c_type(em->m, a->type), a->text, e.text);
    if (!counted)
        return true;
    if (!count_of(em, op, v, remaining, &e))
        return false;
    emit_pure(em, result_of(op), e);
    return true;
}

ROW_HANDLER(emit_active) {
    (void)row;
    const adze_target *t = em->m->target;
    adze_value_type v;
    if (!t || !parse_lanes(adze_get_str(em->m->ctx, op, "type"), &v))
        return emit_no_row(em, op, "vector.mask.first");
    if (em->n_actives == EMIT_MAX_ACTIVES)
        return emit_error(em, op, "more than %d within each other", (int)EMIT_MAX_ACTIVES);
    const char *index = "index";
    const char *mask = adze_arena_printf(em->arena, v.scalable ? "b1xN%u" : "b1x%u", v.lanes);
    const adze_instruction *length = v.scalable ? row_counting(em, "vector.length", 1, &v) : NULL;
    const adze_instruction *first = adze_target_instruction_on(t, "vector.mask.first", mask, 1, &index);
    if (!length && !first)
        return emit_no_row(em, op, adze_arena_printf(em->arena, "vector.mask.first of %s", mask));
    active_lanes *a = &em->actives[em->n_actives];
    *a = (active_lanes){.lanes = v.lanes, .scalable = v.scalable};
    expr remaining = emit_use_typed(em, operand_of(op, 0));
    bool ok = length ? set_length(em, op, length, a, &v, remaining)
                     : set_mask(em, op, first, a, &v, remaining);
    em->n_actives += ok;
    return ok;
}

/* ---- reductions ---- */

static void append(MlirStringRef s, void *user) { adze_text_append(user, s.data, s.length); }

/* "add" of #vector.kind<add>. */
static const char *kind_of(emitter *em, MlirOperation op) {
    adze_text text = {0};
    mlirAttributePrint(adze_get(op, "kind"), append, &text);
    const char *from = text.data ? strchr(text.data, '<') : NULL, *to = from ? strchr(from, '>') : NULL;
    const char *kind = to ? adze_arena_strndup(em->arena, from + 1, (size_t)(to - from - 1)) : "";
    adze_text_free(&text);
    return kind;
}

/* The vector with the lanes that are off replaced by what changes no sum and no extreme. */
static bool with_identity(emitter *em, MlirOperation op, const char *kind, const active_lanes *mask,
                          MlirType type, expr *v) {
    static const struct {
        const char *kind;
        double real;
    } reals[] = {{"add", 0}, {"maximumf", -1}, {"maxnumf", -1}, {"minimumf", 1}, {"minnumf", 1}};
    MlirType element = mlirShapedTypeGetElementType(type);
    adze_vector_match splat, select;
    MlirType i1 = mlirIntegerTypeGet(em->m->ctx->mlir, 1);
    MlirType types[] = {adze_vector_of(i1, mlirShapedTypeGetDimSize(type, 0), false), type, type};
    size_t at = 0;
    while (at < ADZE_COUNT(reals) && strcmp(reals[at].kind, kind))
        at++;
    if (at == ADZE_COUNT(reals) || (at > 0 && !mlirTypeIsAFloat(element)))
        return emit_no_row(em, op, adze_arena_printf(em->arena, "vector.reduction:%s with lanes off", kind));
    if (!emit_find_row(em, op, "vector.broadcast", type, 1, &element, &splat) ||
        !emit_find_row(em, op, "arith.select", type, 3, types, &select))
        return false;
    int scalar = row_type(em, &splat.row->operands[0]);
    expr e = mlirTypeIsAFloat(element)
                 ? expr_float(em, scalar, reals[at].real == 0 ? 0 : reals[at].real * (double)INFINITY)
                 : expr_int(em, scalar, 0);
    expr args[] = {expr_mask(mask), *v, expr_row(em, op, splat.row, &e)};
    *v = expr_row(em, op, select.row, args);
    return true;
}

bool emit_reduction(emitter *em, MlirOperation op) {
    const char *kind = kind_of(em, op), *key = adze_arena_printf(em->arena, "vector.reduction:%s", kind);
    MlirType types[] = {type_of(operand_of(op, 0))}, result = type_of(result_of(op));
    adze_vector_match match;
    if (!emit_find_row(em, op, key, result, 1, types, &match))
        return false;
    expr args[2] = {emit_use(em, operand_of(op, 0))};
    const active_lanes *mask = row_mask(em, types[0]);
    if (mask) {
        const adze_value_type *v = &match.row->operands[0];
        const char *operands[] = {row_vector_type(em, mask->type)->type.spelling, v->spelling};
        const adze_instruction *masked =
            adze_target_instruction_on(em->m->target, adze_arena_printf(em->arena, "%s.masked", match.row->name),
                                       match.row->type.spelling, 2, operands);
        if (masked) {
            args[1] = args[0];
            args[0] = expr_mask(mask);
            match.row = masked;
        } else if (!with_identity(em, op, kind, mask, types[0], &args[0])) {
            return false;
        }
    }
    expr e = expr_row(em, op, match.row, args);
    if (mlirOperationGetNumOperands(op) == 2) {
        if (strcmp(kind, "add") || !mlirTypeIsAFloat(result))
            return emit_error(em, op, "only floats are added to a scalar");
        e = expr_infix(em, e.type, PREC_ADD, "+", emit_use(em, operand_of(op, 1)), e);
    }
    emit_pure(em, result_of(op), e);
    return true;
}
