/* Level 1: decides in which order the values around windows keep their axes (decision 8).
 *
 *   x ─ conv ─ relu ─ pool ─ y    becomes    x ─ transpose ─ conv ─ relu ─ pool ─ transpose ─ y
 *
 * Every window (conv, conv_transpose, pool) works channels last. From the windows, orders of axes spread
 * through the operations that can work in several (axes.c): these form the regions. Which of them then do
 * work in their order is the cheapest cut between the windows and what must stay as the model has it:
 * crossing it costs the bytes that a transpose moves. A transpose of the model that is in a region costs its
 * own bytes where it stays, and nothing where it becomes a way of reading.
 *
 *   collect     a node for each operation that has a row, spread from the windows
 *   choose      the cut
 *   rewrite     attributes and types; transposes (or views) where values cross; weights turned round here
 */
#include "passes/layout.h"
#include "passes/mincut.h"
#include "passes/simplify.h"
#include "passes/table.h"

#include "ir/window.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* ---- nodes ---- */

static adze_layout_node *node_of(const adze_layout *l, MlirOperation op) {
    if (mlirOperationIsNull(op))
        return NULL;
    return (adze_layout_node *)(uintptr_t)adze_map_get(&l->nodes, (MlirValue){.ptr = op.ptr}).ptr;
}

static bool is_constant(MlirValue value) {
    MlirOperation op = adze_defining(value);
    return !mlirOperationIsNull(op) &&
           (adze_is_op(op, "adze.get_weight") || adze_is_op(op, "adze.constant"));
}

static bool is_window(MlirOperation op) {
    return adze_is_op(op, "adze.conv") || adze_is_op(op, "adze.conv_transpose") ||
           adze_is_op(op, "adze.pool");
}

static void add_node(MlirOperation op, void *user) {
    adze_layout *l = user;
    const adze_axes_row *row = adze_axes_row_of(op);
    adze_axes_case c = {.ctx = l->ctx, .op = op};
    if (!row || !adze_value_shape(l->ctx, mlirOperationGetOperand(op, 0), &c.x) ||
        !adze_value_shape(l->ctx, adze_result(op, 0), &c.y) || (row->fits && !row->fits(&c)))
        return;
    adze_layout_node *node = ADZE_NEW(l->ctx->arena, adze_layout_node);
    *node = (adze_layout_node){.c = c, .row = row, .next = l->list};
    l->list = node;
    adze_map_set(&l->nodes, (MlirValue){.ptr = op.ptr}, (MlirValue){.ptr = node});
}

/* Is operand `i` one that has the node's axes (all of them, or with `fewer` only some)? */
static bool has_axes(const adze_layout *l, const adze_layout_node *node, int i, bool *fewer) {
    adze_shape s;
    if (!(i < 32 ? node->row->operands >> i & 1 : node->row->operands == ~0u))
        return false;
    MlirValue value = mlirOperationGetOperand(node->c.op, i);
    if (!adze_value_shape(l->ctx, value, &s))
        return false;
    int rank = node->row->derive ? node->c.x.rank : node->c.y.rank;
    *fewer = s.rank < rank;
    return s.rank <= rank;
}

/* The order in which a chosen node wants operand `i`; the model's when the node does not say. */
static adze_axes wanted(const adze_layout *l, const adze_layout_node *node, int i, int rank) {
    bool fewer;
    if (i == 1 && is_window(node->c.op)) { /* the weight, as ir/window.h has it */
        adze_window_axes from = adze_window_axes_of(node->c.op, rank);
        adze_axes w = {.rank = rank};
        bool last = from.last; /* rewritten already: only the transposed one's axes differ */
        bool transposed = adze_is_op(node->c.op, "adze.conv_transpose");
        for (int k = 0; k + 2 < rank; k++)
            w.at[k] = k + 2;
        w.at[rank - 2] = last ? !transposed : from.w_in;
        w.at[rank - 1] = last ? transposed : from.w_out;
        return w;
    }
    if (has_axes(l, node, i, &fewer) && !fewer)
        return node->c.in;
    return adze_axes_plain(rank);
}

