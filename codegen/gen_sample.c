/* Reads between elements, at positions that are data: grid_sample, roi_align, deform_conv; and
 * col2im, which sums what overlapping blocks say about an element.
 *
 * Positions are brought into a safe range before they become indices, so that neither NaN nor a
 * huge number reads outside a buffer. */
#include "codegen/gen_math.h"

#include <string.h>

enum { MAX_SPATIAL = 8 };

/* A whole number within +-1e9 as an index. */
static MlirValue whole_index(adze_gen *g, adze_scalar x) {
    return adze_index_from(g, gn_cast(g, x, ADZE_i32));
}

/* x where it is above low (and no NaN), then at most high. */
static adze_scalar confine(adze_gen *g, adze_scalar x, adze_scalar low, adze_scalar high) {
    x = gn_select(g, gn_binary(g, "greater", x, low).value, x, low);
    return gn_select(g, gn_binary(g, "less", x, high).value, x, high);
}

static adze_scalar extent_as(adze_gen *g, MlirValue extent, adze_dtype dtype) {
    int64_t known;
    return adze_index_known(extent, &known) ? gn_num(g, dtype, (double)known)
                                            : adze_index_to(g, extent, dtype);
}

/* ---- grid_sample ---- */

enum { NEAREST, LINEAR, CUBIC };
enum { ZEROS, BORDER, REFLECTION };

typedef struct grid {
    MlirOperation op;
    MlirValue x, grid;
    adze_shape xs, gs;
    adze_dtype work, place; /* of values; of positions */
    int n, mode, padding;
    bool align;
    MlirValue base[MAX_SPATIAL]; /* per spatial axis: the position's floor (nearest: itself) */
    adze_scalar t[MAX_SPATIAL];  /* and how far beyond */
} grid;

/* Reflected between low and high, back and forth. */
static adze_scalar reflect(adze_gen *g, adze_scalar x, adze_scalar low, adze_scalar high) {
    adze_scalar span = gn_sub(g, high, low), zero = gn_num(g, x.dtype, 0);
    adze_scalar twice = gn_mul(g, gn_num(g, x.dtype, 2), span);
    adze_scalar off = gn_binary(g, "fmod", gn_unary(g, "abs", gn_sub(g, x, low)), twice);
    MlirValue rising = gn_binary(g, "less_equal", off, span).value;
    adze_scalar y = gn_add(g, low, gn_select(g, rising, off, gn_sub(g, twice, off)));
    return gn_select(g, gn_binary(g, "less_equal", span, zero).value, low, y);
}

/* Where on spatial axis d the grid's number e points, padded for linear and nearest. */
static void grid_position(adze_gen *g, grid *s, int d, adze_scalar e) {
    adze_dtype t = s->place;
    adze_scalar one = gn_num(g, t, 1), two = gn_num(g, t, 2), zero = gn_num(g, t, 0), at;
    adze_scalar size = extent_as(g, adze_extent(g, s->x, 2 + d), t), last = gn_sub(g, size, one);
    adze_scalar up = gn_add(g, e, one);
    at = s->align ? gn_mul(g, gn_div(g, up, two), last)
                  : gn_div(g, gn_sub(g, gn_mul(g, up, size), one), two);
    adze_scalar far = gn_num(g, t, 1e9), minus_far = gn_num(g, t, -1e9);
    MlirValue infinite = gn_unary_p(g, "is_inf", (double[]){1, 1}, at).value;
    at = gn_select(g, gn_or(g, infinite, gn_unary(g, "is_nan", at).value), minus_far, at);
    if (s->mode != CUBIC && s->padding == REFLECTION) {
        adze_scalar edge = gn_num(g, t, -0.5);
        at = s->align ? reflect(g, at, zero, last)
                      : reflect(g, at, edge, gn_sub(g, size, gn_num(g, t, 0.5)));
    }
    at = s->mode != CUBIC && s->padding != ZEROS ? confine(g, at, zero, last)
                                                 : confine(g, at, minus_far, far);
    adze_scalar whole = gn_unary(g, s->mode == NEAREST ? "round" : "floor", at);
    s->base[d] = whole_index(g, whole);
    s->t[d] = gn_cast(g, gn_sub(g, at, whole), s->work);
}

