/* The target layer: every file of targets/ loads and means what it says; broken files are named
 * errors; linker scripts and packs; instruction rows compile; the bare boards start and stop.
 *
 * The last two need cross compilers and emulators: what is not installed is said and skipped.
 * One test alone: give its name as the argument. */
#define _POSIX_C_SOURCE 200809L
#include "targets/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char dir[] = ADZE_SOURCE_DIR "/targets";
static const char boards[] = ADZE_SOURCE_DIR "/runtime/boards";
static char err[ADZE_TARGET_ERR];
static char work[] = "/tmp/adze-test-targets-XXXXXX";

/* ---- helpers ---- */

static void write_file(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", work, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *in_work(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

static adze_target *load(const char *name) {
    adze_target *t = adze_target_load(dir, name, err);
    if (!t)
        fail_msg("%s: %s", name, err);
    assert_string_equal(err, "");
    return t;
}

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("'%s'\n  lacks '%s'", text, part);
}

/* ---- the files ---- */

static void every_target_loads(void **state) {
    (void)state;
    char **names;
    size_t count;
    assert_true(adze_target_list(dir, &names, &count, err));
    assert_true(count >= 27);
    for (size_t i = 0; i < count; i++) {
        adze_target *t = load(names[i]);
        assert_string_not_equal(t->name, "native");
        assert_true(t->compiler_count > 0 && t->package_count > 0);
        for (size_t c = 0; c < t->compiler_count; c++) {
            assert_contains(t->compilers[c].cflags, "-std=c11 -ffp-contract=off");
            assert_int_equal(t->bare, strstr(t->compilers[c].ldflags, "{script}") != NULL);
        }
        for (size_t f = 0; f < t->board_file_count; f++) {
            char path[256];
            snprintf(path, sizeof path, "%s/%s", boards, t->board_files[f]);
            if (access(path, R_OK))
                fail_msg("%s: board file %s is missing", names[i], path);
        }
        /* every vector type that a row uses can be spelled */
        for (size_t r = 0; r < t->instruction_count; r++) {
            const adze_instruction *row = &t->instructions[r];
            for (size_t o = 0; o <= row->operand_count; o++) {
                const adze_value_type *v = o ? &row->operands[o - 1] : &row->result;
                if (adze_value_type_is_vector(v) && !adze_target_vector_type(t, v->spelling))
                    fail_msg("%s: %s uses %s, which <vectors> does not spell", names[i], row->name,
                             v->spelling);
            }
        }
        adze_target_free(t);
    }
    free(names);
}

static void flat_xml_loads_back(void **state) {
    (void)state;
    static const char *const names[] = {"native",     "sapphirerapids", "armv9-sve",
                                        "cortex-m55", "riscv32-bare",   "wasm32-simd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        adze_target *t = load(names[i]);
        char *xml = adze_target_to_xml(t);
        assert_non_null(xml);
        write_file("flat.xml", xml);
        adze_target *again = load(in_work("flat.xml"));
        char *xml_again = adze_target_to_xml(again);
        assert_string_equal(xml, xml_again);
        free(xml);
        free(xml_again);
        adze_target_free(t);
        adze_target_free(again);
    }
}

static void facts_of_cortex_m55(void **state) {
    (void)state;
    adze_target *t = load("cortex-m55");
    assert_true(t->bare && !t->has_pthreads && t->has_incbin);
    assert_int_equal(t->pointer_bits, 32);
    assert_int_equal(t->fpu, ADZE_FPU_DOUBLE);
    assert_int_equal(t->run.kind, ADZE_RUN_QEMU_SYSTEM);
    assert_true(t->clock.instructions_per_tick == 31.25);
    assert_string_equal(t->regions[0].name, "itcm");
    assert_true(t->regions[0].bytes == 512 * 1024 && t->regions[0].roles == ADZE_ROLE_CODE);
    const adze_instruction *fma = adze_target_instruction(t, "vector.fma", "f32x4");
    assert_non_null(fma);
    char *c = adze_target_instruction_c(t, fma, (const char *[]){"a", "b", "c"}, 3, NULL, NULL);
    assert_string_equal(c, "vfmaq_f32(c, a, b)");
    free(c);
    assert_null(adze_target_instruction_c(t, fma, (const char *[]){"a"}, 1, NULL, NULL));
    assert_null(adze_target_instruction(t, "vector.fma", "f32x8"));
    adze_target_free(t);
}

