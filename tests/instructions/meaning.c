/* The meanings of rows in plain C. Floats are computed in double, where +, -, *, / and sqrt of
 * floats of half the width are rounded right by rounding once more. */
#include "meaning.h"
#include "pool.h"

#include <math.h>
#include <string.h>

/* ---- elements ---- */

static double from_bits(unsigned mantissa, unsigned exponent, uint32_t bits) {
    int top = (1 << exponent) - 1, e = (int)(bits >> mantissa) & top;
    double m = (double)(bits & ((1u << mantissa) - 1)) / (double)(1u << mantissa);
    double sign = bits >> (mantissa + exponent) ? -1 : 1;
    if (e == top)
        return m != 0 ? NAN : sign * INFINITY;
    return sign * (e ? ldexp(1 + m, e - top / 2) : ldexp(m, 1 - top / 2));
}

/* To `mantissa` bits and the exponents from `least` (of the least normal) to `most`. */
static double rounded(double x, int mantissa, int least, int most) {
    if (x == 0 || !isfinite(x))
        return x;
    int e;
    frexp(x, &e);
    e = e - 1 < least ? least : e - 1;
    double unit = ldexp(1, e - mantissa), y = nearbyint(x / unit) * unit;
    return fabs(y) >= ldexp(1, most + 1) ? copysign(INFINITY, x) : copysign(y, x);
}

double meaning_round(const adze_value_type *t, double x) {
    if (t->base == 'h')
        return rounded(x, 7, -126, 127);
    return t->bits == 16 ? rounded(x, 10, -14, 15) : t->bits == 32 ? (double)(float)x : x;
}

value meaning_load(const adze_value_type *t, const void *at, size_t lane) {
    value v = {0};
    const char *p = (const char *)at + lane * (t->bits / 8);
    int8_t s8;
    int16_t s16;
    int32_t s32;
    float f32;
    uint64_t mask = t->bits == 64 || !t->bits ? ~(uint64_t)0 : ((uint64_t)1 << t->bits) - 1;
    switch (t->bits) {
    case 8:
        memcpy(&s8, p, 1), v.i = s8;
        break;
    case 16:
        memcpy(&s16, p, 2), v.i = s16;
        break;
    case 32:
        memcpy(&s32, p, 4), v.i = s32;
        break;
    case 64:
        memcpy(&v.i, p, 8);
        break;
    default:
        break;
    }
    if (t->base == 'u')
        v.i = (int64_t)((uint64_t)v.i & mask);
    else if (t->base == 'h')
        v.f = from_bits(7, 8, (uint32_t)v.i & 0xffff);
    else if (t->base == 'f' && t->bits == 16)
        v.f = from_bits(10, 5, (uint32_t)v.i & 0xffff);
    else if (t->base == 'f' && t->bits == 32)
        memcpy(&f32, p, 4), v.f = (double)f32;
    else if (t->base == 'f')
        memcpy(&v.f, p, 8);
    return v;
}

value meaning_operand(const call *c, size_t o, size_t lane) {
    const adze_value_type *t = &c->row->operands[o];
    if (t->base == 'n' || t->base == '#')
        return (value){.i = c->number[o]};
    if (t->base == 'b') { /* as bytes */
        static const adze_value_type byte = {.base = 's', .bits = 8};
        value v = meaning_load(&byte, c->operand[o], lane);
        v.i = v.i != 0;
        return v;
    }
    /* a scalar among vectors counts for every lane */
    value v = meaning_load(t, c->operand[o], adze_value_type_is_vector(t) || t->pointer ? lane : 0);
    if (c->flushed && t->bits == 32 && fabs(v.f) < 0x1p-126)
        v.f = copysign(0, v.f);
    return v;
}

#define OPERAND(n) meaning_operand(c, n, lane)
#define A OPERAND(0)
#define B OPERAND(1)
#define C OPERAND(2)
#define MEANING(name) static bool name(const call *c, size_t lane, value *want)

static bool floats(const adze_value_type *t) {
    return t->base == 'f' || t->base == 'h';
}
static bool on_floats(const call *c) {
    return floats(&c->row->type);
}
static bool put(const call *c, value *want, double f) {
    want->f = meaning_round(&c->row->result, f);
    return true;
}
/* Above, for the type's own sign. */
static bool above(const adze_value_type *t, int64_t a, int64_t b) {
    return t->base == 'u' ? (uint64_t)a > (uint64_t)b : a > b;
}

