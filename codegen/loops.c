/* The pass from level 2 to level 3: every kernel's structured operations become loops.
 *
 * Each root (a value the kernel materialises) becomes a nest over its elements, in the order and tiling
 * its schedule says, or is handed to its operation's own generator. See gen.h. */
#include "codegen/family.h"
#include "codegen/mcu.h"
#include "codegen/gen.h"

#include "ir/schedule.h"
#include "ir/window.h"

#include <mlir-c/AffineMap.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Dialect/Func.h>

#include <string.h>

/* What the axes of a result are called, by rank, in the loops that people read: as the kernel's window has them. */
static const char *axis_name(adze_gen *g, int rank, int axis) {
    static const char *const names[3][5][5] = {
        {{"i"}, {"i", "j"}, {"n", "i", "j"}, {"n", "i", "j", "k"}, {"n", "i", "j", "k", "l"}},
        {{"i"}, {"i", "j"}, {"n", "c", "ow"}, {"n", "c", "oh", "ow"}, {"n", "c", "od", "oh", "ow"}},
        {{"i"}, {"n", "c"}, {"n", "ow", "c"}, {"n", "oh", "ow", "c"}, {"n", "od", "oh", "ow", "c"}}};
    if (rank < 1 || rank > (int)ADZE_COUNT(names[0]))
        return adze_arena_printf(g->ctx->arena, "i%d", axis);
    int window = 0;
    MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(g->kernel, 0));
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op) && !window;
         op = mlirOperationGetNextInBlock(op))
        if (!mlirAttributeIsNull(adze_get(op, "layout")))
            window = adze_window_axes_of(op, rank).last ? 2 : 1;
    return names[window][rank - 1][axis];
}

static bool one_element(adze_gen *g, MlirValue value, MlirValue memref, const MlirValue *index) {
    MlirValue element;
    if (!adze_read_raw(g, value, index, &element))
        return false;
    adze_store_raw(g, element, memref, index);
    return true;
}

/* Does linalg.generic `op` read its operand `i` at the very index of its result? */
static bool reads_in_place(MlirOperation op, int i) {
    MlirAttribute maps = adze_get(op, "indexing_maps");
    return mlirAffineMapIsIdentity(mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(maps, i))) &&
           mlirAffineMapIsIdentity(mlirAffineMapAttrGetValue(
               mlirArrayAttrGetElement(maps, mlirArrayAttrGetNumElements(maps) - 1)));
}

/* The convolution at the start of an elementwise epilogue that ends in `value`; null when there is
 * none, or when something in between reads it elsewhere than at its own index. */
static MlirValue epilogue_of(MlirValue value, int depth) {
    MlirOperation op = adze_defining(value);
    if (mlirOperationIsNull(op) || depth == 0)
        return (MlirValue){NULL};
    if (adze_is_op(op, "adze.conv"))
        return value;
    MlirValue found = {NULL};
    if (!adze_is_op(op, "linalg.generic"))
        return found;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
        MlirValue inner = epilogue_of(mlirOperationGetOperand(op, i), depth - 1);
        if (!inner.ptr)
            continue;
        if (!reads_in_place(op, (int)i))
            return (MlirValue){NULL};
        found = inner;
    }
    return found;
}

/* The sums that the schedule's block is for; null without a block. */
static bool find_sums(adze_gen *g, const adze_schedule *schedule, const adze_shape *shape,
                      MlirValue value, MlirValue *sums) {
    enum { LONGEST_EPILOGUE = 16 };
    *sums = (MlirValue){NULL};
    if (!schedule->n_block || !schedule->block[shape->rank - 1])
        return true;
    adze_dtype type;
    adze_shape inner;
    MlirValue conv = epilogue_of(value, LONGEST_EPILOGUE);
    const char *kernel = adze_get_str(g->ctx, g->kernel, "sym_name");
    if (!conv.ptr || !adze_conv_row_type(g, adze_defining(conv), &type) ||
        !adze_value_shape(g->ctx, conv, &inner) || inner.rank != shape->rank)
        return adze_error(&g->ctx->diags, kernel, "its schedule has a block, but it is no convolution "
                                                  "with an elementwise epilogue");
    *sums = conv;
    return true;
}

