/* Values carried around a marked loop: acc = combine(acc, x). Lanes keep partial results, which are
 * combined behind the loop. */
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *op, *kind;
    char neutral;
} combines[] = {
    {"arith.addf", "add", '0'},          {"arith.addi", "add", '0'},
    {"arith.mulf", "mul", '1'},          {"arith.muli", "mul", '1'},
    {"arith.maximumf", "maximumf", 'l'}, {"arith.minimumf", "minimumf", 'h'},
    {"arith.maxsi", "maxsi", 'l'},       {"arith.minsi", "minsi", 'h'},
    {"arith.maxui", "maxui", 'L'},       {"arith.minui", "minui", 'H'},
};

static bool used_once(MlirValue value) {
    MlirOpOperand use = mlirValueGetFirstUse(value);
    return !mlirOpOperandIsNull(use) && mlirOpOperandIsNull(mlirOpOperandGetNextUse(use));
}

static bool is(MlirValue a, MlirValue b) {
    return mlirValueEqual(a, b);
}

/* acc = combine(acc, x) */
static bool plain(adze_vz_reduction *r, MlirValue acc) {
    size_t k = 0;
    while (k < ADZE_COUNT(combines) && !adze_is_op(r->op, combines[k].op))
        k++;
    if (k == ADZE_COUNT(combines) || !used_once(acc))
        return false;
    MlirValue a = mlirOperationGetOperand(r->op, 0), b = mlirOperationGetOperand(r->op, 1);
    r->name = combines[k].op;
    r->x = is(a, acc) ? b : a;
    r->kind = combines[k].kind;
    r->neutral = combines[k].neutral;
    return is(a, acc) != is(b, acc);
}

/* acc = x < acc ? x : acc, or with >, on floats: NaN in x is passed over. */
static bool chosen(adze_vz_reduction *r, MlirValue acc) {
    if (!adze_is_op(r->op, "arith.select") || !is(mlirOperationGetOperand(r->op, 2), acc))
        return false;
    r->x = mlirOperationGetOperand(r->op, 1);
    r->compare = adze_defining(mlirOperationGetOperand(r->op, 0));
    if (mlirOperationIsNull(r->compare) || !adze_is_op(r->compare, "arith.cmpf") ||
        !used_once(mlirOperationGetResult(r->compare, 0)) ||
        !is(mlirOperationGetOperand(r->compare, 0), r->x) ||
        !is(mlirOperationGetOperand(r->compare, 1), acc) || is(r->x, acc))
        return false;
    int uses = 0;
    for (MlirOpOperand use = mlirValueGetFirstUse(acc); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use))
        uses++;
    int64_t predicate = mlirIntegerAttrGetValueInt(adze_get(r->compare, "predicate"));
    bool greater = predicate == 2;
    r->name = "arith.select";
    r->kind = greater ? "maximumf" : "minimumf";
    r->neutral = greater ? 'l' : 'h';
    return uses == 2 && (greater || predicate == 4);
}

bool adze_vz_reductions(adze_vz *v) {
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(v->loop, 0));
    MlirOperation end = mlirBlockGetTerminator(body);
    intptr_t n = mlirOperationGetNumResults(v->loop);
    v->n_reductions = 0;
    if (n > ADZE_VZ_MAX_REDUCTIONS)
        return adze_vz_fail(v, true, "the loop carries too many values");
    for (intptr_t i = 0; i < n; i++) {
        MlirValue acc = mlirBlockGetArgument(body, 1 + i), next = mlirOperationGetOperand(end, i);
        adze_vz_reduction r = {.op = adze_defining(next), .type = mlirValueGetType(acc)};
        if (mlirOperationIsNull(r.op) || !mlirBlockEqual(mlirOperationGetBlock(r.op), body) ||
            !used_once(next) || !(plain(&r, acc) || chosen(&r, acc)))
            return adze_vz_fail(v, true, "a turn needs a result of the one before it");
        v->reductions[v->n_reductions++] = r;
    }
    return true;
}

MlirValue adze_vz_neutral(adze_vz *v, const adze_vz_reduction *r, MlirType type) {
    if (!mlirTypeIsAInteger(r->type))
        return adze_vz_float(v, type,
                             r->neutral == 'l'   ? -INFINITY
                             : r->neutral == 'h' ? INFINITY
                                                 : r->neutral - '0');
    unsigned bits = mlirIntegerTypeGetWidth(r->type);
    int64_t highest = (int64_t)(UINT64_MAX >> (65 - bits));
    return adze_vz_int(v, type,
                       r->neutral == 'l'   ? -highest - 1
                       : r->neutral == 'h' ? highest
                       : r->neutral == 'L' ? 0
                       : r->neutral == 'H' ? -1
                                           : r->neutral - '0');
}

MlirValue adze_vz_combine(adze_vz *v, const adze_vz_reduction *r, MlirValue acc, MlirValue x) {
    if (!mlirOperationIsNull(r->compare)) {
        int predicate = (int)mlirIntegerAttrGetValueInt(adze_get(r->compare, "predicate"));
        return adze_vz_select(v, adze_vz_compare(v, "arith.cmpf", predicate, x, acc), x, acc);
    }
    MlirOperation product = x.ptr ? adze_defining(x) : (MlirOperation){NULL};
    if (!v->why && !strcmp(r->name, "arith.addf") && !mlirOperationIsNull(product) &&
        adze_is_op(product, "arith.mulf") && mlirTypeIsAVector(mlirValueGetType(x)))
        return adze_vz_fma(v, mlirOperationGetOperand(product, 0),
                           mlirOperationGetOperand(product, 1), acc);
    return adze_vz_binary(v, r->name, acc, x);
}

MlirValue adze_vz_across(adze_vz *v, const adze_vz_reduction *r, MlirValue vector) {
    char text[64];
    snprintf(text, sizeof text, "#vector.kind<%s>", r->kind);
    adze_named kind = {"kind", adze_parse_attr(v->ctx, text)};
    return adze_vz_op(v, "vector.reduction", r->kind, 1, &vector, r->type, 1, &kind);
}
