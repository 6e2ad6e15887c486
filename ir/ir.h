/* The IR: one context per compilation, the adze dialect in it, and short ways to build and read.
 *
 *   ops.def  ──► IRDL text ──► dialect loaded in the context
 *   L1: adze ops on tensors      (func.func per entry, weights as module-level symbols)
 *   L2: kernels, memrefs at the border, adze and linalg ops on tensors within
 *   L3: scf, memref, arith, math loops
 *
 * Everything here is about MLIR values in one context; nothing owns memory but the context. */
#ifndef ADZE_IR_IR_H
#define ADZE_IR_IR_H

#include "ir/tensor.h"

#include <mlir-c/IR.h>

/* ---- the table of operations (ops.def) ---- */

typedef enum adze_op {
    ADZE_OP_NONE_OF_OURS = -1,
#define OP(name, operands, results, attrs, doc) ADZE_OP_##name,
#include "ir/ops.def"
#undef OP
    ADZE_N_OPS
} adze_op;

typedef struct adze_attr_info {
    const char *name, *kind;
} adze_attr_info;

typedef struct adze_op_info {
    const char *name; /* without "adze." */
    const char *doc;
    int n_operands, n_results, n_attrs;
    const char *operands[12], *results[4];
    bool optional[12]; /* per operand: may be adze.none */
    adze_attr_info attrs[12];
} adze_op_info;

typedef struct adze_context {
    MlirContext mlir;
    adze_arena *arena;
    adze_diagnostics diags;
    adze_op_info ops[ADZE_N_OPS];
    MlirType elements[ADZE_N_DTYPES]; /* the MLIR type of each element type */
    MlirType none_type;
    struct adze_blobs *blobs; /* weights.h */
} adze_context;

/* A context with MLIR's dialects and ours loaded, NULL when LLVM refuses our IRDL (a bug, printed to
 * stderr). MLIR's own diagnostics become adze diagnostics. Free with adze_context_free. */
adze_context *adze_context_new(void);
void adze_context_free(adze_context *ctx);
/* The IRDL text that was loaded, for `adze opt --dialect` and the docs. Append to `out`. */
void adze_dialect_irdl(adze_text *out);

/* Which of our operations this is; ADZE_OP_NONE_OF_OURS for the others. */
adze_op adze_op_of(const adze_context *ctx, MlirOperation op);
const adze_op_info *adze_op_info_of(const adze_context *ctx, adze_op op);
/* True when the operation's full name is `name` ("func.call", "adze.conv"). */
bool adze_is_op(MlirOperation op, const char *name);

/* ---- modules ---- */

/* Parses and verifies text; a null module after an error. */
MlirModule adze_module_parse(adze_context *ctx, const char *text, const char *file);
/* Text with value names (NameLocs) as SSA names and as locations, so that a dump keeps them. */
void adze_module_print(MlirModule module, adze_text *out);
/* MLIR's verifier, then ours (verify.c). */
bool adze_module_verify(adze_context *ctx, MlirModule module);
/* The module-level operation of the given kind ("adze.weight", "func.func") with this sym_name; null if none. */
MlirOperation adze_symbol(MlirModule module, const char *kind, const char *name);

/* ---- building ---- */

/* An insertion point: before `before`, or at the end of `block` when that is null. `name` is the
 * NameLoc of what is built next (NULL: none): it becomes the variable's name in the C that comes out. */
typedef struct adze_builder {
    adze_context *ctx;
    MlirBlock block;
    MlirOperation before;
    const char *name;
} adze_builder;

adze_builder adze_at_end(adze_context *ctx, MlirBlock block);
adze_builder adze_before(adze_context *ctx, MlirOperation op);
void adze_insert(adze_builder *b, MlirOperation op);

typedef struct adze_named {
    const char *name;
    MlirAttribute value;
} adze_named;

/* Creates and inserts an operation (full name). Region count 0 or more; regions start empty. Uses and
 * clears b->name. Aborts on an unregistered name: that is our bug. */
MlirOperation adze_build(adze_builder *b, const char *name, int n_operands,
                         const MlirValue *operands, int n_results, const MlirType *results,
                         int n_attrs, const adze_named *attrs, int n_regions);
/* One-result shorthand, no regions. */
MlirValue adze_build1(adze_builder *b, const char *name, int n_operands, const MlirValue *operands,
                      MlirType result, int n_attrs, const adze_named *attrs);
/* adze.instruction: the target's row `name` for `type` ("s32x16"); up to 6 operands; a null result type: none
 * (and a null value). */
MlirValue adze_build_instruction(adze_builder *b, const char *name, const char *type, int n,
                                 const MlirValue *operands, MlirType result);
MlirValue adze_none_value(adze_builder *b);
bool adze_is_none(MlirValue value);
MlirValue adze_result(MlirOperation op, int index);
MlirOperation adze_defining(MlirValue value); /* null for block arguments */
/* The operation's NameLoc, or `fallback`. */
const char *adze_location_name(adze_context *ctx, MlirOperation op, const char *fallback);
/* Gives the operation that computes `value` this NameLoc unless it has one or is a constant. */
MlirValue adze_name_value(adze_context *ctx, MlirValue value, const char *name);

/* ---- attributes ---- */

