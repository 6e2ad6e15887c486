/* The two programs of a tree: selftest/selftest.c and main.c. */
#include "codegen/tree_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* compare.h's name of an element type. */
static const char *element_name(adze_dtype dtype) {
    static const struct {
        adze_dtype dtype;
        const char *name;
    } rows[] = {
        {ADZE_bool, "BOOL"},     {ADZE_i8, "I8"},        {ADZE_i4, "I8"},
        {ADZE_i2, "I8"},         {ADZE_u8, "U8"},        {ADZE_u4, "U8"},
        {ADZE_u2, "U8"},         {ADZE_i16, "I16"},      {ADZE_u16, "U16"},
        {ADZE_i32, "I32"},       {ADZE_u32, "U32"},      {ADZE_i64, "I64"},
        {ADZE_u64, "U64"},       {ADZE_f32, "F32"},      {ADZE_f64, "F64"},
        {ADZE_f16, "F16"},       {ADZE_bf16, "BF16"},    {ADZE_f8e4m3fn, "F8E4M3FN"},
        {ADZE_f8e4m3fnuz, "F8E4M3FNUZ"}, {ADZE_f8e5m2, "F8E5M2"}, {ADZE_f8e5m2fnuz, "F8E5M2FNUZ"},
        {ADZE_f8e8m0, "F8E8M0"}, {ADZE_f4e2m1, "F4E2M1"},
    };
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (rows[i].dtype == dtype)
            return rows[i].name;
    return "U8";
}

static const char *region_upper(tree *t, const char *name) {
    char *out = adze_arena_strdup(t->arena, name);
    for (char *p = out; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return out;
}

/* "{1, 3, 28}" of a tensor, or of a parameter (bounded: the most). */
static void extents(const adze_c_module *m, const adze_c_param *p, const adze_tensor *v, adze_text *out) {
    adze_text_puts(out, "{");
    for (int d = 0; d < p->shape.rank; d++) {
        int64_t extent = v ? v->dims[d] : p->shape.dims[d];
        for (int i = 0; extent < 0 && p->shape.symbols[d] && i < m->n_dims; i++)
            if (strcmp(m->dims[i].symbol, p->shape.symbols[d]) == 0)
                extent = m->dims[i].hi;
        adze_text_printf(out, "%s%" PRId64, d ? ", " : "", extent);
    }
    adze_text_puts(out, "}");
}

/* Memory of a program: state of each model, one scratch for all, the models, output buffers. */
static void memory(tree *t, adze_text *out) {
    uint64_t scratch = 0, bytes = 0;
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        if (m->regions[ADZE_REGION_SCRATCH].bytes > scratch)
            scratch = m->regions[ADZE_REGION_SCRATCH].bytes;
        adze_text_printf(out, "static %s_t %s_model;\n", m->name, m->name);
        for (int r = 0; r < m->n_regions; r++)
            if (r != ADZE_REGION_SCRATCH && m->regions[r].bytes)
                adze_text_printf(out,
                                 "static %s _Alignas(64) unsigned char %s_%s[%s_%s_BYTES];\n",
                                 r == ADZE_REGION_STATE ? "ADZE_BOARD_STATE" : "ADZE_BOARD_SCRATCH",
                                 m->name, m->regions[r].name, m->upper,
                                 region_upper(t, m->regions[r].name));
        for (int e = 0; e < m->n_entries; e++)
            for (int k = 0; k < m->entries[e].n_params; k++) {
                const adze_c_param *p = &m->entries[e].params[k];
                uint64_t n = tree_param_count(m, p);
                bool input = !p->write && !tree_first_test(t, i, &m->entries[e]);
                if (!p->write && !input)
                    continue;
                bytes += tree_param_bytes(m, p);
                adze_text_printf(out, "static %s %s_%s_%s_%s[%" PRIu64 "];\n",
                                 adze_c_type(m, (int)p->shape.dtype), m->name, m->entries[e].name,
                                 p->write ? "out" : "in", p->name, n ? n : 1);
            }
    }
    t->output_bytes = bytes;
    if (scratch) /* the models run one after the other */
        adze_text_printf(out, "static ADZE_BOARD_SCRATCH _Alignas(64) unsigned char scratch[%" PRIu64
                              "];\n", scratch);
}

