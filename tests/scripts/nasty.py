"""Scripts with effects that compiled code could miss: side effects in operators, properties that print, changed classes, errors in
the middle, numbers of all kinds, identity, copies, aliases. Used like those of people.py, and like it a long table."""

from people import EQUAL, KARPATHY, MICROGRAD, PAIRS

LINEAR = '''
random.seed(1)
w = [[V(random.gauss(0, 1)) for _ in range(3)] for _ in range(3)]
x = [V(random.gauss(0, 1)) for _ in range(3)]
def linear(x, w): return [sum(wi * xi for wi, xi in zip(r, x)) for r in w]
'''
NASTY = {}

NASTY["side effects in __add__"] = KARPATHY.replace("    def __add__(self, other):", '''    n = 0
    def __add__(self, other):
        V.n += 1
        if V.n % 3 == 0: print('add', V.n)''') + LINEAR + '''
y = linear(x, w)
sum(y).backward()
print([repr(a.grad) for a in x], V.n)
'''

NASTY["side effect in __radd__"] = KARPATHY.replace("    def __radd__(self, other): return self + other", '''    def __radd__(self, other):
        print('radd', other)
        return self + other''') + LINEAR + '''
y = linear(x, w)
sum(y).backward()
print(repr(sum([a * 2 for a in y], V(1)).data))
'''

NASTY["reassign __add__ later"] = KARPATHY + LINEAR + '''
y = linear(x, w)
print(y[0].data)
old = V.__add__

def noisy(self, o):
    print('noisy')
    return old(self, o)
V.__add__ = noisy
y = linear(x, w)
print([a.data for a in [p + q for p, q in zip(x, y)]])
sum(y).backward()
print(x[0].grad)
V.__add__ = old
print(linear(x, w)[1].data)
'''

NASTY["reassign __sub__ via setattr"] = KARPATHY + LINEAR + '''
setattr(V, '__sub__', lambda a, b: V(a.data * 100))
print([(a - 1.5).data for a in x], [(a - b).data for a, b in zip(x, x)])
'''

NASTY["patch exp"] = KARPATHY + LINEAR + '''
print([a.exp().data for a in x])
V.exp = lambda s: V(7)
print([a.exp().data for a in x], [(1 / (1 + a.exp())).data for a in x])
'''

NASTY["shared list mutated in comprehension by property"] = KARPATHY + '''
class Box:

    def __init__(self):
        self.n = 0

    @property
    def w(self):
        self.n += 1
        print('read', self.n)
        return [V(1.0), V(2.0)]
b = Box()
print(sum((a * c for a, c in zip(b.w, [V(1.0), V(2.0)]))).data)
print([(a * 2).data for a in b.w], [a * 2 for a in b.w][0].data)
print(sum((a for a in b.w), V(0.0)).data)
'''

NASTY["getattr box"] = KARPATHY + '''
class Box:

    def __getattr__(self, n):
        print('getattr', n)
        return [V(1.0), V(2.0)]
b = Box()
print([a * 2 for a in b.zz][0].data)
print(sum((a * c for a, c in zip(b.u, b.v))).data)
'''

NASTY["getitem box"] = KARPATHY + '''
class Box:

    def __getitem__(self, n):
        print('getitem', n)
        return [V(1.0), V(2.0)]

    def __len__(self):
        print('len')
        return 2
b = Box()
print([a * 2 for a in b['q']][0].data)
print(sum((a * c for a, c in zip(b[0], b[1]))).data)
y = [V(1.0), V(2.0)]
print(sum((y[i] * y[i] for i in range(len(b)))).data)
'''

NASTY["defaultdict"] = KARPATHY + '''
from collections import defaultdict
d = defaultdict(lambda: print('made') or [V(1.0), V(3.0)])
print(sum((a * b for a, b in zip(d['a'], d['b']))).data, len(d))
print([(a * 2).data for a in d['c']], [a + b for a, b in zip(d['e'], d['e'])][1].data, len(d))
'''

