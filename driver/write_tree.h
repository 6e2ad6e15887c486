/* The last step of a compilation: what codegen's tree writer is told, and the limits checked. */
#ifndef ADZE_DRIVER_WRITE_TREE_H
#define ADZE_DRIVER_WRITE_TREE_H

#include "driver/job.h"

/* Writes request->output from the models, now at level 3, once the image is known to fit. */
bool adze_job_write_tree(adze_compilation *c, const adze_request *request);

#endif
