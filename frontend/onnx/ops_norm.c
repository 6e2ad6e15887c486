/* Softmax and normalisations. */
#include "frontend/onnx/importer.h"

#include <string.h>

/* Before opset 13 everything from `axis` on is one axis. */
static val *over_axis(node *n, val *x, val *(*make)(node *, val *, int)) {
    if (!x)
        return NULL;
    int64_t axis = ox_axis(n, ox_attr_i(n, "axis", n->opset < 13 ? 1 : -1), x->shape.rank);
    if (n->failed)
        return NULL;
    bool rest = false;
    for (int i = (int)axis + 1; i < x->shape.rank; i++)
        rest |= x->shape.dims[i] != 1;
    if (n->opset >= 13 || !rest)
        return make(n, x, (int)axis);
    return ox_reshape_to(n, make(n, ox_flatten(n, x, (int)axis), 1), &x->shape);
}

static val *make_softmax(node *n, val *x, int axis) {
    return ox_softmax(n, x, axis, false);
}
static val *make_log_softmax(node *n, val *x, int axis) {
    return ox_softmax(n, x, axis, true);
}
static val *make_hardmax(node *n, val *x, int axis) {
    return x ? ox_emit(n, "hardmax", VALS(x), &x->shape, ATTRS({"axis", adze_i64(n->ctx, axis)}))
             : NULL;
}

bool ox_op_softmax(node *n) {
    return ox_out(n, 0,
                  over_axis(n, ox_need(n, 0, "input"),
                            *n->row->arg == 'l' ? make_log_softmax : make_softmax));
}

bool ox_op_hardmax(node *n) {
    return ox_out(n, 0, over_axis(n, ox_need(n, 0, "input"), make_hardmax));
}

/* ---- norm over axes ---- */

/* y, mean and 1/std; the last two only when asked for. */
static bool norm(node *n, val *x, val *scale, val *bias, int n_axes, const int64_t *axes,
                 double epsilon, bool center, bool want_statistics, val *out[3]) {
    if (!x || !scale || !bias)
        return false;
    adze_shape shapes[3] = {x->shape, {.dtype = ADZE_NO_DTYPE}, {.dtype = ADZE_NO_DTYPE}};
    if (want_statistics) {
        shapes[1] = x->shape;
        for (int i = 0; i < n_axes; i++) {
            shapes[1].dims[axes[i]] = 1;
            shapes[1].symbols[axes[i]] = NULL;
        }
        shapes[2] = shapes[1];
    }
    return ox_emit_many(n, "norm", VALS(x, scale, bias), 3, shapes, out,
                        ATTRS({"axes", adze_i64s(n->ctx, n_axes, axes)},
                              {"epsilon", adze_f64(n->ctx, epsilon)},
                              {"center", adze_bool(n->ctx, center)}));
}

static int axes_from(node *n, const val *x, int64_t first, int64_t *axes) {
    int count = 0;
    first = ox_axis(n, first, x->shape.rank);
    for (int64_t i = first; i < x->shape.rank; i++)
        axes[count++] = i;
    return count;
}

/* LayerNormalization and RMSNormalization. stash_type is the type of the statistics: f32 whatever
 * the input's, so a narrower input goes through f32. */
bool ox_op_layer_norm(node *n) {
    val *x = ox_need(n, 0, "X"), *scale = ox_in(n, 1), *bias = ox_in(n, 2), *out[3];
    int64_t axes[ADZE_MAX_RANK], stash = ox_attr_i(n, "stash_type", 1);
    if (!x || !scale || !bias)
        return false;
    int count = axes_from(n, x, ox_attr_i(n, "axis", -1), axes);
    bool center = *n->row->arg == 'l', statistics = center && (ox_wants(n, 1) || ox_wants(n, 2));
    adze_dtype type = x->shape.dtype, inner = adze_dtype_from_onnx(stash);
    if (inner != ADZE_f32 && inner != type)
        return ox_fail(n, "stash_type %lld is not supported", (long long)stash);
    bool wider = type == ADZE_f16 || type == ADZE_bf16;
    double epsilon = ox_attr_f(n, "epsilon", 1e-5f);
    if (!wider) {
        if (!norm(n, x, scale, bias, count, axes, epsilon, center, statistics, out))
            return false;
    } else {
        /* Normalise in f32, round, then scale in the input's own type, as the operator's function
         * does. */
        val *none = &n->imp->absent;
        if (!norm(n, ox_cast(n, x, ADZE_f32), none, none, count, axes, epsilon, center, statistics,
                  out))
            return false;
        out[0] = ox_cast(n, out[0], type);
        if (!ox_is_absent(scale))
            out[0] = ox_binary(n, "mul", out[0], scale);
        if (!ox_is_absent(bias))
            out[0] = ox_binary(n, "add", out[0], bias);
    }
    return ox_out(n, 0, out[0]) && (!statistics || (ox_out(n, 1, out[1]) && ox_out(n, 2, out[2])));
}

