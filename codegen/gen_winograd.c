/* The Winograd family (winograd.h): convolutions in fewer multiplications.
 *
 *   for each row of tiles, for each `tiles` tiles of it
 *     copy    [in0][width][C]        the pixels they read, zero outside x
 *     xt      [points][tiles][C]     Bt d B                    over channels
 *     sums    [points][tiles][M]     a matrix product a point, register blocks of `rows` tiles
 *     y       At sums A + bias       over outputs, with the epilogue
 */
#include "codegen/family.h"
#include "codegen/vector.h"
#include "codegen/winograd.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct winograd {
    adze_gen *g;
    const adze_schedule *s;
    adze_contraction c;
    adze_winograd cut;
    MlirValue sums_of, value, memref; /* the convolution's result, what is stored, and where */
    MlirValue w, bias;
    MlirValue copy, xt, sums; /* work memory: [in0][width][C], [points][tiles][C], [points][tiles][M] */
    MlirType acc;
    bool fma;
    int64_t columns, panels;
    MlirValue batch, row, first; /* the row of tiles; the block's first tile */
} winograd;

static MlirValue constant(winograd *k, int64_t i) { return adze_index(k->g, i); }
static MlirValue times(winograd *k, MlirValue a, int64_t n) { return adze_index_mul(k->g, a, constant(k, n)); }
static MlirValue plus(winograd *k, MlirValue a, MlirValue b) { return adze_index_add(k->g, a, b); }
static MlirValue offset(winograd *k, MlirValue a, int64_t n) { return plus(k, a, constant(k, n)); }

static adze_for loop_to(winograd *k, const char *name, MlirValue end, bool vectors) {
    adze_for loop = adze_for_begin(k->g, name, constant(k, 0), end, constant(k, 1), 0, NULL, NULL);
    if (vectors)
        adze_set(loop.op, "adze.vectorize", mlirUnitAttrGet(k->g->ctx->mlir));
    return loop;
}

static MlirValue f32(winograd *k, double x) { return adze_scalar_f64(&k->g->b, ADZE_f32, x).value; }

static MlirValue binary(winograd *k, const char *op, MlirValue a, MlirValue b) {
    return adze_build1(&k->g->b, op, 2, (MlirValue[]){a, b}, mlirValueGetType(a), 0, NULL);
}

/* Bt x B, or At x A where `output`: [in0][in1] to [in0][in1] or [out0][out1]. */
static void transform(winograd *k, bool output, MlirValue *x) {
    enum { POINTS = ADZE_WINOGRAD_IN * ADZE_WINOGRAD_IN };
    MlirValue half[POINTS], all[POINTS];
    const adze_winograd_filter *f = k->cut.filter;
    const int n0 = f[0].in, n1 = f[1].in, m0 = output ? f[0].out : n0, m1 = output ? f[1].out : n1;
    for (int j = 0; j < n1; j++)
        for (int i = 0; i < m0; i++)
            half[i * n1 + j] = n0 == 1 ? x[j] : adze_winograd_combine(k->g, output ? f[0].at[i] : f[0].bt[i], n0, x + j, n1);
    for (int i = 0; i < m0; i++)
        for (int j = 0; j < m1; j++)
            all[i * m1 + j] = n1 == 1 ? half[i] : adze_winograd_combine(k->g, output ? f[1].at[j] : f[1].bt[j], n1, half + i * n1, 1);
    memcpy(x, all, (size_t)(m0 * m1) * sizeof *x);
}

static MlirValue load(winograd *k, MlirValue from, MlirValue i, MlirValue j, MlirValue c) {
    return adze_load(k->g, from, (MlirValue[]){i, j, c}).value;
}
static void store(winograd *k, MlirValue value, MlirValue to, MlirValue i, MlirValue j, MlirValue c) {
    adze_store_raw(k->g, value, to, (MlirValue[]){i, j, c});
}

