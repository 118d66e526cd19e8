# For `microgpt run` (microgpt/scripts/): lists and loops of a script, done in C on the script's own objects. Where script.h
# has no fast path, each returns None, or leaves iterations to the script. Not part of the API; included by scalar.pyx.

from time import perf_counter

from cpython.mem cimport PyMem_Realloc


cdef extern from "scalar/methods.h":
    enum:
        MAX_REGISTERS, MAX_ARITY, FUNCTIONS, NUM_FUNCTIONS, MAX_METHODS, MAX_STEPS, MAX_CONSTANTS, NO_INPUT
        NOT_READ, FORMULA, COMPOSED
    ctypedef struct Step:
        unsigned char kind, a, b, size, start, wraps, invariant
    ctypedef struct Instruction:
        unsigned char operation
        unsigned char operand[3]
    ctypedef struct Formula:
        int num_inputs, num_constants, num_instructions, num_outputs
        double constant[96]
        unsigned char constant_is_int[96]
        Instruction code[96]
        unsigned char output[96]
    ctypedef struct Case:
        int kind, num_steps, num_constants
        Step step[64]
        PyObject *constant[8]
        PyObject *names
        int num_children, has_flows
        unsigned char child[2]
        Formula formula, flows
    ctypedef struct Method:
        char name[64]
        Case of_values, of_number
    Method formula_methods[48]
    int num_formula_methods
    object formula_descriptor(int with_operand)
    int number_kind(object value, double *d)

cdef extern from "scalar/lists.h":
    enum:
        MAX_LOADS, MAX_VECTORS, MAX_INPUTS
    ctypedef struct Load:
        unsigned char kind, input, offset
    ctypedef struct Vector:
        unsigned char kind, input, offset, column
    ctypedef struct Program:
        unsigned char count, counts_items, first, result, num_zipped, num_loads, num_vectors, num_steps
        unsigned char zipped[32]
        unsigned needs
        Load load[32]
        Vector vector[16]
        Step step[64]
        PyObject *methods
        PyObject *globals
    Program **programs
    Py_ssize_t num_programs
    object list_function()

cdef extern from "scalar/extras.h":
    int more_attributes

cdef extern from "scalar/script.h":
    ctypedef struct Spot:
        int slot
        PyObject *list
    int c_script_accept_attributes "script_accept_attributes" () except -1
    void c_script_class "script_class" (unsigned standard, unsigned missing, unsigned floats, int order, object own)
    void c_script_guard "script_guard" (object globals, object name, object value)
    int c_script_propagate "script_propagate" (Node *node) except -1
    PyObject *node_extras(Node *node, int make) except? NULL
    int operation_of "script_operation" (Node *node)
    Py_ssize_t c_script_update "script_update" (
        object params, const Formula *formula, const Spot *places, Py_ssize_t i, Py_ssize_t end) except -1
    object c_script_largest "script_largest" (object values)
    object c_script_each "script_each" (object params, const Formula *formula, const Spot *places)


# ---- The class -------------------------------------------------------------------------------------------------------

def script_accept_attributes():
    """Treat Value's present attributes as its original ones: they are replacements with the same meaning."""
    c_script_accept_attributes()


def script_class(standard, missing, floats, order, own):
    """Set how the script's class differs from the reference's; see script.h and overrides.h for the bits, backward.h for the order.

    own: name -> the script's own method, which runs where there is no fast path.
    """
    c_script_class(standard, missing, floats, order, own)


def script_places(names):
    """Set which attributes nodes have beyond the compiled ones, for copies of them."""
    global more_attributes
    more_names.extend(names)
    more_attributes = len(more_names)


def script_guard(globals, name, value):
    """From now on, leave all operators to Python while the global `name`, or the class's if globals is None, is not `value`."""
    c_script_guard(globals, name, value)


def script_formula(name, with_operand, of_values, of_number):
    """A new method of Value made of formulas; None if there is no room for another one.

    of_values, of_number: None; or (children, formula, formula of what is added to the children's gradients or None), children being
    0 for self and 1 for the operand; or (constants, steps, names of methods).
    """
    cdef Method *method
    if num_formula_methods >= MAX_METHODS or len(name) > 60:
        return None
    method = &formula_methods[num_formula_methods]
    encoded = name.encode()
    for i in range(len(encoded)):
        method.name[i] = encoded[i]
    method.name[len(encoded)] = 0
    set_case(&method.of_values, of_values)
    set_case(&method.of_number, of_number)
    return formula_descriptor(with_operand)


