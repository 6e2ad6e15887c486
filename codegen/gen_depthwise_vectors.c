/* Depthwise convolutions with vectors of channels, family "depthwise".
 *
 *   for each row of windows (threads share them)
 *     for each channel                                            the pass "vectorize" makes vectors of it
 *       for each `rows` pixels of the row
 *         acc[rows] = bias
 *         for each row of the window:  for each column of x that it covers, once:
 *           acc[pixels that read it] += x[column] * w[tap]
 *         y = epilogue(acc)
 *
 * Accumulators are carried around loops, so they stay in registers, as do a row of weights and the column at hand: a
 * column costs one load, however many pixels read it. Rows outside x are clipped by the bounds of loops. Blocks with
 * columns outside x are built one by one, without the products that fall there; the others are the turns of a loop.
 * Long windows walk their taps in a loop, and pixels at the edges one by one. */
#include "codegen/contraction.h"
#include "codegen/family.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct depthwise {
    adze_gen *g;
    adze_contraction c;
    MlirValue sums, value, memref; /* the convolution's result, what is stored, and where */
    bool is_float;
    int64_t rows; /* pixels of a block */
    MlirValue batch, at[ADZE_MAX_SPATIAL], low[ADZE_MAX_SPATIAL], high[ADZE_MAX_SPATIAL], channel;
} depthwise;

static MlirValue constant(depthwise *d, int64_t i) { return adze_index(d->g, i); }
static MlirValue times(depthwise *d, MlirValue a, int64_t n) { return adze_index_mul(d->g, a, constant(d, n)); }
static MlirValue plus(depthwise *d, MlirValue a, MlirValue b) { return adze_index_add(d->g, a, b); }
static MlirValue offset(depthwise *d, MlirValue a, int64_t n) { return plus(d, a, constant(d, n)); }

static int last_axis(const depthwise *d) { return d->c.n - 1; }
/* The column of x that tap 0 of pixel `ow` reads. */
static MlirValue first_column(depthwise *d, MlirValue ow) {
    const int last = last_axis(d);
    return last < 0 ? constant(d, 0) : offset(d, times(d, ow, d->c.strides[last]), -d->c.pad_begin[last]);
}

/* Taps of axis `a` that lie inside x for output `at`. */
static void clip(depthwise *d, int a, MlirValue at) {
    adze_gen *g = d->g;
    const adze_contraction *c = &d->c;
    const int64_t dilation = c->dilations[a];
    MlirValue zero = constant(d, 0), taps = constant(d, c->kernel[a]);
    MlirValue start = offset(d, times(d, at, c->strides[a]), -c->pad_begin[a]);
    d->low[a] = zero;
    d->high[a] = taps;
    if (c->pad_begin[a] > 0) {
        MlirValue before = adze_index_max(g, adze_index_sub(g, zero, start), zero);
        d->low[a] = adze_index_min(g, adze_index_div(g, offset(d, before, dilation - 1), constant(d, dilation)), taps);
    }
    if ((c->out[a] - 1) * c->strides[a] - c->pad_begin[a] + (c->kernel[a] - 1) * dilation >= c->in[a]) {
        MlirValue room = adze_index_max(g, adze_index_sub(g, constant(d, c->in[a]), start), zero);
        MlirValue end = adze_index_div(g, offset(d, room, dilation - 1), constant(d, dilation));
        d->high[a] = adze_index_max(g, d->low[a], adze_index_min(g, end, taps));
    }
}

/* ---- operands ---- */

/* An integer operand less its zero point, in 32 bits; floats as they are. */
static MlirValue widened(depthwise *d, adze_scalar x, int64_t zero_point) {
    adze_builder *b = &d->g->b;
    if (d->is_float)
        return x.value;
    adze_scalar_cast(b, x, ADZE_i32, false, &x);
    if (!zero_point)
        return x.value;
    adze_named nsw = {"overflowFlags", adze_parse_attr(d->g->ctx, "#arith.overflow<nsw>")};
    MlirValue z = adze_scalar_i64(b, ADZE_i32, zero_point).value;
    return adze_build1(b, "arith.subi", 2, (MlirValue[]){x.value, z}, mlirValueGetType(x.value), 1, &nsw);
}

static bool load_x(depthwise *d, const MlirValue *tap, MlirValue column, MlirValue *out) {
    const adze_contraction *c = &d->c;
    const int last = last_axis(d);
    MlirValue index[ADZE_MAX_RANK];
    adze_scalar x;
    for (int i = 0; i < c->xs.rank; i++)
        index[i] = constant(d, 0);
    index[0] = d->batch;
    for (int i = 0; i < last; i++)
        index[c->axis[i]] = offset(d, plus(d, times(d, d->at[i], c->strides[i]), times(d, tap[i], c->dilations[i])),
                                   -c->pad_begin[i]);
    if (last >= 0)
        index[c->axis[last]] = column;
    index[c->xs.rank - 1] = d->channel;
    if (!adze_read(d->g, c->x, index, &x))
        return false;
    *out = widened(d, x, c->zero_x);
    return true;
}

