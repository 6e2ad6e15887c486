/* Indexing: gathers, scatters, one-hot, top-k, triangles, and those that pick by a constant
 * condition. */
#include "frontend/onnx/importer.h"

#include <string.h>

bool ox_op_gather_elements(node *n) {
    val *x = ox_need(n, 0, "data"), *indices = ox_need(n, 1, "indices");
    if (!x || !indices)
        return false;
    int64_t axis = ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    if (indices->shape.rank != x->shape.rank)
        return ox_fail(n, "its indices are not of the data's rank");
    adze_shape s = indices->shape;
    s.element = x->shape.element;
    s.dtype = x->shape.dtype;
    return ox_out(n, 0,
                  ox_emit(n, "gather_elements", VALS(x, indices), &s,
                          ATTRS({"axis", adze_i64(n->ctx, axis)})));
}

bool ox_op_gather_nd(node *n) {
    val *x = ox_need(n, 0, "data"), *indices = ox_need(n, 1, "indices");
    int64_t batch = ox_attr_i(n, "batch_dims", 0);
    if (!x || !indices || !ox_static(n, indices))
        return false;
    int ri = indices->shape.rank, rx = x->shape.rank;
    int64_t depth = ri ? indices->shape.dims[ri - 1] : 0;
    if (batch < 0 || batch >= ri || batch > rx || depth < 1 || depth > rx - batch ||
        ri - 1 + rx - batch - depth > ADZE_MAX_RANK)
        return ox_fail(n, "its indices do not fit the data");
    adze_shape s = x->shape;
    s.rank = 0;
    for (int i = 0; i < ri - 1; i++)
        ox_set_dim(&s, s.rank++, &indices->shape, i);
    for (int i = (int)(batch + depth); i < rx; i++)
        ox_set_dim(&s, s.rank++, &x->shape, i);
    return ox_out(n, 0,
                  ox_emit(n, "gather_nd", VALS(x, indices), &s,
                          ATTRS({"batch_dims", adze_i64(n->ctx, batch)})));
}

static const char *reduction(node *n) {
    const char *r = ox_attr_s(n, "reduction", "none");
    if (strcmp(r, "none") && strcmp(r, "add") && strcmp(r, "mul") && strcmp(r, "max") &&
        strcmp(r, "min"))
        ox_fail(n, "reduction '%s' is not supported", r);
    return r;
}

bool ox_op_scatter_elements(node *n) {
    val *x = ox_need(n, 0, "data"), *indices = ox_need(n, 1, "indices"),
        *updates = ox_need(n, 2, "updates");
    if (!x || !indices || !updates)
        return false;
    int64_t axis = ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    const char *how = reduction(n);
    if (indices->shape.rank != x->shape.rank || updates->shape.rank != x->shape.rank ||
        updates->shape.dtype != x->shape.dtype)
        return ox_fail(n, "its indices or updates do not fit the data");
    return ox_out(
        n, 0,
        ox_emit(n, "scatter_elements", VALS(x, indices, updates), &x->shape,
                ATTRS({"axis", adze_i64(n->ctx, axis)}, {"reduction", adze_str(n->ctx, how)})));
}

bool ox_op_scatter_nd(node *n) {
    val *x = ox_need(n, 0, "data"), *indices = ox_need(n, 1, "indices"),
        *updates = ox_need(n, 2, "updates");
    if (!x || !indices || !updates)
        return false;
    const char *how = reduction(n);
    int ri = indices->shape.rank;
    if (!ri || indices->shape.dims[ri - 1] > x->shape.rank ||
        updates->shape.dtype != x->shape.dtype)
        return ox_fail(n, "its indices or updates do not fit the data");
    return ox_out(n, 0,
                  ox_emit(n, "scatter_nd", VALS(x, indices, updates), &x->shape,
                          ATTRS({"reduction", adze_str(n->ctx, how)})));
}

