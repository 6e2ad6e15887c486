/* resize: each axis maps an output position o to an input position x(o), in one of six ways.
 *
 * Extents and scales are mostly known, so x(o) is a list of numbers here, at compile time. When a
 * small fraction gives the same list, (a * o + b) / d, the loops use integers: the base is the
 * quotient, the weight the remainder / d. Otherwise (odd scales, regions of interest that are data)
 * the loops compute x(o) in f64 by the definition. */
#include "codegen/gen_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEAREST, LINEAR, CUBIC };
static const char *const modes[] = {"nearest", "linear", "cubic"};

enum { HALF_PIXEL, HALF_SYMMETRIC, PYTORCH_HALF, ALIGN_CORNERS, ASYMMETRIC, CROP };
static const char *const coordinates[] = {"half_pixel",         "half_pixel_symmetric",
                                          "pytorch_half_pixel", "align_corners",
                                          "asymmetric",         "tf_crop_and_resize"};

enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };
static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};

typedef struct resize_axis {
    int axis;
    int64_t in, out; /* -1: bounded */
    MlirValue in_extent, out_extent;
    double scale, start, end;           /* start, end: region of interest */
    adze_scalar start_value, end_value; /* when they are data; else null */
    bool rational;
    int64_t a, b, d;
    int64_t crop_low, crop_high; /* positions in [low, high) lie inside x; rational only */
} resize_axis;

typedef struct resize {
    MlirOperation op;
    MlirValue x;
    adze_shape xs, ys;
    adze_dtype work;
    int mode, coordinate, nearest, n;
    bool exclude_outside, antialias;
    double coefficient;
    resize_axis axes[ADZE_MAX_RANK];
    const MlirValue *index;
} resize;

/* ---- positions known at compile time ---- */

static double original(int coordinate, const resize_axis *p, int64_t o) {
    double x = (double)o, in = (double)p->in, length = in * p->scale;
    switch (coordinate) {
    case HALF_SYMMETRIC:
        return in / 2 * (1 - (double)p->out / length) + (x + 0.5) / p->scale - 0.5;
    case PYTORCH_HALF:
        return length > 1 ? (x + 0.5) / p->scale - 0.5 : 0;
    case ALIGN_CORNERS:
        return length == 1 ? 0 : x * (in - 1) / (length - 1);
    case ASYMMETRIC:
        return x / p->scale;
    case CROP:
        return length > 1 ? p->start * (in - 1) + x * (p->end - p->start) * (in - 1) / (length - 1)
                          : 0.5 * (p->start + p->end) * (in - 1);
    default:
        return (x + 0.5) / p->scale - 0.5;
    }
}

static double nearest_of(int rule, double x) {
    return rule == PREFER_CEIL ? floor(x + 0.5)
           : rule == FLOOR     ? floor(x)
           : rule == CEIL      ? ceil(x)
                               : ceil(x - 0.5);
}

enum { MAX_DENOMINATOR = 4096 };

/* floor((a * o + b) / d) == x[o], whole numbers, for all o */
static bool fit_floor(const double *x, double slope, int64_t n, resize_axis *p) {
    for (p->d = 1; p->d <= MAX_DENOMINATOR; p->d++) {
        p->a = llround(slope * (double)p->d);
        double low = -1e9, high = 1e9;
        for (int64_t o = 0; o < n && low <= high; o++) {
            double least = (double)p->d * x[o] - (double)p->a * (double)o;
            low = fmax(low, least);
            high = fmin(high, least + (double)p->d - 1);
        }
        if (low > high)
            continue;
        p->b = (int64_t)(low <= 0 && high >= 0 ? 0 : low > 0 ? low : high);
        return true;
    }
    return false;
}

/* (a * o + b) / d == x[o] for all o, but for what no weight can show */
static bool fit_fraction(const double *x, double slope, int64_t n, resize_axis *p) {
    for (p->d = 1; p->d <= MAX_DENOMINATOR; p->d++) {
        p->a = llround(slope * (double)p->d);
        p->b = llround(x[0] * (double)p->d);
        bool fits = true;
        for (int64_t o = n - 1; o >= 0 && fits; o--)
            fits = fabs((double)(p->a * o + p->b) / (double)p->d - x[o]) < 1e-6;
        if (fits)
            return true;
    }
    return false;
}

