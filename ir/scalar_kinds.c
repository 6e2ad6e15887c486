/* The elementwise kinds as arith and math operations: an interpreter of scalar.def's postfix forms.
 *
 *   form text ──► words ──► a stack of terms ──► operations at the builder
 *
 * A term is a value or a constant not yet built. Constants fold where that changes no result, so that
 * parameters such as alpha = 1 or an absent clip bound leave no trace in the C. */
#include "ir/integer.h"
#include "ir/scalar_internal.h"

#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct form {
    const char *kind, *f, *i, *u, *b; /* float, signed, unsigned, bool */
} form;

/* A kind of kinds.def without a form, or the reverse, does not compile. */
enum {
#define UNARY_FORM(kind, f, i, u, b) HAS_UNARY_##kind,
#define BINARY_FORM(kind, f, i, u, b) HAS_BINARY_##kind,
#include "ir/scalar.def"
#undef UNARY_FORM
#undef BINARY_FORM
    N_FORMS
};
enum {
#define UNARY(kind, n, doc) KIND_UNARY_##kind = HAS_UNARY_##kind,
#define BINARY(kind, result) KIND_BINARY_##kind = HAS_BINARY_##kind,
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};

#define UNARY_FORM(kind, f, i, u, b) {#kind, f, i, u, b},
#define BINARY_FORM(kind, f, i, u, b)
static const form unary_forms[] = {
#include "ir/scalar.def"
};
#undef UNARY_FORM
#undef BINARY_FORM
#define UNARY_FORM(kind, f, i, u, b)
#define BINARY_FORM(kind, f, i, u, b) {#kind, f, i, u, b},
static const form binary_forms[] = {
#include "ir/scalar.def"
};
#undef UNARY_FORM
#undef BINARY_FORM

static const char via_f64[] = "f64";

/* Words that are one operation: name, operands, and the operation for each class. */
static const struct {
    const char *word;
    int n;
    const char *f, *i, *u;
} operations[] = {
    {"+", 2, "arith.addf", "arith.addi", "arith.addi"},
    {"-", 2, "arith.subf", "arith.subi", "arith.subi"},
    {"*", 2, "arith.mulf", "arith.muli", "arith.muli"},
    {"/", 2, "arith.divf", "arith.divsi", "arith.divui"},
    {"%", 2, "arith.remf", "arith.remsi", "arith.remui"},
    {"max", 2, "arith.maximumf", "arith.maxsi", "arith.maxui"},
    {"min", 2, "arith.minimumf", "arith.minsi", "arith.minui"},
    {"&", 2, NULL, "arith.andi", "arith.andi"},
    {"|", 2, NULL, "arith.ori", "arith.ori"},
    {"^", 2, NULL, "arith.xori", "arith.xori"},
    {"shl", 2, NULL, "arith.shli", "arith.shli"},
    {"shr", 2, NULL, "arith.shrsi", "arith.shrui"},
    {"neg", 1, "arith.negf", NULL, NULL},
    {"abs", 1, "math.absf", "math.absi", NULL},
    {"ceil", 1, "math.ceil", NULL, NULL},
    {"floor", 1, "math.floor", NULL, NULL},
    {"roundeven", 1, "math.roundeven", NULL, NULL},
    {"sqrt", 1, "math.sqrt", NULL, NULL},
    {"rsqrt", 1, "math.rsqrt", NULL, NULL},
    {"exp", 1, "math.exp", NULL, NULL},
    {"expm1", 1, "math.expm1", NULL, NULL},
    {"log", 1, "math.log", NULL, NULL},
    {"log1p", 1, "math.log1p", NULL, NULL},
    {"sin", 1, "math.sin", NULL, NULL},
    {"cos", 1, "math.cos", NULL, NULL},
    {"tan", 1, "math.tan", NULL, NULL},
    {"asin", 1, "math.asin", NULL, NULL},
    {"acos", 1, "math.acos", NULL, NULL},
    {"atan", 1, "math.atan", NULL, NULL},
    {"sinh", 1, "math.sinh", NULL, NULL},
    {"cosh", 1, "math.cosh", NULL, NULL},
    {"tanh", 1, "math.tanh", NULL, NULL},
    {"asinh", 1, "math.asinh", NULL, NULL},
    {"acosh", 1, "math.acosh", NULL, NULL},
    {"atanh", 1, "math.atanh", NULL, NULL},
    {"erf", 1, "math.erf", NULL, NULL},
    {"atan2", 2, "math.atan2", NULL, NULL},
};