/* ---- the pixels that a block reads ---- */

/* Elements of a row of the copy, from pixel `at` on. */
static void zeros(winograd *k, MlirValue row, MlirValue at, MlirValue pixels) {
    adze_for loop = loop_to(k, "c", times(k, pixels, k->c.channels), true);
    store(k, f32(k, 0), k->copy, row, at, loop.iv);
    adze_for_end(k->g, &loop, NULL, NULL);
}

/* One row of the copy: `width` pixels from x's column `start` on, which may lie outside. */
static bool copy_row(winograd *k, MlirValue *index, MlirValue row, MlirValue start, int64_t width) {
    adze_gen *g = k->g;
    const adze_contraction *c = &k->c;
    const int last = c->n - 1;
    MlirValue zero = constant(k, 0), left = zero, right = constant(k, width);
    if (c->pad_begin[last] > 0)
        left = adze_index_min(g, adze_index_max(g, adze_index_sub(g, zero, start), zero), constant(k, width));
    MlirValue room = adze_index_max(g, adze_index_sub(g, constant(k, c->in[last]), start), zero);
    right = adze_index_min(g, right, room);
    zeros(k, row, zero, left);
    MlirValue from = plus(k, start, left);
    MlirValue inside = adze_index_max(g, adze_index_sub(g, right, left), zero);
    adze_for loop = loop_to(k, "c", times(k, inside, c->channels), true);
    index[c->axis[last]] = from;
    index[c->xs.rank - 1] = loop.iv;
    adze_scalar x;
    if (!adze_read(g, c->x, index, &x))
        return false;
    store(k, x.value, k->copy, row, left, loop.iv);
    adze_for_end(g, &loop, NULL, NULL);
    zeros(k, row, right, adze_index_sub(g, constant(k, width), right));
    return true;
}

static bool copy(winograd *k, int64_t tiles) {
    adze_gen *g = k->g;
    const adze_contraction *c = &k->c;
    const int last = c->n - 1;
    const int64_t width = (tiles - 1) * k->cut.out[1] + k->cut.in[1];
    MlirValue index[ADZE_MAX_RANK] = {k->batch};
    for (int d = 1; d < c->xs.rank; d++)
        index[d] = constant(k, 0);
    MlirValue start = offset(k, times(k, k->first, k->cut.out[1]), -c->pad_begin[last]);
    if (c->n == 1)
        return copy_row(k, index, constant(k, 0), start, width);
    adze_for rows = loop_to(k, "i", constant(k, k->cut.in[0]), false);
    MlirValue ih = plus(k, offset(k, times(k, k->row, k->cut.out[0]), -c->pad_begin[0]), rows.iv);
    MlirValue inside = binary(k, "arith.andi", adze_index_cmp(g, "ge", ih, constant(k, 0)),
                              adze_index_cmp(g, "lt", ih, constant(k, c->in[0])));
    adze_if branch = adze_if_begin(g, inside, 0, NULL);
    index[c->axis[0]] = ih;
    if (!copy_row(k, index, rows.iv, start, width))
        return false;
    adze_if_else(g, &branch, NULL);
    zeros(k, rows.iv, constant(k, 0), constant(k, width));
    adze_if_end(g, &branch, NULL, NULL);
    adze_for_end(g, &rows, NULL, NULL);
    return true;
}

/* ---- transforms ---- */

static void transform_input(winograd *k, int64_t tiles) {
    adze_gen *g = k->g;
    const adze_winograd *cut = &k->cut;
    adze_for tile = loop_to(k, "tile", constant(k, tiles), false);
    adze_for channel = loop_to(k, "c", constant(k, k->c.channels), true);
    MlirValue x[ADZE_WINOGRAD_IN * ADZE_WINOGRAD_IN];
    MlirValue from = times(k, tile.iv, cut->out[1]);
    for (int64_t i = 0; i < cut->in[0]; i++)
        for (int64_t j = 0; j < cut->in[1]; j++)
            x[i * cut->in[1] + j] = load(k, k->copy, constant(k, i), offset(k, from, j), channel.iv);
    transform(k, false, x);
    for (int64_t p = 0; p < cut->points; p++)
        store(k, x[p], k->xt, constant(k, p), tile.iv, channel.iv);
    adze_for_end(g, &channel, NULL, NULL);
    adze_for_end(g, &tile, NULL, NULL);
}

