"""The first revision's way to write an operation, with a closure for the backward pass, turned into the current one.

    out = Value(x, (self,), 'op')                       out = Value(x, (self,), (L,))
    def _backward():                             ->
        self.grad += L * out.grad
    out._backward = _backward
    return out                                          return out

L is then computed in the forward pass. That is the same number unless somebody changes `data` between the two passes.
"""

import ast
import copy

from microgpt.run.normal import is_remark


class Translator:
    """Translates methods of the class `class_name` whose attributes are called as `attributes` says."""

    def __init__(self, class_name, attributes):
        self.class_name, self.attributes = class_name, attributes
        self.private = {attributes[name] for name in ("_backward", "_prev", "_op")}

    def translate(self, method):
        """The method in the current revision's way; itself if it makes no node of its own; None if it is written otherwise."""
        if not self._concerns(method):
            return method
        method = copy.deepcopy(method)
        body = [line for line in method.body if not is_remark(line)]
        closure = next((line for line in body if isinstance(line, ast.FunctionDef)), None)
        made = next((line for line in body if self._makes_node(line)), None)
        if closure is None or made is None or len(body) < 4:
            return None
        out, call = made.targets[0].id, made.value
        attach = f"{out}.{self.attributes['_backward']} = {closure.name}"
        children = [ast.unparse(child) for child in call.args[1].elts]
        local_grads = self._local_grads(closure, out, call.args[0], children)
        before = body[: body.index(made)]
        after = [line for line in body[body.index(made) + 1 :] if line is not closure and ast.unparse(line) != attach]
        if local_grads is None or closure in before or len(after) != len(body) - len(before) - 3:
            return None
        if len(after) == 1 and ast.unparse(after[0]) == f"return {out}":
            call.args[2:] = [ast.copy_location(ast.Tuple(local_grads, ast.Load()), call)]
            method.body = [*before, ast.copy_location(ast.Return(call), made)]
            ast.fix_missing_locations(method)
            return None if self._concerns(method, closures_only=True) else method
        return None

    def _concerns(self, method, closures_only=False):
        """Whether it has to do with closures or children: attributes of the first revision, or nodes that have children."""
        for part in ast.walk(method):
            if isinstance(part, ast.Attribute) and part.attr in self.private:
                return True
            if not closures_only and isinstance(part, ast.Call) and self._is_class(part.func) and len(part.args) != 1:
                return True
        return False

    def _is_class(self, node):
        return isinstance(node, ast.Name) and node.id == self.class_name

    def _makes_node(self, line):
        """out = Value(x, (a, b), 'op')"""
        if not (isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)):
            return False
        call = line.value
        return (
            isinstance(call, ast.Call) and self._is_class(call.func) and not call.keywords and len(call.args) in (2, 3)
            and isinstance(call.args[1], ast.Tuple) and all(isinstance(child, ast.Name) for child in call.args[1].elts)
            and all(isinstance(op, (ast.Constant, ast.JoinedStr)) for op in call.args[2:])
        )

    def _local_grads(self, closure, out, data, children):
        """The factor of out.grad for each child, in order; None if the closure is anything but `child.grad += L * out.grad`."""
        arguments = closure.args
        lines = [line for line in closure.body if not is_remark(line)]
        if any((arguments.args, arguments.posonlyargs, arguments.kwonlyargs, arguments.vararg, arguments.kwarg)):
            return None
        if closure.decorator_list or len(lines) != len(children):
            return None
        grad, factors = self.attributes["grad"], []
        for line, child in zip(lines, children):
            if not (isinstance(line, ast.AugAssign) and isinstance(line.op, ast.Add)):
                return None
            factor = factor_of(line.value, f"{out}.{grad}")
            if ast.unparse(line.target) != f"{child}.{grad}" or factor is None:
                return None
            result = ResultData(out, self.attributes["data"], data)
            factor = result.visit(factor)
            if result.used and not is_repeatable(data):
                return None
            names = {part.id for part in ast.walk(factor) if isinstance(part, ast.Name)}
            if out in names or any(isinstance(part, ast.Attribute) and part.attr == grad for part in ast.walk(factor)):
                return None
            factors.append(factor)
        return factors


def factor_of(product, out_grad):
    """L of `L * out.grad` or `out.grad * L`; 1 for out.grad alone."""
    if ast.unparse(product) == out_grad:
        return ast.copy_location(ast.Constant(1), product)
    if isinstance(product, ast.BinOp) and isinstance(product.op, ast.Mult):
        for factor, other in ((product.left, product.right), (product.right, product.left)):
            if ast.unparse(other) == out_grad:
                return factor
    return None


def is_repeatable(expression):
    """Whether computing it a second time gives the same and does nothing else: no calls but those of mathematical functions."""
    calls = [ast.unparse(part.func) for part in ast.walk(expression) if isinstance(part, ast.Call)]
    return all(name.startswith("math.") or name in ("max", "min", "abs", "float") for name in calls)


class ResultData(ast.NodeTransformer):
    """Puts the expression that made the node in the place of `out.data`."""

    def __init__(self, out, attribute, expression):
        self.text, self.expression, self.used = f"{out}.{attribute}", expression, False

    def visit_Attribute(self, node):
        if ast.unparse(node) != self.text:
            return self.generic_visit(node)
        self.used = True
        return copy.deepcopy(self.expression)
