/* load.c — from a name to a target: find the file, validate, inherit, compose.
 *
 *   name ──► NAME.xml ──► target.rng ──► what it extends, first ──► draft ──► adze_target
 *     "native" ──► this machine (native.c)      "BASE+feature…" ──► BASE with features added
 */
#define _POSIX_C_SOURCE 200809L
#include "internal.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEEPEST_EXTENDS = 16 };

/* Generated C and its tests rest on these two, so no target may lack them. */
static const char language_required[] = "-std=c11 -ffp-contract=off";

/* ---- finding and inheriting ---- */

static bool is_path(const char *name) {
    size_t length = strlen(name);
    return strchr(name, '/') || (length > 4 && !strcmp(name + length - 4, ".xml"));
}

static bool plain_name(const char *name) {
    return *name &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789._-") == strlen(name) &&
           name[0] != '.';
}

static void unknown(draft *d, const char *dir, const char *name) {
    char **names = NULL;
    size_t count = 0;
    const char *nearest = NULL;
    if (adze_target_list(dir, &names, &count, NULL))
        nearest = adze_target_nearest(name, names, count);
    if (nearest)
        adze_target_fail(d, NULL, "no target '%.100s'; did you mean '%s'?", name, nearest);
    else
        adze_target_fail(d, NULL, "no target '%.100s'; `adze targets` lists them", name);
    free(names);
}

/* The file of `name`: `name` itself when it is a path, else beside `from`, else in `dir`. */
static char *find_file(draft *d, const char *dir, const char *from, const char *name) {
    if (is_path(name))
        return adze_target_strdup(&d->arena, name);
    if (!plain_name(name))
        return NULL;
    const char *slash = from ? strrchr(from, '/') : NULL;
    if (slash) {
        char *path = adze_target_printf(&d->arena, "%.*s/%s.xml", (int)(slash - from), from, name);
        if (path && access(path, R_OK) == 0)
            return path;
    } else if (from) {
        char *path = adze_target_printf(&d->arena, "%s.xml", name);
        if (path && access(path, R_OK) == 0)
            return path;
    }
    char *path = adze_target_printf(&d->arena, "%s/%s.xml", dir, name);
    return path && access(path, R_OK) == 0 ? path : NULL;
}

bool adze_target_load_draft(draft *d, const char *dir, const char *name) {
    const xmlNode *roots[DEEPEST_EXTENDS];
    const char *files[DEEPEST_EXTENDS];
    size_t count = 0;
    for (const char *wanted = name, *from = NULL; wanted; from = files[count - 1]) {
        const xmlNode *at = count ? roots[count - 1] : NULL;
        char *path = find_file(d, dir, from, wanted);
        if (!path && at)
            return adze_target_fail(d, at, "extends '%.100s', which is not there", wanted);
        if (!path) {
            unknown(d, dir, wanted);
            return false;
        }
        for (size_t i = 0; i < count; i++)
            if (!strcmp(files[i], path))
                return adze_target_fail(
                    d, at, "extends '%.100s', which is already in this chain: a cycle", wanted);
        if (count == DEEPEST_EXTENDS)
            return adze_target_fail(d, at, "extends more than %d files deep", DEEPEST_EXTENDS);
        const xmlDoc *doc = adze_target_read_xml(d, path);
        if (!doc)
            return false;
        d->file = path;
        const xmlNode *root = xmlDocGetRootElement(doc);
        char *own = adze_target_attr(&d->arena, root, "name");
        if (!is_path(wanted) && own && strcmp(own, wanted))
            return adze_target_fail(d, root, "the file of '%s' names itself '%s'", wanted, own);
        files[count] = path;
        roots[count++] = root;
        wanted = adze_target_attr(&d->arena, root, "extends");
    }
    while (count-- > 0) {
        d->file = files[count];
        if (!adze_target_apply(d, roots[count]))
            return false;
    }
    return true;
}