/* A function that hands a model its memory. */
static void start_function(tree *t, int model, adze_text *out) {
    const adze_c_module *m = &t->modules[model];
    adze_text_printf(out, "\nstatic int start_%s(void) {\n    const %s_mem mem = {\n", m->name, m->name);
    if (m->weights_mode == ADZE_WEIGHTS_FILE)
        adze_text_printf(out, "        .weights = {load_weights(%s_WEIGHTS, %s_WEIGHTS_BYTES), "
                              "%s_WEIGHTS_BYTES},\n", m->upper, m->upper, m->upper);
    int n = 0;
    for (int r = 0; r < m->n_regions; r++) {
        if (!m->regions[r].bytes)
            continue;
        n++;
        if (r == ADZE_REGION_SCRATCH)
            adze_text_puts(out, "        .scratch = {scratch, sizeof scratch},\n");
        else
            adze_text_printf(out, "        .%s = {%s_%s, sizeof %s_%s},\n", m->regions[r].name,
                             m->name, m->regions[r].name, m->name, m->regions[r].name);
    }
    if (!n && m->weights_mode != ADZE_WEIGHTS_FILE)
        adze_text_puts(out, "        .scratch = {NULL, 0},\n");
    adze_text_printf(out, "    };\n    return %s_init(&%s_model, &mem);\n}\n", m->name, m->name);
}

/* Two declarations: the entry's arguments, from a test (index >= 0) or from zeroed arrays. */
static void arguments(tree *t, int model, const adze_c_entry *e, const adze_tree_test *test, int index,
                      adze_text *out) {
    const adze_c_module *m = &t->modules[model];
    for (int write = 0; write < 2; write++) {
        int k = 0;
        adze_text_printf(out, "    %s_%s_%s %s = {\n", m->name, e->name, write ? "out" : "in",
                         write ? "out" : "in");
        for (int i = 0; i < e->n_params; i++) {
            const adze_c_param *p = &e->params[i];
            if (p->write != (write == 1))
                continue;
            if (!write && test)
                adze_text_printf(out, "        .%s = {%s_test%d_in_%s", p->name, m->name, index, p->name);
            else
                adze_text_printf(out, "        .%s = {%s_%s_%s_%s", p->name, m->name, e->name,
                                 write ? "out" : "in", p->name);
            if (p->shape.rank) {
                adze_text_puts(out, ", ");
                if (write)
                    adze_text_puts(out, "{0}");
                else
                    extents(m, p, test ? &test->inputs[k] : NULL, out);
            }
            adze_text_puts(out, "},\n");
            k++;
        }
        if (k == 0)
            adze_text_puts(out, "        .none = 0,\n");
        adze_text_puts(out, "    };\n");
    }
}

static void number(double v, adze_text *out) { adze_c_float(out, v, false); }

static void test_function(tree *t, int model, int index, adze_text *out) {
    const adze_c_module *m = &t->modules[model];
    const adze_tree_test *test = &t->models[model].tests[index];
    const char *entry = adze_c_identifier(t->arena, test->entry);
    const adze_c_entry *e = NULL;
    for (int i = 0; i < m->n_entries; i++)
        if (strcmp(m->entries[i].name, entry) == 0)
            e = &m->entries[i];
    adze_text_printf(out, "\nstatic int %s_test%d(void) {\n", m->name, index);
    arguments(t, model, e, test, index, out);
    if (test->reset)
        adze_text_printf(out, "    if (%s_reset(&%s_model) != %s_OK) {\n"
                              "        return failed(\"%s_reset\", 1);\n    }\n",
                         m->name, m->name, m->upper, m->name);
    adze_text_printf(out, "    const int status = %s_%s(&%s_model, &in, &out);\n"
                          "    if (status != %s_OK) {\n        return failed(\"%s_%s\", status);\n    }\n"
                          "    int wrong = 0;\n",
                     m->name, e->name, m->name, m->upper, m->name, e->name);
    int k = 0;
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        if (!p->write)
            continue;
        size_t n = adze_tensor_count(&test->outputs[k]);
        adze_text_printf(out,
                         "    wrong += compare(\"%s\", ELEMENT_%s, out.%s.data, %s_test%d_out_%s, %zu, ",
                         p->name, element_name(p->shape.dtype), p->name, m->name, index, p->name, n);
        number(test->tolerance ? test->tolerance[k] : 1e-4, out);
        adze_text_puts(out, ", ");
        number(test->steps ? (double)test->steps[k] : 0, out);
        adze_text_puts(out, ");\n");
        k++;
    }
    adze_text_puts(out, "    return wrong;\n}\n");
}

