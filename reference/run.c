/* Interpreting an entry: blocks, values and control flow around ref_eval.
 *
 * Each operation's results live in an arena of their own, shared by reference count with whatever
 * they are yielded to, and freed after the last use in their block. A block's last uses are found
 * once and kept. */
#include "reference/internal.h"

#include <mlir-c/BuiltinAttributes.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct holder {
    adze_arena *arena;
    int uses;
    size_t bytes; /* of its results, and where they are counted */
    ref_budget *budget;
    struct holder *next; /* all of a run, so that an error leaves nothing behind */
} holder;

/* A value bound to a tensor; holder NULL: the tensor's bytes outlive the run. */
typedef struct slot {
    const void *value;
    bool bound;
    adze_tensor t;
    holder *held;
} slot;

/* dead[ends[i-1] .. ends[i]) are the values of the block that nothing needs after operation i;
 * those before ends[0] are unused arguments. */
typedef struct plan {
    const void *block;
    const void **dead;
    int *ends;
} plan;

typedef struct run_state {
    adze_context *ctx;
    MlirModule module;
    adze_arena *arena; /* of this run: tables and plans */
    slot *slots;
    size_t n_slots, capacity;
    holder *holders;
    plan *plans;
    size_t n_plans, plan_capacity;
    ref_budget budget;
    ref_dims dims;
    int n_input_dims; /* the first of dims: bound by the arguments */
    adze_ref_state *state;
    adze_ref_trace *trace;
    void *user;
} run_state;

/* ---- values ---- */

