/* Which operations can be read element by element, and which have a generator of their own. */
#include "codegen/gen_rows.h"

#include <string.h>

static const adze_gen_row rows[] = {
#define READ(op, fn) {op, fn, NULL},
#define GENERATE(op, fn) {op, NULL, fn},
#include "codegen/gen.def"
#undef READ
#undef GENERATE
};

const adze_gen_row *adze_gen_row_of(MlirOperation op) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (strlen(rows[i].op) == name.length && !memcmp(rows[i].op, name.data, name.length))
            return &rows[i];
    return NULL;
}
