/* The family "winograd_rows" (winograd.h): windows of which one axis is filtered and the other one is not. It suits long
 * windows, and windows over few channels.
 *
 *   for each `out` rows of y
 *     copy    [rows of x][width * C]          padded with zeros
 *     xt      [points][parts][width * C]      Bt d, of each part of the window
 *     for each panel of outputs
 *       sums  [points][ow][columns]           x's runs of kw * C elements by the weight, over all parts
 *       y     At sums + bias                  with the epilogue
 */
#include "codegen/family.h"
#include "codegen/vector.h"
#include "codegen/winograd.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct rows {
    adze_gen *g;
    const adze_schedule *s;
    adze_contraction c;
    adze_winograd_rows cut;
    MlirValue sums_of, value, memref; /* the convolution's result, what is stored, and where */
    MlirValue w, bias;
    MlirValue copy, xt, sums;
    MlirType acc;
    bool fma;
    int64_t columns, panels;
    MlirValue batch, first; /* the first of the rows of y */
} rows;

static MlirValue constant(rows *k, int64_t i) { return adze_index(k->g, i); }
static MlirValue times(rows *k, MlirValue a, int64_t n) {
    return adze_index_mul(k->g, a, constant(k, n));
}
static MlirValue plus(rows *k, MlirValue a, MlirValue b) { return adze_index_add(k->g, a, b); }
static MlirValue offset(rows *k, MlirValue a, int64_t n) { return plus(k, a, constant(k, n)); }

static adze_for loop_to(rows *k, const char *name, MlirValue end) {
    return adze_for_begin(k->g, name, constant(k, 0), end, constant(k, 1), 0, NULL, NULL);
}

static MlirValue binary(rows *k, const char *op, MlirValue a, MlirValue b) {
    return adze_build1(&k->g->b, op, 2, (MlirValue[]){a, b}, mlirValueGetType(a), 0, NULL);
}

static MlirValue f32(rows *k, double x) { return adze_scalar_f64(&k->g->b, ADZE_f32, x).value; }

/* ---- x, padded and transformed ---- */

static void zeros(rows *k, MlirValue row, int64_t at, int64_t count) {
    if (count <= 0)
        return;
    adze_for loop = loop_to(k, "i", constant(k, count));
    adze_vectorize(k->g, &loop);
    adze_store_raw(k->g, f32(k, 0), k->copy, (MlirValue[]){row, offset(k, loop.iv, at)});
    adze_for_end(k->g, &loop, NULL, NULL);
}

static bool copy(rows *k) {
    adze_gen *g = k->g;
    const adze_contraction *c = &k->c;
    const int64_t pixel = c->channels, width = k->cut.width;
    const int64_t left = c->pad_begin[1] < width ? c->pad_begin[1] : width;
    const int64_t inside = c->in[1] < width - left ? c->in[1] : width - left;
    adze_for row = loop_to(k, "i", constant(k, k->cut.in_rows));
    MlirValue ih = plus(k, offset(k, k->first, -c->pad_begin[0]), row.iv);
    MlirValue is_inside = binary(k, "arith.andi", adze_index_cmp(g, "ge", ih, constant(k, 0)),
                                 adze_index_cmp(g, "lt", ih, constant(k, c->in[0])));
    adze_if branch = adze_if_begin(g, is_inside, 0, NULL);
    zeros(k, row.iv, 0, left * pixel);
    adze_for loop = loop_to(k, "c", constant(k, inside * pixel));
    adze_vectorize(g, &loop);
    MlirValue index[] = {k->batch, ih, constant(k, 0), loop.iv};
    if (pixel == 1) { /* an axis of one element has no index in C: the one before it runs */
        index[2] = loop.iv;
        index[3] = constant(k, 0);
    }
    adze_scalar x;
    if (!adze_read(g, c->x, index, &x))
        return false;
    adze_store_raw(g, x.value, k->copy, (MlirValue[]){row.iv, offset(k, loop.iv, left * pixel)});
    adze_for_end(g, &loop, NULL, NULL);
    zeros(k, row.iv, (left + inside) * pixel, (width - left - inside) * pixel);
    adze_if_else(g, &branch, NULL);
    zeros(k, row.iv, 0, width * pixel);
    adze_if_end(g, &branch, NULL, NULL);
    adze_for_end(g, &row, NULL, NULL);
    return true;
}

