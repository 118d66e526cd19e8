"""Random programs on Values, for comparing two scalar layers bit for bit.

A program is drawn from a seed and run on a layer (a module with Value, linear, softmax, ...). It makes graphs that share
nodes, mixes operators and functions, ints and floats, changes data, gradients and edges between backward passes, runs some
passes twice, and reads edges. Its outcome is everything that a user could see of it, as text.
"""

import random


def exact(number):
    """A number as text: equal for numbers of equal type and bits, and for any two NaNs."""
    if type(number) is float:
        return f"float {number.hex()}"
    if type(number) is int and number.bit_length() > 10_000:
        return f"int {number:x}"  # Python refuses to write such a long int in decimal
    return f"{type(number).__name__} {number!r}"


def exacts(values):
    """The numbers of some Values as text."""
    return [(exact(v.data), exact(v.grad)) for v in values]


class Program:
    """One run. pool: the Values made so far. seen: the observations, in order."""

    FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-5, 1e-160, -1e160, 5e-324, 1e308, 7.25)
    INTS = (0, 1, -1, 2, 3, -7, 10**6, 2**53, -(2**53) - 1, 10**20)
    EXPONENTS = (2, -1, 0.5, -0.5, 3, 1, 0, 2.0, -1.5, 1.7, -2, 5, 40)

    def __init__(self, layer, seed, wild):
        self.layer, self.random, self.wild = layer, random.Random(seed), wild
        self.pool, self.seen = [], []

    def number(self):
        kind = self.random.random()
        if self.wild and kind < 0.15:
            return self.random.choice(self.FLOATS)
        if self.wild and kind < 0.3 or kind < 0.1:
            return self.random.choice(self.INTS[:7] if kind < 0.2 else self.INTS)
        return self.random.gauss(0, 1)

    def leaf(self):
        return self.layer.Value(self.number())

    def pick(self):
        recent = self.pool[-12:] if self.random.random() < 0.7 else self.pool
        return self.random.choice(recent)

    def vector(self, n):
        return [self.pick() if self.random.random() < 0.8 else self.leaf() for _ in range(n)]

    # ---- steps: each makes Values or changes something ------------------------------------------------------------------

    def binary(self):
        operation = self.random.choice("+-*/")
        a = self.pick()
        b = self.pick() if self.random.random() < 0.6 else self.number()
        if self.random.random() < 0.5:
            a, b = b, a
        if operation == "+":
            return a + b
        if operation == "-":
            return a - b
        return a * b if operation == "*" else a / b

    def unary(self):
        a = self.pick()
        operation = self.random.choice(["log", "exp", "relu", "sigmoid", "tanh", "neg", "pow", "pow"])
        if operation == "neg":
            return -a
        if operation == "pow":
            return a ** self.random.choice(self.EXPONENTS)
        return getattr(a, operation)()

    def sum(self):
        return sum(self.vector(self.random.randint(1, 5)))

    def linear(self):
        n = self.random.randint(1, 6)
        x = self.vector(n)
        rows = [self.vector(n + self.random.choice([0, 0, 0, 0, 1])) for _ in range(self.random.randint(1, 4))]
        return self.layer.linear(x, rows)

    def chained_dots(self):
        """Dot products of dot products, in which runs of terms must be split."""
        x = self.vector(3)
        for _ in range(3):
            y = self.layer.linear(x, [self.vector(3) for _ in range(3)])
            x = [self.random.choice([*x, *y]) for _ in range(3)]
        return x

    def softmax(self):
        return self.layer.softmax(self.vector(self.random.randint(1, 5)))

    def rmsnorm(self):
        return self.layer.rmsnorm(self.vector(self.random.randint(1, 5)))

    def cross_entropy(self):
        n = self.random.randint(1, 5)
        return self.layer.cross_entropy(self.vector(n), self.random.randrange(-n, n))

    def attention(self):
        n_head, head_dim, positions = (self.random.randint(1, 3) for _ in range(3))
        n = n_head * head_dim
        keys, values = ([self.vector(n) for _ in range(positions)] for _ in range(2))
        return self.layer.attention(self.vector(n), keys, values, n_head)

    def own_operation(self):
        """A node made by hand, as users do for operators of their own."""
        children = self.vector(self.random.choice([0, 1, 1, 2, 2, 3, 5]))
        kind = tuple if self.random.random() < 0.7 else list
        n = len(children) + self.random.choice([0, 0, 0, 1])
        return self.layer.Value(self.number(), kind(children), kind(self.number() for _ in range(n)))

    def backward(self):
        self.pick().backward()

    def backward_twice(self):
        root = self.pick()
        root.backward()
        if self.random.random() < 0.3:
            root.grad = self.number()
        root.backward()

    def change(self):
        value = self.pick()
        what = self.random.choice(["data", "data", "grad", "grad", "zero", "add"])
        if what == "add":
            value.data -= 0.1 * value.grad
        elif what == "zero":
            for value in self.pool:
                value.grad = 0
        else:
            setattr(value, what, self.number())

    def change_edges(self):
        value, others = self.pick(), [v for v in self.pool[:5] if not v._children]
        if others and value not in self.pool[:5]:
            value._children = tuple(self.random.choice(others) for _ in value._children)
            if self.random.random() < 0.5:
                value._local_grads = tuple(self.number() for _ in value._local_grads)

    def change_edges_anyhow(self):
        """Give a node any children, possibly itself or nodes above it."""
        value = self.pick()
        if self.wild and self.random.random() < 0.3:
            children = self.vector(self.random.choice([0, 1, 2, 2, 3]))
            value._children = tuple(children)
            value._local_grads = tuple(self.number() for _ in children)

    def value_of_value(self):
        return self.layer.Value(self.pick().data, (self.pick(),), (self.pick().data,))

    def look(self):
        value = self.pick()
        self.seen.append([exact(child.data) for child in value._children])
        self.seen.append([exact(local) for local in value._local_grads])

    def adam(self):
        params = [v for v in dict.fromkeys(self.vector(4)) if not any(type(x) is complex for x in (v.data, v.grad))]
        optimizer = self.layer.Adam(params, learning_rate=self.random.random())
        for _ in range(2):
            optimizer.step()
        self.seen.append([exact(float(m)) for m in (*optimizer.m, *optimizer.v)])

    STEPS = (
        [binary] * 8
        + [unary] * 5
        + [sum, linear, linear, chained_dots, softmax, rmsnorm, cross_entropy, attention]
        + [own_operation, backward, backward, backward_twice, change, change, change_edges, look, adam]
        + [change_edges_anyhow, value_of_value]
    )

    def run(self, num_steps):
        self.pool = [self.leaf() for _ in range(5)]
        for _ in range(num_steps):
            state = self.random.getstate()
            try:
                made = self.random.choice(self.STEPS)(self)
            except (ArithmeticError, ValueError, TypeError) as error:
                self.seen.append(f"{type(error).__name__}: {error}")
                self.random.setstate(state)  # layers must agree on the following draws, whatever was drawn before the error
                self.random.random()
                continue
            if isinstance(made, list):
                self.pool.extend(value for value in made if isinstance(value, self.layer.Value))
            elif made is not None:
                self.pool.append(made)
        return [*self.seen, *self.graph()]

    def graph(self):
        """Every reachable node, in a fixed order, with all its contents."""
        numbers, stack, lines = {}, list(reversed(self.pool)), []
        while stack:
            node = stack.pop()
            if node in numbers:
                continue
            numbers[node] = len(numbers)
            stack.extend(reversed(list(node._children)))
        for node in numbers:
            edges = [(numbers[child], exact(local)) for child, local in zip(node._children, node._local_grads)]
            lines.append(f"{numbers[node]}: {exact(node.data)} grad {exact(node.grad)} {edges}")
        return lines


def outcome(layer, seed, wild=False, num_steps=40):
    """The observations when the program of `seed` runs on `layer`, as a list of strings and lists."""
    return Program(layer, seed, wild).run(num_steps)
