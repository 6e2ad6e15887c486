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
#include "codegen/gen_math.h"

#include <string.h>

/* ---- activations ---- */

static adze_scalar affine(adze_gen *g, const double *p, adze_scalar x) {
    return gn_add(g, gn_mul(g, gn_num(g, x.dtype, p[0]), x), gn_num(g, x.dtype, p[1]));
}

static adze_scalar scaled_tanh(adze_gen *g, const double *p, adze_scalar x) {
    return gn_mul(g, gn_num(g, x.dtype, p[0]),
                  gn_unary(g, "tanh", gn_mul(g, gn_num(g, x.dtype, p[1]), x)));
}

/* kind: of kinds.def, or NULL for a function here. uses: how many of alpha and beta it takes. */
static const struct activation_row {
    const char *name, *kind;
    adze_scalar (*build)(adze_gen *g, const double *p, adze_scalar x);
    int uses;
    double defaults[2];
} activation_rows[] = {
    {"Relu", "relu", NULL, 0, {0, 0}},
    {"Tanh", "tanh", NULL, 0, {0, 0}},
    {"Sigmoid", "sigmoid", NULL, 0, {0, 0}},
    {"Softsign", "softsign", NULL, 0, {0, 0}},
    {"Softplus", "softplus", NULL, 0, {0, 0}},
    {"LeakyRelu", "leaky_relu", NULL, 1, {0.01, 0}},
    {"ThresholdedRelu", "thresholded_relu", NULL, 1, {1, 0}},
    {"Elu", "elu", NULL, 1, {1, 0}},
    {"HardSigmoid", "hard_sigmoid", NULL, 2, {0.2, 0.5}},
    {"Affine", NULL, affine, 2, {1, 0}},
    {"ScaledTanh", NULL, scaled_tanh, 2, {1, 1}},
};

typedef struct activation {
    const struct activation_row *row;
    double params[2];
} activation;

/* ONNX's lists write the names in both cases. */
static bool same_word(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if ((*a | 0x20) != (*b | 0x20))
            return false;
    return *a == *b;
}

/* alpha and beta: one number per activation when the list is that long, else one for each
 * activation that takes it, in order; defaults after the end. */
static bool read_activations(adze_gen *g, MlirOperation op, int n, activation *out) {
    enum { MAX = 6 };
    const char *names[MAX] = {0};
    double lists[2][MAX];
    static const char *const attrs[2] = {"alpha", "beta"};
    int count[2], next[2] = {0};
    if (adze_get_strs(g->ctx, op, "activations", MAX, names) != n)
        return gn_fail(g, op, "needs %d activations", n);
    for (int p = 0; p < 2; p++)
        if ((count[p] = adze_get_f64s(op, attrs[p], MAX, lists[p])) > n)
            return gn_fail(g, op, "has more numbers in %s than activations", attrs[p]);
    for (int i = 0; i < n; i++) {
        out[i].row = NULL;
        for (size_t k = 0; k < ADZE_COUNT(activation_rows); k++)
            if (same_word(activation_rows[k].name, names[i]))
                out[i].row = &activation_rows[k];
        if (!out[i].row)
            return gn_fail(g, op, "unknown activation '%s'", names[i]);
        for (int p = 0; p < 2; p++) {
            bool used = out[i].row->uses > p;
            int at = count[p] == n ? i : used ? next[p]++ : count[p];
            out[i].params[p] = used && at < count[p] ? lists[p][at] : out[i].row->defaults[p];
        }
    }
    return true;
}

static adze_scalar activate(adze_gen *g, const activation *a, adze_scalar x) {
    return a->row->kind ? gn_unary_p(g, a->row->kind, a->params, x)
                        : a->row->build(g, a->params, x);
}

/* ---- what the three share ---- */

enum { MAX_GATES = 4, LOCAL_BYTES = 4096 };

/* One row of `hidden` elements: a local array, or a row of a result. */
typedef struct row {
    MlirValue memref;
    MlirValue prefix[3];
    int n;
} row;

