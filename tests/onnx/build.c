/* The C of a tree as one shared object: a file that includes the tree's sources and one function that
 * fills the API's structs from arrays of pointers, so that no process per step is needed. */
#include "driver/process.h"
#include "tests/onnx/case.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void include_sources(const char *dir, adze_text *c) {
    char path[4096], *names[64];
    int n = 0;
    snprintf(path, sizeof path, "%s/src", dir);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) && n < 64;) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && !strcmp(dot, ".c"))
            names[n++] = strdup(e->d_name);
    }
    if (d)
        closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        adze_text_printf(c, "#include \"%s/src/%s\"\n", dir, names[i]);
        free(names[i]);
    }
}

static void regions(const adze_c_module *m, adze_text *c) {
    for (int i = 0; i < m->n_regions; i++) {
        const adze_c_region *r = &m->regions[i];
        adze_text_printf(c, "    static _Alignas(64) unsigned char region_%s[%llu];\n", r->name,
                         (unsigned long long)r->bytes + 1);
        adze_text_printf(c, "    mem.%s.data = region_%s;\n    mem.%s.bytes = %llu;\n", r->name, r->name,
                         r->name, (unsigned long long)r->bytes);
    }
}

static void fill_params(const adze_c_entry *e, bool write, adze_text *c) {
    int index = 0;
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        if (p->write != write)
            continue;
        const char *side = write ? "out" : "in";
        adze_text_printf(c, "    %s_.%s.data = %s[%d];\n", side, p->name, side, index);
        if (p->shape.rank && !write)
            adze_text_printf(c, "    memcpy(in_.%s.extents, in_extents[%d], sizeof in_.%s.extents);\n",
                             p->name, index, p->name);
        index++;
    }
}

static void write_function(const adze_c_module *m, const char *dir, adze_text *c) {
    const adze_c_entry *e = &m->entries[0];
    adze_text_printf(c, "#include \"%s/include/%s.h\"\n", dir, m->name);
    include_sources(dir, c);
    adze_text_puts(c, "#include <string.h>\n"
                      "int adze_case_run(const void *const *in, const int32_t *const *in_extents,\n"
                      "                  void *const *out, int32_t *const *out_extents,\n"
                      "                  const void *weights, size_t weight_bytes);\n"
                      "int adze_case_run(const void *const *in, const int32_t *const *in_extents,\n"
                      "                  void *const *out, int32_t *const *out_extents,\n"
                      "                  const void *weights, size_t weight_bytes) {\n");
    adze_text_printf(c, "    %s_t m;\n    %s_mem mem = {0};\n    %s_%s_in in_ = {0};\n"
                        "    %s_%s_out out_ = {0};\n",
                     m->name, m->name, m->name, e->name, m->name, e->name);
    adze_text_puts(c, "    (void)in, (void)in_extents, (void)out, (void)out_extents;\n");
    adze_text_puts(c, m->weights_mode == ADZE_WEIGHTS_C
                          ? "    (void)weights, (void)weight_bytes;\n"
                          : "    mem.weights.data = weights;\n    mem.weights.bytes = weight_bytes;\n");
    regions(m, c);
    fill_params(e, false, c);
    fill_params(e, true, c);
    adze_text_printf(c, "    int status = %s_init(&m, &mem);\n"
                        "    if (status == 0)\n        status = %s_%s(&m, &in_, &out_);\n",
                     m->name, m->name, e->name);
    int index = 0;
    for (int i = 0; i < e->n_params; i++) {
        const adze_c_param *p = &e->params[i];
        if (!p->write)
            continue;
        if (p->shape.rank)
            adze_text_printf(c, "    memcpy(out_extents[%d], out_.%s.extents, sizeof out_.%s.extents);\n",
                             index, p->name, p->name);
        index++;
    }
    adze_text_puts(c, "    return status;\n}\n");
}

case_function *case_build(const adze_c_module *m, const char *dir, const char *flags,
                          adze_text *said) {
    char c_path[4096], so_path[4096], include[4096], runtime[4096], sources[4096];
    snprintf(c_path, sizeof c_path, "%s/case.c", dir);
    snprintf(so_path, sizeof so_path, "%s/case.so", dir);
    snprintf(include, sizeof include, "-I%s/include", dir);
    snprintf(runtime, sizeof runtime, "-I%s/runtime", dir);
    snprintf(sources, sizeof sources, "-I%s/src", dir);
    adze_text c = {0};
    write_function(m, dir, &c);
    FILE *f = fopen(c_path, "w");
    if (f) {
        fwrite(c.data, 1, c.length, f);
        fclose(f);
    }
    adze_text_free(&c);
    const char *argv[] = {"cc", "-std=c11", "-ffp-contract=off", flags, "-fPIC", "-shared",
                          "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", include, runtime,
                          sources, c_path, "-lm", "-o", so_path, NULL};
    adze_process_result r = adze_process_run(argv, NULL, said, said, 0);
    if (r.status != 0 || said->length)
        return NULL;
    void *so = dlopen(so_path, RTLD_NOW | RTLD_LOCAL);
    case_function *run = NULL;
    if (so)
        *(void **)&run = dlsym(so, "adze_case_run");
    if (!run)
        adze_text_printf(said, "cannot load it: %s", dlerror());
    return run;
}