static void *grown(void *items, size_t *capacity, size_t n, size_t size) {
    if (n < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 64;
    items = realloc(items, *capacity * size);
    if (!items)
        abort();
    return items;
}

static slot *probe(slot *slots, size_t capacity, const void *value) {
    size_t h = ((uintptr_t)value >> 4) * 0x9E3779B97F4A7C15u;
    for (h ^= h >> 29;; h++) {
        slot *s = &slots[h & (capacity - 1)];
        if (!s->value || s->value == value)
            return s;
    }
}

static slot *slot_of(run_state *r, MlirValue value) {
    if (2 * (r->n_slots + 1) > r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 256;
        slot *fresh = calloc(capacity, sizeof *fresh);
        if (!fresh)
            abort();
        for (size_t i = 0; i < r->capacity; i++)
            if (r->slots[i].value)
                *probe(fresh, capacity, r->slots[i].value) = r->slots[i];
        free(r->slots);
        r->slots = fresh;
        r->capacity = capacity;
    }
    slot *s = probe(r->slots, r->capacity, value.ptr);
    if (!s->value) {
        s->value = value.ptr;
        r->n_slots++;
    }
    return s;
}

static holder *new_holder(run_state *r) {
    holder *h = ADZE_NEW(r->arena, holder);
    *h = (holder){adze_arena_new(), 1, 0, &r->budget, r->holders};
    return r->holders = h;
}

static void drop(holder *h) {
    if (h && --h->uses == 0) {
        adze_arena_free(h->arena);
        h->arena = NULL;
        h->budget->live -= h->bytes;
    }
}

static void unbind(slot *s) {
    if (s->bound)
        drop(s->held);
    s->bound = false;
    s->held = NULL;
}

/* Binds a value; the reference in `from` is taken over. */
static void bind(run_state *r, MlirValue value, slot from) {
    slot *s = slot_of(r, value);
    unbind(s);
    s->bound = true;
    s->t = from.t;
    s->held = from.held;
}

static slot shared(const slot *s) {
    if (s->held)
        s->held->uses++;
    return *s;
}

/* ---- dimension symbols ---- */

/* Remembers the extents that the tensor gives to the symbols of its type. Those of arguments are
 * fixed; others follow the last value. */
static bool bind_dims(run_state *r, MlirValue value, const adze_tensor *t, const char *node) {
    adze_shape shape;
    if (!adze_value_shape(r->ctx, value, &shape))
        return true;
    for (int d = 0; d < shape.rank && d < t->rank; d++) {
        if (shape.dims[d] >= 0 || !shape.symbols[d])
            continue;
        MlirOperation dim = adze_symbol(r->module, "adze.dim", shape.symbols[d]);
        if (!mlirOperationIsNull(dim) &&
            (t->dims[d] < adze_get_i64(dim, "lo") || t->dims[d] > adze_get_i64(dim, "hi")))
            return adze_error(&r->ctx->diags, node, "dimension '%s' is %lld, outside %lld to %lld",
                              shape.symbols[d], (long long)t->dims[d],
                              (long long)adze_get_i64(dim, "lo"),
                              (long long)adze_get_i64(dim, "hi"));
        int k = 0;
        while (k < r->dims.n && strcmp(r->dims.names[k], shape.symbols[d]))
            k++;
        if (k < r->n_input_dims && r->dims.values[k] != t->dims[d])
            return adze_error(&r->ctx->diags, node,
                              "dimension '%s' is %lld here and %lld in an input", shape.symbols[d],
                              (long long)t->dims[d], (long long)r->dims.values[k]);
        if (k == (int)ADZE_COUNT(r->dims.names))
            return adze_error(&r->ctx->diags, node, "more than %d dimension symbols", k);
        r->dims.names[k] = shape.symbols[d];
        r->dims.values[k] = t->dims[d];
        if (k == r->dims.n)
            r->dims.n++;
    }
    return true;
}

/* ---- blocks ---- */

/* The position in `block` of the operation that holds the use; -1 when it is elsewhere. */
static int position_in(MlirOperation op, MlirBlock block, MlirOperation *ops, int n) {
    while (!mlirOperationIsNull(op) && !mlirBlockEqual(mlirOperationGetBlock(op), block))
        op = mlirOperationGetParentOperation(op);
    int low = 0;
    for (; low < n; low++)
        if (mlirOperationEqual(ops[low], op))
            return low;
    return -1;
}

typedef struct ending {
    const void *value;
    int last;
} ending;

static int by_last(const void *a, const void *b) {
    return ((const ending *)a)->last - ((const ending *)b)->last;
}

static const plan *plan_of(run_state *r, MlirBlock block) {
    for (size_t i = 0; i < r->n_plans; i++)
        if (r->plans[i].block == block.ptr)
            return &r->plans[i];
    int n_ops = 0, n_values = (int)mlirBlockGetNumArguments(block);
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        n_ops++;
        n_values += (int)mlirOperationGetNumResults(op);
    }
    adze_arena *scratch = adze_arena_new();
    MlirOperation *ops = ADZE_NEW_ARRAY(scratch, MlirOperation, (size_t)n_ops + 1);
    ending *ends = ADZE_NEW_ARRAY(scratch, ending, (size_t)n_values + 1);
    int n = 0, k = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        ops[n++] = op;
    for (int at = -1; at < n; at++) {
        const intptr_t count =
            at < 0 ? mlirBlockGetNumArguments(block) : mlirOperationGetNumResults(ops[at]);
        for (intptr_t i = 0; i < count; i++) {
            MlirValue v =
                at < 0 ? mlirBlockGetArgument(block, i) : mlirOperationGetResult(ops[at], i);
            ends[k] = (ending){v.ptr, at < 0 ? 0 : at};
            for (MlirOpOperand use = mlirValueGetFirstUse(v); !mlirOpOperandIsNull(use);
                 use = mlirOpOperandGetNextUse(use)) {
                const int last = position_in(mlirOpOperandGetOwner(use), block, ops, n);
                if (last > ends[k].last)
                    ends[k].last = last;
            }
            k++;
        }
    }
    qsort(ends, (size_t)k, sizeof *ends, by_last);
    r->plans = grown(r->plans, &r->plan_capacity, r->n_plans, sizeof *r->plans);
    plan *p = &r->plans[r->n_plans++];
    *p = (plan){block.ptr, ADZE_NEW_ARRAY(r->arena, const void *, (size_t)k + 1),
                ADZE_NEW_ARRAY(r->arena, int, (size_t)n + 1)};
    int from = 0;
    for (int at = 0; at < n; at++) {
        while (from < k && ends[from].last <= at) {
            p->dead[from] = ends[from].value;
            from++;
        }
        p->ends[at] = from;
    }
    adze_arena_free(scratch);
    return p;
}

static bool run_op(run_state *r, MlirOperation op);

/* Runs a block up to its terminator, whose operands become `out` (n_out of them, each with a
 * reference that the caller owns). The block's own values are released. */
