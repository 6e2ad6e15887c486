/* Every integer operator against ONNX's definition, on real values: dequantize the operands, compute in
 * double, quantize the result. adze's integer result may be one step away (a tie, or a multiplier of 31 bits),
 * never more. Runs over the quantized models that are there and prints how often a step differs. */
#include "driver/driver.h"
#include "driver/reference_dir.h"
#include "frontend/onnx/import.h"
#include "ir/integer.h"
#include "passes/passes.h"
#include "reference/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct value {
    const void *key;
    adze_tensor tensor;
} value;

typedef struct watch {
    adze_context *ctx;
    MlirModule module;
    value values[4096];
    int n_values, n_operators;
    size_t elements, off_by_one;
    double worst;
} watch;

static const adze_tensor *lookup(watch *w, MlirValue v) {
    for (int i = w->n_values - 1; i >= 0; i--)
        if (w->values[i].key == v.ptr)
            return &w->values[i].tensor;
    adze_tensor *t = ADZE_NEW(w->ctx->arena, adze_tensor);
    return adze_constant_value(w->ctx, w->module, v, t) ? t : NULL;
}

static void keep(watch *w, MlirValue v, const adze_tensor *t) {
    assert_true(w->n_values < (int)ADZE_COUNT(w->values));
    adze_tensor copy;
    assert_true(adze_tensor_new(w->ctx->arena, t->dtype, t->rank, t->dims, &copy));
    memcpy(adze_tensor_data(&copy), t->data, adze_tensor_host_bytes(t));
    w->values[w->n_values++] = (value){v.ptr, copy};
}

/* The channel of element i along `axis`. */
static size_t channel_of(const adze_tensor *t, int axis, size_t i) {
    size_t inner = 1;
    for (int d = axis + 1; d < t->rank; d++)
        inner *= (size_t)t->dims[d];
    return i / inner % (size_t)t->dims[axis];
}

static adze_tensor to_real(watch *w, const adze_tensor *t, MlirType element, double factor) {
    adze_tensor out;
    adze_quant q;
    bool quantized = adze_quant_of(w->ctx, element, &q);
    assert_true(adze_tensor_new(w->ctx->arena, ADZE_f64, t->rank, t->dims, &out));
    for (size_t i = 0; i < adze_tensor_count(t); i++) {
        size_t k = quantized && q.n > 1 ? channel_of(t, q.axis, i) : 0;
        double v = adze_tensor_get_f64(t, i);
        adze_tensor_set_f64(&out, i, quantized ? (v - (double)q.zero_point[k]) * q.scale[k] : v * factor);
    }
    return out;
}

/* The same operation on f64 tensors, as a module with one entry. */
static bool real_result(watch *w, MlirOperation op, adze_tensor *out) {
    adze_context *ctx = w->ctx;
    intptr_t n = mlirOperationGetNumOperands(op);
    adze_tensor inputs[4];
    MlirType types[4];
    MlirLocation locs[4], unknown = mlirLocationUnknownGet(ctx->mlir);
    int n_inputs = 0;
    adze_shape shape;
    for (intptr_t i = 0; i < n; i++) {
        MlirValue v = mlirOperationGetOperand(op, i);
        if (adze_is_none(v))
            continue;
        const adze_tensor *t = lookup(w, v);
        if (!t || n_inputs == 4 || !adze_value_shape(ctx, v, &shape))
            return false;
        adze_quant q;
        if (!adze_quant_of(ctx, shape.element, &q) && adze_dtype_get(shape.dtype)->cls != 'F')
            return false; /* a plain i32 bias: QOperator models, whose scale is not in the graph */
        inputs[n_inputs] = to_real(w, t, shape.element, 1);
        shape.element = adze_element_type(ctx, ADZE_f64);
        locs[n_inputs] = unknown;
        types[n_inputs++] = adze_tensor_type(ctx, &shape);
    }
    assert_true(adze_value_shape(ctx, adze_result(op, 0), &shape));
    shape.element = adze_element_type(ctx, ADZE_f64);
    MlirType result = adze_tensor_type(ctx, &shape);
    MlirModule module = mlirModuleCreateEmpty(unknown);
    adze_builder top = adze_at_end(ctx, mlirModuleGetBody(module));
    adze_named attrs[] = {
        {"sym_name", adze_str(ctx, "run")},
        {"function_type", mlirTypeAttrGet(mlirFunctionTypeGet(ctx->mlir, n_inputs, types, 1, &result))},
        {"adze.entry", mlirUnitAttrGet(ctx->mlir)}};
    MlirOperation f = adze_build(&top, "func.func", 0, NULL, 0, NULL, 3, attrs, 1);
    MlirBlock body = mlirBlockCreate(n_inputs, types, locs);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(f, 0), body);
    adze_builder b = adze_at_end(ctx, body);
    MlirOperation copy = mlirOperationClone(op);
    for (intptr_t i = 0, k = 0; i < n; i++)
        mlirOperationSetOperand(copy, i, adze_is_none(mlirOperationGetOperand(op, i))
                                             ? adze_none_value(&b)
                                             : mlirBlockGetArgument(body, k++));
    adze_insert(&b, copy);
    mlirValueSetType(adze_result(copy, 0), result);
    MlirValue y = adze_result(copy, 0);
    adze_build(&b, "func.return", 1, &y, 0, NULL, 0, NULL, 0);
    bool ok = adze_ref_run(ctx, module, "run", inputs, n_inputs, out, 1, NULL, NULL);
    mlirModuleDestroy(module);
    return ok;
}

