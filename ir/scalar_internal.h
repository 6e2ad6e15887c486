/* What scalar.c, scalar_kinds.c and scalar_pow.c share. Not for other folders. */
#ifndef ADZE_IR_SCALAR_INTERNAL_H
#define ADZE_IR_SCALAR_INTERNAL_H

#include "ir/scalar.h"

/* The value of an arith.constant, when a double holds it exactly. */
bool adze_scalar_known(adze_scalar x, double *value);
/* A small float rounded to its type; an integer below eight bits wrapped to its range; others as is. */
adze_scalar adze_scalar_rounded(adze_builder *b, adze_scalar x);
adze_scalar adze_scalar_wrapped(adze_builder *b, adze_scalar x);
/* x ^ y on integers (x's type), wrapping; y an integer of any type. */
bool adze_scalar_integer_pow(adze_builder *b, adze_scalar x, adze_scalar y, adze_scalar *out);

#endif
