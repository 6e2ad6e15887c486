/* internal.h — what the loader's files share: an arena, the draft that XML is applied to, errors.
 * Not for use outside targets/. */
#ifndef ADZE_TARGET_INTERNAL_H
#define ADZE_TARGET_INTERNAL_H

#include "target.h"

#include <libxml/relaxng.h>
#include <libxml/tree.h>
#include <stdarg.h>

/* ---- arena: everything that one target owns ---- */

typedef struct arena_block arena_block;
typedef struct {
    arena_block *blocks;
} arena;

/* Zeroed memory that lives until adze_target_arena_free; NULL when memory ran out. */
void *adze_target_alloc(arena *, size_t bytes);
char *adze_target_strndup(arena *, const char *, size_t length);
char *adze_target_strdup(arena *, const char *); /* NULL stays NULL */
char *adze_target_printf(arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void adze_target_arena_free(arena *);

/* A copy of `items` (`count` of `bytes` each) with one zeroed item more. */
void *adze_target_grow(arena *, const void *items, size_t count, size_t bytes);

/* ---- growable text, for generated files ---- */

typedef struct {
    char *data; /* zero-terminated; malloc'ed */
    size_t length, capacity;
    bool failed;
} text;

void adze_target_text(text *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- session: files read during one call, each parsed and validated once ---- */

typedef struct {
    arena arena;
    xmlRelaxNG *schema;
    struct {
        char *path;
        xmlDoc *doc;
    } * files;
    size_t file_count;
} session;

/* ---- draft: a target while the files that it extends are applied to it ---- */

typedef struct {
    const char *cc, *link, *tools;
    const char *arch; /* instead of the draft's, or NULL */
    const char *cflags, *ldflags;
} draft_compiler;

typedef struct {
    arena arena;
    adze_target t;
    const char *language, *arch, *code, *link, *libs;
    draft_compiler *compilers;
    size_t compiler_count;
    size_t instruction_room; /* rows that t.instructions has memory for */
    char *err;        /* of ADZE_TARGET_ERR bytes */
    session *session; /* borrowed */
    const char *file; /* being read, for errors */
} draft;

/* Writes "file:line: …" and returns false, so that callers can return it. */
bool adze_target_fail(draft *, const xmlNode *, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads dir/target.rng for the draft's session; to be closed also after a failure. */
bool adze_target_open_session(draft *, session *, const char *dir);
void adze_target_close_session(session *);

/* Parses `path`: without network, entities from outside, or output. To be freed by the caller;
 * NULL with the draft's err set. */
xmlDoc *adze_target_parse_xml(draft *, const char *path);

/* The same, validated; it belongs to the draft's session. */
const xmlDoc *adze_target_read_xml(draft *, const char *path);

/* Applies a validated <target> to the draft: later facts replace earlier ones. */
bool adze_target_apply(draft *, const xmlNode *target);

/* The two sections that are tables (table.c). */
bool adze_target_apply_vectors(draft *, const xmlNode *);
bool adze_target_apply_instructions(draft *, const xmlNode *);

/* ---- attributes into fields (fields.c); an absent attribute leaves the field as it was ---- */

bool adze_target_no_memory(draft *); /* sets err, returns false */
void adze_target_set_text(draft *, const xmlNode *, const char *attr, const char **);
void adze_target_set_flag(draft *, const xmlNode *, const char *attr, bool *);
bool adze_target_set_bytes(draft *, const xmlNode *, const char *attr, uint64_t most, uint64_t *);
bool adze_target_set_count(draft *, const xmlNode *, const char *attr, unsigned *);
void adze_target_set_real(draft *, const xmlNode *, const char *attr, double *);
bool adze_target_set_type(draft *, const xmlNode *, const char *spelling, adze_value_type *);
/* The words of a line, `*count` and a NULL; NULL when memory ran out or `line` is NULL. */
const char *const *adze_target_split(arena *, const char *line, size_t *count);

/* Loads the named file and all that it extends into an empty draft. */
bool adze_target_load_draft(draft *, const char *dir, const char *name);

/* The same for a name that may have features added: "x86-64-v4+avx512vnni". */
bool adze_target_load_named(draft *, const char *dir, const char *name);

/* Composes flags, drops rows that cannot be used, checks what the schema cannot, and moves the
 * draft into a target of its own. On failure frees the draft and returns NULL. */
adze_target *adze_target_finish(draft *);

bool adze_target_add_feature(draft *, const adze_cpu_feature *);
bool adze_target_find_feature(const draft *, const char *name);

/* Adds to `out` every cpu feature that any XML file in `dir` describes for `arch`. */
bool adze_target_all_features(draft *out, const char *dir, const char *arch);

/* Resolves "native": picks the base and its features. */
bool adze_target_load_native(draft *, const char *dir);

/* ---- small readers ---- */

/* "4M", "0x1000", "12" → bytes; false on overflow or other text. */
bool adze_target_parse_bytes(const char *, uint64_t *);
bool adze_target_parse_type(arena *, const char *spelling, adze_value_type *);

/* An attribute's or element's text with blanks collapsed, owned by the arena; NULL when absent. */
char *adze_target_attr(arena *, const xmlNode *, const char *name);
char *adze_target_content(arena *, const xmlNode *);
const xmlNode *adze_target_child(const xmlNode *, const char *name);
const xmlNode *adze_target_next(const xmlNode *, const char *name); /* sibling; NULL name: any */

/* Edit distance; the nearest of `names`, or NULL when none is near. */
const char *adze_target_nearest(const char *name, char *const *names, size_t count);

#endif
