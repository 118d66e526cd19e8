# How Values are copied and pickled; included by scalar.pyx.
#
# A Value is pickled with its part of the graph (flat.h). The Values outside of that are pickled as objects, which pickle knows by
# identity: so shared Values stay shared. Pickle would recurse from one of these to the next, and a graph may be millions deep. Therefore
# all those below are given to it first, in an order in which each comes after those it needs.

from _thread import _local
from weakref import ref

cdef object here = _local()  # .pickling: a weak reference to this thread's Pickling


class Pickling:
    """What pickle has been given, as long as pickle remembers it. A mistake here costs time and depth, but never gives a wrong result."""

    def __init__(self):
        self.given = set()  # the ids of Values
        self.prepared = {}  # id -> what __reduce__ is about to return


class Order:
    """Some Values and the result of __reduce__ for each, in the order in which pickle takes them. It is pickled as a list of them."""

    def __init__(self, pickling, prepared):
        self.pickling, self.prepared = pickling, prepared

    def __reduce__(self):
        return list, (), None, self.give()

    def give(self):
        pickling, prepared = self.pickling, self.prepared
        try:
            for node, reduced in prepared:
                pickling.prepared[id(node)] = reduced
                pickling.given.add(id(node))
                yield node
        finally:
            for node, _ in prepared:
                pickling.prepared.pop(id(node), None)


def _graph(order, outside, data):
    """The Value that flat_pack made flat. order: the objects that pickle had to know before."""
    return flat_unpack(tuple(outside), data)


def _new(kind, order):
    """A Value of a class without its attributes, which are set next."""
    value = kind.__new__(kind)
    if not isinstance(value, Value):
        raise ValueError("this pickle of a graph is damaged")
    for slot in (DATA, GRAD):
        slot_set(<Node *> value, slot, <object> deleted)
    node_set_edges(<Node *> value, <object> deleted, <object> deleted)
    return value


cdef bint is_leaf(value):
    return type(value) is Value and not edges_children(<Node *> value)


cdef state_of(value):
    """(attributes, slots), as pickle sets them."""
    if getattr(type(value), "__getstate__", None) is not getattr(object, "__getstate__", None):
        return value.__getstate__()
    names = ["data", "grad", "_children", "_local_grads", *copyreg._slotnames(type(value)), *more_names]
    slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return getattr(value, "__dict__", None), slots


cdef reduced(value, order, packed):
    if packed is not None:
        return _graph, (order, *packed)
    return _new, (type(value), order), state_of(value)


cdef below(value, packed):
    """The Values to pickle together with one that has this flat part, or None."""
    if packed is not None:
        return iter(packed[0])
    children = edges_children(<Node *> value)
    return iter([child for child in children if isinstance(child, Value)] if isinstance(children, (list, tuple)) else [])


cdef reduce_value(value):
    weak = getattr(here, "pickling", None)
    pickling = weak() if weak is not None else None
    if pickling is None:
        pickling = Pickling()
        here.pickling = ref(pickling)
    elif id(value) in pickling.prepared:
        return pickling.prepared.pop(id(value))
    if is_leaf(value):
        return reduced(value, (), flat_pack(<Node *> value))
    prepared, finished, path, stack, cyclic = [], set(), {id(value)}, [], False
    packed = flat_pack(<Node *> value)
    stack.append([value, packed, below(value, packed)])
    while stack:
        node, packed, children = top = stack[-1]
        for child in children:
            if id(child) in path:  # a cycle: a Value that is made before its children breaks it
                cyclic |= child is value
                if packed is not None:
                    top[1:] = None, below(node, None)
                    break
            elif not (id(child) in finished or id(child) in pickling.given or is_leaf(child)):
                packed = flat_pack(<Node *> child)
                stack.append([child, packed, below(child, packed)])
                path.add(id(child))
                break
        else:
            stack.pop()
            path.discard(id(node))
            finished.add(id(node))
            prepared.append((node, packed))
    value, packed = prepared.pop()
    pickling.given.add(id(value))
    if cyclic:
        return reduced(value, (), None)
    order = Order(pickling, [(node, reduced(node, (), flat)) for node, flat in prepared])
    return reduced(value, order, packed)


cdef copy_value(value):
    """A Value of the same class with the same numbers and children."""
    twin, state = _new(type(value), ()), state_of(value)
    if hasattr(twin, "__setstate__"):
        twin.__setstate__(state)
        return twin
    attributes, slots = state
    if attributes:
        twin.__dict__.update(attributes)
    for name, number in slots.items():
        setattr(twin, name, number)
    return twin
