/* See schedule.h. */
#include "ir/schedule.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <stddef.h>
#include <string.h>

/* Every key: a list of numbers, one per axis. */
static const struct {
    const char *key;
    size_t count, values; /* where in adze_schedule */
} keys[] = {
    {"tile", offsetof(adze_schedule, n_tile), offsetof(adze_schedule, tile)},
    {"block", offsetof(adze_schedule, n_block), offsetof(adze_schedule, block)},
    {"order", offsetof(adze_schedule, n_order), offsetof(adze_schedule, order)},
};

static int *count_of(adze_schedule *s, size_t k) { return (int *)(void *)((char *)s + keys[k].count); }
static int64_t *values_of(adze_schedule *s, size_t k) {
    return (int64_t *)(void *)((char *)s + keys[k].values);
}

/* array<i64: 0, 8>, or [0, 8] as people write it. -1: neither. */
static int read_numbers(MlirAttribute a, int64_t *out) {
    if (mlirAttributeIsADenseI64Array(a)) {
        int n = (int)mlirDenseArrayGetNumElements(a);
        return n <= ADZE_MAX_RANK ? adze_attr_i64s(a, ADZE_MAX_RANK, out) : -1;
    }
    if (!mlirAttributeIsAArray(a) || mlirArrayAttrGetNumElements(a) > ADZE_MAX_RANK)
        return -1;
    int n = (int)mlirArrayAttrGetNumElements(a);
    for (int i = 0; i < n; i++) {
        MlirAttribute item = mlirArrayAttrGetElement(a, i);
        if (!mlirAttributeIsAInteger(item))
            return -1;
        out[i] = mlirIntegerAttrGetValueInt(item);
    }
    return n;
}

bool adze_schedule_read(adze_context *ctx, const char *where, MlirAttribute attr,
                        adze_schedule *out) {
    *out = (adze_schedule){0};
    if (mlirAttributeIsNull(attr))
        return true;
    if (!mlirAttributeIsADictionary(attr))
        return adze_error(&ctx->diags, where, "its schedule is not a dictionary");
    for (intptr_t i = 0; i < mlirDictionaryAttrGetNumElements(attr); i++) {
        MlirNamedAttribute entry = mlirDictionaryAttrGetElement(attr, i);
        MlirStringRef name = mlirIdentifierStr(entry.name);
        size_t k = 0;
        while (k < ADZE_COUNT(keys) && (strlen(keys[k].key) != name.length ||
                                        memcmp(keys[k].key, name.data, name.length)))
            k++;
        if (k == ADZE_COUNT(keys))
            return adze_error(&ctx->diags, where,
                              "its schedule has an unknown key '%.*s' — hint: tile, block, order",
                              (int)name.length, name.data);
        int n = read_numbers(entry.attribute, values_of(out, k));
        if (n < 0)
            return adze_error(&ctx->diags, where, "'%s' of its schedule is not a list of numbers",
                              keys[k].key);
        *count_of(out, k) = n;
    }
    return true;
}

MlirAttribute adze_schedule_write(adze_context *ctx, const adze_schedule *schedule) {
    adze_schedule copy = *schedule;
    MlirNamedAttribute items[ADZE_COUNT(keys)];
    int n = 0;
    for (size_t k = 0; k < ADZE_COUNT(keys); k++)
        if (*count_of(&copy, k))
            items[n++] = mlirNamedAttributeGet(
                mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString(keys[k].key)),
                adze_i64s(ctx, *count_of(&copy, k), values_of(&copy, k)));
    return mlirDictionaryAttrGet(ctx->mlir, n, items);
}

bool adze_schedule_fits(adze_context *ctx, const char *where, const adze_schedule *s, int rank) {
    if ((s->n_tile && s->n_tile != rank) || (s->n_block && s->n_block != rank) ||
        (s->n_order && s->n_order != rank))
        return adze_error(&ctx->diags, where, "its schedule is not for a result of %d axes", rank);
    unsigned seen = 0;
    for (int i = 0; i < s->n_tile; i++)
        if (s->tile[i] < 0)
            return adze_error(&ctx->diags, where, "its schedule has a negative tile");
    for (int i = 0; i < s->n_block; i++)
        if (s->block[i] < 0 || (s->block[i] && i != rank - 1))
            return adze_error(&ctx->diags, where,
                              "its schedule has a block elsewhere than on the last axis");
    for (int i = 0; i < s->n_order; i++) {
        if (s->order[i] < 0 || s->order[i] >= rank || (seen >> s->order[i] & 1))
            return adze_error(&ctx->diags, where, "the order of its schedule is no permutation");
        seen |= 1u << s->order[i];
    }
    return true;
}
