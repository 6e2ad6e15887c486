/* Integer helpers of generated code: nothing undefined, the same bits on every target.
 *
 * Conversions from unsigned to signed of the same width are modular, as gcc and clang define them. */
#ifndef ADZE_INT_H
#define ADZE_INT_H

#include <stdint.h>
#include <string.h>

/* min(max(y, low), high); the ranges of 8-bit codes in one instruction where Arm has it. */
static inline int32_t adze_clamp(int32_t y, int32_t low, int32_t high) {
#if defined(__ARM_FEATURE_SAT)
    if ((low == -128 && high == 127) || (low == 0 && high == 255)) {
        int32_t code;
        if (low == 0)
            __asm__("usat %0, #8, %1" : "=r"(code) : "r"(y));
        else
            __asm__("ssat %0, #8, %1" : "=r"(code) : "r"(y));
        return code;
    }
#endif
    return y < low ? low : y > high ? high : y;
}

/* clamp(zero_point + round_half_even(acc * multiplier / 2^shift), low, high): the one integer
 * definition of adze. The 64-bit product is exact; 0 <= shift <= 62. */
static inline int32_t adze_requantize(int32_t acc, int32_t multiplier, int32_t shift,
                                      int32_t zero_point, int32_t low, int32_t high) {
    const int64_t product = (int64_t)acc * multiplier;
    int64_t y = product;
    if (shift > 0) {
        /* Adding half, less one when the quotient is even, rounds ties to even. */
        const int64_t odd = (product >> shift) & 1;
        const int64_t bias = (int64_t)((UINT64_C(1) << (shift - 1)) - 1) + odd;
        y = (product + bias) >> shift;
    }
    y += zero_point;
    return y < low ? low : y > high ? high : (int32_t)y;
}

/* The same where it is known that no product lies halfway between two results and that shift is at least 33
 * (adze_requant_untied in the compiler): the upper half of the product is enough. */
static inline int32_t adze_requantize_untied(int32_t acc, int32_t multiplier, int32_t shift,
                                             int32_t zero_point, int32_t low, int32_t high) {
    /* a half and the zero point */
    const int32_t add = (int32_t)((uint32_t)(2 * zero_point + 1) << (shift - 33));
    const int32_t upper = (int32_t)(((int64_t)acc * multiplier) >> 32);
    return adze_clamp((upper + add) >> (shift - 32), low, high);
}

/* Minimum, maximum, and division that never traps: a quotient by zero and its remainder
 * are zero; the least value divided by -1 is itself. */
#define ADZE_INT_COMMON(name, type)                                                                \
    static inline type adze_max_##name(type a, type b) { return a > b ? a : b; }                   \
    static inline type adze_min_##name(type a, type b) { return a < b ? a : b; }

ADZE_INT_COMMON(i8, int8_t)
ADZE_INT_COMMON(u8, uint8_t)
ADZE_INT_COMMON(i16, int16_t)
ADZE_INT_COMMON(u16, uint16_t)
ADZE_INT_COMMON(i32, int32_t)
ADZE_INT_COMMON(u32, uint32_t)
ADZE_INT_COMMON(i64, int64_t)
ADZE_INT_COMMON(u64, uint64_t)

#define ADZE_INT_DIVIDE_UNSIGNED(name, type)                                                       \
    static inline type adze_div_##name(type a, type b) { return (type)(b == 0 ? 0 : a / b); }      \
    static inline type adze_rem_##name(type a, type b) { return (type)(b == 0 ? 0 : a % b); }

ADZE_INT_DIVIDE_UNSIGNED(u8, uint8_t)
ADZE_INT_DIVIDE_UNSIGNED(u16, uint16_t)
ADZE_INT_DIVIDE_UNSIGNED(u32, uint32_t)
ADZE_INT_DIVIDE_UNSIGNED(u64, uint64_t)