/* The last axis, block by block: sums into a local row, then the epilogue over the row. */
static bool block_elements(adze_gen *g, const adze_schedule *schedule, MlirValue sums,
                           const adze_shape *shape, MlirValue value, MlirValue memref,
                           MlirValue *index) {
    int last = shape->rank - 1;
    int64_t extent = shape->dims[last], block = schedule->block[last];
    adze_dtype type;
    adze_conv_row_type(g, adze_defining(sums), &type);
    block = block < extent ? block : extent;
    MlirValue row = adze_local(g, "acc", type, 1, &block);
    MlirValue base = adze_index(g, 0), count = adze_index(g, block);
    adze_for blocks;
    bool several = block < extent;
    if (several) {
        blocks = adze_for_begin(g, "block", base, adze_index(g, extent), count, 0, NULL, NULL);
        base = blocks.iv;
        if (extent % block)
            count = adze_index_min(g, count, adze_index_sub(g, adze_index(g, extent), base));
    }
    if (!adze_gen_conv_row(g, adze_defining(sums), index, base, count, row))
        return false;
    adze_for finish = adze_for_begin(g, "j", adze_index(g, 0), count, adze_index(g, 1), 0, NULL, NULL);
    adze_vectorize(g, &finish);
    index[last] = adze_index_add(g, base, finish.iv);
    g->row_tensor = sums;
    g->row = row;
    g->row_base = base;
    bool ok = one_element(g, value, memref, index);
    g->row_tensor.ptr = NULL;
    adze_for_end(g, &finish, NULL, NULL);
    if (several)
        adze_for_end(g, &blocks, NULL, NULL);
    return ok;
}

/* Threads share the outermost loop that has turns enough for any number of them, or the longest. Elements
 * are computed by themselves, so any loop of the nest would do; blocks of the innermost, as vectors must
 * end where they end with one thread. */
static void share_out(adze_gen *g, const adze_for *tiles, int n_tiles, const adze_for *loops, int n_loops) {
    enum { ENOUGH = 16, GRAIN = 256 };
    const adze_for *best = NULL;
    int64_t turns = 0, grain = 1;
    for (int i = 0; i < n_tiles + n_loops && turns < ENOUGH; i++) {
        const adze_for *loop = i < n_tiles ? &tiles[i] : &loops[i - n_tiles];
        int64_t step = 1, unit = i + 1 < n_tiles + n_loops ? 1 : GRAIN;
        adze_index_known(mlirOperationGetOperand(loop->op, 2), &step);
        int64_t n = adze_index_most(mlirOperationGetOperand(loop->op, 1)) / (step * unit);
        if (n <= turns)
            continue;
        best = loop;
        turns = n;
        grain = unit;
    }
    if (best && adze_gen_threads(g) > 1)
        adze_gen_parallel_loop(g, best, grain, adze_gen_operations((n_tiles ? tiles : loops)->op));
}

