/* Movement: every result element is an operand element. Each row computes, for every element of the
 * result, the flat index it comes from; ref_move does the rest, for every type. */
#include "reference/internal.h"

#include <stdlib.h>
#include <string.h>

/* Quantized storage to quantized storage: y = sat(zy + round_half_even((x - zx) * m / 2^s)) with
 * m / 2^s = sx / sy; a copy when the parameters are equal. */
static void move_quantized(ref_call *c, int x, const int64_t *map, const adze_quant *qx,
                           const adze_quant *qy) {
    const adze_tensor *t = c->in[x];
    adze_tensor *y = &c->out[0];
    int64_t low, high;
    adze_integer_range(y->dtype, &low, &high);
    for (size_t i = 0, n = adze_tensor_count(y); i < n; i++) {
        const size_t cy = ref_channel(qy, y, i);
        if (map[i] < 0) {
            adze_tensor_set_i64(y, i, qy->zero_point[cy]);
            continue;
        }
        const size_t cx = ref_channel(qx, t, (size_t)map[i]);
        int32_t m, s;
        adze_requant_scale(qx->scale[cx] / qy->scale[cy], &m, &s);
        const int64_t v = adze_tensor_get_i64(t, (size_t)map[i]) - qx->zero_point[cx];
        adze_tensor_set_i64(y, i, adze_requantize_ref(v, m, s, qy->zero_point[cy], low, high));
    }
}

bool ref_move(ref_call *c, int x, const int64_t *map) {
    const adze_tensor *t = c->in[x];
    adze_tensor *y = &c->out[0];
    adze_quant qx, qy;
    const bool from = ref_quant_in(c, x, &qx), to = ref_quant_out(c, 0, &qy);
    if (from != to)
        return ref_fail(c, "operand %d and the result are not both quantized", x);
    if (from && (qx.n > 1 || qy.n > 1 || !ref_same_quant(&qx, &qy))) {
        move_quantized(c, x, map, &qx, &qy);
        return true;
    }
    if (t->dtype != y->dtype)
        return ref_fail(c, "operand %d is %s, the result %s", x, adze_dtype_get(t->dtype)->name,
                        adze_dtype_get(y->dtype)->name);
    const size_t bytes = adze_dtype_get(t->dtype)->host_bytes;
    const uint8_t *in = t->data;
    uint8_t *out = adze_tensor_data(y);
    for (size_t i = 0, n = adze_tensor_count(y); i < n; i++) {
        if (map[i] >= 0)
            memcpy(out + i * bytes, in + (size_t)map[i] * bytes, bytes);
        else if (to)
            adze_tensor_set_i64(y, i, qy.zero_point[0]);
    }
    return true;
}

static int64_t *new_map(ref_call *c) {
    return ref_alloc(c, adze_tensor_count(&c->out[0]), sizeof(int64_t));
}

bool ref_reshape(ref_call *c) {
    const adze_tensor *x = c->in[0];
    adze_shape type;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type))
        return ref_fail(c, "the result is not a ranked tensor");
    /* a single bounded extent that nothing has bound yet follows from the count */
    int64_t dims[ADZE_MAX_RANK];
    int open = 0, at = 0;
    size_t rest = 1;
    for (int d = 0; d < type.rank; d++) {
        dims[d] = type.dims[d];
        if (dims[d] < 0) {
            open++;
            at = d;
        } else {
            rest *= (size_t)dims[d];
        }
    }
    const size_t count = adze_tensor_count(x);
    if (open == 1 && rest)
        dims[at] = (int64_t)(count / rest);
    if (!ref_out(c, 0, type.rank, open <= 1 ? dims : NULL))
        return false;
    if (adze_tensor_count(&c->out[0]) != count)
        return ref_fail(c, "%zu elements do not fit the result's %zu", count,
                        adze_tensor_count(&c->out[0]));
    int64_t *map = new_map(c);
    for (size_t i = 0; i < count; i++)
        map[i] = (int64_t)i;
    return ref_move(c, 0, map);
}

