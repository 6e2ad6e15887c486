/* The passes: one table that orders them, one runner that takes a module down the levels.
 *
 *   L1 ─ taps ─ simplify ─ integer ─ layout ─ plan ─ kernels ─► L2 ─ pack ─ loops ─► L3 ─ tidy ─ vectorize ─ place
 *
 * Every pass runs as an MLIR pass over the module; MLIR's verifier and ours look at what it leaves. */
#ifndef ADZE_PASSES_PASSES_H
#define ADZE_PASSES_PASSES_H

#include "ir/ir.h"
#include "targets/target.h"

/* Passes that live in codegen/, which passes/ may not include: the driver hands them in. */
typedef bool adze_codegen_pass(adze_context *ctx, MlirModule module, const struct adze_target *target);
typedef struct adze_codegen_passes {
    adze_codegen_pass *pack;      /* packed weights and work memory (decision 9) */
    adze_codegen_pass *loops;     /* kernels to loops */
    adze_codegen_pass *vectorize; /* marked loops to vectors (decision 7) */
} adze_codegen_passes;

typedef struct adze_pass_options {
    const struct adze_target *target;
    const adze_codegen_passes *codegen;
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
