/* What the rows share: one call, access to operands and results, ways to fail. Not for other
 * folders.
 *
 * A row is a function of one ref_call. It reads operands with ref_f64s / ref_i64s / ref_reals,
 * allocates each wanted result with ref_out (extents checked against the result's type) and stores
 * with ref_put_*. Temporary arrays come from call->scratch, freed when the row returns. */
#ifndef ADZE_REFERENCE_INTERNAL_H
#define ADZE_REFERENCE_INTERNAL_H

#include "ir/integer.h"
#include "ir/ir.h"
#include "ir/weights.h"
#include "reference/reference.h"

/* Extents that dimension symbols have in this run, bound by the arguments and by what was computed.
 */
typedef struct ref_dims {
    const char *names[256];
    int64_t values[256];
    int n;
} ref_dims;

/* What an evaluation may take: a small file can ask for years and terabytes. Elementary operations
 * (about one multiplication each) so far and at most, and the bytes of results that are alive. */
typedef struct ref_budget {
    double work, most_work;
    size_t live;
} ref_budget;
#define REF_MOST_WORK 2e11 /* some minutes */

typedef struct ref_call {
    adze_context *ctx;
    MlirModule module;
    MlirOperation op;
    const char *name, *node; /* "conv", "conv1" */
    const adze_tensor *const *in;
    int n_in;
    adze_tensor *out;
    int n_out;
    adze_arena *arena, *scratch;
    ref_dims *dims;        /* NULL outside a run */
    adze_ref_state *state; /* NULL outside a run */
    size_t limit;          /* most elements of a result; 0: none */
    ref_budget *budget;    /* never NULL */
    size_t allocated;      /* the bytes that this call has added to budget->live */
} ref_call;

/* One function per operation of ops.def; a row without one does not link. */
typedef bool ref_row(ref_call *c);
#define OP(name, operands, results, attrs, doc) bool ref_##name(ref_call *c);
#include "ir/ops.def"
#undef OP
bool ref_concat(ref_call *c); /* tensor.concat */

/* table.c */
bool ref_fail(ref_call *c, const char *format, ...) ADZE_PRINTF(2, 3);
bool ref_eval(ref_call *c);

/* scalar.c: arith.* and tensor.* operations around control flow. False in *known: not one of these.
 */
bool ref_scalar(ref_call *c, bool *known);

/* ---- attributes ---- */
int64_t ref_i64(ref_call *c, const char *name);
double ref_f64(ref_call *c, const char *name);
bool ref_bool(ref_call *c, const char *name);
const char *ref_str(ref_call *c, const char *name); /* never NULL */
/* Fails unless there are exactly n numbers (n < 0: at most ADZE_MAX_RANK * 2). *got may be NULL. */
bool ref_i64s_attr(ref_call *c, const char *name, int n, int64_t *out, int *got);
/* The same for strides, pads, dilations, kernels: also fails beyond +-2^31, so that positions made
 * of them cannot overflow. */
bool ref_window_attr(ref_call *c, const char *name, int n, int64_t *out);
bool ref_f64s_attr(ref_call *c, const char *name, int n, double *out, int *got);
/* Index of the attribute's text in `names`, -1 after a diagnostic. */
int ref_choice(ref_call *c, const char *attr, const char *const *names, int n);

/* ---- operands and results ---- */
static inline char ref_class(adze_dtype dtype) { return adze_dtype_get(dtype)->cls; }
static inline bool ref_is_float(const adze_tensor *t) { return ref_class(t->dtype) == 'F'; }
bool ref_has(const ref_call *c, int i);    /* operand i is there */
bool ref_wanted(const ref_call *c, int i); /* result i is a tensor, not !adze.absent */
/* The parameters of a quantized operand / result; false when it is not quantized. */
bool ref_quant_in(ref_call *c, int i, adze_quant *q);
bool ref_quant_out(ref_call *c, int i, adze_quant *q);
bool ref_any_quant(ref_call *c);
bool ref_same_quant(const adze_quant *a, const adze_quant *b);
/* Which of q's n parameters the element at flat index `i` of `t` uses. */
size_t ref_channel(const adze_quant *q, const adze_tensor *t, size_t i);

