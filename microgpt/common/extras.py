"""Optional packages, which are imported only when needed."""

import importlib


def require(module, feature, extra=None):
    """The module of an optional package; ImportError says which feature needs it and how to install it.

    extra: the name of microgpt-cython's extra, if it differs from the module's.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{feature} needs {module} ({error}); install it with: pip install 'microgpt-cython[{extra or module}]'"
        ) from error
