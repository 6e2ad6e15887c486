/* Rows of the instruction table as C expressions: operands converted and put in, $pg and $vl, headers.
 *
 * Lanes that are off (adze.active) are a mask for the loads and stores of its scope, a predicate ($pg) or a
 * vector length ($vl) for every row of it; outside, $pg and $vl say "all", from a constant at the kernel's top. */
#include "codegen/emit_vector.h"

#include <stdlib.h>
#include <string.h>

/* ---- types ---- */

const adze_vector_type *row_vector_type(emitter *em, int type) {
    return &em->m->target->vector_types[type - ADZE_C_VECTOR];
}

/* The C type of a row's operand or result; ADZE_NO_DTYPE for pointers, literals and nothing. */
int row_type(emitter *em, const adze_value_type *v) {
    const adze_target *t = em->m->target;
    if (v->pointer || v->base == 'v' || v->base == '#')
        return ADZE_NO_DTYPE;
    if (v->base == 'n')
        return ADZE_C_INDEX;
    if (strchr(v->spelling, 'x')) {
        for (size_t i = 0; i < t->vector_type_count; i++)
            if (strcmp(t->vector_types[i].type.spelling, v->spelling) == 0)
                return ADZE_C_VECTOR + (int)i;
        return ADZE_NO_DTYPE;
    }
    if (v->base == 'b')
        return ADZE_bool;
    char cls = v->base == 's' ? 'I' : v->base == 'u' ? 'U' : 'F';
    if (v->bits == 16 && cls == 'F')
        return v->base == 'h' ? ADZE_bf16 : ADZE_f16;
    for (int i = 1; i < ADZE_N_DTYPES; i++)
        if (adze_dtype_get((adze_dtype)i)->cls == cls && adze_dtype_get((adze_dtype)i)->bits == (int)v->bits)
            return i;
    return ADZE_NO_DTYPE;
}

static bool has_lanes(const adze_value_type *v) { return v->lanes > 1 || v->scalable; }

/* The type whose lanes a row works on. */
const adze_value_type *row_lanes(const adze_instruction *row) {
    if (has_lanes(&row->type))
        return &row->type;
    for (size_t i = 0; i < row->operand_count; i++)
        if (has_lanes(&row->operands[i]))
            return &row->operands[i];
    return &row->result;
}

/* ---- errors ---- */

bool emit_no_row(emitter *em, MlirOperation op, const char *what) {
    adze_text types = {0};
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
        const char *s = adze_vector_spelling(em->m->ctx, type_of(operand_of(op, (int)i)), 's');
        adze_text_printf(&types, "%s%s", i ? ", " : "", s ? s : "memory");
    }
    if (mlirOperationGetNumResults(op)) {
        const char *s = adze_vector_spelling(em->m->ctx, type_of(result_of(op)), 's');
        adze_text_printf(&types, " -> %s", s ? s : "?");
    }
    emit_error(em, op, "target %s has no row %s on (%s)",
               em->m->target ? em->m->target->name : "portable", what, types.data ? types.data : "");
    adze_text_free(&types);
    return false;
}

/* "vector.add for arith.addf": the row that an operation wants. */
static const char *wanted(emitter *em, const char *op) {
    static const struct {
        const char *op, *row;
    } names[] = {
#define V(op, row, key, sign) {op, row},
#include "codegen/emit_vector.def"
#undef V
    };
    for (size_t i = 0; i < ADZE_COUNT(names); i++)
        if (strcmp(names[i].op, op) == 0)
            return adze_arena_printf(em->arena, "%s for %s", names[i].row, op);
    return op;
}

bool emit_find_row(emitter *em, MlirOperation op, const char *key, MlirType result, int n, const MlirType *types,
                 adze_vector_match *match) {
    if (adze_vector_find(em->m->target, key, result, n, types, match))
        return true;
    return emit_no_row(em, op, wanted(em, key));
}

/* ---- the text of a row ---- */

/* How strongly a template's text binds: a call or parentheses, a cast, or anything. */
static precedence strength(const char *text) {
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    if (!text[word])
        return PREC_PRIMARY;
    if (text[word] != '(')
        return PREC_TERNARY;
    int depth = 0;
    for (const char *p = text + word; *p; p++) {
        depth += (*p == '(') - (*p == ')');
        if (depth == 0)
            return !p[1] ? PREC_PRIMARY : word == 0 && p[1] != ' ' ? PREC_UNARY : PREC_TERNARY;
    }
    return PREC_TERNARY;
}

