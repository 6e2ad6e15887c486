/* C expressions as text with precedence: just enough parentheses, no undefined behaviour.
 *
 * Integer types narrower than int are promoted by C, so every result of theirs is cast back. */
#include "codegen/emit_internal.h"

#include <inttypes.h>
#include <string.h>

bool type_is_integer(int type) {
    if (type >= ADZE_C_INDEX)
        return type == ADZE_C_INDEX;
    char cls = adze_dtype_get((adze_dtype)type)->cls;
    return cls == 'I' || cls == 'U';
}

int type_bits(int type) {
    return type == ADZE_C_INDEX ? 32 : adze_dtype_get((adze_dtype)type)->bits;
}

/* Pairs of integer types of one width. */
static const struct {
    int is_signed, is_unsigned;
} widths[] = {{ADZE_i2, ADZE_u2},   {ADZE_i4, ADZE_u4},   {ADZE_i8, ADZE_u8},
              {ADZE_i16, ADZE_u16}, {ADZE_i32, ADZE_u32}, {ADZE_i64, ADZE_u64}};

int type_signed(int type) {
    for (size_t i = 0; i < ADZE_COUNT(widths); i++)
        if (type == widths[i].is_unsigned)
            return widths[i].is_signed;
    return type;
}

int type_unsigned(int type) {
    for (size_t i = 0; i < ADZE_COUNT(widths); i++)
        if (type == widths[i].is_signed)
            return widths[i].is_unsigned;
    return type;
}

expr expr_text(int type, precedence prec, const char *text) {
    return (expr){.text = text, .prec = prec, .type = type};
}

/* A literal of the type; values outside wrap. */
expr expr_int(emitter *em, int type, int64_t value) {
    expr e = {.type = type, .constant = true, .prec = PREC_PRIMARY};
    int bits = type_bits(type);
    bool is_unsigned = type != ADZE_C_INDEX && adze_dtype_get((adze_dtype)type)->cls == 'U';
    if (type == ADZE_bool) {
        e.integer = value & 1;
        e.text = e.integer ? "true" : "false";
        return e;
    }
    if (type != ADZE_C_INDEX && bits < 64) {
        uint64_t mask = (UINT64_C(1) << bits) - 1, low = (uint64_t)value & mask;
        bool negative = !is_unsigned && (low >> (bits - 1)) != 0;
        value = negative ? (int64_t)(low | ~mask) : (int64_t)low;
    }
    e.integer = value;
    if (is_unsigned && bits == 64)
        e.text = adze_arena_printf(em->arena, "UINT64_C(%" PRIu64 ")", (uint64_t)value);
    else if (is_unsigned)
        e.text = adze_arena_printf(em->arena, "%" PRId64 "u", value);
    else if (value == INT32_MIN)
        e.text = "INT32_MIN";
    else if (value == INT64_MIN)
        e.text = "INT64_MIN";
    else if (value > INT32_MAX || value < INT32_MIN)
        e.text = adze_arena_printf(em->arena, "INT64_C(%" PRId64 ")", value);
    else
        e.text = adze_arena_printf(em->arena, "%" PRId64, value);
    if (value < 0 && e.text[0] == '-')
        e.prec = PREC_UNARY;
    return e;
}

bool expr_range(expr e, int64_t *low, int64_t *high) {
    if (e.constant || e.ranged) {
        *low = e.constant ? e.integer : e.low;
        *high = e.constant ? e.integer : e.high;
        return true;
    }
    if (e.type == ADZE_bool) {
        *low = 0, *high = 1;
        return true;
    }
    if (!type_is_integer(e.type) || type_bits(e.type) > 32 || e.type == ADZE_C_INDEX)
        return false;
    int bits = type_bits(e.type);
    bool is_unsigned = type_unsigned(e.type) == e.type;
    *low = is_unsigned ? 0 : -(INT64_C(1) << (bits - 1));
    *high = (INT64_C(1) << (is_unsigned ? bits : bits - 1)) - 1;
    return true;
}

/* gcc warns about operators of these kinds side by side without parentheses. */
static bool is_bit_level(precedence p) { return p == PREC_SHIFT || (p >= PREC_BITOR && p <= PREC_BITAND); }

static const char *operand(emitter *em, expr e, precedence prec, bool right) {
    bool bare = e.prec > prec || (e.prec == prec && !right);
    if (e.prec < PREC_UNARY && (is_bit_level(prec) || is_bit_level(e.prec)))
        bare = e.prec == prec && !right && prec != PREC_SHIFT;
    if ((prec == PREC_OR && e.prec == PREC_AND) || (prec <= PREC_RELATION && prec >= PREC_EQUAL &&
                                                    (e.prec == PREC_EQUAL || e.prec == PREC_RELATION)))
        bare = false;
    return bare ? e.text : adze_arena_printf(em->arena, "(%s)", e.text);
}

