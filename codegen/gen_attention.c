/* attention: y = softmax(scale * q k' + mask) v with the softmax taken along the way (Milakov and Gimelshein, "Online
 * normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022): no more than a block of scores is ever
 * held.
 *
 *   for each batch and head
 *     for each block of keys
 *       panel = the block of k, turned                          [D][block]
 *       for each `rows` queries
 *         scores[rows][block] = q panel                         register blocks, vectors along the keys
 *         m' = max(m, scores); scores = exp(scores - m'); l = l exp(m - m') + their sum
 *         y = y exp(m - m') + scores v                          register blocks, vectors along the result
 *     y /= l
 *
 * Where one block holds all keys, m and l live for a row only, and y is stored once. Heads may stand before or
 * behind the positions: that is a distance in memory. */
#include "codegen/family.h"
#include "codegen/gen_rows.h"
#include "codegen/lanes.h"
#include "codegen/gen_math.h"

#include <float.h>
#include <string.h>

enum { Q, K, V, Y, STACK_BYTES = 1 << 17 };

typedef struct attention {
    adze_gen *g;
    MlirOperation op;
    MlirValue mask; /* null: none */
    double scale;
    gn_lanes wide;
    int64_t batches, heads, rows, vectors, block;
    int64_t positions[4], width[4], of_batch[4], of_head[4], of_position[4]; /* extents, and distances in memory */
    MlirValue memory[4];                                                     /* of one axis */
    MlirValue panel, scores, factor;    /* factor[row]: of what y holds so far, or of the sum */
    MlirValue most, sum;                /* for each query; null: one block holds all keys */
    MlirValue b, h, at[4];              /* where the head begins */
    MlirValue first_key, first_query;
    int64_t n_keys, n_queries;          /* of the present blocks */
} attention;

static MlirValue number(attention *a, int64_t i) { return adze_index(a->g, i); }
static MlirValue plus(attention *a, MlirValue x, MlirValue y) { return adze_index_add(a->g, x, y); }
static MlirValue times(attention *a, MlirValue x, int64_t n) { return adze_index_mul(a->g, x, number(a, n)); }

/* Where position `p` of q, k, v or y begins. */
static MlirValue place(attention *a, int side, MlirValue p) {
    return plus(a, a->at[side], times(a, p, a->of_position[side]));
}

static adze_for begin(attention *a, const char *name, int64_t n) {
    return adze_for_begin(a->g, name, number(a, 0), number(a, n), number(a, 1), 0, NULL, NULL);
}

static adze_scalar get(attention *a, MlirValue memory, MlirValue at) { return gn_load(a->g, memory, &at, ADZE_f32); }
static void put(attention *a, adze_scalar x, MlirValue memory, MlirValue at) { gn_store(a->g, x, memory, &at); }

/* panel[d][t] = k[first_key + t][d] */
static void turn_keys(attention *a) {
    adze_gen *g = a->g;
    adze_for keys = begin(a, "t", a->n_keys);
    MlirValue from = place(a, K, plus(a, a->first_key, keys.iv));
    adze_for along = begin(a, "d", a->width[K]);
    put(a, get(a, a->memory[K], plus(a, from, along.iv)), a->panel, plus(a, times(a, along.iv, a->block), keys.iv));
    adze_for_end(g, &along, NULL, NULL);
    adze_for_end(g, &keys, NULL, NULL);
}

/* scores[rows][vectors from `column` on] = q panel */
static void score_block(void *user, const gn_lanes *l, int64_t vectors, MlirValue column) {
    attention *a = user;
    MlirValue acc[ADZE_MAX_CARRIED], zero = gn_lanes_number(l, 0);
    for (int64_t i = 0; i < a->n_queries * vectors; i++)
        acc[i] = zero;
    gn_block b = {.rows = a->n_queries, .vectors = vectors, .depth = a->width[Q],
                  .x = a->memory[Q], .x_at = place(a, Q, a->first_query), .x_row = a->of_position[Q], .x_step = 1,
                  .w = a->panel, .w_at = column, .w_step = a->block};
    gn_block_sum(l, &b, acc);
    for (int64_t r = 0; r < a->n_queries; r++)
        for (int64_t v = 0; v < vectors; v++)
            gn_lanes_store(l, acc[r * vectors + v], a->scores, plus(a, column, number(a, r * a->block + v * l->lanes)));
}

