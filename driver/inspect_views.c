/* A summary as text, JSON, HTML; the graph as Graphviz. */
#include "driver/driver.h"
#include "driver/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *show_macs(adze_context *ctx, double macs) {
    static const struct {
        double unit;
        const char *letter;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    if (macs == 0)
        return "";
    for (size_t i = 0; i < ADZE_COUNT(units); i++)
        if (macs >= units[i].unit)
            return adze_arena_printf(ctx->arena, "%.2f %s", macs / units[i].unit, units[i].letter);
    return adze_arena_printf(ctx->arena, "%.0f", macs);
}

void adze_view_text(const adze_summary *s, adze_text *out) {
    adze_context *ctx = s->ctx;
    adze_text_printf(out, "%s (%s), level %d\n\n", s->name, s->path, s->level);
    for (size_t i = 0; i < s->n_inputs; i++)
        adze_text_printf(out, "  in   %-28s %s\n", s->inputs[i].name,
                         adze_show_wanted(ctx, &s->inputs[i]));
    for (size_t i = 0; i < s->n_outputs; i++)
        adze_text_printf(out, "  out  %-28s %s\n", s->outputs[i].name,
                         adze_show_wanted(ctx, &s->outputs[i]));
    adze_text_printf(out, "\n  %-34s %8s %12s\n", "operator", "count", "MACs");
    for (size_t i = 0; i < s->n_rows; i++)
        adze_text_printf(out, "  %-34s %8zu %12s\n", s->rows[i].name, s->rows[i].count,
                         show_macs(ctx, s->rows[i].macs));
    adze_text_printf(out, "  %-34s %8zu %12s\n", "all", s->n_operations, show_macs(ctx, s->macs));
    adze_text_printf(out, "\n  %-34s %12s  %s\n", "weight", "bytes", "type");
    for (size_t i = 0; i < s->n_weights; i++)
        adze_text_printf(out, "  %-34s %12lld  %s%s\n", s->weights[i].name,
                         (long long)s->weights[i].bytes, s->weights[i].type,
                         s->weights[i].state ? " (state)" : "");
    adze_text_printf(out, "  %-34s %12lld  %s\n", "all", (long long)s->weight_bytes,
                     adze_show_bytes(ctx->arena, (uint64_t)s->weight_bytes));
}

static void add_values(cJSON *object, const char *key, const adze_wanted *w, size_t n) {
    cJSON *list = cJSON_AddArrayToObject(object, key);
    for (size_t i = 0; i < n; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", w[i].name);
        cJSON_AddStringToObject(item, "type", adze_dtype_get(w[i].dtype)->name);
        cJSON *dims = cJSON_AddArrayToObject(item, "dims");
        for (int k = 0; k < w[i].rank; k++)
            if (w[i].dims[k] >= 0)
                cJSON_AddItemToArray(dims, cJSON_CreateNumber((double)w[i].dims[k]));
            else {
                cJSON *bounds = cJSON_CreateObject();
                cJSON_AddNumberToObject(bounds, "lo", (double)w[i].lo[k]);
                cJSON_AddNumberToObject(bounds, "hi", (double)w[i].hi[k]);
                cJSON_AddItemToArray(dims, bounds);
            }
        cJSON_AddItemToArray(list, item);
    }
}

