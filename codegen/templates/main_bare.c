/* Runs each model on its reference input and prints what comes out. */
@models@#include "compare.h"

#include "board.h"

@memory@@runs@
int main(void) {
    int status = 0;
@calls@    adze_board_flush();
    return status;
}