static bool result_has_axes(const adze_layout_node *node, int r) {
    return r == 0 || node->row->all_results;
}

/* ---- spreading ---- */

static void spread_value(adze_layout *l, MlirValue value, const adze_axes *axes);

/* Gives a node its orders, once: from operand `i`, or (i < 0) from its result. */
static void give(adze_layout *l, MlirOperation op, int i, const adze_axes *axes) {
    adze_layout_node *node = node_of(l, op);
    bool fewer;
    if (!node || node->in_region || (i >= 0 && (!has_axes(l, node, i, &fewer) || fewer)))
        return;
    node->c.in = node->c.out = *axes;
    if (axes->rank != (i < 0 || !node->row->derive ? node->c.y.rank : node->c.x.rank))
        return;
    if (node->row->derive && !node->row->derive(&node->c, i < 0)) {
        node->c.in = *axes;
        if (i != 0 || !adze_layout_flattens(l, node))
            return;
        node->c.out = adze_axes_plain(node->c.y.rank);
    }
    node->in_region = true;
    if (l->n_queue == l->max_queue) {
        l->max_queue = l->max_queue ? 2 * l->max_queue : 64;
        adze_layout_node **grown =
            ADZE_NEW_ARRAY(l->ctx->arena, adze_layout_node *, (size_t)l->max_queue);
        if (l->n_queue)
            memcpy(grown, l->queue, (size_t)l->n_queue * sizeof *grown);
        l->queue = grown;
    }
    l->queue[l->n_queue++] = node;
}

/* To the operation that makes a value, and to those that read it. */
static void spread_value(adze_layout *l, MlirValue value, const adze_axes *axes) {
    if (is_constant(value))
        return;
    MlirOperation op = adze_defining(value);
    adze_layout_node *maker = node_of(l, op);
    if (maker && mlirValueEqual(value, adze_result(op, 0)))
        give(l, op, -1, axes);
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use))
        give(l, mlirOpOperandGetOwner(use), (int)mlirOpOperandGetOperandNumber(use), axes);
}

/* Breadth first, so that a node takes the order of the nearest window. */
static void spread(adze_layout *l) {
    for (adze_layout_node *node = l->list; node; node = node->next)
        if (is_window(node->c.op)) {
            adze_axes last = adze_axes_channels_last(node->c.x.rank);
            give(l, node->c.op, 0, &last);
        }
    for (int q = 0; q < l->n_queue; q++) {
        adze_layout_node *node = l->queue[q];
        bool fewer;
        for (int i = 0; i < (int)mlirOperationGetNumOperands(node->c.op); i++)
            if (has_axes(l, node, i, &fewer) && !fewer)
                spread_value(l, mlirOperationGetOperand(node->c.op, i), &node->c.in);
        if (node->flattened)
            continue;
        for (int r = 0; r < (int)mlirOperationGetNumResults(node->c.op); r++)
            if (result_has_axes(node, r))
                spread_value(l, adze_result(node->c.op, r), &node->c.out);
    }
}

/* ---- choosing ---- */

static int64_t bytes_of(const adze_shape *s) {
    int64_t bits = s->dtype == ADZE_NO_DTYPE ? 8 : adze_dtype_get(s->dtype)->bits;
    for (int d = 0; d < s->rank; d++)
        if (s->dims[d] >= 0 && __builtin_mul_overflow(bits, s->dims[d], &bits))
            return INT32_MAX;
    return bits / 8 + 1;
}

