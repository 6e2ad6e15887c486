/* Windows over spatial axes: their attributes and extents. See verify.h. */
#include "ir/verify.h"
#include "ir/window.h"

#include <stdint.h>
#include <string.h>

enum { MAX_SPATIAL = ADZE_MAX_RANK - 2 };

typedef struct window {
    int n;
    int64_t kernel[MAX_SPATIAL], strides[MAX_SPATIAL], dilations[MAX_SPATIAL], pads[2 * MAX_SPATIAL];
} window;

static bool positive(const int64_t *v, int n) {
    for (int i = 0; i < n; i++)
        if (v[i] < 1 || v[i] > INT32_MAX)
            return false;
    return true;
}

/* All below 2^31, so that positions, sums of products of two, fit 64 bits. Negative pads crop. */
static const char *read_window(const adze_checked *c, window *w) {
    if (adze_get_i64s(c->op, "strides", MAX_SPATIAL, w->strides) != w->n ||
        adze_get_i64s(c->op, "dilations", MAX_SPATIAL, w->dilations) != w->n ||
        adze_get_i64s(c->op, "pads", 2 * MAX_SPATIAL, w->pads) != 2 * w->n)
        return "its strides, dilations or pads do not have one entry an axis";
    if (!positive(w->strides, w->n) || !positive(w->dilations, w->n) || !positive(w->kernel, w->n))
        return "a stride, dilation or kernel extent below 1 or impossibly large";
    for (int i = 0; i < 2 * w->n; i++)
        if (w->pads[i] < -INT32_MAX || w->pads[i] > INT32_MAX)
            return "an impossible padding";
    return NULL;
}

/* An extent of n gives the right number of windows; `ceil`: or one that starts inside. */
static bool count_fits(const window *w, int i, int64_t n, int64_t out, bool ceil) {
    if (n < 0 || out < 0)
        return n < 0 && out < 0;
    if (n > INT32_MAX || out > INT32_MAX)
        return false;
    int64_t begin = w->pads[i], room = n + begin + w->pads[w->n + i] -
                                       (w->dilations[i] * (w->kernel[i] - 1) + 1);
    int64_t exact = room < 0 ? 0 : room / w->strides[i] + 1;
    return out == exact ||
           (ceil && room >= 0 && out >= 1 && out <= (room + w->strides[i] - 1) / w->strides[i] + 1 &&
            (out - 1) * w->strides[i] < n + begin + w->pads[w->n + i]);
}

static bool same_batch(const adze_shape *x, const adze_shape *y) {
    return x->dims[0] >= 0 || y->dims[0] >= 0 ? x->dims[0] == y->dims[0]
           : !x->symbols[0] || !y->symbols[0] || !strcmp(x->symbols[0], y->symbols[0]);
}

/* The weight's shape before it was packed (adze.weight_shape), when the packed one and its bias hold as much as the
 * kernel reads: [group * panels, runs, ceil(run / depth), columns, depth]. */