/* A constant at the kernel's top; the same text gets the same name. */
static const char *at_top(emitter *em, const char *type, const char *hint, const char *text) {
    for (int i = 0; i < em->n_tops; i++)
        if (strcmp(em->tops[i].text, text) == 0)
            return em->tops[i].name;
    if (em->n_tops == EMIT_MAX_TOPS)
        return text;
    size_t scope = em->n_names;
    const char *name = emit_declare(em, hint, hint);
    em->n_names = scope; /* known from em->tops */
    em->tops[em->n_tops].name = name;
    em->tops[em->n_tops].type = type;
    em->tops[em->n_tops++].text = text;
    return name;
}

const active_lanes *row_active(emitter *em, const adze_value_type *lanes) {
    for (int i = em->n_actives; i-- > 0;)
        if (em->actives[i].lanes == lanes->lanes && em->actives[i].scalable == lanes->scalable)
            return &em->actives[i];
    return NULL;
}

static void note_header(emitter *em, const char *header) {
    if (header)
        adze_c_use_runtime(em->m, adze_arena_printf(em->arena, "<%s>", header));
}

static char *fill_in(emitter *em, const adze_instruction *row, int n, const char *const *args,
                     const char *vl, const char *pg) {
    char *text = adze_target_instruction_c(em->m->target, row, args, (size_t)n, vl, pg), *out = NULL;
    if (text)
        out = adze_arena_strdup(em->arena, text);
    free(text);
    return out;
}

