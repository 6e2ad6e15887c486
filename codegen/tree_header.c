/* include/NAME.h: the API of one model, documented, with the size of everything it needs. */
#include "codegen/tree_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

uint64_t tree_param_count(const adze_c_module *m, const adze_c_param *p) {
    uint64_t n = 1;
    for (int d = 0; d < p->shape.rank; d++) {
        int64_t extent = p->shape.dims[d];
        for (int i = 0; extent < 0 && p->shape.symbols[d] && i < m->n_dims; i++)
            if (strcmp(m->dims[i].symbol, p->shape.symbols[d]) == 0)
                extent = m->dims[i].hi;
        n *= (uint64_t)(extent < 0 ? 1 : extent);
    }
    return n;
}

uint64_t tree_param_bytes(const adze_c_module *m, const adze_c_param *p) {
    return tree_param_count(m, p) * adze_dtype_get(p->shape.dtype)->host_bytes;
}

/* 64-bit words of m->pool: enough for every system's mutexes and condition variables; NAME.c asserts it. */
enum { POOL_WORDS = 128, WORKER_WORDS = 48 };

static void params(tree *t, const adze_c_module *m, const adze_c_entry *e, bool write,
                   adze_text *out) {
    int n = 0;
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        if (p->write != write)
            continue;
        n++;
        adze_text_printf(out, "    struct {\n        %s%s *data;", write ? "" : "const ",
                         adze_c_type(m, (int)p->shape.dtype));
        adze_text_printf(out, " /* %s: %s %s */\n", p->model_name,
                         adze_dtype_get(p->shape.dtype)->name,
                         adze_c_shape_text(t->arena, &p->shape));
        if (p->shape.rank)
            adze_text_printf(out, "        int32_t extents[%d];\n", p->shape.rank);
        adze_text_printf(out, "    } %s;\n", p->name);
    }
    if (!n)
        adze_text_puts(out, "    int none; /* not used */\n");
}

