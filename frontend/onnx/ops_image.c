/* Images: Resize and Upsample, sampling along a grid, regions of interest. */
#include "frontend/onnx/importer.h"

#include <math.h>
#include <string.h>

static bool one_of(const char *value, const char *const *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(value, values[i]))
            return true;
    return false;
}

/* Numbers of a constant operand as doubles: how many; 0 when absent or empty, -1 after an error. */
static int const_numbers(node *n, int i, const char *what, int max, double *out) {
    if (!ox_has(n, i))
        return 0;
    val *v = ox_in(n, i);
    if (v && adze_shape_count(&v->shape) == 0)
        return 0;
    const adze_tensor *t = ox_const(n, i, what);
    if (!t)
        return -1;
    size_t count = adze_tensor_count(t);
    if (count > (size_t)max) {
        ox_fail(n, "'%s' has %zu entries", what, count);
        return -1;
    }
    for (size_t k = 0; k < count; k++)
        out[k] = adze_tensor_get_f64(t, k);
    return (int)count;
}

static bool emit_resize(node *n, val *x, val *roi, const adze_shape *s, const char *mode,
                        const double *scales, const char *coordinates, const char *nearest) {
    return ox_out(
        n, 0,
        ox_emit(
            n, "resize", VALS(x, roi), s,
            ATTRS({"mode", adze_str(n->ctx, mode)}, {"scales", adze_f64s(n->ctx, s->rank, scales)},
                  {"coordinates", adze_str(n->ctx, coordinates)},
                  {"nearest", adze_str(n->ctx, nearest)},
                  {"cubic_coeff", adze_f64(n->ctx, ox_attr_f(n, "cubic_coeff_a", -0.75))},
                  {"exclude_outside", adze_bool(n->ctx, ox_attr_i(n, "exclude_outside", 0) != 0)},
                  {"extrapolation", adze_f64(n->ctx, ox_attr_f(n, "extrapolation_value", 0))},
                  {"antialias", adze_bool(n->ctx, ox_attr_i(n, "antialias", 0) != 0)})));
}

/* Extents floor(in * scale), or sizes (kept in proportion by a policy) from which the scales
 * follow. */
bool ox_op_resize(node *n) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coordinates[] = {"half_pixel",         "half_pixel_symmetric",
                                              "pytorch_half_pixel", "align_corners",
                                              "asymmetric",         "tf_crop_and_resize"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    val *x = ox_need(n, 0, "X"), *roi = n->opset < 11 ? &n->imp->absent : ox_in(n, 1);
    if (!x || !roi || !ox_static(n, x))
        return false;
    int rank = x->shape.rank, at = n->opset < 11 ? 1 : 2;
    const char *mode = ox_attr_s(n, "mode", "nearest"),
               *how = ox_attr_s(n, "coordinate_transformation_mode",
                                n->opset < 11 ? "asymmetric" : "half_pixel"),
               *nearest =
                   ox_attr_s(n, "nearest_mode", n->opset < 11 ? "floor" : "round_prefer_floor"),
               *policy = ox_attr_s(n, "keep_aspect_ratio_policy", "stretch");
    if (!strcmp(how, "tf_half_pixel_for_nn"))
        return ox_fail(n, "coordinate_transformation_mode '%s' is not supported", how);
    if (!one_of(mode, modes, ADZE_COUNT(modes)) ||
        !one_of(how, coordinates, ADZE_COUNT(coordinates)) ||
        !one_of(nearest, roundings, ADZE_COUNT(roundings)))
        return ox_fail(n, "mode '%s', '%s' or '%s' is not supported", mode, how, nearest);
    int64_t axes[ADZE_MAX_RANK];
    int n_axes = ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes);
    if (n_axes < 0)
        for (n_axes = 0; n_axes < rank; n_axes++)
            axes[n_axes] = n_axes;
    double given[ADZE_MAX_RANK], sizes[ADZE_MAX_RANK], scales[ADZE_MAX_RANK];
    int n_scales = const_numbers(n, at, "scales", ADZE_MAX_RANK, given);
    int n_sizes = const_numbers(n, at + 1, "sizes", ADZE_MAX_RANK, sizes);
    if (n->failed)
        return false;
    if ((n_scales > 0) == (n_sizes > 0) || n_scales + n_sizes != n_axes)
        return ox_fail(n, "needs either scales or sizes, one per axis");
    adze_shape s = x->shape;
    for (int i = 0; i < rank; i++)
        scales[i] = 1;
    bool larger = !strcmp(policy, "not_larger"), smaller = !strcmp(policy, "not_smaller");
    if (!larger && !smaller && strcmp(policy, "stretch"))
        return ox_fail(n, "keep_aspect_ratio_policy '%s' is not supported", policy);
    double common = 0;
    for (int i = 0; i < n_axes; i++) {
        axes[i] = ox_axis(n, axes[i], rank);
        if (n->failed)
            return false;
        double ratio = n_sizes ? sizes[i] / (double)x->shape.dims[axes[i]] : given[i];
        if (!i || (larger ? ratio < common : ratio > common))
            common = ratio;
    }
    for (int i = 0; i < n_axes; i++) {
        int64_t axis = axes[i];
        double in = (double)x->shape.dims[axis];
        bool fitted = n_sizes && (larger || smaller);
        scales[axis] = fitted ? common : n_sizes ? sizes[i] / in : given[i];
        /* the scale is a float in the file: the product is formed in float, as everywhere */
        double out = fitted ? floor(in * common + 0.5) : n_sizes ? sizes[i] : floor(in * given[i]);
        if (!strcmp(how, "tf_crop_and_resize") && n_scales && ox_has(n, 1)) {
            const adze_tensor *r = ox_const(n, 1, "roi");
            if (!r || adze_tensor_count(r) != 2 * (size_t)n_axes)
                return !n->failed && ox_fail(n, "its roi does not have two numbers per axis");
            out = floor(
                in *
                (adze_tensor_get_f64(r, (size_t)(i + n_axes)) - adze_tensor_get_f64(r, (size_t)i)) *
                given[i]);
        }
        if (!(scales[axis] > 0) || !(out >= 0 && out < 1e9))
            return ox_fail(n, "a scale of %g", scales[axis]);
        s.dims[axis] = (int64_t)out;
    }
    val *region = &n->imp->absent;
    if (!strcmp(how, "tf_crop_and_resize")) {
        const adze_tensor *r = ox_const(n, 1, "roi");
        if (!r || adze_tensor_count(r) != 2 * (size_t)n_axes)
            return !n->failed && ox_fail(n, "its roi does not have two numbers per axis");
        int64_t dims[1] = {2 * rank};
        adze_tensor full;
        if (!ox_new_tensor(n, ADZE_f32, 1, dims, &full))
            return false;
        for (int i = 0; i < rank; i++)
            adze_tensor_set_f64(&full, (size_t)(rank + i), 1);
        for (int i = 0; i < n_axes; i++)
            for (int e = 0; e < 2; e++)
                adze_tensor_set_f64(&full, (size_t)(e * rank + axes[i]),
                                    adze_tensor_get_f64(r, (size_t)(e * n_axes + i)));
        region = ox_tensor_val(n->imp, &full);
    }
    return emit_resize(n, x, region, &s, mode, scales, how, nearest);
}

