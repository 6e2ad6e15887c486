/* The node at hand: its operands, outputs and attributes, and errors that name it. */
#include "frontend/onnx/importer.h"

#include <stdio.h>
#include <string.h>

bool ox_fail(node *n, const char *format, ...) {
    if (n->failed)
        return false;
    n->failed = true;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *cause = adze_arena_alloc(n->ctx->arena, (size_t)length + 1);
    vsnprintf(cause, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return adze_error(&n->ctx->diags, n->label, "(%s): %s", n->op, cause);
}

/* ---- operands and outputs ---- */

bool ox_has(const node *n, int i) {
    return i < n->n_in && n->in[i]->kind != VAL_ABSENT;
}

val *ox_any(node *n, int i) {
    return i < n->n_in ? n->in[i] : &n->imp->absent;
}

val *ox_in(node *n, int i) {
    val *v = ox_any(n, i);
    if (v->kind == VAL_SEQUENCE || v->kind == VAL_OPTIONAL) {
        ox_fail(n, "input %d ('%s') is a %s where a tensor is expected", i, v->name ? v->name : "",
                v->kind == VAL_SEQUENCE ? "sequence" : "optional");
        return NULL;
    }
    return v;
}

val *ox_need(node *n, int i, const char *what) {
    val *v = ox_in(n, i);
    if (v && v->kind == VAL_ABSENT) {
        ox_fail(n, "the operand '%s' is missing", what);
        return NULL;
    }
    return v;
}

bool ox_wants(const node *n, int i) {
    return i < n->n_out && n->proto->output.items[i].length > 0;
}

bool ox_out(node *n, int i, val *v) {
    if (!v)
        return false;
    if (!ox_wants(n, i))
        return true;
    if (!v->name)
        v->name = ox_intern(n->imp, n->proto->output.items[i]);
    n->out[i] = v;
    return true;
}

/* ---- attributes ---- */

static const onnx_AttributeProto *find(const onnx_AttributeProto *const *items, size_t count,
                                       const char *name) {
    for (size_t i = 0; i < count; i++)
        if (adze_string_is(items[i]->name, name))
            return items[i];
    return NULL;
}

/* In a function's body an attribute may stand for one of the calling node's, or for its default. */
static const onnx_AttributeProto *resolve(node *n, const onnx_AttributeProto *a) {
    const scope *s = n->imp->scope;
    while (s && !s->call)
        s = s->parent;
    for (int hops = 0; a && a->ref_attr_name.length; hops++) {
        if (!s || hops > 32) {
            ox_fail(n, "an attribute refers to one outside of any function");
            return NULL;
        }
        const char *name = ox_intern(n->imp, a->ref_attr_name);
        const onnx_NodeProto *call = s->call->proto;
        a = find((const onnx_AttributeProto *const *)call->attribute.items, call->attribute.count,
                 name);
        if (!a) {
            const onnx_FunctionProto *f = s->function;
            a = find((const onnx_AttributeProto *const *)f->attribute_proto.items,
                     f->attribute_proto.count, name);
        }
        do /* the call itself may stand in a function */
            s = s->parent;
        while (s && !s->call);
    }
    return a;
}

const onnx_AttributeProto *ox_attr(node *n, const char *name) {
    const onnx_NodeProto *p = n->proto;
    return resolve(
        n, find((const onnx_AttributeProto *const *)p->attribute.items, p->attribute.count, name));
}

enum { A_FLOAT = 1, A_INT, A_STRING, A_TENSOR, A_GRAPH, A_FLOATS, A_INTS, A_STRINGS };

static const onnx_AttributeProto *typed(node *n, const char *name, int type) {
    const onnx_AttributeProto *a = ox_attr(n, name);
    if (a && a->type && a->type != type) {
        ox_fail(n, "attribute '%s' has another type than expected", name);
        return NULL;
    }
    return a;
}

int64_t ox_attr_i(node *n, const char *name, int64_t otherwise) {
    const onnx_AttributeProto *a = typed(n, name, A_INT);
    return a ? a->i : otherwise;
}

double ox_attr_f(node *n, const char *name, double otherwise) {
    const onnx_AttributeProto *a = typed(n, name, A_FLOAT);
    return a ? (double)a->f : otherwise;
}

const char *ox_attr_s(node *n, const char *name, const char *otherwise) {
    const onnx_AttributeProto *a = typed(n, name, A_STRING);
    return a ? adze_arena_strndup(n->ctx->arena, a->s.data, a->s.length) : otherwise;
}

int ox_attr_all_ints(node *n, const char *name, const int64_t **out) {
    const onnx_AttributeProto *a = typed(n, name, A_INTS);
    if (!a)
        return -1;
    if (a->ints.count > 1 << 24) {
        ox_fail(n, "attribute '%s' is too long", name);
        return -1;
    }
    *out = adze_onnx_ints(n->ctx->arena, &a->ints);
    return (int)a->ints.count;
}

int ox_attr_ints(node *n, const char *name, int max, int64_t *out) {
    const int64_t *all;
    int count = ox_attr_all_ints(n, name, &all);
    if (count > max) {
        ox_fail(n, "attribute '%s' has %d numbers; at most %d make sense", name, count, max);
        return -1;
    }
    if (count > 0)
        memcpy(out, all, (size_t)count * sizeof *out);
    return count;
}

int ox_attr_floats(node *n, const char *name, const float **out) {
    const onnx_AttributeProto *a = typed(n, name, A_FLOATS);
    if (!a)
        return -1;
    if (a->floats.count > 1 << 24) {
        ox_fail(n, "attribute '%s' is too long", name);
        return -1;
    }
    *out = adze_onnx_floats(n->ctx->arena, &a->floats);
    return (int)a->floats.count;
}

int ox_attr_strings(node *n, const char *name, const char *const **out) {
    const onnx_AttributeProto *a = typed(n, name, A_STRINGS);
    if (!a)
        return -1;
    if (a->strings.count > 1 << 24) {
        ox_fail(n, "attribute '%s' is too long", name);
        return -1;
    }
    const char **items = ADZE_NEW_ARRAY(n->ctx->arena, const char *, a->strings.count);
    for (size_t i = 0; i < a->strings.count; i++)
        items[i] =
            adze_arena_strndup(n->ctx->arena, a->strings.items[i].data, a->strings.items[i].length);
    *out = items;
    return (int)a->strings.count;
}

val *ox_attr_tensor(node *n, const char *name) {
    const onnx_AttributeProto *a = typed(n, name, A_TENSOR);
    adze_tensor t;
    if (!a)
        return NULL;
    if (!a->t) {
        ox_fail(n, "attribute '%s' holds no tensor", name);
        return NULL;
    }
    if (!adze_onnx_tensor_shape(n->ctx, a->t, &t)) {
        n->failed = true;
        return NULL;
    }
    val *v = ox_tensor_val(n->imp, &t);
    v->known = NULL;
    v->proto = a->t;
    v->name = NULL;
    return v;
}

/* ---- constant operands ---- */

const adze_tensor *ox_const(node *n, int i, const char *what) {
    val *v = ox_need(n, i, what);
    if (!v)
        return NULL;
    const adze_tensor *t = ox_known(n, v);
    if (!t && v->input)
        ox_fail(n, "needs a constant '%s' — hint: bind it with --bind %s=VALUE", what, v->input);
    else if (!t)
        ox_fail(n, "needs a constant '%s', but '%s' is computed while running", what,
                v->name ? v->name : "it");
    return t;
}

int ox_const_ints(node *n, int i, const char *what, int max, int64_t *out) {
    if (!ox_has(n, i))
        return -1;
    const adze_tensor *t = ox_const(n, i, what);
    if (!t)
        return -1;
    size_t count = adze_tensor_count(t);
    char cls = adze_dtype_get(t->dtype)->cls;
    if (count > (size_t)max || (cls != 'I' && cls != 'U')) {
        ox_fail(n, "'%s' has %zu elements; at most %d integers make sense", what, count, max);
        return -1;
    }
    for (size_t k = 0; k < count; k++)
        out[k] = adze_tensor_get_i64(t, k);
    return (int)count;
}
