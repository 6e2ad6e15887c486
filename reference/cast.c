/* cast, bitcast, quantize, dequantize, dynamic_quantize. */
#include "reference/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- strings ---- */

/* Text of a number as numpy writes it: integers plainly, floats with the fewest digits that read
 * back as the same value of their type, "nan", "inf", "True". Strings live in the context's arena:
 * copies of them may outlive this value. */
static adze_string to_string(ref_call *c, const adze_tensor *x, size_t i) {
    char text[64];
    switch (ref_class(x->dtype)) {
    case 'B':
        snprintf(text, sizeof text, "%s", adze_tensor_get_i64(x, i) ? "True" : "False");
        break;
    case 'I':
        snprintf(text, sizeof text, "%lld", (long long)adze_tensor_get_i64(x, i));
        break;
    case 'U':
        snprintf(text, sizeof text, "%llu", (unsigned long long)adze_tensor_get_i64(x, i));
        break;
    default: {
        const double v = adze_tensor_get_f64(x, i);
        if (isnan(v)) {
            snprintf(text, sizeof text, "nan");
            break;
        }
        if (isinf(v)) {
            snprintf(text, sizeof text, v < 0 ? "-inf" : "inf");
            break;
        }
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, v);
            const double back = strtod(text, NULL);
            if (x->dtype == ADZE_f64 ? back == v : (float)back == (float)v)
                break;
        }
        if (!strpbrk(text, ".e"))
            strcat(text, ".0");
    }
    }
    return (adze_string){adze_arena_strdup(c->ctx->arena, text), strlen(text)};
}

static bool from_string(ref_call *c, const adze_string *s, adze_tensor *out, size_t i) {
    char text[128], *end;
    if (s->length >= sizeof text)
        return ref_fail(c, "a string of %zu characters is not a number", s->length);
    memcpy(text, s->data, s->length);
    text[s->length] = '\0';
    if (strchr("IU", ref_class(out->dtype)) && !strpbrk(text, ".eEnN")) {
        adze_tensor_set_i64(out, i,
                            text[0] == '-' ? (int64_t)strtoll(text, &end, 10)
                                           : (int64_t)strtoull(text, &end, 10));
    } else {
        ref_cast_f64(out, i, strtod(text, &end));
    }
    if (end == text || *end)
        return ref_fail(c, "'%s' is not a number", text);
    return true;
}

/* ---- cast ---- */

bool ref_cast(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (!ref_out_like(c, 0, x))
        return false;
    adze_tensor *y = &c->out[0];
    const char from = ref_class(x->dtype), to = ref_class(y->dtype);
    if (from == 'C' || to == 'C')
        return ref_fail(c, "complex numbers are not cast");
    const bool saturate = ref_bool(c, "saturate");
    const bool small = to == 'F' && adze_dtype_get(y->dtype)->bits <= 8;
    for (size_t i = 0, n = adze_tensor_count(x); i < n; i++) {
        if (from == 'S' && to == 'S') {
            ((adze_string *)adze_tensor_data(y))[i] = ((const adze_string *)x->data)[i];
        } else if (from == 'S') {
            if (!from_string(c, &((const adze_string *)x->data)[i], y, i))
                return false;
        } else if (to == 'S') {
            ((adze_string *)adze_tensor_data(y))[i] = to_string(c, x, i);
        } else if (small) {
            ((uint8_t *)adze_tensor_data(y))[i] =
                (uint8_t)adze_float_encode(y->dtype, adze_tensor_get_f64(x, i), saturate);
        } else if (from != 'F' && to == 'B') {
            adze_tensor_set_i64(y, i, adze_tensor_get_i64(x, i) != 0);
        } else if (from != 'F' && to != 'F') {
            adze_tensor_set_i64(y, i, adze_tensor_get_i64(x, i));
        } else if (x->dtype == ADZE_u64) {
            adze_tensor_set_f64(y, i, (double)(uint64_t)adze_tensor_get_i64(x, i));
        } else {
            ref_cast_f64(y, i, adze_tensor_get_f64(x, i));
        }
    }
    return true;
}

bool ref_bitcast(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (!ref_out_like(c, 0, x))
        return false;
    if (adze_dtype_get(x->dtype)->bits != adze_dtype_get(c->out[0].dtype)->bits ||
        x->dtype == ADZE_string)
        return ref_fail(c, "the types have different widths");
    memcpy(adze_tensor_data(&c->out[0]), x->data, adze_tensor_host_bytes(x));
    return true;
}

/* ---- quantize and dequantize ---- */

/* Scale and zero point of every element: from a !quant type, or from operands 1 and 2 (per tensor,
 * per axis, or per block of block_size along the axis). */
typedef struct scaling {
    bool quantized;
    adze_quant q;
    const adze_tensor *scale, *zero;
    int axis;
    int64_t block;
} scaling;

