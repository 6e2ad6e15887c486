/* What the files of this folder share: values, scopes, the node at hand, and short ways to make L1
 * operations. Names that only this folder uses start with `ox_`.
 *
 * A row of ops.def names a function `bool ox_op_X(node *n)`. It reads attributes (ox_attr_*) and
 * operands (ox_in), builds operations, and binds outputs (ox_out). Errors stick: a builder given
 * NULL returns NULL, so a row can nest calls and check once, at ox_out. */
#ifndef ADZE_FRONTEND_ONNX_IMPORTER_H
#define ADZE_FRONTEND_ONNX_IMPORTER_H

#include "frontend/onnx/import.h"
#include "ir/weights.h"

/* ---- tensor.c ---- */

/* Where a tensor's packed bytes lie; bytes NULL when they lie nowhere as such (typed fields).
 * offset counts only for external files: within the model it follows from `bytes`. */
typedef struct onnx_span {
    const char *file;
    int64_t offset;
    const uint8_t *bytes;
    size_t length;
} onnx_span;

/* Element type and dims only, checked; data stays NULL. */
bool adze_onnx_tensor_shape(adze_context *ctx, const onnx_TensorProto *t, adze_tensor *out);
bool adze_onnx_tensor_span(adze_context *ctx, const char *model_path, const onnx_TensorProto *t,
                           const adze_tensor *shape, onnx_span *out);
bool adze_onnx_sparse_tensor(adze_context *ctx, const char *model_path,
                             const onnx_SparseTensorProto *s, adze_tensor *out);

/* ---- values ---- */

typedef enum val_kind { VAL_ABSENT, VAL_TENSOR, VAL_SEQUENCE, VAL_OPTIONAL } val_kind;

/* One ONNX value. A tensor has a shape and, once something needs it, an MLIR value. A constant
 * knows its bytes (or the initializer that holds them) and becomes an operation on first use.
 * Sequences and optionals exist only here: lists of values whose length is known. */
typedef struct val {
    val_kind kind;
    const char *name;  /* in the file, for messages */
    const char *input; /* the graph input that this value is, for hints; NULL if none */
    adze_shape shape;
    MlirValue mlir;
    MlirBlock block; /* where `mlir` was made; null for what every block sees */
    bool is_const;
    const adze_tensor *known;      /* constants, once decoded */
    const onnx_TensorProto *proto; /* an initializer */
    struct val *quantized;         /* the same bits with a !quant element type, if made so */
    struct val **items;            /* sequence; an optional has 0 or 1 */
    size_t n_items;
    bool partly; /* an i64 shape vector some of whose entries are bounded dims: */
    int64_t part_dims[ADZE_MAX_RANK];
    const char *part_symbols[ADZE_MAX_RANK];
} val;

/* ---- scopes ---- */

typedef struct ox_map {
    struct ox_slot {
        const char *key; /* interned: compared by address */
        void *value;
    } * slots;
    size_t count, capacity;
} ox_map;

/* Names visible to the nodes of one graph or function body; a subgraph sees its parent's. */
typedef struct scope {
    struct scope *parent;
    ox_map values;
    const onnx_GraphProto *graph;
    const struct node *call; /* in a function body: the node whose attributes references mean */
    const onnx_FunctionProto *function;
    const char *prefix; /* of node names, "" at the top */
    int depth;
} scope;

typedef struct importer {
    adze_context *ctx;
    const adze_onnx_options *opts;
    const onnx_ModelProto *model;
    const char *path;
    const adze_file *file;
    MlirModule module;
    MlirBlock entry, block; /* the entry's body; where operations are made now */
    scope *scope;
    ox_map interned;
    ox_map dims; /* symbolic dimension -> adze_onnx_dim */
    size_t n_nodes;
    val absent;
    MlirValue none;
} importer;

const char *ox_intern(importer *imp, adze_string s);
void *ox_map_get(const ox_map *map, const char *key);
void ox_map_put(adze_arena *arena, ox_map *map, const char *key, void *value);
val *ox_lookup(importer *imp, const char *interned); /* NULL when unknown */