static void transform_input(rows *k) {
    adze_gen *g = k->g;
    const adze_winograd_filter *f = &k->cut.filter;
    adze_for part = loop_to(k, "part_of_window", constant(k, k->cut.parts));
    MlirValue from = times(k, part.iv, f->window);
    adze_for loop = loop_to(k, "c", constant(k, k->cut.width * k->c.channels));
    adze_vectorize(g, &loop);
    MlirValue x[ADZE_WINOGRAD_IN];
    for (int i = 0; i < f->in; i++)
        x[i] = adze_load(g, k->copy, (MlirValue[]){offset(k, from, i), loop.iv}).value;
    for (int p = 0; p < f->in; p++)
        adze_store_raw(g, adze_winograd_combine(g, f->bt[p], f->in, x, 1), k->xt,
                       (MlirValue[]){offset(k, part.iv, p * k->cut.parts), loop.iv});
    adze_for_end(g, &loop, NULL, NULL);
    adze_for_end(g, &part, NULL, NULL);
}

/* ---- the products ---- */

/* sums[point][pixel .. pixel + n][columns] */
static void register_block(rows *k, int64_t n, MlirValue panel, MlirValue point, MlirValue pixel) {
    adze_gen *g = k->g;
    const adze_contraction *c = &k->c;
    const int64_t V = k->s->vectors, lanes = k->s->lanes, P = k->cut.parts, run = c->kernel[1] * c->channels;
    const int count = (int)(n * V);
    MlirValue acc[ADZE_MAX_CARRIED], w[ADZE_MAX_CARRIED];
    const char *names[ADZE_MAX_CARRIED];
    MlirValue zero = adze_build1(&g->b, "vector.broadcast", 1, (MlirValue[]){f32(k, 0)}, k->acc, 0, NULL);
    for (int i = 0; i < count; i++) {
        acc[i] = zero;
        names[i] = adze_arena_printf(g->ctx->arena, V > 1 ? "acc%d_%d" : "acc%d", (int)(i / V), (int)(i % V));
    }
    adze_for part, along;
    MlirValue of_window = constant(k, 0);
    if (P > 1) {
        part = adze_for_begin(g, "part_of_window", of_window, constant(k, P), constant(k, 1), count, acc, names);
        memcpy(acc, part.carried, (size_t)count * sizeof *acc);
        of_window = part.iv;
    }
    MlirValue row = plus(k, times(k, point, P), of_window);
    MlirValue w_at = times(k, plus(k, times(k, panel, k->cut.points * P), row), run * k->columns);
    MlirValue x_at = times(k, pixel, c->strides[1] * c->channels);
    adze_name_value(g->ctx, w_at, "w_at");
    adze_name_value(g->ctx, x_at, "x_at");
    along = adze_for_begin(g, "k", constant(k, 0), constant(k, run), constant(k, 1), count, acc, names);
    for (int64_t v = 0; v < V; v++) {
        MlirValue at = offset(k, plus(k, w_at, times(k, along.iv, k->columns)), v * lanes);
        w[v] = adze_build1(&g->b, "vector.load", 2, (MlirValue[]){k->w, at}, k->acc, 0, NULL);
        adze_name_value(g->ctx, w[v], adze_arena_printf(g->ctx->arena, V > 1 ? "w%d" : "wv", (int)v));
    }
    for (int64_t r = 0; r < n; r++) {
        MlirValue at = offset(k, plus(k, x_at, along.iv), r * c->strides[1] * c->channels);
        MlirValue x = adze_load(g, k->xt, (MlirValue[]){row, at}).value;
        x = adze_build1(&g->b, "vector.broadcast", 1, &x, k->acc, 0, NULL);
        for (int64_t v = 0; v < V; v++) {
            MlirValue a = along.carried[r * V + v];
            acc[r * V + v] = k->fma ? adze_build1(&g->b, "math.fma", 3, (MlirValue[]){x, w[v], a}, k->acc, 0, NULL)
                                    : binary(k, "arith.addf", a, binary(k, "arith.mulf", x, w[v]));
        }
    }
    adze_for_end(g, &along, acc, acc);
    if (P > 1)
        adze_for_end(g, &part, acc, acc);
    for (int64_t r = 0; r < n; r++)
        for (int64_t v = 0; v < V; v++)
            adze_build(&g->b, "vector.store", 5,
                       (MlirValue[]){acc[r * V + v], k->sums, point, offset(k, pixel, r), constant(k, v * lanes)},
                       0, NULL, 0, NULL, 0);
}