/* A condition for output `a` of a tile to lie inside y; null when it always does. */
static MlirValue inside(winograd *k, int axis, MlirValue at) {
    int d = axis - (ADZE_WINOGRAD_AXES - k->c.n);
    return d < 0 || k->c.out[d] % k->cut.out[axis] == 0
               ? (MlirValue){NULL}
               : adze_index_cmp(k->g, "lt", at, constant(k, k->c.out[d]));
}

static bool transform_output(winograd *k, int64_t tiles) {
    adze_gen *g = k->g;
    const adze_winograd *cut = &k->cut;
    const adze_contraction *c = &k->c;
    adze_for tile = loop_to(k, "tile", constant(k, tiles), false);
    MlirValue oh0 = times(k, k->row, cut->out[0]), ow0 = times(k, plus(k, k->first, tile.iv), cut->out[1]);
    adze_for output = loop_to(k, "m", constant(k, c->outputs), true);
    MlirValue y[ADZE_WINOGRAD_IN * ADZE_WINOGRAD_IN], index[ADZE_MAX_RANK];
    for (int64_t p = 0; p < cut->points; p++)
        y[p] = load(k, k->sums, constant(k, p), tile.iv, output.iv);
    transform(k, true, y);
    MlirValue bias = {NULL};
    if (k->bias.ptr)
        bias = adze_load(g, k->bias, &output.iv).value;
    for (int d = 0; d < c->ys.rank; d++)
        index[d] = constant(k, 0);
    index[0] = k->batch;
    index[c->ys.rank - 1] = output.iv;
    for (int64_t i = 0; i < cut->out[0]; i++) {
        MlirValue oh = offset(k, oh0, i), in0 = inside(k, 0, oh);
        for (int64_t j = 0; j < cut->out[1]; j++) {
            MlirValue ow = offset(k, ow0, j), condition = inside(k, 1, ow);
            if (in0.ptr)
                condition = condition.ptr ? binary(k, "arith.andi", in0, condition) : in0;
            adze_if branch;
            MlirValue sum = y[i * cut->out[1] + j];
            if (bias.ptr)
                sum = binary(k, "arith.addf", sum, bias);
            if (condition.ptr)
                branch = adze_if_begin(g, condition, 0, NULL);
            if (c->n > 1)
                index[c->axis[0]] = oh;
            index[c->axis[c->n - 1]] = ow;
            g->tile_tensor = k->sums_of;
            g->tile_value = sum;
            MlirValue element;
            bool ok = adze_read_raw(g, k->value, index, &element);
            g->tile_tensor.ptr = g->tile_value.ptr = NULL;
            if (!ok)
                return false;
            adze_store_raw(g, element, k->memref, index);
            if (condition.ptr)
                adze_if_end(g, &branch, NULL, NULL);
        }
    }
    adze_for_end(g, &output, NULL, NULL);
    adze_for_end(g, &tile, NULL, NULL);
    return true;
}

/* ---- the products ---- */

