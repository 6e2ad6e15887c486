/* compare.h */
#include "compare.h"

#include "board.h"

#include "adze_float.h"

#include <math.h>
#include <stdbool.h>

int element_is_float(element type) { return type >= ELEMENT_F32; }

double element_value(element type, const void *data, size_t i) {
    switch (type) {
    case ELEMENT_BOOL: return ((const bool *)data)[i] ? 1 : 0;
    case ELEMENT_I8: return ((const int8_t *)data)[i];
    case ELEMENT_U8: return ((const uint8_t *)data)[i];
    case ELEMENT_I16: return ((const int16_t *)data)[i];
    case ELEMENT_U16: return ((const uint16_t *)data)[i];
    case ELEMENT_I32: return (double)((const int32_t *)data)[i];
    case ELEMENT_U32: return (double)((const uint32_t *)data)[i];
    case ELEMENT_I64: return (double)((const int64_t *)data)[i];
    case ELEMENT_U64: return (double)((const uint64_t *)data)[i];
    case ELEMENT_F32: return (double)((const float *)data)[i];
    case ELEMENT_F64: return ((const double *)data)[i];
    case ELEMENT_F16: return (double)adze_f16_to_f32(((const uint16_t *)data)[i]);
    case ELEMENT_BF16: return (double)adze_bf16_to_f32(((const uint16_t *)data)[i]);
    case ELEMENT_F8E4M3FN: return (double)adze_f8e4m3fn_to_f32(((const uint8_t *)data)[i]);
    case ELEMENT_F8E4M3FNUZ: return (double)adze_f8e4m3fnuz_to_f32(((const uint8_t *)data)[i]);
    case ELEMENT_F8E5M2: return (double)adze_f8e5m2_to_f32(((const uint8_t *)data)[i]);
    case ELEMENT_F8E5M2FNUZ: return (double)adze_f8e5m2fnuz_to_f32(((const uint8_t *)data)[i]);
    case ELEMENT_F8E8M0: return (double)adze_f8e8m0_to_f32(((const uint8_t *)data)[i]);
    case ELEMENT_F4E2M1: return (double)adze_f4e2m1_to_f32(((const uint8_t *)data)[i]);
    }
    return 0;
}

/* The difference of two elements; 64-bit integers keep all their bits. Both NaN, or the same infinity:
 * none. One NaN, or another infinity: infinite. */
static double difference(element type, const void *a, const void *b, size_t i) {
    if (type == ELEMENT_I64 || type == ELEMENT_U64) {
        const uint64_t x = ((const uint64_t *)a)[i], y = ((const uint64_t *)b)[i];
        const uint64_t d = x - y;
        return x == y ? 0 : (double)(d >> 63 ? 0 - d : d);
    }
    const double x = element_value(type, a, i), y = element_value(type, b, i);
    if (x == y || (x != x && y != y)) {
        return 0;
    }
    const double d = fabs(x - y);
    return d <= 1.7976931348623157e308 ? d : (double)INFINITY;
}

int compare(const char *name, element type, const void *got, const void *want, size_t count,
            double tolerance, double steps) {
    double low = 0, high = 0, worst = 0;
    size_t at = 0, differ = 0;
    int seen = 0;
    for (size_t i = 0; i < count; i++) {
        const double w = element_value(type, want, i), d = difference(type, got, want, i);
        if (fabs(w) <= 1.7976931348623157e308) {
            low = !seen || w < low ? w : low;
            high = !seen || w > high ? w : high;
            seen = 1;
        }
        differ += d != 0;
        if (d > worst) {
            worst = d;
            at = i;
        }
    }
    /* A constant output has no range: its size stands in. */
    double range = high - low;
    if (!(range > 0)) {
        range = fabs(high) > 0 ? fabs(high) : 1;
    }
    const double allowed = element_is_float(type) ? tolerance * range : steps;
    const int wrong = !(worst <= allowed);
    adze_board_puts("  ");
    adze_board_puts(name);
    adze_board_puts(": ");
    adze_board_put_u(count);
    adze_board_puts(" values, ");
    if (element_is_float(type)) {
        adze_board_puts("max error ");
        adze_board_put_f(worst, 4);
        adze_board_puts(" (");
        adze_board_put_f(worst / range, 4);
        adze_board_puts(" of the range, ");
        adze_board_put_f(tolerance, 2);
        adze_board_puts(" allowed)");
    } else {
        adze_board_put_u(differ);
        adze_board_puts(" differ, by at most ");
        adze_board_put_f(worst, 4);
        adze_board_puts(" (");
        adze_board_put_f(steps, 4);
        adze_board_puts(" allowed)");
    }
    if (wrong) {
        adze_board_puts(", WRONG: value ");
        adze_board_put_u(at);
        adze_board_puts(" is ");
        adze_board_put_f(element_value(type, got, at), 9);
        adze_board_puts(", should be ");
        adze_board_put_f(element_value(type, want, at), 9);
    }
    adze_board_puts("\n");
    return wrong;
}