bool tree_header(tree *t, int model) {
    const adze_c_module *m = &t->modules[model];
    const char *name = m->name, *NAME = m->upper;
    adze_text out = {0};
    adze_text_printf(&out, "/* %s: made by adze %s from %s for %s.\n *\n", name,
                     t->options->version, t->models[model].file, t->target->name);
    adze_text_printf(&out,
                     " *     static _Alignas(%s_ALIGN) unsigned char scratch[%s_SCRATCH_BYTES];\n"
                     " *     %s_t m;\n"
                     " *     %s_init(&m, &(%s_mem){.scratch = {scratch, sizeof scratch}});\n"
                     " *     %s_%s(&m, &in, &out);\n *\n"
                     " * No heap, no global state: several %s_t run side by side, each with memory of its own.\n"
                     " * Inputs and outputs must not overlap, nor lie in the model's memory. */\n",
                     NAME, NAME, name, name, name, name, m->entries[0].name, name);
    adze_text_printf(&out, "#ifndef %s_H\n#define %s_H\n\n", NAME, NAME);
    adze_text_puts(&out, "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n"
                         "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    adze_text_printf(&out, "/* Bytes of each region, and how its start is aligned. */\n"
                           "#define %s_ALIGN %d\n", NAME, (int)ADZE_MEMORY_ALIGN);
    for (int i = 0; i < m->n_regions; i++) {
        adze_text_printf(&out, "#define %s_", NAME);
        for (const char *c = m->regions[i].name; *c; c++)
            adze_text_printf(&out, "%c", toupper((unsigned char)*c));
        adze_text_printf(&out, "_BYTES %" PRIu64 "%s\n", m->regions[i].bytes,
                         i == ADZE_REGION_STATE     ? " /* kept between calls */"
                         : i == ADZE_REGION_SCRATCH ? " /* free between calls */"
                                                    : "");
    }
    adze_text_printf(&out, "#define %s_WEIGHTS_BYTES %" PRIu64 " /* %s */\n", NAME, m->weight_bytes,
                     m->weights_mode == ADZE_WEIGHTS_FILE ? "to be loaded from the weights' file"
                                                          : "constants of the program");
    if (m->threads > 1)
        adze_text_printf(&out, "#define %s_THREADS %d /* that compute, the caller's among them */\n", NAME,
                         m->threads);
    for (int i = 0; i < m->n_dims; i++) {
        adze_text_printf(&out, "#define %s_%s_MAX %" PRId64 " /* %s is %" PRId64 " to %" PRId64
                               " */\n",
                         NAME, m->dims[i].name, m->dims[i].hi, m->dims[i].symbol, m->dims[i].lo,
                         m->dims[i].hi);
    }
    adze_text_printf(&out,
                     "\n/* What every function returns. */\n"
                     "enum {\n"
                     "    %s_OK = 0,\n"
                     "    %s_ERROR_ARGUMENT,  /* a pointer is NULL */\n"
                     "    %s_ERROR_MEMORY,    /* a region is missing or too small */\n"
                     "    %s_ERROR_ALIGNMENT, /* a region's start is not aligned */\n"
                     "    %s_ERROR_CPU,       /* the processor lacks instructions that this was built for */\n"
                     "    %s_ERROR_SHAPE%s/* an input's extents are not what the model takes */\n",
                     NAME, NAME, NAME, NAME, NAME, NAME, m->threads > 1 ? ",    " : "      ");
    if (m->threads > 1)
        adze_text_printf(&out, "    %s_ERROR_THREADS   /* the system gives no threads */\n", NAME);
    adze_text_puts(&out, "};\n\n");
    adze_text_puts(&out, "/* The memory to work in: it is the caller's and must outlive the model. */\n");
    adze_text_printf(&out, "typedef struct %s_mem {\n", name);
    if (m->weights_mode != ADZE_WEIGHTS_C)
        adze_text_printf(&out,
                         "    struct {\n        const void *data;%s\n        size_t bytes;\n    } weights;\n",
                         m->weights_mode == ADZE_WEIGHTS_INCBIN ? " /* NULL: where they are linked */"
                                                                : "");
    adze_text_puts(&out, "    struct {\n        void *data;\n        size_t bytes;\n    } ");
    for (int i = 0; i < m->n_regions; i++)
        adze_text_printf(&out, "%s%s", i ? ", " : "", m->regions[i].name);
    adze_text_printf(&out, ";\n} %s_mem;\n\n", name);
    tree_profile_header(m, &out);
    adze_text_printf(&out, "/* One instance of the model. Its members are its own business. */\n"
                           "typedef struct %s_t {\n", name);
    adze_text_puts(&out, "    const unsigned char *weights;\n    unsigned char ");
    for (int i = 0; i < m->n_regions; i++)
        adze_text_printf(&out, "%s*%s", i ? ", " : "", m->regions[i].name);
    adze_text_puts(&out, ";\n");
    if (adze_c_has_pool(m))
        adze_text_printf(&out, "    uint64_t pool[%d + %d * (%s_THREADS - 1)];\n", POOL_WORDS,
                         WORKER_WORDS, NAME);
    if (m->profile)
        adze_text_printf(&out, "#ifdef ADZE_PROFILE\n    %s_profile profile;\n#endif\n", name);
    adze_text_printf(&out, "} %s_t;\n\n", name);
    if (m->profile)
        adze_text_printf(&out, "#ifdef ADZE_PROFILE\n"
                               "/* The time since the last mark is that of `call`. */\n"
                               "void %s_profile_mark(%s_t *m, int call);\n#endif\n\n", name, name);
    if (m->threads > 1)
        adze_text_printf(&out,
                         "/* Takes the memory, puts the state to its initial value and starts threads, which\n"
                         " * wait for the entries' calls. From here to %s_free the %s_t must not move. */\n"
                         "int %s_init(%s_t *m, const %s_mem *mem);\n\n"
                         "/* Ends the threads. Once for every %s_init that returned %s_OK. */\n"
                         "int %s_free(%s_t *m);\n\n",
                         name, name, name, name, name, name, NAME, name, name);
    else
        adze_text_printf(&out,
                     "/* Takes the memory and puts the state to its initial value. */\n"
                     "int %s_init(%s_t *m, const %s_mem *mem);\n\n", name, name, name);
    adze_text_printf(&out,
                     "/* The state back to its initial value. */\n"
                     "int %s_reset(%s_t *m);\n",
                     name, name);
    for (int i = 0; i < m->n_entries; i++) {
        const adze_c_entry *e = &m->entries[i];
        adze_text_printf(&out, "\n/* Extents may be left 0 where the model has only one shape. */\n"
                               "typedef struct %s_%s_in {\n", name, e->name);
        params(t, m, e, false, &out);
        adze_text_printf(&out, "} %s_%s_in;\n\n"
                               "/* The caller gives the memory; the extents are filled in. */\n"
                               "typedef struct %s_%s_out {\n",
                         name, e->name, name, e->name);
        params(t, m, e, true, &out);
        adze_text_printf(&out, "} %s_%s_out;\n\n"
                               "int %s_%s(%s_t *m, const %s_%s_in *in, %s_%s_out *out);\n",
                         name, e->name, name, e->name, name, name, e->name, name, e->name);
    }
    adze_text_puts(&out, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    return tree_write_text(t, adze_arena_printf(t->arena, "include/%s.h", name), &out);
}