/* ---- arithmetic ---- */

/* Two meanings in one: of floats, of integers. */
#define BOTH(name, of_floats, of_integers)                                                         \
    MEANING(name) {                                                                                \
        (void)lane;                                                                                \
        if (on_floats(c))                                                                          \
            return put(c, want, of_floats);                                                        \
        want->i = (int64_t)(of_integers);                                                          \
        return true;                                                                               \
    }
BOTH(add, A.f + B.f, (uint64_t)A.i + (uint64_t)B.i)
BOTH(sub, A.f - B.f, (uint64_t)A.i - (uint64_t)B.i)
BOTH(mul, A.f *B.f, (uint64_t)A.i *(uint64_t)B.i)
BOTH(divide, A.f / B.f, 0)
BOTH(root, sqrt(A.f), 0)
BOTH(neg, -A.f, -(uint64_t)A.i)
BOTH(absolute, fabs(A.f), A.i < 0 ? -(uint64_t)A.i : (uint64_t)A.i)
BOTH(zero, 0, 0)
BOTH(first, A.f, A.i)
BOTH(second, B.f, B.i)
BOTH(lower, floor(A.f), 0)
BOTH(upper, ceil(A.f), 0)
BOTH(nearest, nearbyint(A.f), 0)
BOTH(toward_zero, trunc(A.f), 0)
BOTH(sign_of, copysign(A.f, signbit(B.f) ? -1.0 : 1.0), 0)
BOTH(chosen, A.i ? B.f : C.f, A.i ? B.i : C.i)

static bool fused(const call *c, value *want, double a, double b, double d) {
    if (!on_floats(c)) {
        return false;
    }
    if (c->row->result.bits == 32)
        want->f = (double)fmaf((float)a, (float)b, (float)d);
    else if (c->row->result.bits == 64)
        want->f = fma(a, b, d);
    else
        return put(c, want, (double)((long double)a * b + d));
    return true;
}
MEANING(fma_) {
    if (on_floats(c))
        return fused(c, want, A.f, B.f, C.f);
    want->i = (int64_t)((uint64_t)A.i * (uint64_t)B.i + (uint64_t)C.i);
    return true;
}
/* The lane that $3 names in lane's 128 bits of an operand. */
static size_t picked(const call *c, size_t lane, size_t per) {
    return lane / per * per + (size_t)c->number[3];
}
MEANING(fma_lane) { /* $0 · $1[$3] + $2 */
    double b = meaning_operand(c, 1, picked(c, lane, 128 / c->row->type.bits)).f;
    return fused(c, want, A.f, b, C.f);
}
/* Min and max: which zero is left open. */
#define EXTREME(name, or_nan, high)                                                                \
    MEANING(name) {                                                                                \
        value a = A, b = B;                                                                        \
        want->any_zero = true;                                                                     \
        if (on_floats(c)) {                                                                        \
            if (isnan(a.f) || isnan(b.f))                                                          \
                return or_nan;                                                                     \
            return put(c, want, (a.f > b.f) == high ? a.f : b.f);                                  \
        }                                                                                          \
        want->i = above(&c->row->type, a.i, b.i) == high ? a.i : b.i;                              \
        return true;                                                                               \
    }
EXTREME(max_known, !isnan(b.f) && put(c, want, NAN), true) /* $1 is no NaN */
EXTREME(min_known, !isnan(b.f) && put(c, want, NAN), false)
EXTREME(maximum, put(c, want, NAN), true)
EXTREME(minimum, put(c, want, NAN), false)
EXTREME(maxnum, put(c, want, isnan(a.f) ? b.f : a.f), true)
EXTREME(minnum, put(c, want, isnan(a.f) ? b.f : a.f), false)

/* ---- integers ---- */

#define INTEGER(name, x)                                                                           \
    MEANING(name) {                                                                                \
        (void)c, (void)lane;                                                                       \
        want->i = (int64_t)(x);                                                                    \
        return true;                                                                               \
    }