MlirAttribute adze_i64(adze_context *ctx, int64_t value);
MlirAttribute adze_f64(adze_context *ctx, double value);
MlirAttribute adze_bool(adze_context *ctx, bool value);
MlirAttribute adze_str(adze_context *ctx, const char *text);
MlirAttribute adze_i64s(adze_context *ctx, int n, const int64_t *values);
MlirAttribute adze_f64s(adze_context *ctx, int n, const double *values);
MlirAttribute adze_strs(adze_context *ctx, int n, const char *const *values);
MlirAttribute adze_type_attr(MlirType type);
MlirAttribute adze_parse_attr(adze_context *ctx, const char *text); /* null when malformed */

/* Readers: attribute `name` of `op`, which the verifier has seen; a missing or ill-typed one gives
 * the fallback (0, NULL, empty). Strings live as long as the context. */
MlirAttribute adze_get(MlirOperation op, const char *name);
int64_t adze_get_i64(MlirOperation op, const char *name);
double adze_get_f64(MlirOperation op, const char *name);
bool adze_get_bool(MlirOperation op, const char *name);
const char *adze_get_str(adze_context *ctx, MlirOperation op, const char *name);
/* Copies up to `max` numbers and returns how many there are. */
int adze_get_i64s(MlirOperation op, const char *name, int max, int64_t *out);
int adze_get_f64s(MlirOperation op, const char *name, int max, double *out);
int adze_get_strs(adze_context *ctx, MlirOperation op, const char *name, int max, const char **out);
/* The same for a bare attribute. */
const char *adze_attr_str(adze_context *ctx, MlirAttribute attr);
int adze_attr_i64s(MlirAttribute attr, int max, int64_t *out);
void adze_set(MlirOperation op, const char *name, MlirAttribute value);

/* The source node's name: every L1 operation carries it as `adze.node`. */
const char *adze_node(adze_context *ctx, MlirOperation op);

/* ---- types ---- */

/* A tensor or memref type taken apart. dims < 0 is a bounded extent, named in `symbols` (NULL: none). */
typedef struct adze_shape {
    MlirType element; /* f32, ui8, !quant.uniform<...> ... */
    adze_dtype dtype; /* the storage type for quantized elements; ADZE_NO_DTYPE for types of other kinds */
    int rank;
    int64_t dims[ADZE_MAX_RANK];
    const char *symbols[ADZE_MAX_RANK];
} adze_shape;

/* False when `type` is not a ranked tensor or memref of at most ADZE_MAX_RANK. */
bool adze_shape_of(adze_context *ctx, MlirType type, adze_shape *out);
bool adze_value_shape(adze_context *ctx, MlirValue value, adze_shape *out);
/* The names of the bounded extents as an attribute adze.dims (memref types cannot hold them); null when
 * all extents are numbers. */
MlirAttribute adze_dims_attr(adze_context *ctx, const adze_shape *shape);
MlirType adze_tensor_type(adze_context *ctx, const adze_shape *shape);
MlirType adze_memref_type(adze_context *ctx, const adze_shape *shape);
MlirType adze_element_type(adze_context *ctx, adze_dtype dtype);
/* Storage type of an element: quantized -> its integers, others themselves. */
adze_dtype adze_element_dtype(adze_context *ctx, MlirType element);
int64_t adze_shape_count(const adze_shape *shape); /* elements; -1: an extent is bounded only, or overflow */
MlirType adze_none_type(adze_context *ctx);
MlirType adze_index_type(adze_context *ctx);

/* Parameters of a uniformly quantized element type. Per tensor: axis -1, n 1. */
typedef struct adze_quant {
    adze_dtype storage;
    int axis, n;
    const double *scale; /* [n], in the context's arena */
    const int64_t *zero_point;
} adze_quant;

bool adze_quant_of(adze_context *ctx, MlirType element, adze_quant *out); /* false: not quantized */
/* i8/u8/i16/u16/i32/... storage over f32. Fails (false) on scales that are not finite and positive. */
bool adze_quant_type(adze_context *ctx, const adze_quant *q, MlirType *out);

/* ---- constants ---- */

/* The bytes behind adze.constant or adze.get_weight; false when `value` is neither. */
bool adze_constant_value(adze_context *ctx, MlirModule module, MlirValue value, adze_tensor *out);
/* A constant of the tensor's value: adze.constant up to 64 bytes, else a weight symbol named after
 * `name` (made unique) with the bytes in the blob store. `element`: a quantized element type, or
 * null for the tensor's own. */
MlirValue adze_build_constant(adze_builder *b, MlirModule module, const adze_tensor *value,
                              const char *name, MlirType element);

/* ---- walking and rewriting ---- */

/* Calls `visit` on every operation below `op`, in order, the contents of nested regions before the
 * operation that holds them. `visit` may erase the operation it is given. */
typedef void adze_visit(MlirOperation op, void *user);
void adze_walk(MlirOperation op, adze_visit *visit, void *user);
void adze_replace(MlirOperation op, const MlirValue *values); /* all results, then erases op */
bool adze_unused(MlirOperation op);                            /* no result has a use */
/* `base` made a valid C identifier: other characters become '_', runs of them one. In the arena. */
const char *adze_c_name(adze_context *ctx, const char *base);

#endif
