/* adze opt FILE.mlir --pass NAME...: passes on a dump, one by one. */
#include "driver/command.h"

#include "codegen/gen.h"
#include "passes/passes.h"

#include <stdio.h>
#include <string.h>

static void list_passes(adze_console *console) {
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "passes");
    for (int i = 0; i < adze_pass_count(); i++) {
        const adze_pass *p = adze_pass_get(i);
        printf("%-16s L%d -> L%d  %s\n", p->name, p->from, p->to, p->doc);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", p->name);
        cJSON_AddNumberToObject(item, "from", p->from);
        cJSON_AddNumberToObject(item, "to", p->to);
        cJSON_AddStringToObject(item, "doc", p->doc);
        cJSON_AddItemToArray(list, item);
    }
    adze_console_json(console, object);
}

/* The passes to run: every --pass, split at commas, then the words after the file. */
static bool find_passes(const adze_args *args, const adze_pass **out, size_t max, size_t *n,
                        const char **problem) {
    *n = 0;
    size_t options = args->counts[ADZE_OPT_pass];
    size_t words = options + (args->n_positionals ? args->n_positionals - 1 : 0);
    for (size_t i = 0; i < words; i++) {
        const char *text =
            i < options ? args->values[ADZE_OPT_pass][i] : args->positionals[i - options + 1];
        while (*text) {
            size_t length = strcspn(text, ",");
            const char *name = adze_arena_strndup(args->arena, text, length);
            const adze_pass *pass = adze_pass_named(name);
            if (!pass || *n == max) {
                *problem = adze_arena_printf(args->arena,
                                             pass ? "too many passes at '%s'"
                                                  : "unknown pass '%s'\n  adze opt "
                                                    "--list names them",
                                             name);
                return false;
            }
            out[(*n)++] = pass;
            text += length + (text[length] == ',');
        }
    }
    if (!*n)
        *problem = "opt needs --pass NAME";
    return *n > 0;
}

static bool run_passes(adze_compilation *c, const adze_args *args, const adze_pass **passes,
                       size_t n, adze_console *console, adze_text *out) {
    adze_request request = {.target = adze_args_get(args, ADZE_OPT_target)};
    MlirModule module;
    if (!adze_job_load_dump(c->ctx, args->positionals[0], &module))
        return false;
    const char *made_for = adze_get_str(c->ctx, mlirModuleGetOperation(module), "adze.target");
    bool ok = adze_job_load_target(c, &request, made_for ? made_for : "portable");
    static const adze_codegen_passes codegen = ADZE_CODEGEN_PASSES;
    adze_pass_options options = {.target = c->target, .codegen = &codegen};
    c->ctx->diags.file = args->positionals[0];
    for (size_t i = 0; i < n && ok; i++) {
        adze_console_progress(console, adze_arena_printf(args->arena, "pass %s", passes[i]->name));
        ok = adze_pass_run(c->ctx, module, passes[i], &options);
    }
    if (ok)
        adze_module_print(module, out);
    mlirModuleDestroy(module);
    return ok;
}

int adze_cmd_opt(const adze_args *args, adze_console *console) {
    enum { MAX_PASSES = 64 };
    const adze_pass *passes[MAX_PASSES];
    size_t n;
    const char *problem = NULL, *to = adze_args_get(args, ADZE_OPT_output);
    if (adze_args_has(args, ADZE_OPT_list)) {
        list_passes(console);
        return ADZE_EXIT_OK;
    }
    if (!args->n_positionals)
        problem = "opt needs FILE.mlir";
    else
        find_passes(args, passes, MAX_PASSES, &n, &problem);
    if (problem)
        return adze_console_usage(console, ADZE_CMD_opt, problem);
    adze_compilation *c = adze_command_begin(console);
    if (!c)
        return ADZE_EXIT_FAULT;
    adze_text text = {0};
    bool ok = run_passes(c, args, passes, n, console, &text) &&
              (!to || adze_write_file(c->ctx, to, text.data, text.length));
    int code = ok ? ADZE_EXIT_OK : adze_console_fail(console, &c->ctx->diags);
    adze_console_progress_end(console);
    if (ok && !to)
        fputs(text.data, stdout);
    if (ok) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddBoolToObject(object, "ok", true);
        cJSON_AddNumberToObject(object, "passes", (double)n);
        adze_console_json(console, object);
    }
    adze_text_free(&text);
    adze_compilation_free(c);
    return code;
}
