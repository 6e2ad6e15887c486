/* The contraction family: matmul and convolution as an implicit matrix product, for vectors and scalars alike.
 *
 *   for each row of windows (or, where pixels are one axis, for all of them)
 *     copy the rows of x that it reads, padded                 [staged]
 *     for each panel of `vectors * lanes` outputs
 *       for each `rows` pixels
 *         acc[rows][vectors] = bias
 *         for each run of the window, each k of the run:  acc[r][v] += x[r, k] * w[k, v]
 *         tile = acc;  y = epilogue(tile)
 *
 * Accumulators are loop-carried values, so they stay in registers. The weight was packed in the order it is read
 * (pack.c); with AMX the block is tiles (gen_amx.c). The epilogue is the scalar loop that reads through the operations behind the convolution; it is marked
 * for the pass "vectorize". */
#include "codegen/contraction_block.h"
#include "codegen/family.h"
#include "codegen/vector.h"
#include "ir/plan.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef adze_block block;

static MlirValue constant(block *b, int64_t i) { return adze_index(b->g, i); }
static MlirValue times(block *b, MlirValue a, int64_t n) {
    return adze_index_mul(b->g, a, constant(b, n));
}
static MlirValue plus(block *b, MlirValue a, MlirValue c) { return adze_index_add(b->g, a, c); }

/* ---- values of the block ---- */

static MlirValue load_step(block *b, MlirValue memref, MlirValue at, MlirType type) {
    MlirValue operands[] = {memref, at};
    return adze_build1(&b->g->b, b->vectors ? "vector.load" : "memref.load", 2, operands, type, 0, NULL);
}

static void store_step(block *b, MlirValue value, MlirValue memref, MlirValue at) {
    MlirValue operands[] = {value, memref, at};
    adze_build(&b->g->b, b->vectors ? "vector.store" : "memref.store", 3, operands, 0, NULL, 0, NULL, 0);
}

static MlirValue splat(block *b, MlirValue scalar, MlirType type) {
    return b->vectors ? adze_build1(&b->g->b, "vector.broadcast", 1, &scalar, type, 0, NULL) : scalar;
}

static MlirValue zero(block *b) {
    adze_scalar z = b->is_float ? adze_scalar_f64(&b->g->b, b->c.acc_type, 0)
                                : adze_scalar_i64(&b->g->b, b->c.acc_type, 0);
    return splat(b, z.value, b->acc);
}

static MlirType like(block *b, MlirType element, int64_t per_lane) {
    return b->vectors ? adze_vector_of(element, b->s->lanes * per_lane, b->s->scalable != 0) : element;
}

static MlirType integer(block *b, unsigned bits) { return mlirIntegerTypeGet(b->g->ctx->mlir, bits); }

/* acc + a * w. Integer sums wrap as C's unsigned ones do, unless they were shown not to. */
static MlirValue multiply_add(block *b, MlirValue acc, MlirValue a, MlirValue w) {
    adze_builder *at = &b->g->b;
    if (b->st.dot)
        return adze_build_instruction(at, b->st.dot, adze_vector_spelling(b->g->ctx, b->acc, 's'), 3,
                                      (MlirValue[]){acc, a, w}, b->acc);
    if (b->is_float && b->fma)
        return adze_build1(at, "math.fma", 3, (MlirValue[]){a, w, acc}, b->acc, 0, NULL);
    adze_named nsw = {"overflowFlags", adze_parse_attr(b->g->ctx, "#arith.overflow<nsw>")};
    int n = !b->is_float && !b->vectors && !mlirAttributeIsNull(adze_get(b->c.op, "adze.no_overflow"));
    MlirValue product = adze_build1(at, b->is_float ? "arith.mulf" : "arith.muli", 2,
                                    (MlirValue[]){a, w}, b->acc, n, &nsw);
    return adze_build1(at, b->is_float ? "arith.addf" : "arith.addi", 2, (MlirValue[]){acc, product},
                       b->acc, n, &nsw);
}

/* `depth` neighbours of x from `at` on, in every lane; `alone`: one, and a zero beside it. */
static MlirValue x_value(block *b, MlirValue at, bool alone) {
    adze_builder *to = &b->g->b;
    MlirValue operands[] = {b->x, at};
    if (b->p.depth > 1) {
        MlirValue word;
        if (alone) { /* what follows may be no number: it must not meet the zeros of w */
            MlirType half = adze_element_type(b->g->ctx, b->st.type);
            word = adze_build1(to, "memref.load", 2, operands, half, 0, NULL);
            word = adze_build1(to, "arith.bitcast", 1, &word, integer(b, 16), 0, NULL);
            word = adze_build1(to, "arith.extui", 1, &word, integer(b, 32), 0, NULL);
        } else {
            word = adze_build1(to, "adze.load_word", 2, operands, integer(b, 32), 0, NULL);
        }
        MlirValue words = splat(b, word, like(b, integer(b, 32), 1));
        MlirType narrow = b->is_float ? adze_element_type(b->g->ctx, b->st.type)
                                      : integer(b, b->p.depth == 2 ? 16 : 8);
        MlirType codes = like(b, narrow, b->p.depth);
        MlirValue v = adze_build1(to, "vector.bitcast", 1, &words, codes, 0, NULL);
        if (b->st.type == ADZE_u8)
            v = adze_build1(to, "builtin.unrealized_conversion_cast", 1, &v,
                            like(b, adze_element_type(b->g->ctx, ADZE_u8), 4), 0, NULL);
        return v;
    }
    adze_scalar x = adze_load(b->g, b->x, &at);
    if (!b->is_float)
        adze_scalar_cast(to, x, b->c.acc_type, false, &x);
    return splat(b, x.value, b->acc);
}

