/* pack.c — a device of a CMSIS-Pack description as a target.
 *
 *   <devices> ─ <family> ─ <subFamily> ─ <device> ─ <variant>
 *
 * Each level may give <processor> and <memory>; deeper ones add and replace. The core picks our
 * base target; FPU, Helium, clock and memory map come from the file.
 * Format: Open-CMSIS-Pack, PACK.xsd 1.7, elements family, processor, memory.
 */
#include "internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REGIONS = 32, LEVELS = 4 };

typedef enum { FPU_ANY, FPU_NONE, FPU_SP, FPU_DP } pack_fpu;

/* The first row whose core and FPU agree and that lacks what the device lacks. */
static const struct {
    const char *core;
    pack_fpu fpu;
    const char *lacks; /* "NO_MVE", "NO_DSP"; NULL: any */
    const char *base, *arch;
    adze_fpu has;
    bool rows; /* the base's instruction table holds for it */
} cores[] = {
    {"Cortex-M3", FPU_ANY, NULL, "cortex-m4", "-mcpu=cortex-m3 -mthumb -mfloat-abi=soft",
     ADZE_FPU_NONE, false},
    {"Cortex-M4", FPU_NONE, NULL, "cortex-m4", "-mcpu=cortex-m4 -mthumb -mfloat-abi=soft",
     ADZE_FPU_NONE, true},
    {"Cortex-M4", FPU_ANY, NULL, "cortex-m4", NULL, ADZE_FPU_SINGLE, true},
    {"Cortex-M7", FPU_NONE, NULL, "cortex-m7", "-mcpu=cortex-m7 -mthumb -mfloat-abi=soft",
     ADZE_FPU_NONE, true},
    {"Cortex-M7", FPU_SP, NULL, "cortex-m7",
     "-mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard", ADZE_FPU_SINGLE, true},
    {"Cortex-M7", FPU_ANY, NULL, "cortex-m7", NULL, ADZE_FPU_DOUBLE, true},
    {"Cortex-M33", FPU_NONE, "NO_DSP", "cortex-m33",
     "-mcpu=cortex-m33+nodsp -mthumb -mfloat-abi=soft", ADZE_FPU_NONE, false},
    {"Cortex-M33", FPU_ANY, "NO_DSP", "cortex-m33",
     "-mcpu=cortex-m33+nodsp -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard", ADZE_FPU_SINGLE, false},
    {"Cortex-M33", FPU_NONE, NULL, "cortex-m33", "-mcpu=cortex-m33 -mthumb -mfloat-abi=soft",
     ADZE_FPU_NONE, true},
    {"Cortex-M33", FPU_ANY, NULL, "cortex-m33", NULL, ADZE_FPU_SINGLE, true},
    {"Cortex-M55", FPU_NONE, "NO_MVE", "cortex-m55",
     "-mcpu=cortex-m55+nofp+nomve -mthumb -mfloat-abi=soft", ADZE_FPU_NONE, false},
    {"Cortex-M55", FPU_ANY, "NO_MVE", "cortex-m55",
     "-mcpu=cortex-m55+nomve -mthumb -mfpu=auto -mfloat-abi=hard", ADZE_FPU_DOUBLE, false},
    {"Cortex-M55", FPU_ANY, NULL, "cortex-m55", NULL, ADZE_FPU_DOUBLE, true},
};

typedef struct {
    adze_region region;
    bool is_default, startup;
} pack_region;

typedef struct {
    char *vendor, *core, *fpu, *mve, *dsp, *clock, *processor;
    pack_region regions[MOST_REGIONS];
    size_t region_count;
} device;

/* ---- finding the device ---- */

static const char *const levels[LEVELS] = {"family", "subFamily", "device", "variant"};
static const char *const level_names[LEVELS] = {"Dfamily", "DsubFamily", "Dname", "Dvariant"};

