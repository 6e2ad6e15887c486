/* Changes to an entry's signature at level 1: taps become results, an input and an output become state.
 * See entries.c. */
#ifndef ADZE_PASSES_ENTRIES_H
#define ADZE_PASSES_ENTRIES_H

#include "ir/ir.h"

/* Adds an adze.tap named `node` on the first result of the operation that came from model node `node`.
 * False with a diagnostic when the module has no such node. */
bool adze_add_tap(adze_context *ctx, MlirModule module, const char *node);
/* Every adze.tap of every entry becomes a further result of it, named as the tap. */
bool adze_taps_to_results(adze_context *ctx, MlirModule module);
/* Input `input` and output `output` of the entry that has them (by their names in the model, of one
 * type) become a state that starts at zero: read where the input was, written at the end of a call. */
bool adze_make_state(adze_context *ctx, MlirModule module, const char *input, const char *output);

#endif
