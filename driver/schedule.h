/* --schedule FILE: schedules written by hand, as one MLIR dictionary by kernel:
 *
 *     {conv1_relu1 = {tile = [0, 0, 8, 0]}, fc = {tile = [4]}}
 */
#ifndef ADZE_DRIVER_SCHEDULE_H
#define ADZE_DRIVER_SCHEDULE_H

#include "ir/weights.h"

/* Sets adze.schedule of every kernel that the file names; keys that it does not give keep what they
 * had. A kernel that the module does not have, an unknown key and a list of another length are
 * errors. The module is at level 2. */
bool adze_schedule_apply(adze_context *ctx, MlirModule module, const char *path);

#endif
