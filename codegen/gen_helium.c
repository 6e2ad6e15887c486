/* Contractions of 8-bit codes with Helium's VMLADAVA (s32 + sixteen products), family "helium".
 *
 *   for each `rows` pixels
 *     copy their patches, each run padded to sixteen                      (patch.c)
 *     for each few outputs
 *       for each two of them: sums = bias;  for each sixteen neighbours k:  sums[r][j] += x[r][k] . w[j][k]
 *       y = epilogue(sums)                                                 marked for the pass "vectorize"
 *
 * The instruction adds to a general register, of which few are free and only the even ones do: blocks of three pixels by
 * two outputs. */
#include "codegen/mcu.h"
#include "codegen/vector.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { DEPTH = 16, COLUMNS = 2, GROUP = 16, MOST_BLOCK_STEPS = 4 };

typedef struct helium {
    adze_gen *g;
    adze_contraction c;
    adze_mcu_operands in;
    adze_patch patch;
    MlirValue sums, value, memref, tile;
    MlirType codes; /* sixteen of them */
    int64_t rows, steps, unroll, group;
    adze_requantize_vectors requantize; /* when y is set: memory as one axis */
    MlirValue y;
} helium;

static MlirValue constant(helium *h, int64_t i) { return adze_index(h->g, i); }
static MlirValue times(helium *h, MlirValue a, int64_t n) { return adze_index_mul(h->g, a, constant(h, n)); }
static MlirValue plus(helium *h, MlirValue a, MlirValue b) { return adze_index_add(h->g, a, b); }

/* ---- patches of bytes ---- */

/* Steps of sixteen or eight bytes: the patch's depth. */
static MlirType step_type(const adze_patch *p) {
    return adze_vector_of(mlirIntegerTypeGet(p->g->ctx->mlir, 8), p->depth, false);
}

static adze_for step_loop(const adze_patch *p, MlirValue steps) {
    return adze_for_begin(p->g, "i", adze_index(p->g, 0), steps, adze_index(p->g, adze_patch_turn(p)), 0, NULL, NULL);
}

static MlirValue ahead(const adze_patch *p, MlirValue at, MlirValue i, int64_t step, int64_t stride) {
    return adze_index_add(p->g, adze_index_add(p->g, at, adze_index_mul(p->g, i, adze_index(p->g, stride))),
                          adze_index(p->g, step * stride));
}

static void copy_bytes(const adze_patch *p, MlirValue from, MlirValue to, MlirValue steps, int64_t stride) {
    adze_builder *b = &p->g->b;
    adze_for loop = step_loop(p, steps);
    for (int64_t i = 0; i < adze_patch_turn(p); i++) {
        MlirValue v = adze_build1(b, "vector.load", 2, (MlirValue[]){p->x, ahead(p, from, loop.iv, i, p->depth)},
                                  step_type(p), 0, NULL);
        adze_build(b, "vector.store", 3, (MlirValue[]){v, p->work, ahead(p, to, loop.iv, i, stride)}, 0, NULL, 0, NULL,
                   0);
    }
    adze_for_end(p->g, &loop, NULL, NULL);
}

static void fill_bytes(const adze_patch *p, MlirValue to, MlirValue steps, int64_t stride) {
    adze_builder *b = &p->g->b;
    adze_for loop = step_loop(p, steps);
    MlirValue code = adze_scalar_i64(b, ADZE_i8, p->c->zero_x).value;
    MlirValue v = adze_build1(b, "vector.broadcast", 1, &code, step_type(p), 0, NULL);
    for (int64_t i = 0; i < adze_patch_turn(p); i++)
        adze_build(b, "vector.store", 3, (MlirValue[]){v, p->work, ahead(p, to, loop.iv, i, stride)}, 0, NULL, 0, NULL,
                   0);
    adze_for_end(p->g, &loop, NULL, NULL);
}

static void element_byte(const adze_patch *p, MlirValue from, MlirValue to, MlirValue k, int64_t stride) {
    adze_gen *g = p->g;
    MlirValue depth = adze_index(g, p->depth);
    adze_scalar x = from.ptr ? adze_load(g, p->x, &from) : adze_scalar_i64(&g->b, ADZE_i8, p->c->zero_x);
    MlirValue at = adze_index_add(g, ahead(p, to, adze_index_div(g, k, depth), 0, stride), adze_index_rem(g, k, depth));
    adze_store(g, x, p->work, &at);
}

adze_patch adze_helium_patch(int64_t depth) {
    return (adze_patch){.depth = depth, .copy = copy_bytes, .fill = fill_bytes, .element = element_byte};
}

