/* adze run MODEL [[NAME=]FILE...]: compile, build, run, print; with --reference, compare. */
#include "driver/command.h"

#include "driver/compare.h"
#include "driver/program.h"
#include "driver/show.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct run_inputs {
    const char **specs; /* "[NAME=]VALUE" */
    size_t n_specs;
    bool keep_scale;
    adze_console *console;
} run_inputs;

/* Which input a spec is for: the one it names, else the first without a value. */
static bool place_spec(adze_context *ctx, const char *spec, const adze_wanted *want, size_t n,
                       const char **values) {
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(want[i].name);
        if (!strncmp(spec, want[i].name, length) && spec[length] == '=') {
            values[i] = spec + length + 1;
            return true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!values[i]) {
            values[i] = spec;
            return true;
        }
    return adze_error(&ctx->diags, NULL, "'%s' is one input too many: the model has %zu", spec, n);
}

/* The hook of adze_compile: the user's values, seeded ones for the rest. */
static bool choose_inputs(adze_compilation *c, void *user) {
    const run_inputs *in = user;
    adze_context *ctx = c->ctx;
    adze_wanted *want;
    size_t n;
    ctx->diags.file = c->models[0].path;
    if (!adze_job_inputs(ctx, c->models[0].module, &want, &n))
        return false;
    const char **values = ADZE_NEW_ARRAY(ctx->arena, const char *, n + 1);
    adze_tensor *given = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, n + 1);
    for (size_t i = 0; i < in->n_specs; i++)
        if (!place_spec(ctx, in->specs[i], want, n, values))
            return false;
    for (size_t i = 0; i < n; i++) {
        want[i].keep_scale = in->keep_scale;
        if (!values[i])
            adze_console_note(in->console, "input '%s' is made up (seeded)", want[i].name);
        if (values[i] ? !adze_value_read(ctx, values[i], &want[i], &given[i])
                      : !adze_selftest_random(ctx, &want[i], (unsigned)i, false, &given[i]))
            return false;
    }
    c->models[0].given = given;
    return true;
}

static cJSON *values_json(const adze_tensor *t) {
    enum { MOST = 4096 };
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "type", adze_dtype_get(t->dtype)->name);
    cJSON *dims = cJSON_AddArrayToObject(o, "dims");
    for (int i = 0; i < t->rank; i++)
        cJSON_AddItemToArray(dims, cJSON_CreateNumber((double)t->dims[i]));
    size_t n = adze_tensor_count(t);
    if (n > MOST || !strchr("FIUB", adze_dtype_get(t->dtype)->cls))
        return o;
    cJSON *values = cJSON_AddArrayToObject(o, "values");
    for (size_t i = 0; i < n; i++) {
        double v = adze_tensor_get_f64(t, i);
        cJSON_AddItemToArray(values, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
    }
    return o;
}

static void add_error(cJSON *o, const char *key, double value) {
    if (isfinite(value))
        cJSON_AddNumberToObject(o, key, value);
    else
        cJSON_AddNullToObject(o, key);
}

/* Prints how the outputs compare with the folder's. For a quantized model whose own integer
 * definition differs from the folder's last step, right is: adze's definition to the bit, and the
 * same winner. */
static bool report_reference(const adze_job_selftest *t, const adze_tensor *got, cJSON *o) {
    adze_text text = {0};
    adze_comparison c =
        adze_compare_outputs(t->output_names, got, t->reference, t->n_outputs,
                             t->replaced ? "differs from the folder" : "WRONG", &text);
    bool ok = c.ok;
    if (t->replaced) {
        adze_text own = {0};
        adze_comparison d =
            adze_compare_outputs(t->output_names, got, t->outputs, t->n_outputs, "WRONG", &own);
        ok = d.ok && c.same_best;
        adze_text_printf(&text, "held to adze's integer definition:\n%s", own.data ? own.data : "");
        adze_text_free(&own);
        cJSON_AddBoolToObject(o, "equals_definition", d.ok);
        cJSON_AddBoolToObject(o, "same_arg_max", c.same_best);
    }
    fputs(text.data ? text.data : "", stdout);
    adze_text_free(&text);
    add_error(o, "max_abs_error", c.max_abs);
    add_error(o, "max_rel_error", c.max_rel);
    cJSON_ReplaceItemInObject(o, "ok", cJSON_CreateBool(ok));
    return ok;
}

static bool run_tree(adze_compilation *c, const adze_request *request, adze_console *console,
                     cJSON *o, bool *right) {
    const adze_job_selftest *t = &c->models[0].selftest;
    adze_program program = {.ctx = c->ctx, .target = c->target, .dir = request->output};
    adze_tensor *got = ADZE_NEW_ARRAY(c->ctx->arena, adze_tensor, t->n_outputs + 1);
    adze_console_progress(console, "building");
    if (!adze_program_build(&program, console->verbose))
        return false;
    adze_console_progress(console, "running");
    if (!adze_program_outputs(&program, t->output_names, t->outputs, t->n_outputs, got))
        return false;
    adze_console_progress_end(console);
    adze_command_explain(c, request);
    cJSON *outputs = cJSON_AddObjectToObject(o, "outputs");
    adze_text text = {0};
    for (size_t i = 0; i < t->n_outputs; i++) {
        adze_show_tensor(t->output_names[i], &got[i], &text);
        cJSON_AddItemToObject(outputs, t->output_names[i], values_json(&got[i]));
    }
    fputs(text.data ? text.data : "", stdout);
    adze_text_free(&text);
    *right = !request->reference || report_reference(t, got, o);
    return true;
}

int adze_cmd_run(const adze_args *args, adze_console *console) {
    adze_request request;
    const char *problem;
    if (!adze_request_from_args(args, console, 1, &request, &problem))
        return adze_console_usage(console, ADZE_CMD_run, problem);
    run_inputs in = {.keep_scale = adze_args_has(args, ADZE_OPT_no_scale), .console = console};
    size_t positionals = args->n_positionals - 1, options = args->counts[ADZE_OPT_input];
    in.specs = ADZE_NEW_ARRAY(args->arena, const char *, positionals + options + 1);
    for (size_t i = 0; i < positionals; i++)
        in.specs[in.n_specs++] = args->positionals[i + 1];
    for (size_t i = 0; i < options; i++)
        in.specs[in.n_specs++] = args->values[ADZE_OPT_input][i];
    if (request.reference && in.n_specs)
        return adze_console_usage(console, ADZE_CMD_run,
                                  "--reference has its own inputs; leave the others out");
    adze_compilation *c = adze_command_begin(console);
    if (!c)
        return ADZE_EXIT_FAULT;
    if (!request.reference) {
        c->choose_inputs = choose_inputs;
        c->choose_user = &in;
    }
    const char *temporary = adze_command_tree_place(c, &request);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "ok", true);
    bool right = true;
    bool ok =
        request.output && adze_compile(c, &request) && run_tree(c, &request, console, o, &right);
    if (temporary)
        adze_remove_folder(temporary);
    int code = !ok     ? adze_console_fail(console, &c->ctx->diags)
               : right ? ADZE_EXIT_OK
                       : ADZE_EXIT_FAULT;
    if (ok)
        adze_console_json(console, o);
    else
        cJSON_Delete(o);
    adze_compilation_free(c);
    return code;
}