static void fit(adze_gen *g, const resize *r, resize_axis *p) {
    if (p->in <= 0 || p->out <= 0 || p->start_value.value.ptr)
        return;
    int64_t n = p->out;
    double *x = ADZE_NEW_ARRAY(g->ctx->arena, double, (size_t)n);
    double limit = (double)(p->in - 1), farthest = 0;
    p->crop_high = n;
    bool inside_seen = false;
    for (int64_t o = 0; o < n; o++) {
        x[o] = original(r->coordinate, p, o);
        farthest = fmax(farthest, fabs(x[o]));
        bool inside = x[o] >= 0 && x[o] <= limit;
        if (!inside && !inside_seen)
            p->crop_low = o + 1;
        else if (!inside)
            p->crop_high = p->crop_high < o ? p->crop_high : o;
        inside_seen |= inside;
    }
    double slope = n > 1 ? (x[n - 1] - x[0]) / (double)(n - 1) : 0;
    if (!(slope >= 0) || !(farthest < 1e5)) /* the products must fit 32 bits */
        return;
    if (r->mode == NEAREST)
        for (int64_t o = 0; o < n; o++)
            x[o] = nearest_of(r->nearest, x[o]);
    p->rational = r->mode == NEAREST ? fit_floor(x, slope, n, p) : fit_fraction(x, slope, n, p);
}

/* ---- positions in the loops ---- */

/* (a * o + b) / d as quotient and remainder; the quotient may be negative, the remainder not. */
static void divide(adze_gen *g, const resize_axis *p, MlirValue o, MlirValue *quotient,
                   MlirValue *remainder) {
    int64_t lift = p->b < 0 ? (-p->b + p->d - 1) / p->d : 0; /* a >= 0: b is the least */
    MlirValue n = adze_index_add(g, adze_index_mul(g, o, adze_index(g, p->a)),
                                 adze_index(g, p->b + lift * p->d));
    MlirValue d = adze_index(g, p->d);
    *quotient = adze_index_sub(g, adze_index_div(g, n, d), adze_index(g, lift));
    if (remainder)
        *remainder = adze_index_rem(g, n, d);
}

/* x(o) in f64, as the definition computes it */
static adze_scalar position(adze_gen *g, const resize *r, const resize_axis *p, MlirValue o) {
    const adze_dtype t = ADZE_f64;
    adze_scalar x = adze_index_to(g, o, t), one = gn_num(g, t, 1), half = gn_num(g, t, 0.5);
    adze_scalar scale = gn_num(g, t, p->scale);
    adze_scalar in = p->in >= 0 ? gn_num(g, t, (double)p->in) : adze_index_to(g, p->in_extent, t);
    adze_scalar length = gn_mul(g, in, scale);
    adze_scalar centred = gn_sub(g, gn_div(g, gn_add(g, x, half), scale), half);
    adze_scalar none = gn_num(g, t, 0);
    switch (r->coordinate) {
    case HALF_SYMMETRIC: {
        adze_scalar out = adze_index_to(g, p->out_extent, t);
        adze_scalar adjust = gn_sub(g, one, gn_div(g, out, length));
        adze_scalar centre = gn_mul(g, gn_div(g, in, gn_num(g, t, 2)), adjust);
        return gn_sub(g, gn_add(g, centre, gn_div(g, gn_add(g, x, half), scale)), half);
    }
    case PYTORCH_HALF:
        return gn_select(g, gn_binary(g, "greater", length, one).value, centred, none);
    case ALIGN_CORNERS:
        return gn_select(g, gn_binary(g, "equal", length, one).value, none,
                         gn_div(g, gn_mul(g, x, gn_sub(g, in, one)), gn_sub(g, length, one)));
    case ASYMMETRIC:
        return gn_div(g, x, scale);
    case CROP: {
        bool data = p->start_value.value.ptr != NULL;
        adze_scalar start = data ? p->start_value : gn_num(g, t, p->start);
        adze_scalar end = data ? p->end_value : gn_num(g, t, p->end);
        adze_scalar last = gn_sub(g, in, one);
        adze_scalar run = gn_mul(g, gn_mul(g, x, gn_sub(g, end, start)), last);
        adze_scalar wide =
            gn_add(g, gn_mul(g, start, last), gn_div(g, run, gn_sub(g, length, one)));
        adze_scalar single = gn_mul(g, gn_mul(g, half, gn_add(g, start, end)), last);
        return gn_select(g, gn_binary(g, "greater", length, one).value, wide, single);
    }
    default:
        return centred;
    }
}

