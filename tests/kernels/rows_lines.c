/* Rows of elementwise chains, reductions, norms and movement. */
#include "tests/kernels/rows.h"

#include <string.h>

/* A shape that broadcasts to `to`. */
static net_value broadcast(net *n, net_value to) {
    const int skip = (int)net_pick(n, 0, to.rank);
    net_value v = net_shape(to.dtype, 0, NULL);
    for (int i = skip; i < to.rank; i++)
        v.dims[v.rank++] = net_chance(n, 30) ? 1 : to.dims[i];
    return v;
}

typedef struct kind {
    const char *name, *params;
} kind;

/* Every unary kind that takes any float. */
void row_unary(net *n) {
    static const kind kinds[] = {
        {"abs", ""}, {"neg", ""}, {"sign", ""}, {"ceil", ""}, {"floor", ""}, {"round", ""}, {"reciprocal", ""},
        {"sqrt", ""}, {"rsqrt", ""}, {"square", ""}, {"exp", ""}, {"log", ""}, {"sin", ""}, {"cos", ""}, {"tan", ""},
        {"asin", ""}, {"acos", ""}, {"atan", ""}, {"sinh", ""}, {"cosh", ""}, {"tanh", ""}, {"asinh", ""},
        {"acosh", ""}, {"atanh", ""}, {"erf", ""}, {"relu", ""}, {"clip", "-1.0, 1.5"}, {"leaky_relu", "0.1"},
        {"elu", "1.5"}, {"celu", "0.7"}, {"selu", "1.67326, 1.0507"}, {"thresholded_relu", "0.4"}, {"shrink", "0.2, 0.5"},
        {"sigmoid", ""}, {"hard_sigmoid", "0.2, 0.5"}, {"hard_swish", ""}, {"softplus", ""}, {"softsign", ""},
        {"gelu", ""}, {"gelu_tanh", ""}, {"mish", ""}, {"swish", "1.2"}, {"is_nan", ""}, {"is_inf", "1.0, 1.0"},
    };
    net_value x = net_input_of(n, random_shape(n, ADZE_f32, 1, 3, n->large ? 20000 : 300), DATA_ANY, 0, 0);
    for (int i = 0; i < 4; i++) {
        const kind *k = &kinds[net_pick(n, 0, (int64_t)ADZE_COUNT(kinds) - 1)];
        net_output(n, unary(n, k->name, k->params, x));
    }
}

/* A chain of binary operations with broadcasting, conditions among them. */
void row_elementwise(net *n) {
    static const char *const kinds[] = {"add", "sub", "mul", "div", "min", "max", "prelu", "add", "mul"};
    static const char *const tests[] = {"less", "equal", "greater_equal", "greater", "less_equal"};
    net_value x = net_input_of(n, random_shape(n, ADZE_f32, 1, 4, n->large ? 20000 : 500), DATA_ANY, 0, 0), y = x;
    for (int64_t i = net_pick(n, 1, 4); i > 0; i--) {
        net_value other = net_chance(n, 30)                       ? net_weight(n, broadcast(n, x), 2)
                          : n->n_inputs < MAX_INPUTS ? net_input_of(n, broadcast(n, x), DATA_ANY, 0, 0)
                                                                  : x;
        const char *kind = kinds[net_pick(n, 0, (int64_t)ADZE_COUNT(kinds) - 1)];
        y = net_chance(n, 50) || !strcmp(kind, "prelu") ? binary(n, kind, y, other, y) : binary(n, kind, other, y, y);
        if (net_chance(n, 25))
            y = unary(n, net_chance(n, 50) ? "relu" : "abs", "", y);
        if (net_chance(n, 25)) {
            net_value truth = y;
            truth.dtype = ADZE_bool;
            truth = binary(n, tests[net_pick(n, 0, 4)], y, x, truth);
            y = net_op(n, "adze.where", "", 3, (net_value[]){truth, y, x}, y);
        }
    }
    net_output(n, y);
}

/* Integers of any width, wrapping. */
void row_elementwise_integer(net *n) {
    static const char *const kinds[] = {"add", "sub", "mul", "min", "max", "bit_and", "bit_or", "bit_xor"};
    static const adze_dtype dtypes[] = {ADZE_i8, ADZE_u8, ADZE_i16, ADZE_u16, ADZE_i32, ADZE_u32, ADZE_i64};
    net_value x = net_input_of(n, random_shape(n, dtypes[net_pick(n, 0, 6)], 1, 4, 300), DATA_ANY, 0, 0), y = x;
    for (int64_t i = net_pick(n, 1, 4); i > 0; i--)
        y = binary(n, kinds[net_pick(n, 0, 7)], y, net_input_of(n, broadcast(n, x), DATA_ANY, 0, 0), y);
    if (net_chance(n, 40)) {
        net_value z = y;
        z.dtype = net_chance(n, 50) ? ADZE_f32 : dtypes[net_pick(n, 0, 6)];
        y = net_op(n, "adze.cast", "saturate = true", 1, &y, z);
    }
    net_output(n, y);
}

