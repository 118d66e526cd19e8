/* What `microgpt run` tells Value about a script's class, and the script's loops over its parameters.
 *
 * A loop leaves to the script whatever is not plain numbers, or would raise an exception in Python. The script's own lines
 * then run instead, so every error comes from them, as if they had not been replaced.
 */
#ifndef MICROGPT_SCRIPT_H
#define MICROGPT_SCRIPT_H

#include "backward.h"
#include "lists.h"

/* From now on, Value counts as unmodified (overrides.h) as long as it has the attributes that it has now. */
static int script_accept_attributes(void) {
    PyObject *now = PyDict_New(), *name, *thing;
    Py_ssize_t position = 0;
    while (now &&
           PyDict_Next(value_type->tp_dict, &position, &name, &thing)) /* without __get__ it is no method: a counter, a flag */
        if (Py_TYPE(thing)->tp_descr_get && PyDict_SetItem(now, name, thing) < 0)
            Py_CLEAR(now);
    if (!now)
        return -1;
    Py_SETREF(original_attributes, now);
    return 0;
}

/* How a script's class differs from the reference's. floats: bits of the numbers that are floats and not ints: 1 a new
 * gradient, 2 the gradient that backward() starts with, 4 a sum's local gradients, 8 data (by the constructor's float()). 16:
 * the exponent of a power is kept. */
static void script_class(unsigned standard_methods, unsigned missing_methods, unsigned floats, int order, PyObject *own) {
    Py_XSETREF(methods, Py_NewRef(own));
    standard = standard_methods;
    missing = missing_methods;
    start_grad = floats & 1 ? 0 : IS_INT(GRAD);
    Py_SETREF(root_grad, floats & 2 ? PyFloat_FromDouble(1.0) : Py_NewRef(one));
    sum_locals = floats & 4 ? 0 : IS_INT(LOCAL0) | IS_INT(LOCAL1);
    int_data = floats & 8 ? 0 : IS_INT(DATA);
    keep_exponent = floats & 16;
    order_of_pass = order;
}

/* See guard_holds. */
static void script_guard(PyObject *globals, PyObject *name, PyObject *value) {
    guard_place = globals == Py_None ? NULL : Py_NewRef(globals);
    guard_name = Py_NewRef(name);
    guard_value = Py_NewRef(value);
}

/* v._backward() of a script's class: the chain rule at one node. */
static int script_propagate(Node *node) {
    unsigned edges;
    if (node->f.flags & DOT && dot_expand(node) < 0)
        return -1;
    if (node->f.flags & FLOWS)
        return node_flow(node);
    if ((edges = node->f.flags & (ONE_CHILD | TWO_CHILDREN)))
        for (int i = 0; i < (edges & TWO_CHILDREN ? 2 : 1); i++)
            if (accumulate_objects(node->f.child[i], slot_get(node, LOCAL0 + i), slot_get(node, GRAD)) < 0)
                return -1;
    return node->f.flags & MANY_CHILDREN ? accumulate_many(node) : 0;
}

/* For script.pxi. */
static int script_operation(const Node *node) { return node->f.operation; }

/* ---- Arithmetic on each parameter -------------------------------------------------------------------------------- */

/* The source of a formula's input, or the target of an output, for parameter i: a slot of it, or item i of a list. */
typedef struct {
    int slot;
    PyObject *list; /* borrowed; NULL for a slot */
} Spot;

/* Parameter i of the script's list if its data and gradient are numbers; else NULL. */
static inline Node *plain_param(PyObject *params, Py_ssize_t i) {
    PyObject *p = PyList_GET_ITEM(params, i);
    return is_exact(p) && !(((Node *)p)->f.flags & (IS_OBJECT(DATA) | IS_OBJECT(GRAD))) ? (Node *)p : NULL;
}

/* list[i] = number. A float that only this list refers to is changed in place, which cannot be observed. */
static inline int set_number(PyObject *list, Py_ssize_t i, double number, int is_int) {
#ifndef Py_GIL_DISABLED
    PyObject *item = PyList_GET_ITEM(list, i);
    if (!is_int && PyFloat_CheckExact(item) && Py_REFCNT(item) == 1) {
        ((PyFloatObject *)item)->ob_fval = number;
        return 0;
    }
#endif
    PyObject *made = is_int ? PyLong_FromLongLong((long long)number) : PyFloat_FromDouble(number);
    return made ? PyList_SetItem(list, i, made) : -1;
}

