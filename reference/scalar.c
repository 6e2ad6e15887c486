/* The few arith and tensor operations that control flow around adze operations needs: constants,
 * extents, tests, and moves between scalars and tensors. Scalars are tensors of rank 0. */
#include "reference/internal.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* A result that is a scalar (index counts as i64) or a tensor whose extents the type says. */
static bool new_result(ref_call *c, int rank, const int64_t *dims) {
    MlirType type = mlirValueGetType(mlirOperationGetResult(c->op, 0));
    adze_shape shape;
    if (adze_shape_of(c->ctx, type, &shape))
        return ref_out(c, 0, rank, dims);
    const adze_dtype dtype = mlirTypeIsAIndex(type) ? ADZE_i64 : adze_element_dtype(c->ctx, type);
    if (dtype == ADZE_NO_DTYPE || !adze_tensor_new(c->arena, dtype, 0, NULL, &c->out[0]))
        return ref_fail(c, "the result's type is not known");
    return true;
}

static bool constant(ref_call *c) {
    MlirAttribute value = adze_get(c->op, "value");
    if (!new_result(c, 0, NULL))
        return false;
    adze_tensor *y = &c->out[0];
    if (mlirAttributeIsAInteger(value)) {
        MlirType type = mlirAttributeGetType(value);
        const bool bit = mlirTypeIsAInteger(type) && mlirIntegerTypeGetWidth(type) == 1;
        adze_tensor_set_i64(y, 0,
                            bit ? mlirBoolAttrGetValue(value) : mlirIntegerAttrGetValueInt(value));
        return true;
    }
    if (mlirAttributeIsAFloat(value)) {
        adze_tensor_set_f64(y, 0, mlirFloatAttrGetValueDouble(value));
        return true;
    }
    return ref_fail(c, "a constant that is no scalar belongs into adze.constant");
}

/* ---- integers: every width is computed in 64 bits and wraps when stored ---- */

static uint64_t unsigned_of(const adze_tensor *t) {
    const int bits = adze_dtype_get(t->dtype)->bits;
    const uint64_t v = (uint64_t)adze_tensor_get_i64(t, 0);
    return bits >= 64 ? v : v & (((uint64_t)1 << bits) - 1);
}

static bool store(ref_call *c, int64_t v) {
    if (!new_result(c, 0, NULL))
        return false;
    adze_tensor_set_i64(&c->out[0], 0, c->out[0].dtype == ADZE_bool ? v & 1 : v);
    return true;
}

#define X adze_tensor_get_i64(c->in[0], 0)
#define Y adze_tensor_get_i64(c->in[1], 0)
static bool sign_cast(ref_call *c) {
    /* i1 is a bool on the host, yet -1 to a signed extension */
    return store(c, c->in[0]->dtype == ADZE_bool && strcmp(c->name, "arith.index_castui") ? -X : X);
}
static bool zero_cast(ref_call *c) { return store(c, (int64_t)unsigned_of(c->in[0])); }
static bool truncate(ref_call *c) { return store(c, X); }
static bool add(ref_call *c) { return store(c, (int64_t)((uint64_t)X + (uint64_t)Y)); }
static bool sub(ref_call *c) { return store(c, (int64_t)((uint64_t)X - (uint64_t)Y)); }
static bool mul(ref_call *c) { return store(c, (int64_t)((uint64_t)X * (uint64_t)Y)); }
static bool and_bits(ref_call *c) { return store(c, X & Y); }
static bool or_bits(ref_call *c) { return store(c, X | Y); }
static bool xor_bits(ref_call *c) { return store(c, X ^ Y); }
static bool min_signed(ref_call *c) { return store(c, X < Y ? X : Y); }
static bool max_signed(ref_call *c) { return store(c, X > Y ? X : Y); }

static bool compare(ref_call *c) {
    const int64_t x = X, y = Y;
    const uint64_t ux = unsigned_of(c->in[0]), uy = unsigned_of(c->in[1]);
    const bool results[] = {x == y,  x != y, x<y, x <= y, x> y, x >= y, ux<uy, ux <= uy, ux> uy,
                            ux >= uy};
    const int64_t predicate = ref_i64(c, "predicate");
    if (predicate < 0 || predicate >= (int64_t)ADZE_COUNT(results))
        return ref_fail(c, "unknown predicate %lld", (long long)predicate);
    return store(c, results[predicate]);
}
#undef X
#undef Y

