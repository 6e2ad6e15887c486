/* The kernel families: what a schedule's `family` names, instead of the default nest over elements. */
#ifndef ADZE_CODEGEN_FAMILY_H
#define ADZE_CODEGEN_FAMILY_H

#include "codegen/gen.h"
#include "ir/schedule.h"

/* Builds the loops of a kernel that stores `value` to `memref`. `sums` is the convolution at the start of an elementwise
 * epilogue that ends in `value` (null when there is none). False with a diagnostic. */
typedef bool adze_family(adze_gen *g, const adze_schedule *s, MlirValue sums, MlirValue value,
                         MlirValue memref);
adze_family adze_gen_contraction;
adze_family adze_gen_matmul;
adze_family adze_gen_winograd;
adze_family adze_gen_winograd_rows;
adze_family adze_gen_depthwise;

/* An error at the kernel: its schedule asks for this family, but `why`. False. */
bool adze_gen_refuse(adze_gen *g, const adze_schedule *s, const char *why);

/* The memref that a tensor of the kernel's body is read from; null where it is computed. */
MlirValue adze_gen_memory(MlirValue tensor);
/* The kernel's argument of this name (adze.name); null when it has none. */
MlirValue adze_gen_argument(adze_gen *g, const char *name);
/* The kernel's argument "work" when it is one axis of at least so many elements of the type; null otherwise. */
MlirValue adze_gen_work(adze_gen *g, adze_dtype type, int64_t elements);
/* Part of a flat memory from element `offset` on, under a shape and a name of its own. What two views hold must not
 * overlap. */
MlirValue adze_gen_view(adze_gen *g, MlirValue memref, MlirValue offset, int rank, const int64_t *dims,
                        const char *name);
/* The same memory as one axis. */
MlirValue adze_gen_flat(adze_gen *g, MlirValue memref);

#endif
