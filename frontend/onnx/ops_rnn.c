/* RNN, GRU and LSTM. The operations want the sequence first, so layout 1 is transposed around them.
 */
#include "frontend/onnx/importer.h"

#include <string.h>
#include <strings.h>

/* Activation functions that take numbers: how many, and their defaults. */
static const struct {
    const char *name;
    int takes; /* 0 none, 1 alpha, 2 alpha and beta */
    double alpha, beta;
} activations[] = {
    {"Relu", 0, 0, 0},
    {"Tanh", 0, 0, 0},
    {"Sigmoid", 0, 0, 0},
    {"Softsign", 0, 0, 0},
    {"Softplus", 0, 0, 0},
    {"LeakyRelu", 1, 0.01f, 0},
    {"ThresholdedRelu", 1, 1, 0},
    {"Elu", 1, 1, 0},
    {"Affine", 2, 1, 0},
    {"ScaledTanh", 2, 1, 1},
    {"HardSigmoid", 2, 0.2f, 0.5},
};

enum { MAX_ACTIVATIONS = 6 };

/* Names as ONNX writes them, with alpha and beta filled in for each. */
static bool read_activations(node *n, int per_direction, const char *const *defaults,
                             int directions, const char **names, double *alpha, double *beta) {
    const char *const *given;
    const float *alphas = NULL, *betas = NULL;
    int count = ox_attr_strings(n, "activations", &given), want = per_direction * directions;
    int n_alpha = ox_attr_floats(n, "activation_alpha", &alphas), a = 0;
    int n_beta = ox_attr_floats(n, "activation_beta", &betas), b = 0;
    if (n->failed)
        return false;
    if (count >= 0 && count != want)
        return ox_fail(n, "has %d activations where %d belong", count, want);
    for (int i = 0; i < want; i++) {
        names[i] = count < 0 ? defaults[i % per_direction] : given[i];
        size_t k = 0;
        while (k < ADZE_COUNT(activations) && strcasecmp(activations[k].name, names[i]))
            k++;
        if (k == ADZE_COUNT(activations))
            return ox_fail(n, "activation '%s' is not supported", names[i]);
        names[i] = activations[k].name;
        alpha[i] = activations[k].alpha;
        beta[i] = activations[k].beta;
        if (activations[k].takes >= 1 && a < n_alpha)
            alpha[i] = (double)alphas[a++];
        if (activations[k].takes >= 2 && b < n_beta)
            beta[i] = (double)betas[b++];
    }
    return true;
}

static val *swap_first(node *n, val *x) {
    int64_t perm[ADZE_MAX_RANK] = {1, 0};
    if (!x || x->kind != VAL_TENSOR)
        return x;
    for (int i = 2; i < x->shape.rank; i++)
        perm[i] = i;
    return x->shape.rank < 2 ? x : ox_transpose(n, x, perm);
}

