/* Writes and reads the plan. See plan.h. */
#include "ir/window.h"
#include "passes/plan.h"
#include "passes/schedule.h"
#include "passes/table.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static MlirStringRef ref(const char *s) { return mlirStringRefCreateFromCString(s); }

/* ---- writing ---- */

typedef struct planning {
    adze_context *ctx;
    const adze_target *target;
    MlirNamedAttribute *groups;
    int n, capacity;
} planning;

/* The operation a kernel is named after: its contraction, window or reduction, or else its root. */
MlirOperation adze_group_anchor(adze_context *ctx, const adze_group *group) {
    for (int i = 0; i < group->n; i++) {
        adze_fuse_class c = adze_fuse_class_of(ctx, group->ops[i]);
        if (c == ADZE_FUSE_HEAVY || c == ADZE_FUSE_REDUCE)
            return group->ops[i];
    }
    return group->ops[group->n - 1];
}

static const char *group_name(planning *p, const adze_group *group) {
    MlirOperation anchor = adze_group_anchor(p->ctx, group);
    MlirStringRef full = mlirIdentifierStr(mlirOperationGetName(anchor));
    const char *dot = memchr(full.data, '.', full.length);
    size_t skip = dot ? (size_t)(dot - full.data) + 1 : 0;
    const char *kind =
        adze_is_op(anchor, "adze.unary") || adze_is_op(anchor, "adze.binary")
            ? adze_get_str(p->ctx, anchor, "kind")
            : adze_arena_strndup(p->ctx->arena, full.data + skip, full.length - skip);
    return adze_arena_printf(p->ctx->arena, "k%02d_%s", p->n, kind);
}

MlirAttribute adze_group_nodes(adze_context *ctx, const adze_group *group) {
    const char **names = ADZE_NEW_ARRAY(ctx->arena, const char *, (size_t)group->n);
    int n = 0;
    for (int i = 0; i < group->n; i++) {
        const char *name = adze_node(ctx, group->ops[i]);
        bool known = !*name;
        for (int j = 0; j < n && !known; j++)
            known = !strcmp(names[j], name);
        if (!known)
            names[n++] = name;
    }
    return adze_strs(ctx, n, names);
}

static void add_group(planning *p, const adze_group *group) {
    adze_context *ctx = p->ctx;
    const char *name = group_name(p, group);
    for (int i = 0; i < group->n; i++)
        adze_set(group->ops[i], "adze.group", adze_str(ctx, name));
    MlirNamedAttribute entry[] = {
        mlirNamedAttributeGet(mlirIdentifierGet(ctx->mlir, ref("nodes")), adze_group_nodes(ctx, group)),
        mlirNamedAttributeGet(mlirIdentifierGet(ctx->mlir, ref("schedule")),
                              adze_schedule_default(ctx, p->target, group))};
    if (p->n == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 64;
        MlirNamedAttribute *grown =
            ADZE_NEW_ARRAY(ctx->arena, MlirNamedAttribute, (size_t)p->capacity);
        if (p->n)
            memcpy(grown, p->groups, (size_t)p->n * sizeof *grown);
        p->groups = grown;
    }
    p->groups[p->n++] = mlirNamedAttributeGet(mlirIdentifierGet(ctx->mlir, ref(name)),
                                              mlirDictionaryAttrGet(ctx->mlir, 2, entry));
}

static void plan_block(planning *p, MlirBlock block) {
    adze_grouping grouping;
    adze_fuse_block(p->ctx, block, &grouping);
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        const adze_group *group = adze_group_rooted(&grouping, op);
        if (group)
            add_group(p, group);
        for (intptr_t r = 0; r < mlirOperationGetNumRegions(op); r++)
            for (MlirBlock inner = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r));
                 !mlirBlockIsNull(inner); inner = mlirBlockGetNextInRegion(inner))
                plan_block(p, inner);
    }
}

