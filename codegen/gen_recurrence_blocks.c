/* rnn, gru, lstm whose input was multiplied before (the pass "project"): a block of `rows` sequences at a time.
 *
 *   for each direction d, each block of sequences
 *     h = h0, c = c0                               local, [rows][hidden]
 *     for each step t
 *       sums[rows][gates * hidden] = b + h R       register blocks: vectors run along the gates
 *       for each row, each hidden unit j           marked for the pass "vectorize"
 *         gates of x[t, row] + sums;  c, h, y[t]
 *     y_h = h, y_c = c
 *
 * Where a recurrence of one step starts from zeros there is nothing to multiply. Sequences of given lengths are taken
 * one by one. */
#include "codegen/family.h"
#include "codegen/lanes.h"
#include "codegen/recurrence.h"

enum { STACK_BYTES = 1 << 17 };

typedef struct blocks blocks;
typedef bool step_f(blocks *k);

struct blocks {
    adze_gen *g;
    gn_recurrence *s;
    gn_lanes wide;
    step_f *step;
    int64_t rows, vectors, all; /* all: gates * hidden */
    bool fresh;                 /* the one step starts from zeros */
    MlirValue weights, h, c, sums, z, gated; /* memory of one axis */
    int64_t block_rows;         /* of the present block */
    MlirValue first;            /* its first sequence */
    MlirValue row, j;           /* within the cell's loops */
    adze_for over_rows, over_units;
};

static MlirValue index_of(blocks *k, int64_t i) { return adze_index(k->g, i); }
static MlirValue plus(blocks *k, MlirValue a, MlirValue b) { return adze_index_add(k->g, a, b); }
static MlirValue times(blocks *k, MlirValue a, int64_t n) { return adze_index_mul(k->g, a, index_of(k, n)); }

/* ---- sums = b + from R, for some of its columns ---- */

typedef struct columns {
    blocks *k;
    MlirValue from;
} columns;

static void register_block(void *user, const gn_lanes *l, int64_t vectors, MlirValue column) {
    const columns *c = user;
    blocks *k = c->k;
    const gn_recurrence *s = k->s;
    MlirValue acc[ADZE_MAX_CARRIED];
    for (int64_t v = 0; v < vectors; v++) {
        MlirValue at = plus(k, column, index_of(k, s->direction * k->all + v * l->lanes));
        MlirValue start = s->bias.ptr ? gn_lanes_load(l, adze_gen_flat(k->g, gn_memory(s->bias)), at)
                                      : gn_lanes_number(l, 0);
        for (int64_t r = 0; r < k->block_rows; r++)
            acc[r * vectors + v] = start;
    }
    gn_block b = {.rows = k->block_rows, .vectors = vectors, .depth = s->hidden,
                  .x = c->from, .x_at = index_of(k, 0), .x_row = s->hidden, .x_step = 1,
                  .w = k->weights, .w_step = k->all,
                  .w_at = plus(k, column, index_of(k, s->direction * s->hidden * k->all))};
    gn_block_sum(l, &b, acc);
    for (int64_t r = 0; r < k->block_rows; r++)
        for (int64_t v = 0; v < vectors; v++)
            gn_lanes_store(l, acc[r * vectors + v], k->sums,
                           plus(k, column, index_of(k, r * k->all + v * l->lanes)));
}

/* Columns first .. first + count. */
static void product(blocks *k, MlirValue from, int64_t first, int64_t count) {
    columns c = {k, from};
    if (!k->fresh)
        gn_columns(&k->wide, k->vectors, first, count, register_block, &c);
}

/* ---- loops over the units of a block ---- */

static MlirValue unit(blocks *k) { return plus(k, times(k, k->row, k->s->hidden), k->j); }
static MlirValue sequence(blocks *k) { return plus(k, k->first, k->row); }

static void begin_units(blocks *k) {
    adze_gen *g = k->g;
    k->row = index_of(k, 0);
    if (k->block_rows > 1) {
        k->over_rows = adze_for_begin(g, "row", k->row, index_of(k, k->block_rows), index_of(k, 1), 0, NULL, NULL);
        k->row = k->over_rows.iv;
    }
    k->over_units = adze_for_begin(g, "j", index_of(k, 0), index_of(k, k->s->hidden), index_of(k, 1), 0, NULL, NULL);
    adze_vectorize(g, &k->over_units);
    k->j = k->over_units.iv;
}

static void end_units(blocks *k) {
    adze_for_end(k->g, &k->over_units, NULL, NULL);
    if (k->block_rows > 1)
        adze_for_end(k->g, &k->over_rows, NULL, NULL);
}

