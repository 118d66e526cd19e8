/* Lists and sums of Values that a script computes element by element, such as `[(xi - mean) / (var + 1e-5) ** 0.5 for xi in x]` or
 * `[sum(wi * xi for wi, xi in zip(row, x)) for row in w]`.
 *
 * A program makes one element of the list, or one term of the sum, by Value's operators and methods. Its inputs are lists and
 * numbers of the script. It ends without a result where it finds anything but plain Values and numbers, or where Python would
 * raise an exception. The script's own line then runs instead, so every error comes from that line, as if the program had not
 * run.
 *
 * Elements are made in blocks: each step is done for all elements of a block before the next step.
 */
#ifndef MICROGPT_LISTS_H
#define MICROGPT_LISTS_H

#include "functions.h"
#include "methods.h"

#define MAX_LOADS 32
#define MAX_VECTORS 16
#define MAX_INPUTS 64
#define MAX_RESULTS (MAX_LOADS + MAX_STEPS)
#define BLOCK 32

/* In the order of lists.py. FIXED: an input, a Value or a number; SIZE: the size of an input, a list; ITEM: element offset + i of an
 * input, a list; INDEX: offset + i itself */
enum { FIXED, SIZE, ITEM, INDEX };

/* WHOLE: an input, a list; ROW: its element i. COLUMN: element `column` of each of the input's rows; COLUMNS: element column + i. Of
 * all, `size` elements from the offset on. */
enum { WHOLE, ROW, COLUMN, COLUMNS };

typedef struct {
    uint8_t kind, input, offset;
} Load;

typedef struct {
    uint8_t kind, input, offset, column;
} Vector;

/* count: the input that gives the number of elements, by its value or (counts_items) by its size; NO_INPUT for one. first: the
 * input a sum starts with; NO_INPUT for a list. result: the register of an element. */
typedef struct {
    uint8_t count, counts_items, first, result, num_zipped, num_loads, num_vectors, num_steps;
    uint8_t zipped[MAX_LOADS]; /* inputs that must be of one size */
    unsigned needs;            /* methods that must be the reference's */
    Load load[MAX_LOADS];
    Vector vector[MAX_VECTORS];
    Step step[MAX_STEPS];
    PyObject *methods,
        *globals; /* tuples: names of methods; for each input, a name that is looked up among the script's globals, or None */
} Program;

static Program **programs;
static Py_ssize_t num_programs;

typedef struct {
    const Program *program;
    PyObject *const *inputs; /* borrowed */
    const PyCFunction *methods;
    Py_ssize_t load_offset[MAX_LOADS], vector_offset[MAX_VECTORS], vector_column[MAX_VECTORS];
    Operands *whole[MAX_VECTORS]; /* those of WHOLE, made once */
    uint8_t varies[MAX_RESULTS];  /* whether a register has an object for each element of the block, or one for all */
    PyObject *registers[MAX_RESULTS][BLOCK]; /* references; NULL where there is no object yet */
} Run;

/* ---- Vectors ------------------------------------------------------------------------------------------------------ */

/* An input as a size or an offset; -1 if it is neither. */
static inline Py_ssize_t input_size(const Run *run, unsigned input) {
    return input == NO_INPUT ? 0 : small_int(run->inputs[input]);
}

/* The list that contains a vector's elements, or whose rows contain them: borrowed; NULL if it is not a list. */
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

static Py_ssize_t new_operands(Run *run, unsigned v, PyObject *list, Py_ssize_t i, Py_ssize_t size, Operands **result) {
    const Vector *of = &run->program->vector[v];
    PyObject **column = NULL, *const * items;
    Py_ssize_t offset = run->vector_offset[v], numbers = 0;
    if (size < 1 || offset + size > PySequence_Fast_GET_SIZE(list))
        return -1;
    items = PySequence_Fast_ITEMS(list) + offset;
    if (of->kind >= COLUMN && !(items = column = column_of(items, size, run->vector_column[v] + (of->kind == COLUMNS ? i : 0))))
        return -1;
    if (!(*result = column ? operands_new(items, size, FLOATS) : operands_of_floats(items, size)) &&
        !(*result = operands_new(items, size, FLOATS_AND_INTS)))
        numbers = with_numbers(items, size, result);
    else if (of->kind == WHOLE && !run->whole[v])
        run->whole[v] = operands_xincref(*result);
    PyMem_Free(column);
    return numbers;
}

/* `size` elements of a vector in this list, in *result. Returns how many of them are numbers, or -1 to give up. */
static inline Py_ssize_t vector_operands(Run *run, unsigned v, PyObject *list, Py_ssize_t i, Py_ssize_t size,
                                         Operands **result) {
    *result = run->whole[v] && run->whole[v]->size == size ? operands_xincref(run->whole[v]) : NULL;
    return *result ? 0 : new_operands(run, v, list, i, size, result);
}

