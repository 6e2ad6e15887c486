/* Functions of <math.h> written out in arithmetic, on vectors of f32 (and, for the scalar tails of
 * such loops, on scalars, so that an element's value does not depend on the lane it fell into).
 *
 * Errors are in units in the last place of the result, the larger of with and without fused
 * multiply-add; tests/unit/test_vector_math.c holds them. NaN gives NaN; infinities, zeros,
 * overflow and results below the normal range are libm's, except that expm1(-0) is +0. pow: by 2,
 * 3, 4, -1.
 *
 *   exp 1.1   expm1 1.7   tanh 2.7   log 0.9   log1p 1.6   erf 1.3   rsqrt 1.5
 *
 * Polynomials of exp and log: Cephes 2.8 (Moshier), expf.c and logf.c; erf: minimax fits by N.
 * Juffa. */
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <string.h>

enum { OGT = 2, OLT = 4, OLE = 5, OEQ = 1, UNO = 14 }; /* predicates of arith.cmpf */

/* ln2_high: nine bits, exact times an exponent */
static const double ln2_high = 0.693359375, ln2_low = -2.12194440e-4;

static MlirValue num(adze_vz *v, MlirValue like, double x) {
    return like.ptr ? adze_vz_float(v, mlirValueGetType(like), x) : like;
}
static MlirValue add(adze_vz *v, MlirValue x, MlirValue y) {
    return adze_vz_binary(v, "arith.addf", x, y);
}
static MlirValue sub(adze_vz *v, MlirValue x, MlirValue y) {
    return adze_vz_binary(v, "arith.subf", x, y);
}
static MlirValue mul(adze_vz *v, MlirValue x, MlirValue y) {
    return adze_vz_binary(v, "arith.mulf", x, y);
}
static MlirValue division(adze_vz *v, MlirValue x, MlirValue y) {
    return adze_vz_binary(v, "arith.divf", x, y);
}
static MlirValue test(adze_vz *v, int predicate, MlirValue x, MlirValue y) {
    return adze_vz_compare(v, "arith.cmpf", predicate, x, y);
}

/* The same width in the other kind of number. */
static MlirValue as_bits(adze_vz *v, MlirValue x) {
    if (!x.ptr)
        return x;
    MlirType i32 = mlirIntegerTypeGet(v->ctx->mlir, 32);
    MlirType to = mlirTypeIsAVector(mlirValueGetType(x)) ? adze_vz_type(v, i32) : i32;
    return adze_vz_op(v, "arith.bitcast", NULL, 1, &x, to, 0, NULL);
}

static MlirValue as_float(adze_vz *v, MlirValue x) {
    if (!x.ptr)
        return x;
    MlirType f32 = mlirF32TypeGet(v->ctx->mlir);
    MlirType to = mlirTypeIsAVector(mlirValueGetType(x)) ? adze_vz_type(v, f32) : f32;
    return adze_vz_op(v, "arith.bitcast", NULL, 1, &x, to, 0, NULL);
}

static MlirValue whole(adze_vz *v, const char *op, MlirValue x, int64_t y) {
    return x.ptr ? adze_vz_binary(v, op, x, adze_vz_int(v, mlirValueGetType(x), y)) : x;
}

/* c[0] x^(n-1) + ... + c[n-1] */
static MlirValue polynomial(adze_vz *v, MlirValue x, int n, const double *c) {
    MlirValue y = num(v, x, c[0]);
    for (int i = 1; i < n; i++)
        y = adze_vz_fma(v, y, x, num(v, x, c[i]));
    return y;
}

/* x, not below (above) a bound; NaN passes. */
static MlirValue at_least(adze_vz *v, MlirValue x, double bound) {
    MlirValue c = num(v, x, bound);
    return adze_vz_select(v, test(v, OLT, x, c), c, x);
}

static MlirValue at_most(adze_vz *v, MlirValue x, double bound) {
    MlirValue c = num(v, x, bound);
    return adze_vz_select(v, test(v, OGT, x, c), c, x);
}

static MlirValue absolute(adze_vz *v, MlirValue x) {
    return adze_vz_unary(v, "math.absf", x);
}

static MlirValue with_sign(adze_vz *v, MlirValue x, MlirValue sign) {
    return adze_vz_binary(v, "math.copysign", x, sign);
}

/* x = n ln 2 + r, |r| <= ln 2 / 2: r and expm1(r), and the integer n in the upper bits (n << 23).
 * |n| < 256. */