void adze_view_json(const adze_summary *s, adze_text *out) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", s->name);
    cJSON_AddStringToObject(o, "file", s->path);
    cJSON_AddNumberToObject(o, "level", s->level);
    add_values(o, "inputs", s->inputs, s->n_inputs);
    add_values(o, "outputs", s->outputs, s->n_outputs);
    cJSON *rows = cJSON_AddArrayToObject(o, "operators");
    for (size_t i = 0; i < s->n_rows; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", s->rows[i].name);
        cJSON_AddNumberToObject(row, "count", (double)s->rows[i].count);
        cJSON_AddNumberToObject(row, "macs", s->rows[i].macs);
        cJSON_AddItemToArray(rows, row);
    }
    cJSON *weights = cJSON_AddArrayToObject(o, "weights");
    for (size_t i = 0; i < s->n_weights; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", s->weights[i].name);
        cJSON_AddStringToObject(row, "type", s->weights[i].type);
        cJSON_AddNumberToObject(row, "bytes", (double)s->weights[i].bytes);
        cJSON_AddBoolToObject(row, "state", s->weights[i].state);
        cJSON_AddItemToArray(weights, row);
    }
    cJSON_AddNumberToObject(o, "operations", (double)s->n_operations);
    cJSON_AddNumberToObject(o, "macs", s->macs);
    cJSON_AddNumberToObject(o, "weight_bytes", (double)s->weight_bytes);
    char *line = cJSON_PrintUnformatted(o);
    adze_text_puts(out, line ? line : "{}");
    adze_text_puts(out, "\n");
    free(line);
    cJSON_Delete(o);
}

static void html(adze_text *out, const char *text) {
    for (; *text; text++)
        switch (*text) {
        case '<':
            adze_text_puts(out, "&lt;");
            break;
        case '>':
            adze_text_puts(out, "&gt;");
            break;
        case '&':
            adze_text_puts(out, "&amp;");
            break;
        default:
            adze_text_append(out, text, 1);
        }
}

static void html_row(adze_text *out, size_t n, const char *const *cells) {
    adze_text_puts(out, "<tr>");
    for (size_t i = 0; i < n; i++) {
        adze_text_puts(out, "<td>");
        html(out, cells[i]);
    }
    adze_text_puts(out, "\n");
}

static void html_table(adze_text *out, const char *title, size_t n, const char *const *heads) {
    adze_text_printf(out, "<h2>%s</h2>\n<table>\n<tr>", title);
    for (size_t i = 0; i < n; i++)
        adze_text_printf(out, "<th>%s", heads[i]);
    adze_text_puts(out, "\n");
}

void adze_view_html(const adze_summary *s, adze_text *out) {
    static const char *const values[] = {"", "name", "type"},
                             *const ops[] = {"operator", "count", "MACs"},
                             *const weights[] = {"weight", "bytes", "type"};
    adze_arena *arena = s->ctx->arena;
    adze_text_puts(out, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<title>");
    html(out, s->name);
    adze_text_puts(
        out, "</title>\n<style>body{font:15px/1.5 sans-serif;margin:2em auto;max-width:60em}"
             "table{border-collapse:collapse}td,th{padding:.15em 1em .15em 0;text-align:left;"
             "border-bottom:1px solid #ddd}td:nth-child(n+2){font-variant-numeric:tabular-nums}"
             "</style>\n<h1>");
    html(out, s->name);
    adze_text_puts(out, "</h1>\n");
    html_table(out, "Inputs and outputs", 3, values);
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        bool in = i < s->n_inputs;
        const adze_wanted *w = in ? &s->inputs[i] : &s->outputs[i - s->n_inputs];
        const char *cells[] = {in ? "in" : "out", w->name, adze_show_wanted(s->ctx, w)};
        html_row(out, 3, cells);
    }
    adze_text_puts(out, "</table>\n");
    html_table(out, "Operators", 3, ops);
    for (size_t i = 0; i < s->n_rows; i++) {
        const char *cells[] = {s->rows[i].name, adze_arena_printf(arena, "%zu", s->rows[i].count),
                               show_macs(s->ctx, s->rows[i].macs)};
        html_row(out, 3, cells);
    }
    const char *all[] = {"all", adze_arena_printf(arena, "%zu", s->n_operations),
                         show_macs(s->ctx, s->macs)};
    html_row(out, 3, all);
    adze_text_puts(out, "</table>\n");
    html_table(out, "Weights", 3, weights);
    for (size_t i = 0; i < s->n_weights; i++) {
        const char *cells[] = {s->weights[i].name,
                               adze_arena_printf(arena, "%lld", (long long)s->weights[i].bytes),
                               s->weights[i].type};
        html_row(out, 3, cells);
    }
    const char *sum[] = {"all", adze_arena_printf(arena, "%lld", (long long)s->weight_bytes), ""};
    html_row(out, 3, sum);
    adze_text_puts(out, "</table>\n</html>\n");
}

