/* The pass "vectorize": marked loops (attribute adze.vectorize) become vectors, a whole loop or
 * nothing of it.
 *
 *   for i in [low, high) { body }
 *     ──► for i in [low, main) step lanes { body on vectors }
 *         for i in [main, high) step lanes { active(high - i); body on vectors }    or
 *         for i in [main, high) { body }
 *
 * where `main` is the end of the last whole turn; the second loop where lanes can be left out, else
 * the third; neither where the lanes divide the turns.
 *
 * Scalable vectors and bare boards run the second loop alone. A loop that carries sums or extremes
 * keeps one vector of them (several where there are many turns, which hides the operation's
 * latency) and combines lanes behind it; there whole turns always come first, since lanes that are
 * off hold anything. What keeps a loop scalar is written on its kernel: adze.scalar. See
 * vectorize.h for how bodies are copied. */
#include "codegen/gen.h"
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>
#include <mlir-c/Pass.h>
#include <mlir-c/Transforms.h>

#include <string.h>

/* Partial results side by side: about latency times throughput of an addition. */
enum { CHAINS = 4 };

static bool is_known(MlirValue index, int64_t *value) {
    MlirOperation op = adze_defining(index);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant"))
        return false;
    *value = mlirIntegerAttrGetValueInt(adze_get(op, "value"));
    return true;
}

static MlirValue number(adze_vz *v, int64_t value) {
    return adze_vz_int(v, adze_index_type(v->ctx), value);
}

static MlirValue arithmetic(adze_vz *v, const char *op, MlirValue a, MlirValue b) {
    bool wraps =
        !strcmp(op, "arith.addi") || !strcmp(op, "arith.subi") || !strcmp(op, "arith.muli");
    adze_named nsw = {"overflowFlags", adze_parse_attr(v->ctx, "#arith.overflow<nsw>")};
    return adze_build1(&v->b, op, 2, (MlirValue[]){a, b}, adze_index_type(v->ctx), wraps, &nsw);
}

/* ---- turns ---- */

/* One copy of the body at index `at`; acc[r] is what reduction r has so far. */
static bool turn(adze_vz *v, MlirValue at, MlirValue *acc) {
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(v->loop, 0));
    adze_vz_forget(v);
    adze_vz_set(v, mlirBlockGetArgument(body, 0),
                (adze_vz_value){v->lanes ? ADZE_VZ_AFFINE : ADZE_VZ_UNIFORM, at, v->lanes ? 1 : 0});
    if (!adze_vz_block(v, body))
        return false;
    for (int r = 0; r < v->n_reductions; r++) {
        MlirValue x = adze_vz_varying(v, adze_vz_get(v, v->reductions[r].x));
        const adze_vz_reduction *how = &v->reductions[r];
        if (v->masked &&
            !mlirOperationIsNull(how->compare)) /* NaN goes, as it would in whole turns */
            x = adze_vz_combine(v, how, adze_vz_neutral(v, how, adze_vz_type(v, how->type)), x);
        if (v->masked)
            x = adze_vz_across(v, how, x);
        acc[r] = adze_vz_combine(v, how, acc[r], x);
    }
    return !v->why;
}

/* The name at this place of a loop's chain loc("oh"("acc")), or `otherwise`. */
static MlirStringRef chained_name(MlirLocation chain, int place, const char *otherwise) {
    while (place-- > 0 && mlirLocationIsAName(chain))
        chain = mlirLocationNameGetChildLoc(chain);
    return mlirLocationIsAName(chain) ? mlirIdentifierStr(mlirLocationNameGetName(chain))
                                      : mlirStringRefCreateFromCString(otherwise);
}

/* Names of a loop that carries n values, several for each of the old loop's: the chain, and each argument's own, so
 * that a dump that is read back has the same. */
static MlirLocation name_loop(adze_vz *v, int n, MlirLocation *locs) {
    MlirLocation old = mlirOperationGetLocation(v->loop), none = mlirLocationUnknownGet(v->ctx->mlir), chain = none;
    for (int i = n; i >= 0; i--) {
        MlirStringRef name = i ? chained_name(old, 1 + (i - 1) % (v->n_reductions ? v->n_reductions : 1), "acc")
                               : chained_name(old, 0, "i");
        locs[i] = mlirLocationNameGet(v->ctx->mlir, name, none);
        chain = mlirLocationNameGet(v->ctx->mlir, name, chain);
    }
    return chain;
}

