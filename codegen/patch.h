/* Patches: what the windows of a few pixels read of x, side by side in work memory, for the contraction families of
 * microcontrollers. One patch feeds every output channel, so copying costs little, and what it does on the way is free
 * for the inner loop: padding, another width, the order that the instructions want.
 *
 *   pixel   first pixel of the block, along all axes of y but the channels (the whole of y is one axis)
 *   run     neighbours in memory that one row of the window reads, padded to a multiple of `depth`
 *
 *   patch [runs * ceil(run / depth)][pixels][depth] */
#ifndef ADZE_CODEGEN_PATCH_H
#define ADZE_CODEGEN_PATCH_H

#include "codegen/contraction.h"
#include "codegen/family.h"

typedef struct adze_patch adze_patch;
struct adze_patch {
    adze_gen *g;
    const adze_contraction *c;
    MlirValue x, work; /* one axis each */
    int64_t pixels, depth;
    int64_t unit; /* divides every number of steps that copy and fill get */
    /* Copies `steps` steps of `depth` elements from x[from ..] to the patch at `to`, one step every `stride`
     * elements; and writes the padding's code `steps` times. */
    void (*copy)(const adze_patch *p, MlirValue from, MlirValue to, MlirValue steps, int64_t stride);
    void (*fill)(const adze_patch *p, MlirValue to, MlirValue steps, int64_t stride);
    /* One element: x[from] (null: the padding's code) as element k of the run that begins at `to`. */
    void (*element)(const adze_patch *p, MlirValue from, MlirValue to, MlirValue k, int64_t stride);
};

int64_t adze_patch_steps(const adze_contraction *c, int64_t depth); /* of one pixel */
/* What divides every run of steps, padding and not. */
int64_t adze_patch_unit(const adze_contraction *c, int64_t depth);
/* Pixels of y: the product of its extents but the channels; -1 when not known. */
int64_t adze_patch_pixels(const adze_contraction *c);
/* Steps that one turn of a copying loop should take. */
int64_t adze_patch_turn(const adze_patch *p);
/* Builds the loops that make the patch of pixels first .. first + pixels - 1. */
void adze_patch_build(const adze_patch *p, MlirValue first);

#endif
