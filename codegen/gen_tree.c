/* tree_ensemble: node tables, walked from each root to a leaf.
 *
 *   for each row n
 *     y[n, :] = 0
 *     for each tree
 *       while node is no leaf: node = x[n, feature] <= threshold ? true_next : false_next
 *       for each of the leaf's rows: y[n, target] += weight
 *     y[n, :] averaged, based, post-transformed
 *
 * The tables are data: indices from them are clamped and a walk ends after as many steps as there
 * are nodes, so that no table makes generated code read outside or run forever. */
#include "codegen/gen_math.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <string.h>

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

enum { SUM, AVERAGE, MIN, MAX };
static const char *const aggregates[] = {"SUM", "AVERAGE", "MIN", "MAX"};

enum { POST_NONE, POST_SOFTMAX, POST_LOGISTIC, POST_SOFTMAX_ZERO, POST_PROBIT };
static const char *const posts[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};

typedef struct ensemble {
    MlirOperation op;
    MlirValue in[BASE + 1], y; /* y: memref */
    adze_shape shape[BASE + 1], ys;
    int aggregate, post;
    adze_dtype work, compare;
    MlirValue row;
} ensemble;

/* A table's entry as an index within [0, limit). */
static bool table_index(adze_gen *g, const ensemble *e, int table, MlirValue at, MlirValue limit,
                        MlirValue *out) {
    adze_scalar v;
    if (!adze_read(g, e->in[table], &at, &v))
        return false;
    MlirValue last = adze_index_sub(g, limit, adze_index(g, 1));
    *out = gn_index_clamp(g, adze_index_from(g, v), adze_index(g, 0), last);
    return true;
}

/* ---- the branch that NaN takes ---- */

/* Whether node's entry of `missing` is set: i1. A splat is a constant; else bits in 64-bit words.
 */
static bool missing_bit(adze_gen *g, const ensemble *e, MlirValue node, MlirValue *out) {
    MlirAttribute a = adze_get(e->op, "missing");
    if (mlirAttributeIsNull(a) || !mlirAttributeIsADenseElements(a))
        return gn_fail(g, e->op, "missing is not a dense attribute");
    int64_t n = e->shape[FEATURE].dims[0];
    bool splat = mlirDenseElementsAttrIsSplat(a);
    if (!splat && mlirElementsAttrGetNumElements(a) != n)
        return gn_fail(g, e->op, "missing does not have one value per node");
    MlirType element = mlirShapedTypeGetElementType(mlirAttributeGetType(a));
    adze_dtype dtype = adze_element_dtype(g->ctx, element);
    const uint8_t *raw =
        dtype == ADZE_bool || dtype == ADZE_NO_DTYPE ? NULL : mlirDenseElementsAttrGetRawData(a);
    size_t bytes = raw ? adze_dtype_get(dtype)->host_bytes : 1;
    if (splat) {
        bool set = raw ? raw[0] != 0 : mlirDenseElementsAttrGetBoolSplatValue(a);
        *out = adze_scalar_i64(&g->b, ADZE_bool, set).value;
        return true;
    }
    MlirValue word = adze_index_div(g, node, adze_index(g, 64));
    adze_scalar bits = adze_scalar_i64(&g->b, ADZE_u64, 0);
    for (int64_t w = 0; w * 64 < n; w++) {
        uint64_t value = 0;
        for (int64_t i = w * 64; i < n && i < (w + 1) * 64; i++)
            if (raw ? raw[(size_t)i * bytes] != 0
                    : mlirDenseElementsAttrGetBoolValue(a, (intptr_t)i))
                value |= (uint64_t)1 << (i - w * 64);
        if (value)
            bits = gn_select(g, adze_index_cmp(g, "eq", word, adze_index(g, w)),
                             adze_scalar_i64(&g->b, ADZE_u64, (int64_t)value), bits);
    }
    adze_scalar shift = adze_index_to(g, adze_index_rem(g, node, adze_index(g, 64)), ADZE_u64);
    *out = gn_cast(g,
                   gn_binary(g, "bit_and", gn_binary(g, "shift_right", bits, shift),
                             adze_scalar_i64(&g->b, ADZE_u64, 1)),
                   ADZE_bool)
               .value;
    return true;
}

