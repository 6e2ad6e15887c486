/* native.c — "native": the named target that this machine satisfies best, the further features it
 * has, its caches and cores. The result is named after what it is ("x86-64-v4+avx512vnni"), so
 * that a record of it means the same on every machine.
 *
 * x86-64 hosts ask CPUID with the bits that the target files themselves give; other hosts get
 * "portable".
 */
#define _POSIX_C_SOURCE 200809L
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>

static bool host_has(const adze_cpu_feature *f) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(f->leaf, f->subleaf, &a, &b, &c, &d))
        return false;
    unsigned value = f->reg == 'a' ? a : f->reg == 'b' ? b : f->reg == 'c' ? c : d;
    if (!(value >> f->bit & 1))
        return false;
    if (!f->xcr0)
        return true;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
        return false; /* OSXSAVE */
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & f->xcr0) == f->xcr0;
}

/* The named x86 target with the most features among those whose features are all here. */
static char *best_target(draft *d, const char *dir) {
    char **names = NULL;
    size_t count = 0, most = 0;
    char *best = NULL;
    if (!adze_target_list(dir, &names, &count, d->err))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(names[i], "native"))
            continue;
        char unused[ADZE_TARGET_ERR] = "";
        draft one = {.err = unused, .session = d->session};
        bool fits = adze_target_load_draft(&one, dir, names[i]) && one.t.arch &&
                    !strcmp(one.t.arch, "x86") && one.t.run.kind == ADZE_RUN_NATIVE;
        for (size_t j = 0; fits && j < one.t.feature_count; j++)
            fits = host_has(&one.t.features[j]);
        if (fits && one.t.feature_count > most) {
            most = one.t.feature_count;
            best = adze_target_strdup(&d->arena, names[i]);
        }
        adze_target_arena_free(&one.arena);
    }
    free(names);
    return best;
}

static int by_feature_name(const void *a, const void *b) {
    return strcmp(((const adze_cpu_feature *)a)->name, ((const adze_cpu_feature *)b)->name);
}

static char *resolved_name(draft *d, const char *dir) {
    char *best = best_target(d, dir);
    if (!best)
        return adze_target_strdup(&d->arena, "portable");
    draft base = {.err = d->err, .session = d->session}, known = base;
    char *name = best;
    if (adze_target_load_draft(&base, dir, best) && adze_target_all_features(&known, dir, "x86")) {
        size_t count = known.t.feature_count;
        adze_cpu_feature *sorted =
            adze_target_grow(&known.arena, known.t.features, count, sizeof *sorted);
        if (sorted)
            qsort(sorted, count, sizeof *sorted, by_feature_name);
        for (size_t i = 0; sorted && name && i < count; i++)
            if (!adze_target_find_feature(&base, sorted[i].name) && host_has(&sorted[i]))
                name = adze_target_printf(&d->arena, "%s+%s", name, sorted[i].name);
    }
    adze_target_arena_free(&base.arena);
    adze_target_arena_free(&known.arena);
    return name;
}
#else
static char *resolved_name(draft *d, const char *dir) {
    (void)dir;
    return adze_target_strdup(&d->arena, "portable");
}
#endif

/* One line of a file under /sys, without its newline; "" when it is not there. */
static const char *sys_line(const char *folder, const char *file, char line[64]) {
    char path[128];
    line[0] = 0;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    if (f) {
        if (!fgets(line, 64, f))
            line[0] = 0;
        fclose(f);
    }
    line[strcspn(line, "\n")] = 0;
    return line;
}

/* How many processors a list such as "0-3,8" names. */
static unsigned listed(const char *list) {
    unsigned count = 0;
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            break;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (last >= first)
            count += (unsigned)(last - first + 1);
        list = *end == ',' ? end + 1 : end;
    }
    return count ? count : 1;
}

static void host_caches(draft *d) {
    adze_cache *caches = NULL;
    size_t count = 0;
    for (unsigned index = 0; index < 16; index++) {
        char folder[96], line[64];
        snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu0/cache/index%u", index);
        adze_cache c = {0};
        c.level = (unsigned)strtoul(sys_line(folder, "level", line), NULL, 10);
        if (c.level == 0)
            break;
        char type = sys_line(folder, "type", line)[0];
        c.kind = type == 'D' ? 'd' : type == 'I' ? 'i' : 'u';
        if (!adze_target_parse_bytes(sys_line(folder, "size", line), &c.bytes))
            continue;
        c.line_bytes = (unsigned)strtoul(sys_line(folder, "coherency_line_size", line), NULL, 10);
        c.ways = (unsigned)strtoul(sys_line(folder, "ways_of_associativity", line), NULL, 10);
        c.shared_by = listed(sys_line(folder, "shared_cpu_list", line));
        caches = adze_target_grow(&d->arena, caches, count, sizeof *caches);
        if (!caches)
            return;
        caches[count++] = c;
    }
    if (count == 0)
        return; /* keep what the target says */
    d->t.caches = caches;
    d->t.cache_count = count;
}

bool adze_target_load_native(draft *d, const char *dir) {
    char *name = resolved_name(d, dir);
    if (!name || (d->err && d->err[0]))
        return false;
    if (!adze_target_load_named(d, dir, name))
        return false;
    host_caches(d);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online > 0)
        d->t.cores = (unsigned)online;
    return true;
}
