/* Float to integer: towards zero, values outside go to the nearest end, NaN to zero. */
#ifndef ADZE_CONVERT_H
#define ADZE_CONVERT_H

#include <stdint.h>

/* `below` and `above` are the nearest values of the float type that are out of range. */
#define ADZE_CONVERT(from, from_type, to, to_type, low, high, below, above)                        \
    static inline to_type adze_##from##_to_##to(from_type x) {                                     \
        return x != x                     ? 0                                                      \
               : x <= (from_type)(below)  ? low                                                    \
               : x >= (from_type)(above)  ? high                                                   \
                                          : (to_type)x;                                            \
    }

#define ADZE_CONVERT_FROM(from, t, one)                                                            \
    ADZE_CONVERT(from, t, i8, int8_t, INT8_MIN, INT8_MAX, -129 * one, 128 * one)                   \
    ADZE_CONVERT(from, t, i16, int16_t, INT16_MIN, INT16_MAX, -32769 * one, 32768 * one)           \
    ADZE_CONVERT(from, t, i32, int32_t, INT32_MIN, INT32_MAX, -2147483648 * one, 2147483648 * one) \
    ADZE_CONVERT(from, t, i64, int64_t, INT64_MIN, INT64_MAX, -9223372036854775808.0 * one,        \
                 9223372036854775808.0 * one)                                                      \
    ADZE_CONVERT(from, t, u8, uint8_t, 0, UINT8_MAX, -1 * one, 256 * one)                          \
    ADZE_CONVERT(from, t, u16, uint16_t, 0, UINT16_MAX, -1 * one, 65536 * one)                     \
    ADZE_CONVERT(from, t, u32, uint32_t, 0, UINT32_MAX, -1 * one, 4294967296 * one)                \
    ADZE_CONVERT(from, t, u64, uint64_t, 0, UINT64_MAX, -1 * one, 18446744073709551616.0 * one)

ADZE_CONVERT_FROM(f32, float, 1.0f)
ADZE_CONVERT_FROM(f64, double, 1.0)

#endif
