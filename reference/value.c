/* Operands, results and attributes of one call. See internal.h. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

/* ---- attributes ---- */

int64_t ref_i64(ref_call *c, const char *name) { return adze_get_i64(c->op, name); }
double ref_f64(ref_call *c, const char *name) { return adze_get_f64(c->op, name); }
bool ref_bool(ref_call *c, const char *name) { return adze_get_bool(c->op, name); }

const char *ref_str(ref_call *c, const char *name) {
    const char *text = adze_get_str(c->ctx, c->op, name);
    return text ? text : "";
}

static bool check_numbers(ref_call *c, const char *name, int n, int got) {
    if (n >= 0 ? got == n : got <= 2 * ADZE_MAX_RANK)
        return true;
    if (n < 0)
        n = 2 * ADZE_MAX_RANK;
    return ref_fail(c, "attribute '%s' has %d numbers where %d fit", name, got, n);
}

bool ref_i64s_attr(ref_call *c, const char *name, int n, int64_t *out, int *got) {
    const int count = adze_get_i64s(c->op, name, n < 0 ? 2 * ADZE_MAX_RANK : n, out);
    if (got)
        *got = count;
    return check_numbers(c, name, n, count);
}

bool ref_window_attr(ref_call *c, const char *name, int n, int64_t *out) {
    if (!ref_i64s_attr(c, name, n, out, NULL))
        return false;
    for (int i = 0; i < n; i++)
        if (out[i] < -((int64_t)1 << 31) || out[i] > (int64_t)1 << 31)
            return ref_fail(c, "attribute '%s' holds %lld", name, (long long)out[i]);
    return true;
}

bool ref_f64s_attr(ref_call *c, const char *name, int n, double *out, int *got) {
    const int count = adze_get_f64s(c->op, name, n < 0 ? 2 * ADZE_MAX_RANK : n, out);
    if (got)
        *got = count;
    return check_numbers(c, name, n, count);
}

int ref_choice(ref_call *c, const char *attr, const char *const *names, int n) {
    const char *text = ref_str(c, attr);
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], text))
            return i;
    ref_fail(c, "unknown %s '%s'", attr, text);
    return -1;
}

/* ---- operands and results ---- */

bool ref_has(const ref_call *c, int i) { return i < c->n_in && c->in[i]; }

bool ref_wanted(const ref_call *c, int i) {
    return i < c->n_out && !mlirTypeEqual(mlirValueGetType(mlirOperationGetResult(c->op, i)),
                                          adze_none_type(c->ctx));
}

static bool quant_of(ref_call *c, MlirValue value, adze_quant *q) {
    adze_shape shape;
    return adze_value_shape(c->ctx, value, &shape) && adze_quant_of(c->ctx, shape.element, q);
}

bool ref_quant_in(ref_call *c, int i, adze_quant *q) {
    return ref_has(c, i) && quant_of(c, mlirOperationGetOperand(c->op, i), q);
}

bool ref_quant_out(ref_call *c, int i, adze_quant *q) {
    return i < c->n_out && quant_of(c, mlirOperationGetResult(c->op, i), q);
}

bool ref_any_quant(ref_call *c) {
    adze_quant q;
    for (int i = 0; i < c->n_in; i++)
        if (ref_quant_in(c, i, &q))
            return true;
    for (int i = 0; i < c->n_out; i++)
        if (ref_quant_out(c, i, &q))
            return true;
    return false;
}

bool ref_same_quant(const adze_quant *a, const adze_quant *b) {
    if (a->storage != b->storage || a->n != b->n || (a->n > 1 && a->axis != b->axis))
        return false;
    for (int i = 0; i < a->n; i++)
        if (a->scale[i] != b->scale[i] || a->zero_point[i] != b->zero_point[i])
            return false;
    return true;
}

size_t ref_channel(const adze_quant *q, const adze_tensor *t, size_t i) {
    if (q->axis < 0 || q->n <= 1)
        return 0;
    return i / ref_product(t->dims, q->axis + 1, t->rank) % (size_t)t->dims[q->axis];
}

static int64_t *find_dim(ref_dims *dims, const char *name) {
    for (int i = 0; dims && i < dims->n; i++)
        if (!strcmp(dims->names[i], name))
            return &dims->values[i];
    return NULL;
}

