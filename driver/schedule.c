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
        adze_set(kernel, "adze.schedule",
                 merged(ctx, adze_get(kernel, "adze.schedule"), row.attribute));
    }
    return adze_module_verify(ctx, module);
}
