/* What a kernel costs: its loads, stores and multiplications, counted over its loops. A loop whose bounds
 * vary (a window clipped at the border, the last tile) counts with its largest number of trips, found by
 * interval arithmetic over its bounds, so the counts are upper bounds and exact where bounds are numbers. */
#include "codegen/emit_internal.h"
#include "codegen/gen.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct interval {
    int64_t low, high;
} interval;

static const interval unknown = {INT32_MIN, INT32_MAX};

static int64_t clamp(int64_t v) {
    return v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v;
}
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* The last arguments of a kernel whose items are shared out, as one call for all of them gets them. */
static interval share(MlirValue value, int64_t items) {
    MlirBlock block = mlirBlockArgumentGetOwner(value);
    intptr_t n = mlirBlockGetNumArguments(block), first = n;
    while (first > 0 && mlirTypeIsAIndex(mlirValueGetType(mlirBlockGetArgument(block, first - 1))))
        first--;
    bool end = mlirBlockArgumentGetArgNumber(value) == first + 1;
    return (interval){end ? clamp(items) : 0, end ? clamp(items) : 0};
}

/* The bounded dimension that memref.dim reads off an argument. */
static interval extent(MlirOperation dim) {
    MlirValue memory = mlirOperationGetOperand(dim, 0);
    MlirOperation axis = adze_defining(mlirOperationGetOperand(dim, 1));
    if (!mlirValueIsABlockArgument(memory) || mlirOperationIsNull(axis))
        return unknown;
    MlirOperation function = mlirBlockGetParentOperation(mlirBlockArgumentGetOwner(memory));
    MlirAttribute all = adze_get(function, "arg_attrs"), dims = {NULL};
    intptr_t i = mlirBlockArgumentGetArgNumber(memory), d = adze_get_i64(axis, "value");
    if (!mlirAttributeIsNull(all) && i < mlirArrayAttrGetNumElements(all))
        dims = mlirDictionaryAttrGetElementByName(mlirArrayAttrGetElement(all, i),
                                                  mlirStringRefCreateFromCString("adze.dims"));
    if (mlirAttributeIsNull(dims) || d < 0 || d >= mlirArrayAttrGetNumElements(dims))
        return unknown;
    MlirStringRef name = mlirStringAttrGetValue(mlirArrayAttrGetElement(dims, d));
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirOperationGetBlock(function));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "adze.dim") &&
            mlirStringRefEqual(mlirStringAttrGetValue(adze_get(op, "sym_name")), name))
            return (interval){clamp(adze_get_i64(op, "lo")), clamp(adze_get_i64(op, "hi"))};
    return unknown;
}

/* Values of type index that the generators compute; `depth` bounds the search. */
static interval range(MlirValue value, int depth) {
    if (depth == 0)
        return unknown;
    MlirOperation op = adze_defining(value);
    if (mlirOperationIsNull(op)) { /* an induction variable, or where a thread's items begin and end */
        MlirOperation loop = mlirBlockGetParentOperation(mlirBlockArgumentGetOwner(value));
        if (!mlirAttributeIsNull(adze_get(loop, "adze.parallel")))
            return share(value, adze_get_i64(loop, "adze.parallel"));
        if (!adze_is_op(loop, "scf.for") || mlirBlockArgumentGetArgNumber(value) != 0)
            return unknown;
        interval low = range(mlirOperationGetOperand(loop, 0), depth - 1);
        interval high = range(mlirOperationGetOperand(loop, 1), depth - 1);
        return (interval){low.low, most(low.low, high.high - 1)};
    }
    if (adze_is_op(op, "arith.constant")) {
        int64_t v = adze_get_i64(op, "value");
        return (interval){clamp(v), clamp(v)};
    }
    if (adze_is_op(op, "memref.dim"))
        return extent(op);
    if (mlirOperationGetNumOperands(op) != 2)
        return unknown;
    interval a = range(mlirOperationGetOperand(op, 0), depth - 1);
    interval b = range(mlirOperationGetOperand(op, 1), depth - 1);
    if (adze_is_op(op, "arith.addi"))
        return (interval){clamp(a.low + b.low), clamp(a.high + b.high)};
    if (adze_is_op(op, "arith.subi"))
        return (interval){clamp(a.low - b.high), clamp(a.high - b.low)};
    if (adze_is_op(op, "arith.maxsi"))
        return (interval){most(a.low, b.low), most(a.high, b.high)};
    if (adze_is_op(op, "arith.minsi"))
        return (interval){least(a.low, b.low), least(a.high, b.high)};
    if (adze_is_op(op, "arith.muli") && a.low >= 0 && b.low >= 0)
        return (interval){clamp(a.low * b.low), clamp(a.high * b.high)};
    if (adze_is_op(op, "arith.divsi") && a.low >= 0 && b.low > 0)
        return (interval){a.low / b.high, a.high / b.low};
    return unknown;
}