static bool load_w(depthwise *d, const MlirValue *tap, MlirValue kw, MlirValue *out) {
    const adze_contraction *c = &d->c;
    const int last = last_axis(d);
    MlirValue index[ADZE_MAX_RANK];
    adze_scalar w;
    for (int i = 0; i < c->ws.rank; i++)
        index[i] = constant(d, 0);
    for (int i = 0; i < last; i++)
        index[c->axis[i] - 1] = tap[i];
    if (last >= 0)
        index[c->axis[last] - 1] = kw;
    index[c->ws.rank - 1] = d->channel;
    if (!adze_read(d->g, c->w, index, &w))
        return false;
    *out = widened(d, w, c->zero_w);
    return true;
}

/* acc + x * w */
static MlirValue multiply_add(depthwise *d, MlirValue acc, MlirValue x, MlirValue w) {
    adze_builder *b = &d->g->b;
    MlirType type = mlirValueGetType(acc);
    adze_named nsw = {"overflowFlags", adze_parse_attr(d->g->ctx, "#arith.overflow<nsw>")};
    const int product_flags = d->is_float ? 0 : 1; /* of 9 bits by 9 */
    const int sum_flags = product_flags && !mlirAttributeIsNull(adze_get(d->c.op, "adze.no_overflow"));
    MlirValue product = adze_build1(b, d->is_float ? "arith.mulf" : "arith.muli", 2, (MlirValue[]){x, w}, type,
                                    product_flags, &nsw);
    return adze_build1(b, d->is_float ? "arith.addf" : "arith.addi", 2, (MlirValue[]){acc, product}, type, sum_flags,
                       &nsw);
}

/* ---- one row of the window ---- */

enum { WEIGHTS_AT_HAND = 8, LONGEST_UNROLLED = 16 };

/* Does tap t of pixel p read a column of x? `first`: the block's first pixel, or -1 where all taps do. */
static bool inside(const depthwise *d, int64_t first, int64_t p, int64_t t) {
    const int last = last_axis(d);
    if (first < 0 || last < 0)
        return true;
    int64_t column = (first + p) * d->c.strides[last] + t * d->c.dilations[last] - d->c.pad_begin[last];
    return column >= 0 && column < d->c.in[last];
}

static void named(depthwise *d, MlirValue value, const char *name, int64_t i) {
    adze_name_value(d->g->ctx, value, adze_arena_printf(d->g->ctx->arena, "%s%d", name, (int)i));
}

/* Column by column, each loaded once; a few taps at a time. */
static bool slide(depthwise *d, MlirValue ow, int64_t first, int64_t pixels, const MlirValue *tap, MlirValue *acc) {
    const int last = last_axis(d);
    const int64_t taps = last < 0 ? 1 : d->c.kernel[last], stride = last < 0 ? 1 : d->c.strides[last],
                  dilation = last < 0 ? 1 : d->c.dilations[last];
    MlirValue start = first_column(d, ow);
    for (int64_t from = 0; from < taps; from += WEIGHTS_AT_HAND) {
        int64_t to = from + WEIGHTS_AT_HAND < taps ? from + WEIGHTS_AT_HAND : taps;
        MlirValue w[WEIGHTS_AT_HAND] = {{NULL}};
        const int64_t end = (pixels - 1) * stride + (to - 1) * dilation;
        for (int64_t column = from * dilation; column <= end; column++) {
            MlirValue x = {NULL};
            for (int64_t p = 0; p < pixels; p++) {
                int64_t t = (column - p * stride) / dilation;
                if (column < p * stride || (column - p * stride) % dilation || t < from || t >= to ||
                    !inside(d, first, p, t))
                    continue;
                if (!w[t - from].ptr) {
                    if (!load_w(d, tap, constant(d, t), &w[t - from]))
                        return false;
                    named(d, w[t - from], "w", t);
                }
                if (!x.ptr) {
                    if (!load_x(d, tap, offset(d, start, column), &x))
                        return false;
                    named(d, x, "x", column);
                }
                acc[p] = multiply_add(d, acc[p], x, w[t - from]);
            }
        }
    }
    return true;
}

