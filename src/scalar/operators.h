/* Value's operators, one function for each of the reference's, with its order of operations.
 *
 * Each takes the fast path only where doubles give what Python gives: the operands are floats (or small ints) and the result is
 * in range. Everything else takes the slow path, the method in Python (the reference's or that of the script's class), so
 * errors come from there.
 */
#ifndef MICROGPT_OPERATORS_H
#define MICROGPT_OPERATORS_H

#include "lifetime.h"

/* ---- The slow path ----------------------------------------------------------------------------------------------- */

/* microgpt.compiled.fallback, a borrowed reference; NULL with an exception. */
static PyObject *fallback_module(void) {
    static PyObject *module;
    if (!module)
        module = PyImport_ImportModule("microgpt.compiled.fallback");
    return module;
}

static PyObject *methods; /* name -> the method in Python: the reference's, or a script's own */

/* a.name(b), or without b a.name(), by the method in Python. */
static Node *slow_path(const char *name, Node *a, PyObject *b) {
    if (!methods) {
        PyObject *module = fallback_module();
        if (!module || !(methods = attribute(module, "methods")))
            return NULL;
    }
    PyObject *method = PyMapping_GetItemString(methods, name);
    PyObject *result = method ? PyObject_CallFunctionObjArgs(method, a, b, NULL) : NULL;
    Py_XDECREF(method);
    return (Node *)result;
}

static PyObject *by_python(const char *name, PyObject *self, PyObject *other) {
    return (PyObject *)slow_path(name, (Node *)self, other);
}

/* ---- a + b, a * b: children in this order ------------------------------------------------------------------------ */

static inline Node *node_add(Node *a, Node *b) {
    unsigned kinds = a->f.flags | b->f.flags;
    double data = a->f.slot[DATA].number + b->f.slot[DATA].number;
    if (kinds & IS_OBJECT(DATA))
        return slow_path("__add__", a, (PyObject *)b);
    unsigned is_int = a->f.flags & b->f.flags & int_data;
    if (is_int && fabs(data) >= LARGEST_INT) /* mutant: large-sum */
        return slow_path("__add__", a, (PyObject *)b);
    Node *node = node_sum(data, a, b);
    if (node)
        node->f.flags |= is_int;
    return node;
}

static inline Node *made_by(int operation, Node *node) {
    if (node)
        node->f.operation = (uint16_t)operation;
    return node;
}

static inline Node *node_mul(Node *a, Node *b) {
    double x = a->f.slot[DATA].number, y = b->f.slot[DATA].number, data = x * y;
    unsigned kinds = a->f.flags | b->f.flags;
    if (kinds & (IS_OBJECT(DATA) | IS_INT(DATA))) {
        unsigned a_int = a->f.flags & IS_INT(DATA), b_int = b->f.flags & IS_INT(DATA);
        if (kinds & IS_OBJECT(DATA) || (a_int && b_int && fabs(data) >= LARGEST_INT))
            return slow_path("__mul__", a, (PyObject *)b);
        /* mutant: int-product */
        Node *node = node_binary(a_int && b_int ? data + 0.0 : data, a, b, y, x); /* an int has no -0.0 */
        if (node)
            /* mutant: product-kind */
            node->f.flags |= (a_int & b_int & int_data) | (b_int ? IS_INT(LOCAL0) : 0) | (a_int ? IS_INT(LOCAL1) : 0);
        return made_by(MUL, node);
    }
    return made_by(MUL, node_binary(data, a, b, y, x)); /* mutant: product-locals */
}

/* ---- a ** k ------------------------------------------------------------------------------------------------------ */

/* Python's float ** float, as CPython's float_pow. Returns 0 where the result may be an error or a complex number; else 1, and
 * sets *result. */
static inline int float_pow(double base, double exponent, double *result) {
    if (base < 0) {
        if (exponent != floor(exponent) || fabs(exponent) >= LARGEST_INT)
            return 0;
        *result = pow(-base, exponent);
        if (fmod(fabs(exponent), 2.0) == 1.0)
            *result = -*result;
    } else
        *result = pow(base, exponent);
    return isnormal(base) && isnormal(*result); /* mutant: power-domain */
}