/* An index on an axis, after padding; *inside (zeros only) says whether it lies in x. */
static MlirValue grid_index(adze_gen *g, const grid *s, int d, MlirValue p, MlirValue *inside) {
    MlirValue extent = adze_extent(g, s->x, 2 + d), zero = adze_index(g, 0), one = adze_index(g, 1);
    MlirValue last = adze_index_sub(g, extent, one);
    if (s->padding == ZEROS)
        *inside = gn_and(g, *inside, gn_inside(g, p, extent));
    if (s->padding == REFLECTION && s->mode == CUBIC) {
        /* of a whole number: period 2 (n - 1) about the centres, or 2 n about the edges */
        MlirValue minus = gn_index_neg(g, p);
        if (!s->align)
            minus = adze_index_sub(g, minus, one);
        MlirValue away = gn_index_select(g, adze_index_cmp(g, "lt", p, zero), minus, p);
        MlirValue span = s->align ? adze_index_max(g, last, one) : extent;
        MlirValue period = adze_index_mul(g, span, adze_index(g, 2));
        MlirValue off = adze_index_rem(g, away, period);
        MlirValue back = adze_index_sub(g, period, off);
        if (!s->align)
            back = adze_index_sub(g, back, one);
        p = gn_index_select(g, adze_index_cmp(g, s->align ? "le" : "lt", off, span), off, back);
    }
    return gn_index_clamp(g, p, zero, last);
}

static bool grid_sum(adze_gen *g, const grid *s, int d, MlirValue *at, MlirValue inside,
                     adze_scalar *out) {
    if (d == s->n) {
        if (!gn_read(g, s->x, at, s->work, out))
            return false;
        if (inside.ptr)
            *out = gn_select(g, inside, *out, gn_num(g, s->work, 0));
        return true;
    }
    MlirValue here = inside, next;
    adze_scalar low, high;
    if (s->mode != CUBIC) {
        at[2 + d] = grid_index(g, s, d, s->base[d], &here);
        if (!grid_sum(g, s, d + 1, at, here, &low))
            return false;
        *out = low;
        if (s->mode == NEAREST)
            return true;
        next = inside;
        at[2 + d] = grid_index(g, s, d, adze_index_add(g, s->base[d], adze_index(g, 1)), &next);
        if (!grid_sum(g, s, d + 1, at, next, &high))
            return false;
        adze_scalar rest = gn_sub(g, gn_num(g, s->work, 1), s->t[d]);
        *out = gn_add(g, gn_mul(g, rest, low), gn_mul(g, s->t[d], high));
        return true;
    }
    adze_scalar sum = gn_num(g, s->work, 0);
    gn_loop loop = gn_loop_begin(g, adze_arena_printf(g->ctx->arena, "tap%d", d), adze_index(g, 0),
                                 adze_index(g, 4), 1, &sum, (const char *[]){"sum"});
    MlirValue step = adze_index_sub(g, loop.iv, adze_index(g, 1));
    adze_scalar away = gn_unary(g, "abs", gn_sub(g, adze_index_to(g, step, s->work), s->t[d]));
    adze_scalar weight = gn_cubic_weight(g, away, -0.75);
    at[2 + d] = grid_index(g, s, d, adze_index_add(g, s->base[d], step), &here);
    if (!grid_sum(g, s, d + 1, at, here, &low))
        return false;
    low = gn_add(g, loop.carried[0], gn_mul(g, weight, low));
    gn_loop_end(g, &loop, &low, out);
    return true;
}

