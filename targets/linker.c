/* linker.c — where each part of a bare-metal image goes, and the linker script that says so.
 *
 *   region with the stack:   [ data | state | scratch | … free … | stack ]
 *   region with the code:    [ vectors | text | rodata | load image of .data ]
 *
 * The stack is cut off its region's end as a memory of its own, so a region that overflows is
 * the linker's own error, with the bytes.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 6, PART_ALIGN = 64, STACK_ALIGN = 16 };

static uint64_t align_up(uint64_t bytes, uint64_t align) {
    return bytes > UINT64_MAX - align ? UINT64_MAX : (bytes + align - 1) / align * align;
}

static uint64_t stack_bytes(const adze_target *t, const adze_link_sizes *sizes) {
    return align_up(sizes->stack ? sizes->stack : t->stack_bytes, STACK_ALIGN);
}

bool adze_target_place(const adze_target *t, const adze_link_sizes *sizes,
                       adze_placement *placement, uint64_t *missing_bytes,
                       char err[ADZE_TARGET_ERR]) {
    char unused[ADZE_TARGET_ERR];
    draft d = {.err = err ? err : unused};
    d.err[0] = 0;
    uint64_t none;
    if (!missing_bytes)
        missing_bytes = &none;
    *missing_bytes = 0;
    *placement = (adze_placement){0};

    const struct {
        unsigned role;
        uint64_t bytes;
        size_t *region;
    } parts[PARTS] = {
        {ADZE_ROLE_STACK, stack_bytes(t, sizes), &placement->stack},
        {ADZE_ROLE_DATA, sizes->data, &placement->data},
        {ADZE_ROLE_CODE, sizes->code, &placement->code},
        {ADZE_ROLE_STATE, sizes->state, &placement->state},
        {ADZE_ROLE_SCRATCH, sizes->scratch, &placement->scratch},
        {ADZE_ROLE_WEIGHTS, sizes->weights, &placement->weights},
    };
    uint64_t *used = calloc(t->region_count + 1, sizeof *used);
    if (!used)
        return adze_target_fail(&d, NULL, "out of memory");
    bool ok = true;
    for (size_t p = 0; ok && p < PARTS; p++) {
        uint64_t bytes = align_up(parts[p].bytes, PART_ALIGN), most = 0;
        text tried = {0};
        size_t r = 0;
        for (; r < t->region_count; r++) {
            const adze_region *region = &t->regions[r];
            if (!(region->roles & parts[p].role))
                continue;
            uint64_t left = region->bytes > used[r] ? region->bytes - used[r] : 0;
            if (bytes <= left)
                break;
            if (left > most)
                most = left;
            adze_target_text(&tried, "%s%s has %" PRIu64 " of %" PRIu64 " left",
                             tried.length ? ", " : "", region->name, left, region->bytes);
        }
        if (r < t->region_count) {
            *parts[p].region = r;
            used[r] += bytes;
        } else {
            *missing_bytes = bytes - most;
            ok = adze_target_fail(&d, NULL,
                                  "target '%.64s': %s needs %" PRIu64 " bytes, %" PRIu64
                                  " more than there are (%.300s)",
                                  t->name, adze_target_role_name(parts[p].role), bytes,
                                  *missing_bytes, tried.data ? tried.data : "no region holds it");
        }
        free(tried.data);
    }
    free(used);
    return ok;
}

/* Which parts of the image lie in which region, for the symbols of its use. */
typedef struct {
    const char *section;
    size_t region;
    bool load_image; /* also counts in the code's region */
} placed_section;

