/* What the emitter's files on vectors share: rows of the instruction table as C expressions. */
#ifndef ADZE_CODEGEN_EMIT_VECTOR_H
#define ADZE_CODEGEN_EMIT_VECTOR_H

#include "codegen/emit_internal.h"
#include "codegen/vector.h"

static inline MlirValue operand_of(MlirOperation op, int i) { return mlirOperationGetOperand(op, i); }
static inline MlirValue result_of(MlirOperation op) { return mlirOperationGetResult(op, 0); }
static inline MlirType type_of(MlirValue value) { return mlirValueGetType(value); }

/* ---- rows (emit_row.c) ---- */

/* The C type of a row's operand or result; ADZE_NO_DTYPE for pointers, literals and nothing. */
int row_type(emitter *em, const adze_value_type *v);
/* What the target says of an emitter's vector type. */
const adze_vector_type *row_vector_type(emitter *em, int type);
/* The type whose lanes a row works on. */
const adze_value_type *row_lanes(const adze_instruction *row);
/* The row vector.lanes or vector.length for these lanes, of whatever element type; NULL: none. */
const adze_instruction *row_counting(emitter *em, const char *name, size_t operands, const adze_value_type *lanes);
/* The name of a constant with the number of lanes; NULL when the target does not say. */
const char *row_all_lanes(emitter *em, const adze_value_type *lanes);
/* Which of these lanes count; NULL: all. row_mask: where that is a mask of loads and stores. */
const active_lanes *row_active(emitter *em, const adze_value_type *lanes);
const active_lanes *row_mask(emitter *em, MlirType type);
expr expr_mask(const active_lanes *mask);
/* The row with its operands put in: each is converted to what the row takes. `args` is changed. */
expr expr_row(emitter *em, MlirOperation op, const adze_instruction *row, expr *args);
/* `b + flat` as the pointer that a row takes. */
expr expr_pointer(emitter *em, const adze_value_type *want, const binding *b, expr flat);
expr expr_float(emitter *em, int type, double v);
/* The row of an operation (vector.h); false with an error that names it and the types. */
bool emit_find_row(emitter *em, MlirOperation op, const char *key, MlirType result, int n, const MlirType *types,
                   adze_vector_match *match);
bool emit_no_row(emitter *em, MlirOperation op, const char *what);

/* ---- operations of their own ---- */

bool emit_reduction(emitter *em, MlirOperation op);   /* emit_lanes.c */
bool emit_instruction(emitter *em, MlirOperation op); /* emit_instruction.c */

#endif