static adze_scalar load(blocks *k, MlirValue memory) {
    MlirValue at = unit(k);
    return gn_load(k->g, memory, &at, k->s->work);
}

static void store(blocks *k, adze_scalar x, MlirValue memory) {
    MlirValue at = unit(k);
    gn_store(k->g, x, memory, &at);
}

/* Column of gate `gate` of the present unit. */
static MlirValue column_of(blocks *k, int gate) { return plus(k, index_of(k, gate * k->s->hidden), k->j); }

static bool input_part(blocks *k, int gate, adze_scalar *out) {
    const gn_recurrence *s = k->s;
    MlirValue at[] = {s->t, sequence(k), plus(k, index_of(k, s->direction * k->all), column_of(k, gate))};
    return gn_read(k->g, s->x, at, s->work, out);
}

/* b + R h of a gate; false: there is none, or (*ok) it cannot be read. */
static bool state_part(blocks *k, int gate, bool *ok, adze_scalar *out) {
    const gn_recurrence *s = k->s;
    *ok = true;
    if (!k->fresh) {
        MlirValue at = plus(k, times(k, k->row, k->all), column_of(k, gate));
        *out = gn_load(k->g, k->sums, &at, s->work);
        return true;
    }
    MlirValue at[] = {index_of(k, s->direction), column_of(k, gate)};
    return s->bias.ptr && (*ok = gn_read(k->g, s->bias, at, s->work, out));
}

static bool gate_sum(blocks *k, int gate, adze_scalar *out) {
    adze_scalar more;
    bool ok;
    if (!input_part(k, gate, out))
        return false;
    if (state_part(k, gate, &ok, &more))
        *out = gn_add(k->g, *out, more);
    return ok;
}

static void new_state(blocks *k, adze_scalar h) {
    const gn_recurrence *s = k->s;
    store(k, h, k->h);
    if (s->y.ptr)
        gn_store(k->g, h, s->y, (MlirValue[]){s->t, index_of(k, s->direction), sequence(k), k->j});
}

/* ---- blocks of sequences ---- */

/* local = source[direction, sequence, j], or 0 */
static bool start(blocks *k, MlirValue source, MlirValue local) {
    adze_scalar v = gn_num(k->g, k->s->work, 0);
    begin_units(k);
    if (source.ptr && !gn_read(k->g, source, (MlirValue[]){index_of(k, k->s->direction), sequence(k), k->j},
                               k->s->work, &v))
        return false;
    store(k, v, local);
    end_units(k);
    return true;
}

static void finish(blocks *k, MlirValue local, MlirValue to) {
    if (!to.ptr)
        return;
    begin_units(k);
    gn_store(k->g, load(k, local), to, (MlirValue[]){index_of(k, k->s->direction), sequence(k), k->j});
    end_units(k);
}

/* y[t] = 0 behind the end of a sequence. */
static void pad(blocks *k, MlirValue length, MlirValue steps) {
    gn_recurrence *s = k->s;
    if (!s->y.ptr)
        return;
    adze_for rest = adze_for_begin(k->g, "t", length, steps, index_of(k, 1), 0, NULL, NULL);
    begin_units(k);
    gn_store(k->g, gn_num(k->g, s->work, 0), s->y,
             (MlirValue[]){rest.iv, index_of(k, s->direction), sequence(k), k->j});
    end_units(k);
    adze_for_end(k->g, &rest, NULL, NULL);
}

static bool sequences(blocks *k, MlirValue first, int64_t rows) {
    adze_gen *g = k->g;
    gn_recurrence *s = k->s;
    MlirValue zero = index_of(k, 0), steps = adze_extent(g, s->x, 0), length = steps;
    k->first = first;
    k->block_rows = rows;
    if (s->lengths.ptr) {
        adze_scalar n;
        if (!adze_read(g, s->lengths, &first, &n))
            return false;
        MlirValue given = adze_index_from(g, n);
        g->b.name = "length";
        length = gn_index_clamp(g, given, zero, steps);
    }
    if (!start(k, s->h0, k->h) || (k->c.ptr && !start(k, s->c0, k->c)))
        return false;
    adze_for loop = adze_for_begin(g, s->backwards ? "step" : "t", zero, length, index_of(k, 1), 0, NULL, NULL);
    s->t = loop.iv;
    if (s->backwards)
        s->t = adze_index_sub(g, adze_index_sub(g, length, index_of(k, 1)), loop.iv);
    if (!k->step(k))
        return false;
    adze_for_end(g, &loop, NULL, NULL);
    finish(k, k->h, s->y_h);
    if (k->c.ptr)
        finish(k, k->c, s->y_c);
    if (s->lengths.ptr)
        pad(k, length, steps);
    return true;
}

