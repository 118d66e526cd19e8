/* Value's operators, one function for each of the reference's, in the same order of operations.
 *
 * Each takes the fast path only where doubles give what Python gives: both operands floats (or small ints), the result in
 * range. Everything else goes through Python's own operators on the objects, and then errors are Python's too.
 */
#ifndef MICROGPT_OPERATORS_H
#define MICROGPT_OPERATORS_H

#include "graph.h"

static PyObject *math_log, *math_exp; /* math.log and math.exp, for what they raise */
static PyObject *zero, *one, *minus_one, *minus_half;

/* Called once, when the module is loaded. Returns -1 with an exception. */
static int value_type_ready(PyTypeObject *type)
{
    value_type = type;
    type->tp_name = "Value"; /* as error messages show it: "'float' and 'Value'", not the module's path before it */
    type->tp_alloc = value_alloc;
    type->tp_dealloc = node_dealloc;
    type->tp_free = value_free;
    PyType_Modified(type);
    PyObject *math = PyImport_ImportModule("math");
    math_log = math ? PyObject_GetAttrString(math, "log") : NULL;
    math_exp = math ? PyObject_GetAttrString(math, "exp") : NULL;
    Py_XDECREF(math);
    zero = PyLong_FromLong(0);
    one = PyLong_FromLong(1);
    minus_one = PyLong_FromLong(-1);
    minus_half = PyFloat_FromDouble(-0.5);
    return math_log && math_exp && zero && one && minus_one && minus_half ? 0 : -1;
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

/* A node of any two objects' result; takes over the reference to `data`, which may be NULL after an error. */
static Node *node_of_objects(PyObject *data, Node *a, Node *b, PyObject *local_a, PyObject *local_b)
{
    Node *node = data && local_a && (!b || local_b) ? node_wrap(data) : NULL;
    if (node) {
        node->f.child[0] = take(a);
        slot_set(node, LOCAL0, local_a);
        if (b) {
            node->f.child[1] = take(b);
            slot_set(node, LOCAL1, local_b);
        }
        node->f.flags |= b ? TWO_CHILDREN : ONE_CHILD;
    }
    Py_XDECREF(data);
    return node;
}

/* ---- a + b, a * b: children in this order ----------------------------------------------------------------------------- */

static Node *add_objects(Node *a, Node *b)
{
    PyObject *x = slot_get(a, DATA), *y = slot_get(b, DATA);
    Node *node = x && y ? node_of_objects(PyNumber_Add(x, y), a, b, one, one) : NULL;
    Py_XDECREF(x);
    Py_XDECREF(y);
    return node;
}

static inline Node *node_add(Node *a, Node *b)
{
    unsigned kinds = a->f.flags | b->f.flags;
    double data = a->f.slot[DATA].number + b->f.slot[DATA].number;
    if (kinds & IS_OBJECT(DATA))
        return add_objects(a, b);
    unsigned is_int = a->f.flags & b->f.flags & IS_INT(DATA);
    if (is_int && fabs(data) >= LARGEST_INT)
        return add_objects(a, b);
    Node *node = node_binary(data, a, b, 1.0, 1.0);
    if (node)
        node->f.flags |= is_int | IS_INT(LOCAL0) | IS_INT(LOCAL1);
    return node;
}

static Node *mul_objects(Node *a, Node *b)
{
    PyObject *x = slot_get(a, DATA), *y = slot_get(b, DATA);
    Node *node = x && y ? node_of_objects(PyNumber_Multiply(x, y), a, b, y, x) : NULL;
    Py_XDECREF(x);
    Py_XDECREF(y);
    return node;
}

static inline Node *node_mul(Node *a, Node *b)
{
    double x = a->f.slot[DATA].number, y = b->f.slot[DATA].number, data = x * y;
    unsigned kinds = a->f.flags | b->f.flags;
    if (kinds & (IS_OBJECT(DATA) | IS_INT(DATA))) {
        unsigned a_int = a->f.flags & IS_INT(DATA), b_int = b->f.flags & IS_INT(DATA);
        if (kinds & IS_OBJECT(DATA) || (a_int && b_int && fabs(data) >= LARGEST_INT))
            return mul_objects(a, b);
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

static Node *pow_objects(Node *a, PyObject *exponent)
{
    PyObject *x = slot_get(a, DATA), *data = NULL, *less = NULL, *power = NULL, *local = NULL;
    if (x && (data = PyNumber_Power(x, exponent, Py_None)) && (less = PyNumber_Subtract(exponent, one)) &&
        (power = PyNumber_Power(x, less, Py_None)))
        local = PyNumber_Multiply(exponent, power);
    Node *node = local ? node_of_objects(Py_NewRef(data), a, NULL, local, NULL) : NULL;
    Py_XDECREF(x);
    Py_XDECREF(data);
    Py_XDECREF(less);
    Py_XDECREF(power);
    Py_XDECREF(local);
    return node;
}

static Node *node_pow(Node *a, PyObject *exponent)
{
    double k, base = a->f.slot[DATA].number, data, power;
    int kind = number_kind(exponent, &k);
    if (kind < 0 || a->f.flags & IS_OBJECT(DATA))
        return pow_objects(a, exponent);
    if (kind && a->f.flags & IS_INT(DATA)) {
        if (!int_pow(base, k, &data) || !int_pow(base, k - 1, &power) || fabs(k * power) >= LARGEST_INT)
            return pow_objects(a, exponent);
        Node *node = node_unary(data, a, k * power + 0.0);
        if (node)
            node->f.flags |= IS_INT(DATA) | IS_INT(LOCAL0);
        return node;
    }
    if (!float_pow(base, k, &data) || !float_pow(base, k - 1, &power))
        return pow_objects(a, exponent);
    return node_unary(data, a, k * power);
}

/* ---- log, exp, relu ----------------------------------------------------------------------------------------------------- */

static Node *node_log(Node *a)
{
    double x = a->f.slot[DATA].number;
    if (!(a->f.flags & IS_OBJECT(DATA)) && x > 0 && isfinite(x))
        return node_unary(log(x), a, 1 / x);
    PyObject *data = slot_get(a, DATA), *result = NULL, *local = NULL;
    if (data && (result = PyObject_CallOneArg(math_log, data)))
        local = PyNumber_TrueDivide(one, data);
    Node *node = local ? node_of_objects(Py_NewRef(result), a, NULL, local, NULL) : NULL;
    Py_XDECREF(data);
    Py_XDECREF(result);
    Py_XDECREF(local);
    return node;
}

static Node *node_exp(Node *a)
{
    if (!(a->f.flags & IS_OBJECT(DATA))) {
        double e = exp(a->f.slot[DATA].number);
        if (isfinite(e))
            return node_unary(e, a, e);
    }
    PyObject *data = slot_get(a, DATA), *result = data ? PyObject_CallOneArg(math_exp, data) : NULL;
    Node *node = result ? node_of_objects(Py_NewRef(result), a, NULL, result, NULL) : NULL;
    Py_XDECREF(data);
    Py_XDECREF(result);
    return node;
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
    PyObject *data = slot_get(a, DATA), *positive = PyObject_RichCompare(data, zero, Py_GT), *local = NULL;
    int truth = positive ? PyObject_IsTrue(positive) : -1;
    if (truth >= 0)
        local = PyNumber_Float(positive);
    Node *node = local ? node_of_objects(Py_NewRef(truth ? data : zero), a, NULL, local, NULL) : NULL;
    Py_DECREF(data);
    Py_XDECREF(positive);
    Py_XDECREF(local);
    return node;
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

static PyObject *value_pow(PyObject *left, PyObject *right, PyObject *modulus)
{
    if (!is_value(left) || modulus != Py_None)
        Py_RETURN_NOTIMPLEMENTED;
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