#ifdef ADZE_MAIN_HEX

/* For a program to read: the array's bytes as they lie in memory. */
void print_values(const char *name, element type, const void *data, size_t count) {
    enum { LINE_BYTES = 32 };
    static const unsigned char element_bytes[] = {
        [ELEMENT_BOOL] = sizeof(bool), [ELEMENT_I8] = 1,         [ELEMENT_U8] = 1,
        [ELEMENT_I16] = 2,             [ELEMENT_U16] = 2,        [ELEMENT_I32] = 4,
        [ELEMENT_U32] = 4,             [ELEMENT_I64] = 8,        [ELEMENT_U64] = 8,
        [ELEMENT_F32] = 4,             [ELEMENT_F64] = 8,        [ELEMENT_F16] = 2,
        [ELEMENT_BF16] = 2,            [ELEMENT_F8E4M3FN] = 1,   [ELEMENT_F8E4M3FNUZ] = 1,
        [ELEMENT_F8E5M2] = 1,          [ELEMENT_F8E5M2FNUZ] = 1, [ELEMENT_F8E8M0] = 1,
        [ELEMENT_F4E2M1] = 1,
    };
    const unsigned char *p = data;
    size_t bytes = count * element_bytes[type];
    adze_board_puts(name);
    adze_board_puts(":\n");
    while (bytes > 0) {
        const size_t n = bytes < LINE_BYTES ? bytes : LINE_BYTES;
        adze_board_puts("hex ");
        for (size_t i = 0; i < n; i++) {
            adze_board_put_x(p[i], 2);
        }
        adze_board_puts("\n");
        p += n;
        bytes -= n;
    }
    adze_board_puts("end\n");
}

#else

static void print_one(element type, const void *data, size_t i) {
    const double v = element_value(type, data, i);
    if (element_is_float(type)) {
        adze_board_put_f(v, 6);
    } else if (type == ELEMENT_U64) {
        adze_board_put_u(((const uint64_t *)data)[i]);
    } else if (type == ELEMENT_I64) {
        adze_board_put_i(((const int64_t *)data)[i]);
    } else {
        adze_board_put_i((int64_t)v);
    }
}

void print_values(const char *name, element type, const void *data, size_t count) {
    enum { ALL = 16, TOP = 5 };
    adze_board_puts(name);
    adze_board_puts(":");
    if (count <= ALL) {
        for (size_t i = 0; i < count; i++) {
            adze_board_puts(" ");
            print_one(type, data, i);
        }
        adze_board_puts("\n");
        return;
    }
    adze_board_puts(" largest of ");
    adze_board_put_u(count);
    adze_board_puts(":");
    double below = (double)INFINITY;
    size_t last = 0;
    for (int k = 0; k < TOP; k++) { /* the next one down; equal values in order of their index */
        double best = -(double)INFINITY;
        size_t at = count;
        for (size_t i = 0; i < count; i++) {
            const double v = element_value(type, data, i);
            const bool later = v < below || (v == below && k > 0 && i > last);
            if (later && v > best) {
                best = v;
                at = i;
            }
        }
        if (at == count) {
            break;
        }
        adze_board_puts(k ? ", [" : " [");
        adze_board_put_u(at);
        adze_board_puts("] ");
        print_one(type, data, at);
        below = best;
        last = at;
    }
    adze_board_puts("\n");
}

#endif
