/* Level 2 -> level 3: the loops of one kernel.
 *
 *   kernel (L2):  to_tensor ─► op ─► op ─► materialize_in_destination
 *
 * A kernel's roots are the values it materialises. A root whose operation can be *read* at an index
 * (elementwise, movement, contraction, window, reduction: a row of the read table) becomes one nest of
 * loops over its elements, tiled by the schedule; the nest's body reads the root, which reads its
 * operands, which read theirs, down to loads from the kernel's arguments. So producers and epilogues
 * are fused by construction and nothing between is stored. Operations that must see whole rows
 * (softmax, norm, LSTM, TopK ...) have a generator of their own, in the generator table; it reads its
 * operands the same way and stores where adze_gen_destination says. */
#ifndef ADZE_CODEGEN_GEN_H
#define ADZE_CODEGEN_GEN_H

#include "ir/scalar.h"
#include "targets/target.h"

typedef struct adze_gen {
    adze_context *ctx;
    MlirModule module;
    const adze_target *target; /* NULL: portable C only */
    MlirOperation kernel; /* the L2 function being lowered */
    bool several_roots;   /* more than one operation stores its results */
    adze_builder b;       /* where the next L3 operation goes */
    /* What was read so far at which index, so that a value with two readers is computed once; entries
     * of an inner scope are forgotten when it closes. */
    struct adze_gen_read *reads;
    int n_reads, max_reads, stale_reads; /* those below `stale_reads` were before a store */
    /* While a block of results is finished: the tensor whose elements stand in a local array, the array,
     * and where on the last axis the array starts. */
    MlirValue row_tensor, row, row_base;
    /* While a register block is finished: the tensor whose element at hand stands in a flat local array, the array, and
     * where in it. */
    MlirValue tile_tensor, tile, tile_at;
    MlirValue tile_value; /* not null: the element itself, instead of one in an array */
} adze_gen;

/* ---- index arithmetic (type index; constants fold as they are built) ---- */

MlirValue adze_index(adze_gen *g, int64_t value);
bool adze_index_known(MlirValue index, int64_t *value); /* a constant? */
MlirValue adze_index_add(adze_gen *g, MlirValue a, MlirValue b);
MlirValue adze_index_sub(adze_gen *g, MlirValue a, MlirValue b);
MlirValue adze_index_mul(adze_gen *g, MlirValue a, MlirValue b);
MlirValue adze_index_div(adze_gen *g, MlirValue a, MlirValue b); /* both non-negative */
MlirValue adze_index_rem(adze_gen *g, MlirValue a, MlirValue b);
MlirValue adze_index_min(adze_gen *g, MlirValue a, MlirValue b);
MlirValue adze_index_max(adze_gen *g, MlirValue a, MlirValue b);
/* Negative counts from the end; what is still outside [0, extent) is brought to the nearest end, so that
 * no index from data ever leaves a buffer. */
MlirValue adze_index_wrap(adze_gen *g, MlirValue index, MlirValue extent);
/* predicate: eq ne lt le gt ge (signed); result i1 */
MlirValue adze_index_cmp(adze_gen *g, const char *predicate, MlirValue a, MlirValue b);
/* An integer scalar of the model (say, an element of `indices`) as an index, and back. */
MlirValue adze_index_from(adze_gen *g, adze_scalar x);
adze_scalar adze_index_to(adze_gen *g, MlirValue index, adze_dtype dtype);

/* ---- structured control flow ---- */

/* scf.for over [low, high) by step; `name` names the induction variable, carried[i] (and names[i]) are
 * values carried around. Building continues inside until adze_for_end, which takes the values to carry
 * on and gives the results in `results` (may be NULL when none). */
enum { ADZE_MAX_CARRIED = 64 };
typedef struct adze_for {
    MlirValue iv, carried[ADZE_MAX_CARRIED];
    MlirOperation op;
    adze_builder outer;
    int n, n_reads;
} adze_for;
adze_for adze_for_begin(adze_gen *g, const char *name, MlirValue low, MlirValue high, MlirValue step,
                        int n, const MlirValue *init, const char *const *names);
void adze_for_end(adze_gen *g, adze_for *loop, const MlirValue *carried, MlirValue *results);
/* Marks a loop whose turns the pass "vectorize" may run side by side; it may carry sums and extremes. */
void adze_vectorize(adze_gen *g, const adze_for *loop);

/* scf.if with results of the given types (n may be 0). After begin: the then branch; adze_if_else moves
 * to the other; adze_if_end closes and gives the results. n > 0 needs both branches. */
typedef struct adze_if {
    MlirOperation op;
    adze_builder outer;
    int n, n_reads;
} adze_if;
adze_if adze_if_begin(adze_gen *g, MlirValue condition, int n, const MlirType *types);
void adze_if_else(adze_gen *g, adze_if *branch, const MlirValue *then_results);
void adze_if_end(adze_gen *g, adze_if *branch, const MlirValue *last_results, MlirValue *results);

