/* Gathers, scatters, one_hot, topk. Negative indices count from the end; others are errors. */
#include "reference/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool resolve(ref_call *c, int64_t index, int64_t extent, int64_t *out) {
    if (index < -extent || index >= extent)
        return ref_fail(c, "index %lld is outside an axis of %lld", (long long)index,
                        (long long)extent);
    *out = index < 0 ? index + extent : index;
    return true;
}

bool ref_gather(ref_call *c) {
    const adze_tensor *x = c->in[0], *indices = c->in[1];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis))
        return false;
    int64_t dims[2 * ADZE_MAX_RANK];
    const int rank = x->rank - 1 + indices->rank;
    if (rank > ADZE_MAX_RANK)
        return ref_fail(c, "the result's rank is too high");
    memcpy(dims, x->dims, (size_t)axis * sizeof *dims);
    memcpy(dims + axis, indices->dims, (size_t)indices->rank * sizeof *dims);
    memcpy(dims + axis + indices->rank, x->dims + axis + 1,
           (size_t)(x->rank - axis - 1) * sizeof *dims);
    if (!ref_out(c, 0, rank, dims))
        return false;
    const size_t n = adze_tensor_count(&c->out[0]), n_indices = adze_tensor_count(indices);
    const size_t inner = ref_product(x->dims, axis + 1, x->rank);
    int64_t *map = ref_alloc(c, n, sizeof *map), *at = ref_alloc(c, n_indices, sizeof *at);
    for (size_t i = 0; n && i < n_indices; i++)
        if (!resolve(c, adze_tensor_get_i64(indices, i), x->dims[axis], &at[i]))
            return false;
    for (size_t i = 0; i < n; i++) {
        const size_t k = i / inner % n_indices, outer = i / (inner * n_indices);
        map[i] = (int64_t)((outer * (size_t)x->dims[axis] + (size_t)at[k]) * inner + i % inner);
    }
    return ref_move(c, 0, map);
}

/* For every element of indices, the flat index in `shape` where the axis is replaced by it. */
static bool element_targets(ref_call *c, const adze_tensor *shape, const adze_tensor *indices,
                            int axis, int64_t *to) {
    int64_t strides[ADZE_MAX_RANK], index[ADZE_MAX_RANK] = {0};
    if (indices->rank != shape->rank)
        return ref_fail(c, "indices do not have the rank of x");
    for (int d = 0; d < shape->rank; d++)
        if (d != axis && indices->dims[d] > shape->dims[d])
            return ref_fail(c, "indices are larger than x on axis %d", d);
    ref_strides(shape->rank, shape->dims, strides);
    for (size_t i = 0, n = adze_tensor_count(indices); i < n; i++) {
        int64_t k = 0, at = 0;
        if (!resolve(c, adze_tensor_get_i64(indices, i), shape->dims[axis], &k))
            return false;
        for (int d = 0; d < shape->rank; d++)
            at += (d == axis ? k : index[d]) * strides[d];
        to[i] = at;
        ref_next(indices->rank, indices->dims, index);
    }
    return true;
}

bool ref_gather_elements(ref_call *c) {
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), c->in[0]->rank, &axis) || !ref_out_like(c, 0, c->in[1]))
        return false;
    int64_t *map = ref_alloc(c, adze_tensor_count(c->in[1]), sizeof *map);
    return element_targets(c, c->in[0], c->in[1], axis, map) && ref_move(c, 0, map);
}

/* Flat start in x of every index tuple (the last axis of indices), after `batch` shared axes. */
static bool tuple_starts(ref_call *c, const adze_tensor *x, const adze_tensor *indices, int batch,
                         int64_t **starts, size_t *n_tuples, size_t *slice) {
    if (indices->rank < 1 || batch < 0 || batch >= indices->rank || batch > x->rank)
        return ref_fail(c, "%d batch axes do not fit", batch);
    const int64_t depth = indices->dims[indices->rank - 1];
    if (depth < 0 || batch + depth > x->rank)
        return ref_fail(c, "index tuples of %lld do not fit x of rank %d", (long long)depth,
                        x->rank);
    for (int d = 0; d < batch; d++)
        if (x->dims[d] != indices->dims[d])
            return ref_fail(c, "batch axis %d differs", d);
    const size_t n = ref_product(indices->dims, 0, indices->rank - 1);
    const size_t batches = ref_product(x->dims, 0, batch);
    int64_t strides[ADZE_MAX_RANK];
    ref_strides(x->rank, x->dims, strides);
    *slice = ref_product(x->dims, batch + (int)depth, x->rank);
    *n_tuples = n;
    *starts = ref_alloc(c, n, sizeof **starts);
    const size_t per_batch = batches ? n / batches : 0;
    for (size_t i = 0; i < n; i++) {
        int64_t at = (int64_t)(i / per_batch * ref_product(x->dims, batch, x->rank));
        for (int64_t d = 0; d < depth; d++) {
            int64_t k = 0;
            if (!resolve(c, adze_tensor_get_i64(indices, i * (size_t)depth + (size_t)d),
                         x->dims[batch + d], &k))
                return false;
            at += k * strides[batch + d];
        }
        (*starts)[i] = at;
    }
    return true;
}