bool ref_transpose(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int64_t perm[ADZE_MAX_RANK * 2], dims[ADZE_MAX_RANK], strides[ADZE_MAX_RANK];
    int64_t index[ADZE_MAX_RANK] = {0};
    bool seen[ADZE_MAX_RANK] = {false};
    if (!ref_i64s_attr(c, "perm", x->rank, perm, NULL))
        return false;
    ref_strides(x->rank, x->dims, strides);
    for (int d = 0; d < x->rank; d++) {
        if (perm[d] < 0 || perm[d] >= x->rank || seen[perm[d]])
            return ref_fail(c, "perm is not a permutation");
        seen[perm[d]] = true;
        dims[d] = x->dims[perm[d]];
    }
    if (!ref_out(c, 0, x->rank, dims))
        return false;
    int64_t *map = new_map(c);
    for (size_t i = 0, n = adze_tensor_count(x); i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < x->rank; d++)
            at += index[d] * strides[perm[d]];
        map[i] = at;
        ref_next(x->rank, dims, index);
    }
    return ref_move(c, 0, map);
}

bool ref_expand(ref_call *c) {
    const adze_tensor *x = c->in[0];
    adze_shape shape;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &shape))
        return ref_fail(c, "the result is not a ranked tensor");
    /* an extent of x above one is the result's too */
    int64_t dims[ADZE_MAX_RANK];
    bool known = shape.rank >= x->rank;
    for (int d = 0; d < shape.rank && known; d++) {
        const int axis = d - (shape.rank - x->rank);
        dims[d] =
            shape.dims[d] < 0 && axis >= 0 && x->dims[axis] != 1 ? x->dims[axis] : shape.dims[d];
        known = dims[d] >= 0;
    }
    if (!ref_out(c, 0, shape.rank, known ? dims : NULL))
        return false;
    const adze_tensor *both[2] = {x, &c->out[0]};
    int rank;
    if (!ref_broadcast(c, both, 2, &rank, dims))
        return false;
    for (int d = 0; d < rank; d++)
        if (rank != c->out[0].rank || dims[d] != c->out[0].dims[d])
            return ref_fail(c, "x does not broadcast to the result's shape");
    const size_t *from = ref_broadcast_map(c, x, rank, dims);
    int64_t *map = new_map(c);
    for (size_t i = 0, n = adze_tensor_count(&c->out[0]); i < n; i++)
        map[i] = (int64_t)ref_at(from, i);
    return ref_move(c, 0, map);
}

bool ref_slice(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int64_t starts[ADZE_MAX_RANK * 2], steps[ADZE_MAX_RANK * 2], strides[ADZE_MAX_RANK];
    int64_t index[ADZE_MAX_RANK] = {0};
    if (!ref_i64s_attr(c, "starts", x->rank, starts, NULL) ||
        !ref_i64s_attr(c, "steps", x->rank, steps, NULL))
        return false;
    adze_shape shape;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &shape) ||
        shape.rank != x->rank)
        return ref_fail(c, "the result does not have the rank of x");
    /* A bounded extent that is not known yet takes all that is left, as an open-ended slice does.
     * A known one must stay within x. */
    int64_t dims[ADZE_MAX_RANK];
    for (int d = 0; d < x->rank; d++) {
        if (steps[d] == 0 || steps[d] == INT64_MIN)
            return ref_fail(c, "a step of %lld", (long long)steps[d]);
        dims[d] = shape.dims[d];
        for (int k = 0; c->dims && dims[d] < 0 && shape.symbols[d] && k < c->dims->n; k++)
            if (!strcmp(c->dims->names[k], shape.symbols[d]))
                dims[d] = c->dims->values[k];
        if (dims[d] < 0) {
            const bool within = starts[d] >= 0 && starts[d] < x->dims[d];
            const int64_t left = steps[d] > 0 ? x->dims[d] - 1 - starts[d] : starts[d];
            dims[d] = within ? left / llabs(steps[d]) + 1 : 0;
        }
        if (dims[d] > 1 && (steps[d] > x->dims[d] || steps[d] < -x->dims[d]))
            return ref_fail(c, "axis %d reaches outside x", d);
    }
    if (!ref_out(c, 0, x->rank, dims))
        return false;
    ref_strides(x->rank, x->dims, strides);
    for (int d = 0; d < x->rank; d++) {
        if (dims[d] == 0)
            continue;
        const bool within = starts[d] >= 0 && starts[d] < x->dims[d];
        const int64_t last = within ? starts[d] + (dims[d] - 1) * steps[d] : -1;
        if (last < 0 || last >= x->dims[d])
            return ref_fail(c, "axis %d reaches outside x", d);
    }
    int64_t *map = new_map(c);
    for (size_t i = 0, n = adze_tensor_count(&c->out[0]); i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < x->rank; d++)
            at += (starts[d] + index[d] * steps[d]) * strides[d];
        map[i] = at;
        ref_next(x->rank, dims, index);
    }
    return ref_move(c, 0, map);
}

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