/* What a dot product starts with, as a new reference in *start: NULL for 0. Returns its order (see dot_new), or -1 to give up. */
static int dot_start_of(const Step *step, PyObject *first, Node **start) {
    *start = NULL;
    if (first && !(*start = as_node(first)))
        return -1;
    return first && (step->wraps || is_exact(first)) ? START_FIRST : 0;
}

/* The dot product of element i. first: what it starts with, or NULL. */
static Node *run_dot(Run *run, const Step *step, PyObject *first, Py_ssize_t i) {
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
    int order = right ? dot_start_of(step, first, &start) : -1;
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

/* Whether operators accept it: a Value whose data is a number, or a number. */
static inline int is_operand(PyObject *object) {
    return is_exact(object) ? !(((Node *)object)->f.flags & IS_OBJECT(DATA)) : is_number(object);
}

/* Loads a register for n elements from i on. 0 to give up. */
static int load_register(Run *run, int k, Py_ssize_t i, int n) {
    const Load *of = &run->program->load[k];
    PyObject *input = of->kind == INDEX ? NULL : run->inputs[of->input], **result = run->registers[k];
    Py_ssize_t at = run->load_offset[k] + i;
    if (of->kind == FIXED)
        return (*result = is_operand(input) ? Py_NewRef(input) : NULL) != NULL;
    if (of->kind == SIZE)
        return (*result = is_vector(input) ? PyLong_FromSsize_t(PySequence_Fast_GET_SIZE(input)) : NULL) != NULL;
    int lane = 0;
    if (of->kind == INDEX)
        while (lane < n && (result[lane] = PyLong_FromSsize_t(at + lane)))
            lane++;
    else if (is_vector(input) && at + n <= PySequence_Fast_GET_SIZE(input)) {
        PyObject *const *items = PySequence_Fast_ITEMS(input) + at;
        for (; lane < n && is_operand(items[lane]); lane++)
            result[lane] = Py_NewRef(items[lane]);
    }
    return lane == n;
}

/* Does the steps that are the same for all elements. 0 to give up. */
static int prepare(Run *run) {
    const Program *program = run->program;
    int fits = 1;
    for (int k = 0; k < program->num_vectors && fits; k++) {
        run->vector_offset[k] = input_size(run, program->vector[k].offset);
        run->vector_column[k] = input_size(run, program->vector[k].column);
        fits = run->vector_offset[k] >= 0 && run->vector_column[k] >= 0;
    }
    for (int k = 0; k < program->num_loads && fits; k++) {
        run->varies[k] = program->load[k].kind >= ITEM;
        run->load_offset[k] = input_size(run, program->load[k].offset);
        fits = run->load_offset[k] >= 0 && (run->varies[k] || load_register(run, k, 0, 1));
    }
    return fits;
}

/* Does step k for n elements from i on. 0 to give up. */
static int run_step(Run *run, int k, Py_ssize_t i, int n) {
    const Step *step = &run->program->step[k];
    int to = run->program->num_loads + k, lane = 0;
    PyObject **result = run->registers[to];
    if (step->invariant && *result) /* a number, from the block before */
        return 1;
    run->varies[to] = 1;
    if (step->kind == STEP_DOT) {
        PyObject *const *first = step->start == NO_INPUT ? NULL : run->registers[step->start];
        Py_ssize_t by = first ? run->varies[step->start] : 0;
        while (lane < n && (result[lane] = (PyObject *)run_dot(run, step, first ? first[lane * by] : NULL, i + lane)))
            lane++;
        return lane == n;
    }
    PyObject *const *a = run->registers[step->a];
    Py_ssize_t a_by = run->varies[step->a];
    if (step->kind == STEP_METHOD) {
        PyCFunction method = run->methods[step->b];
        while (lane < n && is_exact(a[lane * a_by]) && (result[lane] = method(a[lane * a_by], NULL)))
            lane++;
        return lane == n;
    }
    PyObject *const *b = run->registers[step->b];
    Py_ssize_t b_by = run->varies[step->b];
    while (lane < n && (result[lane] = operate_on(step->kind, a[lane * a_by], b[lane * b_by]))) {
        lane++;
        if (step->invariant && is_number(*result)) {
            run->varies[to] = 0;
            return 1;
        }
    }
    return lane == n;
}

/* Drops the references that registers hold for each of n elements, or for all. */
static void release_registers(Run *run, int varies, int n) {
    int num_registers = run->program->num_loads + run->program->num_steps;
    for (int k = 0; k < num_registers; k++)
        for (int lane = 0; run->varies[k] == varies && lane < n; lane++)
            Py_CLEAR(run->registers[k][lane]);
}

/* n elements from i on: into `out`, or added to *total unless that is NULL. 0 to give up. */
static int run_block(Run *run, Py_ssize_t i, int n, PyObject *out, PyObject **total) {
    const Program *program = run->program;
    int fits = 1, lane = 0;
    for (int k = 0; k < program->num_loads && fits; k++)
        fits = !run->varies[k] || load_register(run, k, i, n);
    for (int k = 0; k < program->num_steps && fits; k++)
        fits = run_step(run, k, i, n);
    PyObject **result = run->registers[program->result];
    for (Py_ssize_t by = run->varies[program->result]; fits && lane < n; lane++) {
        PyObject *element = result[lane * by];
        if (!(fits = is_exact(element)))
            break;
        if (*total) {
            PyObject *sum = operate_on(STEP_ADD, *total, element);
            Py_SETREF(*total, sum);
            fits = sum != NULL;
        } else { /* the register's reference, if that is for this element alone */
            PyList_SET_ITEM(out, i + lane, by ? element : Py_NewRef(element));
            result[lane * by] = by ? NULL : element;
        }
    }
    return fits;
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

/* Looks up the methods that the program calls. 0 if one is not a C method without operands. */
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
    int fits = out && (!sums || is_operand(total)) && prepare(run);
    for (Py_ssize_t i = 0; i < count && fits; i += BLOCK) {
        int n = count - i < BLOCK ? (int)(count - i) : BLOCK;
        fits = run_block(run, i, n, out, &total);
        release_registers(run, 1, n);
    }
    if (fits && sums)
        PyList_SET_ITEM(out, 0, Py_NewRef(total));
    Py_XDECREF(total);
    if (!fits)
        Py_CLEAR(out);
    return out;
}

/* The result of a program for its inputs, or None. */
static PyObject *run_program(const Program *program, PyObject *const *inputs) {
    PyObject *looked_up[MAX_INPUTS], *scope = NULL;
    PyCFunction methods[MAX_STEPS];
    Run run;
    int num_registers = program->num_loads + program->num_steps;
    run.program = program;
    run.inputs = looked_up;
    run.methods = methods;
    memset(run.varies, 0, (size_t)num_registers);
    memset(run.registers, 0, (size_t)num_registers * sizeof *run.registers);
    memset(run.whole, 0, program->num_vectors * sizeof *run.whole);
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(program->globals); k++) {
        PyObject *name = PyTuple_GET_ITEM(program->globals, k);
        looked_up[k] = inputs[k];
        if (name != Py_None && (scope = scope ? scope : PyEval_GetGlobals()) && !(looked_up[k] = PyDict_GetItem(scope, name)))
            return Py_NewRef(Py_None);
    }
    if (!is_unmodified() || !are_standard(program->needs) || !find_methods(program->methods, methods))
        return Py_NewRef(Py_None);
    PyObject *out = run_elements(&run);
    release_registers(&run, 0, 1);
    for (int k = 0; k < program->num_vectors; k++)
        operands_xdecref(run.whole[k]);
    if (out)
        return out;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyErr_Clear();
    return Py_NewRef(Py_None);
}

