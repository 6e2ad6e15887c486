/* softmax(scale * q k' + mask) v becomes one operation, so that the scores need not be stored:
 *
 *   matmul(softmax(scale * matmul(q, transpose k) + mask), v)   ─►   attention(q, k, v, mask) {scale, layout}
 *
 * Transposes of heads and positions before and behind it become layouts: which axis stands where is a distance in
 * memory. Factors of q, k or the scores are one scale. Only for targets with vectors, f32 and known extents. */
#include "passes/simplify.h"
#include "passes/table.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { MOST_WIDTH = 256, MOST_QUERIES = 4096, FEWEST_KEYS = 4 };

typedef struct matching {
    adze_context *ctx;
    MlirModule module;
    bool changed;
} matching;

static MlirOperation source(MlirValue v, const char *name) {
    MlirOperation op = adze_defining(v);
    return !mlirOperationIsNull(op) && adze_is_op(op, name) ? op : (MlirOperation){NULL};
}

static bool one_use(MlirValue v) {
    MlirOpOperand use = mlirValueGetFirstUse(v);
    return !mlirOpOperandIsNull(use) && mlirOpOperandIsNull(mlirOpOperandGetNextUse(use));
}

/* The number that a constant of one element holds. */
static bool number(matching *m, MlirValue v, double *out) {
    adze_tensor t;
    if (!adze_constant_value(m->ctx, m->module, v, &t) || adze_tensor_count(&t) != 1)
        return false;
    *out = adze_tensor_get_f64(&t, 0);
    return true;
}

static bool same_type(MlirValue a, MlirValue b) { return mlirTypeEqual(mlirValueGetType(a), mlirValueGetType(b)); }

/* v = *scale * what is returned. */
static MlirValue without_scale(matching *m, MlirValue v, double *scale) {
    for (;;) {
        MlirOperation op = source(v, "adze.binary");
        const char *kind = mlirOperationIsNull(op) ? NULL : adze_get_str(m->ctx, op, "kind");
        double x;
        int side;
        if (!kind)
            return v;
        if (!strcmp(kind, "mul") && number(m, mlirOperationGetOperand(op, 1), &x))
            side = 0;
        else if (!strcmp(kind, "mul") && number(m, mlirOperationGetOperand(op, 0), &x))
            side = 1;
        else if (!strcmp(kind, "div") && number(m, mlirOperationGetOperand(op, 1), &x) && x != 0) {
            side = 0;
            x = 1 / x;
        } else
            return v;
        if (!same_type(mlirOperationGetOperand(op, side), v))
            return v;
        *scale *= x;
        v = mlirOperationGetOperand(op, side);
    }
}

static bool has_perm(MlirOperation op, int n, const int64_t *want) {
    int64_t perm[ADZE_MAX_RANK];
    if (mlirOperationIsNull(op) || adze_get_i64s(op, "perm", ADZE_MAX_RANK, perm) != n)
        return false;
    return !memcmp(perm, want, (size_t)n * sizeof *perm);
}

typedef struct operand {
    MlirValue value;
    bool last; /* heads_last */
} operand;

/* Through transposes of heads and positions. */
static void settle(matching *m, int rank, operand *o, double *scale) {
    o->value = without_scale(m, o->value, scale);
    MlirOperation op = source(o->value, "adze.transpose");
    if (rank == 4 && !o->last && has_perm(op, 4, (int64_t[]){0, 2, 1, 3})) {
        *o = (operand){mlirOperationGetOperand(op, 0), true};
        o->value = without_scale(m, o->value, scale);
    }
}

/* The second factor of q k': [B,H,T,D] transposed. */
static bool keys(matching *m, MlirOperation product, int rank, operand *k, double *scale) {
    *k = (operand){without_scale(m, mlirOperationGetOperand(product, 1), scale), false};
    if (!adze_get_bool(product, "trans_b")) {
        MlirOperation op = source(k->value, "adze.transpose");
        if (rank == 4 && has_perm(op, 4, (int64_t[]){0, 2, 3, 1}))
            k->last = true;
        else if (!(rank == 4 && has_perm(op, 4, (int64_t[]){0, 1, 3, 2})) &&
                 !(rank == 3 && has_perm(op, 3, (int64_t[]){0, 2, 1})))
            return false;
        k->value = mlirOperationGetOperand(op, 0);
    }
    settle(m, rank, k, scale);
    return true;
}

/* [B,S,D] as [B,1,S,D]. */
static MlirValue with_heads(matching *m, adze_builder *b, MlirValue v, const char *node) {
    adze_shape s;
    adze_value_shape(m->ctx, v, &s);
    if (s.rank == 4)
        return v;
    s.rank = 4;
    s.dims[3] = s.dims[2];
    s.dims[2] = s.dims[1];
    s.dims[1] = 1;
    adze_named attr = {"adze.node", adze_str(m->ctx, node)};
    return adze_build1(b, "adze.reshape", 1, &v, adze_tensor_type(m->ctx, &s), 1, &attr);
}

static bool is_product(MlirOperation op) {
    return !mlirOperationIsNull(op) && !adze_get_bool(op, "trans_a") && adze_is_none(mlirOperationGetOperand(op, 2));
}

/* Extents B, H, positions, width of an operand. */
static bool extents(matching *m, const operand *o, int rank, int64_t out[4]) {
    adze_shape s;
    if (!adze_value_shape(m->ctx, o->value, &s) || s.rank != rank || s.dtype != ADZE_f32 || adze_shape_count(&s) < 1)
        return false;
    out[0] = s.dims[0];
    out[1] = rank == 3 ? 1 : s.dims[o->last ? 2 : 1];
    out[2] = s.dims[rank == 3 ? 1 : o->last ? 1 : 2];
    out[3] = s.dims[rank - 1];
    return true;
}

