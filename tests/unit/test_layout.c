/* The pass `layout` changes where values lie, never what an entry computes: random graphs, run by the
 * interpreter before and after; and graphs whose transposes must all disappear. `test_layout SEED` runs one
 * random graph and prints it before and after; `test_layout DUMP.mlir` does the same to a level-1 dump. */
#include "driver/job.h"
#include "ir/weights.h"
#include "passes/passes.h"
#include "reference/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPHS = 150, MAX_VALUES = 40, MAX_BOUNDARY = 8 };

/* ---- running ---- */

static uint32_t state_of_random;
static int dice(int n) {
    state_of_random = state_of_random * 1664525u + 1013904223u;
    return (int)((state_of_random >> 9) % (uint32_t)n);
}

static MlirOperation entry_of(MlirModule module) {
    MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
    while (!mlirOperationIsNull(op) && !adze_is_op(op, "func.func"))
        op = mlirOperationGetNextInBlock(op);
    return op;
}

static int boundary(adze_context *ctx, MlirModule module, adze_tensor *inputs, int *n_outputs) {
    MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(entry_of(module), 0));
    int n = (int)mlirBlockGetNumArguments(block);
    *n_outputs = (int)mlirOperationGetNumOperands(mlirBlockGetTerminator(block));
    assert_true(n <= MAX_BOUNDARY && *n_outputs <= MAX_BOUNDARY);
    for (int i = 0; i < n; i++) {
        adze_shape s;
        assert_true(adze_value_shape(ctx, mlirBlockGetArgument(block, i), &s));
        for (int d = 0; d < s.rank; d++)
            s.dims[d] = s.dims[d] < 0 ? 2 : s.dims[d];
        assert_true(adze_tensor_new(ctx->arena, s.dtype, s.rank, s.dims, &inputs[i]));
        for (size_t k = 0; k < adze_tensor_count(&inputs[i]); k++)
            adze_tensor_set_f64(&inputs[i], k, (dice(2001) - 1000) / (s.dtype == ADZE_f32 ? 500.0 : 16.0));
    }
    return n;
}

static bool said(adze_context *ctx) {
    for (size_t i = 0; i < ctx->diags.count; i++)
        print_error("  %s: %s\n", ctx->diags.items[i].node ? ctx->diags.items[i].node : "",
                    ctx->diags.items[i].cause);
    return false;
}

/* Runs the module, the pass, and the module again. Gives the bytes of transposes left, or -1. */
static int64_t same_before_and_after(adze_context *ctx, MlirModule module, bool show) {
    adze_tensor in[MAX_BOUNDARY], before[MAX_BOUNDARY], after[MAX_BOUNDARY];
    int n_out, n_in = boundary(ctx, module, in, &n_out);
    adze_text text = {0};
    if (show)
        adze_module_print(module, &text);
    const adze_pass_options options = {0};
    if (!adze_ref_run(ctx, module, NULL, in, n_in, before, n_out, NULL, NULL) ||
        !adze_pass_run(ctx, module, adze_pass_named("layout"), &options))
        return said(ctx) - 1;
    if (show) {
        adze_module_print(module, &text);
        printf("%s\n", text.data);
    }
    adze_text_free(&text);
    if (!adze_ref_run(ctx, module, NULL, in, n_in, after, n_out, NULL, NULL))
        return said(ctx) - 1;
    for (int i = 0; i < n_out; i++) {
        adze_ref_error error;
        bool equal = adze_ref_compare(&after[i], &before[i], &error);
        if (!error.same_type || (!equal && adze_dtype_get(before[i].dtype)->cls != 'F') ||
            !(error.max_rel < 1e-5)) {
            print_error("result %d differs at %zu: got %g, want %g\n", i, error.worst, error.got,
                        error.want);
            return -1;
        }
    }
    return adze_get_i64(mlirModuleGetOperation(module), "adze.transposed_bytes");
}