bool ox_op_upsample(node *n) {
    val *x = ox_need(n, 0, "X");
    const char *mode = ox_attr_s(n, "mode", "nearest");
    if (!x || !ox_static(n, x))
        return false;
    double scales[ADZE_MAX_RANK];
    int rank = x->shape.rank, count = 0;
    if (n->opset < 9) {
        const float *given;
        count = ox_attr_floats(n, "scales", &given);
        for (int i = 0; i < count && i < ADZE_MAX_RANK; i++)
            scales[i] = (double)given[i];
    } else {
        count = const_numbers(n, 1, "scales", ADZE_MAX_RANK, scales);
    }
    if (n->failed)
        return false;
    if (!strcmp(mode, "bilinear"))
        mode = "linear";
    if (count != rank || (strcmp(mode, "nearest") && strcmp(mode, "linear")))
        return ox_fail(n, "needs one scale per axis and mode nearest or linear");
    adze_shape s = x->shape;
    for (int i = 0; i < rank; i++) {
        if (!(scales[i] >= 1) || !(scales[i] < 1e6))
            return ox_fail(n, "a scale of %g", scales[i]);
        s.dims[i] = (int64_t)floor((double)s.dims[i] * scales[i]);
    }
    return emit_resize(n, x, &n->imp->absent, &s, mode, scales, "asymmetric", "floor");
}

bool ox_op_grid_sample(node *n) {
    static const struct {
        const char *given, *mode;
    } modes[] = {{"bilinear", "linear"},
                 {"linear", "linear"},
                 {"nearest", "nearest"},
                 {"bicubic", "cubic"},
                 {"cubic", "cubic"}};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    val *x = ox_need(n, 0, "X"), *grid = ox_need(n, 1, "grid");
    const char *mode = ox_attr_s(n, "mode", "linear"),
               *padding = ox_attr_s(n, "padding_mode", "zeros");
    if (!x || !grid)
        return false;
    size_t k = 0;
    while (k < ADZE_COUNT(modes) && strcmp(modes[k].given, mode))
        k++;
    if (k == ADZE_COUNT(modes) || !one_of(padding, paddings, ADZE_COUNT(paddings)))
        return ox_fail(n, "mode '%s' or padding_mode '%s' is not supported", mode, padding);
    int rank = x->shape.rank;
    if (rank < 3 || grid->shape.rank != rank || grid->shape.dims[rank - 1] != rank - 2)
        return ox_fail(n, "its grid does not fit its input");
    adze_shape s = x->shape;
    for (int i = 2; i < rank; i++)
        ox_set_dim(&s, i, &grid->shape, i - 1);
    return ox_out(
        n, 0,
        ox_emit(
            n, "grid_sample", VALS(x, grid), &s,
            ATTRS({"mode", adze_str(n->ctx, modes[k].mode)}, {"padding", adze_str(n->ctx, padding)},
                  {"align_corners", adze_bool(n->ctx, ox_attr_i(n, "align_corners", 0) != 0)})));
}

