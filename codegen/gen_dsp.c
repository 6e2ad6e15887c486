/* Contractions of 8-bit codes with Armv7E-M's SMLAD (s32 + two products of halves), family "dsp".
 *
 *   for each `rows` pixels
 *     copy their patches, widened to halves                              (patch.c)
 *     for each two outputs c, c + 1
 *       for each four neighbours k of the window
 *         w0, w1 = eight bytes of weights;  for each pixel x0, x1 = four halves of its patch
 *         accumulate
 *       y = epilogue(sums + bias)
 *
 * Widening a word gives its even and its odd bytes, so halves stand in the order 0 2 1 3 of their four, in patches and in
 * weights alike. Weights are widened in the inner loop; how depends on what pack_mcu.c could show of them:
 *
 *   paired   a half of a word of weights is 256 * w[c+1] + w[c]. As it stands it accumulates
 *            a = sum of x * (256 * w[c+1] + w[c]); its even bytes accumulate b = sum of x * w[c]. Then sums[c] = b and
 *            sums[c+1] = (a - b) >> 8, exact as long as |sums[c+1]| < 2^23. One widening for two words of products.
 *   plain    a word is four weights of one output: two widenings. */
#include "codegen/mcu.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct dsp {
    adze_gen *g;
    adze_contraction c;
    adze_patch patch;
    MlirValue w, bias, tile, sums, value, memref;
    bool paired;
    int64_t rows, steps, unroll;
} dsp;

static MlirValue constant(dsp *d, int64_t i) { return adze_index(d->g, i); }
static MlirValue times(dsp *d, MlirValue a, int64_t n) { return adze_index_mul(d->g, a, constant(d, n)); }
static MlirValue plus(dsp *d, MlirValue a, MlirValue b) { return adze_index_add(d->g, a, b); }

/* ---- patches of halves ---- */

static void store_halves(const adze_patch *p, MlirValue even, MlirValue odd, MlirValue to) {
    adze_mcu_store(p->g, p->work, to, even);
    adze_mcu_store(p->g, p->work, adze_index_add(p->g, to, adze_index(p->g, 2)), odd);
}

static adze_for step_loop(const adze_patch *p, MlirValue steps) {
    return adze_for_begin(p->g, "i", adze_index(p->g, 0), steps, adze_index(p->g, adze_patch_turn(p)), 0, NULL, NULL);
}

static MlirValue ahead(const adze_patch *p, MlirValue at, MlirValue i, int64_t step, int64_t stride) {
    adze_gen *g = p->g;
    return adze_index_add(g, adze_index_add(g, at, adze_index_mul(g, i, adze_index(g, stride))),
                          adze_index(g, step * stride));
}

static void copy_halves(const adze_patch *p, MlirValue from, MlirValue to, MlirValue steps, int64_t stride) {
    adze_gen *g = p->g;
    adze_for loop = step_loop(p, steps);
    const bool is_signed = p->c->x_type == ADZE_i8;
    for (int64_t i = 0; i < adze_patch_turn(p); i++) {
        MlirValue word = adze_mcu_load(g, p->x, ahead(p, from, loop.iv, i, p->depth));
        adze_name_value(g->ctx, word, "word");
        store_halves(p, adze_mcu(g, is_signed ? "dsp.sxtb16" : "dsp.uxtb16", "u32", 1, &word),
                     adze_mcu(g, is_signed ? "dsp.sxtb16.ror8" : "dsp.uxtb16.ror8", "u32", 1, &word),
                     ahead(p, to, loop.iv, i, stride));
    }
    adze_for_end(g, &loop, NULL, NULL);
}

static void fill_halves(const adze_patch *p, MlirValue to, MlirValue steps, int64_t stride) {
    adze_gen *g = p->g;
    adze_for loop = step_loop(p, steps);
    uint32_t half = (uint32_t)p->c->zero_x & 0xffff;
    MlirValue twice = adze_scalar_i64(&g->b, ADZE_i32, (int32_t)(half | half << 16)).value;
    for (int64_t i = 0; i < adze_patch_turn(p); i++)
        store_halves(p, twice, twice, ahead(p, to, loop.iv, i, stride));
    adze_for_end(g, &loop, NULL, NULL);
}

