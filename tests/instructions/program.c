#include "program.h"

#include <stdlib.h>
#include <string.h>

static const adze_instruction *find(const adze_target *t, const char *name, const char *type,
                                    size_t n, const char *const *operands) {
    return adze_target_instruction_on(t, name, type, n, operands);
}

const adze_value_type *program_main_type(const adze_instruction *row) {
    if (adze_value_type_is_vector(&row->type))
        return &row->type;
    if (adze_value_type_is_vector(&row->result))
        return &row->result;
    for (size_t o = 0; o < row->operand_count; o++)
        if (adze_value_type_is_vector(&row->operands[o]))
            return &row->operands[o];
    return &row->type;
}

/* Whether lanes of a row's result depend on other lanes of an operand, so that all must be on. */
static bool whole(const adze_instruction *row, const meaning *m) {
    const adze_value_type *main = program_main_type(row);
    bool across = m->literal == 'l' || m->literal == '4';
    for (size_t o = 0; o < row->operand_count; o++) {
        const adze_value_type *v = &row->operands[o];
        across |= adze_value_type_is_vector(v) && v->lanes != main->lanes;
    }
    return across;
}

/* ---- the rows that bring operands in and results out ---- */

static const adze_instruction *loads(const adze_target *t, const char *type) {
    char pointer[32];
    snprintf(pointer, sizeof pointer, "%.*s*", (int)strcspn(type, "x"), type);
    const char *operands[] = {pointer};
    return find(t, "vector.load", type, 1, operands);
}
static const adze_instruction *stores(const adze_target *t, const char *type) {
    char pointer[32];
    snprintf(pointer, sizeof pointer, "%.*s!", (int)strcspn(type, "x"), type);
    const char *operands[] = {pointer, type};
    return find(t, "vector.store", type, 2, operands);
}
static const adze_instruction *selects(const adze_target *t, const char *mask, const char *type) {
    const char *operands[] = {mask, type, type};
    return find(t, "vector.select", type, 3, operands);
}
static const adze_instruction *compares(const adze_target *t, const char *type, const char *mask) {
    const char *operands[] = {type, type};
    const adze_instruction *row = find(t, "vector.cmp.gt", type, 2, operands);
    return row && !strcmp(row->result.spelling, mask) ? row : NULL;
}

const adze_value_type *program_carrier(const adze_target *t, const adze_value_type *mask) {
    for (size_t i = 0; i < t->vector_type_count; i++) {
        const adze_value_type *v = &t->vector_types[i].type;
        if (v->base == 's' && v->lanes == mask->lanes && v->scalable == mask->scalable &&
            loads(t, v->spelling) && stores(t, v->spelling) &&
            selects(t, mask->spelling, v->spelling) && compares(t, v->spelling, mask->spelling))
            return v;
    }
    return NULL;
}

/* The row `name` (vector.lanes, vector.length) of any type with as many lanes. */
static const adze_instruction *of_lanes(const adze_target *t, const char *name,
                                        const adze_value_type *like) {
    for (size_t i = 0; i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        if (!strcmp(row->name, name) && row->type.lanes == like->lanes && row->type.scalable)
            return row;
    }
    return NULL;
}

/* ---- C ---- */

static void c_type(FILE *f, const adze_value_type *v) {
    if (adze_value_type_is_vector(v))
        fprintf(f, "V_%s", v->spelling);
    else if (v->base == 'n')
        fputs("size_t", f);
    else if (v->base == 'h' || (v->base == 'f' && v->bits == 16))
        fputs("uint16_t", f);
    else if (v->base == 'f')
        fputs(v->bits == 64 ? "double" : "float", f);
    else
        fprintf(f, "%sint%u_t", v->base == 'u' ? "u" : "", v->bits);
}

