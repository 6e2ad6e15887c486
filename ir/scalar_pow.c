/* Integer powers by squaring. A linalg body has no loops, so the steps are written out: exponents up to
 * 63 take six. From 64 on every result has overflowed unless |x| is at most one, or is zero because x is
 * even; 64 plus the exponent's last six bits gives those, and all results of eight bits, exactly. */
#include "ir/scalar_internal.h"

enum { MAX_BITS = 7, LARGE = 64, MAX_UNROLLED = 64 };

static bool power_of_known(adze_builder *b, adze_scalar x, int exponent, adze_scalar *out) {
    adze_scalar result = adze_scalar_i64(b, x.dtype, 1), base = x;
    bool first = true;
    for (int e = exponent; e; e >>= 1) {
        if (e & 1) {
            if (first)
                result = base;
            else if (!adze_scalar_binary(b, "mul", result, base, &result))
                return false;
            first = false;
        }
        if (e > 1 && !adze_scalar_binary(b, "mul", base, base, &base))
            return false;
    }
    *out = result;
    return true;
}

bool adze_scalar_integer_pow(adze_builder *b, adze_scalar x, adze_scalar y, adze_scalar *out) {
    double known;
    if (adze_scalar_known(y, &known) && known >= 0 && known < MAX_UNROLLED)
        return power_of_known(b, x, (int)known, out);

    const adze_dtype_info *info = adze_dtype_get(y.dtype);
    bool y_signed = info->cls == 'I', x_signed = adze_dtype_get(x.dtype)->cls == 'I';
    adze_scalar zero = adze_scalar_i64(b, y.dtype, 0), one = adze_scalar_i64(b, y.dtype, 1);
    adze_scalar odd, exponent = y, bit;
    if (!adze_scalar_binary(b, "bit_and", y, one, &odd))
        return false;
    int steps = info->bits - y_signed;
    if (steps > MAX_BITS - 1) {
        adze_scalar large = adze_scalar_i64(b, y.dtype, LARGE), is_large, capped;
        adze_scalar last = adze_scalar_i64(b, y.dtype, LARGE - 1);
        if (!adze_scalar_binary(b, "bit_and", y, last, &capped) ||
            !adze_scalar_binary(b, "bit_or", capped, large, &capped) ||
            !adze_scalar_binary(b, "greater_equal", y, large, &is_large))
            return false;
        exponent = adze_scalar_select(b, is_large, capped, y);
        steps = MAX_BITS;
    }
    adze_scalar unit = adze_scalar_i64(b, x.dtype, 1), result = unit, base = x, product;
    for (int i = 0; i < steps; i++) {
        if (i && !adze_scalar_binary(b, "mul", base, base, &base))
            return false;
        adze_scalar mask = adze_scalar_i64(b, y.dtype, (int64_t)1 << i), set;
        if (!adze_scalar_binary(b, "bit_and", exponent, mask, &bit) ||
            !adze_scalar_cast(b, bit, ADZE_bool, false, &set) ||
            !adze_scalar_binary(b, "mul", result, base, &product))
            return false;
        result = adze_scalar_select(b, set, i ? product : base, result);
    }
    if (y_signed) { /* 1 / x^-y, truncated: 0 unless |x| is 1 */
        adze_scalar nothing = adze_scalar_i64(b, x.dtype, 0), negative, is_one, is_odd;
        if (!adze_scalar_binary(b, "less", y, zero, &negative) ||
            !adze_scalar_binary(b, "equal", x, unit, &is_one))
            return false;
        adze_scalar inverse = adze_scalar_select(b, is_one, unit, nothing);
        if (x_signed) {
            adze_scalar minus = adze_scalar_i64(b, x.dtype, -1), is_minus;
            if (!adze_scalar_binary(b, "equal", x, minus, &is_minus) ||
                !adze_scalar_cast(b, odd, ADZE_bool, false, &is_odd))
                return false;
            adze_scalar sign = adze_scalar_select(b, is_odd, minus, unit);
            inverse = adze_scalar_select(b, is_minus, sign, inverse);
        }
        result = adze_scalar_select(b, negative, inverse, result);
    }
    *out = result;
    return true;
}
