/* See reference_dir.h. */
#include "driver/reference_dir.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *adze_reference_folder(adze_context *ctx, const char *dir) {
    struct stat st;
    const char *inner = adze_arena_printf(ctx->arena, "%s/test_data_set_0", dir);
    if (stat(inner, &st) == 0 && S_ISDIR(st.st_mode))
        return inner;
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
        return dir;
    adze_error(&ctx->diags, NULL, "'%s' is not a folder", dir);
    return NULL;
}

static bool same(adze_string a, adze_string b) {
    return a.length == b.length && !memcmp(a.data, b.data, a.length);
}

static bool is_initializer(const onnx_GraphProto *g, adze_string name) {
    for (size_t i = 0; i < g->initializer.count; i++)
        if (same(g->initializer.items[i]->name, name))
            return true;
    return false;
}

/* The graph and its data inputs. */
static bool data_inputs(adze_context *ctx, const char *path, const onnx_ValueInfoProto ***out,
                        size_t *n) {
    const onnx_ModelProto *model;
    if (!adze_onnx_read_model(ctx, path, &model))
        return false;
    const onnx_GraphProto *g = model->graph;
    *out = ADZE_NEW_ARRAY(ctx->arena, const onnx_ValueInfoProto *, g ? g->input.count + 1 : 1);
    *n = 0;
    for (size_t i = 0; g && i < g->input.count; i++)
        if (!is_initializer(g, g->input.items[i]->name))
            (*out)[(*n)++] = g->input.items[i];
    return true;
}

bool adze_reference_inputs(adze_context *ctx, const char *model_path, const char ***names,
                           size_t *n) {
    const onnx_ValueInfoProto **inputs;
    if (!data_inputs(ctx, model_path, &inputs, n))
        return false;
    *names = ADZE_NEW_ARRAY(ctx->arena, const char *, *n + 1);
    for (size_t i = 0; i < *n; i++)
        (*names)[i] = adze_arena_strndup(ctx->arena, inputs[i]->name.data, inputs[i]->name.length);
    return true;
}

bool adze_reference_outputs(adze_context *ctx, const char *model_path, const char ***names,
                            size_t *n) {
    const onnx_ModelProto *model;
    if (!adze_onnx_read_model(ctx, model_path, &model))
        return false;
    *n = model->graph ? model->graph->output.count : 0;
    *names = ADZE_NEW_ARRAY(ctx->arena, const char *, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        adze_string name = model->graph->output.items[i]->name;
        (*names)[i] = adze_arena_strndup(ctx->arena, name.data, name.length);
    }
    return true;
}

bool adze_reference_read(adze_context *ctx, const char *dir, const char *kind,
                         const char *const *names, size_t n_names, adze_reference_file **files,
                         size_t *n_files) {
    size_t n = 0;
    while (access(adze_arena_printf(ctx->arena, "%s/%s_%zu.pb", dir, kind, n), F_OK) == 0)
        n++;
    *files = ADZE_NEW_ARRAY(ctx->arena, adze_reference_file, n + 1);
    *n_files = n;
    for (size_t i = 0; i < n; i++) {
        adze_reference_file *f = &(*files)[i];
        f->path = adze_arena_printf(ctx->arena, "%s/%s_%zu.pb", dir, kind, i);
        if (!adze_onnx_read_tensor_file(ctx, f->path, &f->value, &f->name))
            return false;
        bool known = false;
        for (size_t k = 0; k < n_names && f->name; k++)
            known = known || !strcmp(names[k], f->name);
        if (!known)
            f->name = i < n_names ? names[i] : "";
    }
    return true;
}

static const onnx_TensorShapeProto *shape_of(const onnx_ValueInfoProto *v) {
    return v->type && v->type->tensor_type ? v->type->tensor_type->shape : NULL;
}

/* The name by which --dim knows axis `axis`; NULL when it is a number. */
static const char *dim_name(adze_context *ctx, const char *input, const onnx_Dimension *d,
                            size_t axis) {
    if (ONNX_HAS(d, 1) && d->dim_value >= 0)
        return NULL;
    if (d->dim_param.length)
        return adze_arena_strndup(ctx->arena, d->dim_param.data, d->dim_param.length);
    return adze_arena_printf(ctx->arena, "%s_%zu", input, axis);
}

bool adze_reference_dim_names(adze_context *ctx, const char *model_path, const char ***names,
                              size_t *n) {
    const onnx_ValueInfoProto **inputs;
    size_t n_inputs, most = 0;
    if (!data_inputs(ctx, model_path, &inputs, &n_inputs))
        return false;
    const onnx_TensorShapeProto *shape;
    for (size_t i = 0; i < n_inputs; i++)
        most += (shape = shape_of(inputs[i])) ? shape->dim.count : 0;
    *names = ADZE_NEW_ARRAY(ctx->arena, const char *, most + 1);
    *n = 0;
    for (size_t i = 0; i < n_inputs; i++) {
        const char *input =
            adze_arena_strndup(ctx->arena, inputs[i]->name.data, inputs[i]->name.length);
        shape = shape_of(inputs[i]);
        for (size_t axis = 0; shape && axis < shape->dim.count; axis++) {
            const char *name = dim_name(ctx, input, shape->dim.items[axis], axis);
            bool known = !name;
            for (size_t k = 0; k < *n && !known; k++)
                known = !strcmp((*names)[k], name);
            if (!known)
                (*names)[(*n)++] = name;
        }
    }
    return true;
}

static bool known_dim(const adze_onnx_dim *dims, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(dims[i].name, name))
            return true;
    return false;
}

bool adze_reference_dims(adze_context *ctx, const char *model_path, const char *dir,
                         const adze_onnx_dim *given, size_t n_given, const adze_onnx_dim **dims,
                         size_t *n_dims) {
    const onnx_ValueInfoProto **inputs;
    const char **names;
    adze_reference_file *files;
    size_t n, n_files;
    const char *folder = adze_reference_folder(ctx, dir);
    if (!folder || !data_inputs(ctx, model_path, &inputs, &n) ||
        !adze_reference_inputs(ctx, model_path, &names, &n) ||
        !adze_reference_read(ctx, folder, "input", names, n, &files, &n_files))
        return false;
    adze_onnx_dim *all =
        ADZE_NEW_ARRAY(ctx->arena, adze_onnx_dim, n_given + n_files * ADZE_MAX_RANK + 1);
    if (n_given)
        memcpy(all, given, n_given * sizeof *all);
    size_t count = n_given;
    for (size_t i = 0; i < n; i++) {
        const onnx_TensorShapeProto *shape = shape_of(inputs[i]);
        for (size_t f = 0; f < n_files && shape; f++) {
            const adze_tensor *t = &files[f].value;
            if (strcmp(files[f].name, names[i]) || (size_t)t->rank != shape->dim.count)
                continue;
            for (size_t axis = 0; axis < shape->dim.count; axis++) {
                const char *name = dim_name(ctx, names[i], shape->dim.items[axis], axis);
                if (name && !known_dim(all, count, name))
                    all[count++] = (adze_onnx_dim){name, t->dims[axis], t->dims[axis]};
            }
        }
    }
    *dims = all;
    *n_dims = count;
    return true;
}
