"""The scalar layer, compiled: microgpt.reference's Value, functions and Adam, with the same results to the last bit.

The graph itself is C. This file is its interface to Python. Each header includes only headers above it in this list:

    node.h        what a Value is in memory, and its numbers
    overrides.h   what users have overridden, and what a script's class has for the operators
    slab.h        the memory of nodes
    extras.h      attributes of nodes that are not stored in them
    lifetime.h    how nodes are created and deallocated
    dot.h         a dot product as one node
    lent.h        gradients of whole vectors during a backward pass
    flat.h        a part of a graph as bytes; pickle.pxi is what pickle sees of it
    edges.h       _children and _local_grads
    operators.h   Value's operators
    formula.h     arithmetic of a script as a list of instructions
    steps.h       a script's operators in sequence
    methods.h     methods of a script's class that are formulas or steps
    backward.h    the backward pass
    type.h        the Python type Value
    functions.h   linear, softmax, rmsnorm, attention and cross_entropy
    lists.h       lists and sums of a script, element by element
    adam.h        the update of a parameter by Adam; adam.pxi is the class
    script.h      a script's class and its loops over parameters, for `microgpt run`; script.pxi is the Python side
"""

cimport cython
from cpython.object cimport PyObject, PyTypeObject

import copyreg  # no-cython-lint: pickle.pxi uses it
import random

more_names = []  # attributes of nodes beyond the four, see script_places

__all__ = ["Value", "linear", "softmax", "rmsnorm", "attention", "cross_entropy", "relu", "matrix", "Adam"]


cdef extern from "scalar/node.h":
    ctypedef struct NodeFields:
        pass
    ctypedef struct Node:
        pass
    enum:
        DATA, GRAD
    unsigned start_grad
    PyObject *deleted
    object slot_get(const Node *node, int slot)
    int slot_set(Node *node, int slot, object value) except -1

cdef extern from "scalar/flat.h":
    object flat_pack(Node *root)
    object flat_unpack(object outside, object data)

cdef extern from "scalar/edges.h":
    object node_children(Node *node)
    object node_local_grads(Node *node)
    object edges_children(Node *node)
    object edges_local_grads(Node *node)
    int node_set_edges(Node *node, object children, object local_grads) except -1

cdef extern from "scalar/backward.h":
    enum:
        UNSUPPORTED
    int node_backward(Node *root) except -1

cdef extern from "scalar/overrides.h":
    bint node_is_custom(const Node *node)

cdef extern from "scalar/operators.h":
    PyObject *fallback_module() except NULL
    object by_python(const char *name, object self, PyObject *other)
    object value_add(object left, object right)
    object value_mul(object left, object right)
    object value_sub(object left, object right)
    object value_truediv(object left, object right)
    object value_pow(object left, object right, object modulus)
    object value_neg(object self)
    object value_log(object self)
    object value_exp(object self)
    object value_relu(object self)
    object value_sigmoid(object self)
    object value_tanh(object self)

cdef extern from "scalar/type.h":
    int value_type_ready(PyTypeObject *type) except -1

cdef extern from "scalar/functions.h":
    object linear_nodes(object x, object w)
    object softmax_nodes(object logits)
    object rmsnorm_nodes(object x)
    object attention_nodes(object q, object keys, object values, object n_head)
    object cross_entropy_nodes(object logits, object target)
    object relu_node(object x)