static MlirValue w_value(block *b, MlirValue at) {
    MlirValue w = load_step(b, b->w, at, b->step);
    if (b->is_float)
        return b->p.depth > 1 || mlirTypeEqual(b->step, b->acc)
                   ? w
                   : adze_build1(&b->g->b, "arith.extf", 1, &w, b->acc, 0, NULL);
    if (b->p.depth == 4)
        return w;
    MlirType wide = b->p.depth == 2 ? like(b, integer(b, 16), 2) : b->acc;
    return adze_build1(&b->g->b, "arith.extsi", 1, &w, wide, 0, NULL);
}

/* ---- the register block ---- */

static const char *acc_name(block *b, int64_t r, int64_t v) {
    return b->s->vectors > 1 ? adze_arena_printf(b->g->ctx->arena, "acc%d_%d", (int)r, (int)v)
                             : adze_arena_printf(b->g->ctx->arena, "acc%d", (int)r);
}

/* Where the first pixel's run begins in x. */
static MlirValue run_start(block *b, MlirValue pixel, const MlirValue *tap) {
    const adze_contraction *c = &b->c;
    int last = c->n - 1;
    int64_t pixel_elements = c->group * c->channels;
    MlirValue at;
    if (b->st.flat)
        return times(b, pixel, b->chunk);
    if (c->n == 0) {
        at = b->st.staged ? b->work_at : times(b, b->batch, pixel_elements);
        return c->group > 1 ? plus(b, at, times(b, b->group, c->channels)) : at;
    }
    if (c->n && b->st.staged) {
        at = constant(b, 0); /* row of the copy */
        for (int d = 0; d < last; d++)
            at = plus(b, times(b, at, c->kernel[d]), tap[d]);
        at = times(b, at, adze_staged_width(c));
        pixel = plus(b, times(b, pixel, c->strides[last]), at);
        if (!c->wide_runs)
            pixel = plus(b, pixel, times(b, tap[last], c->dilations[last]));
        at = plus(b, b->work_at, times(b, pixel, pixel_elements));
        return c->group > 1 ? plus(b, at, times(b, b->group, c->channels)) : at;
    } else {
        at = b->batch;
        for (int d = 0; d < last; d++)
            at = plus(b, times(b, at, c->in[d]),
                      plus(b, times(b, b->at[d], c->strides[d]), times(b, tap[d], c->dilations[d])));
        at = times(b, at, c->in[last]);
    }
    at = plus(b, at, times(b, pixel, c->strides[last]));
    if (!c->wide_runs)
        at = plus(b, at, times(b, tap[last], c->dilations[last]));
    at = times(b, at, pixel_elements);
    return c->group > 1 ? plus(b, at, times(b, b->group, c->channels)) : at;
}

/* acc += x[r] * w for `depth` neighbours from x_at and w_at on. */
static void step(block *b, int64_t rows, MlirValue x_at, MlirValue w_at, bool alone, MlirValue *acc) {
    adze_gen *g = b->g;
    const int64_t V = b->s->vectors;
    MlirValue w[ADZE_MAX_CARRIED];
    for (int64_t v = 0; v < V; v++) {
        w[v] = w_value(b, plus(b, w_at, constant(b, v * b->s->lanes * b->p.depth)));
        adze_name_value(g->ctx, w[v], adze_arena_printf(g->ctx->arena, V > 1 ? "w%d" : "wv", (int)v));
    }
    for (int64_t r = 0; r < rows; r++) {
        MlirValue a = x_value(b, plus(b, x_at, constant(b, r * b->chunk)), alone);
        for (int64_t v = 0; v < V; v++)
            acc[r * V + v] = multiply_add(b, acc[r * V + v], a, w[v]);
    }
}

static MlirValue whole_panel(block *b) { return plus(b, times(b, b->group, b->panels), b->panel); }

MlirValue adze_block_column(adze_block *b, MlirValue column) {
    return plus(b, times(b, whole_panel(b), b->p.columns), column);
}

