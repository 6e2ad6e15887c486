/* Declares the functions that gen.def names; they stand in the gen_*.c files. */
#ifndef ADZE_CODEGEN_GEN_ROWS_H
#define ADZE_CODEGEN_GEN_ROWS_H

#include "codegen/gen.h"

#define READ(op, fn) adze_reader fn;
#define GENERATE(op, fn) adze_generator fn;
#include "codegen/gen.def"
#undef READ
#undef GENERATE

#endif