/* Scale and bias per channel, placed at axis 1. */
static val *per_channel(node *n, val *v, int rank) {
    return !v || ox_is_absent(v) ? v : ox_place(n, v, rank, 1);
}

bool ox_op_instance_norm(node *n) {
    val *x = ox_need(n, 0, "input"), *out[3];
    int64_t axes[ADZE_MAX_RANK];
    if (!x)
        return false;
    if (x->shape.rank < 3)
        return ox_fail(n, "needs an input of rank 3 or more");
    int count = axes_from(n, x, 2, axes);
    return norm(n, x, per_channel(n, ox_need(n, 1, "scale"), x->shape.rank),
                per_channel(n, ox_need(n, 2, "B"), x->shape.rank), count, axes,
                ox_attr_f(n, "epsilon", 1e-5f), true, false, out) &&
           ox_out(n, 0, out[0]);
}

/* [N,C,...] -> [N,G,C/G,...], normalise over all but N and G, scale per channel (per group in 18).
 */
bool ox_op_group_norm(node *n) {
    val *x = ox_need(n, 0, "X"), *scale = ox_need(n, 1, "scale"), *bias = ox_need(n, 2, "bias"),
        *out[3];
    int64_t groups = ox_attr_i(n, "num_groups", 0), axes[ADZE_MAX_RANK];
    if (!x || !scale || !bias || !ox_static(n, x))
        return false;
    int rank = x->shape.rank;
    if (rank < 2 || rank == ADZE_MAX_RANK || groups < 1 || x->shape.dims[1] % groups)
        return ox_fail(n, "its channels do not divide into num_groups");
    int64_t dims[ADZE_MAX_RANK] = {x->shape.dims[0], groups, x->shape.dims[1] / groups};
    for (int i = 2; i < rank; i++)
        dims[i + 1] = x->shape.dims[i];
    val *y = ox_reshape(n, x, rank + 1, dims), *none = &n->imp->absent;
    if (!y)
        return false;
    int count = axes_from(n, y, 2, axes);
    double epsilon = ox_attr_f(n, "epsilon", 1e-5f);
    int64_t stash = ox_attr_i(n, "stash_type", 1);
    if (stash != 1)
        return ox_fail(n, "stash_type %lld is not supported", (long long)stash);
    if (n->opset < 21) {
        if (!norm(n, y, ox_place(n, scale, rank + 1, 1), ox_place(n, bias, rank + 1, 1), count,
                  axes, epsilon, true, false, out))
            return false;
        return ox_out(n, 0, ox_reshape_to(n, out[0], &x->shape));
    }
    if (!norm(n, y, none, none, count, axes, epsilon, true, false, out))
        return false;
    y = ox_reshape_to(n, out[0], &x->shape);
    y = ox_binary(n, "mul", y, per_channel(n, scale, rank));
    return ox_out(n, 0, ox_binary(n, "add", y, per_channel(n, bias, rank)));
}

bool ox_op_mean_variance_norm(node *n) {
    val *x = ox_need(n, 0, "X");
    int64_t axes[ADZE_MAX_RANK] = {0, 2, 3};
    if (!x)
        return false;
    int count = ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes);
    if (count < 0)
        count = 3;
    for (int i = 0; i < count; i++)
        axes[i] = ox_axis(n, axes[i], x->shape.rank);
    /* (x - mean) / (std + 1e-9) */
    val *mean = ox_reduce(n, "mean", x, count, axes, true);
    val *centred = ox_binary(n, "sub", x, mean);
    val *variance = ox_reduce(n, "mean", ox_binary(n, "mul", centred, centred), count, axes, true);
    val *std = ox_binary(n, "add", ox_unary(n, "sqrt", variance), ox_number(n, x, 1e-9));
    return ox_out(n, 0, ox_binary(n, "div", centred, std));
}