static bool missing_anywhere(MlirOperation op) {
    MlirAttribute a = adze_get(op, "missing");
    if (mlirAttributeIsNull(a) || !mlirAttributeIsADenseElements(a) ||
        !mlirDenseElementsAttrIsSplat(a))
        return true;
    MlirType element = mlirShapedTypeGetElementType(mlirAttributeGetType(a));
    if (mlirTypeIsAInteger(element) && mlirIntegerTypeGetWidth(element) > 1)
        return *(const uint8_t *)mlirDenseElementsAttrGetRawData(a) != 0;
    return mlirDenseElementsAttrGetBoolSplatValue(a);
}

/* ---- the walk ---- */

/* x against the node's threshold, by the node's mode */
static MlirValue holds(adze_gen *g, adze_scalar mode, adze_scalar x, adze_scalar t) {
    static const char *const kinds[] = {"less_equal", "less", "greater_equal", "greater", "equal"};
    MlirValue result = gn_unary(g, "not", gn_binary(g, "equal", x, t)).value;
    for (int m = (int)ADZE_COUNT(kinds); m >= 1; m--) {
        MlirValue is = gn_binary(g, "equal", mode, adze_scalar_i64(&g->b, mode.dtype, m)).value;
        result = gn_index_select(g, is, gn_binary(g, kinds[m - 1], x, t).value, result);
    }
    return result;
}

static bool walk(adze_gen *g, const ensemble *e, MlirValue root, MlirValue *leaf) {
    MlirValue n_nodes = adze_extent(g, e->in[FEATURE], 0), one = adze_index(g, 1);
    MlirValue init[2] = {root, adze_index(g, 0)}, results[2], feature, yes, missing, next[2];
    gn_while loop = gn_while_begin(g, 2, init, (const char *[]){"node", "step"});
    adze_scalar mode, x, threshold;
    if (!adze_read(g, e->in[MODE], &loop.carried[0], &mode))
        return false;
    MlirValue inner =
        gn_unary(g, "not", gn_binary(g, "equal", mode, adze_scalar_i64(&g->b, mode.dtype, 0)))
            .value;
    gn_while_do(g, &loop, gn_and(g, inner, adze_index_cmp(g, "lt", loop.carried[1], n_nodes)));
    MlirValue node = loop.carried[0];
    if (!table_index(g, e, FEATURE, node, adze_extent(g, e->in[X], 1), &feature))
        return false;
    MlirValue at[2] = {e->row, feature};
    if (!gn_read(g, e->in[X], at, e->compare, &x) ||
        !gn_read(g, e->in[THRESHOLD], &node, e->compare, &threshold) ||
        !adze_read(g, e->in[MODE], &node, &mode))
        return false;
    yes = holds(g, mode, x, threshold);
    if (missing_anywhere(e->op)) {
        if (!missing_bit(g, e, node, &missing))
            return false;
        yes = gn_or(g, yes, gn_and(g, gn_unary(g, "is_nan", x).value, missing));
    }
    MlirType index_type = adze_index_type(g->ctx);
    adze_if branch = adze_if_begin(g, yes, 1, &index_type);
    if (!table_index(g, e, TRUE_NEXT, node, n_nodes, &next[0]))
        return false;
    adze_if_else(g, &branch, next);
    if (!table_index(g, e, FALSE_NEXT, node, n_nodes, &next[0]))
        return false;
    adze_if_end(g, &branch, next, next);
    next[1] = adze_index_add(g, loop.carried[1], one);
    gn_while_end(g, &loop, next, results);
    *leaf = results[0];
    return true;
}

static bool add_leaf(adze_gen *g, const ensemble *e, MlirValue leaf) {
    MlirValue zero = adze_index(g, 0), n_leaves = adze_extent(g, e->in[LEAF_TARGET], 0), target;
    adze_scalar first, count, weight;
    if (!adze_read(g, e->in[LEAF_FIRST], &leaf, &first) ||
        !adze_read(g, e->in[LEAF_COUNT], &leaf, &count))
        return false;
    MlirValue low = gn_index_clamp(g, adze_index_from(g, first), zero, n_leaves);
    MlirValue room = adze_index_sub(g, n_leaves, low);
    MlirValue high =
        adze_index_add(g, low, gn_index_clamp(g, adze_index_from(g, count), zero, room));
    gn_loop loop = gn_loop_begin(g, "leaf", low, high, 0, NULL, NULL);
    if (!table_index(g, e, LEAF_TARGET, loop.iv, adze_index(g, e->ys.dims[1]), &target) ||
        !gn_read(g, e->in[LEAF_WEIGHT], &loop.iv, e->work, &weight))
        return false;
    MlirValue at[2] = {e->row, target};
    static const char *const kinds[] = {"add", "add", "min", "max"};
    gn_store(g, gn_binary(g, kinds[e->aggregate], gn_load(g, e->y, at, e->work), weight), e->y, at);
    gn_loop_end(g, &loop, NULL, NULL);
    return true;
}

