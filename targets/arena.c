/* arena.c — memory and text of the target loader. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    arena_block *next;
    max_align_t data[];
};

void *adze_target_alloc(arena *a, size_t bytes) {
    arena_block *b = calloc(1, sizeof *b + bytes);
    if (!b)
        return NULL;
    b->next = a->blocks;
    a->blocks = b;
    return b->data;
}

void adze_target_arena_free(arena *a) {
    for (arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->blocks = NULL;
}

char *adze_target_strndup(arena *a, const char *s, size_t length) {
    char *copy = adze_target_alloc(a, length + 1);
    if (copy)
        memcpy(copy, s, length);
    return copy;
}

char *adze_target_strdup(arena *a, const char *s) {
    return s ? adze_target_strndup(a, s, strlen(s)) : NULL;
}

char *adze_target_printf(arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *s = length < 0 ? NULL : adze_target_alloc(a, (size_t)length + 1);
    if (!s)
        return NULL;
    va_start(args, format);
    vsnprintf(s, (size_t)length + 1, format, args);
    va_end(args);
    return s;
}

void *adze_target_grow(arena *a, const void *items, size_t count, size_t bytes) {
    char *grown = adze_target_alloc(a, (count + 1) * bytes);
    if (grown && count)
        memcpy(grown, items, count * bytes);
    return grown;
}

void adze_target_text(text *t, const char *format, ...) {
    if (t->failed)
        return;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        t->failed = true;
        return;
    }
    size_t needed = t->length + (size_t)length + 1;
    if (needed > t->capacity) {
        size_t capacity = needed * 2;
        char *grown = realloc(t->data, capacity);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->data = grown;
        t->capacity = capacity;
    }
    va_start(args, format);
    vsnprintf(t->data + t->length, (size_t)length + 1, format, args);
    va_end(args);
    t->length += (size_t)length;
}
