// Random numbers by splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", 2014): one addition and one mix for each number, and any start state is good.
#include "digits.h"

#include <math.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct random random_seed(uint64_t stream, uint64_t index) {
    return (struct random){mix(mix(stream + 1) + index)};
}

static uint64_t random_next(struct random *r) {
    r->state += 0x9e3779b97f4a7c15u;
    return mix(r->state);
}

uint32_t random_below(struct random *r, uint32_t bound) {
    return (uint32_t)(((random_next(r) >> 32) * bound) >> 32);
}

float random_uniform(struct random *r, float low, float high) {
    float unit = (float)(random_next(r) >> 40) * 0x1p-24f;
    return low + (high - low) * unit;
}

// The sum of twelve uniform numbers has variance 1: near enough to a normal distribution here, and
// the same on every machine.
float random_normal(struct random *r) {
    float sum = -6.0f;
    for (int i = 0; i < 12; i++)
        sum += random_uniform(r, 0.0f, 1.0f);
    return sum;
}

bool random_chance(struct random *r, float probability) {
    return random_uniform(r, 0.0f, 1.0f) < probability;
}
