/* See write_tree.h. */
#include "driver/write_tree.h"

#include "codegen/tree.h"

#include <string.h>

static const struct {
    const char *name;
    adze_tree_weights mode;
} weight_modes[] = {{"c", ADZE_TREE_WEIGHTS_C},
                    {"incbin", ADZE_TREE_WEIGHTS_INCBIN},
                    {"file", ADZE_TREE_WEIGHTS_FILE}};

/* One call; a model with state is called again without a reset. Returns how many. */
static int tree_tests(const adze_job_selftest *t, adze_tree_test tests[2]) {
    tests[0] = (adze_tree_test){.entry = "run",
                                .reset = true,
                                .n_inputs = (int)t->n_inputs,
                                .n_outputs = (int)t->n_outputs,
                                .inputs = t->inputs,
                                .outputs = t->outputs};
    tests[1] = tests[0];
    tests[1].reset = false;
    tests[1].outputs = t->again;
    return t->again ? 2 : 1;
}

bool adze_job_write_tree(adze_compilation *c, const adze_request *request) {
    adze_context *ctx = c->ctx;
    adze_tree_options options = {.home = adze_home(ctx),
                                 .version = adze_version(),
                                 .weights = ADZE_TREE_WEIGHTS_AUTO,
                                 .max_flash = request->max_flash,
                                 .max_ram = request->max_ram,
                                 .profile = request->profile};
    for (size_t i = 0; request->weights && i < ADZE_COUNT(weight_modes); i++)
        if (!strcmp(request->weights, weight_modes[i].name))
            options.weights = weight_modes[i].mode;
    adze_tree_model *models = ADZE_NEW_ARRAY(ctx->arena, adze_tree_model, c->n_models);
    adze_tree_test *tests = ADZE_NEW_ARRAY(ctx->arena, adze_tree_test, 2 * c->n_models);
    for (size_t i = 0; i < c->n_models; i++) {
        const adze_job_model *m = &c->models[i];
        int n_tests = tree_tests(&m->selftest, &tests[2 * i]);
        models[i] = (adze_tree_model){.name = m->name,
                                      .module = m->module,
                                      .file = m->file,
                                      .hash = m->hash,
                                      .test_source = m->selftest.source,
                                      .n_tests = n_tests,
                                      .tests = &tests[2 * i]};
    }
    adze_tree_result result = {0};
    bool ok = adze_emit_tree(ctx, models, (int)c->n_models, c->target, &options, request->output,
                             &result);
    c->sizes = (adze_job_sizes){.weights = result.weights,
                                .code = result.code_estimate,
                                .scratch = result.scratch,
                                .state = result.state,
                                .stack = result.stack_estimate,
                                .flash = result.flash,
                                .ram = result.ram};
    adze_job_call *calls = ADZE_NEW_ARRAY(ctx->arena, adze_job_call, (size_t)result.n_calls + 1);
    for (int i = 0; i < result.n_calls; i++)
        calls[i] = (adze_job_call){result.calls[i].kernel, result.calls[i].nodes,
                                   result.calls[i].multiplies};
    c->calls = calls;
    c->n_calls = result.n_calls;
    for (int i = 0; i < result.n_models; i++)
        if (result.models[i].scratch_lower_bound > c->sizes.scratch_bound)
            c->sizes.scratch_bound = result.models[i].scratch_lower_bound;
    return ok;
}
