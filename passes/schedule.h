/* The schedule that a kernel gets when nobody says otherwise. */
#ifndef ADZE_PASSES_SCHEDULE_H
#define ADZE_PASSES_SCHEDULE_H

#include "ir/schedule.h"
#include "passes/fuse.h"
#include "targets/target.h"

/* Never fails: what no family takes is the default nest. `target` may be NULL. */
MlirAttribute adze_schedule_default(adze_context *ctx, const adze_target *target, const adze_group *group);
/* The block of a family of microcontrollers (schedule_mcu.c); false when the target has none for this convolution. */
bool adze_schedule_mcu(adze_context *ctx, const adze_target *target, const adze_group *group, MlirOperation conv,
                       adze_schedule *out);
/* A register block for sums of `outputs` columns over `width` pixels and `depth_total` products each, with `registers`
 * vector registers: rows and vectors that waste least. */
void adze_register_block(int64_t outputs, int64_t width, int64_t lanes, int64_t registers,
                         adze_schedule *out);

/* Lanes of 32 bits to compute `outputs` columns with: the widest, or a narrower one that holds them all. */
void adze_schedule_lanes(const adze_target *target, const char *element, int64_t outputs, adze_schedule *s);

/* What the default schedule is for these operations; false: `op` is none of them, or not computed so
 * (schedule_products.c). */
bool adze_schedule_product(adze_context *ctx, const adze_target *target, const adze_group *group, MlirOperation op,
                           adze_schedule *s);
bool adze_schedule_attention(adze_context *ctx, const adze_target *target, MlirOperation op, adze_schedule *s);
bool adze_schedule_recurrence(adze_context *ctx, const adze_target *target, MlirOperation op, adze_schedule *s);

#endif