/* A whole number as an index; far away ones stay far away. */
static MlirValue whole_index(adze_gen *g, adze_scalar x) {
    x = gn_unary_p(g, "clip", (double[]){-1e9, 1e9}, x);
    return adze_index_from(g, gn_cast(g, x, ADZE_i32));
}

static MlirValue nearest_index(adze_gen *g, const resize *r, const resize_axis *p, MlirValue o) {
    MlirValue at;
    if (p->rational) {
        divide(g, p, o, &at, NULL);
        return at;
    }
    adze_scalar x = position(g, r, p, o), half = gn_num(g, ADZE_f64, 0.5);
    if (r->nearest == PREFER_CEIL)
        x = gn_add(g, x, half);
    else if (r->nearest == PREFER_FLOOR)
        x = gn_sub(g, x, half);
    return whole_index(
        g, gn_unary(g, r->nearest == PREFER_CEIL || r->nearest == FLOOR ? "floor" : "ceil", x));
}

/* x(o) = base + t, 0 <= t < 1; t in the working type, null when it is always 0 */
static void split_position(adze_gen *g, const resize *r, const resize_axis *p, MlirValue o,
                           MlirValue *base, adze_scalar *t) {
    *t = (adze_scalar){{NULL}, r->work};
    if (p->rational) {
        MlirValue rest;
        divide(g, p, o, base, &rest);
        if (p->d > 1)
            *t = gn_mul(g, adze_index_to(g, rest, r->work), gn_num(g, r->work, 1.0 / (double)p->d));
        return;
    }
    adze_scalar x = position(g, r, p, o), whole = gn_unary(g, "floor", x);
    *base = whole_index(g, whole);
    *t = gn_cast(g, gn_sub(g, x, whole), r->work);
}

/* Brought into x's axis; without a test where no position leaves it. `low` and `high` say how far
 * from the base the reads go. */
static MlirValue clamped(adze_gen *g, const resize_axis *p, MlirValue at, int64_t low,
                         int64_t high) {
    MlirValue zero = adze_index(g, 0);
    bool known = p->rational;
    if (p->in == 1)
        return zero;
    double first = floor((double)p->b / (double)(p->d ? p->d : 1));
    double last = floor((double)(p->a * (p->out - 1) + p->b) / (double)(p->d ? p->d : 1));
    if (!known || first + (double)low < 0)
        at = adze_index_max(g, at, zero);
    if (!known || last + (double)high > (double)(p->in - 1))
        at = adze_index_min(g, at, adze_index_sub(g, p->in_extent, adze_index(g, 1)));
    return at;
}

