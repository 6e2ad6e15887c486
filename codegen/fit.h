/* Schedules that ask for instructions which the target lacks. */
#ifndef ADZE_CODEGEN_FIT_H
#define ADZE_CODEGEN_FIT_H

#include "ir/schedule.h"
#include "targets/target.h"

/* Takes the schedule of a family with a register block to the next form down that the target has: fewer lanes, fewer
 * neighbours of the reduction in one instruction, scalars. True when it changed something: then the kernel has the new
 * schedule, and adze.fallback says what was asked for and what it got. */
bool adze_schedule_fit(adze_context *ctx, const adze_target *target, MlirOperation kernel, adze_schedule *s);

#endif