static const char *packed_weight(const adze_checked *c, adze_shape *k) {
    int64_t dims[ADZE_MAX_RANK], how[2], d[2 * ADZE_MAX_RANK];
    int rank = adze_get_i64s(c->op, "adze.weight_shape", ADZE_MAX_RANK, dims);
    const adze_shape *have = &c->x[1];
    if (c->which != ADZE_OP_conv || !adze_window_axes_of(c->op, rank).last || rank < 2 || have->rank != 5 ||
        adze_get_i64s(c->op, "adze.packed", 2, how) != 2 || !positive(how, 2) || !positive(dims, rank))
        return "a packing without its parameters";
    int64_t group = adze_get_i64(c->op, "group"), outputs = dims[rank - 1], run = dims[rank - 2], runs = 1;
    if (group < 1 || outputs % group || adze_get_i64s(c->op, "dilations", ADZE_MAX_RANK, d) != rank - 2)
        return "its groups do not divide its channels";
    int64_t points = adze_get_i64(c->op, "adze.winograd");
    int last = rank - 3; /* the last axis on which something moves */
    while (last >= 0 && dims[last] == 1 && c->x[0].rank == rank && c->x[0].dims[1 + last] == 1 &&
           c->y[0].rank == rank && c->y[0].dims[1 + last] == 1)
        last--;
    bool wide = !points && last >= 0 && group == 1 && (d[last] == 1 || dims[last] == 1);
    for (int i = 0; i < rank - 2; i++)
        if (__builtin_mul_overflow(i == last && wide ? run : runs, dims[i], i == last && wide ? &run : &runs))
            return "an impossibly large weight";
    const bool by_rows = !mlirAttributeIsNull(adze_get(c->op, "adze.winograd_parts"));
    if (by_rows) { /* Winograd products along the first axis, in parts of the window; the second axis is part of the run */
        int64_t parts = adze_get_i64(c->op, "adze.winograd_parts");
        if (rank != 4 || group != 1 || (points != 6 && points != 8) || parts < 1 || parts > dims[0] ||
            __builtin_mul_overflow(run, dims[1], &run) || __builtin_mul_overflow(run, parts, &run))
            return "Winograd points of windows that have no filter";
        runs = points;
    } else if (points) { /* Winograd products of a tile, by the window of each axis */
        runs = 1;
        for (int i = 0; i < rank - 2; i++)
            if (!adze_winograd_products(dims[i]) || __builtin_mul_overflow(runs, adze_winograd_products(dims[i]), &runs))
                return "Winograd points of windows that have no filter";
        if (runs != points)
            return "another number of Winograd points than its windows have";
    }
    outputs /= group;
    int64_t panels = outputs / how[0] + (outputs % how[0] != 0), all;
    int64_t steps = run / how[1] + (run % how[1] != 0), tile = adze_get_i64(c->op, "adze.tile");
    if (tile < 0 || tile > 64)
        return "tiles of an impossible number of steps";
    if (tile > 1)
        steps = (steps / tile + (steps % tile != 0)) * tile;
    if (have->dims[0] < 1 || have->dims[0] % group || have->dims[0] / group != panels ||
        have->dims[1] != runs || have->dims[2] != steps ||
        have->dims[3] != how[0] || have->dims[4] != how[1] ||
        __builtin_mul_overflow(have->dims[0], how[0], &all))
        return "its packed weight has another shape than its parameters say";
    if (c->has_x[2] && (c->x[2].rank != 1 || c->x[2].dims[0] != all))
        return "its packed bias does not have one entry a column";
    k->rank = rank;
    memcpy(k->dims, dims, (size_t)rank * sizeof *dims);
    return NULL;
}

/* The extents of x, its weight and y, whose axes ir/window.h tells. */
static const char *convolution(const adze_checked *c, window *w) {
    bool transposed = c->which == ADZE_OP_conv_transpose;
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    adze_shape weight = c->x[1], *k = &weight;
    bool packed = !mlirAttributeIsNull(adze_get(c->op, "adze.packed"));
    const char *bad = packed && c->has_x[1] ? packed_weight(c, k) : NULL;
    if (bad)
        return bad;
    int bias = c->which == ADZE_OP_deform_conv ? 3 : 2;
    int64_t group = adze_get_i64(c->op, "group"), channels;
    if (!c->has_x[1] || x->rank < 2 || k->rank != x->rank || y->rank != x->rank)
        return "x, its weight and its result are not of one rank";
    const adze_window_axes at = adze_window_axes_of(c->op, x->rank);
    w->n = x->rank - 2;
    for (int i = 0; i < w->n; i++)
        w->kernel[i] = k->dims[at.w_spatial + i];
    bad = read_window(c, w);
    if (bad)
        return bad;
    /* the weight holds all of one side's channels, and of the other's those of one group */
    int64_t whole = k->dims[transposed ? at.w_in : at.w_out], part = k->dims[transposed ? at.w_out : at.w_in];
    if (group < 1 || whole < 1 || part < 1 || whole % group ||
        __builtin_mul_overflow(part, group, &channels))
        return "its groups do not divide its channels";
    int64_t outputs = transposed ? channels : whole;
    channels = transposed ? whole : channels;
    if (x->dims[at.channel] != channels || y->dims[at.channel] != outputs || !same_batch(x, y))
        return "its channels, groups and weight do not fit together";
    if (!packed && c->has_x[bias] && (c->x[bias].rank != 1 || c->x[bias].dims[0] != outputs))
        return "its bias does not have one entry a channel";
    for (int i = 0; i < w->n; i++)
        if (transposed ? y->dims[at.spatial + i] > INT32_MAX || x->dims[at.spatial + i] > INT32_MAX
                       : !count_fits(w, i, x->dims[at.spatial + i], y->dims[at.spatial + i], false))
            return "the result's extents do not follow from its operands'";
    return NULL;
}

