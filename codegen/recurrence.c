/* Recurrences taken apart; activations by ONNX's names. See recurrence.h. */
#include "codegen/recurrence.h"

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
static const struct gn_activation_row {
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

/* ONNX's lists write the names in both cases. */
static bool same_word(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if ((*a | 0x20) != (*b | 0x20))
            return false;
    return *a == *b;
}

/* alpha and beta: one number per activation when the list is that long, else one for each
 * activation that takes it, in order; defaults after the end. */
static bool read_activations(adze_gen *g, MlirOperation op, int n, gn_activation *out) {
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

adze_scalar gn_activate(adze_gen *g, const gn_activation *a, adze_scalar x) {
    return a->row->kind ? gn_unary_p(g, a->row->kind, a->params, x)
                        : a->row->build(g, a->params, x);
}

/* ---- operations ---- */

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

bool gn_read_recurrence(adze_gen *g, MlirOperation op, int gates, const char *const *gate_names,
                        int n_activations, gn_recurrence *s) {
    *s = (gn_recurrence){.op = op, .gates = gates, .gate_names = gate_names};
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
    int64_t r[] = {d, s->w.ptr ? rows : s->hidden, s->w.ptr ? s->hidden : rows};
    if (!s->w.ptr && s->xs.dims[2] != d * rows)
        return gn_fail(g, op, "x has no element for every gate");
    return check_shape(g, op, s->w, "w", 3, (int64_t[]){d, rows, s->xs.dims[2]}) &&
           check_shape(g, op, s->r, "r", 3, r) &&
           check_shape(g, op, s->bias, "b", 2, (int64_t[]){d, (s->w.ptr ? 2 : 1) * rows}) &&
           check_shape(g, op, s->lengths, "lengths", 1, (int64_t[]){batch}) &&
           check_shape(g, op, s->h0, "h0", 3, (int64_t[]){d, batch, s->hidden}) &&
           check_shape(g, op, s->c0, "c0", 3, (int64_t[]){d, batch, s->hidden}) &&
           check_shape(g, op, s->peephole, "p", 2, (int64_t[]){d, 3 * s->hidden}) &&
           read_activations(g, op, s->n_directions * n_activations, s->activations);
}

adze_scalar gn_gate(adze_gen *g, const gn_recurrence *s, const char *name, const gn_activation *a,
                    adze_scalar x) {
    if (s->clip > 0)
        x = gn_unary_p(g, "clip", (double[]){-s->clip, s->clip}, x);
    g->b.name = name;
    return gn_activate(g, a, x);
}
