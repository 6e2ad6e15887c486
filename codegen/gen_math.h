/* Short ways to write arithmetic in generators. Names that only generators use start with gn_.
 *
 * Scalars are computed in a *compute type*: f32 for the small floats, every other type itself. The
 * builders here are for kinds that every numeric type has; one without a lowering is our bug
 * (abort). */
#ifndef ADZE_CODEGEN_GEN_MATH_H
#define ADZE_CODEGEN_GEN_MATH_H

#include "codegen/gen_rows.h"

adze_dtype gn_compute(adze_dtype dtype);
bool gn_is_float(adze_dtype dtype);

adze_scalar gn_num(adze_gen *g, adze_dtype dtype, double value);
/* kinds.def by name; the second takes parameters. */
adze_scalar gn_unary(adze_gen *g, const char *kind, adze_scalar x);
adze_scalar gn_unary_p(adze_gen *g, const char *kind, const double *params, adze_scalar x);
adze_scalar gn_binary(adze_gen *g, const char *kind, adze_scalar x, adze_scalar y);
adze_scalar gn_add(adze_gen *g, adze_scalar x, adze_scalar y);
adze_scalar gn_sub(adze_gen *g, adze_scalar x, adze_scalar y);
adze_scalar gn_mul(adze_gen *g, adze_scalar x, adze_scalar y);
adze_scalar gn_div(adze_gen *g, adze_scalar x, adze_scalar y);
adze_scalar gn_cast(adze_gen *g, adze_scalar x, adze_dtype to);
adze_scalar gn_select(adze_gen *g, MlirValue condition, adze_scalar x, adze_scalar y);
MlirValue gn_index_select(adze_gen *g, MlirValue condition, MlirValue x, MlirValue y);
MlirValue gn_and(adze_gen *g, MlirValue a, MlirValue b); /* i1; a null value counts as true */
MlirValue gn_or(adze_gen *g, MlirValue a, MlirValue b);
/* 0 <= index < extent */
MlirValue gn_inside(adze_gen *g, MlirValue index, MlirValue extent);
/* Clamped to [low, high] without a test where the bound is known to hold. */
MlirValue gn_index_clamp(adze_gen *g, MlirValue x, MlirValue low, MlirValue high);
MlirValue gn_index_neg(adze_gen *g, MlirValue x);

/* Keys' cubic convolution kernel with coefficient a, at distance d >= 0. */
adze_scalar gn_cubic_weight(adze_gen *g, adze_scalar d, double a);

/* Reads and loads converted to `dtype`, stores converted to what the memref holds (no saturation).
 */
bool gn_read(adze_gen *g, MlirValue tensor, const MlirValue *index, adze_dtype dtype,
             adze_scalar *out);
adze_scalar gn_load(adze_gen *g, MlirValue memref, const MlirValue *index, adze_dtype dtype);
void gn_store(adze_gen *g, adze_scalar x, MlirValue memref, const MlirValue *index);
/* A reader's result: x converted to `dtype`, as memory holds it. */
MlirValue gn_out(adze_gen *g, adze_scalar x, adze_dtype dtype);
/* Reads `tensor` with numpy broadcasting: `index` belongs to a value of `rank` axes. */
bool gn_read_broadcast(adze_gen *g, MlirValue tensor, int rank, const MlirValue *index,
                       adze_dtype dtype, adze_scalar *out);
/* A one-element operand (rank 0 or all extents 1). */
bool gn_read_scalar(adze_gen *g, MlirValue tensor, adze_dtype dtype, adze_scalar *out);

/* The shape of operand or result `i`; false with a diagnostic when it is no ranked tensor. */
bool gn_operand(adze_gen *g, MlirOperation op, int i, MlirValue *value, adze_shape *shape);
bool gn_result(adze_gen *g, MlirOperation op, int i, MlirValue *value, adze_shape *shape);
/* Operand i is there and of a float (numeric) type; a diagnostic otherwise. */
bool gn_need_float(adze_gen *g, MlirOperation op, const adze_shape *shape);
bool gn_need_number(adze_gen *g, MlirOperation op, const adze_shape *shape);
bool gn_fail(adze_gen *g, MlirOperation op, const char *format, ...) ADZE_PRINTF(3, 4);
/* An axis attribute within rank. */
bool gn_axis(adze_gen *g, MlirOperation op, const char *attr, int rank, int *out);
/* Which of the names a string attribute is; -1 with a diagnostic when none. */
int gn_choice(adze_gen *g, MlirOperation op, const char *attr, int n, const char *const *names);
/* A statically empty value: nothing is to be done. */
bool gn_is_empty(const adze_shape *shape);

/* Loops over all axes of `value` but those marked in `skip` (NULL: none), whose index stays unset.
 */
adze_nest gn_nest(adze_gen *g, MlirValue value, int rank, const bool *skip, MlirValue *index);

/* for (iv = 0; iv < extent; iv++) around carried scalars: a sum, a maximum ... */
typedef struct gn_loop {
    adze_for loop;
    MlirValue iv;
    int n;
    adze_scalar carried[ADZE_MAX_CARRIED];
} gn_loop;
gn_loop gn_loop_begin(adze_gen *g, const char *name, MlirValue low, MlirValue high, int n,
                      const adze_scalar *init, const char *const *names);
void gn_loop_end(adze_gen *g, gn_loop *loop, const adze_scalar *next, adze_scalar *results);

/* while (condition) around carried values. After begin: what computes the condition, from
 * `carried`; gn_while_do takes it and moves into the body, where `carried` are the same values;
 * gn_while_end takes the next ones and gives the last. */
typedef struct gn_while {
    MlirOperation op;
    adze_builder outer;
    int n, n_reads;
    MlirValue carried[ADZE_MAX_CARRIED];
} gn_while;
gn_while gn_while_begin(adze_gen *g, int n, const MlirValue *init, const char *const *names);
void gn_while_do(adze_gen *g, gn_while *loop, MlirValue condition);
void gn_while_end(adze_gen *g, gn_while *loop, const MlirValue *next, MlirValue *results);

#endif
