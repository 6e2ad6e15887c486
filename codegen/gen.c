/* Building loops: index arithmetic, structured control flow, loads and stores. See gen.h. */
#include "codegen/gen.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <stdlib.h>
#include <string.h>

static MlirStringRef ref(const char *s) { return mlirStringRefCreateFromCString(s); }

/* ---- index arithmetic ---- */

MlirValue adze_index(adze_gen *g, int64_t value) {
    MlirType type = adze_index_type(g->ctx);
    adze_named attr = {"value", mlirIntegerAttrGet(type, value)};
    return adze_build1(&g->b, "arith.constant", 0, NULL, type, 1, &attr);
}

bool adze_index_known(MlirValue index, int64_t *value) {
    MlirOperation op = adze_defining(index);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant"))
        return false;
    *value = mlirIntegerAttrGetValueInt(adze_get(op, "value"));
    return true;
}

typedef int64_t fold2(int64_t a, int64_t b);
/* Numbers of a hostile dump wrap. */
static int64_t do_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t do_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t do_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static int64_t do_div(int64_t a, int64_t b) { return b == -1 ? do_sub(0, a) : b ? a / b : 0; }
static int64_t do_rem(int64_t a, int64_t b) { return b && b != -1 ? a % b : 0; }
static int64_t do_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t do_max(int64_t a, int64_t b) { return a > b ? a : b; }

static MlirValue index_op(adze_gen *g, const char *op, bool wraps, fold2 *fold, MlirValue a,
                          MlirValue b) {
    int64_t x, y;
    if (adze_index_known(a, &x) && adze_index_known(b, &y))
        return adze_index(g, fold(x, y));
    MlirValue operands[] = {a, b};
    adze_named nsw = {"overflowFlags", adze_parse_attr(g->ctx, "#arith.overflow<nsw>")};
    return adze_build1(&g->b, op, 2, operands, adze_index_type(g->ctx), wraps ? 1 : 0, &nsw);
}

static bool is_known(MlirValue v, int64_t want) {
    int64_t x;
    return adze_index_known(v, &x) && x == want;
}

MlirValue adze_index_add(adze_gen *g, MlirValue a, MlirValue b) {
    return is_known(b, 0) ? a : is_known(a, 0) ? b : index_op(g, "arith.addi", true, do_add, a, b);
}
MlirValue adze_index_sub(adze_gen *g, MlirValue a, MlirValue b) {
    return is_known(b, 0) ? a : index_op(g, "arith.subi", true, do_sub, a, b);
}
MlirValue adze_index_mul(adze_gen *g, MlirValue a, MlirValue b) {
    if (is_known(b, 1) || is_known(a, 0))
        return a;
    return is_known(a, 1) || is_known(b, 0) ? b : index_op(g, "arith.muli", true, do_mul, a, b);
}
MlirValue adze_index_div(adze_gen *g, MlirValue a, MlirValue b) {
    return is_known(b, 1) ? a : index_op(g, "arith.divsi", false, do_div, a, b);
}
MlirValue adze_index_rem(adze_gen *g, MlirValue a, MlirValue b) {
    return is_known(b, 1) ? adze_index(g, 0) : index_op(g, "arith.remsi", false, do_rem, a, b);
}
MlirValue adze_index_min(adze_gen *g, MlirValue a, MlirValue b) {
    return index_op(g, "arith.minsi", false, do_min, a, b);
}
MlirValue adze_index_max(adze_gen *g, MlirValue a, MlirValue b) {
    return index_op(g, "arith.maxsi", false, do_max, a, b);
}

MlirValue adze_index_cmp(adze_gen *g, const char *predicate, MlirValue a, MlirValue b) {
    /* arith.cmpi's numbering of the signed predicates */
    static const char *const names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    int64_t code = -1;
    for (int i = 0; i < (int)ADZE_COUNT(names); i++)
        if (!strcmp(names[i], predicate))
            code = i;
    if (code < 0)
        abort();
    MlirValue operands[] = {a, b};
    adze_named attr = {"predicate", adze_i64(g->ctx, code)};
    return adze_build1(&g->b, "arith.cmpi", 2, operands, mlirIntegerTypeGet(g->ctx->mlir, 1), 1,
                       &attr);
}

