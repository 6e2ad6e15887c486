/* The table of rows, and the evaluation of one operation. */
#include "reference/internal.h"

#include <stdio.h>
#include <string.h>

static ref_row *const rows[ADZE_N_OPS] = {
#define OP(name, operands, results, attrs, doc) [ADZE_OP_##name] = ref_##name,
#include "ir/ops.def"
#undef OP
};

bool ref_fail(ref_call *c, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return adze_error(&c->ctx->diags, c->node, "%s: %s", c->name, text);
}

/* The verifier has seen types, not values: a host tensor must be what the operand's type says. */
static bool check_operands(ref_call *c) {
    for (int i = 0; i < c->n_in; i++) {
        if (!c->in[i])
            continue;
        adze_shape shape;
        MlirType type = mlirValueGetType(mlirOperationGetOperand(c->op, i));
        if (!adze_shape_of(c->ctx, type, &shape))
            continue; /* a scalar */
        if (shape.dtype != c->in[i]->dtype || shape.rank != c->in[i]->rank)
            return ref_fail(c, "operand %d does not have the type that the IR gives it", i);
        for (int d = 0; d < shape.rank; d++)
            if (shape.dims[d] >= 0 && shape.dims[d] != c->in[i]->dims[d])
                return ref_fail(c, "operand %d: axis %d is %lld by its type and %lld here", i, d,
                                (long long)shape.dims[d], (long long)c->in[i]->dims[d]);
    }
    return true;
}

/* Which operands of ours may be absent: a missing one that may not is an error, not a crash. */
static bool check_present(ref_call *c, const adze_op_info *info) {
    if (c->n_in != info->n_operands)
        return ref_fail(c, "has %d operands where %d belong", c->n_in, info->n_operands);
    for (int i = 0; i < c->n_in; i++)
        if (!c->in[i] && !info->optional[i])
            return ref_fail(c, "operand '%s' is missing", info->operands[i]);
    return true;
}

bool ref_eval(ref_call *c) {
    c->n_in = (int)mlirOperationGetNumOperands(c->op);
    c->n_out = (int)mlirOperationGetNumResults(c->op);
    c->node = adze_node(c->ctx, c->op);
    const adze_op op = adze_op_of(c->ctx, c->op);
    for (int i = 0; i < c->n_out; i++)
        c->out[i] = (adze_tensor){0};
    if (op != ADZE_OP_NONE_OF_OURS) {
        const adze_op_info *info = adze_op_info_of(c->ctx, op);
        c->name = info->name;
        return check_present(c, info) && check_operands(c) && rows[op](c);
    }
    MlirStringRef full = mlirIdentifierStr(mlirOperationGetName(c->op));
    c->name = adze_arena_strndup(c->scratch, full.data, full.length);
    for (int i = 0; i < c->n_in; i++)
        if (!c->in[i])
            return ref_fail(c, "operand %d is missing", i);
    if (!check_operands(c))
        return false;
    if (!strcmp(c->name, "tensor.concat"))
        return ref_concat(c);
    bool known = true;
    if (!ref_scalar(c, &known))
        return known ? false
                     : ref_fail(c, "the reference interpreter does not know this operation");
    return true;
}

static bool eval(adze_context *ctx, MlirModule module, MlirOperation op,
                 const adze_tensor *const *operands, adze_tensor *results, adze_arena *arena,
                 size_t limit, double most_work) {
    const intptr_t n = mlirOperationGetNumOperands(op);
    adze_arena *scratch = adze_arena_new();
    const adze_tensor **in = ADZE_NEW_ARRAY(scratch, const adze_tensor *, n ? (size_t)n : 1);
    for (intptr_t i = 0; i < n; i++)
        in[i] = operands[i] && operands[i]->dtype != ADZE_NO_DTYPE ? operands[i] : NULL;
    ref_budget budget = {.most_work = most_work};
    ref_call call = {.ctx = ctx,
                     .module = module,
                     .op = op,
                     .in = in,
                     .out = results,
                     .arena = arena,
                     .scratch = scratch,
                     .limit = limit,
                     .budget = &budget};
    const bool ok = ref_eval(&call);
    adze_arena_free(scratch);
    return ok;
}

bool adze_ref_eval(adze_context *ctx, MlirModule module, MlirOperation op,
                   const adze_tensor *const *operands, adze_tensor *results, adze_arena *arena) {
    return eval(ctx, module, op, operands, results, arena, 0, REF_MOST_WORK);
}

bool adze_ref_fold(adze_context *ctx, MlirModule module, MlirOperation op,
                   const adze_tensor *const *operands, adze_tensor *results) {
    const size_t errors = ctx->diags.count;
    const size_t limit = (size_t)1 << 26; /* a small file must not fold into gigabytes */
    if (eval(ctx, module, op, operands, results, ctx->arena, limit, 4e9))
        return true;
    ctx->diags.count = errors; /* not folding is no error */
    return false;
}

/* ---- rows that are not evaluated: symbols, and what only levels 2 and 3 have ---- */

static bool no_value(ref_call *c) {
    return ref_fail(c, "is not an operation of an entry at level 1");
}
bool ref_weight(ref_call *c) { return no_value(c); }
bool ref_state(ref_call *c) { return no_value(c); }
bool ref_dim(ref_call *c) { return no_value(c); }
bool ref_state_ref(ref_call *c) { return no_value(c); }
bool ref_region(ref_call *c) { return no_value(c); }
bool ref_instruction(ref_call *c) { return no_value(c); }
bool ref_active(ref_call *c) { return no_value(c); }
bool ref_load_word(ref_call *c) { return no_value(c); }
bool ref_lanes(ref_call *c) { return no_value(c); }

/* ---- values ---- */

bool ref_none(ref_call *c) {
    c->out[0] = (adze_tensor){0};
    return true;
}

static bool constant(ref_call *c) {
    if (!adze_constant_value(c->ctx, c->module, mlirOperationGetResult(c->op, 0), &c->out[0]))
        return ref_fail(c, "its value cannot be read");
    return true;
}
bool ref_constant(ref_call *c) { return constant(c); }
bool ref_get_weight(ref_call *c) { return constant(c); }

bool ref_extent(ref_call *c) {
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), c->in[0]->rank, &axis) || !ref_out(c, 0, 0, NULL))
        return false;
    adze_tensor_set_i64(&c->out[0], 0, c->in[0]->dims[axis]);
    return true;
}

/* Scalars i32: clamp(zp + round_half_even(acc * multiplier / 2^shift), low, high). */
bool ref_requantize(ref_call *c) {
    const int64_t shift = adze_tensor_get_i64(c->in[2], 0);
    if (shift < 0 || shift > 62)
        return ref_fail(c, "a shift of %lld is outside 0 to 62", (long long)shift);
    const int64_t y = adze_requantize_ref(
        adze_tensor_get_i64(c->in[0], 0), (int32_t)adze_tensor_get_i64(c->in[1], 0), (int32_t)shift,
        ref_i64(c, "zero_point"), ref_i64(c, "low"), ref_i64(c, "high"));
    if (!adze_tensor_new(c->arena, ADZE_i32, 0, NULL, &c->out[0]))
        return false;
    adze_tensor_set_i64(&c->out[0], 0, y);
    return true;
}