/* ---- composing ---- */

static char *join(arena *a, const char *const *parts, size_t count) {
    char *line = adze_target_strdup(a, "");
    for (size_t i = 0; line && i < count; i++)
        if (parts[i] && *parts[i])
            line = adze_target_printf(a, "%s%s%s", line, *line ? " " : "", parts[i]);
    return line;
}

static bool compose_compilers(draft *d) {
    arena *a = &d->arena;
    if (d->compiler_count == 0)
        return adze_target_fail(d, NULL, "the target names no compiler");
    if (!d->language || strncmp(d->language, language_required, strlen(language_required)))
        return adze_target_fail(d, NULL, "the flags' language must begin with %s",
                                language_required);
    adze_compiler *out = adze_target_alloc(a, d->compiler_count * sizeof *out);
    if (!out)
        return adze_target_fail(d, NULL, "out of memory");
    /* boards know their clock only from here */
    char *clock = NULL;
    if (d->t.bare && d->t.clock.ticks_per_second >= 1)
        clock = adze_target_printf(a, "-DADZE_BOARD_CLOCK_HZ=%.0fu", d->t.clock.ticks_per_second);
    for (size_t i = 0; i < d->compiler_count; i++) {
        const draft_compiler *k = &d->compilers[i];
        const char *arch = k->arch ? k->arch : d->arch, *tools = k->tools ? k->tools : "";
        const char *link_arch = strcmp(k->cc, k->link) ? d->arch : arch;
        bool has_clock = clock && k->cflags && strstr(k->cflags, clock);
        out[i] = (adze_compiler){
            .cc = k->cc,
            .link = k->link,
            .cflags = join(
                a,
                (const char *[]){d->language, arch, d->code, k->cflags, has_clock ? NULL : clock},
                5),
            .ldflags = join(a, (const char *[]){link_arch, d->link, k->ldflags}, 3),
            .libs = d->libs ? d->libs : "",
            .size_tool = adze_target_printf(a, "%ssize", tools),
            .nm_tool = adze_target_printf(a, "%snm", tools),
            .objdump_tool = adze_target_printf(a, "%sobjdump", tools),
            .objcopy_tool = adze_target_printf(a, "%sobjcopy", tools),
        };
        if (!out[i].cflags || !out[i].ldflags || !out[i].objcopy_tool)
            return adze_target_fail(d, NULL, "out of memory");
    }
    d->t.compilers = out;
    d->t.compiler_count = d->compiler_count;
    d->t.compiler = out[0].cc;
    d->t.cflags = out[0].cflags;
    d->t.ldflags = out[0].ldflags;
    return true;
}

/* Rows whose feature the target lacks go; of two rows for one (name, types), a row that needs a
 * feature which is there wins over one that needs none. */
static bool keep_usable_instructions(draft *d) {
    adze_instruction *rows =
        adze_target_alloc(&d->arena, (d->t.instruction_count + 1) * sizeof *rows);
    if (!rows)
        return adze_target_fail(d, NULL, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < d->t.instruction_count; i++) {
        const adze_instruction *row = &d->t.instructions[i];
        if (row->needs && !adze_target_find_feature(d, row->needs))
            continue;
        size_t j = 0;
        while (j < count && !adze_target_same_key(&rows[j], row))
            j++;
        if (j == count)
            rows[count++] = *row;
        else if (row->needs)
            rows[j] = *row;
    }
    d->t.instructions = rows;
    d->t.instruction_count = count;
    return true;
}