MlirValue adze_index_wrap(adze_gen *g, MlirValue index, MlirValue extent) {
    MlirValue zero = adze_index(g, 0);
    MlirValue negative = adze_index_cmp(g, "lt", index, zero);
    MlirValue from_end = adze_index_add(g, index, extent);
    MlirValue wrapped = adze_build1(&g->b, "arith.select", 3,
                                    (MlirValue[]){negative, from_end, index},
                                    adze_index_type(g->ctx), 0, NULL);
    MlirValue last = adze_index_sub(g, extent, adze_index(g, 1));
    return adze_index_min(g, adze_index_max(g, wrapped, zero), last);
}

MlirValue adze_index_from(adze_gen *g, adze_scalar x) {
    bool is_unsigned = adze_dtype_get(x.dtype)->cls == 'U';
    return adze_build1(&g->b, is_unsigned ? "arith.index_castui" : "arith.index_cast", 1, &x.value,
                       adze_index_type(g->ctx), 0, NULL);
}

adze_scalar adze_index_to(adze_gen *g, MlirValue index, adze_dtype dtype) {
    MlirType type = adze_scalar_type(g->ctx, dtype);
    if (mlirTypeIsAInteger(type))
        return (adze_scalar){
            adze_build1(&g->b, "arith.index_cast", 1, &index, type, 0, NULL), dtype};
    MlirType i64 = mlirIntegerTypeGet(g->ctx->mlir, 64);
    MlirValue wide = adze_build1(&g->b, "arith.index_cast", 1, &index, i64, 0, NULL);
    return (adze_scalar){adze_build1(&g->b, "arith.sitofp", 1, &wide, type, 0, NULL), dtype};
}

/* ---- structured control flow ---- */

static MlirLocation name_chain(adze_gen *g, const char *first, int n, const char *const *rest) {
    MlirLocation loc = mlirLocationUnknownGet(g->ctx->mlir);
    for (int i = n - 1; i >= 0; i--)
        loc = mlirLocationNameGet(g->ctx->mlir, ref(rest && rest[i] ? rest[i] : "acc"), loc);
    return mlirLocationNameGet(g->ctx->mlir, ref(first ? first : "i"), loc);
}

static void forget(adze_gen *g, int n_reads) {
    g->n_reads = n_reads;
    if (g->stale_reads > n_reads)
        g->stale_reads = n_reads;
}

/* Blocks get their terminator when they close; until then building goes on at their end. */
static void enter(adze_gen *g, MlirBlock block) {
    g->b = adze_at_end(g->ctx, block);
}

adze_for adze_for_begin(adze_gen *g, const char *name, MlirValue low, MlirValue high, MlirValue step,
                        int n, const MlirValue *init, const char *const *names) {
    MlirValue operands[3 + ADZE_MAX_CARRIED] = {low, high, step};
    MlirType types[1 + ADZE_MAX_CARRIED] = {adze_index_type(g->ctx)};
    MlirLocation locs[1 + ADZE_MAX_CARRIED];
    if (n > ADZE_MAX_CARRIED)
        abort();
    MlirLocation loc = name_chain(g, name, n, names);
    locs[0] = mlirLocationNameGet(g->ctx->mlir, ref(name ? name : "i"),
                                  mlirLocationUnknownGet(g->ctx->mlir));
    for (int i = 0; i < n; i++) {
        operands[3 + i] = init[i];
        types[1 + i] = mlirValueGetType(init[i]);
        locs[1 + i] = mlirLocationNameGet(g->ctx->mlir, ref(names && names[i] ? names[i] : "acc"),
                                          mlirLocationUnknownGet(g->ctx->mlir));
    }
    MlirOperationState state = mlirOperationStateGet(ref("scf.for"), loc);
    mlirOperationStateAddOperands(&state, 3 + n, operands);
    mlirOperationStateAddResults(&state, n, types + 1);
    MlirRegion region = mlirRegionCreate();
    MlirBlock block = mlirBlockCreate(1 + n, types, locs);
    mlirRegionAppendOwnedBlock(region, block);
    mlirOperationStateAddOwnedRegions(&state, 1, &region);
    adze_for loop = {.op = mlirOperationCreate(&state), .outer = g->b, .n = n, .n_reads = g->n_reads};
    adze_insert(&g->b, loop.op);
    loop.iv = mlirBlockGetArgument(block, 0);
    for (int i = 0; i < n; i++)
        loop.carried[i] = mlirBlockGetArgument(block, 1 + i);
    enter(g, block);
    return loop;
}

