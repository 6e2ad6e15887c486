/* unary, binary, where: one function a kind of kinds.def, on doubles and, where ONNX has integer
 * forms, on int64. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

/* ---- unary on doubles; p holds the kind's parameters ---- */

/* clang-format off */

#define F(name, expr)                                                                              \
    static double f_##name(double x, const double *p) {                                            \
        (void)p;                                                                                   \
        return expr;                                                                               \
    }
F(abs, fabs(x))
F(neg, -x)
F(sign, isnan(x) ? x : (double)((x > 0) - (x < 0)))
F(ceil, ceil(x))
F(floor, floor(x))
F(round, rint(x))
F(reciprocal, 1 / x)
F(sqrt, sqrt(x))
F(rsqrt, 1 / sqrt(x))
F(square, x * x)
F(exp, exp(x))
F(log, log(x))
F(sin, sin(x))
F(cos, cos(x))
F(tan, tan(x))
F(asin, asin(x))
F(acos, acos(x))
F(atan, atan(x))
F(sinh, sinh(x))
F(cosh, cosh(x))
F(tanh, tanh(x))
F(asinh, asinh(x))
F(acosh, acosh(x))
F(atanh, atanh(x))
F(erf, erf(x))
F(relu, x < 0 ? 0 : x)
F(clip, isnan(x) ? x : fmin(p[1], fmax(p[0], x))) /* low above high: high, as ONNX says */
F(leaky_relu, x < 0 ? p[0] * x : x)
F(elu, x < 0 ? p[0] * expm1(x) : x)
F(celu, x < 0 ? p[0] * expm1(x / p[0]) : x)
F(selu, x > 0 ? p[1] * x : p[1] * (p[0] * expm1(x)))
F(thresholded_relu, isnan(x) || x > p[0] ? x : 0)
F(shrink, x < -p[1] ? x + p[0] : x > p[1] ? x - p[0] : isnan(x) ? x : 0)
F(sigmoid, 1 / (1 + exp(-x)))
F(hard_sigmoid, isnan(x) ? x : fmin(1, fmax(0, p[0] * x + p[1])))
F(hard_swish, isnan(x) ? x : x * fmin(1, fmax(0, x / 6 + 0.5)))
F(softplus, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
F(softsign, x / (1 + fabs(x)))
F(gelu, 0.5 * x * erfc(-x * 0.70710678118654752440))
F(gelu_tanh, 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))))
F(mish, x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))))
F(swish, x / (1 + exp(-p[0] * x)))
F(not, x == 0)
F(bit_not, ~(int64_t)x) /* integers take the exact form below */
F(is_nan, isnan(x) != 0)
F(is_inf, isinf(x) && (x < 0 ? p[0] != 0 : p[1] != 0))
#undef F

/* clang-format on */

typedef double unary_f(double x, const double *p);

static const struct {
    const char *name;
    unary_f *f;
    int n_params;
} unaries[] = {
#define UNARY(kind, n, doc) {#kind, f_##kind, n},
#define BINARY(kind, result)
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};

/* ---- unary on integers, exact; u64 arrives as its bits ---- */

