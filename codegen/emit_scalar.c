/* Scalar operations: arith.*, math.*, casts, adze.requantize. One handler a family; the rows of
 * emit_ops.def say which operation uses which. */
#include "codegen/emit_internal.h"

#include <string.h>

static MlirValue operand_of(MlirOperation op, int i) { return mlirOperationGetOperand(op, i); }
static MlirValue result_of(MlirOperation op) { return mlirOperationGetResult(op, 0); }

static int result_type(emitter *em, MlirOperation op) {
    return emit_type_of(em, mlirValueGetType(result_of(op)));
}

static MlirAttribute attribute(MlirOperation op, const char *name) {
    return mlirOperationGetAttributeByName(op, mlirStringRefCreateFromCString(name));
}

/* The name of a type in the runtime's function names: adze_max_i32. */
static const char *type_stem(emitter *em, int type) {
    if (type == ADZE_C_INDEX)
        return strcmp(em->m->index_type, "int") == 0 ? "i32" : "i64";
    return adze_dtype_get((adze_dtype)type)->name;
}

/* The integer type of the runtime that stands for an index. */
static int sized(emitter *em, int type) {
    if (type != ADZE_C_INDEX)
        return type;
    return strcmp(em->m->index_type, "int") == 0 ? ADZE_i32 : ADZE_i64;
}

static expr runtime_call(emitter *em, const char *file, int type, const char *function, int n,
                         const expr *args) {
    adze_c_use_runtime(em->m, file);
    return expr_call(em, type, function, n, args);
}

/* The expression under another type, where C's own promotion already gives the right value. */
static expr retag(expr e, int type) {
    int64_t low, high;
    if (expr_range(e, &low, &high) && !e.constant) {
        e.ranged = true;
        e.low = low;
        e.high = high;
    }
    e.type = type;
    e.left = NULL;
    return e;
}

static expr not_expr(emitter *em, expr e) {
    expr out = e;
    out.text = adze_arena_printf(em->arena, "!%s", expr_operand(em, e, PREC_MUL + 1));
    if (e.prec >= PREC_UNARY)
        out.text = adze_arena_printf(em->arena, "!%s", e.text);
    out.prec = PREC_UNARY;
    out.left = NULL;
    out.type = ADZE_bool;
    return out;
}

ROW_HANDLER(emit_constant) {
    (void)row;
    MlirAttribute value = attribute(op, "value");
    int type = result_type(em, op);
    if (type == ADZE_NO_DTYPE)
        return emit_error(em, op, "a constant of a type that C has no scalar for");
    if (mlirAttributeIsAInteger(value)) {
        int64_t v = mlirTypeIsAIndex(mlirAttributeGetType(value)) || type == ADZE_bool ||
                            mlirIntegerTypeIsSignless(mlirAttributeGetType(value))
                        ? mlirIntegerAttrGetValueInt(value)
                        : mlirIntegerAttrGetValueSInt(value);
        emit_pure(em, result_of(op), expr_int(em, type, v));
        return true;
    }
    if (!mlirAttributeIsAFloat(value))
        return emit_error(em, op, "a constant that is neither an integer nor a float");
    double v = mlirFloatAttrGetValueDouble(value);
    adze_text text = {0};
    if (type == ADZE_f32 || type == ADZE_f64)
        adze_c_float(&text, v, type == ADZE_f32);
    else
        adze_text_printf(&text, "0x%x", (unsigned)adze_float_encode((adze_dtype)type, v, false));
    expr e = expr_text(type, PREC_PRIMARY, adze_arena_strdup(em->arena, text.data));
    if (e.text[0] == '-')
        e.prec = PREC_UNARY;
    adze_text_free(&text);
    emit_bind(em, result_of(op), e);
    return true;
}

static void append(MlirStringRef s, void *user) { adze_text_append(user, s.data, s.length); }

static bool never_overflows(MlirOperation op) {
    MlirAttribute flags = attribute(op, "overflowFlags");
    if (mlirAttributeIsNull(flags))
        return false;
    adze_text text = {0};
    mlirAttributePrint(flags, append, &text);
    bool nsw = text.data && strstr(text.data, "nsw");
    adze_text_free(&text);
    return nsw;
}

