/* Gives every buffer of an entry its place in the scratch region.
 *
 * A buffer lives from the first call that touches it to the last. An element-wise kernel whose input
 * dies there writes over it (in place). Then buffers are placed greedily, largest first, each at the
 * lowest offset where nothing that lives at the same time lies (Pisarchyk & Lee, "Efficient Memory
 * Management for Deep Neural Net Inference", 2020: greedy by size). */
#include "passes/table.h"

#include "ir/plan.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Dialect/Func.h>

#include <string.h>

typedef struct slot {
    MlirOperation alloc;
    int64_t bytes, offset;
    int first, last;
    MlirOperation first_user, last_user;
    int shares; /* the slot whose place this one takes over, or -1 */
} slot;

typedef struct placing {
    adze_context *ctx;
    MlirModule module;
    MlirOperation entry;
    slot *slots;
    int n, capacity;
} placing;

static void note_use(MlirOperation user, int step, void *data) {
    slot *s = data;
    if (s->first < 0 || step < s->first) {
        s->first = step;
        s->first_user = user;
    }
    if (step > s->last) {
        s->last = step;
        s->last_user = user;
    }
}

static void count_alloc(MlirOperation op, void *user) {
    ((placing *)user)->capacity += adze_is_op(op, "memref.alloc");
}

static void collect_alloc(MlirOperation op, void *user) {
    placing *p = user;
    if (!adze_is_op(op, "memref.alloc"))
        return;
    slot *s = &p->slots[p->n++];
    *s = (slot){.alloc = op,
                .bytes = adze_buffer_bytes(p->ctx, p->module, adze_result(op, 0)),
                .first = -1,
                .last = -1,
                .shares = -1};
    adze_buffer_uses(p->entry, adze_result(op, 0), note_use, s);
}

/* ---- in place ---- */

static MlirOperation callee(placing *p, MlirOperation call) {
    if (!adze_is_op(call, "func.call"))
        return (MlirOperation){NULL};
    MlirStringRef name = mlirFlatSymbolRefAttrGetValue(adze_get(call, "callee"));
    return adze_symbol(p->module, "func.func",
                       adze_arena_strndup(p->ctx->arena, name.data, name.length));
}

/* The only argument of the call that is this buffer, or -1. */
static int argument_index(MlirOperation call, MlirValue buffer) {
    int found = -1;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(call); i++)
        if (mlirValueEqual(adze_buffer_base(mlirOperationGetOperand(call, i)), buffer)) {
            if (found >= 0)
                return -1;
            found = (int)i;
        }
    return found;
}

enum { MAX_STORES = 2 };

typedef struct element_wise {
    MlirValue in, out;
    MlirOperation stores[MAX_STORES];
    int n_stores;
    bool ok;
} element_wise;

/* The argument behind a view of it. */
static MlirValue viewed(MlirValue memref) {
    MlirOperation op = adze_defining(memref);
    return !mlirOperationIsNull(op) && adze_is_op(op, "memref.reinterpret_cast")
               ? mlirOperationGetOperand(op, 0)
               : memref;
}

static bool is_load(MlirOperation op) {
    return adze_is_op(op, "memref.load") || adze_is_op(op, "vector.load");
}

static bool is_store(MlirOperation op) {
    return adze_is_op(op, "memref.store") || adze_is_op(op, "vector.store");
}

static void find_store(MlirOperation op, void *user) {
    element_wise *e = user;
    if (!is_store(op) || !mlirValueEqual(viewed(mlirOperationGetOperand(op, 1)), e->out))
        return;
    if (e->n_stores < MAX_STORES)
        e->stores[e->n_stores] = op;
    e->n_stores++;
}

/* The same place: indices and the views' shapes. */
static bool same_place(MlirOperation load, MlirOperation store) {
    intptr_t n = mlirOperationGetNumOperands(load) - 1;
    bool same = n == mlirOperationGetNumOperands(store) - 2 &&
                mlirTypeEqual(mlirValueGetType(mlirOperationGetOperand(load, 0)),
                              mlirValueGetType(mlirOperationGetOperand(store, 1)));
    for (intptr_t i = 0; same && i < n; i++)
        same = mlirValueEqual(mlirOperationGetOperand(load, 1 + i),
                              mlirOperationGetOperand(store, 2 + i));
    return same;
}

