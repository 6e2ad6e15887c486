/* If, Loop and Scan. A known condition takes one branch; loops whose length is known are unrolled.
 */
#include "frontend/onnx/importer.h"

#include <string.h>

enum { MAX_UNROLL = 1024 };

static const onnx_GraphProto *graph_attr(node *n, const char *name) {
    const onnx_AttributeProto *a = ox_attr(n, name);
    if (!a || !a->g)
        ox_fail(n, "has no graph '%s'", name);
    return a ? a->g : NULL;
}

/* ---- If ---- */

static bool same_type(const val *a, const val *b) {
    bool same = a->shape.dtype == b->shape.dtype && a->shape.rank == b->shape.rank;
    for (int i = 0; same && i < a->shape.rank; i++)
        same = ox_same_dim(&a->shape, i, &b->shape, i);
    return same;
}

/* Imports one branch into a new block that ends in scf.yield; null after an error. */
static MlirBlock import_branch(node *n, const onnx_GraphProto *g, const char *name, val **out,
                               MlirValue *yielded) {
    importer *imp = n->imp;
    MlirBlock outside = imp->block, block = mlirBlockCreate(0, NULL, NULL);
    imp->block = block;
    bool ok = ox_import_subgraph(n, g, name, NULL, 0, out, n->n_out);
    for (int i = 0; ok && i < n->n_out; i++) {
        if (out[i]->kind != VAL_TENSOR)
            ok = ox_fail(n,
                         "a branch gives a sequence or optional and its condition is not constant");
        else
            ok = !mlirValueIsNull(yielded[i] = ox_value(imp, out[i])) || (n->failed = true, false);
    }
    if (ok) {
        adze_builder b = adze_at_end(n->ctx, block);
        adze_build(&b, "scf.yield", n->n_out, yielded, 0, NULL, 0, NULL, 0);
    }
    imp->block = outside;
    if (!ok) {
        mlirBlockDestroy(block);
        return (MlirBlock){0};
    }
    return block;
}

static bool run_time_if(node *n, val *cond, const onnx_GraphProto *yes, const onnx_GraphProto *no) {
    adze_arena *arena = n->ctx->arena;
    size_t count = (size_t)n->n_out;
    val **a = ADZE_NEW_ARRAY(arena, val *, count), **b = ADZE_NEW_ARRAY(arena, val *, count);
    MlirValue *va = ADZE_NEW_ARRAY(arena, MlirValue, count),
              *vb = ADZE_NEW_ARRAY(arena, MlirValue, count);
    MlirType *types = ADZE_NEW_ARRAY(arena, MlirType, count);
    adze_builder at = adze_at_end(n->ctx, n->imp->block);
    cond = ox_reshape(n, cond, 0, NULL);
    if (!cond)
        return false;
    MlirValue tensor = ox_value(n->imp, cond);
    MlirBlock then_block = import_branch(n, yes, "then/", a, va);
    if (mlirBlockIsNull(then_block))
        return false;
    MlirBlock else_block = import_branch(n, no, "else/", b, vb);
    if (mlirBlockIsNull(else_block)) {
        mlirBlockDestroy(then_block);
        return false;
    }
    for (int i = 0; i < n->n_out; i++) {
        if (!same_type(a[i], b[i])) {
            mlirBlockDestroy(then_block);
            mlirBlockDestroy(else_block);
            return ox_fail(n,
                           "its branches give output %d different types, and its condition is not "
                           "constant",
                           i);
        }
        types[i] = mlirValueGetType(va[i]);
    }
    at.name = n->result_name;
    MlirValue bit = adze_build1(&at, "tensor.extract", 1, &tensor,
                                adze_element_type(n->ctx, ADZE_bool), 0, NULL);
    at.name = n->result_name;
    adze_named attr = {"adze.node", adze_str(n->ctx, n->label)};
    MlirOperation op = adze_build(&at, "scf.if", 1, &bit, n->n_out, types, 1, &attr, 2);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(op, 0), then_block);
    mlirRegionAppendOwnedBlock(mlirOperationGetRegion(op, 1), else_block);
    for (int i = 0; i < n->n_out; i++) {
        val *v = ADZE_NEW(arena, val);
        adze_shape shape = a[i]->shape;
        *v = (val){.kind = VAL_TENSOR, .shape = shape, .mlir = adze_result(op, i)};
        ox_out(n, i, v);
    }
    return true;
}