const char *expr_operand(emitter *em, expr e, precedence prec) { return operand(em, e, prec, true); }

expr expr_infix(emitter *em, int type, precedence prec, const char *op, expr a, expr b) {
    expr e = {.type = type, .prec = prec, .memory = a.memory || b.memory,
              .varying = a.varying || b.varying};
    e.left = operand(em, a, prec, false);
    e.right = operand(em, b, prec, true);
    e.op = op;
    e.left_alone = a.text;
    e.right_alone = b.text;
    /* a + -1 reads better as a - 1 */
    if (b.constant && b.text[0] == '-' && prec == PREC_ADD && type_is_integer(b.type)) {
        e.op = op[0] == '+' ? "-" : "+";
        e.right = e.right_alone = b.text + 1;
    }
    e.text = adze_arena_printf(em->arena, "%s %s %s", e.left, e.op, e.right);
    return e;
}

expr expr_call(emitter *em, int type, const char *function, int n, const expr *args) {
    adze_text text = {0};
    expr e = {.type = type, .prec = PREC_PRIMARY};
    adze_text_printf(&text, "%s(", function);
    for (int i = 0; i < n; i++) {
        adze_text_printf(&text, "%s%s", i ? ", " : "", args[i].text);
        e.memory |= args[i].memory;
        e.varying |= args[i].varying;
    }
    adze_text_puts(&text, ")");
    e.text = adze_arena_strdup(em->arena, text.data);
    adze_text_free(&text);
    return e;
}

expr expr_cast(emitter *em, expr e, int type) {
    expr out = {.type = type, .prec = PREC_UNARY, .memory = e.memory, .varying = e.varying};
    out.text = adze_arena_printf(em->arena, "(%s)%s", adze_c_type(em->m, type),
                                 e.prec >= PREC_UNARY
                                     ? e.text
                                     : adze_arena_printf(em->arena, "(%s)", e.text));
    return out;
}

expr expr_as(emitter *em, expr e, int type) {
    if (e.type == type)
        return e;
    if (type >= ADZE_C_VECTOR || e.type >= ADZE_C_VECTOR)
        return expr_vector_as(em, e, type);
    if (e.constant && (type_is_integer(type) || type == ADZE_bool) && type_is_integer(e.type))
        return expr_int(em, type, e.integer);
    bool index_is_int = strcmp(em->m->index_type, "int") == 0;
    if (index_is_int && ((type == ADZE_C_INDEX && e.type == ADZE_i32) ||
                         (type == ADZE_i32 && e.type == ADZE_C_INDEX))) {
        e.type = type;
        return e;
    }
    if (type == ADZE_bool)
        return expr_infix(em, type, PREC_EQUAL, "!=", e, expr_int(em, e.type, 0));
    /* Values below eight bits live in a byte: cut them to their width. */
    if (type_is_integer(type) && type_bits(type) < 8) {
        adze_c_use_runtime(em->m, "adze_int.h");
        const char *name = adze_dtype_get((adze_dtype)type)->name;
        expr wide = expr_cast(em, e, ADZE_i32);
        return expr_call(em, type, adze_arena_printf(em->arena, "adze_wrap_%s", name), 1, &wide);
    }
    return expr_cast(em, e, type);
}

expr expr_add_index(emitter *em, expr a, expr b) {
    if (a.constant && b.constant)
        return expr_int(em, ADZE_C_INDEX, (int64_t)((uint64_t)a.integer + (uint64_t)b.integer));
    if (a.constant && a.integer == 0)
        return b;
    if (b.constant && b.integer == 0)
        return a;
    if (a.constant) { /* 1 + i reads as i + 1 */
        expr t = a;
        a = b, b = t;
    }
    /* Offsets do not overflow, so a + (b - c) needs no parentheses. */
    if (b.prec == PREC_ADD)
        b.prec = PREC_MUL;
    return expr_infix(em, ADZE_C_INDEX, PREC_ADD, "+", a, b);
}

expr expr_mul_index(emitter *em, expr a, expr b) {
    if (a.constant && b.constant)
        return expr_int(em, ADZE_C_INDEX, (int64_t)((uint64_t)a.integer * (uint64_t)b.integer));
    if (a.constant) {
        expr t = a;
        a = b, b = t;
    }
    if (b.constant && b.integer == 1)
        return a;
    if (b.constant && b.integer == 0)
        return b;
    return expr_infix(em, ADZE_C_INDEX, PREC_MUL, "*", a, b);
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool text_mentions(const char *text, const char *name) {
    size_t n = strlen(name);
    for (const char *p = text; (p = strstr(p, name)) != NULL; p += n)
        if ((p == text || !is_word(p[-1])) && !is_word(p[n]))
            return true;
    return false;
}
