/* Convolutions over any number of spatial axes: conv, conv_transpose, deform_conv (two axes). Inside, all
 * is channels first: operands and results of the other layout are turned round at the edges. */
#include "reference/internal.h"

#include "ir/window.h"

#include <math.h>
#include <string.h>

/* The attributes that all three share, checked, and the extents. */
typedef struct conv_shape {
    int n_spatial;
    adze_window_axes at;
    int64_t batch, channels, group;
    int64_t w_in, w_out; /* as the weight has them */
    int64_t in[ADZE_MAX_RANK], kernel[ADZE_MAX_RANK], out[ADZE_MAX_RANK];
    int64_t strides[2 * ADZE_MAX_RANK], dilations[2 * ADZE_MAX_RANK], pads[2 * ADZE_MAX_RANK];
} conv_shape;

static bool read_conv(ref_call *c, conv_shape *s) {
    const adze_tensor *x = c->in[0], *w = c->in[1];
    *s = (conv_shape){.n_spatial = x->rank - 2};
    if (s->n_spatial < 0 || w->rank != x->rank)
        return ref_fail(c, "x has rank %d and w rank %d", x->rank, w->rank);
    if (!ref_window_attr(c, "strides", s->n_spatial, s->strides) ||
        !ref_window_attr(c, "dilations", s->n_spatial, s->dilations) ||
        !ref_window_attr(c, "pads", 2 * s->n_spatial, s->pads))
        return false;
    s->at = adze_window_axes_of(c->op, x->rank);
    s->batch = x->dims[0];
    s->channels = x->dims[s->at.channel];
    s->w_in = w->dims[s->at.w_in];
    s->w_out = w->dims[s->at.w_out];
    s->group = ref_i64(c, "group");
    for (int d = 0; d < s->n_spatial; d++) {
        s->in[d] = x->dims[s->at.spatial + d];
        s->kernel[d] = w->dims[s->at.w_spatial + d];
        if (s->strides[d] < 1 || s->dilations[d] < 1)
            return ref_fail(c, "a stride or dilation below 1");
    }
    if (s->group < 1 || s->channels % s->group)
        return ref_fail(c, "%lld channels do not divide into %lld groups", (long long)s->channels,
                        (long long)s->group);
    return true;
}

/* [blocks, rows, columns] -> [blocks, columns, rows] when the layout is channels last, else `v` itself. */
static const double *turned(ref_call *c, const conv_shape *s, const double *v, size_t blocks,
                            size_t rows, size_t columns) {
    if (!s->at.last)
        return v;
    double *t = ref_alloc(c, blocks * rows * columns, sizeof *t);
    for (size_t b = 0, base = 0; b < blocks; b++, base += rows * columns)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++)
                t[base + j * rows + i] = v[base + i * columns + j];
    return t;
}

/* The output positions o in [*from, *to) of one axis whose input o * stride + offset is inside. */
static void valid_range(int64_t in, int64_t out, int64_t stride, int64_t offset, int64_t *from,
                        int64_t *to) {
    *from = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    *to = offset >= in ? 0 : (in - offset + stride - 1) / stride;
    if (*to > out)
        *to = out;
}

/* One output channel's plane += one input channel's plane convolved with one kernel. */
static void convolve_plane(const conv_shape *s, const double *x, const double *w, double *y) {
    const int last = s->n_spatial - 1;
    if (last < 0) {
        y[0] += x[0] * w[0];
        return;
    }
    int64_t tap[ADZE_MAX_RANK] = {0};
    const int64_t row = s->out[last];
    const size_t n_rows = ref_product(s->out, 0, last);
    size_t k = 0;
    do {
        const double weight = w[k++];
        int64_t from, to;
        const int64_t offset = tap[last] * s->dilations[last] - s->pads[last];
        valid_range(s->in[last], row, s->strides[last], offset, &from, &to);
        int64_t at[ADZE_MAX_RANK] = {0};
        for (size_t r = 0; r < n_rows; r++, ref_next(last, s->out, at)) {
            int64_t base = 0;
            bool inside = true;
            for (int d = 0; d < last && inside; d++) {
                const int64_t p = at[d] * s->strides[d] + tap[d] * s->dilations[d] - s->pads[d];
                inside = p >= 0 && p < s->in[d];
                base = base * s->in[d] + p;
            }
            if (!inside)
                continue;
            const double *in = x + base * s->in[last] + offset;
            double *out = y + r * (size_t)row;
            const int64_t stride = s->strides[last];
            if (stride == 1)
                for (int64_t o = from; o < to; o++)
                    out[o] += weight * in[o];
            else
                for (int64_t o = from; o < to; o++)
                    out[o] += weight * in[o * stride];
        }
    } while (ref_next(s->n_spatial, s->kernel, tap));
}

