/* The quantized forms: docs/integer.md in code. Each row calls one of these when an operand or the
 * result has a !quant type. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

/* The int32 accumulator: exact below 2^31, wraps like the machine's beyond. */
static int64_t accumulator(double sum) { return (int32_t)(uint32_t)(uint64_t)(int64_t)sum; }

/* Bias of a contraction in accumulator units, one per channel: an i32 (plain, or quantized with
 * zero point 0: its integers) as it is; a float one round_half_even(bias / (sx * sw)). */
static bool integer_bias(ref_call *c, const adze_tensor *bias, const adze_quant *qx,
                         const adze_quant *qw, double *out) {
    const size_t n = adze_tensor_count(bias);
    adze_quant q;
    const bool quantized = ref_quant_in(c, 2, &q);
    for (size_t i = 0; i < n; i++) {
        const double scale = qx->scale[0] * qw->scale[qw->n > 1 ? i : 0];
        if (ref_is_float(bias)) {
            out[i] = rint(adze_tensor_get_f64(bias, i) / scale);
            continue;
        }
        out[i] = (double)adze_tensor_get_i64(bias, i);
        if (!quantized)
            continue;
        const size_t k = q.n > 1 ? i : 0;
        if (q.zero_point[k] != 0 || fabs(q.scale[k] / scale - 1) > 1e-4)
            return ref_fail(c, "the bias is not quantized with scale x * scale w and zero point 0");
    }
    return true;
}

bool ref_store_accumulators(ref_call *c, const double *acc, const size_t *channel) {
    adze_tensor *y = &c->out[0];
    const size_t n = adze_tensor_count(y);
    const adze_tensor *bias = ref_has(c, 2) ? c->in[2] : NULL;
    adze_quant qx, qw, qy;
    const bool quant_x = ref_quant_in(c, 0, &qx), quant_w = ref_quant_in(c, 1, &qw);
    const bool quant_y = ref_quant_out(c, 0, &qy);
    size_t channels = 1;
    for (size_t i = 0; channel && i < n; i++)
        if (channel[i] >= channels)
            channels = channel[i] + 1;
    if (bias && adze_tensor_count(bias) < channels)
        return ref_fail(c, "bias has %zu elements for %zu channels", adze_tensor_count(bias),
                        channels);
    if (!(quant_x && quant_w) && !quant_y) { /* real numbers, or plain integers */
        const double *b = bias ? ref_f64s(c, bias) : NULL;
        const bool integer = !ref_is_float(y);
        for (size_t i = 0; i < n; i++) {
            const double v = acc[i] + (b ? b[channel ? channel[i] : 0] : 0);
            if (integer)
                adze_tensor_set_i64(y, i, (int64_t)v);
            else
                adze_tensor_set_f64(y, i, v);
        }
        return true;
    }
    if (!quant_x || !quant_w)
        return ref_fail(c, "a quantized result needs quantized factors");
    if (qx.n != 1)
        return ref_fail(c, "the input is quantized per axis");
    if (qw.n != 1 && (size_t)qw.n < channels)
        return ref_fail(c, "the weight has %d scales for %zu channels", qw.n, channels);

    double *b = ref_alloc(c, bias ? adze_tensor_count(bias) : 1, sizeof *b);
    if (bias && !integer_bias(c, bias, &qx, &qw, b))
        return false;
    const bool real_bias = bias && ref_is_float(bias) && ref_is_float(y);
    const double *rb = real_bias ? ref_f64s(c, bias) : NULL;
    int64_t low, high;
    adze_integer_range(y->dtype, &low, &high);
    for (size_t i = 0; i < n; i++) {
        const size_t k = channel ? channel[i] : 0, kw = qw.n > 1 ? k : 0;
        const double factor = qx.scale[0] * qw.scale[kw];
        if (real_bias) {
            adze_tensor_set_f64(y, i, (double)accumulator(acc[i]) * factor + rb[k]);
            continue;
        }
        const int64_t a = accumulator(acc[i] + (bias ? b[k] : 0));
        if (quant_y) {
            const size_t ky = ref_channel(&qy, y, i);
            int32_t m, s;
            adze_requant_scale(factor / qy.scale[ky], &m, &s);
            adze_tensor_set_i64(y, i, adze_requantize_ref(a, m, s, qy.zero_point[ky], low, high));
        } else if (ref_is_float(y)) {
            adze_tensor_set_f64(y, i, (double)a * factor);
        } else {
            adze_tensor_set_i64(y, i, a);
        }
    }
    return true;
}