/* base ** exponent and base ** (exponent - 1) by float_pow, or 0. A vector is often divided by one number, so the last results
 * are kept. */
static inline int powers_of(double base, double exponent, double *result, double *power) {
    static double last_base = NAN, last_exponent, last_result, last_power;
    if (base != last_base || exponent != last_exponent) {
        last_base = NAN; /* which equals nothing */
        if (!float_pow(base, exponent, &last_result) || !float_pow(base, exponent - 1, &last_power))
            return 0;
        last_base = base;
        last_exponent = exponent;
    }
    *result = last_result;
    *power = last_power;
    return 1;
}

/* int ** int; 0 unless both are small. */
static int int_pow(double base, double exponent, double *result) {
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

static int keep_exponent; /* a script's class has a text of it */

static Node *made_by_pow(Node *node, PyObject *exponent) {
    PyObject *own = node && keep_exponent ? node_extras(node, 1) : NULL;
    if (own && PyDict_SetItem(own, Py_None, exponent) < 0)
        PyErr_Clear();
    return made_by(POW, node);
}

static Node *node_pow(Node *a, PyObject *exponent) {
    double k, base = a->f.slot[DATA].number, data, power;
    int kind = number_kind(exponent, &k);
    if (kind < 0 || a->f.flags & IS_OBJECT(DATA))
        return slow_path("__pow__", a, exponent);
    if (kind && a->f.flags & IS_INT(DATA)) {
        if (!int_pow(base, k, &data) || !int_pow(base, k - 1, &power) || fabs(k * power) >= LARGEST_INT)
            return slow_path("__pow__", a, exponent);
        Node *node = node_unary(data, a, k * power + 0.0);
        if (node)
            node->f.flags |= int_data | IS_INT(LOCAL0);
        return made_by_pow(node, exponent);
    }
    if (!powers_of(base, k, &data, &power))
        return slow_path("__pow__", a, exponent);
    return made_by_pow(node_unary(data, a, k * power), exponent);
}

/* ---- log, exp, relu ---------------------------------------------------------------------------------------------- */

static Node *node_log(Node *a) {
    double x = a->f.slot[DATA].number;
    if (!(a->f.flags & IS_OBJECT(DATA)) && x > 0 && isfinite(x)) /* mutant: log-domain */
        return made_by(LOG, node_unary(log(x), a, 1 / x));
    return slow_path("log", a, NULL);
}

static Node *node_exp(Node *a) {
    if (!(a->f.flags & IS_OBJECT(DATA))) {
        double e = exp(a->f.slot[DATA].number);
        if (isfinite(e)) /* mutant: exp-overflow */
            return made_by(EXP, node_unary(e, a, e));
    }
    return slow_path("exp", a, NULL);
}

/* max(0, x): the int 0 unless x is greater */
static Node *node_relu(Node *a) {
    if (!(a->f.flags & IS_OBJECT(DATA))) {
        double x = a->f.slot[DATA].number;
        int positive = x > 0;
        Node *node = node_unary(positive ? x : 0.0, a, positive ? 1.0 : 0.0);
        if (node)
            node->f.flags |= positive ? a->f.flags & int_data : int_data; /* mutant: relu-kind */
        return made_by(RELU, node);
    }
    return slow_path("relu", a, NULL);
}

/* ---- Operations in sequence: these steal the references to their operands, which may be NULL --------------------- */

static Node *then_apply(Node *(*operation)(Node *, Node *), Node *a, Node *b) {
    Node *result = a && b ? operation(a, b) : NULL;
    node_xdecref(a);
    node_xdecref(b);
    return result;
}

static Node *then_exp(Node *a) {
    Node *result = a ? node_exp(a) : NULL;
    node_xdecref(a);
    return result;
}

static Node *then_pow(Node *a, PyObject *exponent) {
    Node *result = a ? node_pow(a, exponent) : NULL;
    node_xdecref(a);
    return result;
}

/* a / b = a * b**-1 */
static Node *then_div(Node *a, Node *b) { return then_apply(node_mul, a, then_pow(b, minus_one)); }

/* ---- sigmoid, tanh: the operations of the reference's methods in sequence ----------------------------------------- */

/* Whether the operations on a node are the functions above: a subclass or a user may have replaced some. */
static int has_own_operations(Node *a) {
    return is_exact((PyObject *)a) && !(a->f.flags & IS_OBJECT(DATA)) && is_unmodified(); /* mutant: own-operations */
}

static Node *then_add_int(Node *a, int n) { return then_apply(node_add, a, node_new_int(n)); }
static Node *then_mul_int(Node *a, int n) { return then_apply(node_mul, a, node_new_int(n)); }

static Node *node_sigmoid(Node *a) {
    if (!has_own_operations(a))
        return slow_path("sigmoid", a, NULL);
    /* mutant: sigmoid-sign */
    if (a->f.slot[DATA].number >= 0) { /* 1 / (1 + (-x).exp()) */
        Node *e = then_exp(then_mul_int(node_incref(a), -1));
        return then_mul_int(then_pow(then_add_int(e, 1), minus_one), 1);
    }
    Node *e = node_exp(a); /* e / (1 + e) */
    return e ? then_div(e, then_add_int(node_incref(e), 1)) : NULL;
}

static Node *node_tanh(Node *a) {
    if (!has_own_operations(a))
        return slow_path("tanh", a, NULL);
    int positive = a->f.slot[DATA].number >= 0; /* mutant: tanh-sign */
    Node *e = then_exp(then_mul_int(node_incref(a), positive ? -2 : 2)), *difference;
    if (!e)
        return NULL;
    if (positive) /* (1 - e) / (1 + e), where 1 - e is -e + 1 */
        /* mutant: tanh-difference */
        difference = then_add_int(then_mul_int(node_incref(e), -1), 1);
    else /* (e - 1) / (e + 1) */
        difference = then_add_int(node_incref(e), -1);
    return then_div(difference, then_add_int(e, 1));
}

/* ---- Python's number slots: either operand may be the Value ------------------------------------------------------ */

/* Whether the fast paths can take an operand: a Value, a float, or an int that a node can hold. */
static inline int is_plain(PyObject *operand) {
    double d;
    return is_exact(operand) || number_kind(operand, &d) >= 0 || is_value(operand);
}

/* New reference to a plain operand as a node, as `other if isinstance(other, Value) else Value(other)`. NULL for any other, and with
 * an error where there is no memory. */
static inline Node *as_node(PyObject *operand) {
    if (is_exact(operand))
        return node_incref((Node *)operand);
    if (PyFloat_CheckExact(operand))
        return node_new(PyFloat_AS_DOUBLE(operand));
    if (is_value(operand))
        return node_incref((Node *)operand);
    double data;
    if (number_kind(operand, &data) < 0)
        return NULL;
    Node *node = node_new(data);
    if (node)
        node->f.flags |= int_data;
    return node;
}

static inline PyObject *with_operand(const char *name, Node *(*operation)(Node *, Node *), PyObject *self, PyObject *operand) {
    Node *other = guard_holds() ? as_node(operand) : NULL;
    if (!other)
        return PyErr_Occurred() ? NULL : by_python(name, self, operand);
    Node *node = operation((Node *)self, other);
    Py_DECREF((PyObject *)other); /* mutant: release-operand */
    return (PyObject *)node;
}

static PyObject *value_add(PyObject *left, PyObject *right) {
    if (is_value(left))
        return with_operand("__add__", node_add, left, right);
    if (missing & BIT(RADD))
        Py_RETURN_NOTIMPLEMENTED;
    return with_operand("__radd__", node_add, right, left);
}

static PyObject *value_mul(PyObject *left, PyObject *right) {
    if (is_value(left))
        return with_operand("__mul__", node_mul, left, right);
    if (missing & BIT(RMUL))
        Py_RETURN_NOTIMPLEMENTED;
    return with_operand("__rmul__", node_mul, right, left); /* mutant: reflected-product */
}

static PyObject *value_pow(PyObject *left, PyObject *right, PyObject *modulus) {
    if (!is_value(left))
        Py_RETURN_NOTIMPLEMENTED;
    if (modulus != Py_None)
        return PyErr_Format(PyExc_TypeError, "Value.__pow__() takes 2 positional arguments but 3 were given");
    return guard_holds() ? (PyObject *)node_pow((Node *)left, right) : by_python("__pow__", left, right);
}

static PyObject *value_log(PyObject *self) {
    return guard_holds() ? (PyObject *)node_log((Node *)self) : by_python("log", self, NULL);
}
static PyObject *value_exp(PyObject *self) {
    return guard_holds() ? (PyObject *)node_exp((Node *)self) : by_python("exp", self, NULL);
}
static PyObject *value_relu(PyObject *self) {
    return guard_holds() ? (PyObject *)node_relu((Node *)self) : by_python("relu", self, NULL);
}
static PyObject *value_sigmoid(PyObject *self) { return (PyObject *)node_sigmoid((Node *)self); }
static PyObject *value_tanh(PyObject *self) { return (PyObject *)node_tanh((Node *)self); }

/* The other operators are composed of those above, by PyNumber_*, because a subclass may override one. Where that fails, the
 * method in Python fails in the same way, with its lines in the traceback. */

static PyObject *or_slow_path(PyObject *result, const char *name, PyObject *self, PyObject *other) {
    if (result || !PyErr_ExceptionMatches(PyExc_ArithmeticError))
        return result;
    PyErr_Clear();
    return by_python(name, self, other);
}

static PyObject *value_neg(PyObject *self) {
    if (((Node *)self)->f.flags & IS_OBJECT(DATA))
        return by_python("__neg__", self, NULL);
    return PyNumber_Multiply(self, minus_one);
}

static PyObject *value_sub(PyObject *left, PyObject *right) /* left + (-right) */
{
    int reflected = !is_value(left);
    PyObject *self = reflected ? right : left, *other = reflected ? left : right;
    const char *name = reflected ? "__rsub__" : "__sub__";
    if (reflected && missing & BIT(RSUB))
        Py_RETURN_NOTIMPLEMENTED;
    if (!is_plain(other))
        return by_python(name, self, other);
    PyObject *negative = PyNumber_Negative(right), *result = negative ? PyNumber_Add(left, negative) : NULL;
    Py_XDECREF(negative);
    return or_slow_path(result, name, self, other);
}

static PyObject *value_truediv(PyObject *left, PyObject *right) /* left * right**-1 */
{
    int reflected = !is_value(left);
    PyObject *self = reflected ? right : left, *other = reflected ? left : right;
    const char *name = reflected ? "__rtruediv__" : "__truediv__";
    if (reflected && missing & BIT(RTRUEDIV))
        Py_RETURN_NOTIMPLEMENTED;
    if (!is_plain(other))
        return by_python(name, self, other);
    PyObject *inverse = PyNumber_Power(right, minus_one, Py_None);
    PyObject *result = inverse ? PyNumber_Multiply(left, inverse) : NULL;
    Py_XDECREF(inverse);
    return or_slow_path(result, name, self, other);
}

/* ---- The reflected operators as methods, for a subclass that has only __add__ or calls super().__radd__ ---------- */

/* Python calls these first at `value + instance of a subclass`. If the subclass does not override the reflected operator, the
 * reference's Python calls the left operand's __add__ first; whether that is so: 1, 0, or -1 with an exception. */
static int left_goes_first(PyObject *self, PyObject *other, const char *name) {
    if (!is_exact(other) || is_exact(self))
        return 0;
    int overridden = overrides(Py_TYPE(self), name);
    return overridden < 0 ? -1 : !overridden;
}

static PyObject *value_radd(PyObject *self, PyObject *other) {
    int first = left_goes_first(self, other, "__radd__");
    return first < 0 ? NULL : first ? value_add(other, self) : PyNumber_Add(self, other);
}

static PyObject *value_rmul(PyObject *self, PyObject *other) {
    int first = left_goes_first(self, other, "__rmul__");
    return first < 0 ? NULL : first ? value_mul(other, self) : PyNumber_Multiply(self, other);
}

#endif
