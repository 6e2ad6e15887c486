/* Declares the functions that passes.def names. */
#ifndef ADZE_PASSES_TABLE_H
#define ADZE_PASSES_TABLE_H

#include "passes/passes.h"

#define PASS(name, from, to, fn, doc)                                                              \
    bool fn(adze_context *ctx, MlirModule module, const adze_pass_options *options);
#include "passes/passes.def"
#undef PASS

#endif
