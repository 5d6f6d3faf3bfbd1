"""``import jaeger_client`` means the drop-in: the modules of ``ot_bridge.jaeger_client``, each under two names.

They are the same objects, so that classes are the same whichever name they were imported by. Whether jaeger-client is
installed does not matter, and its metadata stays what it is: ``importlib.metadata.version("jaeger-client")``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

__all__ = ["arm"]

_OLD = "jaeger_client"
_NEW = f"ot_bridge.{_OLD}"


def _is_old(name: str) -> bool:
    return name == _OLD or name.startswith(f"{_OLD}.")


class _Redirect:
    """A meta path finder for jaeger_client and all below it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the drop-in's module.

        Raises:
            ModuleNotFoundError: the drop-in has no such module; the text says what to do.
        """
        if not _is_old(fullname):
            return None
        spec = ModuleSpec(fullname, _Alias())  # type: ignore[arg-type]  # no Loader needs to be inherited
        # Found without importing: here the interpreter holds the lock that all threads need for their imports.
        if fullname != _OLD and not self._exists(fullname):
            raise _missing(fullname)
        return spec

    @staticmethod
    def _exists(name: str) -> bool:
        new = f"ot_bridge.{name}"
        if new in sys.modules:
            return True
        parent = sys.modules.get(new.rpartition(".")[0])
        places = getattr(parent, "__path__", None)
        if places is None:
            return False
        found = (getattr(finder, "find_spec", lambda *_: None)(new, places, None) for finder in sys.meta_path)
        return any(spec is not None for spec in found)


class _Alias:
    """A loader that gives the module of the other name."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        try:
            module = import_module(f"ot_bridge.{spec.name}")
        except ModuleNotFoundError as error:
            if error.name != f"ot_bridge.{spec.name}":
                raise
            raise _missing(spec.name) from None
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Its code has run. The import system has written the old name's spec over its own.
        old = module.__spec__
        if old is not None and old.loader_state is not None:
            module.__spec__ = old.loader_state


def _missing(name: str) -> ModuleNotFoundError:
    from ot_bridge.not_carried import reason_for

    reason = reason_for(name.partition(".")[2]) or ": remove the import, or start this program without ot_bridge"
    return ModuleNotFoundError(
        f"No module named {name!r}: under ot_bridge jaeger_client is {_NEW}, which has no such module{reason}",
        name=name,
    )


_redirect = _Redirect()


def arm() -> Callable[[], None]:
    """Make jaeger_client mean the drop-in from now on.

    Modules of the real one that were imported before stay with those who hold them; later imports get the drop-in.

    Returns:
        A function that undoes it.
    """
    if _redirect in sys.meta_path:
        return lambda: None
    sys.meta_path.insert(0, _redirect)
    real = _take_out()

    def undo() -> None:
        if _redirect in sys.meta_path:
            sys.meta_path.remove(_redirect)
        _take_out()
        sys.modules.update(real)

    return undo


def _take_out() -> dict[str, ModuleType]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _is_old(name)}
