/* Copying the body of a marked loop, one operation at a time: see vectorize.h. */
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- what became of a value ---- */

static size_t place_of(const adze_vz *v, MlirValue old) {
    size_t at = ((uintptr_t)old.ptr * 0x9e3779b97f4a7c15u >> 20) & (v->map_size - 1);
    while (v->map[at].old.ptr && !mlirValueEqual(v->map[at].old, old))
        at = (at + 1) & (v->map_size - 1);
    return at;
}

void adze_vz_forget(adze_vz *v) {
    if (!v->map) {
        v->map_size = 256;
        v->map = ADZE_NEW_ARRAY(v->ctx->arena, adze_vz_entry, v->map_size);
    }
    memset(v->map, 0, v->map_size * sizeof *v->map);
    v->map_count = 0;
}

void adze_vz_set(adze_vz *v, MlirValue old, adze_vz_value value) {
    if (2 * v->map_count >= v->map_size) {
        adze_vz_entry *before = v->map;
        size_t n = v->map_size;
        v->map_size *= 2;
        v->map = ADZE_NEW_ARRAY(v->ctx->arena, adze_vz_entry, v->map_size);
        memset(v->map, 0, v->map_size * sizeof *v->map);
        for (size_t i = 0; i < n; i++)
            if (before[i].old.ptr)
                v->map[place_of(v, before[i].old)] = before[i];
    }
    size_t at = place_of(v, old);
    v->map_count += !v->map[at].old.ptr;
    v->map[at] = (adze_vz_entry){old, value};
}

adze_vz_value adze_vz_get(adze_vz *v, MlirValue old) {
    const adze_vz_entry *e = &v->map[place_of(v, old)];
    return e->old.ptr ? e->value
                      : (adze_vz_value){ADZE_VZ_UNIFORM, old, 0}; /* from outside the loop */
}

static void set(adze_vz *v, MlirOperation op, adze_vz_kind kind, MlirValue now, int64_t coef) {
    adze_vz_set(v, mlirOperationGetResult(op, 0), (adze_vz_value){kind, now, coef});
}

static bool is_forced(const adze_vz *v, MlirValue old) {
    for (int i = 0; i < v->n_forced; i++)
        if (mlirValueEqual(v->forced[i], old))
            return true;
    return false;
}

/* `old` was taken for uniform and is not: notes it for the next attempt. */
static bool force(adze_vz *v, MlirValue old) {
    if (v->n_forced == v->max_forced) {
        int n = v->max_forced ? 2 * v->max_forced : 16;
        MlirValue *grown = ADZE_NEW_ARRAY(v->ctx->arena, MlirValue, (size_t)n);
        if (v->n_forced)
            memcpy(grown, v->forced, (size_t)v->n_forced * sizeof *grown);
        v->forced = grown;
        v->max_forced = n;
    }
    v->forced[v->n_forced++] = old;
    v->retry = true;
    return false;
}

MlirValue adze_vz_varying(adze_vz *v, adze_vz_value value) {
    if (value.kind == ADZE_VZ_VARYING)
        return value.now;
    if (value.kind == ADZE_VZ_AFFINE) {
        adze_vz_fail(v, true, "the loop's index is used as a number");
        return (MlirValue){NULL};
    }
    return adze_vz_splat(v, value.now);
}

/* ---- plain operations ---- */

static bool copy(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    MlirOperation again = mlirOperationClone(op);
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        mlirOperationSetOperand(again, i, in[i].now);
    adze_insert(&v->b, again);
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        adze_vz_set(v, mlirOperationGetResult(op, i),
                    (adze_vz_value){ADZE_VZ_UNIFORM, mlirOperationGetResult(again, i), 0});
    return true;
}