/* sums[point][tile .. tile + rows][panel] = xt[point][tile ..][:] * w[panel][point] */
static void register_block(winograd *k, int64_t rows, MlirValue point, MlirValue panel, MlirValue tile) {
    adze_gen *g = k->g;
    const int64_t V = k->s->vectors, C = k->c.channels, lanes = k->s->lanes;
    MlirValue acc[ADZE_MAX_CARRIED], w[ADZE_MAX_CARRIED];
    const char *names[ADZE_MAX_CARRIED];
    const int n = (int)(rows * V);
    MlirValue zero = adze_build1(&g->b, "vector.broadcast", 1, (MlirValue[]){f32(k, 0)}, k->acc, 0, NULL);
    for (int i = 0; i < n; i++) {
        acc[i] = zero;
        names[i] = adze_arena_printf(g->ctx->arena, V > 1 ? "acc%d_%d" : "acc%d", (int)(i / V), (int)(i % V));
    }
    MlirValue w_at = times(k, plus(k, times(k, panel, k->cut.points), point), C * k->columns);
    adze_name_value(g->ctx, w_at, "w_at");
    adze_for along = adze_for_begin(g, "c", constant(k, 0), constant(k, C), constant(k, 1), n, acc, names);
    for (int64_t v = 0; v < V; v++) {
        MlirValue at = offset(k, plus(k, w_at, times(k, along.iv, k->columns)), v * lanes);
        w[v] = adze_build1(&g->b, "vector.load", 2, (MlirValue[]){k->w, at}, k->acc, 0, NULL);
        adze_name_value(g->ctx, w[v], adze_arena_printf(g->ctx->arena, V > 1 ? "w%d" : "wv", (int)v));
    }
    for (int64_t r = 0; r < rows; r++) {
        MlirValue x = load(k, k->xt, point, offset(k, tile, r), along.iv);
        x = adze_build1(&g->b, "vector.broadcast", 1, &x, k->acc, 0, NULL);
        for (int64_t v = 0; v < V; v++) {
            MlirValue a = along.carried[r * V + v];
            acc[r * V + v] = k->fma ? adze_build1(&g->b, "math.fma", 3, (MlirValue[]){x, w[v], a}, k->acc, 0, NULL)
                                    : binary(k, "arith.addf", a, binary(k, "arith.mulf", x, w[v]));
        }
    }
    adze_for_end(g, &along, acc, acc);
    MlirValue m = times(k, panel, k->columns);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < V; v++) {
            MlirValue operands[] = {acc[r * V + v], k->sums, point, offset(k, tile, r), offset(k, m, v * lanes)};
            adze_build(&g->b, "vector.store", 5, operands, 0, NULL, 0, NULL, 0);
        }
}

static void products(winograd *k, int64_t tiles) {
    adze_gen *g = k->g;
    const int64_t rows = k->s->rows, whole = tiles - tiles % rows;
    adze_for point = loop_to(k, "point", constant(k, k->cut.points), false), panel;
    MlirValue at = constant(k, 0);
    if (k->panels > 1) {
        panel = loop_to(k, "panel", constant(k, k->panels), false);
        at = panel.iv;
    }
    if (whole) {
        adze_for tile = adze_for_begin(g, "tile", constant(k, 0), constant(k, whole), constant(k, rows), 0, NULL, NULL);
        register_block(k, rows, point.iv, at, tile.iv);
        adze_for_end(g, &tile, NULL, NULL);
    }
    if (tiles % rows)
        register_block(k, tiles % rows, point.iv, at, constant(k, whole));
    if (k->panels > 1)
        adze_for_end(g, &panel, NULL, NULL);
    adze_for_end(g, &point, NULL, NULL);
}

static bool block(winograd *k, int64_t tiles, MlirValue first) {
    k->first = first;
    if (!copy(k, tiles))
        return false;
    transform_input(k, tiles);
    products(k, tiles);
    return transform_output(k, tiles);
}

/* ---- the loops around ---- */

