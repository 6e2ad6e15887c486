/* rnn, gru, lstm: one direction after the other, one sequence after the other, step by step.
 *
 *   for each sequence b
 *     h = h0, c = c0                        local rows of `hidden` elements
 *     for each step t                       backwards in a reverse direction
 *       for each j: gates of row j, next h  all four (three, one) gates share the loop over k
 *       h = next h, y[t] = h
 *     y_h = h, y_c = c
 *
 * Weights are [directions, gates * hidden, ..]; gate orders are ONNX's: lstm i o f c, gru z r h. */
#include "codegen/recurrence.h"

#include <string.h>

/* ---- what the three share ---- */

enum { LOCAL_BYTES = 4096 };

static adze_scalar row_load(adze_gen *g, const gn_recurrence *s, const gn_row *r, MlirValue j) {
    MlirValue at[4];
    memcpy(at, r->prefix, sizeof r->prefix);
    at[r->n] = j;
    return gn_load(g, r->memref, at, s->work);
}

static void row_store(adze_gen *g, const gn_row *r, MlirValue j, adze_scalar x) {
    MlirValue at[4];
    memcpy(at, r->prefix, sizeof r->prefix);
    at[r->n] = j;
    gn_store(g, x, r->memref, at);
}

/* A local array; too long ones live in a result of the same type instead. */
static bool make_row(adze_gen *g, const gn_recurrence *s, const char *name, MlirValue instead,
                     gn_row *out) {
    *out = (gn_row){{NULL}, {{NULL}}, 0};
    size_t bytes = adze_dtype_get(s->work)->host_bytes;
    if (s->hidden <= (int64_t)(LOCAL_BYTES / bytes)) {
        out->memref = adze_local(g, name, s->work, 1, &s->hidden);
        return true;
    }
    adze_shape shape;
    if (!instead.ptr || !adze_value_shape(g->ctx, instead, &shape) || shape.dtype != s->work)
        return gn_fail(g, s->op, "a hidden size of %lld needs more than %d bytes of stack for '%s'",
                       (long long)s->hidden, LOCAL_BYTES, name);
    out->memref = instead;
    return true;
}

static bool has_prefix(const gn_row *r, MlirValue memref) { return mlirValueEqual(r->memref, memref); }

/* Points a row that lives in a result at the present sequence (and step). */
static void point_row(adze_gen *g, const gn_recurrence *s, gn_row *r) {
    if (s->y.ptr && has_prefix(r, s->y)) {
        r->prefix[0] = s->t;
        r->prefix[1] = adze_index(g, s->direction);
        r->prefix[2] = s->b;
        r->n = 3;
    } else if ((s->y_h.ptr && has_prefix(r, s->y_h)) || (s->y_c.ptr && has_prefix(r, s->y_c))) {
        r->prefix[0] = adze_index(g, s->direction);
        r->prefix[1] = s->b;
        r->n = 2;
    }
}

/* Index j of gate `gate`'s rows. */
static MlirValue gate_row(adze_gen *g, const gn_recurrence *s, int gate, MlirValue j) {
    return adze_index_add(g, adze_index(g, gate * s->hidden), j);
}

/* acc[i] += sum over k of weights[direction, row j of gates[i], k] * v[k]; v is `from`, or x[t, b].
 */
static bool dot(adze_gen *g, const gn_recurrence *s, MlirValue weights, const gn_row *from, int n,
                const int *gates, MlirValue j, adze_scalar *acc) {
    MlirValue zero = adze_index(g, 0), direction = adze_index(g, s->direction), rows[GN_MAX_GATES];
    MlirValue length = from ? adze_index(g, s->hidden) : adze_extent(g, s->x, 2);
    const char *carried[GN_MAX_GATES];
    for (int i = 0; i < n; i++) {
        rows[i] = gate_row(g, s, gates[i], j);
        carried[i] = s->gate_names[gates[i]];
    }
    gn_loop loop = gn_loop_begin(g, "k", zero, length, n, acc, carried);
    adze_vectorize(g, &loop.loop);
    adze_scalar v, w, next[GN_MAX_GATES];
    MlirValue x_at[3] = {s->t, s->b, loop.iv};
    if (from)
        v = row_load(g, s, from, loop.iv);
    else if (!gn_read(g, s->x, x_at, s->work, &v))
        return false;
    for (int i = 0; i < n; i++) {
        MlirValue w_at[3] = {direction, rows[i], loop.iv};
        if (!gn_read(g, weights, w_at, s->work, &w))
            return false;
        next[i] = gn_add(g, loop.carried[i], gn_mul(g, w, v));
    }
    gn_loop_end(g, &loop, next, acc);
    return true;
}