/* for at in [low, high) step `by`, carrying n values; building goes on inside. */
static MlirOperation begin_for(adze_vz *v, MlirValue low, MlirValue high, MlirValue by, int n,
                               MlirValue *carried, MlirValue *at) {
    MlirValue operands[3 + CHAINS * ADZE_VZ_MAX_REDUCTIONS] = {low, high, by};
    MlirType types[1 + CHAINS * ADZE_VZ_MAX_REDUCTIONS] = {adze_index_type(v->ctx)};
    MlirLocation locs[1 + CHAINS * ADZE_VZ_MAX_REDUCTIONS];
    MlirLocation loc = name_loop(v, n, locs);
    for (int i = 0; i < n; i++) {
        operands[3 + i] = carried[i];
        types[1 + i] = mlirValueGetType(carried[i]);
    }
    MlirOperationState state =
        mlirOperationStateGet(mlirStringRefCreateFromCString("scf.for"), loc);
    mlirOperationStateAddOperands(&state, 3 + n, operands);
    mlirOperationStateAddResults(&state, n, types + 1);
    MlirRegion region = mlirRegionCreate();
    MlirBlock block = mlirBlockCreate(1 + n, types, locs);
    mlirRegionAppendOwnedBlock(region, block);
    mlirOperationStateAddOwnedRegions(&state, 1, &region);
    MlirOperation loop = mlirOperationCreate(&state);
    adze_insert(&v->b, loop);
    *at = mlirBlockGetArgument(block, 0);
    for (int i = 0; i < n; i++)
        carried[i] = mlirBlockGetArgument(block, 1 + i);
    v->b = adze_at_end(v->ctx, block);
    return loop;
}

static void end_for(adze_vz *v, MlirOperation loop, adze_builder outer, int n, MlirValue *carried) {
    adze_build(&v->b, "scf.yield", n, carried, 0, NULL, 0, NULL, 0);
    v->b = outer;
    for (int i = 0; i < n; i++)
        carried[i] = mlirOperationGetResult(loop, i);
}

/* Whole turns of `chains` vectors each; acc holds n_reductions values for every chain. */
static bool whole_turns(adze_vz *v, MlirValue low, MlirValue high, MlirValue lanes, int chains,
                        bool once, MlirValue *acc) {
    adze_builder outer = v->b;
    MlirValue at = low, by = lanes;
    MlirOperation loop = {NULL};
    int n = chains * v->n_reductions;
    if (chains > 1)
        by = arithmetic(v, "arith.muli", lanes, number(v, chains));
    outer = v->b;
    if (!once)
        loop = begin_for(v, low, high, by, n, acc, &at);
    int64_t known;
    const MlirValue first = at;
    for (int c = 0; c < chains; c++) {
        if (c && is_known(lanes, &known))
            at = arithmetic(v, "arith.addi", first, number(v, c * known));
        else if (c)
            at = arithmetic(v, "arith.addi", at, lanes);
        if (!turn(v, at, acc + c * v->n_reductions))
            return false;
    }
    if (!once)
        end_for(v, loop, outer, n, acc);
    return true;
}

/* The turn with lanes left out (all turns, where there is no other loop). */
static bool masked_turns(adze_vz *v, MlirValue low, MlirValue high, MlirValue lanes,
                         const char *type, MlirValue *acc) {
    adze_builder outer = v->b;
    MlirValue at;
    MlirOperation loop = begin_for(v, low, high, lanes, v->n_reductions, acc, &at);
    MlirValue left = arithmetic(v, "arith.subi", high, at);
    adze_named attr = {"type", adze_str(v->ctx, type)};
    adze_build1(&v->b, "adze.active", 1, &left, adze_index_type(v->ctx), 1, &attr);
    v->masked = true;
    bool ok = turn(v, at, acc);
    v->masked = false;
    v->mask_failed = !ok;
    if (ok)
        end_for(v, loop, outer, v->n_reductions, acc);
    return ok;
}

static bool scalar_turns(adze_vz *v, MlirValue low, MlirValue high, MlirValue *acc) {
    adze_builder outer = v->b;
    MlirValue at, one = number(v, 1);
    outer = v->b;
    MlirOperation loop = begin_for(v, low, high, one, v->n_reductions, acc, &at);
    int64_t lanes = v->lanes;
    v->lanes = 0;
    bool ok = turn(v, at, acc);
    v->lanes = lanes;
    if (ok)
        end_for(v, loop, outer, v->n_reductions, acc);
    return ok;
}