/* The index in [0, extent) that position p (outside) takes its value from; -1: the constant. */
static int64_t pad_source(int mode, int64_t p, int64_t extent) {
    if (p >= 0 && p < extent)
        return p;
    if (mode == PAD_CONSTANT || extent == 0)
        return -1;
    if (mode == PAD_EDGE)
        return p < 0 ? 0 : extent - 1;
    const int64_t period = mode == PAD_WRAP ? extent : extent > 1 ? 2 * extent - 2 : 1;
    p %= period;
    if (p < 0)
        p += period;
    return p < extent ? p : period - p;
}

bool ref_pad(ref_call *c) {
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const adze_tensor *x = c->in[0];
    int64_t pads[ADZE_MAX_RANK * 2], dims[ADZE_MAX_RANK], strides[ADZE_MAX_RANK];
    int64_t index[ADZE_MAX_RANK] = {0};
    const int mode = ref_choice(c, "mode", modes, 4);
    if (mode < 0 || !ref_window_attr(c, "pads", 2 * x->rank, pads))
        return false;
    for (int d = 0; d < x->rank; d++) {
        dims[d] = x->dims[d] + pads[d] + pads[d + x->rank];
        if (dims[d] < 0)
            return ref_fail(c, "the pads of axis %d remove more than there is", d);
    }
    if (!ref_out(c, 0, x->rank, dims))
        return false;
    ref_strides(x->rank, x->dims, strides);
    const size_t n = adze_tensor_count(&c->out[0]);
    int64_t *map = new_map(c);
    /* reflection and the like are of what a negative pad leaves, so they work on the cropped x */
    for (size_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < x->rank && at >= 0; d++) {
            const int64_t crop = pads[d] < 0 ? -pads[d] : 0;
            const int64_t crop_end = pads[d + x->rank] < 0 ? -pads[d + x->rank] : 0;
            const int64_t from =
                pad_source(mode, index[d] - pads[d] - crop, x->dims[d] - crop - crop_end);
            at = from < 0 ? -1 : at + (from + crop) * strides[d];
        }
        map[i] = at;
        ref_next(x->rank, dims, index);
    }
    if (!ref_move(c, 0, map))
        return false;
    if (mode != PAD_CONSTANT || !ref_has(c, 1) || !n)
        return true;
    if (adze_tensor_count(c->in[1]) != 1 || c->in[1]->dtype != c->out[0].dtype)
        return ref_fail(c, "the value is not one element of x's type");
    adze_quant q;
    if (ref_quant_out(c, 0, &q) && !ref_quant_in(c, 1, &q))
        return ref_fail(c, "the value of a quantized x must be quantized");
    /* the constant, requantized like x, at the places that had none */
    int64_t *constant = new_map(c);
    const size_t bytes = adze_dtype_get(x->dtype)->host_bytes;
    uint8_t *out = adze_tensor_data(&c->out[0]), *kept = ref_alloc(c, n, bytes);
    memcpy(kept, out, n * bytes);
    for (size_t i = 0; i < n; i++)
        constant[i] = map[i] < 0 ? 0 : -1;
    if (!ref_move(c, 1, constant))
        return false;
    for (size_t i = 0; i < n; i++)
        if (map[i] >= 0)
            memcpy(out + i * bytes, kept + i * bytes, bytes);
    return true;
}

bool ref_tile(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int64_t strides[ADZE_MAX_RANK], index[ADZE_MAX_RANK] = {0};
    if (!ref_out(c, 0, x->rank, NULL))
        return false;
    const adze_tensor *y = &c->out[0];
    if (y->rank != x->rank)
        return ref_fail(c, "the result does not have the rank of x");
    for (int d = 0; d < x->rank; d++)
        if (x->dims[d] ? y->dims[d] % x->dims[d] : y->dims[d])
            return ref_fail(c, "axis %d of the result is not a multiple of x's", d);
    ref_strides(x->rank, x->dims, strides);
    int64_t *map = new_map(c);
    for (size_t i = 0, n = adze_tensor_count(y); i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < x->rank; d++)
            at += index[d] % x->dims[d] * strides[d];
        map[i] = at;
        ref_next(y->rank, y->dims, index);
    }
    return ref_move(c, 0, map);
}