INTEGER(and_, A.i &B.i)
INTEGER(or_, A.i | B.i)
INTEGER(xor_, A.i ^ B.i)
INTEGER(not_, ~A.i)
INTEGER(shl, (uint64_t)A.i << B.i)
INTEGER(shr, A.i >> B.i)
INTEGER(wide_product, A.i *B.i)
static uint64_t unsigned_of(const adze_value_type *t, int64_t x) {
    return t->bits == 64 ? (uint64_t)x : (uint64_t)x & (((uint64_t)1 << t->bits) - 1);
}
INTEGER(ushr, unsigned_of(&c->row->type, A.i) >> B.i)
INTEGER(high_product, (A.i * B.i) >> c->row->type.bits)

/* ---- comparisons ---- */

#define COMPARE(name, op, of_integers)                                                             \
    MEANING(name) {                                                                                \
        value a = A, b = B;                                                                        \
        const adze_value_type *t = &c->row->type;                                                  \
        (void)t;                                                                                   \
        want->i = on_floats(c) ? a.f op b.f : (of_integers);                                       \
        return true;                                                                               \
    }
COMPARE(eq, ==, a.i == b.i)
COMPARE(ne, !=, a.i != b.i)
COMPARE(lt, <, above(t, b.i, a.i))
COMPARE(le, <=, !above(t, a.i, b.i))
COMPARE(gt, >, above(t, a.i, b.i))
COMPARE(ge, >=, !above(t, b.i, a.i))
INTEGER(uno, isnan(A.f) || isnan(B.f))
INTEGER(mask_first, (int64_t)lane < A.i)
INTEGER(mask_all, 1)
MEANING(any) {
    (void)c, (void)lane, (void)want;
    return false;
}
/* The least of lanes and $0; the judge knows the lanes only from the program. */
INTEGER(length, A.i < (int64_t)c->lanes ? A.i : (int64_t)c->lanes)

/* ---- memory ---- */

MEANING(load_masked) {
    if (!A.i)
        return put(c, want, 0);
    *want = B;
    return true;
}
MEANING(store_masked) { /* lanes that are off keep what the judge knows was there */
    if (!A.i) {
        memset(&want->i, 0xa5, sizeof want->i);
        const adze_value_type t = {.base = c->row->operands[1].base,
                                   .bits = c->row->operands[1].bits};
        *want = meaning_load(&t, &want->i, 0);
        return true;
    }
    *want = C;
    return true;
}
MEANING(gather) {
    *want = meaning_operand(c, 0, (size_t)B.i);
    return true;
}

/* ---- conversions ---- */

MEANING(same) { /* extend, truncate */
    value a = A;
    const adze_value_type *from = &c->row->operands[0], *to = &c->row->result;
    if (floats(from) != floats(to))
        return false;
    want->f = meaning_round(to, a.f);
    want->i = a.i;
    return true;
}
static bool to_integer(const call *c, value *want, double x, bool saturates) {
    const adze_value_type *t = &c->row->result;
    double low = t->base == 'u' ? 0 : -ldexp(1, (int)t->bits - 1);
    double high = ldexp(1, (int)t->bits - (t->base != 'u'));
    bool inside = x >= low && x < high;
    if (!inside && !saturates)
        return false;
    want->i = inside           ? (int64_t)x
              : isnan(x)       ? 0
              : x < low        ? (int64_t)low
              : t->base == 'u' ? (int64_t)(((uint64_t)1 << t->bits) - 1)
                               : (int64_t)(((uint64_t)1 << (t->bits - 1)) - 1);
    return true;
}
static bool converted(const call *c, value *want, value a, bool saturates) {
    if (floats(&c->row->operands[0]))
        return to_integer(c, want, trunc(a.f), saturates);
    return put(c, want, (double)a.i);
}
MEANING(convert) {
    return converted(c, want, A, true);
}
MEANING(convert_fast) {
    return converted(c, want, A, false);
}
MEANING(convert_near) {
    return to_integer(c, want, nearbyint(A.f), false);
}
MEANING(saturate) {
    const adze_value_type *t = &c->row->result;
    int64_t a = A.i, low = t->base == 'u' ? 0 : -((int64_t)1 << (t->bits - 1));
    int64_t high = ((int64_t)1 << (t->bits - (t->base != 'u'))) - 1;
    want->i = a < low ? low : a > high ? high : a;
    return true;
}
MEANING(bits) {
    const adze_value_type *to = &c->row->result;
    *want = meaning_load(to, c->operand[0], lane);
    return true;
}