bool adze_pass_plan(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    planning p = {.ctx = ctx, .target = options->target};
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "func.func"))
            plan_block(&p, mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0)));
    adze_set(mlirModuleGetOperation(module), "adze.plan",
             mlirDictionaryAttrGet(ctx->mlir, p.n, p.groups));
    return true;
}

/* ---- reading ---- */

MlirAttribute adze_plan_schedule(MlirModule module, const char *group) {
    MlirAttribute plan = adze_get(mlirModuleGetOperation(module), "adze.plan");
    if (mlirAttributeIsNull(plan) || !mlirAttributeIsADictionary(plan))
        return mlirAttributeGetNull();
    MlirAttribute entry = mlirDictionaryAttrGetElementByName(plan, ref(group));
    if (mlirAttributeIsNull(entry) || !mlirAttributeIsADictionary(entry))
        return mlirAttributeGetNull();
    return mlirDictionaryAttrGetElementByName(entry, ref("schedule"));
}

/* Is every use of an inner value inside the group? */
static bool closed(adze_context *ctx, MlirOperation op) {
    MlirAttribute name = adze_get(op, "adze.group");
    for (intptr_t r = 0; r < mlirOperationGetNumResults(op); r++)
        for (MlirOpOperand use = mlirValueGetFirstUse(adze_result(op, (int)r));
             !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use))
            if (!mlirAttributeEqual(adze_get(mlirOpOperandGetOwner(use), "adze.group"), name))
                return adze_error(&ctx->diags, adze_node(ctx, op),
                                  "the plan's group '%s' hides its value, which '%s' reads",
                                  adze_attr_str(ctx, name),
                                  adze_node(ctx, mlirOpOperandGetOwner(use)));
    return true;
}

bool adze_plan_read(adze_context *ctx, MlirBlock block, adze_grouping *out) {
    *out = (adze_grouping){0};
    int n = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        n++;
    out->groups = ADZE_NEW_ARRAY(ctx->arena, adze_group, (size_t)n + 1);
    MlirAttribute *names = ADZE_NEW_ARRAY(ctx->arena, MlirAttribute, (size_t)n + 1);
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        adze_fuse_class c = adze_fuse_class_of(ctx, op);
        if (c == ADZE_FUSE_VALUE)
            continue;
        MlirAttribute name = adze_get(op, "adze.group");
        if (mlirAttributeIsNull(name) || !mlirAttributeIsAString(name))
            return adze_error(&ctx->diags, adze_node(ctx, op), "the plan gives it no group"
                                                               " — hint: adze.group = \"NAME\"");
        int g = 0;
        while (g < out->n && !mlirAttributeEqual(names[g], name))
            g++;
        if (g == out->n)
            names[out->n++] = name;
        adze_group_add(ctx->arena, &out->groups[g], op,
                       c == ADZE_FUSE_HEAVY || c == ADZE_FUSE_REDUCE);
    }
    for (int g = 0; g < out->n; g++) {
        adze_group *group = &out->groups[g];
        if (group->n > ADZE_GROUP_OPS)
            return adze_error(&ctx->diags, adze_node(ctx, group->ops[0]),
                              "the plan's group '%s' has %d operations, more than %d",
                              adze_attr_str(ctx, names[g]), group->n, ADZE_GROUP_OPS);
        for (int i = 0; i < group->n - 1; i++) {
            adze_fuse_class c = adze_fuse_class_of(ctx, group->ops[i]);
            if (c == ADZE_FUSE_OPAQUE || c == ADZE_FUSE_GATHERING)
                return adze_error(&ctx->diags, adze_node(ctx, group->ops[i]),
                                  "the plan's group '%s' needs it element by element, which it cannot "
                                  "give — hint: give it a group of its own",
                                  adze_attr_str(ctx, names[g]));
            if (!closed(ctx, group->ops[i]))
                return false;
        }
    }
    return true;
}
