/* Integer forms of operations on quantized values, by the one definition of docs/integer.md. See
 * quantized.c. */
#ifndef ADZE_PASSES_QUANTIZED_H
#define ADZE_PASSES_QUANTIZED_H

#include "ir/ir.h"

bool adze_has_integer_form(adze_op op);
/* As adze_to_structured, for an operation with quantized operands or results. */
bool adze_to_integer(adze_builder *b, MlirModule module, MlirOperation op, const MlirValue *operands,
                     MlirValue *results);

#endif