/* Reads the inputs of parameter i into lane `lane`. 0 where one is not a number, or of another kind than in the lanes before. */
static int load_param(PyObject *params, const Spot *inputs, int num_inputs, Py_ssize_t i, int lane) {
    Node *p = plain_param(params, i);
    if (!p)
        return 0;
    for (int k = 0; k < num_inputs; k++) {
        int kind;
        if (inputs[k].list)
            kind = number_kind(PyList_GET_ITEM(inputs[k].list, i), &registers.number[k][lane]);
        else {
            registers.number[k][lane] = p->f.slot[inputs[k].slot].number;
            kind = (p->f.flags & IS_INT(inputs[k].slot)) != 0;
        }
        if (kind < 0 || (lane > 0 && kind != registers.is_int[k]))
            return 0;
        registers.is_int[k] = (uint8_t)kind;
    }
    return 1;
}

static int store_param(PyObject *params, const Formula *formula, const Spot *outputs, Py_ssize_t i, int lane) {
    Node *p = (Node *)PyList_GET_ITEM(params, i);
    for (int k = 0; k < formula->num_outputs; k++) {
        int from = formula->output[k];
        double number = registers.number[from][lane];
        unsigned kind = registers.is_int[from] ? IS_INT(outputs[k].slot) : 0;
        if (outputs[k].list) {
            if (set_number(outputs[k].list, i, number, registers.is_int[from]) < 0)
                return -1;
        } else {
            p->f.slot[outputs[k].slot].number = number;
            num_writes++;
            p->f.flags = (p->f.flags & ~IS_INT(outputs[k].slot)) | kind;
        }
    }
    return 0;
}

/* Iterations i, ..., end - 1 of a loop over the parameters. places: the formula's inputs, then its outputs. Returns the first
 * one that was not done, because Python must do it, or `end`; -1 with MemoryError. */
static Py_ssize_t script_update(PyObject *params, const Formula *formula, const Spot *places, Py_ssize_t i, Py_ssize_t end) {
    const Spot *outputs = places + formula->num_inputs;
    if (end > PyList_GET_SIZE(params))
        return i;
    for (int k = 0; k < formula->num_inputs + formula->num_outputs; k++)
        if (places[k].list && end > PyList_GET_SIZE(places[k].list))
            return i;
    formula_prepare(formula, &registers, LANES);
    while (i < end) {
        int n = 0, done;
        for (; n < LANES && i + n < end && load_param(params, places, formula->num_inputs, i + n, n); n++) {
            Node *p = (Node *)PyList_GET_ITEM(params, i + n);
            if (p->f.flags & VISITED) /* it already has a lane, whose result would be this lane's input */
                break;
            p->f.flags |= VISITED;
        }
        for (int lane = 0; lane < n; lane++)
            ((Node *)PyList_GET_ITEM(params, i + lane))->f.flags &= ~VISITED;
        done = formula_run(formula, &registers, n);
        for (int lane = 0; lane < done; lane++)
            if (store_param(params, formula, outputs, i + lane, lane) < 0)
                return -1;
        if (done == 0)
            return i;
        i += done;
    }
    return i;
}

/* The largest data of a list's Values, in a tuple; None where Python must find it. */
static PyObject *script_largest(PyObject *values) {
    Py_ssize_t n;
    Node *const *items = plain_items(values, &n);
    PyObject *largest = items ? PyFloat_FromDouble(largest_of(items, n)) : NULL,
             *found = largest ? PyTuple_Pack(1, largest) : NULL;
    Py_XDECREF(largest);
    return or_none(found);
}

/* [number for p in params] for a formula of one output; None where Python must do it. */
static PyObject *script_each(PyObject *params, const Formula *formula, const Spot *places) {
    Py_ssize_t size = PyList_GET_SIZE(params);
    PyObject *out = PyList_New(size);
    formula_prepare(formula, &registers, LANES);
    for (Py_ssize_t i = 0; out && i < size;) {
        int n = 0, from = formula->output[0];
        while (n < LANES && i + n < size && load_param(params, places, formula->num_inputs, i + n, n))
            n++;
        int done = formula_run(formula, &registers, n);
        for (int lane = 0; lane < done; lane++) {
            double number = registers.number[from][lane];
            PyObject *item = registers.is_int[from] ? PyLong_FromLongLong((long long)number) : PyFloat_FromDouble(number);
            if (!item) {
                Py_DECREF(out);
                return NULL;
            }
            PyList_SET_ITEM(out, i + lane, item);
        }
        if (done == 0)
            Py_CLEAR(out);
        i += done;
    }
    return or_none(out);
}

#endif
