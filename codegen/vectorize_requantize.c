/* adze.requantize on vectors: clamp(zero_point + round_half_even(acc * m / 2^s), low, high) from
 * the upper half of the 64-bit product, bit for bit.
 *
 *   no product lies halfway (ir/integer.h: adze_requant_untied, or adze.untied on the operation):
 *       (mulhi(acc, m) + (2 zero_point + 1) * 2^(s-33)) >> (s-32)
 *
 * Otherwise the half that was rounded up is seen (lower half 0, upper half 2^(s-33) above a
 * multiple) and an odd result goes back by one. s < 33: acc must be known to be small, and acc *
 * 2^k takes its place with s + k. */
#include "codegen/vectorize.h"
#include "ir/integer.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <math.h>

static bool constant_of(MlirValue value, int64_t *out) {
    MlirOperation op = adze_defining(value);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "arith.constant"))
        return false;
    MlirAttribute a = adze_get(op, "value");
    if (!mlirAttributeIsAInteger(a))
        return false;
    *out = mlirIntegerAttrGetValueInt(a);
    return true;
}

/* Numbers between which an i32 lies, as far as the operations that compute it show. */
static void range_of(MlirValue value, int depth, double *low, double *high) {
    MlirOperation op = adze_defining(value);
    MlirType type = mlirValueGetType(value);
    unsigned bits = mlirTypeIsAInteger(type) ? mlirIntegerTypeGetWidth(type) : 64;
    double a, b, c, d;
    int64_t known;
    *low = -ldexp(1, (int)bits - 1);
    *high = ldexp(1, (int)bits - 1) - 1;
    if (depth == 0 || mlirOperationIsNull(op))
        return;
    if (constant_of(value, &known)) {
        *low = *high = (double)known;
        return;
    }
    bool sum = adze_is_op(op, "arith.addi"), difference = adze_is_op(op, "arith.subi");
    if (adze_is_op(op, "arith.extsi")) {
        range_of(mlirOperationGetOperand(op, 0), depth - 1, low, high);
    } else if (adze_is_op(op, "arith.extui")) {
        *low = 0;
        *high =
            ldexp(1,
                  (int)mlirIntegerTypeGetWidth(mlirValueGetType(mlirOperationGetOperand(op, 0)))) -
            1;
    } else if (sum || difference || adze_is_op(op, "arith.muli")) {
        range_of(mlirOperationGetOperand(op, 0), depth - 1, &a, &b);
        range_of(mlirOperationGetOperand(op, 1), depth - 1, &c, &d);
        double least = sum          ? a + c
                       : difference ? a - d
                                    : fmin(fmin(a * c, a * d), fmin(b * c, b * d));
        double most = sum          ? b + d
                      : difference ? b - c
                                   : fmax(fmax(a * c, a * d), fmax(b * c, b * d));
        if (least >= *low && most <= *high) { /* else it may wrap */
            *low = least;
            *high = most;
        }
    } else if (adze_is_op(op, "adze.requantize")) {
        *low = (double)adze_get_i64(op, "low");
        *high = (double)adze_get_i64(op, "high");
    }
}

static MlirValue binary(adze_vz *v, const char *op, MlirValue x, MlirValue y) {
    return adze_vz_binary(v, op, x, y);
}

static MlirValue with(adze_vz *v, const char *op, MlirValue x, int64_t y) {
    return x.ptr ? adze_vz_binary(v, op, x, adze_vz_int(v, mlirValueGetType(x), y)) : x;
}

static MlirValue upper_half(adze_vz *v, MlirValue x, MlirValue y) {
    if (!x.ptr || !y.ptr || v->why)
        return (MlirValue){NULL};
    MlirType type = mlirValueGetType(x), types[] = {type, type};
    const char *name = adze_vector_spelling(v->ctx, type, 's');
    if (!adze_vector_has(v->ctx, v->target, "vector.mulhi", type, 2, types)) {
        adze_vz_fail(v, false, "vector.mulhi of %s has no row", name ? name : "?");
        return (MlirValue){NULL};
    }
    return adze_build_instruction(&v->b, "vector.mulhi", name, 2, (MlirValue[]){x, y}, type);
}

