/* The Python type Value: the parts that Cython cannot express in scalar.pyx. */
#ifndef MICROGPT_TYPE_H
#define MICROGPT_TYPE_H

#include "operators.h"

/* tp_new: exact Values come from the slabs, instances of subclasses from the allocator that Python gives them. */
static PyObject *value_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs)) {
    if (type == value_type)
        return (PyObject *)node_new(0.0);
    int custom = is_custom(type);
    Node *node = custom < 0 ? NULL : (Node *)type->tp_alloc(type, 0);
    if (node) {
        node->f.flags = start_grad;
        if (custom) {
            node->f.flags = CUSTOM;
            slot_set(node, DATA, zero);
            slot_set(node, GRAD, zero);
        }
    }
    return (PyObject *)node;
}

/* tp_free of exact Values. Subclasses get another one from Python, which therefore refuses to assign one's __class__ to the
 * other. */
static void value_free(void *node) { slab_free((Node *)node); }

static PyMethodDef reflected[] = {
    {"__radd__", value_radd, METH_O, PyDoc_STR("__radd__($self, other, /)\n--\n\nReturn self + other.")},
    {"__rmul__", value_rmul, METH_O, PyDoc_STR("__rmul__($self, other, /)\n--\n\nReturn self * other.")},
};

/* Called once, when the module is loaded. Returns -1 with an exception. */
static int value_type_ready(PyTypeObject *type) {
    value_type = type;
    type->tp_name = "Value"; /* as error messages show it: "'float' and 'Value'", without the module */
    type->tp_new = value_new;
    type->tp_dealloc = node_dealloc;
    type->tp_free = value_free;
    for (size_t i = 0; i < sizeof reflected / sizeof *reflected; i++) {
        PyObject *method = PyDescr_NewMethod(type, &reflected[i]);
        /* Into the dict: setattr would replace the number slot, and 1 + value would call the method. */
        int status = method ? PyDict_SetItemString(type->tp_dict, reflected[i].ml_name, method) : -1;
        Py_XDECREF(method);
        if (status < 0)
            return -1;
    }
    PyType_Modified(type);
    zero = PyLong_FromLong(0);
    one = PyLong_FromLong(1);
    minus_one = PyLong_FromLong(-1);
    minus_half = PyFloat_FromDouble(-0.5);
    deleted = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    root_grad = Py_XNewRef(one);
    original_attributes = PyDict_Copy(type->tp_dict);
    return zero && one && minus_one && minus_half && deleted && original_attributes ? 0 : -1;
}

#endif
