/* reduce, arg_reduce, cumulate. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

enum { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE };
static const char *const reduce_kinds[] = {"sum", "mean", "max",     "min",         "prod",
                                           "l1",  "l2",   "log_sum", "log_sum_exp", "sum_square"};

/* For every element of x the element of the result it goes into, and the result's allocation. */
static bool reduce_map(ref_call *c, size_t **map_out) {
    const adze_tensor *x = c->in[0];
    int64_t axes[2 * ADZE_MAX_RANK], strides[ADZE_MAX_RANK] = {0}, index[ADZE_MAX_RANK] = {0};
    bool reduced[ADZE_MAX_RANK] = {false};
    int n;
    if (!ref_i64s_attr(c, "axes", -1, axes, &n))
        return false;
    for (int i = 0; i < n; i++) {
        int axis;
        if (!ref_axis(c, axes[i], x->rank, &axis))
            return false;
        reduced[axis] = true;
    }
    adze_shape type;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type))
        return ref_fail(c, "the result is not a ranked tensor");
    const bool keep = type.rank == x->rank;
    int64_t dims[ADZE_MAX_RANK], stride = 1;
    int rank = 0;
    for (int d = 0; d < x->rank; d++)
        if (!reduced[d] || keep)
            dims[rank++] = reduced[d] ? 1 : x->dims[d];
    if (!ref_out(c, 0, rank, dims))
        return false;
    for (int d = x->rank - 1; d >= 0; d--)
        if (!reduced[d]) {
            strides[d] = stride;
            stride *= x->dims[d];
        }
    const size_t count = adze_tensor_count(x);
    size_t *map = ref_alloc(c, count, sizeof *map);
    for (size_t i = 0; i < count; i++) {
        int64_t at = 0;
        for (int d = 0; d < x->rank; d++)
            at += index[d] * strides[d];
        map[i] = (size_t)at;
        ref_next(x->rank, x->dims, index);
    }
    *map_out = map;
    return true;
}

/* max and min: the elements themselves, for every type; an empty set gives the type's extreme. */
static bool reduce_extreme(ref_call *c, const size_t *map, bool max) {
    const adze_tensor *x = c->in[0];
    adze_tensor *y = &c->out[0];
    const size_t n = adze_tensor_count(x), m = adze_tensor_count(y);
    int64_t *best = ref_alloc(c, m, sizeof *best);
    for (size_t i = 0; i < m; i++)
        best[i] = -1;
    const double *f = ref_f64s(c, x);
    const int64_t *v = ref_i64s(c, x);
    const bool real = ref_is_float(x), u64 = x->dtype == ADZE_u64;
    for (size_t i = 0; i < n; i++) {
        const int64_t b = best[map[i]];
        bool wins = b < 0;
        if (!wins && real)
            wins = !isnan(f[b]) && (isnan(f[i]) || (max ? f[i] > f[b] : f[i] < f[b]));
        else if (!wins && u64)
            wins = max ? (uint64_t)v[i] > (uint64_t)v[b] : (uint64_t)v[i] < (uint64_t)v[b];
        else if (!wins)
            wins = max ? v[i] > v[b] : v[i] < v[b];
        if (wins)
            best[map[i]] = (int64_t)i;
    }
    if (!ref_move(c, 0, best))
        return false;
    int64_t low, high;
    adze_integer_range(y->dtype, &low, &high);
    for (size_t i = 0; i < m; i++) {
        if (best[i] < 0 && real)
            adze_tensor_set_f64(y, i, max ? -INFINITY : INFINITY);
        else if (best[i] < 0)
            adze_tensor_set_i64(y, i, max ? low : u64 ? -1 : high);
    }
    return true;
}

/* sum, prod, l1, sum_square, mean of integers: exact, wrapping (mean: towards zero). */
static void reduce_integers(ref_call *c, const size_t *map, int kind, const int64_t *counts) {
    const adze_tensor *x = c->in[0];
    const size_t n = adze_tensor_count(x), m = adze_tensor_count(&c->out[0]);
    const int64_t *v = ref_i64s(c, x);
    uint64_t *out = ref_alloc(c, m, sizeof *out);
    for (size_t i = 0; i < m; i++)
        out[i] = kind == PROD;
    for (size_t i = 0; i < n; i++) {
        const uint64_t e = (uint64_t)v[i];
        if (kind == PROD)
            out[map[i]] *= e;
        else
            out[map[i]] += kind == SUM_SQUARE ? e * e : kind == L1 && v[i] < 0 ? 0 - e : e;
    }
    for (size_t i = 0; i < m; i++)
        if (kind == MEAN && counts[i])
            out[i] = (uint64_t)((int64_t)out[i] / counts[i]);
    ref_put_i64s(&c->out[0], (const int64_t *)out);
}