/* The range of a + b, a - b or a * b, when it is known and fits the type: then C's own operator does. */
static bool result_range(const char *op, int type, expr a, expr b, int64_t *low, int64_t *high) {
    int64_t a0, a1, b0, b1;
    if (!expr_range(a, &a0, &a1) || !expr_range(b, &b0, &b1))
        return false;
    if (op[0] == '*') {
        int64_t p[4];
        if (a0 < INT32_MIN || b0 < INT32_MIN || a1 > UINT32_MAX || b1 > UINT32_MAX)
            return false;
        if (__builtin_mul_overflow(a0, b0, &p[0]) || __builtin_mul_overflow(a0, b1, &p[1]) ||
            __builtin_mul_overflow(a1, b0, &p[2]) || __builtin_mul_overflow(a1, b1, &p[3]))
            return false;
        *low = *high = p[0];
        for (int i = 1; i < 4; i++) {
            *low = p[i] < *low ? p[i] : *low;
            *high = p[i] > *high ? p[i] : *high;
        }
    } else {
        const int64_t limit = INT64_C(1) << 60;
        if (a0 < -limit || a1 > limit || b0 < -limit || b1 > limit)
            return false;
        *low = op[0] == '+' ? a0 + b0 : a0 - b1;
        *high = op[0] == '+' ? a1 + b1 : a1 - b0;
    }
    return type_bits(type) > 32 || (*low >= INT32_MIN && *high <= INT32_MAX);
}

ROW_HANDLER(emit_integer_infix) {
    int type = result_type(em, op);
    int64_t low = 0, high = 0;
    expr a = emit_use_typed(em, operand_of(op, 0)), b = emit_use_typed(em, operand_of(op, 1)), e;
    if (type == ADZE_bool) {
        e = row->c[0] == '*' ? expr_infix(em, type, PREC_AND, "&&", a, b)
                             : expr_infix(em, type, PREC_EQUAL, "!=", a, b);
    } else if (type == ADZE_C_INDEX && row->c[0] == '+') {
        e = expr_add_index(em, a, b);
    } else if (type == ADZE_C_INDEX && row->c[0] == '*') {
        e = expr_mul_index(em, a, b);
    } else if (type == ADZE_C_INDEX && a.constant && b.constant) {
        e = expr_int(em, type, (int64_t)((uint64_t)a.integer - (uint64_t)b.integer));
    } else if (type == ADZE_C_INDEX && b.constant) {
        e = expr_add_index(em, a, expr_int(em, type, (int64_t)(0 - (uint64_t)b.integer)));
    } else if (type == ADZE_C_INDEX) {
        e = expr_infix(em, type, (precedence)row->prec, row->c, a, b);
    } else if (type_bits(type) < 32) { /* promoted to int, where nothing overflows */
        e = expr_as(em, expr_infix(em, ADZE_i32, (precedence)row->prec, row->c, a, b), type);
    } else if (result_range(row->c, type, a, b, &low, &high)) {
        e = expr_infix(em, type, (precedence)row->prec, row->c, a, b);
        e.ranged = true;
        e.low = low;
        e.high = high;
    } else if (never_overflows(op)) {
        e = expr_infix(em, type, (precedence)row->prec, row->c, a, b);
    } else {
        const char *stem = row->c[0] == '+' ? "add" : row->c[0] == '-' ? "sub" : "mul";
        expr args[] = {a, b};
        e = runtime_call(em, "adze_int.h", type,
                         adze_arena_printf(em->arena, "adze_%s_%s", stem, type_stem(em, type)), 2,
                         args);
    }
    emit_pure(em, result_of(op), e);
    return true;
}

ROW_HANDLER(emit_bitwise) {
    int type = result_type(em, op);
    expr a = emit_use_typed(em, operand_of(op, 0)), b = emit_use_typed(em, operand_of(op, 1)), e;
    if (type != ADZE_bool)
        e = expr_infix(em, ADZE_i32, (precedence)row->prec, row->c, a, b);
    else if (row->c[0] == '&')
        e = expr_infix(em, type, PREC_AND, "&&", a, b);
    else if (row->c[0] == '|')
        e = expr_infix(em, type, PREC_OR, "||", a, b);
    else if (b.constant)
        e = b.integer ? not_expr(em, a) : a;
    else
        e = expr_infix(em, type, PREC_EQUAL, "!=", a, b);
    if (type != ADZE_bool)
        e = type_bits(type) < 32 ? expr_as(em, e, type) : retag(e, type);
    emit_pure(em, result_of(op), e);
    return true;
}