static bool rows_of_tiles(winograd *k) {
    adze_gen *g = k->g;
    const adze_winograd *cut = &k->cut;
    const int64_t along = cut->counts[1], tiles = k->s->tiles < along ? k->s->tiles : along;
    const int64_t whole = along - along % tiles;
    MlirValue batches = adze_extent(g, k->value, 0);
    MlirValue items = times(k, batches, cut->counts[0]);
    const double work = (double)adze_index_most(items) * (double)along * (double)cut->points *
                        (double)k->c.channels * (double)(k->panels * k->s->vectors);
    /* Threads share rows of tiles, or the blocks of the only one. */
    int64_t known;
    const bool one_row = adze_index_known(items, &known) && known == 1;
    adze_parallel share;
    adze_gen_parallel(g, one_row ? constant(k, (along + tiles - 1) / tiles) : items, work, true, &share);
    MlirValue memory = adze_gen_argument(g, "work"), at = times(k, share.part, cut->work);
    k->copy = adze_gen_view(g, memory, offset(k, at, cut->copy_at), 3,
                            (int64_t[]){cut->in[0], cut->copy_width, k->c.channels}, "copy");
    k->xt = adze_gen_view(g, memory, offset(k, at, cut->x_at), 3, (int64_t[]){cut->points, k->s->tiles, k->c.channels}, "xt");
    k->sums = adze_gen_view(g, memory, offset(k, at, cut->sums_at), 3,
                            (int64_t[]){cut->points, k->s->tiles, k->panels * k->columns}, "sums");
    adze_for rows = {0};
    if (!one_row)
        rows = adze_for_begin(g, "row", share.begin, share.end, constant(k, 1), 0, NULL, NULL);
    int64_t n;
    bool single = adze_index_known(batches, &n) && n == 1;
    MlirValue zero = constant(k, 0), row = one_row ? zero : rows.iv, from = zero, to = constant(k, whole);
    k->batch = single ? zero : adze_index_div(g, row, constant(k, cut->counts[0]));
    k->row = single ? row : adze_index_rem(g, row, constant(k, cut->counts[0]));
    if (one_row) {
        from = times(k, share.begin, tiles);
        to = adze_index_min(g, times(k, share.end, tiles), to);
    }
    adze_for blocks = adze_for_begin(g, "first", from, to, constant(k, tiles), 0, NULL, NULL);
    if (!block(k, tiles, blocks.iv))
        return false;
    adze_for_end(g, &blocks, NULL, NULL);
    if (along % tiles) {
        const bool sometimes = one_row && !adze_index_known(share.end, &known);
        adze_if last;
        if (sometimes)
            last = adze_if_begin(g, adze_index_cmp(g, "gt", times(k, share.end, tiles), constant(k, whole)), 0, NULL);
        if (!block(k, along % tiles, constant(k, whole)))
            return false;
        if (sometimes)
            adze_if_end(g, &last, NULL, NULL);
    }
    if (!one_row)
        adze_for_end(g, &rows, NULL, NULL);
    return true;
}

bool adze_gen_winograd(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    adze_context *ctx = g->ctx;
    winograd k = {.g = g, .s = s, .sums_of = sums, .value = value, .memref = memref};
    adze_packing p;
    if (!sums.ptr || !adze_contraction_read(ctx, adze_defining(sums), &k.c))
        return adze_gen_refuse(g, s, "what it stores is no channels-last convolution with an elementwise epilogue");
    adze_contraction_squeeze(&k.c);
    if (!adze_packing_read(k.c.op, &p) || mlirAttributeIsNull(adze_get(k.c.op, "adze.winograd")) ||
        s->lanes < 2 || p.columns != s->lanes * s->vectors || s->rows < 1 || s->rows * s->vectors > ADZE_MAX_CARRIED)
        return adze_gen_refuse(g, s, "its weight is not packed for it");
    k.columns = p.columns;
    k.panels = (k.c.outputs + p.columns - 1) / p.columns;
    if (!adze_winograd_cut(&k.c, s->tiles, k.panels * k.columns, &k.cut))
        return adze_gen_refuse(g, s, "its windows have no filter");
    const int64_t packed[5] = {k.panels, k.cut.points, k.c.channels, p.columns, 1};
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
    return rows_of_tiles(&k);
}
