/* What a module holds, gathered once and shown in several ways (inspect_views.c). */
#include "driver/inspect.h"

#include "ir/window.h"

#include <mlir-c/BuiltinAttributes.h>

#include <string.h>

/* ---- multiply-accumulates, by operation ---- */

static double count_of(const adze_shape *s) {
    double n = 1;
    for (int i = 0; i < s->rank; i++)
        n *= s->dims[i] >= 0 ? (double)s->dims[i] : 1;
    return n;
}

static bool operand_shape(adze_context *ctx, MlirOperation op, int index, adze_shape *s) {
    return mlirOperationGetNumOperands(op) > index &&
           adze_value_shape(ctx, mlirOperationGetOperand(op, index), s);
}

static bool result_shape(adze_context *ctx, MlirOperation op, adze_shape *s) {
    return mlirOperationGetNumResults(op) > 0 &&
           adze_value_shape(ctx, mlirOperationGetResult(op, 0), s);
}

/* Every output element reads C/group * kernel weights: all of w but its axis of outputs. */
static double macs_conv(adze_context *ctx, MlirOperation op) {
    adze_shape y, w;
    if (!result_shape(ctx, op, &y) || !operand_shape(ctx, op, 1, &w) || w.rank < 2)
        return 0;
    int64_t outputs = w.dims[adze_window_axes_of(op, w.rank).w_out];
    return outputs ? count_of(&y) * count_of(&w) / (double)outputs : 0;
}

/* Every input element meets M/group * kernel weights: all of w but its axis of inputs. */
static double macs_conv_transpose(adze_context *ctx, MlirOperation op) {
    adze_shape x, w;
    if (!operand_shape(ctx, op, 0, &x) || !operand_shape(ctx, op, 1, &w) || w.rank < 2)
        return 0;
    int64_t inputs = w.dims[adze_window_axes_of(op, w.rank).w_in];
    return inputs ? count_of(&x) * count_of(&w) / (double)inputs : 0;
}

static double macs_matmul(adze_context *ctx, MlirOperation op) {
    adze_shape y, a;
    if (!result_shape(ctx, op, &y) || !operand_shape(ctx, op, 0, &a) || !a.rank)
        return 0;
    int k = adze_get_bool(op, "trans_a") && a.rank > 1 ? a.rank - 2 : a.rank - 1;
    return count_of(&y) * (a.dims[k] >= 0 ? (double)a.dims[k] : 1);
}

/* Per step and sequence: all of W and R once (x is [T, batch, in], w [D, gates*H, in], r [D,
 * gates*H, H]). */
static double macs_recurrent(adze_context *ctx, MlirOperation op) {
    adze_shape x, w, r;
    if (!operand_shape(ctx, op, 0, &x) || !operand_shape(ctx, op, 2, &r) || x.rank < 2)
        return 0;
    double steps =
        (x.dims[0] >= 0 ? (double)x.dims[0] : 1) * (x.dims[1] >= 0 ? (double)x.dims[1] : 1);
    return steps * ((operand_shape(ctx, op, 1, &w) ? count_of(&w) : 0) + count_of(&r));
}

/* The product of all the extents that its letters name. */
static double macs_einsum(adze_context *ctx, MlirOperation op) {
    const char *p = adze_get_str(ctx, op, "equation");
    double n = 1;
    bool seen[256] = {false};
    for (int operand = 0; p && operand < 2; operand++, p += *p == ',') {
        adze_shape s;
        if (!operand_shape(ctx, op, operand, &s))
            return 0;
        for (int axis = 0; *p && *p != ',' && *p != '-' && axis < s.rank; p++, axis++) {
            if (!seen[(unsigned char)*p] && s.dims[axis] > 0)
                n *= (double)s.dims[axis];
            seen[(unsigned char)*p] = true;
        }
        if (*p != ',')
            break;
    }
    return n;
}

static double macs_attention(adze_context *ctx, MlirOperation op) {
    adze_shape q, k, v;
    if (!operand_shape(ctx, op, 0, &q) || !operand_shape(ctx, op, 1, &k) || !operand_shape(ctx, op, 2, &v) ||
        q.rank != 4 || k.rank != 4 || v.rank != 4)
        return 0;
    const char *layout[4];
    bool last = adze_get_strs(ctx, op, "layout", 4, layout) == 4 && !strcmp(layout[1], "heads_last");
    double keys = (double)k.dims[last ? 1 : 2];
    return q.dims[3] > 0 ? count_of(&q) / (double)q.dims[3] * keys * (double)(q.dims[3] + v.dims[3]) : 0;
}

static const struct {
    const char *op;
    double (*macs)(adze_context *, MlirOperation);
} mac_rows[] = {
    {"adze.conv", macs_conv},      {"adze.conv_transpose", macs_conv_transpose},
    {"adze.matmul", macs_matmul},  {"adze.einsum", macs_einsum},
    {"adze.rnn", macs_recurrent},  {"adze.gru", macs_recurrent},
    {"adze.lstm", macs_recurrent}, {"adze.deform_conv", macs_conv},
    {"adze.attention", macs_attention},
};