static int64_t run_text(const char *text, bool show) {
    adze_context *ctx = adze_context_new();
    assert_non_null(ctx);
    MlirModule module = adze_module_parse(ctx, text, "graph");
    int64_t bytes = -1;
    if (mlirModuleIsNull(module) || !adze_module_verify(ctx, module))
        said(ctx);
    else
        bytes = same_before_and_after(ctx, module, show);
    if (bytes < 0 && !show)
        print_error("%s\n", text);
    adze_context_free(ctx);
    return bytes;
}

/* ---- graphs as text ---- */

typedef struct shape {
    int rank, dims[6];
} shape;

typedef struct graph {
    adze_text body;
    shape values[MAX_VALUES];
    int n, n_names;
} graph;

static const char *type_of(const shape *s) {
    static char text[8][64];
    static int turn;
    char *t = text[turn = (turn + 1) % 8];
    int at = snprintf(t, sizeof *text, "tensor<");
    for (int d = 0; d < s->rank; d++)
        at += snprintf(t + at, sizeof *text - (size_t)at, "%dx", s->dims[d]);
    snprintf(t + at, sizeof *text - (size_t)at, "f32>");
    return t;
}

static int count_of(const shape *s) {
    int n = 1;
    for (int d = 0; d < s->rank; d++)
        n *= s->dims[d];
    return n;
}

/* A constant of random numbers; its name is %cNUMBER. */
static int constant(graph *g, const shape *s) {
    shape flat = {1, {count_of(s)}};
    int name = g->n_names++;
    adze_text_printf(&g->body, "%%f%d = \"adze.constant\"() {value = dense<[", name);
    for (int i = 0; i < flat.dims[0]; i++)
        adze_text_printf(&g->body, "%s%.3f", i ? "," : "", (dice(2001) - 1000) / 1000.0);
    adze_text_printf(&g->body, "]> : %s} : () -> %s\n", type_of(&flat), type_of(&flat));
    adze_text_printf(&g->body, "%%c%d = \"adze.reshape\"(%%f%d) : (%s) -> %s\n", name, name,
                     type_of(&flat), type_of(s));
    return name;
}

static void result(graph *g, const shape *s) { g->values[g->n++] = *s; }

/* `%vN = "adze.OP"(%vX) {ATTRS}` */
static void one(graph *g, const char *op, int x, const char *attrs, const shape *y) {
    adze_text_printf(&g->body, "%%v%d = \"adze.%s\"(%%v%d) {%s} : (%s) -> %s\n", g->n, op, x, attrs,
                     type_of(&g->values[x]), type_of(y));
    result(g, y);
}

static char *numbers(char *to, int n, const int *v) {
    char *start = to;
    *to = 0;
    for (int i = 0; i < n; i++)
        to += sprintf(to, "%s%d", i ? ", " : "", v[i]);
    return start;
}

static void add_conv(graph *g, int x, bool transposed) {
    const shape *s = &g->values[x];
    int n = s->rank - 2, stride = 1 + dice(2), group = s->dims[1] % 2 ? 1 : 1 + dice(2);
    int m = group * (1 + dice(4)), ones[8], pads[8] = {0}, strides[8];
    shape w = {s->rank, {m, s->dims[1] / group}}, b = {1, {m}}, y = *s;
    if (dice(3) == 0) { /* depthwise */
        group = s->dims[1];
        m = w.dims[0] = b.dims[0] = group;
        w.dims[1] = 1;
    }
    if (transposed) {
        w.dims[0] = s->dims[1];
        w.dims[1] = m / group;
    }
    y.dims[1] = m;
    for (int d = 0; d < n; d++) {
        int k = s->dims[2 + d] == 1 ? 1 : 1 + dice(3);
        w.dims[2 + d] = k;
        ones[d] = 1;
        strides[d] = stride;
        pads[d] = pads[n + d] = transposed ? 0 : k / 2;
        y.dims[2 + d] = transposed ? (s->dims[2 + d] - 1) * stride + k
                                   : (s->dims[2 + d] + 2 * (k / 2) - k) / stride + 1;
        if (y.dims[2 + d] > 12)
            return;
    }
    int cw = constant(g, &w), cb = constant(g, &b);
    char t[3][64];
    adze_text_printf(&g->body,
                     "%%v%d = \"adze.%s\"(%%v%d, %%c%d, %%c%d) {layout = \"channels_first\", group = %d : "
                     "i64, strides = array<i64: %s>, pads = array<i64: %s>, dilations = array<i64: %s>} : "
                     "(%s, %s, %s) -> %s\n",
                     g->n, transposed ? "conv_transpose" : "conv", x, cw, cb, group,
                     numbers(t[0], n, strides), numbers(t[1], 2 * n, pads), numbers(t[2], n, ones),
                     type_of(s), type_of(&w), type_of(&b), type_of(&y));
    result(g, &y);
}

