/* Orders of axes, and one row an operation that can work in several. See axes.h. */
#include "passes/axes.h"

#include "ir/window.h"

#include <string.h>

/* ---- orders ---- */

adze_axes adze_axes_plain(int rank) {
    adze_axes axes = {.rank = rank};
    for (int i = 0; i < rank; i++)
        axes.at[i] = i;
    return axes;
}

adze_axes adze_axes_channels_last(int rank) {
    adze_axes axes = adze_axes_plain(rank);
    for (int i = 1; i + 1 < rank; i++)
        axes.at[i] = i + 1;
    if (rank > 1)
        axes.at[rank - 1] = 1;
    return axes;
}

bool adze_axes_same(const adze_axes *a, const adze_axes *b) {
    return a->rank == b->rank && !memcmp(a->at, b->at, (size_t)a->rank * sizeof *a->at);
}

bool adze_axes_move(const adze_axes *from, const adze_axes *to, const int64_t *dims) {
    int i = 0, j = 0, rank = from->rank;
    for (;;) {
        while (i < rank && dims[from->at[i]] == 1)
            i++;
        while (j < rank && dims[to->at[j]] == 1)
            j++;
        if (i == rank || j == rank)
            return i != j;
        if (from->at[i++] != to->at[j++])
            return true;
    }
}

static int place_of(const adze_axes *axes, int axis) {
    for (int i = 0; i < axes->rank; i++)
        if (axes->at[i] == axis)
            return i;
    return 0;
}

adze_axes adze_axes_between(const adze_axes *from, const adze_axes *to) {
    adze_axes perm = {.rank = to->rank};
    for (int i = 0; i < to->rank; i++)
        perm.at[i] = place_of(from, to->at[i]);
    return perm;
}

adze_shape adze_axes_shape(adze_context *ctx, const adze_shape *shape, const adze_axes *axes) {
    adze_shape out = *shape;
    for (int i = 0; i < shape->rank; i++) {
        out.dims[i] = shape->dims[axes->at[i]];
        out.symbols[i] = shape->symbols[axes->at[i]];
    }
    adze_quant q;
    if (adze_quant_of(ctx, shape->element, &q) && q.axis >= 0) {
        q.axis = place_of(axes, q.axis);
        adze_quant_type(ctx, &q, &out.element);
    }
    return out;
}

/* ---- attributes ---- */

static void rewrite_axis(const adze_axes_case *c) {
    int64_t axis = adze_get_i64(c->op, "axis");
    if (axis >= 0)
        adze_set(c->op, "axis", adze_i64(c->ctx, place_of(&c->in, (int)axis)));
}

static void rewrite_dim(const adze_axes_case *c) {
    adze_set(c->op, "dim", adze_i64(c->ctx, place_of(&c->in, (int)adze_get_i64(c->op, "dim"))));
}

static void rewrite_axes(const adze_axes_case *c) {
    int64_t old[ADZE_MAX_RANK], new[ADZE_MAX_RANK];
    bool listed[ADZE_MAX_RANK] = {false};
    int n = adze_get_i64s(c->op, "axes", ADZE_MAX_RANK, old), k = 0;
    for (int i = 0; i < n && i < ADZE_MAX_RANK; i++)
        listed[place_of(&c->in, (int)old[i])] = true;
    for (int i = 0; i < c->in.rank; i++)
        if (listed[i])
            new[k++] = i;
    adze_set(c->op, "axes", adze_i64s(c->ctx, k, new));
}

/* `parts` numbers an axis, one list behind the other. */
static void reorder_numbers(const adze_axes_case *c, const char *name, int parts) {
    int64_t old[2 * ADZE_MAX_RANK], new[2 * ADZE_MAX_RANK];
    int rank = c->in.rank;
    if (adze_get_i64s(c->op, name, 2 * ADZE_MAX_RANK, old) != parts * rank)
        return;
    for (int p = 0; p < parts; p++)
        for (int i = 0; i < rank; i++)
            new[p * rank + i] = old[p * rank + c->in.at[i]];
    adze_set(c->op, name, adze_i64s(c->ctx, parts * rank, new));
}

static void rewrite_slice(const adze_axes_case *c) {
    reorder_numbers(c, "starts", 1);
    reorder_numbers(c, "steps", 1);
}

static void rewrite_pad(const adze_axes_case *c) { reorder_numbers(c, "pads", 2); }

static void rewrite_resize(const adze_axes_case *c) {
    double old[ADZE_MAX_RANK], new[ADZE_MAX_RANK];
    int n = adze_get_f64s(c->op, "scales", ADZE_MAX_RANK, old);
    for (int i = 0; i < n && i < c->in.rank; i++)
        new[i] = old[c->in.at[i]];
    if (n == c->in.rank)
        adze_set(c->op, "scales", adze_f64s(c->ctx, n, new));
}

