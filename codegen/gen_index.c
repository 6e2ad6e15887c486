/* Movement by indices that are data: gathers, scatters, one_hot, trilu, range, reverse_sequence,
 * topk, max_unpool. An index below zero counts from the end; one out of range is brought back in,
 * so that generated code never touches what is outside a buffer. */
#include "codegen/gen_math.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* ---- readers ---- */

bool adze_read_gather_elements(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                               MlirValue *out) {
    (void)which;
    MlirValue x, indices = mlirOperationGetOperand(op, 1), at[ADZE_MAX_RANK];
    adze_shape xs;
    adze_scalar chosen;
    int axis;
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_axis(g, op, "axis", xs.rank, &axis) ||
        !adze_read(g, indices, index, &chosen))
        return false;
    memcpy(at, index, (size_t)xs.rank * sizeof *at);
    at[axis] = adze_index_wrap(g, adze_index_from(g, chosen), adze_extent(g, x, axis));
    return adze_read_raw(g, x, at, out);
}

/* at[first ..] = the tuple indices[prefix.., 0 .. depth), wrapped into x's axes. */
static bool read_tuple(adze_gen *g, MlirValue x, MlirValue indices, int prefix, int64_t depth,
                       const MlirValue *index, int first, MlirValue *at) {
    MlirValue from[ADZE_MAX_RANK];
    memcpy(from, index, (size_t)prefix * sizeof *from);
    for (int64_t d = 0; d < depth; d++) {
        adze_scalar chosen;
        from[prefix] = adze_index(g, d);
        if (!adze_read(g, indices, from, &chosen))
            return false;
        int axis = first + (int)d;
        at[axis] = adze_index_wrap(g, adze_index_from(g, chosen), adze_extent(g, x, axis));
    }
    return true;
}

/* y[b.., t.., s..] = x[b.., indices[b.., t.., :], s..] */
bool adze_read_gather_nd(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                         MlirValue *out) {
    (void)which;
    MlirValue x, indices, at[ADZE_MAX_RANK];
    adze_shape xs, is;
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_operand(g, op, 1, &indices, &is))
        return false;
    int64_t batch = adze_get_i64(op, "batch_dims"), depth = is.rank ? is.dims[is.rank - 1] : -1;
    if (batch < 0 || batch >= is.rank || depth < 0 || depth > xs.rank - batch)
        return gn_fail(g, op, "index tuples do not fit x");
    int prefix = is.rank - 1, rest = (int)(batch + depth);
    memcpy(at, index, (size_t)batch * sizeof *at);
    if (!read_tuple(g, x, indices, prefix, depth, index, (int)batch, at))
        return false;
    for (int d = rest; d < xs.rank; d++)
        at[d] = index[prefix + d - rest];
    return adze_read_raw(g, x, at, out);
}

/* y[.., k, ..] = values[indices[..] == k]; a negative index counts from the end, others give `off`
 */
bool adze_read_one_hot(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                       MlirValue *out) {
    (void)which;
    MlirValue indices, values, y, at[ADZE_MAX_RANK], off, on;
    adze_shape is, vs, ys;
    adze_scalar hot;
    int axis;
    if (!gn_operand(g, op, 0, &indices, &is) || !gn_operand(g, op, 1, &values, &vs) ||
        !gn_result(g, op, 0, &y, &ys) || !gn_need_number(g, op, &is) ||
        !gn_axis(g, op, "axis", ys.rank, &axis))
        return false;
    for (int d = 0; d < is.rank; d++)
        at[d] = index[d < axis ? d : d + 1];
    const adze_dtype_info *info = adze_dtype_get(is.dtype);
    adze_dtype work =
        info->cls != 'F' && (info->bits < 32 || is.dtype == ADZE_i32) ? ADZE_i32 : ADZE_i64;
    if (!gn_read(g, indices, at, work, &hot))
        return false;
    adze_scalar depth = adze_index_to(g, adze_extent(g, y, axis), work);
    MlirValue negative = gn_binary(g, "less", hot, gn_num(g, work, 0)).value;
    hot = gn_select(g, negative, gn_add(g, hot, depth), hot);
    MlirValue is_hot = gn_binary(g, "equal", hot, adze_index_to(g, index[axis], work)).value;
    MlirValue zero = adze_index(g, 0), one = adze_index(g, 1);
    if (!adze_read_raw(g, values, &zero, &off) || !adze_read_raw(g, values, &one, &on))
        return false;
    *out = gn_index_select(g, is_hot, on, off);
    return true;
}

