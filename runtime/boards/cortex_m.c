/* cortex_m.c — start-up, faults, stack depth and clock for Arm Cortex-M3 and later.
 *
 *   reset ─► FPU and vector unit on ─► stack limit ─► paint stack ─► copy .data, clear .bss
 *         ─► SysTick ─► main ─► exit with its status
 *
 * The linker script of the tree gives the memory; nothing here depends on the board.
 */
#include "board.h"
#include "semihosting.h"
#include "stack.h"

extern int main(void);
extern uint32_t __adze_data_start[], __adze_data_end[], __adze_data_load[];
extern uint32_t __adze_bss_start[], __adze_bss_end[];

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYST_CSR REGISTER(0xe000e010)
#define SYST_RVR REGISTER(0xe000e014)
#define SYST_CVR REGISTER(0xe000e018)
#define ICSR REGISTER(0xe000ed04)
#define VTOR REGISTER(0xe000ed08)
#define SHCSR REGISTER(0xe000ed24)
#define CFSR REGISTER(0xe000ed28)
#define CPACR REGISTER(0xe000ed88)

#define SYSTICK_TOP 0xffffffu /* 24 bits, counts down */
#define ICSR_PENDSTSET (1u << 26)

void adze_board_reset(void);

uintptr_t adze_board_semihost(uintptr_t operation, const void *arguments) {
    register uintptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* ---- faults end the program: the frame says where ---- */

enum { FAULT_STATUS = 70 };

#define CFSR_STACK_OVERFLOW (1u << 20)

static __attribute__((used, noreturn)) void fault(const uint32_t *frame, uint32_t exception) {
    uint32_t cause = CFSR;
    adze_board_puts("\nfault: exception ");
    adze_board_put_u(exception);
    adze_board_puts(", cfsr 0x");
    adze_board_put_x(cause, 8);
    if (cause & CFSR_STACK_OVERFLOW) { /* no frame was written */
        adze_board_puts(", stack overflow");
    } else if (frame >= __adze_stack_limit && frame + 8 <= __adze_stack_top) {
        adze_board_puts(", pc 0x");
        adze_board_put_x(frame[6], 8);
    }
    adze_board_puts("\n");
    adze_board_exit(FAULT_STATUS);
}

#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
#define HAS_STACK_LIMIT 1
#else
#define HAS_STACK_LIMIT 0
#endif

static __attribute__((naked)) void on_fault(void) {
    __asm__ volatile(
#if HAS_STACK_LIMIT
        "mov  r0, #0\n\t" /* room to report an overflow */
        "msr  msplim, r0\n\t"
#endif
        "mrs  r0, msp\n\t"
        "mrs  r1, ipsr\n\t"
        "ldr  r2, =%c0\n\t"
        "bx   r2\n\t"
        ".ltorg"
        :
        : "i"(fault));
}

static void on_nothing(void) {}

/* ---- clock: SysTick extended by its interrupt ---- */

static volatile uint32_t systick_wraps;

static void on_systick(void) {
    systick_wraps++;
}

static void start_systick(void) {
    SYST_RVR = SYSTICK_TOP;
    SYST_CVR = 0;
    SYST_CSR = 7; /* processor clock, interrupt, on */
}

uint64_t adze_board_clock(void) {
    uint32_t masked;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(masked) : : "memory");
    uint32_t wraps = systick_wraps, value = SYST_CVR;
    if (ICSR & ICSR_PENDSTSET) { /* wrapped, and not counted yet */
        value = SYST_CVR;
        wraps++;
    }
    __asm__ volatile("msr primask, %0" : : "r"(masked) : "memory");
    /* a period is 0, TOP, TOP-1 … 1: the interrupt comes with the 0 */
    return (uint64_t)wraps * (SYSTICK_TOP + 1) + ((SYSTICK_TOP + 1 - value) & SYSTICK_TOP);
}

uint64_t adze_board_clock_hz(void) {
#if defined(ADZE_BOARD_CLOCK_HZ)
    return ADZE_BOARD_CLOCK_HZ;
#else
    return 0;
#endif
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

typedef union {
    void (*handler)(void);
    const uint32_t *stack;
} vector;

enum { EXCEPTIONS = 16, INTERRUPTS = 64 }; /* no interrupt is enabled here */

__attribute__((section(".vectors"), used)) static const vector vectors[EXCEPTIONS + INTERRUPTS] = {
    [0] = {.stack = __adze_stack_top},
    [1] = {adze_board_reset},
    [2] = {on_fault},    /* NMI */
    [3] = {on_fault},    /* HardFault */
    [4] = {on_fault},    /* MemManage */
    [5] = {on_fault},    /* BusFault */
    [6] = {on_fault},    /* UsageFault */
    [7] = {on_fault},    /* SecureFault */
    [11] = {on_nothing}, /* SVCall */
    [12] = {on_nothing}, /* DebugMonitor */
    [14] = {on_nothing}, /* PendSV */
    [15] = {on_systick},
};

static __attribute__((used, noreturn)) void start(void) {
    adze_board_stack_paint();
    const uint32_t *from = __adze_data_load;
    for (volatile uint32_t *to = __adze_data_start; to < __adze_data_end;)
        *to++ = *from++;
    for (volatile uint32_t *p = __adze_bss_start; p < __adze_bss_end;)
        *p++ = 0;
    start_systick();
    int status = main();
    if (adze_board_stack_used() >= adze_board_stack_bytes()) {
        adze_board_puts("\nfault: stack overflow\n");
        status = FAULT_STATUS;
    }
    adze_board_exit(status);
}

/* Assembly, since the compiler may use the FPU in any function's first lines. */
__attribute__((naked, used)) void adze_board_reset(void) {
    __asm__ volatile("ldr  r0, =%c0\n\t" /* CPACR: coprocessors 10 and 11, the FPU and Helium */
                     "ldr  r1, [r0]\n\t"
                     "orr  r1, r1, #0xf00000\n\t"
                     "str  r1, [r0]\n\t"
                     "ldr  r0, =%c1\n\t" /* SHCSR: MemManage, BusFault, UsageFault on */
                     "ldr  r1, [r0]\n\t"
                     "orr  r1, r1, #0x70000\n\t"
                     "str  r1, [r0]\n\t"
                     "ldr  r0, =%c2\n\t" /* VTOR */
                     "ldr  r1, =%c3\n\t"
                     "str  r1, [r0]\n\t"
                     "dsb\n\t"
                     "isb\n\t"
                     "ldr  r0, =__adze_stack_top\n\t"
                     "mov  sp, r0\n\t"
#if HAS_STACK_LIMIT
                     "ldr  r0, =__adze_stack_limit\n\t"
                     "msr  msplim, r0\n\t"
#endif
                     "ldr  r0, =%c4\n\t"
                     "bx   r0\n\t"
                     ".ltorg\n\t"
                     :
                     : "i"(0xe000ed88), "i"(0xe000ed24), "i"(0xe000ed08), "i"(vectors), "i"(start));
}