adze_taps adze_taps_begin(adze_block *b, MlirValue pixel, MlirValue column, int n, MlirValue *acc,
                          const char *const *names) {
    static const char *const tap_names[] = {"kw", "kh", "kd", "ka", "kb", "kc"};
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    adze_taps t = {.n_taps = c->wide_runs ? c->n - 1 : c->n};
    MlirValue tap[ADZE_MAX_SPATIAL], run = constant(b, 0);
    for (int d = 0; d < t.n_taps; d++) {
        t.real[d] = c->kernel[d] > 1;
        tap[d] = constant(b, 0);
        if (t.real[d]) {
            const char *name = tap_names[(c->n - 1 - d) % 6];
            t.loops[d] = adze_for_begin(g, name, b->low[d], b->high[d], constant(b, 1), n, acc, names);
            if (n)
                memcpy(acc, t.loops[d].carried, (size_t)n * sizeof *acc);
            tap[d] = t.loops[d].iv;
        }
        run = plus(b, times(b, run, c->kernel[d]), tap[d]);
    }
    const int64_t a_run = adze_packed_steps(c, &b->p) * b->p.columns * b->p.depth;
    t.x_at = run_start(b, pixel, tap);
    t.w_at = plus(b, times(b, plus(b, times(b, whole_panel(b), c->n_runs), run), a_run), times(b, column, b->p.depth));
    adze_name_value(g->ctx, t.x_at, "x_at");
    adze_name_value(g->ctx, t.w_at, "w_at");
    return t;
}

void adze_taps_end(adze_block *b, adze_taps *t, MlirValue *acc) {
    for (int d = t->n_taps - 1; d >= 0; d--)
        if (t->real[d])
            adze_for_end(b->g, &t->loops[d], acc, acc);
}

/* acc[rows][vectors] over the whole window, for the vectors from `column` of the panel on. */
static void accumulate(block *b, int64_t rows, MlirValue pixel, MlirValue column, MlirValue *acc) {
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    const int64_t V = b->s->vectors;
    const int n = (int)(rows * V);
    const char *names[ADZE_MAX_CARRIED];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < V; v++)
            names[r * V + v] = acc_name(b, r, v);
    for (int64_t v = 0; v < V; v++) {
        MlirValue at = plus(b, adze_block_column(b, column), constant(b, v * b->s->lanes));
        MlirValue start = b->bias.ptr ? load_step(b, b->bias, at, b->acc) : zero(b);
        for (int64_t r = 0; r < rows; r++)
            acc[r * V + v] = start;
    }
    adze_taps taps = adze_taps_begin(b, pixel, column, n, acc, names);
    const MlirValue x_at = taps.x_at, w_at = taps.w_at;
    const int64_t steps = (c->run + b->p.depth - 1) / b->p.depth;
    const int64_t whole = b->is_float ? c->run / b->p.depth : steps, a_step = b->p.columns * b->p.depth;
    if (whole == 1) {
        step(b, rows, x_at, w_at, false, acc);
    } else if (whole > 1) {
        adze_for along = adze_for_begin(g, "k", constant(b, 0), constant(b, whole), constant(b, 1), n, acc, names);
        memcpy(acc, along.carried, (size_t)n * sizeof *acc);
        step(b, rows, plus(b, x_at, times(b, along.iv, b->p.depth)), plus(b, w_at, times(b, along.iv, a_step)), false,
             acc);
        adze_for_end(g, &along, acc, acc);
    }
    if (whole < steps)
        step(b, rows, plus(b, x_at, constant(b, whole * b->p.depth)), plus(b, w_at, constant(b, whole * a_step)), true,
             acc);
    adze_taps_end(b, &taps, acc);
}

/* y for the block's pixels and the panel's outputs, from the tile. */
static bool finish(block *b, int64_t rows, MlirValue pixel) {
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    MlirValue first = times(b, b->panel, b->p.columns), count = constant(b, b->p.columns);
    if (c->outputs % b->p.columns)
        count = adze_index_min(g, count, adze_index_sub(g, constant(b, c->outputs), first));
    MlirValue index[ADZE_MAX_RANK], r = constant(b, 0);
    adze_for over_rows;
    if (rows > 1) {
        over_rows = adze_for_begin(g, "r", r, constant(b, rows), constant(b, 1), 0, NULL, NULL);
        r = over_rows.iv;
    }
    adze_for columns = adze_for_begin(g, "m", constant(b, 0), count, constant(b, 1), 0, NULL, NULL);
    adze_set(columns.op, "adze.vectorize", mlirUnitAttrGet(g->ctx->mlir));
    int rank = c->ys.rank;
    for (int d = 0; d < rank; d++)
        index[d] = constant(b, 0);
    index[0] = b->batch;
    for (int d = 0; d < c->n - 1; d++)
        index[c->axis[d]] = b->at[d];
    int along = b->st.flat ? rank - 2 : c->n ? c->axis[c->n - 1] : -1;
    while (b->st.flat && along > 0 && c->ys.dims[along] == 1)
        along--; /* an axis of extent 1 is not walked: the one before it is as good */
    if (along >= 0)
        index[along] = plus(b, pixel, r);
    index[rank - 1] = plus(b, plus(b, times(b, b->group, c->outputs), first), columns.iv);
    g->tile_tensor = b->sums;
    g->tile = b->tile;
    g->tile_at = plus(b, times(b, r, b->p.columns), columns.iv);
    MlirValue element;
    bool ok = adze_read_raw(g, b->value, index, &element);
    g->tile_tensor.ptr = NULL;
    if (ok)
        adze_store_raw(g, element, b->memref, index);
    adze_for_end(g, &columns, NULL, NULL);
    if (rows > 1)
        adze_for_end(g, &over_rows, NULL, NULL);
    return ok;
}