/* A cache with new rows written at an index along an axis, linear or around the end. */
bool ox_op_tensor_scatter(node *n) {
    val *past = ox_need(n, 0, "past_cache"), *update = ox_need(n, 1, "update"), *at = ox_in(n, 2);
    const char *mode = ox_attr_s(n, "mode", "linear");
    if (!past || !update || !at || !ox_static(n, past) || !ox_static(n, update))
        return false;
    int rank = past->shape.rank;
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", -2), rank);
    bool circular = !strcmp(mode, "circular");
    if (n->failed || rank < 2 || axis == 0 || update->shape.rank != rank ||
        update->shape.dtype != past->shape.dtype || (!circular && strcmp(mode, "linear")))
        return ox_fail(n, "its update does not fit the cache");
    for (int i = 0; i < rank; i++)
        if (i == axis ? update->shape.dims[i] > past->shape.dims[i]
                      : update->shape.dims[i] != past->shape.dims[i])
            return ox_fail(n, "its update does not fit the cache");
    /* Row indices [N,1,..,T,..,1]: start[n] + t, wrapped when circular, broadcast to the update. */
    int64_t length = update->shape.dims[axis], batch = past->shape.dims[0], dims[ADZE_MAX_RANK];
    int64_t *steps = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, (size_t)length);
    for (int64_t t = 0; t < length; t++)
        steps[t] = t;
    val *rows = ox_place(n, ox_ints(n, (int)length, steps), rank, axis);
    if (at->kind == VAL_TENSOR) {
        for (int i = 0; i < rank; i++)
            dims[i] = 1;
        dims[0] = batch;
        rows = ox_binary(n, "add", ox_reshape(n, ox_cast(n, at, ADZE_i64), rank, dims), rows);
    }
    if (circular)
        rows = ox_binary(n, "mod", rows, ox_number(n, rows, (double)past->shape.dims[axis]));
    rows = ox_expand(n, rows, &update->shape);
    return ox_out(
        n, 0,
        ox_emit(n, "scatter_elements", VALS(past, rows, update), &past->shape,
                ATTRS({"axis", adze_i64(n->ctx, axis)}, {"reduction", adze_str(n->ctx, "none")})));
}

bool ox_op_one_hot(node *n) {
    val *indices = ox_need(n, 0, "indices"), *values = ox_need(n, 2, "values");
    if (!indices || !values)
        return false;
    const adze_tensor *depth = ox_const(n, 1, "depth");
    if (!depth)
        return false;
    int64_t count = adze_tensor_count(depth) == 1 ? adze_tensor_get_i64(depth, 0) : 0;
    int rank = indices->shape.rank + 1;
    if (count < 1 || rank > ADZE_MAX_RANK || count > 1 << 30 || values->shape.rank != 1 ||
        values->shape.dims[0] != 2)
        return ox_fail(n, "needs a depth above 0 and two values");
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", -1), rank);
    if (n->failed)
        return false;
    adze_shape s = indices->shape;
    s.element = values->shape.element;
    s.dtype = values->shape.dtype;
    s.rank = rank;
    for (int i = 0; i < rank; i++)
        if (i == axis) {
            s.dims[i] = count;
            s.symbols[i] = NULL;
        } else {
            ox_set_dim(&s, i, &indices->shape, i < axis ? i : i - 1);
        }
    if (adze_dtype_get(indices->shape.dtype)->cls == 'F')
        indices = ox_cast(n, indices, ADZE_i64);
    return ox_out(
        n, 0,
        ox_emit(n, "one_hot", VALS(indices, values), &s, ATTRS({"axis", adze_i64(n->ctx, axis)})));
}

bool ox_op_topk(node *n) {
    val *x = ox_need(n, 0, "X"), *out[2];
    int64_t k = ox_attr_i(n, "k", -1);
    if (!x)
        return false;
    if (n->opset >= 10 && (!ox_need(n, 1, "K") || ox_const_ints(n, 1, "K", 1, &k) != 1))
        return !n->failed && ox_fail(n, "K is not one number");
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", -1), x->shape.rank);
    if (n->failed || !ox_static(n, x))
        return false;
    if (k < 0 || k > x->shape.dims[axis])
        return ox_fail(n, "K is %lld for an extent of %lld", (long long)k,
                       (long long)x->shape.dims[axis]);
    adze_shape shapes[2] = {x->shape, ox_with_dtype(n, &x->shape, ADZE_i64)};
    shapes[0].dims[axis] = shapes[1].dims[axis] = k;
    return ox_emit_many(n, "topk", VALS(x), 2, shapes, out,
                        ATTRS({"axis", adze_i64(n->ctx, axis)},
                              {"largest", adze_bool(n->ctx, ox_attr_i(n, "largest", 1) != 0)},
                              {"sorted", adze_bool(n->ctx, ox_attr_i(n, "sorted", 1) != 0)})) &&
           ox_out(n, 0, out[0]) && ox_out(n, 1, out[1]);
}

