/* Lists and sums of Values that a script computes element by element, such as `[(xi - mean) / (var + 1e-5) ** 0.5 for xi in x]` or
 * `[sum(wi * xi for wi, xi in zip(row, x)) for row in w]`.
 *
 * A program makes one element of the list, or one term of the sum, by Value's operators and methods. What it works on are the lists
 * and numbers of the script. It ends without a result where it finds anything but plain Values and numbers, or where Python would
 * raise an exception. The script's own line then runs after all, so every error comes from that line, as if nothing had been done.
 */
#ifndef MICROGPT_LISTS_H
#define MICROGPT_LISTS_H

#include "functions.h"
#include "methods.h"

#define MAX_LOADS 32
#define MAX_VECTORS 16
#define MAX_INPUTS 64
#define MAX_RESULTS (MAX_LOADS + MAX_STEPS)

/* In the order of lists.py. FIXED: an input, a Value or a number; ITEM: element offset + i of an input, a list; INDEX: offset + i itself */
enum { FIXED, ITEM, INDEX };

/* WHOLE: an input, a list; ROW: its element i. COLUMN: element `column` of each of the input's rows; COLUMNS: element column + i. Of
 * all, `size` elements from the offset on. */
enum { WHOLE, ROW, COLUMN, COLUMNS };

typedef struct {
    uint8_t kind, input, offset;
} Load;

typedef struct {
    uint8_t kind, input, offset, column;
} Vector;

/* count: the input that says how many elements there are, by its value or (counts_items) by its size; NO_INPUT for one. first: the
 * input a sum starts with; NO_INPUT for a list. result: the register of an element. */
typedef struct {
    uint8_t count, counts_items, first, result, num_zipped, num_loads, num_vectors, num_steps;
    uint8_t zipped[MAX_LOADS]; /* inputs that must be of one size */
    unsigned needs;            /* methods that must be the reference's */
    Load load[MAX_LOADS];
    Vector vector[MAX_VECTORS];
    Step step[MAX_STEPS];
} Program;

typedef struct {
    const Program *program;
    PyObject *const *inputs; /* borrowed */
    const PyCFunction *methods;
    PyObject *registers[MAX_RESULTS];
    Operands *whole[MAX_VECTORS];
} Run;

/* ---- Vectors ------------------------------------------------------------------------------------------------------ */

/* An input as a size or an offset; -1 if it is none. */
static inline Py_ssize_t input_size(const Run *run, unsigned input) {
    return input == NO_INPUT ? 0 : small_int(run->inputs[input]);
}

/* The list that a vector's elements are in, or whose rows they are in: borrowed; NULL if it is none. */
static PyObject *vector_list(const Run *run, const Vector *of, Py_ssize_t i) {
    PyObject *list = run->inputs[of->input];
    if (of->kind == ROW)
        list = is_vector(list) && i < PySequence_Fast_GET_SIZE(list) ? PySequence_Fast_ITEMS(list)[i] : Py_None;
    return is_vector(list) ? list : NULL;
}

/* Items of which some are numbers: for each of these a new leaf, as an operator makes one. Returns how many, or -1 to give up. */
static Py_ssize_t with_numbers(PyObject *const *items, Py_ssize_t size, Operands **result) {
    PyObject **nodes = PyMem_New(PyObject *, size);
    Py_ssize_t n = 0, numbers = 0;
    for (; nodes && n < size && (is_exact(items[n]) || !is_value(items[n])); n++) {
        if (!(nodes[n] = (PyObject *)as_node(items[n])))
            break;
        numbers += !is_exact(items[n]);
    }
    *result = nodes && n == size ? operands_new(nodes, size, FLOATS_AND_INTS) : NULL;
    while (n-- > 0)
        Py_DECREF(nodes[n]);
    PyMem_Free(nodes);
    return *result ? numbers : -1;
}

/* Elements `at` of rows; NULL to give up. The caller frees it. */
static PyObject **column_of(PyObject *const *rows, Py_ssize_t size, Py_ssize_t at) {
    PyObject **column = PyMem_New(PyObject *, size);
    for (Py_ssize_t t = 0; column && t < size; t++) {
        if (!is_vector(rows[t]) || PySequence_Fast_GET_SIZE(rows[t]) <= at) {
            PyMem_Free(column);
            return NULL;
        }
        column[t] = PySequence_Fast_ITEMS(rows[t])[at];
    }
    return column;
}

