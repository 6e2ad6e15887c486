/* adze compile [NAME=]MODEL... -t TARGET -o DIR */
#include "driver/command.h"

#include "driver/explain.h"

#include <stdio.h>
#include <string.h>

static void print_sizes(adze_compilation *c, const adze_request *request) {
    const adze_job_sizes *s = &c->sizes;
    adze_arena *a = c->ctx->arena;
    printf("%s: ", request->output);
    for (size_t i = 0; i < c->n_models; i++)
        printf("%s%s", i ? ", " : "", c->models[i].name);
    printf(" for %s\n", c->target->name);
    printf("  flash  %9s at most: weights %s, code about %s\n", adze_show_bytes(a, s->flash),
           adze_show_bytes(a, s->weights), adze_show_bytes(a, s->code));
    printf("  RAM    %9s at most: scratch %s (no plan needs fewer than %s), state %s, stack about "
           "%s\n",
           adze_show_bytes(a, s->ram), adze_show_bytes(a, s->scratch),
           adze_show_bytes(a, s->scratch_bound), adze_show_bytes(a, s->state),
           adze_show_bytes(a, s->stack));
    for (size_t i = 0; i < c->n_models; i++) {
        const adze_job_selftest *t = &c->models[i].selftest;
        printf("  self-test %s: %s\n", c->models[i].name, t->source);
        if (t->replaced)
            printf("    the folder's outputs differ from it by up to %g\n", t->reference_distance);
    }
    printf("next: make -C %s check\n", request->output);
}

static cJSON *sizes_json(adze_compilation *c, const adze_request *request) {
    const adze_job_sizes *s = &c->sizes;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "ok", true);
    cJSON_AddStringToObject(o, "output", request->output);
    cJSON_AddStringToObject(o, "target", c->target->name);
    cJSON_AddNumberToObject(o, "weights_bytes", (double)s->weights);
    cJSON_AddNumberToObject(o, "scratch_bytes", (double)s->scratch);
    cJSON_AddNumberToObject(o, "scratch_lower_bound_bytes", (double)s->scratch_bound);
    cJSON_AddNumberToObject(o, "state_bytes", (double)s->state);
    cJSON_AddNumberToObject(o, "flash_bytes_estimate", (double)s->flash);
    cJSON_AddNumberToObject(o, "ram_bytes_estimate", (double)s->ram);
    cJSON_AddNumberToObject(o, "code_bytes_estimate", (double)s->code);
    cJSON_AddNumberToObject(o, "stack_bytes_estimate", (double)s->stack);
    cJSON *models = cJSON_AddArrayToObject(o, "models");
    for (size_t i = 0; i < c->n_models; i++) {
        cJSON *m = cJSON_CreateObject();
        cJSON_AddStringToObject(m, "name", c->models[i].name);
        cJSON_AddStringToObject(m, "selftest", c->models[i].selftest.source);
        if (c->models[i].selftest.replaced)
            cJSON_AddNumberToObject(m, "reference_distance",
                                    c->models[i].selftest.reference_distance);
        cJSON_AddItemToArray(models, m);
    }
    return o;
}

void adze_command_explain(adze_compilation *c, const adze_request *request) {
    adze_text text = {0};
    for (size_t i = 0; i < c->n_models && request->explain; i++)
        adze_explain(c->ctx, c->target, &c->models[i], &text);
    if (text.data)
        fputs(text.data, stdout);
    adze_text_free(&text);
}

/* Kernels whose schedule asked for more than the target has. */
static void note_fallbacks(const adze_compilation *c, adze_console *console) {
    for (size_t i = 0; i < c->n_models; i++)
        for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(c->models[i].module));
             !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
            const char *fallback = adze_get_str(c->ctx, op, "adze.fallback");
            if (fallback)
                adze_console_note(console, "%s: %s", adze_get_str(c->ctx, op, "sym_name"), fallback);
        }
}

int adze_cmd_compile(const adze_args *args, adze_console *console) {
    adze_request request;
    const char *problem;
    if (!adze_request_from_args(args, console, args->n_positionals, &request, &problem))
        return adze_console_usage(console, ADZE_CMD_compile, problem);
    if (!request.output)
        return adze_console_usage(console, ADZE_CMD_compile, "compile needs -o DIR");
    adze_compilation *c = adze_command_begin(console);
    if (!c)
        return ADZE_EXIT_FAULT;
    int code = ADZE_EXIT_OK;
    if (!adze_compile(c, &request)) {
        code = adze_console_fail(console, &c->ctx->diags);
    } else {
        adze_console_progress_end(console);
        adze_command_note_threads(c, &request, console);
        note_fallbacks(c, console);
        adze_command_explain(c, &request);
        print_sizes(c, &request);
        adze_console_json(console, sizes_json(c, &request));
    }
    adze_compilation_free(c);
    return code;
}
