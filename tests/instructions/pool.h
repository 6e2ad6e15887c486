/* The inputs of the instruction checker: the program on the target and the judge on the host fill
 * the same arrays. Extreme values, small ones and random bits in turn; of floats also NaN,
 * infinities, ties and denormals. */
#ifndef ADZE_TEST_POOL_H
#define ADZE_TEST_POOL_H

#include <stdint.h>
#include <string.h>

enum { POOL_COUNT = 3072, POOL_CASES = 40, POOL_STARTS = 1021, POOL_GUARD = 32, POOL_UNSET = 0xa5 };

/* What an array is filled with, by the element's base and, for some operands, by what they are for.
 */
enum { POOL_INT, POOL_FLOAT, POOL_SHIFT, POOL_INDEX, POOL_MASK, POOL_TAME };

/* The shapes of a tile product, and the bytes from row to row in memory. */
enum {
    TILE_M = 13,
    TILE_N = 11,
    TILE_K = 52,
    TILE_A_STEP = 56,
    TILE_B_STEP = 60,
    TILE_C_STEP = 48
};

static inline uint32_t pool_mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

static inline uint64_t pool_int(unsigned bits, uint32_t i) {
    uint64_t r = (uint64_t)pool_mix(2 * i + 1) << 32 | pool_mix(2 * i);
    uint64_t top = (uint64_t)1 << (bits - 1), one = (uint64_t)1 << r % bits;
    switch (i % 8) {
    case 0: {
        const uint64_t extreme[] = {0, 1, ~(uint64_t)0, top, top - 1, top + 1, 2, top >> 1};
        return extreme[r % 8];
    }
    case 1:
        return one;
    case 2:
        return one - 1;
    case 3:
        return r % 256 - 128;
    case 4:
        return r % 17 - 8;
    default:
        return r;
    }
}

/* The bits of a float with `mantissa` bits below the leading one and `exponent` bits of exponent.
 */
static inline uint64_t pool_float(unsigned mantissa, unsigned exponent, uint32_t i) {
    uint64_t r = (uint64_t)pool_mix(2 * i + 1) << 32 | pool_mix(2 * i);
    uint64_t sign = (r >> 63) << (mantissa + exponent), low = ((uint64_t)1 << mantissa) - 1;
    uint64_t top = ((uint64_t)1 << exponent) - 1, bias = top >> 1;
    switch (i % 8) {
    case 0:
    case 4: {
        const uint64_t extreme[] = {
            0,                       /* 0 */
            bias << mantissa,        /* 1 */
            top << mantissa,         /* infinity */
            (top << mantissa) | 1,   /* NaN; quiet by the bit below */
            (top << mantissa) - 1,   /* the largest */
            1,                       /* the least */
            (uint64_t)1 << mantissa, /* the least normal */
            (bias + 31) << mantissa, /* 2^31, or beyond the range of small formats */
        };
        uint64_t x = extreme[r % 8];
        return sign | (r % 8 == 3 ? x | (uint64_t)1 << (mantissa - 1) : x);
    }
    case 1: /* k + 1/2 and k */
        return sign | (bias + 1 + r % 3) << mantissa | (r % 64 << (mantissa - 5) & low);
    case 2:
        return sign | (bias + 20 + r % 12 < top ? bias + 20 + r % 12 : top - 1) << mantissa |
               (r >> 8 & low);
    case 3: /* random bits, but no signalling NaN */
        r &= ((uint64_t)1 << (mantissa + exponent)) - 1;
        return sign | (r >> mantissa == top ? r | (uint64_t)1 << (mantissa - 1) : r);
    default: /* about 1/8 to 8 */
        return sign | (bias - 3 + r % 6) << mantissa | (r >> 8 & low);
    }
}

/* Fills POOL_COUNT elements of `bits`; `brain` tells bf16 from f16. */
static inline void pool_fill(void *out, int kind, unsigned bits, int brain) {
    for (uint32_t i = 0; i < POOL_COUNT; i++) {
        uint64_t v;
        uint32_t at = kind == POOL_TAME ? i | 7 : i; /* tame: about 1/8 to 8 */
        if (kind == POOL_FLOAT || kind == POOL_TAME)
            v = brain ? pool_float(7, 8, at)
                      : pool_float(bits == 16   ? 10
                                   : bits == 32 ? 23
                                                : 52,
                                   bits == 16   ? 5
                                   : bits == 32 ? 8
                                                : 11,
                                   i);
        else if (kind == POOL_SHIFT)
            v = pool_mix(i) % bits;
        else if (kind == POOL_INDEX)
            v = pool_mix(i) % 1024;
        else if (kind == POOL_MASK)
            v = pool_mix(i) % 2 ? ~(uint64_t)0 : 0;
        else
            v = pool_int(bits, i);
        uint8_t v8 = (uint8_t)v;
        uint16_t v16 = (uint16_t)v;
        uint32_t v32 = (uint32_t)v;
        const void *from = bits == 8    ? (const void *)&v8
                           : bits == 16 ? (const void *)&v16
                           : bits == 32 ? (const void *)&v32
                                        : (const void *)&v;
        memcpy((char *)out + (size_t)i * (bits / 8), from, bits / 8);
    }
}

/* Where a start goes that must be at whole words. */
static inline uint32_t pool_words(uint32_t start) {
    return start & ~3u;
}
/* Where operand `operand` of case `k` of a row starts in its array. */
static inline uint32_t pool_start(uint32_t row, uint32_t k, uint32_t operand) {
    return (row * 13 + k * 61 + operand * 257) % POOL_STARTS;
}

/* The value of an index operand in a case. */
static inline uint32_t pool_index(uint32_t n, uint32_t k, uint32_t operand, uint32_t lanes) {
    return pool_mix(n * 31 + k * 7 + operand) % (lanes + 3);
}
/* How many lanes are on in a case, of a scalable type. */
static inline uint32_t pool_active(uint32_t k, uint32_t lanes) {
    return k % 3 == 2 ? 1 + pool_mix(k) % lanes : lanes;
}

#endif
