/* What is right.
 *
 *   integers and booleans   the same
 *   floats                  within 1e-4 of the range (f16, bf16: 1e-2) of what is finite of the expected output; NaN where the
 *                           reference has NaN, the same infinity where it has one
 *                           reference has NaN, the same infinity where it has one; where inputs are as large as `huge`, also 1e-6 of
 *                           that, since terms may cancel
 *   after Winograd          a tile's outputs are sums over all of the tile's inputs: one of them that is not finite may make
 *                           all outputs near it NaN or infinite, and an infinite output NaN
 *   rows that SPREAD        an input that is not finite may be met by a weight of zero: all outputs of its image may be NaN
 */
#include "tests/kernels/kernels.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An input near this output, along the spatial axes [N, C, ...], that is not finite. A tile takes six inputs; several
 * convolutions reach further. */
static bool contaminated(const kernel_case *k, int round, const adze_tensor *y, size_t at) {
    enum { REACH = 12 };
    const bool winograd = k->winograd;
    int64_t index[ADZE_MAX_RANK];
    for (int d = y->rank - 1; d >= 0; d--) {
        index[d] = (int64_t)at % y->dims[d];
        at /= (size_t)y->dims[d];
    }
    for (int i = 0; i < k->n_inputs; i++) {
        const adze_tensor *x = &k->inputs[round][i];
        if (adze_dtype_get(x->dtype)->cls != 'F')
            continue;
        for (size_t e = 0, n = adze_tensor_count(x); e < n; e++) {
            if (isfinite(adze_tensor_get_f64(x, e)))
                continue;
            size_t rest = e;
            bool near = true;
            for (int d = x->rank - 1; d >= 0 && x->rank == y->rank; d--) {
                const int64_t distance = (int64_t)(rest % (size_t)x->dims[d]) - index[d];
                rest /= (size_t)x->dims[d];
                near &= d == 1 ? winograd || distance == 0 : d == 0 ? distance == 0 : !winograd || llabs(distance) <= REACH;
            }
            if (near)
                return true;
        }
    }
    return false;
}

/* Dot products of bf16 take denormals for 0 (x86: VDPBF16PS, TDPBF16PS): what a sum of some hundreds may lose. */
static const double MOST_DENORMAL = 1e-35;
/* Products that are denormal round to multiples of 2^-149: what the same sum may lose in floats. */
static const double LEAST_FLOAT = 1e-42;

bool judge(const kernel_case *k, int round, int output, const adze_tensor *got, adze_text *said) {
    const adze_tensor *want = &k->want[round][output];
    const char cls = adze_dtype_get(want->dtype)->cls;
    const size_t n = adze_tensor_count(want);
    const int bits = adze_dtype_get(want->dtype)->bits;
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double w = adze_tensor_get_f64(want, i);
        if (isfinite(w)) {
            low = w < low ? w : low;
            high = w > high ? w : high;
        }
    }
    double range = high - low;
    if (!(range > 0))
        range = isfinite(high) && high != 0 ? fabs(high) : 1;
    double tolerance = (bits < 32 ? 1e-2 : 1e-4) * range;
    if (k->is_huge[round])
        tolerance += 1e-6 * k->row->huge;
    for (int i = 0; i < k->n_inputs; i++)
        if (k->inputs[round][i].dtype == ADZE_bf16 && tolerance < MOST_DENORMAL)
            tolerance = MOST_DENORMAL;
    if (cls == 'F' && bits <= 32 && tolerance < LEAST_FLOAT)
        tolerance = LEAST_FLOAT;
    size_t wrong = 0, first = 0;
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double g = adze_tensor_get_f64(got, i), w = adze_tensor_get_f64(want, i);
        bool ok;
        if (cls != 'F')
            ok = adze_tensor_get_i64(got, i) == adze_tensor_get_i64(want, i);
        else if (isfinite(w) && isfinite(g)) {
            worst = fabs(g - w) > worst ? fabs(g - w) : worst;
            ok = fabs(g - w) <= tolerance;
        } else
            ok = (isnan(g) && isnan(w)) || g == w;
        if (!ok && (k->winograd || (k->row->rules & SPREADS)) && cls == 'F' && (!isfinite(g) || !isfinite(w)))
            ok = contaminated(k, round, want, i);
        if (!ok && (k->row->rules & DROPS_NAN) && isnan(w))
            ok = true;
        if (!ok && !wrong++)
            first = i;
    }
    if (wrong)
        adze_text_printf(said,
                         "    y%d in round %d: %zu of %zu wrong; [%zu] is %.9g, should be %.9g; largest error %.3g of range "
                         "%.3g\n",
                         output, round, wrong, n, first, adze_tensor_get_f64(got, first),
                         adze_tensor_get_f64(want, first), worst, range);
    return !wrong;
}
