"""What OpenTracing's tornado libraries need before they import, on tornado 5 and on tornado 6."""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import contextlib
import importlib.util
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from libraries.web import LIMIT_S
from ot_bridge import stack_context

__all__ = ["prepared", "serve"]


def prepared(name: str) -> int:
    """Make a library importable and return tornado's major version; skip the module without the library."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs {name}: make compat", allow_module_level=True)
    import tornado

    if tornado.version_info < (6,):
        # Python 3.10 has it in collections.abc alone.
        collections.MutableMapping = collections.abc.MutableMapping  # type: ignore[attr-defined]
    else:
        assert stack_context.provide()
    return int(tornado.version_info[0])


@contextlib.contextmanager
def serve(make_app: Any) -> Iterator[str]:
    """Serve what the function makes, on a loop in a thread of its own; yield the URL without a path."""
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.netutil import bind_sockets

    started = threading.Event()
    found: dict[str, Any] = {}

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        server = HTTPServer(make_app())
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        found.update(loop=loop, port=sockets[0].getsockname()[1])
        loop.add_callback(started.set)
        loop.start()
        server.stop()
        loop.close(all_fds=True)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(LIMIT_S)
    try:
        yield "http://127.0.0.1:{port}".format(**found)
    finally:
        found["loop"].add_callback(found["loop"].stop)
        thread.join(LIMIT_S)