typedef int64_t unary_i(int64_t x, bool u64);
static int64_t wrap_neg(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
static int64_t i_abs(int64_t x, bool u64) { return u64 || x >= 0 ? x : wrap_neg(x); }
static int64_t i_neg(int64_t x, bool u64) { return (void)u64, wrap_neg(x); }
static int64_t i_sign(int64_t x, bool u64) { return u64 ? x != 0 : (x > 0) - (x < 0); }
static int64_t i_relu(int64_t x, bool u64) { return u64 || x > 0 ? x : 0; }
static int64_t i_square(int64_t x, bool u64) {
    return (void)u64, (int64_t)((uint64_t)x * (uint64_t)x);
}
static int64_t i_bit_not(int64_t x, bool u64) { return (void)u64, ~x; }
static int64_t i_same(int64_t x, bool u64) { return (void)u64, x; }

static const struct {
    const char *name;
    unary_i *f;
} integer_unaries[] = {{"abs", i_abs},   {"neg", i_neg},       {"sign", i_sign},
                       {"relu", i_relu}, {"square", i_square}, {"bit_not", i_bit_not},
                       {"ceil", i_same}, {"floor", i_same},    {"round", i_same}};

/* clip keeps 64-bit integers exact: the parameters are doubles, so a bound beyond 2^53 counts as
 * the nearest one; bounds outside the type do nothing. */
static int64_t clip_i64(int64_t x, bool u64, const double *p) {
    const double v = u64 ? (double)(uint64_t)x : (double)x;
    if (p[0] > p[1] || v > p[1])
        return (int64_t)p[1];
    return v < p[0] ? (int64_t)p[0] : x;
}

bool ref_unary(ref_call *c) {
    const char *kind = ref_str(c, "kind");
    size_t k = 0;
    while (k < ADZE_COUNT(unaries) && strcmp(unaries[k].name, kind))
        k++;
    if (k == ADZE_COUNT(unaries))
        return ref_fail(c, "unknown kind '%s'", kind);
    double p[2] = {0, 0};
    if (!ref_f64s_attr(c, "params", unaries[k].n_params, p, NULL))
        return false;
    const adze_tensor *x = c->in[0];
    if (ref_class(x->dtype) == 'S' || ref_class(x->dtype) == 'C')
        return ref_fail(c, "kind '%s' is not defined for %s", kind, adze_dtype_get(x->dtype)->name);
    if (!ref_out_like(c, 0, x))
        return false;
    const size_t n = adze_tensor_count(x);

    const bool integer = strchr("IU", ref_class(x->dtype)) && !ref_any_quant(c);
    unary_i *exact = NULL;
    for (size_t i = 0; integer && i < ADZE_COUNT(integer_unaries); i++)
        if (!strcmp(integer_unaries[i].name, kind))
            exact = integer_unaries[i].f;
    if (integer && (exact || !strcmp(kind, "clip"))) {
        int64_t *v = ref_i64s(c, x);
        const bool u64 = x->dtype == ADZE_u64;
        for (size_t i = 0; i < n; i++)
            v[i] = exact ? exact(v[i], u64) : clip_i64(v[i], u64, p);
        ref_put_i64s(&c->out[0], v);
        return true;
    }
    /* quantized: y = sat(zy + round_half_even(f((x - zx) * sx) / sy)), which for eight bits is a
     * table of 256 entries */
    double *v = ref_reals(c, 0);
    for (size_t i = 0; i < n; i++)
        v[i] = unaries[k].f(v[i], p);
    ref_put_reals(c, 0, v);
    return true;
}

/* ---- binary on doubles ---- */

/* clang-format off */
#define F(name, expr)                                                                              \
    static double b_##name(double x, double y) { return expr; }
F(add, x + y)
F(sub, x - y)
F(mul, x * y)
F(div, x / y)
F(fmod, fmod(x, y))
F(pow, pow(x, y))
F(min, isnan(x) || isnan(y) ? NAN : fmin(x, y))
F(max, isnan(x) || isnan(y) ? NAN : fmax(x, y))
F(prelu, x < 0 ? x * y : x)
F(atan2, atan2(x, y))
F(and, x != 0 && y != 0)
F(or, x != 0 || y != 0)
F(xor, (x != 0) != (y != 0))
F(equal, x == y)
F(less, x < y)
F(less_equal, x <= y)
F(greater, x > y)
F(greater_equal, x >= y)
#undef F
/* numpy: the sign of the divisor */
static double b_mod(double x, double y) {
    const double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r == 0 ? copysign(0, y) : r;
}

/* ---- binary on int64; u says that the bits are unsigned ---- */

#define U(v) ((uint64_t)(v))
#define I(name, expr)                                                                              \
    static int64_t i_##name(int64_t x, int64_t y, bool u) {                                        \
        (void)u;                                                                                   \
        return (int64_t)(expr);                                                                    \
    }
