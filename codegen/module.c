/* Reads a level-3 module: entries, kernels, weights, states, regions, and their names and places in
 * the C that will come out. Everything later works from this table. */
#include "codegen/emit.h"
#include "ir/weights.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

const char *adze_c_type(const adze_c_module *m, int type) {
    if (type >= ADZE_C_VECTOR)
        return m->target->vector_types[type - ADZE_C_VECTOR].c_type;
    return type == ADZE_C_INDEX ? m->index_type : adze_dtype_get((adze_dtype)type)->c_type;
}

void adze_c_use_runtime(adze_c_module *m, const char *file) {
    int at = 0;
    for (; at < m->n_runtime; at++) {
        int order = strcmp(m->runtime[at], file);
        if (order == 0)
            return;
        if (order > 0)
            break;
    }
    const char **list = ADZE_NEW_ARRAY(m->ctx->arena, const char *, (size_t)m->n_runtime + 1);
    for (int i = 0; i < m->n_runtime; i++)
        list[i < at ? i : i + 1] = m->runtime[i];
    list[at] = adze_arena_strdup(m->ctx->arena, file);
    m->runtime = list;
    m->n_runtime++;
}

const char *adze_c_shape_text(adze_arena *arena, const adze_shape *shape) {
    adze_text text = {0};
    adze_text_puts(&text, "[");
    for (int d = 0; d < shape->rank; d++) {
        adze_text_puts(&text, d ? ", " : "");
        if (shape->dims[d] >= 0)
            adze_text_printf(&text, "%" PRId64, shape->dims[d]);
        else
            adze_text_puts(&text, shape->symbols[d] ? shape->symbols[d] : "?");
    }
    adze_text_puts(&text, "]");
    const char *out = adze_arena_strdup(arena, text.data);
    adze_text_free(&text);
    return out;
}

/* ---- names ---- */

typedef struct name_list {
    adze_arena *arena;
    const char **items;
    int n, capacity;
} name_list;