typedef struct recurrence {
    MlirOperation op;
    const char *const *gate_names;
    int gates, n_directions, direction; /* direction: the present one */
    bool backwards;
    int64_t hidden;
    double clip;
    adze_dtype work;
    adze_shape xs;
    MlirValue x, w, r, bias, lengths, h0, c0, peephole; /* null: absent */
    MlirValue y, y_h, y_c;                              /* memrefs; null: unused */
    activation activations[6];
    const activation *act; /* of the present direction */
    MlirValue b, t;        /* present sequence and step */
    row h, next, c, z, gated;
} recurrence;

static adze_scalar row_load(adze_gen *g, const recurrence *s, const row *r, MlirValue j) {
    MlirValue at[4];
    memcpy(at, r->prefix, sizeof r->prefix);
    at[r->n] = j;
    return gn_load(g, r->memref, at, s->work);
}

static void row_store(adze_gen *g, const row *r, MlirValue j, adze_scalar x) {
    MlirValue at[4];
    memcpy(at, r->prefix, sizeof r->prefix);
    at[r->n] = j;
    gn_store(g, x, r->memref, at);
}

/* A local array; too long ones live in a result of the same type instead. */
static bool make_row(adze_gen *g, const recurrence *s, const char *name, MlirValue instead,
                     row *out) {
    *out = (row){{NULL}, {{NULL}}, 0};
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

static bool has_prefix(const row *r, MlirValue memref) { return mlirValueEqual(r->memref, memref); }

/* Points a row that lives in a result at the present sequence (and step). */
static void point_row(adze_gen *g, const recurrence *s, row *r) {
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

static MlirValue optional(MlirOperation op, int i) {
    if (i >= (int)mlirOperationGetNumOperands(op))
        return (MlirValue){NULL};
    MlirValue v = mlirOperationGetOperand(op, i);
    return adze_is_none(v) ? (MlirValue){NULL} : v;
}

static bool check_shape(adze_gen *g, MlirOperation op, MlirValue v, const char *what, int rank,
                        const int64_t *want) {
    adze_shape shape;
    if (!v.ptr)
        return true;
    bool ok = adze_value_shape(g->ctx, v, &shape) && shape.rank == rank;
    for (int d = 0; ok && d < rank; d++)
        ok = shape.dims[d] == want[d];
    return ok || gn_fail(g, op, "%s does not have the shape that the weights imply", what);
}

static bool read_recurrence(adze_gen *g, MlirOperation op, int gates, const char *const *gate_names,
                            int n_activations, recurrence *s) {
    *s = (recurrence){.op = op, .gates = gates, .gate_names = gate_names};
    if (!gn_operand(g, op, 0, &s->x, &s->xs) || !gn_need_float(g, op, &s->xs))
        return false;
    s->work = gn_compute(s->xs.dtype);
    s->hidden = adze_get_i64(op, "hidden");
    s->clip = adze_get_f64(op, "clip");
    if (s->xs.rank != 3 || s->hidden < 1)
        return gn_fail(g, op, "x has rank %d, hidden is %lld", s->xs.rank, (long long)s->hidden);
    const char *direction = adze_get_str(g->ctx, op, "direction");
    bool forward = direction && !strcmp(direction, "forward");
    bool both = direction && !strcmp(direction, "bidirectional");
    s->backwards = direction && !strcmp(direction, "reverse");
    if (!forward && !both && !s->backwards)
        return gn_fail(g, op, "unknown direction '%s'", direction ? direction : "");
    s->n_directions = both ? 2 : 1;
    MlirValue *operands[] = {&s->w, &s->r, &s->bias, &s->lengths, &s->h0, &s->c0, &s->peephole};
    for (int i = 0; i < (int)ADZE_COUNT(operands); i++)
        *operands[i] = optional(op, 1 + i);
    MlirValue *results[] = {&s->y, &s->y_h, &s->y_c};
    for (int i = 0; i < (int)mlirOperationGetNumResults(op) && i < 3; i++)
        *results[i] = adze_gen_destination(g, mlirOperationGetResult(op, i));
    int64_t d = s->n_directions, rows = gates * s->hidden, batch = s->xs.dims[1];
    return check_shape(g, op, s->w, "w", 3, (int64_t[]){d, rows, s->xs.dims[2]}) &&
           check_shape(g, op, s->r, "r", 3, (int64_t[]){d, rows, s->hidden}) &&
           check_shape(g, op, s->bias, "b", 2, (int64_t[]){d, 2 * rows}) &&
           check_shape(g, op, s->lengths, "lengths", 1, (int64_t[]){batch}) &&
           check_shape(g, op, s->h0, "h0", 3, (int64_t[]){d, batch, s->hidden}) &&
           check_shape(g, op, s->c0, "c0", 3, (int64_t[]){d, batch, s->hidden}) &&
           check_shape(g, op, s->peephole, "p", 2, (int64_t[]){d, 3 * s->hidden}) &&
           read_activations(g, op, s->n_directions * n_activations, s->activations);
}

/* Index j of gate `gate`'s rows. */
static MlirValue gate_row(adze_gen *g, const recurrence *s, int gate, MlirValue j) {
    return adze_index_add(g, adze_index(g, gate * s->hidden), j);
}

/* acc[i] += sum over k of weights[direction, row j of gates[i], k] * v[k]; v is `from`, or x[t, b].
 */
static bool dot(adze_gen *g, const recurrence *s, MlirValue weights, const row *from, int n,
                const int *gates, MlirValue j, adze_scalar *acc) {
    MlirValue zero = adze_index(g, 0), direction = adze_index(g, s->direction), rows[MAX_GATES];
    MlirValue length = from ? adze_index(g, s->hidden) : adze_extent(g, s->x, 2);
    const char *carried[MAX_GATES];
    for (int i = 0; i < n; i++) {
        rows[i] = gate_row(g, s, gates[i], j);
        carried[i] = s->gate_names[gates[i]];
    }
    gn_loop loop = gn_loop_begin(g, "k", zero, length, n, acc, carried);
    adze_scalar v, w, next[MAX_GATES];
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
static bool read_bias(adze_gen *g, const recurrence *s, int which, int gate, MlirValue j,
                      adze_scalar *out) {
    *out = gn_num(g, s->work, 0);
    MlirValue at[2] = {adze_index(g, s->direction), gate_row(g, s, which * s->gates + gate, j)};
    return !s->bias.ptr || gn_read(g, s->bias, at, s->work, out);
}

/* W x + R v + Wb + Rb for row j of some gates. */
static bool gate_sums(adze_gen *g, const recurrence *s, const row *from, int n, const int *gates,
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

static adze_scalar gate(adze_gen *g, const recurrence *s, const char *name, const activation *a,
                        adze_scalar x) {
    if (s->clip > 0)
        x = gn_unary_p(g, "clip", (double[]){-s->clip, s->clip}, x);
    g->b.name = name;
    return activate(g, a, x);
}

/* for j in hidden: row = source[direction, b, j], or 0 */
static bool start_row(adze_gen *g, const recurrence *s, MlirValue source, const row *to) {
    adze_scalar v = gn_num(g, s->work, 0);
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    MlirValue at[3] = {adze_index(g, s->direction), s->b, loop.iv};
    if (source.ptr && !gn_read(g, source, at, s->work, &v))
        return false;
    row_store(g, to, loop.iv, v);
    gn_loop_end(g, &loop, NULL, NULL);
    return true;
}

static void finish_row(adze_gen *g, const recurrence *s, const row *from, MlirValue to) {
    if (!to.ptr || mlirValueEqual(from->memref, to))
        return;
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    MlirValue at[3] = {adze_index(g, s->direction), s->b, loop.iv};
    gn_store(g, row_load(g, s, from, loop.iv), to, at);
    gn_loop_end(g, &loop, NULL, NULL);
}

static void store_y(adze_gen *g, const recurrence *s, MlirValue t, MlirValue j, adze_scalar v) {
    if (!s->y.ptr)
        return;
    MlirValue at[4] = {t, adze_index(g, s->direction), s->b, j};
    gn_store(g, v, s->y, at);
}

/* h = next; y[t] = next */
static void take_next(adze_gen *g, const recurrence *s) {
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    adze_scalar v = row_load(g, s, &s->next, loop.iv);
    row_store(g, &s->h, loop.iv, v);
    if (!s->y.ptr || !has_prefix(&s->next, s->y))
        store_y(g, s, s->t, loop.iv, v);
    gn_loop_end(g, &loop, NULL, NULL);
}

/* Builds one step: s->h (and s->c) in place, y[t] stored. */
typedef bool step_f(adze_gen *g, recurrence *s);

static bool run_sequences(adze_gen *g, recurrence *s, step_f *step) {
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

static bool run(adze_gen *g, recurrence *s, int n_activations, step_f *step) {
    for (s->direction = 0; s->direction < s->n_directions; s->direction++) {
        s->backwards |= s->direction == 1;
        s->act = s->activations + s->direction * n_activations;
        if (!run_sequences(g, s, step))
            return false;
    }
    return true;
}

/* ---- rnn: h = f(W x + R h + b) ---- */

static bool rnn_step(adze_gen *g, recurrence *s) {
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    adze_scalar sum;
    if (!gate_sums(g, s, &s->h, 1, (int[]){0}, loop.iv, &sum))
        return false;
    row_store(g, &s->next, loop.iv, gate(g, s, "h_new", &s->act[0], sum));
    gn_loop_end(g, &loop, NULL, NULL);
    take_next(g, s);
    return true;
}

bool adze_gen_rnn(adze_gen *g, MlirOperation op) {
    static const char *const names[] = {"sum"};
    recurrence s;
    return read_recurrence(g, op, 1, names, 1, &s) && make_row(g, &s, "h_next", s.y, &s.next) &&
           make_row(g, &s, "h", s.y_h, &s.h) && run(g, &s, 1, rnn_step);
}

/* ---- gru ---- */

/* h = (1 - z) n + z h */
static adze_scalar blend(adze_gen *g, const recurrence *s, adze_scalar z, adze_scalar n,
                         adze_scalar h) {
    adze_scalar fresh = gn_mul(g, gn_sub(g, gn_num(g, s->work, 1), z), n);
    adze_scalar kept = gn_mul(g, z, h);
    g->b.name = "h_new";
    return gn_add(g, fresh, kept);
}

/* n = g(W x + Wb + r (R h + Rb)): one pass over the rows */
static bool gru_step_linear(adze_gen *g, recurrence *s) {
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    MlirValue j = loop.iv;
    adze_scalar zr[2], from_x, from_h;
    const int candidate = 2;
    if (!gate_sums(g, s, &s->h, 2, (int[]){0, 1}, j, zr) ||
        !read_bias(g, s, 0, candidate, j, &from_x) || !read_bias(g, s, 1, candidate, j, &from_h) ||
        !dot(g, s, s->w, NULL, 1, &candidate, j, &from_x) ||
        !dot(g, s, s->r, &s->h, 1, &candidate, j, &from_h))
        return false;
    adze_scalar z = gate(g, s, "z", &s->act[0], zr[0]), r = gate(g, s, "r", &s->act[0], zr[1]);
    adze_scalar n = gate(g, s, "n", &s->act[1], gn_add(g, from_x, gn_mul(g, r, from_h)));
    row_store(g, &s->next, j, blend(g, s, z, n, row_load(g, s, &s->h, j)));
    gn_loop_end(g, &loop, NULL, NULL);
    take_next(g, s);
    return true;
}

/* n = g(W x + Wb + R (r h) + Rb): all of r h first, then h changes in place */
static bool gru_step(adze_gen *g, recurrence *s) {
    MlirValue zero = adze_index(g, 0), hidden = adze_index(g, s->hidden);
    gn_loop loop = gn_loop_begin(g, "j", zero, hidden, 0, NULL, NULL);
    adze_scalar zr[2], sum;
    if (!gate_sums(g, s, &s->h, 2, (int[]){0, 1}, loop.iv, zr))
        return false;
    row_store(g, &s->z, loop.iv, gate(g, s, "z_j", &s->act[0], zr[0]));
    adze_scalar r = gate(g, s, "r", &s->act[0], zr[1]);
    row_store(g, &s->gated, loop.iv, gn_mul(g, r, row_load(g, s, &s->h, loop.iv)));
    gn_loop_end(g, &loop, NULL, NULL);

    loop = gn_loop_begin(g, "j", zero, hidden, 0, NULL, NULL);
    if (!gate_sums(g, s, &s->gated, 1, (int[]){2}, loop.iv, &sum))
        return false;
    adze_scalar n = gate(g, s, "n", &s->act[1], sum);
    adze_scalar z = row_load(g, s, &s->z, loop.iv), h = row_load(g, s, &s->h, loop.iv);
    adze_scalar h_new = blend(g, s, z, n, h);
    row_store(g, &s->h, loop.iv, h_new);
    store_y(g, s, s->t, loop.iv, h_new);
    gn_loop_end(g, &loop, NULL, NULL);
    return true;
}

bool adze_gen_gru(adze_gen *g, MlirOperation op) {
    static const char *const names[] = {"sum_z", "sum_r", "sum_n"};
    recurrence s;
    if (!read_recurrence(g, op, 3, names, 2, &s))
        return false;
    if (adze_get_bool(op, "linear_before_reset"))
        return make_row(g, &s, "h_next", s.y, &s.next) && make_row(g, &s, "h", s.y_h, &s.h) &&
               run(g, &s, 2, gru_step_linear);
    MlirValue nowhere = {NULL};
    return make_row(g, &s, "rh", nowhere, &s.gated) && make_row(g, &s, "z", nowhere, &s.z) &&
           make_row(g, &s, "h", s.y_h, &s.h) && run(g, &s, 2, gru_step);
}

/* ---- lstm ---- */

enum { GATE_I, GATE_O, GATE_F, GATE_C };

/* sum += P[direction, which * hidden + j] * cell; peepholes stand in the order i o f */
static bool add_peephole(adze_gen *g, const recurrence *s, int which, MlirValue j, adze_scalar cell,
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
static bool lstm_step(adze_gen *g, recurrence *s) {
    bool coupled = adze_get_bool(s->op, "input_forget");
    static const int all[] = {GATE_I, GATE_O, GATE_F, GATE_C}, three[] = {GATE_I, GATE_O, GATE_C};
    gn_loop loop = gn_loop_begin(g, "j", adze_index(g, 0), adze_index(g, s->hidden), 0, NULL, NULL);
    MlirValue j = loop.iv;
    adze_scalar sums[4];
    if (!gate_sums(g, s, &s->h, coupled ? 3 : 4, coupled ? three : all, j, sums))
        return false;
    if (coupled)
        sums[GATE_C] = sums[2];
    adze_scalar cell = row_load(g, s, &s->c, j), forget;
    if (!add_peephole(g, s, GATE_I, j, cell, &sums[GATE_I]))
        return false;
    adze_scalar in = gate(g, s, "in", &s->act[0], sums[GATE_I]);
    if (coupled) {
        forget = gn_sub(g, gn_num(g, s->work, 1), in);
    } else {
        if (!add_peephole(g, s, GATE_F, j, cell, &sums[GATE_F]))
            return false;
        forget = gate(g, s, "forget", &s->act[0], sums[GATE_F]);
    }
    adze_scalar candidate = gate(g, s, "candidate", &s->act[1], sums[GATE_C]);
    adze_scalar kept = gn_mul(g, forget, cell), fresh = gn_mul(g, in, candidate);
    g->b.name = "cell";
    cell = gn_add(g, kept, fresh);
    row_store(g, &s->c, j, cell);
    if (!add_peephole(g, s, GATE_O, j, cell, &sums[GATE_O]))
        return false;
    adze_scalar out = gate(g, s, "out", &s->act[0], sums[GATE_O]);
    row_store(g, &s->next, j, gn_mul(g, out, activate(g, &s->act[2], cell)));
    gn_loop_end(g, &loop, NULL, NULL);
    take_next(g, s);
    return true;
}

bool adze_gen_lstm(adze_gen *g, MlirOperation op) {
    static const char *const names[] = {"sum_i", "sum_o", "sum_f", "sum_c"};
    recurrence s;
    return read_recurrence(g, op, 4, names, 3, &s) && make_row(g, &s, "h_next", s.y, &s.next) &&
           make_row(g, &s, "c", s.y_c, &s.c) && make_row(g, &s, "h", s.y_h, &s.h) &&
           run(g, &s, 3, lstm_step);
}
