/* The self-test's numbers: inputs, and the outputs that are right for them.
 *
 *   --reference DIR   the folder's inputs and outputs; for a quantized model whose own integer
 *                     definition differs from the folder's in the last step, the evaluator's
 *   a dump            what stands in selftest/ beside it
 *   otherwise         seeded inputs and the evaluator's outputs */
#include "driver/job.h"

#include "driver/reference_dir.h"
#include "reference/reference.h"

#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Dialect/Quant.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- seeded inputs ---- */

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

bool adze_selftest_random(adze_context *ctx, const adze_wanted *want, unsigned index, bool zeros,
                          adze_tensor *out) {
    int64_t dims[ADZE_MAX_RANK];
    for (int i = 0; i < want->rank; i++) {
        int64_t extent = want->lo[i] > 16 ? want->lo[i] : 16;
        dims[i] = want->dims[i] >= 0 ? want->dims[i] : extent < want->hi[i] ? extent : want->hi[i];
    }
    const adze_dtype_info *info = adze_dtype_get(want->dtype);
    if (info->cls == 'S')
        return adze_error(&ctx->diags, NULL,
                          "input '%s' is text, which cannot be made up — hint: "
                          "--reference DIR",
                          want->name);
    size_t bytes = info->host_bytes;
    bool fits = true;
    for (int i = 0; i < want->rank; i++)
        fits = fits && adze_mul_size(bytes, (size_t)dims[i], &bytes);
    if (!fits || bytes > (size_t)1 << 30 ||
        !adze_tensor_new(ctx->arena, want->dtype, want->rank, dims, out))
        return adze_error(&ctx->diags, NULL, "input '%s' is too large: a self-test can make up at most 1 GiB",
                          want->name);
    uint64_t state = 0xAD2E + index;
    bool integer = info->cls == 'I' || info->cls == 'U';
    for (size_t i = 0, n = adze_tensor_count(out); i < n && !zeros; i++) {
        uint64_t r = splitmix64(&state);
        if (info->cls == 'B')
            adze_tensor_set_i64(out, i, (int64_t)(r & 1));
        else if (integer && info->bits <= 8) /* set_i64 wraps to the type */
            adze_tensor_set_i64(out, i, (int64_t)(r >> 56));
        else if (integer)
            adze_tensor_set_i64(out, i, (int64_t)(r >> 60));
        else
            adze_tensor_set_f64(out, i, (double)(r >> 40) / 0x1p23 - 1.0);
    }
    return true;
}

/* ---- a folder of TensorProto files ---- */

static const char *shape_text(adze_context *ctx, const int64_t *dims, int rank) {
    adze_text text = {0};
    for (int i = 0; i < rank; i++)
        adze_text_printf(&text, "%s%lld", i ? "x" : "", (long long)dims[i]);
    const char *out = adze_arena_strdup(ctx->arena, text.data ? text.data : "scalar");
    adze_text_free(&text);
    return out;
}

static bool check_tensor(adze_context *ctx, const char *path, const adze_wanted *want,
                         const adze_tensor *t) {
    bool fits = t->dtype == want->dtype && t->rank == want->rank;
    for (int i = 0; fits && i < t->rank; i++)
        fits = want->dims[i] >= 0 ? t->dims[i] == want->dims[i]
                                  : t->dims[i] >= want->lo[i] && t->dims[i] <= want->hi[i];
    return fits ||
           adze_error(&ctx->diags, NULL, "'%s' holds %s %s, '%s' is %s %s", path,
                      adze_dtype_get(t->dtype)->name, shape_text(ctx, t->dims, t->rank), want->name,
                      adze_dtype_get(want->dtype)->name, shape_text(ctx, want->dims, want->rank));
}

