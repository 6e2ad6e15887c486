/* Interned names, maps keyed by them, and scopes. */
#include "frontend/onnx/importer.h"

#include <string.h>

static size_t hash_text(const char *s, size_t length) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        h = (h ^ (uint8_t)s[i]) * 1099511628211u;
    return (size_t)(h ^ (h >> 29));
}

static size_t hash_pointer(const void *p) {
    uint64_t h = (uint64_t)(uintptr_t)p * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 20);
}

static void grow(adze_arena *arena, ox_map *map, bool by_text) {
    ox_map wider = {.capacity = map->capacity ? 2 * map->capacity : 16, .count = map->count};
    wider.slots = adze_arena_array(arena, wider.capacity, sizeof *wider.slots);
    for (size_t i = 0; i < map->capacity; i++) {
        if (!map->slots[i].key)
            continue;
        size_t at = by_text ? hash_text(map->slots[i].key, strlen(map->slots[i].key))
                            : hash_pointer(map->slots[i].key);
        while (wider.slots[at & (wider.capacity - 1)].key)
            at++;
        wider.slots[at & (wider.capacity - 1)] = map->slots[i];
    }
    *map = wider;
}

const char *ox_intern(importer *imp, adze_string s) {
    ox_map *map = &imp->interned;
    const char *nul = s.length ? memchr(s.data, 0, s.length) : NULL;
    size_t length = nul ? (size_t)(nul - s.data) : s.length; /* names end at a NUL */
    if (2 * (map->count + 1) > map->capacity)
        grow(imp->ctx->arena, map, true);
    size_t at = hash_text(s.data, length);
    for (;; at++) {
        struct ox_slot *slot = &map->slots[at & (map->capacity - 1)];
        if (!slot->key) {
            slot->key = adze_arena_strndup(imp->ctx->arena, s.data, length);
            map->count++;
            return slot->key;
        }
        if (!strncmp(slot->key, s.data ? s.data : "", length) && !slot->key[length])
            return slot->key;
    }
}

void *ox_map_get(const ox_map *map, const char *key) {
    if (!map->capacity)
        return NULL;
    for (size_t at = hash_pointer(key);; at++) {
        const struct ox_slot *slot = &map->slots[at & (map->capacity - 1)];
        if (!slot->key || slot->key == key)
            return slot->key ? slot->value : NULL;
    }
}

void ox_map_put(adze_arena *arena, ox_map *map, const char *key, void *value) {
    if (2 * (map->count + 1) > map->capacity)
        grow(arena, map, false);
    for (size_t at = hash_pointer(key);; at++) {
        struct ox_slot *slot = &map->slots[at & (map->capacity - 1)];
        if (slot->key && slot->key != key)
            continue;
        map->count += !slot->key;
        *slot = (struct ox_slot){key, value};
        return;
    }
}

val *ox_lookup(importer *imp, const char *interned) {
    for (scope *s = imp->scope; s; s = s->parent) {
        val *v = ox_map_get(&s->values, interned);
        if (v)
            return v;
        if (s->function) /* a function sees nothing of its caller */
            break;
    }
    return NULL;
}
