"""Being told when a module has been imported, through the loader that imports it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing is not imported in every process for the sake of annotations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["Watch"]


class Watch:
    """A meta path finder that finds nothing itself: it has :meth:`entered` and :meth:`left` called around imports."""

    def arm(self) -> None:
        """Watch from now on, before all finders that are there."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def disarm(self) -> None:
        """Watch no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def watches(self, name: str) -> bool:
        """Say whether a module is of interest."""
        raise NotImplementedError

    def entered(self, name: str) -> None:
        """Hear that a module's code is about to run."""

    def left(self, name: str, *, failed: bool) -> None:
        """Hear that a module's code has run; where it failed, the exception goes on from here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find a module, and go between it and its loader."""
        if not self.watches(fullname):
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(fullname, path, target)
            if spec is not None:
                # A namespace package has no code to run.
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self, fullname)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """A loader that stands in front of another until the module's code runs."""

    def __init__(self, loader: Any, watch: Watch, name: str) -> None:
        self._loader, self._watch, self._name = loader, watch, name

    def __getattr__(self, name: str) -> Any:
        # get_source, get_resource_reader and what else readers of a spec ask for
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        if module.__spec__ is not None and module.__spec__.loader is self:  # type: ignore[comparison-overlap]
            module.__spec__.loader = self._loader
        self._watch.entered(self._name)
        failed = True
        try:
            self._loader.exec_module(module)
            failed = False
        finally:
            self._watch.left(self._name, failed=failed)