/* ---- Graphviz ---- */

/* Operations get numbers in the order of the walk, found again by their address. */
typedef struct dot_state {
    adze_context *ctx;
    adze_text *out;
    const void **ops;
    size_t n, capacity;
} dot_state;

static void number_op(MlirOperation op, void *user) {
    dot_state *d = user;
    if (d->n == d->capacity) {
        size_t capacity = d->capacity ? 2 * d->capacity : 256;
        const void **ops = ADZE_NEW_ARRAY(d->ctx->arena, const void *, capacity);
        if (d->n)
            memcpy(ops, d->ops, d->n * sizeof *ops);
        d->ops = ops;
        d->capacity = capacity;
    }
    d->ops[d->n++] = op.ptr;
}

static size_t number_of(const dot_state *d, const void *op) {
    size_t i = 0;
    while (i < d->n && d->ops[i] != op)
        i++;
    return i;
}

static void quoted(adze_text *out, const char *text) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            adze_text_puts(out, "\\");
        adze_text_append(out, text, 1);
    }
}

static void dot_edges(dot_state *d, MlirOperation op, size_t me) {
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
        MlirValue v = mlirOperationGetOperand(op, i);
        MlirOperation from = adze_defining(v);
        if (mlirOperationIsNull(from)) {
            if (mlirValueIsABlockArgument(v))
                adze_text_printf(d->out, "  arg%d -> n%zu [label=\"%s\"];\n",
                                 (int)mlirBlockArgumentGetArgNumber(v), me,
                                 adze_show_type(d->ctx, mlirValueGetType(v)));
            continue;
        }
        if (adze_is_op(from, "adze.get_weight") || adze_is_op(from, "adze.none") ||
            adze_is_op(from, "adze.constant"))
            continue;
        adze_text_printf(d->out, "  n%zu -> n%zu [label=\"%s\"];\n", number_of(d, from.ptr), me,
                         adze_show_type(d->ctx, mlirValueGetType(v)));
    }
}

static void dot_node(MlirOperation op, void *user) {
    dot_state *d = user;
    static const char *const quiet[] = {"adze.get_weight", "adze.none", "adze.constant",
                                        "builtin.module",  "func.func", "adze.weight",
                                        "adze.dim",        "adze.state"};
    for (size_t i = 0; i < ADZE_COUNT(quiet); i++)
        if (adze_is_op(op, quiet[i]))
            return;
    size_t me = number_of(d, op.ptr);
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    const char *kind = adze_get_str(d->ctx, op, "kind");
    const char *node = mlirAttributeIsNull(adze_get(op, "adze.node")) ? "" : adze_node(d->ctx, op);
    adze_text_printf(d->out, "  n%zu [label=\"%.*s%s%s\\n", me, (int)name.length, name.data,
                     kind ? " " : "", kind ? kind : "");
    quoted(d->out, node ? node : "");
    adze_text_puts(d->out, "\"];\n");
    dot_edges(d, op, me);
}

void adze_view_dot(adze_context *ctx, MlirModule module, adze_text *out) {
    dot_state d = {.ctx = ctx, .out = out};
    adze_walk(mlirModuleGetOperation(module), number_op, &d);
    adze_text_puts(out, "digraph model {\n  node [shape=box, fontname=\"sans-serif\"];\n"
                        "  edge [fontname=\"sans-serif\", fontsize=10];\n");
    adze_walk(mlirModuleGetOperation(module), dot_node, &d);
    adze_text_puts(out, "}\n");
}
