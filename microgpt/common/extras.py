"""Packages that are installed only where somebody needs them."""

import importlib


def require(module, feature, extra=None):
    """The module of an optional package; ImportError says which feature needs it and how to install it.

    extra: of microgpt-cython, where it is not called as the module.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{feature} needs {module} ({error}); install it with: pip install 'microgpt-cython[{extra or module}]'"
        ) from error
