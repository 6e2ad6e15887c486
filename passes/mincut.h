/* The cheapest cut of a graph between two terminals. */
#ifndef ADZE_PASSES_MINCUT_H
#define ADZE_PASSES_MINCUT_H

#include "ir/base.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADZE_CUT_SOURCE = 0, ADZE_CUT_SINK = 1 };
#define ADZE_CUT_NEVER (INT64_MAX / 4) /* the capacity of an edge that must not be cut */

typedef struct adze_cut {
    adze_arena *arena;
    struct adze_cut_edge {
        int to, next;
        int64_t capacity;
    } *edges; /* each with its reverse behind it: 2i and 2i + 1 */
    int n_edges, max_edges;
    int *first, n_nodes, max_nodes;
} adze_cut;

/* A graph with the two terminals. Memory is the arena's. */
adze_cut adze_cut_new(adze_arena *arena);
int adze_cut_node(adze_cut *cut); /* its number */
/* Costs `capacity` when `from` is on the source's side and `to` on the sink's. */
void adze_cut_edge(adze_cut *cut, int from, int to, int64_t capacity);
/* Solves: sink_side[node] for every node. Of several cheapest cuts the one with the fewest nodes on the
 * sink's side. Dinic, "Algorithm for solution of a problem of maximum flow in networks", 1970. */
bool *adze_cut_solve(adze_cut *cut);

#endif