/* What it costs when the maker of `value` and its readers do not keep it in one order. */
static void cost_of_value(adze_layout *l, adze_cut *cut, MlirValue value, adze_layout_node *maker,
                          int result) {
    adze_shape s;
    if (is_constant(value) || !adze_value_shape(l->ctx, value, &s) || s.rank < 2)
        return;
    if (maker && (!maker->in_region || !result_has_axes(maker, result)))
        maker = NULL;
    const int64_t bytes = bytes_of(&s);
    const adze_axes plain = adze_axes_plain(s.rank), have = maker ? maker->c.out : plain;
    const int from = maker ? maker->number : ADZE_CUT_SINK;
    const bool have_moves = adze_axes_move(&plain, &have, s.dims);
    /* one copy for all that read it in the model's order, one for all that read it in the maker's */
    int to_plain = -1, to_have = -1;
    struct {
        adze_axes axes;
        int node;
    } other[4]; /* and, from the model's order, one for each other order */
    int n_other = 0;
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        adze_layout_node *reader = node_of(l, mlirOpOperandGetOwner(use));
        if (reader && !reader->in_region)
            reader = NULL;
        int to = reader ? reader->number : ADZE_CUT_SINK;
        adze_axes want =
            reader ? wanted(l, reader, (int)mlirOpOperandGetOperandNumber(use), s.rank) : plain;
        bool want_moves = adze_axes_move(&plain, &want, s.dims);
        if (have_moves) { /* read in the model's order (by those on that side) though not made in it */
            if (to_plain < 0) {
                to_plain = adze_cut_node(cut);
                adze_cut_edge(cut, from, to_plain, bytes);
            }
            if (want_moves || !reader)
                adze_cut_edge(cut, to_plain, to, ADZE_CUT_NEVER);
            else /* on either side it reads it in the model's order */
                adze_cut_edge(cut, to_plain, ADZE_CUT_SINK, ADZE_CUT_NEVER);
        }
        if (!want_moves)
            continue;
        if (have_moves && !adze_axes_move(&have, &want, s.dims)) {
            if (to_have < 0) {
                to_have = adze_cut_node(cut);
                adze_cut_edge(cut, to_have, from, bytes);
            }
            adze_cut_edge(cut, to, to_have, ADZE_CUT_NEVER);
            continue;
        }
        /* in an order of its own: a copy whatever the maker does */
        int k = 0;
        while (k < n_other && !adze_axes_same(&other[k].axes, &want))
            k++;
        if (k == n_other && n_other < (int)ADZE_COUNT(other)) {
            other[n_other].axes = want;
            other[n_other].node = adze_cut_node(cut);
            adze_cut_edge(cut, other[n_other++].node, ADZE_CUT_SINK, bytes);
        }
        if (k < n_other)
            adze_cut_edge(cut, to, other[k].node, ADZE_CUT_NEVER);
    }
}

static void cost_of_node(adze_layout *l, adze_cut *cut, adze_layout_node *node) {
    MlirOperation op = node->c.op;
    if (!node->in_region)
        return;
    if (is_window(op))
        adze_cut_edge(cut, ADZE_CUT_SOURCE, node->number, ADZE_CUT_NEVER);
    if (adze_is_op(op, "adze.transpose")) {
        adze_axes plain = adze_axes_plain(node->c.x.rank), perm = plain;
        int64_t at[ADZE_MAX_RANK];
        adze_get_i64s(op, "perm", ADZE_MAX_RANK, at);
        for (int i = 0; i < perm.rank; i++)
            perm.at[i] = (int)at[i];
        if (adze_axes_move(&plain, &perm, node->c.x.dims))
            adze_cut_edge(cut, ADZE_CUT_SOURCE, node->number, bytes_of(&node->c.y));
    }
    for (int i = 0; i < (int)mlirOperationGetNumOperands(op); i++) {
        bool fewer;
        adze_shape s, wide;
        MlirValue value = mlirOperationGetOperand(op, i);
        if (!has_axes(l, node, i, &fewer) || !fewer || is_constant(value) ||
            !adze_value_shape(l->ctx, value, &s))
            continue;
        wide = adze_layout_widened(&s, node->c.in.rank);
        adze_axes plain = adze_axes_plain(wide.rank);
        if (adze_axes_move(&plain, &node->c.in, wide.dims))
            adze_cut_edge(cut, node->number, ADZE_CUT_SINK, bytes_of(&s));
    }
}

