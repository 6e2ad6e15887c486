/* Windows over spatial axes: convolution, transposed convolution, pooling.
 *
 * Where the window may reach into the padding, the loop over it is clipped to what lies inside: no
 * branch in the inner loop and no padded copy. Channels first, the loop over the input channels is the
 * outermost; channels last, the innermost: neighbours in memory either way. */
#include "codegen/gen_rows.h"

#include "ir/integer.h"
#include "ir/window.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { MAX_SPATIAL = ADZE_MAX_RANK - 2 };

/* What the loops over a window's axes are called, by the number of axes: kw; kh, kw; kd, kh, kw. */
static const char *axis_letter(int n, int axis) {
    static const char *const letters[] = {"w", "h", "d", "a", "b", "e", "f", "g", "q", "r"};
    return letters[(n - 1 - axis) % 10];
}

static const char *tap_name(adze_gen *g, int n, int axis) {
    return adze_arena_printf(g->ctx->arena, "k%s", axis_letter(n, axis));
}

/* Names what clip_window computed: h0 is where the window starts, kh_low and kh_high what is inside. */
static void name_window(adze_gen *g, int n, int axis, MlirValue start, MlirValue low, MlirValue high) {
    const char *letter = axis_letter(n, axis);
    adze_name_value(g->ctx, start, adze_arena_printf(g->ctx->arena, "%s0", letter));
    adze_name_value(g->ctx, low, adze_arena_printf(g->ctx->arena, "k%s_low", letter));
    adze_name_value(g->ctx, high, adze_arena_printf(g->ctx->arena, "k%s_high", letter));
}

static MlirValue name_position(adze_gen *g, int n, int axis, MlirValue at) {
    return adze_name_value(g->ctx, at,
                           adze_arena_printf(g->ctx->arena, "i%s", axis_letter(n, axis)));
}

/* ceil(a / b) for b > 0 and a known not to be negative. */
static MlirValue ceil_div(adze_gen *g, MlirValue a, int64_t b) {
    return b == 1 ? a
                  : adze_index_div(g, adze_index_add(g, a, adze_index(g, b - 1)), adze_index(g, b));
}

/* The taps k in [*low, *high) of a window whose element k lies at start + k * dilation, start =
 * o * stride - pad, clipped to 0 <= position < extent. `out_extent` bounds o. */
static void clip_window(adze_gen *g, MlirValue o, int64_t out_extent, int64_t extent, int64_t kernel,
                        int64_t stride, int64_t pad, int64_t dilation, MlirValue *start,
                        MlirValue *low, MlirValue *high) {
    *start = adze_index_sub(g, adze_index_mul(g, o, adze_index(g, stride)), adze_index(g, pad));
    *low = adze_index(g, 0);
    *high = adze_index(g, kernel);
    if (pad > 0) /* ceil(-start / dilation), not below 0 */
        *low = ceil_div(
            g, adze_index_max(g, adze_index_sub(g, adze_index(g, 0), *start), adze_index(g, 0)),
            dilation);
    int64_t last = (out_extent - 1) * stride - pad + (kernel - 1) * dilation;
    if (out_extent < 0 || last >= extent) { /* ceil((extent - start) / dilation), 0 .. kernel */
        MlirValue room = adze_index_max(g, adze_index_sub(g, adze_index(g, extent), *start),
                                        adze_index(g, 0));
        *high = adze_index_min(g, ceil_div(g, room, dilation), *high);
    }
}

typedef struct window {
    int n; /* spatial axes */
    int64_t strides[MAX_SPATIAL], pads[2 * MAX_SPATIAL], dilations[MAX_SPATIAL];
} window;

static bool read_window(MlirOperation op, int n, window *w) {
    w->n = n;
    return adze_get_i64s(op, "strides", MAX_SPATIAL, w->strides) == n &&
           adze_get_i64s(op, "pads", 2 * MAX_SPATIAL, w->pads) == 2 * n &&
           adze_get_i64s(op, "dilations", MAX_SPATIAL, w->dilations) == n;
}

