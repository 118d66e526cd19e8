# For `microgpt run` (microgpt/run/): lists and loops of a script, done in C on the script's own objects. Where script.h
# has no fast path, each returns None, or leaves iterations to the script. Not part of the API; included by scalar.pyx.

from cpython.mem cimport PyMem_Realloc


cdef extern from "scalar/methods.h":
    enum:
        MAX_REGISTERS, MAX_ARITY, FUNCTIONS, NUM_FUNCTIONS, MAX_METHODS
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
        int exists, num_children
        unsigned char child[2]
        Formula formula
    ctypedef struct Method:
        char name[64]
        Case of_values, of_number
    Method formula_methods[48]
    int num_formula_methods
    object formula_descriptor(int with_operand)
    int number_kind(object value, double *d)

cdef extern from "scalar/lists.h":
    enum:
        NO_INPUT, MAX_LOADS, MAX_VECTORS, MAX_STEPS
    ctypedef struct Load:
        unsigned char kind, input, offset
    ctypedef struct Vector:
        unsigned char kind, input, offset, column
    ctypedef struct Step:
        unsigned char kind, a, b, size, start, wraps, invariant
    ctypedef struct Program:
        unsigned char count, counts_items, first, result, num_zipped, num_loads, num_vectors, num_steps
        unsigned char zipped[32]
        unsigned needs
        Load load[32]
        Vector vector[16]
        Step step[64]
    object run_program(const Program *program, object names, object inputs)
    PyObject *last_sum

cdef extern from "scalar/extras.h":
    int more_attributes

cdef extern from "scalar/script.h":
    ctypedef struct Spot:
        int slot
        PyObject *list
    int c_script_accept_attributes "script_accept_attributes" () except -1
    void c_script_class "script_class" (unsigned standard, unsigned missing, unsigned floats, int visits_last_first, object own)
    void c_script_guard "script_guard" (object globals, object name, object value)
    int c_script_propagate "script_propagate" (Node *node) except -1
    PyObject *node_extras(Node *node, int make) except? NULL
    int operation_of "script_operation" (Node *node)
    Py_ssize_t c_script_update "script_update" (
        object params, const Formula *formula, const Spot *places, Py_ssize_t i, Py_ssize_t end) except -1
    object c_script_each "script_each" (object params, const Formula *formula, const Spot *places)


# ---- The class -------------------------------------------------------------------------------------------------------

def script_accept_attributes():
    """Treat Value's present attributes as its original ones: others have replaced those, with the same meaning."""
    c_script_accept_attributes()


def script_class(standard, missing, floats, last_first, own):
    """What the script's class does otherwise than the reference's; see script.h and overrides.h for the bits.

    own: name -> the script's own methods, which run where there is no fast path.
    """
    c_script_class(standard, missing, floats, last_first, own)


def script_places(names):
    """What attributes nodes have beyond the compiled ones, for copies of them."""
    global more_attributes
    more_names.extend(names)
    more_attributes = len(more_names)


def script_guard(globals, name, value):
    """From now on, leave all operators to Python while the global `name`, or the class's if globals is None, is not `value`."""
    c_script_guard(globals, name, value)


def script_formula(name, with_operand, of_values, of_number):
    """A new method of Value made of formulas; None if there is no place for another one.

    of_values, of_number: (children, formula) or None; children: for each, 0 if it is self and 1 if it is the operand.
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


cdef int set_case(Case *case, source) except -1:
    case.exists = source is not None
    if source is not None:
        children, formula = source
        case.num_children = len(children)
        for i, child in enumerate(children):
            case.child[i] = child
        set_formula(&case.formula, formula, ())


cdef int set_formula(Formula *formula, source, fixed) except -1:
    """source: (number of inputs, constants, code, outputs), as arithmetic.py makes them. fixed: the first constants.

    TypeError for a constant that is not an ordinary number.
    """
    num_inputs, constants, code, outputs = source
    constants = [*fixed, *constants]
    formula.num_inputs, formula.num_constants = num_inputs, len(constants)
    formula.num_instructions, formula.num_outputs = len(code) // 4, len(outputs)
    if num_inputs + len(constants) + len(code) // 4 > MAX_REGISTERS:
        raise TypeError()
    for i, constant in enumerate(constants):
        kind = number_kind(constant, &formula.constant[i])
        if kind < 0:
            raise TypeError()
        formula.constant_is_int[i] = kind
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
    """What made a node: 0 for the constructor, else the place of the operation in overrides.h, formulas after these."""
    return operation_of(<Node *> node)


def script_propagate(Value node):
    """Add to the gradients of a node's children what the node contributes."""
    c_script_propagate(<Node *> node)


