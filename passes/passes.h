/* The passes: one table that orders them, one runner that takes a module down the levels.
 *
 *   L1 ─ taps ─ simplify ─ integer ─ plan ─ kernels ─► L2 ─ loops ─► L3 ─ tidy ─ place
 *
 * Every pass runs as an MLIR pass over the module; MLIR's verifier and ours look at what it leaves. */
#ifndef ADZE_PASSES_PASSES_H
#define ADZE_PASSES_PASSES_H

#include "ir/ir.h"
#include "targets/target.h"

typedef struct adze_pass_options {
    const struct adze_target *target;
    /* The generators of loops live in codegen/, which passes/ may not include: the driver hands them in. */
    bool (*loops)(adze_context *ctx, MlirModule module);
    /* Called after every pass with its number and name; false stops with the diagnostic it added. */
    bool (*dump)(void *user, int number, const char *pass, MlirModule module);
    void *user;
} adze_pass_options;

typedef struct adze_pass {
    const char *name;
    int from, to; /* levels */
    const char *doc;
    bool (*run)(adze_context *ctx, MlirModule module, const adze_pass_options *options);
} adze_pass;

int adze_pass_count(void);
const adze_pass *adze_pass_get(int index);
const adze_pass *adze_pass_named(const char *name); /* NULL: none */

/* The module's level (attribute adze.level; 1 when absent). */
int adze_module_level(MlirModule module);
/* Runs one pass and both verifiers. */
bool adze_pass_run(adze_context *ctx, MlirModule module, const adze_pass *pass,
                   const adze_pass_options *options);
/* Runs every pass from where the module stands down to level 3. A dump remembers the last pass that ran
 * (attribute adze.after), so a dumped stage goes on with the next. */
bool adze_passes_lower(adze_context *ctx, MlirModule module, const adze_pass_options *options);

#endif
