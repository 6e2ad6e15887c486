/* softmax, hardmax, norm, lp_norm, lrn. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

/* A tensor seen as lines along one axis: element k of line l is base(l) + k * inner. */
typedef struct lines {
    size_t count, length, inner;
} lines;

static lines lines_of(const adze_tensor *x, int axis) {
    const size_t inner = ref_product(x->dims, axis + 1, x->rank);
    return (lines){ref_product(x->dims, 0, axis) * inner, (size_t)x->dims[axis], inner};
}

static size_t line_base(const lines *l, size_t line) {
    return line / l->inner * l->length * l->inner + line % l->inner;
}

bool ref_softmax(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out_like(c, 0, x))
        return false;
    const bool log_form = ref_bool(c, "log");
    if (ref_any_quant(c) && !log_form)
        return ref_quantized_softmax(c, axis);
    double *v = ref_reals(c, 0);
    const lines l = lines_of(x, axis);
    for (size_t line = 0; l.length && line < l.count; line++) {
        double *p = v + line_base(&l, line);
        double max = -INFINITY, sum = 0;
        for (size_t k = 0; k < l.length; k++)
            max = fmax(max, p[k * l.inner]);
        for (size_t k = 0; k < l.length; k++)
            sum += exp(p[k * l.inner] - max);
        for (size_t k = 0; k < l.length; k++) {
            double *e = &p[k * l.inner];
            *e = log_form ? *e - max - log(sum) : exp(*e - max) / sum;
        }
    }
    ref_put_reals(c, 0, v);
    return true;
}

bool ref_hardmax(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out_like(c, 0, x))
        return false;
    const double *v = ref_reals(c, 0);
    double *out = ref_alloc(c, adze_tensor_count(x), sizeof *out);
    const lines l = lines_of(x, axis);
    for (size_t line = 0; l.length && line < l.count; line++) {
        const size_t base = line_base(&l, line);
        size_t best = 0;
        for (size_t k = 1; k < l.length; k++)
            if (v[base + k * l.inner] > v[base + best * l.inner])
                best = k;
        out[base + best * l.inner] = 1;
    }
    ref_put_reals(c, 0, out);
    return true;
}

bool ref_norm(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int64_t axes[2 * ADZE_MAX_RANK], dims[ADZE_MAX_RANK];
    int n_axes;
    if (!ref_i64s_attr(c, "axes", -1, axes, &n_axes))
        return false;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 0; i < n_axes; i++) {
        int axis;
        if (!ref_axis(c, axes[i], x->rank, &axis))
            return false;
        dims[axis] = 1;
    }
    if (!ref_out_like(c, 0, x))
        return false;
    for (int i = 1; i < 3; i++)
        if (ref_wanted(c, i) && !ref_out(c, i, x->rank, dims))
            return false;
    /* the statistics broadcast back to x: that map also says what each element counts towards */
    const adze_tensor kept = {.dtype = ADZE_f64, .rank = x->rank};
    adze_tensor stats = kept;
    memcpy(stats.dims, dims, sizeof dims);
    const size_t *map = ref_broadcast_map(c, &stats, x->rank, x->dims);
    const size_t n = adze_tensor_count(x), m = adze_tensor_count(&stats);
    double *v = ref_reals(c, 0);
    double *mean = ref_alloc(c, m, sizeof *mean), *inverse = ref_alloc(c, m, sizeof *inverse);
    const double each = m ? (double)n / (double)m : 1;
    if (ref_bool(c, "center")) {
        for (size_t i = 0; i < n; i++)
            mean[ref_at(map, i)] += v[i];
        for (size_t i = 0; i < m; i++)
            mean[i] /= each;
    }
    for (size_t i = 0; i < n; i++) {
        v[i] -= mean[ref_at(map, i)];
        inverse[ref_at(map, i)] += v[i] * v[i];
    }
    for (size_t i = 0; i < m; i++)
        inverse[i] = 1 / sqrt(inverse[i] / each + ref_f64(c, "epsilon"));
    const double *part[2] = {NULL, NULL};
    const size_t *part_map[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (!ref_has(c, i + 1))
            continue;
        const adze_tensor *both[2] = {x, c->in[i + 1]};
        int rank;
        if (!ref_broadcast(c, both, 2, &rank, dims))
            return false;
        if (rank != x->rank || memcmp(dims, x->dims, (size_t)rank * sizeof *dims))
            return ref_fail(c, "operand %d does not broadcast to x", i + 1);
        part[i] = ref_reals(c, i + 1);
        part_map[i] = ref_broadcast_map(c, c->in[i + 1], x->rank, x->dims);
    }
    for (size_t i = 0; i < n; i++) {
        v[i] *= inverse[ref_at(map, i)];
        if (part[0])
            v[i] *= part[0][ref_at(part_map[0], i)];
        if (part[1])
            v[i] += part[1][ref_at(part_map[1], i)];
    }
    ref_put_reals(c, 0, v);
    if (ref_wanted(c, 1))
        ref_put_f64s(&c->out[1], mean);
    if (ref_wanted(c, 2))
        ref_put_f64s(&c->out[2], inverse);
    return true;
}

bool ref_lp_norm(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int axis;
    if (!ref_axis(c, ref_i64(c, "axis"), x->rank, &axis) || !ref_out_like(c, 0, x))
        return false;
    const double p = (double)ref_i64(c, "p");
    double *v = ref_reals(c, 0);
    const lines l = lines_of(x, axis);
    for (size_t line = 0; line < l.count; line++) {
        double *e = v + line_base(&l, line), sum = 0;
        for (size_t k = 0; k < l.length; k++)
            sum += pow(fabs(e[k * l.inner]), p);
        const double norm = pow(sum, 1 / p);
        for (size_t k = 0; k < l.length; k++)
            e[k * l.inner] = norm == 0 ? 0 : e[k * l.inner] / norm;
    }
    ref_put_reals(c, 0, v);
    return true;
}

/* y = x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta */
bool ref_lrn(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (x->rank < 2)
        return ref_fail(c, "x has rank %d", x->rank);
    if (!ref_out_like(c, 0, x))
        return false;
    const double alpha = ref_f64(c, "alpha"), beta = ref_f64(c, "beta"), bias = ref_f64(c, "bias");
    const int64_t size = ref_i64(c, "size"), channels = x->dims[1];
    if (size < 1)
        return ref_fail(c, "a size of %lld", (long long)size);
    const int64_t before = (size - 1) / 2, after = size - 1 - before;
    const double *v = ref_reals(c, 0);
    const size_t n = adze_tensor_count(x), inner = ref_product(x->dims, 2, x->rank);
    double *out = ref_alloc(c, n, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        const int64_t channel = (int64_t)(i / inner) % channels;
        double sum = 0;
        for (int64_t k = -before; k <= after; k++)
            if (channel + k >= 0 && channel + k < channels) {
                const double e = v[(int64_t)i + k * (int64_t)inner];
                sum += e * e;
            }
        out[i] = v[i] / pow(bias + alpha / (double)size * sum, beta);
    }
    ref_put_reals(c, 0, out);
    return true;
}
