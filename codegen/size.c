/* Sizes of an image: exact for weights, state and scratch; upper estimates for code and stack; and
 * whether it all fits the target. The estimates are sums over the operations of level 3, by size.def. */
#include "codegen/tree_internal.h"
#include "ir/schedule.h"

#include <mlir-c/BuiltinTypes.h>

#include <inttypes.h>
#include <string.h>

typedef struct size_row {
    const char *arch;
    unsigned pointer_bits;
    adze_fpu fpu;
    unsigned program, program_stack, kernel_stack;
    double load, loop, index, integer, wide, real, requantize, math, call, libm;
} size_row;

static const size_row size_rows[] = {
#define TARGET(...) {__VA_ARGS__},
#define MATH(op, bytes, group)
#define FAMILY(...)
#include "codegen/size.def"
#undef TARGET
#undef MATH
#undef FAMILY
};

static const struct {
    const char *name;
    double load, loop, index, integer, requantize, instruction, stack;
} families[] = {
#define TARGET(...)
#define MATH(op, bytes, group)
#define FAMILY(...) {__VA_ARGS__},
#include "codegen/size.def"
#undef TARGET
#undef MATH
#undef FAMILY
};

typedef struct math_row {
    const char *op;
    unsigned bytes;
    const char *group;
} math_row;

static const math_row math_rows[] = {
#define TARGET(...)
#define MATH(op, bytes, group) {op, bytes, group},
#define FAMILY(...)
#include "codegen/size.def"
#undef TARGET
#undef MATH
#undef FAMILY
};

static const size_row *row_of(const adze_target *target) {
    const size_row *row = size_rows;
    while (strcmp(row->arch, "any") &&
           (strcmp(row->arch, target->arch) || row->pointer_bits != target->pointer_bits ||
            row->fpu != target->fpu || !target->bare))
        row++;
    return row;
}

typedef struct size_count {
    const size_row *row;
    double bytes;
    bool math[ADZE_COUNT(math_rows)];
    int vectors; /* operations on vectors of the kernel at hand */
} size_count;

/* An instruction on vectors, beside one on floats: longer, and constants are made for it. */
#define VECTOR 1.9

/* The class of an arith operation: by its result, or by what it compares. */
static double arithmetic(const size_row *row, MlirOperation op) {
    bool compares = adze_is_op(op, "arith.cmpi") || adze_is_op(op, "arith.cmpf");
    MlirType type = mlirValueGetType(compares ? mlirOperationGetOperand(op, 0)
                                              : mlirOperationGetResult(op, 0));
    if (mlirTypeIsAVector(type))
        return VECTOR * row->real;
    if (mlirTypeIsAIndex(type))
        return row->index;
    if (mlirTypeIsAFloat(type))
        return mlirTypeIsAF64(type) ? 4 * row->real : row->real;
    return mlirTypeIsAInteger(type) && mlirIntegerTypeGetWidth(type) > 32 ? row->wide : row->integer;
}

/* A further load from the same array in the same block shares its address. */
#define REPEATED_LOAD 0.6
static bool seen_before(MlirOperation load) {
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirOperationGetBlock(load));
         !mlirOperationEqual(op, load); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "memref.load") &&
            mlirValueEqual(mlirOperationGetOperand(op, 0), mlirOperationGetOperand(load, 0)))
            return true;
    return false;
}

/* A requantization without ties takes this part of a whole one. */
#define UNTIED 0.4
enum { SPILLED_VECTORS = 90, VECTOR_STACK = 128, MANY_VECTORS = 40 };

static void count(MlirOperation op, void *user) {
    size_count *c = user;
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    bool vector = mlirOperationGetNumResults(op) && mlirTypeIsAVector(mlirValueGetType(mlirOperationGetResult(op, 0)));
    c->vectors += vector;
    for (size_t i = 0; i < ADZE_COUNT(math_rows) && !vector; i++)
        c->math[i] = c->math[i] || adze_is_op(op, math_rows[i].op);
    if (adze_is_op(op, "arith.constant"))
        return;
    if (name.length > 6 && memcmp(name.data, "arith.", 6) == 0)
        c->bytes += arithmetic(c->row, op);
    else if (name.length > 5 && memcmp(name.data, "math.", 5) == 0)
        c->bytes += vector ? VECTOR * c->row->real : adze_is_op(op, "math.fma") ? c->row->real : c->row->math;
    else if (adze_is_op(op, "adze.instruction") || adze_is_op(op, "vector.reduction"))
        c->bytes += 2 * c->row->real;
    else if (adze_is_op(op, "adze.active") || adze_is_op(op, "vector.broadcast"))
        c->bytes += c->row->real;
    else if (adze_is_op(op, "vector.load") || adze_is_op(op, "vector.store"))
        c->bytes += c->row->load;
    else if (adze_is_op(op, "memref.load"))
        c->bytes += c->row->load * (seen_before(op) ? REPEATED_LOAD : 1);
    else if (adze_is_op(op, "scf.for") || adze_is_op(op, "scf.while"))
        c->bytes += c->row->loop;
    else if (adze_is_op(op, "func.call"))
        c->bytes += c->row->call * (double)mlirOperationGetNumOperands(op);
    else if (adze_is_op(op, "adze.requantize"))
        c->bytes += c->row->requantize * (mlirAttributeIsNull(adze_get(op, "adze.untied")) ? 1 : UNTIED);
}

