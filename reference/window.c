/* Windows over spatial axes: pool, max_unpool, col2im, roi_align. */
#include "reference/internal.h"

#include "ir/window.h"

#include <math.h>
#include <string.h>

enum { POOL_MAX, POOL_AVERAGE, POOL_LP };

/* What one window gave. `count` is the divisor of an average, `best` the place of a maximum. */
typedef struct window {
    double value;
    int64_t count, best;
} window;

typedef struct pool_shape {
    int kind, n;
    adze_window_axes at;
    int64_t channels;
    bool include_pad;
    int64_t p;
    int64_t in[ADZE_MAX_RANK], kernel[2 * ADZE_MAX_RANK], strides[2 * ADZE_MAX_RANK];
    int64_t dilations[2 * ADZE_MAX_RANK], pads[2 * ADZE_MAX_RANK];
} pool_shape;

/* The taps [*low, *high) of axis `d` whose elements are inside; *padded of all are inside or in the
 * pads. Elements beyond the pads (a ceil-mode window that hangs over) never count. */
static void clip(const pool_shape *s, int d, int64_t at, int64_t *low, int64_t *high,
                 int64_t *padded) {
    const int64_t first = at * s->strides[d] - s->pads[d], step = s->dilations[d];
    const int64_t ends[3] = {0, s->in[d], s->in[d] + s->pads[d + s->n]};
    int64_t *below[3] = {low, high, padded};
    for (int i = 0; i < 3; i++) {
        const int64_t n = first >= ends[i] ? 0 : (ends[i] - first - 1) / step + 1;
        *below[i] = n < s->kernel[d] ? n : s->kernel[d];
    }
}

/* `plane`: the elements of one channel, side by side, or `channels` apart when these are last.
 * Only the taps that meet an element are visited: a kernel may be far larger than its input. Those
 * in the pads count in an average with count_include_pad. */
static window pool_one(const pool_shape *s, const double *plane, const int64_t *at) {
    window w = {.value = s->kind == POOL_MAX ? -INFINITY : 0, .best = -1};
    int64_t tap[ADZE_MAX_RANK] = {0}, low[ADZE_MAX_RANK], taps[ADZE_MAX_RANK];
    int64_t inside = 1, padded = 1;
    for (int d = 0; d < s->n; d++) {
        int64_t high, with_pads;
        clip(s, d, at[d], &low[d], &high, &with_pads);
        taps[d] = high > low[d] ? high - low[d] : 0;
        inside *= taps[d];
        if (__builtin_mul_overflow(padded, with_pads, &padded))
            padded = INT64_MAX;
    }
    w.count = s->include_pad ? padded : inside;
    if (!inside)
        return w;
    do {
        int64_t from = 0;
        for (int d = 0; d < s->n; d++)
            from = from * s->in[d] + at[d] * s->strides[d] + (low[d] + tap[d]) * s->dilations[d] -
                   s->pads[d];
        const double v = plane[s->at.last ? from * s->channels : from];
        if (s->kind == POOL_AVERAGE) {
            w.value += v;
        } else if (s->kind == POOL_LP) {
            w.value += pow(fabs(v), (double)s->p);
        } else if (w.best < 0 || v > w.value || (isnan(v) && !isnan(w.value))) {
            w.value = v;
            w.best = from;
        }
    } while (ref_next(s->n, taps, tap));
    return w;
}

/* The work of all windows: along each axis the taps that meet an element, summed. */
static bool charge_pool(ref_call *c, const pool_shape *s) {
    const adze_tensor *y = &c->out[0];
    double work = (double)y->dims[0] * (double)s->channels * (s->kind == POOL_LP ? 32 : 2);
    for (int d = 0; d < s->n; d++) {
        double taps = 0;
        for (int64_t o = 0; o < y->dims[s->at.spatial + d]; o++) {
            int64_t low, high, padded;
            clip(s, d, o, &low, &high, &padded);
            taps += (double)(high > low ? high - low : 0);
        }
        work *= taps;
    }
    return ref_charge(c, work);
}

/* The flat index with the first spatial axis fastest, of a row-major one. */
static int64_t column_major(const pool_shape *s, int64_t flat) {
    int64_t result = 0, stride[ADZE_MAX_RANK], step = 1;
    for (int d = 0; d < s->n; d++) {
        stride[d] = step;
        step *= s->in[d];
    }
    for (int d = s->n - 1; d >= 0; d--) {
        result += flat % s->in[d] * stride[d];
        flat /= s->in[d];
    }
    return result;
}

