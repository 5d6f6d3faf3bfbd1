"""Forks that Python does not hear of: uwsgi forks its workers in C, and runs none of ``os.register_at_fork``'s hooks.

Threads are gone in the child, so nobody exports. uwsgi has a hook of its own, and ``--py-call-uwsgi-fork-hooks``, with
which Python hears of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Final

from ot_bridge.importing import Watch
from ot_bridge.shutdown import processors_of

__all__ = ["arm"]

_DECORATORS: Final = "uwsgidecorators"

_heard_in = os.getpid()
_providers: Final[list[object]] = []


def _hear() -> None:
    global _heard_in
    _heard_in = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hear)


class _Decorators(Watch):
    """Sees the module that puts its own hook into the place of all others, and keeps a list of those to call."""

    def watches(self, name: str) -> bool:
        return name == _DECORATORS

    def left(self, name: str, *, failed: bool) -> None:
        if not failed:
            sys.modules[name].postfork_chain.append(_renew)


_decorators: Final = _Decorators()


def arm(provider: object) -> Callable[[], None]:
    """Have a provider's batch processors begin anew in the workers of uwsgi. Does nothing elsewhere.

    Returns:
        A function that undoes it.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return lambda: None
    if not _providers:
        _hook(uwsgi)
    _providers.append(provider)
    return lambda: _providers.remove(provider)


def _hook(uwsgi: ModuleType) -> None:
    loaded = sys.modules.get(_DECORATORS)
    if loaded is not None:
        loaded.postfork_chain.append(_renew)
        return
    _decorators.arm()
    before = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        if before is not None:
            before()
        _renew()

    uwsgi.post_fork_hook = post_fork_hook  # type: ignore[attr-defined]


def _renew() -> None:
    if _heard_in == os.getpid():
        return
    _hear()
    for provider in _providers:
        for processor in processors_of(provider) or ():
            # The SDK does it by this method, after a fork that it hears of.
            renew = getattr(getattr(processor, "_batch_processor", None), "_at_fork_reinit", None)
            if renew is not None:
                renew()