NASTY["empty and undefined"] = KARPATHY + '''
def f(x):
    return [xi * undefined_name for xi in x]
print(f([]))
try:
    f([V(1.0)])
except NameError as e:
    print(e)

def g(x, w):
    return [sum((a * b for a, b in zip(r, x))) for r in w]
print(g([], [[]]), g([V(1.0)], []), g([], [[], []]))
print(sum([]), sum([], V(2)).data, sum((a * b for a, b in zip([], [])), 0.5))
'''

NASTY["exceptions halfway"] = KARPATHY + '''
log = []

def f(x, w):
    out = []
    for r in w:
        out.append(sum((a * b for a, b in zip(r, x))))
    return out
w = [[V(1.0)], [None], [V(2.0)]]
try:
    f([V(1.0)], w)
except TypeError as e:
    print(e)
total = V(0.0)
try:
    for a in [V(1.0), V(2.0), 'x', V(3.0)]:
        total = total + a
except TypeError as e:
    print(e, total.data)
print(total.data)
'''

NASTY["printing in backward"] = KARPATHY.replace('''        self.grad = 1
''', '''        self.grad = 1
        print('backward of', len(topo))
''') + LINEAR + '''
y = sum(linear(linear(x, w), w))
y.backward()
print([repr(a.grad) for a in x])
'''

NASTY["backward that frees the graph"] = KARPATHY.replace('''                child.grad += local * v.grad
''', '''                child.grad += local * v.grad
            v._children = v._local_grads = ()
''') + LINEAR + '''
y = sum(linear(linear(x, w), w))
y.backward()
print(y._children, y.grad, [a.grad for a in x])
y.backward()
print([a.grad for a in x])
'''

NASTY["backward that returns something"] = KARPATHY.replace('''                child.grad += local * v.grad
''', '''                child.grad += local * v.grad
        return topo
''') + LINEAR + '''
print(len(sum(linear(linear(x, w), w)).backward()), [a.grad for a in x])
'''

NASTY["backward that frees closures"] = MICROGRAD.replace('''            node._backward()
''', '''            node._backward()
            node._backward = None
''') + LINEAR + '''
y = sum(linear(linear(x, w), w))
y.backward()
print(y._backward, [a.grad for a in x])
'''

NASTY["identity"] = KARPATHY + LINEAR + '''
y = linear(x, w)
z = y[0]
print(z._children[1]._children[0] is w[0][2], z._children[1]._children[1] is x[2], len({id(v) for v in y}))
a = V(1.0)
b = a + 0
print(b is a, b._children[0] is a, sum([a]) is a, sum([a], a)._children[0] is a)
tot = a
for t in [1.0, 2.0]:
    tot = tot + t
print(tot is a, tot._children[0]._children[0] is a)
'''

NASTY["sets and dicts"] = KARPATHY + LINEAR + '''
y = linear(x, w)
d = {v: i for i, v in enumerate(x)}
s = set(x) | set(y)
print(len(s), d[x[1]], y[0] in s, V(1.0) in s)
seen = set()

def walk(v):
    if v in seen:
        return
    seen.add(v)
    for c in v._children:
        walk(c)
walk(y[0])
walk(y[1])
print(len(seen), repr(sum((v.data for v in x))))
'''

NASTY["nan inf"] = KARPATHY + '''
nan, inf = (float('nan'), float('inf'))
for a in (nan, inf, -inf, 0.0, -0.0):
    for b in (nan, inf, -0.0, 2.5):
        p, q = (V(a), V(b))
        r = [u * v for u, v in zip([p, q], [q, p])]
        s = sum((u * v for u, v in zip([p, q], [q, q])))
        s.backward()
        print(a, b, [repr(k.data) for k in r], repr(s.data), repr(p.grad), repr(q.grad), repr(max((v.data for v in [p, q]))), repr(min((v.data for v in (p, q)))))
'''

