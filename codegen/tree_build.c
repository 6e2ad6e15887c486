/* Makefile, CMakeLists.txt, README.md and, on bare targets, the linker script. */
#include "codegen/tree_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One shell word: quoted where the shell or make would see more than letters. */
static void shell_word(const char *word, adze_text *out) {
    bool plain = *word != 0;
    for (const char *p = word; *p; p++)
        plain = plain && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=:,./%@$()<>",
                                *p);
    if (plain) {
        adze_text_puts(out, word);
        return;
    }
    adze_text_puts(out, "'");
    for (const char *p = word; *p; p++)
        adze_text_printf(out, *p == '\'' ? "'\\''" : *p == '$' ? "$$" : "%c", *p);
    adze_text_puts(out, "'");
}

static const char *replaced(tree *t, const char *text, const char *key, const char *with) {
    const char *at = strstr(text, key);
    if (!at)
        return text;
    return replaced(t, adze_arena_printf(t->arena, "%.*s%s%s", (int)(at - text), text, with,
                                         at + strlen(key)),
                    key, with);
}

static const char *run_line(tree *t, const char *program) {
    const adze_run *run = &t->target->run;
    adze_text out = {0};
    if (run->argc == 0) {
        adze_text_printf(&out, "@echo 'cannot run here: %s'; exit 1",
                         replaced(t, run->reason ? run->reason : "the target does not say how", "'",
                                  "\""));
    }
    for (size_t i = 0; i < run->argc; i++) {
        const char *word = replaced(t, run->argv[i], "{boards}", "runtime/boards");
        word = replaced(t, word, "{exe}", program);
        adze_text_puts(&out, i ? " " : "");
        shell_word(word, &out);
    }
    const char *text = adze_arena_strdup(t->arena, out.data);
    adze_text_free(&out);
    return text;
}

/* Sources of one kind as continued lines. */
static const char *source_list(tree *t, bool program, const char *separator) {
    adze_text out = {0};
    for (int i = 0; i < t->n_sources; i++) {
        const char *path = t->sources[i].path;
        if (t->sources[i].program != program || strcmp(path, "main.c") == 0 ||
            strcmp(path, "selftest/selftest.c") == 0)
            continue;
        adze_text_printf(&out, "%s%s", separator, path);
    }
    const char *text = out.data ? adze_arena_strdup(t->arena, out.data) : "";
    adze_text_free(&out);
    return text;
}

static bool has_assembly(const tree *t) {
    for (int i = 0; i < t->n_sources; i++) {
        size_t n = strlen(t->sources[i].path);
        if (n > 2 && strcmp(t->sources[i].path + n - 2, ".S") == 0)
            return true;
    }
    return false;
}

/* Assembly depends on what it includes. */
static const char *assembly_rules(tree *t) {
    adze_text out = {0};
    for (int i = 0; i < t->n_sources; i++) {
        const char *path = t->sources[i].path;
        size_t n = strlen(path);
        if (n > 2 && strcmp(path + n - 2, ".S") == 0)
            adze_text_printf(&out, "$(BUILD)/obj/%.*s.o: %.*s.bin\n", (int)n - 2, path, (int)n - 2, path);
    }
    if (out.length)
        adze_text_puts(&out, "\n");
    const char *text = out.data ? adze_arena_strdup(t->arena, out.data) : "";
    adze_text_free(&out);
    return text;
}

static bool linker_script(tree *t) {
    if (!t->target->bare)
        return true;
    char err[ADZE_TARGET_ERR];
    uint64_t scratch = 0;
    for (int i = 0; i < t->n; i++)
        if (t->modules[i].regions[ADZE_REGION_SCRATCH].bytes > scratch)
            scratch = t->modules[i].regions[ADZE_REGION_SCRATCH].bytes;
    adze_link_sizes sizes = {.code = t->code_estimate + t->test_data, .weights = t->weights,
                             .data = t->output_bytes + 1024, .scratch = t->scratch,
                             .state = t->state, .stack = t->stack_reserved};
    char *script = adze_target_linker_script(t->target, &sizes, err);
    if (!script)
        return adze_error(&t->ctx->diags, NULL, "%s", err);
    bool ok = tree_write(t, "link.ld", script, strlen(script));
    free(script);
    return ok;
}

static const char *tool(tree *t, const char *name) {
    return name ? name : adze_arena_strdup(t->arena, "");
}

static bool has_threads(const tree *t) {
    for (int i = 0; i < t->n; i++)
        if (adze_c_has_pool(&t->modules[i]))
            return true;
    return false;
}

/* The linker's own option, unless the target's flags have it already. */
static bool needs_pthread(const tree *t) {
    const char *ldflags = t->target->compilers[0].ldflags;
    return has_threads(t) && !(ldflags && strstr(ldflags, "-pthread"));
}

static const char *words_as_list(tree *t, const char *words) {
    char *out = adze_arena_strdup(t->arena, words);
    return out;
}

