/* Other schedules that a kernel's family takes. What a family refuses is no fault: the case is left out. */
#include "tests/kernels/kernels.h"

#include <string.h>

enum { MOST_ROWS = 9, MOST_VECTORS = 4, MOST_TILES = 9, MOST_TILE_ROWS = 64, MOST_TILE = 20 };

static void register_block(const adze_target *target, adze_schedule *s, net *random) {
    const int64_t registers = target->vectors.count ? target->vectors.count : 16;
    s->rows = net_pick(random, 1, MOST_ROWS);
    s->vectors = s->scalable ? 1 : net_pick(random, 1, MOST_VECTORS);
    while (s->rows > 1 && (s->rows + 1) * s->vectors > registers)
        s->rows--;
    if (s->lanes > 2 && net_chance(random, 40)) {
        const int64_t lanes = s->lanes / 2;
        char type[16];
        adze_text t = {0};
        adze_text_printf(&t, s->scalable ? "f32xN%d" : "f32x%d", (int)lanes);
        strncpy(type, t.data, sizeof type - 1);
        type[sizeof type - 1] = 0;
        adze_text_free(&t);
        if (adze_target_instruction(target, "vector.mul", type))
            s->lanes = lanes;
    }
}

void schedule_change(adze_context *ctx, const adze_target *target, MlirOperation kernel, net *random) {
    adze_schedule s = {0};
    const char *name = adze_get_str(ctx, kernel, "sym_name");
    if (!adze_schedule_read(ctx, name, adze_get(kernel, "adze.schedule"), &s))
        return;
    const bool mcu = s.family && (!strncmp(s.family, "dsp", 3) || !strncmp(s.family, "helium", 6));
    if (s.family && !strcmp(s.family, "amx") && net_chance(random, 75)) { /* else registers: fit.c takes it there */
        s.vectors = net_pick(random, 1, 2);
        s.rows = net_pick(random, 1, MOST_TILE_ROWS / s.vectors);
    } else if (mcu) {
        s.rows = net_pick(random, 1, s.rows);
    } else if (s.family || s.lanes) {
        if (s.family && !strcmp(s.family, "winograd")) {
            s.tiles = net_pick(random, 1, MOST_TILES);
            if (net_chance(random, 30)) {
                s.family = "contraction";
                s.tiles = 0;
            }
        }
        if (s.depth > 1 && net_chance(random, 30))
            s.depth /= 2;
        register_block(target, &s, random);
    } else if (s.n_tile) {
        for (int i = 0; i < s.n_tile; i++)
            s.tile[i] = net_chance(random, 40) ? net_pick(random, 1, MOST_TILE) : 0;
        if (net_chance(random, 50)) {
            s.n_order = s.n_tile;
            for (int i = 0; i < s.n_order; i++)
                s.order[i] = i;
            for (int i = s.n_order - 1; i > 0; i--) {
                const int k = (int)net_pick(random, 0, i);
                const int64_t swap = s.order[i];
                s.order[i] = s.order[k];
                s.order[k] = swap;
            }
        }
        if (s.n_block)
            s.block[s.n_block - 1] = net_pick(random, 0, MOST_TILE);
    }
    adze_set(kernel, "adze.schedule", adze_schedule_write(ctx, &s));
}