static double macs_of(adze_context *ctx, MlirOperation op) {
    for (size_t i = 0; i < ADZE_COUNT(mac_rows); i++)
        if (adze_is_op(op, mac_rows[i].op))
            return mac_rows[i].macs(ctx, op);
    return 0;
}

/* ---- gathering ---- */

/* "binary.add" for kinds, else the name without the dialect where it is ours. */
static const char *show_name(adze_context *ctx, MlirOperation op) {
    MlirStringRef full = mlirIdentifierStr(mlirOperationGetName(op));
    const char *name = adze_arena_strndup(ctx->arena, full.data, full.length);
    if (!strncmp(name, "adze.", 5))
        name += 5;
    const char *kind = adze_get_str(ctx, op, "kind");
    return kind ? adze_arena_printf(ctx->arena, "%s.%s", name, kind) : name;
}

static void add_row(MlirOperation op, void *user) {
    adze_summary *s = user;
    static const char *const quiet[] = {"adze.get_weight", "adze.none",   "builtin.module",
                                        "func.func",       "func.return", "adze.weight",
                                        "adze.dim",        "adze.state",  "scf.yield"};
    for (size_t i = 0; i < ADZE_COUNT(quiet); i++)
        if (adze_is_op(op, quiet[i]))
            return;
    const char *name = show_name(s->ctx, op);
    double macs = macs_of(s->ctx, op);
    s->n_operations++;
    s->macs += macs;
    for (size_t i = 0; i < s->n_rows; i++)
        if (!strcmp(s->rows[i].name, name)) {
            s->rows[i].count++;
            s->rows[i].macs += macs;
            return;
        }
    enum { MAX_ROWS = 512 };
    if (!s->rows)
        s->rows = ADZE_NEW_ARRAY(s->ctx->arena, adze_op_count, MAX_ROWS);
    if (s->n_rows < MAX_ROWS)
        s->rows[s->n_rows++] = (adze_op_count){name, 1, macs};
}

static void gather_weights(adze_summary *s, MlirModule module) {
    size_t n = 0;
    MlirBlock body = mlirModuleGetBody(module);
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        n += adze_is_op(op, "adze.weight") || adze_is_op(op, "adze.state");
    s->weights = ADZE_NEW_ARRAY(s->ctx->arena, adze_weight_row, n + 1);
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        bool state = adze_is_op(op, "adze.state");
        if (!state && !adze_is_op(op, "adze.weight"))
            continue;
        adze_weight_row *w = &s->weights[s->n_weights++];
        w->name = adze_get_str(s->ctx, op, "sym_name");
        w->state = state;
        w->bytes = state ? 0 : adze_get_i64(op, "bytes");
        w->type = adze_show_type(s->ctx, mlirTypeAttrGetValue(adze_get(op, "type")));
        s->weight_bytes += w->bytes;
    }
}

bool adze_summarize(adze_context *ctx, const adze_job_model *model, adze_summary *out) {
    *out =
        (adze_summary){.ctx = ctx, .name = model->name, .path = model->path, .level = model->level};
    if (!adze_job_inputs(ctx, model->module, &out->inputs, &out->n_inputs) ||
        !adze_job_outputs(ctx, model->module, &out->outputs, &out->n_outputs))
        return false;
    adze_walk(mlirModuleGetOperation(model->module), add_row, out);
    gather_weights(out, model->module);
    return true;
}

/* ---- types as people write them ---- */

const char *adze_show_wanted(adze_context *ctx, const adze_wanted *w) {
    adze_text text = {0};
    adze_text_printf(&text, "%s[", adze_dtype_get(w->dtype)->name);
    for (int i = 0; i < w->rank; i++)
        if (w->dims[i] >= 0)
            adze_text_printf(&text, "%s%lld", i ? ", " : "", (long long)w->dims[i]);
        else
            adze_text_printf(&text, "%s%lld..%lld", i ? ", " : "", (long long)w->lo[i],
                             (long long)w->hi[i]);
    adze_text_puts(&text, "]");
    const char *out = adze_arena_strdup(ctx->arena, text.data);
    adze_text_free(&text);
    return out;
}

const char *adze_show_type(adze_context *ctx, MlirType type) {
    adze_shape s;
    if (!adze_shape_of(ctx, type, &s))
        return "?";
    adze_text text = {0};
    adze_quant q;
    bool quantized = adze_quant_of(ctx, s.element, &q);
    adze_text_puts(&text, s.dtype == ADZE_NO_DTYPE ? "?" : adze_dtype_get(s.dtype)->name);
    adze_text_puts(&text, "[");
    for (int i = 0; i < s.rank; i++)
        if (s.dims[i] >= 0)
            adze_text_printf(&text, "%s%lld", i ? ", " : "", (long long)s.dims[i]);
        else
            adze_text_printf(&text, "%s%s", i ? ", " : "", s.symbols[i] ? s.symbols[i] : "?");
    adze_text_puts(&text, "]");
    if (quantized && q.n == 1)
        adze_text_printf(&text, " scale %g zero point %lld", q.scale[0],
                         (long long)q.zero_point[0]);
    else if (quantized)
        adze_text_printf(&text, " %d scales on axis %d", q.n, q.axis);
    const char *out = adze_arena_strdup(ctx->arena, text.data);
    adze_text_free(&text);
    return out;
}
