/* MODEL -> module: .onnx through the frontend, .mlir through the parser, anything else is refused
 * by its name. Also --dim and --bind, which only mean something to a model file. */
#include "driver/job.h"

#include "driver/driver.h"
#include "driver/reference_dir.h"
#include "frontend/onnx/import.h"
#include "passes/entries.h"
#include "reference/reference.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const char *adze_version(void) {
    return ADZE_VERSION;
}

const char *adze_home(adze_context *ctx) {
    const char *home = getenv("ADZE_HOME");
    return home && *home ? adze_arena_strdup(ctx->arena, home) : ADZE_SOURCE_DIR;
}

static const char *folder_of(adze_context *ctx, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return slash == path ? "/" : adze_arena_strndup(ctx->arena, path, (size_t)(slash - path));
}

bool adze_job_load_target(adze_compilation *c, const adze_request *request, const char *fallback) {
    char err[ADZE_TARGET_ERR] = "";
    const char *dir = adze_arena_printf(c->ctx->arena, "%s/targets", adze_home(c->ctx));
    if (request->pack || request->device) {
        if (!request->pack || !request->device)
            return adze_error(&c->ctx->diags, NULL,
                              "--pack FILE.pdsc and --device NAME go together");
        if (request->target)
            return adze_error(&c->ctx->diags, NULL,
                              "--target and --pack both name a target — hint: leave one out");
        c->target = adze_target_load_pack(dir, request->pack, request->device, err);
    } else {
        const char *name = request->target ? request->target : fallback;
        if (!name)
            return adze_error(&c->ctx->diags, NULL,
                              "no target is named — hint: -t TARGET; adze "
                              "targets lists them");
        c->target = adze_target_load(dir, name, err);
    }
    return c->target ||
           adze_error(&c->ctx->diags, NULL, "%s", *err ? err : "cannot load the target");
}

/* ---- --dim ---- */

static bool parse_extent(const char **at, int64_t *out) {
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *out = strtoll(*at, &end, 10);
    *at = end;
    return errno == 0;
}

static bool parse_dims(adze_context *ctx, const adze_request *request, adze_onnx_dim **out) {
    adze_onnx_dim *dims = ADZE_NEW_ARRAY(ctx->arena, adze_onnx_dim, request->n_dims + 1);
    for (size_t i = 0; i < request->n_dims; i++) {
        const char *text = request->dims[i], *equals = strrchr(text, '=');
        const char *at = equals ? equals + 1 : text;
        adze_onnx_dim *d = &dims[i];
        bool ok = equals && equals > text && parse_extent(&at, &d->lo);
        d->hi = d->lo;
        if (ok && !strncmp(at, "..", 2)) {
            at += 2;
            ok = parse_extent(&at, &d->hi);
        }
        if (!ok || *at || d->hi < d->lo)
            return adze_error(&ctx->diags, NULL, "--dim %s — hint: write NAME=N or NAME=LO..HI",
                              text);
        d->name = adze_arena_strndup(ctx->arena, text, (size_t)(equals - text));
    }
    *out = dims;
    return true;
}

/* ---- --bind ---- */

/* What a graph input wants before symbolic extents are known; false when the model has no such. */
static bool graph_input(adze_context *ctx, const onnx_GraphProto *graph, const char *name,
                        size_t length, adze_wanted *out) {
    for (size_t i = 0; i < graph->input.count; i++) {
        const onnx_ValueInfoProto *v = graph->input.items[i];
        if (v->name.length != length || memcmp(v->name.data, name, length) || !v->type ||
            !v->type->tensor_type)
            continue;
        const onnx_TensorTypeProto *t = v->type->tensor_type;
        *out = (adze_wanted){.name = adze_arena_strndup(ctx->arena, name, length),
                             .dtype = adze_dtype_from_onnx(t->elem_type),
                             .rank = -1};
        if (t->shape && t->shape->dim.count <= ADZE_MAX_RANK) {
            out->rank = (int)t->shape->dim.count;
            for (int k = 0; k < out->rank; k++) {
                const onnx_Dimension *d = t->shape->dim.items[k];
                out->dims[k] = ONNX_HAS(d, 1) ? d->dim_value : -1;
                out->hi[k] = INT64_MAX;
            }
        }
        return out->dtype != ADZE_NO_DTYPE;
    }
    return false;
}

