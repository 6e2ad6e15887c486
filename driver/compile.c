/* The library's front: a request from model files to a written tree.
 *
 *   load ─► level-1 passes ─► self-test data ─► passes to level 3 ─► write_tree.c
 *
 * With --dump-ir every stage is written.
 */
#include "driver/job.h"

#include "codegen/gen.h"
#include "driver/inspect.h"
#include "driver/reference_dir.h"
#include "driver/schedule.h"
#include "driver/write_tree.h"
#include "passes/passes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

adze_compilation *adze_compilation_new(void) {
    adze_context *ctx = adze_context_new();
    adze_compilation *c = ctx ? calloc(1, sizeof *c) : NULL;
    if (c)
        *c = (adze_compilation){.ctx = ctx, .threads = 1};
    else if (ctx)
        adze_context_free(ctx);
    return c;
}

void adze_compilation_free(adze_compilation *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->n_models; i++)
        if (!mlirModuleIsNull(c->models[i].module))
            mlirModuleDestroy(c->models[i].module);
    adze_target_free(c->target);
    adze_context_free(c->ctx);
    free(c);
}

const char *adze_compilation_errors(adze_compilation *c) {
    adze_text text = {0};
    adze_diagnostics_print(&c->ctx->diags, &text);
    const char *out = adze_arena_strdup(c->ctx->arena, text.data ? text.data : "");
    adze_text_free(&text);
    return out;
}

static void progress(const adze_request *request, const char *text) {
    if (request->progress)
        request->progress(request->user, text);
}

/* ---- dumps ---- */

bool adze_make_folders(adze_context *ctx, const char *dir) {
    char *path = adze_arena_strdup(ctx->arena, dir);
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(path, 0777); /* the last one says what is wrong */
            *p = '/';
        }
    struct stat st;
    if (mkdir(path, 0777) == 0 || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return true;
    return adze_error(&ctx->diags, NULL, "cannot make the folder '%s': %s", dir, strerror(errno));
}

typedef struct stages {
    adze_compilation *c;
    const adze_request *request;
    adze_job_model *model;
    const char *dir; /* NULL: no dumps */
    bool scheduled;  /* the --schedule file has been applied */
    bool tested;     /* the self-test's data is there */
} stages;

static bool write_stage(stages *s, int number, const char *name, MlirModule module) {
    adze_context *ctx = s->c->ctx;
    if (!s->dir)
        return true;
    adze_text text = {0};
    adze_module_print(module, &text);
    const char *path = adze_arena_printf(ctx->arena, "%s/%02d-%s.mlir", s->dir, number, name);
    bool ok =
        adze_write_file(ctx, path, text.data, text.length) && adze_blobs_write(ctx, module, s->dir);
    adze_text_free(&text);
    return ok;
}

/* A schedule names kernels, so it can be laid on as soon as there are some. */
static bool apply_schedule(stages *s, MlirModule module) {
    if (!s->request->schedule || s->scheduled || adze_module_level(module) != 2)
        return true;
    s->scheduled = true;
    return adze_schedule_apply(s->c->ctx, module, s->request->schedule);
}

/* Whether the pass after the one that ran last leaves level 1: then the module says what every
 * number is, integer arithmetic included, and the evaluator's word is what kernels are held to. */
static bool at_end_of_level_1(adze_context *ctx, MlirModule module) {
    const char *after = adze_get_str(ctx, mlirModuleGetOperation(module), "adze.after");
    int next = 0;
    for (int i = 0; after && i < adze_pass_count(); i++)
        if (!strcmp(adze_pass_get(i)->name, after))
            next = i + 1;
    return adze_module_level(module) > 1 || next >= adze_pass_count() ||
           adze_pass_get(next)->to > 1;
}

/* A state starts at zero: the folder's outputs hold only if its first call did too. */
static bool check_states(stages *s) {
    adze_context *ctx = s->c->ctx;
    const adze_request *request = s->request;
    if (!request->n_states || !request->reference || s->model->is_dump)
        return true;
    const char *dir = adze_reference_folder(ctx, request->reference), **names;
    adze_reference_file *files;
    size_t n, n_files;
    if (!dir || !adze_reference_inputs(ctx, s->model->path, &names, &n) ||
        !adze_reference_read(ctx, dir, "input", names, n, &files, &n_files))
        return false;
    for (size_t i = 0; i < request->n_states; i++)
        for (size_t f = 0; f < n_files; f++) {
            size_t length = strcspn(request->states[i], "=");
            const adze_tensor *t = &files[f].value;
            bool same = strlen(files[f].name) == length &&
                        !strncmp(files[f].name, request->states[i], length);
            for (size_t k = 0; same && k < adze_tensor_count(t); k++)
                if (adze_tensor_get_f64(t, k) != 0)
                    return adze_error(
                        &ctx->diags, NULL,
                        "--state %s starts at zero, but '%s' does not — hint: leave out "
                        "--reference or --state",
                        request->states[i], files[f].path);
        }
    return true;
}

static bool make_selftest(stages *s, MlirModule module) {
    adze_context *ctx = s->c->ctx;
    if (s->tested || !at_end_of_level_1(ctx, module))
        return true;
    s->tested = true;
    progress(s->request, adze_arena_printf(ctx->arena, "%s: self-test data", s->model->name));
    bool ok = check_states(s) && adze_selftest_make(ctx, s->model, s->request->reference) &&
              (!s->dir || adze_selftest_write(ctx, &s->model->selftest, s->dir));
    ctx->diags.file = s->model->path;
    return ok;
}