/* Wb (which 0) or Rb (which 1) of row j of a gate; 0 without biases. */
static bool read_bias(adze_gen *g, const gn_recurrence *s, int which, int gate, MlirValue j,
                      adze_scalar *out) {
    *out = gn_num(g, s->work, 0);
    MlirValue at[2] = {adze_index(g, s->direction), gate_row(g, s, which * s->gates + gate, j)};
    return !s->bias.ptr || gn_read(g, s->bias, at, s->work, out);
}

/* W x + R v + Wb + Rb for row j of some gates. */
static bool gate_sums(adze_gen *g, const gn_recurrence *s, const gn_row *from, int n, const int *gates,
                      MlirValue j, adze_scalar *acc) {
    for (int i = 0; i < n; i++) {
        adze_scalar more;
        if (!read_bias(g, s, 0, gates[i], j, &acc[i]) || !read_bias(g, s, 1, gates[i], j, &more))
            return false;
        if (s->bias.ptr)
            acc[i] = gn_add(g, acc[i], more);
    }
    return dot(g, s, s->w, NULL, n, gates, j, acc) && dot(g, s, s->r, from, n, gates, j, acc);
}

/* for j in hidden: row = source[direction, b, j], or 0 */
static bool start_row(adze_gen *g, const gn_recurrence *s, MlirValue source, const gn_row *to) {
    adze_scalar v = gn_num(g, s->work, 0);
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    adze_vectorize(g, &loop.loop);
    MlirValue at[3] = {adze_index(g, s->direction), s->b, loop.iv};
    if (source.ptr && !gn_read(g, source, at, s->work, &v))
        return false;
    row_store(g, to, loop.iv, v);
    gn_loop_end(g, &loop, NULL, NULL);
    return true;
}

static void finish_row(adze_gen *g, const gn_recurrence *s, const gn_row *from, MlirValue to) {
    if (!to.ptr || mlirValueEqual(from->memref, to))
        return;
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    adze_vectorize(g, &loop.loop);
    MlirValue at[3] = {adze_index(g, s->direction), s->b, loop.iv};
    gn_store(g, row_load(g, s, from, loop.iv), to, at);
    gn_loop_end(g, &loop, NULL, NULL);
}

static void store_y(adze_gen *g, const gn_recurrence *s, MlirValue t, MlirValue j, adze_scalar v) {
    if (!s->y.ptr)
        return;
    MlirValue at[4] = {t, adze_index(g, s->direction), s->b, j};
    gn_store(g, v, s->y, at);
}

/* h = next; y[t] = next */
static void take_next(adze_gen *g, const gn_recurrence *s) {
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    adze_vectorize(g, &loop.loop);
    adze_scalar v = row_load(g, s, &s->next, loop.iv);
    row_store(g, &s->h, loop.iv, v);
    if (!s->y.ptr || !has_prefix(&s->next, s->y))
        store_y(g, s, s->t, loop.iv, v);
    gn_loop_end(g, &loop, NULL, NULL);
}

/* Builds one step: s->h (and s->c) in place, y[t] stored. */
typedef bool step_f(adze_gen *g, gn_recurrence *s);

static bool run_sequences(adze_gen *g, gn_recurrence *s, step_f *step) {
    MlirValue zero = adze_index(g, 0), seq = adze_extent(g, s->x, 0), length = seq, index[1];
    MlirValue batch = adze_extent(g, s->x, 1);
    adze_nest nest = adze_nest_begin(g, 1, &batch, (const char *[]){"b"}, index);
    s->b = index[0];
    if (s->lengths.ptr) {
        adze_scalar n;
        if (!adze_read(g, s->lengths, &s->b, &n))
            return false;
        MlirValue given = adze_index_from(g, n);
        g->b.name = "length";
        length = gn_index_clamp(g, given, zero, seq);
    }
    point_row(g, s, &s->h);
    if (!start_row(g, s, s->h0, &s->h))
        return false;
    if (s->c.memref.ptr) {
        point_row(g, s, &s->c);
        if (!start_row(g, s, s->c0, &s->c))
            return false;
    }
    adze_for steps = adze_for_begin(g, s->backwards ? "step" : "t", zero, length, adze_index(g, 1),
                                    0, NULL, NULL);
    s->t = steps.iv;
    if (s->backwards) {
        MlirValue last = adze_index_sub(g, length, adze_index(g, 1));
        g->b.name = "t";
        s->t = adze_index_sub(g, last, steps.iv);
    }
    if (s->next.memref.ptr)
        point_row(g, s, &s->next);
    if (!step(g, s))
        return false;
    adze_for_end(g, &steps, NULL, NULL);
    finish_row(g, s, &s->h, s->y_h);
    if (s->c.memref.ptr)
        finish_row(g, s, &s->c, s->y_c);
    if (s->lengths.ptr && s->y.ptr) { /* what follows the sequence is zero */
        adze_for rest = adze_for_begin(g, "t", length, seq, adze_index(g, 1), 0, NULL, NULL);
        gn_loop loop = gn_loop_begin(g, "j", zero, adze_index(g, s->hidden), 0, NULL, NULL);
        store_y(g, s, rest.iv, loop.iv, gn_num(g, s->work, 0));
        gn_loop_end(g, &loop, NULL, NULL);
        adze_for_end(g, &rest, NULL, NULL);
    }
    adze_nest_end(g, &nest);
    return true;
}