NASTY["ints"] = KARPATHY + '''
x = [V(1), V(2), V(3)]
y = [V(4), V(-5), V(6)]
s = sum((a * b for a, b in zip(x, y)))
s.backward()
print(repr(s.data), [repr(v.grad) for v in x + y], s._local_grads)
t = sum((a * b for a, b in zip(x, y)), V(10))
t.backward()
print(repr(t.data), [repr(v.grad) for v in x + y])
print([repr((a / b).data) for a, b in zip(x, y)], [repr((a - 1).data) for a in x], [repr((a ** 2).data) for a in x], [repr((a ** (-1)).data) for a in x])
big = V(2 ** 60)
print([repr((a * 3).data) for a in [big, big]], repr(sum((a * b for a, b in zip([big], [big]))).data), repr(sum([big, big, 1]).data))
z = [2 ** 70, 1]
print(repr(sum((a * b for a, b in zip([V(1.5), V(2)], z))).data))
'''

NASTY["bools"] = KARPATHY + '''
x = [V(True), V(False), V(1.5)]
print([repr((a * 2).data) for a in x], [repr((a + True).data) for a in x], repr(sum((a * b for a, b in zip(x, [True, False, True]))).data), repr(sum(x).data))
w = [V(0.5), V(2.0)]
print(repr(sum((a * b for a, b in zip(w, [True, 2]))).data), repr(sum((a * b for a, b in zip([3, 0.5], w))).data), repr(sum((a * b for a, b in zip([w[0], 2.0], [3, w[1]]))).data))
'''

NASTY["numbers mixed"] = KARPATHY + '''
w = [V(0.5), V(2.0), V(-1)]
for xs in ([1.0, 2.0, 3.0], [1, 2, 3], [1, V(2.0), 0.5], [V(1), 2, V(0.1)], (1.5, 2, 3)):
    for l, r in ((w, xs), (xs, w)):
        s = sum((a * b for a, b in zip(l, r)))
        s.backward()
        s.backward()
        print(repr(s.data), [repr(v.grad) for v in w], [(repr(c.data), repr(c.grad)) for c in s._children[1]._children])
'''

NASTY["fractions"] = KARPATHY + '''
from fractions import Fraction as F
from decimal import Decimal as D
x = [V(F(1, 3)), V(F(2, 5))]
s = sum((a * b for a, b in zip(x, [F(1, 2), F(3, 4)])))
s.backward()
print(s.data, [v.grad for v in x], [(a * 2).data for a in x])
y = [V(D('1.5')), V(D('2'))]
print([(a * D('2')).data for a in y], sum(y).data)
z = [V(1j), V(2.0)]
print([(a * a).data for a in z], sum((a * b for a, b in zip(z, z))).data)
'''

NASTY["subclass"] = KARPATHY + LINEAR + '''
class P(V):

    def __mul__(self, o):
        print('mul')
        return super().__mul__(o)
p = [P(1.0), P(2.0)]
print(sum((a * b for a, b in zip(p, x))).data, [(a * 2).data for a in p], [(2 * a).data for a in p], type(p[0] + 1).__name__)

class Q(V):
    __slots__ = ('tag',)

    def __init__(s, d, tag):
        super().__init__(d)
        s.tag = tag
q = [Q(1.0, 'a'), Q(2.0, 'b')]
s = sum((a * b for a, b in zip(q, x)))
s.backward()
print(s.data, [v.grad for v in q], [v.tag for v in q])
for v in q:
    v.data -= 0.1 * v.grad
print([v.data for v in q])
'''

NASTY["monkeypatched backward"] = KARPATHY + LINEAR + '''
old = V.backward

def b(self):
    print('b')
    old(self)
V.backward = b
y = sum(linear(x, w))
y.backward()
print(x[0].grad)
'''

NASTY["local grads changed by hand"] = KARPATHY + LINEAR + '''
y = linear(x, w)
y[0]._local_grads = (2, 3)
z = x[0] * x[1]
z._children = (x[2], x[2])
(y[0] + z).backward()
print([repr(v.grad) for v in x], [repr(v.grad) for v in w[0]])
'''

NASTY["data changed before backward"] = KARPATHY + LINEAR + '''
y = sum(linear(x, w))
for v in x:
    v.data = v.data * 10
w[0][0].data = 5
y.backward()
print([repr(v.grad) for v in x], [repr(v.grad) for v in w[0]])
y.backward()
print([repr(v.grad) for v in x])
'''