/* "arm-none-eabi-size" -> "arm-none-eabi-ar" */
static const char *archiver(tree *t, const adze_compiler *c) {
    size_t n = c->size_tool ? strlen(c->size_tool) : 0;
    if (n >= 4 && strcmp(c->size_tool + n - 4, "size") == 0)
        return adze_arena_printf(t->arena, "%.*sar", (int)n - 4, c->size_tool);
    return "ar";
}

/* A cross compiler is chosen before project(); without an operating system it cannot link by itself. */
static const char *cmake_prelude(tree *t) {
    const adze_compiler *c = &t->target->compilers[0];
    bool own = strcmp(c->cc, "cc") == 0 || strchr(c->cc, ' ');
    return adze_arena_printf(
        t->arena, "%s%s%s%s",
        t->target->bare ? "set(CMAKE_SYSTEM_NAME Generic)\n"
                          "set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)\n"
                        : "",
        own ? "" : "if(NOT CMAKE_C_COMPILER)\n  set(CMAKE_C_COMPILER ", own ? "" : c->cc,
        own ? "" : ")\nendif()\n");
}

static const char *summary(tree *t) {
    adze_text out = {0};
    for (int i = 0; i < t->n; i++)
        adze_text_printf(&out, "%s`%s` computes the network of `%s`.", i ? "\n" : "",
                         t->modules[i].name, t->models[i].file);
    const char *text = adze_arena_strdup(t->arena, out.data);
    adze_text_free(&out);
    return text;
}

static const char *calling(tree *t) {
    adze_text out = {0};
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        const adze_c_entry *e = &m->entries[0];
        adze_text_printf(&out, "```c\n#include \"%s.h\"\n\n", m->name);
        if (m->regions[ADZE_REGION_SCRATCH].bytes)
            adze_text_printf(&out, "static _Alignas(%s_ALIGN) unsigned char scratch[%s_SCRATCH_BYTES];\n",
                             m->upper, m->upper);
        if (m->regions[ADZE_REGION_STATE].bytes)
            adze_text_printf(&out, "static _Alignas(%s_ALIGN) unsigned char state[%s_STATE_BYTES];\n",
                             m->upper, m->upper);
        for (int k = 0; k < e->n_params; k++)
            adze_text_printf(&out, "%s %s[%" PRIu64 "]; /* %s %s */\n",
                             adze_c_type(m, (int)e->params[k].shape.dtype), e->params[k].name,
                             tree_param_count(m, &e->params[k]),
                             e->params[k].write ? "output" : "input",
                             adze_c_shape_text(t->arena, &e->params[k].shape));
        adze_text_printf(&out, "\n%s_t m;\n%s_mem mem = {0};\n", m->name, m->name);
        if (m->regions[ADZE_REGION_SCRATCH].bytes)
            adze_text_puts(&out, "mem.scratch.data = scratch;\nmem.scratch.bytes = sizeof scratch;\n");
        if (m->regions[ADZE_REGION_STATE].bytes)
            adze_text_puts(&out, "mem.state.data = state;\nmem.state.bytes = sizeof state;\n");
        if (m->weights_mode == ADZE_WEIGHTS_FILE)
            adze_text_printf(&out, "mem.weights.data = weights; /* src/%s_weights.bin, loaded */\n"
                                   "mem.weights.bytes = %s_WEIGHTS_BYTES;\n", m->name, m->upper);
        adze_text_printf(&out, "%s_init(&m, &mem);\n\n%s_%s_in in = {0};\n%s_%s_out out = {0};\n", m->name,
                         m->name, e->name, m->name, e->name);
        for (int k = 0; k < e->n_params; k++)
            adze_text_printf(&out, "%s.%s.data = %s;\n", e->params[k].write ? "out" : "in",
                             e->params[k].name, e->params[k].name);
        adze_text_printf(&out, "%s_%s(&m, &in, &out);\n", m->name, e->name);
        if (m->threads > 1)
            adze_text_printf(&out, "%s_free(&m);\n", m->name);
        adze_text_puts(&out, "```\n\n");
        if (m->threads > 1)
            adze_text_printf(&out,
                             "`%s_init` starts %d threads (pthreads) beside the caller's, which share the work of "
                             "large kernels;\n`%s_free` ends them. Between the two, `m` must not move. The "
                             "number of threads does not change a bit\nof the results.\n\n",
                             m->name, m->threads - 1, m->name);
    }
    const char *text = adze_arena_strdup(t->arena, out.data);
    adze_text_free(&out);
    return text;
}

static const char *sizes(tree *t) {
    adze_text out = {0};
    adze_text_puts(&out, "| bytes | weights | state | scratch |\n|---|---|---|---|\n");
    for (int i = 0; i < t->n; i++) {
        const adze_c_module *m = &t->modules[i];
        adze_text_printf(&out, "| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n", m->name,
                         m->weight_bytes, m->regions[ADZE_REGION_STATE].bytes,
                         m->regions[ADZE_REGION_SCRATCH].bytes);
    }
    adze_text_printf(&out, "\nThese are exact. Upper estimates: code %" PRIu64 ", stack %" PRIu64 ".\n",
                     t->code_estimate, t->stack_estimate);
    const char *text = adze_arena_strdup(t->arena, out.data);
    adze_text_free(&out);
    return text;
}