static bool among(const char *name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* Takes what each wanted tensor is from the files of one kind. One that names[] does not have is
 * not the model file's (a tap) and stays empty. */
static bool read_side(adze_context *ctx, const char *dir, const char *kind,
                      const char *const *names, size_t n_names, const adze_wanted *want, size_t n,
                      adze_tensor *out) {
    adze_reference_file *files;
    size_t n_files;
    if (!adze_reference_read(ctx, dir, kind, names, n_names, &files, &n_files))
        return false;
    for (size_t i = 0; i < n; i++) {
        const adze_reference_file *found = NULL;
        for (size_t k = 0; k < n_files; k++)
            if (!strcmp(files[k].name, want[i].name))
                found = &files[k];
        if (!found && !among(want[i].name, names, n_names))
            continue;
        if (!found)
            return adze_error(&ctx->diags, NULL, "'%s' has %zu %s_N.pb files and none for '%s'",
                              dir, n_files, kind, want[i].name);
        if (!check_tensor(ctx, found->path, &want[i], &found->value))
            return false;
        out[i] = found->value;
    }
    return true;
}

static const char **names_of(adze_context *ctx, const adze_wanted *want, size_t n) {
    const char **names = ADZE_NEW_ARRAY(ctx->arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        names[i] = want[i].name;
    return names;
}

/* Sizes and names of both sides, tensors still empty. */
static bool prepare(adze_context *ctx, const adze_job_model *model, adze_job_selftest *out,
                    adze_wanted **inputs, adze_wanted **outputs) {
    *out = (adze_job_selftest){0};
    if (!adze_job_inputs(ctx, model->module, inputs, &out->n_inputs) ||
        !adze_job_outputs(ctx, model->module, outputs, &out->n_outputs))
        return false;
    out->inputs = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, out->n_inputs + 1);
    out->outputs = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, out->n_outputs + 1);
    out->input_names = names_of(ctx, *inputs, out->n_inputs);
    out->output_names = names_of(ctx, *outputs, out->n_outputs);
    return true;
}

bool adze_selftest_read(adze_context *ctx, const adze_job_model *model, const char *dir,
                        bool with_outputs, adze_job_selftest *out) {
    adze_wanted *inputs, *outputs;
    if (!prepare(ctx, model, out, &inputs, &outputs))
        return false;
    dir = adze_reference_folder(ctx, dir);
    if (!dir)
        return false;
    const char **names = out->input_names, **results = out->output_names;
    size_t n_names = out->n_inputs, n_results = out->n_outputs;
    if (!model->is_dump && (!adze_reference_inputs(ctx, model->path, &names, &n_names) ||
                            !adze_reference_outputs(ctx, model->path, &results, &n_results)))
        return false;
    return read_side(ctx, dir, "input", names, n_names, inputs, out->n_inputs, out->inputs) &&
           (!with_outputs || read_side(ctx, dir, "output", results, n_results, outputs,
                                       out->n_outputs, out->outputs));
}

/* DIR/KIND_0.pb, KIND_1.pb ... */
static bool write_side(adze_context *ctx, const char *folder, const char *kind, size_t n,
                       const char *const *names, const adze_tensor *tensors) {
    for (size_t i = 0; i < n; i++) {
        adze_text bytes = {0};
        adze_pb_tensor(&tensors[i], names[i], &bytes);
        bool ok = adze_write_file(ctx,
                                  adze_arena_printf(ctx->arena, "%s/%s_%zu.pb", folder, kind, i),
                                  bytes.data, bytes.length);
        adze_text_free(&bytes);
        if (!ok)
            return false;
    }
    return true;
}

bool adze_selftest_write(adze_context *ctx, const adze_job_selftest *test, const char *dir) {
    const char *folder = adze_arena_printf(ctx->arena, "%s/selftest", dir);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return adze_error(&ctx->diags, NULL, "cannot make '%s': %s", folder, strerror(errno));
    if (!write_side(ctx, folder, "input", test->n_inputs, test->input_names, test->inputs) ||
        !write_side(ctx, folder, "output", test->n_outputs, test->output_names, test->outputs) ||
        (test->again &&
         !write_side(ctx, folder, "again", test->n_outputs, test->output_names, test->again)))
        return false;
    return adze_write_file(ctx, adze_arena_printf(ctx->arena, "%s/source.txt", folder),
                           test->source, strlen(test->source));
}

/* ---- which outputs ---- */