static void include_models(tree *t, adze_text *out) {
    for (int i = 0; i < t->n; i++)
        adze_text_printf(out, "#include \"%s.h\"\n", t->modules[i].name);
    for (int i = 0; i < t->n; i++)
        if (t->models[i].n_tests)
            adze_text_printf(out, "#include \"%s_data.h\"\n", t->modules[i].name);
}

/* Programs that load weights from a file need a C library's files. */
static bool loads_weights(const tree *t) {
    for (int i = 0; i < t->n; i++)
        if (t->modules[i].weights_mode == ADZE_WEIGHTS_FILE)
            return true;
    return false;
}

static void weights_loader(tree *t, adze_text *out) {
    if (!loads_weights(t))
        return;
    for (int i = 0; i < t->n; i++)
        if (t->modules[i].weights_mode == ADZE_WEIGHTS_FILE)
            adze_text_printf(out, "#define %s_WEIGHTS \"src/%s_weights.bin\"\n", t->modules[i].upper,
                             t->modules[i].name);
    adze_text_puts(out,
                   "\n/* The file's bytes, aligned; NULL when it cannot be read. */\n"
                   "static const void *load_weights(const char *path, size_t bytes) {\n"
                   "    const size_t room = (bytes + 63) / 64 * 64;\n"
                   "    unsigned char *data = aligned_alloc(64, room ? room : 64);\n"
                   "    FILE *file = fopen(path, \"rb\");\n"
                   "    const int ok = data != NULL && file != NULL && fread(data, 1, bytes, file) == bytes;\n"
                   "    if (file != NULL) {\n        fclose(file);\n    }\n"
                   "    if (!ok) {\n        adze_board_puts(path);\n"
                   "        adze_board_puts(\": cannot be read\\n\");\n    }\n"
                   "    return ok ? data : NULL;\n}\n");
}

static bool selftest(tree *t) {
    adze_text out = {0};
    adze_text_puts(&out, "/* The self-test: every model on its reference inputs. Exit code 0: all outputs are right. */\n");
    include_models(t, &out);
    adze_text_puts(&out, "#include \"compare.h\"\n\n#include \"board.h\"\n");
    if (loads_weights(t))
        adze_text_puts(&out, "\n#include <stdio.h>\n#include <stdlib.h>\n");
    adze_text_puts(&out, "\n");
    memory(t, &out);
    weights_loader(t, &out);
    adze_text_puts(&out, "\nstatic int failed(const char *function, int status) {\n"
                         "    adze_board_puts(function);\n    adze_board_puts(\" returned \");\n"
                         "    adze_board_put_i(status);\n    adze_board_puts(\"\\n\");\n"
                         "    return 1;\n}\n");
    for (int i = 0; i < t->n; i++) {
        start_function(t, i, &out);
        for (int k = 0; k < t->models[i].n_tests; k++)
            test_function(t, i, k, &out);
    }
    adze_text_puts(&out, "\nint main(void) {\n    int wrong = 0, status;\n    adze_board_stack_paint();\n");
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        adze_text_printf(&out, "    adze_board_puts(\"%s\\n\");\n"
                               "    status = start_%s();\n"
                               "    wrong += status == %s_OK ? 0 : failed(\"%s_init\", status);\n",
                         m->name, m->name, m->upper, m->name);
        for (int k = 0; k < t->models[i].n_tests; k++)
            adze_text_printf(&out, "    wrong += status == %s_OK ? %s_test%d() : 0;\n", m->upper,
                             m->name, k);
        if (m->threads > 1)
            adze_text_printf(&out, "    if (status == %s_OK) {\n        %s_free(&%s_model);\n    }\n",
                             m->upper, m->name, m->name);
    }
    adze_text_puts(&out,
                   "    if (adze_board_stack_used() != 0) {\n"
                   "        adze_board_puts(\"stack: \");\n"
                   "        adze_board_put_u(adze_board_stack_used());\n"
                   "        adze_board_puts(\" of \");\n"
                   "        adze_board_put_u(adze_board_stack_bytes());\n"
                   "        adze_board_puts(\" bytes\\n\");\n    }\n"
                   "    adze_board_puts(wrong ? \"selftest: FAILED\\n\" : \"selftest: ok\\n\");\n"
                   "    adze_board_flush();\n    return wrong ? 1 : 0;\n}\n");
    return tree_program_write(t, "selftest/selftest.c", &out);
}

