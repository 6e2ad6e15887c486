/* See case.h. The tolerances are those of ONNX's backend test runner (rtol 1e-3, atol 1e-7), plus what
 * rounding in single precision makes of sums that cancel: 1e-6 of the largest value. */
#include "tests/onnx/case.h"

#include <math.h>
#include <string.h>

static const double RTOL = 1e-3, ATOL = 1e-7, CANCELLED = 1e-6;

/* Complex numbers are compared as twice as many real ones. */
static adze_tensor as_reals(const adze_tensor *t, int64_t *count) {
    adze_tensor r = *t;
    *count = (int64_t)adze_tensor_count(t);
    if (adze_dtype_get(t->dtype)->cls == 'C') {
        r.dtype = t->dtype == ADZE_c64 ? ADZE_f32 : ADZE_f64;
        *count *= 2;
    }
    return r;
}

static bool same_shape(const adze_tensor *a, const adze_tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

static void print_shape(const adze_tensor *t, adze_text *said) {
    adze_text_printf(said, "%s[", adze_dtype_get(t->dtype)->name);
    for (int i = 0; i < t->rank; i++)
        adze_text_printf(said, "%s%lld", i ? "," : "", (long long)t->dims[i]);
    adze_text_puts(said, "]");
}

/* How much too far apart two elements are; 0 or less when they agree. */
static double excess(const adze_tensor *got, const adze_tensor *want, size_t i, int64_t steps,
                     double largest) {
    char cls = adze_dtype_get(want->dtype)->cls;
    if (cls != 'F') {
        int64_t g = adze_tensor_get_i64(got, i), w = adze_tensor_get_i64(want, i);
        if (g == w)
            return 0;
        double d = fabs((double)g - (double)w);
        return cls == 'B' ? 1 : d > (double)steps ? d : 0;
    }
    double g = adze_tensor_get_f64(got, i), w = adze_tensor_get_f64(want, i);
    if (isnan(w) || isnan(g))
        return isnan(w) && isnan(g) ? 0 : INFINITY;
    if (isinf(w) || isinf(g))
        return w == g ? 0 : INFINITY;
    double allowed = ATOL + RTOL * fabs(w), d = fabs(g - w);
    return d > fmax(allowed, CANCELLED * largest) ? d - allowed : 0;
}

static double largest_of(const adze_tensor *t, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n && adze_dtype_get(t->dtype)->cls == 'F'; i++) {
        double v = fabs(adze_tensor_get_f64(t, (size_t)i));
        most = isfinite(v) && v > most ? v : most;
    }
    return most;
}

bool case_compare(const adze_tensor *got, const adze_tensor *want, int64_t steps, const char *name,
                  adze_text *said) {
    if (!same_shape(got, want)) {
        adze_text_printf(said, "'%s' is ", name);
        print_shape(got, said);
        adze_text_puts(said, ", not ");
        print_shape(want, said);
        return false;
    }
    int64_t n, bad = 0, worst = 0;
    double most = 0;
    adze_tensor g = as_reals(got, &n), w = as_reals(want, &n);
    double largest = w.dtype == ADZE_f32 ? largest_of(&w, n) : 0;
    for (int64_t i = 0; i < n; i++) {
        double e = excess(&g, &w, (size_t)i, steps, largest);
        bad += e > 0;
        if (e > most) {
            most = e;
            worst = i;
        }
    }
    if (bad)
        adze_text_printf(said, "'%s': %lld of %lld elements differ; [%lld] is %.9g, not %.9g", name,
                         (long long)bad, (long long)n, (long long)worst,
                         adze_tensor_get_f64(&g, (size_t)worst), adze_tensor_get_f64(&w, (size_t)worst));
    return bad == 0;
}