/* "f32", "s8": the array that elements of a type come from. */
static const char *pool_of(const adze_value_type *v, char use) {
    bool tame = use == 't' && (v->base == 'f' || v->base == 'h');
    static char names[4][16];
    static int next;
    char *out = names[next++ % 4];
    if (use == 's' || use == 'i')
        snprintf(out, 16, "%s%u", use == 's' ? "shift" : "index", v->bits);
    else
        snprintf(out, 16, "%s%s%u", tame ? "tame_" : "",
                 v->base == 'h'   ? "bf"
                 : v->base == 'f' ? "f"
                 : v->base == 'u' ? "u"
                                  : "s",
                 v->bits);
    return out;
}

static bool expression(FILE *f, const adze_target *t, const adze_instruction *row,
                       const char *const *args) {
    char *c = adze_target_instruction_c(t, row, args, row->operand_count, "vl", "pg");
    if (c)
        fputs(c, f);
    else
        fprintf(stderr, "%s: %s %s: its C cannot be written\n", t->name, row->name,
                row->type.spelling);
    free(c);
    return c != NULL;
}

/* Whether some template of the target needs $vl or $pg. */
static bool target_uses(const adze_target *t, const char *what) {
    for (size_t i = 0; i < t->instruction_count; i++)
        if (strstr(t->instructions[i].c, what))
            return true;
    return false;
}

/* Declares vl and pg for `active` lanes of a type. */
static bool write_active(FILE *f, const adze_target *t, const adze_value_type *v) {
    if (!v->scalable)
        return true;
    const adze_instruction *length = of_lanes(t, "vector.length", v);
    if (target_uses(t, "$vl")) {
        const char *args[] = {"active"};
        if (!length)
            return fprintf(stderr, "%s: no vector.length for %s\n", t->name, v->spelling), false;
        fputs("    size_t vl = ", f);
        if (!expression(f, t, length, args))
            return false;
        fputs("; (void)vl;\n", f);
    }
    if (target_uses(t, "$pg")) {
        char mask[32];
        const char *args[] = {"active"}, *operands[] = {"index"};
        snprintf(mask, sizeof mask, "b1xN%u", v->lanes);
        const adze_instruction *first = find(t, "vector.mask.first", mask, 1, operands);
        if (!first)
            return fprintf(stderr, "%s: no vector.mask.first for %s\n", t->name, mask), false;
        fprintf(f, "    V_%s pg = ", mask);
        if (!expression(f, t, first, args))
            return false;
        fputs("; (void)pg;\n", f);
    }
    return true;
}

/* get_TYPE and put_TYPE: between memory and a vector, the first `active` lanes. */
static bool write_access(FILE *f, const adze_target *t, const adze_value_type *v) {
    const char *s = v->spelling;
    const adze_value_type *carrier = v->base == 'b' ? program_carrier(t, v) : v;
    char zeros[16], ones[16];
    snprintf(zeros, sizeof zeros, "zero%u", carrier->bits);
    snprintf(ones, sizeof ones, "one%u", carrier->bits);
    const char *in[] = {"p"}, *out[] = {"p", "x"}, *zero[] = {zeros}, *one[] = {ones};
    fprintf(f, "static inline V_%s get_%s(const ", s, s);
    c_type(f, &(adze_value_type){.base = carrier->base, .bits = carrier->bits, .lanes = 1});
    fprintf(f, " *p, size_t active) {\n    (void)active;\n");
    if (!write_active(f, t, carrier))
        return false;
    const adze_instruction *get = loads(t, carrier->spelling), *put = stores(t, carrier->spelling);
    if (v->base != 'b') {
        fputs("    return ", f);
        if (!expression(f, t, get, in))
            return false;
    } else {
        const char *both[] = {"a", "b"};
        fprintf(f, "    V_%s a = ", carrier->spelling);
        if (!expression(f, t, get, zero))
            return false;
        fprintf(f, ", b = ");
        if (!expression(f, t, get, in))
            return false;
        fprintf(f, ";\n    return ");
        if (!expression(f, t, compares(t, carrier->spelling, s), both))
            return false;
    }
    fprintf(f, ";\n}\nstatic inline void put_%s(", s);
    c_type(f, &(adze_value_type){.base = carrier->base, .bits = carrier->bits, .lanes = 1});
    fprintf(f, " *p, V_%s x, size_t active) {\n    (void)active;\n", s);
    if (!write_active(f, t, carrier))
        return false;
    if (v->base == 'b') {
        const char *three[] = {"x", "a", "b"}, *result[] = {"p", "y"};
        fprintf(f, "    V_%s a = ", carrier->spelling);
        if (!expression(f, t, get, one))
            return false;
        fprintf(f, ", b = ");
        if (!expression(f, t, get, zero))
            return false;
        fprintf(f, ", y = ");
        if (!expression(f, t, selects(t, s, carrier->spelling), three))
            return false;
        fputs(";\n    ", f);
        if (!expression(f, t, put, result))
            return false;
    } else {
        fputs("    ", f);
        if (!expression(f, t, put, out))
            return false;
    }
    fputs(";\n}\n", f);
    return true;
}

