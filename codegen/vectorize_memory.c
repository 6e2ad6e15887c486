/* Loads and stores of a marked loop: one element in each lane becomes a vector where lanes are
 * neighbours. */
#include "codegen/vectorize.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static adze_vz_access *note(adze_vz *v, MlirOperation op, MlirValue memref, bool store) {
    if (v->n_accesses == v->max_accesses) {
        int n = v->max_accesses ? 2 * v->max_accesses : 16;
        adze_vz_access *grown = ADZE_NEW_ARRAY(v->ctx->arena, adze_vz_access, (size_t)n);
        if (v->n_accesses)
            memcpy(grown, v->accesses, (size_t)v->n_accesses * sizeof *grown);
        v->accesses = grown;
        v->max_accesses = n;
    }
    adze_vz_access *a = &v->accesses[v->n_accesses++];
    *a = (adze_vz_access){
        .op = op,
                            .memref = adze_vz_root(memref),
                            .view = memref,
                            .type = mlirValueGetType(memref),
                            .store = store};
    return a;
}

/* Where lane 0 is, and how many elements further the next lane: 0 or 1. Lanes that are neighbours
 * along an axis other than the last (those behind it have one element) get a flat view of the
 * memory. */
static bool address(adze_vz *v, MlirOperation op, int at, bool store, MlirValue *memref, int *rank,
                    MlirValue *index, int64_t *step) {
    *memref = mlirOperationGetOperand(op, at);
    adze_shape shape;
    if (adze_vz_get(v, *memref).kind != ADZE_VZ_UNIFORM ||
        !adze_value_shape(v->ctx, *memref, &shape))
        return adze_vz_fail(v, true, "memory of unknown shape");
    *memref = adze_vz_get(v, *memref).now;
    *rank = shape.rank;
    *step = 0;
    adze_vz_access unused,
        *a = v->lanes ? note(v, op, mlirOperationGetOperand(op, at), store) : &unused;
    a->rank = shape.rank;
    int axis = -1;
    int64_t stride = 1; /* elements; -1: not known */
    for (int d = shape.rank - 1; d >= 0; d--) {
        adze_vz_value i = adze_vz_get(v, mlirOperationGetOperand(op, at + 1 + d));
        a->index[d] = mlirOperationGetOperand(op, at + 1 + d);
        a->moves[d] = i.kind != ADZE_VZ_UNIFORM;
        index[d] = i.now;
        if (i.kind == ADZE_VZ_VARYING)
            return adze_vz_fail(v, true, "elements are gathered by an index that is computed");
        if (i.kind == ADZE_VZ_AFFINE) {
            if (axis >= 0)
                return adze_vz_fail(v, true, "neighbours lie on a diagonal");
            if (stride != 1 || i.coef != 1)
                return adze_vz_fail(v, true, "neighbours are not next to each other in memory");
            axis = d;
            *step = 1;
        }
        stride = stride < 0 || shape.dims[d] < 0 ? -1 : stride * shape.dims[d];
    }
    if (axis < 0 || axis == shape.rank - 1)
        return true;
    int64_t count = adze_shape_count(&shape);
    if (count < 0)
        return adze_vz_fail(v, true,
                            "neighbours lie along an axis of memory whose shape is not fixed");
    adze_shape flat = {.element = shape.element, .dtype = shape.dtype, .rank = 1, .dims = {count}};
    MlirType index_type = adze_index_type(v->ctx);
    MlirValue sum = {NULL};
    stride = 1;
    for (int d = shape.rank - 1; d >= 0; d--) {
        MlirValue term = index[d];
        adze_named nsw = {"overflowFlags", adze_parse_attr(v->ctx, "#arith.overflow<nsw>")};
        if (shape.dims[d] != 1) {
            if (stride != 1) {
                adze_named value = {"value", mlirIntegerAttrGet(index_type, stride)};
                MlirValue by = adze_build1(&v->b, "arith.constant", 0, NULL, index_type, 1, &value);
                term = adze_build1(&v->b, "arith.muli", 2, (MlirValue[]){term, by}, index_type, 1,
                                   &nsw);
            }
            sum = sum.ptr ? adze_build1(&v->b, "arith.addi", 2, (MlirValue[]){sum, term},
                                        index_type, 1, &nsw)
                          : term;
        }
        stride *= shape.dims[d];
    }
    *memref = adze_vz_view(v, *memref, &flat);
    *rank = 1;
    index[0] = sum.ptr ? sum : index[axis];
    return true;
}

static bool has_row(adze_vz *v, const char *op, MlirType type, bool store) {
    const char *name = adze_vector_spelling(v->ctx, type, 's');
    if (!adze_vector_memory_row(v->target, store, false, type))
        return adze_vz_fail(v, false, "%s of %s has no row", op, name ? name : "?");
    if (v->masked && !adze_vector_has_active(v->ctx, v->target, type))
        return adze_vz_fail(v, false, "%s of some lanes of %s has no row", op, name ? name : "?");
    return true;
}

bool adze_vz_load(adze_vz *v, MlirOperation op) {
    MlirValue operands[1 + ADZE_MAX_RANK], memref, y;
    int rank;
    int64_t step;
    if (!address(v, op, 0, false, &memref, &rank, operands + 1, &step))
        return false;
    operands[0] = memref;
    MlirType element = mlirValueGetType(mlirOperationGetResult(op, 0));
    const char *name = adze_location_name(v->ctx, op, NULL);
    if (!step || !v->lanes) {
        v->b.name = name;
        y = adze_build1(&v->b, "memref.load", 1 + rank, operands, element, 0, NULL);
    } else {
        MlirType type = adze_vz_type(v, element);
        if (!has_row(v, "vector.load", type, false))
            return false;
        v->b.name = name;
        y = adze_build1(&v->b, "vector.load", 1 + rank, operands, type, 0, NULL);
    }
    adze_vz_set(v, mlirOperationGetResult(op, 0),
                (adze_vz_value){step && v->lanes ? ADZE_VZ_VARYING : ADZE_VZ_UNIFORM, y, 0});
    return true;
}