/* Comparisons: predicate numbers of arith.cmpf and arith.cmpi. All are false on NaN but !=. */
static const struct {
    const char *word;
    int f, i, u;
} comparisons[] = {
    {"==", 1, 0, 0}, {"!=", 13, 1, 1}, {"<", 4, 2, 6}, {"<=", 5, 3, 7}, {">", 2, 4, 8}, {">=", 3, 5, 9},
};

typedef struct term {
    MlirValue value; /* null: a constant not built yet */
    bool known;      /* `number` is its value */
    double number;
    bool boolean;
} term;

enum { STACK = 16 };

typedef struct machine {
    adze_builder *b;
    adze_dtype dtype;
    char cls; /* F I U B */
    MlirType type, bit;
    const char *kind;
    const double *params;
    term x, y, kept, stack[STACK];
    int n;
} machine;

static _Noreturn void broken(const machine *m, const char *word) {
    fprintf(stderr, "adze: scalar.def: '%s': the word '%s' does not fit\n", m->kind, word);
    abort();
}

static void push(machine *m, term t) {
    if (m->n == STACK)
        broken(m, "(stack)");
    m->stack[m->n++] = t;
}

static term pop(machine *m) {
    if (!m->n)
        broken(m, "(stack)");
    return m->stack[--m->n];
}

static term number(double v) { return (term){.known = true, .number = v}; }
static term truth(bool v) { return (term){.known = true, .number = v, .boolean = true}; }
static term built(MlirValue v, bool boolean) { return (term){.value = v, .boolean = boolean}; }
static bool is(term t, double v) { return t.known && t.number == v; }

static MlirValue value_of(machine *m, term t) {
    if (!mlirValueIsNull(t.value))
        return t.value;
    adze_dtype dtype = m->dtype;
    if (t.boolean)
        dtype = ADZE_bool;
    else if (m->cls == 'F') /* constants of a formula keep f32's precision */
        dtype = m->dtype == ADZE_f64 ? ADZE_f64 : ADZE_f32;
    else if (adze_dtype_get(m->dtype)->bits < 8) /* and integers' that of the type they live in */
        dtype = m->cls == 'U' ? ADZE_u8 : ADZE_i8;
    return adze_scalar_f64(m->b, dtype, t.number).value;
}

static term build(machine *m, const char *op, int n, const term *in, bool boolean) {
    MlirValue operands[3];
    for (int i = 0; i < n; i++)
        operands[i] = value_of(m, in[i]);
    return built(adze_build1(m->b, op, n, operands, boolean ? m->bit : m->type, 0, NULL), boolean);
}

/* Identities that hold for every value, NaN and signed zeros included, and sums of known numbers. */
static bool fold(const machine *m, const char *word, const term *in, term *out) {
    const term a = in[0], c = in[1];
    if (a.boolean)
        return false;
    if (a.known && c.known && m->cls != 'U') {
        switch (word[0]) {
        case '+': return *out = number(a.number + c.number), true;
        case '-': return *out = number(a.number - c.number), true;
        case '*': return *out = number(a.number * c.number), true;
        default: break;
        }
    }
    if (!strcmp(word, "*") && (is(a, 1) || is(c, 1)))
        return *out = is(a, 1) ? c : a, true;
    if (!strcmp(word, "/") && is(c, 1))
        return *out = a, true;
    if (m->cls == 'F' || !c.known)
        return false;
    int64_t low, high;
    adze_integer_range(m->dtype, &low, &high);
    if ((!strcmp(word, "max") && c.number <= (double)low) ||
        (!strcmp(word, "min") && m->dtype != ADZE_u64 && c.number >= (double)high))
        return *out = a, true;
    return false;
}