/* The request's --bind values that name inputs of this model; `used` marks them. */
static bool parse_binds(adze_context *ctx, const adze_request *request, const char *path,
                        bool *used, adze_onnx_bind **out, size_t *n) {
    *out = ADZE_NEW_ARRAY(ctx->arena, adze_onnx_bind, request->n_binds + 1);
    *n = 0;
    const onnx_ModelProto *model;
    if (!request->n_binds)
        return true;
    if (!adze_onnx_read_model(ctx, path, &model))
        return false;
    for (size_t i = 0; i < request->n_binds; i++) {
        const char *text = request->binds[i], *equals = strchr(text, '=');
        adze_wanted want;
        if (!equals)
            return adze_error(&ctx->diags, NULL, "--bind %s — hint: write INPUT=VALUE", text);
        if (!model->graph || !graph_input(ctx, model->graph, text, (size_t)(equals - text), &want))
            continue;
        used[i] = true;
        adze_onnx_bind *b = &(*out)[(*n)++];
        b->name = want.name;
        if (!adze_value_bind(ctx, equals + 1, &want, &b->value))
            return false;
    }
    return true;
}

/* ---- loading ---- */

bool adze_job_load_dump(adze_context *ctx, const char *path, MlirModule *out) {
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    ctx->diags.file = path;
    if (!file->bytes || memchr(file->data, 0, file->bytes))
        return adze_error(&ctx->diags, NULL, "does not hold MLIR text");
    /* Blobs stand beside the dump. */
    adze_blobs_set_dir(ctx, folder_of(ctx, path));
    *out = adze_module_parse(
        ctx, adze_arena_strndup(ctx->arena, (const char *)file->data, file->bytes), path);
    return !mlirModuleIsNull(*out) && adze_weights_check(ctx, *out);
}

/* Weight files by absolute path, so that a dump can be continued from any folder. */
static bool absolute_weights(adze_context *ctx, MlirModule module) {
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        const char *file = adze_is_op(op, "adze.weight") ? adze_get_str(ctx, op, "file") : NULL;
        if (!file || *file == '/' || !strncmp(file, "blobs/", 6))
            continue;
        char *real = realpath(file, NULL);
        if (!real)
            return adze_error(&ctx->diags, NULL, "cannot find '%s' again: %s", file,
                              strerror(errno));
        adze_set(op, "file", adze_str(ctx, real));
        free(real);
    }
    return true;
}

/* Where it came from, for reports; kept in the module so that a dump gives the same tree. */
static bool note_origin(adze_context *ctx, adze_job_model *m) {
    MlirOperation root = mlirModuleGetOperation(m->module);
    m->file = adze_get_str(ctx, root, "adze.file");
    m->hash = adze_get_str(ctx, root, "adze.hash");
    if (m->file && m->hash)
        return true;
    const adze_file *file = adze_file_map(ctx, m->path);
    if (!file)
        return false;
    char hash[33];
    adze_hash_hex(file->data, file->bytes, hash);
    const char *slash = strrchr(m->path, '/');
    m->file = slash ? slash + 1 : m->path;
    m->hash = adze_arena_strdup(ctx->arena, hash);
    adze_set(root, "adze.file", adze_str(ctx, m->file));
    adze_set(root, "adze.hash", adze_str(ctx, m->hash));
    return true;
}

/* --state and --tap change the entry before anything looks at it. */
static bool change_entries(adze_context *ctx, const adze_request *request, MlirModule module) {
    for (size_t i = 0; i < request->n_states; i++) {
        const char *text = request->states[i], *equals = strchr(text, '=');
        if (!equals || equals == text || !equals[1])
            return adze_error(&ctx->diags, NULL, "--state %s — hint: write INPUT=OUTPUT", text);
        if (!adze_make_state(ctx, module,
                             adze_arena_strndup(ctx->arena, text, (size_t)(equals - text)),
                             equals + 1))
            return false;
    }
    for (size_t i = 0; i < request->n_taps; i++)
        if (!adze_add_tap(ctx, module, request->taps[i]))
            return false;
    return adze_taps_to_results(ctx, module);
}

static bool load_onnx(adze_context *ctx, const adze_request *request, adze_job_model *m,
                      const adze_onnx_dim *dims, bool *used_binds) {
    adze_onnx_options options = {
        .name = m->name, .dims = dims, .n_dims = request->n_dims, .fold = adze_ref_fold};
    adze_onnx_bind *binds;
    if (request->reference && !adze_reference_dims(ctx, m->path, request->reference, dims,
                                                   request->n_dims, &options.dims, &options.n_dims))
        return false;
    if (!parse_binds(ctx, request, m->path, used_binds, &binds, &options.n_binds))
        return false;
    options.binds = binds;
    return adze_onnx_import(ctx, m->path, &options, &m->module) &&
           change_entries(ctx, request, m->module) && absolute_weights(ctx, m->module) &&
           adze_module_verify(ctx, m->module);
}

static bool load_mlir(adze_context *ctx, const adze_request *request, adze_job_model *m) {
    if (request->n_dims || request->n_binds || request->n_states || request->n_taps)
        return adze_error(&ctx->diags, NULL,
                          "--dim, --bind, --state and --tap were settled when the "
                          "dump was made — hint: give them with the model file");
    m->is_dump = true;
    return adze_job_load_dump(ctx, m->path, &m->module);
}