/* The taps of one input and one output channel: side by side, or, channels last, [taps, C/group] turned. */
static const double *own_taps(const conv_shape *s, const double *weights, int64_t o, int64_t i,
                              int64_t per_group, size_t taps, double *tap) {
    const double *own = weights + (size_t)o * (size_t)per_group * taps;
    if (!s->at.last)
        return own + (size_t)i * taps;
    for (size_t k = 0; k < taps; k++)
        tap[k] = own[k * (size_t)per_group + (size_t)i];
    return tap;
}

/* Stores sums [N, M, plane] in the result's layout. */
static bool store(ref_call *c, const conv_shape *s, const double *y, int64_t m, size_t plane) {
    const size_t count = adze_tensor_count(&c->out[0]);
    size_t *channel = ref_alloc(c, count, sizeof *channel);
    for (size_t i = 0; i < count; i++)
        channel[i] = s->at.last ? i % (size_t)m : i / plane % (size_t)m;
    return ref_store_accumulators(c, turned(c, s, y, (size_t)s->batch, (size_t)m, plane), channel);
}

bool ref_conv(ref_call *c) {
    conv_shape s;
    if (!read_conv(c, &s))
        return false;
    const int64_t m = s.w_out, per_group = s.channels / s.group;
    if (s.w_in != per_group || m % s.group)
        return ref_fail(c, "w, %lld by %lld channels, does not fit %lld channels in %lld groups",
                        (long long)m, (long long)s.w_in, (long long)s.channels,
                        (long long)s.group);
    int64_t dims[ADZE_MAX_RANK] = {s.batch};
    dims[s.at.channel] = m;
    for (int d = 0; d < s.n_spatial; d++) {
        const int64_t reach = (s.kernel[d] - 1) * s.dilations[d] + 1;
        const int64_t room = s.in[d] + s.pads[d] + s.pads[d + s.n_spatial] - reach;
        dims[s.at.spatial + d] = s.out[d] = room < 0 ? 0 : room / s.strides[d] + 1;
    }
    if (!ref_out(c, 0, s.n_spatial + 2, dims))
        return false;
    const size_t x_plane = ref_product(s.in, 0, s.n_spatial), count = adze_tensor_count(&c->out[0]);
    const size_t y_plane = ref_product(s.out, 0, s.n_spatial);
    const size_t taps = ref_product(s.kernel, 0, s.n_spatial);
    if (!ref_charge(c, (double)count * (double)per_group * (double)taps))
        return false;
    const double *x = turned(c, &s, ref_factor(c, 0), (size_t)s.batch, x_plane, (size_t)s.channels);
    const double *weights = turned(c, &s, ref_factor(c, 1), 1, taps * (size_t)per_group, (size_t)m);
    double *y = ref_alloc(c, count, sizeof *y);
    double *tap = ref_alloc(c, taps, sizeof *tap);
    if (y_plane && taps)
        for (int64_t n = 0; n < s.batch; n++)
            for (int64_t o = 0; o < m; o++)
                for (int64_t i = 0; i < per_group; i++) {
                    const int64_t channel = o / (m / s.group) * per_group + i;
                    convolve_plane(&s, x + (size_t)(n * s.channels + channel) * x_plane,
                                   own_taps(&s, weights, o, i, per_group, taps, tap),
                                   y + (size_t)(n * m + o) * y_plane);
                }
    adze_quant q;
    if (ref_quant_in(c, 1, &q) && q.n > 1 && q.axis != s.at.w_out)
        return ref_fail(c, "w is quantized along an axis that is summed over");
    return store(c, &s, y, m, y_plane);
}