static bool boolean_fold(const char *word, const term *in, term *out) {
    for (int i = 0; i < 2; i++) {
        const term a = in[i], c = in[1 - i];
        if (!a.boolean || !a.known)
            continue;
        bool one = a.number != 0;
        if (word[0] == '&')
            return *out = one ? c : a, true;
        if (word[0] == '|')
            return *out = one ? a : c, true;
        if (word[0] == '^' && !one)
            return *out = c, true;
    }
    return false;
}

static bool operation_word(machine *m, const char *word) {
    for (size_t i = 0; i < ADZE_COUNT(operations); i++) {
        if (strcmp(operations[i].word, word))
            continue;
        term in[2] = {number(0), number(0)}, out;
        for (int j = operations[i].n; j-- > 0;)
            in[j] = pop(m);
        bool boolean = in[0].boolean;
        const char *op = boolean || m->cls == 'U' ? operations[i].u
                         : m->cls == 'F'          ? operations[i].f
                                                  : operations[i].i;
        if (!op)
            broken(m, word);
        if (operations[i].n == 2 && (fold(m, word, in, &out) || boolean_fold(word, in, &out))) {
            push(m, out);
            return true;
        }
        /* shifts by the width or more are undefined in ONNX and C; here as in the reference */
        if (!strcmp(word, "shl") || !strcmp(word, "shr")) {
            double last = adze_dtype_get(m->dtype)->bits - 1;
            bool small = in[1].known && in[1].number >= 0 && in[1].number <= last;
            if (!small)
                in[1] = build(m, "arith.andi", 2, (term[]){in[1], number(last)}, false);
        }
        /* negating or multiplying by -1 a number that is not built yet */
        if (!strcmp(word, "neg") && in[0].known)
            push(m, number(-in[0].number));
        else if (!strcmp(word, "*") && m->cls == 'F' && (is(in[0], -1) || is(in[1], -1)))
            push(m, build(m, "arith.negf", 1, is(in[0], -1) ? &in[1] : &in[0], false));
        else
            push(m, build(m, op, operations[i].n, in, boolean));
        return true;
    }
    return false;
}

static term compare(machine *m, int predicate, term a, term c) {
    if ((a.known && isnan(a.number)) || (c.known && isnan(c.number)))
        return truth(predicate == 13);
    MlirValue operands[2] = {value_of(m, a), value_of(m, c)};
    adze_named attr = {"predicate", adze_i64(m->b->ctx, predicate)};
    const char *op = m->cls == 'F' ? "arith.cmpf" : "arith.cmpi";
    return built(adze_build1(m->b, op, 2, operands, m->bit, 1, &attr), true);
}

static bool comparison_word(machine *m, const char *word) {
    for (size_t i = 0; i < ADZE_COUNT(comparisons); i++) {
        if (strcmp(comparisons[i].word, word))
            continue;
        term c = pop(m), a = pop(m);
        bool sign_free = m->cls == 'U' || a.boolean;
        int predicate = m->cls == 'F' ? comparisons[i].f
                        : sign_free   ? comparisons[i].u
                                      : comparisons[i].i;
        push(m, compare(m, predicate, a, c));
        return true;
    }
    return false;
}

static term choose(machine *m, term condition, term a, term c) {
    if (condition.known)
        return condition.number != 0 ? a : c;
    MlirValue operands[3] = {value_of(m, condition), value_of(m, a), value_of(m, c)};
    return built(adze_build1(m->b, "arith.select", 3, operands, mlirValueGetType(operands[1]), 0, NULL),
                 a.boolean);
}

/* a beyond c ? c : a, on floats: NaN in a passes. */
static term bound(machine *m, bool low, term a, term c) {
    if (is(c, low ? -INFINITY : INFINITY))
        return a;
    return choose(m, compare(m, low ? 4 : 2, a, c), c, a);
}

