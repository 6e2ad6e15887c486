/* Names: C identifiers from the IR's NameLocs and from the model's names. */
#include "codegen/emit_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Words that generated code cannot use for its own locals: keywords, macros and functions of the
 * headers it includes, and C++'s keywords, since the names stand in the API. */
static const char *const reserved[] = {
    "INFINITY", "NAN", "NULL", "alignas", "alignof", "asm", "atomic", "auto", "bool", "break",
    "case", "char", "class", "complex", "const", "continue", "default", "delete", "do", "double",
    "else", "enum", "extern", "false", "float", "for", "friend", "goto", "if", "imaginary", "inline", "int", "int16_t", "int32_t", "int64_t", "int8_t", "isfinite", "isgreater", "isinf",
    "islessgreater", "isnan", "isunordered", "linux", "long", "main", "memcpy", "memmove",
    "memset", "namespace", "new", "noreturn", "operator", "private", "protected",
    "ptrdiff_t", "public", "register", "restrict", "return", "short", "signed", "size_t", "sizeof",
    "static", "struct", "switch", "template", "this", "throw", "true", "try", "typedef", "typeof",
    "uint16_t", "uint32_t", "uint64_t", "uint8_t", "union", "unix", "unsigned", "using", "virtual",
    "void", "volatile", "while",
};

static int compare(const void *a, const void *b) {
    return strcmp((const char *)a, *(const char *const *)b);
}

bool name_is_reserved(const char *name) {
    if (bsearch(name, reserved, ADZE_COUNT(reserved), sizeof reserved[0], compare))
        return true;
    /* C's math functions, with and without the f: the rows know them. */
    size_t n = strlen(name);
#define ROW(op, handler, c, prec, pure)                                                            \
    if ((handler == emit_math || handler == emit_fma || handler == emit_rsqrt) && strncmp(name, c, sizeof(c) - 1) == 0 &&                                  \
        (n == sizeof(c) - 1 || (n == sizeof(c) && name[n - 1] == 'f')))                           \
        return true;
#include "codegen/emit_ops.def"
#undef ROW
    return strncmp(name, "adze_", 5) == 0;
}

const char *adze_c_identifier(adze_arena *arena, const char *text) {
    size_t n = strlen(text), used = 0;
    char *out = adze_arena_alloc(arena, n + 4);
    for (size_t i = 0; i < n && used < 60; i++) {
        unsigned char c = (unsigned char)text[i];
        bool word = c < 128 && isalnum(c);
        if (word)
            out[used++] = (char)c;
        else if (used && out[used - 1] != '_')
            out[used++] = '_';
    }
    while (used && out[used - 1] == '_')
        used--;
    out[used] = 0;
    if (used == 0)
        return "v";
    if (isdigit((unsigned char)out[0])) {
        memmove(out + 1, out, used + 1);
        out[0] = 'v';
    }
    if (name_is_reserved(out))
        return adze_arena_printf(arena, "%s_", out);
    return out;
}

/* The `depth`-th name of a chain loc("oh"("acc")); NULL when there is none. */
const char *emit_location_name(emitter *em, MlirLocation location, int depth) {
    for (int i = 0; mlirLocationIsAName(location); i++) {
        if (i == depth) {
            MlirStringRef s = mlirIdentifierStr(mlirLocationNameGetName(location));
            return adze_arena_strndup(em->arena, s.data, s.length);
        }
        location = mlirLocationNameGetChildLoc(location);
    }
    return NULL;
}

const char *emit_value_name(emitter *em, MlirValue value) {
    if (mlirValueIsABlockArgument(value))
        return emit_location_name(em, mlirValueGetLocation(value), 0);
    MlirOperation op = mlirOpResultGetOwner(value);
    int index = (int)mlirOpResultGetResultNumber(value);
    return emit_location_name(em, mlirOperationGetLocation(op), index);
}

static bool visible(emitter *em, const char *name) {
    for (size_t i = em->n_names; i-- > 0;)
        if (strcmp(em->names[i], name) == 0)
            return true;
    for (int i = 0; i < em->n_tops; i++)
        if (strcmp(em->tops[i].name, name) == 0)
            return true;
    return false;
}

const char *emit_declare(emitter *em, const char *hint, const char *fallback) {
    const char *base = adze_c_identifier(em->arena, hint && *hint ? hint : fallback);
    size_t prefix = strlen(em->m->name);
    if (strncmp(base, em->m->name, prefix) == 0 && base[prefix] == '_')
        base = adze_arena_printf(em->arena, "v_%s", base);
    const char *name = base;
    for (int i = 2; visible(em, name); i++)
        name = adze_arena_printf(em->arena, "%s_%d", base, i);
    if (em->n_names == em->names_capacity) {
        size_t capacity = em->names_capacity ? 2 * em->names_capacity : 64;
        const char **names = ADZE_NEW_ARRAY(em->arena, const char *, capacity);
        if (em->n_names)
            memcpy(names, em->names, em->n_names * sizeof *names);
        em->names = names;
        em->names_capacity = capacity;
    }
    em->names[em->n_names++] = name;
    return name;
}

const char *emit_free_index(emitter *em) {
    static const char *const letters[] = {"i", "j", "k", "l"};
    for (size_t n = 0; n < ADZE_COUNT(letters); n++)
        if (!visible(em, letters[n]))
            return letters[n];
    return "i";
}
