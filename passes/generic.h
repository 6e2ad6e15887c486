/* Building one linalg.generic on tensors: declare loops, inputs and outputs, then the body.
 *
 *   adze_generic g = adze_generic_new(b, module, op);
 *   g.n_dims = 2;                                       loops, all parallel
 *   int x = adze_generic_in(&g, tensor, original, dtype, exprs);
 *   adze_generic_out(&g, init, dtype, exprs);
 *   adze_generic_begin(&g, "acc");                      g.body builds from here
 *   ... adze_generic_arg(&g, x) ...
 *   bool ok = adze_generic_end(&g, 1, &y, &result);
 *
 * An input whose original value is a constant of one element becomes an arith.constant of the body. */
#ifndef ADZE_PASSES_GENERIC_H
#define ADZE_PASSES_GENERIC_H

#include "ir/scalar.h"

#include <mlir-c/AffineExpr.h>
#include <mlir-c/AffineMap.h>

enum { ADZE_GENERIC_DIMS = 2 * ADZE_MAX_RANK, ADZE_GENERIC_INS = 8, ADZE_GENERIC_OUTS = 2 };

typedef struct adze_generic_port {
    MlirValue tensor;
    MlirAffineMap map;
    adze_dtype dtype;
    bool constant; /* no operand: `value` in the body */
    adze_tensor value;
    int argument; /* of the body's block */
} adze_generic_port;

typedef struct adze_generic {
    adze_context *ctx;
    adze_builder *b;
    adze_builder body;
    MlirModule module;
    MlirOperation source, op; /* the L1 operation; the generic */
    const char *name;         /* NameLoc of the generic */
    int n_dims, n_ins, n_outs;
    bool reduction[ADZE_GENERIC_DIMS];
    adze_generic_port in[ADZE_GENERIC_INS], out[ADZE_GENERIC_OUTS];
} adze_generic;

adze_generic adze_generic_new(adze_builder *b, MlirModule module, MlirOperation source);
MlirAffineExpr adze_dim(adze_generic *g, int dim);
MlirAffineExpr adze_zero(adze_generic *g);

/* An input read at `exprs` (one per axis of `tensor`); `original` is the L1 value, or null. Returns its
 * number for adze_generic_arg. */
int adze_generic_in(adze_generic *g, MlirValue tensor, MlirValue original, const MlirAffineExpr *exprs);
/* The same for a tensor broadcast to loops first .. first + rank - 1 as numpy does, aligned right. */
int adze_generic_in_broadcast(adze_generic *g, MlirValue tensor, MlirValue original, int first, int rank,
                              const int64_t *dims);
/* A number, as if it were an input. */
int adze_generic_number(adze_generic *g, adze_dtype dtype, double value);
/* A weight symbol for a tensor that the compiler made, and its value at `b`. Kernels hold no constants
 * of several elements, however small. */
MlirValue adze_build_table(adze_builder *b, MlirModule module, const adze_tensor *table,
                           const char *name);
/* Such a table, indexed by one loop. A single number becomes a constant. */
int adze_generic_table(adze_generic *g, const adze_tensor *table, const char *name, int dim);

/* A result: computed from nothing, starting from tensor.empty. exprs NULL: loops 0 .. rank - 1. */
bool adze_generic_out(adze_generic *g, const adze_shape *shape, const MlirAffineExpr *exprs);
/* An accumulator: starts from `neutral` of this element type. Accumulators of unsigned types are held in
 * signless tensors; shape->element is ignored. */
bool adze_generic_accumulator(adze_generic *g, const adze_shape *shape, adze_dtype dtype,
                              double neutral, const MlirAffineExpr *exprs);

/* An accumulator that starts from a tensor's elements, which are scalars of type `dtype`. */
void adze_generic_accumulator_from(adze_generic *g, MlirValue init, adze_dtype dtype,
                                   const MlirAffineExpr *exprs);

/* Creates the operation; g->body builds in it from here on. */
void adze_generic_begin(adze_generic *g);
adze_scalar adze_generic_arg(adze_generic *g, int input);
MlirValue adze_generic_raw(adze_generic *g, int input); /* as memory holds it */
adze_scalar adze_generic_acc(adze_generic *g, int out);
/* Yields what memory takes of `values` and gives the operation's results. */
void adze_generic_end(adze_generic *g, const adze_scalar *values, MlirValue *results);
void adze_generic_end_raw(adze_generic *g, const MlirValue *values, MlirValue *results);

/* `shape` with element type `dtype`, as memory and the tensors within kernels have it. */
adze_shape adze_shape_with(adze_context *ctx, const adze_shape *shape, adze_dtype dtype);

/* Marks the integer operation behind `x` as one that cannot overflow, so that the C says a + b. */
adze_scalar adze_no_overflow(adze_generic *g, adze_scalar x);

#endif