/* ---- over lanes ---- */

#define OVER(name, start, f_step, i_step)                                                          \
    MEANING(name) {                                                                                \
        double s = start, size = 0;                                                                \
        int64_t r = (int64_t)(start);                                                              \
        (void)lane;                                                                                \
        for (size_t l = 0; l < c->lanes; l++) {                                                    \
            value a = meaning_operand(c, 0, l);                                                    \
            if (l == 0 && (start) != 0 && (start) != 1)                                            \
                r = a.i;                                                                           \
            size += fabs(a.f);                                                                     \
            f_step;                                                                                \
            r = (int64_t)(i_step);                                                                 \
        }                                                                                          \
        want->i = r;                                                                               \
        want->any_zero = true;                                                                     \
        want->f = s;                                                                               \
        return true;                                                                               \
    }
OVER(reduce_maximum, -2, s = l == 0 || isnan(a.f) || a.f > s ? (isnan(s) && l ? s : a.f) : s,
     a.i > r ? a.i : r)
OVER(reduce_minimum, -2, s = l == 0 || isnan(a.f) || a.f < s ? (isnan(s) && l ? s : a.f) : s,
     a.i < r ? a.i : r)
OVER(reduce_maxnum, -2, s = l == 0 || isnan(s) || a.f > s ? a.f : s, a.i > r ? a.i : r)
OVER(reduce_minnum, -2, s = l == 0 || isnan(s) || a.f < s ? a.f : s, a.i < r ? a.i : r)
OVER(reduce_and, -2, (void)s, l ? r &a.i : a.i)
OVER(reduce_or, 0, (void)s, r | a.i)

/* Sums and products of floats: in any order, so within a bound of the exact one. `size` is the sum
 * of what finite parts there are; where it may overflow on the way, anything is right. */
static double magnitude(double x) {
    return isfinite(x) ? fabs(x) : 0;
}
static bool near(const call *c, value *want, double sum, double size, size_t steps) {
    const adze_value_type *t = &c->row->result;
    double unit = t->bits == 16 ? 0x1p-10 : t->bits == 32 ? 0x1p-23 : 0x1p-52;
    double most = t->bits == 16 ? 65504.0 : t->bits == 32 ? 3.4028235e38 : 1.7976931348623157e308;
    if (!(size <= most / 2))
        return false;
    want->f = sum;
    want->tolerance = size * unit * (double)(steps + 1) + 0x1p-126;
    return true;
}
static bool sum_lanes(const call *c, value *want, size_t o) {
    double s = 0, size = 0;
    uint64_t r = 0;
    for (size_t l = 0; l < c->lanes; l++) {
        value a = meaning_operand(c, o, l);
        if (o && !meaning_operand(c, 0, l).i)
            continue;
        s += a.f;
        size += magnitude(a.f);
        r += (uint64_t)a.i;
    }
    want->i = (int64_t)r;
    return on_floats(c) ? near(c, want, s, size, c->lanes) : true;
}
MEANING(reduce_add) {
    (void)lane;
    return sum_lanes(c, want, 0);
}
MEANING(reduce_add_masked) {
    (void)lane;
    return sum_lanes(c, want, 1);
}
MEANING(reduce_mul) {
    double s = 1;
    uint64_t r = 1;
    (void)lane;
    double size = 0; /* how far a part may be from 1, in powers of two */
    for (size_t l = 0; l < c->lanes; l++) {
        value a = meaning_operand(c, 0, l);
        s *= a.f;
        r *= (uint64_t)a.i;
        size += a.f == 0 || !isfinite(a.f) ? INFINITY : fabs(log2(fabs(a.f)));
    }
    want->i = (int64_t)r;
    return on_floats(c) ? size < 100 && near(c, want, s, fabs(s), c->lanes) : true;
}

/* ---- products ---- */