/* Prefixes that would clash: NAME_t is a type of C's headers, or NAME is a word of C or the runtime's. */
static bool is_taken(const char *name) {
    static const char *const taken[] = {
        "int8",      "int16",     "int32",      "int64",      "uint8",  "uint16", "uint32", "uint64",
        "intptr",    "uintptr",   "intmax",     "uintmax",    "size",   "ssize",  "ptrdiff", "wchar",
        "max_align", "int_fast8", "int_least8", "float",      "double", "int",    "char",   "long",
        "short",     "signed",    "unsigned",   "void",       "static", "const",  "struct", "union",
        "enum",      "return",    "if",         "else",       "for",    "while",  "do",     "switch",
        "case",      "default",   "break",      "continue",   "goto",   "inline", "extern", "register",
        "restrict",  "sizeof",    "typedef",    "volatile",   "auto",   "adze",   "main",   "time",
        "clock",     "bool",      "div",        "ldiv",       "lldiv",  "off",    "pid",    "adze_board"};
    for (size_t i = 0; i < ADZE_COUNT(taken); i++)
        if (!strcmp(taken[i], name))
            return true;
    return false;
}

static bool load_one(adze_context *ctx, const adze_request *request, adze_job_model *m,
                     const adze_onnx_dim *dims, bool *used_binds) {
    const char *dot = strrchr(m->path, '.');
    ctx->diags.file = m->path;
    if (access(m->path, R_OK) != 0)
        return adze_error(&ctx->diags, NULL, "cannot open: %s", strerror(errno));
    if (dot && !strcasecmp(dot, ".gguf"))
        return adze_error(&ctx->diags, NULL, "GGUF is not supported in this version");
    bool onnx = dot && !strcasecmp(dot, ".onnx"), mlir = dot && !strcasecmp(dot, ".mlir");
    if (!onnx && !mlir)
        return adze_error(
            &ctx->diags, NULL,
            "not a model that adze knows by its name — hint: MODEL is .onnx, or .mlir "
            "from --dump-ir");
    if (onnx ? !load_onnx(ctx, request, m, dims, used_binds) : !load_mlir(ctx, request, m))
        return false;
    ctx->diags.file = m->path;
    MlirOperation root = mlirModuleGetOperation(m->module);
    m->level = (int)adze_get_i64(root, "adze.level");
    if (m->level < 1 || m->level > 3)
        return adze_error(&ctx->diags, NULL, "the module does not say its level (adze.level)");
    bool given = m->name != NULL;
    if (given)
        adze_set(root, "adze.name", adze_str(ctx, m->name));
    m->name = adze_get_str(ctx, root, "adze.name");
    if (!m->name || !*m->name)
        return adze_error(&ctx->diags, NULL, "the module has no name — hint: --name NAME");
    m->name = adze_c_name(ctx, m->name);
    if (is_taken(m->name)) {
        if (given)
            return adze_error(&ctx->diags, NULL, "the name '%s' has a meaning in C — hint: another --name",
                              m->name);
        m->name = adze_arena_printf(ctx->arena, "net_%s", m->name);
    }
    adze_set(root, "adze.name", adze_str(ctx, m->name));
    return note_origin(ctx, m);
}

/* Every --dim has to name an extent of some model: a slip would otherwise go unseen. */
static bool check_dims(adze_compilation *c, const adze_onnx_dim *dims, size_t n_dims) {
    adze_context *ctx = c->ctx;
    for (size_t d = 0; d < n_dims; d++) {
        bool found = false;
        const char *near = NULL;
        for (size_t i = 0; i < c->n_models && !found; i++) {
            const char **names;
            size_t n;
            if (!adze_reference_dim_names(ctx, c->models[i].path, &names, &n))
                return false;
            for (size_t k = 0; k < n && !found; k++)
                found = !strcmp(names[k], dims[d].name);
            const char *slip = adze_suggest(dims[d].name, names, n);
            near = slip ? slip : near ? near : n ? names[0] : NULL;
        }
        if (!found)
            return adze_error(&ctx->diags, NULL,
                              "--dim %s: the model has no such symbolic extent%s%s", dims[d].name,
                              near ? " — hint: it has " : "", near ? near : "");
    }
    return true;
}