static expr divide(emitter *em, int type, const emit_row *row, expr a, expr b) {
    if (type_bits(type) < 32 && type != ADZE_C_INDEX)
        return expr_as(em, divide(em, ADZE_i32, row, retag(a, ADZE_i32), retag(b, ADZE_i32)), type);
    if (b.constant && b.integer != 0 && b.integer != -1)
        return expr_infix(em, type, (precedence)row->prec, row->c, a, b);
    expr args[] = {a, b};
    const char *name = adze_arena_printf(em->arena, "adze_%s_%s", row->c[0] == '/' ? "div" : "rem",
                                         type_stem(em, type));
    return expr_as(em, runtime_call(em, "adze_int.h", sized(em, type), name, 2, args), type);
}

ROW_HANDLER(emit_divide) {
    expr a = emit_use_typed(em, operand_of(op, 0)), b = emit_use_typed(em, operand_of(op, 1));
    emit_pure(em, result_of(op), divide(em, result_type(em, op), row, a, b));
    return true;
}

ROW_HANDLER(emit_divide_unsigned) {
    int type = result_type(em, op);
    expr a = emit_use(em, operand_of(op, 0)), b = emit_use(em, operand_of(op, 1));
    /* Indices are never negative where they are divided as unsigned, so signed division agrees. */
    if (type == ADZE_C_INDEX) {
        emit_pure(em, result_of(op), divide(em, type, row, a, b));
        return true;
    }
    int u = type_unsigned(type);
    a = expr_as(em, a, u), b = expr_as(em, b, u);
    expr e;
    if (b.constant && b.integer != 0) {
        e = expr_infix(em, u, (precedence)row->prec, row->c, a, b);
        if (type_bits(u) < 32)
            e = expr_cast(em, e, u);
    } else {
        expr args[] = {a, b};
        const char *name = adze_arena_printf(
            em->arena, "adze_%s_%s", row->c[0] == '/' ? "div" : "rem", type_stem(em, u));
        e = runtime_call(em, "adze_int.h", u, name, 2, args);
    }
    emit_pure(em, result_of(op), e);
    return true;
}

ROW_HANDLER(emit_integer_call) {
    int type = result_type(em, op), n = (int)mlirOperationGetNumOperands(op);
    if (type == ADZE_bool || (type != ADZE_C_INDEX && type_bits(type) < 8))
        return emit_error(em, op, "%s has no C form for this type", row->name);
    expr args[2];
    for (int i = 0; i < n && i < 2; i++)
        args[i] = emit_use_typed(em, operand_of(op, i));
    const char *name = adze_arena_printf(em->arena, "adze_%s_%s", row->c, type_stem(em, type));
    expr e = runtime_call(em, "adze_int.h", sized(em, type), name, n, args);
    emit_pure(em, result_of(op), expr_as(em, e, type));
    return true;
}

ROW_HANDLER(emit_unsigned_call) {
    int type = result_type(em, op);
    if (type == ADZE_bool) {
        expr a = emit_use(em, operand_of(op, 0)), b = emit_use(em, operand_of(op, 1));
        bool max = strcmp(row->c, "max") == 0;
        emit_pure(em, result_of(op),
                  expr_infix(em, type, max ? PREC_OR : PREC_AND, max ? "||" : "&&", a, b));
        return true;
    }
    int u = type_unsigned(sized(em, type));
    expr args[2];
    for (int i = 0; i < 2; i++)
        args[i] = expr_as(em, emit_use(em, operand_of(op, i)), u);
    const char *name = adze_arena_printf(em->arena, "adze_%s_%s", row->c, type_stem(em, u));
    expr e = runtime_call(em, "adze_int.h", u, name, 2, args);
    emit_pure(em, result_of(op), type == ADZE_C_INDEX ? expr_as(em, e, type) : e);
    return true;
}

