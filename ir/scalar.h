/* Scalar arithmetic as arith and math operations: the bodies of linalg.generic at level 2 and of loops
 * at level 3 are built with these, so that an elementwise kind is lowered in one place.
 *
 * A scalar has an element type of dtype.def and an MLIR value that arith can take:
 *     f32 f64           themselves            f16 bf16 f8* f4*   f32 (widened when loaded)
 *     iN                themselves            uiN                iN, signless; the dtype knows the sign
 *     bool              i1                    i4 u4 i2 u2        i8
 * Integer arithmetic wraps to the element type's width. */
#ifndef ADZE_IR_SCALAR_H
#define ADZE_IR_SCALAR_H

#include "ir/ir.h"

typedef struct adze_scalar {
    MlirValue value;
    adze_dtype dtype;
} adze_scalar;

/* The MLIR type a scalar of this element type is computed in (null: strings, complex). */
MlirType adze_scalar_type(adze_context *ctx, adze_dtype dtype);
/* `loaded` as memory (or a linalg block argument) holds it -> a scalar. Widens small floats, casts ui to i. */
adze_scalar adze_scalar_in(adze_builder *b, MlirValue loaded, adze_dtype dtype);
/* A scalar -> the value that memory of its element type takes: rounds small floats (arith.truncf). */
MlirValue adze_scalar_out(adze_builder *b, adze_scalar x);

adze_scalar adze_scalar_f64(adze_builder *b, adze_dtype dtype, double value); /* a constant */
adze_scalar adze_scalar_i64(adze_builder *b, adze_dtype dtype, int64_t value);

/* One row of kinds.def. False with a diagnostic naming the kind and the type when there is no
 * lowering. Results of small float types are rounded to the type (truncf, then extf). */
bool adze_scalar_unary(adze_builder *b, const char *kind, const double *params, adze_scalar x,
                       adze_scalar *out);
bool adze_scalar_binary(adze_builder *b, const char *kind, adze_scalar x, adze_scalar y,
                        adze_scalar *out);
adze_scalar adze_scalar_select(adze_builder *b, adze_scalar condition, adze_scalar x, adze_scalar y);
/* ONNX Cast. */
bool adze_scalar_cast(adze_builder *b, adze_scalar x, adze_dtype to, bool saturate, adze_scalar *out);

/* The combining step and neutral element of a reduction: kind sum, prod, max, min (on the type). */
bool adze_scalar_combine(adze_builder *b, const char *kind, adze_scalar acc, adze_scalar x,
                         adze_scalar *out);
adze_scalar adze_scalar_neutral(adze_builder *b, const char *kind, adze_dtype dtype);

#endif