static void inheritance(void **state) {
    (void)state;
    adze_target *v3 = load("x86-64-v3"), *vnni = load("x86-64-v3-vnni"),
                *spr = load("sapphirerapids");
    assert_null(adze_target_instruction(v3, "dot4.us", "s32x8"));
    assert_non_null(adze_target_instruction(vnni, "dot4.us", "s32x8"));
    assert_non_null(adze_target_instruction(spr, "dot4.us", "s32x16"));
    assert_non_null(adze_target_instruction(spr, "vector.add", "f32x4")); /* from x86-64 */
    assert_true(adze_target_has_feature(spr, "amx-int8") &&
                !adze_target_has_feature(v3, "avx512f"));
    assert_true(adze_target_cost(spr, "fma.f32.per_cycle", 0) == 32);
    assert_int_equal(adze_target_data_cache(spr, 1)->bytes, 48 * 1024);
    adze_target_free(v3);
    adze_target_free(vnni);
    adze_target_free(spr);

    adze_target *plus = load("x86-64-v4+avx512vnni");
    assert_string_equal(plus->name, "x86-64-v4+avx512vnni");
    assert_contains(plus->cflags, "-march=x86-64-v4 -mavx512vnni");
    assert_non_null(adze_target_instruction(plus, "dot4.us", "s32x16"));
    adze_target_free(plus);
}

/* ---- broken files ---- */

#define HEAD "<?xml version=\"1.0\"?>\n"
/* Words of a list. */
#define MANY "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18"
#define BOARD(name, extends, rest)                                                                 \
    HEAD "<target name=\"" name "\" extends=\"" extends "\">\n<description>d</description>\n" rest \
         "</target>\n"

