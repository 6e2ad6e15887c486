/* The context: MLIR's dialects, and ours, written as IRDL from the rows of ops.def and loaded.
 *
 * IRDL ties every use of one constraint variable to one value, so each operand, result and attribute
 * gets a variable of its own; arity is fixed and adze.none fills optional operands. */
#include "ir/ir.h"
#include "ir/weights_store.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Diagnostics.h>
#include <mlir-c/Dialect/IRDL.h>
#include <mlir-c/RegisterEverything.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct op_row {
    const char *name, *operands, *results, *attrs, *doc;
} op_row;

static const op_row rows[ADZE_N_OPS] = {
#define OP(name, operands, results, attrs, doc) {#name, operands, results, attrs, doc},
#include "ir/ops.def"
#undef OP
};

/* How each attribute kind of ops.def is said in IRDL. */
static const struct {
    const char *kind, *constraint;
} attr_kinds[] = {
    {"i64", "irdl.base \"#builtin.integer\""},   {"f64", "irdl.base \"#builtin.float\""},
    {"bool", "irdl.base \"#builtin.integer\""},  {"str", "irdl.base \"#builtin.string\""},
    {"type", "irdl.base \"#builtin.type\""},     {"dense", "irdl.any"},
    {"dict", "irdl.base \"#builtin.dictionary\""}, {"i64s", "irdl.base \"#builtin.dense_array\""},
    {"f64s", "irdl.base \"#builtin.dense_array\""}, {"strs", "irdl.base \"#builtin.array\""},
};

static const char *constraint_of(const char *kind) {
    for (size_t i = 0; i < ADZE_COUNT(attr_kinds); i++)
        if (!strcmp(attr_kinds[i].kind, kind))
            return attr_kinds[i].constraint;
    fprintf(stderr, "adze: ops.def: unknown attribute kind '%s'\n", kind);
    abort();
}

/* Splits a space-separated list into `out`; returns how many words there are. */
static int split(adze_arena *arena, const char *list, int max, const char **out) {
    int n = 0;
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, " ");
        if (len) {
            if (n == max) {
                fprintf(stderr, "adze: ops.def: more than %d items in '%s'\n", max, list);
                abort();
            }
            out[n++] = adze_arena_strndup(arena, p, len);
        }
        p += len;
        p += *p == ' ';
    }
    return n;
}

static void read_rows(adze_arena *arena, adze_op_info *infos) {
    for (int i = 0; i < ADZE_N_OPS; i++) {
        adze_op_info *info = &infos[i];
        const char *attrs[ADZE_COUNT(info->attrs)];
        info->name = rows[i].name;
        info->doc = rows[i].doc;
        info->n_operands = split(arena, rows[i].operands, ADZE_COUNT(info->operands), info->operands);
        info->n_results = split(arena, rows[i].results, ADZE_COUNT(info->results), info->results);
        info->n_attrs = split(arena, rows[i].attrs, ADZE_COUNT(attrs), attrs);
        for (int j = 0; j < info->n_operands; j++) {
            size_t len = strlen(info->operands[j]);
            info->optional[j] = info->operands[j][len - 1] == '?';
            if (info->optional[j])
                info->operands[j] = adze_arena_strndup(arena, info->operands[j], len - 1);
        }
        for (int j = 0; j < info->n_attrs; j++) {
            size_t len = strcspn(attrs[j], ":");
            info->attrs[j].name = adze_arena_strndup(arena, attrs[j], len);
            info->attrs[j].kind = attrs[j] + len + (attrs[j][len] == ':');
        }
    }
}

static void write_values(adze_text *out, const char *keyword, int n, const char *const *names,
                         char prefix) {
    if (!n)
        return;
    for (int j = 0; j < n; j++)
        adze_text_printf(out, "    %%%c%d = irdl.any\n", prefix, j);
    adze_text_printf(out, "    irdl.%s(", keyword);
    for (int j = 0; j < n; j++) {
        size_t length = strcspn(names[j], ".");
        adze_text_printf(out, "%s%.*s: %s%%%c%d", j ? ", " : "", (int)length, names[j],
                         !names[j][length] ? "" : *keyword == 'o' ? "optional " : "variadic ", prefix, j);
    }
    adze_text_puts(out, ")\n");
}