/* Indices: sums and products of the loop's index keep a known step from lane to lane. */
static bool affine(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    int64_t factor, coef = 0;
    bool a = in[0].kind == ADZE_VZ_AFFINE,
         c = mlirOperationGetNumOperands(op) > 1 && in[1].kind == ADZE_VZ_AFFINE;
    if (adze_is_op(op, "arith.addi")) {
        coef = in[0].coef + in[1].coef;
    } else if (adze_is_op(op, "arith.subi")) {
        coef = in[0].coef - in[1].coef;
    } else if (adze_is_op(op, "arith.muli") && a != c) {
        MlirOperation by = adze_defining(in[a ? 1 : 0].now);
        if (mlirOperationIsNull(by) || !adze_is_op(by, "arith.constant"))
            return adze_vz_fail(v, true, "an index is multiplied by a number that is not constant");
        factor = mlirIntegerAttrGetValueInt(adze_get(by, "value"));
        if (__builtin_mul_overflow(in[a ? 0 : 1].coef, factor, &coef))
            return adze_vz_fail(v, true, "an index is out of range");
    } else {
        MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
        return adze_vz_fail(v, true, "%.*s of the loop's index", (int)name.length, name.data);
    }
    copy(v, op, in);
    MlirValue now = adze_vz_get(v, mlirOperationGetResult(op, 0)).now;
    set(v, op, coef ? ADZE_VZ_AFFINE : ADZE_VZ_UNIFORM, now, coef);
    return true;
}

/* Operations that mean the same lane by lane. `kind`: how the name of its row goes on. */
static const struct {
    const char *name, *kind; /* attribute */
} elementwise[] = {
    {"arith.addf", NULL},        {"arith.subf", NULL},    {"arith.mulf", NULL},
    {"arith.divf", NULL},        {"arith.negf", NULL},    {"arith.maximumf", NULL},
    {"arith.minimumf", NULL},    {"arith.maxnumf", NULL}, {"arith.minnumf", NULL},
    {"arith.addi", NULL},        {"arith.subi", NULL},    {"arith.muli", NULL},
    {"arith.maxsi", NULL},       {"arith.minsi", NULL},   {"arith.maxui", NULL},
    {"arith.minui", NULL},       {"arith.andi", NULL},    {"arith.ori", NULL},
    {"arith.xori", NULL},        {"arith.shli", NULL},    {"arith.shrsi", NULL},
    {"arith.shrui", NULL},       {"arith.select", NULL},  {"arith.cmpf", "predicate"},
    {"arith.cmpi", "predicate"}, {"arith.extsi", NULL},   {"arith.extui", NULL},
    {"arith.extf", NULL},        {"arith.trunci", NULL},  {"arith.truncf", NULL},
    {"arith.sitofp", NULL},      {"arith.uitofp", NULL},  {"arith.bitcast", NULL},
    {"math.fma", NULL},          {"math.absf", NULL},     {"math.absi", NULL},
    {"math.sqrt", NULL},         {"math.floor", NULL},    {"math.ceil", NULL},
    {"math.roundeven", NULL},    {"math.trunc", NULL},    {"math.copysign", NULL},
};

static bool is_index(MlirValue value) {
    return mlirTypeIsAIndex(mlirValueGetType(value));
}

/* y = max(x, c): where c is a constant and no NaN, a cheaper instruction will do. */
static const char *row_kind(const adze_vz *v, MlirOperation op, MlirValue last) {
    if (!adze_is_op(op, "arith.maximumf") && !adze_is_op(op, "arith.minimumf"))
        return NULL;
    MlirOperation constant = adze_defining(last);
    (void)v;
    return !mlirOperationIsNull(constant) && adze_is_op(constant, "arith.constant") ? "constant"
                                                                                    : NULL;
}

/* Which operand of a sum became part of a fused multiply-add in the vector copy; -1: none. */
static int fused_operand(const adze_vz *v, MlirOperation op) {
    for (int i = 0; i < v->n_fused; i++)
        if (mlirOperationEqual(v->fused[i].op, op))
            return v->fused[i].operand;
    return -1;
}

static void note_fused(adze_vz *v, MlirOperation op, int operand) {
    if (fused_operand(v, op) >= 0)
        return;
    if (v->n_fused == v->max_fused) {
        int n = v->max_fused ? 2 * v->max_fused : 16;
        adze_vz_fused *grown = ADZE_NEW_ARRAY(v->ctx->arena, adze_vz_fused, (size_t)n);
        if (v->n_fused)
            memcpy(grown, v->fused, (size_t)v->n_fused * sizeof *grown);
        v->fused = grown;
        v->max_fused = n;
    }
    v->fused[v->n_fused++] = (adze_vz_fused){op, operand};
}

/* a * b + c in one operation where the target has it; in scalar copies where the vector copy did.
 */
