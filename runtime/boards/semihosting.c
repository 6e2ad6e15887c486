/* semihosting.c — output and exit through the debugger or emulator.
 *
 * Without one attached the calls fault; a board with a UART replaces this file by its own
 * adze_board_write, adze_board_flush and adze_board_exit.
 */
#include "semihosting.h"
#include "board.h"

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20 };
enum { APPLICATION_EXIT = 0x20026, OPEN_WRITE = 4 };

static char line[128];
static size_t line_bytes;
static uintptr_t out_handle; /* 0: not open yet */

void adze_board_flush(void) {
    if (line_bytes == 0)
        return;
    if (out_handle == 0) {
        static const char console[] = ":tt";
        const uintptr_t open[3] = {(uintptr_t)console, OPEN_WRITE, sizeof console - 1};
        out_handle = adze_board_semihost(SYS_OPEN, open);
    }
    const uintptr_t block[3] = {out_handle, (uintptr_t)line, line_bytes};
    adze_board_semihost(SYS_WRITE, block);
    line_bytes = 0;
}

void adze_board_write(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        line[line_bytes++] = text[i];
        if (text[i] == '\n' || line_bytes == sizeof line)
            adze_board_flush();
    }
}

_Noreturn void adze_board_exit(int status) {
    adze_board_flush();
    const uintptr_t block[2] = {APPLICATION_EXIT, (uintptr_t)status};
    for (;;)
        adze_board_semihost(SYS_EXIT_EXTENDED, block);
}