/* The kernel's bytes, and its stack beyond that of other kernels. */
static double count_kernel(tree *t, MlirOperation kernel, size_count *c) {
    const size_row *row = c->row;
    size_row own = *row;
    double stack = 0;
    adze_schedule s;
    MlirAttribute schedule = adze_get(kernel, "adze.schedule");
    bool known = !mlirAttributeIsNull(schedule) && adze_schedule_read(t->ctx, NULL, schedule, &s) && s.family;
    for (size_t i = 0; known && i < ADZE_COUNT(families); i++)
        if (!strcmp(families[i].name, s.family)) {
            own.load = families[i].load;
            own.loop = families[i].loop;
            own.index = families[i].index;
            own.integer = families[i].integer;
            own.requantize = families[i].requantize / UNTIED;
            own.real = families[i].instruction / 2;
            stack = families[i].stack;
        }
    c->row = &own;
    c->vectors = 0;
    adze_walk(kernel, count, c);
    c->row = row;
    if (c->vectors > MANY_VECTORS && stack == 0)
        stack = VECTOR_STACK;
    /* x, w, bias, y, multiplier, shift, work; whatever else the epilogue reads takes registers */
    bool reads_more = mlirBlockGetNumArguments(mlirRegionGetFirstBlock(mlirOperationGetRegion(kernel, 0))) > 7;
    return stack + (stack != 0 && stack != VECTOR_STACK && reads_more ? SPILLED_VECTORS : 0);
}

static unsigned math_bytes(const size_count *c) {
    unsigned total = 0;
    for (size_t i = 0; i < ADZE_COUNT(math_rows); i++) {
        if (!c->math[i])
            continue;
        bool largest = true;
        for (size_t j = 0; j < ADZE_COUNT(math_rows); j++)
            if (c->math[j] && j != i && strcmp(math_rows[i].group, math_rows[j].group) == 0)
                largest = largest && (math_rows[i].bytes > math_rows[j].bytes ||
                                      (math_rows[i].bytes == math_rows[j].bytes && i < j));
        total += largest ? math_rows[i].bytes : math_rows[i].bytes / 4;
    }
    return total;
}

/* Bytes of the pool, and of what an entry and a shared kernel add to a call. */
enum { POOL_CODE = 4096, SHARE_CODE = 256 };

bool tree_estimate(tree *t) {
    const size_row *row = row_of(t->target);
    size_count c = {.row = row};
    uint64_t locals = 0;
    t->weights = t->state = t->scratch = 0;
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        t->weights += m->weight_bytes;
        for (int r = 0; r < m->n_regions; r++) {
            if (r == ADZE_REGION_SCRATCH)
                t->scratch = m->regions[r].bytes > t->scratch ? m->regions[r].bytes : t->scratch;
            else
                t->state += m->regions[r].bytes;
        }
        for (int k = 0; k < m->n_kernels; k++) {
            if (m->kernels[k].runtime || m->kernels[k].same_as >= 0)
                continue;
            double stack = (double)m->kernels[k].local_bytes + count_kernel(t, m->kernels[k].op, &c);
            locals = stack > (double)locals ? (uint64_t)stack : locals;
        }
        for (int e = 0; e < m->n_entries; e++)
            adze_walk(m->entries[e].op, count, &c);
    }
    t->code_estimate = row->program + (uint64_t)(c.bytes + row->libm * math_bytes(&c) + 0.5);
    t->stack_estimate = row->kernel_stack + locals;
    bool has_pool = false;
    for (int i = 0; i < t->n; i++) { /* the pool's own code, once, and a stack for every thread */
        const adze_c_module *m = &t->modules[i];
        if (!adze_c_has_pool(m))
            continue;
        t->code_estimate += has_pool ? 0 : POOL_CODE;
        has_pool = true;
        for (int k = 0; k < m->n_kernels; k++)
            t->code_estimate += adze_c_shared(m, &m->kernels[k]) ? SHARE_CODE : 0;
        t->stack_estimate += (uint64_t)(m->threads - 1) * (row->kernel_stack + locals);
    }
    if (t->stack_estimate < row->program_stack)
        t->stack_estimate = row->program_stack;
    t->stack_reserved = t->target->stack_bytes > t->stack_estimate
                            ? 0
                            : (t->stack_estimate + 1023) / 1024 * 1024;
    uint64_t flash = t->weights + t->code_estimate;
    uint64_t ram = t->state + t->scratch + t->stack_estimate;
    if (t->options->max_flash && flash > t->options->max_flash)
        return adze_error(&t->ctx->diags, NULL,
                          "the image needs %" PRIu64 " bytes of flash (weights %" PRIu64
                          ", code about %" PRIu64 "), %" PRIu64 " more than --max-flash",
                          flash, t->weights, t->code_estimate, flash - t->options->max_flash);
    if (t->options->max_ram && ram > t->options->max_ram)
        return adze_error(&t->ctx->diags, NULL,
                          "the image needs %" PRIu64 " bytes of RAM (scratch %" PRIu64
                          ", state %" PRIu64 ", stack about %" PRIu64 "), %" PRIu64
                          " more than --max-ram",
                          ram, t->scratch, t->state, t->stack_estimate, ram - t->options->max_ram);
    return true;
}