void adze_dialect_irdl(adze_text *out) {
    adze_arena *arena = adze_arena_new();
    adze_op_info *infos = ADZE_NEW_ARRAY(arena, adze_op_info, ADZE_N_OPS);
    read_rows(arena, infos);
    adze_text_puts(out, "irdl.dialect @adze {\n  irdl.type @absent\n  irdl.type @string\n");
    for (int i = 0; i < ADZE_N_OPS; i++) {
        const adze_op_info *info = &infos[i];
        adze_text_printf(out, "  irdl.operation @%s {\n", info->name);
        write_values(out, "operands", info->n_operands, info->operands, 'o');
        write_values(out, "results", info->n_results, info->results, 'r');
        for (int j = 0; j < info->n_attrs; j++)
            adze_text_printf(out, "    %%a%d = %s\n", j, constraint_of(info->attrs[j].kind));
        if (info->n_attrs) {
            adze_text_puts(out, "    irdl.attributes {");
            for (int j = 0; j < info->n_attrs; j++)
                adze_text_printf(out, "%s\"%s\" = %%a%d", j ? ", " : "", info->attrs[j].name, j);
            adze_text_puts(out, "}\n");
        }
        adze_text_puts(out, "  }\n");
    }
    adze_text_puts(out, "}\n");
    adze_arena_free(arena);
}

static void to_text(MlirStringRef s, void *user) { adze_text_append(user, s.data, s.length); }

/* MLIR's errors become ours; its notes and warnings are dropped. */
static MlirLogicalResult on_diagnostic(MlirDiagnostic d, void *user) {
    adze_context *ctx = user;
    if (mlirDiagnosticGetSeverity(d) == MlirDiagnosticError) {
        adze_text text = {0};
        MlirLocation loc = mlirDiagnosticGetLocation(d);
        if (mlirLocationIsAFileLineColRange(loc))
            adze_text_printf(&text, "line %d:%d: ", mlirLocationFileLineColRangeGetStartLine(loc),
                             mlirLocationFileLineColRangeGetStartColumn(loc));
        mlirDiagnosticPrint(d, to_text, &text);
        adze_error(&ctx->diags, NULL, "%s", text.data);
        adze_text_free(&text);
    }
    return mlirLogicalResultSuccess();
}

adze_context *adze_context_new(void) {
    adze_arena *arena = adze_arena_new();
    adze_context *ctx = ADZE_NEW(arena, adze_context);
    ctx->arena = arena;
    ctx->diags.arena = arena;
    ctx->blobs = adze_blobs_new();
    read_rows(arena, ctx->ops);

    ctx->mlir = mlirContextCreateWithThreading(false);
    MlirDialectRegistry registry = mlirDialectRegistryCreate();
    mlirRegisterAllDialects(registry);
    mlirContextAppendDialectRegistry(ctx->mlir, registry);
    mlirDialectRegistryDestroy(registry);
    static const char *const dialects[] = {"func", "arith",  "math",   "scf",           "memref", "tensor",
                                           "linalg", "vector", "quant", "bufferization", "irdl"};
    for (size_t i = 0; i < ADZE_COUNT(dialects); i++)
        mlirContextGetOrLoadDialect(ctx->mlir, mlirStringRefCreateFromCString(dialects[i]));

    adze_text irdl = {0};
    adze_dialect_irdl(&irdl);
    MlirModule definition =
        mlirModuleCreateParse(ctx->mlir, mlirStringRefCreateFromCString(irdl.data));
    adze_text_free(&irdl);
    if (mlirModuleIsNull(definition) || mlirLogicalResultIsFailure(mlirLoadIRDLDialects(definition))) {
        fputs("adze: the dialect's IRDL was refused\n", stderr);
        adze_context_free(ctx);
        return NULL;
    }
    mlirModuleDestroy(definition);
    mlirContextAttachDiagnosticHandler(ctx->mlir, on_diagnostic, ctx, NULL);

    for (int i = 1; i < ADZE_N_DTYPES; i++)
        ctx->elements[i] = mlirTypeParseGet(
            ctx->mlir, mlirStringRefCreateFromCString(adze_dtype_get((adze_dtype)i)->mlir));
    ctx->none_type = mlirTypeParseGet(ctx->mlir, mlirStringRefCreateFromCString("!adze.absent"));
    return ctx;
}

void adze_context_free(adze_context *ctx) {
    if (!ctx)
        return;
    mlirContextDestroy(ctx->mlir);
    adze_blobs_free(ctx->blobs);
    adze_arena_free(ctx->arena);
}

adze_op adze_op_of(const adze_context *ctx, MlirOperation op) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    if (name.length < 6 || memcmp(name.data, "adze.", 5))
        return ADZE_OP_NONE_OF_OURS;
    for (int i = 0; i < ADZE_N_OPS; i++)
        if (strlen(ctx->ops[i].name) == name.length - 5 &&
            !memcmp(ctx->ops[i].name, name.data + 5, name.length - 5))
            return (adze_op)i;
    return ADZE_OP_NONE_OF_OURS;
}

