/* selftest/NAME_data.*: reference inputs and outputs, as C arrays, or included when they are large. */
#include "codegen/tree_internal.h"

#include <inttypes.h>
#include <string.h>

/* Above this many bytes the arrays of a model's tests are one included blob. */
enum { DATA_AS_TEXT = 1 << 20 };

const adze_tree_test *tree_first_test(const tree *t, int model, const adze_c_entry *entry) {
    const adze_tree_model *source = &t->models[model];
    for (int i = 0; i < source->n_tests; i++)
        if (strcmp(adze_c_identifier(t->arena, source->tests[i].entry), entry->name) == 0)
            return &source->tests[i];
    return NULL;
}

static const adze_c_entry *entry_of(tree *t, int model, const adze_tree_test *test) {
    const adze_c_module *m = &t->modules[model];
    const char *name = adze_c_identifier(t->arena, test->entry);
    for (int i = 0; i < m->n_entries; i++)
        if (strcmp(m->entries[i].name, name) == 0)
            return &m->entries[i];
    return NULL;
}

/* The test's tensors are the entry's parameters: same number, types and extents. */
static bool check(tree *t, int model, const adze_tree_test *test) {
    const adze_c_module *m = &t->modules[model];
    const adze_c_entry *e = entry_of(t, model, test);
    if (!e)
        return adze_error(&t->ctx->diags, m->name, "the self-test calls '%s', which is no entry",
                          test->entry);
    int counts[2] = {0, 0};
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        int index = counts[p->write]++;
        if (index >= (p->write ? test->n_outputs : test->n_inputs))
            return adze_error(&t->ctx->diags, m->name, "the self-test has no value for '%s'",
                              p->model_name);
        const adze_tensor *v = p->write ? &test->outputs[index] : &test->inputs[index];
        bool same = v->dtype == p->shape.dtype && v->rank == p->shape.rank;
        for (int d = 0; same && d < v->rank; d++)
            same = p->shape.dims[d] < 0 || p->shape.dims[d] == v->dims[d];
        if (!same || adze_tensor_count(v) > tree_param_count(m, p))
            return adze_error(&t->ctx->diags, m->name,
                              "the self-test's value for '%s' has another type or shape",
                              p->model_name);
    }
    if (counts[0] != test->n_inputs || counts[1] != test->n_outputs)
        return adze_error(&t->ctx->diags, m->name, "the self-test of '%s' has too many values",
                          test->entry);
    return true;
}

static const char *array_name(tree *t, const adze_c_module *m, int test, const adze_c_param *p) {
    return adze_arena_printf(t->arena, "%s_test%d_%s_%s", m->name, test, p->write ? "out" : "in",
                             p->name);
}

bool tree_test_data(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    const adze_tree_model *source = &t->models[model];
    uint64_t bytes = 0;
    for (int i = 0; i < source->n_tests; i++) {
        if (!check(t, model, &source->tests[i]))
            return false;
        for (int k = 0; k < source->tests[i].n_inputs; k++)
            bytes += adze_tensor_host_bytes(&source->tests[i].inputs[k]);
        for (int k = 0; k < source->tests[i].n_outputs; k++)
            bytes += adze_tensor_host_bytes(&source->tests[i].outputs[k]);
    }
    t->test_data += bytes;
    if (source->n_tests == 0)
        return true;
    bool text = bytes <= DATA_AS_TEXT || !t->target->has_incbin;
    adze_text header = {0}, body = {0}, blob = {0};
    adze_text_printf(&header,
                     "/* Reference inputs and outputs of %s: %s. */\n#ifndef %s_DATA_H\n"
                     "#define %s_DATA_H\n\n#include <stdbool.h>\n#include <stdint.h>\n\n",
                     m->name, source->test_source ? source->test_source : "", m->upper, m->upper);
    if (text)
        adze_text_printf(&body, "/* %s_data.h */\n#include \"%s_data.h\"\n@math@", m->name, m->name);
    else
        adze_text_printf(&body, "/* %s_data.h */\n    .section .rodata\n", m->name);
    for (int i = 0; i < source->n_tests; i++) {
        const adze_tree_test *test = &source->tests[i];
        const adze_c_entry *e = entry_of(t, model, test);
        int counts[2] = {0, 0};
        for (int k = 0; k < e->n_params; k++) {
            const adze_c_param *p = &e->params[k];
            int index = counts[p->write]++;
            const adze_tensor *v = p->write ? &test->outputs[index] : &test->inputs[index];
            size_t n = adze_tensor_count(v);
            const char *name = array_name(t, m, i, p);
            const char *type = adze_c_type(m, (int)v->dtype);
            adze_text_printf(&header, "extern const %s %s[%zu];\n", type, name, n ? n : 1);
            if (text) {
                adze_text_printf(&body, "\nconst %s %s[%zu] = {\n", type, name, n ? n : 1);
                tree_array(&body, v);
                adze_text_puts(&body, "};\n");
            } else {
                size_t size = adze_tensor_host_bytes(v);
                while (blob.length % 16)
                    adze_text_append(&blob, "", 1);
                adze_text_printf(&body,
                                 "    .global %s\n    .balign 16\n%s:\n"
                                 "    .incbin \"%s_data.bin\", %zu, %zu\n",
                                 name, name, m->name, blob.length, size);
                adze_text_append(&blob, v->data, size);
            }
        }
    }
    adze_text_puts(&header, "\n#endif\n");
    bool ok = tree_write_text(t, adze_arena_printf(t->arena, "selftest/%s_data.h", m->name), &header);
    if (text) {
        bool math = strstr(body.data, "NAN") || strstr(body.data, "INFINITY");
        char *mark = strstr(body.data, "@math@");
        adze_text all = {0};
        adze_text_append(&all, body.data, (size_t)(mark - body.data));
        adze_text_puts(&all, math ? "\n#include <math.h>\n" : "");
        adze_text_puts(&all, mark + 6);
        adze_text_free(&body);
        return ok && tree_program_write(
                         t, adze_arena_printf(t->arena, "selftest/%s_data.c", m->name), &all);
    }
    adze_text_puts(&body, "    .section .note.GNU-stack, \"\", %progbits\n");
    return ok &&
           tree_write_text(t, adze_arena_printf(t->arena, "selftest/%s_data.bin", m->name), &blob) &&
           tree_program_write(t, adze_arena_printf(t->arena, "selftest/%s_data.S", m->name), &body);
}
