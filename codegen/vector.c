/* Vector types and operations against the rows of a target's instruction table. emit_vector.def says which
 * row does which operation; what is left is whether a row's types are those of the operands. */
#include "codegen/vector.h"

#include <mlir-c/BuiltinTypes.h>

#include <stdlib.h>
#include <string.h>

/* ---- types ---- */

/* An MLIR type in the terms of a table; signless integers have the base 'i', memrefs are pointers. */
static bool describe(MlirType type, adze_value_type *out) {
    *out = (adze_value_type){.lanes = 1};
    if (mlirTypeIsAVector(type)) {
        if (mlirShapedTypeGetRank(type) != 1)
            return false;
        out->lanes = (unsigned)mlirShapedTypeGetDimSize(type, 0);
        out->scalable = mlirVectorTypeIsScalable(type);
        type = mlirShapedTypeGetElementType(type);
    } else if (mlirTypeIsAMemRef(type)) {
        out->pointer = '*';
        type = mlirShapedTypeGetElementType(type);
    }
    if (mlirTypeIsAIndex(type)) {
        out->base = 'n';
    } else if (mlirTypeIsAInteger(type)) {
        out->bits = mlirIntegerTypeGetWidth(type);
        out->base = out->bits == 1                     ? 'b'
                    : mlirIntegerTypeIsSigned(type)    ? 's'
                    : mlirIntegerTypeIsUnsigned(type)  ? 'u'
                                                       : 'i';
    } else if (mlirTypeIsABF16(type)) {
        out->base = 'h';
        out->bits = 16;
    } else if (mlirTypeIsAF16(type) || mlirTypeIsAF32(type) || mlirTypeIsAF64(type)) {
        out->base = 'f';
        out->bits = mlirFloatTypeGetWidth(type);
    } else {
        return false;
    }
    return true;
}

const char *adze_vector_spelling(adze_context *ctx, MlirType type, char sign) {
    adze_value_type t;
    if (!describe(type, &t) || t.pointer)
        return NULL;
    if (t.base == 'n')
        return t.lanes == 1 && !t.scalable ? "index" : NULL;
    char base[3] = {t.base == 'i' ? sign : t.base};
    const char *element = adze_arena_printf(ctx->arena, "%s%u", t.base == 'h' ? "bf" : base, t.bits);
    if (!mlirTypeIsAVector(type))
        return element;
    return adze_arena_printf(ctx->arena, t.scalable ? "%sxN%u" : "%sx%u", element, t.lanes);
}

MlirType adze_vector_of(MlirType element, int64_t lanes, bool scalable) {
    return scalable ? mlirVectorTypeGetScalable(1, &lanes, &scalable, element)
                    : mlirVectorTypeGet(1, &lanes, element);
}

/* How well a value of type `have` suits a row that takes `want`: 0 not at all. `sign` 's' or 'u' is the sign
 * that a signless integer must be read with; 'n': s is better than u, and another sign needs a cast. */
static int fits(const adze_value_type *have, const adze_value_type *want, char sign) {
    bool whole = have->base == 'i' || have->base == 's' || have->base == 'u';
    if (want->base == '#')
        return have->lanes == 1 && !have->scalable && !have->pointer && (whole || have->base == 'n') ? 4 : 0;
    if (!have->pointer != !want->pointer || have->bits != want->bits || have->lanes != want->lanes ||
        have->scalable != want->scalable)
        return 0;
    if (!whole)
        return have->base == want->base ? 4 : 0;
    if (want->base != 's' && want->base != 'u')
        return 0;
    if (sign != 'n')
        return want->base == sign ? 4 : 0;
    char best = have->base == 'i' ? 's' : have->base;
    return want->base == best ? 4 : 1;
}

int adze_vector_fit(MlirType type, const adze_value_type *operand) {
    adze_value_type have;
    return describe(type, &have) ? fits(&have, operand, 'n') : 0;
}

/* The vector type of the target that holds `type`; -1: none. */
int adze_vector_type_index(const adze_target *target, MlirType type) {
    adze_value_type have;
    int best = 0, at = -1;
    if (!target || !mlirTypeIsAVector(type) || !describe(type, &have))
        return -1;
    for (size_t i = 0; i < target->vector_type_count; i++) {
        int score = fits(&have, &target->vector_types[i].type, 'n');
        if (score > best) {
            best = score;
            at = (int)i;
        }
    }
    return at;
}

bool adze_vector_has_type(adze_context *ctx, const adze_target *target, MlirType type) {
    (void)ctx;
    return adze_vector_type_index(target, type) >= 0;
}

/* ---- rows ---- */

typedef struct operation {
    const char *op, *row;
    char key, sign;
} operation;

static const operation operations[] = {
#define V(op, row, key, sign) {op, row, #key[0], #sign[0]},
#include "codegen/emit_vector.def"
#undef V
};

