"""An extension of griffe: a field made by `option(default, "description", ...)` in microgpt/config.py has that default and description."""

import ast

import griffe


class Fields(griffe.Extension):
    def on_attribute_instance(self, *, node, attr, **_):
        call = getattr(node, "value", None)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "option":
            attr.value = ast.unparse(call.args[0])
            description = ast.literal_eval(call.args[1])
            attr.docstring = griffe.Docstring(f"{description[0].upper()}{description[1:]}.", parent=attr)