bool adze_read_grid_sample(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                           MlirValue *out) {
    (void)which;
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    grid s = {.op = op, .align = adze_get_bool(op, "align_corners")};
    if (!gn_operand(g, op, 0, &s.x, &s.xs) || !gn_operand(g, op, 1, &s.grid, &s.gs) ||
        (s.mode = gn_choice(g, op, "mode", 3, modes)) < 0 ||
        (s.padding = gn_choice(g, op, "padding", 3, paddings)) < 0 ||
        !gn_need_number(g, op, &s.xs) || !gn_need_float(g, op, &s.gs))
        return false;
    s.n = s.xs.rank - 2;
    if (s.n < 1 || s.n > MAX_SPATIAL || s.gs.rank != s.xs.rank || s.gs.dims[s.gs.rank - 1] != s.n ||
        gn_is_empty(&s.xs))
        return gn_fail(g, op, "the grid does not fit x");
    s.work = gn_is_float(s.xs.dtype) ? gn_compute(s.xs.dtype) : ADZE_f64;
    /* where a rounding decides between two elements, positions are exact */
    s.place = s.mode == NEAREST ? ADZE_f64 : gn_compute(s.gs.dtype);
    MlirValue from[ADZE_MAX_RANK], at[ADZE_MAX_RANK];
    from[0] = at[0] = index[0];
    at[1] = index[1];
    memcpy(from + 1, index + 2, (size_t)s.n * sizeof *from);
    for (int d = 0; d < s.n; d++) { /* the grid's last axis holds x, y, z: innermost first */
        adze_scalar e;
        from[s.gs.rank - 1] = adze_index(g, s.n - 1 - d);
        if (!gn_read(g, s.grid, from, s.place, &e))
            return false;
        grid_position(g, &s, d, e);
    }
    adze_scalar v;
    if (!grid_sum(g, &s, 0, at, (MlirValue){NULL}, &v))
        return false;
    *out = gn_out(g, v, s.xs.dtype);
    return true;
}

/* ---- roi_align ---- */

/* One axis of a bilinear read: y in [0, extent), the two neighbours and how far between them. */
typedef struct between {
    MlirValue low, high, inside; /* inside: -1 <= y <= extent */
    adze_scalar t;
} between;

static between roi_axis(adze_gen *g, adze_scalar y, MlirValue extent, adze_dtype work) {
    adze_scalar size = extent_as(g, extent, y.dtype);
    MlirValue above = gn_binary(g, "greater_equal", y, gn_num(g, y.dtype, -1)).value;
    between b = {.inside = gn_and(g, above, gn_binary(g, "less_equal", y, size).value)};
    y = confine(g, y, gn_num(g, y.dtype, 0), size);
    adze_scalar whole = gn_unary(g, "floor", y);
    MlirValue last = adze_index_sub(g, extent, adze_index(g, 1)), base = whole_index(g, whole);
    adze_scalar t = gn_cast(g, gn_sub(g, y, whole), work);
    b.t = gn_select(g, adze_index_cmp(g, "lt", base, last), t, gn_num(g, work, 0));
    b.low = adze_index_min(g, base, last);
    b.high = adze_index_min(g, adze_index_add(g, base, adze_index(g, 1)), last);
    return b;
}

typedef struct roi {
    MlirValue x;
    adze_dtype work;
    bool max;
    MlirValue batch, channel;
} roi;

/* The weighted corners, summed or their largest; all 0 outside. */
static bool roi_point(adze_gen *g, const roi *r, const between *y, const between *x,
                      adze_scalar *out) {
    adze_scalar one = gn_num(g, r->work, 1), zero = gn_num(g, r->work, 0), v;
    for (int k = 0; k < 4; k++) {
        MlirValue at[4] = {r->batch, r->channel, k & 2 ? y->high : y->low,
                           k & 1 ? x->high : x->low};
        adze_scalar wy = k & 2 ? y->t : gn_sub(g, one, y->t),
                    wx = k & 1 ? x->t : gn_sub(g, one, x->t);
        if (!gn_read(g, r->x, at, r->work, &v))
            return false;
        v = gn_mul(g, gn_mul(g, wy, wx), v);
        *out = !k ? v : gn_binary(g, r->max ? "max" : "add", *out, v);
    }
    *out = gn_select(g, gn_and(g, y->inside, x->inside), *out, zero);
    return true;
}