static bool fuse(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    if (!adze_is_op(op, "arith.addf"))
        return false;
    for (int i = 0; i < 2; i++) {
        MlirOperation product = adze_defining(in[i].now);
        if (mlirOperationIsNull(product) || !adze_is_op(product, "arith.mulf"))
            continue;
        MlirValue a = mlirOperationGetOperand(product, 0), b = mlirOperationGetOperand(product, 1);
        MlirType type = mlirValueGetType(a), types[] = {type, type, type};
        if (v->lanes
                ? in[i].kind != ADZE_VZ_VARYING || !adze_vz_has(v, "math.fma", NULL, type, 3, types)
                : fused_operand(v, op) != i)
            continue;
        MlirValue c = v->lanes ? adze_vz_varying(v, in[1 - i]) : in[1 - i].now;
        if (v->why)
            return true;
        MlirValue y = adze_build1(&v->b, "math.fma", 3, (MlirValue[]){a, b, c}, type, 0, NULL);
        set(v, op, v->lanes ? ADZE_VZ_VARYING : ADZE_VZ_UNIFORM, y, 0);
        note_fused(v, op, i);
        return true;
    }
    return false;
}

static bool saturating(adze_vz *v, MlirOperation op, const adze_vz_value *in);

/* 1 where a condition holds, else 0: masks are not numbers. */
static bool number_of_truth(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    MlirValue condition = adze_vz_varying(v, in[0]);
    MlirType type = adze_vz_type(v, mlirValueGetType(mlirOperationGetResult(op, 0)));
    bool real = adze_is_op(op, "arith.uitofp");
    MlirValue one = real ? adze_vz_float(v, type, 1) : adze_vz_int(v, type, 1);
    MlirValue zero = real ? adze_vz_float(v, type, 0) : adze_vz_int(v, type, 0);
    set(v, op, ADZE_VZ_VARYING, adze_vz_select(v, condition, one, zero), 0);
    return !v->why;
}

static bool varying(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    intptr_t n = mlirOperationGetNumOperands(op);
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    MlirValue x[4];
    if (n > 4 || mlirOperationGetNumResults(op) != 1)
        return adze_vz_fail(v, true, "%.*s is no operation on lanes", (int)name.length, name.data);
    if (adze_is_op(op, "arith.fptosi") || adze_is_op(op, "arith.fptoui"))
        return saturating(v, op, in);
    bool math = adze_vz_has_math(op), cast = adze_is_op(op, "builtin.unrealized_conversion_cast");
    size_t row = 0;
    while (row < ADZE_COUNT(elementwise) && (strlen(elementwise[row].name) != name.length ||
                                             memcmp(elementwise[row].name, name.data, name.length)))
        row++;
    if (row == ADZE_COUNT(elementwise) && !math && !cast)
        return adze_vz_fail(v, true, "%.*s is no operation on lanes", (int)name.length, name.data);
    if (is_index(mlirOperationGetResult(op, 0)) || is_index(mlirOperationGetOperand(op, n - 1)))
        return adze_vz_fail(v, true, "%.*s of indices that differ from lane to lane",
                            (int)name.length, name.data);
    if (fuse(v, op, in))
        return !v->why;
    if (adze_is_op(op, "arith.uitofp") || adze_is_op(op, "arith.extui"))
        if (mlirTypeIsAInteger(mlirValueGetType(mlirOperationGetOperand(op, 0))) &&
            mlirIntegerTypeGetWidth(mlirValueGetType(mlirOperationGetOperand(op, 0))) == 1)
            return number_of_truth(v, op, in);
    bool shared =
        adze_is_op(op, "arith.select") && in[0].kind == ADZE_VZ_UNIFORM; /* one condition for all */
    for (intptr_t i = 0; i < n; i++)
        x[i] = shared && i == 0 ? in[i].now : adze_vz_varying(v, in[i]);
    if (v->why)
        return false;
    MlirType type = adze_vz_type(v, mlirValueGetType(mlirOperationGetResult(op, 0)));
    MlirValue y;
    v->b.name = adze_location_name(v->ctx, op, NULL);
    if (math) {
        v->b.name = NULL;
        y = adze_vz_math(v, op, x);
    } else if (shared) {
        y = adze_build1(&v->b, "arith.select", 3, x, type, 0, NULL);
    } else if (cast) {
        y = adze_build1(&v->b, "builtin.unrealized_conversion_cast", 1, x, type, 0, NULL);
    } else {
        char kind[16];
        adze_named attr = {elementwise[row].kind, {NULL}};
        const char *goes_on = row_kind(v, op, x[n - 1]);
        MlirType types[4];
        for (intptr_t i = 0; i < n; i++)
            types[i] = mlirValueGetType(x[i]);
        if (goes_on && !adze_vz_has(v, elementwise[row].name, goes_on, type, (int)n, types))
            goes_on = NULL;
        if (attr.name) {
            attr.value = adze_get(op, attr.name);
            snprintf(kind, sizeof kind, "%d", (int)mlirIntegerAttrGetValueInt(attr.value));
            goes_on = kind;
        }
        y = adze_vz_op(v, elementwise[row].name, goes_on, (int)n, x, type, attr.name != NULL,
                       &attr);
    }
    v->b.name = NULL;
    set(v, op, ADZE_VZ_VARYING, y, 0);
    return !v->why;
}