bool ox_op_if(node *n) {
    val *cond = ox_need(n, 0, "cond");
    const onnx_GraphProto *yes = graph_attr(n, "then_branch"), *no = graph_attr(n, "else_branch");
    if (!cond || !yes || !no)
        return false;
    if (cond->shape.dtype != ADZE_bool || adze_shape_count(&cond->shape) != 1)
        return ox_fail(n, "its condition is not one bool");
    const adze_tensor *known = ox_known(n, cond);
    if (!known)
        return !n->failed && run_time_if(n, cond, yes, no);
    bool taken = adze_tensor_get_i64(known, 0) != 0;
    val **out = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)n->n_out);
    if (!ox_import_subgraph(n, taken ? yes : no, "", NULL, 0, out, n->n_out))
        return false;
    for (int i = 0; i < n->n_out; i++)
        ox_out(n, i, out[i]);
    return true;
}

/* ---- Loop ---- */

/* An empty tensor of the type that the graph's output declares, for a loop that never runs. */
static val *empty_scan(node *n, const onnx_ValueInfoProto *info) {
    const onnx_TensorTypeProto *t = info->type ? info->type->tensor_type : NULL;
    adze_tensor empty = {.dtype = t ? adze_dtype_from_onnx(t->elem_type) : ADZE_NO_DTYPE,
                         .rank = 1};
    if (!t || empty.dtype == ADZE_NO_DTYPE || !t->shape || t->shape->dim.count >= ADZE_MAX_RANK) {
        ox_fail(n, "never runs, and the type of its output is not declared");
        return NULL;
    }
    for (size_t i = 0; i < t->shape->dim.count; i++)
        empty.dims[empty.rank++] = t->shape->dim.items[i]->dim_value;
    empty.data = "";
    return ox_tensor_val(n->imp, &empty);
}

/* The results of all turns stacked along a new axis. */
static val *stack(node *n, int axis, int64_t turns, val **items, bool reversed) {
    val **rows = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)turns);
    for (int64_t i = 0; i < turns; i++) {
        val *v = items[reversed ? turns - 1 - i : i];
        if (v->kind != VAL_TENSOR || axis > v->shape.rank) {
            ox_fail(n, "a scan output that is no tensor of that rank");
            return NULL;
        }
        rows[i] = ox_unsqueeze(n, v, axis);
    }
    return ox_concat(n, axis, (int)turns, rows);
}

bool ox_op_loop(node *n) {
    const onnx_GraphProto *body = graph_attr(n, "body");
    val *limit = ox_in(n, 0), *cond = ox_in(n, 1);
    if (!body || !limit || !cond)
        return false;
    int carried = n->n_in > 2 ? n->n_in - 2 : 0;
    /* trailing absent operands were dropped; the body says how many there are */
    if (body->input.count < 2 || body->input.count - 2 != (size_t)carried ||
        body->output.count < 1 + (size_t)carried || body->output.count > 1 << 16)
        return ox_fail(n, "its body does not fit its operands");
    int n_body = (int)body->output.count, n_scan = n_body - 1 - carried;
    int64_t trips = INT64_MAX;
    if (limit->kind == VAL_TENSOR) {
        if (ox_const_ints(n, 0, "M", 1, &trips) != 1)
            return !n->failed && ox_fail(n, "its trip count is not one number");
        if (trips > MAX_UNROLL && cond->kind != VAL_TENSOR && n_body < 1)
            return false;
    }
    bool go = true;
    if (cond->kind == VAL_TENSOR) {
        const adze_tensor *t = ox_const(n, 1, "cond");
        if (!t)
            return false;
        go = adze_tensor_count(t) == 1 && adze_tensor_get_i64(t, 0);
    }
    adze_arena *arena = n->ctx->arena;
    val **in = ADZE_NEW_ARRAY(arena, val *, (size_t)carried + 2);
    val **out = ADZE_NEW_ARRAY(arena, val *, (size_t)n_body);
    val **scans = ADZE_NEW_ARRAY(arena, val *, (size_t)n_scan * MAX_UNROLL);
    for (int i = 0; i < carried; i++)
        in[2 + i] = ox_any(n, 2 + i);
    int64_t turn = 0;
    for (; go && turn < trips; turn++) {
        if (turn == MAX_UNROLL)
            return ox_fail(n, "runs more than %d times, which is not supported", MAX_UNROLL);
        in[0] = ox_reshape(n, ox_ints(n, 1, &turn), 0, NULL);
        in[1] = ox_scalar(n, ADZE_bool, 1);
        const char *prefix = adze_arena_printf(arena, "%lld/", (long long)turn);
        if (!in[0] || !in[1] || !ox_import_subgraph(n, body, prefix, in, carried + 2, out, n_body))
            return false;
        const adze_tensor *t = ox_known(n, out[0]);
        if (!t && cond->kind == VAL_TENSOR)
            return !n->failed && ox_fail(n, "its condition is computed while running, which is not "
                                            "supported");
        go = !t || (adze_tensor_count(t) == 1 && adze_tensor_get_i64(t, 0));
        if (cond->kind != VAL_TENSOR && limit->kind == VAL_TENSOR && !t)
            go = true;
        for (int i = 0; i < carried; i++)
            in[2 + i] = out[1 + i];
        for (int i = 0; i < n_scan; i++)
            scans[i * MAX_UNROLL + turn] = out[1 + carried + i];
    }
    for (int i = 0; i < carried; i++)
        ox_out(n, i, in[2 + i]);
    for (int i = 0; i < n_scan && carried + i < n->n_out; i++) {
        val *v = turn ? stack(n, 0, turn, scans + i * MAX_UNROLL, false)
                      : empty_scan(n, body->output.items[1 + carried + i]);
        if (!ox_out(n, carried + i, v))
            return false;
    }
    return true;
}