static term power(machine *m, term a, term c) {
    adze_scalar x = {value_of(m, a), m->dtype}, y = {value_of(m, c), m->dtype}, out;
    if (m->cls != 'F') {
        if (!adze_scalar_integer_pow(m->b, x, y, &out))
            broken(m, "pow");
        return built(out.value, false);
    }
    /* multiplications are faster and at least as exact as pow of the same small exponent */
    if (is(c, 1))
        return a;
    if (is(c, 2) || is(c, 3)) {
        term square = build(m, "arith.mulf", 2, (term[]){a, a}, false);
        return is(c, 2) ? square : build(m, "arith.mulf", 2, (term[]){square, a}, false);
    }
    return build(m, "math.powf", 2, (term[]){a, c}, false);
}

/* A parameter on integers counts as the nearest number of the type towards zero. */
static term parameter(const machine *m, int i) {
    double v = m->params[i];
    if (m->cls == 'F')
        return number(v);
    int64_t low, high;
    adze_integer_range(m->dtype, &low, &high);
    double top = m->dtype == ADZE_u64 ? 0x1p64 : (double)high;
    return number(isnan(v) ? 0 : fmin(top, fmax((double)low, trunc(v))));
}

static void run(machine *m, const char *text);

static bool special_word(machine *m, const char *word) {
    if (!strcmp(word, "x") || !strcmp(word, "y")) {
        push(m, word[0] == 'x' ? m->x : m->y);
    } else if (!strcmp(word, "p0") || !strcmp(word, "p1")) {
        push(m, parameter(m, word[1] - '0'));
    } else if (!strcmp(word, "=t")) {
        m->kept = pop(m);
    } else if (!strcmp(word, "t")) {
        push(m, m->kept);
    } else if (!strcmp(word, "?")) {
        term c = pop(m), a = pop(m), condition = pop(m);
        push(m, choose(m, condition, a, c));
    } else if (!strcmp(word, "atleast") || !strcmp(word, "atmost")) {
        term c = pop(m), a = pop(m);
        push(m, bound(m, word[2] == 'l', a, c));
    } else if (!strcmp(word, "pow")) {
        term c = pop(m), a = pop(m);
        push(m, power(m, a, c));
    } else if (!strcmp(word, "isnan")) {
        term a = pop(m);
        push(m, build(m, "math.isnan", 1, &a, true));
    } else if (!strcmp(word, "not")) {
        term a[2] = {pop(m), truth(true)};
        push(m, build(m, "arith.xori", 2, a, true));
    } else if (!strcmp(word, "softplus")) {
        term x = m->x;
        m->x = pop(m);
        for (size_t i = 0; i < ADZE_COUNT(unary_forms); i++)
            if (!strcmp(unary_forms[i].kind, word))
                run(m, unary_forms[i].f);
        m->x = x;
    } else {
        return false;
    }
    return true;
}

static void run(machine *m, const char *text) {
    char word[32];
    while (*text) {
        size_t n = strcspn(text, " ");
        if (n >= sizeof word)
            broken(m, text);
        memcpy(word, text, n);
        word[n] = '\0';
        text += n;
        text += *text == ' ';
        char *end;
        if (special_word(m, word) || operation_word(m, word) || comparison_word(m, word))
            continue;
        double v = strtod(word, &end);
        if (end == word || *end)
            broken(m, word);
        push(m, number(v));
    }
}

static term term_of(adze_scalar x) {
    term t = {.value = x.value, .boolean = x.dtype == ADZE_bool};
    t.known = adze_scalar_known(x, &t.number);
    return t;
}

static const form *find(const form *forms, size_t n, const char *kind) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(forms[i].kind, kind))
            return &forms[i];
    return NULL;
}

static void name_result(const machine *m, const char *name, const adze_scalar *in, int n,
                        term result) {
    MlirOperation def = mlirValueIsNull(result.value) ? (MlirOperation){0} : adze_defining(result.value);
    for (int i = 0; i < n; i++)
        if (mlirValueEqual(result.value, in[i].value))
            return;
    if (name && !mlirOperationIsNull(def))
        mlirOperationSetLocation(def, mlirLocationNameGet(m->b->ctx->mlir,
                                                          mlirStringRefCreateFromCString(name),
                                                          mlirOperationGetLocation(def)));
}