void adze_for_end(adze_gen *g, adze_for *loop, const MlirValue *carried, MlirValue *results) {
    adze_build(&g->b, "scf.yield", loop->n, carried, 0, NULL, 0, NULL, 0);
    g->b = loop->outer;
    forget(g, loop->n_reads);
    for (int i = 0; i < loop->n; i++)
        results[i] = mlirOperationGetResult(loop->op, i);
}

void adze_vectorize(adze_gen *g, const adze_for *loop) {
    adze_set(loop->op, "adze.vectorize", mlirUnitAttrGet(g->ctx->mlir));
}

adze_if adze_if_begin(adze_gen *g, MlirValue condition, int n, const MlirType *types) {
    adze_if branch = {.outer = g->b, .n = n, .n_reads = g->n_reads};
    branch.op = adze_build(&g->b, "scf.if", 1, &condition, n, types, 0, NULL, 2);
    branch.outer.name = NULL;
    MlirBlock block = mlirBlockCreate(0, NULL, NULL);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(branch.op, 0), block);
    enter(g, block);
    return branch;
}

void adze_if_else(adze_gen *g, adze_if *branch, const MlirValue *then_results) {
    adze_build(&g->b, "scf.yield", branch->n, then_results, 0, NULL, 0, NULL, 0);
    MlirBlock block = mlirBlockCreate(0, NULL, NULL);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(branch->op, 1), block);
    forget(g, branch->n_reads);
    enter(g, block);
}

void adze_if_end(adze_gen *g, adze_if *branch, const MlirValue *last_results, MlirValue *results) {
    adze_build(&g->b, "scf.yield", branch->n, last_results, 0, NULL, 0, NULL, 0);
    g->b = branch->outer;
    forget(g, branch->n_reads);
    for (int i = 0; i < branch->n; i++)
        results[i] = mlirOperationGetResult(branch->op, i);
}

adze_nest adze_nest_begin(adze_gen *g, int n, const MlirValue *extents, const char *const *names,
                          MlirValue *index) {
    static const char *const defaults[ADZE_MAX_RANK] = {"i0", "i1", "i2", "i3", "i4",  "i5",
                                                        "i6", "i7", "i8", "i9", "i10", "i11"};
    adze_nest nest = {.n = 0};
    for (int i = 0; i < n; i++) {
        if (is_known(extents[i], 1)) { /* no loop around a single element */
            index[i] = adze_index(g, 0);
            continue;
        }
        adze_for loop = adze_for_begin(g, names ? names[i] : defaults[i], adze_index(g, 0),
                                       extents[i], adze_index(g, 1), 0, NULL, NULL);
        index[i] = loop.iv;
        nest.loops[nest.n++] = loop;
    }
    return nest;
}

void adze_nest_end(adze_gen *g, adze_nest *nest) {
    while (nest->n)
        adze_for_end(g, &nest->loops[--nest->n], NULL, NULL);
}

/* ---- memory ---- */

static MlirType element_of(MlirValue shaped) {
    return mlirShapedTypeGetElementType(mlirValueGetType(shaped));
}

static int rank_of(MlirValue shaped) { return (int)mlirShapedTypeGetRank(mlirValueGetType(shaped)); }

static MlirValue load_raw(adze_gen *g, MlirValue memref, const MlirValue *index) {
    MlirValue operands[1 + ADZE_MAX_RANK] = {memref};
    int rank = rank_of(memref);
    memcpy(operands + 1, index, (size_t)rank * sizeof *index);
    return adze_build1(&g->b, "memref.load", 1 + rank, operands, element_of(memref), 0, NULL);
}

adze_scalar adze_load(adze_gen *g, MlirValue memref, const MlirValue *index) {
    MlirValue raw = load_raw(g, memref, index);
    return adze_scalar_in(&g->b, raw, adze_element_dtype(g->ctx, element_of(memref)));
}