static bool check(draft *d) {
    const adze_target *t = &d->t;
    if (t->pointer_bits != 32 && t->pointer_bits != 64)
        return adze_target_fail(d, NULL, "pointer-bits is %u, must be 32 or 64", t->pointer_bits);
    if (t->max_align == 0 || (t->max_align & (t->max_align - 1)))
        return adze_target_fail(d, NULL, "max-align is %u, must be a power of two", t->max_align);
    if (!t->triple || !t->arch || !t->description)
        return adze_target_fail(d, NULL, "the target lacks arch, triple or description");
    if (t->bare) {
        unsigned roles = 0;
        for (size_t i = 0; i < t->region_count; i++) {
            const adze_region *r = &t->regions[i];
            roles |= r->roles;
            if (t->pointer_bits == 32 && r->base + r->bytes > (uint64_t)1 << 32)
                return adze_target_fail(d, NULL, "region %s ends beyond 32 bits", r->name);
        }
        for (unsigned role = ADZE_ROLE_CODE; role <= ADZE_ROLE_STACK; role <<= 1)
            if (!(roles & role))
                return adze_target_fail(d, NULL, "no memory region holds %s",
                                        adze_target_role_name(role));
        if (t->stack_bytes == 0)
            return adze_target_fail(d, NULL, "stack-bytes is missing");
        if (!t->ldflags || !strstr(t->ldflags, "{script}"))
            return adze_target_fail(d, NULL, "a bare target's link flags must name {script}");
    }
    return true;
}

adze_target *adze_target_finish(draft *d) {
    adze_target *t = NULL;
    if (compose_compilers(d) && keep_usable_instructions(d) && (d->t.hidden || check(d))) {
        t = malloc(sizeof *t);
        arena *kept = malloc(sizeof *kept);
        if (t && kept) {
            *kept = d->arena;
            *t = d->t;
            t->arena = kept;
            return t;
        }
        free(t);
        free(kept);
        adze_target_fail(d, NULL, "out of memory");
    }
    adze_target_arena_free(&d->arena);
    return NULL;
}

void adze_target_free(adze_target *t) {
    if (!t)
        return;
    adze_target_arena_free(t->arena);
    free(t->arena);
    free(t);
}

/* ---- "BASE+feature+feature" ---- */