/* Only the batch may be bounded: windows need the numbers. */
static bool known_extents(adze_gen *g, MlirOperation op, const adze_shape *xs) {
    for (int d = 1; d < xs->rank; d++)
        if (xs->dims[d] < 0)
            return adze_error(&g->ctx->diags, adze_node(g->ctx, op),
                              "the bounded extent '%s' is a channel or spatial axis of a window"
                              " — hint: give it a number with --dim %s=N",
                              xs->symbols[d], xs->symbols[d]);
    return true;
}

static bool bad_window(adze_gen *g, MlirOperation op) {
    return adze_error(&g->ctx->diags, adze_node(g->ctx, op),
                      "strides, pads or dilations do not match the number of spatial axes");
}

/* x - zero_point as the accumulator's type: quantized operands are widened to i32 first. */
static adze_scalar widen(adze_gen *g, adze_scalar x, adze_dtype to, int64_t zero_point) {
    adze_scalar wide = x;
    if (x.dtype != to)
        adze_scalar_cast(&g->b, x, to, false, &wide);
    if (zero_point) {
        MlirValue operands[] = {wide.value, adze_scalar_i64(&g->b, to, zero_point).value};
        adze_named nsw = {"overflowFlags", adze_parse_attr(g->ctx, "#arith.overflow<nsw>")};
        wide.value = adze_build1(&g->b, "arith.subi", 2, operands, mlirValueGetType(wide.value), 1,
                                 &nsw);
    }
    return wide;
}

/* Says of an integer sum that it cannot wrap: `op` was marked so when its bounds were known. */
static int no_wrap(adze_gen *g, MlirOperation op, adze_named *attr) {
    if (mlirAttributeIsNull(adze_get(op, "adze.no_overflow")))
        return 0;
    *attr = (adze_named){"overflowFlags", adze_parse_attr(g->ctx, "#arith.overflow<nsw>")};
    return 1;
}

/* acc + x * w, in integers as in floats, both of the accumulator's type. */
static MlirValue multiply_add(adze_gen *g, MlirOperation op, adze_scalar acc, adze_scalar x,
                              adze_scalar w) {
    bool is_float = adze_dtype_get(acc.dtype)->cls == 'F';
    MlirType type = mlirValueGetType(acc.value);
    adze_named nsw;
    int n = is_float ? 0 : no_wrap(g, op, &nsw);
    MlirValue product = adze_build1(&g->b, is_float ? "arith.mulf" : "arith.muli", 2,
                                    (MlirValue[]){x.value, w.value}, type, n, &nsw);
    return adze_build1(&g->b, is_float ? "arith.addf" : "arith.addi", 2,
                       (MlirValue[]){acc.value, product}, type, n, &nsw);
}

/* A convolution taken apart. */
typedef struct conv {
    MlirOperation op;
    MlirValue x, w, bias;
    adze_shape xs, ws, ys;
    window win;
    adze_window_axes axes;
    int n; /* spatial axes */
    int64_t group, zero_x, zero_w;
    adze_dtype acc_type;
} conv;

static bool conv_read(adze_gen *g, MlirOperation op, conv *c) {
    adze_context *ctx = g->ctx;
    *c = (conv){.op = op,
                .x = mlirOperationGetOperand(op, 0),
                .w = mlirOperationGetOperand(op, 1),
                .bias = mlirOperationGetOperand(op, 2)};
    if (!adze_value_shape(ctx, c->x, &c->xs) || !adze_value_shape(ctx, c->w, &c->ws) ||
        !adze_value_shape(ctx, mlirOperationGetResult(op, 0), &c->ys) || c->xs.rank != c->ws.rank ||
        c->xs.rank < 2)
        return adze_error(&ctx->diags, adze_node(ctx, op), "operands of unexpected rank");
    c->n = c->xs.rank - 2;
    c->axes = adze_window_axes_of(op, c->xs.rank);
    if (!known_extents(g, op, &c->xs))
        return false;
    if (!read_window(op, c->n, &c->win))
        return bad_window(g, op);
    c->group = adze_get_i64(op, "group");
    c->zero_x = adze_get_i64(op, "adze.zero_point_x");
    c->zero_w = adze_get_i64(op, "adze.zero_point_w");
    const adze_dtype_info *info = adze_dtype_get(c->ys.dtype);
    c->acc_type = info->bits < 32 && info->cls == 'F' ? ADZE_f32 : c->ys.dtype;
    return true;
}