static void store_raw(adze_gen *g, MlirValue value, MlirValue memref, const MlirValue *index) {
    MlirValue operands[2 + ADZE_MAX_RANK] = {value, memref};
    int rank = rank_of(memref);
    memcpy(operands + 2, index, (size_t)rank * sizeof *index);
    adze_build(&g->b, "memref.store", 2 + rank, operands, 0, NULL, 0, NULL, 0);
    g->stale_reads = g->n_reads; /* what was loaded before may have changed */
}

void adze_store(adze_gen *g, adze_scalar x, MlirValue memref, const MlirValue *index) {
    store_raw(g, adze_scalar_out(&g->b, x), memref, index);
}

void adze_store_raw(adze_gen *g, MlirValue value, MlirValue memref, const MlirValue *index) {
    store_raw(g, value, memref, index);
}

MlirValue adze_local(adze_gen *g, const char *name, adze_dtype dtype, int rank,
                     const int64_t *dims) {
    adze_shape shape = {.element = adze_element_type(g->ctx, dtype), .dtype = dtype, .rank = rank};
    memcpy(shape.dims, dims, (size_t)rank * sizeof *dims);
    MlirBlock entry = mlirRegionGetFirstBlock(mlirOperationGetRegion(g->kernel, 0));
    adze_builder top = {.ctx = g->ctx,
                        .block = entry,
                        .before = mlirBlockGetFirstOperation(entry),
                        .name = name};
    MlirAttribute zeros = adze_parse_attr(g->ctx, "array<i32: 0, 0>");
    adze_named attr = {"operandSegmentSizes", zeros};
    return adze_build1(&top, "memref.alloca", 0, NULL, adze_memref_type(g->ctx, &shape), 1, &attr);
}

MlirValue adze_extent(adze_gen *g, MlirValue value, int axis) {
    adze_shape shape;
    if (!adze_value_shape(g->ctx, value, &shape) || axis >= shape.rank) {
        adze_error(&g->ctx->diags, adze_get_str(g->ctx, g->kernel, "sym_name"), "an extent of a value without it");
        return adze_index(g, 1);
    }
    if (shape.dims[axis] >= 0)
        return adze_index(g, shape.dims[axis]);
    /* A bounded extent is that of an argument which has it. */
    MlirBlock entry = mlirRegionGetFirstBlock(mlirOperationGetRegion(g->kernel, 0));
    for (intptr_t i = 0; i < mlirBlockGetNumArguments(entry); i++) {
        MlirValue arg = mlirBlockGetArgument(entry, i);
        adze_shape as;
        if (!adze_value_shape(g->ctx, arg, &as))
            continue;
        for (int d = 0; d < as.rank; d++) {
            if (as.dims[d] >= 0 || !as.symbols[d] || !shape.symbols[axis] ||
                strcmp(as.symbols[d], shape.symbols[axis]))
                continue;
            MlirValue operands[] = {arg, adze_index(g, d)};
            return adze_build1(&g->b, "memref.dim", 2, operands, adze_index_type(g->ctx), 0, NULL);
        }
    }
    adze_error(&g->ctx->diags, adze_get_str(g->ctx, g->kernel, "sym_name"),
               "the extent '%s' is that of none of its arguments", shape.symbols[axis] ? shape.symbols[axis] : "?");
    return adze_index(g, 1);
}

/* ---- reading through operations ---- */

struct adze_gen_read {
    MlirValue tensor, index[ADZE_MAX_RANK], result;
};

static bool known_read(adze_gen *g, MlirValue tensor, int rank, const MlirValue *index,
                       MlirValue *out) {
    for (int i = g->n_reads - 1; i >= g->stale_reads; i--) {
        const struct adze_gen_read *r = &g->reads[i];
        bool same = mlirValueEqual(r->tensor, tensor);
        for (int d = 0; d < rank && same; d++)
            same = mlirValueEqual(r->index[d], index[d]);
        if (same) {
            *out = r->result;
            return true;
        }
    }
    return false;
}

