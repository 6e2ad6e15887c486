/* Where every byte lives: regions, and the buffers of the scratch region over time. Read from a placed
 * level-3 module, so a dump carries it. */
#ifndef ADZE_IR_PLAN_H
#define ADZE_IR_PLAN_H

#include "ir/ir.h"

enum { ADZE_SCRATCH_ALIGN = 16 };

/* No value is larger: the verifier refuses it, and sums of sizes cannot overflow. */
#define ADZE_MAX_BYTES ((int64_t)1 << 48)

typedef struct adze_buffer {
    const char *name; /* the value's name in the dump, or the kernel that writes it */
    int64_t offset, bytes;
    int first, last; /* steps (calls, in order) between which it holds a value, inclusive */
} adze_buffer;

typedef struct adze_memory_plan {
    int64_t scratch_bytes, state_bytes, weight_bytes;
    int64_t lower_bound; /* most bytes live at one step: no plan can need fewer */
    adze_buffer *buffers;
    int n_buffers;
    const char **steps; /* kernel names, in order */
    int n_steps;
} adze_memory_plan;

/* False (with a diagnostic) when the module is not at level 3. Of several entries, each has its own
 * scratch plan; the module's scratch is the largest. `entry`: which one (NULL: the first). */
/* The buffer behind views. */
MlirValue adze_buffer_base(MlirValue view);
/* The step (0-based call number) at which each use of a value happens is what lifetimes are made of:
 * calls `use` for every operation of the entry that touches the buffer behind `value`, through all its
 * views, with the operation's step. */
typedef void adze_buffer_use(MlirOperation user, int step, void *data);
void adze_buffer_uses(MlirOperation entry, MlirValue value, adze_buffer_use *use, void *data);
/* Bytes in generated code; bounded extents count with their bound.
 * ADZE_MAX_BYTES when it is more than that. */
int64_t adze_shape_bytes(MlirModule module, const adze_shape *shape);
int64_t adze_buffer_bytes(adze_context *ctx, MlirModule module, MlirValue buffer);

bool adze_memory_plan_read(adze_context *ctx, MlirModule module, const char *entry,
                           adze_memory_plan *out);

#endif
