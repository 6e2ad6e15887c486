/* One operation of level 1 as structured operations inside a kernel: linalg where it fits, our own
 * operation otherwise. See structured.c. */
#ifndef ADZE_PASSES_STRUCTURED_H
#define ADZE_PASSES_STRUCTURED_H

#include "ir/ir.h"

/* Builds `op` at `b` on `operands` (tensors of storage types, adze.none for absent ones) and gives its
 * results, which have storage types too. Tables the operation needs appear as adze.get_weight. */
bool adze_to_structured(adze_builder *b, MlirModule module, MlirOperation op,
                        const MlirValue *operands, MlirValue *results);

/* The same operation on other operands, its results in storage types. */
bool adze_clone_structured(adze_builder *b, MlirOperation op, const MlirValue *operands,
                           MlirValue *results);

#endif