ROW_HANDLER(emit_shift) {
    int type = result_type(em, op), bits = type_bits(type);
    bool left = row->c[0] == '<', logical = row->c[0] == 'u';
    expr a = emit_use(em, operand_of(op, 0)), n = emit_use_typed(em, operand_of(op, 1)), e;
    if (type == ADZE_bool)
        return emit_error(em, op, "a shift of i1");
    int u = type_unsigned(sized(em, type)), s = type_signed(sized(em, type));
    int operand_type = left || logical ? u : s;
    if (n.constant && n.integer >= 0 && n.integer < bits) {
        if (operand_type == u && bits < 32) /* uint8_t would be promoted to a signed int */
            a = expr_as(em, expr_as(em, a, u), ADZE_u32);
        else
            a = expr_as(em, a, operand_type);
        e = expr_infix(em, a.type, PREC_SHIFT, left ? "<<" : ">>", a, n);
        if (bits < 32)
            e = expr_cast(em, e, operand_type);
        if (left)
            e = expr_as(em, e, type);
    } else {
        /* The amount may be the width or more: zero, or all sign bits. */
        expr args[] = {expr_as(em, a, operand_type), expr_as(em, n, ADZE_i32)};
        const char *name = adze_arena_printf(em->arena, "adze_%s_%s", left ? "shl" : "shr",
                                             type_stem(em, operand_type));
        e = runtime_call(em, "adze_int.h", operand_type, name, 2, args);
    }
    emit_pure(em, result_of(op), type == ADZE_C_INDEX ? expr_as(em, e, type) : e);
    return true;
}

ROW_HANDLER(emit_compare_integer) {
    static const struct {
        const char *c;
        bool is_unsigned;
    } rows[] = {{"==", 0}, {"!=", 0}, {"<", 0}, {"<=", 0}, {">", 0},
                {">=", 0}, {"<", 1},  {"<=", 1}, {">", 1}, {">=", 1}};
    (void)row;
    int64_t p = mlirIntegerAttrGetValueInt(attribute(op, "predicate"));
    if (p < 0 || p >= (int64_t)ADZE_COUNT(rows))
        return emit_error(em, op, "an unknown comparison");
    int type = emit_type_of(em, mlirValueGetType(operand_of(op, 0)));
    expr a = emit_use(em, operand_of(op, 0)), b = emit_use(em, operand_of(op, 1));
    int common = type;
    if (type != ADZE_bool) {
        int u = type_unsigned(sized(em, type));
        bool plain_unsigned = p < 2 && (a.type == u || b.type == u) &&
                              (a.type == b.type || a.constant || b.constant);
        if (rows[p].is_unsigned || plain_unsigned)
            common = u;
    }
    a = expr_as(em, a, common), b = expr_as(em, b, common);
    expr e;
    if (type == ADZE_bool && p < 2 && b.constant) /* x == true */
        e = (b.integer != 0) == (p == 0) ? a : not_expr(em, a);
    else
        e = expr_infix(em, ADZE_bool, p < 2 ? PREC_EQUAL : PREC_RELATION, rows[p].c, a, b);
    emit_pure(em, result_of(op), e);
    return true;
}

ROW_HANDLER(emit_compare_float) {
    /* By MLIR's number of the predicate. A call takes both operands; `!` negates. */
    static const struct {
        const char *c;
        bool call, negate;
    } rows[] = {
        {"0", 0, 0},           {"==", 0, 0},           {">", 0, 0},  {">=", 0, 0},
        {"<", 0, 0},           {"<=", 0, 0},           {"islessgreater", 1, 0},
        {"isunordered", 1, 1}, {"islessgreater", 1, 1}, {"<=", 0, 1}, {"<", 0, 1},
        {">=", 0, 1},          {">", 0, 1},            {"!=", 0, 0}, {"isunordered", 1, 0},
        {"1", 0, 0},
    };
    (void)row;
    int64_t p = mlirIntegerAttrGetValueInt(attribute(op, "predicate"));
    if (p < 0 || p >= (int64_t)ADZE_COUNT(rows))
        return emit_error(em, op, "an unknown comparison");
    if (p == 0 || p == 15) {
        emit_pure(em, result_of(op), expr_int(em, ADZE_bool, p == 15));
        return true;
    }
    int type = emit_type_of(em, mlirValueGetType(operand_of(op, 0)));
    if (type != ADZE_f32 && type != ADZE_f64)
        return emit_error(em, op, "a comparison of small floats; extend them first");
    expr args[] = {emit_use(em, operand_of(op, 0)), emit_use(em, operand_of(op, 1))}, e;
    if (rows[p].call)
        e = runtime_call(em, "<math.h>", ADZE_bool, rows[p].c, 2, args);
    else
        e = expr_infix(em, ADZE_bool, p == 1 || p == 13 ? PREC_EQUAL : PREC_RELATION, rows[p].c,
                       args[0], args[1]);
    emit_pure(em, result_of(op), rows[p].negate ? not_expr(em, e) : e);
    return true;
}