/* tensor.concat: result[.., before_k + i, ..] = operand k[.., i, ..] on attribute `dim` */
bool ref_concat(ref_call *c) {
    int64_t dims[ADZE_MAX_RANK];
    int axis;
    if (!c->n_in)
        return ref_fail(c, "has no operands");
    if (!ref_axis(c, ref_i64(c, "dim"), c->in[0]->rank, &axis))
        return false;
    memcpy(dims, c->in[0]->dims, sizeof dims);
    for (int k = 1; k < c->n_in; k++) {
        if (c->in[k]->rank != c->in[0]->rank)
            return ref_fail(c, "operand %d has another rank", k);
        for (int d = 0; d < c->in[0]->rank; d++)
            if (d == axis)
                dims[d] += c->in[k]->dims[d];
            else if (dims[d] != c->in[k]->dims[d])
                return ref_fail(c, "operand %d differs on axis %d", k, d);
    }
    if (!ref_out(c, 0, c->in[0]->rank, dims))
        return false;
    adze_tensor *y = &c->out[0];
    const size_t n = adze_tensor_count(y), bytes = adze_dtype_get(y->dtype)->host_bytes;
    const size_t inner = ref_product(dims, axis + 1, y->rank), extent = (size_t)dims[axis];
    int64_t *map = new_map(c);
    uint8_t *joined = ref_alloc(c, n, bytes);
    size_t before = 0;
    for (int k = 0; k < c->n_in; k++) {
        const size_t own = (size_t)c->in[k]->dims[axis];
        for (size_t i = 0; i < n; i++) {
            const size_t at = i / inner % extent;
            map[i] =
                at < before || at >= before + own
                    ? -1
                    : (int64_t)((i / (inner * extent) * own + at - before) * inner + i % inner);
        }
        if (!ref_move(c, k, map))
            return false;
        for (size_t i = 0; i < n; i++)
            if (map[i] >= 0)
                memcpy(joined + i * bytes, (uint8_t *)adze_tensor_data(y) + i * bytes, bytes);
        before += own;
    }
    memcpy(adze_tensor_data(y), joined, n * bytes);
    return true;
}

bool ref_reverse_sequence(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int batch, time;
    if (!ref_axis(c, ref_i64(c, "batch_axis"), x->rank, &batch) ||
        !ref_axis(c, ref_i64(c, "time_axis"), x->rank, &time) || !ref_out_like(c, 0, x))
        return false;
    if (adze_tensor_count(c->in[1]) != (size_t)x->dims[batch])
        return ref_fail(c, "there is not one length for every sequence");
    const int64_t *lengths = ref_i64s(c, c->in[1]);
    int64_t strides[ADZE_MAX_RANK], index[ADZE_MAX_RANK] = {0};
    ref_strides(x->rank, x->dims, strides);
    int64_t *map = new_map(c);
    for (size_t i = 0, n = adze_tensor_count(x); i < n; i++) {
        const int64_t length = lengths[index[batch]];
        if (length < 0 || length > x->dims[time])
            return ref_fail(c, "a length of %lld is outside x", (long long)length);
        const int64_t t = index[time];
        map[i] = (int64_t)i + (t < length ? (length - 1 - 2 * t) * strides[time] : 0);
        ref_next(x->rank, x->dims, index);
    }
    return ref_move(c, 0, map);
}

bool ref_trilu(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (x->rank < 2)
        return ref_fail(c, "x has rank %d", x->rank);
    if (!ref_out_like(c, 0, x))
        return false;
    const int64_t k = ref_has(c, 1) ? adze_tensor_get_i64(c->in[1], 0) : 0;
    const bool upper = ref_bool(c, "upper");
    const int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    int64_t *map = new_map(c);
    for (size_t i = 0, n = adze_tensor_count(x); i < n; i++) {
        const int64_t column = (int64_t)i % columns, row = (int64_t)i / columns % rows;
        /* written so that no k of 64 bits overflows */
        const bool keep = upper ? k <= column - row : k >= column - row;
        map[i] = keep ? (int64_t)i : -1;
    }
    return ref_move(c, 0, map);
}

bool ref_range(ref_call *c) {
    if (!ref_out(c, 0, 1, NULL))
        return false;
    adze_tensor *y = &c->out[0];
    const bool exact = !ref_is_float(y);
    for (size_t i = 0, n = adze_tensor_count(y); i < n; i++) {
        if (exact)
            adze_tensor_set_i64(y, i,
                                (int64_t)((uint64_t)adze_tensor_get_i64(c->in[0], 0) +
                                          i * (uint64_t)adze_tensor_get_i64(c->in[1], 0)));
        else
            adze_tensor_set_f64(y, i,
                                adze_tensor_get_f64(c->in[0], 0) +
                                    (double)i * adze_tensor_get_f64(c->in[1], 0));
    }
    return true;
}
