/* See compare.h. */
#include "driver/compare.h"

#include "reference/reference.h"

#include <math.h>
#include <string.h>

static const double float_tolerance = 1e-4;

/* Index of the largest element, the first of equals; numbers only. */
static size_t best_of(const adze_tensor *t) {
    size_t best = 0;
    for (size_t i = 1, n = adze_tensor_count(t); i < n; i++)
        if (adze_tensor_get_f64(t, i) > adze_tensor_get_f64(t, best))
            best = i;
    return best;
}

/* The same place, or places that the reference itself calls equal. */
static bool best_agrees(const adze_tensor *got, const adze_tensor *want) {
    if (!strchr("FIU", adze_dtype_get(want->dtype)->cls) || !adze_tensor_count(want))
        return true;
    size_t a = best_of(got), b = best_of(want);
    return a == b || adze_tensor_get_f64(want, a) == adze_tensor_get_f64(want, b);
}

static void say(adze_text *out, const char *name, const adze_tensor *want, const adze_ref_error *e,
                const char *mark) {
    if (!e->same_type) {
        adze_text_printf(out, "%s: not of the same type and shape\n", name);
        return;
    }
    if (adze_dtype_get(want->dtype)->cls == 'F')
        adze_text_printf(out, "%s: %s, error at most %.3g (%.3g of the range)", name, mark,
                         e->max_abs, e->max_rel);
    else
        adze_text_printf(out, "%s: %s, %zu of %zu differ, by at most %.0f", name, mark,
                         e->mismatches, e->count, e->max_abs);
    if (e->mismatches)
        adze_text_printf(out, "; element %zu is %.9g, should be %.9g", e->worst, e->got, e->want);
    adze_text_puts(out, "\n");
}

adze_comparison adze_compare_outputs(const char *const *names, const adze_tensor *got,
                                     const adze_tensor *want, size_t n, const char *otherwise,
                                     adze_text *out) {
    adze_comparison c = {.ok = true, .same_best = true};
    for (size_t i = 0; i < n; i++) {
        adze_ref_error e;
        bool ok = adze_ref_compare(&got[i], &want[i], &e) && e.max_rel <= float_tolerance;
        c.ok = c.ok && ok;
        c.same_best = c.same_best && e.same_type && best_agrees(&got[i], &want[i]);
        c.max_abs = fmax(c.max_abs, e.same_type ? e.max_abs : INFINITY);
        c.max_rel = fmax(c.max_rel, e.same_type ? e.max_rel : INFINITY);
        if (out)
            say(out, names[i], &want[i], &e, ok ? "ok" : otherwise);
    }
    return c;
}
