/* The passes that the driver hands in from codegen/. */
#include "passes/table.h"
#include "passes/valuemap.h"

static bool handed(adze_context *ctx, MlirModule module, const adze_pass_options *options,
                   adze_codegen_pass *pass) {
    if (!pass)
        return adze_error(&ctx->diags, NULL, "the passes of codegen were not given");
    return pass(ctx, module, options->target);
}

bool adze_pass_pack(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    if (!handed(ctx, module, options, options->codegen ? options->codegen->pack : NULL))
        return false;
    adze_drop_unused_weights(ctx, module); /* the ones that were packed */
    return true;
}

bool adze_pass_loops(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    return handed(ctx, module, options, options->codegen ? options->codegen->loops : NULL);
}

bool adze_pass_vectorize(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    return handed(ctx, module, options, options->codegen ? options->codegen->vectorize : NULL);
}