/* Float to an integer as adze_convert.h does it: by way of i32, whose row goes to the nearest end
 * and takes NaN to 0; then to the nearest end of the narrower type. */
static bool saturating(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    MlirType to = mlirValueGetType(mlirOperationGetResult(op, 0));
    MlirType i32 = mlirIntegerTypeGet(v->ctx->mlir, 32);
    bool is_signed = adze_is_op(op, "arith.fptosi");
    MlirValue x = adze_vz_varying(v, in[0]);
    if (v->why)
        return false;
    unsigned bits = mlirIntegerTypeGetWidth(to);
    MlirType wide = adze_vz_type(v, bits < 32 ? i32 : to);
    MlirValue y = adze_vz_op(v, bits < 32 || is_signed ? "arith.fptosi" : "arith.fptoui", NULL, 1,
                             &x, wide, 0, NULL);
    if (bits < 32) {
        int64_t high = is_signed ? ((int64_t)1 << (bits - 1)) - 1 : ((int64_t)1 << bits) - 1;
        int64_t low = is_signed ? -high - 1 : 0;
        y = adze_vz_binary(v, "arith.maxsi", y, adze_vz_int(v, wide, low));
        y = adze_vz_binary(v, "arith.minsi", y, adze_vz_int(v, wide, high));
        y = adze_vz_op(v, "arith.trunci", NULL, 1, &y, adze_vz_type(v, to), 0, NULL);
    }
    set(v, op, ADZE_VZ_VARYING, y, 0);
    return !v->why;
}

/* ---- control flow: the same for all lanes ---- */

/* Maps what a region yields to what its operation was built to give. False: one varies and was not
 * known to. */
static bool yielded(adze_vz *v, MlirBlock block, const MlirValue *old, intptr_t n, MlirValue *out) {
    MlirOperation end = mlirBlockGetTerminator(block);
    bool ok = true;
    for (intptr_t i = 0; i < n; i++) {
        adze_vz_value y = adze_vz_get(v, mlirOperationGetOperand(end, i));
        if (is_forced(v, old[i]))
            out[i] = adze_vz_varying(v, y);
        else if (y.kind == ADZE_VZ_UNIFORM)
            out[i] = y.now;
        else if (y.kind == ADZE_VZ_AFFINE)
            return adze_vz_fail(v, true, "an index is carried around an inner loop");
        else
            ok = force(v, old[i]);
    }
    return ok && !v->why;
}

enum { MAX_CARRIED = 64 };