static bool read_pool(ref_call *c, pool_shape *s) {
    static const char *const kinds[] = {"max", "average", "lp"};
    const adze_tensor *x = c->in[0];
    *s = (pool_shape){.n = x->rank - 2,
                      .kind = ref_choice(c, "kind", kinds, 3),
                      .at = adze_window_axes_of(c->op, x->rank),
                      .include_pad = ref_bool(c, "count_include_pad"),
                      .p = ref_i64(c, "p")};
    if (s->kind < 0)
        return false;
    if (s->n < 1)
        return ref_fail(c, "x has rank %d", x->rank);
    s->channels = x->dims[s->at.channel];
    if (!ref_window_attr(c, "kernel", s->n, s->kernel) ||
        !ref_window_attr(c, "strides", s->n, s->strides) ||
        !ref_window_attr(c, "dilations", s->n, s->dilations) ||
        !ref_window_attr(c, "pads", 2 * s->n, s->pads))
        return false;
    for (int d = 0; d < s->n; d++) {
        s->in[d] = x->dims[s->at.spatial + d];
        if (s->kernel[d] < 1 || s->strides[d] < 1 || s->dilations[d] < 1)
            return ref_fail(c, "a kernel, stride or dilation below 1");
    }
    return true;
}

/* The result's extents; a bounded spatial one follows from the window (no ceil mode). */
static bool pool_out(ref_call *c, const pool_shape *s) {
    const adze_tensor *x = c->in[0];
    adze_shape type;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type) || type.rank != x->rank)
        return ref_fail(c, "the result does not have the rank of x");
    int64_t dims[ADZE_MAX_RANK] = {x->dims[0]};
    dims[s->at.channel] = s->channels;
    for (int d = 0; d < s->n; d++) {
        const int to = s->at.spatial + d;
        dims[to] = type.dims[to];
        if (dims[to] >= 0)
            continue;
        const int64_t room =
            s->in[d] + s->pads[d] + s->pads[d + s->n] - (s->kernel[d] - 1) * s->dilations[d] - 1;
        dims[to] = room < 0 ? 0 : room / s->strides[d] + 1;
    }
    return ref_out(c, 0, x->rank, dims) &&
           (!ref_wanted(c, 1) || ref_out(c, 1, x->rank, c->out[0].dims));
}

bool ref_pool(ref_call *c) {
    pool_shape s;
    if (!read_pool(c, &s) || !pool_out(c, &s) || !charge_pool(c, &s))
        return false;
    const adze_tensor *x = c->in[0];
    adze_tensor *y = &c->out[0];
    const size_t plane = ref_product(s.in, 0, s.n), n_out = adze_tensor_count(y);
    const size_t y_plane = ref_product(y->dims, s.at.spatial, s.at.spatial + s.n);
    const bool quantized = ref_any_quant(c);
    const bool average = s.kind == POOL_AVERAGE;
    const bool column = ref_bool(c, "column_major");
    const double *values = quantized && average ? ref_centred(c, 0)
                           : s.kind == POOL_LP  ? ref_reals(c, 0)
                                                : ref_f64s(c, x);
    double *out = ref_alloc(c, n_out, sizeof *out);
    int64_t *counts = ref_alloc(c, n_out, sizeof *counts);
    int64_t *best = ref_alloc(c, n_out, sizeof *best);
    int64_t at[ADZE_MAX_RANK] = {0};
    const size_t channels = (size_t)s.channels;
    for (size_t i = 0; i < n_out; i++) {
        const size_t base = s.at.last ? i / channels / y_plane * plane * channels + i % channels
                                      : i / y_plane * plane;
        const window w = pool_one(&s, values + base, at);
        if (!s.at.last || (i + 1) % channels == 0)
            ref_next(s.n, y->dims + s.at.spatial, at);
        counts[i] = w.count;
        best[i] = w.best < 0 ? -1 : (int64_t)base + w.best * (s.at.last ? s.channels : 1);
        out[i] = s.kind == POOL_LP ? pow(w.value, 1.0 / (double)s.p) : w.value;
        if (average && !quantized)
            out[i] /= (double)w.count;
        if (ref_wanted(c, 1))
            adze_tensor_set_i64(&c->out[1], i,
                                (int64_t)base +
                                    (column && w.best >= 0 ? column_major(&s, w.best) : w.best));
    }
    if (quantized && average)
        return ref_quantized_mean(c, out, counts);
    if (s.kind == POOL_MAX) { /* the elements themselves, exact for every type */
        if (!ref_move(c, 0, best))
            return false;
        for (size_t i = 0; i < n_out; i++) {
            int64_t low, high;
            adze_integer_range(y->dtype, &low, &high);
            if (best[i] < 0 && ref_is_float(y))
                adze_tensor_set_f64(y, i, -INFINITY);
            else if (best[i] < 0)
                adze_tensor_set_i64(y, i, low);
        }
        return true;
    }
    ref_put_reals(c, 0, out);
    return true;
}

