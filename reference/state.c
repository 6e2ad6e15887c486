/* States: values kept between runs, and the rows that read and write them. */
#include "reference/internal.h"

#include <mlir-c/BuiltinAttributes.h>

#include <stdlib.h>
#include <string.h>

typedef struct kept {
    const char *name;
    MlirOperation symbol;
    adze_shape shape;
    adze_arena *arena; /* holds the value; a new one for every write */
    adze_tensor value;
} kept;

struct adze_ref_state {
    adze_context *ctx;
    MlirModule module;
    int n;
    kept *items;
};

static kept *find(const adze_ref_state *state, const char *name) {
    for (int i = 0; state && i < state->n; i++)
        if (!strcmp(state->items[i].name, name))
            return &state->items[i];
    return NULL;
}

/* Takes a copy of `t`. */
static void keep(kept *k, const adze_tensor *t) {
    adze_arena *arena = adze_arena_new();
    const size_t bytes = adze_tensor_host_bytes(t);
    void *copy = adze_arena_alloc(arena, bytes ? bytes : 1);
    memcpy(copy, t->data, bytes);
    k->value = *t;
    k->value.data = copy;
    adze_arena_free(k->arena);
    k->arena = arena;
}

/* The initial value: a weight's, or zero; a bounded extent starts at 0. */
static bool reset(adze_ref_state *state, kept *k) {
    const char *initial = adze_get_str(state->ctx, k->symbol, "initial");
    adze_tensor t;
    if (initial && *initial) {
        MlirOperation weight = adze_symbol(state->module, "adze.weight", initial);
        if (mlirOperationIsNull(weight))
            return adze_error(&state->ctx->diags, k->name, "state: there is no weight '%s'",
                              initial);
        if (!adze_weight_tensor(state->ctx, weight, &t))
            return false;
        keep(k, &t);
        return true;
    }
    int64_t dims[ADZE_MAX_RANK];
    for (int d = 0; d < k->shape.rank; d++)
        dims[d] = k->shape.dims[d] < 0 ? 0 : k->shape.dims[d];
    adze_arena *scratch = adze_arena_new();
    bool ok = adze_tensor_new(scratch, k->shape.dtype, k->shape.rank, dims, &t);
    adze_quant q;
    if (ok && adze_quant_of(state->ctx, k->shape.element, &q)) /* zero means the zero point */
        for (size_t i = 0, n = adze_tensor_count(&t); i < n; i++)
            adze_tensor_set_i64(&t, i, q.zero_point[ref_channel(&q, &t, i)]);
    if (ok)
        keep(k, &t);
    else
        adze_error(&state->ctx->diags, k->name, "state: its type is too large");
    adze_arena_free(scratch);
    return ok;
}

bool adze_ref_state_reset(adze_ref_state *state) {
    for (int i = 0; i < state->n; i++)
        if (!reset(state, &state->items[i]))
            return false;
    return true;
}

adze_ref_state *adze_ref_state_new(adze_context *ctx, MlirModule module) {
    adze_ref_state *state = calloc(1, sizeof *state);
    if (!state)
        abort();
    state->ctx = ctx;
    state->module = module;
    int capacity = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, "adze.state"))
            continue;
        if (state->n == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            state->items = realloc(state->items, (size_t)capacity * sizeof *state->items);
            if (!state->items)
                abort();
        }
        kept *k = &state->items[state->n];
        *k = (kept){.name = adze_get_str(ctx, op, "sym_name"), .symbol = op};
        MlirAttribute type = adze_get(op, "type");
        if (!k->name || !mlirAttributeIsAType(type) ||
            !adze_shape_of(ctx, mlirTypeAttrGetValue(type), &k->shape) ||
            k->shape.dtype == ADZE_NO_DTYPE) {
            adze_error(&ctx->diags, k->name, "state: its type is not a ranked tensor");
            adze_ref_state_free(state);
            return NULL;
        }
        state->n++;
        if (!reset(state, k)) {
            adze_ref_state_free(state);
            return NULL;
        }
    }
    return state;
}

