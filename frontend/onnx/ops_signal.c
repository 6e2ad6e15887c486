/* Fourier transforms, windows, mel filters. */
#include "frontend/onnx/importer.h"

#include <math.h>
#include <string.h>

bool ox_op_dft(node *n) {
    val *x = ox_need(n, 0, "input");
    bool inverse = ox_attr_i(n, "inverse", 0) != 0, onesided = ox_attr_i(n, "onesided", 0) != 0;
    int64_t axis = -2, length = -1;
    if (!x || !ox_static(n, x))
        return false;
    if (n->opset < 20)
        axis = ox_attr_i(n, "axis", 1);
    else if (ox_has(n, 2) && ox_const_ints(n, 2, "axis", 1, &axis) != 1)
        return !n->failed && ox_fail(n, "its axis is not one number");
    if (ox_has(n, 1) && ox_const_ints(n, 1, "dft_length", 1, &length) != 1)
        return !n->failed && ox_fail(n, "its dft_length is not one number");
    int rank = x->shape.rank;
    axis = ox_axis(n, axis, rank);
    if (n->failed)
        return false;
    int64_t parts = rank ? x->shape.dims[rank - 1] : 0;
    if (rank < 2 || axis == rank - 1 || (parts != 1 && parts != 2) ||
        (onesided && !inverse && parts != 1))
        return ox_fail(n, "needs real or complex numbers in its last axis");
    /* a given length cuts or zero-fills the axis first */
    int64_t have = x->shape.dims[axis], want = length;
    if (length >= 0 && inverse && onesided)
        want = length / 2 + 1;
    if (length >= 0 && want != have) {
        int64_t pads[2 * ADZE_MAX_RANK] = {0};
        pads[rank + axis] = want - have;
        x = ox_pad(n, x, pads, "constant", &n->imp->absent);
        if (!x)
            return false;
    }
    adze_shape s = x->shape;
    if (onesided)
        s.dims[axis] = !inverse      ? s.dims[axis] / 2 + 1
                       : length >= 0 ? length
                                     : 2 * (s.dims[axis] - 1);
    s.dims[rank - 1] = onesided && inverse ? 1 : 2;
    if (s.dims[axis] < 1)
        return ox_fail(n, "an empty transform");
    return ox_out(
        n, 0,
        ox_emit(n, "dft", VALS(x), &s,
                ATTRS({"axis", adze_i64(n->ctx, axis)}, {"inverse", adze_bool(n->ctx, inverse)},
                      {"onesided", adze_bool(n->ctx, onesided)})));
}

bool ox_op_stft(node *n) {
    val *x = ox_need(n, 0, "signal"), *window = ox_in(n, 2);
    int64_t step, length = -1;
    bool onesided = ox_attr_i(n, "onesided", 1) != 0;
    if (!x || !window || !ox_need(n, 1, "frame_step") ||
        ox_const_ints(n, 1, "frame_step", 1, &step) != 1 || !ox_static(n, x))
        return !n->failed && ox_fail(n, "its frame_step is not one number");
    if (ox_has(n, 3) && ox_const_ints(n, 3, "frame_length", 1, &length) != 1)
        return !n->failed && ox_fail(n, "its frame_length is not one number");
    if (x->shape.rank == 2)
        x = ox_unsqueeze(n, x, 2);
    if (!x || x->shape.rank != 3)
        return ox_fail(n, "needs a signal of rank 2 or 3");
    if (window->kind == VAL_TENSOR &&
        (window->shape.rank != 1 || (length >= 0 && window->shape.dims[0] != length)))
        return ox_fail(n, "its window does not have frame_length entries");
    if (window->kind == VAL_TENSOR)
        length = window->shape.dims[0];
    if (length < 1 || step < 1 || length > x->shape.dims[1])
        return ox_fail(n, "a frame of %lld does not fit the signal", (long long)length);
    if (window->kind == VAL_ABSENT) /* one sided, the frame's length would be lost */
        window = ox_full(n, &(adze_shape){.rank = 1, .dims = {length}}, ox_number(n, x, 1));
    adze_shape s = x->shape;
    s.rank = 4;
    s.dims[1] = (x->shape.dims[1] - length) / step + 1;
    s.dims[2] = onesided ? length / 2 + 1 : length;
    s.dims[3] = 2;
    return ox_out(n, 0,
                  ox_emit(n, "stft", VALS(x, window), &s,
                          ATTRS({"frame_step", adze_i64(n->ctx, step)},
                                {"onesided", adze_bool(n->ctx, onesided)})));
}