/* Sums of whole panels that nothing follows: from the registers to y. */
static void store_sums(block *b, int64_t rows, MlirValue pixel, const MlirValue *acc) {
    const adze_contraction *c = &b->c;
    const int64_t V = b->s->vectors, channels = c->group * c->outputs;
    MlirValue at = b->st.flat ? pixel : b->batch;
    for (int d = 0; d < c->n && !b->st.flat; d++)
        at = plus(b, times(b, at, c->out[d]), d < c->n - 1 ? b->at[d] : pixel);
    at = plus(b, times(b, at, channels), plus(b, times(b, b->group, c->outputs), times(b, b->panel, b->p.columns)));
    adze_name_value(b->g->ctx, at, "y_at");
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < V; v++)
            store_step(b, acc[r * V + v], b->y, plus(b, at, constant(b, r * channels + v * b->s->lanes)));
}

static bool register_block(block *b, int64_t rows, MlirValue pixel) {
    adze_gen *g = b->g;
    const int64_t V = b->s->vectors;
    MlirValue acc[ADZE_MAX_CARRIED], column = constant(b, 0);
    adze_for lanes;
    if (b->amx) {
        adze_amx_block(b, rows, pixel);
        return finish(b, rows, pixel);
    }
    if (b->s->scalable) {
        MlirValue left = adze_index_sub(g, constant(b, b->c.outputs), times(b, b->panel, b->p.columns));
        MlirValue end = adze_index_min(g, constant(b, b->p.columns), left);
        adze_named type = {"type", adze_str(g->ctx, adze_vector_spelling(g->ctx, b->acc, 's'))};
        MlirValue step = adze_build1(&g->b, "adze.lanes", 0, NULL, adze_index_type(g->ctx), 1, &type);
        lanes = adze_for_begin(g, "column", column, end, step, 0, NULL, NULL);
        column = lanes.iv;
        MlirValue rest = adze_index_sub(g, end, column);
        adze_build1(&g->b, "adze.active", 1, &rest, adze_index_type(g->ctx), 1, &type);
    }
    accumulate(b, rows, pixel, column, acc);
    const bool ragged = b->c.outputs % b->p.columns != 0;
    adze_if last;
    if (b->y.ptr) {
        if (ragged)
            last = adze_if_begin(g, adze_index_cmp(g, "lt", b->panel, constant(b, b->panels - 1)), 0, NULL);
        store_sums(b, rows, pixel, acc);
        if (!ragged)
            return true;
        adze_if_else(g, &last, NULL);
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < V; v++)
            store_step(b, acc[r * V + v], b->tile,
                       plus(b, column, constant(b, r * b->p.columns + v * b->s->lanes)));
    if (b->s->scalable)
        adze_for_end(g, &lanes, NULL, NULL);
    bool ok = finish(b, rows, pixel);
    if (b->y.ptr)
        adze_if_end(g, &last, NULL, NULL);
    return ok;
}

/* All pixels below `end` along one axis, `rows` at a time; `count` is how many when it is known, else -1. Threads
 * share whole tiles; the rest that is no whole one is the last. */
static bool pixels(block *b, MlirValue end, int64_t count) {
    adze_gen *g = b->g;
    const bool shared = b->tiles.begin.ptr != NULL;
    int64_t rows = b->s->rows;
    if (b->amx)
        adze_amx_configure(b, count < 0 || count >= rows);
    if (count >= 0 && count <= rows)
        return count == 0 || register_block(b, count, constant(b, 0));
    MlirValue whole = count >= 0 ? constant(b, count - count % rows)
                                 : adze_index_sub(g, end, adze_index_rem(g, end, constant(b, rows)));
    MlirValue from = constant(b, 0), to = whole;
    if (shared) {
        from = times(b, b->tiles.begin, rows);
        to = adze_index_min(g, times(b, b->tiles.end, rows), whole);
    }
    adze_for tiles = adze_for_begin(g, b->st.flat ? "pixel" : "ow", from, to, constant(b, rows), 0, NULL, NULL);
    if (!register_block(b, rows, tiles.iv))
        return false;
    adze_for_end(g, &tiles, NULL, NULL);
    if (count >= 0 && count % rows == 0)
        return true;
    adze_if last;
    if (shared)
        last = adze_if_begin(g, adze_index_cmp(g, "gt", times(b, b->tiles.end, rows), whole), 0, NULL);
    bool ok;
    if (b->amx)
        adze_amx_configure(b, false);
    if (count >= 0) {
        ok = register_block(b, count % rows, whole);
    } else {
        adze_for rest = adze_for_begin(g, "pixel", whole, end, constant(b, 1), 0, NULL, NULL);
        ok = register_block(b, 1, rest.iv);
        adze_for_end(g, &rest, NULL, NULL);
    }
    if (shared)
        adze_if_end(g, &last, NULL, NULL);
    return ok;
}

