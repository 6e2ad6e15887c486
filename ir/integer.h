/* The one integer definition: what quantized arithmetic gives, bit for bit, on every target.
 * docs/integer.md writes out each operator's formula on top of these scalars. */
#ifndef ADZE_IR_INTEGER_H
#define ADZE_IR_INTEGER_H

#include "ir/tensor.h"

/* Multiplier and shift of a real factor: m / 2^s is the multiple nearest to `real` (ties to even)
 * with m in [2^30, 2^31) and s in [0, 62]. Factors outside keep their meaning as far as a result
 * can show it: below 2^-32 (and 0, negative, NaN) m = 0, s = 62: every 32-bit accumulator rounds to
 * 0 anyway; 2^31 and above m = 2^31 - 1, s = 0: every accumulator but 0 saturates 8 and 16 bits
 * anyway. */
void adze_requant_scale(double real, int32_t *m, int32_t *s);

/* Two factors over one shift, for sums: the larger multiplier in [2^29, 2^30), the other rounded to
 * nearest (ties to even) at the same shift. Both must be positive. */
void adze_requant_pair(double real_a, double real_b, int32_t *m_a, int32_t *m_b, int32_t *s);

/* round_half_even(p / 2^s), 0 <= s <= 62. */
int64_t adze_round_shift(int64_t p, int32_t s);
/* round_half_even(a / b), b > 0. */
int64_t adze_round_divide(int64_t a, int64_t b);

/* y = clamp(zero_point + round_half_even(acc * m / 2^s), low, high); |acc * m| must be below 2^63.
 */
int64_t adze_requantize_ref(int64_t acc, int32_t m, int32_t s, int64_t zero_point, int64_t low,
                            int64_t high);

/* Whether acc * m / 2^s lies halfway between two integers for no acc with 0 < |acc| <= reach: then rounding half up is
 * rounding half to even, and the upper 32 bits of the product are all that is needed,
 *
 *   zero_point + floor((acc * m + 2^(s-1)) / 2^s)
 *     = (floor(acc * m / 2^32) + 2^(s-33) + zero_point * 2^(s-32)) >> (s - 32)
 *
 * in 32-bit arithmetic: also asks 33 <= s and that the sum fits 32 bits for every 32-bit acc. A tie needs
 * acc * m = 2^(s-1) * (an odd number), so acc must bring s - 1 - (trailing zero bits of m) factors of two. */
bool adze_requant_untied(int32_t m, int32_t s, double reach, int64_t zero_point);

/* y = clamp(zero_point + round_half_even(quotient), low, high); NaN gives the zero point. The
 * caller has divided by the scale. */
int64_t adze_quantize_ref(double quotient, int64_t zero_point, int64_t low, int64_t high);

/* The smallest and largest value of an integer type (of the 64-bit range for u64). */
void adze_integer_range(adze_dtype dtype, int64_t *low, int64_t *high);

/* Softmax over 8-bit codes: t[d] = round_half_even(2^23 * exp(-d * scale)), d = max - x. */
void adze_softmax_table(double scale, int32_t table[256]);
/* One of its results: clamp(zero_point + round_half_even(t * m / (sum * 2^s)), low, high), where
 * 1 / scale_y = m / 2^s by adze_requant_scale with common factors of two removed; exact. */
int64_t adze_softmax_ref(int64_t t, int64_t sum, double scale_y, int64_t zero_point, int64_t low,
                         int64_t high);

#endif
