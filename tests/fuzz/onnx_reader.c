/* libFuzzer target: the ONNX reader and the tensor decoder on arbitrary bytes.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -I. ... tests/fuzz/onnx_reader.c
 * frontend/onnx/{wire,tensor}.c
 *   ./onnx_reader -max_len=65536 CORPUS        (seeds: small .onnx and .pb files)
 *
 * External data is left out: it would name files outside the input. */
#include "frontend/onnx/importer.h"

static void decode(adze_context *ctx, const onnx_TensorProto *t) {
    adze_tensor out;
    if (t && t->data_location != 1 && adze_onnx_tensor(ctx, "fuzz.onnx", t, &out) &&
        adze_tensor_count(&out) && out.dtype != ADZE_string) {
        volatile double last = adze_tensor_get_f64(&out, adze_tensor_count(&out) - 1);
        (void)last;
    }
}

static void decode_sparse(adze_context *ctx, const onnx_SparseTensorProto *s) {
    adze_tensor out;
    size_t dense = 1; /* a small file may ask for a huge dense tensor, legally: not here */
    const int64_t *dims = adze_onnx_ints(ctx->arena, &s->dims);
    for (size_t i = 0; i < s->dims.count; i++)
        if (dims[i] < 0 || !adze_mul_size(dense, (size_t)dims[i], &dense) || dense > 1 << 20)
            return;
    if (s->values && s->indices && s->values->data_location != 1 && s->indices->data_location != 1)
        adze_onnx_sparse_tensor(ctx, "fuzz.onnx", s, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    adze_context ctx = {0};
    onnx_ModelProto model;
    onnx_TensorProto tensor;
    ctx.arena = ctx.diags.arena = adze_arena_new();
    if (adze_onnx_parse_tensor(ctx.arena, &ctx.diags, data, size, &tensor))
        decode(&ctx, &tensor);
    if (adze_onnx_parse_model(ctx.arena, &ctx.diags, data, size, &model)) {
        const onnx_GraphProto *g = model.graph;
        for (size_t i = 0; i < g->initializer.count; i++)
            decode(&ctx, g->initializer.items[i]);
        for (size_t i = 0; i < g->sparse_initializer.count; i++)
            decode_sparse(&ctx, g->sparse_initializer.items[i]);
        for (size_t i = 0; i < g->node.count; i++)
            for (size_t k = 0; k < g->node.items[i]->attribute.count; k++) {
                const onnx_AttributeProto *a = g->node.items[i]->attribute.items[k];
                decode(&ctx, a->t);
                adze_onnx_ints(ctx.arena, &a->ints);
                adze_onnx_floats(ctx.arena, &a->floats);
            }
    }
    adze_arena_free(ctx.arena);
    return 0;
}