/* add, sub and mul wrap around. floordiv and ceildiv round towards minus and plus infinity. */
#define ADZE_INT_SIGNED(name, type, unsigned_type, bits)                                           \
    static inline type adze_add_##name(type a, type b) {                                           \
        return (type)((unsigned_type)a + (unsigned_type)b);                                        \
    }                                                                                              \
    static inline type adze_sub_##name(type a, type b) {                                           \
        return (type)((unsigned_type)a - (unsigned_type)b);                                        \
    }                                                                                              \
    static inline type adze_mul_##name(type a, type b) {                                           \
        return (type)((unsigned_type)a * (unsigned_type)b);                                        \
    }                                                                                              \
    static inline type adze_div_##name(type a, type b) {                                           \
        return b == 0 ? 0 : b == -1 ? (type)(0 - (unsigned_type)a) : a / b;                        \
    }                                                                                              \
    static inline type adze_rem_##name(type a, type b) {                                           \
        return b == 0 || b == -1 ? 0 : a % b;                                                   \
    }                                                                                              \
    static inline type adze_floordiv_##name(type a, type b) {                                      \
        const type q = adze_div_##name(a, b), r = adze_rem_##name(a, b);                           \
        return b != 0 && r != 0 && (r < 0) != (b < 0) ? q - 1 : q;                                 \
    }                                                                                              \
    static inline type adze_ceildiv_##name(type a, type b) {                                       \
        const type q = adze_div_##name(a, b), r = adze_rem_##name(a, b);                           \
        return b != 0 && r != 0 && (r < 0) == (b < 0) ? q + 1 : q;                                 \
    }                                                                                              \
    static inline type adze_abs_##name(type a) {                                                   \
        return a < 0 ? (type)(0 - (unsigned_type)a) : a;                                           \
    }                                                                                              \
    /* Amounts from the width on: all sign bits. */                                                \
    static inline type adze_shr_##name(type a, int32_t n) {                                        \
        return n >= 0 && n < bits ? a >> n : a < 0 ? -1 : 0;                                       \
    }

ADZE_INT_SIGNED(i32, int32_t, uint32_t, 32)
ADZE_INT_SIGNED(i64, int64_t, uint64_t, 64)

static inline int8_t adze_abs_i8(int8_t a) { return (int8_t)(a < 0 ? -a : a); }
static inline int16_t adze_abs_i16(int16_t a) { return (int16_t)(a < 0 ? -a : a); }
static inline int8_t adze_floordiv_i8(int8_t a, int8_t b) {
    return (int8_t)adze_floordiv_i32(a, b);
}
static inline int16_t adze_floordiv_i16(int16_t a, int16_t b) {
    return (int16_t)adze_floordiv_i32(a, b);
}
static inline int8_t adze_ceildiv_i8(int8_t a, int8_t b) { return (int8_t)adze_ceildiv_i32(a, b); }
static inline int16_t adze_ceildiv_i16(int16_t a, int16_t b) {
    return (int16_t)adze_ceildiv_i32(a, b);
}

static inline int8_t adze_shr_i8(int8_t a, int32_t n) { return (int8_t)adze_shr_i32(a, n); }
static inline int16_t adze_shr_i16(int16_t a, int32_t n) { return (int16_t)adze_shr_i32(a, n); }

#define ADZE_INT_SHIFT_UNSIGNED(name, type, bits)                                                  \
    static inline type adze_shl_##name(type a, int32_t n) {                                        \
        return (type)(n >= 0 && n < bits ? (uint64_t)a << n : 0);                                  \
    }                                                                                              \
    static inline type adze_shr_##name(type a, int32_t n) {                                        \
        return (type)(n >= 0 && n < bits ? a >> n : 0);                                            \
    }

ADZE_INT_SHIFT_UNSIGNED(u8, uint8_t, 8)
ADZE_INT_SHIFT_UNSIGNED(u16, uint16_t, 16)
ADZE_INT_SHIFT_UNSIGNED(u32, uint32_t, 32)
ADZE_INT_SHIFT_UNSIGNED(u64, uint64_t, 64)

/* The low bits of a value as a narrow integer, which lives in a byte. */
static inline int8_t adze_wrap_i4(int32_t a) { return (int8_t)(((a & 15) ^ 8) - 8); }
static inline uint8_t adze_wrap_u4(int32_t a) { return (uint8_t)(a & 15); }
static inline int8_t adze_wrap_i2(int32_t a) { return (int8_t)(((a & 3) ^ 2) - 2); }
static inline uint8_t adze_wrap_u2(int32_t a) { return (uint8_t)(a & 3); }

/* Four bytes as they stand in memory. */
static inline int32_t adze_load_u32(const void *from) {
    int32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

#endif