# ---- Lists and sums ----------------------------------------------------------------------------------------------------

cdef Program *programs = NULL
cdef list method_names = []


def script_program(counts, flags, loads, vectors, steps, zipped, methods):
    """A program for script_list, as lists.py writes it; returns its number, or None if it is too long. See lists.h.

    counts: (count, counts_items, first, result); flags: the methods that must be the reference's; loads, vectors, steps: tuples of bytes.
    """
    global programs
    cdef Program *program
    if len(loads) > MAX_LOADS or len(vectors) > MAX_VECTORS or len(steps) > MAX_STEPS or len(zipped) > MAX_LOADS:
        return None
    grown = <Program *> PyMem_Realloc(programs, (len(method_names) + 1) * sizeof(Program))
    if grown is NULL:
        raise MemoryError()
    programs = grown
    program = &programs[<Py_ssize_t> len(method_names)]
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
    method_names.append(tuple(methods))
    return len(method_names) - 1


def script_list(Py_ssize_t number, inputs):
    """The list that a program makes of its inputs, or the sum alone in a list; None where that is left to the script.

    inputs: a tuple, or a function that returns it, where an input may not exist.
    """
    if type(inputs) is not tuple:
        try:
            inputs = inputs()
        except Exception:  # the script's own line will raise it
            return None
    return run_program(&programs[number], method_names[number], inputs)


def script_is_sum(total):
    """Whether this is what the last program made, which was a sum; no object if that gave up."""
    return <PyObject *> total is last_sum


# ---- Loops over the parameters -----------------------------------------------------------------------------------------

cdef int set_places(Spot *places, sources, lists, params) except -1:
    """sources: for each place DATA, GRAD or 2 plus the index of a list. TypeError if two lists are one, or one is `params`."""
    if not all([type(items) is list for items in lists]) or len({id(params), *map(id, lists)}) < 1 + len(lists):
        raise TypeError()
    for i, source in enumerate(sources):
        places[i].slot = source
        places[i].list = <PyObject *> lists[source - 2] if source >= 2 else NULL


def script_update(params, lists, places, formula, fixed):
    """Do iterations of `for i, p in enumerate(params)` that change numbers by a formula; yield those that are left to Python.

    params: a list. places: what the formula's inputs and outputs are, see set_places. fixed: a function,
    called once, that returns the numbers that the loop does not change. Python always does the last iteration, so that
    the loop's variables end with the right values, and any that involves an unusual number, so that it raises the right
    exception.
    """
    cdef Formula program
    cdef Spot place[96]
    cdef Py_ssize_t i = 0, n = len(params)
    try:
        set_formula(&program, formula, fixed())
        set_places(place, places, lists, params)
    except Exception:  # the loop's own lines will raise it
        yield from enumerate(params)
        return
    while i < n:
        i = c_script_update(params, &program, place, i, n - 1)
        yield i, params[i]
        i += 1


def script_each(params, lists, places, formula, fixed):
    """[a formula's outcome for p in params], or None."""
    cdef Formula program
    cdef Spot place[96]
    if type(params) is not list:
        return None
    try:
        set_formula(&program, formula, fixed())
        set_places(place, places, lists, params)
    except Exception:
        return None
    return c_script_each(params, &program, place)
