/* Float helpers of generated code: NaN-keeping minimum and maximum, bits, and the small float formats.
 *
 * Small floats are stored as their bits. Widening is exact; narrowing rounds to nearest, ties to even,
 * once. Formats: IEEE 754 binary16, bfloat16, OCP 8-bit E4M3 and E5M2, their FNUZ variants, OCP MX
 * E2M1 and E8M0. */
#ifndef ADZE_FLOAT_H
#define ADZE_FLOAT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The larger (smaller) one; NaN if either is. Of two zeros, either. */
static inline float adze_max_f32(float a, float b) { return b > a || b != b ? b : a; }
static inline float adze_min_f32(float a, float b) { return b < a || b != b ? b : a; }
static inline double adze_max_f64(double a, double b) { return b > a || b != b ? b : a; }
static inline double adze_min_f64(double a, double b) { return b < a || b != b ? b : a; }

static inline uint32_t adze_bits_of_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float adze_f32_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline uint64_t adze_bits_of_f64(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline double adze_f64_of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float adze_bf16_to_f32(uint16_t x) { return adze_f32_of_bits((uint32_t)x << 16); }

/* The value mantissa * 2^exponent as a float: exact for what the small formats hold. */
static inline float adze_scaled_f32(uint32_t mantissa, int32_t exponent) {
    float x = (float)mantissa;
    for (; exponent > 0; exponent--)
        x *= 2.0f;
    for (; exponent < 0; exponent++)
        x *= 0.5f;
    return x;
}

static inline float adze_f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 31u, mantissa = h & 0x3ffu;
    if (exponent == 31)
        return adze_f32_of_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent == 0) {
        const float x = (float)mantissa * 5.9604644775390625e-8f; /* 2^-24 */
        return sign ? -x : x;
    }
    return adze_f32_of_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/* What a small format is: mantissa bits, exponent bias, the codes (without sign) of its largest finite
 * value, infinity and NaN. No infinity: the NaN again. fnuz: one NaN, 0x80, and no minus zero. */
typedef struct adze_float_format {
    int32_t mantissa_bits, bias;
    uint32_t largest, infinity, nan;
    bool has_nan, fnuz;
} adze_float_format;

static const adze_float_format adze_format_f16 = {10, 15, 0x7bff, 0x7c00, 0x7e00, true, false};
static const adze_float_format adze_format_bf16 = {7, 127, 0x7f7f, 0x7f80, 0x7fc0, true, false};
static const adze_float_format adze_format_f8e4m3fn = {3, 7, 0x7e, 0x7f, 0x7f, true, false};
static const adze_float_format adze_format_f8e4m3fnuz = {3, 8, 0x7f, 0x80, 0x80, true, true};
static const adze_float_format adze_format_f8e5m2 = {2, 15, 0x7b, 0x7c, 0x7e, true, false};
static const adze_float_format adze_format_f8e5m2fnuz = {2, 16, 0x7f, 0x80, 0x80, true, true};
static const adze_float_format adze_format_f4e2m1 = {1, 1, 0x7, 0x7, 0x7, false, false};

/* Rounds a double to a format's code, once. `saturate` gives the largest value instead of infinity
 * (or of NaN where there is none). Formats without a NaN always saturate, and give negative zero for
 * one, as ONNX's cast tests do. */
static inline uint32_t adze_round_to(adze_float_format f, int32_t sign_shift, bool saturate, double x) {
    const uint64_t bits = adze_bits_of_f64(x);
    const uint32_t sign = (uint32_t)(bits >> 63) << sign_shift;
    const int32_t exponent = (int32_t)((bits >> 52) & 0x7ff);
    const uint64_t fraction = bits & UINT64_C(0xfffffffffffff);
    if (exponent == 0x7ff && fraction != 0)
        return f.has_nan ? (f.fnuz ? f.nan : sign | f.nan) : UINT32_C(1) << sign_shift;
    uint32_t code;
    if (exponent == 0x7ff) {
        code = f.largest + 1;
    } else if (exponent == 0) {
        code = 0; /* far below every small format */
    } else {
        /* The significand with its leading one, and how many of its 52 fraction bits go. */
        const uint64_t significand = fraction | (UINT64_C(1) << 52);
        const int32_t e = exponent - 1023 + f.bias; /* biased exponent in the format */
        const int32_t drop = 52 - f.mantissa_bits + (e < 1 ? 1 - e : 0);
        if (drop > 54) {
            code = 0;
        } else {
            const uint64_t kept = significand >> drop;
            const uint64_t half = UINT64_C(1) << (drop - 1);
            const uint64_t rest = significand & ((half << 1) - 1);
            const uint64_t up = rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0;
            /* A carry out of the mantissa moves into the exponent, as it should. */
            const uint64_t high = e < 1 ? 0 : (uint64_t)(e - 1) << f.mantissa_bits;
            const uint64_t full = high + kept + up;
            code = full > f.largest ? f.largest + 1 : (uint32_t)full;
        }
    }
    if (code > f.largest) {
        if (saturate || !f.has_nan)
            return sign | f.largest;
        return f.fnuz ? f.nan : sign | f.infinity;
    }
    return f.fnuz && code == 0 ? 0 : sign | code;
}

