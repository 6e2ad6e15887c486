/* Vector operations: each finds its row of the target's instruction table (vector.c), whose C gets the operands
 * put in. What is not plain "operands in, result out" has a handler of its own: memory, constants, comparisons,
 * shifts, reductions, lanes that are off.
 *
 * Lanes that are off (adze.active) are a mask for the loads and stores of its scope, a predicate ($pg) or a
 * vector length ($vl) for every row of it; outside, $pg and $vl say "all", from a constant at the kernel's top. */
#include "codegen/emit_internal.h"
#include "codegen/vector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static MlirValue operand_of(MlirOperation op, int i) { return mlirOperationGetOperand(op, i); }
static MlirValue result_of(MlirOperation op) { return mlirOperationGetResult(op, 0); }
static MlirType type_of(MlirValue value) { return mlirValueGetType(value); }
static bool is_vector(MlirValue value) { return mlirTypeIsAVector(type_of(value)); }

bool emit_touches_vectors(MlirOperation op) {
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        if (is_vector(mlirOperationGetOperand(op, i)))
            return true;
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        if (is_vector(mlirOperationGetResult(op, i)))
            return true;
    return false;
}

/* ---- types ---- */

static const adze_vector_type *vector_type(emitter *em, int type) {
    return &em->m->target->vector_types[type - ADZE_C_VECTOR];
}