/* x interpolated along axes level .. n, at `at` on the others */
static bool sample(adze_gen *g, const resize *r, int level, MlirValue *at, adze_scalar *out) {
    if (level == r->n)
        return gn_read(g, r->x, at, r->work, out);
    const resize_axis *p = &r->axes[level];
    double stretch = r->antialias && p->scale < 1 ? p->scale : 1;
    adze_scalar t;
    MlirValue base, zero = adze_index(g, 0);
    split_position(g, r, p, r->index[p->axis], &base, &t);
    if (r->mode == LINEAR && stretch == 1 && !r->exclude_outside) {
        adze_scalar low, high;
        at[p->axis] = clamped(g, p, base, 0, 0);
        if (!sample(g, r, level + 1, at, &low))
            return false;
        *out = low;
        if (!t.value.ptr)
            return true;
        at[p->axis] = clamped(g, p, adze_index_add(g, base, adze_index(g, 1)), 1, 1);
        if (!sample(g, r, level + 1, at, &high))
            return false;
        adze_scalar rest = gn_sub(g, gn_num(g, r->work, 1), t);
        *out = gn_add(g, gn_mul(g, rest, low), gn_mul(g, t, high));
        return true;
    }
    /* taps base - reach + 1 .. base + reach; those beyond the filter weigh 0 */
    if (!t.value.ptr)
        t = gn_num(g, r->work, 0);
    int64_t reach = (int64_t)ceil((r->mode == LINEAR ? 1 : 2) / stretch);
    bool normalise = r->exclude_outside || stretch != 1;
    adze_scalar none = gn_num(g, r->work, 0), init[2] = {none, none}, next[2], v, w;
    gn_loop loop = gn_loop_begin(g, adze_arena_printf(g->ctx->arena, "tap%d", p->axis), zero,
                                 adze_index(g, 2 * reach), normalise ? 2 : 1, init,
                                 (const char *[]){"sum", "total"});
    MlirValue step = adze_index_sub(g, loop.iv, adze_index(g, reach - 1));
    MlirValue from = adze_index_add(g, base, step);
    adze_scalar distance = gn_unary(g, "abs", gn_sub(g, adze_index_to(g, step, r->work), t));
    if (stretch != 1)
        distance = gn_mul(g, distance, gn_num(g, r->work, stretch));
    w = r->mode == CUBIC ? gn_cubic_weight(g, distance, r->coefficient)
                         : gn_binary(g, "max", none, gn_sub(g, gn_num(g, r->work, 1), distance));
    if (r->exclude_outside)
        w = gn_select(g, gn_inside(g, from, p->in_extent), w, none);
    at[p->axis] = clamped(g, p, from, 1 - reach, reach);
    if (!sample(g, r, level + 1, at, &v))
        return false;
    next[0] = gn_add(g, loop.carried[0], gn_mul(g, w, v));
    if (normalise)
        next[1] = gn_add(g, loop.carried[1], w);
    gn_loop_end(g, &loop, next, next);
    *out = next[0];
    if (normalise)
        *out = gn_select(g, gn_binary(g, "equal", next[1], none).value, next[0],
                         gn_div(g, next[0], next[1]));
    return true;
}

/* Whether o lies outside x on some axis: i1, null when it never does. */
static MlirValue cropped(adze_gen *g, const resize *r) {
    MlirValue all = {NULL};
    for (int i = 0; i < r->n; i++) {
        const resize_axis *p = &r->axes[i];
        MlirValue o = r->index[p->axis], outside[2] = {{NULL}, {NULL}};
        if (p->rational) {
            if (p->crop_low > 0)
                outside[0] = adze_index_cmp(g, "lt", o, adze_index(g, p->crop_low));
            if (p->crop_high < p->out)
                outside[1] = adze_index_cmp(g, "ge", o, adze_index(g, p->crop_high));
        } else {
            adze_scalar x = position(g, r, p, o);
            adze_scalar last =
                adze_index_to(g, adze_index_sub(g, p->in_extent, adze_index(g, 1)), ADZE_f64);
            outside[0] = gn_binary(g, "less", x, gn_num(g, ADZE_f64, 0)).value;
            outside[1] = gn_binary(g, "greater", x, last).value;
        }
        for (int k = 0; k < 2; k++)
            if (outside[k].ptr)
                all = all.ptr ? gn_or(g, all, outside[k]) : outside[k];
    }
    return all;
}

