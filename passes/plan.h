/* The plan: which operations of level 1 become one kernel, and each kernel's schedule.
 *
 *   module attributes {adze.plan = {k00_conv = {nodes = ["conv1", "relu1"], schedule = {...}}, ...}}
 *     %1 = "adze.conv"(...) {adze.group = "k00_conv", ...}
 *
 * The pass "plan" writes it; a dump carries it; it may be edited there or given with --schedule. */
#ifndef ADZE_PASSES_PLAN_H
#define ADZE_PASSES_PLAN_H

#include "ir/schedule.h"
#include "passes/fuse.h"

/* The groups of a block as its operations' adze.group says. False when one has none, or when a group
 * cannot be one kernel: a value inside it is used outside, or an operation must stand alone. */
bool adze_plan_read(adze_context *ctx, MlirBlock block, adze_grouping *out);
/* The operation a kernel is named after: its contraction, window or reduction, or else its root. */
MlirOperation adze_group_anchor(adze_context *ctx, const adze_group *group);
/* The model nodes it came from, each once: an array of strings. */
MlirAttribute adze_group_nodes(adze_context *ctx, const adze_group *group);
/* The schedule attribute of a group; null when the plan has none. */
MlirAttribute adze_plan_schedule(MlirModule module, const char *group);

#endif