typedef struct {
    const char *wanted;
    const xmlNode *path[LEVELS]; /* of the device found, outermost first */
    size_t depth;
    char **names; /* all devices and variants, for the suggestion */
    size_t name_count;
} search;

/* Depth is at most LEVELS, whatever the file nests. */
static bool find(draft *d, search *s, const xmlNode *parent, size_t depth, size_t level) {
    for (size_t next = level; next < LEVELS; next++) {
        for (const xmlNode *n = adze_target_child(parent, levels[next]); n;
             n = adze_target_next(n, levels[next])) {
            s->path[depth] = n;
            char *name = adze_target_attr(&d->arena, n, level_names[next]);
            if (name && next >= 2) {
                if (!strcmp(name, s->wanted)) {
                    s->depth = depth + 1;
                    return true;
                }
                s->names = adze_target_grow(&d->arena, s->names, s->name_count, sizeof *s->names);
                if (!s->names)
                    return adze_target_fail(d, NULL, "out of memory");
                s->names[s->name_count++] = name;
            }
            if (find(d, s, n, depth + 1, next + 1))
                return true;
            if (d->err[0])
                return false;
        }
    }
    return false;
}

/* ---- reading it ---- */

static void take(draft *d, const xmlNode *n, const char *attr, char **field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = s;
}

/* "Flash 1" → "flash_1" */
static char *region_name(draft *d, const char *name) {
    char *out =
        adze_target_printf(&d->arena, "%s%.30s", isalpha((unsigned char)*name) ? "" : "m", name);
    for (char *p = out; p && *p; p++)
        *p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_';
    return out;
}

static bool contains(const char *s, const char *word) {
    return s && strstr(s, word);
}

static bool read_memory(draft *d, device *dev, const xmlNode *n) {
    char *processor = adze_target_attr(&d->arena, n, "Pname");
    char *alias = adze_target_attr(&d->arena, n, "alias");
    if (alias || (processor && dev->processor && strcmp(processor, dev->processor)))
        return true;
    char *name = adze_target_attr(&d->arena, n, "name");
    if (!name)
        name = adze_target_attr(&d->arena, n, "id");
    char *start = adze_target_attr(&d->arena, n, "start");
    char *size = adze_target_attr(&d->arena, n, "size");
    char *access = adze_target_attr(&d->arena, n, "access");
    char *is_default = adze_target_attr(&d->arena, n, "default");
    char *startup = adze_target_attr(&d->arena, n, "startup");
    pack_region r = {0};
    if (!name || !start || !size || !adze_target_parse_bytes(start, &r.region.base) ||
        !adze_target_parse_bytes(size, &r.region.bytes))
        return adze_target_fail(d, n, "a memory without name, start or size");
    if (r.region.bytes == 0)
        return true;
    if (r.region.base > UINT32_MAX || r.region.bytes > UINT32_MAX)
        return adze_target_fail(d, n, "memory %s is not within 32 bits", name);
    char *key = region_name(d, name);
    if (!key)
        return adze_target_fail(d, n, "out of memory");
    r.region.name = key;
    r.is_default = !is_default || !strcmp(is_default, "1") || !strcmp(is_default, "true");
    r.startup = startup && (!strcmp(startup, "1") || !strcmp(startup, "true"));
    /* without `access`, the old ids say it: IROM1, IRAM1 */
    bool writable = access ? contains(access, "w") : contains(key, "ram");
    r.region.kind = !writable                ? ADZE_REGION_FLASH
                    : contains(key, "dtcm")  ? ADZE_REGION_DTCM
                    : contains(key, "itcm")  ? ADZE_REGION_ITCM
                    : contains(key, "sdram") ? ADZE_REGION_DRAM
                                             : ADZE_REGION_SRAM;
    if (!writable)
        r.region.roles = ADZE_ROLE_CODE | ADZE_ROLE_WEIGHTS;
    else if (r.region.kind == ADZE_REGION_ITCM)
        r.region.roles = ADZE_ROLE_SCRATCH;
    else
        r.region.roles = ADZE_ROLE_DATA | ADZE_ROLE_SCRATCH | ADZE_ROLE_STATE | ADZE_ROLE_STACK;

    size_t i = 0;
    while (i < dev->region_count && strcmp(dev->regions[i].region.name, key))
        i++;
    if (i == MOST_REGIONS)
        return adze_target_fail(d, n, "more than %d memories", MOST_REGIONS);
    dev->regions[i] = r;
    if (i == dev->region_count)
        dev->region_count++;
    return true;
}