/* The same with the mask's own constants, which need arrays. */
static void write_constants(FILE *f) {
    for (unsigned bits = 8; bits <= 64; bits *= 2)
        fprintf(f, "static int%u_t zero%u[1024], one%u[1024];\n", bits, bits, bits);
}

/* Writes a row of tiles with its operands as a statement. */
static bool write_tile(FILE *f, const adze_target *t, const char *name, size_t n,
                       const char *const *operands, const char *const *args) {
    const adze_instruction *row = find(t, name, "void", n, operands);
    if (!row)
        return fprintf(stderr, "%s: no row %s of these operands\n", t->name, name), false;
    fputs("    ", f);
    bool ok = expression(f, t, row, args);
    fputs(";\n", f);
    return ok;
}

/* A product of tiles 3 += 0 · 7, in all that goes with it: shapes, loads, a cleared sum in odd
 * cases. */
static bool write_tile_trial(FILE *f, const adze_target *t, const trial *x, size_t n) {
    const char *kind = x->row->name + strlen("tile.dot.");
    bool brain = !strcmp(kind, "bf16");
    const char *sum = brain ? "f32" : "s32";
    const char *a = brain            ? "bf16"
                    : kind[0] == 's' ? "s8"
                                     : "u8",
               *b = brain            ? "bf16"
                    : kind[1] == 's' ? "s8"
                                     : "u8";
    const char *tame = brain ? "tame_" : "";
    char pa[16], pb[16], pc[16], pout[16], from[3][64];
    snprintf(pa, sizeof pa, "%s*", a);
    snprintf(pb, sizeof pb, "%s*", b);
    snprintf(pc, sizeof pc, "%s*", sum);
    snprintf(pout, sizeof pout, "%s!", sum);
    snprintf(from[0], 64, "pool_%s%s + pool_start(%zu, k, 0)", tame, sum, n);
    snprintf(from[1], 64, "pool_%s%s + pool_start(%zu, k, 1)", tame, a, n);
    snprintf(from[2], 64, "pool_%s%s + pool_start(%zu, k, 2)", tame, b, n);
#define LIST(...) ((const char *const[]){__VA_ARGS__})
    fprintf(f, "/* %s */\nstatic void trial_%zu(uint32_t k) {\n", x->row->name, n);
    bool ok = write_tile(f, t, "tile.configure", 1, LIST("u8*"), LIST("tile_shapes"));
    fputs("    if (k % 2) {\n", f);
    ok = ok && write_tile(f, t, "tile.zero", 1, LIST("#"), LIST("3"));
    fputs("    } else {\n", f);
    ok = ok && write_tile(f, t, "tile.load", 3, LIST("#", pc, "index"),
                          LIST("3", from[0], "TILE_C_STEP"));
    fputs("    }\n", f);
    ok = ok &&
         write_tile(f, t, "tile.load", 3, LIST("#", pa, "index"),
                    LIST("0", from[1], "TILE_A_STEP")) &&
         write_tile(f, t, "tile.load", 3, LIST("#", pb, "index"),
                    LIST("7", from[2], "TILE_B_STEP")) &&
         write_tile(f, t, x->row->name, 3, LIST("#", "#", "#"), LIST("3", "0", "7")) &&
         write_tile(f, t, "tile.store", 3, LIST("#", pout, "index"),
                    LIST("3", "(void *)(out + GUARD)", "TILE_C_STEP")) &&
         write_tile(f, t, "tile.release", 0, NULL, NULL);
#undef LIST
    fprintf(f, "    say(%zu, k, 1, 1, out + GUARD, TILE_M * TILE_C_STEP);\n}\n", n);
    return ok;
}

