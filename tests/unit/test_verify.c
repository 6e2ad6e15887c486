/* The verifier on hostile modules: each body is refused with the given words, the sound ones pass. */
#include "ir/ir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *body, *error; /* NULL: sound */
} cases[] = {
    {"%y = \"adze.slice\"(%x) {starts = array<i64: 0, 1>, steps = array<i64: 1, 2>} : (tensor<2x6xf32>) "
     "-> tensor<2x3xf32>", NULL},
    {"%y = \"adze.slice\"(%x) {starts = array<i64: 0, 2>, steps = array<i64: 1, 2>} : (tensor<2x6xf32>) "
     "-> tensor<2x3xf32>", "outside"},
    {"%y = \"adze.slice\"(%x) {starts = array<i64: 0, 5>, steps = array<i64: 1, -9223372036854775807>} : "
     "(tensor<2x6xf32>) -> tensor<2x3xf32>", "outside"},
    {"%y = \"adze.slice\"(%x) {starts = array<i64: 0, 1>, steps = array<i64: 1, 0>} : (tensor<2x6xf32>) "
     "-> tensor<2x3xf32>", "step"},
    {"%y = \"adze.softmax\"(%x) {axis = 1 : i64, log = false} : (tensor<2x6xf32>) -> tensor<2x6xf32>",
     NULL},
    {"%y = \"adze.softmax\"(%x) {axis = 65 : i64, log = false} : (tensor<2x6xf32>) -> tensor<2x6xf32>",
     "axis"},
    {"%y = \"adze.softmax\"(%x) {axis = 1 : i64, log = false} : (tensor<2x6xf32>) -> tensor<2x7xf32>",
     "result's extents"},
    {"%y = \"adze.transpose\"(%x) {perm = array<i64: 1, 1>} : (tensor<2x6xf32>) -> tensor<6x2xf32>",
     "permutation"},
    {"%y = \"adze.reshape\"(%x) : (tensor<2x6xf32>) -> tensor<13xf32>", "number of elements"},
    {"%y = \"adze.pad\"(%x, %n) {pads = array<i64: 0, 1, 0, 1>, mode = \"constant\"} : (tensor<2x6xf32>, "
     "!adze.absent) -> tensor<2x9xf32>", "result's extents"},
    {"%y = \"adze.expand\"(%x) : (tensor<2x6xf32>) -> tensor<1073741824x1048576x2x6xf32>", "large"},
    {"%y = tensor.concat dim(-1) %x, %x : (tensor<2x6xf32>, tensor<2x6xf32>) -> tensor<2x12xf32>",
     "tensor.concat"},
    {"%y = tensor.concat dim(1) %x, %x : (tensor<2x6xf32>, tensor<2x6xf32>) -> tensor<2x12xf32>", NULL},
};

static void verify(void **unused) {
    (void)unused;
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        adze_context *ctx = adze_context_new();
        char text[2048];
        snprintf(text, sizeof text,
                 "module {\n  func.func @f(%%x: tensor<2x6xf32>) {\n    %%n = \"adze.none\"() : () -> "
                 "!adze.absent\n    %s\n    return\n  }\n}\n",
                 cases[i].body);
        MlirModule module = adze_module_parse(ctx, text, "case.mlir");
        if (mlirModuleIsNull(module) != (cases[i].error != NULL))
            fail_msg("case %zu: %s", i, cases[i].body);
        if (cases[i].error) {
            bool said = false;
            for (size_t k = 0; k < ctx->diags.count; k++)
                said |= strstr(ctx->diags.items[k].cause, cases[i].error) != NULL;
            if (!said)
                fail_msg("case %zu: not refused for its %s", i, cases[i].error);
        } else {
            mlirModuleDestroy(module);
        }
        adze_context_free(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(verify)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