static void check_operator(MlirOperation op, const adze_tensor *results, int n, void *user) {
    watch *w = user;
    adze_shape shape;
    adze_quant q;
    for (int i = 0; i < n && i < mlirOperationGetNumResults(op); i++)
        if (results[i].dtype != ADZE_NO_DTYPE)
            keep(w, adze_result(op, i), &results[i]);
    static const adze_op checked[] = {ADZE_OP_conv,   ADZE_OP_matmul, ADZE_OP_pool, ADZE_OP_binary,
                                      ADZE_OP_reduce, ADZE_OP_softmax, ADZE_OP_unary};
    bool wanted = false;
    for (size_t i = 0; i < ADZE_COUNT(checked); i++)
        wanted |= adze_op_of(w->ctx, op) == checked[i];
    if (!wanted || !adze_value_shape(w->ctx, adze_result(op, 0), &shape) ||
        !adze_quant_of(w->ctx, shape.element, &q))
        return;
    adze_tensor real;
    size_t before = w->ctx->diags.count;
    if (!real_result(w, op, &real)) {
        w->ctx->diags.count = before;
        return;
    }
    int64_t low, high;
    adze_integer_range(q.storage, &low, &high);
    w->n_operators++;
    for (size_t i = 0; i < adze_tensor_count(&real); i++) {
        size_t k = q.n > 1 ? channel_of(&real, q.axis, i) : 0;
        int64_t want = adze_quantize_ref(adze_tensor_get_f64(&real, i) / q.scale[k], q.zero_point[k],
                                         low, high);
        double distance = fabs((double)(adze_tensor_get_i64(&results[0], i) - want));
        w->elements++;
        w->off_by_one += distance != 0;
        w->worst = fmax(w->worst, distance);
        if (distance > 1)
            fail_msg("%s: element %zu is %lld, ONNX's definition gives %lld", adze_node(w->ctx, op), i,
                     (long long)adze_tensor_get_i64(&results[0], i), (long long)want);
    }
}

static int check_model(const char *folder) {
    char path[1024], data[1024];
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    snprintf(data, sizeof data, "%s/test_data_set_0", folder);
    if (access(path, R_OK) != 0)
        return 0;
    adze_context *ctx = adze_context_new();
    assert_non_null(ctx);
    const adze_onnx_dim *dims = NULL;
    size_t n_dims = 0;
    assert_true(adze_reference_dims(ctx, path, data, NULL, 0, &dims, &n_dims));
    adze_onnx_options options = {.name = "m", .dims = dims, .n_dims = n_dims, .fold = adze_ref_fold};
    watch *w = calloc(1, sizeof *w);
    w->ctx = ctx;
    adze_pass_options pass = {0};
    assert_true(adze_onnx_import(ctx, path, &options, &w->module));
    static const char *const names[] = {"taps", "simplify", "integer"};
    for (size_t i = 0; i < ADZE_COUNT(names); i++)
        assert_true(adze_pass_run(ctx, w->module, adze_pass_named(names[i]), &pass));
    adze_tensor input, outputs[4];
    char file[1100];
    snprintf(file, sizeof file, "%s/input_0.pb", data);
    assert_true(adze_onnx_read_tensor_file(ctx, file, &input, NULL));
    MlirOperation f = adze_symbol(w->module, "func.func", "run");
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(f, 0));
    keep(w, mlirBlockGetArgument(body, 0), &input);
    assert_true(adze_ref_run(ctx, w->module, "run", &input, 1, outputs, 1, check_operator, w));
    printf("%s: %d operators, %zu elements, %.4f %% one step from ONNX's definition, none more\n", folder,
           w->n_operators, w->elements, 100.0 * (double)w->off_by_one / (double)w->elements);
    assert_true(w->n_operators > 0);
    free(w);
    adze_context_free(ctx);
    return 1;
}

static void one_step_at_each_operator(void **state) {
    (void)state;
    static const char *const models[] = {"kws-qdq", "mlperf-resnet8", "mlperf-kws-dscnn", "mlperf-vww"};
    assert_int_equal(check_model(ADZE_SOURCE_DIR "/examples/digits/int8"), 1);
    const char *data = getenv("ADZE_DATA");
    for (size_t i = 0; i < ADZE_COUNT(models); i++) {
        char folder[1024];
        snprintf(folder, sizeof folder, "%s/onnx/%s", data ? data : ADZE_SOURCE_DIR "/../shared/data",
                 models[i]);
        if (!check_model(folder))
            printf("%s is not there\n", folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_step_at_each_operator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