static MlirValue reduce_exp(adze_vz *v, MlirValue x, MlirValue *n23) {
    static const double c[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                               4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
    MlirValue magic = num(v, x, 0x1.8p23); /* what is added to it is rounded to an integer */
    MlirValue t = adze_vz_fma(v, x, num(v, x, 1.44269504088896341), magic);
    MlirValue n = sub(v, t, magic);
    *n23 = whole(v, "arith.shli", as_bits(v, t), 23);
    MlirValue r = adze_vz_fma(v, n, num(v, x, -ln2_high), x);
    r = adze_vz_fma(v, n, num(v, x, -ln2_low), r);
    return adze_vz_fma(v, polynomial(v, r, 6, c), mul(v, r, r), r);
}

static const int64_t one_bits = 0x3f800000;

static MlirValue exponential(adze_vz *v, MlirValue x) {
    MlirValue n23, q = reduce_exp(v, at_most(v, at_least(v, x, -104), 89), &n23);
    MlirValue p = add(v, q, num(v, x, 1));
    /* 2^n in two factors, since n may be beyond a float's exponents on either side */
    MlirValue half = whole(v, "arith.andi", whole(v, "arith.shrsi", n23, 1), -0x800000);
    MlirValue rest = adze_vz_binary(v, "arith.subi", n23, half);
    p = mul(v, p, as_float(v, whole(v, "arith.addi", half, one_bits)));
    return mul(v, p, as_float(v, whole(v, "arith.addi", rest, one_bits)));
}

static MlirValue expm1_of(adze_vz *v, MlirValue x, double most) {
    MlirValue n23, q = reduce_exp(v, at_most(v, at_least(v, x, -30), most), &n23);
    /* 2 (s q + (s - 1/2)) with s = 2^(n - 1) */
    MlirValue s = as_float(v, whole(v, "arith.addi", n23, one_bits - 0x800000));
    MlirValue y = adze_vz_fma(v, s, q, sub(v, s, num(v, x, 0.5)));
    return add(v, y, y);
}

static MlirValue logarithm(adze_vz *v, MlirValue x) {
    static const double c[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                               -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                               2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
    if (!x.ptr)
        return x;
    /* below the normal range: 2^23 times as much */
    MlirValue tiny = test(v, OLT, x, num(v, x, 0x1p-126));
    MlirValue bits = as_bits(v, adze_vz_select(v, tiny, mul(v, x, num(v, x, 0x1p23)), x));
    /* x = m 2^e, m in [sqrt(1/2), sqrt(2)) */
    MlirValue e = whole(v, "arith.shrsi", whole(v, "arith.addi", bits, -0x3f3504f3), 23);
    MlirValue m = as_float(v, adze_vz_binary(v, "arith.subi", bits, whole(v, "arith.shli", e, 23)));
    MlirValue exponent = {NULL};
    if (e.ptr)
        exponent = adze_vz_op(v, "arith.sitofp", NULL, 1, &e, mlirValueGetType(x), 0, NULL);
    exponent = add(v, exponent, adze_vz_select(v, tiny, num(v, x, -23), num(v, x, 0)));
    MlirValue f = sub(v, m, num(v, x, 1)), z = mul(v, f, f);
    MlirValue y = mul(v, mul(v, f, z), polynomial(v, f, 9, c));
    y = adze_vz_fma(v, exponent, num(v, x, ln2_low), y);
    y = adze_vz_fma(v, z, num(v, x, -0.5), y);
    y = adze_vz_fma(v, exponent, num(v, x, ln2_high), add(v, f, y));
    y = adze_vz_select(v, test(v, OLT, x, num(v, x, INFINITY)), y, x);
    MlirValue zero = num(v, x, 0);
    MlirValue edge = adze_vz_select(v, test(v, OEQ, x, zero), num(v, x, -INFINITY), num(v, x, NAN));
    return adze_vz_select(v, test(v, OLE, x, zero), edge, y);
}

/* ---- the table ---- */

static MlirValue write_exp(adze_vz *v, const MlirValue *x) {
    return exponential(v, x[0]);
}
static MlirValue write_expm1(adze_vz *v, const MlirValue *x) {
    return expm1_of(v, x[0], 89);
}
static MlirValue write_log(adze_vz *v, const MlirValue *x) {
    return logarithm(v, x[0]);
}

/* (1 - e^-2a) / (1 + e^-2a) for a = |x| */
static MlirValue write_tanh(adze_vz *v, const MlirValue *x) {
    MlirValue m = expm1_of(v, mul(v, absolute(v, x[0]), num(v, x[0], -2)), 0);
    return with_sign(v, division(v, m, add(v, m, num(v, x[0], 2))), x[0]);
}

/* log(u) + (x - (u - 1)) / u for u = 1 + x: the second term is what u lost */
static MlirValue write_log1p(adze_vz *v, const MlirValue *x) {
    MlirValue one = num(v, x[0], 1), u = add(v, x[0], one);
    MlirValue lost = division(v, sub(v, x[0], sub(v, u, one)), u);
    MlirValue y = add(v, logarithm(v, u), lost);
    y = adze_vz_select(v, test(v, OEQ, u, num(v, x[0], 0)), num(v, x[0], -INFINITY), y);
    y = adze_vz_select(v, test(v, OEQ, u, num(v, x[0], INFINITY)), u, y);
    return adze_vz_select(v, test(v, OEQ, u, one), x[0], y);
}

static MlirValue write_erf(adze_vz *v, const MlirValue *x) {
    static const double near[] = {-5.96761703e-4, 4.99119423e-3,  -2.67681349e-2,
                                  1.12819925e-1,  -3.76125336e-1, 1.28379166e-1};
    MlirValue a = x[0], t = absolute(v, a), s = mul(v, a, a);
    MlirValue small = adze_vz_fma(v, polynomial(v, s, 6, near), a, a);
    /* 1 - exp(polynomial of |x|) */
    MlirValue r = adze_vz_fma(v, num(v, a, -1.72853470e-5), t, num(v, a, 3.83197126e-4));
    MlirValue u = adze_vz_fma(v, num(v, a, -3.88396438e-3), t, num(v, a, 2.42546219e-2));
    r = adze_vz_fma(v, r, s, u);
    r = adze_vz_fma(v, r, t, num(v, a, -1.06777877e-1));
    r = adze_vz_fma(v, r, t, num(v, a, -6.34846687e-1));
    r = adze_vz_fma(v, r, t, num(v, a, -1.28717512e-1));
    r = sub(v, mul(v, r, t), t);
    MlirValue large = with_sign(v, sub(v, num(v, a, 1), exponential(v, r)), a);
    return adze_vz_select(v, test(v, OGT, t, num(v, a, 0.927734375)), large, small);
}

static MlirValue write_rsqrt(adze_vz *v, const MlirValue *x) {
    return division(v, num(v, x[0], 1), adze_vz_unary(v, "math.sqrt", x[0]));
}

static MlirValue write_isnan(adze_vz *v, const MlirValue *x) {
    return test(v, UNO, x[0], x[0]);
}

static const struct {
    const char *op;
    MlirValue (*write)(adze_vz *v, const MlirValue *x);
} functions[] = {
    {"math.exp", write_exp},     {"math.expm1", write_expm1}, {"math.tanh", write_tanh},
    {"math.log", write_log},     {"math.log1p", write_log1p}, {"math.erf", write_erf},
    {"math.rsqrt", write_rsqrt}, {"math.isnan", write_isnan},
};

/* A power by a whole constant: products. */
static bool whole_power(MlirOperation op, int *n) {
    MlirOperation by = adze_is_op(op, "math.powf") ? adze_defining(mlirOperationGetOperand(op, 1))
                                                   : (MlirOperation){NULL};
    if (mlirOperationIsNull(by) || !adze_is_op(by, "arith.constant"))
        return false;
    double e = mlirFloatAttrGetValueDouble(adze_get(by, "value"));
    *n = (int)e;
    return e == 2 || e == 3 || e == 4 || e == -1;
}

bool adze_vz_has_math(MlirOperation op) {
    int n;
    if (mlirOperationGetNumOperands(op) < 1 || mlirOperationGetNumResults(op) != 1 ||
        !mlirTypeIsAF32(mlirValueGetType(mlirOperationGetOperand(op, 0))))
        return false;
    for (size_t i = 0; i < ADZE_COUNT(functions); i++)
        if (adze_is_op(op, functions[i].op))
            return true;
    return whole_power(op, &n);
}

MlirValue adze_vz_math(adze_vz *v, MlirOperation op, const MlirValue *x) {
    for (size_t i = 0; i < ADZE_COUNT(functions); i++)
        if (adze_is_op(op, functions[i].op))
            return functions[i].write(v, x);
    int n;
    whole_power(op, &n);
    if (n < 0)
        return division(v, num(v, x[0], 1), x[0]);
    MlirValue square = mul(v, x[0], x[0]);
    return n == 2 ? square : mul(v, square, n == 3 ? x[0] : square);
}
