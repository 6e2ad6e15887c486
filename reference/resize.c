/* resize and grid_sample: sampling between elements.
 *
 * resize is separable: each axis has, for every output position, the input positions it reads and
 * their weights; the axes are applied one after the other, in double. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

enum { NEAREST, LINEAR, CUBIC };
static const char *const modes[] = {"nearest", "linear", "cubic"};

enum { HALF_PIXEL, HALF_SYMMETRIC, PYTORCH_HALF, ALIGN_CORNERS, ASYMMETRIC, CROP };
static const char *const coordinates[] = {"half_pixel",         "half_pixel_symmetric",
                                          "pytorch_half_pixel", "align_corners",
                                          "asymmetric",         "tf_crop_and_resize"};

enum { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };
static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};

/* Keys' cubic convolution, a = coefficient. */
static double cubic(double d, double a) {
    d = fabs(d);
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

typedef struct resize_axis {
    int64_t in, out;
    double scale, start, end; /* roi, crop mode only */
    int mode, coordinates, nearest;
    double coefficient;
    bool exclude_outside, antialias;
} resize_axis;

static double original(const resize_axis *a, int64_t o) {
    const double x = (double)o, in = (double)a->in, length = in * a->scale;
    switch (a->coordinates) {
    case HALF_SYMMETRIC: {
        const double adjust = (double)a->out / length, centre = in / 2;
        return centre * (1 - adjust) + (x + 0.5) / a->scale - 0.5;
    }
    case PYTORCH_HALF:
        return length > 1 ? (x + 0.5) / a->scale - 0.5 : 0;
    case ALIGN_CORNERS:
        return length == 1 ? 0 : x * (in - 1) / (length - 1);
    case ASYMMETRIC:
        return x / a->scale;
    case CROP:
        return length > 1 ? a->start * (in - 1) + x * (a->end - a->start) * (in - 1) / (length - 1)
                          : 0.5 * (a->start + a->end) * (in - 1);
    default:
        return (x + 0.5) / a->scale - 0.5;
    }
}

static int64_t nearest_of(int rule, double x) {
    switch (rule) {
    case ROUND_PREFER_CEIL:
        return (int64_t)floor(x + 0.5);
    case FLOOR:
        return (int64_t)floor(x);
    case CEIL:
        return (int64_t)ceil(x);
    default:
        return (int64_t)ceil(x - 0.5);
    }
}

static int64_t clamp_index(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* The positions [*first, *first + n) and weights behind original coordinate x; at most `max`. With
 * antialias a shrinking axis stretches the filter by 1 / scale. */
static int taps_of(const resize_axis *a, double x, int max, int64_t *first, double *w) {
    if (a->mode == NEAREST) {
        *first = nearest_of(a->nearest, x);
        w[0] = 1;
        return 1;
    }
    const double stretch = a->antialias && a->scale < 1 ? a->scale : 1;
    const double reach = (a->mode == LINEAR ? 1 : 2) / stretch;
    int64_t from = (int64_t)floor(x - reach) + 1, to = (int64_t)ceil(x + reach) - 1;
    if (a->mode == CUBIC && stretch == 1) { /* always four, also when x is a grid point */
        from = (int64_t)floor(x) - 1;
        to = from + 3;
    }
    if (to < from)
        to = from = (int64_t)floor(x);
    int n = 0;
    double sum = 0;
    for (int64_t p = from; p <= to && n < max; p++, n++) {
        const double d = ((double)p - x) * stretch;
        w[n] = a->mode == LINEAR ? fmax(0, 1 - fabs(d)) : cubic(d, a->coefficient);
        if (a->exclude_outside && (p < 0 || p >= a->in))
            w[n] = 0;
        sum += w[n];
    }
    if ((a->exclude_outside || stretch != 1) && sum != 0)
        for (int k = 0; k < n; k++)
            w[k] /= sum;
    *first = from;
    return n;
}

/* One axis of [outer, in, inner] -> [outer, out, inner]. */
static double *resize_one(ref_call *c, const resize_axis *a, const double *x, size_t outer,
                          size_t inner, double outside) {
    double *y = ref_alloc(c, outer * (size_t)a->out * inner, sizeof *y);
    const int max = 8 + (int)fmin(1e6, 4 * ceil(a->scale > 0 ? 1 / a->scale : 1));
    double *w = ref_alloc(c, (size_t)max, sizeof *w);
    for (int64_t o = 0; o < a->out; o++) {
        const double at = original(a, o);
        const bool cropped = a->coordinates == CROP && (at < 0 || at > (double)(a->in - 1));
        int64_t first;
        const int n = taps_of(a, at, max, &first, w);
        for (size_t b = 0; b < outer; b++)
            for (size_t i = 0; i < inner; i++) {
                double sum = 0;
                for (int k = 0; k < n; k++)
                    sum +=
                        w[k] *
                        x[(b * (size_t)a->in + (size_t)clamp_index(first + k, a->in)) * inner + i];
                y[(b * (size_t)a->out + (size_t)o) * inner + i] = cropped ? outside : sum;
            }
    }
    return y;
}

bool ref_resize(ref_call *c) {
    const adze_tensor *x = c->in[0];
    double scales[2 * ADZE_MAX_RANK];
    const int mode = ref_choice(c, "mode", modes, 3);
    const int coordinate = mode < 0 ? -1 : ref_choice(c, "coordinates", coordinates, 6);
    const int nearest = mode != NEAREST ? 0 : ref_choice(c, "nearest", nearests, 4);
    if (mode < 0 || coordinate < 0 || nearest < 0 ||
        !ref_f64s_attr(c, "scales", x->rank, scales, NULL))
        return false;
    int64_t dims[ADZE_MAX_RANK];
    adze_shape type;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type) || type.rank != x->rank)
        return ref_fail(c, "the result does not have the rank of x");
    for (int d = 0; d < x->rank; d++)
        dims[d] = type.dims[d] >= 0 ? type.dims[d] : (int64_t)floor((double)x->dims[d] * scales[d]);
    if (!ref_out(c, 0, x->rank, dims))
        return false;
    const adze_tensor *y = &c->out[0];
    const adze_tensor *roi = coordinate == CROP && ref_has(c, 1) ? c->in[1] : NULL;
    if (roi && adze_tensor_count(roi) != 2 * (size_t)x->rank)
        return ref_fail(c, "roi does not have %d numbers", 2 * x->rank);
    const double *v = ref_reals(c, 0);
    int64_t shape[ADZE_MAX_RANK];
    memcpy(shape, x->dims, sizeof shape);
    for (int d = 0; d < x->rank; d++) {
        if (!(scales[d] >= 1e-7 && scales[d] <= 1e7))
            return ref_fail(c, "a scale of %g", scales[d]);
        resize_axis a = {.in = x->dims[d],
                         .out = y->dims[d],
                         .scale = scales[d],
                         .end = 1,
                         .mode = mode,
                         .coordinates = coordinate,
                         .nearest = nearest,
                         .coefficient = ref_f64(c, "cubic_coeff"),
                         .exclude_outside = ref_bool(c, "exclude_outside"),
                         .antialias = ref_bool(c, "antialias")};
        if (roi) {
            a.start = adze_tensor_get_f64(roi, (size_t)d);
            a.end = adze_tensor_get_f64(roi, (size_t)(d + x->rank));
        }
        if (a.in == a.out && a.scale == 1 && (!roi || (a.start == 0 && a.end == 1)))
            continue;
        if (a.in == 0 && a.out > 0)
            return ref_fail(c, "axis %d is empty", d);
        v = resize_one(c, &a, v, ref_product(shape, 0, d), ref_product(shape, d + 1, x->rank),
                       ref_f64(c, "extrapolation"));
        shape[d] = a.out;
    }
    ref_put_reals(c, 0, v);
    return true;
}

