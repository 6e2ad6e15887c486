/* Comparing two tensors. */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

static double abs_difference(double got, double want) {
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    if (isinf(got) || isinf(want))
        return got == want ? 0 : INFINITY;
    return fabs(got - want);
}

/* Bytes of element i equal? For strings their characters; for complex numbers both parts. */
static bool same_element(const adze_tensor *a, const adze_tensor *b, size_t i) {
    if (a->dtype == ADZE_string) {
        const adze_string *x = (const adze_string *)a->data + i,
                          *y = (const adze_string *)b->data + i;
        return x->length == y->length && !memcmp(x->data, y->data, x->length);
    }
    return adze_tensor_get_i64(a, i) == adze_tensor_get_i64(b, i);
}

bool adze_ref_compare(const adze_tensor *got, const adze_tensor *want, adze_ref_error *out) {
    *out = (adze_ref_error){.same_type = got->dtype == want->dtype && got->rank == want->rank};
    for (int d = 0; out->same_type && d < got->rank; d++)
        out->same_type = got->dims[d] == want->dims[d];
    if (!out->same_type)
        return false;
    const char cls = adze_dtype_get(got->dtype)->cls;
    const bool exact = cls != 'F' && cls != 'C';
    const int parts = cls == 'C' ? 2 : 1;
    out->count = out->first = adze_tensor_count(got);
    double range = 0;
    for (size_t i = 0; i < out->count; i++)
        for (int part = 0; part < parts; part++) {
            double g = 0, w = 0, difference = 0;
            if (cls == 'C') {
                const size_t at = 2 * i + (size_t)part;
                g = got->dtype == ADZE_c64 ? ((const float *)got->data)[at]
                                           : ((const double *)got->data)[at];
                w = got->dtype == ADZE_c64 ? ((const float *)want->data)[at]
                                           : ((const double *)want->data)[at];
            } else if (cls != 'S') {
                g = adze_tensor_get_f64(got, i);
                w = adze_tensor_get_f64(want, i);
            }
            if (exact && !same_element(got, want, i))
                difference = fmax(1, fabs(g - w)); /* equal as doubles, yet not the same */
            else if (!exact)
                difference = abs_difference(g, w);
            if (isfinite(w))
                range = fmax(range, fabs(w));
            if (difference == 0)
                continue;
            if (!out->mismatches++)
                out->first = i;
            if (difference > out->max_abs) {
                out->max_abs = difference;
                out->worst = i;
                out->got = g;
                out->want = w;
            }
        }
    out->max_rel = out->max_abs == 0 ? 0 : out->max_abs / (range > 0 ? range : 1);
    return exact ? out->mismatches == 0 : !isinf(out->max_abs);
}