static bool groups_and_panels(block *b, MlirValue end, int64_t count) {
    adze_gen *g = b->g;
    adze_for groups, panels;
    b->group = b->panel = constant(b, 0);
    if (b->c.group > 1) {
        groups = adze_for_begin(g, "group", b->group, constant(b, b->c.group), constant(b, 1), 0, NULL, NULL);
        b->group = groups.iv;
    }
    if (b->panels > 1) {
        bool shared = b->shared_panels.begin.ptr != NULL;
        panels = adze_for_begin(g, "panel", shared ? b->shared_panels.begin : b->panel,
                                shared ? b->shared_panels.end : constant(b, b->panels), constant(b, 1), 0,
                                NULL, NULL);
        b->panel = panels.iv;
    }
    if (!pixels(b, end, count))
        return false;
    if (b->panels > 1)
        adze_for_end(g, &panels, NULL, NULL);
    if (b->c.group > 1)
        adze_for_end(g, &groups, NULL, NULL);
    return true;
}

/* Vector multiplications of `pixels` pixels: what sharing them among threads is judged by. */
static double operations(const block *b, double pixels) {
    const adze_contraction *c = &b->c;
    return pixels * (double)c->group * (double)b->panels * (double)b->s->vectors *
           ((double)c->n_runs * (double)c->run / (double)b->p.depth + 2 * (double)b->s->lanes);
}

/* ---- copies of x ---- */

static MlirValue raw_constant(block *b, int64_t value) {
    adze_scalar s = adze_dtype_get(b->st.type)->cls == 'F'
                        ? adze_scalar_f64(&b->g->b, b->st.type, (double)value)
                        : adze_scalar_i64(&b->g->b, b->st.type, value);
    return adze_scalar_out(&b->g->b, s);
}

static adze_for copy_loop(block *b, MlirValue from, MlirValue to) {
    adze_for loop = adze_for_begin(b->g, "i", from, to, constant(b, 1), 0, NULL, NULL);
    adze_set(loop.op, "adze.vectorize", mlirUnitAttrGet(b->g->ctx->mlir));
    return loop;
}

static void fill(block *b, MlirValue at, int64_t count) {
    if (count <= 0)
        return;
    adze_for loop = copy_loop(b, constant(b, 0), constant(b, count));
    MlirValue to = plus(b, at, loop.iv);
    adze_store_raw(b->g, raw_constant(b, b->st.fill), b->x, &to);
    adze_for_end(b->g, &loop, NULL, NULL);
}

/* Elements first .. end of x from `index` on, as the copy holds them, to `at` + first and on. The last index runs
 * through rows. */
static bool copy(block *b, MlirValue *index, MlirValue at, MlirValue first, MlirValue end) {
    adze_gen *g = b->g;
    adze_for loop = copy_loop(b, first, end);
    MlirValue from[ADZE_MAX_RANK];
    memcpy(from, index, (size_t)b->c.xs.rank * sizeof *from);
    int run = b->c.xs.rank - 1; /* an axis of one element has no index in C: the one before it runs */
    while (run > 0 && b->c.xs.dims[run] == 1)
        run--;
    from[b->c.xs.rank - 1] = constant(b, 0);
    from[run] = run < b->c.xs.rank - 1 ? plus(b, from[run], loop.iv) : loop.iv;
    MlirValue to = plus(b, at, loop.iv), raw;
    if (b->st.type == b->c.x_type) {
        if (!adze_read_raw(g, b->c.x, from, &raw))
            return false;
        adze_store_raw(g, raw, b->x, &to);
        adze_for_end(g, &loop, NULL, NULL);
        return true;
    }
    adze_scalar x;
    if (!adze_read(g, b->c.x, from, &x))
        return false;
    if (b->is_float) {
        x.dtype = b->st.type; /* read as f32 */
    } else if (b->st.type == ADZE_i16) {
        adze_scalar_cast(&g->b, x, ADZE_i16, false, &x);
        if (b->st.offset)
            adze_scalar_binary(&g->b, "add", x, adze_scalar_i64(&g->b, ADZE_i16, b->st.offset), &x);
    } else { /* i8 to u8 or back: the offset is half the range */
        MlirValue half = adze_scalar_i64(&g->b, ADZE_i8, -128).value;
        x.value = adze_build1(&g->b, "arith.xori", 2, (MlirValue[]){x.value, half},
                              mlirValueGetType(x.value), 0, NULL);
        x.dtype = b->st.type;
    }
    adze_store(g, x, b->x, &to);
    adze_for_end(g, &loop, NULL, NULL);
    return true;
}

