/* Writes level-1 modules of one operator, for measuring kernels: DIR/NAME.mlir and its weights in
 * DIR/blobs.
 *
 *   modules DIR gemm ENCODING M N K     y[M,N] = x[M,K] * w[K,N], w constant
 *   modules DIR layer NAME              a layer of the CMSIS-NN table, int8 in and out, channels
 * last modules list                        encodings, and layers with their multiply-accumulates
 *
 * Weights are random, the same every time. Quantized modules requantize per output channel. */
#include "driver/job.h"
#include "ir/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ---- */

typedef struct encoding {
    const char *name;
    adze_dtype x, w, y; /* y ADZE_NO_DTYPE: quantized to x's type, per output channel */
    const char *doc;
} encoding;

static const encoding encodings[] = {
    {"f32", ADZE_f32, ADZE_f32, ADZE_f32, "f32 x f32 -> f32"},
    {"f16", ADZE_f16, ADZE_f16, ADZE_f32, "f16 x f16 -> f32"},
    {"bf16", ADZE_bf16, ADZE_bf16, ADZE_f32, "bf16 x bf16 -> f32"},
    {"s8", ADZE_i8, ADZE_i8, ADZE_i32, "int8 x int8 -> int32"},
    {"u8", ADZE_u8, ADZE_i8, ADZE_i32, "uint8 x int8 -> int32"},
    {"q8", ADZE_i8, ADZE_i8, ADZE_NO_DTYPE, "int8 x int8 -> int8, requantized per channel"},
};

typedef enum layer_kind { CONV, DEPTHWISE, DENSE } layer_kind;

typedef struct layer {
    const char *name;
    layer_kind kind;
    int h, w, in, out, kernel; /* same padding, stride 1; DENSE: in, out only */
} layer;

static const layer layers[] = {
    {"conv1x1-25x5x64-64", CONV, 25, 5, 64, 64, 1},
    {"conv3x3-16x16x16-16", CONV, 16, 16, 16, 16, 3},
    {"conv3x3-8x8x64-64", CONV, 8, 8, 64, 64, 3},
    {"depthwise3x3-25x5x64", DEPTHWISE, 25, 5, 64, 64, 3},
    {"dense-640-128", DENSE, 1, 1, 640, 128, 1},
};

/* Multiply-accumulates of one call, those with padding included. */
static int64_t layer_macs(const layer *l) {
    int64_t in = l->kind == DEPTHWISE ? 1 : l->in;
    return (int64_t)l->h * l->w * l->out * l->kernel * l->kernel * in;
}

/* ---- random bytes of a type ---- */

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* One weight symbol's line, its bytes in the blob store. `element` is its MLIR type. Floats are in
 * [-1, 1); integers in their whole range without the least, `limit` > 0: in -limit .. limit. */
static void weight(adze_context *ctx, adze_text *text, const char *name, adze_dtype dtype,
                   const char *element, int rank, const int64_t *dims, int64_t limit) {
    static uint64_t state = 0xADE;
    adze_tensor t;
    adze_text packed = {0};
    if (!adze_tensor_new(ctx->arena, dtype, rank, dims, &t))
        abort();
    bool floats = adze_dtype_get(dtype)->cls == 'F';
    for (size_t i = 0, n = adze_tensor_count(&t); i < n; i++) {
        uint64_t r = splitmix64(&state);
        if (floats)
            adze_tensor_set_f64(&t, i, (double)(r >> 40) / 0x1p23 - 1.0);
        else
            adze_tensor_set_i64(&t, i, (int64_t)(r % (uint64_t)(2 * limit + 1)) - limit);
    }
    adze_tensor_pack(&t, &packed);
    const char *blob = adze_blob_add(ctx, packed.data, packed.length);
    adze_text_printf(text, "  \"adze.weight\"() {sym_name = \"%s\", type = tensor<", name);
    for (int i = 0; i < rank; i++)
        adze_text_printf(text, "%" PRId64 "x", dims[i]);
    adze_text_printf(text,
                     "%s>, file = \"%s\", offset = 0 : i64, bytes = %zu : i64, hash = \"%s\"} : () "
                     "-> ()\n",
                     element, blob, packed.length, strchr(blob, '/') + 1);
    adze_text_free(&packed);
}

