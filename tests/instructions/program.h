/* The program that evaluates rows on a target: one function a trial, output a line a case. */
#ifndef ADZE_TEST_PROGRAM_H
#define ADZE_TEST_PROGRAM_H

#include "meaning.h"
#include "pool.h"

#include <stdio.h>

/* A row, with the number that its # operand has. */
typedef struct {
    const adze_instruction *row;
    int literal;
} trial;

/* Writes the C of the program. False, with a line on stderr, when a row's operands cannot be made
 * or its result cannot be looked at. The program prints "TRIAL CASE LANES ACTIVE HEX": HEX are the
 * elements of the result, or of what was stored and POOL_AFTER more. */
enum { POOL_AFTER = 4 };
bool program_write(FILE *, const adze_target *, const trial *, size_t count, const char *prelude);

/* The lanes that a row is about: of its type, its result, or its first vector. */
const adze_value_type *program_main_type(const adze_instruction *);
/* The integer vector that a mask is made from and looked at as; NULL: there is none. */
const adze_value_type *program_carrier(const adze_target *, const adze_value_type *mask);

#endif