/* What the sum of output channel m starts from. */
static bool conv_start(adze_gen *g, const conv *c, MlirValue m, adze_scalar *acc) {
    *acc = adze_dtype_get(c->acc_type)->cls == 'F' ? adze_scalar_f64(&g->b, c->acc_type, 0)
                                                   : adze_scalar_i64(&g->b, c->acc_type, 0);
    adze_scalar b;
    return adze_is_none(c->bias) || (adze_read(g, c->bias, &m, &b) &&
                                     adze_scalar_cast(&g->b, b, c->acc_type, false, acc));
}

/* The first input channel that output channel m reads. */
static MlirValue conv_first_channel(adze_gen *g, const conv *c, MlirValue m) {
    if (c->group <= 1)
        return adze_index(g, 0);
    int64_t outputs = c->ws.dims[c->axes.w_out] / c->group;
    return adze_index_mul(g, adze_index_div(g, m, adze_index(g, outputs)),
                          adze_index(g, c->ws.dims[c->axes.w_in]));
}

/* Clips the window to x along the first `n` spatial axes, for the element of y at `index`. */
static void conv_clip(adze_gen *g, const conv *c, const MlirValue *index, int n, MlirValue *start,
                      MlirValue *low, MlirValue *high) {
    for (int i = 0; i < n; i++) {
        int x = c->axes.spatial + i;
        clip_window(g, index[x], c->ys.dims[x], c->xs.dims[x], c->ws.dims[c->axes.w_spatial + i],
                    c->win.strides[i], c->win.pads[i], c->win.dilations[i], &start[i], &low[i], &high[i]);
        name_window(g, c->n, i, start[i], low[i], high[i]);
    }
}

/* Where tap `k` of spatial axis `i` reads x. */
static MlirValue conv_position(adze_gen *g, const conv *c, int i, MlirValue start, MlirValue k) {
    return name_position(
        g, c->n, i,
        adze_index_add(g, start, adze_index_mul(g, k, adze_index(g, c->win.dilations[i]))));
}

/* A loop that is left out when it runs once. `carried` may be NULL. */
typedef struct conv_loop {
    adze_for loop;
    bool real;
} conv_loop;

static conv_loop conv_loop_begin(adze_gen *g, const char *name, MlirValue low, MlirValue high,
                                 MlirValue *carried, MlirValue *iv) {
    static const char *const acc_name = "acc";
    conv_loop l = {.real = true};
    int64_t lo, hi;
    if (adze_index_known(low, &lo) && adze_index_known(high, &hi) && hi - lo == 1) {
        *iv = low;
        l.real = false;
        return l;
    }
    l.loop = adze_for_begin(g, name, low, high, adze_index(g, 1), carried ? 1 : 0, carried, &acc_name);
    *iv = l.loop.iv;
    if (carried)
        *carried = l.loop.carried[0];
    return l;
}

static void conv_loop_end(adze_gen *g, conv_loop *l, MlirValue *carried) {
    if (l->real)
        adze_for_end(g, &l->loop, carried, carried);
}

/* y[n, m, o...] = bias[m] + sum over c, k of x[n, group * C/G + c, o*s - p + k*d] * w[m, c, k], the axes
 * where the layout has them. */