/* Zero as memory of this element type holds it. */
static MlirValue raw_zero(adze_gen *g, adze_dtype dtype) {
    return adze_scalar_out(&g->b, adze_scalar_i64(&g->b, dtype, 0));
}

bool adze_read_trilu(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                     MlirValue *out) {
    (void)which;
    MlirValue x, k = mlirOperationGetOperand(op, 1), v, keep;
    adze_shape xs;
    if (!gn_operand(g, op, 0, &x, &xs))
        return false;
    if (xs.rank < 2 || strchr("SC", adze_dtype_get(xs.dtype)->cls))
        return gn_fail(g, op, "has no loops for %s of rank %d", adze_dtype_get(xs.dtype)->name,
                       xs.rank);
    bool upper = adze_get_bool(op, "upper");
    MlirValue row = index[xs.rank - 2], column = index[xs.rank - 1];
    adze_scalar diagonal = {{NULL}, ADZE_i64};
    int64_t known = 0;
    if (!adze_is_none(k) && !gn_read_scalar(g, k, ADZE_i64, &diagonal))
        return false;
    /* the diagonal that the element lies on is column - row */
    if (!diagonal.value.ptr || (adze_index_known(diagonal.value, &known) && known < INT32_MAX / 2 &&
                                known > INT32_MIN / 2)) {
        MlirValue first = adze_index_add(g, row, adze_index(g, known));
        keep = adze_index_cmp(g, upper ? "ge" : "le", column, first);
    } else {
        adze_scalar own = adze_index_to(g, adze_index_sub(g, column, row), ADZE_i64);
        keep = gn_binary(g, upper ? "greater_equal" : "less_equal", own, diagonal).value;
    }
    if (!adze_read_raw(g, x, index, &v))
        return false;
    *out = gn_index_select(g, keep, v, raw_zero(g, xs.dtype));
    return true;
}

bool adze_read_range(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                     MlirValue *out) {
    (void)which;
    MlirValue y;
    adze_shape ys;
    if (!gn_result(g, op, 0, &y, &ys) || !gn_need_number(g, op, &ys))
        return false;
    adze_dtype work = gn_compute(ys.dtype);
    adze_scalar start, delta;
    if (!gn_read_scalar(g, mlirOperationGetOperand(op, 0), work, &start) ||
        !gn_read_scalar(g, mlirOperationGetOperand(op, 1), work, &delta))
        return false;
    adze_scalar i = adze_index_to(g, index[0], work);
    *out = gn_out(g, gn_add(g, start, gn_mul(g, i, delta)), ys.dtype);
    return true;
}

bool adze_read_reverse_sequence(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                                MlirValue *out) {
    (void)which;
    MlirValue x, at[ADZE_MAX_RANK];
    adze_shape xs;
    int batch, time;
    adze_scalar n;
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_axis(g, op, "batch_axis", xs.rank, &batch) ||
        !gn_axis(g, op, "time_axis", xs.rank, &time) ||
        !adze_read(g, mlirOperationGetOperand(op, 1), &index[batch], &n))
        return false;
    MlirValue length =
        gn_index_clamp(g, adze_index_from(g, n), adze_index(g, 0), adze_extent(g, x, time));
    MlirValue last = adze_index_sub(g, length, adze_index(g, 1));
    memcpy(at, index, (size_t)xs.rank * sizeof *at);
    at[time] = gn_index_select(g, adze_index_cmp(g, "lt", index[time], length),
                               adze_index_sub(g, last, index[time]), index[time]);
    return adze_read_raw(g, x, at, out);
}

/* ---- scatters: copy x, then update ---- */

static bool copy_all(adze_gen *g, MlirValue x, int rank, MlirValue to) {
    MlirValue at[ADZE_MAX_RANK], v;
    adze_nest nest = gn_nest(g, x, rank, NULL, at);
    if (!adze_read_raw(g, x, at, &v))
        return false;
    adze_store_raw(g, v, to, at);
    adze_nest_end(g, &nest);
    return true;
}