static void rewrite_window(const adze_axes_case *c) {
    adze_set(c->op, "layout", adze_str(c->ctx, "channels_last"));
}

/* What is transposed already as it should be is not transposed again. */
static void rewrite_transpose(const adze_axes_case *c) {
    int64_t perm[ADZE_MAX_RANK];
    for (int i = 0; i < c->in.rank; i++)
        perm[i] = i;
    adze_set(c->op, "perm", adze_i64s(c->ctx, c->in.rank, perm));
}

/* ---- conditions ---- */

static bool no_blocks(adze_axes_case *c) { return adze_get_i64(c->op, "block_size") == 0; }

static bool no_region(adze_axes_case *c) {
    return adze_is_none(mlirOperationGetOperand(c->op, 1));
}

static bool list_of_indices(adze_axes_case *c) {
    adze_shape indices;
    return adze_value_shape(c->ctx, mlirOperationGetOperand(c->op, 1), &indices) && indices.rank == 1;
}

static bool channels_first(adze_axes_case *c) {
    return c->x.rank >= 3 && !adze_window_axes_of(c->op, c->x.rank).last &&
           (mlirOperationGetNumResults(c->op) == 1 || /* indices stay as they are */
            mlirTypeEqual(mlirValueGetType(adze_result(c->op, 1)), c->ctx->none_type));
}

/* ---- orders that differ between operand and result ---- */

static bool derive_window(adze_axes_case *c, bool backwards) {
    adze_axes last = adze_axes_channels_last(c->x.rank);
    if (!adze_axes_same(backwards ? &c->out : &c->in, &last))
        return false;
    c->in = c->out = last;
    return true;
}

/* The result is kept just as the operand is. */
static bool derive_transpose(adze_axes_case *c, bool backwards) {
    int64_t perm[ADZE_MAX_RANK];
    int rank = c->x.rank;
    if (adze_get_i64s(c->op, "perm", ADZE_MAX_RANK, perm) != rank)
        return false;
    c->in.rank = c->out.rank = rank;
    for (int i = 0; i < rank; i++) {
        if (backwards)
            c->in.at[i] = (int)perm[c->out.at[i]];
        else
            for (int j = 0; j < rank; j++)
                if (perm[j] == c->in.at[i])
                    c->out.at[i] = j;
    }
    return true;
}

/* reduce, arg_reduce: reduced axes are kept as 1, or dropped from the order. */
static bool derive_reduce(adze_axes_case *c, bool backwards) {
    int64_t axes[ADZE_MAX_RANK];
    int n = 1, rank = 0, number[ADZE_MAX_RANK], kept = 0;
    bool reduced[ADZE_MAX_RANK] = {false};
    if (adze_is_op(c->op, "adze.reduce"))
        n = adze_get_i64s(c->op, "axes", ADZE_MAX_RANK, axes);
    else
        axes[0] = adze_get_i64(c->op, "axis");
    for (int i = 0; i < n; i++) {
        if (axes[i] < 0 || axes[i] >= c->x.rank)
            return false;
        reduced[axes[i]] = true;
    }
    if (c->y.rank == c->x.rank) {
        *(backwards ? &c->in : &c->out) = backwards ? c->out : c->in;
        return true;
    }
    if (backwards)
        return false; /* the dropped ones could stand anywhere */
    for (int d = 0; d < c->x.rank; d++)
        number[d] = reduced[d] ? -1 : kept++;
    for (int i = 0; i < c->x.rank; i++)
        if (number[c->in.at[i]] >= 0)
            c->out.at[rank++] = number[c->in.at[i]];
    c->out.rank = rank;
    return rank == c->y.rank;
}

/* The extent of an axis: no tensor, no order. */
static bool derive_extent(adze_axes_case *c, bool backwards) {
    c->out.rank = 0;
    return !backwards;
}

/* Cuts both lists of extents into the shortest runs with equal products; extents of 1 are in none (-1). A
 * bounded extent counts as a number of its own. */
static bool cut_into_runs(const adze_shape *x, const adze_shape *y, int *run_x, int *run_y) {
    enum { BOUNDED = 2147483647 };
    const adze_shape *s[2] = {x, y};
    int *run[2] = {run_x, run_y}, at[2] = {0, 0}, bounded[2] = {0, 0};
    for (int k = 0; k < 2; k++)
        for (int d = 0; d < s[k]->rank; d++) {
            run[k][d] = -1;
            bounded[k] += s[k]->dims[d] < 0;
            if (s[k]->dims[d] == 0)
                return false;
        }
    if (bounded[0] != bounded[1] || bounded[0] > 1)
        return false;
    for (int n = 0;; n++) {
        int64_t product[2] = {1, 1};
        do {
            int k = product[0] > product[1];
            while (at[k] < s[k]->rank && s[k]->dims[at[k]] == 1)
                at[k]++;
            if (at[k] == s[k]->rank) {
                while (at[1] < y->rank && y->dims[at[1]] == 1)
                    at[1]++;
                return k == 0 && product[0] == product[1] && at[1] == y->rank;
            }
            int64_t extent = s[k]->dims[at[k]] < 0 ? BOUNDED : s[k]->dims[at[k]];
            if (__builtin_mul_overflow(product[k], extent, &product[k]))
                return false;
            run[k][at[k]++] = n;
        } while (product[0] != product[1]);
    }
}

