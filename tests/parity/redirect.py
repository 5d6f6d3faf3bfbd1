"""Runs a program in which `import jaeger_client` gives `ot_bridge.jaeger_client`: python redirect.py PROGRAM.

What only the real one needs cannot be imported in it, as if neither were installed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType

_OLD, _NEW = "jaeger_client", "ot_bridge.jaeger_client"
_OF_THE_REAL_ONE = ("thrift", "threadloop")


class Redirect(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of jaeger_client in the drop-in."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == _OLD or fullname.startswith(_OLD + "."):
            return importlib.machinery.ModuleSpec(fullname, self)
        if fullname.partition(".")[0] in _OF_THE_REAL_ONE:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_NEW + spec.name.removeprefix(_OLD))
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


if __name__ == "__main__":
    sys.meta_path.insert(0, Redirect())
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