const adze_op_info *adze_op_info_of(const adze_context *ctx, adze_op op) { return &ctx->ops[op]; }

bool adze_is_op(MlirOperation op, const char *name) {
    return mlirStringRefEqual(mlirIdentifierStr(mlirOperationGetName(op)),
                              mlirStringRefCreateFromCString(name));
}

/* ---- modules ---- */

/* The text of an scf.for has no place for its arguments' locations: their names come back from the
 * chain loc("oh"("acc")) of the loop itself. */
static void name_loop_arguments(MlirOperation op, void *user) {
    adze_context *ctx = user;
    if (!adze_is_op(op, "scf.for"))
        return;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
    MlirLocation loc = mlirOperationGetLocation(op);
    for (intptr_t i = 0; i < mlirBlockGetNumArguments(body) && mlirLocationIsAName(loc); i++) {
        MlirLocation name = mlirLocationNameGet(
            ctx->mlir, mlirIdentifierStr(mlirLocationNameGetName(loc)),
            mlirLocationUnknownGet(ctx->mlir));
        mlirBlockArgumentSetLocation(mlirBlockGetArgument(body, i), name);
        loc = mlirLocationNameGetChildLoc(loc);
    }
}

/* MLIR crashes on a negative axis of tensor.concat before any verifier sees it: only `tensor.concat
 * dim(N)` with a short decimal number, as dumps print it, and the generic form with a number that is not
 * negative are let through. */
static bool concats_are_sane(const char *text) {
    static const char name[] = "tensor.concat", blank[] = " \t\r\n";
    for (const char *at = text; (at = strstr(at, name)) != NULL;) {
        bool quoted = at > text && at[-1] == '"';
        at += sizeof name - 1;
        const char *next = at + (quoted && *at == '"');
        bool apart = strspn(next, blank) > 0;
        next += strspn(next, blank);
        if (quoted && *at == '"' && (*next == '(' || *next == '/')) {
            /* the generic form: its attribute stands on the same line */
            const char *axis = strstr(next, "dim = "), *end = strchr(next, '\n');
            if (!axis || (end && axis > end) || axis[6] < '0' || axis[6] > '9')
                return false;
            continue;
        }
        if (quoted || (!apart && *next != '/'))
            continue;
        if (strncmp(next, "dim(", 4))
            return false;
        size_t digits = strspn(next + 4, "0123456789");
        if (digits < 1 || digits > 3 || next[4 + digits] != ')')
            return false;
    }
    return true;
}

MlirModule adze_module_parse(adze_context *ctx, const char *text, const char *file) {
    ctx->diags.file = adze_arena_strdup(ctx->arena, file);
    if (!concats_are_sane(text)) {
        adze_error(&ctx->diags, NULL, "a tensor.concat that is not written as `tensor.concat dim(N)`");
        return (MlirModule){0};
    }
    MlirModule module = mlirModuleCreateParse(ctx->mlir, mlirStringRefCreateFromCString(text));
    if (mlirModuleIsNull(module)) {
        if (!ctx->diags.count)
            adze_error(&ctx->diags, NULL, "does not hold an MLIR module");
        return module;
    }
    if (!adze_module_verify(ctx, module)) {
        mlirModuleDestroy(module);
        return (MlirModule){0};
    }
    adze_walk(mlirModuleGetOperation(module), name_loop_arguments, ctx);
    return module;
}

void adze_module_print(MlirModule module, adze_text *out) {
    MlirOpPrintingFlags flags = mlirOpPrintingFlagsCreate();
    mlirOpPrintingFlagsEnableDebugInfo(flags, true, false);
    mlirOpPrintingFlagsPrintNameLocAsPrefix(flags);
    mlirOperationPrintWithFlags(mlirModuleGetOperation(module), flags, to_text, out);
    mlirOpPrintingFlagsDestroy(flags);
}

MlirOperation adze_symbol(MlirModule module, const char *kind, const char *name) {
    MlirStringRef want = mlirStringRefCreateFromCString(name);
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, kind))
            continue;
        MlirAttribute sym = adze_get(op, "sym_name");
        if (!mlirAttributeIsNull(sym) && mlirAttributeIsAString(sym) &&
            mlirStringRefEqual(mlirStringAttrGetValue(sym), want))
            return op;
    }
    return (MlirOperation){0};
}
