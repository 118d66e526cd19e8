/* Value's operators, one function for each of the reference's, in the same order of operations.
 *
 * Each takes the fast path only where doubles give what Python gives: both operands floats (or small ints), the result in
 * range. Everything else takes the long way: the reference's own method, and then errors are the reference's too.
 */
#ifndef MICROGPT_OPERATORS_H
#define MICROGPT_OPERATORS_H

#include "graph.h"

/* The reflected operators as methods of their own: what a subclass finds that has only __add__, or calls super().__radd__ */
static PyObject *value_radd(PyObject *self, PyObject *other);
static PyObject *value_rmul(PyObject *self, PyObject *other);
static PyMethodDef reflected[] = {
    {"__radd__", value_radd, METH_O, PyDoc_STR("__radd__($self, other, /)\n--\n\nReturn self + other.")},
    {"__rmul__", value_rmul, METH_O, PyDoc_STR("__rmul__($self, other, /)\n--\n\nReturn self * other.")},
};

static PyObject *untouched; /* Value's attributes as they are here, to see later whether somebody has put in his own */

/* Called once, when the module is loaded. Returns -1 with an exception. */
static int value_type_ready(PyTypeObject *type)
{
    value_type = type;
    type->tp_name = "Value"; /* as error messages show it: "'float' and 'Value'", not the module's path before it */
    type->tp_new = value_new;
    type->tp_dealloc = node_dealloc;
    type->tp_free = value_free;
    for (size_t i = 0; i < sizeof reflected / sizeof *reflected; i++) {
        PyObject *method = PyDescr_NewMethod(type, &reflected[i]);
        int status = method ? PyDict_SetItemString(type->tp_dict, reflected[i].ml_name, method) : -1;
        Py_XDECREF(method);
        if (status < 0) /* (into the dict and not by setattr, after which 1 + value would take Python's long way) */
            return -1;
    }
    PyType_Modified(type);
    zero = PyLong_FromLong(0);
    one = PyLong_FromLong(1);
    minus_one = PyLong_FromLong(-1);
    minus_half = PyFloat_FromDouble(-0.5);
    root_grad = Py_XNewRef(one);
    untouched = PyDict_Copy(type->tp_dict);
    return zero && one && minus_one && minus_half && untouched ? 0 : -1;
}

/* Whether everything Value came with is still in its place; users can put other methods there, and more of them. */
static int is_untouched(void)
{
    static unsigned known_version;
    if (value_type->tp_version_tag == known_version && known_version)
        return 1;
    PyObject *name, *attribute;
    Py_ssize_t position = 0;
    while (PyDict_Next(untouched, &position, &name, &attribute))
        if (PyDict_GetItem(value_type->tp_dict, name) != attribute)
            return 0;
    known_version = value_type->tp_version_tag;
    return 1;
}

/* What the reference's own method does, from microgpt.compiled.fallback. */
static Node *long_way(const char *name, Node *a, PyObject *b)
{
    static PyObject *module;
    if (!module && !(module = PyImport_ImportModule("microgpt.compiled.fallback")))
        return NULL;
    PyObject *function = attribute(module, name);
    PyObject *result = function ? PyObject_CallFunctionObjArgs(function, a, b, NULL) : NULL;
    Py_XDECREF(function);
    return (Node *)result;
}

/* New reference to `operand` as a node, as `other if isinstance(other, Value) else Value(other)` does. */
static inline Node *as_node(PyObject *operand)
{
    if (is_exact(operand))
        return take((Node *)operand);
    if (PyFloat_CheckExact(operand))
        return node_new(PyFloat_AS_DOUBLE(operand));
    return is_value(operand) ? take((Node *)operand) : node_wrap(operand);
}

/* ---- a + b, a * b: children in this order ----------------------------------------------------------------------------- */

