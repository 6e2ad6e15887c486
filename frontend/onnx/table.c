/* The table of operators: ops.def, found by name. */
#include "frontend/onnx/importer.h"

#include <string.h>

#define OP(domain, op, low, high, function, arg, attrs) bool ox_op_##function(node *n);
#include "frontend/onnx/ops.def"
#undef OP

static const ox_row rows[] = {
#define OP(domain, op, low, high, function, arg, attrs)                                            \
    {domain, op, low, high, ox_op_##function, arg, attrs},
#include "frontend/onnx/ops.def"
#undef OP
};

static int compare(const char *domain, const char *op, const ox_row *row) {
    int c = strcmp(domain, row->domain);
    return c ? c : strcmp(op, row->op);
}

const ox_row *ox_find_row(const char *domain, const char *op, int64_t opset, bool *other) {
    size_t low = 0, high = ADZE_COUNT(rows);
    while (low < high) { /* the first row of this operator; rows are sorted by domain and name */
        size_t middle = (low + high) / 2;
        if (compare(domain, op, &rows[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (other)
        *other = false;
    for (; low < ADZE_COUNT(rows) && !compare(domain, op, &rows[low]); low++) {
        if (opset >= rows[low].low && opset <= rows[low].high)
            return &rows[low];
        if (other)
            *other = true;
    }
    return NULL;
}

size_t adze_onnx_rows(const ox_row **out) {
    *out = rows;
    return ADZE_COUNT(rows);
}
