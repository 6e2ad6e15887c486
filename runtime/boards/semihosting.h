/* semihosting.h — how the start-up files reach the debugger or emulator. */
#ifndef ADZE_BOARD_SEMIHOSTING_H
#define ADZE_BOARD_SEMIHOSTING_H

#include <stdint.h>

/* One call: `operation` with the address of its arguments. The processor's file defines it.
 * Source: Arm, Semihosting for AArch32 and AArch64; RISC-V Semihosting 1.0. */
uintptr_t adze_board_semihost(uintptr_t operation, const void *arguments);

#endif