bool ox_op_trilu(node *n) {
    val *x = ox_need(n, 0, "input"), *k = ox_in(n, 1);
    if (!x || !k)
        return false;
    if (x->shape.rank < 2)
        return ox_fail(n, "needs an input of rank 2 or more");
    if (k->kind == VAL_TENSOR)
        k = ox_reshape(n, k, 0, NULL);
    return ox_out(n, 0,
                  ox_emit(n, "trilu", VALS(x, k), &x->shape,
                          ATTRS({"upper", adze_bool(n->ctx, ox_attr_i(n, "upper", 1) != 0)})));
}

bool ox_op_reverse_sequence(node *n) {
    val *x = ox_need(n, 0, "input"), *lengths = ox_need(n, 1, "sequence_lens");
    int64_t batch = ox_attr_i(n, "batch_axis", 1), time = ox_attr_i(n, "time_axis", 0);
    if (!x || !lengths)
        return false;
    batch = ox_axis(n, batch, x->shape.rank);
    time = ox_axis(n, time, x->shape.rank);
    return ox_out(n, 0,
                  ox_emit(n, "reverse_sequence", VALS(x, lengths), &x->shape,
                          ATTRS({"batch_axis", adze_i64(n->ctx, batch)},
                                {"time_axis", adze_i64(n->ctx, time)})));
}

bool ox_op_eye_like(node *n) {
    val *x = ox_need(n, 0, "input");
    int64_t k = ox_attr_i(n, "k", 0), to = ox_attr_i(n, "dtype", 0);
    adze_tensor t;
    if (!x || !ox_static(n, x))
        return false;
    adze_dtype dtype = to ? adze_dtype_from_onnx(to) : x->shape.dtype;
    if (x->shape.rank != 2 || dtype == ADZE_NO_DTYPE || dtype == ADZE_string ||
        !ox_new_tensor(n, dtype, 2, x->shape.dims, &t))
        return ox_fail(n, "needs an input of rank 2 and a number type");
    for (int64_t i = 0; i < t.dims[0]; i++)
        if (i + k >= 0 && i + k < t.dims[1])
            adze_tensor_set_f64(&t, (size_t)(i * t.dims[1] + i + k), 1);
    return ox_out(n, 0, ox_tensor_val(n->imp, &t));
}

/* ---- results whose shape depends on values: those must be known ---- */

bool ox_op_compress(node *n) {
    val *x = ox_need(n, 0, "input");
    const adze_tensor *keep = ox_const(n, 1, "condition");
    if (!x || !keep)
        return false;
    int axis = 0;
    if (ox_attr(n, "axis")) {
        axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    } else {
        int64_t all = adze_shape_count(&x->shape);
        if (!ox_static(n, x))
            return false;
        x = ox_reshape(n, x, 1, &all);
    }
    if (!x || !x->shape.rank)
        return false;
    size_t count = adze_tensor_count(keep);
    int64_t *picked = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, count);
    int n_picked = 0;
    for (size_t i = 0; i < count; i++)
        if (adze_tensor_get_i64(keep, i)) {
            if (x->shape.dims[axis] >= 0 && (int64_t)i >= x->shape.dims[axis])
                return ox_fail(n, "its condition is longer than the axis");
            picked[n_picked++] = (int64_t)i;
        }
    return ox_out(n, 0, ox_gather(n, x, ox_ints(n, n_picked, picked), axis));
}

bool ox_op_non_zero(node *n) {
    const adze_tensor *x = ox_const(n, 0, "X");
    if (!x)
        return false;
    size_t count = adze_tensor_count(x), hits = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        hits += adze_tensor_get_f64(x, i) != 0;
    adze_tensor t;
    if (!ox_new_tensor(n, ADZE_i64, 2, (int64_t[]){x->rank, (int64_t)hits}, &t))
        return ox_fail(n, "its result is impossibly large");
    for (size_t i = 0; i < count; i++) {
        if (adze_tensor_get_f64(x, i) == 0)
            continue;
        size_t rest = i;
        for (int d = x->rank; d-- > 0; rest /= (size_t)x->dims[d])
            adze_tensor_set_i64(&t, (size_t)d * hits + at, (int64_t)(rest % (size_t)x->dims[d]));
        at++;
    }
    return ox_out(n, 0, ox_tensor_val(n->imp, &t));
}