ROW_HANDLER(emit_select) {
    (void)row;
    int type = result_type(em, op);
    expr c = emit_use(em, operand_of(op, 0));
    expr a = emit_use(em, operand_of(op, 1)), b = emit_use(em, operand_of(op, 2));
    if (a.type != b.type || a.constant)
        a = expr_as(em, a, type), b = expr_as(em, b, type);
    expr e = {.type = a.type, .prec = PREC_TERNARY,
              .memory = a.memory || b.memory || c.memory,
              .varying = a.varying || b.varying || c.varying};
    e.text = adze_arena_printf(em->arena, "%s ? %s : %s", expr_operand(em, c, PREC_TERNARY),
                               expr_operand(em, a, PREC_TERNARY), expr_operand(em, b, PREC_TERNARY));
    /* The branches are promoted together: an int, unless cast back. */
    if (type_is_integer(e.type) && e.type != ADZE_C_INDEX && type_bits(e.type) < 32 &&
        (a.constant || b.constant))
        e = expr_cast(em, e, e.type);
    emit_pure(em, result_of(op), e);
    return true;
}

ROW_HANDLER(emit_float_infix) {
    int type = result_type(em, op);
    if (type != ADZE_f32 && type != ADZE_f64)
        return emit_error(em, op, "arithmetic on small floats; extend them first");
    expr a = emit_use(em, operand_of(op, 0)), b = emit_use(em, operand_of(op, 1));
    emit_pure(em, result_of(op), expr_infix(em, type, (precedence)row->prec, row->c, a, b));
    return true;
}

ROW_HANDLER(emit_negate) {
    (void)row;
    expr a = emit_use(em, operand_of(op, 0));
    expr e = {.type = a.type, .prec = PREC_UNARY, .memory = a.memory, .varying = a.varying};
    e.text = adze_arena_printf(em->arena, "-%s", expr_operand(em, a, PREC_UNARY));
    emit_pure(em, result_of(op), e);
    return true;
}

static bool is_wide_float(int type) { return type == ADZE_f32 || type == ADZE_f64; }

ROW_HANDLER(emit_float_call) {
    int type = result_type(em, op);
    if (!is_wide_float(type))
        return emit_error(em, op, "arithmetic on small floats; extend them first");
    expr args[] = {emit_use(em, operand_of(op, 0)), emit_use(em, operand_of(op, 1))};
    const char *name = adze_arena_printf(em->arena, "adze_%s_%s", row->c, type_stem(em, type));
    emit_pure(em, result_of(op), runtime_call(em, "adze_float.h", type, name, 2, args));
    return true;
}

static const char *math_name(emitter *em, const emit_row *row, int type) {
    return adze_arena_printf(em->arena, "%s%s", row->c, type == ADZE_f32 ? "f" : "");
}

ROW_HANDLER(emit_math) {
    int type = result_type(em, op), n = (int)mlirOperationGetNumOperands(op);
    if (!is_wide_float(type))
        return emit_error(em, op, "arithmetic on small floats; extend them first");
    expr args[3];
    for (int i = 0; i < n && i < 3; i++)
        args[i] = emit_use(em, operand_of(op, i));
    emit_pure(em, result_of(op),
              runtime_call(em, "<math.h>", type, math_name(em, row, type), n, args));
    return true;
}

ROW_HANDLER(emit_rsqrt) {
    int type = result_type(em, op);
    if (!is_wide_float(type))
        return emit_error(em, op, "arithmetic on small floats; extend them first");
    expr a = emit_use(em, operand_of(op, 0));
    expr root = runtime_call(em, "<math.h>", type, math_name(em, row, type), 1, &a);
    expr one = expr_text(type, PREC_PRIMARY, type == ADZE_f32 ? "1.0f" : "1.0");
    emit_pure(em, result_of(op), expr_infix(em, type, PREC_MUL, "/", one, root));
    return true;
}