bool adze_job_load_models(adze_compilation *c, const adze_request *request) {
    adze_context *ctx = c->ctx;
    adze_onnx_dim *dims = NULL;
    if (!parse_dims(ctx, request, &dims))
        return false;
    bool *used_binds = ADZE_NEW_ARRAY(ctx->arena, bool, request->n_binds + 1);
    c->models = ADZE_NEW_ARRAY(ctx->arena, adze_job_model, request->n_models + 1);
    for (size_t i = 0; i < request->n_models; i++) {
        adze_job_model *m = &c->models[c->n_models++];
        m->name = request->models[i].name;
        m->path = adze_arena_strdup(ctx->arena, request->models[i].path);
        if (request->progress)
            request->progress(request->user, adze_arena_printf(ctx->arena, "reading %s", m->path));
        if (!load_one(ctx, request, m, dims, used_binds))
            return false;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(c->models[k].name, m->name))
                return adze_error(&ctx->diags, NULL,
                                  "two models are named '%s' — hint: write "
                                  "NAME=MODEL",
                                  m->name);
    }
    if (!check_dims(c, dims, request->n_dims))
        return false;
    for (size_t i = 0; i < request->n_binds; i++)
        if (!used_binds[i])
            return adze_error(&ctx->diags, NULL, "--bind %s: the model has no such input",
                              request->binds[i]);
    return true;
}

/* ---- what an entry takes and gives ---- */

static MlirOperation entry_of(MlirModule module) {
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "func.func") && !mlirAttributeIsNull(adze_get(op, "adze.entry")))
            return op;
    return (MlirOperation){0};
}

/* Attribute `key` of element `index` in an array of dictionaries, as text; NULL when not there. */
static const char *nth_str(adze_context *ctx, MlirAttribute list, intptr_t index, const char *key) {
    if (mlirAttributeIsNull(list) || !mlirAttributeIsAArray(list) ||
        index >= mlirArrayAttrGetNumElements(list))
        return NULL;
    MlirAttribute d = mlirArrayAttrGetElement(list, index);
    if (!mlirAttributeIsADictionary(d))
        return NULL;
    MlirAttribute value =
        mlirDictionaryAttrGetElementByName(d, mlirStringRefCreateFromCString(key));
    return mlirAttributeIsNull(value) ? NULL : adze_attr_str(ctx, value);
}

static bool wanted_of(adze_context *ctx, MlirModule module, MlirValue value, const char *name,
                      adze_wanted *out) {
    adze_shape s;
    if (!adze_value_shape(ctx, value, &s) || s.dtype == ADZE_NO_DTYPE)
        return adze_error(&ctx->diags, NULL, "'%s' is not a tensor", name);
    *out = (adze_wanted){.name = name, .dtype = s.dtype, .rank = s.rank};
    for (int i = 0; i < s.rank; i++) {
        out->dims[i] = out->lo[i] = out->hi[i] = s.dims[i];
        if (s.dims[i] >= 0)
            continue;
        MlirOperation dim =
            s.symbols[i] ? adze_symbol(module, "adze.dim", s.symbols[i]) : (MlirOperation){0};
        if (mlirOperationIsNull(dim))
            return adze_error(&ctx->diags, NULL, "'%s' has an extent without bounds", name);
        out->lo[i] = adze_get_i64(dim, "lo");
        out->hi[i] = adze_get_i64(dim, "hi");
    }
    return true;
}

/* Arguments and results, or at level 2 and 3 the arguments that are (not) written. */
static bool border(adze_context *ctx, MlirModule module, bool outputs, adze_wanted **out,
                   size_t *n) {
    MlirOperation entry = entry_of(module);
    if (mlirOperationIsNull(entry))
        return adze_error(&ctx->diags, NULL, "the module has no entry");
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(entry, 0));
    MlirOperation ret = mlirBlockGetTerminator(body);
    bool tensors = adze_get_i64(mlirModuleGetOperation(module), "adze.level") == 1;
    bool results = outputs && tensors;
    MlirAttribute attrs = adze_get(entry, results ? "res_attrs" : "arg_attrs");
    intptr_t count =
        results ? mlirOperationGetNumOperands(ret) : mlirBlockGetNumArguments(body);
    *out = ADZE_NEW_ARRAY(ctx->arena, adze_wanted, (size_t)count + 1);
    *n = 0;
    for (intptr_t i = 0; i < count; i++) {
        const char *access = nth_str(ctx, attrs, i, "adze.access");
        if (!tensors && (access && !strcmp(access, "write")) != outputs)
            continue;
        const char *name = nth_str(ctx, attrs, i, "adze.name");
        if (!name)
            name = adze_arena_printf(ctx->arena, "%s_%zu", outputs ? "output" : "input", *n);
        MlirValue value =
            results ? mlirOperationGetOperand(ret, i) : mlirBlockGetArgument(body, i);
        if (!wanted_of(ctx, module, value, name, &(*out)[(*n)++]))
            return false;
    }
    return true;
}

bool adze_job_inputs(adze_context *ctx, MlirModule module, adze_wanted **out, size_t *n) {
    return border(ctx, module, false, out, n);
}

bool adze_job_outputs(adze_context *ctx, MlirModule module, adze_wanted **out, size_t *n) {
    return border(ctx, module, true, out, n);
}
