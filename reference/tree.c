/* tree_ensemble: node tables, walked one tree at a time. Sums in double, rounded once. */
#include "reference/internal.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <string.h>

enum { NODE_LEAF, NODE_LE, NODE_LT, NODE_GE, NODE_GT, NODE_EQ, NODE_NE, N_NODE_MODES };
enum { SUM, AVERAGE, MIN, MAX };
enum { POST_NONE, POST_SOFTMAX, POST_LOGISTIC, POST_SOFTMAX_ZERO, POST_PROBIT };

enum {
    X,
    FEATURE,
    THRESHOLD,
    MODE,
    TRUE_NEXT,
    FALSE_NEXT,
    LEAF_FIRST,
    LEAF_COUNT,
    LEAF_TARGET,
    LEAF_WEIGHT,
    ROOTS,
    BASE
};

typedef struct ensemble {
    size_t n_nodes, n_leaves, n_roots, n_targets, n_features;
    const int64_t *feature, *mode, *true_next, *false_next, *leaf_first, *leaf_count, *leaf_target,
        *roots;
    const double *threshold, *leaf_weight;
    const uint8_t *missing; /* one per node */
} ensemble;

static bool holds(int mode, double x, double t) {
    switch (mode) {
    case NODE_LE:
        return x <= t;
    case NODE_LT:
        return x < t;
    case NODE_GE:
        return x >= t;
    case NODE_GT:
        return x > t;
    case NODE_EQ:
        return x == t;
    default:
        return x != t;
    }
}

static bool read_missing(ref_call *c, size_t n, const uint8_t **out) {
    MlirAttribute a = adze_get(c->op, "missing");
    if (mlirAttributeIsNull(a) || !mlirAttributeIsADenseElements(a))
        return ref_fail(c, "missing is not a dense attribute");
    const bool splat = mlirDenseElementsAttrIsSplat(a);
    if (!splat && (size_t)mlirElementsAttrGetNumElements(a) != n)
        return ref_fail(c, "missing does not have one value per node");
    MlirType element = mlirShapedTypeGetElementType(mlirAttributeGetType(a));
    const adze_dtype dtype = adze_element_dtype(c->ctx, element);
    uint8_t *values = ref_alloc(c, n, 1);
    const uint8_t *raw = dtype == ADZE_bool ? NULL : mlirDenseElementsAttrGetRawData(a);
    const size_t bytes = dtype == ADZE_NO_DTYPE ? 1 : adze_dtype_get(dtype)->host_bytes;
    for (size_t i = 0; i < n; i++) {
        if (raw)
            values[i] = raw[splat ? 0 : i * bytes] != 0;
        else
            values[i] = splat ? mlirDenseElementsAttrGetBoolSplatValue(a)
                              : mlirDenseElementsAttrGetBoolValue(a, (intptr_t)i);
    }
    *out = values;
    return true;
}

static bool read_ensemble(ref_call *c, ensemble *e) {
    const adze_tensor *x = c->in[X];
    *e = (ensemble){.n_nodes = adze_tensor_count(c->in[FEATURE]),
                    .n_leaves = adze_tensor_count(c->in[LEAF_TARGET]),
                    .n_roots = adze_tensor_count(c->in[ROOTS])};
    for (int i = FEATURE; i <= LEAF_COUNT; i++)
        if (adze_tensor_count(c->in[i]) != e->n_nodes)
            return ref_fail(c, "the node tables have different lengths");
    if (adze_tensor_count(c->in[LEAF_WEIGHT]) != e->n_leaves || x->rank != 2)
        return ref_fail(c, "the leaf tables differ in length, or x is not [N, F]");
    e->feature = ref_i64s(c, c->in[FEATURE]);
    e->threshold = ref_f64s(c, c->in[THRESHOLD]);
    e->mode = ref_i64s(c, c->in[MODE]);
    e->true_next = ref_i64s(c, c->in[TRUE_NEXT]);
    e->false_next = ref_i64s(c, c->in[FALSE_NEXT]);
    e->leaf_first = ref_i64s(c, c->in[LEAF_FIRST]);
    e->leaf_count = ref_i64s(c, c->in[LEAF_COUNT]);
    e->leaf_target = ref_i64s(c, c->in[LEAF_TARGET]);
    e->leaf_weight = ref_f64s(c, c->in[LEAF_WEIGHT]);
    e->roots = ref_i64s(c, c->in[ROOTS]);
    e->n_features = (size_t)x->dims[1];
    return read_missing(c, e->n_nodes, &e->missing);
}

