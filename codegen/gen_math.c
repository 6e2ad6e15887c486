/* Short ways to write arithmetic in generators; see gen_math.h. */
#include "codegen/gen_math.h"

#include <mlir-c/BuiltinTypes.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool gn_is_float(adze_dtype dtype) { return adze_dtype_get(dtype)->cls == 'F'; }

adze_dtype gn_compute(adze_dtype dtype) {
    return gn_is_float(dtype) && dtype != ADZE_f64 ? ADZE_f32 : dtype;
}

/* ---- scalars ---- */

adze_scalar gn_num(adze_gen *g, adze_dtype dtype, double value) {
    return adze_scalar_f64(&g->b, dtype, value);
}

/* Types that a kind does not take come from hostile dumps only. The error that was said ends the pass. */
static adze_scalar nothing(adze_gen *g, const char *what, adze_dtype dtype) {
    adze_error(&g->ctx->diags, adze_get_str(g->ctx, g->kernel, "sym_name"), "%s of %s is not computed", what,
               adze_dtype_get(dtype)->name);
    return adze_scalar_f64(&g->b, ADZE_f32, 0);
}

adze_scalar gn_unary_p(adze_gen *g, const char *kind, const double *params, adze_scalar x) {
    adze_scalar y;
    return adze_scalar_unary(&g->b, kind, params, x, &y) ? y : nothing(g, kind, x.dtype);
}

adze_scalar gn_unary(adze_gen *g, const char *kind, adze_scalar x) {
    return gn_unary_p(g, kind, NULL, x);
}

adze_scalar gn_binary(adze_gen *g, const char *kind, adze_scalar x, adze_scalar y) {
    adze_scalar z;
    return adze_scalar_binary(&g->b, kind, x, y, &z) ? z : nothing(g, kind, x.dtype);
}

adze_scalar gn_add(adze_gen *g, adze_scalar x, adze_scalar y) { return gn_binary(g, "add", x, y); }
adze_scalar gn_sub(adze_gen *g, adze_scalar x, adze_scalar y) { return gn_binary(g, "sub", x, y); }
adze_scalar gn_mul(adze_gen *g, adze_scalar x, adze_scalar y) { return gn_binary(g, "mul", x, y); }
adze_scalar gn_div(adze_gen *g, adze_scalar x, adze_scalar y) { return gn_binary(g, "div", x, y); }

adze_scalar gn_cast(adze_gen *g, adze_scalar x, adze_dtype to) {
    if (to == ADZE_f32 && gn_compute(x.dtype) == ADZE_f32) /* already held as f32 */
        return (adze_scalar){x.value, to};
    adze_scalar y;
    return adze_scalar_cast(&g->b, x, to, false, &y) ? y : nothing(g, "conversion", x.dtype);
}

adze_scalar gn_select(adze_gen *g, MlirValue condition, adze_scalar x, adze_scalar y) {
    return adze_scalar_select(&g->b, (adze_scalar){condition, ADZE_bool}, x, y);
}

MlirValue gn_index_select(adze_gen *g, MlirValue condition, MlirValue x, MlirValue y) {
    return adze_build1(&g->b, "arith.select", 3, (MlirValue[]){condition, x, y},
                       mlirValueGetType(x), 0, NULL);
}

static MlirValue logic(adze_gen *g, const char *op, MlirValue a, MlirValue b) {
    return adze_build1(&g->b, op, 2, (MlirValue[]){a, b}, mlirValueGetType(a), 0, NULL);
}

MlirValue gn_and(adze_gen *g, MlirValue a, MlirValue b) {
    return !a.ptr ? b : !b.ptr ? a : logic(g, "arith.andi", a, b);
}

MlirValue gn_or(adze_gen *g, MlirValue a, MlirValue b) { return logic(g, "arith.ori", a, b); }

MlirValue gn_inside(adze_gen *g, MlirValue index, MlirValue extent) {
    MlirValue above = adze_index_cmp(g, "ge", index, adze_index(g, 0));
    return gn_and(g, above, adze_index_cmp(g, "lt", index, extent));
}

MlirValue gn_index_clamp(adze_gen *g, MlirValue x, MlirValue low, MlirValue high) {
    int64_t a, b;
    if (adze_index_known(low, &a) && adze_index_known(high, &b) && a == b)
        return low; /* the only place there is */
    const char *name = g->b.name;
    g->b.name = NULL;
    MlirValue above = adze_index_max(g, x, low);
    g->b.name = name;
    return adze_index_min(g, above, high);
}

MlirValue gn_index_neg(adze_gen *g, MlirValue x) { return adze_index_sub(g, adze_index(g, 0), x); }

/* near: ((a + 2) d - (a + 3)) d^2 + 1 up to 1; far: ((a d - 5 a) d + 8 a) d - 4 a up to 2; then 0
 */