static bool apply(adze_builder *b, const form *row, const char *kind, const double *params, int n,
                  const adze_scalar *in, adze_scalar *out) {
    const adze_dtype_info *info = adze_dtype_get(in[0].dtype);
    const char *text = !row               ? ""
                       : info->cls == 'F' ? row->f
                       : info->cls == 'I' ? row->i
                       : info->cls == 'U' ? row->u
                       : info->cls == 'B' ? row->b
                                          : "";
    if (!*text)
        return adze_error(&b->ctx->diags, NULL, "elementwise kind '%s' is not defined for %s", kind,
                          info->name);
    if (!strcmp(text, via_f64)) {
        adze_scalar wide[2], result;
        for (int i = 0; i < n; i++)
            if (!adze_scalar_cast(b, in[i], ADZE_f64, false, &wide[i]))
                return false;
        if (!apply(b, row, kind, params, n, wide, &result))
            return false;
        *out = result;
        return result.dtype != ADZE_f64 || adze_scalar_cast(b, result, in[0].dtype, false, out);
    }
    machine m = {.b = b,
                 .dtype = in[0].dtype,
                 .cls = info->cls,
                 .type = adze_scalar_type(b->ctx, in[0].dtype),
                 .bit = mlirIntegerTypeGet(b->ctx->mlir, 1),
                 .kind = kind,
                 .params = params,
                 .x = term_of(in[0])};
    if (n == 2)
        m.y = term_of(in[1]);
    const char *name = b->name; /* for the result, not for the first step */
    b->name = NULL;
    run(&m, text);
    term result = pop(&m);
    if (m.n)
        broken(&m, "(end)");
    name_result(&m, name, in, n, result);
    if (result.boolean) {
        *out = (adze_scalar){value_of(&m, result), ADZE_bool};
        return true;
    }
    adze_scalar raw = {value_of(&m, result), in[0].dtype};
    *out = info->cls == 'F' ? adze_scalar_rounded(b, raw) : adze_scalar_wrapped(b, raw);
    return true;
}

bool adze_scalar_unary(adze_builder *b, const char *kind, const double *params, adze_scalar x,
                       adze_scalar *out) {
    static const double none[2] = {0, 0};
    return apply(b, find(unary_forms, ADZE_COUNT(unary_forms), kind), kind, params ? params : none, 1,
                 &x, out);
}

/* x's type, or f64 when an integer base has a real exponent. */
static bool power_operands(adze_builder *b, adze_scalar x, adze_scalar y, adze_scalar *out) {
    bool x_real = adze_dtype_get(x.dtype)->cls == 'F', y_real = adze_dtype_get(y.dtype)->cls == 'F';
    if (!x_real && !y_real)
        return adze_scalar_integer_pow(b, x, y, out);
    if (x_real)
        return adze_scalar_cast(b, y, x.dtype, false, &y) &&
               apply(b, find(binary_forms, ADZE_COUNT(binary_forms), "pow"), "pow", NULL, 2,
                     (adze_scalar[]){x, y}, out);
    adze_scalar wide[2], result;
    return adze_scalar_cast(b, x, ADZE_f64, false, &wide[0]) &&
           adze_scalar_cast(b, y, ADZE_f64, false, &wide[1]) &&
           apply(b, find(binary_forms, ADZE_COUNT(binary_forms), "pow"), "pow", NULL, 2, wide,
                 &result) &&
           adze_scalar_cast(b, result, x.dtype, false, out);
}

bool adze_scalar_binary(adze_builder *b, const char *kind, adze_scalar x, adze_scalar y,
                        adze_scalar *out) {
    if (x.dtype != y.dtype && !strcmp(kind, "pow"))
        return power_operands(b, x, y, out);
    if (x.dtype != y.dtype)
        return adze_error(&b->ctx->diags, NULL, "elementwise kind '%s' of %s and %s", kind,
                          adze_dtype_get(x.dtype)->name, adze_dtype_get(y.dtype)->name);
    return apply(b, find(binary_forms, ADZE_COUNT(binary_forms), kind), kind, NULL, 2,
                 (adze_scalar[]){x, y}, out);
}
