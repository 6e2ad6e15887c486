/* Stands before every file that sim_cc.sh compiles: instructions that are functions, a processor that has all of them. */
#ifndef ADZE_TEST_SIM_CPU_H
#define ADZE_TEST_SIM_CPU_H

#include <immintrin.h>

#include "sim_x86.h"

#define ADZE_X86_H /* runtime/adze_x86.h */
#define ADZE_ANY_PROCESSOR
static inline int adze_x86_has(uint32_t leaf, uint32_t subleaf, char reg, unsigned bit, uint32_t xcr0) {
    (void)leaf, (void)subleaf, (void)reg, (void)bit, (void)xcr0;
    return 1;
}

#endif