bool adze_target_all_features(draft *out, const char *dir, const char *arch) {
    char **names = NULL;
    size_t count = 0;
    if (!adze_target_list(dir, &names, &count, out->err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (!strcmp(names[i], "native"))
            continue;
        draft one = {.err = out->err, .session = out->session};
        ok = adze_target_load_draft(&one, dir, names[i]);
        bool same = ok && one.t.arch && !strcmp(one.t.arch, arch);
        for (size_t j = 0; same && ok && j < one.t.feature_count; j++)
            ok = adze_target_add_feature(out, &one.t.features[j]);
        adze_target_arena_free(&one.arena);
    }
    free(names);
    return ok;
}

static const adze_cpu_feature *feature_named(const draft *d, const char *name, size_t length) {
    for (size_t i = 0; i < d->t.feature_count; i++)
        if (strlen(d->t.features[i].name) == length && !memcmp(d->t.features[i].name, name, length))
            return &d->t.features[i];
    return NULL;
}

static bool add_named_features(draft *d, const char *dir, const char *full_name, const char *plus) {
    draft known = {.err = d->err, .session = d->session};
    bool ok = adze_target_all_features(&known, dir, d->t.arch ? d->t.arch : "");
    while (ok && *plus == '+') {
        const char *word = plus + 1;
        size_t length = strcspn(word, "+");
        const adze_cpu_feature *feature = feature_named(&known, word, length);
        if (!feature || !feature->cflag) { /* -march of these names all of them at once */
            d->file = NULL;
            ok = adze_target_fail(d, NULL, "target '%.100s': no known feature '%.*s'", full_name,
                                  (int)(length < 64 ? length : 64), word);
            break;
        }
        if (!adze_target_find_feature(d, feature->name)) {
            ok = adze_target_add_feature(d, feature);
            d->arch = join(&d->arena, (const char *[]){d->arch, feature->cflag}, 2);
            for (size_t i = 0; i < d->compiler_count; i++)
                if (d->compilers[i].arch)
                    d->compilers[i].arch =
                        join(&d->arena, (const char *[]){d->compilers[i].arch, feature->cflag}, 2);
        }
        plus = word + length;
    }
    adze_target_arena_free(&known.arena);
    d->t.name = adze_target_strdup(&d->arena, full_name);
    return ok;
}

bool adze_target_load_named(draft *d, const char *dir, const char *name) {
    const char *plus = is_path(name) ? NULL : strchr(name, '+');
    if (!plus)
        return adze_target_load_draft(d, dir, name);
    char *base = adze_target_strndup(&d->arena, name, (size_t)(plus - name));
    return base && adze_target_load_draft(d, dir, base) && add_named_features(d, dir, name, plus);
}

/* ---- the public ways in ---- */

adze_target *adze_target_load(const char *dir, const char *name, char err[ADZE_TARGET_ERR]) {
    char unused[ADZE_TARGET_ERR];
    draft d = {.err = err ? err : unused};
    d.err[0] = 0;
    session s;
    bool ok = adze_target_open_session(&d, &s, dir) &&
              (strcmp(name, "native") ? adze_target_load_named(&d, dir, name)
                                      : adze_target_load_native(&d, dir));
    adze_target_close_session(&s);
    d.session = NULL;
    if (ok && d.t.hidden) {
        d.file = NULL;
        ok = adze_target_fail(&d, NULL,
                              "'%.100s' is only there to be extended; `adze targets` "
                              "lists the targets",
                              name);
    }
    if (!ok) {
        adze_target_arena_free(&d.arena);
        return NULL;
    }
    return adze_target_finish(&d);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool hidden_file(draft *d, const char *path) {
    xmlDoc *doc = adze_target_parse_xml(d, path);
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    char *hidden = root ? adze_target_attr(&d->arena, root, "hidden") : NULL;
    bool is_hidden = hidden && !strcmp(hidden, "yes");
    xmlFreeDoc(doc);
    return is_hidden;
}

bool adze_target_list(const char *dir, char ***names, size_t *count, char err[ADZE_TARGET_ERR]) {
    char ignored[ADZE_TARGET_ERR];
    draft d = {.err = err ? err : ignored};
    d.err[0] = 0;
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(dir);
    if (!folder)
        return adze_target_fail(&d, NULL, "%.400s: no folder with targets", dir);

    char **list = adze_target_grow(&d.arena, NULL, 0, sizeof *list);
    size_t n = 0, bytes = 0;
    if (list)
        list[n++] = adze_target_strdup(&d.arena, "native");
    for (struct dirent *entry; list && (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length <= 4 || strcmp(entry->d_name + length - 4, ".xml"))
            continue;
        char *name = adze_target_strndup(&d.arena, entry->d_name, length - 4);
        char *path = adze_target_printf(&d.arena, "%s/%s", dir, entry->d_name);
        /* a broken file stays in the list: loading it says what is wrong */
        char broken[ADZE_TARGET_ERR] = "";
        draft one = {.err = broken};
        bool skip = !name || !path || hidden_file(&one, path);
        adze_target_arena_free(&one.arena);
        if (skip)
            continue;
        list = adze_target_grow(&d.arena, list, n, sizeof *list);
        if (list)
            list[n++] = name;
    }
    closedir(folder);
    if (list) {
        qsort(list, n, sizeof *list, by_name);
        for (size_t i = 0; i < n; i++)
            bytes += strlen(list[i]) + 1;
        *names = malloc(n * sizeof **names + bytes);
    }
    if (!*names) {
        adze_target_arena_free(&d.arena);
        return adze_target_fail(&d, NULL, "out of memory");
    }
    char *text = (char *)(*names + n);
    for (size_t i = 0; i < n; i++) {
        (*names)[i] = strcpy(text, list[i]);
        text += strlen(text) + 1;
    }
    *count = n;
    adze_target_arena_free(&d.arena);
    return true;
}
