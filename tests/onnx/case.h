/* The official ONNX backend cases, from the model file to numbers compared.
 *
 *   main.c     finds the cases, runs each in a process of its own, counts
 *   case.c     one case: import ─► level 3 ─► tree ─► one shared object ─► run ─► compare
 *   build.c    the tree of a case as a shared object with one function to call
 *   compare.c  numbers against the expected ones, by the rule of ONNX's own runner */
#ifndef ADZE_TESTS_ONNX_CASE_H
#define ADZE_TESTS_ONNX_CASE_H

#include "codegen/emit.h"
#include "targets/target.h"

typedef enum case_status {
    CASE_PASS,
    CASE_REFUSED, /* with a reason that names what is not supported */
    CASE_WRONG,   /* other numbers than expected, or C that its compiler refuses or warns about */
    CASE_CRASH,   /* a signal or no end, in the compiler or in the program */
} case_status;

typedef struct case_info {
    const char *id;    /* "onnx-node/node/test_abs" */
    const char *model; /* path of the .onnx file */
    const char *dir;   /* the folder with test_data_set_N; NULL for the light graphs */
} case_info;

/* Runs a case in this process. `work` is an empty folder for its files. `said` receives the reason, or
 * what is wrong; with `verbose` every step is printed. */
case_status case_run(adze_context *ctx, const adze_target *target, const case_info *info,
                     const char *work, bool verbose, adze_text *said);

/* The function of a built case: reads in[i] with extents in_extents[i], writes out[k] and its extents. */
typedef int case_function(const void *const *in, const int32_t *const *in_extents, void *const *out,
                          int32_t *const *out_extents, const void *weights, size_t weight_bytes);

/* Compiles the tree in `dir` of module `m` to a shared object and loads it. `flags`: further options
 * for the compiler. NULL with `said` filled: what the compiler said, warnings too. */
case_function *case_build(const adze_c_module *m, const char *dir, const char *flags, adze_text *said);

/* True when `got` is `want` as ONNX's own runner judges: integers and bits equal (quantized values by
 * at most `steps`), floats within 1e-7 + 1e-3 * |want|, NaN and infinities in the same places. Else
 * `said` names the worst element. */
bool case_compare(const adze_tensor *got, const adze_tensor *want, int64_t steps, const char *name,
                  adze_text *said);

#endif