/* ---- main.c ---- */

static void describe_entry(tree *t, int model, const adze_c_entry *e, adze_text *out) {
    const adze_c_module *m = &t->modules[model];
    const adze_tree_test *test = tree_first_test(t, model, e);
    int index = test ? (int)(test - t->models[model].tests) : -1;
    bool files = !t->target->bare;
    tree_profile_program(m, out);
    adze_text_printf(out, "\nstatic int run_%s(%s) {\n", m->name, files ? "const options *o" : "void");
    arguments(t, model, e, test, index, out);
    adze_text_printf(out, "    int status = start_%s();\n", m->name);
    int n_inputs = 0;
    for (int i = 0; i < e->n_params; i++)
        n_inputs += !e->params[i].write;
    if (files) {
        int k = 0;
        adze_text_printf(out, "    if (o->n_inputs > %d) {\n        return usage();\n    }\n", n_inputs);
        for (int i = 0; i < e->n_params; i++) {
            const adze_c_param *p = &e->params[i];
            if (p->write)
                continue;
            bool bounded = false;
            for (int d = 0; d < p->shape.rank; d++)
                bounded = bounded || p->shape.dims[d] < 0;
            uint64_t row = 1;
            int axis = -1;
            for (int d = 0; d < p->shape.rank; d++) {
                if (p->shape.dims[d] < 0 && axis < 0)
                    axis = d;
                else
                    row *= (uint64_t)(p->shape.dims[d] < 0 ? 1 : p->shape.dims[d]);
            }
            adze_text_printf(out, "    if (o->n_inputs > %d) {\n        size_t bytes = 0;\n"
                                  "        in.%s.data = read_file(o->inputs[%d], %" PRIu64
                                  ", %d, &bytes);\n        if (in.%s.data == NULL) {\n"
                                  "            return 1;\n        }\n",
                             k, p->name, k, tree_param_bytes(m, p), bounded, p->name);
            if (bounded) /* one bounded extent follows from the file's size */
                adze_text_printf(out, "        in.%s.extents[%d] = (int32_t)(bytes / %" PRIu64 ");\n", p->name,
                                 axis, (row ? row : 1) * adze_dtype_get(p->shape.dtype)->host_bytes);
            adze_text_puts(out, "    }\n");
            k++;
        }
    }
    adze_text_printf(out, "    if (status == %s_OK) {\n        status = %s_%s(&%s_model, &in, &out);\n    }\n"
                          "    if (status != %s_OK) {\n        adze_board_puts(\"%s returned \");\n"
                          "        adze_board_put_i(status);\n        adze_board_puts(\"\\n\");\n"
                          "        return 1;\n    }\n",
                     m->upper, m->name, e->name, m->name, m->upper, m->name);
    int k = 0;
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        if (!p->write)
            continue;
        adze_text_printf(out, "    size_t count_%d = 1;\n", k);
        if (p->shape.rank)
            adze_text_printf(out, "    for (int i = 0; i < %d; i++) {\n"
                                  "        count_%d *= (size_t)out.%s.extents[i];\n    }\n",
                             p->shape.rank, k, p->name);
        adze_text_printf(out, "    print_values(\"%s\", ELEMENT_%s, out.%s.data, count_%d);\n", p->name,
                         element_name(p->shape.dtype), p->name, k);
        if (files)
            adze_text_printf(out,
                             "    if (o->folder != NULL && write_file(o->folder, %d, out.%s.data, "
                             "count_%d * sizeof *out.%s.data)) {\n        return 1;\n    }\n",
                             k, p->name, k, p->name);
        k++;
    }
    tree_profile_call(t, m, out);
    if (files)
        adze_text_printf(out,
                         "    for (int i = 0; i < o->runs; i++) {\n"
                         "        const uint64_t start = adze_board_clock();\n"
                         "        %s_%s(&%s_model, &in, &out);\n"
                         "        o->times[i] = adze_board_clock() - start;\n    }\n",
                         m->name, e->name, m->name);
    else
        adze_text_printf(out,
                         "#ifdef ADZE_MAIN_RUNS /* times of further runs, and the clock's ticks a second */\n"
                         "    for (int i = 0; i < ADZE_MAIN_RUNS; i++) {\n"
                         "        const uint64_t start = adze_board_clock();\n"
                         "        %s_%s(&%s_model, &in, &out);\n"
                         "        const uint64_t ticks = adze_board_clock() - start;\n"
                         "        adze_board_puts(\"time \");\n"
                         "        adze_board_put_u(ticks);\n"
                         "        adze_board_puts(\" \");\n"
                         "        adze_board_put_u(adze_board_clock_hz());\n"
                         "        adze_board_puts(\"\\n\");\n    }\n#endif\n",
                         m->name, e->name, m->name);
    if (m->threads > 1)
        adze_text_printf(out, "    %s_free(&%s_model);\n", m->name, m->name);
    adze_text_puts(out, "    return 0;\n}\n");
}