/* ---- grid_sample ---- */

enum { ZEROS, BORDER, REFLECTION };

/* Reflects x between low and high, back and forth. */
static double reflect(double x, double low, double high) {
    const double span = high - low;
    if (span <= 0)
        return low;
    const double off = fmod(fabs(x - low), 2 * span);
    return low + (off <= span ? off : 2 * span - off);
}

/* A position on one axis after padding; -1: outside, zero. */
static int64_t pad_position(int64_t p, int64_t n, int padding, bool align) {
    if (p >= 0 && p < n)
        return p;
    if (padding == ZEROS)
        return -1;
    if (padding == BORDER)
        return p < 0 ? 0 : n - 1;
    const double r =
        align ? reflect((double)p, 0, (double)n - 1) : reflect((double)p, -0.5, (double)n - 0.5);
    return clamp_index((int64_t)rint(r), n);
}

bool ref_grid_sample(ref_call *c) {
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const adze_tensor *x = c->in[0], *grid = c->in[1];
    const int mode = ref_choice(c, "mode", modes, 3);
    const int padding = mode < 0 ? -1 : ref_choice(c, "padding", paddings, 3);
    const int n = x->rank - 2;
    if (padding < 0)
        return false;
    if (n < 1 || n > 8 || grid->rank != x->rank || grid->dims[0] != x->dims[0] ||
        grid->dims[grid->rank - 1] != n)
        return ref_fail(c, "the grid does not fit x");
    const bool align = ref_bool(c, "align_corners");
    int64_t dims[ADZE_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (int d = 0; d < n; d++)
        dims[2 + d] = grid->dims[1 + d];
    if (!ref_out(c, 0, x->rank, dims))
        return false;
    const double *in = ref_reals(c, 0), *g = ref_f64s(c, grid);
    const size_t plane = ref_product(x->dims, 2, x->rank), points = ref_product(dims, 2, x->rank);
    double *out = ref_alloc(c, adze_tensor_count(&c->out[0]), sizeof *out);
    const int taps = mode == NEAREST ? 1 : mode == LINEAR ? 2 : 4;
    const int64_t each[8] = {taps, taps, taps, taps, taps, taps, taps, taps};
    for (int64_t b = 0; plane && b < x->dims[0]; b++)
        for (size_t p = 0; p < points; p++) {
            int64_t first[8] = {0};
            double w[8][4] = {{0}};
            for (int d = 0; d < n; d++) {
                /* the grid's last axis holds x, y, z: the innermost axis first */
                const double e = g[((size_t)b * points + p) * (size_t)n + (size_t)(n - 1 - d)];
                const double size = (double)x->dims[2 + d];
                double at = align ? (e + 1) / 2 * (size - 1) : ((e + 1) * size - 1) / 2;
                if (!isfinite(at))
                    at = -1e9;
                /* linear and nearest pad the coordinate, cubic each position it reads */
                if (padding == BORDER && mode != CUBIC)
                    at = fmin(size - 1, fmax(0, at));
                if (padding == REFLECTION && mode != CUBIC) {
                    at = align ? reflect(at, 0, size - 1) : reflect(at, -0.5, size - 0.5);
                    at = fmin(size - 1, fmax(0, at));
                }
                at = fmin(1e9, fmax(-1e9, at));
                const double base = floor(at), t = at - base;
                first[d] = mode == NEAREST ? (int64_t)rint(at) : (int64_t)base - (mode == CUBIC);
                w[d][0] = mode == LINEAR ? 1 - t : 1;
                w[d][1] = t;
                for (int k = 0; mode == CUBIC && k < 4; k++)
                    w[d][k] = cubic(t + 1 - k, -0.75);
            }
            for (int64_t ch = 0; ch < x->dims[1]; ch++) {
                const double *from = in + (size_t)(b * x->dims[1] + ch) * plane;
                int64_t tap[ADZE_MAX_RANK] = {0};
                double sum = 0;
                do {
                    int64_t at = 0;
                    double weight = 1;
                    for (int d = 0; d < n && at >= 0; d++) {
                        const int64_t q =
                            pad_position(first[d] + tap[d], x->dims[2 + d], padding, align);
                        at = q < 0 ? -1 : at * x->dims[2 + d] + q;
                        weight *= w[d][tap[d]];
                    }
                    if (at >= 0)
                        sum += weight * from[at];
                } while (ref_next(n, each, tap));
                out[(size_t)(b * x->dims[1] + ch) * points + p] = sum;
            }
        }
    ref_put_reals(c, 0, out);
    return true;
}
