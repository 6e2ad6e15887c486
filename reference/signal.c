/* dft and stft, by the defining sums. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

/* y[k] = sum over n of x[n] e^(-+2 pi i k n / length), for k below `bins`. x and y hold complex
 * numbers `stride` apart. The angle is reduced exactly before it meets pi. */
static void transform(const double (*x)[2], size_t x_stride, size_t n_in, double (*y)[2],
                      size_t y_stride, size_t bins, size_t length, bool inverse) {
    for (size_t k = 0; k < bins; k++) {
        double re = 0, im = 0;
        for (size_t n = 0; n < n_in; n++) {
            const double turn =
                2 * 3.14159265358979323846 * (double)(k * n % length) / (double)length;
            const double wr = cos(turn), wi = inverse ? sin(turn) : -sin(turn);
            const double *v = x[n * x_stride];
            re += v[0] * wr - v[1] * wi;
            im += v[0] * wi + v[1] * wr;
        }
        y[k * y_stride][0] = inverse ? re / (double)length : re;
        y[k * y_stride][1] = inverse ? im / (double)length : im;
    }
}

/* `transforms` of n_in to `bins` numbers each: a sine and a cosine for every pair. */
static bool charge(ref_call *c, double transforms, double n_in, double bins) {
    return ref_charge(c, 32 * transforms * n_in * bins);
}

/* The last axis, 1 (real) or 2, as pairs. */
static double (*pairs_of(ref_call *c, const adze_tensor *t))[2] {
    const double *v = ref_f64s(c, t);
    const size_t parts = (size_t)t->dims[t->rank - 1], n = adze_tensor_count(t) / parts;
    double(*out)[2] = ref_alloc(c, n, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i][0] = v[i * parts];
        out[i][1] = parts == 2 ? v[i * parts + 1] : 0;
    }
    return out;
}

static bool check_parts(ref_call *c, const adze_tensor *t, const char *what) {
    const int64_t parts = t->rank ? t->dims[t->rank - 1] : 0;
    return parts == 1 || parts == 2 || ref_fail(c, "the last axis of %s is not 1 or 2", what);
}

/* The length is x's extent. Onesided keeps length / 2 + 1 bins; onesided and inverse reads those of
 * a real signal of the result's extent. */
bool ref_dft(ref_call *c) {
    const adze_tensor *x = c->in[0];
    int axis;
    if (!check_parts(c, x, "x") || !ref_axis(c, ref_i64(c, "axis"), x->rank - 1, &axis))
        return false;
    const bool inverse = ref_bool(c, "inverse"), onesided = ref_bool(c, "onesided");
    adze_shape type;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type) || type.rank != x->rank)
        return ref_fail(c, "the result does not have the rank of x");
    int64_t dims[ADZE_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = onesided && !inverse              ? x->dims[axis] / 2 + 1
                 : onesided && type.dims[axis] < 0 ? 2 * (x->dims[axis] - 1)
                 : onesided                        ? type.dims[axis]
                                                   : x->dims[axis];
    dims[x->rank - 1] = onesided && inverse ? 1 : 2;
    if (!ref_out(c, 0, x->rank, dims))
        return false;
    const size_t n = (size_t)x->dims[axis], bins = (size_t)dims[axis];
    const size_t length = onesided && inverse ? bins : n;
    const size_t inner = ref_product(x->dims, axis + 1, x->rank - 1);
    const size_t outer = ref_product(x->dims, 0, axis);
    if (!charge(c, (double)(outer * inner), (double)length, (double)bins))
        return false;
    double(*in)[2] = pairs_of(c, x);
    double(*out)[2] = ref_alloc(c, outer * bins * inner, sizeof *out);
    double(*full)[2] = ref_alloc(c, length, sizeof *full);
    for (size_t o = 0; length && o < outer * inner; o++) {
        double(*from)[2] = in + (o / inner * n * inner + o % inner);
        double(*to)[2] = out + (o / inner * bins * inner + o % inner);
        if (!(onesided && inverse)) {
            transform((const double(*)[2])from, inner, n, to, inner, bins, length, inverse);
            continue;
        }
        for (size_t k = 0; k < length; k++) { /* the other half is the conjugate */
            const bool mirrored = k > length / 2;
            const size_t source = mirrored ? length - k : k;
            full[k][0] = source < n ? from[source * inner][0] : 0;
            full[k][1] = source < n ? (mirrored ? -1 : 1) * from[source * inner][1] : 0;
        }
        transform((const double(*)[2])full, 1, length, to, inner, bins, length, true);
    }
    const size_t parts = (size_t)dims[x->rank - 1];
    double *flat = ref_alloc(c, outer * bins * inner * parts, sizeof *flat);
    for (size_t i = 0; i < outer * bins * inner * parts; i++)
        flat[i] = out[i / parts][i % parts];
    ref_put_f64s(&c->out[0], flat);
    return true;
}

/* x [B, L, 1|2] -> y [B, frames, bins, 2]. The frame is as long as the window, or as the bins say.
 */
bool ref_stft(ref_call *c) {
    const adze_tensor *x = c->in[0], *window = ref_has(c, 1) ? c->in[1] : NULL;
    const int64_t step = ref_i64(c, "frame_step");
    const bool onesided = ref_bool(c, "onesided");
    adze_shape type;
    if (x->rank != 3 || !check_parts(c, x, "x") || step < 1)
        return ref_fail(c, "x is not [batch, length, 1 or 2], or the step is below 1");
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &type) || type.rank != 4)
        return ref_fail(c, "the result is not of rank 4");
    if (!window && type.dims[2] < 1)
        return ref_fail(c, "neither a window nor the result gives the frame's length");
    const int64_t length = window     ? (int64_t)adze_tensor_count(window)
                           : onesided ? 2 * (type.dims[2] - 1)
                                      : type.dims[2];
    if (length < 1 || length > x->dims[1])
        return ref_fail(c, "a frame of %lld does not fit a signal of %lld", (long long)length,
                        (long long)x->dims[1]);
    const int64_t dims[4] = {x->dims[0], (x->dims[1] - length) / step + 1,
                             onesided ? length / 2 + 1 : length, 2};
    if (!ref_out(c, 0, 4, dims) ||
        !charge(c, (double)dims[0] * (double)dims[1], (double)length, (double)dims[2]))
        return false;
    double(*in)[2] = pairs_of(c, x);
    const double *w = window ? ref_f64s(c, window) : NULL;
    double(*frame)[2] = ref_alloc(c, (size_t)length, sizeof *frame);
    double(*out)[2] = ref_alloc(c, ref_product(dims, 0, 3), sizeof *out);
    for (int64_t b = 0; b < dims[0]; b++)
        for (int64_t f = 0; f < dims[1]; f++) {
            for (int64_t i = 0; i < length; i++)
                for (int part = 0; part < 2; part++)
                    frame[i][part] = in[b * x->dims[1] + f * step + i][part] * (w ? w[i] : 1);
            transform((const double(*)[2])frame, 1, (size_t)length,
                      out + (b * dims[1] + f) * dims[2], 1, (size_t)dims[2], (size_t)length, false);
        }
    ref_put_f64s(&c->out[0], &out[0][0]);
    return true;
}