static bool main_program(tree *t) {
    adze_text models = {0}, memory_text = {0}, runs = {0}, calls = {0}, names = {0};
    include_models(t, &models);
    memory(t, &memory_text);
    weights_loader(t, &memory_text);
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        start_function(t, i, &runs);
        describe_entry(t, i, &m->entries[0], &runs);
        if (t->target->bare)
            adze_text_printf(&calls, "    status |= run_%s();\n", m->name);
        else if (t->n > 1)
            adze_text_printf(&calls, "    if (strcmp(name, \"%s\") == 0) {\n"
                                     "        return run_%s(o);\n    }\n", m->name, m->name);
        else
            adze_text_printf(&calls, "    (void)name;\n    return run_%s(o);\n", m->name);
        adze_text_printf(&names, "%s%s", i ? " | " : "", m->name);
    }
    if (t->n > 1 && !t->target->bare)
        adze_text_puts(&calls, "    return usage();\n");
    tree_value values[] = {
        {"models", models.data}, {"memory", memory_text.data},   {"runs", runs.data},
        {"calls", calls.data},   {"names", t->n > 1 ? names.data : ""}, {"several", t->n > 1 ? "1" : "0"},
    };
    bool ok = tree_template(t, t->target->bare ? "main_bare.c" : "main_hosted.c", "main.c", values,
                            (int)ADZE_COUNT(values));
    adze_text_free(&models);
    adze_text_free(&memory_text);
    adze_text_free(&runs);
    adze_text_free(&calls);
    adze_text_free(&names);
    return ok;
}

bool tree_programs(tree *t) {
    tree_use_runtime(t, "adze_float.h");
    for (size_t i = 0; i < t->target->board_file_count; i++)
        tree_use_runtime(t, adze_arena_printf(t->arena, "boards/%s", t->target->board_files[i]));
    return selftest(t) && tree_template(t, "compare.h", "selftest/compare.h", NULL, 0) &&
           tree_template(t, "compare.c", "selftest/compare.c", NULL, 0) && main_program(t);
}
