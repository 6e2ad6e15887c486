/* Axes of window operations by layout; windows that have a filter. See window.h. */
#include "ir/window.h"

#include <mlir-c/BuiltinAttributes.h>

adze_window_axes adze_window_axes_of(MlirOperation op, int rank) {
    MlirAttribute layout = adze_get(op, "layout");
    bool last = !mlirAttributeIsNull(layout) && mlirAttributeIsAString(layout) &&
                mlirStringRefEqual(mlirStringAttrGetValue(layout),
                                   mlirStringRefCreateFromCString("channels_last"));
    if (last)
        return (adze_window_axes){.last = true,
                                  .channel = rank - 1,
                                  .spatial = 1,
                                  .w_in = rank - 2,
                                  .w_out = rank - 1,
                                  .w_spatial = 0};
    bool transposed = adze_is_op(op, "adze.conv_transpose");
    return (adze_window_axes){
        .channel = 1, .spatial = 2, .w_in = !transposed, .w_out = transposed, .w_spatial = 2};
}

int64_t adze_winograd_products(int64_t window) {
    static const int64_t products[] = {1, 0, 6, 6, 8, 8, 8};
    return window >= 1 && window <= (int64_t)ADZE_COUNT(products) ? products[window - 1] : 0;
}