/* Slices of x along an axis compared element by element, as numpy's lexicographic order. */
static int compare_rows(const adze_tensor *x, size_t outer, size_t extent, size_t inner, size_t a,
                        size_t b) {
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            double va = adze_tensor_get_f64(x, (o * extent + a) * inner + i);
            double vb = adze_tensor_get_f64(x, (o * extent + b) * inner + i);
            if (va != vb)
                return va < vb ? -1 : 1;
        }
    return 0;
}

bool ox_op_unique(node *n) {
    const adze_tensor *given = ox_const(n, 0, "X");
    if (!given)
        return false;
    adze_tensor x = *given;
    if (x.dtype == ADZE_string)
        return ox_fail(n, "strings are not supported");
    bool sorted = ox_attr_i(n, "sorted", 1) != 0;
    int axis = 0;
    if (ox_attr(n, "axis")) {
        axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), x.rank);
        if (n->failed)
            return false;
    } else {
        x.dims[0] = (int64_t)adze_tensor_count(&x);
        x.rank = 1;
    }
    size_t outer = 1, inner = 1, extent = (size_t)x.dims[axis],
           size = adze_dtype_get(x.dtype)->host_bytes;
    for (int i = 0; i < x.rank; i++)
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : (size_t)x.dims[i];
    if (extent > 1 << 14)
        return ox_fail(n, "more than 16384 entries are not supported");
    adze_arena *arena = n->ctx->arena;
    size_t *first = ADZE_NEW_ARRAY(arena, size_t, extent), n_unique = 0;
    size_t *group = ADZE_NEW_ARRAY(arena, size_t, extent);
    for (size_t i = 0; i < extent; i++) { /* groups in order of first occurrence */
        size_t g = 0;
        while (g < n_unique && compare_rows(&x, outer, extent, inner, first[g], i))
            g++;
        if (g == n_unique)
            first[n_unique++] = i;
        group[i] = g;
    }
    size_t *order = ADZE_NEW_ARRAY(arena, size_t, n_unique),
           *rank = ADZE_NEW_ARRAY(arena, size_t, n_unique);
    for (size_t i = 0; i < n_unique; i++) { /* insertion sort: small by the limit above */
        size_t k = i;
        while (sorted && k > 0 &&
               compare_rows(&x, outer, extent, inner, first[order[k - 1]], first[i]) > 0) {
            order[k] = order[k - 1];
            k--;
        }
        order[k] = i;
    }
    for (size_t i = 0; i < n_unique; i++)
        rank[order[i]] = i;
    adze_tensor y, out[3];
    int64_t dims[ADZE_MAX_RANK];
    memcpy(dims, x.dims, sizeof dims);
    dims[axis] = (int64_t)n_unique;
    int64_t counts[2] = {(int64_t)n_unique, (int64_t)extent};
    if (!ox_new_tensor(n, x.dtype, x.rank, dims, &y) ||
        !ox_new_tensor(n, ADZE_i64, 1, &counts[0], &out[0]) ||
        !ox_new_tensor(n, ADZE_i64, 1, &counts[1], &out[1]) ||
        !ox_new_tensor(n, ADZE_i64, 1, &counts[0], &out[2]))
        return ox_fail(n, "its result is impossibly large");
    for (size_t g = 0; g < n_unique; g++) {
        for (size_t o = 0; o < outer; o++)
            memcpy((char *)adze_tensor_data(&y) + (o * n_unique + g) * inner * size,
                   (const char *)x.data + (o * extent + first[order[g]]) * inner * size,
                   inner * size);
        adze_tensor_set_i64(&out[0], g, (int64_t)first[order[g]]);
    }
    for (size_t i = 0; i < extent; i++) {
        size_t g = rank[group[i]];
        adze_tensor_set_i64(&out[1], i, (int64_t)g);
        adze_tensor_set_i64(&out[2], g, adze_tensor_get_i64(&out[2], g) + 1);
    }
    bool ok = ox_out(n, 0, ox_tensor_val(n->imp, &y));
    for (int i = 0; i < 3; i++)
        ok = ok && ox_out(n, i + 1, ox_tensor_val(n->imp, &out[i]));
    return ok;
}
