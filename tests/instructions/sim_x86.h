/* Instructions of x86 that the machine under test may lack, in plain C: what the rows of AVX-VNNI,
 * AVX512-FP16 and AMX call, in place of the compiler's own. Included after <immintrin.h>. */
#ifndef ADZE_TEST_SIM_X86_H
#define ADZE_TEST_SIM_X86_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- AVX-VNNI ---- */

static void sim_vnni(int32_t *sums, const uint8_t *a, const int8_t *b, int lanes) {
    for (int i = 0; i < lanes * 4; i++)
        sums[i / 4] = (int32_t)((uint32_t)sums[i / 4] + (uint32_t)(a[i] * b[i]));
}
static void sim_vnni_pairs(int32_t *sums, const int16_t *a, const int16_t *b, int lanes) {
    for (int i = 0; i < lanes * 2; i++)
        sums[i / 2] = (int32_t)((uint32_t)sums[i / 2] + (uint32_t)(a[i] * b[i]));
}
#define SIM_VNNI(name, type, step, lanes)                                                          \
    static inline type sim##name(type sums, type a, type b) {                                      \
        step((void *)&sums, (const void *)&a, (const void *)&b, lanes);                            \
        return sums;                                                                               \
    }
SIM_VNNI(_mm_dpbusd_avx_epi32, __m128i, sim_vnni, 4)
SIM_VNNI(_mm256_dpbusd_avx_epi32, __m256i, sim_vnni, 8)
SIM_VNNI(_mm_dpwssd_avx_epi32, __m128i, sim_vnni_pairs, 4)
SIM_VNNI(_mm256_dpwssd_avx_epi32, __m256i, sim_vnni_pairs, 8)
#define _mm_dpbusd_avx_epi32 sim_mm_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 sim_mm256_dpbusd_avx_epi32
#define _mm_dpwssd_avx_epi32 sim_mm_dpwssd_avx_epi32
#define _mm256_dpwssd_avx_epi32 sim_mm256_dpwssd_avx_epi32

/* ---- AVX512-FP16: on the bits of its vectors ---- */

#ifdef __AVX512F__
static double sim_from_half(uint16_t h) {
    return (double)_cvtsh_ss(h);
}
static uint16_t sim_to_half(double x) { /* once rounded */
    int e;
    if (x != 0 && isfinite(x)) {
        frexp(x, &e);
        double unit = ldexp(1, (e - 1 < -14 ? -14 : e - 1) - 10);
        x = copysign(nearbyint(x / unit) * unit, x);
    }
    return (uint16_t)_cvtss_sh((float)x, _MM_FROUND_TO_NEAREST_INT);
}
static double sim_add(double a, double b) {
    return a + b;
}
static double sim_sub(double a, double b) {
    return a - b;
}
static double sim_mul(double a, double b) {
    return a * b;
}
static double sim_div(double a, double b) {
    return a / b;
}
static double sim_max(double a, double b) {
    return a > b ? a : b;
}
static double sim_min(double a, double b) {
    return a < b ? a : b;
}
#define SIM_HALVES(prefix, type, lanes)                                                            \
    static type sim##prefix##two(type a, type b, double (*f)(double, double)) {                    \
        uint16_t x[lanes], y[lanes];                                                               \
        memcpy(x, &a, sizeof a), memcpy(y, &b, sizeof b);                                          \
        for (int i = 0; i < lanes; i++)                                                            \
            x[i] = sim_to_half(f(sim_from_half(x[i]), sim_from_half(y[i])));                       \
        memcpy(&a, x, sizeof a);                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    static type sim##prefix##fmadd(type a, type b, type c) {                                       \
        uint16_t x[lanes], y[lanes], z[lanes];                                                     \
        memcpy(x, &a, sizeof a), memcpy(y, &b, sizeof b), memcpy(z, &c, sizeof c);                 \
        for (int i = 0; i < lanes; i++)                                                            \
            x[i] =                                                                                 \
                sim_to_half(fma(sim_from_half(x[i]), sim_from_half(y[i]), sim_from_half(z[i])));   \
        memcpy(&a, x, sizeof a);                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    static type sim##prefix##one(type a, int what) {                                               \
        uint16_t x[lanes];                                                                         \
        memcpy(x, &a, sizeof a);                                                                   \
        for (int i = 0; i < lanes; i++) {                                                          \
            double v = sim_from_half(x[i]);                                                        \
            x[i] = what == 0   ? sim_to_half(sqrt(v))                                              \
                   : what == 1 ? sim_to_half((double)(int16_t)x[i])                                \
                               : (uint16_t)(int16_t)(fabs(v) < 32768 ? nearbyint(v) : -32768.0);   \
        }                                                                                          \
        memcpy(&a, x, sizeof a);                                                                   \
        return a;                                                                                  \
    }