adze_scalar gn_cubic_weight(adze_gen *g, adze_scalar d, double a) {
    adze_dtype t = d.dtype;
    adze_scalar one = gn_num(g, t, 1);
    adze_scalar near = gn_sub(g, gn_mul(g, gn_num(g, t, a + 2), d), gn_num(g, t, a + 3));
    near = gn_add(g, gn_mul(g, gn_mul(g, near, d), d), one);
    adze_scalar far = gn_sub(g, gn_mul(g, gn_num(g, t, a), d), gn_num(g, t, 5 * a));
    far = gn_add(g, gn_mul(g, far, d), gn_num(g, t, 8 * a));
    far = gn_sub(g, gn_mul(g, far, d), gn_num(g, t, 4 * a));
    MlirValue within = gn_binary(g, "less", d, gn_num(g, t, 2)).value;
    far = gn_select(g, within, far, gn_num(g, t, 0));
    return gn_select(g, gn_binary(g, "less_equal", d, one).value, near, far);
}

/* ---- memory ---- */

bool gn_read(adze_gen *g, MlirValue tensor, const MlirValue *index, adze_dtype dtype,
             adze_scalar *out) {
    adze_scalar x;
    if (!adze_read(g, tensor, index, &x))
        return false;
    *out = gn_cast(g, x, dtype);
    return true;
}

adze_scalar gn_load(adze_gen *g, MlirValue memref, const MlirValue *index, adze_dtype dtype) {
    return gn_cast(g, adze_load(g, memref, index), dtype);
}

MlirValue gn_out(adze_gen *g, adze_scalar x, adze_dtype dtype) {
    return adze_scalar_out(&g->b, gn_cast(g, x, dtype));
}

void gn_store(adze_gen *g, adze_scalar x, MlirValue memref, const MlirValue *index) {
    MlirType element = mlirShapedTypeGetElementType(mlirValueGetType(memref));
    adze_store_raw(g, gn_out(g, x, adze_element_dtype(g->ctx, element)), memref, index);
}

bool gn_read_broadcast(adze_gen *g, MlirValue tensor, int rank, const MlirValue *index,
                       adze_dtype dtype, adze_scalar *out) {
    adze_shape shape;
    if (!adze_value_shape(g->ctx, tensor, &shape) || shape.rank > rank)
        return adze_error(&g->ctx->diags, NULL, "a value does not broadcast to its reader");
    MlirValue at[ADZE_MAX_RANK];
    for (int d = 0; d < shape.rank; d++)
        at[d] = shape.dims[d] == 1 ? adze_index(g, 0) : index[rank - shape.rank + d];
    return gn_read(g, tensor, at, dtype, out);
}

bool gn_read_scalar(adze_gen *g, MlirValue tensor, adze_dtype dtype, adze_scalar *out) {
    MlirValue at[ADZE_MAX_RANK];
    for (int d = 0; d < ADZE_MAX_RANK; d++)
        at[d] = adze_index(g, 0);
    return gn_read(g, tensor, at, dtype, out);
}

/* ---- checks ---- */

bool gn_fail(adze_gen *g, MlirOperation op, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    return adze_error(&g->ctx->diags, adze_node(g->ctx, op), "%.*s: %s", (int)name.length,
                      name.data, text);
}

bool gn_operand(adze_gen *g, MlirOperation op, int i, MlirValue *value, adze_shape *shape) {
    *value = mlirOperationGetOperand(op, i);
    return adze_value_shape(g->ctx, *value, shape) ||
           gn_fail(g, op, "operand %d is not a ranked tensor", i);
}

bool gn_result(adze_gen *g, MlirOperation op, int i, MlirValue *value, adze_shape *shape) {
    *value = mlirOperationGetResult(op, i);
    return adze_value_shape(g->ctx, *value, shape) ||
           gn_fail(g, op, "result %d is not a ranked tensor", i);
}

bool gn_need_float(adze_gen *g, MlirOperation op, const adze_shape *shape) {
    const adze_dtype_info *info = adze_dtype_get(shape->dtype);
    return info->cls == 'F' || gn_fail(g, op, "has no loops for %s", info->name);
}

bool gn_need_number(adze_gen *g, MlirOperation op, const adze_shape *shape) {
    const adze_dtype_info *info = adze_dtype_get(shape->dtype);
    return strchr("FIU", info->cls) ? true : gn_fail(g, op, "has no loops for %s", info->name);
}

bool gn_axis(adze_gen *g, MlirOperation op, const char *attr, int rank, int *out) {
    int64_t axis = adze_get_i64(op, attr);
    *out = (int)axis;
    return (axis >= 0 && axis < rank) || gn_fail(g, op, "%s is out of range", attr);
}

int gn_choice(adze_gen *g, MlirOperation op, const char *attr, int n, const char *const *names) {
    const char *text = adze_get_str(g->ctx, op, attr);
    for (int i = 0; text && i < n; i++)
        if (!strcmp(names[i], text))
            return i;
    gn_fail(g, op, "unknown %s '%s'", attr, text ? text : "");
    return -1;
}

bool gn_is_empty(const adze_shape *shape) {
    for (int d = 0; d < shape->rank; d++)
        if (!shape->dims[d])
            return true;
    return false;
}