static bool write_trial(FILE *f, const adze_target *t, const trial *x, size_t n) {
    static const char *const names[] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"};
    const adze_instruction *row = x->row;
    const adze_value_type *main = program_main_type(row);
    const meaning *m = meaning_of(row->name);
    const char *args[10];
    char literal[16];
    snprintf(literal, sizeof literal, "%d", x->literal);
    fprintf(f, "/* %s %s */\nstatic void trial_%zu(uint32_t k) {\n", row->name, row->type.spelling,
            n);
    bool vector = adze_value_type_is_vector(main);
    const adze_instruction *lanes = main->scalable ? of_lanes(t, "vector.lanes", main) : NULL;
    if (main->scalable && !lanes)
        return fprintf(stderr, "%s: no vector.lanes for %s\n", t->name, main->spelling), false;
    fputs("    size_t lanes = ", f);
    if (main->scalable && !expression(f, t, lanes, NULL))
        return false;
    if (!main->scalable)
        fprintf(f, "%u", vector ? main->lanes : 1);
    fprintf(f, ", active = %s;\n",
            main->scalable && !whole(row, m) ? "pool_active(k, (uint32_t)lanes)" : "lanes");
    if (!write_active(f, t, main))
        return false;
    const adze_value_type *stored = NULL;
    for (size_t o = 0; o < row->operand_count; o++) {
        const adze_value_type *v = &row->operands[o];
        char use = strlen(m->pools) > o ? m->pools[o] : ' ';
        args[o] = v->base == '#' ? literal : names[o];
        if (v->base == '#')
            continue;
        fputs("    ", f);
        if (v->pointer == '*')
            fputs("const ", f);
        c_type(f, &(adze_value_type){.spelling = v->spelling,
                                     .base = v->base,
                                     .bits = v->bits,
                                     .lanes = v->pointer ? 1 : v->lanes,
                                     .scalable = v->scalable && !v->pointer});
        fprintf(f, " %s%s = ", v->pointer ? "*" : "", names[o]);
        if (v->base == 'n') {
            fprintf(f, "pool_index(%zu, k, %zu, (uint32_t)lanes)", n, o);
        } else if (v->pointer == '!') {
            stored = v;
            fputs("(void *)(out + GUARD)", f);
        } else if (v->base == 'b') {
            const adze_value_type *carrier = program_carrier(t, v);
            if (!carrier)
                return fprintf(stderr, "%s: %s %s: no integer vector stands for %s\n", t->name,
                               row->name, row->type.spelling, v->spelling),
                       false;
            fprintf(f, "get_%s(pool_mask%u + pool_start(%zu, k, %zu), active * %u / %u)",
                    v->spelling, carrier->bits, n, o, v->lanes, main->lanes);
        } else if (adze_value_type_is_vector(v)) {
            if (!loads(t, v->spelling) || !stores(t, v->spelling))
                return fprintf(stderr, "%s: %s %s: no load and store of %s\n", t->name, row->name,
                               row->type.spelling, v->spelling),
                       false;
            fprintf(
                f,
                "get_%s((k %% 2 ? pool_%s : pool_%s) + pool_start(%zu, k, %zu), active * %u / %u)",
                v->spelling, pool_of(v, use), pool_of(v, use == 't' ? ' ' : use), n, o, v->lanes,
                main->lanes);
        } else {
            fprintf(f, "%spool_%s[%s(pool_start(%zu, k, %zu))]", v->pointer ? "&" : "",
                    pool_of(v, use), use == 'w' ? "pool_words" : "", n, o);
        }
        fputs(";\n", f);
    }
    const adze_value_type *r = &row->result;
    fputs("    ", f);
    if (r->base != 'v') {
        c_type(f, r);
        fputs(" r = ", f);
    }
    if (!expression(f, t, row, args))
        return false;
    fputs(";\n", f);
    if (r->base == 'v') {
        fprintf(f, "    say(%zu, k, lanes, active, out + GUARD, (lanes * %d + %d) * %u);\n", n,
                m->literal == 'q' ? 4 : 1, POOL_AFTER, stored ? stored->bits / 8 : 1);
    } else if (adze_value_type_is_vector(r)) {
        const adze_value_type *carrier = r->base == 'b' ? program_carrier(t, r) : r;
        if (!carrier || !stores(t, carrier->spelling) || !loads(t, carrier->spelling))
            return fprintf(stderr, "%s: %s %s: no load and store of %s\n", t->name, row->name,
                           row->type.spelling, r->spelling),
                   false;
        fprintf(f, "    put_%s((void *)(out + GUARD), r, active * %u / %u);\n", r->spelling,
                r->lanes, main->lanes);
        fprintf(f, "    say(%zu, k, lanes, active, out + GUARD, active * %u / %u * %u);\n", n,
                r->lanes, main->lanes, carrier->bits / 8);
    } else {
        fprintf(f,
                "    %s whole = r;\n    say(%zu, k, lanes, active, (const void *)&whole, sizeof "
                "whole);\n",
                r->base == 'n' ? "uint64_t" : "__typeof__(r)", n);
    }
    fputs("}\n", f);
    return true;
}