bool adze_read_conv(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                    MlirValue *out) {
    (void)which;
    conv c;
    adze_scalar acc;
    if (!conv_read(g, op, &c))
        return false;
    const adze_window_axes *at = &c.axes;
    MlirValue m = index[at->channel], x_at[ADZE_MAX_RANK], w_at[ADZE_MAX_RANK], start[MAX_SPATIAL],
              low[MAX_SPATIAL], high[MAX_SPATIAL];
    conv_clip(g, &c, index, c.n, start, low, high);
    if (!conv_start(g, &c, m, &acc))
        return false;
    x_at[0] = index[0];
    w_at[at->w_out] = m;
    conv_loop loops[1 + MAX_SPATIAL];
    MlirValue carried = acc.value;
    MlirValue first_channel = conv_first_channel(g, &c, m);
    for (int l = 0; l <= c.n; l++) {
        int i = at->last ? l : l - 1; /* the spatial axis; -1 or n: the channels */
        MlirValue *tap = &w_at[at->w_spatial + i];
        if (i < 0 || i == c.n) {
            MlirValue *ic = &w_at[at->w_in];
            loops[l] = conv_loop_begin(g, "ic", adze_index(g, 0),
                                       adze_index(g, c.ws.dims[at->w_in]), &carried, ic);
            x_at[at->channel] = adze_index_add(g, first_channel, *ic);
            continue;
        }
        loops[l] = conv_loop_begin(g, tap_name(g, c.n, i), low[i], high[i], &carried, tap);
        x_at[at->spatial + i] = conv_position(g, &c, i, start[i], *tap);
    }
    adze_scalar xv, wv;
    if (!adze_read(g, c.x, x_at, &xv) || !adze_read(g, c.w, w_at, &wv))
        return false;
    acc.value = carried;
    MlirValue sum = multiply_add(g, op, acc, widen(g, xv, c.acc_type, c.zero_x),
                                 widen(g, wv, c.acc_type, c.zero_w));
    for (int i = c.n; i >= 0; i--)
        conv_loop_end(g, &loops[i], &sum);
    *out = adze_scalar_out(&g->b, (adze_scalar){sum, c.ys.dtype});
    return true;
}

bool adze_conv_row_type(adze_gen *g, MlirOperation op, adze_dtype *type) {
    conv c;
    size_t before = g->ctx->diags.count;
    bool ok = adze_is_op(op, "adze.conv") && conv_read(g, op, &c) && c.n >= 1 && !c.axes.last &&
              c.acc_type == c.ys.dtype && c.ys.dims[c.ys.rank - 1] >= 0;
    g->ctx->diags.count = before;
    *type = ok ? c.acc_type : ADZE_NO_DTYPE;
    return ok;
}

/* The same sums, channels first, for `count` neighbours along the last axis, from position `base`: one after the other
 * in memory, so that the innermost loop has no dependence between its turns. */