static const char *headers(tree *t) {
    adze_text out = {0};
    for (int i = 0; i < t->n; i++)
        adze_text_printf(&out, "%s`include/%s.h`", i ? ", " : "", t->modules[i].name);
    const char *text = adze_arena_strdup(t->arena, out.data);
    adze_text_free(&out);
    return text;
}

bool tree_build_files(tree *t) {
    const adze_target *target = t->target;
    const adze_compiler *c = &target->compilers[0];
    const char *lib = t->modules[0].name;
    const char *exe = target->bare ? ".elf" : strcmp(target->arch, "wasm") == 0 ? ".wasm" : "";
    const char *how = target->run.argc == 0 ? ", where there is something to run it on"
                      : target->run.kind == ADZE_RUN_NATIVE
                          ? ""
                          : adze_arena_printf(t->arena, " with %s", target->run.argv[0]);
    const char *ldflags = replaced(t, c->ldflags ? c->ldflags : "", "{script}", "link.ld");
    tree_value values[] = {
        {"title", adze_arena_printf(t->arena, "%s for %s, made by adze %s.", lib, target->name,
                                    t->options->version)},
        {"lib", lib},
        {"how", how},
        {"cc", c->cc},
        {"link", strcmp(c->link, c->cc) == 0 ? "$(CC)" : c->link},
        {"ar", archiver(t, c)},
        {"size", tool(t, c->size_tool ? c->size_tool : "size")},
        {"objdump", tool(t, c->objdump_tool ? c->objdump_tool : "objdump")},
        {"opt", target->bare ? "-O2 -fno-math-errno" : "-O3 -fno-math-errno"},
        {"cflags", c->cflags},
        {"cflags_list", words_as_list(t, c->cflags)},
        {"ldflags", ldflags},
        {"libs", needs_pthread(t) ? adze_arena_printf(t->arena, "%s -pthread", c->libs ? c->libs : "-lm")
                                  : c->libs ? c->libs : "-lm"},
        {"exe", exe},
        {"model_sources", source_list(t, false, " \\\n    ")},
        {"program_sources", source_list(t, true, " \\\n    ")},
        {"script_dependency", target->bare ? " link.ld" : ""},
        {"program_flags",
         target->bare || !target->feature_count
             ? ""
             : "\n# The programs run on any processor, to say what it lacks.\n"
               "$(BUILD)/obj/main.o $(BUILD)/obj/selftest/selftest.o $(PROGRAM_OBJECTS): "
               "CFLAGS := $(filter-out -m%,$(CFLAGS))\n"},
        {"depends", assembly_rules(t)},
        {"check", run_line(t, "$(SELFTEST)")},
        {"run", run_line(t, "$(MAIN)")},
    };
    if (!linker_script(t) ||
        !tree_template(t, "Makefile", "Makefile", values, (int)ADZE_COUNT(values)))
        return false;
    tree_value cmake[] = {
        values[0],
        {"lib", lib},
        {"cmake_prelude", cmake_prelude(t)},
        {"asm", has_assembly(t) ? " ASM" : ""},
        {"cflags_list", words_as_list(t, c->cflags)},
        {"model_sources", source_list(t, false, "\n  ")},
        {"program_sources", source_list(t, true, "\n      ")},
        {"program_flags", target->bare || !target->feature_count
                              ? ""
                              : "  # the programs run on any processor, to say what it lacks\n"
                                "  list(FILTER ADZE_FLAGS EXCLUDE REGEX \"^-m\")\n"},
        {"cmake_libs", adze_arena_printf(t->arena,
                                         has_threads(t) ? "find_package(Threads REQUIRED)\n"
                                                          "target_link_libraries(%s PUBLIC m Threads::Threads)\n"
                                                        : "target_link_libraries(%s PUBLIC m)\n", lib)},
        {"cmake_link", replaced(t, c->ldflags ? c->ldflags : "", "{script}",
                                "${CMAKE_CURRENT_SOURCE_DIR}/link.ld")},
        {"cmake_check", run_line(t, "$<TARGET_FILE:selftest>")},
    };
    if (!tree_template(t, "CMakeLists.txt", "CMakeLists.txt", cmake, (int)ADZE_COUNT(cmake)))
        return false;
    tree_value readme[] = {
        {"lib", lib},
        {"summary", summary(t)},
        {"version", t->options->version},
        {"target", target->name},
        {"target_description", target->description ? target->description : ""},
        {"how", how},
        {"calling", calling(t)},
        {"headers", headers(t)},
        {"sizes", sizes(t)},
    };
    return tree_template(t, "README.md", "README.md", readme, (int)ADZE_COUNT(readme)) &&
           tree_template(t, "footprint.sh", "selftest/footprint.sh", NULL, 0) &&
           tree_template(t, "footprint.awk", "selftest/footprint.awk", NULL, 0);
}