/* ---- the node at hand ---- */

typedef struct node node;
typedef bool ox_row_fn(node *n);

typedef struct ox_row {
    const char *domain, *op;
    int low, high; /* opsets */
    ox_row_fn *import;
    const char *arg;   /* for a function shared by rows: a kind */
    const char *attrs; /* the attributes it knows, separated by spaces */
} ox_row;

/* NULL when no row covers that opset. `other` (may be NULL) then says whether another opset does.
 */
const ox_row *ox_find_row(const char *domain, const char *op, int64_t opset, bool *other);

size_t adze_onnx_rows(const ox_row **out); /* the whole table, sorted */

struct node {
    importer *imp;
    adze_context *ctx;
    const onnx_NodeProto *proto;
    const ox_row *row;
    int opset;
    const char *op, *label; /* operator; the name in messages and adze.node */
    const char *result_name;
    val **in, **out;
    int n_in, n_out;
    bool failed;
};

/* Records "node 'label' (Op): ..." once, marks the node failed, returns false. */
bool ox_fail(node *n, const char *format, ...) ADZE_PRINTF(2, 3);

val *ox_in(node *n, int i); /* the absent value when there is none; an error when it is no tensor */
val *ox_any(node *n, int i);                    /* the same for values of every kind */
val *ox_need(node *n, int i, const char *what); /* an error when absent */
bool ox_has(const node *n, int i);
bool ox_wants(const node *n, int i); /* output i is named */
bool ox_out(node *n, int i, val *v); /* false when v is NULL */

/* attributes; a wrong type is an error and gives the default */
const onnx_AttributeProto *ox_attr(node *n, const char *name);
int64_t ox_attr_i(node *n, const char *name, int64_t otherwise);
double ox_attr_f(node *n, const char *name, double otherwise);
const char *ox_attr_s(node *n, const char *name, const char *otherwise);
/* -1 when absent, else how many (an error above `max`). */
int ox_attr_ints(node *n, const char *name, int max, int64_t *out);
/* All of them, in the arena: -1 when absent. */
int ox_attr_all_ints(node *n, const char *name, const int64_t **out);
int ox_attr_floats(node *n, const char *name, const float **out);
int ox_attr_strings(node *n, const char *name, const char *const **out);
val *ox_attr_tensor(node *n, const char *name); /* NULL when absent */

/* An operand that must be constant; an error that says how to bind it. NULL then. */
const adze_tensor *ox_const(node *n, int i, const char *what);
/* The same as integers: how many, at most `max`; -1 when absent (no error) or failed (n->failed).
 */
int ox_const_ints(node *n, int i, const char *what, int max, int64_t *out);
const adze_tensor *ox_known(node *n, val *v); /* NULL when not constant */

bool ox_import_graph(importer *imp, scope *s, const onnx_GraphProto *graph);
bool ox_import_body(importer *imp, scope *s, const onnx_NodeProto *const *nodes, size_t count);
/* Runs a graph in a scope below the present one. `in` are its inputs, `out` gets its outputs. */
bool ox_import_subgraph(node *n, const onnx_GraphProto *graph, const char *prefix, val *const *in,
                        int n_in, val **out, int n_out);

/* ---- making values (value.c, emit.c) ---- */

#define VALS(...)                                                                                  \
    (int)(sizeof((val *[]){__VA_ARGS__}) / sizeof(val *)), (val *[]) {                             \
        __VA_ARGS__                                                                                \
    }
#define ATTRS(...)                                                                                 \
    (int)ADZE_COUNT(((adze_named[]){__VA_ARGS__})), (adze_named[]) {                               \
        __VA_ARGS__                                                                                \
    }
#define NO_ATTRS 0, NULL

val *ox_tensor_val(importer *imp, const adze_tensor *t); /* a constant */
/* A zeroed tensor that the importer fills itself; an error above 256 MB, which only a hostile file
 * asks for. */