static bool run(adze_gen *g, gn_recurrence *s, int n_activations, step_f *step) {
    for (s->direction = 0; s->direction < s->n_directions; s->direction++) {
        s->backwards |= s->direction == 1;
        s->act = s->activations + s->direction * n_activations;
        if (!run_sequences(g, s, step))
            return false;
    }
    return true;
}

/* ---- rnn: h = f(W x + R h + b) ---- */

static bool rnn_step(adze_gen *g, gn_recurrence *s) {
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    adze_scalar sum;
    if (!gate_sums(g, s, &s->h, 1, (int[]){0}, loop.iv, &sum))
        return false;
    row_store(g, &s->next, loop.iv, gn_gate(g, s, "h_new", &s->act[0], sum));
    gn_loop_end(g, &loop, NULL, NULL);
    take_next(g, s);
    return true;
}

bool adze_gen_rnn(adze_gen *g, MlirOperation op) {
    static const char *const names[] = {"sum"};
    gn_recurrence s;
    if (!gn_read_recurrence(g, op, 1, names, 1, &s))
        return false;
    if (!s.w.ptr)
        return gn_projected_rnn(g, &s);
    return make_row(g, &s, "h_next", s.y, &s.next) &&
           make_row(g, &s, "h", s.y_h, &s.h) && run(g, &s, 1, rnn_step);
}

/* ---- gru ---- */

/* h = (1 - z) n + z h */
static adze_scalar blend(adze_gen *g, const gn_recurrence *s, adze_scalar z, adze_scalar n,
                         adze_scalar h) {
    adze_scalar fresh = gn_mul(g, gn_sub(g, gn_num(g, s->work, 1), z), n);
    adze_scalar kept = gn_mul(g, z, h);
    g->b.name = "h_new";
    return gn_add(g, fresh, kept);
}

/* n = g(W x + Wb + r (R h + Rb)): one pass over the rows */
static bool gru_step_linear(adze_gen *g, gn_recurrence *s) {
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    MlirValue j = loop.iv;
    adze_scalar zr[2], from_x, from_h;
    const int candidate = 2;
    if (!gate_sums(g, s, &s->h, 2, (int[]){0, 1}, j, zr) ||
        !read_bias(g, s, 0, candidate, j, &from_x) || !read_bias(g, s, 1, candidate, j, &from_h) ||
        !dot(g, s, s->w, NULL, 1, &candidate, j, &from_x) ||
        !dot(g, s, s->r, &s->h, 1, &candidate, j, &from_h))
        return false;
    adze_scalar z = gn_gate(g, s, "z", &s->act[0], zr[0]), r = gn_gate(g, s, "r", &s->act[0], zr[1]);
    adze_scalar n = gn_gate(g, s, "n", &s->act[1], gn_add(g, from_x, gn_mul(g, r, from_h)));
    row_store(g, &s->next, j, blend(g, s, z, n, row_load(g, s, &s->h, j)));
    gn_loop_end(g, &loop, NULL, NULL);
    take_next(g, s);
    return true;
}

/* n = g(W x + Wb + R (r h) + Rb): all of r h first, then h changes in place */
static bool gru_step(adze_gen *g, gn_recurrence *s) {
    MlirValue zero = adze_index(g, 0), hidden = adze_index(g, s->hidden);
    gn_loop loop = gn_loop_begin(g, "j", zero, hidden, 0, NULL, NULL);
    adze_scalar zr[2], sum;
    if (!gate_sums(g, s, &s->h, 2, (int[]){0, 1}, loop.iv, zr))
        return false;
    row_store(g, &s->z, loop.iv, gn_gate(g, s, "z_j", &s->act[0], zr[0]));
    adze_scalar r = gn_gate(g, s, "r", &s->act[0], zr[1]);
    row_store(g, &s->gated, loop.iv, gn_mul(g, r, row_load(g, s, &s->h, loop.iv)));
    gn_loop_end(g, &loop, NULL, NULL);

    loop = gn_loop_begin(g, "j", zero, hidden, 0, NULL, NULL);
    if (!gate_sums(g, s, &s->gated, 1, (int[]){2}, loop.iv, &sum))
        return false;
    adze_scalar n = gn_gate(g, s, "n", &s->act[1], sum);
    adze_scalar z = row_load(g, s, &s->z, loop.iv), h = row_load(g, s, &s->h, loop.iv);
    adze_scalar h_new = blend(g, s, z, n, h);
    row_store(g, &s->h, loop.iv, h_new);
    store_y(g, s, s->t, loop.iv, h_new);
    gn_loop_end(g, &loop, NULL, NULL);
    return true;
}