static void begin(adze_text *text, const char *name) {
    adze_text_printf(text, "module attributes {adze.level = 1 : i64, adze.name = \"%s\"} {\n",
                     name);
}

static void entry(adze_text *text, const char *x, const char *y) {
    adze_text_printf(text,
                     "  func.func @run(%%x: tensor<%s> {adze.name = \"x\"}) -> (tensor<%s> "
                     "{adze.name = \"y\"}) attributes {adze.entry} {\n"
                     "    %%none = \"adze.none\"() : () -> !adze.absent\n",
                     x, y);
}

static void get(adze_text *text, const char *name, const char *type) {
    adze_text_printf(text,
                     "    %%%s = \"adze.get_weight\"() {weight = \"%s\"} : () -> tensor<%s>\n",
                     name, name, type);
}

static void end(adze_text *text, const char *y) {
    adze_text_printf(text, "    return %%y : tensor<%s>\n  }\n}\n", y);
}

static const char *spell(adze_dtype dtype) {
    return adze_dtype_get(dtype)->mlir;
}

/* ---- quantized types: scales that differ by channel and spread the results over int8 ---- */

typedef struct quantized {
    const char *x, *w, *bias, *y; /* MLIR element types */
} quantized;

/* Weights [..., M on `axis`, ...], `depth` products in a sum. */
static quantized quantize(adze_arena *arena, int channels, int axis, int64_t depth) {
    const double scale_x = 0.05, spread = 40;
    const double deviation = 73 * 73 * sqrt((double)depth); /* of sums of uniform int8 products */
    adze_text w = {0}, b = {0};
    uint64_t state = 0x5CA1E;
    adze_text_printf(&w, "!quant.uniform<i8:f32:%d, {", axis);
    adze_text_printf(&b, "!quant.uniform<i32:f32:0, {");
    for (int i = 0; i < channels; i++) {
        double scale_w = 0.002 + 0.004 * (double)(splitmix64(&state) >> 40) / 0x1p24;
        scale_w = (float)scale_w;
        adze_text_printf(&w, "%s%.17e", i ? "," : "", scale_w);
        adze_text_printf(&b, "%s%.17e", i ? "," : "", scale_w * (float)scale_x);
    }
    quantized q = {
        .x = adze_arena_printf(arena, "!quant.uniform<i8:f32, %.17e:-3>", (float)scale_x),
        .w = adze_arena_printf(arena, "%s}>", w.data),
        .bias = adze_arena_printf(arena, "%s}>", b.data),
        .y = adze_arena_printf(arena, "!quant.uniform<i8:f32, %.17e:4>",
                               (float)(scale_x * 0.004 * deviation / spread)),
    };
    adze_text_free(&w);
    adze_text_free(&b);
    return q;
}

enum { WEIGHT_LIMIT = 127, BIAS_LIMIT = 2000 };

/* ---- modules ---- */

static void gemm_plain(adze_context *ctx, adze_text *text, const encoding *e, int64_t m, int64_t n,
                       int64_t k) {
    adze_arena *a = ctx->arena;
    const char *x = adze_arena_printf(a, "%" PRId64 "x%" PRId64 "x%s", m, k, spell(e->x));
    const char *w = adze_arena_printf(a, "%" PRId64 "x%" PRId64 "x%s", k, n, spell(e->w));
    const char *y = adze_arena_printf(a, "%" PRId64 "x%" PRId64 "x%s", m, n, spell(e->y));
    weight(ctx, text, "w", e->w, spell(e->w), 2, (int64_t[]){k, n}, WEIGHT_LIMIT);
    entry(text, x, y);
    get(text, "w", w);
    adze_text_printf(text,
                     "    %%y = \"adze.matmul\"(%%x, %%w, %%none) {adze.node = \"gemm\", trans_a = "
                     "false, trans_b = false} : (tensor<%s>, tensor<%s>, !adze.absent) -> "
                     "tensor<%s>\n",
                     x, w, y);
    end(text, y);
}

