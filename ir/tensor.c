/* Host tensors and the conversions of their elements. See tensor.h. */
#include "ir/tensor.h"

#include <math.h>
#include <string.h>

static const adze_dtype_info infos[ADZE_N_DTYPES] = {
#define DTYPE(id, n_bits, c, onnx_id, mlir_name, c_name)                                           \
    [ADZE_##id] = {.name = #id,                                                                    \
                   .mlir = mlir_name,                                                              \
                   .c_type = c_name,                                                               \
                   .bits = n_bits,                                                                 \
                   .cls = #c[0],                                                                   \
                   .onnx = onnx_id,                                                                \
                   .host_bytes = n_bits < 8 ? 1 : n_bits / 8},
#include "ir/dtype.def"
#undef DTYPE
};

const adze_dtype_info *adze_dtype_get(adze_dtype dtype) { return &infos[dtype]; }

adze_dtype adze_dtype_from_onnx(int64_t onnx) {
    for (int i = 1; i < ADZE_N_DTYPES; i++)
        if (infos[i].onnx == onnx)
            return (adze_dtype)i;
    return ADZE_NO_DTYPE;
}

adze_dtype adze_dtype_from_name(const char *name) {
    for (int i = 1; i < ADZE_N_DTYPES; i++)
        if (!strcmp(infos[i].name, name))
            return (adze_dtype)i;
    return ADZE_NO_DTYPE;
}

bool adze_dtype_packed_bytes(adze_dtype dtype, size_t count, size_t *bytes) {
    size_t bits;
    if (!adze_mul_size(count, (size_t)infos[dtype].bits, &bits) || bits > SIZE_MAX - 7)
        return false;
    *bytes = (bits + 7) / 8;
    return true;
}

size_t adze_tensor_count(const adze_tensor *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dims[i];
    return n;
}

size_t adze_tensor_host_bytes(const adze_tensor *t) {
    return adze_tensor_count(t) * infos[t->dtype].host_bytes;
}

/* The checked byte size of a shape; false on a negative extent, overflow, or more than 2^40 bytes. */
static bool shape_bytes(adze_dtype dtype, int rank, const int64_t *dims, size_t *count,
                        size_t *host_bytes) {
    if (dtype <= ADZE_NO_DTYPE || dtype >= ADZE_N_DTYPES || rank < 0 || rank > ADZE_MAX_RANK)
        return false;
    size_t n = 1, nonzero = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || !adze_mul_size(n, (size_t)dims[i], &n) ||
            !adze_mul_size(nonzero, dims[i] ? (size_t)dims[i] : 1, &nonzero))
            return false;
    }
    *count = n;
    return adze_mul_size(n, infos[dtype].host_bytes, host_bytes) && *host_bytes <= (size_t)1 << 40;
}

bool adze_tensor_new(adze_arena *arena, adze_dtype dtype, int rank, const int64_t *dims,
                     adze_tensor *out) {
    size_t count, bytes;
    if (!shape_bytes(dtype, rank, dims, &count, &bytes))
        return false;
    *out = (adze_tensor){.dtype = dtype, .rank = rank};
    if (rank)
        memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    out->data = adze_arena_alloc(arena, bytes ? bytes : 1);
    return true;
}

void *adze_tensor_data(adze_tensor *t) { return (void *)(uintptr_t)t->data; }

/* ---- small floats ---- */

/* A format with `exponent` and `mantissa` bits and the given bias. finite: no infinities, the value
 * at all ones (or, unsigned zero formats, at negative zero) is NaN. */
typedef struct float_format {
    int exponent, mantissa, bias;
    bool has_inf, fn, uz; /* IEEE infinities; all-ones NaN only; NaN at negative zero */
    bool has_nan, is_signed;
} float_format;