static bool run_block(run_state *r, MlirBlock block, int n_out, slot *out) {
    plan p = *plan_of(r, block); /* a copy: nested blocks may move the table */
    MlirOperation op = mlirBlockGetFirstOperation(block);
    MlirOperation terminator = mlirBlockGetTerminator(block);
    int at = 0, dead = 0;
    for (; !mlirOperationIsNull(op) && !mlirOperationEqual(op, terminator);
         op = mlirOperationGetNextInBlock(op), at++) {
        if (!run_op(r, op))
            return false;
        for (; dead < p.ends[at]; dead++)
            unbind(slot_of(r, (MlirValue){p.dead[dead]}));
    }
    if (mlirOperationGetNumOperands(terminator) != n_out)
        return adze_error(&r->ctx->diags, NULL, "a block gives %d values where %d are wanted",
                          (int)mlirOperationGetNumOperands(terminator), n_out);
    for (int i = 0; i < n_out; i++)
        out[i] = shared(slot_of(r, mlirOperationGetOperand(terminator, i)));
    for (; dead < p.ends[at]; dead++)
        unbind(slot_of(r, (MlirValue){p.dead[dead]}));
    return true;
}

static slot *new_slots(run_state *r, intptr_t n) {
    return ADZE_NEW_ARRAY(r->arena, slot, n > 0 ? (size_t)n : 1);
}

static MlirBlock region_block(MlirOperation op, int i) {
    return mlirRegionGetFirstBlock(mlirOperationGetRegion(op, i));
}

static slot operand(run_state *r, MlirOperation op, intptr_t i) {
    return shared(slot_of(r, mlirOperationGetOperand(op, i)));
}

static void bind_results(run_state *r, MlirOperation op, const slot *from) {
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        bind(r, mlirOperationGetResult(op, i), from[i]);
}

/* ---- control flow ---- */

/* A step costs something however little it does: a loop may turn for ever. */
static bool charge_step(run_state *r, MlirOperation op) {
    r->budget.work += 1000;
    return r->budget.work <= r->budget.most_work ||
           adze_error(&r->ctx->diags, adze_node(r->ctx, op),
                      "an evaluation may take %.0e operations in all — hint: give the self-test's "
                      "numbers with --reference DIR",
                      r->budget.most_work);
}

static bool run_if(run_state *r, MlirOperation op) {
    const slot *condition = slot_of(r, mlirOperationGetOperand(op, 0));
    const int n = (int)mlirOperationGetNumResults(op);
    slot *out = new_slots(r, n);
    MlirBlock block = region_block(op, adze_tensor_get_i64(&condition->t, 0) ? 0 : 1);
    if (mlirBlockIsNull(block)) /* no else */
        return true;
    if (!run_block(r, block, n, out))
        return false;
    bind_results(r, op, out);
    return true;
}

static bool run_for(run_state *r, MlirOperation op) {
    int64_t bounds[3];
    for (int i = 0; i < 3; i++)
        bounds[i] = adze_tensor_get_i64(&slot_of(r, mlirOperationGetOperand(op, i))->t, 0);
    if (bounds[2] <= 0)
        return adze_error(&r->ctx->diags, adze_node(r->ctx, op), "scf.for: a step of %lld",
                          (long long)bounds[2]);
    const int n = (int)mlirOperationGetNumResults(op);
    slot *carried = new_slots(r, n);
    for (int i = 0; i < n; i++)
        carried[i] = operand(r, op, 3 + i);
    MlirBlock block = region_block(op, 0);
    for (int64_t at = bounds[0]; at < bounds[1];) {
        if (!charge_step(r, op))
            return false;
        holder *h = new_holder(r);
        slot counter = {.held = h};
        adze_tensor_new(h->arena, ADZE_i64, 0, NULL, &counter.t);
        adze_tensor_set_i64(&counter.t, 0, at);
        bind(r, mlirBlockGetArgument(block, 0), counter);
        for (int i = 0; i < n; i++)
            bind(r, mlirBlockGetArgument(block, 1 + i), carried[i]);
        if (!run_block(r, block, n, carried))
            return false;
        if (bounds[1] - at <= bounds[2])
            break;
        at += bounds[2];
    }
    bind_results(r, op, carried);
    return true;
}

