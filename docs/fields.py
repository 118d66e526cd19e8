"""An extension of griffe: a field made by `option(...)` has the default, description, unit and bounds of its Option in microgpt/config.py."""

import ast

import griffe

from microgpt import config
from microgpt.common.options import options_of


class Fields(griffe.Extension):
    def on_attribute_instance(self, *, node, attr, **_):
        call = getattr(node, "value", None)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "option":
            option = options_of(getattr(config, attr.parent.name))[attr.name]
            attr.value = repr(option.default)
            attr.docstring = griffe.Docstring(f"{option.text[0].upper()}{option.text[1:]} ({option.values()}).", parent=attr)
