/* What test_vectorize compiles for a target with the kernels it made (kernels.h: the table
 * `kernels`): calls each scalar kernel and its vector form on the same data and compares. Prints
 * what differs and, last, how many do. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct parameter {
    const char *type; /* f64 f32 f16 i32 i8 u8 */
    int count;
} parameter;

typedef struct kernel {
    const char *name;
    int n; /* elements */
    double tolerance;
    void (*scalar)(void **), (*vector)(void **);
    int parameters;
    parameter parameter[4];
} kernel;

#include "kernels.h"

enum { MOST = 8 * 32 * 1200, GUARD = 64 };
static _Alignas(64) unsigned char memory[4][MOST + GUARD], other[MOST + GUARD];

static uint64_t seed = 1;
static uint32_t draw(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static size_t bytes_of(parameter p) {
    size_t each = !strcmp(p.type, "f64")      ? 8
                  : strstr("f32 i32", p.type) ? 4
                  : !strcmp(p.type, "f16")    ? 2
                                              : 1;
    return each * (size_t)p.count;
}

/* The last ones are so large that a sum's order shows. */
static const double odd[] = {NAN,     INFINITY,     -INFINITY,     0,           -0.0,   1e-41,
                             -1e-41,  0.5,          1.5,           2.5,         -0.5,   88.8,
                             -103.5,  127.5,        255.9,         256,         -128.6, 3.4e38,
                             -3.4e38, 2147483648.0, -2147483648.0, 2147483520.0};
enum { N_ODD = sizeof odd / sizeof *odd, N_SMALL = 17 };

static void fill(parameter p, unsigned char *to, int special, int exact) {
    for (int i = 0; i < p.count; i++) {
        double x = ((double)draw() / 2147483648.0 - 0.5) * 8;
        if (special && draw() % 3 == 0)
            x = odd[draw() % (exact ? N_ODD : N_SMALL)];
        float single = (float)x;
        int32_t whole = (int32_t)(draw() % 256) - 128;
        uint16_t half = (uint16_t)draw();
        if (!strcmp(p.type, "f64"))
            memcpy(to + 8 * i, &x, 8);
        else if (!strcmp(p.type, "f32"))
            memcpy(to + 4 * i, &single, 4);
        else if (!strcmp(p.type, "i32"))
            memcpy(to + 4 * i, &whole, 4);
        else if (!strcmp(p.type, "f16"))
            memcpy(to + 2 * i, &half, 2);
        else
            to[i] = (unsigned char)whole;
    }
}

static double value(const char *type, const unsigned char *at, int i) {
    double x;
    float single;
    int32_t whole;
    uint16_t half;
    if (!strcmp(type, "f64"))
        return memcpy(&x, at + 8 * i, 8), x;
    if (!strcmp(type, "f32"))
        return memcpy(&single, at + 4 * i, 4), (double)single;
    if (!strcmp(type, "i32"))
        return memcpy(&whole, at + 4 * i, 4), whole;
    if (!strcmp(type, "f16")) /* as bits; all NaN are one */
        return memcpy(&half, at + 2 * i, 2), (half & 0x7fff) > 0x7c00 ? NAN : half;
    return at[i];
}

static int same(const kernel *k, const unsigned char *a, const unsigned char *b) {
    parameter p = k->parameter[k->parameters - 1];
    for (int i = 0; i < p.count; i++) {
        double x = value(p.type, a, i), y = value(p.type, b, i);
        int equal = isnan(x) || isnan(y) ? isnan(x) && isnan(y)
                    : k->tolerance == 0 || isinf(x) || isinf(y)
                        ? x == y
                        : fabs(x - y) <= k->tolerance * fmax(1, fabs(x));
        if (!equal) {
            printf("'%s' of %d: at %d scalar %.9g, vectors %.9g\n", k->name, k->n, i, x, y);
            return 0;
        }
    }
    size_t end = bytes_of(p);
    for (size_t i = 0; i < GUARD; i++)
        if (a[end + i] != 0x5a || b[end + i] != 0x5a) {
            printf("'%s' of %d: wrote beyond its result\n", k->name, k->n);
            return 0;
        }
    return 1;
}

int main(void) {
    int wrong = 0;
    for (size_t c = 0; c < sizeof kernels / sizeof *kernels; c++)
        for (int round = 0; round < 4; round++) {
            const kernel *k = &kernels[c];
            void *args[4];
            int last = k->parameters - 1;
            for (int i = 0; i < last; i++) {
                fill(k->parameter[i], memory[i], round & 1, k->tolerance == 0);
                args[i] = memory[i];
            }
            memset(memory[last], 0x5a, bytes_of(k->parameter[last]) + GUARD);
            memset(other, 0x5a, bytes_of(k->parameter[last]) + GUARD);
            args[last] = memory[last];
            k->scalar(args);
            args[last] = other;
            k->vector(args);
            if (!same(k, memory[last], other)) {
                wrong++;
                break;
            }
        }
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
