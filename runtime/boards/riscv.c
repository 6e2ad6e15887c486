/* riscv.c — start-up, traps, stack depth and clock for RISC-V in machine mode, 32 and 64 bits.
 *
 *   reset ─► other harts wait ─► gp, sp, tp ─► FPU and vector unit on ─► paint stack
 *         ─► copy .data, clear .bss ─► main ─► exit with its status
 *
 * The linker script of the tree gives the memory; nothing here depends on the board.
 */
#include "board.h"
#include "semihosting.h"
#include "stack.h"

extern int main(void);
extern uint32_t __adze_data_start[], __adze_data_end[], __adze_data_load[];
extern uint32_t __adze_bss_start[], __adze_bss_end[];

#define READ_CSR(name)                                                                             \
    __extension__({                                                                                \
        uintptr_t value_;                                                                          \
        __asm__ volatile("csrr %0, " #name : "=r"(value_));                                        \
        value_;                                                                                    \
    })

/* ---- semihosting: three instructions, uncompressed, on one page ---- */

uintptr_t adze_board_semihost(uintptr_t operation, const void *arguments) {
    register uintptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;
    __asm__ volatile(".option push\n\t"
                     ".option norvc\n\t"
                     ".balign 16\n\t"
                     "slli x0, x0, 0x1f\n\t"
                     "ebreak\n\t"
                     "srai x0, x0, 7\n\t"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
}

/* ---- traps end the program ---- */

enum { FAULT_STATUS = 70 };

__attribute__((used, aligned(4))) static __attribute__((noreturn)) void on_trap(void) {
    adze_board_puts("\ntrap: cause ");
    adze_board_put_u(READ_CSR(mcause));
    adze_board_puts(", pc 0x");
    adze_board_put_x(READ_CSR(mepc), 8);
    adze_board_puts(", value 0x");
    adze_board_put_x(READ_CSR(mtval), 8);
    adze_board_puts("\n");
    adze_board_exit(FAULT_STATUS);
}

/* ---- clock: retired instructions ---- */

uint64_t adze_board_clock(void) {
#if __riscv_xlen == 32
    uint32_t low, high, again;
    do {
        high = READ_CSR(minstreth);
        low = READ_CSR(minstret);
        again = READ_CSR(minstreth);
    } while (high != again);
    return (uint64_t)high << 32 | low;
#else
    return READ_CSR(minstret);
#endif
}

uint64_t adze_board_clock_hz(void) {
    return 0;
}

/* ---- stack ---- */

size_t adze_board_stack_bytes(void) {
    return (size_t)((uintptr_t)__adze_stack_top - (uintptr_t)__adze_stack_limit);
}

size_t adze_board_stack_used(void) {
    return adze_board_painted_depth();
}

void adze_board_stack_paint(void) {
    uint32_t here;
    adze_board_paint_below((uintptr_t)&here);
}

/* ---- start-up ---- */

__attribute__((used, noreturn)) static void start(void) {
    adze_board_stack_paint();
    const uint32_t *from = __adze_data_load;
    for (volatile uint32_t *to = __adze_data_start; to < __adze_data_end;)
        *to++ = *from++;
    for (volatile uint32_t *p = __adze_bss_start; p < __adze_bss_end;)
        *p++ = 0;
    int status = main();
    if (adze_board_stack_used() >= adze_board_stack_bytes()) {
        adze_board_puts("\ntrap: stack overflow\n");
        status = FAULT_STATUS;
    }
    adze_board_exit(status);
}

void adze_board_reset(void);

__attribute__((naked, used, section(".vectors"))) void adze_board_reset(void) {
    __asm__ volatile("csrr t0, mhartid\n\t"
                     "1: beqz t0, 2f\n\t"
                     "wfi\n\t"
                     "j 1b\n\t"
                     "2:\n\t"
                     ".option push\n\t"
                     ".option norelax\n\t"
                     "la gp, __global_pointer$\n\t"
                     ".option pop\n\t"
                     "la sp, __adze_stack_top\n\t"
                     "la tp, __adze_tls_start\n\t"
                     "la t0, %0\n\t"
                     "csrw mtvec, t0\n\t"
                     "li t0, 0x6600\n\t" /* mstatus: FS and VS dirty */
                     "csrs mstatus, t0\n\t"
                     "tail %1\n\t"
                     :
                     : "i"(on_trap), "i"(start));
}
