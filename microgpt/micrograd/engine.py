"""micrograd's Value over the compiled one.

`Value(...)` makes a microgpt.Value, and isinstance(x, Value) says whether x is one. When this module is imported, all of these get two
more attributes, `_prev` and `_op`, which are computed when they are read.
"""

from microgpt.compiled import scalar

OPERATORS = "", "+", "*", "**", "log", "exp", "ReLU"  # by what script_made_by says


class Front(type):
    def __instancecheck__(cls, thing):
        return isinstance(thing, scalar.Value)


class Value(metaclass=Front):
    """A scalar and its gradient. `_prev`: the set of its operands; `_op`: the operator that made it, "" for none.

    Other floats than Python's, such as NumPy's, become Python's, which are faster and of the same value.
    """

    def __new__(cls, data):
        return scalar.Value(float(data) if isinstance(data, float) else data)


def _prev(value):
    """The set of the operands."""
    return set(value._children)


def _op(value):
    """The operator as micrograd writes it: +, *, **2, ReLU, exp, log; "" for a leaf, and for what the operands made elsewhere."""
    symbol = OPERATORS[scalar.script_made_by(value)]
    return symbol + _exponent(value) if symbol == "**" else symbol


def _exponent(value):
    """What a power was raised to, found from its numbers, k * a**(k - 1) being its local gradient; "" where they do not say it."""
    [a], [local] = value._children, value._local_grads
    try:
        k = local * a.data / value.data
        for exponent in (round(k), float(f"{k:.12g}"), k):
            if a.data**exponent == value.data and exponent * a.data ** (exponent - 1) == local:
                return str(exponent)
    except (ArithmeticError, TypeError, ValueError):
        pass
    return ""


scalar.Value._prev, scalar.Value._op = property(_prev), property(_op)
