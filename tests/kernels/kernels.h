/* Whole kernels against the reference, in the manner of checkasm: random modules of one family each, lowered
 * for a target with its own schedule and with random ones, run there, and judged here.
 *
 *   rows.def, rows_*.c   a module from a seed, and the inputs it wants      (net.c builds them)
 *   schedules.c          another schedule of the same family
 *   program.c            modules for one target as a tree; what it runs is harness.c
 *   judge.c              outputs against the reference
 *   main.c               which rows, seeds, targets; builds, runs, reports */
#ifndef TESTS_KERNELS_H
#define TESTS_KERNELS_H

#include "codegen/emit.h"
#include "ir/schedule.h"
#include "targets/target.h"

enum { MAX_INPUTS = 8, MAX_OUTPUTS = 6, ROUNDS = 3 };

/* What the elements of an input or weight are like. */
typedef enum data_kind {
    DATA_ANY,   /* floats in [-2, 2), integers over their type; extremes in later rounds */
    DATA_RANGE, /* from `low` to `high`, in every round */
} data_kind;

typedef struct net_value {
    int id; /* %vID; -1: adze.none */
    adze_dtype dtype;
    const char *element; /* MLIR's, when quantized; NULL: of dtype */
    int rank;
    int64_t dims[ADZE_MAX_RANK];
} net_value;

typedef struct net_input {
    net_value value;
    data_kind kind;
    double low, high;
} net_input;

/* A level-1 module under construction. */
typedef struct net {
    adze_context *ctx;
    uint64_t random;
    bool tiny;   /* hostile floats are denormals and zeros, none are huge */
    bool large;  /* enough work for threads to share */
    double huge; /* the largest magnitude of hostile floats */
    adze_text weights, arguments, body;
    int n_values, n_weights, n_inputs, n_outputs;
    net_input inputs[MAX_INPUTS];
    net_value outputs[MAX_OUTPUTS];
} net;

/* ---- random choices (net.c) ---- */

uint64_t net_random(net *n);
int64_t net_pick(net *n, int64_t low, int64_t high); /* inclusive */
bool net_chance(net *n, int percent);
double net_uniform(net *n, double low, double high);
/* An extent: often beside a power of two, at most `most`. */
int64_t net_size(net *n, int64_t most);

/* ---- values ---- */

extern const net_value net_none;
net_value net_shape(adze_dtype dtype, int rank, const int64_t *dims); /* no value yet: a result's type */
net_value net_input_of(net *n, net_value shape, data_kind kind, double low, double high);
/* A constant: floats in [-spread, spread); integers up to `spread` in size, over their type when it is 0. Some are all
 * zero, all extreme, or tiny. */
net_value net_weight(net *n, net_value shape, double spread);
net_value net_op(net *n, const char *op, const char *attrs, int n_operands, const net_value *operands,
                 net_value result);
/* Several results; those with id -1 in `results` are absent. */
void net_ops(net *n, const char *op, const char *attrs, int n_operands, const net_value *operands,
             int n_results, net_value *results);
void net_output(net *n, net_value v);
/* "tensor<..>" appended. */
void net_type(const net_value *v, adze_text *out);
/* "!quant.uniform<..>" per tensor, and its codes' type. */
const char *net_quant(net *n, adze_dtype storage, double scale, int64_t zero_point);
net_value net_quantized(net_value shape, adze_dtype storage, const char *element);
net_value net_bitcast(net *n, net_value x, net_value result);
net_value net_concat(net *n, int axis, net_value a, net_value b, net_value result);
/* "array<i64: 1, 2>" */
const char *net_list(net *n, int count, const int64_t *values);
const char *net_text(net *n, const char *format, ...) ADZE_PRINTF(2, 3);

/* ---- rows ---- */

enum {
    LATE = 1,    /* what is right is what the reference says at the end of level 1 (QDQ islands are integers there) */
    DROPS_NAN = 4, /* products with a state of zero are left out: where NaN is right by them alone, any number is */
    SPREADS = 2, /* weights may be zero: NaN is right in any image with an input that is not finite */
};

typedef struct kernel_row {
    const char *name;
    void (*make)(net *n);
    double huge; /* floats this large may be among the inputs without any sum leaving f32 */
    int rules;
    const char *doc;
} kernel_row;

extern const kernel_row kernel_rows[];
extern const int n_kernel_rows;

/* ---- cases ---- */

/* One module for one target with one schedule. */
typedef struct kernel_case {
    const kernel_row *row;
    uint64_t seed;
    int variant; /* 0: the target's own schedule; else a random one */
    int threads;
    bool large; /* enough work for threads to share */
    /* from here on made by case_make */
    char name[32]; /* of the tree's model */
    MlirModule module; /* level 3; null when the schedule was refused */
    const char *text, *schedule;
    bool winograd, refused, failed, pool; /* pool: the tree has NAME_free */
    int n_inputs, n_outputs;
    adze_tensor (*inputs)[MAX_INPUTS], (*want)[MAX_OUTPUTS]; /* [ROUNDS] */
    bool is_huge[ROUNDS];
    adze_c_module c;
    adze_tensor got[ROUNDS][MAX_OUTPUTS]; /* dtype none: nothing came */
} kernel_case;

/* Builds the module, its inputs and expected outputs, and lowers it. False with diagnostics. */
bool case_make(adze_context *ctx, const adze_target *target, kernel_case *k);
/* Puts a random schedule of the same family on a kernel of a level-2 module; `random` drives it. */
void schedule_change(adze_context *ctx, const adze_target *target, MlirOperation kernel, net *random);

/* Writes the tree of cases[0 .. n) with a program that runs them all; false with diagnostics. */
bool program_write(adze_context *ctx, const adze_target *target, kernel_case *const *cases, int n,
                   const char *dir);

/* Whether an output is right; if not, what is wrong is appended to `said`. */
bool judge(const kernel_case *k, int round, int output, const adze_tensor *got, adze_text *said);

#endif