cdef list kept = []  # what cases refer to


cdef int set_case(Case *case, source) except -1:
    case.kind = NOT_READ
    if source is None:
        return 0
    if type(source[0]) is list:
        constants, steps, names = source
        case.kind, case.num_constants, case.num_steps = COMPOSED, len(constants), len(steps)
        case.names = <PyObject *> names
        for i, constant in enumerate(constants):
            case.constant[<Py_ssize_t> i] = <PyObject *> constant
        for i, (kind, a, b) in enumerate(steps):
            case.step[<Py_ssize_t> i] = Step(kind, a, b, NO_INPUT, NO_INPUT, 0, 0)
        kept.append(source)
    else:
        case.kind = FORMULA
        children, formula, flows = source
        case.num_children = len(children)
        for i, child in enumerate(children):
            case.child[i] = child
        set_formula(&case.formula, formula)
        case.has_flows = flows is not None
        if flows is not None:
            set_formula(&case.flows, flows)


cdef int set_constants(Formula *formula, Py_ssize_t first, constants) except -1:
    """TypeError for a constant that is not an ordinary number."""
    for i, constant in enumerate(constants, first):
        kind = number_kind(constant, &formula.constant[<Py_ssize_t> i])
        if kind < 0:
            raise TypeError()
        formula.constant_is_int[<Py_ssize_t> i] = kind


cdef int set_formula(Formula *formula, source) except -1:
    """source: (number of inputs, of constants that come later, constants, code, outputs), as arithmetic.py makes them."""
    num_inputs, num_fixed, constants, code, outputs = source
    formula.num_inputs, formula.num_constants = num_inputs, num_fixed + len(constants)
    formula.num_instructions, formula.num_outputs = len(code) // 4, len(outputs)
    if num_inputs + num_fixed + len(constants) + len(code) // 4 > MAX_REGISTERS:
        raise TypeError()
    set_constants(formula, num_fixed, constants)
    for i in range(formula.num_instructions):
        formula.code[i].operation = code[4 * i]
        for j in range(3):
            formula.code[i].operand[j] = code[4 * i + 1 + j]
    for i, output in enumerate(outputs):
        formula.output[i] = output


def script_own_attributes(Value node, make=False):
    """The dict of a node's attributes beyond the compiled ones; None if it has none and none is to be made."""
    cdef PyObject *found = node_extras(<Node *> node, make)
    return None if found is NULL else <object> found


def script_made_by(Value node):
    """What made a node: 0 for the constructor, else the index of the operation in overrides.h, followed by formulas."""
    return operation_of(<Node *> node)


def script_propagate(Value node):
    """Add a node's contributions to the gradients of its children."""
    c_script_propagate(<Node *> node)


# ---- Lists and sums ----------------------------------------------------------------------------------------------------

cdef list script_names = []  # what programs refer to
script_list = list_function()


def script_program(counts, flags, loads, vectors, steps, zipped, methods, globals):
    """A program for script_list, as lists.py writes it; returns its number, or None if it is too long. See lists.h.

    counts: (count, counts_items, first, result); flags: the methods that must be the reference's; loads, vectors, steps: tuples of bytes;
    globals: for each input a name that is looked up, or None.
    """
    global programs, num_programs
    if max(len(loads), len(zipped)) > MAX_LOADS or len(vectors) > MAX_VECTORS or len(steps) > MAX_STEPS or len(globals) > MAX_INPUTS:
        return None
    cdef Program *program = <Program *> PyMem_Calloc(1, sizeof(Program))
    grown = <Program **> PyMem_Realloc(programs, (num_programs + 1) * sizeof(Program *))
    if program is NULL or grown is NULL:
        raise MemoryError()
    programs = grown
    program.count, program.counts_items, program.first, program.result = counts
    program.needs = flags
    program.num_zipped, program.num_loads, program.num_vectors, program.num_steps = len(zipped), len(loads), len(vectors), len(steps)
    for i, index in enumerate(zipped):
        program.zipped[<Py_ssize_t> i] = index
    for i, (kind, index, offset) in enumerate(loads):
        program.load[<Py_ssize_t> i] = Load(kind, index, offset)
    for i, (kind, index, offset, column) in enumerate(vectors):
        program.vector[<Py_ssize_t> i] = Vector(kind, index, offset, column)
    for i, (kind, a, b, size, start, wraps, invariant) in enumerate(steps):
        program.step[<Py_ssize_t> i] = Step(kind, a, b, size, start, wraps, invariant)
    methods, globals = tuple(methods), tuple(globals)
    script_names.append((methods, globals))
    program.methods, program.globals = <PyObject *> methods, <PyObject *> globals
    programs[num_programs] = program
    num_programs += 1
    return num_programs - 1