/* offset [N, 2 * groups * taps, *out], mask [N, groups * taps, *out] */
static const char *deformed(const adze_checked *c, const window *w) {
    int64_t groups = adze_get_i64(c->op, "offset_group"), want = 2;
    const adze_shape *y = &c->y[0];
    if (w->n != 2 || groups < 1 || c->x[0].dims[1] % groups)
        return "its offset groups do not divide its channels";
    if (__builtin_mul_overflow(groups, w->kernel[0], &want) ||
        __builtin_mul_overflow(want, w->kernel[1], &want) || want > INT32_MAX)
        return "its offsets do not fit its kernel";
    for (int i = 2; i < 5; i += 2) {
        const adze_shape *s = &c->x[i];
        if (i == 4 && !c->has_x[4])
            continue;
        if (s->rank != 4 || !same_batch(s, y) || s->dims[1] != (i == 2 ? 2 : 1) * want ||
            s->dims[2] != y->dims[2] || s->dims[3] != y->dims[3])
            return "its offsets or its mask do not fit its result";
    }
    return NULL;
}

static const char *pool(const adze_checked *c, window *w) {
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    const adze_window_axes at = adze_window_axes_of(c->op, x->rank);
    w->n = x->rank - 2;
    if (x->rank < 2 || y->rank != x->rank || adze_get_i64s(c->op, "kernel", MAX_SPATIAL, w->kernel) != w->n)
        return "its kernel does not have one entry an axis";
    const char *bad = read_window(c, w);
    if (bad)
        return bad;
    if (x->dims[at.channel] != y->dims[at.channel] || !same_batch(x, y))
        return "its result has other channels";
    for (int i = 0; i < w->n; i++)
        if (!count_fits(w, i, x->dims[at.spatial + i], y->dims[at.spatial + i], true))
            return "the result's extents do not follow from its operand's";
    if (c->has_y[1] && at.last)
        return "its indices are those of channels first";
    if (c->has_y[1] && (c->y[1].rank != y->rank || !same_batch(y, &c->y[1]) ||
                        memcmp(c->y[1].dims + 1, y->dims + 1, (size_t)(y->rank - 1) * sizeof *y->dims)))
        return "its indices have another shape than its result";
    return NULL;
}

/* x [N, C * product(block), blocks] -> y [N, C, *image] */
static const char *col2im(const adze_checked *c, window *w) {
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    int64_t channels, blocks = 1;
    w->n = y->rank - 2;
    if (x->rank != 3 || y->rank < 3 || adze_get_i64s(c->op, "block", MAX_SPATIAL, w->kernel) != w->n)
        return "its block does not have one entry an axis";
    const char *bad = read_window(c, w);
    if (bad)
        return bad;
    channels = y->dims[1];
    for (int i = 0; i < w->n; i++) {
        int64_t n = y->dims[2 + i], room = n + w->pads[i] + w->pads[w->n + i] -
                                           (w->dilations[i] * (w->kernel[i] - 1) + 1);
        if (n < 1 || n > INT32_MAX || room < 0 ||
            __builtin_mul_overflow(blocks, room / w->strides[i] + 1, &blocks) ||
            __builtin_mul_overflow(channels, w->kernel[i], &channels))
            return "its blocks do not fit its result";
    }
    return x->dims[1] == channels && x->dims[2] == blocks && same_batch(x, y)
               ? NULL
               : "its operand's extents do not fit its blocks";
}

const char *adze_verify_window(const adze_checked *c) {
    window w = {0};
    if (c->which == ADZE_OP_pool)
        return pool(c, &w);
    if (c->which == ADZE_OP_col2im)
        return col2im(c, &w);
    const char *bad = convolution(c, &w);
    return bad || c->which != ADZE_OP_deform_conv ? bad : deformed(c, &w);
}
