/* Attributes of nodes beyond the four stored in them: a script's own, such as a label.
 *
 * Few nodes have any, so they are kept in a separate table: the address of a node -> a dict of its attributes.
 */
#ifndef MICROGPT_EXTRAS_H
#define MICROGPT_EXTRAS_H

#include "slab.h"

static PyObject *extras;
static int more_attributes; /* some nodes have attributes beyond the four */

/* The dict of a node's own attributes, borrowed; if it has none, a new one where `make`, else NULL without an exception. */
static PyObject *node_extras(Node *node, int make) {
    if (!(node->f.flags & EXTRAS) && !make)
        return NULL;
    if (!extras && !(extras = PyDict_New()))
        return NULL;
    PyObject *key = PyLong_FromVoidPtr(node), *found = NULL;
    if (key && node->f.flags & EXTRAS)
        found = PyDict_GetItemWithError(extras, key);
    else if (key && (found = PyDict_New())) {
        int status = PyDict_SetItem(extras, key, found);
        Py_DECREF(found);
        if (status < 0)
            found = NULL;
        else
            node->f.flags |= EXTRAS;
    }
    Py_XDECREF(key);
    return found;
}

/* For a node that is deallocated. */
static void forget_extras(Node *node) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *key = PyLong_FromVoidPtr(node);
    if (!key || PyDict_DelItem(extras, key) < 0)
        PyErr_WriteUnraisable(NULL);
    Py_XDECREF(key);
    PyErr_Restore(type, value, traceback);
}

#endif