bool ref_reduce(ref_call *c) {
    const int kind = ref_choice(c, "kind", reduce_kinds, ADZE_COUNT(reduce_kinds));
    size_t *map;
    if (kind < 0 || !reduce_map(c, &map))
        return false;
    if (kind == MAX || kind == MIN)
        return reduce_extreme(c, map, kind == MAX);
    const adze_tensor *x = c->in[0];
    const size_t n = adze_tensor_count(x), m = adze_tensor_count(&c->out[0]);
    int64_t *counts = ref_alloc(c, m, sizeof *counts);
    for (size_t i = 0; i < n; i++)
        counts[map[i]]++;
    const bool quantized = ref_any_quant(c);
    if (!quantized && !ref_is_float(x) && kind <= L1) {
        reduce_integers(c, map, kind, counts);
        return true;
    }
    if (!quantized && !ref_is_float(x) && kind == SUM_SQUARE) {
        reduce_integers(c, map, kind, counts);
        return true;
    }
    const bool integer = quantized && (kind == SUM || kind == MEAN);
    const double *v = integer ? ref_centred(c, 0) : ref_reals(c, 0);
    double *out = ref_alloc(c, m, sizeof *out), *most = ref_alloc(c, m, sizeof *most);
    for (size_t i = 0; i < m; i++) {
        out[i] = kind == PROD;
        most[i] = -INFINITY;
    }
    for (size_t i = 0; kind == LOG_SUM_EXP && i < n; i++) /* max-subtracted */
        most[map[i]] = fmax(most[map[i]], v[i]);
    for (size_t i = 0; i < n; i++) {
        double *sum = &out[map[i]];
        switch (kind) {
        case PROD:
            *sum *= v[i];
            break;
        case L1:
            *sum += fabs(v[i]);
            break;
        case L2:
        case SUM_SQUARE:
            *sum += v[i] * v[i];
            break;
        case LOG_SUM_EXP:
            *sum += isinf(most[map[i]]) ? exp(v[i]) : exp(v[i] - most[map[i]]);
            break;
        default:
            *sum += v[i];
            break;
        }
    }
    if (integer) {
        for (size_t i = 0; i < m; i++)
            counts[i] = kind == SUM ? 1 : counts[i];
        return ref_quantized_mean(c, out, counts);
    }
    for (size_t i = 0; i < m; i++) {
        if (kind == MEAN)
            out[i] /= (double)counts[i];
        else if (kind == L2)
            out[i] = sqrt(out[i]);
        else if (kind == LOG_SUM)
            out[i] = log(out[i]);
        else if (kind == LOG_SUM_EXP)
            out[i] = log(out[i]) + (isinf(most[i]) ? 0 : most[i]);
    }
    ref_put_reals(c, 0, out);
    return true;
}

bool ref_arg_reduce(ref_call *c) {
    static const char *const kinds[] = {"max", "min"};
    const adze_tensor *x = c->in[0];
    int axis;
    const int kind = ref_choice(c, "kind", kinds, 2);
    adze_shape type;
    if (kind < 0 || !ref_axis(c, ref_i64(c, "axis"), x->rank, &axis))
        return false;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type))
        return ref_fail(c, "the result is not a ranked tensor");
    int64_t dims[ADZE_MAX_RANK];
    int rank = 0;
    for (int d = 0; d < x->rank; d++)
        if (d != axis || type.rank == x->rank)
            dims[rank++] = d == axis ? 1 : x->dims[d];
    if (!ref_out(c, 0, rank, dims))
        return false;
    const int64_t n = x->dims[axis];
    if (!n && adze_tensor_count(&c->out[0]))
        return ref_fail(c, "axis %d is empty", axis);
    const bool last = ref_bool(c, "select_last"), real = ref_is_float(x),
               u64 = x->dtype == ADZE_u64;
    const double *f = ref_f64s(c, x);
    const int64_t *v = ref_i64s(c, x);
    const size_t inner = ref_product(x->dims, axis + 1, x->rank);
    for (size_t o = 0; o < adze_tensor_count(&c->out[0]); o++) {
        const size_t base = o / inner * (size_t)n * inner + o % inner;
        int64_t best = 0;
        for (int64_t i = 1; i < n; i++) {
            const size_t a = base + (size_t)i * inner, b = base + (size_t)best * inner;
            const int order =
                real  ? (f[a] > f[b]) - (f[a] < f[b])
                : u64 ? ((uint64_t)v[a] > (uint64_t)v[b]) - ((uint64_t)v[a] < (uint64_t)v[b])
                      : (v[a] > v[b]) - (v[a] < v[b]);
            if ((kind == 0 ? order : -order) > 0 || (last && real ? f[a] == f[b] : last && !order))
                best = i;
        }
        adze_tensor_set_i64(&c->out[0], o, best);
    }
    return true;
}

bool ref_cumulate(ref_call *c) {
    static const char *const kinds[] = {"sum", "prod"};
    const adze_tensor *x = c->in[0];
    int axis;
    const int kind = ref_choice(c, "kind", kinds, 2);
    if (kind < 0 || !ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out_like(c, 0, x))
        return false;
    const bool exclusive = ref_bool(c, "exclusive"), reverse = ref_bool(c, "reverse");
    const bool prod = kind == 1, exact = !ref_is_float(x) && !ref_any_quant(c);
    const size_t n = (size_t)x->dims[axis], inner = ref_product(x->dims, axis + 1, x->rank);
    const size_t lines = ref_product(x->dims, 0, axis) * inner, count = adze_tensor_count(x);
    const double *f = ref_reals(c, 0);
    const int64_t *v = ref_i64s(c, x);
    double *out = ref_alloc(c, count, sizeof *out);
    int64_t *out_i = ref_alloc(c, count, sizeof *out_i);
    for (size_t line = 0; line < lines; line++) {
        const size_t base = line / inner * n * inner + line % inner;
        double sum = prod;
        uint64_t sum_i = prod;
        for (size_t k = 0; k < n; k++) {
            const size_t at = base + (reverse ? n - 1 - k : k) * inner;
            const double before = sum;
            const uint64_t before_i = sum_i;
            sum = prod ? sum * f[at] : sum + f[at];
            sum_i = prod ? sum_i * (uint64_t)v[at] : sum_i + (uint64_t)v[at];
            out[at] = exclusive ? before : sum;
            out_i[at] = (int64_t)(exclusive ? before_i : sum_i);
        }
    }
    if (exact)
        ref_put_i64s(&c->out[0], out_i);
    else
        ref_put_reals(c, 0, out);
    return true;
}