static bool copy_of(ref_call *c, const adze_tensor *t) {
    if (!new_result(c, t->rank, t->dims))
        return false;
    memcpy(adze_tensor_data(&c->out[0]), t->data, adze_tensor_host_bytes(t));
    return true;
}

static bool choose(ref_call *c) {
    return copy_of(c, adze_tensor_get_i64(c->in[0], 0) ? c->in[1] : c->in[2]);
}

/* ---- tensors ---- */

static bool extract(ref_call *c) {
    const adze_tensor *x = c->in[0];
    if (c->n_in != x->rank + 1)
        return ref_fail(c, "%d indices for a tensor of rank %d", c->n_in - 1, x->rank);
    size_t at = 0;
    for (int d = 0; d < x->rank; d++) {
        const int64_t k = adze_tensor_get_i64(c->in[d + 1], 0);
        if (k < 0 || k >= x->dims[d])
            return ref_fail(c, "index %lld is outside axis %d", (long long)k, d);
        at = at * (size_t)x->dims[d] + (size_t)k;
    }
    if (!new_result(c, 0, NULL))
        return false;
    const size_t bytes = adze_dtype_get(x->dtype)->host_bytes;
    memcpy(adze_tensor_data(&c->out[0]), (const uint8_t *)x->data + at * bytes, bytes);
    return true;
}

static bool from_elements(ref_call *c) {
    adze_shape shape;
    if (!ref_out_shape(c, 0, NULL, &shape) || !new_result(c, shape.rank, shape.dims))
        return false;
    const size_t n = adze_tensor_count(&c->out[0]), bytes = adze_dtype_get(shape.dtype)->host_bytes;
    const bool splat = c->n_in == 1;
    if (!splat && n != (size_t)c->n_in)
        return ref_fail(c, "%d elements for a tensor of %zu", c->n_in, n);
    for (size_t i = 0; i < n; i++)
        memcpy((uint8_t *)adze_tensor_data(&c->out[0]) + i * bytes, c->in[splat ? 0 : i]->data,
               bytes);
    return true;
}

static bool extent(ref_call *c) {
    int axis;
    return ref_axis(c, adze_tensor_get_i64(c->in[1], 0), c->in[0]->rank, &axis) &&
           store(c, c->in[0]->dims[axis]);
}

static bool same(ref_call *c) { return copy_of(c, c->in[0]); }

static bool empty(ref_call *c) {
    adze_shape shape;
    if (!adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &shape))
        return ref_fail(c, "the result is not a ranked tensor");
    int next = 0;
    for (int d = 0; d < shape.rank; d++)
        if (shape.dims[d] < 0 && next < c->n_in)
            shape.dims[d] = adze_tensor_get_i64(c->in[next++], 0);
    return new_result(c, shape.rank, shape.dims);
}

/* Offsets, sizes and strides of a slice operation: static numbers, with operands from `first` on in
 * the places that MLIR marks dynamic. Fails where the slice leaves `t`. */
static bool read_slice(ref_call *c, int first, const adze_tensor *t,
                       int64_t part[3][ADZE_MAX_RANK]) {
    static const char *const names[] = {"static_offsets", "static_sizes", "static_strides"};
    for (int k = 0; k < 3; k++) {
        int64_t numbers[2 * ADZE_MAX_RANK];
        if (!ref_i64s_attr(c, names[k], t->rank, numbers, NULL))
            return false;
        for (int d = 0; d < t->rank; d++) {
            if (numbers[d] == INT64_MIN) {
                if (first >= c->n_in)
                    return ref_fail(c, "an operand is missing");
                numbers[d] = adze_tensor_get_i64(c->in[first++], 0);
            }
            part[k][d] = numbers[d];
        }
    }
    for (int d = 0; d < t->rank; d++) {
        const int64_t last = part[0][d] + (part[1][d] - 1) * part[2][d];
        if (part[1][d] < 0 || (part[1][d] > 0 && (part[0][d] < 0 || part[0][d] >= t->dims[d] ||
                                                  last < 0 || last >= t->dims[d])))
            return ref_fail(c, "the slice leaves axis %d", d);
    }
    return true;
}

