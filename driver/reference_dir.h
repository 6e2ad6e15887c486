/* ONNX's folders of reference data: input_N.pb and output_N.pb, N counting the graph's inputs
 * (those that are not initializers) and outputs. Some files carry the value's name, which then
 * counts. */
#ifndef ADZE_DRIVER_REFERENCE_DIR_H
#define ADZE_DRIVER_REFERENCE_DIR_H

#include "frontend/onnx/import.h"
#include "ir/weights.h"

typedef struct adze_reference_file {
    const char *path, *name; /* what it is for; "" when there are more files than names */
    adze_tensor value;
} adze_reference_file;

/* `dir` itself, or its test_data_set_0 when it has one; NULL with a diagnostic when there is no
 * such folder. */
const char *adze_reference_folder(adze_context *ctx, const char *dir);
/* Names of the graph's inputs that are data, in the file's order. */
bool adze_reference_inputs(adze_context *ctx, const char *model_path, const char ***names,
                           size_t *n);
/* The same for its outputs. */
bool adze_reference_outputs(adze_context *ctx, const char *model_path, const char ***names,
                            size_t *n);
/* Names of the inputs' symbolic extents, as --dim knows them (NAME, or INPUT_AXIS for one without),
 * each once. */
bool adze_reference_dim_names(adze_context *ctx, const char *model_path, const char ***names,
                              size_t *n);
/* Reads DIR/KIND_0.pb, KIND_1.pb ... as many as there are. */
bool adze_reference_read(adze_context *ctx, const char *dir, const char *kind,
                         const char *const *names, size_t n_names, adze_reference_file **files,
                         size_t *n_files);
/* The given dims, and for every other symbolic extent of the graph's inputs what the folder's
 * inputs have there. */
bool adze_reference_dims(adze_context *ctx, const char *model_path, const char *dir,
                         const adze_onnx_dim *given, size_t n_given, const adze_onnx_dim **dims,
                         size_t *n_dims);

#endif
