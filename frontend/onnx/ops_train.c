/* Optimizer steps (ai.onnx.preview.training): elementwise formulas of the operators' own words. */
#include "frontend/onnx/importer.h"

#include <string.h>

static val *times(node *n, val *x, double factor) {
    return ox_binary(n, "mul", x, ox_number(n, x, factor));
}

/* norm * X + G */
static val *regularized(node *n, val *x, val *g) {
    double norm = ox_attr_f(n, "norm_coefficient", 0);
    return norm == 0 ? g : ox_binary(n, "add", times(n, x, norm), g);
}

/* a * x + b * y */
static val *blend(node *n, double a, val *x, val *b, val *y) {
    return ox_binary(n, "add", times(n, x, a), ox_binary(n, "mul", b, y));
}

static val *momentum(node *n, val *rate, val *count, val *x, val *g, val **v) {
    double alpha = ox_attr_f(n, "alpha", 0), beta = ox_attr_f(n, "beta", 0);
    bool nesterov = !strcmp(ox_attr_s(n, "mode", "standard"), "nesterov");
    val *started = ox_binary(n, "greater", count, ox_number(n, count, 0));
    val *share = ox_where(n, started, ox_number(n, x, beta), ox_number(n, x, 1));
    g = regularized(n, x, g);
    *v = blend(n, alpha, *v, share, g);
    val *step = nesterov ? ox_binary(n, "add", g, times(n, *v, alpha)) : *v;
    return ox_binary(n, "sub", x, ox_binary(n, "mul", rate, step));
}

static val *adagrad(node *n, val *rate, val *count, val *x, val *g, val **h) {
    val *decay = times(n, ox_cast(n, count, x->shape.dtype), ox_attr_f(n, "decay_factor", 0));
    rate = ox_binary(n, "div", rate, ox_binary(n, "add", decay, ox_number(n, x, 1)));
    g = regularized(n, x, g);
    *h = ox_binary(n, "add", *h, ox_binary(n, "mul", g, g));
    val *root = ox_unary(n, "sqrt", *h);
    root = ox_binary(n, "add", root, ox_number(n, x, ox_attr_f(n, "epsilon", 0)));
    return ox_binary(n, "sub", x, ox_binary(n, "div", ox_binary(n, "mul", rate, g), root));
}

static val *adam(node *n, val *rate, val *count, val *x, val *g, val **v, val **h) {
    double alpha = ox_attr_f(n, "alpha", 0.9f), beta = ox_attr_f(n, "beta", 0.999f);
    g = regularized(n, x, g);
    *v = blend(n, alpha, *v, ox_number(n, x, 1 - alpha), g);
    *h = blend(n, beta, *h, ox_number(n, x, 1 - beta), ox_binary(n, "mul", g, g));
    val *root = ox_unary(n, "sqrt", *h), *one = ox_number(n, x, 1);
    root = ox_binary(n, "add", root, ox_number(n, x, ox_attr_f(n, "epsilon", 0)));
    val *t = ox_cast(n, count, x->shape.dtype);
    val *a = ox_binary(n, "sub", one, ox_binary(n, "pow", ox_number(n, x, alpha), t));
    val *b = ox_binary(n, "sub", one, ox_binary(n, "pow", ox_number(n, x, beta), t));
    val *warm = ox_binary(n, "div", ox_binary(n, "mul", rate, ox_unary(n, "sqrt", b)), a);
    val *started = ox_binary(n, "greater", count, ox_number(n, count, 0));
    val *step =
        ox_binary(n, "mul", ox_where(n, started, warm, rate), ox_binary(n, "div", *v, root));
    double post = ox_attr_f(n, "norm_coefficient_post", 0);
    val *y = ox_binary(n, "sub", x, step);
    return post == 0 ? y : times(n, y, 1 - post);
}

/* Operands: rate, count, then k tensors each of X, G and one or two states; outputs X and the
 * states. */
bool ox_op_optimizer(node *n) {
    bool is_adam = !strcmp(n->row->arg, "adam");
    int states = is_adam ? 2 : 1, k = (n->n_in - 2) / (2 + states);
    val *rate = ox_need(n, 0, "R"), *count = ox_need(n, 1, "T");
    if (!rate || !count || k < 1 || n->n_in != 2 + k * (2 + states))
        return ox_fail(n, "needs a rate, a count and the same number of each kind of tensor");
    for (int i = 0; i < k; i++) {
        val *x = ox_need(n, 2 + i, "X"), *g = ox_need(n, 2 + k + i, "G");
        val *s = ox_need(n, 2 + 2 * k + i, "state"),
            *s2 = is_adam ? ox_need(n, 2 + 3 * k + i, "H") : s;
        if (!x || !g || !s || !s2)
            return false;
        val *y = is_adam                           ? adam(n, rate, count, x, g, &s, &s2)
                 : !strcmp(n->row->arg, "adagrad") ? adagrad(n, rate, count, x, g, &s)
                                                   : momentum(n, rate, count, x, g, &s);
        if (!ox_out(n, i, y) || !ox_out(n, k + i, s) || (is_adam && !ox_out(n, 2 * k + i, s2)))
            return false;
    }
    return true;
}