bool adze_gen_conv_row(adze_gen *g, MlirOperation op, const MlirValue *index, MlirValue base,
                       MlirValue count, MlirValue row) {
    conv c;
    adze_scalar acc;
    if (!conv_read(g, op, &c))
        return false;
    const int last = c.n - 1;
    const int64_t stride = c.win.strides[last], pad = c.win.pads[last],
                  dilation = c.win.dilations[last], kernel = c.ws.dims[2 + last],
                  width = c.xs.dims[2 + last], out_width = c.ys.dims[2 + last];
    MlirValue m = index[1], zero = adze_index(g, 0), one = adze_index(g, 1);
    MlirValue x_at[ADZE_MAX_RANK], w_at[ADZE_MAX_RANK], start[MAX_SPATIAL], low[MAX_SPATIAL],
        high[MAX_SPATIAL];
    conv_clip(g, &c, index, last, start, low, high);
    if (!conv_start(g, &c, m, &acc))
        return false;
    adze_for fill = adze_for_begin(g, "j", zero, count, one, 0, NULL, NULL);
    adze_store(g, acc, row, &fill.iv);
    adze_for_end(g, &fill, NULL, NULL);

    x_at[0] = index[0];
    w_at[0] = m;
    MlirValue first_channel = conv_first_channel(g, &c, m);
    conv_loop loops[1 + MAX_SPATIAL];
    loops[0] = conv_loop_begin(g, "ic", zero, adze_index(g, c.ws.dims[1]), NULL, &w_at[1]);
    x_at[1] = adze_index_add(g, first_channel, w_at[1]);
    for (int i = 0; i < c.n; i++) {
        loops[1 + i] = conv_loop_begin(g, tap_name(g, c.n, i), i < last ? low[i] : zero,
                                       i < last ? high[i] : adze_index(g, kernel), NULL, &w_at[2 + i]);
        if (i < last)
            x_at[2 + i] = conv_position(g, &c, i, start[i], w_at[2 + i]);
    }
    /* position of neighbour j: j * stride + first, first = base * stride - pad + kw * dilation */
    MlirValue first = adze_index_sub(
        g,
        adze_index_add(g, adze_index_mul(g, base, adze_index(g, stride)),
                       adze_index_mul(g, w_at[2 + last], adze_index(g, dilation))),
        adze_index(g, pad));
    MlirValue from = zero, to = count;
    if (pad > 0)
        from = ceil_div(g, adze_index_max(g, adze_index_sub(g, zero, first), zero), stride);
    if ((out_width - 1) * stride - pad + (kernel - 1) * dilation >= width)
        to = adze_index_min(
            g,
            ceil_div(g, adze_index_max(g, adze_index_sub(g, adze_index(g, width), first), zero), stride),
            count);
    adze_name_value(g->ctx, from, "j_low");
    adze_name_value(g->ctx, to, "j_high");
    adze_scalar wv, xv;
    if (!adze_read(g, c.w, w_at, &wv))
        return false;
    wv = widen(g, wv, c.acc_type, c.zero_w);
    adze_name_value(g->ctx, wv.value, "wv");
    adze_for along = adze_for_begin(g, "j", from, to, one, 0, NULL, NULL);
    x_at[2 + last] =
        adze_index_add(g, adze_index_mul(g, along.iv, adze_index(g, stride)), first);
    acc = adze_load(g, row, &along.iv);
    if (!adze_read(g, c.x, x_at, &xv))
        return false;
    acc.value = multiply_add(g, op, acc, widen(g, xv, c.acc_type, c.zero_x), wv);
    adze_store(g, acc, row, &along.iv);
    adze_for_end(g, &along, NULL, NULL);
    for (int i = c.n; i >= 0; i--)
        conv_loop_end(g, &loops[i], NULL);
    return true;
}

/* y[n, m, o...] = bias[m] + sum over c, k with (o + p - k*d) divisible by s of
 *                 x[n, group * C/G + c, (o + p - k*d) / s] * w[group * C/G + c, m - group * M/G, k],
 * the axes where the layout has them. */
