/* A recurrence's products with its input do not wait for each other: one matrix product makes them for all steps,
 * sequences and directions, and the recurrence is left with the products with its own state.
 *
 *   lstm(x [T,B,I], w [D,G H,I], r [D,G H,H], b [D,2 G H])
 *     ─►  gates = matmul(x, w' [D G H,I], transposed, bias [D G H])        [T,B,D G H]
 *         lstm(gates, none, r' [D,H,G H], b' [D,G H] or none)
 *
 * r' has the gates of all hidden units side by side for each unit that is read: vectors run along them. Both
 * biases go into the product, but gru's second one of its candidate where that is multiplied by the reset gate.
 * Initial states of zeros are left out. An lstm of one step from such is no recurrence: it forgets nothing, so that
 * its forget gate is not computed, and the others are elementwise. Only for targets with vectors, from constant f32
 * weights. */
#include "ir/weights.h"
#include "passes/table.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

enum { X, W, R, B, LENGTHS, H0, C0, MAX_OPERANDS = 8 };

typedef struct projection {
    adze_context *ctx;
    MlirModule module;
    bool ok;
} projection;

static bool is_symbol(MlirValue value) {
    MlirOperation op = adze_defining(value);
    return !mlirOperationIsNull(op) && (adze_is_op(op, "adze.get_weight") || adze_is_op(op, "adze.constant"));
}

static bool constant(projection *p, MlirValue value, adze_tensor *out) {
    return is_symbol(value) && adze_constant_value(p->ctx, p->module, value, out) && out->dtype == ADZE_f32;
}

static bool all_zero(const adze_tensor *t) {
    for (size_t i = 0; i < adze_tensor_count(t); i++)
        if (adze_tensor_get_f64(t, i) != 0)
            return false;
    return true;
}

static MlirValue add_constant(projection *p, adze_builder *b, const adze_tensor *t, MlirValue from,
                              const char *suffix) {
    const char *symbol = adze_get_str(p->ctx, adze_defining(from), "weight");
    const char *name = adze_arena_printf(p->ctx->arena, "%s%s", symbol ? symbol : "weight", suffix);
    adze_shape shape = {.element = p->ctx->elements[t->dtype], .dtype = t->dtype, .rank = t->rank};
    memcpy(shape.dims, t->dims, sizeof shape.dims);
    MlirType type = adze_tensor_type(p->ctx, &shape);
    adze_text packed = {0};
    adze_tensor_pack(t, &packed);
    const char *blob = adze_blob_add(p->ctx, packed.data, packed.length);
    /* small ones too: recurrences in blocks read their weights from memory */
    const char *weight = adze_weight_add(p->ctx, p->module, name, type, blob, 0, (int64_t)packed.length, packed.data);
    adze_text_free(&packed);
    adze_named attr = {"weight", adze_str(p->ctx, weight)};
    return adze_build1(b, "adze.get_weight", 0, NULL, type, 1, &attr);
}

/* r [D,G H,H] with its last two axes exchanged. */
static bool transposed(projection *p, const adze_tensor *r, adze_tensor *out) {
    int64_t rows = r->dims[1], hidden = r->dims[2];
    if (!adze_tensor_new(p->ctx->arena, ADZE_f32, 3, (int64_t[]){r->dims[0], hidden, rows}, out))
        return false;
    for (int64_t d = 0; d < r->dims[0]; d++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < hidden; k++)
                adze_tensor_set_f64(out, (size_t)((d * hidden + k) * rows + i),
                                    adze_tensor_get_f64(r, (size_t)((d * rows + i) * hidden + k)));
    return true;
}

/* What of b [D,2 G H] the matrix product adds, [D G H]; and what is left for the recurrence, [D,G H]: the rows from
 * `apart` on of the second half. */
static bool split_bias(projection *p, const adze_tensor *b, int64_t directions, int64_t rows, int64_t apart,
                       adze_tensor *product, adze_tensor *left) {
    if (!adze_tensor_new(p->ctx->arena, ADZE_f32, 1, (int64_t[]){directions * rows}, product) ||
        !adze_tensor_new(p->ctx->arena, ADZE_f32, 2, (int64_t[]){directions, rows}, left))
        return false;
    for (int64_t d = 0; d < directions; d++)
        for (int64_t i = 0; i < rows; i++) {
            double first = adze_tensor_get_f64(b, (size_t)(2 * d * rows + i));
            double second = adze_tensor_get_f64(b, (size_t)((2 * d + 1) * rows + i));
            adze_tensor_set_f64(product, (size_t)(d * rows + i), first + (i < apart ? second : 0));
            adze_tensor_set_f64(left, (size_t)(d * rows + i), i < apart ? 0 : second);
        }
    return true;
}

