/* Printing tensors for people. */
#ifndef ADZE_DRIVER_SHOW_H
#define ADZE_DRIVER_SHOW_H

#include "ir/tensor.h"

/* "scores  f32[1, 10]" and the values: all of them when few, else the first and last; for a row of
 * scores also the five largest with their indices. Appends to `out`. */
void adze_show_tensor(const char *name, const adze_tensor *t, adze_text *out);
/* One value as text. */
void adze_show_value(const adze_tensor *t, size_t index, adze_text *out);

#endif
