/* One case of ONNX's backend suite. See case.h.
 *
 * Extents that the model leaves open come from the test data. An input that an operator needs as a
 * constant (the shape of a Reshape, say) is bound to its test value, as --bind does, and the model is
 * imported again. The light graphs bring no inputs: theirs are 0/n, 1/n ... by ONNX's definition. */
#include "tests/onnx/case.h"

#include "codegen/gen.h"
#include "codegen/tree.h"
#include "driver/job.h"
#include "driver/reference_dir.h"
#include "passes/passes.h"
#include "reference/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BINDS = 16, GUARD = 256, GUARD_BYTE = 0xA5, WEIGHTS_IN_C = 1 << 20 };

typedef struct state {
    adze_context *ctx;
    const adze_target *target;
    const case_info *info;
    const char *work;
    bool verbose;
    adze_text *said;
    const char *data; /* test_data_set_N, NULL for light graphs */
    adze_reference_file *inputs, *outputs;
    size_t n_inputs, n_outputs;
    adze_onnx_bind binds[MOST_BINDS];
    size_t n_binds;
    adze_wanted *in, *out; /* the border of the module, at level 1 */
    size_t n_in, n_out;
    MlirModule module;
} state;

static void step(const state *s, const char *text) {
    if (s->verbose)
        printf("%s: %s\n", s->info->id, text);
}

static case_status refused(state *s) {
    const adze_diagnostics *d = &s->ctx->diags;
    const adze_diagnostic *first = d->count ? &d->items[0] : NULL;
    adze_text_puts(s->said, first ? first->cause : "no reason given");
    return CASE_REFUSED;
}

/* ---- data ---- */

static bool output_names(state *s, const char ***names, size_t *n) {
    const onnx_ModelProto *model;
    if (!adze_onnx_read_model(s->ctx, s->info->model, &model))
        return false;
    if (!model->graph)
        return adze_error(&s->ctx->diags, NULL, "the model has no graph");
    *n = model->graph->output.count;
    *names = ADZE_NEW_ARRAY(s->ctx->arena, const char *, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        adze_string name = model->graph->output.items[i]->name;
        (*names)[i] = adze_arena_strndup(s->ctx->arena, name.data, name.length);
    }
    return true;
}

/* What numpy calls (arange(n) / n).astype(float32), for every input of a light graph. */
static bool light_data(state *s, const char *const *names, size_t n, const char *const *outputs,
                       size_t n_out) {
    adze_arena *arena = s->ctx->arena;
    const onnx_ModelProto *model;
    if (!adze_onnx_read_model(s->ctx, s->info->model, &model))
        return false;
    s->inputs = ADZE_NEW_ARRAY(arena, adze_reference_file, n + 1);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < model->graph->input.count; i++) {
            const onnx_ValueInfoProto *v = model->graph->input.items[i];
            const onnx_TensorTypeProto *t = v->type ? v->type->tensor_type : NULL;
            if (v->name.length != strlen(names[k]) || memcmp(v->name.data, names[k], v->name.length) ||
                !t || !t->shape || t->shape->dim.count > ADZE_MAX_RANK)
                continue;
            int64_t dims[ADZE_MAX_RANK];
            for (size_t d = 0; d < t->shape->dim.count; d++)
                dims[d] = ONNX_HAS(t->shape->dim.items[d], 1) ? t->shape->dim.items[d]->dim_value : 1;
            adze_reference_file *f = &s->inputs[s->n_inputs++];
            f->name = names[k];
            if (!adze_tensor_new(arena, ADZE_f32, (int)t->shape->dim.count, dims, &f->value))
                return adze_error(&s->ctx->diags, NULL, "the input is too large");
            size_t count = adze_tensor_count(&f->value);
            for (size_t e = 0; e < count; e++)
                adze_tensor_set_f64(&f->value, e, (double)e / (double)count);
        }
    s->outputs = ADZE_NEW_ARRAY(arena, adze_reference_file, n_out + 1);
    for (size_t k = 0; k < n_out; k++) {
        adze_reference_file *f = &s->outputs[s->n_outputs];
        const char *name;
        f->path = adze_arena_printf(arena, "%.*s_output_%zu.pb", (int)strlen(s->info->model) - 5,
                                    s->info->model, k);
        struct stat st;
        if (stat(f->path, &st) != 0)
            continue;
        f->name = outputs[k];
        if (!adze_onnx_read_tensor_file(s->ctx, f->path, &f->value, &name))
            return false;
        s->n_outputs++;
    }
    return true;
}

