/* Vector operations: each finds its row of the target's instruction table (vector.c, emit_row.c). What is not plain
 * "operands in, result out" has a handler of its own: memory, constants, comparisons, shifts. */
#include "codegen/emit_vector.h"

#include <string.h>

static bool is_vector(MlirValue value) { return mlirTypeIsAVector(type_of(value)); }

bool emit_touches_vectors(MlirOperation op) {
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        if (is_vector(mlirOperationGetOperand(op, i)))
            return true;
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        if (is_vector(mlirOperationGetResult(op, i)))
            return true;
    return false;
}

/* ---- plain operations ---- */

static bool plain(emitter *em, MlirOperation op, const char *key, int n, expr *args, const MlirType *types) {
    adze_vector_match match;
    if (!emit_find_row(em, op, key, type_of(result_of(op)), n, types, &match))
        return false;
    if (match.swap) {
        expr t = args[0];
        args[0] = args[1], args[1] = t;
    }
    expr e = expr_row(em, op, match.row, args);
    if (match.negate)
        e = expr_row(em, op, match.negate, &e);
    emit_pure(em, result_of(op), e);
    return true;
}

enum { MOST_OPERANDS = 8 };

static bool plain_of(emitter *em, MlirOperation op, const char *key) {
    expr args[MOST_OPERANDS];
    MlirType types[MOST_OPERANDS];
    int n = (int)mlirOperationGetNumOperands(op);
    for (int i = 0; i < n && i < MOST_OPERANDS; i++) {
        args[i] = emit_use(em, operand_of(op, i));
        types[i] = type_of(operand_of(op, i));
    }
    return plain(em, op, key, n, args, types);
}

/* ---- constants ---- */

/* The one value of all lanes, as an attribute; null when there is none. */
static MlirAttribute splat_of(MlirValue value) {
    MlirOperation op = adze_defining(value);
    MlirAttribute none = {NULL};
    if (mlirOperationIsNull(op))
        return none;
    if (adze_is_op(op, "vector.broadcast")) {
        op = adze_defining(operand_of(op, 0));
        return mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant") ? none : adze_get(op, "value");
    }
    if (!adze_is_op(op, "arith.constant"))
        return none;
    MlirAttribute a = adze_get(op, "value");
    return mlirAttributeIsADenseElements(a) && mlirDenseElementsAttrIsSplat(a)
               ? mlirDenseElementsAttrGetSplatValue(a)
               : none;
}

static bool is_number(MlirValue value) {
    MlirAttribute a = splat_of(value);
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAFloat(a))
        return false;
    double v = mlirFloatAttrGetValueDouble(a);
    return v == v;
}

static bool is_integer_splat(MlirValue value, int64_t *out) {
    MlirAttribute a = splat_of(value);
    if (mlirAttributeIsNull(a) || !mlirAttributeIsAInteger(a))
        return false;
    *out = mlirIntegerAttrGetValueInt(a);
    return true;
}

/* Vector constants are not named: a splat reads best where it is used, and compilers hoist it. */
static bool constant(emitter *em, MlirOperation op) {
    const adze_target *t = em->m->target;
    MlirType type = type_of(result_of(op)), element = mlirShapedTypeGetElementType(type);
    MlirAttribute value = splat_of(result_of(op));
    if (mlirAttributeIsNull(value))
        return emit_error(em, op, "a vector constant whose lanes differ");
    bool real = mlirAttributeIsAFloat(value);
    double v = real ? mlirFloatAttrGetValueDouble(value) : 0;
    int64_t i = real                                   ? 0
                : mlirTypeIsAInteger(element) && mlirIntegerTypeIsUnsigned(element)
                    ? (int64_t)mlirIntegerAttrGetValueUInt(value)
                : mlirIntegerTypeIsSigned(element)     ? mlirIntegerAttrGetValueSInt(value)
                                                       : mlirIntegerAttrGetValueInt(value);
    adze_vector_match match;
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((real ? bits == 0 : i == 0) && adze_vector_find(t, "vector.zero", type, 0, NULL, &match)) {
        emit_bind(em, result_of(op), expr_row(em, op, match.row, NULL));
        return true;
    }
    if (!real && mlirIntegerTypeGetWidth(element) == 1 && i &&
        adze_vector_find(t, "vector.mask.all", type, 0, NULL, &match)) {
        emit_bind(em, result_of(op), expr_row(em, op, match.row, NULL));
        return true;
    }
    if (!emit_find_row(em, op, "vector.broadcast", type, 1, &element, &match))
        return false;
    int scalar = row_type(em, &match.row->operands[0]);
    expr e = real ? expr_float(em, scalar, v) : expr_int(em, scalar, i);
    emit_bind(em, result_of(op), expr_row(em, op, match.row, &e));
    return true;
}