static bool format_of(adze_dtype dtype, float_format *f) {
    switch (dtype) {
    case ADZE_f16: *f = (float_format){5, 10, 15, true, false, false, true, true}; return true;
    case ADZE_bf16: *f = (float_format){8, 7, 127, true, false, false, true, true}; return true;
    case ADZE_f8e4m3fn: *f = (float_format){4, 3, 7, false, true, false, true, true}; return true;
    case ADZE_f8e4m3fnuz: *f = (float_format){4, 3, 8, false, false, true, true, true}; return true;
    case ADZE_f8e5m2: *f = (float_format){5, 2, 15, true, false, false, true, true}; return true;
    case ADZE_f8e5m2fnuz: *f = (float_format){5, 2, 16, false, false, true, true, true}; return true;
    case ADZE_f4e2m1: *f = (float_format){2, 1, 1, false, false, false, false, true}; return true;
    default: return false;
    }
}

double adze_float_decode(adze_dtype dtype, uint32_t bits) {
    if (dtype == ADZE_f8e8m0)
        return bits == 0xFF ? NAN : ldexp(1.0, (int)bits - 127);
    if (dtype == ADZE_f32) {
        float v;
        memcpy(&v, &bits, 4);
        return v;
    }
    float_format f;
    if (!format_of(dtype, &f))
        return NAN;
    int width = 1 + f.exponent + f.mantissa;
    bool negative = bits >> (width - 1) & 1;
    int e = (int)(bits >> f.mantissa) & ((1 << f.exponent) - 1);
    int m = (int)bits & ((1 << f.mantissa) - 1);
    int e_max = (1 << f.exponent) - 1, m_max = (1 << f.mantissa) - 1;
    if (f.uz && negative && e == 0 && m == 0)
        return NAN;
    if (f.has_inf && e == e_max)
        return m ? NAN : negative ? -INFINITY : INFINITY;
    if (f.fn && e == e_max && m == m_max)
        return NAN;
    double v = e ? ldexp(1.0 + ldexp(m, -f.mantissa), e - f.bias) : ldexp(m, 1 - f.bias - f.mantissa);
    return negative ? -v : v;
}

static double round_even(double v) { return nearbyint(v); }

uint32_t adze_float_encode(adze_dtype dtype, double value, bool saturate) {
    if (dtype == ADZE_f32) {
        float v = (float)value;
        uint32_t bits;
        memcpy(&bits, &v, 4);
        return bits;
    }
    if (dtype == ADZE_f8e8m0) { /* a power of two, rounded up (ONNX Cast's default); NaN is 0xFF */
        if (isnan(value) || value < 0)
            return 0xFF;
        if (value == 0)
            return 0;
        if (isinf(value))
            return saturate ? 0xFE : 0xFF;
        int e;
        double m = frexp(value, &e); /* value = m * 2^e, m in [0.5, 1) */
        int n = e - 1 + (m > 0.5 ? 1 : 0) + 127;
        return n < 0 ? 0 : n > 254 ? (saturate ? 0xFE : 0xFF) : (uint32_t)n;
    }
    float_format f;
    if (!format_of(dtype, &f))
        return 0;
    int width = 1 + f.exponent + f.mantissa;
    uint32_t sign_bit = 1u << (width - 1);
    uint32_t sign = signbit(value) ? sign_bit : 0;
    int e_max = (1 << f.exponent) - 1;
    uint32_t m_max = (1u << f.mantissa) - 1;
    uint32_t nan = f.uz ? sign_bit
                        : f.has_inf ? ((uint32_t)e_max << f.mantissa | 1u << (f.mantissa - 1))
                                    : ((uint32_t)e_max << f.mantissa | m_max);
    uint32_t largest = f.has_inf ? ((uint32_t)(e_max - 1) << f.mantissa | m_max)
                       : f.fn    ? ((uint32_t)e_max << f.mantissa | (m_max - 1))
                                 : ((uint32_t)e_max << f.mantissa | m_max);
    if (isnan(value))
        return f.has_nan ? (f.uz ? nan : nan | sign) : sign_bit; /* f4: negative zero, as ONNX's tests */
    uint32_t overflow = sign | (saturate || !f.has_nan
                                    ? largest
                                    : f.has_inf ? (uint32_t)e_max << f.mantissa : nan);
    if (f.uz && !saturate)
        overflow = nan;
    if (isinf(value))
        return overflow;
    double v = fabs(value);
    int e;
    if (v == 0)
        return f.uz ? 0 : sign;
    frexp(v, &e);
    e -= 1;
    if (e < 1 - f.bias)
        e = 1 - f.bias;
    double q = round_even(ldexp(v, f.mantissa - e)); /* in units of the last place */
    if (q >= ldexp(1, f.mantissa + 1)) {
        q = ldexp(q, -1);
        e += 1;
    }
    uint32_t bits;
    if (q < ldexp(1, f.mantissa)) {
        bits = (uint32_t)q; /* subnormal */
    } else {
        int biased = e + f.bias;
        if (biased > e_max)
            return overflow;
        bits = (uint32_t)biased << f.mantissa | ((uint32_t)q & m_max);
    }
    if (bits > largest)
        return overflow;
    return f.uz && bits == 0 ? 0 : sign | bits;
}

