/* The matmul family: matrix products of two values, both known only when the network runs.
 *
 *   c[batch.., m, n] = epilogue(sum over k of a[batch.., m, k] * b[batch.., k, n])
 *
 *   for each of the batch
 *     for each panel of columns n
 *       for each `k_block` of k                where the schedule says so; all of k otherwise
 *         copy the panel of b
 *         for each `rows` of m
 *           acc[rows][vectors] = 0, or c so far;  for each k:  acc[r][v] += a[r, k] * b[k, v]
 *           c = acc, or  tile = acc; c = epilogue(tile)
 *
 * Axes may stand anywhere and be missing from a factor: each is a distance in memory, read from the maps of the
 * linalg.generic. A transpose behind it only changes those of c. */
#include "codegen/family.h"
#include "codegen/lanes.h"

#include <mlir-c/AffineExpr.h>
#include <mlir-c/AffineMap.h>
#include <mlir-c/BuiltinAttributes.h>

#include <string.h>

enum { A, B, C, LOOPS = ADZE_MAX_RANK + 1, PANEL_BYTES = 1 << 16, SCALABLE_COLUMNS = 64 };

typedef struct product {
    adze_gen *g;
    const adze_schedule *s;
    MlirValue sums, value, memref; /* the product, what is stored, and where */
    int rank, n_loops;             /* loops: one an axis of the product, then k */
    int to[ADZE_MAX_RANK];         /* where the value has the product's axis */
    bool plain;                    /* nothing is computed behind the product */
    int64_t extent[LOOPS], step[3][LOOPS]; /* elements from one turn to the next */
    int m, n, k;
    MlirValue memory[3], panel, tile; /* of one axis; panel: null when b is read where it is */
    int64_t width;                    /* columns of a panel */
    gn_lanes wide;
    MlirValue at[LOOPS];              /* m, n, k: where the panel and the block begin */
    int64_t depth;                    /* of k, from there on */
    bool goes_on, last;               /* c holds sums so far; they are complete after this part of k */
    adze_for over_panels;             /* the last such loop */
    int n_panel_loops;
} product;

static MlirValue number(product *p, int64_t i) { return adze_index(p->g, i); }
static MlirValue plus(product *p, MlirValue a, MlirValue b) { return adze_index_add(p->g, a, b); }
static MlirValue times(product *p, MlirValue a, int64_t n) { return adze_index_mul(p->g, a, number(p, n)); }

/* ---- what is to be computed ---- */

static MlirAffineMap map_of(MlirOperation op, intptr_t i) {
    MlirAttribute maps = adze_get(op, "indexing_maps");
    if (i < 0)
        i += mlirArrayAttrGetNumElements(maps);
    return mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(maps, i));
}

static bool is_reduction(adze_gen *g, MlirOperation op, intptr_t loop) {
    MlirAttribute types = adze_get(op, "iterator_types");
    return mlirAttributeEqual(mlirArrayAttrGetElement(types, loop),
                              adze_parse_attr(g->ctx, "#linalg.iterator_type<reduction>"));
}

static intptr_t loops_of(MlirOperation op) { return mlirArrayAttrGetNumElements(adze_get(op, "iterator_types")); }

static MlirBlock body_of(MlirOperation op) { return mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0)); }

static bool reduces(adze_gen *g, MlirOperation op) {
    for (intptr_t i = 0; i < loops_of(op); i++)
        if (is_reduction(g, op, i))
            return true;
    return false;
}

/* yield(acc + a * b), from zero? */
static bool is_sum_of_products(MlirOperation op) {
    MlirBlock body = body_of(op);
    MlirOperation sum = adze_defining(mlirOperationGetOperand(mlirBlockGetTerminator(body), 0));
    if (mlirOperationIsNull(sum) || !adze_is_op(sum, "arith.addf"))
        return false;
    MlirOperation product = adze_defining(mlirOperationGetOperand(sum, 1));
    if (mlirOperationIsNull(product) || !adze_is_op(product, "arith.mulf") ||
        !mlirValueEqual(mlirOperationGetOperand(sum, 0), mlirBlockGetArgument(body, 2)))
        return false;
    for (int i = 0; i < 2; i++)
        if (!mlirValueEqual(mlirOperationGetOperand(product, i), mlirBlockGetArgument(body, i)))
            return false;
    MlirOperation fill = adze_defining(mlirOperationGetOperand(op, 2));
    if (mlirOperationIsNull(fill) || !adze_is_op(fill, "linalg.fill"))
        return false;
    MlirOperation start = adze_defining(mlirOperationGetOperand(fill, 0));
    MlirAttribute zero = mlirOperationIsNull(start) ? mlirAttributeGetNull() : adze_get(start, "value");
    return !mlirAttributeIsNull(zero) && mlirAttributeIsAFloat(zero) && mlirFloatAttrGetValueDouble(zero) == 0;
}