/* y[rows][vectors from `column` on] = y factor + scores v, or (scores v) factor */
static void result_block(void *user, const gn_lanes *l, int64_t vectors, MlirValue column) {
    attention *a = user;
    MlirValue acc[ADZE_MAX_CARRIED], zero = gn_lanes_number(l, 0);
    MlirValue to = plus(a, place(a, Y, a->first_query), column);
    for (int64_t r = 0; r < a->n_queries; r++)
        for (int64_t v = 0; v < vectors; v++) {
            MlirValue at = plus(a, to, number(a, r * a->of_position[Y] + v * l->lanes));
            acc[r * vectors + v] = !a->most.ptr
                                       ? zero
                                       : gn_lanes_binary(l, "arith.mulf", gn_lanes_load(l, a->memory[Y], at),
                                                         gn_lanes_spread(l, a->factor, number(a, r)));
        }
    gn_block b = {.rows = a->n_queries, .vectors = vectors, .depth = a->n_keys,
                  .x = a->scores, .x_at = number(a, 0), .x_row = a->block, .x_step = 1,
                  .w = a->memory[V], .w_at = plus(a, place(a, V, a->first_key), column), .w_step = a->of_position[V]};
    gn_block_sum(l, &b, acc);
    for (int64_t r = 0; r < a->n_queries; r++)
        for (int64_t v = 0; v < vectors; v++) {
            MlirValue x = acc[r * vectors + v];
            if (!a->most.ptr)
                x = gn_lanes_binary(l, "arith.mulf", x, gn_lanes_spread(l, a->factor, number(a, r)));
            gn_lanes_store(l, x, a->memory[Y], plus(a, to, number(a, r * a->of_position[Y] + v * l->lanes)));
        }
}

/* scores of each row become exp(scale scores + mask - m); m, l and the row's factor follow. */
static bool weigh(attention *a) {
    adze_gen *g = a->g;
    adze_for rows = begin(a, "r", a->n_queries);
    MlirValue query = plus(a, a->first_query, rows.iv), row = times(a, rows.iv, a->block);
    /* starts finite: scores of -inf alone leave no inf - inf */
    adze_scalar before = gn_num(g, ADZE_f32, -(double)FLT_MAX), x, most = before, sum = gn_num(g, ADZE_f32, 0);
    if (a->most.ptr)
        most = before = get(a, a->most, query);
    const char *name = "most";
    gn_loop keys = gn_loop_begin(g, "t", number(a, 0), number(a, a->n_keys), 1, &most, &name);
    adze_vectorize(g, &keys.loop);
    x = gn_mul(g, get(a, a->scores, plus(a, row, keys.iv)), gn_num(g, ADZE_f32, a->scale));
    if (a->mask.ptr) {
        adze_scalar more;
        MlirValue at[] = {a->b, a->h, query, plus(a, a->first_key, keys.iv)};
        if (!gn_read_broadcast(g, a->mask, 4, at, ADZE_f32, &more))
            return false;
        x = gn_add(g, x, more);
    }
    put(a, x, a->scores, plus(a, row, keys.iv));
    x = gn_binary(g, "max", keys.carried[0], x);
    gn_loop_end(g, &keys, &x, &most);

    name = "sum";
    keys = gn_loop_begin(g, "t", number(a, 0), number(a, a->n_keys), 1, &sum, &name);
    adze_vectorize(g, &keys.loop);
    x = gn_unary(g, "exp", gn_sub(g, get(a, a->scores, plus(a, row, keys.iv)), most));
    put(a, x, a->scores, plus(a, row, keys.iv));
    x = gn_add(g, keys.carried[0], x);
    gn_loop_end(g, &keys, &x, &sum);
    if (a->most.ptr) {
        adze_scalar factor = gn_unary(g, "exp", gn_sub(g, before, most));
        put(a, gn_add(g, gn_mul(g, get(a, a->sum, query), factor), sum), a->sum, query);
        put(a, most, a->most, query);
        put(a, factor, a->factor, rows.iv);
    } else {
        put(a, gn_div(g, gn_num(g, ADZE_f32, 1), sum), a->factor, rows.iv);
    }
    adze_for_end(g, &rows, NULL, NULL);
    return true;
}