static void choose_block(adze_layout *l, adze_cut *cut, MlirBlock block) {
    for (intptr_t i = 0; i < mlirBlockGetNumArguments(block); i++)
        cost_of_value(l, cut, mlirBlockGetArgument(block, i), NULL, 0);
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        adze_layout_node *node = node_of(l, op);
        for (intptr_t r = 0; r < mlirOperationGetNumResults(op); r++)
            cost_of_value(l, cut, adze_result(op, (int)r), node, (int)r);
        for (intptr_t r = 0; r < mlirOperationGetNumRegions(op); r++)
            for (MlirBlock inner = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r));
                 !mlirBlockIsNull(inner); inner = mlirBlockGetNextInRegion(inner))
                choose_block(l, cut, inner);
    }
}

static void choose(adze_layout *l) {
    adze_cut cut = adze_cut_new(l->ctx->arena);
    for (adze_layout_node *node = l->list; node; node = node->next)
        node->number = adze_cut_node(&cut);
    for (adze_layout_node *node = l->list; node; node = node->next)
        cost_of_node(l, &cut, node);
    choose_block(l, &cut, mlirModuleGetBody(l->module));
    const bool *model_order = adze_cut_solve(&cut);
    for (adze_layout_node *node = l->list; node; node = node->next)
        node->chosen = node->in_region && !model_order[node->number];
}

/* ---- rewriting ---- */

static void rewrite_node(adze_layout *l, adze_layout_node *node) {
    if (!node->chosen)
        return;
    for (int r = 0; r < (int)mlirOperationGetNumResults(node->c.op); r++) {
        adze_shape s;
        MlirValue value = adze_result(node->c.op, r);
        if (!result_has_axes(node, r) || !adze_value_shape(l->ctx, value, &s) ||
            s.rank != node->c.out.rank)
            continue;
        s = adze_axes_shape(l->ctx, &s, &node->c.out);
        mlirValueSetType(value, adze_tensor_type(l->ctx, &s));
    }
    if (node->row->rewrite)
        node->row->rewrite(&node->c);
}

/* The order that a value is kept in, now that types are rewritten. */
static adze_axes kept(const adze_layout *l, MlirValue value, int rank) {
    MlirOperation op = adze_defining(value);
    adze_layout_node *maker = node_of(l, op);
    if (maker && maker->chosen)
        for (int r = 0; r < (int)mlirOperationGetNumResults(op); r++)
            if (mlirValueEqual(value, adze_result(op, r)) && result_has_axes(maker, r) &&
                maker->c.out.rank == rank)
                return maker->c.out;
    return adze_axes_plain(rank);
}

static void read_operand(adze_layout *l, MlirOperation op, int i) {
    MlirValue value = mlirOperationGetOperand(op, i);
    adze_layout_node *node = node_of(l, op);
    adze_shape s;
    bool fewer = false;
    if (node && !node->chosen)
        node = NULL;
    if (!adze_value_shape(l->ctx, value, &s) || s.rank == 0)
        return;
    adze_axes have = kept(l, value, s.rank), plain = adze_axes_plain(s.rank);
    adze_axes want = node ? wanted(l, node, i, s.rank) : plain;
    value = adze_layout_reordered(l, value, &have, &want, s.rank);
    if (node && has_axes(l, node, i, &fewer) && fewer)
        value = adze_layout_broadcast(l, value, &node->c.in);
    mlirOperationSetOperand(op, i, value);
}