bool ref_max_unpool(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (!ref_out(c, 0, x->rank, NULL))
        return false;
    if (adze_tensor_count(c->in[1]) != adze_tensor_count(x))
        return ref_fail(c, "there is not one index for every element");
    const size_t n = adze_tensor_count(&c->out[0]);
    int64_t *map = ref_alloc(c, n, sizeof *map);
    for (size_t i = 0; i < n; i++)
        map[i] = -1;
    for (size_t i = 0; i < adze_tensor_count(x); i++) {
        const int64_t to = adze_tensor_get_i64(c->in[1], i);
        if (to < 0 || (size_t)to >= n)
            return ref_fail(c, "index %lld is outside the result", (long long)to);
        map[to] = (int64_t)i;
    }
    return ref_move(c, 0, map);
}

/* x [N, C * prod(block), L] -> y [N, C, *image]: overlapping blocks are summed. */
bool ref_col2im(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int64_t block[2 * ADZE_MAX_RANK], strides[2 * ADZE_MAX_RANK], pads[2 * ADZE_MAX_RANK];
    int64_t dilations[2 * ADZE_MAX_RANK], blocks[ADZE_MAX_RANK];
    if (x->rank != 3 || !ref_out(c, 0, 0, NULL))
        return x->rank == 3 ? false : ref_fail(c, "x has rank %d", x->rank);
    const adze_tensor *y = &c->out[0];
    const int n = y->rank - 2;
    if (n < 1 || !ref_window_attr(c, "block", n, block) ||
        !ref_window_attr(c, "strides", n, strides) ||
        !ref_window_attr(c, "dilations", n, dilations) || !ref_window_attr(c, "pads", 2 * n, pads))
        return n < 1 ? ref_fail(c, "the result has no spatial axes") : false;
    size_t n_blocks = 1;
    for (int d = 0; d < n; d++) {
        if (block[d] < 1 || strides[d] < 1 || dilations[d] < 1)
            return ref_fail(c, "a block, stride or dilation below 1");
        blocks[d] = (y->dims[d + 2] + pads[d] + pads[d + n] - dilations[d] * (block[d] - 1) - 1) /
                        strides[d] +
                    1;
        n_blocks *= (size_t)(blocks[d] > 0 ? blocks[d] : 0);
    }
    const size_t taps = ref_product(block, 0, n);
    if (n_blocks != (size_t)x->dims[2] || y->dims[0] != x->dims[0] ||
        (size_t)y->dims[1] * taps != (size_t)x->dims[1])
        return ref_fail(c, "x does not hold the blocks of the result");
    const double *in = ref_reals(c, 0);
    double *out = ref_alloc(c, adze_tensor_count(y), sizeof *out);
    const size_t plane = ref_product(y->dims, 2, y->rank);
    size_t from = 0;
    for (size_t channel = 0; n_blocks && channel < (size_t)(y->dims[0] * y->dims[1]); channel++) {
        int64_t tap[ADZE_MAX_RANK] = {0};
        do {
            int64_t at[ADZE_MAX_RANK] = {0};
            do {
                int64_t to = 0;
                bool inside = true;
                for (int d = 0; d < n && inside; d++) {
                    const int64_t p = at[d] * strides[d] + tap[d] * dilations[d] - pads[d];
                    inside = p >= 0 && p < y->dims[d + 2];
                    to = to * y->dims[d + 2] + p;
                }
                if (inside)
                    out[channel * plane + (size_t)to] += in[from];
                from++;
            } while (ref_next(n, blocks, at));
        } while (ref_next(n, block, tap));
    }
    ref_put_reals(c, 0, out);
    return true;
}

/* The four neighbours of a bilinear sample and their weights; none outside by more than one. */
static bool corners(double y, double x, int64_t height, int64_t width, int64_t at[4], double w[4]) {
    if (y < -1 || y > (double)height || x < -1 || x > (double)width)
        return false;
    y = fmax(y, 0);
    x = fmax(x, 0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= height - 1) {
        y0 = y1 = height - 1;
        y = (double)y0;
    }
    if (x0 >= width - 1) {
        x0 = x1 = width - 1;
        x = (double)x0;
    }
    const double ly = y - (double)y0, lx = x - (double)x0;
    at[0] = y0 * width + x0, w[0] = (1 - ly) * (1 - lx);
    at[1] = y0 * width + x1, w[1] = (1 - ly) * lx;
    at[2] = y1 * width + x0, w[2] = ly * (1 - lx);
    at[3] = y1 * width + x1, w[3] = ly * lx;
    return true;
}

