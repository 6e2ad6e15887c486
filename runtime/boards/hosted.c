/* hosted.c — board.h on a system with a C library. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 199309L
#endif
#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void adze_board_write(const char *text, size_t bytes) {
    fwrite(text, 1, bytes, stdout);
}

void adze_board_flush(void) {
    fflush(stdout);
}

_Noreturn void adze_board_exit(int status) {
    exit(status);
}

uint64_t adze_board_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t adze_board_clock_hz(void) {
    return 1000000000u;
}

size_t adze_board_stack_bytes(void) {
    return 0;
}
size_t adze_board_stack_used(void) {
    return 0;
}
void adze_board_stack_paint(void) {}