bool ref_out_shape(ref_call *c, int i, const int64_t *inferred, adze_shape *shape) {
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, i), shape))
        return ref_fail(c, "result %d is not a ranked tensor", i);
    if (shape->dtype == ADZE_NO_DTYPE)
        return ref_fail(c, "result %d has an element type that the reference does not know", i);
    for (int d = 0; d < shape->rank; d++) {
        int64_t *extent = &shape->dims[d];
        const char *symbol = shape->symbols[d];
        if (*extent >= 0) {
            if (inferred && inferred[d] != *extent)
                return ref_fail(c,
                                "result %d: axis %d is %lld by its type and %lld by the operands",
                                i, d, (long long)*extent, (long long)inferred[d]);
            continue;
        }
        const int64_t *known = symbol ? find_dim(c->dims, symbol) : NULL;
        if (inferred)
            *extent = inferred[d];
        else if (known)
            *extent = *known;
        else
            return ref_fail(c, "result %d: the extent of axis %d (%s) is not known", i, d,
                            symbol ? symbol : "?");
    }
    return true;
}

bool ref_charge(ref_call *c, double operations) {
    c->budget->work += operations;
    if (c->budget->work <= c->budget->most_work)
        return true;
    return ref_fail(c,
                    "needs about %.1e operations, and an evaluation may take %.0e in all — hint: "
                    "give the self-test's numbers with --reference DIR",
                    operations, c->budget->most_work);
}

/* Whether a result of `count` elements fits beside what is alive, with the scratch that a row takes
 * for it: three 64-bit numbers an element. */
static bool check_memory(ref_call *c, adze_dtype dtype, size_t count) {
    enum { SCRATCH = 24 };
    static const size_t most = (size_t)8 << 30;
    const size_t element = adze_dtype_get(dtype)->host_bytes;
    if (count <= most / (element + SCRATCH) &&
        c->budget->live <= most - count * (element + SCRATCH)) {
        c->budget->live += count * element;
        c->allocated += count * element;
        return true;
    }
    return ref_fail(c,
                    "its result needs %.1f GB, and with %.1f GB of others and scratch that is more "
                    "than an evaluation may hold — hint: make the model's extents smaller, or give "
                    "the self-test's numbers with --reference DIR",
                    (double)count * (double)element / 1e9, (double)c->budget->live / 1e9);
}

bool ref_out(ref_call *c, int i, int rank, const int64_t *inferred) {
    adze_shape shape;
    if (inferred && adze_value_shape(c->ctx, mlirOperationGetResult(c->op, i), &shape) &&
        shape.rank != rank)
        return ref_fail(c, "result %d has rank %d by its type and %d by the operands", i,
                        shape.rank, rank);
    if (!ref_out_shape(c, i, inferred, &shape))
        return false;
    size_t count = 1;
    for (int d = 0; d < shape.rank; d++)
        if (!adze_mul_size(count, (size_t)shape.dims[d], &count))
            return ref_fail(c, "result %d is too large", i);
    if (!check_memory(c, shape.dtype, count) || !ref_charge(c, (double)count))
        return false;
    if ((c->limit && count > c->limit) ||
        !adze_tensor_new(c->arena, shape.dtype, shape.rank, shape.dims, &c->out[i]))
        return ref_fail(c, "result %d is too large", i);
    return true;
}

bool ref_out_like(ref_call *c, int i, const adze_tensor *like) {
    return ref_out(c, i, like->rank, like->dims);
}

/* ---- elements ---- */

void *ref_alloc(ref_call *c, size_t count, size_t size) {
    return adze_arena_array(c->scratch, count ? count : 1, size);
}