bool ox_new_tensor(node *n, adze_dtype dtype, int rank, const int64_t *dims, adze_tensor *out);
/* The same bytes with other dims (as many elements): an initializer stays where it is in the file. */
val *ox_reshaped_constant(importer *imp, const val *x, const adze_shape *shape);
MlirValue ox_value(importer *imp, val *v);
bool ox_is_absent(const val *v);

adze_shape ox_shape(node *n, adze_dtype dtype, int rank, const int64_t *dims);
adze_shape ox_with_dtype(node *n, const adze_shape *s, adze_dtype dtype);
bool ox_same_dim(const adze_shape *a, int i, const adze_shape *b, int j);
void ox_set_dim(adze_shape *to, int i, const adze_shape *from, int j);
/* False and an error when an extent of x is only bounded. */
bool ox_static(node *n, const val *x);
int64_t ox_axis(node *n, int64_t axis, int rank); /* non-negative; an error when out of range */

/* One operation (without "adze." unless the name has a dot). A result shape of ADZE_NO_DTYPE is the
 * none type and gives the absent value. Folds when every operand is constant. */
bool ox_emit_many(node *n, const char *op, int n_in, val *const *in, int n_results,
                  const adze_shape *results, val **out, int n_attrs, const adze_named *attrs);
val *ox_emit(node *n, const char *op, int n_in, val *const *in, const adze_shape *result,
             int n_attrs, const adze_named *attrs);

val *ox_unary(node *n, const char *kind, val *x);
val *ox_unary_p(node *n, const char *kind, val *x, int n_params, const double *params);
val *ox_binary(node *n, const char *kind, val *a, val *b);
val *ox_where(node *n, val *cond, val *a, val *b);
val *ox_cast(node *n, val *x, adze_dtype dtype);
val *ox_reshape(node *n, val *x, int rank, const int64_t *dims);
val *ox_reshape_to(node *n, val *x, const adze_shape *shape); /* dims and symbols of `shape` */
val *ox_flatten(node *n, val *x, int axis);                   /* to two axes */
val *ox_transpose(node *n, val *x, const int64_t *perm);
val *ox_expand(node *n, val *x, const adze_shape *shape);
/* Along one axis: `count` elements from `start`. */
val *ox_take(node *n, val *x, int axis, int64_t start, int64_t count);
val *ox_slice(node *n, val *x, const int64_t *starts, const int64_t *counts, const int64_t *steps);
val *ox_concat(node *n, int axis, int count, val *const *items);
val *ox_reduce(node *n, const char *kind, val *x, int n_axes, const int64_t *axes, bool keep);
val *ox_matmul(node *n, val *a, val *b, bool trans_a, bool trans_b);
val *ox_softmax(node *n, val *x, int axis, bool log);
val *ox_gather(node *n, val *x, val *indices, int axis);
val *ox_pad(node *n, val *x, const int64_t *pads, const char *mode, val *value);
val *ox_scalar(node *n, adze_dtype dtype, double value);
val *ox_number(node *n, const val *like, double value); /* of the other's element type */
val *ox_ints(node *n, int count, const int64_t *values);
val *ox_full(node *n, const adze_shape *shape, val *value);
val *ox_unsqueeze(node *n, val *x, int axis);
/* x with ones put before and after: rank axes in all, its own starting at `at`. */
val *ox_place(node *n, val *x, int rank, int at);
/* The quantized view of an integer value; NULL type: not possible. */
val *ox_as_quantized(node *n, val *x, MlirType element);
/* The numbers of a constant scale and zero point as a !quant type: *ok false when they are not
 * constant, not positive and finite, or of a type that !quant cannot hold (no error). */
bool ox_quant_element(node *n, val *scale, val *zero, adze_dtype storage, int axis, MlirType *out);
/* The plain integers of a value with a !quant type. */
val *ox_plain(node *n, val *quantized);

#endif