# mutant: plain-methods
@cython.binding(False)  # plain methods check the type of self, unlike Cython's own functions: Value.relu(3) would crash
@cython.c_api_binop_methods(True)
cdef class Value:
    """Value(data, children=(), local_grads=())\n--\n\nA scalar in a computation graph.

    data: the number. grad: the derivative of the root of backward() with respect to this scalar; `loss.backward()`
    adds d loss / d value to `grad` of every Value that `loss` was computed from. Numbers keep their Python type: an int
    stays an int wherever it does in the reference.

    Copies and pickles of Values share what the Values share, however deep the graph.

    Differences from the reference: backward() does not recurse, nor does copying; reading a number or a tuple of edges
    twice gives equal but distinct objects; operators create Values without calling __init__; a graph that has been made
    cyclic is not garbage-collected.
    """

    cdef NodeFields f

    def __init__(self, data, children=(), local_grads=()):
        if node_is_custom(<Node *> self):
            fallback().methods["__init__"](self, data, children, local_grads)
            return
        slot_set(<Node *> self, DATA, data)
        slot_set(<Node *> self, GRAD, 0 if start_grad else 0.0)
        node_set_edges(<Node *> self, children, local_grads)

    @property
    def data(self):
        """The number."""
        return slot_get(<Node *> self, DATA)

    @data.setter
    def data(self, value):
        slot_set(<Node *> self, DATA, value)

    @data.deleter
    def data(self):
        slot_get(<Node *> self, DATA)  # AttributeError if it is already deleted; likewise below
        slot_set(<Node *> self, DATA, <object> deleted)

    @property
    def grad(self):
        """The derivative of the root of backward() with respect to this scalar, summed over calls; 0 at first."""
        return slot_get(<Node *> self, GRAD)

    @grad.setter
    def grad(self, value):
        slot_set(<Node *> self, GRAD, value)

    @grad.deleter
    def grad(self):
        slot_get(<Node *> self, GRAD)
        slot_set(<Node *> self, GRAD, <object> deleted)

    @property
    def _children(self):
        """The operands, a tuple of Values."""
        return node_children(<Node *> self)

    @_children.setter
    def _children(self, children):
        node_set_edges(<Node *> self, children, edges_local_grads(<Node *> self))

    @_children.deleter
    def _children(self):
        node_children(<Node *> self)
        node_set_edges(<Node *> self, <object> deleted, edges_local_grads(<Node *> self))

    @property
    def _local_grads(self):
        """The derivative of this scalar with respect to each operand, a tuple."""
        return node_local_grads(<Node *> self)

    @_local_grads.setter
    def _local_grads(self, local_grads):
        node_set_edges(<Node *> self, edges_children(<Node *> self), local_grads)

    @_local_grads.deleter
    def _local_grads(self):
        node_local_grads(<Node *> self)
        node_set_edges(<Node *> self, edges_children(<Node *> self), <object> deleted)

    @cython.embedsignature(False)
    def __add__(self, other):
        """__add__($self, other, /)\n--\n\nReturn self + other."""
        return value_add(self, other)

    @cython.embedsignature(False)
    def __mul__(self, other):
        """__mul__($self, other, /)\n--\n\nReturn self * other."""
        return value_mul(self, other)

    @cython.embedsignature(False)
    def __sub__(self, other):
        """__sub__($self, other, /)\n--\n\nReturn self - other."""
        return value_sub(self, other)

    @cython.embedsignature(False)
    def __truediv__(self, other):
        """__truediv__($self, other, /)\n--\n\nReturn self / other."""
        return value_truediv(self, other)

    def __pow__(left, right, modulus):
        return value_pow(left, right, modulus)

    def __neg__(self):
        return value_neg(self)

    def log(self):
        """The natural logarithm. ValueError where math.log raises it."""
        return value_log(self)

    def exp(self):
        """e to the power of this scalar. OverflowError where math.exp raises it."""
        return value_exp(self)

    def relu(self):
        """This scalar if it is positive, else the int 0."""
        return value_relu(self)

    def sigmoid(self):
        """1 / (1 + e**-x), made of exp and operators as in the reference; it cannot overflow."""
        return value_sigmoid(self)

    def tanh(self):
        """The hyperbolic tangent, made of exp and operators as in the reference; it cannot overflow."""
        return value_tanh(self)

    def backward(self):
        """Add d self / d node to the `grad` of every node below: the chain rule, from this node down to the leaves.

        As in the reference, this node's own gradient is set to 1, and those of all others accumulate over calls.
        """
        if node_backward(<Node *> self) == UNSUPPORTED:
            by_python("backward", self, NULL)

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"

    def __reduce__(self):
        return reduce_value(self)

    def __copy__(self):
        return copy_value(self)


Value.__module__ = "microgpt"
value_type_ready(<PyTypeObject *> Value)


# ---- Functions of vectors: each makes its nodes in C if it can ------------------------------------------------------

cdef fallback():
    return <object> fallback_module()


def linear(x, w):
    """Matrix times vector. x: (n_in,), w: (n_out, n_in) -> (n_out,)"""
    y = linear_nodes(x, w)
    return fallback().linear(x, w) if y is None else y


def softmax(logits):
    """Probabilities of the scores `logits`. (n,) -> (n,)"""
    probs = softmax_nodes(logits)
    return fallback().softmax(logits) if probs is None else probs


def rmsnorm(x):
    """Scale a vector to root mean square 1 (Zhang and Sennrich, 2019). (n,) -> (n,)"""
    y = rmsnorm_nodes(x)
    return fallback().rmsnorm(x) if y is None else y


def attention(q, keys, values, n_head):
    """For each head, the mean of the values so far, weighted by how well their keys match the query.

    q: (n_embd,), keys and values: (positions, n_embd) -> (n_embd,)
    """
    x = attention_nodes(q, keys, values, n_head)
    return fallback().attention(q, keys, values, n_head) if x is None else x


def cross_entropy(logits, target):
    """-log of the probability of the token id `target` under softmax(logits). (n,) -> a Value"""
    loss = cross_entropy_nodes(logits, target)
    return fallback().cross_entropy(logits, target) if loss is None else loss


def relu(x):
    """x.relu()"""
    y = relu_node(x)
    return x.relu() if y is None else y


def matrix(nout, nin, std=0.08, rng=random):
    """Random weights, drawn row by row from a Gaussian of mean 0 and standard deviation std. -> (nout, nin)"""
    return [[Value(rng.gauss(0, std)) for _ in range(nin)] for _ in range(nout)]


include "scalar/pickle.pxi"
include "scalar/adam.pxi"
include "scalar/script.pxi"