/* Does the body only hand on what it reads? */
static bool hands_on(MlirOperation op) {
    MlirBlock body = body_of(op);
    return mlirOperationGetNumOperands(op) == 2 &&
           mlirValueEqual(mlirOperationGetOperand(mlirBlockGetTerminator(body), 0), mlirBlockGetArgument(body, 0));
}

/* The product at the start of a chain of element-by-element operations that ends in `value`; fills `to`. */
static bool find_product(product *p, MlirValue value, int depth) {
    MlirOperation op = adze_defining(value);
    if (!depth || mlirOperationIsNull(op) || !adze_is_op(op, "linalg.generic"))
        return false;
    if (reduces(p->g, op)) {
        adze_shape shape;
        if (!adze_value_shape(p->g->ctx, value, &shape))
            return false;
        p->sums = value;
        p->rank = shape.rank;
        p->plain = true;
        for (int d = 0; d < shape.rank; d++)
            p->to[d] = d;
        return true;
    }
    if (!mlirAffineMapIsIdentity(map_of(op, -1)))
        return false;
    int to[ADZE_MAX_RANK];
    bool found = false;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op) - 1; i++) {
        if (!find_product(p, mlirOperationGetOperand(op, i), depth - 1))
            continue;
        MlirAffineMap map = map_of(op, i);
        if (!mlirAffineMapIsPermutation(map))
            return false;
        for (int d = 0; d < p->rank; d++)
            p->to[d] = (int)mlirAffineDimExprGetPosition(mlirAffineMapGetResult(map, p->to[d]));
        if (found && memcmp(to, p->to, (size_t)p->rank * sizeof *to))
            return false; /* read at two places */
        memcpy(to, p->to, sizeof to);
        found = true;
    }
    p->plain &= hands_on(op);
    return found;
}

/* Distances in a memory of this shape for the axes `map` names; false where a result is neither a loop nor 0. */
static bool distances(product *p, int side, MlirAffineMap map, const adze_shape *shape) {
    int64_t step = 1;
    for (int d = shape->rank - 1; d >= 0; step *= shape->dims[d--]) {
        MlirAffineExpr e = mlirAffineMapGetResult(map, d);
        if (shape->dims[d] < 1)
            return false;
        if (mlirAffineExprIsAConstant(e) && mlirAffineConstantExprGetValue(e) == 0)
            continue;
        if (!mlirAffineExprIsADim(e))
            return false;
        intptr_t loop = mlirAffineDimExprGetPosition(e);
        p->step[side][loop] += step;
        p->extent[loop] = shape->dims[d];
    }
    return true;
}

static bool analyse(product *p) {
    adze_gen *g = p->g;
    adze_shape shapes[3], value;
    if (!find_product(p, p->value, ADZE_MAX_RANK) || !adze_value_shape(g->ctx, p->value, &value))
        return false;
    MlirOperation op = adze_defining(p->sums);
    p->n_loops = (int)loops_of(op);
    if (mlirOperationGetNumOperands(op) != 3 || p->n_loops != p->rank + 1 || !is_sum_of_products(op) ||
        !mlirAffineMapIsProjectedPermutation(map_of(op, C)) || value.rank != p->rank)
        return false;
    for (int i = 0; i < 3; i++) {
        MlirValue v = i == C ? p->sums : mlirOperationGetOperand(op, i);
        if (!adze_value_shape(g->ctx, v, &shapes[i]) || shapes[i].dtype != ADZE_f32)
            return false;
        p->memory[i] = i == C ? p->memref : gn_memory(v);
        if (!p->memory[i].ptr || (i != C && !distances(p, i, map_of(op, i), &shapes[i])))
            return false;
    }
    /* c: its axes are the first loops */
    int64_t step = 1, steps[ADZE_MAX_RANK];
    for (int d = value.rank - 1; d >= 0; step *= value.dims[d--]) {
        if (value.dims[d] < 1)
            return false;
        steps[d] = step;
    }
    for (int d = 0; d < p->rank; d++) {
        if (mlirAffineDimExprGetPosition(mlirAffineMapGetResult(map_of(op, C), d)) != d)
            return false;
        p->step[C][d] = steps[p->to[d]];
        p->extent[d] = shapes[C].dims[d];
    }
    p->k = p->rank;
    p->n = p->rank - 1;
    p->m = -1;
    for (int d = 0; d < p->n; d++)
        if (p->step[A][d] && !p->step[B][d])
            p->m = d;
    return p->m >= 0 && is_reduction(g, op, p->k) && p->step[A][p->n] == 0 && p->step[B][p->n] != 0;
}