/* y[.., i * stride + k * dilation - pad, ..] += x[.., i, ..] * w[.., k, ..] */
static void spread_plane(const conv_shape *s, const double *x, const double *w, double *y) {
    int64_t at[ADZE_MAX_RANK] = {0};
    size_t i = 0;
    do {
        const double value = x[i++];
        int64_t tap[ADZE_MAX_RANK] = {0};
        size_t k = 0;
        do {
            int64_t to = 0;
            bool inside = true;
            for (int d = 0; d < s->n_spatial && inside; d++) {
                const int64_t p = at[d] * s->strides[d] + tap[d] * s->dilations[d] - s->pads[d];
                inside = p >= 0 && p < s->out[d];
                to = to * s->out[d] + p;
            }
            if (inside)
                y[to] += value * w[k];
            k++;
        } while (ref_next(s->n_spatial, s->kernel, tap));
    } while (ref_next(s->n_spatial, s->in, at));
}

bool ref_conv_transpose(ref_call *c) {
    conv_shape s;
    if (!read_conv(c, &s) || !ref_out(c, 0, s.n_spatial + 2, NULL))
        return false;
    adze_quant q;
    if (ref_quant_in(c, 1, &q) && q.n > 1)
        return ref_fail(c, "w may only be quantized per tensor");
    const adze_tensor *out = &c->out[0];
    const int64_t m_group = s.w_out, m = m_group * s.group, per_group = s.channels / s.group;
    if (s.w_in != s.channels || out->rank != s.n_spatial + 2 || out->dims[0] != s.batch ||
        out->dims[s.at.channel] != m)
        return ref_fail(c, "w does not fit x and the result");
    memcpy(s.out, out->dims + s.at.spatial, (size_t)s.n_spatial * sizeof(int64_t));
    const size_t x_plane = ref_product(s.in, 0, s.n_spatial);
    const size_t y_plane = ref_product(s.out, 0, s.n_spatial);
    const size_t taps = ref_product(s.kernel, 0, s.n_spatial);
    if (!ref_charge(c, (double)adze_tensor_count(c->in[0]) * (double)m_group * (double)taps))
        return false;
    const double *x = turned(c, &s, ref_factor(c, 0), (size_t)s.batch, x_plane, (size_t)s.channels);
    const double *weights =
        turned(c, &s, ref_factor(c, 1), 1, taps, (size_t)(s.channels * m_group));
    double *y = ref_alloc(c, adze_tensor_count(out), sizeof *y);
    if (x_plane && taps && y_plane)
        for (int64_t n = 0; n < s.batch; n++)
            for (int64_t i = 0; i < s.channels; i++)
                for (int64_t o = 0; o < m_group; o++)
                    spread_plane(&s, x + (size_t)(n * s.channels + i) * x_plane,
                                 weights + (size_t)(i * m_group + o) * taps,
                                 y + (size_t)(n * m + i / per_group * m_group + o) * y_plane);
    return store(c, &s, y, m, y_plane);
}

/* Bilinear sample of a plane, zero outside. */
static double sample(const double *plane, int64_t height, int64_t width, double y, double x) {
    const double y0 = floor(y), x0 = floor(x);
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        const double yk = y0 + (k >> 1), xk = x0 + (k & 1);
        if (yk < 0 || yk >= (double)height || xk < 0 || xk >= (double)width)
            continue;
        sum += plane[(int64_t)yk * width + (int64_t)xk] * (1 - fabs(y - yk)) * (1 - fabs(x - xk));
    }
    return sum;
}