/* ---- values ---- */

/* The scalar at `index` (one index value per axis) of an L2 tensor: a load, a constant, or the
 * computation of the operation that defines it. False with a diagnostic when it cannot be read. */
bool adze_read(adze_gen *g, MlirValue tensor, const MlirValue *index, adze_scalar *out);
/* The same as memory holds it (before adze_scalar_in). */
bool adze_read_raw(adze_gen *g, MlirValue tensor, const MlirValue *index, MlirValue *out);
/* Where a result of a generator's operation is to be stored: the kernel's memref; null when unused. */
MlirValue adze_gen_destination(adze_gen *g, MlirValue result);
void adze_store(adze_gen *g, adze_scalar x, MlirValue memref, const MlirValue *index);
adze_scalar adze_load(adze_gen *g, MlirValue memref, const MlirValue *index);
void adze_store_raw(adze_gen *g, MlirValue value, MlirValue memref, const MlirValue *index);
/* A local array of the kernel (small: counted against the stack). */
MlirValue adze_local(adze_gen *g, const char *name, adze_dtype dtype, int rank, const int64_t *dims);
/* Extent `axis` of a tensor or memref: a constant, or the bounded dimension's value. */
MlirValue adze_extent(adze_gen *g, MlirValue value, int axis);

/* Loops over the given extents (names: n0.. or by `names`); indices in `index`. Nested fors without
 * carried values; close with adze_nest_end. */
typedef struct adze_nest {
    adze_for loops[ADZE_MAX_RANK];
    int n;
} adze_nest;
adze_nest adze_nest_begin(adze_gen *g, int n, const MlirValue *extents, const char *const *names,
                          MlirValue *index);
void adze_nest_end(adze_gen *g, adze_nest *nest);

/* Whether a convolution's sums can be kept in a row of local memory, and of which type (gen_window.c). */
bool adze_conv_row_type(adze_gen *g, MlirOperation op, adze_dtype *type);
/* Puts the sums at index (all axes but the last) and base .. base + count on the last into row[0 ..]. */
bool adze_gen_conv_row(adze_gen *g, MlirOperation op, const MlirValue *index, MlirValue base,
                       MlirValue count, MlirValue row);

/* ---- threads (parallel.c; docs/decisions/0010) ---- */

/* Threads of the tree: the module's adze.threads. */
int adze_gen_threads(const adze_gen *g);
typedef struct adze_parallel {
    MlirValue begin, end; /* the items that a call of the kernel computes */
    MlirValue part;       /* whose work memory it uses */
} adze_parallel;
/* Lets threads share the kernel's work: `items` whole outputs, or blocks of them, each computed alone and
 * in the same way whoever computes it; an expression over constants and extents, built outside of all
 * loops. `operations` (loads, stores, multiplications) is the work of the whole kernel; with `part` the
 * kernel also gets its part's number. Call it once a kernel, for its outermost loop.
 * False, and the bounds 0 and items: one thread does it all (one is all there is, there is too little
 * work, or several operations store results). */
bool adze_gen_parallel(adze_gen *g, MlirValue items, double operations, bool part, adze_parallel *out);
/* The same for a loop that has been built and has nothing around it that has work of its own: its bounds
 * become the shares of its turns, in multiples of `grain` turns. */
void adze_gen_parallel_loop(adze_gen *g, const adze_for *loop, int64_t grain, double operations);
/* Operations of a loop with all its turns, those in it included; bounded extents at their most. */
double adze_gen_operations(MlirOperation loop);
/* The most that an index can be, as far as its computation shows; INT32_MAX when it shows nothing. */
int64_t adze_index_most(MlirValue index);

/* ---- the two tables (gen_table.c) ---- */

/* Computes op's result `which` at an index, as memory would hold it (adze_scalar_out). */
typedef bool adze_reader(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                         MlirValue *out);
/* Stores all of op's results. */
typedef bool adze_generator(adze_gen *g, MlirOperation op);

typedef struct adze_gen_row {
    const char *op; /* full name */
    adze_reader *read;
    adze_generator *generate; /* NULL: the default nest over `read` */
} adze_gen_row;
const adze_gen_row *adze_gen_row_of(MlirOperation op); /* NULL: none */

/* The passes "pack", "loops" and "vectorize", in place; `target` may be NULL: portable C. */
bool adze_codegen_pack(adze_context *ctx, MlirModule module, const adze_target *target);
bool adze_codegen_loops(adze_context *ctx, MlirModule module, const adze_target *target);
bool adze_codegen_vectorize(adze_context *ctx, MlirModule module, const adze_target *target);
#define ADZE_CODEGEN_PASSES                                                                         \
    {.pack = adze_codegen_pack, .loops = adze_codegen_loops, .vectorize = adze_codegen_vectorize}

#endif