/* ---- memory ---- */

static bool load(emitter *em, MlirOperation op) {
    MlirType type = type_of(result_of(op));
    const active_lanes *mask = row_mask(em, type);
    const adze_instruction *row = adze_vector_memory_row(em->m->target, false, mask, type);
    if (!row)
        return emit_no_row(em, op, mask ? "vector.load.masked" : "vector.load");
    binding *b = emit_memory_of(em, operand_of(op, 0), op);
    if (!b)
        return false;
    expr args[2];
    int n = 0;
    if (mask)
        args[n++] = expr_mask(mask);
    args[n] = expr_pointer(em, &row->operands[n], b, emit_flat_index(em, op, b, 1));
    emit_pure(em, result_of(op), expr_row(em, op, row, args));
    return true;
}

static bool store(emitter *em, MlirOperation op) {
    MlirType type = type_of(operand_of(op, 0));
    const active_lanes *mask = row_mask(em, type);
    const adze_instruction *row = adze_vector_memory_row(em->m->target, true, mask, type);
    if (!row)
        return emit_no_row(em, op, mask ? "vector.store.masked" : "vector.store");
    binding *b = emit_memory_of(em, operand_of(op, 1), op);
    if (!b)
        return false;
    expr args[3];
    int n = 0;
    if (mask)
        args[n++] = expr_mask(mask);
    args[n + 1] = emit_use(em, operand_of(op, 0));
    args[n] = expr_pointer(em, &row->operands[n], b, emit_flat_index(em, op, b, 2));
    expr e = expr_row(em, op, row, args);
    emit_flush(em, false);
    emit_line(em, "%s;", e.text);
    return true;
}

/* ---- operations with a case of their own ---- */

/* `x < k ? k : x` with a constant k is one instruction: NaN stays, as no comparison holds for it. (Which zero comes of
 * two of them is the target's business.) The key of its row, or NULL. */
static const char *clamp_key(emitter *em, MlirOperation op, MlirValue *x, MlirValue *k) {
    enum { OGT = 2, OGE = 3, OLT = 4, OLE = 5 };
    MlirOperation test = adze_defining(operand_of(op, 0));
    if (mlirOperationIsNull(test) || !adze_is_op(test, "arith.cmpf"))
        return NULL;
    *x = operand_of(test, 0);
    *k = operand_of(test, 1);
    const int64_t predicate = mlirIntegerAttrGetValueInt(adze_get(test, "predicate"));
    const bool low = predicate == OLT || predicate == OLE, high = predicate == OGT || predicate == OGE;
    if (!is_number(*k) || !mlirValueEqual(operand_of(op, 1), *k) || !mlirValueEqual(operand_of(op, 2), *x) ||
        (!low && !high))
        return NULL;
    const char *key = low ? "arith.maximumf:constant" : "arith.minimumf:constant";
    MlirType type = type_of(result_of(op)), types[] = {type, type};
    adze_vector_match match;
    return adze_vector_find(em->m->target, key, type, 2, types, &match) ? key : NULL;
}

static bool compare(emitter *em, MlirOperation op) {
    bool needed = false; /* by more than clamps */
    for (MlirOpOperand use = mlirValueGetFirstUse(result_of(op)); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirValue x, k;
        MlirOperation user = mlirOpOperandGetOwner(use);
        needed |= !adze_is_op(user, "arith.select") || !clamp_key(em, user, &x, &k);
    }
    if (!needed)
        return true;
    int predicate = (int)mlirIntegerAttrGetValueInt(adze_get(op, "predicate"));
    return plain_of(em, op, adze_arena_printf(em->arena, "%s:%d", emit_op_name(em, op), predicate));
}

/* max(x, constant) needs no care for NaN in the constant. */
static bool extreme(emitter *em, MlirOperation op) {
    const char *name = emit_op_name(em, op), *cheap = adze_arena_printf(em->arena, "%s:constant", name);
    int at = is_number(operand_of(op, 1)) ? 1 : is_number(operand_of(op, 0)) ? 0 : -1;
    MlirType type = type_of(result_of(op)), types[] = {type, type};
    adze_vector_match match;
    if (at < 0 || !adze_vector_find(em->m->target, cheap, type, 2, types, &match))
        return plain_of(em, op, name);
    expr args[] = {emit_use(em, operand_of(op, 1 - at)), emit_use(em, operand_of(op, at))};
    return plain(em, op, cheap, 2, args, types);
}