/* arg: "rnn", "gru" or "lstm". */
bool ox_op_recurrent(node *n) {
    static const char *const defaults_lstm[] = {"Sigmoid", "Tanh", "Tanh"};
    static const char *const defaults_gru[] = {"Sigmoid", "Tanh"}, *const defaults_rnn[] = {"Tanh"};
    bool lstm = *n->row->arg == 'l', gru = *n->row->arg == 'g';
    int gates = lstm ? 4 : gru ? 3 : 1, n_operands = lstm ? 8 : 6;
    val *operands[8];
    for (int i = 0; i < n_operands; i++) {
        operands[i] = i < 3 ? ox_need(n, i, "X, W, R") : ox_in(n, i);
        if (!operands[i])
            return false;
    }
    val *x = operands[0], *w = operands[1], *r = operands[2];
    if (x->shape.rank != 3 || w->shape.rank != 3 || r->shape.rank != 3 || !ox_static(n, w) ||
        !ox_static(n, r))
        return ox_fail(n, "needs X, W and R of rank 3");
    const char *direction = ox_attr_s(n, "direction", "forward");
    int directions = !strcmp(direction, "bidirectional") ? 2 : 1;
    if (directions == 1 && strcmp(direction, "forward") && strcmp(direction, "reverse"))
        return ox_fail(n, "direction '%s' is not supported", direction);
    int64_t hidden = ox_attr_i(n, "hidden_size", r->shape.dims[2]);
    int64_t layout = ox_attr_i(n, "layout", 0);
    if (hidden < 1 || w->shape.dims[0] != directions || r->shape.dims[0] != directions ||
        w->shape.dims[1] != gates * hidden || r->shape.dims[1] != gates * hidden ||
        r->shape.dims[2] != hidden || w->shape.dims[2] != x->shape.dims[2])
        return ox_fail(n, "its weights do not fit hidden_size, direction and input");
    if (operands[3]->kind == VAL_TENSOR &&
        (operands[3]->shape.rank != 2 || operands[3]->shape.dims[1] != 2 * gates * hidden))
        return ox_fail(n, "its bias is not [directions, %d * hidden_size]", 2 * gates);
    const char *names[MAX_ACTIVATIONS];
    double alpha[MAX_ACTIVATIONS], beta[MAX_ACTIVATIONS];
    int per_direction = lstm ? 3 : gru ? 2 : 1;
    if (!read_activations(n, per_direction,
                          lstm  ? defaults_lstm
                          : gru ? defaults_gru
                                : defaults_rnn,
                          directions, names, alpha, beta))
        return false;
    if (layout) {
        x = operands[0] = swap_first(n, x);
        operands[5] = swap_first(n, operands[5]);
        if (lstm)
            operands[6] = swap_first(n, operands[6]);
        if (!x || !operands[5] || (lstm && !operands[6]))
            return false;
    }
    adze_shape y = x->shape, h = x->shape;
    y.rank = 4;
    ox_set_dim(&y, 2, &x->shape, 1);
    y.dims[1] = directions;
    y.symbols[1] = NULL;
    y.dims[3] = hidden;
    h.dims[0] = directions;
    h.symbols[0] = NULL;
    h.dims[2] = hidden;
    for (int i = 5; i < (lstm ? 7 : 6); i++) {
        const adze_shape *s = &operands[i]->shape;
        if (operands[i]->kind != VAL_TENSOR)
            continue;
        if (s->rank != 3 || !ox_same_dim(s, 0, &h, 0) || !ox_same_dim(s, 1, &h, 1) ||
            !ox_same_dim(s, 2, &h, 2))
            return ox_fail(n, "its initial state is not [directions, batch, hidden_size]");
    }
    adze_shape shapes[3] = {y, h, h};
    val *out[3];
    int total = per_direction * directions;
    adze_named attrs[8] = {{"direction", adze_str(n->ctx, direction)},
                           {"hidden", adze_i64(n->ctx, hidden)},
                           {"activations", adze_strs(n->ctx, total, names)},
                           {"alpha", adze_f64s(n->ctx, total, alpha)},
                           {"beta", adze_f64s(n->ctx, total, beta)},
                           {"clip", adze_f64(n->ctx, ox_attr_f(n, "clip", 0))}};
    int n_attrs = 6;
    if (gru)
        attrs[n_attrs++] = (adze_named){
            "linear_before_reset", adze_bool(n->ctx, ox_attr_i(n, "linear_before_reset", 0) != 0)};
    if (lstm)
        attrs[n_attrs++] =
            (adze_named){"input_forget", adze_bool(n->ctx, ox_attr_i(n, "input_forget", 0) != 0)};
    if (!ox_emit_many(n, n->row->arg, n_operands, operands, lstm ? 3 : 2, shapes, out, n_attrs,
                      attrs))
        return false;
    if (layout) { /* [T,D,N,H] -> [N,T,D,H] */
        out[0] = ox_transpose(n, out[0], (int64_t[]){2, 0, 1, 3});
        out[1] = swap_first(n, out[1]);
        if (lstm)
            out[2] = swap_first(n, out[2]);
    }
    return ox_out(n, 0, out[0]) && ox_out(n, 1, out[1]) && (!lstm || ox_out(n, 2, out[2]));
}