static void find_quantized(MlirOperation op, void *user) {
    static const char *const ops[] = {"adze.quantize", "adze.dynamic_quantize"};
    for (size_t i = 0; i < ADZE_COUNT(ops); i++)
        if (adze_is_op(op, ops[i]))
            *(bool *)user = true;
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
        MlirType type = mlirValueGetType(mlirOperationGetResult(op, i));
        if (mlirTypeIsAShaped(type) && mlirTypeIsAQuantizedType(mlirShapedTypeGetElementType(type)))
            *(bool *)user = true;
    }
}

static bool evaluate(adze_context *ctx, const adze_job_model *model, const adze_job_selftest *test,
                     adze_tensor *outputs) {
    return adze_ref_run(ctx, model->module, NULL, test->inputs, (int)test->n_inputs, outputs,
                        (int)test->n_outputs, NULL, NULL);
}

/* The folder's outputs come from another engine. Where a quantized model's numbers differ from it
 * by adze's own integer definition, the tree must be held to the definition. */
static bool settle_quantized(adze_context *ctx, const adze_job_model *model,
                             adze_job_selftest *test) {
    adze_tensor *own = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, test->n_outputs + 1);
    if (!evaluate(ctx, model, test, own))
        return false;
    for (size_t i = 0; i < test->n_outputs; i++) {
        adze_ref_error e;
        bool same = adze_ref_compare(&own[i], &test->outputs[i], &e);
        if (same && e.max_rel <= 1e-4)
            continue;
        test->replaced = true;
        double distance = e.same_type ? e.max_abs : 0;
        if (distance > test->reference_distance)
            test->reference_distance = distance;
    }
    if (test->replaced) {
        memcpy(test->outputs, own, test->n_outputs * sizeof *own);
        test->source = "given inputs, outputs by adze's integer arithmetic (reference evaluator)";
    }
    return true;
}

/* Outputs that no file has are the evaluator's. */
static bool fill_outputs(adze_context *ctx, const adze_job_model *model, adze_job_selftest *test) {
    bool whole = true;
    for (size_t i = 0; i < test->n_outputs; i++)
        whole = whole && test->outputs[i].dtype != ADZE_NO_DTYPE;
    if (whole)
        return true;
    adze_tensor *own = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, test->n_outputs + 1);
    if (!evaluate(ctx, model, test, own))
        return false;
    for (size_t i = 0; i < test->n_outputs; i++)
        if (test->outputs[i].dtype == ADZE_NO_DTYPE)
            test->outputs[i] = own[i];
    return true;
}

static bool from_reference(adze_context *ctx, adze_job_model *model, const char *dir) {
    adze_job_selftest *test = &model->selftest;
    if (!adze_selftest_read(ctx, model, dir, true, test) || !fill_outputs(ctx, model, test))
        return false;
    test->source = "given inputs and outputs";
    test->reference = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, test->n_outputs + 1);
    memcpy(test->reference, test->outputs, test->n_outputs * sizeof *test->outputs);
    bool quantized = false;
    if (model->level == 1)
        adze_walk(mlirModuleGetOperation(model->module), find_quantized, &quantized);
    return !quantized || settle_quantized(ctx, model, test);
}

/* The folder beside a dump. */
static bool from_dump(adze_context *ctx, adze_job_model *model, const char *dir) {
    adze_job_selftest *test = &model->selftest;
    if (!adze_selftest_read(ctx, model, dir, true, test))
        return false;
    adze_wanted *outputs;
    size_t n;
    if (access(adze_arena_printf(ctx->arena, "%s/again_0.pb", dir), F_OK) == 0) {
        test->again = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, test->n_outputs + 1);
        if (!adze_job_outputs(ctx, model->module, &outputs, &n) ||
            !read_side(ctx, dir, "again", test->output_names, n, outputs, n, test->again))
            return false;
    }
    const adze_file *source =
        adze_file_map(ctx, adze_arena_printf(ctx->arena, "%s/source.txt", dir));
    if (!source)
        return false;
    model->selftest.source =
        adze_arena_strndup(ctx->arena, (const char *)source->data, source->bytes);
    return true;
}