/* Tap by tap in a loop; `clipped`: those inside x of the one pixel. */
static bool walk(depthwise *d, MlirValue ow, bool clipped, int64_t pixels, const MlirValue *tap,
                 const char *const *names, MlirValue *acc) {
    adze_gen *g = d->g;
    const int last = last_axis(d);
    MlirValue low = constant(d, 0), high = constant(d, d->c.kernel[last]), w, x;
    if (clipped) {
        clip(d, last, ow);
        low = d->low[last];
        high = d->high[last];
    }
    adze_for loop = adze_for_begin(g, "kw", low, high, constant(d, 1), (int)pixels, acc, names);
    MlirValue column = plus(d, first_column(d, ow), times(d, loop.iv, d->c.dilations[last]));
    if (!load_w(d, tap, loop.iv, &w))
        return false;
    for (int64_t p = 0; p < pixels; p++) {
        if (!load_x(d, tap, offset(d, column, p * d->c.strides[last]), &x))
            return false;
        acc[p] = multiply_add(d, loop.carried[p], x, w);
    }
    adze_for_end(g, &loop, acc, acc);
    return true;
}

/* ---- a block of pixels ---- */

static bool finish(depthwise *d, MlirValue ow, int64_t pixels, const MlirValue *acc) {
    adze_gen *g = d->g;
    const adze_contraction *c = &d->c;
    const int last = last_axis(d);
    MlirValue index[ADZE_MAX_RANK];
    for (int i = 0; i < c->ys.rank; i++)
        index[i] = constant(d, 0);
    index[0] = d->batch;
    for (int i = 0; i < last; i++)
        index[c->axis[i]] = d->at[i];
    index[c->ys.rank - 1] = d->channel;
    MlirValue y[ADZE_MAX_CARRIED]; /* all before the first store: what pixels share is then read once */
    for (int64_t p = 0; p < pixels; p++) {
        if (last >= 0)
            index[c->axis[last]] = offset(d, ow, p);
        g->tile_tensor = d->sums;
        g->tile_value = acc[p];
        bool ok = adze_read_raw(g, d->value, index, &y[p]);
        g->tile_tensor.ptr = g->tile_value.ptr = NULL;
        if (!ok)
            return false;
    }
    for (int64_t p = 0; p < pixels; p++) {
        if (last >= 0)
            index[c->axis[last]] = offset(d, ow, p);
        adze_store_raw(g, y[p], d->memref, index);
    }
    return true;
}

/* y of pixels ow .. ow + pixels. `first`: ow where it is known and taps may lie outside x, else -1; `looped`: the taps
 * of a row are walked in a loop, and clipped there. */
static bool block(depthwise *d, MlirValue ow, int64_t first, int64_t pixels, bool looped, bool clipped) {
    adze_gen *g = d->g;
    const adze_contraction *c = &d->c;
    static const char *const tap_names[] = {"kh", "kd", "ka", "kb", "kc"};
    const char *names[ADZE_MAX_CARRIED];
    MlirValue acc[ADZE_MAX_CARRIED], tap[ADZE_MAX_SPATIAL];
    adze_for loops[ADZE_MAX_SPATIAL];
    adze_scalar start = d->is_float ? adze_scalar_f64(&g->b, ADZE_f32, 0) : adze_scalar_i64(&g->b, ADZE_i32, 0);
    if (!adze_is_none(c->bias) && !adze_read(g, c->bias, &d->channel, &start))
        return false;
    for (int64_t p = 0; p < pixels; p++) {
        acc[p] = start.value;
        names[p] = adze_arena_printf(g->ctx->arena, pixels > 1 ? "acc%d" : "acc", (int)p);
    }
    const int last = last_axis(d);
    for (int i = 0; i < last; i++) {
        tap[i] = constant(d, 0);
        if (c->kernel[i] == 1 && !c->pad_begin[i] && !c->pad_end[i])
            continue;
        loops[i] = adze_for_begin(g, tap_names[(last - 1 - i) % 5], d->low[i], d->high[i], constant(d, 1), (int)pixels,
                                  acc, names);
        memcpy(acc, loops[i].carried, (size_t)pixels * sizeof *acc);
        tap[i] = loops[i].iv;
    }
    if (!(looped ? walk(d, ow, clipped, pixels, tap, names, acc) : slide(d, ow, first, pixels, tap, acc)))
        return false;
    for (int i = last - 1; i >= 0; i--)
        if (c->kernel[i] > 1 || c->pad_begin[i] || c->pad_end[i])
            adze_for_end(g, &loops[i], acc, acc);
    return finish(d, ow, pixels, acc);
}

/* ---- a row ---- */

/* Pixels `from` .. `to` in a loop of blocks of `pixels` (one turn: no loop). */
static bool blocks(depthwise *d, int64_t from, int64_t to, int64_t pixels, bool looped, bool clipped) {
    adze_gen *g = d->g;
    if (from >= to)
        return true;
    if (from + pixels == to)
        return block(d, constant(d, from), -1, pixels, looped, clipped);
    adze_for loop = adze_for_begin(g, "ow", constant(d, from), constant(d, to), constant(d, pixels), 0, NULL, NULL);
    bool ok = block(d, loop.iv, -1, pixels, looped, clipped);
    adze_for_end(g, &loop, NULL, NULL);
    return ok;
}