static void remember(adze_gen *g, MlirValue tensor, int rank, const MlirValue *index,
                     MlirValue result) {
    if (g->n_reads == g->max_reads) {
        g->max_reads = g->max_reads ? 2 * g->max_reads : 64;
        struct adze_gen_read *grown =
            ADZE_NEW_ARRAY(g->ctx->arena, struct adze_gen_read, (size_t)g->max_reads);
        if (g->n_reads)
            memcpy(grown, g->reads, (size_t)g->n_reads * sizeof *grown);
        g->reads = grown;
    }
    struct adze_gen_read *r = &g->reads[g->n_reads++];
    *r = (struct adze_gen_read){.tensor = tensor, .result = result};
    memcpy(r->index, index, (size_t)rank * sizeof *index);
}

static bool read_constant(adze_gen *g, MlirValue tensor, MlirOperation op, const MlirValue *index,
                          MlirValue *out) {
    adze_tensor value;
    if (!adze_constant_value(g->ctx, g->module, tensor, &value))
        return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "constant cannot be read");
    size_t at = 0;
    for (int d = 0; d < value.rank; d++) {
        int64_t i = 0;
        if (value.dims[d] != 1 && !adze_index_known(index[d], &i))
            return adze_error(&g->ctx->diags, adze_node(g->ctx, op),
                              "a constant of several elements stands inside a kernel");
        at = at * (size_t)value.dims[d] + (size_t)i;
    }
    adze_scalar x = adze_dtype_get(value.dtype)->cls == 'F'
                        ? adze_scalar_f64(&g->b, value.dtype, adze_tensor_get_f64(&value, at))
                        : adze_scalar_i64(&g->b, value.dtype, adze_tensor_get_i64(&value, at));
    *out = adze_scalar_out(&g->b, x);
    return true;
}

bool adze_read_raw(adze_gen *g, MlirValue tensor, const MlirValue *index, MlirValue *out) {
    MlirOperation op = adze_defining(tensor);
    if (mlirOperationIsNull(op))
        return adze_error(&g->ctx->diags, NULL, "a kernel reads a tensor argument");
    int rank = rank_of(tensor);
    if (g->row_tensor.ptr && mlirValueEqual(tensor, g->row_tensor)) {
        MlirValue at = adze_index_sub(g, index[rank - 1], g->row_base);
        *out = load_raw(g, g->row, &at);
        return true;
    }
    if (g->tile_tensor.ptr && mlirValueEqual(tensor, g->tile_tensor)) {
        *out = g->tile_value.ptr ? g->tile_value : load_raw(g, g->tile, &g->tile_at);
        /* sums of small floats are kept wide */
        adze_dtype small = adze_element_dtype(g->ctx, element_of(tensor));
        if ((small == ADZE_f16 || small == ADZE_bf16) && mlirTypeIsAF32(mlirValueGetType(*out)))
            *out = adze_scalar_out(&g->b, (adze_scalar){*out, small});
        return true;
    }
    if (known_read(g, tensor, rank, index, out))
        return true;
    bool ok = false;
    if (adze_is_op(op, "bufferization.to_tensor")) {
        *out = load_raw(g, mlirOperationGetOperand(op, 0), index);
        ok = true;
    } else if (adze_is_op(op, "adze.constant")) {
        ok = read_constant(g, tensor, op, index, out);
    } else {
        const adze_gen_row *row = adze_gen_row_of(op);
        MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
        if (!row || !row->read)
            return adze_error(&g->ctx->diags, adze_node(g->ctx, op),
                              "%.*s has no lowering to loops that reads single elements",
                              (int)name.length, name.data);
        ok = row->read(g, op, (int)mlirOpResultGetResultNumber(tensor), index, out);
    }
    if (ok)
        remember(g, tensor, rank, index, *out);
    return ok;
}

bool adze_read(adze_gen *g, MlirValue tensor, const MlirValue *index, adze_scalar *out) {
    MlirValue raw;
    if (!adze_read_raw(g, tensor, index, &raw))
        return false;
    *out = adze_scalar_in(&g->b, raw, adze_element_dtype(g->ctx, element_of(tensor)));
    return true;
}

MlirValue adze_gen_destination(adze_gen *g, MlirValue result) {
    (void)g;
    for (MlirOpOperand use = mlirValueGetFirstUse(result); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation user = mlirOpOperandGetOwner(use);
        if (adze_is_op(user, "bufferization.materialize_in_destination"))
            return mlirOperationGetOperand(user, 1);
    }
    return (MlirValue){NULL};
}
