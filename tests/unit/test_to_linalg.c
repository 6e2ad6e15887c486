/* Level-1 operations as linalg: every case builds operations that MLIR's verifier accepts, of the right
 * type, with bodies that the C emitter knows; or fails with a diagnostic that says `error`. */
#include "passes/to_linalg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <string.h>

#define Q8 "!quant.uniform<i8:f32, 0.5:3>"
#define Q8B "!quant.uniform<i8:f32, 0.25:-7>"
#define QU8 "!quant.uniform<u8:f32, 0.125:128>"
#define Q16 "!quant.uniform<i16:f32, 0.01>"
#define QAXIS "!quant.uniform<i8:f32:1, {0.5, 0.25, 0.125}>"

/* args: types of %0 %1 ...; op: its text after the operands' types are known; result type. */
static const struct sample {
    const char *op, *operands, *attrs, *types, *result;
    const char *contains; /* in the text that comes out; NULL: nothing in particular */
    const char *error;    /* NULL: succeeds */
} samples[] = {
    {"unary", "%0", "kind = \"relu\", params = array<f64>", "tensor<2x3xf32>", "tensor<2x3xf32>",
     "arith.select", NULL},
    {"unary", "%0", "kind = \"gelu\", params = array<f64>", "tensor<f16>", "tensor<f16>", "math.erf", NULL},
    {"unary", "%0", "kind = \"abs\", params = array<f64>", "tensor<?x3xui8, {dims = [\"T\", \"\"]}>",
     "tensor<?x3xui8, {dims = [\"T\", \"\"]}>", "tensor.dim", NULL},
    {"unary", "%0", "kind = \"is_nan\", params = array<f64>", "tensor<4xf64>", "tensor<4xi1>", NULL, NULL},
    {"unary", "%0", "kind = \"not\", params = array<f64>", "tensor<4xf32>", "tensor<4xi1>", NULL,
     "'not' is not defined for f32"},
    {"binary", "%0, %1", "kind = \"add\"", "tensor<2x1x4xf32>, tensor<3x1xf32>", "tensor<2x3x4xf32>",
     "0, d2", NULL},
    {"binary", "%0, %c", "kind = \"mul\"", "tensor<5x1xf32>", "tensor<5x1xf32>", "2.000000e+00", NULL},
    {"binary", "%0, %1", "kind = \"less\"", "tensor<i64>, tensor<3xi64>", "tensor<3xi1>", "arith.cmpi slt",
     NULL},
    {"binary", "%0, %1", "kind = \"pow\"", "tensor<3xf32>, tensor<3xi32>", "tensor<3xf32>", "math.powf",
     NULL},
    {"binary", "%0, %1", "kind = \"add\"", "tensor<3xf32>, tensor<3xi32>", "tensor<3xf32>", NULL,
     "'add' of f32 and i32"},
    {"where", "%0, %1, %2", "", "tensor<3x1xi1>, tensor<1x4xf16>, tensor<f16>", "tensor<3x4xf16>", NULL,
     NULL},
    {"where", "%0, %1, %2", "", "tensor<3xi1>, tensor<3xui8>, tensor<3xui8>", "tensor<3xui8>", NULL, NULL},
    {"where", "%0, %1, %2", "", "tensor<3xi1>, tensor<3x" Q8 ">, tensor<3x" Q8B ">", "tensor<3x" Q8 ">",
     "adze.requantize", NULL},
    {"cast", "%0", "saturate = true", "tensor<3xf32>", "tensor<3xf8E4M3FN>", "4.480000e+02", NULL},
    {"cast", "%0", "saturate = true", "tensor<3xf32>", "tensor<3xi4>", "arith.shrsi", NULL},
    {"cast", "%0", "saturate = true", "tensor<3x!adze.string>", "tensor<3xi4>", NULL,
     "no conversion from string to i4"},
    {"transpose", "%0", "perm = array<i64: 2, 0, 1>", "tensor<2x3x4xui8>", "tensor<4x2x3xui8>",
     "(d0, d1, d2) -> (d1, d2, d0)", NULL},
    {"transpose", "%0", "perm = array<i64: 1, 0>", "tensor<2x3x!adze.string>",
     "tensor<3x2x!adze.string>", NULL, NULL},
    {"transpose", "%0", "perm = array<i64: 1, 0>", "tensor<2x3x" Q8 ">", "tensor<3x2x" Q8B ">",
     "adze.requantize", NULL},
    {"transpose", "%0", "perm = array<i64: 1, 1>", "tensor<2x3xf32>", "tensor<3x2xf32>", NULL,
     "not a permutation"},
    {"expand", "%0", "", "tensor<3x1xf32>", "tensor<2x3x4xf32>", "(d1, 0)", NULL},
    {"quantize", "%0, %n, %n", "axis = -1 : i64, block_size = 0 : i64", "tensor<2x3xf32>",
     "tensor<2x3x" QU8 ">", "math.roundeven", NULL},
    {"quantize", "%0, %n, %n", "axis = -1 : i64, block_size = 0 : i64", "tensor<2x3xf32>",
     "tensor<2x3x" QAXIS ">", "2.500000e-01", NULL},
    {"quantize", "%0, %1, %2", "axis = 1 : i64, block_size = 0 : i64",
     "tensor<2x3xf32>, tensor<3xf32>, tensor<3xui8>", "tensor<2x3xui8>", NULL, NULL},
    {"quantize", "%0, %1, %2", "axis = 1 : i64, block_size = 2 : i64",
     "tensor<2x6xf32>, tensor<2x3xf32>, tensor<2x3xi4>", "tensor<2x6xi4>", "floordiv 2", NULL},
    {"quantize", "%0, %1, %2", "axis = -1 : i64, block_size = 0 : i64",
     "tensor<2xf16>, tensor<f16>, tensor<f8E5M2>", "tensor<2xf8E5M2>", NULL, NULL},
    {"quantize", "%0, %n, %n", "axis = -1 : i64, block_size = 0 : i64", "tensor<2xf32>", "tensor<2xi8>",
     NULL, "neither a quantized type nor a scale"},
    {"dequantize", "%0, %n, %n", "axis = -1 : i64, block_size = 0 : i64", "tensor<2x3x" QU8 ">",
     "tensor<2x3xf32>", "arith.mulf", NULL},
    {"dequantize", "%0, %1, %n", "axis = 0 : i64, block_size = 0 : i64", "tensor<2x3xi32>, tensor<2xf32>",
     "tensor<2x3xf16>", NULL, NULL},
    {"dequantize", "%0, %1, %2", "axis = 0 : i64, block_size = 3 : i64",
     "tensor<6x3xui4>, tensor<2x3xf32>, tensor<2x3xui4>", "tensor<6x3xf32>", "floordiv 3", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x3xf32>, tensor<3x4xf32>",
     "tensor<2x4xf32>", "\"reduction\"", NULL},
    {"matmul", "%0, %1, %n", "trans_a = true, trans_b = true", "tensor<5x1x3x2xf16>, tensor<7x4x3xf16>",
     "tensor<5x7x2x4xf16>", "arith.truncf", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<3xf32>, tensor<3xf32>",
     "tensor<f32>", NULL, NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<3xf32>, tensor<2x3x4xf32>",
     "tensor<2x4xf32>", NULL, NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x4x3xui8>, tensor<3xi8>",
     "tensor<2x4xi32>", "arith.extui", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x3xui32>, tensor<3x2xui32>",
     "tensor<2x2xui32>", NULL, NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x5x" Q8 ">, tensor<5x3x" QAXIS ">",
     "tensor<2x3x" QU8 ">", "adze.requantize", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x5x" Q8 ">, tensor<5x3x" QU8 ">",
     "tensor<2x3xi32>", "arith.subi", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x5x" Q8 ">, tensor<5x3x" QAXIS ">",
     "tensor<2x3xf32>", "arith.sitofp", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = false", "tensor<2x5xf32>, tensor<5x3x" QAXIS ">",
     "tensor<2x3xf32>", "arith.mulf", NULL},
    {"matmul", "%0, %1, %n", "trans_a = false, trans_b = true", "tensor<2x3x" Q8 ">, tensor<5x3x" QAXIS ">",
     "tensor<2x5x" Q8 ">", NULL, "other than b's columns"},
    {"matmul", "%0, %1, %2", "trans_a = false, trans_b = false",
     "tensor<2x3xf32>, tensor<3x4xf32>, tensor<4xf32>", "tensor<2x4xf32>", "(d1)", NULL},
    {"matmul", "%0, %1, %c", "trans_a = false, trans_b = false",
     "tensor<2x3x" Q8 ">, tensor<3x1x" QU8 ">", "tensor<2x1x" Q8B ">", "32 : i32", NULL},
    {"matmul", "%0, %1, %2", "trans_a = false, trans_b = false",
     "tensor<2x3x" Q8 ">, tensor<3x4x" QU8 ">, tensor<4xi32>", "tensor<2x4x" Q8B ">", "requantize", NULL},
    {"matmul", "%0, %1, %2", "trans_a = false, trans_b = false",
     "tensor<2x3x" Q8 ">, tensor<3x4x" QU8 ">, tensor<4xf32>", "tensor<2x4xf32>", "arith.addf", NULL},
    {"einsum", "%0, %1", "equation = \"bij,bjk->bik\"", "tensor<2x3x4xf32>, tensor<2x4x5xf32>",
     "tensor<2x3x5xf32>", "\"reduction\"", NULL},
    {"einsum", "%0, %n", "equation = \"ii->i\"", "tensor<3x3xf32>", "tensor<3xf32>", "(d0, d0)", NULL},
    {"einsum", "%0, %1", "equation = \"i,j->ij\"", "tensor<3xi16>, tensor<2xi16>", "tensor<3x2xi16>",
     "arith.trunci", NULL},
    {"einsum", "%0, %n", "equation = \"ij\"", "tensor<3x3xf32>", "tensor<3xf32>", NULL, "explicit"},
    {"reduce", "%0", "kind = \"sum\", axes = array<i64: 1>", "tensor<2x3x4xf32>", "tensor<2x4xf32>",
     "arith.addf", NULL},
    {"reduce", "%0", "kind = \"mean\", axes = array<i64: 0, 2>", "tensor<2x3x4xf16>",
     "tensor<1x3x1xf16>", "8.000000e+00", NULL},
    {"reduce", "%0", "kind = \"max\", axes = array<i64: 0>", "tensor<4xui8>", "tensor<ui8>",
     "arith.maxui", NULL},
    {"reduce", "%0", "kind = \"max\", axes = array<i64: 0>", "tensor<4xi1>", "tensor<i1>", "arith.ori",
     NULL},
    {"reduce", "%0", "kind = \"min\", axes = array<i64>", "tensor<4xi64>", "tensor<4xi64>", NULL, NULL},
    {"reduce", "%0", "kind = \"mean\", axes = array<i64: 0>", "tensor<4xi8>", "tensor<i8>", "arith.divsi",
     NULL},
    {"reduce", "%0", "kind = \"l2\", axes = array<i64: 0>", "tensor<4x2xf32>", "tensor<1x2xf32>",
     "math.sqrt", NULL},
    {"reduce", "%0", "kind = \"l2\", axes = array<i64: 0>", "tensor<4x2xi32>", "tensor<1x2xi32>",
     "arith.fptosi", NULL},
    {"reduce", "%0", "kind = \"prod\", axes = array<i64: 0>", "tensor<4x2xi4>", "tensor<2xi4>", NULL,
     NULL},
    {"reduce", "%0", "kind = \"log_sum\", axes = array<i64: 0>", "tensor<4x2xf32>", "tensor<2xf32>",
     "math.log", NULL},
    {"reduce", "%0", "kind = \"log_sum_exp\", axes = array<i64: 0, 1>", "tensor<4x2xf32>",
     "tensor<1x1xf32>", "math.exp", NULL},
    {"reduce", "%0", "kind = \"mean\", axes = array<i64: 1>", "tensor<2x3x" Q8 ">", "tensor<2x1x" Q8B ">",
     "adze.requantize", NULL},
    {"reduce", "%0", "kind = \"max\", axes = array<i64: 1>", "tensor<2x3x" Q8 ">", "tensor<2x" Q8B ">",
     "adze.requantize", NULL},
    {"reduce", "%0", "kind = \"sum\", axes = array<i64: 1>", "tensor<2x3x" Q8 ">", "tensor<2xf32>",
     "arith.sitofp", NULL},
    {"reduce", "%0", "kind = \"l1\", axes = array<i64: 1>", "tensor<2x3x" Q8 ">", "tensor<2x" Q8B ">",
     "math.roundeven", NULL},
    {"reduce", "%0", "kind = \"sum\", axes = array<i64: 7>", "tensor<2x3xf32>", "tensor<2xf32>", NULL,
     "beyond the operand's rank"},
    {"unary", "%0", "kind = \"sigmoid\", params = array<f64>", "tensor<2x" Q8 ">", "tensor<2x" QU8 ">",
     "tensor.extract", NULL},
    {"unary", "%0", "kind = \"tanh\", params = array<f64>", "tensor<2x" QU8 ">", "tensor<2x" Q8 ">",
     "arith.index_castui", NULL},
    {"unary", "%0", "kind = \"relu\", params = array<f64>", "tensor<2x" Q8 ">", "tensor<2x" Q8 ">",
     "arith.maxsi", NULL},
    {"unary", "%0", "kind = \"clip\", params = array<f64: 0.0, 6.0>", "tensor<2x" QU8 ">",
     "tensor<2x" QU8 ">", "arith.minui", NULL},
    {"unary", "%0", "kind = \"tanh\", params = array<f64>", "tensor<2x" Q16 ">", "tensor<2x" Q16 ">",
     "math.tanh", NULL},
    {"binary", "%0, %1", "kind = \"add\"", "tensor<2x1x" Q8 ">, tensor<2x" Q8B ">", "tensor<2x2x" QU8 ">",
     "arith.muli", NULL},
    {"binary", "%0, %1", "kind = \"mul\"", "tensor<2x" Q8 ">, tensor<2x" QU8 ">", "tensor<2x" Q8 ">",
     "adze.requantize", NULL},
    {"binary", "%0, %1", "kind = \"mul\"", "tensor<2x" Q16 ">, tensor<2x" Q16 ">", "tensor<2x" Q16 ">",
     "arith.shrsi", NULL},
    {"binary", "%0, %1", "kind = \"max\"", "tensor<2x" Q8 ">, tensor<2x" Q8 ">", "tensor<2x" Q8 ">",
     "arith.maxsi", NULL},
    {"binary", "%0, %1", "kind = \"div\"", "tensor<2x" Q8 ">, tensor<2x" QU8 ">", "tensor<2x" Q8 ">",
     "arith.divf", NULL},
    {"binary", "%0, %1", "kind = \"mul\"", "tensor<2x3x" QAXIS ">, tensor<2x1xf32>", "tensor<2x3xf32>",
     "arith.mulf", NULL},
    {"binary", "%0, %1", "kind = \"greater\"", "tensor<2x" Q8 ">, tensor<2x" Q8B ">", "tensor<2xi1>",
     "arith.cmpf", NULL},
};