NASTY["update with aliases"] = KARPATHY + LINEAR + '''
ps = [x[0], x[1], x[0], x[2]]
m = [0.0] * 4
for p in ps:
    p.grad = 0.5
for i, p in enumerate(ps):
    m[i] = 0.9 * m[i] + p.grad
    p.data -= 0.1 * m[i]
    p.grad = p.grad * 2
print([repr(v.data) for v in x], [repr(v.grad) for v in x], m, i, p is x[2])
for p in (v for v in ps):
    p.data += 1
print([v.data for v in ps])
for p in ps[:2] + ps:
    p.data *= 1.5
print([v.data for v in ps], p.data)
n = 0
for p in ps:
    n += 1
    p.data += n
print([v.data for v in ps])
'''

NASTY["update that breaks"] = KARPATHY + LINEAR + '''
ps = x
for i, p in enumerate(ps):
    if i == 1:
        break
    p.data = 0.0
print([v.data for v in x])
for p in ps:
    p.grad = 3.0
    if p.data == 0.0:
        continue
    p.data = p.data / (p.data - p.data + 1)
print([v.data for v in x], [v.grad for v in x])
try:
    for p in ps:
        p.data = 1 / p.data
except ZeroDivisionError as e:
    print(e, [v.data for v in x], p is x[0])
for p in ps:
    p.data, p.grad = (p.grad, p.data)
print([v.data for v in x], [v.grad for v in x])
'''

NASTY["pickling"] = KARPATHY + LINEAR + '''
import pickle, copy
y = sum(linear(x, w))
y.backward()
z = pickle.loads(pickle.dumps(y, 2))
z.backward()
print(repr(z.data), repr(z.grad), z._children[0].data)
c = copy.deepcopy((x, y))
print(c[0][0].grad, c[1]._children[1].data, copy.copy(x[0]).data, c[0][0] is x[0])
c[1].backward()
print([repr(v.grad) for v in c[0]], [repr(v.grad) for v in x])
'''

NASTY["micrograd deepcopy"] = MICROGRAD + LINEAR + '''
import copy
y = sum(linear(x, w))
c = copy.deepcopy((x, y))
c[1].backward()
print([repr(v.grad) for v in c[0]], [repr(v.grad) for v in x])
'''

NASTY["micrograd closures replaced"] = MICROGRAD + LINEAR + '''
y = x[0] * x[1]

def mine():
    print('mine')
    x[0].grad += 5
y._backward = mine
z = y + x[2]
z.backward()
print([repr(v.grad) for v in x], z._op, z.label, [c.label for c in z._prev])
z.label = 'z'
print(z.label, (z + 1).label, x[0]._op)
'''

NASTY["micrograd data changed"] = MICROGRAD + LINEAR + '''
y = x[0].log() if x[0].data > 0 else (x[0] * -1).log()
z = y * 2
z.backward()
print(repr(x[0].grad))
'''

NASTY["micrograd append prev"] = MICROGRAD.replace("tuple(_children)", "list(_children)") + LINEAR + '''
y = x[0] * x[1]
y._prev.append(x[2])
y.backward()
print([repr(v.grad) for v in x], len(y._prev))
'''

NASTY["pairs weird"] = PAIRS + LINEAR + '''
a = V(2.0)
a.inputs = [(x[0], 2.0)]
a.backward()
print(a.inputs[0][1], x[0].grad, type(a.inputs).__name__, x[0].inputs, (x[0] * 2).inputs[0][1])
b = V(1.0, None)
print(b.inputs)
try:
    b.backward()
except TypeError as e:
    print(e)
c = V(3.0, ((x[1], 4),))
c.backward()
print(x[1].grad, c.inputs[0][1], len((x[0] + x[1]).inputs[1]))
'''

NASTY["generator args"] = KARPATHY + LINEAR + '''
g = (v for v in x)
print(sum(g).data)
print(sum(g))
it = iter(x)
print([(a * 2).data for a in it], [a * 2 for a in it])
z = zip(x, x)
print(sum((a * b for a, b in z)).data, sum((a * b for a, b in z)))
'''