static bool one_direction(blocks *k) {
    adze_gen *g = k->g;
    int64_t batch = k->s->xs.dims[1], rows = k->rows, whole = batch - batch % rows;
    MlirValue end = batch >= 0 ? index_of(k, whole) : adze_extent(g, k->s->x, 1);
    if (batch < 0 || whole) {
        adze_for loop = adze_for_begin(g, "b", index_of(k, 0), end, index_of(k, rows), 0, NULL, NULL);
        if (!sequences(k, loop.iv, rows))
            return false;
        adze_for_end(g, &loop, NULL, NULL);
    }
    return batch < 0 || whole == batch || sequences(k, index_of(k, whole), batch - whole);
}

static bool run(adze_gen *g, gn_recurrence *s, int n_activations, int n_states, step_f *step) {
    blocks k = {.g = g, .s = s, .step = step, .all = s->gates * s->hidden};
    const char *kernel = adze_get_str(g->ctx, g->kernel, "sym_name");
    adze_schedule schedule;
    if (!adze_schedule_read(g->ctx, kernel, adze_get(g->kernel, "adze.schedule"), &schedule))
        return false;
    if (!gn_memory(s->r).ptr || (s->bias.ptr && !gn_memory(s->bias).ptr))
        return gn_fail(g, s->op, "needs its weights in memory");
    adze_shape r;
    adze_value_shape(g->ctx, s->r, &r);
    if (r.dtype != s->work || (s->bias.ptr && (!adze_value_shape(g->ctx, s->bias, &r) || r.dtype != s->work)))
        return gn_fail(g, s->op, "needs weights of the type that it computes in");
    k.rows = s->lengths.ptr || s->xs.dims[1] < 0 || schedule.rows < 1 ? 1 : schedule.rows;
    k.vectors = schedule.vectors < 1 ? 1 : schedule.vectors;
    if (k.rows * k.vectors > ADZE_MAX_CARRIED)
        return gn_fail(g, s->op, "its schedule has a block of more than %d accumulators", ADZE_MAX_CARRIED);
    if (!gn_lanes_make(g, s->work, schedule.lanes, schedule.scalable != 0, &k.wide) &&
        !gn_lanes_make(g, s->work, 1, false, &k.wide))
        return false;
    if (k.rows > s->xs.dims[1] && s->xs.dims[1] > 0)
        k.rows = s->xs.dims[1];
    int64_t row_bytes = (k.all + 4 * s->hidden) * (int64_t)adze_dtype_get(s->work)->host_bytes;
    while (k.rows > 1 && k.rows * row_bytes > STACK_BYTES)
        k.rows--;
    if (k.rows * row_bytes > STACK_BYTES)
        return gn_fail(g, s->op, "a hidden size of %lld needs more than %d bytes of stack", (long long)s->hidden,
                       STACK_BYTES);
    k.fresh = s->xs.dims[0] == 1 && !s->h0.ptr;
    k.weights = adze_gen_flat(g, gn_memory(s->r));
    int64_t units = k.rows * s->hidden, all = k.rows * k.all;
    k.h = adze_local(g, "h", s->work, 1, &units);
    if (!k.fresh)
        k.sums = adze_local(g, "sums", s->work, 1, &all);
    if (n_states == 2)
        k.c = adze_local(g, "c", s->work, 1, &units);
    if (n_states == 3) {
        k.z = adze_local(g, "z", s->work, 1, &units);
        k.gated = adze_local(g, "rh", s->work, 1, &units);
    }
    for (s->direction = 0; s->direction < s->n_directions; s->direction++) {
        s->backwards |= s->direction == 1;
        s->act = s->activations + s->direction * n_activations;
        if (!one_direction(&k))
            return false;
    }
    return true;
}

/* ---- rnn: h = f(x + R h) ---- */

static bool rnn_step(blocks *k) {
    adze_scalar sum;
    product(k, k->h, 0, k->all);
    begin_units(k);
    if (!gate_sum(k, 0, &sum))
        return false;
    new_state(k, gn_gate(k->g, k->s, "h_new", &k->s->act[0], sum));
    end_units(k);
    return true;
}

bool gn_projected_rnn(adze_gen *g, gn_recurrence *s) { return run(g, s, 1, 1, rnn_step); }

/* ---- gru: h = (1 - z) n + z h ---- */

static adze_scalar blend(blocks *k, adze_scalar z, adze_scalar n, adze_scalar h) {
    adze_gen *g = k->g;
    return gn_add(g, gn_mul(g, gn_sub(g, gn_num(g, k->s->work, 1), z), n), gn_mul(g, z, h));
}