static inline float adze_small_to_f32(adze_float_format f, int32_t sign_bit, uint32_t code) {
    const bool negative = ((code >> sign_bit) & 1u) != 0;
    const uint32_t magnitude = code & ((1u << sign_bit) - 1u);
    if (f.fnuz && code == f.nan)
        return adze_f32_of_bits(0x7fc00000u);
    if (!f.fnuz && f.has_nan && magnitude > f.largest) {
        const bool infinite = magnitude == f.infinity && f.infinity != f.nan;
        return adze_f32_of_bits((infinite ? 0x7f800000u : 0x7fc00000u) |
                                (negative ? 0x80000000u : 0u));
    }
    const int32_t exponent = (int32_t)(magnitude >> f.mantissa_bits);
    const uint32_t mantissa = magnitude & ((1u << f.mantissa_bits) - 1u);
    const uint32_t significand = exponent == 0 ? mantissa : mantissa | (1u << f.mantissa_bits);
    const float x = adze_scaled_f32(significand,
                                    (exponent == 0 ? 1 : exponent) - f.bias - f.mantissa_bits);
    return negative ? -x : x;
}

static inline uint16_t adze_f64_to_f16(double x) {
    return (uint16_t)adze_round_to(adze_format_f16, 15, false, x);
}
static inline uint16_t adze_f32_to_f16(float x) { return adze_f64_to_f16((double)x); }
static inline uint16_t adze_f64_to_bf16(double x) {
    return (uint16_t)adze_round_to(adze_format_bf16, 15, false, x);
}
static inline uint16_t adze_f32_to_bf16(float x) {
    const uint32_t bits = adze_bits_of_f32(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#define ADZE_SMALL_FLOAT(name, sign_bit)                                                           \
    static inline float adze_##name##_to_f32(uint8_t x) {                                          \
        return adze_small_to_f32(adze_format_##name, sign_bit, x);                                 \
    }                                                                                              \
    static inline uint8_t adze_f64_to_##name(double x) {                                           \
        return (uint8_t)adze_round_to(adze_format_##name, sign_bit, false, x);                     \
    }                                                                                              \
    static inline uint8_t adze_f32_to_##name(float x) { return adze_f64_to_##name((double)x); }    \
    static inline uint8_t adze_f64_to_##name##_sat(double x) {                                     \
        return (uint8_t)adze_round_to(adze_format_##name, sign_bit, true, x);                      \
    }                                                                                              \
    static inline uint8_t adze_f32_to_##name##_sat(float x) {                                      \
        return adze_f64_to_##name##_sat((double)x);                                                \
    }

ADZE_SMALL_FLOAT(f8e4m3fn, 7)
ADZE_SMALL_FLOAT(f8e4m3fnuz, 7)
ADZE_SMALL_FLOAT(f8e5m2, 7)
ADZE_SMALL_FLOAT(f8e5m2fnuz, 7)
ADZE_SMALL_FLOAT(f4e2m1, 3)

/* E8M0 is a power of two, 2^(code - 127); 255 is NaN. */
static inline float adze_f8e8m0_to_f32(uint8_t x) {
    if (x == 255)
        return adze_f32_of_bits(0x7fc00000u);
    return x == 0 ? adze_f32_of_bits(0x00400000u) : adze_f32_of_bits((uint32_t)x << 23);
}
/* The next power of two up, ONNX Cast's default; negative numbers have none, zero gives the least. */
static inline uint8_t adze_f64_to_f8e8m0(double x) {
    const uint64_t bits = adze_bits_of_f64(x);
    if (x != x || x < 0)
        return 255;
    const int32_t up = (bits & UINT64_C(0xfffffffffffff)) != 0;
    const int32_t code = (int32_t)((bits >> 52) & 0x7ff) - 1023 + 127 + up;
    return (uint8_t)(code < 0 || x == 0 ? 0 : code > 254 ? 255 : code);
}
static inline uint8_t adze_f32_to_f8e8m0(float x) { return adze_f64_to_f8e8m0((double)x); }
static inline uint8_t adze_f64_to_f8e8m0_sat(double x) {
    const uint8_t code = adze_f64_to_f8e8m0(x);
    return (uint8_t)(code == 255 && x > 0 ? 254 : code);
}
static inline uint8_t adze_f32_to_f8e8m0_sat(float x) { return adze_f64_to_f8e8m0_sat((double)x); }

#endif
