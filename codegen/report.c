/* report.html: memory over time, kernels, weights. Self-contained, no scripts. */
#include "codegen/tree_internal.h"

#include <inttypes.h>
#include <string.h>

static void escaped(const char *text, adze_text *out) {
    for (; *text; text++) {
        switch (*text) {
        case '<': adze_text_puts(out, "&lt;"); break;
        case '>': adze_text_puts(out, "&gt;"); break;
        case '&': adze_text_puts(out, "&amp;"); break;
        case '"': adze_text_puts(out, "&quot;"); break;
        default: adze_text_append(out, text, 1);
        }
    }
}

/* One region of one entry: time to the right, addresses upwards, a box a buffer. */
static void memory_map(const adze_c_module *m, const adze_c_entry *e, int region, adze_text *out) {
    enum { WIDTH = 960, HEIGHT = 320, LEFT = 90, BOTTOM = 24 };
    uint64_t bytes = m->regions[region].bytes;
    int steps = e->n_steps ? e->n_steps : 1;
    if (!bytes)
        return;
    adze_text_printf(out, "<h3>%s: %s, %" PRIu64 " bytes over %d steps</h3>\n"
                          "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n",
                     e->name, m->regions[region].name, bytes, e->n_steps, WIDTH + LEFT + 10,
                     HEIGHT + BOTTOM + 10);
    for (int i = 0; i <= 4; i++) {
        double y = 5 + HEIGHT * (1 - i / 4.0);
        adze_text_printf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
                              "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%" PRIu64 "</text>\n",
                         LEFT, y, LEFT + WIDTH, y, LEFT - 6, y + 4, bytes * (uint64_t)i / 4);
    }
    for (int i = 0; i < e->n_buffers; i++) {
        const adze_c_buffer *b = &e->buffers[i];
        if (b->region != region || b->first < 0)
            continue;
        double x = LEFT + (double)WIDTH * b->first / steps;
        double w = (double)WIDTH * (b->last + 1 - b->first) / steps;
        double h = (double)HEIGHT * (double)b->bytes / (double)bytes;
        double y = 5 + HEIGHT - (double)HEIGHT * (double)(b->offset + b->bytes) / (double)bytes;
        adze_text_printf(out, "<g><title>");
        escaped(b->name, out);
        adze_text_printf(out, ": %" PRIu64 " bytes at %" PRIu64 ", steps %d to %d</title>"
                              "<rect class=\"c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                         b->bytes, b->offset, b->first, b->last, i % 8, x, y, w, h);
        if (h > 12 && w > 30) {
            size_t room = (size_t)(w / 6.5);
            adze_text_printf(out, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + 12);
            char label[64];
            size_t n = strlen(b->name);
            n = n < room ? n : room;
            n = n < sizeof label - 1 ? n : sizeof label - 1;
            memcpy(label, b->name, n);
            label[n] = 0;
            escaped(label, out);
            adze_text_puts(out, "</text>");
        }
        adze_text_puts(out, "</g>\n");
    }
    adze_text_printf(out, "<text x=\"%d\" y=\"%d\">step 0</text><text x=\"%d\" y=\"%d\" "
                          "text-anchor=\"end\">step %d</text>\n</svg>\n",
                     LEFT, HEIGHT + BOTTOM, LEFT + WIDTH, HEIGHT + BOTTOM, e->n_steps - 1);
}

static void kernels(tree *t, const adze_c_module *m, adze_text *out) {
    uint64_t all = 0;
    for (int i = 0; i < m->n_kernels; i++)
        all += m->kernels[i].multiplies;
    adze_text_puts(out, "<h3>Kernels</h3>\n<table><tr><th>kernel</th><th>nodes</th><th>tensors</th>"
                        "<th>multiplies</th><th>share</th><th>loads</th><th>stores</th></tr>\n");
    for (int i = 0; i < m->n_kernels; i++) {
        const adze_c_kernel *k = &m->kernels[i];
        adze_text_printf(out, "<tr><td><code>%s</code></td><td>", k->name);
        escaped(k->nodes, out);
        adze_text_puts(out, "</td><td>");
        for (int p = 0; p < k->n_params; p++) {
            if (k->params[p].scalar)
                continue;
            adze_text_printf(out, "%s%s%s %s", p ? ", " : "", k->params[p].write ? "→ " : "",
                             adze_dtype_get(k->params[p].shape.dtype)->name,
                             adze_c_shape_text(t->arena, &k->params[p].shape));
        }
        adze_text_printf(out, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%.1f %%</td>"
                              "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td></tr>\n",
                         k->multiplies, all ? 100.0 * (double)k->multiplies / (double)all : 0.0,
                         k->loads, k->stores);
    }
    adze_text_printf(out, "<tr><td>all</td><td></td><td></td><td class=\"n\">%" PRIu64
                          "</td><td></td><td></td><td></td></tr></table>\n",
                     all);
}

static void weights(tree *t, const adze_c_module *m, adze_text *out) {
    adze_text_puts(out, "<h3>Weights</h3>\n<table><tr><th>weight</th><th>type</th><th>shape</th>"
                        "<th>bytes</th></tr>\n");
    for (int i = 0; i < m->n_weights; i++) {
        const adze_c_weight *w = &m->weights[i];
        if (!w->used)
            continue;
        adze_text_puts(out, "<tr><td>");
        escaped(w->symbol, out);
        adze_text_printf(out, "</td><td>%s</td><td>%s</td><td class=\"n\">%" PRIu64 "</td></tr>\n",
                         adze_dtype_get(w->shape.dtype)->name,
                         adze_c_shape_text(t->arena, &w->shape), w->bytes);
    }
    adze_text_puts(out, "</table>\n");
}

bool tree_report(tree *t) {
    adze_text body = {0};
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        adze_text_printf(&body, "<h2>%s</h2>\n<p>From <code>", m->name);
        escaped(t->models[i].file ? t->models[i].file : "", &body);
        adze_text_printf(&body, "</code>. Weights %" PRIu64 " bytes, state %" PRIu64
                                ", scratch %" PRIu64 ".</p>\n",
                         m->weight_bytes, m->regions[ADZE_REGION_STATE].bytes,
                         m->regions[ADZE_REGION_SCRATCH].bytes);
        for (int e = 0; e < m->n_entries; e++)
            for (int r = 1; r < m->n_regions; r++)
                memory_map(m, &m->entries[e], r, &body);
        kernels(t, m, &body);
        weights(t, m, &body);
    }
    tree_value values[] = {
        {"title", adze_arena_printf(t->arena, "%s for %s", t->modules[0].name, t->target->name)},
        {"version", t->options->version},
        {"code", adze_arena_printf(t->arena, "%" PRIu64, t->code_estimate)},
        {"stack", adze_arena_printf(t->arena, "%" PRIu64, t->stack_estimate)},
        {"body", body.data ? body.data : ""},
    };
    bool ok = tree_template(t, "report.html", "report.html", values, (int)ADZE_COUNT(values));
    adze_text_free(&body);
    return ok;
}