NASTY["tuple lists"] = KARPATHY + LINEAR + '''
t = tuple(x)
print(sum((a * b for a, b in zip(t, x))).data, [(a + 1).data for a in t], sum(t).data)
d = {i: v for i, v in enumerate(x)}
print(sum((d[i] * d[i] for i in range(3))).data, [(d[i] * 2).data for i in range(3)], sum((d[k] for k in d)).data)
s = 'abc'
print([c * 2 for c in s], sum((len(c) for c in s)), [v + 1 for v in (1, 2)], [a + b for a, b in zip([[1]], [[2]])], [a * 2 for a in [[1], [2]]])
'''

NASTY["unequal zip"] = KARPATHY + LINEAR + '''
print(sum((a * b for a, b in zip(x, x[:2]))).data, [(a + b).data for a, b in zip(x, x[1:])], [sum((a * b for a, b in zip(r, x[:2]))).data for r in w])
print(sum((x[i] * x[i + 1] for i in range(2))).data, [(x[i] - x[i - 1]).data for i in range(3)], [(x[-i] * 1).data for i in range(3)], [(x[i] * i).data for i in range(3)], [(v * i).data for i, v in enumerate(x)])
try:
    print(sum((x[i] * x[i] for i in range(9))))
except IndexError as e:
    print(e)
'''

NASTY["walrus and nested"] = KARPATHY + LINEAR + '''
print([(t := (a * 2)).data for a in x], t.data)
print([[(a * b).data for a in x] for b in x][1], sum((a * b for a in x for b in x)).data, [(a * 2).data for a in x if a.data > 0])
f = [lambda a=a: a * 2 for a in x]
print(f[0]().data)
x2 = [x_ * 2 for x_ in x]
x = [x * 2 for x in x]
print([v.data for v in x])
'''

NASTY["loop variable leaks"] = KARPATHY + LINEAR + '''
tot = V(0.0)
for a, b in zip(x, w[0]):
    tot = tot + a * b
print(a is x[2], tot.data)
out = []
for r in w:
    out.append(sum((p * q for p, q in zip(r, x))))
print(r is w[2], len(out))

def f():
    acc = 0
    for i in range(3):
        acc += x[i] * x[i]
    return (acc, i)
print(f()[0].data, f()[1])

def g():
    out = []
    for r in w:
        s = sum((p * q for p, q in zip(r, x)))
        out.append(s + 1)
    return (out, s)
print(g()[1].data, g()[0][2].data)
'''

NASTY["out list aliased"] = KARPATHY + LINEAR + '''
def f(out):
    out = []
    keep = out
    for r in w:
        out.append(sum((p * q for p, q in zip(r, x))))
    return (keep is out, len(keep))
print(f(1))
acc = start = V(1.0)
for a in x:
    acc = acc + a * a
print(start.data, acc.data, start is acc)
acc = []
try:
    acc = acc
    for a in x:
        acc = acc + [a]
except Exception as e:
    print(e)
print(len(acc))
q = 1
for a in [2, 3]:
    q += a * a
print(q)
s = ''
for c in 'ab':
    s = s + c
print(s)
'''

NASTY["iadd"] = KARPATHY.replace("    def __neg__", '''    def __iadd__(self,o):
        self.data+=o.data if isinstance(o,V) else o
        print('iadd')
        return self
    def __neg__''', 1) + LINEAR + '''
t = V(0.0)
for a, b in zip(x, w[0]):
    t += a * b
print(t.data)
'''

NASTY["class flag"] = KARPATHY.replace('    __slots__ = ("data", "grad", "_children", "_local_grads")', "    grad_enabled = True").replace("self._children = children", "self._children = children if V.grad_enabled else ()").replace("self._local_grads = local_grads", "self._local_grads = local_grads if V.grad_enabled else ()") + LINEAR + '''
y = linear(x, w)
V.grad_enabled = False
z = linear(x, w)
print(len(z[0]._children), len(y[0]._children), len([a * 2 for a in x][0]._children))
V.grad_enabled = True
sum(y).backward()
print(x[0].grad, len(linear(x, w)[0]._children))
'''

