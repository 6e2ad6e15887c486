/* write.c — a target back to XML: flat, extending nothing. */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void escaped(text *out, const char *s) {
    for (; s && *s; s++) {
        if (*s == '&')
            adze_target_text(out, "&amp;");
        else if (*s == '<')
            adze_target_text(out, "&lt;");
        else if (*s == '>')
            adze_target_text(out, "&gt;");
        else if (*s == '"')
            adze_target_text(out, "&quot;");
        else
            adze_target_text(out, "%c", *s);
    }
}

static void attr(text *out, const char *name, const char *value) {
    if (!value)
        return;
    adze_target_text(out, " %s=\"", name);
    escaped(out, value);
    adze_target_text(out, "\"");
}

static void number(text *out, const char *name, uint64_t value) {
    adze_target_text(out, " %s=\"%" PRIu64 "\"", name, value);
}

static void real(text *out, const char *name, double value) {
    if (value != 0)
        adze_target_text(out, " %s=\"%.17g\"", name, value);
}

static void element(text *out, const char *indent, const char *name, const char *value) {
    adze_target_text(out, "%s<%s>", indent, name);
    escaped(out, value);
    adze_target_text(out, "</%s>\n", name);
}

static void words(text *out, const char *const *argv, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i)
            adze_target_text(out, " ");
        escaped(out, argv[i]);
    }
}

static void write_compilers(text *out, const adze_target *t) {
    static const char language[] = "-std=c11 -ffp-contract=off";
    size_t skip = strlen(language);
    adze_target_text(out, "  <flags>\n");
    element(out, "    ", "language", language);
    element(out, "    ", "libs", t->compilers[0].libs);
    adze_target_text(out, "  </flags>\n  <compilers>\n");
    for (size_t i = 0; i < t->compiler_count; i++) {
        const adze_compiler *c = &t->compilers[i];
        adze_target_text(out, "    <compiler");
        attr(out, "cc", c->cc);
        attr(out, "link", c->link);
        size_t prefix = strlen(c->nm_tool) - strlen("nm");
        adze_target_text(out, " tools=\"%.*s\">\n", (int)prefix, c->nm_tool);
        if (c->cflags[skip])
            element(out, "      ", "cflags", c->cflags + skip + 1);
        if (*c->ldflags)
            element(out, "      ", "ldflags", c->ldflags);
        adze_target_text(out, "    </compiler>\n");
    }
    adze_target_text(out, "  </compilers>\n");
}

static void write_run(text *out, const adze_target *t) {
    const adze_run *run = &t->run;
    adze_target_text(out, "  <run");
    attr(out, "kind", adze_target_run_kind_name(run->kind));
    if (run->kind == ADZE_RUN_NONE) {
        adze_target_text(out, ">\n");
        element(out, "    ", "reason", run->reason);
        adze_target_text(out, "  </run>\n");
        return;
    }
    adze_target_text(out, " takes-args=\"%s\">\n    <command>", run->takes_args ? "yes" : "no");
    words(out, run->argv, run->argc);
    adze_target_text(out, "</command>\n");
    if (run->count_argc) {
        adze_target_text(out, "    <count>");
        words(out, run->count_argv, run->count_argc);
        adze_target_text(out, "</count>\n");
    }
    for (size_t i = 0; i < run->variant_count; i++) {
        adze_target_text(out, "    <variant");
        attr(out, "name", run->variants[i].name);
        adze_target_text(out, ">");
        words(out, run->variants[i].argv, run->variants[i].argc);
        adze_target_text(out, "</variant>\n");
    }
    adze_target_text(out, "  </run>\n");
}

static void write_memory(text *out, const adze_target *t) {
    adze_target_text(out, "  <memory>\n");
    for (size_t i = 0; i < t->region_count; i++) {
        const adze_region *r = &t->regions[i];
        adze_target_text(out, "    <region name=\"%s\" base=\"0x%" PRIx64 "\"", r->name, r->base);
        number(out, "bytes", r->bytes);
        attr(out, "kind", adze_target_region_kind_name(r->kind));
        adze_target_text(out, " holds=\"");
        const char *gap = "";
        for (unsigned role = ADZE_ROLE_CODE; role <= ADZE_ROLE_STACK; role <<= 1)
            if (r->roles & role) {
                adze_target_text(out, "%s%s", gap, adze_target_role_name(role));
                gap = " ";
            }
        adze_target_text(out, "\"");
        real(out, "read-bytes-per-cycle", r->read_bytes_per_cycle);
        adze_target_text(out, "/>\n");
    }
    adze_target_text(out, "  </memory>\n");
}

static void write_caches(text *out, const adze_target *t) {
    adze_target_text(out, "  <caches>\n");
    for (size_t i = 0; i < t->cache_count; i++) {
        const adze_cache *c = &t->caches[i];
        adze_target_text(out, "    <cache");
        attr(out, "kind", c->kind == 'd' ? "data" : c->kind == 'i' ? "instruction" : "unified");
        number(out, "level", c->level);
        number(out, "bytes", c->bytes);
        number(out, "line-bytes", c->line_bytes);
        number(out, "ways", c->ways);
        number(out, "shared-by", c->shared_by);
        adze_target_text(out, "/>\n");
    }
    adze_target_text(out, "  </caches>\n");
}

static bool has_hwcap(const adze_target *t) {
    return t->feature_count && t->features[0].hwcap;
}

