/* ai.onnx.ml: tree ensembles become node tables, the arithmetic around them ordinary operations. */
#include "frontend/onnx/importer.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables ---- */

/* One row per node; leaf rows hold (target, weight). Node ids are indices into the table. */
typedef struct forest {
    size_t n_nodes, n_leaves, n_roots;
    int32_t *feature, *true_next, *false_next, *leaf_first, *leaf_count, *leaf_target, *roots;
    float *threshold, *leaf_weight;
    uint8_t *mode, *missing;
} forest;

static const char *const modes[] = {"LEAF",      "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                    "BRANCH_GT", "BRANCH_EQ",  "BRANCH_NEQ"};

static forest new_forest(adze_arena *a, size_t n_nodes, size_t n_leaves, size_t n_roots) {
    return (forest){n_nodes,
                    n_leaves,
                    n_roots,
                    ADZE_NEW_ARRAY(a, int32_t, n_nodes),
                    ADZE_NEW_ARRAY(a, int32_t, n_nodes),
                    ADZE_NEW_ARRAY(a, int32_t, n_nodes),
                    ADZE_NEW_ARRAY(a, int32_t, n_nodes),
                    ADZE_NEW_ARRAY(a, int32_t, n_nodes),
                    ADZE_NEW_ARRAY(a, int32_t, n_leaves),
                    ADZE_NEW_ARRAY(a, int32_t, n_roots),
                    ADZE_NEW_ARRAY(a, float, n_nodes),
                    ADZE_NEW_ARRAY(a, float, n_leaves),
                    ADZE_NEW_ARRAY(a, uint8_t, n_nodes),
                    ADZE_NEW_ARRAY(a, uint8_t, n_nodes)};
}

static val *table(node *n, adze_dtype dtype, size_t count, const void *data, const char *name) {
    adze_tensor t = {.dtype = dtype, .rank = 1, .dims = {(int64_t)count}, .data = data};
    val *v = ox_tensor_val(n->imp, &t);
    v->name = adze_arena_printf(n->ctx->arena, "%s_%s", n->label, name);
    return v;
}

/* The walk down a tree must end: every child lies in the table and no path comes back to where it
 * was (states: 0 new, 1 on the path, 2 done; children may be shared). */
static bool check_forest(node *n, const forest *f, int64_t n_features, int64_t n_targets) {
    uint8_t *state = ADZE_NEW_ARRAY(n->ctx->arena, uint8_t, f->n_nodes);
    int32_t *stack = ADZE_NEW_ARRAY(n->ctx->arena, int32_t, f->n_nodes + 1);
    for (size_t r = 0; r < f->n_roots; r++) {
        size_t depth = 0;
        if (f->roots[r] < 0 || (size_t)f->roots[r] >= f->n_nodes)
            return ox_fail(n, "a tree's root is not there");
        stack[depth++] = f->roots[r];
        while (depth) {
            int32_t at = stack[depth - 1], next = -1;
            if (state[at] == 0 && f->mode[at] &&
                (f->feature[at] < 0 || f->feature[at] >= n_features))
                return ox_fail(n, "a tree tests feature %d of %lld", (int)f->feature[at],
                               (long long)n_features);
            state[at] = state[at] ? state[at] : 1;
            const int32_t children[2] = {f->true_next[at], f->false_next[at]};
            for (int k = 0; f->mode[at] && k < 2 && next < 0; k++) {
                if (children[k] < 0 || (size_t)children[k] >= f->n_nodes)
                    return ox_fail(n, "a tree refers to a node that is not there");
                if (state[children[k]] == 1)
                    return ox_fail(n, "a tree comes back to node %d: a cycle", (int)children[k]);
                if (state[children[k]] == 0)
                    next = children[k];
            }
            if (next >= 0)
                stack[depth++] = next;
            else
                state[stack[--depth]] = 2;
        }
    }
    for (size_t i = 0; i < f->n_leaves; i++)
        if (f->leaf_target[i] < 0 || f->leaf_target[i] >= n_targets)
            return ox_fail(n, "a leaf adds to target %d of %lld", (int)f->leaf_target[i],
                           (long long)n_targets);
    return true;
}

static val *emit_forest(node *n, val *x, const forest *f, int64_t n_targets, val *base,
                        const char *aggregate, const char *post) {
    if (!x || !base || x->shape.rank < 1 || x->shape.rank > 2) {
        ox_fail(n, "needs an input of rank 1 or 2");
        return NULL;
    }
    if (x->shape.rank == 1)
        x = ox_unsqueeze(n, x, 0);
    if (!x || x->shape.dims[1] < 0 || !check_forest(n, f, x->shape.dims[1], n_targets))
        return NULL;
    if (x->shape.dtype != ADZE_f32 && x->shape.dtype != ADZE_f64)
        x = ox_cast(n, x, ADZE_f32);
    adze_shape s = ox_with_dtype(n, &x->shape, ADZE_f32);
    s.dims[1] = n_targets;
    bool any = memchr(f->missing, 1, f->n_nodes), all = !memchr(f->missing, 0, f->n_nodes);
    adze_text text = {0};
    if (any != all) { /* MLIR reads a list of booleans */
        adze_text_puts(&text, "dense<[");
        for (size_t i = 0; i < f->n_nodes; i++)
            adze_text_printf(&text, "%s%s", i ? "," : "", f->missing[i] ? "true" : "false");
        adze_text_printf(&text, "]> : tensor<%zuxi1>", f->n_nodes);
    } else {
        adze_text_printf(&text, "dense<%s> : tensor<%zuxi1>", any ? "true" : "false", f->n_nodes);
    }
    MlirAttribute dense = adze_parse_attr(n->ctx, text.data);
    adze_text_free(&text);
    val *in[] = {x,
                 table(n, ADZE_i32, f->n_nodes, f->feature, "feature"),
                 table(n, ADZE_f32, f->n_nodes, f->threshold, "threshold"),
                 table(n, ADZE_u8, f->n_nodes, f->mode, "mode"),
                 table(n, ADZE_i32, f->n_nodes, f->true_next, "true_next"),
                 table(n, ADZE_i32, f->n_nodes, f->false_next, "false_next"),
                 table(n, ADZE_i32, f->n_nodes, f->leaf_first, "leaf_first"),
                 table(n, ADZE_i32, f->n_nodes, f->leaf_count, "leaf_count"),
                 table(n, ADZE_i32, f->n_leaves, f->leaf_target, "leaf_target"),
                 table(n, ADZE_f32, f->n_leaves, f->leaf_weight, "leaf_weight"),
                 table(n, ADZE_i32, f->n_roots, f->roots, "roots"),
                 base};
    return ox_emit(n, "tree_ensemble", ADZE_COUNT(in), in, &s,
                   ATTRS({"aggregate", adze_str(n->ctx, aggregate)},
                         {"post_transform", adze_str(n->ctx, post)}, {"missing", dense}));
}

/* ---- the older form: parallel lists keyed by (tree, node) ---- */

typedef struct key {
    int64_t tree, id;
    int32_t index;
} key;

static int compare_keys(const void *pa, const void *pb) {
    const key *a = pa, *b = pb;
    if (a->tree != b->tree)
        return a->tree < b->tree ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int32_t find_node(const key *keys, size_t count, int64_t tree, int64_t id) {
    key wanted = {tree, id, 0};
    const key *k = bsearch(&wanted, keys, count, sizeof *keys, compare_keys);
    return k ? k->index : -1;
}

/* A list of floats, or its _as_tensor form, as floats. */
static int floats_or_tensor(node *n, const char *name, const float **out) {
    int count = ox_attr_floats(n, name, out);
    if (count >= 0)
        return count;
    val *v = ox_attr_tensor(n, adze_arena_printf(n->ctx->arena, "%s_as_tensor", name));
    const adze_tensor *t = v ? ox_known(n, v) : NULL;
    if (!t)
        return -1;
    size_t size = adze_tensor_count(t);
    float *copy = ADZE_NEW_ARRAY(n->ctx->arena, float, size);
    for (size_t i = 0; i < size; i++)
        copy[i] = (float)adze_tensor_get_f64(t, i);
    *out = copy;
    return (int)size;
}

/* `leaf` is "class" or "target": the prefix of the leaf lists. */
static bool read_forest(node *n, const char *leaf, forest *f) {
    adze_arena *arena = n->ctx->arena;
    const int64_t *trees, *ids, *features, *yes, *no, *tracks = NULL, *l_trees, *l_ids, *l_targets;
    const float *values, *weights;
    const char *const *kinds;
#define LEAF(what) adze_arena_printf(arena, "%s_" what, leaf)
    int count = ox_attr_all_ints(n, "nodes_treeids", &trees);
    bool fits = count > 0 && ox_attr_all_ints(n, "nodes_nodeids", &ids) == count &&
                ox_attr_all_ints(n, "nodes_featureids", &features) == count &&
                ox_attr_all_ints(n, "nodes_truenodeids", &yes) == count &&
                ox_attr_all_ints(n, "nodes_falsenodeids", &no) == count &&
                ox_attr_strings(n, "nodes_modes", &kinds) == count &&
                floats_or_tensor(n, "nodes_values", &values) == count;
    int n_tracks = ox_attr_all_ints(n, "nodes_missing_value_tracks_true", &tracks);
    int n_leaves = ox_attr_all_ints(n, LEAF("treeids"), &l_trees);
    fits = fits && (n_tracks <= 0 || n_tracks == count) && n_leaves > 0 &&
           ox_attr_all_ints(n, LEAF("nodeids"), &l_ids) == n_leaves &&
           ox_attr_all_ints(n, LEAF("ids"), &l_targets) == n_leaves &&
           floats_or_tensor(n, LEAF("weights"), &weights) == n_leaves;
#undef LEAF
    if (!fits || n->failed)
        return ox_fail(n, "the lists of its trees differ in length");
    key *keys = ADZE_NEW_ARRAY(arena, key, (size_t)count);
    for (int i = 0; i < count; i++)
        keys[i] = (key){trees[i], ids[i], i};
    qsort(keys, (size_t)count, sizeof *keys, compare_keys);
    size_t n_roots = 1;
    for (int i = 1; i < count; i++) {
        if (!compare_keys(&keys[i - 1], &keys[i]))
            return ox_fail(n, "tree %lld has node %lld twice", (long long)keys[i].tree,
                           (long long)keys[i].id);
        n_roots += keys[i].tree != keys[i - 1].tree;
    }
    *f = new_forest(arena, (size_t)count, (size_t)n_leaves, n_roots);
    uint8_t *is_child = ADZE_NEW_ARRAY(arena, uint8_t, (size_t)count);
    for (int i = 0; i < count; i++) {
        size_t m = 0;
        while (m < ADZE_COUNT(modes) && strcmp(modes[m], kinds[i]))
            m++;
        if (m == ADZE_COUNT(modes))
            return ox_fail(n, "mode '%s' is not supported", kinds[i]);
        f->mode[i] = (uint8_t)m;
        f->threshold[i] = values[i];
        f->missing[i] = n_tracks > 0 && tracks[i];
        f->true_next[i] = f->false_next[i] = i;
        if (!m)
            continue;
        if (features[i] < 0 || features[i] > INT32_MAX)
            return ox_fail(n, "feature %lld is out of range", (long long)features[i]);
        f->feature[i] = (int32_t)features[i];
        f->true_next[i] = find_node(keys, (size_t)count, trees[i], yes[i]);
        f->false_next[i] = find_node(keys, (size_t)count, trees[i], no[i]);
        if (f->true_next[i] < 0 || f->false_next[i] < 0)
            return ox_fail(n, "tree %lld refers to a node that is not there", (long long)trees[i]);
        is_child[f->true_next[i]] = is_child[f->false_next[i]] = 1;
    }
    n_roots = 0;
    for (int i = 0; i < count; i++)
        if (!is_child[i]) {
            if (n_roots == f->n_roots)
                return ox_fail(n, "a tree has two roots");
            f->roots[n_roots++] = i;
        }
    if (n_roots != f->n_roots)
        return ox_fail(n, "a tree has no root: a cycle");
    /* Leaf rows grouped by node: count, place, fill in file order. */
    int32_t *of = ADZE_NEW_ARRAY(arena, int32_t, (size_t)n_leaves);
    for (int i = 0; i < n_leaves; i++) {
        of[i] = find_node(keys, (size_t)count, l_trees[i], l_ids[i]);
        if (of[i] < 0 || f->mode[of[i]])
            return ox_fail(n, "a leaf's weight belongs to no leaf");
        f->leaf_count[of[i]]++;
    }
    int32_t at = 0;
    for (int i = 0; i < count; i++) {
        f->leaf_first[i] = at;
        at += f->leaf_count[i];
        f->leaf_count[i] = 0;
    }
    for (int i = 0; i < n_leaves; i++) {
        int32_t row = f->leaf_first[of[i]] + f->leaf_count[of[i]]++;
        if (l_targets[i] < 0 || l_targets[i] > INT32_MAX)
            return ox_fail(n, "target %lld is out of range", (long long)l_targets[i]);
        f->leaf_target[row] = (int32_t)l_targets[i];
        f->leaf_weight[row] = weights[i];
    }
    return true;
}

static val *base_values(node *n, int64_t n_targets) {
    const float *values;
    int count = floats_or_tensor(n, "base_values", &values);
    if (count < 0)
        return &n->imp->absent;
    if (count != n_targets) {
        ox_fail(n, "has %d base values for %lld targets", count, (long long)n_targets);
        return NULL;
    }
    return table(n, ADZE_f32, (size_t)count, values, "base");
}

static const char *post_transform(node *n) {
    const char *post = ox_attr_s(n, "post_transform", "NONE");
    if (strcmp(post, "NONE") && strcmp(post, "LOGISTIC") && strcmp(post, "SOFTMAX") &&
        strcmp(post, "SOFTMAX_ZERO") && strcmp(post, "PROBIT"))
        ox_fail(n, "post_transform '%s' is not supported", post);
    return post;
}

bool ox_op_tree_regressor(node *n) {
    static const char *const aggregates[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    forest f;
    val *x = ox_need(n, 0, "X");
    const char *how = ox_attr_s(n, "aggregate_function", "SUM"), *post = post_transform(n);
    int64_t n_targets = ox_attr_i(n, "n_targets", 0);
    size_t k = 0;
    while (k < ADZE_COUNT(aggregates) && strcmp(aggregates[k], how))
        k++;
    if (k == ADZE_COUNT(aggregates))
        return ox_fail(n, "aggregate_function '%s' is not supported", how);
    if (n->failed || !read_forest(n, "target", &f))
        return false;
    return ox_out(n, 0, emit_forest(n, x, &f, n_targets, base_values(n, n_targets), how, post));
}

/* The label is the class of the highest score. With two classes and weights for one only, that
 * score is the second class's, and the first has what is left of 1 (or the negative, when weights
 * have both signs): the rule of the ONNX Runtime, as the operator's text leaves it open. */
bool ox_op_tree_classifier(node *n) {
    forest f;
    val *x = ox_need(n, 0, "X");
    const char *post = post_transform(n);
    const int64_t *int_labels = NULL;
    const char *const *string_labels = NULL;
    int n_ints = ox_attr_all_ints(n, "classlabels_int64s", &int_labels);
    int n_strings = ox_attr_strings(n, "classlabels_strings", &string_labels);
    if (n->failed || !x || !read_forest(n, "class", &f))
        return false;
    int n_classes = n_ints > 0 ? n_ints : n_strings;
    if (n_classes < 1)
        return ox_fail(n, "has no class labels");
    if (n_ints <= 0)
        return ox_fail(n, "string labels are not supported");
    bool one_sided = n_classes == 2, positive = true;
    for (size_t i = 0; i < f.n_leaves; i++) {
        one_sided &= f.leaf_target[i] == f.leaf_target[0];
        positive &= f.leaf_weight[i] >= 0;
    }
    val *labels = ox_ints(n, n_ints, int_labels), *scores;
    if (!one_sided) {
        val *base = base_values(n, n_classes);
        val *raw = emit_forest(n, x, &f, n_classes, base, "SUM", "NONE");
        if (!raw)
            return false;
        adze_shape s = ox_with_dtype(n, &raw->shape, ADZE_i64);
        s.rank = 1;
        val *best = ox_emit(n, "arg_reduce", VALS(raw), &s,
                            ATTRS({"kind", adze_str(n->ctx, "max")}, {"axis", adze_i64(n->ctx, 1)},
                                  {"select_last", adze_bool(n->ctx, false)}));
        scores = strcmp(post, "NONE") ? emit_forest(n, x, &f, n_classes, base, "SUM", post) : raw;
        return ox_out(n, 0, ox_gather(n, labels, best, 0)) && ox_out(n, 1, scores);
    }
    const float *given;
    int n_base = floats_or_tensor(n, "base_values", &given);
    if (n_base > 1)
        return ox_fail(n, "two base values with weights for one class are not supported");
    if (strcmp(post, "NONE") && strcmp(post, "LOGISTIC"))
        return ox_fail(n, "post_transform '%s' is not supported for two classes", post);
    for (size_t i = 0; i < f.n_leaves; i++)
        f.leaf_target[i] = 0;
    val *base = n_base == 1 ? table(n, ADZE_f32, 1, given, "base") : &n->imp->absent;
    val *raw = emit_forest(n, x, &f, 1, base, "SUM", "NONE");
    if (!raw)
        return false;
    val *second = ox_binary(n, "greater", raw, ox_scalar(n, ADZE_f32, positive ? 0.5 : 0));
    val *best = ox_cast(n, second, ADZE_i64);
    adze_shape flat = raw->shape;
    flat.rank = 1;
    val *other = positive && !strcmp(post, "NONE")
                     ? ox_binary(n, "sub", ox_scalar(n, ADZE_f32, 1), raw)
                     : ox_unary(n, "neg", raw);
    val *pair[] = {other, raw};
    if (!strcmp(post, "LOGISTIC"))
        for (int i = 0; i < 2; i++)
            pair[i] = ox_unary(n, "sigmoid", pair[i]);
    scores = ox_concat(n, 1, 2, pair);
    return ox_out(n, 0, ox_gather(n, labels, ox_reshape_to(n, best, &flat), 0)) &&
           ox_out(n, 1, scores);
}

/* ---- TreeEnsemble (ai.onnx.ml 5): children by index, leaves in tables of their own ---- */

static const adze_tensor *tensor_attr(node *n, const char *name) {
    val *v = ox_attr_tensor(n, name);
    return v ? ox_known(n, v) : NULL;
}

bool ox_op_tree_ensemble(node *n) {
    static const char *const aggregates[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    static const char *const posts[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    /* BRANCH_LEQ, LT, GTE, GT, EQ, NEQ, MEMBER -> modes of the table */
    enum { MEMBER = 6 };
    const int64_t *features, *yes, *no, *yes_leaf, *no_leaf, *tracks = NULL, *targets, *roots;
    val *x = ox_need(n, 0, "X");
    int count = ox_attr_all_ints(n, "nodes_featureids", &features);
    int n_leaves = ox_attr_all_ints(n, "leaf_targetids", &targets);
    int n_roots = ox_attr_all_ints(n, "tree_roots", &roots);
    int n_tracks = ox_attr_all_ints(n, "nodes_missing_value_tracks_true", &tracks);
    const adze_tensor *kinds = tensor_attr(n, "nodes_modes"),
                      *splits = tensor_attr(n, "nodes_splits"),
                      *weights = tensor_attr(n, "leaf_weights"),
                      *members = tensor_attr(n, "membership_values");
    if (n->failed || !x || count < 1 || n_leaves < 1 || n_roots < 1 || !kinds || !splits ||
        !weights || ox_attr_all_ints(n, "nodes_truenodeids", &yes) != count ||
        ox_attr_all_ints(n, "nodes_falsenodeids", &no) != count ||
        ox_attr_all_ints(n, "nodes_trueleafs", &yes_leaf) != count ||
        ox_attr_all_ints(n, "nodes_falseleafs", &no_leaf) != count ||
        adze_tensor_count(kinds) != (size_t)count || adze_tensor_count(splits) != (size_t)count ||
        adze_tensor_count(weights) != (size_t)n_leaves || (n_tracks > 0 && n_tracks != count))
        return ox_fail(n, "the lists of its trees differ in length");
    int64_t how = ox_attr_i(n, "aggregate_function", 1), post = ox_attr_i(n, "post_transform", 0);
    int64_t n_targets = ox_attr_i(n, "n_targets", 0);
    if (how < 0 || how > 3 || post < 0 || post > 4)
        return ox_fail(n, "its aggregate_function or post_transform is not supported");
    if (splits->dtype != ADZE_f32)
        return ox_fail(n, "splits of type %s are not supported",
                       adze_dtype_get(splits->dtype)->name);
    /* A MEMBER node becomes one EQ node per value; its values end at a NaN. */
    size_t n_members = members ? adze_tensor_count(members) : 0, extra = 0;
    forest f = new_forest(n->ctx->arena, (size_t)count + n_members + (size_t)n_leaves,
                          (size_t)n_leaves, (size_t)n_roots);
    int32_t leaf0 = count + (int32_t)n_members;
    size_t member = 0;
    for (int i = 0; i < count; i++) {
        int64_t kind = adze_tensor_get_i64(kinds, (size_t)i);
        if (kind < 0 || kind > MEMBER || features[i] < 0 || features[i] > INT32_MAX || yes[i] < 0 ||
            no[i] < 0 || yes[i] >= (yes_leaf[i] ? n_leaves : count) ||
            no[i] >= (no_leaf[i] ? n_leaves : count))
            return ox_fail(n, "a node of its trees is out of range");
        int32_t to_yes = (int32_t)yes[i] + (yes_leaf[i] ? leaf0 : 0);
        int32_t to_no = (int32_t)no[i] + (no_leaf[i] ? leaf0 : 0), at = i;
        for (;;) {
            f.feature[at] = (int32_t)features[i];
            f.missing[at] = n_tracks > 0 && tracks[i];
            f.true_next[at] = to_yes;
            f.false_next[at] = to_no;
            f.mode[at] = (uint8_t)(kind == MEMBER ? 5 : kind + 1);
            f.threshold[at] = (float)adze_tensor_get_f64(splits, (size_t)i);
            if (kind != MEMBER)
                break;
            if (member >= n_members)
                return ox_fail(n, "its membership_values end too early");
            f.threshold[at] = (float)adze_tensor_get_f64(members, member++);
            bool more = member < n_members && adze_tensor_get_f64(members, member) ==
                                                  adze_tensor_get_f64(members, member);
            if (!more) {
                member++;
                break;
            }
            f.false_next[at] = count + (int32_t)extra++;
            at = f.false_next[at];
        }
    }
    for (int i = 0; i < n_leaves; i++) {
        f.leaf_first[leaf0 + i] = i;
        f.leaf_count[leaf0 + i] = 1;
        f.leaf_target[i] = targets[i] < 0 || targets[i] > INT32_MAX ? -1 : (int32_t)targets[i];
        f.leaf_weight[i] = (float)adze_tensor_get_f64(weights, (size_t)i);
        f.true_next[leaf0 + i] = f.false_next[leaf0 + i] = leaf0 + i;
    }
    for (int i = 0; i < n_roots; i++) {
        if (roots[i] < 0 || roots[i] >= count)
            return ox_fail(n, "a root is out of range");
        f.roots[i] = (int32_t)roots[i];
    }
    return ox_out(n, 0,
                  emit_forest(n, x, &f, n_targets, &n->imp->absent, aggregates[how], posts[post]));
}

bool ox_op_array_feature(node *n) {
    val *x = ox_need(n, 0, "X"), *y = ox_need(n, 1, "Y");
    if (!x || !y || !x->shape.rank)
        return false;
    int64_t count = adze_shape_count(&y->shape);
    val *picked = ox_gather(n, x, ox_reshape(n, y, 1, &count), x->shape.rank - 1);
    return ox_out(n, 0, x->shape.rank == 1 ? ox_unsqueeze(n, picked, 0) : picked);
}
