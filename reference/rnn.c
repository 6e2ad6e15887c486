/* Recurrences: rnn, gru, lstm; ONNX weight layouts [directions, gates * hidden, ..] and gate orders
 * (lstm iofc, gru zrh). State and gates stay in double within a run; results are rounded once. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

/* ---- activations ---- */

/* clang-format off */
#define F(name, expr)                                                                              \
    static double a_##name(double x, double a, double b) { return (void)a, (void)b, (expr); }
F(relu, x > 0 ? x : 0)
F(tanh, tanh(x))
F(sigmoid, 1 / (1 + exp(-x)))
F(affine, a * x + b)
F(leaky_relu, x < 0 ? a * x : x)
F(thresholded_relu, x >= a ? x : 0)
F(scaled_tanh, a * tanh(b * x))
F(hard_sigmoid, fmin(1, fmax(0, a * x + b)))
F(elu, x < 0 ? a * expm1(x) : x)
F(softsign, x / (1 + fabs(x)))
F(softplus, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
#undef F
/* clang-format on */

typedef double activation_f(double x, double a, double b);

/* uses: how many of alpha and beta the activation takes from the attribute lists. */
static const struct {
    const char *name;
    activation_f *f;
    int uses;
    double alpha, beta;
} activations[] = {
    {"Relu", a_relu, 0, 0, 0},
    {"Tanh", a_tanh, 0, 0, 0},
    {"Sigmoid", a_sigmoid, 0, 0, 0},
    {"Affine", a_affine, 2, 1, 0},
    {"LeakyRelu", a_leaky_relu, 1, 0.01, 0},
    {"ThresholdedRelu", a_thresholded_relu, 1, 1, 0},
    {"ScaledTanh", a_scaled_tanh, 2, 1, 1},
    {"HardSigmoid", a_hard_sigmoid, 2, 0.2, 0.5},
    {"Elu", a_elu, 1, 1, 0},
    {"Softsign", a_softsign, 0, 0, 0},
    {"Softplus", a_softplus, 0, 0, 0},
};

typedef struct activation {
    activation_f *f;
    double alpha, beta;
} activation;

static double act(const activation *a, double x) { return a->f(x, a->alpha, a->beta); }

/* The same name without regard to case: ONNX's lists are written both ways. */
static bool same_word(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if ((*a | 0x20) != (*b | 0x20))
            return false;
    return *a == *b;
}

/* alpha and beta: one number per activation when the list is that long, else one for each
 * activation that takes it, in order; defaults after the end. */
static bool read_activations(ref_call *c, int n, activation *out) {
    const char *names[8] = {0};
    double alpha[2 * ADZE_MAX_RANK], beta[2 * ADZE_MAX_RANK];
    int n_alpha, n_beta, next_alpha = 0, next_beta = 0;
    if (adze_get_strs(c->ctx, c->op, "activations", 8, names) != n)
        return ref_fail(c, "needs %d activations", n);
    if (!ref_f64s_attr(c, "alpha", -1, alpha, &n_alpha) ||
        !ref_f64s_attr(c, "beta", -1, beta, &n_beta))
        return false;
    for (int i = 0; i < n; i++) {
        size_t k = 0;
        while (k < ADZE_COUNT(activations) && names[i] && !same_word(activations[k].name, names[i]))
            k++;
        if (k == ADZE_COUNT(activations) || !names[i])
            return ref_fail(c, "unknown activation '%s'", names[i] ? names[i] : "");
        out[i] = (activation){activations[k].f, activations[k].alpha, activations[k].beta};
        const int at_alpha = n_alpha == n ? i : activations[k].uses >= 1 ? next_alpha++ : n_alpha;
        const int at_beta = n_beta == n ? i : activations[k].uses >= 2 ? next_beta++ : n_beta;
        if (activations[k].uses >= 1 && at_alpha < n_alpha)
            out[i].alpha = alpha[at_alpha];
        if (activations[k].uses >= 2 && at_beta < n_beta)
            out[i].beta = beta[at_beta];
    }
    return true;
}

/* ---- what the three share ---- */

enum { FORWARD, REVERSE, BIDIRECTIONAL };

typedef struct recurrence {
    int gates, direction, n_directions, n_activations; /* activations per direction */
    size_t time, batch, input, hidden;
    double clip;
    const double *x, *w, *r, *b; /* w NULL: x holds its products; b NULL: none; [D, 2 * gates * hidden] */
    int64_t *lengths;            /* per sequence */
    activation activations[6];
} recurrence;

static bool check_shape(ref_call *c, int i, const char *what, int rank, const size_t *want) {
    if (!ref_has(c, i))
        return true;
    const adze_tensor *t = c->in[i];
    bool ok = t->rank == rank;
    for (int d = 0; ok && d < rank; d++)
        ok = (size_t)t->dims[d] == want[d];
    return ok || ref_fail(c, "%s does not have the shape that the weights imply", what);
}

static bool read_recurrence(ref_call *c, int gates, int n_activations, recurrence *s) {
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    const adze_tensor *x = c->in[0];
    *s = (recurrence){.gates = gates, .n_activations = n_activations};
    s->direction = ref_choice(c, "direction", directions, 3);
    const int64_t hidden = ref_i64(c, "hidden");
    if (s->direction < 0)
        return false;
    if (x->rank != 3 || hidden < 1)
        return ref_fail(c, "x has rank %d, hidden is %lld", x->rank, (long long)hidden);
    if (ref_any_quant(c))
        return ref_fail(c, "is not defined on quantized values");
    s->n_directions = s->direction == BIDIRECTIONAL ? 2 : 1;
    s->time = (size_t)x->dims[0];
    s->batch = (size_t)x->dims[1];
    s->input = (size_t)x->dims[2];
    s->hidden = (size_t)hidden;
    s->clip = ref_f64(c, "clip");
    const size_t d = (size_t)s->n_directions, rows = (size_t)gates * s->hidden;
    const bool projected = !ref_has(c, 1);
    if (projected && s->input != d * rows)
        return ref_fail(c, "x has no element for every gate");
    size_t r[] = {d, projected ? s->hidden : rows, projected ? rows : s->hidden};
    if (!check_shape(c, 1, "w", 3, (size_t[]){d, rows, s->input}) || !check_shape(c, 2, "r", 3, r) ||
        !check_shape(c, 3, "b", 2, (size_t[]){d, (projected ? 1 : 2) * rows}) ||
        !check_shape(c, 4, "lengths", 1, (size_t[]){s->batch}) ||
        !check_shape(c, 5, "h0", 3, (size_t[]){d, s->batch, s->hidden}) ||
        !check_shape(c, 6, "c0", 3, (size_t[]){d, s->batch, s->hidden}) ||
        !check_shape(c, 7, "p", 2, (size_t[]){d, 3 * s->hidden}) ||
        !read_activations(c, s->n_directions * n_activations, s->activations))
        return false;
    s->x = ref_f64s(c, x);
    s->w = projected ? NULL : ref_f64s(c, c->in[1]);
    s->r = ref_f64s(c, c->in[2]);
    s->b = ref_has(c, 3) ? ref_f64s(c, c->in[3]) : NULL;
    s->lengths = ref_alloc(c, s->batch, sizeof *s->lengths);
    for (size_t n = 0; n < s->batch; n++) {
        s->lengths[n] = ref_has(c, 4) ? adze_tensor_get_i64(c->in[4], n) : (int64_t)s->time;
        if (s->lengths[n] < 0 || s->lengths[n] > (int64_t)s->time)
            return ref_fail(c, "a length of %lld is outside x", (long long)s->lengths[n]);
    }
    const int64_t y[4] = {(int64_t)s->time, (int64_t)d, (int64_t)s->batch, hidden};
    if (ref_wanted(c, 0) && !ref_out(c, 0, 4, y))
        return false;
    for (int i = 1; i < c->n_out; i++)
        if (ref_wanted(c, i) && !ref_out(c, i, 3, y + 1))
            return false;
    return true;
}

static double clipped(const recurrence *s, double x) {
    return s->clip > 0 ? fmin(s->clip, fmax(-s->clip, x)) : x;
}

/* w_x = W x + Wb and r_h = R h + Rb for row `row` of direction d. Without w, x is w_x, r is transposed, and b is Rb. */
static double input_part(const recurrence *s, size_t d, size_t row, const double *x) {
    const size_t rows = (size_t)s->gates * s->hidden;
    if (!s->w)
        return x[d * rows + row];
    const double *w = s->w + (d * rows + row) * s->input;
    double sum = s->b ? s->b[d * 2 * rows + row] : 0;
    for (size_t k = 0; k < s->input; k++)
        sum += w[k] * x[k];
    return sum;
}

static double hidden_part(const recurrence *s, size_t d, size_t row, const double *h) {
    const size_t rows = (size_t)s->gates * s->hidden;
    const double *r = s->r + (s->w ? (d * rows + row) * s->hidden : d * s->hidden * rows + row);
    const size_t step = s->w ? 1 : rows;
    double sum = !s->b ? 0 : s->w ? s->b[d * 2 * rows + rows + row] : s->b[d * rows + row];
    for (size_t k = 0; k < s->hidden; k++)
        sum += r[k * step] * h[k];
    return sum;
}

/* One step of one sequence: from h (and cell, lstm only) to the next, in place. scratch holds
 * gates * hidden + hidden doubles. */
typedef void step_f(ref_call *c, const recurrence *s, size_t d, const double *x, double *h,
                    double *cell, double *scratch);

/* Runs every direction and sequence; results 0, 1, 2 are y, h, c. */
static bool run(ref_call *c, const recurrence *s, step_f *step) {
    const size_t H = s->hidden;
    double steps = 0;
    for (size_t n = 0; n < s->batch; n++)
        steps += (double)s->lengths[n] * (double)s->n_directions;
    if (!ref_charge(c, steps * (double)s->gates * (double)H * (double)(s->input + H)))
        return false;
    double *h = ref_alloc(c, H, sizeof *h), *cell = ref_alloc(c, H, sizeof *cell);
    double *scratch = ref_alloc(c, ((size_t)s->gates + 1) * H, sizeof *scratch);
    const double *h0 = ref_has(c, 5) ? ref_f64s(c, c->in[5]) : NULL;
    const double *c0 = ref_has(c, 6) ? ref_f64s(c, c->in[6]) : NULL;
    for (size_t d = 0; d < (size_t)s->n_directions; d++)
        for (size_t n = 0; n < s->batch; n++) {
            const size_t at = (d * s->batch + n) * H;
            for (size_t k = 0; k < H; k++) {
                h[k] = h0 ? h0[at + k] : 0;
                cell[k] = c0 ? c0[at + k] : 0;
            }
            const bool backwards = s->direction == REVERSE || d == 1;
            const size_t length = (size_t)s->lengths[n];
            for (size_t i = 0; i < length; i++) {
                const size_t t = backwards ? length - 1 - i : i;
                step(c, s, d, s->x + (t * s->batch + n) * s->input, h, cell, scratch);
                for (size_t k = 0; ref_wanted(c, 0) && k < H; k++)
                    adze_tensor_set_f64(&c->out[0],
                                        ((t * (size_t)s->n_directions + d) * s->batch + n) * H + k,
                                        h[k]);
            }
            for (size_t k = 0; k < H; k++) {
                if (ref_wanted(c, 1))
                    adze_tensor_set_f64(&c->out[1], at + k, h[k]);
                if (ref_wanted(c, 2))
                    adze_tensor_set_f64(&c->out[2], at + k, cell[k]);
            }
        }
    return true;
}

/* h = f(W x + R h + b) */
static void rnn_step(ref_call *c, const recurrence *s, size_t d, const double *x, double *h,
                     double *cell, double *scratch) {
    (void)c, (void)cell;
    for (size_t k = 0; k < s->hidden; k++)
        scratch[k] =
            act(&s->activations[d], clipped(s, input_part(s, d, k, x) + hidden_part(s, d, k, h)));
    memcpy(h, scratch, s->hidden * sizeof *h);
}

bool ref_rnn(ref_call *c) {
    recurrence s;
    return read_recurrence(c, 1, 1, &s) && run(c, &s, rnn_step);
}

/* z, r = f(..); n = g(W x + r * (R h + Rb)) or g(W x + R (r * h) + Rb); h = (1 - z) n + z h */
static void gru_step(ref_call *c, const recurrence *s, size_t d, const double *x, double *h,
                     double *cell, double *scratch) {
    (void)cell;
    const size_t H = s->hidden;
    const activation *f = &s->activations[2 * d], *g = f + 1;
    double *z = scratch, *r = scratch + H, *n = scratch + 2 * H, *gated = scratch + 3 * H;
    for (size_t k = 0; k < 2 * H; k++)
        scratch[k] = act(f, clipped(s, input_part(s, d, k, x) + hidden_part(s, d, k, h)));
    const bool before = ref_bool(c, "linear_before_reset");
    for (size_t k = 0; k < H; k++)
        gated[k] = r[k] * h[k];
    for (size_t k = 0; k < H; k++) {
        const size_t row = 2 * H + k;
        const double recurrent =
            before ? r[k] * hidden_part(s, d, row, h) : hidden_part(s, d, row, gated);
        n[k] = act(g, clipped(s, input_part(s, d, row, x) + recurrent));
    }
    for (size_t k = 0; k < H; k++)
        h[k] = (1 - z[k]) * n[k] + z[k] * h[k];
}

bool ref_gru(ref_call *c) {
    recurrence s;
    return read_recurrence(c, 3, 2, &s) && run(c, &s, gru_step);
}

/* i, f = f(.. + P c); c' = f c + i g(..); o = f(.. + P c'); h = o h(c').  Rows iofc, peepholes iof.
 */
static void lstm_step(ref_call *c, const recurrence *s, size_t d, const double *x, double *h,
                      double *cell, double *scratch) {
    const size_t H = s->hidden;
    const activation *f = &s->activations[3 * d], *g = f + 1, *last = f + 2;
    const adze_tensor *p = ref_has(c, 7) ? c->in[7] : NULL;
    const bool coupled = ref_bool(c, "input_forget");
    for (size_t k = 0; k < 4 * H; k++)
        scratch[k] = input_part(s, d, k, x) + hidden_part(s, d, k, h);
    for (size_t k = 0; k < H; k++) {
        const double pi = p ? adze_tensor_get_f64(p, d * 3 * H + k) : 0;
        const double po = p ? adze_tensor_get_f64(p, d * 3 * H + H + k) : 0;
        const double pf = p ? adze_tensor_get_f64(p, d * 3 * H + 2 * H + k) : 0;
        const double in = act(f, clipped(s, scratch[k] + (p ? pi * cell[k] : 0)));
        const double forget =
            coupled ? 1 - in : act(f, clipped(s, scratch[2 * H + k] + (p ? pf * cell[k] : 0)));
        cell[k] = forget * cell[k] + in * act(g, clipped(s, scratch[3 * H + k]));
        h[k] = act(f, clipped(s, scratch[H + k] + (p ? po * cell[k] : 0))) * act(last, cell[k]);
    }
}

bool ref_lstm(ref_call *c) {
    recurrence s;
    return read_recurrence(c, 4, 3, &s) && run(c, &s, lstm_step);
}