static void match(MlirOperation op, void *user) {
    matching *m = user;
    adze_context *ctx = m->ctx;
    adze_shape shape;
    if (!adze_is_op(op, "adze.matmul") || !is_product(op) || adze_get_bool(op, "trans_b") ||
        !adze_value_shape(ctx, adze_result(op, 0), &shape) || (shape.rank != 3 && shape.rank != 4))
        return;
    const int rank = shape.rank;
    MlirOperation softmax = source(mlirOperationGetOperand(op, 0), "adze.softmax");
    if (mlirOperationIsNull(softmax) || adze_get_bool(softmax, "log") || adze_get_i64(softmax, "axis") != rank - 1 ||
        !one_use(adze_result(softmax, 0)))
        return;
    /* from the softmax down to the first product */
    double scale = 1, of_v = 1;
    bool batch_mask = false; /* [B,S,T] */
    MlirValue scores = mlirOperationGetOperand(softmax, 0), mask = {NULL}, inner = scores;
    MlirOperation sum = source(scores, "adze.binary"), product = {NULL};
    if (!mlirOperationIsNull(sum) && !strcmp(adze_get_str(ctx, sum, "kind"), "add")) {
        for (int i = 0; i < 2 && mlirOperationIsNull(product); i++) {
            inner = mlirOperationGetOperand(sum, i);
            scale = 1;
            product = source(without_scale(m, inner, &scale), "adze.matmul");
            mask = mlirOperationGetOperand(sum, 1 - i);
        }
        adze_shape b;
        if (!same_type(inner, scores) || !adze_value_shape(ctx, mask, &b) || b.dtype != ADZE_f32)
            return;
        batch_mask = rank == 3 && b.rank == 3;
    } else {
        product = source(without_scale(m, scores, &scale), "adze.matmul");
    }
    if (!is_product(product) || !one_use(adze_result(product, 0)) || !one_use(inner) || !one_use(scores))
        return;
    operand q = {mlirOperationGetOperand(product, 0), false}, k, v = {mlirOperationGetOperand(op, 1), false}, y;
    settle(m, rank, &q, &scale);
    settle(m, rank, &v, &of_v);
    int64_t eq[4], ek[4], ev[4];
    if (of_v != 1)
        v = (operand){mlirOperationGetOperand(op, 1), false};
    if (!keys(m, product, rank, &k, &scale) || !extents(m, &q, rank, eq) || !extents(m, &k, rank, ek) ||
        !extents(m, &v, rank, ev) || eq[0] != ek[0] || eq[0] != ev[0] || eq[1] != ek[1] || eq[1] != ev[1] ||
        eq[3] != ek[3] || ek[2] != ev[2] || eq[3] > MOST_WIDTH || ev[3] > MOST_WIDTH || eq[2] > MOST_QUERIES ||
        ek[2] < FEWEST_KEYS)
        return;
    /* a transpose behind it */
    MlirOperation last = op;
    y = (operand){adze_result(op, 0), false};
    if (rank == 4 && one_use(y.value)) {
        MlirOperation user = mlirOpOperandGetOwner(mlirValueGetFirstUse(y.value));
        if (adze_is_op(user, "adze.transpose") && has_perm(user, 4, (int64_t[]){0, 2, 1, 3})) {
            last = user;
            y = (operand){adze_result(user, 0), true};
        }
    }
    adze_builder b = adze_before(ctx, op);
    const char *node = adze_node(ctx, op);
    mask = !mask.ptr ? adze_none_value(&b) : batch_mask ? with_heads(m, &b, mask, node) : mask;
    MlirValue operands[] = {with_heads(m, &b, q.value, node), with_heads(m, &b, k.value, node),
                            with_heads(m, &b, v.value, node), mask};
    const char *layout[] = {q.last ? "heads_last" : "heads_first", k.last ? "heads_last" : "heads_first",
                            v.last ? "heads_last" : "heads_first", y.last ? "heads_last" : "heads_first"};
    adze_named attrs[] = {{"scale", adze_f64(ctx, scale)},
                          {"layout", adze_strs(ctx, 4, layout)},
                          {"adze.node", adze_str(ctx, node)}};
    adze_shape result;
    adze_value_shape(ctx, y.value, &result);
    if (rank == 3) {
        result.rank = 4;
        result.dims[3] = result.dims[2];
        result.dims[2] = result.dims[1];
        result.dims[1] = 1;
    }
    MlirValue value = adze_build1(&b, "adze.attention", 4, operands, adze_tensor_type(ctx, &result), ADZE_COUNT(attrs), attrs);
    adze_name_value(ctx, value, adze_location_name(ctx, op, "attention"));
    if (rank == 3)
        value = adze_build1(&b, "adze.reshape", 1, &value, mlirValueGetType(y.value), 1, &attrs[2]);
    MlirValue old = adze_result(last, 0);
    mlirValueReplaceAllUsesOfWith(old, value);
    m->changed = true;
}

bool adze_pass_attention(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    const adze_target *target = options->target;
    matching m = {ctx, module, false};
    if (!target || target->bare || !target->vectors.count)
        return true;
    adze_walk(mlirModuleGetOperation(module), match, &m);
    if (m.changed)
        adze_simplify(ctx, module, false); /* what nobody reads any more */
    return true;
}
