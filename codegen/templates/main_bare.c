/* Runs each model on its reference input and prints what comes out. Built with EXTRA=-DADZE_MAIN_HEX
 * it prints the outputs' bytes, with EXTRA=-DADZE_MAIN_RUNS=N also the times of N runs. */
@models@#include "compare.h"

#include "board.h"

@memory@@runs@
int main(void) {
    int status = 0;
@calls@    adze_board_flush();
    return status;
}
