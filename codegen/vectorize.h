/* Inside the pass "vectorize" (vectorize.c): what its files share.
 *
 * A marked loop is copied, turn by turn, in one of two ways:
 *
 *   for i { y[i] = f(x[i], a) }
 *     ──► lanes > 0:  v = vector.load x[i]; w = f(v, splat a); vector.store w, y[i]
 *         scalar:     the same operations, but math.exp etc. written out as they are in vectors, so
 *                     that a tail gives the vectors' bits
 *
 * Every value of the old loop is uniform (the same in all lanes), affine (an index; lane k has k *
 * coef more), or varying (a vector). Copying fails at the first operation that has no row on the
 * target; what was built is then thrown away. */
#ifndef ADZE_CODEGEN_VECTORIZE_H
#define ADZE_CODEGEN_VECTORIZE_H

#include "codegen/vector.h"

typedef enum { ADZE_VZ_UNIFORM, ADZE_VZ_AFFINE, ADZE_VZ_VARYING } adze_vz_kind;

typedef struct adze_vz_value {
    adze_vz_kind kind;
    MlirValue now; /* uniform: the scalar; affine: lane 0's; varying: the vector */
    int64_t coef;  /* affine: what the next lane has more */
} adze_vz_value;

typedef struct adze_vz_entry {
    MlirValue old;
    adze_vz_value value;
} adze_vz_entry;

/* One load or store of the loop: for the check that lanes do not meet in memory. */
typedef struct adze_vz_access {
    MlirOperation op;
    MlirValue memref; /* behind all views */
    MlirValue view;   /* what it names */
    MlirType type;    /* of the view */
    bool store;
    int rank;
    MlirValue index[ADZE_MAX_RANK];
    bool moves[ADZE_MAX_RANK]; /* this index differs from lane to lane */
} adze_vz_access;

enum { ADZE_VZ_MAX_REDUCTIONS = 8 };

/* acc = combine(acc, x): carried around the marked loop. */
typedef struct adze_vz_reduction {
    MlirOperation op;      /* the combining operation */
    MlirOperation compare; /* the comparison, where op selects by it; else null */
    const char *name;      /* "arith.addf" */
    MlirValue x;           /* its operand that is not the accumulator */
    MlirType type;         /* of the scalar */
    const char *kind;      /* of vector.reduction */
    char neutral;          /* 0 1; l h the lowest and highest number, L H of unsigned */
} adze_vz_reduction;

typedef struct adze_vz_fused {
    MlirOperation op; /* an arith.addf of the old loop */
    int operand;      /* the product */
} adze_vz_fused;

typedef struct adze_vz {
    adze_context *ctx;
    MlirModule module;
    const adze_target *target;
    MlirOperation kernel, loop; /* loop: the scalar one */
    adze_builder b;
    int64_t lanes;     /* 0: a scalar copy */
    int64_t row_lanes; /* of the vector copy, also while a scalar one is made */
    bool scalable;
    bool masked; /* within adze.active */
    bool may_mask,
        mask_failed; /* may_mask: tails may be whole vectors with lanes off; that one could not */
    adze_vz_entry *map;
    size_t map_size, map_count; /* open addressing */
    MlirValue *forced;          /* carried values and results that turned out to vary */
    int n_forced, max_forced;
    bool retry; /* one more was found: copy again */
    adze_vz_fused *fused;
    int n_fused, max_fused;
    adze_vz_access *accesses;
    int n_accesses, max_accesses;
    adze_vz_reduction reductions[ADZE_VZ_MAX_REDUCTIONS];
    int n_reductions;
    const char *why; /* set: the copy failed */
    bool hopeless;   /* another number of lanes will not help */
} adze_vz;

/* ---- vectorize_body.c ---- */