/* grid[n, y, x, :] = theta[n] * (x, y, 1): the base grid is constant, the rest a matmul. */
bool ox_op_affine_grid(node *n) {
    val *theta = ox_need(n, 0, "theta");
    int64_t size[5];
    bool align = ox_attr_i(n, "align_corners", 0) != 0;
    if (!theta || !ox_need(n, 1, "size"))
        return false;
    int count = ox_const_ints(n, 1, "size", 5, size), ns = count - 2;
    if (n->failed)
        return false;
    if (ns < 2 || ns > 3 || theta->shape.rank != 3 || theta->shape.dims[1] != ns ||
        theta->shape.dims[2] != ns + 1)
        return ox_fail(n, "needs a size of 4 or 5 entries and theta [N, %d, %d]", ns, ns + 1);
    int64_t area = 1;
    for (int i = 0; i < ns; i++)
        if (size[2 + i] < 1 || __builtin_mul_overflow(area, size[2 + i], &area) || area > 1 << 28)
            return ox_fail(n, "an impossible size");
    adze_tensor base;
    if (!ox_new_tensor(n, theta->shape.dtype, 2, (int64_t[]){area, ns + 1}, &base))
        return ox_fail(n, "an impossible size");
    for (int64_t p = 0; p < area; p++) {
        int64_t rest = p;
        for (int i = ns - 1; i >= 0; i--) { /* the last axis is x, the first coordinate */
            int64_t d = size[2 + i], at = rest % d;
            rest /= d;
            double v = align ? (d > 1 ? -1 + 2.0 * (double)at / (double)(d - 1) : 0)
                             : (2.0 * (double)at + 1) / (double)d - 1;
            adze_tensor_set_f64(&base, (size_t)(p * (ns + 1) + (ns - 1 - i)), v);
        }
        adze_tensor_set_f64(&base, (size_t)(p * (ns + 1) + ns), 1);
    }
    val *grid = ox_matmul(n, ox_tensor_val(n->imp, &base), theta, false, true);
    adze_shape s = theta->shape;
    s.rank = ns + 2;
    for (int i = 0; i < ns; i++)
        s.dims[1 + i] = size[2 + i];
    s.dims[ns + 1] = ns;
    return ox_out(n, 0, ox_reshape_to(n, grid, &s));
}

bool ox_op_roi_align(node *n) {
    val *x = ox_need(n, 0, "X"), *rois = ox_need(n, 1, "rois"),
        *batch = ox_need(n, 2, "batch_indices");
    const char *mode = ox_attr_s(n, "mode", "avg"),
               *how = ox_attr_s(n, "coordinate_transformation_mode",
                                n->opset < 16 ? "output_half_pixel" : "half_pixel");
    int64_t height = ox_attr_i(n, "output_height", 1), width = ox_attr_i(n, "output_width", 1);
    if (!x || !rois || !batch)
        return false;
    if ((strcmp(mode, "avg") && strcmp(mode, "max")) || height < 1 || width < 1 ||
        x->shape.rank != 4 || rois->shape.rank != 2 || rois->shape.dims[1] != 4 ||
        batch->shape.rank != 1 || (strcmp(how, "half_pixel") && strcmp(how, "output_half_pixel")))
        return ox_fail(n, "its operands or attributes do not fit");
    adze_shape s = x->shape;
    ox_set_dim(&s, 0, &rois->shape, 0);
    s.dims[2] = height;
    s.dims[3] = width;
    return ox_out(
        n, 0,
        ox_emit(n, "roi_align", VALS(x, rois, batch), &s,
                ATTRS({"mode", adze_str(n->ctx, mode)},
                      {"sampling_ratio", adze_i64(n->ctx, ox_attr_i(n, "sampling_ratio", 0))},
                      {"spatial_scale", adze_f64(n->ctx, ox_attr_f(n, "spatial_scale", 1))},
                      {"half_pixel", adze_bool(n->ctx, !strcmp(how, "half_pixel"))})));
}
