/* Level-1 operations on elements, contractions and reductions as linalg on tensors. See to_linalg.c. */
#ifndef ADZE_PASSES_TO_LINALG_H
#define ADZE_PASSES_TO_LINALG_H

#include "ir/ir.h"

/* Whether adze_to_linalg has a row for this operation. */
bool adze_has_linalg(adze_op op);
/* Builds `op` at `b` on `operands`: tensors of the original operands' shapes with storage element types,
 * adze.none for absent ones; quantization is read from the original types. The result, of the same kind,
 * goes to *result. Tables that the operation needs appear at `b` as constants or adze.get_weight.
 * False with a diagnostic that names the node when there is no lowering. */
bool adze_to_linalg(adze_builder *b, MlirModule module, MlirOperation op, const MlirValue *operands,
                    MlirValue *result);

#endif
