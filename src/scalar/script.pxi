# For `microgpt run` (microgpt/run/): lines and loops of a script, done in C on the script's own lists. Where script.h
# has no fast path, each returns None, or leaves iterations to the script. Not part of the API; included by scalar.pyx.

cdef extern from "scalar/script.h":
    enum:
        GRAD_KEPT, GRAD_INT_ZERO, GRAD_FLOAT_ZERO
    ctypedef struct AdamLine:
        double beta1, rest1, beta2, rest2, correction1, correction2, lr, eps
        int grad_after
    int c_script_accept_attributes "script_accept_attributes" () except -1
    void c_script_floats "script_floats" (int start, int root, int locals)
    object c_script_add "script_add" (object x, object y)
    object c_script_relu "script_relu" (object x, object exponent)
    object c_script_logits "script_logits" (object q, object keys, Py_ssize_t dim, double divisor)
    object c_script_mix "script_mix" (object weights, object values, Py_ssize_t dim)
    Py_ssize_t c_script_adam "script_adam" (
        object params, object m, object v, Py_ssize_t i, Py_ssize_t end, const AdamLine *line) except -1
    Py_ssize_t c_script_descent "script_descent" (
        object params, Py_ssize_t i, Py_ssize_t end, double lr, int moves, int grad_after)


def script_accept_attributes():
    """Treat Value's present attributes as its original ones: others have replaced those, with the same meaning."""
    c_script_accept_attributes()


def script_floats(start, root, locals):
    """Set whether a new gradient is 0.0 (else 0), backward() starts with 1.0, a sum's local gradients are 1.0."""
    c_script_floats(start, root, locals)


def script_linear(x, w):
    """[sum(wi * xi for wi, xi in zip(row, x)) for row in w], or None."""
    return linear_nodes(x, w)


def script_softmax(logits):
    """The reference's softmax, or None where it is not plain Values or would raise."""
    try:
        return softmax_nodes(logits)
    except ArithmeticError:
        return None


def script_rmsnorm(x):
    """The reference's rmsnorm, or None where it is not plain Values or would raise."""
    try:
        return rmsnorm_nodes(x)
    except ArithmeticError:
        return None


def script_add(x, y):
    """[a + b for a, b in zip(x, y)], or None."""
    return c_script_add(x, y)


def script_relu(x, exponent=None):
    """[xi.relu() for xi in x], or with ** exponent, or None."""
    try:
        return c_script_relu(x, exponent)
    except ArithmeticError:
        return None


def script_logits(q, keys, dim, divisor):
    """[sum(q[j] * keys[t][j] for j in range(dim)) / divisor for t in range(len(keys))], or None. dim None: len(q)"""
    if type(divisor) is not float or type(q) is not list:
        return None
    if dim is None:  # zip(q, key) stops with the shorter one: only the case of equal lengths is done here
        dim = len(q)
        for key in keys:
            if type(key) is not list or len(key) != dim:
                return None
    elif type(dim) is not int or dim < 1:
        return None
    return c_script_logits(q, keys, dim, divisor)


def script_mix(weights, values, dim):
    """[sum(weights[t] * values[t][j] for t in range(len(values))) for j in range(dim)], or None."""
    return c_script_mix(weights, values, dim) if type(dim) is int and dim > 0 else None


cdef double plain_number(number) except? -1.0:
    """A float or int as a double; TypeError for anything else, whose arithmetic may be its own."""
    if type(number) is not float and type(number) is not int:
        raise TypeError()
    return number


def script_adam(params, m, v, hyper, grad_after):
    """Do iterations of `for i, p in enumerate(params)` in an Adam loop; yield those that are left to Python.

    params: a list. hyper: a function, called once, that returns beta1, 1 - beta1, beta2, 1 - beta2, both bias
    corrections, the learning rate and eps. grad_after: p.grad after an iteration. Python always does the last
    iteration, so that the loop's variables end with the right values, and any that involves an unusual number, so that
    it raises the right exception.
    """
    cdef AdamLine line
    cdef Py_ssize_t i = 0, n
    if type(m) is not list or type(v) is not list:
        yield from enumerate(params)
        return
    n = len(params)
    try:
        numbers = [plain_number(number) for number in hyper()]
        line.beta1, line.rest1, line.beta2, line.rest2 = numbers[0], numbers[1], numbers[2], numbers[3]
        line.correction1, line.correction2, line.lr, line.eps = numbers[4], numbers[5], numbers[6], numbers[7]
        line.grad_after = grad_after
    except Exception:  # the loop's own lines will raise it
        yield from enumerate(params)
        return
    while i < n:
        i = c_script_adam(params, m, v, i, n - 1, &line)
        yield i, params[i]
        i += 1


def script_descent(params, hyper, grad_after):
    """The same for `p.data -= lr * p.grad; p.grad = 0`. hyper returns lr; it is None if only gradients are set."""
    cdef Py_ssize_t i = 0, n = len(params)
    cdef double lr = 0.0
    cdef int moves = hyper is not None, after = grad_after
    try:
        lr = plain_number(hyper()) if moves else 0.0
    except Exception:
        yield from enumerate(params)
        return
    while i < n:
        i = c_script_descent(params, i, n - 1, lr, moves, after)
        yield i, params[i]
        i += 1
