/* What the files of the verifier share. */
#ifndef ADZE_IR_VERIFY_H
#define ADZE_IR_VERIFY_H

#include "ir/ir.h"

/* Checks that the extents of an operation's values agree and that its attributes lie within them: what
 * passes reads and writes nothing outside its values. Operands that are missing, and values that are no
 * ranked tensors, have been reported before. NULL, or what is wrong (in the context's arena). */
const char *adze_verify_shapes(adze_context *ctx, MlirOperation op, adze_op which);
/* An operation with the shapes of its values. */
typedef struct adze_checked {
    adze_context *ctx;
    MlirOperation op;
    adze_op which;
    int n_x;
    adze_shape x[12], y[4];
    bool has_x[12], has_y[4]; /* false: adze.none, or of type !adze.absent */
} adze_checked;

/* The same for conv, conv_transpose, pool, deform_conv and col2im (verify_window.c). */
const char *adze_verify_window(const adze_checked *c);

#endif
