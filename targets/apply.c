/* apply.c — puts one validated <target> element over a draft.
 *
 * Inheritance: single facts (attributes of machine, vectors; parts of flags) replace one by one;
 * compilers, run, clock, memory and caches replace as a whole, since half of a memory map makes no
 * sense; features, vector types, instructions, costs, board files and packages merge by key.
 * table.c has the vector types and instructions.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define APPEND(d, field, count)                                                                    \
    adze_target_grow(&(d)->arena, (d)->t.field, (d)->t.count, sizeof *(d)->t.field)

#define EACH(node, parent, name)                                                                   \
    const xmlNode *node = adze_target_child(parent, name);                                         \
    node;                                                                                          \
    node = adze_target_next(node, name)

static bool is(const char *s, const char *word) {
    return s && !strcmp(s, word);
}

static int one_of(const char *s, const char *const *words) {
    for (int i = 0; words[i]; i++)
        if (is(s, words[i]))
            return i;
    return -1;
}

/* ---- the sections ---- */

static bool apply_machine(draft *d, const xmlNode *n) {
    adze_target *t = &d->t;
    adze_target_set_text(d, n, "arch", &t->arch);
    adze_target_set_text(d, n, "triple", &t->triple);
    adze_target_set_text(d, n, "mca", &t->mca);
    adze_target_set_flag(d, n, "bare", &t->bare);
    adze_target_set_flag(d, n, "pthreads", &t->has_pthreads);
    adze_target_set_flag(d, n, "incbin", &t->has_incbin);
    char *endian = adze_target_attr(&d->arena, n, "endian");
    if (endian)
        t->endian = is(endian, "big") ? ADZE_ENDIAN_BIG : ADZE_ENDIAN_LITTLE;
    char *fpu = adze_target_attr(&d->arena, n, "fpu");
    if (fpu)
        t->fpu = is(fpu, "double")   ? ADZE_FPU_DOUBLE
                 : is(fpu, "single") ? ADZE_FPU_SINGLE
                                     : ADZE_FPU_NONE;
    return adze_target_set_count(d, n, "pointer-bits", &t->pointer_bits) &&
           adze_target_set_count(d, n, "max-align", &t->max_align) &&
           adze_target_set_count(d, n, "cores", &t->cores) &&
           adze_target_set_count(d, n, "stack-bytes", &t->stack_bytes);
}

static bool apply_flags(draft *d, const xmlNode *n) {
    const struct {
        const char *name;
        const char **field;
    } parts[] = {{"language", &d->language},
                 {"arch", &d->arch},
                 {"code", &d->code},
                 {"link", &d->link},
                 {"libs", &d->libs}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const xmlNode *part = adze_target_child(n, parts[i].name);
        if (part)
            *parts[i].field = adze_target_content(&d->arena, part);
    }
    return true;
}

static bool apply_compilers(draft *d, const xmlNode *n) {
    d->compilers = NULL;
    d->compiler_count = 0;
    for (EACH(c, n, "compiler")) {
        d->compilers =
            adze_target_grow(&d->arena, d->compilers, d->compiler_count, sizeof *d->compilers);
        if (!d->compilers)
            return adze_target_no_memory(d);
        draft_compiler *k = &d->compilers[d->compiler_count++];
        adze_target_set_text(d, c, "cc", &k->cc);
        k->link = k->cc;
        adze_target_set_text(d, c, "link", &k->link);
        adze_target_set_text(d, c, "tools", &k->tools);
        k->arch = adze_target_content(&d->arena, adze_target_child(c, "arch"));
        k->cflags = adze_target_content(&d->arena, adze_target_child(c, "cflags"));
        k->ldflags = adze_target_content(&d->arena, adze_target_child(c, "ldflags"));
    }
    return true;
}

/* "a b c" → {"a", "b", "c", NULL} */
static bool apply_run(draft *d, const xmlNode *n) {
    static const char *const kinds[] = {"none", "native", "qemu-user", "qemu-system",
                                        "node", "ssh",    NULL};
    adze_run *run = &d->t.run;
    *run = (adze_run){.kind = (adze_run_kind)one_of(adze_target_attr(&d->arena, n, "kind"), kinds)};
    adze_target_set_flag(d, n, "takes-args", &run->takes_args);
    run->reason = adze_target_content(&d->arena, adze_target_child(n, "reason"));
    const xmlNode *command = adze_target_child(n, "command");
    if (command) {
        char *line = adze_target_content(&d->arena, command);
        if (!strstr(line, "{exe}"))
            return adze_target_fail(d, command, "the command to run must name {exe}");
        run->argv = adze_target_split(&d->arena, line, &run->argc);
    }
    const xmlNode *count = adze_target_child(n, "count");
    if (count)
        run->count_argv =
            adze_target_split(&d->arena, adze_target_content(&d->arena, count), &run->count_argc);
    adze_run_variant *variants = NULL;
    for (EACH(v, n, "variant")) {
        variants = adze_target_grow(&d->arena, variants, run->variant_count, sizeof *variants);
        if (!variants)
            return adze_target_no_memory(d);
        adze_run_variant *variant = &variants[run->variant_count++];
        adze_target_set_text(d, v, "name", &variant->name);
        variant->argv =
            adze_target_split(&d->arena, adze_target_content(&d->arena, v), &variant->argc);
    }
    run->variants = variants;
    return true;
}