bool adze_vz_store(adze_vz *v, MlirOperation op) {
    MlirValue operands[2 + ADZE_MAX_RANK], memref;
    int rank;
    int64_t step;
    if (!address(v, op, 1, true, &memref, &rank, operands + 2, &step))
        return false;
    operands[1] = memref;
    adze_vz_value x = adze_vz_get(v, mlirOperationGetOperand(op, 0));
    if (!v->lanes) {
        operands[0] = x.now;
        adze_build(&v->b, "memref.store", 2 + rank, operands, 0, NULL, 0, NULL, 0);
        return true;
    }
    if (!step)
        return adze_vz_fail(v, true, "all turns store to one place");
    operands[0] = adze_vz_varying(v, x);
    if (v->why || !has_row(v, "vector.store", mlirValueGetType(operands[0]), true))
        return false;
    adze_build(&v->b, "vector.store", 2 + rank, operands, 0, NULL, 0, NULL, 0);
    return true;
}

/* ---- do lanes meet in memory? ---- */

/* Two arguments that carry adze.alias may be the same memory. */
static bool may_alias(const adze_vz *v, MlirValue memref) {
    if (!mlirValueIsABlockArgument(memref))
        return false;
    MlirAttribute all = adze_get(v->kernel, "arg_attrs");
    intptr_t i = mlirBlockArgumentGetArgNumber(memref);
    if (mlirAttributeIsNull(all) || i >= mlirArrayAttrGetNumElements(all))
        return false;
    return !mlirAttributeIsNull(mlirDictionaryAttrGetElementByName(
        mlirArrayAttrGetElement(all, i), mlirStringRefCreateFromCString("adze.alias")));
}

/* What is stored in the loop may be touched again only by the lane that stored it: along an axis on
 * which lanes differ, every access has the very same index. */
static bool same_lane(const adze_vz_access *a, const adze_vz_access *b) {
    bool moves = false;
    if (a->rank != b->rank || !mlirTypeEqual(a->type, b->type))
        return false;
    for (int d = 0; d < a->rank; d++) {
        if (!a->moves[d] && !b->moves[d])
            continue;
        moves = true;
        if (!mlirValueEqual(a->index[d], b->index[d]))
            return false;
    }
    return moves;
}

/* Elements first .. end of some memory, counted from `base` (null: from its beginning). */
typedef struct span {
    MlirValue base;
    int64_t first, end;
} span;

static bool constant_index(MlirValue index, int64_t *value) {
    MlirOperation op = adze_defining(index);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant"))
        return false;
    *value = mlirIntegerAttrGetValueInt(adze_get(op, "value"));
    return true;
}

/* The elements that a view shows; false for what is no view, or one whose extents are not known. */
static bool span_of(MlirValue view, span *out) {
    MlirOperation op = adze_defining(view);
    int64_t sizes[ADZE_MAX_RANK], strides[ADZE_MAX_RANK], offset, more;
    if (mlirOperationIsNull(op) || !adze_is_op(op, "memref.reinterpret_cast") ||
        adze_get_i64s(op, "static_offsets", 1, &offset) != 1)
        return false;
    int rank = adze_get_i64s(op, "static_sizes", ADZE_MAX_RANK, sizes);
    if (rank > ADZE_MAX_RANK ||
        adze_get_i64s(op, "static_strides", ADZE_MAX_RANK, strides) != rank)
        return false;
    *out = (span){.first = offset};
    if (mlirShapedTypeIsDynamicStrideOrOffset(offset)) {
        out->base = mlirOperationGetOperand(op, 1);
        out->first = 0;
        MlirOperation sum = adze_defining(out->base);
        if (!mlirOperationIsNull(sum) && adze_is_op(sum, "arith.addi") &&
            constant_index(mlirOperationGetOperand(sum, 1), &more)) {
            out->base = mlirOperationGetOperand(sum, 0);
            out->first = more;
        }
    }
    out->end = out->first + 1;
    for (int d = 0; d < rank; d++) {
        if (sizes[d] < 1 || strides[d] < 0 || mlirShapedTypeIsDynamicSize(sizes[d]) ||
            mlirShapedTypeIsDynamicStrideOrOffset(strides[d]))
            return false;
        out->end += (sizes[d] - 1) * strides[d];
    }
    return true;
}

/* Two views of one memory that share no element: parts of a kernel's work memory. */
static bool apart(MlirValue a, MlirValue b) {
    span x, y;
    if (!span_of(a, &x) || !span_of(b, &y))
        return false;
    bool one_base = x.base.ptr == y.base.ptr ||
                    (x.base.ptr && y.base.ptr && mlirValueEqual(x.base, y.base));
    return one_base && (x.end <= y.first || y.end <= x.first);
}

bool adze_vz_independent(adze_vz *v) {
    for (int i = 0; i < v->n_accesses; i++) {
        const adze_vz_access *a = &v->accesses[i];
        if (!a->store)
            continue;
        for (int k = 0; k < v->n_accesses; k++) {
            const adze_vz_access *b = &v->accesses[k];
            bool meet = (mlirValueEqual(a->memref, b->memref) && !apart(a->view, b->view)) ||
                        (may_alias(v, a->memref) && may_alias(v, b->memref));
            if (meet && !same_lane(a, b))
                return adze_vz_fail(v, true, "a turn reads or overwrites what another one stores");
        }
    }
    return true;
}