static void broken_files_are_named_errors(void **state) {
    (void)state;
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"no-xml.xml", "<target", "no-xml.xml:1: "},
        {"root.xml", HEAD "<board/>", "root.xml:2: "},
        {"element.xml", BOARD("element", "cortex-m4", "<memroy/>"), "element.xml:4: "},
        {"bytes.xml",
         BOARD("bytes", "cortex-m4",
               "<memory><region name=\"a\" base=\"0\" bytes=\"4Q\" kind=\"sram\" "
               "holds=\"code\"/></memory>"),
         "bytes.xml:4: "},
        {"overlap.xml",
         BOARD("overlap", "cortex-m4",
               "<memory>\n<region name=\"a\" base=\"0\" bytes=\"4M\" kind=\"sram\" "
               "holds=\"code weights\"/>\n<region name=\"b\" base=\"2M\" bytes=\"4M\" "
               "kind=\"sram\" holds=\"data stack state scratch\"/></memory>"),
         "overlap.xml:6: regions a and b overlap"},
        {"roles.xml",
         BOARD("roles", "cortex-m4",
               "<memory><region name=\"a\" base=\"0\" bytes=\"4M\" kind=\"sram\" "
               "holds=\"code weights data stack\"/></memory>"),
         "roles.xml: no memory region holds scratch"},
        {"end.xml",
         BOARD("end", "cortex-m4",
               "<memory><region name=\"a\" base=\"0xffff0000\" bytes=\"4M\" kind=\"sram\" "
               "holds=\"code weights data stack state scratch\"/></memory>"),
         "region a ends beyond 32 bits"},
        {"operand.xml",
         BOARD("operand", "x86-64",
               "<instructions><instruction name=\"x\" type=\"f32x4\" operands=\"f32\">f($1)"
               "</instruction></instructions>"),
         "operand.xml:4: instruction x uses operand $1 of 1"},
        {"field.xml",
         BOARD("field", "x86-64",
               "<instructions><instruction for=\"a b\" name=\"x.@0\" type=\"f32x4\" operands=\"\">"
               "f@1()</instruction></instructions>"),
         "field.xml:4: 'f@1()' names a field that `for` does not have"},
        {"type.xml",
         BOARD("type", "x86-64",
               "<instructions><instruction for=\"9\" name=\"x\" type=\"s@0x4\" operands=\"\">"
               "f()</instruction></instructions>"),
         "type.xml:4: 's9x4' is not a value type"},
        {"lanes.xml",
         BOARD("lanes", "x86-64",
               "<instructions><instruction name=\"x\" type=\"f32xN\" operands=\"\">f()"
               "</instruction></instructions>"),
         "lanes.xml:4: "},
        {"list.xml",
         BOARD("list", "x86-64",
               "<instructions><instruction for=\"a;\" name=\"x\" type=\"f32\" operands=\"\">f()"
               "</instruction></instructions>"),
         "list.xml:4: for: an empty list"},
        {"choices.xml",
         BOARD("choices", "x86-64",
               "<instructions><instruction for=\"" MANY ";" MANY ";" MANY ";" MANY "\" name=\"x\" "
               "type=\"f32\" operands=\"\">f()</instruction></instructions>"),
         "choices.xml:4: for: more than 4096 choices"},
        {"nothing.xml",
         BOARD("nothing", "x86-64",
               "<instructions><instruction for=\":\" name=\"x\" type=\"@0\" operands=\"\">f()"
               "</instruction></instructions>"),
         "nothing.xml:4: '' is not a value type"},
        {"wide.xml",
         BOARD("wide", "x86-64",
               "<instructions><instruction for=\"10000\" name=\"x\" type=\"f32x@0\" operands=\"\">f()"
               "</instruction></instructions>"),
         "wide.xml:4: 'f32x10000' is not a value type"},
        {"operands.xml",
         BOARD("operands", "x86-64",
               "<instructions><instruction name=\"x\" type=\"f32\" operands=\"f32 f32 f32 f32 f32 f32 "
               "f32 f32 f32 f32 f32\">f()</instruction></instructions>"),
         "operands.xml:4: instruction x has more than 10 operands"},
        {"language.xml",
         BOARD("language", "x86-64", "<flags><language>-std=gnu11</language></flags>"),
         "must begin with -std=c11 -ffp-contract=off"},
        {"parent.xml", BOARD("parent", "cortex-m99", ""),
         "parent.xml:2: extends 'cortex-m99', which is not there"},
        {"self.xml", BOARD("self", "self", ""), "a cycle"},
        {"a.xml", BOARD("a", "b", ""), "a cycle"},
    };
    write_file("b.xml", BOARD("b", "a", ""));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(cases[i].file, cases[i].text);
        adze_target *t = adze_target_load(dir, in_work(cases[i].file), err);
        if (t)
            fail_msg("%s loads", cases[i].file);
        assert_contains(err, cases[i].says);
    }
}

static void unknown_names(void **state) {
    (void)state;
    assert_null(adze_target_load(dir, "cortex-m5", err));
    assert_contains(err, "no target 'cortex-m5'; did you mean 'cortex-m");
    assert_null(adze_target_load(dir, "m33", err));
    assert_contains(err, "did you mean 'cortex-m33'");
    assert_null(adze_target_load(dir, "bare", err));
    assert_contains(err, "only there to be extended");
    assert_null(adze_target_load(dir, "x86-64-v3+avx1024", err));
    assert_contains(err, "no known feature 'avx1024'");
    assert_null(adze_target_load(dir, "", err));
    assert_null(adze_target_load(dir, "../targets", err));
    assert_null(adze_target_load(dir, "./no-such.xml", err));
    assert_null(adze_target_load("/nonexistent", "cortex-m4", err));
    assert_contains(err, "/nonexistent/target.rng");
    assert_null(adze_target_load(dir, "qqqqqqqqqqqqqqqq", NULL));
}

/* ---- placing and linking ---- */