/* ---- elements ---- */

double adze_tensor_get_f64(const adze_tensor *t, size_t i) {
    const void *p = t->data;
    switch (t->dtype) {
    case ADZE_f32:
    case ADZE_c64: return ((const float *)p)[t->dtype == ADZE_c64 ? 2 * i : i];
    case ADZE_f64:
    case ADZE_c128: return ((const double *)p)[t->dtype == ADZE_c128 ? 2 * i : i];
    case ADZE_u64: return (double)((const uint64_t *)p)[i];
    case ADZE_f16:
    case ADZE_bf16: return adze_float_decode(t->dtype, ((const uint16_t *)p)[i]);
    default:
        return infos[t->dtype].cls == 'F' ? adze_float_decode(t->dtype, ((const uint8_t *)p)[i])
                                          : (double)adze_tensor_get_i64(t, i);
    }
}

int64_t adze_tensor_get_i64(const adze_tensor *t, size_t i) {
    const void *p = t->data;
    switch (t->dtype) {
    case ADZE_i64: return ((const int64_t *)p)[i];
    case ADZE_u64: return (int64_t)((const uint64_t *)p)[i];
    case ADZE_i32: return ((const int32_t *)p)[i];
    case ADZE_u32: return ((const uint32_t *)p)[i];
    case ADZE_i16: return ((const int16_t *)p)[i];
    case ADZE_u16: return ((const uint16_t *)p)[i];
    case ADZE_i8:
    case ADZE_i4:
    case ADZE_i2: return ((const int8_t *)p)[i];
    case ADZE_u8:
    case ADZE_u4:
    case ADZE_u2: return ((const uint8_t *)p)[i];
    case ADZE_bool: return ((const uint8_t *)p)[i] != 0;
    default: {
        double v = infos[t->dtype].cls == 'S' ? 0 : adze_tensor_get_f64(t, i);
        return v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 || isnan(v) ? INT64_MIN : (int64_t)v;
    }
    }
}

void adze_tensor_set_f64(adze_tensor *t, size_t i, double v) {
    void *p = adze_tensor_data(t);
    switch (t->dtype) {
    case ADZE_f32: ((float *)p)[i] = (float)v; return;
    case ADZE_f64: ((double *)p)[i] = v; return;
    case ADZE_c64: ((float *)p)[2 * i] = (float)v; return;
    case ADZE_c128: ((double *)p)[2 * i] = v; return;
    case ADZE_f16:
    case ADZE_bf16: ((uint16_t *)p)[i] = (uint16_t)adze_float_encode(t->dtype, v, false); return;
    case ADZE_bool: ((uint8_t *)p)[i] = v != 0; return;
    case ADZE_u64:
        if (v >= 0x1p63 && v < 0x1p64) {
            ((uint64_t *)p)[i] = (uint64_t)v;
            return;
        }
        break;
    default:
        if (infos[t->dtype].cls == 'F') {
            ((uint8_t *)p)[i] = (uint8_t)adze_float_encode(t->dtype, v, false);
            return;
        }
    }
    adze_tensor_set_i64(t, i, v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 || isnan(v) ? INT64_MIN : (int64_t)v);
}