static bool copy_for(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
    intptr_t n = mlirOperationGetNumResults(op);
    MlirValue operands[3 + MAX_CARRIED], carried[MAX_CARRIED];
    MlirType types[1 + MAX_CARRIED] = {adze_index_type(v->ctx)};
    MlirLocation locs[1 + MAX_CARRIED];
    if (n > MAX_CARRIED)
        return adze_vz_fail(v, true, "an inner loop carries too many values");
    for (int i = 0; i < 3; i++) {
        if (in[i].kind != ADZE_VZ_UNIFORM)
            return adze_vz_fail(v, true, "an inner loop's bounds differ from lane to lane");
        operands[i] = in[i].now;
    }
    locs[0] = mlirOperationGetLocation(op);
    for (intptr_t i = 0; i < n; i++) {
        carried[i] = mlirBlockGetArgument(body, 1 + i);
        if (in[3 + i].kind == ADZE_VZ_AFFINE)
            return adze_vz_fail(v, true, "an index is carried around an inner loop");
        if (in[3 + i].kind == ADZE_VZ_VARYING && !is_forced(v, carried[i]))
            force(v, carried[i]);
        operands[3 + i] = is_forced(v, carried[i]) ? adze_vz_varying(v, in[3 + i]) : in[3 + i].now;
        if (v->why)
            return false;
        types[1 + i] = mlirValueGetType(operands[3 + i]);
        locs[1 + i] = mlirValueGetLocation(carried[i]);
    }
    if (v->retry)
        return false;
    MlirOperationState state =
        mlirOperationStateGet(mlirStringRefCreateFromCString("scf.for"), locs[0]);
    mlirOperationStateAddOperands(&state, 3 + n, operands);
    mlirOperationStateAddResults(&state, n, types + 1);
    MlirRegion region = mlirRegionCreate();
    MlirBlock block = mlirBlockCreate(1 + n, types, locs);
    mlirRegionAppendOwnedBlock(region, block);
    mlirOperationStateAddOwnedRegions(&state, 1, &region);
    MlirOperation loop = mlirOperationCreate(&state);
    adze_insert(&v->b, loop);
    adze_vz_set(v, mlirBlockGetArgument(body, 0),
                (adze_vz_value){ADZE_VZ_UNIFORM, mlirBlockGetArgument(block, 0), 0});
    for (intptr_t i = 0; i < n; i++)
        adze_vz_set(v, carried[i],
                    (adze_vz_value){is_forced(v, carried[i]) ? ADZE_VZ_VARYING : ADZE_VZ_UNIFORM,
                                    mlirBlockGetArgument(block, 1 + i), 0});
    adze_builder outer = v->b;
    v->b = adze_at_end(v->ctx, block);
    MlirValue results[MAX_CARRIED];
    bool ok = adze_vz_block(v, body) && yielded(v, body, carried, n, results);
    if (ok)
        adze_build(&v->b, "scf.yield", (int)n, results, 0, NULL, 0, NULL, 0);
    v->b = outer;
    for (intptr_t i = 0; i < n; i++)
        adze_vz_set(v, mlirOperationGetResult(op, i),
                    (adze_vz_value){is_forced(v, carried[i]) ? ADZE_VZ_VARYING : ADZE_VZ_UNIFORM,
                                    mlirOperationGetResult(loop, i), 0});
    return ok;
}

static MlirBlock branch(MlirOperation op, int which) {
    return mlirRegionGetFirstBlock(mlirOperationGetRegion(op, which));
}

/* Operations that may be computed where the model would not: no memory, no control flow, no
 * division. */
static bool speculates(MlirBlock block) {
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
        bool pure =
            name.length > 6 && (!memcmp(name.data, "arith.", 6) || !memcmp(name.data, "math.", 5));
        if (!pure && !adze_is_op(op, "scf.yield") &&
            !adze_is_op(op, "builtin.unrealized_conversion_cast"))
            return false;
        if (adze_is_op(op, "arith.divsi") || adze_is_op(op, "arith.remsi") ||
            adze_is_op(op, "arith.divui") || adze_is_op(op, "arith.remui"))
            return false;
    }
    return true;
}

static bool select_branches(adze_vz *v, MlirOperation op, MlirValue condition) {
    intptr_t n = mlirOperationGetNumResults(op);
    if (!n || !speculates(branch(op, 0)) || !speculates(branch(op, 1)))
        return adze_vz_fail(v, true, "a branch differs from lane to lane");
    if (!adze_vz_block(v, branch(op, 0)) || !adze_vz_block(v, branch(op, 1)))
        return false;
    for (intptr_t i = 0; i < n; i++) {
        MlirValue y[2];
        for (int k = 0; k < 2; k++)
            y[k] = adze_vz_varying(
                v,
                adze_vz_get(v, mlirOperationGetOperand(mlirBlockGetTerminator(branch(op, k)), i)));
        adze_vz_set(v, mlirOperationGetResult(op, i),
                    (adze_vz_value){ADZE_VZ_VARYING, adze_vz_select(v, condition, y[0], y[1]), 0});
    }
    return !v->why;
}

