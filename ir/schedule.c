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

/* Numbers. */
static const struct {
    const char *key;
    size_t value;
} numbers[] = {
    {"lanes", offsetof(adze_schedule, lanes)},     {"scalable", offsetof(adze_schedule, scalable)},
    {"rows", offsetof(adze_schedule, rows)},       {"vectors", offsetof(adze_schedule, vectors)},
    {"depth", offsetof(adze_schedule, depth)},     {"tiles", offsetof(adze_schedule, tiles)},
    {"k_block", offsetof(adze_schedule, k_block)},
};

/* Larger ones mean nothing, and their products must not overflow. */
enum { NUMBER_MAX = 1 << 20 };

static int64_t *number_of(adze_schedule *s, size_t k) {
    return (int64_t *)(void *)((char *)s + numbers[k].value);
}

static bool is_key(const char *key, MlirStringRef name) {
    return strlen(key) == name.length && !memcmp(key, name.data, name.length);
}

/* family and the numbers. `known`: whether the key is one of them. */
static bool read_one(adze_context *ctx, const char *where, MlirNamedAttribute entry, bool *known,
                     adze_schedule *out) {
    MlirStringRef name = mlirIdentifierStr(entry.name);
    *known = true;
    if (is_key("family", name)) {
        out->family = adze_attr_str(ctx, entry.attribute);
        return out->family || adze_error(&ctx->diags, where, "'family' of its schedule is no string");
    }
    for (size_t k = 0; k < ADZE_COUNT(numbers); k++) {
        if (!is_key(numbers[k].key, name))
            continue;
        if (!mlirAttributeIsAInteger(entry.attribute))
            return adze_error(&ctx->diags, where, "'%s' of its schedule is not a number", numbers[k].key);
        int64_t value = mlirIntegerAttrGetValueInt(entry.attribute);
        if (value < 0 || value > NUMBER_MAX)
            return adze_error(&ctx->diags, where, "'%s' of its schedule is not within 0 .. %d",
                              numbers[k].key, NUMBER_MAX);
        *number_of(out, k) = value;
        return true;
    }
    *known = false;
    return true;
}

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
        bool known;
        if (!read_one(ctx, where, entry, &known, out))
            return false;
        if (known)
            continue;
        size_t k = 0;
        while (k < ADZE_COUNT(keys) && (strlen(keys[k].key) != name.length ||
                                        memcmp(keys[k].key, name.data, name.length)))
            k++;
        if (k == ADZE_COUNT(keys))
            return adze_error(&ctx->diags, where,
                              "its schedule has an unknown key '%.*s' — hint: tile, block, order, family, "
                              "lanes, scalable, rows, vectors, depth, tiles, k_block",
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
    MlirNamedAttribute items[ADZE_COUNT(keys) + ADZE_COUNT(numbers) + 1];
    int n = 0;
    if (copy.family)
        items[n++] = mlirNamedAttributeGet(
            mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("family")),
            adze_str(ctx, copy.family));
    for (size_t k = 0; k < ADZE_COUNT(numbers); k++)
        if (*number_of(&copy, k))
            items[n++] = mlirNamedAttributeGet(
                mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString(numbers[k].key)),
                adze_i64(ctx, *number_of(&copy, k)));
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
