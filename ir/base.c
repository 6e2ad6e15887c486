/* Arena, growing text, diagnostics, checked size arithmetic, content hash. See base.h. */
#include "ir/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct arena_block {
    struct arena_block *next;
    size_t used, capacity;
    _Alignas(16) unsigned char bytes[];
} arena_block;

struct adze_arena {
    arena_block *blocks;
};

static void *must(void *p) {
    if (!p) {
        fputs("adze: out of memory\n", stderr);
        abort();
    }
    return p;
}

adze_arena *adze_arena_new(void) { return must(calloc(1, sizeof(adze_arena))); }

void adze_arena_free(adze_arena *arena) {
    if (!arena)
        return;
    for (arena_block *b = arena->blocks; b;) {
        arena_block *next = b->next;
        free(b);
        b = next;
    }
    free(arena);
}

void *adze_arena_alloc(adze_arena *arena, size_t bytes) {
    enum { BLOCK = 1 << 16 };
    if (bytes > SIZE_MAX / 2)
        must(NULL);
    bytes = (bytes + 15) & ~(size_t)15;
    arena_block *b = arena->blocks;
    if (!b || b->capacity - b->used < bytes) {
        size_t capacity = bytes > BLOCK / 4 ? bytes : BLOCK;
        arena_block *fresh = must(calloc(1, sizeof(arena_block) + capacity));
        fresh->capacity = capacity;
        if (b && capacity == bytes) { /* a large one goes behind, so the open block stays open */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            arena->blocks = fresh;
        }
        b = fresh;
    }
    void *p = b->bytes + b->used;
    b->used += bytes;
    return p;
}

void *adze_arena_array(adze_arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (!adze_mul_size(count, size, &bytes))
        must(NULL);
    return adze_arena_alloc(arena, bytes);
}

char *adze_arena_strndup(adze_arena *arena, const char *text, size_t length) {
    char *copy = adze_arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    return copy;
}

char *adze_arena_strdup(adze_arena *arena, const char *text) {
    return adze_arena_strndup(arena, text, strlen(text));
}

static char *arena_vprintf(adze_arena *arena, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *out = adze_arena_alloc(arena, (size_t)(n < 0 ? 0 : n) + 1);
    vsnprintf(out, (size_t)(n < 0 ? 0 : n) + 1, format, again);
    va_end(again);
    return out;
}

char *adze_arena_printf(adze_arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *out = arena_vprintf(arena, format, args);
    va_end(args);
    return out;
}

static void text_reserve(adze_text *text, size_t more) {
    if (text->capacity - text->length > more)
        return;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity - text->length <= more)
        capacity *= 2;
    text->data = must(realloc(text->data, capacity));
    text->capacity = capacity;
}

void adze_text_append(adze_text *text, const void *bytes, size_t length) {
    text_reserve(text, length);
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void adze_text_puts(adze_text *text, const char *string) {
    adze_text_append(text, string, strlen(string));
}

void adze_text_printf(adze_text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0) {
        text_reserve(text, (size_t)n);
        vsnprintf(text->data + text->length, (size_t)n + 1, format, again);
        text->length += (size_t)n;
    }
    va_end(again);
}

void adze_text_free(adze_text *text) {
    free(text->data);
    *text = (adze_text){0};
}

bool adze_error(adze_diagnostics *diags, const char *node, const char *format, ...) {
    static const char split[] = " — hint: ";
    va_list args;
    va_start(args, format);
    char *cause = arena_vprintf(diags->arena, format, args);
    va_end(args);
    char *hint = strstr(cause, split);
    if (hint) {
        *hint = '\0';
        hint += sizeof split - 1;
    }
    if (diags->count == diags->capacity) {
        size_t capacity = diags->capacity ? 2 * diags->capacity : 8;
        adze_diagnostic *items = ADZE_NEW_ARRAY(diags->arena, adze_diagnostic, capacity);
        if (diags->count)
            memcpy(items, diags->items, diags->count * sizeof *items);
        diags->items = items;
        diags->capacity = capacity;
    }
    diags->items[diags->count++] = (adze_diagnostic){
        .where = diags->file ? diags->file : "",
        .node = node ? adze_arena_strdup(diags->arena, node) : "",
        .cause = cause,
        .hint = hint ? hint : "",
    };
    return false;
}

void adze_diagnostics_print(const adze_diagnostics *diags, adze_text *out) {
    for (size_t i = 0; i < diags->count; i++) {
        const adze_diagnostic *d = &diags->items[i];
        if (*d->where)
            adze_text_printf(out, "%s: ", d->where);
        if (*d->node)
            adze_text_printf(out, "node '%s'%s", d->node, *d->cause == '(' ? " " : ": ");
        adze_text_printf(out, "%s\n", d->cause);
        if (*d->hint)
            adze_text_printf(out, "  %s\n", d->hint);
    }
}

bool adze_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool adze_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* MurmurHash-style 64-bit mixing over 8-byte words, two lanes with different seeds: fast enough for
 * gigabytes, wide enough to name a blob. Not cryptographic. */
static uint64_t mix_lane(const unsigned char *p, size_t n, uint64_t seed) {
    const uint64_t k = 0x9E3779B97F4A7C15u;
    uint64_t h = seed ^ (n * k);
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w = 0;
        for (int i = 0; i < 8; i++)
            w |= (uint64_t)p[i] << (8 * i);
        w *= k;
        w ^= w >> 29;
        h = (h ^ w) * 0xBF58476D1CE4E5B9u;
        h = (h << 27) | (h >> 37);
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < n; i++)
        tail |= (uint64_t)p[i] << (8 * i);
    h = (h ^ (tail * k)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

void adze_hash_hex(const void *bytes, size_t length, char out[33]) {
    uint64_t a = mix_lane(bytes, length, 0x6A09E667F3BCC908u);
    uint64_t b = mix_lane(bytes, length, 0xBB67AE8584CAA73Bu);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
}