bool adze_gen_gru(adze_gen *g, MlirOperation op) {
    static const char *const names[] = {"sum_z", "sum_r", "sum_n"};
    gn_recurrence s;
    if (!gn_read_recurrence(g, op, 3, names, 2, &s))
        return false;
    if (!s.w.ptr)
        return gn_projected_gru(g, &s);
    if (adze_get_bool(op, "linear_before_reset"))
        return make_row(g, &s, "h_next", s.y, &s.next) && make_row(g, &s, "h", s.y_h, &s.h) &&
               run(g, &s, 2, gru_step_linear);
    MlirValue nowhere = {NULL};
    return make_row(g, &s, "rh", nowhere, &s.gated) && make_row(g, &s, "z", nowhere, &s.z) &&
           make_row(g, &s, "h", s.y_h, &s.h) && run(g, &s, 2, gru_step);
}

/* ---- lstm ---- */

/* sum += P[direction, which * hidden + j] * cell; peepholes stand in the order i o f */
static bool add_peephole(adze_gen *g, const gn_recurrence *s, int which, MlirValue j, adze_scalar cell,
                         adze_scalar *sum) {
    if (!s->peephole.ptr)
        return true;
    adze_scalar p;
    MlirValue at[2] = {adze_index(g, s->direction), gate_row(g, s, which, j)};
    if (!gn_read(g, s->peephole, at, s->work, &p))
        return false;
    *sum = gn_add(g, *sum, gn_mul(g, p, cell));
    return true;
}

/* i, f = f(.. + P c); c = f c + i g(..); o = f(.. + P c); h = o h(c) */
static bool lstm_step(adze_gen *g, gn_recurrence *s) {
    bool coupled = adze_get_bool(s->op, "input_forget");
    static const int all[] = {GN_LSTM_I, GN_LSTM_O, GN_LSTM_F, GN_LSTM_C}, three[] = {GN_LSTM_I, GN_LSTM_O, GN_LSTM_C};
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    MlirValue j = loop.iv;
    adze_scalar sums[4];
    if (!gate_sums(g, s, &s->h, coupled ? 3 : 4, coupled ? three : all, j, sums))
        return false;
    if (coupled)
        sums[GN_LSTM_C] = sums[2];
    adze_scalar cell = row_load(g, s, &s->c, j), forget;
    if (!add_peephole(g, s, GN_LSTM_I, j, cell, &sums[GN_LSTM_I]))
        return false;
    adze_scalar in = gn_gate(g, s, "in", &s->act[0], sums[GN_LSTM_I]);
    if (coupled) {
        forget = gn_sub(g, gn_num(g, s->work, 1), in);
    } else {
        if (!add_peephole(g, s, GN_LSTM_F, j, cell, &sums[GN_LSTM_F]))
            return false;
        forget = gn_gate(g, s, "forget", &s->act[0], sums[GN_LSTM_F]);
    }
    adze_scalar candidate = gn_gate(g, s, "candidate", &s->act[1], sums[GN_LSTM_C]);
    adze_scalar kept = gn_mul(g, forget, cell), fresh = gn_mul(g, in, candidate);
    g->b.name = "cell";
    cell = gn_add(g, kept, fresh);
    row_store(g, &s->c, j, cell);
    if (!add_peephole(g, s, GN_LSTM_O, j, cell, &sums[GN_LSTM_O]))
        return false;
    adze_scalar out = gn_gate(g, s, "out", &s->act[0], sums[GN_LSTM_O]);
    row_store(g, &s->next, j, gn_mul(g, out, gn_activate(g, &s->act[2], cell)));
    gn_loop_end(g, &loop, NULL, NULL);
    take_next(g, s);
    return true;
}

bool adze_gen_lstm(adze_gen *g, MlirOperation op) {
    static const char *const names[] = {"sum_i", "sum_o", "sum_f", "sum_c"};
    gn_recurrence s;
    if (!gn_read_recurrence(g, op, 4, names, 3, &s))
        return false;
    if (!s.w.ptr)
        return gn_projected_lstm(g, &s);
    return make_row(g, &s, "h_next", s.y, &s.next) &&
           make_row(g, &s, "c", s.y_c, &s.c) && make_row(g, &s, "h", s.y_h, &s.h) &&
           run(g, &s, 3, lstm_step);
}