static void add_pool(graph *g, int x) {
    static const char *const kinds[] = {"max", "average", "lp"};
    shape y = g->values[x];
    int n = y.rank - 2, twos[8], ones[8], zeros[8] = {0};
    for (int d = 0; d < n; d++) {
        if (y.dims[2 + d] < 2)
            return;
        y.dims[2 + d] = (y.dims[2 + d] - 2) / 2 + 1;
        twos[d] = 2;
        ones[d] = 1;
    }
    char t[3][64];
    adze_text_printf(&g->body,
                     "%%v%d, %%i%d = \"adze.pool\"(%%v%d) {layout = \"channels_first\", kind = \"%s\", kernel = "
                     "array<i64: %s>, strides = array<i64: %s>, pads = array<i64: %s>, dilations = array<i64: "
                     "%s>, count_include_pad = false, p = 2 : i64, column_major = false} : (%s) -> (%s, "
                     "!adze.absent)\n",
                     g->n, g->n, x, kinds[dice(3)], numbers(t[0], n, twos), t[0],
                     numbers(t[1], 2 * n, zeros), numbers(t[2], n, ones), type_of(&g->values[x]),
                     type_of(&y));
    result(g, &y);
}

static void add_binary(graph *g, int x) {
    const shape s = g->values[x];
    for (int tries = 0; tries < 6; tries++) { /* a value of the same extents, or fewer that broadcast */
        int y = dice(g->n), shift = s.rank - g->values[y].rank;
        bool fits = shift >= 0;
        for (int d = 0; fits && d < g->values[y].rank; d++)
            fits = g->values[y].dims[d] == s.dims[d + shift] || g->values[y].dims[d] == 1;
        if (!fits || y == x)
            continue;
        adze_text_printf(&g->body, "%%v%d = \"adze.binary\"(%%v%d, %%v%d) {kind = \"add\"} : (%s, %s) -> %s\n",
                         g->n, x, y, type_of(&s), type_of(&g->values[y]), type_of(&s));
        result(g, &s);
        return;
    }
    shape b = {s.rank, {0}};
    int from = dice(s.rank);
    b.rank -= from;
    for (int d = 0; d < b.rank; d++)
        b.dims[d] = dice(2) ? s.dims[d + from] : 1;
    int c = constant(g, &b);
    adze_text_printf(&g->body, "%%v%d = \"adze.binary\"(%%c%d, %%v%d) {kind = \"mul\"} : (%s, %s) -> %s\n",
                     g->n, c, x, type_of(&b), type_of(&s), type_of(&s));
    result(g, &s);
}

static void add_concat(graph *g, int x) {
    shape y = g->values[x];
    int axis = dice(y.rank);
    y.dims[axis] *= 2;
    adze_text_printf(&g->body, "%%v%d = tensor.concat dim(%d) %%v%d, %%v%d : (%s, %s) -> %s\n", g->n, axis, x,
                     x, type_of(&g->values[x]), type_of(&g->values[x]), type_of(&y));
    result(g, &y);
}

static void add_slice_or_pad(graph *g, int x, bool pad) {
    shape y = g->values[x];
    int first[16] = {0}, ones[8], axis = dice(y.rank);
    for (int d = 0; d < y.rank; d++)
        ones[d] = 1;
    char t[2][64], attrs[200];
    if (pad) {
        first[axis] = 1;
        y.dims[axis]++;
        snprintf(attrs, sizeof attrs, "pads = array<i64: %s>, mode = \"constant\"",
                 numbers(t[0], 2 * y.rank, first));
        adze_text_printf(&g->body, "%%v%d = \"adze.pad\"(%%v%d, %%none) {%s} : (%s, !adze.absent) -> %s\n",
                         g->n, x, attrs, type_of(&g->values[x]), type_of(&y));
        result(g, &y);
        return;
    }
    if (y.dims[axis] < 2)
        return;
    first[axis] = 1;
    y.dims[axis]--;
    snprintf(attrs, sizeof attrs, "starts = array<i64: %s>, steps = array<i64: %s>",
             numbers(t[0], y.rank, first), numbers(t[1], y.rank, ones));
    one(g, "slice", x, attrs, &y);
}