static bool run_while(run_state *r, MlirOperation op) {
    MlirBlock before = region_block(op, 0), after = region_block(op, 1);
    const int n_in = (int)mlirOperationGetNumOperands(op), n = (int)mlirOperationGetNumResults(op);
    slot *carried = new_slots(r, n_in), *tested = new_slots(r, n + 1);
    for (int i = 0; i < n_in; i++)
        carried[i] = operand(r, op, i);
    for (;;) {
        if (!charge_step(r, op))
            return false;
        for (int i = 0; i < n_in; i++)
            bind(r, mlirBlockGetArgument(before, i), carried[i]);
        if (!run_block(r, before, n + 1, tested))
            return false;
        const bool more = adze_tensor_get_i64(&tested[0].t, 0) != 0;
        drop(tested[0].held);
        if (!more)
            break;
        for (int i = 0; i < n; i++)
            bind(r, mlirBlockGetArgument(after, i), tested[1 + i]);
        if (!run_block(r, after, n_in, carried))
            return false;
    }
    bind_results(r, op, tested + 1);
    return true;
}

static bool run_plain(run_state *r, MlirOperation op) {
    const intptr_t n_in = mlirOperationGetNumOperands(op), n_out = mlirOperationGetNumResults(op);
    adze_arena *scratch = adze_arena_new();
    holder *h = new_holder(r);
    const adze_tensor **in = ADZE_NEW_ARRAY(scratch, const adze_tensor *, (size_t)n_in + 1);
    adze_tensor *values = ADZE_NEW_ARRAY(scratch, adze_tensor, (size_t)n_in + 1);
    adze_tensor *out = ADZE_NEW_ARRAY(scratch, adze_tensor, (size_t)n_out + 1);
    for (intptr_t i = 0; i < n_in; i++) {
        const slot *s = slot_of(r, mlirOperationGetOperand(op, i));
        values[i] = s->t; /* a copy: binding results may move the table */
        in[i] = s->bound && s->t.dtype != ADZE_NO_DTYPE ? &values[i] : NULL;
    }
    ref_call call = {.ctx = r->ctx,
                     .module = r->module,
                     .op = op,
                     .in = in,
                     .out = out,
                     .arena = h->arena,
                     .scratch = scratch,
                     .dims = &r->dims,
                     .state = r->state,
                     .budget = &r->budget};
    bool ok = charge_step(r, op) && ref_eval(&call);
    h->bytes = call.allocated;
    for (intptr_t i = 0; ok && i < n_out; i++) {
        MlirValue value = mlirOperationGetResult(op, i);
        ok = out[i].dtype == ADZE_NO_DTYPE || bind_dims(r, value, &out[i], call.node);
        h->uses++;
        bind(r, value, (slot){.t = out[i], .held = h});
    }
    if (ok && r->trace && n_out)
        r->trace(op, out, (int)n_out, r->user);
    else if (ok && r->trace && n_in)
        r->trace(op, &values[0], 1, r->user);
    drop(h);
    adze_arena_free(scratch);
    return ok;
}

static const struct {
    const char *name;
    bool (*run)(run_state *r, MlirOperation op);
} control[] = {{"scf.if", run_if}, {"scf.for", run_for}, {"scf.while", run_while}};

static bool run_op(run_state *r, MlirOperation op) {
    for (size_t i = 0; i < ADZE_COUNT(control); i++) {
        if (!adze_is_op(op, control[i].name))
            continue;
        if (!control[i].run(r, op))
            return false;
        for (intptr_t k = 0; k < mlirOperationGetNumResults(op); k++) {
            MlirValue value = mlirOperationGetResult(op, k);
            const adze_tensor t = slot_of(r, value)->t;
            if (!bind_dims(r, value, &t, adze_node(r->ctx, op)))
                return false;
            if (r->trace && mlirOperationGetNumResults(op) == 1)
                r->trace(op, &t, 1, r->user);
        }
        return true;
    }
    return run_plain(r, op);
}

/* ---- entries ---- */

