/* Methods of a script's class whose node is plain arithmetic, such as `Value(t, (self,), (1 - t * t,))`: as formulas.
 *
 * A method has one formula for Values (and for no operand at all), and one for a number as the operand. Inputs are the data of
 * self and the operand; outputs are the node's data and its local gradients. Where a formula has no result, the script's own
 * method runs. A method whose closure adds anything to a child's gradient other than a number times the node's, such as
 * `out.grad / self.data`, has a formula for that as well, with the gradient as a third input.
 *
 * A method made of the class's other operators, such as `self * (1 + (-self).exp()) ** -1`, is composed of steps.
 */
#ifndef MICROGPT_METHODS_H
#define MICROGPT_METHODS_H

#include "formula.h"
#include "lent.h"
#include "steps.h"

#define MAX_METHODS 48

#define MAX_CONSTANTS 8

/* Registers of COMPOSED: self, the operand, the operand as a new leaf, the constants, and the results of the steps. */
enum { NOT_READ, FORMULA, COMPOSED };

typedef struct {
    int kind, num_steps, num_constants;
    Step step[MAX_STEPS];
    PyObject *constant[MAX_CONSTANTS], *names; /* names: a tuple, of methods */
    int num_children, has_flows;
    uint8_t child[2]; /* 0: self, 1: the operand, a new leaf if it is a number */
    Formula formula, flows;
} Case;

typedef struct {
    char name[64];
    Case of_values, of_number;
    PyMethodDef definition;
} Method;

static Method formula_methods[MAX_METHODS];
static int num_formula_methods;
static Registers registers; /* no Python code runs while these are in use */

static inline int load(int at, PyObject *operand) {
    if (is_value(operand)) {
        const Node *node = (Node *)operand;
        registers.number[at][0] = node->f.slot[DATA].number;
        registers.is_int[at] = (node->f.flags & IS_INT(DATA)) != 0;
        return !(node->f.flags & IS_OBJECT(DATA));
    }
    int kind = number_kind(operand, &registers.number[at][0]);
    registers.is_int[at] = (uint8_t)(kind == 1);
    return kind >= 0;
}

/* The node of a case whose formula has been run. */
static PyObject *node_of_case(int method, const Case *of, PyObject *self, PyObject *other) {
    const uint8_t *outputs = of->formula.output;
    Node *node = node_new(registers.number[outputs[0]][0]);
    if (!node)
        return NULL;
    node->f.operation = (uint16_t)(FORMULAS + method);
    if (registers.is_int[outputs[0]])
        node->f.flags |= int_data;
    double local[2];
    unsigned kinds = 0;
    for (int i = 0; i < of->num_children; i++) {
        local[i] = registers.number[outputs[1 + i]][0];
        kinds |= registers.is_int[outputs[1 + i]] ? IS_INT(LOCAL0 + i) : 0;
    }
    Node *child[2] = {NULL, NULL};
    for (int i = 0; i < of->num_children; i++)
        if (!(child[i] = as_node(of->child[i] ? other : self))) {
            node_xdecref(child[0]);
            node_xdecref(node);
            return NULL;
        }
    for (int i = 0; i < of->num_children; i++) {
        node->f.child[i] = child[i];
        node->f.slot[LOCAL0 + i].number = local[i];
    }
    if (of->has_flows) {
        node->f.flags |= FLOWS;
        node->f.slot[LOCAL0].number = of == &formula_methods[method].of_number;
        kinds = 0;
    }
    node->f.flags |= kinds | (of->num_children == 2 ? TWO_CHILDREN : of->num_children ? ONE_CHILD : 0);
    return (PyObject *)node;
}

/* The result of the steps; NULL with or without an exception. */
static PyObject *run_composed(const Case *of, PyObject *self, PyObject *other) {
    PyObject *registers[3 + MAX_CONSTANTS + MAX_STEPS] = {self, other, other ? (PyObject *)as_node(other) : NULL};
    int first = 3 + of->num_constants, k = 0;
    for (int i = 0; i < of->num_constants; i++)
        registers[3 + i] = of->constant[i];
    for (; k < of->num_steps; k++) {
        const Step *step = &of->step[k];
        PyObject *made = step->kind == STEP_METHOD
                             ? PyObject_CallMethodNoArgs(registers[step->a], PyTuple_GET_ITEM(of->names, step->b))
                             : operate_on(step->kind, registers[step->a], registers[step->b]);
        if (!(registers[first + k] = made))
            break;
    }
    PyObject *result = k == of->num_steps && k > 0 ? Py_NewRef(registers[first + k - 1]) : NULL;
    while (k-- > 0)
        Py_DECREF(registers[first + k]);
    Py_XDECREF(registers[2]);
    return result;
}

