/* --explain: what became of the model's nodes. */
#ifndef ADZE_DRIVER_EXPLAIN_H
#define ADZE_DRIVER_EXPLAIN_H

#include "driver/job.h"

/* Every kernel in order: the nodes fused into it, its schedule, what it calls; then the scratch
 * region's buffers over time. The module is at level 3. Appends to `out`. */
void adze_explain(adze_context *ctx, const adze_target *target, const adze_job_model *model,
                  adze_text *out);

#endif
