/* Depthwise convolutions of 8-bit codes on microcontrollers, families "dsp_depthwise" and "helium_depthwise": channels
 * side by side.
 *
 *   for each row of windows
 *     copy the rows of x that it reads to work memory, padded (and widened to halves: dsp)      [rows][width][C]
 *     for each `rows` pixels, for each few channels
 *       sums = bias;  for each tap of the window:  sums += x[tap] * w[tap]
 *       y = epilogue(sums)
 *
 * Four channels a step with SMLABB and SMLATT (halves stand in the order 0 2 1 3 of their four, see gen_dsp.c); sixteen
 * with VMULLB and VMULLT, which multiply even and odd channels. */
#include "codegen/mcu.h"
#include "codegen/vector.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct depthwise depthwise;
struct depthwise {
    adze_gen *g;
    adze_contraction c;
    adze_mcu_operands in;
    adze_patch patch; /* how rows are copied */
    MlirValue sums, value, memref, tile;
    int64_t rows, width, channels, lanes; /* pixels of a block; a row of the copy, in pixels; channels; of a step */
    MlirValue batch, at[ADZE_MAX_SPATIAL];
    adze_requantize_vectors requantize; /* when y is set: memory as one axis */
    MlirValue y;
    /* Sums of pixels `ow` + r and channels from `channel` on, and what becomes of them. */
    bool (*compute)(depthwise *d, MlirValue ow, MlirValue channel);
};

static MlirValue constant(depthwise *d, int64_t i) { return adze_index(d->g, i); }
static MlirValue times(depthwise *d, MlirValue a, int64_t n) { return adze_index_mul(d->g, a, constant(d, n)); }
static MlirValue plus(depthwise *d, MlirValue a, MlirValue b) { return adze_index_add(d->g, a, b); }

static MlirValue named(depthwise *d, MlirValue v, const char *name, int64_t i) {
    adze_name_value(d->g->ctx, v, adze_arena_printf(d->g->ctx->arena, "%s%d", name, (int)i));
    return v;
}

/* ---- rows of x in work memory ---- */

static void fill(depthwise *d, MlirValue to, int64_t pixels) {
    if (pixels > 0)
        d->patch.fill(&d->patch, to, constant(d, pixels * d->channels / d->patch.depth), d->patch.depth);
}

static void stage(depthwise *d) {
    adze_gen *g = d->g;
    const adze_contraction *c = &d->c;
    const int last = c->n - 1;
    int64_t left = c->pad_begin[last] < d->width ? c->pad_begin[last] : d->width;
    int64_t inside = c->in[last] < d->width - left ? c->in[last] : d->width - left;
    static const char *const names[] = {"kh", "kd", "ka", "kb", "kc"};
    adze_for loops[ADZE_MAX_SPATIAL];
    MlirValue row = constant(d, 0), from = d->batch, within = {NULL};
    for (int i = 0; i < last; i++) {
        loops[i] = adze_for_begin(g, names[(last - 1 - i) % 5], constant(d, 0), constant(d, c->kernel[i]),
                                  constant(d, 1), 0, NULL, NULL);
        row = plus(d, times(d, row, c->kernel[i]), loops[i].iv);
        MlirValue at = plus(d, adze_index_sub(g, times(d, d->at[i], c->strides[i]), constant(d, c->pad_begin[i])),
                            times(d, loops[i].iv, c->dilations[i]));
        from = plus(d, times(d, from, c->in[i]), at);
        MlirValue tests[] = {adze_index_cmp(g, "ge", at, constant(d, 0)),
                             adze_index_cmp(g, "lt", at, constant(d, c->in[i]))};
        for (int k = 0; k < 2; k++)
            within = within.ptr ? adze_build1(&g->b, "arith.andi", 2, (MlirValue[]){within, tests[k]},
                                              mlirValueGetType(within), 0, NULL)
                                : tests[k];
    }
    from = times(d, times(d, from, c->in[last]), d->channels);
    MlirValue to = times(d, row, d->width * d->channels);
    adze_if branch;
    if (within.ptr)
        branch = adze_if_begin(g, within, 0, NULL);
    fill(d, to, left);
    d->patch.copy(&d->patch, from, plus(d, to, constant(d, left * d->channels)),
                  constant(d, inside * d->channels / d->patch.depth), d->patch.depth);
    fill(d, plus(d, to, constant(d, (left + inside) * d->channels)), d->width - left - inside);
    if (within.ptr) {
        adze_if_else(g, &branch, NULL);
        fill(d, to, d->width);
        adze_if_end(g, &branch, NULL, NULL);
    }
    for (int i = last - 1; i >= 0; i--)
        adze_for_end(g, &loops[i], NULL, NULL);
}

/* ---- the taps ---- */

enum { MOST_TAPS_UNROLLED = 9 };