/* x [m,k] and w [n,k], as dense layers have it. */
static void gemm_quantized(adze_context *ctx, adze_text *text, int64_t m, int64_t n, int64_t k) {
    adze_arena *a = ctx->arena;
    quantized q = quantize(a, (int)n, 0, k);
    const char *mk = adze_arena_printf(a, "%" PRId64 "x%" PRId64 "x", m, k);
    const char *mn = adze_arena_printf(a, "%" PRId64 "x%" PRId64 "x", m, n);
    weight(ctx, text, "w", ADZE_i8, q.w, 2, (int64_t[]){n, k}, WEIGHT_LIMIT);
    weight(ctx, text, "bias", ADZE_i32, q.bias, 1, (int64_t[]){n}, BIAS_LIMIT);
    entry(text, adze_arena_printf(a, "%si8", mk), adze_arena_printf(a, "%si8", mn));
    const char *w = adze_arena_printf(a, "%" PRId64 "x%" PRId64 "x%s", n, k, q.w);
    const char *bias = adze_arena_printf(a, "%" PRId64 "x%s", n, q.bias);
    get(text, "w", w);
    get(text, "bias", bias);
    adze_text_printf(
        text,
        "    %%xq = \"adze.bitcast\"(%%x) {adze.node = \"in\"} : (tensor<%si8>) -> tensor<%s%s>\n"
        "    %%yq = \"adze.matmul\"(%%xq, %%w, %%bias) {adze.node = \"dense\", trans_a = false, "
        "trans_b = true} : (tensor<%s%s>, tensor<%s>, tensor<%s>) -> tensor<%s%s>\n"
        "    %%y = \"adze.bitcast\"(%%yq) {adze.node = \"out\"} : (tensor<%s%s>) -> tensor<%si8>\n",
        mk, mk, q.x, mk, q.x, w, bias, mn, q.y, mn, q.y, mn);
    end(text, adze_arena_printf(a, "%si8", mn));
}

/* Channels last at the border, as the runtimes of microcontrollers have it; ONNX's order within. */
static void convolution(adze_context *ctx, adze_text *text, const layer *l) {
    adze_arena *a = ctx->arena;
    const int per_group = l->kind == DEPTHWISE ? 1 : l->in, k = l->kernel, pad = (k - 1) / 2;
    quantized q = quantize(a, l->out, 0, (int64_t)per_group * k * k);
    const char *x = adze_arena_printf(a, "1x%dx%dx%dxi8", l->h, l->w, l->in);
    const char *y = adze_arena_printf(a, "1x%dx%dx%dxi8", l->h, l->w, l->out);
    const char *xt = adze_arena_printf(a, "1x%dx%dx%dx", l->in, l->h, l->w);
    const char *yt = adze_arena_printf(a, "1x%dx%dx%dx", l->out, l->h, l->w);
    const char *w = adze_arena_printf(a, "%dx%dx%dx%dx%s", l->out, per_group, k, k, q.w);
    const char *bias = adze_arena_printf(a, "%dx%s", l->out, q.bias);
    weight(ctx, text, "w", ADZE_i8, q.w, 4, (int64_t[]){l->out, per_group, k, k}, WEIGHT_LIMIT);
    weight(ctx, text, "bias", ADZE_i32, q.bias, 1, (int64_t[]){l->out}, BIAS_LIMIT);
    entry(text, x, y);
    get(text, "w", w);
    get(text, "bias", bias);
    adze_text_printf(
        text,
        "    %%xt = \"adze.transpose\"(%%x) {adze.node = \"nchw\", perm = array<i64: 0, 3, 1, 2>} "
        ": "
        "(tensor<%s>) -> tensor<%si8>\n"
        "    %%xq = \"adze.bitcast\"(%%xt) {adze.node = \"in\"} : (tensor<%si8>) -> tensor<%s%s>\n"
        "    %%yq = \"adze.conv\"(%%xq, %%w, %%bias) {adze.node = \"conv\", strides = array<i64: "
        "1, "
        "1>, pads = array<i64: %d, %d, %d, %d>, dilations = array<i64: 1, 1>, group = %d : i64, "
        "layout = \"channels_first\"} : (tensor<%s%s>, tensor<%s>, tensor<%s>) -> tensor<%s%s>\n"
        "    %%yt = \"adze.bitcast\"(%%yq) {adze.node = \"out\"} : (tensor<%s%s>) -> tensor<%si8>\n"
        "    %%y = \"adze.transpose\"(%%yt) {adze.node = \"nhwc\", perm = array<i64: 0, 2, 3, 1>} "
        ": "
        "(tensor<%si8>) -> tensor<%s>\n",
        x, xt, xt, xt, q.x, pad, pad, pad, pad, l->kind == DEPTHWISE ? l->in : 1, xt, q.x, w, bias,
        yt, q.y, yt, q.y, yt, yt, y);
    end(text, y);
}