static inline Node *node_add(Node *a, Node *b)
{
    unsigned kinds = a->f.flags | b->f.flags;
    double data = a->f.slot[DATA].number + b->f.slot[DATA].number;
    if (kinds & IS_OBJECT(DATA))
        return long_way("add", a, (PyObject *)b);
    unsigned is_int = a->f.flags & b->f.flags & IS_INT(DATA);
    if (is_int && fabs(data) >= LARGEST_INT)
        return long_way("add", a, (PyObject *)b);
    Node *node = node_binary(data, a, b, 1.0, 1.0);
    if (node)
        node->f.flags |= is_int | sum_locals;
    return node;
}

static inline Node *node_mul(Node *a, Node *b)
{
    double x = a->f.slot[DATA].number, y = b->f.slot[DATA].number, data = x * y;
    unsigned kinds = a->f.flags | b->f.flags;
    if (kinds & (IS_OBJECT(DATA) | IS_INT(DATA))) {
        unsigned a_int = a->f.flags & IS_INT(DATA), b_int = b->f.flags & IS_INT(DATA);
        if (kinds & IS_OBJECT(DATA) || (a_int && b_int && fabs(data) >= LARGEST_INT))
            return long_way("mul", a, (PyObject *)b);
        Node *node = node_binary(a_int && b_int ? data + 0.0 : data, a, b, y, x); /* an int has no -0.0 */
        if (node)
            node->f.flags |= (a_int & b_int) | (b_int ? IS_INT(LOCAL0) : 0) | (a_int ? IS_INT(LOCAL1) : 0);
        return node;
    }
    return node_binary(data, a, b, y, x);
}

/* ---- a ** k ----------------------------------------------------------------------------------------------------------- */

/* Python's float ** float where that is no error and no complex number: true, and *result set. As CPython's float_pow. */
static inline int float_pow(double base, double exponent, double *result)
{
    if (base < 0) {
        if (exponent != floor(exponent) || fabs(exponent) >= LARGEST_INT)
            return 0;
        *result = pow(-base, exponent);
        if (fmod(fabs(exponent), 2.0) == 1.0)
            *result = -*result;
    } else
        *result = pow(base, exponent);
    return isnormal(base) && isnormal(*result);
}

/* int ** int where both are small: true, and *result set. */
static int int_pow(double base, double exponent, double *result)
{
    if (!(exponent >= 0 && exponent <= 64))
        return 0;
    double power = 1.0;
    for (int i = 0; i < (int)exponent; i++) {
        power *= base;
        if (fabs(power) >= LARGEST_INT)
            return 0;
    }
    *result = power + 0.0; /* an int has no -0.0 */
    return 1;
}

static Node *node_pow(Node *a, PyObject *exponent)
{
    double k, base = a->f.slot[DATA].number, data, power;
    int kind = number_kind(exponent, &k);
    if (kind < 0 || a->f.flags & IS_OBJECT(DATA))
        return long_way("pow", a, exponent);
    if (kind && a->f.flags & IS_INT(DATA)) {
        if (!int_pow(base, k, &data) || !int_pow(base, k - 1, &power) || fabs(k * power) >= LARGEST_INT)
            return long_way("pow", a, exponent);
        Node *node = node_unary(data, a, k * power + 0.0);
        if (node)
            node->f.flags |= IS_INT(DATA) | IS_INT(LOCAL0);
        return node;
    }
    if (!float_pow(base, k, &data) || !float_pow(base, k - 1, &power))
        return long_way("pow", a, exponent);
    return node_unary(data, a, k * power);
}

/* ---- log, exp, relu ----------------------------------------------------------------------------------------------------- */

static Node *node_log(Node *a)
{
    double x = a->f.slot[DATA].number;
    if (!(a->f.flags & IS_OBJECT(DATA)) && x > 0 && isfinite(x))
        return node_unary(log(x), a, 1 / x);
    return long_way("log", a, NULL);
}

static Node *node_exp(Node *a)
{
    if (!(a->f.flags & IS_OBJECT(DATA))) {
        double e = exp(a->f.slot[DATA].number);
        if (isfinite(e))
            return node_unary(e, a, e);
    }
    return long_way("exp", a, NULL);
}