bool ref_deform_conv(ref_call *c) {
    conv_shape s;
    if (!read_conv(c, &s))
        return false;
    if (s.n_spatial != 2 || ref_any_quant(c))
        return ref_fail(c, "is defined for two spatial axes of floats");
    const adze_tensor *w = c->in[1], *offset = c->in[2], *mask = ref_has(c, 4) ? c->in[4] : NULL;
    const int64_t m = w->dims[0], per_group = s.channels / s.group;
    const int64_t offset_group = ref_i64(c, "offset_group");
    const int64_t kh = s.kernel[0], kw = s.kernel[1];
    if (w->dims[1] != per_group || m % s.group || offset_group < 1 || s.channels % offset_group)
        return ref_fail(c, "w does not fit the channels and groups");
    int64_t dims[4] = {s.batch, m};
    for (int d = 0; d < 2; d++)
        dims[d + 2] = s.out[d] =
            (s.in[d] + s.pads[d] + s.pads[d + 2] - (s.kernel[d] - 1) * s.dilations[d] - 1) /
                s.strides[d] +
            1;
    if (!ref_out(c, 0, 4, dims) ||
        !ref_charge(c, 8.0 * (double)adze_tensor_count(&c->out[0]) * (double)per_group *
                           (double)kh * (double)kw))
        return false;
    const int64_t oh = s.out[0], ow = s.out[1];
    if (offset->rank != 4 || offset->dims[0] != s.batch ||
        offset->dims[1] != offset_group * kh * kw * 2 || offset->dims[2] != oh ||
        offset->dims[3] != ow)
        return ref_fail(c,
                        "offset does not have the shape [N, offset_group * kh * kw * 2, oh, ow]");
    if (mask &&
        (mask->rank != 4 || mask->dims[0] != s.batch || mask->dims[1] != offset_group * kh * kw ||
         mask->dims[2] != oh || mask->dims[3] != ow))
        return ref_fail(c, "mask does not have the shape [N, offset_group * kh * kw, oh, ow]");
    if (ref_has(c, 3) && adze_tensor_count(c->in[3]) != (size_t)m)
        return ref_fail(c, "bias does not have %lld elements", (long long)m);
    const double *x = ref_f64s(c, c->in[0]), *weights = ref_f64s(c, w),
                 *shift = ref_f64s(c, offset);
    const double *bias = ref_has(c, 3) ? ref_f64s(c, c->in[3]) : NULL;
    const double *gain = mask ? ref_f64s(c, mask) : NULL;
    double *y = ref_alloc(c, adze_tensor_count(&c->out[0]), sizeof *y);
    size_t to = 0;
    for (int64_t n = 0; n < s.batch; n++)
        for (int64_t o = 0; o < m; o++)
            for (int64_t i = 0; i < oh; i++)
                for (int64_t j = 0; j < ow; j++, to++) {
                    double sum = bias ? bias[o] : 0;
                    for (int64_t q = 0; q < per_group; q++) {
                        const int64_t channel = o / (m / s.group) * per_group + q;
                        const int64_t og = channel / (s.channels / offset_group);
                        for (int64_t k = 0; k < kh * kw; k++) {
                            const int64_t tap = (n * offset_group + og) * kh * kw + k;
                            const double *d = shift + ((2 * tap * oh + i) * ow + j);
                            const double py =
                                (double)(i * s.strides[0] - s.pads[0] + k / kw * s.dilations[0]) +
                                d[0];
                            const double px =
                                (double)(j * s.strides[1] - s.pads[1] + k % kw * s.dilations[1]) +
                                d[oh * ow];
                            const double v =
                                sample(x + (n * s.channels + channel) * s.in[0] * s.in[1], s.in[0],
                                       s.in[1], py, px);
                            sum += v * weights[(o * per_group + q) * kh * kw + k] *
                                   (gain ? gain[(tap * oh + i) * ow + j] : 1);
                        }
                    }
                    y[to] = sum;
                }
    ref_put_f64s(&c->out[0], y);
    return true;
}
