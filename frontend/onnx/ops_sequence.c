/* Sequences and optionals exist at import only: lists whose length and positions are known. */
#include "frontend/onnx/importer.h"

#include <string.h>

static val *new_list(node *n, val_kind kind, size_t count) {
    val *v = ADZE_NEW(n->ctx->arena, val);
    *v = (val){.kind = kind,
               .n_items = count,
               .items = ADZE_NEW_ARRAY(n->ctx->arena, val *, count ? count : 1)};
    return v;
}

static val *need_sequence(node *n, int i) {
    val *v = ox_any(n, i);
    if (v->kind == VAL_OPTIONAL && v->n_items)
        v = v->items[0];
    if (v->kind != VAL_SEQUENCE) {
        ox_fail(n, "input %d is no sequence", i);
        return NULL;
    }
    return v;
}

/* A known position in [-count, count]; -1 after an error. */
static int64_t position(node *n, int i, size_t count, int64_t otherwise) {
    int64_t at = otherwise;
    if (ox_has(n, i) && ox_const_ints(n, i, "position", 1, &at) != 1) {
        ox_fail(n, "its position is not one number");
        return -1;
    }
    if (at < 0)
        at += (int64_t)count;
    if (at < 0 || at > (int64_t)count) {
        ox_fail(n, "position %lld is outside a sequence of %zu", (long long)at, count);
        return -1;
    }
    return at;
}

bool ox_op_sequence_construct(node *n) {
    val *list = new_list(n, VAL_SEQUENCE, (size_t)n->n_in);
    for (int i = 0; i < n->n_in; i++) {
        list->items[i] = ox_need(n, i, "inputs");
        if (!list->items[i])
            return false;
    }
    return ox_out(n, 0, list);
}

bool ox_op_sequence_empty(node *n) {
    ox_attr_i(n, "dtype", 1);
    return !n->failed && ox_out(n, 0, new_list(n, VAL_SEQUENCE, 0));
}

bool ox_op_sequence_insert(node *n) {
    val *from = need_sequence(n, 0), *item = ox_need(n, 1, "tensor");
    if (!from || !item)
        return false;
    int64_t at = position(n, 2, from->n_items, (int64_t)from->n_items);
    if (at < 0)
        return false;
    val *list = new_list(n, VAL_SEQUENCE, from->n_items + 1);
    for (size_t i = 0, k = 0; i < list->n_items; i++)
        list->items[i] = i == (size_t)at ? item : from->items[k++];
    return ox_out(n, 0, list);
}

bool ox_op_sequence_erase(node *n) {
    val *from = need_sequence(n, 0);
    if (!from)
        return false;
    int64_t at = position(n, 1, from->n_items, (int64_t)from->n_items - 1);
    if (at < 0 || at >= (int64_t)from->n_items)
        return ox_fail(n, "its position is outside the sequence");
    val *list = new_list(n, VAL_SEQUENCE, from->n_items - 1);
    for (size_t i = 0, k = 0; i < from->n_items; i++)
        if (i != (size_t)at)
            list->items[k++] = from->items[i];
    return ox_out(n, 0, list);
}

bool ox_op_sequence_at(node *n) {
    val *from = need_sequence(n, 0);
    int64_t at = from ? position(n, 1, from->n_items, 0) : -1;
    if (at < 0 || at >= (int64_t)from->n_items)
        return ox_fail(n, "its position is outside the sequence");
    return ox_out(n, 0, from->items[at]);
}

bool ox_op_sequence_length(node *n) {
    val *from = need_sequence(n, 0);
    if (!from)
        return false;
    int64_t count = (int64_t)from->n_items;
    return ox_out(n, 0, ox_reshape(n, ox_ints(n, 1, &count), 0, NULL));
}

