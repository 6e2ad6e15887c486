/* ONNX file -> level 1.
 *
 *   wire.c    bytes of the mapped file -> model structs (schema.def), nothing copied
 *   tensor.c  TensorProto -> host tensor
 *   import.c  one forward walk over the nodes; one row per operator (ops.def) creates typed L1
 *             operations; whatever is constant is folded at once
 *
 * The module that comes out has one entry, @run. Arguments and results carry `adze.name`, the names
 * in the model file, in the model's order. */
#ifndef ADZE_FRONTEND_ONNX_IMPORT_H
#define ADZE_FRONTEND_ONNX_IMPORT_H

#include "frontend/onnx/wire.h"
#include "ir/ir.h"

/* Gives extents to a symbolic dimension: lo == hi fixes it, lo < hi makes a bounded dimension.
 * `name` is the dim_param in the file, or INPUT_AXIS ("x_0") for an unnamed one. */
typedef struct adze_onnx_dim {
    const char *name;
    int64_t lo, hi;
} adze_onnx_dim;

/* Makes a graph input a constant. A scalar value also fits a one-element input of any rank. */
typedef struct adze_onnx_bind {
    const char *name;
    adze_tensor value;
} adze_onnx_bind;

/* Evaluates one operation whose operands are all constant (NULL for adze.none) into `results`,
 * whose dtype, rank and dims the callee fills and whose data lives in the context's arena. False
 * when it cannot; that is not an error, the operation then stays. */
typedef bool adze_fold_fn(adze_context *ctx, MlirModule module, MlirOperation op,
                          const adze_tensor *const *operands, adze_tensor *results);

typedef struct adze_onnx_options {
    const char *name; /* adze.name of the module; NULL: the file's or its folder's name */
    const adze_onnx_dim *dims;
    size_t n_dims;
    const adze_onnx_bind *binds;
    size_t n_binds;
    adze_fold_fn *fold; /* NULL: only shapes are folded */
} adze_onnx_options;

/* Imports the model at `path`. The module belongs to the caller (mlirModuleDestroy); weights point
 * into the mapping of `path`. False after a diagnostic that names the file, the node and the cause.
 */
bool adze_onnx_import(adze_context *ctx, const char *path, const adze_onnx_options *opts,
                      MlirModule *out);

/* Maps and reads `path` into structs of the context's arena; *out points into the mapping. */
bool adze_onnx_read_model(adze_context *ctx, const char *path, const onnx_ModelProto **out);

/* Reads one TensorProto file (test_data_set_N/input_I.pb). `name` (may be NULL) gets its name, ""
 * when it has none. Sequences and optionals are a diagnostic that says so. */
bool adze_onnx_read_tensor_file(adze_context *ctx, const char *path, adze_tensor *out,
                                const char **name);

/* TensorProto -> host tensor in the context's arena; borrows the mapping when nothing needs
 * unpacking. `model_path` is the file that holds it: external data is looked for in its folder, and
 * never outside. */
bool adze_onnx_tensor(adze_context *ctx, const char *model_path, const onnx_TensorProto *proto,
                      adze_tensor *out);

#endif