/* The leaf that a row reaches from a root; false on a table that points outside or in a circle. */
static bool walk(ref_call *c, const ensemble *e, int64_t root, const double *row, size_t *leaf) {
    int64_t at = root;
    for (size_t steps = 0; steps <= e->n_nodes; steps++) {
        if (at < 0 || (size_t)at >= e->n_nodes)
            return ref_fail(c, "node %lld does not exist", (long long)at);
        const int64_t mode = e->mode[at], feature = e->feature[at];
        if (mode == NODE_LEAF) {
            *leaf = (size_t)at;
            return true;
        }
        if (mode < 0 || mode >= N_NODE_MODES || feature < 0 || (size_t)feature >= e->n_features)
            return ref_fail(c, "node %lld has mode %lld and feature %lld", (long long)at,
                            (long long)mode, (long long)feature);
        const double v = row[feature];
        const bool yes = holds((int)mode, v, e->threshold[at]) || (isnan(v) && e->missing[at]);
        at = yes ? e->true_next[at] : e->false_next[at];
    }
    return ref_fail(c, "the nodes below %lld form a circle", (long long)root);
}

/* Inverse of the normal distribution as ONNX's operator uses it: sqrt(2) * erfinv(2 p - 1). */
static double probit(double p) {
    const double x = 2 * p - 1;
    if (x <= -1 || x >= 1)
        return x <= -1 ? -INFINITY : INFINITY;
    double y = 0;
    for (int i = 0; i < 100; i++) { /* Newton on erf(y) = x, with its second-order correction */
        const double f = erf(y) - x, d = 2 / sqrt(3.14159265358979323846) * exp(-y * y);
        const double step = f / d / (1 + y * f / d);
        y -= step;
        if (fabs(step) < 1e-15 * (1 + fabs(y)))
            break;
    }
    return sqrt(2) * y;
}

static void post(int kind, double *y, size_t n) {
    if (kind == POST_LOGISTIC || kind == POST_PROBIT)
        for (size_t i = 0; i < n; i++)
            y[i] = kind == POST_LOGISTIC ? 1 / (1 + exp(-y[i])) : probit(y[i]);
    if (kind != POST_SOFTMAX && kind != POST_SOFTMAX_ZERO)
        return;
    const bool zeros_stay = kind == POST_SOFTMAX_ZERO;
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, y[i]);
    for (size_t i = 0; i < n; i++) {
        if (zeros_stay && y[i] == 0)
            continue;
        y[i] = exp(y[i] - max);
        sum += y[i];
    }
    for (size_t i = 0; sum != 0 && i < n; i++)
        y[i] /= sum;
}

bool ref_tree_ensemble(ref_call *c) {
    static const char *const aggregates[] = {"SUM", "AVERAGE", "MIN", "MAX"};
    static const char *const posts[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    const int aggregate = ref_choice(c, "aggregate", aggregates, 4);
    const int post_kind = aggregate < 0 ? -1 : ref_choice(c, "post_transform", posts, 5);
    ensemble e;
    adze_shape type;
    if (post_kind < 0 || !read_ensemble(c, &e))
        return false;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type) || type.rank != 2 ||
        type.dims[1] < 0)
        return ref_fail(c, "the result is not [N, targets]");
    const int64_t dims[2] = {c->in[X]->dims[0], type.dims[1]};
    if (!ref_out(c, 0, 2, dims))
        return false;
    e.n_targets = (size_t)dims[1];
    const double *x = ref_f64s(c, c->in[X]);
    const double *base = ref_has(c, BASE) ? ref_f64s(c, c->in[BASE]) : NULL;
    if (base && adze_tensor_count(c->in[BASE]) != e.n_targets)
        return ref_fail(c, "base does not have one value per target");
    double *y = ref_alloc(c, e.n_targets, sizeof *y);
    bool *touched = ref_alloc(c, e.n_targets, sizeof *touched);
    for (size_t n = 0; n < (size_t)dims[0]; n++) {
        for (size_t t = 0; t < e.n_targets; t++) {
            y[t] = 0;
            touched[t] = false;
        }
        for (size_t root = 0; root < e.n_roots; root++) {
            size_t leaf = 0;
            if (!walk(c, &e, e.roots[root], x + n * e.n_features, &leaf))
                return false;
            const int64_t first = e.leaf_first[leaf], count = e.leaf_count[leaf];
            if (first < 0 || count < 0 || (size_t)first > e.n_leaves ||
                (size_t)count > e.n_leaves - (size_t)first)
                return ref_fail(c, "node %zu names leaf rows that do not exist", leaf);
            for (int64_t i = first; i < first + count; i++) {
                const int64_t t = e.leaf_target[i];
                if (t < 0 || (size_t)t >= e.n_targets)
                    return ref_fail(c, "target %lld does not exist", (long long)t);
                const double w = e.leaf_weight[i];
                const bool extreme = aggregate == MIN || aggregate == MAX;
                if (!extreme)
                    y[t] += w;
                else if (!touched[t] || (aggregate == MIN ? w < y[t] : w > y[t]))
                    y[t] = w;
                touched[t] = true;
            }
        }
        for (size_t t = 0; t < e.n_targets; t++) {
            if (aggregate == AVERAGE && e.n_roots)
                y[t] /= (double)e.n_roots;
            y[t] += base ? base[t] : 0;
        }
        post(post_kind, y, e.n_targets);
        for (size_t t = 0; t < e.n_targets; t++)
            adze_tensor_set_f64(&c->out[0], n * e.n_targets + t, y[t]);
    }
    return true;
}