/* The extents of result i as its type says; bounded ones from the run's symbols, else from
 * `inferred` (same rank, may be NULL). Fails when a static extent and `inferred` disagree or one
 * stays unknown. */
bool ref_out_shape(ref_call *c, int i, const int64_t *inferred, adze_shape *shape);
/* Allocates result i with that shape. `rank` and `inferred` (NULL: the type alone) are checked. */
bool ref_out(ref_call *c, int i, int rank, const int64_t *inferred);
/* Allocates result i with exactly the extents of `like`. */
bool ref_out_like(ref_call *c, int i, const adze_tensor *like);

/* Takes `operations` from the budget before they are done; fails when there is not so much left.
 * Rows call it whose work is more than a few operations for every element of their results. */
bool ref_charge(ref_call *c, double operations);

/* ---- elements, as arrays in scratch ---- */
void *ref_alloc(ref_call *c, size_t count, size_t size);
double *ref_f64s(ref_call *c, const adze_tensor *t);
int64_t *ref_i64s(ref_call *c, const adze_tensor *t); /* u64: the same bits */
/* Operand i as real numbers: dequantized when its type is quantized. */
double *ref_reals(ref_call *c, int i);
/* Operand i with its zero point subtracted (quantized), else as it is. */
double *ref_centred(ref_call *c, int i);
/* Operand i (0 or 1) of a contraction: centred when both factors are quantized (the integer
 * definition), else as real numbers. */
double *ref_factor(ref_call *c, int i);
void ref_put_f64s(adze_tensor *t, const double *values);
void ref_put_i64s(adze_tensor *t, const int64_t *values);
/* Stores real numbers in result i: rounded to a float type, truncated to an integer type, quantized
 * to a quantized type. */
void ref_put_reals(ref_call *c, int i, const double *values);
/* One double into an integer or float element, by ONNX Cast's rules: floats round to nearest even,
 * integers truncate and wrap, bool is != 0. */
void ref_cast_f64(adze_tensor *t, size_t index, double value);

/* ---- shapes ---- */
size_t ref_product(const int64_t *dims, int from, int to); /* of dims[from..to) */
void ref_strides(int rank, const int64_t *dims, int64_t *strides);
/* numpy broadcasting of n shapes; false (with a diagnostic) when they do not fit. */
bool ref_broadcast(ref_call *c, const adze_tensor *const *t, int n, int *rank, int64_t *dims);
/* For every element of the shape, the flat index in `t` broadcast to it; NULL when t has this
 * shape. */
size_t *ref_broadcast_map(ref_call *c, const adze_tensor *t, int rank, const int64_t *dims);
static inline size_t ref_at(const size_t *map, size_t i) { return map ? map[i] : i; }
/* The next index vector in row-major order; false after the last. */
bool ref_next(int rank, const int64_t *dims, int64_t *index);
/* A negative axis or one beyond rank is an error. */
bool ref_axis(ref_call *c, int64_t axis, int rank, int *out);

/* ---- movement (movement.c) ---- */
/* Fills result 0 (already allocated) with operand x's elements: out[i] = x[map[i]]; map[i] < 0
 * leaves zero (quantized: the zero point). Requantizes when the quantization differs. */
bool ref_move(ref_call *c, int x, const int64_t *map);

/* quant.c: quantized forms; each is called by the row when an operand or result is quantized */
bool ref_quantized_binary(ref_call *c, const char *kind);
/* Sums of (x - zx) per output element and the number of elements behind each. */
bool ref_quantized_mean(ref_call *c, const double *sums, const int64_t *counts);
bool ref_quantized_softmax(ref_call *c, int axis);
/* Stores int32 accumulators (exact doubles) in result 0 of a contraction whose factors are operands
 * 0 and 1: plain integer results take the accumulator, floats acc * sx * sw, quantized ones are
 * requantized. `channel[i]` (NULL: 0) says which of operand 1's scales element i uses. */
bool ref_store_accumulators(ref_call *c, const double *acc, const size_t *channel);

#endif