/* Pixels one by one, zeros behind each: a pixel of the copy has b->chunk elements. */
static bool copy_apart(block *b, MlirValue *index, MlirValue count) {
    adze_gen *g = b->g;
    const int64_t channels = b->c.channels, more = b->chunk - channels;
    MlirValue from = constant(b, 0), to = count;
    if (b->tiles.begin.ptr) {
        from = times(b, b->tiles.begin, b->s->rows);
        to = adze_index_min(g, times(b, b->tiles.end, b->s->rows), to);
    }
    adze_for loop = adze_for_begin(g, "pixel", from, to, constant(b, 1), 0, NULL, NULL);
    MlirValue first = times(b, loop.iv, channels), end = plus(b, first, constant(b, channels));
    MlirValue apart = times(b, loop.iv, more);
    if (!copy(b, index, apart, first, end))
        return false;
    fill(b, plus(b, apart, end), more);
    adze_for_end(g, &loop, NULL, NULL);
    return true;
}

/* The taps k of window axis d with 0 <= at * stride - pad + k * dilation < in. */
static void clip(block *b, int d) {
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    b->low[d] = constant(b, 0);
    b->high[d] = constant(b, c->kernel[d]);
    MlirValue start = adze_index_sub(g, times(b, b->at[d], c->strides[d]), constant(b, c->pad_begin[d]));
    MlirValue step = constant(b, c->dilations[d]), less = constant(b, c->dilations[d] - 1);
    if (c->pad_begin[d] > 0) {
        MlirValue before = adze_index_max(g, adze_index_sub(g, constant(b, 0), start), constant(b, 0));
        b->low[d] = adze_index_min(g, adze_index_div(g, plus(b, before, less), step), b->high[d]);
    }
    int64_t reach = (c->out[d] - 1) * c->strides[d] - c->pad_begin[d] + (c->kernel[d] - 1) * c->dilations[d];
    if (reach >= c->in[d]) {
        MlirValue room = adze_index_max(g, adze_index_sub(g, constant(b, c->in[d]), start), constant(b, 0));
        b->high[d] = adze_index_max(
            g, b->low[d], adze_index_min(g, adze_index_div(g, plus(b, room, less), step), b->high[d]));
    }
}

/* Is tap `tap` of axis d inside x? A null value: always. */
static MlirValue tap_inside(block *b, int d, MlirValue tap) {
    int64_t low, high;
    if (adze_index_known(b->low[d], &low) && adze_index_known(b->high[d], &high) && low == 0 &&
        high == b->c.kernel[d])
        return (MlirValue){NULL};
    MlirValue both[] = {adze_index_cmp(b->g, "ge", tap, b->low[d]),
                        adze_index_cmp(b->g, "lt", tap, b->high[d])};
    return adze_build1(&b->g->b, "arith.andi", 2, both, mlirValueGetType(both[0]), 0, NULL);
}

/* The rows of x that one row of windows reads, padded along the last axis. Where padding is no zero in the copy, the
 * bias holds what all taps make of it: rows outside x are then filled, and read too. */
static bool stage_row(block *b) {
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    const bool whole = b->st.fill != 0;
    MlirValue inside_x = {NULL};
    int last = c->n - 1;
    int64_t pixel = c->group * c->channels, width = adze_staged_width(c), left = c->pad_begin[last];
    left = left < width ? left : width;
    int64_t inside = c->in[last] < width - left ? c->in[last] : width - left;
    adze_for loops[ADZE_MAX_SPATIAL];
    bool real[ADZE_MAX_SPATIAL];
    MlirValue index[ADZE_MAX_RANK], row = constant(b, 0);
    for (int d = 0; d < c->xs.rank; d++)
        index[d] = constant(b, 0);
    index[0] = b->batch;
    static const char *const names[] = {"kh", "kd", "ka", "kb", "kc"};
    for (int d = 0; d < last; d++) {
        real[d] = c->kernel[d] > 1;
        MlirValue tap = constant(b, 0);
        if (real[d]) {
            loops[d] = adze_for_begin(g, names[(last - 1 - d) % 5], whole ? constant(b, 0) : b->low[d],
                                      whole ? constant(b, c->kernel[d]) : b->high[d], constant(b, 1), 0, NULL,
                                      NULL);
            tap = loops[d].iv;
        }
        MlirValue in = whole ? tap_inside(b, d, tap) : (MlirValue){NULL};
        if (in.ptr)
            inside_x = inside_x.ptr ? adze_build1(&g->b, "arith.andi", 2, (MlirValue[]){inside_x, in},
                                                  mlirValueGetType(in), 0, NULL)
                                    : in;
        row = plus(b, times(b, row, c->kernel[d]), tap);
        index[c->axis[d]] = adze_index_sub(
            g, plus(b, times(b, b->at[d], c->strides[d]), times(b, tap, c->dilations[d])),
            constant(b, c->pad_begin[d]));
    }
    MlirValue at = plus(b, b->work_at, times(b, row, width * pixel));
    adze_if branch;
    if (inside_x.ptr)
        branch = adze_if_begin(g, inside_x, 0, NULL);
    fill(b, at, left * pixel);
    if (!copy(b, index, plus(b, at, constant(b, left * pixel)), constant(b, 0), constant(b, inside * pixel)))
        return false;
    fill(b, plus(b, at, constant(b, (left + inside) * pixel)), (width - left - inside) * pixel);
    if (inside_x.ptr) {
        adze_if_else(g, &branch, NULL);
        fill(b, at, width * pixel);
        adze_if_end(g, &branch, NULL, NULL);
    }
    for (int d = last - 1; d >= 0; d--)
        if (real[d])
            adze_for_end(g, &loops[d], NULL, NULL);
    for (int d = 0; d < last && whole; d++) { /* outside of all loops: later ones count between them */
        b->low[d] = constant(b, 0);
        b->high[d] = constant(b, c->kernel[d]);
    }
    return true;
}