void row_softmax(net *n) {
    net_value x = net_input_of(n, random_shape(n, ADZE_f32, 1, 4, n->large ? 20000 : 600), DATA_ANY, 0, 0);
    net_value y = net_chance(n, 30) ? unary(n, "neg", "", x) : x;
    y = net_op(n, "adze.softmax",
               net_text(n, "axis = %d : i64, log = %s", (int)net_pick(n, 0, x.rank - 1), net_chance(n, 30) ? "true" : "false"),
               1, &y, x);
    net_output(n, y);
}

/* LayerNorm, RMSNorm, InstanceNorm: over the last axes, or the spatial ones. */
void row_norm(net *n) {
    net_value x = net_input_of(n, random_shape(n, ADZE_f32, 2, 4, n->large ? 20000 : 600), DATA_ANY, 0, 0);
    const int first = (int)net_pick(n, 1, x.rank - 1);
    int64_t axes[ADZE_MAX_RANK];
    int n_axes = 0;
    net_value scale = net_shape(ADZE_f32, 0, NULL);
    for (int i = first; i < x.rank; i++) {
        axes[n_axes++] = i;
        scale.dims[scale.rank++] = x.dims[i];
    }
    net_value s = net_chance(n, 70) ? net_weight(n, scale, 2) : net_none;
    net_value b = s.id != -1 && net_chance(n, 60) ? net_weight(n, scale, 2) : net_none;
    net_value source = net_chance(n, 30) ? binary(n, "add", x, net_input_of(n, x, DATA_ANY, 0, 0), x) : x;
    net_value results[] = {x, net_none, net_none};
    net_ops(n, "adze.norm",
            net_text(n, "axes = %s, epsilon = 1.0e-5 : f64, center = %s", net_list(n, n_axes, axes),
                     net_chance(n, 60) ? "true" : "false"),
            3, (net_value[]){source, s, b}, 3, results);
    net_output(n, net_chance(n, 30) ? unary(n, "gelu", "", results[0]) : results[0]);
}

void row_reduce(net *n) {
    static const char *const kinds[] = {"sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum_exp", "sum_square"};
    net_value x = net_input_of(n, random_shape(n, ADZE_f32, 1, 4, n->large ? 20000 : 600), DATA_ANY, 0, 0);
    const bool keep = net_chance(n, 50);
    int64_t axes[ADZE_MAX_RANK];
    int n_axes = 0;
    net_value y = net_shape(ADZE_f32, 0, NULL);
    for (int i = 0; i < x.rank; i++) {
        const bool over = net_chance(n, 50) || (i == x.rank - 1 && !n_axes);
        if (over)
            axes[n_axes++] = i;
        if (!over || keep)
            y.dims[y.rank++] = over ? 1 : x.dims[i];
    }
    net_output(n, net_op(n, "adze.reduce",
                         net_text(n, "kind = \"%s\", axes = %s", kinds[net_pick(n, 0, 8)], net_list(n, n_axes, axes)), 1,
                         &x, y));
}

void row_arg_reduce(net *n) {
    static const adze_dtype dtypes[] = {ADZE_f32, ADZE_i8, ADZE_u8, ADZE_i32};
    net_value x = net_input_of(n, random_shape(n, dtypes[net_pick(n, 0, 3)], 1, 3, 400), DATA_ANY, 0, 0), y = x;
    const int axis = (int)net_pick(n, 0, x.rank - 1);
    y.dtype = ADZE_i64;
    y.dims[axis] = 1;
    net_output(n, net_op(n, "adze.arg_reduce",
                         net_text(n, "axis = %d : i64, kind = \"%s\", select_last = %s", axis,
                                  net_chance(n, 50) ? "max" : "min", net_chance(n, 30) ? "true" : "false"),
                         1, &x, y));
}