bool adze_read_roi_align(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                         MlirValue *out) {
    (void)which;
    static const char *const modes[] = {"avg", "max"};
    MlirValue rois, y;
    adze_shape xs, rs, ys;
    roi r = {.channel = index[1]};
    int mode = gn_choice(g, op, "mode", 2, modes);
    if (mode < 0 || !gn_operand(g, op, 0, &r.x, &xs) || !gn_operand(g, op, 1, &rois, &rs) ||
        !gn_result(g, op, 0, &y, &ys) || !gn_need_float(g, op, &xs) || !gn_need_float(g, op, &rs))
        return false;
    if (xs.rank != 4 || rs.rank != 2 || rs.dims[1] != 4 || ys.rank != 4 || gn_is_empty(&xs))
        return gn_fail(g, op, "x, rois and the result do not fit");
    r.max = mode == 1;
    r.work = gn_compute(xs.dtype);
    const adze_dtype place = ADZE_f64; /* how many points a bin has hangs on a rounding */
    adze_scalar batch;
    if (!adze_read(g, mlirOperationGetOperand(op, 2), index, &batch))
        return false;
    MlirValue zero = adze_index(g, 0), one = adze_index(g, 1);
    r.batch = gn_index_clamp(g, adze_index_from(g, batch), zero,
                             adze_index_sub(g, adze_extent(g, r.x, 0), one));
    bool half = adze_get_bool(op, "half_pixel");
    int64_t sampling = adze_get_i64(op, "sampling_ratio");
    adze_scalar shift = gn_num(g, place, half ? 0.5 : 0);
    adze_scalar scale = gn_num(g, place, adze_get_f64(op, "spatial_scale"));
    adze_scalar start[2], bin[2], points[2];
    MlirValue count[2];
    for (int d = 0; d < 2; d++) { /* rois hold x1 y1 x2 y2 */
        adze_scalar from, to;
        MlirValue low[2] = {index[0], adze_index(g, 1 - d)},
                  high[2] = {index[0], adze_index(g, 3 - d)};
        if (!gn_read(g, rois, low, place, &from) || !gn_read(g, rois, high, place, &to))
            return false;
        start[d] = gn_sub(g, gn_mul(g, from, scale), shift);
        adze_scalar size = gn_sub(g, gn_sub(g, gn_mul(g, to, scale), shift), start[d]);
        if (!half)
            size = gn_binary(g, "max", size, gn_num(g, place, 1));
        bin[d] = gn_div(g, size, extent_as(g, adze_extent(g, y, 2 + d), place));
        count[d] = adze_index(g, sampling);
        points[d] = gn_num(g, place, (double)sampling);
        if (sampling <= 0) {
            points[d] =
                confine(g, gn_unary(g, "ceil", bin[d]), gn_num(g, place, 0), gn_num(g, place, 1e6));
            count[d] = whole_index(g, points[d]);
        }
    }
    adze_scalar best = r.max ? adze_scalar_neutral(&g->b, "max", r.work) : gn_num(g, r.work, 0), v;
    const char *name = r.max ? "best" : "sum";
    between at[2];
    gn_loop loops[2];
    for (int d = 0; d < 2; d++) {
        loops[d] = gn_loop_begin(g, d ? "px" : "py", zero, count[d], 1, &best, &name);
        best = loops[d].carried[0];
        adze_scalar step = gn_add(g, adze_index_to(g, loops[d].iv, place), gn_num(g, place, 0.5));
        adze_scalar p =
            gn_add(g, start[d], gn_mul(g, adze_index_to(g, index[2 + d], place), bin[d]));
        p = gn_add(g, p, gn_div(g, gn_mul(g, step, bin[d]), points[d]));
        at[d] = roi_axis(g, p, adze_extent(g, r.x, 2 + d), r.work);
    }
    if (!roi_point(g, &r, &at[0], &at[1], &v))
        return false;
    best = gn_binary(g, r.max ? "max" : "add", best, v);
    for (int d = 1; d >= 0; d--)
        gn_loop_end(g, &loops[d], &best, &best);
    MlirValue total = adze_index_mul(g, count[0], count[1]);
    if (r.max)
        best = gn_select(g, adze_index_cmp(g, "gt", total, zero), best, gn_num(g, r.work, 0));
    else
        best = gn_div(g, best, extent_as(g, adze_index_max(g, total, one), r.work));
    *out = gn_out(g, best, ys.dtype);
    return true;
}