/* n = g(x + r (R h + b)) */
static bool gru_step_linear(blocks *k) {
    adze_gen *g = k->g;
    const gn_recurrence *s = k->s;
    adze_scalar sums[2], n, more;
    bool ok;
    product(k, k->h, 0, k->all);
    begin_units(k);
    if (!gate_sum(k, 0, &sums[0]) || !gate_sum(k, 1, &sums[1]) || !input_part(k, 2, &n))
        return false;
    adze_scalar z = gn_gate(g, s, "zj", &s->act[0], sums[0]), r = gn_gate(g, s, "rj", &s->act[0], sums[1]);
    if (state_part(k, 2, &ok, &more))
        n = gn_add(g, n, gn_mul(g, r, more));
    if (!ok)
        return false;
    n = gn_gate(g, s, "n", &s->act[1], n);
    new_state(k, blend(k, z, n, load(k, k->h)));
    end_units(k);
    return true;
}

/* n = g(x + R (r h) + b) */
static bool gru_step(blocks *k) {
    adze_gen *g = k->g;
    const gn_recurrence *s = k->s;
    adze_scalar sums[2], n;
    product(k, k->h, 0, 2 * s->hidden);
    begin_units(k);
    if (!gate_sum(k, 0, &sums[0]) || !gate_sum(k, 1, &sums[1]))
        return false;
    store(k, gn_gate(g, s, "zj", &s->act[0], sums[0]), k->z);
    store(k, gn_mul(g, gn_gate(g, s, "rj", &s->act[0], sums[1]), load(k, k->h)), k->gated);
    end_units(k);
    product(k, k->gated, 2 * s->hidden, s->hidden);
    begin_units(k);
    if (!gate_sum(k, 2, &n))
        return false;
    n = gn_gate(g, s, "n", &s->act[1], n);
    new_state(k, blend(k, load(k, k->z), n, load(k, k->h)));
    end_units(k);
    return true;
}

bool gn_projected_gru(adze_gen *g, gn_recurrence *s) {
    return adze_get_bool(s->op, "linear_before_reset") ? run(g, s, 2, 1, gru_step_linear)
                                                       : run(g, s, 2, 3, gru_step);
}

/* ---- lstm ---- */

/* sum += P[direction, which * hidden + j] * cell; peepholes stand in the order i o f */
static bool add_peephole(blocks *k, int which, adze_scalar cell, adze_scalar *sum) {
    const gn_recurrence *s = k->s;
    adze_scalar p;
    if (!s->peephole.ptr)
        return true;
    if (!gn_read(k->g, s->peephole, (MlirValue[]){index_of(k, s->direction), column_of(k, which)}, s->work, &p))
        return false;
    *sum = gn_add(k->g, *sum, gn_mul(k->g, p, cell));
    return true;
}

/* i, f = f(.. + P c); c = f c + i g(..); o = f(.. + P c); h = o h(c) */
static bool lstm_step(blocks *k) {
    adze_gen *g = k->g;
    const gn_recurrence *s = k->s;
    bool coupled = adze_get_bool(s->op, "input_forget");
    adze_scalar sums[GN_MAX_GATES], forget;
    product(k, k->h, 0, k->all);
    begin_units(k);
    adze_scalar cell = load(k, k->c);
    for (int gate = 0; gate < GN_MAX_GATES; gate++)
        if (!(coupled && gate == GN_LSTM_F) && !gate_sum(k, gate, &sums[gate]))
            return false;
    if (!add_peephole(k, GN_LSTM_I, cell, &sums[GN_LSTM_I]))
        return false;
    adze_scalar in = gn_gate(g, s, "in", &s->act[0], sums[GN_LSTM_I]);
    if (coupled) {
        forget = gn_sub(g, gn_num(g, s->work, 1), in);
    } else {
        if (!add_peephole(k, GN_LSTM_F, cell, &sums[GN_LSTM_F]))
            return false;
        forget = gn_gate(g, s, "forget", &s->act[0], sums[GN_LSTM_F]);
    }
    adze_scalar candidate = gn_gate(g, s, "candidate", &s->act[1], sums[GN_LSTM_C]);
    cell = gn_add(g, gn_mul(g, forget, cell), gn_mul(g, in, candidate));
    store(k, cell, k->c);
    if (!add_peephole(k, GN_LSTM_O, cell, &sums[GN_LSTM_O]))
        return false;
    adze_scalar out = gn_gate(g, s, "out", &s->act[0], sums[GN_LSTM_O]);
    new_state(k, gn_mul(g, out, gn_activate(g, &s->act[2], cell)));
    end_units(k);
    return true;
}

bool gn_projected_lstm(adze_gen *g, gn_recurrence *s) { return run(g, s, 3, 2, lstm_step); }