/* ---- register blocks ---- */

static MlirValue place(product *p, int side) {
    MlirValue at = number(p, 0);
    for (int i = 0; i < p->rank; i++)
        if (i != p->n && i != p->m)
            at = plus(p, at, times(p, p->at[i], p->step[side][i]));
    return at;
}

/* c for `rows` x `count` elements from the tile. */
static bool finish(product *p, int64_t rows, MlirValue count) {
    adze_gen *g = p->g;
    MlirValue index[ADZE_MAX_RANK], r = number(p, 0), element;
    adze_for over_rows;
    if (rows > 1) {
        over_rows = adze_for_begin(g, "r", r, number(p, rows), number(p, 1), 0, NULL, NULL);
        r = over_rows.iv;
    }
    adze_for columns = adze_for_begin(g, "j", number(p, 0), count, number(p, 1), 0, NULL, NULL);
    adze_vectorize(g, &columns);
    for (int i = 0; i < p->rank; i++) {
        MlirValue at = i == p->m ? plus(p, p->at[i], r) : i == p->n ? plus(p, p->at[i], columns.iv) : p->at[i];
        index[p->to[i]] = at;
    }
    g->tile_tensor = p->sums;
    g->tile = p->tile;
    g->tile_at = plus(p, times(p, r, p->width), columns.iv);
    bool ok = adze_read_raw(g, p->value, index, &element);
    g->tile_tensor.ptr = NULL;
    if (ok)
        adze_store_raw(g, element, p->memref, index);
    adze_for_end(g, &columns, NULL, NULL);
    if (rows > 1)
        adze_for_end(g, &over_rows, NULL, NULL);
    return ok;
}

/* `vectors` of l from column p->at[n] + `column` on. */
static void accumulate(product *p, const gn_lanes *l, int64_t rows, int64_t vectors, MlirValue column) {
    MlirValue acc[ADZE_MAX_CARRIED], zero = gn_lanes_number(l, 0);
    const bool tile = p->tile.ptr && p->last;
    MlirValue c_at = plus(p, plus(p, place(p, C), times(p, p->at[p->m], p->step[C][p->m])), plus(p, p->at[p->n], column));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < vectors; v++)
            acc[r * vectors + v] = !p->goes_on ? zero
                                               : gn_lanes_load(l, p->memory[C],
                                                               plus(p, c_at, number(p, r * p->step[C][p->m] + v * l->lanes)));
    MlirValue k = p->at[p->k];
    gn_block b = {.rows = rows, .vectors = vectors, .depth = p->depth,
                  .x = p->memory[A], .x_row = p->step[A][p->m], .x_step = p->step[A][p->k],
                  .x_at = plus(p, place(p, A), plus(p, times(p, p->at[p->m], p->step[A][p->m]), times(p, k, p->step[A][p->k]))),
                  .w = p->memory[B], .w_step = p->step[B][p->k],
                  .w_at = plus(p, place(p, B), plus(p, plus(p, p->at[p->n], column), times(p, k, p->step[B][p->k])))};
    if (p->panel.ptr) {
        b.w = p->panel;
        b.w_step = p->width;
        b.w_at = column;
    }
    gn_block_sum(l, &b, acc);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < vectors; v++) {
            const int64_t lane = v * l->lanes;
            if (tile)
                gn_lanes_store(l, acc[r * vectors + v], p->tile, plus(p, column, number(p, r * p->width + lane)));
            else
                gn_lanes_store(l, acc[r * vectors + v], p->memory[C],
                               plus(p, c_at, number(p, r * p->step[C][p->m] + lane)));
        }
}