static bool taken(const name_list *list, const char *name) {
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

/* `base`, or base_2, base_3 ... when others have it. */
static const char *unique(name_list *list, const char *base) {
    const char *name = base;
    for (int i = 2; taken(list, name); i++)
        name = adze_arena_printf(list->arena, "%s_%d", base, i);
    if (list->n == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 32;
        const char **items = ADZE_NEW_ARRAY(list->arena, const char *, (size_t)capacity);
        if (list->n)
            memcpy(items, list->items, (size_t)list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = name;
    return name;
}

/* ---- functions ---- */

static const char *string_of(adze_context *ctx, MlirAttribute dictionary, const char *key) {
    if (mlirAttributeIsNull(dictionary))
        return NULL;
    MlirAttribute a =
        mlirDictionaryAttrGetElementByName(dictionary, mlirStringRefCreateFromCString(key));
    return mlirAttributeIsNull(a) ? NULL : adze_attr_str(ctx, a);
}

static bool read_param(adze_c_module *m, MlirOperation func, int i, name_list *names,
                       adze_c_param *p) {
    adze_context *ctx = m->ctx;
    const char *symbol = adze_get_str(ctx, func, "sym_name");
    MlirAttribute all = adze_get(func, "arg_attrs"), attrs = {NULL};
    if (!mlirAttributeIsNull(all) && i < mlirArrayAttrGetNumElements(all))
        attrs = mlirArrayAttrGetElement(all, i);
    MlirType type;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(func, 0));
    MlirAttribute signature = adze_get(func, "function_type");
    type = mlirFunctionTypeGetInput(mlirTypeAttrGetValue(signature), i);
    p->model_name = string_of(ctx, attrs, "adze.name");
    if (!p->model_name && !mlirBlockIsNull(body)) {
        MlirLocation loc = mlirValueGetLocation(mlirBlockGetArgument(body, i));
        if (mlirLocationIsAName(loc)) {
            MlirStringRef s = mlirIdentifierStr(mlirLocationNameGetName(loc));
            p->model_name = adze_arena_strndup(ctx->arena, s.data, s.length);
        }
    }
    if (!p->model_name)
        p->model_name = adze_arena_printf(ctx->arena, "arg%d", i);
    p->name = unique(names, adze_c_identifier(ctx->arena, p->model_name));
    if (!mlirTypeIsAMemRef(type)) {
        adze_dtype dtype = mlirTypeIsAIndex(type) ? ADZE_f32 : adze_element_dtype(ctx, type);
        if (dtype == ADZE_NO_DTYPE || mlirTypeIsAShaped(type))
            return adze_error(&ctx->diags, symbol,
                              "parameter '%s' has a type that level 3 does not have", p->model_name);
        p->scalar = true;
        p->read = true;
        p->scalar_type = mlirTypeIsAIndex(type) ? (int)ADZE_C_INDEX : (int)dtype;
        return true;
    }
    if (!adze_shape_of(ctx, type, &p->shape) || p->shape.dtype == ADZE_NO_DTYPE ||
        strchr("CS", adze_dtype_get(p->shape.dtype)->cls))
        return adze_error(&ctx->diags, symbol, "parameter '%s' has elements that C has no type for",
                          p->model_name);
    MlirAttribute dims = {NULL};
    if (!mlirAttributeIsNull(attrs))
        dims = mlirDictionaryAttrGetElementByName(attrs,
                                                  mlirStringRefCreateFromCString("adze.dims"));
    for (int d = 0; !mlirAttributeIsNull(dims) && d < p->shape.rank &&
                    d < mlirArrayAttrGetNumElements(dims);
         d++)
        p->shape.symbols[d] = adze_attr_str(ctx, mlirArrayAttrGetElement(dims, d));
    const char *access = string_of(ctx, attrs, "adze.access");
    if (!access)
        access = "read";
    p->read = strcmp(access, "write") != 0;
    p->write = strcmp(access, "read") != 0;
    if (strcmp(access, "read") && strcmp(access, "write") && strcmp(access, "readwrite"))
        return adze_error(&ctx->diags, symbol, "adze.access \"%s\" is not read, write or readwrite",
                          access);
    p->alias = !mlirAttributeIsNull(attrs) &&
               !mlirAttributeIsNull(mlirDictionaryAttrGetElementByName(
                   attrs, mlirStringRefCreateFromCString("adze.alias")));
    return true;
}

static int param_count(MlirOperation func) {
    return (int)mlirFunctionTypeGetNumInputs(mlirTypeAttrGetValue(adze_get(func, "function_type")));
}

static const char *node_list(adze_context *ctx, MlirOperation func) {
    enum { MAX = 64 };
    const char *nodes[MAX];
    int n = adze_get_strs(ctx, func, "adze.nodes", MAX, nodes);
    adze_text text = {0};
    for (int i = 0; i < n && i < MAX; i++)
        adze_text_printf(&text, "%s%s", i ? ", " : "", nodes[i]);
    if (n > MAX)
        adze_text_printf(&text, ", and %d more", n - MAX);
    const char *out = text.data ? adze_arena_strdup(ctx->arena, text.data) : "";
    adze_text_free(&text);
    return out;
}

static bool has_part(MlirOperation func, int n) {
    MlirAttribute all = adze_get(func, "arg_attrs");
    return n > 2 && !mlirAttributeIsNull(all) && n == mlirArrayAttrGetNumElements(all) &&
           !mlirAttributeIsNull(mlirDictionaryAttrGetElementByName(
               mlirArrayAttrGetElement(all, n - 1), mlirStringRefCreateFromCString("adze.part")));
}

static bool read_kernel(adze_c_module *m, MlirOperation func, name_list *externals,
                        adze_c_kernel *k) {
    adze_context *ctx = m->ctx;
    k->op = func;
    k->symbol = adze_get_str(ctx, func, "sym_name");
    k->runtime = adze_get_str(ctx, func, "adze.runtime");
    k->kind = adze_get_str(ctx, func, "adze.kind");
    if (!k->kind)
        k->kind = "";
    k->nodes = node_list(ctx, func);
    k->name = k->runtime ? k->symbol
                         : unique(externals, adze_arena_printf(
                                                 ctx->arena, "%s_%s", m->name,
                                                 adze_c_identifier(ctx->arena, k->symbol)));
    k->n_params = param_count(func);
    k->params = ADZE_NEW_ARRAY(ctx->arena, adze_c_param, (size_t)k->n_params + 1);
    if (!mlirAttributeIsNull(adze_get(func, "adze.parallel")))
        k->n_shared = has_part(func, k->n_params) ? 3 : 2;
    name_list names = {.arena = ctx->arena};
    for (int i = 0; i < m->n_dims; i++)
        unique(&names, m->dims[i].name);
    k->dims = ADZE_NEW_ARRAY(ctx->arena, const char *, (size_t)m->n_dims + 1);
    for (int i = 0; i < k->n_params; i++) {
        if (!read_param(m, func, i, &names, &k->params[i]))
            return false;
        const adze_shape *s = &k->params[i].shape;
        for (int d = 0; d < s->rank; d++) {
            if (s->dims[d] >= 0)
                continue;
            bool known = false, named = false;
            for (int j = 0; s->symbols[d] && j < k->n_dims; j++)
                known |= strcmp(k->dims[j], s->symbols[d]) == 0;
            for (int j = 0; s->symbols[d] && j < m->n_dims; j++)
                named |= strcmp(m->dims[j].symbol, s->symbols[d]) == 0;
            if (!named)
                return adze_error(&ctx->diags, k->symbol,
                                  "parameter '%s' has an extent without a named dimension",
                                  k->params[i].model_name);
            if (!known)
                k->dims[k->n_dims++] = s->symbols[d];
        }
    }
    return true;
}

/* ---- memory ---- */

static uint64_t align_up(uint64_t n) {
    return (n + ADZE_MEMORY_ALIGN - 1) / ADZE_MEMORY_ALIGN * ADZE_MEMORY_ALIGN;
}

/* Bytes in generated code: one element a byte below eight bits; bounded extents at their most. */
static bool stored_bytes(const adze_c_module *m, const adze_shape *s, uint64_t *bytes) {
    if (s->dtype == ADZE_NO_DTYPE || strchr("CS", adze_dtype_get(s->dtype)->cls))
        return false;
    size_t n = adze_dtype_get(s->dtype)->host_bytes;
    for (int d = 0; d < s->rank; d++) {
        int64_t extent = s->dims[d];
        for (int i = 0; extent < 0 && s->symbols[d] && i < m->n_dims; i++)
            if (strcmp(m->dims[i].symbol, s->symbols[d]) == 0)
                extent = m->dims[i].hi;
        if (extent < 0 || !adze_mul_size(n, (size_t)extent, &n))
            return false;
    }
    *bytes = n;
    return true;
}

static int region_of(adze_c_module *m, const char *name) {
    const char *id = adze_c_identifier(m->ctx->arena, name);
    for (int i = 0; i < m->n_regions; i++)
        if (strcmp(m->regions[i].name, id) == 0)
            return i;
    adze_c_region *list = ADZE_NEW_ARRAY(m->ctx->arena, adze_c_region, (size_t)m->n_regions + 1);
    if (m->n_regions)
        memcpy(list, m->regions, (size_t)m->n_regions * sizeof *list);
    list[m->n_regions] = (adze_c_region){id, 0, ADZE_MEMORY_ALIGN};
    m->regions = list;
    return m->n_regions++;
}

static int weight_index(const adze_c_module *m, const char *symbol) {
    for (int i = 0; symbol && i < m->n_weights; i++)
        if (strcmp(m->weights[i].symbol, symbol) == 0)
            return i;
    return -1;
}

static bool read_weight(adze_c_module *m, MlirOperation op, name_list *externals, adze_c_weight *w) {
    adze_context *ctx = m->ctx;
    w->op = op;
    w->symbol = adze_get_str(ctx, op, "sym_name");
    MlirType type = mlirTypeAttrGetValue(adze_get(op, "type"));
    if (!adze_shape_of(ctx, type, &w->shape) || !stored_bytes(m, &w->shape, &w->bytes))
        return adze_error(&ctx->diags, w->symbol, "a weight of a type that C has no array for");
    w->name = unique(externals, adze_arena_printf(ctx->arena, "%s_%s", m->name,
                                                  adze_c_identifier(ctx->arena, w->symbol)));
    return true;
}

static bool read_state(adze_c_module *m, MlirOperation op, name_list *names, adze_c_state *s) {
    adze_context *ctx = m->ctx;
    s->op = op;
    s->symbol = adze_get_str(ctx, op, "sym_name");
    s->name = unique(names, adze_c_identifier(ctx->arena, s->symbol));
    if (!adze_shape_of(ctx, mlirTypeAttrGetValue(adze_get(op, "type")), &s->shape) ||
        !stored_bytes(m, &s->shape, &s->bytes))
        return adze_error(&ctx->diags, s->symbol, "a state of a type that C has no array for");
    const char *region = adze_get_str(ctx, op, "region");
    s->region = region_of(m, region && *region ? region : "state");
    s->offset = m->regions[s->region].bytes;
    m->regions[s->region].bytes = align_up(s->offset + s->bytes);
    const char *initial = adze_get_str(ctx, op, "initial");
    s->initial = -1;
    if (initial && *initial) {
        s->initial = weight_index(m, initial);
        if (s->initial < 0)
            return adze_error(&ctx->diags, s->symbol, "its initial value '%s' is not a weight",
                              initial);
        if (m->weights[s->initial].bytes != s->bytes)
            return adze_error(&ctx->diags, s->symbol, "its initial value '%s' has another size",
                              initial);
        m->weights[s->initial].used = true;
    }
    return true;
}

/* ---- entries: buffers and their lives ---- */

typedef struct entry_scan {
    adze_c_module *m;
    adze_c_entry *entry;
    int capacity, step_capacity;
    MlirValue *values; /* of each buffer */
    MlirOperation *calls;
    bool failed;
} entry_scan;

static void *grow(adze_arena *arena, void *old, int n, int *capacity, size_t size) {
    if (n < *capacity)
        return old;
    int more = *capacity ? 2 * *capacity : 32;
    void *items = adze_arena_array(arena, (size_t)more, size);
    if (n)
        memcpy(items, old, (size_t)n * size);
    *capacity = more;
    return items;
}

static void scan_entry(MlirOperation op, void *user) {
    entry_scan *scan = user;
    adze_c_module *m = scan->m;
    adze_c_entry *e = scan->entry;
    adze_context *ctx = m->ctx;
    if (adze_is_op(op, "adze.get_weight")) {
        int w = weight_index(m, adze_get_str(ctx, op, "weight"));
        if (w >= 0)
            m->weights[w].used = true;
    } else if (adze_is_op(op, "func.call")) {
        int capacity = scan->step_capacity;
        e->steps = grow(ctx->arena, e->steps, e->n_steps, &capacity, sizeof *e->steps);
        scan->calls = grow(ctx->arena, scan->calls, e->n_steps, &scan->step_capacity,
                           sizeof *scan->calls);
        MlirStringRef s = mlirFlatSymbolRefAttrGetValue(adze_get(op, "callee"));
        e->steps[e->n_steps] = adze_arena_strndup(ctx->arena, s.data, s.length);
        scan->calls[e->n_steps++] = op;
    } else if (adze_is_op(op, "adze.region")) {
        adze_shape shape;
        MlirValue value = mlirOperationGetResult(op, 0);
        uint64_t bytes = 0;
        int64_t offset = adze_get_i64(op, "offset");
        const char *region = adze_get_str(ctx, op, "region");
        bool ok = adze_shape_of(ctx, mlirValueGetType(value), &shape);
        const char *symbols[ADZE_MAX_RANK] = {0};
        int n = adze_get_strs(ctx, op, "adze.dims", ADZE_MAX_RANK, symbols);
        for (int d = 0; ok && d < n && d < shape.rank; d++)
            shape.symbols[d] = symbols[d];
        if (!ok || !stored_bytes(m, &shape, &bytes) || offset < 0 ||
            offset > INT64_MAX / 2 || bytes > INT64_MAX / 2 || !region || !*region) {
            scan->failed = true;
            adze_error(&ctx->diags, e->name, "a buffer without a size or with a wrong place");
            return;
        }
        if (offset % ADZE_MEMORY_ALIGN) {
            scan->failed = true;
            adze_error(&ctx->diags, e->name, "a buffer at offset %" PRId64 " is not aligned to %d",
                       offset, (int)ADZE_MEMORY_ALIGN);
            return;
        }
        int capacity = scan->capacity, r = region_of(m, region);
        e->buffers = grow(ctx->arena, e->buffers, e->n_buffers, &capacity, sizeof *e->buffers);
        scan->values = grow(ctx->arena, scan->values, e->n_buffers, &scan->capacity,
                            sizeof *scan->values);
        adze_c_buffer *b = &e->buffers[e->n_buffers];
        MlirLocation loc = mlirOperationGetLocation(op);
        MlirStringRef s = {"buffer", 6};
        if (mlirLocationIsAName(loc))
            s = mlirIdentifierStr(mlirLocationNameGetName(loc));
        *b = (adze_c_buffer){.name = adze_arena_strndup(ctx->arena, s.data, s.length), .region = r,
                             .offset = (uint64_t)offset, .bytes = bytes, .first = -1,
                             .last = -1, .shape = shape};
        scan->values[e->n_buffers++] = value;
        if (m->regions[r].bytes < align_up(b->offset + bytes))
            m->regions[r].bytes = align_up(b->offset + bytes);
    }
}

/* Steps at which a value, or another view of it, is an operand. */
static void scan_uses(entry_scan *scan, MlirValue value, adze_c_buffer *b, int depth) {
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation owner = mlirOpOperandGetOwner(use);
        for (int i = 0; i < scan->entry->n_steps; i++)
            if (mlirOperationEqual(scan->calls[i], owner)) {
                b->first = b->first < 0 || i < b->first ? i : b->first;
                b->last = i > b->last ? i : b->last;
            }
        bool view = mlirOperationGetNumResults(owner) == 1 && depth < 16 &&
                    mlirTypeIsAMemRef(mlirValueGetType(mlirOperationGetResult(owner, 0)));
        if (view)
            scan_uses(scan, mlirOperationGetResult(owner, 0), b, depth + 1);
    }
}

static bool read_entry(adze_c_module *m, MlirOperation func, adze_c_entry *e) {
    adze_context *ctx = m->ctx;
    e->op = func;
    e->name = adze_c_identifier(ctx->arena, adze_get_str(ctx, func, "sym_name"));
    e->n_params = param_count(func);
    e->params = ADZE_NEW_ARRAY(ctx->arena, adze_c_param, (size_t)e->n_params + 1);
    name_list names = {.arena = ctx->arena};
    for (int i = 0; i < m->n_dims; i++)
        unique(&names, m->dims[i].name);
    for (int i = 0; i < e->n_params; i++) {
        if (!read_param(m, func, i, &names, &e->params[i]))
            return false;
        if (e->params[i].scalar)
            return adze_error(&ctx->diags, e->name, "'%s': an entry's tensors are memrefs",
                              e->params[i].model_name);
        if (e->params[i].write && e->params[i].read)
            return adze_error(&ctx->diags, e->name,
                              "'%s': an entry's tensor is an input or an output, not both",
                              e->params[i].model_name);
    }
    entry_scan scan = {.m = m, .entry = e};
    adze_walk(func, scan_entry, &scan);
    for (int i = 0; i < e->n_buffers; i++)
        scan_uses(&scan, scan.values[i], &e->buffers[i], 0);
    return !scan.failed;
}

/* ---- the module ---- */

/* Offsets are computed in `int` when every array has fewer than 2^31 elements. */
static void choose_index(MlirOperation op, void *user) {
    adze_c_module *m = user;
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
        adze_shape s;
        uint64_t bytes;
        if (mlirTypeIsAMemRef(mlirValueGetType(mlirOperationGetOperand(op, i))) &&
            adze_value_shape(m->ctx, mlirOperationGetOperand(op, i), &s)) {
            for (int d = 0; d < s.rank; d++)
                if (s.dims[d] < 0)
                    s.dims[d] = 1;
            if (!stored_bytes(m, &s, &bytes) ||
                bytes / adze_dtype_get(s.dtype)->host_bytes > INT32_MAX)
                m->index_type = "ptrdiff_t";
        }
    }
}

