/* ask.c — questions to a loaded target. */
#define _POSIX_C_SOURCE 200809L
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const adze_instruction *adze_target_instruction(const adze_target *t, const char *name,
                                                const char *type) {
    for (size_t i = 0; i < t->instruction_count; i++)
        if (!strcmp(t->instructions[i].name, name) &&
            (!type || !strcmp(t->instructions[i].type.spelling, type)))
            return &t->instructions[i];
    return NULL;
}

const adze_instruction *adze_target_instruction_on(const adze_target *t, const char *name,
                                                   const char *type, size_t operand_count,
                                                   const char *const *operands) {
    for (size_t i = 0; i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        if (row->operand_count != operand_count || strcmp(row->name, name) ||
            strcmp(row->type.spelling, type))
            continue;
        size_t o = 0;
        while (o < operand_count && !strcmp(row->operands[o].spelling, operands[o]))
            o++;
        if (o == operand_count)
            return row;
    }
    return NULL;
}

bool adze_target_same_key(const adze_instruction *a, const adze_instruction *b) {
    if (a->operand_count != b->operand_count || strcmp(a->name, b->name) ||
        strcmp(a->type.spelling, b->type.spelling))
        return false;
    for (size_t o = 0; o < a->operand_count; o++)
        if (strcmp(a->operands[o].spelling, b->operands[o].spelling))
            return false;
    return true;
}

const adze_vector_type *adze_target_vector_type(const adze_target *t, const char *type) {
    for (size_t i = 0; i < t->vector_type_count; i++)
        if (!strcmp(t->vector_types[i].type.spelling, type))
            return &t->vector_types[i];
    return NULL;
}

char *adze_target_instruction_c(const adze_target *t, const adze_instruction *row,
                                const char *const *args, size_t arg_count, const char *vl,
                                const char *pg) {
    text out = {0};
    for (const char *s = row->c; *s; s++) {
        if (*s != '$') {
            adze_target_text(&out, "%c", *s);
            continue;
        }
        const char *with = NULL;
        s++;
        if (*s == '$') {
            with = "$";
        } else if (*s == 'T') {
            const adze_vector_type *v = adze_target_vector_type(t, row->type.spelling);
            if (v)
                with = v->c_type;
        } else if (*s >= '0' && *s <= '9') {
            if ((size_t)(*s - '0') < arg_count)
                with = args[*s - '0'];
        } else if (!strncmp(s, "vl", 2) || !strncmp(s, "pg", 2)) {
            with = *s == 'v' ? vl : pg;
            s++;
        }
        if (!with) {
            free(out.data);
            return NULL;
        }
        adze_target_text(&out, "%s", with);
    }
    if (out.failed) {
        free(out.data);
        return NULL;
    }
    return out.data;
}

bool adze_target_has_feature(const adze_target *t, const char *feature) {
    for (size_t i = 0; i < t->feature_count; i++)
        if (!strcmp(t->features[i].name, feature))
            return true;
    return false;
}

double adze_target_cost(const adze_target *t, const char *name, double otherwise) {
    for (size_t i = 0; i < t->cost_count; i++)
        if (!strcmp(t->costs[i].name, name))
            return t->costs[i].value;
    return otherwise;
}

const adze_cache *adze_target_data_cache(const adze_target *t, unsigned level) {
    for (size_t i = 0; i < t->cache_count; i++)
        if (t->caches[i].level == level && t->caches[i].kind != 'i')
            return &t->caches[i];
    return NULL;
}

bool adze_target_on_path(const char *program) {
    size_t length = strcspn(program, " ");
    const char *path = getenv("PATH");
    if (!length || !path)
        return false;
    bool direct = memchr(program, '/', length) != NULL;
    for (;;) {
        size_t folder = direct ? 0 : strcspn(path, ":");
        text candidate = {0};
        if (folder)
            adze_target_text(&candidate, "%.*s/", (int)folder, path);
        adze_target_text(&candidate, "%.*s", (int)length, program);
        bool found = !candidate.failed && (direct || folder) && access(candidate.data, X_OK) == 0;
        free(candidate.data);
        if (found)
            return true;
        if (direct || !path[folder])
            return false;
        path += folder + 1;
    }
}

const adze_compiler *adze_target_usable_compiler(const adze_target *t) {
    for (size_t i = 0; i < t->compiler_count; i++)
        if (adze_target_on_path(t->compilers[i].cc) && adze_target_on_path(t->compilers[i].link))
            return &t->compilers[i];
    return NULL;
}

const char *adze_target_region_kind_name(adze_region_kind kind) {
    static const char *const names[] = {"flash", "sram", "dtcm", "itcm", "psram", "dram"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

const char *adze_target_run_kind_name(adze_run_kind kind) {
    static const char *const names[] = {"none",        "native", "qemu-user",
                                        "qemu-system", "node",   "ssh"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

const char *adze_target_role_name(unsigned role) {
    static const char *const names[] = {"code", "weights", "data", "scratch", "state", "stack"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (role == 1u << i)
            return names[i];
    return "?";
}
