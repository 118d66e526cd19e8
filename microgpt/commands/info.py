"""microgpt info: which version this is, on what it runs and what it was built with."""

import importlib
import platform

from microgpt import __version__, engines

DESCRIPTION = "Say which version this is, on what it runs and what it was built with."


def configure(parser):
    pass


def run(arguments):
    facts = {
        "microgpt": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
    }
    available = []
    for name in engines.ENGINES:
        try:
            importlib.import_module(f"microgpt.engines.{name}")
            available.append(name)
        except ImportError:
            pass
    facts["engines"] = ", ".join(available)
    try:
        compiled = importlib.import_module("microgpt._exact").info()
    except ImportError:
        pass
    else:
        facts.update(compiled)
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact}")
