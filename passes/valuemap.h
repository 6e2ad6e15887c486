/* A map from one MLIR value to another, for rewriting a body while it is walked. */
#ifndef ADZE_PASSES_VALUEMAP_H
#define ADZE_PASSES_VALUEMAP_H

#include "ir/ir.h"

typedef struct adze_value_map {
    adze_arena *arena;
    struct adze_value_slot {
        const void *key;
        MlirValue value;
    } *slots;
    size_t count, capacity;
} adze_value_map;

void adze_map_set(adze_value_map *map, MlirValue key, MlirValue value);
/* A null value when the key is absent. */
MlirValue adze_map_get(const adze_value_map *map, MlirValue key);

/* Weights that no operation reads any more leave the module. */
void adze_drop_unused_weights(adze_context *ctx, MlirModule module);

#endif