void adze_tensor_set_i64(adze_tensor *t, size_t i, int64_t v) {
    void *p = adze_tensor_data(t);
    switch (t->dtype) {
    case ADZE_i64:
    case ADZE_u64: ((int64_t *)p)[i] = v; return;
    case ADZE_i32:
    case ADZE_u32: ((uint32_t *)p)[i] = (uint32_t)v; return;
    case ADZE_i16:
    case ADZE_u16: ((uint16_t *)p)[i] = (uint16_t)v; return;
    case ADZE_i8:
    case ADZE_u8: ((uint8_t *)p)[i] = (uint8_t)v; return;
    case ADZE_i4: ((int8_t *)p)[i] = (int8_t)((int8_t)((uint8_t)v << 4) >> 4); return;
    case ADZE_i2: ((int8_t *)p)[i] = (int8_t)((int8_t)((uint8_t)v << 6) >> 6); return;
    case ADZE_u4: ((uint8_t *)p)[i] = (uint8_t)v & 15; return;
    case ADZE_u2: ((uint8_t *)p)[i] = (uint8_t)v & 3; return;
    case ADZE_bool: ((uint8_t *)p)[i] = v != 0; return;
    default: adze_tensor_set_f64(t, i, (double)v);
    }
}

/* ---- packed bytes ---- */

bool adze_tensor_unpack(adze_arena *arena, adze_dtype dtype, int rank, const int64_t *dims,
                        const void *bytes, size_t n_bytes, adze_tensor *out) {
    size_t count, host, packed;
    if (!shape_bytes(dtype, rank, dims, &count, &host) ||
        !adze_dtype_packed_bytes(dtype, count, &packed) || packed != n_bytes ||
        infos[dtype].cls == 'S')
        return false;
    int bits = infos[dtype].bits;
    if (bits >= 8 && (uintptr_t)bytes % infos[dtype].host_bytes == 0) {
        *out = (adze_tensor){.dtype = dtype, .rank = rank, .data = bytes};
        if (rank)
            memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
        return true;
    }
    if (!adze_tensor_new(arena, dtype, rank, dims, out))
        return false;
    if (bits >= 8) {
        if (n_bytes)
            memcpy(adze_tensor_data(out), bytes, n_bytes);
        return true;
    }
    const uint8_t *p = bytes;
    uint8_t *q = adze_tensor_data(out);
    int per_byte = 8 / bits;
    for (size_t i = 0; i < count; i++) {
        unsigned code = p[i / (size_t)per_byte] >> (bits * (int)(i % (size_t)per_byte)) & ((1u << bits) - 1);
        if (infos[dtype].cls == 'I' && code >> (bits - 1))
            code |= 0xFFu << bits;
        q[i] = (uint8_t)code;
    }
    return true;
}

void adze_tensor_pack(const adze_tensor *t, adze_text *out) {
    int bits = infos[t->dtype].bits;
    size_t count = adze_tensor_count(t);
    if (bits >= 8) {
        adze_text_append(out, t->data, adze_tensor_host_bytes(t));
        return;
    }
    size_t per_byte = 8u / (unsigned)bits;
    const uint8_t *p = t->data;
    for (size_t i = 0; i < count; i += per_byte) {
        unsigned byte = 0;
        for (size_t j = 0; j < per_byte && i + j < count; j++)
            byte |= (p[i + j] & ((1u << bits) - 1)) << (bits * (int)j);
        uint8_t b = (uint8_t)byte;
        adze_text_append(out, &b, 1);
    }
}
