"""What a rewritten script calls while it runs. It finds these among the builtins, as `__microgpt_name__`, so that its own
globals hold nothing it has not put there.
"""

import builtins

from microgpt.compiled import scalar

UPDATES = {"adam": scalar.script_adam, "descent": scalar.script_descent}
NOT_CARRIED = {"__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__slots__"}


def install():
    """Give scripts their names."""
    for name in ("linear", "softmax", "rmsnorm", "logits", "mix", "add", "relu"):
        setattr(builtins, f"__microgpt_{name}__", getattr(scalar, f"script_{name}"))
    builtins.__microgpt_loop__ = loop
    builtins.__microgpt_value__ = value


def loop(update, yields, params, *arguments):
    """The iterable of an optimizer's loop: the iterations that `update` leaves to it, as pairs, indices or params."""
    if type(params) is not list:
        return {"pairs": enumerate, "indices": lambda items: range(len(items)), "params": iter}[yields](params)
    pairs = UPDATES[update](params, *arguments)
    if yields == "pairs":
        return pairs
    return (i for i, _ in pairs) if yields == "indices" else (p for _, p in pairs)


def value(missing, attributes, slots, floats):
    """The decorator of the script's Value: returns the compiled class, having put on it what the script's class defines.

    The compiled class itself is changed, not a subclass, because results of operators must have the script's methods too. The
    process is the script's, so nobody else sees it. missing: methods the script's class has not got. attributes: the reference's
    names of attributes -> the script's. floats: which of the class's own numbers are floats, see scalar.script_floats.
    """

    def replace(made):
        compiled, defined = scalar.Value, vars(made)
        for name in missing:
            if name in vars(compiled):
                delattr(compiled, name)
        for name, attribute in attributes.items():
            setattr(compiled, attribute, vars(compiled)[name])
        for name, thing in defined.items():
            if name not in NOT_CARRIED:
                setattr(compiled, name, thing)
        if "__repr__" not in defined:
            compiled.__repr__ = object.__repr__
        if slots is not None:
            compiled.__slots__ = slots
        compiled.__doc__ = made.__doc__
        compiled.__name__, compiled.__qualname__, compiled.__module__ = made.__name__, made.__qualname__, made.__module__
        scalar.script_floats(*floats)
        scalar.script_accept_attributes()  # the operators still mean the same
        return compiled

    return replace
