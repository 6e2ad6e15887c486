/* The memory plan of a placed module, read back from its operations. See plan.h. */
#include "ir/plan.h"
#include "ir/weights.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

int64_t adze_shape_bytes(MlirModule module, const adze_shape *shape) {
    int64_t bytes = (int64_t)adze_dtype_get(shape->dtype)->host_bytes;
    bool none = false;
    for (int d = 0; d < shape->rank; d++) {
        int64_t extent = shape->dims[d];
        if (extent < 0) {
            MlirOperation dim = {NULL};
            if (shape->symbols[d])
                dim = adze_symbol(module, "adze.dim", shape->symbols[d]);
            extent = mlirOperationIsNull(dim) ? 0 : adze_get_i64(dim, "hi");
        }
        none |= extent <= 0;
        if (extent > 0)
            bytes = bytes > ADZE_MAX_BYTES / extent ? ADZE_MAX_BYTES : bytes * extent;
    }
    return none ? 0 : bytes;
}

int64_t adze_buffer_bytes(adze_context *ctx, MlirModule module, MlirValue buffer) {
    adze_shape shape;
    if (!adze_value_shape(ctx, buffer, &shape) || shape.dtype == ADZE_NO_DTYPE)
        return 0;
    return adze_shape_bytes(module, &shape);
}

MlirValue adze_buffer_base(MlirValue v) {
    for (;;) {
        MlirOperation op = adze_defining(v);
        if (mlirOperationIsNull(op) || !adze_is_op(op, "memref.reinterpret_cast"))
            return v;
        v = mlirOperationGetOperand(op, 0);
    }
}

/* Operations of a region in order, nested ones at their place; `step` counts those that do work. */
typedef struct stepper {
    MlirOperation wanted;
    int step, found;
} stepper;

static bool does_work(MlirOperation op) {
    return adze_is_op(op, "func.call") || adze_is_op(op, "memref.copy") ||
           adze_is_op(op, "memref.load");
}

static void count_steps(MlirOperation op, void *user) {
    stepper *s = user;
    if (mlirOperationEqual(op, s->wanted))
        s->found = s->step;
    s->step += does_work(op);
}

static int step_of(MlirOperation entry, MlirOperation op) {
    stepper s = {op, 0, -1};
    adze_walk(entry, count_steps, &s);
    return s.found;
}

void adze_buffer_uses(MlirOperation entry, MlirValue value, adze_buffer_use *use, void *data) {
    for (MlirOpOperand o = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(o);
         o = mlirOpOperandGetNextUse(o)) {
        MlirOperation user = mlirOpOperandGetOwner(o);
        if (adze_is_op(user, "memref.reinterpret_cast"))
            adze_buffer_uses(entry, adze_result(user, 0), use, data);
        else
            use(user, step_of(entry, user), data);
    }
}

static void widen(MlirOperation user, int step, void *data) {
    (void)user;
    adze_buffer *b = data;
    if (b->first < 0 || step < b->first)
        b->first = step;
    if (step > b->last)
        b->last = step;
}

typedef struct reader {
    adze_context *ctx;
    MlirModule module;
    MlirOperation entry;
    adze_memory_plan *plan;
    int max_buffers, max_steps;
} reader;

static void count(MlirOperation op, void *user) {
    reader *r = user;
    r->max_buffers += adze_is_op(op, "adze.region");
    r->max_steps += does_work(op);
}

static void collect(MlirOperation op, void *user) {
    reader *r = user;
    adze_memory_plan *p = r->plan;
    if (adze_is_op(op, "adze.region")) {
        adze_buffer *b = &p->buffers[p->n_buffers++];
        *b = (adze_buffer){.name = adze_location_name(r->ctx, op, ""),
                           .offset = adze_get_i64(op, "offset"),
                           .bytes = adze_buffer_bytes(r->ctx, r->module, adze_result(op, 0)),
                           .first = -1,
                           .last = -1};
        adze_buffer_uses(r->entry, adze_result(op, 0), widen, b);
        if (b->offset + b->bytes > p->scratch_bytes)
            p->scratch_bytes = b->offset + b->bytes;
    }
    if (does_work(op)) {
        const char *name = "copy";
        if (adze_is_op(op, "func.call")) {
            MlirStringRef s = mlirFlatSymbolRefAttrGetValue(adze_get(op, "callee"));
            name = adze_arena_strndup(r->ctx->arena, s.data, s.length);
        }
        p->steps[p->n_steps++] = name;
    }
}

bool adze_memory_plan_read(adze_context *ctx, MlirModule module, const char *entry,
                           adze_memory_plan *out) {
    *out = (adze_memory_plan){0};
    MlirOperation chosen = {NULL};
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (adze_is_op(op, "adze.weight"))
            out->weight_bytes += adze_get_i64(op, "bytes");
        adze_shape state;
        if (adze_is_op(op, "adze.state") &&
            adze_shape_of(ctx, mlirTypeAttrGetValue(adze_get(op, "type")), &state))
            out->state_bytes += (adze_shape_bytes(module, &state) + ADZE_SCRATCH_ALIGN - 1) /
                                ADZE_SCRATCH_ALIGN * ADZE_SCRATCH_ALIGN;
        if (!adze_is_op(op, "func.func") || mlirAttributeIsNull(adze_get(op, "adze.entry")))
            continue;
        const char *name = adze_get_str(ctx, op, "sym_name");
        if (mlirOperationIsNull(chosen) && (!entry || !strcmp(entry, name)))
            chosen = op;
    }
    if (mlirOperationIsNull(chosen))
        return adze_error(&ctx->diags, NULL, "the module has no entry '%s'", entry ? entry : "");
    reader r = {ctx, module, chosen, out, 0, 0};
    adze_walk(chosen, count, &r);
    out->buffers = ADZE_NEW_ARRAY(ctx->arena, adze_buffer, (size_t)r.max_buffers + 1);
    out->steps = ADZE_NEW_ARRAY(ctx->arena, const char *, (size_t)r.max_steps + 1);
    adze_walk(chosen, collect, &r);
    for (int step = 0; step < out->n_steps; step++) {
        /* Buffers that share their place (in-place kernels) count once. */
        int64_t live = 0;
        for (int i = 0; i < out->n_buffers; i++) {
            const adze_buffer *b = &out->buffers[i];
            bool shared = false;
            for (int j = 0; j < i; j++) {
                const adze_buffer *c = &out->buffers[j];
                shared |= c->offset == b->offset && c->first <= step && step <= c->last;
            }
            if (b->first <= step && step <= b->last && !shared)
                live += b->bytes;
        }
        if (live > out->lower_bound)
            out->lower_bound = live;
    }
    return true;
}
