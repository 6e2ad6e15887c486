/* adze as a library: a model file in, a C source tree out. The command line is one client.
 *
 *     adze_compilation *c = adze_compilation_new();
 *     adze_model_file model = {.path = "kws.onnx"};
 *     adze_request request = {
 *         .models = &model, .n_models = 1, .target = "cortex-m4", .output = "kws"};
 *     if (!adze_compile(c, &request))
 *         fputs(adze_compilation_errors(c), stderr);
 *     adze_compilation_free(c);
 *
 * Nothing here prints or exits. One compilation is used by one thread; several may run at once. */
#ifndef ADZE_H
#define ADZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct adze_compilation adze_compilation;

/* One model of an image. `name` is the prefix of its C names; NULL: the file's or folder's name. */
typedef struct adze_model_file {
    const char *name, *path; /* .onnx, or .mlir as `dump_ir` writes it, of any level */
} adze_model_file;

/* What to compile and how. Strings are only read during the call; NULL and 0 mean the default. */
typedef struct adze_request {
    const adze_model_file *models;
    size_t n_models;
    const char *target;        /* a name or an XML file; NULL with `pack`, or as the dump says */
    const char *pack, *device; /* a CMSIS-Pack's .pdsc and a device in it */
    const char *output;        /* the folder to make; replaced when it is a tree of adze's */
    const char *const *dims;   /* "NAME=N" or "NAME=LO..HI" */
    size_t n_dims;
    const char *const *binds; /* "INPUT=VALUE" */
    size_t n_binds;
    const char *const *states; /* "INPUT=OUTPUT" */
    size_t n_states;
    const char *const *taps; /* node names */
    size_t n_taps;
    const char *weights;         /* "c", "incbin", "file" */
    const char *schedule;        /* a file */
    const char *reference;       /* an ONNX test data folder */
    const char *dump_ir;         /* a folder for every stage */
    uint64_t max_flash, max_ram; /* bytes; 0: no limit but the target's */
    unsigned threads;            /* that share large kernels; 0: 1, or as the dump says */
    bool profile;                /* the tree can time its kernels, built with -DADZE_PROFILE */
    bool explain;
    /* Called before each stage with a short text; may be NULL. */
    void (*progress)(void *user, const char *text);
    void *user;
} adze_request;

adze_compilation *adze_compilation_new(void);
void adze_compilation_free(adze_compilation *compilation);

/* Compiles; on failure nothing is left at request->output that was not there before. A compilation
 * is used once. False with errors. */
bool adze_compile(adze_compilation *compilation, const adze_request *request);

/* All errors as lines "file: node 'x': cause", hints indented below; "" when there are none. The
 * text lives as long as the compilation. */
const char *adze_compilation_errors(adze_compilation *compilation);

/* How inspect shows a model. */
typedef enum adze_view {
    ADZE_VIEW_TEXT,
    ADZE_VIEW_JSON,
    ADZE_VIEW_HTML,
    ADZE_VIEW_DOT,
    ADZE_VIEW_MLIR
} adze_view;

/* Reads the request's one model (dims, binds and name count) and shows it. The text lives as long
 * as the compilation; NULL with errors. */
const char *adze_inspect(adze_compilation *compilation, const adze_request *request,
                         adze_view view);

/* "0.1.0" */
const char *adze_version(void);

#endif