/* add, sub: y = sat(zy + round_half_even(((a - za) * ma +- (b - zb) * mb) / 2^s)), one shift for
 * both mul:      y = sat(zy + round_half_even((a - za) * (b - zb) * m / 2^s)), m / 2^s = sa * sb /
 * sy Everything else (a float operand or result, more than 16 bits, per-axis scales): in double. */
bool ref_quantized_binary(ref_call *c, const char *kind) {
    const adze_tensor *y = &c->out[0];
    const size_t n = adze_tensor_count(y);
    const size_t *map_a = ref_broadcast_map(c, c->in[0], y->rank, y->dims);
    const size_t *map_b = ref_broadcast_map(c, c->in[1], y->rank, y->dims);
    adze_quant qa, qb, qy;
    const bool integer = ref_quant_in(c, 0, &qa) && ref_quant_in(c, 1, &qb) &&
                         ref_quant_out(c, 0, &qy) && qa.n == 1 && qb.n == 1 && qy.n == 1 &&
                         adze_dtype_get(qa.storage)->bits <= 16 &&
                         adze_dtype_get(qb.storage)->bits <= 16;
    const bool mul = !strcmp(kind, "mul"), sub = !strcmp(kind, "sub");
    if (!integer) {
        const double *a = ref_reals(c, 0), *b = ref_reals(c, 1);
        double *v = ref_alloc(c, n, sizeof *v);
        for (size_t i = 0; i < n; i++) {
            const double p = a[ref_at(map_a, i)], q = b[ref_at(map_b, i)];
            v[i] = mul ? p * q : sub ? p - q : p + q;
        }
        ref_put_reals(c, 0, v);
        return true;
    }
    int32_t ma, mb = 0, s;
    if (mul)
        adze_requant_scale(qa.scale[0] * qb.scale[0] / qy.scale[0], &ma, &s);
    else
        adze_requant_pair(qa.scale[0] / qy.scale[0], qb.scale[0] / qy.scale[0], &ma, &mb, &s);
    int64_t low, high;
    adze_integer_range(y->dtype, &low, &high);
    for (size_t i = 0; i < n; i++) {
        const int64_t a = adze_tensor_get_i64(c->in[0], ref_at(map_a, i)) - qa.zero_point[0];
        const int64_t b = adze_tensor_get_i64(c->in[1], ref_at(map_b, i)) - qb.zero_point[0];
        const int64_t r = mul ? adze_requantize_ref(a * b, ma, s, qy.zero_point[0], low, high)
                              : adze_requantize_ref(a * ma + (sub ? -b : b) * mb, 1, s,
                                                    qy.zero_point[0], low, high);
        adze_tensor_set_i64(&c->out[0], i, r);
    }
    return true;
}

/* Average pools, reduce mean (count elements) and reduce sum (count 1):
 * y = sat(zy + round_half_even(sum * m / 2^s)), m / 2^s = sx / (sy * count): one multiplier a
 * count. */
bool ref_quantized_mean(ref_call *c, const double *sums, const int64_t *counts) {
    adze_tensor *y = &c->out[0];
    adze_quant qx, qy;
    if (!ref_quant_in(c, 0, &qx) || qx.n != 1)
        return ref_fail(c, "x must be quantized per tensor");
    const size_t n = adze_tensor_count(y);
    const bool quantized = ref_quant_out(c, 0, &qy);
    if (!quantized && !ref_is_float(y))
        return ref_fail(c, "the result must be quantized or float");
    int64_t low, high;
    adze_integer_range(y->dtype, &low, &high);
    for (size_t i = 0; i < n; i++) {
        if (!quantized) {
            adze_tensor_set_f64(y, i, sums[i] * qx.scale[0] / (double)counts[i]);
            continue;
        }
        const size_t k = ref_channel(&qy, y, i);
        int32_t m = 0, s = 0;
        if (counts[i])
            adze_requant_scale(qx.scale[0] / (qy.scale[k] * (double)counts[i]), &m, &s);
        adze_tensor_set_i64(
            y, i, adze_requantize_ref(accumulator(sums[i]), m, s, qy.zero_point[k], low, high));
    }
    return true;
}