static void placing(void **state) {
    (void)state;
    enum { MB = 1 << 20 };
    adze_target *t = load("cortex-m4");
    adze_placement at;
    uint64_t missing;
    adze_link_sizes sizes = {.code = MB, .weights = 2 * MB, .scratch = MB};
    assert_true(adze_target_place(t, &sizes, &at, &missing, err));
    assert_string_equal(t->regions[at.weights].name, "ssram1");
    assert_string_equal(t->regions[at.scratch].name, "ssram23");
    sizes.weights = 10 * MB; /* no longer beside the code */
    sizes.scratch = 5 * MB;
    assert_true(adze_target_place(t, &sizes, &at, &missing, err));
    assert_string_equal(t->regions[at.weights].name, "psram");
    assert_string_equal(t->regions[at.scratch].name, "psram");
    sizes.weights = 12 * MB; /* 16 MB of PSRAM hold 5 and 11 */
    assert_false(adze_target_place(t, &sizes, &at, &missing, err));
    assert_int_equal(missing, MB);
    assert_contains(err, "'cortex-m4': weights needs 12582912 bytes, 1048576 more than");
    sizes.weights = UINT64_MAX;
    assert_false(adze_target_place(t, &sizes, &at, &missing, err));
    adze_target_free(t);
}

static void linker_script(void **state) {
    (void)state;
    adze_target *t = load("cortex-m4");
    adze_link_sizes sizes = {.code = 1000, .weights = 6 << 20, .stack = 8192};
    char *script = adze_target_linker_script(t, &sizes, err);
    assert_non_null(script);
    static const char *const parts[] = {
        "ENTRY(adze_board_reset)",
        "ssram23      (rwx) : ORIGIN = 0x20000000, LENGTH = 0x003fe000",
        "stack        (rw)  : ORIGIN = 0x203fe000, LENGTH = 0x00002000",
        "KEEP(*(.vectors .vectors.*))",
        "__adze_weights_end = .;\n    } > psram",
        "> ssram23 AT> ssram1",
        "__adze_used_psram = 0 + SIZEOF(.weights);",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_contains(script, parts[i]);
    free(script);
    sizes.scratch = (uint64_t)1 << 40;
    assert_null(adze_target_linker_script(t, &sizes, err));
    assert_contains(err, "scratch needs");
    adze_target_free(t);
    t = load("aarch64");
    assert_null(adze_target_linker_script(t, &sizes, err));
    adze_target_free(t);
}

/* ---- packs ---- */

static const char pack[] = HEAD
    "<package schemaVersion=\"1.7\"><devices>\n"
    "<family Dfamily=\"F\" Dvendor=\"Example:1\">\n"
    "  <processor Dcore=\"Cortex-M4\" Dfpu=\"SP_FPU\" Dclock=\"100000000\"/>\n"
    "  <memory id=\"IROM1\" start=\"0x08000000\" size=\"0x80000\" startup=\"1\" default=\"1\"/>\n"
    "  <memory id=\"IRAM1\" start=\"0x20000000\" size=\"0x20000\" default=\"1\"/>\n"
    "  <subFamily DsubFamily=\"F4\">\n"
    "    <memory name=\"CCM-RAM\" access=\"rw\" start=\"0x10000000\" size=\"0x10000\" "
    "default=\"0\"/>\n"
    "    <device Dname=\"EX407\">\n"
    "      <memory id=\"IROM1\" start=\"0x08000000\" size=\"0x100000\" startup=\"1\"/>\n"
    "      <variant Dvariant=\"EX407V\"/>\n"
    "    </device>\n"
    "    <device Dname=\"EX401\"><processor Dfpu=\"NO_FPU\"/></device>\n"
    "  </subFamily>\n"
    "  <device Dname=\"EX0\"><processor Dcore=\"Cortex-M0\"/></device>\n"
    "</family>\n"
    "<family Dfamily=\"G\"><processor Dcore=\"Cortex-M55\" Dfpu=\"DP_FPU\" Dmve=\"NO_MVE\"/>\n"
    "  <memory name=\"MRAM\" access=\"rx\" start=\"0x80000000\" size=\"0x200000\" startup=\"1\"/>\n"
    "  <memory name=\"DTCM\" access=\"rw\" start=\"0x20000000\" size=\"0x100000\"/>\n"
    "  <device Dname=\"EX55\"/>\n"
    "</family></devices></package>\n";

static void devices_of_a_pack(void **state) {
    (void)state;
    write_file("sample.pdsc", pack);
    char *path = in_work("sample.pdsc");

    adze_target *t = adze_target_load_pack(dir, path, "EX407V", err);
    if (!t)
        fail_msg("%s", err);
    assert_string_equal(t->name, "EX407V");
    assert_int_equal(t->run.kind, ADZE_RUN_NONE);
    assert_true(t->clock.ticks_per_second == 1e8);
    assert_int_equal(t->region_count, 3);
    assert_string_equal(t->regions[0].name, "irom1");
    assert_true(t->regions[0].bytes == 1 << 20 && t->regions[0].kind == ADZE_REGION_FLASH);
    assert_string_equal(t->regions[1].name, "iram1");
    assert_string_equal(t->regions[2].name, "ccm_ram");
    assert_contains(t->cflags, "-mcpu=cortex-m4");
    char *script = adze_target_linker_script(t, &(adze_link_sizes){.scratch = 100000}, err);
    assert_contains(script, "irom1        (rwx) : ORIGIN = 0x08000000");
    free(script);
    adze_target_free(t);

    t = adze_target_load_pack(dir, path, "EX401", err);
    assert_non_null(t);
    assert_int_equal(t->fpu, ADZE_FPU_NONE);
    assert_contains(t->cflags, "-mfloat-abi=soft");
    assert_non_null(adze_target_instruction(t, "dsp.smlad", "s32"));
    assert_null(adze_target_instruction(t, "vector.fma", "f32"));
    adze_target_free(t);

    t = adze_target_load_pack(dir, path, "EX55", err);
    assert_non_null(t);
    assert_int_equal(t->instruction_count, 0);
    assert_contains(t->cflags, "-mcpu=cortex-m55+nomve");
    assert_int_equal(t->regions[1].kind, ADZE_REGION_DTCM);
    adze_target_free(t);

    assert_null(adze_target_load_pack(dir, path, "EX0", err));
    assert_contains(err, "core Cortex-M0");
    assert_null(adze_target_load_pack(dir, path, "EX408", err));
    assert_contains(err, "did you mean 'EX407'?");
    assert_null(adze_target_load_pack(dir, in_work("none.pdsc"), "EX0", err));
    write_file("empty.pdsc", HEAD "<package/>");
    assert_null(adze_target_load_pack(dir, in_work("empty.pdsc"), "EX0", err));
    assert_contains(err, "no <devices>");
}

/* ---- with compilers ---- */

/* Fills "{key}" in a line; the result is static. */
static const char *filled(const char *line, const char *key, const char *value) {
    static char buffers[4][2048];
    static int next;
    char *out = buffers[next++ % 4];
    const char *at = strstr(line, key);
    if (at)
        snprintf(out, 2048, "%.*s%s%s", (int)(at - line), line, value, at + strlen(key));
    else
        snprintf(out, 2048, "%s", line);
    return out;
}

static int shell(const char *format, ...) {
    char line[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    int status = system(line);
    if (status < 0)
        return 1000;
    if ((status & 0x7f) != 0)
        return 1000;
    return status >> 8 & 0xff;
}

static void c_type(FILE *f, const adze_value_type *v) {
    if (v->base == 'v')
        fputs("void", f);
    else if (v->base == 'n')
        fputs("size_t", f);
    else if (adze_value_type_is_vector(v))
        fprintf(f, "V_%s", v->spelling);
    else if (v->base == 'h' || (v->base == 'f' && v->bits == 16))
        fprintf(f, "%suint16_t%s", v->pointer == '*' ? "const " : "", v->pointer ? " *" : "");
    else if (v->base == 'f')
        fprintf(f, "%s%s%s", v->pointer == '*' ? "const " : "", v->bits == 64 ? "double" : "float",
                v->pointer ? " *" : "");
    else
        fprintf(f, "%s%sint%u_t%s", v->pointer == '*' ? "const " : "", v->base == 'u' ? "u" : "",
                v->bits, v->pointer ? " *" : "");
}

/* One function per row, with the operand types that the row states. */
static void write_rows(const adze_target *t, FILE *f) {
    static const char *const args[] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"};
    static const char *const literals[] = {"1", "2", "3"}; /* tiles must be distinct */
    fprintf(f, "#include <stddef.h>\n#include <stdint.h>\n");
    for (size_t i = 0; i < t->instruction_count; i++)
        if (t->instructions[i].header)
            fprintf(f, "#include <%s>\n", t->instructions[i].header);
    for (size_t i = 0; i < t->vector_type_count; i++)
        fprintf(f, "typedef %s V_%s;\n", t->vector_types[i].c_type,
                t->vector_types[i].type.spelling);
    for (size_t i = 0; i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        c_type(f, &row->result);
        fprintf(f, " row_%zu(", i);
        const char *gap = "";
        const char *given[10];
        for (size_t o = 0; o < row->operand_count; o++) {
            given[o] = row->operands[o].base == '#' ? literals[o % 3] : args[o];
            if (row->operands[o].base == '#')
                continue;
            fputs(gap, f);
            c_type(f, &row->operands[o]);
            fprintf(f, " a%zu", o);
            gap = ", ";
        }
        if (strstr(row->c, "$vl")) {
            fprintf(f, "%ssize_t vl", gap);
            gap = ", ";
        }
        if (strstr(row->c, "$pg")) {
            fprintf(f, "%sV_b1xN4 pg", gap);
            gap = ", ";
        }
        char *c = adze_target_instruction_c(t, row, given, row->operand_count, "vl", "pg");
        assert_non_null(c);
        fprintf(f, "%s) { %s%s; } /* %s */\n", *gap ? "" : "void",
                row->result.base == 'v' ? "" : "return ", c, row->name);
        free(c);
    }
}

static void instruction_rows_compile(void **state) {
    (void)state;
    static const char *const names[] = {
        "x86-64",    "x86-64-v2", "x86-64-v3-vnni", "x86-64-v4",   "sapphirerapids", "armv8.6-i8mm",
        "armv9-sve", "riscv64-v", "cortex-m55",     "wasm32-simd", "cortex-m4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        adze_target *t = load(names[i]);
        FILE *f = fopen(in_work("rows.c"), "w");
        assert_non_null(f);
        write_rows(t, f);
        fclose(f);
        size_t tried = 0;
        for (size_t c = 0; c < t->compiler_count; c++) {
            const adze_compiler *k = &t->compilers[c];
            if (!adze_target_on_path(k->cc))
                continue;
            if (!strncmp(k->cc, "cc", 2) && adze_target_on_path("gcc"))
                continue; /* the same */
            tried++;
            if (shell(
                    "cd %s && %s %s -O1 -Wall -Wextra -Wconversion -Wpedantic -Werror -c rows.c -o "
                    "rows.o",
                    work, k->cc, k->cflags))
                fail_msg("%s: a row does not compile with %s", names[i], k->cc);
        }
        if (tried == 0)
            print_message("%s: no compiler here, rows not compiled\n", names[i]);
        adze_target_free(t);
    }
}

static const char program[] =
    "#include \"board.h\"\n"
    "#include <math.h>\n"
    "static ADZE_BOARD_SCRATCH unsigned char scratch[4096];\n"
    "static int set[2] = {3, 4}, clear[8];\n"
    "extern const float program_weights[4];\n"
    "static __attribute__((noinline)) int deep(int n, volatile char *p) {\n"
    "    volatile char here[256];\n"
    "    for (int i = 0; i < 256; i++) here[i] = (char)n;\n"
    "    p[0] = here[0];\n"
    "    return n ? deep(n - 1, here) + here[0] : 0;\n"
    "}\n"
    "int main(void) {\n"
    "    volatile char top[4];\n"
    "    for (int i = 0; i < 8; i++) if (clear[i]) return 1;\n"
    "    for (int i = 0; i < 4096; i++) scratch[i] = (unsigned char)i;\n"
    "    float sum = 0;\n"
    "    for (int i = 0; i < 4; i++) sum += program_weights[i] * (float)set[i % 2];\n"
    "    volatile float x = sum;\n"
    "    adze_board_puts(\"exp \");\n"
    "    adze_board_put_f(expf(x * 0.1f), 6);\n"
    "    adze_board_puts(expf(x * 1000) > 1e38f ? \" inf\\n\" : \" ?\\n\"); /* sets errno */\n"
    "    uint64_t before = adze_board_clock();\n"
    "    adze_board_stack_paint();\n"
    "    (void)deep(8, top);\n"
    "    size_t used = adze_board_stack_used();\n"
    "    if (adze_board_stack_bytes() && (used < 8 * 256 || used > 6000)) return 2;\n"
    "    if (adze_board_clock() < before) return 3;\n"
    "    return DEEP ? deep(DEEP, top) : 42 + (scratch[5] - 5);\n"
    "}\n";

static void run_program(const adze_target *t, const char *run, int want, const char *what) {
    const char *line = filled(filled(run, "{exe}", "exe"), "{boards}", boards);
    int got = shell("cd %s && timeout 60 %s > out.txt </dev/null", work, line);
    if (got != want)
        fail_msg("%s: %s ends with %d instead of %d: %s", t->name, what, got, want, line);
    char text[512];
    FILE *f = fopen(in_work("out.txt"), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_contains(text, "exp 1.52959e+00 inf\n");
    if (want == 70)
        assert_contains(text, "stack overflow");
}

static void join(char *line, size_t bytes, const char *const *argv, size_t argc) {
    line[0] = 0;
    for (size_t i = 0; i < argc; i++) {
        strncat(line, i ? " " : "", bytes - strlen(line) - 1);
        strncat(line, argv[i], bytes - strlen(line) - 1);
    }
}

static void build(const adze_target *t, const adze_compiler *k, int deep) {
    char files[1024] = "program.c program_weights.c";
    for (size_t i = 0; i < t->board_file_count; i++) {
        const char *file = t->board_files[i];
        if (strcmp(file + strlen(file) - 2, ".c"))
            continue;
        size_t n = strlen(files);
        snprintf(files + n, sizeof files - n, " %s/%s", boards, file);
    }
    int status =
        shell("cd %s && rm -f *.o exe && for f in %s; do %s %s -DDEEP=%d -O2 -Wall -Wextra "
              "-Wconversion -Wpedantic -Werror -I%s -c $f || exit 1; done && %s %s *.o -o "
              "exe %s",
              work, files, k->cc, k->cflags, deep, boards, k->link,
              filled(k->ldflags, "{script}", "link.ld"), k->libs);
    if (status)
        fail_msg("%s: does not build with %s", t->name, k->cc);
}

static void programs_run(void **state) {
    (void)state;
    static const char *const names[] = {
        "portable",  "x86-64",     "aarch64",    "armv8.2-dotprod", "armv8.6-i8mm",
        "armv9-sve", "riscv64",    "riscv64-v",  "wasm32-simd",     "cortex-m4",
        "cortex-m7", "cortex-m33", "cortex-m55", "riscv32-bare",    "riscv64-bare"};
    write_file("program.c", program);
    write_file("program_weights.c",
               "extern const float program_weights[4];\n"
               "const float program_weights[4] = {0.5f, 0.25f, 0.25f, 0.25f};\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        adze_target *t = load(names[i]);
        const adze_compiler *k = adze_target_usable_compiler(t);
        bool emulated = t->run.kind != ADZE_RUN_NATIVE;
        if (!k || (emulated && !adze_target_on_path(t->run.argv[0]))) {
            print_message("%s: compiler or emulator is not here, not run\n", names[i]);
            adze_target_free(t);
            continue;
        }
        if (t->bare) {
            char *script = adze_target_linker_script(t, &(adze_link_sizes){0}, err);
            assert_non_null(script);
            write_file("link.ld", script);
            free(script);
        }
        char run[1024];
        join(run, sizeof run, t->run.argv, t->run.argc);
        const char *command = emulated ? run : "./{exe}";
        build(t, k, 0);
        run_program(t, command, 42, "a program");
        for (size_t v = 0; v < t->run.variant_count; v++) {
            join(run, sizeof run, t->run.variants[v].argv, t->run.variants[v].argc);
            run_program(t, run, 42, t->run.variants[v].name);
        }
        if (t->bare) {
            join(run, sizeof run, t->run.argv, t->run.argc);
            build(t, k, 200);
            run_program(t, run, 70, "a stack overflow");
        }
        adze_target_free(t);
    }
}

/* gcc 12 once dropped the store of -1, which the masked-off lane must keep. */
static void masked_store_keeps_the_other_lanes(void **state) {
    (void)state;
    adze_target *t = load("cortex-m55");
    const adze_instruction *load_row = adze_target_instruction(t, "vector.load", "f32x4");
    const adze_instruction *store = adze_target_instruction(t, "vector.store.masked", "f32x4");
    const adze_instruction *first = adze_target_instruction(t, "vector.mask.first", "b1x4");
    assert_true(load_row && store && first);
    char *value = adze_target_instruction_c(t, load_row, (const char *[]){"from"}, 1, NULL, NULL);
    char *mask = adze_target_instruction_c(t, first, (const char *[]){"3"}, 1, NULL, NULL);
    const char *args[] = {mask, "to", value};
    char *c = adze_target_instruction_c(t, store, args, 3, NULL, NULL);
    FILE *f = fopen(in_work("program.c"), "w");
    assert_non_null(f);
    fprintf(f,
            "#include <arm_mve.h>\n#include \"board.h\"\n"
            "static float from[4] = {1, 2, 3, 4}, to[4];\n"
            "int main(void) {\n    to[3] = -1;\n    %s;\n"
            "    adze_board_puts(\"exp 1.52959e+00 inf\\n\");\n"
            "    return to[2] == from[2] && to[3] == -1 ? 42 : 1 + DEEP;\n}\n",
            c);
    fclose(f);
    free(value);
    free(mask);
    free(c);
    write_file("program_weights.c", "extern const int none;\nconst int none = 0;\n");
    char *script = adze_target_linker_script(t, &(adze_link_sizes){0}, err);
    write_file("link.ld", script);
    free(script);
    char run[1024];
    join(run, sizeof run, t->run.argv, t->run.argc);
    for (size_t i = 0; i < t->compiler_count; i++) {
        const adze_compiler *k = &t->compilers[i];
        if (!adze_target_on_path(k->cc) || !adze_target_on_path(k->link) ||
            !adze_target_on_path(t->run.argv[0]))
            continue;
        build(t, k, 0);
        run_program(t, run, 42, "a masked store");
    }
    adze_target_free(t);
}

/* A region that overflows fails the link. */
static void an_overflow_fails_the_link(void **state) {
    (void)state;
    adze_target *t = load("cortex-m4");
    const adze_compiler *k = adze_target_usable_compiler(t);
    if (!k) {
        print_message("cortex-m4: no compiler here, not linked\n");
        adze_target_free(t);
        skip();
    }
    char *script = adze_target_linker_script(t, &(adze_link_sizes){.stack = 4096}, err);
    write_file("link.ld", script);
    free(script);
    write_file("fat.c", "static char fat[5 << 20];\nvoid adze_board_reset(void);\n"
                        "void adze_board_reset(void) { ((volatile char *)fat)[7] = 1; }\n");
    int status =
        shell("cd %s && %s %s -c fat.c -o fat.o && ! %s %s fat.o -o fat %s 2>log && "
              "grep -q \"region .ssram23' overflowed by\" log",
              work, k->cc, k->cflags, k->link, filled(k->ldflags, "{script}", "link.ld"), k->libs);
    assert_int_equal(status, 0);
    adze_target_free(t);
}

int main(int argc, char **argv) {
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(every_target_loads),
        cmocka_unit_test(flat_xml_loads_back),
        cmocka_unit_test(facts_of_cortex_m55),
        cmocka_unit_test(inheritance),
        cmocka_unit_test(broken_files_are_named_errors),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(placing),
        cmocka_unit_test(linker_script),
        cmocka_unit_test(devices_of_a_pack),
        cmocka_unit_test(instruction_rows_compile),
        cmocka_unit_test(programs_run),
        cmocka_unit_test(masked_store_keeps_the_other_lanes),
        cmocka_unit_test(an_overflow_fails_the_link),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!mkdtemp(work))
        return 1;
    int failed = cmocka_run_group_tests(all, NULL, NULL);
    shell("rm -rf %s", work);
    return failed;
}