/* One bin: `sampling` points a side (0: as many as the bin has pixels). ONNX's max takes the
 * largest weighted corner, not the largest interpolated value. */
static double roi_bin(const double *plane, int64_t height, int64_t width, const double start[2],
                      const double bin[2], int64_t sampling, int64_t oi, int64_t oj, bool max) {
    const int64_t ny = sampling > 0 ? sampling : (int64_t)ceil(bin[0]);
    const int64_t nx = sampling > 0 ? sampling : (int64_t)ceil(bin[1]);
    double sum = 0, best = 0;
    bool any = false;
    for (int64_t i = 0; i < ny; i++)
        for (int64_t j = 0; j < nx; j++) {
            const double y =
                start[0] + (double)oi * bin[0] + ((double)i + 0.5) * bin[0] / (double)ny;
            const double x =
                start[1] + (double)oj * bin[1] + ((double)j + 0.5) * bin[1] / (double)nx;
            int64_t at[4] = {0};
            double w[4] = {0};
            corners(y, x, height, width, at, w);
            double most = -INFINITY;
            for (int k = 0; k < 4; k++) {
                const double v = w[k] * plane[at[k]];
                sum += v;
                most = fmax(most, v);
            }
            best = any ? fmax(best, most) : most;
            any = true;
        }
    const int64_t count = ny * nx > 1 ? ny * nx : 1;
    return max ? best : sum / (double)count;
}

bool ref_roi_align(ref_call *c) {
    static const char *const modes[] = {"avg", "max"};
    const adze_tensor *x = c->in[0], *rois = c->in[1];
    const int mode = ref_choice(c, "mode", modes, 2);
    if (mode < 0 || !ref_out(c, 0, 4, NULL))
        return false;
    adze_tensor *y = &c->out[0];
    if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 4 || y->rank != 4 ||
        y->dims[0] != rois->dims[0] || y->dims[1] != x->dims[1] ||
        adze_tensor_count(c->in[2]) != (size_t)rois->dims[0])
        return ref_fail(c, "x, rois and the result do not fit");
    const int64_t height = x->dims[2], width = x->dims[3], sampling = ref_i64(c, "sampling_ratio");
    if (height < 1 || width < 1)
        return ref_fail(c, "x is empty");
    const double scale = ref_f64(c, "spatial_scale");
    const bool half = ref_bool(c, "half_pixel");
    const double *in = ref_f64s(c, x), *r = ref_f64s(c, rois);
    size_t to = 0;
    for (int64_t k = 0; k < rois->dims[0]; k++, r += 4) {
        const int64_t batch = adze_tensor_get_i64(c->in[2], (size_t)k);
        if (batch < 0 || batch >= x->dims[0])
            return ref_fail(c, "batch index %lld is outside x", (long long)batch);
        const double shift = half ? 0.5 : 0;
        const double start[2] = {r[1] * scale - shift, r[0] * scale - shift};
        double extent[2] = {r[3] * scale - shift - start[0], r[2] * scale - shift - start[1]};
        if (!half)
            for (int d = 0; d < 2; d++)
                extent[d] = fmax(extent[d], 1);
        const double bin[2] = {extent[0] / (double)y->dims[2], extent[1] / (double)y->dims[3]};
        if (!(fabs(bin[0]) < 1e6 && fabs(bin[1]) < 1e6))
            return ref_fail(c, "region %lld is too large", (long long)k);
        const double samples =
            sampling > 0 ? (double)sampling * (double)sampling : fabs(bin[0] * bin[1]);
        if (!ref_charge(c, 16 * samples * (double)(y->dims[1] * y->dims[2] * y->dims[3])))
            return false;
        for (int64_t channel = 0; channel < x->dims[1]; channel++)
            for (int64_t i = 0; i < y->dims[2]; i++)
                for (int64_t j = 0; j < y->dims[3]; j++)
                    adze_tensor_set_f64(
                        y, to++,
                        roi_bin(in + (batch * x->dims[1] + channel) * height * width, height, width,
                                start, bin, sampling, i, j, mode == 1));
    }
    return true;
}