static bool read_data(state *s) {
    const char **names = NULL, **outputs = NULL;
    size_t n = 0, n_out = 0;
    if (!adze_reference_inputs(s->ctx, s->info->model, &names, &n) || !output_names(s, &outputs, &n_out))
        return false;
    if (!s->data)
        return light_data(s, names, n, outputs, n_out);
    return adze_reference_read(s->ctx, s->data, "input", names, n, &s->inputs, &s->n_inputs) &&
           adze_reference_read(s->ctx, s->data, "output", outputs, n_out, &s->outputs, &s->n_outputs);
}

static const adze_tensor *value_named(const adze_reference_file *files, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(files[i].name, name))
            return &files[i].value;
    return NULL;
}

/* ---- import ---- */

/* The last diagnostic's "--bind NAME=VALUE": the input to bind; NULL when it says nothing of the kind. */
static const char *wants_bind(state *s) {
    const adze_diagnostics *d = &s->ctx->diags;
    for (size_t i = 0; i < d->count; i++) {
        const char *hint = d->items[i].hint ? strstr(d->items[i].hint, "--bind ") : NULL;
        const char *end = hint ? strstr(hint, "=VALUE") : NULL;
        if (end)
            return adze_arena_strndup(s->ctx->arena, hint + 7, (size_t)(end - hint - 7));
    }
    return NULL;
}

static bool import(state *s) {
    adze_context *ctx = s->ctx;
    adze_onnx_options options = {.name = "net", .fold = adze_ref_fold};
    if (s->data && !adze_reference_dims(ctx, s->info->model, s->data, NULL, 0, &options.dims,
                                        &options.n_dims))
        return false;
    for (;;) {
        options.binds = s->binds;
        options.n_binds = s->n_binds;
        ctx->diags.file = s->info->model;
        if (adze_onnx_import(ctx, s->info->model, &options, &s->module))
            return true;
        const char *name = wants_bind(s);
        const adze_tensor *value = name ? value_named(s->inputs, s->n_inputs, name) : NULL;
        for (size_t i = 0; i < s->n_binds; i++)
            if (value && !strcmp(s->binds[i].name, name))
                return false;
        if (!value || s->n_binds == MOST_BINDS)
            return false;
        step(s, adze_arena_printf(ctx->arena, "binding '%s'", name));
        s->binds[s->n_binds++] = (adze_onnx_bind){.name = name, .value = *value};
        ctx->diags.count = 0;
    }
}

/* Whether the model quantizes: its integers may then be one step off the suite's. */
static int64_t steps_allowed(state *s) {
    const onnx_ModelProto *model;
    if (!adze_onnx_read_model(s->ctx, s->info->model, &model) || !model->graph)
        return 0;
    for (size_t i = 0; i < model->graph->node.count; i++) {
        adze_string type = model->graph->node.items[i]->op_type;
        const char *text = adze_arena_strndup(s->ctx->arena, type.data, type.length);
        if (strstr(text, "QuantizeLinear") || !strncmp(text, "QLinear", 7))
            return 1;
    }
    return 0;
}

/* ---- build ---- */

static bool lower(state *s) {
    static const adze_codegen_passes codegen = ADZE_CODEGEN_PASSES;
    adze_pass_options options = {.target = s->target, .codegen = &codegen};
    return adze_module_verify(s->ctx, s->module) &&
           adze_job_inputs(s->ctx, s->module, &s->in, &s->n_in) &&
           adze_job_outputs(s->ctx, s->module, &s->out, &s->n_out) &&
           adze_passes_lower(s->ctx, s->module, &options);
}