/* What bodies may hold: what the C emitter knows, and a look-up in a table. */
static const char *const emitted[] = {
#define ROW(op, handler, c, prec, pure) op,
#include "codegen/emit_ops.def"
#undef ROW
    "linalg.yield", "tensor.extract",
};

static void check_body(MlirOperation op, void *user) {
    (void)user;
    MlirOperation parent = mlirOperationGetParentOperation(op);
    if (!adze_is_op(parent, "linalg.generic"))
        return;
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    for (size_t i = 0; i < ADZE_COUNT(emitted); i++)
        if (name.length == strlen(emitted[i]) && !memcmp(name.data, emitted[i], name.length))
            return;
    fail_msg("no C for %.*s", (int)name.length, name.data);
}

static MlirOperation found;
static void find(MlirOperation op, void *user) {
    if (adze_op_of(user, op) == ADZE_OP_NONE_OF_OURS || adze_is_op(op, "adze.none") ||
        adze_is_op(op, "adze.constant") || adze_is_op(op, "adze.dim"))
        return;
    found = op;
}

static MlirModule parse(adze_context *ctx, const struct sample *s) {
    adze_text text = {0};
    int n = 0;
    adze_text_puts(&text, "module { \"adze.dim\"() {sym_name = \"T\", lo = 1 : i64, hi = 8 : i64} : () -> ()\n"
                          " func.func @f(");
    /* split the types at commas outside of brackets */
    int depth = 0;
    const char *start = s->types;
    for (const char *p = s->types;; p++) {
        depth += (*p == '<') + (*p == '{') - (*p == '>') - (*p == '}');
        if (*p && (*p != ',' || depth))
            continue;
        adze_text_printf(&text, "%s%%%d: %.*s", n ? ", " : "", n, (int)(p - start), start);
        n++;
        if (!*p)
            break;
        start = p + 1;
    }
    adze_text_puts(&text, ") {\n %n = \"adze.none\"() : () -> !adze.absent\n"
                          " %c = \"adze.constant\"() {value = dense<2.0> : tensor<1xf32>} : () -> tensor<1xf32>\n");
    adze_text_printf(&text, " %%y = \"adze.%s\"(%s) {adze.node = \"n1\"%s%s} : (%s", s->op, s->operands,
                     *s->attrs ? ", " : "", s->attrs, s->types);
    for (const char *p = s->operands; (p = strchr(p, '%')); p++)
        adze_text_puts(&text, p[1] == 'n' ? ", !adze.absent" : p[1] == 'c' ? ", tensor<1xf32>" : "");
    adze_text_printf(&text, ") -> %s\n return } }", s->result);
    MlirModule module = adze_module_parse(ctx, text.data, "test");
    if (mlirModuleIsNull(module) && !s->error) {
        adze_diagnostics_print(&ctx->diags, &text);
        fail_msg("%s", text.data);
    }
    if (mlirModuleIsNull(module)) { /* the verifier refuses it before the lowering can */
        adze_text said = {0};
        adze_diagnostics_print(&ctx->diags, &said);
        if (!said.data || !strstr(said.data, s->op)) /* in its own words, which test_verify holds it to */
            fail_msg("the refusal does not name '%s': %s\n%s", s->op, said.data ? said.data : "", text.data);
        adze_text_free(&said);
        ctx->diags.count = 0;
    }
    adze_text_free(&text);
    return module;
}