/* script_list(number, *inputs): the list that a program makes from its inputs, or a list of only the sum; None where that is
 * left to the script. script_list(~number, function), where an input may not exist: the same for the tuple of inputs that the
 * function returns. */
static PyObject *script_list(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    long number = count > 0 && PyLong_CheckExact(arguments[0]) ? PyLong_AsLong(arguments[0]) : LONG_MAX;
    const Program *program = number < num_programs && ~number < num_programs ? programs[number < 0 ? ~number : number] : NULL;
    if (!program || count != (number < 0 ? 2 : 1 + PyTuple_GET_SIZE(program->globals))) {
        PyErr_SetString(PyExc_TypeError, "script_list takes the number of a program and its inputs");
        return NULL;
    }
    if (number >= 0)
        return run_program(program, arguments + 1);
    PyObject *inputs = PyObject_CallNoArgs(arguments[1]);
    if (inputs) {
        PyObject *made = run_program(program, PySequence_Fast_ITEMS(inputs));
        Py_DECREF(inputs);
        return made;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyErr_Clear(); /* the script's own line will raise it */
    return Py_NewRef(Py_None);
}

static PyObject *list_function(void) {
    static PyMethodDef definition = {"script_list", (PyCFunction)(void (*)(void))script_list, METH_FASTCALL, NULL};
    return PyCFunction_New(&definition, NULL);
}

#endif