void adze_ref_state_free(adze_ref_state *state) {
    if (!state)
        return;
    for (int i = 0; i < state->n; i++)
        adze_arena_free(state->items[i].arena);
    free(state->items);
    free(state);
}

const adze_tensor *adze_ref_state_value(const adze_ref_state *state, const char *name) {
    const kept *k = find(state, name);
    return k ? &k->value : NULL;
}

/* ---- rows ---- */

static kept *of_call(ref_call *c) {
    kept *k = find(c->state, ref_str(c, "state"));
    if (!k)
        ref_fail(c, "there is no state '%s' here", ref_str(c, "state"));
    return k;
}

/* A copy: a later write must not change what was read. */
bool ref_state_read(ref_call *c) {
    kept *k = of_call(c);
    if (!k || !ref_out_like(c, 0, &k->value))
        return false;
    memcpy(adze_tensor_data(&c->out[0]), k->value.data, adze_tensor_host_bytes(&k->value));
    return true;
}

static bool write_state(ref_call *c, kept *k, const adze_tensor *t) {
    bool fits = t->dtype == k->shape.dtype && t->rank == k->shape.rank;
    for (int d = 0; fits && d < t->rank; d++)
        fits = k->shape.dims[d] < 0 || k->shape.dims[d] == t->dims[d];
    if (!fits)
        return ref_fail(c, "the value does not have the type of state '%s'", k->name);
    keep(k, t);
    return true;
}

bool ref_state_write(ref_call *c) {
    kept *k = of_call(c);
    return k && write_state(c, k, c->in[0]);
}

bool ref_state_append(ref_call *c) {
    kept *k = of_call(c);
    int axis;
    const adze_tensor *x = c->in[0];
    if (!k || !ref_axis(c, ref_i64(c, "axis"), x->rank, &axis))
        return false;
    const adze_tensor *old = &k->value;
    if (x->rank != old->rank || x->dtype != old->dtype)
        return ref_fail(c, "the value does not have the type of state '%s'", k->name);
    int64_t dims[ADZE_MAX_RANK];
    for (int d = 0; d < x->rank; d++) {
        if (d != axis && x->dims[d] != old->dims[d])
            return ref_fail(c, "axis %d differs from that of state '%s'", d, k->name);
        dims[d] = old->dims[d] + (d == axis ? x->dims[d] : 0);
    }
    const char *symbol = k->shape.symbols[axis];
    MlirOperation dim = symbol ? adze_symbol(c->module, "adze.dim", symbol) : (MlirOperation){0};
    if (!mlirOperationIsNull(dim) && dims[axis] > adze_get_i64(dim, "hi"))
        return ref_fail(c, "state '%s' would exceed %lld, the bound of '%s'", k->name,
                        (long long)adze_get_i64(dim, "hi"), symbol);
    adze_tensor joined;
    if (!adze_tensor_new(c->scratch, x->dtype, x->rank, dims, &joined))
        return ref_fail(c, "state '%s' would be too large", k->name);
    const size_t bytes = adze_dtype_get(x->dtype)->host_bytes;
    const size_t inner = ref_product(dims, axis + 1, x->rank) * bytes;
    const size_t a = (size_t)old->dims[axis] * inner, b = (size_t)x->dims[axis] * inner;
    uint8_t *to = adze_tensor_data(&joined);
    for (size_t o = 0, outer = ref_product(dims, 0, axis); o < outer; o++, to += a + b) {
        memcpy(to, (const uint8_t *)old->data + o * a, a);
        memcpy(to + a, (const uint8_t *)x->data + o * b, b);
    }
    return write_state(c, k, &joined);
}

/* The trace shows the value; nothing else happens. */
bool ref_tap(ref_call *c) { return c->in[0] != NULL; }