ROW_HANDLER(emit_classify) {
    expr a = emit_use(em, operand_of(op, 0));
    if (!is_wide_float(a.type))
        return emit_error(em, op, "arithmetic on small floats; extend them first");
    expr call = runtime_call(em, "<math.h>", ADZE_bool, row->c, 1, &a);
    emit_pure(em, result_of(op),
              expr_infix(em, ADZE_bool, PREC_EQUAL, "!=", call, expr_int(em, ADZE_i32, 0)));
    return true;
}

/* ---- conversions ---- */

static expr widen(emitter *em, expr e, int type) {
    if (e.constant)
        return expr_int(em, type, e.integer);
    /* Up to int, C's promotion does it; beyond, arithmetic would still be in int. */
    if (type == ADZE_C_INDEX ? strcmp(em->m->index_type, "int") == 0 : type_bits(type) <= 32)
        return retag(e, type);
    expr wide = expr_cast(em, e, type);
    wide.ranged = expr_range(e, &wide.low, &wide.high);
    return wide;
}

ROW_HANDLER(emit_extend_signed) {
    (void)row;
    int type = result_type(em, op);
    expr a = emit_use_typed(em, operand_of(op, 0));
    if (a.type == ADZE_bool && a.constant) {
        a = expr_int(em, ADZE_i32, -a.integer);
    } else if (a.type == ADZE_bool) {
        a.text = adze_arena_printf(em->arena, "-%s", expr_operand(em, a, PREC_UNARY));
        a.prec = PREC_UNARY;
    }
    emit_pure(em, result_of(op), widen(em, a, type));
    return true;
}

ROW_HANDLER(emit_extend_unsigned) {
    (void)row;
    expr a = emit_use(em, operand_of(op, 0));
    if (a.type != ADZE_bool)
        a = expr_as(em, a, type_unsigned(a.type));
    emit_pure(em, result_of(op), widen(em, a, result_type(em, op)));
    return true;
}

ROW_HANDLER(emit_truncate) {
    (void)row;
    int type = result_type(em, op);
    expr a = emit_use_typed(em, operand_of(op, 0));
    if (type == ADZE_bool && !a.constant) {
        a = expr_infix(em, a.type, PREC_BITAND, "&", a, expr_int(em, a.type, 1));
        a = expr_infix(em, type, PREC_EQUAL, "!=", a, expr_int(em, a.type, 0));
    } else if (type == ADZE_bool) {
        a = expr_int(em, type, a.integer & 1);
    } else {
        a = expr_as(em, a, type);
    }
    emit_pure(em, result_of(op), a);
    return true;
}

static expr float_convert(emitter *em, MlirOperation op, expr a, int type) {
    if (a.type == type)
        return a;
    if (is_wide_float(a.type) && is_wide_float(type))
        return expr_cast(em, a, type);
    bool saturate = !mlirAttributeIsNull(attribute(op, "adze.saturate"));
    const char *from = adze_dtype_get((adze_dtype)a.type)->name;
    if (!is_wide_float(a.type)) { /* every small float is exactly a float */
        const char *name = adze_arena_printf(em->arena, "adze_%s_to_f32", from);
        a = runtime_call(em, "adze_float.h", ADZE_f32, name, 1, &a);
        return float_convert(em, op, a, type);
    }
    const char *name = adze_arena_printf(em->arena, "adze_%s_to_%s%s", from,
                                         adze_dtype_get((adze_dtype)type)->name,
                                         saturate && type_bits(type) <= 8 ? "_sat" : "");
    return runtime_call(em, "adze_float.h", type, name, 1, &a);
}

ROW_HANDLER(emit_float_convert) {
    (void)row;
    expr a = emit_use(em, operand_of(op, 0));
    emit_pure(em, result_of(op), float_convert(em, op, a, result_type(em, op)));
    return true;
}

ROW_HANDLER(emit_int_to_float) {
    int type = result_type(em, op);
    expr a = emit_use(em, operand_of(op, 0));
    if (a.type == ADZE_bool && row->c[0] != 'u') {
        a.text = adze_arena_printf(em->arena, "-%s", expr_operand(em, a, PREC_UNARY));
        a.prec = PREC_UNARY;
    } else if (a.type != ADZE_bool) {
        a = expr_as(em, a, row->c[0] == 'u' ? type_unsigned(sized(em, a.type))
                                            : type_signed(sized(em, a.type)));
    }
    a = expr_cast(em, a, type == ADZE_f64 ? ADZE_f64 : ADZE_f32);
    emit_pure(em, result_of(op), float_convert(em, op, a, type));
    return true;
}

