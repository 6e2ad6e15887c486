/* See explain.h. */
#include "driver/explain.h"

#include "ir/plan.h"

#include <mlir-c/BuiltinAttributes.h>

#include <string.h>

enum { MOST_INSTRUCTIONS = 12 };

typedef struct counts {
    adze_context *ctx;
    size_t loops, runtime_calls, vector_ops;
    int n_instructions; /* the target's own, by their rows' names */
    const char *instructions[MOST_INSTRUCTIONS];
} counts;

static void count_instruction(counts *n, const char *name) {
    for (int i = 0; i < n->n_instructions; i++)
        if (!strcmp(n->instructions[i], name))
            return;
    if (n->n_instructions < MOST_INSTRUCTIONS)
        n->instructions[n->n_instructions++] = name;
}

static void count_op(MlirOperation op, void *user) {
    counts *n = user;
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    n->loops += adze_is_op(op, "scf.for") || adze_is_op(op, "scf.while");
    n->runtime_calls += adze_is_op(op, "func.call");
    n->vector_ops += name.length > 7 && !strncmp(name.data, "vector.", 7);
    if (adze_is_op(op, "adze.instruction"))
        count_instruction(n, adze_get_str(n->ctx, op, "name"));
}

static void append_attr(MlirStringRef part, void *user) {
    adze_text_append(user, part.data, part.length);
}

static void explain_kernel(adze_context *ctx, MlirOperation kernel, adze_text *out) {
    MlirAttribute nodes = adze_get(kernel, "adze.nodes"),
                  schedule = adze_get(kernel, "adze.schedule");
    adze_text_printf(out, "  %s\n", adze_get_str(ctx, kernel, "sym_name"));
    if (!mlirAttributeIsNull(nodes) && mlirAttributeIsAArray(nodes)) {
        intptr_t n = mlirArrayAttrGetNumElements(nodes);
        adze_text_puts(out, n > 1 ? "    fuses    " : "    from     ");
        for (intptr_t i = 0; i < n; i++)
            adze_text_printf(out, "%s%s", i ? ", " : "",
                             adze_attr_str(ctx, mlirArrayAttrGetElement(nodes, i)));
        adze_text_puts(out, "\n");
    }
    if (!mlirAttributeIsNull(schedule)) {
        adze_text_puts(out, "    schedule ");
        mlirAttributePrint(schedule, append_attr, out);
        adze_text_puts(out, "\n");
    }
    if (!mlirAttributeIsNull(adze_get(kernel, "adze.parallel")))
        adze_text_printf(out, "    threads  share up to %lld items\n",
                         (long long)adze_get_i64(kernel, "adze.parallel"));
    const char *fallback = adze_get_str(ctx, kernel, "adze.fallback"), *ends = adze_get_str(ctx, kernel, "adze.ends");
    if (fallback)
        adze_text_printf(out, "    fallback %s\n", fallback);
    if (ends)
        adze_text_printf(out, "    ends     %s\n", ends);
    counts n = {.ctx = ctx};
    adze_walk(kernel, count_op, &n);
    adze_text_printf(out, "    %zu loops%s%s", n.loops, n.runtime_calls ? ", calls the runtime" : "",
                     n.vector_ops ? ", vector instructions" : n.n_instructions ? "" : ", scalar C");
    for (int i = 0; i < n.n_instructions; i++)
        adze_text_printf(out, ", %s", n.instructions[i]);
    adze_text_puts(out, "\n");
    const char *why = adze_get_str(ctx, kernel, "adze.scalar");
    if (why)
        adze_text_printf(out, "    scalar   %s: %s\n", n.vector_ops ? "one of the loops" : "all of it", why);
}

void adze_explain(adze_context *ctx, const adze_target *target, const adze_job_model *model,
                  adze_text *out) {
    adze_text_printf(out, "%s on %s, kernels in order:\n", model->name, target->name);
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(model->module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "func.func") && !mlirAttributeIsNull(adze_get(op, "adze.kernel")))
            explain_kernel(ctx, op, out);
    adze_memory_plan plan;
    size_t before = ctx->diags.count;
    if (!adze_memory_plan_read(ctx, model->module, NULL, &plan)) {
        ctx->diags.count = before;
        return;
    }
    adze_text_printf(out, "scratch: %lld bytes, at least %lld are live at once\n",
                     (long long)plan.scratch_bytes, (long long)plan.lower_bound);
    for (int i = 0; i < plan.n_buffers; i++)
        adze_text_printf(out, "  %-32s at %8lld, %8lld bytes, steps %d to %d\n",
                         plan.buffers[i].name, (long long)plan.buffers[i].offset,
                         (long long)plan.buffers[i].bytes, plan.buffers[i].first,
                         plan.buffers[i].last);
}
