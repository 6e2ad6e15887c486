/* dft and stft, by the defining sums. The roots of unity e^(2 pi i m / length) of a short transform
 * are computed once into two local tables, and m = k * n mod length is counted along, not
 * multiplied. */
#include "codegen/gen_math.h"

#include <string.h>

enum { TABLE_BYTES = 4096 };

typedef struct transform {
    adze_dtype work;
    int64_t length;
    MlirValue cosines, sines; /* locals, null when too long */
    MlirValue x, x_at[ADZE_MAX_RANK];
    int axis; /* of x: the samples; its last axis holds the parts */
    adze_shape xs;
    MlirValue start;  /* of the frame, null: 0 */
    MlirValue window; /* null: none */
    bool inverse;
    bool mirrored; /* x holds only the first half of a conjugate-symmetric signal */
} transform;

static void root_at(adze_gen *g, const transform *t, MlirValue m, adze_scalar *re,
                    adze_scalar *im) {
    adze_scalar turn = gn_num(g, t->work, 2 * 3.14159265358979323846 / (double)t->length);
    adze_scalar angle = gn_mul(g, adze_index_to(g, m, t->work), turn);
    *re = gn_unary(g, "cos", angle);
    *im = gn_unary(g, "sin", angle);
}

static void make_tables(adze_gen *g, transform *t) {
    if (t->length * (int64_t)adze_dtype_get(t->work)->host_bytes > TABLE_BYTES)
        return;
    t->cosines = adze_local(g, "cosines", t->work, 1, &t->length);
    t->sines = adze_local(g, "sines", t->work, 1, &t->length);
    gn_loop loop = gn_loop_begin(g, "m", adze_index(g, 0), adze_index(g, t->length), 0, NULL, NULL);
    adze_scalar re, im;
    root_at(g, t, loop.iv, &re, &im);
    gn_store(g, re, t->cosines, &loop.iv);
    gn_store(g, im, t->sines, &loop.iv);
    gn_loop_end(g, &loop, NULL, NULL);
}

/* Sample i: real and imaginary part; im stays null for real input. */
static bool read_sample(adze_gen *g, transform *t, MlirValue i, adze_scalar *re, adze_scalar *im) {
    int last = t->xs.rank - 1;
    MlirValue from = i, beyond = {NULL}, half = {NULL};
    adze_scalar zero = gn_num(g, t->work, 0), w;
    im->value.ptr = NULL;
    if (t->mirrored) { /* sample length - i is the conjugate of sample i; what x lacks is 0 */
        half = adze_index_cmp(g, "gt", i, adze_index(g, t->length / 2));
        from = gn_index_select(g, half, adze_index_sub(g, adze_index(g, t->length), i), i);
        if (t->length / 2 >= t->xs.dims[t->axis]) {
            MlirValue extent = adze_extent(g, t->x, t->axis);
            beyond = adze_index_cmp(g, "ge", from, extent);
            from = adze_index_min(g, from, adze_index_sub(g, extent, adze_index(g, 1)));
        }
    }
    t->x_at[t->axis] = t->start.ptr ? adze_index_add(g, t->start, from) : from;
    t->x_at[last] = adze_index(g, 0);
    if (!gn_read(g, t->x, t->x_at, t->work, re))
        return false;
    if (t->xs.dims[last] == 2) {
        t->x_at[last] = adze_index(g, 1);
        if (!gn_read(g, t->x, t->x_at, t->work, im))
            return false;
        if (half.ptr)
            *im = gn_select(g, half, gn_unary(g, "neg", *im), *im);
    }
    if (beyond.ptr) {
        *re = gn_select(g, beyond, zero, *re);
        if (im->value.ptr)
            *im = gn_select(g, beyond, zero, *im);
    }
    if (t->window.ptr) {
        if (!gn_read(g, t->window, &i, t->work, &w))
            return false;
        *re = gn_mul(g, *re, w);
        if (im->value.ptr)
            *im = gn_mul(g, *im, w);
    }
    return true;
}

/* sum[0] + i sum[1] = sum over n samples of x[n] e^(-+2 pi i k n / length) */
static bool bin_sum(adze_gen *g, transform *t, MlirValue n, MlirValue k, adze_scalar *sum) {
    MlirValue zero = adze_index(g, 0), length = adze_index(g, t->length);
    MlirValue init[3] = {gn_num(g, t->work, 0).value, gn_num(g, t->work, 0).value, zero}, next[3];
    adze_for loop = adze_for_begin(g, "i", zero, n, adze_index(g, 1), 3, init,
                                   (const char *[]){"re", "im", "m"});
    MlirValue m = loop.carried[2];
    adze_scalar wr, wi, re, im, a = {loop.carried[0], t->work}, b = {loop.carried[1], t->work};
    if (t->cosines.ptr) {
        wr = gn_load(g, t->cosines, &m, t->work);
        wi = gn_load(g, t->sines, &m, t->work);
    } else {
        root_at(g, t, m, &wr, &wi);
    }
    if (!read_sample(g, t, loop.iv, &re, &im))
        return false;
    /* forwards the root is wr - i wi, backwards wr + i wi */
    a = gn_add(g, a, gn_mul(g, re, wr));
    b = gn_binary(g, t->inverse ? "add" : "sub", b, gn_mul(g, re, wi));
    if (im.value.ptr) {
        a = gn_binary(g, t->inverse ? "sub" : "add", a, gn_mul(g, im, wi));
        b = gn_add(g, b, gn_mul(g, im, wr));
    }
    MlirValue further = adze_index_add(g, m, k);
    next[0] = a.value;
    next[1] = b.value;
    next[2] = gn_index_select(g, adze_index_cmp(g, "ge", further, length),
                              adze_index_sub(g, further, length), further);
    adze_for_end(g, &loop, next, next);
    for (int i = 0; i < 2; i++) {
        sum[i] = (adze_scalar){next[i], t->work};
        if (t->inverse)
            sum[i] = gn_div(g, sum[i], gn_num(g, t->work, (double)t->length));
    }
    return true;
}