static void add_reduce(graph *g, int x) {
    const shape s = g->values[x];
    bool keep = dice(2);
    int axes[6], n = 0;
    shape y = {0};
    for (int d = 0; d < s.rank; d++) {
        bool drop = dice(3) == 0;
        if (drop)
            axes[n++] = d;
        if (!drop || keep)
            y.dims[y.rank++] = drop ? 1 : s.dims[d];
    }
    if (!n || !y.rank)
        return;
    char t[64], attrs[100];
    snprintf(attrs, sizeof attrs, "kind = \"mean\", axes = array<i64: %s>", numbers(t, n, axes));
    one(g, "reduce", x, attrs, &y);
}

static void add_transpose(graph *g, int x) {
    shape y = g->values[x];
    int perm[6];
    for (int d = 0; d < y.rank; d++)
        perm[d] = d;
    for (int d = y.rank - 1; d > 0; d--) {
        int k = dice(d + 1), t = perm[d];
        perm[d] = perm[k];
        perm[k] = t;
    }
    for (int d = 0; d < y.rank; d++)
        y.dims[d] = g->values[x].dims[perm[d]];
    char t[64], attrs[100];
    snprintf(attrs, sizeof attrs, "perm = array<i64: %s>", numbers(t, y.rank, perm));
    one(g, "transpose", x, attrs, &y);
}

/* Merges two neighbours, splits an even extent, or adds a 1. */
static void add_reshape(graph *g, int x) {
    shape s = g->values[x], y = s;
    int at = dice(s.rank), what = dice(3);
    if (what == 0 && at + 1 < s.rank && s.rank > 2) {
        y.dims[at] *= y.dims[at + 1];
        memmove(y.dims + at + 1, y.dims + at + 2, (size_t)(s.rank - at - 2) * sizeof *y.dims);
        y.rank--;
    } else if (s.rank < 5 && (what == 2 || s.dims[at] % 2 == 0)) {
        memmove(y.dims + at + 1, y.dims + at, (size_t)(s.rank - at) * sizeof *y.dims);
        y.dims[at] = what == 2 ? 1 : 2;
        y.dims[at + 1] = what == 2 ? s.dims[at] : s.dims[at] / 2;
        y.rank++;
    } else {
        return;
    }
    one(g, "reshape", x, "", &y);
}

static void add_softmax(graph *g, int x) {
    char attrs[64];
    snprintf(attrs, sizeof attrs, "axis = %d : i64, log = false", dice(g->values[x].rank));
    one(g, "softmax", x, attrs, &g->values[x]);
}

static void add_norm(graph *g, int x) {
    const shape s = g->values[x];
    shape scale = {1, {s.dims[s.rank - 1]}}, bias = {s.rank, {1, s.dims[1], 1, 1, 1}};
    int cs = constant(g, &scale), cb = constant(g, &bias);
    adze_text_printf(&g->body,
                     "%%v%d, %%m%d, %%d%d = \"adze.norm\"(%%v%d, %%c%d, %%c%d) {axes = array<i64: 1>, epsilon = "
                     "0.1 : f64, center = true} : (%s, %s, %s) -> (%s, !adze.absent, !adze.absent)\n",
                     g->n, g->n, g->n, x, cs, cb, type_of(&s), type_of(&scale), type_of(&bias),
                     type_of(&s));
    result(g, &s);
}