static void products(rows *k, MlirValue panel) {
    const int64_t n = k->s->rows, width = k->c.out[1], whole = width - width % n;
    adze_for point = loop_to(k, "point", constant(k, k->cut.points));
    if (whole) {
        adze_for pixel = adze_for_begin(k->g, "ow", constant(k, 0), constant(k, whole), constant(k, n), 0, NULL, NULL);
        register_block(k, n, panel, point.iv, pixel.iv);
        adze_for_end(k->g, &pixel, NULL, NULL);
    }
    if (width % n)
        register_block(k, width % n, panel, point.iv, constant(k, whole));
    adze_for_end(k->g, &point, NULL, NULL);
}

/* ---- y ---- */

static bool transform_output(rows *k, MlirValue panel) {
    adze_gen *g = k->g;
    const adze_contraction *c = &k->c;
    const adze_winograd_filter *f = &k->cut.filter;
    MlirValue base = times(k, panel, k->columns), count = constant(k, k->columns);
    if (c->outputs % k->columns)
        count = adze_index_min(g, count, adze_index_sub(g, constant(k, c->outputs), base));
    adze_for pixel = loop_to(k, "ow", constant(k, c->out[1]));
    adze_for output = loop_to(k, "m", count);
    adze_vectorize(g, &output);
    MlirValue at = plus(k, base, output.iv), y[ADZE_WINOGRAD_IN], bias = {NULL};
    for (int p = 0; p < f->in; p++)
        y[p] = adze_load(g, k->sums, (MlirValue[]){constant(k, p), pixel.iv, output.iv}).value;
    if (k->bias.ptr)
        bias = adze_load(g, k->bias, &at).value;
    for (int i = 0; i < f->out; i++) {
        MlirValue oh = offset(k, k->first, i), sum = adze_winograd_combine(g, f->at[i], f->in, y, 1), element;
        if (bias.ptr)
            sum = binary(k, "arith.addf", sum, bias);
        const bool sometimes = c->out[0] % f->out != 0 && i > 0;
        adze_if branch;
        if (sometimes)
            branch = adze_if_begin(g, adze_index_cmp(g, "lt", oh, constant(k, c->out[0])), 0, NULL);
        MlirValue index[] = {k->batch, oh, pixel.iv, at};
        g->tile_tensor = k->sums_of;
        g->tile_value = sum;
        bool ok = adze_read_raw(g, k->value, index, &element);
        g->tile_tensor.ptr = g->tile_value.ptr = NULL;
        if (!ok)
            return false;
        adze_store_raw(g, element, k->memref, index);
        if (sometimes)
            adze_if_end(g, &branch, NULL, NULL);
    }
    adze_for_end(g, &output, NULL, NULL);
    adze_for_end(g, &pixel, NULL, NULL);
    return true;
}

/* ---- the loops around ---- */

