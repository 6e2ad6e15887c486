/* Sizes of an image: exact for weights, state and scratch; upper estimates for code and stack; and
 * whether it all fits the target. */
#include "codegen/tree_internal.h"

#include <inttypes.h>

/* Bytes of machine code of one operation of level 3, by family: generous averages over the targets'
 * instruction sets, so that the sum is an upper estimate. */
enum {
    CODE_OPERATION = 10,
    CODE_MEMORY = 10,
    CODE_CALL = 24,
    CODE_LOOP = 40,
    CODE_KERNEL = 96,
    CODE_ENTRY = 400,
    CODE_PROGRAM = 9000, /* start-up, self-test, printing */
    CODE_MATH = 1800,    /* one function of libm with its tables */
    STACK_PROGRAM = 1024,
    STACK_KERNEL = 512,
};

typedef struct code_count {
    uint64_t bytes;
    bool math;
} code_count;

static void count(MlirOperation op, void *user) {
    code_count *c = user;
    if (adze_is_op(op, "arith.constant"))
        return;
    if (adze_is_op(op, "scf.for") || adze_is_op(op, "scf.while"))
        c->bytes += CODE_LOOP;
    else if (adze_is_op(op, "func.call"))
        c->bytes += CODE_CALL;
    else if (adze_is_op(op, "memref.load") || adze_is_op(op, "memref.store"))
        c->bytes += CODE_MEMORY;
    else
        c->bytes += CODE_OPERATION;
}

/* How many functions of libm the modules call: rows of emit_ops.def with one. */
static const char *const math_ops[] = {
    "math.exp",  "math.log",   "math.tanh", "math.sin",  "math.cos",   "math.erf",
    "math.powf", "math.expm1", "math.log1p", "math.atan", "math.atan2", "math.sinh",
    "math.cosh", "math.tan",   "math.asin", "math.acos", "math.asinh", "math.acosh",
    "math.atanh", "arith.remf",
};

typedef struct math_seen {
    bool used[ADZE_COUNT(math_ops)];
} math_seen;

static void find_math(MlirOperation op, void *user) {
    math_seen *seen = user;
    for (size_t i = 0; i < ADZE_COUNT(math_ops); i++)
        seen->used[i] = seen->used[i] || adze_is_op(op, math_ops[i]);
}

bool tree_estimate(tree *t) {
    uint64_t stack = 0;
    math_seen seen = {{false}};
    t->code_estimate = CODE_PROGRAM;
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
            const adze_c_kernel *kernel = &m->kernels[k];
            code_count c = {0};
            adze_walk(kernel->op, count, &c);
            t->code_estimate += CODE_KERNEL + c.bytes;
            uint64_t need = kernel->local_bytes + STACK_KERNEL;
            stack = need > stack ? need : stack;
        }
        for (int e = 0; e < m->n_entries; e++) {
            code_count c = {0};
            adze_walk(m->entries[e].op, count, &c);
            t->code_estimate += CODE_ENTRY + c.bytes;
        }
        adze_walk(mlirModuleGetOperation(m->module), find_math, &seen);
    }
    for (size_t i = 0; i < ADZE_COUNT(math_ops); i++)
        t->code_estimate += seen.used[i] ? CODE_MATH : 0;
    t->stack_estimate = stack + STACK_PROGRAM;
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