static const struct reduction {
    const char *name, *kind, *bool_kind; /* kinds.def; NULL: the update replaces */
} reductions[] = {
    {"none", NULL, NULL}, {"add", "add", "or"},  {"mul", "mul", "and"},
    {"max", "max", "or"}, {"min", "min", "and"},
};

static const struct reduction *reduction_of(adze_gen *g, MlirOperation op, const adze_shape *xs) {
    const char *name = adze_get_str(g->ctx, op, "reduction");
    for (size_t i = 0; name && i < ADZE_COUNT(reductions); i++) {
        if (strcmp(reductions[i].name, name))
            continue;
        if (reductions[i].kind && strchr("SC", adze_dtype_get(xs->dtype)->cls))
            break;
        return &reductions[i];
    }
    gn_fail(g, op, "reduction '%s' on %s", name ? name : "", adze_dtype_get(xs->dtype)->name);
    return NULL;
}

/* y[at] = reduce(y[at], updates[index]) */
static bool update(adze_gen *g, const struct reduction *r, MlirValue updates,
                   const MlirValue *index, MlirValue y, const MlirValue *at) {
    MlirValue raw;
    if (!r->kind) {
        if (!adze_read_raw(g, updates, index, &raw))
            return false;
        adze_store_raw(g, raw, y, at);
        return true;
    }
    adze_scalar v;
    if (!adze_read(g, updates, index, &v))
        return false;
    adze_scalar old = adze_load(g, y, at);
    bool is_bool = adze_dtype_get(v.dtype)->cls == 'B';
    adze_store(g, gn_binary(g, is_bool ? r->bool_kind : r->kind, old, v), y, at);
    return true;
}

bool adze_gen_scatter_elements(adze_gen *g, MlirOperation op) {
    MlirValue x, indices, updates = mlirOperationGetOperand(op, 2), index[ADZE_MAX_RANK],
                          at[ADZE_MAX_RANK];
    adze_shape xs, is;
    int axis;
    MlirValue y = adze_gen_destination(g, mlirOperationGetResult(op, 0));
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_operand(g, op, 1, &indices, &is) ||
        !gn_axis(g, op, "axis", xs.rank, &axis))
        return false;
    const struct reduction *r = reduction_of(g, op, &xs);
    if (!r || is.rank != xs.rank)
        return r ? gn_fail(g, op, "indices do not have the rank of x") : false;
    if (!y.ptr || gn_is_empty(&xs))
        return true;
    if (!copy_all(g, x, xs.rank, y))
        return false;
    adze_nest nest = gn_nest(g, indices, is.rank, NULL, index);
    adze_scalar chosen;
    if (!adze_read(g, indices, index, &chosen))
        return false;
    memcpy(at, index, (size_t)xs.rank * sizeof *at);
    at[axis] = adze_index_wrap(g, adze_index_from(g, chosen), adze_extent(g, x, axis));
    if (!update(g, r, updates, index, y, at))
        return false;
    adze_nest_end(g, &nest);
    return true;
}

/* y[indices[t.., :], s..] = reduce(.., updates[t.., s..]) */
bool adze_gen_scatter_nd(adze_gen *g, MlirOperation op) {
    MlirValue x, indices, updates, index[ADZE_MAX_RANK], at[ADZE_MAX_RANK];
    adze_shape xs, is, us;
    MlirValue y = adze_gen_destination(g, mlirOperationGetResult(op, 0));
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_operand(g, op, 1, &indices, &is) ||
        !gn_operand(g, op, 2, &updates, &us))
        return false;
    const struct reduction *r = reduction_of(g, op, &xs);
    int64_t depth = is.rank ? is.dims[is.rank - 1] : -1;
    if (!r || depth < 0 || depth > xs.rank || us.rank != is.rank - 1 + xs.rank - depth)
        return r ? gn_fail(g, op, "index tuples do not fit x and updates") : false;
    if (!y.ptr || gn_is_empty(&xs))
        return true;
    if (!copy_all(g, x, xs.rank, y))
        return false;
    /* a tuple is read once, outside the loops over its slice */
    int prefix = is.rank - 1;
    bool tuple[ADZE_MAX_RANK] = {false}, slice[ADZE_MAX_RANK] = {false};
    for (int d = 0; d < us.rank; d++) {
        tuple[d] = d < prefix;
        slice[d] = d >= prefix;
    }
    adze_nest tuples = gn_nest(g, updates, us.rank, slice, index);
    if (!read_tuple(g, x, indices, prefix, depth, index, 0, at))
        return false;
    adze_nest slices = gn_nest(g, updates, us.rank, tuple, index);
    for (int d = (int)depth; d < xs.rank; d++)
        at[d] = index[prefix + d - (int)depth];
    if (!update(g, r, updates, index, y, at))
        return false;
    adze_nest_end(g, &slices);
    adze_nest_end(g, &tuples);
    return true;
}