static bool read_level(draft *d, device *dev, const xmlNode *level, const char *processor) {
    take(d, level, "Dvendor", &dev->vendor);
    for (const xmlNode *n = adze_target_child(level, "processor"); n;
         n = adze_target_next(n, "processor")) {
        char *name = adze_target_attr(&d->arena, n, "Pname");
        const char *only = processor ? processor : dev->processor;
        if (name && only && strcmp(name, only))
            continue;
        if (name)
            dev->processor = name;
        take(d, n, "Dcore", &dev->core);
        take(d, n, "Dfpu", &dev->fpu);
        take(d, n, "Dmve", &dev->mve);
        take(d, n, "Ddsp", &dev->dsp);
        take(d, n, "Dclock", &dev->clock);
    }
    return true;
}

static pack_fpu fpu_of(const char *s) {
    if (!s || !strcmp(s, "NO_FPU") || !strcmp(s, "0"))
        return FPU_NONE;
    if (!strcmp(s, "DP_FPU") || !strcmp(s, "2"))
        return FPU_DP;
    return FPU_SP;
}

/* Start-up memory first, then what is default, in the file's order: placing prefers the first. */
static unsigned rank(const pack_region *r) {
    return r->startup ? 0 : r->is_default ? 1 : 2;
}

/* Drops the rows of scalar floats that the device's FPU does not compute. */
static void drop_float_rows(adze_target *t) {
    unsigned most = t->fpu == ADZE_FPU_NONE ? 0 : t->fpu == ADZE_FPU_SINGLE ? 32 : 64;
    adze_instruction *rows = (adze_instruction *)t->instructions;
    size_t kept = 0;
    for (size_t i = 0; i < t->instruction_count; i++)
        if (rows[i].type.base != 'f' || rows[i].type.lanes != 1 || rows[i].type.bits <= most)
            rows[kept++] = rows[i];
    t->instruction_count = kept;
}

static bool set_regions(draft *d, const device *dev) {
    adze_region *out = adze_target_alloc(&d->arena, (dev->region_count + 1) * sizeof *out);
    if (!out)
        return adze_target_fail(d, NULL, "out of memory");
    size_t count = 0;
    for (unsigned wanted = 0; wanted <= 2; wanted++)
        for (size_t i = 0; i < dev->region_count; i++) {
            const adze_region *r = &dev->regions[i].region;
            bool overlaps = false;
            for (size_t j = 0; j < count; j++)
                overlaps |=
                    out[j].base < r->base + r->bytes && r->base < out[j].base + out[j].bytes;
            /* packs describe one memory more than once, as a whole and in parts */
            if (rank(&dev->regions[i]) == wanted && !overlaps)
                out[count++] = *r;
        }
    d->t.regions = out;
    d->t.region_count = count;
    return true;
}

