/* adze.requantize on vectors. */
#include "codegen/vectorize.h"

MlirValue adze_vz_requantize(adze_vz *v, MlirOperation op) {
    (void)op;
    adze_vz_fail(v, true, "adze.requantize is no operation on lanes");
    return (MlirValue){NULL};
}