static bool register_block(product *p, const gn_lanes *l, int64_t rows, int64_t vectors, MlirValue count) {
    adze_gen *g = p->g;
    MlirValue column = number(p, 0);
    if (l->scalable) {
        adze_for lanes = adze_for_begin(g, "column", column, count, gn_lanes_count(l), 0, NULL, NULL);
        gn_lanes_active(l, adze_index_sub(g, count, lanes.iv));
        accumulate(p, l, rows, 1, lanes.iv);
        adze_for_end(g, &lanes, NULL, NULL);
    } else {
        accumulate(p, l, rows, vectors, column);
    }
    return !p->tile.ptr || !p->last || finish(p, rows, count);
}

/* panel[i][j] = b[k + i, n + j] */
static void copy_panel(product *p, MlirValue count) {
    adze_gen *g = p->g;
    MlirValue from = plus(p, place(p, B), plus(p, times(p, p->at[p->n], p->step[B][p->n]),
                                               times(p, p->at[p->k], p->step[B][p->k])));
    /* the inner loop runs along neighbours of b */
    const bool rows = p->step[B][p->n] == 1;
    MlirValue extents[] = {rows ? number(p, p->depth) : count, rows ? count : number(p, p->depth)}, at[2];
    adze_nest nest = adze_nest_begin(g, 2, extents, rows ? (const char *[]){"k", "j"} : (const char *[]){"j", "k"}, at);
    if (rows)
        adze_vectorize(g, &nest.loops[1]);
    MlirValue k = at[rows ? 0 : 1], j = at[rows ? 1 : 0];
    MlirValue b = plus(p, from, plus(p, times(p, j, p->step[B][p->n]), times(p, k, p->step[B][p->k])));
    MlirValue to = plus(p, times(p, k, p->width), j);
    adze_store(g, adze_load(g, p->memory[B], &b), p->panel, &to);
    adze_nest_end(g, &nest);
}

/* All rows of the panel of `count` columns at p->at[n], for `depth` of k from `first` on. */
static bool part(product *p, const gn_lanes *l, int64_t vectors, MlirValue count, MlirValue first, int64_t depth) {
    adze_gen *g = p->g;
    const int64_t all = p->extent[p->m], rows = p->s->rows < all ? p->s->rows : all, whole = all - all % rows;
    p->at[p->k] = first;
    p->depth = depth;
    if (p->panel.ptr)
        copy_panel(p, count);
    adze_for loop = adze_for_begin(g, "m", number(p, 0), number(p, whole), number(p, rows), 0, NULL, NULL);
    p->at[p->m] = loop.iv;
    if (!register_block(p, l, rows, vectors, count))
        return false;
    adze_for_end(g, &loop, NULL, NULL);
    p->at[p->m] = number(p, whole);
    return whole == all || register_block(p, l, all - whole, vectors, count);
}

/* c = 0 in the panel. */
static void clear(product *p, MlirValue count) {
    adze_gen *g = p->g;
    MlirValue extents[] = {number(p, p->extent[p->m]), count}, at[2];
    adze_nest nest = adze_nest_begin(g, 2, extents, (const char *[]){"m", "j"}, at);
    adze_vectorize(g, &nest.loops[1]);
    MlirValue to = plus(p, plus(p, place(p, C), times(p, at[0], p->step[C][p->m])), plus(p, p->at[p->n], at[1]));
    adze_store(g, adze_scalar_f64(&g->b, ADZE_f32, 0), p->memory[C], &to);
    adze_nest_end(g, &nest);
}

static bool panel(product *p, const gn_lanes *l, int64_t vectors, MlirValue count) {
    adze_gen *g = p->g;
    const int64_t all = p->extent[p->k], step = p->s->k_block && p->s->k_block < all ? p->s->k_block : all;
    const int64_t rest = all % step ? all % step : step, before = all - rest; /* the last part stands alone */
    p->goes_on = before > 0;
    p->last = false;
    if (before) {
        clear(p, count);
        adze_for loop = adze_for_begin(g, "k_part", number(p, 0), number(p, before), number(p, step), 0, NULL, NULL);
        if (!part(p, l, vectors, count, loop.iv, step))
            return false;
        adze_for_end(g, &loop, NULL, NULL);
    }
    p->last = true;
    return part(p, l, vectors, count, number(p, before), rest);
}

