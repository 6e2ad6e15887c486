/* apply.c — puts one validated <target> element over a draft.
 *
 * Inheritance: single facts (attributes of machine, vectors; parts of flags) replace one by one;
 * compilers, run, clock, memory and caches replace as a whole, since half of a memory map makes no
 * sense; features, vector types, instructions, costs, board files and packages merge by key.
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

static bool no_memory(draft *d) {
    return adze_target_fail(d, NULL, "out of memory");
}

static bool is(const char *s, const char *word) {
    return s && !strcmp(s, word);
}

static int one_of(const char *s, const char *const *words) {
    for (int i = 0; words[i]; i++)
        if (is(s, words[i]))
            return i;
    return -1;
}

/* ---- attributes into fields; an absent attribute leaves the field as it was ---- */

static void set_text(draft *d, const xmlNode *n, const char *attr, const char **field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = s;
}

static void set_flag(draft *d, const xmlNode *n, const char *attr, bool *field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = is(s, "yes");
}

static bool set_bytes(draft *d, const xmlNode *n, const char *attr, uint64_t most,
                      uint64_t *field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (!s)
        return true;
    if (!adze_target_parse_bytes(s, field) || *field > most)
        return adze_target_fail(d, n, "%s=\"%s\" is not a number up to 0x%llx", attr, s,
                                (unsigned long long)most);
    return true;
}

static bool set_count(draft *d, const xmlNode *n, const char *attr, unsigned *field) {
    uint64_t value = *field;
    if (!set_bytes(d, n, attr, UINT32_MAX, &value))
        return false;
    *field = (unsigned)value;
    return true;
}

static void set_real(draft *d, const xmlNode *n, const char *attr, double *field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = strtod(s, NULL);
}

static bool set_type(draft *d, const xmlNode *n, const char *spelling, adze_value_type *type) {
    if (adze_target_parse_type(&d->arena, spelling, type))
        return true;
    return adze_target_fail(d, n, "'%s' is not a value type; README.md lists them", spelling);
}

/* ---- the sections ---- */

static bool apply_machine(draft *d, const xmlNode *n) {
    adze_target *t = &d->t;
    set_text(d, n, "arch", &t->arch);
    set_text(d, n, "triple", &t->triple);
    set_text(d, n, "mca", &t->mca);
    set_flag(d, n, "bare", &t->bare);
    set_flag(d, n, "pthreads", &t->has_pthreads);
    set_flag(d, n, "incbin", &t->has_incbin);
    char *endian = adze_target_attr(&d->arena, n, "endian");
    if (endian)
        t->endian = is(endian, "big") ? ADZE_ENDIAN_BIG : ADZE_ENDIAN_LITTLE;
    char *fpu = adze_target_attr(&d->arena, n, "fpu");
    if (fpu)
        t->fpu = is(fpu, "double")   ? ADZE_FPU_DOUBLE
                 : is(fpu, "single") ? ADZE_FPU_SINGLE
                                     : ADZE_FPU_NONE;
    return set_count(d, n, "pointer-bits", &t->pointer_bits) &&
           set_count(d, n, "max-align", &t->max_align) && set_count(d, n, "cores", &t->cores) &&
           set_count(d, n, "stack-bytes", &t->stack_bytes);
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
            return no_memory(d);
        draft_compiler *k = &d->compilers[d->compiler_count++];
        set_text(d, c, "cc", &k->cc);
        k->link = k->cc;
        set_text(d, c, "link", &k->link);
        set_text(d, c, "tools", &k->tools);
        k->arch = adze_target_content(&d->arena, adze_target_child(c, "arch"));
        k->cflags = adze_target_content(&d->arena, adze_target_child(c, "cflags"));
        k->ldflags = adze_target_content(&d->arena, adze_target_child(c, "ldflags"));
    }
    return true;
}

/* "a b c" → {"a", "b", "c", NULL} */
static const char *const *split(arena *a, const char *line, size_t *count) {
    size_t words = 1;
    if (!line)
        line = "";
    for (const char *s = line; *s; s++)
        words += *s == ' ';
    const char **list = adze_target_alloc(a, (words + 1) * sizeof *list);
    *count = 0;
    while (list && *line) {
        size_t length = strcspn(line, " ");
        list[(*count)++] = adze_target_strndup(a, line, length);
        line += length + (line[length] == ' ');
    }
    return list;
}

