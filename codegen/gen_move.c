/* Movement: each element of the result is an element of the operand, found by index arithmetic. */
#include "codegen/gen_rows.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static bool shapes_of(adze_gen *g, MlirOperation op, adze_shape *xs, adze_shape *ys) {
    return (adze_value_shape(g->ctx, mlirOperationGetOperand(op, 0), xs) &&
            adze_value_shape(g->ctx, mlirOperationGetResult(op, 0), ys)) ||
           adze_error(&g->ctx->diags, adze_node(g->ctx, op), "operand is not a ranked tensor");
}

bool adze_read_slice(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                     MlirValue *out) {
    (void)which;
    adze_shape xs, ys;
    int64_t starts[ADZE_MAX_RANK], steps[ADZE_MAX_RANK];
    if (!shapes_of(g, op, &xs, &ys))
        return false;
    if (adze_get_i64s(op, "starts", ADZE_MAX_RANK, starts) != xs.rank ||
        adze_get_i64s(op, "steps", ADZE_MAX_RANK, steps) != xs.rank)
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "starts and steps do not fit x");
    MlirValue at[ADZE_MAX_RANK];
    for (int d = 0; d < xs.rank; d++) {
        MlirValue moved = steps[d] < 0
                              ? adze_index_sub(g, adze_index(g, starts[d]),
                                               adze_index_mul(g, index[d], adze_index(g, -steps[d])))
                              : adze_index_add(g, adze_index_mul(g, index[d], adze_index(g, steps[d])),
                                               adze_index(g, starts[d]));
        at[d] = moved;
    }
    return adze_read_raw(g, mlirOperationGetOperand(op, 0), at, out);
}

bool adze_read_tile(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                    MlirValue *out) {
    (void)which;
    adze_shape xs, ys;
    if (!shapes_of(g, op, &xs, &ys))
        return false;
    MlirValue at[ADZE_MAX_RANK];
    for (int d = 0; d < xs.rank; d++)
        at[d] = xs.dims[d] == ys.dims[d]
                    ? index[d]
                    : adze_index_rem(g, index[d], adze_index(g, xs.dims[d]));
    return adze_read_raw(g, mlirOperationGetOperand(op, 0), at, out);
}

bool adze_read_reshape(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                       MlirValue *out) {
    (void)which;
    adze_shape xs, ys;
    if (!shapes_of(g, op, &xs, &ys))
        return false;
    MlirValue flat = adze_index(g, 0), at[ADZE_MAX_RANK];
    for (int d = 0; d < ys.rank; d++)
        flat = adze_index_add(
            g, adze_index_mul(g, flat, adze_extent(g, mlirOperationGetResult(op, 0), d)), index[d]);
    for (int d = xs.rank - 1; d >= 0; d--) {
        MlirValue extent = adze_extent(g, mlirOperationGetOperand(op, 0), d);
        at[d] = d ? adze_index_rem(g, flat, extent) : flat;
        flat = adze_index_div(g, flat, extent);
    }
    return adze_read_raw(g, mlirOperationGetOperand(op, 0), at, out);
}

/* Integers of one width are the same bits in memory; floats go through arith.bitcast. */
bool adze_read_bitcast(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                       MlirValue *out) {
    (void)which;
    adze_shape xs, ys;
    if (!shapes_of(g, op, &xs, &ys))
        return false;
    const adze_dtype_info *from = adze_dtype_get(xs.dtype), *to = adze_dtype_get(ys.dtype);
    if (from->bits != to->bits || from->bits < 8 || strchr("SCB", from->cls) ||
        strchr("SCB", to->cls))
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "bitcast from %s to %s", from->name,
                          to->name);
    MlirValue v;
    if (!adze_read_raw(g, mlirOperationGetOperand(op, 0), index, &v))
        return false;
    MlirType signless = mlirIntegerTypeGet(g->ctx->mlir, (unsigned)from->bits);
    if (from->cls == 'U')
        v = adze_build1(&g->b, "builtin.unrealized_conversion_cast", 1, &v, signless, 0, NULL);
    if (from->cls == 'F')
        v = adze_build1(&g->b, "arith.bitcast", 1, &v, signless, 0, NULL);
    if (to->cls == 'U')
        v = adze_build1(&g->b, "builtin.unrealized_conversion_cast", 1, &v, ys.element, 0, NULL);
    if (to->cls == 'F')
        v = adze_build1(&g->b, "arith.bitcast", 1, &v, ys.element, 0, NULL);
    *out = v;
    return true;
}

/* y[..., i..., ...] = x[..., indices[i...], ...]; an index below zero counts from the end, and one out
 * of range is brought back in: generated code never reads outside a buffer. */
bool adze_read_gather(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                      MlirValue *out) {
    (void)which;
    adze_shape xs, is;
    MlirValue x = mlirOperationGetOperand(op, 0), indices = mlirOperationGetOperand(op, 1);
    if (!adze_value_shape(g->ctx, x, &xs) || !adze_value_shape(g->ctx, indices, &is))
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "operand is not a ranked tensor");
    int axis = (int)adze_get_i64(op, "axis");
    adze_scalar chosen;
    if (!adze_read(g, indices, index + axis, &chosen))
        return false;
    MlirValue at[ADZE_MAX_RANK];
    for (int d = 0; d < xs.rank; d++)
        if (d != axis)
            at[d] = d < axis ? index[d] : index[d - 1 + is.rank];
    at[axis] = adze_index_wrap(g, adze_index_from(g, chosen), adze_extent(g, x, axis));
    return adze_read_raw(g, x, at, out);
}

