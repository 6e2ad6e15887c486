/* The plain interpreter of level 1: what every operation means, against which passes, kernels and
 * generated programs are checked. Floats are computed in double and rounded once, to the result's
 * type, at each operation's output; integers are exact and wrap to the result's type; quantized
 * operands follow the one integer definition (docs/integer.md, ir/integer.h).
 *
 *   one operation   adze_ref_eval   a row of ops.def -> a function of the table in table.c
 *   folding         adze_ref_fold   the same, in the shape of the frontend's hook
 *   an entry        adze_ref_run    func.func with scf.if / for / while, state and taps
 *
 * Values are host tensors. A quantized tensor holds its storage integers, an `index` an i64 of rank
 * 0, an absent optional operand (adze.none) is NULL or a tensor of ADZE_NO_DTYPE. */
#ifndef ADZE_REFERENCE_REFERENCE_H
#define ADZE_REFERENCE_REFERENCE_H

#include "ir/ir.h"

/* Evaluates one operation without regions: any adze operation of level 1 without side effects,
 * tensor.concat, arith.constant and the few scalar operations that control flow needs.
 * operands[i] is NULL for adze.none. results[] (one per result) is allocated in `arena`; the result
 * of a constant or weight borrows the bytes of the context. `module` resolves weight symbols. False
 * with a diagnostic that names the operation and its node. */
bool adze_ref_eval(adze_context *ctx, MlirModule module, MlirOperation op,
                   const adze_tensor *const *operands, adze_tensor *results, adze_arena *arena);

/* adze_ref_eval with the results in the context's arena: the frontend's folding hook. Leaves no
 * diagnostic: an operation that cannot be folded stays, as does
 * one with a result of more than 2^26 elements. */
bool adze_ref_fold(adze_context *ctx, MlirModule module, MlirOperation op,
                   const adze_tensor *const *operands, adze_tensor *results);

/* ---- whole entries ---- */

/* Called after every operation that was evaluated, in execution order, with its results (for
 * adze.tap and adze.state_write: one tensor, the operand). The tensors live until the call returns.
 */
typedef void adze_ref_trace(MlirOperation op, const adze_tensor *results, int n_results,
                            void *user);

/* The values of a module's states between runs; made, kept and freed by the caller. */
typedef struct adze_ref_state adze_ref_state;

/* Every state of the module at its initial value; NULL after a diagnostic. */
adze_ref_state *adze_ref_state_new(adze_context *ctx, MlirModule module);
void adze_ref_state_free(adze_ref_state *state);
/* Back to the initial values. */
bool adze_ref_state_reset(adze_ref_state *state);
/* The state's value now, NULL when there is no such state. Valid until the next run or reset. */
const adze_tensor *adze_ref_state_value(const adze_ref_state *state, const char *name);

/* Interprets the entry function named `entry` (NULL: the only one). inputs[n_inputs] in the order
 * of its arguments, element types and static extents checked; outputs[n_outputs] receives its
 * results in ctx->arena. `trace` may be NULL. States start at their initial values and are
 * forgotten. */
bool adze_ref_run(adze_context *ctx, MlirModule module, const char *entry,
                  const adze_tensor *inputs, int n_inputs, adze_tensor *outputs, int n_outputs,
                  adze_ref_trace *trace, void *user);

/* The same with the caller's states (NULL: as adze_ref_run) and the outputs in `arena`. */
bool adze_ref_step(adze_context *ctx, MlirModule module, const char *entry, adze_ref_state *state,
                   const adze_tensor *inputs, int n_inputs, adze_tensor *outputs, int n_outputs,
                   adze_arena *arena, adze_ref_trace *trace, void *user);

/* ---- comparing ---- */

typedef struct adze_ref_error {
    bool same_type;           /* element type, rank and extents agree; the rest is set only then */
    size_t count, mismatches; /* elements, and how many differ at all */
    size_t first;             /* flat index of the first difference; count when none */
    size_t worst;             /* flat index of the largest difference */
    double max_abs;           /* infinite where NaN or infinity meets something else */
    double max_rel;           /* max_abs / the output's range (the largest finite |want|) */
    double got, want;         /* the values at `worst` (strings: 0) */
} adze_ref_error;

/* Compares two tensors. True when they agree: exactly for integers, booleans and strings; for
 * floats when NaNs and infinities stand in the same places and the types agree, however large the
 * error: the caller judges max_abs and max_rel. `out` is always filled. */
bool adze_ref_compare(const adze_tensor *got, const adze_tensor *want, adze_ref_error *out);

#endif