/* Eight bits: t[d] = round_half_even(2^23 * exp(-d * sx)) with d = max - x, and
 * y = sat(zy + round_half_even(t / (sum * sy))), the quotient exact (adze_softmax_ref). */
bool ref_quantized_softmax(ref_call *c, int axis) {
    const adze_tensor *x = c->in[0];
    adze_tensor *y = &c->out[0];
    adze_quant qx, qy;
    if (!ref_quant_in(c, 0, &qx) || !ref_quant_out(c, 0, &qy) || qx.n != 1 || qy.n != 1 ||
        adze_dtype_get(qx.storage)->bits > 8)
        return ref_fail(
            c, "the integer form takes and gives values of eight bits, quantized per tensor");
    int32_t table[256];
    adze_softmax_table(qx.scale[0], table);
    int64_t low, high;
    adze_integer_range(y->dtype, &low, &high);
    const size_t n = (size_t)x->dims[axis], inner = ref_product(x->dims, axis + 1, x->rank);
    const size_t outer = ref_product(x->dims, 0, axis);
    for (size_t o = 0; n && o < outer * inner; o++) {
        const size_t base = o / inner * n * inner + o % inner;
        int64_t max = INT64_MIN, sum = 0;
        for (size_t i = 0; i < n; i++) {
            const int64_t v = adze_tensor_get_i64(x, base + i * inner);
            max = v > max ? v : max;
        }
        for (size_t i = 0; i < n; i++)
            sum += table[max - adze_tensor_get_i64(x, base + i * inner)];
        for (size_t i = 0; i < n; i++) {
            const int64_t t = table[max - adze_tensor_get_i64(x, base + i * inner)];
            adze_tensor_set_i64(y, base + i * inner,
                                adze_softmax_ref(t, sum, qy.scale[0], qy.zero_point[0], low, high));
        }
    }
    return true;
}

/* The same with its numbers given: what the passes make of softmax. The results are plain integers
 * or the storage of a quantized type. */
bool ref_softmax_codes(ref_call *c) {
    const adze_tensor *x = c->in[0], *table = c->in[1];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out_like(c, 0, x))
        return false;
    const int64_t m = ref_i64(c, "multiplier"), s = ref_i64(c, "shift"),
                  zero = ref_i64(c, "zero_point");
    const int64_t low = ref_i64(c, "low"), high = ref_i64(c, "high");
    if (adze_tensor_count(table) != 256 || s < 0 || s > 62)
        return ref_fail(c, "needs a table of 256 and a shift of 0 to 62");
    const int64_t *codes = ref_i64s(c, x), *t = ref_i64s(c, table);
    const size_t n = (size_t)x->dims[axis], inner = ref_product(x->dims, axis + 1, x->rank);
    const size_t outer = ref_product(x->dims, 0, axis);
    for (size_t o = 0; n && o < outer * inner; o++) {
        const size_t base = o / inner * n * inner + o % inner;
        int64_t max = INT64_MIN, sum = 0;
        for (size_t i = 0; i < n; i++)
            max = codes[base + i * inner] > max ? codes[base + i * inner] : max;
        for (size_t i = 0; i < n; i++) {
            const int64_t d = max - codes[base + i * inner];
            if (d > 255)
                return ref_fail(c, "the codes are wider than eight bits");
            sum += t[d];
        }
        for (size_t i = 0; i < n; i++) {
            int64_t y = zero;
            if (sum > 0 && sum <= INT64_MAX >> s)
                y += adze_round_divide(t[max - codes[base + i * inner]] * m, sum << s);
            adze_tensor_set_i64(&c->out[0], base + i * inner, y < low ? low : y > high ? high : y);
        }
    }
    return true;
}