/* ---- deform_conv ---- */

/* x[.., py, px], bilinear, zero outside. at[0], at[1] are set. */
static bool bilinear(adze_gen *g, MlirValue x, adze_dtype work, const adze_scalar *place,
                     MlirValue *at, adze_scalar *out) {
    MlirValue base[2], extent[2];
    adze_scalar t[2], one = gn_num(g, work, 1), zero = gn_num(g, work, 0), v;
    for (int d = 0; d < 2; d++) {
        extent[d] = adze_extent(g, x, 2 + d);
        /* beyond these every neighbour is outside */
        adze_scalar high = extent_as(g, adze_index_add(g, extent[d], adze_index(g, 1)), work);
        adze_scalar p = confine(g, place[d], gn_num(g, work, -2), high);
        adze_scalar whole = gn_unary(g, "floor", p);
        base[d] = whole_index(g, whole);
        t[d] = gn_sub(g, p, whole);
    }
    *out = zero;
    for (int k = 0; k < 4; k++) {
        MlirValue inside = {NULL};
        adze_scalar weight = one;
        for (int d = 0; d < 2; d++) {
            bool far = d == 0 ? k & 2 : k & 1;
            MlirValue p = far ? adze_index_add(g, base[d], adze_index(g, 1)) : base[d];
            inside = gn_and(g, inside, gn_inside(g, p, extent[d]));
            at[2 + d] = gn_index_clamp(g, p, adze_index(g, 0),
                                       adze_index_sub(g, extent[d], adze_index(g, 1)));
            adze_scalar w = far ? t[d] : gn_sub(g, one, t[d]);
            weight = d ? gn_mul(g, weight, w) : w;
        }
        if (!gn_read(g, x, at, work, &v))
            return false;
        v = gn_select(g, inside, v, zero);
        *out = k ? gn_add(g, *out, gn_mul(g, weight, v)) : gn_mul(g, weight, v);
    }
    return true;
}

typedef struct deform {
    MlirValue x, w, offset, bias, mask;
    adze_shape xs, ws, os;
    int64_t strides[2], pads[4], dilations[2], group, offset_group;
} deform;

static bool read_deform(adze_gen *g, MlirOperation op, deform *c) {
    c->bias = mlirOperationGetOperand(op, 3);
    c->mask = mlirOperationGetOperand(op, 4);
    c->group = adze_get_i64(op, "group");
    c->offset_group = adze_get_i64(op, "offset_group");
    if (!gn_operand(g, op, 0, &c->x, &c->xs) || !gn_operand(g, op, 1, &c->w, &c->ws) ||
        !gn_operand(g, op, 2, &c->offset, &c->os) || !gn_need_float(g, op, &c->xs))
        return false;
    if (c->xs.rank != 4 || c->ws.rank != 4 || c->os.rank != 4 || gn_is_empty(&c->xs) ||
        adze_get_i64s(op, "strides", 2, c->strides) != 2 ||
        adze_get_i64s(op, "pads", 4, c->pads) != 4 ||
        adze_get_i64s(op, "dilations", 2, c->dilations) != 2)
        return gn_fail(g, op, "is defined for two spatial axes of floats");
    return (c->group > 0 && c->offset_group > 0 && c->xs.dims[1] % c->group == 0 &&
            c->xs.dims[1] % c->offset_group == 0 && c->ws.dims[0] % c->group == 0 &&
            c->ws.dims[1] == c->xs.dims[1] / c->group &&
            c->os.dims[1] == c->offset_group * c->ws.dims[2] * c->ws.dims[3] * 2) ||
           gn_fail(g, op, "w or offset does not fit the channels and groups");
}