/* s: the vector of shifts, or null where `shift` is all of them. */
static MlirValue untied(adze_vz *v, MlirValue acc, MlirValue m, MlirValue s, int64_t shift,
                        int64_t zero_point) {
    MlirValue upper = upper_half(v, acc, m);
    if (!s.ptr) {
        upper = with(v, "arith.addi", upper, (2 * zero_point + 1) * ((int64_t)1 << (shift - 33)));
        return with(v, "arith.shrsi", upper, shift - 32);
    }
    MlirValue one = adze_vz_int(v, mlirValueGetType(s), 2 * zero_point + 1);
    MlirValue add = binary(v, "arith.shli", one, with(v, "arith.subi", s, 33));
    return binary(v, "arith.shrsi", binary(v, "arith.addi", upper, add),
                  with(v, "arith.subi", s, 32));
}

static MlirValue tied(adze_vz *v, MlirValue acc, MlirValue m, int64_t shift, int64_t zero_point) {
    int64_t half = (int64_t)1 << (shift - 33), mask = 2 * half - 1;
    MlirValue upper = upper_half(v, acc, m), lower = binary(v, "arith.muli", acc, m);
    MlirValue y = with(v, "arith.shrsi", with(v, "arith.addi", upper, half), shift - 32);
    if (!y.ptr)
        return y;
    /* zero where the product lies halfway */
    MlirValue off = binary(v, "arith.ori", lower,
                           with(v, "arith.xori", with(v, "arith.andi", upper, mask), half));
    MlirValue zero = adze_vz_int(v, mlirValueGetType(y), 0);
    MlirValue halfway = adze_vz_compare(v, "arith.cmpi", 0, off, zero);
    y = binary(v, "arith.subi", y, adze_vz_select(v, halfway, with(v, "arith.andi", y, 1), zero));
    return zero_point ? with(v, "arith.addi", y, zero_point) : y;
}

MlirValue adze_vz_requantize(adze_vz *v, MlirOperation op) {
    int64_t zero_point = adze_get_i64(op, "zero_point"), m_known = 0, s_known = 0;
    MlirValue acc = adze_vz_varying(v, adze_vz_get(v, mlirOperationGetOperand(op, 0)));
    MlirValue m = adze_vz_varying(v, adze_vz_get(v, mlirOperationGetOperand(op, 1))), s = {NULL}, y;
    bool known = constant_of(mlirOperationGetOperand(op, 1), &m_known) &&
                 constant_of(mlirOperationGetOperand(op, 2), &s_known);
    if (!mlirAttributeIsNull(adze_get(op, "adze.untied"))) {
        if (!known)
            s = adze_vz_varying(v, adze_vz_get(v, mlirOperationGetOperand(op, 2)));
        y = untied(v, acc, m, s, s_known, zero_point);
    } else if (known) {
        double low, high;
        range_of(mlirOperationGetOperand(op, 0), 8, &low, &high);
        double reach = fmax(-low, high);
        int64_t k = s_known < 33 ? 33 - s_known : 0;
        if (ldexp(reach, (int)k) >= 0x1p31) {
            adze_vz_fail(v, true,
                         "a requantization by more than the upper half of its product tells");
            return (MlirValue){NULL};
        }
        if (k)
            acc = with(v, "arith.shli", acc, k);
        /* shifting acc brings its factors of two; what ties is the same */
        if (adze_requant_untied((int32_t)m_known, (int32_t)(s_known + k), ldexp(reach, (int)k),
                                zero_point))
            y = untied(v, acc, m, s, s_known + k, zero_point);
        else
            y = tied(v, acc, m, s_known + k, zero_point);
    } else {
        adze_vz_fail(v, true, "multipliers of a requantization that may tie");
        return (MlirValue){NULL};
    }
    int64_t low = adze_get_i64(op, "low"), high = adze_get_i64(op, "high");
    return with(v, "arith.minsi", with(v, "arith.maxsi", y, low), high);
}
