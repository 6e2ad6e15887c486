/* Softmax over 8-bit codes, in integers. */
#include "codegen/gen_rows.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static MlirValue op2(adze_gen *g, const char *name, MlirValue a, MlirValue b) {
    return adze_build1(&g->b, name, 2, (MlirValue[]){a, b}, mlirValueGetType(a), 0, NULL);
}

static MlirValue i64_constant(adze_gen *g, int64_t value) {
    return adze_scalar_i64(&g->b, ADZE_i64, value).value;
}

/* table[best - x[at]] as i64 */
static bool exponential(adze_gen *g, MlirValue x, MlirValue table, const MlirValue *at,
                        MlirValue best, MlirValue *out) {
    adze_scalar v, wide, t;
    if (!adze_read(g, x, at, &v) || !adze_scalar_cast(&g->b, v, ADZE_i32, false, &wide))
        return false;
    adze_scalar distance = {op2(g, "arith.subi", best, wide.value), ADZE_i32};
    MlirValue index = adze_index_from(g, distance);
    if (!adze_read(g, table, &index, &t) || !adze_scalar_cast(&g->b, t, ADZE_i64, false, &t))
        return false;
    *out = t.value;
    return true;
}

/* Twice the remainder must fit 64 bits, hence the divisor 62. A larger divisor is more than twice any
 * numerator (below 2^54): the quotient rounds to 0, as it does for the largest divisor that fits. */
#define DIVISOR_MAX (((int64_t)1 << 62) - 1)

/* sum << shift fits for every row: no term is above 2^23. An unknown extent is negative. */
static bool sum_fits(int64_t extent, int64_t shift) {
    return extent >= 0 && shift <= 38 && extent <= DIVISOR_MAX >> (23 + shift);
}

bool adze_gen_softmax_codes(adze_gen *g, MlirOperation op) {
    MlirValue x = mlirOperationGetOperand(op, 0), table = mlirOperationGetOperand(op, 1);
    MlirValue y = adze_gen_destination(g, adze_result(op, 0));
    adze_shape xs, ys;
    if (!y.ptr || !adze_value_shape(g->ctx, x, &xs) || !adze_value_shape(g->ctx, y, &ys))
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "softmax has no destination");
    int axis = (int)adze_get_i64(op, "axis");
    MlirValue extents[ADZE_MAX_RANK], at[ADZE_MAX_RANK], zero = adze_index(g, 0);
    for (int d = 0; d < xs.rank; d++)
        extents[d] = d == axis ? adze_index(g, 1) : adze_extent(g, x, d);
    MlirValue extent = adze_extent(g, x, axis), one = adze_index(g, 1);
    adze_nest rows = adze_nest_begin(g, xs.rank, extents, NULL, at);

    const char *best_name = "best", *sum_name = "sum";
    MlirValue best = adze_scalar_i64(&g->b, ADZE_i32, INT32_MIN).value;
    adze_for loop = adze_for_begin(g, "k", zero, extent, one, 1, &best, &best_name);
    adze_scalar v;
    at[axis] = loop.iv;
    if (!adze_read(g, x, at, &v) || !adze_scalar_cast(&g->b, v, ADZE_i32, false, &v))
        return false;
    MlirValue larger = op2(g, "arith.maxsi", loop.carried[0], v.value);
    adze_for_end(g, &loop, &larger, &best);

    MlirValue sum = i64_constant(g, 0), t;
    loop = adze_for_begin(g, "k", zero, extent, one, 1, &sum, &sum_name);
    at[axis] = loop.iv;
    if (!exponential(g, x, table, at, best, &t))
        return false;
    MlirValue more = op2(g, "arith.addi", loop.carried[0], t);
    adze_for_end(g, &loop, &more, &sum);

    /* clamp(zp + round_half_even(t * m / (sum << s))): quotient, remainder, then the tie */
    int64_t shift = adze_get_i64(op, "shift");
    if (!sum_fits(xs.dims[axis], shift)) {
        shift = shift > 61 ? 61 : shift;
        sum = op2(g, "arith.minsi", sum, i64_constant(g, DIVISOR_MAX >> shift));
    }
    MlirValue divisor = op2(g, "arith.shli", sum, i64_constant(g, shift));
    loop = adze_for_begin(g, "k", zero, extent, one, 0, NULL, NULL);
    at[axis] = loop.iv;
    if (!exponential(g, x, table, at, best, &t))
        return false;
    MlirValue numerator = op2(g, "arith.muli", t, i64_constant(g, adze_get_i64(op, "multiplier")));
    MlirValue q = op2(g, "arith.divsi", numerator, divisor);
    MlirValue r = op2(g, "arith.subi", numerator, op2(g, "arith.muli", q, divisor));
    MlirValue twice = op2(g, "arith.addi", r, r);
    MlirType i1 = mlirIntegerTypeGet(g->ctx->mlir, 1);
    adze_named gt = {"predicate", adze_i64(g->ctx, 4)}, eq = {"predicate", adze_i64(g->ctx, 0)};
    MlirValue above = adze_build1(&g->b, "arith.cmpi", 2, (MlirValue[]){twice, divisor}, i1, 1, &gt);
    MlirValue tie = adze_build1(&g->b, "arith.cmpi", 2, (MlirValue[]){twice, divisor}, i1, 1, &eq);
    MlirValue odd = adze_build1(&g->b, "arith.trunci", 1, &q, i1, 0, NULL);
    MlirValue up = op2(g, "arith.ori", above, op2(g, "arith.andi", tie, odd));
    MlirValue step = adze_build1(&g->b, "arith.extui", 1, &up, mlirValueGetType(q), 0, NULL);
    MlirValue rounded = op2(g, "arith.addi", op2(g, "arith.addi", q, step),
                            i64_constant(g, adze_get_i64(op, "zero_point")));
    rounded = op2(g, "arith.minsi",
                  op2(g, "arith.maxsi", rounded, i64_constant(g, adze_get_i64(op, "low"))),
                  i64_constant(g, adze_get_i64(op, "high")));
    adze_scalar result;
    if (!adze_scalar_cast(&g->b, (adze_scalar){rounded, ADZE_i64}, ys.dtype, false, &result))
        return false;
    adze_store(g, result, y, at);
    adze_for_end(g, &loop, NULL, NULL);
    adze_nest_end(g, &rows);
    return true;
}