/* ---- the block ---- */

/* Sixteen codes at a multiple of four bytes. */
static MlirValue codes(helium *h, MlirValue memref, MlirValue at, const char *name, int64_t i) {
    MlirValue v = adze_build_instruction(&h->g->b, "load.words", "s8x16", 2, (MlirValue[]){memref, at}, h->codes);
    adze_set(adze_defining(v), "adze.ordered", mlirUnitAttrGet(h->g->ctx->mlir));
    adze_name_value(h->g->ctx, v, adze_arena_printf(h->g->ctx->arena, "%s%d", name, (int)i));
    return v;
}

static void step(helium *h, MlirValue w_at, MlirValue x_at, MlirValue *acc) {
    adze_gen *g = h->g;
    MlirValue x[ADZE_MAX_CARRIED];
    for (int64_t r = 0; r < h->rows; r++)
        x[r] = codes(h, h->in.work, plus(h, x_at, constant(h, r * DEPTH)), "x", r);
    for (int64_t j = 0; j < COLUMNS; j++) {
        MlirValue w = codes(h, h->in.w, plus(h, w_at, constant(h, j * DEPTH)), "w", j);
        for (int64_t r = 0; r < h->rows; r++) {
            MlirValue *a = &acc[r * COLUMNS + j];
            *a = adze_build_instruction(&g->b, "dot.accumulate", "s8x16", 3, (MlirValue[]){*a, x[r], w},
                                        mlirValueGetType(*a));
            adze_set(adze_defining(*a), "adze.ordered", mlirUnitAttrGet(g->ctx->mlir));
            adze_name_value(g->ctx, *a, adze_arena_printf(g->ctx->arena, "acc%d_%d", (int)r, (int)j));
        }
    }
}

/* Sums of two outputs from `output` on, to column `column` of the tile. */
static void two_outputs(helium *h, MlirValue output, MlirValue column) {
    adze_gen *g = h->g;
    const int n = (int)(h->rows * COLUMNS);
    const char *names[ADZE_MAX_CARRIED];
    MlirValue acc[ADZE_MAX_CARRIED];
    for (int i = 0; i < n; i++) {
        MlirValue at = plus(h, output, constant(h, i % COLUMNS));
        acc[i] = i < COLUMNS ? adze_load(g, h->in.bias, &at).value : acc[i % COLUMNS];
        names[i] = adze_arena_printf(g->ctx->arena, "acc%d_%d", i / COLUMNS, i % COLUMNS);
    }
    if (h->steps == h->unroll) /* else gcc moves all of the patch out of the loop over outputs, onto the stack */
        adze_build_instruction(&g->b, "barrier", "u32", 0, NULL, (MlirType){NULL});
    MlirValue panel = times(h, output, h->steps * DEPTH), k = constant(h, 0);
    adze_name_value(g->ctx, panel, "panel");
    adze_for loop;
    if (h->steps > h->unroll) {
        loop = adze_for_begin(g, "k", k, constant(h, h->steps), constant(h, h->unroll), n, acc, names);
        memcpy(acc, loop.carried, (size_t)n * sizeof *acc);
        k = loop.iv;
    }
    for (int64_t u = 0; u < h->unroll; u++)
        step(h, plus(h, plus(h, panel, times(h, k, COLUMNS * DEPTH)), constant(h, u * COLUMNS * DEPTH)),
             plus(h, times(h, k, h->rows * DEPTH), constant(h, u * h->rows * DEPTH)), acc);
    if (h->steps > h->unroll)
        adze_for_end(g, &loop, acc, acc);
    for (int i = 0; i < n; i++) {
        MlirValue at = plus(h, column, constant(h, i / COLUMNS * h->group + i % COLUMNS));
        adze_store_raw(g, acc[i], h->tile, &at);
    }
}

/* The same, four outputs at a time. */
static void finish_vectors(helium *h, MlirValue pixel, MlirValue first, MlirValue count) {
    adze_gen *g = h->g;
    MlirValue from[ADZE_MAX_CARRIED], to[ADZE_MAX_CARRIED];
    adze_for loop = adze_for_begin(g, "m", constant(h, 0), count, constant(h, 4), 0, NULL, NULL);
    MlirValue channel = plus(h, first, loop.iv);
    for (int64_t r = 0; r < h->rows; r++) {
        from[r] = plus(h, loop.iv, constant(h, r * h->group));
        to[r] = plus(h, times(h, plus(h, pixel, constant(h, r)), h->c.outputs), channel);
    }
    adze_requantize_vectors_build(g, &h->requantize, h->tile, h->rows, from, channel, h->y, to);
    adze_for_end(g, &loop, NULL, NULL);
}

