/* Kernels that threads share: for each, a struct of its arguments and a function that computes some items.
 *
 *   struct share_kws_k00_conv { const float *x; float *y; };
 *   static void share_kws_k00_conv(void *arguments, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part)
 *
 * An entry passes both to adze_parallel_for (runtime/adze_threads.h). */
#include "codegen/emit_internal.h"

#include <string.h>

bool adze_c_shared(const adze_c_module *m, const adze_c_kernel *k) {
    return m->threads > 1 && k->n_shared > 0;
}

bool adze_c_has_pool(const adze_c_module *m) {
    for (int i = 0; i < m->n_kernels; i++)
        if (adze_c_shared(m, &m->kernels[i]))
            return true;
    return false;
}

static const char *dim_name(const adze_c_module *m, const char *symbol) {
    for (int i = 0; i < m->n_dims; i++)
        if (strcmp(m->dims[i].symbol, symbol) == 0)
            return m->dims[i].name;
    return symbol;
}

void adze_emit_share(const adze_c_module *m, const adze_c_kernel *k, adze_text *out) {
    int own = k->n_params - k->n_shared;
    adze_text_printf(out, "struct share_%s {\n", k->name);
    for (int i = 0; i < own; i++) {
        const adze_c_param *p = &k->params[i];
        if (p->scalar)
            adze_text_printf(out, "    %s %s;\n", adze_c_type(m, p->scalar_type), p->name);
        else
            adze_text_printf(out, "    %s%s *%s;\n", p->write ? "" : "const ",
                             adze_c_type(m, (int)p->shape.dtype), p->name);
    }
    for (int i = 0; i < k->n_dims; i++)
        adze_text_printf(out, "    %s %s;\n", m->index_type, dim_name(m, k->dims[i]));
    emitter em;
    emit_init(&em, (adze_c_module *)m, out, k->symbol);
    em.indent = 0;
    adze_text_puts(out, "};\n\n");
    emit_line(&em, "static void share_%s(void *arguments, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part) {",
              k->name);
    em.indent = 1;
    emit_line(&em, "const struct share_%s *const a = arguments;", k->name);
    if (k->n_shared < 3)
        emit_line(&em, "(void)part;");
    adze_text call = {0};
    adze_text_printf(&call, "%s(", k->name);
    for (int i = 0; i < own; i++)
        adze_text_printf(&call, "a->%s, ", k->params[i].name);
    const char *cast = strcmp(m->index_type, "ptrdiff_t") ? "(int)" : "";
    adze_text_printf(&call, "%sbegin, %send", cast, cast);
    if (k->n_shared == 3)
        adze_text_printf(&call, ", %spart", cast);
    for (int i = 0; i < k->n_dims; i++)
        adze_text_printf(&call, ", a->%s", dim_name(m, k->dims[i]));
    emit_line(&em, "%s);", call.data);
    adze_text_free(&call);
    adze_text_puts(out, "}\n\n");
}