static const char support[] =
    "static const unsigned char tile_shapes[64] __attribute__((aligned(64), unused)) = {\n"
    "    [0] = 1, [16] = TILE_K, [22] = 4 * TILE_N, [30] = 4 * TILE_N,\n"
    "    [48] = TILE_M, [51] = TILE_M, [55] = TILE_K / 4};\n"
    "enum { GUARD = 64 };\n"
    "static unsigned char out[GUARD + 8192 + GUARD] __attribute__((aligned(64)));\n"
    "static void say(unsigned n, uint32_t k, size_t lanes, size_t active, const unsigned char *p, "
    "size_t bytes) {\n"
    "    static const char hex[] = \"0123456789abcdef\";\n"
    "    static char line[16448];\n"
    "    size_t end = 0;\n"
    "    adze_board_put_u(n); adze_board_putc(' '); adze_board_put_u(k); adze_board_putc(' ');\n"
    "    adze_board_put_u(lanes); adze_board_putc(' '); adze_board_put_u(active); "
    "adze_board_putc(' ');\n"
    "    for (size_t i = 0; i < bytes; i++) { line[end++] = hex[p[i] >> 4]; line[end++] = hex[p[i] "
    "& 15]; }\n"
    "    line[end++] = '\\n';\n"
    "    adze_board_write(line, end);\n"
    "    memset(out, POOL_UNSET, sizeof out);\n"
    "}\n";