/* y of the block's pixels, outputs first .. first + count - 1, from the tile. */
static bool finish(helium *h, MlirValue pixel, MlirValue first, MlirValue count) {
    adze_gen *g = h->g;
    const int rank = h->c.ys.rank;
    MlirValue index[ADZE_MAX_CARRIED][ADZE_MAX_RANK], element[ADZE_MAX_CARRIED];
    adze_for loop = adze_for_begin(g, "m", constant(h, 0), count, constant(h, 1), 0, NULL, NULL);
    adze_set(loop.op, "adze.vectorize", mlirUnitAttrGet(g->ctx->mlir));
    bool ok = true;
    /* all pixels before the first store, so that they share what stands by channel */
    for (int64_t r = 0; r < h->rows && ok; r++) {
        for (int i = 0; i < rank; i++)
            index[r][i] = constant(h, 0);
        if (rank > 1)
            index[r][rank - 2] = plus(h, pixel, constant(h, r));
        index[r][rank - 1] = plus(h, first, loop.iv);
        g->tile_tensor = h->sums;
        g->tile = h->tile;
        g->tile_at = plus(h, loop.iv, constant(h, r * h->group));
        ok = adze_read_raw(g, h->value, index[r], &element[r]);
        g->tile_tensor.ptr = NULL;
    }
    for (int64_t r = 0; r < h->rows && ok; r++)
        adze_store_raw(g, element[r], h->memref, index[r]);
    adze_for_end(g, &loop, NULL, NULL);
    return ok;
}

static bool outputs(helium *h, MlirValue pixel) {
    adze_gen *g = h->g;
    const int64_t all = h->c.outputs;
    MlirValue first = constant(h, 0), count = constant(h, all < h->group ? all : h->group);
    adze_for groups;
    if (all > h->group) {
        groups = adze_for_begin(g, "group", first, constant(h, all), constant(h, h->group), 0, NULL, NULL);
        first = groups.iv;
        if (all % h->group)
            count = adze_index_min(g, count, adze_index_sub(g, constant(h, all), first));
    }
    adze_for pair = adze_for_begin(g, "j", constant(h, 0), count, constant(h, COLUMNS), 0, NULL, NULL);
    two_outputs(h, plus(h, first, pair.iv), pair.iv);
    adze_for_end(g, &pair, NULL, NULL);
    bool ok = true;
    if (h->y.ptr)
        finish_vectors(h, pixel, first, count);
    else
        ok = finish(h, pixel, first, count);
    if (all > h->group)
        adze_for_end(g, &groups, NULL, NULL);
    return ok;
}

bool adze_gen_helium(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    helium h = {.g = g, .sums = sums, .value = value, .memref = memref, .rows = s->rows};
    if (!adze_mcu_open(g, s, sums, &h.c, &h.in))
        return false;
    h.codes = adze_vector_of(mlirIntegerTypeGet(g->ctx->mlir, 8), DEPTH, false);
    h.steps = adze_patch_steps(&h.c, DEPTH);
    for (h.unroll = MOST_BLOCK_STEPS; h.steps % h.unroll;)
        h.unroll--;
    h.group = h.c.outputs < GROUP ? (h.c.outputs + COLUMNS - 1) / COLUMNS * COLUMNS : GROUP;
    h.patch = adze_helium_patch(DEPTH);
    h.patch.g = g;
    h.patch.c = &h.c;
    h.patch.x = h.in.x;
    h.patch.work = h.in.work;
    h.patch.pixels = h.rows;
    h.patch.unit = adze_patch_unit(&h.c, DEPTH);
    if (adze_requantize_vectors_read(g, sums, value, h.c.outputs, &h.requantize))
        h.y = adze_gen_flat(g, memref);
    const int64_t tile = h.rows * h.group, count = adze_patch_pixels(&h.c);
    h.tile = adze_local(g, "sums", ADZE_i32, 1, &tile);
    adze_for blocks;
    MlirValue pixel = constant(&h, 0);
    if (count > h.rows) { /* the last block begins early enough to be whole */
        blocks = adze_for_begin(g, "block", pixel, constant(&h, count), constant(&h, h.rows), 0, NULL, NULL);
        pixel = count % h.rows ? adze_index_min(g, blocks.iv, constant(&h, count - h.rows)) : blocks.iv;
        adze_name_value(g->ctx, pixel, "pixel");
    }
    adze_patch_build(&h.patch, pixel);
    if (!outputs(&h, pixel))
        return false;
    if (count > h.rows)
        adze_for_end(g, &blocks, NULL, NULL);
    return true;
}
