/* Schedules: how a kernel is computed. A dictionary attribute in the IR, one struct here, one function
 * that reads it and one that writes it; the keys stand in one table (schedule.c), unknown ones are errors.
 *
 *   {tile = array<i64: 0, 16, 0, 0>, order = array<i64: 0, 2, 3, 1>}
 *   {family = "contraction", lanes = 16, rows = 7, vectors = 4}
 *
 * family  which generator; absent: the default nest, which takes the three lists
 * tile   per axis of the result: the size of a tile, 0 for none; tiles are the outer loops
 * block  per axis of the result: how many neighbours are computed side by side in local memory, 0 for
 *        none; only the last axis of a convolution's result may have a block so far
 * order  the axes from the outermost loop inwards (a permutation); absent: as they stand
 *
 * Families take numbers, 0 for absent:
 * lanes    elements of a vector (1: scalars); scalable: times the machine's vscale
 * rows     of the register block: pixels
 * vectors  of the register block: vectors of outputs side by side
 * depth    neighbours of the reduction in one instruction: 1, 2, 4
 * tiles    Winograd tiles transformed together
 * k_block  elements of the reduction that one pass over a panel takes, 0 for all */
#ifndef ADZE_IR_SCHEDULE_H
#define ADZE_IR_SCHEDULE_H

#include "ir/ir.h"

typedef struct adze_schedule {
    int n_tile, n_block, n_order; /* 0: absent */
    int64_t tile[ADZE_MAX_RANK], block[ADZE_MAX_RANK], order[ADZE_MAX_RANK];
    const char *family; /* NULL: the default nest */
    int64_t lanes, scalable, rows, vectors, depth, tiles, k_block;
} adze_schedule;

/* A null attribute reads as the empty schedule. `where` names the kernel in diagnostics. */
bool adze_schedule_read(adze_context *ctx, const char *where, MlirAttribute attr, adze_schedule *out);
MlirAttribute adze_schedule_write(adze_context *ctx, const adze_schedule *schedule);
/* Whether it fits a result of this rank: lengths, no negative tile or block, order a permutation. */
bool adze_schedule_fits(adze_context *ctx, const char *where, const adze_schedule *schedule, int rank);

#endif
