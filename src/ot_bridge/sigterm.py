"""SIGTERM, where nobody else handles it: the spans are sent before it ends the process.

Python leaves the signal to the system, which ends the process at once: no ``finally``, no atexit. So do deployments,
``Process.terminate()`` of multiprocessing, and servers that raise the signal again when they have stopped.

The handler works in a thread of its own. It interrupts the main thread anywhere, also where that holds a lock that
sending needs; who waits with a limit cannot be held for ever.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NamedTuple

__all__ = ["arm", "uninterrupted"]

_LEAST_S: Final = 0.1  # what the bound of the work itself takes longer than it says


class _Work(NamedTuple):
    close: Callable[[], object]
    flush: Callable[[], object]
    timeout_s: float


_work: _Work | None = None
_ending = False  # the process is about to end, and is sending already
_came = False  # and the signal has come meanwhile


def arm(close: Callable[[], object], flush: Callable[[], object], timeout_s: float) -> Callable[[], None]:
    """Send spans when SIGTERM ends this process, or a child of its forks, if nobody handles the signal.

    Only the main thread may set handlers. A handler that is there stays, and one that is set later replaces this one.

    Args:
        close: sends and stops.
        flush: sends; where gevent or eventlet has made threads of other kinds, which cannot run meanwhile.
        timeout_s: how long the process may live on.

    Returns:
        A function that undoes it.
    """
    global _work
    if os.name == "nt" or threading.current_thread() is not threading.main_thread() or not _is_free():
        return lambda: None
    try:
        signal.signal(signal.SIGTERM, _on_sigterm)
    except ValueError:  # not the main interpreter
        return lambda: None
    _work = _Work(close, flush, timeout_s)
    atexit.unregister(_note_exit)
    atexit.register(_note_exit)
    return _disarm


def _disarm() -> None:
    global _work
    _work = None
    atexit.unregister(_note_exit)
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        with contextlib.suppress(ValueError):  # in another thread it stays, and does nothing
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _note_exit() -> None:
    global _ending
    _ending = True


def uninterrupted(close: Callable[[], object]) -> Callable[[], None]:
    """Return what closes, in a process that ends by itself, before the signal may end it.

    ``Pool.terminate()`` tells its workers to end, and signals those that are doing so.
    """

    def run() -> None:
        global _ending
        before, _ending = _ending, True
        try:
            close()
        finally:
            _ending = before
            if _came and not before:
                os.kill(os.getpid(), signal.SIGTERM)

    return run


def _is_free() -> bool:
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    # Python does not know of handlers in C: those of uwsgi, of Apache's mod_wsgi, of faulthandler.
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123  (pathlib is slow to import)
            caught = next((line for line in status if line.startswith(b"SigCgt:")), b"SigCgt: 0")
    except OSError:  # no Linux
        return True
    return not int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1


def _on_sigterm(number: int, _: FrameType | None) -> None:
    if os.getpid() == 1:
        # The system keeps signals without a handler from a container's first process: so it lives on, as ever. But it
        # is told to end, and is killed soon.
        if _work is not None:
            with contextlib.suppress(RuntimeError):  # no thread starts at the end
                _system_threads()[0](_work.flush, ())
        return
    global _came
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    if _ending:
        _came = True
        return
    try:
        if _work is not None:
            _send(_work)
    finally:
        os.kill(os.getpid(), number)


def _send(work: _Work) -> None:
    start_new_thread, allocate_lock, green = _system_threads()
    running = allocate_lock()
    running.acquire()

    def run() -> None:
        try:
            (work.flush if green else work.close)()
        finally:
            running.release()

    try:
        # Not by threading: its own lock may be held by what was interrupted.
        start_new_thread(run, ())
    except RuntimeError:
        # From Python 3.12 on no thread starts once the main thread has ended, though others may still run.
        work.close()
    else:
        running.acquire(True, work.timeout_s + _LEAST_S)


def _system_threads() -> tuple[Callable[..., Any], Callable[[], Any], bool]:
    """Return what starts a thread and what makes a lock, of the system and not of gevent or eventlet."""
    names = ["start_new_thread", "allocate_lock"]
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("_thread"):
        start, lock = gevent.get_original("_thread", names)
        return start, lock, True
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        original = eventlet.original("_thread")
        return original.start_new_thread, original.allocate_lock, True
    return _thread.start_new_thread, _thread.allocate_lock, False