/* Comparisons that a target may have under another name: a > b is b < a, "not a <= b" is a > b or unordered. */
static const struct {
    const char *op, *as;
    bool swap, negate;
} rewrites[] = {
    {"arith.cmpf:2", "arith.cmpf:4", true, false},  {"arith.cmpf:3", "arith.cmpf:5", true, false},
    {"arith.cmpf:4", "arith.cmpf:2", true, false},  {"arith.cmpf:5", "arith.cmpf:3", true, false},
    {"arith.cmpf:7", "arith.cmpf:14", false, true}, {"arith.cmpf:9", "arith.cmpf:5", false, true},
    {"arith.cmpf:9", "arith.cmpf:3", true, true},   {"arith.cmpf:10", "arith.cmpf:4", false, true},
    {"arith.cmpf:10", "arith.cmpf:2", true, true},  {"arith.cmpf:11", "arith.cmpf:3", false, true},
    {"arith.cmpf:11", "arith.cmpf:5", true, true},  {"arith.cmpf:12", "arith.cmpf:2", false, true},
    {"arith.cmpf:12", "arith.cmpf:4", true, true},  {"arith.cmpf:13", "arith.cmpf:1", false, true},
    {"arith.cmpi:1", "arith.cmpi:0", false, true},  {"arith.cmpi:2", "arith.cmpi:4", true, false},
    {"arith.cmpi:2", "arith.cmpi:5", false, true},  {"arith.cmpi:3", "arith.cmpi:5", true, false},
    {"arith.cmpi:3", "arith.cmpi:4", false, true},  {"arith.cmpi:3", "arith.cmpi:2", true, true},
    {"arith.cmpi:4", "arith.cmpi:2", true, false},  {"arith.cmpi:4", "arith.cmpi:3", false, true},
    {"arith.cmpi:5", "arith.cmpi:3", true, false},  {"arith.cmpi:5", "arith.cmpi:2", false, true},
    {"arith.cmpi:5", "arith.cmpi:4", true, true},   {"arith.cmpi:6", "arith.cmpi:8", true, false},
    {"arith.cmpi:6", "arith.cmpi:9", false, true},  {"arith.cmpi:7", "arith.cmpi:9", true, false},
    {"arith.cmpi:7", "arith.cmpi:8", false, true},  {"arith.cmpi:7", "arith.cmpi:6", true, true},
    {"arith.cmpi:8", "arith.cmpi:6", true, false},  {"arith.cmpi:8", "arith.cmpi:7", false, true},
    {"arith.cmpi:9", "arith.cmpi:7", true, false},  {"arith.cmpi:9", "arith.cmpi:6", false, true},
    {"arith.cmpi:9", "arith.cmpi:8", true, true},
};

enum { MOST_OPERANDS = 10 };

typedef struct query {
    const char *name;
    char key, sign; /* key: R, O, M, or 0 for an abstract instruction, whose type is not looked at */
    const adze_value_type *result; /* NULL: none */
    int n;
    const adze_value_type *operands;
} query;

static bool is_whole(const adze_value_type *t) { return strchr("isu", t->base) && t->base; }

static int score_key(const query *q, const adze_instruction *row) {
    if (q->key == 0)
        return 1;
    const adze_value_type *key = q->key == 'R' ? q->result : &q->operands[0];
    if (!key)
        return 0;
    /* `u` of extui is the operand's; the result is of either sign. */
    bool converts = q->key == 'R' && q->n > 0 && is_whole(&q->operands[0]) && q->operands[0].bits != key->bits;
    return fits(key, &row->type, converts ? 'n' : q->sign);
}

static int score(const query *q, const adze_instruction *row) {
    if (row->operand_count != (size_t)q->n || strcmp(row->name, q->name))
        return 0;
    int total = score_key(q, row);
    if (!total)
        return 0;
    if (!q->result != (row->result.base == 'v'))
        return 0;
    if (q->result) {
        int s = fits(q->result, &row->result, 'n');
        if (!s)
            return 0;
        total += s;
    }
    for (int i = 0; i < q->n; i++) {
        bool pointer = row->operands[i].pointer != 0;
        int s = fits(&q->operands[i], &row->operands[i], pointer ? 'n' : q->sign);
        if (!s)
            return 0;
        total += s;
    }
    return total;
}

static const adze_instruction *best_row(const adze_target *target, const query *q) {
    const adze_instruction *found = NULL;
    int best = 0;
    for (size_t i = 0; i < target->instruction_count; i++) {
        int s = score(q, &target->instructions[i]);
        if (s > best) {
            best = s;
            found = &target->instructions[i];
        }
    }
    return found;
}

/* Loads and stores: the pointer follows from the vector, and is not among the operands. */
static const adze_instruction *memory_row(const adze_target *target, const char *name, bool store,
                                          bool masked, const adze_value_type *vector) {
    adze_value_type pointer = {.base = vector->base, .bits = vector->bits, .lanes = 1, .pointer = '*'};
    adze_value_type mask = {.base = 'b', .bits = 1, .lanes = vector->lanes, .scalable = vector->scalable};
    adze_value_type operands[3];
    int n = 0;
    if (masked)
        operands[n++] = mask;
    operands[n++] = pointer;
    if (store)
        operands[n++] = *vector;
    query q = {name, 0, 'n', store ? NULL : vector, n, operands};
    return best_row(target, &q);
}