/* `size` elements of a vector in this list, in *result. Returns how many of them are numbers, or -1 to give up. */
static Py_ssize_t vector_operands(Run *run, unsigned v, PyObject *list, Py_ssize_t i, Py_ssize_t size, Operands **result) {
    const Vector *of = &run->program->vector[v];
    PyObject **column = NULL, *const * items;
    Py_ssize_t offset = input_size(run, of->offset), at = input_size(run, of->column), numbers = 0;
    if ((*result = run->whole[v]) && (*result)->size == size) {
        operands_xincref(*result);
        return 0;
    }
    *result = NULL;
    if (size < 1 || offset < 0 || at < 0 || offset + size > PySequence_Fast_GET_SIZE(list))
        return -1;
    items = PySequence_Fast_ITEMS(list) + offset;
    if (of->kind >= COLUMN && !(items = column = column_of(items, size, of->kind == COLUMNS ? at + i : at)))
        return -1;
    if (!(*result = operands_new(items, size, FLOATS)) && !(*result = operands_new(items, size, FLOATS_AND_INTS)))
        numbers = with_numbers(items, size, result);
    else if (of->kind == WHOLE && !run->whole[v])
        run->whole[v] = operands_xincref(*result);
    PyMem_Free(column);
    return numbers;
}

/* What a dot product starts with, as a new reference in *start: NULL for 0. Returns its order (see dot_new), or -1 to give up. */
static int dot_start_of(const Run *run, const Step *step, Node **start) {
    PyObject *first = step->start == NO_INPUT ? NULL : run->registers[step->start];
    *start = NULL;
    if (first && !(*start = as_node(first)))
        return -1;
    return first && (step->wraps || is_exact(first)) ? START_FIRST : 0;
}

static Node *run_dot(Run *run, const Step *step, Py_ssize_t i) {
    const Vector *a = &run->program->vector[step->a], *b = &run->program->vector[step->b];
    PyObject *a_list = vector_list(run, a, i), *b_list = vector_list(run, b, i);
    if (!a_list || !b_list || (step->size == NO_INPUT && PySequence_Fast_GET_SIZE(a_list) != PySequence_Fast_GET_SIZE(b_list)))
        return NULL;
    Py_ssize_t size = step->size == NO_INPUT ? PySequence_Fast_GET_SIZE(a_list) : small_int(run->inputs[step->size]);
    Operands *left = NULL, *right = NULL;
    Node *start = NULL;
    int same = a_list == b_list && a->kind == b->kind && a->offset == b->offset && a->column == b->column;
    Py_ssize_t left_numbers = vector_operands(run, step->a, a_list, i, size, &left);
    Py_ssize_t right_numbers = left_numbers;
    if (same)
        right = operands_xincref(left);
    else if (left)
        right_numbers = vector_operands(run, step->b, b_list, i, size, &right);
    int order = right ? dot_start_of(run, step, &start) : -1;
    /* number * node is a product of the node first; and no product may be an int */
    int swapped = left && left_numbers == size, fits = order >= 0 && !(left->has_ints && right->has_ints);
    if (!fits || (left_numbers && !swapped) || (swapped && right_numbers)) {
        operands_xdecref(left);
        operands_xdecref(right);
        left = right = NULL;
    }
    Node *dot = swapped ? dot_new(right, left, start, order) : dot_new(left, right, start, order);
    node_xdecref(start);
    return dot;
}

/* ---- Elements ----------------------------------------------------------------------------------------------------- */

static inline int is_number(PyObject *object) { return PyFloat_CheckExact(object) || PyLong_CheckExact(object); }

/* Whether operators can take it: a Value whose data is a number, or a number. */
static inline int is_operand(PyObject *object) {
    return is_exact(object) ? !(((Node *)object)->f.flags & IS_OBJECT(DATA)) : is_number(object);
}

/* A new reference to what a register is loaded with; NULL to give up. */
static PyObject *load_register(const Run *run, const Load *of, Py_ssize_t i) {
    PyObject *input = of->kind == INDEX ? NULL : run->inputs[of->input], *found = input;
    Py_ssize_t offset = input_size(run, of->offset);
    if (of->kind != FIXED && offset < 0)
        return NULL;
    if (of->kind == INDEX)
        return PyLong_FromSsize_t(offset + i);
    if (of->kind == ITEM)
        found = is_vector(input) && offset + i < PySequence_Fast_GET_SIZE(input) ? PySequence_Fast_ITEMS(input)[offset + i]
                                                                                 : Py_None;
    return is_operand(found) ? Py_NewRef(found) : NULL;
}

/* The registers for element i. -1 to give up. */
static int run_element(Run *run, Py_ssize_t i) {
    const Program *program = run->program;
    PyObject **registers = run->registers;
    for (int k = 0; k < program->num_loads; k++)
        if (program->load[k].kind != FIXED || !registers[k]) {
            Py_XSETREF(registers[k], load_register(run, &program->load[k], i));
            if (!registers[k])
                return -1;
        }
    for (int k = 0; k < program->num_steps; k++) {
        const Step *step = &program->step[k];
        PyObject **result = &registers[program->num_loads + k], *made;
        if (step->invariant && *result && is_number(*result))
            continue;
        if (step->kind == STEP_DOT)
            made = (PyObject *)run_dot(run, step, i);
        else if (step->kind == STEP_METHOD)
            made = is_exact(registers[step->a]) ? run->methods[step->b](registers[step->a], NULL) : NULL;
        else
            made = operate_on(step->kind, registers[step->a], registers[step->b]);
        Py_XSETREF(*result, made);
        if (!made)
            return -1;
    }
    return 0;
}