/* The C type of a row's operand or result; ADZE_NO_DTYPE for pointers, literals and nothing. */
static int type_of_row(emitter *em, const adze_value_type *v) {
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
static const adze_value_type *lanes_of_row(const adze_instruction *row) {
    if (has_lanes(&row->type))
        return &row->type;
    for (size_t i = 0; i < row->operand_count; i++)
        if (has_lanes(&row->operands[i]))
            return &row->operands[i];
    return &row->result;
}

/* ---- errors ---- */

static bool missing(emitter *em, MlirOperation op, const char *what) {
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

static const active_lanes *active_of(emitter *em, const adze_value_type *lanes) {
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

/* How many lanes there are: the row vector.lanes of the first type here that has one. */
static const char *all_lanes(emitter *em, const adze_instruction *row) {
    const adze_target *t = em->m->target;
    for (int i = -2; i < (int)row->operand_count; i++) {
        const adze_value_type *v = i == -2 ? &row->type : i == -1 ? &row->result : &row->operands[i];
        const adze_instruction *lanes =
            has_lanes(v) ? adze_target_instruction_on(t, "vector.lanes", v->spelling, 0, NULL) : NULL;
        if (!lanes)
            continue;
        note_header(em, lanes->header);
        return at_top(em, "size_t", "vl", fill_in(em, lanes, 0, NULL, NULL, NULL));
    }
    return NULL;
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
static expr instruction(emitter *em, MlirOperation op, const adze_instruction *row, expr *args) {
    const char *texts[10], *vl = NULL, *pg = NULL;
    int n = (int)row->operand_count;
    expr e = {.type = type_of_row(em, &row->result)};
    for (int i = 0; i < n; i++) {
        const adze_value_type *v = &row->operands[i];
        if (v->base == '#' && !args[i].constant)
            emit_error(em, op, "operand %d of %s must be a constant", i, row->name);
        if (v->base != '#' && !v->pointer)
            args[i] = expr_as(em, args[i], type_of_row(em, v));
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
    const adze_value_type *lanes = lanes_of_row(row);
    const active_lanes *active = active_of(em, lanes);
    if (strstr(row->c, "$vl"))
        vl = active ? active->text : all_lanes(em, row);
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
    const adze_vector_type *from = vector_type(em, e.type), *to = vector_type(em, type);
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
    return instruction(em, (MlirOperation){NULL}, row, &e);
}

/* ---- plain operations ---- */

static bool find(emitter *em, MlirOperation op, const char *key, MlirType result, int n, const MlirType *types,
                 adze_vector_match *match) {
    if (adze_vector_find(em->m->target, key, result, n, types, match))
        return true;
    return missing(em, op, wanted(em, key));
}

static bool plain(emitter *em, MlirOperation op, const char *key, int n, expr *args, const MlirType *types) {
    adze_vector_match match;
    if (!find(em, op, key, type_of(result_of(op)), n, types, &match))
        return false;
    if (match.swap) {
        expr t = args[0];
        args[0] = args[1], args[1] = t;
    }
    expr e = instruction(em, op, match.row, args);
    if (match.negate)
        e = instruction(em, op, match.negate, &e);
    emit_pure(em, result_of(op), e);
    return true;
}

enum { MOST_OPERANDS = 8 };

static bool plain_of(emitter *em, MlirOperation op, const char *key) {
    expr args[MOST_OPERANDS];
    MlirType types[MOST_OPERANDS];
    int n = (int)mlirOperationGetNumOperands(op);
    for (int i = 0; i < n && i < MOST_OPERANDS; i++) {
        args[i] = emit_use(em, operand_of(op, i));
        types[i] = type_of(operand_of(op, i));
    }
    return plain(em, op, key, n, args, types);
}

/* ---- constants ---- */

/* The one value of all lanes, as an attribute; null when there is none. */
static MlirAttribute splat_of(MlirValue value) {
    MlirOperation op = adze_defining(value);
    MlirAttribute none = {NULL};
    if (mlirOperationIsNull(op))
        return none;
    if (adze_is_op(op, "vector.broadcast")) {
        op = adze_defining(operand_of(op, 0));
        return mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant") ? none : adze_get(op, "value");
    }
    if (!adze_is_op(op, "arith.constant"))
        return none;
    MlirAttribute a = adze_get(op, "value");
    return mlirAttributeIsADenseElements(a) && mlirDenseElementsAttrIsSplat(a)
               ? mlirDenseElementsAttrGetSplatValue(a)
               : none;
}

static bool is_number(MlirValue value) {
    MlirAttribute a = splat_of(value);
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAFloat(a))
        return false;
    double v = mlirFloatAttrGetValueDouble(a);
    return v == v;
}

static bool is_integer_splat(MlirValue value, int64_t *out) {
    MlirAttribute a = splat_of(value);
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAInteger(a))
        return false;
    *out = mlirIntegerAttrGetValueInt(a);
    return true;
}

static expr float_literal(emitter *em, int type, double v) {
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

/* Vector constants are not named: a splat reads best where it is used, and compilers hoist it. */
static bool constant(emitter *em, MlirOperation op) {
    const adze_target *t = em->m->target;
    MlirType type = type_of(result_of(op)), element = mlirShapedTypeGetElementType(type);
    MlirAttribute value = splat_of(result_of(op));
    if (mlirAttributeIsNull(value))
        return emit_error(em, op, "a vector constant whose lanes differ");
    bool real = mlirAttributeIsAFloat(value);
    double v = real ? mlirFloatAttrGetValueDouble(value) : 0;
    int64_t i = real                                   ? 0
                : mlirTypeIsAInteger(element) && mlirIntegerTypeIsUnsigned(element)
                    ? (int64_t)mlirIntegerAttrGetValueUInt(value)
                : mlirIntegerTypeIsSigned(element)     ? mlirIntegerAttrGetValueSInt(value)
                                                       : mlirIntegerAttrGetValueInt(value);
    adze_vector_match match;
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((real ? bits == 0 : i == 0) && adze_vector_find(t, "vector.zero", type, 0, NULL, &match)) {
        emit_bind(em, result_of(op), instruction(em, op, match.row, NULL));
        return true;
    }
    if (!real && mlirIntegerTypeGetWidth(element) == 1 && i &&
        adze_vector_find(t, "vector.mask.all", type, 0, NULL, &match)) {
        emit_bind(em, result_of(op), instruction(em, op, match.row, NULL));
        return true;
    }
    if (!find(em, op, "vector.broadcast", type, 1, &element, &match))
        return false;
    int scalar = type_of_row(em, &match.row->operands[0]);
    expr e = real ? float_literal(em, scalar, v) : expr_int(em, scalar, i);
    emit_bind(em, result_of(op), instruction(em, op, match.row, &e));
    return true;
}

/* ---- memory ---- */

/* `x + at` as the pointer that the row takes. */
static expr pointer(emitter *em, const adze_value_type *want, const binding *b, expr flat) {
    expr p = b->e;
    if (!flat.constant || flat.integer) {
        p.type = ADZE_C_INDEX;
        p = expr_add_index(em, p, flat);
    }
    p.memory = flat.memory || (want->pointer == '*' && !b->stable);
    adze_value_type element = *want;
    element.pointer = 0;
    element.spelling = "";
    p.type = type_of_row(em, &element);
    const char *ours = adze_c_type(em->m, b->element), *theirs = adze_c_type(em->m, p.type);
    if (strcmp(ours, theirs)) {
        p.text = adze_arena_printf(em->arena, "(%s%s *)%s", want->pointer == '*' ? "const " : "", theirs,
                                   expr_operand(em, p, PREC_UNARY));
        p.prec = PREC_UNARY;
    }
    return p;
}

static const active_lanes *mask_of(emitter *em, MlirType type) {
    adze_value_type lanes = {.lanes = (unsigned)mlirShapedTypeGetDimSize(type, 0),
                             .scalable = mlirVectorTypeIsScalable(type)};
    return lanes.scalable ? NULL : active_of(em, &lanes);
}

static expr mask_text(const active_lanes *mask) { return expr_text(mask->type, PREC_PRIMARY, mask->text); }

static bool load(emitter *em, MlirOperation op) {
    MlirType type = type_of(result_of(op));
    const active_lanes *mask = mask_of(em, type);
    const adze_instruction *row = adze_vector_memory_row(em->m->target, false, mask, type);
    if (!row)
        return missing(em, op, mask ? "vector.load.masked" : "vector.load");
    binding *b = emit_memory_of(em, operand_of(op, 0), op);
    if (!b)
        return false;
    expr args[2];
    int n = 0;
    if (mask)
        args[n++] = mask_text(mask);
    args[n] = pointer(em, &row->operands[n], b, emit_flat_index(em, op, b, 1));
    emit_pure(em, result_of(op), instruction(em, op, row, args));
    return true;
}

static bool store(emitter *em, MlirOperation op) {
    MlirType type = type_of(operand_of(op, 0));
    const active_lanes *mask = mask_of(em, type);
    const adze_instruction *row = adze_vector_memory_row(em->m->target, true, mask, type);
    if (!row)
        return missing(em, op, mask ? "vector.store.masked" : "vector.store");
    binding *b = emit_memory_of(em, operand_of(op, 1), op);
    if (!b)
        return false;
    expr args[3];
    int n = 0;
    if (mask)
        args[n++] = mask_text(mask);
    args[n + 1] = emit_use(em, operand_of(op, 0));
    args[n] = pointer(em, &row->operands[n], b, emit_flat_index(em, op, b, 2));
    expr e = instruction(em, op, row, args);
    emit_flush(em, false);
    emit_line(em, "%s;", e.text);
    return true;
}

/* ---- operations with a case of their own ---- */

static bool compare(emitter *em, MlirOperation op) {
    int predicate = (int)mlirIntegerAttrGetValueInt(adze_get(op, "predicate"));
    return plain_of(em, op, adze_arena_printf(em->arena, "%s:%d", emit_op_name(em, op), predicate));
}

/* max(x, constant) needs no care for NaN in the constant. */
static bool extreme(emitter *em, MlirOperation op) {
    const char *name = emit_op_name(em, op), *cheap = adze_arena_printf(em->arena, "%s:constant", name);
    int at = is_number(operand_of(op, 1)) ? 1 : is_number(operand_of(op, 0)) ? 0 : -1;
    MlirType type = type_of(result_of(op)), types[] = {type, type};
    adze_vector_match match;
    if (at < 0 || !adze_vector_find(em->m->target, cheap, type, 2, types, &match))
        return plain_of(em, op, name);
    expr args[] = {emit_use(em, operand_of(op, 1 - at)), emit_use(em, operand_of(op, at))};
    return plain(em, op, cheap, 2, args, types);
}

static bool shift(emitter *em, MlirOperation op) {
    const char *name = emit_op_name(em, op);
    MlirType type = type_of(result_of(op));
    MlirType types[] = {type, mlirShapedTypeGetElementType(type)};
    int64_t amount;
    adze_vector_match match;
    if (!is_integer_splat(operand_of(op, 1), &amount) ||
        !adze_vector_find(em->m->target, name, type, 2, types, &match))
        return plain_of(em, op, name);
    expr a = emit_use(em, operand_of(op, 0));
    if (amount == 0) {
        emit_pure(em, result_of(op), a);
        return true;
    }
    if (amount < 0 || amount >= mlirIntegerTypeGetWidth(types[1]))
        return emit_error(em, op, "a shift by the width of its lanes or more");
    expr args[] = {a, expr_int(em, ADZE_i32, amount)};
    return plain(em, op, name, 2, args, types);
}

static bool choose(emitter *em, MlirOperation op) {
    if (is_vector(operand_of(op, 0)))
        return plain_of(em, op, "arith.select");
    int type = emit_type_of(em, type_of(result_of(op)));
    if (type == ADZE_NO_DTYPE)
        return missing(em, op, "of this type");
    expr c = emit_use(em, operand_of(op, 0));
    expr a = expr_as(em, emit_use(em, operand_of(op, 1)), type);
    expr b = expr_as(em, emit_use(em, operand_of(op, 2)), type);
    expr e = {.type = type, .prec = PREC_TERNARY, .memory = a.memory || b.memory || c.memory,
              .varying = a.varying || b.varying || c.varying};
    e.text = adze_arena_printf(em->arena, "%s ? %s : %s", expr_operand(em, c, PREC_TERNARY),
                               expr_operand(em, a, PREC_TERNARY), expr_operand(em, b, PREC_TERNARY));
    emit_pure(em, result_of(op), e);
    return true;
}

/* The bits stay, and their sign is what the next operation makes of them. */
static bool cast(emitter *em, MlirOperation op) {
    MlirType from = type_of(operand_of(op, 0)), to = type_of(result_of(op));
    bool same = mlirTypeIsAVector(from) && mlirTypeIsAVector(to);
    if (same) {
        MlirType a = mlirShapedTypeGetElementType(from), b = mlirShapedTypeGetElementType(to);
        same = mlirTypeIsAInteger(a) && mlirTypeIsAInteger(b) &&
               mlirIntegerTypeGetWidth(a) == mlirIntegerTypeGetWidth(b) &&
               mlirShapedTypeGetDimSize(from, 0) == mlirShapedTypeGetDimSize(to, 0) &&
               mlirVectorTypeIsScalable(from) == mlirVectorTypeIsScalable(to);
    }
    if (!same)
        return emit_error(em, op, "a conversion between vectors that differ in more than their sign");
    emit_pure(em, result_of(op), emit_use(em, operand_of(op, 0)));
    return true;
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
        return missing(em, op, adze_arena_printf(em->arena, "vector.reduction:%s with lanes off", kind));
    if (!find(em, op, "vector.broadcast", type, 1, &element, &splat) ||
        !find(em, op, "arith.select", type, 3, types, &select))
        return false;
    int scalar = type_of_row(em, &splat.row->operands[0]);
    expr e = mlirTypeIsAFloat(element)
                 ? float_literal(em, scalar, reals[at].real == 0 ? 0 : reals[at].real * (double)INFINITY)
                 : expr_int(em, scalar, 0);
    expr args[] = {mask_text(mask), *v, instruction(em, op, splat.row, &e)};
    *v = instruction(em, op, select.row, args);
    return true;
}

static bool reduction(emitter *em, MlirOperation op) {
    const char *kind = kind_of(em, op), *key = adze_arena_printf(em->arena, "vector.reduction:%s", kind);
    MlirType types[] = {type_of(operand_of(op, 0))}, result = type_of(result_of(op));
    adze_vector_match match;
    if (!find(em, op, key, result, 1, types, &match))
        return false;
    expr args[2] = {emit_use(em, operand_of(op, 0))};
    const active_lanes *mask = mask_of(em, types[0]);
    if (mask) {
        const adze_value_type *v = &match.row->operands[0];
        const char *operands[] = {vector_type(em, mask->type)->type.spelling, v->spelling};
        const adze_instruction *masked =
            adze_target_instruction_on(em->m->target, adze_arena_printf(em->arena, "%s.masked", match.row->name),
                                       match.row->type.spelling, 2, operands);
        if (masked) {
            args[1] = args[0];
            args[0] = mask_text(mask);
            match.row = masked;
        } else if (!with_identity(em, op, kind, mask, types[0], &args[0])) {
            return false;
        }
    }
    expr e = instruction(em, op, match.row, args);
    if (mlirOperationGetNumOperands(op) == 2) {
        if (strcmp(kind, "add") || !mlirTypeIsAFloat(result))
            return emit_error(em, op, "only floats are added to a scalar");
        e = expr_infix(em, e.type, PREC_ADD, "+", emit_use(em, operand_of(op, 1)), e);
    }
    emit_pure(em, result_of(op), e);
    return true;
}

/* ---- the target's own ---- */

/* Whether the operation's operands are those of the row: a pointer takes two, the memory and the flat index of
 * its element. More is better; 0: no. */
static int suits(MlirOperation op, const adze_instruction *row, bool masked) {
    int at = 0, n = (int)mlirOperationGetNumOperands(op), total = 1;
    for (size_t i = masked; i < row->operand_count; i++) {
        int s = at < n ? adze_vector_fit(type_of(operand_of(op, at++)), &row->operands[i]) : 0;
        if (row->operands[i].pointer && (at >= n || !mlirTypeIsAIndex(type_of(operand_of(op, at++)))))
            s = 0;
        if (!s)
            return 0;
        total += s;
    }
    int results = (int)mlirOperationGetNumResults(op);
    if (at != n || results != (row->result.base != 'v') ||
        (results && !adze_vector_fit(type_of(result_of(op)), &row->result)))
        return 0;
    return total;
}

static const adze_instruction *named_row(emitter *em, MlirOperation op, const char *name, const char *type,
                                         bool masked) {
    const adze_target *t = em->m->target;
    const adze_instruction *found = NULL;
    int best = 0;
    for (size_t i = 0; t && i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        if (strcmp(row->name, name) || strcmp(row->type.spelling, type))
            continue;
        int s = suits(op, row, masked);
        if (s > best) {
            best = s;
            found = row;
        }
    }
    return found;
}

static bool by_name(emitter *em, MlirOperation op) {
    const char *name = adze_get_str(em->m->ctx, op, "name"), *type = adze_get_str(em->m->ctx, op, "type");
    const adze_instruction *row = named_row(em, op, name, type, false);
    if (!row)
        return missing(em, op, adze_arena_printf(em->arena, "%s of %s", name, type));
    const adze_value_type *lanes = lanes_of_row(row);
    const active_lanes *mask = lanes->scalable ? NULL : active_of(em, lanes);
    bool memory = false, writes = false;
    for (size_t i = 0; i < row->operand_count; i++) {
        memory |= row->operands[i].pointer != 0;
        writes |= row->operands[i].pointer == '!';
    }
    if (mask && memory) { /* lanes that are off are neither loaded nor stored */
        name = adze_arena_printf(em->arena, "%s.masked", name);
        row = named_row(em, op, name, type, true);
        if (!row)
            return missing(em, op, adze_arena_printf(em->arena, "%s of %s", name, type));
    }
    expr args[10];
    int at = 0;
    for (size_t i = 0; i < row->operand_count; i++) {
        if (i == 0 && mask && memory) {
            args[i] = mask_text(mask);
            continue;
        }
        args[i] = row->operands[i].pointer ? (expr){0} : emit_use(em, operand_of(op, at));
        if (row->operands[i].pointer) {
            binding *b = emit_memory_of(em, operand_of(op, at++), op);
            if (!b)
                return false;
            args[i] = pointer(em, &row->operands[i], b, emit_use_typed(em, operand_of(op, at)));
        }
        at++;
    }
    expr e = instruction(em, op, row, args);
    if (mlirOperationGetNumResults(op) == 0) {
        emit_flush(em, false);
        emit_line(em, "%s;", e.text);
    } else if (writes) {
        emit_flush(em, false);
        emit_named(em, result_of(op), e);
    } else if (!mlirAttributeIsNull(adze_get(op, "adze.ordered"))) { /* a statement where it stands */
        emit_named(em, result_of(op), e);
    } else {
        emit_pure(em, result_of(op), e);
    }
    return true;
}

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
        return missing(em, op, "vector.lanes");
    if (!v.scalable) {
        emit_pure(em, result_of(op), expr_int(em, ADZE_C_INDEX, v.lanes));
        return true;
    }
    adze_instruction any = {.type = v};
    const char *count = all_lanes(em, &any);
    if (!count)
        return missing(em, op, adze_arena_printf(em->arena, "vector.lanes of %s", v.spelling));
    expr e = expr_text(ADZE_C_INDEX, PREC_PRIMARY, count);
    emit_pure(em, result_of(op), expr_cast(em, e, ADZE_C_INDEX));
    return true;
}

ROW_HANDLER(emit_active) {
    (void)row;
    const adze_target *t = em->m->target;
    adze_value_type v;
    if (!t || !parse_lanes(adze_get_str(em->m->ctx, op, "type"), &v))
        return missing(em, op, "vector.mask.first");
    if (em->n_actives == EMIT_MAX_ACTIVES)
        return emit_error(em, op, "more than %d within each other", (int)EMIT_MAX_ACTIVES);
    const char *index = "index";
    const char *mask = adze_arena_printf(em->arena, v.scalable ? "b1xN%u" : "b1x%u", v.lanes);
    const adze_instruction *length =
        v.scalable ? adze_target_instruction_on(t, "vector.length", v.spelling, 1, &index) : NULL;
    const adze_instruction *first =
        length ? NULL : adze_target_instruction_on(t, "vector.mask.first", mask, 1, &index);
    if (!length && !first)
        return missing(em, op, adze_arena_printf(em->arena, "vector.mask.first of %s", mask));
    expr remaining = emit_use_typed(em, operand_of(op, 0)), e = remaining;
    bool counted = emit_use_count(em, result_of(op), NULL) > 0;
    if (counted && !length && strpbrk(remaining.text, "([ ")) {
        const char *name = emit_declare(em, "remaining", "remaining");
        emit_line(em, "const %s %s = %s;", adze_c_type(em->m, ADZE_C_INDEX), name, remaining.text);
        e = remaining = expr_text(ADZE_C_INDEX, PREC_PRIMARY, name);
    }
    active_lanes *a = &em->actives[em->n_actives];
    *a = (active_lanes){.lanes = v.lanes, .scalable = v.scalable};
    e = instruction(em, op, first ? first : length, &e);
    a->type = first ? type_of_row(em, &first->result) : (int)ADZE_C_INDEX;
    a->text = emit_declare(em, emit_value_name(em, result_of(op)), first ? "mask" : "vl");
    em->n_actives++;
    if (length && length->result.base == 'n') { /* stays a size_t, which the rows want */
        const char *inner = strchr(e.text, ')');
        emit_line(em, "const size_t %s = %s;", a->text, inner ? inner + 1 : e.text);
        expr count = expr_text(ADZE_C_INDEX, PREC_PRIMARY, a->text);
        emit_bind(em, result_of(op), expr_cast(em, count, ADZE_C_INDEX));
        return true;
    }
    emit_line(em, "const %s %s = %s;", adze_c_type(em->m, a->type), a->text, e.text);
    if (!counted)
        return true;
    /* min(lanes, remaining) */
    expr lanes = expr_int(em, ADZE_C_INDEX, v.lanes);
    if (v.scalable) {
        adze_instruction any = {.type = v};
        const char *count = all_lanes(em, &any);
        if (!count)
            return missing(em, op, adze_arena_printf(em->arena, "vector.lanes of %s", v.spelling));
        lanes = expr_cast(em, expr_text(ADZE_C_INDEX, PREC_PRIMARY, count), ADZE_C_INDEX);
    }
    expr both[] = {remaining, lanes};
    adze_c_use_runtime(em->m, "adze_int.h");
    const char *min = strcmp(em->m->index_type, "int") == 0 ? "adze_min_i32" : "adze_min_i64";
    emit_pure(em, result_of(op), expr_call(em, ADZE_C_INDEX, min, 2, both));
    return true;
}

/* ---- which is which ---- */

static const struct {
    const char *op;
    bool (*emit)(emitter *em, MlirOperation op);
} special[] = {
    {"arith.constant", constant},     {"vector.load", load},        {"vector.store", store},
    {"arith.cmpf", compare},          {"arith.cmpi", compare},      {"arith.maximumf", extreme},
    {"arith.minimumf", extreme},      {"arith.shli", shift},        {"arith.shrsi", shift},
    {"arith.shrui", shift},           {"arith.select", choose},     {"vector.reduction", reduction},
    {"adze.instruction", by_name},    {"builtin.unrealized_conversion_cast", cast},
};

ROW_HANDLER(emit_vector) {
    for (size_t i = 0; i < ADZE_COUNT(special); i++)
        if (strcmp(special[i].op, row->name) == 0)
            return special[i].emit(em, op);
    return plain_of(em, op, row->name);
}

/* One rounding: only where the FPU does it, since the C library's is slow. */
ROW_HANDLER(emit_fma) { return emit_vector(em, op, row); }