static void element_halves(const adze_patch *p, MlirValue from, MlirValue to, MlirValue k, int64_t stride) {
    adze_gen *g = p->g;
    adze_scalar x = adze_scalar_i64(&g->b, ADZE_i16, p->c->zero_x);
    if (from.ptr) {
        x = adze_load(g, p->x, &from);
        adze_scalar_cast(&g->b, x, ADZE_i16, false, &x);
    }
    MlirValue four = adze_index(g, 4), two = adze_index(g, 2), in_step = adze_index_rem(g, k, four);
    MlirValue at = adze_index_add(g, to, adze_index_mul(g, adze_index_div(g, k, four), adze_index(g, stride)));
    at = adze_index_add(g, at, adze_index_mul(g, adze_index_rem(g, in_step, two), two));
    at = adze_index_add(g, at, adze_index_div(g, in_step, two));
    adze_store(g, x, p->work, &at);
}

adze_patch adze_dsp_patch(void) {
    return (adze_patch){.depth = 4, .copy = copy_halves, .fill = fill_halves, .element = element_halves};
}

/* ---- the block ---- */

static MlirValue named(dsp *d, MlirValue v, const char *name, int64_t i) {
    adze_name_value(d->g->ctx, v, adze_arena_printf(d->g->ctx->arena, "%s%d", name, (int)i));
    return v;
}

static MlirValue accumulate(dsp *d, MlirValue acc, MlirValue x, MlirValue w, const char *name, int64_t row) {
    return named(d, adze_mcu_ordered(d->g, "dsp.smlad", "s32", 3, (MlirValue[]){acc, x, w}), name, row);
}

/* Four neighbours: acc[2 * r] and acc[2 * r + 1] of every pixel. `at_w` in bytes, `at_x` in halves. */
static void step(dsp *d, MlirValue at_w, MlirValue at_x, MlirValue *acc) {
    adze_gen *g = d->g;
    MlirValue word[2], w[2][2]; /* [output][halves 0 2, 1 3] */
    for (int i = 0; i < 2; i++)
        word[i] = named(d, adze_mcu_word(g, d->w, plus(d, at_w, constant(d, 4 * i))), "word", i);
    for (int i = 0; i < 2; i++) {
        if (d->paired) {
            w[0][i] = word[i];
            w[1][i] = named(d, adze_mcu(g, "dsp.sxtb16", "u32", 1, &word[i]), "w", i);
        } else {
            w[i][0] = named(d, adze_mcu(g, "dsp.sxtb16", "u32", 1, &word[i]), "w", 2 * i);
            w[i][1] = named(d, adze_mcu(g, "dsp.sxtb16.ror8", "u32", 1, &word[i]), "w", 2 * i + 1);
        }
    }
    for (int64_t r = 0; r < d->rows; r++) {
        MlirValue x[2];
        for (int i = 0; i < 2; i++)
            x[i] = named(d, adze_mcu_word(g, d->patch.work, plus(d, at_x, constant(d, r * 4 + 2 * i))), "x", i);
        for (int i = 0; i < 2; i++) {
            acc[2 * r] = accumulate(d, acc[2 * r], x[i], w[0][i], "a", r);
            acc[2 * r + 1] = accumulate(d, acc[2 * r + 1], x[i], w[1][i], "b", r);
        }
    }
}

static MlirValue add(dsp *d, const char *op, MlirValue a, MlirValue b) {
    return adze_build1(&d->g->b, op, 2, (MlirValue[]){a, b}, mlirValueGetType(a), 0, NULL);
}

