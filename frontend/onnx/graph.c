/* The forward walk: nodes of a graph or function body in order, subgraphs, function calls. */
#include "frontend/onnx/importer.h"

#include <string.h>

/* A file's functions can double at every level: what they expand to is bounded. */
enum { MAX_NODES = 1 << 20, MAX_DEPTH = 48 };

static bool in_list(const char *list, adze_string name) {
    for (const char *p = list; *p;) {
        size_t length = strcspn(p, " ");
        if (length == name.length && !memcmp(p, name.data, length))
            return true;
        p += length;
        p += *p == ' ';
    }
    return false;
}

static bool check_attributes(node *n) {
    for (size_t i = 0; i < n->proto->attribute.count; i++) {
        adze_string name = n->proto->attribute.items[i]->name;
        if (!in_list(n->row->attrs, name))
            return ox_fail(n, "attribute '%s' is not supported",
                           adze_arena_strndup(n->ctx->arena, name.data, name.length));
    }
    return true;
}

static int64_t opset_of(importer *imp, const char *domain) {
    size_t count = imp->model->opset_import.count;
    onnx_OperatorSetIdProto **items = imp->model->opset_import.items;
    const scope *s = imp->scope;
    while (s && !s->function)
        s = s->parent;
    if (s) {
        count = s->function->opset_import.count;
        items = s->function->opset_import.items;
    }
    for (size_t i = 0; i < count; i++) {
        adze_string d = items[i]->domain;
        if (adze_string_is(d, domain) || (!*domain && adze_string_is(d, "ai.onnx")))
            return items[i]->version;
    }
    return -1;
}

static const onnx_FunctionProto *find_function(importer *imp, const onnx_NodeProto *p,
                                               const char *domain) {
    for (size_t i = 0; i < imp->model->functions.count; i++) {
        const onnx_FunctionProto *f = imp->model->functions.items[i];
        adze_string d = f->domain;
        if (f->name.length == p->op_type.length &&
            !memcmp(f->name.data, p->op_type.data, f->name.length) &&
            f->overload.length == p->overload.length &&
            (!f->overload.length ||
             !memcmp(f->overload.data, p->overload.data, f->overload.length)) &&
            (adze_string_is(d, domain) || (!*domain && adze_string_is(d, "ai.onnx"))))
            return f;
    }
    return NULL;
}

/* ---- names that are not there ---- */

static bool missing_value(node *n, const char *name, const onnx_NodeProto *const *nodes,
                          size_t count, size_t at) {
    for (size_t i = at; i < count; i++)
        for (size_t k = 0; k < nodes[i]->output.count; k++)
            if (ox_intern(n->imp, nodes[i]->output.items[k]) == name)
                return ox_fail(n,
                               i == at ? "a cycle: its input '%s' is its own output%s%s"
                                       : "its input '%s' is made only later, by node '%s' (%s): a "
                                         "cycle, or nodes out of order",
                               name,
                               i == at ? ""
                                       : ox_intern(n->imp, nodes[i]->name.length
                                                               ? nodes[i]->name
                                                               : nodes[i]->output.items[k]),
                               i == at ? "" : ox_intern(n->imp, nodes[i]->op_type));
    return ox_fail(n, "its input '%s' is missing: no node, initializer or graph input makes it",
                   name);
}

/* ---- calls ---- */

static bool call_function(node *n, const onnx_FunctionProto *f) {
    importer *imp = n->imp;
    scope *before = imp->scope;
    if (before->depth >= MAX_DEPTH)
        return ox_fail(n, "functions are nested deeper than %d levels, or call themselves",
                       MAX_DEPTH);
    if ((size_t)n->n_in > f->input.count)
        return ox_fail(n, "gives %d inputs to a function of %zu", n->n_in, f->input.count);
    scope *s = ADZE_NEW(n->ctx->arena, scope);
    /* The parent is for attribute references only: values are not visible, so they are looked up in
     * this scope alone. */
    *s = (scope){.parent = before,
                 .call = n,
                 .function = f,
                 .depth = before->depth + 1,
                 .prefix = adze_arena_printf(n->ctx->arena, "%s/", n->label)};
    for (size_t i = 0; i < f->input.count; i++)
        ox_map_put(n->ctx->arena, &s->values, ox_intern(imp, f->input.items[i]), ox_any(n, (int)i));
    imp->scope = s;
    bool ok = ox_import_body(imp, s, (const onnx_NodeProto *const *)f->node.items, f->node.count);
    for (size_t i = 0; ok && i < f->output.count && i < (size_t)n->n_out; i++) {
        const char *name = ox_intern(imp, f->output.items[i]);
        val *v = ox_lookup(imp, name);
        if (!v)
            ok = ox_fail(n, "the function makes no '%s'", name);
        else
            ox_out(n, (int)i, v);
    }
    imp->scope = before;
    return ok;
}

static bool add_initializers(importer *imp, scope *s, const onnx_GraphProto *g) {
    adze_arena *arena = imp->ctx->arena;
    for (size_t i = 0; i < g->initializer.count; i++) {
        const onnx_TensorProto *t = g->initializer.items[i];
        adze_tensor shape;
        if (!adze_onnx_tensor_shape(imp->ctx, t, &shape))
            return false;
        val *v = ox_tensor_val(imp, &shape);
        v->known = NULL;
        v->proto = t;
        v->name = ox_intern(imp, t->name);
        ox_map_put(arena, &s->values, v->name, v);
    }
    for (size_t i = 0; i < g->sparse_initializer.count; i++) {
        adze_tensor dense;
        const onnx_SparseTensorProto *sparse = g->sparse_initializer.items[i];
        if (!adze_onnx_sparse_tensor(imp->ctx, imp->path, sparse, &dense))
            return false;
        val *v = ox_tensor_val(imp, &dense);
        v->name = ox_intern(imp, sparse->values->name);
        ox_map_put(arena, &s->values, v->name, v);
    }
    return true;
}