/* x scattered to flat indices of a zero y */
bool adze_gen_max_unpool(adze_gen *g, MlirOperation op) {
    MlirValue x, indices = mlirOperationGetOperand(op, 1), result, raw, at[ADZE_MAX_RANK],
                 index[ADZE_MAX_RANK];
    adze_shape xs, ys;
    MlirValue y = adze_gen_destination(g, mlirOperationGetResult(op, 0));
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_result(g, op, 0, &result, &ys))
        return false;
    if (!y.ptr || gn_is_empty(&ys))
        return true;
    adze_nest nest = gn_nest(g, result, ys.rank, NULL, at);
    adze_store_raw(g, raw_zero(g, ys.dtype), y, at);
    adze_nest_end(g, &nest);
    if (gn_is_empty(&xs))
        return true;
    nest = gn_nest(g, x, xs.rank, NULL, index);
    adze_scalar chosen;
    if (!adze_read(g, indices, index, &chosen) || !adze_read_raw(g, x, index, &raw))
        return false;
    MlirValue count = adze_index(g, 1), flat;
    for (int d = 0; d < ys.rank; d++)
        count = adze_index_mul(g, count, adze_extent(g, result, d));
    flat = adze_index_wrap(g, adze_index_from(g, chosen), count);
    for (int d = ys.rank - 1; d >= 0; d--) {
        MlirValue extent = adze_extent(g, result, d);
        at[d] = d ? adze_index_rem(g, flat, extent) : flat;
        flat = adze_index_div(g, flat, extent);
    }
    adze_store_raw(g, raw, y, at);
    adze_nest_end(g, &nest);
    return true;
}

/* ---- topk ---- */

/* x comes before y: NaN counts as the largest; equal ones do not. */
static MlirValue comes_before(adze_gen *g, bool largest, adze_scalar x, adze_scalar y) {
    MlirValue before = gn_binary(g, largest ? "greater" : "less", x, y).value;
    if (!gn_is_float(x.dtype))
        return before;
    MlirValue x_nan = gn_unary(g, "is_nan", x).value, y_nan = gn_unary(g, "is_nan", y).value;
    adze_scalar other = {largest ? y_nan : x_nan, ADZE_bool};
    MlirValue by_nan = gn_and(g, largest ? x_nan : y_nan, gn_unary(g, "not", other).value);
    return gn_or(g, before, by_nan);
}

typedef struct topk {
    MlirValue x, values, indices; /* values, indices: memrefs, null when unused */
    int axis;
    adze_dtype work;
    MlirValue at[ADZE_MAX_RANK];
} topk;

/* Entry p of the result: its value, and its index when indices are wanted. */
static bool load_entry(adze_gen *g, topk *t, MlirValue p, adze_scalar *value, adze_scalar *index) {
    t->at[t->axis] = p;
    if (t->indices.ptr)
        *index = adze_load(g, t->indices, t->at);
    if (t->values.ptr) {
        *value = gn_load(g, t->values, t->at, t->work);
        return true;
    }
    t->at[t->axis] = adze_index_from(g, *index);
    return gn_read(g, t->x, t->at, t->work, value);
}

static void store_entry(adze_gen *g, topk *t, MlirValue p, adze_scalar value, adze_scalar index) {
    t->at[t->axis] = p;
    if (t->values.ptr)
        gn_store(g, value, t->values, t->at);
    if (t->indices.ptr)
        adze_store(g, index, t->indices, t->at);
}