/* ---- the loops around ---- */

/* Pixels are one axis: p of y reads p of x. Threads share tiles of pixels, or panels where there are few tiles. */
static bool flat_loops(block *b) {
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    MlirValue count = constant(b, 1), zero_index = constant(b, 0);
    int64_t known = 1;
    for (int d = 0; d < c->ys.rank - 1; d++) {
        count = adze_index_mul(g, count, adze_extent(g, b->value, d));
        known = known < 0 || c->ys.dims[d] < 0 ? -1 : known * c->ys.dims[d];
    }
    b->batch = zero_index;
    for (int d = 0; d < c->n; d++)
        b->at[d] = b->low[d] = b->high[d] = zero_index;
    const int64_t rows = b->s->rows;
    const double work = operations(b, known > 0 ? (double)known : (double)adze_index_most(count));
    const bool few_tiles = known >= 0 && known < 2 * rows * adze_gen_threads(g);
    adze_parallel share;
    if (!few_tiles) {
        MlirValue tiles = adze_index_div(g, plus(b, count, constant(b, rows - 1)), constant(b, rows));
        if (adze_gen_parallel(g, tiles, work, false, &share))
            b->tiles = share;
    } else if (b->panels > 1 && !b->st.staged && adze_gen_parallel(g, constant(b, b->panels), work, false, &share)) {
        b->shared_panels = share;
    }
    if (b->st.staged) {
        MlirValue index[ADZE_MAX_RANK], from = zero_index, to = times(b, count, c->channels);
        for (int d = 0; d < c->xs.rank; d++)
            index[d] = zero_index;
        if (b->tiles.begin.ptr) {
            from = times(b, b->tiles.begin, rows * c->channels);
            to = adze_index_min(g, times(b, b->tiles.end, rows * c->channels), to);
        }
        if (b->chunk == c->channels) {
            if (!copy(b, index, zero_index, from, to))
                return false;
        } else if (!copy_apart(b, index, count)) {
            return false;
        }
    }
    return groups_and_panels(b, count, known);
}

/* One row of windows after the other: all axes of y but the last spatial one and the channels. Threads share rows, or
 * tiles of a row where there is only one. */
static bool row_loops(block *b) {
    adze_gen *g = b->g;
    const adze_contraction *c = &b->c;
    const int last = c->n - 1, n_outer = 1 + (last > 0 ? last : 0);
    static const char *const names[] = {"oh", "od", "oa", "ob", "oc"};
    MlirValue extents[ADZE_MAX_RANK], index[ADZE_MAX_RANK], items = constant(b, 1);
    const char *axis[ADZE_MAX_RANK];
    const int64_t width = last >= 0 ? c->out[last] : 1;
    extents[0] = adze_extent(g, b->value, 0);
    axis[0] = "n";
    for (int d = 0; d < last; d++) {
        extents[1 + d] = constant(b, c->out[d]);
        axis[1 + d] = names[(last - 1 - d) % 5];
    }
    for (int d = 0; d < n_outer; d++)
        items = adze_index_mul(g, items, extents[d]);
    const double work = operations(b, (double)adze_index_most(items) * (double)width);
    adze_parallel share = {.part = constant(b, 0)};
    adze_for rows;
    adze_nest nest = {.n = 0};
    int64_t known = 0;
    bool one = adze_index_known(items, &known) && known == 1;
    bool by_rows = !one && adze_gen_parallel(g, items, work, b->st.staged, &share);
    if (one && width > b->s->rows) {
        int64_t tiles = (width + b->s->rows - 1) / b->s->rows;
        adze_parallel shared_tiles;
        if (adze_gen_parallel(g, constant(b, tiles), work, b->st.staged, &shared_tiles))
            share = b->tiles = shared_tiles;
    }
    if (by_rows) {
        rows = adze_for_begin(g, "row", share.begin, share.end, constant(b, 1), 0, NULL, NULL);
        MlirValue rest = rows.iv;
        for (int d = n_outer - 1; d >= 0; d--) {
            int64_t extent = 0;
            bool unit = adze_index_known(extents[d], &extent) && extent == 1;
            bool outermost = true;
            for (int i = 0; i < d; i++)
                outermost &= adze_index_known(extents[i], &extent) && extent == 1;
            index[d] = unit ? constant(b, 0) : outermost ? rest : adze_index_rem(g, rest, extents[d]);
            if (!unit && !outermost)
                rest = adze_index_div(g, rest, extents[d]);
            if (!unit)
                adze_name_value(g->ctx, index[d], axis[d]);
        }
    } else {
        nest = adze_nest_begin(g, n_outer, extents, axis, index);
    }
    b->batch = index[0];
    for (int d = 0; d < last; d++) {
        b->at[d] = index[1 + d];
        clip(b, d);
    }
    if (last >= 0) {
        b->low[last] = constant(b, 0);
        b->high[last] = constant(b, c->kernel[last]);
    }
    b->work_at = times(b, share.part.ptr ? share.part : constant(b, 0), adze_work_elements(c, &b->st));
    if (b->st.staged && last >= 0 && !stage_row(b))
        return false;
    if (b->st.staged && last < 0) { /* no spatial axis: one pixel a batch */
        MlirValue at[ADZE_MAX_RANK];
        for (int d = 0; d < c->xs.rank; d++)
            at[d] = constant(b, 0);
        at[0] = b->batch;
        if (!copy(b, at, b->work_at, constant(b, 0), constant(b, c->group * c->channels)))
            return false;
    }
    bool ok = groups_and_panels(b, constant(b, width), width);
    if (by_rows)
        adze_for_end(g, &rows, NULL, NULL);
    else
        adze_nest_end(g, &nest);
    return ok;
}