static bool shift(emitter *em, MlirOperation op) {
    const char *name = emit_op_name(em, op);
    MlirType type = type_of(result_of(op));
    MlirType types[] = {type, mlirShapedTypeGetElementType(type)};
    int64_t amount;
    adze_vector_match match;
    if (!is_integer_splat(operand_of(op, 1), &amount) ||
        !adze_vector_find(em->m->target, name, type, 2, types, &match))
        return plain_of(em, op, name);
    expr a = emit_use(em, operand_of(op, 0));
    if (amount == 0) {
        emit_pure(em, result_of(op), a);
        return true;
    }
    if (amount < 0 || amount >= mlirIntegerTypeGetWidth(types[1]))
        return emit_error(em, op, "a shift by the width of its lanes or more");
    expr args[] = {a, expr_int(em, ADZE_i32, amount)};
    return plain(em, op, name, 2, args, types);
}

static bool choose(emitter *em, MlirOperation op) {
    if (is_vector(operand_of(op, 0))) {
        MlirValue x, k;
        const char *key = clamp_key(em, op, &x, &k);
        if (!key)
            return plain_of(em, op, "arith.select");
        MlirType type = type_of(result_of(op)), types[] = {type, type};
        expr args[] = {emit_use(em, x), emit_use(em, k)};
        return plain(em, op, key, 2, args, types);
    }
    int type = emit_type_of(em, type_of(result_of(op)));
    if (type == ADZE_NO_DTYPE)
        return emit_no_row(em, op, "of this type");
    expr c = emit_use(em, operand_of(op, 0));
    expr a = expr_as(em, emit_use(em, operand_of(op, 1)), type);
    expr b = expr_as(em, emit_use(em, operand_of(op, 2)), type);
    expr e = {.type = type, .prec = PREC_TERNARY, .memory = a.memory || b.memory || c.memory,
              .varying = a.varying || b.varying || c.varying};
    e.text = adze_arena_printf(em->arena, "%s ? %s : %s", expr_operand(em, c, PREC_TERNARY),
                               expr_operand(em, a, PREC_TERNARY), expr_operand(em, b, PREC_TERNARY));
    emit_pure(em, result_of(op), e);
    return true;
}

/* The bits stay, and their sign is what the next operation makes of them. */
static bool cast(emitter *em, MlirOperation op) {
    MlirType from = type_of(operand_of(op, 0)), to = type_of(result_of(op));
    bool same = mlirTypeIsAVector(from) && mlirTypeIsAVector(to);
    if (same) {
        MlirType a = mlirShapedTypeGetElementType(from), b = mlirShapedTypeGetElementType(to);
        same = mlirTypeIsAInteger(a) && mlirTypeIsAInteger(b) &&
               mlirIntegerTypeGetWidth(a) == mlirIntegerTypeGetWidth(b) &&
               mlirShapedTypeGetDimSize(from, 0) == mlirShapedTypeGetDimSize(to, 0) &&
               mlirVectorTypeIsScalable(from) == mlirVectorTypeIsScalable(to);
    }
    if (!same)
        return emit_error(em, op, "a conversion between vectors that differ in more than their sign");
    emit_pure(em, result_of(op), emit_use(em, operand_of(op, 0)));
    return true;
}

/* ---- which is which ---- */

static const struct {
    const char *op;
    bool (*emit)(emitter *em, MlirOperation op);
} special[] = {
    {"arith.constant", constant},     {"vector.load", load},        {"vector.store", store},
    {"arith.cmpf", compare},          {"arith.cmpi", compare},      {"arith.maximumf", extreme},
    {"arith.minimumf", extreme},      {"arith.shli", shift},        {"arith.shrsi", shift},
    {"arith.shrui", shift},           {"arith.select", choose},     {"vector.reduction", emit_reduction},
    {"adze.instruction", emit_instruction},    {"builtin.unrealized_conversion_cast", cast},
};

ROW_HANDLER(emit_vector) {
    for (size_t i = 0; i < ADZE_COUNT(special); i++)
        if (strcmp(special[i].op, row->name) == 0)
            return special[i].emit(em, op);
    return plain_of(em, op, row->name);
}

/* One rounding: only where the FPU does it, since the C library's is slow. */
ROW_HANDLER(emit_fma) { return emit_vector(em, op, row); }
