/* What the to_linalg*.c files share. Not for others. */
#ifndef ADZE_PASSES_TO_LINALG_INTERNAL_H
#define ADZE_PASSES_TO_LINALG_INTERNAL_H

#include "ir/integer.h"
#include "passes/generic.h"
#include "passes/to_linalg.h"

enum { ADZE_LOWERED_OPERANDS = 3 };

/* One operation being lowered. Shapes have storage element types. */
typedef struct lowering {
    adze_builder *b;
    adze_context *ctx;
    MlirModule module;
    MlirOperation op;
    const MlirValue *operands;
    MlirValue *result;
    int n;
    const char *kind; /* attribute, NULL where there is none */
    bool present[ADZE_LOWERED_OPERANDS];
    adze_shape in[ADZE_LOWERED_OPERANDS], out;
    bool quant_in[ADZE_LOWERED_OPERANDS], quant_out, quantized; /* quantized: any of them */
    adze_quant q_in[ADZE_LOWERED_OPERANDS], q_out;
} lowering;

typedef bool lowering_row(lowering *l);
lowering_row adze_linalg_unary, adze_linalg_binary, adze_linalg_where, adze_linalg_cast,
    adze_linalg_quantize, adze_linalg_dequantize, adze_linalg_transpose, adze_linalg_expand,
    adze_linalg_matmul, adze_linalg_einsum, adze_linalg_reduce;

bool lowering_error(lowering *l, const char *format, ...) ADZE_PRINTF(2, 3);
MlirValue lowering_original(const lowering *l, int i);
/* A generic whose loops are the result's axes. */
adze_generic lowering_pointwise(lowering *l);
/* Operand i, broadcast to those loops. */
int lowering_in(lowering *l, adze_generic *g, int i);
/* A name for what this operation's kernel holds: the node's, then "_suffix". */
const char *lowering_name(lowering *l, const char *suffix);
bool dtype_is_float(adze_dtype dtype);
int dtype_bits(adze_dtype dtype);

/* ---- quantized values in bodies (to_linalg_quant.c) ---- */

/* Inputs that hold the parameters of a quantized value. */
typedef struct quant_port {
    const adze_quant *q;
    int scale, zero;
    bool has_zero; /* false: all zero */
    adze_dtype work;
} quant_port;

/* Scales in the type `work` (ADZE_NO_DTYPE: not needed), zero points in i32; per-axis ones are indexed by loop `dim`. */
quant_port quant_port_new(lowering *l, adze_generic *g, const adze_quant *q, adze_dtype work, int dim);
/* x - zero point, as i32 (i64 for 32-bit storage). */
bool quant_centre(adze_generic *g, const quant_port *port, adze_scalar x, adze_scalar *out);
/* (x - zero point) * scale */
bool quant_real(adze_generic *g, const quant_port *port, adze_scalar x, adze_scalar *out);
/* sat(zero point + round_half_even(real / scale)) */
bool quant_from_real(adze_generic *g, const quant_port *port, adze_scalar real, adze_scalar *out);

/* clamp(zp + round_half_even(acc * m / 2^s)) as `storage`; m and s are inputs of the generic. */
adze_scalar quant_requantize(adze_generic *g, adze_scalar acc, int m, int s, int64_t zero_point,
                             adze_dtype storage);
/* Multipliers and shifts of n real factors, as inputs indexed by loop `dim` when there are several. */
void quant_factors(lowering *l, adze_generic *g, int n, const double *real, int dim, int *m, int *s);
/* An element of encoding `from` as one of encoding `to` (both per tensor): the value itself when equal. */
typedef struct quant_move {
    bool same;
    int m, s;
    const adze_quant *from, *to;
} quant_move;
bool quant_move_new(lowering *l, adze_generic *g, const adze_quant *from, const adze_quant *to,
                    quant_move *out);
bool quant_moved(adze_generic *g, const quant_move *move, adze_scalar x, adze_scalar *out);

/* Elementwise with a quantized operand or result. */
bool quantized_unary(lowering *l, const double *params);
bool quantized_binary(lowering *l);

#endif
