/* stack.h — painting the stack to see how deep it has been. For the start-up files. */
#ifndef ADZE_BOARD_STACK_H
#define ADZE_BOARD_STACK_H

#include <stddef.h>
#include <stdint.h>

/* From the linker script. */
extern uint32_t __adze_stack_limit[], __adze_stack_top[];

#define ADZE_BOARD_PAINT 0xa5c3a5c3u

/* Fills from the limit up to `below`, the address of something on the caller's stack. The gap is
 * for what this function itself keeps on the stack. */
static inline void adze_board_paint_below(uintptr_t below) {
    enum { GAP_BYTES = 64 };
    volatile uint32_t *p = __adze_stack_limit;
    while ((uintptr_t)p + GAP_BYTES < below)
        *p++ = ADZE_BOARD_PAINT;
}

static inline size_t adze_board_painted_depth(void) {
    const volatile uint32_t *p = __adze_stack_limit;
    while ((uintptr_t)p < (uintptr_t)__adze_stack_top && *p == ADZE_BOARD_PAINT)
        p++;
    return (size_t)((uintptr_t)__adze_stack_top - (uintptr_t)p);
}

#endif