/* matmul(x, w as [rows, I], transposed, bias or null) */
static MlirValue multiply(projection *p, adze_builder *b, MlirOperation op, const adze_tensor *w,
                          const adze_tensor *bias) {
    adze_context *ctx = p->ctx;
    MlirValue x = mlirOperationGetOperand(op, X);
    MlirValue factors[] = {x, add_constant(p, b, w, mlirOperationGetOperand(op, W), ""), {NULL}};
    factors[2] = bias ? add_constant(p, b, bias, mlirOperationGetOperand(op, B), ".input") : adze_none_value(b);
    adze_shape gates;
    adze_value_shape(ctx, x, &gates);
    gates.dims[2] = w->dims[0];
    adze_named attrs[] = {{"trans_a", adze_bool(ctx, false)},
                          {"trans_b", adze_bool(ctx, true)},
                          {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
    b->name = "gates";
    return adze_build1(b, "adze.matmul", 3, factors, adze_tensor_type(ctx, &gates), ADZE_COUNT(attrs), attrs);
}

/* ---- one step of an lstm from zeros ---- */

enum { KEPT = 3 };
static const int kept[KEPT] = {0, 1, 3}; /* i o c */

static bool one_step(adze_context *ctx, MlirOperation op, const adze_shape *x) {
    static const char *const usual[] = {"Sigmoid", "Tanh", "Tanh"};
    const char *names[6];
    if (!adze_is_op(op, "adze.lstm") || x->dims[0] != 1 || x->dims[1] < 1 || adze_get_f64(op, "clip") != 0 ||
        adze_get_bool(op, "input_forget"))
        return false;
    for (int i = LENGTHS; i < MAX_OPERANDS; i++)
        if (!adze_is_none(mlirOperationGetOperand(op, i)))
            return false;
    int n = adze_get_strs(ctx, op, "activations", (int)ADZE_COUNT(names), names);
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], usual[i % 3]))
            return false;
    return n == 3 || n == 6;
}