/* ---- loops ---- */

adze_nest gn_nest(adze_gen *g, MlirValue value, int rank, const bool *skip, MlirValue *index) {
    MlirValue extents[ADZE_MAX_RANK] = {{NULL}}, at[ADZE_MAX_RANK];
    const char *names[ADZE_MAX_RANK] = {NULL};
    int axes[ADZE_MAX_RANK], n = 0;
    for (int d = 0; d < rank; d++) {
        if (skip && skip[d])
            continue;
        names[n] = adze_arena_printf(g->ctx->arena, "i%d", d);
        extents[n] = adze_extent(g, value, d);
        axes[n++] = d;
    }
    adze_nest nest = adze_nest_begin(g, n, extents, names, at);
    for (int i = 0; i < n; i++)
        index[axes[i]] = at[i];
    return nest;
}

gn_loop gn_loop_begin(adze_gen *g, const char *name, MlirValue low, MlirValue high, int n,
                      const adze_scalar *init, const char *const *names) {
    MlirValue values[ADZE_MAX_CARRIED];
    gn_loop l = {.n = n};
    for (int i = 0; i < n; i++)
        values[i] = init[i].value;
    l.loop = adze_for_begin(g, name, low, high, adze_index(g, 1), n, values, names);
    l.iv = l.loop.iv;
    for (int i = 0; i < n; i++)
        l.carried[i] = (adze_scalar){l.loop.carried[i], init[i].dtype};
    return l;
}

void gn_loop_end(adze_gen *g, gn_loop *l, const adze_scalar *next, adze_scalar *results) {
    MlirValue values[ADZE_MAX_CARRIED];
    for (int i = 0; i < l->n; i++)
        values[i] = next[i].value;
    adze_for_end(g, &l->loop, values, values);
    for (int i = 0; i < l->n; i++)
        results[i] = (adze_scalar){values[i], l->carried[i].dtype};
}

static MlirLocation named(adze_gen *g, const char *name, MlirLocation inner) {
    return mlirLocationNameGet(g->ctx->mlir, mlirStringRefCreateFromCString(name), inner);
}

gn_while gn_while_begin(adze_gen *g, int n, const MlirValue *init, const char *const *names) {
    gn_while w = {.n = n, .n_reads = g->n_reads};
    MlirType types[ADZE_MAX_CARRIED];
    MlirLocation unknown = mlirLocationUnknownGet(g->ctx->mlir), chain = unknown;
    MlirLocation locs[ADZE_MAX_CARRIED];
    if (n > ADZE_MAX_CARRIED)
        abort();
    for (int i = n - 1; i >= 0; i--) {
        types[i] = mlirValueGetType(init[i]);
        locs[i] = named(g, names[i], unknown);
        chain = named(g, names[i], chain);
    }
    MlirOperationState state =
        mlirOperationStateGet(mlirStringRefCreateFromCString("scf.while"), chain);
    mlirOperationStateAddOperands(&state, n, init);
    mlirOperationStateAddResults(&state, n, types);
    MlirRegion regions[2] = {mlirRegionCreate(), mlirRegionCreate()};
    for (int r = 0; r < 2; r++)
        mlirRegionAppendOwnedBlock(regions[r], mlirBlockCreate(n, types, locs));
    mlirOperationStateAddOwnedRegions(&state, 2, regions);
    w.op = mlirOperationCreate(&state);
    adze_insert(&g->b, w.op);
    w.outer = g->b;
    g->b = adze_at_end(g->ctx, mlirRegionGetFirstBlock(mlirOperationGetRegion(w.op, 0)));
    for (int i = 0; i < n; i++)
        w.carried[i] = mlirBlockGetArgument(g->b.block, i);
    return w;
}

/* What was read inside is not visible where building goes on. */
static void forget_reads(adze_gen *g, int n_reads) {
    g->n_reads = n_reads;
    if (g->stale_reads > n_reads)
        g->stale_reads = n_reads;
}

void gn_while_do(adze_gen *g, gn_while *w, MlirValue condition) {
    MlirValue operands[1 + ADZE_MAX_CARRIED] = {condition};
    memcpy(operands + 1, w->carried, sizeof w->carried);
    adze_build(&g->b, "scf.condition", 1 + w->n, operands, 0, NULL, 0, NULL, 0);
    forget_reads(g, w->n_reads);
    g->b = adze_at_end(g->ctx, mlirRegionGetFirstBlock(mlirOperationGetRegion(w->op, 1)));
    for (int i = 0; i < w->n; i++)
        w->carried[i] = mlirBlockGetArgument(g->b.block, i);
}

void gn_while_end(adze_gen *g, gn_while *w, const MlirValue *next, MlirValue *results) {
    adze_build(&g->b, "scf.yield", w->n, next, 0, NULL, 0, NULL, 0);
    g->b = w->outer;
    forget_reads(g, w->n_reads);
    for (int i = 0; i < w->n; i++)
        results[i] = mlirOperationGetResult(w->op, i);
}
