// Writes what the repository keeps: both models, their test data in the layout of ONNX's backend
// tests (test_data_set_N/input_0.pb, output_0.pb), and sample images.
#include "digits.h"

#include <errno.h>
#include <png.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TEST_SETS = 3, UNSURE_AMONG = 1000, PATH_BYTES = 512 };

// Puts a path together; false, with a message, where it is too long.
__attribute__((format(printf, 2, 3))) static bool join(char path[PATH_BYTES], const char *format,
                                                       ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_BYTES, format, arguments);
    va_end(arguments);
    if (length >= 0 && length < PATH_BYTES)
        return true;
    fprintf(stderr, "%s...: path too long\n", path);
    return false;
}

static bool make_dir(const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return true;
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return false;
}

static bool write_png(const char *path, const struct sample *sample) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = IMAGE_SIDE,
                       .height = IMAGE_SIDE,
                       .format = PNG_FORMAT_GRAY};
    if (png_image_write_to_file(&image, path, 0, sample->pixel, 0, NULL))
        return true;
    fprintf(stderr, "%s: %s\n", path, image.message);
    return false;
}

// Opens DIR/labels.csv, a line for each file with its digit.
static FILE *open_labels(const char *dir) {
    char path[PATH_BYTES];
    if (!join(path, "%s/labels.csv", dir))
        return NULL;
    FILE *file = fopen(path, "w");
    if (file)
        fprintf(file, "file,label\n");
    else
        perror(path);
    return file;
}

static bool write_test_set(const char *model_dir, int set, const float image[IMAGE_PIXELS],
                           const float scores[CLASSES]) {
    static const int64_t image_dims[] = {1, 1, IMAGE_SIDE, IMAGE_SIDE}, score_dims[] = {1, CLASSES};
    char set_dir[PATH_BYTES], path[PATH_BYTES];
    return join(set_dir, "%s/test_data_set_%d", model_dir, set) && make_dir(set_dir) &&
           join(path, "%s/input_0.pb", set_dir) &&
           onnx_write_tensor(path, "image", 4, image_dims, image) &&
           join(path, "%s/output_0.pb", set_dir) &&
           onnx_write_tensor(path, "scores", 2, score_dims, scores);
}

// The image, among the first of the held-out ones, that the float network gets right with the least
// certainty: its scores are not all near 0 and 1, so that a wrong kernel shows in them.
static uint64_t least_sure(const float parameters[PARAMETERS], struct activations *a) {
    uint64_t found = 0;
    float lowest = 1.0f;
    for (uint64_t i = 0; i < UNSURE_AMONG; i++) {
        struct sample sample;
        float image[IMAGE_PIXELS];
        draw_sample(STREAM_HELD_OUT, i, &sample);
        reference_image(&sample, image);
        reference_run(parameters, NULL, image, a);
        float score = a->node[SOFTMAX][sample.label];
        if (reference_class(a) == sample.label && score < lowest) {
            lowest = score;
            found = i;
        }
    }
    return found;
}

static bool export_test_sets(const char *dir, const float parameters[PARAMETERS],
                             const struct quantized_net *q, FILE *labels, struct activations *a) {
    const uint64_t index[TEST_SETS] = {3, 8, least_sure(parameters, a)};
    const struct {
        const char *name;
        const struct quantized_net *q;
    } models[] = {{"float", NULL}, {"int8", q}};
    for (int m = 0; m < 2; m++) {
        char path[PATH_BYTES];
        if (!join(path, "%s/%s", dir, models[m].name))
            return false;
        for (int set = 0; set < TEST_SETS; set++) {
            struct sample sample;
            float image[IMAGE_PIXELS];
            draw_sample(STREAM_HELD_OUT, index[set], &sample);
            reference_image(&sample, image);
            reference_run(parameters, models[m].q, image, a);
            if (!write_test_set(path, set, image, a->node[SOFTMAX]))
                return false;
            fprintf(labels, "%s/test_data_set_%d/input_0.pb,%d\n", models[m].name, set,
                    sample.label);
        }
    }
    return true;
}

static bool export_samples(const char *dir, FILE *labels) {
    for (uint64_t i = 0; i < CLASSES; i++) {
        struct sample sample;
        char path[PATH_BYTES];
        draw_sample(STREAM_HELD_OUT, i, &sample);
        if (!join(path, "%s/samples/%d.png", dir, sample.label) || !write_png(path, &sample))
            return false;
        fprintf(labels, "samples/%d.png,%d\n", sample.label, sample.label);
    }
    return true;
}

bool export_all(const char *dir, const float parameters[PARAMETERS],
                const struct quantized_net *q) {
    static const char *const folders[] = {"float", "int8", "samples"};
    char path[PATH_BYTES];
    for (int i = 0; i < 3; i++) {
        if (!join(path, "%s/%s", dir, folders[i]) || !make_dir(path))
            return false;
    }
    if (!join(path, "%s/float/model.onnx", dir) || !onnx_write_model(path, parameters, NULL))
        return false;
    if (!join(path, "%s/int8/model.onnx", dir) || !onnx_write_model(path, parameters, q))
        return false;
    FILE *labels = open_labels(dir);
    struct activations *a = malloc(sizeof *a);
    bool ok = labels && a && export_samples(dir, labels) &&
              export_test_sets(dir, parameters, q, labels, a);
    free(a);
    if (labels)
        ok = fclose(labels) == 0 && ok;
    return ok;
}

bool export_images(const char *dir, int count) {
    if (!make_dir(dir))
        return false;
    FILE *labels = open_labels(dir);
    bool ok = labels != NULL;
    for (int i = 0; ok && i < count; i++) {
        struct sample sample;
        char path[PATH_BYTES];
        draw_sample(STREAM_HELD_OUT, (uint64_t)i, &sample);
        ok = join(path, "%s/%05d.png", dir, i) && write_png(path, &sample);
        fprintf(labels, "%05d.png,%d\n", i, sample.label);
    }
    if (labels)
        ok = fclose(labels) == 0 && ok;
    return ok;
}