static MlirType storage(adze_context *ctx, MlirType type) {
    adze_shape shape;
    if (!adze_shape_of(ctx, type, &shape))
        return type;
    shape.element = adze_element_type(ctx, shape.dtype);
    return adze_tensor_type(ctx, &shape);
}

static void run(adze_context *ctx, const struct sample *s) {
    MlirModule module = parse(ctx, s);
    if (mlirModuleIsNull(module))
        return;
    found = (MlirOperation){0};
    adze_walk(mlirModuleGetOperation(module), find, ctx);
    assert_false(mlirOperationIsNull(found));
    adze_builder b = adze_before(ctx, found);
    MlirValue operands[4], result;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(found); i++) {
        operands[i] = mlirOperationGetOperand(found, i);
        MlirType type = mlirValueGetType(operands[i]), want = storage(ctx, type);
        if (!mlirTypeEqual(type, want)) /* stands for the tensor within a kernel */
            operands[i] = adze_build1(&b, "builtin.unrealized_conversion_cast", 1, &operands[i], want, 0,
                                      NULL);
    }
    size_t errors = ctx->diags.count;
    bool ok = adze_to_linalg(&b, module, found, operands, &result);
    adze_text text = {0};
    if (!ok) {
        adze_diagnostics_print(&ctx->diags, &text);
        if (!s->error || !strstr(text.data, s->error))
            fail_msg("%s %s: %s", s->op, s->attrs, text.data);
        assert_int_equal(ctx->diags.count, errors + 1);
        assert_string_equal(ctx->diags.items[errors].node, "n1");
        ctx->diags.count = errors;
        adze_text_free(&text);
        return; /* what was built half is not verified */
    }
    if (s->error)
        fail_msg("%s %s: no error", s->op, s->attrs);
    bool verified = mlirOperationVerify(mlirModuleGetOperation(module));
    bool typed =
        mlirTypeEqual(mlirValueGetType(result), storage(ctx, mlirValueGetType(adze_result(found, 0))));
    adze_module_print(module, &text);
    if (!verified || !typed || (s->contains && !strstr(text.data, s->contains))) {
        adze_diagnostics_print(&ctx->diags, &text);
        fail_msg("%s %s on %s: verified %d, typed %d, wants '%s' in\n%s", s->op, s->attrs, s->types,
                 verified, typed, s->contains ? s->contains : "", text.data);
    }
    adze_walk(mlirModuleGetOperation(module), check_body, NULL);
    adze_text_free(&text);
    mlirModuleDestroy(module);
}

static void samples_verify(void **state) {
    for (size_t i = 0; i < ADZE_COUNT(samples); i++)
        run(*state, &samples[i]);
}

static int set_up(void **state) { return !(*state = adze_context_new()); }
static int tear_down(void **state) {
    adze_context_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples_verify)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