/* Copies between a slice of `whole` and the row-major elements of `part`. */
static void copy_slice(uint8_t *whole, const adze_tensor *shape, uint8_t *part, bool to_whole,
                       int64_t slice[3][ADZE_MAX_RANK]) {
    const size_t bytes = adze_dtype_get(shape->dtype)->host_bytes;
    int64_t index[ADZE_MAX_RANK] = {0};
    const size_t n = ref_product(slice[1], 0, shape->rank);
    for (size_t i = 0; i < n; i++, ref_next(shape->rank, slice[1], index)) {
        size_t at = 0;
        for (int d = 0; d < shape->rank; d++)
            at = at * (size_t)shape->dims[d] + (size_t)(slice[0][d] + index[d] * slice[2][d]);
        if (to_whole)
            memcpy(whole + at * bytes, part + i * bytes, bytes);
        else
            memcpy(part + i * bytes, whole + at * bytes, bytes);
    }
}

static bool extract_slice(ref_call *c) {
    int64_t slice[3][ADZE_MAX_RANK];
    const adze_tensor *x = c->in[0];
    adze_shape shape;
    if (!read_slice(c, 1, x, slice) ||
        !adze_value_shape(c->ctx, mlirOperationGetResult(c->op, 0), &shape))
        return false;
    const bool whole_rank = shape.rank == x->rank;
    if (!ref_out(c, 0, shape.rank, whole_rank ? slice[1] : NULL))
        return false;
    if (adze_tensor_count(&c->out[0]) != ref_product(slice[1], 0, x->rank))
        return ref_fail(c, "the result does not have the slice's size");
    copy_slice((uint8_t *)(uintptr_t)x->data, x, adze_tensor_data(&c->out[0]), false, slice);
    return true;
}

static bool insert_slice(ref_call *c) {
    int64_t slice[3][ADZE_MAX_RANK];
    const adze_tensor *x = c->in[0], *into = c->in[1];
    if (!read_slice(c, 2, into, slice))
        return false;
    if (adze_tensor_count(x) != ref_product(slice[1], 0, into->rank) || x->dtype != into->dtype)
        return ref_fail(c, "the source does not have the slice's size");
    if (!copy_of(c, into))
        return false;
    copy_slice(adze_tensor_data(&c->out[0]), into, (uint8_t *)(uintptr_t)x->data, true, slice);
    return true;
}

static const struct {
    const char *name;
    int min_operands;
    ref_row *row;
} rows[] = {
    {"arith.constant", 0, constant},
    {"arith.index_cast", 1, sign_cast},
    {"arith.index_castui", 1, zero_cast},
    {"arith.extsi", 1, sign_cast},
    {"arith.extui", 1, zero_cast},
    {"arith.trunci", 1, truncate},
    {"arith.addi", 2, add},
    {"arith.subi", 2, sub},
    {"arith.muli", 2, mul},
    {"arith.andi", 2, and_bits},
    {"arith.ori", 2, or_bits},
    {"arith.xori", 2, xor_bits},
    {"arith.minsi", 2, min_signed},
    {"arith.maxsi", 2, max_signed},
    {"arith.cmpi", 2, compare},
    {"arith.select", 3, choose},
    {"tensor.extract", 1, extract},
    {"tensor.from_elements", 0, from_elements},
    {"tensor.splat", 1, from_elements},
    {"tensor.dim", 2, extent},
    {"tensor.cast", 1, same},
    {"tensor.empty", 0, empty},
    {"tensor.extract_slice", 1, extract_slice},
    {"tensor.insert_slice", 2, insert_slice},
    {"builtin.unrealized_conversion_cast", 1, same},
};

bool ref_scalar(ref_call *c, bool *known) {
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (!strcmp(rows[i].name, c->name)) {
            *known = true;
            if (c->n_in < rows[i].min_operands)
                return ref_fail(c, "has %d operands", c->n_in);
            return rows[i].row(c);
        }
    *known = false;
    return false;
}