bool ox_import_graph(importer *imp, scope *s, const onnx_GraphProto *g) {
    s->graph = g;
    return add_initializers(imp, s, g) &&
           ox_import_body(imp, s, (const onnx_NodeProto *const *)g->node.items, g->node.count);
}

bool ox_import_subgraph(node *n, const onnx_GraphProto *g, const char *prefix, val *const *in,
                        int n_in, val **out, int n_out) {
    importer *imp = n->imp;
    scope *before = imp->scope;
    if (before->depth >= MAX_DEPTH)
        return ox_fail(n, "graphs are nested deeper than %d levels", MAX_DEPTH);
    if (g->input.count != (size_t)n_in || g->output.count != (size_t)n_out)
        return ox_fail(n, "its graph has %zu inputs and %zu outputs where %d and %d are expected",
                       g->input.count, g->output.count, n_in, n_out);
    scope *s = ADZE_NEW(n->ctx->arena, scope);
    *s = (scope){.parent = before,
                 .depth = before->depth + 1,
                 .prefix = adze_arena_printf(n->ctx->arena, "%s/%s", n->label, prefix)};
    imp->scope = s;
    for (int i = 0; i < n_in; i++)
        ox_map_put(n->ctx->arena, &s->values, ox_intern(imp, g->input.items[i]->name), in[i]);
    bool ok = ox_import_graph(imp, s, g);
    for (int i = 0; ok && i < n_out; i++) {
        const char *name = ox_intern(imp, g->output.items[i]->name);
        out[i] = ox_lookup(imp, name);
        if (!out[i])
            ok = ox_fail(n, "its graph makes no '%s'", name);
    }
    imp->scope = before;
    n->failed |= !ok;
    return ok;
}

/* ---- one node ---- */

static bool run_row(node *n) {
    bool other;
    const char *domain = n->proto->domain.length && !adze_string_is(n->proto->domain, "ai.onnx")
                             ? ox_intern(n->imp, n->proto->domain)
                             : "";
    const onnx_FunctionProto *f = find_function(n->imp, n->proto, domain);
    if (f)
        return call_function(n, f);
    int64_t opset = opset_of(n->imp, domain);
    if (opset < 0)
        return ox_fail(n, "the model imports no operator set for the domain '%s'", domain);
    n->row = ox_find_row(domain, n->op, opset, &other);
    if (!n->row)
        return ox_fail(n, "operator %s%s%s (opset %lld) is not supported", domain,
                       *domain ? "." : "", n->op, (long long)opset);
    n->opset = (int)opset;
    return check_attributes(n) && n->row->import(n);
}

static bool import_node(importer *imp, scope *s, const onnx_NodeProto *const *nodes, size_t count,
                        size_t at) {
    const onnx_NodeProto *p = nodes[at];
    adze_arena *arena = imp->ctx->arena;
    const char *own = p->name.length    ? ox_intern(imp, p->name)
                      : p->output.count ? ox_intern(imp, p->output.items[0])
                                        : "";
    node *n = ADZE_NEW(arena, node); /* outlives this call: scopes of functions point to it */
    *n = (node){.imp = imp,
                .ctx = imp->ctx,
                .proto = p,
                .op = ox_intern(imp, p->op_type),
                .label = *s->prefix ? adze_arena_printf(arena, "%s%s", s->prefix, own) : own};
    if (++imp->n_nodes > MAX_NODES)
        return ox_fail(n, "the model expands to more than %d nodes", MAX_NODES);
    n->n_in = (int)p->input.count;
    n->n_out = (int)p->output.count;
    if (p->input.count > 1 << 16 || p->output.count > 1 << 16)
        return ox_fail(n, "has too many inputs or outputs");
    n->in = ADZE_NEW_ARRAY(arena, val *, p->input.count);
    n->out = ADZE_NEW_ARRAY(arena, val *, p->output.count);
    for (int i = 0; i < n->n_in; i++) {
        const char *name = ox_intern(imp, p->input.items[i]);
        n->in[i] = *name ? ox_lookup(imp, name) : &imp->absent;
        if (!n->in[i])
            return missing_value(n, name, nodes, count, at);
    }
    while (n->n_in && n->in[n->n_in - 1]->kind == VAL_ABSENT)
        n->n_in--;
    for (int i = 0; i < n->n_out; i++)
        if (ox_wants(n, i)) {
            n->result_name = ox_intern(imp, p->output.items[i]);
            break;
        }
    if (!run_row(n))
        return n->failed ? false : ox_fail(n, "cannot be imported");
    if (n->failed)
        return false;
    for (int i = 0; i < n->n_out; i++) {
        if (!ox_wants(n, i))
            continue;
        const char *name = ox_intern(imp, p->output.items[i]);
        if (!n->out[i])
            return ox_fail(n, "its output %d ('%s') is not supported", i, name);
        if (ox_map_get(&s->values, name))
            return ox_fail(n, "makes '%s', which something else makes too", name);
        ox_map_put(arena, &s->values, name, n->out[i]);
    }
    return true;
}

bool ox_import_body(importer *imp, scope *s, const onnx_NodeProto *const *nodes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!import_node(imp, s, nodes, count, i))
            return false;
    return true;
}
