/* manifest.json: what the tree is made of, as data. */
#include "codegen/tree_internal.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of bytes fit a double exactly up to 2^53. */
static void add_bytes(cJSON *object, const char *key, uint64_t bytes) {
    cJSON_AddNumberToObject(object, key, (double)bytes);
}

static cJSON *shape_json(const adze_shape *s) {
    cJSON *list = cJSON_CreateArray();
    for (int d = 0; d < s->rank; d++)
        cJSON_AddItemToArray(list, s->dims[d] >= 0
                                       ? cJSON_CreateNumber((double)s->dims[d])
                                       : cJSON_CreateString(s->symbols[d] ? s->symbols[d] : "?"));
    return list;
}

static cJSON *tensor_json(const adze_c_param *p) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", p->model_name);
    cJSON_AddStringToObject(o, "c_name", p->name);
    cJSON_AddStringToObject(o, "type", adze_dtype_get(p->shape.dtype)->name);
    cJSON_AddItemToObject(o, "shape", shape_json(&p->shape));
    return o;
}

static cJSON *entry_json(const adze_c_module *m, const adze_c_entry *e) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", e->name);
    cJSON *in = cJSON_AddArrayToObject(o, "inputs"), *out = cJSON_AddArrayToObject(o, "outputs");
    for (int i = 0; i < e->n_params; i++)
        cJSON_AddItemToArray(e->params[i].write ? out : in, tensor_json(&e->params[i]));
    cJSON *steps = cJSON_AddArrayToObject(o, "steps");
    for (int i = 0; i < e->n_steps; i++)
        cJSON_AddItemToArray(steps, cJSON_CreateString(e->steps[i]));
    cJSON *buffers = cJSON_AddArrayToObject(o, "buffers");
    for (int i = 0; i < e->n_buffers; i++) {
        const adze_c_buffer *b = &e->buffers[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", b->name);
        cJSON_AddStringToObject(item, "region", m->regions[b->region].name);
        add_bytes(item, "offset", b->offset);
        add_bytes(item, "bytes", b->bytes);
        cJSON_AddNumberToObject(item, "first_step", b->first);
        cJSON_AddNumberToObject(item, "last_step", b->last);
        cJSON_AddItemToArray(buffers, item);
    }
    return o;
}

static void append(MlirStringRef s, void *user) { adze_text_append(user, s.data, s.length); }

static cJSON *kernel_json(const adze_c_kernel *k) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", k->name);
    cJSON_AddStringToObject(o, "nodes", k->nodes);
    if (*k->kind)
        cJSON_AddStringToObject(o, "kind", k->kind);
    if (k->runtime) {
        cJSON_AddStringToObject(o, "runtime", k->runtime);
        return o;
    }
    if (k->n_shared)
        add_bytes(o, "items", (uint64_t)adze_get_i64(k->op, "adze.parallel"));
    add_bytes(o, "multiplies", k->multiplies);
    add_bytes(o, "loads", k->loads);
    add_bytes(o, "stores", k->stores);
    add_bytes(o, "stack_arrays", k->local_bytes);
    adze_text text = {0};
    MlirAttribute schedule = adze_get(k->op, "adze.schedule");
    if (!mlirAttributeIsNull(schedule)) {
        mlirAttributePrint(schedule, append, &text);
        cJSON_AddStringToObject(o, "schedule", text.data);
    }
    adze_text_free(&text);
    return o;
}

static const char *mode_name(adze_weights_mode mode) {
    static const char *const names[] = {"c", "incbin", "file"};
    return names[mode];
}

static cJSON *model_json(const tree *t, int i) {
    const adze_c_module *m = &t->modules[i];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", m->name);
    cJSON_AddStringToObject(o, "file", t->models[i].file ? t->models[i].file : "");
    cJSON_AddStringToObject(o, "hash", t->models[i].hash ? t->models[i].hash : "");
    cJSON_AddStringToObject(o, "weights", mode_name(m->weights_mode));
    cJSON_AddNumberToObject(o, "threads", m->threads);
    cJSON *bytes = cJSON_AddObjectToObject(o, "bytes");
    add_bytes(bytes, "weights", m->weight_bytes);
    for (int r = 0; r < m->n_regions; r++)
        add_bytes(bytes, m->regions[r].name, m->regions[r].bytes);
    cJSON *entries = cJSON_AddArrayToObject(o, "entries");
    for (int e = 0; e < m->n_entries; e++)
        cJSON_AddItemToArray(entries, entry_json(m, &m->entries[e]));
    cJSON *kernels = cJSON_AddArrayToObject(o, "kernels");
    for (int k = 0; k < m->n_kernels; k++)
        cJSON_AddItemToArray(kernels, kernel_json(&m->kernels[k]));
    cJSON *weights = cJSON_AddArrayToObject(o, "weight_list");
    for (int w = 0; w < m->n_weights; w++) {
        if (!m->weights[w].used)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", m->weights[w].symbol);
        cJSON_AddStringToObject(item, "type", adze_dtype_get(m->weights[w].shape.dtype)->name);
        cJSON_AddItemToObject(item, "shape", shape_json(&m->weights[w].shape));
        add_bytes(item, "offset", m->weights[w].offset);
        add_bytes(item, "bytes", m->weights[w].bytes);
        cJSON_AddItemToArray(weights, item);
    }
    cJSON *states = cJSON_AddArrayToObject(o, "states");
    for (int s = 0; s < m->n_states; s++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", m->states[s].symbol);
        cJSON_AddStringToObject(item, "region", m->regions[m->states[s].region].name);
        add_bytes(item, "offset", m->states[s].offset);
        add_bytes(item, "bytes", m->states[s].bytes);
        cJSON_AddItemToArray(states, item);
    }
    return o;
}

bool tree_manifest(tree *t) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "adze", t->options->version);
    cJSON *target = cJSON_AddObjectToObject(root, "target");
    cJSON_AddStringToObject(target, "name", t->target->name);
    cJSON_AddStringToObject(target, "compiler", t->target->compilers[0].cc);
    cJSON_AddStringToObject(target, "cflags", t->target->compilers[0].cflags);
    char hash[33];
    char *xml = adze_target_to_xml(t->target);
    if (xml) {
        adze_hash_hex(xml, strlen(xml), hash);
        cJSON_AddStringToObject(target, "hash", hash);
        free(xml);
    }
    cJSON *bytes = cJSON_AddObjectToObject(root, "bytes");
    add_bytes(bytes, "weights", t->weights);
    add_bytes(bytes, "state", t->state);
    add_bytes(bytes, "scratch", t->scratch);
    cJSON *estimates = cJSON_AddObjectToObject(root, "upper_estimates");
    add_bytes(estimates, "code", t->code_estimate);
    add_bytes(estimates, "stack", t->stack_estimate);
    cJSON *models = cJSON_AddArrayToObject(root, "models");
    for (int i = 0; i < t->n; i++)
        cJSON_AddItemToArray(models, model_json(t, i));
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text)
        return adze_error(&t->ctx->diags, NULL, "the manifest cannot be written");
    adze_text out = {0};
    adze_text_printf(&out, "%s\n", text);
    free(text);
    return tree_write_text(t, "manifest.json", &out);
}