/* ---- a loop ---- */

/* How tables name the lanes: integers by their signed type. */
static const char *spelling(adze_vz *v, MlirType element) {
    if (mlirTypeIsAInteger(element))
        element = mlirIntegerTypeGet(v->ctx->mlir, mlirIntegerTypeGetWidth(element));
    const char *name = adze_vector_spelling(v->ctx, adze_vz_type(v, element), 's');
    return name ? name : "?";
}

/* Is this the constant that lanes start from too? Then combining with it changes nothing. */
static bool is_neutral(adze_vz *v, const adze_vz_reduction *r, MlirValue start) {
    MlirOperation op = adze_defining(start);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant"))
        return false;
    MlirValue neutral = adze_vz_neutral(v, r, r->type);
    return neutral.ptr && mlirAttributeEqual(adze_get(op, "value"), adze_get(adze_defining(neutral), "value"));
}

/* Builds the loops that take v->loop's place; acc: its results. `element`: of the widest vectors in
 * it. */
static bool build(adze_vz *v, MlirType element, MlirValue *acc) {
    MlirValue low = mlirOperationGetOperand(v->loop, 0), high = mlirOperationGetOperand(v->loop, 1);
    MlirType type = adze_vz_type(v, element);
    bool can_mask = v->may_mask && adze_vector_has_active(v->ctx, v->target, type);
    int64_t from, to, n = -1;
    if (is_known(low, &from) && is_known(high, &to))
        n = to > from ? to - from : 0;
    bool fixed = n >= 0 && !v->scalable, rest = !fixed || n % v->lanes;
    for (int r = 0; r < v->n_reductions; r++)
        acc[r] = mlirOperationGetOperand(v->loop, 3 + r);

    if (v->scalable && !adze_target_instruction(v->target, "vector.lanes", spelling(v, element)))
        return adze_vz_fail(v, false, "the number of lanes of %s has no row", spelling(v, element));
    adze_named attr = {"type", adze_str(v->ctx, spelling(v, element))};
    MlirValue lanes =
        v->scalable ? adze_build1(&v->b, "adze.lanes", 0, NULL, adze_index_type(v->ctx), 1, &attr)
                    : number(v, v->lanes);
    if (can_mask && !v->n_reductions && rest && (v->scalable || v->target->bare))
        return masked_turns(v, low, high, lanes, spelling(v, element), acc);

    MlirValue end = high;
    if (rest && fixed) {
        end = number(v, from + n - n % v->lanes);
    } else if (rest) {
        MlirValue count = arithmetic(v, "arith.subi", high, low);
        end = arithmetic(v, "arith.subi", high, arithmetic(v, "arith.remsi", count, lanes));
    }
    if (!fixed || n >= v->lanes) {
        int64_t turns = fixed ? n / v->lanes : -1;
        int chains = v->n_reductions && v->n_reductions <= CHAINS ? CHAINS / v->n_reductions : 1;
        while (chains > 1 && (turns < 2 * chains || (chains & (chains - 1))))
            chains--;
        MlirValue part[CHAINS * ADZE_VZ_MAX_REDUCTIONS], start = low;
        for (int i = 0; i < chains * v->n_reductions; i++) {
            const adze_vz_reduction *r = &v->reductions[i % v->n_reductions];
            part[i] = adze_vz_neutral(v, r, adze_vz_type(v, r->type));
        }
        if (v->why)
            return false;
        if (chains > 1) {
            int64_t long_turns = turns / chains * chains;
            MlirValue middle = long_turns == turns ? end : number(v, from + long_turns * v->lanes);
            if (!whole_turns(v, start, middle, lanes, chains, false, part))
                return false;
            for (int width = chains / 2; width; width /= 2) /* a tree, whatever the trip count */
                for (int i = 0; i < width * v->n_reductions; i++)
                    part[i] = adze_vz_combine(v, &v->reductions[i % v->n_reductions], part[i],
                                              part[i + width * v->n_reductions]);
            start = middle;
            turns -= long_turns;
        }
        if (turns && !whole_turns(v, start, end, lanes, 1, turns == 1, part))
            return false;
        for (int r = 0; r < v->n_reductions; r++) {
            MlirValue all = adze_vz_across(v, &v->reductions[r], part[r]);
            acc[r] = is_neutral(v, &v->reductions[r], acc[r]) ? all : adze_vz_combine(v, &v->reductions[r], acc[r], all);
        }
    }
    if (v->why || !rest)
        return !v->why;
    return can_mask ? masked_turns(v, end, high, lanes, spelling(v, element), acc)
                    : scalar_turns(v, end, high, acc);
}

