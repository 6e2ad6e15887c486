/* board.c — numbers as text, for boards without stdio. */
#include "board.h"

void adze_board_putc(char c) {
    adze_board_write(&c, 1);
}

void adze_board_puts(const char *text) {
    size_t n = 0;
    while (text[n])
        n++;
    adze_board_write(text, n);
}

static void put_digits(uint64_t value, unsigned base, unsigned least) {
    char text[24];
    unsigned n = sizeof text;
    do {
        unsigned digit = (unsigned)(value % base);
        text[--n] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        value /= base;
    } while (n > 0 && (value || sizeof text - n < least));
    adze_board_write(text + n, sizeof text - n);
}

void adze_board_put_u(uint64_t value) {
    put_digits(value, 10, 1);
}

void adze_board_put_i(int64_t value) {
    if (value < 0)
        adze_board_putc('-');
    put_digits(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 1);
}

void adze_board_put_x(uint64_t value, unsigned digits) {
    put_digits(value, 16, digits < 16 ? digits : 16);
}

void adze_board_put_f(double value, unsigned digits) {
    static const double powers[] = {1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256};
    static const double inverses[] = {1e-1, 1e-2, 1e-4, 1e-8, 1e-16, 1e-32, 1e-64, 1e-128, 1e-256};
    if (digits < 1)
        digits = 1;
    if (digits > 17)
        digits = 17;
    if (value != value) {
        adze_board_puts("nan");
        return;
    }
    if (value < 0 || (value == 0 && 1 / value < 0)) {
        adze_board_putc('-');
        value = -value;
    }
    if (value > 1.7976931348623157e308) {
        adze_board_puts("inf");
        return;
    }
    /* value = m · 10^exponent with 1 ≤ m < 10 */
    int exponent = 0;
    if (value != 0) {
        for (int i = 8; i >= 0; i--) {
            if (value >= powers[i]) {
                value /= powers[i];
                exponent += 1 << i;
            } else if (value * powers[i] < 10 && value < 1) {
                value /= inverses[i];
                exponent -= 1 << i;
            }
        }
        while (value < 1) {
            value *= 10;
            exponent--;
        }
    }
    uint64_t unit = 1;
    for (unsigned i = 1; i < digits; i++)
        unit *= 10;
    uint64_t mantissa = (uint64_t)(value * (double)unit + 0.5);
    if (mantissa >= unit * 10) {
        mantissa /= 10;
        exponent++;
    }
    put_digits(mantissa / unit, 10, 1);
    if (digits > 1) {
        adze_board_putc('.');
        put_digits(mantissa % unit, 10, digits - 1);
    }
    adze_board_puts(exponent < 0 ? "e-" : "e+");
    put_digits((uint64_t)(exponent < 0 ? -exponent : exponent), 10, 2);
}