bool adze_read_conv_transpose(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                              MlirValue *out) {
    (void)which;
    adze_context *ctx = g->ctx;
    MlirValue x = mlirOperationGetOperand(op, 0), w = mlirOperationGetOperand(op, 1),
              bias = mlirOperationGetOperand(op, 2);
    adze_shape xs, ws, ys;
    window win;
    if (!adze_value_shape(ctx, x, &xs) || !adze_value_shape(ctx, w, &ws) ||
        !adze_value_shape(ctx, mlirOperationGetResult(op, 0), &ys) || xs.rank != ws.rank ||
        xs.rank < 2)
        return adze_error(&ctx->diags, adze_node(ctx, op), "operands of unexpected rank");
    int n = xs.rank - 2;
    if (!known_extents(g, op, &xs))
        return false;
    if (!read_window(op, n, &win))
        return bad_window(g, op);
    const adze_window_axes axes = adze_window_axes_of(op, xs.rank);
    int64_t group = adze_get_i64(op, "group"), per_group = xs.dims[axes.channel] / group;
    adze_dtype acc_type = adze_dtype_get(ys.dtype)->bits < 32 ? ADZE_f32 : ys.dtype;
    MlirValue m = index[axes.channel];
    adze_scalar acc = adze_scalar_f64(&g->b, acc_type, 0);
    if (!adze_is_none(bias)) {
        adze_scalar b;
        if (!adze_read(g, bias, &m, &b) || !adze_scalar_cast(&g->b, b, acc_type, false, &acc))
            return false;
    }
    MlirValue which_group = adze_index(g, 0), m_in_group = m;
    if (group > 1) {
        which_group = adze_index_div(g, m, adze_index(g, ws.dims[axes.w_out]));
        m_in_group = adze_index_rem(g, m, adze_index(g, ws.dims[axes.w_out]));
    }
    MlirValue x_at[ADZE_MAX_RANK], w_at[ADZE_MAX_RANK], inside = {NULL};
    const char *acc_name = "acc";
    adze_for loops[1 + MAX_SPATIAL];
    int n_loops = 0;
    MlirValue carried = acc.value, zero = adze_index(g, 0), one = adze_index(g, 1);
    x_at[0] = index[0];
    w_at[axes.w_out] = m_in_group;
    for (int l = 0; l <= n; l++) {
        int i = axes.last ? l : l - 1; /* the spatial axis; -1 or n: the channels */
        bool spatial = i >= 0 && i < n;
        int64_t turns = spatial ? ws.dims[axes.w_spatial + i] : per_group;
        loops[n_loops] = adze_for_begin(g, spatial ? tap_name(g, n, i) : "ic", zero,
                                        adze_index(g, turns), one, 1, &carried, &acc_name);
        MlirValue k = loops[n_loops].iv;
        carried = loops[n_loops++].carried[0];
        if (!spatial) {
            x_at[axes.channel] = w_at[axes.w_in] = adze_index_add(
                g, adze_index_mul(g, which_group, adze_index(g, per_group)), k);
            continue;
        }
        w_at[axes.w_spatial + i] = k;
        MlirValue at = adze_index_sub(
            g, adze_index_add(g, index[axes.spatial + i], adze_index(g, win.pads[i])),
            adze_index_mul(g, k, adze_index(g, win.dilations[i])));
        MlirValue stride = adze_index(g, win.strides[i]);
        /* negative positions fail the first test, so the division sees none that matters */
        MlirValue tests[3] = {adze_index_cmp(g, "ge", at, zero),
                              adze_index_cmp(g, "lt", at,
                                             adze_index(g, xs.dims[axes.spatial + i] * win.strides[i])),
                              {NULL}};
        if (win.strides[i] > 1)
            tests[2] = adze_index_cmp(g, "eq", adze_index_rem(g, at, stride), zero);
        for (int t = 0; t < 3; t++) {
            if (!tests[t].ptr)
                continue;
            inside = inside.ptr ? adze_build1(&g->b, "arith.andi", 2,
                                              (MlirValue[]){inside, tests[t]},
                                              mlirValueGetType(inside), 0, NULL)
                                : tests[t];
        }
        x_at[axes.spatial + i] = adze_index_div(g, at, stride);
    }
    MlirValue sum = carried;
    MlirType type = mlirValueGetType(carried);
    adze_if branch;
    if (inside.ptr)
        branch = adze_if_begin(g, inside, 1, &type);
    adze_scalar xv, wv;
    if (!adze_read(g, x, x_at, &xv) || !adze_read(g, w, w_at, &wv))
        return false;
    acc.value = carried;
    sum = multiply_add(g, op, acc, widen(g, xv, acc_type, 0), widen(g, wv, acc_type, 0));
    if (inside.ptr) {
        adze_if_else(g, &branch, &sum);
        adze_if_end(g, &branch, &carried, &sum);
    }
    while (n_loops)
        adze_for_end(g, &loops[--n_loops], &sum, &sum);
    *out = adze_scalar_out(&g->b, (adze_scalar){sum, ys.dtype});
    return true;
}

/* The number of window elements inside (or, counting padding, inside the padded input), as f32 or f64. */
static adze_scalar window_count(adze_gen *g, int n, const MlirValue *low, const MlirValue *high,
                                adze_dtype dtype) {
    MlirValue count = adze_index(g, 1);
    for (int i = 0; i < n; i++)
        count = adze_index_mul(g, count, adze_index_sub(g, high[i], low[i]));
    int64_t known;
    if (adze_index_known(count, &known))
        return adze_scalar_f64(&g->b, dtype, (double)known);
    return adze_index_to(g, count, dtype);
}

