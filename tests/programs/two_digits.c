/* Two separately made trees in one program: the float and the int8 digits network read the same
 * image, each with its own memory, and name the same digit. */
#include "digits_float.h"
#include "digits_int8.h"

#include "digits_float_data.h"

#include <stdio.h>

static _Alignas(DIGITS_FLOAT_ALIGN) unsigned char a_scratch[DIGITS_FLOAT_SCRATCH_BYTES];
static _Alignas(DIGITS_INT8_ALIGN) unsigned char b_scratch[DIGITS_INT8_SCRATCH_BYTES];

static int largest(const float *x, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

int main(void) {
    digits_float_t a;
    digits_int8_t b;
    float a_scores[10], b_scores[10];
    if (digits_float_init(&a, &(digits_float_mem){.scratch = {a_scratch, sizeof a_scratch}}) ||
        digits_int8_init(&b, &(digits_int8_mem){.scratch = {b_scratch, sizeof b_scratch}}))
        return 1;
    digits_float_run_in a_in = {.image.data = digits_float_test0_in_image};
    digits_float_run_out a_out = {.scores.data = a_scores};
    digits_int8_run_in b_in = {.image.data = digits_float_test0_in_image};
    digits_int8_run_out b_out = {.scores.data = b_scores};
    if (digits_float_run(&a, &a_in, &a_out) || digits_int8_run(&b, &b_in, &b_out))
        return 1;
    const int want = largest(digits_float_test0_out_scores, 10);
    printf("float %d, int8 %d, expected %d\n", largest(a_scores, 10), largest(b_scores, 10), want);
    return largest(a_scores, 10) != want || largest(b_scores, 10) != want;
}