/* Every use of `in` is a load of the very place that the one store in its block then overwrites. */
static void check_use(MlirOperation op, void *user) {
    element_wise *e = user;
    bool in = false, out = false;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
        MlirValue memref = viewed(mlirOperationGetOperand(op, i));
        in |= mlirValueEqual(memref, e->in);
        out |= mlirValueEqual(memref, e->out);
    }
    if ((!in && !out) || adze_is_op(op, "memref.reinterpret_cast"))
        return;
    MlirOperation store = {NULL};
    int here = 0;
    for (int i = 0; i < e->n_stores; i++)
        if (mlirBlockEqual(mlirOperationGetBlock(op), mlirOperationGetBlock(e->stores[i]))) {
            store = e->stores[i];
            here++;
        }
    if (here != 1 || (out && !mlirOperationEqual(op, store))) {
        e->ok = false;
        return;
    }
    if (!in)
        return;
    bool before = false; /* the load has to come first */
    for (MlirOperation next = op; !mlirOperationIsNull(next); next = mlirOperationGetNextInBlock(next))
        before |= mlirOperationEqual(next, store);
    e->ok &= before && is_load(op) && mlirValueEqual(viewed(mlirOperationGetOperand(op, 0)), e->in) &&
             same_place(op, store);
}

/* Two stores: of whole vectors, then of the rest, which begins where the first loop ends. */
static bool one_after_the_other(MlirOperation first, MlirOperation second) {
    MlirOperation a = mlirOperationGetParentOperation(first), b = mlirOperationGetParentOperation(second);
    return adze_is_op(a, "scf.for") && adze_is_op(b, "scf.for") &&
           mlirBlockEqual(mlirOperationGetBlock(a), mlirOperationGetBlock(b)) &&
           mlirValueEqual(mlirOperationGetOperand(a, 1), mlirOperationGetOperand(b, 0));
}

static bool is_element_wise(MlirOperation kernel, int in, int out) {
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(kernel, 0));
    element_wise e = {.in = mlirBlockGetArgument(body, in),
                      .out = mlirBlockGetArgument(body, out),
                      .ok = true};
    if (!mlirTypeEqual(mlirValueGetType(e.in), mlirValueGetType(e.out)))
        return false;
    adze_walk(kernel, find_store, &e);
    if (e.n_stores < 1 || e.n_stores > MAX_STORES ||
        (e.n_stores == 2 && !one_after_the_other(e.stores[0], e.stores[1])))
        return false;
    adze_walk(kernel, check_use, &e);
    return e.ok;
}

static void mark_alias(adze_context *ctx, MlirOperation kernel, int arg, const char *access) {
    MlirAttribute all = adze_get(kernel, "arg_attrs"), one = mlirArrayAttrGetElement(all, arg);
    MlirNamedAttribute items[8];
    int n = 0;
    for (intptr_t i = 0; i < mlirDictionaryAttrGetNumElements(one); i++) {
        MlirNamedAttribute item = mlirDictionaryAttrGetElement(one, i);
        if (!mlirStringRefEqual(mlirIdentifierStr(item.name),
                                mlirStringRefCreateFromCString("adze.access")))
            items[n++] = item;
    }
    items[n++] = mlirNamedAttributeGet(
        mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.access")),
        adze_str(ctx, access));
    items[n++] = mlirNamedAttributeGet(
        mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.alias")),
        mlirUnitAttrGet(ctx->mlir));
    intptr_t count = mlirArrayAttrGetNumElements(all);
    MlirAttribute *copy = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, (size_t)count);
    for (intptr_t i = 0; i < count; i++)
        copy[i] = i == arg ? mlirDictionaryAttrGet(ctx->mlir, n, items)
                           : mlirArrayAttrGetElement(all, i);
    adze_set(kernel, "arg_attrs", mlirArrayAttrGet(ctx->mlir, count, copy));
}