static void write_hwcap(text *out, const adze_target *t) {
    if (!has_hwcap(t))
        return;
    adze_target_text(out, "  <hwcap>\n");
    for (size_t i = 0; i < t->feature_count; i++) {
        adze_target_text(out, "    <feature");
        attr(out, "name", t->features[i].name);
        adze_target_text(out, " word=\"%u\" bit=\"%u\"/>\n", t->features[i].hwcap, t->features[i].bit);
    }
    adze_target_text(out, "  </hwcap>\n");
}

static void write_cpuid(text *out, const adze_target *t) {
    if (t->feature_count == 0 || has_hwcap(t))
        return;
    adze_target_text(out, "  <cpuid>\n");
    for (size_t i = 0; i < t->feature_count; i++) {
        const adze_cpu_feature *f = &t->features[i];
        adze_target_text(out, "    <feature");
        attr(out, "name", f->name);
        adze_target_text(out, " leaf=\"0x%x\" subleaf=\"%u\" register=\"e%cx\" bit=\"%u\"", f->leaf,
                         f->subleaf, f->reg, f->bit);
        adze_target_text(out, " xcr0=\"0x%x\"", f->xcr0);
        attr(out, "cflag", f->cflag);
        adze_target_text(out, "/>\n");
    }
    adze_target_text(out, "  </cpuid>\n");
}

static void write_instructions(text *out, const adze_target *t) {
    adze_target_text(out, "  <vectors");
    number(out, "count", t->vectors.count);
    number(out, "bits", t->vectors.bits);
    attr(out, "scalable", t->vectors.scalable ? "yes" : "no");
    number(out, "masks", t->vectors.mask_count);
    adze_target_text(out, ">\n");
    for (size_t i = 0; i < t->vector_type_count; i++) {
        const adze_vector_type *v = &t->vector_types[i];
        adze_target_text(out, "    <type");
        attr(out, "name", v->type.spelling);
        attr(out, "c", v->c_type);
        attr(out, "header", v->header);
        adze_target_text(out, "/>\n");
    }
    adze_target_text(out, "  </vectors>\n  <instructions>\n");
    for (size_t i = 0; i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        adze_target_text(out, "    <instruction");
        attr(out, "name", row->name);
        attr(out, "type", row->type.spelling);
        if (strcmp(row->type.spelling, row->result.spelling))
            attr(out, "result", row->result.spelling);
        adze_target_text(out, " operands=\"");
        for (size_t j = 0; j < row->operand_count; j++)
            adze_target_text(out, "%s%s", j ? " " : "", row->operands[j].spelling);
        adze_target_text(out, "\"");
        attr(out, "header", row->header);
        attr(out, "needs", row->needs);
        real(out, "cycles", row->cycles);
        adze_target_text(out, ">");
        escaped(out, row->c);
        adze_target_text(out, "</instruction>\n");
    }
    adze_target_text(out, "  </instructions>\n");
}

static void write_list(text *out, const char *list, const char *item, const char *const *names,
                       size_t count) {
    if (count == 0)
        return;
    adze_target_text(out, "  <%s>\n", list);
    for (size_t i = 0; i < count; i++)
        element(out, "    ", item, names[i]);
    adze_target_text(out, "  </%s>\n", list);
}

char *adze_target_to_xml(const adze_target *t) {
    static const char *const fpu[] = {"none", "single", "double"};
    static const char *const clock[] = {"monotonic", "systick", "instret"};
    text out = {0};
    adze_target_text(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<target");
    attr(&out, "name", t->name);
    adze_target_text(&out, ">\n");
    element(&out, "  ", "description", t->description);
    adze_target_text(&out, "  <machine");
    attr(&out, "arch", t->arch);
    attr(&out, "triple", t->triple);
    attr(&out, "mca", t->mca);
    number(&out, "pointer-bits", t->pointer_bits);
    attr(&out, "endian", t->endian == ADZE_ENDIAN_BIG ? "big" : "little");
    attr(&out, "fpu", fpu[t->fpu]);
    attr(&out, "bare", t->bare ? "yes" : "no");
    attr(&out, "pthreads", t->has_pthreads ? "yes" : "no");
    attr(&out, "incbin", t->has_incbin ? "yes" : "no");
    number(&out, "max-align", t->max_align);
    number(&out, "cores", t->cores);
    number(&out, "stack-bytes", t->stack_bytes);
    adze_target_text(&out, "/>\n");
    write_compilers(&out, t);
    write_run(&out, t);
    adze_target_text(&out, "  <clock");
    attr(&out, "kind", clock[t->clock.kind]);
    real(&out, "ticks-per-second", t->clock.ticks_per_second);
    real(&out, "instructions-per-tick", t->clock.instructions_per_tick);
    adze_target_text(&out, "/>\n");
    write_memory(&out, t);
    write_caches(&out, t);
    write_cpuid(&out, t);
    write_hwcap(&out, t);
    write_instructions(&out, t);
    adze_target_text(&out, "  <costs>\n");
    for (size_t i = 0; i < t->cost_count; i++) {
        adze_target_text(&out, "    <cost");
        attr(&out, "name", t->costs[i].name);
        adze_target_text(&out, " value=\"%.17g\"/>\n", t->costs[i].value);
    }
    adze_target_text(&out, "  </costs>\n");
    write_list(&out, "board", "file", t->board_files, t->board_file_count);
    write_list(&out, "packages", "package", t->packages, t->package_count);
    adze_target_text(&out, "</target>\n");
    if (out.failed) {
        free(out.data);
        return NULL;
    }
    return out.data;
}
