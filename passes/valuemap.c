/* Open addressing over the value's address. See valuemap.h. */
#include "passes/valuemap.h"

#include <string.h>

static size_t slot_of(const adze_value_map *map, const void *key) {
    size_t i = ((uintptr_t)key >> 3) * 0x9E3779B97F4A7C15u >> 20;
    for (i %= map->capacity; map->slots[i].key && map->slots[i].key != key;)
        i = (i + 1) % map->capacity;
    return i;
}

void adze_map_set(adze_value_map *map, MlirValue key, MlirValue value) {
    if (2 * (map->count + 1) > map->capacity) {
        adze_value_map grown = {.arena = map->arena,
                                .capacity = map->capacity ? 2 * map->capacity : 64};
        grown.slots = adze_arena_array(map->arena, grown.capacity, sizeof *grown.slots);
        for (size_t i = 0; i < map->capacity; i++)
            if (map->slots[i].key) {
                grown.slots[slot_of(&grown, map->slots[i].key)] = map->slots[i];
                grown.count++;
            }
        *map = grown;
    }
    size_t i = slot_of(map, key.ptr);
    map->count += !map->slots[i].key;
    map->slots[i].key = key.ptr;
    map->slots[i].value = value;
}

MlirValue adze_map_get(const adze_value_map *map, MlirValue key) {
    if (!map->capacity)
        return (MlirValue){NULL};
    return map->slots[slot_of(map, key.ptr)].value;
}