static bool all_rows(rows *k) {
    adze_gen *g = k->g;
    const adze_winograd_rows *cut = &k->cut;
    const adze_contraction *c = &k->c;
    MlirValue batches = adze_extent(g, k->value, 0), items = times(k, batches, cut->tiles);
    const double work = (double)adze_index_most(items) * (double)(cut->points * cut->parts * c->out[1]) *
                        (double)(c->kernel[1] * c->channels * k->panels * k->s->vectors);
    adze_parallel share;
    adze_gen_parallel(g, items, work, true, &share);
    MlirValue memory = adze_gen_argument(g, "work"), at = times(k, share.part, cut->work);
    const int64_t width = cut->width * c->channels;
    k->copy = adze_gen_view(g, memory, offset(k, at, cut->copy_at), 2, (int64_t[]){cut->in_rows, width}, "copy");
    k->xt = adze_gen_view(g, memory, offset(k, at, cut->x_at), 2, (int64_t[]){cut->points * cut->parts, width}, "xt");
    k->sums = adze_gen_view(g, memory, offset(k, at, cut->sums_at), 3,
                            (int64_t[]){cut->points, c->out[1], k->columns}, "sums");
    adze_for tile = adze_for_begin(g, "tile", share.begin, share.end, constant(k, 1), 0, NULL, NULL), panel;
    int64_t n;
    const bool single = adze_index_known(batches, &n) && n == 1;
    k->batch = single ? constant(k, 0) : adze_index_div(g, tile.iv, constant(k, cut->tiles));
    k->first = times(k, single ? tile.iv : adze_index_rem(g, tile.iv, constant(k, cut->tiles)), cut->filter.out);
    adze_name_value(g->ctx, k->first, "first");
    if (!copy(k))
        return false;
    transform_input(k);
    MlirValue which = constant(k, 0);
    if (k->panels > 1) {
        panel = loop_to(k, "panel", constant(k, k->panels));
        which = panel.iv;
    }
    products(k, which);
    if (!transform_output(k, which))
        return false;
    if (k->panels > 1)
        adze_for_end(g, &panel, NULL, NULL);
    adze_for_end(g, &tile, NULL, NULL);
    return true;
}

bool adze_gen_winograd_rows(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    adze_context *ctx = g->ctx;
    rows k = {.g = g, .s = s, .sums_of = sums, .value = value, .memref = memref};
    adze_packing p;
    if (!sums.ptr || !adze_contraction_read(ctx, adze_defining(sums), &k.c))
        return adze_gen_refuse(g, s, "what it stores is no channels-last convolution with an elementwise epilogue");
    if (!adze_packing_read(k.c.op, &p) || mlirAttributeIsNull(adze_get(k.c.op, "adze.winograd_parts")) ||
        s->lanes < 2 || p.columns != s->lanes * s->vectors || s->rows < 1 || s->rows * s->vectors > ADZE_MAX_CARRIED)
        return adze_gen_refuse(g, s, "its weight is not packed for it");
    k.columns = p.columns;
    k.panels = (k.c.outputs + p.columns - 1) / p.columns;
    if (!adze_winograd_rows_cut(&k.c, s->tiles, k.columns, &k.cut))
        return adze_gen_refuse(g, s, "its windows have no filter");
    const int64_t packed[5] = {k.panels, k.cut.points, k.cut.parts * k.c.kernel[1] * k.c.channels, p.columns, 1};
    if (!adze_packed_is(ctx, k.c.w, ADZE_f32, packed) ||
        !adze_packed_bias_is(ctx, k.c.bias, ADZE_f32, k.panels * k.columns))
        return adze_gen_refuse(g, s, "its weight is packed in another way");
    MlirValue w = adze_gen_memory(k.c.w), work = adze_gen_work(g, ADZE_f32, k.cut.work * adze_gen_threads(g));
    if (!w.ptr || !work.ptr)
        return adze_gen_refuse(g, s, "its operands are not in memory");
    k.w = adze_gen_flat(g, w);
    if (!adze_is_none(k.c.bias)) {
        k.bias = adze_gen_memory(k.c.bias);
        if (!k.bias.ptr)
            return adze_gen_refuse(g, s, "its bias is not in memory");
    }
    k.acc = adze_vector_of(adze_scalar_type(ctx, ADZE_f32), s->lanes, false);
    k.fma = adze_vector_has(ctx, g->target, "math.fma", k.acc, 3, (MlirType[]){k.acc, k.acc, k.acc});
    return all_rows(&k);
}