/* a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N), N the size or, when symmetric, one less. */
bool ox_op_window(node *n) {
    static const double pi = 3.14159265358979323846;
    static const struct {
        const char *name;
        double a[3];
    } windows[] = {{"hann", {0.5, 0.5, 0}},
                   {"hamming", {25.0 / 46, 21.0 / 46, 0}},
                   {"blackman", {0.42, 0.5, 0.08}}};
    int64_t size;
    adze_dtype dtype = adze_dtype_from_onnx(ox_attr_i(n, "output_datatype", 1));
    if (!ox_need(n, 0, "size") || ox_const_ints(n, 0, "size", 1, &size) != 1)
        return !n->failed && ox_fail(n, "its size is not one number");
    adze_tensor t;
    if (size < 0 || size > 1 << 24 || dtype == ADZE_NO_DTYPE || dtype == ADZE_string ||
        !ox_new_tensor(n, dtype, 1, &size, &t))
        return ox_fail(n, "a size of %lld", (long long)size);
    size_t k = 0;
    while (k + 1 < ADZE_COUNT(windows) && strcmp(windows[k].name, n->row->arg))
        k++;
    const double *a = windows[k].a, period = (double)size - (ox_attr_i(n, "periodic", 1) ? 0 : 1);
    for (int64_t i = 0; i < size; i++) {
        double turn = period > 0 ? 2 * pi * (double)i / period : 0;
        adze_tensor_set_f64(&t, (size_t)i, a[0] - a[1] * cos(turn) + a[2] * cos(2 * turn));
    }
    return ox_out(n, 0, ox_tensor_val(n->imp, &t));
}

/* Triangles between mel-spaced bins, as the operator's reference computes them. */
bool ox_op_mel_weights(node *n) {
    static const char *const names[] = {"num_mel_bins", "dft_length", "sample_rate",
                                        "lower_edge_hertz", "upper_edge_hertz"};
    double v[5];
    for (int i = 0; i < 5; i++) {
        const adze_tensor *t = ox_const(n, i, names[i]);
        if (!t || adze_tensor_count(t) != 1)
            return !n->failed && ox_fail(n, "'%s' is not one number", names[i]);
        v[i] = adze_tensor_get_f64(t, 0);
    }
    adze_dtype dtype = adze_dtype_from_onnx(ox_attr_i(n, "output_datatype", 1));
    if (!(v[0] >= 1 && v[0] < 1e5) || !(v[1] >= 1 && v[1] < 1e7) || !(v[2] >= 1) ||
        !(v[4] > v[3] && v[3] >= 0) || dtype == ADZE_NO_DTYPE || dtype == ADZE_string)
        return ox_fail(n, "its numbers make no filters");
    int64_t bins = (int64_t)v[0], rows = (int64_t)v[1] / 2 + 1;
    adze_tensor t;
    if (!ox_new_tensor(n, dtype, 2, (int64_t[]){rows, bins}, &t))
        return ox_fail(n, "its result is impossibly large");
    double low = 2595 * log10(1 + v[3] / 700), high = 2595 * log10(1 + v[4] / 700);
    double mel_step = (high - low) / (double)(bins + 2);
    int64_t *edges = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, (size_t)bins + 2);
    for (int64_t i = 0; i < bins + 2; i++) {
        double hertz = 700 * (pow(10, ((double)i * mel_step + low) / 2595) - 1);
        edges[i] = (int64_t)floor((v[1] + 1) * hertz / v[2]);
    }
    for (int64_t i = 0; i < bins; i++) {
        int64_t a = edges[i], b = edges[i + 1], c = edges[i + 2];
        if (b == a && b >= 0 && b < rows)
            adze_tensor_set_f64(&t, (size_t)(b * bins + i), 1);
        for (int64_t j = a; b > a && j <= b; j++)
            if (j >= 0 && j < rows)
                adze_tensor_set_f64(&t, (size_t)(j * bins + i), (double)(j - a) / (double)(b - a));
        for (int64_t j = b; c > b && j < c; j++)
            if (j >= 0 && j < rows)
                adze_tensor_set_f64(&t, (size_t)(j * bins + i), (double)(c - j) / (double)(c - b));
    }
    return ox_out(n, 0, ox_tensor_val(n->imp, &t));
}