/* ---- Programs ----------------------------------------------------------------------------------------------------- */

/* How many elements there are; -1 to give up. */
static Py_ssize_t number_of_elements(const Run *run) {
    const Program *program = run->program;
    if (program->count == NO_INPUT)
        return 1;
    PyObject *counted = run->inputs[program->count];
    if (!program->counts_items)
        return small_int(counted);
    if (!is_vector(counted))
        return -1;
    for (int k = 0; k < program->num_zipped; k++) {
        PyObject *other = run->inputs[program->zipped[k]];
        if (!is_vector(other) || PySequence_Fast_GET_SIZE(other) != PySequence_Fast_GET_SIZE(counted))
            return -1;
    }
    return PySequence_Fast_GET_SIZE(counted);
}

/* log, exp and relu, as Value has them from Cython, which wraps them for keywords. */
static PyCFunction wrapped_method(const char *name) {
    return !strcmp(name, "exp")    ? (PyCFunction)(void (*)(void))value_exp
           : !strcmp(name, "log")  ? (PyCFunction)(void (*)(void))value_log
           : !strcmp(name, "relu") ? (PyCFunction)(void (*)(void))value_relu
                                   : NULL;
}

/* The methods that the program calls. 0 if one is not C without an operand. */
static int find_methods(PyObject *names, PyCFunction *methods) {
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); k++) {
        PyObject *found = PyDict_GetItem(value_type->tp_dict, PyTuple_GET_ITEM(names, k));
        const PyMethodDef *definition =
            found && Py_IS_TYPE(found, &PyMethodDescr_Type) ? ((PyMethodDescrObject *)found)->d_method : NULL;
        methods[k] = !definition                           ? NULL
                     : definition->ml_flags == METH_NOARGS ? definition->ml_meth
                                                           : wrapped_method(definition->ml_name);
        if (!methods[k])
            return 0;
    }
    return 1;
}

/* The list, or a list of the sum alone. NULL to give up, perhaps with an exception. */
static PyObject *run_elements(Run *run) {
    const Program *program = run->program;
    Py_ssize_t count = number_of_elements(run);
    int sums = program->first != NO_INPUT;
    PyObject *out = count > 0 ? PyList_New(sums ? 1 : count) : NULL,
             *total = sums ? Py_NewRef(run->inputs[program->first]) : NULL;
    int status = out && (!sums || is_operand(total)) ? 0 : -1;
    for (Py_ssize_t i = 0; i < count && status == 0; i++) {
        PyObject *element = run_element(run, i) == 0 ? run->registers[program->result] : NULL;
        element = element && is_exact(element) ? element : NULL;
        if (sums && element) {
            PyObject *sum = operate_on(STEP_ADD, total, element);
            Py_SETREF(total, sum);
        } else if (element)
            PyList_SET_ITEM(out, i, Py_NewRef(element));
        status = element && (!sums || total) ? 0 : -1;
    }
    if (status == 0 && sums)
        PyList_SET_ITEM(out, 0, Py_NewRef(total));
    Py_XDECREF(total);
    if (status < 0)
        Py_CLEAR(out);
    return out;
}

/* What a program makes of its inputs, a tuple, or None. names: of its methods, a tuple; globals: names, or None, of inputs that are
 * looked up among the script's globals. */
static PyObject *run_program(const Program *program, PyObject *names, PyObject *globals, PyObject *inputs) {
    PyObject *looked_up[MAX_INPUTS], *scope = NULL;
    PyCFunction methods[MAX_STEPS];
    Run run;
    int num_registers = program->num_loads + program->num_steps;
    run.program = program;
    run.inputs = looked_up;
    run.methods = methods;
    memset(run.registers, 0, (size_t)num_registers * sizeof *run.registers);
    memset(run.whole, 0, program->num_vectors * sizeof *run.whole);
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(inputs); k++) {
        looked_up[k] = PyTuple_GET_ITEM(inputs, k);
        PyObject *name = PyTuple_GET_ITEM(globals, k);
        if (name != Py_None && (scope = scope ? scope : PyEval_GetGlobals()) && !(looked_up[k] = PyDict_GetItem(scope, name)))
            return Py_NewRef(Py_None);
    }
    if (!is_unmodified() || !are_standard(program->needs) || !find_methods(names, methods))
        return Py_NewRef(Py_None);
    PyObject *out = run_elements(&run);
    for (int k = 0; k < num_registers; k++)
        Py_XDECREF(run.registers[k]);
    for (int k = 0; k < program->num_vectors; k++)
        operands_xdecref(run.whole[k]);
    if (out)
        return out;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyErr_Clear();
    return Py_NewRef(Py_None);
}

#endif
