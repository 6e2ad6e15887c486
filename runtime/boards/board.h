/* board.h — what a program on a board, or on a hosted system, needs of its surroundings: output,
 * an end, a clock, the stack's depth. No heap, no stdio on bare boards.
 *
 *   board.c          printing numbers, on top of adze_board_write
 *   hosted.c         Linux and other hosted systems
 *   cortex_m.c       Arm Cortex-M: start-up, faults, SysTick        ┐ with semihosting.c
 *   riscv.c          RISC-V without an operating system: start-up   ┘ for output and exit
 *
 * Not re-entrant; for one thread.
 */
#ifndef ADZE_BOARD_H
#define ADZE_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Arrays for an inference: not cleared at start-up, placed in the linker script's regions for
 * scratch and state. */
#if defined(__GNUC__) && defined(__ELF__)
#define ADZE_BOARD_SCRATCH __attribute__((section(".bss.scratch"), aligned(64)))
#define ADZE_BOARD_STATE __attribute__((section(".bss.state"), aligned(64)))
#elif defined(__GNUC__)
#define ADZE_BOARD_SCRATCH __attribute__((aligned(64)))
#define ADZE_BOARD_STATE __attribute__((aligned(64)))
#else
#define ADZE_BOARD_SCRATCH
#define ADZE_BOARD_STATE
#endif

/* Output, on a hosted system to stdout. On bare boards it is kept until a newline. */
void adze_board_write(const char *text, size_t bytes);
void adze_board_putc(char c);
void adze_board_puts(const char *text); /* no newline is added */
void adze_board_put_u(uint64_t value);
void adze_board_put_i(int64_t value);
void adze_board_put_x(uint64_t value, unsigned digits); /* zero-padded, no 0x */
/* Scientific notation with `digits` (1 to 17) significant digits: "-1.2345e+02", "nan", "inf".
 * The last digit may be off by one beyond 15 digits. */
void adze_board_put_f(double value, unsigned digits);
void adze_board_flush(void);

/* Ends the program; on bare boards the status reaches whoever runs it by semihosting. Returning
 * from main does the same. */
_Noreturn void adze_board_exit(int status);

/* A clock that only counts up. Its unit is adze_board_clock_hz() ticks a second, or retired
 * instructions where that is 0. */
uint64_t adze_board_clock(void);
uint64_t adze_board_clock_hz(void);

/* The stack: its whole size, and how deep it has been since start-up or the last paint, in bytes.
 * Both are 0 on hosted systems. Painting fills what is free below the caller. */
size_t adze_board_stack_bytes(void);
size_t adze_board_stack_used(void);
void adze_board_stack_paint(void);

#endif