/* The two outputs of every pixel from what was accumulated. */
static bool finish(dsp *d, MlirValue first, MlirValue output, const MlirValue *acc) {
    adze_gen *g = d->g;
    const int rank = d->c.ys.rank;
    MlirValue index[ADZE_MAX_RANK];
    for (int i = 0; i < rank; i++)
        index[i] = constant(d, 0);
    for (int j = 0; j < 2; j++) {
        MlirValue m = plus(d, output, constant(d, j));
        adze_if only;
        bool last = j && d->c.outputs % 2;
        if (last)
            only = adze_if_begin(g, adze_index_cmp(g, "lt", m, constant(d, d->c.outputs)), 0, NULL);
        MlirValue bias = d->bias.ptr ? adze_load(g, d->bias, &m).value : (MlirValue){NULL};
        for (int64_t r = 0; r < d->rows; r++) {
            MlirValue sum = acc[2 * r + 1 - (d->paired ? 0 : !j)], at = constant(d, r * 2 + j);
            if (d->paired && j) {
                MlirValue eight = adze_scalar_i64(&g->b, ADZE_i32, 8).value;
                sum = add(d, "arith.shrsi", add(d, "arith.subi", acc[2 * r], acc[2 * r + 1]), eight);
            }
            if (bias.ptr)
                sum = add(d, "arith.addi", sum, bias);
            adze_store_raw(g, sum, d->tile, &at);
            if (rank > 1)
                index[rank - 2] = plus(d, first, constant(d, r));
            index[rank - 1] = m;
            g->tile_tensor = d->sums;
            g->tile = d->tile;
            g->tile_at = at;
            MlirValue element;
            bool ok = adze_read_raw(g, d->value, index, &element);
            g->tile_tensor.ptr = NULL;
            if (!ok)
                return false;
            adze_store_raw(g, element, d->memref, index);
        }
        if (last)
            adze_if_end(g, &only, NULL, NULL);
    }
    return true;
}

static bool outputs(dsp *d, MlirValue first) {
    adze_gen *g = d->g;
    const int n = (int)(2 * d->rows);
    const char *names[ADZE_MAX_CARRIED];
    MlirValue acc[ADZE_MAX_CARRIED], zero = adze_scalar_i64(&g->b, ADZE_i32, 0).value;
    for (int i = 0; i < n; i++) {
        names[i] = adze_arena_printf(g->ctx->arena, "%c%d", i % 2 ? 'b' : 'a', i / 2);
        acc[i] = zero;
    }
    adze_for over = adze_for_begin(g, "m", constant(d, 0), constant(d, d->c.outputs), constant(d, 2), 0, NULL, NULL);
    MlirValue panel = times(d, over.iv, d->steps * 4);
    adze_name_value(g->ctx, panel, "panel");
    adze_for k = adze_for_begin(g, "k", constant(d, 0), constant(d, d->steps), constant(d, d->unroll), n, acc, names);
    memcpy(acc, k.carried, (size_t)n * sizeof *acc);
    for (int64_t u = 0; u < d->unroll; u++)
        step(d, plus(d, plus(d, panel, times(d, k.iv, 8)), constant(d, u * 8)),
             plus(d, times(d, k.iv, 4 * d->rows), constant(d, u * 4 * d->rows)), acc);
    adze_for_end(g, &k, acc, acc);
    bool ok = finish(d, first, over.iv, acc);
    adze_for_end(g, &over, NULL, NULL);
    return ok;
}

bool adze_gen_dsp(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    enum { BLOCK_STEPS = 8 };
    dsp d = {.g = g, .sums = sums, .value = value, .memref = memref, .rows = s->rows};
    adze_mcu_operands in;
    if (!adze_mcu_open(g, s, sums, &d.c, &in))
        return false;
    d.w = in.w;
    d.bias = in.bias;
    d.paired = !mlirAttributeIsNull(adze_get(d.c.op, "adze.paired"));
    d.steps = adze_patch_steps(&d.c, 4);
    for (d.unroll = d.rows < BLOCK_STEPS ? BLOCK_STEPS / d.rows : 1; d.unroll > 1 && d.steps % d.unroll;)
        d.unroll--;
    d.patch = adze_dsp_patch();
    d.patch.g = g;
    d.patch.c = &d.c;
    d.patch.x = in.x;
    d.patch.work = in.work;
    d.patch.pixels = d.rows;
    d.patch.unit = adze_patch_unit(&d.c, 4);
    const int64_t tile = 2 * d.rows, count = adze_patch_pixels(&d.c);
    d.tile = adze_local(g, "sums", ADZE_i32, 1, &tile);
    adze_for blocks;
    MlirValue first = constant(&d, 0);
    if (count > d.rows) { /* the last block begins early enough to be whole */
        blocks = adze_for_begin(g, "block", first, constant(&d, count), constant(&d, d.rows), 0, NULL, NULL);
        first = count % d.rows ? adze_index_min(g, blocks.iv, constant(&d, count - d.rows)) : blocks.iv;
        adze_name_value(g->ctx, first, "pixel");
    }
    adze_patch_build(&d.patch, first);
    if (!outputs(&d, first))
        return false;
    if (count > d.rows)
        adze_for_end(g, &blocks, NULL, NULL);
    return true;
}