static bool apply_run(draft *d, const xmlNode *n) {
    static const char *const kinds[] = {"none", "native", "qemu-user", "qemu-system",
                                        "node", "ssh",    NULL};
    adze_run *run = &d->t.run;
    *run = (adze_run){.kind = (adze_run_kind)one_of(adze_target_attr(&d->arena, n, "kind"), kinds)};
    set_flag(d, n, "takes-args", &run->takes_args);
    run->reason = adze_target_content(&d->arena, adze_target_child(n, "reason"));
    const xmlNode *command = adze_target_child(n, "command");
    if (command) {
        char *line = adze_target_content(&d->arena, command);
        if (!strstr(line, "{exe}"))
            return adze_target_fail(d, command, "the command to run must name {exe}");
        run->argv = split(&d->arena, line, &run->argc);
    }
    const xmlNode *count = adze_target_child(n, "count");
    if (count)
        run->count_argv = split(&d->arena, adze_target_content(&d->arena, count), &run->count_argc);
    adze_run_variant *variants = NULL;
    for (EACH(v, n, "variant")) {
        variants = adze_target_grow(&d->arena, variants, run->variant_count, sizeof *variants);
        if (!variants)
            return no_memory(d);
        adze_run_variant *variant = &variants[run->variant_count++];
        set_text(d, v, "name", &variant->name);
        variant->argv = split(&d->arena, adze_target_content(&d->arena, v), &variant->argc);
    }
    run->variants = variants;
    return true;
}

static bool apply_clock(draft *d, const xmlNode *n) {
    static const char *const kinds[] = {"monotonic", "systick", "instret", NULL};
    adze_clock *clock = &d->t.clock;
    *clock = (adze_clock){
        .kind = (adze_clock_kind)one_of(adze_target_attr(&d->arena, n, "kind"), kinds)};
    set_real(d, n, "ticks-per-second", &clock->ticks_per_second);
    set_real(d, n, "instructions-per-tick", &clock->instructions_per_tick);
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
            return no_memory(d);
        adze_region *region = &regions[count];
        set_text(d, r, "name", &region->name);
        if (!set_bytes(d, r, "base", UINT64_MAX, &region->base) ||
            !set_bytes(d, r, "bytes", UINT64_MAX, &region->bytes))
            return false;
        region->kind = (adze_region_kind)one_of(adze_target_attr(&d->arena, r, "kind"), kinds);
        size_t word_count;
        char *holds = adze_target_attr(&d->arena, r, "holds");
        const char *const *words = split(&d->arena, holds, &word_count);
        if (!words)
            return no_memory(d);
        for (size_t i = 0; i < word_count; i++)
            region->roles |= 1u << one_of(words[i], roles);
        set_real(d, r, "read-bytes-per-cycle", &region->read_bytes_per_cycle);

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
            return no_memory(d);
        adze_cache *cache = &caches[count++];
        char *kind = adze_target_attr(&d->arena, c, "kind");
        cache->kind = kind ? kind[0] : 'u';
        cache->shared_by = 1;
        if (!set_count(d, c, "level", &cache->level) ||
            !set_bytes(d, c, "bytes", UINT64_MAX, &cache->bytes) ||
            !set_count(d, c, "line-bytes", &cache->line_bytes) ||
            !set_count(d, c, "ways", &cache->ways) ||
            !set_count(d, c, "shared-by", &cache->shared_by))
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
        return no_memory(d);
    adze_cpu_feature *copy = &features[d->t.feature_count++];
    *copy = *feature;
    copy->name = adze_target_strdup(&d->arena, feature->name);
    copy->cflag = adze_target_strdup(&d->arena, feature->cflag);
    d->t.features = features;
    return true;
}