const adze_instruction *adze_vector_memory_row(const adze_target *target, bool store, bool masked,
                                               MlirType vector) {
    static const char *const names[2][2] = {{"vector.load", "vector.load.masked"},
                                            {"vector.store", "vector.store.masked"}};
    adze_value_type v;
    if (!target || !mlirTypeIsAVector(vector) || !describe(vector, &v))
        return NULL;
    return memory_row(target, names[store][masked], store, masked, &v);
}

static const adze_instruction *row_of(const adze_target *target, const char *op, MlirType result, int n,
                                      const MlirType *types) {
    adze_value_type r, operands[MOST_OPERANDS];
    int count = 0;
    if (!mlirTypeIsNull(result) && !describe(result, &r))
        return NULL;
    bool known = false, memory = !strcmp(op, "vector.load") || !strcmp(op, "vector.store");
    for (int i = 0; i < n; i++) {
        if (memory && !mlirTypeIsAVector(types[i]))
            continue; /* base and indices */
        if (count == MOST_OPERANDS || !describe(types[i], &operands[count++]))
            return NULL;
    }
    if (memory)
        return mlirTypeIsNull(result) && count != 1
                   ? NULL
                   : memory_row(target, op, mlirTypeIsNull(result), false,
                                mlirTypeIsNull(result) ? &operands[0] : &r);
    query q = {op, 0, 'n', mlirTypeIsNull(result) ? NULL : &r, count, operands};
    for (size_t i = 0; i < ADZE_COUNT(operations); i++) {
        if (strcmp(operations[i].op, op))
            continue;
        known = true;
        q.name = operations[i].row;
        q.key = operations[i].key;
        q.sign = operations[i].sign;
        const adze_instruction *row = best_row(target, &q);
        if (row)
            return row;
    }
    return known ? NULL : best_row(target, &q);
}

bool adze_vector_find(const adze_target *target, const char *op, MlirType result, int n,
                      const MlirType *operands, adze_vector_match *out) {
    *out = (adze_vector_match){0};
    if (!target)
        return false;
    out->row = row_of(target, op, result, n, operands);
    for (size_t i = 0; !out->row && n == 2 && i < ADZE_COUNT(rewrites); i++) {
        if (strcmp(rewrites[i].op, op))
            continue;
        out->swap = rewrites[i].swap;
        out->negate = rewrites[i].negate ? row_of(target, "vector.not", result, 1, &result) : NULL;
        if (!rewrites[i].negate || out->negate)
            out->row = row_of(target, rewrites[i].as, result, n, operands);
    }
    return out->row != NULL;
}

const adze_instruction *adze_vector_row(adze_context *ctx, const adze_target *target, const char *op,
                                        MlirType result, int n, const MlirType *operands) {
    (void)ctx;
    adze_vector_match match;
    return adze_vector_find(target, op, result, n, operands, &match) ? match.row : NULL;
}

/* ---- questions of generators ---- */

int64_t adze_vector_lanes(adze_context *ctx, const adze_target *target, MlirType element, bool *scalable) {
    (void)ctx;
    adze_value_type want;
    int64_t lanes = 0;
    *scalable = false;
    if (!target || mlirTypeIsAVector(element) || mlirTypeIsAMemRef(element) || !describe(element, &want))
        return 0;
    for (size_t i = 0; i < target->vector_type_count; i++) {
        adze_value_type t = target->vector_types[i].type, one = t;
        one.lanes = 1;
        one.scalable = false;
        if (!fits(&want, &one, 'n') || t.lanes == 0)
            continue;
        if (!t.scalable && !*scalable && t.lanes > lanes)
            lanes = t.lanes;
        /* Scalable: 128 bits times vscale, that is one register of SVE and two of RVV (LMUL 2), unless the
         * target's figure says other. */
        if (t.scalable) {
            *scalable = true;
            lanes = (int64_t)(adze_target_cost(target, "vscale.bits", 128) / t.bits);
        }
    }
    return lanes;
}

bool adze_vector_has_active(adze_context *ctx, const adze_target *target, MlirType type) {
    (void)ctx;
    adze_value_type v;
    if (!target || !mlirTypeIsAVector(type) || !describe(type, &v))
        return false;
    adze_value_type index = {.base = 'n', .lanes = 1};
    query length = {"vector.length", 0, 'n', &index, 1, &index};
    for (size_t i = 0; v.scalable && i < target->instruction_count; i++) {
        const adze_value_type *t = &target->instructions[i].type; /* of any element type */
        if (t->lanes == v.lanes && t->scalable && score(&length, &target->instructions[i]))
            return true;
    }
    adze_value_type mask = {.base = 'b', .bits = 1, .lanes = v.lanes, .scalable = v.scalable};
    query first = {"vector.mask.first", 'R', 'n', &mask, 1, &index};
    if (!best_row(target, &first))
        return false;
    return v.scalable || (memory_row(target, "vector.load.masked", false, true, &v) &&
                          memory_row(target, "vector.store.masked", true, true, &v));
}