/* Insertion into the result, which holds the best so far in order:
 *   for each i: if it comes before the last entry (or there is room)
 *     for each entry p: from its place on, every entry moves one further
 *     what moved out of the last one is appended while there is room */
bool adze_gen_topk(adze_gen *g, MlirOperation op) {
    topk t = {.values = adze_gen_destination(g, mlirOperationGetResult(op, 0)),
              .indices = adze_gen_destination(g, mlirOperationGetResult(op, 1))};
    adze_shape xs, ys;
    MlirValue y;
    if (!gn_operand(g, op, 0, &t.x, &xs) || !gn_axis(g, op, "axis", xs.rank, &t.axis) ||
        !gn_result(g, op, 0, &y, &ys) || !gn_need_number(g, op, &xs))
        return false;
    if (ys.rank != xs.rank || (ys.dims[t.axis] > xs.dims[t.axis] && xs.dims[t.axis] >= 0))
        return gn_fail(g, op, "the result does not fit x");
    if ((!t.values.ptr && !t.indices.ptr) || gn_is_empty(&xs) || gn_is_empty(&ys))
        return true;
    bool largest = adze_get_bool(op, "largest");
    t.work = gn_compute(xs.dtype);
    bool skip[ADZE_MAX_RANK] = {false};
    skip[t.axis] = true;
    MlirValue zero = adze_index(g, 0), one = adze_index(g, 1);
    MlirValue n = adze_extent(g, t.x, t.axis), k = adze_extent(g, y, t.axis);
    adze_nest nest = gn_nest(g, t.x, xs.rank, skip, t.at);
    adze_for loop = adze_for_begin(g, "i", zero, n, one, 0, NULL, NULL);
    adze_scalar v, last, entry, index = {{NULL}, ADZE_i64};
    MlirType bit = mlirIntegerTypeGet(g->ctx->mlir, 1);

    t.at[t.axis] = loop.iv;
    if (!gn_read(g, t.x, t.at, t.work, &v))
        return false;
    MlirValue room = adze_index_cmp(g, "lt", loop.iv, k), enters;
    adze_if has_room = adze_if_begin(g, room, 1, &bit);
    MlirValue yes = adze_scalar_i64(&g->b, ADZE_bool, 1).value;
    adze_if_else(g, &has_room, &yes);
    if (!load_entry(g, &t, adze_index_sub(g, k, one), &last, &index))
        return false;
    MlirValue beats = comes_before(g, largest, v, last);
    adze_if_end(g, &has_room, &beats, &enters);

    adze_if insert = adze_if_begin(g, enters, 0, NULL);
    adze_scalar own = {{NULL}, ADZE_i64};
    if (t.indices.ptr) {
        adze_shape is;
        adze_value_shape(g->ctx, t.indices, &is);
        own = adze_index_to(g, loop.iv, is.dtype);
    }
    MlirValue no = adze_scalar_i64(&g->b, ADZE_bool, 0).value, init[3] = {v.value, no, own.value};
    adze_for entries =
        adze_for_begin(g, "p", zero, adze_index_min(g, loop.iv, k), one, t.indices.ptr ? 3 : 2,
                       init, (const char *[]){"moving", "shift", "moving_index"});
    adze_scalar moving = {entries.carried[0], t.work},
                moving_index = {entries.carried[2], own.dtype};
    if (!load_entry(g, &t, entries.iv, &entry, &index))
        return false;
    MlirValue shift = gn_or(g, entries.carried[1], comes_before(g, largest, moving, entry));
    MlirValue next[3] = {gn_select(g, shift, entry, moving).value, shift, {NULL}};
    if (t.indices.ptr)
        next[2] = gn_select(g, shift, index, moving_index).value;
    store_entry(g, &t, entries.iv, gn_select(g, shift, moving, entry),
                t.indices.ptr ? gn_select(g, shift, moving_index, index) : index);
    adze_for_end(g, &entries, next, next);
    adze_if append = adze_if_begin(g, room, 0, NULL);
    store_entry(g, &t, loop.iv, (adze_scalar){next[0], t.work}, (adze_scalar){next[2], own.dtype});
    adze_if_end(g, &append, NULL, NULL);
    adze_if_end(g, &insert, NULL, NULL);
    adze_for_end(g, &loop, NULL, NULL);
    adze_nest_end(g, &nest);
    return true;
}