/* for each tile { for each element of the tile { out[i] = read(value, i) } } */
static bool default_nest(adze_gen *g, const adze_schedule *schedule, MlirValue value,
                         MlirValue memref) {
    adze_shape shape;
    if (!adze_value_shape(g->ctx, value, &shape))
        return adze_error(&g->ctx->diags, NULL, "a kernel materialises a value that is no tensor");
    if (!adze_schedule_fits(g->ctx, adze_get_str(g->ctx, g->kernel, "sym_name"), schedule, shape.rank))
        return false;
    int64_t tile[ADZE_MAX_RANK] = {0};
    int order[ADZE_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        tile[i] = schedule->n_tile ? schedule->tile[i] : 0;
        order[i] = schedule->n_order ? (int)schedule->order[i] : i;
    }
    MlirValue sums = {NULL};
    if (!find_sums(g, schedule, &shape, value, &sums))
        return false;
    MlirValue extent[ADZE_MAX_RANK], start[ADZE_MAX_RANK], index[ADZE_MAX_RANK];
    adze_for tiles[ADZE_MAX_RANK], loops[ADZE_MAX_RANK];
    int n_tiles = 0, n_loops = 0;
    for (int i = 0; i < shape.rank; i++) {
        int d = order[i];
        extent[d] = adze_extent(g, value, d);
        start[d] = adze_index(g, 0);
        bool tiled = tile[d] > 0 && !(sums.ptr && d == shape.rank - 1) && (shape.dims[d] < 0 || tile[d] < shape.dims[d]);
        if (!tiled) {
            tile[d] = 0;
            continue;
        }
        const char *name =
            adze_arena_printf(g->ctx->arena, "%s_tile", axis_name(g, shape.rank, d));
        tiles[n_tiles] = adze_for_begin(g, name, adze_index(g, 0), extent[d],
                                        adze_index(g, tile[d]), 0, NULL, NULL);
        start[d] = tiles[n_tiles++].iv;
    }
    for (int i = 0; i < shape.rank; i++) {
        int d = order[i];
        if (sums.ptr && d == shape.rank - 1)
            continue; /* block_elements has its loops */
        if (shape.dims[d] == 1) {
            index[d] = adze_index(g, 0);
            continue;
        }
        MlirValue end = extent[d];
        if (tile[d]) {
            end = adze_index_add(g, start[d], adze_index(g, tile[d]));
            if (shape.dims[d] < 0 || shape.dims[d] % tile[d])
                end = adze_index_min(g, end, extent[d]);
        }
        loops[n_loops] = adze_for_begin(g, axis_name(g, shape.rank, d), start[d], end,
                                        adze_index(g, 1), 0, NULL, NULL);
        if (d == shape.rank - 1)
            adze_vectorize(g, &loops[n_loops]);
        index[d] = loops[n_loops++].iv;
    }
    if (!(sums.ptr ? block_elements(g, schedule, sums, &shape, value, memref, index)
                   : one_element(g, value, memref, index)))
        return false;
    int n_inner = n_loops, n_outer = n_tiles;
    while (n_inner)
        adze_for_end(g, &loops[--n_inner], NULL, NULL);
    while (n_outer)
        adze_for_end(g, &tiles[--n_outer], NULL, NULL);
    share_out(g, tiles, n_tiles, loops, n_loops);
    return true;
}

static const struct {
    const char *name;
    adze_family *build;
} families[] = {
    {"contraction", adze_gen_contraction},
    {"amx", adze_gen_contraction},
    {"matmul", adze_gen_matmul},
    {"winograd", adze_gen_winograd},
    {"winograd_rows", adze_gen_winograd_rows},
    {"depthwise", adze_gen_depthwise},
    {"dsp", adze_gen_dsp},
    {"dsp_depthwise", adze_gen_dsp_depthwise},
    {"helium", adze_gen_helium},
    {"helium_depthwise", adze_gen_helium_depthwise},
};

static bool family_nest(adze_gen *g, const adze_schedule *schedule, MlirValue value, MlirValue memref) {
    enum { LONGEST_EPILOGUE = ADZE_MAX_RANK * 8 };
    for (size_t i = 0; i < ADZE_COUNT(families); i++)
        if (!strcmp(families[i].name, schedule->family))
            return families[i].build(g, schedule, epilogue_of(value, LONGEST_EPILOGUE), value, memref);
    return adze_error(&g->ctx->diags, adze_get_str(g->ctx, g->kernel, "sym_name"),
                      "its schedule names an unknown family '%s'", schedule->family);
}

static int shape_rank(const adze_schedule *s) { return s->n_tile > s->n_block ? s->n_tile : s->n_block; }