/* The most that high - low can be; low itself may be part of high, as in a tile's end. */
static int64_t distance(MlirValue high, MlirValue low, int depth) {
    enum { SEARCH = 8 };
    interval h = range(high, SEARCH), l = range(low, SEARCH);
    int64_t far = h.high - l.low;
    MlirOperation op = adze_defining(high);
    if (mlirOperationIsNull(op) || depth == 0)
        return far;
    if (adze_is_op(op, "arith.addi"))
        for (int i = 0; i < 2; i++)
            if (mlirValueEqual(mlirOperationGetOperand(op, i), low))
                far = least(far, range(mlirOperationGetOperand(op, 1 - i), SEARCH).high);
    if (adze_is_op(op, "arith.minsi"))
        for (int i = 0; i < 2; i++)
            far = least(far, distance(mlirOperationGetOperand(op, i), low, depth - 1));
    return far;
}

/* At most how often the loop's body runs; 1 when nothing bounds it. */
static uint64_t trips_of(MlirOperation loop) {
    interval step = range(mlirOperationGetOperand(loop, 2), 2);
    int64_t far = distance(mlirOperationGetOperand(loop, 1), mlirOperationGetOperand(loop, 0), 3);
    if (step.low <= 0 || step.low != step.high || far >= INT32_MAX)
        return 1;
    return far <= 0 ? 0 : (uint64_t)((far + step.low - 1) / step.low);
}

/* Elements that an operation works on at once: lanes of its last operand that is a vector, or of its result; of
 * a scalable vector the fewest. */
static uint64_t lanes_of(MlirOperation op) {
    MlirType type = {NULL};
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        type = mlirValueGetType(mlirOperationGetResult(op, i));
    for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
        if (mlirTypeIsAVector(mlirValueGetType(mlirOperationGetOperand(op, i))))
            type = mlirValueGetType(mlirOperationGetOperand(op, i));
    bool vector = !mlirTypeIsNull(type) && mlirTypeIsAVector(type);
    return vector ? (uint64_t)mlirShapedTypeGetDimSize(type, 0) : 1;
}

/* dot4.us and its like: a product for each lane of the last operand. */
static bool multiplies(MlirOperation op) {
    if (adze_is_op(op, "arith.mulf") || adze_is_op(op, "math.fma"))
        return true;
    if (adze_is_op(op, "arith.muli"))
        return !mlirTypeIsAIndex(mlirValueGetType(mlirOperationGetResult(op, 0)));
    if (!adze_is_op(op, "adze.instruction"))
        return false;
    MlirStringRef name = mlirStringAttrGetValue(adze_get(op, "name"));
    return name.length > 3 && memcmp(name.data, "dot", 3) == 0;
}

static void count(MlirOperation op, uint64_t times, adze_c_kernel *k) {
    for (intptr_t r = 0; r < mlirOperationGetNumRegions(op); r++) {
        MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r));
        if (mlirBlockIsNull(block))
            continue;
        for (MlirOperation child = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(child);
             child = mlirOperationGetNextInBlock(child)) {
            if (adze_is_op(child, "memref.load") || adze_is_op(child, "vector.load"))
                k->loads += times * lanes_of(child);
            else if (adze_is_op(child, "memref.store") || adze_is_op(child, "vector.store"))
                k->stores += times * lanes_of(child);
            else if (multiplies(child))
                k->multiplies += times * lanes_of(child);
            uint64_t inner = adze_is_op(child, "scf.for") ? times * trips_of(child) : times;
            if (mlirOperationGetNumRegions(child))
                count(child, inner, k);
        }
    }
}

void emit_count_costs(MlirOperation kernel, adze_c_kernel *k) { count(kernel, 1, k); }

int64_t adze_index_most(MlirValue index) {
    enum { SEARCH = 8 };
    return range(index, SEARCH).high;
}

double adze_gen_operations(MlirOperation op) {
    adze_c_kernel k = {0};
    count(op, trips_of(op), &k);
    return (double)k.loads + (double)k.stores + (double)k.multiplies;
}
