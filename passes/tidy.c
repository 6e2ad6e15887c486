/* Level 3: MLIR's own canonicaliser, common subexpressions and loop-invariant code, over what the
 * generators built. */
#include "passes/table.h"

#include <mlir-c/Pass.h>
#include <mlir-c/Transforms.h>

static void collect(MlirStringRef s, void *user) { adze_text_append(user, s.data, s.length); }

bool adze_pass_tidy(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    static const char pipeline[] =
        "builtin.module(func.func(canonicalize{region-simplify=disabled},cse,"
        "loop-invariant-code-motion,cse))";
    static bool registered;
    if (!registered)
        mlirRegisterTransformsPasses();
    registered = true;
    MlirPassManager manager = mlirPassManagerCreate(ctx->mlir);
    adze_text error = {0};
    bool ok = mlirLogicalResultIsSuccess(
        mlirParsePassPipeline(mlirPassManagerGetAsOpPassManager(manager),
                              mlirStringRefCreateFromCString(pipeline), collect, &error));
    ok = ok && mlirLogicalResultIsSuccess(
                   mlirPassManagerRunOnOp(manager, mlirModuleGetOperation(module)));
    if (!ok)
        adze_error(&ctx->diags, NULL, "tidying failed: %s", error.data ? error.data : "");
    adze_text_free(&error);
    mlirPassManagerDestroy(manager);
    return ok;
}