static bool from_seed(adze_context *ctx, adze_job_model *model) {
    adze_job_selftest *test = &model->selftest;
    adze_wanted *inputs, *outputs;
    if (!prepare(ctx, model, test, &inputs, &outputs))
        return false;
    test->source = "seeded inputs, outputs by the reference evaluator";
    size_t before = ctx->diags.count;
    /* Small integers may still be no valid indices; zeros nearly always are. */
    for (int zeros = 0; zeros < 2; zeros++) {
        for (size_t i = 0; i < test->n_inputs; i++)
            if (!adze_selftest_random(ctx, &inputs[i], (unsigned)i, zeros, &test->inputs[i]))
                return false;
        ctx->diags.count = before;
        if (evaluate(ctx, model, test, test->outputs)) {
            ctx->diags.count = before;
            return true;
        }
    }
    return adze_error(&ctx->diags, NULL,
                      "the reference evaluator cannot run the model on made-up "
                      "inputs — hint: --reference DIR with real ones");
}

/* `adze run` on the user's inputs: the outputs are what it wants to know. Only where their extents
 * depend on the inputs are they computed here; the program compares nothing. */
static bool from_given(adze_context *ctx, adze_job_model *model) {
    adze_job_selftest *test = &model->selftest;
    adze_wanted *inputs, *outputs;
    if (!prepare(ctx, model, test, &inputs, &outputs))
        return false;
    memcpy(test->inputs, model->given, test->n_inputs * sizeof *model->given);
    test->source = "inputs of this run, outputs not known";
    bool fixed = true;
    for (size_t i = 0; i < test->n_outputs; i++)
        for (int k = 0; k < outputs[i].rank; k++)
            fixed = fixed && outputs[i].dims[k] >= 0;
    if (!fixed && model->level == 1)
        return evaluate(ctx, model, test, test->outputs);
    for (size_t i = 0; i < test->n_outputs; i++)
        if (!fixed || !adze_tensor_new(ctx->arena, outputs[i].dtype, outputs[i].rank,
                                       outputs[i].dims, &test->outputs[i]))
            return adze_error(&ctx->diags, NULL,
                              "the extents of output '%s' are not known — hint: "
                              "start from the model or its level-1 dump",
                              outputs[i].name);
    return true;
}

static void find_state(MlirOperation op, void *user) {
    *(bool *)user |= adze_is_op(op, "adze.state_write");
}

/* A model with state is called twice, so that what it keeps is tested too. */
static bool call_again(adze_context *ctx, adze_job_model *model) {
    adze_job_selftest *test = &model->selftest;
    bool has_state = false;
    adze_walk(mlirModuleGetOperation(model->module), find_state, &has_state);
    if (!has_state)
        return true;
    test->again = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, test->n_outputs + 1);
    adze_ref_state *state = adze_ref_state_new(ctx, model->module);
    bool ok = state != NULL;
    for (int call = 0; call < 2 && ok; call++)
        ok = adze_ref_step(ctx, model->module, NULL, state, test->inputs, (int)test->n_inputs,
                           test->again, (int)test->n_outputs, ctx->arena, NULL, NULL);
    adze_ref_state_free(state);
    return ok;
}

bool adze_selftest_make(adze_context *ctx, adze_job_model *model, const char *reference) {
    ctx->diags.file = model->path;
    if (model->given)
        return from_given(ctx, model);
    if (reference)
        return from_reference(ctx, model, reference) && call_again(ctx, model);
    const char *slash = strrchr(model->path, '/');
    const char *beside = adze_arena_printf(ctx->arena, "%.*sselftest",
                                           slash ? (int)(slash - model->path + 1) : 0, model->path);
    if (model->is_dump && access(beside, F_OK) == 0)
        return from_dump(ctx, model, beside);
    if (model->level != 1)
        return adze_error(&ctx->diags, NULL,
                          "no self-test data: the dump's selftest folder is gone — "
                          "hint: --reference DIR");
    return from_seed(ctx, model) && call_again(ctx, model);
}