static bool whole(const depthwise *d, int64_t first, int64_t pixels) {
    const int last = last_axis(d);
    return last < 0 || (inside(d, first, 0, 0) && inside(d, first, pixels - 1, d->c.kernel[last] - 1));
}

/* The same, block by block; products outside x are left out. */
static bool edge(depthwise *d, int64_t from, int64_t to, int64_t pixels) {
    for (int64_t at = from; at < to; at += pixels)
        if (!block(d, constant(d, at), at, to - at < pixels ? to - at : pixels, false, false))
            return false;
    return true;
}

/* All pixels of a row: blocks of equal size, those inside x in a loop. */
static bool row(depthwise *d) {
    enum { MOST_AT_EDGES = 512 }; /* products written out */
    const int last = last_axis(d);
    const int64_t width = last < 0 ? 1 : d->c.out[last], taps = last < 0 ? 1 : d->c.kernel[last];
    const int64_t n = (width + d->rows - 1) / d->rows, pixels = (width + n - 1) / n;
    int64_t from = 0, to;
    while (from + pixels <= width && !whole(d, from, pixels))
        from += pixels;
    if (from + pixels > width)
        from = width;
    for (to = from; to + pixels <= width && whole(d, to, pixels);)
        to += pixels;
    if (taps <= LONGEST_UNROLLED && (from + width - to) * taps <= MOST_AT_EDGES)
        return edge(d, 0, from, pixels) && blocks(d, from, to, pixels, false, false) && edge(d, to, width, pixels);
    for (from = 0; from < width && !whole(d, from, 1);)
        from++;
    for (to = from; to + pixels <= width && whole(d, to, pixels);)
        to += pixels;
    return blocks(d, 0, from, 1, true, true) && blocks(d, from, to, pixels, taps > LONGEST_UNROLLED, false) &&
           blocks(d, to, width, 1, true, true);
}

static bool all_rows(depthwise *d) {
    adze_gen *g = d->g;
    const adze_contraction *c = &d->c;
    static const char *const names[] = {"oh", "od", "oa", "ob", "oc"};
    const int last = last_axis(d);
    MlirValue items = adze_extent(g, d->value, 0);
    double taps = last < 0 ? 1 : (double)c->out[last];
    for (int i = 0; i < last; i++)
        items = times(d, items, c->out[i]);
    for (int i = 0; i < c->n; i++)
        taps *= (double)c->kernel[i];
    adze_parallel share;
    adze_gen_parallel(g, items, (double)adze_index_most(items) * taps * (double)c->group, false, &share);
    adze_for rows = adze_for_begin(g, "row", share.begin, share.end, constant(d, 1), 0, NULL, NULL);
    MlirValue rest = rows.iv;
    for (int i = last - 1; i >= 0; i--) {
        bool outermost = i == 0 && c->ys.dims[0] == 1;
        d->at[i] = outermost ? rest : adze_index_rem(g, rest, constant(d, c->out[i]));
        rest = outermost ? constant(d, 0) : adze_index_div(g, rest, constant(d, c->out[i]));
        adze_name_value(g->ctx, d->at[i], names[(last - 1 - i) % 5]);
        clip(d, i, d->at[i]);
    }
    d->batch = c->ys.dims[0] == 1 ? constant(d, 0) : rest;
    adze_for channels = adze_for_begin(g, "c", constant(d, 0), constant(d, c->group), constant(d, 1), 0, NULL, NULL);
    adze_vectorize(g, &channels);
    d->channel = channels.iv;
    if (!row(d))
        return false;
    adze_for_end(g, &channels, NULL, NULL);
    adze_for_end(g, &rows, NULL, NULL);
    return true;
}

bool adze_gen_depthwise(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    depthwise d = {.g = g, .sums = sums, .value = value, .memref = memref, .rows = s->rows};
    if (!sums.ptr || !adze_contraction_read(g->ctx, adze_defining(sums), &d.c))
        return adze_gen_refuse(g, s, "what it stores is no channels-last convolution with an elementwise epilogue");
    adze_contraction_squeeze(&d.c);
    const adze_contraction *c = &d.c;
    d.is_float = c->acc_type == ADZE_f32;
    if (c->channels != 1 || c->outputs != 1)
        return adze_gen_refuse(g, s, "each of its outputs reads several channels, or several outputs read one");
    if (!(d.is_float ? c->x_type == ADZE_f32 && c->w_type == ADZE_f32 : c->acc_type == ADZE_i32))
        return adze_gen_refuse(g, s, "it has no form for these types");
    if (s->rows < 1 || s->rows > ADZE_MAX_CARRIED)
        return adze_gen_refuse(g, s, "rows are missing or too many");
    return all_rows(&d);
}