static bool apply_cpuid(draft *d, const xmlNode *n) {
    for (EACH(f, n, "feature")) {
        adze_cpu_feature feature = {0};
        unsigned leaf = 0, subleaf = 0, xcr0 = 0;
        set_text(d, f, "name", &feature.name);
        set_text(d, f, "cflag", &feature.cflag);
        if (!set_count(d, f, "leaf", &leaf) || !set_count(d, f, "subleaf", &subleaf) ||
            !set_count(d, f, "xcr0", &xcr0) || !set_count(d, f, "bit", &feature.bit))
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

/* ---- rows that stand for several: for="m1:2 m2:4; add sub" ----
 *
 * `for` is one list or several, parted by semicolons; a list is words, a word is fields parted by
 * colons. The row is taken once for each choice of a word from every list, the last list changing
 * fastest. @0, @1 … in its attributes and its text are the fields of the chosen words, in order. */

enum { MOST_LISTS = 4, MOST_FIELDS = 10 };

typedef struct {
    const char *const *words[MOST_LISTS];
    size_t count[MOST_LISTS], at[MOST_LISTS], lists;
    const char *fields[MOST_FIELDS]; /* of the current choice */
    size_t field_count;
} choices;

/* Puts the fields of the current choice in place. */
static bool choose(draft *d, const xmlNode *n, choices *c) {
    c->field_count = 0;
    for (size_t i = 0; i < c->lists; i++) {
        const char *word = c->words[i][c->at[i]];
        for (bool more = true; more;) {
            size_t length = strcspn(word, ":");
            if (c->field_count == MOST_FIELDS)
                return adze_target_fail(d, n, "for: more than %d fields", MOST_FIELDS);
            c->fields[c->field_count] = adze_target_strndup(&d->arena, word, length);
            if (!c->fields[c->field_count++])
                return no_memory(d);
            more = word[length] == ':';
            word += length + 1;
        }
    }
    return true;
}

static bool first_choice(draft *d, const xmlNode *n, choices *c) {
    *c = (choices){0};
    char *list = adze_target_attr(&d->arena, n, "for");
    while (list) {
        char *end = strchr(list, ';');
        if (end)
            *end++ = 0;
        if (c->lists == MOST_LISTS)
            return adze_target_fail(d, n, "for: more than %d lists", MOST_LISTS);
        list += strspn(list, " ");
        c->words[c->lists] = split(&d->arena, list, &c->count[c->lists]);
        if (!c->words[c->lists])
            return no_memory(d);
        if (c->count[c->lists++] == 0)
            return adze_target_fail(d, n, "for: an empty list");
        list = end;
    }
    return choose(d, n, c);
}

/* Steps to the next choice; false after the last, or with an error. */
static bool next_choice(draft *d, const xmlNode *n, choices *c) {
    size_t i = c->lists;
    while (i > 0 && ++c->at[i - 1] == c->count[i - 1])
        c->at[--i] = 0;
    return i > 0 && choose(d, n, c);
}

/* `s` with the fields put in; NULL stays NULL, and is given for an @ without its field too. */
static char *filled(draft *d, const choices *c, const char *s) {
    if (!s || !c->lists)
        return adze_target_strdup(&d->arena, s);
    size_t length = 0;
    for (const char *p = s; *p; p++) {
        if (*p != '@') {
            length++;
            continue;
        }
        size_t field = (size_t)(p[1] - '0');
        if (field >= c->field_count)
            return NULL;
        length += strlen(c->fields[field]);
        p++;
    }
    char *out = adze_target_alloc(&d->arena, length + 1), *end = out;
    for (const char *p = s; out && *p; p++) {
        if (*p != '@') {
            *end++ = *p;
            continue;
        }
        const char *field = c->fields[*++p - '0'];
        end = strcpy(end, field) + strlen(field);
    }
    return out;
}

/* An attribute with the fields put in; NULL when it is absent. */
static bool filled_attr(draft *d, const xmlNode *n, const choices *c, const char *name,
                        const char **value) {
    char *s = adze_target_attr(&d->arena, n, name);
    *value = filled(d, c, s);
    return !s || *value ||
           adze_target_fail(d, n, "%s=\"%s\" names a field that `for` does not have", name, s);
}

static bool add_vector_type(draft *d, const xmlNode *x, const choices *c) {
    adze_vector_type row = {0};
    const char *name;
    if (!filled_attr(d, x, c, "name", &name) || !set_type(d, x, name, &row.type) ||
        !filled_attr(d, x, c, "c", &row.c_type))
        return false;
    set_text(d, x, "header", &row.header);
    adze_vector_type *rows = APPEND(d, vector_types, vector_type_count);
    if (!rows)
        return no_memory(d);
    size_t i = 0;
    while (i < d->t.vector_type_count && !is(rows[i].type.spelling, row.type.spelling))
        i++;
    rows[i] = row;
    if (i == d->t.vector_type_count)
        d->t.vector_type_count++;
    d->t.vector_types = rows;
    return true;
}

static bool apply_vectors(draft *d, const xmlNode *n) {
    adze_vector_registers *v = &d->t.vectors;
    set_flag(d, n, "scalable", &v->scalable);
    if (!set_count(d, n, "count", &v->count) || !set_count(d, n, "bits", &v->bits) ||
        !set_count(d, n, "masks", &v->mask_count))
        return false;
    for (EACH(x, n, "type")) {
        choices c;
        if (!first_choice(d, x, &c))
            return false;
        do {
            if (!add_vector_type(d, x, &c))
                return false;
        } while (next_choice(d, x, &c));
        if (*d->err)
            return false;
    }
    return true;
}

/* Every $… of a template must be an operand of its row or a known name. */
static bool check_template(draft *d, const xmlNode *n, const adze_instruction *row) {
    for (const char *s = row->c; (s = strchr(s, '$')) != NULL; s++) {
        s++;
        if (*s == '$' || *s == 'T' || !strncmp(s, "vl", 2))
            continue;
        if (!strncmp(s, "pg", 2))
            continue;
        if (*s >= '0' && *s <= '9') {
            if ((size_t)(*s - '0') < row->operand_count)
                continue;
            return adze_target_fail(d, n, "instruction %s uses operand $%c of %zu", row->name, *s,
                                    row->operand_count);
        }
        return adze_target_fail(d, n, "instruction %s: unknown '$%.2s' in its C", row->name, s);
    }
    return true;
}

/* Room for one row more; tables are long, so it doubles. */
static bool room_for_instruction(draft *d) {
    if (d->t.instruction_count < d->instruction_room)
        return true;
    size_t room = d->instruction_room ? 2 * d->instruction_room : 64;
    adze_instruction *rows = adze_target_alloc(&d->arena, room * sizeof *rows);
    if (!rows)
        return no_memory(d);
    if (d->t.instruction_count)
        memcpy(rows, d->t.instructions, d->t.instruction_count * sizeof *rows);
    d->t.instructions = rows;
    d->instruction_room = room;
    return true;
}

static bool add_instruction(draft *d, const xmlNode *n, const xmlNode *x, const choices *c) {
    adze_instruction row = {0};
    const char *type, *result, *operand_list;
    if (!filled_attr(d, x, c, "name", &row.name) || !filled_attr(d, x, c, "type", &type) ||
        !filled_attr(d, x, c, "result", &result) ||
        !filled_attr(d, x, c, "operands", &operand_list) || !set_type(d, x, type, &row.type))
        return false;
    row.result = row.type;
    if (result && !set_type(d, x, result, &row.result))
        return false;
    set_text(d, n, "header", &row.header);
    set_text(d, x, "header", &row.header);
    set_text(d, x, "needs", &row.needs);
    set_real(d, x, "cycles", &row.cycles);
    const char *text = adze_target_content(&d->arena, x);
    row.c = filled(d, c, text);
    if (!row.c)
        return adze_target_fail(d, x, "'%s' names a field that `for` does not have", text);

    const char *const *words = split(&d->arena, operand_list, &row.operand_count);
    adze_value_type *operands =
        adze_target_alloc(&d->arena, (row.operand_count + 1) * sizeof *operands);
    if (!words || !operands)
        return no_memory(d);
    for (size_t i = 0; i < row.operand_count; i++)
        if (!set_type(d, x, words[i], &operands[i]))
            return false;
    row.operands = operands;
    if (!check_template(d, x, &row) || !room_for_instruction(d))
        return false;

    /* a row with the same key and need takes the older one's place */
    adze_instruction *rows = (adze_instruction *)d->t.instructions;
    size_t i = 0;
    for (; i < d->t.instruction_count; i++)
        if (adze_target_same_key(&rows[i], &row) &&
            (row.needs ? is(rows[i].needs, row.needs) : !rows[i].needs))
            break;
    rows[i] = row;
    if (i == d->t.instruction_count)
        d->t.instruction_count++;
    return true;
}

static bool apply_instructions(draft *d, const xmlNode *n) {
    for (EACH(x, n, "instruction")) {
        choices c;
        if (!first_choice(d, x, &c))
            return false;
        do {
            if (!add_instruction(d, n, x, &c))
                return false;
        } while (next_choice(d, x, &c));
        if (*d->err)
            return false;
    }
    return true;
}

static bool apply_costs(draft *d, const xmlNode *n) {
    for (EACH(c, n, "cost")) {
        adze_cost *costs = APPEND(d, costs, cost_count);
        char *name = adze_target_attr(&d->arena, c, "name");
        if (!costs || !name)
            return no_memory(d);
        size_t i = 0;
        while (i < d->t.cost_count && !is(costs[i].name, name))
            i++;
        costs[i].name = name;
        set_real(d, c, "value", &costs[i].value);
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
            return no_memory(d);
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
        {"machine", apply_machine},     {"flags", apply_flags},
        {"compilers", apply_compilers}, {"run", apply_run},
        {"clock", apply_clock},         {"memory", apply_memory},
        {"caches", apply_caches},       {"cpuid", apply_cpuid},
        {"vectors", apply_vectors},     {"instructions", apply_instructions},
        {"costs", apply_costs},         {"board", apply_board},
        {"packages", apply_packages},
    };
    set_text(d, target, "name", &d->t.name);
    d->t.hidden = false;
    set_flag(d, target, "hidden", &d->t.hidden);
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