static bool write_tree(state *s, adze_c_module *m) {
    adze_context *ctx = s->ctx;
    if (!adze_c_module_read(ctx, s->module, "net", ADZE_WEIGHTS_C, s->target, m))
        return false;
    if (m->weight_bytes > WEIGHTS_IN_C)
        m->weights_mode = ADZE_WEIGHTS_FILE;
    adze_tree_model model = {.name = "net", .module = s->module, .file = "model.onnx", .hash = "0"};
    adze_tree_options options = {.home = adze_home(ctx), .version = "0",
                                 .weights = m->weights_mode == ADZE_WEIGHTS_C ? ADZE_TREE_WEIGHTS_C
                                                                              : ADZE_TREE_WEIGHTS_FILE};
    return adze_emit_tree(ctx, &model, 1, s->target, &options,
                          adze_arena_printf(ctx->arena, "%s/tree", s->work), NULL);
}

/* ---- run ---- */

/* The most elements that an output can have. */
static uint64_t most_elements(const adze_wanted *w) {
    uint64_t n = 1;
    for (int i = 0; i < w->rank; i++)
        n *= (uint64_t)(w->dims[i] >= 0 ? w->dims[i] : w->hi[i]);
    return n;
}

/* The value of an input; one of another shape than the model declares is none. NULL after saying so. */
static const adze_tensor *value_for(state *s, const adze_reference_file *files, size_t n,
                                    const adze_wanted *want) {
    const adze_tensor *v = value_named(files, n, want->name);
    if (!v) {
        adze_text_printf(s->said, "the test data has nothing for '%s'", want->name);
        return NULL;
    }
    bool fits = v->rank == want->rank;
    for (int i = 0; fits && i < v->rank; i++)
        fits = want->dims[i] < 0 ? v->dims[i] <= want->hi[i] : v->dims[i] == want->dims[i];
    if (!fits) {
        adze_text_printf(s->said, "the test data for '%s' has another shape than the model declares",
                         want->name);
        return NULL;
    }
    return v;
}

static bool guard_intact(const unsigned char *memory, size_t bytes) {
    for (size_t i = 0; i < GUARD; i++)
        if (memory[bytes + i] != GUARD_BYTE)
            return false;
    return true;
}

static bool all_finite(const adze_tensor *t) {
    for (size_t i = 0, n = adze_tensor_count(t); i < n; i++)
        if (!isfinite(adze_tensor_get_f64(t, i)))
            return false;
    return true;
}

