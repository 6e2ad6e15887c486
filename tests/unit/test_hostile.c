/* Hostile level-2 modules that MLIR and the verifier take: the pass "loops" ends with an error that has the given words. */
#include "codegen/gen.h"
#include "ir/ir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *type, *tensor, *body, *error;
} cases[] = {
    {"memref<?xf32>", "tensor<?xf32, {dims = [\"T\"]}>", /* no argument says that its extent is T */
     "%r = \"adze.softmax\"(%v) {axis = 0 : i64, log = false} : (tensor<?xf32, {dims = [\"T\"]}>) -> "
     "tensor<?xf32, {dims = [\"T\"]}>",
     "extent 'T'"},
    {"memref<4xi1>", "tensor<4xi1>",
     "%r = \"adze.softmax\"(%v) {axis = 0 : i64, log = false} : (tensor<4xi1>) -> tensor<4xi1>", "bool"},
};

static void loops(void **unused) {
    (void)unused;
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        adze_context *ctx = adze_context_new();
        char text[2048];
        snprintf(text, sizeof text,
                 "module attributes {adze.level = 2 : i64} {\n"
                 "  \"adze.dim\"() {sym_name = \"T\", lo = 1 : i64, hi = 4 : i64} : () -> ()\n"
                 "  func.func private @k(%%x: %s {adze.access = \"read\", adze.name = \"x\"}, %%y: %s "
                 "{adze.access = \"write\", adze.name = \"y\"}) attributes {adze.kernel} {\n"
                 "    %%v = bufferization.to_tensor %%x restrict : %s to %s\n    %s\n"
                 "    bufferization.materialize_in_destination %%r in restrict writable %%y : (%s, %s) -> ()\n"
                 "    return\n  }\n}\n",
                 cases[i].type, cases[i].type, cases[i].type, cases[i].tensor, cases[i].body, cases[i].tensor,
                 cases[i].type);
        MlirModule module = adze_module_parse(ctx, text, "case.mlir");
        if (mlirModuleIsNull(module))
            fail_msg("case %zu: refused before: %s", i, ctx->diags.count ? ctx->diags.items[0].cause : "?");
        if (adze_codegen_loops(ctx, module, NULL))
            fail_msg("case %zu: %s", i, cases[i].body);
        bool said = false;
        for (size_t k = 0; k < ctx->diags.count; k++)
            said |= strstr(ctx->diags.items[k].cause, cases[i].error) != NULL;
        if (!said)
            fail_msg("case %zu: '%s', not for its %s", i, ctx->diags.count ? ctx->diags.items[0].cause : "nothing",
                     cases[i].error);
        mlirModuleDestroy(module);
        adze_context_free(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
