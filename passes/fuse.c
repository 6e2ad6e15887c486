/* The plan's fusion: which operations of a block become one kernel.
 *
 * Walked backwards. An operation joins the group of its users when all of them are in one group and
 * every one of them reads each of its elements at most once on the way to the root, so nothing is
 * computed twice and nothing between is stored:
 *
 *   user          may take in as operand
 *   pointwise     anything of the same shape
 *   move          anything, if it is the only use
 *   reduce        pointwise and moves, if it is the only use
 *   concat        anything, if it is the only use
 *
 * At most one contraction, window or reduction stands in a group (each part of a concat may have one). */
#include "passes/fuse.h"

#include "ir/window.h"

#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static const struct {
    const char *op;
    adze_fuse_class cls;
} classes[] = {
    {"adze.none", ADZE_FUSE_VALUE},          {"adze.constant", ADZE_FUSE_VALUE},
    {"adze.get_weight", ADZE_FUSE_VALUE},    {"adze.reshape", ADZE_FUSE_VALUE},
    {"adze.state_read", ADZE_FUSE_VALUE},    {"adze.state_write", ADZE_FUSE_VALUE},
    {"adze.tap", ADZE_FUSE_VALUE},           {"func.return", ADZE_FUSE_VALUE},
    {"scf.yield", ADZE_FUSE_VALUE},          {"scf.if", ADZE_FUSE_VALUE},
    {"tensor.extract", ADZE_FUSE_VALUE},
    {"adze.unary", ADZE_FUSE_POINTWISE},     {"adze.binary", ADZE_FUSE_POINTWISE},
    {"adze.where", ADZE_FUSE_POINTWISE},     {"adze.cast", ADZE_FUSE_POINTWISE},
    {"adze.bitcast", ADZE_FUSE_POINTWISE},   {"adze.quantize", ADZE_FUSE_POINTWISE},
    {"adze.dequantize", ADZE_FUSE_POINTWISE}, {"adze.trilu", ADZE_FUSE_OPAQUE},
    {"adze.transpose", ADZE_FUSE_MOVE},      {"adze.slice", ADZE_FUSE_MOVE},
    {"adze.expand", ADZE_FUSE_SPREAD},       {"adze.tile", ADZE_FUSE_SPREAD},
    {"adze.pad", ADZE_FUSE_MOVE},            {"adze.gather", ADZE_FUSE_SPREAD},
    {"adze.reduce", ADZE_FUSE_REDUCE},       {"adze.matmul", ADZE_FUSE_HEAVY},
    {"adze.einsum", ADZE_FUSE_HEAVY},        {"adze.conv", ADZE_FUSE_HEAVY},
    {"adze.conv_transpose", ADZE_FUSE_HEAVY}, {"adze.pool", ADZE_FUSE_HEAVY},
    {"tensor.concat", ADZE_FUSE_GATHERING},
};

adze_fuse_class adze_fuse_class_of(adze_context *ctx, MlirOperation op) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    for (size_t i = 0; i < ADZE_COUNT(classes); i++) {
        if (strlen(classes[i].op) != name.length || memcmp(classes[i].op, name.data, name.length))
            continue;
        if (classes[i].cls == ADZE_FUSE_REDUCE) { /* reads its operand twice */
            const char *kind = adze_get_str(ctx, op, "kind");
            if (kind && !strcmp(kind, "log_sum_exp"))
                return ADZE_FUSE_OPAQUE;
        }
        if (adze_is_op(op, "adze.bitcast")) { /* the same storage under another name: a view */
            adze_shape x, y;
            if (adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &x) &&
                adze_value_shape(ctx, adze_result(op, 0), &y) && x.dtype == y.dtype)
                return ADZE_FUSE_VALUE;
        }
        if (adze_is_op(op, "adze.pad")) { /* reflected and repeated elements are read twice */
            const char *mode = adze_get_str(ctx, op, "mode");
            return mode && !strcmp(mode, "constant") ? ADZE_FUSE_MOVE : ADZE_FUSE_SPREAD;
        }
        if (adze_is_op(op, "adze.pool") &&
            !mlirTypeEqual(mlirValueGetType(adze_result(op, 1)), ctx->none_type))
            return ADZE_FUSE_OPAQUE; /* indices as well: two results */
        return classes[i].cls;
    }
    return ADZE_FUSE_OPAQUE;
}