static bool dot(const call *c, value *want, size_t lane, size_t n) {
    uint64_t s = (uint64_t)meaning_operand(c, 0, lane).i;
    for (size_t j = 0; j < n; j++)
        s += (uint64_t)(meaning_operand(c, 1, lane * n + j).i *
                        meaning_operand(c, 2, lane * n + j).i);
    want->i = (int64_t)s;
    return true;
}
MEANING(dot2) {
    return dot(c, want, lane, 2);
}
MEANING(dot4) {
    return dot(c, want, lane, 4);
}
MEANING(dot4_lane) { /* as dot4, with the four at lane $3 of $2's 128 bits */
    uint64_t s = (uint64_t)A.i;
    for (size_t j = 0; j < 4; j++)
        s += (uint64_t)(meaning_operand(c, 1, lane * 4 + j).i *
                        meaning_operand(c, 2, picked(c, lane, 4) * 4 + j).i);
    want->i = (int64_t)s;
    return true;
}
/* A step of a product of bf16, which may take denormals for 0; parts that overflow may cancel to
 * NaN. */
static bool add_product(double *s, double *size, double a, double b) {
    if ((a != 0 && fabs(a) < 0x1p-126) || (b != 0 && fabs(b) < 0x1p-126))
        return false;
    *s += a * b;
    *size += magnitude(a * b);
    return true;
}
MEANING(dot2_floats) { /* f32 + two bf16 products; steps may round */
    double s = A.f, size = magnitude(s);
    for (size_t j = 0; j < 2; j++)
        if (!add_product(&s, &size, meaning_operand(c, 1, lane * 2 + j).f,
                         meaning_operand(c, 2, lane * 2 + j).f))
            return false;
    return near(c, want, s, size, 3);
}
MEANING(dot_accumulate) {
    uint64_t s = (uint64_t)meaning_operand(c, 0, 0).i;
    (void)lane;
    for (size_t l = 0; l < c->lanes; l++)
        s += (uint64_t)(meaning_operand(c, 1, l).i * meaning_operand(c, 2, l).i);
    want->i = (int64_t)s;
    return true;
}
/* 2x2 + (2xN)·(2xN)ᵀ, row-major, in every 128 bits of the result. */
MEANING(dot_accumulate_masked) {
    uint64_t s = (uint64_t)meaning_operand(c, 1, 0).i;
    (void)lane;
    for (size_t l = 0; l < c->lanes; l++)
        if (meaning_operand(c, 0, l).i)
            s += (uint64_t)(meaning_operand(c, 2, l).i * meaning_operand(c, 3, l).i);
    want->i = (int64_t)s;
    return true;
}
MEANING(sum_accumulate) {
    uint64_t s = (uint64_t)meaning_operand(c, 0, 0).i;
    (void)lane;
    for (size_t l = 0; l < c->lanes; l++)
        s += (uint64_t)meaning_operand(c, 1, l).i;
    want->i = (int64_t)s;
    return true;
}
MEANING(matmul_2x8x2) {
    uint64_t s = (uint64_t)A.i;
    size_t base = lane / 4 * 16;
    for (size_t j = 0; j < 8; j++)
        s += (uint64_t)(meaning_operand(c, 1, base + lane % 4 / 2 * 8 + j).i *
                        meaning_operand(c, 2, base + lane % 2 * 8 + j).i);
    want->i = (int64_t)s;
    return true;
}
MEANING(matmul_2x4x2) {
    double s = A.f, size = magnitude(s);
    size_t base = lane / 4 * 8;
    for (size_t j = 0; j < 4; j++)
        if (!add_product(&s, &size, meaning_operand(c, 1, base + lane % 4 / 2 * 4 + j).f,
                         meaning_operand(c, 2, base + lane % 2 * 4 + j).f))
            return false;
    return near(c, want, s, size, 5);
}

/* ---- even and odd lanes (Helium) ---- */

INTEGER(mull_even, meaning_operand(c, 0, 2 * lane).i *meaning_operand(c, 1, 2 * lane).i)
INTEGER(mull_odd, meaning_operand(c, 0, 2 * lane + 1).i *meaning_operand(c, 1, 2 * lane + 1).i)
INTEGER(widen_even, meaning_operand(c, 0, 2 * lane).i)
INTEGER(widen_odd, meaning_operand(c, 0, 2 * lane + 1).i)
INTEGER(load_fourth, meaning_operand(c, 0, 4 * lane).i)
INTEGER(store_fourths, meaning_operand(c, 1 + lane % 4, lane / 4).i)
MEANING(narrow_pairs) { /* of two vectors, to the type of half the width */
    int64_t x = meaning_operand(c, lane % 2, lane / 2).i;
    const int64_t high = ((int64_t)1 << (c->row->result.bits - 1)) - 1;
    want->i = x < -high - 1 ? -high - 1 : x > high ? high : x;
    return true;
}