/* Types with the same number of lanes share the rows that count them. */
const adze_instruction *row_counting(emitter *em, const char *name, size_t operands, const adze_value_type *lanes) {
    const adze_target *t = em->m->target;
    for (size_t i = 0; i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        if (row->operand_count == operands && row->type.lanes == lanes->lanes &&
            row->type.scalable == lanes->scalable && strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

const char *row_all_lanes(emitter *em, const adze_value_type *lanes) {
    const adze_instruction *row = row_counting(em, "vector.lanes", 0, lanes);
    if (!row)
        return NULL;
    note_header(em, row->header);
    return at_top(em, "size_t", "vl", fill_in(em, row, 0, NULL, NULL, NULL));
}

static const char *all_true(emitter *em, const adze_value_type *lanes) {
    const adze_target *t = em->m->target;
    const char *mask = adze_arena_printf(em->arena, "b1xN%u", lanes->lanes);
    const adze_instruction *row = adze_target_instruction_on(t, "vector.mask.all", mask, 0, NULL);
    const adze_vector_type *type = adze_target_vector_type(t, mask);
    if (!row || !type)
        return NULL;
    note_header(em, row->header);
    return at_top(em, type->c_type, "all", fill_in(em, row, 0, NULL, NULL, NULL));
}

static int times_used(const char *c, int operand) {
    int n = 0;
    for (const char *p = c; (p = strchr(p, '$')) != NULL; p += p[1] ? 2 : 1)
        n += p[1] == '0' + operand;
    return n;
}

/* The row with its operands put in: each is converted to what the row takes. */
expr expr_row(emitter *em, MlirOperation op, const adze_instruction *row, expr *args) {
    const char *texts[ADZE_MAX_OPERANDS], *vl = NULL, *pg = NULL;
    int n = (int)row->operand_count;
    expr e = {.type = row_type(em, &row->result)};
    for (int i = 0; i < n; i++) {
        const adze_value_type *v = &row->operands[i];
        if (v->base == '#' && !args[i].constant)
            emit_error(em, op, "operand %d of %s must be a constant", i, row->name);
        if (v->base != '#' && !v->pointer)
            args[i] = expr_as(em, args[i], row_type(em, v));
        if (v->base == 'n' && !args[i].constant)
            args[i].text = adze_arena_printf(em->arena, "(size_t)%s", expr_operand(em, args[i], PREC_UNARY));
        if (times_used(row->c, i) > 1 && strpbrk(args[i].text, "([ ")) {
            const char *name = emit_declare(em, v->pointer ? "p" : v->base == 'n' ? "n" : "v", "v");
            if (v->base == 'n')
                emit_line(em, "const size_t %s = %s;", name, args[i].text);
            else if (v->pointer)
                emit_line(em, "%s%s *const %s = %s;", v->pointer == '*' ? "const " : "",
                          adze_c_type(em->m, args[i].type), name, args[i].text);
            else
                emit_line(em, "const %s %s = %s;", adze_c_type(em->m, args[i].type), name, args[i].text);
            args[i] = expr_text(args[i].type, PREC_PRIMARY, name);
        }
        e.memory |= args[i].memory;
        e.varying |= args[i].varying;
        texts[i] = args[i].text;
    }
    const adze_value_type *lanes = row_lanes(row);
    const active_lanes *active = row_active(em, lanes);
    if (strstr(row->c, "$vl"))
        vl = active ? active->text : row_all_lanes(em, lanes);
    if (strstr(row->c, "$pg"))
        pg = active ? active->text : all_true(em, lanes);
    e.text = fill_in(em, row, n, texts, vl, pg);
    if (!e.text) {
        emit_error(em, op, "target %s has no row vector.%s for %s, which %s needs", em->m->target->name,
                   strstr(row->c, "$vl") ? "lanes" : "mask.all", lanes->spelling, row->name);
        e.text = "0";
    }
    note_header(em, row->header);
    e.prec = strength(e.text);
    if (row->result.base == 'n')
        e = expr_cast(em, e, ADZE_C_INDEX);
    return e;
}

/* The same lanes as another C type: s8x16 as u8x16. */
expr expr_vector_as(emitter *em, expr e, int type) {
    if (e.type < ADZE_C_VECTOR || type < ADZE_C_VECTOR) {
        emit_error(em, (MlirOperation){NULL}, "a vector stands where a scalar should, or the reverse");
        return e;
    }
    const adze_vector_type *from = row_vector_type(em, e.type), *to = row_vector_type(em, type);
    e.left = NULL;
    if (strcmp(from->c_type, to->c_type) == 0) {
        e.type = type;
        return e;
    }
    const char *operands[] = {from->type.spelling};
    const adze_instruction *row =
        adze_target_instruction_on(em->m->target, "vector.cast", to->type.spelling, 1, operands);
    if (!row) {
        emit_error(em, (MlirOperation){NULL}, "target %s has no row vector.cast of %s from %s",
                   em->m->target->name, to->type.spelling, from->type.spelling);
        e.type = type;
        return e;
    }
    return expr_row(em, (MlirOperation){NULL}, row, &e);
}

/* ---- operands ---- */

/* `x + at` as the pointer that the row takes. */
expr expr_pointer(emitter *em, const adze_value_type *want, const binding *b, expr flat) {
    expr p = b->e;
    if (!flat.constant || flat.integer) {
        p.type = ADZE_C_INDEX;
        p = expr_add_index(em, p, flat);
    }
    p.memory = flat.memory || (want->pointer == '*' && !b->stable);
    adze_value_type element = *want;
    element.pointer = 0;
    element.spelling = "";
    p.type = row_type(em, &element);
    const char *ours = adze_c_type(em->m, b->element), *theirs = adze_c_type(em->m, p.type);
    if (strcmp(ours, theirs)) {
        p.text = adze_arena_printf(em->arena, "(%s%s *)%s", want->pointer == '*' ? "const " : "", theirs,
                                   expr_operand(em, p, PREC_UNARY));
        p.prec = PREC_UNARY;
    }
    return p;
}

const active_lanes *row_mask(emitter *em, MlirType type) {
    adze_value_type lanes = {.lanes = (unsigned)mlirShapedTypeGetDimSize(type, 0),
                             .scalable = mlirVectorTypeIsScalable(type)};
    return lanes.scalable ? NULL : row_active(em, &lanes);
}

expr expr_mask(const active_lanes *mask) { return expr_text(mask->type, PREC_PRIMARY, mask->text); }

expr expr_float(emitter *em, int type, double v) {
    adze_text text = {0};
    if (type == ADZE_f32 || type == ADZE_f64)
        adze_c_float(&text, v, type == ADZE_f32);
    else
        adze_text_printf(&text, "0x%x", (unsigned)adze_float_encode((adze_dtype)type, v, false));
    expr e = expr_text(type, PREC_PRIMARY, adze_arena_strdup(em->arena, text.data));
    adze_text_free(&text);
    if (e.text[0] == '-')
        e.prec = PREC_UNARY;
    if (strstr(e.text, "INFINITY") || strstr(e.text, "NAN"))
        adze_c_use_runtime(em->m, "<math.h>");
    return e;
}