/* n taps, with where x (of the first pixel) and w begin for each. */
typedef void tap_step(depthwise *d, int64_t n, const MlirValue *x_at, const MlirValue *w_at, MlirValue *acc);

/* Runs `step` over the window: all of its taps at once, or row by row in a loop. */
static void over_taps(depthwise *d, MlirValue ow, MlirValue channel, int n, MlirValue *acc, const char *const *names,
                      tap_step *step) {
    adze_gen *g = d->g;
    const adze_contraction *c = &d->c;
    const int last = c->n - 1;
    int64_t leading = 1, per_row = c->kernel[last];
    for (int i = 0; i < last; i++)
        leading *= c->kernel[i];
    MlirValue x_at = plus(d, times(d, ow, c->strides[last] * d->channels), channel);
    adze_name_value(g->ctx, x_at, "x_at");
    const bool unrolled = leading * per_row <= MOST_TAPS_UNROLLED;
    const int64_t taps = unrolled ? leading * per_row : per_row;
    MlirValue *at = ADZE_NEW_ARRAY(g->ctx->arena, MlirValue, (size_t)(2 * taps)), r = constant(d, 0);
    adze_for loop;
    if (!unrolled) {
        loop = adze_for_begin(g, "row", r, constant(d, leading), constant(d, 1), n, acc, names);
        memcpy(acc, loop.carried, (size_t)n * sizeof *acc);
        r = loop.iv;
    }
    for (int64_t k = 0; k < taps; k++) {
        MlirValue here = plus(d, r, constant(d, k / per_row));
        at[k] = plus(d, x_at, plus(d, times(d, here, d->width * d->channels),
                                   constant(d, k % per_row * c->dilations[last] * d->channels)));
        at[taps + k] = plus(d, channel, plus(d, times(d, here, per_row * d->channels),
                                             constant(d, k % per_row * d->channels)));
    }
    step(d, taps, at, at + taps, acc);
    if (!unrolled)
        adze_for_end(g, &loop, acc, acc);
}

/* ---- four channels: Armv7E-M ---- */

static void tap_dsp(depthwise *d, MlirValue x_at, MlirValue w_at, MlirValue *acc) {
    adze_gen *g = d->g;
    MlirValue word = adze_mcu_load(g, d->in.w, w_at), w[2];
    adze_name_value(g->ctx, word, "word");
    w[0] = named(d, adze_mcu(g, "dsp.sxtb16", "u32", 1, &word), "w", 0);
    w[1] = named(d, adze_mcu(g, "dsp.sxtb16.ror8", "u32", 1, &word), "w", 1);
    for (int64_t r = 0; r < d->rows; r++) {
        int64_t pixel = r * d->c.strides[d->c.n - 1] * d->channels;
        MlirValue x[2];
        for (int i = 0; i < 2; i++)
            x[i] = named(d, adze_mcu_word(g, d->in.work, plus(d, x_at, constant(d, pixel + 2 * i))), "x", i);
        for (int i = 0; i < 4; i++) /* channel i: half i / 2 of word i % 2 */
            acc[4 * r + i] = named(d, adze_mcu_ordered(g, i / 2 ? "dsp.smlatt" : "dsp.smlabb", "s32", 3,
                                                       (MlirValue[]){acc[4 * r + i], x[i % 2], w[i % 2]}),
                                   "acc", 4 * r + i);
    }
}

static void taps_dsp(depthwise *d, int64_t n, const MlirValue *x_at, const MlirValue *w_at, MlirValue *acc) {
    for (int64_t k = 0; k < n; k++)
        tap_dsp(d, x_at[k], w_at[k], acc);
}

static bool finish(depthwise *d, MlirValue ow, MlirValue channel);

static bool compute_dsp(depthwise *d, MlirValue ow, MlirValue channel) {
    adze_gen *g = d->g;
    const int n = (int)(4 * d->rows);
    MlirValue acc[ADZE_MAX_CARRIED];
    const char *names[ADZE_MAX_CARRIED] = {0};
    for (int i = 0; i < n; i++) {
        MlirValue at = plus(d, channel, constant(d, i % 4));
        acc[i] = i < 4 ? adze_load(g, d->in.bias, &at).value : acc[i % 4];
        names[i] = adze_arena_printf(g->ctx->arena, "acc%d", i);
    }
    over_taps(d, ow, channel, n, acc, names, taps_dsp);
    for (int i = 0; i < n; i++) {
        MlirValue at = constant(d, i);
        adze_store_raw(g, acc[i], d->tile, &at);
    }
    return finish(d, ow, channel);
}

/* ---- sixteen channels: Helium ---- */

static MlirType vector(depthwise *d, unsigned bits) {
    return adze_vector_of(mlirIntegerTypeGet(d->g->ctx->mlir, bits), 128 / bits, false);
}