static void write_pools(FILE *f) {
    static const struct {
        const char *name, *c, *kind;
        unsigned bits, brain;
    } pools[] = {
        {"f16", "uint16_t", "POOL_FLOAT", 16, 0},     {"bf16", "uint16_t", "POOL_FLOAT", 16, 1},
        {"f32", "float", "POOL_FLOAT", 32, 0},        {"f64", "double", "POOL_FLOAT", 64, 0},
        {"index32", "int32_t", "POOL_INDEX", 32, 0},  {"index8", "uint8_t", "POOL_INDEX", 8, 0},
        {"tame_f16", "uint16_t", "POOL_TAME", 16, 0}, {"tame_bf16", "uint16_t", "POOL_TAME", 16, 1},
        {"tame_f32", "float", "POOL_TAME", 32, 0},    {"tame_f64", "double", "POOL_TAME", 64, 0}};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        fprintf(f, "static %s pool_%s[POOL_COUNT] __attribute__((aligned(64)));\n", pools[i].c,
                pools[i].name);
    for (unsigned bits = 8; bits <= 64; bits *= 2)
        fprintf(f,
                "static int%u_t pool_s%u[POOL_COUNT] __attribute__((aligned(64))), "
                "pool_shift%u[POOL_COUNT], "
                "pool_mask%u[POOL_COUNT];\n"
                "static uint%u_t pool_u%u[POOL_COUNT] __attribute__((aligned(64)));\n",
                bits, bits, bits, bits, bits, bits);
    fputs("static void fill(void) {\n    memset(out, POOL_UNSET, sizeof out);\n", f);
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        fprintf(f, "    pool_fill(pool_%s, %s, %u, %u);\n", pools[i].name, pools[i].kind,
                pools[i].bits, pools[i].brain);
    for (unsigned bits = 8; bits <= 64; bits *= 2) {
        fprintf(f,
                "    pool_fill(pool_s%u, POOL_INT, %u, 0);\n    pool_fill(pool_u%u, POOL_INT, %u, "
                "0);\n",
                bits, bits, bits, bits);
        fprintf(f,
                "    pool_fill(pool_shift%u, POOL_SHIFT, %u, 0);\n    pool_fill(pool_mask%u, "
                "POOL_MASK, %u, 0);\n",
                bits, bits, bits, bits);
        fprintf(f, "    for (int i = 0; i < 1024; i++) one%u[i] = 1;\n", bits);
    }
    fputs("}\n", f);
}

bool program_write(FILE *f, const adze_target *t, const trial *trials, size_t count,
                   const char *prelude) {
    for (size_t i = 0; i < t->instruction_count; i++) {
        bool seen = !t->instructions[i].header;
        for (size_t j = 0; j < i && !seen; j++)
            seen = t->instructions[j].header &&
                   !strcmp(t->instructions[i].header, t->instructions[j].header);
        if (!seen)
            fprintf(f, "#include <%s>\n", t->instructions[i].header);
    }
    fprintf(f, "%s#include \"board.h\"\n#include \"pool.h\"\n", prelude);
    for (size_t i = 0; i < t->vector_type_count; i++)
        fprintf(f, "typedef %s V_%s;\n", t->vector_types[i].c_type,
                t->vector_types[i].type.spelling);
    fputs(support, f);
    write_constants(f);
    write_pools(f);
    for (size_t i = 0; i < t->vector_type_count; i++) {
        const adze_value_type *v = &t->vector_types[i].type;
        bool reachable = v->base == 'b' ? program_carrier(t, v) != NULL
                                        : loads(t, v->spelling) && stores(t, v->spelling);
        if (reachable && !write_access(f, t, v))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!(strncmp(trials[i].row->name, "tile.", 5) ? write_trial
                                                       : write_tile_trial)(f, t, &trials[i], i))
            return false;
    fprintf(f, "static void (*const trials[])(uint32_t) = {\n");
    for (size_t i = 0; i < count; i++)
        fprintf(f, "    trial_%zu,\n", i);
    fprintf(f,
            "};\nint main(void) {\n    fill();\n    for (unsigned n = 0; n < %zu; n++)\n"
            "        for (uint32_t k = 0; k < POOL_CASES; k++) trials[n](k);\n"
            "    adze_board_puts(\"end\\n\");\n    adze_board_flush();\n    return 0;\n}\n",
            count);
    return true;
}