static bool queries(attention *a, MlirValue first, int64_t n) {
    a->first_query = first;
    a->n_queries = n;
    gn_columns(&a->wide, a->vectors, 0, a->n_keys, score_block, a);
    if (!weigh(a))
        return false;
    gn_columns(&a->wide, a->vectors, 0, a->width[V], result_block, a);
    return true;
}

static bool keys_block(attention *a, MlirValue first, int64_t n) {
    adze_gen *g = a->g;
    const int64_t all = a->positions[Q], whole = all - all % a->rows;
    a->first_key = first;
    a->n_keys = n;
    turn_keys(a);
    adze_for loop = adze_for_begin(g, "query", number(a, 0), number(a, whole), number(a, a->rows), 0, NULL, NULL);
    if (!queries(a, loop.iv, a->rows))
        return false;
    adze_for_end(g, &loop, NULL, NULL);
    return whole == all || queries(a, number(a, whole), all - whole);
}

static void start_rows(attention *a) {
    adze_gen *g = a->g;
    adze_for rows = begin(a, "s", a->positions[Q]);
    put(a, gn_num(g, ADZE_f32, -(double)FLT_MAX), a->most, rows.iv);
    put(a, gn_num(g, ADZE_f32, 0), a->sum, rows.iv);
    adze_for along = begin(a, "e", a->width[V]);
    adze_vectorize(g, &along);
    put(a, gn_num(g, ADZE_f32, 0), a->memory[Y], plus(a, place(a, Y, rows.iv), along.iv));
    adze_for_end(g, &along, NULL, NULL);
    adze_for_end(g, &rows, NULL, NULL);
}

static void finish_rows(attention *a) {
    adze_gen *g = a->g;
    adze_for rows = begin(a, "s", a->positions[Q]);
    adze_scalar sum = get(a, a->sum, rows.iv);
    adze_for along = begin(a, "e", a->width[V]);
    adze_vectorize(g, &along);
    MlirValue at = plus(a, place(a, Y, rows.iv), along.iv);
    put(a, gn_div(g, get(a, a->memory[Y], at), sum), a->memory[Y], at);
    adze_for_end(g, &along, NULL, NULL);
    adze_for_end(g, &rows, NULL, NULL);
}

static bool head(attention *a) {
    const int64_t all = a->positions[K], whole = all - all % a->block;
    if (a->most.ptr)
        start_rows(a);
    if (whole == a->block) {
        if (!keys_block(a, number(a, 0), a->block))
            return false;
    } else if (whole) {
        adze_for loop = adze_for_begin(a->g, "key", number(a, 0), number(a, whole), number(a, a->block), 0, NULL, NULL);
        if (!keys_block(a, loop.iv, a->block))
            return false;
        adze_for_end(a->g, &loop, NULL, NULL);
    }
    if (whole != all && !keys_block(a, number(a, whole), all - whole))
        return false;
    if (a->most.ptr)
        finish_rows(a);
    return true;
}