static MlirValue row(depthwise *d, const char *name, unsigned bits, int n, const MlirValue *operands) {
    const char *type = bits == 8 ? "s8x16" : bits == 16 ? "s16x8" : "s32x4";
    MlirValue v = adze_build_instruction(&d->g->b, name, type, n, operands, vector(d, bits));
    adze_set(adze_defining(v), "adze.ordered", mlirUnitAttrGet(d->g->ctx->mlir));
    return v;
}

/* Products of even and of odd channels of one tap. */
static void products(depthwise *d, MlirValue x_at, MlirValue w_at, MlirValue out[2]) {
    MlirValue x = named(d, row(d, "load.words", 8, 2, (MlirValue[]){d->in.work, x_at}), "x", 0);
    MlirValue w = named(d, row(d, "load.words", 8, 2, (MlirValue[]){d->in.w, w_at}), "w", 0);
    out[0] = named(d, row(d, "mull.even", 16, 2, (MlirValue[]){x, w}), "even", 0);
    out[1] = named(d, row(d, "mull.odd", 16, 2, (MlirValue[]){x, w}), "odd", 0);
}

/* acc[i]: channels i, i + 4, i + 8, i + 12. Two products fit 16 bits where no weight is -128 (adze.paired). */
static void taps_helium(depthwise *d, int64_t n, const MlirValue *x_at, const MlirValue *w_at, MlirValue *acc) {
    static const char *const widen[] = {"widen.even", "widen.odd"};
    const bool paired = !mlirAttributeIsNull(adze_get(d->c.op, "adze.paired"));
    for (int64_t k = 0; k < n; k++) {
        MlirValue sum[2], more[2];
        products(d, x_at[k], w_at[k], sum);
        if (paired && k + 1 < n) {
            k++;
            products(d, x_at[k], w_at[k], more);
            for (int i = 0; i < 2; i++)
                sum[i] = row(d, "vector.add", 16, 2, (MlirValue[]){sum[i], more[i]});
        }
        for (int i = 0; i < 4; i++) {
            MlirValue wide = row(d, widen[i / 2], 32, 1, &sum[i % 2]);
            acc[i] = named(d, row(d, "vector.add", 32, 2, (MlirValue[]){acc[i], wide}), "acc", i);
        }
    }
}

/* The fourth part i of a table by channel, which pack_mcu.c brought into this order when d->y is set. */
static MlirValue part(depthwise *d, MlirValue table, MlirValue channel, int i) {
    if (d->y.ptr)
        return adze_build1(&d->g->b, "vector.load", 2, (MlirValue[]){table, plus(d, channel, constant(d, 4 * i))},
                           vector(d, 32), 0, NULL);
    return row(d, "load.fourth", 32, 2, (MlirValue[]){table, plus(d, channel, constant(d, i))});
}

static bool compute_helium(depthwise *d, MlirValue ow, MlirValue channel) {
    adze_gen *g = d->g;
    static const char *const names[] = {"acc0", "acc1", "acc2", "acc3"};
    const int last = d->c.n - 1;
    MlirValue acc[4], half[2];
    for (int i = 0; i < 4; i++)
        acc[i] = part(d, d->in.bias, channel, i);
    over_taps(d, ow, channel, 4, acc, names, taps_helium);
    if (!d->y.ptr) {
        adze_build_instruction(&g->b, "store.fourths", "s32x4", 6,
                               (MlirValue[]){d->tile, constant(d, 0), acc[0], acc[1], acc[2], acc[3]}, (MlirType){NULL});
        return finish(d, ow, channel);
    }
    for (int i = 0; i < 4; i++)
        adze_requantize_vectors_left(g, &d->requantize, part(d, d->requantize.multiplier, channel, i),
                                     part(d, d->requantize.shift, channel, i), &acc[i]);
    for (int i = 0; i < 2; i++)
        half[i] = row(d, "narrow.words", 16, 2, (MlirValue[]){acc[i], acc[i + 2]});
    MlirValue at = d->batch, codes = row(d, "narrow.halves", 8, 2, half);
    for (int i = 0; i < last; i++)
        at = plus(d, times(d, at, d->c.out[i]), d->at[i]);
    at = plus(d, times(d, plus(d, times(d, at, d->c.out[last]), ow), d->channels), channel);
    adze_build(&g->b, "vector.store", 3, (MlirValue[]){codes, d->y, at}, 0, NULL, 0, NULL, 0);
    return true;
}

/* ---- results ---- */