void row_cumulate(net *n) {
    net_value x = net_input_of(n, random_shape(n, net_chance(n, 70) ? ADZE_f32 : ADZE_i32, 1, 3, 300), DATA_ANY, 0, 0);
    net_output(n, net_op(n, "adze.cumulate",
                         net_text(n, "axis = %d : i64, kind = \"sum\", exclusive = %s, reverse = %s",
                                  (int)net_pick(n, 0, x.rank - 1), net_chance(n, 50) ? "true" : "false",
                                  net_chance(n, 50) ? "true" : "false"),
                         1, &x, x));
}

/* Transposes, slices, pads, concatenations, in a chain, with something elementwise between. */
void row_movement(net *n) {
    static const adze_dtype dtypes[] = {ADZE_f32, ADZE_f32, ADZE_i8, ADZE_i32, ADZE_f16, ADZE_bool};
    net_value x = net_input_of(n, random_shape(n, dtypes[net_pick(n, 0, 5)], 1, 4, n->large ? 20000 : 500), DATA_ANY, 0, 0);
    for (int64_t step = net_pick(n, 1, 3); step > 0; step--) {
        int64_t list[2 * ADZE_MAX_RANK], steps[ADZE_MAX_RANK];
        net_value y = x;
        const int axis = (int)net_pick(n, 0, x.rank - 1);
        switch (net_pick(n, 0, 4)) {
        case 0:
            for (int i = 0; i < x.rank; i++)
                list[i] = i;
            for (int i = x.rank - 1; i > 0; i--) {
                const int k = (int)net_pick(n, 0, i);
                const int64_t swap = list[i];
                list[i] = list[k];
                list[k] = swap;
            }
            x = transpose(n, x, list);
            break;
        case 1:
            for (int i = 0; i < x.rank; i++) {
                const bool back = net_chance(n, 20);
                list[i] = net_pick(n, 0, x.dims[i] - 1);
                steps[i] = net_chance(n, 70) ? 1 : net_pick(n, 1, 3);
                const int64_t room = back ? list[i] + 1 : x.dims[i] - list[i];
                y.dims[i] = net_pick(n, 1, (room + steps[i] - 1) / steps[i]);
                steps[i] = back ? -steps[i] : steps[i];
            }
            x = net_op(n, "adze.slice",
                       net_text(n, "starts = %s, steps = %s", net_list(n, x.rank, list), net_list(n, x.rank, steps)), 1, &x, y);
            break;
        case 2: {
            static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
            const int64_t mode = net_pick(n, 0, 3);
            for (int i = 0; i < x.rank; i++) {
                const int64_t most = mode == 2 ? x.dims[i] - 1 : mode == 3 ? x.dims[i] : 3;
                list[i] = net_pick(n, 0, most < 3 ? most : 3);
                list[x.rank + i] = net_pick(n, 0, most < 3 ? most : 3);
                y.dims[i] += list[i] + list[x.rank + i];
            }
            x = net_op(n, "adze.pad", net_text(n, "pads = %s, mode = \"%s\"", net_list(n, 2 * x.rank, list), modes[mode]), 2,
                       (net_value[]){x, net_none}, y);
            break;
        }
        case 3: {
            net_value other = x;
            other.dims[axis] = net_size(n, 9);
            other = net_input_of(n, other, DATA_ANY, 0, 0);
            y.dims[axis] += other.dims[axis];
            x = net_concat(n, axis, x, other, y);
            break;
        }
        default:
            if (x.dtype == ADZE_f32)
                x = unary(n, "relu", "", x);
        }
    }
    net_output(n, x);
}

void row_resize(net *n) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coords[] = {"half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"};
    window s = random_window(n, 2, WINDOW_POINT, 12);
    const int64_t channels = net_size(n, 20);
    net_value x = net_input_of(n, spatial_shape(ADZE_f32, 1, channels, 2, s.in), DATA_ANY, 0, 0), y = x;
    double scales[2];
    for (int d = 0; d < 2; d++) {
        y.dims[2 + d] = net_chance(n, 50) ? x.dims[2 + d] * 2 : net_size(n, 30);
        scales[d] = (double)y.dims[2 + d] / (double)x.dims[2 + d];
    }
    net_value r = net_op(n, "adze.resize",
                         net_text(n,
                                  "mode = \"%s\", coordinates = \"%s\", nearest = \"%s\", scales = array<f64: 1.0, 1.0, %.17e, "
                                  "%.17e>, cubic_coeff = -0.75 : f64, extrapolation = 0.0 : f64, exclude_outside = false, "
                                  "antialias = false",
                                  modes[net_pick(n, 0, 2)], coords[net_pick(n, 0, 3)], net_chance(n, 50) ? "floor" : "ceil",
                                  scales[0], scales[1]),
                         2, (net_value[]){x, net_none}, y);
    net_output(n, r);
}
