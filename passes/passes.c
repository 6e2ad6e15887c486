/* The table of passes and the runner. See passes.h. */
#include "passes/passes.h"
#include "passes/table.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/Pass.h>

#include <string.h>

static const adze_pass passes[] = {
#define PASS(name, from, to, fn, doc) {name, from, to, doc, fn},
#include "passes/passes.def"
#undef PASS
};

int adze_pass_count(void) { return (int)ADZE_COUNT(passes); }

const adze_pass *adze_pass_get(int index) { return &passes[index]; }

const adze_pass *adze_pass_named(const char *name) {
    for (size_t i = 0; i < ADZE_COUNT(passes); i++)
        if (!strcmp(passes[i].name, name))
            return &passes[i];
    return NULL;
}

int adze_module_level(MlirModule module) {
    int64_t level = adze_get_i64(mlirModuleGetOperation(module), "adze.level");
    return level ? (int)level : 1;
}

/* ---- one pass, as MLIR runs it ---- */

typedef struct run {
    adze_context *ctx;
    MlirModule module;
    const adze_pass *pass;
    const adze_pass_options *options;
} run;

static void run_pass(MlirOperation op, MlirExternalPass pass, void *user) {
    (void)op;
    run *r = user;
    if (!r->pass->run(r->ctx, r->module, r->options))
        mlirExternalPassSignalFailure(pass);
}

static void *clone_pass(void *user) { return user; }
static void nothing(void *user) { (void)user; }

bool adze_pass_run(adze_context *ctx, MlirModule module, const adze_pass *pass,
                   const adze_pass_options *options) {
    MlirOperation root = mlirModuleGetOperation(module);
    int level = adze_module_level(module);
    if (level != pass->from)
        return adze_error(&ctx->diags, NULL, "pass '%s' takes level %d, the module is at level %d",
                          pass->name, pass->from, level);
    run r = {ctx, module, pass, options};
    MlirTypeIDAllocator ids = mlirTypeIDAllocatorCreate();
    MlirExternalPassCallbacks callbacks = {.destruct = nothing, .clone = clone_pass, .run = run_pass};
    MlirPass external = mlirCreateExternalPass(
        mlirTypeIDAllocatorAllocateTypeID(ids), mlirStringRefCreateFromCString(pass->name),
        mlirStringRefCreateFromCString(pass->name), mlirStringRefCreateFromCString(pass->doc),
        mlirStringRefCreateFromCString("builtin.module"), 0, NULL, callbacks, &r);
    MlirPassManager manager = mlirPassManagerCreate(ctx->mlir);
    mlirPassManagerAddOwnedPass(manager, external);
    size_t before = ctx->diags.count;
    bool ok = mlirLogicalResultIsSuccess(mlirPassManagerRunOnOp(manager, root));
    mlirPassManagerDestroy(manager);
    mlirTypeIDAllocatorDestroy(ids);
    if (!ok) {
        if (ctx->diags.count == before)
            adze_error(&ctx->diags, NULL, "pass '%s' failed", pass->name);
        return false;
    }
    adze_set(root, "adze.level", adze_i64(ctx, pass->to));
    adze_set(root, "adze.after", adze_str(ctx, pass->name));
    return adze_module_verify(ctx, module) ||
           adze_error(&ctx->diags, NULL, "after pass '%s' the module is not valid", pass->name);
}

bool adze_passes_lower(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    const char *after = adze_get_str(ctx, mlirModuleGetOperation(module), "adze.after");
    int first = 0;
    for (int i = 0; after && i < adze_pass_count(); i++)
        if (!strcmp(passes[i].name, after))
            first = i + 1;
    /* A module written by hand at a lower level starts at that level's first pass. */
    while (!after && first < adze_pass_count() && passes[first].from < adze_module_level(module))
        first++;
    for (int i = first; i < adze_pass_count(); i++) {
        if (!adze_pass_run(ctx, module, &passes[i], options))
            return false;
        if (options->dump && !options->dump(options->user, i + 1, passes[i].name, module))
            return false;
    }
    return true;
}