static void add_resize(graph *g, int x) {
    shape y = g->values[x];
    adze_text t = {0};
    for (int d = 0; d < y.rank; d++) {
        adze_text_printf(&t, "%s%d.0", d ? ", " : "", d < 2 ? 1 : 2);
        y.dims[d] *= d < 2 ? 1 : 2;
    }
    adze_text_printf(&g->body,
                     "%%v%d = \"adze.resize\"(%%v%d, %%none) {mode = \"linear\", scales = array<f64: %s>, "
                     "coordinates = \"half_pixel\", nearest = \"floor\", cubic_coeff = -0.75 : f64, "
                     "exclude_outside = false, extrapolation = 0.0 : f64, antialias = false} : (%s, "
                     "!adze.absent) -> %s\n",
                     g->n, x, t.data, type_of(&g->values[x]), type_of(&y));
    adze_text_free(&t);
    result(g, &y);
}

/* Flattened, through relu, times a constant. */
static void add_dense(graph *g, int x) {
    shape flat = {2, {g->values[x].dims[0], count_of(&g->values[x]) / g->values[x].dims[0]}};
    bool turned = dice(2);
    shape w = {2, {flat.dims[turned ? 0 : 1], 3}}, y = {2, {flat.dims[0], 3}};
    w.dims[0] = turned ? 3 : flat.dims[1];
    w.dims[1] = turned ? flat.dims[1] : 3;
    one(g, "reshape", x, "", &flat);
    one(g, "unary", g->n - 1, "kind = \"relu\", params = array<f64>", &flat);
    int cw = constant(g, &w);
    adze_text_printf(&g->body,
                     "%%v%d = \"adze.matmul\"(%%v%d, %%c%d, %%none) {trans_a = false, trans_b = %s} : (%s, %s, "
                     "!adze.absent) -> %s\n",
                     g->n, g->n - 1, cw, turned ? "true" : "false", type_of(&flat), type_of(&w),
                     type_of(&y));
    result(g, &y);
}

static void grow(graph *g) {
    int x = g->n - 1 - dice(g->n < 3 ? g->n : 3);
    const shape *s = &g->values[x];
    bool window = s->rank >= 3 && s->rank <= 5;
    if (count_of(s) > 3000)
        return;
    switch (dice(16)) {
    case 0: case 1: case 2: return window ? add_conv(g, x, false) : (void)0;
    case 3: return window ? add_conv(g, x, true) : (void)0;
    case 4: return window ? add_pool(g, x) : (void)0;
    case 5: return one(g, "unary", x, "kind = \"tanh\", params = array<f64>", s);
    case 6: case 7: return add_binary(g, x);
    case 8: return add_concat(g, x);
    case 9: return add_slice_or_pad(g, x, dice(2));
    case 10: return add_reduce(g, x);
    case 11: return add_transpose(g, x);
    case 12: return add_reshape(g, x);
    case 13: return dice(2) ? add_softmax(g, x) : s->rank > 1 ? add_norm(g, x) : (void)0;
    case 14: return window && s->rank < 5 ? add_resize(g, x) : (void)0;
    default: return s->rank > 2 && g->n + 3 < MAX_VALUES ? add_dense(g, x) : (void)0;
    }
}

/* Operations on values of x's own until there are enough; the last four values are results. */
static int64_t random_graph(uint32_t seed, bool show) {
    state_of_random = seed * 2654435761u + 1;
    graph g = {0};
    shape x = {3 + dice(2), {1 + dice(2), 1 + dice(5), 2 + dice(5), dice(4) ? 2 + dice(5) : 1}};
    result(&g, &x);
    add_conv(&g, 0, false);
    for (int tries = 0; tries < 60 && g.n < 6 + (int)(seed % 14); tries++)
        grow(&g);
    int first = g.n > 4 ? g.n - 4 : 0;
    adze_text all = {0}, types = {0}, names = {0};
    for (int i = first; i < g.n; i++) {
        adze_text_printf(&types, "%s%s", i > first ? ", " : "", type_of(&g.values[i]));
        adze_text_printf(&names, "%s%%v%d", i > first ? ", " : "", i);
    }
    adze_text_printf(&all,
                     "module attributes {adze.level = 1 : i64, adze.name = \"g\"} {\nfunc.func @run(%%v0: %s) -> "
                     "(%s) attributes {adze.entry} {\n%%none = \"adze.none\"() : () -> !adze.absent\n%sreturn %s "
                     ": %s\n}\n}\n",
                     type_of(&x), types.data, g.body.data ? g.body.data : "", names.data, types.data);
    int64_t bytes = run_text(all.data, show);
    adze_text_free(&all);
    adze_text_free(&types);
    adze_text_free(&names);
    adze_text_free(&g.body);
    return bytes;
}