static bool apply_clock(draft *d, const xmlNode *n) {
    static const char *const kinds[] = {"monotonic", "systick", "instret", NULL};
    adze_clock *clock = &d->t.clock;
    *clock = (adze_clock){
        .kind = (adze_clock_kind)one_of(adze_target_attr(&d->arena, n, "kind"), kinds)};
    adze_target_set_real(d, n, "ticks-per-second", &clock->ticks_per_second);
    adze_target_set_real(d, n, "instructions-per-tick", &clock->instructions_per_tick);
    return true;
}

static bool apply_memory(draft *d, const xmlNode *n) {
    static const char *const kinds[] = {"flash", "sram", "dtcm", "itcm", "psram", "dram", NULL};
    static const char *const roles[] = {"code",  "weights", "data", "scratch",
                                        "state", "stack",   NULL};
    adze_region *regions = NULL;
    size_t count = 0;
    for (EACH(r, n, "region")) {
        regions = adze_target_grow(&d->arena, regions, count, sizeof *regions);
        if (!regions)
            return adze_target_no_memory(d);
        adze_region *region = &regions[count];
        adze_target_set_text(d, r, "name", &region->name);
        if (!adze_target_set_bytes(d, r, "base", UINT64_MAX, &region->base) ||
            !adze_target_set_bytes(d, r, "bytes", UINT64_MAX, &region->bytes))
            return false;
        region->kind = (adze_region_kind)one_of(adze_target_attr(&d->arena, r, "kind"), kinds);
        size_t word_count;
        char *holds = adze_target_attr(&d->arena, r, "holds");
        const char *const *words = adze_target_split(&d->arena, holds, &word_count);
        if (!words)
            return adze_target_no_memory(d);
        for (size_t i = 0; i < word_count; i++)
            region->roles |= 1u << one_of(words[i], roles);
        adze_target_set_real(d, r, "read-bytes-per-cycle", &region->read_bytes_per_cycle);

        if (region->bytes == 0 || region->base > UINT64_MAX - region->bytes)
            return adze_target_fail(d, r, "region %s is empty or ends beyond the address space",
                                    region->name);
        for (size_t i = 0; i < count; i++) {
            if (is(regions[i].name, region->name))
                return adze_target_fail(d, r, "region %s is there twice", region->name);
            if (regions[i].base < region->base + region->bytes &&
                region->base < regions[i].base + regions[i].bytes)
                return adze_target_fail(d, r, "regions %s and %s overlap", regions[i].name,
                                        region->name);
        }
        count++;
    }
    d->t.regions = regions;
    d->t.region_count = count;
    return true;
}

static bool apply_caches(draft *d, const xmlNode *n) {
    adze_cache *caches = NULL;
    size_t count = 0;
    for (EACH(c, n, "cache")) {
        caches = adze_target_grow(&d->arena, caches, count, sizeof *caches);
        if (!caches)
            return adze_target_no_memory(d);
        adze_cache *cache = &caches[count++];
        char *kind = adze_target_attr(&d->arena, c, "kind");
        cache->kind = kind ? kind[0] : 'u';
        cache->shared_by = 1;
        if (!adze_target_set_count(d, c, "level", &cache->level) ||
            !adze_target_set_bytes(d, c, "bytes", UINT64_MAX, &cache->bytes) ||
            !adze_target_set_count(d, c, "line-bytes", &cache->line_bytes) ||
            !adze_target_set_count(d, c, "ways", &cache->ways) ||
            !adze_target_set_count(d, c, "shared-by", &cache->shared_by))
            return false;
    }
    d->t.caches = caches;
    d->t.cache_count = count;
    return true;
}

bool adze_target_find_feature(const draft *d, const char *name) {
    for (size_t i = 0; i < d->t.feature_count; i++)
        if (is(d->t.features[i].name, name))
            return true;
    return false;
}