static MlirOperation find_entry(adze_context *ctx, MlirModule module, const char *entry) {
    if (entry) {
        MlirOperation f = adze_symbol(module, "func.func", entry);
        if (mlirOperationIsNull(f))
            adze_error(&ctx->diags, NULL, "there is no entry '%s'", entry);
        return f;
    }
    MlirOperation found = {0};
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, "func.func") || mlirAttributeIsNull(adze_get(op, "adze.entry")))
            continue;
        if (!mlirOperationIsNull(found)) {
            adze_error(&ctx->diags, NULL, "the module has several entries: name one");
            return (MlirOperation){0};
        }
        found = op;
    }
    if (mlirOperationIsNull(found))
        adze_error(&ctx->diags, NULL, "the module has no entry");
    return found;
}

static bool bind_inputs(run_state *r, MlirBlock block, const adze_tensor *inputs, int n_inputs) {
    if (mlirBlockGetNumArguments(block) != n_inputs)
        return adze_error(&r->ctx->diags, NULL, "%d inputs where the entry takes %d", n_inputs,
                          (int)mlirBlockGetNumArguments(block));
    for (int i = 0; i < n_inputs; i++) {
        MlirValue value = mlirBlockGetArgument(block, i);
        adze_shape shape;
        if (!adze_value_shape(r->ctx, value, &shape) || shape.dtype != inputs[i].dtype ||
            shape.rank != inputs[i].rank)
            return adze_error(&r->ctx->diags, NULL,
                              "input %d is %s of rank %d, the entry takes %s of rank %d", i,
                              adze_dtype_get(inputs[i].dtype)->name, inputs[i].rank,
                              adze_dtype_get(shape.dtype)->name, shape.rank);
        for (int d = 0; d < shape.rank; d++)
            if (shape.dims[d] >= 0 && shape.dims[d] != inputs[i].dims[d])
                return adze_error(&r->ctx->diags, NULL,
                                  "input %d: axis %d is %lld, the entry takes %lld", i, d,
                                  (long long)inputs[i].dims[d], (long long)shape.dims[d]);
        char where[32];
        snprintf(where, sizeof where, "input %d", i);
        if (!bind_dims(r, value, &inputs[i], adze_arena_strdup(r->ctx->arena, where)))
            return false;
        r->n_input_dims = r->dims.n;
        bind(r, value, (slot){.t = inputs[i]});
    }
    return true;
}

bool adze_ref_step(adze_context *ctx, MlirModule module, const char *entry, adze_ref_state *state,
                   const adze_tensor *inputs, int n_inputs, adze_tensor *outputs, int n_outputs,
                   adze_arena *arena, adze_ref_trace *trace, void *user) {
    MlirOperation f = find_entry(ctx, module, entry);
    if (mlirOperationIsNull(f))
        return false;
    MlirBlock block = region_block(f, 0);
    if (mlirBlockIsNull(block))
        return adze_error(&ctx->diags, NULL, "the entry has no body");
    adze_ref_state *own = state ? NULL : adze_ref_state_new(ctx, module);
    if (!state && !own)
        return false;
    run_state r = {.ctx = ctx,
                   .module = module,
                   .arena = adze_arena_new(),
                   .trace = trace,
                   .user = user,
                   .budget.most_work = REF_MOST_WORK,
                   .state = state ? state : own};
    slot *out = new_slots(&r, n_outputs);
    bool ok = bind_inputs(&r, block, inputs, n_inputs) && run_block(&r, block, n_outputs, out);
    for (int i = 0; ok && i < n_outputs; i++) {
        const size_t bytes = adze_tensor_host_bytes(&out[i].t);
        void *copy = adze_arena_alloc(arena, bytes ? bytes : 1);
        memcpy(copy, out[i].t.data, bytes);
        outputs[i] = out[i].t;
        outputs[i].data = copy;
        drop(out[i].held);
    }
    for (holder *h = r.holders; h; h = h->next)
        adze_arena_free(h->arena);
    free(r.slots);
    free(r.plans);
    adze_arena_free(r.arena);
    adze_ref_state_free(own);
    return ok;
}

bool adze_ref_run(adze_context *ctx, MlirModule module, const char *entry,
                  const adze_tensor *inputs, int n_inputs, adze_tensor *outputs, int n_outputs,
                  adze_ref_trace *trace, void *user) {
    return adze_ref_step(ctx, module, entry, NULL, inputs, n_inputs, outputs, n_outputs, ctx->arena,
                         trace, user);
}