static MlirValue unary(adze_context *ctx, adze_builder *b, MlirOperation op, const char *kind, MlirValue x) {
    adze_named attrs[] = {{"kind", adze_str(ctx, kind)},
                          {"params", adze_f64s(ctx, 0, NULL)},
                          {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
    return adze_build1(b, "adze.unary", 1, &x, mlirValueGetType(x), ADZE_COUNT(attrs), attrs);
}

static MlirValue product_of(adze_context *ctx, adze_builder *b, MlirOperation op, MlirValue x, MlirValue y) {
    adze_named attrs[] = {{"kind", adze_str(ctx, "mul")}, {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
    return adze_build1(b, "adze.binary", 2, (MlirValue[]){x, y}, mlirValueGetType(x), ADZE_COUNT(attrs), attrs);
}

/* state [1,B,D H] as result `i` of the operation: [1,D,B,H] or [D,B,H]. */
static MlirValue as_result(adze_context *ctx, adze_builder *b, MlirOperation op, int i, MlirValue state,
                           int64_t directions, int64_t hidden) {
    adze_shape shape;
    adze_value_shape(ctx, state, &shape);
    MlirType type = mlirValueGetType(adze_result(op, i));
    adze_named node = {"adze.node", adze_str(ctx, adze_node(ctx, op))};
    if (directions > 1) {
        shape.rank = 4;
        shape.dims[2] = directions;
        shape.dims[3] = hidden;
        shape.symbols[3] = NULL;
        state = adze_build1(b, "adze.reshape", 1, &state, adze_tensor_type(ctx, &shape), 1, &node);
        shape.dims[2] = shape.dims[1];
        shape.dims[1] = directions;
        adze_named attrs[] = {{"perm", adze_i64s(ctx, 4, (int64_t[]){0, 2, 1, 3})}, node};
        state = adze_build1(b, "adze.transpose", 1, &state, adze_tensor_type(ctx, &shape), 2, attrs);
    }
    return mlirTypeEqual(type, mlirValueGetType(state))
               ? state
               : adze_build1(b, "adze.reshape", 1, &state, type, 1, &node);
}

/* c = sigmoid(i) tanh(c~), h = sigmoid(o) tanh(c), over all directions at once. */
static bool replace_step(projection *p, MlirOperation op, const adze_tensor *w, const adze_tensor *bias) {
    adze_context *ctx = p->ctx;
    int64_t directions = w->dims[0], hidden = w->dims[1] / 4, inputs = w->dims[2], units = directions * hidden;
    adze_tensor rows, sums;
    if (!adze_tensor_new(ctx->arena, ADZE_f32, 2, (int64_t[]){KEPT * units, inputs}, &rows) ||
        !adze_tensor_new(ctx->arena, ADZE_f32, 1, (int64_t[]){KEPT * units}, &sums))
        return false;
    for (int g = 0; g < KEPT; g++) /* gates, then directions, then units */
        for (int64_t d = 0; d < directions; d++)
            for (int64_t j = 0; j < hidden; j++) {
                int64_t to = g * units + d * hidden + j, from = d * 4 * hidden + kept[g] * hidden + j;
                for (int64_t k = 0; k < inputs; k++)
                    adze_tensor_set_f64(&rows, (size_t)(to * inputs + k),
                                        adze_tensor_get_f64(w, (size_t)(from * inputs + k)));
                if (bias)
                    adze_tensor_set_f64(&sums, (size_t)to, adze_tensor_get_f64(bias, (size_t)from));
            }
    adze_builder b = adze_before(ctx, op);
    MlirValue all = multiply(p, &b, op, &rows, bias ? &sums : NULL), gate[KEPT];
    adze_shape shape;
    adze_value_shape(ctx, all, &shape);
    shape.dims[2] = units;
    for (int g = 0; g < KEPT; g++) {
        adze_named attrs[] = {{"starts", adze_i64s(ctx, 3, (int64_t[]){0, 0, g * units})},
                              {"steps", adze_i64s(ctx, 3, (int64_t[]){1, 1, 1})},
                              {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
        MlirValue part = adze_build1(&b, "adze.slice", 1, &all, adze_tensor_type(ctx, &shape), ADZE_COUNT(attrs), attrs);
        gate[g] = unary(ctx, &b, op, g == 2 ? "tanh" : "sigmoid", part);
    }
    MlirValue cell = product_of(ctx, &b, op, gate[0], gate[2]);
    MlirValue h = product_of(ctx, &b, op, gate[1], unary(ctx, &b, op, "tanh", cell));
    MlirValue results[3] = {h, h, cell};
    for (int i = 0; i < 3; i++)
        if (!mlirOpOperandIsNull(mlirValueGetFirstUse(adze_result(op, i))))
            results[i] = as_result(ctx, &b, op, i, results[i], directions, hidden);
    adze_replace(op, results);
    return true;
}

static void convert(MlirOperation op, void *user) {
    enum { MOST_ROWS = 16384 }; /* of all gates: they stand on the stack */
    projection *p = user;
    adze_context *ctx = p->ctx;
    bool lstm = adze_is_op(op, "adze.lstm"), gru = adze_is_op(op, "adze.gru");
    if (!p->ok || (!lstm && !gru && !adze_is_op(op, "adze.rnn")))
        return;
    adze_tensor w, r, bias;
    adze_shape x;
    MlirValue operands[MAX_OPERANDS];
    int n = (int)mlirOperationGetNumOperands(op);
    for (int i = 0; i < n && i < MAX_OPERANDS; i++)
        operands[i] = mlirOperationGetOperand(op, i);
    bool has_bias = !adze_is_none(operands[B]);
    if (n > MAX_OPERANDS || !adze_value_shape(ctx, operands[X], &x) || x.dtype != ADZE_f32 || x.rank != 3 ||
        !constant(p, operands[W], &w) || !constant(p, operands[R], &r) ||
        (has_bias && !constant(p, operands[B], &bias)) || w.dims[1] > MOST_ROWS)
        return;
    int64_t directions = w.dims[0], rows = w.dims[1], hidden = adze_get_i64(op, "hidden");
    bool apart = gru && adze_get_bool(op, "linear_before_reset");
    adze_tensor turned, product, left, flat = w;
    flat.rank = 2;
    flat.dims[0] = directions * rows;
    flat.dims[1] = w.dims[2];
    if (!transposed(p, &r, &turned) ||
        (has_bias && !split_bias(p, &bias, directions, rows, apart ? 2 * hidden : rows, &product, &left)))
        return;
    adze_builder b = adze_before(ctx, op);
    MlirValue none = adze_none_value(&b);
    for (int i = H0; i <= C0 && i < n; i++) {
        adze_tensor start;
        if (!adze_is_none(operands[i]) && (i == H0 || lstm) && constant(p, operands[i], &start) && all_zero(&start))
            mlirOperationSetOperand(op, i, none);
    }
    if (one_step(ctx, op, &x)) {
        p->ok = replace_step(p, op, &w, has_bias ? &product : NULL);
        return;
    }
    MlirValue sums = multiply(p, &b, op, &flat, has_bias ? &product : NULL);
    mlirOperationSetOperand(op, R, add_constant(p, &b, &turned, operands[R], ".turned"));
    mlirOperationSetOperand(op, X, sums);
    mlirOperationSetOperand(op, W, none);
    if (has_bias)
        mlirOperationSetOperand(op, B,
                                apart ? add_constant(p, &b, &left, operands[B], ".state") : none);
}

bool adze_pass_project(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    const adze_target *target = options->target;
    projection p = {ctx, module, true};
    if (target && !target->bare && target->vectors.count)
        adze_walk(mlirModuleGetOperation(module), convert, &p);
    return p.ok;
}
