/* The kernel families of microcontrollers: what they share beyond patches. */
#ifndef ADZE_CODEGEN_MCU_H
#define ADZE_CODEGEN_MCU_H

#include "codegen/patch.h"

/* ---- words: rows of the target's table on 32-bit integers ---- */

/* A row by name and type (s32, u32). Ordered: a statement of its own in C, so that values live no longer than they must. */
MlirValue adze_mcu(adze_gen *g, const char *name, const char *type, int n, const MlirValue *operands);
MlirValue adze_mcu_ordered(adze_gen *g, const char *name, const char *type, int n, const MlirValue *operands);
/* Four bytes at any address; four bytes at a multiple of four; two halves to a multiple of two halves. */
MlirValue adze_mcu_load(adze_gen *g, MlirValue memref, MlirValue at);
MlirValue adze_mcu_word(adze_gen *g, MlirValue memref, MlirValue at);
void adze_mcu_store(adze_gen *g, MlirValue memref, MlirValue at, MlirValue word);

/* ---- kernels that were packed by pack_mcu.c ---- */

/* Why a family has no form for this convolution and this schedule; NULL: it has. */
const char *adze_mcu_unfit(const adze_contraction *c, const adze_schedule *s);
/* Work memory of the family: its type and elements; the depth of its packed weight, 0 for none (depthwise). */
typedef struct adze_mcu_form {
    adze_dtype work;
    int64_t elements, depth;
} adze_mcu_form;
adze_mcu_form adze_mcu_form_of(const adze_contraction *c, const adze_schedule *s);

typedef struct adze_mcu_operands {
    MlirValue x, w, bias, work; /* memory as one axis; bias may be null (dsp) */
} adze_mcu_operands;
/* Reads the contraction behind `sums` and where its operands are. False with a diagnostic. */
bool adze_mcu_open(adze_gen *g, const adze_schedule *s, MlirValue sums, adze_contraction *c,
                   adze_mcu_operands *out);

/* Copies as halves, four neighbours in the order 0 2 1 3 (gen_dsp.c); the rest of the patch is the caller's. */
adze_patch adze_dsp_patch(void);

/* Copies as bytes, 16 or 8 (`depth`) at a time (gen_helium.c). */
adze_patch adze_helium_patch(int64_t depth);

/* ---- requantization on vectors of four (requantize_vectors.c) ---- */

typedef struct adze_requantize_vectors {
    MlirValue multiplier, shift; /* memory by channel */
    int64_t zero_point;
} adze_requantize_vectors;
/* Whether `value` is no more than the requantization of `sums` to signed bytes, without ties. */
bool adze_requantize_vectors_match(adze_context *ctx, MlirValue sums, MlirValue value, int64_t channels,
                                   adze_requantize_vectors *out); /* tensors in place of memory */
bool adze_requantize_vectors_read(adze_gen *g, MlirValue sums, MlirValue value, int64_t channels,
                                  adze_requantize_vectors *out);
/* Four sums of one pixel in place, with their multipliers and 32 - s; still to be clamped. */
void adze_requantize_vectors_left(adze_gen *g, const adze_requantize_vectors *r, MlirValue m, MlirValue left,
                                  MlirValue *v);
/* Four channels from `channel` on of `rows` pixels: sums[sum_at[r] ..] to y[y_at[r] ..], all memory as one axis. */
void adze_requantize_vectors_build(adze_gen *g, const adze_requantize_vectors *r, MlirValue sums, int64_t rows,
                                   const MlirValue *sum_at, MlirValue channel, MlirValue y, const MlirValue *y_at);

adze_family adze_gen_dsp, adze_gen_dsp_depthwise, adze_gen_helium, adze_gen_helium_depthwise;

#endif
