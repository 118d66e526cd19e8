"""micrograd's Value, based on the compiled one.

`Value(...)` makes a microgpt.Value, and isinstance(x, Value) says whether x is one. Importing this module gives all of them two
more attributes, `_prev` and `_op`, which are computed on access.
"""

from microgpt.compiled import scalar

OPERATORS = "", "+", "*", "**", "log", "exp", "ReLU"  # indexed by the result of script_made_by


class Front(type):
    def __instancecheck__(cls, thing):
        return isinstance(thing, scalar.Value)


class Value(metaclass=Front):
    """A scalar and its gradient. `_prev`: the set of its operands; `_op`: the operator that made it, "" for none.

    Floats of other types, such as NumPy's, are converted to Python's, which are faster and have the same value.
    """

    def __new__(cls, data):
        return scalar.Value(float(data) if isinstance(data, float) else data)


def _prev(value):
    """The set of the operands."""
    return set(value._children)


def _op(value):
    """The operator as micrograd writes it: +, *, **2, ReLU, exp, log; "" for a leaf, or a Value that no operator of this package made."""
    symbol = OPERATORS[scalar.script_made_by(value)]
    return symbol + _exponent(value) if symbol == "**" else symbol


def _exponent(value):
    """The exponent of a power, found from its local gradient, k * a**(k - 1); "" if that does not determine it."""
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