/* One nest per operand, each into its place in the result. */
bool adze_gen_concat(adze_gen *g, MlirOperation op) {
    MlirValue result = mlirOperationGetResult(op, 0), memref = adze_gen_destination(g, result);
    int axis = (int)adze_get_i64(op, "dim");
    adze_shape ys;
    if (!memref.ptr || !adze_value_shape(g->ctx, result, &ys))
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "concatenation has no destination");
    MlirValue offset = adze_index(g, 0);
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
        MlirValue x = mlirOperationGetOperand(op, i), extents[ADZE_MAX_RANK], at[ADZE_MAX_RANK], v;
        for (int d = 0; d < ys.rank; d++)
            extents[d] = adze_extent(g, x, d);
        adze_nest nest = adze_nest_begin(g, ys.rank, extents, NULL, at);
        if (!adze_read_raw(g, x, at, &v))
            return false;
        at[axis] = adze_index_add(g, at[axis], offset);
        adze_store_raw(g, v, memref, at);
        adze_nest_end(g, &nest);
        offset = adze_index_add(g, offset, extents[axis]);
    }
    return true;
}

typedef struct pad_mode {
    const char *name;
    /* The source position of `i` (already moved by the padding) on an axis of `extent`. */
    MlirValue (*map)(adze_gen *g, MlirValue i, MlirValue extent);
} pad_mode;

static MlirValue map_edge(adze_gen *g, MlirValue i, MlirValue extent) {
    MlirValue last = adze_index_sub(g, extent, adze_index(g, 1));
    return adze_index_min(g, adze_index_max(g, i, adze_index(g, 0)), last);
}

static MlirValue map_wrap(adze_gen *g, MlirValue i, MlirValue extent) {
    /* twice the remainder, as the first may be negative */
    MlirValue r = adze_index_rem(g, i, extent);
    return adze_index_rem(g, adze_index_add(g, r, extent), extent);
}

static MlirValue map_reflect(adze_gen *g, MlirValue i, MlirValue extent) {
    /* a triangle wave of period 2 (extent - 1) */
    MlirValue last = adze_index_sub(g, extent, adze_index(g, 1));
    int64_t known;
    if (adze_index_known(last, &known) && known == 0)
        return last;
    MlirValue period = adze_index_mul(g, last, adze_index(g, 2));
    MlirValue r = map_wrap(g, i, period);
    return adze_index_min(g, r, adze_index_sub(g, period, r));
}

static const pad_mode modes[] = {
    {"edge", map_edge}, {"wrap", map_wrap}, {"reflect", map_reflect}};

bool adze_read_pad(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                   MlirValue *out) {
    (void)which;
    adze_shape xs, ys;
    int64_t pads[2 * ADZE_MAX_RANK];
    if (!shapes_of(g, op, &xs, &ys))
        return false;
    if (adze_get_i64s(op, "pads", 2 * ADZE_MAX_RANK, pads) != 2 * xs.rank)
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "pads do not fit x");
    MlirValue x = mlirOperationGetOperand(op, 0), value = mlirOperationGetOperand(op, 1);
    const char *mode = adze_get_str(g->ctx, op, "mode");
    MlirValue at[ADZE_MAX_RANK], inside = {NULL};
    for (int d = 0; d < xs.rank; d++)
        at[d] = adze_index_sub(g, index[d], adze_index(g, pads[d]));
    if (strcmp(mode, "constant")) {
        for (size_t m = 0; m < ADZE_COUNT(modes); m++)
            if (!strcmp(modes[m].name, mode))
                for (int d = 0; d < xs.rank; d++)
                    if (pads[d] || pads[xs.rank + d])
                        at[d] = modes[m].map(g, at[d], adze_extent(g, x, d));
        return adze_read_raw(g, x, at, out);
    }
    for (int d = 0; d < xs.rank; d++) {
        MlirValue tests[2] = {{NULL}, {NULL}};
        if (pads[d] > 0)
            tests[0] = adze_index_cmp(g, "ge", at[d], adze_index(g, 0));
        if (pads[xs.rank + d] > 0)
            tests[1] = adze_index_cmp(g, "lt", at[d], adze_extent(g, x, d));
        for (int t = 0; t < 2; t++) {
            if (!tests[t].ptr)
                continue;
            inside = inside.ptr ? adze_build1(&g->b, "arith.andi", 2,
                                              (MlirValue[]){inside, tests[t]},
                                              mlirValueGetType(inside), 0, NULL)
                                : tests[t];
        }
    }
    if (!inside.ptr)
        return adze_read_raw(g, x, at, out);
    MlirType type = xs.element;
    MlirValue v;
    adze_if branch = adze_if_begin(g, inside, 1, &type);
    if (!adze_read_raw(g, x, at, &v))
        return false;
    adze_if_else(g, &branch, &v);
    if (!adze_is_none(value)) {
        adze_shape vs;
        MlirValue zeros[ADZE_MAX_RANK];
        for (int d = 0; d < ADZE_MAX_RANK; d++)
            zeros[d] = adze_index(g, 0);
        if (!adze_value_shape(g->ctx, value, &vs) || !adze_read_raw(g, value, zeros, &v))
            return false;
    } else if (adze_dtype_get(xs.dtype)->cls == 'F') {
        v = adze_scalar_out(&g->b, adze_scalar_f64(&g->b, xs.dtype, 0));
    } else {
        v = adze_scalar_out(
            &g->b, adze_scalar_i64(&g->b, xs.dtype, adze_get_i64(op, "adze.zero_point_x")));
    }
    adze_if_end(g, &branch, &v, out);
    return true;
}