SIM_HALVES(_mm_, __m128i, 8)
SIM_HALVES(_mm256_, __m256i, 16)
SIM_HALVES(_mm512_, __m512i, 32)
#define _mm_castsi128_ph(x) (x)
#define _mm256_castsi256_ph(x) (x)
#define _mm512_castsi512_ph(x) (x)
#define _mm_castph_si128(x) (x)
#define _mm256_castph_si256(x) (x)
#define _mm512_castph_si512(x) (x)
#define _mm_add_ph(a, b) sim_mm_two(a, b, sim_add)
#define _mm256_add_ph(a, b) sim_mm256_two(a, b, sim_add)
#define _mm512_add_ph(a, b) sim_mm512_two(a, b, sim_add)
#define _mm_sub_ph(a, b) sim_mm_two(a, b, sim_sub)
#define _mm256_sub_ph(a, b) sim_mm256_two(a, b, sim_sub)
#define _mm512_sub_ph(a, b) sim_mm512_two(a, b, sim_sub)
#define _mm_mul_ph(a, b) sim_mm_two(a, b, sim_mul)
#define _mm256_mul_ph(a, b) sim_mm256_two(a, b, sim_mul)
#define _mm512_mul_ph(a, b) sim_mm512_two(a, b, sim_mul)
#define _mm_div_ph(a, b) sim_mm_two(a, b, sim_div)
#define _mm256_div_ph(a, b) sim_mm256_two(a, b, sim_div)
#define _mm512_div_ph(a, b) sim_mm512_two(a, b, sim_div)
#define _mm_max_ph(a, b) sim_mm_two(a, b, sim_max)
#define _mm256_max_ph(a, b) sim_mm256_two(a, b, sim_max)
#define _mm512_max_ph(a, b) sim_mm512_two(a, b, sim_max)
#define _mm_min_ph(a, b) sim_mm_two(a, b, sim_min)
#define _mm256_min_ph(a, b) sim_mm256_two(a, b, sim_min)
#define _mm512_min_ph(a, b) sim_mm512_two(a, b, sim_min)
#define _mm_fmadd_ph sim_mm_fmadd
#define _mm256_fmadd_ph sim_mm256_fmadd
#define _mm512_fmadd_ph sim_mm512_fmadd
#define _mm_sqrt_ph(a) sim_mm_one(a, 0)
#define _mm256_sqrt_ph(a) sim_mm256_one(a, 0)
#define _mm512_sqrt_ph(a) sim_mm512_one(a, 0)
#define _mm_cvtepi16_ph(a) sim_mm_one(a, 1)
#define _mm256_cvtepi16_ph(a) sim_mm256_one(a, 1)
#define _mm512_cvtepi16_ph(a) sim_mm512_one(a, 1)
#define _mm_cvtph_epi16(a) sim_mm_one(a, 2)
#define _mm256_cvtph_epi16(a) sim_mm256_one(a, 2)
#define _mm512_cvtph_epi16(a) sim_mm512_one(a, 2)
#endif

/* ---- AMX (Intel SDM, "TILELOADD", "TDPBSSD", "TDPBF16PS") ---- */

static _Thread_local struct { uint8_t row[16][64]; } sim_tile[8];
static _Thread_local struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16];
    uint8_t rows[16];
} sim_config;

static inline void sim_loadconfig(const void *from) {
    memcpy(&sim_config, from, 64);
    memset(sim_tile, 0, sizeof sim_tile);
}
static inline void sim_release(void) {
    memset(&sim_config, 0, sizeof sim_config);
}
static inline void sim_zero(int t) {
    memset(&sim_tile[t], 0, sizeof sim_tile[t]);
}
static inline void sim_loadd(int t, const void *from, size_t stride) {
    sim_zero(t);
    for (int r = 0; r < sim_config.rows[t]; r++)
        memcpy(sim_tile[t].row[r], (const char *)from + (size_t)r * stride, sim_config.colsb[t]);
}
static inline void sim_stored(int t, void *to, size_t stride) {
    for (int r = 0; r < sim_config.rows[t]; r++)
        memcpy((char *)to + (size_t)r * stride, sim_tile[t].row[r], sim_config.colsb[t]);
}
static inline void sim_dot(int c, int a, int b, int a_signed, int b_signed) {
    for (int m = 0; m < sim_config.rows[c]; m++)
        for (int n = 0; n < sim_config.colsb[c] / 4; n++) {
            uint32_t s;
            memcpy(&s, &sim_tile[c].row[m][4 * n], 4);
            for (int k = 0; k < sim_config.colsb[a]; k++) {
                uint8_t x = sim_tile[a].row[m][k], y = sim_tile[b].row[k / 4][4 * n + k % 4];
                s += (uint32_t)((a_signed ? (int8_t)x : x) * (b_signed ? (int8_t)y : y));
            }
            memcpy(&sim_tile[c].row[m][4 * n], &s, 4);
        }
}
static inline float sim_brain(const uint8_t *p) {
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static inline void sim_dot_bf16(int c, int a, int b) {
    for (int m = 0; m < sim_config.rows[c]; m++)
        for (int n = 0; n < sim_config.colsb[c] / 4; n++) {
            float s;
            memcpy(&s, &sim_tile[c].row[m][4 * n], 4);
            for (int k = 0; k < sim_config.colsb[a] / 2; k++)
                s += sim_brain(&sim_tile[a].row[m][2 * k]) *
                     sim_brain(&sim_tile[b].row[k / 2][4 * n + k % 2 * 2]);
            memcpy(&sim_tile[c].row[m][4 * n], &s, 4);
        }
}
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbusd
#undef _tile_dpbsud
#undef _tile_dpbuud
#undef _tile_dpbf16ps
#define _tile_loadconfig sim_loadconfig
#define _tile_release sim_release
#define _tile_zero sim_zero
#define _tile_loadd sim_loadd
#define _tile_stored sim_stored
#define _tile_dpbssd(c, a, b) sim_dot(c, a, b, 1, 1)
#define _tile_dpbusd(c, a, b) sim_dot(c, a, b, 0, 1)
#define _tile_dpbsud(c, a, b) sim_dot(c, a, b, 1, 0)
#define _tile_dpbuud(c, a, b) sim_dot(c, a, b, 0, 0)
#define _tile_dpbf16ps sim_dot_bf16

#endif
