/* A recurrence's products with its input do not wait for each other: one matrix product makes them for all steps,
 * sequences and directions, and the recurrence is left with the products with its own state.
 *
 *   lstm(x [T,B,I], w [D,G H,I], r [D,G H,H], b [D,2 G H])
 *     ─►  gates = matmul(x, w' [D G H,I], transposed, bias [D G H])        [T,B,D G H]
 *         lstm(gates, none, r' [D,H,G H], b' [D,G H] or none)
 *
 * r' has the gates of all hidden units side by side for each unit that is read: vectors run along them. Both
 * biases go into the product, but gru's second one of its candidate where that is multiplied by the reset gate.
 * Initial states of zeros are left out. Only for targets with vectors, from constant f32 weights. */
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
    MlirType none = {NULL};
    return adze_build_constant(b, p->module, t, name, none);
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
    MlirValue factors[] = {operands[X], add_constant(p, &b, &flat, operands[W], ""), none};
    if (has_bias)
        factors[2] = add_constant(p, &b, &product, operands[B], ".input");
    adze_shape gates = x;
    gates.dims[2] = directions * rows;
    adze_named attrs[] = {{"trans_a", adze_bool(ctx, false)},
                          {"trans_b", adze_bool(ctx, true)},
                          {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
    b.name = "gates";
    MlirValue sums = adze_build1(&b, "adze.matmul", 3, factors, adze_tensor_type(ctx, &gates),
                                 ADZE_COUNT(attrs), attrs);
    mlirOperationSetOperand(op, R, add_constant(p, &b, &turned, operands[R], ".turned"));
    mlirOperationSetOperand(op, X, sums);
    mlirOperationSetOperand(op, W, none);
    if (has_bias)
        mlirOperationSetOperand(op, B,
                                apart ? add_constant(p, &b, &left, operands[B], ".state") : none);
    for (int i = H0; i <= C0 && i < n; i++) {
        adze_tensor start;
        if (!adze_is_none(operands[i]) && (i == H0 || lstm) && constant(p, operands[i], &start) && all_zero(&start))
            mlirOperationSetOperand(op, i, none);
    }
}

bool adze_pass_project(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    const adze_target *target = options->target;
    projection p = {ctx, module, true};
    if (target && !target->bare && target->vectors.count)
        adze_walk(mlirModuleGetOperation(module), convert, &p);
    return p.ok;
}
