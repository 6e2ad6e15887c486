/* Entries: what goes in and out of a call, and what stays. See entries.h. */
#include "passes/entries.h"
#include "passes/table.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* An entry taken apart; entry_write puts it together again from what is left of the lists. */
typedef struct entry {
    adze_context *ctx;
    MlirOperation f, ret;
    MlirBlock body;
    int n_in, n_out, max_out;
    MlirValue *results;
    MlirAttribute *in_attrs, *out_attrs;
} entry;

static MlirAttribute empty_dict(adze_context *ctx) {
    return mlirDictionaryAttrGet(ctx->mlir, 0, NULL);
}

static MlirAttribute attr_at(entry *e, const char *list, int i) {
    MlirAttribute all = adze_get(e->f, list);
    return mlirAttributeIsNull(all) ? empty_dict(e->ctx) : mlirArrayAttrGetElement(all, i);
}

static entry entry_read(adze_context *ctx, MlirOperation f, int room) {
    entry e = {.ctx = ctx, .f = f};
    e.body = mlirRegionGetFirstBlock(mlirOperationGetRegion(f, 0));
    e.ret = mlirBlockGetTerminator(e.body);
    e.n_in = (int)mlirBlockGetNumArguments(e.body);
    e.n_out = (int)mlirOperationGetNumOperands(e.ret);
    e.max_out = e.n_out + room;
    e.results = ADZE_NEW_ARRAY(ctx->arena, MlirValue, (size_t)e.max_out + 1);
    e.out_attrs = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, (size_t)e.max_out + 1);
    e.in_attrs = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, (size_t)e.n_in + 1);
    for (int i = 0; i < e.n_in; i++)
        e.in_attrs[i] = attr_at(&e, "arg_attrs", i);
    for (int i = 0; i < e.n_out; i++) {
        e.results[i] = mlirOperationGetOperand(e.ret, i);
        e.out_attrs[i] = attr_at(&e, "res_attrs", i);
    }
    return e;
}

static void entry_write(entry *e) {
    adze_context *ctx = e->ctx;
    adze_builder b = adze_at_end(ctx, e->body);
    mlirOperationDestroy(e->ret);
    e->ret = adze_build(&b, "func.return", e->n_out, e->results, 0, NULL, 0, NULL, 0);
    MlirType *in = ADZE_NEW_ARRAY(ctx->arena, MlirType, (size_t)e->n_in + 1);
    MlirType *out = ADZE_NEW_ARRAY(ctx->arena, MlirType, (size_t)e->n_out + 1);
    for (int i = 0; i < e->n_in; i++)
        in[i] = mlirValueGetType(mlirBlockGetArgument(e->body, i));
    for (int i = 0; i < e->n_out; i++)
        out[i] = mlirValueGetType(e->results[i]);
    adze_set(e->f, "function_type",
             mlirTypeAttrGet(mlirFunctionTypeGet(ctx->mlir, e->n_in, in, e->n_out, out)));
    adze_set(e->f, "arg_attrs", mlirArrayAttrGet(ctx->mlir, e->n_in, e->in_attrs));
    adze_set(e->f, "res_attrs", mlirArrayAttrGet(ctx->mlir, e->n_out, e->out_attrs));
}

static const char *name_in(adze_context *ctx, MlirAttribute dict) {
    return adze_attr_str(ctx, mlirDictionaryAttrGetElementByName(
                                  dict, mlirStringRefCreateFromCString("adze.name")));
}

static int index_named(adze_context *ctx, int n, const MlirAttribute *attrs, const char *name) {
    for (int i = 0; i < n; i++) {
        const char *have = name_in(ctx, attrs[i]);
        if (have && !strcmp(have, name))
            return i;
    }
    return -1;
}

static bool is_entry(MlirOperation op) {
    return adze_is_op(op, "func.func") && !mlirAttributeIsNull(adze_get(op, "adze.entry"));
}

/* ---- taps ---- */

bool adze_add_tap(adze_context *ctx, MlirModule module, const char *node) {
    for (MlirOperation f = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(f); f = mlirOperationGetNextInBlock(f)) {
        if (!is_entry(f))
            continue;
        MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(f, 0));
        /* A node may have become several operations: the last one gives its output. */
        MlirOperation found = {NULL};
        for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
             op = mlirOperationGetNextInBlock(op))
            if (!strcmp(adze_node(ctx, op), node) && mlirOperationGetNumResults(op))
                found = op;
        if (mlirOperationIsNull(found))
            continue;
        adze_builder b = adze_before(ctx, mlirBlockGetTerminator(body));
        MlirValue x = adze_result(found, 0);
        adze_named attrs[] = {{"name", adze_str(ctx, node)}, {"adze.node", adze_str(ctx, node)}};
        adze_build(&b, "adze.tap", 1, &x, 0, NULL, 2, attrs, 0);
        return true;
    }
    return adze_error(&ctx->diags, node, "the model has no such node to tap"
                                         " — hint: adze inspect lists the nodes");
}

