/* src/NAME.c (the graph), src/NAME_kernels*.c (the loops) and their private headers. */
#include "codegen/tree_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A file of kernels is closed when it is longer. */
enum { KERNEL_FILE_LINES = 1500 };

static void include_math(const adze_c_module *m, const char *text, adze_text *out) {
    for (int i = 0; i < m->n_runtime; i++)
        if (strcmp(m->runtime[i], "<math.h>") == 0)
            return;
    if (strstr(text, "INFINITY") || strstr(text, "NAN"))
        adze_text_puts(out, "#include <math.h>\n");
}

/* Include lines for a text of the module, system headers first (the list is sorted). */
static void includes(const adze_c_module *m, const char *text, adze_text *out) {
    include_math(m, text, out);
    for (int i = 0; i < m->n_runtime; i++) {
        const char *file = m->runtime[i];
        if (strcmp(file, "<string.h>") == 0 && !strstr(text, "memcpy(") && !strstr(text, "memset("))
            continue;
        adze_text_printf(out, file[0] == '<' ? "#include %s\n" : "#include \"%s\"\n", file);
    }
}

static bool kernel_header(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    adze_text out = {0};
    adze_text_printf(&out, "/* The kernels of %s, for %s.c only. Arrays are contiguous and row-major. */\n"
                           "#ifndef %s_KERNELS_H\n#define %s_KERNELS_H\n\n"
                           "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
                     m->name, m->name, m->upper, m->upper);
    for (int i = 0; i < m->n_kernels; i++) {
        if (m->kernels[i].runtime || m->kernels[i].same_as >= 0)
            continue;
        adze_emit_prototype(m, &m->kernels[i], &out);
        adze_text_puts(&out, ";\n");
    }
    adze_text_puts(&out, "\n#endif\n");
    return tree_write_text(t, adze_arena_printf(t->arena, "src/%s_kernels.h", m->name), &out);
}