static bool attempt(adze_vz *v, MlirType element) {
    MlirBlock aside = mlirBlockCreate(0, NULL, NULL);
    MlirValue acc[ADZE_VZ_MAX_REDUCTIONS];
    v->b = adze_at_end(v->ctx, aside);
    v->n_accesses = v->n_fused = 0;
    v->retry = v->masked = v->mask_failed = false;
    v->why = NULL;
    v->row_lanes = v->lanes;
    bool ok = build(v, element, acc) && adze_vz_independent(v);
    if (ok) {
        for (MlirOperation op = mlirBlockGetFirstOperation(aside); !mlirOperationIsNull(op);
             op = mlirBlockGetFirstOperation(aside))
            mlirOperationMoveBefore(op, v->loop);
        adze_replace(v->loop, acc);
    }
    mlirBlockDestroy(aside);
    return ok;
}

/* The types whose vectors a loop needs: the widest decides how many lanes there are at most. */
typedef struct widths {
    adze_vz *v;
    int64_t most, least; /* lanes of a register of the narrowest and of the widest element */
    MlirType widest;
    bool scalable;
} widths;

static void width_of(MlirOperation op, void *user) {
    widths *w = user;
    const bool store = adze_is_op(op, "memref.store");
    for (intptr_t i = 0; i < (store ? 1 : mlirOperationGetNumResults(op)); i++) {
        MlirType type = mlirValueGetType(store ? mlirOperationGetOperand(op, 0)
                                               : mlirOperationGetResult(op, i));
        bool scalable, whole = mlirTypeIsAInteger(type) && mlirIntegerTypeGetWidth(type) > 1;
        if (!whole && !mlirTypeIsAFloat(type))
            continue;
        int64_t lanes = adze_vector_lanes(w->v->ctx, w->v->target, type, &scalable);
        if (!lanes)
            continue;
        w->most = lanes > w->most ? lanes : w->most;
        if (!w->least || lanes < w->least) {
            w->least = lanes;
            w->widest = type;
            w->scalable = scalable;
        }
    }
}

static bool with_lanes(adze_vz *v, const widths *w, const char **why) {
    if (v->hopeless || (v->lanes < w->least &&
                        !adze_vector_has_type(v->ctx, v->target, adze_vz_type(v, w->widest))))
        return false;
    for (int masks = 1; masks >= 0 && !v->hopeless; masks--) {
        v->may_mask = masks;
        v->n_forced = 0;
        do {
            if (attempt(v, w->widest))
                return true;
        } while (v->retry && !v->why);
        if (!v->mask_failed)
            break;
    }
    if (v->lanes <= w->least && !*why)
        *why = v->why;
    return false;
}

static bool vectorize(adze_vz *v) {
    widths w = {.v = v};
    int64_t step, low, high, n = -1;
    v->why = NULL;
    v->hopeless = false;
    if (!is_known(mlirOperationGetOperand(v->loop, 2), &step) || step != 1)
        return adze_vz_fail(v, true, "the loop's step is not 1");
    if (!adze_vz_reductions(v))
        return false;
    adze_walk(v->loop, width_of, &w);
    if (!w.least)
        return adze_vz_fail(v, true, "the target has no vectors of the loop's types");
    if (is_known(mlirOperationGetOperand(v->loop, 0), &low) &&
        is_known(mlirOperationGetOperand(v->loop, 1), &high))
        n = high - low;
    v->scalable = w.scalable;
    /* As many lanes as registers have, but not twice what the turns need; what has no such rows,
     * with fewer lanes, then with more of them off. */
    int64_t needed = w.most;
    bool can_mask =
        adze_vector_has_active(v->ctx, v->target, adze_vector_of(w.widest, w.least, w.scalable));
    while (n >= 0 && !v->scalable && needed > 2 && n < (can_mask ? needed / 2 + 1 : needed))
        needed /= 2;
    const char *why = NULL; /* of the lanes that the widest element asks for */
    for (v->lanes = needed; v->lanes >= 2; v->lanes /= 2)
        if (n < 0 || v->scalable || can_mask || n >= v->lanes)
            if (with_lanes(v, &w, &why))
                return true;
    for (v->lanes = 2 * needed; can_mask && v->lanes <= w.most && !v->hopeless; v->lanes *= 2)
        if (with_lanes(v, &w, &why))
            return true;
    if (v->hopeless)
        return false;
    v->why = why;
    return why ? false : adze_vz_fail(v, true, "too few turns");
}