bool ref_gather_nd(ref_call *c) {
    const adze_tensor *x = c->in[0], *indices = c->in[1];
    const int64_t batch = ref_i64(c, "batch_dims");
    int64_t *starts, dims[2 * ADZE_MAX_RANK];
    size_t n, slice;
    if (batch < 0 || batch > ADZE_MAX_RANK)
        return ref_fail(c, "batch_dims is %lld", (long long)batch);
    if (!tuple_starts(c, x, indices, (int)batch, &starts, &n, &slice))
        return false;
    const int depth = (int)indices->dims[indices->rank - 1];
    int rank = indices->rank - 1;
    memcpy(dims, indices->dims, (size_t)rank * sizeof *dims);
    for (int d = (int)batch + depth; d < x->rank; d++)
        dims[rank++] = x->dims[d];
    if (rank > ADZE_MAX_RANK || !ref_out(c, 0, rank, dims))
        return rank > ADZE_MAX_RANK ? ref_fail(c, "the result's rank is too high") : false;
    int64_t *map = ref_alloc(c, n * slice, sizeof *map);
    for (size_t i = 0; i < n * slice; i++)
        map[i] = starts[i / slice] + (int64_t)(i % slice);
    return ref_move(c, 0, map);
}

/* ---- scatters ---- */

static const char *const reductions[] = {"none", "add", "mul", "max", "min"};
enum { PUT, ADD, MUL, MAX, MIN };

/* y = x, then y[to[i]] = reduce(y[to[i]], updates[i]) in order. Quantized operands: only `none`. */
static bool scatter(ref_call *c, const int64_t *to, size_t n) {
    const int kind = ref_choice(c, "reduction", reductions, ADZE_COUNT(reductions));
    const adze_tensor *x = c->in[0], *updates = c->in[2];
    adze_tensor *y = &c->out[0];
    if (kind < 0)
        return false;
    if (adze_tensor_count(updates) != n || updates->dtype != x->dtype)
        return ref_fail(c, "updates do not fit the indices");
    const size_t count = adze_tensor_count(y), bytes = adze_dtype_get(x->dtype)->host_bytes;
    if (kind == PUT) {
        int64_t *map = ref_alloc(c, count, sizeof *map), *from = ref_alloc(c, count, sizeof *from);
        for (size_t i = 0; i < count; i++) {
            map[i] = (int64_t)i;
            from[i] = -1;
        }
        for (size_t i = 0; i < n; i++)
            from[to[i]] = (int64_t)i;
        if (!ref_move(c, 0, map))
            return false;
        uint8_t *out = adze_tensor_data(y), *kept = ref_alloc(c, count, bytes);
        memcpy(kept, out, count * bytes);
        if (!ref_move(c, 2, from))
            return false;
        for (size_t i = 0; i < count; i++)
            if (from[i] < 0)
                memcpy(out + i * bytes, kept + i * bytes, bytes);
        return true;
    }
    if (ref_any_quant(c) || strchr("SC", ref_class(x->dtype)))
        return ref_fail(c, "reduction '%s' is not defined for this type", reductions[kind]);
    memcpy(adze_tensor_data(y), x->data, count * bytes);
    if (ref_is_float(x)) { /* summed in double, rounded once */
        double *v = ref_f64s(c, x);
        const double *u = ref_f64s(c, updates);
        for (size_t i = 0; i < n; i++) {
            double *e = &v[to[i]];
            *e = kind == ADD                ? *e + u[i]
                 : kind == MUL              ? *e * u[i]
                 : isnan(*e) || isnan(u[i]) ? NAN
                 : kind == MAX              ? fmax(*e, u[i])
                                            : fmin(*e, u[i]);
        }
        ref_put_f64s(y, v);
        return true;
    }
    int64_t *v = ref_i64s(c, x);
    const int64_t *u = ref_i64s(c, updates);
    const bool u64 = x->dtype == ADZE_u64, boolean = ref_class(x->dtype) == 'B';
    for (size_t i = 0; i < n; i++) {
        int64_t *e = &v[to[i]];
        const bool less = u64 ? (uint64_t)u[i] < (uint64_t)*e : u[i] < *e;
        if (kind == ADD)
            *e = boolean ? *e | u[i] : (int64_t)((uint64_t)*e + (uint64_t)u[i]);
        else if (kind == MUL)
            *e = (int64_t)((uint64_t)*e * (uint64_t)u[i]);
        else if (kind == MIN ? less : !less)
            *e = u[i];
    }
    ref_put_i64s(y, v);
    return true;
}

