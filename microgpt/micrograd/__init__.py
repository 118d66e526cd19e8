"""micrograd's interface, compiled: `from microgpt.micrograd.engine import Value` and `from microgpt.micrograd.nn import MLP`.

The names are those of Karpathy's micrograd (https://github.com/karpathy/micrograd); see docs/micrograd.md.
"""