static bool read_scaling(ref_call *c, bool quantized, const adze_quant *q, scaling *s) {
    *s = (scaling){.quantized = quantized, .axis = -1};
    const adze_tensor *x = c->in[0];
    if (quantized) {
        s->q = *q;
        return true;
    }
    if (!ref_has(c, 1))
        return ref_fail(c, "there is neither a quantized type nor a scale");
    s->scale = c->in[1];
    s->zero = ref_has(c, 2) ? c->in[2] : NULL;
    s->block = ref_i64(c, "block_size");
    const size_t n = adze_tensor_count(s->scale);
    if (s->zero && adze_tensor_count(s->zero) != n)
        return ref_fail(c, "scale and zero point have different sizes");
    const int64_t axis = ref_i64(c, "axis");
    if (axis < 0) {
        if (n != 1)
            return ref_fail(c, "%zu scales, but no axis", n);
        return true;
    }
    if (!ref_axis(c, axis, x->rank, &s->axis))
        return false;
    if (s->block < 0)
        return ref_fail(c, "a negative block size");
    if (s->block == 0) {
        if (n == 1)
            s->axis = -1;
        else if (n != (size_t)x->dims[s->axis])
            return ref_fail(c, "%zu scales for %lld channels", n, (long long)x->dims[s->axis]);
        return true;
    }
    if (s->scale->rank != x->rank)
        return ref_fail(c, "blocked scales need the rank of x");
    for (int d = 0; d < x->rank; d++) {
        const int64_t want = d == s->axis ? (x->dims[d] + s->block - 1) / s->block : x->dims[d];
        if (s->scale->dims[d] != want)
            return ref_fail(c, "blocked scales do not fit x on axis %d", d);
    }
    return true;
}

static void scaling_at(const scaling *s, const adze_tensor *x, size_t i, double *scale,
                       int64_t *zero) {
    if (s->quantized) {
        const size_t ch = ref_channel(&s->q, x, i);
        *scale = s->q.scale[ch];
        *zero = s->q.zero_point[ch];
        return;
    }
    size_t at = 0;
    if (s->axis >= 0) {
        const size_t inner = ref_product(x->dims, s->axis + 1, x->rank);
        const size_t extent = (size_t)x->dims[s->axis];
        const size_t k = i / inner % extent;
        at = s->block == 0
                 ? k
                 : (i / (inner * extent) * (size_t)s->scale->dims[s->axis] + k / (size_t)s->block) *
                           inner +
                       i % inner;
    }
    *scale = adze_tensor_get_f64(s->scale, at);
    *zero = s->zero ? adze_tensor_get_i64(s->zero, at) : 0;
}

/* y = sat(zp + round_half_even(x / scale)); the quotient is rounded to f32 first (as ONNX's float
 * division is), except for f64. Float storage (f8, f4) takes the quotient plus the zero point. */
bool ref_quantize(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (!ref_out_like(c, 0, x))
        return false;
    adze_tensor *y = &c->out[0];
    adze_quant q;
    const bool quantized = ref_quant_out(c, 0, &q);
    scaling s;
    if (!read_scaling(c, quantized, &q, &s))
        return false;
    const bool to_float = ref_is_float(y);
    int64_t low = 0, high = 0;
    adze_integer_range(y->dtype, &low, &high);
    for (size_t i = 0, n = adze_tensor_count(x); i < n; i++) {
        double scale;
        int64_t zero;
        scaling_at(&s, x, i, &scale, &zero);
        double quotient = adze_tensor_get_f64(x, i) / scale;
        if (x->dtype != ADZE_f64)
            quotient = (float)quotient;
        if (to_float)
            ((uint8_t *)adze_tensor_data(y))[i] =
                (uint8_t)adze_float_encode(y->dtype, quotient + (double)zero, true);
        else
            adze_tensor_set_i64(y, i, adze_quantize_ref(quotient, zero, low, high));
    }
    return true;
}

bool ref_dequantize(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (!ref_out_like(c, 0, x))
        return false;
    adze_quant q;
    const bool quantized = ref_quant_in(c, 0, &q);
    scaling s;
    if (!read_scaling(c, quantized, &q, &s))
        return false;
    for (size_t i = 0, n = adze_tensor_count(x); i < n; i++) {
        double scale;
        int64_t zero;
        scaling_at(&s, x, i, &scale, &zero);
        adze_tensor_set_f64(&c->out[0], i, (adze_tensor_get_f64(x, i) - (double)zero) * scale);
    }
    return true;
}

/* ONNX DynamicQuantizeLinear, in f32 as it defines: scale = (max - min) / 255 over a range that
 * includes 0; zero point = sat(round(-min / scale)). */
bool ref_dynamic_quantize(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (!ref_out_like(c, 0, x) || !ref_out(c, 1, 0, NULL) || !ref_out(c, 2, 0, NULL))
        return false;
    const size_t n = adze_tensor_count(x);
    float low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        const float v = (float)adze_tensor_get_f64(x, i);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    const float scale = (high - low) / 255;
    const int64_t zero = scale == 0 ? 0 : adze_quantize_ref((float)(-low / scale), 0, 0, 255);
    for (size_t i = 0; i < n; i++) {
        const float quotient = scale == 0 ? 0 : (float)adze_tensor_get_f64(x, i) / scale;
        adze_tensor_set_i64(&c->out[0], i, adze_quantize_ref(quotient, zero, 0, 255));
    }
    adze_tensor_set_f64(&c->out[1], 0, scale);
    adze_tensor_set_i64(&c->out[2], 0, zero);
    return true;
}
