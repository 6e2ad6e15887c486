/* Folding and clean-up for other passes to call. See simplify.c. */
#ifndef ADZE_PASSES_SIMPLIFY_H
#define ADZE_PASSES_SIMPLIFY_H

#include "ir/ir.h"

/* As the pass. fold_dequantize: also turns quantized constants into float ones: only once no pass wants
 * to see the integers any more. */
void adze_simplify(adze_context *ctx, MlirModule module, bool fold_dequantize);

#endif
