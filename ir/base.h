/* What every stage needs before it has any IR: memory, text, and errors as values.
 *
 * Memory: one arena per compilation, freed once. Errors: a function that can fail returns bool
 * (true on success); before it returns false it has added one diagnostic to the context. */
#ifndef ADZE_IR_BASE_H
#define ADZE_IR_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADZE_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ADZE_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* ---- arena ---- */

typedef struct adze_arena adze_arena;

adze_arena *adze_arena_new(void);
void adze_arena_free(adze_arena *arena);
/* Zeroed, 16-byte aligned. Never returns NULL: a machine out of memory ends the process. */
void *adze_arena_alloc(adze_arena *arena, size_t bytes);
/* As above, for `count` items of `size` bytes; an overflowing product ends the process. */
void *adze_arena_array(adze_arena *arena, size_t count, size_t size);
char *adze_arena_strndup(adze_arena *arena, const char *text, size_t length);
char *adze_arena_strdup(adze_arena *arena, const char *text);
char *adze_arena_printf(adze_arena *arena, const char *format, ...) ADZE_PRINTF(2, 3);
#define ADZE_NEW(arena, type) ((type *)adze_arena_alloc((arena), sizeof(type)))
#define ADZE_NEW_ARRAY(arena, type, n) ((type *)adze_arena_array((arena), (n), sizeof(type)))

/* ---- growing text ---- */

/* A growing byte string, always followed by a NUL. Start from {0}; free with adze_text_free. */
typedef struct adze_text {
    char *data;
    size_t length, capacity;
} adze_text;

void adze_text_append(adze_text *text, const void *bytes, size_t length);
void adze_text_puts(adze_text *text, const char *string);
void adze_text_printf(adze_text *text, const char *format, ...) ADZE_PRINTF(2, 3);
void adze_text_free(adze_text *text);

/* ---- diagnostics ---- */

/* One error: `where` is a file, `node` the node in it (may be empty), `cause` what is wrong and
 * `hint` what to do (may be empty). All strings live in the context's arena. */
typedef struct adze_diagnostic {
    const char *where, *node, *cause, *hint;
} adze_diagnostic;

typedef struct adze_diagnostics {
    adze_arena *arena;
    const char *file; /* the file being read, prefixed to every error */
    adze_diagnostic *items;
    size_t count, capacity;
} adze_diagnostics;

/* Adds an error about `node` (NULL or "" when none) and returns false. A " — hint: " in the format's
 * result splits cause and hint. */
bool adze_error(adze_diagnostics *diags, const char *node, const char *format, ...)
    ADZE_PRINTF(3, 4);
/* "file: node 'x': cause\n  hint\n" for every diagnostic, into `out`. */
void adze_diagnostics_print(const adze_diagnostics *diags, adze_text *out);

/* ---- checked arithmetic on sizes that come from a file ---- */

/* Each returns false on overflow and leaves *out unspecified. */
bool adze_mul_size(size_t a, size_t b, size_t *out);
bool adze_add_size(size_t a, size_t b, size_t *out);

/* A 128-bit content hash (two mixed 64-bit lanes; not cryptographic), as 32 hex digits and a NUL. */
void adze_hash_hex(const void *bytes, size_t length, char out[33]);

#endif