bool adze_gen_contraction(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value,
                          MlirValue memref) {
    adze_context *ctx = g->ctx;
    block b = {.g = g, .s = s, .sums = sums, .value = value, .memref = memref};
    if (!sums.ptr || !adze_contraction_read(ctx, adze_defining(sums), &b.c))
        return adze_gen_refuse(g, s, "what it stores is no channels-last convolution with an elementwise epilogue");
    adze_contraction_squeeze(&b.c);
    const adze_contraction *c = &b.c;
    if (!adze_packing_read(c->op, &b.p) || !adze_staging_read(ctx, c->op, &b.st) ||
        s->rows < 1 || s->vectors < 1 || s->lanes < 1 || s->rows * s->vectors > ADZE_MAX_CARRIED)
        return adze_gen_refuse(g, s, "its weight is not packed for it");
    int64_t packed[5];
    adze_packed_shape(c, &b.p, packed);
    if (b.p.columns != s->vectors * (s->scalable ? ADZE_SCALABLE_COLUMNS : s->lanes) || b.p.depth != s->depth ||
        !adze_packed_is(ctx, c->w, c->w_type, packed) ||
        !adze_packed_bias_is(ctx, c->bias, c->acc_type, packed[0] * packed[3]) ||
        !adze_staging_holds(ctx, g->target, c, &b.p, s, &b.st))
        return adze_gen_refuse(g, s, "its weight or its input is packed in another way");
    b.is_float = adze_dtype_get(c->acc_type)->cls == 'F';
    b.vectors = s->lanes > 1 || s->scalable;
    MlirType acc = adze_scalar_type(ctx, c->acc_type);
    b.acc = like(&b, acc, 1);
    b.step = like(&b, b.is_float ? adze_element_type(ctx, c->w_type) : integer(&b, 8), b.p.depth);
    b.fma = b.is_float && b.vectors &&
            adze_vector_has(ctx, g->target, "math.fma", b.acc, 3, (MlirType[]){b.acc, b.acc, b.acc});
    b.panels = (c->outputs + b.p.columns - 1) / b.p.columns;
    b.chunk = b.st.flat ? adze_staged_pixel(c, &b.st)
                        : (c->n ? c->strides[c->n - 1] : 1) * c->group * c->channels;
    MlirValue w = adze_gen_memory(c->w), x = adze_gen_memory(c->x),
              work = adze_gen_work(g, b.st.type, adze_staged_work(c, &b.st, adze_gen_threads(g)));
    if (!w.ptr || (b.st.staged ? !work.ptr : !x.ptr))
        return adze_gen_refuse(g, s, "its operands are not in memory");
    b.work_at = constant(&b, 0);
    b.w = adze_gen_flat(g, w);
    b.x = b.st.staged ? work : adze_gen_flat(g, x);
    if (!adze_is_none(c->bias)) {
        b.bias = adze_gen_memory(c->bias);
        if (!b.bias.ptr)
            return adze_gen_refuse(g, s, "its bias is not in memory");
    }
    int64_t tile = s->rows * b.p.columns;
    b.tile = adze_local(g, "tile", c->acc_type, 1, &tile);
    b.amx = !strcmp(s->family, "amx");
    if (b.amx) {
        b.shapes = adze_gen_argument(g, "tiles");
        if (!b.shapes.ptr || !b.st.dot)
            return adze_gen_refuse(g, s, "it has no shapes of tiles");
    }
    if (b.vectors && !s->scalable && !b.amx && mlirValueEqual(sums, value) && c->ys.dtype == c->acc_type &&
        c->outputs >= b.p.columns)
        b.y = adze_gen_flat(g, memref);
    bool ok = b.st.flat ? flat_loops(&b) : row_loops(&b);
    if (ok && b.amx)
        adze_amx_release(&b);
    return ok;
}