/* ---- the pass ---- */

static const char mark[] = "adze.vectorize";

/* Tries every marked loop, outer ones before those in them. */
static bool visit(adze_vz *v, MlirBlock block) {
    bool changed = false;
    for (MlirOperation op = mlirBlockGetFirstOperation(block), next; !mlirOperationIsNull(op);
         op = next) {
        next = mlirOperationGetNextInBlock(op);
        const char *why = NULL;
        if (!mlirAttributeIsNull(adze_get(op, mark))) {
            mlirOperationRemoveAttributeByName(op, mlirStringRefCreateFromCString(mark));
            v->loop = op;
            if (vectorize(v)) {
                changed = true;
                continue;
            }
            why = v->why;
        }
        bool inside = false;
        for (intptr_t i = 0; i < mlirOperationGetNumRegions(op); i++)
            for (MlirBlock b = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, i));
                 !mlirBlockIsNull(b); b = mlirBlockGetNextInRegion(b))
                inside |= visit(v, b);
        changed |= inside;
        if (why && !inside && mlirAttributeIsNull(adze_get(v->kernel, "adze.scalar")))
            adze_set(v->kernel, "adze.scalar", adze_str(v->ctx, why));
    }
    return changed;
}

/* The marked loops of a kernel; those that merge with the one around them have it marked instead.
 */
typedef struct marked {
    adze_context *ctx;
    MlirOperation *loops;
    int n, max;
} marked;

static void collect(MlirOperation op, void *user) {
    marked *m = user;
    if (mlirAttributeIsNull(adze_get(op, mark)))
        return;
    if (m->n == m->max) {
        m->max = m->max ? 2 * m->max : 16;
        MlirOperation *grown = ADZE_NEW_ARRAY(m->ctx->arena, MlirOperation, (size_t)m->max);
        for (int i = 0; i < m->n; i++)
            grown[i] = m->loops[i];
        m->loops = grown;
    }
    m->loops[m->n++] = op;
}

static void collapse(adze_vz *v) {
    marked all = {.ctx = v->ctx};
    adze_walk(v->kernel, collect, &all);
    for (int i = 0; i < all.n; i++)
        for (MlirOperation loop = all.loops[i], outer;; loop = outer) {
            outer = mlirOperationGetParentOperation(loop);
            bool known = false; /* marked itself, so in the list */
            for (int k = 0; k < all.n; k++)
                known |= mlirOperationEqual(all.loops[k], outer);
            if (known || !adze_vz_collapse(v, loop))
                break;
            adze_set(outer, mark, mlirUnitAttrGet(v->ctx->mlir));
        }
}

/* Shares and hoists the constants and broadcasts that every operation brought along. */
static bool tidy(adze_context *ctx, MlirOperation kernel) {
    MlirPassManager manager =
        mlirPassManagerCreateOnOperation(ctx->mlir, mlirStringRefCreateFromCString("func.func"));
    mlirPassManagerAddOwnedPass(manager, mlirCreateTransformsCSE());
    mlirPassManagerAddOwnedPass(manager, mlirCreateTransformsLoopInvariantCodeMotion());
    mlirPassManagerAddOwnedPass(manager, mlirCreateTransformsCSE());
    bool ok = mlirLogicalResultIsSuccess(mlirPassManagerRunOnOp(manager, kernel));
    mlirPassManagerDestroy(manager);
    return ok || adze_error(&ctx->diags, NULL, "tidying vectors failed");
}

bool adze_codegen_vectorize(adze_context *ctx, MlirModule module, const adze_target *target) {
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, "func.func") || mlirAttributeIsNull(adze_get(op, "adze.kernel")))
            continue;
        MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
        if (mlirBlockIsNull(body))
            continue;
        adze_vz v = {.ctx = ctx, .module = module, .target = target, .kernel = op};
        if (!target || !target->vector_type_count)
            continue;
        collapse(&v);
        if (visit(&v, body) && !tidy(ctx, op))
            return false;
    }
    return true;
}