/* max(0, x): the int 0 unless x is greater */
static Node *node_relu(Node *a)
{
    if (!(a->f.flags & IS_OBJECT(DATA))) {
        double x = a->f.slot[DATA].number;
        int positive = x > 0;
        Node *node = node_unary(positive ? x : 0.0, a, positive ? 1.0 : 0.0);
        if (node)
            node->f.flags |= positive ? a->f.flags & IS_INT(DATA) : IS_INT(DATA);
        return node;
    }
    return long_way("relu", a, NULL);
}

/* ---- Python's number slots: either operand may be the Value --------------------------------------------------------------- */

/* Applies `operation` to self and `operand`, wrapped in a leaf unless it is a Value. */
static inline PyObject *with_operand(Node *(*operation)(Node *, Node *), PyObject *self, PyObject *operand)
{
    Node *other = as_node(operand);
    if (!other)
        return NULL;
    Node *node = operation((Node *)self, other);
    Py_DECREF((PyObject *)other);
    return (PyObject *)node;
}

static PyObject *value_add(PyObject *left, PyObject *right)
{
    return is_value(left) ? with_operand(node_add, left, right) : with_operand(node_add, right, left);
}

static PyObject *value_mul(PyObject *left, PyObject *right)
{
    return is_value(left) ? with_operand(node_mul, left, right) : with_operand(node_mul, right, left);
}

/* Whether Python, at `value + instance of a subclass`, came here first although the subclass has no reflected operator of
 * its own: in the reference the left operand's method then goes first. */
static int goes_second(PyObject *self, PyObject *other, const char *name)
{
    if (!is_exact(other) || is_exact(self))
        return 0;
    PyObject *ours = attribute((PyObject *)value_type, name);
    PyObject *theirs = attribute((PyObject *)Py_TYPE(self), name);
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
    return ours && theirs ? ours == theirs : -1;
}

static PyObject *value_radd(PyObject *self, PyObject *other)
{
    int second = goes_second(self, other, "__radd__");
    return second < 0 ? NULL : second ? value_add(other, self) : PyNumber_Add(self, other);
}

static PyObject *value_rmul(PyObject *self, PyObject *other)
{
    int second = goes_second(self, other, "__rmul__");
    return second < 0 ? NULL : second ? value_mul(other, self) : PyNumber_Multiply(self, other);
}

static PyObject *value_pow(PyObject *left, PyObject *right, PyObject *modulus)
{
    if (!is_value(left))
        Py_RETURN_NOTIMPLEMENTED;
    if (modulus != Py_None)
        return PyErr_Format(PyExc_TypeError, "Value.__pow__() takes 2 positional arguments but 3 were given");
    return (PyObject *)node_pow((Node *)left, right);
}

static PyObject *value_log(PyObject *self) { return (PyObject *)node_log((Node *)self); }
static PyObject *value_exp(PyObject *self) { return (PyObject *)node_exp((Node *)self); }
static PyObject *value_relu(PyObject *self) { return (PyObject *)node_relu((Node *)self); }
static PyObject *value_neg(PyObject *self) { return PyNumber_Multiply(self, minus_one); }

/* The rest is made of the operators above. PyNumber_* and not the functions, because a subclass may have its own. */
static PyObject *then(PyObject *(*operation)(PyObject *, PyObject *), PyObject *left, PyObject *right)
{
    PyObject *result = left && right ? operation(left, right) : NULL;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

static PyObject *value_sub(PyObject *left, PyObject *right) /* left + (-right) */
{
    return then(PyNumber_Add, Py_NewRef(left), PyNumber_Negative(right));
}

static PyObject *value_truediv(PyObject *left, PyObject *right) /* left * right**-1 */
{
    return then(PyNumber_Multiply, Py_NewRef(left), PyNumber_Power(right, minus_one, Py_None));
}

#endif