/* ---- words of two halves or four bytes (Armv7E-M) ---- */

static int64_t half(value v, int which) {
    return (int16_t)((uint64_t)v.i >> (16 * which) & 0xffff);
}
static int64_t byte(value v, int which, bool is_signed) {
    uint8_t b = (uint8_t)((uint64_t)v.i >> (8 * which) & 0xff);
    return is_signed ? (int8_t)b : b;
}
static int64_t halves(int64_t low, int64_t high) {
    return (int64_t)(((uint64_t)low & 0xffff) | ((uint64_t)high & 0xffff) << 16);
}
INTEGER(sxtb16, halves(byte(A, 0, true), byte(A, 2, true)))
INTEGER(uxtb16, halves(byte(A, 0, false), byte(A, 2, false)))
INTEGER(sxtb16_ror8, halves(byte(A, 1, true), byte(A, 3, true)))
INTEGER(uxtb16_ror8, halves(byte(A, 1, false), byte(A, 3, false)))
INTEGER(sxtab16, halves(half(A, 0) + byte(B, 0, true), half(A, 1) + byte(B, 2, true)))
INTEGER(sxtab16_ror8, halves(half(A, 0) + byte(B, 1, true), half(A, 1) + byte(B, 3, true)))
INTEGER(sadd16, halves(half(A, 0) + half(B, 0), half(A, 1) + half(B, 1)))
INTEGER(ssub16, halves(half(A, 0) - half(B, 0), half(A, 1) - half(B, 1)))
INTEGER(pkhbt, halves(half(A, 0), half(B, 0)))
INTEGER(pkhtb, halves(half(B, 1), half(A, 1)))
INTEGER(smlad, A.i + half(B, 0) * half(C, 0) + half(B, 1) * half(C, 1))
INTEGER(smuad, half(A, 0) * half(B, 0) + half(A, 1) * half(B, 1))
INTEGER(smlabb, A.i + half(B, 0) * half(C, 0))
INTEGER(smlabt, A.i + half(B, 0) * half(C, 1))
INTEGER(smlatb, A.i + half(B, 1) * half(C, 0))
INTEGER(smlatt, A.i + half(B, 1) * half(C, 1))
INTEGER(smmla, A.i + ((B.i * C.i) >> 32))
INTEGER(high_word, (A.i * B.i) >> 32)
INTEGER(smmulr, (A.i * B.i + 0x80000000ll) >> 32)
static int64_t clamped(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}
INTEGER(ssat, clamped(A.i, -(1ll << (B.i - 1)), (1ll << (B.i - 1)) - 1))
INTEGER(usat, clamped(A.i, 0, (1ll << B.i) - 1))
MEANING(load_word) {
    static const adze_value_type word = {.base = 'u', .bits = 32};
    *want = meaning_load(&word, c->operand[0], lane);
    return true;
}
MEANING(store_word) { /* the judge looks at what was stored in elements of the pointer's type */
    const adze_value_type *to = &c->row->operands[0];
    if ((lane + 1) * to->bits > 32) {
        static const unsigned char unset[8] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
        const adze_value_type element = {.base = to->base, .bits = to->bits};
        *want = meaning_load(&element, unset, 0);
        return true;
    }
    want->i = (int64_t)((uint64_t)meaning_operand(c, 1, 0).i >> (lane * to->bits));
    return true;
}

/* ---- tiles: the judge gives C, A and B, and whether C was cleared ---- */

