/* What users have overridden: attributes in a subclass of Value, methods of Value itself.
 *
 * The fast paths assume that a Value's attributes and methods are the original ones. These functions tell whether they are.
 */
#ifndef MICROGPT_OVERRIDES_H
#define MICROGPT_OVERRIDES_H

#include "node.h"

/* PyObject_GetAttrString with an interned name: Python's attribute cache would keep each new string. */
static PyObject *attribute(PyObject *object, const char *name) {
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *result = interned ? PyObject_GetAttr(object, interned) : NULL;
    Py_XDECREF(interned);
    return result;
}

/* Whether a type has another attribute `name` than Value: 1, 0, or -1 with an exception. */
static int overrides(PyTypeObject *type, const char *name) {
    PyObject *ours = attribute((PyObject *)value_type, name);
    PyObject *theirs = ours ? attribute((PyObject *)type, name) : NULL;
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
    return ours && theirs ? ours != theirs : -1;
}

/* Whether a subclass overrides attributes or equality: 1, 0, or -1 with an exception. Its instances are then CUSTOM: all their
 * numbers are objects, so every fast path leaves them to Python, which asks the subclass. */
static int is_custom(PyTypeObject *type) {
    static const char *const names[] = {
        "data", "grad", "_children", "_local_grads", "__getattribute__", "__setattr__", "__eq__", "__hash__",
    };
    static PyTypeObject *known;
    static unsigned known_version; /* unique to a state of a type; 0: no version */
    static int known_answer;
    if (type == known && type->tp_version_tag == known_version && known_version)
        return known_answer;
    int custom = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int overridden = overrides(type, names[i]);
        if (overridden < 0)
            return -1;
        custom |= overridden; /* mutant: custom-class */
    }
    known = type;
    known_version = type->tp_version_tag;
    return known_answer = custom;
}

static inline int node_is_custom(const Node *node) { return (node->f.flags & CUSTOM) != 0; }

/* ---- Operators, and a script's own versions of them -------------------------------------------------------------- */

/* What made a node; from FORMULAS on, a script's own formulas (formula.h). */
enum { CONSTRUCTOR, ADD, MUL, POW, LOG, EXP, RELU, FORMULAS };

/* Further methods, which make no node of their own. */
enum { RADD = FORMULAS, RMUL, NEG, SUB, RSUB, TRUEDIV, RTRUEDIV, NUM_METHODS };

#define BIT(method) (1u << (method))
#define DOT_METHODS (BIT(ADD) | BIT(RADD) | BIT(MUL))
#define DIV_METHODS (BIT(TRUEDIV) | BIT(MUL) | BIT(POW))
#define SOFTMAX_METHODS (DOT_METHODS | DIV_METHODS | BIT(SUB) | BIT(EXP))

/* Bits of the methods that behave like the reference's: all of them, unless a script's class replaces or lacks some. */
static unsigned standard = BIT(NUM_METHODS) - 1;
static unsigned missing; /* bits of reflected operators that a script's class does not have */

static inline int are_standard(unsigned methods) { return (standard & methods) == methods; }

/* ---- Changes made later ------------------------------------------------------------------------------------------ */

/* A script's class may record graphs only while a flag, of the class or global, has a certain value. Otherwise all work is
 * left to Python. */
static PyObject *guard_place, *guard_name, *guard_value; /* place: the dict of globals; NULL for the class */

static inline int guard_holds(void) {
    return !guard_name || PyDict_GetItem(guard_place ? guard_place : value_type->tp_dict, guard_name) == guard_value;
}

static PyObject *original_attributes; /* Value's own dict, when the module was loaded */

/* A changed type gets a new version at the next look-up. */
static void look_at_type(void) { Py_XDECREF(attribute((PyObject *)value_type, "data")); }

/* Whether Value still has all its original attributes. Users can replace them, and add more. */
static int is_unmodified(void) {
    static unsigned known_version;
    if (!guard_holds())
        return 0;
    if (value_type->tp_version_tag == known_version && known_version)
        return 1;
    PyObject *name, *attribute;
    Py_ssize_t position = 0;
    while (PyDict_Next(original_attributes, &position, &name, &attribute))
        if (PyDict_GetItem(value_type->tp_dict, name) != attribute) /* mutant: replaced-attribute */
            return 0;
    look_at_type();
    known_version = value_type->tp_version_tag; /* mutant: known-version */
    return 1;
}

#endif
