"""The pure engine: microgpt.reference as it stands."""

from microgpt import reference
from microgpt.engines.scalar import ScalarEngine


class PythonEngine(ScalarEngine):
    name = "python"
    ops = reference


ENGINE = PythonEngine