static void random_graphs_keep_their_results(void **state) {
    (void)state;
    int wrong = 0;
    for (uint32_t seed = 0; seed < GRAPHS; seed++)
        if (random_graph(seed, false) < 0) {
            print_error("again: test_layout %u\n", seed);
            wrong++;
        }
    assert_int_equal(wrong, 0);
}

/* ---- what must disappear ---- */

#define SPLAT(name, type) "%" name " = \"adze.constant\"() {value = dense<0.25> : tensor<" type ">} : () -> tensor<" type ">\n"
#define CONV(y, x, w, pad, group, xt, wt, yt)                                                                     \
    "%" y " = \"adze.conv\"(%" x ", %" w ", %none) {layout = \"channels_first\", group = " group                   \
    " : i64, strides = array<i64: 1, 1>, pads = array<i64: " pad ">, dilations = array<i64: 1, 1>} : (tensor<" xt \
    ">, tensor<" wt ">, !adze.absent) -> tensor<" yt ">\n"
#define UNARY(y, x, kind, type)                                                                                   \
    "%" y " = \"adze.unary\"(%" x ") {kind = \"" kind "\", params = array<f64>} : (tensor<" type ">) -> tensor<" type ">\n"
#define RESHAPE(y, x, from, to) "%" y " = \"adze.reshape\"(%" x ") : (tensor<" from ">) -> tensor<" to ">\n"

static const struct {
    const char *name;
    int64_t bytes; /* of transposes left */
    const char *from, *to, *body;
} graphs[] = {
    {"a classifier: flattened in front of a matrix", 0, "2x1x6x6xf32", "2x5xf32",
     SPLAT("w", "4x1x3x3xf32") SPLAT("m", "64x5xf32")
     CONV("a", "x", "w", "0, 0, 0, 0", "1", "2x1x6x6xf32", "4x1x3x3xf32", "2x4x4x4xf32")
     UNARY("b", "a", "relu", "2x4x4x4xf32") RESHAPE("c", "b", "2x4x4x4xf32", "2x64xf32")
     "%y = \"adze.matmul\"(%c, %m, %none) {trans_a = false, trans_b = false} : (tensor<2x64xf32>, tensor<64x5xf32>, "
     "!adze.absent) -> tensor<2x5xf32>\n"},
    {"squeeze and excite, then a mean", 0, "1x1x6x6xf32", "1x4xf32",
     SPLAT("w", "4x1x3x3xf32") SPLAT("v", "4x4x1x1xf32") SPLAT("bias", "4x1x1xf32")
     CONV("a", "x", "w", "1, 1, 1, 1", "1", "1x1x6x6xf32", "4x1x3x3xf32", "1x4x6x6xf32")
     "%b = \"adze.binary\"(%a, %bias) {kind = \"add\"} : (tensor<1x4x6x6xf32>, tensor<4x1x1xf32>) -> tensor<1x4x6x6xf32>\n"
     "%c = \"adze.reduce\"(%b) {kind = \"mean\", axes = array<i64: 2, 3>} : (tensor<1x4x6x6xf32>) -> tensor<1x4x1x1xf32>\n"
     CONV("d", "c", "v", "0, 0, 0, 0", "1", "1x4x1x1xf32", "4x4x1x1xf32", "1x4x1x1xf32")
     UNARY("e", "d", "sigmoid", "1x4x1x1xf32")
     "%f = \"adze.binary\"(%b, %e) {kind = \"mul\"} : (tensor<1x4x6x6xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x6x6xf32>\n"
     "%y = \"adze.reduce\"(%f) {kind = \"mean\", axes = array<i64: 2, 3>} : (tensor<1x4x6x6xf32>) -> tensor<1x4xf32>\n"},
    {"pixels shuffled between convolutions: once", 4 * 8 * 3 * 3, "1x1x3x3xf32", "1x1x6x6xf32",
     SPLAT("w", "8x1x1x1xf32") SPLAT("v", "1x2x1x1xf32")
     CONV("a", "x", "w", "0, 0, 0, 0", "1", "1x1x3x3xf32", "8x1x1x1xf32", "1x8x3x3xf32")
     RESHAPE("b", "a", "1x8x3x3xf32", "1x2x2x2x3x3xf32")
     "%c = \"adze.transpose\"(%b) {perm = array<i64: 0, 1, 4, 2, 5, 3>} : (tensor<1x2x2x2x3x3xf32>) -> "
     "tensor<1x2x3x2x3x2xf32>\n"
     RESHAPE("d", "c", "1x2x3x2x3x2xf32", "1x2x6x6xf32")
     CONV("y", "d", "v", "0, 0, 0, 0", "1", "1x2x6x6xf32", "1x2x1x1xf32", "1x1x6x6xf32")},
    {"already as it should be: the model's own transposes", 0, "2x5x4x3xf32", "2x5x4x6xf32",
     SPLAT("w", "6x3x1x1xf32")
     "%a = \"adze.transpose\"(%x) {perm = array<i64: 0, 3, 1, 2>} : (tensor<2x5x4x3xf32>) -> tensor<2x3x5x4xf32>\n"
     CONV("b", "a", "w", "0, 0, 0, 0", "1", "2x3x5x4xf32", "6x3x1x1xf32", "2x6x5x4xf32")
     UNARY("c", "b", "relu", "2x6x5x4xf32")
     "%y = \"adze.transpose\"(%c) {perm = array<i64: 0, 2, 3, 1>} : (tensor<2x6x5x4xf32>) -> tensor<2x5x4x6xf32>\n"},
    {"a patch embedding: pixels in a row, channels last", 4 * 3 * 4 * 4, "1x3x4x4xf32", "1x16x6xf32",
     SPLAT("w", "6x3x1x1xf32")
     CONV("b", "x", "w", "0, 0, 0, 0", "1", "1x3x4x4xf32", "6x3x1x1xf32", "1x6x4x4xf32")
     RESHAPE("c", "b", "1x6x4x4xf32", "1x6x16xf32")
     "%y = \"adze.transpose\"(%c) {perm = array<i64: 0, 2, 1>} : (tensor<1x6x16xf32>) -> tensor<1x16x6xf32>\n"},
};

