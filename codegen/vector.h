/* What vectors the target has: MLIR vector types and operations against the rows of its instruction table
 * (docs/decisions/0007-vector-level.md). Generators and passes ask here before they build; the emitter
 * finds the same rows. */
#ifndef ADZE_CODEGEN_VECTOR_H
#define ADZE_CODEGEN_VECTOR_H

#include "ir/ir.h"
#include "targets/target.h"

/* How a table spells the type of a scalar or vector: "f32x16", "s8xN4", "b1x16", "f32". `sign` is 's' or
 * 'u' for signless integers; types with a sign keep theirs. NULL for what tables cannot say. */
const char *adze_vector_spelling(adze_context *ctx, MlirType type, char sign);

/* A vector of `lanes` elements (times vscale when scalable). */
MlirType adze_vector_of(MlirType element, int64_t lanes, bool scalable);

/* Whether a vector of this element type and lane count can be held: the target has a C type for it. */
bool adze_vector_has_type(adze_context *ctx, const adze_target *target, MlirType type);

/* The row that says MLIR operation `op` ("arith.addf", "vector.load", "vector.reduction:add",
 * "arith.cmpf:4") or the abstract instruction `op` ("dot4.us") on operands of these types with this result
 * (null type: none), or NULL. */
const adze_instruction *adze_vector_row(adze_context *ctx, const adze_target *target, const char *op,
                                        MlirType result, int n, const MlirType *operands);
static inline bool adze_vector_has(adze_context *ctx, const adze_target *target, const char *op,
                                   MlirType result, int n, const MlirType *operands) {
    return target && adze_vector_row(ctx, target, op, result, n, operands) != NULL;
}

/* The same with what the emitter needs to know: the operands change places, the result is negated by a row of
 * vector.not (NULL: it is not). */
typedef struct adze_vector_match {
    const adze_instruction *row, *negate;
    bool swap;
} adze_vector_match;
bool adze_vector_find(const adze_target *target, const char *op, MlirType result, int n,
                      const MlirType *operands, adze_vector_match *out);
/* The row that loads or stores a vector; `masked`: with lanes left out. NULL: none. */
const adze_instruction *adze_vector_memory_row(const adze_target *target, bool store, bool masked,
                                               MlirType vector);
/* How well a value suits an operand of a row: 0 not at all, more is better. Signless integers suit either sign. */
int adze_vector_fit(MlirType type, const adze_value_type *operand);
/* Where the target's vector types have this one, or -1. */
int adze_vector_type_index(const adze_target *target, MlirType type);

/* The lanes that a loop over elements of this type should take: as many as the widest register holds.
 * 0: no vectors of it. `*scalable`: times vscale. */
int64_t adze_vector_lanes(adze_context *ctx, const adze_target *target, MlirType element, bool *scalable);
/* Whether loads and stores can leave lanes out (adze.active). */
bool adze_vector_has_active(adze_context *ctx, const adze_target *target, MlirType type);

#endif