static bool read_attention(adze_gen *g, MlirOperation op, attention *a) {
    const char *layout[4];
    if (adze_get_strs(g->ctx, op, "layout", 4, layout) != 4)
        return gn_fail(g, op, "needs a layout for each of q, k, v and y");
    for (int i = 0; i < 4; i++) {
        MlirValue v = i == Y ? adze_gen_destination(g, adze_result(op, 0)) : mlirOperationGetOperand(op, i);
        MlirValue memory = i == Y ? v : gn_memory(v);
        adze_shape s;
        if (!memory.ptr || !adze_value_shape(g->ctx, v, &s) || s.dtype != ADZE_f32 || s.rank != 4)
            return gn_fail(g, op, "needs its operands in memory, in f32");
        for (int d = 0; d < 4; d++)
            if (s.dims[d] < 1)
                return gn_fail(g, op, "has an extent that is empty or not known");
        const bool last = !strcmp(layout[i], "heads_last");
        const int64_t heads = s.dims[last ? 2 : 1];
        a->batches = s.dims[0];
        a->heads = heads;
        a->positions[i] = s.dims[last ? 1 : 2];
        a->width[i] = s.dims[3];
        a->of_batch[i] = s.dims[1] * s.dims[2] * s.dims[3];
        a->of_head[i] = (last ? 1 : a->positions[i]) * s.dims[3];
        a->of_position[i] = (last ? heads : 1) * s.dims[3];
        a->memory[i] = adze_gen_flat(g, memory);
    }
    MlirValue mask = mlirOperationGetOperand(op, 3);
    if (!adze_is_none(mask))
        a->mask = mask;
    a->scale = adze_get_f64(op, "scale");
    return true;
}

bool adze_gen_attention(adze_gen *g, MlirOperation op) {
    enum { KEYS = 64 };
    attention a = {.g = g, .op = op};
    adze_schedule s;
    if (!adze_gen_destination(g, adze_result(op, 0)).ptr)
        return true;
    if (!read_attention(g, op, &a) ||
        !adze_schedule_read(g->ctx, adze_get_str(g->ctx, g->kernel, "sym_name"), adze_get(g->kernel, "adze.schedule"), &s))
        return false;
    a.rows = s.rows < 1 ? 1 : s.rows < a.positions[Q] ? s.rows : a.positions[Q];
    a.vectors = s.vectors < 1 ? 1 : s.vectors;
    a.block = s.k_block < 1 ? KEYS : s.k_block;
    if (a.block > a.positions[K])
        a.block = a.positions[K];
    if (a.rows * a.vectors > ADZE_MAX_CARRIED)
        return gn_fail(g, op, "its schedule has a block of more than %d accumulators", ADZE_MAX_CARRIED);
    if (!gn_lanes_make(g, ADZE_f32, s.lanes, s.scalable != 0, &a.wide))
        gn_lanes_make(g, ADZE_f32, 1, false, &a.wide);
    int64_t panel = a.width[K] * a.block, scores = a.rows * a.block;
    const bool several = a.block < a.positions[K];
    if ((panel + scores + (several ? 2 * a.positions[Q] : 0)) * (int64_t)sizeof(float) > STACK_BYTES)
        return gn_fail(g, op, "its blocks need more than %d bytes of stack", STACK_BYTES);
    a.panel = adze_local(g, "panel", ADZE_f32, 1, &panel);
    a.scores = adze_local(g, "scores", ADZE_f32, 1, &scores);
    a.factor = adze_local(g, "factor", ADZE_f32, 1, &a.rows);
    if (several) {
        a.most = adze_local(g, "most", ADZE_f32, 1, &a.positions[Q]);
        a.sum = adze_local(g, "sum", ADZE_f32, 1, &a.positions[Q]);
    }
    adze_for heads = begin(&a, "head", a.batches * a.heads);
    a.b = adze_index_div(g, heads.iv, number(&a, a.heads));
    a.h = a.batches == 1 ? heads.iv : adze_index_rem(g, heads.iv, number(&a, a.heads));
    if (a.batches == 1)
        a.b = number(&a, 0);
    for (int i = 0; i < 4; i++)
        a.at[i] = plus(&a, times(&a, a.b, a.of_batch[i]), times(&a, a.h, a.of_head[i]));
    if (!head(&a))
        return false;
    adze_for_end(g, &heads, NULL, NULL);
    adze_gen_parallel_loop(g, &heads, 1, adze_gen_operations(heads.op));
    return true;
}
