/* Scalars of the one integer definition. See integer.h. */
#include "ir/integer.h"

#include <math.h>

/* real = m / 2^s with m in [2^(bits-1), 2^bits), unclamped. */
static void normalise(double real, int bits, int64_t *m, int *s) {
    int exponent;
    double fraction = frexp(real, &exponent); /* [0.5, 1) */
    *m = (int64_t)rint(ldexp(fraction, bits));
    if (*m == (int64_t)1 << bits) {
        *m >>= 1;
        exponent++;
    }
    *s = bits - exponent;
}

void adze_requant_scale(double real, int32_t *m, int32_t *s) {
    int64_t multiplier = 0;
    int shift = 62;
    if (isinf(real) && real > 0) {
        shift = -1;
    } else if (real > 0) {
        normalise(real, 31, &multiplier, &shift);
    }
    if (shift > 62) {
        multiplier = 0;
        shift = 62;
    } else if (shift < 0) {
        multiplier = INT32_MAX;
        shift = 0;
    }
    *m = (int32_t)multiplier;
    *s = shift;
}

void adze_requant_pair(double real_a, double real_b, int32_t *m_a, int32_t *m_b, int32_t *s) {
    int64_t larger;
    int shift;
    normalise(fmax(real_a, real_b), 30, &larger, &shift);
    shift = shift < 0 ? 0 : shift > 62 ? 62 : shift;
    const double limit = (1 << 30) - 1;
    *m_a = (int32_t)fmin(limit, rint(ldexp(real_a, shift)));
    *m_b = (int32_t)fmin(limit, rint(ldexp(real_b, shift)));
    *s = shift;
}

int64_t adze_round_shift(int64_t p, int32_t s) {
    if (s <= 0)
        return p;
    const uint64_t mask = ((uint64_t)1 << s) - 1, half = (uint64_t)1 << (s - 1);
    int64_t q = p >> s; /* floor */
    const uint64_t rest = (uint64_t)p & mask;
    if (rest > half || (rest == half && (q & 1)))
        q++;
    return q;
}

int64_t adze_round_divide(int64_t a, int64_t b) {
    int64_t q = a / b, rest = a % b;
    if (rest < 0) { /* floor */
        rest += b;
        q--;
    }
    if (rest > b - rest || (rest == b - rest && (q & 1)))
        q++;
    return q;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

int64_t adze_requantize_ref(int64_t acc, int32_t m, int32_t s, int64_t zero_point, int64_t low,
                            int64_t high) {
    const int64_t rounded = adze_round_shift(acc * m, s);
    /* clamped before the zero point is added, so that the sum cannot overflow */
    const int64_t limit = (int64_t)1 << 61;
    return clamp(zero_point + clamp(rounded, -limit, limit), low, high);
}

bool adze_requant_untied(int32_t m, int32_t s, double reach, int64_t zero_point) {
    if (m <= 0 || s < 33 || s > 54)
        return false;
    const double added = ldexp(1, s - 33) + ldexp(fabs((double)zero_point), s - 32);
    int zeros = 0;
    while (!(m >> zeros & 1))
        zeros++;
    /* every 32-bit acc times m has an upper half of at most 2^30 */
    return added < 0x1p30 && fmin(reach, 0x1p31) < ldexp(1, s - 1 - zeros);
}

int64_t adze_quantize_ref(double quotient, int64_t zero_point, int64_t low, int64_t high) {
    if (isnan(quotient))
        return clamp(zero_point, low, high);
    const double limit = 4e18;
    const double r = rint(fmax(-limit, fmin(limit, quotient)));
    return clamp((int64_t)r + zero_point, low, high);
}

void adze_integer_range(adze_dtype dtype, int64_t *low, int64_t *high) {
    const adze_dtype_info *info = adze_dtype_get(dtype);
    const int bits = info->bits;
    switch (info->cls) {
    case 'B':
        *low = 0;
        *high = 1;
        break;
    case 'U':
        *low = 0;
        *high = bits >= 63 ? INT64_MAX : ((int64_t)1 << bits) - 1;
        break;
    default:
        *high = bits >= 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
        *low = -*high - 1;
        break;
    }
}

void adze_softmax_table(double scale, int32_t table[256]) {
    for (int d = 0; d < 256; d++)
        table[d] = (int32_t)rint(8388608.0 * exp(-d * scale));
}

int64_t adze_softmax_ref(int64_t t, int64_t sum, double scale_y, int64_t zero_point, int64_t low,
                         int64_t high) {
    int32_t m, s;
    adze_requant_scale(1 / scale_y, &m, &s);
    while (s > 0 && m && !(m & 1)) {
        m >>= 1;
        s--;
    }
    /* t <= 2^23 and m < 2^31: the numerator is exact; the denominator can only overflow for scales
     * above one, where every result is far below a half. */
    const int64_t numerator = t * m;
    int64_t q = 0;
    if (s < 62 && sum <= (INT64_MAX >> s))
        q = adze_round_divide(numerator, sum << s);
    return clamp(zero_point + q, low, high);
}
