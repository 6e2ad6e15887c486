/* Maximum flow by shortest augmenting paths, level by level. See mincut.h. */
#include "passes/mincut.h"

#include <string.h>

/* Room for one more in a growing array of the arena. */
static void *grown(adze_arena *arena, void *old, int n, int *max, size_t size) {
    if (n < *max)
        return old;
    *max = *max ? 2 * *max : 64;
    void *bigger = adze_arena_array(arena, (size_t)*max, size);
    if (n)
        memcpy(bigger, old, (size_t)n * size);
    return bigger;
}

int adze_cut_node(adze_cut *cut) {
    cut->first = grown(cut->arena, cut->first, cut->n_nodes, &cut->max_nodes, sizeof *cut->first);
    cut->first[cut->n_nodes] = -1;
    return cut->n_nodes++;
}

adze_cut adze_cut_new(adze_arena *arena) {
    adze_cut cut = {.arena = arena};
    adze_cut_node(&cut);
    adze_cut_node(&cut);
    return cut;
}

static void half_edge(adze_cut *cut, int from, int to, int64_t capacity) {
    cut->edges = grown(cut->arena, cut->edges, cut->n_edges, &cut->max_edges, sizeof *cut->edges);
    cut->edges[cut->n_edges] =
        (struct adze_cut_edge){.to = to, .next = cut->first[from], .capacity = capacity};
    cut->first[from] = cut->n_edges++;
}

void adze_cut_edge(adze_cut *cut, int from, int to, int64_t capacity) {
    if (capacity <= 0 || from == to)
        return;
    half_edge(cut, from, to, capacity);
    half_edge(cut, to, from, 0);
}

/* Distances from the source (or, backwards, to the sink) over edges with room; -1: none. */
static void distances(const adze_cut *cut, int start, bool backwards, int *distance, int *queue) {
    for (int i = 0; i < cut->n_nodes; i++)
        distance[i] = -1;
    int head = 0, tail = 0;
    queue[tail++] = start;
    distance[start] = 0;
    while (head < tail) {
        int node = queue[head++];
        for (int e = cut->first[node]; e >= 0; e = cut->edges[e].next) {
            int to = cut->edges[e].to;
            if (distance[to] >= 0 || cut->edges[backwards ? e ^ 1 : e].capacity <= 0)
                continue;
            distance[to] = distance[node] + 1;
            queue[tail++] = to;
        }
    }
}

/* One path of the level graph to the sink, walked without recursion; the flow that went, 0 when none is left. */
static int64_t augment(adze_cut *cut, const int *distance, int *at, int *path) {
    int n = 0, node = ADZE_CUT_SOURCE;
    while (node != ADZE_CUT_SINK) {
        while (at[node] >= 0 && (cut->edges[at[node]].capacity <= 0 ||
                                 distance[cut->edges[at[node]].to] != distance[node] + 1))
            at[node] = cut->edges[at[node]].next;
        if (at[node] >= 0) {
            path[n++] = at[node];
            node = cut->edges[at[node]].to;
        } else if (n == 0) {
            return 0;
        } else { /* a dead end: back, and past the edge that led here */
            int back = path[--n];
            node = cut->edges[back ^ 1].to;
            at[node] = cut->edges[back].next;
        }
    }
    int64_t flow = ADZE_CUT_NEVER;
    for (int i = 0; i < n; i++)
        flow = cut->edges[path[i]].capacity < flow ? cut->edges[path[i]].capacity : flow;
    for (int i = 0; i < n; i++) {
        cut->edges[path[i]].capacity -= flow;
        cut->edges[path[i] ^ 1].capacity += flow;
    }
    return flow;
}

bool *adze_cut_solve(adze_cut *cut) {
    size_t n = (size_t)cut->n_nodes;
    int *distance = ADZE_NEW_ARRAY(cut->arena, int, n), *queue = ADZE_NEW_ARRAY(cut->arena, int, n);
    int *at = ADZE_NEW_ARRAY(cut->arena, int, n), *path = ADZE_NEW_ARRAY(cut->arena, int, n);
    for (;;) {
        distances(cut, ADZE_CUT_SOURCE, false, distance, queue);
        if (distance[ADZE_CUT_SINK] < 0)
            break;
        memcpy(at, cut->first, n * sizeof *at);
        while (augment(cut, distance, at, path))
            continue;
    }
    distances(cut, ADZE_CUT_SINK, true, distance, queue);
    bool *side = ADZE_NEW_ARRAY(cut->arena, bool, n);
    for (size_t i = 0; i < n; i++)
        side[i] = distance[i] >= 0;
    return side;
}
