"""The ends that atexit never hears of, in this process; tests/processes has them in processes of their own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest

from ot_bridge import endings, forks, sigterm, telemetry


@pytest.fixture(autouse=True)
def _disposition() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(os.name == "nt", reason="there SIGTERM is never sent")
def test_first_process_of_a_container_sends_and_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = threading.Event()
    undo = sigterm.arm(lambda: pytest.fail("closed"), flushed.set, 1)
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: 1)
        signal.raise_signal(signal.SIGTERM)
    assert (flushed.wait(30), signal.getsignal(signal.SIGTERM)) == (True, handler)
    undo()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_module_that_is_not_as_expected_is_told_of_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        """Has no shutdown."""

    module = ModuleType("uvicorn.server")
    module.Server = Server  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvicorn.server", module)
    undo = endings.arm(lambda: None, lambda: None)
    undo()
    assert telemetry.snapshot() == {"close.unprepared.uvicorn.server": 1}
    assert vars(Server).get("shutdown") is None


def test_close_that_fails_at_an_end_is_counted() -> None:
    def fail() -> None:
        raise OSError("gone")

    undo = endings.arm(fail, fail)
    endings._armed.close()
    undo()
    endings._armed.close()
    assert telemetry.snapshot() == {"close.error": 1}


def test_fork_that_python_did_not_hear_of_starts_the_export_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Inside:
        def _at_fork_reinit(self) -> None:
            calls.append("renewed")

    class Processor:
        _batch_processor = Inside()

    class Provider:
        class _active_span_processor:  # noqa: N801  (the SDK's name)
            _span_processors = (Processor(),)

    uwsgi = ModuleType("uwsgi")
    uwsgi.post_fork_hook = lambda: calls.append("theirs")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    monkeypatch.setattr(forks, "_heard_in", os.getpid())
    undo = forks.arm(Provider())
    uwsgi.post_fork_hook()  # Python has heard of it
    monkeypatch.setattr(forks, "_heard_in", -1)
    uwsgi.post_fork_hook()
    undo()
    forks._decorators.disarm()
    assert calls == ["theirs", "theirs", "renewed"]