static bool is_heavy(adze_fuse_class c) {
    return c == ADZE_FUSE_HEAVY || c == ADZE_FUSE_REDUCE;
}

static bool can_join(adze_fuse_class c) {
    return is_heavy(c) || c == ADZE_FUSE_POINTWISE || c == ADZE_FUSE_MOVE || c == ADZE_FUSE_SPREAD;
}

static bool same_extents(adze_context *ctx, MlirValue a, MlirValue b) {
    adze_shape x, y;
    if (!adze_value_shape(ctx, a, &x) || !adze_value_shape(ctx, b, &y) || x.rank != y.rank)
        return false;
    for (int d = 0; d < x.rank; d++)
        if (x.dims[d] != y.dims[d])
            return false;
    return true;
}

static int index_of(const adze_grouping *g, MlirOperation op) {
    for (int i = g->n_ops - 1; i >= 0; i--)
        if (mlirOperationEqual(g->ops[i], op))
            return i;
    return -1;
}

/* May `user` read `value`, a result of an operation of class `c`, element by element? */
static bool may_read(adze_context *ctx, MlirOperation user, MlirValue value, adze_fuse_class c,
                     bool only_use) {
    switch (adze_fuse_class_of(ctx, user)) {
    case ADZE_FUSE_POINTWISE:
        return same_extents(ctx, value, adze_result(user, 0));
    case ADZE_FUSE_MOVE:
        return only_use;
    case ADZE_FUSE_REDUCE:
        return only_use && !is_heavy(c) && c != ADZE_FUSE_SPREAD;
    case ADZE_FUSE_GATHERING:
        return only_use;
    default:
        return false;
    }
}

/* Blocks of a convolution channels last are computed as they lie; to put them elsewhere is cheaper in a kernel
 * of its own than element by element. */
static bool comes_in_blocks(MlirOperation op) {
    return adze_is_op(op, "adze.conv") &&
           adze_window_axes_of(op, (int)mlirShapedTypeGetRank(mlirValueGetType(adze_result(op, 0)))).last;
}

/* Is everything in the group that reads `op`, or what reads it, elementwise? */
static bool read_in_place(adze_context *ctx, const adze_grouping *g, MlirOperation op, int group) {
    for (MlirOpOperand use = mlirValueGetFirstUse(adze_result(op, 0)); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation user = mlirOpOperandGetOwner(use);
        int at = index_of(g, user);
        if (at >= 0 && g->group_of[at] == group &&
            (adze_fuse_class_of(ctx, user) != ADZE_FUSE_POINTWISE || !read_in_place(ctx, g, user, group)))
            return false;
    }
    return true;
}

