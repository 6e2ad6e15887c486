/* The tree writer: level-3 modules in, a folder of C out that needs only a C compiler.
 *
 *   DIR/README.md  CMakeLists.txt  Makefile     all, check, footprint
 *   DIR/include/NAME.h                          the API of each model
 *   DIR/src/NAME.c  NAME_kernels*.{h,c}  NAME_weights.{h,c,S,bin}
 *   DIR/runtime/                                only the files that are used; boards/ for the programs
 *   DIR/selftest/  DIR/main.c                   the two programs
 *   DIR/manifest.json  DIR/report.html
 *
 * Everything is written to a folder beside DIR, which takes DIR's place at the end: a failure leaves
 * nothing. The same arguments give the same bytes.
 *
 * The programs (selftest and main) are the same on every target; they talk through runtime/boards.
 *   selftest                    exit 0 when every output is right; a line for each
 *   main                        runs the first entry on its self-test input and prints the outputs
 *   main [-n RUNS] [-o FOLDER] [INPUT.bin ...]    (hosted) raw little-endian inputs in order, one a file;
 *                               -o also writes FOLDER/OUTPUT_INDEX.bin; -n measures:
 *                               "time: min NS median NS ns, RUNS runs"
 * With several models, `main` takes the model's name first. */
#ifndef ADZE_CODEGEN_TREE_H
#define ADZE_CODEGEN_TREE_H

#include "codegen/emit.h"
#include "targets/target.h"

/* One call of an entry and what it has to give. Tensors are in the order of the entry's parameters;
 * extents of bounded dimensions are the real ones. */
typedef struct adze_tree_test {
    const char *entry; /* "run" */
    bool reset;        /* NAME_reset before the call */
    int n_inputs, n_outputs;
    const adze_tensor *inputs, *outputs;
    /* Per output; NULL for the defaults. Float: the largest error allowed, relative to the range of
     * the expected output (default 1e-4). Integer: the largest difference allowed (default 0). */
    const double *tolerance;
    const int64_t *steps;
} adze_tree_test;

typedef struct adze_tree_model {
    const char *name;  /* prefix of all C names; a C identifier */
    MlirModule module; /* level 3, verified */
    const char *file;  /* the model file's name, without folders; for reports */
    const char *hash;  /* of the model file, or of the dump; for the manifest */
    const char *test_source; /* one line: where the self-test's numbers come from */
    int n_tests;
    const adze_tree_test *tests;
} adze_tree_model;

typedef enum adze_tree_weights {
    ADZE_TREE_WEIGHTS_AUTO, /* C up to 1 MB, incbin up to 1 GB where the assembler has it, then file */
    ADZE_TREE_WEIGHTS_C,
    ADZE_TREE_WEIGHTS_INCBIN,
    ADZE_TREE_WEIGHTS_FILE,
} adze_tree_weights;

typedef struct adze_tree_options {
    const char *home;    /* the folder with runtime/ and codegen/templates/ */
    const char *version; /* adze's, for headers and the manifest */
    adze_tree_weights weights;
    uint64_t max_flash, max_ram; /* 0: only the target's regions count */
    bool profile;                /* calls of kernels can be timed, built with -DADZE_PROFILE */
} adze_tree_options;

/* What the tree needs, for the command line to print. */
typedef struct adze_tree_region {
    const char *name;
    uint64_t bytes;
} adze_tree_region;

typedef struct adze_tree_size {
    const char *name;
    uint64_t weights, state, scratch; /* exact */
    uint64_t scratch_lower_bound;     /* the most bytes alive at one step */
    uint64_t multiplies;              /* one call of every entry */
    int n_kernels;
} adze_tree_size;

/* One call of a kernel. */
typedef struct adze_tree_call {
    const char *kernel, *nodes; /* "k00_conv", "conv1, relu1" */
    uint64_t multiplies;
} adze_tree_call;

typedef struct adze_tree_result {
    int n_calls; /* of the first model's first entry */
    adze_tree_call *calls;
    int n_models;
    adze_tree_size *models;
    uint64_t weights, state, scratch;    /* of the image, exact */
    uint64_t code_estimate, stack_estimate; /* upper estimates, of the self-test program */
    uint64_t flash, ram;                 /* sums with the estimates */
} adze_tree_result;

/* Writes DIR. `result` may be NULL. False with diagnostics, nothing left behind: a module that C
 * cannot say, an image that does not fit the target (with the bytes missing), a DIR that exists and
 * is not a tree of adze's. */
bool adze_emit_tree(adze_context *ctx, const adze_tree_model *models, int n_models,
                    const adze_target *target, const adze_tree_options *options, const char *dir,
                    adze_tree_result *result);

#endif