static bool tile_dot(const call *c, size_t lane, value *want) {
    const char *kind = c->row->name + strlen("tile.dot.");
    bool brain = !strcmp(kind, "bf16");
    const adze_value_type sum = {.base = brain ? 'f' : 's', .bits = 32};
    const adze_value_type a = {.base = brain ? 'h' : kind[0], .bits = brain ? 16 : 8};
    const adze_value_type b = {.base = brain ? 'h' : kind[1], .bits = brain ? 16 : 8};
    size_t m = lane / (TILE_C_STEP / 4), n = lane % (TILE_C_STEP / 4), bytes = a.bits / 8;
    if (n >= TILE_N) { /* beyond the tile */
        static const unsigned char unset[4] = {POOL_UNSET, POOL_UNSET, POOL_UNSET, POOL_UNSET};
        *want = meaning_load(&sum, unset, 0);
        return true;
    }
    value s = {0};
    if (!c->number[0])
        s = meaning_load(&sum, (const char *)c->operand[0] + m * TILE_C_STEP, n);
    double size = magnitude(s.f);
    for (size_t k = 0; k < TILE_K / bytes; k++) {
        value x = meaning_load(&a, (const char *)c->operand[1] + m * TILE_A_STEP, k);
        value y = meaning_load(&b, (const char *)c->operand[2] + k * bytes / 4 * TILE_B_STEP,
                               n * 4 / bytes + k % (4 / bytes));
        s.i = (int64_t)((uint64_t)s.i + (uint64_t)(x.i * y.i));
        if (brain && !add_product(&s.f, &size, x.f, y.f))
            return false;
    }
    want->i = s.i;
    want->f = s.f;
    want->tolerance = size * 0x1p-23 * TILE_K;
    return true;
}