/* y[n, m, i, j] = bias[m] + sum over c, kh, kw of w * mask * x at the tap's place plus its offset
 */
bool adze_read_deform_conv(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                           MlirValue *out) {
    (void)which;
    deform c;
    if (!read_deform(g, op, &c))
        return false;
    adze_dtype work = gn_compute(c.xs.dtype);
    MlirValue m = index[1], zero = adze_index(g, 0);
    adze_scalar acc = gn_num(g, work, 0), v, w, gain;
    if (!adze_is_none(c.bias) && !gn_read(g, c.bias, &m, work, &acc))
        return false;
    MlirValue which_group = adze_index_div(g, m, adze_index(g, c.ws.dims[0] / c.group));
    MlirValue first =
        c.group > 1 ? adze_index_mul(g, which_group, adze_index(g, c.ws.dims[1])) : zero;
    static const char *const names[] = {"ic", "kh", "kw"};
    const char *acc_name = "acc";
    gn_loop loops[3];
    for (int i = 0; i < 3; i++) {
        loops[i] =
            gn_loop_begin(g, names[i], zero, adze_index(g, c.ws.dims[1 + i]), 1, &acc, &acc_name);
        acc = loops[i].carried[0];
    }
    MlirValue kh = loops[1].iv, kw = loops[2].iv;
    MlirValue channel = adze_index_add(g, first, loops[0].iv), offset_group = zero;
    if (c.offset_group > 1)
        offset_group = adze_index_div(g, channel, adze_index(g, c.xs.dims[1] / c.offset_group));
    MlirValue tap =
        adze_index_add(g, adze_index_mul(g, offset_group, adze_index(g, c.ws.dims[2])), kh);
    tap = adze_index_add(g, adze_index_mul(g, tap, adze_index(g, c.ws.dims[3])), kw);
    adze_scalar place[2];
    for (int d = 0; d < 2; d++) {
        MlirValue from[4] = {
            index[0], adze_index_add(g, adze_index_mul(g, tap, adze_index(g, 2)), adze_index(g, d)),
            index[2], index[3]};
        if (!gn_read(g, c.offset, from, work, &place[d]))
            return false;
        MlirValue p =
            adze_index_sub(g, adze_index_mul(g, index[2 + d], adze_index(g, c.strides[d])),
                           adze_index(g, c.pads[d]));
        p = adze_index_add(g, p, adze_index_mul(g, d ? kw : kh, adze_index(g, c.dilations[d])));
        place[d] = gn_add(g, adze_index_to(g, p, work), place[d]);
    }
    MlirValue at[4] = {index[0], channel, {NULL}, {NULL}}, w_at[4] = {m, loops[0].iv, kh, kw};
    if (!bilinear(g, c.x, work, place, at, &v) || !gn_read(g, c.w, w_at, work, &w))
        return false;
    v = gn_mul(g, v, w);
    if (!adze_is_none(c.mask)) {
        MlirValue mask_at[4] = {index[0], tap, index[2], index[3]};
        if (!gn_read(g, c.mask, mask_at, work, &gain))
            return false;
        v = gn_mul(g, v, gain);
    }
    acc = gn_add(g, acc, v);
    for (int i = 2; i >= 0; i--)
        gn_loop_end(g, &loops[i], &acc, &acc);
    *out = gn_out(g, acc, c.xs.dtype);
    return true;
}

/* ---- col2im ---- */

/* x [N, C * prod(block), L] -> y[n, c, p..] = sum over taps k of the block at (p + pad - k * d) /
 * s, where that is a block */