/* Runs that stay together in the order of x give an order of y. Extents of 1 in y stay before the axis they
 * stand before, the last ones behind the one they stand behind, the first ones in front. */
static bool derive_reshape(adze_axes_case *c, bool backwards) {
    const adze_shape *x = backwards ? &c->y : &c->x, *y = backwards ? &c->x : &c->y;
    const adze_axes *in = backwards ? &c->out : &c->in;
    adze_axes *out = backwards ? &c->in : &c->out;
    int run_x[ADZE_MAX_RANK], run_y[ADZE_MAX_RANK], order[ADZE_MAX_RANK], n = 0;
    adze_quant q;
    if ((adze_quant_of(c->ctx, x->element, &q) && q.axis >= 0) || !cut_into_runs(x, y, run_x, run_y))
        return false;
    for (int i = 0, before = -1; i < x->rank; i++) {
        int axis = in->at[i];
        if (run_x[axis] < 0)
            continue;
        if (before < 0 || run_x[before] != run_x[axis]) {
            for (int k = 0; k < n; k++)
                if (order[k] == run_x[axis])
                    return false; /* in two parts */
            order[n++] = run_x[axis];
        } else if (axis < before) {
            return false; /* turned round */
        }
        before = axis;
    }
    int first = 0, last = y->rank - 1, rank = 0;
    while (first < y->rank && run_y[first] < 0)
        out->at[rank++] = first++;
    while (last >= first && run_y[last] < 0)
        last--;
    for (int k = 0; k < n; k++)
        for (int d = first; d <= last; d++) {
            int next = d; /* the axis that a 1 stands before */
            while (run_y[next] < 0)
                next++;
            if (run_y[next] != order[k])
                continue;
            out->at[rank++] = d;
            for (int one = last + 1; d == last && one < y->rank; one++)
                out->at[rank++] = one;
        }
    out->rank = rank;
    return rank == y->rank;
}

/* ---- the rows ---- */

static const adze_axes_row rows[] = {
    {"adze.unary", 1, false, NULL, NULL, NULL},
    {"adze.cast", 1, false, NULL, NULL, NULL},
    {"adze.bitcast", 1, false, NULL, NULL, NULL},
    {"adze.binary", 3, false, NULL, NULL, NULL},
    {"adze.where", 7, false, NULL, NULL, NULL},
    {"adze.quantize", 1, false, NULL, no_blocks, rewrite_axis},
    {"adze.dequantize", 1, false, NULL, no_blocks, rewrite_axis},
    {"adze.dynamic_quantize", 1, false, NULL, NULL, NULL},
    {"adze.expand", 1, false, NULL, NULL, NULL},
    {"adze.tile", 1, false, NULL, NULL, NULL},
    {"adze.slice", 1, false, NULL, NULL, rewrite_slice},
    {"adze.pad", 1, false, NULL, NULL, rewrite_pad},
    {"adze.gather", 1, false, NULL, list_of_indices, rewrite_axis},
    {"adze.resize", 1, false, NULL, no_region, rewrite_resize},
    {"adze.softmax", 1, false, NULL, NULL, rewrite_axis},
    {"adze.hardmax", 1, false, NULL, NULL, rewrite_axis},
    {"adze.lp_norm", 1, false, NULL, NULL, rewrite_axis},
    {"adze.cumulate", 1, false, NULL, NULL, rewrite_axis},
    {"adze.topk", 1, true, NULL, NULL, rewrite_axis},
    {"adze.norm", 7, true, NULL, NULL, rewrite_axes},
    {"adze.reduce", 1, false, derive_reduce, NULL, rewrite_axes},
    {"adze.arg_reduce", 1, false, derive_reduce, NULL, rewrite_axis},
    {"adze.transpose", 1, false, derive_transpose, NULL, rewrite_transpose},
    {"adze.reshape", 1, false, derive_reshape, NULL, NULL},
    {"adze.extent", 1, false, derive_extent, NULL, rewrite_axis},
    {"adze.conv", 1, false, derive_window, channels_first, rewrite_window},
    {"adze.conv_transpose", 1, false, derive_window, channels_first, rewrite_window},
    {"adze.pool", 1, false, derive_window, channels_first, rewrite_window},
    {"tensor.concat", ~0u, false, NULL, NULL, rewrite_dim},
};

const adze_axes_row *adze_axes_row_of(MlirOperation op) {
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (adze_is_op(op, rows[i].op))
            return &rows[i];
    return NULL;
}