void adze_vz_forget(adze_vz *v); /* empties the map */
void adze_vz_set(adze_vz *v, MlirValue old, adze_vz_value value);
adze_vz_value adze_vz_get(adze_vz *v, MlirValue old);
/* Copies the operations of `block` but its terminator. False with v->why (or v->retry) set. */
bool adze_vz_block(adze_vz *v, MlirBlock block);
/* The value as a vector (in scalar copies: itself). Null after a failure. */
MlirValue adze_vz_varying(adze_vz *v, adze_vz_value value);
bool adze_vz_fail(adze_vz *v, bool hopeless, const char *format, ...) ADZE_PRINTF(3, 4);

/* ---- vectorize_build.c: one operation at a time, asking the target first ---- */

/* The vector of v->lanes such elements; in scalar copies the element. */
MlirType adze_vz_type(const adze_vz *v, MlirType element);
MlirType adze_vz_element(MlirType type); /* of a vector; of a scalar: itself */
/* The operation `op`; `kind` is what follows the colon of its line in emit_vector.def, or NULL.
 * After a failure (v->why) nothing more is built and the result is null, so that a formula is
 * written without a check a step. */
MlirValue adze_vz_op(adze_vz *v, const char *op, const char *kind, int n, const MlirValue *operands,
                     MlirType result, int n_attrs, const adze_named *attrs);
MlirValue adze_vz_unary(adze_vz *v, const char *op, MlirValue x);
MlirValue adze_vz_binary(adze_vz *v, const char *op, MlirValue x, MlirValue y);
MlirValue adze_vz_compare(adze_vz *v, const char *op, int predicate, MlirValue x, MlirValue y);
MlirValue adze_vz_select(adze_vz *v, MlirValue condition, MlirValue x, MlirValue y);
MlirValue adze_vz_float(adze_vz *v, MlirType type, double value);
MlirValue adze_vz_int(adze_vz *v, MlirType type, int64_t value);
MlirValue adze_vz_splat(adze_vz *v, MlirValue scalar);
/* x * y + z: fused where the target does that in one instruction. */
MlirValue adze_vz_fma(adze_vz *v, MlirValue x, MlirValue y, MlirValue z);
bool adze_vz_has(adze_vz *v, const char *op, const char *kind, MlirType result, int n,
                 const MlirType *operands);

/* ---- vectorize_reduce.c ---- */

/* Every value that the loop carries is a reduction? Fills v->reductions. */
bool adze_vz_reductions(adze_vz *v);
MlirValue adze_vz_neutral(adze_vz *v, const adze_vz_reduction *r, MlirType type);
/* Vectors or scalars of one type. */
MlirValue adze_vz_combine(adze_vz *v, const adze_vz_reduction *r, MlirValue acc, MlirValue x);
MlirValue adze_vz_across(adze_vz *v, const adze_vz_reduction *r, MlirValue vector);

/* ---- vectorize_math.c ---- */

/* Whether math operation `op` on f32 is written out here. */
bool adze_vz_has_math(MlirOperation op);
/* `op` on the copied operand(s) `x`, without a call: see the table there for the error of each. */
MlirValue adze_vz_math(adze_vz *v, MlirOperation op, const MlirValue *x);

/* ---- vectorize_requantize.c ---- */

MlirValue adze_vz_requantize(adze_vz *v, MlirOperation op);

/* ---- vectorize_collapse.c ---- */

/* Makes one loop of `inner` and the loop around it, if nothing but `inner` stands in that: it is
 * gone, and the outer loop does its work. */
bool adze_vz_collapse(adze_vz *v, MlirOperation inner);
/* The memory as it is before any view of it. */
MlirValue adze_vz_root(MlirValue memref);
/* The same memory with another (static) shape. */
MlirValue adze_vz_view(adze_vz *v, MlirValue memref, const adze_shape *shape);

/* ---- vectorize_memory.c ---- */

bool adze_vz_load(adze_vz *v, MlirOperation op);
bool adze_vz_store(adze_vz *v, MlirOperation op);
/* After a copy: whether lanes keep out of each other's memory. */
bool adze_vz_independent(adze_vz *v);

#endif