/* ---- the command line ---- */

static int write_module(adze_context *ctx, const char *dir, const char *name,
                        const adze_text *text) {
    const char *path = adze_arena_printf(ctx->arena, "%s/%s.mlir", dir, name);
    MlirModule module = adze_module_parse(ctx, text->data, path);
    bool ok = !mlirModuleIsNull(module) && adze_make_folders(ctx, dir) &&
              adze_blobs_write(ctx, module, dir) &&
              adze_write_file(ctx, path, text->data, text->length);
    adze_text errors = {0};
    adze_diagnostics_print(&ctx->diags, &errors);
    if (!ok)
        fprintf(stderr, "modules: %s", errors.data ? errors.data : "failed\n");
    else
        puts(path);
    return ok ? 0 : 1;
}

static int list(void) {
    for (size_t i = 0; i < ADZE_COUNT(encodings); i++)
        printf("encoding\t%s\t%s\n", encodings[i].name, encodings[i].doc);
    for (size_t i = 0; i < ADZE_COUNT(layers); i++)
        printf("layer\t%s\t%" PRId64 "\n", layers[i].name, layer_macs(&layers[i]));
    return 0;
}

static int usage(void) {
    fputs("usage: modules DIR gemm ENCODING M N K | modules DIR layer NAME | modules list\n",
          stderr);
    return 2;
}

static bool extent(const char *text, int64_t *out) {
    enum { MOST = 1 << 20 };
    *out = strtoll(text, NULL, 10);
    return *out >= 1 && *out <= MOST;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "list"))
        return list();
    adze_context *ctx = adze_context_new();
    adze_text text = {0};
    if (ctx && argc == 7 && !strcmp(argv[2], "gemm")) {
        const encoding *e = NULL;
        int64_t m, n, k;
        for (size_t i = 0; i < ADZE_COUNT(encodings); i++)
            if (!strcmp(encodings[i].name, argv[3]))
                e = &encodings[i];
        if (!e || !extent(argv[4], &m) || !extent(argv[5], &n) || !extent(argv[6], &k))
            return usage();
        begin(&text, "gemm");
        if (e->y == ADZE_NO_DTYPE)
            gemm_quantized(ctx, &text, m, n, k);
        else
            gemm_plain(ctx, &text, e, m, n, k);
        return write_module(
            ctx, argv[1],
            adze_arena_printf(ctx->arena, "gemm-%s-%s-%s-%s", argv[3], argv[4], argv[5], argv[6]),
            &text);
    }
    for (size_t i = 0; ctx && argc == 4 && !strcmp(argv[2], "layer") && i < ADZE_COUNT(layers);
         i++) {
        const layer *l = &layers[i];
        if (strcmp(l->name, argv[3]))
            continue;
        begin(&text, "layer");
        if (l->kind == DENSE)
            gemm_quantized(ctx, &text, 1, l->out, l->in);
        else
            convolution(ctx, &text, l);
        return write_module(ctx, argv[1], l->name, &text);
    }
    return usage();
}