/* Inference: y = x * a + b with a = scale / sqrt(var + epsilon), b = bias - mean * a, folded. */
bool ox_op_batch_norm(node *n) {
    val *x = ox_need(n, 0, "X"), *scale = ox_need(n, 1, "scale"), *bias = ox_need(n, 2, "B"),
        *mean = ox_need(n, 3, "input_mean"), *var = ox_need(n, 4, "input_var");
    if (!x || !scale || !bias || !mean || !var)
        return false;
    if (x->shape.rank < 2)
        return ox_fail(n, "needs an input of rank 2 or more");
    double epsilon = ox_attr_f(n, "epsilon", 1e-5f), momentum = ox_attr_f(n, "momentum", 0.9f);
    adze_dtype type = x->shape.dtype;
    if (ox_attr_i(n, "spatial", 1) != 1)
        return ox_fail(n, "spatial = 0 is not supported");
    if (n->opset < 7 && !ox_attr_i(n, "is_test", 0))
        return ox_fail(n, "training is not supported");
    if (ox_attr_i(n, "training_mode", 0)) {
        int64_t axes[ADZE_MAX_RANK] = {0};
        for (int i = 2; i < x->shape.rank; i++)
            axes[i - 1] = i;
        int count = x->shape.rank - 1;
        val *now = ox_reduce(n, "mean", x, count, axes, true);
        val *off = ox_binary(n, "sub", x, now);
        val *spread = ox_reduce(n, "mean", ox_binary(n, "mul", off, off), count, axes, true);
        adze_shape flat = mean->shape;
        now = ox_cast(n, ox_reshape_to(n, now, &flat), mean->shape.dtype);
        spread = ox_cast(n, ox_reshape_to(n, spread, &flat), var->shape.dtype);
        val *keep = ox_number(n, mean, momentum), *rest = ox_number(n, mean, 1 - momentum);
        if (!ox_out(n, 1,
                    ox_binary(n, "add", ox_binary(n, "mul", mean, keep),
                              ox_binary(n, "mul", now, rest))) ||
            !ox_out(n, 2,
                    ox_binary(n, "add", ox_binary(n, "mul", var, keep),
                              ox_binary(n, "mul", spread, rest))))
            return false;
        mean = now;
        var = spread;
    }
    scale = ox_cast(n, scale, mean->shape.dtype);
    bias = ox_cast(n, bias, mean->shape.dtype);
    val *a = ox_binary(n, "div", scale,
                       ox_unary(n, "sqrt", ox_binary(n, "add", var, ox_number(n, var, epsilon))));
    val *b = ox_binary(n, "sub", bias, ox_binary(n, "mul", mean, a));
    a = per_channel(n, ox_cast(n, a, type), x->shape.rank);
    b = per_channel(n, ox_cast(n, b, type), x->shape.rank);
    return ox_out(n, 0, ox_binary(n, "add", ox_binary(n, "mul", x, a), b));
}

bool ox_op_lp_norm(node *n) {
    val *x = ox_need(n, 0, "input");
    if (!x)
        return false;
    int64_t axis = ox_axis(n, ox_attr_i(n, "axis", -1), x->shape.rank);
    return ox_out(n, 0,
                  ox_emit(n, "lp_norm", VALS(x), &x->shape,
                          ATTRS({"axis", adze_i64(n->ctx, axis)},
                                {"p", adze_i64(n->ctx, ox_attr_i(n, "p", 2))})));
}

bool ox_op_lrn(node *n) {
    val *x = ox_need(n, 0, "X");
    int64_t size = ox_attr_i(n, "size", 0);
    if (!x)
        return false;
    if (size < 1 || x->shape.rank < 2)
        return ox_fail(n, "needs a size and channels");
    return ox_out(n, 0,
                  ox_emit(n, "lrn", VALS(x), &x->shape,
                          ATTRS({"alpha", adze_f64(n->ctx, ox_attr_f(n, "alpha", 1e-4f))},
                                {"beta", adze_f64(n->ctx, ox_attr_f(n, "beta", 0.75))},
                                {"bias", adze_f64(n->ctx, ox_attr_f(n, "bias", 1))},
                                {"size", adze_i64(n->ctx, size)})));
}
