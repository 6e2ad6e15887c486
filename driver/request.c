/* Parsed options -> an adze_request, the same way for every command that reads models. */
#include "driver/command.h"

#include "driver/process.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show_progress(void *user, const char *text) {
    adze_console_progress(user, text);
}

/* "NAME=MODEL", where NAME is an identifier and no file has the whole text as its name. */
static adze_model_file split_model(adze_arena *arena, const char *text) {
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    if (n && text[n] == '=' && !isdigit((unsigned char)*text) && access(text, F_OK) != 0)
        return (adze_model_file){adze_arena_strndup(arena, text, n), text + n + 1};
    return (adze_model_file){NULL, text};
}

static bool number(const adze_args *args, adze_option option, uint64_t least, uint64_t *out,
                   const char **problem) {
    const char *text = adze_args_get(args, option);
    if (!text)
        return true;
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    *out = n;
    if (isdigit((unsigned char)*text) && !*end && n >= least && n <= 1u << 30)
        return true;
    *problem = adze_arena_printf(args->arena, "--%s %s: a number of at least %llu is needed",
                                 adze_options[option].name, text, (unsigned long long)least);
    return false;
}

static bool bytes(const adze_args *args, adze_option option, uint64_t *out, const char **problem) {
    const char *text = adze_args_get(args, option);
    if (!text || adze_parse_bytes(text, out))
        return true;
    *problem = adze_arena_printf(args->arena, "--%s %s: bytes are needed, such as 65536, 64K or 1M",
                                 adze_options[option].name, text);
    return false;
}

static bool one_of(const adze_args *args, adze_option option, const char *const *words, size_t n,
                   const char **problem) {
    const char *text = adze_args_get(args, option);
    for (size_t i = 0; i < n && text; i++)
        if (!strcmp(text, words[i]))
            return true;
    if (!text)
        return true;
    *problem = adze_arena_printf(args->arena, "--%s %s: %s is needed", adze_options[option].name,
                                 text, adze_options[option].argument);
    return false;
}

bool adze_request_from_args(const adze_args *args, adze_console *console, size_t n_models,
                            adze_request *out, const char **problem) {
    static const char *const modes[] = {"c", "incbin", "file"};
    adze_model_file *models = ADZE_NEW_ARRAY(args->arena, adze_model_file, n_models + 1);
    for (size_t i = 0; i < n_models; i++)
        models[i] = split_model(args->arena, args->positionals[i]);
    const char *name = adze_args_get(args, ADZE_OPT_name);
    if (name && n_models > 1) {
        *problem = "--name is for one model; write NAME=MODEL for several";
        return false;
    }
    if (name && n_models)
        models[0].name = name;
    uint64_t threads = 0, runs = 0;
    *out = (adze_request){
        .models = models,
        .n_models = n_models,
        .target = adze_args_get(args, ADZE_OPT_target),
        .pack = adze_args_get(args, ADZE_OPT_pack),
        .device = adze_args_get(args, ADZE_OPT_device),
        .output = adze_args_get(args, ADZE_OPT_output),
        .dims = args->values[ADZE_OPT_dim],
        .n_dims = args->counts[ADZE_OPT_dim],
        .binds = args->values[ADZE_OPT_bind],
        .n_binds = args->counts[ADZE_OPT_bind],
        .states = args->values[ADZE_OPT_state],
        .n_states = args->counts[ADZE_OPT_state],
        .taps = args->values[ADZE_OPT_tap],
        .n_taps = args->counts[ADZE_OPT_tap],
        .weights = adze_args_get(args, ADZE_OPT_weights),
        .schedule = adze_args_get(args, ADZE_OPT_schedule),
        .reference = adze_args_get(args, ADZE_OPT_reference),
        .dump_ir = adze_args_get(args, ADZE_OPT_dump_ir),
        .explain = adze_args_has(args, ADZE_OPT_explain),
        .progress = show_progress,
        .user = console,
    };
    bool ok = number(args, ADZE_OPT_threads, 1, &threads, problem) &&
              number(args, ADZE_OPT_runs, 1, &runs, problem) &&
              bytes(args, ADZE_OPT_max_flash, &out->max_flash, problem) &&
              bytes(args, ADZE_OPT_max_ram, &out->max_ram, problem) &&
              one_of(args, ADZE_OPT_weights, modes, ADZE_COUNT(modes), problem);
    out->threads = (unsigned)threads;
    return ok;
}

void adze_command_note_threads(const adze_compilation *c, const adze_request *request,
                               adze_console *console) {
    if (request->threads > 1 && !c->target->has_pthreads)
        adze_console_note(console, "%s has no threads: kernels use one", c->target->name);
}

adze_compilation *adze_command_begin(adze_console *console) {
    adze_compilation *c = adze_compilation_new();
    if (!c)
        adze_console_note(console, "cannot start MLIR");
    return c;
}

const char *adze_command_tree_place(adze_compilation *c, adze_request *request) {
    const char *path = request->n_models ? request->models[0].path : "";
    const char *dot = strrchr(path, '.');
    bool dump = dot && !strcmp(dot, ".mlir"); /* a dump knows its target */
    if (!request->target && !request->pack && !dump)
        request->target = "native";
    if (request->output)
        return NULL;
    const char *folder = adze_temporary_folder(c->ctx->arena);
    if (folder)
        request->output = adze_arena_printf(c->ctx->arena, "%s/tree", folder);
    else
        adze_error(&c->ctx->diags, NULL, "cannot make a temporary folder — hint: set TMPDIR");
    return folder;
}