bool adze_read_pool(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                    MlirValue *out) {
    adze_context *ctx = g->ctx;
    MlirValue x = mlirOperationGetOperand(op, 0);
    adze_shape xs, ys;
    window win;
    int64_t kernel[MAX_SPATIAL];
    if (!adze_value_shape(ctx, x, &xs) ||
        !adze_value_shape(ctx, mlirOperationGetResult(op, which), &ys) || xs.rank < 2)
        return adze_error(&ctx->diags, adze_node(ctx, op), "operand of unexpected rank");
    int n = xs.rank - 2;
    if (!known_extents(g, op, &xs))
        return false;
    if (!read_window(op, n, &win) || adze_get_i64s(op, "kernel", MAX_SPATIAL, kernel) != n)
        return bad_window(g, op);
    const adze_window_axes axes = adze_window_axes_of(op, xs.rank);
    const char *kind = adze_get_str(ctx, op, "kind");
    bool is_max = !strcmp(kind, "max"), is_lp = !strcmp(kind, "lp");
    int64_t p = adze_get_i64(op, "p"), zero_point = adze_get_i64(op, "adze.zero_point_x");
    const adze_dtype_info *xi = adze_dtype_get(xs.dtype);
    adze_dtype acc_type = xi->cls == 'F' ? (xi->bits < 32 ? ADZE_f32 : xs.dtype)
                          : is_max       ? xs.dtype
                                         : ADZE_i32;

    MlirValue start[MAX_SPATIAL], low[MAX_SPATIAL], high[MAX_SPATIAL], at[ADZE_MAX_RANK];
    for (int i = 0; i < n; i++) {
        int a = axes.spatial + i;
        clip_window(g, index[a], ys.dims[a], xs.dims[a], kernel[i], win.strides[i], win.pads[i],
                    win.dilations[i], &start[i], &low[i], &high[i]);
        name_window(g, n, i, start[i], low[i], high[i]);
    }
    adze_scalar acc = is_max ? adze_scalar_neutral(&g->b, "max", acc_type)
                             : adze_scalar_neutral(&g->b, "sum", acc_type);
    MlirValue carried[2] = {acc.value};
    const char *names[] = {is_max ? "best" : "acc", "where"};
    int n_carried = 1;
    if (which == 1) { /* the flat index of the maximum as well */
        carried[1] = adze_index(g, -1);
        n_carried = 2;
    }
    adze_for loops[MAX_SPATIAL];
    at[0] = index[0];
    at[axes.channel] = index[axes.channel];
    for (int i = 0; i < n; i++) {
        loops[i] = adze_for_begin(g, tap_name(g, n, i), low[i], high[i], adze_index(g, 1), n_carried,
                                  carried, names);
        memcpy(carried, loops[i].carried, sizeof carried);
        at[axes.spatial + i] = name_position(
            g, n, i,
            adze_index_add(g, start[i],
                           adze_index_mul(g, loops[i].iv, adze_index(g, win.dilations[i]))));
    }
    adze_scalar v;
    if (!adze_read(g, x, at, &v))
        return false;
    if (acc_type != xs.dtype || zero_point)
        v = widen(g, v, acc_type, zero_point);
    acc.value = carried[0];
    adze_scalar next = acc;
    if (is_lp) {
        double exponent = (double)p;
        if (!adze_scalar_unary(&g->b, "abs", NULL, v, &v) ||
            (p == 2 ? !adze_scalar_unary(&g->b, "square", NULL, v, &v)
                    : p != 1 && !adze_scalar_binary(&g->b, "pow", v,
                                                    adze_scalar_f64(&g->b, acc_type, exponent), &v)))
            return false;
    }
    if (which == 1) {
        /* strictly greater, or the first one: the first maximum wins, and the first NaN over all. Channels first (the
         * verifier). */
        adze_scalar greater, nan, number;
        if (!adze_scalar_binary(&g->b, "greater", v, acc, &greater))
            return false;
        if (adze_dtype_get(v.dtype)->cls == 'F') {
            if (!adze_scalar_unary(&g->b, "is_nan", NULL, v, &nan) ||
                !adze_scalar_binary(&g->b, "equal", acc, acc, &number) ||
                !adze_scalar_binary(&g->b, "and", nan, number, &nan) ||
                !adze_scalar_binary(&g->b, "or", greater, nan, &greater))
                return false;
        }
        MlirValue first = adze_index_cmp(g, "lt", carried[1], adze_index(g, 0));
        MlirValue take = adze_build1(&g->b, "arith.ori", 2, (MlirValue[]){greater.value, first},
                                     mlirValueGetType(first), 0, NULL);
        bool column_major = adze_get_bool(op, "column_major");
        MlirValue flat = adze_index_add(
            g, adze_index_mul(g, at[0], adze_index(g, xs.dims[1])), at[1]), spatial = adze_index(g, 0);
        int64_t plane = 1;
        for (int i = 0; i < n; i++) {
            int axis = column_major ? n - 1 - i : i;
            spatial = adze_index_add(
                g, adze_index_mul(g, spatial, adze_index(g, xs.dims[2 + axis])), at[2 + axis]);
            plane *= xs.dims[2 + i];
        }
        flat = adze_index_add(g, adze_index_mul(g, flat, adze_index(g, plane)), spatial);
        next.value = adze_build1(&g->b, "arith.select", 3, (MlirValue[]){take, v.value, acc.value},
                                 mlirValueGetType(acc.value), 0, NULL);
        carried[1] = adze_build1(&g->b, "arith.select", 3, (MlirValue[]){take, flat, carried[1]},
                                 mlirValueGetType(flat), 0, NULL);
    } else if (!is_max && acc_type == ADZE_i32) {
        adze_named nsw;
        int n_attrs = no_wrap(g, op, &nsw);
        next.value = adze_build1(&g->b, "arith.addi", 2, (MlirValue[]){acc.value, v.value},
                                 mlirValueGetType(acc.value), n_attrs, &nsw);
    } else if (!adze_scalar_combine(&g->b, is_max ? "max" : "sum", acc, v, &next)) {
        return false;
    }
    carried[0] = next.value;
    for (int i = n - 1; i >= 0; i--)
        adze_for_end(g, &loops[i], carried, carried);
    if (which == 1) {
        *out = adze_scalar_out(&g->b, adze_index_to(g, carried[1], ys.dtype));
        return true;
    }
    adze_scalar result = {carried[0], acc_type};
    if (is_lp && p != 1) {
        if (p == 2 ? !adze_scalar_unary(&g->b, "sqrt", NULL, result, &result)
                   : !adze_scalar_binary(&g->b, "pow", result,
                                         adze_scalar_f64(&g->b, acc_type, 1.0 / (double)p), &result))
            return false;
    }
    if (!strcmp(kind, "average") && xi->cls == 'F') {
        if (adze_get_bool(op, "count_include_pad")) {
            /* the window clipped to the padded input: ceil mode may reach beyond it */
            for (int i = 0; i < n; i++) {
                low[i] = adze_index(g, 0);
                high[i] = adze_index(g, kernel[i]);
                int64_t end = xs.dims[axes.spatial + i] + win.pads[n + i];
                int64_t last = (ys.dims[axes.spatial + i] - 1) * win.strides[i] - win.pads[i] +
                               (kernel[i] - 1) * win.dilations[i];
                if (last >= end)
                    high[i] = adze_index_min(
                        g, ceil_div(g, adze_index_sub(g, adze_index(g, end), start[i]),
                                    win.dilations[i]),
                        high[i]);
            }
        }
        adze_scalar count = window_count(g, n, low, high, acc_type);
        if (!adze_scalar_binary(&g->b, "div", result, count, &result))
            return false;
    }
    *out = adze_scalar_out(&g->b, (adze_scalar){result.value, ys.dtype});
    return true;
}
