/* Inside of a compilation: the models of one image on their way down.
 *
 *   load.c      MODEL -> module (ONNX through the frontend, a dump through the parser)
 *   selftest.c  inputs and expected outputs, while the module is still level 1
 *   compile.c   passes, dumps, limits, the tree
 */
#ifndef ADZE_DRIVER_JOB_H
#define ADZE_DRIVER_JOB_H

#include "driver/adze.h"
#include "driver/values.h"
#include "ir/weights.h"
#include "targets/target.h"

/* A reference input and its output for one entry. */
typedef struct adze_job_selftest {
    size_t n_inputs, n_outputs;
    const char **input_names, **output_names; /* as in the model */
    adze_tensor *inputs, *outputs;
    adze_tensor *again;     /* outputs of a second call on the same inputs; NULL without state */
    const char *source;     /* one line for reports: where the numbers come from */
    adze_tensor *reference; /* the folder's own outputs; NULL without one */
    /* With --reference: how far the evaluator is from the folder's outputs where those were
     * replaced by its own (quantized models), else 0. */
    double reference_distance;
    bool replaced;
} adze_job_selftest;

typedef struct adze_job_model {
    const char *path, *name;
    const char *file, *hash; /* the model file's name and content hash; a dump remembers them */
    bool is_dump;
    int level; /* of the module as loaded */
    MlirModule module;
    const adze_tensor *given; /* the self-test's inputs, chosen by the user; NULL: none */
    adze_job_selftest selftest;
} adze_job_model;

/* What the image needs, in bytes; code and stack are upper estimates. */
typedef struct adze_job_sizes {
    uint64_t weights, code, scratch, scratch_bound, state, stack, flash, ram;
} adze_job_sizes;

/* One call of a kernel. */
typedef struct adze_job_call {
    const char *kernel, *nodes;
    uint64_t multiplies;
} adze_job_call;

enum { ADZE_MAX_THREADS = 1024 };

struct adze_compilation {
    adze_context *ctx;
    adze_target *target;
    adze_job_model *models;
    size_t n_models;
    /* `adze run`: fills models[0].given once the model is loaded; may be NULL. */
    bool (*choose_inputs)(adze_compilation *c, void *user);
    void *choose_user;
    adze_job_sizes sizes; /* known once the tree is written or refused */
    unsigned threads;     /* of the tree */
    int n_calls;          /* of kernels, in the first model's first entry; known with the sizes */
    const adze_job_call *calls;
};

/* The folder with targets/, runtime/ and codegen/: $ADZE_HOME, or where adze was built. */
const char *adze_home(adze_context *ctx);

/* Loads the request's target into the compilation; `fallback` when it names none. */
bool adze_job_load_target(adze_compilation *c, const adze_request *request, const char *fallback);
/* Loads the request's models. */
bool adze_job_load_models(adze_compilation *c, const adze_request *request);
/* A level-1 to level-3 dump: parsed, verified, its weights checked. */
bool adze_job_load_dump(adze_context *ctx, const char *path, MlirModule *out);

/* What each argument of the module's entry wants (works at every level). `*n` of them in the
 * arena. */
bool adze_job_inputs(adze_context *ctx, MlirModule module, adze_wanted **out, size_t *n);
/* The same for results (trailing written arguments at level 2 and 3). */
bool adze_job_outputs(adze_context *ctx, MlirModule module, adze_wanted **out, size_t *n);

/* ---- self-test data ---- */

/* Fills model->selftest: from the folder `reference`, from the dump's own folder, or seeded inputs
 * and the evaluator's outputs. */
bool adze_selftest_make(adze_context *ctx, adze_job_model *model, const char *reference);
/* Reads inputs (and outputs when they are wanted) of an ONNX test data folder for this model. */
bool adze_selftest_read(adze_context *ctx, const adze_job_model *model, const char *dir,
                        bool with_outputs, adze_job_selftest *out);
/* Writes DIR/selftest/{input,output}_N.pb. */
bool adze_selftest_write(adze_context *ctx, const adze_job_selftest *test, const char *dir);
/* A value for input `index`: floats uniform in [-1, 1); 8-bit integers over their range; wider
 * ones 0 to 15; bool 0 or 1. An extent between bounds is the smaller of `hi` and the larger of
 * `lo` and 16. */
bool adze_selftest_random(adze_context *ctx, const adze_wanted *want, unsigned index, bool zeros,
                          adze_tensor *out);

/* One tensor as an ONNX TensorProto, appended to `out`. */
void adze_pb_tensor(const adze_tensor *t, const char *name, adze_text *out);
/* Makes `dir` and the folders above it. */
bool adze_make_folders(adze_context *ctx, const char *dir);
bool adze_write_file(adze_context *ctx, const char *path, const void *bytes, size_t length);

#endif