/* The region of interest of one axis: numbers when it is constant, else scalars. */
static bool read_roi(adze_gen *g, resize *r, resize_axis *p) {
    MlirValue roi = mlirOperationGetOperand(r->op, 1);
    adze_tensor known;
    if (adze_is_none(roi))
        return true;
    if (adze_constant_value(g->ctx, g->module, roi, &known)) {
        if (adze_tensor_count(&known) != 2 * (size_t)r->xs.rank)
            return gn_fail(g, r->op, "roi does not have %d numbers", 2 * r->xs.rank);
        p->start = adze_tensor_get_f64(&known, (size_t)p->axis);
        p->end = adze_tensor_get_f64(&known, (size_t)(p->axis + r->xs.rank));
        return true;
    }
    MlirValue first = adze_index(g, p->axis), second = adze_index(g, p->axis + r->xs.rank);
    return gn_read(g, roi, &first, ADZE_f64, &p->start_value) &&
           gn_read(g, roi, &second, ADZE_f64, &p->end_value);
}

static bool read_attributes(adze_gen *g, MlirOperation op, const MlirValue *index, resize *r) {
    double scales[ADZE_MAX_RANK];
    MlirValue y;
    *r = (resize){.op = op,
                  .index = index,
                  .exclude_outside = adze_get_bool(op, "exclude_outside"),
                  .antialias = adze_get_bool(op, "antialias"),
                  .coefficient = adze_get_f64(op, "cubic_coeff")};
    if (!gn_operand(g, op, 0, &r->x, &r->xs) || !gn_result(g, op, 0, &y, &r->ys) ||
        (r->mode = gn_choice(g, op, "mode", 3, modes)) < 0 ||
        (r->coordinate = gn_choice(g, op, "coordinates", 6, coordinates)) < 0 ||
        (r->mode == NEAREST && (r->nearest = gn_choice(g, op, "nearest", 4, nearests)) < 0))
        return false;
    if (r->xs.rank != r->ys.rank ||
        adze_get_f64s(op, "scales", ADZE_MAX_RANK, scales) != r->xs.rank)
        return gn_fail(g, op, "scales or the result do not fit x");
    r->work = gn_is_float(r->xs.dtype) ? gn_compute(r->xs.dtype) : ADZE_f64;
    for (int d = 0; d < r->xs.rank; d++) {
        resize_axis *p = &r->axes[r->n];
        *p = (resize_axis){.axis = d,
                           .in = r->xs.dims[d],
                           .out = r->ys.dims[d],
                           .scale = scales[d],
                           .end = 1,
                           .in_extent = adze_extent(g, r->x, d),
                           .out_extent = adze_extent(g, y, d)};
        if (!(p->scale > 0))
            return gn_fail(g, op, "a scale of %g", p->scale);
        if (r->coordinate == CROP && !read_roi(g, r, p))
            return false;
        bool whole = !p->start_value.value.ptr && p->start == 0 && p->end == 1;
        if (p->scale == 1 && p->in == p->out && whole)
            continue;
        fit(g, r, p);
        r->n++;
    }
    return true;
}

bool adze_read_resize(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                      MlirValue *out) {
    (void)which;
    resize r;
    if (!read_attributes(g, op, index, &r))
        return false;
    MlirValue at[ADZE_MAX_RANK];
    memcpy(at, index, (size_t)r.xs.rank * sizeof *at);
    if (r.mode == NEAREST) {
        for (int i = 0; i < r.n; i++) {
            const resize_axis *p = &r.axes[i];
            at[p->axis] = clamped(g, p, nearest_index(g, &r, p, index[p->axis]), 0, 0);
        }
        if (!adze_read_raw(g, r.x, at, out))
            return false;
    } else {
        adze_scalar v;
        if (!gn_need_number(g, op, &r.xs) || !sample(g, &r, 0, at, &v))
            return false;
        *out = gn_out(g, v, r.ys.dtype);
    }
    MlirValue outside = r.coordinate == CROP ? cropped(g, &r) : (MlirValue){NULL};
    if (outside.ptr) {
        if (!gn_need_number(g, op, &r.xs))
            return false;
        adze_scalar fill = gn_num(g, gn_compute(r.ys.dtype), adze_get_f64(op, "extrapolation"));
        *out = gn_index_select(g, outside, gn_out(g, fill, r.ys.dtype), *out);
    }
    return true;
}