/* Slot `i` takes over the place of an input that dies in the call that first writes it. */
static void share_in_place(placing *p, int i) {
    slot *s = &p->slots[i];
    MlirOperation kernel = callee(p, s->first_user);
    if (mlirOperationIsNull(kernel) || mlirAttributeIsNull(adze_get(kernel, "adze.kernel")))
        return;
    int out = argument_index(s->first_user, adze_result(s->alloc, 0));
    for (int j = 0; j < p->n && out >= 0; j++) {
        slot *t = &p->slots[j];
        if (j == i || t->bytes != s->bytes || t->last != s->first || t->first == t->last ||
            !mlirOperationEqual(t->last_user, s->first_user))
            continue;
        int in = argument_index(s->first_user, adze_result(t->alloc, 0));
        bool taken = false;
        for (int k = 0; k < p->n; k++)
            taken |= p->slots[k].shares == j;
        if (in < 0 || taken || !is_element_wise(kernel, in, out))
            continue;
        s->shares = j;
        mark_alias(p->ctx, kernel, in, "read");
        mark_alias(p->ctx, kernel, out, "write");
        return;
    }
}

/* ---- offsets ---- */

static int root_of(const placing *p, int i) {
    while (p->slots[i].shares >= 0)
        i = p->slots[i].shares;
    return i;
}

static bool overlap(const slot *a, const slot *b) {
    return a->first <= b->last && b->first <= a->last;
}

static void place_all(placing *p) {
    /* A shared place lives as long as all who share it. */
    for (int i = 0; i < p->n; i++) {
        slot *s = &p->slots[i], *r = &p->slots[root_of(p, i)];
        r->first = s->first < r->first ? s->first : r->first;
        r->last = s->last > r->last ? s->last : r->last;
    }
    int *order = ADZE_NEW_ARRAY(p->ctx->arena, int, (size_t)p->n + 1);
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        if (p->slots[i].shares >= 0)
            continue;
        int at = n++;
        while (at && p->slots[order[at - 1]].bytes < p->slots[i].bytes) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    for (int k = 0; k < n; k++) {
        slot *s = &p->slots[order[k]];
        s->offset = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (int j = 0; j < k; j++) {
                const slot *t = &p->slots[order[j]];
                if (overlap(s, t) && s->offset < t->offset + t->bytes &&
                    t->offset < s->offset + s->bytes) {
                    s->offset = (t->offset + t->bytes + ADZE_SCRATCH_ALIGN - 1) /
                                ADZE_SCRATCH_ALIGN * ADZE_SCRATCH_ALIGN;
                    moved = true;
                }
            }
        }
    }
}

static void replace_alloc(placing *p, const slot *s, int64_t offset) {
    adze_context *ctx = p->ctx;
    adze_builder b = adze_before(ctx, s->alloc);
    b.name = adze_location_name(ctx, s->alloc, NULL);
    adze_named attrs[] = {{"region", adze_str(ctx, "scratch")}, {"offset", adze_i64(ctx, offset)}};
    MlirValue region = adze_build1(&b, "adze.region", 0, NULL,
                                   mlirValueGetType(adze_result(s->alloc, 0)), 2, attrs);
    MlirAttribute dims = adze_get(s->alloc, "adze.dims");
    if (!mlirAttributeIsNull(dims))
        adze_set(adze_defining(region), "adze.dims", dims);
    adze_replace(s->alloc, &region);
}

bool adze_pass_place(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, "func.func") || mlirAttributeIsNull(adze_get(op, "adze.entry")))
            continue;
        placing p = {.ctx = ctx, .module = module, .entry = op};
        adze_walk(op, count_alloc, &p);
        p.slots = ADZE_NEW_ARRAY(ctx->arena, slot, (size_t)p.capacity + 1);
        adze_walk(op, collect_alloc, &p);
        for (int i = 0; i < p.n; i++)
            share_in_place(&p, i);
        place_all(&p);
        for (int i = 0; i < p.n; i++)
            replace_alloc(&p, &p.slots[i], p.slots[root_of(&p, i)].offset);
    }
    return true;
}