double *ref_f64s(ref_call *c, const adze_tensor *t) {
    const size_t n = adze_tensor_count(t);
    double *out = ref_alloc(c, n, sizeof *out);
    if (t->dtype == ADZE_f32) { /* the common one, without a call per element */
        const float *from = t->data;
        for (size_t i = 0; i < n; i++)
            out[i] = from[i];
        return out;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = adze_tensor_get_f64(t, i);
    return out;
}

int64_t *ref_i64s(ref_call *c, const adze_tensor *t) {
    const size_t n = adze_tensor_count(t);
    int64_t *out = ref_alloc(c, n, sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = adze_tensor_get_i64(t, i);
    return out;
}

double *ref_reals(ref_call *c, int i) {
    adze_quant q;
    if (!ref_quant_in(c, i, &q))
        return ref_f64s(c, c->in[i]);
    const adze_tensor *t = c->in[i];
    double *out = ref_centred(c, i);
    for (size_t k = 0, n = adze_tensor_count(t); k < n; k++)
        out[k] *= q.scale[ref_channel(&q, t, k)];
    return out;
}

double *ref_centred(ref_call *c, int i) {
    const adze_tensor *t = c->in[i];
    double *out = ref_f64s(c, t);
    adze_quant q;
    if (ref_quant_in(c, i, &q))
        for (size_t k = 0, n = adze_tensor_count(t); k < n; k++)
            out[k] -= (double)q.zero_point[ref_channel(&q, t, k)];
    return out;
}

double *ref_factor(ref_call *c, int i) {
    adze_quant q;
    return ref_quant_in(c, 0, &q) && ref_quant_in(c, 1, &q) ? ref_centred(c, i) : ref_reals(c, i);
}

void ref_put_f64s(adze_tensor *t, const double *values) {
    const size_t n = adze_tensor_count(t);
    if (t->dtype == ADZE_f32) {
        float *to = adze_tensor_data(t);
        for (size_t i = 0; i < n; i++)
            to[i] = (float)values[i];
        return;
    }
    for (size_t i = 0; i < n; i++)
        ref_cast_f64(t, i, values[i]);
}

void ref_put_i64s(adze_tensor *t, const int64_t *values) {
    for (size_t i = 0, n = adze_tensor_count(t); i < n; i++)
        adze_tensor_set_i64(t, i, values[i]);
}

void ref_put_reals(ref_call *c, int i, const double *values) {
    adze_tensor *t = &c->out[i];
    adze_quant q;
    if (!ref_quant_out(c, i, &q)) {
        ref_put_f64s(t, values);
        return;
    }
    int64_t low, high;
    adze_integer_range(t->dtype, &low, &high);
    for (size_t k = 0, n = adze_tensor_count(t); k < n; k++) {
        const size_t ch = ref_channel(&q, t, k);
        adze_tensor_set_i64(
            t, k, adze_quantize_ref(values[k] / q.scale[ch], q.zero_point[ch], low, high));
    }
}

void ref_cast_f64(adze_tensor *t, size_t index, double value) {
    switch (ref_class(t->dtype)) {
    case 'F':
    case 'C':
        adze_tensor_set_f64(t, index, value);
        return;
    case 'B':
        adze_tensor_set_i64(t, index, value != 0);
        return;
    default:
        /* Out of range is undefined in ONNX; here the 64-bit conversion saturates, then wraps. */
        if (isnan(value))
            value = 0;
        if (t->dtype == ADZE_u64 && value >= 9223372036854775808.0)
            adze_tensor_set_i64(t, index,
                                value >= 18446744073709551616.0 ? -1 : (int64_t)(uint64_t)value);
        else
            adze_tensor_set_i64(t, index,
                                value >= 9223372036854775808.0    ? INT64_MAX
                                : value <= -9223372036854775808.0 ? INT64_MIN
                                                                  : (int64_t)value);
    }
}

/* ---- shapes ---- */

size_t ref_product(const int64_t *dims, int from, int to) {
    size_t n = 1;
    for (int i = from; i < to; i++)
        n *= (size_t)dims[i];
    return n;
}

void ref_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i];
    }
}

bool ref_broadcast(ref_call *c, const adze_tensor *const *t, int n, int *rank, int64_t *dims) {
    *rank = 0;
    for (int k = 0; k < n; k++)
        if (t[k]->rank > *rank)
            *rank = t[k]->rank;
    for (int d = 0; d < *rank; d++) {
        int64_t extent = 1;
        for (int k = 0; k < n; k++) {
            const int axis = d - (*rank - t[k]->rank);
            const int64_t own = axis < 0 ? 1 : t[k]->dims[axis];
            if (own != 1 && extent != 1 && own != extent)
                return ref_fail(c, "extents %lld and %lld of axis %d do not broadcast",
                                (long long)extent, (long long)own, d);
            if (own != 1)
                extent = own;
        }
        dims[d] = extent;
    }
    return true;
}

bool ref_next(int rank, const int64_t *dims, int64_t *index) {
    for (int d = rank - 1; d >= 0; d--) {
        if (++index[d] < dims[d])
            return true;
        index[d] = 0;
    }
    return false;
}

size_t *ref_broadcast_map(ref_call *c, const adze_tensor *t, int rank, const int64_t *dims) {
    if (t->rank == rank && !memcmp(t->dims, dims, (size_t)rank * sizeof *dims))
        return NULL;
    int64_t own[ADZE_MAX_RANK] = {0}, strides[ADZE_MAX_RANK] = {0}, index[ADZE_MAX_RANK] = {0};
    ref_strides(t->rank, t->dims, own);
    for (int d = 0; d < t->rank; d++)
        if (t->dims[d] != 1)
            strides[rank - t->rank + d] = own[d];
    const size_t n = ref_product(dims, 0, rank);
    size_t *map = ref_alloc(c, n, sizeof *map);
    for (size_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < rank; d++)
            at += index[d] * strides[d];
        map[i] = (size_t)at;
        ref_next(rank, dims, index);
    }
    return map;
}

bool ref_axis(ref_call *c, int64_t axis, int rank, int *out) {
    if (axis < 0 || axis >= rank)
        return ref_fail(c, "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int)axis;
    return true;
}