static bool panels(product *p, const gn_lanes *l, int64_t vectors, int64_t first, int64_t end) {
    adze_gen *g = p->g;
    const int64_t step = l->scalable ? p->width : vectors * l->lanes;
    if (first == end)
        return true;
    adze_for loop = adze_for_begin(g, "n", number(p, first), number(p, end), number(p, step), 0, NULL, NULL);
    p->at[p->n] = loop.iv;
    MlirValue count = number(p, step);
    if (l->scalable)
        count = adze_index_min(g, count, adze_index_sub(g, number(p, end), loop.iv));
    if (!panel(p, l, vectors, count))
        return false;
    adze_for_end(g, &loop, NULL, NULL);
    p->over_panels = loop;
    p->n_panel_loops++;
    return true;
}

static bool columns(product *p) {
    const int64_t n = p->extent[p->n];
    if (p->wide.scalable)
        return panels(p, &p->wide, 1, 0, n);
    int64_t first = 0;
    for (gn_lanes l = p->wide; first < n; l = gn_lanes_narrower(&l)) {
        const int64_t vectors = (n - first) / l.lanes, V = p->s->vectors, whole = first + vectors / V * V * l.lanes;
        if (!panels(p, &l, V, first, whole) ||
            (vectors % V && !panels(p, &l, vectors % V, whole, whole + vectors % V * l.lanes)))
            return false;
        first += vectors * l.lanes;
    }
    return true;
}

bool adze_gen_matmul(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value, MlirValue memref) {
    (void)sums;
    product p = {.g = g, .s = s, .value = value, .memref = memref};
    if (!analyse(&p))
        return adze_gen_refuse(g, s, "what it stores is no product of two f32 values of known extents");
    if (s->rows < 1 || s->vectors < 1 || s->lanes < 1 || s->rows * s->vectors > ADZE_MAX_CARRIED ||
        !gn_lanes_make(g, ADZE_f32, s->lanes, s->scalable != 0, &p.wide))
        return adze_gen_refuse(g, s, "its register block does not fit the target");
    p.width = p.wide.scalable ? SCALABLE_COLUMNS : s->vectors * p.wide.lanes;
    for (int i = 0; i < 3; i++)
        p.memory[i] = adze_gen_flat(g, p.memory[i]);
    int64_t depth = s->k_block && s->k_block < p.extent[p.k] ? s->k_block : p.extent[p.k];
    int64_t tile = s->rows * p.width, copy = depth * p.width;
    adze_shape result;
    if (depth < p.extent[p.k] &&
        (p.step[C][p.n] != 1 || !adze_value_shape(g->ctx, value, &result) || result.dtype != ADZE_f32))
        return adze_gen_refuse(g, s, "its result cannot hold sums of a part of k");
    if (!p.plain || p.step[C][p.n] != 1)
        p.tile = adze_local(g, "tile", ADZE_f32, 1, &tile);
    if (p.step[B][p.n] != 1 || s->k_block) {
        if (copy * (int64_t)sizeof(float) > PANEL_BYTES)
            return adze_gen_refuse(g, s, "a panel of its second factor is too large to copy");
        p.panel = adze_local(g, "panel", ADZE_f32, 1, &copy);
    }
    MlirValue extents[ADZE_MAX_RANK], index[ADZE_MAX_RANK];
    int axes[ADZE_MAX_RANK], n = 0;
    for (int d = 0; d < p.rank; d++) {
        p.at[d] = number(&p, 0);
        if (d == p.m || d == p.n || p.extent[d] == 1)
            continue;
        extents[n] = number(&p, p.extent[d]);
        axes[n++] = d;
    }
    adze_nest nest = adze_nest_begin(g, n, extents, NULL, index);
    for (int i = 0; i < n; i++)
        p.at[axes[i]] = index[i];
    bool ok = columns(&p);
    adze_nest_end(g, &nest);
    if (ok && n)
        adze_gen_parallel_loop(g, &nest.loops[0], 1, adze_gen_operations(nest.loops[0].op));
    else if (ok && p.n_panel_loops == 1)
        adze_gen_parallel_loop(g, &p.over_panels, 1, adze_gen_operations(p.over_panels.op));
    return ok;
}