static PyObject *call_method(int i, PyObject *self, PyObject *other) {
    const Method *method = &formula_methods[i];
    const Case *of = !other || is_value(other) ? &method->of_values : &method->of_number;
    if (of->kind == COMPOSED && is_exact(self) && (!other || is_exact(other) || number_kind(other, &(double){0.0}) >= 0) &&
        is_unmodified()) {
        PyObject *result = run_composed(of, self, other);
        if (result || (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)))
            return result;
        PyErr_Clear();
    }
    if (of->kind == FORMULA && guard_holds() && load(0, self) && (!other || load(1, other))) {
        formula_prepare(&of->formula, &registers, 1);
        if (formula_run(&of->formula, &registers, 1) == 1)
            return node_of_case(i, of, self, other);
    }
    return by_python(method->name, self, other);
}

/* What a node's closure adds to the gradients of its children. The numbers are the present ones, as in the closure. */
static int node_flow(Node *node) {
    const Method *method = &formula_methods[node->f.operation - FORMULAS];
    const Case *of = node->f.slot[LOCAL0].number != 0.0 ? &method->of_number : &method->of_values;
    double flow[2] = {0.0, 0.0};
    int is_int[2] = {0, 0}, loaded = !(node->f.flags & IS_OBJECT(GRAD));
    registers.number[0][0] = registers.number[1][0] = 0.0;
    registers.is_int[0] = registers.is_int[1] = 0;
    for (int i = 0; i < of->num_children; i++)
        loaded = loaded && load(of->child[i], (PyObject *)node->f.child[i]);
    registers.number[2][0] = node->f.slot[GRAD].number;
    registers.is_int[2] = (node->f.flags & IS_INT(GRAD)) != 0;
    formula_prepare(&of->flows, &registers, 1);
    if (!loaded || formula_run(&of->flows, &registers, 1) != 1) {
        PyErr_SetString(PyExc_ArithmeticError, "a gradient is out of range");
        return -1;
    }
    for (int i = 0; i < of->num_children; i++) {
        flow[i] = registers.number[of->flows.output[i]][0];
        is_int[i] = registers.is_int[of->flows.output[i]];
    }
    for (int i = 0; i < of->num_children; i++) {
        settle(node->f.child[i]);
        PyObject *sum = NULL, *old = slot_get(node->f.child[i], GRAD);
        PyObject *added = is_int[i] ? PyLong_FromLongLong((long long)flow[i]) : PyFloat_FromDouble(flow[i]);
        if (old && added && (sum = PyNumber_Add(old, added)))
            slot_set(node->f.child[i], GRAD, sum);
        Py_XDECREF(old);
        Py_XDECREF(added);
        if (!sum)
            return -1;
        Py_DECREF(sum);
    }
    return 0;
}

/* One C function for each, because Python passes only the operands to a method. */
/* clang-format off */
#define METHOD(i)                                                                                                              \
    static PyObject *method_##i(PyObject *self, PyObject *other) { return call_method(i, self, other); }
#define FOUR(each, a, b, c, d) each(a) each(b) each(c) each(d)
#define ALL(each)                                                                                                              \
    FOUR(each, 0, 1, 2, 3)                                                                                                     \
    FOUR(each, 4, 5, 6, 7)                                                                                                     \
    FOUR(each, 8, 9, 10, 11) FOUR(each, 12, 13, 14, 15) FOUR(each, 16, 17, 18, 19) FOUR(each, 20, 21, 22, 23)                  \
        FOUR(each, 24, 25, 26, 27) FOUR(each, 28, 29, 30, 31) FOUR(each, 32, 33, 34, 35) FOUR(each, 36, 37, 38, 39)            \
            FOUR(each, 40, 41, 42, 43) FOUR(each, 44, 45, 46, 47)
ALL(METHOD)
#define ADDRESS(i) method_##i,
static const PyCFunction method_functions[MAX_METHODS] = {ALL(ADDRESS)};
/* clang-format on */

/* The next of `formula_methods` as an attribute of Value, to be called with or without an operand; NULL with an exception. */
static PyObject *formula_descriptor(int with_operand) {
    Method *method = &formula_methods[num_formula_methods];
    method->definition.ml_name = method->name;
    method->definition.ml_meth = method_functions[num_formula_methods];
    method->definition.ml_flags = with_operand ? METH_O : METH_NOARGS;
    PyObject *descriptor = PyDescr_NewMethod(value_type, &method->definition);
    if (descriptor)
        num_formula_methods++;
    return descriptor;
}

#endif
