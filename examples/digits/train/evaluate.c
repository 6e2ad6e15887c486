// Measures accuracy on held-out images, for the float network and for the int8 one.
#include "digits.h"

#include <stdlib.h>

struct tally {
    int confusion[CLASSES][CLASSES]; // [true][answered]
};

static void print_tally(const char *name, const struct tally *t, int images, FILE *out) {
    int right = 0;
    for (int c = 0; c < CLASSES; c++)
        right += t->confusion[c][c];
    fprintf(out, "%s: %d of %d right, %.2f %%\n  true \\ answer", name, right, images,
            100.0 * right / images);
    for (int c = 0; c < CLASSES; c++)
        fprintf(out, "%6d", c);
    for (int row = 0; row < CLASSES; row++) {
        fprintf(out, "\n  %13d", row);
        for (int c = 0; c < CLASSES; c++)
            fprintf(out, "%6d", t->confusion[row][c]);
    }
    fprintf(out, "\n\n");
}

bool evaluate(const float parameters[PARAMETERS], const struct quantized_net *q, int images,
              FILE *out) {
    struct activations *a = malloc(sizeof *a);
    if (!a)
        return false;
    struct tally tally_float = {0}, tally_int8 = {0};
    int agree = 0;
    for (int i = 0; i < images; i++) {
        struct sample sample;
        float image[IMAGE_PIXELS];
        draw_sample(STREAM_HELD_OUT, (uint64_t)i, &sample);
        reference_image(&sample, image);
        reference_run(parameters, NULL, image, a);
        int answer_float = reference_class(a);
        reference_run(parameters, q, image, a);
        int answer_int8 = reference_class(a);
        tally_float.confusion[sample.label][answer_float]++;
        tally_int8.confusion[sample.label][answer_int8]++;
        agree += answer_float == answer_int8;
    }
    print_tally("float", &tally_float, images, out);
    print_tally("int8", &tally_int8, images, out);
    fprintf(out, "float and int8 give the same answer for %d of %d\n", agree, images);
    free(a);
    return true;
}