def script_timed_list(seconds):
    """script_list, which adds the seconds it takes to seconds[None]. It looks at its caller's globals, so the script must call it
    directly, not through a Python function."""
    def timed_list(*arguments):
        before = perf_counter()
        try:
            return script_list(*arguments)
        finally:
            seconds[None] += perf_counter() - before

    return timed_list


# ---- Loops over the parameters -----------------------------------------------------------------------------------------

ctypedef struct Loop:
    Formula formula
    Spot place[96]
    int num_fixed, num_places, num_lists
    unsigned char source[96]

cdef Loop **loops = NULL
cdef Py_ssize_t num_loops = 0


def script_loop(formula, sources):
    """A formula for script_update or script_each; returns its number.

    formula: see set_formula; sources: for each of its inputs, then outputs, where in parameter i it is: DATA, GRAD, or 2 plus the number
    of a list of which it is element i. TypeError if a constant is no ordinary number.
    """
    global loops, num_loops
    cdef Loop *made = <Loop *> PyMem_Calloc(1, sizeof(Loop))
    grown = <Loop **> PyMem_Realloc(loops, (num_loops + 1) * sizeof(Loop *))
    if made is NULL or grown is NULL:
        raise MemoryError()
    loops = grown
    set_formula(&made.formula, formula)
    made.num_fixed, made.num_places = formula[1], len(sources)
    for i, source in enumerate(sources):
        made.source[<Py_ssize_t> i] = source
    loops[num_loops] = made
    num_loops += 1
    return num_loops - 1


cdef Loop *prepared(Py_ssize_t number, params, lists, fixed) except NULL:
    """The loop for these lists. fixed: a function that returns its fixed numbers, or None. Any exception, which the script's own lines
    will raise, or TypeError if two lists are one, or one is `params`."""
    cdef Loop *loop = loops[number]
    if fixed is not None:
        set_constants(&loop.formula, 0, fixed())
    if lists and (not all([type(items) is list for items in lists]) or len({id(params), *map(id, lists)}) < 1 + len(lists)):
        raise TypeError()
    for i in range(loop.num_places):
        loop.place[i].slot = loop.source[i]
        loop.place[i].list = <PyObject *> lists[loop.source[i] - 2] if loop.source[i] >= 2 else NULL
    return loop


def script_update(Py_ssize_t number, params, lists, fixed):
    """Run iterations of `for i, p in enumerate(params)` that change numbers by a formula; yield those that are left to Python.

    params: a list. Python always does the last iteration, so that the loop's variables end with the right values, and any that
    involves an unusual number, so that it raises the right exception.
    """
    cdef Loop mine
    cdef Py_ssize_t i = 0, n = len(params)
    try:
        mine = prepared(number, params, lists, fixed)[0]
    except Exception:
        yield from enumerate(params)
        return
    while i < n:
        i = c_script_update(params, &mine.formula, mine.place, i, n - 1)
        yield i, params[i]
        i += 1


def script_largest(values):
    """The largest data of these Values, in a tuple, for max(); or None."""
    return c_script_largest(values)


def script_each(Py_ssize_t number, params, lists, fixed):
    """[a formula's result for p in params], or None."""
    cdef Loop *loop
    if type(params) is not list:
        return None
    try:
        loop = prepared(number, params, lists, fixed)
    except Exception:
        return None
    return c_script_each(params, &loop.formula, loop.place)