ROW_HANDLER(emit_float_to_int) {
    int type = result_type(em, op);
    expr a = emit_use(em, operand_of(op, 0));
    if (!is_wide_float(a.type))
        a = float_convert(em, op, a, ADZE_f32);
    if (type == ADZE_bool || type == ADZE_C_INDEX)
        return emit_error(em, op, "a conversion of a float to this type");
    int to = row->c[0] == 'u' ? type_unsigned(type) : type;
    int helper = type_bits(to) < 8 ? (row->c[0] == 'u' ? ADZE_u8 : ADZE_i8) : to;
    const char *name = adze_arena_printf(em->arena, "adze_%s_to_%s", type_stem(em, a.type),
                                         type_stem(em, helper));
    expr e = runtime_call(em, "adze_convert.h", helper, name, 1, &a);
    emit_pure(em, result_of(op), expr_as(em, e, to));
    return true;
}

ROW_HANDLER(emit_index_cast) {
    int type = result_type(em, op);
    expr a = emit_use(em, operand_of(op, 0));
    if (a.type == ADZE_bool) {
        emit_pure(em, result_of(op), widen(em, a, type));
        return true;
    }
    if (row->c[0] == 'u' && a.type != ADZE_C_INDEX)
        a = expr_as(em, a, type_unsigned(a.type));
    else if (a.type != ADZE_C_INDEX)
        a = expr_as(em, a, type_signed(a.type));
    bool narrow = a.type != ADZE_C_INDEX && type_bits(a.type) < 32;
    emit_pure(em, result_of(op), narrow ? widen(em, a, type) : expr_as(em, a, type));
    return true;
}

ROW_HANDLER(emit_bitcast) {
    (void)row;
    int type = result_type(em, op);
    expr a = emit_use(em, operand_of(op, 0)), e;
    if (is_wide_float(a.type)) {
        const char *name = adze_arena_printf(em->arena, "adze_bits_of_%s", type_stem(em, a.type));
        e = runtime_call(em, "adze_float.h", a.type == ADZE_f32 ? ADZE_u32 : ADZE_u64, name, 1, &a);
    } else if (is_wide_float(type)) {
        a = expr_as(em, a, type == ADZE_f32 ? ADZE_u32 : ADZE_u64);
        const char *name = adze_arena_printf(em->arena, "adze_%s_of_bits", type_stem(em, type));
        e = runtime_call(em, "adze_float.h", type, name, 1, &a);
    } else {
        e = expr_cast(em, a, type);
    }
    emit_pure(em, result_of(op), e);
    return true;
}

ROW_HANDLER(emit_conversion_cast) {
    if (mlirOperationGetNumOperands(op) != 1 || mlirOperationGetNumResults(op) != 1)
        return emit_error(em, op, "a conversion of several values");
    if (mlirTypeIsAMemRef(mlirValueGetType(operand_of(op, 0))))
        return emit_memref_cast(em, op, row);
    int type = result_type(em, op);
    expr a = emit_use(em, operand_of(op, 0));
    if (type == ADZE_NO_DTYPE)
        return emit_error(em, op, "a conversion to a type that C has no scalar for");
    /* u8 memory seen as a signless i8 keeps its unsigned C type until something needs the sign. */
    if (a.type != type_unsigned(type) || type == type_unsigned(type))
        a = expr_as(em, a, type);
    emit_pure(em, result_of(op), a);
    return true;
}

ROW_HANDLER(emit_requantize) {
    expr args[6];
    for (int i = 0; i < 3; i++)
        args[i] = emit_use_typed(em, operand_of(op, i));
    args[3] = expr_int(em, ADZE_i32, adze_get_i64(op, "zero_point"));
    args[4] = expr_int(em, ADZE_i32, adze_get_i64(op, "low"));
    args[5] = expr_int(em, ADZE_i32, adze_get_i64(op, "high"));
    bool untied = !mlirAttributeIsNull(adze_get(op, "adze.untied"));
    expr e = runtime_call(em, "adze_int.h", ADZE_i32, untied ? "adze_requantize_untied" : row->c, 6, args);
    e.ranged = true;
    e.low = args[4].integer;
    e.high = args[5].integer;
    emit_pure(em, result_of(op), e);
    return true;
}