/* y of one pixel and one channel from the tile. */
static bool one(depthwise *d, MlirValue ow, int64_t r, MlirValue channel, MlirValue lane) {
    adze_gen *g = d->g;
    const int last = d->c.n - 1;
    MlirValue index[ADZE_MAX_RANK], element;
    index[0] = d->batch;
    for (int i = 0; i < last; i++)
        index[1 + i] = d->at[i];
    index[1 + last] = plus(d, ow, constant(d, r));
    index[2 + last] = plus(d, channel, lane);
    g->tile_tensor = d->sums;
    g->tile = d->tile;
    g->tile_at = plus(d, constant(d, r * d->lanes), lane);
    bool ok = adze_read_raw(g, d->value, index, &element);
    g->tile_tensor.ptr = NULL;
    if (ok)
        adze_store_raw(g, element, d->memref, index);
    return ok;
}

static bool finish(depthwise *d, MlirValue ow, MlirValue channel) {
    if (d->lanes > 4) {
        adze_for loop = adze_for_begin(d->g, "m", constant(d, 0), constant(d, d->lanes), constant(d, 1), 0, NULL, NULL);
        adze_set(loop.op, "adze.vectorize", mlirUnitAttrGet(d->g->ctx->mlir));
        for (int64_t r = 0; r < d->rows; r++)
            if (!one(d, ow, r, channel, loop.iv))
                return false;
        adze_for_end(d->g, &loop, NULL, NULL);
        return true;
    }
    for (int64_t i = 0; i < d->lanes; i++)
        for (int64_t r = 0; r < d->rows; r++)
            if (!one(d, ow, r, channel, constant(d, i)))
                return false;
    return true;
}

static bool row_of_windows(depthwise *d) {
    adze_gen *g = d->g;
    const int64_t out = d->c.out[d->c.n - 1];
    stage(d);
    adze_for pixels, channels;
    MlirValue ow = constant(d, 0);
    if (out > d->rows) { /* the last block begins early enough to be whole */
        pixels = adze_for_begin(g, "block", ow, constant(d, out), constant(d, d->rows), 0, NULL, NULL);
        ow = out % d->rows ? adze_index_min(g, pixels.iv, constant(d, out - d->rows)) : pixels.iv;
        adze_name_value(g->ctx, ow, "ow");
    }
    channels = adze_for_begin(g, "c", constant(d, 0), constant(d, d->channels), constant(d, d->lanes), 0, NULL, NULL);
    bool ok = d->compute(d, ow, channels.iv);
    adze_for_end(g, &channels, NULL, NULL);
    if (out > d->rows)
        adze_for_end(g, &pixels, NULL, NULL);
    return ok;
}

static bool generate(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref,
                     depthwise *d) {
    d->g = g;
    d->sums = sums;
    d->value = value;
    d->memref = memref;
    if (!adze_mcu_open(g, s, sums, &d->c, &d->in))
        return false;
    const adze_contraction *c = &d->c;
    const int last = c->n - 1;
    d->rows = s->rows;
    d->lanes = s->lanes;
    d->width = adze_staged_width(c);
    d->channels = c->group;
    d->patch.g = g;
    d->patch.c = c;
    d->patch.x = d->in.x;
    d->patch.work = d->in.work;
    d->patch.pixels = 1;
    d->patch.unit = d->channels / d->patch.depth;
    const int64_t tile = d->rows * d->lanes;
    d->tile = adze_local(g, "sums", ADZE_i32, 1, &tile);
    MlirValue extents[ADZE_MAX_RANK], index[ADZE_MAX_RANK];
    const char *axis[ADZE_MAX_RANK];
    static const char *const names[] = {"oh", "od", "oa", "ob", "oc"};
    extents[0] = constant(d, c->ys.dims[0]);
    axis[0] = "n";
    for (int i = 0; i < last; i++) {
        extents[1 + i] = constant(d, c->out[i]);
        axis[1 + i] = names[(last - 1 - i) % 5];
    }
    adze_nest nest = adze_nest_begin(g, 1 + last, extents, axis, index);
    d->batch = index[0];
    for (int i = 0; i < last; i++)
        d->at[i] = index[1 + i];
    bool ok = row_of_windows(d);
    adze_nest_end(g, &nest);
    return ok;
}

bool adze_gen_dsp_depthwise(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    depthwise d = {.compute = compute_dsp};
    d.patch = adze_dsp_patch();
    return generate(g, s, sums, value, memref, &d);
}

bool adze_gen_helium_depthwise(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value,
                               MlirValue memref) {
    depthwise d = {.compute = compute_helium};
    adze_shape y;
    if (!adze_value_shape(g->ctx, value, &y))
        return false;
    d.patch = adze_helium_patch(16);
    if (sums.ptr && !mlirAttributeIsNull(adze_get(adze_defining(sums), "adze.fourths")) &&
        adze_requantize_vectors_read(g, sums, value, y.dims[y.rank - 1], &d.requantize))
        d.y = adze_gen_flat(g, memref);
    return generate(g, s, sums, value, memref, &d);
}