bool ref_scatter_elements(ref_call *c) {
    const adze_tensor *x = c->in[0], *indices = c->in[1];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out_like(c, 0, x))
        return false;
    const size_t n = adze_tensor_count(indices);
    int64_t *to = ref_alloc(c, n, sizeof *to);
    return element_targets(c, x, indices, axis, to) && scatter(c, to, n);
}

bool ref_scatter_nd(ref_call *c) {
    int64_t *starts;
    size_t n, slice;
    if (!tuple_starts(c, c->in[0], c->in[1], 0, &starts, &n, &slice) ||
        !ref_out_like(c, 0, c->in[0]))
        return false;
    int64_t *to = ref_alloc(c, n * slice, sizeof *to);
    for (size_t i = 0; i < n * slice; i++)
        to[i] = starts[i / slice] + (int64_t)(i % slice);
    return scatter(c, to, n * slice);
}

/* ---- one_hot, topk ---- */

/* An index outside [-depth, depth) gives a line of `off`. Float indices truncate. */
bool ref_one_hot(ref_call *c) {
    const adze_tensor *indices = c->in[0], *values = c->in[1];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), indices->rank + 1, &axis) || !ref_out(c, 0, 0, NULL))
        return false;
    adze_tensor *y = &c->out[0];
    if (y->rank != indices->rank + 1 || adze_tensor_count(values) != 2)
        return ref_fail(c, "indices, values and the result do not fit");
    for (int d = 0; d < indices->rank; d++)
        if (y->dims[d < axis ? d : d + 1] != indices->dims[d])
            return ref_fail(c, "the result does not fit indices on axis %d", d);
    const size_t inner = ref_product(y->dims, axis + 1, y->rank), n = adze_tensor_count(y);
    const int64_t depth = y->dims[axis];
    int64_t *map = ref_alloc(c, n, sizeof *map);
    for (size_t i = 0; i < n; i++) {
        const size_t outer = i / inner / (size_t)depth;
        const int64_t k = (int64_t)(i / inner % (size_t)depth);
        int64_t hot = adze_tensor_get_i64(indices, outer * inner + i % inner);
        if (hot < 0)
            hot += depth;
        map[i] = hot == k;
    }
    return ref_move(c, 1, map);
}

typedef struct ranked {
    double f;
    int64_t v, at;
    bool u64, real, largest;
} ranked;

/* Best first; equal values by index, the lower first. NaN counts as the largest. */
static int rank_order(const void *p, const void *q) {
    const ranked *a = p, *b = q;
    int order;
    if (a->real)
        order = isnan(a->f) || isnan(b->f) ? !!isnan(a->f) - !!isnan(b->f)
                                           : (a->f > b->f) - (a->f < b->f);
    else if (a->u64)
        order = ((uint64_t)a->v > (uint64_t)b->v) - ((uint64_t)a->v < (uint64_t)b->v);
    else
        order = (a->v > b->v) - (a->v < b->v);
    if (order)
        return a->largest ? -order : order;
    return (a->at > b->at) - (a->at < b->at);
}

/* Whether sorted or not, the result is in sorted order: ONNX leaves the other case open. */
bool ref_topk(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out(c, 0, 0, NULL))
        return false;
    const adze_tensor *y = &c->out[0];
    if (y->rank != x->rank || !ref_out(c, 1, y->rank, y->dims))
        return y->rank != x->rank ? ref_fail(c, "the result does not have the rank of x") : false;
    for (int d = 0; d < x->rank; d++)
        if (d == axis ? y->dims[d] > x->dims[d] : y->dims[d] != x->dims[d])
            return ref_fail(c, "axis %d of the result does not fit x", d);
    const size_t n = (size_t)x->dims[axis], k = (size_t)y->dims[axis];
    const size_t inner = ref_product(x->dims, axis + 1, x->rank);
    const size_t n_lines = ref_product(x->dims, 0, axis) * inner;
    const bool largest = ref_bool(c, "largest");
    ranked *line = ref_alloc(c, n, sizeof *line);
    int64_t *map = ref_alloc(c, adze_tensor_count(y), sizeof *map);
    for (size_t l = 0; k && l < n_lines; l++) {
        const size_t base = l / inner * n * inner + l % inner;
        for (size_t i = 0; i < n; i++)
            line[i] = (ranked){adze_tensor_get_f64(x, base + i * inner),
                               adze_tensor_get_i64(x, base + i * inner),
                               (int64_t)i,
                               x->dtype == ADZE_u64,
                               ref_is_float(x),
                               largest};
        qsort(line, n, sizeof *line, rank_order);
        for (size_t i = 0; i < k; i++) {
            const size_t to = l / inner * k * inner + l % inner + i * inner;
            map[to] = (int64_t)(base + (size_t)line[i].at * inner);
            adze_tensor_set_i64(&c->out[1], to, line[i].at);
        }
    }
    return ref_move(c, 0, map);
}