static void rewrite_block(adze_layout *l, MlirBlock block) {
    for (MlirOperation op = mlirBlockGetFirstOperation(block), next; !mlirOperationIsNull(op); op = next) {
        next = mlirOperationGetNextInBlock(op);
        if (!adze_is_op(op, "adze.weight"))
            for (int i = 0; i < (int)mlirOperationGetNumOperands(op); i++)
                read_operand(l, op, i);
        for (intptr_t r = 0; r < mlirOperationGetNumRegions(op); r++)
            for (MlirBlock inner = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r));
                 !mlirBlockIsNull(inner); inner = mlirBlockGetNextInRegion(inner))
                rewrite_block(l, inner);
    }
}

/* Two transposes in a row are one; one that moves extents of 1 only is a view. */
static void tidy_transpose(MlirOperation op, void *user) {
    adze_layout *l = user;
    adze_shape x, y;
    adze_quant q;
    if (!adze_is_op(op, "adze.transpose"))
        return;
    int64_t perm[ADZE_MAX_RANK], before[ADZE_MAX_RANK], both[ADZE_MAX_RANK];
    int rank = adze_get_i64s(op, "perm", ADZE_MAX_RANK, perm);
    MlirOperation source = adze_defining(mlirOperationGetOperand(op, 0));
    while (!mlirOperationIsNull(source) && adze_is_op(source, "adze.transpose") &&
           adze_get_i64s(source, "perm", ADZE_MAX_RANK, before) == rank) {
        for (int i = 0; i < rank; i++)
            both[i] = before[perm[i]];
        memcpy(perm, both, sizeof perm);
        adze_set(op, "perm", adze_i64s(l->ctx, rank, perm));
        mlirOperationSetOperand(op, 0, mlirOperationGetOperand(source, 0));
        source = adze_defining(mlirOperationGetOperand(op, 0));
    }
    MlirValue from = mlirOperationGetOperand(op, 0);
    if (!adze_value_shape(l->ctx, from, &x) || !adze_value_shape(l->ctx, adze_result(op, 0), &y) ||
        (adze_quant_of(l->ctx, y.element, &q) && q.axis >= 0) ||
        mlirTypeEqual(mlirValueGetType(from), mlirValueGetType(adze_result(op, 0))))
        return; /* of equal extents: by simplify, when it moves nothing */
    adze_axes plain = adze_axes_plain(rank), order = plain;
    for (int i = 0; i < rank; i++)
        order.at[i] = (int)perm[i];
    if (adze_axes_move(&plain, &order, x.dims))
        return;
    adze_builder b = adze_before(l->ctx, op);
    adze_named node = {"adze.node", adze_str(l->ctx, adze_node(l->ctx, op))};
    MlirValue view =
        adze_build1(&b, "adze.reshape", 1, &from, mlirValueGetType(adze_result(op, 0)), 1, &node);
    adze_replace(op, &view);
}

typedef struct moved {
    adze_context *ctx;
    int64_t bytes;
} moved;

static void count_moved(MlirOperation op, void *user) {
    moved *m = user;
    adze_shape s;
    if (adze_is_op(op, "adze.transpose") && adze_value_shape(m->ctx, adze_result(op, 0), &s))
        m->bytes += bytes_of(&s) - 1;
}

bool adze_pass_layout(adze_context *ctx, MlirModule module, const adze_pass_options *options) {
    (void)options;
    MlirOperation root = mlirModuleGetOperation(module);
    adze_layout l = {.ctx = ctx, .module = module, .nodes = {.arena = ctx->arena}};
    adze_walk(root, tidy_transpose, &l);
    adze_simplify(ctx, module, true);
    adze_walk(root, add_node, &l);
    spread(&l);
    choose(&l);
    for (adze_layout_node *node = l.list; node; node = node->next)
        rewrite_node(&l, node);
    rewrite_block(&l, mlirModuleGetBody(module));
    if (!adze_layout_flatten(&l))
        return false;
    adze_layout_squeeze(&l);
    adze_walk(root, tidy_transpose, &l);
    adze_simplify(ctx, module, true);
    moved m = {.ctx = ctx};
    adze_walk(root, count_moved, &m);
    adze_set(root, "adze.transposed_bytes", adze_i64(ctx, m.bytes));
    return true;
}