NASTY["constructor clips"] = KARPATHY.replace('''        self.data = data
''', '''        if data > 1.0:
            data = 1.0
        self.data = data
''') + LINEAR + '''
print([(a * 30).data for a in x], sum(linear(x, w)).data)
'''

NASTY["constructor counts"] = KARPATHY.replace('''        self.data = data
''', '''        V.made = getattr(V,'made',0) + 1
        self.data = data
''').replace('''    __slots__ = ("data", "grad", "_children", "_local_grads")
''', "") + LINEAR + '''
sum(linear(x, w))
print(V.made)
'''

NASTY["custom numbers"] = KARPATHY + '''
class N(float):

    def __mul__(s, o):
        print('N mul')
        return float(s) * o
    __rmul__ = __mul__
x = [V(N(2.0)), V(3.0)]
print(sum((a * b for a, b in zip(x, x))).data, [(a * N(2)).data for a in x], [(a * 2).data for a in x])
'''

NASTY["raising method"] = KARPATHY.replace('''    def tanh(self):
''', '''    def tanh(self):
        if self.data > 1: raise ValueError('too big')
''') + '''
x = [V(0.5), V(2.0)]
out = []
try:
    for a in x:
        out.append(a.tanh())
except ValueError as e:
    print(e, len(out))
try:
    [a.tanh() for a in x]
except ValueError as e:
    print(e)
print(V(0.1).tanh().data)
'''

NASTY["composed with prints"] = KARPATHY.replace("    def __neg__(self): return self * -1", '''    def __neg__(self):
        print('neg')
        return self * -1''').replace("    def tanh", '''    def sig(self): return 1 / (1 + (-self).exp())
    def sq(self): return self * self
    def tanh''', 1) + '''
x = [V(0.5), V(2.0)]
print([a.sig().data for a in x], [(a - b).data for a, b in zip(x, x)], [(a - 1).data for a in x], [a.sq().data for a in x], [(-a).data for a in x])
y = x[0].sig()
y.backward()
print(x[0].grad)
'''

NASTY["global flag in module"] = '''
import math, random
ENABLED = True
''' + KARPATHY.replace("self._children = children", "self._children = children if ENABLED else ()").replace("self._local_grads = local_grads", "self._local_grads = local_grads if ENABLED else ()") + LINEAR + '''
y = linear(x, w)
ENABLED = False
print(len([a * 2 for a in x][0]._children), len(linear(x, w)[0]._children))
ENABLED = True
print(len([a * 2 for a in x][0]._children))
'''

NASTY["stdlib tricks"] = KARPATHY + LINEAR + '''
import functools, operator, itertools
print(functools.reduce(operator.add, x).data, math.prod((v.data for v in x)), sum(map(operator.mul, x, w[0])).data, list(itertools.accumulate((v.data for v in x))))
print(sorted((v.data for v in x), reverse=True), max(x, key=lambda v: v.data).data, any((v.data > 0 for v in x)))
print(math.fsum((v.data for v in x)), min((v.data for v in x), default=3))
'''

NASTY["eq by data in list"] = EQUAL.replace("visited = [], set()", "visited = [], []").replace("visited.add(v)", "visited.append(v)") + LINEAR + '''
a, b = (V(1.0), V(1.0))
c = a * b + a
c.backward()
print(a.grad, b.grad, c.grad)
'''

NASTY["hash by data"] = EQUAL.replace("return id(self)", "return hash(self.data)") + '''
a, b = (V(1.0), V(1.0))
c = a * b + a
c.backward()
print(a.grad, b.grad, c.grad)
'''

NASTY["eq without hash"] = EQUAL.replace('''    def __hash__(self): return id(self)
''', "") + '''
a, b = (V(1.0), V(1.0))
c = a * b + a
try:
    c.backward()
except TypeError as e:
    print(e)
print(a == b, a.grad)
'''
