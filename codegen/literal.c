/* Numbers as C literals: the shortest text that reads back as the same number. */
#include "codegen/emit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void adze_c_float(adze_text *out, double value, bool single) {
    if (isnan(value)) {
        adze_text_puts(out, single ? "NAN" : "(double)NAN");
        return;
    }
    if (isinf(value)) {
        adze_text_printf(out, "%s%s", value < 0 ? "-" : "", single ? "INFINITY" : "(double)INFINITY");
        return;
    }
    char text[48];
    for (int digits = 1; digits <= (single ? 9 : 17); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    adze_text_printf(out, "%s%s%s", text, strpbrk(text, ".e") ? "" : ".0", single ? "f" : "");
}

void adze_c_literal(adze_text *out, const adze_tensor *t, size_t index) {
    const adze_dtype_info *info = adze_dtype_get(t->dtype);
    const uint8_t *bytes = (const uint8_t *)t->data + index * info->host_bytes;
    if (t->dtype == ADZE_f32 || t->dtype == ADZE_f64) {
        adze_c_float(out, adze_tensor_get_f64(t, index), t->dtype == ADZE_f32);
    } else if (info->cls == 'F') { /* small floats are their bits */
        unsigned bits = bytes[0];
        if (info->host_bytes == 2)
            bits |= (unsigned)bytes[1] << 8;
        adze_text_printf(out, "0x%0*x", (int)(2 * info->host_bytes), bits);
    } else if (t->dtype == ADZE_u64) {
        adze_text_printf(out, "UINT64_C(%" PRIu64 ")", (uint64_t)adze_tensor_get_i64(t, index));
    } else {
        int64_t v = adze_tensor_get_i64(t, index);
        if (v == INT64_MIN)
            adze_text_puts(out, "INT64_MIN");
        else if (t->dtype == ADZE_i64 && (v > INT32_MAX || v <= INT32_MIN))
            adze_text_printf(out, "INT64_C(%" PRId64 ")", v);
        else if (v == INT32_MIN)
            adze_text_puts(out, "INT32_MIN");
        else if (t->dtype == ADZE_u32 && v > INT32_MAX)
            adze_text_printf(out, "%" PRId64 "u", v);
        else
            adze_text_printf(out, "%" PRId64, v);
    }
}