/* ---- after the trees ---- */

/* sqrt(2) * erfinv(2 p - 1), by Newton's method with its second-order correction */
static adze_scalar probit(adze_gen *g, adze_scalar p) {
    adze_dtype t = p.dtype;
    adze_scalar one = gn_num(g, t, 1), zero = gn_num(g, t, 0), y = zero;
    adze_scalar x = gn_sub(g, gn_mul(g, gn_num(g, t, 2), p), one);
    enum { STEPS = 40 };
    gn_loop loop = gn_loop_begin(g, "step", adze_index(g, 0), adze_index(g, STEPS), 1, &y,
                                 (const char *[]){"root"});
    y = loop.carried[0];
    adze_scalar f = gn_sub(g, gn_unary(g, "erf", y), x);
    adze_scalar slope = gn_mul(g, gn_num(g, t, 2 / sqrt(3.14159265358979323846)),
                               gn_unary(g, "exp", gn_unary(g, "neg", gn_unary(g, "square", y))));
    adze_scalar newton = gn_div(g, f, slope);
    adze_scalar step = gn_div(g, newton, gn_add(g, one, gn_mul(g, y, newton)));
    /* in the far tail the slope vanishes: there it stays */
    adze_scalar safe =
        gn_select(g, gn_binary(g, "greater", slope, gn_num(g, t, 1e-30)).value, step, zero);
    y = gn_sub(g, y, safe);
    gn_loop_end(g, &loop, &y, &y);
    y = gn_mul(g, gn_num(g, t, sqrt(2)), y);
    adze_scalar low = gn_num(g, t, -INFINITY), high = gn_num(g, t, INFINITY);
    y = gn_select(g, gn_binary(g, "less_equal", p, zero).value, low, y);
    return gn_select(g, gn_binary(g, "greater_equal", p, one).value, high, y);
}

static bool finish_targets(adze_gen *g, const ensemble *e) {
    MlirValue targets = adze_index(g, e->ys.dims[1]);
    double n_roots = (double)e->shape[ROOTS].dims[0];
    gn_loop loop = gn_loop_begin(g, "target", adze_index(g, 0), targets, 0, NULL, NULL);
    MlirValue at[2] = {e->row, loop.iv};
    adze_scalar y = gn_load(g, e->y, at, e->work), base;
    if (e->aggregate == AVERAGE && n_roots > 0)
        y = gn_div(g, y, gn_num(g, e->work, n_roots));
    if (e->aggregate == MIN || e->aggregate == MAX) /* a target that no leaf named is 0 */
        y = gn_select(g, gn_unary_p(g, "is_inf", (double[]){1, 1}, y).value, gn_num(g, e->work, 0),
                      y);
    if (!adze_is_none(e->in[BASE])) {
        if (!gn_read(g, e->in[BASE], &loop.iv, e->work, &base))
            return false;
        y = gn_add(g, y, base);
    }
    if (e->post == POST_LOGISTIC)
        y = gn_unary(g, "sigmoid", y);
    if (e->post == POST_PROBIT)
        y = probit(g, y);
    gn_store(g, y, e->y, at);
    gn_loop_end(g, &loop, NULL, NULL);
    return true;
}

/* Over a row's targets; softmax_zero leaves zeros as they are. */
static void softmax_row(adze_gen *g, const ensemble *e) {
    MlirValue zero = adze_index(g, 0), targets = adze_index(g, e->ys.dims[1]);
    adze_scalar max = adze_scalar_neutral(&g->b, "max", e->work), sum = gn_num(g, e->work, 0), y,
                next;
    adze_scalar none = sum;
    bool zeros_stay = e->post == POST_SOFTMAX_ZERO;
    gn_loop loop = gn_loop_begin(g, "target", zero, targets, 1, &max, (const char *[]){"max"});
    MlirValue at[2] = {e->row, loop.iv};
    next = gn_binary(g, "max", loop.carried[0], gn_load(g, e->y, at, e->work));
    gn_loop_end(g, &loop, &next, &max);
    loop = gn_loop_begin(g, "target", zero, targets, 1, &sum, (const char *[]){"sum"});
    at[1] = loop.iv;
    y = gn_load(g, e->y, at, e->work);
    next = gn_unary(g, "exp", gn_sub(g, y, max));
    if (zeros_stay)
        next = gn_select(g, gn_binary(g, "equal", y, none).value, none, next);
    gn_store(g, next, e->y, at);
    next = gn_add(g, loop.carried[0], next);
    gn_loop_end(g, &loop, &next, &sum);
    loop = gn_loop_begin(g, "target", zero, targets, 0, NULL, NULL);
    at[1] = loop.iv;
    y = gn_load(g, e->y, at, e->work);
    next = gn_div(g, y, sum);
    if (zeros_stay) /* all of them may be */
        next = gn_select(g, gn_binary(g, "equal", sum, none).value, y, next);
    gn_store(g, next, e->y, at);
    gn_loop_end(g, &loop, NULL, NULL);
}

