/* Emits the body of an entry: checks of its arguments, pointers, one call per kernel, in order. */
#include "codegen/emit_internal.h"

#include <inttypes.h>
#include <string.h>

static bool is_bounded(const adze_shape *s) {
    for (int d = 0; d < s->rank; d++)
        if (s->dims[d] < 0)
            return true;
    return false;
}

static const adze_c_dim *dim_of(const adze_c_module *m, const char *symbol) {
    for (int i = 0; symbol && i < m->n_dims; i++)
        if (strcmp(m->dims[i].symbol, symbol) == 0)
            return &m->dims[i];
    return NULL;
}

/* Bounded dimensions are read off the first input that has them and compared with the others. */
static bool check_extents(emitter *em, const adze_c_param *p, bool *known) {
    adze_c_module *m = em->m;
    if (p->shape.rank == 0)
        return true;
    if (!is_bounded(&p->shape)) {
        adze_text list = {0};
        for (int d = 0; d < p->shape.rank; d++)
            adze_text_printf(&list, "%s%" PRId64, d ? ", " : "", p->shape.dims[d]);
        emit_line(em, "static const int32_t %s_extents[] = {%s};", p->name, list.data);
        emit_line(em, "if (!extents_match(in->%s.extents, %s_extents, %d)) {", p->name, p->name,
                  p->shape.rank);
        emit_line(em, "    return %s_ERROR_SHAPE;", m->upper);
        emit_line(em, "}");
        adze_text_free(&list);
        return true;
    }
    for (int d = 0; d < p->shape.rank; d++) {
        const char *given = adze_arena_printf(em->arena, "in->%s.extents[%d]", p->name, d);
        if (p->shape.dims[d] >= 0) {
            emit_line(em, "if (%s != %" PRId64 ") {", given, p->shape.dims[d]);
        } else {
            const adze_c_dim *dim = dim_of(m, p->shape.symbols[d]);
            if (!dim)
                return emit_error(em, (MlirOperation){NULL},
                                  "input '%s' has an extent without a named dimension",
                                  p->model_name);
            if (known[dim - m->dims]) {
                emit_line(em, "if (%s != %s) {", given, dim->name);
            } else {
                emit_line(em, "const %s %s = %s;", m->index_type, dim->name, given);
                emit_line(em, "if (%s < %" PRId64 " || %s > %" PRId64 ") {", dim->name, dim->lo,
                          dim->name, dim->hi);
                known[dim - m->dims] = true;
            }
        }
        emit_line(em, "    return %s_ERROR_SHAPE;", m->upper);
        emit_line(em, "}");
    }
    return true;
}

static bool shares(const adze_c_module *m, const char *symbol) {
    for (int i = 0; i < m->n_kernels; i++)
        if (strcmp(m->kernels[i].symbol, symbol) == 0)
            return adze_c_shared(m, &m->kernels[i]);
    return false;
}

bool adze_emit_entry(adze_c_module *m, const adze_c_entry *entry, adze_text *out) {
    emitter em;
    emit_init(&em, m, out, entry->name);
    em.entry = true;
    emit_find_dead(&em, entry->op);
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(entry->op, 0));
    bool *known = ADZE_NEW_ARRAY(em.arena, bool, (size_t)m->n_dims + 1);
    static const char *const parameters[] = {"m", "in", "out", "extents_match", "pool", "pool_of"};
    for (size_t i = 0; i < ADZE_COUNT(parameters); i++)
        emit_declare(&em, parameters[i], "x");
    for (int i = 0; i < m->n_dims; i++)
        emit_declare(&em, m->dims[i].name, "n");

    adze_text missing = {0};
    adze_text_puts(&missing, "m == NULL || in == NULL || out == NULL");
    for (int i = 0; i < entry->n_params; i++)
        adze_text_printf(&missing, " || %s->%s.data == NULL",
                         entry->params[i].write ? "out" : "in", entry->params[i].name);
    emit_line(&em, "if (%s) {", missing.data);
    emit_line(&em, "    return %s_ERROR_ARGUMENT;", m->upper);
    emit_line(&em, "}");
    adze_text_free(&missing);
    for (int i = 0; i < entry->n_params; i++)
        if (!entry->params[i].write && !check_extents(&em, &entry->params[i], known))
            return false;
    for (int i = 0; i < entry->n_params; i++) {
        const adze_c_param *p = &entry->params[i];
        MlirValue value = mlirBlockGetArgument(body, i);
        const char *name = emit_declare(&em, p->name, "x");
        if (emit_use_count(&em, value, NULL))
            emit_line(&em, "%s%s *const %s = %s->%s.data;", p->write ? "" : "const ",
                      adze_c_type(m, (int)p->shape.dtype), name, p->write ? "out" : "in", p->name);
        binding *b = emit_bind(&em, value, expr_text(ADZE_NO_DTYPE, PREC_PRIMARY, name));
        b->shape = p->shape;
        b->element = (int)p->shape.dtype;
    }
    for (int i = 0; i < entry->n_steps; i++)
        if (shares(m, entry->steps[i])) {
            emit_line(&em, "adze_pool *const pool = pool_of(m);");
            break;
        }
    adze_text_puts(out, "\n");
    for (const adze_c_entry *e = m->entries; e < entry; e++)
        em.next_call += e->n_steps;
    if (m->profile)
        emit_line(&em, "PROFILE(%s_CALLS);", m->upper);
    emit_block(&em, body);
    adze_text_puts(out, "\n");
    for (int i = 0; i < entry->n_params; i++) {
        const adze_c_param *p = &entry->params[i];
        for (int d = 0; p->write && d < p->shape.rank; d++) {
            const adze_c_dim *dim = p->shape.dims[d] < 0 ? dim_of(m, p->shape.symbols[d]) : NULL;
            if (p->shape.dims[d] < 0 && (!dim || !known[dim - m->dims]))
                return emit_error(&em, (MlirOperation){NULL},
                                  "output '%s' has an extent that no input gives", p->model_name);
            if (dim)
                emit_line(&em, "out->%s.extents[%d] = %s;", p->name, d, dim->name);
            else
                emit_line(&em, "out->%s.extents[%d] = %" PRId64 ";", p->name, d, p->shape.dims[d]);
        }
    }
    emit_line(&em, "return %s_OK;", m->upper);
    return !em.failed;
}