static bool apply_device(draft *d, const char *dir, const device *dev, const char *name) {
    if (!dev->core)
        return adze_target_fail(d, NULL, "device '%.64s' names no core", name);
    pack_fpu fpu = fpu_of(dev->fpu);
    size_t row = 0, rows = sizeof cores / sizeof *cores;
    for (; row < rows; row++)
        if (!strcmp(cores[row].core, dev->core) &&
            (cores[row].fpu == FPU_ANY || cores[row].fpu == fpu) &&
            (!cores[row].lacks || (dev->mve && !strcmp(cores[row].lacks, dev->mve)) ||
             (dev->dsp && !strcmp(cores[row].lacks, dev->dsp))))
            break;
    if (row == rows)
        return adze_target_fail(d, NULL,
                                "device '%.64s' has core %.64s; known are Cortex-M3, M4, M7, M33 "
                                "and M55",
                                name, dev->core);
    const char *pack_file = d->file;
    if (!adze_target_load_draft(d, dir, cores[row].base))
        return false;
    d->file = pack_file;
    adze_target *t = &d->t;
    t->name = adze_target_strdup(&d->arena, name);
    t->description =
        adze_target_printf(&d->arena, "%s%s%s (%s), from a CMSIS-Pack",
                           dev->vendor ? dev->vendor : "", dev->vendor ? " " : "", name, dev->core);
    t->fpu = cores[row].has;
    if (cores[row].arch) {
        d->arch = cores[row].arch;
        for (size_t i = 0; i < d->compiler_count; i++)
            d->compilers[i].arch = NULL;
    }
    if (!cores[row].rows) {
        t->vectors = (adze_vector_registers){0};
        t->vector_type_count = t->instruction_count = 0;
    }
    drop_float_rows(t);
    t->run = (adze_run){.kind = ADZE_RUN_NONE,
                        .reason = "a device from a pack: flash it with your own tools"};
    t->clock = (adze_clock){.kind = ADZE_CLOCK_SYSTICK,
                            .ticks_per_second = dev->clock ? strtod(dev->clock, NULL) : 0};
    return set_regions(d, dev);
}

static bool load(draft *d, const char *dir, const xmlDoc *doc, const char *name) {
    /* "DEVICE:PROCESSOR" picks one of several cores */
    size_t length = strcspn(name, ":");
    const char *processor = name[length] ? name + length + 1 : NULL;
    search s = {.wanted = adze_target_strndup(&d->arena, name, length)};
    const xmlNode *devices = adze_target_child(xmlDocGetRootElement(doc), "devices");
    if (!s.wanted)
        return adze_target_fail(d, NULL, "out of memory");
    if (!devices)
        return adze_target_fail(d, NULL, "no <devices>: not a description of devices");
    if (!find(d, &s, devices, 0, 0)) {
        const char *nearest = adze_target_nearest(s.wanted, s.names, s.name_count);
        return adze_target_fail(d, NULL, "no device '%.64s' among %zu%s%s%s", s.wanted,
                                s.name_count, nearest ? "; did you mean '" : "",
                                nearest ? nearest : "", nearest ? "'?" : "");
    }
    device *dev = adze_target_alloc(&d->arena, sizeof *dev);
    if (!dev)
        return adze_target_fail(d, NULL, "out of memory");
    for (size_t i = 0; i < s.depth; i++)
        if (!read_level(d, dev, s.path[i], processor))
            return false;
    if (processor && (!dev->processor || strcmp(processor, dev->processor)))
        return adze_target_fail(d, NULL, "device '%.64s' has no processor '%.64s'", s.wanted,
                                processor);
    for (size_t i = 0; i < s.depth; i++)
        for (const xmlNode *n = adze_target_child(s.path[i], "memory"); n;
             n = adze_target_next(n, "memory"))
            if (!read_memory(d, dev, n))
                return false;
    return apply_device(d, dir, dev, s.wanted);
}

adze_target *adze_target_load_pack(const char *dir, const char *pdsc, const char *device_name,
                                   char err[ADZE_TARGET_ERR]) {
    char unused[ADZE_TARGET_ERR];
    draft d = {.err = err ? err : unused};
    d.err[0] = 0;
    xmlDoc *doc = adze_target_parse_xml(&d, pdsc);
    session s = {0};
    bool ok = doc && adze_target_open_session(&d, &s, dir) && load(&d, dir, doc, device_name);
    adze_target_close_session(&s);
    d.session = NULL;
    xmlFreeDoc(doc);
    if (!ok) {
        adze_target_arena_free(&d.arena);
        return NULL;
    }
    return adze_target_finish(&d);
}
