/* See schedule.h. */
#include "driver/schedule.h"

#include <mlir-c/BuiltinAttributes.h>

#include <string.h>

/* `old` with the keys of `update` put over it. */
static MlirAttribute merged(adze_context *ctx, MlirAttribute old, MlirAttribute update) {
    if (mlirAttributeIsNull(old) || !mlirAttributeIsADictionary(old))
        return update;
    intptr_t n_old = mlirDictionaryAttrGetNumElements(old);
    intptr_t n_new = mlirDictionaryAttrGetNumElements(update), n = 0;
    MlirNamedAttribute *all =
        ADZE_NEW_ARRAY(ctx->arena, MlirNamedAttribute, (size_t)(n_old + n_new) + 1);
    for (intptr_t i = 0; i < n_old; i++) {
        MlirNamedAttribute a = mlirDictionaryAttrGetElement(old, i);
        if (mlirAttributeIsNull(
                mlirDictionaryAttrGetElementByName(update, mlirIdentifierStr(a.name))))
            all[n++] = a;
    }
    for (intptr_t i = 0; i < n_new; i++)
        all[n++] = mlirDictionaryAttrGetElement(update, i);
    return mlirDictionaryAttrGet(ctx->mlir, n, all);
}

/* Numbers as [0, 8] or array<i64: 0, 8> -> the latter. False when they are neither. */
static bool numbers(adze_context *ctx, MlirAttribute value, MlirAttribute *out) {
    int64_t n[ADZE_MAX_RANK];
    int count = 0;
    if (mlirAttributeIsADenseI64Array(value)) {
        count = (int)mlirDenseArrayGetNumElements(value);
        if (count > ADZE_MAX_RANK)
            return false;
        adze_attr_i64s(value, ADZE_MAX_RANK, n);
    } else {
        if (!mlirAttributeIsAArray(value) || mlirArrayAttrGetNumElements(value) > ADZE_MAX_RANK)
            return false;
        for (; count < (int)mlirArrayAttrGetNumElements(value); count++) {
            MlirAttribute element = mlirArrayAttrGetElement(value, count);
            if (!mlirAttributeIsAInteger(element))
                return false;
            n[count] = mlirIntegerAttrGetValueInt(element);
        }
    }
    for (int i = 0; i < count; i++)
        if (n[i] < 0)
            return false;
    *out = adze_i64s(ctx, count, n);
    return true;
}

/* What a schedule may say: lists of numbers, as many as the kernel's own has. */
static const char *const keys[] = {"tile"};

/* One kernel's schedule, checked against what the kernel has: unknown keys are errors. */
static bool check(adze_context *ctx, const char *path, const char *kernel, MlirAttribute old,
                  MlirAttribute given, MlirAttribute *out) {
    intptr_t n = mlirDictionaryAttrGetNumElements(given);
    MlirNamedAttribute *all = ADZE_NEW_ARRAY(ctx->arena, MlirNamedAttribute, (size_t)n + 1);
    for (intptr_t i = 0; i < n; i++) {
        all[i] = mlirDictionaryAttrGetElement(given, i);
        MlirStringRef key = mlirIdentifierStr(all[i].name);
        bool known = false;
        for (size_t k = 0; k < ADZE_COUNT(keys); k++)
            known = known || mlirStringRefEqual(key, mlirStringRefCreateFromCString(keys[k]));
        if (!known)
            return adze_error(&ctx->diags, NULL,
                              "'%s': the schedule of '%s' has an unknown key '%.*s'", path, kernel,
                              (int)key.length, key.data);
        if (!numbers(ctx, all[i].attribute, &all[i].attribute))
            return adze_error(&ctx->diags, NULL, "'%s': '%.*s' of '%s' is not a list of numbers",
                              path, (int)key.length, key.data, kernel);
        MlirAttribute had = mlirAttributeIsNull(old) || !mlirAttributeIsADictionary(old)
                                ? mlirAttributeGetNull()
                                : mlirDictionaryAttrGetElementByName(old, key);
        if (!mlirAttributeIsNull(had) && mlirAttributeIsADenseI64Array(had) &&
            mlirDenseArrayGetNumElements(had) != mlirDenseArrayGetNumElements(all[i].attribute))
            return adze_error(&ctx->diags, NULL, "'%s': '%.*s' of '%s' has %lld numbers, not %lld",
                              path, (int)key.length, key.data, kernel,
                              (long long)mlirDenseArrayGetNumElements(all[i].attribute),
                              (long long)mlirDenseArrayGetNumElements(had));
    }
    *out = mlirDictionaryAttrGet(ctx->mlir, n, all);
    return true;
}

bool adze_schedule_apply(adze_context *ctx, MlirModule module, const char *path) {
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    const char *text = adze_arena_strndup(ctx->arena, (const char *)file->data, file->bytes);
    MlirAttribute all = adze_parse_attr(ctx, text);
    if (mlirAttributeIsNull(all) || !mlirAttributeIsADictionary(all))
        return adze_error(&ctx->diags, NULL,
                          "'%s' is not a schedule — hint: {KERNEL = {tile = [0, 8]}, ...}", path);
    for (intptr_t i = 0; i < mlirDictionaryAttrGetNumElements(all); i++) {
        MlirNamedAttribute row = mlirDictionaryAttrGetElement(all, i);
        MlirStringRef ref = mlirIdentifierStr(row.name);
        const char *name = adze_arena_strndup(ctx->arena, ref.data, ref.length);
        MlirOperation kernel = adze_symbol(module, "func.func", name);
        if (mlirOperationIsNull(kernel) || mlirAttributeIsNull(adze_get(kernel, "adze.kernel")))
            return adze_error(&ctx->diags, NULL,
                              "'%s' names the kernel '%s', which the model does "
                              "not have",
                              path, name);
        if (!mlirAttributeIsADictionary(row.attribute))
            return adze_error(&ctx->diags, NULL, "'%s': the schedule of '%s' is not a dictionary",
                              path, name);
        MlirAttribute old = adze_get(kernel, "adze.schedule"), given;
        if (!check(ctx, path, name, old, row.attribute, &given))
            return false;
        adze_set(kernel, "adze.schedule", merged(ctx, old, given));
    }
    return adze_module_verify(ctx, module);
}