/* ---- Scan ---- */

bool ox_op_scan(node *n) {
    const onnx_GraphProto *body = graph_attr(n, "body");
    int64_t n_scan_in = ox_attr_i(n, "num_scan_inputs", 0);
    if (!body)
        return false;
    int n_state = n->n_in - (int)n_scan_in;
    if (n_scan_in < 1 || n_scan_in > n->n_in || body->output.count > 1 << 16 ||
        body->input.count != (size_t)n->n_in || body->output.count < (size_t)n_state)
        return ox_fail(n, "its body does not fit its operands");
    int n_body = (int)body->output.count, n_scan = n_body - n_state;
    adze_arena *arena = n->ctx->arena;
    const int64_t *in_axes = NULL, *in_dirs = NULL, *out_axes = NULL, *out_dirs = NULL;
    int a = ox_attr_all_ints(n, "scan_input_axes", &in_axes);
    int b = ox_attr_all_ints(n, "scan_input_directions", &in_dirs);
    int c = ox_attr_all_ints(n, "scan_output_axes", &out_axes);
    int d = ox_attr_all_ints(n, "scan_output_directions", &out_dirs);
    if (n->failed || (a >= 0 && a != n_scan_in) || (b >= 0 && b != n_scan_in) ||
        (c >= 0 && c != n_scan) || (d >= 0 && d != n_scan))
        return ox_fail(n, "its axes or directions do not fit its operands");
    val **in = ADZE_NEW_ARRAY(arena, val *, (size_t)n->n_in);
    val **out = ADZE_NEW_ARRAY(arena, val *, (size_t)n_body);
    val **scans = ADZE_NEW_ARRAY(arena, val *, (size_t)n_scan * MAX_UNROLL);
    int64_t turns = -1;
    int *axes = ADZE_NEW_ARRAY(arena, int, (size_t)n_scan_in);
    for (int i = 0; i < n_state; i++)
        in[i] = ox_any(n, i);
    for (int i = 0; i < n_scan_in; i++) {
        val *x = ox_need(n, n_state + i, "scan input");
        if (!x || !ox_static(n, x))
            return false;
        axes[i] = (int)ox_axis(n, a < 0 ? 0 : in_axes[i], x->shape.rank);
        if (n->failed || (turns >= 0 && turns != x->shape.dims[axes[i]]))
            return ox_fail(n, "its scan inputs have different lengths");
        turns = x->shape.dims[axes[i]];
    }
    if (turns > MAX_UNROLL)
        return ox_fail(n, "runs more than %d times, which is not supported", MAX_UNROLL);
    if (!turns)
        return ox_fail(n, "never runs, which is not supported");
    for (int64_t turn = 0; turn < turns; turn++) {
        for (int i = 0; i < n_scan_in; i++) {
            bool back = b >= 0 && in_dirs[i];
            val *x = ox_take(n, n->in[n_state + i], axes[i], back ? turns - 1 - turn : turn, 1);
            if (!x)
                return false;
            adze_shape s = x->shape;
            for (int k = axes[i]; k + 1 < s.rank; k++)
                ox_set_dim(&s, k, &s, k + 1);
            s.rank--;
            in[n_state + i] = ox_reshape_to(n, x, &s);
            if (!in[n_state + i])
                return false;
        }
        const char *prefix = adze_arena_printf(arena, "%lld/", (long long)turn);
        if (!ox_import_subgraph(n, body, prefix, in, n->n_in, out, n_body))
            return false;
        for (int i = 0; i < n_state; i++)
            in[i] = out[i];
        for (int i = 0; i < n_scan; i++)
            scans[i * MAX_UNROLL + turn] = out[n_state + i];
    }
    for (int i = 0; i < n_state; i++)
        ox_out(n, i, in[i]);
    for (int i = 0; i < n_scan; i++) {
        val *first = scans[i * MAX_UNROLL];
        int axis = c < 0 ? 0 : (int)ox_axis(n, out_axes[i], first->shape.rank + 1);
        if (n->failed ||
            !ox_out(n, n_state + i,
                    stack(n, axis, turns, scans + i * MAX_UNROLL, d >= 0 && out_dirs[i])))
            return false;
    }
    return true;
}