static bool read_ensemble(adze_gen *g, MlirOperation op, ensemble *e) {
    MlirValue y;
    *e = (ensemble){.op = op, .y = adze_gen_destination(g, mlirOperationGetResult(op, 0))};
    e->aggregate = gn_choice(g, op, "aggregate", 4, aggregates);
    e->post = e->aggregate < 0 ? -1 : gn_choice(g, op, "post_transform", 5, posts);
    if (e->post < 0 || !gn_result(g, op, 0, &y, &e->ys) || !gn_need_float(g, op, &e->ys))
        return false;
    for (int i = 0; i < BASE; i++)
        if (!gn_operand(g, op, i, &e->in[i], &e->shape[i]))
            return false;
    e->in[BASE] = mlirOperationGetOperand(op, BASE);
    int64_t n_nodes = e->shape[FEATURE].rank == 1 ? e->shape[FEATURE].dims[0] : -1;
    for (int i = FEATURE; i <= LEAF_COUNT; i++)
        if (e->shape[i].rank != 1 || e->shape[i].dims[0] != n_nodes || n_nodes < 1)
            return gn_fail(g, op, "the node tables have different lengths");
    for (int i = LEAF_TARGET; i <= ROOTS; i++)
        if (e->shape[i].rank != 1 || e->shape[i].dims[0] < 0)
            return gn_fail(g, op, "a leaf table or the roots are no list");
    if (e->shape[LEAF_TARGET].dims[0] != e->shape[LEAF_WEIGHT].dims[0] || e->shape[X].rank != 2 ||
        e->ys.rank != 2 || e->ys.dims[1] < 0 || e->shape[X].dims[1] < 1)
        return gn_fail(g, op, "the leaf tables differ in length, or x is not [N, F]");
    e->work = e->ys.dtype;
    if (gn_compute(e->work) != e->work || !gn_need_number(g, op, &e->shape[X]))
        return gn_fail(g, op, "has no loops for a result of %s", adze_dtype_get(e->work)->name);
    e->compare =
        e->shape[X].dtype == e->shape[THRESHOLD].dtype ? gn_compute(e->shape[X].dtype) : ADZE_f64;
    return true;
}

bool adze_gen_tree_ensemble(adze_gen *g, MlirOperation op) {
    ensemble e;
    if (!read_ensemble(g, op, &e))
        return false;
    if (!e.y.ptr || gn_is_empty(&e.ys))
        return true;
    MlirValue zero = adze_index(g, 0), targets = adze_index(g, e.ys.dims[1]), root, leaf, index[1];
    MlirValue rows = adze_extent(g, e.in[X], 0);
    adze_nest nest = adze_nest_begin(g, 1, &rows, (const char *[]){"n"}, index);
    e.row = index[0];
    adze_scalar start = e.aggregate == MIN || e.aggregate == MAX
                            ? gn_num(g, e.work, e.aggregate == MIN ? INFINITY : -INFINITY)
                            : gn_num(g, e.work, 0);
    gn_loop loop = gn_loop_begin(g, "target", zero, targets, 0, NULL, NULL);
    MlirValue at[2] = {e.row, loop.iv};
    gn_store(g, start, e.y, at);
    gn_loop_end(g, &loop, NULL, NULL);
    loop = gn_loop_begin(g, "tree", zero, adze_extent(g, e.in[ROOTS], 0), 0, NULL, NULL);
    if (!table_index(g, &e, ROOTS, loop.iv, adze_extent(g, e.in[FEATURE], 0), &root) ||
        !walk(g, &e, root, &leaf) || !add_leaf(g, &e, leaf))
        return false;
    gn_loop_end(g, &loop, NULL, NULL);
    if (!finish_targets(g, &e))
        return false;
    if (e.post == POST_SOFTMAX || e.post == POST_SOFTMAX_ZERO)
        softmax_row(g, &e);
    adze_nest_end(g, &nest);
    return true;
}