bool adze_read_col2im(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                      MlirValue *out) {
    (void)which;
    MlirValue x, y;
    adze_shape xs, ys;
    int64_t block[MAX_SPATIAL], strides[MAX_SPATIAL], pads[2 * MAX_SPATIAL], dilations[MAX_SPATIAL],
        blocks[MAX_SPATIAL], n_blocks = 1, taps = 1;
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_result(g, op, 0, &y, &ys) ||
        !gn_need_number(g, op, &xs))
        return false;
    int n = ys.rank - 2;
    if (n < 1 || n > MAX_SPATIAL || xs.rank != 3 ||
        adze_get_i64s(op, "block", MAX_SPATIAL, block) != n ||
        adze_get_i64s(op, "strides", MAX_SPATIAL, strides) != n ||
        adze_get_i64s(op, "dilations", MAX_SPATIAL, dilations) != n ||
        adze_get_i64s(op, "pads", 2 * MAX_SPATIAL, pads) != 2 * n)
        return gn_fail(g, op, "block, strides, dilations or pads do not fit the result");
    for (int d = 0; d < n; d++) {
        if (block[d] < 1 || strides[d] < 1 || dilations[d] < 1 || ys.dims[d + 2] < 0)
            return gn_fail(g, op, "a block, stride or dilation below 1, or a bounded extent");
        int64_t room = ys.dims[d + 2] + pads[d] + pads[d + n] - dilations[d] * (block[d] - 1) - 1;
        blocks[d] = room < 0 ? 0 : room / strides[d] + 1;
        n_blocks *= blocks[d];
        taps *= block[d];
    }
    if (n_blocks != xs.dims[2] || taps * ys.dims[1] != xs.dims[1])
        return gn_fail(g, op, "x does not hold the blocks of the result");
    adze_dtype work = gn_compute(xs.dtype);
    MlirValue zero = adze_index(g, 0), inside = {NULL};
    MlirValue row = index[1], column = zero; /* row: channel and tap; column: block */
    adze_scalar sum = gn_num(g, work, 0), v;
    const char *name = "sum";
    gn_loop loops[MAX_SPATIAL];
    for (int d = 0; d < n; d++) {
        loops[d] = gn_loop_begin(g, adze_arena_printf(g->ctx->arena, "k%d", d), zero,
                                 adze_index(g, block[d]), 1, &sum, &name);
        sum = loops[d].carried[0];
        MlirValue k = loops[d].iv, stride = adze_index(g, strides[d]);
        row = adze_index_add(g, adze_index_mul(g, row, adze_index(g, block[d])), k);
        MlirValue at = adze_index_add(g, index[2 + d], adze_index(g, pads[d]));
        at = adze_index_sub(g, at, adze_index_mul(g, k, adze_index(g, dilations[d])));
        /* a negative position fails here, so the division sees none that matters */
        inside = gn_and(g, inside, gn_inside(g, at, adze_index(g, blocks[d] * strides[d])));
        if (strides[d] > 1)
            inside =
                gn_and(g, inside, adze_index_cmp(g, "eq", adze_index_rem(g, at, stride), zero));
        column = adze_index_add(g, adze_index_mul(g, column, adze_index(g, blocks[d])),
                                adze_index_div(g, at, stride));
    }
    MlirType type = mlirValueGetType(sum.value);
    MlirValue from[3] = {index[0], row, column}, total;
    adze_if branch = adze_if_begin(g, inside, 1, &type);
    if (!gn_read(g, x, from, work, &v))
        return false;
    v = gn_add(g, sum, v);
    adze_if_else(g, &branch, &v.value);
    adze_if_end(g, &branch, &sum.value, &total);
    sum.value = total;
    for (int d = n - 1; d >= 0; d--)
        gn_loop_end(g, &loops[d], &sum, &sum);
    *out = gn_out(g, sum, ys.dtype);
    return true;
}