static bool after_pass(void *user, int number, const char *pass, MlirModule module) {
    stages *s = user;
    progress(s->request, adze_arena_printf(s->c->ctx->arena, "%s: %s", s->model->name, pass));
    return apply_schedule(s, module) && write_stage(s, number, pass, module) &&
           make_selftest(s, module);
}

/* ---- one model down to level 3 ---- */

static bool set_target(adze_compilation *c, adze_job_model *m) {
    MlirOperation root = mlirModuleGetOperation(m->module);
    const char *made_for = adze_get_str(c->ctx, root, "adze.target");
    if (m->level > 1 && made_for && strcmp(made_for, c->target->name))
        return adze_error(&c->ctx->diags, NULL,
                          "this level-%d dump was made for %s, not for %s — hint: start from the "
                          "level-1 dump or the model",
                          m->level, made_for, c->target->name);
    adze_set(root, "adze.target", adze_str(c->ctx, c->target->name));
    return true;
}

/* The generators and the emitter read adze.threads (decision 10); a dump remembers it. */
static void set_threads(adze_compilation *c, const adze_request *request, adze_job_model *m) {
    MlirOperation root = mlirModuleGetOperation(m->module);
    if (request->threads > 1 && c->target->has_pthreads)
        adze_set(root, "adze.threads", adze_i64(c->ctx, request->threads));
    else if (request->threads || !c->target->has_pthreads)
        mlirOperationRemoveAttributeByName(root, mlirStringRefCreateFromCString("adze.threads"));
    int64_t threads = adze_get_i64(root, "adze.threads");
    c->threads = threads > (int64_t)c->threads ? (unsigned)threads : c->threads;
}

static bool lower(adze_compilation *c, const adze_request *request, adze_job_model *m) {
    adze_context *ctx = c->ctx;
    stages s = {.c = c, .request = request, .model = m};
    ctx->diags.file = m->path;
    if (request->dump_ir) {
        s.dir = c->n_models > 1 ? adze_arena_printf(ctx->arena, "%s/%s", request->dump_ir, m->name)
                                : request->dump_ir;
        if (!adze_make_folders(ctx, s.dir))
            return false;
    }
    if (!set_target(c, m))
        return false;
    set_threads(c, request, m);
    if (!m->is_dump && !write_stage(&s, 0, "import", m->module))
        return false;
    if (!apply_schedule(&s, m->module) || !make_selftest(&s, m->module))
        return false;
    static const adze_codegen_passes codegen = ADZE_CODEGEN_PASSES;
    adze_pass_options options = {
        .target = c->target, .codegen = &codegen, .dump = after_pass, .user = &s};
    if (!adze_passes_lower(ctx, m->module, &options))
        return false;
    if (request->schedule && !s.scheduled)
        return adze_error(&ctx->diags, NULL,
                          "--schedule %s: the model is already at level 3, where "
                          "nothing is scheduled any more",
                          request->schedule);
    return true;
}

/* The target that the first dump was made for, when the request names none. */
static const char *target_of_dump(adze_compilation *c) {
    for (size_t i = 0; i < c->n_models; i++) {
        const char *name =
            adze_get_str(c->ctx, mlirModuleGetOperation(c->models[i].module), "adze.target");
        if (name)
            return name;
    }
    return NULL;
}

bool adze_compile(adze_compilation *c, const adze_request *request) {
    adze_context *ctx = c->ctx;
    if (!request->output)
        return adze_error(&ctx->diags, NULL, "no folder to write to — hint: -o DIR");
    if (request->reference && request->n_models > 1)
        return adze_error(&ctx->diags, NULL, "--reference is for one model at a time");
    if (!adze_job_load_models(c, request))
        return false;
    if (c->choose_inputs && !c->choose_inputs(c, c->choose_user))
        return false;
    ctx->diags.file = NULL;
    if (!adze_job_load_target(c, request, target_of_dump(c)))
        return false;
    if (request->threads > ADZE_MAX_THREADS)
        return adze_error(&ctx->diags, NULL, "%u threads are too many: %d at most", request->threads,
                          (int)ADZE_MAX_THREADS);
    for (size_t i = 0; i < c->n_models; i++)
        if (!lower(c, request, &c->models[i]))
            return false;
    ctx->diags.file = c->models[0].path;
    progress(request, adze_arena_printf(ctx->arena, "writing %s", request->output));
    return adze_job_write_tree(c, request);
}

const char *adze_inspect(adze_compilation *c, const adze_request *request, adze_view view) {
    adze_text text = {0};
    adze_summary summary;
    if (!adze_job_load_models(c, request))
        return NULL;
    MlirModule module = c->models[0].module;
    if (view == ADZE_VIEW_MLIR)
        adze_module_print(module, &text);
    else if (view == ADZE_VIEW_DOT)
        adze_view_dot(c->ctx, module, &text);
    else if (!adze_summarize(c->ctx, &c->models[0], &summary))
        return NULL;
    else
        (view == ADZE_VIEW_JSON   ? adze_view_json
         : view == ADZE_VIEW_HTML ? adze_view_html
                                  : adze_view_text)(&summary, &text);
    const char *out = adze_arena_strdup(c->ctx->arena, text.data);
    adze_text_free(&text);
    return out;
}
