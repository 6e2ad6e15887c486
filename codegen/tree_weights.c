/* src/NAME_weights.*: typed C arrays, or one blob that the assembler includes or the program loads. */
#include "codegen/tree_internal.h"
#include "ir/weights.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void tree_array(adze_text *out, const adze_tensor *values) {
    size_t n = adze_tensor_count(values), column = 0;
    adze_text item = {0};
    for (size_t i = 0; i < n; i++) {
        item.length = 0;
        adze_c_literal(&item, values, i);
        if (column == 0 || column + item.length + 2 > 100 || (i % 16 == 0)) {
            adze_text_puts(out, i ? ",\n    " : "    ");
            column = 4;
        } else {
            adze_text_puts(out, ", ");
            column += 2;
        }
        adze_text_append(out, item.data, item.length);
        column += item.length;
    }
    if (n == 0)
        adze_text_puts(out, "    0");
    adze_text_puts(out, ",\n");
    adze_text_free(&item);
}

static uint64_t count_of(const adze_c_weight *w) {
    return w->bytes / adze_dtype_get(w->shape.dtype)->host_bytes;
}

static void declare(const adze_c_module *m, const adze_c_weight *w, adze_text *out) {
    uint64_t n = count_of(w);
    adze_text_printf(out, "const %s %s[%" PRIu64 "]", adze_c_type(m, (int)w->shape.dtype), w->name,
                     n ? n : 1);
}

static bool as_arrays(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    adze_text header = {0}, out = {0};
    adze_text_printf(&header, "/* The weights of %s. */\n#ifndef %s_WEIGHTS_H\n#define %s_WEIGHTS_H\n\n"
                              "#include <stdbool.h>\n#include <stdint.h>\n\n",
                     m->name, m->upper, m->upper);
    bool math = false;
    for (int i = 0; i < m->n_weights; i++) {
        const adze_c_weight *w = &m->weights[i];
        if (!w->used)
            continue;
        adze_tensor values;
        if (!adze_weight_tensor(t->ctx, w->op, &values)) {
            adze_text_free(&header);
            adze_text_free(&out);
            return false;
        }
        adze_text_puts(&header, "extern ");
        declare(m, w, &header);
        adze_text_puts(&header, ";\n");
        adze_text_printf(&out, "\n/* %s %s */\n", w->symbol, adze_c_shape_text(t->arena, &w->shape));
        /* kernels read words and vectors of what is declared as bytes */
        adze_text_printf(&out, "_Alignas(%d) ", (int)ADZE_MEMORY_ALIGN);
        declare(m, w, &out);
        adze_text_puts(&out, " = {\n");
        size_t start = out.length;
        tree_array(&out, &values);
        adze_text_puts(&out, "};\n");
        math = math || strstr(out.data + start, "NAN") || strstr(out.data + start, "INFINITY");
        adze_text_printf(&out, "_Static_assert(sizeof %s == %" PRIu64 ", \"%s\");\n", w->name,
                         count_of(w) ? w->bytes : adze_dtype_get(w->shape.dtype)->host_bytes,
                         w->name);
    }
    adze_text_puts(&header, "\n#endif\n");
    adze_text all = {0};
    adze_text_printf(&all, "/* The weights of %s, from %s. */\n#include \"%s_weights.h\"\n%s", m->name,
                     t->models[model].file, m->name, math ? "\n#include <math.h>\n" : "");
    adze_text_append(&all, out.data, out.length);
    adze_text_free(&out);
    return tree_write_text(t, adze_arena_printf(t->arena, "src/%s_weights.h", m->name), &header) &&
           tree_write_text(t, adze_arena_printf(t->arena, "src/%s_weights.c", m->name), &all);
}

/* The blob goes straight to the file: it may be larger than memory. */
static bool write_blob(tree *t, const adze_c_module *m, const char *path) {
    const char *full = adze_arena_printf(t->arena, "%s/%s", t->root, path);
    FILE *f = fopen(full, "wb");
    if (!f)
        return adze_error(&t->ctx->diags, NULL, "cannot write '%s': %s", full, strerror(errno));
    uint64_t at = 0;
    bool ok = true, read = true;
    for (int i = 0; i < m->n_weights && ok; i++) {
        const adze_c_weight *w = &m->weights[i];
        adze_tensor values;
        if (!w->used)
            continue;
        read = adze_weight_tensor(t->ctx, w->op, &values);
        for (; read && at < w->offset; at++)
            ok = ok && fputc(0, f) != EOF;
        ok = ok && read && fwrite(values.data, 1, w->bytes, f) == w->bytes;
        at += w->bytes;
    }
    for (; ok && at < m->weight_bytes; at++)
        ok = fputc(0, f) != EOF;
    ok = fclose(f) == 0 && ok;
    if (!ok && read)
        adze_error(&t->ctx->diags, NULL, "cannot write '%s': %s", full, strerror(errno));
    return ok;
}

static bool as_blob(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    if (!write_blob(t, m, adze_arena_printf(t->arena, "src/%s_weights.bin", m->name)))
        return false;
    if (m->weights_mode == ADZE_WEIGHTS_FILE)
        return true;
    adze_text header = {0}, out = {0};
    adze_text_printf(&header,
                     "/* The weights of %s, one blob. */\n#ifndef %s_WEIGHTS_H\n#define %s_WEIGHTS_H\n\n"
                     "extern const unsigned char %s_weights[%" PRIu64 "];\n\n#endif\n",
                     m->name, m->upper, m->upper, m->name, m->weight_bytes);
    adze_text_printf(&out,
                     "/* The weights of %s: the file beside this one, as it is. */\n"
                     "    .section .weights.%s, \"a\", %%progbits\n"
                     "    .global %s_weights\n    .type %s_weights, %%object\n"
                     "    .balign 64\n%s_weights:\n    .incbin \"%s_weights.bin\"\n"
                     "    .size %s_weights, . - %s_weights\n"
                     "    .if . - %s_weights - %" PRIu64 "\n"
                     "    .error \"%s_weights.bin has another size\"\n    .endif\n"
                     "    .section .note.GNU-stack, \"\", %%progbits\n",
                     m->name, m->name, m->name, m->name, m->name, m->name, m->name, m->name, m->name,
                     m->weight_bytes, m->name);
    return tree_write_text(t, adze_arena_printf(t->arena, "src/%s_weights.h", m->name), &header) &&
           tree_write_text(t, adze_arena_printf(t->arena, "src/%s_weights.S", m->name), &out);
}

bool tree_weights(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    if (m->weight_bytes == 0)
        return true;
    return m->weights_mode == ADZE_WEIGHTS_C ? as_arrays(t, model) : as_blob(t, model);
}