static const meaning meanings[] = {
    {"vector.zero", zero, "", 0},
    {"vector.splat", first, "", 0},
    {"vector.load", first, "", 0},
    {"vector.store", second, "", 0},
    {"vector.load.masked", load_masked, "", 0},
    {"vector.store.masked", store_masked, "", 0},
    {"vector.gather", gather, " i", 0},
    {"vector.mask.first", mask_first, "", 0},
    {"vector.mask.all", mask_all, "", 0},
    {"vector.lanes", any, "", 0},
    {"vector.length", length, "", 0},
    {"vector.add", add, "", 0},
    {"vector.sub", sub, "", 0},
    {"vector.mul", mul, "", 0},
    {"vector.div", divide, "", 0},
    {"vector.sqrt", root, "", 0},
    {"vector.fma", fma_, "", 0},
    {"vector.fma.wide", fma_, "", 0},
    {"vector.fma.lane", fma_lane, "", 'l'},
    {"vector.neg", neg, "", 0},
    {"vector.abs", absolute, "", 0},
    {"vector.copysign", sign_of, "", 0},
    {"vector.max", max_known, "", 0},
    {"vector.min", min_known, "", 0},
    {"vector.maximum", maximum, "", 0},
    {"vector.minimum", minimum, "", 0},
    {"vector.maxnum", maxnum, "", 0},
    {"vector.minnum", minnum, "", 0},
    {"vector.floor", lower, "", 0},
    {"vector.ceil", upper, "", 0},
    {"vector.round", nearest, "", 0},
    {"vector.trunc", toward_zero, "", 0},
    {"vector.and", and_, "", 0},
    {"vector.or", or_, "", 0},
    {"vector.xor", xor_, "", 0},
    {"vector.not", not_, "", 0},
    {"vector.shl", shl, " s", 's'},
    {"vector.shr", shr, " s", 's'},
    {"vector.ushr", ushr, " s", 's'},
    {"vector.mulhi", high_product, "", 0},
    {"vector.mul.wide", wide_product, "", 0},
    {"vector.cmp.eq", eq, "", 0},
    {"vector.cmp.ne", ne, "", 0},
    {"vector.cmp.une", ne, "", 0},
    {"vector.cmp.lt", lt, "", 0},
    {"vector.cmp.le", le, "", 0},
    {"vector.cmp.gt", gt, "", 0},
    {"vector.cmp.ge", ge, "", 0},
    {"vector.cmp.uno", uno, "", 0},
    {"vector.select", chosen, "", 0},
    {"vector.extend", same, "", 0},
    {"vector.truncate", same, "", 0},
    {"vector.saturate", saturate, "", 0},
    {"vector.convert", convert, "", 0},
    {"vector.convert.fast", convert_fast, "", 0},
    {"vector.convert.near", convert_near, "", 0},
    {"vector.bitcast", bits, "", 0},
    {"vector.cast", bits, "", 0},
    {"vector.reduce.add", reduce_add, "t", 0},
    {"vector.reduce.add.masked", reduce_add_masked, " t", 0},
    {"vector.reduce.mul", reduce_mul, "t", 0},
    {"vector.reduce.max", reduce_maximum, "", 0},
    {"vector.reduce.min", reduce_minimum, "", 0},
    {"vector.reduce.maximum", reduce_maximum, "", 0},
    {"vector.reduce.minimum", reduce_minimum, "", 0},
    {"vector.reduce.maxnum", reduce_maxnum, "", 0},
    {"vector.reduce.minnum", reduce_minnum, "", 0},
    {"vector.reduce.and", reduce_and, "", 0},
    {"vector.reduce.or", reduce_or, "", 0},
    {"dot2", dot2, "", 0},
    {"dot2.bf16", dot2_floats, "ttt", 0},
    {"dot4.ss", dot4, "", 0},
    {"dot4.us", dot4, "", 0},
    {"dot4.uu", dot4, "", 0},
    {"dot4.ss.lane", dot4_lane, "", '4'},
    {"dot4.us.lane", dot4_lane, "", '4'},
    {"dot.accumulate", dot_accumulate, "", 0},
    {"dot.accumulate.masked", dot_accumulate_masked, "", 0},
    {"sum.accumulate", sum_accumulate, "", 0},
    {"dsp.sxtb16", sxtb16, "", 0},
    {"dsp.uxtb16", uxtb16, "", 0},
    {"dsp.sxtb16.ror8", sxtb16_ror8, "", 0},
    {"dsp.uxtb16.ror8", uxtb16_ror8, "", 0},
    {"dsp.sxtab16", sxtab16, "", 0},
    {"dsp.sxtab16.ror8", sxtab16_ror8, "", 0},
    {"dsp.sadd16", sadd16, "", 0},
    {"dsp.ssub16", ssub16, "", 0},
    {"dsp.pkhbt", pkhbt, "", 0},
    {"dsp.pkhtb", pkhtb, "", 0},
    {"dsp.smlad", smlad, "", 0},
    {"dsp.smuad", smuad, "", 0},
    {"dsp.smlabb", smlabb, "", 0},
    {"dsp.smlabt", smlabt, "", 0},
    {"dsp.smlatb", smlatb, "", 0},
    {"dsp.smlatt", smlatt, "", 0},
    {"dsp.smmla", smmla, "", 0},
    {"dsp.smmulr", smmulr, "", 0},
    {"dsp.smmul", high_word, "", 0},
    {"dsp.ssat", ssat, "", 'b'},
    {"dsp.usat", usat, "", 'b'},
    {"tile.configure", any, "", 't'},
    {"tile.release", any, "", 't'},
    {"tile.zero", any, "", 't'},
    {"tile.load", any, "", 't'},
    {"tile.store", any, "", 't'},
    {"tile.dot.ss", tile_dot, "", 't'},
    {"tile.dot.us", tile_dot, "", 't'},
    {"tile.dot.su", tile_dot, "", 't'},
    {"tile.dot.uu", tile_dot, "", 't'},
    {"tile.dot.bf16", tile_dot, "", 't'},
    {"load.u32", load_word, "", 0},
    {"store.u32", store_word, "", 0},
    {"word.load", load_word, "w", 0},
    {"load.fourth", load_fourth, "", 0},
    {"store.fourths", store_fourths, "", 'q'},
    {"narrow.words", narrow_pairs, "", 0},
    {"narrow.halves", narrow_pairs, "", 0},
    {"widen.even", widen_even, "", 0},
    {"widen.odd", widen_odd, "", 0},
    {"mull.even", mull_even, "", 0},
    {"mull.odd", mull_odd, "", 0},
    {"load.words", first, "w", 0},
    {"barrier", any, "", 0},
    {"word.store", store_word, "", 0},
    {"matmul.2x8x2", matmul_2x8x2, "", 0},
    {"matmul.2x8x2.us", matmul_2x8x2, "", 0},
    {"matmul.2x4x2.bf16", matmul_2x4x2, "ttt", 0},
};

const meaning *meaning_of(const char *name) {
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (!strcmp(meanings[i].name, name))
            return &meanings[i];
    return NULL;
}

const meaning *meaning_at(size_t i) {
    return i < sizeof meanings / sizeof *meanings ? &meanings[i] : NULL;
}