I(add, U(x) + U(y))
I(sub, U(x) - U(y))
I(mul, U(x) * U(y))
/* division by zero is undefined in ONNX: 0 here */
I(div, y == 0 ? 0 : u ? (int64_t)(U(x) / U(y)) : y == -1 ? wrap_neg(x) : x / y)
I(fmod, y == 0 ? 0 : u ? (int64_t)(U(x) % U(y)) : y == -1 ? 0 : x % y)
I(min, (u ? U(x) < U(y) : x < y) ? x : y)
I(max, (u ? U(x) > U(y) : x > y) ? x : y)
I(prelu, !u && x < 0 ? U(x) * U(y) : U(x))
I(and, x && y)
I(or, x || y)
I(xor, !x != !y)
I(bit_and, x & y)
I(bit_or, x | y)
I(bit_xor, x ^ y)
I(shift_left, U(x) << y)
I(shift_right, u ? U(x) >> y : U(x >> y))
I(equal, x == y)
I(less, u ? U(x) < U(y) : x < y)
I(less_equal, u ? U(x) <= U(y) : x <= y)
I(greater, u ? U(x) > U(y) : x > y)
I(greater_equal, u ? U(x) >= U(y) : x >= y)
#undef I
/* clang-format on */
static int64_t i_mod(int64_t x, int64_t y, bool u) {
    const int64_t r = i_fmod(x, y, u);
    return !u && r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
/* exact by squaring, wrapping; a negative exponent truncates: 0 unless |x| is 1 */
static int64_t i_pow(int64_t x, int64_t y, bool u) {
    if (!u && y < 0)
        return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
    uint64_t base = U(x), result = 1;
    for (uint64_t e = U(y); e; e >>= 1, base *= base)
        if (e & 1)
            result *= base;
    return (int64_t)result;
}

typedef double binary_f(double x, double y);
typedef int64_t binary_i(int64_t x, int64_t y, bool u);

/* kinds that only one of the two has */
#define b_bit_and NULL
#define b_bit_or NULL
#define b_bit_xor NULL
#define b_shift_left NULL
#define b_shift_right NULL
#define i_atan2 NULL

static const struct {
    const char *name, *result;
    binary_f *f;
    binary_i *i;
} binaries[] = {
#define UNARY(kind, n, doc)
#define BINARY(kind, result) {#kind, #result, b_##kind, i_##kind},
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};

static bool string_equal(ref_call *c, const size_t *map_x, const size_t *map_y) {
    const adze_string *x = c->in[0]->data, *y = c->in[1]->data;
    for (size_t i = 0, n = adze_tensor_count(&c->out[0]); i < n; i++) {
        const adze_string *a = &x[ref_at(map_x, i)], *b = &y[ref_at(map_y, i)];
        adze_tensor_set_i64(&c->out[0], i,
                            a->length == b->length && !memcmp(a->data, b->data, a->length));
    }
    return true;
}

bool ref_binary(ref_call *c) {
    const char *kind = ref_str(c, "kind");
    size_t k = 0;
    while (k < ADZE_COUNT(binaries) && strcmp(binaries[k].name, kind))
        k++;
    if (k == ADZE_COUNT(binaries))
        return ref_fail(c, "unknown kind '%s'", kind);
    int rank;
    int64_t dims[ADZE_MAX_RANK];
    if (!ref_broadcast(c, c->in, 2, &rank, dims) || !ref_out(c, 0, rank, dims))
        return false;
    const adze_tensor *x = c->in[0], *y = c->in[1];
    const size_t *map_x = ref_broadcast_map(c, x, rank, dims);
    const size_t *map_y = ref_broadcast_map(c, y, rank, dims);
    if (x->dtype == ADZE_string && y->dtype == ADZE_string && !strcmp(kind, "equal"))
        return string_equal(c, map_x, map_y);
    if (strchr("SC", ref_class(x->dtype)) || strchr("SC", ref_class(y->dtype)))
        return ref_fail(c, "kind '%s' is not defined for %s and %s", kind,
                        adze_dtype_get(x->dtype)->name, adze_dtype_get(y->dtype)->name);
    if (ref_any_quant(c) && (!strcmp(kind, "add") || !strcmp(kind, "sub") || !strcmp(kind, "mul")))
        return ref_quantized_binary(c, kind);

    const size_t n = adze_tensor_count(&c->out[0]);
    if (ref_any_quant(c) || ref_is_float(x) || ref_is_float(y)) {
        if (!binaries[k].f)
            return ref_fail(c, "kind '%s' is not defined for %s", kind,
                            adze_dtype_get(x->dtype)->name);
        const double *a = ref_reals(c, 0), *b = ref_reals(c, 1);
        double *v = ref_alloc(c, n, sizeof *v);
        for (size_t i = 0; i < n; i++)
            v[i] = binaries[k].f(a[ref_at(map_x, i)], b[ref_at(map_y, i)]);
        ref_put_reals(c, 0, v);
        return true;
    }
    if (!binaries[k].i)
        return ref_fail(c, "kind '%s' is not defined for %s", kind, adze_dtype_get(x->dtype)->name);
    const bool u = strchr("UB", ref_class(x->dtype));
    const int64_t *a = ref_i64s(c, x);
    int64_t *b = ref_i64s(c, y);
    if (!strncmp(kind, "shift", 5)) /* undefined in ONNX from the width on: modulo the width here */
        for (size_t i = 0; i < adze_tensor_count(y); i++)
            b[i] &= adze_dtype_get(x->dtype)->bits - 1;
    int64_t *v = ref_alloc(c, n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = binaries[k].i(a[ref_at(map_x, i)], b[ref_at(map_y, i)], u);
    ref_put_i64s(&c->out[0], v);
    return true;
}

bool ref_where(ref_call *c) {
    int rank;
    int64_t dims[ADZE_MAX_RANK];
    if (!ref_broadcast(c, c->in, 3, &rank, dims) || !ref_out(c, 0, rank, dims))
        return false;
    const size_t n = adze_tensor_count(&c->out[0]);
    const size_t *map_c = ref_broadcast_map(c, c->in[0], rank, dims);
    const size_t *map_x = ref_broadcast_map(c, c->in[1], rank, dims);
    const size_t *map_y = ref_broadcast_map(c, c->in[2], rank, dims);
    /* two moves: the elements of x where the condition holds, then those of y over the rest */
    int64_t *from_x = ref_alloc(c, n, sizeof *from_x), *from_y = ref_alloc(c, n, sizeof *from_y);
    for (size_t i = 0; i < n; i++) {
        const bool yes = adze_tensor_get_i64(c->in[0], ref_at(map_c, i)) != 0;
        from_x[i] = yes ? (int64_t)ref_at(map_x, i) : -1;
        from_y[i] = yes ? -1 : (int64_t)ref_at(map_y, i);
    }
    if (!ref_move(c, 1, from_x))
        return false;
    const size_t bytes = adze_dtype_get(c->out[0].dtype)->host_bytes;
    uint8_t *out = adze_tensor_data(&c->out[0]);
    uint8_t *kept = ref_alloc(c, n, bytes);
    memcpy(kept, out, n * bytes);
    if (!ref_move(c, 2, from_y))
        return false;
    for (size_t i = 0; i < n; i++)
        if (from_x[i] >= 0)
            memcpy(out + i * bytes, kept + i * bytes, bytes);
    return true;
}
