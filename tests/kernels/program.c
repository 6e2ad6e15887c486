/* The tree of a group of cases, and what its program is told: selftest/selftest.c becomes harness.c, and cases.h lists the
 * models, their data and their memory. */
#include "tests/kernels/kernels.h"

#include "codegen/tree.h"
#include "driver/job.h"
#include "ir/weights.h"

#include <stdio.h>
#include <string.h>

static void write_case(const kernel_case *k, adze_text *t) {
    const adze_c_module *m = &k->c;
    const adze_c_entry *e = &m->entries[0];
    adze_text_printf(t,
                     "\nstatic %s_t %s_model;\n"
                     "static int %s_start(unsigned char *state, unsigned char *scratch) {\n"
                     "    const %s_mem mem = {.state = {state, %s_STATE_BYTES}, .scratch = {scratch, %s_SCRATCH_BYTES}};\n"
                     "    return %s_init(&%s_model, &mem);\n}\n"
                     "static int %s_call(const void *const *in, void *const *out) {\n"
                     "    %s_%s_in i = {0};\n    %s_%s_out o = {0};\n",
                     m->name, m->name, m->name, m->name, m->upper, m->upper, m->name, m->name, m->name, m->name, e->name,
                     m->name, e->name);
    int n_in = 0, n_out = 0;
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        adze_text_printf(t, "    %c.%s.data = %s[%d];\n", p->write ? 'o' : 'i', p->name, p->write ? "out" : "in",
                         p->write ? n_out++ : n_in++);
    }
    adze_text_printf(t, "    return %s_%s(&%s_model, &i, &o);\n}\nstatic void %s_stop(void) {%s%s%s}\n", m->name, e->name,
                     m->name, m->name, k->pool ? m->name : "", k->pool ? "_free(&" : "",
                     k->pool ? adze_arena_printf(m->ctx->arena, "%s_model);", m->name) : "");
    adze_text_printf(t, "static const void *const %s_in[] = {", m->name);
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < e->n_params; i++)
            if (!e->params[i].write)
                adze_text_printf(t, "%s_test%d_in_%s, ", m->name, r, e->params[i].name);
    adze_text_puts(t, "};\n");
    for (int write = 0; write < 2; write++) {
        adze_text_printf(t, "static const size_t %s_%s_bytes[] = {", m->name, write ? "out" : "in");
        for (int i = 0; i < (write ? k->n_outputs : k->n_inputs); i++)
            adze_text_printf(t, "%zu, ", adze_tensor_host_bytes(write ? &k->want[0][i] : &k->inputs[0][i]));
        adze_text_puts(t, "};\n");
    }
}

static bool write_list(adze_context *ctx, kernel_case *const *cases, int n, const char *dir) {
    adze_text t = {0};
    size_t most = 0;
    for (int i = 0; i < n; i++)
        adze_text_printf(&t, "#include \"%s.h\"\n#include \"%s_data.h\"\n", cases[i]->name, cases[i]->name);
    for (int i = 0; i < n; i++) {
        const kernel_case *k = cases[i];
        size_t bytes = k->c.regions[0].bytes + k->c.regions[1].bytes;
        for (int x = 0; x < k->n_inputs; x++)
            bytes += adze_tensor_host_bytes(&k->inputs[0][x]);
        for (int y = 0; y < k->n_outputs; y++)
            bytes += adze_tensor_host_bytes(&k->want[0][y]);
        most = bytes > most ? bytes : most;
        write_case(k, &t);
    }
    adze_text_printf(&t, "\nenum { ROUNDS = %d, MAX_BUFFERS = %d, POOL_BYTES = %zu };\nstatic const kernel_case cases[] = {\n",
                     ROUNDS, MAX_INPUTS + MAX_OUTPUTS + 2, most + (MAX_INPUTS + MAX_OUTPUTS + 2) * (size_t)256);
    for (int i = 0; i < n; i++) {
        const char *c = cases[i]->name;
        adze_text_printf(&t,
                         "    {\"%s\", %s_start, %s_call, %s_stop, %s_STATE_BYTES, %s_SCRATCH_BYTES, %s_ALIGN, %d, %d, %s_in, "
                         "%s_in_bytes, %s_out_bytes},\n",
                         c, c, c, c, cases[i]->c.upper, cases[i]->c.upper, cases[i]->c.upper, cases[i]->n_inputs,
                         cases[i]->n_outputs, c, c, c);
    }
    adze_text_puts(&t, "};\n");
    bool ok = adze_write_file(ctx, adze_arena_printf(ctx->arena, "%s/selftest/cases.h", dir), t.data, t.length);
    adze_text_free(&t);
    return ok;
}

bool program_write(adze_context *ctx, const adze_target *target, kernel_case *const *cases, int n, const char *dir) {
    adze_tree_model *models = ADZE_NEW_ARRAY(ctx->arena, adze_tree_model, (size_t)n);
    for (int i = 0; i < n; i++) {
        kernel_case *k = cases[i];
        adze_tree_test *tests = ADZE_NEW_ARRAY(ctx->arena, adze_tree_test, ROUNDS);
        for (int r = 0; r < ROUNDS; r++)
            tests[r] = (adze_tree_test){.entry = "run", .reset = true, .n_inputs = k->n_inputs, .n_outputs = k->n_outputs,
                                        .inputs = k->inputs[r], .outputs = k->want[r]};
        models[i] = (adze_tree_model){.name = k->name, .module = k->module, .file = "case.mlir", .hash = "0",
                                      .test_source = "made up", .n_tests = ROUNDS, .tests = tests};
    }
    adze_tree_options options = {.home = adze_home(ctx), .version = "0", .weights = ADZE_TREE_WEIGHTS_C};
    if (!adze_emit_tree(ctx, models, n, target, &options, dir, NULL))
        return false;
    for (int i = 0; i < n; i++) { /* whether a pool was made shows in the header */
        const adze_file *header =
            adze_file_map(ctx, adze_arena_printf(ctx->arena, "%s/include/%s.h", dir, cases[i]->name));
        const char *text = header ? adze_arena_strndup(ctx->arena, (const char *)header->data, header->bytes) : "";
        cases[i]->pool = strstr(text, adze_arena_printf(ctx->arena, "%s_free(", cases[i]->name)) != NULL;
    }
    const adze_file *harness = adze_file_map(ctx, ADZE_SOURCE_DIR "/tests/kernels/harness.c");
    return harness &&
           adze_write_file(ctx, adze_arena_printf(ctx->arena, "%s/selftest/selftest.c", dir), harness->data, harness->bytes) &&
           write_list(ctx, cases, n, dir);
}