static bool lower_root(adze_gen *g, MlirOperation materialize) {
    MlirValue value = mlirOperationGetOperand(materialize, 0);
    MlirOperation op = adze_defining(value);
    const adze_gen_row *row = mlirOperationIsNull(op) ? NULL : adze_gen_row_of(op);
    const char *kernel = adze_get_str(g->ctx, g->kernel, "sym_name");
    adze_schedule schedule;
    if (!adze_schedule_read(g->ctx, kernel, adze_get(g->kernel, "adze.schedule"), &schedule))
        return false;
    if (row && row->generate) {
        /* All of its results at once, when the first of them comes up. */
        for (MlirOperation before = mlirBlockGetFirstOperation(mlirOperationGetBlock(materialize));
             !mlirOperationEqual(before, materialize); before = mlirOperationGetNextInBlock(before))
            if (adze_is_op(before, "bufferization.materialize_in_destination") &&
                mlirOperationEqual(adze_defining(mlirOperationGetOperand(before, 0)), op))
                return true;
        for (int i = 0; i < shape_rank(&schedule); i++)
            if ((schedule.n_tile && schedule.tile[i]) || (schedule.n_block && schedule.block[i]))
                return adze_error(&g->ctx->diags, kernel, "its operation has a generator of its own, "
                                                          "which takes no tiles or blocks");
        if (schedule.n_order)
            return adze_error(&g->ctx->diags, kernel, "its operation has a generator of its own, which "
                                                      "takes no order of loops");
        return row->generate(g, op);
    }
    MlirValue memref = mlirOperationGetOperand(materialize, 1);
    return schedule.family ? family_nest(g, &schedule, value, memref)
                           : default_nest(g, &schedule, value, memref);
}

static bool is_structured(MlirOperation op) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    static const char *const dialects[] = {"adze.", "linalg.", "tensor.", "bufferization."};
    for (size_t i = 0; i < ADZE_COUNT(dialects); i++) {
        size_t n = strlen(dialects[i]);
        if (name.length > n && !memcmp(name.data, dialects[i], n))
            return true;
    }
    return false;
}

static bool has_several_roots(MlirBlock block) {
    MlirOperation first = {NULL};
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, "bufferization.materialize_in_destination"))
            continue;
        MlirOperation root = adze_defining(mlirOperationGetOperand(op, 0));
        if (!mlirOperationIsNull(first) && !mlirOperationEqual(first, root))
            return true;
        first = root;
    }
    return false;
}

static bool lower_kernel(adze_context *ctx, MlirModule module, const adze_target *target,
                         MlirOperation kernel) {
    MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(kernel, 0));
    MlirOperation end = mlirBlockGetTerminator(block);
    const size_t said = ctx->diags.count; /* helpers that give values say errors, and go on with any */
    adze_gen g = {.ctx = ctx, .module = module, .target = target, .kernel = kernel,
                  .b = adze_before(ctx, end), .several_roots = has_several_roots(block)};

    /* The structured operations stay in front while loops are built behind them. */
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationEqual(op, end);
         op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "bufferization.materialize_in_destination") &&
            (!lower_root(&g, op) || ctx->diags.count != said))
            return false;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationEqual(op, end);) {
        MlirOperation next = mlirOperationGetNextInBlock(op);
        if (adze_is_op(op, "bufferization.materialize_in_destination"))
            mlirOperationDestroy(op);
        op = next;
    }
    /* Then they go, last first, as none is used any more. */
    for (bool again = true; again;) {
        again = false;
        for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationEqual(op, end);) {
            MlirOperation next = mlirOperationGetNextInBlock(op);
            const bool acts = adze_is_op(op, "adze.instruction") && mlirOperationGetNumResults(op) == 0;
            if (is_structured(op) && !adze_is_op(op, "adze.requantize") && !acts && adze_unused(op)) {
                mlirOperationDestroy(op);
                again = true;
            }
            op = next;
        }
    }
    return true;
}

bool adze_codegen_loops(adze_context *ctx, MlirModule module, const adze_target *target) {
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "func.func") && !mlirAttributeIsNull(adze_get(op, "adze.kernel")) &&
            !lower_kernel(ctx, module, target, op))
            return false;
    return true;
}
