/* Depthwise convolutions of 8-bit codes on microcontrollers, families "dsp_depthwise" and "helium_depthwise": channels
 * side by side.
 *
 *   for each row of windows
 *     copy the rows of x that it reads to work memory, padded (and widened to halves: dsp)      [rows][width][C]
 *     for each `rows` pixels, for each few channels
 *       sums = bias;  for each tap of the window:  sums += x[tap] * w[tap]
 *       y = epilogue(sums)
 *
 * Four channels a step with SMLABB and SMLATT (halves stand in the order 0 2 1 3 of their four, see gen_dsp.c); eight with
 * VMULLB and VMULLT, whose products of even and of odd channels are stored side by side again. */
#include "codegen/mcu.h"

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
    /* acc[..] for pixel `ow` + r and channels from `channel` on; then the tile from it. */
    void (*compute)(depthwise *d, MlirValue ow, MlirValue channel);
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

typedef void tap_step(depthwise *d, MlirValue x_at, MlirValue w_at, MlirValue *acc);

/* Runs `step` for every tap, with where x (of the first pixel) and w begin for it. */
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
    bool unrolled = leading * per_row <= MOST_TAPS_UNROLLED;
    adze_for loop;
    MlirValue row = constant(d, 0);
    if (!unrolled) {
        loop = adze_for_begin(g, "row", row, constant(d, leading), constant(d, 1), n, acc, names);
        memcpy(acc, loop.carried, (size_t)n * sizeof *acc);
        row = loop.iv;
    }
    for (int64_t r = 0; r < (unrolled ? leading : 1); r++)
        for (int64_t k = 0; k < per_row; k++) {
            MlirValue at_row = plus(d, row, constant(d, r));
            step(d, plus(d, x_at, plus(d, times(d, at_row, d->width * d->channels),
                                       constant(d, k * c->dilations[last] * d->channels))),
                 plus(d, channel, plus(d, times(d, at_row, per_row * d->channels), constant(d, k * d->channels))), acc);
        }
    if (!unrolled)
        adze_for_end(g, &loop, acc, acc);
}

/* ---- four channels: Armv7E-M ---- */

static void step_dsp(depthwise *d, MlirValue x_at, MlirValue w_at, MlirValue *acc) {
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

static void compute_dsp(depthwise *d, MlirValue ow, MlirValue channel) {
    adze_gen *g = d->g;
    const int n = (int)(4 * d->rows);
    MlirValue acc[ADZE_MAX_CARRIED];
    const char *names[ADZE_MAX_CARRIED];
    for (int i = 0; i < n; i++) {
        MlirValue at = plus(d, channel, constant(d, i % 4));
        acc[i] = i < 4 ? adze_load(g, d->in.bias, &at).value : acc[i % 4];
        names[i] = adze_arena_printf(g->ctx->arena, "acc%d", i);
    }
    over_taps(d, ow, channel, n, acc, names, step_dsp);
    for (int i = 0; i < n; i++) {
        MlirValue at = constant(d, i);
        adze_store_raw(g, acc[i], d->tile, &at);
    }
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
    d->compute(d, ow, channels.iv);
    bool ok = finish(d, ow, channels.iv);
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
