/* See show.h. */
#include "driver/show.h"

#include <stdio.h>
#include <string.h>

enum { FEW = 24, EDGE = 6, BEST = 5 };

void adze_show_value(const adze_tensor *t, size_t index, adze_text *out) {
    switch (adze_dtype_get(t->dtype)->cls) {
    case 'F':
        adze_text_printf(out, "%.6g", adze_tensor_get_f64(t, index));
        break;
    case 'B':
        adze_text_puts(out, adze_tensor_get_i64(t, index) ? "true" : "false");
        break;
    case 'U':
        adze_text_printf(out, "%llu", (unsigned long long)adze_tensor_get_i64(t, index));
        break;
    case 'C': {
        bool wide = t->dtype == ADZE_c128;
        double re =
            wide ? ((const double *)t->data)[2 * index] : ((const float *)t->data)[2 * index];
        double im = wide ? ((const double *)t->data)[2 * index + 1]
                         : ((const float *)t->data)[2 * index + 1];
        adze_text_printf(out, "%.6g%+.6gi", re, im);
        break;
    }
    case 'S': {
        const adze_string *s = (const adze_string *)t->data + index;
        adze_text_printf(out, "\"%.*s\"", (int)s->length, s->data);
        break;
    }
    default:
        adze_text_printf(out, "%lld", (long long)adze_tensor_get_i64(t, index));
    }
}

/* A row of scores has one axis that is not 1. */
static bool is_vector(const adze_tensor *t) {
    int wide = 0;
    for (int i = 0; i < t->rank; i++)
        wide += t->dims[i] != 1;
    return wide == 1;
}

static void show_best(const adze_tensor *t, adze_text *out) {
    size_t n = adze_tensor_count(t), picked[BEST], k = 0;
    for (; k < BEST && k < n; k++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++) {
            bool taken = false;
            for (size_t j = 0; j < k; j++)
                taken = taken || picked[j] == i;
            double v = adze_tensor_get_f64(t, i);
            if (!taken && v == v && (best == n || v > adze_tensor_get_f64(t, best)))
                best = i;
        }
        if (best == n)
            break;
        picked[k] = best;
        adze_text_printf(out, "%s[%zu] ", k ? ", " : "  largest: ", best);
        adze_show_value(t, best, out);
    }
    if (k)
        adze_text_puts(out, "\n");
}

void adze_show_tensor(const char *name, const adze_tensor *t, adze_text *out) {
    size_t n = adze_tensor_count(t);
    adze_text_printf(out, "%s  %s[", name, adze_dtype_get(t->dtype)->name);
    for (int i = 0; i < t->rank; i++)
        adze_text_printf(out, "%s%lld", i ? ", " : "", (long long)t->dims[i]);
    adze_text_puts(out, "]\n  ");
    size_t column = 2;
    for (size_t i = 0; i < n; i++) {
        if (n > FEW && i == EDGE) {
            adze_text_puts(out, " ...");
            i = n - EDGE;
        }
        size_t before = out->length;
        adze_text_puts(out, i ? " " : "");
        adze_show_value(t, i, out);
        column += out->length - before;
        if (column > 90 && i + 1 < n) {
            adze_text_puts(out, "\n  ");
            column = 2;
        }
    }
    adze_text_puts(out, "\n");
    char cls = adze_dtype_get(t->dtype)->cls;
    if (n > 2 && is_vector(t) && strchr("FIU", cls))
        show_best(t, out);
}