static bool kernel_file(tree *t, adze_c_module *m, const char *kind, int part, adze_text *body) {
    adze_text out = {0};
    const char *path = adze_arena_printf(t->arena, "src/%s_kernels%s%s%s.c", m->name,
                                         *kind ? "_" : "", kind,
                                         part > 1 ? adze_arena_printf(t->arena, "_%d", part) : "");
    adze_text_printf(&out, "/* Kernels of %s%s%s. */\n#include \"%s_kernels.h\"\n\n", m->name,
                     *kind ? ": " : "", kind, m->name);
    size_t before = out.length;
    includes(m, body->data, &out);
    if (out.length > before)
        adze_text_puts(&out, "\n");
    adze_text_append(&out, body->data, body->length);
    body->length = 0;
    return tree_write_text(t, path, &out);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One file a kind of kernel, in the graph's order; more files where one would be too long. */
static bool kernel_files(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    const char **kinds = ADZE_NEW_ARRAY(t->arena, const char *, (size_t)m->n_kernels + 1);
    int n_kinds = 0;
    for (int i = 0; i < m->n_kernels; i++) {
        const char *kind = m->kernels[i].kind;
        kind = *kind ? adze_c_identifier(t->arena, kind) : "";
        m->kernels[i].kind = kind;
        bool known = m->kernels[i].runtime != NULL;
        for (int k = 0; k < n_kinds && !known; k++)
            known = strcmp(kinds[k], kind) == 0;
        if (!known)
            kinds[n_kinds++] = kind;
    }
    qsort(kinds, (size_t)n_kinds, sizeof *kinds, by_name);
    bool ok = true;
    for (int k = 0; k < n_kinds && ok; k++) {
        adze_text body = {0};
        int part = 1, lines = 0;
        for (int i = 0; i < m->n_kernels && ok; i++) {
            const adze_c_kernel *kernel = &m->kernels[i];
            if (kernel->runtime || kernel->same_as >= 0 || strcmp(kernel->kind, kinds[k]))
                continue;
            if (lines && lines + kernel->lines > KERNEL_FILE_LINES) {
                ok = kernel_file(t, m, kinds[k], part++, &body);
                lines = 0;
            }
            adze_text_printf(&body, "%s%s", lines ? "\n" : "", kernel->text);
            lines += kernel->lines + 1;
        }
        ok = ok && kernel_file(t, m, kinds[k], part, &body);
        adze_text_free(&body);
    }
    return ok;
}

/* ---- NAME.c ---- */

/* In a function of its own, so that nothing that follows in NAME_init moves before it. */
static void cpu_check(const tree *t, adze_text *out) {
    if (!t->target->feature_count)
        return;
    adze_text_puts(out, "ADZE_ANY_PROCESSOR static int processor_fits(void) {\n");
    for (size_t i = 0; i < t->target->feature_count; i++) {
        const adze_cpu_feature *f = &t->target->features[i];
        if (f->hwcap)
            adze_text_printf(out, "    if (!adze_linux_has(%u, %u)) { /* %s */\n", f->hwcap, f->bit, f->name);
        else
            adze_text_printf(out, "    if (!adze_x86_has(0x%xu, %uu, '%c', %u, 0x%xu)) { /* %s */\n",
                             (unsigned)f->leaf, (unsigned)f->subleaf, f->reg, f->bit, (unsigned)f->xcr0,
                             f->name);
        adze_text_puts(out, "        return 0;\n    }\n");
    }
    adze_text_puts(out, "    return 1;\n}\n\n");
}

static void upper_name(const char *name, char out[64]) {
    size_t i = 0;
    for (; name[i] && i < 63; i++)
        out[i] = (char)toupper((unsigned char)name[i]);
    out[i] = 0;
}

static void init(const tree *t, const adze_c_module *m, adze_text *out) {
    adze_text_printf(out, "int %s_init(%s_t *m, const %s_mem *mem) {\n"
                          "    if (m == NULL || mem == NULL) {\n        return %s_ERROR_ARGUMENT;\n    }\n",
                     m->name, m->name, m->name, m->upper);
    if (t->target->feature_count)
        adze_text_printf(out, "    if (!processor_fits()) {\n        return %s_ERROR_CPU;\n    }\n", m->upper);
    for (int i = 0; i < m->n_regions; i++) {
        const char *r = m->regions[i].name;
        char R[64];
        upper_name(r, R);
        if (m->regions[i].bytes)
            adze_text_printf(out,
                             "    if (mem->%s.data == NULL || mem->%s.bytes < %s_%s_BYTES) {\n"
                             "        return %s_ERROR_MEMORY;\n    }\n"
                             "    if ((uintptr_t)mem->%s.data %% %s_ALIGN != 0) {\n"
                             "        return %s_ERROR_ALIGNMENT;\n    }\n",
                             r, r, m->upper, R, m->upper, r, m->upper, m->upper);
        adze_text_printf(out, "    m->%s = mem->%s.data;\n", r, r);
    }
    if (m->weights_mode == ADZE_WEIGHTS_C) {
        adze_text_puts(out, "    m->weights = NULL; /* linked arrays */\n");
    } else {
        if (m->weights_mode == ADZE_WEIGHTS_INCBIN)
            adze_text_printf(out, "    if (mem->weights.data == NULL) {\n"
                                  "        m->weights = %s_weights;\n    } else {\n", m->name);
        const char *in = m->weights_mode == ADZE_WEIGHTS_INCBIN ? "    " : "";
        adze_text_printf(out,
                         "%s    if (%smem->weights.bytes < %s_WEIGHTS_BYTES) {\n"
                         "%s        return %s_ERROR_MEMORY;\n%s    }\n"
                         "%s    if ((uintptr_t)mem->weights.data %% %s_ALIGN != 0) {\n"
                         "%s        return %s_ERROR_ALIGNMENT;\n%s    }\n"
                         "%s    m->weights = mem->weights.data;\n",
                         in, *in ? "" : "mem->weights.data == NULL || ", m->upper, in, m->upper, in,
                         in, m->upper, in, m->upper, in, in);
        if (*in)
            adze_text_puts(out, "    }\n");
    }
    if (m->profile)
        adze_text_puts(out, "#ifdef ADZE_PROFILE\n    m->profile.clock = NULL;\n#endif\n");
    if (adze_c_has_pool(m))
        adze_text_printf(out,
                         "    threads *const t = (threads *)(void *)m->pool;\n"
                         "    if (adze_pool_start(&t->pool, t->workers, %s_THREADS) != 0) {\n"
                         "        return %s_ERROR_THREADS;\n    }\n",
                         m->upper, m->upper);
    adze_text_printf(out, "    return %s_reset(m);\n}\n\n", m->name);
}

/* What lies in m->pool, how to get at it, and the kernels that the pool computes. */
static void pool(const adze_c_module *m, adze_text *out) {
    if (!adze_c_has_pool(m))
        return;
    adze_text_printf(out,
                     "/* What lies in m->pool. */\n"
                     "typedef struct threads {\n    adze_pool pool;\n"
                     "    adze_worker workers[%s_THREADS - 1];\n} threads;\n"
                     "_Static_assert(sizeof(threads) <= sizeof(((%s_t *)NULL)->pool), \"pool\");\n\n"
                     "static adze_pool *pool_of(%s_t *m) {\n"
                     "    return &((threads *)(void *)m->pool)->pool;\n}\n\n",
                     m->upper, m->name, m->name);
    for (int i = 0; i < m->n_kernels; i++)
        if (adze_c_shared(m, &m->kernels[i]) && m->kernels[i].same_as < 0)
            adze_emit_share(m, &m->kernels[i], out);
}

static void free_function(const adze_c_module *m, adze_text *out) {
    if (m->threads == 1)
        return;
    adze_text_printf(out, "\nint %s_free(%s_t *m) {\n    if (m == NULL) {\n"
                          "        return %s_ERROR_ARGUMENT;\n    }\n%s"
                          "    return %s_OK;\n}\n",
                     m->name, m->name, m->upper,
                     adze_c_has_pool(m) ? "    adze_pool_stop(pool_of(m));\n" : "", m->upper);
}

static void reset(const adze_c_module *m, adze_text *out) {
    adze_text_printf(out, "int %s_reset(%s_t *m) {\n    if (m == NULL) {\n"
                          "        return %s_ERROR_ARGUMENT;\n    }\n",
                     m->name, m->name, m->upper);
    for (int i = 0; i < m->n_states; i++) {
        const adze_c_state *s = &m->states[i];
        const char *r = m->regions[s->region].name;
        if (s->initial < 0)
            adze_text_printf(out, "    memset(m->%s + %" PRIu64 ", 0, %" PRIu64 "); /* %s */\n", r,
                             s->offset, s->bytes, s->name);
        else if (m->weights_mode == ADZE_WEIGHTS_C)
            adze_text_printf(out, "    memcpy(m->%s + %" PRIu64 ", %s, %" PRIu64 "); /* %s */\n", r,
                             s->offset, m->weights[s->initial].name, s->bytes, s->name);
        else
            adze_text_printf(out,
                             "    memcpy(m->%s + %" PRIu64 ", m->weights + %" PRIu64 ", %" PRIu64
                             "); /* %s */\n",
                             r, s->offset, m->weights[s->initial].offset, s->bytes, s->name);
    }
    adze_text_printf(out, "    return %s_OK;\n}\n", m->upper);
}

/* The manifest's numbers hold for this compiler's types, or the build fails. */
static void asserts(const adze_c_module *m, adze_text *out) {
    for (int i = 0; i < m->n_states; i++) {
        const adze_c_state *s = &m->states[i];
        char R[64];
        upper_name(m->regions[s->region].name, R);
        adze_text_printf(out, "_Static_assert(%" PRIu64 " + %" PRIu64 " * sizeof(%s) <= %s_%s_BYTES, \"%s\");\n",
                         s->offset, s->bytes / adze_dtype_get(s->shape.dtype)->host_bytes,
                         adze_c_type(m, (int)s->shape.dtype), m->upper, R, s->name);
    }
    for (int e = 0; e < m->n_entries; e++) {
        for (int i = 0; i < m->entries[e].n_buffers; i++) {
            const adze_c_buffer *b = &m->entries[e].buffers[i];
            char R[64];
            upper_name(m->regions[b->region].name, R);
            adze_text_printf(out,
                             "_Static_assert(%" PRIu64 " + %" PRIu64
                             " * sizeof(%s) <= %s_%s_BYTES, \"%s\");\n",
                             b->offset, b->bytes / adze_dtype_get(b->shape.dtype)->host_bytes,
                             adze_c_type(m, (int)b->shape.dtype), m->upper, R,
                             adze_c_identifier(m->ctx->arena, b->name));
        }
    }
}

static bool graph(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    adze_text body = {0}, out = {0};
    for (int i = 0; i < m->n_entries; i++) {
        const adze_c_entry *e = &m->entries[i];
        adze_text_printf(&body, "\nint %s_%s(%s_t *m, const %s_%s_in *in, %s_%s_out *out) {\n", m->name,
                         e->name, m->name, m->name, e->name, m->name, e->name);
        if (!adze_emit_entry(m, e, &body)) {
            adze_text_free(&body);
            return false;
        }
        adze_text_puts(&body, "}\n");
    }
    if (m->n_states)
        adze_c_use_runtime(m, "<string.h>");
    if (adze_c_has_pool(m))
        tree_use_runtime(t, "adze_threads.h");
    bool kernels = false;
    for (int i = 0; i < m->n_kernels; i++)
        kernels |= !m->kernels[i].runtime;
    adze_text_printf(&out, "/* %s: one call per kernel, in order. */\n#include \"%s.h\"\n\n", m->name,
                     m->name);
    if (kernels)
        adze_text_printf(&out, "#include \"%s_kernels.h\"\n", m->name);
    if (m->weight_bytes && m->weights_mode != ADZE_WEIGHTS_FILE)
        adze_text_printf(&out, "#include \"%s_weights.h\"\n", m->name);
    if (t->target->feature_count) {
        const char *header = t->target->features[0].hwcap ? "adze_linux.h" : "adze_x86.h";
        adze_text_printf(&out, "#include \"%s\"\n", header);
        tree_use_runtime(t, header);
    }
    if (adze_c_has_pool(m))
        adze_text_puts(&out, "#include \"adze_threads.h\"\n");
    adze_text_puts(&out, "\n");
    size_t before = out.length;
    includes(m, m->n_states ? "memcpy(" : body.data, &out);
    if (out.length > before)
        adze_text_puts(&out, "\n");
    asserts(m, &out);
    adze_text_puts(&out, "\n");
    if (strstr(body.data, "extents_match("))
        adze_text_puts(&out,
                       "/* Extents that are all zero stand for the model's own. */\n"
                       "static int extents_match(const int32_t *given, const int32_t *wanted, int rank) {\n"
                       "    int same = 1, zero = 1;\n"
                       "    for (int i = 0; i < rank; i++) {\n"
                       "        same = same && given[i] == wanted[i];\n"
                       "        zero = zero && given[i] == 0;\n"
                       "    }\n"
                       "    return same || zero;\n}\n\n");
    pool(m, &out);
    tree_profile_source(m, &out);
    cpu_check(t, &out);
    init(t, m, &out);
    reset(m, &out);
    free_function(m, &out);
    adze_text_append(&out, body.data, body.length);
    adze_text_free(&body);
    return tree_write_text(t, adze_arena_printf(t->arena, "src/%s.c", m->name), &out);
}

bool tree_code(tree *t, int model) {
    adze_c_module *m = &t->modules[model];
    if (!adze_emit_kernels(m))
        return false;
    if (!graph(t, model) || !kernel_header(t, model) || !kernel_files(t, model))
        return false;
    for (int i = 0; i < m->n_runtime; i++)
        if (m->runtime[i][0] != '<')
            tree_use_runtime(t, m->runtime[i]);
    return true;
}