static case_status run(state *s, const adze_c_module *m, case_function *call) {
    adze_arena *arena = s->ctx->arena;
    const void **in = ADZE_NEW_ARRAY(arena, const void *, s->n_in + 1);
    int32_t **in_extents = ADZE_NEW_ARRAY(arena, int32_t *, s->n_in + 1);
    void **out = ADZE_NEW_ARRAY(arena, void *, s->n_out + 1);
    int32_t **out_extents = ADZE_NEW_ARRAY(arena, int32_t *, s->n_out + 1);
    adze_tensor *got = ADZE_NEW_ARRAY(arena, adze_tensor, s->n_out + 1);
    size_t *bytes = ADZE_NEW_ARRAY(arena, size_t, s->n_out + 1);
    for (size_t i = 0; i < s->n_in; i++) {
        const adze_tensor *v = value_for(s, s->inputs, s->n_inputs, &s->in[i]);
        if (!v)
            return CASE_REFUSED;
        in[i] = v->data;
        in_extents[i] = ADZE_NEW_ARRAY(arena, int32_t, ADZE_MAX_RANK);
        for (int d = 0; d < v->rank; d++)
            in_extents[i][d] = (int32_t)v->dims[d];
    }
    for (size_t i = 0; i < s->n_out; i++) {
        adze_tensor *g = &got[i];
        *g = (adze_tensor){.dtype = s->out[i].dtype, .rank = s->out[i].rank};
        bytes[i] = (size_t)most_elements(&s->out[i]) * adze_dtype_get(g->dtype)->host_bytes;
        unsigned char *memory = adze_arena_alloc(arena, bytes[i] + GUARD);
        memset(memory, GUARD_BYTE, bytes[i] + GUARD);
        g->data = out[i] = memory;
        out_extents[i] = ADZE_NEW_ARRAY(arena, int32_t, ADZE_MAX_RANK);
    }
    const adze_file *weights = NULL;
    if (m->weights_mode == ADZE_WEIGHTS_FILE &&
        !(weights = adze_file_map(s->ctx, adze_arena_printf(arena, "%s/tree/src/net_weights.bin", s->work))))
        return refused(s);
    step(s, "running");
    int status = call(in, (const int32_t *const *)in_extents, out, out_extents,
                      weights ? weights->data : NULL, weights ? weights->bytes : 0);
    if (status) {
        adze_text_printf(s->said, "net_run returned %d", status);
        return CASE_WRONG;
    }
    int64_t steps = steps_allowed(s);
    for (size_t i = 0; i < s->n_out; i++) {
        for (int d = 0; d < got[i].rank; d++)
            got[i].dims[d] = out_extents[i][d];
        if (!guard_intact(out[i], bytes[i])) {
            adze_text_printf(s->said, "wrote beyond output '%s'", s->out[i].name);
            return CASE_WRONG;
        }
        if (!s->data && !s->n_outputs) {
            if (!all_finite(&got[i])) {
                adze_text_printf(s->said, "'%s' has values that are not finite", s->out[i].name);
                return CASE_WRONG;
            }
            continue;
        }
        const adze_tensor *want = value_named(s->outputs, s->n_outputs, s->out[i].name);
        if (!want) {
            adze_text_printf(s->said, "the test data has nothing for '%s'", s->out[i].name);
            return CASE_REFUSED;
        }
        /* The older suite stores bfloat16 as uint16, and cut off where ONNX now rounds: one step. */
        bool old_bf16 = want->dtype == ADZE_u16 && got[i].dtype == ADZE_bf16;
        if (old_bf16)
            got[i].dtype = ADZE_u16;
        if (!case_compare(&got[i], want, old_bf16 ? 1 : steps, s->out[i].name, s->said))
            return CASE_WRONG;
    }
    return CASE_PASS;
}

static case_status run_set(state *s) {
    if (!read_data(s))
        return refused(s);
    step(s, "importing");
    if (!import(s))
        return refused(s);
    step(s, "lowering");
    if (!lower(s))
        return refused(s);
    step(s, "writing C");
    adze_c_module m;
    if (!write_tree(s, &m))
        return refused(s);
    step(s, "compiling C");
    case_function *call = case_build(&m, adze_arena_printf(s->ctx->arena, "%s/tree", s->work),
                                     s->data ? "-O1" : "-O2", s->said);
    return call ? run(s, &m, call) : CASE_WRONG;
}

case_status case_run(adze_context *ctx, const adze_target *target, const case_info *info,
                     const char *work, bool verbose, adze_text *said) {
    for (int set = 0;; set++) {
        state s = {.ctx = ctx, .target = target, .info = info, .verbose = verbose, .said = said};
        s.work = adze_arena_printf(ctx->arena, "%s/%d", work, set);
        if (info->dir) {
            s.data = adze_arena_printf(ctx->arena, "%s/test_data_set_%d", info->dir, set);
            struct stat st;
            if (stat(s.data, &st) != 0) {
                if (set)
                    return CASE_PASS;
                adze_text_puts(said, "there is no test data");
                return CASE_REFUSED;
            }
        }
        if (!adze_make_folders(ctx, s.work))
            return refused(&s);
        case_status status = run_set(&s);
        if (status != CASE_PASS || !info->dir)
            return status;
    }
}
