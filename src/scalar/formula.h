/* Plain arithmetic of a user's script, as a list of instructions on registers.
 *
 * A register is a column of numbers, one for each of up to LANES elements, which are all floats or all ints. The registers are
 * the inputs, the constants, and one for the result of each instruction. Arithmetic is Python's; where that would raise an
 * exception, or give anything but a float or an int of at most 2**53, the column ends with the previous element.
 */
#ifndef MICROGPT_FORMULA_H
#define MICROGPT_FORMULA_H

#include "operators.h"

#define LANES 64
#define MAX_REGISTERS 96
#define MAX_ARITY 3

/* In the order of OPERATIONS in microgpt/scripts/arithmetic.py. SELECT: b if a else c */
enum { PLUS, MINUS, TIMES, OVER, TO_THE, NEGATIVE, ABSOLUTE, LESS, LESS_EQUAL, EQUAL, NOT_EQUAL, SELECT, TO_FLOAT, FUNCTIONS };

typedef struct {
    uint8_t operation, operand[MAX_ARITY];
} Instruction;

typedef struct {
    int num_inputs, num_constants, num_instructions, num_outputs;
    double constant[MAX_REGISTERS];
    uint8_t constant_is_int[MAX_REGISTERS];
    Instruction code[MAX_REGISTERS];
    uint8_t output[MAX_REGISTERS]; /* registers */
} Formula;

typedef struct {
    double number[MAX_REGISTERS][LANES];
    uint8_t is_int[MAX_REGISTERS];
} Registers;

static double (*const functions[])(double) = {exp,  log,  sqrt, tanh, sin,   cos,   tan, atan,
                                              sinh, cosh, asin, acos, log1p, expm1, erf};
#define NUM_FUNCTIONS ((int)(sizeof functions / sizeof *functions))

/* Python's base ** exponent for floats: float_pow, and powers of 0. */
static inline int any_pow(double base, double exponent, double *result) {
    if (base == 0.0 && exponent > 0.0) {
        *result = fmod(exponent, 2.0) == 1.0 ? base : 0.0;
        return isfinite(exponent);
    }
    return float_pow(base, exponent, result);
}

/* One instruction on `n` lanes. Returns how many have a result. */
static int formula_step(const Instruction *step, Registers *of, int to, int n) {
    const double *a = of->number[step->operand[0]], *b = of->number[step->operand[1]], *c = of->number[step->operand[2]];
    int a_int = of->is_int[step->operand[0]], b_int = of->is_int[step->operand[1]], c_int = of->is_int[step->operand[2]];
    double *result = of->number[to];
    int is_int = a_int && b_int, i = 0;
    switch (step->operation) {
    case PLUS:
        for (i = 0; i < n; i++)
            result[i] = a[i] + b[i];
        break;
    case MINUS:
        for (i = 0; i < n; i++)
            result[i] = a[i] - b[i];
        break;
    case TIMES:
        for (i = 0; i < n; i++)
            result[i] = a[i] * b[i];
        break;
    case OVER:
        is_int = 0;
        for (i = 0; i < n && b[i] != 0.0; i++)
            result[i] = a[i] / b[i];
        break;
    case TO_THE:
        for (i = 0; i < n && (is_int ? int_pow(a[i], b[i], &result[i]) : any_pow(a[i], b[i], &result[i]));)
            i++;
        break;
    case NEGATIVE:
        is_int = a_int;
        for (i = 0; i < n; i++)
            result[i] = -a[i];
        break;
    case ABSOLUTE:
        is_int = a_int;
        for (i = 0; i < n; i++)
            result[i] = fabs(a[i]);
        break;
    case LESS:
        is_int = 1;
        for (i = 0; i < n; i++)
            result[i] = a[i] < b[i];
        break;
    case LESS_EQUAL:
        is_int = 1;
        for (i = 0; i < n; i++)
            result[i] = a[i] <= b[i];
        break;
    case EQUAL:
        is_int = 1;
        for (i = 0; i < n; i++)
            result[i] = a[i] == b[i];
        break;
    case NOT_EQUAL:
        is_int = 1;
        for (i = 0; i < n; i++)
            result[i] = a[i] != b[i];
        break;
    case SELECT: /* if the two differ in kind, up to where the choice changes */
        is_int = n > 0 && a[0] != 0.0 ? b_int : c_int;
        for (i = 0; i < n && (b_int == c_int || (a[i] != 0.0) == (a[0] != 0.0)); i++)
            result[i] = a[i] != 0.0 ? b[i] : c[i];
        break;
    case TO_FLOAT:
        is_int = 0;
        for (i = 0; i < n; i++)
            result[i] = a[i];
        break;
    default:
        is_int = 0;
        for (i = 0; i < n; i++) {
            result[i] = functions[step->operation - FUNCTIONS](a[i]);
            if (!isfinite(result[i]) || !isfinite(a[i]))
                break;
        }
    }
    of->is_int[to] = (uint8_t)is_int;
    if (is_int) { /* an int has no -0.0, and a large one is not a double */
        int checked = 0;
        for (; checked < i && fabs(result[checked]) < LARGEST_INT; checked++)
            result[checked] += 0.0;
        i = checked;
    }
    return i;
}

/* Fills the constants' registers for `n` lanes; they serve for every run on that many lanes. */
static void formula_prepare(const Formula *formula, Registers *of, int n) {
    for (int k = 0; k < formula->num_constants; k++) {
        int at = formula->num_inputs + k;
        of->is_int[at] = formula->constant_is_int[k];
        for (int i = 0; i < n; i++)
            of->number[at][i] = formula->constant[k];
    }
}

/* Computes all registers from the inputs' for `n` lanes. Returns how many lanes have all results. */
static int formula_run(const Formula *formula, Registers *of, int n) {
    int to = formula->num_inputs + formula->num_constants;
    for (int k = 0; k < formula->num_instructions && n > 0; k++)
        n = formula_step(&formula->code[k], of, to + k, n);
    return n;
}

#endif