bool ox_op_split_to_sequence(node *n) {
    enum { MAX_PARTS = 1 << 12 };
    val *x = ox_need(n, 0, "input");
    if (!x || !ox_static(n, x))
        return false;
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    bool keep = ox_attr_i(n, "keepdims", 1) != 0, each = !ox_has(n, 1);
    if (n->failed)
        return false;
    int64_t extent = x->shape.dims[axis],
            *sizes = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, MAX_PARTS);
    int count = 0;
    if (each || n->in[1]->shape.rank == 0) { /* equal parts, the last one smaller */
        int64_t size = 1;
        if (!each && ox_const_ints(n, 1, "split", 1, &size) != 1)
            return false;
        if (size < 1 || (extent + size - 1) / size > MAX_PARTS)
            return ox_fail(n, "parts of %lld", (long long)size);
        for (int64_t at = 0; at < extent; at += size)
            sizes[count++] = extent - at < size ? extent - at : size;
    } else {
        count = ox_const_ints(n, 1, "split", MAX_PARTS, sizes);
        if (count < 0)
            return false;
    }
    val *list = new_list(n, VAL_SEQUENCE, (size_t)count);
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        if (sizes[i] < 0 || sizes[i] > extent - at)
            return ox_fail(n, "its sizes do not add up to %lld", (long long)extent);
        val *part = ox_take(n, x, axis, at, sizes[i]);
        if (part && each && !keep) {
            adze_shape s = part->shape;
            for (int k = axis; k + 1 < s.rank; k++)
                ox_set_dim(&s, k, &s, k + 1);
            s.rank--;
            part = ox_reshape_to(n, part, &s);
        }
        if (!part)
            return false;
        list->items[i] = part;
        at += sizes[i];
    }
    return ox_out(n, 0, list);
}

bool ox_op_concat_from_sequence(node *n) {
    val *from = need_sequence(n, 0);
    if (!from)
        return false;
    if (!from->n_items)
        return ox_fail(n, "joins an empty sequence");
    bool fresh = ox_attr_i(n, "new_axis", 0) != 0;
    val **items = ADZE_NEW_ARRAY(n->ctx->arena, val *, from->n_items);
    int rank = from->items[0]->shape.rank + fresh;
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), rank);
    if (n->failed)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        if (from->items[i]->shape.rank + fresh != rank)
            return ox_fail(n, "the tensors of its sequence have different ranks");
        items[i] = fresh ? ox_unsqueeze(n, from->items[i], axis) : from->items[i];
    }
    return ox_out(n, 0, ox_concat(n, axis, (int)from->n_items, items));
}

/* Runs the body once per element; other operands are sequences of the same length or tensors. */
bool ox_op_sequence_map(node *n) {
    enum { MAX_TURNS = 1024 };
    const onnx_AttributeProto *a = ox_attr(n, "body");
    val *from = need_sequence(n, 0);
    if (!from || !a || !a->g)
        return ox_fail(n, "has no body");
    if (from->n_items > MAX_TURNS)
        return ox_fail(n, "runs more than %d times, which is not supported", MAX_TURNS);
    val **in = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)n->n_in);
    val **out = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)n->n_out);
    val **lists = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)n->n_out);
    for (int i = 0; i < n->n_out; i++)
        lists[i] = new_list(n, VAL_SEQUENCE, from->n_items);
    for (size_t t = 0; t < from->n_items; t++) {
        for (int i = 0; i < n->n_in; i++) {
            in[i] = ox_any(n, i);
            if (in[i]->kind != VAL_SEQUENCE)
                continue;
            if (in[i]->n_items != from->n_items)
                return ox_fail(n, "its sequences have different lengths");
            in[i] = in[i]->items[t];
        }
        const char *prefix = adze_arena_printf(n->ctx->arena, "%zu/", t);
        if (!ox_import_subgraph(n, a->g, prefix, in, n->n_in, out, n->n_out))
            return false;
        for (int i = 0; i < n->n_out; i++)
            lists[i]->items[t] = out[i];
    }
    for (int i = 0; i < n->n_out; i++)
        ox_out(n, i, lists[i]);
    return true;
}

/* ---- optionals ---- */

bool ox_op_optional(node *n) {
    bool has = ox_has(n, 0);
    val *v = new_list(n, VAL_OPTIONAL, has);
    if (has)
        v->items[0] = n->in[0];
    return ox_out(n, 0, v);
}

bool ox_op_optional_has_element(node *n) {
    val *v = ox_any(n, 0);
    bool has = v->kind == VAL_OPTIONAL ? v->n_items > 0 : v->kind != VAL_ABSENT;
    return ox_out(n, 0, ox_scalar(n, ADZE_bool, has));
}

bool ox_op_optional_get_element(node *n) {
    val *v = ox_any(n, 0);
    if (v->kind == VAL_OPTIONAL)
        v = v->n_items ? v->items[0] : &n->imp->absent;
    return v->kind == VAL_ABSENT ? ox_fail(n, "takes the element of an empty optional")
                                 : ox_out(n, 0, v);
}
