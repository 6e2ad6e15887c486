/* What each call of a kernel costs: `adze bench --kernels`. */
#ifndef ADZE_DRIVER_PROFILE_H
#define ADZE_DRIVER_PROFILE_H

#include "driver/driver.h"
#include "driver/program.h"

/* Builds the tree with ADZE_PROFILE, runs it `runs` times and keeps what it says. `*out` has one figure for
 * each of c->calls, in the arena. */
bool adze_profile_measure(adze_compilation *c, const adze_request *request, uint64_t runs, bool verbose,
                          adze_call_cost **out);
/* Prints the table, dearest call first, and adds it to `json` as "kernels". */
void adze_profile_report(const adze_compilation *c, const adze_call_cost *costs, cJSON *json);

#endif