bool adze_target_add_feature(draft *d, const adze_cpu_feature *feature) {
    if (adze_target_find_feature(d, feature->name))
        return true;
    adze_cpu_feature *features = APPEND(d, features, feature_count);
    if (!features)
        return adze_target_no_memory(d);
    adze_cpu_feature *copy = &features[d->t.feature_count++];
    *copy = *feature;
    copy->name = adze_target_strdup(&d->arena, feature->name);
    if (feature->cflag)
        copy->cflag = adze_target_strdup(&d->arena, feature->cflag);
    d->t.features = features;
    return true;
}

static bool apply_hwcap(draft *d, const xmlNode *n) {
    for (EACH(f, n, "feature")) {
        adze_cpu_feature feature = {.reg = 'a'};
        adze_target_set_text(d, f, "name", &feature.name);
        if (!adze_target_set_count(d, f, "word", &feature.hwcap) || !adze_target_set_count(d, f, "bit", &feature.bit) ||
            !adze_target_add_feature(d, &feature))
            return false;
    }
    return true;
}

static bool apply_cpuid(draft *d, const xmlNode *n) {
    for (EACH(f, n, "feature")) {
        adze_cpu_feature feature = {0};
        unsigned leaf = 0, subleaf = 0, xcr0 = 0;
        adze_target_set_text(d, f, "name", &feature.name);
        adze_target_set_text(d, f, "cflag", &feature.cflag);
        if (!adze_target_set_count(d, f, "leaf", &leaf) ||
            !adze_target_set_count(d, f, "subleaf", &subleaf) ||
            !adze_target_set_count(d, f, "xcr0", &xcr0) ||
            !adze_target_set_count(d, f, "bit", &feature.bit))
            return false;
        feature.leaf = leaf;
        feature.subleaf = subleaf;
        feature.xcr0 = xcr0;
        char *reg = adze_target_attr(&d->arena, f, "register");
        feature.reg = reg ? reg[1] : 'a'; /* e[a]x */
        if (!adze_target_add_feature(d, &feature))
            return false;
    }
    return true;
}

static bool apply_costs(draft *d, const xmlNode *n) {
    for (EACH(c, n, "cost")) {
        adze_cost *costs = APPEND(d, costs, cost_count);
        char *name = adze_target_attr(&d->arena, c, "name");
        if (!costs || !name)
            return adze_target_no_memory(d);
        size_t i = 0;
        while (i < d->t.cost_count && !is(costs[i].name, name))
            i++;
        costs[i].name = name;
        adze_target_set_real(d, c, "value", &costs[i].value);
        if (i == d->t.cost_count)
            d->t.cost_count++;
        d->t.costs = costs;
    }
    return true;
}

static bool apply_words(draft *d, const xmlNode *n, const char *element, const char *const **list,
                        size_t *count) {
    for (EACH(w, n, element)) {
        char *word = adze_target_content(&d->arena, w);
        const char **grown = adze_target_grow(&d->arena, *list, *count, sizeof *grown);
        if (!grown || !word)
            return adze_target_no_memory(d);
        size_t i = 0;
        while (i < *count && !is(grown[i], word))
            i++;
        grown[i] = word;
        if (i == *count)
            ++*count;
        *list = grown;
    }
    return true;
}

static bool apply_board(draft *d, const xmlNode *n) {
    return apply_words(d, n, "file", &d->t.board_files, &d->t.board_file_count);
}

static bool apply_packages(draft *d, const xmlNode *n) {
    return apply_words(d, n, "package", &d->t.packages, &d->t.package_count);
}

bool adze_target_apply(draft *d, const xmlNode *target) {
    static const struct {
        const char *element;
        bool (*apply)(draft *, const xmlNode *);
    } sections[] = {
        {"machine", apply_machine},
        {"flags", apply_flags},
        {"compilers", apply_compilers},
        {"run", apply_run},
        {"clock", apply_clock},
        {"memory", apply_memory},
        {"caches", apply_caches},
        {"cpuid", apply_cpuid},
        {"hwcap", apply_hwcap},
        {"vectors", adze_target_apply_vectors},
        {"instructions", adze_target_apply_instructions},
        {"costs", apply_costs},
        {"board", apply_board},
        {"packages", apply_packages},
    };
    adze_target_set_text(d, target, "name", &d->t.name);
    d->t.hidden = false;
    adze_target_set_flag(d, target, "hidden", &d->t.hidden);
    const xmlNode *description = adze_target_child(target, "description");
    if (description)
        d->t.description = adze_target_content(&d->arena, description);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const xmlNode *n = adze_target_child(target, sections[i].element);
        if (n && !sections[i].apply(d, n))
            return false;
    }
    return true;
}