typedef struct counts {
    int weights, states, dims, functions;
} counts;

static void count_ops(MlirOperation op, void *user) {
    counts *c = user;
    c->weights += adze_is_op(op, "adze.weight");
    c->states += adze_is_op(op, "adze.state");
    c->dims += adze_is_op(op, "adze.dim");
    c->functions += adze_is_op(op, "func.func");
}

bool adze_c_module_read(adze_context *ctx, MlirModule module, const char *name,
                        adze_weights_mode mode, const adze_target *target, adze_c_module *out) {
    adze_arena *arena = ctx->arena;
    adze_c_module *m = out;
    *m = (adze_c_module){
        .ctx = ctx, .module = module, .target = target, .weights_mode = mode, .index_type = "int"};
    int64_t threads = adze_get_i64(mlirModuleGetOperation(module), "adze.threads");
    m->threads = threads > 1 && threads < INT32_MAX ? (int)threads : 1;
    m->name = adze_c_identifier(arena, name);
    char *upper = adze_arena_strdup(arena, m->name);
    for (char *p = upper; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    m->upper = upper;
    counts c = {0};
    adze_walk(mlirModuleGetOperation(module), count_ops, &c);
    m->weights = ADZE_NEW_ARRAY(arena, adze_c_weight, (size_t)c.weights + 1);
    m->states = ADZE_NEW_ARRAY(arena, adze_c_state, (size_t)c.states + 1);
    m->dims = ADZE_NEW_ARRAY(arena, adze_c_dim, (size_t)c.dims + 1);
    m->entries = ADZE_NEW_ARRAY(arena, adze_c_entry, (size_t)c.functions + 1);
    m->kernels = ADZE_NEW_ARRAY(arena, adze_c_kernel, (size_t)c.functions + 1);
    region_of(m, "state");
    region_of(m, "scratch");

    name_list externals = {.arena = arena}, states = {.arena = arena}, dims = {.arena = arena};
    static const char *const ours[] = {"init", "reset", "free", "t", "mem", "weights", "profile"};
    for (size_t i = 0; i < ADZE_COUNT(ours); i++)
        unique(&externals, adze_arena_printf(arena, "%s_%s", m->name, ours[i]));
    MlirBlock body = mlirModuleGetBody(module);
    MlirOperation first = mlirBlockGetFirstOperation(body);
    /* Entries keep their names, so they come first. */
    for (MlirOperation op = first; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (adze_is_op(op, "adze.dim")) {
            adze_c_dim *d = &m->dims[m->n_dims++];
            d->symbol = adze_get_str(ctx, op, "sym_name");
            d->name = unique(&dims, adze_c_identifier(arena, d->symbol));
            d->lo = adze_get_i64(op, "lo");
            d->hi = adze_get_i64(op, "hi");
        }
        if (adze_is_op(op, "func.func") && !mlirAttributeIsNull(adze_get(op, "adze.entry")))
            unique(&externals,
                   adze_arena_printf(arena, "%s_%s", m->name,
                                     adze_c_identifier(arena, adze_get_str(ctx, op, "sym_name"))));
    }
    for (MlirOperation op = first; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (adze_is_op(op, "adze.weight")) {
            if (!read_weight(m, op, &externals, &m->weights[m->n_weights]))
                return false;
            m->n_weights++;
        } else if (adze_is_op(op, "func.func") && mlirAttributeIsNull(adze_get(op, "adze.entry"))) {
            if (!read_kernel(m, op, &externals, &m->kernels[m->n_kernels]))
                return false;
            m->n_kernels++;
        }
    }
    for (MlirOperation op = first; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (adze_is_op(op, "adze.state")) {
            if (!read_state(m, op, &states, &m->states[m->n_states]))
                return false;
            m->n_states++;
        }
    }
    for (MlirOperation op = first; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (adze_is_op(op, "func.func") && !mlirAttributeIsNull(adze_get(op, "adze.entry"))) {
            if (!read_entry(m, op, &m->entries[m->n_entries]))
                return false;
            m->n_entries++;
        }
    }
    if (m->n_entries == 0)
        return adze_error(&ctx->diags, m->name, "the module has no entry (a function with adze.entry)");
    for (int i = 0; i < m->n_weights; i++) {
        if (!m->weights[i].used)
            continue;
        m->weights[i].offset = m->weight_bytes;
        m->weight_bytes = align_up(m->weight_bytes + m->weights[i].bytes);
    }
    adze_walk(mlirModuleGetOperation(module), choose_index, m);
    return true;
}