/* The one group that takes `op` in, or -1 and why none does. */
static int group_to_join(adze_context *ctx, const adze_grouping *g, MlirOperation op, const char **why) {
    adze_fuse_class c = adze_fuse_class_of(ctx, op);
    *why = "it needs whole rows, or gives several results";
    if (!can_join(c))
        return -1;
    int target = -1, uses = 0;
    for (intptr_t r = 1; r < mlirOperationGetNumResults(op); r++)
        if (!mlirOpOperandIsNull(mlirValueGetFirstUse(adze_result(op, (int)r))))
            return -1;
    MlirValue value = adze_result(op, 0);
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use))
        uses++;
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation user = mlirOpOperandGetOwner(use);
        int at = index_of(g, user);
        const char *by = adze_node(ctx, user);
        if (at < 0 || g->group_of[at] < 0) {
            *why = adze_is_op(user, "func.return") ? "its result leaves the model" : "what follows is a view of its result";
            return -1;
        }
        if (target >= 0 && g->group_of[at] != target) {
            *why = "several kernels read its result";
            return -1;
        }
        if (!may_read(ctx, user, value, c, uses == 1)) {
            *why = adze_arena_printf(ctx->arena, "%s reads its elements %s", *by ? by : "what follows",
                                     uses > 1 ? "elsewhere than they are computed, and others read them too"
                                              : "many times, or in rows");
            return -1;
        }
        target = g->group_of[at];
    }
    if (target >= 0 && comes_in_blocks(op) && !read_in_place(ctx, g, op, target)) {
        *why = "blocks of it are cheaper to move by a kernel of its own";
        return -1;
    }
    if (target >= 0) {
        /* One kernel should stay readable, and reading through it shallow. */
        const adze_group *group = &g->groups[target];
        int operands = (int)mlirOperationGetNumOperands(op);
        for (int i = 0; i < group->n; i++)
            operands += (int)mlirOperationGetNumOperands(group->ops[i]);
        bool concat = adze_is_op(group->ops[0], "tensor.concat");
        *why = "the kernel would hold too many operations";
        if (group->n >= ADZE_GROUP_OPS || (!concat && operands > ADZE_GROUP_OPERANDS))
            return -1;
    }
    if (target >= 0 && is_heavy(c)) {
        const adze_group *group = &g->groups[target];
        bool concat = adze_is_op(group->ops[0], "tensor.concat");
        *why = "the kernel behind it has a contraction, window or reduction already";
        if (group->heavy && !concat)
            return -1;
    }
    return target;
}

void adze_group_add(adze_arena *arena, adze_group *group, MlirOperation op, bool heavy) {
    if (group->n == group->capacity) {
        group->capacity = group->capacity ? 2 * group->capacity : 4;
        MlirOperation *grown = ADZE_NEW_ARRAY(arena, MlirOperation, (size_t)group->capacity);
        if (group->n)
            memcpy(grown, group->ops, (size_t)group->n * sizeof *grown);
        group->ops = grown;
    }
    group->ops[group->n++] = op;
    group->heavy += heavy;
}

void adze_fuse_block(adze_context *ctx, MlirBlock block, adze_grouping *out) {
    *out = (adze_grouping){0};
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        out->n_ops++;
    out->ops = ADZE_NEW_ARRAY(ctx->arena, MlirOperation, (size_t)out->n_ops);
    out->group_of = ADZE_NEW_ARRAY(ctx->arena, int, (size_t)out->n_ops);
    out->groups = ADZE_NEW_ARRAY(ctx->arena, adze_group, (size_t)out->n_ops);
    int n = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        out->ops[n++] = op;
    for (int i = n - 1; i >= 0; i--) {
        MlirOperation op = out->ops[i];
        adze_fuse_class c = adze_fuse_class_of(ctx, op);
        out->group_of[i] = -1;
        if (c == ADZE_FUSE_VALUE)
            continue;
        const char *why;
        int target = group_to_join(ctx, out, op, &why);
        if (target < 0)
            adze_set(op, "adze.ends", adze_str(ctx, why)); /* a root: for --explain */
        out->group_of[i] = target >= 0 ? target : out->n++;
        /* collected last first; turned round below */
        adze_group_add(ctx->arena, &out->groups[out->group_of[i]], op, is_heavy(c));
    }
    for (int i = 0; i < out->n; i++) {
        adze_group *group = &out->groups[i];
        for (int a = 0, b = group->n - 1; a < b; a++, b--) {
            MlirOperation t = group->ops[a];
            group->ops[a] = group->ops[b];
            group->ops[b] = t;
        }
    }
}

const adze_group *adze_group_rooted(const adze_grouping *g, MlirOperation root) {
    for (int i = 0; i < g->n; i++)
        if (mlirOperationEqual(g->groups[i].ops[g->groups[i].n - 1], root))
            return &g->groups[i];
    return NULL;
}