static void count_tap(MlirOperation op, void *user) { *(int *)user += adze_is_op(op, "adze.tap"); }

bool adze_taps_to_results(adze_context *ctx, MlirModule module) {
    for (MlirOperation f = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(f); f = mlirOperationGetNextInBlock(f)) {
        int n_taps = 0;
        if (!is_entry(f))
            continue;
        adze_walk(f, count_tap, &n_taps);
        if (!n_taps)
            continue;
        entry e = entry_read(ctx, f, n_taps);
        for (MlirOperation op = mlirBlockGetFirstOperation(e.body); !mlirOperationIsNull(op);) {
            MlirOperation next = mlirOperationGetNextInBlock(op);
            if (adze_is_op(op, "adze.tap")) {
                MlirNamedAttribute name = mlirNamedAttributeGet(
                    mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.name")),
                    adze_get(op, "name"));
                e.results[e.n_out] = mlirOperationGetOperand(op, 0);
                e.out_attrs[e.n_out++] = mlirDictionaryAttrGet(ctx->mlir, 1, &name);
                mlirOperationDestroy(op);
                n_taps--;
            }
            op = next;
        }
        if (n_taps)
            return adze_error(&ctx->diags, NULL, "a tap stands inside a branch or a loop, whose values "
                                                 "do not leave it");
        entry_write(&e);
    }
    return true;
}

bool adze_pass_taps(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    return adze_taps_to_results(ctx, module);
}

/* ---- states ---- */

static void drop(MlirAttribute *list, int *n, int i) {
    memmove(list + i, list + i + 1, (size_t)(--*n - i) * sizeof *list);
}

bool adze_make_state(adze_context *ctx, MlirModule module, const char *input, const char *output) {
    for (MlirOperation f = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(f); f = mlirOperationGetNextInBlock(f)) {
        if (!is_entry(f))
            continue;
        entry e = entry_read(ctx, f, 0);
        int in = index_named(ctx, e.n_in, e.in_attrs, input);
        int out = index_named(ctx, e.n_out, e.out_attrs, output);
        if (in < 0 || out < 0)
            continue;
        MlirValue arg = mlirBlockGetArgument(e.body, in), result = e.results[out];
        MlirType type = mlirValueGetType(arg);
        if (!mlirTypeEqual(type, mlirValueGetType(result)))
            return adze_error(&ctx->diags, NULL,
                              "input '%s' and output '%s' differ in type or shape: no state can hold both",
                              input, output);
        const char *name = input;
        for (int i = 1; !mlirOperationIsNull(adze_symbol(module, "adze.state", name)); i++)
            name = adze_arena_printf(ctx->arena, "%s_%d", input, i);
        adze_builder top = adze_before(ctx, f);
        adze_named state[] = {{"sym_name", adze_str(ctx, name)},
                              {"type", adze_type_attr(type)},
                              {"initial", adze_str(ctx, "")},
                              {"region", adze_str(ctx, "state")}};
        adze_build(&top, "adze.state", 0, NULL, 0, NULL, ADZE_COUNT(state), state, 0);
        adze_builder b = adze_before(ctx, mlirBlockGetFirstOperation(e.body));
        adze_named of[] = {{"state", adze_str(ctx, name)}, {"adze.node", adze_str(ctx, input)}};
        b.name = adze_c_name(ctx, input);
        MlirValue now = adze_build1(&b, "adze.state_read", 0, NULL, type, 2, of);
        mlirValueReplaceAllUsesOfWith(arg, now);
        if (mlirValueEqual(result, arg))
            result = now;
        b = adze_before(ctx, e.ret);
        adze_build(&b, "adze.state_write", 1, &result, 0, NULL, 2, of, 0);
        mlirBlockEraseArgument(e.body, (unsigned)in);
        drop(e.in_attrs, &e.n_in, in);
        int n = e.n_out;
        memmove(e.results + out, e.results + out + 1, (size_t)(n - 1 - out) * sizeof *e.results);
        for (int i = 0; i < n - 1; i++) /* a result that was the input itself */
            if (mlirValueEqual(e.results[i], arg))
                e.results[i] = now;
        drop(e.out_attrs, &e.n_out, out);
        entry_write(&e);
        return true;
    }
    return adze_error(&ctx->diags, NULL, "no entry has both an input '%s' and an output '%s'", input,
                      output);
}
