/* The tree writer's order of work. */
#include "codegen/tree_internal.h"

#include <string.h>

static uint64_t weights_used(const adze_c_module *m) { return m->weight_bytes; }

static adze_weights_mode choose(const tree *t, uint64_t bytes) {
    if (!bytes)
        return ADZE_WEIGHTS_C; /* nothing to include or to load */
    switch (t->options->weights) {
    case ADZE_TREE_WEIGHTS_C: return ADZE_WEIGHTS_C;
    case ADZE_TREE_WEIGHTS_INCBIN: return ADZE_WEIGHTS_INCBIN;
    case ADZE_TREE_WEIGHTS_FILE: return ADZE_WEIGHTS_FILE;
    case ADZE_TREE_WEIGHTS_AUTO: break;
    }
    if (bytes <= UINT64_C(1) << 20 || (!t->target->has_incbin && bytes <= UINT64_C(1) << 26))
        return ADZE_WEIGHTS_C;
    return bytes <= UINT64_C(1) << 30 && t->target->has_incbin ? ADZE_WEIGHTS_INCBIN
                                                               : ADZE_WEIGHTS_FILE;
}

static bool read_models(tree *t) {
    for (int i = 0; i < t->n; i++) {
        const adze_tree_model *model = &t->models[i];
        adze_c_module *m = &t->modules[i];
        if (!adze_c_module_read(t->ctx, model->module, model->name, ADZE_WEIGHTS_C, t->target, m))
            return false;
        m->profile = t->options->profile;
        m->weights_mode = choose(t, weights_used(m));
        if (m->weights_mode == ADZE_WEIGHTS_FILE && t->target->bare)
            return adze_error(&t->ctx->diags, m->name,
                              "target '%s' has no files to load weights from — hint: --weights "
                              "incbin", t->target->name);
        if (m->weights_mode == ADZE_WEIGHTS_INCBIN && !t->target->has_incbin)
            return adze_error(&t->ctx->diags, m->name,
                              "the assembler of target '%s' cannot include files — hint: --weights c",
                              t->target->name);
        for (int j = 0; j < i; j++) {
            const char *a = t->modules[j].name, *b = m->name;
            size_t na = strlen(a), nb = strlen(b), n = na < nb ? na : nb;
            /* kws_net's run and kws's kernel net_run would be one symbol */
            bool nested = strncmp(a, b, n) == 0 && (na == nb || (na < nb ? b[n] : a[n]) == '_');
            if (nested)
                return adze_error(&t->ctx->diags, m->name,
                                  "the C names of '%s' and '%s' could collide — hint: --name", a, b);
        }
    }
    return true;
}

/* Bytes of scratch in use at one step: buffers that share a place (in-place kernels) count once. */
static uint64_t alive_at(const adze_c_entry *e, int step) {
    uint64_t total = 0, reached = 0;
    for (;;) {
        const adze_c_buffer *next = NULL;
        for (int i = 0; i < e->n_buffers; i++) {
            const adze_c_buffer *b = &e->buffers[i];
            if (b->region == ADZE_REGION_SCRATCH && b->first <= step && step <= b->last &&
                b->offset + b->bytes > reached && (!next || b->offset < next->offset))
                next = b;
        }
        if (!next)
            return total;
        uint64_t from = next->offset > reached ? next->offset : reached;
        reached = next->offset + next->bytes;
        total += reached - from;
    }
}

static uint64_t most_alive(const adze_c_module *m) {
    uint64_t most = 0;
    for (int e = 0; e < m->n_entries; e++) {
        for (int step = 0; step < m->entries[e].n_steps; step++) {
            uint64_t alive = alive_at(&m->entries[e], step);
            most = alive > most ? alive : most;
        }
    }
    return most;
}

static void fill_result(const tree *t, adze_tree_result *r) {
    *r = (adze_tree_result){.n_models = t->n, .weights = t->weights, .state = t->state,
                            .scratch = t->scratch, .code_estimate = t->code_estimate,
                            .stack_estimate = t->stack_estimate};
    r->flash = t->weights + t->code_estimate;
    r->ram = t->state + t->scratch + t->stack_estimate;
    r->models = ADZE_NEW_ARRAY(t->arena, adze_tree_size, (size_t)t->n);
    const adze_c_module *first = &t->modules[0];
    const adze_c_entry *entry = &first->entries[0];
    r->calls = ADZE_NEW_ARRAY(t->arena, adze_tree_call, (size_t)entry->n_steps + 1);
    for (; r->n_calls < entry->n_steps; r->n_calls++)
        for (int k = 0; k < first->n_kernels; k++)
            if (!strcmp(first->kernels[k].symbol, entry->steps[r->n_calls]))
                r->calls[r->n_calls] =
                    (adze_tree_call){first->kernels[k].symbol, first->kernels[k].nodes,
                                     first->kernels[k].multiplies};
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        adze_tree_size *s = &r->models[i];
        s->name = m->name;
        s->weights = m->weight_bytes;
        for (int k = 0; k < m->n_regions; k++)
            *(k == ADZE_REGION_SCRATCH ? &s->scratch : &s->state) += m->regions[k].bytes;
        s->scratch_lower_bound = most_alive(m);
        for (int k = 0; k < m->n_kernels; k++) {
            s->n_kernels += !m->kernels[k].runtime;
            s->multiplies += m->kernels[k].multiplies;
        }
    }
}

static bool write_all(tree *t) {
    for (int i = 0; i < t->n; i++)
        if (!tree_header(t, i) || !tree_code(t, i) || !tree_weights(t, i) || !tree_test_data(t, i))
            return false;
    return tree_estimate(t) && tree_programs(t) && tree_runtime(t) && tree_build_files(t) &&
           tree_manifest(t) && tree_report(t);
}

bool adze_emit_tree(adze_context *ctx, const adze_tree_model *models, int n_models,
                    const adze_target *target, const adze_tree_options *options, const char *dir,
                    adze_tree_result *result) {
    tree t = {.ctx = ctx, .arena = ctx->arena, .target = target, .options = options, .n = n_models,
              .models = models};
    t.modules = ADZE_NEW_ARRAY(ctx->arena, adze_c_module, (size_t)n_models + 1);
    if (target->compiler_count == 0)
        return adze_error(&ctx->diags, NULL, "target '%s' names no compiler", target->name);
    if (!read_models(&t) || !tree_begin(&t, dir))
        return false;
    if (!write_all(&t) || !tree_finish(&t, dir)) {
        tree_abandon(&t);
        return false;
    }
    if (result)
        fill_result(&t, result);
    return true;
}