static bool read_input(adze_gen *g, MlirOperation op, transform *t) {
    if (!gn_operand(g, op, 0, &t->x, &t->xs) || !gn_need_float(g, op, &t->xs))
        return false;
    int64_t parts = t->xs.rank ? t->xs.dims[t->xs.rank - 1] : 0;
    if (t->xs.rank < 2 || (parts != 1 && parts != 2))
        return gn_fail(g, op, "the last axis of x is not 1 or 2");
    t->work = gn_compute(t->xs.dtype);
    return true;
}

static void store_parts(adze_gen *g, const adze_scalar *sum, int64_t parts, MlirValue y, int rank,
                        MlirValue *at) {
    for (int part = 0; part < parts; part++) {
        at[rank - 1] = adze_index(g, part);
        gn_store(g, sum[part], y, at);
    }
}

bool adze_gen_dft(adze_gen *g, MlirOperation op) {
    transform t = {.inverse = adze_get_bool(op, "inverse")};
    bool onesided = adze_get_bool(op, "onesided");
    MlirValue y = adze_gen_destination(g, mlirOperationGetResult(op, 0)), result, at[ADZE_MAX_RANK];
    adze_shape ys;
    if (!read_input(g, op, &t) || !gn_axis(g, op, "axis", t.xs.rank - 1, &t.axis) ||
        !gn_result(g, op, 0, &result, &ys))
        return false;
    int rank = t.xs.rank;
    if (ys.rank != rank || ys.dims[t.axis] < 0 || t.xs.dims[t.axis] < 0)
        return gn_fail(g, op, "the result does not fit x, or its length is only bounded");
    if (!y.ptr || gn_is_empty(&ys) || gn_is_empty(&t.xs))
        return true;
    t.mirrored = onesided && t.inverse;
    t.length = t.mirrored ? ys.dims[t.axis] : t.xs.dims[t.axis];
    make_tables(g, &t);
    bool skip[ADZE_MAX_RANK] = {false};
    skip[t.axis] = skip[rank - 1] = true;
    adze_nest nest = gn_nest(g, t.x, rank, skip, at);
    gn_loop bins =
        gn_loop_begin(g, "k", adze_index(g, 0), adze_extent(g, result, t.axis), 0, NULL, NULL);
    memcpy(t.x_at, at, (size_t)rank * sizeof *at);
    adze_scalar sum[2];
    if (!bin_sum(g, &t, adze_index(g, t.length), bins.iv, sum))
        return false;
    at[t.axis] = bins.iv;
    store_parts(g, sum, ys.dims[rank - 1], y, rank, at);
    gn_loop_end(g, &bins, NULL, NULL);
    adze_nest_end(g, &nest);
    return true;
}

/* x [B, L, 1|2] -> y [B, frames, bins, 2] */
bool adze_gen_stft(adze_gen *g, MlirOperation op) {
    transform t = {.axis = 1};
    MlirValue y = adze_gen_destination(g, mlirOperationGetResult(op, 0)), result, at[4];
    MlirValue window = mlirOperationGetOperand(op, 1);
    adze_shape ys, ws;
    int64_t step = adze_get_i64(op, "frame_step");
    bool onesided = adze_get_bool(op, "onesided");
    if (!read_input(g, op, &t) || !gn_result(g, op, 0, &result, &ys))
        return false;
    if (t.xs.rank != 3 || ys.rank != 4 || ys.dims[2] < 1 || step < 1)
        return gn_fail(g, op, "x is not [batch, length, 1 or 2], or the step is below 1");
    t.length = onesided ? 2 * (ys.dims[2] - 1) : ys.dims[2];
    if (!adze_is_none(window)) {
        t.window = window;
        if (!adze_value_shape(g->ctx, window, &ws) || ws.rank != 1 || ws.dims[0] < 1)
            return gn_fail(g, op, "the window is not a list");
        t.length = ws.dims[0];
    }
    if (t.length < 1 ||
        (ys.dims[1] > 0 && t.xs.dims[1] >= 0 && (ys.dims[1] - 1) * step + t.length > t.xs.dims[1]))
        return gn_fail(g, op, "a frame of %lld does not fit the signal", (long long)t.length);
    if (!y.ptr || gn_is_empty(&ys))
        return true;
    make_tables(g, &t);
    static const char *const names[] = {"b", "frame", "k"};
    MlirValue extents[3];
    for (int d = 0; d < 3; d++)
        extents[d] = adze_extent(g, result, d);
    adze_nest nest = adze_nest_begin(g, 3, extents, names, at);
    t.x_at[0] = at[0];
    t.start = adze_index_mul(g, at[1], adze_index(g, step));
    adze_scalar sum[2];
    if (!bin_sum(g, &t, adze_index(g, t.length), at[2], sum))
        return false;
    store_parts(g, sum, 2, y, 4, at);
    adze_nest_end(g, &nest);
    return true;
}