static bool copy_if(adze_vz *v, MlirOperation op, const adze_vz_value *in) {
    if (in[0].kind == ADZE_VZ_VARYING)
        return select_branches(v, op, in[0].now);
    intptr_t n = mlirOperationGetNumResults(op);
    MlirValue old[MAX_CARRIED], results[MAX_CARRIED];
    MlirType types[MAX_CARRIED];
    if (n > MAX_CARRIED)
        return adze_vz_fail(v, true, "a branch has too many results");
    for (intptr_t i = 0; i < n; i++) {
        old[i] = mlirOperationGetResult(op, i);
        types[i] = is_forced(v, old[i]) ? adze_vz_type(v, mlirValueGetType(old[i]))
                                        : mlirValueGetType(old[i]);
    }
    MlirOperation made = adze_build(&v->b, "scf.if", 1, &in[0].now, (int)n, types, 0, NULL, 2);
    adze_builder outer = v->b;
    bool ok = true;
    for (int k = 0; k < 2; k++) {
        MlirBlock from = branch(op, k);
        if (!from.ptr)
            continue;
        MlirBlock to = mlirBlockCreate(0, NULL, NULL);
        mlirRegionAppendOwnedBlock(mlirOperationGetRegion(made, k), to);
        v->b = adze_at_end(v->ctx, to);
        ok = ok && adze_vz_block(v, from) && yielded(v, from, old, n, results);
        if (ok)
            adze_build(&v->b, "scf.yield", (int)n, results, 0, NULL, 0, NULL, 0);
    }
    v->b = outer;
    for (intptr_t i = 0; i < n; i++)
        adze_vz_set(v, old[i],
                    (adze_vz_value){is_forced(v, old[i]) ? ADZE_VZ_VARYING : ADZE_VZ_UNIFORM,
                                    mlirOperationGetResult(made, i), 0});
    return ok;
}

/* ---- one operation ---- */

static bool one(adze_vz *v, MlirOperation op) {
    for (int i = 0; i < v->n_reductions; i++)
        if (mlirOperationEqual(v->reductions[i].op, op) ||
            mlirOperationEqual(v->reductions[i].compare, op))
            return true; /* vectorize.c combines */
    enum { MOST = 3 + MAX_CARRIED };
    adze_vz_value in[MOST];
    intptr_t n = mlirOperationGetNumOperands(op);
    if (n > MOST)
        return adze_vz_fail(v, true, "an operation has too many operands");
    bool uniform = true, index = false;
    for (intptr_t i = 0; i < n; i++) {
        in[i] = adze_vz_get(v, mlirOperationGetOperand(op, i));
        uniform &= in[i].kind == ADZE_VZ_UNIFORM;
        index |= in[i].kind == ADZE_VZ_AFFINE;
    }
    if (adze_is_op(op, "memref.load"))
        return adze_vz_load(v, op);
    if (adze_is_op(op, "memref.store"))
        return adze_vz_store(v, op);
    if (adze_is_op(op, "scf.for"))
        return copy_for(v, op, in);
    if (adze_is_op(op, "scf.if"))
        return copy_if(v, op, in);
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    if (mlirOperationGetNumRegions(op) || adze_is_op(op, "func.call") ||
        adze_is_op(op, "memref.alloca"))
        return adze_vz_fail(v, true, "%.*s inside the loop", (int)name.length, name.data);
    /* also where all lanes share it: tails and full turns give the same bits */
    if (uniform && adze_vz_has_math(op)) {
        set(v, op, ADZE_VZ_UNIFORM, adze_vz_math(v, op, (MlirValue[]){in[0].now, in[n - 1].now}),
            0);
        return !v->why;
    }
    if (uniform && !v->lanes && fuse(v, op, (adze_vz_value[]){in[0], in[n - 1]}))
        return !v->why;
    if (uniform)
        return copy(v, op, in);
    if (index)
        return affine(v, op, in);
    if (adze_is_op(op, "adze.requantize")) {
        set(v, op, ADZE_VZ_VARYING, adze_vz_requantize(v, op), 0);
        return !v->why;
    }
    return varying(v, op, in);
}

bool adze_vz_block(adze_vz *v, MlirBlock block) {
    MlirOperation end = mlirBlockGetTerminator(block);
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationEqual(op, end);
         op = mlirOperationGetNextInBlock(op))
        if (!one(v, op))
            return false;
    return true;
}
