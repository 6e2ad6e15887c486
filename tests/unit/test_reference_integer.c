/* The scalars of the integer definition, against exact arithmetic of more bits than they use. */
#include "ir/integer.h"
#include "runtime/adze_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

__extension__ typedef __int128 wide;

/* A small generator, so that a failure repeats. */
static uint64_t seed = 1;
static uint64_t next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* round_half_even(a / b), b > 0, by its definition. */
static int64_t divide_exactly(wide a, wide b) {
    wide q = a / b;
    if (q * b > a)
        q--;
    const wide twice = 2 * (a - q * b);
    return (int64_t)(q + (twice > b || (twice == b && q % 2 != 0)));
}

static void test_scale(void **state) {
    (void)state;
    int32_t m, s;
    adze_requant_scale(1, &m, &s);
    assert_int_equal(m, 1 << 30);
    assert_int_equal(s, 30);
    adze_requant_scale(0.75, &m, &s);
    assert_int_equal(m, 3 << 29);
    assert_int_equal(s, 31);
    adze_requant_scale(nextafter(1, 0), &m, &s); /* rounds up into the next power of two */
    assert_int_equal(m, 1 << 30);
    assert_int_equal(s, 30);
    static const double beyond[][3] = {{0, 0, 62},
                                       {-1, 0, 62},
                                       {1e-30, 0, 62},
                                       {1e30, INT32_MAX, 0},
                                       {2147483648.0, INT32_MAX, 0}};
    for (size_t i = 0; i < ADZE_COUNT(beyond); i++) {
        adze_requant_scale(beyond[i][0], &m, &s);
        assert_int_equal(m, (int32_t)beyond[i][1]);
        assert_int_equal(s, (int32_t)beyond[i][2]);
    }
    adze_requant_scale(NAN, &m, &s);
    assert_int_equal(m, 0);
    for (int i = 0; i < 100000; i++) { /* nearest: half a unit of m at most */
        const double real = ldexp(1 + (double)(next() >> 12) * 0x1p-52, (int)(next() % 50) - 31);
        adze_requant_scale(real, &m, &s);
        assert_true(m >= 1 << 30 && s >= 0 && s <= 62);
        assert_true(fabs(ldexp(real, s) - m) <= 0.5);
    }
}

static void test_pair(void **state) {
    (void)state;
    for (int i = 0; i < 100000; i++) {
        const double a = ldexp(1 + (double)(next() >> 12) * 0x1p-52, (int)(next() % 20) - 10);
        const double b = ldexp(1 + (double)(next() >> 12) * 0x1p-52, (int)(next() % 20) - 10);
        int32_t ma, mb, s;
        adze_requant_pair(a, b, &ma, &mb, &s);
        const int32_t larger = ma > mb ? ma : mb;
        assert_true(larger >= 1 << 29 && larger < 1 << 30);
        assert_true(fabs(ldexp(a, s) - ma) <= 1 && fabs(ldexp(b, s) - mb) <= 1);
    }
}

static void test_requantize(void **state) {
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        const int32_t acc = (int32_t)((int64_t)next() >> (32 + next() % 31));
        const int32_t m = (int32_t)(next() % (1u << 30)) + (1 << 30);
        const int32_t s = (int32_t)(next() % 63);
        const int64_t zero = (int64_t)(next() % 256) - 128;
        int64_t want = divide_exactly((wide)acc * m, (wide)1 << s);
        want = want > 1000 ? 1000 : want < -1000 ? -1000 : want; /* far outside eight bits */
        want += zero;
        want = want > 127 ? 127 : want < -128 ? -128 : want;
        assert_int_equal(adze_requantize_ref(acc, m, s, zero, -128, 127), want);
    }
    /* ties go to the even neighbour, from both sides of zero */
    static const int64_t ties[][2] = {{1, 0}, {3, 2}, {5, 2}, {-1, 0}, {-3, -2}, {-5, -2}};
    for (size_t i = 0; i < ADZE_COUNT(ties); i++) {
        assert_int_equal(adze_requantize_ref(ties[i][0], 1 << 30, 31, 0, -128, 127), ties[i][1]);
        assert_int_equal(adze_round_divide(ties[i][0], 2), ties[i][1]);
    }
    /* the extremes of the accumulator */
    assert_int_equal(adze_requantize_ref(INT32_MIN, INT32_MAX, 62, 0, -128, 127), -1);
    assert_int_equal(adze_requantize_ref(INT32_MIN, INT32_MAX, 0, 100, -128, 127), -128);
}

/* The short form of generated code, wherever the proof allows it; and that it does refuse ties. */
static void test_untied(void **state) {
    (void)state;
    int allowed = 0;
    for (int i = 0; i < 1000000; i++) {
        const int zeros = (int)(next() % 31);
        const int32_t m = (int32_t)((next() % (1u << 30) + (1u << 30)) >> zeros << zeros);
        const int32_t s = (int32_t)(next() % 63);
        const int64_t zero = (int64_t)(next() % 256) - 128, reach = (int64_t)(next() >> (32 + next() % 31));
        if (!adze_requant_untied(m, s, (double)reach, zero))
            continue;
        allowed++;
        const int64_t ends[] = {reach, -reach, reach / 2, 0, 1, -1, (int64_t)(next() % (uint64_t)(reach + 1))};
        for (size_t k = 0; k < ADZE_COUNT(ends); k++) {
            const int64_t acc = ends[k] > INT32_MAX ? INT32_MAX : ends[k] < INT32_MIN ? INT32_MIN : ends[k];
            if (acc <= reach && acc >= -reach)
                assert_int_equal(adze_requantize_untied((int32_t)acc, m, s, (int32_t)zero, -128, 127),
                                 adze_requantize_ref(acc, m, s, zero, -128, 127));
        }
    }
    assert_true(allowed > 50000);
    /* 2^7 * 2^30 / 2^38 is a half */
    assert_false(adze_requant_untied(1 << 30, 38, 128, 0));
    assert_true(adze_requant_untied(1 << 30, 38, 127, 0));
    assert_false(adze_requant_untied(1 << 30, 32, 1, 0));
    assert_false(adze_requant_untied(0, 62, 1, 0));
}

static void test_softmax(void **state) {
    (void)state;
    int32_t table[256];
    adze_softmax_table(0.05, table);
    assert_int_equal(table[0], 1 << 23);
    for (int d = 1; d < 256; d++)
        assert_true(table[d] <= table[d - 1] && table[d] >= 0);
    for (int i = 0; i < 100000; i++) {
        const int64_t t = table[next() % 256],
                      sum = (int64_t)(1 << 23) + (int64_t)(next() % (1u << 31));
        const double scale = i % 2 ? 1.0 / 256 : 0.001 + (double)(next() % 1000) * 1e-5;
        int32_t m, s;
        adze_requant_scale(1 / scale, &m, &s);
        int64_t want = divide_exactly((wide)t * m, (wide)sum << s);
        want = want > 255 ? 255 : want;
        assert_int_equal(adze_softmax_ref(t, sum, scale, 0, 0, 255), want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_requantize),
        cmocka_unit_test(test_untied),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