char *adze_target_linker_script(const adze_target *t, const adze_link_sizes *sizes,
                                char err[ADZE_TARGET_ERR]) {
    char unused[ADZE_TARGET_ERR];
    draft d = {.err = err ? err : unused};
    d.err[0] = 0;
    if (!t->bare) {
        adze_target_fail(&d, NULL, "target '%.64s' has an operating system: no linker script",
                         t->name);
        return NULL;
    }
    adze_placement at;
    if (!adze_target_place(t, sizes, &at, NULL, err))
        return NULL;

    const adze_region *r = t->regions;
    const char *code = r[at.code].name, *weights = r[at.weights].name, *data = r[at.data].name;
    const char *state = r[at.state].name, *scratch = r[at.scratch].name;
    /* the processor starts at the beginning of the first region with code, wherever the rest is */
    size_t reset_region = 0;
    while (!(r[reset_region].roles & ADZE_ROLE_CODE))
        reset_region++;
    const char *reset = r[reset_region].name;
    uint64_t stack = stack_bytes(t, sizes);
    bool arm = !strcmp(t->arch, "arm");

    text s = {0};
    adze_target_text(&s, "/* Memory of %s. Made by adze from the target's regions. */\n\n",
                     t->name);
    adze_target_text(&s, "ENTRY(%s)\n\nMEMORY\n{\n", "adze_board_reset");
    for (size_t i = 0; i < t->region_count; i++) {
        uint64_t bytes = r[i].bytes - (i == at.stack ? stack : 0);
        adze_target_text(&s,
                         "    %-12s (rwx) : ORIGIN = 0x%08" PRIx64 ", LENGTH = 0x%08" PRIx64 "\n",
                         r[i].name, r[i].base, bytes);
        if (i == at.stack)
            adze_target_text(
                &s, "    %-12s (rw)  : ORIGIN = 0x%08" PRIx64 ", LENGTH = 0x%08" PRIx64 "\n",
                "stack", r[i].base + bytes, stack);
    }
    adze_target_text(&s, "}\n\nSECTIONS\n{\n");
    adze_target_text(&s,
                     "    .vectors :\n    {\n"
                     "        KEEP(*(.vectors .vectors.*))\n"
                     "        . = ALIGN(4);\n"
                     "    } > %s\n\n",
                     reset);
    adze_target_text(&s,
                     "    .text :\n    {\n"
                     "        *(.text .text.*)\n"
                     "        *(.gnu.linkonce.t.*)\n"
                     "        . = ALIGN(8);\n"
                     "    } > %s\n\n",
                     code);
    adze_target_text(&s,
                     "    .rodata :\n    {\n"
                     "        *(EXCLUDE_FILE(*_weights*.o *_weights*.obj) .rodata\n"
                     "          EXCLUDE_FILE(*_weights*.o *_weights*.obj) .rodata.*\n"
                     "          .srodata .srodata.*)\n"
                     "        . = ALIGN(8);\n"
                     "    } > %s\n\n",
                     code);
    adze_target_text(&s,
                     "    .weights : ALIGN(64)\n    {\n"
                     "        __adze_weights_start = .;\n"
                     "        *_weights*.o(.rodata .rodata.*)\n"
                     "        *_weights*.obj(.rodata .rodata.*)\n"
                     "        *(.weights .weights.*)\n"
                     "        . = ALIGN(8);\n"
                     "        __adze_weights_end = .;\n"
                     "    } > %s\n\n",
                     weights);
    /* before .bss, whose pattern would take them too */
    adze_target_text(&s,
                     "    .state (NOLOAD) : ALIGN(64)\n    {\n"
                     "        __adze_state_start = .;\n"
                     "        *(.bss.state .bss.state.*)\n"
                     "        __adze_state_end = .;\n"
                     "    } > %s\n\n"
                     "    .scratch (NOLOAD) : ALIGN(64)\n    {\n"
                     "        __adze_scratch_start = .;\n"
                     "        *(.bss.scratch .bss.scratch.*)\n"
                     "        __adze_scratch_end = .;\n"
                     "    } > %s\n\n",
                     state, scratch);
    adze_target_text(&s,
                     "    .data : ALIGN(16)\n    {\n"
                     "        __adze_data_start = .;\n"
                     "        *(.data .data.*)\n"
                     "        __global_pointer$ = . + 0x800;\n"
                     "        *(.sdata .sdata.*)\n"
                     "        . = ALIGN(16);\n"
                     "        __adze_data_end = .;\n"
                     "    } > %s AT> %s\n"
                     "    __adze_data_load = LOADADDR(.data);\n\n",
                     data, code);
    /* .tbss takes no address of its own, so .bss leaves room for it: one thread, one copy */
    adze_target_text(&s,
                     "    .tbss : ALIGN(16) { *(.tbss .tbss.*) } > %s\n"
                     "    __adze_tls_start = ADDR(.tbss);\n\n"
                     "    .bss : ALIGN(16)\n    {\n"
                     "        __adze_bss_start = .;\n"
                     "        . += SIZEOF(.tbss);\n"
                     "        *(.sbss .sbss.* .bss .bss.* COMMON)\n"
                     "        . = ALIGN(16);\n"
                     "        __adze_bss_end = .;\n"
                     "    } > %s\n\n",
                     data, data);
    adze_target_text(
        &s,
        "    .stack (NOLOAD) :\n    {\n"
        "        __adze_stack_limit = .;\n"
        "        . += 0x%" PRIx64 ";\n"
        "        __adze_stack_top = .;\n"
        "    } > stack\n\n"
        "    /DISCARD/ : { *(.eh_frame .eh_frame.* .ARM.extab* .ARM.exidx* .note.*) }\n}\n\n",
        stack);

    /* bytes used of each region, for `make footprint` to read from the symbol table */
    const placed_section sections[] = {
        {".vectors", reset_region, false}, {".text", at.code, false}, {".rodata", at.code, false},
        {".weights", at.weights, false},   {".data", at.data, true},  {".state", at.state, false},
        {".scratch", at.scratch, false},   {".bss", at.data, false},  {".stack", at.stack, false},
    };
    for (size_t i = 0; i < t->region_count; i++) {
        adze_target_text(&s, "__adze_used_%s = 0", r[i].name);
        for (size_t j = 0; j < sizeof sections / sizeof *sections; j++) {
            if (sections[j].region == i)
                adze_target_text(&s, " + SIZEOF(%s)", sections[j].section);
            if (sections[j].load_image && at.code == i)
                adze_target_text(&s, " + SIZEOF(%s)", sections[j].section);
        }
        adze_target_text(&s, ";\n");
    }
    adze_target_text(&s,
                     "\nASSERT(__adze_stack_top - __adze_stack_limit == 0x%" PRIx64
                     ", \"the stack does not fit\")\n",
                     stack);
    if (arm)
        adze_target_text(&s, "ASSERT(SIZEOF(.vectors) >= 64, \"the vector table is missing\")\n");
    if (s.failed) {
        free(s.data);
        adze_target_fail(&d, NULL, "out of memory");
        return NULL;
    }
    return s.data;
}