static void needless_transposes_disappear(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < ADZE_COUNT(graphs); i++) {
        adze_text text = {0};
        adze_text_printf(&text,
                         "module attributes {adze.level = 1 : i64, adze.name = \"g\"} {\nfunc.func @run(%%x: "
                         "tensor<%s>) -> (tensor<%s>) attributes {adze.entry} {\n%%none = \"adze.none\"() : () -> "
                         "!adze.absent\n%sreturn %%y : tensor<%s>\n}\n}\n",
                         graphs[i].from, graphs[i].to, graphs[i].body, graphs[i].to);
        int64_t bytes = run_text(text.data, false);
        adze_text_free(&text);
        if (bytes != graphs[i].bytes) {
            print_error("%s: %lld bytes of transposes, not %lld\n", graphs[i].name, (long long)bytes,
                        (long long)graphs[i].bytes);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs_keep_their_results),
                                       cmocka_unit_test(needless_transposes_disappear)};
    if (argc == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);
    int wrong = 0;
    for (int i = 1; i < argc; i++) {
        char *end;
        unsigned long seed = strtoul(argv[i], &end, 10);
        int64_t bytes = -1;
        if (!*end) {
            bytes = random_graph((uint32_t)seed, true);
        } else {
            adze_context *ctx = adze_context_new();
            MlirModule module;
            bool loaded = ctx && adze_job_load_dump(ctx, argv[i], &module);
            bytes = loaded ? same_before_and_after(ctx, module, false) : -1;
            if (ctx && !loaded)
                said(ctx);
            adze_context_free(ctx);
        }
        printf("%s: %lld bytes of transposes\n", argv[i], (long long)bytes);
        wrong += bytes < 0;
    }
    return wrong != 0;
}
